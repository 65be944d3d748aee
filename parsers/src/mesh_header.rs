//! Kitex mesh header: string pairs before a message in another form.
//!
//! ```text
//! ff af | size (2) | count (2), { length (2), key, length (2), value }* | message
//! ```
//!
//! The size counts what follows it up to the message. Source: `pkg/remote/codec/header_codec.go` (`meshHeaderCodec`) of
//! github.com/cloudwego/kitex, which reads this header and never writes it.

use crate::cursor::{Cursor, Trouble};
use crate::error::{Error, Layer};
use crate::message::Message;
use crate::protocol::{Field, Parsed};
use crate::thrift::dissect::{field, hex, number, shown};
use crate::thrift::forms::{self, Bytes, Form, Peers, Sight};
use crate::ttheader::header::Fields;

const MAGIC: u16 = 0xffaf;

/// Bytes before the pairs' count.
const HEAD_SIZE: usize = 4;

/// Gives `each` the pairs with their ranges and says where the message behind them begins.
fn parse_pairs<'a>(
    input: &'a [u8],
    mut each: impl FnMut(&'a [u8], &'a [u8], (usize, usize)),
) -> Result<usize, Trouble> {
    let mut cursor = Cursor::new(input, Layer::Header);
    if cursor.u16()? != MAGIC {
        return Err(cursor.wrong("not the magic number of the mesh header"));
    }
    let end = HEAD_SIZE + usize::from(cursor.u16()?);
    for _ in 0..cursor.u16()? {
        let start = cursor.offset();
        let (key, value) = (cursor.bytes16()?, cursor.bytes16()?);
        if cursor.offset() > end {
            return Err(cursor.wrong("pairs longer than the header"));
        }
        each(key, value, (start, cursor.offset()));
    }
    if input.len() < end {
        return Err(Trouble::Short(end));
    }
    Ok(end)
}

/// Gives what the header says to the message behind it, which begins `base` bytes later.
fn wrap<'a>(message: &mut Message<'a>, fields: Fields<'a>) {
    message.transport = "mesh-header";
    message.service = message.service.take().or(fields.service);
    message.status.biz = message.status.biz.take().or(fields.biz);
}

pub(crate) fn parse<'a>(peers: &mut Peers, bytes: Bytes<'a>) -> Parsed<'a> {
    let mut fields = Fields::default();
    let base = match parse_pairs(bytes.input, |key, value, _| fields.set_string(key, value)) {
        Ok(base) => base,
        Err(Trouble::Short(needed)) => return Parsed::Incomplete(needed),
        Err(Trouble::Wrong(error)) => return Parsed::Invalid(error),
    };
    let inner = bytes.after(base);
    if matches!(Form::of(inner.input), Ok(Form::MeshHeader)) {
        return Parsed::Invalid(Error {
            offset: base,
            layer: Layer::Header,
            what: "mesh header in a mesh header",
        });
    }
    match forms::parse_form(peers, inner) {
        Parsed::Message { mut message, bytes } => {
            wrap(&mut message, fields);
            Parsed::Message { message, bytes: bytes + base as u64 }
        }
        Parsed::Walked { mut message, head, walker } => {
            wrap(&mut message, fields);
            Parsed::Walked { message, head: head + base, walker }
        }
        Parsed::Control { bytes } => Parsed::Control { bytes: bytes + base as u64 },
        Parsed::Incomplete(needed) => Parsed::Incomplete(needed.saturating_add(base)),
        Parsed::Invalid(error) => Parsed::Invalid(Error { offset: error.offset + base, ..error }),
    }
}

pub(crate) fn sight(input: &[u8]) -> Sight {
    let mut plausible = true;
    match parse_pairs(input, |key, _, _| plausible &= key.iter().all(u8::is_ascii_graphic)) {
        _ if !plausible => Sight::No,
        Ok(base) => forms::sight_inner(input.get(base..).unwrap_or_default()),
        Err(trouble) => trouble.into(),
    }
}

pub(crate) fn metadata(input: &[u8], each: &mut dyn FnMut(&[u8], &[u8])) {
    if let Ok(base) = parse_pairs(input, |key, value, _| each(key, value)) {
        forms::metadata(input.get(base..).unwrap_or_default(), each);
    }
}

pub(crate) fn dissect(message: &[u8]) -> Vec<Field> {
    let mut pairs = Vec::new();
    let end = parse_pairs(message, |key, value, range| pairs.push(field(shown(key), shown(value), range)));
    let mut header = Vec::new();
    hex(&mut header, message, "magic", 0, 2);
    number(&mut header, message, "size", 2, 2);
    number(&mut header, message, "count", 4, 2);
    header.extend(pairs);
    let mut fields = vec![Field {
        name: "mesh header".to_owned(),
        range: (0, header.last().map_or(0, |last| last.range.1)),
        children: header,
        ..Field::default()
    }];
    if let Ok(end) = end {
        fields.extend(forms::dissect_form(message, end));
    }
    fields
}
