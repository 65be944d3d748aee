//! How long to draw: as long as usual, or as long as there is time for.

/// How long to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// The first temperature.
    pub(super) hottest: f64,
    /// Sweeps over the calls from each start: at falling temperatures, to settle, and those that are counted.
    pub(super) hot: usize,
    pub(super) settling: usize,
    pub(super) counted: usize,
    /// How often each call of a sweep may be exchanged with another.
    pub(super) exchanges: usize,
    /// Starts; after this many full ones, only calls that are not sure are drawn again.
    pub(super) starts: usize,
    pub(super) full_starts: usize,
    /// Greatest probability at which an edge is forgotten in the course of the first start.
    pub(super) hopeless: f32,
    /// Exponent of the probabilities that are told. The counts by which a link is judged were learnt from links that are as uncertain
    /// themselves, so that they say more than they know. Draws that are softer themselves find fewer right links.
    pub(super) softer: f32,
}

impl Effort {
    /// What there is time for, as a share of the usual effort.
    pub(crate) fn of(share: f64) -> Self {
        // Few long starts: where several explanations come into question, a short one stops at the first that it meets.
        let usual = Self {
            hottest: 3.0,
            hot: 30,
            settling: 10,
            counted: 14,
            exchanges: 1,
            starts: 5,
            full_starts: 2,
            hopeless: 1e-4,
            softer: Self::SOFTER,
        };
        let most = usual.starts as f64;
        if share >= 1.0 {
            // Spare time goes into what is counted, and into exchanges: the calls take long to change from one explanation to another
            // that is as good.
            let sweeps = Self::SWEEPS * share / most - (usual.hot + usual.settling) as f64;
            let counted = sweeps.clamp(usual.counted as f64, Self::MOST_COUNTED) as usize;
            return Self { counted, exchanges: Self::SPARE_EXCHANGES, ..usual };
        }
        let starts = (most * share.sqrt()).round().clamp(1.0, most);
        let of_start = Self::SWEEPS / most;
        let sweeps = (Self::SWEEPS * share / starts).clamp(Self::LEAST_SWEEPS, of_start);
        let part = |of: usize| (sweeps * of as f64 / of_start).round().max(1.0) as usize;
        let (hot, settling, counted) = (part(usual.hot), part(usual.settling), part(usual.counted));
        let starts = starts as usize;
        let has_all = starts == usual.starts;
        let softer = match starts * counted {
            ..Self::FEW => Self::FAR_SOFTER,
            _ if !has_all => Self::MUCH_SOFTER,
            _ => usual.softer,
        };
        // The hotter, the more walks change, and the longer they are.
        let hottest = if has_all { usual.hottest } else { Self::COOLER };
        let full_starts = starts.min(usual.full_starts);
        Self {
            hottest,
            hot,
            settling,
            counted,
            exchanges: usual.exchanges,
            starts,
            full_starts,
            hopeless: 1e-3,
            softer,
        }
    }

    /// Sweeps of the least effort.
    pub(crate) const LEAST_SWEEPS: f64 = 8.0;

    /// How often each call of a sweep may be exchanged if there is time to spare.
    const SPARE_EXCHANGES: usize = 4;

    /// The first temperature of fewer starts.
    const COOLER: f64 = 2.0;

    /// What makes probabilities softer: of all starts, of fewer, which have met only some of the explanations, and of few counted sweeps.
    const SOFTER: f32 = 0.75;
    const MUCH_SOFTER: f32 = 0.35;
    const FAR_SOFTER: f32 = 0.25;

    /// Counted sweeps, over all starts, below which they are few.
    const FEW: usize = 6;

    /// Most sweeps of a start that are counted.
    const MOST_COUNTED: f64 = 60.0;

    /// Sweeps of the usual effort in all, without any time to spare.
    pub(crate) const SWEEPS: f64 = 270.0;

    pub(super) fn total(&self) -> f32 {
        (self.starts * self.counted) as f32
    }
}
