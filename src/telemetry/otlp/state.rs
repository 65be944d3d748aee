//! What the threads that send and their owner share: what became of everything, and until when they may go on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::sender::Signal;

/// How long nothing more is said of a receiver that fails time and again.
const QUIET: Duration = Duration::from_secs(60);

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
    /// Points of metrics that the receiver has no place for.
    pub unwanted_points: u64,
    /// How it said so.
    pub unwanted: Option<String>,
    /// Why the last attempt failed of those that may be made again.
    pub failing: Option<String>,
    /// What happens now; taken when it is told.
    troubles: Vec<String>,
    /// When it was told last that something does not work; not told again until something did.
    noted: Option<Instant>,
    has_worked_since: bool,
}

/// What the threads and their owner share.
#[derive(Default)]
pub(super) struct State {
    delivery: Mutex<Delivery>,
    /// When all has to be over.
    deadline: Mutex<Option<Instant>>,
    deadline_set: Condvar,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    /// What became of everything so far.
    pub(super) fn delivery(&self) -> Delivery {
        lock(&self.delivery).clone()
    }

    /// What has happened since this was asked last, for people.
    pub(super) fn troubles(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.delivery).troubles)
    }

    /// Counts what is not sent.
    pub(super) fn count_dropped(&self, signal: Signal, count: u64, why: &str) {
        let mut delivery = lock(&self.delivery);
        match signal {
            Signal::Traces => delivery.dropped += count,
            Signal::Metrics => delivery.dropped_points += count,
        }
        if delivery.why.is_none() {
            delivery.why = Some(why.to_owned());
            let what = match signal {
                Signal::Traces => "spans",
                Signal::Metrics => "metric points",
            };
            delivery.troubles.push(format!("{what} are being dropped: {why}"));
        }
    }

    /// Counts points of metrics that the receiver has no place for.
    pub(super) fn count_unwanted(&self, points: u64, why: &str) {
        let mut delivery = lock(&self.delivery);
        delivery.unwanted_points += points;
        if delivery.unwanted.is_none() {
            delivery.unwanted = Some(why.to_owned());
            delivery.troubles.push(format!("the receiver takes no metrics: {why}"));
        }
    }

    /// Notes that it does not work yet, and what is done about it; says so once, until it has worked again.
    pub(super) fn note(&self, why: &str, what_now: &str) {
        let mut delivery = lock(&self.delivery);
        delivery.failing = Some(why.to_owned());
        let is_news = match delivery.noted {
            None => delivery.why.is_none(),
            Some(noted) => delivery.has_worked_since && noted.elapsed() > QUIET,
        };
        if is_news {
            (delivery.noted, delivery.has_worked_since) = (Some(Instant::now()), false);
            delivery.troubles.push(format!("{why}; {what_now}"));
        }
    }

    /// Counts a batch that the receiver took, but for those that it rejected.
    pub(super) fn taken(&self, signal: Signal, count: u64, rejected: u64, why: &str) {
        let mut delivery = lock(&self.delivery);
        let rejected = rejected.min(count);
        match signal {
            Signal::Traces => {
                delivery.sent += count - rejected;
                delivery.dropped += rejected;
            }
            Signal::Metrics => delivery.dropped_points += rejected,
        }
        (delivery.has_worked_since, delivery.failing) = (true, None);
        if rejected > 0 && delivery.why.is_none() {
            delivery.why = Some(format!("the receiver rejected some: {why}"));
        }
    }

    /// From now on, at most this long.
    pub(super) fn end_within(&self, span: Duration) {
        *lock(&self.deadline) = Some(Instant::now() + span);
        self.deadline_set.notify_all();
    }

    /// If there is a deadline, it is this long from now.
    pub(super) fn postpone(&self, span: Duration) {
        if let Some(deadline) = &mut *lock(&self.deadline) {
            *deadline = Instant::now() + span;
        }
    }

    /// When all has to be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        *lock(&self.deadline)
    }

    pub(super) fn is_ending(&self) -> bool {
        self.deadline().is_some()
    }

    pub(super) fn is_late(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Waits, but not beyond the deadline. Returns whether there is time left.
    pub(super) fn pause(&self, span: Duration) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_end_at_the_deadline() {
        let state = State::default();
        assert!(state.pause(Duration::ZERO));
        state.postpone(Duration::ZERO);
        assert!(!state.is_ending());
        state.end_within(Duration::ZERO);
        assert!(!state.pause(Duration::from_secs(600)) && state.is_late());
        state.postpone(Duration::from_secs(600));
        assert!(!state.is_late());
    }

    #[test]
    fn a_receiver_that_fails_is_named_once() {
        let state = State::default();
        for _ in 0..3 {
            state.note("http://x: refused", "it is tried again");
            state.taken(Signal::Traces, 1, 0, "");
        }
        assert_eq!(state.troubles(), ["http://x: refused; it is tried again"]);
        assert_eq!(state.delivery().failing, None);
        state.count_dropped(Signal::Metrics, 3, "full");
        state.count_dropped(Signal::Traces, 2, "other");
        assert_eq!(state.troubles(), ["metric points are being dropped: full"]);
    }
}
