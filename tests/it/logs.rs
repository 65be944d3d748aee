//! Whole logs of the applications of the bundled captures: each line must lead to its own call.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use rpcscope::calls::Call;
use rpcscope::explain::{LogLine, agreement};
use rpcscope::logs::{self, Book, CallIndex, Prefilter, Scanner, Scene};
use rpcscope::pipeline::Options;
use serde_json::{Value, json};

use crate::{explain_lines, support};

/// How a logger puts a time before a text, or around it.
type Logger = fn(&str, i64) -> String;

fn time(nanoseconds: i64, format: &str) -> String {
    let moment = jiff::Timestamp::from_nanosecond(nanoseconds.into()).expect("a time");
    moment.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string()
}

/// Loggers, with whether their times say a zone.
const LOGGERS: [(&str, bool, Logger); 8] = [
    ("zap", true, |text, at| {
        let time = time(at, "%Y-%m-%dT%H:%M:%S.%3fZ");
        format!("{time}\terror\torder/place.go:31\tplace failed\t{}", json!({"error": text}))
    }),
    ("klog", false, |text, at| {
        format!("E{} 4242 order.go:31] place failed: {text}", time(at, "%m%d %H:%M:%S.%6f"))
    }),
    ("log4j", false, |text, at| {
        format!(
            "{} ERROR [nio-8080-exec-1] c.s.OrderService : place failed: {text}",
            time(at, "%Y-%m-%d %H:%M:%S,%3f")
        )
    }),
    ("clock", false, |text, at| {
        format!("{} [main] ERROR com.shop.Order - place failed: {text}", time(at, "%H:%M:%S.%3f"))
    }),
    ("json with an epoch", true, |text, at| {
        json!({"level": "error", "ts": at as f64 / 1e9, "msg": "place failed", "err": text}).to_string()
    }),
    ("logrus", true, |text, at| {
        let time = time(at, "%Y-%m-%dT%H:%M:%SZ");
        format!("time=\"{time}\" level=error msg=\"place failed\" error={} uid=7", json!(text))
    }),
    ("syslog", false, |text, at| {
        format!("{} host-7 order[4242]: place failed: {text}", time(at, "%b %d %H:%M:%S"))
    }),
    ("cri", true, |text, at| format!("{} stderr F place failed: {text}", time(at, "%Y-%m-%dT%H:%M:%S.%9fZ"))),
];

fn calls(path: &Path) -> Vec<Arc<Call>> {
    let capture = path.to_string_lossy().replace(".truth.jsonl", ".pcap");
    let options = Options { metadata: true, bodies: Some(Arc::default()), ..Options::default() };
    support::calls(&[capture.into()], &options).into_iter().map(Arc::new).collect()
}

fn agrees(call: &Call, truth: &Value) -> bool {
    let record = support::record(call);
    let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
    let same = |key: &str| record[key] == truth[key] || (empty(&record[key]) && empty(&truth[key]));
    ["rpc", "method", "code", "carrier", "class", "message"].iter().all(|key| same(key))
}

/// What the application printed of each call, in the order of their ends; several lines of the truth that fit one call leave it out.
fn printed(path: &Path, calls: &[Arc<Call>]) -> Vec<(usize, String)> {
    let truths: Vec<Value> = support::lines(path);
    let said = |call: &Call| {
        let mut texts: Vec<&str> = truths
            .iter()
            .filter(|truth| agrees(call, truth))
            .filter_map(|truth| truth["client_saw"].as_str())
            .filter(|text| !["time-out or cancelled", "<nil>"].contains(text))
            .collect();
        texts.dedup();
        if let [only] = texts[..] { Some(only.to_owned()) } else { None }
    };
    let mut all: Vec<(usize, String)> = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.failed())
        .filter_map(|(place, call)| Some((place, said(call)?)))
        .collect();
    all.sort_by_key(|(place, _)| calls[*place].end);
    all
}

fn index(calls: &[Arc<Call>]) -> CallIndex {
    let mut scene = Scene::default();
    for call in calls {
        scene.see(call);
    }
    CallIndex::new(calls.iter().cloned(), &scene)
}

/// The lines of a log as far as they are errors of RPCs.
fn read(log: &str, index: &CallIndex) -> Book {
    let mut scanner = Scanner::new(index.prefilter());
    let mut book = Book::default();
    scanner.push(log.as_bytes(), &mut |entry| _ = book.add(0, entry, index));
    scanner.finish(&mut |entry| _ = book.add(0, entry, index));
    book
}

