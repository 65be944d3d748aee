//! The thread that sends batches, and again after what passes.
//!
//! Without a folder, a batch is tried for a while and then dropped. With one ([`Queue`]), a batch waits there until the receiver takes it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::AT_THE_END;
use super::client::{Client, Refused};
use super::endpoint::Endpoints;
use super::message::{ExportMetricsServiceRequest, ExportTraceServiceRequest};
use super::queue::Queue;
use super::state::State;

/// The pause before the first new attempt; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(8);
/// How long a batch is tried: whoever waits for the end of a file has less patience than a live run.
const FILE_PATIENCE: Duration = Duration::from_secs(20);
const LIVE_PATIENCE: Duration = Duration::from_secs(60);
/// Attempts to reach a host where nobody listens, for files and at the end of a live run.
const CONNECTIONS: u32 = 3;

/// What is sent at once, encoded: that takes a fourth of the memory.
pub(super) struct Batch {
    signal: Signal,
    body: Vec<u8>,
    /// Spans, or points of metrics.
    count: u64,
}

/// A batch in gzip.
pub(super) struct Packed {
    pub(super) signal: Signal,
    pub(super) body: Vec<u8>,
    pub(super) count: u64,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    /// Spans.
    Traces,
    /// Points of metrics.
    Metrics,
}

impl Signal {
    /// Its name in URLs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Metrics => "metrics",
        }
    }
}

impl Batch {
    pub(super) fn spans(request: &ExportTraceServiceRequest, count: u64) -> Self {
        Self { signal: Signal::Traces, body: request.encode_to_vec(), count }
    }

    pub(super) fn metrics(request: &ExportMetricsServiceRequest, points: u64) -> Self {
        Self { signal: Signal::Metrics, body: request.encode_to_vec(), count: points }
    }

    /// Counts it as not sent.
    pub(super) fn drop_for(&self, why: &str, state: &State) {
        state.count_dropped(self.signal, self.count, why);
    }

    fn packed(self) -> std::io::Result<Packed> {
        let mut packer = GzEncoder::new(Vec::with_capacity(self.body.len() / 4), Compression::fast());
        packer.write_all(&self.body)?;
        Ok(Packed { signal: self.signal, body: packer.finish()?, count: self.count })
    }
}

/// Writes batches to the folder until no more can come.
pub(super) fn store(batches: &Receiver<Batch>, queue: &Queue, is_live: bool, state: &State) {
    for batch in batches {
        let (signal, count) = (batch.signal, batch.count);
        match batch.packed() {
            Ok(packed) => queue.push(packed, !is_live, state),
            Err(error) => state.count_dropped(signal, count, &error.to_string()),
        }
    }
    queue.close();
}

/// Why a batch could not be sent.
struct Failed {
    why: String,
    /// No other can be.
    is_general: bool,
    /// The receiver has no place for such batches.
    is_unwanted: bool,
}

impl Failed {
    fn count(&self, signal: Signal, count: u64, state: &State) {
        if self.is_unwanted {
            state.count_unwanted(count, &self.why);
        } else {
            state.count_dropped(signal, count, &self.why);
        }
    }
}

/// The thread.
pub(super) struct Sender {
    client: Client,
    state: Arc<State>,
    is_live: bool,
}

impl Sender {
    pub(super) fn new(endpoints: &Endpoints, state: &Arc<State>, is_live: bool) -> Self {
        Self { client: Client::new(endpoints), state: Arc::clone(state), is_live }
    }

    /// Sends until no more batches can come.
    pub(super) fn work(self, batches: &Receiver<Batch>) {
        let mut given_up: [Option<Failed>; 2] = [None, None];
        for batch in batches {
            let (signal, count) = (batch.signal, batch.count);
            let given_up = &mut given_up[signal as usize];
            if let Some(failed) = given_up {
                failed.count(signal, count, &self.state);
                continue;
            }
            if let Err(failed) = self.deliver(batch) {
                failed.count(signal, count, &self.state);
                // A live run outlasts what is wrong with the receiver.
                *given_up = (failed.is_general && !self.is_live).then_some(failed);
            }
        }
    }

