//! Which line is about which call.
//!
//! 1. Lines that are about one call, whatever their time, say how far the clock of their log is from the capture's
//!    ([`super::clock`]).
//! 2. Each line has candidates: calls that ended as it says and that its time does not rule out.
//! 3. Lines and calls are joined, the surest first: by ids and addresses, then by the distance of their times. Lines that one place in
//!    the source of the application prints are about one call each, so that a call which one of them has is none of another of them.
//!    Lines of different places may be about the same call: a client logs it, and then the handler above does.

use std::collections::{HashMap, HashSet};

use super::book::{Book, Line, NoCall};
use super::clock::{self, LogClock};
use super::index::CallIndex;
use crate::calls::{Call, Class, Finding};
use crate::explain::clues::Stamp;
use crate::explain::{LogLine, Rank};
use crate::time::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// How long after the end of its call a line may come, nanoseconds: after further tries, or when a batch is done.
const LATE: i64 = 60 * SECOND;

/// How far a line may be before the start of its call, nanoseconds, where the offset of its clock is known, beside what is not exact in it.
const EARLY: i64 = SECOND / 10;

/// The same where few lines show the offset: one of them may itself have come late.
const EARLY_BY_FEW: i64 = SECOND;

/// Lines that are few.
const FEW: usize = 3;

/// The same where the offset is not known.
const UNSURE: i64 = 60 * SECOND;

/// How long no time may stand in a log before a line without one, nanoseconds.
const INHERITED: i64 = 600 * SECOND;

/// Calls of one kind that are weighed for one line.
const NEAREST: usize = 32;

/// Calls that are weighed for one line.
const CANDIDATES: usize = 256;

/// Most pairs of one line from which the offset of a clock is estimated, and most of all lines, as long as each has a few.
const PAIRS: [usize; 2] = [64, 1 << 20];

/// Pairs of one line from which it is estimated in any case.
const FEWEST_PAIRS: usize = 8;

/// From what weight on a line names its call and not only what it is like.
const NAMED: u32 = 10;

/// Times that are nearer to each other than this do not decide between calls, nanoseconds.
const CLOSE: i64 = SECOND / 20;

/// A line that names other addresses may still be about the only call that ended so at its time, within this, nanoseconds.
const SAME_TIME: i64 = 2 * SECOND;

/// The call of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// The place of the call in the index.
    pub call: usize,
    /// What of the line agrees with it, for people.
    pub why: Vec<String>,
    /// How far the line is behind the end of the call, nanoseconds, by the capture's clock.
    pub lag: Option<i64>,
    /// Other calls that the line may as well be about.
    pub others: usize,
}

/// Lines and their calls.
#[derive(Debug, Default)]
pub struct Told {
    /// Of each line of the book: its call, or why it has none.
    pub calls: Vec<Result<Match, NoCall>>,
    /// The clock of each log.
    pub clocks: Vec<Option<LogClock>>,
}

impl Told {
    /// The lines of each call that has any: places in the book, in their order.
    #[must_use]
    pub fn lines_of_calls(&self) -> HashMap<usize, Vec<usize>> {
        let mut all: HashMap<usize, Vec<usize>> = HashMap::new();
        for (line, told) in self.calls.iter().enumerate() {
            if let Ok(told) = told {
                all.entry(told.call).or_default().push(line);
            }
        }
        all
    }

    /// The time of a line by the capture's clock, as far as that is known.
    #[must_use]
    pub fn time_of(&self, line: &Line, near: Timestamp) -> Option<Timestamp> {
        let stamp = line.entry.stamp?;
        let clock = self.clocks.get(line.source).copied().flatten();
        if clock.is_none() && !stamp.has_zone() {
            return None;
        }
        let offset = clock.map_or(0, |clock| clock.offset);
        let of_log = stamp.near(Timestamp(near.0.saturating_add(offset)));
        Some(Timestamp(of_log.0.saturating_sub(offset)))
    }
}

