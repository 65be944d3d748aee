//! The messages of OTLP that are sent (`opentelemetry/proto/{trace,metrics,common,resource}/v1` and `collector/{trace,metrics}/v1` of
//! open-telemetry/opentelemetry-proto): the fields that are used, with their numbers.

/// What is sent to `/v1/traces`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportTraceServiceRequest {
    /// Spans by resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_spans: Vec<ResourceSpans>,
}

/// The answer of `/v1/traces` and of `/v1/metrics`, which are alike.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportResponse {
    /// What was not taken.
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// What a receiver did not take.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PartialSuccess {
    /// Spans, or points of metrics.
    #[prost(int64, tag = "1")]
    pub rejected: i64,
    /// Why.
    #[prost(string, tag = "2")]
    pub error_message: String,
}

/// `google.rpc.Status`: why a request was refused.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RpcStatus {
    /// For people.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// The spans of one service.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceSpans {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Its spans.
    #[prost(message, repeated, tag = "2")]
    pub scope_spans: Vec<ScopeSpans>,
}

/// What telemetry is about.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Resource {
    /// `service.name`, `host.name`.
    #[prost(message, repeated, tag = "1")]
    pub attributes: Vec<KeyValue>,
}

/// Spans by who made them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeSpans {
    /// This program.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// The spans.
    #[prost(message, repeated, tag = "2")]
    pub spans: Vec<Span>,
}

/// Who made telemetry.
#[derive(Clone, PartialEq, prost::Message)]
pub struct InstrumentationScope {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Version.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// One side of a call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// 8 bytes; empty for the root of a trace.
    #[prost(bytes = "vec", tag = "4")]
    pub parent_span_id: Vec<u8>,
    /// `rpc.method`.
    #[prost(string, tag = "5")]
    pub name: String,
    /// [`SpanKind`].
    #[prost(enumeration = "SpanKind", tag = "6")]
    pub kind: i32,
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "7")]
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "8")]
    pub end_time_unix_nano: u64,
    /// Attributes.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
    /// Other spans that it has to do with.
    #[prost(message, repeated, tag = "13")]
    pub links: Vec<Link>,
    /// What became of it.
    #[prost(message, optional, tag = "15")]
    pub status: Option<Status>,
}

/// The sides of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum SpanKind {
    /// Not said.
    Unspecified = 0,
    /// The callee's.
    Server = 2,
    /// The caller's.
    Client = 3,
}

/// Another span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Link {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// 8 bytes.
    #[prost(bytes = "vec", tag = "2")]
    pub span_id: Vec<u8>,
    /// Attributes.
    #[prost(message, repeated, tag = "4")]
    pub attributes: Vec<KeyValue>,
}

/// What became of a span.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// The text of the error.
    #[prost(string, tag = "2")]
    pub message: String,
    /// [`StatusCode`].
    #[prost(enumeration = "StatusCode", tag = "3")]
    pub code: i32,
}

/// Whether a span is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum StatusCode {
    /// It is none, or none is known.
    Unset = 0,
    /// It is one.
    Error = 2,
}

/// An attribute.
#[derive(Clone, PartialEq, prost::Message)]
pub struct KeyValue {
    /// Name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value.
    #[prost(message, optional, tag = "2")]
    pub value: Option<AnyValue>,
}

/// A value of an attribute.
#[derive(Clone, PartialEq, prost::Message)]
pub struct AnyValue {
    /// The value.
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub value: Option<Value>,
}

/// The kinds of values that are used.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    /// Text.
    #[prost(string, tag = "1")]
    Text(String),
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// Whole number.
    #[prost(int64, tag = "3")]
    Int(i64),
    /// Number.
    #[prost(double, tag = "4")]
    Double(f64),
    /// Several.
    #[prost(message, tag = "5")]
    List(ArrayValue),
}

/// Several values.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ArrayValue {
    /// The values.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<AnyValue>,
}

/// What is sent to `/v1/metrics`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ExportMetricsServiceRequest {
    /// Metrics by resource.
    #[prost(message, repeated, tag = "1")]
    pub resource_metrics: Vec<ResourceMetrics>,
}

/// The metrics of one service.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ResourceMetrics {
    /// The service.
    #[prost(message, optional, tag = "1")]
    pub resource: Option<Resource>,
    /// Its metrics.
    #[prost(message, repeated, tag = "2")]
    pub scope_metrics: Vec<ScopeMetrics>,
}

