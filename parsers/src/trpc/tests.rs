//! What the module makes of real frames (see `samples/trpc`) and of made ones.

use super::*;
use crate::event::Event;
use crate::testing::flat::{CallId, Kind, TrpcEnd};
use crate::testing::{Seen, messages, own, samples};

/// A frame with a head and a body.
fn unary(pb: &[u8], body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x09, 0x30, 0, 0];
    frame.extend(((16 + pb.len() + body.len()) as u32).to_be_bytes());
    frame.extend((pb.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0, 1, 1, 0]);
    frame.extend(pb);
    frame.extend(body);
    frame
}

fn stream_frame(stream_type: u8, id: u8, meta: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x09, 0x30, 1, stream_type];
    frame.extend(((16 + meta.len()) as u32).to_be_bytes());
    frame.extend([0, 0, 0, 0, 0, id, 0, 0]);
    frame.extend(meta);
    frame
}

const REQUEST: &[u8] = b"\x18\x01\x20\xb7\x17\x2a\x03web\x32\x05order\x3a\x14/trpc.shop.Order/Get";

fn sample(name: &str) -> Vec<Seen> {
    messages(&Trpc, &samples("trpc")[name])
}

fn text(text: Option<&crate::testing::flat::Text<'_>>) -> String {
    text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

fn answers(seen: &[Seen]) -> Vec<(i64, Option<i32>, Option<i32>, String)> {
    seen.iter()
        .filter(|seen| seen.message.kind == Kind::Answer)
        .map(|seen| {
            let status = &seen.message.status;
            (seen.message.id.number().unwrap(), status.ret, status.func_ret, text(status.error_msg.as_ref()))
        })
        .collect()
}

#[test]
fn requests_carry_names_and_answers_their_numbers() {
    let seen = sample("func-ret");
    let first = &seen[0].message;
    assert_eq!(
        (first.kind, first.transport, first.rpc, first.codec),
        (Kind::Request, "trpc", "trpc", Some("protobuf"))
    );
    assert_eq!(text(first.service.as_ref()), "trpc.shop.order.Order");
    assert_eq!(text(first.method.as_ref()), "Get");
    assert_eq!(text(first.caller.as_ref()), "trpc.shop.web.Front");
    assert!(first.timeout.unwrap() > 2_000_000_000);
    assert!(
        answers(&seen).iter().any(
            |answer| (answer.1, answer.2, answer.3.as_str()) == (Some(0), Some(10001), "order not found")
        )
    );
    let framework = answers(&sample("ret"));
    assert!(framework.iter().any(|answer| (answer.1, answer.2) == (Some(12), Some(0))), "{framework:?}");
}

#[test]
fn a_java_server_may_send_both_codes() {
    let answers = answers(&sample("java"));
    assert!(
        answers.iter().any(|a| a.1.is_some_and(|ret| ret != 0) && a.2.is_some_and(|func_ret| func_ret != 0)),
        "{answers:?}"
    );
}

#[test]
fn a_one_way_call_is_told_from_its_head() {
    let seen = sample("oneway");
    assert!(seen.iter().any(|seen| seen.message.kind == Kind::Oneway));
    let failed = seen.iter().find(|seen| seen.message.status.func_ret == Some(10001)).unwrap();
    assert!(failed.message.status.oneway, "and so does its answer");
    assert!(answers(&seen).iter().any(|answer| answer.2 == Some(10001)), "and may be answered all the same");
}

#[test]
fn the_callees_close_decides_a_stream_and_the_callers_is_half() {
    let seen = sample("stream-errors");
    let kinds = |side| -> Vec<Kind> {
        let of_side = seen.iter().filter(|seen| seen.side == side);
        let mut kinds: Vec<Kind> = of_side.map(|seen| seen.message.kind).collect();
        kinds.sort_by_key(|kind| *kind as u8);
        kinds.dedup();
        kinds
    };
    assert_eq!(kinds(Side::A), [Kind::Open, Kind::Part, Kind::HalfClose]);
    assert_eq!(kinds(Side::B), [Kind::Begin, Kind::Part, Kind::Answer]);
    let ends: Vec<_> = seen
        .iter()
        .filter(|seen| seen.message.kind == Kind::Answer)
        .map(|seen| (seen.message.status.trpc_end.unwrap(), seen.message.status.ret.unwrap()))
        .collect();
    assert!(ends.contains(&(TrpcEnd::Reset, 10001)) && ends.contains(&(TrpcEnd::Reset, 0)), "{ends:?}");
}

#[test]
fn a_refused_init_names_what_it_refuses() {
    for name in ["stream-refused", "stream-at-unary"] {
        let seen = sample(name);
        let refused =
            seen.iter().find(|seen| seen.message.status.trpc_end == Some(TrpcEnd::Refused)).unwrap();
        assert_eq!(
            (refused.side, refused.message.kind, refused.message.status.ret),
            (Side::B, Kind::Answer, Some(12))
        );
        assert!(refused.message.method.is_some());
    }
}

#[test]
fn an_error_with_a_body_is_marked_and_an_attachment_is_no_body() {
    let answer = unary(b"\x18\x01\x20\x02", b"kept");
    let seen = messages(&Trpc, &[(Side::A, unary(REQUEST, b"")), (Side::B, answer)]);
    assert!(seen[1].message.status.body);
    let attached = unary(b"\x18\x01\x28\x91\x4e\x60\x04", b"pdf.");
    let seen = messages(&Trpc, &[(Side::A, unary(REQUEST, b"")), (Side::B, attached)]);
    assert!(!seen[1].message.status.body);
    assert_eq!(seen[1].message.status.func_ret, Some(10001));
}

#[test]
fn a_unary_frame_without_an_id_belongs_to_no_call() {
    let stray = unary(b"\x20\x1f\x32\x0cno such addr", b"");
    let seen = messages(&Trpc, &[(Side::A, unary(REQUEST, b"")), (Side::B, stray.clone())]);
    assert_eq!(seen.len(), 1, "{seen:?}");
    let mut zero = REQUEST.to_vec();
    zero.drain(..2);
    let seen = messages(&Trpc, &[(Side::A, unary(&zero, b"")), (Side::B, stray)]);
    assert_eq!(answers(&seen), [(0, Some(31), Some(0), "no such addr".to_owned())]);
}

/// A request that is cut after its time-out looks like an answer whose `ret` is that time-out.
#[test]
fn a_cut_head_is_no_answer_unless_the_connection_says_so() {
    let frame = unary(REQUEST, b"");
    let cut = |side, sessions_first: Option<&[u8]>| {
        let mut seen = Vec::new();
        let mut session = Trpc.session();
        if let Some(first) = sessions_first {
            session.data(Side::A, first, &mut |_, _| {});
        }
        let mut emit = |side: Side, event: &Event<'_>| {
            let message = own(side, event).message;
            seen.push((message.kind, message.id, message.status.ret, message.status.cut, message.truncated));
        };
        session.data(side, &frame[..16 + 5], &mut emit);
        session.gap(side, Some(frame.len() as u64 - 21), &mut emit);
        session.end(side, &mut emit);
        seen
    };
    let unknown = [(Kind::Lost, CallId::Order, None, false, false)];
    assert_eq!(cut(Side::A, None), unknown, "it is unknown what it is");
    let id = CallId::Request(1);
    assert_eq!(cut(Side::A, Some(&frame))[0], (Kind::Request, id, None, false, true));
    assert_eq!(cut(Side::B, Some(&frame))[0], (Kind::Answer, id, Some(2999), false, true));
}

