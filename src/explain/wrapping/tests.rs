//! What logs wrap around an error, taken off again.

use super::*;

const TEXT: &str = "rpc error: code = NotFound desc = no \"such\" user: 100% of 'them' <gone> \\ & c+d";

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn html(text: &str) -> String {
    let pairs = [("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\"", "&quot;"), ("'", "&#x27;")];
    pairs.iter().fold(text.to_owned(), |text, (plain, escaped)| text.replace(plain, escaped))
}

fn url(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn python(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A line as a terminal of that width breaks it.
fn broken(line: &str, width: usize) -> String {
    let chars: Vec<char> = line.chars().collect();
    chars.chunks(width).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join("\n")
}

/// Every wrapping with the text in it.
fn wrapped(text: &str) -> Vec<(&'static str, String)> {
    let quoted = json(text);
    let log = json(&format!("{{\"level\":\"error\",\"err\":{quoted}}}\n"));
    vec![
        ("as it is", text.to_owned()),
        ("spaces", format!("   {text}  \r\n")),
        ("colours", format!("\u{1b}[31;1mERROR\u{1b}[0m order: \u{1b}[2m{text}\u{1b}[0m uid=7")),
        ("colours of an editor", format!("^[[33mWARN^[[0m {text}")),
        (
            "json",
            format!("{{\"level\":\"error\",\"ts\":1.5,\"msg\":\"failed\",\"error\":{quoted},\"uid\":7}}"),
        ),
        ("json in json", format!("{{\"log\":{log},\"stream\":\"stderr\"}}")),
        ("json in json in json", json(&format!("{{\"message\":{}}}", json(&format!("{{\"log\":{log}}}"))))),
        ("inside of a json string", quoted.trim_matches('"').to_owned()),
        ("logfmt", format!("time=2026-11-25T22:33:00Z level=error msg=\"place order\" error={quoted} uid=7")),
        (
            "escaped unicode",
            format!("{{\"err\":{}}}", quoted.replace('<', "\\u003c").replace('&', "\\u0026")),
        ),
        ("csv", format!("\"2026-11-25\",7,\"{}\",\"x\"", text.replace('"', "\"\""))),
        ("html", format!("<tr><td>{}</td><td>7</td></tr>", html(text))),
        ("url", format!("GET /alert?msg={}&level=error HTTP/1.1", url(text))),
        ("form", format!("level=error&msg={}", url(text).replace("%20", "+"))),
        ("url in json", format!("{{\"uri\":\"/alert?msg={}\"}}", url(text))),
        ("python", format!("ERROR:order:place failed: {}", python(text))),
        ("lines", format!("cannot place order\n{text}\nrollback failed")),
        ("bullets", format!("2 errors occurred:\n\t* {text}\n\t* context canceled\n\n")),
        ("markdown", format!("> {text}")),
        ("stack", format!("{text}\ngoroutine 12 [running]:\nmain.main()\n\t/app/main.go:12 +0x1d")),
        ("lines in json", format!("{{\"msg\":{}}}", json(&format!("failed:\n{text}\n\tat main")))),
        (
            "syslog's structured data",
            format!(
                "<131>1 - host order 4242 - [sd@32473 err={} uid=\"7\"] failed",
                quoted.replace(']', "\\]")
            ),
        ),
        ("journald's list of bytes", format!("{{\"PRIORITY\":\"3\",\"MESSAGE\":{:?}}}", text.as_bytes())),
        ("broken into lines", broken(&format!("2026-11-25 22:33:00 ERROR {text}"), 48)),
        ("docker", format!("{{\"log\":{},\"stream\":\"stderr\"}}", json(&format!("{text}\n")))),
        (
            "loki",
            format!(
                "{{\"values\":[[\"1764110000230714123\",{}]]}}",
                json(&format!("level=error err={quoted}"))
            ),
        ),
    ]
}

#[test]
fn the_text_is_a_candidate_in_every_wrapping() {
    for text in [TEXT, "remote or network error[remote]: biz error: 余额不足", "plain words"] {
        for (name, line) in wrapped(text) {
            let found = candidates(&line);
            assert!(found.iter().any(|candidate| candidate == text.trim()), "{name}: {line}\n{found:#?}");
        }
    }
}

#[test]
fn a_string_that_is_not_closed_was_cut() {
    for (line, text) in [
        ("{\"level\":\"error\",\"err\":\"rpc timeout: time", "rpc timeout: time…"),
        ("level=error err=\"no \\\"such\\\" us\\", "no \"such\" us…"),
    ] {
        assert!(candidates(line).iter().any(|found| found == text), "{line}: {:?}", candidates(line));
    }
    for line in ["a disk of 3.5\" is full", "{\"err\":\"gone\"}"] {
        assert!(!candidates(line).iter().any(|found| found.ends_with('…')), "{line}");
    }
}

#[test]
fn headers_of_lines_are_taken_off() {
    for header in [
        "E1125 22:33:00.230714    4242 order.go:31] ",
        "2026-11-25T22:33:00.230714123+08:00 stderr F ",
        "2026-11-25 22:33:00,230 ERROR [main] c.s.Order : ",
        "2026-11-25T22:33:00.230Z\terror\torder/place.go:31\t",
        "[2026-11-25 22:33:00.230] [order] [error] [place.cc:31] ",
        "<131>1 2026-11-25T22:33:00.230Z host-7 order 4242 - - ",
        "order-7d9c5b6f4-x2x9z order 2026/11/25 22:33:00 place.go:31: ",
        "order-1  | ERROR ",
        "2026/11/25 22:14:53.591095 server.go:79: [Error] ",
    ] {
        let found = candidates(&format!("{header}rpc timeout: timeout=150ms"));
        assert!(found.iter().any(|text| text == "rpc timeout: timeout=150ms"), "{header}: {found:#?}");
    }
}

#[test]
fn number_length_and_cost_are_bounded() {
    let many = format!(
        "{{{}}}",
        (0..10_000).map(|at| format!("\"k{at}\":\"value {at}\"")).collect::<Vec<_>>().join(",")
    );
    let nested = (0..20).fold("rpc error: code = 5 desc = x".to_owned(), |text, _| json(&text));
    for line in [
        many,
        nested,
        "\"".repeat(1 << 20),
        "\" ".repeat(1 << 19),
        "'\\".repeat(1 << 19),
        "&#x41;%41<b>\u{1b}[0m".repeat(1 << 16),
        "\n".repeat(1 << 20),
        "{\"a\":".repeat(1 << 17),
        "下".repeat(1 << 19),
        String::new(),
    ] {
        let found = candidates(&line);
        assert!(found.len() <= CANDIDATE_LIMIT);
        assert!(found.iter().map(String::len).sum::<usize>() <= BYTES_LIMIT);
    }
}
