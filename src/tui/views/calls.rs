//! The Calls view: the calls that match, in the order of their beginning or the one asked for, kept up to date as calls come
//! and go.

pub(crate) mod cells;

use std::sync::Arc;

use ratatui::style::{Modifier, Style};

use super::{Row, Sign, Target, View, ViewId};
use crate::calls::{Call, Class};
use crate::text;
use crate::time::Timestamp;
use crate::tui::columns::{CLASS, CODE, Column, MESSAGE, METHOD, PROTOCOL, Placed, VERDICT};
use crate::tui::keys::{Action, Scope};
use crate::tui::render::sentence::Sentence;
use crate::tui::state::context::Context;
use crate::tui::state::list::{List, SortKey};
use crate::tui::state::pace::Slice;
use crate::tui::store::{Entry, Serial, Store};
use cells::{LATENCY, Needs, TIME, cell, cell_tests, is_likely, sort_key};

/// Most calls that are counted at once without a filter.
const SCAN: usize = 50_000;
/// Calls for which a slow filter takes long enough to say how far it is.
const SLOW: usize = 5_000;
/// Up to this many new calls are inserted into a sorted list one by one; more of them sort the whole list again.
const INSERTS: usize = 256;

/// Start and number of a call: rows that are not sorted are in this order.
type Begin = (Timestamp, Serial);

/// The calls that match.
#[derive(Debug)]
pub(in crate::tui) struct Calls {
    pub list: List,
    /// The cursor stays on the newest call.
    pub follow: bool,
    /// The columns that were chosen; none means the usual ones.
    pub chosen: Vec<Column>,
    /// Times have their dates.
    pub dated: bool,
    /// What the calls need that were on the screen since the filter changed.
    needs: Needs,
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
            chosen: Vec::new(),
            dated: false,
            needs: Needs::default(),
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

    /// Sorts by latency, the slowest first, or by time, the newest first. At the top, the cursor stays there while calls come.
    pub(in crate::tui) fn show_top(&mut self, cx: &Context, slowest: bool) {
        self.rows.append(&mut self.pending);
        let column = if slowest { LATENCY } else { TIME };
        self.list.sort = Some((column, true));
        self.sort_all(cx, column, true);
        self.follow = false;
        self.reset();
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

    /// How far the search for matching calls is, in percent; `None` when it is done, or as good as done.
    pub(in crate::tui) fn percent(&self, cx: &Context) -> Option<usize> {
        let store = &cx.store;
        let left = store.next() - self.scanned;
        let few = if cx.matcher.has_filter() { SLOW } else { SCAN };
        (left > few as u64).then(|| (self.scanned * 100 / store.next().max(1)) as usize)
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
        self.needs = Needs::default();
    }

    /// Looks at the next calls and counts what the filter lets through. Whether there was anything to look at.
    pub(in crate::tui) fn scan(&mut self, cx: &mut Context, slice: &mut Slice) -> bool {
        let Context { store, matcher, chains, filtered, .. } = cx;
        if self.scanned >= store.next() {
            return false;
        }
        let sorted = self.list.sort.is_some();
        let mut new = Vec::new();
        let entries = store.from(self.scanned);
        let mut looked = 0;
        for entry in entries.iter().take(SCAN) {
            // Counting is fast; only filters may be slow.
            if matcher.has_filter() && !slice.has_room() {
                break;
            }
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
        if looked == entries.len() {
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

    /// The usual columns.
    pub(in crate::tui) fn usual(&self, width: usize) -> Vec<Placed> {
        cells::usual(width, self.dated, self.needs)
    }

    /// Makes room for the clients, servers and methods that are on the screen.
    pub(in crate::tui) fn measure(&mut self, cx: &Context, height: usize) {
        for at in self.list.top..self.rows.len().min(self.list.top + height) {
            let Some(entry) = self.entry(cx, at) else { continue };
            self.needs = self.needs.with(&entry.call, &cx.names);
        }
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
        match self.chosen.as_slice() {
            [] => self.usual(width),
            chosen => cells::chosen(chosen, width, self.dated, self.needs),
        }
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
                TIME => (cx.time(call.start, above, self.dated), theme.dim),
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
            return vec![format!("{hidden} hidden by the filter and the class switches"), cx.widen("calls")];
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

    fn is_match(&self, cx: &Context, at: usize) -> bool {
        self.entry(cx, at).is_some_and(|entry| cx.is_match(&entry.call))
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
    let (next, kinds) = (cx.key(Action::NextError), cx.key(Action::Show(ViewId::Errors)));
    let text = format!(
        "Most failures: {label}, {kind}{code}{template}, {times}×. {next} goes to the next failed call, {kinds} shows all kinds."
    );
    Some(Sentence::from(text::escape(&text).into_owned()).colored(cx, group.class))
}
