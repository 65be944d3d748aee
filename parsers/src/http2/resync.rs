//! Where frames begin in bytes of which nothing is known: after a gap, in the middle of a connection, and for detection.
//!
//! Frames have no magic number. But their heads have many bits that can have only few values, heads follow each other at
//! the distance that they state, and header blocks must be readable. Each frame that fits gives points for how much of it
//! can't be chance; a chain of frames is believed when it has enough of them.

use super::frame::{self, Head};
use super::hpack::{self, LiteralName, Representation};

/// Longest frame believed: what every peer takes without having said so (RFC 9113, section 4.2).
const FRAME_LIMIT: u32 = 16 * 1024;

/// Points that suffice where the connection is known to be HTTP/2.
pub(super) const ENOUGH: u32 = 4;

/// Points that a connection needs to be taken for HTTP/2: at least a header block and one more frame.
pub(super) const DETECT: u32 = 7;

/// Points that suffice for the last bytes of a side.
pub(super) const AT_END: u32 = 3;

/// Most settings in a frame that is believed.
const SETTINGS_LIMIT: u32 = 16;

/// Most pseudo-headers of a block: four of a request and `:protocol`.
const PSEUDO_LIMIT: u32 = 5;

/// Most frames of a chain that are looked at.
const CHAIN_LIMIT: usize = 64;

/// What a place looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// No frame begins here.
    No,
    /// Frames may begin here; the points so far.
    Maybe(u32),
    /// Frames begin here.
    Yes,
}

/// Looks whether frames begin at the beginning of `input`. `known` says of a stream number whether it is in use, `enough`
/// how many points are asked for.
pub(super) fn look(input: &[u8], known: &dyn Fn(u32) -> bool, enough: u32) -> Sight {
    let mut rest = input;
    let mut points = 0;
    // The stream of the DATA frame before, if one gRPC message filled it.
    let mut filled = None;
    for _ in 0..CHAIN_LIMIT {
        let Ok((after, head)) = frame::parse_head(rest) else { break };
        if !fits(head) {
            return Sight::No;
        }
        let Some((payload, next)) = after.split_at_checked(head.length as usize) else { break };
        match worth(head, payload, known) {
            None => return Sight::No,
            Some(more) => points += more,
        }
        let fills =
            head.kind == frame::DATA && !head.has(frame::PADDED) && payload.len() > 5 && is_message(payload);
        // One message after the other on the same stream.
        points += u32::from(fills && filled == Some(head.stream));
        filled = fills.then_some(head.stream);
        if points >= enough {
            return Sight::Yes;
        }
        rest = next;
    }
    Sight::Maybe(points)
}

/// The first place in `input` at which frames begin, or from where on that is still open.
pub(super) fn find(input: &[u8], known: &dyn Fn(u32) -> bool, enough: u32) -> Result<usize, usize> {
    for at in 0..input.len() {
        match look(input.get(at..).unwrap_or_default(), known, enough) {
            Sight::No => {}
            Sight::Maybe(_) => return Err(at),
            Sight::Yes => return Ok(at),
        }
    }
    Err(input.len())
}

/// The first place in `input` at which frames begin as far as these bytes alone tell: what is still open does not count.
pub(super) fn find_now(input: &[u8], known: &dyn Fn(u32) -> bool, enough: u32) -> Option<usize> {
    (0..input.len()).find(|at| look(input.get(*at..).unwrap_or_default(), known, enough) == Sight::Yes)
}

/// Whether a head can be one.
fn fits(head: Head) -> bool {
    let flags = head.flag_names().iter().fold(0, |all, (flag, _)| all | flag);
    let stream_fits = match head.kind {
        // A client's streams are odd, and those are all that RPCs use.
        frame::DATA | frame::HEADERS | frame::RST_STREAM => !head.stream.is_multiple_of(2),
        // A continuation alone says nothing of its block.
        frame::CONTINUATION => false,
        _ => true,
    };
    head.kind_name().is_some()
        && head.flags & !flags == 0
        && !head.reserved
        && head.length <= FRAME_LIMIT
        && stream_fits
        && head.check().is_ok()
}

