//! Which calls can have caused a call at all, and what everything but time says of each pair.

use hashbrown::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::assign::SETTLED;
use super::connections::Connections;
use super::record::{Evidence, EvidenceSet};
use super::traits::{Traits, hash, is_rich};
use super::wording::{self, Relation};
use crate::calls::record::{Call, CallKind, Class};
use crate::decode::Endpoint;

type Map<K, V> = HashMap<K, V, FixedState>;
type Set<K> = HashSet<K, FixedState>;

/// How much earlier than its cause a call may seem to begin, and how much later to end, nanoseconds. Within one capture
/// cause comes before effect.
pub(super) const SLACK: i64 = 0;

/// Most possible causes of one call that are looked at.
pub(super) const MAX_CANDIDATES: usize = 256;

/// Time after a call's answer during which live chains wait for calls that it made later, nanoseconds.
pub(super) const LATE: i64 = 1_000_000_000;

/// Time after a call's answer during which a call with its id is taken for its own if it is still held, nanoseconds. An id is
/// proof, however late; the bound is for ids that are used again.
const LATE_BY_ID: i64 = 60_000_000_000;

/// How many values there are at least where one looks like an id.
const RICH_DOMAIN: f32 = 1_000.0;

/// Shortest error text whose repetition in another answer says something.
const MIN_TEXT: usize = 8;

/// By how much an absolute deadline that was handed down may come before that of the parent, nanoseconds: what the call lost
/// on its way.
const DEADLINE: i64 = 3_000_000;

/// By how much it may come after it where time-outs are written exactly, nanoseconds, and where they are in milliseconds,
/// which some round up. Time-outs that differ by less are taken for equal.
const LATER: [i64; 2] = [200_000, 1_100_000];

/// A call with what its headers say.
pub(super) struct Member<'a> {
    /// The call.
    pub(super) call: &'a Call,
    /// What its headers say.
    pub(super) traits: &'a Traits,
    /// The cause, where it has been settled before.
    pub(super) settled: Option<u32>,
    /// Whether it is to be assigned (or was); else it only serves as a cause.
    pub(super) is_child: bool,
}

impl Member<'_> {
    /// When its callee had it in work, first and last moment. Where the callee's host was captured, that is by the same clock
    /// as the calls that it made meanwhile, and without the time of the network.
    pub(super) fn work(&self) -> (i64, i64) {
        let (start, end) = (self.traits.start, self.traits.end);
        let Some(callee_view) = self.call.callee_view.as_deref() else { return (start, end) };
        (callee_view.start.0, if self.traits.answered { callee_view.end.0 } else { end })
    }
}

/// A possible cause of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Index of the cause.
    pub(super) parent: u32,
    /// Logarithm of what the evidence is worth.
    pub(super) weight: f32,
    /// What speaks for it.
    pub(super) evidence: EvidenceSet,
}

/// Name of a service as far as it can be compared.
fn names(call: &Call) -> impl Iterator<Item = u64> {
    call.callee.as_deref().into_iter().chain(call.service.as_deref()).map(hash::<str>)
}

/// What is known of all calls to one address.
#[derive(Default)]
pub(super) struct Place {
    /// Causes, by start.
    parents: Vec<u32>,
    /// Names of the services there.
    names: Set<u64>,
    /// How many causes carry a header value.
    values: Map<u64, u32>,
    /// Ports at which calls were answered.
    ports: Set<u16>,
    /// Operations that were called.
    methods: Set<u64>,
}

/// Calls in a row on one connection that must be answered in order to say that it is served one call after the other.
const IN_ORDER: u32 = 4;

/// Weight from which the connections are named as evidence.
const TELLING: f32 = 1.0;

/// Weight against a call that was most likely still waiting in line.
const WAITING: f32 = 4.0;

