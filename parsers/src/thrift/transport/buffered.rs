//! Thrift messages one after the other without any length (`TBufferedTransport`, Kitex `PurePayload`): each ends where its
//! struct ends.
//!
//! Source: `doc/specs/thrift-rpc.md` of Apache Thrift, "Framed vs. unframed transport".

use super::input::{Input, Peers};
use crate::error::{Layer, ParseResult, incomplete, placed, wrong};
use crate::event::Transport;
use crate::framed::Parsed;
use crate::thrift::message::parse_message;
use crate::thrift::probe::{SKIPPED_ENOUGH, Verdict, probe_message};
use crate::thrift::skip::{Skipped, StructFormat, StructSkip};
use crate::thrift::types::Encoding;

/// How the struct of a message ends that has no length.
fn format_of(encoding: Encoding) -> Option<StructFormat> {
    match encoding {
        Encoding::Binary | Encoding::OldBinary => Some(StructFormat::Binary),
        Encoding::Compact => Some(StructFormat::Compact),
        Encoding::Json => Some(StructFormat::Json),
        Encoding::KitexProtobuf => None,
    }
}

pub(super) fn parse<'a>(
    peers: &mut Peers,
    input: Input<'a>,
    _unpacked: &'a mut Vec<u8>,
) -> ParseResult<Parsed<'a>> {
    let read = parse_message(input.bytes);
    let envelope = match &read {
        Ok(envelope) => envelope,
        Err(error) => return Err(error.clone()),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !input.cut) {
        return incomplete(needed.saturating_sub(input.bytes.len()));
    }
    let Some(format) = format_of(envelope.encoding) else {
        return wrong(input.bytes, "message without a frame")
            .map_err(|error| placed(error, Layer::Payload, input.bytes));
    };
    peers.learn(input.side, envelope.message_type);
    Ok(Parsed::Unsized { event: envelope.event(Transport::Buffered), head: envelope.body, format })
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    probe_message(input, None)
}

/// Decides whether a datagram is one message, no more and (unless it was cut) no less.
pub(super) fn probe_datagram(datagram: &[u8]) -> Verdict {
    // The old form has too little that is fixed.
    if !matches!(datagram.first(), Some(0x80 | 0x82)) {
        return Verdict::No;
    }
    match probe_message(datagram, Some(datagram.len())) {
        Verdict::Yes => {}
        _ => return Verdict::No,
    }
    let Ok(envelope) = parse_message(datagram) else { return Verdict::No };
    let Some(format) = format_of(envelope.encoding) else { return Verdict::No };
    let body = datagram.get(envelope.body..).unwrap_or_default();
    match StructSkip::new(format).advance(body) {
        Ok(Skipped::Done(end)) if end == body.len() => Verdict::Yes,
        // The rest was cut off.
        Ok(Skipped::More) if body.len() >= SKIPPED_ENOUGH => Verdict::Yes,
        _ => Verdict::No,
    }
}
