//! Clocks that are set while a capture runs, and files whose pieces were put together in the wrong order.

use rpcscope::pipeline::Totals;
use serde_json::Value;

use super::direction::clients;
use super::frame::{Captured, Frame};
use super::loss::hold;
use super::wrap::{self, Wrap};
use super::{Complaints, Memory, Original, bundled, essences, of_frames, one_thread};
use crate::support;

const HOUR: i64 = 3600 * 1_000_000_000;

/// What a record claims: all but its findings. One of them (an error beside a message) depends on the order in which both
/// directions speak, which no sequence number says.
fn claims(records: &[Value]) -> Vec<String> {
    let without_findings = |record: &Value| {
        let mut record = record.clone();
        record["findings"] = Value::Null;
        record
    };
    essences(&records.iter().map(without_findings).collect::<Vec<_>>())
}

/// The calls of frames, and what is said of the whole.
fn read(frames: &[Frame]) -> (Vec<String>, Totals) {
    let packets: Vec<Captured> = frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).collect();
    let (outputs, totals) = support::outputs(&mut Memory { packets, at: 0 }, &one_thread());
    let calls: Vec<_> = outputs.iter().filter_map(support::call_record).collect();
    (claims(&calls), totals)
}

/// No connection ends and no hole is given up because the clock leaps over the time that they may wait.
#[test]
fn a_clock_that_is_set_forward_changes_no_call() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        let from = original.frames.len() * (1 + at % 3) / 4;
        let moved = |(index, frame): (usize, &Frame)| {
            let leap = if index < from { 0 } else { HOUR };
            Frame { time: frame.time + leap, ..frame.clone() }
        };
        let frames: Vec<Frame> = original.frames.iter().enumerate().map(moved).collect();
        let found = essences(&of_frames(&frames));
        complaints.same(&original.name, "an hour ahead", &essences(&original.calls), &found);
    }
    complaints.none();
}

/// Connections are kept for their next calls: what the headers of these mean stands in the calls before.
#[test]
fn an_hour_of_silence_of_some_connections_changes_no_call() {
    const MINUTE: i64 = HOUR / 60;
    let mut complaints = Complaints::default();
    // Nobody waits an hour for the answer to a datagram.
    let of_tcp = |original: &&Original| original.frames.iter().all(|frame| frame.tcp.is_some());
    for (at, original) in bundled().iter().filter(of_tcp).enumerate() {
        let from = original.frames.len() * (1 + at % 3) / 4;
        let (before, after) = original.frames.split_at(from);
        let Some(first) = after.first() else { continue };
        // Others go on: a capture without any packet shows nothing.
        let others = (0..60).map(|minute| {
            let mut other = first.clone();
            (other.source.1, other.destination.1) = (9, 9);
            other.time += minute * MINUTE;
            (other.tcp, other.payload) = (None, vec![0; 4]);
            other
        });
        let later = after.iter().map(|frame| Frame { time: frame.time + HOUR, ..frame.clone() });
        let frames: Vec<Frame> = before.iter().cloned().chain(others).chain(later).collect();
        let found = essences(&of_frames(&frames));
        complaints.same(&original.name, "silent for an hour", &essences(&original.calls), &found);
    }
    complaints.none();
}

/// The two directions of a tap, by clocks that differ: answers stand before their requests, in the order of time.
#[test]
fn a_direction_that_is_ahead_of_the_other_claims_nothing_wrong() {
    const MS: i64 = 1_000_000;
    let mut complaints = Complaints::default();
    for original in bundled() {
        let clients = clients(&original.frames);
        for ahead in [MS, 50 * MS, 1000 * MS] {
            let mut frames = original.frames.clone();
            for frame in &mut frames {
                if frame.tcp.is_some() && !clients.contains(&frame.source) {
                    frame.time -= ahead;
                }
            }
            frames.sort_by_key(|frame| frame.time);
            // Answer and request may be two records then: each has to be true.
            let found = of_frames(&frames).into_iter().filter(|record| !record["class"].is_null());
            let (answers, calls): (Vec<_>, Vec<_>) = found.partition(|record| record["request_bytes"] == 0);
            for found in [answers, calls] {
                hold(&mut complaints, original, &format!("callees {} ms ahead", ahead / MS), &found);
            }
        }
    }
    complaints.none();
}

/// What is read differently than from the ordered file is said, however small the difference of the times is.
#[test]
fn pieces_in_the_wrong_order_are_said_where_they_change_calls() {
    let (mut changed, mut complaints) = (0, Complaints::default());
    for Original { name, frames, calls } in bundled() {
        let calls = claims(calls);
        let third = frames.len() / 3;
        let (_, ordered) = read(frames);
        for order in [[2, 0, 1], [0, 2, 1], [1, 0, 2]] {
            let piece = |index: usize| {
                let end = if index == 2 { frames.len() } else { (index + 1) * third };
                &frames[index * third..end]
            };
            let (found, totals) = read(&order.map(piece).concat());
            if found != calls {
                changed += 1;
                if totals.remarks() == ordered.remarks() {
                    complaints.same(name, &format!("pieces {order:?}"), &calls, &found);
                }
            }
        }
    }
    complaints.none();
    assert!(changed > 20, "{changed} captures show what the order is for");
}
