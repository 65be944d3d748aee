//! Solves a window: every model of a service assigns its calls, and the one that explains the times best is believed.

use hashbrown::HashMap;

use super::factor_graph::FactorGraph;
use super::gaps::GapModel;
use super::model_selection::{self, ModelSelection};
use super::parallel_model::{ParallelCounts, ParallelModel};
use super::seed::{self, Lags};
use super::trellis::Trellis;
use super::{Belief, Edge, SETTLED, Solution, Window, background_rate, baselines, fifo, parts};

/// Children that are solved together; a larger window is solved in slices, in order of time.
const SLICE: usize = 3_000;

/// Children after the end of a slice that still compete in it, so that the cut does no harm.
const OVERLAP: usize = 600;

/// Sweeps of messages of the sequential model.
const SWEEPS: usize = 15;

/// Sweeps of messages of the parallel model, which converges sooner.
const PARALLEL_SWEEPS: usize = 6;

/// What has been learnt about the services.
#[derive(Clone, Debug, Default)]
pub(crate) struct TimingModel {
    sequential: GapModel,
    parallel: ParallelCounts,
    selection: ModelSelection,
}

/// Finds the most probable parent of every child; learns the gaps meanwhile.
pub(crate) fn solve(window: &Window, model: &mut TimingModel) -> Solution {
    let mut solution = parts::solve(window);
    if !window.edges.iter().any(|edge| !window.joint[edge.child as usize]) {
        return solution;
    }
    let (crowded, members, edges) = parts::crowded(window);
    for (member, belief) in members.into_iter().zip(solve_by_time(&crowded, model)) {
        if !window.joint[member as usize] {
            let edge = belief.edge.map(|edge| edges[edge as usize]);
            solution.beliefs[member as usize] = Belief { edge, ..belief };
        }
    }
    solution
}

/// Finds the most probable parents by time and the weight of other evidence alone.
fn solve_by_time(window: &Window, model: &mut TimingModel) -> Vec<Belief> {
    let counts = &mut model.parallel;
    let (parallel, _) = by_slices(window, |graph| {
        graph.price(&counts.strays, STRAYS[1]);
        let mut parallel = ParallelModel::default();
        parallel.learn(graph, counts);
        graph.neutral(&mut parallel);
        graph.pass(&mut parallel, PARALLEL_SWEEPS);
    });
    let gaps = &mut model.sequential;
    let mut lags = Lags::new(window);
    let (sequential, told) = by_slices(window, |graph| solve_sequential(graph, &mut lags, &parallel, gaps));
    let first = baselines::first_in_first_out(window);
    let longest_ready = fifo::longest_ready(window, &sequential);
    let answers = [sequential, parallel, first, longest_ready];
    let mut beliefs = model_selection::choose(window, &answers, &told, &mut model.selection);
    give_up(window, &mut beliefs);
    background_rate::link(window, &mut beliefs);
    beliefs
}

/// Solves a slice with the sequential model. A new class is learnt twice, because learning can get stuck: from the lags alone, and
/// from the parallel model's answer with hardly any call taken for unexplained. The better one is kept.
fn solve_sequential(graph: &mut FactorGraph<'_>, lags: &mut Lags, parallel: &[Belief], model: &mut GapModel) {
    let mut trellis = Trellis::default();
    let mut helped = model.clone();
    let is_new = !seed::unknown(graph.window, model).is_empty();
    let mut settle = |graph: &mut FactorGraph<'_>, strays: f64, guess: &[Belief], model: &mut GapModel| {
        graph.price(model, strays);
        trellis.learn(graph, lags, guess, model);
        graph.neutral(&mut trellis);
        graph.pass(&mut trellis, SWEEPS);
    };
    settle(graph, STRAYS[0], &[], model);
    if is_new {
        let (_, alone) = graph.cut_out();
        settle(graph, STRAYS[1], parallel, &mut helped);
        let (window, with_help) = graph.cut_out();
        let (parents, children) = model_selection::better(&window, [&alone, &with_help]);
        model.replace(&helped, &parents, &children);
        settle(graph, STRAYS[0], &[], model);
    }
}

