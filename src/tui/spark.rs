//! Sparklines: how often something happened over the last minutes, drawn as one line of bars.

use crate::time::Timestamp;

/// Bars of a sparkline.
pub(super) const BARS: usize = 32;
/// Width of a bar at first, nanoseconds; small, so that short captures fill the line too.
const FIRST_WIDTH: i64 = 1_000_000;
/// The widest bar, nanoseconds. From there on the line slides over the last minutes.
const LAST_WIDTH: i64 = 16_384 * FIRST_WIDTH;

/// The time window of all sparklines: grows until a bar is about 16 seconds wide, then slides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Start of the first bar.
    origin: Timestamp,
    /// Width of a bar, nanoseconds.
    width: i64,
}

impl Window {
    /// A window that begins at the first call.
    pub(super) fn new(origin: Timestamp) -> Self {
        Self { origin, width: FIRST_WIDTH }
    }

    /// Grows or slides until `time` is inside.
    pub(super) fn reach(&mut self, time: Timestamp) {
        while self.bar(time) >= BARS && self.width < LAST_WIDTH {
            self.width *= 2;
        }
        let beyond = (time - self.origin) / self.width - (BARS as i64 - 1);
        if beyond > 0 {
            self.origin = Timestamp(self.origin.0.saturating_add(beyond.saturating_mul(self.width)));
        }
    }

    /// The bar of a time; earlier times are in the first bar.
    fn bar(&self, time: Timestamp) -> usize {
        usize::try_from((time - self.origin).max(0) / self.width).unwrap_or(usize::MAX)
    }
}

/// The sparkline of one method or kind of error.
#[derive(Clone, Debug)]
pub(super) struct Spark {
    window: Window,
    counts: [u32; BARS],
}

impl Spark {
    pub(super) fn new(window: Window) -> Self {
        Self { window, counts: [0; BARS] }
    }

    /// Counts one event at `time`, which must be inside `window`.
    pub(super) fn add(&mut self, window: Window, time: Timestamp) {
        self.fit(window);
        let bar = window.bar(time).min(BARS - 1);
        self.counts[bar] = self.counts[bar].saturating_add(1);
    }

    /// The bars for `window`.
    pub(super) fn counts(&self, window: Window) -> [u32; BARS] {
        let mut fitted = self.clone();
        fitted.fit(window);
        fitted.counts
    }

    /// Moves the counts to the bars of a window that has grown or slid since.
    fn fit(&mut self, window: Window) {
        if self.window == window {
            return;
        }
        let mut counts = [0_u32; BARS];
        for (i, count) in self.counts.iter().enumerate() {
            let begin = Timestamp(self.window.origin.0.saturating_add(i as i64 * self.window.width));
            // Bars that slid out on the left are dropped.
            if begin >= window.origin {
                let bar = window.bar(begin).min(BARS - 1);
                counts[bar] = counts[bar].saturating_add(*count);
            }
        }
        self.counts = counts;
        self.window = window;
    }
}

/// One bar as a block character: the highest is as high as the line, an empty one blank.
pub(super) fn bar(count: u32, highest: u32) -> char {
    if count == 0 { ' ' } else { block(count.into(), highest.max(1).into()) }
}

fn block(count: u64, highest: u64) -> char {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    BLOCKS[(count.saturating_mul(8).div_ceil(highest) as usize).clamp(1, 8) - 1]
}

/// The bars as block characters, squeezed to `columns`; empty bars are blank.
pub(super) fn bars(counts: &[u32], columns: usize) -> String {
    if columns == 0 || counts.is_empty() {
        return String::new();
    }
    let columns = columns.min(counts.len());
    let mut squeezed = vec![0_u64; columns];
    for (i, count) in counts.iter().enumerate() {
        squeezed[i * columns / counts.len()] += u64::from(*count);
    }
    let highest = squeezed.iter().copied().max().unwrap_or(0).max(1);
    squeezed.iter().map(|&n| if n == 0 { ' ' } else { block(n, highest) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_grows_and_then_slides_and_keeps_counts() {
        let mut window = Window::new(Timestamp(0));
        let mut spark = Spark::new(window);
        for second in 0..60_i64 {
            let time = Timestamp(second * 1_000_000_000);
            window.reach(time);
            spark.add(window, time);
        }
        assert_eq!(spark.counts(window).iter().sum::<u32>(), 60);
        let late = Timestamp(3_600_000_000_000);
        window.reach(late);
        spark.add(window, late);
        let counts = spark.counts(window);
        assert_eq!(counts.iter().sum::<u32>(), 1, "an hour later the first minute has slid out");
        assert_eq!(counts[BARS - 1], 1);
    }

    #[test]
    fn times_that_go_back_or_are_absurd_do_no_harm() {
        let mut window = Window::new(Timestamp(i64::MAX - 5));
        let mut spark = Spark::new(window);
        for time in [i64::MIN, 0, i64::MAX] {
            window.reach(Timestamp(time));
            spark.add(window, Timestamp(time));
        }
        assert_eq!(spark.counts(window).iter().sum::<u32>(), 3);
    }

    #[test]
    fn bars_are_as_high_as_the_highest() {
        assert_eq!(bars(&[0, 1, 4, 8], 4), " ▁▄█");
        assert_eq!(bars(&[1, 1, 8, 8], 2), "▁█");
        assert_eq!(bars(&[], 4), "");
        assert_eq!(bars(&[3], 0), "");
    }
}
