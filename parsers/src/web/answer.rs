//! What an answer says: from its head where that is enough, otherwise from its body.

use std::io::Read as _;

use super::claim::{Claim, Form, claim_of_type, media_type};
use super::envelopes::{Envelopes, LAST_LIMIT, Last};
use super::json::{self, End, JsonError};
use crate::event::{GrpcCode, GrpcStatus, Pairs, Rpc, Status, Text};

/// Binary logarithm of the largest window that a decoder of zstd may allocate: what RFC 8878, section 3.1.1.1.2, recommends to support.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed, as far as it can be undone here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Encoding {
    /// Not at all.
    #[default]
    Identity,
    Gzip,
    /// zlib, which gRPC calls `deflate`.
    Zlib,
    /// Zstandard (RFC 8878).
    Zstd,
    /// In a way that is not read here.
    Other,
}

impl Encoding {
    fn of(name: &[u8]) -> Self {
        match name.trim_ascii().to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Self::Identity,
            b"gzip" => Self::Gzip,
            b"deflate" => Self::Zlib,
            b"zstd" => Self::Zstd,
            _ => Self::Other,
        }
    }

    /// The bytes that are meant; `None` if they can't be had, or are more than the limit.
    fn decode(self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut plain = Vec::new();
        let limit = LAST_LIMIT as u64 + 1;
        let read = match self {
            Self::Identity => return Some(bytes.to_vec()),
            Self::Gzip => flate2::read::GzDecoder::new(bytes).take(limit).read_to_end(&mut plain),
            Self::Zlib => flate2::read::ZlibDecoder::new(bytes).take(limit).read_to_end(&mut plain),
            Self::Zstd => {
                let mut stream = zstd::Decoder::with_buffer(bytes).ok()?;
                stream.window_log_max(ZSTD_WINDOW_LOG).ok()?;
                stream.take(limit).read_to_end(&mut plain)
            }
            Self::Other => return None,
        };
        read.is_ok().then_some(plain).filter(|plain| plain.len() <= LAST_LIMIT)
    }
}

/// The code of a [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Code {
    Number(i64),
    /// There is one, and it is none that is known.
    Malformed(Vec<u8>),
    /// It is among missing bytes.
    Unknown,
    /// There is none.
    Absent,
}

/// What an answer says of success or failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    code: Code,
    /// Its text as sent; that of trailers is percent-encoded.
    message: Option<Vec<u8>>,
    /// A `google.rpc.Status`; that of trailers is in base64.
    details: Option<Vec<u8>>,
    http: Option<u16>,
    /// It stands in trailers, or would.
    trailers: bool,
    rpc: Rpc,
}

impl Verdict {
    /// The same as an event has it.
    pub(crate) fn status(&self) -> Status<'_> {
        let (message, details) = (self.message.as_deref(), self.details.as_deref());
        let (message, details) = if self.trailers {
            (message.map(Text::Percent), details.map(Text::Base64))
        } else {
            (message.map(Text::Plain), details.map(Text::Plain))
        };
        let status = GrpcStatus {
            code: match &self.code {
                Code::Number(code) => GrpcCode::Code(*code),
                Code::Malformed(raw) => GrpcCode::Malformed(Text::Plain(raw)),
                Code::Unknown => GrpcCode::Unknown,
                Code::Absent => GrpcCode::Absent,
            },
            message,
            details,
            biz: None,
            http: self.http,
            cut: self.code == Code::Unknown,
            deduced: false,
        };
        match self.rpc {
            Rpc::Connect | Rpc::Triple => Status::Connect(status),
            _ => Status::Grpc(status),
        }
    }

    /// Whether the call went well.
    #[cfg(test)]
    fn is_ok(&self) -> bool {
        self.code == Code::Number(0)
    }
}

/// What is known of an answer once its head is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    /// It is good if its body comes to its end.
    Good,
    /// It says everything, whatever comes after it.
    Decided(Verdict),
    /// Its body, or what comes after it, decides.
    Open,
}

