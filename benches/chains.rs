//! How well and how fast calls are linked by time alone, and by ids: `cargo bench --bench chains`.
//!
//! Prints right, wrong and unlinked shares and the calibration error against the number of calls in work, beside the simple
//! rivals. Arguments after `--`: number of calls per run, number of seeds.

#![allow(clippy::print_stdout, reason = "what a bench finds is its output")]

#[path = "../tests/it/chains_simulator.rs"]
mod simulator;

use std::time::Instant;

use rpcscope::chains::{Engine, Method, Options};
use simulator::{Knobs, Plan, Score};

/// Calls in work at which the methods are compared.
const CONCURRENCY: [f64; 6] = [1.0, 5.0, 20.0, 50.0, 100.0, 200.0];

/// A change of the knobs.
type Turn = fn(&mut Knobs);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<usize>().ok());
    let parents = numbers.next().unwrap_or(4_000);
    let seeds = 1..=numbers.next().unwrap_or(5) as u64;
    let scenarios: [(&str, Plan, Turn); 11] = [
        ("sequence", Plan::Sequence, |_| {}),
        ("parallel", Plan::Parallel, |_| {}),
        ("caching", Plan::Caching, |_| {}),
        ("mixed", Plan::Mixed, |_| {}),
        ("loop", Plan::Loop, |_| {}),
        ("bursts", Plan::Sequence, |knobs| knobs.bursts = 0.5),
        ("pool", Plan::Sequence, |knobs| knobs.pool = Some((knobs.concurrency * 1.2) as usize + 1)),
        ("exponential", Plan::Sequence, |knobs| knobs.spread = 0.0),
        ("lost parents", Plan::Sequence, |knobs| knobs.lost_parents = 0.1),
        ("lost, parallel", Plan::Parallel, |knobs| knobs.lost_parents = 0.1),
        ("lost both", Plan::Sequence, |knobs| {
            knobs.lost_parents = 0.1;
            knobs.lost_children = 0.05;
        }),
    ];
    println!("{:15} {:>4}  right wrong alone adopt  error   nearest  fifo  gaps    calls/s", "scenario", "N");
    for (name, plan, turn) in scenarios {
        for concurrency in CONCURRENCY {
            let knobs = |seed| {
                let mut knobs = Knobs::new(plan, concurrency, parents, seed);
                turn(&mut knobs);
                knobs
            };
            let by = |method| {
                let options = Options { method, ..Options::default() };
                simulator::mean(seeds.clone(), |seed| {
                    simulator::score(&simulator::simulate(&knobs(seed)), options, false)
                })
            };
            let events = simulator::simulate(&knobs(1));
            let speed = speed(&events, false);
            let Score { right, wrong, unlinked, adopted, calibration } = by(Method::Joint);
            let rivals = [Method::Nearest, Method::FirstInFirstOut, Method::GapScores].map(|m| by(m).right);
            println!(
                "{name:15} {concurrency:4}  {right:.3} {wrong:.3} {unlinked:.3} {adopted:.3}  {calibration:.3}   \
                 {:.3}    {:.3} {:.3}  {speed:9.0}",
                rivals[0], rivals[1], rivals[2]
            );
        }
    }
    for concurrency in [20.0, 200.0] {
        let events = simulator::simulate(&Knobs::new(Plan::Sequence, concurrency, 50_000, 1));
        println!("with trace ids  {concurrency:4}  {:.0} calls/s", speed(&events, true));
    }
}

/// Calls linked in a second.
fn speed(events: &[simulator::Event], ids: bool) -> f64 {
    let calls = simulator::calls(events, ids);
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
