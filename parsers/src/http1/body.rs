//! How long a message's body is (RFC 9112, section 6) and the chunked coding (section 7.1).

use super::head::{Head, Start};
use crate::error::{Error, Layer};

/// The longest line between chunks: a size with extensions, or a trailer field.
pub(super) const LINE_LIMIT: usize = 64 * 1024;

/// The largest chunk that is believed.
const CHUNK_LIMIT: u64 = 1 << 40;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// After this number of bytes.
    Known(u64),
    /// After its last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
    /// Never: from here on it is no HTTP (CONNECT, Upgrade).
    Tunnel,
}

/// Where the body of this message ends; `asked` is the method of the request that an answer belongs to.
pub(super) fn length(head: &Head<'_>, asked: &[u8]) -> Result<Length, Error> {
    if let Start::Status { code } = head.start {
        if code == 101 || (asked == b"CONNECT" && (200..300).contains(&code)) {
            return Ok(Length::Tunnel);
        }
        if asked == b"HEAD" || (100..200).contains(&code) || code == 204 || code == 304 {
            return Ok(Length::Known(0));
        }
    }
    if head.field("transfer-encoding").is_some() {
        let chunked = head.has_element("transfer-encoding", "chunked");
        return Ok(if chunked { Length::Chunked } else { Length::UntilClose });
    }
    match (head.field("content-length"), head.start) {
        (Some(digits), _) => {
            let number = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
            let wrong = Error::new(0, Layer::Header, "content-length is no number");
            number.map(Length::Known).ok_or(wrong)
        }
        (None, Start::Request { .. }) => Ok(Length::Known(0)),
        (None, Start::Status { .. }) => Ok(Length::UntilClose),
    }
}

/// The place in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunks {
    /// A size line comes.
    Size,
    /// Data comes: this number of bytes.
    Data(u64),
    /// The line end after the data comes.
    DataEnd,
    /// Trailer fields come, up to an empty line.
    Trailer,
    /// The body is over.
    Done,
}

fn wrong(what: &'static str) -> Error {
    Error::new(0, Layer::Payload, what)
}

/// Reads the line that stands at `place` of a chunked body: its bytes and the next place. `None` if it is not whole.
pub(super) fn parse_line(place: Chunks, input: &[u8]) -> Result<Option<(usize, Chunks)>, Error> {
    let Some(end) = memchr::memchr(b'\n', input) else {
        let over = input.len() > LINE_LIMIT;
        return if over { Err(wrong("chunk line over the limit")) } else { Ok(None) };
    };
    let line = input.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let next = match place {
        Chunks::Size => {
            let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            let size = std::str::from_utf8(size).ok().and_then(|size| u64::from_str_radix(size, 16).ok());
            match size.filter(|size| *size <= CHUNK_LIMIT) {
                Some(0) => Chunks::Trailer,
                Some(size) => Chunks::Data(size),
                None => return Err(wrong("chunk size is no number")),
            }
        }
        Chunks::DataEnd if line.is_empty() => Chunks::Size,
        Chunks::DataEnd => return Err(wrong("chunk longer than its size")),
        Chunks::Trailer if line.is_empty() => Chunks::Done,
        place => place,
    };
    Ok(Some((end + 1, next)))
}

#[cfg(test)]
mod tests {
    use super::super::head::parse_head;
    use super::*;

    #[test]
    fn the_length_follows_the_rules_of_rfc_9112() {
        let of = |head: &[u8], asked: &[u8]| length(&parse_head(head).unwrap().unwrap(), asked);
        assert_eq!(of(b"GET / HTTP/1.1\r\n\r\n", b""), Ok(Length::Known(0)));
        assert_eq!(of(b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n", b""), Ok(Length::Known(7)));
        assert_eq!(of(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", b"HEAD"), Ok(Length::Known(0)));
        assert_eq!(of(b"HTTP/1.1 304 x\r\nContent-Length: 7\r\n\r\n", b"GET"), Ok(Length::Known(0)));
        assert_eq!(of(b"HTTP/1.1 100 Continue\r\n\r\n", b"POST"), Ok(Length::Known(0)));
        assert_eq!(of(b"HTTP/1.0 200 OK\r\n\r\n", b"GET"), Ok(Length::UntilClose));
        assert_eq!(of(b"HTTP/1.1 200 OK\r\n\r\n", b"CONNECT"), Ok(Length::Tunnel));
        assert_eq!(of(b"HTTP/1.1 101 x\r\n\r\n", b"GET"), Ok(Length::Tunnel));
        let both = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
        assert_eq!(of(both, b"GET"), Ok(Length::Chunked));
        assert!(of(b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n", b"GET").is_err());
    }

    #[test]
    fn walks_over_chunks() {
        let mut rest = &b"4;ext=1\r\nabcd\r\n0\r\nx-trailer: 1\r\n\r\n"[..];
        let (mut place, mut data) = (Chunks::Size, Vec::new());
        while place != Chunks::Done {
            let (line, next) = parse_line(place, rest).unwrap().expect("nothing is missing");
            (rest, place) = (&rest[line..], next);
            if let Chunks::Data(size) = place {
                data.extend_from_slice(&rest[..size as usize]);
                (rest, place) = (&rest[size as usize..], Chunks::DataEnd);
            }
        }
        assert_eq!((data.as_slice(), rest), (&b"abcd"[..], &b""[..]));
        assert!(parse_line(Chunks::Size, b"zz\r\n").is_err());
        assert!(parse_line(Chunks::DataEnd, b"x\r\n").is_err());
        assert_eq!(parse_line(Chunks::Size, b"12"), Ok(None));
    }
}