#[test]
fn a_close_of_an_unknown_stream_is_no_verdict_unless_it_is_a_reset() {
    let seen = messages(&Trpc, &[(Side::B, stream_frame(4, 100, b""))]);
    assert_eq!(seen[0].message.kind, Kind::HalfClose);
    let seen = messages(&Trpc, &[(Side::B, stream_frame(4, 100, b"\x08\x01\x10\x91\x4e"))]);
    assert_eq!((seen[0].message.kind, seen[0].message.status.ret), (Kind::Answer, Some(10001)));
    // Another stream of the connection shows who the caller is: by its beginning, or by a reset.
    for (other, kind) in
        [((1, &b"\x12\x00\x18\xff\xff\x03"[..]), Kind::Begin), ((4, b"\x08\x01\x10\x91\x4e"), Kind::Answer)]
    {
        let other = stream_frame(other.0, 101, other.1);
        let seen = messages(&Trpc, &[(Side::B, other), (Side::B, stream_frame(4, 100, b""))]);
        assert_eq!((seen[0].message.kind, seen[1].message.kind), (kind, Kind::Answer));
    }
}

/// trpc-go answers messages that come after the end of a stream with further CLOSE frames.
#[test]
fn the_answer_to_a_stray_message_is_no_outcome() {
    let open = stream_frame(1, 100, b"\x0a\x04\x1a\x02/x");
    let stray = stream_frame(4, 100, b"\x08\x01\x10\x01\x1a\x12uninitialized meta");
    let seen = messages(&Trpc, &[(Side::A, open.clone()), (Side::B, stray)]);
    let status = &seen[1].message.status;
    assert_eq!((seen[1].message.kind, status.ret, status.cut), (Kind::Answer, None, true));
    let decode = stream_frame(4, 100, b"\x08\x01\x10\x01\x1a\x03bad");
    let seen = messages(&Trpc, &[(Side::A, open), (Side::B, decode)]);
    assert_eq!((seen[1].message.status.ret, seen[1].message.status.cut), (Some(1), false));
}

