//! The rows of the Calls view: the calls that match, in the order asked for, kept up with as calls come and go.

use super::chains::Chains;
use super::list::{List, SortKey};
use super::matcher::Matcher;
use super::through::Through;
use crate::tui::columns::{Column, call_cell};
use crate::tui::names::Names;
use crate::tui::store::{Entry, Serial, Store};

/// Calls looked at in one step, so that keys never wait long while a filter is applied to a million calls.
const STEP: usize = 50_000;
/// This many new calls are put into a sorted list one by one; more than that sort the whole list again.
const INSERTS: usize = 256;

/// The calls that match.
#[derive(Debug, Default)]
pub(in crate::tui) struct Rows {
    /// In the order of the screen.
    serials: Vec<Serial>,
    /// They match and are not yet in the sorted order.
    pending: Vec<Serial>,
    /// All calls before this one were looked at.
    scanned: Serial,
    /// While a changed filter is being applied: the call that was selected.
    anchor: Option<Serial>,
}

impl Rows {
    /// Number of rows.
    pub(in crate::tui) fn len(&self) -> usize {
        self.serials.len()
    }

    /// The call in a row.
    pub(in crate::tui) fn get(&self, row: usize) -> Option<Serial> {
        self.serials.get(row).copied()
    }

    /// All rows.
    pub(in crate::tui) fn serials(&self) -> &[Serial] {
        &self.serials
    }

    /// Calls that were looked at and are held but not shown.
    pub(in crate::tui) fn hidden(&self, store: &Store) -> usize {
        store.position(self.scanned).saturating_sub(self.serials.len() + self.pending.len())
    }

    /// How far the looking is, in percent; `None` when it is done.
    pub(in crate::tui) fn percent(&self, store: &Store) -> Option<usize> {
        let left = store.next() - self.scanned;
        (left > STEP as u64).then(|| (self.scanned * 100 / store.next().max(1)) as usize)
    }

    /// Whether calls were not looked at yet.
    pub(in crate::tui) fn is_behind(&self, store: &Store) -> bool {
        self.scanned < store.next()
    }

    /// Begins anew, after the matcher changed.
    pub(in crate::tui) fn restart(&mut self, list: &List) {
        self.anchor = self.anchor.or_else(|| if list.moved { self.get(list.selected) } else { None });
        self.serials.clear();
        self.pending.clear();
        self.scanned = 0;
    }

    /// Looks at the next calls. Whether there was anything to look at.
    pub(in crate::tui) fn scan(
        &mut self,
        store: &Store,
        (matcher, chains): (&Matcher, &Chains),
        mut through: Option<&mut Through>,
        list: &mut List,
    ) -> bool {
        if self.scanned >= store.next() {
            return false;
        }
        let sorted = list.sort.is_some();
        let mut looked = 0;
        for entry in store.from(self.scanned).iter().take(STEP) {
            looked += 1;
            self.scanned = entry.serial + 1;
            if !matcher.filter_matches(&entry.call) {
                continue;
            }
            if let Some(through) = &mut through {
                through.count(entry);
            }
            if matcher.matches_else(entry, chains) {
                if sorted { &mut self.pending } else { &mut self.serials }.push(entry.serial);
            }
        }
        if looked < STEP {
            self.scanned = store.next();
        }
        if let (Some(anchor), false) = (self.anchor, sorted) {
            list.keep(
                self.serials.partition_point(|s| *s < anchor).min(self.serials.len().saturating_sub(1)),
            );
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

    /// Puts the waiting calls into the sorted order. The cursor stays on its call.
    pub(in crate::tui) fn merge(&mut self, store: &Store, names: &Names, list: &mut List) {
        let Some((column, down)) = list.sort else { return };
        let selected = self.anchor.take().or_else(|| if list.moved { self.get(list.selected) } else { None });
        let key = |serial: Serial| store.get(serial).map_or(SortKey::Nothing, |e| sort_key(e, column, names));
        if self.pending.len() <= INSERTS {
            for serial in std::mem::take(&mut self.pending) {
                let new = key(serial);
                let place = self.serials.partition_point(|s| {
                    let old = key(*s);
                    if down { old >= new } else { old <= new }
                });
                self.serials.insert(place, serial);
            }
        } else {
            self.serials.append(&mut self.pending);
            self.sort_all(column, down, key);
        }
        if let Some(row) = selected.and_then(|s| self.serials.iter().position(|r| *r == s)) {
            list.keep(row);
        }
    }

    /// Puts all rows into the order of the list. The cursor stays on its call.
    pub(in crate::tui) fn resort(&mut self, store: &Store, names: &Names, list: &mut List) {
        let selected = self.get(list.selected);
        self.serials.append(&mut self.pending);
        match list.sort {
            None => self.serials.sort_unstable(),
            Some((column, down)) => self.sort_all(column, down, |serial| {
                store.get(serial).map_or(SortKey::Nothing, |e| sort_key(e, column, names))
            }),
        }
        if let Some(row) = selected.and_then(|s| self.serials.iter().position(|r| *r == s)) {
            list.keep(row);
        }
    }

    fn sort_all(&mut self, _column: Column, down: bool, key: impl Fn(Serial) -> SortKey) {
        let mut keyed: Vec<(SortKey, Serial)> = self.serials.iter().map(|s| (key(*s), *s)).collect();
        keyed.sort_unstable_by(|(a, s), (b, t)| {
            let order = if down { b.cmp(a) } else { a.cmp(b) };
            order.then(s.cmp(t))
        });
        self.serials.clear();
        self.serials.extend(keyed.into_iter().map(|(_, serial)| serial));
    }

    /// Drops the rows whose calls are no longer held. The cursor stays on its call, or goes to the next one.
    pub(in crate::tui) fn shed(&mut self, store: &Store, list: &mut List) {
        let selected = list.selected;
        let mut row = 0;
        let mut gone_before = 0;
        self.serials.retain(|serial| {
            let held = store.get(*serial).is_some();
            gone_before += usize::from(!held && row < selected);
            row += 1;
            held
        });
        self.pending.retain(|serial| store.get(*serial).is_some());
        list.keep(selected - gone_before);
    }
}

/// What a call is ordered by in a column.
fn sort_key(entry: &Entry, column: Column, names: &Names) -> SortKey {
    let call = &*entry.call;
    match column {
        Column::Time => SortKey::Number(call.start.0.into()),
        Column::Latency => call.latency.into(),
        Column::Code => call.outcome.code.into(),
        Column::Class => call.class().map(|c| c as i64).into(),
        column => SortKey::Text(call_cell(call, column, names)),
    }
}
