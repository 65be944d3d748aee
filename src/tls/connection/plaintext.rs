//! What records hold: application data, which is given on with the places of its ciphertext, and the rest.

use rpcscope_parsers::tls::{ContentType, Version, record};

use super::super::direction::stamp_at;
use super::super::epoch::{Hit, Stage};
use super::records::Place;
use super::{Connection, Give, UNKNOWN_LOSS};
use crate::flow::{Chunk, Flow, Stamp};

/// Early data that is kept until the server has said whether it takes it, in bytes: most servers allow 16 KiB.
const MAX_EARLY: usize = 1 << 20;
/// The most records of it.
const MAX_EARLY_RECORDS: usize = 4096;

/// Early data that waits for the server's word; without bytes: some was lost.
pub(super) struct Early {
    pub(super) offset: u64,
    pub(super) stamp: Stamp,
    pub(super) bytes: Vec<u8>,
}

impl Connection {
    /// Takes what a protected record holds.
    pub(super) fn read(
        &mut self,
        flow: &Flow,
        place: Place<'_>,
        hit: Hit,
        plain: &[u8],
        give: &mut Give<'_>,
    ) {
        let side = place.side;
        let content = plain.get(..hit.opened.len).unwrap_or_default();
        let direction = &mut self.directions[side.index()];
        let lost = std::mem::take(&mut direction.lost);
        direction.failures = 0;
        (direction.has_records, direction.is_out_of_step) = (true, false);
        let is_tls12 = self.handshake.version == Some(Version::TLS12);
        if lost > 0 && self.handshake.has_early_data && self.handshake.client == Some(side) {
            self.lose_early(place);
        }
        match hit.opened.content_type {
            ContentType::ApplicationData
                if hit.stage == Stage::Early && self.handshake.takes_early_data == Some(true) =>
            {
                self.pass_early(flow, give);
                self.speak(flow, place, hit.lead, content, !self.has_unread_early, give);
            }
            ContentType::ApplicationData if hit.stage == Stage::Early => {
                let kept: usize = self.early.iter().map(|early| early.bytes.len()).sum();
                self.is_early_cut |=
                    kept + content.len() > MAX_EARLY || self.early.len() >= MAX_EARLY_RECORDS;
                if !self.is_early_cut && !content.is_empty() {
                    let (offset, stamp) = (place.start, stamp_at(place.marks, place.start, place.origin));
                    self.early.push(Early { offset, stamp, bytes: content.to_vec() });
                }
            }
            ContentType::ApplicationData => {
                self.pass_early(flow, give);
                // The end of the handshake is record 0 of TLS 1.2.
                let has_missed = self.has_unread_early
                    && self.handshake.client == Some(side)
                    && self.handshake.takes_early_data != Some(false);
                let is_first = lost < UNKNOWN_LOSS && hit.number <= u64::from(is_tls12) && !has_missed;
                self.speak(flow, place, hit.lead, content, is_first, give);
            }
            ContentType::Handshake if !is_tls12 => {
                // Whoever sends tickets has accepted the handshake.
                self.handshake.is_settled |=
                    hit.stage == Stage::Traffic && self.handshake.client != Some(side);
                self.messages(side, content, Some(hit.stage));
                self.pass_early(flow, give);
            }
            ContentType::Alert => match content {
                [_, 0] => _ = self.ended.get_or_insert((side, false)),
                [_, alert] => self.note_alert(side, Some(*alert)),
                _ => {}
            },
            ContentType::Handshake => self.messages(side, content, None),
            // After a second handshake, this side's next record has the keys of that.
            ContentType::ChangeCipherSpec if is_tls12 => self.directions[side.index()].fixed = None,
            ContentType::ChangeCipherSpec => {}
        }
    }

    /// The client's bytes before the record at hand were lost, and may have held early data.
    fn lose_early(&mut self, place: Place<'_>) {
        if self.directions[place.side.index()].has_spoken {
            return;
        }
        if self.early.is_empty() {
            self.has_unread_early = true;
        } else {
            let (offset, stamp) = (place.start, stamp_at(place.marks, place.start, place.origin));
            self.early.push(Early { offset, stamp, bytes: Vec::new() });
        }
    }

    /// Gives early data on, or forgets it, once it is known whether the server takes it: rejected data is sent again.
    pub(super) fn pass_early(&mut self, flow: &Flow, give: &mut Give<'_>) {
        if self.early.is_empty() {
            return;
        }
        let Some(client) = self.handshake.client else { return };
        let is_past = self.directions[client.index()].epochs.is_past_early();
        match self.handshake.takes_early_data {
            None if !is_past => {}
            Some(true) => {
                let mut last = Stamp::default();
                for Early { offset, stamp, bytes } in std::mem::take(&mut self.early) {
                    if bytes.is_empty() {
                        self.say_gap(client, stamp, give);
                    }
                    let place = Place { side: client, start: offset, marks: &[], origin: stamp };
                    self.speak(flow, place, 0, &bytes, !self.has_unread_early, give);
                    last = stamp;
                }
                if std::mem::take(&mut self.is_early_cut) {
                    self.say_gap(client, last, give);
                }
            }
            None | Some(false) => self.early = Vec::new(),
        }
    }

    /// Gives application data on.
    pub(super) fn speak(
        &mut self,
        flow: &Flow,
        place: Place<'_>,
        lead: usize,
        content: &[u8],
        is_first: bool,
        give: &mut Give<'_>,
    ) {
        let Place { side, start, marks, origin } = place;
        let direction = &mut self.directions[side.index()];
        if !direction.has_spoken {
            direction.has_spoken = true;
            self.inner.from_start[side.index()] = is_first;
        }
        if content.is_empty() {
            return;
        }
        // The place of each byte is that of the byte of ciphertext that it comes from.
        let begin = start + (record::HEAD + lead) as u64;
        let end = begin + content.len() as u64;
        let origins = &mut self.inner.origins[side.index()];
        let sequence = |offset: u64| flow.origin(side, offset, origin).sequence;
        let first = stamp_at(marks, start, origin);
        let (mut at, mut stamp) = (begin, first);
        for mark in marks.iter().filter(|mark| mark.offset > begin && mark.offset < end) {
            origins.push(sequence(at), mark.offset - at, stamp);
            (at, stamp) = (mark.offset, mark.stamp);
        }
        origins.push(sequence(at), end - at, stamp);
        let needed = give(&self.inner, side, Chunk::Data(content), first);
        self.inner.origins[side.index()].release(needed);
    }
}
