//! What the page says, gathered from chains: sums, kinds of errors, origins, and as many calls and chains as it has room for.

use std::sync::Arc;

use hashbrown::HashMap;

use super::data::{Row, Texts};
use super::timeline::Timeline;
use super::{MAX_CALLS, MAX_CHAIN_BYTES, MAX_CHAINS, MAX_HOPS, MAX_KINDS};
use crate::calls::intervals::{CLASSES, index};
use crate::calls::summary::sentence;
use crate::calls::template::template;
use crate::calls::{Call, Class, Uid, labels};
use crate::chains::{Chain, Evidence, FACT, Operation, Origin, Summary};
use crate::filter::Filter;
use crate::sink::chains::evidence;
use crate::text;
use crate::time::Timestamp;

/// Calls that failed in the same way.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) operation: String,
    pub(super) class: Option<Class>,
    pub(super) code: String,
    /// The error's text with numbers and ids folded, escaped for terminals.
    pub(super) text: String,
    pub(super) count: u64,
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) example: Uid,
}

/// Where errors began, of one kind.
#[derive(Clone, Debug)]
pub(super) struct Began {
    pub(super) operation: String,
    pub(super) origin: Origin,
    /// The first call of the kind.
    pub(super) call: Arc<Call>,
    /// Chains that began so.
    pub(super) chains: u64,
    /// Those of which it is sure.
    pub(super) sure: u64,
    /// The smallest and the largest probability.
    pub(super) confidence: (f64, f64),
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    /// What the outermost callers saw instead, and how often.
    pub(super) seen: HashMap<String, u64>,
}

/// A hop of a chain in the page.
#[derive(Clone, Debug)]
pub(super) struct HopView {
    pub(super) branch: String,
    pub(super) operation: String,
    pub(super) uid: Uid,
    pub(super) class: Option<Class>,
    pub(super) verdict: String,
    pub(super) took: String,
    pub(super) remark: String,
    pub(super) is_origin: bool,
}

/// A chain in the page.
#[derive(Clone, Debug)]
pub(super) struct ChainView {
    pub(super) start: Timestamp,
    pub(super) root: String,
    pub(super) sentence: String,
    pub(super) evidence: String,
    pub(super) hops: Vec<HopView>,
    /// Hops beyond [`MAX_HOPS`].
    pub(super) left_out: usize,
}

impl ChainView {
    fn of(chain: &Chain) -> Self {
        let branches = chain.branches();
        let hops = chain.hops.iter().zip(branches).take(MAX_HOPS).enumerate();
        let hops = hops.map(|(index, (hop, branch))| HopView {
            branch,
            operation: text::escape(&Operation(&hop.call).to_string()).into_owned(),
            uid: hop.call.uid,
            class: hop.call.class(),
            verdict: text::head(&labels::verdict(&hop.call), 300).to_owned(),
            took: hop.call.duration.or(hop.call.latency).map(text::duration).unwrap_or_default(),
            remark: chain.remark(index).unwrap_or_default(),
            is_origin: chain.origin.hop() == Some(index),
        });
        Self {
            start: chain.root().start,
            root: text::escape(&Operation(chain.root()).to_string()).into_owned(),
            sentence: chain.sentence(),
            evidence: evidence(chain).unwrap_or_default(),
            hops: hops.collect(),
            left_out: chain.hops.len().saturating_sub(MAX_HOPS),
        }
    }

    /// About how many bytes of the page it takes.
    fn size(&self) -> usize {
        let hop = |hop: &HopView| {
            300 + hop.branch.len() + hop.operation.len() + hop.verdict.len() + hop.remark.len()
        };
        400 + self.sentence.len() + self.evidence.len() + self.hops.iter().map(hop).sum::<usize>()
    }
}

/// Chains of one kind.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// The sentence of the first of them.
    pub(super) sentence: String,
    pub(super) class: Option<Class>,
    pub(super) count: u64,
    /// Numbers of those that are in the page.
    pub(super) chains: Vec<u32>,
}

/// How links are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Linked {
    pub(super) links: u64,
    pub(super) sure: u64,
}

