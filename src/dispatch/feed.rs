//! How chunks come to a session, and what it saw of them to whoever takes it.

use rpcscope_parsers::event::Foreign;
use rpcscope_parsers::{Event, Session, Side};

use super::{Base, Take};
use crate::flow::{Chunk, Flow, GapReason, Origin, Stamp};

/// Hands a chunk to a session and its messages on; returns the offset of the first byte of `side` that a later message may
/// begin with.
pub(super) fn feed(
    session: &mut dyn Session,
    base: Base,
    flow: &Flow,
    side: Side,
    chunk: Chunk<'_>,
    origin: Stamp,
    take: &mut Take<'_>,
) -> u64 {
    feed_here(session, &base, flow, side, chunk, origin, take)
}

/// The same where nearly all chunks come by.
#[expect(
    clippy::inline_always,
    reason = "its eight arguments, and what kind of chunk it is, then stay in registers"
)]
#[inline(always)]
pub(super) fn feed_here<T: FnMut(Side, &Event<'_>, Origin) + ?Sized>(
    session: &mut dyn Session,
    base: &Base,
    flow: &Flow,
    side: Side,
    chunk: Chunk<'_>,
    origin: Stamp,
    take: &mut T,
) -> u64 {
    let mut emit = move |from: Side, event: &Event<'_>| {
        let offset = base.start[from.index()] + event.start();
        // What came before may explain it: an answer, or a request in the answer's own language.
        if let Event::Foreign(Foreign { start, .. }) = event
            && base.whole != [true, true]
        {
            return take_lost(take, from, *start, flow, offset, &origin);
        }
        match flow.origins[from.index()].recent(offset, origin) {
            Some(origin) => take(from, event, origin),
            None => take_older(take, from, event, flow, offset, &origin),
        }
    };
    match chunk {
        Chunk::Data(bytes) => session.data(side, bytes, &mut emit),
        Chunk::Datagram { bytes, .. } => session.datagram(side, bytes, &mut emit),
        Chunk::Gap { bytes, reason } => {
            session.gap(side, (reason != GapReason::Sealed).then_some(bytes), &mut emit);
        }
        Chunk::End(_) => session.end(side, &mut emit),
    }
    needed(session, base, side)
}

/// Takes an event that began in a chunk before the last one. Apart, so that nothing is saved for the search.
#[cold]
#[inline(never)]
fn take_older<T: FnMut(Side, &Event<'_>, Origin) + ?Sized>(
    take: &mut T,
    from: Side,
    event: &Event<'_>,
    flow: &Flow,
    offset: u64,
    origin: &Stamp,
) {
    take(from, event, flow.origin(from, offset, *origin));
}

/// Apart, because an event is large: every other one would make room for it.
#[cold]
#[inline(never)]
fn take_lost<T: FnMut(Side, &Event<'_>, Origin) + ?Sized>(
    take: &mut T,
    from: Side,
    start: u64,
    flow: &Flow,
    offset: u64,
    origin: &Stamp,
) {
    take(from, &Event::Lost { start }, flow.origin(from, offset, *origin));
}

/// Offset of the first byte of `side` that a later message of the session may begin with; behind the last one if there is none.
pub(super) fn needed(session: &dyn Session, base: &Base, side: Side) -> u64 {
    base.start[side.index()] + session.oldest(side)
}
