//! Sessions that begin again for other connections.

use super::*;

/// A connection whose tables and streams hold something, of which bytes are missing, and which makes no sense in the end.
fn used() -> Feed {
    let mut feed = Feed::begun();
    // 120 times an "a", in Huffman code.
    let long = [&[0x40, 1, b'z', 0x80 | 0x4b][..], &[0x18, 0xc6, 0x31, 0x8c, 0x63].repeat(15)].concat();
    let inserted =
        [vec![0x83, 0x86], literal(0x40, ":path", "/a.B/Do"), literal(0x40, "x", &"y".repeat(100)), long];
    for stream in [1, 3, 5, 7, 9, 11] {
        feed.data(CLIENT, &frame(frame::HEADERS, frame::END_HEADERS, stream, &inserted.concat()));
        feed.data(SERVER, &answer(stream));
    }
    feed.data(CLIENT, &request(13));
    feed.data(CLIENT, &frame(frame::HEADERS, 0, 15, &request_fields()));
    feed.gap(SERVER, Some(60));
    feed.data(SERVER, b"no frame at all, whatever one looks for in it");
    feed.end();
    feed
}

#[test]
fn a_session_that_is_renewed_is_as_new() {
    let mut feed = used();
    let new = Connection::session();
    assert!(feed.session.memory() > new.memory());
    assert!(feed.session.renew());
    assert_eq!(feed.session.memory(), new.memory());
    assert_eq!(format!("{:?}", feed.session), format!("{new:?}"));
}
