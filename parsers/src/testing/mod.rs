//! The tests that every registry line inherits.
//!
//! A protocol brings samples in `samples/<module>/`: real messages, each in a file named
//! `<conversation>.<number><side>.bin`, for instance `order-not-found.1a.bin` (the request) and `order-not-found.2b.bin`
//! (the answer). The files of a conversation are the bytes of one connection in the order of their names; the side is `a`
//! or `b`. A file may hold several messages, and a message may go on in the next file of its side.
//!
//! With these the tests hold every protocol to the same promises: it recognises its own samples and no others, it sees the
//! same messages however the bytes are cut into pieces, what is missing makes it say less and never something else, and
//! hostile bytes neither make it panic nor make it hold memory without bound.

pub(crate) mod bodies;
pub(crate) mod flat;

use std::collections::BTreeMap;
use std::path::Path;

use crate::event::{CallId, Event, Kind, Side};
use crate::protocol::{Detection, Field, Opening, Protocol, Session};
pub(crate) use flat::own;
use flat::{GrpcStatus, Message, Status};

/// The longest conversation that is fed with every split: the work grows with the square of it.
const CONVERSATION_LIMIT: usize = 6 * 1024;

/// The most bytes that a session may hold back while it waits for the rest of a head.
const HELD_LIMIT: usize = 4 * 1024 * 1024;

/// Declares the inherited tests of one protocol.
macro_rules! inherit {
    ($module:expr, $protocol:expr) => {
        #[test]
        fn recognises_its_samples_and_nobody_elses() {
            crate::testing::check_detection($module, &$protocol);
        }

        #[test]
        fn sees_the_same_messages_at_every_split() {
            crate::testing::check_splits($module, &$protocol);
        }

        #[test]
        fn says_less_and_never_something_else_when_bytes_are_missing() {
            crate::testing::check_truncation($module, &$protocol);
        }

        #[test]
        fn emits_the_same_bodies_at_every_split_and_none_with_a_hole() {
            crate::testing::bodies::check_bodies($module, &$protocol);
        }

        #[test]
        fn reads_the_same_calls_without_the_bytes_of_bodies() {
            crate::testing::bodies::check_marks($module, &$protocol);
        }

        #[test]
        fn begins_anew_for_another_connection() {
            crate::testing::check_renewal($module, &$protocol);
        }

        #[test]
        fn survives_hostile_bytes() {
            crate::testing::check_hostile_bytes($module, &$protocol);
        }

        #[test]
        fn dissects_within_the_bytes() {
            crate::testing::check_dissection($module, &$protocol);
        }
    };
}
pub(crate) use inherit;

/// Bytes of one connection: who sent what, in order.
type Conversation = Vec<(Side, Vec<u8>)>;

/// The conversations of a protocol by name. A protocol without samples fails here.
pub(crate) fn samples(module: &str) -> BTreeMap<String, Conversation> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(module);
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{module} has no samples: {} ({error})", folder.display()))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.strip_suffix(".bin").is_some())
        .collect();
    names.sort();
    assert!(!names.is_empty(), "{module} has no samples in {}", folder.display());
    let mut conversations = BTreeMap::<String, Vec<(u32, Side, Vec<u8>)>>::new();
    for name in names {
        let mut parts = name.split('.');
        let (conversation, place) = (parts.next().unwrap(), parts.next().unwrap());
        let side = match place.chars().last() {
            Some('a') => Side::A,
            Some('b') => Side::B,
            _ => panic!("{name}: the part before .bin is a number and a or b"),
        };
        let number = place[..place.len() - 1].parse().unwrap_or_else(|_| panic!("{name}: no number"));
        let bytes = std::fs::read(folder.join(&name)).unwrap();
        assert!(!bytes.is_empty(), "{name} is empty");
        conversations.entry(conversation.to_owned()).or_default().push((number, side, bytes));
    }
    conversations
        .into_iter()
        .map(|(name, mut pieces)| {
            pieces.sort_by_key(|(number, ..)| *number);
            let size: usize = pieces.iter().map(|(_, _, bytes)| bytes.len()).sum();
            assert!(size <= CONVERSATION_LIMIT, "{name}: {size} bytes are too many to try every split");
            (name, pieces.into_iter().map(|(_, side, bytes)| (side, bytes)).collect())
        })
        .collect()
}

