//! `--link`: calls with the call that caused them.

use std::io;
use std::sync::Arc;

use super::chains::waiting;
use super::complain;
use super::linker::Linker;
use super::memory::Shares;
use super::runner::Consumer;
use super::telemetry::Telemetry;
use crate::calls::record::{Connection, RivalParent};
use crate::calls::{Call, Class, JoinKey, Share, Uid};
use crate::chains::{Chain, Evidence, FACT, Hop, Kept, Options};
use crate::cli::{self, View};
use crate::contain::caught;
use crate::filter::Filter;
use crate::pipeline::Totals;
use crate::sink::Losses;
use crate::time::Timestamp;

/// Links calls on their way to another consumer, which gets them in the order of the packets that decided them: those of a
/// file at its end, live ones when their chain is complete.
pub(super) struct Linked<C> {
    pub(super) inner: C,
    linker: Linker,
    /// Chooses calls once their parents are known.
    filter: Option<Filter>,
    fail_on: Vec<Class>,
    /// Whether a call of a class of `--fail-on` passed the filter.
    pub(super) matched: bool,
    /// Whether headers stay in the records; linking needs them.
    metadata: bool,
    pub(super) telemetry: Telemetry,
    /// Counts calls that a panic costs.
    losses: Arc<Losses>,
}

impl<C: Consumer> Linked<C> {
    /// Passes on to `inner` the calls that were asked for, with their headers if `metadata`.
    pub(super) fn new(
        inner: C,
        filter: Option<Filter>,
        view: &View,
        linking: &cli::Linking,
        metadata: bool,
        telemetry: Telemetry,
        losses: Arc<Losses>,
    ) -> Self {
        let max_held = Shares::of_chains(&view.input).max_linked();
        let options = Options { metadata: metadata || filter.is_some(), ..waiting(&view.input) };
        let linker = Linker::new(linking, &view.input, max_held, options);
        let fail_on = view.fail_on.clone();
        Self { inner, linker, filter, fail_on, matched: false, metadata, telemetry, losses }
    }

    fn feed(&mut self, act: impl FnOnce(&mut Linker, &mut dyn FnMut(Chain))) -> io::Result<()> {
        let mut linked = Vec::new();
        let Self { linker, filter, telemetry, losses, .. } = self;
        act(linker, &mut |chain| {
            let (before, calls) = (linked.len(), chain.hops.len());
            let taken = caught(|| {
                telemetry.chain(&chain, &|call| filter.as_ref().is_none_or(|filter| filter.matches(call)));
                push_calls(chain, &mut linked);
            });
            if let Err(fault) = taken {
                linked.truncate(before);
                losses.add(calls, &fault.into());
            }
        });
        linked.extend(linker.left_out().into_iter().map(Kept::from));
        arrange(&mut linked);
        for call in linked {
            match caught(|| self.pass_on(call)) {
                Ok(passed) => passed?,
                Err(fault) => self.losses.add(1, &fault.into()),
            }
        }
        Ok(())
    }

    fn pass_on(&mut self, mut call: Kept) -> io::Result<()> {
        if self.filter.as_ref().is_some_and(|filter| !filter.matches(&call)) {
            self.inner.left_out(&call);
            return Ok(());
        }
        self.matched |= call.class().is_some_and(|class| self.fail_on.contains(&class));
        self.telemetry.count(&call);
        if !self.metadata {
            call.make_mut().metadata.clear();
        }
        self.inner.call(&mut call.into_box())
    }
}

/// Puts calls in the order of outputs. Apart, so that the program has the sort only once.
fn arrange(calls: &mut [Kept]) {
    calls.sort_by_key(|call| (call.decided, call.uid));
}

