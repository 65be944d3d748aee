//! Follows parents up to roots, and judges the trees.

use super::super::judge::judge;
use super::super::record::{Chain, Evidence, EvidenceSet, FACT, Hop, Link, Rival};
use super::super::traits::Traits;
use super::Counts;
use super::observations::{APART, Joined, turn_back, uid};
use crate::calls::record::{Call, Class, Finding, RivalParent};
use crate::calls::{JoinKey, Share, Uid};

/// Greatest depth of a chain; deeper calls become roots of their own.
const MAX_DEPTH: u32 = 64;

/// Most calls of one key that are looked at for a parent: a key comes again only after its sequence numbers have.
const MAX_NAMESAKES: usize = 8;

/// Where a call stands among the others: by its corrected start.
type Place = (i64, Uid, JoinKey);

/// Judges all trees, in the order in which their roots began.
pub(super) fn judge_all(mut calls: Vec<Joined>, counts: &mut Counts, out: &mut dyn FnMut(Chain)) {
    let parents = parents(&mut calls, counts);
    let (roots, children) = hang(&mut calls, parents, counts);
    let mut calls: Vec<Option<Joined>> = calls.into_iter().map(Some).collect();
    for root in roots {
        let hops = take(root, &mut calls, &children);
        let seen: Vec<bool> = hops.iter().map(|(_, seen)| *seen).collect();
        let mut hops = hops.into_iter().map(|(hop, _)| hop).collect();
        out(judge(&mut hops, |hop, _| seen.get(hop).copied().unwrap_or(false)));
    }
}

/// The index of each call's parent.
fn parents(calls: &mut [Joined], counts: &mut Counts) -> Vec<Option<usize>> {
    let found: Vec<Option<usize>> = (0..calls.len()).map(|child| find(calls, child)).collect();
    for (joined, parent) in calls.iter_mut().zip(&found) {
        let call = &mut joined.call;
        if parent.is_none() && (call.parent_key.is_some() || call.parent.is_some()) {
            call.findings.insert(Finding::ParentMissing);
            counts.orphans += 1;
        }
        call.parent = None;
    }
    found
}

/// The call that has the key of a call's parent, at its time.
fn find(calls: &[Joined], child: usize) -> Option<usize> {
    let key = calls[child].call.parent_key?;
    let start = calls[child].spans.first()?.start;
    let from = calls.partition_point(|call| call.key < key);
    let namesakes = calls[from..].partition_point(|call| call.key == key);
    let begun = |call: &Joined| call.spans.iter().map(|span| span.start).min();
    let before = calls[from..from + namesakes]
        .partition_point(|call| begun(call).is_some_and(|begun| begun <= start.saturating_add(APART)));
    let fits = |&at: &usize| {
        at != child
            && calls[at].spans.iter().any(|span| {
                (span.start.saturating_sub(APART)..=span.end.saturating_add(APART)).contains(&start)
            })
    };
    (from..from + before).rev().take(MAX_NAMESAKES).find(fits)
}

/// Hangs the calls below their parents: the roots in order, and the children of each call in order. Turns the clocks of all hosts to
/// that of the root's caller.
fn hang(
    calls: &mut [Joined],
    mut parents: Vec<Option<usize>>,
    counts: &mut Counts,
) -> (Vec<usize>, Vec<Vec<u32>>) {
    break_circles(calls, &mut parents, counts);
    let mut children = vec![Vec::new(); calls.len()];
    for (child, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            children[*parent].push(child as u32);
        }
    }
    let mut roots: Vec<usize> = (0..calls.len()).filter(|&call| parents[call].is_none()).collect();
    // Each with its depth, and by how much its clock is ahead.
    let mut todo: Vec<(usize, u32, i64)> = roots.iter().map(|&root| (root, 0, 0)).collect();
    while let Some((call, depth, ahead)) = todo.pop() {
        turn_back(&mut calls[call].call, ahead);
        let below = ahead.saturating_add(calls[call].ahead);
        if depth >= MAX_DEPTH {
            counts.deep += children[call].len() as u64;
            for child in std::mem::take(&mut children[call]) {
                roots.push(child as usize);
                todo.push((child as usize, 0, 0));
            }
        }
        todo.extend(children[call].iter().map(|&child| (child as usize, depth + 1, below)));
    }
    let place = |call: usize| -> Place {
        let Joined { call, key, .. } = &calls[call];
        (call.start.0, call.uid, *key)
    };
    roots.sort_unstable_by_key(|&root| (place(root), root));
    for children in &mut children {
        children.sort_unstable_by_key(|&child| (place(child as usize), child));
    }
    (roots, children)
}

