//! Trace context in headers: the trace and the span that a request names. The one place that knows the formats.

use std::hash::BuildHasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use rpcscope_parsers::event::{CONTEXT_PREFIXES, Pairs, may_be_context};

/// Trace context of a request. Numeric ids are in lower-case hexadecimal, however they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Trace id.
    pub trace_id: Option<String>,
    /// Id of the span in which the request was sent.
    pub span_id: Option<String>,
    /// Id of that span's parent, if the format sends it.
    pub parent_span_id: Option<String>,
    /// Name of the calling service (`SkyWalking`).
    pub caller: Option<String>,
    /// Operation of the calling service that sent the request (`SkyWalking`).
    pub caller_operation: Option<String>,
}

/// Formats of trace context, the most preferred first: if a request carries several, every hop must choose the same.
#[derive(Clone, Copy)]
enum Format {
    W3c,
    B3,
    Jaeger,
    Datadog,
    OpenCensus,
    XRay,
    CloudTrace,
    SkyWalking,
}

/// Number of formats.
const FORMATS: usize = Format::SkyWalking as usize + 1;

/// What a header holds.
#[derive(Clone, Copy)]
enum Part {
    Whole,
    TraceId,
    SpanId,
    ParentSpanId,
}

/// The header names looked for, each with its format; the shortest first.
const NAMES: [(&str, Format, Part); 13] = [
    ("b3", Format::B3, Part::Whole),
    ("sw8", Format::SkyWalking, Part::Whole),
    ("traceparent", Format::W3c, Part::Whole),
    ("x-b3-spanid", Format::B3, Part::SpanId),
    ("x-b3-traceid", Format::B3, Part::TraceId),
    ("uber-trace-id", Format::Jaeger, Part::Whole),
    ("grpc-trace-bin", Format::OpenCensus, Part::Whole),
    ("x-amzn-trace-id", Format::XRay, Part::Whole),
    ("x-b3-parentspanid", Format::B3, Part::ParentSpanId),
    ("x-datadog-trace-id", Format::Datadog, Part::TraceId),
    ("x-datadog-parent-id", Format::Datadog, Part::SpanId),
    ("x-cloud-trace-context", Format::CloudTrace, Part::Whole),
    // The gRPC gateway of Google's libraries uses this name.
    ("grpcgateway-traceparent", Format::W3c, Part::Whole),
];

/// Length of the longest name.
const LONGEST: usize = NAMES[NAMES.len() - 1].0.len();

/// How many names are shorter than each length.
const SHORTER: [usize; LONGEST + 2] = {
    let mut shorter = [0; LONGEST + 2];
    let mut at = 0;
    while at < NAMES.len() {
        let len = NAMES[at].0.len();
        assert!(at == 0 || NAMES[at - 1].0.len() <= len, "the shortest first");
        let mut longer = len + 1;
        while longer < shorter.len() {
            shorter[longer] += 1;
            longer += 1;
        }
        at += 1;
    }
    shorter
};

/// Longest text accepted as an id or a name.
const MAX_TEXT: usize = 128;

/// Longest header value that is read.
const MAX_HEADER: usize = 512;

/// Collects trace context from headers one by one.
#[derive(Clone, Debug, Default)]
pub struct Contexts {
    /// By format; nothing until a header of one was found.
    found: Option<Box<[Option<Trace>; FORMATS]>>,
}

impl Contexts {
    /// Reads a header and returns whether its name is one of trace context. Names may have any case, `_` instead of `-`, and
    /// the prefix of a framework.
    pub fn read(&mut self, key: &[u8], value: &[u8]) -> bool {
        may_be_context(key) && self.read_likely(key, value)
    }

    // Apart from the test that nearly all headers fail, so that they do not pay for its registers.
    #[inline(never)]
    fn read_likely(&mut self, key: &[u8], value: &[u8]) -> bool {
        let Some((format, part)) = header(key) else { return false };
        self.found(format, part, value);
        true
    }

    fn found(&mut self, format: Format, part: Part, value: &[u8]) {
        if let Ok(value) = std::str::from_utf8(value)
            && value.len() <= MAX_HEADER
        {
            self.take(format, part, value.trim());
        }
    }

    fn take(&mut self, format: Format, part: Part, value: &str) {
        let place = &mut self.found.get_or_insert_default()[format as usize];
        let id = match format {
            Format::Datadog => decimal(value),
            _ => hex(value),
        };
        match part {
            Part::Whole => {
                let whole = match format {
                    Format::W3c => w3c(value),
                    Format::B3 => b3(value),
                    Format::Jaeger => jaeger(value),
                    Format::OpenCensus => open_census(value),
                    Format::XRay => x_ray(value),
                    Format::CloudTrace => cloud_trace(value),
                    Format::SkyWalking => sky_walking(value),
                    Format::Datadog => None,
                };
                if let Some(whole) = whole {
                    *place = Some(whole);
                }
            }
            Part::TraceId => place.get_or_insert_default().trace_id = id,
            Part::SpanId => place.get_or_insert_default().span_id = id,
            Part::ParentSpanId => place.get_or_insert_default().parent_span_id = id,
        }
    }

