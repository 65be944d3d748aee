//! The chain record: a tree of calls, where its error began and how each hop changed it.

use std::fmt;
use std::sync::Arc;

use crate::calls::record::{Call, Class, Finding, Name, Uid, named};

named! {
    /// Why a call is believed to be the cause of another, the strongest first.
    Evidence {
        /// Both carry the same trace id.
        TraceId = "trace-id",
        /// Both carry the same log or request id.
        LogId = "log-id",
        /// The services on the way of a ttstream cancel name it.
        CancelPath = "cancel-path",
        /// A header value that only this one of the possible causes carries.
        Metadata = "metadata",
        /// The caller's name is the name of the cause's callee.
        Names = "names",
        /// The process that answered the cause sent the call (live only).
        Process = "process",
        /// It came by the connection whose thread calls by the one this was made by.
        Connection = "connection",
        /// The absolute deadline was handed down.
        Deadline = "deadline",
        /// The error's text stands in the answer of the cause.
        Message = "message",
        /// No other call was open at that service.
        OnlyCandidate = "only-candidate",
        /// The times fit best of all.
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

    /// Takes one out.
    pub fn remove(&mut self, evidence: Evidence) {
        self.0 &= !(1 << evidence as u16);
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains(self, evidence: Evidence) -> bool {
        self.0 & (1 << evidence as u16) != 0
    }

    /// Both together.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are there, the strongest first.
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

/// The belief that one call caused another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Link {
    /// Why.
    pub evidence: EvidenceSet,
    /// Probability that it is right, 0 to 1.
    pub confidence: f64,
}

/// A call in its chain.
#[derive(Clone, Debug)]
pub struct Hop {
    /// The call.
    pub call: Arc<Call>,
    /// Calls above it: 0 for the root.
    pub depth: u32,
    /// Index in [`Chain::hops`] of the call that caused it; `None` for the root.
    pub parent: Option<usize>,
    /// Why `parent` is believed; `None` for the root.
    pub link: Option<Link>,
    /// Index of the later try that decided instead of this one, where the caller tried again.
    pub retried_by: Option<usize>,
    /// It began after its parent had answered.
    pub after_answer: bool,
}

impl Hop {
    /// Whether this hop failed and no later try took its place.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.call.failed() && self.retried_by.is_none()
    }
}

/// Where the error of a chain began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing failed that mattered.
    #[default]
    Nothing,
    /// The hop of that index: no failing call below it.
    At(usize),
    /// It failed for a call of its own that the capture does not hold; the hop of that index is the lowest seen.
    BelowOf(usize),
}

impl Origin {
    /// Index of the hop where the error began; `None` where nothing failed or the capture can't tell.
    #[must_use]
    pub fn hop(self) -> Option<usize> {
        match self {
            Self::At(hop) => Some(hop),
            Self::Nothing | Self::BelowOf(_) => None,
        }
    }
}

/// How a call ended, as a change shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Class; `None` where an answer came but what it says was lost.
    pub class: Option<Class>,
    /// Number of the error.
    pub code: Option<i64>,
    /// Text of the error; may hold control characters.
    pub message: Option<String>,
}

impl Outcome {
    /// How `call` ended.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        let outcome = &call.outcome;
        Self { class: outcome.class, code: outcome.code, message: outcome.message.clone() }
    }
}

/// What a service made of the error of one of its callees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Index of the hop whose answer shows the change; its service made it.
    pub hop: usize,
    /// Index of the failing callee; `None` where no callee failed ([`Finding::FailedAlone`]).
    pub below: Option<usize>,
    /// Name of the service that made it, where known.
    pub at: Option<Name>,
    /// What the callee answered.
    pub from: Outcome,
    /// What the service answered.
    pub to: Outcome,
    /// One of the chain findings, or [`Finding::CauseBelow`].
    pub finding: Finding,
    /// Hop prefixes (`biz error: `, `remote or network error[remote]: ` …) that were put before the text.
    pub prefixes: u32,
}

