//! Figures for each method and each kind of error, counted as calls arrive.
//!
//! The [`Catalog`] numbers methods and kinds of errors; [`Figures`] counts by these numbers. There are figures of all calls
//! and, while a filter is active, of the calls that pass it.

use std::cmp::Reverse;

use hashbrown::HashMap;

use super::spark::{Spark, Window};
use super::store::Serial;
use super::theme::{CLASSES, class_index};
use super::timeline::Timeline;
use crate::calls::labels;
use crate::calls::record::{Call, Carrier, Class};
use crate::calls::stats::{CodeCount, MAX_ROWS, Operation, OperationRef, Row};
use crate::calls::template::template;
use crate::time::Timestamp;

/// The most kinds of errors; further kinds are counted together by class.
const GROUPS_LIMIT: usize = 16_384;
/// Number of a method in the [`Catalog`].
pub(super) type MethodId = u32;
/// Number of a kind of error in the [`Catalog`].
pub(super) type GroupId = u32;

/// A kind of error: what the Errors view has a row for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    /// `None` for the kind that counts all errors beyond the limits.
    pub method: Option<MethodId>,
    pub class: Option<Class>,
    pub carrier: Carrier,
    pub code: Option<i64>,
    pub code_name: Option<&'static str>,
    /// Message with its changing parts folded.
    pub template: Box<str>,
}

/// All methods and kinds of errors seen so far.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    pub methods: Vec<Operation>,
    pub groups: Vec<Group>,
    method_ids: HashMap<Operation, MethodId>,
    group_ids: HashMap<Group, GroupId>,
}

impl Catalog {
    /// `service.method` of a method as far as known, safe for a terminal; empty where it has no number.
    pub(super) fn label(&self, method: Option<MethodId>) -> String {
        method.and_then(|id| self.methods.get(id as usize)).map(Operation::label).unwrap_or_default()
    }

    /// The numbers of a call's method and, if it failed, of its kind of error.
    pub(super) fn classify(&mut self, call: &Call) -> (Option<MethodId>, Option<GroupId>) {
        let method = self.method(call);
        let group = call.failed().then(|| self.group(call, method));
        (method, group)
    }

    fn method(&mut self, call: &Call) -> Option<MethodId> {
        if let Some(id) = self.method_ids.get(&OperationRef::of(call)) {
            return Some(*id);
        }
        if self.methods.len() >= MAX_ROWS {
            return None;
        }
        let id = self.methods.len() as MethodId;
        self.methods.push(Operation::of(call));
        self.method_ids.insert(Operation::of(call), id);
        Some(id)
    }

    fn group(&mut self, call: &Call, method: Option<MethodId>) -> GroupId {
        let outcome = &call.outcome;
        let mut group = Group {
            method,
            class: outcome.class,
            carrier: outcome.carrier,
            code: outcome.code,
            code_name: outcome.code_name,
            template: folded(call).into(),
        };
        if let Some(id) = self.group_ids.get(&group) {
            return *id;
        }
        if self.groups.len() >= GROUPS_LIMIT {
            group = Group {
                method: None,
                class: outcome.class,
                carrier: Carrier::None,
                code: None,
                code_name: None,
                template: "(other kinds of errors: too many to be listed)".into(),
            };
            if let Some(id) = self.group_ids.get(&group) {
                return *id;
            }
        }
        let id = self.groups.len() as GroupId;
        self.groups.push(group.clone());
        self.group_ids.insert(group, id);
        id
    }
}

/// The text of an error with its changing parts folded, or its name where it has no text.
fn folded(call: &Call) -> String {
    let outcome = &call.outcome;
    match outcome.message.as_deref().filter(|message| !message.is_empty()) {
        Some(message) => template(message),
        None if outcome.code.is_none() => labels::verdict(call),
        None => outcome.code_name.unwrap_or("(no message)").to_owned(),
    }
}

/// Figures of one method.
#[derive(Clone, Debug)]
pub(super) struct MethodFigures {
    /// The same sums as `rpcscope stats` prints.
    pub sums: Row,
    pub spark: Spark,
    /// The newest failed call, or the newest call if none failed.
    pub example: Serial,
    failed: bool,
}

impl MethodFigures {
    fn new(call: &Call, window: Window) -> Self {
        Self { sums: Row::new(Operation::of(call)), spark: Spark::new(window), example: 0, failed: false }
    }

    /// Share of one class, in percent.
    pub(super) fn percent(&self, class: Class) -> f64 {
        self.sums.class(class) as f64 * 100.0 / self.sums.calls.max(1) as f64
    }

    /// The code that came most often.
    pub(super) fn top_code(&self) -> Option<&CodeCount> {
        let codes = self.sums.codes.iter().filter(|code| code.code.is_some());
        codes.min_by_key(|code| (Reverse(code.count), code.class, code.carrier, code.code))
    }

    fn count(&mut self, call: &Call, serial: Serial, window: Window) {
        self.sums.add(call);
        if call.failed() || !self.failed {
            self.example = serial;
            self.failed = call.failed();
        }
        self.spark.add(window, call.end);
    }
}