/// Gathers what the page says.
#[derive(Debug, Default)]
pub struct Gathered {
    filter: Option<Filter>,
    /// Most failed calls that are kept whole.
    max_kept: usize,
    pub(super) counts: [u64; CLASSES],
    pub(super) timeline: Timeline,
    pub(super) summary: Summary,
    pub(super) groups: Vec<Group>,
    group_numbers: HashMap<(u32, Option<Class>, u32), u32>,
    /// Failed calls whose kind was not kept.
    pub(super) groups_left_out: u64,
    pub(super) of_operation: HashMap<u32, u64>,
    pub(super) began: Vec<Began>,
    began_numbers: HashMap<(String, Option<Class>, String), usize>,
    pub(super) texts: Texts,
    failed: Vec<Row>,
    fine: Vec<Row>,
    /// Of so many calls that did not fail, one is kept.
    stride: u64,
    fine_seen: u64,
    pub(super) chains: Vec<ChainView>,
    chain_bytes: usize,
    pub(super) kinds: Vec<Kind>,
    kind_numbers: HashMap<String, usize>,
    /// Chains with a failed call.
    pub(super) failed_chains: u64,
    /// Calls that were not linked.
    pub(super) unlinked: u64,
    /// How links are known, by [`Evidence`].
    pub(super) links: Vec<(Evidence, Linked)>,
    pub(super) all_links: Linked,
    /// Failed calls as far as they are kept, for their bytes and for logs.
    pub(super) calls: Vec<Arc<Call>>,
    /// Span of the starts of the failed calls.
    pub(super) trouble: Option<(Timestamp, Timestamp)>,
    /// Span of the starts of all.
    pub(super) span: Option<(Timestamp, Timestamp)>,
}

/// How a call ended, with numbers and ids of its text folded: `4041 no row for #`.
fn folded(call: &Call) -> String {
    match (call.outcome.code, call.outcome.message.as_deref().filter(|text| !text.is_empty())) {
        (Some(code), Some(message)) => format!("{code} {}", template(&text::escape(message))),
        _ => template(&labels::verdict(call)),
    }
}

/// Widens a span to a time.
fn widen(span: &mut Option<(Timestamp, Timestamp)>, time: Timestamp) {
    let (first, last) = span.get_or_insert((time, time));
    (*first, *last) = ((*first).min(time), (*last).max(time));
}

impl Gathered {
    /// Takes the chains with a call that matches the filter, and of their calls those that match. At most `max_kept` failed calls are
    /// kept whole.
    #[must_use]
    pub fn new(filter: Option<Filter>, max_kept: usize) -> Self {
        Self { filter, max_kept, stride: 1, ..Self::default() }
    }

    /// The failed calls that are kept whole, in the order in which their chains came.
    #[must_use]
    pub fn failed_calls(&self) -> &[Arc<Call>] {
        &self.calls
    }

    /// Calls that were taken.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The calls whose bytes are worth most: an example of each kind of error, then where each kind of chain began, then all others.
    #[must_use]
    pub fn worth_reading(&self) -> Vec<Arc<Call>> {
        let known: HashMap<Uid, &Arc<Call>> = self.calls.iter().map(|call| (call.uid, call)).collect();
        let mut seen = hashbrown::HashSet::new();
        let examples = self.groups.iter().map(|group| group.example);
        let origins = self.began.iter().map(|began| began.call.uid);
        let all = self.calls.iter().map(|call| call.uid);
        let order = examples.chain(origins).chain(all).filter(|uid| seen.insert(*uid));
        order.filter_map(|uid| known.get(&uid).map(|call| Arc::clone(call))).collect()
    }

    /// Adds a chain.
    pub fn chain(&mut self, chain: &Chain) {
        let filter = self.filter.take();
        let matches = |call: &Call| filter.as_ref().is_none_or(|filter| filter.matches(call));
        if chain.hops.iter().any(|hop| matches(&hop.call)) {
            self.summary.add(chain);
            let number = if chain.hops.iter().any(|hop| hop.call.failed()) { self.keep(chain) } else { None };
            self.note_links(chain);
            for hop in chain.hops.iter().filter(|hop| matches(&hop.call)) {
                self.call(&hop.call.shared(), number);
            }
        }
        self.filter = filter;
    }

