//! Sends batches in a thread of its own (`docs/specification.md` of open-telemetry/opentelemetry-proto, "OTLP/HTTP"): protobuf, gzip, and
//! again after what passes.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::Receiver;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::endpoint::{Endpoint, Endpoints};
use super::message::{ExportMetricsServiceRequest, ExportResponse, ExportTraceServiceRequest};

/// Longest time for one request, and for its connection.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The pause before the first new attempt; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long a batch is tried: whoever waits for the end of a file has less patience than a live run.
const FILE_PATIENCE: Duration = Duration::from_secs(20);
const LIVE_PATIENCE: Duration = Duration::from_secs(60);
/// Attempts to reach a host where nobody listens, for files and at the end of a live run.
const CONNECTIONS: u32 = 3;
/// Most bytes of an answer that are read.
const MAX_ANSWER: u64 = 64 << 10;
/// Most bytes of a text of the receiver that are repeated.
const MAX_TEXT: usize = 200;

/// What is sent at once, encoded: that takes a fourth of the memory.
pub(super) struct Batch {
    signal: Signal,
    body: Vec<u8>,
    /// Spans, or points of metrics.
    count: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Signal {
    Traces,
    Metrics,
}

impl Batch {
    pub(super) fn spans(request: &ExportTraceServiceRequest, count: u64) -> Self {
        Self { signal: Signal::Traces, body: request.encode_to_vec(), count }
    }

    pub(super) fn metrics(request: &ExportMetricsServiceRequest, points: u64) -> Self {
        Self { signal: Signal::Metrics, body: request.encode_to_vec(), count: points }
    }
}

/// What became of spans and points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// Spans that were taken.
    pub sent: u64,
    /// Spans that were not.
    pub dropped: u64,
    /// Points of metrics that were not.
    pub dropped_points: u64,
    /// Why the first of them was not.
    pub why: Option<String>,
    /// What happens now; taken when it is told.
    trouble: Option<String>,
    /// It was told that something does not work.
    is_noted: bool,
}

/// What the thread and its owner share.
#[derive(Default)]
pub(super) struct State {
    delivery: Mutex<Delivery>,
    /// When all has to be over.
    deadline: Mutex<Option<Instant>>,
    deadline_set: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// What became of everything so far.
    pub(super) fn delivery(&self) -> Delivery {
        lock(&self.delivery).clone()
    }

