//! Thrift with a length of four bytes before each message (`TFramedTransport`, Kitex `Framed`); the message may be of
//! Kitex Protobuf.
//!
//! Source: `doc/specs/thrift-rpc.md` of Apache Thrift, "Framed vs. unframed transport".

use crate::cursor::Cursor;
use crate::error::Layer;
use crate::message::Message;
use crate::protocol::{Field, Parsed};
use crate::thrift::dissect::{dissect_message, number};
use crate::thrift::forms::{Bytes, Sight, refusal};
use crate::thrift::payload::parse_bare;
use crate::thrift::sight::sight_message;
use crate::ttheader::header::LENGTH_LIMIT;

/// The shortest message: compact, with a name of one byte and an empty struct.
const LEAST: u32 = 6;

pub(crate) fn parse(bytes: Bytes<'_>) -> Parsed<'_> {
    let mut cursor = Cursor::new(bytes.input, Layer::Frame);
    let length = match cursor.u32() {
        Ok(length) => length,
        Err(trouble) => return refusal(trouble, false, u64::MAX),
    };
    let total = u64::from(length) + 4;
    let envelope = match parse_bare(cursor.rest(), length as usize) {
        Ok(envelope) => envelope,
        Err(trouble) => return refusal(trouble.shifted(4), bytes.cut, total),
    };
    if let Some(needed) = envelope.wanted().filter(|_| !bytes.cut) {
        return Parsed::Incomplete(needed + 4);
    }
    let mut message = Message { transport: "framed", ..Message::default() };
    envelope.copy_into(&mut message);
    Parsed::Message { message, bytes: total }
}

pub(crate) fn sight(input: &[u8]) -> Sight {
    let mut cursor = Cursor::new(input, Layer::Frame);
    match cursor.u32() {
        Ok(length) if !(LEAST..=LENGTH_LIMIT).contains(&length) => Sight::No,
        Ok(length) => sight_message(cursor.rest(), Some(length as usize)),
        // The upper half of the length alone can be too much.
        Err(_) if input.first().is_some_and(|first| u32::from(*first) > LENGTH_LIMIT >> 24) => Sight::No,
        Err(trouble) => trouble.into(),
    }
}

pub(crate) fn dissect(message: &[u8], base: usize) -> Vec<Field> {
    let mut fields = Vec::new();
    number(&mut fields, message, "length", base, 4);
    fields.extend(dissect_message(message, base + 4));
    fields
}
