//! Connect and its kin over HTTP/2.

use super::*;

const PATH: &str = "/depot.v1.Stock/Get";
const VERSION: (&str, &str) = ("connect-protocol-version", "1");
const GET: &str = "/depot.v1.Stock/Get?connect=v1&encoding=json&message=%7B%7D";

fn headers(stream: u32, flags: u8, first: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    frame(frame::HEADERS, frame::END_HEADERS | flags, stream, &[first, &block(fields)].concat())
}

fn post(stream: u32, content_type: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let fields = [&[(":path", PATH), ("content-type", content_type)], fields].concat();
    [headers(stream, 0, &[0x83, 0x86], &fields), frame(frame::DATA, frame::END_STREAM, stream, body)].concat()
}

/// An answer whose body ends the stream. `first` has the status: 0x88 is 200, 0x8d is 404.
fn reply(stream: u32, first: u8, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = headers(stream, 0, &[first], &[("content-type", content_type)]);
    [head, frame(frame::DATA, frame::END_STREAM, stream, body)].concat()
}

fn envelope(flags: u8, message: &[u8]) -> Vec<u8> {
    [&[flags][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

const ERROR: &[u8] = br#"{"code":"not_found","message":"no row"}"#;
const END: &[u8] = br#"{"error":{"code":"not_found","message":"no row"}}"#;

/// What is emitted of an exchange, at every split of both sides.
fn exchange(asked: &[u8], answered: &[u8]) -> Vec<(Kind, String)> {
    let whole = exchange_cut(asked, answered, 0);
    for cut in 1..asked.len().max(answered.len()) {
        assert_eq!(exchange_cut(asked, answered, cut), whole, "cut at {cut}");
    }
    whole
}

fn exchange_cut(asked: &[u8], answered: &[u8], cut: usize) -> Vec<(Kind, String)> {
    let mut feed = Feed::begun();
    for (side, bytes) in [(CLIENT, asked), (SERVER, answered)] {
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        feed.data(side, first);
        feed.data(side, second);
    }
    feed.news()
}

/// The status of the only answer.
fn status(asked: &[u8], answered: &[u8]) -> String {
    let news = exchange(asked, answered);
    let answers: Vec<_> = news.into_iter().filter(|(kind, _)| *kind == Kind::Answer).collect();
    let [(_, status)] = &*answers else { panic!("{answers:?}") };
    status.clone()
}

#[test]
fn unary_calls_of_connect() {
    let asked = post(1, "application/json", &[VERSION], b"{}");
    assert_eq!(kinds(&exchange(&asked, &reply(1, 0x88, "application/json", b"{}"))), WHOLE);
    assert_eq!(status(&asked, &reply(1, 0x88, "application/json", b"{}")), "0 ?");
    assert_eq!(status(&asked, &reply(1, 0x8d, "application/json", ERROR)), "5 no row");
    assert_eq!(status(&asked, &reply(1, 0x8d, "text/plain", b"404 page not found")), "http 404");
    let get = headers(1, frame::END_STREAM, &[0x82, 0x86], &[(":path", GET)]);
    assert_eq!(status(&get, &reply(1, 0x8d, "application/json", ERROR)), "5 no row");
    let mut feed = Feed::begun();
    feed.data(CLIENT, &get);
    assert_eq!((&*feed.emitted[0].path, feed.emitted[0].codec), ("depot.v1.Stock/Get", Some("json")));
}

#[test]
fn streams_of_connect_and_of_grpc_web() {
    let stream = post(1, "application/connect+proto", &[], &envelope(0, b"m"));
    let ends = |last: &[u8]| [envelope(0, b"m"), envelope(2, last)].concat();
    let kind = "application/connect+proto";
    assert_eq!(status(&stream, &reply(1, 0x88, kind, &ends(b"{}"))), "0 ?");
    assert_eq!(status(&stream, &reply(1, 0x88, kind, &ends(END))), "5 no row");
    assert_eq!(status(&stream, &reply(1, 0x88, kind, &envelope(0, b"m"))), "http 200");
    let kind = "application/grpc-web+proto";
    let web = post(1, kind, &[], &envelope(0, b"m"));
    let body = envelope(0x80, b"grpc-status: 5\r\ngrpc-message: no%20row\r\n");
    assert_eq!(status(&web, &reply(1, 0x88, kind, &body)), "5 no row");
    let only = headers(1, frame::END_STREAM, &[0x88], &[("content-type", kind), ("grpc-status", "5")]);
    assert_eq!(status(&web, &only), "5 ?");
}

#[test]
fn rest_is_no_call_unless_connect_refuses_it() {
    let bare = post(1, "application/json", &[], b"{}");
    assert_eq!(exchange(&bare, &reply(1, 0x88, "application/json", b"{}")), []);
    assert_eq!(exchange(&bare, &reply(1, 0x8d, "application/json", br#"{"error":"not_found"}"#)), []);
    assert_eq!(exchange(&bare, &reply(1, 0x8d, "text/plain", b"no")), []);
    let reset = frame(frame::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    assert_eq!(exchange(&[bare.clone(), reset].concat(), &[]), []);
    assert_eq!(status(&bare, &reply(1, 0x8d, "application/json", ERROR)), "5 no row");
    // Not even beside calls of gRPC.
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[bare, request(3)].concat());
    feed.data(SERVER, &answer(3));
    feed.end();
    assert_eq!(kinds(&feed.news()), WHOLE);
}

#[test]
fn whoever_breaks_off_an_answer_that_has_said_it_all_changes_nothing() {
    let stream = post(1, "application/connect+proto", &[], &envelope(0, b"m"));
    let head = headers(1, 0, &[0x88], &[("content-type", "application/connect+proto")]);
    let said = [head.clone(), frame(frame::DATA, 0, 1, &envelope(2, END))].concat();
    let reset = frame(frame::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    let last = |answered: &[u8], by: Side| {
        let mut feed = Feed::begun();
        feed.data(CLIENT, &stream);
        feed.data(SERVER, answered);
        feed.data(by, &reset);
        feed.news().pop().unwrap()
    };
    for by in [CLIENT, SERVER] {
        assert_eq!(last(&said, by), (Kind::Answer, "5 no row".to_owned()));
        assert_eq!(last(&head, by).0, Kind::Reset);
    }
    // A unary error whose body does not come is still an error.
    let unary = post(1, "application/json", &[VERSION], b"{}");
    let mut feed = Feed::begun();
    feed.data(CLIENT, &unary);
    feed.data(SERVER, &headers(1, 0, &[0x8d], &[("content-type", "application/json")]));
    feed.data(CLIENT, &reset);
    assert_eq!(feed.news().pop(), Some((Kind::Answer, "http 404".to_owned())));
}

#[test]
fn missing_bytes_leave_the_outcome_open() {
    let stream = post(1, "application/connect+proto", &[], &envelope(0, b"m"));
    let answered =
        reply(1, 0x88, "application/connect+proto", &[envelope(0, b"mm"), envelope(2, END)].concat());
    let body = answered.len() - END.len() - 5;
    for at in body..answered.len() {
        let mut feed = Feed::begun();
        feed.data(CLIENT, &stream);
        feed.data(SERVER, &answered[..at]);
        feed.gap(SERVER, Some(1));
        feed.data(SERVER, &answered[at + 1..]);
        feed.end();
        let answers: Vec<_> = feed.news().into_iter().filter(|(kind, _)| *kind == Kind::Answer).collect();
        assert_eq!(answers, [(Kind::Answer, "unknown".to_owned())], "{at}");
    }
}

#[test]
fn an_answer_says_what_its_unreadable_request_was() {
    // Path and content type stand in entries from before the capture.
    let asked = frame(frame::HEADERS, frame::END_HEADERS, 7, &[0x83, 0x86, 0xc8, 0xc9]);
    let data = frame(frame::DATA, frame::END_STREAM, 7, &envelope(0, b"m"));
    let mut feed = Feed::new();
    feed.data(CLIENT, &[asked, data].concat());
    feed.data(SERVER, &reply(7, 0x88, "application/connect+proto", &envelope(2, END)));
    feed.end();
    assert_eq!(feed.news().pop(), Some((Kind::Answer, "5 no row".to_owned())));
}
