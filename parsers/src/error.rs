//! What is wrong with bytes, where, and in which layer: the error of every nom parser of this crate.

use std::fmt;

use nom::error::{ContextError, ErrorKind, ParseError};
use nom::{Err, IResult, Needed, Parser};

/// What a parser returns: the rest of the input and what it read.
///
/// `Err::Incomplete` says how many bytes are missing after the end of the input; it is not an error.
pub type Parse<'a, O> = IResult<&'a [u8], O, Error>;

/// The same without the rest of the input.
pub type ParseResult<O> = Result<O, Err<Error>>;

/// The part of a message that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The fixed head that has the length.
    Frame,
    /// The variable header (TTHeader info sections, tRPC head, HTTP/2 header block).
    Header,
    /// The payload (thrift struct, protobuf message, gRPC message prefix).
    Payload,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Frame => "frame",
            Self::Header => "header",
            Self::Payload => "payload",
        })
    }
}

/// A length that does not fit what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Bytes that are needed.
    pub needed: usize,
    /// Bytes that there are.
    pub available: usize,
}

/// Undecodable traffic: never a reason to stop, always counted and shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Error {
    /// Offset of the first wrong byte, from the start of the message.
    pub offset: usize,
    /// Where in the message.
    pub layer: Layer,
    /// What is wrong, as a short lower-case phrase ("length over the limit").
    pub what: &'static str,
    /// The lengths that disagree, where that is what is wrong.
    pub length: Option<Length>,
    /// Bytes from the wrong one to the end of the input. A parser sees only the rest of its input, so the offset is
    /// computed by the caller that has all of it ([`in_layer`]).
    left: usize,
    /// The layer is known.
    placed: bool,
}

impl Error {
    /// `what` is wrong at `offset` of a message.
    #[must_use]
    pub fn new(offset: usize, layer: Layer, what: &'static str) -> Self {
        Self { offset, layer, what, length: None, left: 0, placed: true }
    }

    /// `what` is wrong where `rest`, the rest of the input, begins.
    pub(crate) fn at(rest: &[u8], what: &'static str) -> Self {
        Self { offset: 0, layer: Layer::Frame, what, length: None, left: rest.len(), placed: false }
    }

    /// The same error of an input that goes on for `bytes` after the input of the parser.
    fn before(self, bytes: usize) -> Self {
        Self { left: self.left + bytes, ..self }
    }

