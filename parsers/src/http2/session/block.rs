//! Header blocks: one frame, or HEADERS and its CONTINUATION frames (RFC 9113, section 4.3).

use super::super::frame::{self, Head};
use super::super::hpack::Place;
use super::super::streams::{HeaderBlock, Span};
use super::Connection;
use crate::error::Layer;
use crate::event::Side;
use crate::protocol::Emit;
use crate::session::At;

/// Longest header block collected, over all its frames.
pub(super) const BLOCK_LIMIT: usize = 1024 * 1024;

/// Most CONTINUATION frames of a header block: a flood of empty ones is no block.
pub(super) const CONTINUATION_LIMIT: u32 = 4096;

/// A header block of several frames.
#[derive(Debug)]
pub(super) struct Collected {
    /// The frame that began it.
    pub(super) head: Head,
    pub(super) start: u64,
    pub(super) bytes: u64,
    pub(super) fragments: Vec<u8>,
    pub(super) continuations: u32,
    /// Not to be read any more; only its end is waited for.
    pub(super) dropped: bool,
}

impl Connection {
    pub(super) fn begin_block(&mut self, side: Side, head: Head, start: u64) {
        self.direction(side).block = Some(Collected {
            head,
            start,
            bytes: 0,
            fragments: Vec::new(),
            continuations: 0,
            dropped: false,
        });
    }

    /// Takes a frame with a header block, if all of the block is in it; says whether it is.
    #[expect(
        clippy::inline_always,
        reason = "the frame's head then stays in registers where frames are told apart"
    )]
    #[inline(always)]
    pub(super) fn read_whole_block(
        &mut self,
        side: Side,
        head: Head,
        start: u64,
        payload: &[u8],
        emit: &mut Emit<'_>,
    ) -> bool {
        if head.kind != frame::CONTINUATION
            && head.has(frame::END_HEADERS)
            && let Ok(range) = frame::parse_fragment(head, payload)
        {
            let span = Span { side, start, bytes: head.size() };
            let fragment = payload.get(range).unwrap_or_default();
            self.read_block(side, head.stream_of_block(), span, fragment, false, emit);
            return true;
        }
        false
    }

    /// Takes a part of a header block of several frames, or what can be no such part.
    pub(super) fn collect_fragment(
        &mut self,
        side: Side,
        head: Head,
        start: u64,
        payload: &[u8],
        emit: &mut Emit<'_>,
    ) {
        let fragment =
            frame::parse_fragment(head, payload).map(|range| payload.get(range).unwrap_or_default());
        if head.kind != frame::CONTINUATION {
            self.begin_block(side, head, start);
        }
        let Some(block) = &mut self.direction(side).block else { return };
        block.bytes += head.size();
        block.continuations += u32::from(head.kind == frame::CONTINUATION);
        let fault = match fragment {
            Err(what) => Some(what),
            Ok(fragment) if block.fragments.len() + fragment.len() > BLOCK_LIMIT => {
                Some("header block over the limit")
            }
            Ok(_) if block.continuations > CONTINUATION_LIMIT => Some("too many CONTINUATION frames"),
            Ok(fragment) => {
                if !block.dropped {
                    block.fragments.extend_from_slice(fragment);
                }
                None
            }
        };
        if let Some(what) = fault
            && !block.dropped
        {
            self.complain(Layer::Header, 0, what);
            self.give_up_block(side, emit);
        }
        self.end_block(side, head, emit);
    }

    /// Reads the collected block if `head` is its last frame.
    pub(super) fn end_block(&mut self, side: Side, head: Head, emit: &mut Emit<'_>) {
        if !head.has(frame::END_HEADERS) {
            return;
        }
        let Some(block) = self.direction(side).block.take() else { return };
        if !block.dropped {
            let span = Span { side, start: block.start, bytes: block.bytes };
            self.read_block(side, block.head.stream_of_block(), span, &block.fragments, false, emit);
        }
    }

    /// The rest of the collected block can't be read: its stream gets what is there, and its frames to come are skipped.
    #[cold]
    #[inline(never)]
    pub(super) fn give_up_block(&mut self, side: Side, emit: &mut Emit<'_>) {
        let Some(mut block) = self.direction(side).block.take().filter(|block| !block.dropped) else {
            return;
        };
        let span = Span { side, start: block.start, bytes: block.bytes };
        let fragments = std::mem::take(&mut block.fragments);
        self.read_block(side, block.head.stream_of_block(), span, &fragments, true, emit);
        block.dropped = true;
        self.direction(side).block = Some(block);
    }

    /// Reads the header block of a stream ([`Head::stream_of_block`]), of which the end is missing if `cut`.
    pub(super) fn read_block(
        &mut self,
        side: Side,
        stream: Option<(u32, bool)>,
        span: Span,
        fragments: &[u8],
        cut: bool,
        emit: &mut Emit<'_>,
    ) {
        if cut {
            self.direction(side).speculative = None;
        }
        let read = self.decode(side, stream, fragments);
        if cut {
            self.direction(side).decoder.lose();
        } else if let Err(error) = read {
            self.faults.note(error);
            if self.answers(side) {
                self.watch.undecodable(At { side, offset: span.start }, emit);
            }
        }
        if let Some((id, end_stream)) = stream {
            if !cut && read.is_ok() && self.streams.client() == Some(side.other()) {
                let place = match end_stream {
                    false => Place::Head,
                    true if self.streams.awaits_trailers(id) => Place::Trailers,
                    true => Place::End,
                };
                self.direction(side).decoder.find_names(fragments, place);
            }
            let list = side.of(&self.directions).decoder.list(fragments);
            let block = HeaderBlock { span, end_stream, list, cut: cut || read.is_err() };
            self.streams.block(id, block, emit);
        }
    }
}
