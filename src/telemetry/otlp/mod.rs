//! Spans and metrics for OpenTelemetry, sent over OTLP/HTTP.
//!
//! ```text
//! calls, chains ──▶ spans ──▶ sampling ──▶ batches ──bounded queue──▶ sender, a thread ──POST──▶ /v1/traces
//!                     └────▶ metrics ─────▶    │                         ▲                      /v1/metrics
//!                                              └──▶ files (`--otlp-queue`)┘
//! ```
//!
//! | module | for |
//! | --- | --- |
//! | [`spans`] | which spans a call is, and their places in a trace |
//! | [`ids`] | ids that follow from the call |
//! | `metrics` | how long calls took |
//! | [`endpoint`] | the URL, and the environment |
//! | `client` | one attempt, and what its answer means |
//! | `sender` | the thread: attempts and pauses |
//! | [`queue`] | what waits on disk |
//! | `state` | what became of everything |
//! | `tls` | certificates for https; with the feature of that name |
//! | [`message`] | the messages of OTLP |

mod client;
pub mod endpoint;
pub mod ids;
pub mod message;
mod metrics;
pub mod queue;
mod sender;
pub mod spans;
mod state;
#[cfg(feature = "https")]
mod tls;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};

use self::endpoint::Endpoints;
use self::ids::TraceId;
use self::message::{
    ExportTraceServiceRequest, InstrumentationScope, Resource, ResourceSpans, ScopeSpans, Span, text,
};
use self::metrics::Metrics;
use self::queue::Queue;
use self::sender::{Batch, Sender};
use self::spans::{Names, Observed, Service};
pub use self::state::Delivery;
use self::state::State;
use crate::calls::Call;
use crate::chains::Chain;

/// The name of this program as a scope of telemetry.
const PROGRAM: &str = "rpcscope";
/// Spans that are sent at once.
const BATCH: usize = 512;
/// Batches that may wait for the thread.
const QUEUE: usize = 64;
/// How often a live run sends metrics.
const METRICS_EVERY: Duration = Duration::from_secs(10);
/// How long what is left may take at the end.
const AT_THE_END: Duration = Duration::from_secs(10);
/// How much longer a request that has begun may take.
const LAST_REQUEST: Duration = Duration::from_secs(11);

/// The share of traces that is sent, of those in which nothing failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Ids of which the last 56 bits are below this are not sent: the threshold of OpenTelemetry's consistent sampling
    /// (`specification/trace/tracestate-probability-sampling.md`), so that other samplers of it choose the same traces.
    below: u64,
}

impl Sample {
    fn takes(self, trace: &TraceId) -> bool {
        u128::from_be_bytes(*trace) as u64 & ((1 << 56) - 1) >= self.below
    }
}

impl FromStr for Sample {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a share such as 1/100, 0.01 or 1%".to_owned();
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| wrong());
        let share = if let Some((part, all)) = text.split_once('/') {
            number(part)? / number(all)?
        } else if let Some(percent) = text.strip_suffix('%') {
            number(percent)? / 100.0
        } else {
            number(text)?
        };
        if !(0.0..=1.0).contains(&share) {
            return Err(wrong());
        }
        Ok(Self { below: ((1.0 - share) * (1_u64 << 56) as f64) as u64 })
    }
}

/// What is sent, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to.
    pub endpoints: Endpoints,
    /// Names of attributes.
    pub names: Names,
    /// Which traces without a failure.
    pub sample: Sample,
    /// Whether packets come from an interface: a run that can't wait for the receiver.
    pub is_live: bool,
    /// Where batches wait.
    pub queue: Option<Arc<Queue>>,
}

/// Makes spans and metrics of calls and has them sent.
pub struct Exporter {
    settings: Settings,
    metrics: Metrics,
    /// When metrics were sent last.
    reported: Instant,
    waiting: Vec<(Service, Span)>,
    /// `None` after the end.
    batches: Option<crossbeam_channel::Sender<Batch>>,
    thread: Option<JoinHandle<()>>,
    /// Ends with the thread.
    ended: Receiver<()>,
    state: Arc<State>,
}

