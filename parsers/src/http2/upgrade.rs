//! The way from HTTP/1.1 to HTTP/2 (RFC 7540, section 3.2, which RFC 9113 took out but peers still do): a request with
//! `Upgrade: h2c` becomes stream 1, its answer after `101 Switching Protocols` is HTTP/2.

use base64::Engine as _;

use super::frame;
use super::hpack::Fields;

/// Longest HTTP/1.1 head read.
pub(super) const HEAD_LIMIT: usize = 64 * 1024;

/// What the first bytes of a side say.
#[derive(Debug)]
pub(super) enum Opening<T> {
    /// Not enough bytes.
    More,
    /// Not what is looked for.
    No,
    /// The head, and how many bytes it takes.
    Yes(T, usize),
}

/// A request that asks for HTTP/2.
#[derive(Debug)]
pub(super) struct Request {
    /// Its fields as HTTP/2 would name them.
    pub(super) fields: Fields,
    /// Its body is not as long as it looks, because it is chunked.
    pub(super) chunked: bool,
    /// The table size that the client allows (`HTTP2-Settings`).
    pub(super) table_size: Option<u32>,
}

/// A head that ends with an empty line, with that line.
fn whole_head(input: &[u8]) -> Opening<&[u8]> {
    match memchr::memmem::find(input, b"\r\n\r\n") {
        Some(end) if end <= HEAD_LIMIT => Opening::Yes(input.get(..end).unwrap_or_default(), end + 4),
        None if input.len() <= HEAD_LIMIT => Opening::More,
        _ => Opening::No,
    }
}

/// The lines of a head.
fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii)
}

/// Whether a comma-separated list has that element.
fn has_token(value: &[u8], token: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|element| element.trim_ascii().eq_ignore_ascii_case(token))
}

/// The head of a request that asks for HTTP/2 at the beginning of `input`.
pub(super) fn find_request(input: &[u8]) -> Opening<&[u8]> {
    // A method consists of capital letters, which rules out other protocols before their first line ends.
    let method = input.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    if method > 16 || (method < input.len() && (method < 3 || input.get(method) != Some(&b' '))) {
        return Opening::No;
    }
    let (head, size) = match whole_head(input) {
        Opening::Yes(head, size) => (head, size),
        other => return other,
    };
    // Every request of HTTP/1.1 is asked, and hardly any asks for HTTP/2.
    let asks = |end| head.get(end + 1..).is_some_and(asks_for_http2);
    if !memchr::memchr_iter(b'\n', head).any(asks) {
        return Opening::No;
    }
    let mut words = lines(head).next().unwrap_or_default().split(|byte| *byte == b' ');
    let is_request = matches!(
        (words.next(), words.next(), words.next(), words.next()),
        (Some(_), Some(_), Some(b"HTTP/1.1"), None)
    );
    let is_whole = lines(head).skip(1).all(|line| memchr::memchr(b':', line).is_some());
    if is_request && is_whole { Opening::Yes(head, size) } else { Opening::No }
}

/// Reads a request that asks for HTTP/2 at the beginning of `input`.
pub(super) fn parse_request(input: &[u8]) -> Opening<Request> {
    let (head, size) = match find_request(input) {
        Opening::Yes(head, size) => (head, size),
        Opening::More => return Opening::More,
        Opening::No => return Opening::No,
    };
    let mut lines = lines(head);
    let mut words = lines.next().unwrap_or_default().split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut request = Request { fields: Fields::default(), chunked: false, table_size: None };
    request.fields.add(b":method", method);
    request.fields.add(b":scheme", b"http");
    request.fields.add(b":path", path);
    for line in lines {
        let colon = memchr::memchr(b':', line).unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        request.chunked |= name.eq_ignore_ascii_case(b"transfer-encoding");
        if name.eq_ignore_ascii_case(b"http2-settings") {
            request.table_size = parse_settings_header(value);
        }
        request.fields.add(name, value);
    }
    Opening::Yes(request, size)
}

/// Whether the header line at the beginning of `rest` is `Upgrade: h2c`, among others or not.
fn asks_for_http2(rest: &[u8]) -> bool {
    const NAME: &[u8] = b"upgrade";
    let named = rest.trim_ascii_start().split_at_checked(NAME.len());
    let value = named
        .filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
        .and_then(|(_, rest)| rest.strip_prefix(b":"))
        .and_then(|value| lines(value).next());
    value.is_some_and(|value| has_token(value, b"h2c"))
}

/// The table size in an `HTTP2-Settings` header: the payload of a SETTINGS frame in base64url (RFC 7540, section 3.2.1).
fn parse_settings_header(value: &[u8]) -> Option<u32> {
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(value).ok()?;
    let mut sizes = frame::parse_settings(&payload).filter(|(id, _)| *id == frame::HEADER_TABLE_SIZE);
    sizes.next().map(|(_, size)| size)
}

/// Reads the head of an answer at the beginning of `input`: its status.
pub(super) fn parse_answer(input: &[u8]) -> Opening<u16> {
    let begin = b"HTTP/1.1 ";
    if !input.starts_with(begin) {
        return if begin.starts_with(input) { Opening::More } else { Opening::No };
    }
    match whole_head(input) {
        Opening::More => Opening::More,
        Opening::No => Opening::No,
        Opening::Yes(head, size) => {
            let code = lines(head)
                .next()
                .and_then(|line| std::str::from_utf8(line.get(begin.len()..)?.get(..3)?).ok());
            match code.and_then(|code| code.parse().ok()) {
                Some(code) => Opening::Yes(code, size),
                None => Opening::No,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http2::known::Name;

    #[test]
    fn a_request_that_asks_for_http2() {
        let wire = b"POST /a.B/C HTTP/1.1\r\nHost: h\r\nUpgrade: websocket, h2c\r\nContent-Type: application/grpc\r\n\
            Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAAgA\r\n\r\nbody";
        let Opening::Yes(request, size) = parse_request(wire) else { panic!("not read") };
        assert_eq!(size, wire.len() - 4);
        assert_eq!(request.fields.list().get(Name::Path), Some(&b"/a.B/C"[..]));
        assert_eq!(request.fields.list().get(Name::ContentType), Some(&b"application/grpc"[..]));
        assert_eq!(request.table_size, Some(2048));
        for cut in 0..size {
            assert!(matches!(parse_request(&wire[..cut]), Opening::More), "{cut}");
        }
    }

    #[test]
    fn other_requests_do_not() {
        for other in [
            &b"POST / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n"[..],
            b"POST / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.0\r\nUpgrade: h2c\r\n\r\n",
            b"\x00\x00\x00\x01",
            b"SET key value\r\n\r\n",
        ] {
            assert!(matches!(parse_request(other), Opening::No));
        }
    }
}