/// How the body of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyEnd {
    /// It is whole.
    Whole,
    /// Bytes of it are missing, its end perhaps among them.
    Lost,
    /// The callee broke it off.
    Broken,
}

/// What the body of an answer is read for.
#[derive(Debug)]
enum Body {
    /// Nothing.
    Unread,
    /// A JSON error.
    Json { bytes: Vec<u8>, broken: bool },
    /// Messages, and the one that ends them.
    Envelopes(Envelopes),
}

/// The header fields of an answer that matter.
#[derive(Debug, Default)]
struct Fields {
    content_type: Vec<u8>,
    /// Of the whole body.
    encoding: Encoding,
    /// Of a message.
    message_encoding: Option<Encoding>,
    trailers: Trailers,
}

/// A status among header fields, in trailers of HTTP, or in a block of trailers within a body.
#[derive(Debug, Default)]
struct Trailers {
    status: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
    details: Option<Vec<u8>>,
}

impl Trailers {
    fn take(&mut self, name: &[u8], value: &[u8]) {
        let field = if name.eq_ignore_ascii_case(b"grpc-status") {
            &mut self.status
        } else if name.eq_ignore_ascii_case(b"grpc-message") {
            &mut self.message
        } else if name.eq_ignore_ascii_case(b"grpc-status-details-bin") {
            &mut self.details
        } else {
            return;
        };
        field.get_or_insert_with(|| value.to_vec());
    }

    /// Reads a block of lines (PROTOCOL-WEB, "Trailers").
    fn parse(block: &[u8]) -> Self {
        let mut trailers = Self::default();
        for line in block.split(|byte| *byte == b'\n') {
            if let Some(colon) = memchr::memchr(b':', line) {
                let (name, value) = line.split_at(colon);
                trailers.take(name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
            }
        }
        trailers
    }

    fn code(&self) -> Code {
        match &self.status {
            None => Code::Absent,
            Some(digits) => crate::http2::parse_status(digits)
                .map_or_else(|| Code::Malformed(digits.clone()), Code::Number),
        }
    }
}

impl Fields {
    fn of(headers: &dyn Pairs) -> Self {
        let mut fields = Self::default();
        headers.each(&mut |name, value| {
            let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
            if is(b"content-type") {
                fields.content_type = value.to_vec();
            } else if is(b"content-encoding") {
                fields.encoding = Encoding::of(value);
            } else if is(b"connect-content-encoding") || is(b"grpc-encoding") {
                fields.message_encoding = Some(Encoding::of(value));
            } else {
                fields.trailers.take(name, value);
            }
        });
        fields
    }

    fn is_json(&self) -> bool {
        media_type(&self.content_type).eq_ignore_ascii_case(b"application/json")
    }

    /// A page for a person to read: no library sends a message so.
    fn is_page(&self) -> bool {
        self.content_type.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/"))
    }
}

/// Reads one answer.
#[derive(Debug)]
pub(crate) struct AnswerReader {
    claim: Claim,
    http: Option<u16>,
    fields: Fields,
    /// Fields of its head that were not seen may say something else.
    hidden: bool,
    body: Body,
}

impl AnswerReader {
    /// About how many bytes of memory it takes in addition to its own size.
    pub(crate) fn memory(&self) -> usize {
        let Trailers { status, message, details } = &self.fields.trailers;
        let texts = [status, message, details].into_iter().flatten().map(Vec::capacity).sum::<usize>();
        let body = match &self.body {
            Body::Unread => 0,
            Body::Json { bytes, .. } => bytes.capacity(),
            Body::Envelopes(envelopes) => envelopes.memory(),
        };
        body + texts + self.fields.content_type.capacity()
    }

