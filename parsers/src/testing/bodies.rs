//! The bodies of messages, and what every protocol promises of them.

use std::collections::BTreeMap;

use super::{Conversation, Feed, same, samples};
use crate::bodies::Masking;
use crate::event::{Body, BodyForm, BodyPiece, CallId, Side};
use crate::protocol::Protocol;
use crate::thrift::skip::Veil;

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

/// How bytes of bodies are replaced, by side and offset.
#[derive(Default)]
pub(super) struct Marks {
    masking: [Masking; 2],
    veils: BTreeMap<(Side, u64), Veil>,
    /// Some can't be.
    sealed: bool,
}

impl Marks {
    pub(super) fn take(&mut self, side: Side, piece: &BodyPiece<'_>) {
        self.sealed |= piece.form == BodyForm::Sealed;
        let veils = &mut self.veils;
        side.of_mut(&mut self.masking).take(piece, piece.at, &mut |at, len, veil| {
            veils.extend((at..at + len).map(|at| ((side, at), veil)));
        });
    }

    /// The conversation with these bytes replaced.
    fn replace(&self, conversation: &Conversation) -> Conversation {
        let mut offsets = [0; 2];
        let mut replaced = conversation.clone();
        for (side, bytes) in &mut replaced {
            let offset = side.of_mut(&mut offsets);
            for byte in bytes {
                if let Some(veil) = self.veils.get(&(*side, *offset)) {
                    *byte = veil.over(*byte);
                }
                *offset += 1;
            }
        }
        replaced
    }
}

fn fed(mut feed: Feed, conversation: &Conversation) -> Feed {
    for (side, bytes) in conversation {
        feed.data(*side, bytes);
    }
    feed.end(Side::A);
    feed.end(Side::B);
    feed
}

fn marking(protocol: &dyn Protocol) -> Feed {
    let mut feed = Feed::without_bodies(protocol);
    feed.session.mark_bodies();
    feed
}

/// Whoever asks which bytes are those of bodies sees the same messages as whoever does not, and the same bytes however they are cut;
/// and without these bytes, the messages are the same.
pub(crate) fn check_marks(module: &str, protocol: &dyn Protocol) {
    let mut replaced_any = false;
    for (name, conversation) in samples(module) {
        let whole = fed(marking(protocol), &conversation);
        let without = fed(Feed::without_bodies(protocol), &conversation);
        assert!(without.marks.veils.is_empty() && whole.bodies.iter().all(|body| body.bytes.is_empty()));
        assert_eq!(whole.seen, without.seen, "{module}/{name}");
        for (piece, (side, bytes)) in conversation.iter().enumerate() {
            for cut in 1..bytes.len() {
                let mut split = conversation.clone();
                split[piece].1.truncate(cut);
                split.insert(piece + 1, (*side, bytes[cut..].to_vec()));
                let split = fed(marking(protocol), &split);
                let context = format!("{module}/{name}: file {} cut after {cut} bytes", piece + 1);
                assert_eq!(split.marks.veils, whole.marks.veils, "{context}");
                assert_eq!(split.marks.sealed, whole.marks.sealed, "{context}");
            }
        }
        if whole.marks.sealed {
            continue;
        }
        let replaced = whole.marks.replace(&conversation);
        replaced_any |= replaced != conversation;
        let [again, before] = [&replaced, &conversation].map(|conversation| {
            let mut seen = fed(Feed::without_bodies(protocol), conversation).finish();
            // What a body is written in may show in its first byte.
            for seen in &mut seen {
                seen.message.codec = None;
            }
            seen
        });
        assert_eq!(again.len(), before.len(), "{module}/{name}: {again:?}");
        for (again, before) in again.iter().zip(&before) {
            assert!(same(again, before), "{module}/{name}: {again:?} {before:?}");
        }
    }
    assert!(replaced_any, "{module}: no sample has a byte that is replaced");
}