    /// Adds a call that is in no chain, because it could not be linked in time.
    pub fn unlinked(&mut self, call: &Arc<Call>) {
        if self.filter.as_ref().is_none_or(|filter| filter.matches(call)) {
            self.unlinked += 1;
            self.call(call, None);
        }
    }

    fn note_links(&mut self, chain: &Chain) {
        for hop in &chain.hops {
            let Some(link) = hop.link else { continue };
            let sure = u64::from(link.confidence >= FACT);
            self.all_links.links += 1;
            self.all_links.sure += sure;
            let Some(strongest) = link.evidence.strongest() else { continue };
            let place = self.links.iter().position(|(evidence, _)| *evidence == strongest);
            let place = place.unwrap_or_else(|| {
                self.links.push((strongest, Linked::default()));
                self.links.len() - 1
            });
            let (_, linked) = &mut self.links[place];
            linked.links += 1;
            linked.sure += sure;
        }
    }

    /// Takes a chain with a failed call; its number, if the page has room for it.
    fn keep(&mut self, chain: &Chain) -> Option<u32> {
        self.failed_chains += 1;
        self.note_origin(chain);
        let sentence = chain.sentence();
        let kind = template(&sentence);
        let place = match self.kind_numbers.get(&kind) {
            Some(place) => *place,
            None if self.kinds.len() >= MAX_KINDS => return None,
            None => {
                let class = chain.origin_call().unwrap_or(chain.root()).class();
                self.kinds.push(Kind { sentence, class, count: 0, chains: Vec::new() });
                self.kind_numbers.insert(kind, self.kinds.len() - 1);
                self.kinds.len() - 1
            }
        };
        self.kinds[place].count += 1;
        let is_first = self.kinds[place].count == 1;
        // Half of the room is for the first chain of each kind.
        let share = if is_first { 1 } else { 2 };
        if self.chains.len() >= MAX_CHAINS / share || self.chain_bytes >= MAX_CHAIN_BYTES / share {
            return None;
        }
        let view = ChainView::of(chain);
        if self.chain_bytes + view.size() > MAX_CHAIN_BYTES {
            return None;
        }
        self.chain_bytes += view.size();
        let number = self.chains.len() as u32;
        self.chains.push(view);
        self.kinds[place].chains.push(number);
        Some(number)
    }

    fn note_origin(&mut self, chain: &Chain) {
        let place = match chain.origin {
            Origin::Nothing => return,
            Origin::At(hop) | Origin::InClient(hop) | Origin::BelowOf(hop) => hop,
        };
        let call = &chain.hops[place].call;
        let operation = text::escape(&Operation(call).to_string()).into_owned();
        let key = (operation.clone(), call.class(), folded(call));
        let number = match self.began_numbers.get(&key) {
            Some(number) => *number,
            None if self.began.len() >= MAX_KINDS => return,
            None => {
                self.began.push(Began {
                    operation,
                    origin: chain.origin,
                    call: call.shared(),
                    chains: 0,
                    sure: 0,
                    confidence: (1.0, 0.0),
                    first: call.start,
                    last: call.start,
                    seen: HashMap::new(),
                });
                self.began_numbers.insert(key, self.began.len() - 1);
                self.began.len() - 1
            }
        };
        let began = &mut self.began[number];
        began.chains += 1;
        began.sure += u64::from(chain.is_origin_sure());
        let (least, most) = &mut began.confidence;
        (*least, *most) = (least.min(chain.origin_confidence), most.max(chain.origin_confidence));
        (began.first, began.last) = (began.first.min(call.start), began.last.max(call.start));
        if place != 0 {
            let root = chain.root();
            let name = text::escape(&Operation(root).to_string()).into_owned();
            let answer = if root.class() == Some(Class::Ok) {
                "an answer without an error, which was swallowed on the way".to_owned()
            } else {
                folded(root)
            };
            let seen = format!("{name}: {answer}");
            if began.seen.len() < 50 || began.seen.contains_key(&seen) {
                *began.seen.entry(seen).or_default() += 1;
            }
        }
    }

