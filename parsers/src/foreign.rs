//! Answers in another language than the request: an HTTP error page for a TTHeader request, a TLS alert for the HTTP/2 preface,
//! the banner of a server that is something else altogether.
//!
//! A language is known by bytes that no message of the formats here begins with. An answer is certain only where no bytes of
//! its side are missing before it, and where a message has to begin.

use crate::error::{Error, Layer};
use crate::event::{Event, Foreign, ForeignAnswer, Side};
use crate::protocol::Emit;
use crate::session::{At, Faults, Need};
use crate::tls::alert;

/// The longest first line that is read, and repeated.
const LINE_LIMIT: usize = 256;

/// The shortest line that counts as text.
const LEAST_LINE: usize = 4;

/// The largest packet of a database that is read.
const PACKET_LIMIT: usize = 4096;

/// Bytes without which an answer in no known language is not judged.
const LEAST: usize = 9;

/// A language that servers answer in, as far as it is spoken by a protocol here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// HTTP/1.x.
    Http1,
    /// HTTP/2.
    Http2,
    /// Thrift in any transport.
    Thrift,
    /// tRPC.
    Trpc,
    /// Any other.
    Other,
}

/// What the beginning of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look<'a> {
    /// No language that is known here.
    Unknown,
    /// More bytes are needed to say.
    More(Need),
    /// An answer in another language.
    Foreign(ForeignAnswer<'a>),
}

/// What a way to recognise a language says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight<'a> {
    Unknown,
    More(Need),
    Seen(Language, ForeignAnswer<'a>),
}

impl<'a> Sight<'a> {
    fn words(language: Language, reason: &'static str, what: &'static str, detail: &'a [u8]) -> Self {
        Self::Seen(language, ForeignAnswer { reason, what, detail })
    }
}

/// A way to recognise a language.
type Recognise = for<'a> fn(&'a [u8], bool) -> Sight<'a>;

/// Languages with a sign that stands for nothing else; first those in which most answers are.
const SIGNS: [Recognise; 6] = [rpc, http1, html, tls, http2, database];

/// What `input`, the beginning of an answer in a protocol that speaks `own`, is. `end`: no more bytes of it come. `any_text`: a
/// line of text counts too, whatever it says.
pub(crate) fn look(input: &[u8], own: Language, end: bool, any_text: bool) -> Look<'_> {
    let mut need = None;
    let texts: &[Recognise] = if any_text { &[banner] } else { &[] };
    for recognise in SIGNS.iter().chain(texts) {
        match recognise(input, end) {
            Sight::Unknown => {}
            Sight::More(more) => need = need.or(Some(more)),
            Sight::Seen(language, _) if language == own => return Look::Unknown,
            Sight::Seen(_, answer) => return Look::Foreign(answer),
        }
    }
    match need {
        Some(need) if !end => Look::More(need),
        _ => Look::Unknown,
    }
}

/// Whether `input` begins with `sign`; `None` if it may, once more bytes have come.
fn begins(input: &[u8], sign: &[u8]) -> Option<bool> {
    let agree = input.iter().zip(sign).all(|(byte, known)| byte.eq_ignore_ascii_case(known));
    if agree && input.len() < sign.len() { None } else { Some(agree) }
}

/// The first line, without its end; `None` if it is not whole.
fn first_line(input: &[u8], end: bool) -> Option<&[u8]> {
    let line = match memchr::memchr(b'\n', input.get(..LINE_LIMIT).unwrap_or(input)) {
        Some(at) => input.get(..at)?,
        None if end || input.len() >= LINE_LIMIT => input.get(..LINE_LIMIT).unwrap_or(input),
        None => return None,
    };
    Some(line.trim_ascii_end())
}

/// A status line (RFC 9112, section 4).
fn http1(input: &[u8], end: bool) -> Sight<'_> {
    match begins(input, b"HTTP/1.") {
        Some(false) => Sight::Unknown,
        None => Sight::More(Need::Bytes(input.len() + 1)),
        Some(true) => match first_line(input, end) {
            Some(line) => Sight::words(Language::Http1, "answered in HTTP/1.x", "", line),
            None => Sight::More(Need::Line(LINE_LIMIT)),
        },
    }
}

