//! A simulator of services that call each other: the ground truth for linking by time.
//!
//! One service has many callers and makes calls of its own by a plan; every knob is one difficulty for linking. Everything is determined
//! by the seed. Used by the tests and the bench. [`service`] simulates the events, [`wire`] turns them into captured calls, [`score`]
//! compares the chains with the truth.

mod score;
mod service;
mod wire;

pub(crate) use score::{Score, chains, mean, score};
pub(crate) use service::{Event, simulate};
#[allow(unused_imports, reason = "the bench makes no calls by hand")]
pub(crate) use wire::{call, calls, endpoint};

/// Nanoseconds in a millisecond.
const MS: f64 = 1e6;

/// What a service does for each call it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plan {
    /// One call, as a gateway or a proxy makes.
    Single,
    /// Two calls, one after the other.
    Sequence,
    /// Three calls in parallel, sent in a fixed order.
    Parallel,
    /// Two calls one after the other; the first is omitted in 30 % of cases, the second in 10 %.
    Caching,
    /// Three calls in sequence with caching, and retries in 5 % of cases.
    Mixed,
    /// The same call four times in sequence.
    Loop,
    /// Four calls in parallel in any order, each by its own task, all alike except for their names.
    Fan,
    /// The same call three times in parallel.
    Shards,
}

/// How long the service works between two of its events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Gaps {
    /// Median 0.3 ms, with that sigma.
    Lognormal(f64),
    /// Mean 2 ms.
    Exponential,
    /// 0.2 ms, or 3 ms in 20 % of cases, as with a cache.
    Bimodal,
}

/// Several processes that answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Processes {
    /// One.
    One,
    /// Two instances of the service, each at an address of its own.
    Instances,
    /// Two services at two ports of one address, with callees of their own.
    Ports,
    /// Two services at two ports of one address, with the same callees; their calls carry the caller's name.
    Names,
    /// Two processes at one port of one address, with known process ids.
    Pids,
    /// The same without process ids.
    Hidden,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knobs {
    /// What the service does.
    pub(crate) plan: Plan,
    /// Mean number of its calls in work at one time, if none waits for another.
    pub(crate) concurrency: f64,
    /// How many calls it answers.
    pub(crate) parents: usize,
    /// Its own work.
    pub(crate) gaps: Gaps,
    /// Size of its thread pool: further calls wait, which stretches their first gap.
    pub(crate) pool: Option<usize>,
    /// Cores that do its own work, first come, first served, and the share of the time that they are busy; one core is an event loop.
    pub(crate) cores: Option<(usize, f64)>,
    /// Callees answer in the order in which they were called.
    pub(crate) in_order: bool,
    /// Share of its calls that are not captured.
    pub(crate) lost_parents: f64,
    /// Share of the calls it makes that are not captured.
    pub(crate) lost_children: f64,
    /// Share of the arrivals that come in bursts.
    pub(crate) bursts: f64,
    /// Share of the calls it makes that it repeats when the answer is late; the first answer counts.
    pub(crate) hedged: f64,
    /// Share of its calls after whose answer it makes one more.
    pub(crate) late: f64,
    /// Share of its calls that their caller cancels; it passes the cancellation on.
    pub(crate) canceled: f64,
    /// Nanoseconds by which the clock that saw the calls it makes is ahead.
    pub(crate) skew: i64,
    /// Several processes.
    pub(crate) processes: Processes,
    /// Share of its calls with a trace id, which it propagates.
    pub(crate) ids: f64,
    /// Share of its calls with a header value, one of a thousand, which it propagates.
    pub(crate) values: f64,
    /// Whether calls have a deadline, which it propagates.
    pub(crate) deadlines: bool,
    /// Whether calls carry B3 headers with few traces, so that only spans identify the cause.
    pub(crate) spans: bool,
    /// Each thread of the pool serves one connection, and calls on connections of its own.
    pub(crate) connections: bool,
    /// Seed.
    pub(crate) seed: u64,
}

impl Knobs {
    /// The plain case.
    pub(crate) fn new(plan: Plan, concurrency: f64, parents: usize, seed: u64) -> Self {
        Self {
            plan,
            concurrency,
            parents,
            gaps: Gaps::Lognormal(0.5),
            pool: None,
            cores: None,
            in_order: false,
            lost_parents: 0.0,
            lost_children: 0.0,
            bursts: 0.0,
            hedged: 0.0,
            late: 0.0,
            canceled: 0.0,
            skew: 0,
            processes: Processes::One,
            ids: 0.0,
            values: 0.0,
            deadlines: false,
            spans: false,
            connections: false,
            seed,
        }
    }
}

/// Random numbers that are the same everywhere (splitmix64).
struct Random(u64);

impl Random {
    /// Begins with a seed.
    fn new(seed: u64) -> Self {
        // Far apart in the sequence, so that seeds have nothing in common.
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(17))
    }

    /// Evenly between 0 and 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True for that share.
    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.unit() < share
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }
}
