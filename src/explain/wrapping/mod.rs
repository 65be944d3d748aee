//! Takes an error's text out of what a log wraps around it.
//!
//! No list of log formats: each layer is one that many formats share, and a text either has it or not. A layer is taken off only
//! where that changes what the text says (escapes), where it begins (a header, a bullet) or where it ends (quotes, lines). Whether
//! a text is an error is not known here, so the result is a list of candidates.
//!
//! | layer | module |
//! | --- | --- |
//! | colours, HTML entities and tags, URL escapes, backslashes, lists of bytes | [`escapes`] |
//! | quoted strings (JSON, logfmt, Go, Rust, Python), cells of CSV | [`quotes`] |
//! | other lines, breaks within a line, and what stands before the text in a line: times, levels, places in the source, bullets | [`header`] |
//!
//! Pure, and bounded in length, number, depth and cost.

mod escapes;
mod header;
mod quotes;
#[cfg(test)]
mod tests;

use std::collections::{HashSet, VecDeque};

use crate::text;

pub(super) use escapes::unescaped;
pub(super) use quotes::unescaped_quotes;

/// Most bytes of pasted text that are read; what comes after them is left out.
pub const LINE_LIMIT: usize = 1 << 20;

/// Most candidates.
pub const CANDIDATE_LIMIT: usize = 64;

/// Most layers that are taken off.
const DEPTH_LIMIT: usize = 6;

/// Most candidates that one layer of one text leads to.
const FANOUT_LIMIT: usize = 24;

/// Most bytes of all candidates together, which bounds the cost.
const BYTES_LIMIT: usize = 4 * LINE_LIMIT;

/// Shortest candidate, bytes.
const SHORTEST: usize = 3;

/// The texts that may be the error in a pasted text, the whole first, then those with one layer less, and so on. A layer that
/// names its texts (`"err":…`) gives those first that are named like errors.
#[must_use]
pub fn candidates(pasted: &str) -> Vec<String> {
    let whole = text::head(pasted, LINE_LIMIT);
    let mut found = Found::default();
    match escapes::without_colors(whole) {
        Some((plain, pieces)) => {
            found.add(&plain, 0);
            for piece in &pieces {
                found.add(piece, 1);
            }
        }
        None => found.add(whole, 0),
    }
    while let Some((at, depth)) = found.waiting.pop_front() {
        let Some(text) = found.texts.get(at).filter(|_| depth < DEPTH_LIMIT) else { continue };
        for inner in peel(text) {
            found.add(&inner, depth + 1);
        }
    }
    found.texts
}

/// The texts of one layer less, those of the layer that says most first.
fn peel(text: &str) -> Vec<String> {
    let lines = header::lines(text);
    // A header belongs to one line.
    let tails = if lines.is_empty() { header::tails(text) } else { Vec::new() };
    let layers = [
        lines,
        quotes::cells(text),
        quotes::double_quoted(text),
        quotes::single_quoted(text),
        escapes::html(text),
        escapes::url(text),
        escapes::backslashes(text),
        escapes::byte_lists(text),
        tails,
    ];
    layers.into_iter().flat_map(|layer| layer.into_iter().take(FANOUT_LIMIT)).collect()
}

/// Candidates, and those of which no layer was taken off yet.
#[derive(Default)]
struct Found {
    texts: Vec<String>,
    seen: HashSet<String>,
    waiting: VecDeque<(usize, usize)>,
    bytes: usize,
}

impl Found {
    fn add(&mut self, text: &str, depth: usize) {
        let text = text.trim();
        let room = self.texts.len() < CANDIDATE_LIMIT && self.bytes + text.len() <= BYTES_LIMIT;
        if !room || (text.len() < SHORTEST && depth > 0) || !self.seen.insert(text.to_owned()) {
            return;
        }
        self.bytes += text.len();
        self.waiting.push_back((self.texts.len(), depth));
        self.texts.push(text.to_owned());
    }
}
