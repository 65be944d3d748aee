//! Replays every bundled capture and compares the records with what the applications saw.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rpcscope::calls::{Call, Class, Finding};
use rpcscope::decode::FlowKey;
use rpcscope::pipeline::{self, Options, Output, Totals};
use rpcscope::source::{Batch, Source, SourceError, files};
use serde_json::Value;

use crate::support;

/// Keys of a truth line and the corresponding keys of the record.
const KEYS: [(&str, &str); 15] = [
    ("transport", "transport"),
    ("rpc", "rpc"),
    ("codec", "codec"),
    ("service", "service"),
    ("method", "method"),
    ("caller", "caller"),
    ("callee", "callee"),
    ("field_id", "field_id"),
    ("class", "class"),
    ("carrier", "carrier"),
    ("code", "code"),
    ("message", "message"),
    ("ret", "ret"),
    ("func_ret", "func_ret"),
    ("goaway", "goaway"),
];

/// Keys of the verdict. They may differ for ok calls, and where the truth accepts another class.
const VERDICT: [&str; 6] = ["carrier", "code", "message", "ret", "func_ret", "field_id"];

fn value<'a>(object: &'a Value, key: &str) -> &'a Value {
    match &object[key] {
        Value::String(text) if text.is_empty() => &Value::Null,
        value => value,
    }
}

fn went_well(object: &Value) -> bool {
    matches!(object["class"].as_str(), Some("ok" | "oneway"))
}

/// The keys in which a record differs from a truth line, without those of the verdict if `but_verdict`.
fn differences(truth: &Value, record: &Value, but_verdict: bool) -> Vec<&'static str> {
    let verdict_free = but_verdict || (went_well(truth) && went_well(record));
    let mut wrong: Vec<_> = KEYS
        .iter()
        .filter(|(key, _)| truth.get(*key).is_some())
        .filter(|(key, _)| !(verdict_free && VERDICT.contains(key) || but_verdict && *key == "class"))
        .filter(|(key, of_record)| value(truth, key) != value(record, of_record))
        .map(|(key, _)| *key)
        .collect();
    if let Some(extra) = truth.get("extra").filter(|_| !but_verdict)
        && value(record, "biz_extra") != extra
    {
        wrong.push("extra");
    }
    wrong
}

fn accepts(truth: &Value, record: &Value) -> bool {
    truth["accept"].as_array().is_some_and(|classes| classes.contains(&record["class"]))
}

/// Whether a record without a class says nothing that differs from a truth line.
fn is_open(truth: &Value, record: &Value) -> bool {
    let is_null = |key: &&str| {
        let of_record = KEYS.iter().find(|(of_truth, _)| of_truth == key).map(|(_, of_record)| *of_record);
        of_record.is_some_and(|key| value(record, key).is_null())
    };
    value(record, "class").is_null() && differences(truth, record, true).iter().all(is_null)
}

/// Compares records with truth lines. Returns the differences.
pub(crate) fn complaints(truth: &[Value], mut records: Vec<Value>) -> Vec<String> {
    let mut lines: Vec<(&Value, u64)> = truth
        .iter()
        .filter(|line| line["wire"] != "syn-only")
        .map(|line| (line, line["count"].as_u64().unwrap_or(1)))
        .collect();
    // The most particular lines choose first.
    lines.sort_by_key(|(line, _)| {
        std::cmp::Reverse(KEYS.iter().filter(|(key, _)| line.get(*key).is_some()).count())
    });
    let mut take = |fits: &dyn Fn(&Value, &Value) -> bool| {
        for (line, wanted) in &mut lines {
            records.retain(|record| {
                let taken = *wanted > 0 && fits(line, record);
                *wanted -= u64::from(taken);
                !taken
            });
        }
    };
    take(&|line, record| differences(line, record, false).is_empty());
    take(&|line, record| accepts(line, record) && differences(line, record, true).is_empty());
    take(&|line, record| line["decidable"] == false && is_open(line, record));
    let mut complaints = Vec::new();
    for (line, wanted) in &lines {
        if *wanted > 0 && line["decidable"] != false {
            let nearest = records.iter().map(|record| (differences(line, record, false), record));
            let nearest = nearest.min_by_key(|(wrong, _)| wrong.len());
            complaints.push(format!("missing {wanted} x {line}\n    nearest: {nearest:?}"));
        }
    }
    complaints.extend(records.iter().map(|record| format!("extra: {record}")));
    complaints
}

