//! A simulator of services that call each other: the truth that linking by time is held against.
//!
//! One service is called by many and makes calls of its own by a plan; every knob is one thing that makes linking hard.
//! Everything follows from the seed. Used by the tests and by the bench.

use rpcscope::calls::record::{Call, Class, Uid};
use rpcscope::chains::{Chain, Engine, Options};
use rpcscope::decode::Endpoint;
use rpcscope::time::Timestamp;

/// Nanoseconds in a millisecond.
const MS: f64 = 1e6;

/// What a service does for each call it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Plan {
    /// Two calls, one after the other.
    Sequence,
    /// Three calls side by side.
    Parallel,
    /// Two calls one after the other; the first is left out for 30 of 100, the second for 10.
    Caching,
    /// Three calls in sequence with caching, and a second try for 5 of 100.
    Mixed,
    /// The same call four times over.
    Loop,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Knobs {
    /// What the service does.
    pub(crate) plan: Plan,
    /// Mean number of its calls in work at one time.
    pub(crate) concurrency: f64,
    /// How many calls it answers.
    pub(crate) parents: usize,
    /// Spread of its own gaps: sigma of a lognormal with median 0.3 ms; 0 for exponential gaps with mean 2 ms.
    pub(crate) spread: f64,
    /// Calls that it works on at once; others wait, which stretches the first gap.
    pub(crate) pool: Option<usize>,
    /// Share of its calls that the capture does not hold.
    pub(crate) lost_parents: f64,
    /// Share of the calls it makes that the capture does not hold.
    pub(crate) lost_children: f64,
    /// Share of the arrivals that come in bursts.
    pub(crate) bursts: f64,
    /// Seed.
    pub(crate) seed: u64,
}

impl Knobs {
    /// The plain case.
    pub(crate) fn new(plan: Plan, concurrency: f64, parents: usize, seed: u64) -> Self {
        Self {
            plan,
            concurrency,
            parents,
            spread: 0.5,
            pool: None,
            lost_parents: 0.0,
            lost_children: 0.0,
            bursts: 0.0,
            seed,
        }
    }
}

/// A call that was simulated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    /// Nanoseconds.
    pub(crate) start: i64,
    /// Nanoseconds.
    pub(crate) end: i64,
    /// Operation; 0 is that of the service itself.
    pub(crate) class: u32,
    /// Which call of the service caused it; `None` for those calls themselves.
    pub(crate) parent: Option<usize>,
    /// Number of the call of the service that this is, or that caused it.
    pub(crate) number: usize,
    /// Whether the capture holds it.
    pub(crate) captured: bool,
}

/// Random numbers that are the same everywhere (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    /// Begins with a seed.
    pub(crate) fn new(seed: u64) -> Self {
        // Far apart in the sequence, so that seeds have nothing in common.
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).rotate_left(17))
    }

    /// Evenly between 0 and 1.
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    fn lognormal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal = (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos();
        median * (sigma * normal).exp()
    }
}

/// Runs the service. Calls of the service come first, in the order of their arrival; then the calls that it made.
pub(crate) fn simulate(knobs: &Knobs) -> Vec<Event> {
    let mut random = Random::new(knobs.seed);
    let mean = mean_duration(knobs);
    let mut parents = Vec::with_capacity(knobs.parents);
    let mut children = Vec::new();
    let mut now = 1e9;
    let mut workers: Vec<f64> = vec![0.0; knobs.pool.unwrap_or(0)];
    for number in 0..knobs.parents {
        if random.unit() >= knobs.bursts {
            now += random.exponential(mean / knobs.concurrency / (1.0 - knobs.bursts));
        } else {
            now += random.exponential(0.01 * MS);
        }
        let start = now;
        let mut at = start;
        let worker = (0..workers.len()).min_by(|&a, &b| workers[a].total_cmp(&workers[b]));
        if let Some(worker) = worker {
            at = at.max(workers[worker]);
        }
        let mut calls = Vec::new();
        let end = work(knobs, &mut random, at, &mut calls);
        if let Some(worker) = worker {
            workers[worker] = end;
        }
        parents.push(Event {
            start: start as i64,
            end: end as i64,
            class: 0,
            parent: None,
            number,
            captured: random.unit() >= knobs.lost_parents,
        });
        for (class, start, end) in calls {
            children.push(Event {
                start: start as i64,
                end: end as i64,
                class,
                parent: Some(number),
                number,
                captured: random.unit() >= knobs.lost_children,
            });
        }
    }
    parents.extend(children);
    parents
}

