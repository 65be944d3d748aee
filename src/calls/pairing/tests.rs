//! Pairing, driven message by message over an imagined connection.

use std::borrow::Cow;

use rpcscope_parsers::message::{Exception, GrpcStatus, Quoted, Reset, ResultField};
use rpcscope_parsers::{CallId, Kind, Message, Side, Status};

use super::*;
use crate::calls::Carrier;
use crate::decode::{Endpoint, FlowKey, Network};
use crate::source::CapturePoint;
use crate::time::Timestamp;

const CLIENT: Side = Side::A;
const SERVER: Side = Side::B;

/// A connection and what it has told so far; every step is a packet, a millisecond later.
struct Line {
    flow: Flow,
    matcher: Matcher,
    pending: PendingCalls,
}

impl Line {
    fn new() -> Self {
        let end = |last, port| Endpoint { ip: std::net::Ipv4Addr::new(10, 0, 0, last).into(), port };
        let key = FlowKey {
            a: end(1, 40_000),
            b: end(2, 80),
            network: Network::Tcp,
            capture_point: CapturePoint::default(),
        };
        Self {
            flow: Flow {
                key,
                first: Stamp::default(),
                last: Stamp::default(),
                opener: Some(CLIENT),
                from_start: [true, true],
                segments: [0, 0],
                bytes: [0, 0],
                position: [0, 0],
                retransmissions: 0,
                gaps: 0,
                skipped: [false; 2],
                ended: [None, None],
                reset_by: None,
            },
            matcher: Matcher::new(false),
            pending: PendingCalls::default(),
        }
    }

    fn pass(&mut self, milliseconds: i64) {
        let last = self.flow.last;
        self.flow.last =
            Stamp { packet: last.packet + 1, time: Timestamp(last.time.0 + milliseconds * 1_000_000) };
    }

    fn say(&mut self, side: Side, message: Message<'_>) {
        self.pass(1);
        let now = self.flow.last;
        let message = Message { rpc: if message.rpc.is_empty() { "thrift" } else { message.rpc }, ..message };
        self.matcher.message(
            At { flow: &self.flow, now, origin: now, position: None },
            &mut self.pending,
            side,
            &message,
        );
    }

    fn end(&mut self, side: Side, end: End) {
        self.pass(1);
        let now = self.flow.last;
        self.matcher.end(
            At { flow: &self.flow, now, origin: now, position: None },
            &mut self.pending,
            side,
            end,
        );
    }

    /// All calls, those that still wait given up as if the capture ended.
    fn calls(mut self) -> Vec<Call> {
        for side in [CLIENT, SERVER] {
            self.end(side, End::Idle);
        }
        let mut calls = Vec::new();
        self.matcher.release(None, |call| calls.push(*call));
        calls
    }
}

fn request(id: i64, method: &'static str) -> Message<'static> {
    Message {
        kind: Kind::Request,
        id: CallId::Loose(id),
        method: Some(Cow::Borrowed(method.as_bytes())),
        ..Message::default()
    }
}

fn answer(id: i64) -> Message<'static> {
    let status = Status { result: Some(ResultField::Success), ..Status::default() };
    Message { kind: Kind::Answer, id: CallId::Loose(id), status, ..Message::default() }
}

fn failure(id: i64, code: i32) -> Message<'static> {
    let exception = Exception { type_id: code, message: Cow::Borrowed(b"no") };
    Message { status: Status { exception: Some(exception), ..Status::default() }, ..answer(id) }
}

/// Method, class and code of each call.
fn told(calls: &[Call]) -> Vec<(&str, Option<Class>, Option<i64>)> {
    calls
        .iter()
        .map(|call| (call.method.as_deref().unwrap_or("?"), call.class(), call.verdict.code))
        .collect()
}

#[test]
fn answers_find_their_requests_by_number_in_any_order() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.say(CLIENT, request(2, "b"));
    line.say(SERVER, failure(2, 6));
    line.say(SERVER, answer(1));
    let calls = line.calls();
    assert_eq!(told(&calls), [("b", Some(Class::Rpc), Some(6)), ("a", Some(Class::Ok), None)]);
    assert_eq!(calls[0].latency, Some(1_000_000));
    assert_eq!(calls[1].latency, Some(3_000_000));
}

#[test]
fn equal_numbers_pair_in_order() {
    let mut line = Line::new();
    line.say(CLIENT, request(0, "a"));
    line.say(CLIENT, request(0, "b"));
    line.say(SERVER, failure(0, 6));
    line.say(SERVER, answer(0));
    assert_eq!(told(&line.calls()), [("a", Some(Class::Rpc), Some(6)), ("b", Some(Class::Ok), None)]);
}