/// Whether a line has a time of its own.
fn is_timed(line: &Line) -> bool {
    line.entry.stamp.is_some() && !line.entry.is_inherited
}

/// When an application may have logged a call.
fn logged_at(call: &Call) -> Timestamp {
    let gave_up =
        call.outcome.class == Some(Class::Unanswered) || call.findings.contains(Finding::LateAnswer);
    match call.timeout {
        Some(timeout) if gave_up => Timestamp(call.start.0.saturating_add_unsigned(timeout)),
        None if call.outcome.class == Some(Class::Unanswered) => call.start,
        _ => call.end,
    }
}

/// How a line's time is compared with a call's.
#[derive(Clone, Copy)]
struct Times {
    stamp: Stamp,
    clock: Option<LogClock>,
    is_inherited: bool,
}

impl Times {
    fn of(line: &Line, clock: Option<LogClock>) -> Option<Self> {
        Some(Self { stamp: line.entry.stamp?, clock, is_inherited: line.entry.is_inherited })
    }

    /// How far the line is behind the call.
    fn lag(&self, call: &Call) -> i64 {
        let at = logged_at(call);
        match self.clock {
            Some(LogClock { offset, .. }) => {
                let of_log = self.stamp.near(Timestamp(at.0.saturating_add(offset)));
                self.rounded(of_log.0.saturating_sub(offset).saturating_sub(at.0))
            }
            None if self.stamp.has_zone() => self.rounded(self.stamp.near(at).0.saturating_sub(at.0)),
            None => self.stamp.distance(at),
        }
    }

    /// Digits that are left out make a time earlier than it was, and show the offset of the clock only about as exactly.
    fn rounded(&self, lag: i64) -> i64 {
        let step = self.stamp.step();
        let slack = self.clock.map_or(0, |clock| clock.inexact.min(step));
        if (lag < 0 && lag > -step) || (lag >= -step - slack && lag <= slack) { 0 } else { lag }
    }

    /// Whether a time that is so far behind a call may be that of a line about it.
    fn allows(&self, call: &Call, lag: i64) -> bool {
        let early = match self.clock {
            _ if self.is_inherited => INHERITED,
            Some(clock) => early(&clock) + self.stamp.step(),
            // Without a zone, the lag is what no zone explains.
            None => UNSURE,
        };
        let lasted = logged_at(call).0.saturating_sub(call.start.0);
        lag >= -early - lasted && lag <= LATE
    }
}

/// How far a line may be before the start of its call where the offset of its clock is known.
fn early(clock: &LogClock) -> i64 {
    let few = if clock.matches < FEW { EARLY_BY_FEW } else { EARLY };
    few + clock.spread + clock.inexact
}

/// A line and a call that may belong together.
struct Pair {
    rank: Rank,
    lag: Option<i64>,
    line: usize,
    call: usize,
    why: Vec<String>,
}

