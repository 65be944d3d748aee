//! Calls that stand for others: the last that failed of each count, the slowest of each bucket.

use crate::calls::{Call, JoinKey, record::Name};
use crate::telemetry::convention;
use crate::time::Timestamp;

/// How long the slowest call of a bucket is shown before any other takes its place, by the time of the packets: nanoseconds.
const AGE: i64 = 60_000_000_000;
/// Most characters of the labels of an example, names and values together (OpenMetrics, "Exemplars").
const MAX_LABELS: usize = 128;

/// A call that is an example of others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Example {
    trace: Option<Name>,
    key: Option<JoinKey>,
    end: Timestamp,
    /// How long it took.
    pub(super) seconds: f64,
}

impl Example {
    /// `None` for calls that nothing names.
    pub(super) fn of(call: &Call, seconds: f64) -> Option<Self> {
        let (trace, key) = (call.trace_id.clone(), call.key());
        (trace.is_some() || key.is_some()).then_some(Self { trace, key, end: call.end, seconds })
    }

    /// Puts the call in the place of the example if it took longer, or if that is old.
    pub(super) fn slowest(of: &mut Option<Self>, call: &Call, seconds: f64) {
        let stays = |other: &Self| other.seconds >= seconds && call.end.0.saturating_sub(other.end.0) < AGE;
        if !of.as_ref().is_some_and(stays) {
            *of = Self::of(call, seconds);
        }
    }

    /// Puts the call in the place of the example if it failed.
    pub(super) fn last_failed(of: &mut Option<Self>, call: &Call) {
        if call.failed() {
            *of = Self::of(call, convention::seconds(call));
        }
    }

    /// `trace_id`, as the wire has it, and `call_key`; what fits.
    pub(super) fn labels(&self) -> [Option<(&'static str, String)>; 2] {
        let key = self.key.map(|key| ("call_key", key.to_string()));
        let used = key.as_ref().map_or(0, |(name, value)| name.len() + value.len());
        let fits = |id: &&Name| "trace_id".len() + id.chars().count() + used <= MAX_LABELS;
        [self.trace.as_ref().filter(fits).map(|id| ("trace_id", id.to_string())), key]
    }

    /// When it ended: seconds since the Unix epoch.
    pub(super) fn end(&self) -> String {
        let milliseconds = self.end.0.max(0) / 1_000_000;
        format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Carrier, Class, sample};

    fn call(end: i64) -> Call {
        let mut call = sample::ok();
        call.positions[0] = Some(7);
        call.end = Timestamp(end);
        call
    }

    #[test]
    fn the_slowest_stays_for_a_while() {
        let mut example = None;
        for (end, seconds, shown) in [(1, 0.3, 0.3), (2, 0.2, 0.3), (AGE, 0.1, 0.3), (AGE + 1, 0.1, 0.1)] {
            Example::slowest(&mut example, &call(end), seconds);
            assert_eq!(example.as_ref().map(|example| example.seconds), Some(shown), "{end}");
        }
    }

    #[test]
    fn failed_calls_are_shown_with_what_names_them() {
        let mut example = None;
        Example::last_failed(&mut example, &call(1));
        assert_eq!(example, None);
        let mut failed = sample::failed(Class::Business, Carrier::BizStatus, Some(7), "no");
        (failed.trace_id, failed.positions[0]) = (Some("4bf92f3577b34da6a3ce929d0e0e4736".into()), Some(1));
        failed.end = Timestamp(1_520_879_607_789_999_999);
        Example::last_failed(&mut example, &failed);
        let shown = example.as_ref().unwrap();
        assert_eq!(shown.end(), "1520879607.789");
        let [trace, key] = shown.labels();
        assert_eq!(trace, Some(("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736".to_owned())));
        assert_eq!(key, Some(("call_key", failed.key().unwrap().to_string())));
        // A name that is too long is left out.
        failed.trace_id = Some("x".repeat(81).into());
        Example::last_failed(&mut example, &failed);
        assert!(example.as_ref().unwrap().labels()[0].is_none());
        // What nothing names is no example.
        (failed.trace_id, failed.positions[0]) = (None, None);
        Example::last_failed(&mut example, &failed);
        assert_eq!(example, None);
    }
}
