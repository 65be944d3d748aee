//! Takes the entries in which an error may stand out of a log, as its bytes come. Everything else is only counted.

use std::ops::Range;
use std::sync::Arc;

use memchr::{memchr, memchr_iter, memrchr};

use super::head::{self, Kind};
use super::prefilter::{Prefilter, Seen, next_color, next_escape};
use crate::explain::clues::Stamp;

/// Most bytes of a line that are read; the rest of it is passed over.
pub const LINE_LIMIT: usize = 1 << 20;

/// Most bytes of an entry of several lines.
pub const ENTRY_LIMIT: usize = 64 << 10;

/// Most lines of an entry.
pub const ENTRY_LINES: usize = 256;

/// How far back the beginning of an entry, and the last time before a line without one, are looked for, bytes.
const BACK: usize = 64 << 10;

/// Lines of which an error's level stands further back are none of an error, bytes.
const LEVEL_WITHIN: usize = 256;

/// An entry in which an error may stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The number of its first line; the first line of a log is 1.
    pub line: u64,
    /// Its lines.
    pub lines: u32,
    /// Its text, without line ends at its end; undecodable bytes replaced.
    pub text: String,
    /// Its time.
    pub stamp: Option<Stamp>,
    /// The time is that of an entry before: this one has none.
    pub is_inherited: bool,
    /// More of it was left out at a bound.
    pub is_cut: bool,
    /// It has the level of an error.
    pub has_level: bool,
}

/// What a log held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Bytes.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// Lines with the level of an error that are no entry of [`Scanner`].
    pub other_errors: u64,
    /// Lines longer than [`LINE_LIMIT`].
    pub long: u64,
}

/// Looks through a log.
#[derive(Debug)]
pub struct Scanner {
    prefilter: Arc<Prefilter>,
    /// The end of the log as far as it was read, and as much before as an entry may need.
    buffer: Vec<u8>,
    /// How far it was looked through.
    done: usize,
    /// The end of the last entry: no other entry begins before it.
    taken: usize,
    /// Where lines with the level of an error begin, which may turn out to be of an entry.
    levels: Vec<usize>,
    /// Lines before the buffer.
    lines_before: u64,
    /// The rest of a long line is passed over.
    is_skipping: bool,
    takes_levels: bool,
    counts: Counts,
    /// Hits of the part that is looked through, reused.
    hits: Vec<(usize, Seen)>,
}

impl Scanner {
    /// A scanner of one log.
    #[must_use]
    pub fn new(prefilter: Arc<Prefilter>) -> Self {
        Self {
            prefilter,
            buffer: Vec::new(),
            done: 0,
            taken: 0,
            levels: Vec::new(),
            lines_before: 0,
            is_skipping: false,
            takes_levels: false,
            counts: Counts::default(),
            hits: Vec::new(),
        }
    }

    /// Takes lines with the level of an error as entries too: whether they are about a call, calls that come later may show.
    #[must_use]
    pub fn taking_levels(mut self) -> Self {
        self.takes_levels = true;
        self
    }

    /// Passes over what is no news, and only counts its lines.
    pub fn skip(&mut self, bytes: &[u8]) {
        self.counts.bytes += bytes.len() as u64;
        self.lines_before += memchr_iter(b'\n', bytes).count() as u64;
        self.is_skipping = bytes.last().is_some_and(|byte| *byte != b'\n');
    }

    /// Looks for something else from here on.
    pub fn set_prefilter(&mut self, prefilter: Arc<Prefilter>) {
        self.prefilter = prefilter;
    }

