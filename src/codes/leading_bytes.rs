//! Bytes of another protocol as errors print them: hexadecimal words of Kitex, lengths in decimal, the dump of netty.

use std::fmt::Write as _;

/// What the first bytes of a message of another protocol look like.
const BEGINNINGS: [(&[u8], &str); 33] = [
    (b"HTTP/", "an answer in HTTP/1"),
    (b"HTTP", "an answer in HTTP/1"),
    (b"GET ", "a request in HTTP/1: a probe, a health check or a browser"),
    (b"POST", "a request in HTTP/1"),
    (b"PUT ", "a request in HTTP/1"),
    (b"HEAD", "a request in HTTP/1: mostly a health check"),
    (b"OPTI", "a request in HTTP/1"),
    (b"CONN", "a request in HTTP/1"),
    (b"DELE", "a request in HTTP/1"),
    (b"PATC", "a request in HTTP/1"),
    (b"PRI ", "the beginning of HTTP/2: a gRPC client"),
    (b"<!DO", "HTML"),
    (b"<htm", "HTML"),
    (b"<HTM", "HTML"),
    (b"<h1>", "HTML"),
    (b"\x16\x03\x01", "a TLS handshake: the peer speaks TLS"),
    (b"\x16\x03\x03", "a TLS handshake: the peer speaks TLS"),
    (b"\x15\x03\x01", "a TLS alert: the peer expects TLS"),
    (b"\x15\x03\x03", "a TLS alert: the peer expects TLS"),
    (b"PROXY", "a PROXY header, version 1"),
    (b"PROX", "a PROXY header, version 1"),
    (b"\x0d\x0a\x0d\x0a", "a PROXY header, version 2"),
    (b"SSH-", "SSH"),
    (b"-ERR", "an error of Redis"),
    (b"+PON", "an answer of Redis"),
    (b"220 ", "a greeting of SMTP or FTP"),
    (b"\xff\xf4\xff\xfd", "telnet"),
    (b"\x09\x30", "tRPC"),
    (b"\x80\x01\x00", "thrift's binary protocol, without a length before it"),
    (b"\x82\x21", "thrift's compact protocol"),
    (b"\x82\x41", "thrift's compact protocol"),
    (b"\x00\x00\x06\x04", "a SETTINGS frame of HTTP/2: a gRPC server"),
    (b"\x00\x00\x12\x04", "a SETTINGS frame of HTTP/2: a gRPC server"),
];

/// Where errors print the bytes, and how.
const PLACES: [(&str, Print); 9] = [
    // Kitex default_codec.go, grpcframe/frame_reader.go, gopkg ttheader/decode.go.
    ("first4Bytes=0x", Print::Words),
    // netty's Http2Exception.
    ("Hex dump for first 5 bytes: ", Print::Dump),
    // Apache Thrift in Java and Go, grpc-js: text read as a length.
    ("Frame size (", Print::Length),
    ("Incorrect frame size (", Print::Length),
    ("Read an invalid frame size of ", Print::Length),
    ("Received message larger than max (", Print::Length),
    // nginx: three bytes.
    ("upstream sent too large http2 frame: ", Print::Length),
    // tonic, Volo: one byte.
    ("invalid compression flag: ", Print::Length),
    ("unknown protocol, first byte: ", Print::Length),
];

#[derive(Clone, Copy)]
enum Print {
    /// Two hexadecimal words of four bytes, without leading zeros.
    Words,
    /// Hexadecimal digits.
    Dump,
    /// A decimal number.
    Length,
}

/// The smallest number that is read as text: smaller ones are lengths.
const LEAST_LENGTH: u32 = 0x0100_0000;

/// The bytes that an error's text prints as numbers, as text, and what they are: `HTTP/1.1, an answer in HTTP/1`. `None` if there are
/// none, or if they are no text and nothing known.
#[must_use]
pub fn read(text: &str) -> Option<String> {
    let bytes = PLACES.iter().find_map(|(words, print)| {
        let at = text.find(words)?;
        bytes_of(text.get(at + words.len()..)?, *print, words)
    })?;
    let known = BEGINNINGS.iter().find(|(start, _)| bytes.starts_with(start)).map(|(_, what)| *what);
    let is_text = bytes.iter().all(|byte| (b' '..=b'~').contains(byte));
    let mut out = String::new();
    if is_text {
        // Writing to a String can't fail.
        _ = write!(out, "`{}`", String::from_utf8_lossy(&bytes));
    }
    match known {
        Some(what) if is_text => _ = write!(out, ", {what}"),
        Some(what) => out.push_str(what),
        None if bytes.get(4..6).is_some_and(|magic| magic == [0x0f, 0xff]) => {
            out.push_str("a THeader of Apache Thrift");
        }
        None => {}
    }
    (!out.is_empty()).then_some(out)
}

