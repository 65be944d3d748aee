//! Logs that grow beside a live interface or a growing capture: lines and calls meet when the later of both comes.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::runner::{Consumer, Run};
use super::super::{Failure, Status, complain};
use super::window;
use crate::calls::Call;
use crate::cli::{LogsArgs, View};
use crate::explain::may_be_logged;
use crate::filter::Filter;
use crate::logs::report::{Backgrounds, Choice, Log, Silence, Silent, Summary, report};
use crate::logs::{self, Book, CallIndex, Counts, Entry, Follower, LogClock, Scene};
use crate::pipeline::Totals;
use crate::sink::logs::LogSink;
use crate::source::bytes::ByteFile;
use crate::time::Timestamp;

/// How long a line waits for its call, and a call for its line.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long lines and calls that were told stay, so that others are not taken for theirs.
const MEMORY: Duration = Duration::from_secs(60);

/// Most lines, and most calls, that are kept at a time.
const KEPT: usize = 2_000;

/// Most kinds of calls that no line mentions.
const SILENT: usize = 1_000;

/// Reads interfaces or growing captures, and logs beside them, until they are stopped.
pub(super) fn run(
    args: &LogsArgs,
    view: &View,
    run: Run,
    filter: Option<Filter>,
    sink: &mut dyn LogSink,
) -> Result<Status, Failure> {
    if view.input.logs.iter().any(|path| path.as_os_str() == "-") {
        let text = "a log that is followed needs a name: - can't be read beside live packets";
        return Err(Failure::Usage(text.to_owned()));
    }
    let index = CallIndex::new([], &Scene::default());
    let mut followers: Vec<Follower> = view.input.logs.iter().map(|path| follower(path, &index)).collect();
    // What a log holds already has no call in what is captured from now on.
    if !view.input.interfaces.is_empty() {
        followers.iter_mut().for_each(Follower::skip);
    }
    let mut run = run.noting(filter.clone(), &view.fail_on);
    let mut meeting = Meeting::new(args, filter, sink, followers);
    let mut status = run.drive(&mut meeting)?;
    for follower in &meeting.followers {
        if let Some(trouble) = follower.trouble() {
            status.input_failed = true;
            complain(&format!("{}: {trouble}", ByteFile::name(&follower.path())));
        }
    }
    Ok(status)
}

fn follower(path: &Path, index: &CallIndex) -> Follower {
    // Whether a line is about a call, calls that come later may show.
    Follower::new(path, index.prefilter()).taking_levels()
}

/// A line that came.
struct Kept {
    source: usize,
    entry: Entry,
    at: Instant,
    is_told: bool,
}

/// A call that came.
struct KeptCall {
    call: Arc<Call>,
    at: Instant,
    is_told: bool,
}

/// Where lines and calls meet.
struct Meeting<'a> {
    args: &'a LogsArgs,
    filter: Option<Filter>,
    sink: &'a mut dyn LogSink,
    followers: Vec<Follower>,
    names: Vec<Arc<str>>,
    clocks: Vec<Option<LogClock>>,
    /// Lines of each log that are errors of RPCs.
    errors: Vec<u64>,
    /// Other error lines of each log.
    others: Vec<u64>,
    entries: VecDeque<Kept>,
    calls: VecDeque<KeptCall>,
    scene: Scene,
    /// Something came since lines and calls were last joined.
    has_news: bool,
    summary: Summary,
    silent: HashMap<String, Silent>,
}

impl<'a> Meeting<'a> {
    fn new(
        args: &'a LogsArgs,
        filter: Option<Filter>,
        sink: &'a mut dyn LogSink,
        followers: Vec<Follower>,
    ) -> Self {
        Self {
            args,
            filter,
            sink,
            names: followers.iter().map(|follower| ByteFile::name(&follower.path()).into()).collect(),
            clocks: vec![None; followers.len()],
            errors: vec![0; followers.len()],
            others: vec![0; followers.len()],
            followers,
            entries: VecDeque::new(),
            calls: VecDeque::new(),
            scene: Scene::default(),
            has_news: false,
            summary: Summary::default(),
            silent: HashMap::new(),
        }
    }