impl std::fmt::Debug for Exporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exporter").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Exporter {
    /// Starts the thread that sends, and the one that writes to the folder.
    pub fn start(settings: Settings) -> std::io::Result<Self> {
        let (batches, todo) = bounded(QUEUE);
        let (alive, ended) = bounded(0);
        let state = Arc::<State>::default();
        let sender = Sender::new(&settings.endpoints, &state, settings.is_live);
        let queue = settings.queue.clone();
        if let Some(queue) = queue.clone() {
            queue.begin(&state);
            let (todo, state, is_live) = (todo.clone(), Arc::clone(&state), settings.is_live);
            let store = move || sender::store(&todo, &queue, is_live, &state);
            std::thread::Builder::new().name("otlp-queue".into()).spawn(store)?;
        }
        let thread = std::thread::Builder::new().name("otlp".into()).spawn(move || {
            match queue {
                Some(queue) => sender.drain(&queue),
                None => sender.work(&todo),
            }
            drop(alive);
        })?;
        Ok(Self {
            settings,
            metrics: Metrics::default(),
            reported: Instant::now(),
            waiting: Vec::with_capacity(BATCH),
            batches: Some(batches),
            thread: Some(thread),
            ended,
            state,
        })
    }

    /// Takes a call of which nothing is known but itself.
    pub fn call(&mut self, call: &Call) {
        let (names, sample, failed) = (self.settings.names, self.settings.sample, call.failed());
        let Self { metrics, waiting, .. } = self;
        spans::of_call(call, names, &mut |observed| keep(observed, failed, sample, metrics, waiting));
        self.send_full();
    }

    /// Takes the calls of a chain that are `chosen`. If one of the chain failed, all of them are sent.
    pub fn chain(&mut self, chain: &Chain, chosen: &dyn Fn(&Call) -> bool) {
        let (names, sample) = (self.settings.names, self.settings.sample);
        let failed = chain.hops.iter().any(|hop| hop.call.failed());
        let Self { metrics, waiting, .. } = self;
        spans::of_chain(chain, names, chosen, &mut |observed| {
            keep(observed, failed, sample, metrics, waiting);
        });
        self.send_full();
    }

    /// Sends what waits, and in live runs the metrics if it is time. Called about twice a second.
    pub fn tick(&mut self) {
        self.send_spans();
        if self.settings.is_live && self.reported.elapsed() >= METRICS_EVERY {
            self.send_metrics();
        }
    }

    /// What has happened since this was asked last that somebody should know.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.state.troubles()
    }

    /// Where batches wait on disk.
    #[must_use]
    pub fn queue(&self) -> Option<&Queue> {
        self.settings.queue.as_deref()
    }

    /// What became of the spans so far, and how many batches wait.
    #[must_use]
    pub fn delivery(&self) -> (Delivery, usize) {
        (self.state.delivery(), self.batches.as_ref().map_or(0, crossbeam_channel::Sender::len))
    }

    /// Sends the rest and waits for it, but not for long. Returns what became of all spans.
    pub fn finish(&mut self) -> Delivery {
        self.send_spans();
        self.send_metrics();
        self.state.end_within(AT_THE_END);
        self.batches = None;
        // The deadline may be postponed.
        while let Some(deadline) = self.state.deadline() {
            let end = deadline + LAST_REQUEST;
            if end < Instant::now() || !self.ended.recv_deadline(end).is_err_and(|error| error.is_timeout()) {
                break;
            }
        }
        if let Some(thread) = self.thread.take().filter(JoinHandle::is_finished) {
            // A panic was printed already.
            _ = thread.join();
        }
        self.state.delivery()
    }

    fn send_full(&mut self) {
        if self.waiting.len() >= BATCH {
            self.send_spans();
        }
    }

    fn send_spans(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let count = self.waiting.len() as u64;
        let mut services: BTreeMap<Service, Vec<Span>> = BTreeMap::new();
        for (service, span) in self.waiting.drain(..) {
            services.entry(service).or_default().push(span);
        }
        let resource_spans = services.into_iter().map(|(service, spans)| ResourceSpans {
            resource: Some(resource(&service)),
            scope_spans: vec![ScopeSpans { scope: Some(scope()), spans }],
        });
        let request = ExportTraceServiceRequest { resource_spans: resource_spans.collect() };
        self.enqueue(Batch::spans(&request, count));
    }

    fn send_metrics(&mut self) {
        self.reported = Instant::now();
        if let Some((request, points)) = self.metrics.report(self.settings.names) {
            self.enqueue(Batch::metrics(&request, points));
        }
    }

    /// Queues a batch. Packets of an interface can't wait for the receiver, those of a file can: the thread gives up if it does
    /// not answer.
    fn enqueue(&self, batch: Batch) {
        let Some(batches) = &self.batches else { return };
        let unsent = if self.settings.is_live {
            batches.try_send(batch).err().map(crossbeam_channel::TrySendError::into_inner)
        } else {
            batches.send(batch).err().map(|error| error.0)
        };
        if let Some(batch) = unsent {
            let url = self.settings.endpoints.name();
            let what =
                self.queue().map_or_else(|| url.to_owned(), |queue| queue.folder().display().to_string());
            batch.drop_for(&format!("{what} is slower than the calls: {QUEUE} batches wait"), &self.state);
        }
    }
}

