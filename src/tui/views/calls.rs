//! The Calls view: the calls that match, in the order of their beginning or the one asked for, kept up to date as calls come
//! and go.

use std::sync::Arc;

use ratatui::style::{Modifier, Style};

use super::{Row, Sign, Target, View};
use crate::calls::{Call, Class, keys, labels};
use crate::filter;
use crate::text;
use crate::time::Timestamp;
use crate::tui::columns::{
    CLASS, CLIENT, CODE, Column, MESSAGE, METHOD, PROTOCOL, Placed, REST, SERVER, TIME_WIDTH, VERDICT, place,
};
use crate::tui::keys::Scope;
use crate::tui::names::Names;
use crate::tui::render::sentence::Sentence;
use crate::tui::state::context::Context;
use crate::tui::state::list::{List, SortKey};
use crate::tui::store::{Entry, Serial, Store};

/// Calls that one scan looks at, so that keys never wait long while a filter is applied to a million calls.
const SCAN: usize = 50_000;
/// Up to this many new calls are inserted into a sorted list one by one; more of them sort the whole list again.
const INSERTS: usize = 256;

const TIME: Column = Column::text("time");
const LATENCY: Column = Column::number("latency");

/// Start and number of a call: rows that are not sorted are in this order.
type Begin = (Timestamp, Serial);

/// The calls that match.
#[derive(Debug)]
pub(in crate::tui) struct Calls {
    pub list: List,
    /// The cursor stays on the newest call.
    pub follow: bool,
    /// In the order of the screen.
    rows: Vec<Begin>,
    /// They match and are not in the sorted order yet.
    pending: Vec<Begin>,
    /// All calls before this one were looked at.
    scanned: Serial,
    /// The call that was selected before the filter changed, until all calls were looked at.
    anchor: Option<Begin>,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            list: List::new(METHOD, None),
            follow: true,
            rows: Vec::new(),
            pending: Vec::new(),
            scanned: 0,
            anchor: None,
        }
    }
}

impl Calls {
    /// The call in a row.
    pub(in crate::tui) fn serial(&self, row: usize) -> Option<Serial> {
        self.rows.get(row).map(|(_, serial)| *serial)
    }

    /// The row of a call, if it is shown.
    pub(in crate::tui) fn row_of(&self, serial: Serial) -> Option<usize> {
        self.rows.iter().position(|(_, row)| *row == serial)
    }

    /// Puts the cursor on the first call that began at `time` or later, the last one if there is none. Rows are in the order of
    /// time from then on. Whether there is such a call.
    pub(in crate::tui) fn go_to_time(&mut self, time: Timestamp) -> bool {
        self.unsort();
        let row = self.rows.partition_point(|(start, _)| *start < time);
        self.follow = false;
        self.list.go(row.min(self.rows.len().saturating_sub(1)));
        row < self.rows.len()
    }

    /// Puts the rows into the order of time.
    fn unsort(&mut self) {
        self.list.sort = None;
        self.rows.append(&mut self.pending);
        self.rows.sort_unstable();
    }

    /// Puts calls among the rows, which are in the order of time. The cursor stays on its call; at the very beginning, where nobody
    /// has moved it, it stays there.
    fn insert(&mut self, mut new: Vec<Begin>) {
        new.sort_unstable();
        let Some(first) = new.first() else { return };
        let selected =
            self.rows.get(self.list.selected).copied().filter(|_| self.list.moved || self.list.selected > 0);
        // Nearly all calls belong at the end.
        let mut tail = self.rows.split_off(self.rows.partition_point(|row| row < first));
        if tail.is_empty() {
            self.rows.append(&mut new);
        } else {
            tail.append(&mut new);
            // Two runs in order, which this sort merges.
            tail.sort();
            self.rows.append(&mut tail);
        }
        if let Some(row) = selected.and_then(|selected| self.rows.binary_search(&selected).ok()) {
            self.list.keep(row);
        }
    }

