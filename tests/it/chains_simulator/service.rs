//! Simulates a service, event by event.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::{Gaps, Knobs, MS, Plan, Processes, Random};

/// A simulated call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Nanoseconds.
    pub(crate) start: i64,
    /// Nanoseconds.
    pub(crate) end: i64,
    /// Operation; 0 is the service's own.
    pub(crate) class: u32,
    /// The call of the service that caused it; `None` for those calls themselves.
    pub(crate) parent: Option<usize>,
    /// Number of the call of the service that this is, or that caused it.
    pub(crate) number: usize,
    /// Whether it is captured.
    pub(crate) captured: bool,
    /// Whether it was abandoned, as the slower one of two attempts.
    pub(crate) given_up: bool,
    /// Whether the caller of all cancelled it.
    pub(crate) canceled: bool,
    /// Which process of the service.
    pub(crate) process: u8,
    /// Thread of the pool; 0 without a pool.
    pub(crate) worker: usize,
}

/// A planned call: its class, its delay after the beginning of its stage, and the time to its answer.
type Planned = (u32, f64, f64);

/// The work before the calls of a stage, and these calls, which run in parallel.
type Stage = (f64, Vec<Planned>);

/// Calls of the service come first, in the order of their arrival; then the calls that it made.
pub(crate) fn simulate(knobs: &Knobs) -> Vec<Event> {
    let processes = if knobs.processes == Processes::One { 1 } else { 2 };
    let mut events: Vec<Event> = Vec::new();
    for process in 0..processes {
        let seed = knobs.seed + 1_000 * u64::from(process);
        let knobs = Knobs { seed, ..*knobs };
        let mut run = Service::new(&knobs, process);
        run.run();
        events.extend(run.parents);
        events.extend(run.children);
    }
    // One after the other in time, the calls of the service first.
    events.sort_by_key(|event| (event.parent.is_some(), event.start, event.number, event.class));
    events
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A call arrives.
    Arrival,
    /// The service has done its work on a call.
    Worked(usize),
    /// A call that it made is sent.
    Sent(usize, Planned),
    /// A call that it made is answered.
    Answered(usize),
}

/// A step and its time; the number keeps the order of simultaneous steps.
struct Due(f64, u64, Step);

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1))
    }
}

/// A call in work.
struct Task {
    /// What is left to do, the next stage last.
    stages: Vec<Stage>,
    /// Calls of the running stage that are not answered.
    open: usize,
    /// Its own random numbers, so that other calls do not influence it.
    random: Random,
}

/// The service while it runs.
struct Service<'a> {
    knobs: &'a Knobs,
    process: u8,
    random: Random,
    /// Mean time between arrivals.
    pause: f64,
    /// What all own work is multiplied by, so that the cores are as busy as they should be.
    pace: f64,
    due: BinaryHeap<Reverse<Due>>,
    count: u64,
    now: f64,
    tasks: Vec<Task>,
    parents: Vec<Event>,
    children: Vec<Event>,
    /// Free threads of the pool, and calls that wait for one.
    threads: (Vec<usize>, VecDeque<usize>),
    /// Free cores, and work that waits for one.
    cores: (usize, VecDeque<(usize, f64)>),
    /// When the callees of each class answered last.
    answered: [f64; 8],
}

impl<'a> Service<'a> {
    fn new(knobs: &'a Knobs, process: u8) -> Self {
        let (mean, own) = means(knobs);
        let pause = mean / knobs.concurrency;
        let pace = knobs.cores.map_or(1.0, |(cores, busy)| busy * cores as f64 * pause / own);
        Self {
            knobs,
            process,
            random: Random::new(knobs.seed),
            pause,
            pace,
            due: BinaryHeap::new(),
            count: 0,
            now: 1e9,
            tasks: Vec::new(),
            parents: Vec::new(),
            children: Vec::new(),
            threads: ((0..knobs.pool.unwrap_or(0)).rev().collect(), VecDeque::new()),
            cores: (knobs.cores.map_or(0, |(cores, _)| cores), VecDeque::new()),
            answered: [0.0; 8],
        }
    }

