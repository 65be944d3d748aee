//! Captures of several capture points: which file belongs to which, and by how much their clocks differ.
//!
//! A packet that travels between two captured hosts is in the files of both. [`survey`] reads the files once before the analysis,
//! down to the transport headers, and finds such packets. Files that share packets belong to different capture points. Their packets
//! are kept apart by [`CapturePoint`], so that the second copy of a connection does not look like retransmissions, and their times are
//! corrected to one clock, so that causes come before effects. Files that share no packets are one capture, such as rotated files, or
//! one file per direction. So are files that share packets with identical times: they are overlapping parts of one capture.
//!
//! | file | contents |
//! | --- | --- |
//! | `groups.rs` | files of one capture point, by their names |
//! | `sightings.rs` | packets seen in several files: a sample of bounded size |
//! | `clock.rs` | the difference of two clocks, by packets in both directions |
//! | `tree.rs` | the path from each clock to the reference clock |

mod clock;
mod groups;
mod sightings;
#[cfg(test)]
mod tests;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::decode::{Decoded, Decoder};
use crate::source::site::{ClockCorrection, Site, Sites};
use crate::source::{Batch, CapturePoint, Source, files};
use crate::text;
use crate::time::Timestamp;
use clock::Sample;
use groups::{Group, Groups};
use sightings::{MIN_SHARED, Sightings};
use tree::{Difference, Links};

/// Most packets of one file that are compared.
const MAX_PACKETS: u64 = 50_000_000;

/// Most capture points that are distinguished; files of others are read as one capture.
const MAX_CAPTURE_POINTS: usize = u8::MAX as usize;

/// The result of a survey.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Where each file was captured.
    pub sites: Sites,
    /// One line for people about each clock that is corrected, or can't be.
    pub notes: Vec<String>,
}

/// Compares the files that `paths` stand for. `progress` is called with the bytes read and the total. The survey is empty if there is
/// nothing to compare: a single file, files of one rotation, or input that can be read only once.
#[must_use]
pub fn survey(paths: &[PathBuf], stop: &Arc<AtomicBool>, progress: &mut dyn FnMut(u64, u64)) -> Survey {
    let mut groups = Groups::default();
    for path in paths {
        // Errors are reported when the files are read for their calls.
        let Ok(found) = files::expand(path) else { continue };
        groups.add(path, &found);
    }
    let all = groups.files();
    if all.len() < 2 || groups.is_rotation() || !all.iter().all(|file| file.is_file()) {
        return Survey::default();
    }
    let Some(seen) = compare(all, stop, progress) else { return Survey::default() };
    let shared = seen.shared();
    let enough = shared.iter().filter(|(_, samples)| samples.len() >= MIN_SHARED);
    // Identical times, to the nanosecond: overlapping parts of one capture.
    let (same, sharing): (Vec<_>, Vec<_>) =
        enough.partition(|(_, samples)| samples.iter().all(|sample| sample.own == sample.reference));
    let pairs = |found: Vec<(&(usize, usize), &Vec<Sample>)>| -> Vec<(usize, usize)> {
        found.into_iter().map(|(pair, _)| *pair).collect()
    };
    let groups = groups.settle(&pairs(sharing), &pairs(same));
    let links = tree::links(&groups, shared);
    let mut survey = sites(&groups, &links);
    let spans: Vec<_> = groups.iter().map(|group| span_of(group, &seen)).collect();
    let common = seen.share_connections();
    let is_apart = |one: usize, other: usize| {
        let (Some(own), Some(others)) = (spans[one], spans[other]) else { return false };
        let pairs = groups[one].members.iter().flat_map(|a| groups[other].members.iter().map(|b| (*a, *b)));
        let mut in_order = pairs.map(|(a, b): (usize, usize)| (a.min(b), a.max(b)));
        own.0 <= others.1 && others.0 <= own.1 && !in_order.any(|pair| common.contains(&pair))
    };
    survey.notes.extend(uncompared(&groups, |group| links.is_linked(group), is_apart));
    survey
}

/// When the segments of a group were captured; `None` if it has none.
fn span_of(group: &Group, seen: &Sightings) -> Option<(Timestamp, Timestamp)> {
    let spans = group.members.iter().filter_map(|file| seen.span(*file));
    spans.reduce(|all, span| (all.0.min(span.0), all.1.max(span.1)))
}

