//! The calls that a log may be about, so that each of its lines is held against few of them.
//!
//! Calls that ended in the same way are one kind: what of a line agrees with how a call ended is asked once for each kind. Which kinds a
//! line may be about, their texts say: a line that holds the text of a call holds its beginning.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::prefilter::{Prefilter, parts};
use super::texts_of;
use crate::calls::{Call, Carrier, Class, Finding, Uid};
use crate::explain::{Found, LogLine, may_be_logged};
use crate::time::Timestamp;

/// Most kinds that are held against a line that was cut, so that no text leads to them.
const CUT_LIMIT: usize = 2048;

/// Most bytes of a line's texts in which texts of calls are looked for.
const SEARCH_LIMIT: usize = 256 << 10;

/// Most values of a call's headers that may be ids.
const ID_LIMIT: usize = 64;

/// Calls that ended in the same way.
#[derive(Debug)]
struct Kind {
    /// Numbers of the calls, by their ends.
    calls: Vec<usize>,
}

/// Failed calls, and what is known of the capture that has them.
#[derive(Debug)]
pub struct CallIndex {
    calls: Vec<Arc<Call>>,
    kinds: Vec<Kind>,
    /// The kind of each call.
    kind_of: Vec<usize>,
    /// The kinds of a text, or of what stands in it behind a colon.
    by_text: HashMap<String, Vec<usize>>,
    /// Kinds to which no text leads.
    always: Vec<usize>,
    prefilter: Arc<Prefilter>,
    by_id: HashMap<String, Vec<usize>>,
    by_address: HashMap<SocketAddr, Vec<usize>>,
    by_uid: HashMap<Uid, usize>,
    scene: Scene,
}

/// What the capture shows beside its failed calls.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    /// From the start of the first call to the end of the last one.
    span: Option<(Timestamp, Timestamp)>,
    /// Calls after which their caller tried once more.
    retried: HashSet<Uid>,
}

impl Scene {
    /// Takes any call of the capture.
    pub fn see(&mut self, call: &Call) {
        let (first, last) = self.span.unwrap_or((call.start, call.end));
        self.span = Some((first.min(call.start), last.max(call.end)));
    }

    /// The caller of this call tried once more.
    pub fn was_retried(&mut self, call: Uid) {
        self.retried.insert(call);
    }

    /// The time of the capture, where it is known from more than its calls.
    pub fn spans(&mut self, (from, to): (Timestamp, Timestamp)) {
        let (first, last) = self.span.unwrap_or((from, to));
        self.span = Some((first.min(from), last.max(to)));
    }
}

impl CallIndex {
    /// An index of those of the calls that an application may have logged.
    #[must_use]
    pub fn new(calls: impl IntoIterator<Item = Arc<Call>>, scene: &Scene) -> Self {
        Self::of(calls.into_iter().filter(|call| may_be_logged(call)).collect(), scene)
    }

    /// An index of these calls. Apart, so that the program has it only once.
    fn of(mut calls: Vec<Arc<Call>>, scene: &Scene) -> Self {
        calls.sort_by_key(|call| (call.end, call.uid));
        let mut kinds: Vec<Kind> = Vec::new();
        let mut by_key: HashMap<String, usize> = HashMap::new();
        let mut by_text: HashMap<String, Vec<usize>> = HashMap::new();
        let (mut by_id, mut by_address) =
            (HashMap::<String, Vec<usize>>::new(), HashMap::<_, Vec<usize>>::new());
        let (mut always, mut kind_of) = (Vec::new(), Vec::new());
        for (number, call) in calls.iter().enumerate() {
            let kind = *by_key.entry(key(call)).or_insert_with(|| {
                let kind = kinds.len();
                kinds.push(Kind { calls: Vec::new() });
                let mut has_text = false;
                for text in texts_of(call) {
                    for part in parts(&text) {
                        has_text = true;
                        by_text.entry(part.to_owned()).or_default().push(kind);
                    }
                }
                if !has_text || is_found_by_its_end(call) {
                    always.push(kind);
                }
                kind
            });
            if let Some(kind) = kinds.get_mut(kind) {
                kind.calls.push(number);
            }
            kind_of.push(kind);
            let trace = call.trace_id.iter().map(|id| &**id);
            let headers = call.metadata.iter().take(ID_LIMIT).map(|(_, _, value)| value.as_str());
            for id in trace.chain(headers) {
                by_id.entry(id.to_ascii_lowercase()).or_default().push(number);
            }
            for end in [call.client, call.caller_address()] {
                let known: &mut Vec<usize> = by_address.entry(SocketAddr::new(end.ip, end.port)).or_default();
                if known.last() != Some(&number) {
                    known.push(number);
                }
            }
        }
        let texts: BTreeSet<String> = calls.iter().flat_map(|call| texts_of(call)).collect();
        let prefilter = Arc::new(Prefilter::new(texts.iter().map(String::as_str)));
        let by_uid = calls.iter().enumerate().map(|(number, call)| (call.uid, number)).collect();
        Self {
            calls,
            kinds,
            kind_of,
            by_text,
            always,
            prefilter,
            by_id,
            by_address,
            by_uid,
            scene: scene.clone(),
        }
    }

