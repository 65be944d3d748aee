//! A fault of this program costs links, not calls.

use super::super::assign::TimingModel;
use super::super::judge;
use super::super::kept::Kept;
use super::super::record::{Chain, Hop};
use super::{Engine, makes_calls};
use crate::calls::record::Call;
use crate::contain::{Fault, caught};
use crate::text;

/// Calls that faults left unlinked.
#[derive(Debug, Default)]
pub(super) struct Unlinked {
    calls: u64,
    /// What the first fault said.
    why: Option<String>,
}

/// A step that tests break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A call is taken.
    Take,
    /// The cause of a call is settled.
    Settle,
    /// The chain of a call is completed.
    Complete,
    /// The chain of a call is judged.
    Judge,
}

impl Engine {
    /// What was not linked because of a fault of this program, in words for a person.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let Unlinked { calls, why } = &self.unlinked;
        let calls = text::counted(*calls, "call");
        why.as_ref().map(|why| format!("{calls} not linked, each in a chain of its own: {why}"))
    }

    /// Does a part of the work. If that panics, all calls that are held come out unlinked, and the engine begins anew.
    pub(super) fn contained<T>(
        &mut self,
        out: &mut dyn FnMut(Chain),
        work: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        match caught(|| work(self)) {
            Ok(done) => Some(done),
            Err(fault) => {
                let in_hand = std::mem::take(&mut self.in_hand);
                let held = std::mem::take(&mut self.held);
                self.unsettled.clear();
                self.settled.clear();
                self.retriable.clear();
                self.model = TimingModel::default();
                let in_hand = in_hand.into_iter().map(|hop| hop.call);
                self.give_up(in_hand.chain(held.into_calls()), &fault, out);
                None
            }
        }
    }

    /// Emits calls that a fault leaves unlinked.
    pub(super) fn give_up(
        &mut self,
        calls: impl IntoIterator<Item = Kept>,
        fault: &Fault,
        out: &mut dyn FnMut(Chain),
    ) {
        self.unlinked.why.get_or_insert_with(|| fault.to_string());
        for call in calls {
            self.unlinked.calls += 1;
            out(self.alone(call));
        }
    }

    /// The chain of a call that nothing is linked to.
    fn alone(&self, mut call: Kept) -> Chain {
        if let Some(call) = call.get_mut() {
            (call.parent, call.parent_key, call.parent_evidence) = (None, None, None);
        }
        let seen = makes_calls(&self.egress, &call);
        let hop = Hop::unlinked(call);
        caught(|| judge::judge(&mut vec![hop.clone()], |_, _| seen)).unwrap_or_else(|_| Chain::unjudged(hop))
    }

    #[cfg(test)]
    pub(super) fn step(&self, step: Step, call: &Call) {
        let is_broken = self.is_broken.is_some_and(|is_broken| is_broken(step, call));
        assert!(!is_broken, "a fault in the test's engine");
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests break steps")]
    #[inline]
    pub(super) fn step(&self, _: Step, _: &Call) {}
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::calls::{Uid, sample};
    use crate::time::Timestamp;

    /// A call and another within it that has the same trace id, so that they are linked.
    fn pair(number: u64) -> [Call; 2] {
        let mut outer = sample::ok();
        outer.start = Timestamp(number as i64 * 1_000_000_000);
        outer.end = Timestamp(outer.start.0 + 900_000);
        outer.uid = Uid { packet: number * 2, ordinal: 0 };
        outer.trace_id = Some(format!("{:032x}", number + 1).into());
        let mut inner = outer.clone();
        inner.uid.packet += 1;
        (inner.client, inner.server) = (outer.server, outer.client);
        inner.start.0 += 100_000;
        inner.end.0 -= 100_000;
        [inner, outer]
    }

    /// The packets of the calls of the chains that come out, and what the engine says.
    fn linked(is_broken: Option<fn(Step, &Call) -> bool>) -> (Vec<Vec<u64>>, Vec<String>) {
        let mut engine = Engine::new(Options { max_held: 12, ..Options::default() });
        engine.is_broken = is_broken;
        let mut chains: Vec<Vec<u64>> = Vec::new();
        let out = &mut |chain: Chain| {
            if let [hop] = &chain.hops[..] {
                assert_eq!((hop.call.parent, hop.call.parent_key), (None, None), "alone in its chain");
            }
            chains.push(chain.hops.iter().map(|hop| hop.call.uid.packet).collect());
        };
        for call in (0..20).flat_map(pair) {
            engine.call(call, out);
        }
        engine.finish(out);
        chains.sort();
        (chains, engine.shortfalls())
    }

    #[test]
    fn a_fault_of_linking_leaves_calls_unlinked_and_says_so() {
        let (whole, _) = linked(None);
        assert_eq!(whole, (0..20).map(|number| vec![number * 2, number * 2 + 1]).collect::<Vec<_>>());
        let broken: [fn(Step, &Call) -> bool; 4] = [
            |step, call| step == Step::Take && call.uid.packet == 20,
            |step, call| step == Step::Settle && call.uid.packet == 20,
            |step, call| step == Step::Complete && call.uid.packet == 20,
            |step, call| step == Step::Judge && call.uid.packet == 20,
        ];
        for is_broken in broken {
            let (chains, said) = linked(Some(is_broken));
            let mut all = chains.concat();
            all.sort_unstable();
            assert_eq!(all, (0..40).collect::<Vec<u64>>(), "each call once");
            assert!(chains.contains(&vec![20]), "{chains:?}");
            assert!(chains.iter().filter(|chain| chain.len() == 2).count() >= 10, "the others: {chains:?}");
            assert!(
                said[0].contains("not linked, each in a chain of its own: a fault of this program"),
                "{said:?}"
            );
            assert!(said[0].contains("a fault in the test's engine"), "{said:?}");
        }
    }
}