/// Metrics by who made them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ScopeMetrics {
    /// This program.
    #[prost(message, optional, tag = "1")]
    pub scope: Option<InstrumentationScope>,
    /// The metrics.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
}

/// A metric.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metric {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is.
    #[prost(string, tag = "2")]
    pub description: String,
    /// Unit of its values.
    #[prost(string, tag = "3")]
    pub unit: String,
    /// Its values.
    #[prost(message, optional, tag = "9")]
    pub histogram: Option<HistogramData>,
}

/// Histograms of one metric.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistogramData {
    /// By attributes.
    #[prost(message, repeated, tag = "1")]
    pub data_points: Vec<HistogramPoint>,
    /// [`CUMULATIVE`].
    #[prost(int32, tag = "2")]
    pub aggregation_temporality: i32,
}

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`: each point counts from the start of the run, which Prometheus needs and every other receiver
/// takes.
pub const CUMULATIVE: i32 = 2;

/// One histogram.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HistogramPoint {
    /// From when on it counts: nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "2")]
    pub start_time_unix_nano: u64,
    /// Until when: nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "3")]
    pub time_unix_nano: u64,
    /// All of its buckets together.
    #[prost(fixed64, tag = "4")]
    pub count: u64,
    /// All of its values together.
    #[prost(double, optional, tag = "5")]
    pub sum: Option<f64>,
    /// By bucket.
    #[prost(fixed64, repeated, tag = "6")]
    pub bucket_counts: Vec<u64>,
    /// Upper bounds of all buckets but the last.
    #[prost(double, repeated, tag = "7")]
    pub explicit_bounds: Vec<f64>,
    /// Examples of what it counts.
    #[prost(message, repeated, tag = "8")]
    pub exemplars: Vec<Exemplar>,
    /// Attributes.
    #[prost(message, repeated, tag = "9")]
    pub attributes: Vec<KeyValue>,
}

/// An example of what a histogram counts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "2")]
    pub time_unix_nano: u64,
    /// The value.
    #[prost(double, optional, tag = "3")]
    pub as_double: Option<f64>,
    /// Its span: 8 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub span_id: Vec<u8>,
    /// Its trace: 16 bytes.
    #[prost(bytes = "vec", tag = "5")]
    pub trace_id: Vec<u8>,
}

/// An attribute with a text.
#[must_use]
pub fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::Text(value.into()))
}

/// An attribute.
#[must_use]
pub fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}

/// An attribute with several texts.
#[must_use]
pub fn texts<'t>(key: &str, values: impl Iterator<Item = &'t str>) -> KeyValue {
    let values = values.map(|text| AnyValue { value: Some(Value::Text(text.to_owned())) }).collect();
    attribute(key, Value::List(ArrayValue { values }))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    /// The bytes as `protoc` writes them: the numbers and types of the fields are those of the specification.
    #[test]
    fn messages_have_the_layout_of_the_specification() {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "a".into(),
            kind: SpanKind::Client.into(),
            start_time_unix_nano: 1,
            end_time_unix_nano: 2,
            attributes: vec![text("k", "v"), attribute("n", Value::Int(7))],
            links: vec![],
            status: Some(Status { message: "m".into(), code: StatusCode::Error.into() }),
        };
        let expected = [
            &[0x0a, 16][..],
            &[1; 16],
            &[0x12, 8],
            &[2; 8],
            &[0x22, 8],
            &[3; 8],
            &[0x2a, 1, b'a', 0x30, 3],
            &[0x39, 1, 0, 0, 0, 0, 0, 0, 0, 0x41, 2, 0, 0, 0, 0, 0, 0, 0],
            &[0x4a, 8, 0x0a, 1, b'k', 0x12, 3, 0x0a, 1, b'v'],
            &[0x4a, 7, 0x0a, 1, b'n', 0x12, 2, 0x18, 7],
            &[0x7a, 5, 0x12, 1, b'm', 0x18, 2],
        ]
        .concat();
        assert_eq!(span.encode_to_vec(), expected);
        let point = HistogramPoint { count: 1, bucket_counts: vec![1], sum: Some(0.0), ..Default::default() };
        let expected =
            [&[0x21, 1, 0, 0, 0, 0, 0, 0, 0, 0x29][..], &[0; 8], &[0x32, 8, 1, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(point.encode_to_vec(), expected);
        let metric = Metric { histogram: Some(HistogramData::default()), ..Default::default() };
        assert_eq!(metric.encode_to_vec(), [0x4a, 0]);
    }
}
