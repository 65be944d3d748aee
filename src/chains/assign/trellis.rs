//! The sequential model: each parent is a walk from event to event, solved by a forward-backward pass over its possible walks.

use std::ops::Range;

use hashbrown::HashMap;

use super::factor_graph::{FactorGraph, Pair, ParentModel};
use super::followers::Followers;
use super::gaps::{BINS, GapModel, GapTable, Masses, Next, State, Step};
use super::seed::{self, Lags};
use super::steps::{DenseStep, StepCache, StepDensity};
use super::{Belief, Span};

/// Rounds of learning for new classes: the sweeps of messages in each.
const LEARNING: &[usize] = &[8, 5, 5, 5, 5, 5, 5];

/// The same for known classes.
const FOLLOWING: &[usize] = &[8, 5];

/// Steps with a density below this multiple of the rate of chance are ignored.
const PRUNE: f64 = 1e-3;

/// Decay of earlier counts after each slice.
const FADE: f32 = 0.5;

/// A state of the trellis: the last call of the walk, and which of its calls ends last. They differ if calls run in parallel.
#[derive(Clone, Copy)]
struct WalkState {
    /// The last call: an index in the parent's pairs.
    pair: u32,
    /// The call that ends last.
    latest: u32,
    /// Density of the call as the first step; 0 for later ones.
    first: StepDensity,
    /// Density of the answer as the next step.
    last: StepDensity,
}

/// A step from one state of a trellis to a later one.
#[derive(Clone, Copy)]
struct Transition {
    from: u32,
    to: u32,
    /// Its density.
    value: f64,
}

/// A possible child of a parent, as its trellis sees it.
#[derive(Clone, Copy)]
struct PossibleCall {
    start: i64,
    end: i64,
    class: u32,
    /// Dense number of its class.
    number: u32,
    /// Whether other evidence has settled the pair.
    settled: bool,
}

/// A state from which a walk may go on.
#[derive(Clone, Copy)]
struct Active {
    state: u32,
    /// The last call, and the one that ends last: indices in the parent's pairs.
    pair: u32,
    latest: u32,
    /// Calls that begin later do not follow, unless the last call is settled.
    until: i64,
}

/// The trellis of one parent: its states by pair, and its transitions by the pair of their target.
struct ParentTrellis {
    states: Range<usize>,
    transitions: Range<usize>,
    /// Density of answering without any call.
    empty: StepDensity,
}

/// The trellises of all parents of a slice.
#[derive(Default)]
pub(super) struct Trellis {
    /// In the order of [`FactorGraph::parents`].
    parents: Vec<ParentTrellis>,
    states: Vec<WalkState>,
    transitions: Vec<Transition>,
    /// What step each transition is, and the bin of its gap: only learning asks.
    steps: Vec<(Next, u8)>,
    sums: PathSums,
    table: GapTable,
    followers: Followers,
}

/// Most classes of parents that are searched for one that makes a call after another.
pub(super) const MAX_CLASSES: usize = 8;

impl Trellis {
    /// Learns the gaps of this slice and adds them to the model; `guess` helps with new classes.
    pub(super) fn learn(
        &mut self,
        graph: &mut FactorGraph<'_>,
        lags: &mut Lags,
        guess: &[Belief],
        model: &mut GapModel,
    ) {
        let mut current = model.clone();
        let new = seed::seed(graph.window, lags, guess, &mut current);
        let rounds = if new { LEARNING } else { FOLLOWING };
        for (round, &sweeps) in rounds.iter().enumerate() {
            self.build(graph, GapTable::new(&current));
            graph.pass(self, sweeps);
            let mut learnt = self.expect(graph);
            if round + 1 == rounds.len() {
                model.fade(FADE);
                model.merge(&learnt);
            } else if new && round < 2 {
                // The seed fades slowly: parts of it that no walk has used yet may still be true.
                current.fade(0.3);
                learnt.merge(&current);
            }
            current = learnt;
        }
        self.build(graph, GapTable::new(&current));
    }