/// Joins lines and calls. `known`: of each log what is known of its clock already, where its lines here do not show it.
#[must_use]
pub fn assign(book: &Book, index: &CallIndex, known: &[Option<LogClock>]) -> Told {
    let copies = book.copies();
    let clock =
        |(source, known): (usize, &Option<LogClock>)| clock_of(book, index, source, &copies).or(*known);
    let clocks: Vec<Option<LogClock>> = known.iter().enumerate().map(clock).collect();
    let mut pairs = Vec::new();
    let mut reasons = Vec::with_capacity(book.lines.len());
    let mut choices: Vec<usize> = vec![0; book.lines.len()];
    for (number, line) in book.lines.iter().enumerate() {
        if copies.contains_key(&number) {
            reasons.push(NoCall::Unknown);
            continue;
        }
        let clock = clocks.get(line.source).copied().flatten();
        let (own, reason) = candidates(line, number, clock, index);
        choices[number] = own.len();
        reasons.push(reason);
        pairs.extend(own);
    }
    pairs.sort_by_key(|pair| {
        let distance = pair.lag.map_or(0, i64::unsigned_abs);
        let has_time = book.lines.get(pair.line).is_some_and(is_timed);
        // An application tells rather the try that decided.
        let is_retried = !has_time && index.is_retried(pair.call);
        (std::cmp::Reverse(pair.rank.without_time()), is_retried, distance, pair.line, pair.call)
    });
    let mut told = Told { calls: reasons.into_iter().map(Err).collect(), clocks };
    let mut taken: HashSet<(usize, u64, usize)> = HashSet::new();
    for pair in &pairs {
        let (Some(line), Some(Err(_))) = (book.lines.get(pair.line), told.calls.get(pair.line)) else {
            continue;
        };
        let is_free = taken.insert((line.source, line.shape, pair.call));
        if is_free || pair.rank.weight() >= NAMED {
            told.calls[pair.line] =
                Ok(Match { call: pair.call, why: pair.why.clone(), lag: pair.lag, others: 0 });
        }
    }
    put_in_order(&pairs, book, &mut told);
    count_others(&pairs, book, &taken, &mut told);
    for (number, told) in told.calls.iter_mut().enumerate() {
        if let (Err(reason), true) = (told, choices.get(number).is_some_and(|choices| *choices > 0)) {
            *reason = NoCall::MoreLines;
        }
    }
    for (copy, line) in copies {
        if let Some(of_line) = told.calls.get(line).cloned() {
            told.calls[copy] = of_line;
        }
    }
    told
}

/// Lines that one place prints come in the order in which their calls ended. Where nothing but time decides, lines and calls that
/// were joined crosswise are exchanged.
fn put_in_order(pairs: &[Pair], book: &Book, told: &mut Told) {
    // Lines that are about the same calls, with what is known of each pair of them.
    let mut alike: HashMap<(usize, u64, Rank), Vec<usize>> = HashMap::new();
    let mut known: HashMap<(usize, usize), &Pair> = HashMap::new();
    for pair in pairs {
        let (Some(line), Some(Ok(own))) = (book.lines.get(pair.line), told.calls.get(pair.line)) else {
            continue;
        };
        known.insert((pair.line, pair.call), pair);
        if own.call == pair.call && pair.rank.weight() < NAMED {
            alike.entry((line.source, line.shape, pair.rank.without_time())).or_default().push(pair.line);
        }
    }
    for mut lines in alike.into_values() {
        // Lines stand in the book as they stand in their log.
        lines.sort_unstable();
        let mut calls: Vec<usize> = lines
            .iter()
            .filter_map(|line| told.calls.get(*line)?.as_ref().ok().map(|own| own.call))
            .collect();
        // They are numbered by their ends.
        calls.sort_unstable();
        let exchanged: Option<Vec<&Pair>> =
            lines.iter().zip(&calls).map(|(line, call)| known.get(&(*line, *call)).copied()).collect();
        let rank = |pair: &Pair| pair.rank.without_time();
        // All of them or none: each must allow its new call as well as its old one.
        let Some(exchanged) = exchanged.filter(|pairs| {
            pairs.first().is_none_or(|first| pairs.iter().all(|pair| rank(pair) == rank(first)))
        }) else {
            continue;
        };
        for pair in exchanged {
            if let Some(own) = told.calls.get_mut(pair.line) {
                *own = Ok(Match { call: pair.call, why: pair.why.clone(), lag: pair.lag, others: 0 });
            }
        }
    }
}