/// A line about the groups whose clocks were compared with no other although other packets were captured elsewhere at the same time: files of one
/// host have one clock, those of several may not.
fn uncompared(
    groups: &[Group],
    is_compared: impl Fn(usize) -> bool,
    is_apart: impl Fn(usize, usize) -> bool,
) -> Option<String> {
    // The clock of the first file is the reference.
    let alone = (1..groups.len()).filter(|&group| {
        !is_compared(group) && (0..groups.len()).any(|other| other != group && is_apart(group, other))
    });
    let names: Vec<&str> = alone.map(|group| groups[group].name.as_str()).collect();
    let (first, more) = names.split_first()?;
    let (share, their) = match more.len() {
        0 => (format!("{first} shares"), "its clock is"),
        more => {
            (format!("{first} and {} share", text::counted(more as u64, "other capture")), "their clocks are")
        }
    };
    Some(format!(
        "{share} no packets with the other files, so {their} not compared: if they are of several hosts, links by time between them may \
         be wrong"
    ))
}

/// Reads the packets of all files; `None` if it was stopped.
fn compare(
    files: &[PathBuf],
    stop: &Arc<AtomicBool>,
    progress: &mut dyn FnMut(u64, u64),
) -> Option<Sightings> {
    let len = |path: &PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
    let total = files.iter().map(len).sum();
    let mut seen = Sightings::default();
    let mut before = 0;
    for (file, path) in files.iter().enumerate().take(usize::from(u16::MAX)) {
        let mut packets = 0;
        each_batch(path, stop, |batch, read| {
            seen.batch(file as u16, batch);
            packets += batch.records.len() as u64;
            progress(before + read, total);
            packets < MAX_PACKETS
        });
        before += len(path);
    }
    (!stop.load(Ordering::Relaxed)).then_some(seen)
}

/// Reads a file batch by batch until `take`, which also gets the bytes read so far, returns false. Errors are reported when the file
/// is read for its calls.
fn each_batch(path: &Path, stop: &Arc<AtomicBool>, mut take: impl FnMut(&Batch, u64) -> bool) {
    let options = files::Options { stop: Arc::clone(stop), ..files::Options::default() };
    let mut source = files::open(&[path.to_owned()], options);
    let mut batch = Batch::default();
    while !stop.load(Ordering::Relaxed) && source.next_batch(&mut batch).is_ok_and(|more| more) {
        if !take(&batch, source.progress().map_or(0, |(read, _)| read)) {
            return;
        }
    }
}

/// Assigns a capture point and a clock correction to each group of files that shares packets with another.
fn sites(groups: &[Group], links: &Links) -> Survey {
    let mut survey = Survey::default();
    let mut next = 1;
    for (index, group) in groups.iter().enumerate() {
        if !links.is_linked(index) || next > MAX_CAPTURE_POINTS {
            continue;
        }
        let mut site = Site { capture_point: CapturePoint(next as u8), clock: ClockCorrection::default() };
        next += 1;
        match links.difference(index) {
            Difference::None => {}
            Difference::Unknown(other) => survey.notes.push(format!(
                "{} and {} share packets of one direction only, so the difference of their clocks is unknown: \
                 their times are not corrected",
                group.name, groups[*other].name
            )),
            Difference::Known(path) => {
                if let Some(clock) = path.clock() {
                    site.clock = clock;
                    survey.notes.push(path.describe(groups, group));
                }
            }
        }
        for path in &group.files {
            survey.sites.insert(path.clone(), site.clone());
        }
    }
    survey
}

/// Nanoseconds with a unit, rounded to microseconds at most: `1.203417 s`, `12.5 ms`, `40 µs`.
fn span(nanoseconds: u64) -> String {
    if nanoseconds >= 1_000_000_000 {
        let text = format!("{:.6}", nanoseconds as f64 / 1e9);
        return format!("{} s", text.trim_end_matches('0').trim_end_matches('.'));
    }
    if nanoseconds >= 1_000_000 {
        let text = format!("{:.3}", nanoseconds as f64 / 1e6);
        return format!("{} ms", text.trim_end_matches('0').trim_end_matches('.'));
    }
    match nanoseconds {
        1_000.. => format!("{} µs", nanoseconds.div_ceil(1_000)),
        _ => format!("{nanoseconds} ns"),
    }
}

/// A count of packets, for people.
fn packets(count: usize) -> String {
    format!("{} packets", text::thousands(count as u64))
}

/// Decodes the packets of a batch, and calls `take` with every segment.
fn decode(decoder: &mut Decoder, batch: &Batch, mut take: impl FnMut(&crate::decode::Segment<'_>)) {
    for packet in batch.packets() {
        if let Decoded::Segment(segment) = decoder.decode(&packet) {
            take(&segment);
        }
    }
}