/// Appends the calls of a chain, each with its parent where that is sure.
fn push_calls(chain: Chain, out: &mut Vec<Kept>) {
    let ids: Vec<(Uid, Option<JoinKey>)> =
        chain.hops.iter().map(|hop| (hop.call.uid, hop.call.key())).collect();
    let mut missed: Vec<f64> = chain.hops.iter().map(|hop| hop.missed).collect();
    for hop in chain.hops.iter().filter(|hop| hop.call.failed()) {
        if let (Some(link), Some(parent)) = (hop.unsure_link(), hop.parent) {
            missed[parent] = 1.0 - (1.0 - missed[parent]) * (1.0 - link.confidence);
        }
    }
    out.extend(chain.hops.into_iter().zip(missed).map(|(hop, missed)| {
        let rivals = rivals(&hop, &ids);
        let mut call = hop.call;
        let link = hop.link.filter(|link| link.confidence >= FACT);
        let parent = hop.parent.filter(|_| link.is_some()).and_then(|parent| ids.get(parent));
        let named = call.make_mut();
        // The engine names the parents of links that are not sure, too.
        (named.parent, named.parent_key) = (parent.map(|(uid, _)| *uid), parent.and_then(|(_, key)| *key));
        named.parent_confidence = parent.and(link).map(|link| Share::of(link.confidence));
        named.missed = Some(Share::of(missed)).filter(|missed| *missed > Share::default());
        named.rivals = rivals;
        named.parent_evidence = link.and_then(|link| link.evidence.strongest()).map(Evidence::name);
        call
    }));
}

/// The calls that may have caused one of which no cause is sure: the one that the chain has above it, and its rivals.
fn rivals(hop: &Hop, ids: &[(Uid, Option<JoinKey>)]) -> Option<Box<[RivalParent]>> {
    let chosen = hop.unsure_link().zip(hop.parent);
    let chosen = chosen.and_then(|(link, parent)| Some((ids.get(parent)?.1?, link.confidence)));
    let others = hop.rivals.iter().filter_map(|rival| Some((rival.key?, rival.confidence)));
    let mut all: Vec<RivalParent> = chosen
        .into_iter()
        .chain(others)
        .map(|(parent, confidence)| RivalParent { parent, confidence: Share::of(confidence) })
        .collect();
    all.sort_by_key(|rival| std::cmp::Reverse(rival.confidence));
    (!all.is_empty()).then(|| all.into())
}

impl<C: Consumer> Consumer for Linked<C> {
    fn begin(&mut self, first: Timestamp) {
        self.inner.begin(first);
    }

    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        let call = Box::new(call.take());
        self.feed(|linker, out| linker.call(call, out))
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.inner.connection(connection)
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        self.telemetry.totals(totals);
        self.feed(|linker, out| linker.progress(totals, out))
    }

    fn tick(&mut self) -> io::Result<()> {
        self.telemetry.tick();
        self.inner.tick()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        self.feed(|linker, out| linker.finish(out))?;
        self.linker.shortfalls().iter().for_each(|shortfall| complain(shortfall));
        self.inner.totals(totals)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;
    use crate::chains::{Engine, Step};

    /// Breaks at a call.
    #[derive(Default)]
    struct Rows(Vec<u64>);

    impl Consumer for Rows {
        fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
            assert!(call.uid.packet != 4, "a fault of the test");
            self.0.push(call.uid.packet);
            Ok(())
        }
    }

    #[test]
    fn faults_of_linking_and_of_a_row_cost_no_other_call() {
        for is_apart in [false, true] {
            let mut engine = Engine::new(Options::default());
            engine.is_broken = Some(|step, call| step == Step::Settle && call.uid.packet == 7);
            let losses = Arc::<Losses>::default();
            let mut linked = Linked {
                inner: Rows::default(),
                linker: if is_apart { Linker::apart(engine, 1_000) } else { Linker::Here(Box::new(engine)) },
                filter: None,
                fail_on: Vec::new(),
                matched: false,
                metadata: false,
                telemetry: Telemetry::default(),
                losses: Arc::clone(&losses),
            };
            for packet in 0..10 {
                let call = Call { uid: Uid { packet, ordinal: 0 }, decided: packet, ..sample::ok() };
                linked.call(&mut Box::new(call)).unwrap();
            }
            linked.totals(&Totals::default()).unwrap();
            assert_eq!(linked.inner.0, [0, 1, 2, 3, 5, 6, 7, 8, 9], "in a thread: {is_apart}");
            assert_eq!(losses.get().unwrap().0, 1);
        }
    }
}
