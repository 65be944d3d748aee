//! An object with the keys of the call record, back to a call.
//!
//! Taken are the objects of `--format jsonl`, the rows of `--format parquet`, and those rows as engines write them to JSON. Where both
//! differ (`start_ns` beside `start`, maps of texts, bodies as texts), each form is known.
//!
//! What a record does not have stays unknown: sequence numbers, sizes of messages, the library of the sender. What depends on
//! them is carried along in [`Told`].

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use rpcscope_parsers::{Rpc, Transport};

use crate::body::{Decoded, Value};
use crate::calls::keys;
use crate::calls::likely::{Likely, Reason};
use crate::calls::record::{
    CalleeView, Carrier, Class, Finding, GoAwayNote, Initiator, Name, Named, Observer, Process, RivalParent,
    Told, Via,
};
use crate::calls::{Call, CallKind, JoinKey, Share, Uid};
use crate::chains::Evidence;
use crate::codes;
use crate::decode::{Endpoint, Network};
use crate::payload::{Bodies, Payload, static_name};
use crate::text;
use crate::time::Timestamp;

/// Most names that are shared between calls.
const MAX_NAMES: usize = 65_536;

/// Most findings of a record that this version does not know.
const MAX_NEWER: usize = 64;

/// What is wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The key.
    pub key: String,
    /// What is wrong with its value.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}: {}", text::escape(&self.key), self.what)
    }
}

/// Makes calls of objects. Equal names share their memory.
#[derive(Debug, Default)]
pub struct Objects {
    names: HashSet<Name>,
}

/// What is found on the way through an object.
#[derive(Default)]
struct Found {
    uid: Option<Uid>,
    is_log_shared: bool,
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    arrival: Option<Timestamp>,
    work: Option<u64>,
    seen: Option<u32>,
    client: Option<Endpoint>,
    server: Option<Endpoint>,
    /// Of the caller's and the callee's end.
    names: [Named; 2],
    network: Option<Network>,
    transport: Option<Transport>,
    rpc: Option<Rpc>,
    kind: Option<CallKind>,
    class: Option<Class>,
    carrier: Option<Carrier>,
    /// Words that this version does not know.
    newer_carrier: Option<Name>,
    newer_findings: Vec<Name>,
    key: Option<JoinKey>,
    connection: Option<JoinKey>,
    reported_as: Option<String>,
    code_name: Option<String>,
    payload: Payload,
    /// Times in no known form.
    no_times: Vec<(&'static str, String)>,
    /// Fields without a description, by message: of the request, and of the answer.
    unknown: [Vec<Decoded>; 2],
}

type Of<T> = Result<T, String>;

impl Found {
    /// A time, unless its nanoseconds are known already. Engines have forms of their own, which only matter if those are missing.
    fn time(&mut self, key: &'static str, known: Option<Timestamp>, value: &Value) -> Option<Timestamp> {
        match time(value) {
            _ if known.is_some() => known,
            Ok(time) => Some(time),
            Err(why) => {
                self.no_times.push((key, why));
                None
            }
        }
    }
}

impl Objects {
    /// The call of a record. Keys that are not known are ignored, and carriers, findings, protocols and evidence that are not known are kept
    /// as words: newer versions may write more. A class or kind that is not known is an error, because all else depends on it.
    pub fn call(&mut self, record: &Value) -> Result<Call, Wrong> {
        let wrong = |key: &str, what: String| Wrong { key: key.to_owned(), what };
        let Value::Object(fields) = record else {
            return Err(wrong("type", "the record is no object".into()));
        };
        let nowhere = Endpoint { ip: [0, 0, 0, 0].into(), port: 0 };
        let mut call = Call::new(Uid::default(), Timestamp(0), nowhere, nowhere);
        let mut found = Found::default();
        for (name, value) in fields {
            if !matches!(value, Value::Null) {
                self.take(name, value, &mut call, &mut found).map_err(|what| wrong(name, what))?;
            }
        }
        finish(call, found).map_err(|(key, what)| wrong(key, what))
    }