    /// What was read.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let partial = u64::from(self.buffer.last().is_some_and(|byte| *byte != b'\n'));
        let lines =
            self.counts.lines + self.lines_before + memchr_iter(b'\n', &self.buffer).count() as u64 + partial;
        Counts { lines, other_errors: self.counts.other_errors + self.levels.len() as u64, ..self.counts }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(Entry)) {
        self.counts.bytes += bytes.len() as u64;
        if self.is_skipping {
            let Some(end) = memchr(b'\n', bytes) else { return };
            self.is_skipping = false;
            bytes = bytes.get(end..).unwrap_or_default();
        }
        self.buffer.extend_from_slice(bytes);
        let end = memrchr(b'\n', self.buffer.get(self.done..).unwrap_or_default());
        match end {
            Some(end) => self.look(self.done + end + 1, false, out),
            None if self.buffer.len() - self.done > LINE_LIMIT => {
                self.counts.long += 1;
                self.is_skipping = true;
                self.buffer.truncate(self.done + LINE_LIMIT);
                self.look(self.buffer.len(), true, out);
            }
            None => {}
        }
        self.forget();
    }

    /// No more bytes come: what is there is whole.
    pub fn finish(&mut self, out: &mut dyn FnMut(Entry)) {
        self.look(self.buffer.len(), true, out);
        self.forget();
    }

    /// No more bytes come for a while: whole lines are entries by themselves, and one that is being written waits for its end.
    pub fn settle(&mut self, out: &mut dyn FnMut(Entry)) {
        let end = memrchr(b'\n', &self.buffer).map_or(0, |at| at + 1);
        if end > self.done {
            self.look(end, true, out);
            self.forget();
        }
    }

    /// Another file follows, which begins with line 1.
    pub fn restart(&mut self) {
        self.counts = self.counts();
        self.buffer.clear();
        self.levels.clear();
        (self.done, self.taken, self.lines_before, self.is_skipping) = (0, 0, 0, false);
    }

    /// Drops what no entry needs any more.
    fn forget(&mut self) {
        let keep = self.done.saturating_sub(BACK);
        // Moving the rest costs as much as it is long.
        if keep < BACK {
            return;
        }
        let Some(cut) = memrchr(b'\n', self.buffer.get(..keep).unwrap_or_default()).map(|at| at + 1) else {
            return;
        };
        self.lines_before += memchr_iter(b'\n', self.buffer.get(..cut).unwrap_or_default()).count() as u64;
        self.buffer.drain(..cut);
        self.done -= cut;
        self.taken = self.taken.saturating_sub(cut);
        let sure = self.levels.partition_point(|level| *level < cut);
        self.levels.drain(..sure);
        self.counts.other_errors += sure as u64;
        self.levels.iter_mut().for_each(|level| *level -= cut);
    }

    /// Looks through the buffer up to `end`, where a line ends. With `is_last`, no line is known to follow.
    fn look(&mut self, end: usize, is_last: bool, out: &mut dyn FnMut(Entry)) {
        let mut hits = std::mem::take(&mut self.hits);
        hits.clear();
        let log = self.buffer.get(..end).unwrap_or_default();
        let line_end = |at: usize| {
            memchr(b'\n', log.get(at..).unwrap_or_default()).map_or(log.len(), |length| at + length)
        };
        // A level of klog's is found with the line end before it.
        let mut at = self.done.saturating_sub(1);
        while let Some((place, seen)) = self.prefilter.next(log, at) {
            hits.push((place, seen));
            at = if seen == Seen::Error { line_end(place) } else { place + 1 };
        }
        for next in [next_escape, next_color] {
            let mut at = self.done;
            while let Some(place) = next(log, at) {
                let begin = memrchr(b'\n', log.get(..place).unwrap_or_default()).map_or(0, |at| at + 1);
                at = line_end(place);
                if self.prefilter.is_in_escaped(log.get(begin..at).unwrap_or_default()) {
                    hits.push((place, Seen::Error));
                }
            }
        }
        hits.sort_unstable_by_key(|(place, seen)| (*place, *seen == Seen::Level));
        let mut levels = std::mem::take(&mut self.levels);
        levels.truncate(levels.partition_point(|level| *level < self.done));
        let mut until = end;
        let mut counted = (0, self.lines_before);
        for (place, seen) in &hits {
            let place = if log.get(*place) == Some(&b'\n') { place + 1 } else { *place };
            let (begin, line_end) = line_at(log, place);
            if begin < self.taken {
                continue;
            }
            if *seen == Seen::Level && !self.takes_levels {
                if place - begin < LEVEL_WITHIN && levels.last() != Some(&begin) {
                    levels.push(begin);
                }
                continue;
            }
            let begin = beginning(log, begin, self.taken);
            let Some((entry_end, lines, is_cut)) = ending(log, begin, line_end, is_last) else {
                // It may go on in what comes next.
                until = begin;
                break;
            };
            let between = log.get(counted.0..begin).unwrap_or_default();
            counted = (begin, counted.1 + memchr_iter(b'\n', between).count() as u64);
            levels.truncate(levels.partition_point(|level| *level < begin));
            let head = begin.saturating_sub(1)..(begin + LEVEL_WITHIN).min(entry_end);
            let has_level = self.prefilter.has_level(log.get(head).unwrap_or_default());
            let is_cut = is_cut || (self.is_skipping && entry_end == log.len());
            out(entry(log, begin..entry_end, counted.1 + 1, lines, is_cut, has_level));
            self.taken = entry_end;
        }
        levels.truncate(levels.partition_point(|level| *level < until));
        self.levels = levels;
        self.done = until;
        self.hits = hits;
    }
}

