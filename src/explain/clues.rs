//! What else stands in a log line beside the text of an error: addresses, ids, times. It decides between calls of the same text.

mod stamp;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::LazyLock;

use regex::Regex;

pub use stamp::Stamp;

use super::agreement;
use crate::calls::Call;

/// Most clues of one kind that are kept.
const CLUE_LIMIT: usize = 64;

/// Shortest and longest text that counts as an id, bytes.
const ID: std::ops::RangeInclusive<usize> = 8..=128;

/// Shortest name of a method or service that counts, bytes.
const NAME_LIMIT: usize = 3;

/// By which share of it a duration in a line may differ from the one in the capture, unless its digits are coarser.
const LATENCY_SHARE: u64 = 10;

static ADDRESS: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+\]):\d{1,5}"));

static LATENCY: LazyLock<Regex> = LazyLock::new(|| {
    let names = "cost|costs|took|elapsed|latency|duration|dur|spent|rt|time|耗时";
    pattern(&format!(r#"(?i)(?:{names})["']?\s*[:=]?\s*["']?(\d+(?:\.\d+)?)\s?(ns|us|µs|μs|ms|s)\b"#))
});

/// A pattern of this module; all of them are tried by the tests.
fn pattern(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| unreachable!("{error}"))
}

/// What a pasted text holds beside the error.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clues {
    /// Addresses with ports, as they stand there.
    addresses: Vec<(String, SocketAddr)>,
    /// Words that may be ids of traces, logs, requests: long enough, and with a digit. In lower case.
    ids: HashSet<String>,
    stamps: Vec<Stamp>,
    /// Each with the smallest step of its digits, nanoseconds.
    latencies: Vec<(u64, u64)>,
    texts: Vec<String>,
}

/// How what a line says agrees with a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreed {
    /// The words for it.
    pub why: Vec<String>,
    /// How much it weighs.
    pub weight: u32,
    /// The line names another connection or trace.
    pub contradicted: bool,
    /// How far the line's time is from the end of the call, nanoseconds.
    pub distance: Option<i64>,
}

