//! Deduplication of calls that captures at both ends show.

use super::*;
use crate::calls::record::{Carrier, Class, Finding};
use crate::calls::sample::{failed, ok};

const MS: i64 = 1_000_000;

/// A call as `capture_point` shows it: its request is the `n`th of the connection, `at` milliseconds after the first, and its answer
/// comes `took` milliseconds later.
fn view(capture_point: u8, n: u32, at: i64, took: i64) -> Box<Call> {
    let mut call = ok();
    call.capture_point = CapturePoint(capture_point);
    call.start = Timestamp(call.start.0 + at * MS);
    call.end = Timestamp(call.start.0 + took * MS);
    call.latency = Some((took * MS) as u64);
    call.duration = call.latency;
    call.uid.packet = u64::from(capture_point) * 1000 + u64::from(n);
    call.decided = call.end.0 as u64;
    call.positions = [Some(n * 100), Some(n * 50)];
    call.id = Some(i64::from(n));
    Box::new(call)
}

/// The same without an answer.
fn broken(class: Class, carrier: Carrier, capture_point: u8, at: i64, took: i64) -> Box<Call> {
    let whole = view(capture_point, 1, at, took);
    let mut call = failed(class, carrier, None, "");
    call.uid = whole.uid;
    call.start = whole.start;
    call.end = whole.end;
    call.latency = None;
    call.duration = None;
    call.capture_point = whole.capture_point;
    call.positions = [whole.positions[0], None];
    Box::new(call)
}

fn lossy(mut call: Box<Call>, how: Finding) -> Box<Call> {
    call.findings.insert(how);
    call
}

fn joined(views: impl IntoIterator<Item = Box<Call>>) -> Call {
    *join(views.into_iter().collect()).unwrap()
}

/// The output for calls in this order.
fn emitted(calls: impl IntoIterator<Item = Box<Call>>) -> Vec<Call> {
    let mut dedup: Dedup<()> = Dedup::default();
    let mut out = Vec::new();
    let mut emit = |item| match item {
        Item::Call(call) => out.push(*call),
        Item::Passenger(()) => {}
    };
    for call in calls {
        dedup.call(call, &mut emit);
    }
    dedup.finish(&mut emit);
    out
}

#[test]
fn the_record_is_the_callers_with_the_time_of_the_network() {
    for views in [[view(1, 1, 0, 10), view(2, 1, 2, 7)], [view(2, 1, 2, 7), view(1, 1, 0, 10)]] {
        let call = joined(views);
        assert_eq!(
            (call.capture_point, call.latency, call.network_time()),
            (CapturePoint(1), Some(10_000_000), Some(3_000_000))
        );
        let callee_view = call.callee_view.unwrap();
        assert_eq!(
            (callee_view.seen, callee_view.latency, callee_view.start - call.start),
            (2, Some(7_000_000), 2 * MS)
        );
        assert!(call.findings.is_empty());
    }
    // The latency distinguishes the ends, whatever the clocks show.
    assert_eq!(joined([view(1, 1, 5, 7), view(2, 1, 0, 10)]).capture_point, CapturePoint(2));
    let three = joined([view(3, 1, 3, 4), view(2, 1, 1, 8), view(1, 1, 0, 10)]);
    assert_eq!(
        (three.capture_point, three.network_time(), three.callee_view.unwrap().seen),
        (CapturePoint(1), Some(6_000_000), 3)
    );
}

