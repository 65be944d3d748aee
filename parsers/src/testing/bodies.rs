//! The bodies of messages, and what every protocol promises of them.

use super::{Feed, samples};
use crate::event::{Body, CallId, Side};
use crate::protocol::Protocol;

/// The largest body that the tests ask for.
pub(super) const LIMIT: usize = 1024 * 1024;

/// A body on memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) side: Side,
    pub(crate) id: CallId,
    pub(crate) bytes: Vec<u8>,
    pub(crate) whole: bool,
    pub(crate) encoding: Option<String>,
}

pub(super) fn own(side: Side, body: &Body<'_>) -> Seen {
    let Body { id, bytes, whole, encoding, .. } = *body;
    assert!(whole || bytes.is_empty(), "bytes of a body that is not whole");
    Seen { side, id, bytes: bytes.to_vec(), whole, encoding: encoding.map(str::to_owned) }
}

/// However the bytes are cut, the bodies are the same; whoever asks for them sees the same messages as whoever does not; and where
/// bytes are missing, no other body is said to be whole.
pub(crate) fn check_bodies(module: &str, protocol: &dyn Protocol) {
    let mut bodies = 0;
    for (name, conversation) in samples(module) {
        let feed = |feed: &mut Feed| conversation.iter().for_each(|(side, bytes)| feed.data(*side, bytes));
        let mut whole = Feed::new(protocol);
        feed(&mut whole);
        let mut without = Feed::without_bodies(protocol);
        feed(&mut without);
        assert!(without.bodies.is_empty());
        let whole_bodies = whole.bodies.clone();
        bodies += whole_bodies.len();
        assert_eq!(whole.finish(), without.finish(), "{module}/{name}");
        for (piece, (cut_side, cut_bytes)) in conversation.iter().enumerate() {
            for cut in 1..cut_bytes.len() {
                let context = format!("{module}/{name}: file {} cut after {cut} bytes", piece + 1);
                let (mut split, mut holed) = (Feed::new(protocol), Feed::new(protocol));
                for (at, (side, bytes)) in conversation.iter().enumerate() {
                    if at == piece {
                        split.data(*side, &bytes[..cut]);
                        split.data(*side, &bytes[cut..]);
                        holed.data(*side, &bytes[..cut]);
                        holed.gap(*side, Some((bytes.len() - cut) as u64));
                    } else {
                        split.data(*side, bytes);
                        holed.data(*side, bytes);
                    }
                }
                assert_eq!(split.bodies, whole_bodies, "{context}");
                for body in holed.bodies.iter().filter(|body| body.whole) {
                    let known = whole_bodies.iter().any(|known| {
                        (known.side, &known.bytes) == (body.side, &body.bytes)
                            // How a stream is compressed may stand in what is missing.
                            && (known.encoding == body.encoding || *cut_side == body.side)
                    });
                    assert!(known, "{context}, then a gap: {body:?}");
                }
            }
        }
    }
    assert!(bodies > 0, "{module}: no sample has a body");
}