/// Share of the calls of a class that are taken for unexplained at first: from the lags alone, and with help.
const STRAYS: [f64; 2] = [0.2, 0.02];

/// Cuts a window into slices, each solved by `settle`. With each belief comes what [`FactorGraph::believe`] says besides.
fn by_slices(window: &Window, mut settle: impl FnMut(&mut FactorGraph<'_>)) -> (Vec<Belief>, Vec<f64>) {
    let count = window.children.len();
    let mut told = vec![1.0; count];
    let mut beliefs = vec![Belief { edge: None, probability: 1.0 }; count];
    let mut edges_of = vec![(u32::MAX, 0_u32); window.parents.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        let (first, last) = &mut edges_of[edge.parent as usize];
        *first = (*first).min(index as u32);
        *last = index as u32 + 1;
    }
    for begin in (0..count).step_by(SLICE) {
        let (end, seen) = ((begin + SLICE).min(count), (begin + SLICE + OVERLAP).min(count));
        let mut edges: Vec<(u32, Edge)> = Vec::new();
        for &(first, last) in &edges_of {
            let own = first.min(last)..last;
            let inside = |edge: &Edge| (begin..seen).contains(&(edge.child as usize));
            if !window.edges[own.start as usize..own.end as usize].iter().any(inside) {
                continue;
            }
            for index in own {
                let edge = window.edges[index as usize];
                if inside(&edge) {
                    edges.push((index, edge));
                } else if beliefs[edge.child as usize].edge == Some(index) {
                    // An earlier slice has settled it: its parent's walk still goes through it.
                    edges.push((index, Edge { weight: SETTLED, ..edge }));
                }
            }
        }
        let mut graph = FactorGraph::new(window, &edges);
        if edges.iter().any(|(_, edge)| edge.weight < SETTLED) {
            settle(&mut graph);
        }
        graph.believe(|child, belief, sureness| {
            if (begin..end).contains(&(child as usize)) {
                (beliefs[child as usize], told[child as usize]) = (belief, sureness);
            }
        });
    }
    (beliefs, told)
}

/// Possible parents per child from which times may say nothing at all.
const CROWDED: f64 = 8.0;

/// If most calls of a class look unexplained although each has many possible parents, the gaps could not be learnt. The simplest
/// order is then the better guess, with a probability that shows how weak it is.
fn give_up(window: &Window, beliefs: &mut [Belief]) {
    let mut parents = vec![0_u32; window.children.len()];
    window.edges.iter().for_each(|edge| parents[edge.child as usize] += 1);
    let mut classes: HashMap<u32, [f64; 3], foldhash::fast::FixedState> = HashMap::default();
    for ((child, belief), &parents) in window.children.iter().zip(&*beliefs).zip(&parents) {
        let [all, alone, possible] = classes.entry(child.class).or_default();
        if parents > 0 {
            *all += 1.0;
            *alone += f64::from(u8::from(belief.edge.is_none()));
            *possible += f64::from(parents);
        }
    }
    let failed = |class: u32| {
        let [all, alone, possible] = classes.get(&class).copied().unwrap_or_default();
        alone > all / 2.0 && possible > all * CROWDED
    };
    if !window.children.iter().any(|child| failed(child.class)) {
        return;
    }
    let simple = baselines::first_in_first_out(window);
    for (index, belief) in beliefs.iter_mut().enumerate() {
        let settled = belief.edge.is_some_and(|edge| window.edges[edge as usize].weight >= SETTLED);
        if failed(window.children[index].class) && !settled {
            let probability = (CROWDED / 2.0 / f64::from(parents[index].max(1))).min(0.5);
            *belief = Belief { edge: simple[index].edge, probability };
        }
    }
}
