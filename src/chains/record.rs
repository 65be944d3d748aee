//! The chain record: a tree of calls, where its error began and how each hop changed it.

use std::fmt;

use super::kept::Kept;
use crate::calls::JoinKey;
use crate::calls::record::{Call, Class, Finding, Initiator, Name, Uid, named};

named! {
    /// Why one call is believed to be the cause of another, the strongest evidence first.
    Evidence {
        /// Both carry the same trace id.
        TraceId = "trace-id",
        /// Both carry the same log or request id.
        LogId = "log-id",
        /// The cancel path of a ttstream goes through it.
        CancelPath = "cancel-path",
        /// Both carry a header value that no other possible cause carries.
        Metadata = "metadata",
        /// The caller's name is the name of the cause's callee.
        Names = "names",
        /// The process that answered the cause sent the call (live only).
        Process = "process",
        /// The thread that serves the cause's connection makes its calls on this connection.
        Connection = "connection",
        /// The cause's deadline was propagated.
        Deadline = "deadline",
        /// The answer of the cause contains the error's text.
        Message = "message",
        /// No other call was in work at that service.
        OnlyCandidate = "only-candidate",
        /// The times fit it best.
        Timing = "timing",
    }
}

/// A set of [`Evidence`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EvidenceSet(u16);

impl EvidenceSet {
    /// Adds one.
    pub fn insert(&mut self, evidence: Evidence) {
        self.0 |= 1 << evidence as u16;
    }

    /// Removes one.
    pub fn remove(&mut self, evidence: Evidence) {
        self.0 &= !(1 << evidence as u16);
    }

    /// Whether the set contains it.
    #[must_use]
    pub fn contains(self, evidence: Evidence) -> bool {
        self.0 & (1 << evidence as u16) != 0
    }

    /// The union of both.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The evidence in the set, the strongest first.
    pub fn iter(self) -> impl Iterator<Item = Evidence> {
        Evidence::ALL.iter().copied().filter(move |e| self.contains(*e))
    }

    /// The strongest.
    #[must_use]
    pub fn strongest(self) -> Option<Evidence> {
        self.iter().next()
    }
}

impl FromIterator<Evidence> for EvidenceSet {
    fn from_iter<I: IntoIterator<Item = Evidence>>(evidence: I) -> Self {
        let mut set = Self::default();
        evidence.into_iter().for_each(|one| set.insert(one));
        set
    }
}

/// Confidence from which a link, and what rests on it, is told as a fact.
pub const FACT: f64 = 0.8;

/// The belief that one call caused another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Why.
    pub evidence: EvidenceSet,
    /// Probability that it is right, 0 to 1.
    pub confidence: f64,
    /// Probability that the cause is a call to that service at all, whichever, 0 to 1.
    pub caller: f64,
    /// Where both belong to one request, probability that no other service stands between them whose call the capture lacks, and which
    /// may have changed an error, 0 to 1.
    pub direct: f64,
}

impl Link {
    /// Probability that the service which answered the cause made such a change, and not one between, 0 to 1. An error that comes through
    /// unchanged was passed on by all of them.
    pub(super) fn share_of(&self, finding: Finding) -> f64 {
        if finding == Finding::PassedOn { 1.0 } else { self.direct }
    }
}

/// Another call that may have caused one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    /// The call.
    pub uid: Uid,
    /// Its key, if it has one.
    pub key: Option<JoinKey>,
    /// Probability that it caused it, 0 to 1.
    pub confidence: f64,
}

/// How likely it is what the capture does not tell, such as that a call failed whose answer is not known: as likely as not.
pub(super) const UNKNOWN: f64 = 0.5;

/// A call in its chain.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The call.
    pub call: Kept,
    /// Calls above it: 0 for the root.
    pub depth: u32,
    /// Index in [`Chain::hops`] of the call that caused it; `None` for the root.
    pub parent: Option<usize>,
    /// The evidence for `parent`; `None` for the root.
    pub link: Option<Link>,
    /// Other calls that may have caused it, the likeliest first, each with its probability. Empty where the link is sure, or where it
    /// is sure that no call of the capture caused it.
    pub rivals: Vec<Rival>,
    /// Probability that a failed call that is linked elsewhere, or nowhere, is one of its own, 0 to 1.
    pub missed: f64,
    /// Whether it is not known of a call of its own how that ended, or one was still at work when it was answered: the one may have failed, the
    /// other kept it waiting.
    pub unread_below: bool,
    /// Index of the attempt that decided instead of this one, if the caller retried. Earlier tries of the root have the root here,
    /// and no parent.
    pub retried_by: Option<usize>,
    /// Whether what seems to be that attempt may be another request of the caller.
    pub is_retry_doubtful: bool,
    /// Whether its headers say that it is a further try of a call.
    pub is_retry: bool,
    /// It began after its parent had answered.
    pub after_answer: bool,
}