#[test]
fn a_wrong_number_pairs_only_where_nothing_else_can_be_meant() {
    let mut line = Line::new();
    line.say(CLIENT, request(7, "a"));
    line.say(SERVER, answer(107));
    assert_eq!(told(&line.calls()), [("a", Some(Class::Ok), None)]);

    let mut line = Line::new();
    line.say(CLIENT, request(7, "a"));
    line.say(CLIENT, request(8, "b"));
    line.say(SERVER, failure(107, 6));
    let unanswered = Some(Class::Unanswered);
    assert_eq!(told(&line.calls()), [("a", unanswered, None), ("b", unanswered, None)]);

    // With a hole in the requests the answer may belong to one that was lost.
    let mut line = Line::new();
    line.pending.lose(CLIENT, Finding::Gap);
    line.say(CLIENT, request(8, "b"));
    line.say(SERVER, failure(7, 6));
    let calls = line.calls();
    assert_eq!(told(&calls), [("?", Some(Class::Rpc), Some(6)), ("b", unanswered, None)]);
    assert!(calls[0].findings.contains(Finding::Gap));
}

#[test]
fn an_answer_without_a_request_is_a_call_only_where_requests_may_be_missing() {
    let mut line = Line::new();
    line.say(SERVER, failure(1, 6));
    assert!(line.calls().is_empty());

    let mut line = Line::new();
    line.flow.from_start = [false, false];
    line.say(SERVER, failure(1, 6));
    let calls = line.calls();
    assert_eq!(told(&calls), [("?", Some(Class::Rpc), Some(6))]);
    assert!(calls[0].findings.contains(Finding::MidStream));
    assert_eq!(calls[0].latency, None);
}

#[test]
fn a_second_answer_is_a_finding_and_no_call() {
    let mut line = Line::new();
    line.flow.from_start = [false, false];
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, answer(1));
    line.say(SERVER, failure(1, 6));
    let calls = line.calls();
    assert_eq!(told(&calls), [("a", Some(Class::Ok), None)]);
    assert!(calls[0].findings.contains(Finding::DuplicateAnswer));
}

#[test]
fn a_one_way_call_stays_one_way_when_it_is_answered() {
    let mut line = Line::new();
    line.say(CLIENT, Message { kind: Kind::Oneway, ..request(1, "a") });
    line.say(SERVER, failure(1, 6));
    let calls = line.calls();
    assert_eq!(told(&calls), [("a", Some(Class::Oneway), None)]);
    assert!(calls[0].findings.contains(Finding::OnewayAnswered));
}

#[test]
fn the_callers_fin_is_half_a_close() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.end(CLIENT, End::Fin);
    line.say(SERVER, answer(1));
    let calls = line.calls();
    assert_eq!(told(&calls), [("a", Some(Class::Ok), None)]);
    assert!(calls[0].findings.contains(Finding::LateAnswer));

    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    assert_eq!(told(&calls), [("a", Some(Class::Transport), None)]);
    assert_eq!(calls[0].verdict.initiator, Some(Initiator::Client));
}

#[test]
fn the_callees_end_decides_what_still_waits() {
    for (end, carrier) in [(End::Fin, Carrier::TcpFin), (End::Rst, Carrier::TcpRst)] {
        let mut line = Line::new();
        line.say(CLIENT, request(1, "a"));
        line.say(CLIENT, request(2, "b"));
        line.say(SERVER, answer(1));
        line.end(SERVER, end);
        let calls = line.calls();
        assert_eq!(told(&calls), [("a", Some(Class::Ok), None), ("b", Some(Class::Transport), None)]);
        assert_eq!(calls[1].verdict.carrier, carrier);
        assert_eq!(calls[1].verdict.initiator, Some(Initiator::Server));
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, Message { more: true, bytes: 5000, ..answer(1) });
    line.end(SERVER, End::Rst);
    assert_eq!(told(&line.calls()), [("a", Some(Class::Transport), None)]);

    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, Message { more: true, bytes: 5000, ..answer(1) });
    line.pass(4);
    line.say(
        SERVER,
        Message { kind: Kind::Complete, id: CallId::Loose(1), bytes: 5000, ..Message::default() },
    );
    let calls = line.calls();
    assert_eq!(told(&calls), [("a", Some(Class::Ok), None)]);
    assert_eq!((calls[0].latency, calls[0].duration), (Some(1_000_000), Some(6_000_000)));
    assert_eq!(calls[0].response_bytes, 5000);
}

fn stream(kind: Kind, id: i64) -> Message<'static> {
    Message { kind, id: CallId::Stream(id), rpc: "grpc", ..Message::default() }
}

