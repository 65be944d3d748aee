//! How well and how fast calls are linked by time alone, and by ids: `cargo bench --bench chains`.
//!
//! First the bundled captures of real services (`captures/links`): right links, changes told as a fact and how many of them rest on a
//! wrong link, and the calibration error. Then a simulator: it prints right, wrong and unlinked shares and the calibration error against the number of calls in work, beside the simple
//! baselines; `LOSES` marks where one of them is better by more than a point. Arguments after `--`: `calls=4000`, `seeds=5`,
//! `at=1,5,20` (calls in work), and parts of the names of scenarios (`real` for the captures), of which all are run if none is named.

#![allow(clippy::print_stdout, reason = "what a bench finds is its output")]

#[path = "../tests/it/known_links.rs"]
mod known_links;
#[path = "../tests/it/chains_simulator/mod.rs"]
mod simulator;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/it/support.rs"]
mod support;

use std::time::Instant;

use rpcscope::chains::{Engine, Method, Options};
use rpcscope::pipeline;
use simulator::{Gaps, Knobs, Plan, Processes, Score};

/// A change of the knobs.
type Turn = fn(&mut Knobs);

/// What is measured, with its name.
const SCENARIOS: [(&str, Plan, Turn); 25] = [
    ("sequence", Plan::Sequence, |_| {}),
    ("parallel", Plan::Parallel, |_| {}),
    ("caching", Plan::Caching, |_| {}),
    ("mixed", Plan::Mixed, |_| {}),
    ("loop", Plan::Loop, |_| {}),
    ("single", Plan::Single, |_| {}),
    ("fan", Plan::Fan, |_| {}),
    ("shards", Plan::Shards, |_| {}),
    ("bursts", Plan::Sequence, |knobs| knobs.bursts = 0.5),
    ("pool", Plan::Sequence, |knobs| knobs.pool = Some((knobs.concurrency * 1.2) as usize + 1)),
    ("exponential", Plan::Sequence, |knobs| knobs.gaps = Gaps::Exponential),
    ("bimodal", Plan::Sequence, |knobs| knobs.gaps = Gaps::Bimodal),
    ("event loop", Plan::Sequence, |knobs| knobs.cores = Some((1, 0.6))),
    ("event loop, one", Plan::Single, |knobs| knobs.cores = Some((1, 0.6))),
    ("ordered", Plan::Single, |knobs| (knobs.cores, knobs.in_order) = (Some((1, 0.6)), true)),
    ("ordered fan", Plan::Fan, |knobs| (knobs.cores, knobs.in_order) = (Some((1, 0.6)), true)),
    ("busy cores", Plan::Sequence, |knobs| knobs.cores = Some((4, 0.9))),
    ("lost parents", Plan::Sequence, |knobs| knobs.lost_parents = 0.1),
    ("lost, parallel", Plan::Parallel, |knobs| knobs.lost_parents = 0.1),
    ("lost both", Plan::Sequence, |knobs| (knobs.lost_parents, knobs.lost_children) = (0.1, 0.05)),
    ("hedged", Plan::Sequence, |knobs| knobs.hedged = 0.3),
    ("late", Plan::Sequence, |knobs| knobs.late = 0.2),
    ("instances", Plan::Sequence, |knobs| knobs.processes = Processes::Instances),
    ("hidden", Plan::Sequence, |knobs| knobs.processes = Processes::Hidden),
    ("skew 50 µs", Plan::Sequence, |knobs| knobs.skew = 50_000),
];

fn main() {
    let (mut parents, mut seeds, mut at) = (4_000, 5, vec![1.0, 5.0, 20.0, 50.0, 100.0, 200.0]);
    let mut wanted = Vec::new();
    for arg in std::env::args().skip(1).filter(|arg| !arg.starts_with("--")) {
        match arg.split_once('=') {
            Some(("calls", number)) => parents = number.parse().expect("a number of calls"),
            Some(("seeds", number)) => seeds = number.parse().expect("a number of seeds"),
            Some(("at", list)) => at = list.split(',').map(|n| n.parse().expect("calls in work")).collect(),
            _ => wanted.push(arg),
        }
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|part| name.contains(part));
    if is_wanted("real") {
        real();
    }
    println!("{:15} {:>4}  right wrong alone adopt  error   nearest  fifo  gaps    calls/s", "scenario", "N");
    for (name, plan, turn) in SCENARIOS.into_iter().filter(|(name, ..)| is_wanted(name)) {
        for &concurrency in &at {
            let knobs = |seed| {
                let mut knobs = Knobs::new(plan, concurrency, parents, seed);
                turn(&mut knobs);
                knobs
            };
            let by = |method| {
                let options = Options { method, ..Options::default() };
                simulator::mean(1..=seeds, |seed| {
                    let events = simulator::simulate(&knobs(seed));
                    simulator::score(
                        &events,
                        &simulator::chains(simulator::calls(&events, &knobs(seed)), options),
                    )
                })
            };
            let speed = speed(&knobs(1));
            let Score { right, wrong, unlinked, adopted, calibration } = by(Method::Joint);
            let baselines =
                [Method::Nearest, Method::FirstInFirstOut, Method::GapScores].map(|m| by(m).right);
            let loses = if baselines.iter().any(|baseline| right < baseline - 0.01) { "  LOSES" } else { "" };
            println!(
                "{name:15} {concurrency:4}  {right:.3} {wrong:.3} {unlinked:.3} {adopted:.3}  {calibration:.3}   \
                 {:.3}    {:.3} {:.3}  {speed:9.0}{loses}",
                baselines[0], baselines[1], baselines[2]
            );
        }
    }
    for concurrency in at.into_iter().filter(|_| is_wanted("ids")) {
        let knobs = Knobs { ids: 1.0, ..Knobs::new(Plan::Sequence, concurrency, 50_000, 1) };
        println!("{:15} {concurrency:4}  {:.0} calls/s", "ids", speed(&knobs));
    }
}

/// Links the bundled captures of real services.
fn real() {
    println!("{:30} links right adopted  changes told wrong  error", "real services");
    let row = |name: &str, score: &known_links::Score| {
        let known_links::Score { links, right, adopted, told, told_wrong, changes, .. } = score;
        let error = score.calibration();
        println!(
            "{name:30} {links:5} {right:5} {adopted:7}  {changes:7} {told:4} {told_wrong:5}  {error:.3}"
        );
    };
    let mut sum = known_links::Score::default();
    for known in support::bundled(".links.jsonl") {
        let capture = known.to_string_lossy().replace(".links.jsonl", ".pcap");
        let options = pipeline::Options { metadata: true, threads: 1, ..pipeline::Options::default() };
        let calls = support::calls(&[capture.into()], &options);
        let score =
            known_links::score(&simulator::chains(calls, Options::default()), &support::lines(&known));
        let name = known.file_name().unwrap_or_default().to_string_lossy();
        row(name.trim_end_matches(".links.jsonl"), &score);
        sum.add(&score);
    }
    row("all", &sum);
}

/// Calls linked in a second.
fn speed(knobs: &Knobs) -> f64 {
    let calls = simulator::calls(&simulator::simulate(knobs), knobs);
    let count = calls.len();
    let begin = Instant::now();
    let mut engine = Engine::new(Options::default());
    let mut hops = 0;
    let mut give = |chain: rpcscope::chains::Chain| hops += chain.hops.len();
    for call in calls {
        engine.call(call, &mut give);
    }
    engine.finish(&mut give);
    assert_eq!(hops, count, "every call is in one chain");
    count as f64 / begin.elapsed().as_secs_f64()
}
