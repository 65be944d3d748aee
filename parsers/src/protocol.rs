//! Protocols and their sessions: detection by structure, and the state that a connection needs.

use crate::error::Error;
use crate::event::{Event, Side};

/// How many bytes of each side detection looks at before it gives up.
pub const DETECT_LIMIT: usize = 16 * 1024;

/// Where a session puts what it saw. The side is the one that sent the message.
pub type Emit<'e> = dyn FnMut(Side, &Event<'_>) + 'e;

/// The first captured bytes of a connection, or of its part after a gap.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The bytes of each side so far, by [`Side::index`]; each begins where a message can begin.
    pub bytes: [&'a [u8]; 2],
    /// Whether each side's bytes are known to be the connection's very first.
    pub from_start: [bool; 2],
    /// The bytes are one datagram (UDP), not a stream.
    pub datagram: bool,
}

/// What a protocol says of an [`Opening`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection {
    /// Not this protocol, whatever comes.
    No,
    /// Undecided: at least one more byte is needed.
    More,
    /// This protocol.
    Yes,
}

/// A protocol: its name, how to recognise it, and how to follow a connection of it.
pub trait Protocol: Sync {
    /// The name that `--decode-as` takes and the connection record shows.
    fn name(&self) -> &'static str;

    /// Says whether a connection that begins like this is of this protocol. Must be strict: a call invented on foreign
    /// traffic is as bad as a missed one. Works on structure (lengths that add up, known numbers), never on ports.
    fn detect(&self, opening: &Opening<'_>) -> Detection;

    /// Whether a connection that begins like this is of this protocol, although [`detect`](Self::detect) needs more: what follows
    /// on one side is missing, as in captures whose packets are cut. As strict as detection.
    fn detect_cut(&self, _opening: &Opening<'_>) -> bool {
        false
    }

    /// State for one connection.
    fn session(&self) -> Box<dyn Session>;

    /// What a connection without calls is, as its record says it.
    fn without_calls(&self) -> &'static str {
        "no call in it"
    }

    /// The tree of fields of one message as sent (all its bytes), for the detail view.
    fn dissect(&self, _side: Side, _message: &[u8]) -> Vec<Field> {
        Vec::new()
    }
}

/// The state of one connection.
pub trait Session: Send {
    /// Takes the next bytes that `side` sent, in stream order. Everything is taken; what is no whole message yet is kept.
    fn data(&mut self, side: Side, bytes: &[u8], emit: &mut Emit<'_>);

    /// Says that the next `missing` bytes of `side` are lost (`None`: an unknown number).
    fn gap(&mut self, side: Side, missing: Option<u64>, emit: &mut Emit<'_>);

    /// Says that `side` sends nothing more. A message that is not whole is emitted as truncated if its call is known.
    fn end(&mut self, side: Side, emit: &mut Emit<'_>);

    /// Takes one datagram: whole messages only.
    fn datagram(&mut self, _side: Side, _bytes: &[u8], _emit: &mut Emit<'_>) {}

    /// From here on, emit the bodies of messages too ([`Event::Body`]), each up to so many bytes. Until then they are passed over,
    /// which costs nothing.
    fn collect_bodies(&mut self, _limit: usize) {}

    /// From here on, emit which bytes may be replaced ([`Event::BodyPiece`]), in place of the bodies themselves.
    fn mark_bodies(&mut self) {}

    /// How many of the last bytes of `side` are kept because they are no whole message head yet.
    fn held(&self, side: Side) -> usize;

    /// Stream offset of the first byte of `side` of which something emitted later may speak: those of messages are never before it. Behind
    /// all bytes so far if there is none.
    fn oldest(&self, side: Side) -> u64;

    /// About how many bytes of memory the session takes.
    fn memory(&self) -> usize {
        size_of_val(self) + self.held(Side::A) + self.held(Side::B)
    }

    /// Frees buffers that hold nothing which later bytes need. They grow again where that is needed: worth it for a connection that is
    /// silent while memory is scarce.
    fn shrink(&mut self) {}

    /// The connection is over: becomes the session of another one, of which nothing was seen yet, and keeps the room that such a session
    /// has. `false` if making one is as good.
    fn renew(&mut self) -> bool {
        false
    }

    /// The side that sent the requests, once that is known, whether or not they were calls.
    fn client(&self) -> Option<Side> {
        None
    }

    /// The last trouble with undecodable bytes and how often there was one; for the connection record.
    fn trouble(&self) -> Option<(Error, u64)> {
        None
    }

    /// What keeps fields of messages to come from being read; `None` if nothing does.
    fn unread(&self) -> Option<Unread> {
        None
    }

    /// Why this connection shows no calls, where it is not what [`Protocol::without_calls`] says.
    fn without_calls(&self) -> Option<&'static str> {
        None
    }
}

/// A table to which messages refer, and which was filled where nothing was captured. It is known again when as much has
/// entered as it can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unread {
    /// Bytes that have entered since.
    pub entered: u64,
    /// Bytes that it holds, as far as one can tell.
    pub size: u64,
}

/// A node of a dissected message.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Field {
    /// Name as the specification has it, with the number where it has one (`9 ToMethod`).
    pub name: String,
    /// Value as a person reads it; empty for groups. May hold control characters of the wire.
    pub value: String,
    /// Bytes of the message that hold it: start (inclusive) and end (exclusive).
    pub range: (usize, usize),
    /// Fields inside.
    pub children: Vec<Field>,
}
