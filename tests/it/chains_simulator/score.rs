//! Compares chains with the truth.

use std::collections::HashMap;

use rpcscope::calls::record::Call;
use rpcscope::chains::{Chain, Engine, Options};

use super::{Event, wire};

/// Shares, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    /// Share of the calls whose cause was captured that were linked to it.
    pub(crate) right: f64,
    /// Share of them that were linked to another.
    pub(crate) wrong: f64,
    /// Share of them that were not linked.
    pub(crate) unlinked: f64,
    /// Share of the calls whose cause was not captured that were still linked.
    pub(crate) adopted: f64,
    /// Expected calibration error of the confidences, in ten bins.
    pub(crate) calibration: f64,
}

/// Links calls.
pub(crate) fn chains(calls: Vec<Call>, options: Options) -> Vec<Chain> {
    let mut chains = Vec::new();
    let mut engine = Engine::new(options);
    for call in calls {
        engine.call(call, &mut |chain| chains.push(chain));
    }
    engine.finish(&mut |chain| chains.push(chain));
    chains
}

/// Compares chains with the truth.
pub(crate) fn score(events: &[Event], chains: &[Chain]) -> Score {
    let captured = wire::captured(events);
    let mut parents: HashMap<usize, u64> = HashMap::new();
    for (index, event) in captured.iter().enumerate().filter(|(_, event)| event.parent.is_none()) {
        parents.insert(event.number, index as u64 + 1);
    }
    let mut counts = [0.0_f64; 5];
    let mut bins = [[0.0_f64; 3]; 10];
    for (chain, hop) in chains.iter().flat_map(|chain| chain.hops.iter().map(move |hop| (chain, hop))) {
        let event = captured[hop.call.uid.packet as usize - 1];
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