/// A message that outlives its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// Who sent it.
    pub(crate) side: Side,
    /// Its fields, all texts owned; the metadata are beside it.
    pub(crate) message: Message<'static>,
    /// Its metadata.
    pub(crate) metadata: Vec<(String, String)>,
}

/// Whether two messages agree in all their fields.
fn same(a: &Seen, b: &Seen) -> bool {
    let names = |m: &Message<'static>| (m.transport, m.rpc, m.codec, m.timeout, m.unknown_name);
    let sizes = |m: &Message<'static>| (m.kind, m.id, m.start, m.bytes, m.messages, m.more, m.truncated);
    let (x, y) = (&a.message, &b.message);
    a.side == b.side
        && sizes(x) == sizes(y)
        && names(x) == names(y)
        && (&x.service, &x.method, &x.caller, &x.callee) == (&y.service, &y.method, &y.caller, &y.callee)
        && x.status == y.status
        && a.metadata == b.metadata
}

/// Puts together what depends on where the bytes were cut: the end of a long message is an event of its own, and
/// parts of a stream may come in more or fewer pieces.
fn settle(seen: Vec<Seen>) -> Vec<Seen> {
    let mut settled = Vec::<Seen>::new();
    for next in seen {
        let of_call = |other: &&mut Seen| other.side == next.side && other.message.id == next.message.id;
        match next.message.kind {
            // Said once for every piece that could not be read.
            Kind::Lost | Kind::Sealed => {}
            Kind::Complete => {
                if let Some(open) = settled.iter_mut().rev().filter(of_call).find(|seen| seen.message.more) {
                    open.message.more = false;
                    // Of a part it was known from the beginning, and is in the sum of all parts.
                    if open.message.kind != Kind::Part {
                        open.message.bytes = next.message.bytes;
                    }
                    open.message.truncated |= next.message.truncated;
                    continue;
                }
                settled.push(next);
            }
            Kind::Part => {
                if let Some(part) = settled.iter_mut().rev().find(of_call)
                    && part.message.kind == Kind::Part
                {
                    part.message.messages += next.message.messages;
                    part.message.bytes += next.message.bytes;
                    part.message.truncated |= next.message.truncated;
                    part.message.more = next.message.more;
                    continue;
                }
                settled.push(next);
            }
            _ => settled.push(next),
        }
    }
    settled
}

/// A session and what it has emitted.
struct Feed {
    session: Box<dyn Session>,
    seen: Vec<Seen>,
    /// The bodies, apart.
    bodies: Vec<bodies::Seen>,
    /// How bytes of bodies are replaced, by side and offset, if that is marked.
    marks: bodies::Marks,
}

/// Keeps an event with the others of its kind.
fn keep(
    seen: &mut Vec<Seen>,
    bodies: &mut Vec<bodies::Seen>,
    marks: &mut bodies::Marks,
    side: Side,
    event: &Event<'_>,
) {
    match event {
        Event::Body(body) => bodies.push(bodies::own(side, body)),
        Event::BodyPiece(piece) => marks.take(side, piece),
        event => seen.push(own(side, event)),
    }
}

impl Feed {
    fn new(protocol: &dyn Protocol) -> Self {
        let mut feed = Self::without_bodies(protocol);
        feed.session.collect_bodies(bodies::LIMIT);
        feed
    }

    fn without_bodies(protocol: &dyn Protocol) -> Self {
        let (seen, bodies, marks) = <(Vec<Seen>, Vec<bodies::Seen>, bodies::Marks)>::default();
        Self { session: protocol.session(), seen, bodies, marks }
    }

    fn data(&mut self, side: Side, bytes: &[u8]) {
        let Self { session, seen, bodies, marks } = self;
        session.data(side, bytes, &mut |side, event| keep(seen, bodies, marks, side, event));
    }

    fn gap(&mut self, side: Side, missing: Option<u64>) {
        let Self { session, seen, bodies, marks } = self;
        session.gap(side, missing, &mut |side, event| keep(seen, bodies, marks, side, event));
    }

