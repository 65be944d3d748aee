//! Calls over time, by class: counted in equal intervals that widen as the time does, and drawn as SVG.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::calls::Class;
use crate::text;
use crate::time::Timestamp;

/// Most intervals: what a screen has room for.
const INTERVALS: usize = 160;

/// The first width of an interval, in nanoseconds.
const FINEST: i64 = 1_000_000;

/// Widths for people, in nanoseconds: each a multiple of the one before.
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

/// Index of a class in [`Counts`]; the last is for calls without one.
#[must_use]
pub(super) fn index(class: Option<Class>) -> usize {
    class.map_or(Class::ALL.len(), |class| class as usize)
}

/// Calls by class, those without a class last.
pub(super) type Counts = [u64; 7];

/// The failed classes in the order in which they are stacked, with the name of their style.
const FAILED: [(Class, &str); 4] = [
    (Class::Rpc, "rpc"),
    (Class::Business, "business"),
    (Class::Transport, "transport"),
    (Class::Unanswered, "unanswered"),
];

/// Calls by the time of their start.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Place of the width in [`WIDTHS`].
    width: usize,
    intervals: BTreeMap<i64, Counts>,
}

impl Timeline {
    pub(super) fn add(&mut self, start: Timestamp, class: Option<Class>) {
        let width = WIDTHS[self.width];
        self.intervals.entry(start.0.div_euclid(width)).or_default()[index(class)] += 1;
        while self.extent() > INTERVALS as u64 && self.width + 1 < WIDTHS.len() {
            let factor = WIDTHS[self.width + 1] / WIDTHS[self.width];
            self.width += 1;
            for (at, counts) in std::mem::take(&mut self.intervals) {
                let wide = self.intervals.entry(at.div_euclid(factor)).or_default();
                wide.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
            }
        }
    }

    /// Intervals from the first to the last.
    fn extent(&self) -> u64 {
        let (first, last) = (self.intervals.first_key_value(), self.intervals.last_key_value());
        first.zip(last).map_or(0, |((first, _), (last, _))| last.abs_diff(*first) + 1)
    }

    /// The drawing: failed calls above, all calls below, each on a scale of its own. `None` without calls.
    pub(super) fn svg(&self) -> Option<String> {
        let (&first, _) = self.intervals.first_key_value()?;
        let bars = self.extent().clamp(24, 2 * INTERVALS as u64) as f64;
        let (wide, left, top, failed, all) = (1000.0, 46.0, 14.0, 110.0, 46.0);
        let bar = (wide - left) / bars;
        let most_failed =
            self.intervals.values().map(|c| FAILED.iter().map(|(class, _)| c[*class as usize]).sum::<u64>());
        let most_failed = most_failed.max().unwrap_or(0).max(1);
        let most = self.intervals.values().map(|c| c.iter().sum::<u64>()).max().unwrap_or(0).max(1);
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
        let width = WIDTHS[self.width];
        for (at, counts) in &self.intervals {
            let x = left + (at - first) as f64 * bar;
            let time = Timestamp(at.saturating_mul(width)).to_string();
            let time = time.get(11..23).unwrap_or_default();
            let mut y = base;
            let thick = (bar - 0.6).max(0.6);
            for (class, name) in FAILED {
                let count = counts[class as usize];
                if count == 0 {
                    continue;
                }
                let height = (count as f64 / most_failed as f64 * failed).max(1.0);
                y -= height;
                _ = write!(
                    out,
                    "<rect class=\"c-{name}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{thick:.1}\" height=\"{height:.1}\"><title>{time}: {} \
                     {}</title></rect>",
                    text::thousands(count),
                    class.row().label
                );
            }
            let sum = counts.iter().sum::<u64>();
            let height = sum as f64 / most as f64 * all;
            _ = write!(
                out,
                "<rect class=\"c-all\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{thick:.1}\" height=\"{height:.1}\"><title>{time}: \
                 {}</title></rect>",
                foot - height,
                text::counted(sum, "call")
            );
        }
        for part in 0..=4u32 {
            let at =
                Timestamp((first as f64 * width as f64 + bars * width as f64 * f64::from(part) / 4.0) as i64);
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
        text::duration(WIDTHS[self.width].unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_widen_and_no_call_is_lost() {
        let mut timeline = Timeline::default();
        for second in 0..100_000 {
            timeline.add(Timestamp(second * 1_000_000_000), Some(Class::Ok));
        }
        timeline.add(Timestamp(i64::MAX), Some(Class::Rpc));
        timeline.add(Timestamp(i64::MIN), None);
        let sum: u64 = timeline.intervals.values().flatten().sum();
        assert_eq!(sum, 100_002);
        assert!(timeline.intervals.len() <= 2 * INTERVALS);
        let svg = timeline.svg().unwrap();
        assert!(svg.contains("c-rpc") && svg.len() < 200_000);
        assert!(Timeline::default().svg().is_none());
    }
}
