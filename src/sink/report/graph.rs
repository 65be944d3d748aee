//! Who calls whom, with the flow of errors, as SVG: callers left, callees right, in layers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::html;
use crate::chains::Summary;
use crate::chains::summary::Traffic;
use crate::text;

/// Most arrows that are drawn: those with errors first, then those with most calls.
const ARROWS: usize = 60;

/// Longest name in columns; its title has all of it.
const NAME: usize = 24;

/// An arrow of the graph.
#[derive(Clone, Debug)]
pub(super) struct Arrow {
    /// Caller, escaped for terminals.
    pub(super) from: String,
    /// Callee, likewise.
    pub(super) to: String,
    /// What went along it.
    pub(super) traffic: Traffic,
}

/// The arrows that are drawn, and how many are not.
pub(super) fn arrows(summary: &Summary) -> (Vec<Arrow>, usize) {
    let mut all: Vec<Arrow> = summary
        .edges()
        .map(|(from, to, traffic)| Arrow {
            from: text::escape(from).into_owned(),
            to: text::escape(to).into_owned(),
            traffic,
        })
        .collect();
    all.sort_by_key(|arrow| {
        let Traffic { business, framework, calls, .. } = arrow.traffic;
        std::cmp::Reverse((business + framework > 0, business + framework, calls))
    });
    let left_out = all.len().saturating_sub(ARROWS);
    all.truncate(ARROWS);
    (all, left_out)
}

/// `1,204 calls`, `12 business`, `3 RPC`, `1 broken`: what is there.
pub(super) fn label(traffic: Traffic) -> String {
    let mut out = text::counted(traffic.calls, "call");
    for (count, word) in [(traffic.business, "business"), (traffic.rpc(), "RPC"), (traffic.broken, "broken")]
    {
        if count > 0 {
            _ = write!(out, " · {} {word}", text::thousands(count));
        }
    }
    out
}

/// The style of an arrow.
fn style(traffic: Traffic) -> &'static str {
    match traffic {
        Traffic { framework, broken, .. } if framework > broken => "rpc",
        Traffic { business: 1.., .. } => "business",
        Traffic { broken: 1.., .. } => "transport",
        _ => "fine",
    }
}

/// The layer of each name: one more than that of its callers, cycles aside.
fn layers<'a>(names: &BTreeMap<&'a str, usize>, arrows: &'a [Arrow]) -> Vec<usize> {
    let mut layers = vec![0usize; names.len()];
    // In a graph without cycles, this ends after as many rounds as there are layers; cycles are cut off by the bound.
    for _ in 0..names.len().min(12) {
        let mut has_changed = false;
        for arrow in arrows.iter().filter(|arrow| arrow.from != arrow.to) {
            let (from, to) = (names[&*arrow.from], names[&*arrow.to]);
            // An arrow back belongs to a cycle.
            let is_back = arrows.iter().any(|other| other.from == arrow.to && other.to == arrow.from)
                && arrow.from > arrow.to;
            if !is_back && layers[to] <= layers[from] && layers[from] < 12 {
                layers[to] = layers[from] + 1;
                has_changed = true;
            }
        }
        if !has_changed {
            break;
        }
    }
    layers
}

