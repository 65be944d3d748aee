//! What a log and a capture tell together, as outputs write it: stories of calls with their lines, lines without a call, and failed
//! calls without a line.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::RandomState;
use std::sync::Arc;

use super::assign::{Match, Told};
use super::background::{Above, Background};
use super::book::{Book, Line, NoCall};
use super::clock::LogClock;
use super::entries::Counts;
use super::index::CallIndex;
use crate::calls::{Call, Uid};
use crate::time::Timestamp;

/// The backgrounds of failed calls.
pub type Backgrounds = HashMap<Uid, Background, RandomState>;

/// A log.
#[derive(Clone, Debug)]
pub struct Log {
    /// Its name, for people.
    pub name: Arc<str>,
    /// What it held.
    pub counts: Counts,
    /// How far its clock is from the capture's, where that is known.
    pub clock: Option<LogClock>,
    /// Entries that are errors of RPCs.
    pub errors: u64,
}

/// An error line as it is told.
#[derive(Clone, Debug)]
pub struct ToldLine {
    /// The name of its log.
    pub log: Arc<str>,
    /// The number of its first line.
    pub line: u64,
    /// How many lines it has.
    pub lines: u32,
    /// Its text; may hold control characters.
    pub text: String,
    /// More of the text was left out.
    pub is_cut: bool,
    /// Its time by the capture's clock, where it has one.
    pub time: Option<Timestamp>,
    /// Its call.
    pub found: Option<Match>,
}

/// A failed call, and the lines that are about it.
#[derive(Clone, Debug)]
pub struct ToldCall {
    /// The call.
    pub call: Arc<Call>,
    /// What its chain says.
    pub background: Option<Background>,
    /// The lines, in the order of their logs.
    pub lines: Vec<ToldLine>,
}

/// Calls that ended in the same way and of which the same places in applications told. Never empty.
#[derive(Clone, Debug)]
pub struct Story {
    /// The calls, by their ends.
    pub calls: Vec<ToldCall>,
}

/// Lines of one kind that are about no call of the capture.
#[derive(Clone, Debug)]
pub struct Homeless {
    /// Why.
    pub reason: NoCall,
    /// The lines, in the order of their logs. Never empty.
    pub lines: Vec<ToldLine>,
}

/// Why no line mentions a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Silence {
    /// A further try was ok.
    Healed,
    /// A further try decided instead, whose failure is told, or that of a call above.
    Retried,
    /// The service that made the call answered ok.
    Swallowed,
    /// The failure of a call above, which it caused, is told.
    ToldAbove,
    /// Nobody says.
    Untold,
    /// More calls came at a time than are kept, so that a line may still have said it.
    LeftOut,
}

impl Silence {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Untold, Self::Swallowed, Self::Healed, Self::Retried, Self::ToldAbove, Self::LeftOut];

    /// The word that records have for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Healed => "healed-by-a-retry",
            Self::Retried => "told-by-a-retry",
            Self::Swallowed => "swallowed",
            Self::ToldAbove => "told-above",
            Self::Untold => "untold",
            Self::LeftOut => "left-out",
        }
    }

    /// The same for people.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Healed => "healed by a further try",
            Self::Retried => "a further try decided, whose failure is told",
            Self::Swallowed => "swallowed: its service answered ok",
            Self::ToldAbove => "told by a call above that it caused to fail",
            Self::Untold => "no line says it",
            Self::LeftOut => "too many calls at a time to know",
        }
    }
}

/// Failed calls of one kind that no line mentions.
#[derive(Clone, Debug)]
pub struct Silent {
    /// The first of them.
    pub first: Arc<Call>,
    /// How many there are.
    pub count: u64,
    /// Why.
    pub silence: Silence,
}

/// Sums.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// The logs.
    pub logs: Vec<Log>,
    /// Lines that lead to a call.
    pub told: u64,
    /// Lines that lead to none, by why.
    pub homeless: BTreeMap<NoCall, u64>,
    /// Lines beyond the bounds, of which nothing else is told.
    pub left_out: u64,
    /// Failed calls.
    pub failed: u64,
    /// Those that lines mention.
    pub mentioned: u64,
    /// Those that none mentions, by why.
    pub silent: BTreeMap<Silence, u64>,
    /// Failed calls for which there was no room.
    pub forgotten: u64,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Calls and their lines, by the ends of the calls.
    pub stories: Vec<Story>,
    /// Lines without a call.
    pub homeless: Vec<Homeless>,
    /// Calls without a line, the most frequent first.
    pub silent: Vec<Silent>,
    /// Sums.
    pub summary: Summary,
}

/// What of it is asked for.
pub struct Choice<'a> {
    /// Whether a call is.
    pub call: &'a dyn Fn(&Call) -> bool,
    /// Whether lines without a call are, by their time.
    pub line: &'a dyn Fn(Option<Timestamp>) -> bool,
}

