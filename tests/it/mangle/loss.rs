//! Captures that have lost something: what is still said has to be true.

use std::collections::HashMap;

use serde_json::Value;

use super::frame::{Captured, Frame, Said, conversation};
use super::rewrite;
use super::wrap::{self, Wrap};
use super::{Complaints, Memory, Original, bundled, essences, of_frames, of_packets, one_thread};
use crate::support;

/// Whether a key of a record says the same as that of the true call, or nothing.
fn agrees(record: &Value, truth: &Value, key: &str) -> bool {
    record[key].is_null() || record[key] == truth[key]
}

/// Whether a text is that of the true call, or what was left of it.
fn agrees_as_text(record: &Value, truth: &Value, key: &str) -> bool {
    let (Some(text), truth) = (record[key].as_str(), truth[key].as_str().unwrap_or_default()) else {
        return true;
    };
    truth.starts_with(text.trim_end_matches('\u{fffd}'))
}

/// Whether a record admits that it does not know all.
fn admits(record: &Value) -> bool {
    let findings = record["findings"].as_array().unwrap();
    findings.iter().any(|finding| matches!(finding.as_str(), Some("gap" | "truncated" | "mid-stream")))
}

/// Whether what a record says of a call is true.
fn is_true(record: &Value, truth: &Value) -> bool {
    let admits = admits(record);
    // Streams of HTTP/2 are distinguished by their numbers and say themselves where they end.
    let exact = record["transport"] == "http2";
    let alone = record["request_bytes"] == 0 && !exact;
    // An answer whose request was not captured may carry another number than its request did.
    let id = alone || truth["id"].is_null() || agrees(record, truth, "id");
    let names = ["client", "server", "service", "method"].iter().all(|key| agrees(record, truth, key));
    // The caller left, and its callee's answer had no reader any more.
    let is_late = |call: &Value| call["findings"].as_array().unwrap().iter().any(|one| one == "late-answer");
    let verdict = match record["class"].as_str() {
        // No answer was seen. That one was lost is admitted where that can be known.
        None | Some("unanswered") => true,
        Some("transport") => {
            let is_answered = matches!(truth["class"].as_str(), Some("ok" | "business"));
            // A close that is seen says nothing of what is not; a reset of a stream does, whatever came before it.
            admits && (!is_answered || record["carrier"] == "h2-rst-stream")
                // The answer was lost.
                || is_late(truth) && record["initiator"] == "client"
                || truth["class"] == "transport"
        }
        // A stream may have ended before the end that was seen, an answer may answer what needed none.
        Some(_) if admits && (alone || truth["kind"] != "unary" && !exact) => true,
        // The reset that came before the answer was lost.
        Some(_) if admits && truth["class"] == "transport" => true,
        // The RST that says so was lost.
        Some("ok" | "business") if is_late(record) && is_late(truth) => true,
        Some("ok") => truth["class"] == "ok",
        Some(class) => {
            truth["class"] == class
                && agrees(record, truth, "code")
                && agrees(record, truth, "carrier")
                && agrees_as_text(record, truth, "message")
        }
    };
    id && names && verdict
}

/// Holds the calls of a capture that lost something against those of the whole one.
pub(super) fn hold(complaints: &mut Complaints, original: &Original, what: &str, found: &[Value]) {
    let proxied = original.calls.iter().any(|call| call.get("via").is_some());
    let blank = |call: &Value| {
        let mut call = call.clone();
        // Without the packet that names it, the client is the proxy.
        if proxied {
            call["client"] = Value::Null;
        }
        call
    };
    let [calls, found] =
        [&original.calls[..], found].map(|calls| calls.iter().map(blank).collect::<Vec<_>>());
    let mut by_ends: HashMap<(&Value, &Value), Vec<&Value>> = HashMap::new();
    for truth in &calls {
        by_ends.entry((&truth["client"], &truth["server"])).or_default().push(truth);
    }
    let mut wrong = Vec::new();
    for record in &found {
        let known = by_ends.get(&(&record["client"], &record["server"])).map_or(&[][..], Vec::as_slice);
        // A request that was captured is one of those that began then.
        let begun: Vec<&Value> =
            known.iter().copied().filter(|truth| truth["start"] == record["start"]).collect();
        let known = if record["request_bytes"] == 0 || begun.is_empty() { known } else { &begun };
        if !known.iter().any(|truth| is_true(record, truth)) {
            let same_id: Vec<String> = known
                .iter()
                .filter(|t| t["id"] == record["id"])
                .map(|t| format!("\n      truth {t}"))
                .collect();
            wrong.push(format!("wrong {record}{}", same_id.concat()));
        }
    }
    let count = |calls: &[Value]| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for call in calls {
            let key = format!("{} {} {}", call["client"], call["server"], call["id"]);
            *counts.entry(key).or_default() += 1;
        }
        counts
    };
    let true_counts = count(&calls);
    for (key, n) in count(&found) {
        let known = true_counts.get(&key).copied().unwrap_or(0);
        if n > known && known > 0 {
            wrong.push(format!("{n} calls where {known} were made: {key}"));
        }
    }
    if !wrong.is_empty() {
        complaints.0.push(format!("{}, {what}:\n    {}", original.name, wrong.join("\n    ")));
    }
}

