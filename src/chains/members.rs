//! The calls of a window with what their headers say, and which of them a host had in work at a time.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use super::traits::{Number, Traits};
use crate::calls::record::{Call, CallKind, Class};

pub(super) type Map<K, V> = HashMap<K, V, FixedState>;
pub(super) type Set<K> = HashSet<K, FixedState>;

/// How much earlier than its cause a call may seem to begin, and how much later to end, nanoseconds. Within one capture,
/// causes come before effects.
const SLACK: i64 = 0;

/// How long after a call's answer it still counts as a possible cause, where that is weighed, nanoseconds.
const LATE: i64 = 100_000_000;

/// Most answered calls that do.
const MAX_LATE: usize = 6;

/// A call with what its headers say.
pub(super) struct Member<'a> {
    /// The call.
    pub(super) call: &'a Call,
    /// What its headers say.
    pub(super) traits: &'a Traits,
    /// Its cause, if an earlier window has settled it.
    pub(super) settled: Option<u32>,
    /// Whether its cause is wanted (or settled); if not, it only serves as a possible cause.
    pub(super) is_child: bool,
    /// Numbers of the hosts that made and that answered it, and of its connection.
    pub(super) caller: u32,
    pub(super) callee: u32,
    pub(super) connection: u32,
    /// What [`Traits`] say of its times and its end, together for the many comparisons of calls with each other.
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) answered: bool,
    pub(super) kind: CallKind,
    pub(super) class: Option<Class>,
    pub(super) since_opening: u32,
    /// See [`Self::work`].
    work: (i64, i64),
}

/// The numbers of the machines and connections of a window.
#[derive(Default)]
pub(super) struct Numbers {
    machines: Map<u64, u32>,
    connections: Map<u64, u32>,
}

/// The number of a thing; things are numbered in the order in which they come.
pub(super) fn number(of: &mut Map<u64, u32>, thing: u64) -> u32 {
    let next = of.len() as u32;
    *of.entry(thing).or_insert(next)
}

impl<'a> Member<'a> {
    pub(super) fn new(
        call: &'a Call,
        traits: &'a Traits,
        settled: Option<u32>,
        is_child: bool,
        numbers: &mut Numbers,
    ) -> Self {
        let Traits { machines, connection, start, end, answered, kind, class, since_opening, work, .. } =
            *traits;
        let [caller, callee] = machines.map(|machine| number(&mut numbers.machines, machine));
        let connection = number(&mut numbers.connections, connection);
        Self {
            call,
            traits,
            settled,
            is_child,
            caller,
            callee,
            connection,
            start,
            end,
            answered,
            kind,
            class,
            since_opening,
            work,
        }
    }

    /// See [`Traits::work`].
    pub(super) fn work(&self) -> (i64, i64) {
        self.work
    }
}