impl Hop {
    /// A hop for tests, without a link.
    #[cfg(test)]
    pub(crate) fn sample(call: Call, depth: usize, parent: Option<usize>) -> Self {
        Self { depth: depth as u32, parent, ..Self::unlinked(call.into()) }
    }

    /// A call without a cause.
    pub(super) fn unlinked(call: Kept) -> Self {
        Self {
            call,
            depth: 0,
            parent: None,
            link: None,
            rivals: Vec::new(),
            missed: 0.0,
            unread_below: false,
            retried_by: None,
            is_retry_doubtful: false,
            is_retry: false,
            after_answer: false,
        }
    }

    /// Probability that a call of its own failed of which the chain does not know it, 0 to 1.
    pub(super) fn overlooked(&self) -> f64 {
        let unread = if self.unread_below { UNKNOWN } else { 0.0 };
        1.0 - (1.0 - self.missed) * (1.0 - unread)
    }

    /// Whether this hop failed and no other attempt surely replaced it.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.call.failed() && (self.retried_by.is_none() || self.is_retry_doubtful)
    }

    /// The link to its parent, if that is not told as a fact.
    #[must_use]
    pub fn unsure_link(&self) -> Option<Link> {
        self.link.filter(|link| link.confidence < FACT)
    }
}

/// Where the error of a chain began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing failed that mattered.
    #[default]
    Nothing,
    /// At the hop with this index: no call below it failed.
    At(usize),
    /// In the client of the service that answered the hop with this index: the service failed because of a call that its client
    /// never sent, so that no capture can have it.
    InClient(usize),
    /// Below the hop with this index, the lowest one seen: it failed because of a call of its own that is not in the capture.
    BelowOf(usize),
}

impl Origin {
    /// Index of the lowest hop seen of those that failed for that reason; `None` if nothing failed.
    pub(super) fn lowest(self) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::At(hop) | Self::InClient(hop) | Self::BelowOf(hop) => Some(hop),
        }
    }

    /// Index of the hop where the error began; `None` if nothing failed, or if the capture does not show it.
    #[must_use]
    pub fn hop(self) -> Option<usize> {
        match self {
            Self::At(hop) | Self::InClient(hop) => Some(hop),
            Self::Nothing | Self::BelowOf(_) => None,
        }
    }
}

/// What the caller of a call saw of its error: one side of a [`Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Class; `None` if the content of the answer was lost.
    pub class: Option<Class>,
    /// Number of the error.
    pub code: Option<i64>,
    /// Text of the error; may hold control characters.
    pub message: Option<Name>,
}

impl Reported {
    /// What the caller of `call` saw.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        let outcome = &call.outcome;
        Self { class: outcome.class, code: outcome.code, message: outcome.message.clone() }
    }
}

/// How a service changed the error of one of its callees.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Index of the hop whose service made the change.
    pub hop: usize,
    /// Index of the failed callee; `None` if no callee failed ([`Finding::FailedAlone`]).
    pub below: Option<usize>,
    /// Name of the service, if known.
    pub at: Option<Name>,
    /// What the callee answered.
    pub from: Reported,
    /// What the service answered.
    pub to: Reported,
    /// One of the chain findings, or [`Finding::CauseBelow`].
    pub finding: Finding,
    /// Number of hop prefixes (`biz error: `, `remote or network error[remote]: ` …) that were put before the text.
    pub prefixes: u32,
    /// Probability that the callee is the service's own, 0 to 1.
    pub confidence: f64,
}

impl Change {
    /// Whether it is told as a fact.
    #[must_use]
    pub fn is_fact(&self) -> bool {
        self.confidence >= FACT
    }
}

