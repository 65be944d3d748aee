//! What the module makes of real exchanges (see `samples/http1`) and of made ones.

mod web;

use super::*;
use crate::event::Event;
use crate::testing::flat::{Kind, Message, ResultField};
use crate::testing::{Seen, messages, own, samples};

fn sample(name: &str) -> Vec<Seen> {
    messages(&Http1, &samples("http1")[name])
}

/// What is seen in an exchange of texts, each with its side.
fn talk(pieces: &[(Side, &str)]) -> Vec<Seen> {
    let pieces: Vec<_> = pieces.iter().map(|(side, text)| (*side, text.as_bytes().to_vec())).collect();
    messages(&Http1, &pieces)
}

fn text(text: Option<&crate::testing::flat::Text<'_>>) -> String {
    text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}

/// Kind, method, `ret`, `func_ret` and HTTP status of a message.
type Summary = (Kind, String, Option<i32>, Option<i32>, Option<u16>);

fn summary(seen: &[Seen]) -> Vec<Summary> {
    seen.iter()
        .map(|seen| {
            let Message { kind, method, status, .. } = &seen.message;
            (*kind, text(method.as_ref()), status.ret, status.func_ret, status.http)
        })
        .collect()
}

const WEB: &str = "GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>";
const CALL: &str = "POST /trpc.shop.Order/Get HTTP/1.1\r\nTrpc-Caller: web\r\nTrpc-Callee: order\r\nTrpc-Timeout: 150\r\n\
     Content-Type: application/proto\r\nContent-Length: 2\r\n\r\nab";
const FAILED: &str =
    "HTTP/1.1 200 OK\r\nTrpc-Error-Msg: a\\nb\r\nTrpc-Func-Ret: 10001\r\nContent-Length: 0\r\n\r\n";

#[test]
fn trpc_over_http_has_its_codes_in_headers() {
    let seen = sample("trpc");
    let first = &seen[0].message;
    assert_eq!((first.kind, first.rpc, first.transport), (Kind::Request, "trpc-http", "http1"));
    assert_eq!(text(first.service.as_ref()), "trpc.shop.order.OrderHttp");
    assert_eq!(text(first.caller.as_ref()), "trpc.shop.web.Front");
    assert_eq!((first.codec, first.timeout), (Some("protobuf"), Some(2_999_000_000)));
    let summary = summary(&seen);
    assert!(summary.contains(&(Kind::Answer, String::new(), None, Some(10001), Some(200))), "{summary:?}");
    assert!(summary.contains(&(Kind::Answer, String::new(), Some(31), None, Some(500))), "{summary:?}");
    let bare = sample("trpc-no-headers");
    assert_eq!(self::summary(&bare)[1], (Kind::Answer, String::new(), None, None, Some(500)));
}

#[test]
fn a_text_keeps_its_escapes_and_trans_info_is_decoded() {
    let seen = talk(&[(Side::A, CALL), (Side::B, FAILED)]);
    assert_eq!(text(seen[1].message.status.error_msg.as_ref()), "a\\nb");
    let seen = sample("trpc-trans-info");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert!(seen[0].metadata.contains(&pair("session-id", "s-4711")), "{:?}", seen[0].metadata);
    assert!(seen[1].metadata.contains(&pair("rsp-k", "v")), "{:?}", seen[1].metadata);
}

#[test]
fn other_exchanges_are_no_calls_and_keep_the_order() {
    assert_eq!(summary(&talk(&[(Side::A, WEB), (Side::B, PAGE)])), []);
    // Pipelined: the answers come in the order of the requests, of which only the second is a call.
    let seen = talk(&[(Side::A, WEB), (Side::A, CALL), (Side::B, PAGE), (Side::B, FAILED)]);
    let call = (Kind::Request, "Get".to_owned(), None, None, None);
    assert_eq!(summary(&seen), [call, (Kind::Answer, String::new(), None, Some(10001), Some(200))]);
    assert_eq!(seen[1].message.start, PAGE.len() as u64);
}

