//! Trace context in headers: which trace and span a request says it belongs to.

use rpcscope_parsers::message::Pairs;

/// What the headers of a request say of its trace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Trace id as sent.
    pub trace_id: Option<String>,
    /// Id of the caller's span, as sent.
    pub span_id: Option<String>,
}

/// Prefixes under which frameworks carry user headers on (Kitex metainfo, its HTTP/2 form).
const PREFIXES: [&str; 5] =
    ["rpc_transit_upstream_", "rpc_transit_", "rpc_persist_", "rpc-transit-", "rpc-persist-"];

/// Longest value that is taken for an id.
const MAX_ID: usize = 128;

/// Reads W3C `traceparent`, B3 (one header or several), Jaeger `uber-trace-id` and SkyWalking `sw8`, in this order of
/// preference, with or without the prefix of a framework.
#[must_use]
pub fn context(headers: &dyn Pairs) -> Trace {
    let mut found: [Option<Trace>; 5] = Default::default();
    headers.each(&mut |key, value| {
        if value.is_empty() || value.len() > 512 {
            return;
        }
        let key = PREFIXES.iter().find_map(|prefix| without_prefix(key, prefix.as_bytes())).unwrap_or(key);
        let Some(place) = NAMES.iter().position(|name| is_name(key, name.as_bytes())) else { return };
        let Ok(value) = std::str::from_utf8(value) else { return };
        match place {
            0 => found[0] = w3c(value),
            1 => found[1] = b3(value),
            2 => found[2].get_or_insert_default().trace_id = hex(value),
            3 => found[2].get_or_insert_default().span_id = hex(value),
            4 => found[3] = jaeger(value),
            _ => found[4] = skywalking(value),
        }
    });
    found.into_iter().flatten().find(|trace| trace.trace_id.is_some()).unwrap_or_default()
}

/// The header names looked for; several frameworks write them with `_` for `-`.
const NAMES: [&str; 6] = ["traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "uber-trace-id", "sw8"];

/// Whether a header has that name, whatever its case. Made for headers that have not: no copy, and most fall out at their
/// length.
fn is_name(key: &[u8], name: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    key.len() == name.len() && key.iter().map(plain).eq(name.iter().copied())
}

fn without_prefix<'k>(key: &'k [u8], prefix: &[u8]) -> Option<&'k [u8]> {
    let (start, rest) = key.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn hex(text: &str) -> Option<String> {
    let fine = !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b != b'0');
    fine.then(|| text.to_owned())
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>: `version-trace_id-parent_id-flags`.
fn w3c(value: &str) -> Option<Trace> {
    let mut parts = value.trim().split('-');
    let version = parts.next()?;
    let (trace, span) = (parts.next()?, parts.next()?);
    (version.len() == 2 && trace.len() == 32 && span.len() == 16)
        .then(|| Trace { trace_id: hex(trace), span_id: hex(span) })
}

/// <https://github.com/openzipkin/b3-propagation>: `trace_id-span_id-sampled-parent`.
fn b3(value: &str) -> Option<Trace> {
    let mut parts = value.trim().split('-');
    Some(Trace { trace_id: Some(hex(parts.next()?)?), span_id: hex(parts.next()?) })
}

/// Jaeger client libraries, "propagation format": `trace:span:parent:flags`, which may come percent-encoded.
fn jaeger(value: &str) -> Option<Trace> {
    let value = value.replace("%3A", ":").replace("%3a", ":");
    let mut parts = value.trim().split(':');
    Some(Trace { trace_id: Some(hex(parts.next()?)?), span_id: hex(parts.next()?) })
}

/// SkyWalking cross-process propagation headers v3: `sample-trace-segment-span-…`, ids in base64.
fn skywalking(value: &str) -> Option<Trace> {
    let mut parts = value.trim().split('-');
    let (_sample, trace, segment, span) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let trace = base64(trace)?;
    let span = base64(segment).map(|segment| format!("{segment}-{span}"));
    Some(Trace { trace_id: Some(trace), span_id: span })
}

fn base64(text: &str) -> Option<String> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
    String::from_utf8(bytes).ok().filter(|id| !id.is_empty() && id.len() <= MAX_ID)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn of(pairs: &[(&str, &str)]) -> Trace {
        let pairs: Vec<_> =
            pairs.iter().map(|(k, v)| (Cow::Borrowed(k.as_bytes()), Cow::Borrowed(v.as_bytes()))).collect();
        context(&pairs)
    }

    #[test]
    fn every_form_gives_trace_and_span() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let span = "00f067aa0ba902b7";
        let both = Trace { trace_id: Some(id.into()), span_id: Some(span.into()) };
        assert_eq!(of(&[("traceparent", &format!("00-{id}-{span}-01"))]), both);
        assert_eq!(of(&[("RPC_PERSIST_traceparent", &format!("00-{id}-{span}-01"))]), both);
        assert_eq!(of(&[("b3", &format!("{id}-{span}-1"))]), both);
        assert_eq!(of(&[("X-B3-TraceId", id), ("X-B3-SpanId", span)]), both);
        assert_eq!(of(&[("uber-trace-id", &format!("{id}%3A{span}%3A0%3A1"))]), both);
        let sky = of(&[("sw8", "1-dHJhY2U=-c2VnbWVudA==-3-c2Vydg==-aW5z-L3A=-YWRkcg==")]);
        assert_eq!(sky, Trace { trace_id: Some("trace".into()), span_id: Some("segment-3".into()) });
    }

    #[test]
    fn what_is_no_id_is_none() {
        assert_eq!(
            of(&[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")]).trace_id,
            None
        );
        assert_eq!(of(&[("b3", "0"), ("uber-trace-id", "::"), ("sw8", "1-*-*-0")]), Trace::default());
    }
}
