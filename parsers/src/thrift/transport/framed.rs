//! Thrift with a length of four bytes before each message (`TFramedTransport`, Kitex `Framed`); the message may be of
//! Kitex Protobuf.
//!
//! ```text
//! length (4) | message
//! ```
//!
//! Source: `doc/specs/thrift-rpc.md` of Apache Thrift, "Framed vs. unframed transport".

use nom::Parser as _;
use nom::combinator::verify;
use nom::error::context;

use super::LENGTH_LIMIT;
use super::input::{Input, Peers};
use crate::bodies::BodySpan;
use crate::dissect::number;
use crate::error::{Layer, Parse, ParseResult, incomplete, placed};
use crate::event::Transport;
use crate::framed::Parsed;
use crate::number::be_u32;
use crate::protocol::Field;
use crate::thrift::dissect::dissect_message;
use crate::thrift::payload::parse_bare;
use crate::thrift::probe::{Verdict, probe_message};

/// The shortest message: compact, with a name of one byte and an empty struct.
const LEAST: u32 = 6;

/// The length of a frame that is believed.
fn plausible_length(input: &[u8]) -> Parse<'_, u32> {
    let plausible = |length: &u32| (LEAST..=LENGTH_LIMIT).contains(length);
    context("length over the limit", verify(be_u32, plausible)).parse(input)
}

pub(super) fn parse<'a>(
    peers: &mut Peers,
    input: Input<'a>,
    _unpacked: &'a mut Vec<u8>,
) -> ParseResult<Parsed<'a>> {
    let (message, length) = be_u32(input.bytes)?;
    let bytes = u64::from(length) + 4;
    let read = parse_bare(message, length as usize);
    let envelope = match &read {
        Ok(envelope) => envelope,
        Err(error) => return input.give_up(bytes, placed(error.clone(), Layer::Payload, input.bytes)),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !input.cut) {
        return incomplete(needed.saturating_sub(message.len()));
    }
    peers.learn(input.side, envelope.message_type);
    Ok(Parsed::Message { event: envelope.event(Transport::Framed), bytes })
}

pub(super) fn body(input: &[u8]) -> Option<BodySpan> {
    let (message, length) = be_u32(input).ok()?;
    let span = parse_bare(message, length as usize).ok()?.body_span()?;
    Some(span.moved(input.len() - message.len()))
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    match plausible_length(input) {
        Ok((message, length)) => probe_message(message, Some(length as usize)),
        // The upper byte of the length alone can be too much.
        Err(_) if input.first().is_some_and(|first| u32::from(*first) > LENGTH_LIMIT >> 24) => Verdict::No,
        Err(error) => error.into(),
    }
}

pub(super) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    fields.extend(dissect_message(message, base + 4));
    fields
}
