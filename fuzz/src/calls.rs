//! Pairing and outcome under events of any kind and order.

use std::net::Ipv4Addr;
use std::sync::OnceLock;

use rpcscope::calls::names::Texts;
use rpcscope::calls::outcome::{self, Ending};
use rpcscope::calls::pairing::{At, Matcher, PendingCalls};
use rpcscope::calls::{Carrier, Class, Finding, Initiator};
use rpcscope::decode::{Endpoint, FlowKey, Network, Segment, TcpFlags, TcpHead, Transport as Ip};
use rpcscope::flow::{Chunk, End, Flow, Limits, Owner, Stamp, Table};
use rpcscope::time::Timestamp;
use rpcscope_parsers::event::{
    Answer, Begin, BizStatus, Codes, Complete, Exception, Foreign, ForeignAnswer, GoAway, GrpcCode,
    GrpcStatus, HalfClose, Head, Names, Open, Part, Quoted, Reply, Request, Reset, ResultField, Text,
    ThriftStatus, TrpcEnd, TtstreamStatus,
};
use rpcscope_parsers::{CallId, Event, Rpc, Side, Status, Transport};

use crate::bytes::Input;
use crate::captures;

/// Those with rules of their own, and one without.
const RPCS: [Rpc; 11] = {
    let mut all = [Rpc::Other("other"); 11];
    all.split_at_mut(10).0.copy_from_slice(&Rpc::ALL);
    all
};

const TRANSPORTS: [Transport; 11] = {
    let mut all = [Transport::Other("other"); 11];
    all.split_at_mut(10).0.copy_from_slice(&Transport::ALL);
    all
};

/// Texts whose wording decides something, and some that decide nothing.
const TEXTS: [&[u8]; 20] = [
    b"",
    b"Get",
    b"a.B",
    b"0",
    b"10001",
    b"-1",
    b"{\"a\":\"b\"}",
    b"biz error: no such user",
    b"missing method Get",
    b"unknown service a.B",
    b"unknown method Get for service a.B",
    b"service a.B not found",
    b"client handler not found, method Get",
    b"remote or network error[remote]: rpc timeout",
    b"type:framework, code:121, msg:full link timeout",
    b"rpc error: code = Unavailable desc = closing",
    b"\xff\xfe\x00\x1b[31m",
    b"Internal error processing Get",
    b"stream terminated by RST_STREAM with error code: CANCEL",
    b"a,b,c",
];

fn text<'a>(input: &mut Input<'a>) -> Text<'a> {
    let kind = input.u8();
    let raw = match kind >> 2 & 3 {
        0 => {
            let len = usize::from(input.u8());
            input.take(len)
        }
        _ => input.pick(&TEXTS),
    };
    match kind & 3 {
        0 => Text::Percent(raw),
        1 => Text::Base64(raw),
        2 => Text::Json(raw),
        _ => Text::Plain(raw),
    }
}

fn texts<'a>(input: &mut Input<'a>) -> Option<Text<'a>> {
    input.option(text)
}

fn biz<'a>(input: &mut Input<'a>) -> Option<BizStatus<'a>> {
    input.option(|input| BizStatus { status: texts(input), message: texts(input), extra: texts(input) })
}

fn exception<'a>(input: &mut Input<'a>) -> Exception<'a> {
    Exception { type_id: input.number() as i32, message: text(input) }
}

fn codes<'a>(input: &mut Input<'a>) -> Codes<'a> {
    Codes {
        ret: input.option(|input| input.number() as i32),
        func_ret: input.option(|input| input.number() as i32),
        message: texts(input),
    }
}

fn http(input: &mut Input<'_>) -> Option<u16> {
    input.option(|input| {
        input.pick(&[200, 100, 204, 301, 400, 401, 403, 404, 429, 499, 500, 502, 503, 504, 0, 999])
    })
}

fn grpc<'a>(input: &mut Input<'a>) -> GrpcStatus<'a> {
    let code = match input.u8() % 6 {
        0 => GrpcCode::Absent,
        1 => GrpcCode::Unknown,
        2 => GrpcCode::Malformed(text(input)),
        _ => GrpcCode::Code(input.number()),
    };
    GrpcStatus {
        code,
        message: texts(input),
        details: texts(input),
        biz: biz(input),
        http: http(input),
        cut: input.bool(),
        deduced: input.bool(),
    }
}

