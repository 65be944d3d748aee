//! Messages of streams that nothing else says who called, or that belong to no call any more.

use super::*;

#[test]
fn messages_alone_are_a_call_of_whom_the_ports_name() {
    for opener in [None, Some(SERVER)] {
        let mut line = Line::new();
        line.flow.from_start = [false, false];
        line.flow.opener = opener;
        let callee = if opener.is_some() { CLIENT } else { SERVER };
        // The line's server has the lower port.
        assert_eq!(line.flow.likely_client(), callee.other());
        line.say(
            callee,
            Event::Part(Part { unplaced: true, ..Part::new(Head { bytes: 40, ..stream(3) }, 2) }),
        );
        let calls = line.calls();
        let [call] = &*calls else { panic!("{calls:?}") };
        assert_eq!((call.response_messages, call.request_messages, call.latency), (2, 0, None));
        assert!(call.findings.contains(Finding::MidStream));
    }
    // Others say nothing as long as nobody is known to call.
    let mut line = Line::new();
    line.flow.from_start = [false, false];
    line.say(SERVER, part(3, 2, 40));
    assert_eq!(line.calls().len(), 0);
}

#[test]
fn a_message_without_a_number_opens_no_call() {
    let of = |bytes| Head { bytes, ..Head::new(Rpc::GrpcWeb, Transport::Http1, CallId::Order) };
    let mut line = Line::new();
    line.lose(CLIENT, Finding::Gap);
    line.say(
        CLIENT,
        Event::Request(Request {
            head: of(40),
            oneway: false,
            names: Names::default(),
            timeout: None,
            traced: false,
            headers: None,
        }),
    );
    line.say(SERVER, answered(of(20), Names::default(), Status::Missing));
    line.say(CLIENT, Event::Part(Part::new(of(9), 1)));
    assert_eq!(line.calls().len(), 1);
}
