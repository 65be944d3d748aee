//! Gaps between frames: when the tables survive them.

use super::*;

/// A request that puts path and content type into the table.
fn inserting(stream: u32, path: &str) -> Vec<u8> {
    let mut fields = vec![0x83, 0x86];
    fields.extend(literal(0x40, ":path", path));
    fields.extend(literal(0x40, "content-type", "application/grpc"));
    frame(frame::HEADERS, frame::END_HEADERS, stream, &fields)
}

/// A request with the path and content type of the last one that put them there.
fn referring(stream: u32) -> Vec<u8> {
    frame(frame::HEADERS, frame::END_HEADERS, stream, &[0x83, 0x86, 0xbf, 0xbe])
}

fn message(stream: u32, end: u8) -> Vec<u8> {
    frame(frame::DATA, end, stream, &[0, 0, 0, 0, 2, 7, 7])
}

fn begin_inserting(stream: u32) -> Vec<u8> {
    let fields = [vec![0x88], literal(0x40, "content-type", "application/grpc")].concat();
    frame(frame::HEADERS, frame::END_HEADERS, stream, &fields)
}

/// With the content type of [`begin_inserting`] behind the status of [`end_inserting`].
fn begin_referring(stream: u32) -> Vec<u8> {
    frame(frame::HEADERS, frame::END_HEADERS, stream, &[0x88, 0xbf])
}

fn end_inserting(stream: u32) -> Vec<u8> {
    frame(frame::HEADERS, 5, stream, &literal(0x40, "grpc-status", "5"))
}

fn end_referring(stream: u32) -> Vec<u8> {
    frame(frame::HEADERS, 5, stream, &[0xbe])
}

fn paths(feed: &mut Feed) -> Vec<(i64, String)> {
    let opened = feed.emitted.drain(..).filter(|emitted| emitted.kind == Kind::Open);
    opened.map(|emitted| (emitted.stream, emitted.path)).collect()
}

fn statuses(feed: &mut Feed) -> Vec<(i64, String)> {
    let ended = feed.emitted.drain(..).filter(|emitted| emitted.kind == Kind::Answer);
    ended.map(|emitted| (emitted.stream, emitted.status)).collect()
}

#[test]
fn the_next_request_shows_that_none_is_missing() {
    for (next, missing, path) in [
        (3, Some(50), "a.B/Do"),
        (3, None, "a.B/Do"),
        // Stream 3 may have changed the table.
        (5, Some(50), "?/?"),
    ] {
        let mut feed = Feed::begun();
        feed.data(CLIENT, &[inserting(1, "/a.B/Do"), message(1, 0)].concat());
        feed.gap(CLIENT, missing);
        feed.data(CLIENT, &[referring(next), message(next, frame::END_STREAM)].concat());
        feed.data(SERVER, &begin_inserting(next));
        assert_eq!(
            paths(&mut feed),
            [(1, "a.B/Do".into()), (next.into(), path.into())],
            "{next} {missing:?}"
        );
    }
}

#[test]
fn requests_that_are_no_calls_prevent_the_proof() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[inserting(1, "/a.B/Do"), message(1, frame::END_STREAM)].concat());
    // It may have trailers.
    let post = [vec![0x83, 0x86, 0x84], block(&[("content-type", "application/json")])].concat();
    feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, 3, &post));
    feed.gap(CLIENT, Some(50));
    feed.data(CLIENT, &[referring(5), message(5, frame::END_STREAM)].concat());
    feed.data(SERVER, &begin_inserting(5));
    assert_eq!(paths(&mut feed), [(1, "a.B/Do".into()), (5, "?/?".into())]);
}

#[test]
fn a_missing_part_of_a_header_block_is_a_loss() {
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[inserting(1, "/a.B/Do"), message(1, frame::END_STREAM)].concat());
    let other = inserting(3, "/a.B/Other");
    feed.data(CLIENT, &other[..20]);
    feed.gap(CLIENT, Some(other.len() as u64 - 20 + 16));
    feed.data(CLIENT, &[referring(5), message(5, frame::END_STREAM)].concat());
    feed.data(SERVER, &begin_inserting(5));
    assert_eq!(paths(&mut feed).last(), Some(&(5, "?/?".into())));
}