    /// Sends a batch.
    fn deliver(&self, batch: Batch) -> Result<(), Failed> {
        let patience = if self.is_live { LIVE_PATIENCE } else { FILE_PATIENCE };
        let until = Instant::now() + patience;
        let Packed { signal, body, count } = batch.packed().map_err(|error| Failed {
            why: error.to_string(),
            is_general: false,
            is_unwanted: false,
        })?;
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (why, after, is_unreachable) = match self.client.post(signal, &body) {
                Ok(rejected) => {
                    self.state.taken(signal, count, rejected.count, &rejected.why);
                    self.has_worked();
                    return Ok(());
                }
                Err(Refused::Final { why, is_general }) => {
                    return Err(Failed { why, is_general, is_unwanted: false });
                }
                Err(Refused::Unwanted { why }) => {
                    return Err(Failed { why, is_general: true, is_unwanted: true });
                }
                Err(Refused::ForNow { why, after, is_unreachable }) => (why, after, is_unreachable),
            };
            if self.is_live {
                self.state.note(&why, "it is tried again");
            }
            let wait = after.unwrap_or_else(|| jittered(pause));
            let is_last = !self.is_live || self.state.is_ending();
            let is_enough = is_unreachable && is_last && attempts >= CONNECTIONS;
            if is_enough || Instant::now() + wait > until || self.state.is_late() || !self.state.pause(wait) {
                return Err(Failed { why, is_general: true, is_unwanted: false });
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Whoever waits for the end of a file waits on while the receiver takes batches.
    fn has_worked(&self) {
        if !self.is_live {
            self.state.postpone(AT_THE_END);
        }
    }

    /// Sends what is in the folder until no more can come, or it is of no use in this run.
    pub(super) fn drain(self, queue: &Queue) {
        let mut courses = [Course::new(), Course::new()];
        let what_now = format!("batches wait in {}", queue.folder().display());
        while let Some((waiting, body)) =
            queue.next(&|signal| courses[signal as usize].next(&self.state), &self.state)
        {
            let course = &mut courses[waiting.signal as usize];
            match self.client.post(waiting.signal, &body) {
                Ok(rejected) => {
                    self.state.taken(waiting.signal, waiting.count, rejected.count, &rejected.why);
                    queue.done(waiting.number);
                    self.has_worked();
                    *course = Course::new();
                }
                // What was refused must not be sent again (OTLP/HTTP, "Failures"); the others may fare better later.
                Err(Refused::Final { why, is_general }) => {
                    self.state.count_dropped(waiting.signal, waiting.count, &why);
                    queue.done(waiting.number);
                    if is_general {
                        course.has_failed(None, !self.is_live, &self.state);
                    }
                }
                // Not kept for a receiver that never wanted them.
                Err(Refused::Unwanted { why }) => {
                    self.state.count_unwanted(waiting.count, &why);
                    queue.done(waiting.number);
                }
                Err(Refused::ForNow { why, after, is_unreachable }) => {
                    queue.wait_on();
                    self.state.note(&why, &what_now);
                    course.has_failed(after, is_unreachable, &self.state);
                }
            }
            queue.set_stuck(courses.iter().any(Course::is_stuck));
        }
        queue.conclude(&self.state);
    }
}

/// When batches of a signal may be sent.
struct Course {
    at: Instant,
    pause: Duration,
    /// Since when all attempts failed.
    failing_since: Option<Instant>,
    /// Failed attempts since the end began.
    attempts_at_end: u32,
    is_given_up: bool,
}

impl Course {
    fn new() -> Self {
        let at = Instant::now();
        Self { at, pause: FIRST_PAUSE, failing_since: None, attempts_at_end: 0, is_given_up: false }
    }

    /// From when on; `None`: not in this run.
    fn next(&self, state: &State) -> Option<Instant> {
        let is_first_at_end = self.attempts_at_end == 0 && state.is_ending();
        let at_once = self.failing_since.filter(|_| is_first_at_end);
        (!self.is_given_up).then(|| at_once.unwrap_or(self.at))
    }

    /// Whether it is of no use to wait for the receiver.
    fn is_stuck(&self) -> bool {
        self.failing_since.is_some_and(|since| since.elapsed() > FILE_PATIENCE)
    }

    /// Waits longer each time, or `after`. In the end, the rest of it is left to the next run if `is_enough` attempts failed.
    fn has_failed(&mut self, after: Option<Duration>, is_hopeless: bool, state: &State) {
        if state.is_ending() {
            if self.attempts_at_end == 0 {
                self.pause = FIRST_PAUSE;
            }
            self.attempts_at_end += 1;
        }
        let now = Instant::now();
        self.failing_since.get_or_insert(now);
        self.at = now + after.unwrap_or_else(|| jittered(self.pause));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        let is_too_late = state.deadline().is_some_and(|deadline| deadline < self.at);
        self.is_given_up = is_too_late || is_hopeless && self.attempts_at_end >= CONNECTIONS;
    }
}

/// Half of the pause to all of it, at random: many hosts must not come back at once.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish();
    pause.mul_f64(0.5 + (random >> 11) as f64 / (1_u64 << 53) as f64 / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_vary() {
        let pauses: Vec<_> = (0..50).map(|_| jittered(Duration::from_secs(2))).collect();
        assert!(pauses.iter().all(|pause| (1.0..=2.0).contains(&pause.as_secs_f64())));
        assert!(pauses.iter().any(|pause| pause != &pauses[0]));
    }

    #[test]
    fn what_fails_is_tried_later_and_later_and_once_more_at_the_end() {
        let state = State::default();
        let mut course = Course::new();
        for _ in 0..9 {
            course.has_failed(None, true, &state);
        }
        assert_eq!(course.pause, LONGEST_PAUSE);
        assert!(course.next(&state).is_some_and(|at| at > Instant::now()));
        state.end_within(Duration::from_secs(600));
        assert!(course.next(&state).is_some_and(|at| at <= Instant::now()));
        for _ in 0..CONNECTIONS {
            assert!(course.next(&state).is_some());
            course.has_failed(None, true, &state);
        }
        assert_eq!(course.next(&state), None);
        // What the receiver names as the time is of no use after the end.
        let mut course = Course::new();
        course.has_failed(Some(Duration::from_secs(3600)), false, &state);
        assert_eq!(course.next(&state), None);
    }
}