fn digits(text: &str, radix: u32) -> &str {
    text.find(|c: char| !c.is_digit(radix)).map_or(text, |end| text.get(..end).unwrap_or_default())
}

fn bytes_of(rest: &str, print: Print, words: &str) -> Option<Vec<u8>> {
    match print {
        Print::Words => {
            let first = u32::from_str_radix(digits(rest, 16), 16).ok()?;
            let mut bytes = first.to_be_bytes().to_vec();
            let second = rest.split("second4Bytes=0x").nth(1).map(|rest| digits(rest, 16));
            if let Some(second) = second.and_then(|second| u32::from_str_radix(second, 16).ok()) {
                bytes.extend(second.to_be_bytes());
            }
            Some(bytes)
        }
        Print::Dump => {
            let dump = digits(rest, 16);
            let pairs = dump.as_bytes().chunks_exact(2).take(8);
            pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
        }
        Print::Length => {
            let number: u32 = digits(rest, 10).parse().ok()?;
            if words.ends_with("flag: ") || words.ends_with("byte: ") {
                return u8::try_from(number).ok().map(|byte| vec![byte]);
            }
            let [first, rest @ ..] = number.to_be_bytes();
            if number >= LEAST_LENGTH {
                return Some(number.to_be_bytes().to_vec());
            }
            (words.contains("http2 frame") && first == 0).then(|| rest.to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_the_text_that_they_were() {
        for (text, read_as) in [
            (
                "invalid payload (first4Bytes=0x48545450, second4Bytes=0x2f312e31)",
                "`HTTP/1.1`, an answer in HTTP/1",
            ),
            (
                "not TTHeader protocol (first4Bytes=0x50524920, second4Bytes=0x2a204854)",
                "`PRI * HT`, the beginning of HTTP/2: a gRPC client",
            ),
            (
                "http2: frame too large or invalid frame (first4Bytes=0x3c21444f, second4Bytes=0x43545950)",
                "`<!DOCTYP`, HTML",
            ),
            (
                "invalid payload (first4Bytes=0x16030100, second4Bytes=0xfa0100)",
                "a TLS handshake: the peer speaks TLS",
            ),
            ("invalid payload (first4Bytes=0xd0a0d0a, second4Bytes=0xd0a51)", "a PROXY header, version 2"),
            (
                "invalid payload (first4Bytes=0x604, second4Bytes=0x0)",
                "a SETTINGS frame of HTTP/2: a gRPC server",
            ),
            ("invalid payload (first4Bytes=0x20, second4Bytes=0xfff0001)", "a THeader of Apache Thrift"),
            ("Frame size (1213486160) larger than max length (16384000)!", "`HTTP`, an answer in HTTP/1"),
            (
                "Incorrect frame size (1195725856)",
                "`GET `, a request in HTTP/1: a probe, a health check or a browser",
            ),
            ("Received message larger than max (1748057704 vs 4194304)", "`h1>h`"),
            (
                "First received frame was not SETTINGS. Hex dump for first 5 bytes: 485454502f.",
                "`HTTP/`, an answer in HTTP/1",
            ),
            ("Hex dump for first 5 bytes: 1503030002", "a TLS alert: the peer expects TLS"),
            ("upstream sent too large http2 frame: 4740180 while", "`HTT`"),
            ("received message with invalid compression flag: 60 (valid flags are 0 and 1)", "`<`"),
        ] {
            assert_eq!(read(text).as_deref(), Some(read_as), "{text}");
        }
        for text in [
            "Frame size (20000000) larger than max length (16384000)!",
            "Received message larger than max (5242880 vs 4194304)",
            "first4Bytes=0x",
            "invalid payload (first4Bytes=0x1234, second4Bytes=0x5)",
            "no bytes",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