#[test]
fn a_capture_with_missing_packets_yields_to_a_complete_one() {
    let mut cut = lossy(view(1, 1, 0, 10), Finding::Gap);
    cut.outcome.class = None;
    cut.method = None;
    let call = joined([cut, view(2, 1, 2, 7)]);
    assert_eq!((call.class(), call.method.as_deref()), (Some(Class::Ok), Some("PlaceOrder")));
    assert_eq!(
        (call.latency, call.network_time()),
        (Some(10_000_000), Some(3_000_000)),
        "times of the caller"
    );
    assert!(call.findings.is_empty(), "together the two are complete");
    // The request was not captured at the caller: only the callee's times are known.
    let mut late = lossy(view(1, 1, 9, 0), Finding::MidStream);
    late.positions[0] = None;
    late.latency = None;
    let call = joined([late, view(2, 1, 2, 7)]);
    assert_eq!((call.latency, call.network_time()), (Some(7_000_000), None));
    assert_eq!(call.callee_view.unwrap().seen, 2);
    // A status that one capture shows and another only lets conclude was read.
    let deduced = lossy(view(1, 1, 0, 10), Finding::StatusDeduced);
    for other in [view(2, 1, 2, 7), lossy(view(2, 1, 2, 7), Finding::Gap)] {
        assert!(!joined([deduced.clone(), other]).findings.contains(Finding::StatusDeduced));
    }
    // The request in one capture, the answer in the other: the call began with the request.
    let request = lossy(broken(Class::Unanswered, Carrier::None, 1, 0, 90), Finding::Gap);
    let mut answer = lossy(view(2, 1, 7, 0), Finding::Gap);
    (answer.positions[0], answer.latency) = (None, None);
    let call = joined([request.clone(), answer]);
    assert_eq!((call.class(), call.start, call.latency), (Some(Class::Ok), request.start, None));
    // Both have missing packets: the record has what either shows, and the finding.
    let mut nameless = lossy(view(1, 1, 0, 10), Finding::Gap);
    nameless.method = None;
    let unknown = lossy(broken(Class::Unanswered, Carrier::None, 2, 2, 90), Finding::Gap);
    let call = joined([nameless, unknown]);
    assert_eq!((call.class(), call.method.as_deref()), (Some(Class::Ok), Some("PlaceOrder")));
    assert!(call.findings.contains(Finding::Gap));
}

#[test]
fn an_answer_that_only_the_callees_end_shows() {
    // The connection broke at the caller: it never got the answer.
    let call = joined([broken(Class::Transport, Carrier::TcpRst, 1, 0, 50), view(2, 1, 2, 70)]);
    assert_eq!((call.class(), call.outcome.carrier), (Some(Class::Transport), Carrier::TcpRst));
    assert!(call.findings.contains(Finding::AnswerLost));
    assert_eq!((call.latency, call.network_time()), (None, None));
    assert_eq!(call.callee_view.as_ref().and_then(|callee_view| callee_view.latency), Some(70_000_000));
    // The capture at the caller ended before the answer: TCP still delivers it.
    let call = joined([broken(Class::Unanswered, Carrier::None, 1, 0, 50), view(2, 1, 2, 70)]);
    assert_eq!(call.class(), Some(Class::Ok));
    assert!(!call.findings.contains(Finding::AnswerLost));
    // A datagram that is lost stays lost.
    let datagram = |mut call: Box<Call>| {
        call.network = Network::Udp;
        call.positions = [None; 2];
        call
    };
    let lost = [broken(Class::Unanswered, Carrier::None, 1, 0, 50), view(2, 1, 2, 70)].map(datagram);
    let call = joined(lost);
    assert_eq!(call.class(), Some(Class::Unanswered));
    assert!(call.findings.contains(Finding::AnswerLost));
    // Packets that the capture at the caller misses prove nothing.
    let hole = lossy(broken(Class::Transport, Carrier::TcpFin, 1, 0, 50), Finding::Gap);
    let call = joined([hole, view(2, 1, 2, 70)]);
    assert_eq!(call.class(), Some(Class::Ok));
    assert!(call.findings.is_empty());
    // Nor does an answer that may stand in what either capture misses.
    let unknown = |capture_point| {
        let mut call = lossy(broken(Class::Transport, Carrier::None, capture_point, 0, 50), Finding::Gap);
        call.outcome.class = None;
        call
    };
    let broken = |capture_point| broken(Class::Transport, Carrier::TcpFin, capture_point, 0, 50);
    for views in [[broken(1), unknown(2)], [unknown(1), broken(2)]] {
        let call = joined(views);
        assert_eq!(call.class(), Some(Class::Transport));
        assert!(call.findings.is_empty());
    }
}