    fn entry<'c>(&self, cx: &'c Context, row: usize) -> Option<&'c Entry> {
        cx.store.get(self.serial(row)?)
    }

    /// The selected call with its serial.
    pub(in crate::tui) fn selected<'c>(&self, cx: &'c Context) -> Option<(Serial, &'c Arc<Call>)> {
        let serial = self.serial(self.list.selected)?;
        cx.store.get(serial).map(|entry| (serial, &entry.call))
    }

    /// Calls that were looked at and are held but not shown.
    pub(in crate::tui) fn hidden_calls(&self, store: &Store) -> usize {
        store.position(self.scanned).saturating_sub(self.rows.len() + self.pending.len())
    }

    /// How far the search for matching calls is, in percent; `None` when it is done.
    pub(in crate::tui) fn percent(&self, store: &Store) -> Option<usize> {
        let left = store.next() - self.scanned;
        (left > SCAN as u64).then(|| (self.scanned * 100 / store.next().max(1)) as usize)
    }

    /// Whether there are calls that were not looked at.
    pub(in crate::tui) fn is_behind(&self, store: &Store) -> bool {
        self.scanned < store.next()
    }

    /// Starts again after the matcher changed.
    pub(in crate::tui) fn restart(&mut self) {
        let selected = if self.list.moved { self.rows.get(self.list.selected).copied() } else { None };
        self.anchor = self.anchor.or(selected);
        self.rows.clear();
        self.pending.clear();
        self.scanned = 0;
    }

    /// Looks at the next calls and counts what the filter lets through. Whether there was anything to look at.
    pub(in crate::tui) fn scan(&mut self, cx: &mut Context) -> bool {
        let Context { store, matcher, chains, filtered, .. } = cx;
        if self.scanned >= store.next() {
            return false;
        }
        let sorted = self.list.sort.is_some();
        let mut looked = 0;
        let mut new = Vec::new();
        for entry in store.from(self.scanned).iter().take(SCAN) {
            looked += 1;
            self.scanned = entry.serial + 1;
            if !matcher.filter_matches(&entry.call) {
                continue;
            }
            if let Some(filtered) = filtered {
                filtered.count(entry);
            }
            if matcher.is_chosen(entry, chains) {
                new.push((entry.call.start, entry.serial));
            }
        }
        if looked < SCAN {
            self.scanned = store.next();
        }
        if sorted {
            self.pending.append(&mut new);
        } else {
            self.insert(new);
        }
        if let (Some(anchor), false) = (self.anchor, sorted) {
            let row = self.rows.partition_point(|row| *row < anchor);
            self.list.keep(row.min(self.rows.len().saturating_sub(1)));
        }
        if self.scanned >= store.next() && !sorted {
            self.anchor = None;
        }
        true
    }

    /// Whether calls wait for their place in the sorted order.
    pub(in crate::tui) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Drops the rows whose calls are no longer held. The cursor stays on its call, or goes to the next one.
    pub(in crate::tui) fn drop_evicted(&mut self, store: &Store) {
        let selected = self.list.selected;
        let mut row = 0;
        let mut gone_before = 0;
        self.rows.retain(|(_, serial)| {
            let held = store.get(*serial).is_some();
            gone_before += usize::from(!held && row < selected);
            row += 1;
            held
        });
        self.pending.retain(|(_, serial)| store.get(*serial).is_some());
        self.list.keep(selected - gone_before);
    }

    /// Shows the beginning of other calls.
    pub(in crate::tui) fn reset(&mut self) {
        self.list.moved = false;
        self.list.selected = 0;
        self.list.top = 0;
    }

    /// Which failed call of how many in the list it is, from 1.
    fn failure(&self, cx: &Context, serial: Serial) -> (usize, usize) {
        let mut at = 0;
        let mut all = 0;
        for (_, row) in &self.rows {
            if cx.store.get(*row).is_some_and(|entry| entry.call.failed()) {
                all += 1;
                if *row == serial {
                    at = all;
                }
            }
        }
        (at, all)
    }

    /// Filter tests for the cell under the cursor; empty if the cell has no value.
    pub(in crate::tui) fn cell_tests(&self, cx: &Context, equal: bool) -> Option<String> {
        self.selected(cx).map(|(_, call)| cell_tests(call, self.list.column, equal))
    }

    fn sort_all(&mut self, cx: &Context, column: Column, down: bool) {
        let key =
            |row: &Begin| cx.store.get(row.1).map_or(SortKey::Nothing, |e| sort_key(e, column, &cx.names));
        let mut keyed: Vec<(SortKey, Begin)> = self.rows.iter().map(|row| (key(row), *row)).collect();
        keyed.sort_unstable_by(|(a, s), (b, t)| {
            let order = if down { b.cmp(a) } else { a.cmp(b) };
            order.then(s.cmp(t))
        });
        self.rows.clear();
        self.rows.extend(keyed.into_iter().map(|(_, row)| row));
    }

    fn keep(&mut self, selected: Option<Begin>) {
        if let Some(row) = selected.and_then(|s| self.rows.iter().position(|r| *r == s)) {
            self.list.keep(row);
        }
    }
}

