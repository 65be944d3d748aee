//! A pasted log line as a whole: the errors in it, and how well it fits a call.

use super::agreement::{self, Agreement, agreement};
use super::clues::Clues;
use super::ends::End;
use super::exceptions;
use super::log::{LogError, parse_log};
use super::wrapping::candidates;
use crate::calls::Call;
use crate::text;

/// Most errors of one line that are explained.
const ERROR_LIMIT: usize = 8;

/// Most bytes of a candidate that are parsed.
const PARSE_LIMIT: usize = 64 << 10;

/// Most bytes of candidates in which the texts of calls are looked for.
const SEARCH_LIMIT: usize = 256 << 10;

/// Shortest text of a call that is found in a line without a known form, bytes; shorter ones have to be the whole line.
const BARE_LIMIT: usize = 4;

/// Shortest end of a call's text that is found so, bytes.
const ENDING_LIMIT: usize = 8;

/// Most ends of a call's text that are looked for.
const ENDINGS: usize = 8;

/// A pasted log line.
#[derive(Clone, Debug, Default)]
pub struct LogLine {
    /// The errors in it, the likeliest first; empty if it has no known form.
    pub errors: Vec<LogError>,
    /// Each layer that was read, with its depth: 0 for the outermost.
    layers: Vec<(usize, LogError)>,
    /// The candidates for the text of the error, the whole line first.
    texts: Vec<String>,
    printed: Vec<String>,
    clues: Clues,
    /// It may be about a call that did not fail on the wire.
    is_of_unusable: bool,
}

/// How sure a line and a call belong together, the better the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    /// Nothing in the line contradicts it.
    consistent: bool,
    tier: Tier,
    /// Layers in which the one that fits does not lie.
    outermost: std::cmp::Reverse<usize>,
    agreed: usize,
    whole: bool,
    weight: u32,
    /// Nanoseconds between the line and the end of the call; the most there are if the line has no time.
    distance: std::cmp::Reverse<u64>,
}

/// By what a call was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Tier {
    /// Its text stands in a line of no known form.
    Bare,
    /// It ended as the caller's library says.
    End,
    /// Text (or the values of an exception) and code.
    Text,
}

impl Rank {
    /// Whether nothing in the line speaks against it.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.consistent
    }

    /// How much the line names of the call itself: its connection, its trace, its method.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// All of it but the time.
    #[must_use]
    pub fn without_time(self) -> Self {
        Self { distance: std::cmp::Reverse(u64::MAX), ..self }
    }

    /// Whether it was found by nothing but a text in a line that is worded by no known library.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.tier == Tier::Bare
    }
}

/// How a line fits a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// How well.
    pub rank: Rank,
    /// What of the line agrees with the call, for people.
    pub why: Vec<String>,
}

impl LogLine {
    /// Reads a pasted text: one line or several.
    #[must_use]
    pub fn read(pasted: &str) -> Self {
        let texts = candidates(pasted);
        let mut line = Self::default();
        for text in &texts {
            if let Some(error) = parse_log(text::head(text, PARSE_LIMIT)) {
                line.add(error);
            }
        }
        line.printed = texts.iter().flat_map(|text| exceptions::printed(text)).map(str::to_owned).collect();
        line.printed.dedup();
        let is_unusable = line.layers().filter_map(LogError::end).any(End::is_without_failure);
        line.is_of_unusable = is_unusable;
        line.clues = Clues::read(&texts);
        line.texts = texts;
        line
    }

    /// Adds what one candidate says. Where two say the same, the one with less around it is shown.
    fn add(&mut self, error: LogError) {
        let same = |a: &LogError, b: &LogError| a.wording == b.wording && a.code == b.code;
        let known = self.layers.iter().find(|(_, layer)| same(layer, &error)).map(|(depth, _)| *depth);
        for (depth, layer) in error.layers().enumerate() {
            let read = (depth + known.unwrap_or(0), layer.alone());
            // Most candidates say the same, and each layer is held against each call.
            if !self.layers.contains(&read) {
                self.layers.push(read);
            }
        }
        if let Some(shown) = self.errors.iter_mut().find(|shown| same(shown, &error)) {
            if error.message.len() < shown.message.len() && shown.message.starts_with(&error.message) {
                *shown = error;
            }
        } else if known.is_none() && self.errors.len() < ERROR_LIMIT {
            self.errors.push(error);
        }
    }

