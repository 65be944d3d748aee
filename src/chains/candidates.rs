//! Which calls can have caused a call at all, and what all evidence but time says of each pair.

use smallvec::{SmallVec, smallvec};

use super::assign::SETTLED;
use super::by_id::{Between, ById};
use super::connections::Connections;
use super::members::{HostCalls, Hosts, InWork, Map, Member, Set, contains, count_connections, hosts};
use super::record::{Evidence, EvidenceSet};
use super::traits::{hash, is_rich};
use super::wording;
use crate::calls::record::{Call, CallKind, Class, Initiator};

/// Most possible causes of one call that are considered.
pub(super) const MAX_CANDIDATES: usize = 256;

/// How long after a call's answer live chains wait for calls that it made late, nanoseconds.
pub(super) const LATE: i64 = 1_000_000_000;

/// Assumed number of different values of a header that looks like an id.
const RICH_DOMAIN: f32 = 1_000.0;

/// Shortest error text whose repetition in another answer is evidence.
const MIN_TEXT: usize = 8;

/// By how much a propagated deadline may come before that of the parent, nanoseconds: the time the call lost on its way.
const DEADLINE: i64 = 3_000_000;

/// By how much it may come after it, nanoseconds: where time-outs are exact, and where they are in milliseconds, which some
/// libraries round up. Time-outs that differ by less count as equal.
const LATER: [i64; 2] = [200_000, 1_100_000];

/// A possible cause of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Index of the cause.
    pub(super) parent: u32,
    /// Logarithm of the evidence's likelihood ratio.
    pub(super) weight: f32,
    /// The evidence for it.
    pub(super) evidence: EvidenceSet,
    /// Whether another service stands between both.
    pub(super) between: Between,
}

/// The possible causes of a call: mostly one.
pub(super) type Candidates = SmallVec<[Candidate; 1]>;

/// Pipelined calls of a connection that must be answered in order before it counts as served one call at a time.
const IN_ORDER: u32 = 4;

/// Weight from which connections are listed as evidence.
const LISTED: f32 = 1.0;

/// Weight against a call that was most likely still queued.
const QUEUED: f32 = 4.0;