fn status<'a>(input: &mut Input<'a>) -> Status<'a> {
    match input.u8() % 9 {
        0 => Status::Missing,
        1 => {
            let reply = match input.u8() % 6 {
                0 => Reply::Silent,
                1 => Reply::Missing,
                2 => Reply::Exception(exception(input)),
                3 => Reply::Result(ResultField::Empty),
                4 => Reply::Result(ResultField::Exception(input.u16() as i16)),
                _ => Reply::Result(ResultField::Success),
            };
            Status::Thrift(ThriftStatus { biz: biz(input), reply, http: http(input), cut: input.bool() })
        }
        2 => {
            let exception = input.option(exception);
            Status::Ttstream(TtstreamStatus { biz: biz(input), exception, cut: input.bool() })
        }
        3 => Status::Grpc(grpc(input)),
        4 => Status::Connect(grpc(input)),
        5 => Status::Trpc(codes(input)),
        6 => {
            let end = input.option(|input| input.pick(&[TrpcEnd::Close, TrpcEnd::Reset, TrpcEnd::Refused]));
            Status::TrpcStream { end, codes: codes(input) }
        }
        7 => Status::TrpcHttp { codes: codes(input), http: http(input) },
        _ => Status::Codes(codes(input)),
    }
}

fn names<'a>(input: &mut Input<'a>) -> Names<'a> {
    if !input.bool() {
        return Names { method: Some(Text::Plain(b"Get")), ..Names::default() };
    }
    Names {
        service: texts(input),
        method: texts(input),
        caller: texts(input),
        callee: texts(input),
        ..Names::default()
    }
}

fn reset<'a>(input: &mut Input<'a>, head: Head) -> Reset<'a> {
    Reset {
        head,
        names: names(input),
        code: input.option(Input::number),
        message: texts(input),
        cancel_path: texts(input),
        headers: None,
    }
}

fn id(input: &mut Input<'_>, rpc: Rpc) -> CallId {
    // Few numbers, so that they meet again.
    let number = match input.u8() {
        255 => input.i64(),
        small => i64::from(small % 8),
    };
    match (input.u8() % 8, rpc) {
        (0, _) => CallId::Order,
        (1, _) => CallId::Loose(number),
        (2, _) => CallId::Request(number),
        (3, _) => CallId::Stream(number),
        (_, Rpc::Thrift | Rpc::KitexProtobuf) => CallId::Loose(number),
        (_, Rpc::Trpc | Rpc::Other(_)) => CallId::Request(number),
        (_, Rpc::Grpc | Rpc::Ttstream | Rpc::TrpcStream) => CallId::Stream(number),
        (_, Rpc::GrpcWeb | Rpc::Connect | Rpc::Triple | Rpc::TrpcHttp) => CallId::Order,
    }
}

fn head(input: &mut Input<'_>, usual: Rpc, start: u64) -> Head {
    let flags = input.u8();
    let rpc = if flags & 0xf0 == 0xf0 { input.pick(&RPCS) } else { usual };
    let transport = if flags & 0x0f == 0x0f { input.pick(&TRANSPORTS) } else { Transport::Http2 };
    Head {
        start,
        bytes: u64::from(flags),
        more: flags & 0x30 == 0x30,
        truncated: flags & 0x50 == 0x50,
        ..Head::new(rpc, transport, id(input, rpc))
    }
}

