use std::collections::BTreeMap;

use proptest::prelude::*;

use super::header::{Entry, fixed_head, sections};
use crate::protocol::{Detection, Opening, Protocol};
use crate::testing::flat::{CallId, Kind, Message, ResultField, Side};
use crate::testing::{Seen, messages, samples};
use crate::thrift::ThriftTransport;

const PROTOCOL: ThriftTransport = ThriftTransport::TtHeader;

fn conversation(name: &str) -> Vec<(Side, Vec<u8>)> {
    samples("ttheader").remove(name).unwrap()
}

fn seen(name: &str) -> Vec<Seen> {
    messages(&PROTOCOL, &conversation(name))
}

fn text(text: Option<&crate::testing::flat::Text<'_>>) -> String {
    text.map_or("none".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
}

/// A frame with these sections and this payload.
fn frame(flags: u16, seq_id: i32, sections: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut header = [&[0, 0], sections].concat();
    header.resize(header.len().next_multiple_of(4), 0);
    let mut frame = Vec::new();
    frame.extend_from_slice(&((10 + header.len() + payload.len()) as u32).to_be_bytes());
    frame.extend_from_slice(&0x1000_u16.to_be_bytes());
    frame.extend_from_slice(&flags.to_be_bytes());
    frame.extend_from_slice(&seq_id.to_be_bytes());
    frame.extend_from_slice(&((header.len() / 4) as u16).to_be_bytes());
    frame.extend_from_slice(&header);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_request_names_both_ends_method_and_time_out() {
    let seen = seen("biz-status");
    let Seen { message, metadata, .. } = &seen[0];
    assert_eq!((message.kind, message.id, message.bytes), (Kind::Request, CallId::Loose(1), 192));
    assert_eq!(
        (message.transport, message.rpc, message.codec),
        ("ttheader", "thrift", Some("thrift-binary"))
    );
    assert_eq!(text(message.service.as_ref()), "OrderService");
    assert_eq!(text(message.method.as_ref()), "PlaceOrder");
    assert_eq!(text(message.caller.as_ref()), "shop.web");
    assert_eq!(text(message.callee.as_ref()), "shop.order");
    assert_eq!(message.timeout, Some(3_000_000_000));
    let metadata: BTreeMap<&str, &str> = metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(metadata["isn"], "OrderService");
    assert_eq!(metadata["RPCTimeout"], "3000");
    assert_eq!(metadata["TransportType"], "framed");
    assert_eq!(metadata["MsgType"], "1");
}

#[test]
fn pairs_that_may_hold_trace_context_are_known_by_their_keys() {
    for (key, traced) in [("b3", true), ("RPC_PERSIST_traceparent", true), ("user", false), ("isn", false)] {
        let mut fields = super::HeaderFields::default();
        fields.set_string(key.as_bytes(), b"0");
        assert_eq!(fields.traced, traced, "{key}");
    }
}

#[test]
fn answers_carry_their_outcome() {
    let seen_answers = |name| seen(name).into_iter().filter(|seen| seen.message.kind == Kind::Answer);
    let good = seen_answers("biz-status").next().unwrap().message;
    assert_eq!((good.status.result, good.status.cut), (Some(ResultField::Success), false));

    let business = seen_answers("biz-status").nth(1).unwrap().message;
    let biz = business.status.biz.unwrap();
    assert_eq!(text(biz.status.as_ref()), "10001");
    assert_eq!(text(biz.message.as_ref()), "insufficient user balance");
    assert_eq!(text(biz.extra.as_ref()), r#"{"testKey":"testVal"}"#);
    assert_eq!(business.status.result, Some(ResultField::Empty));

    let declared = seen_answers("idl-exception").next().unwrap().message;
    assert_eq!(declared.status.result, Some(ResultField::Exception(1)));

    let failed = seen_answers("plain-error").next().unwrap().message;
    let exception = failed.status.exception.unwrap();
    assert_eq!((exception.type_id, &*exception.message), (6, &b"biz error: database is gone"[..]));

    // Volo sends the business error in the header and an exception as payload.
    let both = seen_answers("volo-biz-status").nth(1).unwrap().message;
    assert_eq!(text(both.status.biz.unwrap().status.as_ref()), "7002");
    assert_eq!(both.status.exception.unwrap().type_id, 6);
}

#[test]
fn kitex_protobuf_is_told_by_its_magic_number() {
    let seen = seen("kitex-protobuf");
    assert!(seen.iter().all(|seen| seen.message.rpc == "kitex-protobuf"));
    assert!(seen.iter().all(|seen| seen.message.codec == Some("protobuf")));
    assert_eq!(text(seen[0].message.service.as_ref()), "MailBox");
    assert_eq!((seen[1].message.status.result, seen[1].message.status.cut), (None, false));
    assert_eq!(text(seen[3].message.status.biz.as_ref().unwrap().status.as_ref()), "7404");
    let exception = seen[5].message.status.exception.as_ref().unwrap();
    assert_eq!((exception.type_id, &*exception.message), (6, &b"biz error: sorter jammed"[..]));
}

#[test]
fn oneway_and_control_frames_are_told_apart_from_calls() {
    assert_eq!(seen("oneway")[0].message.kind, Kind::Oneway);
    let kinds: Vec<Kind> = seen("control").iter().map(|seen| seen.message.kind).collect();
    assert_eq!(kinds, [Kind::Request, Kind::Answer], "the frame that announces the shutdown is no answer");
    // A heartbeat on a connection whose client is known.
    let mut beats = conversation("idl-exception");
    beats.insert(1, (Side::A, frame(0, 7, b"\x10\x00\x01\x00\x16\x00\x016", b"")));
    beats.insert(2, (Side::B, frame(0, 7, b"\x10\x00\x01\x00\x16\x00\x016", b"")));
    assert_eq!(messages(&PROTOCOL, &beats).len(), 2);
}

#[test]
fn the_acl_token_has_the_name_that_kitex_gives_it() {
    let metadata = &seen("acl-token")[0].metadata;
    assert!(
        metadata.contains(&("RPC_TRANSIT_gdpr-token".to_owned(), "secret-token-1".to_owned())),
        "{metadata:?}"
    );
}

/// No library asks about the flag of an authentication (0x10): what bears it is a message all the same.
#[test]
fn a_message_with_the_flag_of_sasl_is_one() {
    let mut flagged = conversation("biz-status");
    for (_, bytes) in &mut flagged {
        bytes[7] |= 0x10;
    }
    let described = |conversation: &[(Side, Vec<u8>)]| {
        messages(&PROTOCOL, conversation).iter().map(|seen| format!("{seen:?}")).collect::<Vec<_>>()
    };
    assert_eq!(described(&flagged), described(&conversation("biz-status")));
}

/// Kind, side and stream of each message.
fn steps(seen: &[Seen]) -> Vec<(Kind, Side, i64)> {
    seen.iter().map(|seen| (seen.message.kind, seen.side, seen.message.id.number().unwrap())).collect()
}

#[test]
fn streams_open_carry_parts_and_end_with_a_status() {
    let failed = seen("stream-error");
    assert_eq!(
        steps(&failed),
        [
            (Kind::Open, Side::A, 1),
            (Kind::Part, Side::A, 1),
            (Kind::HalfClose, Side::A, 1),
            (Kind::Answer, Side::B, 1)
        ]
    );
    let trailer = &failed[3].message.status;
    assert!(trailer.trailer && !trailer.cut);
    assert_eq!(trailer.exception.as_ref().unwrap().type_id, 6);
    assert_eq!(text(failed[0].message.service.as_ref()), "FeedService");
    assert_eq!(text(failed[0].message.method.as_ref()), "FeedClient");
    assert_eq!(failed[0].message.rpc, "ttstream");

    let refused = seen("stream-biz-status");
    let kinds: Vec<Kind> = refused.iter().map(|seen| seen.message.kind).collect();
    assert_eq!(kinds, [Kind::Open, Kind::Part, Kind::Begin, Kind::Part, Kind::Answer, Kind::HalfClose]);
    assert_eq!(text(refused[4].message.status.biz.as_ref().unwrap().status.as_ref()), "10002");

    let cancelled = seen("stream-cancel");
    let reset = cancelled.iter().find(|seen| seen.message.kind == Kind::Reset).unwrap();
    let status = reset.message.status.reset.as_ref().unwrap();
    assert_eq!(
        (reset.side, status.code, text(status.cancel_path.as_ref())),
        (Side::A, Some(12007), "shop.web".to_owned())
    );
}

#[test]
fn an_empty_trailer_is_no_answer_while_the_client_is_unknown() {
    let trailer = |id| frame(2, id, b"\x10\x00\x01\x00\x1b\x00\x014", b"");
    let seen = messages(&PROTOCOL, &[(Side::B, trailer(4)), (Side::A, trailer(4))]);
    assert_eq!(steps(&seen), [(Kind::HalfClose, Side::B, 4), (Kind::HalfClose, Side::A, 4)]);
    // A later stream shows who the client is.
    let header = frame(2, 5, b"\x01\x00\x01\x00\x03isn\x00\x01S\x10\x00\x01\x00\x1b\x00\x012", b"");
    let seen = messages(&PROTOCOL, &[(Side::B, trailer(4)), (Side::A, header), (Side::B, trailer(6))]);
    assert_eq!(
        steps(&seen),
        [(Kind::HalfClose, Side::B, 4), (Kind::Open, Side::A, 5), (Kind::Answer, Side::B, 6)]
    );
    // Stream 0 is the connection.
    assert!(messages(&PROTOCOL, &[(Side::B, trailer(0))]).is_empty());
}

/// The last message of a side whose last frame is cut after `len` bytes and followed by a gap up to its end.
fn cut_answer(name: &str, len: usize) -> Option<Message<'static>> {
    let conversation = conversation(name);
    let (last, before) = conversation.split_last().unwrap();
    let mut pieces = before.to_vec();
    pieces.push((last.0, last.1[..len].to_vec()));
    let mut answers: Vec<Seen> = messages(&PROTOCOL, &pieces);
    let answer = answers.pop()?;
    let expected = messages(&PROTOCOL, &conversation).len();
    (answers.len() + 1 == expected).then_some(answer.message)
}

#[test]
fn a_cut_answer_says_cut_until_its_outcome_is_there() {
    let whole = conversation("biz-status").pop().unwrap().1;
    // `biz-status` is the last pair, behind the text; its value ends five bytes before the next section.
    let status = whole.windows(10).position(|bytes| bytes == b"biz-status").unwrap() + 10 + 2 + 5;
    for len in 14..whole.len() {
        let answer = cut_answer("biz-status", len).unwrap_or_else(|| panic!("no message from {len} bytes"));
        assert_eq!(
            (answer.kind, answer.id, answer.bytes),
            (Kind::Answer, CallId::Loose(5), whole.len() as u64)
        );
        assert_eq!(answer.status.cut, len < status, "{len} bytes");
        assert!(answer.truncated);
    }
    let whole = conversation("plain-error").pop().unwrap().1;
    for len in 14..whole.len() {
        let answer = cut_answer("plain-error", len).unwrap_or_else(|| panic!("no message from {len} bytes"));
        assert!(answer.status.exception.is_none() && answer.status.cut, "{len} bytes");
    }
}

#[test]
fn what_a_cut_frame_is_stays_open_while_nothing_tells() {
    let whole = &conversation("plain-error")[1].1;
    let alone = messages(&PROTOCOL, &[(Side::B, whole[..20].to_vec())]);
    assert!(alone.is_empty(), "{alone:?}");
    // With the message type in the header it is an answer, whatever is missing.
    let typed = messages(&PROTOCOL, &[(Side::B, whole[..30].to_vec())]);
    assert!(
        typed.len() == 1 && typed[0].message.kind == Kind::Answer && typed[0].message.status.cut,
        "{typed:?}"
    );
}

#[test]
fn hostile_headers_are_refused() {
    let good = frame(
        0,
        1,
        b"\x01\x00\x01\x00\x03isn\x00\x01S",
        b"\x80\x01\x00\x01\x00\x00\x00\x01m\x00\x00\x00\x01\x00",
    );
    assert_eq!(messages(&PROTOCOL, &[(Side::A, good.clone())]).len(), 1);
    let with = |at: usize, bytes: &[u8]| {
        let mut frame = good.clone();
        frame[at..at + bytes.len()].copy_from_slice(bytes);
        frame
    };
    for (name, bytes) in [
        ("header longer than the frame", with(12, &[0xff, 0xff])),
        ("no header", with(12, &[0, 0])),
        ("pairs without end", with(17, &[0xff, 0xff])),
        ("key longer than the header", with(19, &[0x7f, 0xff])),
        ("unknown section", with(16, &[0x55])),
        ("unknown protocol id", with(14, &[0x77])),
        ("length over the limit", with(0, &[0x40])),
    ] {
        assert!(messages(&PROTOCOL, &[(Side::A, bytes.clone())]).is_empty(), "{name}");
        let opening = Opening { bytes: [&bytes, &[]], from_start: [true, true], datagram: false };
        assert_eq!(PROTOCOL.detect(&opening), Detection::No, "{name}");
    }
}

#[test]
fn the_place_is_found_again_after_a_gap() {
    let conversation = conversation("idl-exception");
    let mut session = PROTOCOL.session();
    let mut kinds = Vec::new();
    session.data(Side::A, &conversation[0].1[..100], &mut |_, _| {});
    session.gap(Side::A, None, &mut |_, _| {});
    session.data(
        Side::A,
        &[b"\x00\x00\x10\x00garbage \x10\x00".as_slice(), &conversation[0].1].concat(),
        &mut |_, message| {
            kinds.push((message.kind(), message.start()));
        },
    );
    assert_eq!(kinds, [(Kind::Lost, 100), (Kind::Request, 100 + 14)]);
}

#[test]
fn a_gap_says_that_answers_are_lost_unless_it_lies_within_one() {
    let conversation = conversation("biz-status");
    let answer = &conversation[1].1;
    let kinds = |cut: usize, missing: usize| {
        let mut kinds = Vec::new();
        let mut session = PROTOCOL.session();
        session.data(Side::A, &conversation[0].1, &mut |_, _| {});
        session.data(Side::B, &answer[..cut], &mut |_, message| kinds.push(message.kind()));
        session.gap(Side::B, Some(missing as u64), &mut |_, message| kinds.push(message.kind()));
        kinds
    };
    let size = answer.len();
    assert_eq!(kinds(0, size), [Kind::Lost]);
    assert_eq!(kinds(size - 4, 4), [Kind::Answer, Kind::Complete]);
    assert_eq!(
        kinds(size - 4, 5),
        [Kind::Answer, Kind::Complete, Kind::Lost],
        "more than the answer is missing"
    );
    assert_eq!(kinds(size, 1), [Kind::Answer, Kind::Lost]);
}

#[test]
fn the_detail_view_names_keys_and_payload() {
    let request = &conversation("biz-status")[0].1;
    let fields = PROTOCOL.dissect(Side::A, request);
    let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "length",
            "magic",
            "flags",
            "seq_id",
            "header size",
            "protocol id",
            "transforms",
            "string pairs",
            "integer pairs",
            "payload"
        ]
    );
    let timeout = fields[8].children.iter().find(|field| field.name == "12 RPCTimeout").unwrap();
    assert_eq!(timeout.value, "3000");
    assert_eq!(&request[timeout.range.1 - 4..timeout.range.1], b"3000");
    let error = &conversation("plain-error")[1].1;
    let payload = PROTOCOL.dissect(Side::B, error).pop().unwrap();
    let exception = payload.children.last().unwrap();
    assert_eq!(exception.name, "TApplicationException");
    assert_eq!(exception.children[0].name, "1 string (message)");
    assert_eq!(exception.children[0].value, "biz error: database is gone");
    assert_eq!(exception.children[1].value, "6");
}

