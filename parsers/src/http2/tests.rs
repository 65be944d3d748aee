//! Whole connections: beginnings, gaps, hostile peers, and what a reader who comes late may say.

mod exclusion;
mod parts;
mod renewal;
mod speculative;
mod unplaced;
mod web;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::frame::{self, PREFACE};
use super::{Http2, session::Connection};
use crate::event::Event;
use crate::protocol::{Detection, Opening, Protocol, Session};
use crate::session::Core;
use crate::testing::flat::{GrpcStatus, Kind, Message, Side};
use crate::testing::{self, own};

const CLIENT: Side = Side::A;
const SERVER: Side = Side::B;

/// What is checked of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Emitted {
    side: Side,
    kind: Kind,
    stream: i64,
    path: String,
    codec: Option<&'static str>,
    messages: u32,
    status: String,
    unknown_name: Option<u64>,
    truncated: bool,
    cut: bool,
}

fn emitted(side: Side, message: &Message<'_>) -> Emitted {
    let text = |text: &Option<crate::testing::flat::Text<'_>>| {
        text.as_ref().map_or("?".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
    };
    let status = match (&message.status.grpc, &message.status.reset) {
        (Some(GrpcStatus::Code(code)), _) => format!("{code} {}", text(&message.status.grpc_message)),
        (Some(GrpcStatus::Malformed(_)), _) => "malformed".into(),
        (Some(GrpcStatus::Unknown), _) => "unknown".into(),
        (None, Some(reset)) => format!("reset {:?} {:?}", reset.code.unwrap(), message.status.last_stream),
        (None, None) => message.status.http.map_or(String::new(), |code| format!("http {code}")),
    };
    Emitted {
        side,
        kind: message.kind,
        // Only an answer in another language has none.
        stream: message.id.number().unwrap_or(0),
        path: format!("{}/{}", text(&message.service), text(&message.method)),
        codec: message.codec,
        messages: message.messages,
        status,
        unknown_name: message.unknown_name,
        truncated: message.truncated,
        cut: message.status.cut,
    }
}

/// A session and what it emitted.
struct Feed {
    session: Core<Connection>,
    emitted: Vec<Emitted>,
}

impl Feed {
    fn new() -> Self {
        Self { session: Connection::session(), emitted: Vec::new() }
    }

    /// A connection that has begun.
    fn begun() -> Self {
        let mut feed = Self::new();
        feed.data(CLIENT, &[PREFACE, &frame(frame::SETTINGS, 0, 0, &[])].concat());
        feed.data(SERVER, &frame(frame::SETTINGS, 0, 0, &[]));
        feed
    }

    fn data(&mut self, side: Side, bytes: &[u8]) {
        let all = &mut self.emitted;
        self.session
            .data(side, bytes, &mut |side, message| all.push(emitted(side, &own(side, message).message)));
    }

    fn gap(&mut self, side: Side, missing: Option<u64>) {
        let all = &mut self.emitted;
        self.session
            .gap(side, missing, &mut |side, message| all.push(emitted(side, &own(side, message).message)));
    }

    fn end(&mut self) {
        let all = &mut self.emitted;
        for side in [CLIENT, SERVER] {
            self.session.end(side, &mut |side, message| all.push(emitted(side, &own(side, message).message)));
        }
    }

    /// What was emitted since the last time: kind and status.
    fn news(&mut self) -> Vec<(Kind, String)> {
        self.emitted.drain(..).map(|emitted| (emitted.kind, emitted.status)).collect()
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A field written out, with `first` as its representation's first byte.
fn literal(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![first];
    for text in [name, value] {
        bytes.push(u8::try_from(text.len()).unwrap());
        bytes.extend_from_slice(text.as_bytes());
    }
    bytes
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name, value)).collect()
}

fn request_fields() -> Vec<u8> {
    let mut fields = vec![0x83, 0x86];
    fields.extend(block(&[(":path", "/a.B/Do"), ("content-type", "application/grpc")]));
    fields
}

fn request(stream: u32) -> Vec<u8> {
    let headers = frame(frame::HEADERS, frame::END_HEADERS, stream, &request_fields());
    [headers, frame(frame::DATA, frame::END_STREAM, stream, &[0, 0, 0, 0, 1, 7])].concat()
}

fn trailers(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, stream, &block(fields))
}