/// Points for a whole frame; `None` if it can be none.
fn worth(head: Head, payload: &[u8], known: &dyn Fn(u32) -> bool) -> Option<u32> {
    let number = frame::parse_number(payload);
    match head.kind {
        frame::DATA => {
            let familiar = u32::from(known(head.stream));
            // A frame that one gRPC message fills.
            let message = !head.has(frame::PADDED) && is_message(payload);
            Some(1 + familiar + 2 * u32::from(message))
        }
        frame::HEADERS => {
            let fragment = payload.get(frame::parse_fragment(head, payload).ok()?)?;
            // The rest of a longer block can't be judged; such blocks are rare.
            if !head.has(frame::END_HEADERS) {
                return Some(0);
            }
            let points = block_worth(fragment, head.has(frame::END_STREAM))?;
            Some(points + u32::from(known(head.stream)))
        }
        frame::PRIORITY => Some(2),
        frame::RST_STREAM => number.filter(|code| *code <= frame::LAST_ERROR_CODE).map(|_| 3),
        frame::SETTINGS if head.has(frame::ACK) => Some(3),
        frame::SETTINGS => settings_fit(payload).then_some(if payload.is_empty() { 2 } else { 4 }),
        frame::PING => Some(4),
        frame::GOAWAY => {
            let (_, code, _) = frame::parse_goaway(payload)?;
            (code <= frame::LAST_ERROR_CODE).then_some(4)
        }
        frame::WINDOW_UPDATE => number.filter(|size| (1..1 << 31).contains(size)).map(|_| 3),
        _ => Some(0),
    }
}

/// Whether one gRPC message fills these bytes.
fn is_message(payload: &[u8]) -> bool {
    payload.split_first_chunk::<5>().is_some_and(|([flag, length @ ..], rest)| {
        *flag <= 1 && u32::from_be_bytes(*length) as usize == rest.len()
    })
}

/// Whether these are settings with values that they can have (RFC 9113, section 6.5.2).
pub(super) fn settings_fit(payload: &[u8]) -> bool {
    payload.len() as u32 <= SETTINGS_LIMIT * 6
        && frame::parse_settings(payload).all(|(id, value)| match id {
            2 | 8 | 9 => value <= 1,
            4 => value < 1 << 31,
            5 => (1 << 14..1 << 24).contains(&value),
            _ => frame::setting_name(id).is_some(),
        })
}

/// Points for a header block, read without a table; `None` if it can be none. A block without any pseudo-header is only
/// the end of a stream.
fn block_worth(mut block: &[u8], end_stream: bool) -> Option<u32> {
    let mut text = Vec::new();
    let mut pseudo = 0;
    let mut regular = 0;
    while !block.is_empty() {
        let (rest, representation) = hpack::parse_representation(block).ok()?;
        block = rest;
        let kind = match representation {
            Representation::Resize(size) if pseudo + regular == 0 && size as usize <= hpack::SIZE_LIMIT => {
                continue;
            }
            Representation::Resize(_) => return None,
            Representation::Indexed(index) => kind_of(index)?,
            Representation::Literal { name, value, .. } => {
                text.clear();
                let kind = match name {
                    LiteralName::Index(index) => kind_of(index)?,
                    LiteralName::Text(name) => {
                        name.decode(&mut text).ok()?;
                        let colon = text.first() == Some(&b':');
                        let token = text.get(usize::from(colon)..).unwrap_or_default();
                        let fits = |byte: &u8| {
                            byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && *byte != b':'
                        };
                        if token.is_empty() || !token.iter().all(fits) {
                            return None;
                        }
                        if colon { Kind::Pseudo } else { Kind::Regular }
                    }
                };
                // gRPC C-core sends binary metadata as they are to peers that take them.
                let binary = text.ends_with(b"-bin") || matches!(kind, Kind::Unknown);
                text.clear();
                value.decode(&mut text).ok()?;
                // Control characters can't stand in another value (RFC 9113, section 8.2.1), but for tabs.
                if !binary && text.iter().any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f) {
                    return None;
                }
                kind
            }
        };
        match kind {
            // Pseudo-headers come first (RFC 9113, section 8.3).
            Kind::Pseudo if regular > 0 => return None,
            Kind::Pseudo => pseudo += 1,
            Kind::Regular => regular += 1,
            Kind::Unknown => {}
        }
    }
    match pseudo {
        0 => end_stream.then_some(2),
        _ => (pseudo <= PSEUDO_LIMIT).then_some(4),
    }
}

/// What a field's name is.
enum Kind {
    Pseudo,
    Regular,
    Unknown,
}

/// What the name of an entry is; `None` if there can't be such an entry.
fn kind_of(index: u32) -> Option<Kind> {
    match hpack::fixed(index) {
        Some((name, ..)) => Some(if name.is_pseudo() { Kind::Pseudo } else { Kind::Regular }),
        None => ((index as usize) < hpack::SIZE_LIMIT / 32).then_some(Kind::Unknown),
    }
}
