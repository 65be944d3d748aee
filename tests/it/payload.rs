//! Bodies of messages: what the records say of them is what the peers sent, by the names of the descriptions.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rpcscope::body::{Descriptions, Sources};
use rpcscope::payload::BodyDecoder;
use rpcscope::payload::redact::Redaction;
use rpcscope::pipeline::{Options, Output};
use rpcscope::source::{Batch, Source, SourceError, files};
use serde_json::Value;

use crate::support;

/// What describes the messages.
#[derive(Clone, Copy)]
enum Described {
    Idl(&'static str),
    Proto(&'static str),
    Set(&'static str),
    /// Server reflection on the wire.
    Wire,
}

fn path(name: &str) -> PathBuf {
    support::captures().join("payload").join(name)
}

fn decoder(described: Described, redaction: Redaction) -> BodyDecoder {
    let mut sources = Sources::default();
    match described {
        Described::Idl(folder) => sources.idl.push(path(folder)),
        Described::Proto(folder) => sources.proto.push(path(folder)),
        Described::Set(file) => sources.descriptor_sets.push(path(file)),
        Described::Wire => {}
    }
    let descriptions = Descriptions::load(&sources).expect("the descriptions are good");
    BodyDecoder::new(descriptions, redaction, None, true)
}

/// The records of a capture, without those of reflection itself.
fn records(capture: &str, described: Described, redaction: Redaction, threads: usize) -> Vec<Value> {
    let bodies = Some(Arc::new(decoder(described, redaction)));
    let options = Options { threads, bodies, ..Options::default() };
    let mut source = files::open(&[path(&format!("{capture}.pcap"))], files::Options::default());
    let (outputs, _) = support::outputs(&mut source, &options);
    let calls = outputs.iter().filter_map(|output| match output {
        Output::Call(call) => Some(support::record(call)),
        Output::Connection(_) | Output::Learned(_) => None,
    });
    let of_reflection =
        |record: &Value| record["service"].as_str().is_some_and(|name| name.starts_with("grpc.reflection."));
    calls.filter(|record| !of_reflection(record)).collect()
}

/// A number, also of a text.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether a value is the true one: `"*"` is any, `"#5"` is field 5 by its number, 64-bit numbers may be texts, sets and pairs come in
/// any order.
fn is_true(truth: &Value, seen: &Value) -> bool {
    match (truth, seen) {
        (Value::String(any), _) if any == "*" => true,
        (Value::Object(truth), Value::Object(seen)) => {
            truth.len() == seen.len()
                && truth.iter().all(|(name, value)| {
                    seen.get(name.trim_start_matches('#')).is_some_and(|seen| is_true(value, seen))
                })
        }
        (Value::Array(truth), Value::Array(seen)) => {
            let mut left: Vec<&Value> = seen.iter().collect();
            truth.len() == seen.len()
                && truth.iter().all(|value| {
                    let place = left.iter().position(|seen| is_true(value, seen));
                    place.map(|place| left.remove(place)).is_some()
                })
        }
        _ if truth == seen || truth.to_string().trim_matches('"') == seen.to_string().trim_matches('"') => {
            true
        }
        // Of fractions, the nearest number of 32 bits is the same one.
        _ if truth.is_i64() && !seen.is_f64() => false,
        _ => match (number(truth), number(seen)) {
            (Some(truth), Some(seen)) => (truth as f32).to_bits() == (seen as f32).to_bits(),
            _ => false,
        },
    }
}

/// Whether a record says what was sent.
fn matches(truth: &Value, record: &Value) -> bool {
    let messages = |value: &Value| match value {
        Value::Array(messages) if messages.iter().any(|message| !message.is_null()) => value.clone(),
        Value::String(_) => value.clone(),
        _ => Value::Array(Vec::new()),
    };
    let same = |key: &str| is_true(&messages(&truth[key]), &messages(&record[key]));
    let exception = &truth["exception"];
    let named = exception["name"].as_str().filter(|name| *name != "TApplicationException");
    truth["method"] == record["method"]
        && same("request")
        && same("response")
        && named.is_none_or(|name| {
            let seen = &record["exception"];
            let code_name = record["code_name"] == name;
            seen["name"] == name && is_true(&exception["fields"], &seen["fields"]) && code_name
        })
        && truth["error"]["details"].as_array().is_none_or(|details| {
            details.is_empty() || is_true(&truth["error"]["details"], &record["error"]["details"])
        })
}

#[test]
fn every_body_is_what_was_sent() {
    use Described::{Idl, Proto, Set, Wire};
    for (capture, described, truth) in [
        ("thrift-py-framed-binary", Idl("idl"), "payload"),
        ("thrift-py-framed-binary", Idl("idl-two"), "payload"),
        ("thrift-py-framed-binary", Idl("idl-old"), "payload-old"),
        ("thrift-py-buffered-compact", Idl("idl"), "payload"),
        ("thrift-py-buffered-compact", Idl("idl-old"), "payload-old"),
        ("grpc-go-unary-types", Proto("proto"), "payload"),
        ("grpc-go-unary-types", Set("all.pb"), "payload"),
        ("grpc-go-status-details", Proto("proto"), "payload"),
        ("grpc-go-old-proto", Proto("proto"), "payload"),
        ("grpc-go-old-proto", Proto("proto-old"), "payload-old"),
        ("grpc-go-reflection-v1", Wire, "payload"),
        ("grpc-go-reflection-v1-gzip", Wire, "payload"),
        ("grpc-go-reflection-v1alpha", Wire, "payload"),
        ("grpc-go-reflection-v1alpha-gzip", Wire, "payload"),
        ("grpc-go-unknown-fields", Proto("proto"), "payload"),
    ] {
        let truth = support::lines(&path(&format!("{capture}.{truth}.jsonl")));
        for threads in [1, 3] {
            let records = records(capture, described, Redaction::Nothing, threads);
            assert_eq!(records.len(), truth.len(), "{capture}");
            let mut left: Vec<&Value> = records.iter().collect();
            for truth in &truth {
                let place = left.iter().position(|record| matches(truth, record));
                let Some(place) = place else { panic!("{capture}: none is\n{truth}\nof\n{left:#?}") };
                left.remove(place);
            }
        }
    }
}

#[test]
fn fields_that_no_description_names_stand_apart_and_are_found() {
    let of = |redaction| {
        let mut records =
            records("grpc-go-unknown-fields", Described::Proto("proto"), redaction, 1).into_iter();
        records.next().expect("a call")
    };
    let record = of(Redaction::Nothing);
    assert_eq!(record["request_unknown"], serde_json::json!([{"1023": "hello"}]));
    assert_eq!(
        record["response_unknown"],
        serde_json::json!([{"679": 730_291_861, "167": {"1": "abc", "2": "qrvM3Q=="}}])
    );
    assert_eq!(record["findings"], serde_json::json!(["unknown-fields"]));
    let record = of(Redaction::of(&["sku".to_owned()]));
    assert_eq!(record["request_unknown"], serde_json::json!([{"1023": "[redacted]"}]));

    let bodies = Some(Arc::new(decoder(Described::Proto("proto"), Redaction::Nothing)));
    let options = Options { threads: 1, bodies, ..Options::default() };
    let calls = support::calls(&[path("grpc-go-unknown-fields.pcap")], &options);
    for (filter, holds) in [
        ("resp.679 == 730291861 and req.1023 == \"hello\"", true),
        ("response_unknown.167.1 == \"abc\"", true),
        ("resp.680 == 730291861", false),
    ] {
        let filter = rpcscope::filter::Filter::parse(filter).expect("a filter");
        assert_eq!(filter.matches(&calls[0]), holds, "{filter:?}");
    }
}

#[test]
fn a_message_over_the_limit_is_left_out_and_said() {
    // The request: field 1 is 6, field 1023 is "hello".
    let capture = path("grpc-go-unknown-fields.pcap");
    let descriptions = || Descriptions::load(&Sources::default()).expect("none");
    let of = |limit: u32| {
        let limit = std::num::NonZeroU32::new(limit);
        let bodies = Some(Arc::new(BodyDecoder::new(descriptions(), Redaction::Nothing, limit, true)));
        let options = Options { threads: 1, bodies, ..Options::default() };
        support::record(&support::calls(std::slice::from_ref(&capture), &options)[0])
    };
    let whole = of(u32::MAX);
    assert!(whole["request"].is_array() && whole["response"].is_array(), "{whole}");
    assert_eq!(whole["findings"], serde_json::json!([]));
    let none = of(1);
    assert_eq!((&none["request"], &none["response"]), (&Value::Null, &Value::Null), "{none}");
    assert_eq!(none["findings"], serde_json::json!(["body-cut"]));
    // From the size of the message on, it is there.
    let first =
        (1..100).find(|limit| of(*limit)["request"].is_array()).expect("a message of less than 100 bytes");
    assert_eq!(first, 10);
}

#[test]
fn without_descriptions_thrift_has_numbers_and_exceptions_none_of_their_names() {
    let records = records("thrift-py-framed-binary", Described::Wire, Redaction::Nothing, 1);
    assert_eq!(records[1]["request"][0]["1"]["1"], 7, "{}", records[1]);
    assert_eq!(records[1]["code_name"], Value::Null);
    assert!(records.iter().all(|record| record["request"].is_array()));
}

#[test]
fn an_exception_of_the_idl_gives_name_text_and_code() {
    let records = records("thrift-py-framed-binary", Described::Idl("idl"), Redaction::Nothing, 1);
    let of = |name: &str| records.iter().find(|record| record["code_name"] == name).expect(name);
    assert_eq!((&of("Sold")["message"], &of("Sold")["code"]), (&"sold out: 7".into(), &Value::Null));
    let denied = of("Denied");
    assert_eq!((&denied["message"], &denied["code"]), (&"not for you".into(), &403.into()));
    assert_eq!(denied["findings"], serde_json::json!(["code-from-field"]));
}

#[test]
fn an_exception_goes_by_its_name_in_text_and_sentence() {
    let bodies = Some(Arc::new(decoder(Described::Idl("idl"), Redaction::Nothing)));
    let calls = support::calls(
        &[path("thrift-py-framed-binary.pcap")],
        &Options { threads: 1, bodies, ..Options::default() },
    );
    let sold =
        calls.iter().find(|call| call.outcome.code_name == Some("Sold")).expect("it is in the capture");
    assert_eq!(rpcscope::calls::labels::verdict(sold), "Sold sold out: 7");
    let sentence = rpcscope::calls::summary::sentence(sold);
    assert!(sentence.contains("exception Sold \"sold out: 7\" thrown by"), "{sentence}");
}

#[test]
fn redacted_values_are_nowhere_in_the_records() {
    for (words, hidden, shown) in [
        (&["message", "reason"][..], &["sold out", "not for you"][..], "A-1"),
        (&["all"], &["sold out", "not for you", "A-1", "iVBORw0KAP8"], "currency"),
    ] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let redaction = Redaction::of(&words);
        let records = records("thrift-py-framed-binary", Described::Idl("idl"), redaction, 1);
        let all: String = records.iter().map(Value::to_string).collect();
        for hidden in hidden {
            assert!(!all.contains(hidden), "{hidden}");
        }
        assert!(all.contains(shown) && all.contains("[redacted]"));
    }
}

/// Two parts of a capture; before the second, bodies are asked for.
struct Parts {
    first: Box<dyn Source>,
    second: Box<dyn Source>,
    asked: Arc<AtomicBool>,
}

impl Source for Parts {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        if !self.asked.load(Ordering::Relaxed) && self.first.next_batch(batch)? {
            return Ok(true);
        }
        self.asked.store(true, Ordering::Relaxed);
        self.second.next_batch(batch)
    }
}

/// Whether the messages of one record are some of those of the other, in their order.
fn are_some_of(some: &Value, all: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut all = list(all).into_iter();
    list(some).iter().all(|message| all.any(|other| other == *message))
}

#[test]
fn bodies_that_are_asked_for_at_any_packet_are_whole() {
    let without = |record: &Value| {
        let mut record = record.clone();
        for key in [
            "request",
            "response",
            "exception",
            "error",
            "code_name",
            "message",
            "findings",
            "sentence",
            "reason",
        ] {
            record.as_object_mut().expect("an object").remove(key);
        }
        record
    };
    for capture in ["thrift-py-framed-binary", "grpc-go-unary-types", "grpc-go-status-details"] {
        let source = files::open(&[path(&format!("{capture}.pcap"))], files::Options::default());
        let reread = source.reread().expect("it is a file");
        let run = |from: u64| {
            let asked = Arc::new(AtomicBool::new(false));
            let part = |numbers| Box::new(reread.packets(numbers));
            let mut source =
                Parts { first: part(1..=from - 1), second: part(from..=u64::MAX), asked: Arc::clone(&asked) };
            let bodies = Some(Arc::new(decoder(Described::Wire, Redaction::Nothing)));
            let options = Options { threads: 1, bodies, bodies_from: Some(asked), ..Options::default() };
            let (outputs, _) = support::outputs(&mut source, &options);
            let calls = outputs.iter().filter_map(|output| match output {
                Output::Call(call) => Some(support::record(call)),
                Output::Connection(_) | Output::Learned(_) => None,
            });
            calls.collect::<Vec<Value>>()
        };
        let (whole, none) = (run(1), run(u64::MAX));
        assert!(none.iter().all(|record| record["request"].is_null() && record["response"].is_null()));
        let mut last = whole.clone();
        let ends = |record: &Value| record["packets"][1].as_u64().expect("packets");
        for from in 2..=whole.iter().map(ends).max().expect("there are calls") {
            let records = run(from);
            assert_eq!(records.len(), whole.len());
            for ((record, whole), before) in records.iter().zip(&whole).zip(&last) {
                assert_eq!(without(record), without(whole), "{capture} from {from}");
                for key in ["request", "response"] {
                    assert!(are_some_of(&record[key], &before[key]), "{capture} from {from}: {record}");
                }
            }
            let begun_later = |record: &&Value| record["packets"][0].as_u64().is_some_and(|at| at >= from);
            for (record, whole) in records.iter().zip(&whole).filter(|(record, _)| begun_later(record)) {
                assert_eq!(record["request"], whole["request"], "{capture} from {from}");
            }
            last = records;
        }
    }
}

#[test]
fn a_record_says_in_words_what_does_not_fit() {
    let said = |proto| {
        let records = records("grpc-go-old-proto", Described::Proto(proto), Redaction::Nothing, 1);
        let remarks =
            records.iter().flat_map(|record| record["body_remarks"].as_array().cloned().unwrap_or_default());
        let with_finding = records.iter().filter(|record| {
            let findings = record["findings"].as_array().expect("findings");
            findings.iter().any(|finding| finding == "description-mismatch")
        });
        assert!(with_finding.clone().all(|record| record["body_remarks"].is_array()), "{records:?}");
        (
            remarks.map(|remark| remark.as_str().expect("a text").to_owned()).collect::<Vec<_>>(),
            with_finding.count(),
        )
    };
    assert_eq!(said("proto"), (Vec::new(), 0));
    let (remarks, mismatches) = said("proto-old");
    assert!(
        mismatches > 0
            && remarks
                .iter()
                .all(|remark| remark.starts_with("request: ") || remark.starts_with("response: ")),
        "{remarks:?}"
    );
}