/// The drawing; `None` if nobody calls anybody.
pub(super) fn svg(arrows: &[Arrow]) -> Option<String> {
    const WIDE: f64 = 190.0;
    const HIGH: f64 = 34.0;
    const ACROSS: f64 = 390.0;
    const DOWN: f64 = 66.0;
    if arrows.is_empty() {
        return None;
    }
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for name in arrows.iter().flat_map(|arrow| [&*arrow.from, &*arrow.to]) {
        let next = names.len();
        names.entry(name).or_insert(next);
    }
    let layers = layers(&names, arrows);
    let mut in_layer: BTreeMap<usize, usize> = BTreeMap::new();
    let mut places = vec![(0.0, 0.0); names.len()];
    let highest = {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for layer in &layers {
            *counts.entry(*layer).or_default() += 1;
        }
        counts.values().copied().max().unwrap_or(1)
    };
    let mut by_number: Vec<(&str, usize)> = names.iter().map(|(name, number)| (*name, *number)).collect();
    by_number.sort_by_key(|(_, number)| *number);
    // The layers that are used, without holes.
    let mut used: Vec<usize> = layers.clone();
    used.sort_unstable();
    used.dedup();
    for (_, number) in &by_number {
        let row = in_layer.entry(layers[*number]).or_default();
        let column = used.binary_search(&layers[*number]).unwrap_or(0);
        places[*number] = (8.0 + column as f64 * ACROSS, 12.0 + *row as f64 * DOWN);
        *row += 1;
    }
    for (_, number) in &by_number {
        // Short layers stand in the middle.
        let free = highest - in_layer.get(&layers[*number]).copied().unwrap_or(1);
        places[*number].1 += free as f64 * DOWN / 2.0;
    }
    let (width, height) =
        (16.0 + (used.len() - 1) as f64 * ACROSS + WIDE, 24.0 + (highest - 1) as f64 * DOWN + HIGH + 18.0);
    let mut out = format!(
        "<svg class=\"graph\" viewBox=\"0 0 {width:.0} {height:.0}\" width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" \
         aria-labelledby=\"who-calls\"><defs>"
    );
    for name in ["fine", "rpc", "business", "transport"] {
        _ = write!(
            out,
            "<marker id=\"tip-{name}\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
             orient=\"auto-start-reverse\"><path class=\"tip-{name}\" d=\"M0 0 8 4 0 8z\"/></marker>"
        );
    }
    out.push_str("</defs>");
    let mut labels = String::new();
    let mut arrived: BTreeMap<&str, f64> = BTreeMap::new();
    for arrow in arrows {
        let ((x1, y1), (x2, y2)) = (places[names[&*arrow.from]], places[names[&*arrow.to]]);
        let style = style(arrow.traffic);
        let (start, end) = ((x1 + WIDE, y1 + HIGH / 2.0), (x2, y2 + HIGH / 2.0));
        let (path, (at, anchor)) = if x2 > x1 {
            let bend = (end.0 - start.0) / 2.0;
            // Above the tip, where arrows from one caller have parted; those to one callee stand above each other.
            let above = arrived.entry(&*arrow.to).or_insert(0.0);
            let at = (end.0 - 14.0, end.1 - *above);
            *above += 13.0;
            (
                format!(
                    "M{:.0} {:.0}C{:.0} {:.0} {:.0} {:.0} {:.0} {:.0}",
                    start.0,
                    start.1,
                    start.0 + bend,
                    start.1,
                    end.0 - bend,
                    end.1,
                    end.0 - 2.0,
                    end.1
                ),
                (at, "end"),
            )
        } else {
            // Back, or within its layer: below the boxes.
            let (from, to) = ((x1 + WIDE / 2.0, y1 + HIGH), (x2 + WIDE / 2.0 + 12.0, y2 + HIGH));
            let low = from.1.max(to.1) + 20.0;
            (
                format!(
                    "M{:.0} {:.0}C{:.0} {low:.0} {:.0} {low:.0} {:.0} {:.0}",
                    from.0,
                    from.1,
                    from.0,
                    to.0,
                    to.0,
                    to.1 + 2.0
                ),
                ((f64::midpoint(from.0, to.0), low - 4.0), "middle"),
            )
        };
        let words = label(arrow.traffic);
        _ = write!(
            out,
            "<path class=\"edge e-{style}\" d=\"{path}\" marker-end=\"url(#tip-{style})\"><title>{} → {}: {words}</title></path>",
            html(&arrow.from),
            html(&arrow.to)
        );
        let short = words.replace(" calls", "").replace(" call", "");
        _ = write!(
            labels,
            "<text class=\"edge-label\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{short}</text>",
            at.0,
            at.1 - 5.0
        );
    }
    for (name, number) in by_number {
        let (x, y) = places[number];
        let began: u64 =
            arrows.iter().filter(|arrow| arrow.to == name).map(|arrow| arrow.traffic.began).sum();
        let origin = if began > 0 { " origin" } else { "" };
        _ = write!(
            out,
            "<g><title>{}</title><rect class=\"box{origin}\" x=\"{x:.0}\" y=\"{y:.0}\" width=\"{WIDE}\" height=\"{HIGH}\" rx=\"6\"/>\
             <text class=\"box-label\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{}</text>",
            html(name),
            x + WIDE / 2.0,
            y + HIGH / 2.0 + 4.5,
            html(&text::cut_middle(name, NAME))
        );
        if began > 0 {
            let words = format!("★ {} began here", text::counted(began, "error"));
            _ = write!(
                out,
                "<text class=\"star\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{words}</text>",
                x + WIDE / 2.0,
                y + HIGH + 13.0
            );
        }
        out.push_str("</g>");
    }
    out.push_str(&labels);
    out.push_str("</svg>");
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_and_cycles_are_drawn() {
        let arrow = |from: &str, to: &str| Arrow {
            from: from.into(),
            to: to.into(),
            traffic: Traffic { calls: 2, business: 1, began: 1, ..Traffic::default() },
        };
        let evil = "</svg><script>alert(1)</script>";
        let svg =
            svg(&[arrow("a", evil), arrow(evil, "a"), arrow(evil, evil), arrow("b", "c"), arrow("c", "a")])
                .unwrap();
        assert!(!svg.contains("<script") && svg.contains("&lt;"));
        assert_eq!(svg.matches("class=\"edge e-").count(), 5);
        assert!(super::svg(&[]).is_none());
    }
}
