//! How long to draw: as long as usual, or as long as there is time for.

/// How long to draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Sweeps over the calls from each start: at falling temperatures, to settle, and those that are counted.
    pub(super) hot: usize,
    pub(super) settling: usize,
    pub(super) counted: usize,
    /// Starts; after this many full ones, only calls that are not sure are drawn again.
    pub(super) starts: usize,
    pub(super) full_starts: usize,
    /// Greatest probability at which an edge is forgotten in the course of the first start.
    pub(super) hopeless: f32,
}

impl Effort {
    /// What there is time for, as a share of the usual effort.
    pub(crate) fn of(share: f64) -> Self {
        let usual = Self { hot: 20, settling: 6, counted: 8, starts: 8, full_starts: 3, hopeless: 1e-4 };
        if share >= 1.0 {
            return usual;
        }
        let starts = (8.0 * share.sqrt()).round().clamp(1.0, 8.0);
        let sweeps = (Self::SWEEPS * share / starts).clamp(Self::LEAST_SWEEPS, 34.0);
        let part = |of: f64| (sweeps * of / 34.0).round().max(1.0) as usize;
        let (hot, settling, counted) = (part(20.0), part(6.0), part(8.0));
        let starts = starts as usize;
        Self { hot, settling, counted, starts, full_starts: starts.min(3), hopeless: 1e-3 }
    }

    /// Sweeps of the least effort.
    pub(crate) const LEAST_SWEEPS: f64 = 6.0;

    /// Sweeps of the usual effort in all.
    pub(crate) const SWEEPS: f64 = 272.0;

    pub(super) fn total(&self) -> f32 {
        (self.starts * self.counted) as f32
    }
}