/// The line around a place.
fn line_at(log: &[u8], place: usize) -> (usize, usize) {
    let begin = memrchr(b'\n', log.get(..place).unwrap_or_default()).map_or(0, |at| at + 1);
    let end = memchr(b'\n', log.get(place..).unwrap_or_default()).map_or(log.len(), |length| place + length);
    (begin, end)
}

/// The line before one that begins at `begin`, if it begins at `from` or later.
fn line_before(log: &[u8], begin: usize, from: usize) -> Option<(usize, &[u8])> {
    let end = begin.checked_sub(1).filter(|end| *end >= from)?;
    let begin = memrchr(b'\n', log.get(..end)?).map_or(0, |at| at + 1);
    (begin >= from).then(|| (begin, log.get(begin..end).unwrap_or_default()))
}

/// The beginning of the entry to which the line at `begin` belongs, not before `from`.
fn beginning(log: &[u8], begin: usize, from: usize) -> usize {
    let from = from.max(begin.saturating_sub(BACK));
    let (_, end) = line_at(log, begin);
    let mut kind = head::kind(log.get(begin..end).unwrap_or_default());
    let mut at = begin;
    for _ in 0..ENTRY_LINES {
        let Some((before, line)) = line_before(log, at, from) else { return at };
        let kind_before = head::kind(line);
        let (_, is_part) = head::inner(line);
        let goes_on = match kind {
            _ if is_part => true,
            Kind::Head | Kind::Plain => false,
            Kind::Continuation => true,
            Kind::Named => matches!(kind_before, Kind::Head | Kind::Continuation),
        };
        if !goes_on {
            return at;
        }
        (at, kind) = (before, kind_before);
    }
    // So many lines go on with nothing that they are no entry.
    begin
}

/// The end of an entry, its lines, and whether more of it is left out; `None` if it may go on behind the end of the log.
fn ending(log: &[u8], begin: usize, line_end: usize, is_last: bool) -> Option<(usize, u32, bool)> {
    let mut lines = 1 + memchr_iter(b'\n', log.get(begin..line_end).unwrap_or_default()).count();
    let mut end = line_end;
    loop {
        let is_part = {
            let (start, _) = line_at(log, end);
            head::inner(log.get(start..end).unwrap_or_default()).1
        };
        let next = end + 1;
        if next >= log.len() {
            return is_last.then_some((end.min(log.len()), lines as u32, false));
        }
        let (_, next_end) = line_at(log, next);
        let line = log.get(next..next_end).unwrap_or_default();
        let goes_on = is_part || matches!(head::kind(line), Kind::Continuation | Kind::Named);
        if !goes_on {
            return Some((end, lines as u32, false));
        }
        if next_end - begin > ENTRY_LIMIT || lines >= ENTRY_LINES {
            return Some((end, lines as u32, true));
        }
        (end, lines) = (next_end, lines + 1);
    }
}