/// Figures of one kind of error.
#[derive(Clone, Debug)]
pub(super) struct GroupFigures {
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
    pub spark: Spark,
    /// The newest call of this kind.
    pub example: Serial,
}

/// Figures of a set of calls.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    window: Option<Window>,
    methods: Vec<Option<Box<MethodFigures>>>,
    groups: Vec<Option<Box<GroupFigures>>>,
    /// Earliest start of a call.
    pub first: Option<Timestamp>,
    /// Latest end of a call.
    pub last: Option<Timestamp>,
    /// Calls counted.
    pub calls: u64,
    /// Calls counted of each class.
    pub classes: [u64; CLASSES],
    pub timeline: Timeline,
}

impl Figures {
    /// Counts one call.
    pub(super) fn count(
        &mut self,
        call: &Call,
        serial: Serial,
        method: Option<MethodId>,
        group: Option<GroupId>,
    ) {
        let window = self.window.get_or_insert_with(|| Window::new(call.start));
        window.reach(call.end);
        let window = *window;
        self.calls += 1;
        self.classes[class_index(call.class())] += 1;
        self.timeline.add(call.start, call.class());
        self.first = Some(self.first.map_or(call.start, |first| first.min(call.start)));
        self.last = Some(self.last.map_or(call.end, |last| last.max(call.end)));
        if let Some(slot) = method.map(|id| slot(&mut self.methods, id)) {
            let figures = slot.get_or_insert_with(|| Box::new(MethodFigures::new(call, window)));
            figures.count(call, serial, window);
        }
        if let Some(slot) = group.map(|id| slot(&mut self.groups, id)) {
            let figures = slot.get_or_insert_with(|| {
                Box::new(GroupFigures {
                    count: 0,
                    first: call.end,
                    last: call.end,
                    spark: Spark::new(window),
                    example: serial,
                })
            });
            figures.count += 1;
            figures.first = figures.first.min(call.end);
            figures.last = figures.last.max(call.end);
            figures.example = serial;
            figures.spark.add(window, call.end);
        }
    }

    /// Figures of one method; `None` if no call of it was counted.
    pub(super) fn method(&self, id: MethodId) -> Option<&MethodFigures> {
        self.methods.get(id as usize)?.as_deref()
    }

    /// Figures of one kind of error.
    pub(super) fn group(&self, id: GroupId) -> Option<&GroupFigures> {
        self.groups.get(id as usize)?.as_deref()
    }

    /// Numbers of the methods that have figures.
    pub(super) fn method_ids(&self) -> impl Iterator<Item = MethodId> + '_ {
        present(&self.methods)
    }

    /// Numbers of the kinds of errors that have figures.
    pub(super) fn group_ids(&self) -> impl Iterator<Item = GroupId> + '_ {
        present(&self.groups)
    }

    /// The bars of a history in the common time window.
    pub(super) fn bars(&self, spark: &Spark) -> [u32; super::spark::BARS] {
        self.window.map_or([0; super::spark::BARS], |window| spark.counts(window))
    }

    /// Seconds from the first call to the last, at least one, as in `rpcscope stats`.
    pub(super) fn seconds(&self) -> f64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => (last.since(first) as f64 / 1e9).max(1.0),
            _ => 1.0,
        }
    }
}

fn slot<T>(slots: &mut Vec<Option<T>>, id: u32) -> &mut Option<T> {
    let at = id as usize;
    if slots.len() <= at {
        slots.resize_with(at + 1, || None);
    }
    &mut slots[at]
}

fn present<T>(slots: &[Option<T>]) -> impl Iterator<Item = u32> + '_ {
    slots.iter().enumerate().filter(|(_, slot)| slot.is_some()).map(|(id, _)| id as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::stats::Stats;
    use crate::tui::state::testing::{call, failed};

    #[test]
    fn figures_of_a_method_are_those_of_the_stats_command() {
        let (mut catalog, mut figures, mut stats) =
            (Catalog::default(), Figures::default(), Stats::default());
        for n in 0..50 {
            let mut call = match n % 10 {
                3 => failed(n, Class::Business, 4041, "no stock"),
                7 => failed(n, Class::Rpc, 6, ""),
                9 => failed(n, Class::Oneway, 0, ""),
                _ => call(n),
            };
            call.latency = Some(1_000_003 + n * n * 977_777);
            let (method, group) = catalog.classify(&call);
            figures.count(&call, n, method, group);
            stats.add(&call);
        }
        let (row, counted) = (&stats.rows()[0], figures.method(0).unwrap());
        assert_eq!(counted.sums.latency(), row.latency());
        assert_eq!(counted.sums.latency().unwrap().max, 1_000_003 + 49 * 49 * 977_777, "exactly");
        assert_eq!((counted.sums.rpc_success(), counted.sums.success()), (row.rpc_success(), row.success()));
        assert_eq!(counted.top_code(), row.codes.first());
        assert!((figures.seconds() - stats.seconds()).abs() < 1e-9);
    }
}