fn goaway(code: i64, last: i64) -> Message<'static> {
    let reset = Reset { code: Some(code), ..Reset::default() };
    let status = Status { reset: Some(reset), last_stream: Some(last), ..Status::default() };
    Message { status, ..stream(Kind::GoAway, 0) }
}

#[test]
fn goaway_ends_the_streams_it_leaves_out_and_no_others() {
    let mut line = Line::new();
    line.say(CLIENT, stream(Kind::Open, 1));
    line.say(CLIENT, stream(Kind::Open, 3));
    line.say(SERVER, goaway(0, 1));
    line.end(SERVER, End::Fin);
    let carriers: Vec<_> = line.calls().iter().map(|call| (call.id, call.verdict.carrier)).collect();
    assert_eq!(carriers, [(Some(3), Carrier::H2Goaway), (Some(1), Carrier::TcpFin)]);

    let mut line = Line::new();
    line.say(CLIENT, stream(Kind::Open, 1));
    line.say(SERVER, goaway(2, 1));
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    assert_eq!((calls[0].verdict.carrier, calls[0].verdict.code), (Carrier::H2Goaway, Some(2)));
}

#[test]
fn streams_count_their_messages_and_tell_their_kind_by_them() {
    for (sent, received, kind) in [
        (1, 1, CallKind::Unary),
        (3, 1, CallKind::ClientStream),
        (1, 3, CallKind::ServerStream),
        (3, 3, CallKind::BidiStream),
    ] {
        let mut line = Line::new();
        line.say(CLIENT, stream(Kind::Open, 1));
        for _ in 0..sent {
            line.say(CLIENT, Message { messages: 1, bytes: 10, ..stream(Kind::Part, 1) });
        }
        for _ in 0..received {
            line.say(SERVER, Message { messages: 1, bytes: 20, ..stream(Kind::Part, 1) });
        }
        let status =
            Status { grpc: Some(rpcscope_parsers::message::GrpcStatus::Code(0)), ..Status::default() };
        line.say(SERVER, Message { status, ..stream(Kind::Answer, 1) });
        line.say(CLIENT, stream(Kind::Reset, 1));
        let calls = line.calls();
        assert_eq!(calls.len(), 1, "what follows the end is noise");
        assert_eq!(calls[0].kind, kind);
        assert_eq!((calls[0].request_messages, calls[0].response_messages), (sent, received));
        assert_eq!(
            (calls[0].request_bytes, calls[0].response_bytes),
            (u64::from(sent) * 10, u64::from(received) * 20)
        );
        assert_eq!(calls[0].class(), Some(Class::Ok));
    }
}

#[test]
fn calls_that_wait_are_bounded() {
    let mut line = Line::new();
    for id in 0..=MAX_PENDING as i64 {
        line.say(CLIENT, request(id, "a"));
    }
    assert_eq!(line.pending.count, MAX_PENDING);
    assert_eq!(line.matcher.shed, 1);
    assert_eq!(line.calls().len(), MAX_PENDING + 1);
}

#[test]
fn a_call_on_a_living_connection_is_given_up_in_the_end() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.pass(601_000);
    line.say(CLIENT, request(2, "b"));
    assert_eq!(line.pending.count, 1);
    assert_eq!(told(&line.calls())[0], ("a", Some(Class::Unanswered), None));
}

#[test]
fn uids_are_unique_within_a_packet() {
    let mut line = Line::new();
    line.pass(1);
    let now = line.flow.last;
    for id in 0..3 {
        let message = Message { rpc: "thrift", ..request(id, "a") };
        line.matcher.message(
            At { flow: &line.flow, now, origin: now, position: None },
            &mut line.pending,
            CLIENT,
            &message,
        );
    }
    let uids: Vec<_> = line.calls().iter().map(|call| call.uid.to_string()).collect();
    assert_eq!(uids, ["1", "1.1", "1.2"]);
}

#[test]
fn unknown_names_of_different_connections_are_different() {
    let group = |first: u64| {
        let mut line = Line::new();
        line.flow.first.packet = first;
        for id in [1, 3] {
            let open = Message {
                kind: Kind::Open,
                id: CallId::Stream(id),
                rpc: "grpc",
                unknown_name: Some(1),
                ..Message::default()
            };
            line.say(CLIENT, open);
        }
        line.calls().iter().map(|call| call.unknown_name.unwrap()).collect::<Vec<_>>()
    };
    let [one, other] = [group(1), group(2)];
    assert_eq!(one[0], one[1]);
    assert_ne!(one, other);
}

fn unnamed(id: i64) -> Message<'static> {
    Message { unknown_name: Some(1), ..stream(Kind::Open, id) }
}

