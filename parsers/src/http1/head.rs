//! The head of an HTTP/1.x message: start line and header fields (RFC 9112, sections 2 to 5).

use crate::error::{Error, Layer};

/// The largest head that is read.
pub const HEAD_LIMIT: usize = 64 * 1024;

/// The most header fields that are read.
const FIELD_LIMIT: usize = 256;

/// Header fields that there is room for from the beginning.
const USUAL_FIELDS: usize = 16;

/// The methods that a connection may begin with. `PRI` is not among them: it is HTTP/2's.
const METHODS: [&[u8]; 9] =
    [b"GET", b"POST", b"PUT", b"HEAD", b"DELETE", b"PATCH", b"OPTIONS", b"CONNECT", b"TRACE"];

/// A start line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// `POST /path HTTP/1.1`.
    Request {
        /// Method.
        method: &'a [u8],
        /// Target as sent: a path with query, an absolute URI, an authority, or `*`.
        target: &'a [u8],
    },
    /// `HTTP/1.1 200 OK`.
    Status {
        /// Status code.
        code: u16,
    },
}

/// A head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// Its start line.
    pub start: Start<'a>,
    /// 0 for HTTP/1.0, 1 for HTTP/1.1.
    pub minor: u8,
    /// Names and values of its fields as sent, without the white space around the values.
    pub fields: Vec<(&'a [u8], &'a [u8])>,
    /// Its bytes, the empty line included.
    pub len: usize,
}

impl<'a> Head<'a> {
    /// The value of the first field of that name, whatever the case of its letters.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| *value)
    }

    /// Whether a comma-separated field has an element, whatever the case of its letters.
    #[must_use]
    pub fn has_element(&self, name: &str, element: &str) -> bool {
        let fields = self.fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name.as_bytes()));
        fields
            .flat_map(|(_, value)| value.split(|byte| *byte == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(element.as_bytes()))
    }
}

fn error(offset: usize, what: &'static str) -> Error {
    Error::new(offset, Layer::Header, what)
}

/// Whether `input` can be the beginning of a head: a known method and a space, or `HTTP/1.`, as far as it goes.
#[must_use]
pub fn may_begin(input: &[u8]) -> bool {
    let agrees =
        |word: &[u8], then: &[u8]| word.iter().chain(then).zip(input).all(|(known, byte)| known == byte);
    // Other protocols begin with no capital letter, and are asked about here too.
    input.first().is_none_or(u8::is_ascii_uppercase)
        && (agrees(b"HTTP/1.", b"") || METHODS.iter().any(|method| agrees(method, b" ")))
}

/// Whether each byte is a character of a token (RFC 9110, section 5.6.2).
static TOKEN: [bool; 256] = token();

#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler only, where a wrong index is an error of compilation"
)]
const fn token() -> [bool; 256] {
    let mut token = [false; 256];
    let mut byte = 0;
    while byte < token.len() {
        token[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"!#$%&'*+-.^_`|~";
    while let [other, rest @ ..] = others {
        token[*other as usize] = true;
        others = rest;
    }
    token
}

fn is_token(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)) == Some(&true)
}

/// The next line without its end, and where the one after it begins. A line without CR is taken too (section 2.2).
fn next_line(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(at..)?;
    let end = memchr::memchr(b'\n', rest)?;
    let line = rest.get(..end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), at + end + 1))
}

/// Reads the version at the end of a request line or the beginning of a status line; its minor number.
fn parse_version(text: &[u8]) -> Option<u8> {
    match text.strip_prefix(b"HTTP/1.")? {
        b"0" => Some(0),
        b"1" => Some(1),
        _ => None,
    }
}

fn parse_start(line: &[u8]) -> Option<(Start<'_>, u8)> {
    let space = memchr::memchr(b' ', line)?;
    let (first, rest) = line.split_at_checked(space)?;
    let rest = rest.get(1..)?;
    if let Some(minor) = parse_version(first) {
        let (digits, reason) = rest.split_at_checked(3)?;
        let code =
            std::str::from_utf8(digits).ok()?.parse().ok().filter(|code| (100..1000).contains(code))?;
        return (reason.is_empty() || reason.starts_with(b" ")).then_some((Start::Status { code }, minor));
    }
    let space = memchr::memrchr(b' ', rest)?;
    let (target, version) = rest.split_at_checked(space)?;
    let printable = target.iter().all(|byte| *byte > 0x20 && *byte != 0x7f);
    let minor = parse_version(version.get(1..)?)?;
    let known = METHODS.contains(&first) && !target.is_empty() && printable;
    known.then_some((Start::Request { method: first, target }, minor))
}

