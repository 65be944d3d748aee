//! Where telemetry is sent to: `--otlp URL`, or what the environment names (`specification/protocol/exporter.md` of
//! open-telemetry/opentelemetry-specification).

use std::net::{SocketAddr, ToSocketAddrs};

use ureq::http::{HeaderName, HeaderValue, Uri};

/// Most addresses of a host that are tried.
pub(super) const MAX_ADDRESSES: usize = 16;

/// The value of `--otlp` that stands for the environment.
const ENVIRONMENT: &str = "env";

/// Names and values of headers. The values may be secrets.
pub(super) type Headers = Vec<(HeaderName, HeaderValue)>;

/// A URL whose host was looked up. It is not looked up again: nothing can be once packets are parsed.
#[derive(Clone)]
pub struct Endpoint {
    pub(super) url: String,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) headers: Headers,
    #[cfg(feature = "https")]
    pub(super) tls: super::tls::Tls,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Where spans and metrics are sent to.
#[derive(Clone, Debug)]
pub struct Endpoints {
    pub(super) traces: Endpoint,
    pub(super) metrics: Endpoint,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The option or the environment is wrong.
    #[error("{0}")]
    Usage(String),
    /// The host has no address.
    #[error("{0}")]
    Unknown(String),
}

impl Endpoints {
    /// What `--otlp` says; looks up the hosts. `environment` reads a variable.
    pub fn of(option: &str, environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Refusal> {
        if option != ENVIRONMENT {
            if ["/v1/traces", "/v1/metrics"].iter().any(|path| option.trim_end_matches('/').ends_with(path)) {
                let text =
                    format!("--otlp {option}: name the URL without /v1/…, which is added for each signal");
                return Err(Refusal::Usage(text));
            }
            let [traces, metrics] = ["traces", "metrics"].map(|signal| under(option, signal));
            return Ok(Self { traces: endpoint(&traces, vec![])?, metrics: endpoint(&metrics, vec![])? });
        }
        let variable = |name: String| {
            environment(&name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let of_signal = |signal: &str, name: &str| {
            variable(format!("OTEL_EXPORTER_OTLP_{signal}_{name}"))
                .or_else(|| variable(format!("OTEL_EXPORTER_OTLP_{name}")))
        };
        let resolved = |signal: &str| {
            let upper = signal.to_uppercase();
            if let Some(protocol) = of_signal(&upper, "PROTOCOL").filter(|name| name != "http/protobuf") {
                return Err(Refusal::Usage(format!(
                    "OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}, and rpcscope speaks http/protobuf only: name a URL with --otlp, usually with port 4318"
                )));
            }
            // The general variable is a base, the one of the signal is used as it is.
            let own = variable(format!("OTEL_EXPORTER_OTLP_{upper}_ENDPOINT"));
            let base = || variable("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned()).map(|base| under(&base, signal));
            let url = own.or_else(base).ok_or_else(|| {
                let text =
                    "--otlp env takes the URL that OTEL_EXPORTER_OTLP_ENDPOINT names, but that is not set";
                Refusal::Usage(text.to_owned())
            })?;
            let endpoint = endpoint(&url, headers(&of_signal(&upper, "HEADERS").unwrap_or_default())?)?;
            #[cfg(feature = "https")]
            let endpoint =
                Endpoint { tls: super::tls::Tls::of(&|name| of_signal(&upper, name))?, ..endpoint };
            Ok(endpoint)
        };
        Ok(Self { traces: resolved("traces")?, metrics: resolved("metrics")? })
    }

    /// The ports that have to be reachable.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        let all = self.traces.addresses.iter().chain(&self.metrics.addresses);
        all.map(SocketAddr::port).collect()
    }

    /// Where spans go, for messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.traces.url
    }
}

/// The URL of a signal under a base.
fn under(base: &str, signal: &str) -> String {
    format!("{}/v1/{signal}", base.trim_end_matches('/'))
}

fn endpoint(url: &str, headers: Headers) -> Result<Endpoint, Refusal> {
    let wrong = |why: &str| Refusal::Usage(format!("--otlp {url}: {why}"));
    let uri: Uri = url.parse().map_err(|_| wrong("not a URL such as http://localhost:4318"))?;
    let default = match uri.scheme_str() {
        Some("http") => 80,
        Some("https") if cfg!(feature = "https") => 443,
        Some("https") => {
            return Err(wrong(
                "this rpcscope was built without https (the feature of that name): send to a Collector on this host over http",
            ));
        }
        _ => return Err(wrong("not a URL such as http://localhost:4318")),
    };
    let authority = uri.authority().ok_or_else(|| wrong("no host"))?;
    if authority.as_str().contains('@') {
        return Err(wrong("credentials belong into OTEL_EXPORTER_OTLP_HEADERS (with --otlp env)"));
    }
    if uri.query().is_some() {
        return Err(wrong("a URL of OTLP has no query"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = authority.port_u16().unwrap_or(default);
    let unknown = |why: String| Refusal::Unknown(format!("--otlp {url}: {host} has no address: {why}"));
    let addresses = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    let addresses: Vec<_> = addresses.take(MAX_ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(unknown("none was found".to_owned()));
    }
    Ok(Endpoint {
        url: url.to_owned(),
        addresses,
        headers,
        #[cfg(feature = "https")]
        tls: super::tls::Tls::default(),
    })
}

/// `key=value,key=value`, percent-encoded as in W3C Baggage.
fn headers(text: &str) -> Result<Headers, Refusal> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            // The value may be a secret: it is not printed.
            let wrong = || {
                let text = "OTEL_EXPORTER_OTLP_HEADERS is not of the form name=value,name=value";
                Refusal::Usage(text.to_owned())
            };
            let (name, value) = pair.split_once('=').ok_or_else(wrong)?;
            let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
            let mut value = HeaderValue::from_bytes(&decoded(value.trim())).map_err(|_| wrong())?;
            value.set_sensitive(true);
            Ok((name, value))
        })
        .collect()
}

/// Percent-encoded text; what is no encoding stands for itself.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits =
            after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let digits = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let encoded = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(encoded.unwrap_or(byte));
        rest = if encoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(option: &str, variables: &[(&str, &str)]) -> Result<Endpoints, Refusal> {
        let variable = |name: &str| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        };
        Endpoints::of(option, &variable)
    }