/// A page without a status line, as servers send it to what looks like HTTP/0.9 to them.
fn html(input: &[u8], _end: bool) -> Sight<'_> {
    let pages: [(&[u8], &str); 3] = [
        (b"<!DOCTYPE HTML", "an HTML page without a status line"),
        (b"<html", "an HTML page without a status line"),
        (b"<?xml ", "an XML document without a status line"),
    ];
    let mut open = false;
    let input = input.trim_ascii_start();
    if input.first().is_some_and(|byte| *byte != b'<') {
        return Sight::Unknown;
    }
    for (sign, what) in pages {
        match begins(input, sign) {
            Some(true) => {
                return Sight::words(Language::Other, "answered with a page without HTTP", what, b"");
            }
            None => open = true,
            Some(false) => {}
        }
    }
    if open && !input.is_empty() { Sight::More(Need::Bytes(input.len() + 1)) } else { Sight::Unknown }
}

/// An alert or a handshake of TLS (RFC 8446, section 5.1).
///
/// ```text
/// type (1): 21 alert, 22 handshake | version (2): 3, 0 to 4 | length (2) | of an alert: level (1), description (1)
/// ```
fn tls(input: &[u8], _end: bool) -> Sight<'_> {
    let reason = "answered in TLS";
    match *input {
        [21, 3, 0..=4, 0, 2, 1 | 2, alert, ..] => {
            Sight::words(Language::Other, reason, "a TLS alert", alert::name(alert).as_bytes())
        }
        [22, 3, 0..=4, 0..=0x48, _, 0..=24, ..] => {
            Sight::words(Language::Other, reason, "a TLS handshake record", b"")
        }
        [21 | 22] | [21 | 22, 3] | [21, 3, 0..=4] | [21, 3, 0..=4, 0] | [21, 3, 0..=4, 0, 2] => {
            Sight::More(Need::Bytes(7))
        }
        [21, 3, 0..=4, 0, 2, 1 | 2] => Sight::More(Need::Bytes(7)),
        [22, 3, 0..=4, ..] if input.len() < 6 => Sight::More(Need::Bytes(6)),
        _ => Sight::Unknown,
    }
}

/// The settings or the GOAWAY with which a server of HTTP/2 answers what is no preface (RFC 9113, section 3.4).
///
/// ```text
/// length (3) | type (1): 4 settings, 7 GOAWAY | flags (1): 0 | stream (4): 0
/// ```
fn http2(input: &[u8], _end: bool) -> Sight<'_> {
    let reason = "answered in HTTP/2";
    match *input {
        [0, 0, length, 4, 0, 0, 0, 0, 0, ..] if length % 6 == 0 => {
            Sight::words(Language::Http2, reason, "an HTTP/2 SETTINGS frame", b"")
        }
        [0, _, _, 7, 0, 0, 0, 0, 0, _, _, _, _, 0, 0, 0, code, ..] => {
            let name = crate::http2::error_name(code.into()).unwrap_or_default();
            Sight::words(Language::Http2, reason, "an HTTP/2 GOAWAY frame", name.as_bytes())
        }
        _ => Sight::Unknown,
    }
}

/// Frames of other RPC protocols.
fn rpc(input: &[u8], _end: bool) -> Sight<'_> {
    let thrift = |what| Sight::words(Language::Thrift, "answered in thrift", what, b"");
    match *input {
        // trpc.proto, TrpcMagic; data frame or stream frame.
        [0x09, 0x30, 0 | 1, ..] => Sight::words(Language::Trpc, "answered in tRPC", "a tRPC frame", b""),
        // Kitex, default_codec.go: the sign of TTHeader, and those of thrift with and without a frame.
        [0..=0x3f, _, _, _, 0x10, 0x00, 0, ..] => thrift("a TTHeader frame"),
        [0..=0x3f, _, _, _, 0x80, 0x01, 0, 1..=4, ..] | [0x80, 0x01, 0, 1..=4, ..] => {
            thrift("a thrift message")
        }
        // dubbo-go and dubbo-java, ExchangeCodec.
        [0xda, 0xbb, ..] => Sight::words(Language::Other, "answered in Dubbo", "a Dubbo frame", b""),
        // AMQP 0-9-1, section 4.2.2.
        [b'A', b'M', b'Q', b'P', 0..=1, ..] => {
            Sight::words(Language::Other, "answered in AMQP", "an AMQP protocol header", b"")
        }
        _ => Sight::Unknown,
    }
}