/// A client that is not of tRPC sends none of its headers: an error answer is what shows the call.
#[test]
fn an_error_answer_makes_a_call_of_a_bare_request() {
    let bare =
        "POST /trpc.shop.Order/Get HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    let seen = talk(&[(Side::A, WEB), (Side::B, PAGE), (Side::A, bare), (Side::B, FAILED)]);
    assert_eq!(seen.len(), 2);
    let asked = &seen[0].message;
    assert_eq!(
        (seen[0].side, asked.kind, text(asked.method.as_ref())),
        (Side::A, Kind::Request, "Get".to_owned())
    );
    assert_eq!((asked.start, asked.bytes), (WEB.len() as u64, bare.len() as u64));
    assert_eq!(asked.codec, Some("json"));
    let good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
    assert_eq!(summary(&talk(&[(Side::A, bare), (Side::B, good)])), []);
}

/// Found by fuzzing: the request of one side was reported as the other's, at an offset that the other had not reached.
#[test]
fn an_answer_of_the_side_that_asked_answers_nothing() {
    let asked = "POST /trpc.app.Greeter/SayHello HTTP/1.1\r\nContent-Length: 0\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\ntrpc-ret: 1\r\ntrpc-error-msg: x\r\nContent-Length: 0\r\n\r\n";
    let seen = talk(&[(Side::A, asked), (Side::A, answer)]);
    let kinds: Vec<_> = seen.iter().map(|seen| (seen.side, seen.message.kind)).collect();
    assert!(!kinds.contains(&(Side::B, Kind::Request)), "{kinds:?}");

    let mut session = Http1.session();
    let mut lost = 0;
    session.data(Side::A, asked.as_bytes(), &mut |_, _| {});
    session.data(Side::A, answer.as_bytes(), &mut |side, event| {
        lost += usize::from(side == Side::B && matches!(event, Event::Lost { .. }));
    });
    assert_eq!(lost, 1, "the answer of the other side is not known");
    assert!(session.trouble().is_some());
}

#[test]
fn interim_answers_and_bodies_of_all_kinds_are_passed() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrpc-Ret: 31\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let head = "HEAD /x HTTP/1.1\r\n\r\n";
    let head_answer = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
    let seen = talk(&[
        (Side::A, CALL),
        (Side::B, "HTTP/1.1 100 Continue\r\n\r\n"),
        (Side::B, chunked),
        (Side::A, head),
        (Side::B, head_answer),
        (Side::A, CALL),
        (Side::B, "HTTP/1.0 500 No\r\nTrpc-Ret: 2\r\n\r\nuntil close"),
    ]);
    let answers: Vec<_> = seen.iter().filter(|seen| seen.message.kind == Kind::Answer).collect();
    let sizes: Vec<_> = answers.iter().map(|seen| (seen.message.status.ret, seen.message.bytes)).collect();
    assert_eq!(sizes, [(Some(31), chunked.len() as u64), (Some(2), 43)]);
    assert!(answers[0].message.status.body);
}

#[test]
fn after_an_upgrade_nothing_is_http() {
    let upgrade = "GET /chat HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(
        summary(&talk(&[(Side::A, upgrade), (Side::B, switching), (Side::A, CALL), (Side::B, FAILED)])),
        []
    );
}

#[test]
fn thrift_over_http_is_recognised_by_its_bodies() {
    let seen = sample("thrift-declared");
    let summary: Vec<_> = seen.iter().map(|seen| (seen.message.kind, seen.message.status.result)).collect();
    assert_eq!(summary, [(Kind::Request, None), (Kind::Answer, Some(ResultField::Exception(1)))]);
    assert_eq!((seen[0].message.rpc, seen[0].message.codec), ("thrift", Some("thrift-binary")));
    assert_eq!(text(seen[0].message.method.as_ref()), "fetch");
    let seen = sample("thrift-exception");
    assert_eq!(seen[1].message.status.exception.as_ref().unwrap().type_id, 6);
    let seen = sample("thrift-oneway");
    assert_eq!(seen.iter().map(|seen| seen.message.kind).collect::<Vec<_>>(), [Kind::Oneway]);
}