    /// Takes the value of a key.
    fn take(&mut self, key: &str, value: &Value, call: &mut Call, found: &mut Found) -> Of<()> {
        let outcome = &mut call.outcome;
        match key {
            "uid" => found.uid = Some(text(value)?.parse()?),
            // Parquet has both; the one with nanoseconds counts, whatever its place.
            "start" => found.start = found.time("start", found.start, value),
            "start_ns" => found.start = Some(Timestamp(number(value)?)),
            "end" => found.end = found.time("end", found.end, value),
            "end_ns" => found.end = Some(Timestamp(number(value)?)),
            "arrival" => found.arrival = found.time("arrival", found.arrival, value),
            "arrival_ns" => found.arrival = Some(Timestamp(number(value)?)),
            "latency_ns" => call.latency = Some(amount(value)?),
            "duration_ns" => call.duration = Some(amount(value)?),
            "work_ns" => found.work = Some(amount(value)?),
            "seen" => found.seen = Some(small(value)?),
            "client" => found.client = Some(endpoint(value)?),
            "server" => found.server = Some(endpoint(value)?),
            "client_name" | "client_pod" | "client_node" | "server_name" | "server_pod" | "server_node" => {
                let name = Some(self.name(value)?);
                let (end, part) = key.split_once('_').unwrap_or_default();
                let named = &mut found.names[usize::from(end == "server")];
                match part {
                    "pod" => named.pod = name,
                    "node" => named.node = name,
                    _ => named.name = name,
                }
            }
            "via" => {
                let addresses = list(value)?.iter().map(|one| self.name(one)).collect::<Of<_>>()?;
                call.via = Some(Arc::new(Via { client: None, addresses }));
            }
            "transport" => {
                let other =
                    |name: &str| Transport::from_name(name).or(static_name(name).map(Transport::Other));
                found.transport = Some(known(value, other)?);
            }
            "network" => found.network = Some(known(value, Network::from_name)?),
            "rpc" => {
                let other = |name: &str| Rpc::from_name(name).or(static_name(name).map(Rpc::Other));
                found.rpc = Some(known(value, other)?);
            }
            "codec" => call.codec = Some(known(value, |name| codec(name).or(static_name(name)))?),
            "service" => call.service = Some(self.name(value)?),
            "method" => call.method = Some(self.name(value)?),
            "unknown_name" => {
                let group = text(value)?.strip_prefix("unknown#").and_then(|group| group.parse().ok());
                call.unknown_name = Some(group.ok_or("is not of the form unknown#17")?);
            }
            "caller" => call.caller = Some(self.name(value)?),
            "callee" => call.callee = Some(self.name(value)?),
            "id" => call.id = Some(number(value)?),
            "kind" => found.kind = Some(known(value, CallKind::from_name)?),
            "class" => found.class = Some(known(value, Class::from_name)?),
            "carrier" => {
                found.carrier = Some(Carrier::from_name(text(value)?).unwrap_or(Carrier::None));
                found.newer_carrier =
                    newer(value, Carrier::from_name)?.then(|| self.name(value)).transpose()?;
            }
            "code" => outcome.code = Some(number(value)?),
            "code_name" => found.code_name = Some(text(value)?.to_owned()),
            "message" => outcome.message = Some(text(value)?.into()),
            "initiator" => outcome.initiator = Some(known(value, Initiator::from_name)?),
            "goaway" => call.goaway = Some(Box::new(goaway(value)?)),
            "likely" => call.likely = Some(Box::new(self.likely(value)?)),
            "ret" => outcome.ret = Some(small(value)?),
            "func_ret" => outcome.func_ret = Some(small(value)?),
            "reported_as" => found.reported_as = Some(text(value)?.to_owned()),
            "biz_extra" => outcome.extra().biz_extra = map(value)?,
            "details" => outcome.extra().details = details(value)?,
            "request_bytes" => call.request_bytes = amount(value)?,
            "response_bytes" => call.response_bytes = amount(value)?,
            "request_messages" => call.request_messages = small(value)?,
            "response_messages" => call.response_messages = small(value)?,
            "timeout_ns" => call.timeout = Some(amount(value)?),
            "trace_id" => call.trace_id = Some(text(value)?.into()),
            "span_id" => call.span_id = Some(text(value)?.into()),
            "log_id" => call.log_id = Some(text(value)?.into()),
            // fleet/chains.py says it where it passes on a part of the records.
            "log_id_shared" => found.is_log_shared = matches!(value, Value::Bool(true)),
            "field_id" => outcome.field_id = Some(small(value)?),
            "cancel_path" => {
                let path = list(value)?.iter().map(|one| self.name(one)).collect::<Of<_>>()?;
                outcome.extra().cancel_path = path;
            }
            "parent" => call.parent = Some(text(value)?.parse()?),
            "parent_evidence" => {
                let name = |name: &str| Evidence::from_name(name).map(Evidence::name).or(static_name(name));
                call.parent_evidence = Some(known(value, name)?);
            }
            "parent_key" => call.parent_key = Some(known(value, JoinKey::parse)?),
            "parent_confidence" => call.parent_confidence = Some(share(value)?),
            "rivals" => call.rivals = Some(rivals(value)?).filter(|rivals| !rivals.is_empty()),
            "missed" => call.missed = Some(share(value)?),
            "findings" => {
                for finding in list(value)? {
                    match Finding::from_name(text(finding)?) {
                        Some(finding) => call.findings.insert(finding),
                        None if found.newer_findings.len() < MAX_NEWER => {
                            found.newer_findings.push(self.name(finding)?);
                        }
                        None => return Err(format!("has more than {MAX_NEWER} words that are not known")),
                    }
                }
            }
            "process" => call.set_processes(self.processes(value)?),
            "metadata" => call.metadata = metadata(value)?,
            "request" => found.payload.request = messages(value)?,
            "response" => found.payload.response = messages(value)?,
            "request_unknown" => found.unknown[0] = messages(value)?,
            "response_unknown" => found.unknown[1] = messages(value)?,
            "exception" => found.payload.exception = Some(body(value)?),
            "error" => found.payload.error = Some(body(value)?),
            "body_remarks" => {
                found.payload.remarks = list(value)?.iter().map(|one| self.name(one)).collect::<Of<_>>()?;
            }
            "packets" => match list(value)? {
                [first, last] => call.packets = (amount(first)?, amount(last)?),
                _ => return Err("is not two numbers".into()),
            },
            "call_key" => found.key = Some(known(value, JoinKey::parse)?),
            "conn_key" => found.connection = Some(known(value, JoinKey::parse)?),
            "request_seq" => call.positions[0] = Some(small(value)?),
            "host" => call.host = Some(self.name(value)?),
            "observer" => call.observer = Some(known(value, Observer::from_name)?),
            // Follow from others: type, network_ns, canceled_by.
            _ => {}
        }
        Ok(())
    }

