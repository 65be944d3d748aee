//! Detection, and the transports without a test file of their own: framed, buffered, THeader, mesh header.

use proptest::prelude::*;

use super::ThriftTransport;
use crate::protocol::{Detection, Opening, Protocol};
use crate::testing::flat::{CallId, Kind, ResultField, Side};
use crate::testing::{Seen, messages, own, samples};
use crate::thrift::dissect::dissect_message;
use crate::thrift::probe::Verdict;

const FORMS: [(&str, ThriftTransport); 6] = [
    ("ttheader", ThriftTransport::TtHeader),
    ("mesh_header", ThriftTransport::MeshHeader),
    ("theader", ThriftTransport::THeader),
    ("thrift_framed", ThriftTransport::Framed),
    ("thrift_buffered", ThriftTransport::Buffered),
    ("ttwitter", ThriftTransport::TTwitter),
];

fn seen(form: usize, name: &str) -> Vec<Seen> {
    let (module, protocol) = FORMS[form];
    messages(&protocol, &samples(module).remove(name).unwrap())
}

fn detect(form: ThriftTransport, a: &[u8], b: &[u8]) -> Detection {
    form.detect(&Opening { bytes: [a, b], from_start: [true, true], datagram: false })
}

#[test]
fn foreign_traffic_is_refused_by_its_first_bytes() {
    let foreign: &[(&str, &[u8])] = &[
        ("HTTP request", b"GET /index.html HTTP/1.1\r\nHost: example.org\r\n\r\n"),
        ("HTTP answer", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
        ("HTTP/2 settings", b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64\0\x04\0\x10\0\0\0\x06\0\0\x20\0"),
        (
            "TLS hello that looks like a version",
            b"\x16\x03\x01\x02\x80\x01\0\x02\x7c\x03\x03abcdefghijklmnop",
        ),
        ("TLS hello", b"\x16\x03\x01\x01\x10\x01\0\x01\x0c\x03\x03abcdefghijklmnopqrstuv"),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("Redis", b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"),
        ("DNS over TCP", b"\0\x1c\xbe\xef\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01"),
        ("PostgreSQL start", b"\0\0\0\x29\0\x03\0\0user\0alice\0database\0shop\0\0"),
        ("PostgreSQL TLS request", b"\0\0\0\x08\x04\xd2\x16\x2f"),
        ("MySQL greeting", b"\x4a\0\0\0\x0a8.0.36\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf"),
        ("Kafka ApiVersions", b"\0\0\0\x1b\0\x12\0\x03\0\0\0\x01\0\x0aclient-one\0\x01\0\0\0"),
        ("Kafka Produce", b"\0\0\0\x20\0\0\0\x09\0\0\0\x05\0\x08producer\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("ZooKeeper connect", b"\0\0\0\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\0\0\0\x10"),
        ("MongoDB", b"\x3f\0\0\0\x01\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x2a\0\0\0\x02hello\0"),
        ("Cassandra", b"\x04\0\0\0\x05\0\0\0\0\x04\0\0\0\0"),
        ("AMQP", b"AMQP\0\0\x09\x01\0\0\0\0"),
        ("tRPC", b"\x09\x30\0\0\0\0\0\x5f\0\x30\0\0\0\0\0\0\x08\x01\x18\x01"),
        ("zeros", &[0; 64]),
        ("ones", &[0xff; 64]),
        ("length-prefixed text", b"\0\0\0\x05hello\0\0\0\x05world\0\0\0\x03foo"),
        ("length-prefixed JSON", b"\0\0\0\x0f{\"id\":1,\"a\":[]}"),
    ];
    for (name, bytes) in foreign {
        for (_, form) in FORMS {
            assert_eq!(detect(form, bytes, b""), Detection::No, "{name} as {form:?}");
            assert_eq!(detect(form, b"", bytes), Detection::No, "{name} as {form:?}, sent by the server");
        }
    }
}

#[test]
fn old_forms_are_told_apart_by_lengths_that_add_up() {
    // A name of sixteen bytes reads as the length of a frame.
    let message = b"\0\0\0\x10listOrdersOfUser\x01\0\0\0\x01\x08\0\x01\0\0\0\x07\0";
    let framed = [&(message.len() as u32).to_be_bytes()[..], message].concat();
    assert_eq!(detect(ThriftTransport::Buffered, message, b""), Detection::Yes);
    assert_eq!(detect(ThriftTransport::Framed, message, b""), Detection::No);
    assert_eq!(detect(ThriftTransport::Framed, &framed, b""), Detection::Yes);
    assert_eq!(detect(ThriftTransport::Buffered, &framed, b""), Detection::No);
    // A frame whose length does not fit its message is none.
    for length in [message.len() as u32 - 1, message.len() as u32 + 1] {
        let wrong = [&length.to_be_bytes()[..], message, message].concat();
        assert_eq!(detect(ThriftTransport::Framed, &wrong, b""), Detection::No, "{length}");
    }
    // Without arguments the old form is a name and zeros: that needs an answer like it.
    let bare = b"\0\0\0\x04ping\x01\0\0\0\0\0";
    let answer = b"\0\0\0\x04ping\x02\0\0\0\0\0";
    assert_eq!(detect(ThriftTransport::Buffered, bare, b""), Detection::More);
    assert_eq!(detect(ThriftTransport::Buffered, bare, answer), Detection::Yes);
    assert_eq!(
        detect(ThriftTransport::Buffered, bare, b"\x80\x01\0\x02\0\0\0\x04ping\0\0\0\0\0"),
        Detection::Yes
    );
}

#[test]
fn more_bytes_of_a_message_never_take_back_what_was_seen() {
    for (module, form) in FORMS {
        for (name, conversation) in samples(module) {
            let (_, first) = &conversation[0];
            let verdicts: Vec<Verdict> = (0..=first.len()).map(|len| form.probe(&first[..len])).collect();
            assert!(verdicts.is_sorted(), "{module}/{name}: {verdicts:?}");
            assert_ne!(verdicts[0], Verdict::No, "{module}/{name}");
        }
    }
}

#[test]
fn framed_messages_of_every_encoding() {
    let strict = seen(3, "binary");
    assert_eq!((strict[0].message.transport, strict[0].message.codec), ("framed", Some("thrift-binary")));
    assert_eq!(strict[1].message.status.result, Some(ResultField::Success));
    assert_eq!(strict[3].message.status.result, Some(ResultField::Exception(1)));
    let old = seen(3, "old-binary");
    assert_eq!(old[3].message.status.result, Some(ResultField::Exception(2)));
    let compact = seen(3, "compact");
    assert_eq!(compact[0].message.codec, Some("thrift-compact"));
    assert_eq!(compact[3].message.status.result, Some(ResultField::Exception(1)));
    let multiplexed = seen(3, "multiplexed");
    assert_eq!(multiplexed[0].message.service.as_deref(), Some(&b"Stock"[..]));
    assert_eq!(multiplexed[0].message.method.as_deref(), Some(&b"fetch"[..]));
    let refused = seen(3, "exception");
    let exception = refused[1].message.status.exception.as_ref().unwrap();
    assert_eq!((exception.type_id, refused[1].message.kind), (20, Kind::Answer));
}

#[test]
fn kitex_protobuf_travels_framed_too() {
    let call = b"\0\0\0\x1c\x90\x01\0\x01\0\0\0\x04Send\0\0\0\x01\x0a\x02ok\x1a\x06letter";
    assert_eq!(detect(ThriftTransport::Framed, call, b""), Detection::Yes);
    let failed = b"\0\0\0\x1c\x90\x01\0\x03\0\0\0\x04Send\0\0\0\x01\x08\xac\x02\x12\x07no boat";
    let seen = messages(&ThriftTransport::Framed, &[(Side::A, call.to_vec()), (Side::B, failed.to_vec())]);
    assert_eq!((seen[0].message.rpc, seen[0].message.transport), ("kitex-protobuf", "framed"));
    let exception = seen[1].message.status.exception.as_ref().unwrap();
    assert_eq!((exception.type_id, &*exception.message), (300, &b"no boat"[..]));
}

#[test]
fn buffered_messages_end_where_their_structs_end() {
    for (name, sizes) in [
        ("binary", vec![76, 60, 17, 17, 82, 49, 88, 60]),
        ("compact", vec![16, 31, 19, 38, 18, 29, 12, 11]),
        ("old-request", vec![26, 89, 29, 58]),
    ] {
        let seen = seen(4, name);
        let found: Vec<u64> = seen.iter().map(|seen| seen.message.bytes).collect();
        assert_eq!(found, sizes, "{name}");
        assert!(seen.iter().all(|seen| seen.message.transport == "buffered" && !seen.message.more));
    }
}

#[test]
fn a_buffered_message_lives_through_a_hole_in_a_string() {
    let text = [b'x'; 100];
    let message =
        [b"\x80\x01\0\x01\0\0\0\x03put\0\0\0\x09\x0b\0\x01\0\0\0\x64".as_slice(), &text, b"\0"].concat();
    let (head, tail) = message.split_at(40);
    let mut session = ThriftTransport::Buffered.session();
    let mut seen = Vec::new();
    let mut emit = |side: Side, event: &crate::Event<'_>| {
        let message = own(side, event).message;
        seen.push((message.kind, message.id, message.start, message.bytes, message.truncated));
    };
    session.data(Side::A, head, &mut emit);
    session.gap(Side::A, Some(50), &mut emit);
    session.data(Side::A, &[&tail[50..], &message].concat(), &mut emit);
    let id = CallId::Loose(9);
    let size = message.len() as u64;
    assert_eq!(
        seen,
        [
            (Kind::Request, id, 0, 0, false),
            (Kind::Complete, id, size - 1, size, true),
            (Kind::Request, id, size, size, false),
        ]
    );
}

#[test]
fn theader_payloads_are_inflated_as_far_as_needed() {
    let plain = seen(2, "binary");
    assert_eq!((plain[0].message.transport, plain[0].message.rpc), ("theader", "thrift"));
    assert!(plain[0].metadata.contains(&("tenant".to_owned(), "t-1".to_owned())), "{:?}", plain[0].metadata);
    assert_eq!(seen(2, "compact")[1].message.codec, Some("thrift-compact"));
    let packed = seen(2, "zlib");
    assert_eq!(packed[0].message.method.as_deref(), Some(&b"fetch"[..]));
    assert_eq!(packed[1].message.status.result, Some(ResultField::Success));
    assert_eq!(packed[3].message.status.result, Some(ResultField::Exception(1)));
    assert!(packed.iter().all(|seen| !seen.message.status.cut));
}

#[test]
fn a_message_in_another_transform_is_known_by_its_number_and_sender() {
    let hidden = |at: &[usize]| {
        let mut packed = samples("theader").remove("zlib").unwrap();
        for at in at {
            // Snappy in place of zlib.
            assert_eq!(std::mem::replace(&mut packed[*at].1[16], 3), 1);
        }
        let seen = messages(&ThriftTransport::THeader, &packed);
        seen.into_iter().map(|seen| (seen.side, seen.message)).collect::<Vec<_>>()
    };
    let whole = hidden(&[]);
    let answers = hidden(&[1, 3]);
    assert_eq!(answers.len(), 4);
    for (at, (side, message)) in answers.iter().enumerate() {
        assert_eq!((*side, message.kind, message.id), (whole[at].0, whole[at].1.kind, whole[at].1.id));
        assert_eq!((message.bytes, message.transport), (whole[at].1.bytes, "theader"));
        assert_eq!((message.status.cut, message.method.is_some()), (at % 2 == 1, at % 2 == 0));
    }
    let request = &hidden(&[2])[2].1;
    assert_eq!((request.kind, request.id, request.truncated), (Kind::Request, whole[2].1.id, true));
    assert_eq!(request.method, None);
    // Who asks is not known yet.
    let kinds: Vec<_> = hidden(&[0, 2]).iter().map(|(_, message)| message.kind).collect();
    assert_eq!(kinds, [Kind::Answer, Kind::Request, Kind::Answer]);
}

#[test]
fn a_mesh_header_names_the_service_of_any_form_behind_it() {
    for name in ["framed", "buffered", "ttheader"] {
        let seen = seen(1, name);
        assert!(seen.iter().all(|seen| seen.message.transport == "mesh-header"), "{name}");
        assert_eq!(seen[0].message.service.as_deref(), Some(&b"OrderService"[..]), "{name}");
        assert_eq!(seen[0].metadata[0], ("isn".to_owned(), "OrderService".to_owned()));
        assert_eq!(seen[1].message.kind, Kind::Answer);
    }
    // A mesh header in a mesh header is refused.
    let nested = b"\xff\xaf\0\x02\0\0\xff\xaf\0\x02\0\0\0\0\0\x20\x80\x01\0\x01";
    assert_eq!(detect(ThriftTransport::MeshHeader, nested, b""), Detection::No);
    assert!(messages(&ThriftTransport::MeshHeader, &[(Side::A, nested.to_vec())]).is_empty());
}

#[test]
fn one_connection_may_change_its_form() {
    let piece = |module: &str, name: &str, at: usize| samples(module).remove(name).unwrap().remove(at).1;
    let conversation = [
        (Side::A, piece("thrift_framed", "binary", 0)),
        (Side::B, piece("thrift_buffered", "compact", 1)),
        (Side::A, piece("ttheader", "idl-exception", 0)),
        (Side::A, piece("theader", "binary", 0)),
        (Side::B, piece("mesh_header", "buffered", 1)),
    ];
    let transports: Vec<_> =
        messages(&ThriftTransport::Framed, &conversation).iter().map(|seen| seen.message.transport).collect();
    assert_eq!(transports, ["framed", "buffered", "ttheader", "theader", "mesh-header"]);
}

/// The nodes of a tree, depth first: `name = value`.
fn lines(fields: &[crate::protocol::Field]) -> Vec<String> {
    fields
        .iter()
        .flat_map(|field| {
            let own = if field.value.is_empty() {
                field.name.clone()
            } else {
                format!("{} = {}", field.name, field.value)
            };
            std::iter::once(own).chain(lines(&field.children))
        })
        .collect()
}

#[test]
fn fields_are_shown_by_number_type_and_value() {
    let compact = samples("thrift_buffered").remove("compact").unwrap().remove(1).1;
    assert_eq!(
        lines(&ThriftTransport::Buffered.dissect(Side::B, &compact)),
        [
            "protocol = 0x82",
            "type = 2 REPLY, version 1",
            "seq_id = 1",
            "name = fetch",
            "result",
            "0 struct (success)",
            "1 string = ok-1",
            "2 i32 = 5",
            "3 list = 1 elements",
            "0 string = j",
            "5 bool = true",
            "20 string = 0x0001ff",
        ]
    );
    let json = br#"[1,"add",2,7,{"0":{"i32":9}}]"#;
    assert_eq!(
        lines(&dissect_message(json, 0)),
        ["name = add", "type = 2 REPLY", "seq_id = 7", r#"struct = {"0":{"i32":9}}]"#]
    );
    // The fields of a compressed payload have the range of the payload.
    let packed = samples("theader").remove("zlib").unwrap().remove(3).1;
    let payload = ThriftTransport::THeader.dissect(Side::B, &packed).pop().unwrap();
    assert!(
        lines(std::slice::from_ref(&payload)).contains(&"1 struct (exception)".to_owned()),
        "{payload:?}"
    );
    assert!(payload.children.iter().all(|field| field.range == payload.range));
    // Depth and number of the fields are bounded.
    let deep = [b"\x80\x01\0\x01\0\0\0\x01m\0\0\0\x01".as_slice(), &[12, 0, 1].repeat(5000)].concat();
    assert!(lines(&dissect_message(&deep, 0)).len() < 50);
    let wide = [b"\x80\x01\0\x01\0\0\0\x01m\0\0\0\x01".as_slice(), &[3, 0, 1, 5].repeat(5000)].concat();
    assert!(lines(&dissect_message(&wide, 0)).len() < 500);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_is_final(start in 0_usize..9, tail in proptest::collection::vec(0_u8..130, 0..60)) {
        let head: &[u8] = [
            &b""[..], b"\0\0\0\x20\x10\0\0\0", b"\0\0\0\x30\x0f\xff\0\0", b"\0\0\0\x20\x80\x01\0\x02\0\0\0\x04name",
            b"\xff\xaf\0\x02\0\0\0\0\0\x20\x80\x01\0", b"\x82\x21\x05\x04name", b"\0\0\0\x03add\x01\0\0\0\x05",
            b"\0\0\0\x20\0\0\0\x03add\x01\0\0\0\x05", b"\0\0\0\x20[1,\"add\"",
        ][start];
        let bytes = [head, &tail].concat();
        for (_, form) in FORMS {
            let mut refused = false;
            for len in 1..=bytes.len() {
                let probe = form.probe(&bytes[..len]);
                prop_assert!(!refused || probe == Verdict::No, "{:?} comes back after {} bytes", form, len);
                refused = probe == Verdict::No;
            }
        }
    }

    #[test]
    fn random_bytes_behind_a_magic_number_never_panic(
        start in 0_usize..8,
        length in 0_u32..300,
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        cut in 0_usize..300,
    ) {
        let magic: &[u8] = [
            &b"\x10\x00"[..], b"\x10\x00\x00\x02", b"\x0f\xff", b"\x80\x01\x00\x02", b"\x90\x01\x00\x03", b"\x82\x41",
            b"\x00\x00\x00\x03add", b"[1,\"a\",2,0,{",
        ][start];
        let bytes = [&length.to_be_bytes()[..], magic, &tail].concat();
        for (_, form) in FORMS {
            let mut session = form.session();
            let cut = cut.min(bytes.len());
            for side in [Side::A, Side::B] {
                session.data(side, &bytes[..cut], &mut |_, _| {});
                session.gap(side, Some(3), &mut |_, _| {});
                session.data(side, &bytes[cut..], &mut |_, _| {});
                session.end(side, &mut |_, _| {});
                form.dissect(side, &bytes);
                form.detect(&Opening { bytes: [&bytes, &tail], from_start: [true, false], datagram: false });
            }
        }
    }
}

#[test]
fn finagle_says_who_calls_in_a_header_struct() {
    let seen = seen(5, "upgraded");
    // The upgrade itself is no call.
    let kinds: Vec<Kind> = seen.iter().map(|seen| seen.message.kind).collect();
    assert_eq!(kinds, [Kind::Request, Kind::Answer].repeat(3));
    assert!(seen.iter().all(|seen| seen.message.transport == "ttwitter" && seen.message.rpc == "thrift"));
    let find = &seen[0];
    assert_eq!(find.message.method.as_deref(), Some(&b"find"[..]));
    assert_eq!(
        (find.message.caller.as_deref(), find.message.timeout),
        (Some(&b"web"[..]), Some(250_000_000))
    );
    let value = |at: usize, key: &str| {
        let metadata: &[(String, String)] = &seen[at].metadata;
        metadata.iter().find(|(known, _)| known == key).map(|(_, value)| value.clone())
    };
    for (key, expected) in [
        ("X-B3-TraceId", "0102030405060708"),
        ("X-B3-SpanId", "1112131415161718"),
        ("X-B3-ParentSpanId", "0102030405060708"),
        ("X-B3-Sampled", "1"),
        ("client_id", "web"),
        ("tenant", "north"),
        ("dest", "/s/stock"),
    ] {
        assert_eq!(value(0, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(value(2, "X-B3-TraceId").as_deref(), Some("71727374757677780102030405060708"));
    assert_eq!((seen[2].message.timeout, seen[4].message.caller.as_deref()), (None, None));
    assert_eq!(value(3, "server"), None);
}

#[test]
fn a_server_that_does_not_know_the_upgrade_goes_on_without_headers() {
    let [(_, call), ..] = &samples("ttwitter").remove("upgraded").unwrap()[..] else { panic!("no call") };
    let refusal =
        b"\0\0\0\x2c\x80\x01\0\x03\0\0\0\x1b__can__finagle__trace__v3__\0\0\0\0\x08\0\x02\0\0\0\x01\0";
    let ping = b"\0\0\0\x11\x80\x01\0\x01\0\0\0\x04ping\0\0\0\x01\0";
    let conversation = [(Side::A, call.clone()), (Side::B, refusal.to_vec()), (Side::A, ping.to_vec())];
    let seen = messages(&ThriftTransport::TTwitter, &conversation);
    let [ping] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((ping.message.method.as_deref(), ping.message.transport), (Some(&b"ping"[..]), "framed"));
}

#[test]
fn a_datagram_is_one_message() {
    let datagram = |bytes: &[u8]| {
        let opening = Opening { bytes: [bytes, b""], from_start: [true, true], datagram: true };
        ThriftTransport::Buffered.detect(&opening)
    };
    // emitBatch, a one-way call with a struct, compact and binary.
    let compact = b"\x82\x81\x01\x09emitBatch\x1c\x1c\x18\x03web\0\x19\x0c\0\0";
    let binary = b"\x80\x01\0\x04\0\0\0\x09emitBatch\0\0\0\x01\x0c\0\x01\x0b\0\x01\0\0\0\x03web\0\0";
    for bytes in [&compact[..], binary] {
        assert_eq!(datagram(bytes), Detection::Yes);
        assert_eq!(datagram(&[bytes, b"\0"].concat()), Detection::No, "more than a message");
        for cut in 0..bytes.len() {
            assert_eq!(datagram(&bytes[..cut]), Detection::No, "{cut} bytes of a short one");
        }
        let mut session = ThriftTransport::Buffered.session();
        let mut seen = Vec::new();
        for _ in 0..2 {
            session.datagram(Side::A, bytes, &mut |_, event| {
                let head = *event.head().unwrap();
                seen.push((event.kind(), head.transport.name(), head.start, head.bytes, head.truncated));
            });
        }
        let size = bytes.len() as u64;
        let first = (crate::event::Kind::Oneway, "datagram", 0, size, false);
        assert_eq!(seen, [first, (first.0, first.1, size, size, false)]);
        session.datagram(Side::A, &[bytes, b"\0"].concat(), &mut |_, _| panic!("two messages"));
        assert!(session.trouble().is_some());
    }
    // The rest of a long one may be cut off.
    let long = [&b"\x80\x01\0\x01\0\0\0\x03put\0\0\0\x01\x0b\0\x01\0\0\x02\0"[..], &[b'x'; 300]].concat();
    assert_eq!(datagram(&long), Detection::Yes);
    // RTP with two sources, and the old form, which has no version.
    let rtp = b"\x82\x21\x05\x04abcd\0\0\0\0more of the payload";
    let old = b"\0\0\0\x03add\x01\0\0\0\x06\x08\0\x01\0\0\0\x04\0";
    for foreign in [&rtp[..], old, b"hello", b""] {
        assert_eq!(datagram(foreign), Detection::No);
    }
}

#[test]
fn json_needs_no_frame() {
    let seen = seen(4, "json");
    let calls: Vec<_> =
        seen.iter().filter(|seen| seen.message.kind != Kind::Complete).map(|seen| &seen.message).collect();
    let methods: Vec<_> = calls.iter().filter_map(|message| message.method.as_deref()).collect();
    let expected = ["ping", "ping", "add", "add", "divide", "divide", "ghost", "ghost", "zip"];
    assert_eq!(methods, expected.map(str::as_bytes));
    assert!(
        calls.iter().all(|message| (message.transport, message.codec) == ("buffered", Some("thrift-json")))
    );
    for foreign in [&br#"[1,"realm",{"roles":{}}]"#[..], br"[1,2,3,4,{}]", br#"[1,"x",1,0,"no struct"]"#] {
        assert_ne!(detect(ThriftTransport::Buffered, foreign, b""), Detection::Yes);
    }
}

#[test]
fn dce_rpc_is_no_ttheader_of_80_megabytes() {
    // A bind request and a request, little-endian as nearly always.
    let bind = b"\x05\0\x0b\x03\x10\0\0\0\x48\0\0\0\x01\0\0\0\xd0\x16\xd0\x16\0\0\0\0\x01\0\0\0\0\0\x01\0";
    let request = b"\x05\0\0\x03\x10\0\0\0\x18\x01\x10\0\x01\0\0\0\0\x01\0\0\0\0\x07\0";
    for pdu in [&bind[..], request] {
        assert_eq!(detect(ThriftTransport::TtHeader, pdu, b""), Detection::No);
    }
}