    /// Reads the head of the answer to a request that claims to be `claim`. `hidden`: some of its fields can't be read.
    pub(crate) fn new(claim: Claim, http: Option<u16>, headers: &dyn Pairs, hidden: bool) -> Self {
        let fields = Fields::of(headers);
        // The answer may be text where the request was not, and the other way round.
        let form = match claim_of_type(&fields.content_type) {
            Some(answer) if answer.rpc == claim.rpc => answer.form,
            _ => claim.form,
        };
        let body = match form {
            Form::Unary if http == Some(200) => Body::Unread,
            Form::Unary if fields.is_json() || (hidden && fields.content_type.is_empty()) => {
                Body::Json { bytes: Vec::new(), broken: false }
            }
            Form::Unary => Body::Unread,
            _ => Body::Envelopes(Envelopes::new(form)),
        };
        Self { claim: Claim { form, ..claim }, http, fields, hidden, body }
    }

    /// The same for an answer of which the beginning is missing, so that its messages have to be found.
    pub(crate) fn lost(claim: Claim) -> Self {
        let mut body = Envelopes::new(claim.form);
        body.skip(None);
        Self { claim, http: None, fields: Fields::default(), hidden: true, body: Body::Envelopes(body) }
    }

    /// What the head says.
    pub(crate) fn opening(&self) -> Opening {
        let absent = || Opening::Decided(self.verdict_of(Code::Absent));
        let trailers = &self.fields.trailers;
        match (self.claim.form, self.http) {
            (Form::Grpc | Form::GrpcWeb | Form::GrpcWebText, _) if trailers.status.is_some() => {
                Opening::Decided(self.verdict_of_trailers(trailers))
            }
            // A page where a message should be is none of the callee's library.
            (_, Some(200)) if self.fields.is_page() => absent(),
            // 304 tells a caller with a copy of the answer that the copy is still good (RFC 9110, section 15.4.5).
            (Form::Unary, Some(200 | 304)) => Opening::Good,
            (_, Some(200) | None) => Opening::Open,
            (Form::Unary, _) if matches!(self.body, Body::Json { .. }) => Opening::Open,
            (Form::Grpc | Form::GrpcWeb | Form::GrpcWebText, _) if self.hidden => Opening::Open,
            (_, Some(_)) => absent(),
        }
    }

    /// A frame with `length` bytes of the body begins.
    pub(crate) fn begin_frame(&mut self, length: u32) {
        if let Body::Envelopes(envelopes) = &mut self.body {
            envelopes.begin_frame(length);
        }
    }

    /// Takes the next bytes of the body; says how many messages they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> u32 {
        match &mut self.body {
            Body::Unread => 0,
            Body::Json { bytes: kept, broken } => {
                let room = LAST_LIMIT.saturating_sub(kept.len());
                *broken |= bytes.len() > room;
                kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
                0
            }
            Body::Envelopes(envelopes) => envelopes.feed(bytes),
        }
    }

    /// The next `missing` bytes of the body are lost (`None`: an unknown number).
    pub(crate) fn skip(&mut self, missing: Option<u64>) {
        match &mut self.body {
            Body::Unread => {}
            Body::Json { broken, .. } => *broken |= missing != Some(0),
            Body::Envelopes(envelopes) => envelopes.skip(missing),
        }
    }

    /// Takes the trailers of HTTP.
    pub(crate) fn trailer(&mut self, name: &[u8], value: &[u8]) {
        self.fields.trailers.take(name, value);
    }

    /// Whether the answer is one message.
    pub(crate) fn is_unary(&self) -> bool {
        self.claim.form == Form::Unary
    }

    /// Whether the message that ends the answer is there: nothing that comes after it counts.
    pub(crate) fn is_over(&self) -> bool {
        matches!(&self.body, Body::Envelopes(envelopes) if matches!(envelopes.last(), Last::Whole(..)))
    }