    /// Builds the trellises: all states and transitions that are dense enough.
    fn build(&mut self, graph: &FactorGraph<'_>, table: GapTable) {
        self.table = table;
        let table = &self.table;
        let mut classes: Vec<u32> = graph.numbers[0].keys().copied().collect();
        classes.sort_unstable();
        classes.truncate(MAX_CLASSES);
        self.followers = Followers::new(classes, graph.numbers[1].len());
        self.parents.clear();
        self.transitions.clear();
        self.steps.clear();
        self.states.clear();
        let steps = StepCache::new(table, graph.numbers[0].len(), graph.numbers[1].len());
        let mut horizons: HashMap<u32, (f64, i64), foldhash::fast::FixedState> = HashMap::default();
        let mut active: Vec<Active> = Vec::new();
        let mut calls: Vec<PossibleCall> = Vec::new();
        let mut useful: Vec<bool> = Vec::new();
        for node in &graph.parents {
            let parent = graph.window.parents[node.parent as usize];
            let &mut (least, horizon) = horizons.entry(parent.host).or_insert_with(|| {
                let least = graph.rates.get(&parent.host).copied().unwrap_or(0.0) * PRUNE;
                (least, table.horizon(least))
            });
            let (first_transition, first_state) = (self.transitions.len(), self.states.len());
            calls.clear();
            calls.extend(graph.pairs[node.pairs.clone()].iter().map(|pair| {
                let child = &graph.children[pair.child as usize];
                let Span { start, end, class, .. } = graph.span(child);
                PossibleCall { start, end, class, number: child.class, settled: pair.is_settled() }
            }));
            let dense = |state, next| DenseStep { parent: node.class, state, next };
            let empty = (parent.class, State::Request, Next::Answer);
            let empty = steps.look(dense(0, 0), empty, parent.end - parent.start, 0.0);
            active.clear();
            for (to, child) in (0..).zip(&calls) {
                let own_states = self.states.len();
                // The state of a walk whose last call is this child, created when first reached.
                let state_of = |states: &mut Vec<WalkState>, latest: u32, first: StepDensity| {
                    let known = states[own_states..].iter().position(|state| state.latest == latest);
                    if let Some(known) = known {
                        return (own_states + known - first_state) as u32;
                    }
                    let least = if child.settled { 0.0 } else { least };
                    let last = steps.look(
                        dense(child.number + 1, 0),
                        (parent.class, State::Made(child.class), Next::Answer),
                        parent.end - calls[latest as usize].end,
                        least,
                    );
                    states.push(WalkState { pair: to, latest, first, last });
                    (states.len() - 1 - first_state) as u32
                };
                let first = (parent.class, State::Request, Next::After(child.class));
                let first = steps.look(
                    dense(0, child.number),
                    first,
                    (child.start - parent.start).abs(),
                    if child.settled { 0.0 } else { least },
                );
                if first.value > 0.0 {
                    state_of(&mut self.states, to, first);
                }
                active.retain(|from| child.start <= from.until || calls[from.pair as usize].settled);
                for &Active { state: from, pair, latest, .. } in &active {
                    let (before, longest) = (&calls[pair as usize], &calls[latest as usize]);
                    let least = if child.settled && before.settled { 0.0 } else { least };
                    let state = State::Made(before.class);
                    let step = dense(before.number + 1, child.number);
                    let latest = if child.end >= longest.end { to } else { latest };
                    let mut add = |next, gap| {
                        let density = steps.look(step, (parent.class, state, next), gap, least);
                        if density.value > 0.0 {
                            let to = state_of(&mut self.states, latest, StepDensity::NONE);
                            self.transitions.push(Transition { from, to, value: density.value });
                            self.steps.push((next, density.bin));
                        }
                    };
                    if child.start >= longest.end {
                        add(Next::After(child.class), child.start - longest.end);
                    } else {
                        if child.start >= before.end {
                            add(Next::After(child.class), child.start - before.end);
                        }
                        add(Next::Beside(child.class), child.start - before.start);
                        add(Next::FromRequest(child.class), child.start - parent.start);
                    }
                }
                active.extend((own_states - first_state..).zip(&self.states[own_states..]).map(
                    |(state, &WalkState { pair, latest, .. })| Active {
                        state: state as u32,
                        pair,
                        latest,
                        until: calls[latest as usize].end.saturating_add(horizon),
                    },
                ));
            }
            // States from which the answer can't be reached need no transitions to them.
            useful.clear();
            useful.extend(self.states[first_state..].iter().map(|state| state.last.value > 0.0));
            for transition in self.transitions[first_transition..].iter().rev() {
                if useful[transition.to as usize] {
                    useful[transition.from as usize] = true;
                }
            }
            let mut kept = first_transition;
            for at in first_transition..self.transitions.len() {
                if useful[self.transitions[at].to as usize] {
                    self.transitions[kept] = self.transitions[at];
                    self.steps[kept] = self.steps[at];
                    kept += 1;
                }
            }
            self.transitions.truncate(kept);
            self.steps.truncate(kept);
            self.parents.push(ParentTrellis {
                states: first_state..self.states.len(),
                transitions: first_transition..kept,
                empty,
            });
        }
    }