    fn poll(&mut self, is_last: bool) {
        let Self { followers, entries, has_news, .. } = self;
        for (source, follower) in followers.iter_mut().enumerate() {
            let mut keep = |entry: Entry| {
                *has_news = true;
                entries.push_back(Kept { source, entry, at: Instant::now(), is_told: false });
            };
            if is_last { follower.finish(&mut keep) } else { follower.read(&mut keep) }
        }
    }

    /// Joins what is there. What waited too long is told as it is; at the end, all is.
    fn meet(&mut self, is_last: bool) -> io::Result<()> {
        let is_due = |at: Instant| is_last || at.elapsed() >= PATIENCE;
        let waits = |kept: &Kept| !kept.is_told && is_due(kept.at);
        if !(self.has_news || self.entries.iter().any(waits)) {
            self.forget(is_last);
            return Ok(());
        }
        self.has_news = false;
        let index = CallIndex::new(self.calls.iter().map(|kept| Arc::clone(&kept.call)), &self.scene);
        for follower in &mut self.followers {
            follower.set_prefilter(index.prefilter());
        }
        // The book has a line for each entry that is an error of an RPC.
        let mut book = Book::default();
        let mut places = Vec::new();
        for (place, kept) in self.entries.iter_mut().enumerate() {
            if book.add(kept.source, kept.entry.clone(), &index) {
                places.push(place);
            } else if !kept.is_told && is_due(kept.at) {
                kept.is_told = true;
                self.others[kept.source] += u64::from(kept.entry.has_level);
            }
        }
        let mut told = logs::assign(&book, &index, &self.clocks);
        self.clocks.clone_from(&told.clocks);
        // Tell what is new of it.
        let mut new = Book::default();
        let mut calls = Vec::new();
        for ((line, call), place) in book.lines.into_iter().zip(told.calls.drain(..)).zip(places) {
            let Some(kept) = self.entries.get_mut(place) else { continue };
            if kept.is_told || (call.is_err() && !is_due(kept.at)) {
                continue;
            }
            kept.is_told = true;
            self.errors[line.source] += 1;
            if let Ok(found) = &call
                && let Some(uid) = index.call(found.call).map(|call| call.uid)
                && let Some(kept) = self.calls.iter_mut().find(|kept| kept.call.uid == uid)
            {
                self.summary.mentioned += u64::from(!kept.is_told && kept.call.failed());
                kept.is_told = true;
            }
            new.lines.push(line);
            calls.push(call);
        }
        told.calls = calls;
        self.tell(&new, &index, &told)?;
        self.forget(is_last);
        Ok(())
    }

    fn tell(&mut self, book: &Book, index: &CallIndex, told: &logs::Told) -> io::Result<()> {
        if book.lines.is_empty() {
            return Ok(());
        }
        let window = window(self.args, index.span());
        let choice = Choice {
            call: &|call: &Call| {
                self.filter.as_ref().is_none_or(|filter| filter.matches(call))
                    && window.holds(call.start, call.end)
            },
            line: &|time: Option<Timestamp>| {
                self.filter.is_none()
                    && (window.is_all() || time.is_some_and(|time| window.holds(time, time)))
            },
        };
        let logs = self.names.iter().map(|name| Log {
            name: Arc::clone(name),
            counts: Counts::default(),
            clock: None,
            errors: 0,
        });
        let report = report(book, index, told, &Backgrounds::default(), logs.collect(), &choice);
        self.summary.told += report.summary.told;
        for (reason, count) in report.summary.homeless {
            *self.summary.homeless.entry(reason).or_default() += count;
        }
        report.stories.iter().try_for_each(|story| self.sink.story(story))?;
        report.homeless.iter().try_for_each(|lines| self.sink.homeless(lines))
    }

