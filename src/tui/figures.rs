//! Figures for each method and each kind of error, counted as calls arrive.
//!
//! The [`Catalog`] numbers methods and kinds of errors; [`Figures`] counts by these numbers. There are figures of all calls
//! and, while a filter is active, of the calls that pass it.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use hdrhistogram::Histogram;

use super::spark::{Spark, Window};
use super::store::Serial;
use super::template::template;
use super::theme::{CLASSES, class_index};
use crate::calls::labels::{self, push_operation};
use crate::calls::record::{Call, Carrier, Class, Name};
use crate::time::Timestamp;

/// The most methods with figures of their own; calls of other methods are only in the totals.
const METHODS_LIMIT: usize = 4_096;
/// The most kinds of errors; further kinds are counted together by class.
const GROUPS_LIMIT: usize = 16_384;
/// The most codes that are counted for one method.
const CODES_LIMIT: usize = 64;
/// Significant decimal digits of latencies.
const LATENCY_DIGITS: u8 = 2;

/// Number of a method in the [`Catalog`].
pub(super) type MethodId = u32;
/// Number of a kind of error in the [`Catalog`].
pub(super) type GroupId = u32;

/// A method as the wire names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Method {
    pub service: Option<Name>,
    pub name: Option<Name>,
    pub unknown_name: Option<u64>,
    pub rpc: &'static str,
}

/// The same, borrowed for look-ups.
struct MethodRef<'a> {
    service: Option<&'a str>,
    name: Option<&'a str>,
    unknown_name: Option<u64>,
    rpc: &'static str,
}

impl Method {
    fn borrowed(&self) -> MethodRef<'_> {
        MethodRef {
            service: self.service.as_deref(),
            name: self.name.as_deref(),
            unknown_name: self.unknown_name,
            rpc: self.rpc,
        }
    }

    /// `service.method` as far as known, safe for a terminal.
    pub(super) fn label(&self) -> String {
        let mut label = String::new();
        push_operation(&mut label, self.service.as_deref(), self.name.as_deref(), self.unknown_name);
        label
    }
}

impl MethodRef<'_> {
    fn feed<H: Hasher>(&self, state: &mut H) {
        (self.service, self.name, self.unknown_name, self.rpc).hash(state);
    }
}

impl Hash for Method {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().feed(state);
    }
}

impl Hash for MethodRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.feed(state);
    }
}

impl Equivalent<Method> for MethodRef<'_> {
    fn equivalent(&self, key: &Method) -> bool {
        self.service == key.service.as_deref()
            && self.name == key.name.as_deref()
            && self.unknown_name == key.unknown_name
            && self.rpc == key.rpc
    }
}

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
    pub methods: Vec<Method>,
    pub groups: Vec<Group>,
    method_ids: HashMap<Method, MethodId>,
    group_ids: HashMap<Group, GroupId>,
}

impl Catalog {
    /// `service.method` of a method; empty where it has no number.
    pub(super) fn label(&self, method: Option<MethodId>) -> String {
        method.and_then(|id| self.methods.get(id as usize)).map(Method::label).unwrap_or_default()
    }

    /// The numbers of a call's method and, if it failed, of its kind of error.
    pub(super) fn classify(&mut self, call: &Call) -> (Option<MethodId>, Option<GroupId>) {
        let method = self.method(call);
        let group = call.failed().then(|| self.group(call, method));
        (method, group)
    }

    fn method(&mut self, call: &Call) -> Option<MethodId> {
        let key = MethodRef {
            service: call.service.as_deref(),
            name: call.method.as_deref(),
            unknown_name: call.nameless(),
            rpc: call.rpc.name(),
        };
        if let Some(id) = self.method_ids.get(&key) {
            return Some(*id);
        }
        if self.methods.len() >= METHODS_LIMIT {
            return None;
        }
        let method = Method {
            service: call.service.clone(),
            name: call.method.clone(),
            unknown_name: call.nameless(),
            rpc: call.rpc.name(),
        };
        let id = self.methods.len() as MethodId;
        self.methods.push(method.clone());
        self.method_ids.insert(method, id);
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
    pub calls: u64,
    pub classes: [u64; CLASSES],
    /// Nanoseconds.
    pub latency: Histogram<u32>,
    pub spark: Spark,
    /// The newest failed call, or the newest call if none failed.
    pub example: Serial,
    failed: bool,
    /// Codes of failed calls and how often they came.
    codes: Vec<(Option<Class>, i64, Option<&'static str>, u64)>,
}

impl MethodFigures {
    fn new(window: Window) -> Option<Self> {
        // Fails only for more than five digits.
        let latency = Histogram::new(LATENCY_DIGITS).ok()?;
        Some(Self {
            calls: 0,
            classes: [0; CLASSES],
            latency,
            spark: Spark::new(window),
            example: 0,
            failed: false,
            codes: Vec::new(),
        })
    }

    /// Calls of one class.
    pub(super) fn of(&self, class: Class) -> u64 {
        self.classes[class_index(Some(class))]
    }

    /// Share of one class, in percent.
    pub(super) fn percent(&self, class: Class) -> f64 {
        if self.calls == 0 { 0.0 } else { self.of(class) as f64 * 100.0 / self.calls as f64 }
    }

    /// The code that came most often, with its class and name.
    pub(super) fn top_code(&self) -> Option<(Option<Class>, i64, Option<&'static str>, u64)> {
        self.codes.iter().copied().max_by_key(|(_, _, _, count)| *count)
    }

    fn count(&mut self, call: &Call, serial: Serial, window: Window) {
        self.calls += 1;
        if call.failed() || !self.failed {
            self.example = serial;
            self.failed = call.failed();
        }
        self.classes[class_index(call.class())] += 1;
        if let Some(latency) = call.latency {
            // Never fails: the histogram resizes itself.
            _ = self.latency.record(latency);
        }
        self.spark.add(window, call.end);
        if let (true, Some(code)) = (call.failed(), call.outcome.code) {
            let class = call.class();
            if let Some(known) = self.codes.iter_mut().find(|(c, n, _, _)| *c == class && *n == code) {
                known.3 += 1;
            } else if self.codes.len() < CODES_LIMIT {
                self.codes.push((class, code, call.outcome.code_name, 1));
            }
        }
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
        self.first = Some(self.first.map_or(call.start, |first| first.min(call.start)));
        self.last = Some(self.last.map_or(call.end, |last| last.max(call.end)));
        if let Some(slot) = method.map(|id| slot(&mut self.methods, id)) {
            if slot.is_none() {
                *slot = MethodFigures::new(window).map(Box::new);
            }
            if let Some(figures) = slot {
                figures.count(call, serial, window);
            }
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

    /// Seconds from the first call to the last; never 0.
    pub(super) fn seconds(&self) -> f64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => (last.since(first) as f64 / 1e9).max(1e-3),
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