    /// The context in the most preferred format that was found; `None` if there is none.
    #[must_use]
    pub fn trace(self) -> Option<Trace> {
        self.found?.into_iter().flatten().find(|trace| trace.trace_id.is_some())
    }

    /// The same where it stands; `None` if there is none.
    #[must_use]
    pub fn best(&self) -> Option<&Trace> {
        self.found.iter().flat_map(|found| found.iter().flatten()).find(|trace| trace.trace_id.is_some())
    }

    /// Memory that it takes beside itself, in bytes; the texts in it are short.
    #[must_use]
    pub fn size(&self) -> usize {
        self.found.as_ref().map_or(0, |found| size_of_val(&**found))
    }
}

/// Reads W3C `traceparent`, B3 (one header or several), Jaeger, Datadog, `OpenCensus` (`grpc-trace-bin`), AWS X-Ray, Google
/// Cloud Trace and `SkyWalking`, in this order of preference; `None` if there is none.
#[must_use]
pub fn context(headers: &dyn Pairs) -> Option<Trace> {
    let mut contexts = Contexts::default();
    headers.each(&mut |key, value| {
        contexts.read(key, value);
    });
    contexts.trace()
}

/// A number for comparing ids: the low 64 bits. Services that support 64 bits only (B3, Datadog) pass on that half of a
/// longer id, and leading zeros may be missing. Ids that are no hexadecimal numbers are hashed.
#[must_use]
pub fn number(id: &str) -> u64 {
    let is_hex = id.len() <= 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let low = id.get(id.len().saturating_sub(16)..).filter(|_| is_hex);
    match low.and_then(|low| u64::from_str_radix(low, 16).ok()) {
        // An id whose low half is zero is compared as a whole.
        Some(low) if low != 0 => low,
        _ => foldhash::fast::FixedState::default().hash_one(id.to_ascii_lowercase()),
    }
}

/// Whether the name of a header is one of trace context.
pub(super) fn is_context(key: &[u8]) -> bool {
    may_be_context(key) && header(key).is_some()
}

/// What a header of that name holds.
fn header(key: &[u8]) -> Option<(Format, Part)> {
    let key = match key.first() {
        Some(b'r' | b'R') => {
            CONTEXT_PREFIXES.iter().find_map(|prefix| without_prefix(key, prefix.as_bytes())).unwrap_or(key)
        }
        _ => key,
    };
    let same_length = *SHORTER.get(key.len())?..*SHORTER.get(key.len() + 1)?;
    NAMES
        .get(same_length)?
        .iter()
        .find(|(name, ..)| is_name(key, name.as_bytes()))
        .map(|(_, format, part)| (*format, *part))
}

/// Whether a header has that name, without a copy in lower case.
fn is_name(key: &[u8], name: &[u8]) -> bool {
    key.len() == name.len() && key.iter().copied().map(plain).eq(name.iter().copied())
}

fn plain(byte: u8) -> u8 {
    if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() }
}

fn without_prefix<'k>(key: &'k [u8], prefix: &[u8]) -> Option<&'k [u8]> {
    let (start, rest) = key.split_at_checked(prefix.len())?;
    is_name(start, prefix).then_some(rest)
}

fn hex(text: &str) -> Option<String> {
    let fine = !text.is_empty()
        && text.len() <= 32
        && text.bytes().all(|b| b.is_ascii_hexdigit())
        && text.bytes().any(|b| b != b'0');
    fine.then(|| text.to_ascii_lowercase())
}

/// A decimal number of 64 bits, in hexadecimal.
fn decimal(text: &str) -> Option<String> {
    text.parse::<u64>().ok().filter(|id| *id != 0).map(|id| format!("{id:016x}"))
}

fn trace(trace_id: Option<String>, span_id: Option<String>) -> Option<Trace> {
    trace_id.map(|id| Trace { trace_id: Some(id), span_id, ..Trace::default() })
}

/// <https://www.w3.org/TR/trace-context/#traceparent-header>: `version-trace_id-parent_id-flags`.
fn w3c(value: &str) -> Option<Trace> {
    let mut parts = value.split('-');
    let version = parts.next()?;
    let (id, span) = (parts.next()?, parts.next()?);
    let fine = version.len() == 2 && id.len() == 32 && span.len() == 16;
    fine.then(|| trace(hex(id), hex(span)))?
}