    /// Drops what is too old, and counts what no line has mentioned.
    fn forget(&mut self, is_last: bool) {
        while let Some(oldest) = self.entries.front() {
            let is_old = oldest.is_told && oldest.at.elapsed() >= MEMORY;
            if !is_old && self.entries.len() <= KEPT {
                break;
            }
            self.summary.left_out += u64::from(!oldest.is_told);
            self.entries.pop_front();
        }
        while let Some(oldest) = self.calls.front() {
            if !is_last && oldest.at.elapsed() < MEMORY && self.calls.len() <= KEPT {
                break;
            }
            let is_early = !is_last && oldest.at.elapsed() < PATIENCE;
            let silence = if is_early { Silence::LeftOut } else { Silence::Untold };
            if let Some(KeptCall { call, is_told: false, .. }) = self.calls.pop_front() {
                self.add_silent(call, silence);
            }
        }
    }

    fn add_silent(&mut self, call: Arc<Call>, silence: Silence) {
        let is_chosen = self.filter.as_ref().is_none_or(|filter| filter.matches(&call));
        if !call.failed() || !is_chosen {
            return;
        }
        *self.summary.silent.entry(silence).or_default() += 1;
        let outcome = &call.outcome;
        let key = format!(
            "{:?}",
            (silence, &call.service, &call.method, outcome.class, outcome.carrier, outcome.code)
        );
        if self.silent.len() < SILENT || self.silent.contains_key(&key) {
            let silent = self.silent.entry(key).or_insert(Silent { first: call, count: 0, silence });
            silent.count += 1;
        }
    }
}

