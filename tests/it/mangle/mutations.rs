//! Whole captures with packets dropped, repeated and moved: a class that the whole capture does not show is said only with a
//! mark, if anything in the capture shows that packets are missing.
//!
//! `RPCSCOPE_MUTATIONS` says how many are tried, `RPCSCOPE_SEED` which ones.

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value;

use super::frame::{ACK, FIN, Flow, Frame, RST, SYN};
use super::{Complaints, Original, bundled, of_frames};

/// How many mutations an ordinary run of the tests tries.
const ORDINARY: usize = 250;

/// Larger captures are left out: they hold nothing that small ones do not.
const MOST_PACKETS: usize = 700;

/// Datagrams that are further apart in time do not overtake each other, in nanoseconds.
const MOST_APART: i64 = 50_000_000;

/// The generator of Knuth's MMIX: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

/// What is done to a packet.
#[derive(Clone, Copy, Debug)]
enum Mutation {
    Drop,
    /// It is seen again, so many packets later.
    Repeat(usize),
    /// It changes places with the one so many packets later.
    Swap(usize),
}

/// A packet of the mutated capture, and its place in the whole one.
type Placed = (usize, Frame);

fn mutate(frames: &[Frame], random: &mut Random) -> (Vec<Placed>, String) {
    let mut packets: Vec<Placed> = frames.iter().cloned().enumerate().collect();
    let mut what = Vec::new();
    for _ in 0..=random.below(3) {
        let at = random.below(packets.len());
        let mutation = match random.below(3) {
            0 => Mutation::Drop,
            1 => Mutation::Repeat(1 + random.below(8)),
            _ => Mutation::Swap(1 + random.below(2)),
        };
        what.push(format!("{mutation:?} of {}", packets[at].0 + 1));
        match mutation {
            Mutation::Drop if packets.len() > 1 => {
                packets.remove(at);
            }
            Mutation::Drop => {}
            Mutation::Repeat(later) => {
                let to = (at + later).min(packets.len());
                let mut again = packets[at].clone();
                again.1.time = packets[to - 1].1.time;
                packets.insert(to, again);
            }
            Mutation::Swap(later) => {
                let to = (at + later).min(packets.len() - 1);
                let times = (packets[at].1.time, packets[to].1.time);
                // A reset that was sent at another time is another reset, and so is a datagram that was sent much later.
                let apart = times.1 - times.0 > MOST_APART;
                let stays = |at: usize| packets[at].1.tcp.map_or(apart, |tcp| tcp.has(RST));
                if !(at..=to).any(stays) {
                    packets.swap(at, to);
                    (packets[at].1.time, packets[to].1.time) = times;
                }
            }
        }
    }
    (packets, what.join(", "))
}

/// Where `number` lies behind `from`, modulo 2³²; negative if before it.
fn distance(number: u32, from: u32) -> i32 {
    number.wrapping_sub(from) as i32
}

/// Whether something of the capture shows that a packet is missing in it: a later segment of the same stream, or an
/// acknowledgement.
fn is_shown(missing: &Frame, packets: &[Placed]) -> bool {
    let Some(tcp) = missing.tcp else { return false };
    if missing.end() == tcp.seq {
        // Nothing of the stream is missing; that a RST came is shown by nothing.
        return !tcp.has(RST);
    }
    packets.iter().any(|(_, frame)| {
        let Some(other) = frame.tcp.filter(|_| frame.flow() == missing.flow()) else { return false };
        if frame.source == missing.source {
            !other.has(SYN) && distance(other.seq, missing.end()) >= 0
        } else {
            other.has(ACK) && distance(other.ack, missing.end()) >= 0
        }
    })
}

/// The connections that lost a packet of which nothing shows that it is missing.
fn unseen_losses(frames: &[Frame], packets: &[Placed]) -> Vec<Flow> {
    let mut kept = vec![false; frames.len()];
    for (at, _) in packets {
        kept[*at] = true;
    }
    let missing = frames.iter().enumerate().filter(|(at, _)| !kept[*at]);
    missing.filter(|(_, frame)| !is_shown(frame, packets)).map(|(_, frame)| frame.flow()).collect()
}