/// <https://github.com/openzipkin/b3-propagation>: `trace_id-span_id-sampled-parent`.
fn b3(value: &str) -> Option<Trace> {
    let mut parts = value.split('-');
    let found = trace(hex(parts.next()?), hex(parts.next()?))?;
    Some(Trace { parent_span_id: parts.nth(1).and_then(hex), ..found })
}

/// Jaeger client libraries, "propagation format": `trace:span:parent:flags`, which may come percent-encoded.
fn jaeger(value: &str) -> Option<Trace> {
    let value = value.replace("%3A", ":").replace("%3a", ":");
    let mut parts = value.split(':');
    let found = trace(hex(parts.next()?), hex(parts.next()?))?;
    Some(Trace { parent_span_id: parts.next().and_then(hex), ..found })
}

/// `OpenCensus` binary encoding (`encodings/BinaryEncoding.md` of census-instrumentation/opencensus-specs), in the base64 of a gRPC `-bin` header.
///
/// ```text
/// version 0 | field 0 | trace id, 16 bytes | field 1 | span id, 8 bytes | field 2 | options, 1 byte
/// ```
fn open_census(value: &str) -> Option<Trace> {
    let bytes = STANDARD_NO_PAD.decode(value.trim_end_matches('=')).ok()?;
    let rest = bytes.strip_prefix(&[0, 0])?;
    let (id, rest) = rest.split_at_checked(16)?;
    let span = rest.strip_prefix(&[1]).and_then(|rest| rest.get(..8));
    let id = u128::from_be_bytes(id.try_into().ok()?);
    let span = span.and_then(|span| span.try_into().ok()).map(u64::from_be_bytes);
    trace(hex(&format!("{id:032x}")), span.and_then(|span| hex(&format!("{span:016x}"))))
}

/// AWS X-Ray tracing header: `Root=1-SECONDS-REST;Parent=SPAN;Sampled=1`. The id is returned in the form of the other formats,
/// without its version.
fn x_ray(value: &str) -> Option<Trace> {
    let field = |name: &str| value.split(';').find_map(|field| field.trim().strip_prefix(name));
    let (seconds, rest) = field("Root=1-")?.split_once('-')?;
    let fine = seconds.len() == 8 && rest.len() == 24;
    fine.then(|| trace(hex(&format!("{seconds}{rest}")), field("Parent=").and_then(hex)))?
}

/// Google Cloud Trace, legacy header: `TRACE_ID/SPAN_ID;o=OPTIONS`, the span in decimal.
fn cloud_trace(value: &str) -> Option<Trace> {
    let ids = value.split(';').next()?;
    let (id, span) = ids.split_once('/').map_or((ids, None), |(id, span)| (id, Some(span)));
    (id.len() == 32).then(|| trace(hex(id), span.and_then(decimal)))?
}

/// `SkyWalking` cross-process propagation headers v3: `sample-trace-segment-span-service-instance-endpoint-address`, texts in
/// base64.
fn sky_walking(value: &str) -> Option<Trace> {
    let mut parts = value.split('-').skip(1);
    let (id, segment, span) = (parts.next()?, parts.next()?, parts.next()?);
    let found = trace(base64(id), base64(segment).map(|segment| format!("{segment}-{span}")))?;
    Some(Trace {
        caller: parts.next().and_then(base64),
        caller_operation: parts.nth(1).and_then(base64),
        ..found
    })
}