    fn end(&mut self, side: Side) {
        let Self { session, seen, bodies, marks } = self;
        session.end(side, &mut |side, event| keep(seen, bodies, marks, side, event));
    }

    fn finish(mut self) -> Vec<Seen> {
        self.end(Side::A);
        self.end(Side::B);
        settle(self.seen)
    }
}

/// What a protocol sees in a conversation that is fed piece by piece as its files have it.
pub(crate) fn messages(protocol: &dyn Protocol, conversation: &[(Side, Vec<u8>)]) -> Vec<Seen> {
    let mut feed = Feed::new(protocol);
    for (side, bytes) in conversation {
        feed.data(*side, bytes);
    }
    feed.finish()
}

/// What the registry makes of an opening: the first protocol that does not say no, and whether it is sure.
fn ask_all(opening: &Opening<'_>) -> Option<(&'static str, bool)> {
    crate::all().iter().find_map(|protocol| match protocol.detect(opening) {
        Detection::No => None,
        Detection::More => Some((protocol.name(), false)),
        Detection::Yes => Some((protocol.name(), true)),
    })
}

/// Every prefix of a conversation, in the order of time.
fn each_opening(conversation: &[(Side, Vec<u8>)], mut each: impl FnMut(&Opening<'_>)) {
    let mut bytes = [Vec::new(), Vec::new()];
    for (side, piece) in conversation {
        for byte in piece {
            bytes[side.index()].push(*byte);
            each(&Opening { bytes: [&bytes[0], &bytes[1]], from_start: [true, true], datagram: false });
        }
    }
}

/// At every prefix of its samples the protocol says yes or wants more, in the end yes, and the registry as a whole comes to
/// the same; to noise it never says yes.
pub(crate) fn check_detection(module: &str, protocol: &dyn Protocol) {
    for (name, conversation) in samples(module) {
        let mut recognised = false;
        each_opening(&conversation, |opening| {
            if recognised {
                return;
            }
            let at = opening.bytes.map(<[u8]>::len);
            let own = protocol.detect(opening);
            assert_ne!(own, Detection::No, "{module}/{name} is denied after {at:?} bytes");
            recognised = own == Detection::Yes;
            match ask_all(opening) {
                Some((other, true)) => {
                    assert_eq!(other, protocol.name(), "{module}/{name} is taken after {at:?} bytes");
                }
                first => assert!(
                    !recognised || first.is_none(),
                    "{module}/{name} waits for {first:?}, which comes first in the registry, after {at:?} bytes"
                ),
            }
        });
        assert!(recognised, "{module}/{name} is not recognised");
    }
    let mut noise = Noise(0x5eed);
    for _ in 0..400 {
        let [a, b] = [noise.bytes(300), noise.bytes(300)];
        for datagram in [false, true] {
            let opening = Opening { bytes: [&a, &b], from_start: [true, true], datagram };
            assert_ne!(protocol.detect(&opening), Detection::Yes, "{module} sees itself in noise: {a:x?}");
        }
    }
}

/// However the bytes are cut, and whatever buffers are freed in between, the messages are the same in all their fields.
pub(crate) fn check_splits(module: &str, protocol: &dyn Protocol) {
    for (name, conversation) in samples(module) {
        let whole = messages(protocol, &conversation);
        assert!(!whole.is_empty(), "{module}/{name}: no message is seen");
        let check = |split: &[Seen], context: &str| {
            for (at, whole) in whole.iter().enumerate() {
                let split = split.get(at);
                assert!(
                    split.is_some_and(|split| same(split, whole)),
                    "{context}:\n{whole:#?}\nis now\n{split:#?}"
                );
            }
            assert_eq!(split.len(), whole.len(), "{context}: more messages than the whole has");
        };
        for (piece, (_, bytes)) in conversation.iter().enumerate() {
            for cut in 1..bytes.len() {
                let mut feed = Feed::new(protocol);
                for (at, (side, bytes)) in conversation.iter().enumerate() {
                    if at == piece {
                        feed.data(*side, &bytes[..cut]);
                        feed.session.shrink();
                        feed.data(*side, &bytes[cut..]);
                    } else {
                        feed.data(*side, bytes);
                    }
                }
                check(
                    &feed.finish(),
                    &format!("{module}/{name}: file {} split after {cut} bytes", piece + 1),
                );
            }
        }
        let mut feed = Feed::new(protocol);
        for (side, bytes) in &conversation {
            for byte in bytes {
                feed.data(*side, &[*byte]);
            }
        }
        check(&feed.finish(), &format!("{module}/{name}: byte by byte"));
    }
}

/// The parts of a status that name an outcome, where it has them.
fn outcome(status: &Status<'_>) -> Vec<(&'static str, String)> {
    let mut claims = Vec::new();
    let mut claim = |name, value: Option<String>| claims.extend(value.map(|value| (name, value)));
    claim("ret", status.ret.map(|n| n.to_string()));
    claim("func_ret", status.func_ret.map(|n| n.to_string()));
    claim("biz", status.biz.as_ref().and_then(|biz| biz.status.as_ref()).map(|text| format!("{text:x?}")));
    claim("exception", status.exception.as_ref().map(|exception| exception.type_id.to_string()));
    claim("result", status.result.map(|result| format!("{result:?}")));
    claim("http", status.http.map(|n| n.to_string()));
    claim("reset", status.reset.as_ref().and_then(|reset| reset.code).map(|n| n.to_string()));
    claim("trpc_end", status.trpc_end.map(|end| format!("{end:?}")));
    if let Some(GrpcStatus::Code(code)) = status.grpc {
        claim("grpc", Some(code.to_string()));
    }
    claims
}

/// What is emitted although bytes are missing is never at odds with what the whole says.
fn assert_no_guess(seen: &[Seen], whole: &[Seen], context: &str) {
    for left in seen {
        let same = |other: &&Seen| {
            other.side == left.side
                && other.message.kind == left.message.kind
                && other.message.id == left.message.id
                && other.message.start == left.message.start
        };
        let Some(whole) = whole.iter().find(same) else { continue };
        let said = outcome(&whole.message.status);
        for claim in outcome(&left.message.status) {
            assert!(said.contains(&claim), "{context}: claims {claim:?}, the whole says {said:?}");
        }
    }
}

/// At every byte: the rest of a message is missing because the side ends, or because it was not captured.
pub(crate) fn check_truncation(module: &str, protocol: &dyn Protocol) {
    for (name, conversation) in samples(module) {
        let whole = messages(protocol, &conversation);
        for (piece, (cut_side, cut_bytes)) in conversation.iter().enumerate() {
            for cut in 0..cut_bytes.len() {
                let context = format!("{module}/{name}: file {} cut after {cut} bytes", piece + 1);
                let mut ended = Feed::new(protocol);
                for (side, bytes) in &conversation[..piece] {
                    ended.data(*side, bytes);
                }
                ended.data(*cut_side, &cut_bytes[..cut]);
                assert_no_guess(&ended.finish(), &whole, &context);
                for missing in [Some((cut_bytes.len() - cut) as u64), None] {
                    let mut feed = Feed::new(protocol);
                    for (at, (side, bytes)) in conversation.iter().enumerate() {
                        if at == piece {
                            feed.data(*side, &bytes[..cut]);
                            feed.gap(*side, missing);
                        } else {
                            feed.data(*side, bytes);
                        }
                    }
                    let seen = feed.finish();
                    if missing.is_some() {
                        assert_no_guess(&seen, &whole, &format!("{context}, then a gap"));
                    }
                }
            }
        }
    }
}

/// Numbers that look random and are the same in every run (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// A session whose connection is over sees in another one what a new session sees, whatever the first one left.
pub(crate) fn check_renewal(module: &str, protocol: &dyn Protocol) {
    let mut noise = Noise(0xa9a1);
    for (name, conversation) in samples(module) {
        let whole = messages(protocol, &conversation);
        for _ in 0..50 {
            let mut used = Feed::new(protocol);
            // The sides change places, and messages stay open.
            for (side, bytes) in &conversation {
                used.data(side.other(), &bytes[..=noise.below(bytes.len())]);
                if noise.below(4) == 0 {
                    used.gap(side.other(), Some(noise.below(50) as u64));
                }
            }
            let mut session = used.session;
            if !session.renew() {
                return;
            }
            session.collect_bodies(bodies::LIMIT);
            let mut again = Feed { session, ..Feed::new(protocol) };
            for (side, bytes) in &conversation {
                again.data(*side, bytes);
            }
            assert_eq!(again.finish(), whole, "{module}/{name}");
        }
    }
}

/// Feeds bytes in pieces of any size, with gaps between them, and checks the bounds.
fn feed_hostile(protocol: &dyn Protocol, conversation: &[(Side, Vec<u8>)], noise: &mut Noise) {
    let mut feed = Feed::new(protocol);
    if noise.below(2) == 0 {
        feed.session.mark_bodies();
    }
    // Bytes that the session received or knows to be lost.
    let mut sent = 0;
    for (side, bytes) in conversation {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + noise.below(rest.len()));
            feed.data(*side, piece);
            sent += piece.len();
            rest = after;
            let held = feed.session.held(*side);
            assert!(held <= HELD_LIMIT.min(sent), "{held} bytes are held of {sent}");
            match noise.below(16) {
                0 => feed.gap(*side, None),
                1 => {
                    let missing = noise.below(5000);
                    feed.gap(*side, Some(missing as u64));
                    sent += missing;
                }
                _ => {}
            }
        }
    }
    assert!(feed.finish().len() <= sent + 2, "more messages than bytes");
}

