//! How a connection begins: preface, settings, an upgrade from HTTP/1.1, or somewhere in the middle.

use super::super::frame;
use super::super::grpc::Scanner;
use super::super::hpack::Decoder;
use super::super::resync::{self, Sight};
use super::super::streams::{HeaderBlock, Piece, Span};
use super::super::upgrade::{self, Opening};
use super::{Connection, Direction, Phase};
use crate::event::Side;
use crate::protocol::Emit;
use crate::session::{At, Need, Step, UNBOUNDED};

/// A request that asked for HTTP/2 and waits for the answer to that.
#[derive(Debug)]
pub(super) struct Upgrade {
    pub(super) client: Side,
    pub(super) request: upgrade::Request,
    pub(super) span: Span,
    pub(super) body: u64,
    pub(super) messages: u32,
    pub(super) scanner: Scanner,
}

impl Connection {
    /// Finds out from the first bytes how the connection begins.
    pub(super) fn read_start(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        let side = at.side;
        if frame::PREFACE.starts_with(input) && input.len() < frame::PREFACE.len() {
            return Step::Need(Need::Bytes(frame::PREFACE.len()));
        }
        if input.starts_with(frame::PREFACE) {
            self.preface = Some(side);
            self.streams.begin(side);
            self.begin_frames(side, emit);
            return Step::Done(frame::PREFACE.len());
        }
        if self.upgrade.as_ref().is_some_and(|upgrade| upgrade.client != side) {
            return self.read_switch(at, input, emit);
        }
        let answers = self.answers(side);
        if answers {
            let Self { watch, faults, .. } = self;
            if let Some(strange) = watch.first(at, input, faults, emit) {
                return self.leave(at, strange, emit);
            }
        }
        if !answers && input.first().is_some_and(u8::is_ascii_uppercase) {
            return match upgrade::parse_request(input) {
                Opening::More => Step::Need(Need::Bytes(input.len() + 1)),
                Opening::No => {
                    self.direction(side).be_foreign();
                    Step::Body(0, UNBOUNDED)
                }
                Opening::Yes(request, size) => {
                    let span = Span { side, start: at.offset, bytes: size as u64 };
                    let scanner = if request.chunked { Scanner::Foreign } else { Scanner::START };
                    let upgrade = Upgrade { client: side, request, span, body: 0, messages: 0, scanner };
                    self.upgrade = Some(Box::new(upgrade));
                    self.direction(side).phase = Phase::Upgrading;
                    Step::Done(size)
                }
            };
        }
        // A server begins with its settings (RFC 9113, section 3.4), of which nobody sets flags other than ACK.
        let head = match frame::parse_head(input) {
            Ok((_, head)) => head,
            Err(error) => return Step::Need(Need::Bytes(frame::needed(input, &error))),
        };
        if head.kind == frame::SETTINGS && head.flags == 0 && head.check().is_ok() {
            self.begin_frames(side, emit);
            return Step::Done(0);
        }
        if let Some(step) = self.other_language(at, input, head, true, emit) {
            return step;
        }
        self.enter_frames(side)
    }

    /// The side begins somewhere among its frames.
    fn enter_frames(&mut self, side: Side) -> Step {
        self.watch.lose(side);
        let direction = self.direction(side);
        direction.decoder = Decoder::lost();
        direction.phase = Phase::Frames;
        Step::Lost(0)
    }

    /// Lets the body of an upgrading request pass, up to the preface.
    #[inline(never)]
    pub(super) fn read_body(&mut self, side: Side, input: &[u8], emit: &mut Emit<'_>) -> Step {
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
            self.begin_frames(side, emit);
            return Step::Done(body + frame::PREFACE.len());
        }
        if body > 0 { Step::Done(body) } else { Step::Need(Need::Bytes(input.len() + 1)) }
    }

    /// Reads the answer to an upgrading request.
    fn read_switch(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) -> Step {
        let side = at.side;
        match upgrade::parse_answer(input) {
            Opening::More => Step::Need(Need::Bytes(input.len() + 1)),
            Opening::Yes(101, size) => {
                self.begin_frames(side, emit);
                Step::Done(size)
            }
            // Other interim answers, `100 Continue` among them, may come before.
            Opening::Yes(100..=199, size) => Step::Done(size),
            // The answer was not captured, only what followed it.
            Opening::No if resync::look(input, &|_| false, resync::ENOUGH) != Sight::No => {
                self.enter_frames(side)
            }
            Opening::Yes(..) | Opening::No => {
                self.upgrade = None;
                self.directions.iter_mut().for_each(Direction::be_foreign);
                Step::Body(0, UNBOUNDED)
            }
        }
    }

    /// The server switches to HTTP/2: the request that asked for it becomes stream 1 (RFC 7540, section 3.2).
    pub(super) fn switch(&mut self, upgrade: &Upgrade, emit: &mut Emit<'_>) {
        let Upgrade { client, request, span, .. } = upgrade;
        self.streams.begin(*client);
        if let Some(size) = request.table_size {
            self.direction(client.other()).decoder.allow(size);
        }
        let head = Span { start: self.streams.clip(*client, span.start), ..*span };
        let list = request.fields.list();
        let block = HeaderBlock { span: head, end_stream: upgrade.body == 0, list, cut: false };
        self.streams.block(1, block, emit);
        if upgrade.body > 0 {
            let start = self.streams.clip(*client, span.start + span.bytes);
            let body = Span { start, bytes: upgrade.body, ..*span };
            let ends = Some((body, true));
            let piece =
                Piece { side: *client, at: 0, begins: None, data: &[], ends, messages: upgrade.messages };
            self.streams.data(1, piece, emit);
        }
    }
}