/// An event of a connection whose calls are mostly of one kind.
fn event<'a>(input: &mut Input<'a>, rpc: Rpc, start: u64, headers: &'a Vec<(Vec<u8>, Vec<u8>)>) -> Event<'a> {
    let kind = input.u8() % 16;
    match kind {
        0..=2 => {
            let head = head(input, rpc, start);
            Event::Request(Request {
                head,
                oneway: input.u8() & 7 == 7,
                names: names(input),
                timeout: input.option(|input| u64::from(input.u32())),
                traced: input.bool(),
                headers: Some(headers),
            })
        }
        3 | 4 => {
            let head = head(input, rpc, start);
            Event::Open(Open {
                head,
                unary: input.bool(),
                names: names(input),
                timeout: input.option(|input| u64::from(input.u32())),
                unknown_name: input.option(|input| u64::from(input.u8())),
                traced: input.bool(),
                headers: Some(headers),
            })
        }
        5 => {
            let head = head(input, rpc, start);
            Event::Begin(Begin {
                head,
                names: names(input),
                http: http(input),
                has_status: input.bool(),
                headers: Some(headers),
            })
        }
        6 | 7 => {
            let mut part = Part::new(head(input, rpc, start), u32::from(input.u8() % 4));
            let flags = input.u8();
            (part.end_lost, part.unplaced) = (flags & 7 == 7, flags & 56 == 56);
            Event::Part(part)
        }
        8 => Event::HalfClose(HalfClose { head: head(input, rpc, start), headers: None }),
        9..=11 => {
            let mut answer = Answer::new(head(input, rpc, start), status(input));
            let flags = input.u8();
            (answer.body, answer.oneway) = (flags & 1 == 1, flags & 14 == 14);
            answer.names = names(input);
            answer.quoted =
                (flags & 48 == 48).then(|| Quoted { service: texts(input), method: texts(input) });
            answer.headers = Some(headers);
            Event::Answer(answer)
        }
        12 => {
            let head = head(input, rpc, start);
            Event::Reset(reset(input, head))
        }
        13 => Event::GoAway(GoAway {
            start,
            bytes: 17,
            code: input.number(),
            text: texts(input),
            last_stream: input.option(Input::number),
        }),
        14 => Event::Complete(Complete {
            id: id(input, rpc),
            end: start,
            bytes: u64::from(input.u16()),
            truncated: input.u8() & 7 == 7,
        }),
        _ if input.bool() => Event::Lost { start },
        _ => {
            let len = usize::from(input.u8());
            let detail = input.take(len);
            let answer = ForeignAnswer { reason: "TLS alert", what: "TLS alert", detail };
            Event::Foreign(Foreign { start, answer: input.bool().then_some(answer) })
        }
    }
}

/// Takes the state of a connection that has just opened.
struct Keep(Option<Flow>);

impl Owner<()> for Keep {
    fn open(&mut self, flow: &Flow) {
        self.0 = Some(flow.clone());
    }

    fn chunk(&mut self, _: &Flow, (): &mut (), _: Side, _: Chunk<'_>, _: Stamp, _: Stamp) -> u64 {
        u64::MAX
    }

    fn close(&mut self, _: &Flow, (): &mut (), _: End, _: Stamp) {}
}

/// A connection that has just opened, seen from its start or not. What a table takes to be made would be most of an execution.
fn flow(from_start: bool) -> Flow {
    static FLOWS: OnceLock<[Flow; 2]> = OnceLock::new();
    FLOWS.get_or_init(|| [open(false), open(true)])[usize::from(from_start)].clone()
}

fn open(from_start: bool) -> Flow {
    let end = |host, port| Endpoint { ip: Ipv4Addr::new(10, 0, 0, host).into(), port };
    let (key, side) = FlowKey::new(end(1, 1000), end(2, 80), Network::Tcp);
    let flags = TcpFlags { syn: from_start, ack: !from_start, ..TcpFlags::default() };
    let segment = Segment {
        packet: 1,
        time: Timestamp(1),
        key,
        side,
        transport: Ip::Tcp(TcpHead { seq: 1, ack: 0, flags }),
        payload: &[7],
        missing: 0,
    };
    let mut keep = Keep(None);
    Table::new(Limits::default()).segment(&segment, &mut keep);
    keep.0.expect("the connection opens")
}