    fn run(&mut self) {
        self.after(0.0, Step::Arrival);
        while let Some(Reverse(Due(time, _, step))) = self.due.pop() {
            self.now = time;
            match step {
                Step::Arrival => self.arrive(),
                Step::Worked(number) => self.worked(number),
                Step::Sent(number, planned) => self.send(number, planned),
                Step::Answered(number) => {
                    self.tasks[number].open -= 1;
                    if self.tasks[number].open == 0 {
                        self.stage(number);
                    }
                }
            }
        }
        let (threads, cores) = (self.knobs.pool, self.knobs.cores);
        assert!(threads.is_none() || self.threads.1.is_empty(), "every call found its thread");
        assert!(cores.is_none() || self.cores.1.is_empty(), "all work was done");
    }

    fn after(&mut self, pause: f64, step: Step) {
        self.count += 1;
        self.due.push(Reverse(Due(self.now + pause, self.count, step)));
    }

    fn arrive(&mut self) {
        let number = self.tasks.len();
        let seed = self.knobs.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        let mut random = Random::new(seed);
        let captured = !random.chance(self.knobs.lost_parents);
        let mut stages = plan(self.knobs, &mut random);
        stages.reverse();
        self.tasks.push(Task { stages, open: 0, random });
        self.parents.push(Event {
            start: self.now as i64,
            end: 0,
            class: 0,
            parent: None,
            number: number + usize::from(self.process) * self.knobs.parents,
            captured,
            given_up: false,
            canceled: false,
            process: self.process,
            worker: 0,
        });
        if self.knobs.pool.is_none() {
            self.stage(number);
        } else {
            self.threads.1.push_back(number);
            self.take_thread();
        }
        if number + 1 < self.knobs.parents {
            let bursts = self.knobs.bursts;
            let pause = if self.random.chance(bursts) {
                self.random.exponential(0.01 * MS)
            } else {
                self.random.exponential(self.pause / (1.0 - bursts))
            };
            self.after(pause, Step::Arrival);
        }
    }

    fn take_thread(&mut self) {
        while let (Some(&thread), Some(&number)) = (self.threads.0.last(), self.threads.1.front()) {
            self.threads.0.pop();
            self.threads.1.pop_front();
            self.parents[number].worker = thread;
            if self.knobs.connections {
                // The caller waits for the connection: the service sees the call when the thread is free.
                self.parents[number].start = self.now as i64;
            }
            self.stage(number);
        }
    }

    /// Does the work before the next stage.
    fn stage(&mut self, number: usize) {
        let Some((gap, _)) = self.tasks[number].stages.last() else { return };
        let work = gap * self.pace;
        if self.knobs.cores.is_none() {
            self.after(work, Step::Worked(number));
        } else {
            self.cores.1.push_back((number, work));
            self.take_core();
        }
    }

    fn take_core(&mut self) {
        while self.cores.0 > 0
            && let Some((number, work)) = self.cores.1.pop_front()
        {
            self.cores.0 -= 1;
            self.after(work, Step::Worked(number));
        }
    }

    /// Makes the calls of a stage, or answers.
    fn worked(&mut self, number: usize) {
        if self.knobs.cores.is_some() {
            self.cores.0 += 1;
            self.take_core();
        }
        let Some((_, calls)) = self.tasks[number].stages.pop() else { return };
        if calls.is_empty() {
            self.answer(number);
            return;
        }
        self.tasks[number].open = calls.len();
        for planned in calls {
            self.after(planned.1, Step::Sent(number, planned));
        }
    }

    fn send(&mut self, number: usize, (class, _, takes): Planned) {
        let answered = &mut self.answered[class as usize];
        let mut end = self.now + takes;
        if self.knobs.in_order {
            end = end.max(*answered + 1_000.0);
            *answered = end;
        }
        let random = &mut self.tasks[number].random;
        let again = latency(class);
        if random.chance(self.knobs.hedged) && end > self.now + again {
            let second = self.now + again + random.lognormal(latency(class), 0.6);
            let first = end;
            end = end.min(second);
            self.child(number, class, (self.now, end), first > second);
            self.child(number, class, (self.now + again, end), first <= second);
        } else {
            self.child(number, class, (self.now, end), false);
        }
        self.after(end - self.now, Step::Answered(number));
    }

    fn child(&mut self, number: usize, class: u32, (start, end): (f64, f64), given_up: bool) {
        let lost = self.tasks[number].random.chance(self.knobs.lost_children);
        let parent = self.parents[number];
        self.children.push(Event {
            start: start as i64 + self.knobs.skew,
            end: end as i64 + self.knobs.skew,
            class,
            parent: Some(parent.number),
            captured: !lost,
            given_up,
            ..parent
        });
    }