proptest! {
    #[test]
    fn sections_survive_what_a_writer_puts_in(
        strings in proptest::collection::vec(("[a-z-]{0,12}", "[ -~]{0,20}"), 0..6),
        integers in proptest::collection::vec((any::<u16>(), "[ -~]{0,20}"), 0..6),
        token in proptest::option::of("[ -~]{0,20}"),
    ) {
        let text = |text: &str| [&(text.len() as u16).to_be_bytes()[..], text.as_bytes()].concat();
        let mut written = Vec::new();
        if let Some(token) = &token {
            written.push(0x11);
            written.extend(text(token));
        }
        written.push(1);
        written.extend((strings.len() as u16).to_be_bytes());
        for (key, value) in &strings {
            written.extend([text(key), text(value)].concat());
        }
        written.push(0x10);
        written.extend((integers.len() as u16).to_be_bytes());
        for (key, value) in &integers {
            written.extend(key.to_be_bytes());
            written.extend(text(value));
        }
        let bytes = frame(0, 1, &written, b"");
        let (_, head) = fixed_head(&bytes).unwrap();
        let (mut read_strings, mut read_integers, mut read_token) = (Vec::new(), Vec::new(), None);
        let owned = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        sections(&bytes[14..head.payload()], |entry, _| match entry {
            Entry::String(key, value) => read_strings.push((owned(key), owned(value))),
            Entry::Integer(key, value) => read_integers.push((key, owned(value))),
            Entry::Acl(token) => read_token = Some(owned(token)),
        }).unwrap();
        prop_assert_eq!(read_strings, strings);
        prop_assert_eq!(read_integers, integers);
        prop_assert_eq!(read_token, token);
    }
}