/// A call and all that it caused.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The calls: the root first, then depth first, siblings by start. Never empty.
    pub hops: Vec<Hop>,
    /// Where the error began.
    pub origin: Origin,
    /// Probability that it began there, 0 to 1: all links from there to the root are right, and no failed call below is missed.
    pub origin_confidence: f64,
    /// How the hops changed the error, the lowest hop first.
    pub changes: Vec<Change>,
    /// All evidence for its links.
    pub evidence: EvidenceSet,
    /// Probability that all links are right: the product over the links.
    pub confidence: f64,
}

impl Chain {
    /// The chain of a call of which nothing else is known.
    pub(super) fn unjudged(hop: Hop) -> Self {
        Self {
            hops: vec![hop],
            origin: Origin::Nothing,
            origin_confidence: 0.0,
            changes: Vec::new(),
            evidence: EvidenceSet::default(),
            confidence: 1.0,
        }
    }

    /// The outermost call.
    #[must_use]
    pub fn root(&self) -> &Call {
        &self.hops[0].call
    }

    /// The call where the error began.
    #[must_use]
    pub fn origin_call(&self) -> Option<&Call> {
        self.origin.hop().and_then(|hop| self.hops.get(hop)).map(|hop| &*hop.call)
    }

    /// Whether its origin is told as a fact.
    #[must_use]
    pub fn is_origin_sure(&self) -> bool {
        self.origin_confidence >= FACT
    }

    /// Indices of the hops from the origin (or the lowest hop seen) up to the root; empty if nothing failed.
    #[must_use]
    pub fn path(&self) -> Vec<usize> {
        let mut at = self.origin.lowest();
        let mut path = Vec::new();
        while let Some(hop) = at {
            path.push(hop);
            at = self.hops[hop].parent;
        }
        path
    }

    /// Index of the hop with that uid.
    #[must_use]
    pub fn find(&self, uid: Uid) -> Option<usize> {
        self.hops.iter().position(|hop| hop.call.uid == uid)
    }

    /// Indices of the earlier tries of the root, by start.
    pub fn tries(&self) -> impl Iterator<Item = usize> {
        self.hops.iter().enumerate().skip(1).filter(|(_, hop)| hop.parent.is_none()).map(|(index, _)| index)
    }

    /// Indices of the calls that the hop caused, by start.
    pub fn children(&self, hop: usize) -> impl Iterator<Item = usize> {
        self.hops.iter().enumerate().filter(move |(_, h)| h.parent == Some(hop)).map(|(index, _)| index)
    }

    /// Number of links that rest on this evidence.
    #[must_use]
    pub fn links_by(&self, evidence: Evidence) -> usize {
        self.hops.iter().filter(|hop| hop.link.is_some_and(|link| link.evidence.contains(evidence))).count()
    }
}

/// The operation's short name: `Order.Create`, or the known part of it. May contain control characters.
#[derive(Clone, Copy)]
pub struct Operation<'a>(pub &'a Call);

impl<'a> Operation<'a> {
    /// The short name of its service and its method; the service's whole name if the method is not known.
    pub(super) fn names(self) -> (Option<&'a str>, Option<&'a str>) {
        let call = self.0;
        let service = call.service.as_deref().or(call.callee.as_deref());
        let method = call.method.as_deref();
        (if method.is_some() { service.map(last_part) } else { service }, method)
    }
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = self.0;
        match (self.names(), call.unknown_name) {
            ((Some(service), Some(method)), _) => write!(f, "{service}.{method}"),
            ((Some(name), None) | (None, Some(name)), _) => f.write_str(name),
            ((None, None), Some(number)) => write!(f, "unknown#{number}"),
            ((None, None), None) => match call.file_name(Initiator::Server) {
                Some(name) => f.write_str(name),
                None => write!(f, "{}", call.server),
            },
        }
    }
}

/// The last part of a dotted service name: `Order` of `trpc.shop.order.Order`.
pub(super) fn last_part(service: &str) -> &str {
    let named = service.trim_end_matches('.');
    match memchr::memrchr(b'.', named.as_bytes()) {
        Some(dot) => &named[dot + 1..],
        None if named.is_empty() => service,
        None => named,
    }
}