/// Three calls, of which the first puts everything into the server's table.
fn three_calls() -> Feed {
    let mut feed = Feed::begun();
    for stream in [1, 3, 5] {
        feed.data(CLIENT, &request(stream));
    }
    feed.data(SERVER, &[begin_inserting(1), end_inserting(1)].concat());
    feed
}

#[test]
fn every_answer_that_goes_on_shows_that_nothing_of_it_is_missing() {
    let mut feed = three_calls();
    feed.data(SERVER, &[begin_referring(3), message(3, 0)].concat());
    feed.gap(SERVER, Some(60));
    // Of 3 the end was due, of 5 the beginning: while that of 5 may be missing, the status can't be read.
    feed.data(SERVER, &[message(3, 0), end_referring(3)].concat());
    feed.data(SERVER, &[begin_referring(5), end_referring(5)].concat());
    assert_eq!(statuses(&mut feed), [(1, "5 ?".into()), (3, "unknown".into()), (5, "5 ?".into())]);

    // Where it is the only one it is known at once.
    let mut feed = three_calls();
    feed.data(SERVER, &[begin_referring(3), message(3, 0)].concat());
    feed.data(SERVER, &[begin_referring(5), end_referring(5)].concat());
    feed.gap(SERVER, Some(60));
    feed.data(SERVER, &[message(3, 0), end_referring(3)].concat());
    assert_eq!(statuses(&mut feed), [(1, "5 ?".into()), (5, "5 ?".into()), (3, "5 ?".into())]);
}

#[test]
fn an_answer_that_does_not_go_on_prevents_the_proof() {
    // The beginning of 3 is missing.
    let mut feed = three_calls();
    feed.gap(SERVER, Some(60));
    feed.data(SERVER, &[message(3, 0), end_referring(3)].concat());
    feed.data(SERVER, &[begin_referring(5), end_referring(5)].concat());
    let unknown = |stream| (stream, "unknown".to_owned());
    assert_eq!(statuses(&mut feed), [(1, "5 ?".into()), unknown(3), unknown(5)]);

    // Nothing of 3 comes any more.
    let mut feed = three_calls();
    feed.data(SERVER, &[begin_referring(3), message(3, 0)].concat());
    feed.gap(SERVER, Some(60));
    feed.data(SERVER, &[begin_referring(5), end_referring(5)].concat());
    feed.data(CLIENT, &request(7));
    feed.data(SERVER, &[begin_referring(7), end_referring(7)].concat());
    assert_eq!(statuses(&mut feed), [(1, "5 ?".into()), unknown(5), unknown(7)]);

    // The client broke 3 off: whether the server had sent more on it is not known.
    let mut feed = three_calls();
    feed.data(CLIENT, &frame(frame::RST_STREAM, 0, 3, &[0, 0, 0, 8]));
    feed.gap(SERVER, Some(60));
    feed.data(SERVER, &[begin_referring(5), end_referring(5)].concat());
    assert_eq!(statuses(&mut feed), [(1, "5 ?".into()), unknown(5)]);
}

#[test]
fn unknown_entries_of_two_gaps_are_different_groups() {
    // Groups of two losses between which the table was found again.
    let mut feed = Feed::begun();
    feed.data(CLIENT, &[inserting(1, "/a.B/Do"), message(1, frame::END_STREAM)].concat());
    let mut groups = Vec::new();
    for stream in [5, 13] {
        feed.gap(CLIENT, Some(60));
        feed.data(CLIENT, &[referring(stream), message(stream, frame::END_STREAM)].concat());
        feed.data(SERVER, &begin_inserting(stream));
        groups.extend(feed.emitted.drain(..).filter_map(|emitted| emitted.unknown_name));
        feed.data(CLIENT, &[inserting(stream + 2, "/a.B/Do"), message(stream + 2, 0)].concat());
        feed.gap(CLIENT, Some(60));
        feed.data(CLIENT, &[referring(stream + 4), message(stream + 4, 0)].concat());
        assert_eq!(paths(&mut feed).last(), Some(&(i64::from(stream) + 4, "a.B/Do".into())));
    }
    assert_eq!(groups, [1, 2]);
}
