//! Thrift messages one after the other without any length (`TBufferedTransport`, Kitex `PurePayload`): each ends where its
//! struct ends.
//!
//! Source: `doc/specs/thrift-rpc.md` of Apache Thrift, "Framed vs. unframed transport".

use super::input::{Input, Peers};
use crate::error::{Layer, ParseResult, incomplete, placed, wrong};
use crate::framed::Parsed;
use crate::message::Message;
use crate::thrift::message::parse_message;
use crate::thrift::probe::{Verdict, probe_message};
use crate::thrift::skip::StructSkip;
use crate::thrift::types::Encoding;

pub(super) fn parse<'a>(_peers: &mut Peers, input: Input<'a>) -> ParseResult<Parsed<'a>> {
    let envelope = parse_message(input.bytes)?;
    if let Some(needed) = envelope.wanted().filter(|_| !input.cut) {
        return incomplete(needed.saturating_sub(input.bytes.len()));
    }
    let skip = match envelope.encoding {
        Encoding::Binary | Encoding::OldBinary => StructSkip::binary(),
        Encoding::Compact => StructSkip::compact(),
        Encoding::Json | Encoding::KitexProtobuf => {
            return wrong(input.bytes, "message without a frame")
                .map_err(|error| placed(error, Layer::Payload, input.bytes));
        }
    };
    let head = envelope.body;
    let mut message = Message { transport: "buffered", ..Message::default() };
    envelope.copy_into(&mut message);
    Ok(Parsed::Unsized { message, head, skip })
}

pub(super) fn probe(input: &[u8]) -> Verdict {
    probe_message(input, None)
}