/// What is wrong with a line at `at` that is no header field.
#[cold]
fn improper_field(at: usize, line: &[u8]) -> Error {
    error(
        at,
        if line.contains(&b':') {
            "header field without a proper name"
        } else {
            "header field without a colon"
        },
    )
}

/// Reads the head at the beginning of `input`. `None`: it is not whole.
pub fn parse_head(input: &[u8]) -> Result<Option<Head<'_>>, Error> {
    if !may_begin(input) {
        return Err(error(0, "neither a request line nor a status line"));
    }
    let Some((line, mut at)) = next_line(input, 0) else {
        return if input.len() > HEAD_LIMIT { Err(error(0, "start line over the limit")) } else { Ok(None) };
    };
    let (start, minor) = parse_start(line).ok_or_else(|| error(0, "malformed start line"))?;
    let mut fields = Vec::with_capacity(USUAL_FIELDS);
    loop {
        let Some((line, next)) = next_line(input, at) else {
            return if input.len() > HEAD_LIMIT { Err(error(at, "head over the limit")) } else { Ok(None) };
        };
        if line.is_empty() {
            return Ok(Some(Head { start, minor, fields, len: next }));
        }
        if fields.len() == FIELD_LIMIT || next > HEAD_LIMIT {
            return Err(error(at, "head over the limit"));
        }
        // No colon is a character of a token.
        let Some((name, value)) = line
            .iter()
            .position(|byte| !is_token(*byte))
            .and_then(|end| {
                let (name, value) = line.split_at_checked(end)?;
                Some((name, value.strip_prefix(b":")?))
            })
            .filter(|(name, _)| !name.is_empty())
        else {
            return Err(improper_field(at, line));
        };
        fields.push((name, value.trim_ascii()));
        at = next;
    }
}

/// A head that is cut, with an end as if there were no more; `None` if not even its start line is whole. Of the line in which
/// it is cut, the name of the field is kept, which may show what the message is, and of a content type the part that is certain.
#[must_use]
pub fn close_cut(input: &[u8]) -> Option<Vec<u8>> {
    let end = memchr::memrchr(b'\n', input)? + 1;
    let (lines, last) = input.split_at_checked(end)?;
    let mut closed = lines.to_vec();
    if let Some(colon) = memchr::memchr(b':', last) {
        let (name, value) = last.split_at_checked(colon)?;
        let certain = match memchr::memrchr2(b'+', b';', value) {
            Some(end) if name.eq_ignore_ascii_case(b"content-type") => end,
            _ => 1,
        };
        closed.extend_from_slice(name);
        closed.extend_from_slice(value.get(..certain)?);
        closed.extend_from_slice(b"\r\n");
    }
    closed.extend_from_slice(b"\r\n");
    matches!(parse_head(&closed), Ok(Some(head)) if head.len == closed.len()).then_some(closed)
}

