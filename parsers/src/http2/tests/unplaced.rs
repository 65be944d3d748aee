//! Connections of which only DATA was captured.

use super::*;

fn message(stream: u32, flags: u8, text: &[u8]) -> Vec<u8> {
    let prefix = [&[0][..], &(text.len() as u32).to_be_bytes()].concat();
    frame(frame::DATA, flags, stream, &[&prefix, text].concat())
}

/// What is seen of a server's bytes.
fn of_server(bytes: &[u8]) -> Vec<Emitted> {
    let mut feed = Feed::new();
    feed.data(SERVER, bytes);
    feed.end();
    feed.emitted
}

#[test]
fn messages_on_one_stream_are_a_call_even_if_nothing_else_is_there() {
    let wire = [message(3, 0, b"Jason"), message(3, 0, b"Lily and more")].concat();
    assert_eq!(late(&[], &wire), Detection::Yes);
    for cut in 0..wire.len() {
        let mut feed = Feed::new();
        feed.data(SERVER, &wire[..cut]);
        feed.data(SERVER, &wire[cut..]);
        assert_eq!(feed.news(), [], "cut at {cut}");
        feed.end();
        let [part] = &*feed.emitted else { panic!("{:?}", feed.emitted) };
        assert_eq!((part.side, part.kind, part.stream, part.messages), (SERVER, Kind::Part, 3, 2));
    }
    // Of both sides.
    let mut feed = Feed::new();
    feed.data(CLIENT, &wire);
    feed.data(SERVER, &message(3, 0, b"re"));
    feed.end();
    let sides: Vec<_> = feed.emitted.iter().map(|part| (part.side, part.messages)).collect();
    assert_eq!(sides, [(CLIENT, 2), (SERVER, 1)]);
}

#[test]
fn less_than_two_messages_of_one_stream_prove_nothing() {
    let two_streams = [message(3, 0, b"Jason"), message(5, 0, b"Lily")].concat();
    let empty = [message(3, 0, b""), message(3, 0, b"")].concat();
    let broken = [message(3, 0, b"Jason"), frame(frame::DATA, 0, 3, b"\0\0\0\0\x09four")].concat();
    for wire in [two_streams.clone(), message(3, 0, b"Jason"), empty, broken] {
        assert_ne!(late(&[], &wire), Detection::Yes, "{wire:?}");
    }
    assert_eq!(of_server(&two_streams), []);
}

#[test]
fn once_somebody_is_seen_to_call_the_stream_waits_for_its_answer() {
    let mut feed = Feed::new();
    feed.data(SERVER, &[message(3, 0, b"Jason"), message(3, 0, b"Lily")].concat());
    feed.data(SERVER, &trailers(3, &[("grpc-status", "9")]));
    feed.end();
    assert_eq!(kinds(&feed.news()), [Kind::Answer]);
}

#[test]
fn streams_without_end_are_bounded() {
    let wire: Vec<u8> =
        (0..600).flat_map(|n| [message(2 * n + 1, 0, b"a"), message(2 * n + 1, 0, b"b")]).flatten().collect();
    assert_eq!(of_server(&wire).len(), 256);
}