/// Greetings and errors of databases.
fn database(input: &[u8], end: bool) -> Sight<'_> {
    match *input {
        // Redis, RESP: `-ERR unknown command`.
        [b'-', b'A'..=b'Z', b'A'..=b'Z', ..] => match first_line(input, end) {
            Some(line) => Sight::words(Language::Other, "answered with an error of Redis", "", line),
            None => Sight::More(Need::Line(LINE_LIMIT)),
        },
        // MySQL, protocol::HandshakeV10 and ERR_Packet: length (3, little-endian), sequence, then 0x0a and the version, or
        // 0xff, code (2), perhaps `#` and five characters of state, text.
        [low, high, 0, 0..=2, kind @ (0x0a | 0xff), ..] => {
            let size = usize::from(u16::from_le_bytes([low, high]));
            if size > PACKET_LIMIT {
                return Sight::Unknown;
            }
            let Some(body) = input.get(5..4 + size) else {
                return if end { Sight::Unknown } else { Sight::More(Need::Bytes(4 + size)) };
            };
            let text = if kind == 0x0a {
                body.split(|byte| *byte == 0).next()
            } else {
                let text = body.get(2..);
                text.map(|text| text.strip_prefix(b"#").and_then(|text| text.get(5..)).unwrap_or(text))
            };
            match text.filter(|text| is_text(text)) {
                Some(text) if kind == 0x0a => {
                    Sight::words(Language::Other, "answered in MySQL's protocol", "a MySQL greeting", text)
                }
                Some(text) => {
                    Sight::words(Language::Other, "answered in MySQL's protocol", "a MySQL error", text)
                }
                None => Sight::Unknown,
            }
        }
        // PostgreSQL, ErrorResponse: `E`, length (4), fields of a letter and a text with a zero behind it.
        [b'E', 0, 0, high, low, b'S', ..] => {
            let size = usize::from(u16::from_be_bytes([high, low]));
            let Some(fields) = input.get(5..(1 + size).min(PACKET_LIMIT)) else {
                return if end { Sight::Unknown } else { Sight::More(Need::Bytes(1 + size)) };
            };
            let text = fields.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(b"M"));
            match text.filter(|text| is_text(text)) {
                Some(text) => Sight::words(
                    Language::Other,
                    "answered in PostgreSQL's protocol",
                    "a PostgreSQL error",
                    text,
                ),
                None => Sight::Unknown,
            }
        }
        _ => Sight::Unknown,
    }
}

/// Whether it reads as text.
fn is_text(bytes: &[u8]) -> bool {
    bytes.len() >= LEAST_LINE && bytes.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..))
}

/// A first line of plain text: SSH (RFC 4253, section 4.2), SMTP, FTP, memcached, a message of some server.
fn banner(input: &[u8], end: bool) -> Sight<'_> {
    let printable = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~');
    match first_line(input, end) {
        Some(line) if line.len() >= LEAST_LINE && line.iter().all(printable) => {
            let reason = if line.starts_with(b"SSH-") { "answered in SSH" } else { "answered in plain text" };
            Sight::words(Language::Other, reason, "", line)
        }
        None if input.iter().all(|byte| printable(byte) || *byte == b'\r') => {
            Sight::More(Need::Line(LINE_LIMIT))
        }
        _ => Sight::Unknown,
    }
}

/// What bytes are that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strange {
    /// More of them are needed to say.
    Wait(Need),
    /// An answer in a known language, which was emitted.
    Language,
    /// An answer in no known language, which was emitted.
    Bytes,
}

/// Looks for an answer in another language, and remembers of which side bytes are missing or could not be read: an answer there
/// is never certain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    own: Language,
    broken: [bool; 2],
}

impl Watch {
    /// Of a connection whose protocol speaks `own`.
    pub(crate) fn new(own: Language) -> Self {
        Self { own, broken: [false; 2] }
    }

    /// Bytes of `side` are missing, or where its messages begin is not known any more.
    pub(crate) fn lose(&mut self, side: Side) {
        *side.of_mut(&mut self.broken) = true;
    }

    /// Looks at the very first bytes of an answer, before they are read, for what can stand for nothing else.
    pub(crate) fn first(
        &mut self,
        at: At,
        input: &[u8],
        faults: &mut Faults,
        emit: &mut Emit<'_>,
    ) -> Option<Strange> {
        self.check(at, input, false, false, faults, emit)
    }

    /// Looks at bytes that are no message although one has to begin here; `may_begin`: one may begin like this all the same, so that they
    /// are only an answer in another language if that is recognised.
    pub(crate) fn unread(
        &mut self,
        at: At,
        input: &[u8],
        may_begin: bool,
        faults: &mut Faults,
        emit: &mut Emit<'_>,
    ) -> Option<Strange> {
        if let Some(strange) = self.check(at, input, false, true, faults, emit) {
            return Some(strange);
        }
        if may_begin || *at.side.of(&self.broken) {
            return None;
        }
        if input.len() < LEAST {
            return Some(Strange::Wait(Need::Bytes(LEAST)));
        }
        faults.note(Error::new(0, Layer::Frame, "answered with bytes that can't be decoded"));
        self.undecodable(at, emit).then_some(Strange::Bytes)
    }

