//! The same conversations in other packets, and captures that have lost some.

use std::collections::{HashMap, HashSet};

use super::frame::{ACK, FIN, Flow, Frame, RST, SYN};

/// Where `number` lies behind `from`, modulo 2³²; negative if before it.
fn distance(number: u32, from: u32) -> i32 {
    number.wrapping_sub(from) as i32
}

/// Every packet `dedup` more times at once, as a capture on all interfaces has it.
pub(crate) fn repeated(frames: &[Frame], copies: usize) -> Vec<Frame> {
    frames.iter().flat_map(|frame| std::iter::repeat_n(frame.clone(), copies + 1)).collect()
}

/// Every TCP segment again, `later` packets later.
pub(crate) fn echoed(frames: &[Frame], later: usize) -> Vec<Frame> {
    let mut out = Vec::new();
    for (at, frame) in frames.iter().enumerate() {
        out.push(frame.clone());
        if let Some(again) = at.checked_sub(later).map(|at| &frames[at]).filter(|again| again.tcp.is_some()) {
            out.push(Frame { time: frame.time, ..again.clone() });
        }
    }
    out
}

/// Connections whose beginning was captured.
fn begun(frames: &[Frame]) -> HashSet<Flow> {
    frames.iter().filter(|f| f.tcp.is_some_and(|tcp| tcp.has(SYN))).map(Frame::flow).collect()
}

/// Whether two packets in a row may change places without a change of what happened: they are of two connections, or in
/// one direction, or the second one says that its sender had seen the first.
fn may_swap(first: &Frame, second: &Frame) -> bool {
    if first.flow() != second.flow() {
        return true;
    }
    let (Some(a), Some(b)) = (first.tcp, second.tcp) else { return false };
    if first.source == second.source {
        // A RST closes the stream at its own number; what it overtakes has to be before that.
        return !(a.has(RST) || b.has(RST)) || distance(b.seq, first.end()) >= 0;
    }
    let empty = |frame: &Frame| frame.end() == frame.tcp.unwrap().seq && !frame.tcp.unwrap().has(RST);
    if empty(first) || empty(second) {
        return !a.has(RST) && !b.has(RST);
    }
    !a.has(RST) && b.has(ACK) && distance(b.ack, first.end()) >= 0
}

/// Neighbours change places: every pair from packet `first` on whose packets are close in time.
pub(crate) fn swapped(frames: &[Frame], first: usize) -> Vec<Frame> {
    const TIME: i64 = 50_000_000;
    let begun = begun(frames);
    let mut out = frames.to_vec();
    for at in (first..out.len().saturating_sub(1)).step_by(2) {
        let [a, b] = [&out[at], &out[at + 1]];
        if b.time - a.time < TIME && may_swap(a, b) && begun.contains(&a.flow()) && begun.contains(&b.flow())
        {
            out.swap(at, at + 1);
            let time = out[at].time;
            out[at].time = out[at + 1].time;
            out[at + 1].time = time;
        }
    }
    out
}

/// Payloads in segments of at most `size` bytes.
pub(crate) fn split(frames: &[Frame], size: usize) -> Vec<Frame> {
    let mut out = Vec::new();
    for frame in frames {
        let Some(tcp) = frame.tcp.filter(|tcp| !tcp.has(SYN | RST) && frame.payload.len() > size) else {
            out.push(frame.clone());
            continue;
        };
        let last = (frame.payload.len() - 1) / size;
        out.extend(frame.payload.chunks(size).enumerate().map(|(i, part)| {
            let mut part = Frame { payload: part.to_vec(), ..frame.clone() };
            let tcp_part = part.tcp.as_mut().unwrap();
            tcp_part.seq = tcp.seq.wrapping_add((i * size) as u32);
            if i < last {
                tcp_part.flags &= !FIN;
            }
            part
        }));
    }
    out
}