    /// What to look for in logs.
    #[must_use]
    pub fn prefilter(&self) -> Arc<Prefilter> {
        Arc::clone(&self.prefilter)
    }

    /// The calls, by their ends; others speak of them by their places here.
    #[must_use]
    pub fn calls(&self) -> &[Arc<Call>] {
        &self.calls
    }

    /// The call of that place.
    #[must_use]
    pub fn call(&self, number: usize) -> Option<&Arc<Call>> {
        self.calls.get(number)
    }

    /// The place of a call.
    #[must_use]
    pub fn place(&self, uid: Uid) -> Option<usize> {
        self.by_uid.get(&uid).copied()
    }

    /// The time of the capture.
    #[must_use]
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        self.scene.span
    }

    /// Whether the caller of a call tried once more.
    #[must_use]
    pub fn is_retried(&self, place: usize) -> bool {
        self.call(place).is_some_and(|call| self.scene.retried.contains(&call.uid))
    }

    /// The kind of a call.
    #[must_use]
    pub fn kind_of(&self, place: usize) -> usize {
        self.kind_of.get(place).copied().unwrap_or(usize::MAX)
    }

    /// The places of the calls of a kind, by their ends.
    #[must_use]
    pub fn of_kind(&self, kind: usize) -> &[usize] {
        self.kinds.get(kind).map_or(&[], |kind| &kind.calls)
    }

    /// The kinds of calls that a line may be about, the best first, with what agrees. Where a library words the line, kinds that just
    /// have a text of it do not count.
    #[must_use]
    pub fn kinds_of(&self, line: &LogLine) -> Vec<(usize, Found)> {
        let mut wanted: BTreeSet<usize> = self.always.iter().copied().collect();
        let mut searched = 0;
        let texts =
            line.texts().iter().map(String::as_str).chain(line.layers().map(|layer| layer.message.as_str()));
        for text in texts {
            searched += text.len();
            if searched > SEARCH_LIMIT {
                break;
            }
            self.prefilter.texts_in(text, |text| wanted.extend(self.by_text.get(text).into_iter().flatten()));
        }
        if line.texts().first().is_some_and(|text| text.contains('…') || text.contains("...")) {
            wanted.extend(0..self.kinds.len().min(CUT_LIMIT));
        }
        let found = |kind: usize| {
            let example = self.calls.get(*self.kinds.get(kind)?.calls.first()?)?;
            Some((kind, line.found(example)?))
        };
        let mut all: Vec<(usize, Found)> = wanted.into_iter().filter_map(found).collect();
        if all.iter().any(|(_, found)| !found.is_bare()) {
            all.retain(|(_, found)| !found.is_bare());
        }
        all.sort_by_key(|(kind, found)| (std::cmp::Reverse(found.key()), *kind));
        all
    }

    /// The calls that carry one of the ids of a line, or whose caller has one of its addresses.
    #[must_use]
    pub fn named_by(&self, line: &LogLine) -> HashSet<usize> {
        let ids = line.clues().ids().filter_map(|id| self.by_id.get(id));
        let addresses = line.clues().addresses();
        let addresses: Vec<&Vec<usize>> =
            addresses.filter_map(|address| self.by_address.get(&address)).collect();
        ids.chain(addresses).flatten().copied().collect()
    }
}

/// Whether lines may be about a call without its text: the caller's own library words how it ended.
fn is_found_by_its_end(call: &Call) -> bool {
    let outcome = &call.outcome;
    let ends = [Carrier::HttpStatus, Carrier::H2RstStream, Carrier::H2Goaway, Carrier::None];
    !call.failed()
        || matches!(outcome.class, Some(Class::Transport | Class::Unanswered))
        || ends.contains(&outcome.carrier)
        || outcome.carrier == Carrier::IdlException
        || call.rpc == rpcscope_parsers::Rpc::TrpcStream
        || [Finding::LateAnswer, Finding::ForeignAnswer]
            .iter()
            .any(|finding| call.findings.contains(*finding))
}

/// All by which a line may tell how a call ended.
fn key(call: &Call) -> String {
    let outcome = &call.outcome;
    let exception = call.bodies.as_deref().and_then(|bodies| bodies.payload.exception.as_ref());
    let has = |finding: Finding| call.findings.contains(finding);
    // The caller of a stream that it reset may have refused the size of the answer.
    let size = call.message_bytes[1] * u64::from(outcome.class == Some(Class::Transport));
    let findings = (has(Finding::LateAnswer), has(Finding::ForeignAnswer));
    format!(
        "{:?}",
        (
            (
                call.rpc,
                outcome.class,
                outcome.carrier,
                outcome.code,
                outcome.message.as_deref(),
                outcome.initiator
            ),
            (
                outcome.cancel_path(),
                call.server,
                call.method.as_deref(),
                call.goaway.is_some(),
                findings,
                size
            ),
            exception.map(crate::body::Value::to_json),
        )
    )
}