#[test]
fn unknown_content_types_survive_and_trans_info_is_read() {
    let mut head = REQUEST.to_vec();
    head.extend(b"\x4a\x06\x0a\x01k\x12\x01v\x50\x2a");
    let seen = messages(&Trpc, &[(Side::A, unary(&head, b""))]);
    assert_eq!(seen[0].message.codec, None);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(seen[0].metadata, [pair("k", "v"), pair("content_type", "42")]);
}

#[test]
fn after_a_gap_the_next_frame_is_found() {
    let mut lost = unary(REQUEST, &[0x09, 0x30, 0, 0, 0, 0, 0, 1]);
    let next = unary(REQUEST, b"body");
    lost.extend(&next);
    let mut seen = Vec::new();
    let mut session = Trpc.session();
    session.gap(Side::A, Some(1000), &mut |_, _| {});
    // The bytes begin inside the first frame, whose body holds a frame that is none.
    session.data(Side::A, &lost[20..], &mut |side, event| {
        let message = own(side, event).message;
        seen.push((message.kind, message.start, message.bytes));
    });
    assert_eq!(seen.remove(0), (Kind::Lost, 1000, 0));
    assert_eq!(seen, [(Kind::Request, 1000 + (lost.len() - next.len() - 20) as u64, next.len() as u64)]);
}

/// A body full of magic numbers, cut anywhere, holds no frame.
#[test]
fn a_body_of_magic_numbers_holds_no_frame() {
    let body = [0x09, 0x30, 0, 0].repeat(300);
    for at in 0..4 {
        for len in 0..body.len() - at {
            assert_eq!(find_frame(&body[at..at + len]), None, "{at} {len}");
        }
    }
}

#[test]
fn the_frame_behind_a_body_of_magic_numbers_is_found() {
    let body = [0x09, 0x30, 0, 0].repeat(20);
    let frame = unary(REQUEST, b"body");
    for at in 0..body.len() {
        let rest = [&body[at..], &frame].concat();
        assert_eq!(find_frame(&rest), Some(body.len() - at), "{at}");
    }
}

/// What looks like a frame behind a gap may be none, and swallow messages until the connection ends.
#[test]
fn a_frame_that_was_found_and_does_not_end_is_doubted() {
    let frame = unary(REQUEST, &[7; 1000]);
    let whole = unary(REQUEST, b"");
    let kinds = |gap: bool, pieces: &[&[u8]]| {
        let mut kinds = Vec::new();
        let mut session = Trpc.session();
        if gap {
            session.gap(Side::A, Some(1000), &mut |_, _| {});
        }
        for piece in pieces {
            session.data(Side::A, piece, &mut |_, event| kinds.push(event.kind()));
        }
        session.end(Side::A, &mut |_, event| kinds.push(event.kind()));
        kinds
    };
    assert_eq!(kinds(true, &[&frame[..500]]), [Kind::Request, Kind::Lost]);
    assert_eq!(kinds(true, &[&stream_frame(3, 100, &[0; 100])[..50]]), [Kind::Lost], "no message");
    assert_eq!(kinds(true, &[&frame]), [Kind::Request]);
    // One that another one follows is one.
    assert_eq!(kinds(true, &[&whole, &frame[..500]]), [Kind::Request, Kind::Request]);
    assert_eq!(kinds(false, &[&frame[..500]]), [Kind::Request]);
}

#[test]
fn a_datagram_is_one_frame() {
    let frame = unary(REQUEST, b"x");
    let opening = |bytes| Opening { bytes: [bytes, &[][..]], from_start: [true, true], datagram: true };
    assert_eq!(Trpc.detect(&opening(&frame)), Detection::Yes);
    assert_eq!(Trpc.detect(&opening(&frame[..40])), Detection::Yes, "cut by the snap length");
    let two = [frame.clone(), frame.clone()].concat();
    assert_eq!(Trpc.detect(&opening(&two)), Detection::No);
    let mut session = Trpc.session();
    let mut seen = 0;
    session.datagram(Side::A, &frame, &mut |side, event| {
        let message = own(side, event).message;
        assert_eq!(
            (message.kind, message.bytes, message.truncated),
            (Kind::Request, frame.len() as u64, false)
        );
        seen += 1;
    });
    session.datagram(Side::A, &two, &mut |_, _| seen += 1);
    assert_eq!(seen, 1);
    assert_eq!(session.trouble().unwrap().1, 1);
}

