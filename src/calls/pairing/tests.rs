//! Pairing, driven event by event over an imagined connection.

mod foreign;
mod http_errors;
mod late;
mod loose;
mod parts;

use rpcscope_parsers::event::{
    Codes, Complete, Exception, Foreign, GoAway, GrpcCode, GrpcStatus, Names, Quoted, Reply, Reset,
    ResultField, Text, ThriftStatus,
};
use rpcscope_parsers::{CallId, Event, Side, Status, Transport};

use super::*;
use crate::calls::{Carrier, Class, Initiator};
use crate::decode::{Endpoint, FlowKey, Network};
use crate::flow::End;
use crate::source::CapturePoint;
use crate::time::Timestamp;

const CLIENT: Side = Side::A;
const SERVER: Side = Side::B;

/// A connection and its calls so far; every step is a packet, a millisecond later.
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
                first_by: Side::A,
                opener: Some(CLIENT),
                from_start: [true, true],
                overtaken: None,
                segments: [1, 1],
                bytes: [1, 1],
                origins: Default::default(),
                retransmissions: 0,
                gaps: 0,
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

    #[allow(clippy::large_types_passed_by_value, reason = "every test makes its events in place")]
    fn say(&mut self, side: Side, event: Event<'_>) {
        self.pass(1);
        let now = self.flow.last;
        self.matcher.event(
            At { flow: &self.flow, now, origin: now, position: None },
            &mut self.pending,
            side,
            &event,
        );
    }

    /// Bytes of a side were lost; the first ones behind them are in this packet.
    fn lose(&mut self, side: Side, how: Finding) {
        self.pending.lose(side, how, self.flow.last.packet);
    }

    /// The same event, which was captured in an earlier packet and held back since.
    fn say_late(&mut self, side: Side, event: &Event<'_>, captured: Stamp) {
        let at = At { flow: &self.flow, now: self.flow.last, origin: captured, position: None };
        self.matcher.event(at, &mut self.pending, side, event);
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

fn head(id: i64) -> Head {
    Head::new(Rpc::Thrift, Transport::Framed, CallId::Loose(id))
}

fn named(method: &'static str) -> Names<'static> {
    Names { method: Some(Text::Plain(method.as_bytes())), ..Names::default() }
}

fn request(id: i64, method: &'static str) -> Event<'static> {
    let (head, names) = (head(id), named(method));
    Event::Request(Request { head, oneway: false, names, timeout: None, traced: true, headers: None })
}

fn oneway(id: i64, method: &'static str) -> Event<'static> {
    let (head, names) = (head(id), named(method));
    Event::Request(Request { head, oneway: true, names, timeout: None, traced: true, headers: None })
}

/// The event with another head.
fn with(mut event: Event<'_>, change: impl Fn(&mut Head)) -> Event<'_> {
    change(event.head_mut().unwrap());
    event
}

fn answered(head: Head, names: Names<'static>, status: Status<'static>) -> Event<'static> {
    Event::Answer(Answer { head, names, quoted: None, status, body: false, oneway: false, headers: None })
}

fn replied(id: i64, method: &'static str, reply: Reply<'static>) -> Event<'static> {
    answered(
        head(id),
        named(method),
        Status::Thrift(ThriftStatus { biz: None, reply, http: None, cut: false }),
    )
}

fn answer(id: i64, method: &'static str) -> Event<'static> {
    replied(id, method, Reply::Result(ResultField::Success))
}

fn failure(id: i64, method: &'static str, code: i32) -> Event<'static> {
    replied(id, method, Reply::Exception(Exception { type_id: code, message: Text::Plain(b"no") }))
}

/// Method, class and code of each call.
fn verdicts(calls: &[Call]) -> Vec<(&str, Option<Class>, Option<i64>)> {
    calls
        .iter()
        .map(|call| (call.method.as_deref().unwrap_or("?"), call.class(), call.outcome.code))
        .collect()
}

#[test]
fn answers_find_their_requests_by_number_in_any_order() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.say(CLIENT, request(2, "b"));
    line.say(SERVER, failure(2, "", 6));
    line.say(SERVER, answer(1, ""));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("b", Some(Class::Rpc), Some(6)), ("a", Some(Class::Ok), None)]);
    assert_eq!(calls[0].latency, Some(1_000_000));
    assert_eq!(calls[1].latency, Some(3_000_000));
}

#[test]
fn equal_numbers_pair_in_order() {
    let mut line = Line::new();
    line.say(CLIENT, request(0, "a"));
    line.say(CLIENT, request(0, "b"));
    line.say(SERVER, failure(0, "", 6));
    line.say(SERVER, answer(0, ""));
    assert_eq!(verdicts(&line.calls()), [("a", Some(Class::Rpc), Some(6)), ("b", Some(Class::Ok), None)]);
}

#[test]
fn a_wrong_number_pairs_only_where_nothing_else_can_be_meant() {
    let mut line = Line::new();
    line.say(CLIENT, request(7, "a"));
    line.say(SERVER, answer(107, ""));
    assert_eq!(verdicts(&line.calls()), [("a", Some(Class::Ok), None)]);

    let mut line = Line::new();
    line.say(CLIENT, request(7, "a"));
    line.say(CLIENT, request(8, "b"));
    line.say(SERVER, failure(107, "", 6));
    assert_eq!(verdicts(&line.calls()), [("a", None, None), ("b", None, None)], "one of them");

    // With a hole in the requests the answer may belong to one that was lost.
    let mut line = Line::new();
    line.lose(CLIENT, Finding::Gap);
    line.say(CLIENT, request(8, "b"));
    line.say(SERVER, failure(7, "", 6));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("?", Some(Class::Rpc), Some(6)), ("b", Some(Class::Unanswered), None)]);
    assert!(calls[0].findings.contains(Finding::Gap));
}

