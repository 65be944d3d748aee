//! HTTP/2 (RFC 9113) with gRPC on it.
//!
//! | part | file |
//! | --- | --- |
//! | frame heads and payloads | `frame.rs` |
//! | header compression (RFC 7541) | `hpack/` |
//! | bytes to frames, header blocks, gaps | `session/` |
//! | tables after a gap | `session/speculative.rs` |
//! | where frames begin when nothing says so | `resync.rs` |
//! | streams, and which of them are calls | `streams/` |
//! | content types, statuses, message boundaries | `grpc.rs` |
//! | `Upgrade: h2c` | `upgrade.rs` |
//! | texts that quote a name | `quote.rs` |
//! | detail view | `dissect.rs` |
//!
//! A gRPC stream gives [`Open`](crate::Kind::Open), `Part`s (one per DATA frame), `HalfClose`, `Begin`, and an
//! `Answer` or `Reset`. Other traffic over HTTP/2 gives nothing.
//!
//! # When the capture began in the middle
//!
//! HPACK refers to what was said before, so a reader who comes late can't know everything. What this one promises:
//!
//! - Static entries and literals are exact. What is inserted after the beginning is known from then on. When the sender
//!   empties its table, everything is known again.
//! - A gap between frames makes a table unknown, unless what follows shows that no header block can have stood in it
//!   (`session/speculative.rs`): drops within large messages cost nothing.
//! - An entry from before is *unknown*, never guessed. Requests whose path is an unknown entry come with
//!   [`unknown_name`](crate::Message::unknown_name): equal numbers have the same path, for as long as the connection lives.
//!   (Not the other way round: a path that left the table and came back is a literal then and has its name.)
//! - A status that may stand in an unknown entry is [`GrpcCode::Unknown`](crate::event::GrpcCode). Where a status is
//!   readable but fields beside it are not, one of which could be Kitex' `biz-status`, `Status::cut` says so.
//! - A request that can't be read is taken for a call when its DATA consists of gRPC messages, when the answer's content
//!   type or status says so, or when other streams of the connection are calls and it ends like one.
//! - Of a stream whose request was not captured at all only the answer or reset is told.
//!
//! # Names of unknown groups
//!
//! A reference to the dynamic table stands for an entry by when it was inserted, so two references to the same entry are
//! the same text, and a name that any one call of a group tells is the name of all. Two things tell one:
//!
//! - Kitex' `destination-method`, which the request carries beside its path and which may be a literal where the path is
//!   not. It is believed as long as no request of the connection carries one that differs from its path (then somebody
//!   passes on the headers of his own caller).
//! - The answer of a server that has no such method. The texts of several libraries quote what was asked for;
//!   [`quoted`](crate::Message::quoted) has it where the whole text is one of those, the status is the one that goes with
//!   it, and the answer is a single header block, so that nothing was served before. It is evidence and no proof, because a
//!   callee may pass on what its own callee said: who uses it has to say so, and must not use it for a path that was
//!   ever served.
//!
//! What nobody can do from the bytes is name a path that is only ever referred to. What looks as if it could help does not:
//!
//! - A later literal path is no name for an older group. An encoder that still had the text in its table would have
//!   referred to it, so the literal is either another path or one that had left the table; which of the two, and which of the
//!   groups it would be, nothing tells.
//! - Sizes, times, other header fields and what is left over once all other methods of a service have been seen are
//!   statistics.
//! - Other connections have tables of their own.

mod dissect;
mod frame;
mod grpc;
mod hpack;
mod known;
mod quote;
mod resync;
mod session;
mod streams;
mod upgrade;

#[cfg(test)]
mod tests;

use crate::event::Side;
use crate::protocol::{Detection, Field, Opening, Protocol, Session};

/// HTTP/2 and gRPC.
#[derive(Debug)]
pub struct Http2;

impl Protocol for Http2 {
    fn name(&self) -> &'static str {
        "http2"
    }

    fn detect(&self, opening: &Opening<'_>) -> Detection {
        if opening.datagram {
            return Detection::No;
        }
        let [a, b] = opening.bytes;
        let [a, b] = [(a, opening.from_start[0], b), (b, opening.from_start[1], a)]
            .map(|(own, from_start, other)| detect_side(own, from_start, other));
        match (a, b) {
            (Detection::Yes, _) | (_, Detection::Yes) => Detection::Yes,
            (Detection::More, _) | (_, Detection::More) => Detection::More,
            _ => Detection::No,
        }
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(session::Connection::session())
    }

    fn dissect(&self, _side: Side, message: &[u8]) -> Vec<Field> {
        dissect::dissect(message)
    }
}

/// What the bytes of one side say, beside those of the other.
fn detect_side(own: &[u8], from_start: bool, other: &[u8]) -> Detection {
    if own.is_empty() {
        return Detection::No;
    }
    if own.starts_with(frame::PREFACE) {
        return Detection::Yes;
    }
    if frame::PREFACE.starts_with(own) {
        return Detection::More;
    }
    match upgrade::parse_request(own) {
        upgrade::Opening::More => return Detection::More,
        upgrade::Opening::Yes(..) => return detect_switch(other),
        upgrade::Opening::No => {}
    }
    if !from_start {
        let unknown = |_| false;
        if resync::find_now(own, &unknown, resync::DETECT).is_some() {
            return Detection::Yes;
        }
        return match resync::look(own, &unknown, resync::DETECT) {
            // Both sides' frames together count as much as those of one.
            resync::Sight::Maybe(points) if points > 0 => {
                match resync::look(other, &unknown, resync::DETECT - points.min(resync::ENOUGH)) {
                    resync::Sight::Yes if points >= resync::ENOUGH => Detection::Yes,
                    _ => Detection::More,
                }
            }
            resync::Sight::Maybe(_) => Detection::More,
            _ => Detection::No,
        };
    }
    // A server may speak first, and what it says first are its settings.
    detect_settings(own, other)
}

/// What the answer to an upgrading request says.
fn detect_switch(answer: &[u8]) -> Detection {
    match upgrade::parse_answer(answer) {
        upgrade::Opening::More | upgrade::Opening::Yes(100, _) => Detection::More,
        upgrade::Opening::Yes(101, _) => Detection::Yes,
        _ => Detection::No,
    }
}

/// Whether a server's settings stand at the very beginning of `own`.
fn detect_settings(own: &[u8], other: &[u8]) -> Detection {
    let fixed = [Some(0), Some(0), None, Some(frame::SETTINGS), Some(0), Some(0), Some(0), Some(0), Some(0)];
    if own.iter().zip(fixed).any(|(byte, fixed)| fixed.is_some_and(|fixed| *byte != fixed)) {
        return Detection::No;
    }
    // The other side can only begin with the preface.
    if !other.is_empty() {
        return Detection::No;
    }
    let Ok((payload, head)) = frame::parse_head(own) else { return Detection::More };
    if head.check().is_err() || head.length > 16 * 6 {
        return Detection::No;
    }
    match payload.get(..head.length as usize) {
        Some(settings) if !settings.is_empty() && resync::settings_fit(settings) => Detection::Yes,
        // Empty, or with settings that nobody here knows: the client's preface will tell.
        _ => Detection::More,
    }
}