/// Without the packets at these places.
pub(super) fn without(frames: &[Frame], lost: impl Fn(usize) -> bool) -> Vec<Frame> {
    frames.iter().enumerate().filter(|(at, _)| !lost(*at)).map(|(_, frame)| frame.clone()).collect()
}

/// Some numbers below `below`, spread, and different ones for each `salt`.
fn spread(below: usize, count: usize, salt: usize) -> impl Iterator<Item = usize> {
    (0..count.min(below)).map(move |i| (i * below / count.min(below) + salt * 7919) % below)
}

/// The answers that are held back behind a loss are decided when that is given up; they came when they were captured.
#[test]
fn calls_behind_a_loss_took_as_long_as_they_did() {
    let mut complaints = Complaints::default();
    let mut compared = 0;
    for (at, original) in bundled().iter().enumerate() {
        for lost in spread(original.frames.len(), 2, at + 1) {
            let found = of_frames(&without(&original.frames, |n| n == lost));
            for record in found.iter().filter(|record| record["kind"] == "unary" && !admits(record)) {
                let same = ["client", "server", "id", "start", "latency_ns", "class", "response_bytes"];
                let is_same = |truth: &&Value| same.iter().all(|key| record[*key] == truth[*key]);
                let mut truths = original.calls.iter().filter(is_same).peekable();
                if truths.peek().is_some() {
                    compared += 1;
                    if !truths.any(|truth| truth["duration_ns"] == record["duration_ns"]) {
                        complaints.0.push(format!("{}, without {lost}: {record}", original.name));
                    }
                }
            }
        }
    }
    assert!(compared > 1000, "{compared}");
    complaints.none();
}

#[test]
fn a_start_in_the_middle_claims_nothing_wrong() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        for first in spread(original.frames.len(), 8, at) {
            let found = of_frames(&original.frames[first..]);
            hold(&mut complaints, original, &format!("without the first {first}"), &found);
        }
    }
    complaints.none();
}

/// Where nothing came before, nothing shows that an answer was captured before its request.
#[test]
fn a_start_in_the_middle_of_disorder_claims_nothing_wrong() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        let frames = &original.frames;
        for first in spread(frames.len().saturating_sub(2), 8, at) {
            for later in [1, 2] {
                let mut frames = frames[first..].to_vec();
                frames[..=later].rotate_left(1);
                // Answer and request are two records then, of which one has no class.
                let mut found = of_frames(&frames);
                found.retain(|record| !record["class"].is_null());
                hold(
                    &mut complaints,
                    original,
                    &format!("from {}, {later} before the first", first + 1),
                    &found,
                );
            }
        }
    }
    complaints.none();
}

#[test]
fn an_early_end_claims_nothing_wrong() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        for last in spread(original.frames.len(), 3, at) {
            let found = of_frames(&original.frames[..last]);
            hold(&mut complaints, original, &format!("only the first {last}"), &found);
        }
    }
    complaints.none();
}

#[test]
fn lost_packets_claim_nothing_wrong() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        let frames = &original.frames;
        for lost in spread(frames.len(), 6, at) {
            let found = of_frames(&without(frames, |n| n == lost));
            hold(&mut complaints, original, &format!("without packet {}", lost + 1), &found);
        }
        for every in [3, 7] {
            let found = of_frames(&without(frames, |n| n % every == at % every));
            hold(
                &mut complaints,
                original,
                &format!("without every {every}th from {}", at % every + 1),
                &found,
            );
        }
    }
    complaints.none();
}

/// Packets of both directions get lost together where a buffer overflows.
#[test]
fn bursts_of_lost_packets_claim_nothing_wrong() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        let frames = &original.frames;
        for (count, salt) in [(3, 1), (8, 2), (10, 3)] {
            for first in spread(frames.len(), 8, at + salt) {
                let found = of_frames(&without(frames, |n| (first..first + count).contains(&n)));
                hold(&mut complaints, original, &format!("without {count} from {}", first + 1), &found);
            }
        }
    }
    complaints.none();
}