/// Segments in a row of one direction joined, as segmentation offload shows them.
pub(crate) fn merged(frames: &[Frame]) -> Vec<Frame> {
    const LIMIT: usize = 200_000;
    // Segments that were sent further apart are none of one write.
    const TIME: i64 = 1_000_000;
    let mut out: Vec<Frame> = Vec::new();
    // For each connection, the place of its last segment with payload.
    let mut open: HashMap<_, usize> = HashMap::new();
    for frame in frames {
        let joins = |at: &usize| {
            let last: &Frame = &out[*at];
            let tcp = frame.tcp?;
            let fits = last.source == frame.source
                && last.end() == tcp.seq
                && !last.tcp?.has(FIN | SYN)
                && frame.time - last.time < TIME
                && last.payload.len() + frame.payload.len() <= LIMIT;
            fits.then_some(*at)
        };
        let plain = frame.tcp.is_some_and(|tcp| !tcp.has(SYN | RST));
        if !plain || (frame.payload.is_empty() && frame.end() != frame.tcp.unwrap().seq) {
            open.remove(&frame.flow());
            out.push(frame.clone());
        } else if frame.payload.is_empty() {
            out.push(frame.clone());
        } else if let Some(at) = open.get(&frame.flow()).and_then(joins) {
            out[at].payload.extend_from_slice(&frame.payload);
            out[at].tcp.as_mut().unwrap().flags |= frame.tcp.unwrap().flags;
        } else {
            open.insert(frame.flow(), out.len());
            out.push(frame.clone());
        }
    }
    out
}

/// Other sequence numbers: each side's stream begins `before` bytes before the numbers wrap.
pub(crate) fn renumbered(frames: &[Frame], before: u32) -> Vec<Frame> {
    let mut shift = HashMap::new();
    let mut out = frames.to_vec();
    for frame in &mut out {
        let Some(tcp) = &mut frame.tcp else { continue };
        let fresh = tcp.has(SYN);
        let start = 0_u32.wrapping_sub(before).wrapping_sub(tcp.seq);
        let known = shift.entry((frame.source, frame.destination)).or_insert(start);
        if fresh && !tcp.has(ACK) && *known != start {
            *known = start;
            shift.remove(&(frame.destination, frame.source));
        }
        let by = shift[&(frame.source, frame.destination)];
        let ack = tcp.ack;
        if tcp.has(ACK) {
            let start = 0_u32.wrapping_sub(before).wrapping_sub(ack);
            tcp.ack = ack.wrapping_add(*shift.entry((frame.destination, frame.source)).or_insert(start));
        }
        tcp.seq = tcp.seq.wrapping_add(by);
    }
    out
}

/// After each segment with payload a retransmission of its second half with other bytes.
pub(crate) fn contradicted(frames: &[Frame]) -> Vec<Frame> {
    follow(frames, |frame| {
        let half = frame.payload.len() / 2;
        let mut again = frame.clone();
        again.payload.drain(..half);
        again.payload.iter_mut().for_each(|byte| *byte ^= 0x55);
        again.tcp.as_mut().unwrap().seq = frame.tcp.unwrap().seq.wrapping_add(half as u32);
        again
    })
}

/// After each segment with payload a keep-alive with a byte that is not part of the stream.
pub(crate) fn kept_alive(frames: &[Frame]) -> Vec<Frame> {
    follow(frames, |frame| {
        let mut probe = Frame { payload: vec![0], ..frame.clone() };
        let tcp = probe.tcp.as_mut().unwrap();
        tcp.seq = frame.end().wrapping_sub(1 + u32::from(tcp.has(FIN)));
        tcp.flags = ACK;
        probe
    })
}

/// After each segment with payload a RST that is in no window.
pub(crate) fn forged(frames: &[Frame]) -> Vec<Frame> {
    follow(frames, |frame| {
        let mut reset = Frame { payload: Vec::new(), ..frame.clone() };
        let tcp = reset.tcp.as_mut().unwrap();
        tcp.seq = tcp.seq.wrapping_add(0x4000_0000);
        tcp.flags = RST;
        reset
    })
}

fn follow(frames: &[Frame], after: impl Fn(&Frame) -> Frame) -> Vec<Frame> {
    let mut out = Vec::new();
    for frame in frames {
        out.push(frame.clone());
        let plain = frame.tcp.is_some_and(|tcp| !tcp.has(SYN | RST));
        if plain && !frame.payload.is_empty() {
            out.push(after(frame));
        }
    }
    out
}

/// Everything again from the same ports, later and with other sequence numbers.
pub(crate) fn twice(frames: &[Frame], later: i64) -> Vec<Frame> {
    let mut out = frames.to_vec();
    out.extend(frames.iter().cloned().map(|mut frame| {
        frame.time += later;
        frame.id = frame.id.wrapping_add(0x1234);
        if let Some(tcp) = &mut frame.tcp {
            tcp.seq = tcp.seq.wrapping_add(0x1357_9bdf);
            tcp.ack = tcp.ack.wrapping_add(if tcp.has(ACK) { 0x1357_9bdf } else { 0 });
        }
        frame
    }));
    out
}