    /// The same error with its offset from the beginning of `input`. The innermost layer counts.
    pub(crate) fn placed(self, layer: Layer, input: &[u8]) -> Self {
        Self {
            offset: input.len().saturating_sub(self.left),
            layer: if self.placed { self.layer } else { layer },
            placed: true,
            ..self
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {} of the {}", self.what, self.offset, self.layer)?;
        match self.length {
            Some(Length { needed, available }) => write!(f, " ({needed} bytes needed, {available} there)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

impl ParseError<&[u8]> for Error {
    fn from_error_kind(rest: &[u8], _kind: ErrorKind) -> Self {
        Self::at(rest, "malformed")
    }

    fn append(_rest: &[u8], _kind: ErrorKind, other: Self) -> Self {
        other
    }
}

impl ContextError<&[u8]> for Error {
    /// Names what nom's own parsers found wrong; an error that has a name keeps it.
    fn add_context(rest: &[u8], what: &'static str, other: Self) -> Self {
        if other.what == "malformed" { Self::at(rest, what) } else { other }
    }
}

/// `what` is wrong where `rest` begins.
pub(crate) fn wrong<O>(rest: &[u8], what: &'static str) -> ParseResult<O> {
    Err(Err::Error(Error::at(rest, what)))
}

/// `bytes` more are needed after the end of the input.
pub(crate) fn incomplete<O>(bytes: usize) -> ParseResult<O> {
    Err(Err::Incomplete(Needed::new(bytes.max(1))))
}

/// How many bytes are missing after the end of the input.
pub(crate) fn missing(needed: Needed) -> usize {
    match needed {
        Needed::Size(bytes) => bytes.get(),
        Needed::Unknown => 1,
    }
}

/// `parser` with errors that say the layer and the offset from where `parser` began.
pub fn in_layer<'a, O>(
    layer: Layer,
    mut parser: impl Parser<&'a [u8], Output = O, Error = Error>,
) -> impl FnMut(&'a [u8]) -> Parse<'a, O> {
    move |input| parser.parse(input).map_err(|error| placed(error, layer, input))
}

/// `error` with the layer and the offset from the beginning of `input`.
#[cold]
pub(crate) fn placed(error: Err<Error>, layer: Layer, input: &[u8]) -> Err<Error> {
    error.map(|error| error.placed(layer, input))
}

/// Runs a streaming `parser` on the first `size` bytes of `input`, as far as they are there. What it needs after them is an
/// error: `too_long`.
pub(crate) fn within<'a, O>(
    size: usize,
    too_long: &'static str,
    input: &'a [u8],
    parser: impl FnOnce(&'a [u8]) -> ParseResult<O>,
) -> ParseResult<O> {
    parser(input.get(..size).unwrap_or(input)).map_err(|error| bound(error, size, too_long, input))
}

/// Makes of what a parser said of the first `size` bytes of `input` what is to be said of all of it.
#[cold]
pub(crate) fn bound(error: Err<Error>, size: usize, too_long: &'static str, input: &[u8]) -> Err<Error> {
    let inner = size.min(input.len());
    match error {
        Err::Incomplete(needed) => match inner.saturating_add(missing(needed)) {
            needed if needed > size => Err::Error(exceeds(needed, size, too_long, input)),
            _ => error,
        },
        error => error.map(|error| error.before(input.len() - inner)),
    }
}

/// The error of a frame of `size` bytes at the beginning of `input` whose content needs more.
pub(crate) fn exceeds(needed: usize, size: usize, too_long: &'static str, input: &[u8]) -> Error {
    let length = Some(Length { needed, available: size });
    Error { length, ..Error::at(input.get(size..).unwrap_or_default(), too_long) }
}

#[cfg(test)]
mod tests {
    use nom::bytes::streaming::{tag, take};
    use nom::error::context;
    use nom::number::streaming::be_u16;

    use super::*;

    fn pair(input: &[u8]) -> Parse<'_, (u16, &[u8])> {
        (be_u16, context("no end", tag(&b"end"[..]))).parse(input)
    }

    #[test]
    fn errors_say_where_in_which_layer() {
        let error = in_layer(Layer::Header, pair)(b"12enough").unwrap_err();
        assert_eq!(error, Err::Error(Error { left: 6, ..Error::new(2, Layer::Header, "no end") }));
        let outer = in_layer(Layer::Frame, (take(3_usize), in_layer(Layer::Payload, pair)));
        let Err(Err::Error(error)) = { outer }.parse(b"...12enough") else { panic!("no error") };
        assert_eq!((error.offset, error.layer, error.what), (5, Layer::Payload, "no end"));
        assert_eq!(error.to_string(), "no end at byte 5 of the payload");
    }

    #[test]
    fn what_is_missing_is_counted_from_the_end_of_the_input() {
        assert_eq!(pair(b"12e").unwrap_err(), Err::Incomplete(Needed::new(2)));
        assert_eq!(within(5, "too long", b"12e", pair).unwrap_err(), Err::Incomplete(Needed::new(2)));
    }

    #[test]
    fn content_longer_than_its_frame_says_both_lengths() {
        let run =
            |input| within(4, "too long", input, pair).map_err(|error| placed(error, Layer::Frame, input));
        let Err(Err::Error(error)) = run(b"12end") else { panic!("no error") };
        assert_eq!((error.offset, error.length), (4, Some(Length { needed: 5, available: 4 })));
        assert_eq!(error.to_string(), "too long at byte 4 of the frame (5 bytes needed, 4 there)");
        let Err(Err::Error(error)) = run(b"12x and more") else { panic!("no error") };
        assert_eq!((error.offset, error.what), (2, "no end"));
    }
}