    fn name(&mut self, value: &Value) -> Of<Name> {
        let name = text(value)?;
        if let Some(known) = self.names.get(name) {
            return Ok(Arc::clone(known));
        }
        let name: Name = name.into();
        if self.names.len() < MAX_NAMES {
            self.names.insert(Arc::clone(&name));
        }
        Ok(name)
    }

    fn likely(&mut self, value: &Value) -> Of<Likely> {
        let mut likely = Likely::default();
        for (part, value) in object(value)? {
            match part.as_str() {
                "service" => likely.service = Some(self.name(value)?),
                "method" => likely.method = Some(self.name(value)?),
                "class" => likely.class = Some(known(value, Class::from_name)?),
                "code" => likely.code = Some(number_or_text(value)?),
                "confidence" => likely.percent = (fraction(value)? * 100.0).round() as u8,
                "why" => {
                    let reasons = text(value)?.split("; ").filter(|reason| !reason.is_empty());
                    let reason = |text: &str| {
                        Reason::from_name(text)
                            .ok_or_else(|| format!("why: {} is not known", text::escape(text)))
                    };
                    likely.why = reasons.map(reason).collect::<Of<_>>()?;
                }
                _ => {}
            }
        }
        Ok(likely)
    }

    /// `{"client":{"pid":7,"name":"shop"}}`, or `client=shop(7)` of Parquet.
    fn processes(&mut self, value: &Value) -> Of<[Option<Process>; 2]> {
        let place = |process: &mut Process, fact: &str, text: Name| match fact {
            "container" => process.container = Some(text),
            "pod_uid" => process.pod_uid = Some(text),
            _ => {}
        };
        let mut ends = [None, None];
        let mut set = |end: &str, process| match end {
            "client" => ends[0] = Some(process),
            "server" => ends[1] = Some(process),
            _ => {}
        };
        if let Value::Text(text) = value {
            for part in text.split(',').filter(|part| !part.is_empty()) {
                let parsed = part.split_once('=').and_then(|(end, process)| {
                    let (name, facts) = process.strip_suffix(')')?.rsplit_once('(')?;
                    let mut facts = facts.split(' ');
                    let mut process = Process::new(facts.next()?.parse().ok()?, name);
                    for (fact, text) in facts.filter_map(|fact| fact.split_once('=')) {
                        place(&mut process, fact, text.into());
                    }
                    Some((end, process))
                });
                // A name may have a comma in it.
                if let Some((end, process)) = parsed {
                    set(end, process);
                }
            }
            return Ok(ends);
        }
        for (end, process) in object(value)? {
            let part = |name: &str| process.get(name).ok_or_else(|| format!("{name} is missing"));
            let mut found = Process::new(small(part("pid")?)?, self.name(part("name")?)?);
            for fact in ["container", "pod_uid"] {
                if let Some(text) = process.get(fact) {
                    place(&mut found, fact, self.name(text)?);
                }
            }
            set(end, found);
        }
        Ok(ends)
    }
}

/// Puts together what depends on several keys.
fn finish(mut call: Call, mut found: Found) -> Result<Call, (&'static str, String)> {
    let missing = |key| move || (key, "is missing: this is no record of a call".to_owned());
    for (key, why) in found.no_times {
        let times = [("start", found.start), ("end", found.end), ("arrival", found.arrival)];
        if times.contains(&(key, None)) {
            return Err((key, why));
        }
    }
    call.uid = found.uid.ok_or_else(missing("uid"))?;
    call.start = found.start.ok_or_else(missing("start"))?;
    call.client = found.client.ok_or_else(missing("client"))?;
    call.server = found.server.ok_or_else(missing("server"))?;
    call.network = found.network.ok_or_else(missing("network"))?;
    call.transport = found.transport.ok_or_else(missing("transport"))?;
    call.rpc = found.rpc.ok_or_else(missing("rpc"))?;
    call.kind = found.kind.ok_or_else(missing("kind"))?;
    let carrier = found.carrier.ok_or_else(missing("carrier"))?;
    (call.outcome.class, call.outcome.carrier) = (found.class, carrier);
    if let Some(name) = &found.code_name {
        let is_published = |published: &&str| *published == name.as_str();
        let published =
            call.code_family().zip(call.outcome.code).and_then(|(family, code)| codes::name(family, code));
        let named = published.filter(is_published).or_else(|| static_name(name));
        call.outcome.code_name = Some(named.ok_or_else(|| ("code_name", "is no name of a code".to_owned()))?);
    }
    call.set_names(found.names.map(|named| (named != Named::default()).then(|| Arc::new(named))));
    let answered = call.start.0.saturating_add_unsigned(call.duration.unwrap_or(0));
    call.end = found.end.unwrap_or(Timestamp(answered));
    (call.decided, call.connection) = (call.packets.1, call.packets.0);
    if let Some(goaway) = &mut call.goaway {
        goaway.by = call.outcome.initiator.unwrap_or(Initiator::Server);
    }
    if let (Some(start), Some(seen)) = (found.arrival, found.seen) {
        let end = Timestamp(start.0.saturating_add_unsigned(found.work.unwrap_or(0)));
        call.callee_view = Some(Box::new(CalleeView { seen, start, end, latency: found.work }));
    }
    let of_ends = JoinKey::of_connection(call.network, [call.client, call.server]);
    call.told = Some(Box::new(Told {
        key: found.key,
        connection: found.connection.unwrap_or(of_ends),
        reported_as: found.reported_as,
        carrier: found.newer_carrier,
        findings: found.newer_findings,
        is_log_shared: found.is_log_shared,
    }));
    let Payload { request, response, .. } = &mut found.payload;
    for (messages, unknown) in [request, response].into_iter().zip(found.unknown) {
        for (message, unknown) in messages.iter_mut().zip(unknown) {
            message.unknown = Some(unknown.value).filter(|fields| *fields != Value::Object(Vec::new()));
        }
    }
    let Payload { request, response, exception, error, remarks, .. } = &found.payload;
    let has_messages = !request.is_empty() || !response.is_empty();
    if has_messages || exception.is_some() || error.is_some() || !remarks.is_empty() {
        let mut bodies = Bodies::default();
        bodies.payload = Payload { shown: true, ..found.payload };
        call.bodies = Some(Box::new(bodies));
    }
    Ok(call)
}

fn codec(name: &str) -> Option<&'static str> {
    keys::key("codec")?.kind.values().into_iter().find(|codec| *codec == name)
}

