//! Whole logs of the applications of the bundled captures: each line must lead to its own call.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rpcscope::calls::Call;
use rpcscope::explain::{LogLine, agreement};
use rpcscope::logs::report::Silence;
use rpcscope::logs::{self, Book, CallIndex, NoCall, Prefilter, Scanner, Scene};
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
            let told = logs::assign(&book, &index, &[None]);
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

fn bundled(name: &str) -> String {
    support::captures().join("kitex").join(name).to_string_lossy().into_owned()
}

/// The program's exit status, standard output and standard error.
fn run(args: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.arg("logs").args(args).env("TZ", "UTC");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // Whoever refuses its arguments reads nothing.
    _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is UTF-8");
    (output.status.code().expect("a status"), text(output.stdout), text(output.stderr))
}

fn records(args: &[&str]) -> Vec<Value> {
    let (status, out, err) = run(&[args, &["--format", "jsonl"]].concat(), b"");
    assert_eq!(status, 0, "{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// `line:call` of all lines, in the order of the lines.
fn pairs(records: &[Value]) -> Vec<String> {
    let lines = records.iter().filter(|record| record["type"] == "log-line");
    let mut pairs: Vec<(u64, String)> = lines
        .map(|line| {
            let what = line["call"].as_str().or(line["reason"].as_str()).expect("a call or a reason");
            (line["line"].as_u64().expect("a number"), what.to_owned())
        })
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(line, what)| format!("{line}:{what}")).collect()
}

/// The log that the applications of a capture printed, with server lines, client lines without a time, and retries.
#[test]
fn a_real_log_and_its_capture_tell_one_story() {
    let (log, capture) = (bundled("kitex-mid-retry.app.log"), bundled("kitex-mid-retry.pcap"));
    let records = records(&[&log, &capture]);
    assert_eq!(pairs(&records), ["13:56", "14:42", "15:42"]);
    let at = |line: u64| records.iter().find(|record| record["line"] == line).expect("a line");
    assert_eq!(at(14)["origin"], "56");
    assert!(at(14)["cause"].as_str().is_some_and(|cause| cause.contains("one hop below")));
    let silent: Vec<_> = records
        .iter()
        .filter(|record| record["type"] == "log-unmentioned")
        .map(|record| (record["silence"].as_str(), record["count"].as_u64(), record["first"].as_str()))
        .collect();
    assert_eq!(
        silent,
        [(Some("healed-by-a-retry"), Some(1), Some("9")), (Some("told-by-a-retry"), Some(2), Some("44")),]
    );
    let summary = records.last().expect("a record");
    assert_eq!(
        (&summary["type"], &summary["failed"], &summary["mentioned"]),
        (&json!("log-summary"), &json!(5), &json!(2))
    );
    let (_, text, _) = run(&[&log, &capture, "-t", "utc"], b"");
    for words in
        ["kitex-mid-retry.app.log:14  22:33:00.230", "call 42: text, code, address", "it began one hop below"]
    {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[test]
fn lines_of_clients_and_servers_about_one_call_are_told_together() {
    let logs =
        [bundled("kitex-interop-gogrpc-kitex.app.log"), bundled("kitex-interop-gogrpc-kitex.server.log")];
    let records = records(&[&logs[0], &logs[1], &bundled("kitex-interop-gogrpc-kitex.pcap")]);
    assert_eq!(
        pairs(&records),
        [
            "2:16",
            "3:18",
            "4:20",
            "5:22",
            "6:24",
            "7:26",
            "8:18",
            "8:28",
            "9:20",
            "9:answer-refused",
            "10:22",
            "48:24",
            "49:26",
            "50:28",
            "51:unknown"
        ]
    );
    let summary = records.last().expect("a record");
    assert_eq!((&summary["failed"], &summary["mentioned"]), (&json!(7), &json!(7)));
}

#[test]
fn every_key_of_the_records_is_documented() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/records.md"))
        .expect("a page");
    let section = page
        .split("## The records of logs")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("a section");
    let logs = [bundled("kitex-mid-retry.app.log"), bundled("kitex-interop-gogrpc-kitex.app.log")];
    let mut seen = BTreeSet::new();
    for (log, capture) in [(&logs[0], "kitex-mid-retry.pcap"), (&logs[1], "kitex-interop-gogrpc-kitex.pcap")]
    {
        for record in records(&[log, &bundled(capture)]) {
            let objects = [Some(&record), record["logs"].get(0), record["logs"][0].get("clock")];
            for object in objects.into_iter().flatten() {
                seen.extend(object.as_object().expect("an object").keys().cloned());
            }
        }
    }
    for key in seen {
        assert!(section.contains(&format!("`{key}`")), "{key}");
    }
    for word in NoCall::ALL.map(NoCall::name).iter().chain(&Silence::ALL.map(Silence::name)) {
        assert!(section.contains(&format!("`{word}`")), "{word}");
    }
}

#[test]
fn filters_and_windows_choose_calls_and_their_lines() {
    let (log, capture) = (bundled("kitex-mid-retry.app.log"), bundled("kitex-mid-retry.pcap"));
    let of = |args: &[&str]| pairs(&records(&[&[&*log, &*capture, "-t", "utc"], args].concat()));
    assert_eq!(of(&["-Y", "class == rpc"]), ["14:42", "15:42"]);
    assert_eq!(of(&["-Y", "code == 4711"]), Vec::<String>::new());
    assert_eq!(of(&["--from", "22:32:59"]), ["13:56", "14:42", "15:42"]);
    assert_eq!(of(&["--to", "2026-11-25T22:32:59Z"]), Vec::<String>::new());
    assert_eq!(of(&["--from", "22:32:00", "--to", "22:34"]).len(), 3);
}

#[test]
fn what_can_not_be_read_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let (log, capture) = (bundled("kitex-mid-retry.app.log"), bundled("kitex-mid-retry.pcap"));
    let wide: Vec<u8> = "2026 x".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let whole = std::fs::read(&capture).expect("a capture");
    for (files, status, words) in [
        (vec![log.clone()], 2, "no capture among the files"),
        (vec![capture.clone()], 2, "no log among the files"),
        (vec![], 2, "nothing to read"),
        (vec![log.clone(), capture.clone(), "--from".into(), "soon".into()], 2, "expected a time"),
        (
            vec![
                log.clone(),
                capture.clone(),
                "--from".into(),
                "22:33".into(),
                "--to".into(),
                "22:00".into(),
            ],
            2,
            "--to is before --from",
        ),
        (vec![at("empty.log", b""), capture.clone()], 0, ""),
        (vec![at("wide.log", &wide), capture.clone()], 1, "wide.log: is text in UTF-16"),
        (vec![at("mark.log", b"\xff\xfex\0"), capture.clone()], 1, "mark.log: is text in UTF-16"),
        (vec![at("binary.log", &[1, 2, 3, 4, 0, 5, 6, 7, 8]), capture.clone()], 1, "binary.log: is no text"),
        (
            vec![at("x.xz", b"\xfd7zXZ\0\0\0"), log.clone(), capture.clone()],
            1,
            "compressed with xz; unpack it first",
        ),
        (vec!["missing.log".into(), capture.clone()], 1, "missing.log: no such file"),
        (vec![log.clone(), at("cut.pcap", &whole[..whole.len() / 2])], 1, "cut off"),
        (vec![log.clone(), capture.clone(), "--fail-on".into(), "rpc".into()], 3, ""),
        (vec!["-".into(), "-".into(), capture.clone()], 2, "named twice"),
        (vec![log.clone(), capture.clone(), "-o".into(), log.clone()], 2, "would be overwritten"),
    ] {
        let args: Vec<&str> = files.iter().map(String::as_str).collect();
        let (code, _, err) = run(&args, b"");
        assert!(code == status && err.contains(words), "{files:?}: {code} {err}");
    }
}

#[test]
fn logs_come_in_many_forms() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = std::fs::read(bundled("kitex-mid-retry.app.log")).expect("a log");
    let capture = bundled("kitex-mid-retry.pcap");
    let expected = pairs(&records(&[&bundled("kitex-mid-retry.app.log"), &capture]));
    let text = String::from_utf8(log.clone()).expect("UTF-8");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&log).expect("memory");
    let forms: [(&str, Vec<u8>); 5] = [
        ("a.gz", gzip.finish().expect("memory")),
        ("b.zst", zstd::encode_all(&log[..], 1).expect("memory")),
        ("c.log", text.replace('\n', "\r\n").into_bytes()),
        ("d.log", [b"\xef\xbb\xbf", &log[..]].concat()),
        ("e.log", text.trim_end().as_bytes().to_vec()),
    ];
    for (name, bytes) in forms {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        assert_eq!(pairs(&records(&[&path.to_string_lossy(), &capture])), expected, "{name}");
    }
    let (status, out, err) = run(&["-", &capture, "--format", "jsonl"], &log);
    assert_eq!((status, out.contains("\"call\":\"42\"")), (0, true), "{err}");
    let (status, out, err) = run(
        &["-", &bundled("kitex-mid-retry.app.log"), "--format", "jsonl"],
        &std::fs::read(&capture).expect("a capture"),
    );
    assert_eq!((status, out.contains("\"call\":\"42\"")), (0, true), "{err}");
}

#[test]
fn no_control_character_of_a_log_reaches_the_terminal() {
    let hostile = "\u{1b}]0;owned\u{7} 2026-11-25 22:33:00 \u{202e}ERROR\u{9b}31m remote or network error[remote]: biz error: gone\u{8}\u{7f}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app\u{1b}.log");
    std::fs::write(&path, hostile).expect("a file");
    for format in ["text", "jsonl"] {
        let args = [
            &*path.to_string_lossy(),
            &bundled("kitex-mid-retry.pcap"),
            "--format",
            format,
            "--color",
            "never",
        ];
        let (_, out, err) = run(&args, b"");
        assert!(out.contains("gone"), "{out}");
        for c in out.chars().chain(err.chars()) {
            assert!(c == '\n' || !rpcscope::text::is_unsafe(c), "{format}: {c:?}");
        }
    }
}