    fn call(&mut self, call: &Arc<Call>, chain: Option<u32>) {
        let class = call.class();
        self.counts[index(class)] += 1;
        self.timeline.add(call.start, class);
        widen(&mut self.span, call.start);
        let operation = self.texts.number(&labels::likely_operation(call));
        *self.of_operation.entry(operation).or_default() += 1;
        if !call.failed() {
            self.fine_seen += 1;
            if !self.fine_seen.is_multiple_of(self.stride) {
                return;
            }
            let row = self.row(call, operation, None, chain);
            self.fine.push(row);
            if self.fine.len() > MAX_CALLS {
                self.thin();
            }
            return;
        }
        widen(&mut self.trouble, call.start);
        let group = self.group(call, operation);
        if self.failed.len() < MAX_CALLS {
            let row = self.row(call, operation, group, chain);
            self.failed.push(row);
        }
        if self.calls.len() < self.max_kept {
            self.calls.push(Arc::clone(call));
        }
    }

    /// Drops every other of the calls that did not fail.
    fn thin(&mut self) {
        self.stride *= 2;
        let mut is_kept = false;
        self.fine.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
    }

    fn row(&mut self, call: &Call, operation: u32, group: Option<u32>, chain: Option<u32>) -> Row {
        let texts = &mut self.texts;
        Row {
            packet: call.uid.packet,
            ordinal: call.uid.ordinal,
            start: call.start.0,
            latency: call.latency.unwrap_or(u64::MAX),
            client: texts.number(&labels::client(call)),
            server: texts.number(&labels::server(call)),
            operation,
            protocol: texts.number(labels::protocol(call)),
            class: index(call.class()) as u8,
            verdict: texts.number(&labels::likely_verdict(call)),
            sentence: call.failed().then(|| texts.number(&sentence(call))),
            group,
            chain,
        }
    }

    /// The number of the kind of error.
    fn group(&mut self, call: &Call, operation: u32) -> Option<u32> {
        let said = text::escape(call.outcome.message.as_deref().unwrap_or_default()).into_owned();
        let folded = template(&said);
        let name = call.outcome.code_name.map(|name| format!(" {name}")).unwrap_or_default();
        let code = match (call.outcome.code, call.outcome.class) {
            (Some(code), _) => format!("{code}{}", text::escape(&name)),
            (None, _) if folded.is_empty() => labels::verdict(call),
            (None, _) => name.trim().to_owned(),
        };
        let kind = self.texts.number(&format!("{code} {folded}"));
        let key = (operation, call.class(), kind);
        let number = match self.group_numbers.get(&key) {
            Some(number) => *number,
            None if self.groups.len() >= MAX_KINDS => {
                self.groups_left_out += 1;
                return None;
            }
            None => {
                self.groups.push(Group {
                    operation: self.texts.get(operation).to_owned(),
                    class: call.class(),
                    code,
                    text: folded,
                    count: 0,
                    first: call.start,
                    last: call.start,
                    example: call.uid,
                });
                self.group_numbers.insert(key, self.groups.len() as u32 - 1);
                self.groups.len() as u32 - 1
            }
        };
        let group = &mut self.groups[number as usize];
        group.count += 1;
        (group.first, group.last) = (group.first.min(call.start), group.last.max(call.start));
        Some(number)
    }

    /// The calls of the table by time: failed ones first where there is no room for all.
    pub(super) fn rows(&mut self) -> Vec<Row> {
        while !self.fine.is_empty() && self.fine.len() + self.failed.len() > MAX_CALLS {
            self.thin();
        }
        let mut rows = std::mem::take(&mut self.failed);
        rows.append(&mut self.fine);
        rows.sort_by_key(|row| (row.start, row.packet, row.ordinal));
        rows
    }

    /// Failed calls, of all.
    pub(super) fn failures(&self) -> u64 {
        let failed = [Class::Business, Class::Rpc, Class::Transport, Class::Unanswered];
        failed.iter().map(|class| self.counts[*class as usize]).sum()
    }
}