    /// What has happened since this was asked last, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        lock(&self.delivery).trouble.take()
    }

    /// Counts what is not sent.
    pub(super) fn count_dropped(&self, batch: &Batch, why: &str) {
        let mut delivery = lock(&self.delivery);
        match batch.signal {
            Signal::Traces => delivery.dropped += batch.count,
            Signal::Metrics => delivery.dropped_points += batch.count,
        }
        if delivery.why.is_none() {
            delivery.why = Some(why.to_owned());
            delivery.trouble = Some(format!("spans are being dropped: {why}"));
        }
    }

    /// Says once that it does not work yet.
    fn note(&self, why: &str) {
        let mut delivery = lock(&self.delivery);
        if !std::mem::replace(&mut delivery.is_noted, true) && delivery.why.is_none() {
            delivery.trouble = Some(format!("{why}; it is tried again"));
        }
    }

    fn taken(&self, batch: &Batch, rejected: u64, why: &str) {
        let mut delivery = lock(&self.delivery);
        let rejected = rejected.min(batch.count);
        match batch.signal {
            Signal::Traces => {
                delivery.sent += batch.count - rejected;
                delivery.dropped += rejected;
            }
            Signal::Metrics => delivery.dropped_points += rejected,
        }
        if rejected > 0 && delivery.why.is_none() {
            delivery.why = Some(format!("the receiver rejected some: {why}"));
        }
    }

    /// From now on, at most this long.
    pub(super) fn end_within(&self, span: Duration) {
        *lock(&self.deadline) = Some(Instant::now() + span);
        self.deadline_set.notify_all();
    }

    fn is_ending(&self) -> bool {
        lock(&self.deadline).is_some()
    }

    fn is_late(&self) -> bool {
        lock(&self.deadline).is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Waits, but not beyond the deadline. Returns whether there is time left.
    fn pause(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        let mut deadline = lock(&self.deadline);
        loop {
            let end = deadline.map_or(until, |deadline| deadline.min(until));
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return deadline.is_none_or(|deadline| until < deadline);
            }
            let woken = self.deadline_set.wait_timeout(deadline, left);
            deadline = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
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

/// Why a batch was not taken.
enum Refused {
    /// It is of no use to try again.
    Final {
        why: String,
        /// Other batches would fare the same.
        is_general: bool,
    },
    /// It may go later: after this time, where the receiver names one.
    ForNow {
        why: String,
        after: Option<Duration>,
        /// Nobody answered.
        is_unreachable: bool,
    },
}

/// The thread.
pub(super) struct Sender {
    agents: [Agent; 2],
    endpoints: Endpoints,
    state: Arc<State>,
    is_live: bool,
}

impl Sender {
    pub(super) fn new(endpoints: &Endpoints, state: &Arc<State>, is_live: bool) -> Self {
        let agents = [&endpoints.traces, &endpoints.metrics].map(|endpoint| {
            let config = Agent::config_builder()
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
        Self { agents, endpoints: endpoints.clone(), state: Arc::clone(state), is_live }
    }

    /// Sends until no more batches can come.
    pub(super) fn work(self, batches: &Receiver<Batch>) {
        let mut given_up: Option<String> = None;
        for batch in batches {
            if let Some(why) = &given_up {
                self.state.count_dropped(&batch, why);
                continue;
            }
            if let Err((why, is_general)) = self.deliver(&batch) {
                self.state.count_dropped(&batch, &why);
                // A live run outlasts what is wrong with the receiver.
                given_up = (is_general && !self.is_live).then_some(why);
            }
        }
    }

    /// Sends a batch. An error says why it could not be, and whether no other can be.
    fn deliver(&self, batch: &Batch) -> Result<(), (String, bool)> {
        let patience = if self.is_live { LIVE_PATIENCE } else { FILE_PATIENCE };
        let until = Instant::now() + patience;
        let body = packed(batch).map_err(|error| (error.to_string(), false))?;
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (why, after, is_unreachable) = match self.post(batch, &body) {
                Ok((rejected, why)) => {
                    self.state.taken(batch, rejected, &why);
                    return Ok(());
                }
                Err(Refused::Final { why, is_general }) => return Err((why, is_general)),
                Err(Refused::ForNow { why, after, is_unreachable }) => (why, after, is_unreachable),
            };
            if self.is_live {
                self.state.note(&why);
            }
            let wait = after.unwrap_or_else(|| jittered(pause));
            let is_last = !self.is_live || self.state.is_ending();
            let is_enough = is_unreachable && is_last && attempts >= CONNECTIONS;
            if is_enough || Instant::now() + wait > until || self.state.is_late() || !self.state.pause(wait) {
                return Err((why, true));
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One attempt. Returns how many spans or points the receiver did not take, and why.
    fn post(&self, batch: &Batch, body: &[u8]) -> Result<(u64, String), Refused> {
        let (agent, Endpoint { url, headers, .. }) = match batch.signal {
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
            why: format!("{url}: {error}"),
            after: None,
            is_unreachable: true,
        })?;
        let status = response.status();
        if status.is_success() {
            let answer = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
            let answer = answer.ok().and_then(|answer| ExportResponse::decode(&*answer).ok());
            let partial = answer.and_then(|answer| answer.partial_success).unwrap_or_default();
            return Ok((u64::try_from(partial.rejected).unwrap_or(0), shortened(&partial.error_message)));
        }
        let why = format!("{url}: HTTP status {status}");
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
        let is_general = !matches!(status, StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE);
        Err(Refused::Final { why, is_general })
    }
}

fn packed(batch: &Batch) -> std::io::Result<Vec<u8>> {
    let mut packer = GzEncoder::new(Vec::with_capacity(batch.body.len() / 4), Compression::fast());
    packer.write_all(&batch.body)?;
    packer.finish()
}

/// Half of the pause to all of it, at random: many hosts must not come back at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause.mul_f64(0.5 + (random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0)
}

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
    fn pauses_vary_and_end_at_the_deadline() {
        let pauses: Vec<_> = (0..50).map(|_| jittered(Duration::from_secs(2))).collect();
        assert!(pauses.iter().all(|pause| (1.0..=2.0).contains(&pause.as_secs_f64())));
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
        let state = State::default();
        assert!(state.pause(Duration::ZERO));
        state.end_within(Duration::ZERO);
        assert!(!state.pause(Duration::from_secs(600)) && state.is_late());
    }
}