/// The caller broke a stream off, of whose answer one capture lacks a packet.
#[test]
fn what_one_capture_lacks_of_a_stream_is_no_answer() {
    let transports = [
        (rpcscope_parsers::Rpc::Grpc, Transport::Http2),
        (rpcscope_parsers::Rpc::Ttstream, Transport::TtHeader),
        (rpcscope_parsers::Rpc::TrpcHttp, Transport::Http1),
    ];
    for (rpc, transport) in transports {
        let views = |whole_at: u8, took: [i64; 2]| {
            let mut whole = broken(Class::Transport, Carrier::H2RstStream, whole_at, 0, 100);
            let mut holed = lossy(view(3 - whole_at, 1, 0, took[1]), Finding::Gap);
            holed.outcome.class = None;
            whole.latency = Some((took[0] * MS) as u64);
            whole.positions = holed.positions;
            for view in [&mut whole, &mut holed] {
                (view.rpc, view.transport) = (rpc, transport);
            }
            [whole, holed]
        };
        let said = |views: [Box<Call>; 2]| {
            let call = joined(views);
            (
                call.class(),
                call.outcome.carrier,
                call.latency,
                call.duration,
                call.findings.iter().collect::<Vec<_>>(),
            )
        };
        // Whichever is the caller's, and in whichever order they come; the holed one may seem nearer to the caller.
        for took in [[5, 5], [5, 6], [6, 5]] {
            let latency = took.iter().max().map(|took| (took * MS) as u64);
            let expected = (Some(Class::Transport), Carrier::H2RstStream, latency, None, vec![]);
            for whole_at in [1, 2] {
                let [whole, holed] = views(whole_at, took);
                assert_eq!(said([whole.clone(), holed.clone()]), expected, "{rpc:?} {took:?} {whole_at}");
                assert_eq!(said([holed, whole]), expected, "{rpc:?} {took:?} {whole_at}");
            }
        }
    }
}

/// One capture lacks the packet with the head of an HTTP request, whose body looks like a request without a transport.
#[test]
fn a_body_without_its_http_head_is_a_copy_of_the_whole_request() {
    let whole = || {
        let mut call = view(1, 1, 0, 10);
        (call.rpc, call.transport, call.id) = (Rpc::Thrift, Transport::Http1, None);
        (call.positions, call.request_bytes) = ([Some(u32::MAX - 50), Some(700)], 100);
        call
    };
    let body = |at: u32, bytes| {
        let mut call = lossy(view(2, 1, 1, 9), Finding::Gap);
        (call.rpc, call.transport) = (Rpc::Thrift, Transport::Buffered);
        (call.positions, call.request_bytes) = ([Some(at), Some(750)], bytes);
        call
    };
    for calls in [[whole(), body(19, 30)], [body(19, 30), whole()]] {
        let all = emitted(calls);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].transport, all[0].findings.is_empty()), (Transport::Http1, true));
    }
    assert_eq!(emitted([whole(), body(20, 30)]).len(), 2, "it ends elsewhere");
    let mut certain = body(19, 30);
    certain.findings.remove(Finding::Gap);
    assert_eq!(emitted([whole(), certain]).len(), 2, "nothing is missing before it");
}

#[test]
fn an_answer_that_only_the_callers_end_shows_was_sent() {
    let call = joined([view(1, 1, 0, 10), broken(Class::Unanswered, Carrier::None, 2, 2, 5)]);
    assert_eq!((call.class(), call.latency, call.network_time()), (Some(Class::Ok), Some(10_000_000), None));
    assert!(call.findings.is_empty());
}

#[test]
fn copies_are_joined_in_the_order_of_their_ends() {
    let all = emitted([
        view(2, 1, 2, 7),
        view(1, 1, 0, 10),
        view(2, 3, 12, 10),
        view(2, 2, 12, 20),
        view(1, 3, 10, 13),
        view(1, 2, 11, 22),
    ]);
    let ids: Vec<_> = all
        .iter()
        .map(|call| (call.id, call.callee_view.as_ref().map(|callee_view| callee_view.seen)))
        .collect();
    assert_eq!(ids, [(Some(1), Some(2)), (Some(3), Some(2)), (Some(2), Some(2))]);
    assert!(all.is_sorted_by_key(|call| call.decided));
}

