//! Settles a window: each way to see a service gives its answer, and that which explains the times best is believed.

use hashbrown::HashMap;

use super::choice::{self, Choice};
use super::part::Part;
use super::star::{Star, Stars};
use super::trellis::Trellis;
use super::{Belief, Edge, SETTLED, Window, gaps, idle, order, rivals, seed};

/// Children that are settled together; more are taken in parts, one after the other in time.
const PART: usize = 3_000;

/// Children beyond the end of a part that still compete in it, so that the cut does no harm.
const OVERLAP: usize = 600;

/// Sweeps of messages for the answer.
const SWEEPS: usize = 15;

/// The same for stars, which settle sooner.
const STAR_SWEEPS: usize = 6;

/// What has been learnt of the services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    walks: gaps::Model,
    stars: Stars,
    choice: Choice,
}

/// Believes of every child which pair is true; learns the gaps on the way.
pub(crate) fn solve(window: &Window, model: &mut Model) -> Vec<Belief> {
    let stars = &mut model.stars;
    let starred = by_parts(window, |part| {
        part.price(&stars.strays, STRAYS[1]);
        let mut star = Star::default();
        star.learn(part, stars);
        part.neutral(&mut star);
        part.pass(&mut star, STAR_SWEEPS);
    });
    let walks = &mut model.walks;
    let walked = by_parts(window, |part| walk(part, &starred, walks));
    let first = rivals::first_in_first_out(window);
    let lined = order::in_line(window, &walked);
    let mut beliefs = choice::choose(window, &[walked, starred, first, lined], &mut model.choice);
    give_up(window, &mut beliefs);
    idle::link(window, &mut beliefs);
    beliefs
}

/// Settles a part by walks. What is new is learnt from two beginnings, since learning may get stuck: from the lags alone, and
/// with the help of what the stars say and hardly any call taken for unexplained.
fn walk(part: &mut Part<'_>, starred: &[Belief], model: &mut gaps::Model) {
    let mut trellis = Trellis::default();
    let mut helped = model.clone();
    let is_new = !seed::unknown(part.window, model).is_empty();
    let mut settle = |part: &mut Part<'_>, strays: f64, guess: &[Belief], model: &mut gaps::Model| {
        part.price(model, strays);
        trellis.learn(part, guess, model);
        part.neutral(&mut trellis);
        part.pass(&mut trellis, SWEEPS);
    };
    settle(part, STRAYS[0], &[], model);
    if is_new {
        let (_, alone) = part.cut_out();
        settle(part, STRAYS[1], starred, &mut helped);
        let (window, with_help) = part.cut_out();
        let (parents, children) = choice::better(&window, [&alone, &with_help]);
        model.replace(&helped, &parents, &children);
        settle(part, STRAYS[0], &[], model);
    }
}

/// Share of the calls of a class that are taken for unexplained at first, by beginning.
const STRAYS: [f64; 2] = [0.2, 0.02];

/// Takes a window in parts, each settled by `settle`.
fn by_parts(window: &Window, mut settle: impl FnMut(&mut Part<'_>)) -> Vec<Belief> {
    let count = window.children.len();
    let mut beliefs = vec![Belief { edge: None, probability: 1.0 }; count];
    let mut first_of = vec![(u32::MAX, 0_u32); window.parents.len()];
    for (index, edge) in window.edges.iter().enumerate() {
        let (first, last) = &mut first_of[edge.parent as usize];
        *first = (*first).min(index as u32);
        *last = index as u32 + 1;
    }
    for begin in (0..count).step_by(PART) {
        let (end, seen) = ((begin + PART).min(count), (begin + PART + OVERLAP).min(count));
        let mut edges: Vec<(u32, Edge)> = Vec::new();
        for &(first, last) in &first_of {
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
                    // Settled in an earlier part: the walk of its parent still goes through it.
                    edges.push((index, Edge { weight: SETTLED, ..edge }));
                }
            }
        }
        let mut part = Part::new(window, &edges);
        if edges.iter().any(|(_, edge)| edge.weight < SETTLED) {
            settle(&mut part);
        }
        part.believe(|child, belief| {
            if (begin..end).contains(&(child as usize)) {
                beliefs[child as usize] = belief;
            }
        });
    }
    beliefs
}

/// Possible parents per child from which times may say nothing at all.
const CROWDED: f64 = 8.0;

/// Where most calls of a class look unexplained although many parents are possible for each, the gaps could not be learnt:
/// then the simplest order is the better guess, with a probability that says how weak it is.
fn give_up(window: &Window, beliefs: &mut [Belief]) {
    let mut rivals = vec![0_u32; window.children.len()];
    window.edges.iter().for_each(|edge| rivals[edge.child as usize] += 1);
    let mut classes: HashMap<u32, [f64; 3], foldhash::fast::FixedState> = HashMap::default();
    for ((child, belief), &rivals) in window.children.iter().zip(&*beliefs).zip(&rivals) {
        let [all, alone, possible] = classes.entry(child.class).or_default();
        if rivals > 0 {
            *all += 1.0;
            *alone += f64::from(u8::from(belief.edge.is_none()));
            *possible += f64::from(rivals);
        }
    }
    let failed = |class: u32| {
        let [all, alone, possible] = classes.get(&class).copied().unwrap_or_default();
        alone > all / 2.0 && possible > all * CROWDED
    };
    if !window.children.iter().any(|child| failed(child.class)) {
        return;
    }
    let simple = rivals::first_in_first_out(window);
    for (index, belief) in beliefs.iter_mut().enumerate() {
        let settled = belief.edge.is_some_and(|edge| window.edges[edge as usize].weight >= SETTLED);
        if failed(window.children[index].class) && !settled {
            let probability = (CROWDED / 2.0 / f64::from(rivals[index].max(1))).min(0.5);
            *belief = Belief { edge: simple[index].edge, probability };
        }
    }
}