#[test]
fn a_thrift_call_may_be_answered_by_http_alone() {
    let call = "POST /rpc HTTP/1.1\r\nContent-Type: application/x-thrift\r\nContent-Length: 22\r\n\r\n[1,\"Stock:add\",1,4,{}]";
    let bad = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nno!";
    let seen = talk(&[(Side::A, call), (Side::B, bad)]);
    assert_eq!(
        (seen[0].message.codec, text(seen[0].message.service.as_ref())),
        (Some("thrift-json"), "Stock".to_owned())
    );
    assert_eq!((seen[1].message.rpc, seen[1].message.status.http), ("thrift", Some(502)));
    let zipped = "HTTP/1.1 200 OK\r\nContent-Type: application/x-thrift\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f..?";
    let seen = talk(&[(Side::A, call), (Side::B, zipped)]);
    assert!(seen[1].message.status.cut, "the outcome is there and can't be read");
    // Not thrift in spite of its type: no call.
    let lie = "POST /rpc HTTP/1.1\r\nContent-Type: application/x-thrift\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(summary(&talk(&[(Side::A, lie), (Side::B, PAGE)])), []);
}

#[test]
fn a_lost_answer_is_known_to_be_lost() {
    let mut session = Http1.session();
    let mut seen = Vec::new();
    let mut emit = |side: Side, event: &Event<'_>| {
        let message = own(side, event).message;
        seen.push((side, message.kind, message.status.func_ret, message.status.cut));
    };
    session.data(Side::A, CALL.as_bytes(), &mut emit);
    session.gap(Side::B, Some(FAILED.len() as u64), &mut emit);
    for _ in 0..2 {
        session.data(Side::A, CALL.as_bytes(), &mut emit);
        session.data(Side::B, FAILED.as_bytes(), &mut emit);
    }
    let request = (Side::A, Kind::Request, None, false);
    let lost = (Side::B, Kind::Answer, None, true);
    let failed = (Side::B, Kind::Answer, Some(10001), false);
    // The first answer after the gap may be that of another request; after one of each they are in step.
    assert_eq!(seen, [request, lost, request, lost, request, failed]);
}

/// The answer to one call can't be read; the next one must not be taken for it.
#[test]
fn an_unreadable_answer_does_not_shift_the_others() {
    for bad in [
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: much\r\n\r\n",
        "no HTTP at all\r\n",
    ] {
        let seen = talk(&[(Side::A, CALL), (Side::B, bad), (Side::A, CALL), (Side::B, FAILED)]);
        let answers = seen.iter().filter(|seen| seen.message.kind == Kind::Answer);
        let summary: Vec<_> =
            answers.map(|seen| (seen.message.status.func_ret, seen.message.status.cut)).collect();
        assert_eq!(summary, [(None, true), (Some(10001), false)], "{bad}");
    }
}

#[test]
fn held_reaches_back_to_what_may_still_be_emitted() {
    let mut session = Http1.session();
    let bare = "POST /a.B/C HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
    session.data(Side::A, bare.as_bytes(), &mut |_, _| {});
    assert_eq!(session.held(Side::A), bare.len());
    session.data(Side::B, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &mut |_, _| {});
    assert_eq!(session.held(Side::A), 0);
}

#[test]
fn a_dissected_message_shows_its_fields() {
    let tree = Http1.dissect(Side::B, FAILED.as_bytes());
    let field = tree[0].children.iter().find(|field| field.name == "Trpc-Func-Ret").unwrap();
    assert_eq!(&FAILED[field.range.0..field.range.1], "Trpc-Func-Ret: 10001");
}