/// When the work on each member can have begun. On a connection on which calls wait in line, each is begun when the one
/// before it has been answered, however long ago it was sent.
pub(super) fn begun(members: &[Member<'_>]) -> Vec<i64> {
    let mut lines: Map<(Endpoint, Endpoint), Vec<u32>> = Map::default();
    for (index, member) in members.iter().enumerate() {
        let call = member.call;
        if matches!(call.kind, CallKind::Unary) && member.traits.answered {
            lines.entry((call.client, call.server)).or_default().push(index as u32);
        }
    }
    let work: Vec<(i64, i64)> = members.iter().map(Member::work).collect();
    let mut begun: Vec<i64> = work.iter().map(|(start, _)| *start).collect();
    for line in lines.values() {
        let pairs = || line.windows(2).map(|pair| (pair[1] as usize, pair[0] as usize));
        let (mut waited, mut in_order) = (0, true);
        for (this, before) in pairs() {
            let (this, before) = (work[this], work[before]);
            waited += u32::from(this.0 < before.1);
            in_order &= before.1 <= this.1;
        }
        if in_order && waited >= IN_ORDER {
            for (this, before) in pairs() {
                begun[this] = begun[this].max(work[before].1.min(work[this].1));
            }
        }
    }
    begun
}

/// The possible causes of the members of a window.
pub(super) struct Found {
    /// By member.
    pub(super) candidates: Vec<Vec<Candidate>>,
    /// Members of whose possible causes only the latest were looked at.
    pub(super) crowded: Vec<u32>,
}

/// Finds the possible causes of every member, and weighs them. `members` are sorted by start, `begun` tells when the work on
/// each began.
pub(super) fn candidates(members: &[Member<'_>], begun: &[i64]) -> Found {
    let mut places: Map<std::net::IpAddr, Place> = Map::default();
    let mut traces: Map<u64, Vec<u32>> = Map::default();
    let mut spans: Map<(u64, u64), Vec<u32>> = Map::default();
    let mut ids: Map<u64, Vec<u32>> = Map::default();
    let callers: Set<std::net::IpAddr> =
        members.iter().filter(|member| member.is_child).map(|member| member.call.client.ip).collect();
    for (index, member) in members.iter().enumerate() {
        let index = index as u32;
        if let Some(trace) = member.traits.trace {
            traces.entry(trace).or_default().push(index);
            if let Some(span) = member.traits.span {
                spans.entry((trace, span)).or_default().push(index);
            }
        }
        for id in &member.traits.ids {
            ids.entry(*id).or_default().push(index);
        }
        if !callers.contains(&member.call.server.ip) {
            continue;
        }
        let place = places.entry(member.call.server.ip).or_default();
        place.parents.push(index);
        place.names.extend(names(member.call));
        place.ports.insert(member.call.server.port);
        place.methods.extend(member.call.method.as_deref().map(hash::<str>));
        for value in &member.traits.values {
            *place.values.entry(*value).or_default() += 1;
        }
    }
    for place in places.values_mut() {
        place.parents.sort_by_key(|&parent| members[parent as usize].work().0);
    }
    let owners = Owners::new(members, &places);
    let connections = Connections::new(members, &places);
    let mut crowded = Vec::new();
    let mut open = Open::default();
    let candidates = members
        .iter()
        .enumerate()
        .map(|(index, child)| {
            if !child.is_child {
                return Vec::new();
            }
            if let Some(parent) = child.settled {
                return vec![Candidate { parent, weight: SETTLED, evidence: EvidenceSet::default() }];
            }
            // Where a trace has very many calls, the span above tells at once which of them it was.
            let above = child.traits.trace.zip(child.traits.parent_span);
            let by_span = above.and_then(|above| spans.get(&above));
            if let Some(found) = by_id(members, index, by_span, Evidence::TraceId) {
                return found;
            }
            let by_trace = child.traits.trace.and_then(|trace| traces.get(&trace));
            if let Some(found) = by_id(members, index, by_trace, Evidence::TraceId) {
                return found;
            }
            for id in &child.traits.ids {
                if let Some(found) = by_id(members, index, ids.get(id), Evidence::LogId) {
                    return found;
                }
            }
            let Some(place) = places.get(&child.call.client.ip) else { return Vec::new() };
            let open = open.at(child.call.client.ip, place, members, child.traits.start);
            let mut possible = possible(members, index, place, open, &owners);
            if possible.parents.len() > MAX_CANDIDATES {
                possible.parents.drain(..possible.parents.len() - MAX_CANDIDATES);
                crowded.push(index as u32);
            }
            weigh(members, begun, index, place, &possible, &connections)
        })
        .collect();
    Found { candidates, crowded }
}

/// The calls in work at each place, swept along in time.
#[derive(Default)]
pub(super) struct Open {
    places: Map<std::net::IpAddr, (usize, Vec<u32>)>,
}

impl Open {
    /// Calls to `ip` that are in work at `time`, by start. Times must not go back.
    pub(super) fn at(
        &mut self,
        ip: std::net::IpAddr,
        place: &Place,
        members: &[Member<'_>],
        time: i64,
    ) -> &[u32] {
        let (next, open) = self.places.entry(ip).or_default();
        while let Some(&parent) = place.parents.get(*next) {
            if members[parent as usize].work().0 > time.saturating_add(SLACK) {
                break;
            }
            open.push(parent);
            *next += 1;
        }
        open.retain(|&parent| members[parent as usize].work().1.saturating_add(SLACK) >= time);
        open
    }
}

/// Which of the services behind one address makes the calls of a connection or of a caller's name: one whose calls are
/// always in work when those are made.
struct Owners {
    /// Share of the calls of a group that fall into calls of a service: `(group, server port)`.
    cover: Map<(u64, u16), (u32, u32)>,
}

/// Calls of a group that are needed to say that a service does not make them.
const MIN_GROUP: u32 = 4;

/// Share of a group's calls that must fall into calls of the service that makes them.
const MIN_COVER: f64 = 0.5;

/// Whoever makes this call: the connection it comes by, and the name on it, since services of one process share connections.
fn group(call: &Call) -> u64 {
    hash(&(call.client.ip, call.client.port, &call.caller))
}

/// All calls of the same operation by the same caller's name.
fn wide_group(call: &Call) -> u64 {
    hash(&(call.client.ip, &call.caller, call.server, &call.method))
}

impl Owners {
    fn new(members: &[Member<'_>], places: &Map<std::net::IpAddr, Place>) -> Self {
        let mut cover: Map<(u64, u16), (u32, u32)> = Map::default();
        let mut open = Open::default();
        for child in members.iter().filter(|member| member.is_child) {
            let ip = child.call.client.ip;
            let Some(place) = places.get(&ip).filter(|place| place.ports.len() > 1) else { continue };
            let mut inside: Set<u16> = Set::default();
            for &parent in open.at(ip, place, members, child.traits.start) {
                let parent = &members[parent as usize];
                if contains(parent, child) {
                    inside.insert(parent.call.server.port);
                }
            }
            for group in [group(child.call), wide_group(child.call)] {
                for &port in &place.ports {
                    let entry = cover.entry((group, port)).or_default();
                    entry.0 += u32::from(inside.contains(&port));
                    entry.1 += 1;
                }
            }
        }
        Self { cover }
    }

    /// Whether the service at that port can be the one that makes the call.
    fn allows(&self, child: &Call, port: u16) -> bool {
        [group(child), wide_group(child)].into_iter().all(|group| match self.cover.get(&(group, port)) {
            Some(&(inside, all)) if all >= MIN_GROUP => f64::from(inside) >= f64::from(all) * MIN_COVER,
            _ => true,
        })
    }
}

/// Whether the child began and ended while the parent was in work.
pub(super) fn contains(parent: &Member<'_>, child: &Member<'_>) -> bool {
    let (start, end) = parent.work();
    let open = start.saturating_sub(SLACK)..=end.saturating_add(SLACK);
    open.contains(&child.traits.start)
        && (!child.traits.answered || child.traits.end <= end.saturating_add(SLACK))
}

/// Whether `parent` can be the cause of `child` by where they run.
fn is_possible(parent: &Call, child: &Call) -> bool {
    let pids = (parent.process[1].as_ref().map(|p| p.pid), child.process[0].as_ref().map(|p| p.pid));
    if let (Some(server), Some(client)) = pids {
        return server == client;
    }
    // A service that calls itself is rare; two calls to one service, one inside the other, are not.
    parent.uid != child.uid && parent.server != child.server && parent.client != child.client
}

/// The cause among calls that carry the same id, if there is one.
fn by_id(
    members: &[Member<'_>],
    index: usize,
    same: Option<&Vec<u32>>,
    evidence: Evidence,
) -> Option<Vec<Candidate>> {
    let child = &members[index];
    let mut found: Vec<(u32, f32)> = Vec::new();
    for &other in same?.iter().rev().take(MAX_CANDIDATES) {
        let parent = &members[other as usize];
        let (upper, lower) = (parent.traits, child.traits);
        let (begun, ended) = parent.work();
        if other as usize == index || begun > lower.start.saturating_add(SLACK) {
            continue;
        }
        let spans = lower.parent_span.is_some() && lower.parent_span == upper.span;
        // Calls of one client are siblings, not parent and child.
        let here = parent.call.server.ip == child.call.client.ip;
        if !spans
            && ((!here && parent.call.client.ip == child.call.client.ip)
                || !is_possible(parent.call, child.call))
        {
            continue;
        }
        if lower.start > ended.saturating_add(LATE_BY_ID) {
            continue;
        }
        let mut weight = 0.0;
        weight += if spans { 20.0 } else { 0.0 };
        weight += if here { 8.0 } else { 0.0 };
        weight += if contains(parent, child) { 4.0 } else { 0.0 };
        weight += if lower.start <= ended { 4.0 } else { 0.0 };
        weight += by_name(parent.call, child) * 3.0;
        found.push((other, weight));
    }
    let best = found.iter().map(|(_, weight)| *weight).fold(f32::MIN, f32::max);
    found.retain(|(_, weight)| *weight >= best - 1.0);
    found.sort_unstable_by_key(|(parent, _)| *parent);
    let alone = found.len() == 1;
    let candidates: Vec<Candidate> = found
        .into_iter()
        .map(|(parent, weight)| Candidate {
            parent,
            weight: if alone { SETTLED } else { 10.0 + weight - best },
            evidence: EvidenceSet::from_iter([evidence]),
        })
        .collect();
    (!candidates.is_empty()).then_some(candidates)
}

/// What the names say: 1 where caller and callee agree, -1 where they don't, 0 where nothing is known.
fn by_name(parent: &Call, child: &Member<'_>) -> f32 {
    let mut weight = 0.0;
    if child.traits.caller.is_some_and(|caller| names(parent).any(|name| name == caller)) {
        weight += 1.0;
    }
    if let (Some(from), Some(method)) = (child.traits.from_method, parent.method.as_deref()) {
        weight += if from == hash(method) { 1.0 } else { -1.0 };
    }
    weight
}

/// Calls that were in work when a call began and can be its cause.
struct Possible {
    parents: Vec<u32>,
    /// Whether names said so.
    named: bool,
}

/// Finds them.
fn possible(members: &[Member<'_>], index: usize, place: &Place, open: &[u32], owners: &Owners) -> Possible {
    let child = &members[index];
    let mut possible: Vec<u32> = open
        .iter()
        .copied()
        .filter(|&parent| {
            let call = members[parent as usize].call;
            parent as usize != index
                && is_possible(call, child.call)
                && (place.ports.len() < 2 || owners.allows(child.call, call.server.port))
        })
        .collect();
    let keep = |possible: &mut Vec<u32>, test: &dyn Fn(&Member<'_>) -> bool| {
        let passed: Vec<u32> =
            possible.iter().copied().filter(|&parent| test(&members[parent as usize])).collect();
        if !passed.is_empty() {
            *possible = passed;
        }
    };
    // The caller's name, where services at this address go by such names.
    let mut named = false;
    if let Some(caller) = child.traits.caller
        && place.names.contains(&caller)
    {
        possible.retain(|&parent| {
            let mut names = names(members[parent as usize].call).peekable();
            names.peek().is_none() || names.any(|name| name == caller)
        });
        named = place.ports.len() > 1;
    }
    if let Some(method) = child.traits.from_method
        && place.methods.contains(&method)
    {
        keep(&mut possible, &|parent| parent.call.method.as_deref().map(hash::<str>) == Some(method));
        named = true;
    }
    // A trace that goes on shows its id in both; another id is another trace.
    if child.traits.trace.is_some() {
        keep(&mut possible, &|parent| {
            parent.traits.trace.is_none() || parent.traits.trace == child.traits.trace
        });
    }
    keep(&mut possible, &|parent| contains(parent, child));
    Possible { parents: possible, named }
}

/// Weighs the possible causes of a call.
fn weigh(
    members: &[Member<'_>],
    begun: &[i64],
    index: usize,
    place: &Place,
    possible: &Possible,
    connections: &Connections,
) -> Vec<Candidate> {
    let child = &members[index];
    let Possible { parents: possible, named } = possible;
    let mut found: Vec<Candidate> = possible
        .iter()
        .map(|&parent| {
            let mut candidate = pair(&members[parent as usize], child, place);
            candidate.parent = parent;
            if begun[parent as usize] > child.traits.start {
                candidate.weight -= WAITING;
            }
            let owned = connections.weight(members[parent as usize].call, child.call, possible.len());
            candidate.weight += owned;
            if owned > TELLING {
                candidate.evidence.insert(Evidence::Connection);
            }
            if *named {
                candidate.evidence.insert(Evidence::Names);
            }
            candidate
        })
        .collect();
    // A value is evidence where it tells one of the possible causes from all others.
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
    if let [only] = &mut found[..] {
        only.evidence.insert(Evidence::OnlyCandidate);
    } else if close > 1 {
        for candidate in &mut found {
            candidate.evidence.insert(Evidence::Timing);
        }
    }
    found
}

/// Whether the child has what remained of the parent's time: its time-out is shorter by what had passed. Callers that give
/// all their calls the same time-out have deadlines as close to each other, and they say nothing.
fn is_handed_down(parent: &Member<'_>, child: &Member<'_>) -> bool {
    let (Some(above), Some(below)) = (parent.call.timeout, child.call.timeout) else { return false };
    let (Some(upper), Some(lower)) = (parent.traits.deadline, child.traits.deadline) else { return false };
    let later = LATER[usize::from(below % 1_000_000 == 0)];
    above.saturating_sub(below) > later as u64 && (-later..DEADLINE).contains(&(upper - lower))
}

/// What the contents of two calls say of their being cause and effect.
fn pair(parent: &Member<'_>, child: &Member<'_>, place: &Place) -> Candidate {
    let mut evidence = EvidenceSet::default();
    let mut weight = 0.0;
    let all = place.parents.len() as f32;
    let mut shared = 0.0_f32;
    for value in &child.traits.values {
        if parent.traits.values.binary_search(value).is_ok() {
            // A value that few parents carry is unlikely to be met by chance.
            let carriers = place.values.get(value).copied().unwrap_or(1);
            let all = if carriers == 1 && is_rich(*value) { all.max(RICH_DOMAIN) } else { all.max(2.0) };
            let share = carriers as f32 / all;
            shared += ((0.9 + 0.1 * share) / share).ln().max(0.0);
        }
    }
    if shared > 0.5 {
        evidence.insert(Evidence::Metadata);
        weight += shared.min(15.0);
    }
    if is_handed_down(parent, child) {
        evidence.insert(Evidence::Deadline);
        weight += 3.0;
    }
    let process = (&parent.call.process[1], &child.call.process[0]);
    if let (Some(server), Some(client)) = process
        && server.pid == client.pid
    {
        evidence.insert(Evidence::Process);
    }
    if child.call.failed() {
        let texts = (&parent.call.outcome.message, &child.call.outcome.message);
        if let (Some(above), Some(below)) = texts
            && below.len() >= MIN_TEXT
            && wording::relation(above, below) != Relation::Other
        {
            evidence.insert(Evidence::Message);
            weight += 5.0;
        }
        if matches!(parent.call.class(), Some(Class::Ok)) {
            // Errors are told far more often than they are swallowed.
            weight -= 1.5;
        }
        let codes = (parent.call.outcome.code, child.call.outcome.code);
        if codes.0.is_some() && codes.0 == codes.1 {
            weight += 1.0;
        }
        let (upper, lower) = (&parent.call.outcome.cancel_path, &child.call.outcome.cancel_path);
        if !upper.is_empty() && lower.len() > upper.len() && lower.starts_with(upper) {
            evidence.insert(Evidence::CancelPath);
            weight += 8.0;
        }
    }
    Candidate { parent: 0, weight, evidence }
}