#[test]
fn an_answer_without_a_request_is_a_call_only_where_requests_may_be_missing() {
    let mut line = Line::new();
    line.say(SERVER, failure(1, "", 6));
    assert!(line.calls().is_empty());

    let mut line = Line::new();
    line.flow.from_start = [false, false];
    line.say(SERVER, failure(1, "", 6));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("?", Some(Class::Rpc), Some(6))]);
    assert!(calls[0].findings.contains(Finding::MidStream));
    assert_eq!(calls[0].latency, None);
}

#[test]
fn a_second_answer_is_a_finding_and_no_call() {
    let mut line = Line::new();
    line.flow.from_start = [false, false];
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, answer(1, ""));
    line.say(SERVER, failure(1, "", 6));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("a", Some(Class::Ok), None)]);
    assert!(calls[0].findings.contains(Finding::DuplicateAnswer));
}

#[test]
fn a_one_way_call_stays_one_way_when_it_is_answered() {
    let mut line = Line::new();
    line.say(CLIENT, oneway(1, "a"));
    line.say(SERVER, failure(1, "", 6));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("a", Some(Class::Oneway), None)]);
    assert!(calls[0].findings.contains(Finding::OnewayAnswered));
}

/// Another connection may be far ahead, where interfaces or files are not in order: that ends no grace period before the next batch.
#[test]
fn a_time_far_ahead_takes_no_call_of_the_last_batch_away() {
    let mut line = Line::new();
    line.say(CLIENT, oneway(1, "a"));
    let ahead = |packet| Some(Stamp { packet, time: Timestamp(i64::MAX) });
    let decided = line.flow.last.packet;
    line.matcher.release(ahead(decided - 1), |_| panic!("given away"));
    line.say(SERVER, failure(1, "", 6));
    let mut found = Vec::new();
    line.matcher.release(ahead(decided), |call| found.push(call.findings));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains(Finding::OnewayAnswered));
}

/// Memory does not grow with the number of threads.
#[test]
fn threads_share_the_room_for_calls_in_their_grace_period() {
    let kept = |part: f64| {
        let mut line = Line::new();
        line.matcher = Matcher::new(false).for_part(part);
        for id in 0..100 {
            line.say(CLIENT, request(id, "a"));
            line.say(SERVER, answer(id, "a"));
        }
        line.matcher.release(Some(Stamp::default()), |_| ());
        line.matcher.in_grace()
    };
    assert_eq!(kept(1.0), 100, "all are within reach, and there is room for thousands");
    assert_eq!(kept(10.0 / MAX_IN_GRACE as f64), 10);
}

#[test]
fn the_callers_fin_is_half_a_close() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.end(CLIENT, End::Fin);
    line.say(SERVER, answer(1, ""));
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("a", Some(Class::Ok), None)]);
    assert!(calls[0].findings.contains(Finding::LateAnswer));

    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("a", Some(Class::Transport), None)]);
    assert_eq!(calls[0].outcome.initiator, Some(Initiator::Client));
}

