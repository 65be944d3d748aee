//! Connect and its kin over HTTP/1.1.

use super::*;
use crate::testing::flat::GrpcStatus;

const ERROR: &str = r#"{"code":"not_found","message":"no row"}"#;
const END: &str = r#"{"error":{"code":"not_found","message":"no row"}}"#;

fn post(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("POST /depot.v1.Stock/Get HTTP/1.1\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn reply(status: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn chunked(fields: &str, chunks: &[&[u8]], trailers: &str) -> Vec<u8> {
    let mut wire = format!("HTTP/1.1 200 OK\r\n{fields}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in chunks {
        wire.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        wire.extend_from_slice(chunk);
        wire.extend(b"\r\n");
    }
    wire.extend(format!("0\r\n{trailers}\r\n").into_bytes());
    wire
}

fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

fn status_of(message: &Message<'_>) -> String {
    let text = text(message.status.grpc_message.as_ref());
    match &message.status.grpc {
        Some(GrpcStatus::Code(code)) => format!("{code} {text}"),
        Some(GrpcStatus::Malformed(_)) => "malformed".to_owned(),
        Some(GrpcStatus::Unknown) => "unknown".to_owned(),
        None => format!("http {:?}", message.status.http.unwrap_or_default()),
    }
}

/// Protocol, kind and status of what is seen, at every split of both sides.
fn exchange(asked: &[u8], answered: &[u8]) -> Vec<(&'static str, Kind, String)> {
    let at = |cut: usize| {
        let pieces: Vec<_> = [(Side::A, asked), (Side::B, answered)]
            .into_iter()
            .flat_map(|(side, bytes)| {
                let (first, second) = bytes.split_at(cut.min(bytes.len()));
                [(side, first.to_vec()), (side, second.to_vec())]
            })
            .collect();
        let seen = messages(&Http1, &pieces);
        seen.iter()
            .map(|seen| (seen.message.rpc, seen.message.kind, status_of(&seen.message)))
            .collect::<Vec<_>>()
    };
    let whole = at(0);
    for cut in 1..asked.len().max(answered.len()) {
        assert_eq!(at(cut), whole, "cut at {cut}");
    }
    whole
}

/// Protocol and status of the only answer.
fn status(asked: &[u8], answered: &[u8]) -> (&'static str, String) {
    let seen = exchange(asked, answered);
    let answers: Vec<_> = seen.iter().filter(|(_, kind, _)| *kind == Kind::Answer).collect();
    let [(rpc, _, status)] = &*answers else { panic!("{seen:?}") };
    (rpc, status.clone())
}

fn is(rpc: &'static str, status: &str) -> (&'static str, String) {
    (rpc, status.to_owned())
}

const CONNECT: &str = "Connect-Protocol-Version: 1\r\nContent-Type: application/json\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn unary_calls_of_connect_and_triple() {
    let asked = post(CONNECT, b"{}");
    assert_eq!(status(&asked, &reply("200 OK", JSON, b"{}")), is("connect", "0 "));
    assert_eq!(status(&asked, &reply("404 Not Found", JSON, ERROR.as_bytes())), is("connect", "5 no row"));
    let page = reply("404 Not Found", "Content-Type: text/plain\r\n", b"404 page not found");
    assert_eq!(status(&asked, &page), is("connect", "http 404"));
    assert_eq!(status(&asked, &reply("304 Not Modified", "", b"")), is("connect", "0 "));
    let triple = post("tri-service-version: 1.0\r\nContent-Type: application/json\r\n", b"[]");
    let own = reply("500 No", JSON, br#"{"code":"code_17","message":"sold out"}"#);
    assert_eq!(status(&triple, &own), is("triple", "17 sold out"));
    let get = b"GET /depot.v1.Stock/Get?connect=v1&encoding=proto&base64=1&message= HTTP/1.1\r\n\r\n";
    let failed = chunked(JSON, &[&ERROR.as_bytes()[..7], &ERROR.as_bytes()[7..]], "");
    let failed = String::from_utf8(failed).unwrap().replacen("200 OK", "404 Not Found", 1);
    assert_eq!(status(get, failed.as_bytes()), is("connect", "5 no row"));
}

#[test]
fn streams_have_their_messages_counted_and_their_end_read() {
    let kind = "Content-Type: application/connect+json\r\n";
    let asked = post(kind, &[envelope(0, b"{}"), envelope(0, b"{}")].concat());
    let (m, end) = (envelope(0, b"{}"), envelope(2, END.as_bytes()));
    let answered = chunked(kind, &[&m, &m, &m, &end], "");
    let pieces = [(Side::A, asked.clone()), (Side::B, answered.clone())];
    let seen = messages(&Http1, &pieces);
    let counted: Vec<_> = seen.iter().map(|seen| (seen.message.kind, seen.message.messages)).collect();
    let (open, part, half) = (Kind::Open, Kind::Part, Kind::HalfClose);
    assert_eq!(counted, [(open, 0), (part, 2), (half, 0), (Kind::Begin, 0), (part, 3), (Kind::Answer, 0)]);
    let sent: u64 = seen.iter().filter(|seen| seen.side == Side::B).map(|seen| seen.message.bytes).sum();
    assert_eq!(sent, answered.len() as u64);
    assert_eq!(status(&asked, &answered), is("connect", "5 no row"));
    assert_eq!(status(&asked, &chunked(kind, &[&m, &envelope(2, b"{}")], "")), is("connect", "0 "));
    assert_eq!(status(&asked, &chunked(kind, &[&m], "")), is("connect", "http 200"));
    let kind = "Content-Type: application/grpc-web-text\r\n";
    let text = post(kind, b"AAAAAAA=");
    let body = b"AAAAAAE3gAAAAA5ncnBjLXN0YXR1czo5DQo=";
    assert_eq!(status(&text, &reply("200 OK", kind, body)), is("grpc-web", "9 "));
}

#[test]
fn grpc_has_its_status_in_the_trailers_of_the_chunked_coding() {
    let kind = "Content-Type: application/grpc\r\n";
    let asked = post(kind, &envelope(0, b"m"));
    let trailers = "grpc-status: 5\r\ngrpc-message: no%20row\r\n";
    assert_eq!(status(&asked, &chunked(kind, &[&envelope(0, b"m")], trailers)), is("grpc", "5 no row"));
    let only = format!("{kind}grpc-status: 12\r\n");
    assert_eq!(status(&asked, &reply("200 OK", &only, b"")), is("grpc", "12 "));
    assert_eq!(status(&asked, &chunked(kind, &[&envelope(0, b"m")], "")), is("grpc", "http 200"));
    assert_eq!(status(&asked, &reply("503 No", "", b"")), is("grpc", "http 503"));
}

#[test]
fn rest_is_no_call_unless_connect_refuses_it() {
    let bare = post(JSON, b"{}");
    assert_eq!(exchange(&bare, &reply("200 OK", JSON, b"{}")), []);
    assert_eq!(exchange(&bare, &reply("404 Not Found", JSON, br#"{"code":404,"message":"no"}"#)), []);
    // The status is another one than that of the code.
    assert_eq!(exchange(&bare, &reply("400 Bad Request", JSON, ERROR.as_bytes())), []);
    let refused = reply("404 Not Found", JSON, ERROR.as_bytes());
    assert_eq!(status(&bare, &refused), is("connect", "5 no row"));
    let seen = messages(&Http1, &[(Side::A, bare.clone()), (Side::B, refused)]);
    let asked = &seen[0].message;
    assert_eq!((asked.kind, asked.start, asked.bytes), (Kind::Request, 0, bare.len() as u64));
}

#[test]
fn an_answer_alone_is_a_call_if_its_type_says_so() {
    let kind = "Content-Type: application/connect+proto\r\n";
    let answered = chunked(kind, &[&envelope(2, END.as_bytes())], "");
    assert_eq!(status(b"", &answered), is("connect", "5 no row"));
    assert_eq!(exchange(b"", &reply("404 Not Found", JSON, ERROR.as_bytes())), []);
}

/// What is seen if bytes `from..to` of the answer are lost.
fn with_gap(asked: &[u8], answered: &[u8], from: usize, to: usize) -> Vec<String> {
    let mut session = Http1.session();
    let mut statuses = Vec::new();
    let mut emit = |side, event: &Event<'_>| {
        let seen = own(side, event);
        if seen.message.kind == Kind::Answer {
            let cut = seen.message.status.cut && seen.message.status.grpc.is_none();
            statuses.push(if cut { "unknown".to_owned() } else { status_of(&seen.message) });
        }
    };
    session.data(Side::A, asked, &mut emit);
    session.data(Side::B, &answered[..from], &mut emit);
    session.gap(Side::B, Some((to - from) as u64), &mut emit);
    session.data(Side::B, &answered[to..], &mut emit);
    session.end(Side::B, &mut emit);
    statuses
}

#[test]
fn missing_bytes_leave_the_outcome_open() {
    let unary = (post(CONNECT, b"{}"), reply("404 Not Found", JSON, ERROR.as_bytes()), "5 no row");
    let kind = "Content-Type: application/connect+json\r\n";
    let end = envelope(2, END.as_bytes());
    let stream = (post(kind, b""), reply("200 OK", kind, &[envelope(0, b"{}"), end].concat()), "5 no row");
    for (asked, answered, whole) in [unary, stream] {
        for from in 0..answered.len() {
            for to in [from + 1, from + 9, answered.len()] {
                if to > answered.len() {
                    continue;
                }
                let statuses = with_gap(&asked, &answered, from, to);
                assert!(statuses.len() <= 1, "{from}..{to}: {statuses:?}");
                assert!(
                    statuses.iter().all(|status| status == "unknown" || status == whole),
                    "{from}..{to}: {statuses:?}"
                );
            }
        }
    }
}

#[test]
fn a_connection_that_ends_within_an_answer_decides_it_unless_the_head_did() {
    let ended = |asked: &[u8], answered: &[u8]| {
        let seen = messages(&Http1, &[(Side::A, asked.to_vec()), (Side::B, answered.to_vec())]);
        let answers = seen.iter().filter(|seen| seen.message.kind == Kind::Answer);
        answers.map(|seen| status_of(&seen.message)).collect::<Vec<_>>()
    };
    let refused = reply("404 Not Found", JSON, ERROR.as_bytes());
    assert_eq!(ended(&post(CONNECT, b"{}"), &refused[..refused.len() - 1]), ["http 404"]);
    let kind = "Content-Type: application/connect+json\r\n";
    let end = envelope(2, END.as_bytes());
    let stream = chunked(kind, &[&end], "");
    let asked = post(kind, b"");
    // Without the chunk that ends the body, and without the last byte of the message.
    assert_eq!(ended(&asked, &stream[..stream.len() - 5]), ["5 no row"]);
    assert_eq!(ended(&asked, &stream[..stream.len() - 8]), Vec::<String>::new());
}