    fn answer(&mut self, number: usize) {
        let mut end = self.now;
        let begin = self.parents[number].start;
        if self.tasks[number].random.chance(self.knobs.canceled) {
            // All that is under way ends here; what would have come later never happens.
            let own = Some(self.parents[number].number);
            end = begin as f64 + (end - begin as f64) * 0.6;
            self.children.retain(|child| child.parent != own || child.start < end as i64);
            for child in self.children.iter_mut().filter(|child| child.parent == own) {
                if child.end > end as i64 {
                    (child.end, child.canceled) = (end as i64, true);
                }
            }
            self.parents[number].canceled = true;
        }
        self.parents[number].end = end as i64;
        if self.tasks[number].random.chance(self.knobs.late) {
            let random = &mut self.tasks[number].random;
            let start = end + random.lognormal(2.0 * MS, 0.5);
            let end = start + random.lognormal(latency(4), 0.6);
            self.child(number, 4, (start, end), false);
        }
        if self.knobs.pool.is_some() {
            self.threads.0.push(self.parents[number].worker);
            self.take_thread();
        }
    }
}

/// Median time that the callees of a class take.
fn latency(class: u32) -> f64 {
    [3.3, 5.0, 4.0, 6.0][(class - 1) as usize % 4] * MS
}

fn gap(knobs: &Knobs, random: &mut Random) -> f64 {
    match knobs.gaps {
        Gaps::Lognormal(sigma) => random.lognormal(0.3 * MS, sigma),
        Gaps::Exponential => random.exponential(2.0 * MS),
        Gaps::Bimodal => {
            let median = if random.chance(0.2) { 3.0 } else { 0.2 };
            random.lognormal(median * MS, 0.3)
        }
    }
}

/// What the service will do for a call; the last stage makes no calls: it answers.
fn plan(knobs: &Knobs, random: &mut Random) -> Vec<Stage> {
    let (classes, skip, retry): (&[u32], &[f64], f64) = match knobs.plan {
        Plan::Single => (&[1], &[0.0], 0.0),
        Plan::Sequence => (&[1, 2], &[0.0, 0.0], 0.0),
        Plan::Caching => (&[1, 2], &[0.3, 0.1], 0.0),
        Plan::Mixed => (&[1, 2, 3], &[0.3, 0.1, 0.0], 0.05),
        Plan::Loop => (&[1, 1, 1, 1], &[0.0; 4], 0.0),
        Plan::Parallel | Plan::Fan | Plan::Shards => (&[], &[], 0.0),
    };
    let mut stages = Vec::new();
    for (&class, &skip) in classes.iter().zip(skip) {
        if random.chance(skip) {
            continue;
        }
        loop {
            stages.push((gap(knobs, random), vec![(class, 0.0, random.lognormal(latency(class), 0.6))]));
            if !random.chance(retry) {
                break;
            }
        }
    }
    let beside: &[u32] = match knobs.plan {
        Plan::Parallel => &[1, 2, 3],
        Plan::Fan => &[1, 2, 3, 4],
        Plan::Shards => &[1, 1, 1],
        _ => &[],
    };
    if !beside.is_empty() {
        let (mut calls, mut at) = (Vec::new(), 0.0);
        for &class in beside {
            match knobs.plan {
                Plan::Fan => calls.push((class, gap(knobs, random), random.lognormal(4.0 * MS, 0.6))),
                _ => calls.push((class, at, random.lognormal(latency(class), 0.6))),
            }
            at += random.lognormal(0.03 * MS, 0.5);
        }
        stages.push((gap(knobs, random), calls));
    }
    stages.push((gap(knobs, random), Vec::new()));
    stages
}

/// Mean time that one call takes if nothing waits, and what of it is the service's own work.
fn means(knobs: &Knobs) -> (f64, f64) {
    let mut random = Random::new(7);
    let rounds = 2_000;
    let (mut all, mut own) = (0.0, 0.0);
    for (gap, calls) in (0..rounds).flat_map(|_| plan(knobs, &mut random)) {
        own += gap;
        all += gap + calls.iter().map(|(_, sent, takes)| sent + takes).fold(0.0, f64::max);
    }
    (all / f64::from(rounds), own / f64::from(rounds))
}
