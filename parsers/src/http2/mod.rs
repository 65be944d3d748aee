//! HTTP/2 (RFC 9113) with gRPC on it.
//!
//! | part | file |
//! | --- | --- |
//! | frame heads and payloads | `frame.rs` |
//! | header compression (RFC 7541) | `hpack/` |
//! | header texts that are recognised | `known.rs` |
//! | frames, header blocks, gaps | `session/` |
//! | header tables after a gap | `session/speculative.rs` |
//! | where frames begin in unknown bytes | `resync.rs` |
//! | streams, and which of them are calls | `streams/` |
//! | content types, statuses, message boundaries | `grpc.rs` |
//! | `Upgrade: h2c` | `upgrade.rs` |
//! | error texts that quote a name | `quote.rs` |
//! | detail view | `dissect.rs` |
//!
//! A gRPC stream becomes an [`Open`](crate::Event::Open), a `Part` for each DATA frame, a `HalfClose` if the request does not end with
//! DATA, a `Begin`, and an `Answer` or `Reset`. Other traffic over HTTP/2 produces no events.
//!
//! # When the capture began in the middle
//!
//! HPACK refers to earlier header blocks, so a reader that comes late can't know everything. What this one promises:
//!
//! - Static entries and literals are exact. Whatever is inserted after the beginning is known from then on. When the sender
//!   empties its table, everything is known again.
//! - A gap between frames makes a table unknown, unless what follows proves that no header block was in it
//!   (`session/speculative.rs`): drops within large messages cost nothing.
//! - An entry from before is *unknown*, never guessed. Requests whose path is an unknown entry have an
//!   [`unknown_name`](crate::event::Open::unknown_name): equal numbers have the same path, for as long as the connection
//!   lives. The reverse does not hold: a path that left the table and came back is a literal and has its name.
//! - A status that may be in an unknown entry is [`GrpcCode::Unknown`](crate::event::GrpcCode). Where a status is readable
//!   but fields beside it are not, one of which could be Kitex' `biz-status`, the status is marked as `cut`.
//! - A request that can't be read is taken for a call when its DATA consists of gRPC messages, when the answer's content
//!   type or status proves it, or when other streams of the connection are calls and it ends like one.
//! - Of a stream whose request was not captured, only the answer or reset is emitted.
//!
//! # Names of unknown groups
//!
//! An entry of the dynamic table is identified by when it was inserted, so two references to the same entry are the same
//! text, and a name that is known for one call of a group is the name of all. There are two sources of such a name:
//!
//! - Kitex' `destination-method`, which the request carries beside its path and which may be a literal where the path is
//!   not. It is believed as long as no request of the connection has one that differs from its path (then somebody passes on
//!   the headers of its own caller).
//! - The answer of a server that has no such method. The texts of several libraries quote what was asked for;
//!   [`quoted`](crate::event::Answer::quoted) has it where the whole text is one of those, the status is the matching one, and
//!   the answer is a single header block, so that nothing was served before. It is evidence and no proof, because a callee
//!   may pass on an answer of its own callee. It must be presented as such, and not be used for a path that was ever served.
//!
//! A path that is only ever referred to has no name. What looks as if it could help does not:
//!
//! - A later literal path is no name for an older group. An encoder that still had the text in its table would have referred
//!   to it, so the literal is either another path or one that had left the table, and nothing shows which, or of which group.
//! - Sizes, times, other header fields and the methods of a service that were not seen otherwise are only statistics.
//! - Other connections have tables of their own.

mod dissect;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
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

pub(crate) use frame::error_name;
pub(crate) use grpc::{parse_status, parse_timeout};

use crate::event::Side;
use crate::protocol::{Detection, Field, Opening, Protocol, Session};

/// HTTP/2 and gRPC.
#[derive(Debug)]
pub struct Http2;

impl Protocol for Http2 {
    fn name(&self) -> &'static str {
        "http2"
    }

    fn without_calls(&self) -> &'static str {
        "HTTP/2 without RPC"
    }

    fn detect(&self, opening: &Opening<'_>) -> Detection {
        if opening.datagram {
            return Detection::No;
        }
        let [a, b] = opening.bytes;
        let [of_a, of_b] = opening.from_start;
        match (detect_side(a, of_a, b), detect_side(b, of_b, a)) {
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
    match upgrade::find_request(own) {
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
        // Empty, or with unknown settings: the client's preface decides, or the frames that follow.
        _ => match resync::look(own, &|_| false, resync::DETECT) {
            resync::Sight::Yes => Detection::Yes,
            resync::Sight::Maybe(_) | resync::Sight::No => Detection::More,
        },
    }
}