    #[test]
    fn urls_are_bases() {
        for base in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
            let endpoints = of(base, &[("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]).unwrap();
            assert_eq!(endpoints.traces.url, "http://127.0.0.1:4318/v1/traces");
            assert_eq!(endpoints.metrics.url, "http://127.0.0.1:4318/v1/metrics");
            assert!(endpoints.traces.headers.is_empty(), "the environment counts only if it is asked for");
            assert_eq!(endpoints.ports(), [4318, 4318]);
        }
        assert_eq!(of("http://[::1]/otlp", &[]).unwrap().traces.addresses, ["[::1]:80".parse().unwrap()]);
    }

    #[test]
    fn the_environment_is_asked_in_the_order_of_the_specification() {
        let endpoints = of(
            "env",
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1/base/"),
                ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://127.0.0.1:2/own"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20YTpi, x-scope = 7%2"),
                ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-only=metrics"),
            ],
        )
        .unwrap();
        assert_eq!(endpoints.traces.url, "http://127.0.0.1:1/base/v1/traces");
        assert_eq!(endpoints.metrics.url, "http://127.0.0.1:2/own");
        let headers = |endpoint: &Endpoint| {
            let text =
                |(name, value): &(HeaderName, HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
            endpoint.headers.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(headers(&endpoints.traces), ["authorization: Basic YTpi", "x-scope: 7%2"]);
        assert_eq!(headers(&endpoints.metrics), ["x-only: metrics"]);
        assert!(!format!("{endpoints:?}").contains("YTpi"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (option, variables, said) in [
            ("localhost:4318", &[][..], "not a URL"),
            ("ftp://localhost", &[], "not a URL"),
            ("http://", &[], "not a URL"),
            ("http://u:p@localhost:1", &[], "credentials"),
            ("http://localhost:1/?a=b", &[], "query"),
            ("http://localhost:4318/v1/traces", &[], "without /v1/"),
            ("env", &[], "not set"),
            ("env", &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")], "not set"),
            ("env", &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "http/protobuf"),
            (
                "env",
                &[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
                    ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
                ],
                "name=value",
            ),
        ] {
            let refusal = of(option, variables).unwrap_err();
            assert!(matches!(refusal, Refusal::Usage(_)), "{option}");
            assert!(
                refusal.to_string().contains(said) && !refusal.to_string().contains("secret"),
                "{refusal}"
            );
        }
        #[cfg(not(feature = "https"))]
        assert!(of("https://localhost", &[]).unwrap_err().to_string().contains("without https"));
        assert!(matches!(of("http://nobody.invalid:1", &[]).unwrap_err(), Refusal::Unknown(_)));
    }
}