fn text(value: &Value) -> Of<&str> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("is no text".into()),
    }
}

/// Whether a text stands for none of a few things: a newer version may know more.
fn newer<T>(value: &Value, of: impl Fn(&str) -> Option<T>) -> Of<bool> {
    Ok(of(text(value)?).is_none())
}

/// A text that stands for one of a few things.
fn known<T>(value: &Value, of: impl Fn(&str) -> Option<T>) -> Of<T> {
    let text = text(value)?;
    // Long texts are no words that anybody wrote on purpose.
    let shown = || text::escape(&text.chars().take(40).collect::<String>()).into_owned();
    of(text).ok_or_else(|| format!("'{}' is not known to this version of rpcscope, and what follows from it is not either: use the version that wrote it, or a newer one", shown()))
}

fn number(value: &Value) -> Of<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err("is no whole number of 64 bits".into()),
    }
}

fn number_or_text(value: &Value) -> Of<i64> {
    match value {
        Value::Text(text) => text.parse().map_err(|_| "is no number".into()),
        value => number(value),
    }
}

fn amount(value: &Value) -> Of<u64> {
    match value {
        Value::UInt(number) => Ok(*number),
        value => number(value)?.try_into().map_err(|_| "is negative".into()),
    }
}

fn small<T: TryFrom<i64>>(value: &Value) -> Of<T> {
    number(value)?.try_into().map_err(|_| "is out of its range".into())
}