    /// Whether its head says that the call failed, and its body only says why.
    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.body, Body::Json { .. }) && self.http.is_some()
    }

    /// Whether the body shows by itself that the exchange was a call of Connect.
    pub(crate) fn is_certain(&self) -> bool {
        let Body::Json { bytes, broken: false } = &self.body else { return false };
        let plain = self.fields.encoding.decode(bytes);
        plain.zip(self.http).is_some_and(|(plain, http)| json::is_certain(&plain, http))
    }

    fn verdict_of(&self, code: Code) -> Verdict {
        let trailers = matches!(self.claim.form, Form::GrpcWeb | Form::GrpcWebText | Form::Grpc);
        Verdict { code, message: None, details: None, http: self.http, trailers, rpc: self.claim.rpc }
    }

    fn verdict_of_trailers(&self, trailers: &Trailers) -> Verdict {
        let (message, details) = (trailers.message.clone(), trailers.details.clone());
        Verdict { message, details, ..self.verdict_of(trailers.code()) }
    }

    fn verdict_of_json(&self, error: JsonError) -> Verdict {
        let code = match error.code {
            Some((_, Some(number))) => Code::Number(number),
            // Callers take the HTTP status of a unary answer instead (Connect, "Error Codes"); a stream has none.
            _ if self.claim.form == Form::Unary => Code::Absent,
            Some((name, None)) => Code::Malformed(name.into_bytes()),
            None => Code::Malformed(Vec::new()),
        };
        let details = Some(error.details).filter(|details| !details.is_empty());
        Verdict { message: error.message.map(String::into_bytes), details, ..self.verdict_of(code) }
    }

    /// What the answer says now that its body is over.
    pub(crate) fn verdict(&self, end: BodyEnd) -> Verdict {
        let unknown = || self.verdict_of(Code::Unknown);
        match &self.body {
            Body::Unread => match (self.opening(), end) {
                (Opening::Decided(verdict), _) => verdict,
                (Opening::Good, BodyEnd::Whole | BodyEnd::Lost) => self.verdict_of(Code::Number(0)),
                _ => unknown(),
            },
            Body::Json { .. } if end == BodyEnd::Broken => self.verdict_of(Code::Absent),
            Body::Json { broken: true, .. } => unknown(),
            Body::Json { .. } if end == BodyEnd::Lost => unknown(),
            Body::Json { bytes, .. } => match self.fields.encoding.decode(bytes) {
                Some(plain) => match json::parse_error(&plain) {
                    Some(error) => self.verdict_of_json(error),
                    None if self.hidden => unknown(),
                    None => self.verdict_of(Code::Absent),
                },
                None => unknown(),
            },
            Body::Envelopes(envelopes) => match envelopes.last() {
                Last::Whole(last, compressed) => self.verdict_of_last(last, compressed),
                _ if self.fields.trailers.status.is_some() => self.verdict_of_trailers(&self.fields.trailers),
                Last::Missing => unknown(),
                Last::None | Last::Foreign if end == BodyEnd::Lost || self.hidden => unknown(),
                // All of it is compressed in a way that hides the messages.
                Last::Foreign if self.fields.encoding != Encoding::Identity => unknown(),
                Last::None | Last::Foreign => self.verdict_of(Code::Absent),
            },
        }
    }

    /// What the message says that ends the answer.
    fn verdict_of_last(&self, last: &[u8], compressed: bool) -> Verdict {
        let encoding = match self.fields.message_encoding {
            _ if !compressed => Encoding::Identity,
            // The field that names the encoding may be one of those that can't be read. A checksum guards against chance.
            None if self.hidden => Encoding::Gzip,
            encoding => encoding.unwrap_or_default(),
        };
        let Some(plain) = encoding.decode(last) else { return self.verdict_of(Code::Unknown) };
        if self.claim.form != Form::ConnectStream {
            return self.verdict_of_trailers(&Trailers::parse(&plain));
        }
        match json::parse_end(&plain) {
            End::Good => self.verdict_of(Code::Number(0)),
            End::Failed(error) => self.verdict_of_json(error),
            End::Malformed => self.verdict_of(Code::Absent),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    const NONE: [(&str, &str); 0] = [];

    fn claim(rpc: Rpc, form: Form) -> Claim {
        Claim { rpc, form, codec: None, timeout: None }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
        [&[flags][..], &(message.len() as u32).to_be_bytes(), message].concat()
    }

    /// What an answer of that form says.
    fn read(claim: Claim, http: u16, headers: &[(&str, &str)], body: &[u8]) -> Verdict {
        let headers: Vec<(&str, &str)> = headers.to_vec();
        let mut reader = AnswerReader::new(claim, Some(http), &headers, false);
        if let Opening::Decided(verdict) = reader.opening() {
            return verdict;
        }
        reader.feed(body);
        reader.verdict(BodyEnd::Whole)
    }

    fn code(verdict: &Verdict) -> Option<i64> {
        match verdict.code {
            Code::Number(code) => Some(code),
            _ => None,
        }
    }

    const JSON: (&str, &str) = ("Content-Type", "application/json");
    const ERROR: &[u8] = br#"{"code":"not_found","message":"no row"}"#;

    #[test]
    fn a_unary_answer_fails_with_its_http_status_and_says_why_in_json() {
        let unary = claim(Rpc::Connect, Form::Unary);
        let failed = read(unary, 404, &[JSON], ERROR);
        assert_eq!((code(&failed), failed.message.as_deref()), (Some(5), Some(&b"no row"[..])));
        let packed = read(unary, 404, &[JSON, ("content-encoding", "gzip")], &gzip(ERROR));
        assert_eq!(packed, failed);
        let zstd = |text: &[u8]| zstd::encode_all(text, 3).unwrap();
        let encoded = |body: &[u8]| read(unary, 404, &[JSON, ("content-encoding", "zstd")], body);
        assert_eq!(encoded(&zstd(ERROR)), failed);
        let broken = zstd(ERROR);
        assert_eq!(encoded(&broken[..broken.len() - 1]).code, Code::Unknown);
        assert_eq!(encoded(&zstd(&vec![b' '; 8 << 20])).code, Code::Unknown, "more than the limit");
        // A frame that asks for a window of 2 GiB (RFC 8878, section 3.1.1.1.2).
        assert_eq!(encoded(b"\x28\xb5\x2f\xfd\0\xa8\x01\0\0").code, Code::Unknown);
        assert!(matches!(failed.status(), Status::Connect(_)));
        assert!(read(unary, 200, &[JSON], b"{}").is_ok());
        assert!(read(unary, 304, &NONE, b"").is_ok());
        for (http, headers, body) in [
            (404, &[("content-type", "text/plain")][..], &b"404 page not found"[..]),
            (502, &NONE[..], b""),
            (503, &[JSON], b"not json"),
            (200, &[("content-type", "text/html")], b"<html>"),
            (204, &NONE, b""),
        ] {
            assert_eq!(read(unary, http, headers, body).code, Code::Absent, "{http}");
        }
        // The text counts although the code is of nobody.
        let own = read(unary, 500, &[JSON], br#"{"status":"500","message":"of Dubbo"}"#);
        assert_eq!((own.code, own.message.as_deref()), (Code::Absent, Some(&b"of Dubbo"[..])));
        let unread = read(unary, 404, &[JSON, ("content-encoding", "br")], b"??");
        assert_eq!(unread.code, Code::Unknown);
    }

    #[test]
    fn a_stream_says_in_its_last_message_how_it_went() {
        let stream = claim(Rpc::Connect, Form::ConnectStream);
        let kind = ("content-type", "application/connect+proto");
        let ends = |last: &[u8], flags| [envelope(0, b"m"), envelope(flags, last)].concat();
        assert!(read(stream, 200, &[kind], &ends(b"{}", 2)).is_ok());
        let error = [&b"{\"error\":"[..], ERROR, b"}"].concat();
        assert_eq!(code(&read(stream, 200, &[kind], &ends(&error, 2))), Some(5));
        let encoding = ("connect-content-encoding", "gzip");
        assert_eq!(code(&read(stream, 200, &[kind, encoding], &ends(&gzip(&error), 3))), Some(5));
        assert_eq!(read(stream, 200, &[kind], &ends(&gzip(&error), 3)).code, Code::Absent);
        assert_eq!(read(stream, 200, &[kind], &envelope(0, b"m")).code, Code::Absent);
        assert_eq!(read(stream, 502, &[kind], b"").code, Code::Absent);
        let own = ends(br#"{"error":{"code":"row_gone"}}"#, 2);
        assert_eq!(read(stream, 200, &[kind], &own).code, Code::Malformed(b"row_gone".to_vec()));
    }

    #[test]
    fn grpc_web_has_its_trailers_in_the_body_or_in_the_head() {
        let web = claim(Rpc::GrpcWeb, Form::GrpcWeb);
        let kind = ("content-type", "application/grpc-web+proto");
        let trailers = b"grpc-status: 9\r\nGrpc-Message:sold%20out\r\n";
        let failed = read(web, 200, &[kind], &envelope(0x80, trailers));
        let Status::Grpc(status) = failed.status() else { panic!("{failed:?}") };
        assert_eq!(
            (status.code, status.message.unwrap().decode()),
            (GrpcCode::Code(9), b"sold out"[..].into())
        );
        let alone = read(web, 200, &[kind, ("grpc-status", "9"), ("grpc-message", "sold%20out")], b"");
        assert_eq!(alone, failed);
        let text = [("content-type", "application/grpc-web-text")];
        assert_eq!(code(&read(web, 200, &text, b"gAAAAA5ncnBjLXN0YXR1czo3DQo=")), Some(7));
        assert_eq!(read(web, 200, &[kind], &envelope(0, b"m")).code, Code::Absent);
        assert_eq!(read(web, 404, &NONE, b"").code, Code::Absent);
        assert_eq!(
            read(web, 200, &[kind], &envelope(0x80, b"grpc-status: x\r\n")).code,
            Code::Malformed(b"x".to_vec())
        );
    }

    #[test]
    fn an_encoding_that_cant_be_read_is_gzip_or_unknown() {
        let web = claim(Rpc::GrpcWeb, Form::GrpcWeb);
        let read = |last: &[u8]| {
            let mut reader = AnswerReader::new(web, Some(200), &vec![("x", "y")], true);
            reader.feed(&envelope(0x81, last));
            reader.verdict(BodyEnd::Whole).code
        };
        assert_eq!(read(&gzip(b"grpc-status: 9\r\n")), Code::Number(9));
        assert_eq!(read(b"grpc-status: 9\r\n"), Code::Unknown);
    }

    #[test]
    fn bytes_that_are_missing_leave_it_open() {
        for (form, http, body) in [
            (Form::Unary, 404, ERROR),
            (Form::ConnectStream, 200, &envelope(2, b"{}")[..]),
            (Form::GrpcWeb, 200, &envelope(0x80, b"grpc-status: 0\r\n")[..]),
        ] {
            for cut in 0..body.len() {
                let mut reader = AnswerReader::new(claim(Rpc::Connect, form), Some(http), &vec![JSON], false);
                reader.feed(&body[..cut]);
                assert_eq!(reader.verdict(BodyEnd::Lost).code, Code::Unknown, "{form:?} {cut}");
                reader.skip(Some(1));
                reader.feed(&body[cut + 1..]);
                assert_eq!(reader.verdict(BodyEnd::Whole).code, Code::Unknown, "{form:?} {cut}");
                let mut reader = AnswerReader::new(claim(Rpc::Connect, form), Some(http), &vec![JSON], false);
                reader.feed(&body[..cut]);
                assert!(!reader.verdict(BodyEnd::Broken).is_ok(), "{form:?} {cut}");
            }
        }
    }

    #[test]
    fn a_bomb_stays_small() {
        let bomb = gzip(&vec![b' '; 8 << 20]);
        assert_eq!(Encoding::Gzip.decode(&bomb), None);
    }
}
