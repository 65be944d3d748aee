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