fn answer(stream: u32) -> Vec<u8> {
    let head = [vec![0x88], block(&[("content-type", "application/grpc")])].concat();
    [
        frame(frame::HEADERS, frame::END_HEADERS, stream, &head),
        frame(frame::DATA, 0, stream, &[0, 0, 0, 0, 2, 7, 7]),
        trailers(stream, &[("grpc-status", "5"), ("grpc-message", "no%20way")]),
    ]
    .concat()
}

const WHOLE: [Kind; 5] = [Kind::Open, Kind::Part, Kind::Begin, Kind::Part, Kind::Answer];

fn kinds(news: &[(Kind, String)]) -> Vec<Kind> {
    news.iter().map(|(kind, _)| *kind).collect()
}

#[test]
fn a_call_from_its_request_to_its_trailers() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &request(1));
    feed.data(SERVER, &answer(1));
    assert_eq!((&*feed.emitted[0].path, feed.emitted[0].codec), ("a.B/Do", Some("protobuf")));
    let news = feed.news();
    assert_eq!(kinds(&news), WHOLE);
    assert_eq!(news[4].1, "5 no way");
    // What still comes of it is no other call.
    feed.data(CLIENT, &frame(frame::RST_STREAM, 0, 1, &[0, 0, 0, 8]));
    feed.data(SERVER, &answer(1));
    assert_eq!(feed.news(), []);
}

#[test]
fn web_pages_are_silent_and_other_calls_go_on() {
    let mut feed = Feed::begun();
    let page = |stream| [frame(frame::HEADERS, 5, stream, &[0x82, 0x86, 0x84])].concat();
    let post = [vec![0x83, 0x86, 0x84], block(&[("content-type", "application/json")])].concat();
    feed.data(CLIENT, &[page(1), frame(frame::HEADERS, 5, 3, &post), request(5)].concat());
    feed.data(SERVER, &frame(frame::HEADERS, 5, 1, &[0x88]));
    feed.data(SERVER, &frame(frame::HEADERS, 5, 3, &[0x8d]));
    feed.data(CLIENT, &frame(frame::RST_STREAM, 0, 3, &[0, 0, 0, 8]));
    feed.data(SERVER, &answer(5));
    assert!(feed.emitted.iter().all(|emitted| emitted.stream == 5));
    assert_eq!(kinds(&feed.news()), WHOLE);
}

#[test]
fn resets_of_either_side_and_goaway() {
    let mut feed = Feed::begun();
    feed.data(SERVER, &frame(frame::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 0]));
    assert_eq!(feed.news(), [], "nobody needs it yet");
    feed.data(CLIENT, &[request(1), request(3)].concat());
    feed.emitted.retain(|emitted| emitted.kind == Kind::GoAway);
    assert_eq!(feed.news(), [(Kind::GoAway, "reset 0 Some(3)".into())]);
    feed.data(SERVER, &frame(frame::RST_STREAM, 0, 1, &[0, 0, 0, 2]));
    feed.data(CLIENT, &frame(frame::RST_STREAM, 0, 3, &[0, 0, 0, 8]));
    assert_eq!(feed.emitted[0].side, SERVER);
    assert_eq!(feed.emitted[1].side, CLIENT);
    assert_eq!(feed.news(), [(Kind::Reset, "reset 2 None".into()), (Kind::Reset, "reset 8 None".into())]);
    feed.data(CLIENT, &frame(frame::GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0]));
    assert_eq!(feed.news(), [(Kind::GoAway, "reset 0 None".into())]);
}

#[test]
fn a_client_that_cancels_before_its_request_is_over_may_have_an_answer_that_was_lost() {
    for (flags, lost, expected) in [
        (0, true, (Kind::Answer, Some(SERVER))),
        (0, false, (Kind::Reset, Some(CLIENT))),
        // Its answer would have ended the stream.
        (frame::END_STREAM, true, (Kind::Reset, Some(CLIENT))),
    ] {
        let mut feed = Feed::begun();
        feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, 1, &request_fields()));
        feed.data(CLIENT, &frame(frame::DATA, flags, 1, &[0, 0, 0, 0, 1, 7]));
        if lost {
            feed.gap(SERVER, Some(60));
        }
        feed.data(CLIENT, &frame(frame::RST_STREAM, 0, 1, &[0, 0, 0, 8]));
        let last = feed.emitted.last().map(|last| (last.kind, Some(last.side)));
        assert_eq!(last, Some(expected), "{flags} {lost}");
    }
}

