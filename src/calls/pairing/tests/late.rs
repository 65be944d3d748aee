//! Answers and requests that come late.

use super::*;

#[test]
fn an_answer_that_nobody_read_is_no_answer() {
    let late = |acked, end, reset_by| {
        let mut line = Line::new();
        line.say(CLIENT, open(1));
        line.end(CLIENT, End::Fin);
        line.pass(1);
        let now = line.flow.last;
        let at = At { flow: &line.flow, now, origin: now, position: Some(1000) };
        line.matcher.event(at, &mut line.pending, SERVER, &trailers(1, 14));
        line.flow.reset_by = reset_by;
        line.end(SERVER, end);
        line.pass(1);
        let now = line.flow.last;
        let at = At { flow: &line.flow, now, origin: now, position: None };
        if let Some(acked) = acked {
            line.matcher.unread(at, &mut line.pending, CLIENT, acked);
        }
        let calls = line.calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].findings.contains(Finding::LateAnswer));
        assert_eq!(calls[0].packets.1, 3, "the answer is the last packet of the call");
        (calls[0].outcome.carrier, calls[0].outcome.initiator)
    };
    let unread = (Carrier::TcpFin, Some(Initiator::Client));
    let read = (Carrier::GrpcStatus, None);
    assert_eq!(late(Some(1000), End::Rst, Some(CLIENT)), unread);
    assert_eq!(late(Some(1001), End::Rst, Some(CLIENT)), read);
    // The callee closed too before the RST came.
    assert_eq!(late(Some(1000), End::Fin, None), unread);
    assert_eq!(late(None, End::Fin, None), read);
    assert_eq!(late(None, End::Rst, Some(SERVER)), read);
}

#[test]
fn a_datagram_that_was_overtaken_by_its_answer_completes_it() {
    let mut line = Line::new();
    line.flow.key.network = Network::Udp;
    line.say(SERVER, failure(1, "a", 6));
    line.say(CLIENT, request(1, "a"));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("a", Some(Class::Rpc), Some(6))]);
    assert!(calls[0].findings.is_empty());
    assert_eq!((calls[0].request_messages, calls[0].response_messages), (1, 1));
}
