//! Calls whose name was sent before the capture began, in groups of the same name: the name of one is the name of all.
//!
//! A header of a request is believed. The text of an answer that quotes what was asked for is believed until a call of the
//! group is served: then whoever said that there is no such method spoke of another one, further down. Each call that has
//! its name from there says so ([`Finding::NameFromAnswer`]).

use hashbrown::HashMap;
use rpcscope_parsers::Rpc;
use rpcscope_parsers::event::{Quoted, Text};

use super::Matcher;
use super::pending_calls::PendingCalls;
use crate::calls::record::{Call, Class, Finding, Name};

/// Service and method, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Names {
    service: Option<Name>,
    method: Option<Name>,
}

/// What is known of the name of a group.
#[derive(Debug, Default)]
enum GroupName {
    #[default]
    Unknown,
    /// Nothing, and no answer will be believed to be the first word on it.
    Served,
    /// Quoted by an answer.
    Quoted(Names),
    /// Said by the headers of a request.
    Sent(Names),
    /// Different things, so none of them.
    Contradictions,
}

/// The groups of a connection, by [`Call::unknown_name`].
#[derive(Debug, Default)]
pub(super) struct Groups(HashMap<u64, GroupName, foldhash::fast::RandomState>);

impl Groups {
    fn name(&mut self, group: u64) -> &mut GroupName {
        self.0.entry(group).or_default()
    }
}

impl Names {
    fn of(call: &Call) -> Self {
        Self { service: call.service.clone(), method: call.method.clone() }
    }

    fn give(&self, call: &mut Call, quoted: bool) {
        call.service.clone_from(&self.service);
        call.method.clone_from(&self.method);
        if quoted {
            call.findings.insert(Finding::NameFromAnswer);
        }
    }
}

/// Whether an answer has given the call its name, or could.
fn is_open(call: &Call) -> bool {
    call.rpc == Rpc::Grpc
        && (call.findings.contains(Finding::NameFromAnswer)
            || (call.service.is_none() && call.method.is_none()))
}

/// Takes a name away that an answer gave.
fn withdraw(call: &mut Call) {
    if call.findings.contains(Finding::NameFromAnswer) {
        call.findings.remove(Finding::NameFromAnswer);
        (call.service, call.method) = (None, None);
    }
}

impl Matcher {
    /// A call has begun whose own headers were read: it takes the name of its group, or names it.
    pub(super) fn join_group(&mut self, pending: &mut PendingCalls, call: &mut Call) {
        let Some(group) = call.unknown_name else { return };
        let known = pending.rare().groups.name(group);
        if call.method.is_none() {
            match known {
                GroupName::Quoted(names) => names.give(call, true),
                GroupName::Sent(names) => names.give(call, false),
                GroupName::Unknown | GroupName::Served | GroupName::Contradictions => {}
            }
            return;
        }
        let names = Names::of(call);
        match known {
            GroupName::Sent(before) if *before != names => *known = GroupName::Contradictions,
            GroupName::Sent(_) | GroupName::Contradictions => {}
            GroupName::Unknown | GroupName::Served | GroupName::Quoted(_) => {
                *known = GroupName::Sent(names.clone());
                self.of_group(pending, group, |call| {
                    withdraw(call);
                    if call.method.is_none() {
                        names.give(call, false);
                    }
                });
            }
        }
    }

    /// A call was answered: what the answer quotes is its name, unless calls of its group were served; or it is served
    /// itself.
    pub(super) fn weigh_answer(
        &mut self,
        pending: &mut PendingCalls,
        call: &mut Call,
        class: Option<Class>,
        quoted: Option<&Quoted<'_>>,
    ) {
        if !is_open(call) {
            return;
        }
        let served = matches!(class, Some(Class::Ok | Class::Business)) || call.response_messages > 0;
        let mut name = |text: Option<Text<'_>>| text.and_then(|text| self.names.get(&text.decode()));
        let names = quoted
            .filter(|_| !served)
            .map(|quoted| Names { service: name(quoted.service), method: name(quoted.method) });
        let Some(group) = call.unknown_name else {
            if let Some(names) = names {
                names.give(call, true);
            }
            return;
        };
        let known = pending.rare().groups.name(group);
        match (names, &*known) {
            (Some(names), GroupName::Unknown) => {
                *known = GroupName::Quoted(names.clone());
                names.give(call, true);
                self.of_group(pending, group, |call| {
                    if is_open(call) {
                        names.give(call, true);
                    }
                });
            }
            (Some(names), GroupName::Quoted(before)) if names != *before => {
                *known = GroupName::Contradictions;
                withdraw(call);
                self.of_group(pending, group, withdraw);
            }
            (None, GroupName::Unknown | GroupName::Quoted(_)) if served => {
                *known = GroupName::Served;
                withdraw(call);
                self.of_group(pending, group, withdraw);
            }
            _ => {}
        }
    }

    /// Does something to all calls of a group that are within reach: those that wait, and those that were just decided.
    fn of_group(&mut self, pending: &mut PendingCalls, group: u64, change: impl Fn(&mut Call)) {
        let waiting = pending.iter_mut().map(|waiting| &mut waiting.call);
        for call in waiting.chain(&mut self.grace).filter(|call| call.unknown_name == Some(group)) {
            change(call);
        }
    }
}