/// When the work on each member can have begun. On a connection that is served one call at a time, work on a call begins when
/// the call before it has been answered, no matter when it was sent.
pub(super) fn begun(members: &[Member<'_>]) -> Vec<i64> {
    let mut begun: Vec<i64> = members.iter().map(|member| member.work().0).collect();
    let mut connections = vec![Served::default(); count_connections(members)];
    each_next(members, |connection, this, before| {
        let (this, before) = (members[this].work(), members[before].work());
        let served = &mut connections[connection];
        served.queued += u32::from(this.0 < before.1);
        served.out_of_order |= before.1 > this.1;
    });
    if !connections.iter().any(Served::is_one_at_a_time) {
        return begun;
    }
    each_next(members, |connection, this, before| {
        if connections[connection].is_one_at_a_time() {
            begun[this] = begun[this].max(members[before].work().1.min(members[this].work().1));
        }
    });
    begun
}

/// How the calls of a connection are answered.
#[derive(Clone, Default)]
struct Served {
    /// Calls that were sent before the one before them was answered.
    queued: u32,
    /// Whether an answer came before that of an earlier call.
    out_of_order: bool,
}

impl Served {
    fn is_one_at_a_time(&self) -> bool {
        !self.out_of_order && self.queued >= IN_ORDER
    }
}

/// Each answered unary call but the first of its connection: the connection, the call, and the one before it.
fn each_next(members: &[Member<'_>], mut each: impl FnMut(usize, usize, usize)) {
    let mut last: Vec<Option<u32>> = vec![None; count_connections(members)];
    for (index, member) in members.iter().enumerate() {
        if matches!(member.kind, CallKind::Unary) && member.answered {
            let connection = member.connection as usize;
            if let Some(before) = last[connection].replace(index as u32) {
                each(connection, index, before as usize);
            }
        }
    }
}

/// The possible causes of the members of a window.
pub(super) struct Found {
    /// By member.
    pub(super) candidates: Vec<Candidates>,
    /// Members with too many possible causes, of which only the latest were considered.
    pub(super) crowded: Vec<u32>,
    /// By member: whether its host makes so few calls that all evidence is weighed together with its other links.
    pub(super) joint: Vec<bool>,
}

/// Finds the possible causes of every member, and weighs them. `members` are sorted by start; `begun` is when the work on each
/// began.
pub(super) fn candidates(members: &[Member<'_>], begun: &[i64]) -> Found {
    let hosts = hosts(members);
    let owners = Owners::new(members, &hosts);
    let connections = Connections::new(members, &hosts);
    let mut crowded = Vec::new();
    let mut in_work = InWork::new(&hosts);
    let mut begun_by = ById::new(members);
    let mut candidates: Vec<Candidates> = members
        .iter()
        .enumerate()
        .map(|(index, child)| {
            if !child.is_child {
                return Candidates::new();
            }
            let bearers = begun_by.at(members, child.start);
            if let Some(parent) = child.settled {
                let evidence = EvidenceSet::default();
                return smallvec![Candidate { parent, weight: SETTLED, evidence, between: Between::Nothing }];
            }
            if let Some(found) = bearers.causes(members, index, &hosts) {
                return found;
            }
            let Some(host) = hosts.get(child.caller) else { return Candidates::new() };
            let joint = host.is_small();
            let late = host.has_late();
            let in_work = in_work.at(child.caller, host, members, child.start, late);
            let mut possible = possible(members, index, host, in_work, &owners, joint);
            if possible.parents.len() > MAX_CANDIDATES {
                possible.parents.drain(..possible.parents.len() - MAX_CANDIDATES);
                crowded.push(index as u32);
            }
            weigh(members, begun, index, host, &possible, &connections, joint)
        })
        .collect();
    drop_strangers(members, &hosts, &mut candidates);
    drop_outlived(members, &hosts, &mut candidates);
    let is_joint = |member: &Member<'_>| hosts.get(member.caller).is_some_and(HostCalls::is_small);
    let joint = members.iter().map(is_joint).collect();
    Found { candidates, crowded, joint }
}

/// Drops calls after the answer where no call of the host begins while another is in work at it: its calls have nothing to do with
/// those that it answers.
fn drop_strangers(members: &[Member<'_>], hosts: &Hosts, candidates: &mut [Candidates]) {
    let is_late = |child: &Member<'_>, candidate: &Candidate| {
        candidate.weight < SETTLED && members[candidate.parent as usize].work().1 < child.start
    };
    let mut busy = vec![false; hosts.count()];
    for (child, candidates) in members.iter().zip(candidates.iter()) {
        if candidates.iter().any(|candidate| !is_late(child, candidate)) {
            busy[child.caller as usize] = true;
        }
    }
    for (child, candidates) in members.iter().zip(candidates) {
        if !busy[child.caller as usize] {
            candidates.retain(|candidate| !is_late(child, candidate));
        }
    }
}

/// Calls of a host by which it shows that none of its calls outlives its cause: if one in thirty did, all of these would hide it in one of
/// thirty cases.
const MIN_CONTAINED: u32 = 100;

/// Drops causes that a call outlives, if another cause contains it, where every call of the host has a cause that contains it: a host
/// that answers before its calls end shows it by some call that nothing contains.
fn drop_outlived(members: &[Member<'_>], hosts: &Hosts, candidates: &mut [Candidates]) {
    let by_id = [Evidence::TraceId, Evidence::LogId];
    let is_outlived = |child: &Member<'_>, candidate: &Candidate| {
        let end = members[candidate.parent as usize].work().1;
        child.start <= end
            && child.end > end
            && !by_id.iter().any(|evidence| candidate.evidence.contains(*evidence))
    };
    // A try that another one beat, and a call without an answer, end whenever their caller gives them up.
    let ends_by_itself = |child: &Member<'_>| {
        child.settled.is_none()
            && child.answered
            && !matches!(child.class, Some(Class::Transport | Class::Unanswered))
    };
    let contained = |child: &Member<'_>, found: &[Candidate]| {
        found.iter().any(|candidate| contains(&members[candidate.parent as usize], child))
    };
    let mut outlives = vec![false; hosts.count()];
    let mut within = vec![0; hosts.count()];
    for (child, found) in members.iter().zip(candidates.iter()).filter(|(child, _)| ends_by_itself(child)) {
        if contained(child, found) {
            within[child.caller as usize] += 1;
        } else if found.iter().any(|candidate| is_outlived(child, candidate)) {
            outlives[child.caller as usize] = true;
        }
    }
    for (child, found) in members.iter().zip(candidates).filter(|(child, _)| ends_by_itself(child)) {
        let host = child.caller as usize;
        if outlives[host] || within[host] < MIN_CONTAINED || !contained(child, found) {
            continue;
        }
        let before = found.len();
        found.retain(|candidate| !is_outlived(child, candidate));
        if let [only] = &mut found[..]
            && before > 1
        {
            only.evidence.remove(Evidence::Timing);
            only.evidence.insert(Evidence::OnlyCandidate);
        }
    }
}

/// Which service behind a shared address makes the calls of a connection or under a caller's name: a service whose calls are
/// always in work when those are made.
struct Owners {
    /// By `(group, server port)`: calls of the group that fall into calls of the service, and all.
    cover: Map<(u64, u16), (u32, u32)>,
}

/// Fewest calls of a group to rule out a service as their maker.
const MIN_GROUP: u32 = 4;

/// Least share of a group's calls that fall into calls of the service that makes them.
const MIN_COVER: f64 = 0.5;

/// Whoever makes this call: its connection and the caller's name, because services of one process share connections.
fn group(call: &Call) -> u64 {
    hash(&(call.client.ip, call.client.port, &call.caller))
}

/// All calls of the same operation under the same caller's name.
fn wide_group(call: &Call) -> u64 {
    hash(&(call.client.ip, &call.caller, call.server, &call.method))
}

impl Owners {
    fn new(members: &[Member<'_>], hosts: &Hosts) -> Self {
        let mut cover: Map<(u64, u16), (u32, u32)> = Map::default();
        let mut in_work = InWork::new(hosts);
        for child in members.iter().filter(|member| member.is_child) {
            let Some(host) = hosts.get(child.caller).filter(|host| host.ports.len() > 1) else { continue };
            let mut inside: Set<u16> = Set::default();
            for &parent in in_work.at(child.caller, host, members, child.start, false) {
                let parent = &members[parent as usize];
                if contains(parent, child) {
                    inside.insert(parent.traits.server.port);
                }
            }
            for group in [group(child.call), wide_group(child.call)] {
                for &port in &host.ports {
                    let entry = cover.entry((group, port)).or_default();
                    entry.0 += u32::from(inside.contains(&port));
                    entry.1 += 1;
                }
            }
        }
        Self { cover }
    }

    /// Whether the service at that port can have made the call.
    fn allows(&self, child: &Call, port: u16) -> bool {
        [group(child), wide_group(child)].into_iter().all(|group| match self.cover.get(&(group, port)) {
            Some(&(inside, all)) if all >= MIN_GROUP => f64::from(inside) >= f64::from(all) * MIN_COVER,
            _ => true,
        })
    }
}

/// The processes that answered `parent` and that made `child`, if both are known.
fn processes(parent: &Member<'_>, child: &Member<'_>) -> Option<[u32; 2]> {
    if !parent.traits.has_processes || !child.traits.has_processes {
        return None;
    }
    let (server, client) = (parent.call.process(Initiator::Server)?, child.call.process(Initiator::Client)?);
    Some([server.pid, client.pid])
}

/// Whether a call is one that the service which answered `parent`, asked from elsewhere, made to itself at the same address and port.
fn is_own(parent: &Member<'_>, child: &Member<'_>) -> bool {
    let (upper, lower) = (parent.traits, child.traits);
    upper.server == lower.server && child.caller == child.callee && parent.caller != parent.callee
}

/// Whether `parent` can be the cause of another call, `child`, judged by processes and addresses.
pub(super) fn is_possible(parent: &Member<'_>, child: &Member<'_>) -> bool {
    if let Some([server, client]) = processes(parent, child) {
        return server == client;
    }
    // Services that call themselves are rare; two calls to one service, one inside the other, are not.
    let (upper, lower) = (parent.traits, child.traits);
    upper.server != lower.server && upper.client != lower.client
}

/// Calls that were in work when a call began and can be its cause.
struct Possible {
    parents: Vec<u32>,
    /// Whether names narrowed them down.
    named: bool,
}

/// Finds the possible causes of a call among those in work.
fn possible(
    members: &[Member<'_>],
    index: usize,
    host: &HostCalls,
    in_work: &[u32],
    owners: &Owners,
    joint: bool,
) -> Possible {
    let child = &members[index];
    let those = |test: fn(&Member<'_>, &Member<'_>) -> bool| -> Vec<u32> {
        let allowed = |&parent: &u32| {
            let other = &members[parent as usize];
            parent as usize != index
                && test(other, child)
                && (host.ports.len() < 2 || owners.allows(child.call, other.traits.server.port))
        };
        in_work.iter().copied().filter(allowed).collect()
    };
    let mut possible = those(is_possible);
    if possible.is_empty() {
        possible = those(|parent, child| is_own(parent, child) && contains(parent, child));
    }
    let keep = |possible: &mut Vec<u32>, test: &dyn Fn(&Member<'_>) -> bool| {
        let passes = |parent: &u32| test(&members[*parent as usize]);
        if possible.iter().any(passes) {
            possible.retain(passes);
        }
    };
    // The caller's name counts only if services at this address use such names.
    let mut named = false;
    if let Some(caller) = child.traits.caller
        && host.names.contains(&caller.get())
    {
        possible.retain(|&parent| {
            let names = members[parent as usize].traits.names;
            names == [None; 2] || names.contains(&Some(caller))
        });
        named = host.ports.len() > 1;
    }
    if let Some(method) = child.traits.from_method
        && host.methods.contains(&method.get())
    {
        keep(&mut possible, &|parent| parent.traits.method == Some(method));
        named = true;
    }
    // A propagated trace has the same id in both calls; another id is another trace.
    if child.traits.trace.is_some() {
        keep(&mut possible, &|parent| {
            parent.traits.trace.is_none() || parent.traits.trace == child.traits.trace
        });
    }
    // A try that another one beat may outlive its cause. Whether another call outlives it, or comes after its answer, is weighed where
    // it is open anyway which of the calls in work all the time is the cause; a single one of these is. Where several services share
    // the address, too much is open already.
    let beaten = matches!(child.class, Some(Class::Transport | Class::Unanswered));
    let inside = possible.iter().filter(|&&parent| contains(&members[parent as usize], child)).count();
    if !joint || (!beaten && (inside == 1 || host.is_shared())) {
        keep(&mut possible, &|parent| contains(parent, child));
    }
    Possible { parents: possible, named }
}

/// Weighs the possible causes of a call.
fn weigh(
    members: &[Member<'_>],
    begun: &[i64],
    index: usize,
    host: &HostCalls,
    possible: &Possible,
    connections: &Connections,
    joint: bool,
) -> Candidates {
    let child = &members[index];
    let Possible { parents: possible, named } = possible;
    let mut found: Candidates = possible
        .iter()
        .map(|&parent| {
            let mut candidate = pair(&members[parent as usize], child, host, joint);
            candidate.parent = parent;
            if is_own(&members[parent as usize], child) && !*named {
                candidate.between = Between::Itself;
            }
            if !joint && begun[parent as usize] > child.start {
                candidate.weight -= QUEUED;
            }
            let owned = connections.weight(&members[parent as usize], child, possible.len());
            candidate.weight += owned;
            if owned > LISTED {
                candidate.evidence.insert(Evidence::Connection);
            }
            if *named {
                candidate.evidence.insert(Evidence::Names);
            }
            candidate
        })
        .collect();
    // A value is evidence only if it distinguishes one of the possible causes from all others.
    let best = found.iter().map(|c| c.weight).fold(f32::MIN, f32::max);
    let close = found.iter().filter(|c| c.weight > best - 3.0).count();
    for candidate in &mut found {
        let sole = candidate.weight >= best && close == 1 && possible.len() > 1;
        for evidence in [Evidence::Metadata, Evidence::Deadline, Evidence::Message] {
            if candidate.evidence.contains(evidence)
                && !sole
                && possible.len() > 1
                && evidence != Evidence::Message
            {
                candidate.evidence.remove(evidence);
            }
        }
    }
    // Nor is what holds for all of them.
    for evidence in [Evidence::Connection, Evidence::Message] {
        if found.len() > 1 && found.iter().all(|candidate| candidate.evidence.contains(evidence)) {
            for candidate in &mut found {
                candidate.evidence.remove(evidence);
            }
        }
    }
    if let [only] = &mut found[..] {
        only.evidence.insert(Evidence::OnlyCandidate);
    } else if close > 1 {
        for candidate in &mut found {
            candidate.evidence.insert(Evidence::Timing);
        }
    }
    found
}

/// Whether the child's time-out is what remained of the parent's. Callers that use one time-out for all their calls have
/// deadlines just as close to each other, which is no evidence.
fn is_deadline_propagated(parent: &Member<'_>, child: &Member<'_>) -> bool {
    let (Some(upper), Some(lower)) = (parent.traits.deadline, child.traits.deadline) else { return false };
    let (Some(above), Some(below)) = (parent.call.timeout, child.call.timeout) else { return false };
    let later = LATER[usize::from(below % 1_000_000 == 0)];
    above.saturating_sub(below) > later as u64 && (-later..DEADLINE).contains(&(upper - lower))
}

/// Weighs two calls as cause and effect by their contents.
fn pair(parent: &Member<'_>, child: &Member<'_>, host: &HostCalls, joint: bool) -> Candidate {
    let mut evidence = EvidenceSet::default();
    let mut weight = 0.0;
    let all = host.parents.len() as f32;
    let mut shared = 0.0_f32;
    for value in &child.traits.values {
        if parent.traits.values.binary_search(value).is_ok() {
            // A value that few parents carry is unlikely to match by chance.
            let carriers = host.values.get(value).copied().unwrap_or(1);
            let all = if carriers == 1 && is_rich(*value) { all.max(RICH_DOMAIN) } else { all.max(2.0) };
            let share = carriers as f32 / all;
            shared += ((0.9 + 0.1 * share) / share).ln().max(0.0);
        }
    }
    if shared > 0.5 {
        evidence.insert(Evidence::Metadata);
        weight += shared.min(15.0);
    }
    if is_deadline_propagated(parent, child) {
        evidence.insert(Evidence::Deadline);
        weight += 3.0;
    }
    if processes(parent, child).is_some_and(|[server, client]| server == client) {
        evidence.insert(Evidence::Process);
    }
    if child.traits.failed {
        let texts = (&parent.call.outcome.message, &child.call.outcome.message);
        if let (Some(above), Some(below)) = texts
            && below.len() >= MIN_TEXT
            && wording::is_related(above, below)
        {
            evidence.insert(Evidence::Message);
            weight += if joint { 0.0 } else { 5.0 };
        }
        if !joint && matches!(parent.class, Some(Class::Ok)) {
            // Services report errors far more often than they swallow them.
            weight -= 1.5;
        }
        let codes = (parent.call.outcome.code, child.call.outcome.code);
        if !joint && codes.0.is_some() && codes.0 == codes.1 {
            weight += 1.0;
        }
        let (upper, lower) = (parent.call.outcome.cancel_path(), child.call.outcome.cancel_path());
        if !upper.is_empty() && lower.len() > upper.len() && lower.starts_with(upper) {
            evidence.insert(Evidence::CancelPath);
            weight += 8.0;
        }
    }
    Candidate { parent: 0, weight, evidence, between: Between::Nothing }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{calls, with_members};
    use super::*;

    /// The numbers of the possible causes of each of these calls, by start.
    fn causes(all: &[(u8, u8, i64, i64)]) -> Vec<Vec<u32>> {
        let found = with_members(&calls(all), |members| candidates(members, &begun(members)).candidates);
        found.iter().map(|found| found.iter().map(|candidate| candidate.parent).collect()).collect()
    }

    #[test]
    fn a_service_may_ask_itself_at_its_own_address() {
        assert_eq!(causes(&[(1, 2, 0, 50), (2, 2, 10, 40)]), [vec![], vec![0]]);
        // Whoever asks the same service on its own host is rather what asked it there.
        assert_eq!(causes(&[(2, 2, 0, 50), (2, 2, 10, 40)]), [const { Vec::<u32>::new() }; 2]);
    }

    #[test]
    fn a_call_outlives_its_cause_only_where_some_call_must_or_too_few_show_that_none_does() {
        let few = [(1, 2, 0, 10), (1, 2, 1, 11), (1, 2, 2, 4), (2, 3, 3, 9)];
        assert_eq!(causes(&few)[3], [0, 1, 2]);
        let more = (1..i64::from(MIN_CONTAINED))
            .flat_map(|n| [(1, 2, 20 * n, 20 * n + 10), (2, 3, 20 * n + 3, 20 * n + 9)]);
        let many: Vec<_> = few.into_iter().chain(more).collect();
        assert_eq!(causes(&many)[3], [0, 1]);
        assert_eq!(causes(&many[..many.len() - 2])[3], [0, 1, 2]);
        let one_that_nothing_contains =
            (2, 3, 20 * i64::from(MIN_CONTAINED), 20 * i64::from(MIN_CONTAINED) + 10);
        let cause = (1, 2, one_that_nothing_contains.2 - 1, one_that_nothing_contains.3 - 1);
        assert_eq!(causes(&[&many[..], &[cause, one_that_nothing_contains]].concat())[3], [0, 1, 2]);
    }
}