fn gap(knobs: &Knobs, random: &mut Random) -> f64 {
    if knobs.spread > 0.0 { random.lognormal(0.3 * MS, knobs.spread) } else { random.exponential(2.0 * MS) }
}

/// One walk: the calls made (class, start, end), and the time of the answer.
fn work(knobs: &Knobs, random: &mut Random, begin: f64, calls: &mut Vec<(u32, f64, f64)>) -> f64 {
    let mut at = begin;
    let median = |class: u32| [3.3, 5.0, 4.0][(class - 1) as usize % 3] * MS;
    let (classes, skip, retry): (&[u32], &[f64], f64) = match knobs.plan {
        Plan::Sequence => (&[1, 2], &[0.0, 0.0], 0.0),
        Plan::Caching => (&[1, 2], &[0.3, 0.1], 0.0),
        Plan::Mixed => (&[1, 2, 3], &[0.3, 0.1, 0.0], 0.05),
        Plan::Loop => (&[1, 1, 1, 1], &[0.0; 4], 0.0),
        Plan::Parallel => (&[], &[], 0.0),
    };
    for (&class, &skip) in classes.iter().zip(skip) {
        if random.unit() < skip {
            continue;
        }
        loop {
            at += gap(knobs, random);
            let end = at + random.lognormal(median(class), 0.6);
            calls.push((class, at, end));
            at = end;
            if random.unit() >= retry {
                break;
            }
        }
    }
    if knobs.plan == Plan::Parallel {
        at += gap(knobs, random);
        let mut last = at;
        for class in 1..=3 {
            let end = at + random.lognormal(median(class), 0.6);
            calls.push((class, at, end));
            last = f64::max(last, end);
            at += random.lognormal(0.03 * MS, 0.5);
        }
        at = last;
    }
    at + gap(knobs, random)
}

/// Mean time of one walk.
fn mean_duration(knobs: &Knobs) -> f64 {
    let mut random = Random::new(7);
    let mut calls = Vec::new();
    (0..2_000).map(|_| work(knobs, &mut random, 0.0, &mut calls)).sum::<f64>() / 2_000.0
}

/// The calls that a capture of the events would hold, in the order of their ends. With `ids`, each carries a trace id.
pub(crate) fn calls(events: &[Event], ids: bool) -> Vec<Call> {
    let mut captured: Vec<&Event> = events.iter().filter(|event| event.captured).collect();
    captured.sort_by_key(|event| (event.start, event.class));
    let mut calls: Vec<Call> = captured
        .iter()
        .enumerate()
        .map(|(index, event)| {
            let own = event.parent.is_none();
            // Ports differ from call to call, as with short connections: they give nothing away.
            let port = 20_000 + (index % 40_000) as u16;
            let (client, server) = if own {
                (endpoint(1, port), endpoint(2, 8000))
            } else {
                (endpoint(2, port), endpoint(2 + event.class as u8, 9000))
            };
            let mut call = call(index as u64 + 1, event.start, event.end, client, server);
            call.service = Some(if own { "front".into() } else { format!("back{}", event.class).into() });
            call.method = Some("Do".into());
            call.trace_id = ids.then(|| format!("{:032x}", event.number + 1).into());
            call
        })
        .collect();
    calls.sort_by_key(|call| (call.end.0, call.uid));
    for (index, call) in calls.iter_mut().enumerate() {
        call.decided = index as u64;
    }
    calls
}

