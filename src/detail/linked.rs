//! Where a call stands in its chain, in labelled lines: what caused it, what else may have, and what it caused.

use super::verdict::Line;
use crate::calls::record::{Call, Uid};
use crate::chains::{Chain, Evidence, Hop, Operation, Rival};
use crate::text;

/// Most rivals of a link that are listed.
const MAX_RIVALS: usize = 8;
/// Most calls that a call made that are listed.
const MAX_CALLS: usize = 20;

/// `68 %  Order.Create  18`, escaped for terminals.
fn named(share: f64, name: &str, uid: Uid) -> String {
    format!("{:.0} %  {name}  {uid}", share * 100.0)
}

/// A call with the probability and the evidence of the link of `linked`.
fn believed(label: &'static str, call: &Call, linked: &Hop) -> Line {
    let link = linked.link.unwrap_or_default();
    let evidence: Vec<&str> = link.evidence.iter().map(Evidence::name).collect();
    let name = text::escape(&Operation(call).to_string()).into_owned();
    let value = named(link.confidence, &name, call.uid);
    Line { label, value, meaning: format!("by {}", evidence.join(", ")) }
}

/// The lines of a call in its chain, the most important first. `name_of` names calls of other chains, escaped for terminals.
/// Empty if nothing is known to have caused it or to be caused by it.
#[must_use]
pub fn lines(chain: &Chain, hop: usize, name_of: impl Fn(Uid) -> Option<String>) -> Vec<Line> {
    let Some(this) = chain.hops.get(hop) else { return Vec::new() };
    let mut lines = Vec::new();
    let plain = |label, value| Line { label, value, meaning: String::new() };
    if let Some(parent) = this.parent.and_then(|parent| chain.hops.get(parent)) {
        let label = if this.unsure_link().is_some() { "perhaps caused by" } else { "caused by" };
        lines.push(believed(label, &parent.call, this));
    }
    for Rival { uid, confidence, .. } in this.rivals.iter().take(MAX_RIVALS) {
        let label = if this.parent.is_some() { "or perhaps by" } else { "perhaps caused by" };
        let name = name_of(*uid).unwrap_or_else(|| "call".to_owned());
        lines.push(plain(label, named(*confidence, &name, *uid)));
    }
    if let Some(cause) = chain.cause(hop) {
        lines.push(plain("its failure", cause));
    }
    for child in chain.children(hop).take(MAX_CALLS) {
        let child = &chain.hops[child];
        let label = if child.unsure_link().is_some() { "perhaps caused" } else { "caused" };
        lines.push(believed(label, &child.call, child));
    }
    let more = chain.children(hop).count().saturating_sub(MAX_CALLS);
    if more > 0 {
        lines.push(plain("caused", format!("{more} more")));
    }
    lines
}