impl View for Calls {
    fn title(&self) -> &'static str {
        "Calls"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Lists, Scope::Rows, Scope::Everywhere, Scope::Classes, Scope::Calls, Scope::Columns]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let mut wanted = vec![(TIME, TIME_WIDTH), (LATENCY, 7)];
        if width >= 76 {
            // A server takes an address without its port.
            wanted.extend([(CLIENT, (width / 10).min(26)), (SERVER, (width / 7).clamp(12, 30))]);
        }
        if width >= 96 {
            wanted.push((PROTOCOL, if width >= 140 { 14 } else { 9 }));
        }
        wanted.push((METHOD, REST));
        if width >= 140 {
            wanted.extend([(CLASS, 10), (CODE, 8), (MESSAGE, REST)]);
            return place(width, wanted, (9, 20));
        }
        wanted.push((VERDICT, REST));
        // Names lose more than verdicts where both are cut: the sentence below has the verdict in full.
        place(width, wanted, if (76..96).contains(&width) { (3, 5) } else { (1, 2) })
    }

    fn list(&self) -> &List {
        &self.list
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.list
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    /// Puts the pending calls into the sorted order. The cursor stays on its call.
    fn arrange(&mut self, cx: &Context) {
        let Some((column, down)) = self.list.sort.filter(|_| self.has_pending()) else { return };
        let moved = if self.list.moved { self.rows.get(self.list.selected).copied() } else { None };
        let selected = self.anchor.take().or(moved);
        if self.pending.len() <= INSERTS {
            let key = |row: &Begin| {
                cx.store.get(row.1).map_or(SortKey::Nothing, |e| sort_key(e, column, &cx.names))
            };
            for new in std::mem::take(&mut self.pending) {
                let new_key = key(&new);
                let at = self.rows.partition_point(|row| {
                    let old = key(row);
                    if down { old >= new_key } else { old <= new_key }
                });
                self.rows.insert(at, new);
            }
        } else {
            self.rows.append(&mut self.pending);
            self.sort_all(cx, column, down);
        }
        self.keep(selected);
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let entry = self.entry(cx, at)?;
        let call = &entry.call;
        let class = call.class();
        let theme = &cx.theme;
        let above = at.checked_sub(1).and_then(|above| self.entry(cx, above)).map(|entry| entry.call.start);
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                TIME => (cx.clock(call.start, above), theme.dim),
                column => {
                    let style = match column {
                        VERDICT | CLASS | CODE | MESSAGE => {
                            theme.class(class).remove_modifier(Modifier::BOLD)
                        }
                        METHOD if class != Some(Class::Ok) => theme.strong,
                        PROTOCOL => theme.dim,
                        _ => Style::new(),
                    };
                    let style = if is_likely(call, column) { theme.dim } else { style };
                    (cell(call, column, &cx.names), style)
                }
            })
            .collect();
        let logged = cx.logged.as_ref().is_some_and(|logged| logged.has(call.uid));
        Some(Row { marked: entry.marked, logged, sign: Some(Sign(class)), cells })
    }

    fn row_text(&self, cx: &Context, at: usize) -> String {
        self.entry(cx, at).map(|entry| cx.call_text(&entry.call)).unwrap_or_default()
    }

    fn current_call(&self, cx: &Context) -> Option<Arc<Call>> {
        self.selected(cx).map(|(_, call)| Arc::clone(call))
    }

    fn open(&self, cx: &Context) -> Option<Target> {
        let (serial, call) = self.selected(cx)?;
        Some(Target::Call(Arc::clone(call), call.failed().then(|| self.failure(cx, serial))))
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let call = self.selected(cx).map(|(_, call)| call);
        // Until the user selects a call, the most frequent error is more useful than the newest call.
        let chosen = self.list.moved || call.is_some_and(|call| call.failed());
        let worst = if chosen { None } else { worst(cx) };
        worst.or_else(|| call.map(|call| Sentence::of_call(cx, call))).unwrap_or_default()
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        if cx.store.len() > 0 {
            let hidden = text::counted(cx.store.len() as u64, "call");
            return vec![
                format!("{hidden} hidden by the filter and the class switches"),
                "a shows all calls, f changes the filter".to_owned(),
            ];
        }
        if cx.store.evicted > 0 {
            return vec!["all calls were evicted to save memory: --max-memory allows more".to_owned()];
        }
        cx.why_no_calls()
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        cx.matcher.is_active().then(|| (self.hidden_calls(&cx.store), ""))
    }

    fn copy(&self, cx: &Context) -> Option<String> {
        let (_, call) = self.selected(cx)?;
        let mut line = Vec::new();
        crate::sink::jsonl::write_call(&mut line, call);
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    fn export(&self, cx: &Context) -> Vec<Arc<Call>> {
        self.current_call(cx).into_iter().collect()
    }

    fn is_failed(&self, cx: &Context, at: usize) -> Option<bool> {
        Some(self.entry(cx, at).is_some_and(|entry| entry.call.failed()))
    }

    fn contains(&self, cx: &Context, at: usize, needle: &str) -> bool {
        self.entry(cx, at).is_some_and(|entry| cx.call_contains(&entry.call, needle))
    }

    fn position(&self, cx: &Context) -> Option<&'static str> {
        (self.follow && self.len() > 0 && !cx.ended).then_some("following ▼")
    }

    fn step(&mut self, rows: isize) {
        if self.follow && rows > 0 {
            return;
        }
        self.list.step(rows, self.rows.len());
        let at_the_end = self.list.selected + 1 >= self.rows.len();
        self.follow = rows > 0 && self.list.sort.is_none() && at_the_end;
    }

    fn go(&mut self, row: usize) {
        self.follow = false;
        self.list.go(row);
    }

    fn jump(&mut self, last: bool) {
        self.list.go(if last { self.rows.len().saturating_sub(1) } else { 0 });
        self.follow = last && self.list.sort.is_none();
        self.list.moved = !self.follow;
    }

    fn sort(&mut self, cx: &Context) {
        self.list.turn_sort();
        self.follow = false;
        let selected = self.rows.get(self.list.selected).copied();
        self.rows.append(&mut self.pending);
        match self.list.sort {
            None => {
                self.unsort();
                self.keep(selected);
            }
            Some((column, down)) => {
                self.sort_all(cx, column, down);
                self.list.go(0);
            }
        }
    }

    fn settle(&mut self, height: usize) {
        if self.follow && self.list.sort.is_none() {
            self.list.selected = self.rows.len().saturating_sub(1);
        }
        self.list.settle(self.rows.len(), height);
    }
}