/// Takes the first call of each circle of parents off it.
fn break_circles(calls: &[Joined], parents: &mut [Option<usize>], counts: &mut Counts) {
    // The walk that has passed a call; 0 for none.
    let mut passed = vec![0_u32; calls.len()];
    for begin in 0..calls.len() {
        let walk = begin as u32 + 1;
        let mut at = Some(begin);
        while let Some(call) = at.filter(|&call| passed[call] == 0) {
            passed[call] = walk;
            at = parents[call];
        }
        let Some(meeting) = at.filter(|&call| passed[call] == walk) else { continue };
        let (mut first, mut next) = (meeting, parents[meeting]);
        while let Some(call) = next.filter(|&call| call != meeting) {
            let start = |call: usize| (calls[call].call.start, calls[call].key, call);
            first = if start(call) < start(first) { call } else { first };
            next = parents[call];
        }
        parents[first] = None;
        counts.circles += 1;
    }
}

/// Takes a tree out: its calls, depth first, each with whether the calls that its callee made would be there.
fn take(root: usize, calls: &mut [Option<Joined>], children: &[Vec<u32>]) -> Vec<(Hop, bool)> {
    let mut hops: Vec<(Hop, bool)> = Vec::new();
    let mut stack = vec![(root, None)];
    while let Some((index, parent)) = stack.pop() {
        let Some(joined) = calls[index].take() else { continue };
        let seen = joined.is_callee_captured || !children[index].is_empty();
        let place = hops.len();
        stack.extend(children[index].iter().rev().map(|&child| (child as usize, Some(place))));
        let above = parent.and_then(|parent: usize| hops.get(parent)).map(|(hop, _)| hop);
        let hop = hop(*joined.call, parent, above);
        hops.push((hop, seen));
    }
    hops
}

fn hop(mut call: Call, parent: Option<usize>, above: Option<&Hop>) -> Hop {
    let link = above.map(|above| {
        call.parent = Some(above.call.uid);
        let evidence = call.parent_evidence.and_then(Evidence::from_name);
        // Only sure parents are named, so that one without a number is at least that.
        let confidence = call.parent_confidence.map_or(FACT, Share::number);
        Link {
            evidence: evidence.into_iter().collect::<EvidenceSet>(),
            confidence,
            caller: confidence,
            direct: 1.0,
        }
    });
    let missed = call.missed.take().map_or(0.0, Share::number);
    let rivals = call.rivals.take().unwrap_or_default();
    let rival = |RivalParent { parent, confidence }: &RivalParent| Rival {
        uid: uid(*parent),
        key: Some(*parent),
        confidence: confidence.number(),
    };
    // The hop has it.
    call.parent_confidence = None;
    let is_answered = |above: &Hop| !matches!(above.call.class(), Some(Class::Unanswered | Class::Oneway));
    Hop {
        depth: above.map_or(0, |above| above.depth + 1),
        after_answer: above.is_some_and(|above| is_answered(above) && call.start > above.call.end),
        parent,
        link,
        rivals: rivals.iter().map(rival).collect(),
        missed,
        unread_below: false,
        is_retry_doubtful: false,
        retried_by: None,
        is_retry: !call.metadata.is_empty() && Traits::of(&call).retry,
        call: call.into(),
    }
}
