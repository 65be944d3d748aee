//! What callers printed in their logs, held against what the program says that they print, and the other way round.

use std::collections::BTreeMap;

use rpcscope::calls::reported::reported_as;
use rpcscope::calls::{Call, Class};
use rpcscope::explain;
use rpcscope::pipeline::Options;
use serde_json::Value;

use crate::support;

/// What a call and a truth line are compared by.
fn verdict(class: &Value, carrier: &Value, code: &Value, message: &Value, method: &Value) -> String {
    let message = if message.as_str() == Some("") { &Value::Null } else { message };
    format!("{class} {carrier} {code} {message} {method}")
}

fn of_call(call: &Call) -> String {
    let record = support::record(call);
    verdict(&record["class"], &record["carrier"], &record["code"], &record["message"], &record["method"])
}

/// Every capture whose truth says what callers printed: its failed calls with the texts that were printed for calls of
/// their verdict.
fn printed() -> Vec<(Call, Vec<String>)> {
    let mut all = Vec::new();
    for path in support::bundled(".truth.jsonl") {
        let mut texts = BTreeMap::<String, Vec<String>>::new();
        for line in support::lines(&path) {
            if let Some(text) = line["client_saw"].as_str() {
                let key = verdict(
                    &line["class"],
                    &line["carrier"],
                    &line["code"],
                    &line["message"],
                    &line["method"],
                );
                texts.entry(key).or_default().push(text.to_owned());
            }
        }
        if texts.is_empty() {
            continue;
        }
        let capture = path.to_string_lossy().replace(".truth.jsonl", ".pcap");
        for call in support::calls(&[capture.into()], &Options::default()) {
            if call.failed()
                && let Some(texts) = texts.get(&of_call(&call))
            {
                all.push((call, texts.clone()));
            }
        }
    }
    all
}

#[test]
fn callers_print_what_is_reported_and_what_they_print_finds_the_call() {
    let mut carriers = BTreeMap::<&str, usize>::new();
    for (call, texts) in printed() {
        let Some(reported) = reported_as(&call).map(|text| text.to_string()) else { continue };
        let carrier = call.outcome.carrier.name();
        let text = texts.iter().find(|text| text.ends_with(&reported));
        let text = text.unwrap_or_else(|| panic!("call {}: {reported}\nprinted was {texts:#?}", call.uid));
        let error = explain::parse_log(text).unwrap_or_else(|| panic!("not understood: {text}"));
        assert!(error.matches(&call), "{text}\nis not found in {call:#?}");
        *carriers.entry(carrier).or_default() += 1;
    }
    for carrier in
        ["biz-status", "thrift-exception", "grpc-status", "ttstream-trailer", "ttstream-rst", "tcp-fin"]
    {
        assert!(carriers.contains_key(carrier), "no {carrier} was held against a printed text: {carriers:?}");
    }
}

#[test]
fn what_is_reported_finds_its_own_call_and_no_other_verdict() {
    for folder in ["trpc", "kitex"] {
        let captures: Vec<_> = support::bundled(".pcap")
            .into_iter()
            .filter(|path| path.parent().is_some_and(|parent| parent.ends_with(folder)))
            .collect();
        for capture in captures {
            let calls = support::calls(std::slice::from_ref(&capture), &Options::default());
            for call in &calls {
                let Some(reported) = reported_as(call).map(|text| text.to_string()) else { continue };
                let error =
                    explain::parse_log(&reported).unwrap_or_else(|| panic!("not understood: {reported}"));
                assert!(error.matches(call), "{}: {reported}\nis not found in {call:#?}", capture.display());
                let strangers = calls.iter().filter(|other| {
                    error.is_of(other)
                        && call.outcome.class != Some(Class::Transport)
                        && other.outcome.code != call.outcome.code
                });
                for other in strangers {
                    // The library of a stream's caller numbers every trailer 12001.
                    assert_eq!(other.outcome.message, call.outcome.message, "{reported}");
                }
            }
        }
    }
}