    /// Whether the line has words of a library.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether calls need their headers for it.
    #[must_use]
    pub fn needs_headers(&self) -> bool {
        self.clues.needs_headers()
    }

    /// Whether calls need the bodies of their messages for it.
    #[must_use]
    pub fn needs_bodies(&self) -> bool {
        !self.printed.is_empty()
    }

    /// How it fits a call; `None` if the call has nothing to do with it.
    #[must_use]
    pub fn fit(&self, call: &Call) -> Option<Fit> {
        Some(self.weigh(&self.found(call)?, call, None))
    }

    /// What of the line agrees with how a call ended; `None` if the call ended otherwise. The same for all calls that ended so.
    #[must_use]
    pub fn found(&self, call: &Call) -> Option<Found> {
        let may_be_it = may_be_logged(call) || (self.is_of_unusable && self.is_unusable(call));
        if !may_be_it {
            return None;
        }
        let found = [self.by_layer(call), self.by_fields(call)];
        found.into_iter().flatten().max_by_key(Found::key).or_else(|| self.by_text(call))
    }

    /// How well what was found fits a call, by everything else that the line holds. `lag`: how far the line's time is behind the end of
    /// the call, nanoseconds, where that is better known than by the line alone.
    #[must_use]
    pub fn weigh(&self, found: &Found, call: &Call, lag: Option<i64>) -> Fit {
        let agreed = self.clues.agree(call, call.outcome.message.as_deref().unwrap_or_default(), lag);
        let rank = Rank {
            consistent: !agreed.contradicted,
            tier: found.tier,
            outermost: std::cmp::Reverse(found.depth),
            agreed: found.agreement.length,
            whole: found.agreement.whole,
            weight: agreed.weight,
            distance: std::cmp::Reverse(agreed.distance.map_or(u64::MAX, i64::unsigned_abs)),
        };
        Fit { rank, why: found.why.iter().map(|why| (*why).to_owned()).chain(agreed.why).collect() }
    }

    /// What else it holds.
    #[must_use]
    pub fn clues(&self) -> &Clues {
        &self.clues
    }

    /// The texts that may be the error, the whole first, then those with one layer less around them.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// Each layer that was read, an error's text without those that it contains.
    pub fn layers(&self) -> impl Iterator<Item = &LogError> {
        self.layers.iter().map(|(_, layer)| layer)
    }

    /// Whether it says that an answer was of no use to its caller, which may be ok on the wire.
    #[must_use]
    pub fn may_be_of_ok_call(&self) -> bool {
        self.errors
            .first()
            .and_then(LogError::end)
            .is_some_and(|end| end != End::CallerLeft && end.is_without_failure())
    }

    /// Whether it says that the answer to a call which did not fail is of no use to its caller.
    fn is_unusable(&self, call: &Call) -> bool {
        self.layers
            .iter()
            .any(|(_, layer)| layer.end().is_some_and(End::is_without_failure) && layer.is_of(call))
    }

    fn by_layer(&self, call: &Call) -> Option<Found> {
        let fits = self.layers.iter().filter_map(|(depth, layer)| {
            let fit = layer.fit(call)?;
            let tier = if fit.text.is_some() { Tier::Text } else { Tier::End };
            let agreement = fit.text.unwrap_or(Agreement { length: 0, whole: true });
            let mut why = match fit.text {
                None => vec!["end"],
                Some(Agreement { length: 0, .. }) => Vec::new(),
                Some(Agreement { whole: true, .. }) => vec!["text"],
                Some(_) => vec!["text (cut)"],
            };
            why.extend(fit.code.then_some("code"));
            Some(Found { tier, depth: *depth, agreement, why })
        });
        fits.max_by_key(Found::key)
    }

    fn by_fields(&self, call: &Call) -> Option<Found> {
        let lengths = self.printed.iter().filter_map(|printed| exceptions::agreement_with(printed, call));
        let agreement = Agreement { length: lengths.max()?, whole: true };
        Some(Found { tier: Tier::Text, depth: 0, agreement, why: vec!["fields"] })
    }

