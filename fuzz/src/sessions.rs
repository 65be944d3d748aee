//! Detection and sessions of the protocols.
//!
//! Input: `flags`, then pieces of `op │ length 2 │ bytes`. The flags say how the connection began, and whether detection (16) and
//! trees of fields (8) are tried too, which take most of the time, and whether bodies (32) or the places of their bytes (64) are asked for.
//! The lowest bit of the op is the side; the others say whether the bytes are stream data
//! or a datagram, or that bytes are lost, or the side ends, or memory is scarce.

use std::fmt::{self, Write as _};

use rpcscope_parsers::{Detection, Event, Opening, Protocol, Side, protocol};

use crate::bytes::Input;

/// The lines of the protocol registry, each with a target of its own.
pub const PROTOCOLS: [&str; 9] =
    ["http2", "trpc", "http1", "ttheader", "mesh-header", "theader", "ttwitter", "framed", "buffered"];

/// Offsets that a session may look back, as the tests that every protocol inherits have it (`HELD_LIMIT` there).
const HELD_LIMIT: usize = 4 * 1024 * 1024;

fn side(bit: u8) -> Side {
    if bit & 1 == 0 { Side::A } else { Side::B }
}

fn find(name: &str) -> &'static dyn Protocol {
    let all = rpcscope_parsers::all();
    let names = all.iter().map(|protocol| protocol.name());
    assert!(names.eq(PROTOCOLS), "every protocol of the registry has a target");
    *all.iter().find(|protocol| protocol.name() == name).expect("a protocol of the registry")
}

/// The largest body that is asked for.
const BODY_LIMIT: usize = 16 * 1024;

/// Adds up how long a text is, without keeping it.
struct Length<'a>(&'a mut usize);

impl fmt::Write for Length<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        *self.0 += text.len();
        Ok(())
    }
}

/// Reads all that an event refers to.
fn visit(event: &Event<'_>, sent: [u64; 2], from: Side) {
    let at = sent[from.index()];
    assert!(event.start() <= at, "{:?} of {from:?} begins at {} of {sent:?}", event.kind(), event.start());
    let mut octets = 0;
    if let Event::BodyPiece(piece) = event {
        assert!(piece.at + piece.bytes.len() as u64 <= at, "a piece of {from:?} ends behind {sent:?}");
    }
    if let Some(headers) = event.headers() {
        headers.each(&mut |name, value| octets += name.len() + value.len());
        headers.each_field(&mut |_, _| octets += 1);
    }
    if let Some(names) = event.names() {
        for text in [names.service, names.method, names.caller, names.callee].into_iter().flatten() {
            octets += text.decode().len();
        }
    }
    if let Event::Answer(answer) = event {
        _ = write!(Length(&mut octets), "{:?}", answer.status);
    }
    if let Event::Foreign(foreign) = event
        && let Some(answer) = &foreign.answer
    {
        _ = write!(Length(&mut octets), "{answer}");
    }
    std::hint::black_box(octets);
}

fn check_fields(fields: &[protocol::Field], len: usize, depth: usize) {
    assert!(depth < 256, "a tree without end");
    for field in fields {
        let (start, end) = field.range;
        assert!(start <= end && end <= len, "{} is at {start}..{end} of {len} bytes", field.name);
        check_fields(&field.children, len, depth + 1);
    }
}

/// A connection of the protocol, whatever its bytes are.
pub fn session(name: &str, data: &[u8]) {
    let protocol = find(name);
    let mut input = Input(data);
    let flags = input.u8();
    let mut session = protocol.session();
    if flags & 32 != 0 {
        session.collect_bodies(BODY_LIMIT);
    }
    if flags & 64 != 0 {
        session.mark_bodies();
    }
    let mut sent = [0_u64; 2];
    let mut opening = [Vec::new(), Vec::new()];
    let mut ended = [false; 2];
    while !input.is_empty() {
        let op = input.u8();
        let from = side(op);
        let len = usize::from(input.u16());
        if ended[from.index()] {
            input.take(len);
            continue;
        }
        match op >> 1 & 15 {
            0 => {
                sent[from.index()] += len as u64;
                session.gap(from, Some(len as u64), &mut |side, event| visit(event, sent, side));
            }
            1 => session.gap(from, None, &mut |side, event| visit(event, sent, side)),
            2 => {
                ended[from.index()] = true;
                session.end(from, &mut |side, event| visit(event, sent, side));
            }
            4 => session.shrink(),
            3 => {
                let bytes = input.take(len);
                sent[from.index()] += bytes.len() as u64;
                session.datagram(from, bytes, &mut |side, event| visit(event, sent, side));
            }
            _ => {
                let bytes = input.take(len);
                sent[from.index()] += bytes.len() as u64;
                if opening[from.index()].len() < protocol::DETECT_LIMIT {
                    opening[from.index()].extend_from_slice(bytes);
                }
                if flags & 8 != 0 {
                    check_fields(&protocol.dissect(from, bytes), bytes.len(), 0);
                }
                session.data(from, bytes, &mut |side, event| visit(event, sent, side));
            }
        }
        let held = session.held(from) as u64;
        assert!(held <= sent[from.index()].min(HELD_LIMIT as u64), "{held} of {sent:?} bytes are held");
    }
    for side in [Side::A, Side::B] {
        if !ended[side.index()] {
            session.end(side, &mut |side, event| visit(event, sent, side));
        }
    }
    std::hint::black_box((session.trouble(), session.unread(), session.client()));
    if flags & 16 != 0 {
        detect(&opening, flags);
    }
}

/// Every protocol is asked of every opening, since a connection shows its bytes to all of them.
fn detect(bytes: &[Vec<u8>; 2], flags: u8) {
    let bytes = [&bytes[0][..], &bytes[1][..]].map(|bytes| &bytes[..bytes.len().min(protocol::DETECT_LIMIT)]);
    let opening = Opening { bytes, from_start: [flags & 1 == 0, flags & 2 == 0], datagram: flags & 4 != 0 };
    for protocol in rpcscope_parsers::all() {
        let first = protocol.detect(&opening);
        assert!(matches!(first, Detection::No | Detection::More | Detection::Yes));
        assert_eq!(first, protocol.detect(&opening), "{} says the same again", protocol.name());
    }
}
