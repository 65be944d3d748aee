//! Thrift messages one after the other without any length (`TBufferedTransport`, Kitex `PurePayload`): each ends where its
//! struct ends.
//!
//! Source: `doc/specs/thrift-rpc.md` of Apache Thrift, "Framed vs. unframed transport".

use super::input::{Input, Peers};
use crate::error::{Layer, ParseResult, incomplete, placed, wrong};
use crate::event::Transport;
use crate::framed::Parsed;
use crate::thrift::message::parse_message;
use crate::thrift::probe::{Verdict, probe_message};
use crate::thrift::skip::StructFormat;
use crate::thrift::types::Encoding;

pub(super) fn parse<'a>(
    peers: &mut Peers,
    input: Input<'a>,
    _unpacked: &'a mut Vec<u8>,
) -> ParseResult<Parsed<'a>> {
    let envelope = parse_message(input.bytes)?;
    if let Some(needed) = envelope.wanted().filter(|_| !input.cut) {
        return incomplete(needed.saturating_sub(input.bytes.len()));
    }
    let format = match envelope.encoding {
        Encoding::Binary | Encoding::OldBinary => StructFormat::Binary,
        Encoding::Compact => StructFormat::Compact,
        Encoding::Json | Encoding::KitexProtobuf => {
            return wrong(input.bytes, "message without a frame")
                .map_err(|error| placed(error, Layer::Payload, input.bytes));
        }
    };
    peers.learn(input.side, envelope.message_type);
    Ok(Parsed::Unsized { event: envelope.event(Transport::Buffered), head: envelope.body, format })
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    probe_message(input, None)
}