    /// Looks for the call's text, or what stands in it behind a colon: a handler's words, which frameworks put their own before.
    fn by_text(&self, call: &Call) -> Option<Found> {
        let text = call.outcome.message.as_deref().filter(|text| !text.is_empty())?;
        let has_code = call.outcome.code.is_some_and(|code| {
            let digits = code.to_string();
            self.texts.iter().any(|text| agreement::find(text, &digits).is_some())
        });
        // A form with another code speaks of another error.
        let other_code = self.errors.first().and_then(|error| error.code);
        if other_code.is_some() && call.outcome.code.is_some() && other_code != call.outcome.code && !has_code
        {
            return None;
        }
        let endings =
            text.match_indices(": ").take(ENDINGS).filter_map(|(at, mark)| text.get(at + mark.len()..));
        let endings = endings.filter(|ending| ending.len() >= ENDING_LIMIT);
        let mut searched = 0;
        let texts = self.texts.iter().take_while(|text| {
            searched += text.len();
            searched <= SEARCH_LIMIT
        });
        let texts: Vec<&String> = texts.collect();
        let agreement = std::iter::once(text)
            .chain(endings)
            .find_map(|wanted| texts.iter().filter_map(|text| standing(text, wanted)).max())?;
        let mut why = vec![if agreement.whole { "text" } else { "text (cut)" }];
        why.extend(has_code.then_some("code"));
        Some(Found { tier: Tier::Bare, depth: 0, agreement, why })
    }

    /// Shows no more of the errors' texts than what calls have of them.
    pub fn trim_to<'a>(&mut self, calls: impl Iterator<Item = &'a Call>) {
        let mut texts: Vec<&str> = calls.filter_map(|call| call.outcome.message.as_deref()).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        for error in &mut self.errors {
            error.trim_to(&texts);
        }
    }
}

/// Whether an application may have logged how a call ended, whatever its line says: it failed, its caller gave up before the answer, or
/// the answer held nothing.
#[must_use]
pub fn may_be_logged(call: &Call) -> bool {
    call.failed() || [End::CallerLeft, End::NoMessage].iter().any(|end| end.is_of(call, ""))
}

/// What of a line agrees with how a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    tier: Tier,
    depth: usize,
    agreement: Agreement,
    why: Vec<&'static str>,
}

impl Found {
    /// Whether it was found by nothing but a text in a line that is worded by no known library.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.tier == Tier::Bare
    }

    /// What is greater for a better one.
    #[must_use]
    pub fn key(&self) -> impl Ord + Copy + use<> {
        (self.tier, std::cmp::Reverse(self.depth), self.agreement.length, self.agreement.whole)
    }
}

/// How much of a call's text stands somewhere in a line.
fn standing(line: &str, text: &str) -> Option<Agreement> {
    if text.len() < BARE_LIMIT {
        return (line == text).then_some(Agreement { length: text.len(), whole: true });
    }
    if agreement::find(line, text).is_some() {
        return Some(Agreement { length: text.len(), whole: true });
    }
    // The line may be cut: look for where the text begins.
    let head = Some(text::head(text, ENDING_LIMIT)).filter(|head| head.len() >= BARE_LIMIT)?;
    let places = line.match_indices(head).map(|(at, _)| at).take(ENDINGS);
    let rests = places.filter_map(|at| {
        let (before, rest) = line.split_at_checked(at)?;
        agreement::begins_between(before, head).then_some(rest)
    });
    rests.filter_map(|rest| agreement(rest, text, false)).max()
}

impl LogError {
    /// The layer without those that it contains.
    fn alone(&self) -> Self {
        Self { wording: self.wording.clone(), message: self.message.clone(), cause: None, ..*self }
    }

    /// Cuts off what stands behind the text of a call, which is one of `texts`, the longest first.
    fn trim_to(&mut self, texts: &[&str]) {
        let whole = |text: &&&str| {
            !text.is_empty() && agreement(&self.message, text, false).is_some_and(|agreement| agreement.whole)
        };
        if let Some(text) = texts.iter().find(whole) {
            self.message.truncate(text.len().min(self.message.len()));
        }
        if let Some(cause) = &mut self.cause {
            cause.trim_to(texts);
        }
    }
}