/// A later version of `trpc.proto` may have more fields, which every protobuf parser skips.
#[test]
fn heads_with_fields_that_are_not_known_are_heads_all_the_same() {
    let detect = |bytes: &[u8]| {
        Trpc.detect(&Opening { bytes: [bytes, &[][..]], from_start: [true, true], datagram: false })
    };
    for more in [&b"\x68\x07"[..], b"\x9a\x06\x02hi", b"\x75\0\0\0\0", b"\x60\0\x71\0\0\0\0\0\0\0\0"] {
        let head = [REQUEST, more].concat();
        let frame = unary(&head, b"body");
        assert_eq!(detect(&frame), Detection::Yes, "{more:x?}");
        assert_eq!(find_frame(&[b"\x09\x30", &frame[..]].concat()), Some(2), "{more:x?}");
        for len in 0..frame.len() {
            assert_ne!(detect(&frame[..len]), Detection::No, "{more:x?} {len}");
        }
        let seen = messages(&Trpc, &[(Side::A, frame), (Side::B, unary(&[b"\x18\x01", more].concat(), b""))]);
        let seen: Vec<_> = seen.iter().map(|seen| (seen.message.kind, seen.message.id)).collect();
        assert_eq!(
            seen,
            [(Kind::Request, CallId::Request(1)), (Kind::Answer, CallId::Request(1))],
            "{more:x?}"
        );
    }
    assert_eq!(detect(&stream_frame(4, 100, b"\x08\x01\x10\x07\x78\x01")), Detection::Yes);
    let foreign: [&[u8]; 6] = [
        // Nothing known, or a field that is not known ahead of those that are.
        b"\x68\x07",
        b"\x68\x07\x18\x01",
        // Known fields of other types.
        b"\x1a\x02hi\x68\x07",
        b"\x18\x01\x2a\x01c\x68\x07\x30\x01",
        // What is no protobuf, and what ends behind its head.
        b"\x18\x01\x6b",
        b"\x18\x01\x6a\x05hi",
    ];
    for head in foreign {
        assert_eq!(detect(&unary(head, b"and a body")), Detection::No, "{head:x?}");
    }
}

/// In proto3, a request leaves caller and func out if they are empty, and may look like an answer.
#[test]
fn a_head_that_shows_no_role_has_that_of_its_side() {
    let bare = unary(b"\x18\x02\x20\xe8\x07\x32\x03svc", b"body");
    let ok = unary(b"\x18\x02", b"body");
    let kinds = |said: &[(Side, &[u8])]| {
        let said: Vec<_> = said.iter().map(|(side, bytes)| (*side, bytes.to_vec())).collect();
        messages(&Trpc, &said).iter().map(|seen| seen.message.kind).collect::<Vec<_>>()
    };
    let request = unary(REQUEST, b"");
    let both = [Kind::Request, Kind::Request, Kind::Answer];
    assert_eq!(kinds(&[(Side::A, &request), (Side::A, &bare), (Side::B, &ok)]), both);
    let failed = unary(b"\x18\x01\x28\x91\x4e", b"");
    assert_eq!(kinds(&[(Side::B, &failed), (Side::A, &bare)]), [Kind::Answer, Kind::Request]);
    // What shows no role shows no side.
    assert_eq!(kinds(&[(Side::A, &bare), (Side::B, &ok)]), [Kind::Answer; 2]);
    assert_eq!(kinds(&[(Side::A, &bare), (Side::A, &request), (Side::B, &ok)])[1..], both[1..]);
    // A head of nothing is no request.
    assert_eq!(kinds(&[(Side::A, &request), (Side::A, &unary(b"", b""))]), [Kind::Request]);
}

#[test]
fn a_func_is_split_at_its_last_slash() {
    let split = |func: &'static [u8]| {
        let (service, method) = split_func(Some(func));
        let part = |text: Option<Text<'_>>| text.map(|text| text.decode().into_owned());
        (text(part(service).map(Into::into).as_ref()), text(part(method).map(Into::into).as_ref()))
    };
    assert_eq!(split(b"/trpc.shop.Order/Get"), ("trpc.shop.Order".to_owned(), "Get".to_owned()));
    assert_eq!(split(b"/v1/orders/get"), ("v1/orders".to_owned(), "get".to_owned()));
    assert_eq!(split(b"Get"), (String::new(), "Get".to_owned()));
}

#[test]
fn a_dissected_answer_shows_its_codes() {
    let answer = unary(b"\x18\x01\x28\x91\x4e\x32\x02no\x60\x02", b"bodyAB");
    let tree = Trpc.dissect(Side::B, &answer);
    let names: Vec<_> = tree.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["frame", "ResponseProtocol", "body", "attachment"]);
    let func_ret = tree[1].children.iter().find(|field| field.name == "5 func_ret").unwrap();
    assert_eq!((func_ret.value.as_str(), func_ret.range), ("10001", (18, 21)));
}