/// Of a call whose packets are all lost nothing is left that could say so, but that they are missing.
#[test]
fn calls_that_were_lost_as_a_whole_are_not_passed_over_in_silence() {
    let (mut hidden, mut complaints) = (0, Complaints::default());
    let read = |frames: &[Frame]| {
        let packets: Vec<_> = frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).collect();
        let (outputs, totals) = support::outputs(&mut Memory { packets, at: 0 }, &one_thread());
        (outputs.iter().filter_map(support::call_record).collect::<Vec<_>>(), totals)
    };
    let findings = |calls: &[Value]| {
        calls.iter().map(|call| call["findings"].as_array().map_or(0, Vec::len)).sum::<usize>()
    };
    for (salt, original) in bundled().iter().enumerate() {
        let (calls, whole) = read(&original.frames);
        for at in spread(original.frames.len(), 12, salt) {
            let is_lost = |index: usize| (at..at + 2 + at % 3).contains(&index);
            // Behind the last packet, and before the first one, nothing shows that there were others.
            let is_between = |(index, frame): (usize, &Frame)| {
                let same =
                    |other: &Frame| (other.source, other.destination) == (frame.source, frame.destination);
                let kept = |(other, _): &(usize, &Frame)| !is_lost(*other);
                let mut others =
                    original.frames.iter().enumerate().filter(kept).filter(|(_, other)| same(other));
                let is_before = others.clone().any(|(other, _)| other < index);
                is_before && others.any(|(other, frame)| other > index && !frame.payload.is_empty())
            };
            let lost = original.frames.iter().enumerate().filter(|(index, _)| is_lost(*index));
            if !lost.clone().all(|(_, frame)| frame.tcp.is_some()) || !lost.into_iter().all(is_between) {
                continue;
            }
            let (found, totals) = read(&without(&original.frames, is_lost));
            if found.len() < calls.len() {
                hidden += 1;
                if findings(&found) <= findings(&calls) && totals.remarks() == whole.remarks() {
                    let what = format!("packets lost from {at} on");
                    complaints.same(&original.name, &what, &essences(&calls), &essences(&found));
                }
            }
        }
    }
    complaints.none();
    assert!(hidden > 20, "{hidden} losses hide a call");
}

#[test]
fn one_direction_claims_nothing_wrong() {
    let mut complaints = Complaints::default();
    for original in bundled() {
        for low in [true, false] {
            let found = of_frames(&without(&original.frames, |n| {
                let frame: &Frame = &original.frames[n];
                (frame.source.1 < frame.destination.1) == low
            }));
            hold(&mut complaints, original, &format!("one direction, {low}"), &found);
        }
    }
    complaints.none();
}

#[test]
fn a_snap_length_claims_nothing_wrong() {
    let mut complaints = Complaints::default();
    for original in bundled() {
        for snap in [60, 90, 120, 300] {
            let cut = |mut packet: Captured| {
                packet.data.truncate(snap);
                packet
            };
            let packets =
                original.frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).map(cut).collect();
            hold(&mut complaints, original, &format!("cut at {snap}"), &of_packets(packets));
        }
    }
    complaints.none();
}

/// Usual snap lengths: a class is that of the whole packets, or none.
#[test]
fn what_is_said_of_cut_packets_is_what_the_whole_ones_say() {
    let mut complaints = Complaints::default();
    for original in bundled() {
        let request = |record: &Value| ["client", "server", "start", "id"].map(|key| record[key].to_string());
        for snap in [96, 128, 256] {
            let cut = |mut packet: Captured| {
                packet.data.truncate(snap);
                packet
            };
            let packets =
                original.frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).map(cut).collect();
            let mut wrong = Vec::new();
            for record in of_packets(packets).iter().filter(|record| !record["class"].is_null()) {
                let of_request = |truth: &&Value| request(truth) == request(record);
                let truths: Vec<&Value> = original.calls.iter().filter(of_request).collect();
                let same =
                    |truth: &&Value| truth["class"] == record["class"] && agrees(record, truth, "code");
                if !truths.is_empty() && !truths.iter().any(same) {
                    wrong.push(format!("wrong {record}\n      truth {}", truths[0]));
                }
            }
            if !wrong.is_empty() {
                complaints.0.push(format!("{}, cut at {snap}:\n    {}", original.name, wrong.join("\n    ")));
            }
        }
    }
    complaints.none();
}

/// Without a frame and with a compact encoding, no message says how long it is: the next one is found all the same.
#[test]
fn unframed_compact_thrift_does_not_vanish() {
    let original =
        bundled().iter().find(|original| original.name == "thrift-py-java-buffered-compact").unwrap();
    for snap in [96, 128, 256] {
        let cut = |mut packet: Captured| {
            packet.data.truncate(snap);
            packet
        };
        let packets = original.frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).map(cut);
        let found = of_packets(packets.collect());
        assert!(found.len() * 10 >= original.calls.len() * 9, "cut at {snap}: {} calls", found.len());
    }
}

