//! How long calls took, counted in the buckets that the conventions of OpenTelemetry give for `rpc.client.call.duration`
//! (`docs/rpc/rpc-metrics.md`).

/// Upper bounds of all buckets but the last, in seconds.
pub const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Buckets, the one without an upper bound included.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts of durations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Calls in each bucket.
    pub counts: [u64; BUCKETS],
    /// All durations together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts a duration, in seconds. Returns its bucket: the first whose bound is not below it.
    pub fn add(&mut self, seconds: f64) -> usize {
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum += seconds;
        bucket
    }

    /// Calls in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let mut histogram = Histogram::default();
        let buckets = [0.0, 0.005, 0.0051, 10.0, 10.1].map(|seconds| histogram.add(seconds));
        assert_eq!(buckets, [0, 0, 1, 13, 14]);
        assert_eq!(histogram.count(), 5);
        assert!((histogram.sum - 20.1101).abs() < 1e-9);
    }
}
