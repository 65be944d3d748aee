//! What applications printed for the calls of the bundled captures, in the wrappings of other people's logs: the first call that is
//! found must be one that ended so. And what the program prints and returns for a line.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rpcscope::calls::Call;
use rpcscope::explain::{LogLine, Ranking};
use rpcscope::pipeline::Options;
use serde_json::{Value, json};

use crate::support;

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn percent(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn html(text: &str) -> String {
    let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&#34;"), ("'", "&#39;")];
    pairs.iter().fold(text.to_owned(), |text, (plain, escaped)| text.replace(plain, escaped))
}

pub(crate) type Wrap = fn(&str) -> String;

/// Wrappings as they stand in logs, tickets and chats.
pub(crate) const WRAPPINGS: [(&str, Wrap); 25] = [
    ("quote", |t| format!("could not place the order: '{t}'")),
    ("bracket and time", |t| format!("[order] place({t}) took 153ms")),
    ("full stop", |t| format!("The call ended with {t}. Giving up.")),
    ("chinese", |t| format!("下单失败：{t}，请稍后重试")),
    ("cost", |t| format!("W1125 22:33:00.230714  4242 stock.go:88] reserve: {t}, cost=12ms, attempt=2/3")),
    ("cut", |t| {
        let end = (0..=t.len() * 9 / 10).rev().find(|end| t.is_char_boundary(*end)).unwrap_or(0);
        format!("2026/11/25 22:33:00 stock.go:88: [Error] {}…", &t[..end])
    }),
    ("java stack", |t| {
        format!(
            "com.shop.OrderException: {t}\n\tat com.shop.Order.place(Order.java:41)\n\t... 12 common frames omitted"
        )
    }),
    ("go stack", |t| format!("{t}\ngoroutine 7 [running]:\nmain.place(...)\n\t/src/order.go:12 +0x1d")),
    ("python repr", |t| {
        format!("ERROR:order:failed: Exception('{}')", t.replace('\\', "\\\\").replace('\'', "\\'"))
    }),
    ("json", |t| json!({"lvl": "error", "caller": "order/place.go:31", "cause": t, "uid": 7}).to_string()),
    ("fluentd", |t| {
        json!({"log": format!("{}\n", json!({"msg": "failed", "err": t})), "kubernetes": {"pod": "order-7"}})
            .to_string()
    }),
    ("elastic", |t| {
        json!({"hits": [{"_source": {"message": format!("order failed: {t}"), "host": "h"}}]}).to_string()
    }),
    ("grafana", |t| {
        json!({"values": [["1764110000230714123", format!("lvl=eror err={} uid=7", quoted(t))]]}).to_string()
    }),
    ("logfmt", |t| {
        format!("ts=2026-11-25T22:33:00.1Z lvl=error msg=\"order failed\" err={} uid=7", quoted(t))
    }),
    ("tracing", |t| {
        format!("\u{1b}[2m2026-11-25T22:33:00Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m order: failed err={t}")
    }),
    ("csv", |t| format!("2026-11-25,order,\"failed: {}\",7", t.replace('"', "\"\""))),
    ("html", |t| format!("<li><code>{}</code></li>", html(t))),
    ("url", |t| format!("https://alerts.example/new?title={}&level=p1", percent(t))),
    ("form", |t| format!("level=p1&title={}", percent(t).replace("%20", "+"))),
    ("chat", |t| format!("> **order**: `{t}`")),
    ("errors.Join", |t| format!("place order\n{t}\nrollback: sql: transaction has already been committed")),
    ("list", |t| format!("3 errors occurred:\n\t* cache miss\n\t* {t}\n\t* audit failed\n")),
    ("cri", |t| format!("2026-11-25T22:33:00.230714123+08:00 stderr F level=error err={}", quoted(t))),
    ("syslog", |t| format!("<131>1 2026-11-25T22:33:00.230Z host order 42 - - order failed: {t}")),
    ("yaml", |t| format!("- uid: 7\n  error: {}\n  at: order.place", quoted(t))),
];

/// What applications printed, each with the lines of the truth that have it.
type Texts = BTreeMap<String, Vec<Value>>;

/// A capture's calls, and what its applications printed.
fn printed(path: &Path) -> Option<(Vec<Call>, Texts)> {
    let mut texts = Texts::new();
    for line in support::lines(path) {
        let text =
            line["client_saw"].as_str().filter(|text| !["time-out or cancelled", "<nil>"].contains(text));
        if let Some(text) = text.map(str::to_owned) {
            texts.entry(text).or_default().push(line);
        }
    }
    if texts.is_empty() {
        return None;
    }
    let capture = path.to_string_lossy().replace(".truth.jsonl", ".pcap");
    let options = Options { metadata: true, bodies: Some(std::sync::Arc::default()), ..Options::default() };
    Some((support::calls(&[capture.into()], &options), texts))
}

fn agrees(call: &Call, truth: &Value) -> bool {
    let record = support::record(call);
    let empty = |value: &Value| value.is_null() || value.as_str() == Some("");
    let same = |key: &str| record[key] == truth[key] || (empty(&record[key]) && empty(&truth[key]));
    ["rpc", "method", "code", "carrier", "class", "message"].iter().all(|key| same(key))
}

#[test]
fn a_line_leads_to_its_call_in_every_wrapping() {
    let (mut texts_read, mut texts_seen) = (0, 0);
    let (mut all, mut right) = (0, 0);
    let mut missed = Vec::new();
    for path in support::bundled(".truth.jsonl") {
        let Some((calls, texts)) = printed(&path) else { continue };
        for (text, truths) in &texts {
            // Calls of the same text and code are the same to a line that says no more.
            let is_same = |truth: &Value| {
                let message = truth["message"].as_str().filter(|message| !message.is_empty());
                message.is_some()
                    && truth["message"] == truths[0]["message"]
                    && truth["code"] == truths[0]["code"]
            };
            let others = texts.values().flatten().filter(|truth| is_same(truth));
            let accepted: Vec<&Value> = truths.iter().chain(others).collect();
            let is_right = |line: &str| {
                let line = LogLine::read(line);
                let mut ranking = Ranking::default();
                for call in &calls {
                    if let Some(fit) = line.fit(call) {
                        ranking.add(fit, || call.clone());
                    }
                }
                let (best, _) = ranking.finish();
                best.first().is_some_and(|(_, call)| accepted.iter().any(|truth| agrees(call, truth)))
            };
            texts_seen += 1;
            // What the text alone does not lead to, its wrappings can't.
            if !is_right(text) {
                missed.push(format!("as it is: {text}"));
                continue;
            }
            texts_read += 1;
            for (name, wrap) in WRAPPINGS {
                all += 1;
                if is_right(&wrap(text)) {
                    right += 1;
                } else {
                    missed.push(format!("{name}: {text}"));
                }
            }
        }
    }
    assert!(texts_seen > 100 && texts_read * 100 >= texts_seen * 90, "{texts_read} of {texts_seen} texts");
    assert!(right * 100 >= all * 98, "{right} of {all}\n{}", missed.join("\n"));
}

fn run(args: &[&str], input: &str) -> (Output, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.args(args).env("TZ", "UTC").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("the program reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let text = String::from_utf8(output.stdout.clone()).expect("output is UTF-8");
    (output, text)
}

fn plain_errors() -> String {
    support::captures().join("kitex/kitex-ttheader-plain-error.pcap").to_string_lossy().into_owned()
}

#[test]
fn the_line_may_come_on_standard_input_and_programs_get_records() {
    let line = "{\"err\":\"remote or network error[remote]: biz error: database is gone\",\"uid\":7}\n";
    let (output, text) = run(&["explain", "-", &plain_errors(), "--format", "jsonl"], line);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(records[0]["type"], "explanation");
    assert_eq!(records[0]["layers"][0]["text"], "biz error: database is gone");
    assert!(records.len() > 1);
    let (_, all) = run(&["calls", &plain_errors(), "--format", "jsonl"], "");
    for record in &records[1..] {
        let mut plain = record.clone();
        let why = plain.as_object_mut().and_then(|keys| keys.remove("why")).expect("a key why");
        assert!(why.as_array().is_some_and(|words| words.contains(&json!("text"))), "{why}");
        let is_same = |line: &str| serde_json::from_str::<Value>(line).is_ok_and(|call| call == plain);
        assert!(all.lines().any(is_same), "{plain} is no record of calls");
    }
}

#[test]
fn the_status_says_whether_a_call_was_found() {
    for (line, status, words) in [
        ("remote or network error[remote]: biz error: database is gone", 0, "    text, code"),
        ("ERROR order: database is gone, giving up", 0, "    text"),
        ("rpc error: code = NotFound desc = no such user", 1, "on the wire: Sent on the wire."),
        ("dial tcp 1.2.3.4:5: connect: connection refused", 1, "a SYN that is refused"),
        ("nothing of the kind", 1, "no call in the files carries it"),
        ("thrift-exception", 0, "database is gone"),
        ("grpc-status", 1, "no call in the files carries it"),
    ] {
        let (output, text) = run(&["explain", line, &plain_errors()], "");
        assert_eq!(output.status.code(), Some(status), "{line}: {text}");
        assert!(text.contains(words), "{line}: {text}");
    }
    let (output, _) = run(&["explain", "nothing of the kind"], "");
    assert_eq!(output.status.code(), Some(2), "without files, an unknown text is wrong usage");
}