/// Whether a record says that it does not know all.
fn is_marked(record: &Value) -> bool {
    let findings = record["findings"].as_array().unwrap();
    record["class"].is_null()
        || findings.iter().any(|finding| matches!(finding.as_str(), Some("gap" | "truncated" | "mid-stream")))
}

/// Where the first byte of a packet stands: its sender and sequence number, or its place in the capture. The same for a
/// retransmission.
fn place((at, frame): &Placed) -> (usize, (IpAddr, u16), u32) {
    match frame.tcp {
        Some(tcp) => (usize::MAX, frame.source, tcp.seq),
        None => (*at, frame.source, 0),
    }
}

/// The packet in which a call began.
fn first<'p>(record: &Value, packets: &'p [Placed]) -> &'p Placed {
    &packets[record["packets"][0].as_u64().unwrap() as usize - 1]
}

/// Holds the calls of a mutated capture against those of the whole one.
fn hold(complaints: &mut Complaints, original: &Original, what: &str, packets: &[Placed]) {
    let whole: Vec<Placed> = original.frames.iter().cloned().enumerate().collect();
    let mut by_start: HashMap<_, Vec<&Value>> = HashMap::new();
    for truth in &original.calls {
        by_start.entry(place(first(truth, &whole))).or_default().push(truth);
    }
    let unseen = unseen_losses(&original.frames, packets);
    let frames: Vec<Frame> = packets.iter().map(|(_, frame)| frame.clone()).collect();
    let mut wrong = Vec::new();
    for record in of_frames(&frames).iter().filter(|record| !is_marked(record)) {
        let start = first(record, packets);
        // The beginning of a request may be what is missing.
        let of_connection = || original.calls.iter().filter(|t| t["client"] == record["client"]).collect();
        let known = by_start.get(&place(start)).cloned().unwrap_or_else(of_connection);
        let agrees = |truth: &&Value| {
            let named = record["method"].is_null() || record["method"] == truth["method"];
            // HTTP has no number, and what is left of a request may be the thrift message in it.
            let same_id = truth["id"].is_null() || record["id"] == truth["id"];
            named && same_id && record["class"] == truth["class"]
        };
        if !known.iter().any(agrees) && !unseen.contains(&start.1.flow()) {
            let truths: Vec<String> = known.iter().map(|truth| format!("\n      truth {truth}")).collect();
            wrong.push(format!("wrong {record} from packet {}{}", start.0 + 1, truths.concat()));
        }
    }
    if !wrong.is_empty() {
        complaints.0.push(format!("{}, {what}:\n    {}", original.name, wrong.join("\n    ")));
    }
}

fn from_environment(name: &str, otherwise: usize) -> usize {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn mutations_claim_nothing_wrong_that_the_capture_shows() {
    let mut random = Random(from_environment("RPCSCOPE_SEED", 1) as u64);
    let originals: Vec<&Original> =
        bundled().iter().filter(|original| original.frames.len() <= MOST_PACKETS).collect();
    let mut complaints = Complaints::default();
    for _ in 0..from_environment("RPCSCOPE_MUTATIONS", ORDINARY) {
        let original = originals[random.below(originals.len())];
        let (packets, what) = mutate(&original.frames, &mut random);
        hold(&mut complaints, original, &what, &packets);
    }
    complaints.none();
}

/// Nothing would be found if nothing were held against anything.
#[test]
fn an_unseen_loss_is_told_from_one_that_is_shown() {
    let original = bundled().iter().find(|original| original.name == "kitex-ttheader-ok").unwrap();
    let packets: Vec<Placed> = original.frames.iter().cloned().enumerate().collect();
    let answers = |(_, frame): &&Placed| frame.source.1 < frame.destination.1 && !frame.payload.is_empty();
    let (answer, _) = packets.iter().find(answers).unwrap();
    let mut without = packets.clone();
    without.remove(*answer);
    assert!(unseen_losses(&original.frames, &without).is_empty());
    let early = &without[..*answer];
    assert!(unseen_losses(&original.frames[..=*answer], early).len() == 1);
    let last = packets.iter().rposition(|(_, frame)| frame.tcp.is_some_and(|tcp| tcp.has(FIN))).unwrap();
    assert!(unseen_losses(&original.frames[..=last], &packets[..last]).contains(&packets[last].1.flow()));
}
