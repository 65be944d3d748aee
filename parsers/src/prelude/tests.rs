use proptest::prelude::*;

use super::*;

const PROXY_1: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n";
const PROXY_UNIX: &[u8; 16 + 216] = &{
    let mut header = [0; 16 + 216];
    let (mut at, head) = (0, b"\r\n\r\n\0\r\nQUIT\n\x21\x31\x00\xd8");
    while at < head.len() {
        header[at] = head[at];
        at += 1;
    }
    header[16 + 108] = b'/';
    header[16 + 109] = b's';
    header
};
const PROXY_2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0f\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb\x04\0\0";
const CONNECT: &[u8] = b"CONNECT a.test:1 HTTP/1.1\r\nHost: a.test:1\r\n\r\n";
const GRANTED: &[u8] = b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";
const SOCKS_4A: &[u8] = b"\x04\x01\x1b\x58\0\0\0\x01me\0a.test\0";
const SOCKS_5: &[u8] = b"\x05\x02\0\x02\x01\x02me\x03pwd\x05\x01\0\x03\x06a.test\x1b\x58";

/// What the client and the proxy send, and the source and the target that they name.
type Row = (&'static [u8], &'static [u8], Option<&'static str>, Option<&'static str>);

const WHOLE: &[Row] = &[
    (PROXY_1, b"", Some("[2001:db8::7]:56324"), Some("[2001:db8::1]:443")),
    (PROXY_UNIX, b"", None, Some("/s")),
    (PROXY_2, b"", Some("192.0.2.7:56324"), Some("198.51.100.1:443")),
    (b"PROXY UNKNOWN whatever\r\n", b"", None, None),
    (CONNECT, GRANTED, None, Some("a.test:1")),
    (b"\x04\x01\x1b\x58\xc6\x33\x64\x01\0", b"\0\x5a      ", None, Some("198.51.100.1:7000")),
    (SOCKS_4A, b"\0\x5a      ", None, Some("a.test:7000")),
    (SOCKS_5, b"\x05\x02\x01\0\x05\0\0\x01\0\0\0\0\0\0", None, Some("a.test:7000")),
];

#[test]
fn the_named_addresses_are_found_from_either_side() {
    for (sent, answered, source, target) in WHOLE {
        for client in [Side::A, Side::B] {
            // What follows is none of it.
            let mut bytes = [[answered, &b"\0later"[..]].concat(), [sent, &b"\0later"[..]].concat()];
            if client == Side::A {
                bytes.swap(0, 1);
            }
            let Found::Whole(prelude) = read([&bytes[0], &bytes[1]], client, true) else {
                panic!("{sent:?}");
            };
            assert_eq!((prelude.client, prelude.refused), (client, None));
            assert_eq!(*client.of(&prelude.len), sent.len());
            assert_eq!(*client.other().of(&prelude.len), answered.len());
            assert_eq!(prelude.source.map(|source| source.to_string()).as_deref(), *source);
            assert_eq!(prelude.target.map(|target| target.to_string()).as_deref(), *target);
        }
    }
}

#[test]
fn a_prefix_needs_more() {
    for (sent, answered, ..) in WHOLE {
        for cut in 1..sent.len() {
            assert_eq!(read([&sent[..cut], b""], Side::A, true), Found::More, "{cut} of {sent:?}");
        }
        for cut in 0..answered.len() {
            assert_eq!(read([sent, &answered[..cut]], Side::A, true), Found::More, "{cut} of {answered:?}");
        }
    }
}

#[test]
fn a_proxy_that_was_not_captured_has_agreed_where_the_client_goes_on() {
    for sent in [CONNECT, SOCKS_4A, SOCKS_5] {
        let mut bytes = sent.to_vec();
        assert_eq!(read([&bytes, b""], Side::A, false), Found::More);
        bytes.push(0);
        let Found::Whole(prelude) = read([&bytes, b""], Side::A, false) else { panic!("{sent:?}") };
        assert_eq!(prelude.len, [sent.len(), 0]);
        assert!(prelude.target.is_some());
    }
}

#[test]
fn what_only_looks_like_a_prelude_is_none() {
    for (sent, answered) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &b""[..]),
        (b"PROXY TCP4 1.2.3.4\r\n", b""),
        (b"PROXY TCP4 1.2.3.4 1.2.3.400 1 2\r\n", b""),
        (&[b'P', b'R', b'O', b'X', b'Y', b' '].iter().copied().chain([b'x'; 110]).collect::<Vec<_>>(), b""),
        (b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0", b""),
        // The addresses do not fit into the header.
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd", b""),
        (b"CONNECT a.test:1 HTTP/1.1\r\n\r\n", b"+PONG\r\n"),
        // DCE/RPC, version 5.0.
        (b"\x05\x00\x0b\x03\x10\0\0\0", b""),
        // A method that was not offered.
        (b"\x05\x01\x00", b"\x05\x02"),
        (b"\x05\x01\x00", b"\x06\x00"),
        (b"\x04\x02\x1b\x58\xc6\x33\x64\x01\0", b""),
        (b"\x04\x01\0\0\xc6\x33\x64\x01\0", b""),
        (b"\x04\x01\x1b\x58\xc6\x33\x64\x01\0", b"\x04\x5a"),
        (b"", b"\x05\0"),
    ] {
        assert_eq!(read([sent, answered], Side::A, true), Found::Nothing, "{sent:?} {answered:?}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        which in 0..WHOLE.len(),
        at in 0_usize..40,
        with in any::<u8>(),
        answered in any::<Vec<u8>>(),
        heard in any::<bool>(),
    ) {
        let mut sent = WHOLE[which].0.to_vec();
        let at = at.min(sent.len() - 1);
        sent[at] = with;
        for side in [Side::A, Side::B] {
            if let Found::Whole(prelude) = read([&sent, &answered], side, heard) {
                prop_assert!(prelude.len[0] <= sent.len() && prelude.len[1] <= answered.len());
            }
            let _ = read([&sent, WHOLE[which].1], side, heard);
        }
    }
}