/// The differences between the calls of a capture and its truth at `path`.
fn check(path: &Path, options: &Options) -> Option<String> {
    let mut capture = path.to_string_lossy().replace(".truth.jsonl", ".pcap");
    if !Path::new(&capture).exists() {
        capture.push_str("ng");
    }
    let calls = support::calls(&[capture.clone().into()], options);
    let wrong = complaints(&support::lines(path), calls.iter().map(support::record).collect());
    (!wrong.is_empty()).then(|| format!("{capture}:\n{}", wrong.join("\n")))
}

#[test]
fn every_capture_gives_the_calls_that_the_applications_made() {
    let options = Options { threads: 1, ..Options::default() };
    let paths = support::bundled(".truth.jsonl");
    let wrong: Vec<_> = paths.iter().filter_map(|path| check(path, &options)).collect();
    assert!(wrong.is_empty(), "{} of {} captures:\n{}", wrong.len(), paths.len(), wrong.join("\n"));
}

/// Everything that comes out of captures that are read as one, byte for byte and in order.
fn everything(paths: &[PathBuf], threads: usize) -> (Vec<String>, String) {
    let key_logs = Some(support::key_logs(paths));
    let options = Options { threads, metadata: true, connections: true, key_logs, ..Options::default() };
    let mut source = files::open(paths, files::Options::default());
    let (outputs, totals) = support::outputs(&mut source, &options);
    let lines = outputs.iter().map(|output| match output {
        Output::Call(call) => support::record(call).to_string(),
        Output::Connection(connection) => format!("{connection:?}"),
        Output::Learned(learned) => format!("{learned:?}"),
    });
    (lines.collect(), format!("{totals:?}"))
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let paths = support::bundled(".pcap");
    // Each capture, and all as one: that has enough batches and connections for threads to get ahead of each other.
    let each = paths.iter().map(std::slice::from_ref).chain([paths.as_slice()]);
    for paths in each {
        let alone = everything(paths, 1);
        for threads in [2, 3, 4, 8] {
            let (lines, totals) = everything(paths, threads);
            let what = format!("{threads} threads, {}", paths[0].display());
            let differs = lines.iter().zip(&alone.0).find(|(line, alone)| line != alone);
            assert_eq!(differs, None, "{what}");
            assert_eq!((lines.len(), totals), (alone.0.len(), alone.1.clone()), "{what}");
        }
    }
}

#[test]
fn a_wrong_record_is_noticed() {
    let truth = serde_json::json!({"method": "Get", "class": "business", "carrier": "func_ret", "code": 5, "count": 2});
    let mut right = truth.clone();
    right.as_object_mut().expect("an object").remove("count");
    assert!(complaints(std::slice::from_ref(&truth), vec![right.clone(), right.clone()]).is_empty());
    assert_eq!(complaints(std::slice::from_ref(&truth), vec![right.clone()]).len(), 1);
    let mut wrong = right.clone();
    wrong["class"] = "rpc".into();
    assert_eq!(complaints(std::slice::from_ref(&truth), vec![right, wrong]).len(), 2);
}

/// A capture whose reader lost what comes behind a packet.
struct Cut {
    inner: files::FileSource,
    last: u64,
    dropped: u64,
    is_over: bool,
}

impl Source for Cut {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        let more = !self.is_over && self.inner.next_batch(batch)?;
        if more {
            batch.records.retain(|record| record.number <= self.last);
        } else if !self.is_over {
            self.is_over = true;
            batch.clear();
            batch.dropped = self.dropped;
            return Ok(true);
        }
        Ok(more)
    }
}