fn fraction(value: &Value) -> Of<f64> {
    let fraction = match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    fraction
        .filter(|fraction| (0.0..=1.0).contains(fraction))
        .ok_or_else(|| "is no number from 0 to 1".into())
}

fn share(value: &Value) -> Of<Share> {
    fraction(value).map(Share::of)
}

fn time(value: &Value) -> Of<Timestamp> {
    let parsed = text(value)?.parse::<jiff::Timestamp>().ok();
    let nanoseconds = parsed.and_then(|time| i64::try_from(time.as_nanosecond()).ok());
    nanoseconds.map(Timestamp).ok_or_else(|| "is no time as in 2026-01-02T15:04:05.000000001Z".into())
}

fn endpoint(value: &Value) -> Of<Endpoint> {
    let parsed = text(value)?.parse::<SocketAddr>().ok();
    let endpoint = parsed.map(|address| Endpoint { ip: address.ip(), port: address.port() });
    endpoint.ok_or_else(|| "is no address with a port".into())
}

fn list(value: &Value) -> Of<&[Value]> {
    match value {
        Value::List(list) => Ok(list),
        _ => Err("is no list".into()),
    }
}

fn object(value: &Value) -> Of<&[(String, Value)]> {
    match value {
        Value::Object(fields) => Ok(fields),
        _ => Err("is no object".into()),
    }
}

