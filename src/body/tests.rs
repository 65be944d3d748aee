//! Bodies of real captures, with descriptions that fit, older ones and several.

mod capture;

use capture::{ThriftCall, folder, grpc_messages, same, thrift_calls, truth};
use serde_json::{Value as Json, json};

use super::*;

const THRIFT: [(&str, bool, &str); 2] = [
    ("thrift-py-framed-binary", true, "thrift-binary"),
    ("thrift-py-buffered-compact", false, "thrift-compact"),
];

fn idl(folders: &[&str]) -> Descriptions {
    let idl = folders.iter().map(|name| folder().join(name)).collect();
    Descriptions::load(&Sources { idl, ..Sources::default() }).unwrap()
}

fn as_json(value: &Value) -> Json {
    serde_json::from_str(&value.to_json()).unwrap()
}

fn thrift_context<'a>(codec: &'a str, method: &'a str, answer: bool) -> Context<'a> {
    Context {
        rpc: Rpc::Thrift,
        codec: Some(codec),
        service: None,
        method: Some(method),
        answer,
        encoding: None,
    }
}

/// Holds a call against the truth; says what is wrong.
fn held(call: &ThriftCall, codec: &str, truth: &Json, descriptions: &Descriptions) -> Result<(), String> {
    let request = decode(&call.request, &thrift_context(codec, &call.method, false), descriptions);
    let given = json!([as_json(&request.value)]);
    if !same(&truth["request"], &given) {
        return Err(format!("request {given}\n{:?}", request.notes));
    }
    let answer = call.answer.as_deref().filter(|_| !call.failed);
    let Some(answer) = answer else { return Ok(()) };
    let answer = decode(answer, &thrift_context(codec, &call.method, true), descriptions);
    let given = json!([as_json(&answer.value)]);
    let nothing = |value: &Json| *value == json!([]) || *value == json!([null]);
    if !(same(&truth["response"], &given) || nothing(&truth["response"]) && nothing(&given)) {
        return Err(format!("answer {given}\n{:?}", answer.notes));
    }
    let exception = &truth["exception"];
    match &answer.exception {
        None if exception.is_null() => Ok(()),
        Some(found)
            if found.name.as_deref() == exception["name"].as_str()
                && same(&exception["fields"], &as_json(&found.fields)) =>
        {
            match exception["field"].as_str() {
                Some(field) if field != found.field => Err(format!("exception's field {}", found.field)),
                _ => Ok(()),
            }
        }
        found => Err(format!("exception {found:?}")),
    }
}

/// Every call has the body of its line in the truth.
fn hold_all(name: &str, framed: bool, codec: &str, truths: &str, descriptions: &Descriptions) {
    let calls = thrift_calls(name, framed);
    let mut left = truth(truths);
    assert_eq!(calls.len(), left.len());
    for call in &calls {
        let place = left.iter().position(|truth| {
            truth["method"] == call.method && held(call, codec, truth, descriptions).is_ok()
        });
        let Some(place) = place else {
            let truths = left.iter().filter(|truth| truth["method"] == call.method);
            let why: Vec<_> = truths.map(|truth| held(call, codec, truth, descriptions)).collect();
            panic!("{name}: {}: {why:#?}", call.method);
        };
        left.remove(place);
    }
}

#[test]
fn thrift_bodies_have_the_names_of_their_idl() {
    for (name, framed, codec) in THRIFT {
        hold_all(name, framed, codec, &format!("{name}.payload"), &idl(&["idl"]));
    }
}

#[test]
fn thrift_bodies_that_an_older_idl_describes_keep_what_does_not_fit_by_number() {
    for (name, framed, codec) in THRIFT {
        hold_all(name, framed, codec, &format!("{name}.payload-old"), &idl(&["idl-old"]));
    }
}

#[test]
fn methods_of_the_same_name_are_told_apart_by_what_fits() {
    for (name, framed, codec) in THRIFT {
        hold_all(name, framed, codec, &format!("{name}.payload"), &idl(&["idl-two"]));
        hold_all(name, framed, codec, &format!("{name}.payload"), &idl(&["idl", "idl-two"]));
    }
}

/// An IDL in a folder of its own.
fn idl_of(text: &str) -> Descriptions {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.thrift");
    std::fs::write(&path, text).unwrap();
    Descriptions::load(&Sources { idl: vec![path], ..Sources::default() }).unwrap()
}