/// The entry between two places.
fn entry(log: &[u8], place: Range<usize>, line: u64, lines: u32, is_cut: bool, has_level: bool) -> Entry {
    let (begin, end) = (place.start, place.end);
    let whole = log.get(place).unwrap_or_default();
    let mut text = String::new();
    let mut was_part = false;
    for (number, own) in whole.split(|byte| *byte == b'\n').enumerate() {
        let own = own.strip_suffix(b"\r").unwrap_or(own);
        // What a collector puts before each line would stand within the error's text.
        let (inside, is_part) = head::inner(own);
        if number > 0 && !was_part {
            text.push('\n');
        }
        match head::unwrapped(own).filter(|_| lines > 1) {
            Some(inside) => text.push_str(&inside),
            None => text.push_str(&String::from_utf8_lossy(if number == 0 { own } else { inside })),
        }
        was_part = is_part;
    }
    text.truncate(text.trim_end().len());
    let (_, first_end) = line_at(log, begin);
    let own = head::time(log.get(begin..first_end.min(end)).unwrap_or_default());
    let stamp = own.or_else(|| time_before(log, begin));
    Entry { line, lines, text, stamp, is_inherited: own.is_none() && stamp.is_some(), is_cut, has_level }
}

/// The last time that stands in a line before.
fn time_before(log: &[u8], mut at: usize) -> Option<Stamp> {
    let from = at.saturating_sub(BACK);
    while let Some((before, line)) = line_before(log, at, from) {
        if let Some(stamp) = head::time(line) {
            return Some(stamp);
        }
        at = before;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(log: &str, chunk: usize) -> (Vec<Entry>, Counts) {
        let mut scanner = Scanner::new(Arc::new(Prefilter::new(["database is gone"])));
        let mut found = Vec::new();
        for part in log.as_bytes().chunks(chunk) {
            scanner.push(part, &mut |entry| found.push(entry));
        }
        scanner.finish(&mut |entry| found.push(entry));
        (found, scanner.counts())
    }

    /// The entries, which must be the same however the log comes.
    fn entries(log: &str) -> Vec<Entry> {
        let (whole, counts) = scan(log, usize::MAX);
        for chunk in [1, 3, 17, 64] {
            let (parts, same) = scan(log, chunk);
            assert_eq!((&parts, same), (&whole, counts), "in pieces of {chunk}");
        }
        whole
    }

    const JAVA: &str = "\
2026-11-25 22:33:00,230 INFO  [main] c.s.Order - placing 7
2026-11-25 22:33:00,231 ERROR [main] c.s.Order - place failed
io.grpc.StatusRuntimeException: NOT_FOUND: no such order
\tat io.grpc.stub.ClientCalls.toStatusRuntimeException(ClientCalls.java:268)
\tat com.shop.Order.place(Order.java:41)
Caused by: java.io.IOException: x
\t... 3 more
2026-11-25 22:33:00,232 INFO  [main] c.s.Order - next
";

    const PYTHON: &str = "\
2026-11-25 22:33:00,231 - shop.order - ERROR - place failed
Traceback (most recent call last):
  File \"/app/order.py\", line 31, in place
    stub.Reserve(request)
grpc._channel._InactiveRpcError: <_InactiveRpcError of RPC that terminated with:
\tstatus = StatusCode.NOT_FOUND
\tdetails = \"no such order\"
\tdebug_error_string = \"UNKNOWN:Error received from peer {grpc_status:5, grpc_message:\"no such order\"}\"
>
2026-11-25 22:33:00,232 - shop.order - INFO - next
";

    const GO: &str = "\
2026/11/25 22:33:00 order.go:31: placing
2026/11/25 22:33:00.231 server_handler.go:401: [Error] KITEX: processing gRPC request error, remoteAddr=127.0.0.1:40578, error=panic: [happened in biz handler, method=A.B, please check the panic at the server side] nil map
stack=goroutine 15 [running]:
runtime/debug.Stack()
\t/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
github.com/cloudwego/kitex/server.(*server).unaryOrStreamEndpoint.(*server).invokeHandleEndpoint.func3.1()
\tgithub.com/cloudwego/kitex@v0.16.3/server/server.go:364 +0x138
panic({0xcd5b40?, 0x1a1ee73fb310?})
\t/usr/local/go/src/runtime/panic.go:860 +0x13a
main.(*H).act(0xc000012, {0xcd5b40?, 0x1a1})
\t/app/main.go:12 +0x1d
2026/11/25 22:33:00.232 order.go:31: next
";

    const DOTNET: &str = "\
info: Shop.Order[0]
      placing
fail: Shop.Order[0]
      place failed
      Grpc.Core.RpcException: Status(StatusCode=\"NotFound\", Detail=\"no such order\")
         at Shop.Client.Get() in /app/Client.cs:line 12
         at Shop.Order.Place()
info: Shop.Order[0]
      next
";

    #[test]
    fn stack_traces_belong_to_the_line_before_them() {
        for (log, line, lines, end) in
            [(JAVA, 2, 6, "3 more"), (PYTHON, 1, 9, ">"), (GO, 2, 10, "+0x1d"), (DOTNET, 3, 5, "Place()")]
        {
            let found = entries(log);
            let shape: Vec<_> = found.iter().map(|entry| (entry.line, entry.lines)).collect();
            assert_eq!(shape, [(line, lines)], "{log}");
            assert!(found[0].text.ends_with(end), "{}", found[0].text);
        }
    }

    #[test]
    fn lines_without_a_time_have_that_of_the_line_before() {
        let found = entries(
            "2026/11/25 22:33:00 listening\nAPP a: rpc timeout: timeout=1ms\nAPP b: database is gone\n2026/11/25 22:33:05 database is gone",
        );
        let shape: Vec<_> = found.iter().map(|entry| (entry.line, entry.lines, entry.is_inherited)).collect();
        assert_eq!(shape, [(2, 1, true), (3, 1, true), (4, 1, false)]);
        assert_eq!(found[0].stamp, found[1].stamp);
        assert!(found[0].stamp.is_some() && found[0].stamp != found[2].stamp);
    }

    #[test]
    fn lines_of_collectors_are_joined_without_what_they_put_before_each() {
        let time = "2026-11-25T22:33:00.230714123+08:00 stderr";
        let log = format!(
            "{time} F place failed: <_InactiveRpcError of RPC that terminated with:\n{time} F \tstatus = StatusCode.NOT_FOUND\n{time} F \tdetails = \"no such order\"\n{time} F >\n{time} P rpc error: code = Not\n{time} F Found desc = x\n{time} F next\n"
        );
        let found = entries(&log);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0]
                .text
                .ends_with("with:\n\tstatus = StatusCode.NOT_FOUND\n\tdetails = \"no such order\"\n>")
        );
        assert!(found[1].text.ends_with("rpc error: code = NotFound desc = x"));
    }

    #[test]
    fn other_errors_are_counted_and_other_lines_passed_over() {
        let log = "2026-11-25 ERROR failed to open file\r\n{\"level\":\"error\",\"msg\":\"x\"}\nE1125 22:33:00.1 1 a.go:1] no\nINFO error_rate=0\nERROR: rpc timeout: timeout=1ms, ERROR\r\n\nlast";
        let (found, counts) = scan(log, 5);
        assert_eq!((found.len(), found[0].line, found[0].text.ends_with("ERROR")), (1, 5, true));
        assert_eq!((counts.lines, counts.other_errors, counts.bytes), (7, 3, log.len() as u64));
    }

    #[test]
    fn long_lines_are_cut_and_counted() {
        let log =
            format!("{}database is gone{}\nnext: database is gone\n", "x ".repeat(100), "y".repeat(3 << 20));
        let (found, counts) = scan(&log, 256 << 10);
        assert_eq!(
            found.iter().map(|entry| (entry.line, entry.is_cut)).collect::<Vec<_>>(),
            [(1, true), (2, false)]
        );
        assert_eq!((counts.long, counts.lines), (1, 2));
        assert!(found[0].text.len() <= LINE_LIMIT);
    }

    #[test]
    fn an_entry_without_an_end_is_cut() {
        let log =
            format!("E1125 22:33:00.1 1 a.go:1] database is gone\n{}", "\tat x\n".repeat(2 * ENTRY_LINES));
        let (found, _) = scan(&log, 4096);
        assert_eq!((found[0].lines as usize, found[0].is_cut), (ENTRY_LINES, true));
    }
}
