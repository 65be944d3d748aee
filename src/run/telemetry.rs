//! `--otlp` and `--metrics`: what other systems get while calls are read.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::sync::Arc;

#[cfg(feature = "otlp")]
use super::complain;
use super::input::is_piped;
use super::rights::Network;
use super::runner::Consumer;
use super::{Failure, Status};
use crate::calls::{Call, record::Connection};
use crate::chains::Chain;
use crate::cli::{self, Input};
use crate::pipeline::Totals;
use crate::source::live::Counters;
#[cfg(feature = "otlp")]
use crate::telemetry::otlp::{
    self, Exporter, Settings, endpoint::Endpoints, endpoint::Refusal, queue::Backlog, queue::Queue,
};
use crate::telemetry::scrape::Scrape;
#[cfg(feature = "otlp")]
use crate::telemetry::scrape::Spans;
#[cfg(feature = "otlp")]
use crate::text;
use crate::time::Timestamp;

/// What is looked up and opened before the sandbox is entered.
pub(super) struct Ready {
    #[cfg(feature = "otlp")]
    otlp: Option<Settings>,
    listener: Option<TcpListener>,
}

impl Ready {
    /// Looks up hosts and opens sockets.
    pub(super) fn new(asked: &cli::Telemetry, input: &Input) -> Result<Self, Failure> {
        if asked.metrics.is_some() && !input.is_endless() && !is_piped(input) {
            return Err(Failure::Usage(
                "--metrics is for runs that last: -i, a pipe, or a file with --follow; stats prints the figures of a file".into(),
            ));
        }
        let listener = asked.metrics.map(listen).transpose()?;
        Ok(Self {
            #[cfg(feature = "otlp")]
            otlp: settings(asked, input)?,
            listener,
        })
    }

    /// What has to stay reachable.
    pub(super) fn network(&self) -> Network {
        let accept = self.listener.as_ref().and_then(|listener| u32::try_from(listener.as_raw_fd()).ok());
        #[cfg(feature = "otlp")]
        let (connect, queue) = self.otlp.as_ref().map_or_else(Default::default, |otlp| {
            (otlp.endpoints.ports(), otlp.queue.as_ref().map(|queue| queue.folder().to_owned()))
        });
        #[cfg(not(feature = "otlp"))]
        let (connect, queue) = (Vec::new(), None);
        Network { connect, accept, queue }
    }

    /// Starts the threads. Call this in the sandbox.
    pub(super) fn start(self, counters: Option<&Arc<Counters>>) -> Result<Telemetry, Failure> {
        let failed = |error: io::Error| Failure::Environment(format!("no thread for telemetry: {error}"));
        let page = self.listener.map(|listener| Scrape::start(listener, counters.cloned()));
        #[cfg(feature = "otlp")]
        if let Some(queue) = self.otlp.as_ref().and_then(|otlp| otlp.queue.as_deref()) {
            complain_of(queue, "of an earlier run", "");
        }
        Ok(Telemetry {
            #[cfg(feature = "otlp")]
            exporter: self.otlp.map(Exporter::start).transpose().map_err(failed)?,
            page: page.transpose().map_err(failed)?,
        })
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address);
    listener.map_err(|error| Failure::Environment(format!("--metrics {address} can't be served: {error}")))
}

#[cfg(feature = "otlp")]
fn settings(asked: &cli::Telemetry, input: &Input) -> Result<Option<Settings>, Failure> {
    let Some(url) = &asked.otlp else { return Ok(None) };
    let endpoints =
        Endpoints::of(url, &|name| std::env::var(name).ok()).map_err(|refusal| match refusal {
            Refusal::Usage(text) => Failure::Usage(text),
            Refusal::Unknown(text) => Failure::Environment(text),
        })?;
    let is_live = !input.interfaces.is_empty();
    let (names, sample) = (asked.otlp_names, asked.sample.unwrap_or_default());
    let queue = asked.otlp_queue.as_deref().map(|folder| Queue::open(folder, asked.otlp_queue_size));
    let queue = queue.transpose().map_err(Failure::Environment)?.map(Arc::new);
    Ok(Some(Settings { endpoints, names, sample, is_live, queue }))
}

/// What calls are told to.
#[derive(Default)]
pub(super) struct Telemetry {
    #[cfg(feature = "otlp")]
    exporter: Option<Exporter>,
    page: Option<Scrape>,
}

impl Telemetry {
    /// Whether nobody is told anything.
    pub(super) fn is_idle(&self) -> bool {
        #[cfg(feature = "otlp")]
        if self.exporter.is_some() {
            return false;
        }
        self.page.is_none()
    }