fn base64(text: &str) -> Option<String> {
    let bytes = STANDARD.decode(text).ok()?;
    String::from_utf8(bytes).ok().filter(|id| !id.is_empty() && id.len() <= MAX_TEXT)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use rpcscope_parsers::event::CONTEXT_NAMES;

    use super::*;

    const ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn of(pairs: &[(&str, &str)]) -> Trace {
        let pairs: Vec<_> =
            pairs.iter().map(|(k, v)| (Cow::Borrowed(k.as_bytes()), Cow::Borrowed(v.as_bytes()))).collect();
        context(&pairs).unwrap_or_default()
    }

    #[test]
    fn every_format_gives_trace_and_span() {
        let both = Trace { trace_id: Some(ID.into()), span_id: Some(SPAN.into()), ..Trace::default() };
        let opencensus = "AABL+S81d7NNpqPOkp0ODkc2AQDwZ6oLqQK3AgE";
        let x_ray = format!("Self=1-2-3; Root=1-{}-{};Parent={SPAN};Sampled=1", &ID[..8], &ID[8..]);
        for (key, value) in [
            ("traceparent", format!("00-{ID}-{SPAN}-01")),
            ("b3", format!("{ID}-{SPAN}-1")),
            ("B3", format!("{}-{}-1", ID.to_uppercase(), SPAN.to_uppercase())),
            ("uber-trace-id", format!("{ID}%3A{SPAN}")),
            ("grpc-trace-bin", opencensus.into()),
            ("grpc-trace-bin", format!("{opencensus}=")),
            ("X-Amzn-Trace-Id", x_ray),
            ("X-Cloud-Trace-Context", format!("{ID}/{};o=1", 0x00f0_67aa_0ba9_02b7_u64)),
        ] {
            assert_eq!(of(&[(key, &value)]), both, "{key}: {value}");
        }
        assert_eq!(of(&[("X-B3-TraceId", &ID.to_uppercase()), ("X-B3-SpanId", SPAN)]), both);
        let decimal = [0xa3ce_929d_0e0e_4736_u64, 0x00f0_67aa_0ba9_02b7].map(|id| id.to_string());
        let datadog = of(&[("x-datadog-trace-id", &decimal[0]), ("x-datadog-parent-id", &decimal[1])]);
        assert_eq!(datadog.trace_id.as_deref(), Some(&ID[16..]));
        assert_eq!(datadog.span_id.as_deref(), Some(SPAN));
    }

    #[test]
    fn frameworks_carry_it_under_their_prefixes() {
        let value = format!("00-{ID}-{SPAN}-01");
        for key in [
            "RPC_PERSIST_traceparent",
            "RPC_TRANSIT_TRACEPARENT",
            "RPC_TRANSIT_UPSTREAM_traceparent",
            "rpc-transit-traceparent",
            "rpc-persist-traceparent",
            "rpc_persist_traceparent",
        ] {
            assert_eq!(of(&[(key, &value)]).trace_id.as_deref(), Some(ID), "{key}");
        }
        let parts = [("RPC_PERSIST_X_B3_TRACEID", ID), ("RPC_PERSIST_X_B3_PARENTSPANID", SPAN)];
        assert_eq!(of(&parts).parent_span_id.as_deref(), Some(SPAN));
    }

    #[test]
    fn spans_above_and_callers_are_read_where_sent() {
        assert_eq!(of(&[("b3", &format!("{ID}-b7ad-1-05E3"))]).parent_span_id.as_deref(), Some("05e3"));
        assert_eq!(
            of(&[("uber-trace-id", &format!("{ID}:b7ad:53ce:1"))]).parent_span_id.as_deref(),
            Some("53ce")
        );
        let sky = of(&[("sw8", "1-dHJhY2U=-c2VnbWVudA==-3-c2Vydg==-aW5z-L3A=-YWRkcg==")]);
        assert_eq!((sky.trace_id.as_deref(), sky.span_id.as_deref()), (Some("trace"), Some("segment-3")));
        assert_eq!((sky.caller.as_deref(), sky.caller_operation.as_deref()), (Some("serv"), Some("/p")));
    }

    #[test]
    fn the_low_half_of_an_id_is_enough() {
        assert_eq!(number(ID), number(&ID[16..]));
        assert_eq!(number("00000000000005e3"), number("5E3"));
        assert_ne!(number("4bf92f3577b34da60000000000000000"), number("77b34da6a3ce929d0000000000000000"));
        assert_ne!(number("trace-a"), number("trace-b"));
    }

    #[test]
    fn what_is_no_id_is_none() {
        let zero = format!("00-{}-{SPAN}-01", "0".repeat(32));
        for (key, value) in [
            ("traceparent", zero.as_str()),
            ("traceparent", "00-éé-1-01"),
            ("b3", "0"),
            ("uber-trace-id", "::"),
            ("uber-trace-id", "0:0:0:0"),
            ("sw8", "1-*-*-0"),
            ("grpc-trace-bin", "AAA"),
            ("x-amzn-trace-id", "Root=1-5759e988"),
            ("x-cloud-trace-context", "105445aa/1"),
            ("x-datadog-trace-id", "99999999999999999999999"),
        ] {
            assert_eq!(of(&[(key, value)]), Trace::default(), "{key}: {value}");
        }
        let mut contexts = Contexts::default();
        assert!(!contexts.read(b"trace", b"1") && contexts.read(b"SW8", b"0"));
        for key in [
            "",
            "r",
            "rpc-persist-",
            "rpc-transit-x",
            "traceparenu",
            "grpcgateway-traceparent-x",
            "xyzzyxyzzyxyzzyxyzzyxyzz",
        ] {
            assert!(!contexts.read(key.as_bytes(), b"1"), "{key}");
        }
        assert!(NAMES.iter().all(|(name, ..)| contexts.read(name.to_uppercase().as_bytes(), b"0")));
        assert_eq!(NAMES.map(|(name, ..)| name), CONTEXT_NAMES);
    }
}