#[test]
fn the_callees_end_decides_what_still_waits() {
    for (end, carrier) in [(End::Fin, Carrier::TcpFin), (End::Rst, Carrier::TcpRst)] {
        let mut line = Line::new();
        line.say(CLIENT, request(1, "a"));
        line.say(CLIENT, request(2, "b"));
        line.say(SERVER, answer(1, ""));
        line.end(SERVER, end);
        let calls = line.calls();
        assert_eq!(verdicts(&calls), [("a", Some(Class::Ok), None), ("b", Some(Class::Transport), None)]);
        assert_eq!(calls[1].outcome.carrier, carrier);
        assert_eq!(calls[1].outcome.initiator, Some(Initiator::Server));
    }
}

#[test]
fn an_answer_that_breaks_off_is_no_answer() {
    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, with(answer(1, ""), |head| (head.more, head.bytes) = (true, 5000)));
    line.end(SERVER, End::Rst);
    assert_eq!(verdicts(&line.calls()), [("a", Some(Class::Transport), None)]);

    let mut line = Line::new();
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, with(answer(1, ""), |head| (head.more, head.bytes) = (true, 5000)));
    line.pass(4);
    line.say(
        SERVER,
        Event::Complete(Complete { id: CallId::Loose(1), end: 4999, bytes: 5000, truncated: false }),
    );
    let calls = line.calls();
    assert_eq!(verdicts(&calls), [("a", Some(Class::Ok), None)]);
    assert_eq!((calls[0].latency, calls[0].duration), (Some(1_000_000), Some(6_000_000)));
    assert_eq!(calls[0].response_bytes, 5000);
}

fn stream(id: i64) -> Head {
    Head::new(Rpc::Grpc, Transport::Http2, CallId::Stream(id))
}

fn open(id: i64) -> Event<'static> {
    named_open(id, Names::default(), None)
}

fn named_open(id: i64, names: Names<'static>, unknown_name: Option<u64>) -> Event<'static> {
    Event::Open(Open {
        head: stream(id),
        unary: false,
        names,
        timeout: None,
        unknown_name,
        traced: true,
        headers: None,
    })
}

fn part(id: i64, messages: u32, bytes: u64) -> Event<'static> {
    Event::Part(Part::new(Head { bytes, ..stream(id) }, messages))
}

fn broken_off(id: i64) -> Event<'static> {
    let (head, names) = (stream(id), Names::default());
    Event::Reset(Reset { head, names, code: None, message: None, cancel_path: None, headers: None })
}

fn trailers(id: i64, code: i64) -> Event<'static> {
    let code = GrpcCode::Code(code);
    let status = GrpcStatus::of(code);
    answered(stream(id), Names::default(), Status::Grpc(status))
}

fn goaway(code: i64, last: i64) -> Event<'static> {
    Event::GoAway(GoAway { start: 0, bytes: 17, code, text: None, last_stream: Some(last) })
}

#[test]
fn goaway_ends_the_streams_it_leaves_out_and_no_others() {
    let mut line = Line::new();
    line.say(CLIENT, open(1));
    line.say(CLIENT, open(3));
    line.say(SERVER, goaway(0, 1));
    line.end(SERVER, End::Fin);
    let carriers: Vec<_> = line.calls().iter().map(|call| (call.id, call.outcome.carrier)).collect();
    assert_eq!(carriers, [(Some(3), Carrier::H2Goaway), (Some(1), Carrier::TcpFin)]);

    let mut line = Line::new();
    line.say(CLIENT, open(1));
    line.say(SERVER, goaway(2, 1));
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    assert_eq!((calls[0].outcome.carrier, calls[0].outcome.code), (Carrier::H2Goaway, Some(2)));
}

