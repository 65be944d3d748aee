//! The course of the drawing: several starts, falling temperatures, and what need not be drawn any more.

use super::{Effort, NONE, Sampler};

/// Greatest probability at which an edge is forgotten after the first start.
const RARE: f32 = 1e-3;

/// Sweeps where every call has a single possible cause.
const DECIDING: usize = 4;

/// The last temperature, and the first of starts that follow what is usual of any service.
const LAST: f64 = 1.0;

/// By how much a start must explain the calls worse to count 1/e of the others.
const WORSE: f64 = 5.0;

/// Share of what was drawn from which a link counts as sure.
const SURE: f32 = 0.998;

/// What was drawn from one start.
struct Round {
    /// How well the calls are explained, as they were linked at its end.
    score: f64,
    /// See [`Sampler::drawn`] and [`Sampler::alone`].
    drawn: Vec<f32>,
    alone: Vec<f32>,
}

impl Sampler<'_> {
    /// Draws again and again, from several starts: what was drawn early shapes what is drawn later, so that one start alone would
    /// look surer than it is.
    pub(super) fn run(&mut self, open: &[u32]) {
        let Effort { hottest, hot, settling, counted, starts, full_starts, hopeless, .. } = self.effort;
        let mut left: Vec<u32> = open.to_vec();
        if left.iter().all(|&child| self.edges(child).len() == 1) {
            self.decide(&left);
            return;
        }
        if self.is_shared() {
            self.run_shared(&left);
            return;
        }
        for start in 0..starts {
            for sweep in 0..hot + settling + counted {
                if start == 0 && sweep == hot / 2 {
                    left = self.prune(left, hopeless);
                }
                self.sweep(&left, sweep, hottest);
            }
            if start == 0 {
                left = self.prune(left, RARE);
            }
            if start + 1 >= full_starts {
                let seen = ((start + 1) * counted) as f32;
                left.retain(|&child| {
                    let alone = self.alone[child as usize];
                    let edges = &self.by_child
                        [self.firsts[child as usize] as usize..self.ends[child as usize] as usize];
                    let most = edges.iter().map(|&edge| self.drawn[edge as usize]).fold(alone, f32::max);
                    if most >= seen * SURE {
                        // The rest of the starts would say the same.
                        let scale = starts as f32 / (start + 1) as f32;
                        self.alone[child as usize] *= scale;
                        for &edge in edges {
                            self.drawn[edge as usize] *= scale;
                        }
                    }
                    most < seen * SURE
                });
            }
            if left.is_empty() {
                break;
            }
            if start + 1 < starts {
                self.reset(&left);
            }
        }
        let total = self.effort.total();
        for share in self.drawn.iter_mut().chain(&mut self.alone) {
            *share /= total;
        }
    }

    /// One sweep of a start.
    fn sweep(&mut self, open: &[u32], sweep: usize, hottest: f64) {
        let Effort { hot, settling, exchanges, .. } = self.effort;
        self.hot = sweep < hot * 3 / 4;
        let heat = 1.0 - sweep as f64 / hot as f64;
        let temperature = LAST + (hottest - LAST) * heat.max(0.0);
        for &child in open {
            if sweep > 0 {
                self.discount_stray(child);
            }
            self.draw(child, temperature, sweep >= hot + settling);
            for _ in 0..exchanges {
                self.exchange(child, temperature);
            }
            self.cross(child, temperature);
        }
    }

    /// Forgets the links of the last start.
    fn reset(&mut self, open: &[u32]) {
        for &child in open {
            self.discount_stray(child);
            self.set(child, NONE);
        }
    }

    /// Whether several services share the host, so that it is open which of them makes the calls.
    pub(super) fn is_shared(&self) -> bool {
        let services = self.window.edges.iter().map(|edge| self.window.facts[edge.parent as usize].service);
        let mut services = services.peekable();
        let first = services.peek().copied();
        services.any(|service| Some(service) != first)
    }

    /// The same for a host that several services share. Which of them calls which is the same in all links of a start, and single
    /// draws hardly ever change it; so starts that explain the calls worse count less.
    fn run_shared(&mut self, open: &[u32]) {
        let Effort { hottest, hot, settling, counted, starts, .. } = self.effort;
        let mut rounds = Vec::new();
        for start in 0..starts {
            let hottest = if start % 2 == 0 { hottest } else { LAST };
            for sweep in 0..hot + settling + counted {
                self.sweep(open, sweep, hottest);
            }
            rounds.push(self.end_round(open));
            if start + 1 < starts {
                self.reset(open);
            }
        }
        self.combine(&rounds, counted);
    }

    /// Takes what was drawn from one start.
    fn end_round(&mut self, open: &[u32]) -> Round {
        let (edges, children) = (self.drawn.len(), self.alone.len());
        let drawn = std::mem::replace(&mut self.drawn, vec![0.0; edges]);
        let alone = std::mem::replace(&mut self.alone, vec![0.0; children]);
        Round { score: self.judge(open), drawn, alone }
    }

    /// Sums up what was drawn from all starts, of `counted` sweeps each: what explains the calls worse counts less.
    fn combine(&mut self, rounds: &[Round], counted: usize) {
        let best = rounds.iter().map(|round| round.score).fold(f64::MIN, f64::max);
        let weights: Vec<f32> =
            rounds.iter().map(|round| ((round.score - best) / WORSE).exp() as f32).collect();
        let total = weights.iter().sum::<f32>() * counted as f32;
        for (Round { drawn, alone, .. }, weight) in rounds.iter().zip(weights) {
            let add = |sums: &mut [f32], values: &[f32]| {
                sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight / total);
            };
            add(&mut self.drawn, drawn);
            add(&mut self.alone, alone);
        }
    }

    /// How well the walks, as they are, explain the calls.
    fn judge(&mut self, open: &[u32]) -> f64 {
        let mut sum = 0.0;
        for walk in &*self.walks {
            sum += self.tables.score(walk.whole(walk));
        }
        for &child in open {
            let parent = self.parent[child as usize];
            self.discount_stray(child);
            sum += self.fits_connection(child, parent);
            if parent == NONE {
                sum += self.stray_rate(child);
            }
            self.count_stray(child, parent);
        }
        sum
    }

    /// Decides whether calls with a single possible cause have it; nothing else is open.
    ///
    /// Where the first few are left alone, as calls whose failures their service answers in other words may be, all that follow are: that none
    /// has a cause becomes what is usual. So that all of them have theirs is tried as well, and the better explanation counts.
    fn decide(&mut self, open: &[u32]) {
        self.hot = true;
        self.sweep_some(open, false);
        if open.iter().all(|&child| self.alone[child as usize] < 0.5) {
            return;
        }
        let alone = self.end_round(open);
        for &child in open {
            let parent = self.window.edges[self.edges(child)[0] as usize].parent;
            self.discount_stray(child);
            self.set(child, parent);
            self.count_stray(child, parent);
        }
        self.sweep_some(open, true);
        let linked = self.end_round(open);
        self.combine(&[alone, linked], 1);
    }

    /// The sweeps of [`Self::decide`], of which the last one counts. `is_counted`: what the links say of strays and connections is counted already.
    fn sweep_some(&mut self, open: &[u32], is_counted: bool) {
        for sweep in 0..DECIDING {
            let counted = sweep + 1 == DECIDING;
            for &child in open {
                if sweep > 0 || is_counted {
                    self.discount_stray(child);
                }
                self.draw(child, LAST, counted);
            }
            self.hot = false;
        }
    }

    /// Forgets edges that were never likely, and returns the children that still have a choice.
    fn prune(&mut self, open: Vec<u32>, rare: f32) -> Vec<u32> {
        let mut left = Vec::with_capacity(open.len());
        for child in open {
            let (first, last) = (self.firsts[child as usize] as usize, self.ends[child as usize] as usize);
            let now = self.parent[child as usize];
            let mut kept = first;
            for place in first..last {
                let edge = self.by_child[place];
                if self.likeliest[edge as usize] >= rare || self.window.edges[edge as usize].parent == now {
                    self.by_child.swap(kept, place);
                    kept += 1;
                } else {
                    self.drawn[edge as usize] = 0.0;
                }
            }
            self.ends[child as usize] = kept as u32;
            let alone = now == NONE || self.likeliest_alone[child as usize] >= rare;
            if kept - first + usize::from(alone) > 1 {
                left.push(child);
                continue;
            }
            let total = self.effort.total();
            if kept > first {
                self.drawn[self.by_child[first] as usize] = total;
                self.alone[child as usize] = 0.0;
            } else {
                self.alone[child as usize] = total;
            }
        }
        left
    }
}
