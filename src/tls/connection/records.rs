//! Records: which of them are protected, and which keys open them.

use rpcscope_parsers::Side;
use rpcscope_parsers::tls::{ContentType, Record, Version};

use super::super::direction::Mark;
use super::super::epoch::{Context, Hit, Miss};
use super::super::keys::Keys;
use super::{Connection, Give, MAX_FAILURES, Step, UNKNOWN_LOSS};
use crate::flow::{Flow, Stamp};

/// Where a record stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) side: Side,
    /// Its first byte in the stream of its side.
    pub(super) start: u64,
    /// The packets that it came in.
    pub(super) marks: &'a [Mark],
    /// The packet that brought the chunk at hand.
    pub(super) origin: Stamp,
}

impl Connection {
    /// Reads a record.
    pub(super) fn record(
        &mut self,
        flow: &Flow,
        place: Place<'_>,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
        give: &mut Give<'_>,
    ) -> Step {
        let direction = &mut self.directions[place.side.index()];
        let is_tls12 = self.handshake.version == Some(Version::TLS12);
        let is_sealed = if is_tls12 {
            // Data that is not protected is never sent: the record that says so was lost.
            direction.is_protected |= record.head.content_type == ContentType::ApplicationData;
            direction.is_protected
        } else {
            record.head.content_type == ContentType::ApplicationData
        };
        if !is_sealed {
            return self.open_record(place.side, record);
        }
        let Some(keys) = self.keys.clone() else {
            // The other side's part of the handshake may still come.
            direction.has_records = true;
            direction.is_out_of_step = false;
            return if self.handshake.server_random.is_some() { self.give_up() } else { Step::Done };
        };
        let hit = if is_tls12 {
            self.open_tls12(&keys, place.side, record, plain)
        } else {
            self.open_tls13(&keys, place.side, record, plain)
        };
        match hit {
            Ok(hit) => {
                self.read(flow, place, hit, plain, give);
                Step::Done
            }
            Err(Miss::NoSecret) if keys.is_open() => {
                self.tried = keys.version();
                Step::Wait
            }
            Err(Miss::NoSecret) => self.give_up(),
            Err(Miss::Passed) if self.directions[place.side.index()].failures < MAX_FAILURES => {
                let direction = &mut self.directions[place.side.index()];
                direction.failures += 1;
                (direction.has_records, direction.is_out_of_step) = (true, false);
                Step::Done
            }
            Err(Miss::Passed | Miss::Wrong) => Step::Closed,
        }
    }

    /// A record that is not protected.
    pub(super) fn open_record(&mut self, side: Side, record: &Record<'_>) -> Step {
        let direction = &mut self.directions[side.index()];
        match (record.head.content_type, record.fragment) {
            (ContentType::ChangeCipherSpec, [1]) if self.handshake.version == Some(Version::TLS12) => {
                direction.is_protected = true;
                direction.lost = 0;
            }
            (ContentType::Alert, [1 | 2, alert @ (1..)]) => _ = self.facts.alert.get_or_insert(*alert),
            (ContentType::ChangeCipherSpec, [1]) | (ContentType::Alert, [1 | 2, 0]) => {}
            (ContentType::Handshake, fragment) => {
                let mut handshakes = std::mem::take(&mut direction.handshakes);
                handshakes.content(fragment, &mut |kind, body| self.message(side, kind, body, None));
                self.directions[side.index()].handshakes = handshakes;
            }
            _ if direction.is_out_of_step => return Step::Closed,
            // Neither of them: nothing that matters to what is read.
            _ => {}
        }
        let direction = &mut self.directions[side.index()];
        (direction.has_records, direction.is_out_of_step) = (true, false);
        if self.is_over { Step::Over } else { Step::Done }
    }

    pub(super) fn open_tls13(
        &mut self,
        keys: &Keys,
        side: Side,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Hit, Miss> {
        let Self { handshake, directions, budget, .. } = self;
        let direction = &mut directions[side.index()];
        let context = Context {
            keys,
            of_client: handshake.client.map(|client| client == side),
            random: handshake.client_random.as_ref(),
            suite: handshake.suite.or_else(|| direction.epochs.suite()),
        };
        let opened = direction.epochs.open(context, record, direction.lost, budget, plain);
        if opened.is_ok() || handshake.client_random.is_some() {
            return opened;
        }
        let from_start = direction.lost < UNKNOWN_LOSS;
        let Some((found, hit)) = direction.epochs.search(context, record, from_start, budget, plain) else {
            return Err(Miss::NoSecret);
        };
        handshake.client_random = Some(found.random);
        let client = if found.of_client { side } else { side.other() };
        handshake.client = Some(client);
        self.inner.opener.get_or_insert(client);
        self.facts.version.get_or_insert(Version::TLS13);
        let suite = self.directions[side.index()].epochs.suite();
        self.handshake.suite = self.handshake.suite.or(suite);
        self.facts.suite = self.facts.suite.or(suite.map(|suite| suite.number));
        Ok(hit)
    }

    pub(super) fn open_tls12(
        &mut self,
        keys: &Keys,
        side: Side,
        record: &Record<'_>,
        plain: &mut Vec<u8>,
    ) -> Result<Hit, Miss> {
        if self.directions[side.index()].fixed.is_none() {
            self.find_master(keys, side, record, plain)?;
        }
        let Self { directions, budget, .. } = self;
        let direction = &mut directions[side.index()];
        let fixed = direction.fixed.as_mut().ok_or(Miss::Wrong)?;
        fixed.open(record, direction.lost, budget, plain).ok_or(Miss::Wrong)
    }
}