/// Counts for each line the calls that it may as well be about: of the same rank, as near in time as far as its clock is known, and of no
/// other such line, unless all lines may as well be about the calls of their neighbours.
fn count_others(pairs: &[Pair], book: &Book, taken: &HashSet<(usize, u64, usize)>, told: &mut Told) {
    let mut best: HashMap<usize, Rank> = HashMap::new();
    for pair in pairs {
        if let Some(Ok(Match { call, .. })) = told.calls.get(pair.line)
            && *call == pair.call
        {
            best.insert(pair.line, pair.rank.without_time());
        }
    }
    for pair in pairs {
        let Some(line) = book.lines.get(pair.line) else { continue };
        let Some(Ok(own)) = told.calls.get_mut(pair.line) else { continue };
        let as_good = best.get(&pair.line) == Some(&pair.rank.without_time());
        let clock = told.clocks.get(line.source).copied().flatten().filter(|_| is_timed(line));
        let as_near = match (clock, pair.lag, own.lag) {
            (Some(clock), Some(lag), Some(own)) => {
                lag.abs() <= own.abs().saturating_add(CLOSE).saturating_add(2 * clock.inexact)
            }
            _ => true,
        };
        let is_exact = clock.is_some_and(|clock| clock.inexact <= CLOSE);
        let is_free = !is_exact || !taken.contains(&(line.source, line.shape, pair.call));
        if pair.call != own.call && as_good && as_near && is_free {
            own.others += 1;
        }
    }
}

/// The calls that a line may be about, and why it is about none if these are of no use.
fn candidates(line: &Line, number: usize, clock: Option<LogClock>, index: &CallIndex) -> (Vec<Pair>, NoCall) {
    let times = Times::of(line, clock);
    let why_none = |default: NoCall| match times.and_then(|times| outside(&times, index)) {
        _ if line.is_never_sent => NoCall::NeverSent,
        Some(reason) => reason,
        None if line.is_refused && default == NoCall::Unknown => NoCall::Refused,
        None => default,
    };
    if line.kinds.is_empty() {
        return (Vec::new(), why_none(NoCall::Unknown));
    }
    let read = LogLine::read(&line.entry.text);
    let named = index.named_by(&read);
    let mut reason = NoCall::Unknown;
    let mut is_of_other = false;
    let mut rest = &line.kinds[..];
    while let Some((_, first)) = rest.first() {
        let same = rest.iter().take_while(|(_, found)| found.key() == first.key()).count();
        let (group, others) = rest.split_at_checked(same).unwrap_or((rest, &[]));
        rest = others;
        let mut pairs = Vec::new();
        for (kind, found) in group {
            let of_kind = index.of_kind(*kind);
            let near = nearest(of_kind, times.as_ref(), index);
            let own = of_kind.iter().filter(|call| named.contains(call));
            let all: HashSet<usize> = near.iter().chain(own).copied().collect();
            let mut all: Vec<usize> = all.into_iter().collect();
            all.sort_unstable();
            for place in all {
                let Some(call) = index.call(place).filter(|_| pairs.len() < CANDIDATES) else { continue };
                let lag = times.as_ref().map(|times| times.lag(call));
                if let (Some(times), Some(lag)) = (&times, lag)
                    && !times.allows(call, lag)
                {
                    reason = reason.min(NoCall::OtherTime);
                    continue;
                }
                if read.clues().is_of_other_trace(call) {
                    is_of_other = true;
                    continue;
                }
                let mut fit = read.weigh(found, call, lag);
                if line.entry.is_inherited {
                    fit.why.retain(|why| !why.starts_with("time "));
                }
                pairs.push(Pair { rank: fit.rank, lag, line: number, call: place, why: fit.why });
            }
        }
        if pairs.iter().any(|pair| pair.rank.is_consistent()) {
            pairs.retain(|pair| pair.rank.is_consistent());
            return (pairs, NoCall::Unknown);
        }
        // Other addresses than the call's may be of something else in the line, or the call may be another one.
        let is_near = |pair: &Pair| pair.lag.is_some_and(|lag| lag.abs() < SAME_TIME);
        if clock.is_some() && is_timed(line) && pairs.iter().filter(|pair| is_near(pair)).count() == 1 {
            pairs.retain(is_near);
            return (pairs, NoCall::Unknown);
        }
        if !pairs.is_empty() {
            reason = NoCall::OtherHost;
        }
    }
    // At its time a call did end so, in another trace.
    (Vec::new(), why_none(if is_of_other && reason == NoCall::OtherTime { NoCall::Unknown } else { reason }))
}