fn map(value: &Value) -> Of<Vec<(String, String)>> {
    object(value)?.iter().map(|(name, value)| Ok((name.clone(), text(value)?.to_owned()))).collect()
}

/// `[{"type":"ErrorInfo","text":"reason=QUOTA"}]`, or a map of Parquet.
fn details(value: &Value) -> Of<Vec<(String, String)>> {
    let Value::List(details) = value else { return map(value) };
    let part = |detail: &Value, name: &str| {
        detail
            .get(name)
            .ok_or_else(|| format!("{name} is missing"))
            .and_then(|part| text(part).map(str::to_owned))
    };
    details.iter().map(|detail| Ok((part(detail, "type")?, part(detail, "text")?))).collect()
}

/// `[{"parent":"3f…","confidence":0.5}]`, or a map of Parquet.
fn rivals(value: &Value) -> Of<Box<[RivalParent]>> {
    let rival = |parent: &Value, confidence: &Value| {
        Ok(RivalParent { parent: known(parent, JoinKey::parse)?, confidence: share(confidence)? })
    };
    let part =
        |value: &Value, name: &str| value.get(name).cloned().ok_or_else(|| format!("{name} is missing"));
    match value {
        Value::List(list) => {
            list.iter().map(|one| rival(&part(one, "parent")?, &part(one, "confidence")?)).collect()
        }
        value => object(value)?.iter().map(|(key, share)| rival(&Value::Text(key.clone()), share)).collect(),
    }
}

fn goaway(value: &Value) -> Of<GoAwayNote> {
    object(value)?;
    let code = number_or_text(value.get("code").ok_or("code is missing")?)?;
    let text = value.get("text").map(text).transpose()?.map(str::to_owned);
    Ok(GoAwayNote { by: Initiator::Server, code, text })
}

/// `{"request":{"x-user":["7","8"]},"response":{}}`, or a map of Parquet, which does not tell them apart.
fn metadata(value: &Value) -> Of<Vec<(bool, String, String)>> {
    let is_nested = object(value)?.iter().all(|(_, part)| matches!(part, Value::Object(_)));
    if !is_nested {
        return Ok(map(value)?.into_iter().map(|(name, text)| (false, name, text)).collect());
    }
    let mut headers = Vec::new();
    for (part, is_answer) in [("request", false), ("response", true)] {
        let Some(part) = value.get(part) else { continue };
        for (name, values) in object(part)? {
            for one in list(values)? {
                headers.push((is_answer, name.clone(), text(one)?.to_owned()));
            }
        }
    }
    Ok(headers)
}

/// A body, or its JSON.
fn body(value: &Value) -> Of<Value> {
    match value {
        Value::Text(json) => serde_json::from_str(json).map_err(|error| format!("is no JSON: {error}")),
        value => Ok(value.clone()),
    }
}