    /// Counts a call for the page.
    pub(super) fn count(&self, call: &Call) {
        if let Some(page) = &self.page {
            page.call(call);
        }
    }

    /// Sends a call of which nothing is known but itself.
    fn send(&mut self, call: &Call) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &mut self.exporter {
            exporter.call(call);
        }
        #[cfg(not(feature = "otlp"))]
        let _ = call;
    }

    /// Sends the calls of a chain that are `chosen`.
    pub(super) fn chain(&mut self, chain: &Chain, chosen: &dyn Fn(&Call) -> bool) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &mut self.exporter {
            exporter.chain(chain, chosen);
        }
        #[cfg(not(feature = "otlp"))]
        let _ = (chain, chosen);
    }

    /// Takes what was read so far.
    pub(super) fn totals(&self, totals: &Totals) {
        if let Some(page) = &self.page {
            page.totals(totals);
        }
    }

    /// Called about twice a second.
    pub(super) fn tick(&mut self) {
        #[cfg(feature = "otlp")]
        if let Some(exporter) = &mut self.exporter {
            exporter.tick();
            exporter.troubles().iter().for_each(|trouble| complain(trouble));
            if let Some(page) = &self.page {
                let (otlp::Delivery { sent, dropped, .. }, waiting) = exporter.delivery();
                let backlog = exporter.queue().map(Queue::backlog);
                let waiting = waiting + backlog.map_or(0, |backlog| backlog.batches);
                page.spans(Spans { sent, dropped, waiting, on_disk: backlog.map(|backlog| backlog.bytes) });
            }
        }
    }

    /// Sends the rest, however the run ended, and says what could not be sent.
    pub(super) fn conclude(&mut self, run: Result<Status, Failure>) -> Result<Status, Failure> {
        #[cfg(feature = "otlp")]
        if let Some(mut exporter) = self.exporter.take() {
            let otlp::Delivery {
                sent, dropped, dropped_points, why, failing, unwanted_points, unwanted, ..
            } = exporter.finish();
            if let Some(queue) = exporter.queue() {
                let why = failing.map_or_else(String::new, |why| format!(": {why}"));
                complain_of(queue, "for the next run", &why);
            }
            // Spans are what a receiver is asked for: one that takes them and has no place for metrics is no failure.
            let has_failed = dropped + dropped_points > 0 || unwanted_points > 0 && sent == 0;
            let (dropped_points, why) = (dropped_points + unwanted_points, why.or_else(|| unwanted.clone()));
            if !has_failed && let Some(unwanted) = unwanted {
                let (spans, points) =
                    (text::counted(sent, "span"), text::counted(unwanted_points, "metric point"));
                complain(&format!(
                    "{spans} sent; the receiver takes no metrics, {points} left out: {unwanted}"
                ));
            }
            if has_failed {
                let all = text::counted(sent + dropped, "span");
                let points = match dropped_points {
                    0 => String::new(),
                    points => format!(" and {}", text::counted(points, "metric point")),
                };
                let why = why.unwrap_or_default();
                complain(&format!("{} of {all}{points} could not be sent: {why}", text::thousands(dropped)));
                return run.map(|status| Status { output_failed: true, ..status });
            }
        }
        run
    }
}

/// Says what waits on disk.
#[cfg(feature = "otlp")]
fn complain_of(queue: &Queue, whose: &str, why: &str) {
    let Backlog { batches, spans, bytes } = queue.backlog();
    if batches > 0 {
        let (spans, bytes) = (text::counted(spans, "span"), text::bytes(bytes));
        let files = text::counted(batches as u64, "file");
        complain(&format!("waiting in {} {whose}: {files}, {spans}, {bytes}{why}", queue.folder().display()));
    }
}

/// Tells of calls on their way to another consumer.
pub(super) struct Told<'t, C> {
    pub(super) inner: C,
    pub(super) telemetry: &'t mut Telemetry,
}

impl<C: Consumer> Consumer for Told<'_, C> {
    fn begin(&mut self, first: Timestamp) {
        self.inner.begin(first);
    }

    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.telemetry.count(call);
        self.telemetry.send(call);
        self.inner.call(call)
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.inner.connection(connection)
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        self.telemetry.totals(totals);
        self.inner.progress(totals)
    }

    fn tick(&mut self) -> io::Result<()> {
        self.telemetry.tick();
        self.inner.tick()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.inner.totals(totals)
    }

    fn is_done(&self) -> bool {
        self.inner.is_done()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }
}