/// The kind of error that came most often, in a sentence.
fn worst(cx: &Context) -> Option<Sentence> {
    let id = cx.worst_group()?;
    let figures = cx.figures().group(id)?;
    let group = cx.catalog.groups.get(id as usize)?;
    let code = group.code.map(|c| format!(" {c}")).unwrap_or_default();
    let template = if group.template.is_empty() { String::new() } else { format!(" \"{}\"", group.template) };
    let label = cx.catalog.label(group.method);
    let kind = match group.class {
        Some(Class::Business) => "business error",
        Some(Class::Rpc) => "RPC error",
        _ => "broken connection",
    };
    let times = text::thousands(figures.count);
    let text = format!(
        "Most failures: {label}, {kind}{code}{template}, {times}×. e goes to the next failed call, 2 shows all kinds."
    );
    Some(Sentence::from(text::escape(&text).into_owned()).colored(cx, group.class))
}

/// The test that selects the calls of which the same is likely; empty if there is nothing.
fn likely_test(call: &Call, part: &str, equal: bool) -> String {
    let text = call.likely.as_deref().and_then(|likely| likely.members().find(|(name, _)| *name == part));
    let test = keys::key("likely")
        .zip(text)
        .map(|(map, (part, text))| filter::test_of_part(map, part, &text, equal));
    test.unwrap_or_default()
}

