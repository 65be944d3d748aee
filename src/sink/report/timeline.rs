//! Calls over time, by class, drawn as SVG.

use std::fmt::Write as _;

use crate::calls::Class;
use crate::calls::intervals::Intervals;
use crate::text;
use crate::time::Timestamp;

/// Most intervals: what a screen has room for.
const INTERVALS: usize = 160;

/// The first width of an interval, in nanoseconds.
const FINEST: i64 = 1_000_000;

/// Widths for people, in nanoseconds: each a multiple of the one before, and beyond the last ten times as wide.
const WIDTHS: &[i64] = &[
    FINEST,
    10_000_000,
    100_000_000,
    1_000_000_000,
    5_000_000_000,
    10_000_000_000,
    60_000_000_000,
    300_000_000_000,
    900_000_000_000,
    3_600_000_000_000,
    21_600_000_000_000,
    86_400_000_000_000,
    864_000_000_000_000,
    8_640_000_000_000_000,
    86_400_000_000_000_000,
];

/// The failed classes in the order in which they are stacked, with the name of their style.
const FAILED: [(Class, &str); 4] = [
    (Class::Rpc, "rpc"),
    (Class::Business, "business"),
    (Class::Transport, "transport"),
    (Class::Unanswered, "unanswered"),
];

/// Calls by the time of their start.
#[derive(Debug)]
pub(super) struct Timeline(Intervals);

impl Default for Timeline {
    fn default() -> Self {
        let wider =
            |width| WIDTHS.iter().copied().find(|next| *next > width).unwrap_or(width.saturating_mul(10));
        Self(Intervals::new(INTERVALS, FINEST, wider))
    }
}

impl Timeline {
    pub(super) fn add(&mut self, start: Timestamp, class: Option<Class>) {
        self.0.add(start, class);
    }

    /// The drawing: failed calls above, all calls below, each on a scale of its own. `None` without calls.
    pub(super) fn svg(&self) -> Option<String> {
        let intervals = self.0.counts();
        if intervals.is_empty() {
            return None;
        }
        let bars = intervals.len().max(24) as f64;
        let (wide, left, top, failed, all) = (1000.0, 46.0, 14.0, 110.0, 46.0);
        let bar = (wide - left) / bars;
        let most_failed = intervals.iter().map(|c| sum(FAILED.iter().map(|(class, _)| c[*class as usize])));
        let most_failed = most_failed.max().unwrap_or(0).max(1);
        let most = intervals.iter().map(|c| sum(c.iter().copied())).max().unwrap_or(0).max(1);
        let (base, foot) = (top + failed, top + failed + 22.0 + all);
        let mut out = String::new();
        // Writing to a String can't fail.
        _ = write!(
            out,
            "<svg class=\"chart\" viewBox=\"0 0 {wide} {:.0}\" role=\"img\" aria-labelledby=\"over-time\">",
            foot + 22.0
        );
        for (y, height, label, count) in
            [(base, failed, "failed", most_failed), (foot, all, "all calls", most)]
        {
            _ = write!(
                out,
                "<line class=\"axis\" x1=\"{left}\" x2=\"{wide}\" y1=\"{y}\" y2=\"{y}\"/><line class=\"grid\" x1=\"{left}\" \
                 x2=\"{wide}\" y1=\"{0}\" y2=\"{0}\"/><text class=\"tick\" x=\"{1}\" y=\"{2}\" text-anchor=\"end\">{3}</text>\
                 <text class=\"tick\" x=\"{1}\" y=\"{y}\" text-anchor=\"end\">0</text><text class=\"tick strong\" x=\"{left}\" \
                 y=\"{4}\">{label}</text>",
                y - height,
                left - 6.0,
                y - height + 8.0,
                text::thousands(count),
                y - height - 4.0
            );
        }
        let (begin, width) = (self.0.begin(), self.0.width());
        let called = intervals.iter().enumerate().filter(|(_, counts)| sum(counts.iter().copied()) > 0);
        for (at, counts) in called {
            let x = left + at as f64 * bar;
            let time = Timestamp(begin.0.saturating_add(width.saturating_mul(at as i64))).to_string();
            let time = time.get(11..23).unwrap_or_default();
            let mut y = base;
            let thick = (bar - 0.6).max(0.6);
            for (class, name) in FAILED {
                let count = counts[class as usize];
                if count == 0 {
                    continue;
                }
                let height = (f64::from(count) / most_failed as f64 * failed).max(1.0);
                y -= height;
                _ = write!(
                    out,
                    "<rect class=\"c-{name}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{thick:.1}\" height=\"{height:.1}\"><title>{time}: {} \
                     {}</title></rect>",
                    text::thousands(count.into()),
                    class.row().label
                );
            }
            let called = sum(counts.iter().copied());
            let height = called as f64 / most as f64 * all;
            _ = write!(
                out,
                "<rect class=\"c-all\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{thick:.1}\" height=\"{height:.1}\"><title>{time}: \
                 {}</title></rect>",
                foot - height,
                text::counted(called, "call")
            );
        }
        for part in 0..=4u32 {
            let at = Timestamp((begin.0 as f64 + bars * width as f64 * f64::from(part) / 4.0) as i64);
            let clock = at.to_string();
            // To the second where intervals are long, to the millisecond where they are short.
            let clock = clock.get(11..if width < 1_000_000_000 { 23 } else { 19 }).unwrap_or_default();
            let (x, anchor) = match part {
                0 => (left, "start"),
                4 => (wide, "end"),
                _ => (left + (wide - left) * f64::from(part) / 4.0, "middle"),
            };
            _ = write!(
                out,
                "<text class=\"tick\" x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{clock}</text>",
                foot + 16.0
            );
        }
        out.push_str("</svg>");
        Some(out)
    }

    /// The length of an interval, for people.
    pub(super) fn interval(&self) -> String {
        text::duration(self.0.width().unsigned_abs())
    }
}

/// The sum of counts.
fn sum(counts: impl Iterator<Item = u32>) -> u64 {
    counts.map(u64::from).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_all_calls_in_intervals_for_people() {
        let mut timeline = Timeline::default();
        for second in 0..100_000 {
            timeline.add(Timestamp(second * 1_000_000_000), Some(Class::Ok));
        }
        timeline.add(Timestamp(i64::MAX), Some(Class::Rpc));
        timeline.add(Timestamp(i64::MIN), None);
        let counted = timeline.0.counts().iter().map(|counts| sum(counts.iter().copied()));
        assert_eq!(counted.sum::<u64>(), 100_002);
        assert!(timeline.0.counts().len() <= INTERVALS);
        let svg = timeline.svg().unwrap();
        assert!(svg.contains("c-rpc") && svg.len() < 200_000);
        assert!(Timeline::default().svg().is_none());
        let mut minutes = Timeline::default();
        (0..1_000).for_each(|second| minutes.add(Timestamp(second * 1_000_000_000), Some(Class::Ok)));
        assert_eq!(minutes.interval(), "10s");
    }
}