const RESULT: &[u8] = b"\x0c\0\x01\x08\0\x01\0\0\x01\x93\x0b\0\x02\0\0\0\x04gone\x08\0\x07\0\0\0\x01\0\0";

#[test]
fn exceptions_have_code_and_text_by_the_names_of_their_fields() {
    let service = "service S { void f() throws (1: E e) }";
    for (fields, code, message) in [
        ("1: i32 code, 2: string message, 7: i32 status", Some(403), Some("gone")),
        ("1: i32 status, 2: string Err_Msg, 7: i32 errCode", Some(1), Some("gone")),
        ("1: i32 id, 2: string name", None, None),
        ("1: Why why, 2: binary message, 7: Why code", Some(1), None),
        // Types that do not fit.
        ("1: i64 code, 2: i32 message, 7: i32 other", None, None),
    ] {
        let from = idl_of(&format!("enum Why {{ A = 1 }} exception E {{ {fields} }} {service}"));
        let read = decode(RESULT, &thrift_context("thrift-binary", "f", true), &from);
        let exception = read.exception.unwrap();
        assert_eq!((exception.code, exception.message.as_deref()), (code, message), "{fields}");
        assert_eq!((exception.name.as_deref(), exception.field_id, read.value), (Some("E"), 1, Value::Null));
    }
    let from = idl_of(&format!("exception E {{ 1: string a, 3: i32 b }} {service}"));
    let read = decode(RESULT, &thrift_context("thrift-binary", "f", true), &from);
    assert_eq!(read.exception.unwrap().name, None);
    assert_eq!(read.notes[0].kind, NoteKind::DescriptionMismatch);
}