/// The first offset at which a head can begin after bytes were lost: at the beginning of a line, with a whole start line.
#[must_use]
pub fn find_head(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = input.get(at..)?;
        // Version and start of a status line, or the end of a request line: both hold these bytes.
        let hit = memchr::memmem::find(rest, b"HTTP/1.")?;
        let begin = rest.get(..hit)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let line = rest.get(begin..)?;
        if let Some((line, _)) = next_line(line, 0)
            && parse_start(line).is_some()
        {
            return Some(at + begin);
        }
        // A body may stand directly before the next start line.
        let inside = METHODS.iter().filter_map(|method| {
            let place = memchr::memmem::rfind(rest.get(begin..hit)?, method)?;
            let (line, _) = next_line(rest, begin + place)?;
            parse_start(line).is_some().then_some(at + begin + place)
        });
        if let Some(found) = inside.max() {
            return Some(found);
        }
        if let Some((line, _)) = next_line(rest, hit)
            && parse_start(line).is_some()
        {
            return Some(at + hit);
        }
        at += hit + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_request_and_a_status() {
        let input =
            b"POST /a.B/C?x=1 HTTP/1.1\r\nHost: x\r\nTrpc-Caller:  web \r\nAccept: a, CHUNKED\r\n\r\nbody";
        let head = parse_head(input).unwrap().unwrap();
        assert_eq!(head.start, Start::Request { method: b"POST", target: b"/a.B/C?x=1" });
        assert_eq!((head.minor, head.len), (1, input.len() - 4));
        assert_eq!(head.field("trpc-caller"), Some(&b"web"[..]));
        assert!(head.has_element("accept", "chunked") && !head.has_element("accept", "chunk"));
        let head = parse_head(b"HTTP/1.0 404 File not found\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.start, head.minor), (Start::Status { code: 404 }, 0));
        assert_eq!(parse_head(b"HTTP/1.1 204\r\n\r\n").unwrap().unwrap().start, Start::Status { code: 204 });
    }

    #[test]
    fn what_is_no_head_is_said_early() {
        for bytes in
            [&b"PRI * HTTP/2.0\r\n"[..], b"GEX", b"SSH-2.0", b"\x16\x03", b"HTTP/2", b"*1\r\n$4\r\nPING"]
        {
            assert!(parse_head(bytes).is_err(), "{bytes:?}");
        }
        for bytes in [
            &b"GET /\r\n"[..],
            b"GET  HTTP/1.1\r\n",
            b"GET / HTTP/1.2\r\n",
            b"HTTP/1.1 99 x\r\n",
            b"HTTP/1.1 2000 x\r\n",
            b"GET / HTTP/1.1\r\nno colon\r\n",
            b"GET / HTTP/1.1\r\nbad name: x\r\n",
        ] {
            assert!(parse_head(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn of_a_cut_head_is_kept_what_is_certain() {
        let cut = close_cut(b"POST /a.B/C HTTP/1.1\r\nHost: x\r\nContent-Ty").unwrap();
        let head = parse_head(&cut).unwrap().unwrap();
        assert_eq!(head.fields, [(&b"Host"[..], &b"x"[..])]);
        assert!(close_cut(b"POST /a.B/C HTTP/1.1\r\n").is_some());
        for (last, name, value) in [
            ("Trpc-Callee: trpc.sho", "trpc-callee", ""),
            ("Content-Type: application/grpc-web+pro", "content-type", "application/grpc-web"),
            ("Content-Type: application/grpc", "content-type", ""),
        ] {
            let cut = close_cut(format!("POST /a.B/C HTTP/1.1\r\n{last}").as_bytes()).unwrap();
            assert_eq!(parse_head(&cut).unwrap().unwrap().field(name), Some(value.as_bytes()), "{last}");
        }
        for bytes in [&b"POST /a.B/C HTTP/1"[..], b"POST /a.B/C\r\n", b"GET / HTTP/1.1\r\nbad name: x\r\n"] {
            assert_eq!(close_cut(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_head_is_bounded() {
        let mut many = b"GET / HTTP/1.1\r\n".to_vec();
        many.extend(b"a: b\r\n".repeat(FIELD_LIMIT + 1));
        assert_eq!(parse_head(&many).unwrap_err().what, "head over the limit");
        let mut long = b"GET /".to_vec();
        long.resize(HEAD_LIMIT + 2, b'x');
        assert!(parse_head(&long).is_err());
    }

    #[test]
    fn the_next_head_is_found_behind_a_body() {
        let find = |bytes: &[u8]| find_head(bytes);
        assert_eq!(find(b"ody\nHTTP/1.1 200 OK\r\n\r\n"), Some(4));
        assert_eq!(find(b"{\"a\":1}HTTP/1.1 200 OK\r\n\r\n"), Some(7));
        assert_eq!(find(b"\x00\x01POST /a/b HTTP/1.1\r\n"), Some(2));
        assert_eq!(find(b"text of HTTP/1.1 and no more\r\n"), None);
        assert_eq!(find(b"GET / HTTP/1.1"), None, "the line is not whole yet");
    }
}