#[test]
fn answers_without_a_grpc_status() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[request(1), request(3)].concat());
    feed.emitted.clear();
    let head = [vec![0x08, 3], b"502".to_vec(), block(&[("content-type", "text/html")])].concat();
    feed.data(SERVER, &frame(frame::HEADERS, frame::END_HEADERS, 1, &head));
    feed.data(SERVER, &frame(frame::DATA, frame::END_STREAM, 1, b"<html>"));
    let http = |kind| (kind, "http 502".to_owned());
    assert_eq!(feed.news(), [http(Kind::Begin), (Kind::Part, String::new()), http(Kind::Answer)]);
    // An interim answer is none.
    feed.data(SERVER, &frame(frame::HEADERS, frame::END_HEADERS, 3, &[0x08, 3, b'1', b'0', b'3']));
    feed.data(SERVER, &trailers(3, &[(":status", "200"), ("grpc-status", "x")]));
    assert_eq!(feed.news(), [(Kind::Answer, "malformed".into())]);
}

#[test]
fn messages_show_that_they_are_json() {
    let mut feed = Feed::begun();
    let mut message = vec![0, 0, 0, 0, 8];
    message.extend(b"{\"a\": 1}");
    feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, 1, &request_fields()));
    feed.data(CLIENT, &frame(frame::DATA, frame::END_STREAM, 1, &message));
    let codecs: Vec<_> = feed.emitted.iter().map(|emitted| (emitted.kind, emitted.codec)).collect();
    assert_eq!(codecs, [(Kind::Open, Some("protobuf")), (Kind::Part, Some("json"))]);
    feed.emitted.clear();
    feed.data(CLIENT, &request(3));
    assert_eq!(feed.emitted[1].codec, None, "a message of Protobuf says nothing");
}

#[test]
fn the_beginning_of_an_answer_says_whether_it_has_a_status() {
    for (fields, expected) in [
        (vec![("content-type", "text/html")], false),
        (vec![("content-type", "application/grpc"), ("grpc-status", "14")], true),
        (vec![("biz-status", "404")], true),
    ] {
        let mut feed = Feed::begun();
        feed.data(CLIENT, &request(1));
        let head = [vec![0x08, 3], b"503".to_vec(), block(&fields)].concat();
        let mut seen = Vec::new();
        let head = frame(frame::HEADERS, frame::END_HEADERS, 1, &head);
        feed.session.data(SERVER, &head, &mut |_, event| {
            if let Event::Begin(begin) = event {
                seen.push((begin.http, begin.has_status));
            }
        });
        assert_eq!(seen, [(Some(503), expected)], "{fields:?}");
    }
}

#[test]
fn header_blocks_over_several_frames_and_what_may_not_stand_between() {
    let fields = request_fields();
    let mut split = frame(frame::HEADERS, frame::END_STREAM, 1, &fields[..5]);
    split.extend(frame(frame::CONTINUATION, 0, 1, &fields[5..9]));
    let mut whole = Feed::begun();
    whole.data(CLIENT, &split);
    whole.data(CLIENT, &frame(frame::CONTINUATION, frame::END_HEADERS, 1, &fields[9..]));
    assert_eq!(kinds(&whole.news()), [Kind::Open, Kind::HalfClose]);
    assert_eq!(whole.session.trouble(), None);

    let mut broken = Feed::begun();
    broken.data(CLIENT, &split);
    broken.data(CLIENT, &frame(frame::PING, 0, 0, &[0; 8]));
    broken.data(CLIENT, &frame(frame::CONTINUATION, frame::END_HEADERS, 1, &fields[9..]));
    broken.data(CLIENT, &request(3));
    broken.data(SERVER, &answer(3));
    assert!(broken.session.trouble().is_some());
    broken.emitted.retain(|emitted| emitted.stream == 3);
    assert_eq!(kinds(&broken.news()), WHOLE, "the connection goes on");
}

#[test]
fn a_flood_of_continuations_costs_its_stream_only() {
    for piece in [vec![], vec![0_u8; 16_000]] {
        let mut feed = Feed::begun();
        feed.data(CLIENT, &frame(frame::HEADERS, 0, 1, &request_fields()));
        for _ in 0..5000 {
            feed.data(CLIENT, &frame(frame::CONTINUATION, 0, 1, &piece));
            assert!(feed.session.held(CLIENT) < 100 << 20);
        }
        feed.data(CLIENT, &frame(frame::CONTINUATION, frame::END_HEADERS, 1, &[]));
        feed.data(CLIENT, &request(3));
        feed.data(SERVER, &answer(3));
        assert!(feed.session.trouble().is_some());
        feed.emitted.retain(|emitted| emitted.stream == 3);
        assert_eq!(kinds(&feed.news()), WHOLE);
    }
}