impl Clues {
    /// Reads them from a text in all its layers.
    #[must_use]
    pub fn read(texts: &[String]) -> Self {
        let mut clues = Self::default();
        for text in texts {
            for found in ADDRESS.find_iter(text).take(CLUE_LIMIT) {
                let known = clues.addresses.iter().any(|(known, _)| known == found.as_str());
                if let Ok(address) = found.as_str().parse()
                    && !known
                    && clues.addresses.len() < CLUE_LIMIT
                {
                    clues.addresses.push((found.as_str().to_owned(), address));
                }
            }
            for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))) {
                if ID.contains(&word.len())
                    && word.bytes().any(|byte| byte.is_ascii_digit())
                    && clues.ids.len() < CLUE_LIMIT
                {
                    clues.ids.insert(word.to_ascii_lowercase());
                }
            }
            for found in LATENCY.captures_iter(text).take(CLUE_LIMIT) {
                let unit = match found.get(2).map(|unit| unit.as_str()) {
                    Some("ns") => 1.0,
                    Some("ms") => 1e6,
                    Some("s") => 1e9,
                    _ => 1e3,
                };
                let Some(digits) = found.get(1).map(|number| number.as_str()) else { continue };
                let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
                if let Ok(number) = digits.parse::<f64>()
                    && clues.latencies.len() < CLUE_LIMIT
                {
                    let step = unit / 10_f64.powi(decimals as i32);
                    clues.latencies.push(((number * unit) as u64, step as u64));
                }
            }
            stamp::read(text, &mut clues.stamps);
        }
        clues.texts = texts.to_vec();
        clues
    }

    /// The addresses that it names.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().map(|(_, address)| *address)
    }

    /// Words that may be ids of traces, logs, requests, in lower case.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.ids.iter().map(String::as_str)
    }

    /// Whether the headers of calls may hold one of its ids.
    #[must_use]
    pub fn needs_headers(&self) -> bool {
        !self.ids.is_empty()
    }

    /// How it agrees with a call, `text` being the call's own text: what stands in that says nothing about the call itself. `lag`: how
    /// far the line is behind the end of the call, if that is known better than by its own times.
    #[must_use]
    pub fn agree(&self, call: &Call, text: &str, lag: Option<i64>) -> Agreed {
        let mut agreed = Agreed::default();
        self.agree_by_address(call, text, &mut agreed);
        self.agree_by_id(call, &mut agreed);
        for (name, what, weight) in [
            (call.method.as_deref(), "method", 2),
            (call.service.as_deref(), "service", 1),
            (call.callee.as_deref(), "callee", 1),
        ] {
            let name = name.filter(|name| name.len() >= NAME_LIMIT);
            if name.is_some_and(|name| self.texts.iter().any(|text| agreement::find(text, name).is_some())) {
                agreed.why.push(what.to_owned());
                agreed.weight += weight;
            }
        }
        let stamps = self.stamps.iter().map(|stamp| stamp.distance(call.end));
        agreed.distance = lag.or_else(|| stamps.min_by_key(|distance| distance.unsigned_abs()));
        if let Some(distance) = agreed.distance.filter(|distance| distance.unsigned_abs() < stamp::NEAR) {
            agreed.why.push(format!("time {:+.1} s", distance as f64 / 1e9));
        }
        let near = |(latency, step): &(u64, u64)| {
            let seen = [call.latency, call.duration, Some(call.end.since(call.start))];
            seen.into_iter()
                .flatten()
                .any(|seen| seen.abs_diff(*latency) <= (seen / LATENCY_SHARE).max(*step))
        };
        if self.latencies.iter().any(near) {
            agreed.why.push("latency".to_owned());
            agreed.weight += 1;
        }
        agreed
    }

    fn agree_by_address(&self, call: &Call, text: &str, agreed: &mut Agreed) {
        let beside: Vec<SocketAddr> = self
            .addresses
            .iter()
            .filter(|(written, _)| !text.contains(written.as_str()))
            .map(|(_, address)| *address)
            .collect();
        let named = |end: crate::decode::Endpoint| beside.contains(&SocketAddr::new(end.ip, end.port));
        let client = named(call.client) || named(call.caller_address());
        let server = named(call.server);
        if client || server {
            agreed.why.push("address".to_owned());
            // A caller's port names one connection, a server's many.
            agreed.weight += if client { 10 } else { 4 };
        } else {
            agreed.contradicted |= !beside.is_empty();
        }
    }

    /// Whether it holds the id of a trace, and that is another one than the call's.
    #[must_use]
    pub fn is_of_other_trace(&self, call: &Call) -> bool {
        let mut agreed = Agreed::default();
        self.agree_by_id(call, &mut agreed);
        agreed.contradicted && agreed.why.is_empty()
    }

    fn agree_by_id(&self, call: &Call, agreed: &mut Agreed) {
        let is_hex = |id: &str| id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(trace) = call.trace_id.as_deref().map(str::to_ascii_lowercase) {
            // B3 and Datadog have ids of 64 bits, the lower half of longer ones.
            let is_half = |id: &String| id.len() == 16 && is_hex(id) && trace.ends_with(id.as_str());
            if self.ids.contains(&trace) || self.ids.iter().any(is_half) {
                agreed.why.push("trace id".to_owned());
                agreed.weight += 20;
                return;
            }
            agreed.contradicted |=
                self.ids.iter().any(|id| id.len() == trace.len() && is_hex(id) && is_hex(&trace));
        }
        let carries = |(_, _, value): &(bool, String, String)| {
            ID.contains(&value.len()) && self.ids.contains(&value.to_ascii_lowercase())
        };
        if call.metadata.iter().any(carries) {
            agreed.why.push("id in the headers".to_owned());
            agreed.weight += 15;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    fn clues(line: &str) -> Clues {
        Clues::read(&[line.to_owned()])
    }

    #[test]
    fn addresses_name_the_connection_unless_they_stand_in_the_text_itself() {
        let call = sample::bare();
        let (client, server) = (call.client.to_string(), call.server.to_string());
        let agreed = clues(&format!("remoteAddr={client}, error=x")).agree(&call, "x", None);
        assert_eq!((agreed.why, agreed.contradicted), (vec!["address".to_owned()], false));
        assert!(clues("remote=203.0.113.9:1").agree(&call, "x", None).contradicted);
        let own = clues("down at 203.0.113.9:1").agree(&call, "down at 203.0.113.9:1", None);
        assert_eq!((own.weight, own.contradicted), (0, false));
        let server = clues(&format!("dial {server}")).agree(&call, "", None).weight;
        assert!(server > 0 && server < agreed.weight);
        assert_eq!(clues("[::1]:80 1.2.3.4:99999 1.2.3:4").addresses.len(), 1);
    }

    #[test]
    fn ids_are_those_of_the_trace_or_of_the_headers() {
        let mut call = sample::bare();
        call.trace_id = Some("0af7651916cd43dd8448eb211c80319c".into());
        call.metadata = vec![(false, "K_LOGID".into(), "20261126093011ABCDEF".into())];
        let weight = |line: &str| clues(line).agree(&call, "", None).weight;
        let full = weight("trace_id=0AF7651916cd43dd8448eb211c80319c");
        assert!(full > 0 && weight("traceid=8448eb211c80319c") == full);
        assert!(weight("[20261126093011abcdef]") > 0);
        assert!(clues("trace_id=1af7651916cd43dd8448eb211c80319c").agree(&call, "", None).contradicted);
        assert!(!clues("order 20261126").agree(&call, "", None).contradicted);
    }

    #[test]
    fn latencies_agree_within_a_tenth() {
        let mut call = sample::bare();
        call.latency = Some(153_000_000);
        let has = |line: &str| clues(line).agree(&call, "", None).why.iter().any(|why| why == "latency");
        assert!(has("cost=150ms") && has("(took 0.153s, attempt 2/3)") && has("\"latency\":\"153.2ms\""));
        assert!(!has("cost=15ms") && !has("timeout=153ms") && !has("took 153"));
    }
}
