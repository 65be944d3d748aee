//! One attempt to send a batch: a POST over HTTP/1.1 (`docs/specification.md` of open-telemetry/opentelemetry-proto, "OTLP/HTTP"), and what the
//! answer means.

use std::io;
use std::time::{Duration, SystemTime};

use prost::Message;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::endpoint::{Endpoint, Endpoints};
use super::message::{ExportResponse, RpcStatus};
use super::sender::Signal;

/// Longest time for one request, and for its connection.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;
/// Most characters of a text of the receiver that are repeated.
const MAX_TEXT: usize = 200;

/// Why a batch was not taken.
pub(super) enum Refused {
    /// It is of no use to try again.
    Final {
        why: String,
        /// Other batches would fare the same.
        is_general: bool,
    },
    /// There is nothing at this place that takes metrics: many receivers (Jaeger, Zipkin) take spans only.
    Unwanted { why: String },
    /// It may go later: after this time, where the receiver names one.
    ForNow {
        why: String,
        after: Option<Duration>,
        /// Nobody answered.
        is_unreachable: bool,
    },
}

/// How many spans or points the receiver did not take, and why.
pub(super) struct Rejected {
    pub(super) count: u64,
    pub(super) why: String,
}

/// The addresses that were looked up before.
#[derive(Debug)]
struct Known(Vec<std::net::SocketAddr>);

impl Resolver for Known {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let mut all = self.empty();
        self.0.iter().for_each(|address| all.push(*address));
        Ok(all)
    }
}

/// Connections to the receivers of both signals.
pub(super) struct Client {
    agents: [Agent; 2],
    endpoints: Endpoints,
}

impl Client {
    pub(super) fn new(endpoints: &Endpoints) -> Self {
        let agents = [&endpoints.traces, &endpoints.metrics].map(|endpoint| {
            let config = Agent::config_builder();
            #[cfg(feature = "https")]
            let config = config.tls_config(endpoint.tls.config());
            let config = config
                .http_status_as_error(false)
                // A redirect would lead to a host that was not looked up, and headers may be secrets.
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(None)
                .user_agent(concat!("rpcscope/", env!("CARGO_PKG_VERSION")))
                .timeout_global(Some(TIMEOUT))
                .timeout_connect(Some(CONNECT_TIMEOUT))
                .build();
            Agent::with_parts(config, DefaultConnector::default(), Known(endpoint.addresses.clone()))
        });
        Self { agents, endpoints: endpoints.clone() }
    }

    /// Sends a body in gzip.
    pub(super) fn post(&self, signal: Signal, body: &[u8]) -> Result<Rejected, Refused> {
        let (agent, Endpoint { url, headers, .. }) = match signal {
            Signal::Traces => (&self.agents[0], &self.endpoints.traces),
            Signal::Metrics => (&self.agents[1], &self.endpoints.metrics),
        };
        let mut request = agent
            .post(url)
            .header("content-type", "application/x-protobuf")
            .header("content-encoding", "gzip");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut response = request.send(body).map_err(|error| Refused::ForNow {
            why: format!("{url}: {}", explained(&error)),
            after: None,
            is_unreachable: true,
        })?;
        let status = response.status();
        let answer = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec().unwrap_or_default();
        if status.is_success() {
            let answer = ExportResponse::decode(&*answer).unwrap_or_default();
            let partial = answer.partial_success.unwrap_or_default();
            let count = u64::try_from(partial.rejected).unwrap_or(0);
            return Ok(Rejected { count, why: shortened(&partial.error_message) });
        }
        let why = format!("{url}: HTTP status {status}{}", said(response.headers(), &answer));
        let comes_back = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::BAD_GATEWAY,
            StatusCode::SERVICE_UNAVAILABLE,
            StatusCode::GATEWAY_TIMEOUT,
        ];
        if comes_back.contains(&status) {
            let after = retry_after(response.headers(), SystemTime::now());
            return Err(Refused::ForNow { why, after, is_unreachable: false });
        }
        let is_nowhere = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
        if signal == Signal::Metrics && is_nowhere.contains(&status) {
            return Err(Refused::Unwanted { why });
        }
        let is_general = !matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
        Err(Refused::Final { why: format!("{why}{}", advice(status)), is_general })
    }
}