#[test]
fn a_broken_block_costs_what_it_hides() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[request(1), request(3)].concat());
    feed.emitted.clear();
    let mut fields = block(&[(":status", "200"), ("content-type", "application/grpc")]);
    fields.extend([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    feed.data(SERVER, &frame(frame::HEADERS, 5, 1, &fields));
    feed.data(SERVER, &answer(3));
    assert!(feed.emitted[1].cut && feed.emitted[1].truncated);
    let news = feed.news();
    assert_eq!(news[..2], [(Kind::Foreign, String::new()), (Kind::Answer, "unknown".into())]);
    assert_eq!(kinds(&news)[2..], [Kind::Begin, Kind::Part, Kind::Answer]);
}

#[test]
fn settings_of_one_side_bound_the_tables_of_the_other() {
    let mut feed = Feed::begun();
    // The server allows 8192; the client uses it and fills more than the default.
    feed.data(SERVER, &frame(frame::SETTINGS, 0, 0, &[0, 1, 0, 0, 0x20, 0]));
    let mut fields = vec![0x3f, 0xe1, 0x3f];
    fields.extend([0x83, 0x86]);
    fields.extend(literal(0x40, ":path", "/a.B/Do"));
    fields.extend(literal(0x40, "content-type", "application/grpc"));
    for n in 0..30 {
        fields.extend(literal(0x40, &format!("x-{n}"), &"v".repeat(120)));
    }
    feed.data(CLIENT, &frame(frame::HEADERS, 5, 1, &fields));
    // Entries 62 to 91 are the thirty, 92 and 93 the two before.
    feed.data(CLIENT, &frame(frame::HEADERS, 5, 3, &[0x83, 0x86, 0xdd, 0xdc]));
    assert_eq!(feed.session.trouble(), None);
    assert_eq!(feed.emitted[2].path, "a.B/Do");
    // Nobody allowed the server that much.
    feed.data(SERVER, &frame(frame::HEADERS, 4, 1, &[0x3f, 0xe1, 0x3f, 0x88]));
    assert!(feed.session.trouble().is_some());
}

#[test]
fn padded_and_empty_data() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, 1, &request_fields()));
    feed.emitted.clear();
    let padded = frame(frame::DATA, frame::PADDED, 1, &[3, 0, 0, 0, 0, 1, 7, 0, 0, 0, 0, 0, 0, 0]);
    let rest = frame(frame::DATA, frame::PADDED, 1, &[2, 0, 0, 0]);
    let end = frame(frame::DATA, frame::END_STREAM, 1, &[]);
    for byte in [padded, rest, end].concat() {
        feed.data(CLIENT, &[byte]);
    }
    // The prefix of the second message comes in both frames and says that it is empty.
    let parts: Vec<u32> = feed.emitted.iter().map(|emitted| emitted.messages).collect();
    assert_eq!(parts, [1, 1, 0]);
    assert_eq!(kinds(&feed.news()), [Kind::Part; 3]);
}

#[test]
fn a_gap_within_data_keeps_everything_in_step() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, 1, &request_fields()));
    let mut message = vec![0, 0, 0, 1, 0];
    message.extend([7; 256]);
    let data = frame(frame::DATA, frame::END_STREAM, 1, &message);
    feed.data(CLIENT, &data[..40]);
    feed.gap(CLIENT, Some(100));
    feed.data(CLIENT, &data[140..]);
    feed.data(SERVER, &answer(1));
    assert_eq!(feed.emitted[1].messages, 1);
    assert!(feed.emitted[1].truncated);
    let news = feed.news();
    assert_eq!(kinds(&news), WHOLE);
    assert_eq!(news[4].1, "5 no way");
}

#[test]
fn a_gap_over_frames_leaves_no_verdict_to_silence() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[request(1), request(3)].concat());
    feed.emitted.clear();
    feed.gap(SERVER, Some(200));
    assert!(
        feed.emitted
            .iter()
            .all(|emitted| emitted.cut && emitted.side == SERVER && emitted.kind == Kind::Part)
    );
    assert_eq!(feed.emitted.len(), 2);
    feed.emitted.clear();
    // The frames after it are found again; the client thanks for an answer that was lost.
    feed.data(SERVER, &[frame(frame::PING, 0, 0, &[0; 8]), answer(3)].concat());
    feed.data(CLIENT, &frame(frame::RST_STREAM, 0, 1, &[0; 4]));
    let news = feed.news();
    assert_eq!(kinds(&news), [Kind::Begin, Kind::Part, Kind::Answer, Kind::Answer]);
    assert_eq!([&*news[2].1, &*news[3].1], ["5 no way", "unknown"]);
}