#[test]
fn similar_calls_stay_separate() {
    // One capture shows a call once; different calls differ in their numbers, or in their ends.
    let mut other = view(2, 1, 0, 10);
    other.client.port += 1;
    assert_eq!(emitted([view(1, 1, 0, 10), view(1, 1, 0, 10), view(2, 2, 0, 10), other]).len(), 4);
    // The same numbers much later.
    assert_eq!(emitted([view(1, 1, 0, 10), view(2, 1, 90_000, 10)]).len(), 2);
    // Captures without a known capture point.
    assert_eq!(emitted([view(0, 1, 0, 10), view(0, 1, 0, 10)]).len(), 2);
    // A stream without its beginning is recognised by its number, unless the beginning contradicts.
    let stream = |capture_point, start: Option<u32>| {
        let mut call = view(capture_point, 1, 0, 10);
        call.rpc = rpcscope_parsers::Rpc::Grpc;
        call.positions = [start, Some(u32::from(capture_point))];
        call
    };
    let half = |capture_point, id, request: bool| {
        let mut call = view(capture_point, id, 0, 10);
        call.id = Some(i64::from(id));
        call.positions[usize::from(request)] = None;
        call
    };
    assert_eq!(
        emitted([half(1, 7, true), half(2, 7, false)]).len(),
        1,
        "the request in one, the answer in the other"
    );
    assert_eq!(emitted([half(1, 7, true), half(2, 8, false)]).len(), 2);
    assert_eq!(emitted([half(1, 0, true), half(2, 0, false)]).len(), 2, "0 is not a number");
    assert_eq!(emitted([stream(1, Some(1)), stream(2, None)]).len(), 1);
    assert_eq!(emitted([stream(1, Some(1)), stream(2, Some(2))]).len(), 2);
}

#[test]
fn a_call_waits_for_its_copies_but_not_for_ever() {
    let mut dedup: Dedup<u8> = Dedup::default();
    let mut out = Vec::new();
    let mut step = |call: Option<Box<Call>>, out: &mut Vec<Option<i64>>| {
        let mut emit = |item| {
            out.push(match item {
                Item::Call(call) => call.id,
                Item::Passenger(_) => None,
            });
        };
        match call {
            Some(call) => dedup.call(call, &mut emit),
            None => dedup.passenger(7, &mut emit),
        }
    };
    step(Some(view(1, 1, 0, 10)), &mut out);
    step(None, &mut out);
    step(Some(view(0, 2, 1_000, 10)), &mut out);
    assert_eq!(out, [], "later items stay behind it");
    step(Some(view(1, 3, 31_000, 10)), &mut out);
    assert_eq!(out, [Some(1), None, Some(2)]);
    step(Some(view(2, 1, 2, 31_500)), &mut out);
    step(Some(view(2, 3, 31_000, 10)), &mut out);
    assert_eq!(out, [Some(1), None, Some(2), Some(3)], "a late copy is not another call");
}

#[test]
fn memory_is_bounded() {
    let mut dedup: Dedup<()> = Dedup::default();
    let mut out = 0;
    for n in 0..2 * MAX_HELD as u32 {
        let mut call = view(1, n, 0, 10);
        call.client.port = n as u16;
        dedup.call(call, &mut |_| out += 1);
        assert!(dedup.pending <= MAX_HELD && dedup.queue.len() <= MAX_HELD);
    }
    assert_eq!(out, MAX_HELD);
    dedup.finish(&mut |_| out += 1);
    assert_eq!((out, dedup.numbers.len(), dedup.pending), (2 * MAX_HELD, 0, 0));
    assert!(dedup.emitted.len() <= MAX_EMITTED && dedup.emitted_order.len() <= MAX_EMITTED);
}