/// Puts together what lines and calls tell.
#[must_use]
pub fn report(
    book: &Book,
    index: &CallIndex,
    told: &Told,
    backgrounds: &Backgrounds,
    logs: Vec<Log>,
    choice: &Choice<'_>,
) -> Report {
    let names: Vec<Arc<str>> = logs.iter().map(|log| Arc::clone(&log.name)).collect();
    let by_call = told.lines_of_calls();
    let is_chosen = |place: &usize| index.call(*place).is_some_and(|call| (choice.call)(call));
    let mut report = Report { summary: Summary { logs, ..Summary::default() }, ..Report::default() };
    let middle = index.span().map_or(Timestamp(0), |(first, last)| Timestamp(first.0 / 2 + last.0 / 2));
    let told_line = |number: usize| {
        let line = book.lines.get(number)?;
        let found = told.calls.get(number)?.as_ref().ok().cloned();
        // How far the time of another line is behind a call says nothing.
        let found = found.map(|found| Match { lag: found.lag.filter(|_| !line.entry.is_inherited), ..found });
        let near = found.as_ref().and_then(|found| index.call(found.call)).map_or(middle, |call| call.end);
        Some(told_line(line, &names, told.time_of(line, near), found))
    };

    // Calls with lines, by the kind of the call and what its lines are like.
    let mut places: Vec<usize> = by_call.keys().copied().filter(is_chosen).collect();
    places.sort_unstable();
    let mut stories: HashMap<(usize, Vec<(usize, u64)>), usize> = HashMap::new();
    for place in places {
        let (Some(call), Some(lines)) = (index.call(place), by_call.get(&place)) else { continue };
        let mut shapes: Vec<(usize, u64)> = lines
            .iter()
            .filter_map(|line| book.lines.get(*line))
            .map(|line| (line.source, line.shape))
            .collect();
        shapes.sort_unstable();
        let told = ToldCall {
            call: Arc::clone(call),
            background: backgrounds.get(&call.uid).cloned(),
            lines: lines.iter().filter_map(|line| told_line(*line)).collect(),
        };
        report.summary.told += told.lines.len() as u64;
        let number = *stories.entry((index.kind_of(place), shapes)).or_insert(report.stories.len());
        match report.stories.get_mut(number) {
            Some(story) => story.calls.push(told),
            None => report.stories.push(Story { calls: vec![told] }),
        }
    }

    // Lines without a call.
    let mut groups: HashMap<(usize, u64, NoCall), usize> = HashMap::new();
    for (number, line) in book.lines.iter().enumerate() {
        let Some(Err(reason)) = told.calls.get(number) else { continue };
        let Some(told) = told_line(number).filter(|told| (choice.line)(told.time)) else { continue };
        *report.summary.homeless.entry(*reason).or_default() += 1;
        let group = *groups.entry((line.source, line.shape, *reason)).or_insert(report.homeless.len());
        match report.homeless.get_mut(group) {
            Some(group) => group.lines.push(told),
            None => report.homeless.push(Homeless { reason: *reason, lines: vec![told] }),
        }
    }
    report.homeless.sort_by_key(|group| group.reason);

    add_silent(&mut report, index, &by_call, backgrounds, &is_chosen);
    report.summary.left_out = book.left_out.iter().sum();
    report
}

fn told_line(line: &Line, names: &[Arc<str>], time: Option<Timestamp>, found: Option<Match>) -> ToldLine {
    ToldLine {
        log: names.get(line.source).cloned().unwrap_or_else(|| "".into()),
        line: line.entry.line,
        lines: line.entry.lines,
        text: line.entry.text.clone(),
        is_cut: line.entry.is_cut,
        time: time.filter(|_| !line.entry.is_inherited),
        found,
    }
}

/// Adds the failed calls that no line mentions, by operation and by how they ended.
fn add_silent(
    report: &mut Report,
    index: &CallIndex,
    by_call: &HashMap<usize, Vec<usize>>,
    backgrounds: &Backgrounds,
    is_chosen: &dyn Fn(&usize) -> bool,
) {
    let mut groups: HashMap<_, usize> = HashMap::new();
    for (place, call) in index.calls().iter().enumerate() {
        if !call.failed() || !is_chosen(&place) {
            continue;
        }
        report.summary.failed += 1;
        if by_call.contains_key(&place) {
            report.summary.mentioned += 1;
            continue;
        }
        let silence = silence(call.uid, index, by_call, backgrounds);
        *report.summary.silent.entry(silence).or_default() += 1;
        let outcome = &call.outcome;
        let key = (
            call.service.clone(),
            call.method.clone(),
            outcome.class,
            outcome.carrier,
            outcome.code,
            silence,
        );
        let group = *groups.entry(key).or_insert(report.silent.len());
        match report.silent.get_mut(group) {
            Some(group) => group.count += 1,
            None => report.silent.push(Silent { first: Arc::clone(call), count: 1, silence }),
        }
    }
    let order = |silence: Silence| Silence::ALL.iter().position(|known| *known == silence);
    report
        .silent
        .sort_by_key(|group| (order(group.silence), std::cmp::Reverse(group.count), group.first.uid));
}

/// Why no line mentions a call.
fn silence(
    uid: Uid,
    index: &CallIndex,
    by_call: &HashMap<usize, Vec<usize>>,
    backgrounds: &Backgrounds,
) -> Silence {
    let mut at = uid;
    let mut seen = HashSet::new();
    let mut told = Silence::ToldAbove;
    while let Some(background) = backgrounds.get(&at).filter(|_| seen.insert(at)) {
        let above = match background.above {
            Above::Retried { healed: true, .. } => return Silence::Healed,
            Above::Swallowed(_) => return Silence::Swallowed,
            Above::Retried { by, healed: false } => {
                told = Silence::Retried;
                by
            }
            Above::PassedOn(to) => to,
            Above::Unknown => return Silence::Untold,
        };
        if index.place(above).is_some_and(|place| by_call.contains_key(&place)) {
            return told;
        }
        at = above;
    }
    Silence::Untold
}