#[test]
fn a_request_cut_by_a_gap_still_has_its_path() {
    let mut feed = Feed::begun();
    let mut fields = request_fields();
    fields.extend(literal(0x40, "cookie", "later"));
    let headers = frame(frame::HEADERS, 5, 1, &fields);
    let missing = 8;
    feed.data(CLIENT, &headers[..headers.len() - missing]);
    feed.gap(CLIENT, Some(missing as u64));
    feed.data(SERVER, &answer(1));
    assert_eq!(feed.emitted[0].path, "a.B/Do");
    assert!(feed.emitted[0].truncated);
    assert_eq!(kinds(&feed.news()), [Kind::Open, Kind::HalfClose, Kind::Begin, Kind::Part, Kind::Answer]);
    // The entry that was inserted is not known now.
    feed.data(CLIENT, &frame(frame::HEADERS, 5, 3, &[request_fields(), vec![0xbe]].concat()));
    assert_eq!(feed.session.trouble(), None);
}

/// Frames of a client whose table nobody knows: path, authority, content type and another as entries.
fn unknown_request(stream: u32, path: u8) -> Vec<u8> {
    let headers = frame(frame::HEADERS, frame::END_HEADERS, stream, &[0x83, 0x86, path, 0xc4, 0xc3, 0xc2]);
    [headers, frame(frame::DATA, frame::END_STREAM, stream, &[0, 0, 0, 0, 1, 7])].concat()
}

#[test]
fn calls_of_an_unknown_path_form_groups() {
    let mut feed = Feed::new();
    feed.data(
        CLIENT,
        &[unknown_request(7, 0xc8), unknown_request(9, 0xc9), unknown_request(11, 0xc8)].concat(),
    );
    let head = [vec![0x88, 0xbf]].concat();
    for stream in [7, 9, 11] {
        feed.data(SERVER, &frame(frame::HEADERS, frame::END_HEADERS, stream, &head));
        feed.data(SERVER, &frame(frame::DATA, 0, stream, &[0, 0, 0, 0, 0]));
        feed.data(SERVER, &frame(frame::HEADERS, 5, stream, &[0xbe]));
    }
    let opens: Vec<_> = feed.emitted.iter().filter(|emitted| emitted.kind == Kind::Open).collect();
    assert_eq!(
        opens.iter().map(|emitted| emitted.unknown_name).collect::<Vec<_>>(),
        [Some(1), Some(2), Some(1)]
    );
    assert!(opens.iter().all(|emitted| emitted.path == "?/?"));
    let answers: Vec<_> = feed.emitted.iter().filter(|emitted| emitted.kind == Kind::Answer).collect();
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|emitted| emitted.status == "unknown"));
}

#[test]
fn an_unknown_path_keeps_its_number_when_its_authority_becomes_readable() {
    let mut feed = Feed::new();
    // The authority is written out anew, and enters the table: old entries are one index further on.
    let block = [&[0x83, 0x86, 0xc8, 0x41, 1, b'h'][..], &[0xc4, 0xc3]].concat();
    let renewed = frame(frame::HEADERS, frame::END_HEADERS, 9, &block);
    let data = |stream| frame(frame::DATA, frame::END_STREAM, stream, &[0, 0, 0, 0, 1, 7]);
    let other = frame(frame::HEADERS, frame::END_HEADERS, 11, &[0x83, 0x86, 0xcb, 0xbe, 0xc4, 0xc3]);
    feed.data(CLIENT, &[unknown_request(7, 0xc8), renewed, data(9), other, data(11)].concat());
    let opens = feed.emitted.iter().filter(|emitted| emitted.kind == Kind::Open);
    assert_eq!(opens.map(|emitted| emitted.unknown_name).collect::<Vec<_>>(), [Some(1), Some(1), Some(2)]);
}