/// Probability that what happened at `top` began at `lowest`, a hop below it or itself, 0 to 1.
pub(super) fn confidence_between(hops: &[Hop], changes: &[Change], lowest: usize, top: usize) -> f64 {
    let alone = changes.iter().find(|change| change.hop == lowest && change.below.is_none());
    let found = &hops[lowest];
    let overlooked = if found.call.failed() { found.overlooked() } else { 0.0 };
    let mut confidence = alone.map_or(1.0 - overlooked, |change| change.confidence);
    let mut at = lowest;
    while at != top
        && let (Some(link), Some(parent)) = (hops[at].link, hops[at].parent)
    {
        let step = |change: &&Change| change.hop == parent && change.below == Some(at);
        // Who stands between both may have changed the error, but it did not begin there.
        let change = |change: &Change| change.confidence / link.share_of(change.finding);
        confidence *= changes.iter().find(step).map_or(link.confidence, change);
        at = parent;
    }
    confidence
}

impl Chain {
    /// What happened, in one or two sentences for a person. Contains no control characters.
    #[must_use]
    pub fn sentence(&self) -> String {
        super::sentence::sentence(self)
    }

    /// Where the failure of a hop began, as the end of a sentence about that call: `it began two hops below: Stock.Reserve
    /// answered business 4041`. `None` if the hop did not fail. Contains no control characters.
    #[must_use]
    pub fn cause(&self, hop: usize) -> Option<String> {
        super::sentence::cause(self, hop)
    }

    /// Index of the deepest call that explains the failure of a hop: the hop itself if no callee explains it, `None` if it did not
    /// fail. It failed too, unless its caller could not use its answer.
    #[must_use]
    pub fn deepest(&self, hop: usize) -> Option<usize> {
        let mut at = hop;
        if !self.hops.get(hop)?.call.failed() {
            return None;
        }
        // A change names the failed callee that explains its hop; hops come after those that caused them.
        while self.hops[at].call.failed()
            && let Some(below) = self
                .changes
                .iter()
                .filter(|change| change.hop == at)
                .find_map(|change| change.below.filter(|below| *below > at))
        {
            at = below;
        }
        Some(at)
    }

    /// Probability that the failure of a hop began where [`Self::deepest`] says, 0 to 1: all links between them are right, and no
    /// failed call below is missed.
    #[must_use]
    pub fn cause_confidence(&self, hop: usize) -> f64 {
        self.deepest(hop).map_or(1.0, |lowest| confidence_between(&self.hops, &self.changes, lowest, hop))
    }

    /// Whether it is sure that a hop was retried: both tries surely have one caller, and ask the same. `None` if it was not.
    #[must_use]
    pub fn retry_is_sure(&self, hop: usize) -> Option<bool> {
        let hop = self.hops.get(hop)?;
        let decided = self.hops.get(hop.retried_by?)?;
        Some(!hop.is_retry_doubtful && hop.unsure_link().is_none() && decided.unsure_link().is_none())
    }

    /// Indices of the failed calls of which it is not known for sure where their failure began.
    pub fn unsure_failures(&self) -> impl Iterator<Item = usize> {
        let unsure = |hop: &usize| self.hops[*hop].failed() && self.cause_confidence(*hop) < FACT;
        (0..self.hops.len()).filter(unsure)
    }

    /// The line drawing before the name of each hop, which joins them to a tree. A question mark stands at links that are not
    /// sure.
    #[must_use]
    pub fn branches(&self) -> Vec<String> {
        let mut last_child = vec![None; self.hops.len()];
        for (index, hop) in self.hops.iter().enumerate() {
            if let Some(parent) = hop.parent {
                last_child[parent] = Some(index);
            }
        }
        let is_last = |index: usize| self.hops[index].parent.is_some_and(|p| last_child[p] == Some(index));
        let branch = |(index, hop): (usize, &Hop)| {
            let mut above = Vec::new();
            let mut at = hop.parent;
            while let Some(parent) = at.filter(|&parent| self.hops[parent].parent.is_some()) {
                above.push(if is_last(parent) { "  " } else { "│ " });
                at = self.hops[parent].parent;
            }
            above.reverse();
            if hop.parent.is_some() {
                above.push(match (is_last(index), hop.unsure_link().is_some()) {
                    (true, false) => "└ ",
                    (false, false) => "├ ",
                    (true, true) => "└?",
                    (false, true) => "├?",
                });
            }
            above.concat()
        };
        self.hops.iter().enumerate().map(branch).collect()
    }

    /// What is remarkable about a hop, in a few words for the end of its line: `★ began here`, `← code lost`.
    #[must_use]
    pub fn remark(&self, hop: usize) -> Option<String> {
        super::sentence::remark(self, hop)
    }

    /// Whether it says more than its calls by themselves: it has several calls, or failed.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.hops.len() > 1 || self.root().failed()
    }
}