/// Whatever leads to a call as a pasted line is seen in a log, in whatever it is wrapped.
#[test]
fn no_line_that_is_read_is_passed_over() {
    let mut seen = 0;
    for path in support::bundled(".truth.jsonl") {
        let truths = support::lines(&path);
        let texts = truths.iter().filter_map(|truth| truth["client_saw"].as_str());
        let texts: BTreeSet<&str> = texts.collect();
        let messages: Vec<&str> = truths.iter().filter_map(|truth| truth["message"].as_str()).collect();
        if texts.is_empty() {
            continue;
        }
        let prefilter = Arc::new(Prefilter::new(messages.iter().copied()));
        for text in texts {
            for (name, wrap) in explain_lines::WRAPPINGS {
                let line = wrap(text);
                let read = LogLine::read(&line);
                let holds = |message: &&str| {
                    message.len() >= 4
                        && read.texts().iter().any(|text| agreement::find(text, message).is_some())
                };
                if !read.is_known() && !messages.iter().any(holds) {
                    continue;
                }
                let mut found = 0;
                let mut scanner = Scanner::new(Arc::clone(&prefilter));
                scanner.push(format!("x\n{line}\n").as_bytes(), &mut |_| found += 1);
                scanner.finish(&mut |_| found += 1);
                assert!(found > 0, "{}: {name}: {line}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 1_000, "{seen}");
}

#[test]
fn each_line_of_a_log_leads_to_its_own_call() {
    // Clocks are wrong, and lines come a little after their calls.
    const SKEW: i64 = 1_700_000_000;
    const ZONE: i64 = 8 * 3_600_000_000_000;
    let (mut all, mut own, mut strangers) = (0, 0, 0);
    let mut wrong = Vec::new();
    for path in support::bundled(".truth.jsonl") {
        let said = support::lines(&path).iter().any(|truth| truth["client_saw"].is_string());
        let capture = path.to_string_lossy().replace(".truth.jsonl", ".pcap");
        if !said || !Path::new(&capture).exists() {
            continue;
        }
        let calls = calls(&path);
        let printed = printed(&path, &calls);
        if printed.is_empty() {
            continue;
        }
        let index = index(&calls);
        for (name, has_zone, logger) in LOGGERS {
            let offset = SKEW + if has_zone { 0 } else { ZONE };
            let mut log = String::new();
            let mut expected = HashMap::new();
            for (number, (place, text)) in printed.iter().enumerate() {
                let late = 200_000 + (number as i64 * 7_919 % 1_300) * 1_000;
                let entry = logger(text, calls[*place].end.0 + late + offset);
                log.push_str("2026 INFO placed\n");
                expected.insert(log.lines().count() as u64 + 1, *place);
                log.push_str(&entry);
                log.push('\n');
            }
            let book = read(&log, &index);
            let told = logs::assign(&book, &index, 1);
            for (line, call) in book.lines.iter().zip(&told.calls) {
                let Some(place) = expected.remove(&line.entry.line) else {
                    panic!("{name}: line {} of\n{log}", line.entry.line)
                };
                all += 1;
                let truth = &calls[place];
                match call {
                    Ok(found) => {
                        let found = index.call(found.call).expect("a call");
                        if found.uid == truth.uid {
                            own += 1;
                        } else if !(support::record(found)["message"] == support::record(truth)["message"]
                            && found.outcome.code == truth.outcome.code
                            && found.class() == truth.class())
                        {
                            strangers += 1;
                            wrong.push(format!(
                                "{name}: {} {} not {}: {}",
                                path.display(),
                                found.uid,
                                truth.uid,
                                line.entry.text
                            ));
                        }
                    }
                    Err(reason) => {
                        wrong.push(format!(
                            "{name}: {} {} has none ({}): {}",
                            path.display(),
                            truth.uid,
                            reason.name(),
                            line.entry.text
                        ));
                    }
                }
            }
            all += expected.len();
            let text = |place: &usize| printed.iter().find(|(own, _)| own == place).map(|(_, text)| text);
            wrong.extend(expected.values().map(|place| {
                format!("{name}: not seen: {} {} {:?}", path.display(), calls[*place].uid, text(place))
            }));
        }
    }
    assert!(all > 1_000, "{all} lines");
    assert!(own * 100 >= all * 96, "{own} of {all}\n{}", wrong.join("\n"));
    assert!(strangers == 0, "{strangers} of {all} lead to another call\n{}", wrong.join("\n"));
}