#[test]
fn an_unreadable_post_is_a_call_only_if_something_says_so() {
    let silent = |body: &[u8], reply: &[u8]| {
        let mut feed = Feed::new();
        feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, 7, &[0x83, 0x86, 0xc8, 0xc4, 0xc3]));
        feed.data(CLIENT, &frame(frame::DATA, frame::END_STREAM, 7, body));
        feed.data(SERVER, &frame(frame::HEADERS, frame::END_HEADERS, 7, &[&[0x88], reply].concat()));
        feed.data(SERVER, &frame(frame::DATA, frame::END_STREAM, 7, b"{}"));
        feed.end();
        feed.emitted.is_empty()
    };
    let grpc = block(&[("content-type", "application/grpc+json")]);
    assert!(silent(b"{\"a\":1}", &[0xbe]));
    assert!(silent(b"", &[0xbe]));
    assert!(silent(b"", &block(&[("content-type", "text/html")])));
    assert!(!silent(b"", &grpc));
    assert!(!silent(&[0, 0, 0, 0, 1, 7], &[0xbe]));
}

#[test]
fn a_status_beside_unreadable_fields_may_be_overruled() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[request(1), request(3), request(5)].concat());
    feed.gap(SERVER, Some(50));
    feed.emitted.clear();
    feed.data(SERVER, &frame(frame::PING, 0, 0, &[0; 8]));
    let status = block(&[("grpc-status", "13")]);
    let only = |fields: &[u8]| [&[0x88], &status[..], fields].concat();
    // The one unread field is the content type, which every answer has.
    feed.data(SERVER, &frame(frame::HEADERS, 5, 1, &only(&[0xbe])));
    feed.data(SERVER, &frame(frame::HEADERS, 5, 3, &only(&[0xbe, 0xbf])));
    feed.data(SERVER, &frame(frame::HEADERS, 5, 5, &only(&block(&[("content-type", "application/grpc")]))));
    assert_eq!(feed.emitted.iter().map(|emitted| emitted.cut).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn a_silent_session_keeps_nothing_but_its_tables_and_goes_on() {
    let mut feed = Feed::begun();
    let entered = literal(0x40, ":path", "/a.B/Other");
    let fields = [&[0x83, 0x86][..], &entered, &literal(0x40, "content-type", "application/grpc")].concat();
    feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS | frame::END_STREAM, 1, &fields));
    feed.data(SERVER, &answer(1));
    let before = feed.session.memory();
    feed.session.shrink();
    let after = feed.session.memory();
    assert!(after <= 1600 && 2 * after <= before, "{after} of {before}");
    // Both fields by their index.
    let again = frame(frame::HEADERS, frame::END_HEADERS, 3, &[0x83, 0x86, 0xbf, 0xbe]);
    feed.data(CLIENT, &again);
    let last = feed.emitted.last().unwrap();
    assert_eq!((last.kind, last.stream, &*last.path), (Kind::Open, 3, "a.B/Other"));
}

#[test]
fn streams_and_waiting_requests_are_bounded() {
    let mut feed = Feed::begun();
    let open = request_fields();
    for stream in 0..20_000 {
        feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, stream * 2 + 1, &open));
    }
    assert_eq!(feed.emitted.len(), 20_000);
    feed.emitted.clear();
    feed.data(SERVER, &answer(1));
    feed.data(SERVER, &answer(39_999));
    assert!(feed.emitted.iter().all(|emitted| emitted.stream == 39_999));
    let mut late = Feed::new();
    for stream in 0..3000 {
        late.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, stream * 2 + 1, &[0x83, 0x86, 0xc8]));
    }
    assert!(late.session.held(CLIENT) <= 128 * 1024);
}

/// An opening in the middle.
fn late(a: &[u8], b: &[u8]) -> Detection {
    Http2.detect(&Opening { bytes: [a, b], from_start: [false, false], datagram: false })
}

#[test]
fn detects_the_middle_of_a_connection() {
    assert_eq!(late(&unknown_request(7, 0xc8), &[]), Detection::Yes);
    assert_eq!(late(&[], &answer(7)), Detection::Yes);
    let pings = [frame(frame::PING, 0, 0, &[1; 8]), frame(frame::PING, 1, 0, &[2; 8])].concat();
    assert_eq!(late(&pings, &[]), Detection::Yes);
    // In the middle of a frame.
    let message = [vec![9; 700], answer(7)].concat();
    assert_eq!(late(&message, &[]), Detection::Yes);
    // Binary metadata as they are (C-core).
    let fields = [vec![0x83, 0x86, 0xc8, 0xc4], literal(0, "x-trace-bin", "\0\u{1}\u{2}")].concat();
    let binary = frame(frame::HEADERS, frame::END_HEADERS, 7, &fields);
    let data = frame(frame::DATA, 0, 7, &[0, 0, 0, 0, 0]);
    assert_eq!(late(&[binary, data].concat(), &[]), Detection::Yes);
    // One frame alone is not enough.
    assert_eq!(late(&frame(frame::WINDOW_UPDATE, 0, 0, &[0, 0, 1, 0]), &[]), Detection::More);
}