/// How many machines the members are numbered by.
pub(super) fn count_hosts(members: &[Member<'_>]) -> usize {
    members.iter().map(|member| member.caller.max(member.callee) as usize + 1).max().unwrap_or(0)
}

/// How many connections they are numbered by.
pub(super) fn count_connections(members: &[Member<'_>]) -> usize {
    members.iter().map(|member| member.connection as usize + 1).max().unwrap_or(0)
}

/// Whether the child began and ended while the parent was in work.
pub(super) fn contains(parent: &Member<'_>, child: &Member<'_>) -> bool {
    let (start, end) = parent.work();
    let work = start.saturating_sub(SLACK)..=end.saturating_add(SLACK);
    work.contains(&child.start) && (!child.answered || child.end <= end.saturating_add(SLACK))
}

/// Whether a call began early enough to be the cause of one that began at `time`.
pub(super) fn is_begun(parent: &Member<'_>, time: i64) -> bool {
    parent.work().0 <= time.saturating_add(SLACK)
}

/// All calls to one address, as possible causes of the calls that its processes make.
#[derive(Default)]
pub(super) struct HostCalls {
    /// Possible causes, by the beginning of their work.
    pub(super) parents: Vec<u32>,
    /// Names of the services at this address.
    pub(super) names: Set<u64>,
    /// The number of causes that carry a header value.
    pub(super) values: Map<u64, u32>,
    /// Ports at which calls were answered.
    pub(super) ports: Set<u16>,
    /// Operations that were called.
    pub(super) methods: Set<u64>,
    /// Number of calls that were made from here, and of those that were made while another was in work.
    made: usize,
    covered: usize,
}

/// Most calls of a host that are linked jointly, of those that others may have caused.
const MAX_JOINT: usize = 320;

impl HostCalls {
    /// Whether its calls are linked jointly, by all evidence at once.
    pub(super) fn is_small(&self) -> bool {
        self.covered <= MAX_JOINT
    }

    /// Whether calls after an answer may have been caused by what was answered: not where several services share the address, as too
    /// much is open already, nor where many calls are made.
    pub(super) fn has_late(&self) -> bool {
        self.made <= MAX_JOINT && !self.is_shared()
    }

    /// Whether several services share the address.
    pub(super) fn is_shared(&self) -> bool {
        self.ports.len() > 1
    }
}

/// The calls to every address from which calls were made, by the numbers of hosts.
pub(super) struct Hosts(Vec<HostCalls>);

impl Hosts {
    /// The calls to a host, if there were any.
    pub(super) fn get(&self, host: u32) -> Option<&HostCalls> {
        self.0.get(host as usize).filter(|host| !host.parents.is_empty())
    }

    /// Whether the host of that number made any call.
    pub(super) fn makes_calls(&self, host: u32) -> bool {
        self.0.get(host as usize).is_some_and(|host| host.made > 0)
    }

    /// Greatest number of a host, plus one.
    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

/// Collects the calls to every address from which calls were made.
pub(super) fn hosts(members: &[Member<'_>]) -> Hosts {
    let mut hosts: Vec<HostCalls> = Vec::new();
    hosts.resize_with(count_hosts(members), HostCalls::default);
    for member in members.iter().filter(|member| member.is_child) {
        hosts[member.caller as usize].made += 1;
    }
    for (index, member) in members.iter().enumerate() {
        let host = &mut hosts[member.callee as usize];
        if host.made == 0 {
            continue;
        }
        host.parents.push(index as u32);
        host.names.extend(member.traits.names.into_iter().flatten().map(Number::get));
        host.ports.insert(member.traits.server.port);
        host.methods.extend(member.traits.method.map(Number::get));
        for value in &member.traits.values {
            *host.values.entry(*value).or_default() += 1;
        }
    }
    for host in &mut hosts {
        host.parents.sort_by_key(|&parent| members[parent as usize].work().0);
    }
    count_covered(members, &mut hosts);
    Hosts(hosts)
}

/// Counts the calls of every host that began while another was in work there.
fn count_covered(members: &[Member<'_>], hosts: &mut [HostCalls]) {
    // By host: the next parent that has not begun, and until when the others are in work.
    let mut sweep = vec![(0_usize, i64::MIN); hosts.len()];
    for child in members.iter().filter(|member| member.is_child) {
        let host = &mut hosts[child.caller as usize];
        let (next, until) = &mut sweep[child.caller as usize];
        while let Some(parent) = host.parents.get(*next).map(|&parent| &members[parent as usize])
            && is_begun(parent, child.start)
        {
            *until = (*until).max(parent.work().1.saturating_add(SLACK));
            *next += 1;
        }
        host.covered += usize::from(child.start <= *until);
    }
}

/// The calls in work at each host, in a sweep over time.
pub(super) struct InWork {
    /// By host: the next parent that has not begun, and those in work.
    hosts: Vec<(usize, Vec<u32>)>,
}

impl InWork {
    pub(super) fn new(hosts: &Hosts) -> Self {
        Self { hosts: vec![(0, Vec::new()); hosts.count()] }
    }

    /// Calls to the host of that number that are in work at `time`, by the beginning of their work. Times must not decrease. With `late`, also those
    /// that were answered a moment before: at most [`MAX_LATE`], the last ones to be answered.
    pub(super) fn at(
        &mut self,
        number: u32,
        host: &HostCalls,
        members: &[Member<'_>],
        time: i64,
        late: bool,
    ) -> &[u32] {
        let (next, in_work) = &mut self.hosts[number as usize];
        while let Some(&parent) = host.parents.get(*next)
            && is_begun(&members[parent as usize], time)
        {
            in_work.push(parent);
            *next += 1;
        }
        let end = |parent: u32| members[parent as usize].work().1.saturating_add(SLACK);
        let since = if late {
            // The last ends, ascending.
            let mut latest = [time.saturating_sub(LATE); MAX_LATE];
            for end in in_work.iter().map(|&parent| end(parent)).filter(|end| *end < time) {
                if end > latest[0] {
                    latest[0] = end;
                    latest.sort_unstable();
                }
            }
            latest[0]
        } else {
            time
        };
        in_work.retain(|&parent| end(parent) >= since);
        in_work
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{calls, with_members};
    use super::*;

    #[test]
    fn calls_while_nothing_is_in_work_make_no_host_busy() {
        let is_small = |inside: i64, outside: i64| {
            let mut all = vec![(1, 2, 0, 1_000)];
            all.extend((0..inside).map(|at| (2, 3, 1 + at, 2 + at)));
            all.extend((0..outside).map(|at| (2, 3, 2_000 + at, 2_001 + at)));
            with_members(&calls(&all), |members| {
                let hosts = hosts(members);
                let host = hosts.get(members[0].callee).expect("it has calls");
                (host.is_small(), host.has_late())
            })
        };
        let most = MAX_JOINT as i64;
        assert_eq!(is_small(3, 3), (true, true));
        assert_eq!(is_small(3, most), (true, false));
        assert_eq!(is_small(most, 1), (true, false));
        assert_eq!(is_small(most + 1, 0), (false, false));
    }
}