fn messages(value: &Value) -> Of<Vec<Decoded>> {
    match body(value)? {
        Value::List(messages) => Ok(messages.into_iter().map(Decoded::of).collect()),
        _ => Err("is no list".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;
    use crate::sink::jsonl::write_call;

    fn written(call: &Call) -> String {
        let mut line = Vec::new();
        write_call(&mut line, call);
        String::from_utf8(line).unwrap()
    }

    fn parsed(record: &str) -> Result<Call, Wrong> {
        Objects::default().call(&serde_json::from_str(record).unwrap())
    }

    #[test]
    fn every_key_comes_back() {
        for call in [sample::full(), sample::ok(), sample::bare()] {
            let line = written(&call);
            assert_eq!(written(&parsed(&line).unwrap()), line);
        }
    }

    #[test]
    fn the_end_is_kept_where_it_is_not_that_of_the_answer() {
        let mut call = sample::ok();
        for (end, is_written) in [(3_400_000, false), (9_000_000, true)] {
            call.end = Timestamp(call.start.0 + end);
            let line = written(&call);
            assert_eq!(line.contains("\"end\":"), is_written);
            assert_eq!(parsed(&line).unwrap().end, call.end);
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_key() {
        let line = written(&sample::full());
        for (right, wrong, key) in [
            ("\"uid\":\"71.2\"", "\"uid\":7", "uid"),
            ("\"uid\":\"71.2\"", "\"no\":7", "uid"),
            ("2026-01-02T01:34:09.12", "2026-01-02 01.34.09.12", "start"),
            ("\"class\":\"business\"", "\"class\":\"busy\"", "class"),
            ("\"kind\":\"unary\"", "\"kind\":\"carrier pigeon\"", "kind"),
            ("\"rpc\":\"thrift\"", "\"rpc\":\"soap 1\"", "rpc"),
            ("10.77.0.12:8888", "10.77.0.12", "server"),
            ("\"latency_ns\":3200000", "\"latency_ns\":-1", "latency_ns"),
            ("\"ret\":0", "\"ret\":4294967296", "ret"),
            ("\"parent_confidence\":0.9750", "\"parent_confidence\":1.5", "parent_confidence"),
            ("\"late-answer\"", "7", "findings"),
            ("\"packets\":[71,78]", "\"packets\":[71]", "packets"),
        ] {
            assert!(line.contains(right), "{right}");
            let wrong = parsed(&line.replace(right, wrong)).unwrap_err();
            assert_eq!(wrong.key, key, "{wrong}");
        }
        let of_engine = line.replace("\"start\":\"", "\"start_ns\":1767317649120000000,\"start\":\"on ");
        assert_eq!(parsed(&of_engine).unwrap().start, sample::full().start);
        assert!(parsed("[]").is_err() && parsed("{}").is_err());
        assert!(
            parsed(&line.replace("\"uid\"", "\"later_key\":{},\"uid\"")).is_ok(),
            "keys that are not known"
        );
    }

    #[test]
    fn words_of_a_newer_version_are_kept() {
        let mut line = written(&sample::full());
        for (known, newer) in [
            ("\"carrier\":\"biz-status\"", "\"carrier\":\"pigeon-status\""),
            ("\"rpc\":\"thrift\"", "\"rpc\":\"soap-2\""),
            ("\"transport\":\"ttheader\"", "\"transport\":\"pigeon\""),
            ("\"codec\":\"thrift-binary\"", "\"codec\":\"asn-1\""),
            ("\"parent_evidence\":\"trace-id\"", "\"parent_evidence\":\"dream-id\""),
            ("\"late-answer\",\"gap\"]", "\"late-answer\",\"gap\",\"too-\\u001blate\",\"odd\"]"),
        ] {
            assert!(line.contains(known), "{known} in {line}");
            line = line.replace(known, newer);
        }
        // The numbering of the carrier names no code.
        line = line.replace(",\"code_name\":\"NOT_FOUND\"", "");
        let call = parsed(&line).unwrap();
        let unescaped = |line: &str| serde_json::from_str::<Value>(line).unwrap().to_json();
        assert_eq!(unescaped(&written(&call)), unescaped(&line));
        assert!(call.findings.contains(Finding::LateAnswer) && call.outcome.carrier == Carrier::None);
        let many = format!("\"findings\":[{}\"x\"]", "\"x\",".repeat(MAX_NEWER));
        let line = written(&sample::ok()).replace("\"findings\":[]", &many);
        assert!(parsed(&line).is_err());
    }

    #[test]
    fn equal_names_share_their_memory() {
        let mut objects = Objects::default();
        let record = serde_json::from_str(&written(&sample::ok())).unwrap();
        let [a, b] = [(); 2].map(|()| objects.call(&record).unwrap().service.unwrap());
        assert!(Arc::ptr_eq(&a, &b));
    }
}