/// Random bytes, and samples with flipped bits, doubled, shortened or swapped pieces.
pub(crate) fn check_hostile_bytes(module: &str, protocol: &dyn Protocol) {
    let mut noise = Noise(0xfeed);
    for _ in 0..200 {
        let conversation = [Side::A, Side::B, Side::A].map(|side| {
            let len = 1 + noise.below(600);
            (side, noise.bytes(len))
        });
        feed_hostile(protocol, &conversation, &mut noise);
    }
    for conversation in samples(module).into_values() {
        for _ in 0..300 {
            let mut broken = conversation.clone();
            for (side, bytes) in &mut broken {
                for _ in 0..noise.below(5) {
                    let at = noise.below(bytes.len());
                    match noise.below(4) {
                        0 => bytes[at] ^= 1 << noise.below(8),
                        1 => bytes[at] = [0, 0xff, 0x7f, 0x80][noise.below(4)],
                        2 if bytes.len() > 1 => bytes.truncate(at.max(1)),
                        _ => bytes.extend_from_within(at..),
                    }
                }
                if noise.below(40) == 0 {
                    *side = side.other();
                }
            }
            feed_hostile(protocol, &broken, &mut noise);
            let [a, b] = [&broken[0].1, &broken[broken.len() - 1].1];
            for datagram in [false, true] {
                let opening = Opening { bytes: [a, b], from_start: [noise.below(2) == 0, true], datagram };
                protocol.detect(&opening);
                if datagram {
                    let mut session = protocol.session();
                    session.datagram(Side::A, a, &mut |_, _| {});
                    session.datagram(Side::B, b, &mut |_, _| {});
                }
            }
        }
    }
}

fn assert_within(fields: &[Field], outer: (usize, usize), context: &str) {
    for field in fields {
        let (start, end) = field.range;
        assert!(
            outer.0 <= start && start <= end && end <= outer.1,
            "{context}: {field:?} is not in {outer:?}"
        );
        assert_within(&field.children, field.range, context);
    }
}

/// The fields of a dissected message lie within it, and within their parents, whole or cut at any byte.
pub(crate) fn check_dissection(module: &str, protocol: &dyn Protocol) {
    for (name, conversation) in samples(module) {
        let mut sent = [Vec::new(), Vec::new()];
        for (side, bytes) in &conversation {
            sent[side.index()].extend_from_slice(bytes);
        }
        for seen in messages(protocol, &conversation) {
            let start = seen.message.start as usize;
            let end = start + seen.message.bytes as usize;
            let Some(bytes) = sent[seen.side.index()].get(start..end) else { continue };
            for cut in 0..=bytes.len() {
                let context = format!("{module}/{name}: message at {start} cut after {cut} bytes");
                assert_within(&protocol.dissect(seen.side, &bytes[..cut]), (0, cut), &context);
            }
            if seen.message.id != CallId::Order {
                protocol.dissect(seen.side.other(), bytes);
            }
        }
    }
}