/// Whether a line lies outside of the capture's time.
fn outside(times: &Times, index: &CallIndex) -> Option<NoCall> {
    let (first, last) = index.span()?;
    if (times.clock.is_none() && !times.stamp.has_zone()) || times.is_inherited {
        return None;
    }
    let (offset, unsure) = times.clock.map_or((0, UNSURE), |clock| (clock.offset, early(&clock)));
    let middle = first.0 / 2 + last.0 / 2;
    let at = times.stamp.near(Timestamp(middle.saturating_add(offset))).0.saturating_sub(offset);
    if at < first.0.saturating_sub(unsure) {
        Some(NoCall::Before)
    } else if at > last.0.saturating_add(LATE.max(unsure)) {
        Some(NoCall::After)
    } else {
        None
    }
}

/// The calls of a kind that are nearest to a line in time, or the first ones.
fn nearest<'i>(of_kind: &'i [usize], times: Option<&Times>, index: &CallIndex) -> &'i [usize] {
    let first = || of_kind.get(..CANDIDATES.min(of_kind.len())).unwrap_or_default();
    if of_kind.len() <= NEAREST {
        return of_kind;
    }
    let Some(times) = times.filter(|times| times.clock.is_some() || times.stamp.has_zone()) else {
        return first();
    };
    // The further back a call is, the further the line is behind it.
    let lag = |place: &usize| index.call(*place).map_or(0, |call| times.lag(call));
    let at = of_kind.partition_point(|place| lag(place) > 0);
    let begin = at.saturating_sub(NEAREST / 2).min(of_kind.len() - NEAREST);
    of_kind.get(begin..begin + NEAREST).unwrap_or_default()
}

/// The clock of a log, from its lines and their calls.
fn clock_of(
    book: &Book,
    index: &CallIndex,
    source: usize,
    copies: &HashMap<usize, usize>,
) -> Option<LogClock> {
    let lines = || {
        let own = book.lines.iter().enumerate().filter(|(number, _)| !copies.contains_key(number));
        own.map(|(_, line)| line).filter(|line| line.source == source && !line.entry.is_inherited)
    };
    let zoned = lines().filter(|line| line.entry.stamp.is_some_and(|stamp| stamp.has_zone())).count();
    let all = lines().filter(|line| line.entry.stamp.is_some()).count();
    let has_zone = zoned * 2 > all;
    let of_zone = |line: &&Line| line.entry.stamp.is_some_and(|stamp| stamp.has_zone() == has_zone);
    let most = (PAIRS[1] / all.max(1)).clamp(FEWEST_PAIRS, PAIRS[0]);
    let behind: Vec<clock::Behind> =
        lines().filter(of_zone).filter_map(|line| behind(line, index, most)).collect();
    clock::estimate(&behind, has_zone)
}