#[test]
fn calls_that_wait_when_packets_are_dropped_are_unknown_and_marked() {
    for name in [
        "kitex/kitex-ttheader-biz-status.pcap",
        "grpc/grpc-go-py-details-utf8.pcap",
        "trpc/trpc-unary-ok.pcap",
    ] {
        let path = support::captures().join(name);
        let whole = support::calls(std::slice::from_ref(&path), &Options::default());
        let call = whole.iter().find(|call| call.latency.is_some()).expect("an answered call");
        for threads in [1, 2] {
            let decided = |dropped| {
                let inner = files::open(std::slice::from_ref(&path), files::Options::default());
                let mut source = Cut { inner, last: call.packets.0, dropped, is_over: false };
                let options = Options { threads, ..Options::default() };
                let (outputs, _) = support::outputs(&mut source, &options);
                let mut calls = outputs.into_iter().filter_map(support::call);
                calls.find(|other| other.uid == call.uid).expect("the call")
            };
            let (quiet, marked) = (decided(0), decided(7));
            assert_eq!(quiet.class(), Some(Class::Unanswered), "{name}");
            assert!(!quiet.findings.contains(Finding::Gap), "{name}");
            assert_eq!(marked.class(), None, "{name}");
            assert!(marked.findings.contains(Finding::Gap), "{name}");
        }
    }
}

#[test]
fn connections_say_in_which_language_they_were_answered() {
    let path = |name: &str| support::captures().join(name);
    for (name, findings, reason, connections) in [
        ("grpc/grpc-tonic-http1-server.pcap", 3, "answered in HTTP/1.x", 6),
        ("kitex/kitex-wrong-port.pcap", 2, "answered with a page without HTTP", 3),
    ] {
        let options = Options { threads: 1, connections: true, ..Options::default() };
        let mut source = files::open(&[path(name)], files::Options::default());
        let (outputs, _) = support::outputs(&mut source, &options);
        let mut seen = (0, 0);
        for output in &outputs {
            match output {
                Output::Call(call) => {
                    assert!(call.failed(), "{name}");
                    seen.0 += usize::from(call.findings.contains(rpcscope::calls::Finding::ForeignAnswer));
                }
                Output::Connection(connection) => {
                    seen.1 += usize::from(connection.reason == Some(reason));
                }
                Output::Learned(_) => {}
            }
        }
        assert_eq!(seen, (findings, connections), "{name}");
    }
}

/// The calls that a run hands on before the analysis panics where the connection at these ports opens.
fn salvaged(paths: &[PathBuf], ports: [u16; 2], threads: usize) -> Vec<Call> {
    let on_open = move |key: &FlowKey| {
        assert!(
            [key.a.port, key.b.port] != ports && [key.b.port, key.a.port] != ports,
            "a fault in the test"
        );
    };
    let options = Options { threads, on_open: Some(Arc::new(on_open)), ..Options::default() };
    let mut calls = Vec::new();
    let run = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let mut source = files::open(paths, files::Options::default());
        pipeline::run(&mut source, &options, &mut |outputs: &mut Vec<Output>, _: &Totals| {
            calls.extend(outputs.drain(..).filter_map(support::call));
            true
        })
    }));
    assert!(run.is_err(), "the run ends with the panic");
    calls
}

#[test]
fn a_panic_of_the_analysis_costs_no_call_that_was_decided_before() {
    let paths = [support::captures().join("demo/all-classes.pcap")];
    let options = Options { connections: true, ..Options::default() };
    let (outputs, _) = support::outputs(&mut files::open(&paths, files::Options::default()), &options);
    let connections: Vec<(u64, [u16; 2])> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Connection(connection) => {
                Some((connection.first_packet, [connection.client.port, connection.server.port]))
            }
            _ => None,
        })
        .collect();
    let answered: Vec<Call> =
        outputs.into_iter().filter_map(support::call).filter(|call| call.latency.is_some()).collect();
    let mut expected = 0;
    for (opened, ports) in connections {
        for threads in [1, 2, 4] {
            let calls = salvaged(&paths, ports, threads);
            for before in answered.iter().filter(|call| call.packets.1 < opened) {
                assert!(
                    calls.iter().any(|call| call.uid == before.uid),
                    "{threads} threads, {ports:?}: {before:?}"
                );
                expected += 1;
            }
        }
    }
    assert!(expected > 100, "{expected}");
}