/// Whether the cell shows what is only likely.
fn is_likely(call: &Call, column: Column) -> bool {
    call.likely.as_deref().is_some_and(|likely| match column {
        METHOD => call.method.is_none() && likely.method.is_some(),
        CLASS | CODE | VERDICT | MESSAGE => call.class().is_none(),
        _ => false,
    })
}

/// The cell of a call, safe for a terminal; all columns but the time.
fn cell(call: &Call, column: Column, names: &Names) -> String {
    match column {
        LATENCY => call.latency.map_or_else(|| "—".to_owned(), text::duration),
        CLIENT => text::escape(&names.client(call)).into_owned(),
        SERVER => text::escape(&names.server(call)).into_owned(),
        PROTOCOL => labels::protocol(call).to_owned(),
        METHOD => labels::likely_operation(call),
        CLASS => labels::likely_class(call).into_owned(),
        CODE => match (call.outcome.code, call.likely.as_deref().and_then(|likely| likely.code)) {
            (Some(code), _) => code.to_string(),
            (None, Some(code)) => format!("{}{code}", labels::LIKELY),
            (None, None) => String::new(),
        },
        VERDICT => labels::likely_verdict(call),
        MESSAGE => match (&call.outcome.message, call.outcome.code_name) {
            (Some(message), _) if !message.is_empty() => text::escape(message).into_owned(),
            (_, Some(name)) if call.outcome.code.is_some() => name.to_owned(),
            _ => labels::likely_verdict(call),
        },
        _ => String::new(),
    }
}

fn sort_key(entry: &Entry, column: Column, names: &Names) -> SortKey {
    let call = &*entry.call;
    match column {
        TIME => SortKey::Number(call.start.0.into()),
        LATENCY => call.latency.into(),
        CODE => call.outcome.code.into(),
        CLASS => call.class().map(|c| c as i64).into(),
        column => SortKey::Text(cell(call, column, names)),
    }
}

/// The tests that select the calls with the same value in a column, joined by `and`; empty if there is no value.
fn cell_tests(call: &Call, column: Column, equal: bool) -> String {
    let test = |name: &str| keys::key(name).map(|key| filter::test_of(key, call, equal));
    let both = |names: &[&str]| {
        let tests: Vec<String> = names.iter().filter_map(|name| test(name)).collect();
        // Not this service and this method: one of the two differs.
        if equal {
            tests.join(" and ")
        } else if tests.len() > 1 {
            format!("({})", tests.join(" or "))
        } else {
            tests.join("")
        }
    };
    match column {
        TIME => {
            let start = String::from_utf8_lossy(&call.start.rfc3339()).into_owned();
            format!("start {} {start}", if equal { ">=" } else { "<" })
        }
        LATENCY => call
            .latency
            .map(|ns| format!("latency {} {}us", if equal { ">=" } else { "<" }, ns / 1_000))
            .unwrap_or_default(),
        CLIENT if call.caller.is_some() => both(&["caller"]),
        CLIENT => format!("client {} {}", if equal { "==" } else { "!=" }, call.caller_address().ip),
        SERVER => both(&["server"]),
        PROTOCOL => both(&["rpc", "transport"]),
        METHOD if is_likely(call, column) => likely_test(call, "method", equal),
        METHOD => both(&["service", "method"]),
        CODE if is_likely(call, column) => likely_test(call, "code", equal),
        CLASS | VERDICT if is_likely(call, column) => likely_test(call, "class", equal),
        VERDICT if call.outcome.code.is_some() => both(&["class", "code"]),
        CLASS | VERDICT => both(&["class"]),
        CODE => both(&["code"]),
        MESSAGE => both(&["message"]),
        _ => String::new(),
    }
}