    /// The expectations under the current beliefs: counts of every step, and rates of children without a captured parent.
    fn expect(&mut self, graph: &mut FactorGraph<'_>) -> GapModel {
        let mut model = GapModel::default();
        let mut counts: Vec<Masses> = Vec::new();
        let mut rows: HashMap<Step, usize, foldhash::fast::FixedState> = HashMap::default();
        let mut add = |step: Step, bin: u8, mass: f64| {
            let row = *rows.entry(step).or_insert_with(|| {
                counts.push([0.0; BINS]);
                counts.len() - 1
            });
            counts[row][bin as usize] += mass as f32;
        };
        let sums = &mut self.sums;
        for (node, trellis) in graph.parents.iter().zip(&self.parents) {
            let parent = graph.window.parents[node.parent as usize];
            let pairs = &graph.pairs[node.pairs.clone()];
            let states = &self.states[trellis.states.clone()];
            let transitions = &self.transitions[trellis.transitions.clone()];
            let steps = &self.steps[trellis.transitions.clone()];
            let all = sums.compute(pairs, states, transitions, &trellis.empty);
            if all <= 0.0 {
                continue;
            }
            add((parent.class, State::Request, Next::Answer), trellis.empty.bin, trellis.empty.value / all);
            let class = |state: &WalkState| {
                graph.span(&graph.children[pairs[state.pair as usize].child as usize]).class
            };
            for ((state, weight), (forward, backward)) in
                states.iter().zip(&sums.weights).zip(sums.forward.iter().zip(&sums.backward))
            {
                let first = state.first.value * weight * backward / all;
                if first > LEAST_SHARE {
                    add((parent.class, State::Request, Next::After(class(state))), state.first.bin, first);
                }
                let last = forward * state.last.value / all;
                if last > LEAST_SHARE {
                    add((parent.class, State::Made(class(state)), Next::Answer), state.last.bin, last);
                }
            }
            for (transition, &(next, bin)) in transitions.iter().zip(steps) {
                let to = transition.to as usize;
                let weight = sums.weights[to] * sums.backward[to];
                let share = sums.forward[transition.from as usize] * transition.value * weight / all;
                if share > LEAST_SHARE {
                    let from = State::Made(class(&states[transition.from as usize]));
                    add((parent.class, from, next), bin, share);
                }
            }
        }
        for (step, row) in rows {
            for (bin, mass) in counts[row].iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
                model.add(step, bin, *mass);
            }
        }
        graph.expect_strays(&mut model);
        model
    }
}

impl ParentModel for Trellis {
    fn offer(&mut self, graph: &mut FactorGraph<'_>) {
        let mut with: Vec<f64> = Vec::new();
        for (node, trellis) in graph.parents.iter().zip(&self.parents) {
            let pairs = &mut graph.pairs[node.pairs.clone()];
            let states = &self.states[trellis.states.clone()];
            let all = self.sums.compute(
                pairs,
                states,
                &self.transitions[trellis.transitions.clone()],
                &trellis.empty,
            );
            with.clear();
            with.resize(pairs.len(), 0.0);
            for (state, (forward, backward)) in
                states.iter().zip(self.sums.forward.iter().zip(&self.sums.backward))
            {
                with[state.pair as usize] += forward * backward;
            }
            for (pair, with) in pairs.iter_mut().zip(&with) {
                let without = (all - with).max(all * 1e-12);
                pair.offer = if all > 0.0 { with / without / pair.price } else { 0.0 };
            }
        }
    }

    fn follow(&mut self, before: (Span, u32), after: (Span, u32)) -> f64 {
        self.followers.density(&self.table, (&before.0, before.1), (&after.0, after.1))
    }
}

/// Smaller expected counts are not worth adding.
const LEAST_SHARE: f64 = 1e-5;

/// The weights of all paths through a trellis, by state (forward-backward algorithm).
#[derive(Default)]
struct PathSums {
    /// Weight of all paths from the request to a state, its call included.
    forward: Vec<f64>,
    /// Weight of all paths from a state to the answer.
    backward: Vec<f64>,
    /// The factor of each state's call.
    weights: Vec<f64>,
}

impl PathSums {
    /// Computes them, and returns the weight of all paths.
    fn compute(
        &mut self,
        pairs: &[Pair],
        states: &[WalkState],
        transitions: &[Transition],
        empty: &StepDensity,
    ) -> f64 {
        self.weights.clear();
        self.weights.extend(states.iter().map(|state| pairs[state.pair as usize].weight()));
        let Self { forward, backward, weights } = self;
        forward.clear();
        forward.extend(states.iter().map(|state| state.first.value));
        let mut next = 0;
        for transition in transitions {
            // Transitions are sorted by the pair of their target, so a state is complete before the first transition from it.
            while next <= transition.from as usize {
                forward[next] *= weights[next];
                next += 1;
            }
            forward[transition.to as usize] += forward[transition.from as usize] * transition.value;
        }
        for (forward, weight) in forward[next..].iter_mut().zip(&weights[next..]) {
            *forward *= weight;
        }
        backward.clear();
        backward.extend(states.iter().map(|state| state.last.value));
        for transition in transitions.iter().rev() {
            let to = transition.to as usize;
            backward[transition.from as usize] += transition.value * weights[to] * backward[to];
        }
        let walks: f64 = forward.iter().zip(states).map(|(forward, state)| forward * state.last.value).sum();
        walks + empty.value
    }
}