/// Counts a span, and keeps it if it is one of those that are sent.
fn keep(
    observed: Observed<'_>,
    failed: bool,
    sample: Sample,
    metrics: &mut Metrics,
    waiting: &mut Vec<(Service, Span)>,
) {
    metrics.add(&observed);
    let trace = TraceId::try_from(&*observed.span.trace_id);
    if failed || trace.is_ok_and(|trace| sample.takes(&trace)) {
        waiting.push((observed.service, observed.span));
    }
}

fn resource(service: &Service) -> Resource {
    let mut attributes = vec![text("service.name", service.name.clone())];
    attributes.extend(service.host.as_deref().map(|host| text("host.name", host)));
    Resource { attributes }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope { name: PROGRAM.to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_shares() {
        for (text, share) in [("1/100", 0.01), ("0.5", 0.5), ("25%", 0.25), ("1", 1.0), ("0", 0.0)] {
            let sample: Sample = text.parse().unwrap();
            let below = sample.below as f64 / (1_u64 << 56) as f64;
            assert!((1.0 - below - share).abs() < 1e-9, "{text}");
        }
        for text in ["2", "-1", "1/0", "x", "1/", ""] {
            assert!(text.parse::<Sample>().is_err(), "{text}");
        }
        let half: Sample = "1/2".parse().unwrap();
        let id = |random: u64| (7_u128 << 64 | u128::from(random)).to_be_bytes();
        assert!(!half.takes(&id(0xff << 56)) && half.takes(&id(1 << 55)));
        assert!(Sample::default().takes(&id(0)));
        assert!(!"0".parse::<Sample>().unwrap().takes(&id((1 << 56) - 1)));
    }
    #[test]
    fn a_live_run_drops_what_a_receiver_does_not_take_in_time_and_counts_it() {
        use crate::calls::sample;
        // It accepts connections and says nothing.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoints = Endpoints::of(&url, &|_| None).unwrap();
        let settings = Settings {
            endpoints,
            names: Names::default(),
            sample: Sample::default(),
            is_live: true,
            queue: None,
        };
        let mut exporter = Exporter::start(settings).unwrap();
        let fed = BATCH * (QUEUE + 10);
        for _ in 0..fed {
            exporter.call(&sample::ok());
        }
        let (delivery, waiting) = exporter.delivery();
        let batch = BATCH as u64;
        assert_eq!((delivery.sent, waiting), (0, QUEUE));
        // The thread may have taken one.
        assert!([9 * batch, 10 * batch].contains(&delivery.dropped), "{delivery:?}");
        assert!(exporter.troubles().iter().any(|trouble| trouble.contains("64 batches wait")));
        assert!(exporter.troubles().is_empty(), "it is said once");
    }
}