/// Numbers of the simulated calls by the packet of their uid, as [`calls`] gives it.
pub(crate) fn numbers(events: &[Event]) -> Vec<&Event> {
    let mut captured: Vec<&Event> = events.iter().filter(|event| event.captured).collect();
    captured.sort_by_key(|event| (event.start, event.class));
    captured
}

/// An address of the simulated network.
pub(crate) fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint { ip: std::net::IpAddr::from([10, 0, 0, host]), port }
}

/// An answered call, nanoseconds.
pub(crate) fn call(packet: u64, start: i64, end: i64, client: Endpoint, server: Endpoint) -> Call {
    let mut call = Call {
        end: Timestamp(end),
        latency: u64::try_from(end - start).ok(),
        duration: u64::try_from(end - start).ok(),
        transport: "framed",
        rpc: "thrift",
        request_bytes: 100,
        response_bytes: 100,
        request_messages: 1,
        response_messages: 1,
        ..Call::new(Uid { packet, ordinal: 0 }, Timestamp(start), client, server)
    };
    call.verdict.class = Some(Class::Ok);
    call
}

/// How well the truth was found.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    /// Share of the calls whose cause was captured that were linked to it.
    pub(crate) right: f64,
    /// Share of them that were linked to another.
    pub(crate) wrong: f64,
    /// Share of them that were left alone.
    pub(crate) unlinked: f64,
    /// Share of the calls whose cause was not captured that were linked all the same.
    pub(crate) adopted: f64,
    /// Expected calibration error of the confidences, in ten classes.
    pub(crate) calibration: f64,
}

/// Links the calls of a capture and holds the links against the truth.
pub(crate) fn score(events: &[Event], options: Options, ids: bool) -> Score {
    let numbers = numbers(events);
    let mut parents: std::collections::HashMap<usize, u64> = std::collections::HashMap::new();
    for (index, event) in numbers.iter().enumerate().filter(|(_, event)| event.parent.is_none()) {
        parents.insert(event.number, index as u64 + 1);
    }
    let mut counts = [0.0_f64; 5];
    let mut bins = [[0.0_f64; 3]; 10];
    let mut judge = |chain: Chain| {
        for hop in &chain.hops {
            let event = numbers[hop.call.uid.packet as usize - 1];
            let Some(number) = event.parent else { continue };
            let truth = parents.get(&number).copied();
            let linked = hop.parent.map(|parent| chain.hops[parent].call.uid.packet);
            match (truth, linked) {
                (Some(truth), Some(linked)) => counts[usize::from(truth != linked)] += 1.0,
                (Some(_), None) => counts[2] += 1.0,
                (None, Some(_)) => counts[3] += 1.0,
                (None, None) => counts[4] += 1.0,
            }
            if let Some(link) = hop.link {
                let bin = &mut bins[((link.confidence * 10.0) as usize).min(9)];
                bin[0] += 1.0;
                bin[1] += link.confidence;
                bin[2] += f64::from(u8::from(truth == linked));
            }
        }
    };
    let mut engine = Engine::new(options);
    for call in calls(events, ids) {
        engine.call(call, &mut judge);
    }
    engine.finish(&mut judge);
    let known = (counts[0] + counts[1] + counts[2]).max(1.0);
    let links: f64 = bins.iter().map(|bin| bin[0]).sum();
    Score {
        right: counts[0] / known,
        wrong: counts[1] / known,
        unlinked: counts[2] / known,
        adopted: counts[3] / (counts[3] + counts[4]).max(1.0),
        calibration: bins.iter().map(|bin| (bin[1] - bin[2]).abs()).sum::<f64>() / links.max(1.0),
    }
}

/// The mean over seeds.
pub(crate) fn mean(seeds: std::ops::RangeInclusive<u64>, each: impl Fn(u64) -> Score) -> Score {
    let count = seeds.clone().count() as f64;
    seeds.map(each).fold(Score::default(), |sum, score| Score {
        right: sum.right + score.right / count,
        wrong: sum.wrong + score.wrong / count,
        unlinked: sum.unlinked + score.unlinked / count,
        adopted: sum.adopted + score.adopted / count,
        calibration: sum.calibration + score.calibration / count,
    })
}