#[test]
fn other_bytes_are_not_taken_for_the_middle_of_a_connection() {
    let foreign: [&[u8]; 6] = [
        // Framed and TTHeader thrift, TLS, Redis, zeros, HTTP/1.1.
        &[0, 0, 0, 0x2c, 0x80, 1, 0, 1, 0, 0, 0, 4, b'p', b'i', b'n', b'g', 0, 0, 0, 1, 0],
        &[0, 0, 0, 0x3a, 0x10, 0, 0, 2, 0, 0, 0, 1, 0, 0xc, 0x10, 0, 1, 0, 1, 0, 3],
        &[0x17, 3, 3, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 1, 9, 9, 9],
        b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n",
        &[0; 400],
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    ];
    for bytes in foreign {
        assert_ne!(late(bytes, &[]), Detection::Yes, "{bytes:x?}");
        assert_ne!(late(bytes, bytes), Detection::Yes, "{bytes:x?}");
    }
}

#[test]
fn what_only_looks_like_a_long_frame_does_not_hide_those_that_follow() {
    let mut feed = Feed::begun();
    feed.gap(CLIENT, Some(1000));
    // The rest of a frame that reads as the head of one of 16128 bytes.
    feed.data(CLIENT, &[0, 0x3f, 0, 1, 0, 0, 0, 4, 1, 0, 0]);
    feed.data(CLIENT, &[frame(frame::PING, 0, 0, &[0; 8]), request(5)].concat());
    feed.data(SERVER, &answer(5));
    assert_eq!(kinds(&feed.news()), WHOLE);
}

#[test]
fn a_server_may_speak_first() {
    let detect = |bytes: &[u8]| {
        Http2.detect(&Opening { bytes: [&[], bytes], from_start: [true, true], datagram: false })
    };
    let settings = frame(frame::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    assert_eq!(detect(&settings), Detection::Yes);
    for cut in 1..settings.len() {
        assert_eq!(detect(&settings[..cut]), Detection::More);
    }
    assert_eq!(detect(&frame(frame::SETTINGS, 0, 0, &[])), Detection::More);
    assert_eq!(detect(&frame(frame::PING, 0, 0, &[0; 8])), Detection::No);
}

#[test]
fn the_detail_view_shows_what_stands_there() {
    let mut fields = vec![0x83, 0xbe];
    fields.extend(literal(0x40, "x", "y"));
    let headers = frame(frame::HEADERS, 5, 3, &fields);
    let data = frame(frame::DATA, 0, 3, &[1, 0, 0, 0, 2, 7, 7]);
    let goaway = frame(frame::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11, b'b', b'y', b'e']);
    let tree = Http2.dissect(CLIENT, &[headers, data, goaway].concat());
    let show = |field: &crate::protocol::Field| format!("{}={}", field.name, field.value);
    assert_eq!(
        tree.iter().map(show).collect::<Vec<_>>(),
        ["HEADERS=stream 3", "DATA=stream 3", "GOAWAY=stream 0"]
    );
    assert_eq!(show(&tree[0].children[2]), "Flags=0x05 (END_STREAM, END_HEADERS)");
    let block: Vec<_> = tree[0].children[4].children.iter().map(show).collect();
    assert_eq!(block, [":method=POST", "dynamic entry 1=not known without the connection's table", "x=y"]);
    assert_eq!(tree[0].children[4].children[2].range, (11, 16));
    assert_eq!(show(&tree[1].children[4]), "gRPC message=2 bytes");
    assert_eq!(show(&tree[2].children[5]), "Error Code=11 (ENHANCE_YOUR_CALM)");
    let text = b"POST /a.B/Do HTTP/1.1\r\nUpgrade: h2c\r\n\r\nbody";
    let tree = Http2.dissect(CLIENT, text);
    let lines: Vec<_> = tree[0].children.iter().map(show).collect();
    assert_eq!(lines, ["request line=POST /a.B/Do HTTP/1.1", "Upgrade=h2c", "body=4 bytes"]);
}