/// A GOAWAY of which nothing is refused.
fn farewell(code: i64, text: Option<&'static str>) -> Event<'static> {
    let text = text.map(|text| Text::Plain(text.as_bytes()));
    Event::GoAway(GoAway { start: 0, bytes: 17, code, text, last_stream: Some(i64::from(i32::MAX)) })
}

#[test]
fn calls_that_die_after_a_goaway_have_it() {
    type Seen = (Carrier, Option<(Initiator, i64, Option<String>)>);
    let of = |steps: &dyn Fn(&mut Line)| -> Seen {
        let mut line = Line::new();
        line.say(CLIENT, open(1));
        steps(&mut line);
        let calls = line.calls();
        assert_eq!(calls[0].outcome.message, None, "the key goaway alone has the text");
        let note = calls[0].goaway.as_deref().cloned();
        (calls[0].outcome.carrier, note.map(|note| (note.by, note.code, note.text)))
    };
    let (server, max_age) = (Initiator::Server, Some("max_age".to_owned()));
    let first = farewell(0, Some("max_age"));
    let fin = of(&|line| {
        line.say(SERVER, first);
        line.say(SERVER, goaway(0, 1));
        line.end(SERVER, End::Fin);
    });
    assert_eq!(fin, (Carrier::TcpFin, Some((server, 0, max_age.clone()))), "the last one has no text");
    let refused = of(&|line| {
        line.say(SERVER, first);
        line.say(SERVER, goaway(0, 0));
    });
    assert_eq!(refused, (Carrier::H2Goaway, Some((server, 0, max_age))));
    let error = of(&|line| {
        line.say(SERVER, farewell(11, Some("too_many_pings")));
        line.say(SERVER, farewell(0, None));
        line.end(SERVER, End::Rst);
    });
    assert_eq!(error, (Carrier::H2Goaway, Some((server, 11, Some("too_many_pings".to_owned())))));
    let client = of(&|line| {
        line.say(CLIENT, farewell(0, None));
        line.end(CLIENT, End::Rst);
    });
    assert_eq!(client, (Carrier::TcpRst, Some((Initiator::Client, 0, None))));
    let both = of(&|line| {
        line.say(CLIENT, farewell(6, None));
        line.say(SERVER, first);
        line.end(SERVER, End::Fin);
    });
    assert_eq!(both.1.unwrap().0, server, "the callee's counts");
    let answered = of(&|line| {
        line.say(SERVER, first);
        line.say(SERVER, trailers(1, 0));
        line.end(SERVER, End::Fin);
    });
    assert_eq!(answered, (Carrier::None, None));
    let broken = of(&|line| {
        line.say(SERVER, first);
        line.say(CLIENT, broken_off(1));
        line.end(SERVER, End::Fin);
    });
    assert_eq!(broken.1, None, "the client ended it");
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
        line.say(CLIENT, open(1));
        for _ in 0..sent {
            line.say(CLIENT, part(1, 1, 10));
        }
        for _ in 0..received {
            line.say(SERVER, part(1, 1, 20));
        }
        line.say(SERVER, trailers(1, 0));
        line.say(CLIENT, broken_off(1));
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
fn messages_that_show_their_codec_count_more_than_the_content_type() {
    let mut line = Line::new();
    line.say(CLIENT, with(open(1), |head| head.codec = Some("protobuf")));
    line.say(CLIENT, with(part(1, 1, 10), |head| head.codec = Some("json")));
    line.say(SERVER, part(1, 1, 20));
    line.say(SERVER, trailers(1, 0));
    assert_eq!(line.calls()[0].codec, Some("json"));
}

#[test]
fn calls_that_wait_are_bounded() {
    let mut line = Line::new();
    for id in 0..=MAX_PENDING as i64 {
        line.say(CLIENT, request(id, "a"));
    }
    assert_eq!(line.pending.len(), MAX_PENDING);
    assert_eq!(line.matcher.shed, 1);
    let calls = line.calls();
    assert_eq!(calls.len(), MAX_PENDING + 1);
    let shed = |call: &&Call| call.outcome.class.is_none() && call.findings.contains(Finding::Shed);
    assert_eq!(calls.iter().filter(shed).map(|call| call.id).collect::<Vec<_>>(), [Some(0)]);
}

#[test]
fn of_calls_on_a_connection_that_was_evicted_nobody_knows_the_answer() {
    // With and without the caller's FIN: the answer may come behind it.
    for fin in [false, true] {
        let mut line = Line::new();
        line.say(CLIENT, request(1, "a"));
        if fin {
            line.end(CLIENT, End::Fin);
        }
        line.end(CLIENT, End::Evicted);
        line.end(SERVER, End::Evicted);
        let calls = line.calls();
        assert_eq!(verdicts(&calls), [("a", None, None)], "{fin}");
        assert!(calls[0].findings.contains(Finding::Shed), "{fin}");
    }
}

#[test]
fn a_call_on_a_living_connection_is_given_up_in_the_end_where_somebody_waits_for_its_record() {
    for is_watched in [false, true] {
        let mut line = Line::new();
        line.matcher = Matcher::new(false).watched(is_watched);
        line.say(CLIENT, request(1, "a"));
        line.pass(601_000);
        line.say(CLIENT, request(2, "b"));
        line.say(SERVER, answer(1, "a"));
        line.say(SERVER, answer(2, "b"));
        let class = if is_watched { Class::Unanswered } else { Class::Ok };
        assert_eq!(verdicts(&line.calls()), [("a", Some(class), None), ("b", Some(Class::Ok), None)]);
    }
}

#[test]
fn calls_that_have_waited_long_make_room_as_unanswered_ones() {
    let mut line = Line::new();
    for id in 0..MAX_PENDING as i64 {
        line.say(CLIENT, request(id, "a"));
    }
    line.pass(601_000);
    for id in 0..2 {
        line.say(CLIENT, request(MAX_PENDING as i64 + id, "b"));
    }
    assert_eq!(line.matcher.shed, 0);
    assert_eq!(verdicts(&line.calls())[..2], [("a", Some(Class::Unanswered), None); 2]);
}

#[test]
fn uids_are_unique_within_a_packet() {
    let mut line = Line::new();
    line.pass(1);
    let now = line.flow.last;
    for id in 0..3 {
        line.matcher.event(
            At { flow: &line.flow, now, origin: now, position: None },
            &mut line.pending,
            CLIENT,
            &request(id, "a"),
        );
    }
    let uids: Vec<_> = line.calls().iter().map(|call| call.uid.to_string()).collect();
    assert_eq!(uids, ["1", "1.1", "1.2"]);
}

#[test]
fn a_call_knows_how_long_ago_its_caller_opened_the_connection() {
    let since = |opener: Option<Side>, pause: i64| {
        let mut line = Line::new();
        line.flow.opener = opener;
        line.pass(pause);
        line.say(CLIENT, unnamed(1));
        line.calls()[0].since_opening
    };
    assert_eq!(since(Some(CLIENT), 2), 3_000_000);
    assert_eq!(since(Some(CLIENT), 10_000), u32::MAX, "more than the number holds");
    assert_eq!(since(None, 2), u32::MAX, "no SYN was captured");
    assert_eq!(since(Some(SERVER), 2), u32::MAX, "the callee opened it");
}

#[test]
fn unknown_names_of_different_connections_are_different() {
    let group = |first: u64| {
        let mut line = Line::new();
        line.flow.first.packet = first;
        for id in [1, 3] {
            line.say(CLIENT, unnamed(id));
        }
        line.calls().iter().map(|call| call.unknown_name.unwrap()).collect::<Vec<_>>()
    };
    let [one, other] = [group(1), group(2)];
    assert_eq!(one[0], one[1]);
    assert_ne!(one, other);
}

fn unnamed(id: i64) -> Event<'static> {
    named_open(id, Names::default(), Some(1))
}

/// The answer of a server that knows no such method.
fn refusal(id: i64, method: &'static str) -> Event<'static> {
    let quoted = Quoted { service: Some(Text::Plain(b"S")), method: named(method).method };
    let Event::Answer(answer) = trailers(id, 12) else { unreachable!() };
    Event::Answer(Answer { quoted: Some(quoted), ..answer })
}

fn served(id: i64) -> Event<'static> {
    trailers(id, 0)
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
    line.say(CLIENT, named_open(7, Names::default(), Some(2)));
    line.say(SERVER, broken_off(1));
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
    line.say(CLIENT, named_open(3, named("Get"), Some(1)));
    line.say(CLIENT, unnamed(5));
    line.say(SERVER, served(1));
    line.say(SERVER, refusal(5, "Below"));
    let get = |id| (Some(id), Some("Get".into()), false);
    assert_eq!(names(line), [get(1), get(3), get(5)]);
}

#[test]
fn a_name_that_the_request_has_stays_whatever_the_answer_quotes() {
    let mut line = Line::new();
    line.say(CLIENT, named_open(1, named("Get"), None));
    line.say(SERVER, refusal(1, "Below"));
    assert_eq!(names(line), [(Some(1), Some("Get".into()), false)]);
}

#[test]
fn a_gap_that_may_hold_the_answer_leaves_no_verdict() {
    let mut line = Line::new();
    line.say(CLIENT, open(1));
    line.lose(SERVER, Finding::Gap);
    let head = Head { truncated: true, ..stream(1) };
    line.say(SERVER, Event::Part(Part { end_lost: true, ..Part::new(head, 0) }));
    line.say(CLIENT, open(3));
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    assert_eq!(calls[0].class(), None);
    assert_eq!(calls[0].latency, None);
    assert!(calls[0].findings.contains(Finding::Gap));
    assert_eq!(calls[1].class(), Some(Class::Transport), "it began after the gap");
}

/// Where both sides have holes, a request that stands behind one is read when that is given up: after the hole of the answers.
#[test]
fn a_hole_may_hold_the_answer_to_a_request_that_was_captured_before_it_ended() {
    let mut line = Line::new();
    line.pass(1);
    let captured = line.flow.last;
    line.pass(1);
    line.lose(SERVER, Finding::Gap);
    line.say_late(SERVER, &Event::Lost { start: 0 }, line.flow.last);
    line.say_late(CLIENT, &request(1, "Get"), captured);
    line.say(CLIENT, request(2, "Get"));
    line.end(SERVER, End::Fin);
    let classes: Vec<_> = line.calls().iter().map(Call::class).collect();
    assert_eq!(classes, [None, Some(Class::Transport)]);
}

#[test]
fn an_answer_without_a_message_is_not_said_to_be_unary() {
    let call = |messages: &[u32]| {
        let mut line = Line::new();
        for (at, count) in messages.iter().enumerate() {
            let id = 2 * at as i64 + 1;
            line.say(CLIENT, named_open(id, named("Get"), None));
            line.say(CLIENT, part(id, 1, 10));
            if *count > 0 {
                line.say(SERVER, part(id, *count, 20));
            }
            line.say(SERVER, trailers(id, 0));
        }
        let call = line.calls().pop().unwrap();
        (call.kind, call.findings.contains(Finding::MessageMissing))
    };
    assert_eq!(call(&[1]), (CallKind::Unary, false));
    assert_eq!(call(&[1, 0]), (CallKind::Stream, true));
    // Another call of the method was a stream.
    assert_eq!(call(&[3, 0]), (CallKind::ServerStream, false));
}

#[test]
fn a_message_beside_an_error_is_a_finding_unless_it_came_before() {
    let found = |apart, count| {
        let mut line = Line::new();
        line.say(CLIENT, open(1));
        line.say(CLIENT, part(1, 1, 10));
        line.pass(1);
        let at = |line: &Line| line.flow.last;
        let now = at(&line);
        let place = At { flow: &line.flow, now, origin: now, position: None };
        line.matcher.event(place, &mut line.pending, SERVER, &part(1, count, 20));
        if apart {
            line.pass(1);
        }
        let now = at(&line);
        let place = At { flow: &line.flow, now, origin: now, position: None };
        line.matcher.event(place, &mut line.pending, SERVER, &trailers(1, 13));
        line.calls()[0].findings.contains(Finding::BodyWithError)
    };
    assert!(found(false, 1));
    assert!(!found(true, 1), "the last message of a stream that failed later");
    assert!(!found(false, 2), "a stream");
}

/// Callers go by the request, whatever the `call_type` of its answer.
#[test]
fn an_answer_says_that_none_was_due_only_where_its_request_is_missing() {
    let codes = Codes { ret: Some(0), func_ret: Some(9000), message: None };
    let id = CallId::Request(7);
    let head = Head::new(Rpc::Trpc, Transport::Trpc, id);
    let mut answer = Answer::new(head, Status::Trpc(codes));
    answer.oneway = true;
    for captured in [true, false] {
        let mut line = Line::new();
        if captured {
            line.say(CLIENT, with(request(7, "Get"), |asked| *asked = head));
        } else {
            line.lose(CLIENT, Finding::Gap);
        }
        line.say(SERVER, Event::Answer(answer));
        let [call] = &line.calls()[..] else { panic!("not one call") };
        let (class, kind) =
            if captured { (Class::Business, CallKind::Unary) } else { (Class::Oneway, CallKind::Oneway) };
        assert_eq!((call.class(), call.kind), (Some(class), kind));
        assert_eq!(call.findings.contains(Finding::OnewayAnswered), !captured);
    }
}