/// The answer of a server that knows no such method.
fn refusal(id: i64, method: &'static str) -> Message<'static> {
    let status = Status { grpc: Some(GrpcStatus::Code(12)), ..Status::default() };
    let quoted = Quoted { service: Some("S".as_bytes().into()), method: Some(method.as_bytes().into()) };
    Message { status, quoted: Some(quoted), ..stream(Kind::Answer, id) }
}

fn served(id: i64) -> Message<'static> {
    let status = Status { grpc: Some(GrpcStatus::Code(0)), ..Status::default() };
    Message { status, ..stream(Kind::Answer, id) }
}

/// Number, method and whether that is from the text of an answer.
fn names(line: Line) -> Vec<(Option<i64>, Option<String>, bool)> {
    let mut calls = line.calls();
    calls.sort_by_key(|call| call.id);
    let quoted = |call: &Call| call.findings.contains(Finding::NameFromAnswer);
    calls.iter().map(|call| (call.id, call.method.as_deref().map(Into::into), quoted(call))).collect()
}

#[test]
fn an_answer_that_quotes_the_name_names_its_group() {
    let mut line = Line::new();
    for id in [1, 3, 5] {
        line.say(CLIENT, unnamed(id));
    }
    line.say(CLIENT, Message { unknown_name: Some(2), ..stream(Kind::Open, 7) });
    line.say(SERVER, stream(Kind::Reset, 1));
    line.say(SERVER, refusal(3, "Gone"));
    line.say(CLIENT, unnamed(9));
    let gone = |id| (Some(id), Some("Gone".into()), true);
    assert_eq!(names(line), [gone(1), gone(3), gone(5), (Some(7), None, false), gone(9)]);
}

#[test]
fn a_group_that_is_served_is_not_the_one_that_an_answer_says_there_is_not() {
    let mut line = Line::new();
    for id in [1, 3, 5] {
        line.say(CLIENT, unnamed(id));
    }
    line.say(SERVER, served(1));
    line.say(SERVER, refusal(3, "Below"));
    assert_eq!(names(line), [(Some(1), None, false), (Some(3), None, false), (Some(5), None, false)]);

    // Later proof takes the name away from all that are still here.
    let mut line = Line::new();
    for id in [1, 3, 5] {
        line.say(CLIENT, unnamed(id));
    }
    line.say(SERVER, refusal(3, "Below"));
    line.say(SERVER, served(1));
    line.say(SERVER, refusal(5, "Below"));
    assert_eq!(names(line), [(Some(1), None, false), (Some(3), None, false), (Some(5), None, false)]);

    // So does an answer that quotes something else.
    let mut line = Line::new();
    for id in [1, 3, 5] {
        line.say(CLIENT, unnamed(id));
    }
    line.say(SERVER, refusal(3, "One"));
    line.say(SERVER, refusal(1, "Other"));
    line.say(SERVER, refusal(5, "One"));
    assert_eq!(names(line), [(Some(1), None, false), (Some(3), None, false), (Some(5), None, false)]);
}

#[test]
fn a_request_that_says_its_method_names_its_group() {
    let mut line = Line::new();
    line.say(CLIENT, unnamed(1));
    line.say(CLIENT, Message { method: Some("Get".as_bytes().into()), ..unnamed(3) });
    line.say(CLIENT, unnamed(5));
    line.say(SERVER, served(1));
    line.say(SERVER, refusal(5, "Below"));
    let get = |id| (Some(id), Some("Get".into()), false);
    assert_eq!(names(line), [get(1), get(3), get(5)]);
}

#[test]
fn a_name_that_the_request_has_stays_whatever_the_answer_quotes() {
    let mut line = Line::new();
    line.say(CLIENT, Message { method: Some("Get".as_bytes().into()), ..stream(Kind::Open, 1) });
    line.say(SERVER, refusal(1, "Below"));
    assert_eq!(names(line), [(Some(1), Some("Get".into()), false)]);
}

#[test]
fn a_gap_that_may_hold_the_answer_leaves_no_verdict() {
    let open = |id| Message { kind: Kind::Open, id: CallId::Stream(id), rpc: "grpc", ..Message::default() };
    let mut line = Line::new();
    line.say(CLIENT, open(1));
    line.pending.lose(SERVER, Finding::Gap);
    let status = Status { cut: true, ..Status::default() };
    line.say(
        SERVER,
        Message { kind: Kind::Part, id: CallId::Stream(1), status, truncated: true, ..Message::default() },
    );
    line.say(CLIENT, open(3));
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    assert_eq!(calls[0].class(), None);
    assert_eq!(calls[0].latency, None);
    assert!(calls[0].findings.contains(Finding::Gap));
    assert_eq!(calls[1].class(), Some(Class::Transport), "it began after the gap");
}
