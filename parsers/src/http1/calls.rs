//! Which exchanges are calls, and what their heads and bodies say.
//!
//! tRPC over HTTP/1.1 (trpc-go `http/codec.go`): `POST /service/method`; a request of a tRPC client carries `trpc-caller`,
//! `trpc-callee` and `trpc-timeout`, an error answer `trpc-ret` or `trpc-func-ret` with `trpc-error-msg`. Any other client may
//! call such a server without these headers: then only an error answer shows that it was tRPC, and a success does not.
//!
//! Thrift over HTTP (Apache `THttpClient`): `POST` with `application/x-thrift`, the body is one message.

use base64::Engine as _;

use super::head::{Head, Start};
use crate::bodies::form_of;
use crate::event::{
    self, Answer, BodyForm, BodyPiece, CallId, Codes, Event, Names, Pairs, Reply, Request, Rpc, Status, Text,
    ThriftStatus, Transport,
};
use crate::session::At;
use crate::{thrift, web};

/// Nanoseconds of a millisecond, the unit of `trpc-timeout`.
const MILLISECOND: u64 = 1_000_000;

/// Headers that only a tRPC client sets.
const TRPC_REQUEST_FIELDS: [&str; 5] =
    ["trpc-caller", "trpc-callee", "trpc-timeout", "trpc-message-type", "trpc-trans-info"];

/// The header that carries `trans_info`: a JSON object of base64 values.
const TRANS_INFO: &str = "trpc-trans-info";

impl Pairs for Head<'_> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (name, value) in &self.fields {
            if !name.eq_ignore_ascii_case(TRANS_INFO.as_bytes()) {
                each(name, value);
            }
        }
        let Some(json) = self.field(TRANS_INFO) else { return };
        match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(json) {
            Ok(entries) => {
                for (key, value) in entries {
                    let text = value.as_str().unwrap_or_default();
                    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
                    each(key.as_bytes(), &decoded.unwrap_or_else(|_| text.as_bytes().to_vec()));
                }
            }
            Err(_) => each(TRANS_INFO.as_bytes(), json),
        }
    }
}

/// The media type of a head's content, without parameters.
fn media_type<'a>(head: &Head<'a>) -> &'a [u8] {
    let value = head.field("content-type").unwrap_or_default();
    value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether the content is a thrift message.
pub(super) fn is_thrift(head: &Head<'_>) -> bool {
    let known: [&[u8]; 5] = [
        b"application/x-thrift",
        b"application/thrift",
        b"application/vnd.apache.thrift.binary",
        b"application/vnd.apache.thrift.compact",
        b"application/vnd.apache.thrift.json",
    ];
    let sent = media_type(head);
    known.iter().any(|known| sent.eq_ignore_ascii_case(known))
}

/// Whether the head is of a request that a tRPC client made.
pub(super) fn is_trpc_request(head: &Head<'_>) -> bool {
    TRPC_REQUEST_FIELDS.iter().any(|name| head.field(name).is_some())
}

/// Whether the head is of an answer by which a tRPC server reports an error.
pub(super) fn is_trpc_error(head: &Head<'_>) -> bool {
    head.field("trpc-ret").is_some() || head.field("trpc-func-ret").is_some()
}

/// The names of tRPC's serializations by their media types (trpc-go `http/codec.go`, `contentTypeSerializationType`).
const CODECS: [(&str, &str); 11] = [
    ("application/proto", "protobuf"),
    ("application/pb", "protobuf"),
    ("application/protobuf", "protobuf"),
    ("application/x-protobuf", "protobuf"),
    ("application/json", "json"),
    ("application/jce", "jce"),
    ("application/flatbuffer", "flatbuffers"),
    ("application/xml", "xml"),
    ("text/xml", "xml"),
    ("application/octet-stream", "noop"),
    ("application/x-www-form-urlencoded", "form"),
];

/// The name of the serialization of a head's content.
fn codec(head: &Head<'_>) -> Option<&'static str> {
    let sent = media_type(head);
    CODECS.iter().find(|(known, _)| sent.eq_ignore_ascii_case(known.as_bytes())).map(|(_, name)| *name)
}

/// Service and method of a target `/service/method?query`.
fn split_target(target: &[u8]) -> (Option<Text<'_>>, Option<Text<'_>>) {
    let (service, method) = web::split_target(target);
    (service.map(Text::Plain), method.map(Text::Plain))
}

fn text<'a>(head: &Head<'a>, name: &str) -> Option<Text<'a>> {
    head.field(name).filter(|value| !value.is_empty()).map(Text::Plain)
}

fn number<T: std::str::FromStr>(head: &Head<'_>, name: &str) -> Option<T> {
    std::str::from_utf8(head.field(name)?).ok()?.parse().ok()
}

/// The head of an event. Answers come in the order of requests.
fn event_head(rpc: Rpc) -> event::Head {
    event::Head::new(rpc, Transport::Http1, CallId::Order)
}

/// What a request of tRPC over HTTP says.
pub(super) fn trpc_request<'a>(head: &'a Head<'a>) -> Event<'a> {
    let (service, method) = match head.start {
        Start::Request { target, .. } => split_target(target),
        Start::Status { .. } => (None, None),
    };
    let timeout = number::<u32>(head, "trpc-timeout").filter(|ms| *ms > 0);
    Event::Request(Request {
        traced: true,
        head: event::Head { codec: codec(head), ..event_head(Rpc::TrpcHttp) },
        oneway: false,
        names: Names {
            service,
            method,
            caller: text(head, "trpc-caller"),
            callee: text(head, "trpc-callee"),
            sender: None,
        },
        timeout: timeout.map(|ms| u64::from(ms) * MILLISECOND),
        headers: Some(head),
    })
}

