//! Chains as JSON lines. The calls inside are the call records with a few keys more.

use std::io::{self, Write as _};
use std::ops::Range;

use super::super::jsonl::CallFields;
use super::super::{RecordWriter, json, jsonl};
use super::ChainSink;
use crate::calls::Uid;
use crate::chains::fleet::Counts;
use crate::chains::summary::Ending;
use crate::chains::{Chain, Change, Evidence, Origin, Reported, Rival, Summary};
use crate::pipeline::Totals;

/// The sink of `chains --format jsonl`.
#[derive(Debug)]
pub struct ChainLines {
    out: RecordWriter,
    fields: CallFields,
    totals: bool,
}

impl ChainLines {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: RecordWriter) -> Self {
        Self { out, fields: CallFields::default(), totals: false }
    }

    /// Whether to end with a record of the totals.
    #[must_use]
    pub fn totals(self, totals: bool) -> Self {
        Self { totals, ..self }
    }
}

impl ChainSink for ChainLines {
    fn chain(&mut self, chain: &Chain) -> io::Result<()> {
        append_chain(self.out.buffer(), &mut self.fields, chain);
        self.out.buffer().push(b'\n');
        self.out.end_record()
    }

    fn tick(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn totals(&mut self, totals: &Totals) -> io::Result<()> {
        if !self.totals {
            return Ok(());
        }
        jsonl::write_totals(self.out.buffer(), totals);
        self.out.end_record()
    }

    fn records(&mut self, summary: &Summary, counts: &Counts, rejected: u64) -> io::Result<()> {
        write_summary(self.out.buffer(), summary);
        write_counts(self.out.buffer(), counts, rejected, summary.beyond);
        self.out.end_record()
    }

    fn recover(&mut self) -> Option<usize> {
        self.out.recover();
        self.fields = CallFields::default();
        None
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Appends the chain as one JSON object.
pub fn write_chain(out: &mut Vec<u8>, chain: &Chain) {
    append_chain(out, &mut CallFields::default(), chain);
}

fn append_chain(out: &mut Vec<u8>, fields: &mut CallFields, chain: &Chain) {
    out.extend_from_slice(b"{\"type\":\"chain\",\"root\":");
    let root = out.len();
    // Where the keys of the call of the origin are.
    let mut known = write_call(out, fields, chain, 0);
    write_place(out, chain, 0, None);
    let root = root..out.len();
    out.extend_from_slice(b",\"calls\":[");
    let origin = chain.origin.hop();
    json::list(out, 0..chain.hops.len(), |out, hop| match hop {
        0 => out.extend_from_within(root.clone()),
        hop => {
            let call = write_call(out, fields, chain, hop);
            if origin == Some(hop) {
                known = call;
            }
            write_place(out, chain, hop, None);
        }
    });
    out.extend_from_slice(b"],\"origin\":");
    match origin {
        Some(hop) => {
            out.extend_from_within(known);
            write_place(out, chain, hop, Some(chain.origin_confidence));
        }
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"path\":[");
    json::list(out, chain.path(), |out, hop| write_uid(out, chain.hops[hop].call.uid));
    out.extend_from_slice(b"],\"changes\":[");
    json::list(out, &chain.changes, |out, change| write_change(out, chain, change));
    out.extend_from_slice(b"],\"evidence\":[");
    json::list(out, chain.evidence.iter(), write_evidence);
    out.push(b']');
    write_confidence(out, chain.confidence);
    out.extend_from_slice(b",\"sentence\":");
    json::string(out, &chain.sentence());
    out.push(b'}');
}

/// The opening brace and the keys of a call; returns where they are.
fn write_call(out: &mut Vec<u8>, fields: &mut CallFields, chain: &Chain, hop: usize) -> Range<usize> {
    let start = out.len();
    out.push(b'{');
    fields.write(out, &chain.hops[hop].call);
    start..out.len()
}

/// The place of a call in the chain, and the closing brace. The call of the origin has the confidence of the origin in place of that of its
/// link.
fn write_place(out: &mut Vec<u8>, chain: &Chain, index: usize, confidence_of_origin: Option<f64>) {
    let hop = &chain.hops[index];
    out.extend_from_slice(b",\"depth\":");
    match u8::try_from(hop.depth) {
        // Nearly all.
        Ok(depth @ 0..=9) => out.push(b'0' + depth),
        _ => _ = write!(out, "{}", hop.depth),
    }
    if let Some(confidence) = confidence_of_origin.or(hop.link.map(|link| link.confidence)) {
        write_confidence(out, confidence);
    }
    if let Some(link) = hop.link {
        out.extend_from_slice(b",\"evidence\":[");
        json::list(out, link.evidence.iter(), write_evidence);
        out.push(b']');
    }
    if !hop.rivals.is_empty() {
        out.extend_from_slice(b",\"rivals\":[");
        json::list(out, &hop.rivals, |out, Rival { uid: parent, confidence, .. }| {
            out.extend_from_slice(b"{\"parent\":");
            write_uid(out, *parent);
            out.extend_from_slice(b",\"confidence\":");
            write_share(out, *confidence);
            out.push(b'}');
        });
        out.push(b']');
    }
    if let Some(decided) = hop.retried_by {
        out.extend_from_slice(b",\"retried_by\":");
        write_uid(out, chain.hops[decided].call.uid);
    }
    if index == 0 && chain.tries().next().is_some() {
        out.extend_from_slice(b",\"tries\":[");
        json::list(out, chain.tries(), |out, hop| write_uid(out, chain.hops[hop].call.uid));
        out.push(b']');
    }
    if hop.after_answer {
        out.extend_from_slice(b",\"after_answer\":true");
    }
    if confidence_of_origin.is_some() && matches!(chain.origin, Origin::InClient(_)) {
        out.extend_from_slice(b",\"began_in\":\"client\"");
    }
    out.push(b'}');
}

/// The id of a call, as [`Uid`] writes it.
fn write_uid(out: &mut Vec<u8>, uid: Uid) {
    out.push(b'"');
    json::number(out, uid.packet);
    if uid.ordinal > 0 {
        out.push(b'.');
        json::number(out, uid.ordinal.into());
    }
    out.push(b'"');
}

/// The name of an evidence, which needs no escapes.
fn write_evidence(out: &mut Vec<u8>, evidence: Evidence) {
    out.push(b'"');
    out.extend_from_slice(evidence.name().as_bytes());
    out.push(b'"');
}

fn write_confidence(out: &mut Vec<u8>, confidence: f64) {
    out.extend_from_slice(b",\"confidence\":");
    write_share(out, confidence);
}

/// A number between 0 and 1 with four decimals. The standard library takes 1,800 instructions for it.
fn write_share(out: &mut Vec<u8>, share: f64) {
    /// By how much the product may differ from the number itself.
    const ROUNDED: f64 = 1e-6;
    let scaled = share.min(1.0) * 1e4;
    let is_tie = (scaled.fract() - 0.5).abs() < ROUNDED;
    if share.is_sign_positive() && !is_tie {
        let number = scaled.round() as u32;
        let digit = |unit: u32| b'0' + (number / unit % 10) as u8;
        out.extend_from_slice(&[digit(10_000), b'.', digit(1_000), digit(100), digit(10), digit(1)]);
    } else {
        // Writing to a Vec can't fail.
        _ = write!(out, "{share:.4}");
    }
}

fn write_change(out: &mut Vec<u8>, chain: &Chain, change: &Change) {
    out.extend_from_slice(b"{\"at\":");
    match &change.at {
        Some(service) => json::string(out, service),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"call\":");
    write_uid(out, chain.hops[change.hop].call.uid);
    if let Some(below) = change.below {
        out.extend_from_slice(b",\"below\":");
        write_uid(out, chain.hops[below].call.uid);
    }
    out.extend_from_slice(b",\"from\":");
    write_outcome(out, &change.from);
    out.extend_from_slice(b",\"to\":");
    write_outcome(out, &change.to);
    out.extend_from_slice(b",\"finding\":\"");
    out.extend_from_slice(change.finding.name().as_bytes());
    out.push(b'"');
    if change.prefixes > 0 {
        _ = write!(out, ",\"prefixes\":{}", change.prefixes);
    }
    write_confidence(out, change.confidence);
    out.push(b'}');
}

fn write_outcome(out: &mut Vec<u8>, outcome: &Reported) {
    match outcome.class {
        Some(class) => {
            out.extend_from_slice(b"{\"class\":\"");
            out.extend_from_slice(class.name().as_bytes());
            out.push(b'"');
        }
        None => out.extend_from_slice(b"{\"class\":null"),
    }
    match outcome.code {
        Some(code) => _ = write!(out, ",\"code\":{code}"),
        None => out.extend_from_slice(b",\"code\":null"),
    }
    out.extend_from_slice(b",\"message\":");
    match &outcome.message {
        Some(message) => json::string(out, message),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
}

/// The keys of how a call ended.
fn write_ending(out: &mut Vec<u8>, ending: &Ending) {
    out.extend_from_slice(b"\"operation\":");
    json::string(out, &ending.operation);
    match ending.class {
        Some(class) => _ = write!(out, ",\"class\":\"{}\"", class.name()),
        None => out.extend_from_slice(b",\"class\":null"),
    }
    if let Some(code) = ending.code {
        _ = write!(out, ",\"code\":{code}");
    }
}

/// The sink of `chains --summary --format jsonl`: one object per kind of turn.
#[derive(Debug)]
pub struct SummaryLines {
    out: RecordWriter,
    summary: Summary,
}

impl SummaryLines {
    /// Writes to `out` when it is finished.
    #[must_use]
    pub fn new(out: RecordWriter) -> Self {
        Self { out, summary: Summary::default() }
    }
}

impl ChainSink for SummaryLines {
    fn chain(&mut self, chain: &Chain) -> io::Result<()> {
        self.summary.add(chain);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        write_summary(self.out.buffer(), &self.summary);
        self.out.flush()
    }
}

/// Appends one object per kind of turn, and one of what is not sure.
fn write_summary(out: &mut Vec<u8>, summary: &Summary) {
    for turn in summary.turns() {
        out.extend_from_slice(b"{\"type\":\"turn\"");
        for (key, ending) in [("from", turn.from.as_ref()), ("to", Some(&turn.to))] {
            let Some(ending) = ending else { continue };
            _ = write!(out, ",\"{key}\":{{");
            write_ending(out, ending);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"findings\":[");
        json::list(out, turn.findings.iter(), |out, finding| {
            _ = write!(out, "\"{}\"", finding.name());
        });
        _ = writeln!(out, "],\"count\":{},\"example\":\"{}\"}}", turn.count, turn.example);
    }
    let Summary { unsure, unsure_turns, unsure_callers, .. } = *summary;
    if unsure + unsure_turns + unsure_callers > 0 {
        _ = write!(out, "{{\"type\":\"unsure\",\"failed_calls\":{unsure},\"turns\":{unsure_turns}");
        _ = write!(out, ",\"callers\":{unsure_callers},\"calls\":[");
        json::list(out, summary.doubtful(), |out, turn| {
            out.push(b'{');
            write_ending(out, &turn.to);
            _ = write!(out, ",\"count\":{},\"example\":\"{}\"}}", turn.count, turn.example);
        });
        out.extend_from_slice(b"]}\n");
    }
}

/// Appends the record of the totals of `judge`.
fn write_counts(out: &mut Vec<u8>, counts: &Counts, rejected: u64, beyond: u64) {
    let Counts { taken, linked, orphans, circles, deep, repeated, unfit, unlinked: _, left_out } = *counts;
    let [fine, failed] = left_out;
    out.extend_from_slice(b"{\"type\":\"totals\"");
    for (key, count) in [
        ("records", taken),
        ("rejected", rejected),
        ("linked", linked),
        ("parent_missing", orphans),
        ("circles", circles),
        ("deep", deep),
        ("repeated", repeated),
        ("unfit", unfit),
        ("left_out", fine + failed),
        ("left_out_failed", failed),
        ("turns_beyond", beyond),
    ] {
        _ = write!(out, ",\"{key}\":{count}");
    }
    out.extend_from_slice(b"}\n");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(share: f64) -> String {
        let mut out = Vec::new();
        write_share(&mut out, share);
        String::from_utf8(out).unwrap()
    }

    proptest! {
        #[test]
        fn ids_are_as_they_print(packet in any::<u64>(), by in 0..64_u32, ordinal in any::<u32>(), bits in 0..=32_u32) {
            let ordinal = if bits == 32 { 0 } else { ordinal >> bits };
            let uid = Uid { packet: packet >> by, ordinal };
            let mut out = Vec::new();
            write_uid(&mut out, uid);
            prop_assert_eq!(String::from_utf8(out).unwrap(), format!("\"{uid}\""));
        }

        #[test]
        fn shares_are_as_the_standard_library_writes_them(share in 0.0..=1.0, near in 0..=20_000_u32, by in -2_i8..=2) {
            // Ties, and what is next to them.
            let mut tie = f64::from(near) / 20_000.0;
            for _ in 0..by.unsigned_abs() {
                tie = if by < 0 { tie.next_down().max(0.0) } else { tie.next_up().min(1.0) };
            }
            for share in [share, tie, 0.0, 1.0] {
                prop_assert_eq!(written(share), format!("{share:.4}"));
            }
        }
    }
}