/// What was emitted, by stream.
fn by_stream(emitted: &[Emitted]) -> BTreeMap<i64, Vec<&Emitted>> {
    let mut streams = BTreeMap::<i64, Vec<&Emitted>>::new();
    for emitted in emitted {
        streams.entry(emitted.stream).or_default().push(emitted);
    }
    streams
}

proptest! {
    /// Whatever part at the beginning of a real connection is missing: names, codecs and statuses are those of the whole
    /// or not there, and no stream is a call that was none.
    #[test]
    fn who_comes_late_says_nothing_else(at: prop::sample::Index, skip in prop::collection::vec(0..400_usize, 2)) {
        let samples = testing::samples("http2");
        let (name, conversation) = samples.iter().nth(at.index(samples.len())).unwrap();
        let mut whole = Feed::new();
        for (side, bytes) in conversation {
            whole.data(*side, bytes);
        }
        whole.end();
        let mut part = Feed::new();
        let mut left = skip.clone();
        for (side, bytes) in conversation {
            let skipped = left[side.index()].min(bytes.len());
            left[side.index()] -= skipped;
            if skipped < bytes.len() {
                part.data(*side, &bytes[skipped..]);
            }
        }
        part.end();
        // Of a side whose first bytes are missing, the pipeline does not believe this.
        part.emitted.retain(|emitted| emitted.kind != Kind::Foreign || skip[emitted.side.index()] == 0);
        let whole = by_stream(&whole.emitted);
        for (stream, seen) in by_stream(&part.emitted) {
            let Some(all) = whole.get(&stream) else { panic!("{name}: stream {stream} is invented: {seen:?}") };
            for emitted in seen {
                let fits = |other: &&&Emitted| other.side == emitted.side && other.kind == emitted.kind;
                let same: Vec<_> = all.iter().filter(fits).collect();
                prop_assert!(
                    emitted.path == "?/?" || same.iter().any(|other| other.path == emitted.path),
                    "{name}: {emitted:?} against {same:?}"
                );
                let certain = !matches!(&*emitted.status, "unknown" | "") && !emitted.cut;
                prop_assert!(
                    !certain || same.iter().any(|other| other.status == emitted.status),
                    "{name}: {emitted:?} against {same:?}"
                );
                prop_assert!(emitted.codec.is_none() || same.iter().any(|other| other.codec == emitted.codec));
            }
        }
    }

    #[test]
    fn random_bytes_are_never_a_connection(a: Vec<u8>, b: Vec<u8>) {
        prop_assert_ne!(late(&a, &b), Detection::Yes);
    }
}

#[test]
fn a_refused_upgrade_ends_the_frame_that_was_passing() {
    let request = b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
        HTTP2-Settings: AAMAAABk\r\nContent-Length: 0\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // A DATA frame with padding, of which little comes before the answer.
    let data = [0, 1, 0, 0, 9, 0, 0, 0, 1, 3, b'x'];
    let mut session = Http2.session();
    let mut seen = Vec::new();
    let emit: &mut crate::protocol::Emit<'_> = &mut |_, event| seen.push(event.kind());
    session.data(crate::Side::A, &[request, PREFACE, &settings, &data[..]].concat(), emit);
    session.data(crate::Side::B, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", emit);
    session.gap(crate::Side::A, None, emit);
    session.data(crate::Side::A, &[7; 600], emit);
    session.end(crate::Side::A, emit);
    assert!(!seen.iter().any(|kind| format!("{kind:?}").contains("Part")), "{seen:?}");
}

/// The answer to an upgrading request was not captured, only what followed it.
#[test]
fn an_upgrade_shows_by_what_follows_it() {
    let request = b"POST /a.B/Do HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nUpgrade: h2c\r\n\
        Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\n\r\n\0\0\0\0\x01\x07";
    let settings = frame(frame::SETTINGS, 0, 0, &[]);
    let update = frame(frame::WINDOW_UPDATE, 0, 0, &[0, 15, 0, 1]);
    for first in [&settings, &update] {
        let mut feed = Feed::new();
        feed.data(CLIENT, &[request, PREFACE, &settings].concat());
        feed.data(SERVER, &[&first[..], &answer(1)].concat());
        feed.end();
        assert_eq!(feed.emitted[0].path, "a.B/Do");
        assert_eq!(feed.emitted.last().unwrap().status, "5 no way");
    }
    let mut feed = Feed::new();
    feed.data(CLIENT, &[request, PREFACE, &settings].concat());
    feed.data(SERVER, b"HTTP/1.0 200 OK\r\n\r\n");
    feed.end();
    assert_eq!(feed.news(), []);
}