    /// Emits that an answer can't be decoded, if that is certain.
    pub(crate) fn undecodable(&mut self, at: At, emit: &mut Emit<'_>) -> bool {
        let broken = std::mem::replace(at.side.of_mut(&mut self.broken), true);
        if !broken {
            emit(at.side, &Event::Foreign(Foreign { start: at.offset, answer: None }));
        }
        !broken
    }

    /// Looks at bytes with which a side ended before they were a message. Whether they are an answer in another language.
    pub(crate) fn last(&mut self, at: At, input: &[u8], faults: &mut Faults, emit: &mut Emit<'_>) -> bool {
        self.check(at, input, true, true, faults, emit).is_some()
    }

    fn check(
        &mut self,
        at: At,
        input: &[u8],
        end: bool,
        any_text: bool,
        faults: &mut Faults,
        emit: &mut Emit<'_>,
    ) -> Option<Strange> {
        if *at.side.of(&self.broken) {
            return None;
        }
        match look(input, self.own, end, any_text) {
            Look::Unknown => None,
            Look::More(need) => Some(Strange::Wait(need)),
            Look::Foreign(answer) => {
                self.lose(at.side);
                faults.note(Error::new(0, Layer::Frame, answer.reason));
                emit(at.side, &Event::Foreign(Foreign { start: at.offset, answer: Some(answer) }));
                Some(Strange::Language)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;

    /// What is said of an answer that is whole.
    fn said(input: &[u8]) -> Option<String> {
        SIGNS.iter().chain(&[banner as Recognise]).find_map(|recognise| match recognise(input, true) {
            Sight::Seen(_, answer) => Some(answer.to_string()),
            Sight::Unknown | Sight::More(_) => None,
        })
    }

    #[test]
    fn languages_are_recognised() {
        for (input, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\nServer: x\r\n\r\n"[..], "HTTP/1.1 400 Bad Request"),
            (b"HTTP/1.0 400 Bad Request\n", "HTTP/1.0 400 Bad Request"),
            (b"HTTP/1.1 400", "HTTP/1.1 400"),
            (b"<!DOCTYPE HTML>\n<html>", "an HTML page without a status line"),
            (b"\r\n<html><body>", "an HTML page without a status line"),
            (&[21, 3, 1, 0, 2, 2, 70], "a TLS alert: protocol_version"),
            (&[21, 3, 3, 0, 2, 2, 200], "a TLS alert: of another kind"),
            (&[22, 3, 3, 0, 90, 2, 0, 0], "a TLS handshake record"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
            (b"-ERR unknown command 'x'\r\n", "-ERR unknown command 'x'"),
            (b"220 mail.example ESMTP\r\n", "220 mail.example ESMTP"),
            (b"\x16\0\0\x01\xff\x15\x04#08S01Bad handshake", "a MySQL error: Bad handshake"),
            (b"\x0c\0\0\0\x0a8.0.36\0\x08\0\0\0", "a MySQL greeting: 8.0.36"),
            (b"E\0\0\0\x1aSFATAL\0C0A000\0Mno way\0\0", "a PostgreSQL error: no way"),
            (&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100], "an HTTP/2 SETTINGS frame"),
            (&[0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "an HTTP/2 GOAWAY frame: PROTOCOL_ERROR"),
            (&[9, 0x30, 0, 0, 0, 0, 0, 40], "a tRPC frame"),
            (&[0, 0, 0, 40, 0x10, 0, 0, 0], "a TTHeader frame"),
            (&[0, 0, 0, 40, 0x80, 1, 0, 3], "a thrift message"),
            (b"AMQP\0\0\x09\x01", "an AMQP protocol header"),
        ] {
            assert_eq!(said(input).as_deref(), Some(expected), "{input:?}");
        }
    }

    #[test]
    fn other_bytes_are_in_no_language() {
        for input in [&[0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5][..], b"ab\n", b"HTT", &[21, 3, 1], &[]] {
            assert_eq!(said(input), None, "{input:?}");
        }
        assert_eq!(look(b"hello there\n", Language::Trpc, true, false), Look::Unknown, "text without a sign");
        assert_eq!(look(b"HTTP/1.1 200 OK\r\n", Language::Http1, false, true), Look::Unknown, "its own");
    }

    #[test]
    fn a_language_is_the_same_at_every_split() {
        for input in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"<!DOCTYPE HTML>",
            b"SSH-2.0-x\r\n",
            &[21, 3, 1, 0, 2, 2, 70],
            &[22, 3, 3, 0, 90, 2],
            b"\x16\0\0\x01\xff\x15\x04#08S01Bad handshake",
        ] {
            for at in 1..input.len() {
                let early = look(&input[..at], Language::Trpc, false, true);
                let whole = look(input, Language::Trpc, false, true);
                assert!(matches!(whole, Look::Foreign(_)), "{input:?}");
                assert!(early == whole || !matches!(early, Look::Foreign(_)), "{input:?} {at}");
            }
        }
        assert!(matches!(look(b"HTTP/1.1 4", Language::Trpc, false, true), Look::More(Need::Line(_))));
    }

    /// What a session says of an answer that comes in two pieces, after bytes are missing if `gap`.
    fn strange(
        protocol: &dyn Protocol,
        asked: &(Side, Vec<u8>),
        answer: &[u8],
        cut: usize,
        gap: bool,
    ) -> Vec<Option<String>> {
        let (client, request) = asked;
        let mut seen = Vec::new();
        let mut session = protocol.session();
        let emit: &mut Emit<'_> = &mut |_, event| {
            if let Event::Foreign(Foreign { answer, .. }) = event {
                seen.push(answer.map(|answer| answer.to_string()));
            }
        };
        session.data(*client, request, emit);
        if gap {
            session.gap(client.other(), Some(5), emit);
        }
        let (first, second) = answer.split_at(cut.min(answer.len()));
        session.data(client.other(), first, emit);
        session.data(client.other(), second, emit);
        session.end(client.other(), emit);
        seen
    }

    /// The first request of every sample, with its protocol.
    fn each_request(mut each: impl FnMut(&dyn Protocol, &(Side, Vec<u8>))) {
        let modules = [
            "http2",
            "trpc",
            "http1",
            "ttheader",
            "mesh_header",
            "theader",
            "thrift_framed",
            "thrift_buffered",
        ];
        for (module, protocol) in modules.into_iter().zip(crate::all()) {
            let mut some = false;
            for conversation in crate::testing::samples(module).values() {
                let Some(asked) = conversation.first() else { continue };
                let mut asks = asked.1.starts_with(b"PRI * ");
                protocol.session().data(asked.0, &asked.1, &mut |_, event| {
                    asks |= matches!(event, Event::Request(_));
                });
                if asks {
                    each(*protocol, asked);
                    some = true;
                }
            }
            assert!(some, "{module}");
        }
    }

    const GARBAGE: [u8; 16] = [0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    #[test]
    fn every_session_notices_an_answer_in_another_language() {
        each_request(|protocol, asked| {
            for (answer, said) in [
                (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], Some("SSH-2.0-OpenSSH_9.2")),
                (&[21, 3, 1, 0, 2, 2, 70], Some("a TLS alert: protocol_version")),
                (b"<!DOCTYPE HTML><html>", Some("an HTML page without a status line")),
                (&GARBAGE, None),
            ] {
                for cut in 1..=answer.len() {
                    let expected = [said.map(str::to_owned)];
                    let seen = strange(protocol, asked, answer, cut, false);
                    assert_eq!(seen, expected, "{} {answer:?} cut at {cut}", protocol.name());
                }
            }
            let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            let expected: &[_] = match protocol.name() {
                "http1" => &[],
                _ => &[Some("HTTP/1.1 400 Bad Request".to_owned())],
            };
            for cut in 1..page.len() {
                assert_eq!(strange(protocol, asked, page, cut, false), expected, "{} {cut}", protocol.name());
            }
        });
    }

    #[test]
    fn nothing_is_certain_where_bytes_are_missing() {
        each_request(|protocol, asked| {
            for answer in [&b"SSH-2.0-OpenSSH_9.2\r\n"[..], &[21, 3, 1, 0, 2, 2, 70], &GARBAGE] {
                assert_eq!(strange(protocol, asked, answer, 3, true), [], "{} {answer:?}", protocol.name());
            }
        });
    }

    #[test]
    fn answers_of_a_protocol_are_in_its_language() {
        each_request(|protocol, _| {
            let module = crate::testing::samples(match protocol.name() {
                "framed" => "thrift_framed",
                "buffered" => "thrift_buffered",
                "mesh-header" => "mesh_header",
                name => name,
            });
            for (name, conversation) in &module {
                let mut session = protocol.session();
                for (side, bytes) in conversation {
                    for byte in bytes {
                        session.data(*side, &[*byte], &mut |_, event| {
                            assert!(!matches!(event, Event::Foreign(_)), "{name}");
                        });
                    }
                }
            }
        });
    }
}