/// How far a line is behind the calls that it may be about, or behind some of them, spread over the capture, if there are many.
fn behind(line: &Line, index: &CallIndex, most: usize) -> Option<clock::Behind> {
    let (stamp, (_, best)) = (line.entry.stamp?, line.kinds.first()?);
    let group = line.kinds.iter().take_while(|(_, found)| found.key() == best.key());
    let kinds: Vec<&[usize]> = group.map(|(kind, _)| index.of_kind(*kind)).collect();
    let all: usize = kinds.iter().map(|calls| calls.len()).sum();
    let mut calls: Vec<usize> =
        kinds.into_iter().flatten().copied().step_by(all.div_ceil(most).max(1)).collect();
    if calls.len() > 1 {
        let named = index.named_by(&LogLine::read(&line.entry.text));
        let own: Vec<usize> = named.into_iter().filter(|call| calls.contains(call)).collect();
        if let [_] = own[..] {
            calls = own;
        }
    }
    let difference = |place: usize| {
        let at = logged_at(index.call(place)?);
        Some((place, stamp.near(at).0.saturating_sub(at.0)))
    };
    let calls = calls.into_iter().filter_map(difference).collect();
    Some(clock::Behind { shape: line.shape, step: stamp.step(), calls })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::record::{Carrier, Uid};
    use crate::calls::sample;
    use crate::logs::{Scanner, Scene};

    /// 2026-11-25T22:33:00Z.
    const START: i64 = 1_795_645_980 * SECOND;

    /// A call that ended so many milliseconds after the start.
    fn call(milliseconds: i64, message: &str) -> Call {
        let mut call = sample::failed(Class::Rpc, Carrier::ThriftException, Some(6), message);
        call.uid = Uid { packet: milliseconds as u64, ordinal: 0 };
        call.end = Timestamp(START + milliseconds * 1_000_000);
        call.start = Timestamp(call.end.0 - 2_000_000);
        call
    }

    fn gone(milliseconds: i64) -> Call {
        call(milliseconds, "biz error: gone away")
    }

    /// For each line, when its call ended, milliseconds after the start, or why it has none.
    fn told(log: &str, calls: Vec<Call>) -> (Vec<Result<u64, NoCall>>, Option<LogClock>) {
        let mut scene = Scene::default();
        for call in &calls {
            scene.see(call);
        }
        let index = CallIndex::new(calls.into_iter().map(Arc::new), &scene);
        let mut scanner = Scanner::new(index.prefilter());
        let mut book = Book::default();
        scanner.push(log.as_bytes(), &mut |entry| _ = book.add(0, entry, &index));
        scanner.finish(&mut |entry| _ = book.add(0, entry, &index));
        let told = assign(&book, &index, &[None]);
        let uid = |found: Match| index.call(found.call).map_or(0, |call| call.uid.packet);
        (told.calls.into_iter().map(|told| told.map(uid)).collect(), told.clocks[0])
    }

    /// A line at so many milliseconds after the start, in a zone eight hours ahead.
    fn line(milliseconds: i64, text: &str) -> String {
        let at = START + (8 * 3_600_000 + milliseconds) * 1_000_000;
        let at = Timestamp(at).to_string();
        format!("{} {} ERROR order: {text}\n", &at[..10], &at[11..23])
    }

    const GONE: &str = "remote or network error[remote]: biz error: gone away";

    #[test]
    fn lines_of_one_text_are_joined_in_the_order_of_time() {
        let calls: Vec<Call> =
            (0..20).map(|n| gone(1_000 + n * 3)).chain([call(10, "biz error: torn")]).collect();
        let torn = line(11, "remote or network error[remote]: biz error: torn");
        let log: String = (0..20).map(|n| line(1_004 + n * 3, GONE)).collect();
        let (told, clock) = told(&format!("{torn}{log}"), calls);
        let expected: Vec<_> = [10].into_iter().chain((0..20).map(|n| 1_000 + n * 3)).map(Ok).collect();
        assert_eq!(told, expected);
        assert_eq!(clock.map(|clock| clock.parts().0), Some(8 * 3_600));
    }

    #[test]
    fn a_call_that_no_line_tells_takes_no_line_of_another() {
        let calls = [1_000, 5_000, 9_000].map(gone);
        let log = line(1_001, GONE) + &line(9_001, GONE);
        let (told, _) = told(&log, calls.to_vec());
        assert_eq!(told, [Ok(1_000), Ok(9_000)]);
    }

    #[test]
    fn what_time_rules_out_is_never_a_match() {
        let calls = || vec![gone(1_000), call(500_000, "biz error: torn"), call(700_000, "biz error: worn")];
        let torn = line(500_001, "remote or network error[remote]: biz error: torn");
        let worn = line(700_001, "remote or network error[remote]: biz error: worn");
        let with = |text: String| told(&format!("{text}{torn}{worn}"), calls()).0[0];
        assert_eq!(with(line(1_500, GONE)), Ok(1_000));
        assert_eq!(with(line(-500_000, GONE)), Err(NoCall::Before));
        assert_eq!(with(line(300_000, GONE)), Err(NoCall::OtherTime));
        assert_eq!(with(line(9_000_000, GONE)), Err(NoCall::After));
    }

    #[test]
    fn a_clock_that_nothing_shows_is_taken_to_be_right_but_for_its_zone() {
        let alone = |milliseconds: i64| told(&line(milliseconds, GONE), vec![gone(1_000)]).0[0];
        assert_eq!(alone(1_004), Ok(1_000));
        assert_eq!(alone(30_000), Ok(1_000));
        assert_eq!(alone(700_000), Err(NoCall::OtherTime));
        // Many lines and few calls, at no time that has to do with each other.
        let storm: String = (0..40).map(|n| line(200_000 + n * 10_000, GONE)).collect();
        let (told, clock) = told(&storm, vec![gone(1_000), gone(2_000)]);
        assert!(told.iter().all(Result::is_err), "{told:?} {clock:?}");
    }

    /// A line's call and how many others it may as well be about.
    fn with_others(log: &str, calls: &[Call]) -> Vec<(u64, usize)> {
        let index = CallIndex::new(calls.iter().cloned().map(Arc::new), &Scene::default());
        let mut scanner = Scanner::new(index.prefilter());
        let mut book = Book::default();
        scanner.push(log.as_bytes(), &mut |entry| _ = book.add(0, entry, &index));
        scanner.finish(&mut |entry| _ = book.add(0, entry, &index));
        let found = assign(&book, &index, &[None]).calls.into_iter().flatten();
        found.map(|own| (index.call(own.call).map_or(0, |call| call.uid.packet), own.others)).collect()
    }

    #[test]
    fn nothing_is_certain_by_a_clock_that_is_not_known() {
        // 30 s behind the first, 10 s behind the second.
        let calls = [gone(1_000), gone(21_000)];
        assert_eq!(with_others(&line(31_000, GONE), &calls), [(21_000, 1)]);
        // One beat more or less.
        let beat: Vec<Call> = (1..10).map(|n| gone(n * 1_000)).collect();
        let log: String = (1..9).map(|n| line(n * 1_000 + 7_300, GONE)).collect();
        let told = with_others(&log, &beat);
        assert_eq!(told.len(), 8);
        assert!(told.iter().all(|(_, others)| *others > 0), "{told:?}");
    }

    #[test]
    fn an_offset_of_seconds_gives_each_line_its_own_call() {
        let at = |n: i64| 1_000 * n + n * n * 7_919 % 997;
        let calls: Vec<Call> = (0..30).map(|n| gone(at(n))).collect();
        for offset in [7_300, -2_900, 40_000] {
            let log: String = (0..25).map(|n| line(at(n) + offset, GONE)).collect();
            let expected: Vec<_> = (0..25).map(|n| (at(n) as u64, 0)).collect();
            assert_eq!(with_others(&log, &calls), expected, "{offset}");
        }
    }

    #[test]
    fn more_lines_than_calls_are_said_to_be_so_and_other_places_may_tell_the_same_call() {
        let log = line(1_001, GONE) + &line(3_000, GONE) + &line(1_003, &format!("giving up: {GONE}"));
        let (told, _) = told(&log, vec![gone(1_000)]);
        assert_eq!(told, [Ok(1_000), Err(NoCall::MoreLines), Ok(1_000)]);
    }

    #[test]
    fn a_line_that_stands_twice_with_its_time_is_about_one_call() {
        let at = |n: i64| 1_000 + n * 3_000 + n * n * 7_919 % 997;
        let calls: Vec<Call> = (0..8).map(|n| gone(at(n))).collect();
        let fine = |n: i64| {
            let line = line(at(n), GONE);
            format!("{}123{}", &line[..23], &line[23..])
        };
        let own = |n: i64| Ok(at(n) as u64);
        // One of them stands twice, and no two events have one microsecond.
        let log: String = [0, 2, 2, 5].map(fine).concat();
        assert_eq!(told(&log, calls.clone()).0, [0, 2, 2, 5].map(own));
        // Every one stands twice, with milliseconds; side by side, or the whole log again.
        let coarse = |n: i64| line(at(n) + 1, GONE);
        let log: String = [0, 0, 2, 2, 5, 5].map(coarse).concat();
        assert_eq!(told(&log, calls.clone()).0, [0, 0, 2, 2, 5, 5].map(own));
        let log: String = [0, 2, 5, 0, 2, 5].map(coarse).concat();
        assert_eq!(told(&log, calls.clone()).0, [0, 2, 5, 0, 2, 5].map(own));
    }

    #[test]
    fn equal_lines_of_calls_that_failed_in_one_second_are_no_copies() {
        // Calls 300 ms apart, times in whole seconds.
        let calls: Vec<Call> = (0..12).map(|n| gone(1_000 + n * 300)).collect();
        let in_seconds = |n: i64| {
            let line = line(1_000 + n * 300, GONE);
            [&line[..19], &line[23..]].concat()
        };
        let log: String = (0..12).map(in_seconds).collect();
        let expected: Vec<_> = (0..12).map(|n| Ok(1_000 + n * 300)).collect();
        assert_eq!(told(&log, calls).0, expected);
        // Other times are other lines.
        let calls = [gone(1_000), gone(1_004)];
        let log = line(1_001, GONE) + &line(1_005, GONE);
        assert_eq!(told(&log, calls.to_vec()).0, [Ok(1_000), Ok(1_004)]);
    }

    #[test]
    fn ids_and_addresses_are_surer_than_times() {
        let mut calls: Vec<Call> = [1_000, 2_000, 3_000].map(gone).to_vec();
        for (number, call) in calls.iter_mut().enumerate() {
            call.client.port = 40_000 + number as u16;
            call.trace_id = Some(format!("0af7651916cd43dd8448eb211c80319{number}").as_str().into());
        }
        let address = line(1_001, &format!("remoteAddr={}, {GONE}", calls[2].client));
        let trace = line(1_001, &format!("trace=0af7651916cd43dd8448eb211c803191 {GONE}"));
        let stranger = line(1_001, &format!("trace=ffff651916cd43dd8448eb211c803191 {GONE}"));
        assert_eq!(told(&address, calls.clone()).0, [Ok(3_000)]);
        assert_eq!(told(&trace, calls.clone()).0, [Ok(2_000)]);
        assert_eq!(told(&stranger, calls.clone()).0, [Err(NoCall::Unknown)]);
        let other = format!("remoteAddr=203.0.113.9:7, {GONE}\n");
        assert_eq!(told(&other, calls).0, [Err(NoCall::OtherHost)]);
    }

    #[test]
    fn lines_without_times_are_joined_in_their_order() {
        let log = format!("first: {GONE}\nagain: {GONE}\nagain: {GONE}\n");
        assert_eq!(told(&log, vec![gone(1), gone(2)]).0, [Ok(1), Ok(1), Ok(2)]);
    }

    #[test]
    fn an_error_that_never_reaches_the_wire_is_said_to_be_so() {
        let refused = line(
            5,
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.9:80: connect: connection refused\"",
        );
        assert_eq!(told(&refused, vec![gone(1)]).0, [Err(NoCall::NeverSent)]);
    }
}