impl Consumer for Meeting<'_> {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.scene.see(call);
        if !may_be_logged(call) {
            return Ok(());
        }
        self.summary.failed += u64::from(call.failed());
        self.has_news = true;
        self.calls.push_back(KeptCall { call: Arc::new(call.take()), at: Instant::now(), is_told: false });
        Ok(())
    }

    fn tick(&mut self) -> io::Result<()> {
        self.poll(false);
        self.meet(false)?;
        self.sink.tick()
    }

    fn totals(&mut self, _totals: &Totals) -> io::Result<()> {
        self.poll(true);
        self.meet(true)
    }

    fn finish(&mut self) -> io::Result<()> {
        let mut silent: Vec<&Silent> = self.silent.values().collect();
        silent.sort_by_key(|silent| (std::cmp::Reverse(silent.count), silent.first.uid));
        silent.iter().try_for_each(|silent| self.sink.silent(silent))?;
        let numbers = self.errors.iter().zip(&self.others).zip(&self.clocks);
        let logs = self.followers.iter().zip(&self.names).zip(numbers);
        self.summary.logs = logs
            .map(|((follower, name), ((errors, others), clock))| Log {
                name: Arc::clone(name),
                counts: Counts { other_errors: *others, ..follower.counts() },
                clock: *clock,
                errors: *errors,
            })
            .collect();
        self.sink.summary(&self.summary)?;
        self.sink.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;
    use crate::calls::record::{Carrier, Class, Uid};
    use crate::calls::sample;
    use crate::logs::report::{Homeless, Story};

    /// What was told, in the order in which it was.
    #[derive(Default)]
    struct Said(Vec<String>);

    impl LogSink for Said {
        fn story(&mut self, story: &Story) -> io::Result<()> {
            for told in &story.calls {
                let lines: Vec<String> = told.lines.iter().map(|line| line.line.to_string()).collect();
                self.0.push(format!("call {} by {}", told.call.uid, lines.join(" ")));
            }
            Ok(())
        }

        fn homeless(&mut self, lines: &Homeless) -> io::Result<()> {
            self.0.extend(lines.lines.iter().map(|line| format!("line {}", line.line)));
            Ok(())
        }

        fn silent(&mut self, calls: &Silent) -> io::Result<()> {
            self.0.push(format!("silent {}", calls.first.uid));
            Ok(())
        }

        fn summary(&mut self, summary: &Summary) -> io::Result<()> {
            self.0.push(format!("{} of {}", summary.mentioned, summary.failed));
            Ok(())
        }

        fn tick(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn call(packet: u64, message: &str) -> Box<Call> {
        let mut call = Box::new(sample::failed(Class::Rpc, Carrier::ThriftException, Some(6), message));
        call.uid = Uid { packet, ordinal: 0 };
        call
    }

    fn meeting<'a>(args: &'a LogsArgs, sink: &'a mut Said, path: &std::path::Path) -> Meeting<'a> {
        let index = CallIndex::new([], &Scene::default());
        Meeting::new(args, None, sink, vec![follower(path, &index)])
    }

    #[test]
    fn a_line_and_its_call_meet_when_the_later_of_both_comes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let (args, mut said) = (LogsArgs::default(), Said::default());
        let mut meeting = meeting(&args, &mut said, &path);
        // There is no log yet.
        meeting.call(&mut call(1, "biz error: gone away")).unwrap();
        meeting.tick().unwrap();
        // The call was first.
        let mut log = File::create(&path).unwrap();
        writeln!(log, "ERROR order: remote or network error[remote]: biz error: gone away").unwrap();
        meeting.tick().unwrap();
        meeting.tick().unwrap();
        // The line is first, and only a level says that it may be an error of an RPC.
        writeln!(log, "ERROR order: the disk is on fire\nERROR order: no such file").unwrap();
        meeting.tick().unwrap();
        meeting.call(&mut call(2, "biz error: the disk is on fire")).unwrap();
        meeting.tick().unwrap();
        meeting.tick().unwrap();
        // The log is rotated.
        let other = folder.path().join("other");
        std::fs::write(&other, "x\nERROR order: remote or network error[remote]: biz error: torn\n").unwrap();
        std::fs::rename(&other, &path).unwrap();
        meeting.tick().unwrap();
        meeting.call(&mut call(3, "biz error: torn")).unwrap();
        meeting.call(&mut call(4, "biz error: told by nobody")).unwrap();
        meeting.tick().unwrap();
        meeting.tick().unwrap();
        meeting.totals(&Totals::default()).unwrap();
        assert_eq!(meeting.others, [1], "another error");
        meeting.finish().unwrap();
        assert_eq!(said.0, ["call 1 by 1", "call 2 by 2", "call 3 by 2", "silent 4", "3 of 4"]);
    }

    #[test]
    fn what_no_call_comes_for_is_told_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        std::fs::write(&path, "ERROR remote or network error[remote]: biz error: gone").unwrap();
        let (args, mut said) = (LogsArgs::default(), Said::default());
        let mut meeting = meeting(&args, &mut said, &path);
        meeting.tick().unwrap();
        assert!(meeting.entries.is_empty(), "the line is not whole");
        meeting.totals(&Totals::default()).unwrap();
        meeting.finish().unwrap();
        assert_eq!(said.0, ["line 1", "0 of 0"]);
    }

    #[test]
    fn of_calls_beyond_the_bound_nobody_says_that_no_line_mentions_them() {
        let folder = tempfile::tempdir().unwrap();
        let (args, mut said) = (LogsArgs::default(), Said::default());
        let mut meeting = meeting(&args, &mut said, &folder.path().join("app.log"));
        for packet in 0..KEPT as u64 + 7 {
            meeting.call(&mut call(packet, "biz error: gone away")).unwrap();
        }
        meeting.tick().unwrap();
        meeting.totals(&Totals::default()).unwrap();
        let silent = meeting.summary.silent.clone();
        assert_eq!((silent[&Silence::LeftOut], silent[&Silence::Untold]), (7, KEPT as u64));
    }
}
