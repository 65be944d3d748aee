//! How a connection begins: preface, settings, an upgrade from HTTP/1.1, or somewhere in the middle.

use super::super::frame;
use super::super::grpc::Scanner;
use super::super::hpack::Decoder;
use super::super::streams::{Block, Place};
use super::super::upgrade::{self, Opening};
use super::{Http2Session, Phase};
use crate::message::Side;
use crate::protocol::Emit;

/// A request that asked for HTTP/2 and waits for the answer to that.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) client: Side,
    pub(super) request: upgrade::Request,
    pub(super) place: Place,
    pub(super) body: u64,
    pub(super) messages: u32,
    pub(super) scanner: Scanner,
}

impl Http2Session {
    /// Tells from the first bytes how the connection begins. `None` if more are needed.
    pub(super) fn read_start(&mut self, side: Side, input: &[u8]) -> Option<usize> {
        if frame::PREFACE.starts_with(input) && input.len() < frame::PREFACE.len() {
            return None;
        }
        if input.starts_with(frame::PREFACE) {
            self.streams.begin(side);
            self.streams.set_in_step(side, true);
            self.lane(side).phase = Phase::Frames;
            return Some(frame::PREFACE.len());
        }
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.client != side) {
            return self.read_switch(side, input);
        }
        if input.first().is_some_and(u8::is_ascii_uppercase) {
            return match upgrade::parse_request(input) {
                Opening::More => None,
                Opening::No => {
                    self.lane(side).phase = Phase::Dead;
                    Some(0)
                }
                Opening::Yes(request, size) => {
                    let place = Place { side, start: self.lane(side).offset, bytes: size as u64 };
                    let scanner = if request.chunked { Scanner::Foreign } else { Scanner::START };
                    let upgrade = Upgrade { client: side, request, place, body: 0, messages: 0, scanner };
                    self.upgrade = Some(Box::new(upgrade));
                    self.lane(side).phase = Phase::Upgrading;
                    Some(size)
                }
            };
        }
        // The server's beginning are its settings (RFC 9113, section 3.4).
        let head = frame::parse_head(input)?;
        if head.kind == frame::SETTINGS && !head.has(frame::ACK) && head.check().is_ok() {
            self.streams.set_in_step(side, true);
            self.lane(side).phase = Phase::Frames;
            return Some(0);
        }
        self.lane(side).decoder = Decoder::lost();
        self.lane(side).phase = Phase::Lost;
        Some(0)
    }

    /// Lets the body of an upgrading request pass, up to the preface.
    pub(super) fn read_body(&mut self, side: Side, input: &[u8]) -> Option<usize> {
        let found = memchr::memmem::find(input, frame::PREFACE);
        // The preface may begin in the last bytes.
        let open = (1..frame::PREFACE.len().min(input.len() + 1))
            .rev()
            .find(|tail| input.ends_with(frame::PREFACE.get(..*tail).unwrap_or_default()))
            .unwrap_or(0);
        let body = found.unwrap_or(input.len() - open);
        if let Some(upgrade) = &mut self.upgrade {
            upgrade.body += body as u64;
            upgrade.messages += upgrade.scanner.feed(input.get(..body).unwrap_or_default());
        }
        if found.is_some() {
            self.lane(side).phase = Phase::Frames;
            return Some(body + frame::PREFACE.len());
        }
        (body > 0).then_some(body)
    }

    /// Reads the answer to an upgrading request.
    pub(super) fn read_switch(&mut self, side: Side, input: &[u8]) -> Option<usize> {
        match upgrade::parse_answer(input) {
            Opening::More => None,
            Opening::Yes(101, size) => {
                self.streams.set_in_step(side, true);
                self.lane(side).phase = Phase::Frames;
                Some(size)
            }
            // Other interim answers, `100 Continue` among them, may come before.
            Opening::Yes(100..=199, size) => Some(size),
            Opening::Yes(..) | Opening::No => {
                self.upgrade = None;
                self.lanes.iter_mut().for_each(|lane| lane.phase = Phase::Dead);
                Some(input.len())
            }
        }
    }

    /// The server switches to HTTP/2: the request that asked for it becomes stream 1 (RFC 7540, section 3.2).
    pub(super) fn switch(&mut self, upgrade: &Upgrade, emit: &mut Emit<'_>) {
        let Upgrade { client, request, place, .. } = upgrade;
        self.streams.begin(*client);
        if let Some(size) = request.table_size {
            self.lane(client.other()).decoder.allow(size);
        }
        let place = Place { start: self.streams.clip(*client, place.start), ..*place };
        let block = Block { place, end_stream: upgrade.body == 0, list: request.fields.list(), cut: false };
        self.streams.block(1, block, emit);
        if upgrade.body > 0 {
            let start = self.streams.clip(*client, place.start + place.bytes);
            let body = Place { start, bytes: upgrade.body, ..place };
            self.streams.data_ends(1, body, true, upgrade.messages, emit);
        }
    }
}