#[test]
fn the_service_that_the_wire_names_decides() {
    let from = idl_of(
        "service A { void f(1: i32 a) } service B { void f(1: i32 b) } service C extends B {} service D { void g(1: i32 d) }",
    );
    let body = b"\x08\0\x01\0\0\0\x05\0";
    let read = |service: Option<&str>, method: &str| {
        let context = Context { service, ..thrift_context("thrift-binary", method, false) };
        let read = decode(body, &context, &from);
        (read.value.to_json(), read.guessed, read.notes.first().map(|note| note.kind))
    };
    assert_eq!(read(Some("A"), "f"), (r#"{"a":5}"#.into(), false, None));
    assert_eq!(read(Some("pkg.C"), "f"), (r#"{"b":5}"#.into(), false, None));
    assert_eq!(read(None, "f"), (r#"{"1":5}"#.into(), false, Some(NoteKind::MethodAmbiguous)));
    assert_eq!(read(Some("X"), "f"), (r#"{"1":5}"#.into(), false, Some(NoteKind::MethodAmbiguous)));
    // Another service's method that fits wholly is a guess.
    assert_eq!(read(Some("X"), "g"), (r#"{"d":5}"#.into(), true, None));
    assert_eq!(read(None, "h"), (r#"{"1":5}"#.into(), false, None));
}

#[test]
fn messages_of_streams_are_the_structs_themselves() {
    let from = idl_of(
        "struct Q { 1: i32 q } struct R { 1: i32 r } service S { R f(1: Q q) (streaming.mode = \"bidirectional\") }",
    );
    let body = b"\x08\0\x01\0\0\0\x05\0";
    for (answer, expected) in [(false, r#"{"q":5}"#), (true, r#"{"r":5}"#)] {
        let context = Context { rpc: Rpc::Ttstream, ..thrift_context("thrift-binary", "f", answer) };
        assert_eq!(decode(body, &context, &from).value.to_json(), expected);
    }
}

#[test]
fn bodies_that_can_not_be_read_are_shown_as_they_are() {
    let none = Descriptions::default();
    let context = |codec| thrift_context(codec, "f", false);
    for (codec, bytes) in
        [("thrift-binary", &b"\x07\0"[..]), ("protobuf", b"\x07"), ("json", b"\xff"), ("jce", b"\x0b\x01")]
    {
        let read = decode(bytes, &context(codec), &none);
        assert_eq!(
            (read.value, read.notes[0].kind),
            (Value::Raw(bytes.to_vec()), NoteKind::Undecodable),
            "{codec}"
        );
    }
    assert_eq!(decode(b"not json", &context("json"), &none).value, Value::Text("not json".into()));
    let cut = decode(b"\x08\0\x01\0\0\0\x05\x08\0", &context("thrift-binary"), &none);
    assert_eq!((cut.value.to_json().as_str(), cut.notes[0].kind), (r#"{"1":5}"#, NoteKind::Cut));
    let packed = Context { encoding: Some("br"), ..context("json") };
    assert_eq!(decode(b"{}", &packed, &none).notes[0].kind, NoteKind::Undecodable);
    let long = vec![b' '; BODY_LIMIT + 1];
    assert!(decode(&long, &context("xml"), &none).notes.iter().any(|note| note.kind == NoteKind::Cut));
}

#[test]
fn protobuf_without_a_description_is_read_by_number() {
    let context = Context {
        rpc: Rpc::Grpc,
        codec: Some("protobuf"),
        service: None,
        method: None,
        answer: false,
        encoding: None,
    };
    for name in ["grpc-go-unary-types", "grpc-go-unknown-fields", "grpc-go-old-proto"] {
        for message in grpc_messages(name).into_iter().flatten().flatten() {
            let decoded = decode(&message, &context, &Descriptions::default());
            assert!(decoded.guessed && decoded.notes.is_empty(), "{decoded:?}");
            assert!(matches!(decoded.value, Value::Object(_)));
        }
    }
    let unknown = grpc_messages("grpc-go-unknown-fields");
    let [request, _] = &unknown[0];
    let decoded = decode(&request[0], &context, &Descriptions::default());
    assert_eq!(decoded.value.to_json(), r#"{"1":6,"1023":"hello"}"#);
}

#[cfg(feature = "descriptors")]
mod with_descriptors {
    use super::*;

    fn sources(proto: &[&str], sets: &[&str]) -> Descriptions {
        let paths = |names: &[&str]| names.iter().map(|name| folder().join(name)).collect();
        let sources = Sources { proto: paths(proto), descriptor_sets: paths(sets), ..Sources::default() };
        Descriptions::load(&sources).unwrap()
    }

    fn decoded(
        bytes: &[u8],
        service: Option<&str>,
        method: &str,
        answer: bool,
        from: &Descriptions,
    ) -> Decoded {
        let context = Context {
            rpc: Rpc::Grpc,
            codec: Some("protobuf"),
            service,
            method: Some(method),
            answer,
            encoding: None,
        };
        decode(bytes, &context, from)
    }

    /// Every call has the messages of its line in the truth; `skipped` calls of something else come first.
    fn hold(name: &str, truths: &str, skipped: usize, from: &Descriptions) {
        let calls = grpc_messages(name).split_off(skipped);
        let truths = truth(truths);
        assert_eq!(calls.len(), truths.len(), "{name}");
        for (sides, truth) in calls.iter().zip(truths) {
            for (messages, key) in sides.iter().zip(["request", "response"]) {
                let answer = key == "response";
                let method = truth["method"].as_str().unwrap();
                let read =
                    |message: &Vec<u8>| decoded(message, truth["service"].as_str(), method, answer, from);
                let mut decoded: Vec<_> = messages.iter().map(read).collect();
                for message in &mut decoded {
                    let fits = !message.notes.iter().any(|note| note.kind == NoteKind::DescriptionMismatch);
                    message.settle(fits);
                }
                let given: Vec<_> = decoded.iter().map(|message| as_json(&message.value)).collect();
                let expected = &truth[key];
                assert!(
                    same(expected, &json!(given)),
                    "{name} {method} {key}:\n{expected}\n{}",
                    json!(given)
                );
                let has_unknown = decoded.iter().any(|message| message.unknown.is_some());
                assert_eq!(has_unknown, truth.get(format!("{key}_unknown_hex")).is_some(), "{name} {key}");
            }
        }
    }

    #[test]
    fn protobuf_bodies_have_the_names_of_their_descriptors() {
        let lone =
            Sources { proto: vec![folder().join("proto/orders/v1/orders.proto")], ..Sources::default() };
        let all = [sources(&["proto"], &[]), sources(&[], &["all.pb"]), Descriptions::load(&lone).unwrap()];
        for from in &all {
            for name in [
                "grpc-go-unary-types",
                "grpc-go-old-proto",
                "grpc-go-unknown-fields",
                "grpc-go-status-details",
            ] {
                hold(name, &format!("{name}.payload"), 0, from);
            }
        }
        let numbers = grpc_messages("grpc-go-unknown-fields")[0][0][0].clone();
        let mut value = decoded(&numbers, Some("orders.v1.Orders"), "Find", false, &all[0]);
        assert_eq!(value.value.to_json(), r#"{"id":"6","1023":"hello"}"#);
        assert_eq!(value.type_name.as_deref(), Some("orders.v1.OrderId"));
        value.settle(true);
        assert_eq!(value.value.to_json(), r#"{"id":"6"}"#);
        assert_eq!(value.unknown.unwrap().to_json(), r#"{"1023":"hello"}"#);
    }

    #[test]
    fn a_packed_field_without_elements_is_absent() {
        // Order: 11 deltas, packed, and 16 free_form, whose field "a" is an empty list.
        let bytes = b"\x5a\x00\x82\x01\x09\x0a\x07\x0a\x01a\x12\x02\x32\x00";
        let read = decoded(bytes, Some("orders.v1.Orders"), "Find", true, &sources(&["proto"], &[]));
        assert_eq!(read.value.to_json(), r#"{"freeForm":{"a":[]}}"#);
    }

    #[test]
    fn fields_that_no_description_names_keep_their_place_when_they_stand_apart() {
        // Order: 3 lines of which the second has field 9 twice, 7 by_shelf {1: Line with field 9}, 28 parent with field 700.
        let bytes = [
            &b"\x1a\x03\x0a\x01a"[..],
            b"\x1a\x07\x0a\x01b\x48\x05\x48\x06",
            b"\x3a\x06\x08\x01\x12\x02\x48\x07",
            b"\xe2\x01\x04\xe2\x2b\x01x",
        ]
        .concat();
        let from = sources(&["proto"], &[]);
        let read = || decoded(&bytes, Some("orders.v1.Orders"), "Find", true, &from);
        let kinds: Vec<_> = read().notes.iter().map(|note| note.kind).collect();
        assert_eq!(kinds, [NoteKind::UnknownFields]);
        let (mut apart, mut among) = (read(), read());
        apart.settle(true);
        assert_eq!(
            apart.value.to_json(),
            r#"{"lines":[{"sku":"a"},{"sku":"b"}],"byShelf":{"1":{}},"parent":{}}"#
        );
        assert_eq!(
            apart.unknown.unwrap().to_json(),
            r#"{"lines":[{},{"9":[5,6]}],"byShelf":{"1":{"9":7}},"parent":{"700":"x"}}"#
        );
        among.settle(false);
        assert_eq!(
            (among.value.to_json().as_str(), among.unknown),
            (
                r#"{"lines":[{"sku":"a"},{"sku":"b","9":[5,6]}],"byShelf":{"1":{"9":7}},"parent":{"700":"x"}}"#,
                None
            )
        );
    }

    #[test]
    fn a_field_of_a_map_entry_that_is_neither_key_nor_value_is_said() {
        // Order: 7 by_shelf {1: Line with sku "a"}, and field 3 in the entry.
        let bytes = b"\x3a\x09\x08\x01\x12\x03\x0a\x01a\x18\x05";
        let read = decoded(bytes, Some("orders.v1.Orders"), "Find", true, &sources(&["proto"], &[]));
        assert_eq!(read.value.to_json(), r#"{"byShelf":{"1":{"sku":"a"}}}"#);
        let notes: Vec<_> = read.notes.iter().map(|note| (note.kind.name(), note.text.as_str())).collect();
        let text = "byShelf: field 3 of a map entry, which has a key and a value only, is not shown";
        assert_eq!(notes, [("unknown-fields", text)]);
    }

    #[test]
    fn bodies_that_older_descriptors_describe_keep_what_does_not_fit_by_number() {
        hold("grpc-go-old-proto", "grpc-go-old-proto.payload-old", 0, &sources(&["proto-old"], &[]));
        let message = &grpc_messages("grpc-go-old-proto")[0][1][0];
        let read = decoded(message, Some("orders.v1.Orders"), "Find", true, &sources(&["proto-old"], &[]));
        let notes: Vec<_> = read.notes.iter().map(|note| (note.kind.name(), note.text.as_str())).collect();
        assert_eq!(
            notes[0],
            (
                "description-mismatch",
                "lines.count: field 2 has another type on the wire than the description says"
            )
        );
    }

    #[test]
    fn descriptors_are_learnt_from_reflection() {
        let name = "grpc-go-reflection-v1";
        let calls = grpc_messages(name);
        let mut learnt = Descriptions::default();
        let skipped = calls.len() - truth(&format!("{name}.payload")).len();
        // ServerReflectionResponse: 4 file_descriptor_response: 1 file_descriptor_proto.
        for message in calls[..skipped].iter().flat_map(|[_, answers]| answers) {
            for field in rpcscope_parsers::protobuf::fields(message) {
                if let (4, rpcscope_parsers::protobuf::Value::Bytes(files)) = (field.number, field.value) {
                    for file in rpcscope_parsers::protobuf::fields(files) {
                        let rpcscope_parsers::protobuf::Value::Bytes(file) = file.value else {
                            panic!("no file")
                        };
                        learnt.learn_file(file);
                    }
                }
            }
        }
        assert!(!learnt.is_empty());
        hold(name, &format!("{name}.payload"), skipped, &learnt);
    }

    #[test]
    fn a_cut_message_keeps_its_names() {
        let from = sources(&["proto"], &[]);
        let message = &grpc_messages("grpc-go-unary-types")[0][0][0];
        let read = decoded(&message[..message.len() - 1], Some("orders.v1.Orders"), "Place", false, &from);
        let Value::Object(fields) = &read.value else { panic!("no message") };
        assert!(fields.len() > 20 && fields.iter().all(|(name, _)| name.parse::<u32>().is_err()));
        assert_eq!(read.notes[0].kind, NoteKind::Cut);
        // The service is not told: what fits is taken.
        let read = decoded(message, None, "Place", false, &from);
        assert_eq!((read.guessed, read.type_name.as_deref()), (false, Some("orders.v1.Order")));
        let read = decoded(message, Some("other.Orders"), "Place", false, &from);
        assert!(read.guessed);
    }

    #[test]
    fn details_of_a_status_are_named() {
        let any = |name: &str, content: &[u8]| {
            let url = format!("type.googleapis.com/{name}");
            let mut any = vec![0x0a, url.len() as u8];
            any.extend(url.bytes());
            any.extend([0x12, content.len() as u8]);
            any.extend(content);
            let mut detail = vec![0x1a, any.len() as u8];
            detail.extend(any);
            detail
        };
        let mut status = b"\x08\x09\x12\x02no".to_vec();
        status.extend(any("common.v1.StockShortage", b"\x0a\x03B-2\x10\x09\x22\x01\x02"));
        status.extend(any("google.protobuf.Duration", b"\x08\x01\x10\x80\xca\xb5\xee\x01"));
        status.extend(any("google.rpc.ErrorInfo", b"\x0a\x01R\x1a\x06\x0a\x01k\x12\x01v"));
        status.extend(any("unknown.Type", b"\x08\x05"));
        let expected = [
            r#"{"@type":"type.googleapis.com/common.v1.StockShortage","sku":"B-2","wanted":9,"colors":["GREEN"]}"#,
            r#"{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.500s"}"#,
            r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"R","metadata":{"k":"v"}}"#,
            r#"{"@type":"type.googleapis.com/unknown.Type","1":5}"#,
        ];
        let details = decode_details(&status, &sources(&["proto"], &[]));
        assert_eq!(details.iter().map(Value::to_json).collect::<Vec<_>>(), expected);
        assert_eq!(decode_details(&status, &Descriptions::default())[2].to_json(), expected[2]);
        assert!(decode_details(b"\x1a\xff", &Descriptions::default()).is_empty());
    }

    #[test]
    fn copies_of_files_do_not_disturb_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "syntax = \"proto3\"; package p; message M { int32 a = 1; } service S { rpc F(M) returns (M); }";
        for name in ["one.proto", "two.proto"] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let sources = Sources { proto: vec![folder.path().to_owned()], ..Sources::default() };
        let from = Descriptions::load(&sources).unwrap();
        assert_eq!(decoded(b"\x08\x05", Some("p.S"), "F", true, &from).value.to_json(), r#"{"a":5}"#);
        assert_eq!(from.field_names(), ["a"]);
    }

    #[test]
    fn faults_of_proto_files_say_where() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.proto");
        for (text, fault) in [
            ("syntax = \"proto3\";\nmessage A { int32 a 1; }", ":2:"),
            ("syntax = \"proto3\";\nimport \"no.proto\";", "no.proto"),
            ("syntax = \"proto3\";\nmessage A { B b = 1; }", ":2:"),
        ] {
            std::fs::write(&path, text).unwrap();
            let sources = Sources { proto: vec![path.clone()], ..Sources::default() };
            let error = Descriptions::load(&sources).unwrap_err().to_string();
            assert!(error.contains("x.proto") && error.contains(fault), "{error}");
        }
        let sources = Sources { descriptor_sets: vec![path], ..Sources::default() };
        assert!(Descriptions::load(&sources).unwrap_err().to_string().contains("no descriptor set"));
    }
}
