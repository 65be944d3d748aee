//! Thrift messages one after the other without any length (`TBufferedTransport`, Kitex `PurePayload`): the end of each is
//! where its struct ends.
//!
//! Source: `doc/specs/thrift-rpc.md` of Apache Thrift, "Framed vs. unframed transport".

use crate::cursor::Trouble;
use crate::error::{Error, Layer};
use crate::message::Message;
use crate::protocol::Parsed;
use crate::thrift::forms::{Bytes, Sight};
use crate::thrift::sight::sight_message;
use crate::thrift::walk::Walker;
use crate::thrift::{Encoding, parse_message};

pub(crate) fn parse(bytes: Bytes<'_>) -> Parsed<'_> {
    let envelope = match parse_message(bytes.input) {
        Ok(envelope) => envelope,
        Err(Trouble::Short(needed)) => return Parsed::Incomplete(needed),
        Err(Trouble::Wrong(error)) => return Parsed::Invalid(error),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !bytes.cut) {
        return Parsed::Incomplete(needed);
    }
    let walker = match envelope.encoding {
        Encoding::Binary | Encoding::OldBinary => Walker::binary(),
        Encoding::Compact => Walker::compact(),
        Encoding::Json | Encoding::KitexProtobuf => {
            return Parsed::Invalid(Error {
                offset: 0,
                layer: Layer::Payload,
                what: "message without a frame",
            });
        }
    };
    let head = envelope.body;
    let mut message = Message { transport: "buffered", ..Message::default() };
    envelope.copy_into(&mut message);
    Parsed::Walked { message, head, walker }
}

pub(crate) fn sight(input: &[u8]) -> Sight {
    sight_message(input, None)
}