#[test]
fn what_a_snap_length_cut_off_is_no_gap() {
    for original in bundled() {
        let cut = |mut packet: Captured| {
            packet.data.truncate(100);
            packet
        };
        // In disorder, so that a cut segment is not always the one that is being read.
        let frames = rewrite::swapped(&original.frames, 0);
        let packets = frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).map(cut).collect();
        let has_gap = |record: &Value| record["findings"].as_array().unwrap().contains(&"gap".into());
        if original.calls.iter().any(has_gap) {
            // Packets are missing in the capture itself.
            continue;
        }
        for record in of_packets(packets) {
            assert!(!has_gap(&record), "{}: {record}", original.name);
        }
    }
}

/// The captures in which calls travel over HTTP/2.
fn over_http2() -> impl Iterator<Item = (usize, &'static Original)> {
    let carries = |original: &&Original| original.calls.iter().any(|call| call["transport"] == "http2");
    bundled().iter().filter(carries).enumerate()
}

#[test]
fn http2_entered_at_any_packet_claims_nothing_wrong() {
    const MOST: usize = 60;
    let mut complaints = Complaints::default();
    for (at, original) in over_http2() {
        let step = original.frames.len().div_ceil(MOST);
        for first in (1 + at % step..original.frames.len()).step_by(step) {
            let found = of_frames(&original.frames[first..]);
            hold(&mut complaints, original, &format!("without the first {first}"), &found);
        }
    }
    complaints.none();
}

#[test]
fn random_losses_claim_nothing_wrong() {
    let mut complaints = Complaints::default();
    for (at, original) in bundled().iter().enumerate() {
        for (round, of) in [3, 10, 30, 100].into_iter().enumerate() {
            let mut seed = (at * 31 + round) as u64;
            let mut lost = |_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 33).is_multiple_of(of as u64)
            };
            let lost: Vec<bool> = (0..original.frames.len()).map(&mut lost).collect();
            let found = of_frames(&without(&original.frames, |n| lost[n]));
            hold(&mut complaints, original, &format!("without one in {of}"), &found);
        }
    }
    complaints.none();
}

/// A reader who comes in the middle of a message of hundreds of segments.
#[test]
fn the_message_after_a_large_one_is_found() {
    let original = bundled().iter().find(|original| original.name == "kitex-ttheader-big").unwrap();
    let found = of_frames(&original.frames[60..]);
    let methods: Vec<&str> = found.iter().filter_map(|call| call["method"].as_str()).collect();
    assert_eq!(methods, ["PlaceOrder", "QueryOrder", "QueryOrder"]);
    assert!(found[0]["findings"].as_array().unwrap().contains(&"mid-stream".into()));
}

/// Kitex Protobuf is not named by the header before it.
#[test]
fn what_is_cut_is_of_the_protocol_that_its_connection_speaks() {
    let original = bundled().iter().find(|original| original.name == "kitex-kpb-basics").unwrap();
    for snap in [130, 160, 200, 300] {
        let cut = |mut packet: Captured| {
            packet.data.truncate(snap);
            packet
        };
        let packets = original.frames.iter().flat_map(|frame| wrap::wrap(frame, Wrap::Ethernet)).map(cut);
        for call in of_packets(packets.collect()) {
            assert_eq!(call["rpc"], "kitex-protobuf", "cut at {snap}: {call}");
        }
    }
}

/// The body of a request of thrift over HTTP, which comes in a packet of its own, looks like unframed thrift.
#[test]
fn a_request_whose_http_head_is_missing_has_a_gap() {
    const ASKED: &[u8] =
        b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Type: application/x-thrift\r\nContent-Length: 16\r\n\r\n";
    const CALL: &[u8] = b"\x80\x01\0\x01\0\0\0\x03get\0\0\0\x05\0";
    const ANSWERED: &[u8] =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-thrift\r\nContent-Length: 23\r\n\r\n";
    const REPLY: &[u8] = b"\x80\x01\0\x02\0\0\0\x03get\0\0\0\x05\x08\0\0\0\0\0\x01\0";
    let said: [Said; 4] = [(true, ASKED), (true, CALL), (false, ANSWERED), (false, REPLY)];
    let mut frames = conversation([([192, 0, 2, 1], 40_000), ([192, 0, 2, 2], 8080)], &said);
    let of = |frames: &[Frame]| {
        let calls = of_frames(frames);
        let said = |call: &Value| {
            (
                call["transport"].clone(),
                call["method"].clone(),
                call["class"].clone(),
                call["findings"].clone(),
            )
        };
        calls.iter().map(said).collect::<Vec<_>>()
    };
    let expected = |transport: &str, findings: &[&str]| {
        vec![(transport.into(), "get".into(), "ok".into(), Value::from(findings.to_vec()))]
    };
    assert_eq!(of(&frames), expected("http1", &[]));
    frames.retain(|frame| frame.payload != ASKED);
    assert_eq!(of(&frames), expected("buffered", &["gap"]));
}
