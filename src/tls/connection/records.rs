//! Records: which of them are protected, and which keys open them.

use std::sync::Arc;

use rpcscope_parsers::Side;
use rpcscope_parsers::tls::{ContentType, Label, Record, Version};

use super::super::direction::Mark;
use super::super::epoch::{Context, Hit, Miss, SEARCH, Stage};
use super::super::facts::{Alert, Reason};
use super::super::keys::Keys;
use super::handshake::Handshake;
use super::{Connection, Give, MAX_FAILURES, MAX_UNREAD_EARLY, Step, UNKNOWN_LOSS};
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

/// Whether a protected record of TLS 1.3 is as long as an alert: level, description, type, and the tag of its cipher.
fn is_sealed_alert(record: &Record<'_>) -> bool {
    matches!(record.fragment.len(), 19 | 11)
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
        // Each direction of TLS 1.3 has a secret of its own: where one is missing, the other still shows how the handshake ends.
        let is_tried = !self.only_looks || (!is_tls12 && self.handshake.client_random.is_some());
        let Some(keys) = self.keys.clone().filter(|_| is_tried) else {
            return self.unread(place.side, record);
        };
        let hit = if is_tls12 {
            self.open_tls12(&keys, place.side, record, plain)
        } else {
            self.open_tls13(&keys, place.side, record, plain)
        };
        if !matches!(hit, Err(Miss::NoSecret)) {
            // In TLS 1.2, each side's first protected record accepts what the other has said.
            self.handshake.is_settled |=
                is_tls12 && self.directions.iter().all(|direction| direction.has_sealed);
            self.directions[place.side.index()].has_sealed = true;
        }
        match hit {
            Ok(hit) if self.only_looks && self.ends_look(place.side, &hit) => self.give_up(),
            Ok(hit) => {
                // Searches may cost as much as what was read, and no more.
                self.budget = (self.budget + record.cost()).min(SEARCH);
                self.read(flow, place, hit, plain, give);
                Step::Done
            }
            Err(Miss::NoSecret) if self.only_looks => self.unread(place.side, record),
            Err(Miss::NoSecret) if keys.is_open() => {
                self.tried = keys.version();
                Step::Wait
            }
            Err(Miss::NoSecret) if self.directions.iter().any(|direction| direction.has_spoken) => {
                self.end_with(if is_tls12 { Reason::Renegotiated } else { Reason::NoLine });
                self.say_end(place.origin, give);
                Step::Over
            }
            Err(Miss::NoSecret) => self.unread(place.side, record),
            Err(Miss::Passed) if self.may_pass(place.side) => {
                let is_early = self.handshake.has_early_data && self.handshake.client == Some(place.side);
                self.has_unread_early |= is_early;
                self.lacks_early_line |= is_early;
                let direction = &mut self.directions[place.side.index()];
                direction.failures += 1;
                (direction.has_records, direction.is_out_of_step) = (true, false);
                Step::Done
            }
            Err(Miss::Passed | Miss::Wrong) => Step::Closed,
        }
    }

    /// Whether one more record of `side` may belong to a part of the handshake whose secret is not known. Early data may be many records: a
    /// server that refuses it logs no secret of it.
    fn may_pass(&self, side: Side) -> bool {
        let is_early = self.handshake.has_early_data && self.handshake.client == Some(side);
        let most = if is_early { MAX_UNREAD_EARLY } else { MAX_FAILURES };
        self.directions[side.index()].failures < most
    }

    /// A protected record for which there is no key. The rest of the handshake still shows whether it succeeds.
    fn unread(&mut self, side: Side, record: &Record<'_>) -> Step {
        let may_break_off = self.may_break_off();
        let is_tls12 = self.handshake.version == Some(Version::TLS12);
        let direction = &mut self.directions[side.index()];
        let is_first = !std::mem::replace(&mut direction.has_sealed, true);
        // One side alone would look as if the other were silent.
        self.only_looks = true;
        (direction.has_records, direction.is_out_of_step) = (true, false);
        // TLS 1.3 hides the type, but no other message is as short as an alert.
        let is_alert = if is_tls12 {
            record.head.content_type == ContentType::Alert
        } else {
            self.handshake.server_random.is_some()
                && !self.handshake.has_early_data
                && is_sealed_alert(record)
        };
        if is_first && may_break_off && is_alert {
            self.note_alert(side, None);
        }
        // The other side's part of the handshake may still come.
        let may_go_on = self.may_break_off()
            || (self.keys.is_none() && self.handshake.server_random.is_none())
            || self.may_be_refused();
        if may_go_on { Step::Done } else { self.give_up() }
    }

    /// Whether an alert that ends the handshake of TLS 1.3 may still come and be opened: the server checks what the client has sent last, its
    /// certificate, only after its own part, so that its alert has the keys of its application data.
    fn may_be_refused(&self) -> bool {
        let Handshake { client: Some(client), client_random: Some(random), is_settled: false, .. } =
            &self.handshake
        else {
            return false;
        };
        let server = &self.directions[client.other().index()];
        let knows = |keys: &Arc<Keys>| keys.find(random, Label::ServerTraffic).is_some();
        server.is_whole && self.keys.as_ref().is_some_and(knows)
    }

    /// Whether a record says, to who only looks, that the handshake has succeeded: application data, or what the server sends after it.
    fn ends_look(&self, side: Side, hit: &Hit) -> bool {
        match hit.opened.content_type {
            ContentType::ApplicationData => hit.stage == Stage::Traffic,
            ContentType::Handshake => hit.stage == Stage::Traffic && self.handshake.client != Some(side),
            _ => false,
        }
    }

    /// Notes an alert of `side`.
    pub(super) fn note_alert(&mut self, side: Side, number: Option<u8>) {
        let by_client = self.handshake.client == Some(side);
        self.facts.alert.get_or_insert(Alert { by_client, number });
    }

    /// A record that is not protected.
    pub(super) fn open_record(&mut self, side: Side, record: &Record<'_>) -> Step {
        if record.head.content_type != ContentType::Alert {
            // Whoever goes on has only warned.
            let by_client = self.handshake.client == Some(side);
            self.facts.alert = self.facts.alert.filter(|alert| alert.by_client != by_client);
        }
        let direction = &mut self.directions[side.index()];
        if !direction.has_records
            && matches!((record.head.content_type, record.fragment), (ContentType::Handshake, [1 | 2, ..]))
        {
            // Nothing of TLS comes before a hello.
            direction.lost = 0;
        }
        match (record.head.content_type, record.fragment) {
            (ContentType::ChangeCipherSpec, [1]) if self.handshake.version == Some(Version::TLS12) => {
                direction.is_protected = true;
                direction.lost = 0;
            }
            (ContentType::Alert, [1 | 2, 0]) => _ = self.ended.get_or_insert((side, false)),
            (ContentType::Alert, [1 | 2, alert]) => self.note_alert(side, Some(*alert)),
            (ContentType::ChangeCipherSpec, [1]) => {}
            (ContentType::Handshake, fragment) => self.messages(side, fragment, None),
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
        // One search leaves something to those that follow.
        let kept = *budget / 2;
        let mut part = *budget - kept;
        let direction = &mut directions[side.index()];
        let context = Context {
            keys,
            of_client: handshake.client.map(|client| client == side),
            random: handshake.client_random.as_ref(),
            suite: handshake.suite.or_else(|| direction.epochs.suite()),
        };
        let opened = direction.epochs.open(context, record, direction.lost, &mut part, plain);
        *budget = kept + part;
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
        let direction = &mut self.directions[side.index()];
        let fixed = direction.fixed.as_mut().ok_or(Miss::Wrong)?;
        let kept = self.budget / 2;
        let mut part = self.budget - kept;
        let hit = fixed.open(record, direction.lost, &mut part, plain);
        self.budget = kept + part;
        hit.ok_or(Miss::Wrong)
    }
}