/// Whether the status of an answer says that HTTP worked.
pub(super) fn is_success(head: &Head<'_>) -> bool {
    http_status(head).is_some_and(|code| (200..300).contains(&code))
}

fn http_status(head: &Head<'_>) -> Option<u16> {
    match head.start {
        Start::Status { code } => Some(code),
        Start::Request { .. } => None,
    }
}

/// An answer with that status.
fn answer<'a>(head: event::Head, status: Status<'a>, body: bool, headers: event::Headers<'a>) -> Event<'a> {
    let names = Names::default();
    Event::Answer(Answer { head, names, quoted: None, status, body, oneway: false, headers })
}

/// What an answer of tRPC over HTTP says. `body`: its body is not known to be empty.
pub(super) fn trpc_answer<'a>(head: &'a Head<'a>, body: bool) -> Event<'a> {
    let (ret, func_ret) = (number(head, "trpc-ret"), number(head, "trpc-func-ret"));
    let failed = [ret, func_ret].iter().any(|code: &Option<i32>| code.is_some_and(|code| code != 0));
    let codes = Codes { ret, func_ret, message: text(head, "trpc-error-msg") };
    let status = Status::TrpcHttp { codes, http: http_status(head) };
    // The content type of a text that says what went wrong is not the call's.
    let of_call = event::Head { codec: codec(head), ..event_head(Rpc::TrpcHttp) };
    answer(of_call, status, failed && body, Some(head))
}

/// What a thrift message in the body of a request or an answer says; `None` if it is none.
pub(super) fn thrift_message<'a>(head: &'a Head<'a>, body: &'a [u8]) -> Option<Event<'a>> {
    let envelope = thrift::parse_message(body).ok()?;
    if matches!(head.start, Start::Request { .. }) == envelope.message_type.is_answer() {
        return None;
    }
    let mut event = envelope.event(Transport::Http1);
    if let Some(of_call) = event.set_headers(head) {
        of_call.id = CallId::Order;
    }
    match &mut event {
        Event::Request(request) => request.traced = true,
        Event::Answer(Answer { status: Status::Thrift(status), .. }) => status.http = http_status(head),
        _ => {}
    }
    Some(event)
}

/// What may be replaced of the content of a message in which a thrift message was looked for. `sized`: it stands in one piece from `at`
/// on, not in chunks.
pub(super) fn thrift_piece<'a>(
    message: Option<&Event<'_>>,
    at: At,
    content: &'a [u8],
    sized: bool,
) -> Option<BodyPiece<'a>> {
    if content.is_empty() {
        return None;
    }
    let (start, form) = match message.and_then(Event::head) {
        Some(head) => {
            let span = thrift::parse_message(content).ok()?.body_span()?;
            (span.start, form_of(head, span))
        }
        None => (0, BodyForm::Opaque),
    };
    let form = if sized { form } else { BodyForm::Sealed };
    let bytes = content.get(start..)?;
    Some(BodyPiece { at: at.after(start).offset, bytes, begins: true, form })
}

/// The struct of a thrift message in a body; `None` where it has none of interest.
pub(super) fn thrift_body(body: &[u8]) -> Option<&[u8]> {
    body.get(thrift::parse_message(body).ok()?.body_span()?.start..)
}

/// The answer to a thrift call that carries no thrift message: an HTTP status is all that it says. `cut`: there is a
/// message, which can't be read.
pub(super) fn thrift_status<'a>(head: &'a Head<'a>, cut: bool) -> Event<'a> {
    let reply = if cut { Reply::Missing } else { Reply::Silent };
    let status = Status::Thrift(ThriftStatus { biz: None, reply, http: http_status(head), cut });
    answer(event_head(Rpc::Thrift), status, false, Some(head))
}

/// The empty answer of a server to a thrift call that is done with it: it has no answer to give, whatever the message type of
/// the call was (clients of Apache Thrift that send one-way calls as CALL).
pub(super) fn thrift_silence<'a>(head: &'a Head<'a>) -> Event<'a> {
    let mut event = thrift_status(head, false);
    if let Event::Answer(answer) = &mut event {
        answer.oneway = true;
    }
    event
}

/// A lost answer to a call of that protocol, which was due before `start`.
pub(super) fn lost_answer(rpc: Rpc, start: u64) -> Event<'static> {
    let status = match rpc {
        Rpc::Thrift => {
            Status::Thrift(ThriftStatus { biz: None, reply: Reply::Missing, http: None, cut: true })
        }
        _ => Status::Missing,
    };
    answer(event::Head { start, truncated: true, ..event_head(rpc) }, status, false, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_names_service_and_method() {
        let split = |target: &'static [u8]| {
            let (service, method) = split_target(target);
            let lossy =
                |text: Option<Text<'_>>| text.map(|text| String::from_utf8_lossy(text.raw()).into_owned());
            (lossy(service).unwrap_or_default(), lossy(method).unwrap_or_default())
        };
        let pair = |service: &str, method: &str| (service.to_owned(), method.to_owned());
        assert_eq!(split(b"/trpc.shop.Order/Get?x=/y"), pair("trpc.shop.Order", "Get"));
        assert_eq!(split(b"http://10.0.0.1:80/trpc.shop.Order/Get"), pair("trpc.shop.Order", "Get"));
        assert_eq!(split(b"/rpc"), pair("", "rpc"));
        assert_eq!(split(b"/"), pair("", ""));
        assert_eq!(split(b"*"), pair("", "*"));
    }
}