/// A call and all that it caused.
#[derive(Clone, Debug)]
pub struct Chain {
    /// The calls: the root first, then depth first, siblings by start. Never empty.
    pub hops: Vec<Hop>,
    /// Where the error began.
    pub origin: Origin,
    /// What the hops made of it, the lowest first.
    pub changes: Vec<Change>,
    /// All evidence for its links.
    pub evidence: EvidenceSet,
    /// Probability that all links are right: the product over the links.
    pub confidence: f64,
}

impl Chain {
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

    /// Indices of the hops from the origin (or the lowest hop seen) up to the root; empty where nothing failed.
    #[must_use]
    pub fn path(&self) -> Vec<usize> {
        let mut at = match self.origin {
            Origin::Nothing => None,
            Origin::At(hop) | Origin::BelowOf(hop) => Some(hop),
        };
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

    /// Indices of the calls that hop caused, by start.
    pub fn children(&self, hop: usize) -> impl Iterator<Item = usize> {
        self.hops.iter().enumerate().filter(move |(_, h)| h.parent == Some(hop)).map(|(index, _)| index)
    }

    /// How many links rest on one piece of evidence.
    #[must_use]
    pub fn links_by(&self, evidence: Evidence) -> usize {
        self.hops.iter().filter(|hop| hop.link.is_some_and(|link| link.evidence.contains(evidence))).count()
    }
}

/// What a person calls the operation: `Order.Create`, or what is known of it. May hold control characters.
#[derive(Clone, Copy)]
pub struct Operation<'a>(pub &'a Call);

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let call = self.0;
        let service = call.service.as_deref().or(call.callee.as_deref());
        match (service, call.method.as_deref(), call.unknown_name) {
            (Some(service), Some(method), _) => write!(f, "{}.{method}", last_part(service)),
            (Some(service), None, _) => f.write_str(service),
            (None, Some(method), _) => f.write_str(method),
            (None, None, Some(number)) => write!(f, "unknown#{number}"),
            (None, None, None) => write!(f, "{}", call.server),
        }
    }
}

/// The last word of a dotted service name, which is how people call it: `Order` of `trpc.shop.order.Order`.
fn last_part(service: &str) -> &str {
    service.rsplit('.').find(|part| !part.is_empty()).unwrap_or(service)
}

impl Chain {
    /// What happened, in one or two sentences for a person. Holds no control characters.
    #[must_use]
    pub fn sentence(&self) -> String {
        super::sentence::sentence(self)
    }

    /// Where the failure of a hop began, as the end of a sentence about that call: `it began two hops below: Stock.Reserve
    /// answered business 4041`. `None` where the hop did not fail. Holds no control characters.
    #[must_use]
    pub fn cause(&self, hop: usize) -> Option<String> {
        super::sentence::cause(self, hop)
    }

    /// Index of the deepest failing call to which the failure of a hop goes back: the hop itself where no callee explains
    /// it, `None` where it did not fail.
    #[must_use]
    pub fn deepest(&self, hop: usize) -> Option<usize> {
        let mut at = hop;
        if !self.hops.get(hop)?.call.failed() {
            return None;
        }
        // A change names the failing callee that explains its hop; hops stand behind those that caused them.
        while let Some(below) = self
            .changes
            .iter()
            .filter(|change| change.hop == at)
            .find_map(|change| change.below.filter(|below| *below > at))
        {
            at = below;
        }
        Some(at)
    }

    /// The lines that join the names of the hops to a tree, one text a hop.
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
                above.push(if is_last(index) { "└ " } else { "├ " });
            }
            above.concat()
        };
        self.hops.iter().enumerate().map(branch).collect()
    }

    /// What is particular about a hop, in a few words for the end of its line: `★ began here`, `← code lost`.
    #[must_use]
    pub fn remark(&self, hop: usize) -> Option<String> {
        super::sentence::remark(self, hop)
    }

    /// Whether it says more than its calls do one by one: several calls, or a failure.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        self.hops.len() > 1 || self.root().failed()
    }
}