/// What can be done about a status.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            "; credentials are headers in OTEL_EXPORTER_OTLP_HEADERS, which --otlp env reads"
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => "; is this a receiver of OTLP/HTTP?",
        _ if status.is_redirection() => "; redirects are not followed: name the URL to which it leads",
        _ => "",
    }
}

/// What the receiver says of an error: a `google.rpc.Status`, or a text.
fn said(headers: &HeaderMap, answer: &[u8]) -> String {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let text = if kind.starts_with("application/x-protobuf") {
        RpcStatus::decode(answer).map(|status| status.message).unwrap_or_default()
    } else if kind.is_empty() || kind.starts_with("text/plain") || kind.starts_with("application/json") {
        String::from_utf8_lossy(answer).trim().to_owned()
    } else {
        String::new()
    };
    if text.is_empty() { text } else { format!(" ({})", shortened(&text)) }
}

/// Why nobody answered, and what to do.
fn explained(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(ureq::Timeout::Connect) => {
            format!("no connection within {} seconds", CONNECT_TIMEOUT.as_secs())
        }
        ureq::Error::Timeout(_) => format!("no answer within {} seconds", TIMEOUT.as_secs()),
        // TLS answers with an alert, and gRPC with a frame of HTTP/2.
        ureq::Error::Protocol(_) | ureq::Error::Http(_) | ureq::Error::LargeResponseHeader(..) => {
            format!(
                "the answer is no HTTP/1.1 ({error}): is it TLS (then the URL is https://…), or OTLP/gRPC (then another port, usually 4318)?"
            )
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the connection was closed without an answer".to_owned()
        }
        _ => {
            let said = error.to_string();
            let advice = TLS_ADVICE.iter().find(|(word, _)| said.contains(word));
            advice.map_or(said.clone(), |(_, advice)| format!("{said}: {advice}"))
        }
    }
}

/// What can be done about errors of TLS, by a word of them.
const TLS_ADVICE: [(&str, &str); 5] = [
    (
        "UnknownIssuer",
        "its authority is not known; OTEL_EXPORTER_OTLP_CERTIFICATE names the certificate of a private one (with --otlp env)",
    ),
    ("NotValidForName", "the certificate is for another name than that in the URL"),
    ("Expired", "the certificate has expired, or the clock of this host is wrong"),
    (
        "CertificateRequired",
        "the receiver asks who we are; OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY name a certificate and its key (with --otlp env)",
    ),
    ("InvalidContentType", "this is no TLS: is the URL http://…?"),
];

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_or_a_date() {
        let of = |text: &str| {
            let headers = HeaderMap::from_iter([("retry-after".parse().unwrap(), text.parse().unwrap())]);
            retry_after(&headers, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770))
        };
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(of("Sun, 06 Nov 1994 08:40:00 GMT"), Some(Duration::ZERO));
        assert_eq!(of("soon"), None);
    }

    #[test]
    fn what_the_receiver_says_is_repeated() {
        let of = |kind: &str, answer: &[u8]| {
            said(&HeaderMap::from_iter([("content-type".parse().unwrap(), kind.parse().unwrap())]), answer)
        };
        let status = RpcStatus { message: "no such tenant".into() }.encode_to_vec();
        assert_eq!(of("application/x-protobuf", &status), " (no such tenant)");
        assert_eq!(of("text/plain; charset=utf-8", b"slow down\n"), " (slow down)");
        assert_eq!(of("text/html", b"<html>"), "");
        // Go's TLS.
        let plain = b"Client sent an HTTP request to an HTTPS server.\n";
        assert_eq!(said(&HeaderMap::new(), plain), " (Client sent an HTTP request to an HTTPS server.)");
        assert_eq!(of("text/plain", "\u{e9}".repeat(999).as_bytes()).chars().count(), MAX_TEXT + 3);
    }
}