/// Events of one connection, with time, losses and ends between them. No call is left over or comes twice.
pub fn pairing(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.u8();
    let rpc = input.pick(&RPCS);
    let mut flow = flow(flags & 1 == 0);
    let mut matcher = Matcher::new(true);
    let mut pending = PendingCalls::default();
    let headers =
        vec![(b"x-a".to_vec(), b"\x1b[31m".to_vec()), (b"traceparent".to_vec(), b"00-1-2-01".to_vec())];
    let (mut packet, mut now, mut drained) = (1, 1_i64, 0);
    let (mut opened, mut events, mut given) = (0_usize, 0_usize, 0_usize);
    let mut uids = std::collections::HashSet::new();
    let mut ended = [false; 2];
    let mut give = |call: Box<rpcscope::calls::Call>| {
        captures::check(&call);
        assert!(uids.insert(call.uid), "{:?} comes twice", call.uid);
        given += 1;
    };
    while !input.is_empty() && ended != [true, true] {
        packet += 1;
        now += 1 + i64::from(input.u8()) * 1_000;
        let step = input.u8();
        let side = if step & 1 == 0 { Side::A } else { Side::B };
        if ended[side.index()] {
            continue;
        }
        let stamp = Stamp { packet, time: Timestamp(now) };
        let at = At { flow: &flow, now: stamp, origin: stamp, position: Some(packet as u32) };
        match step >> 1 & 31 {
            0 => {
                let end = input.pick(&[End::Fin, End::Fin, End::Rst, End::Idle]);
                ended[side.index()] = true;
                flow.ended[side.index()] = Some(end);
                if end == End::Rst {
                    flow.reset_by = Some(side);
                }
                let at = At { flow: &flow, now: stamp, origin: stamp, position: None };
                matcher.end(at, &mut pending, side, end);
            }
            1 => {
                let how = input.pick(&[Finding::Gap, Finding::Truncated, Finding::MidStream]);
                pending.lose(side, how, stamp.packet);
            }
            2 => now += i64::from(input.u8()) * 1_000_000_000,
            3 => {
                let until = Stamp { packet: std::mem::replace(&mut drained, packet), ..stamp };
                matcher.release(Some(until), &mut give);
            }
            _ => {
                let event = event(&mut input, rpc, packet * 256, &headers);
                events += 1;
                opened += usize::from(matches!(event, Event::Request(_)));
                matcher.event(at, &mut pending, side, &event);
            }
        }
    }
    let stamp = Stamp { packet: packet + 1, time: Timestamp(now) };
    matcher.close(At { flow: &flow, now: stamp, origin: stamp, position: None }, &mut pending);
    pending.finish();
    matcher.release(None, &mut give);
    assert_eq!(matcher.in_grace(), 0);
    assert!(given <= events, "{given} calls of {events} events");
    assert!(given >= opened, "{given} calls of {opened} requests");
}

/// Every ending of a call has an outcome that agrees with itself.
pub fn outcome(data: &[u8]) {
    let mut input = Input(data);
    let by = input.pick(&[Initiator::Client, Initiator::Server]);
    let kind = input.u8();
    let status = status(&mut input);
    let head = Head::new(Rpc::Grpc, Transport::Http2, CallId::Order);
    let reset = reset(&mut input, head);
    let words = texts(&mut input).map(|text| String::from_utf8_lossy(&text.decode()).into_owned());
    let ending = match kind % 10 {
        0..=2 => Ending::Answered { status: &status, body: input.bool() },
        3 => Ending::Reset { by, reset: &reset },
        4 => Ending::Goaway { by, code: input.number() },
        5 => Ending::HttpError(input.u16()),
        6 => Ending::Foreign(words.as_deref()),
        7 => Ending::Fin(by),
        8 => Ending::Rst(by),
        _ if input.bool() => Ending::Silence,
        _ => Ending::Oneway(input.bool().then_some(&status)),
    };
    let mut texts = Texts::lasting();
    let outcome = outcome::decide(ending, &mut texts).outcome;
    let again = outcome::decide(ending, &mut texts).outcome;
    assert_eq!(outcome, again, "the same ending has the same outcome");
    match ending {
        // Without an answer the callee said nothing that could be business.
        Ending::Fin(_) | Ending::Rst(_) | Ending::Silence | Ending::Goaway { .. } | Ending::HttpError(_) => {
            assert!(!matches!(outcome.class, Some(Class::Ok | Class::Business)), "{outcome:?}");
        }
        Ending::Answered { status: Status::Missing, .. } => {
            assert_eq!(outcome.class, None, "nothing is known")
        }
        _ => {}
    }
    if outcome.class == Some(Class::Ok) {
        assert!(!outcome.is_error());
        assert!(outcome.carrier == Carrier::None || outcome.code.is_none_or(|code| code == 0), "{outcome:?}");
    }
    _ = outcome::class_of_status(input.number(), words.as_deref());
}
