//! What the messages of a call say: from the bytes that the sessions collect to what outputs show.
//!
//! Nothing of this happens unless it is asked for (`--payload`, a description, a filter or column that names a field).
//!
//! ```text
//! session ── Event::Body ──▶ pairing ── Bodies in the Call ──▶ BodyDecoder, where calls come out in order ──▶ Payload in the Call
//! ```
//!
//! | part | module |
//! | --- | --- |
//! | the bytes as they wait in a call | here |
//! | what becomes of them: names, exceptions, details | [`decoder`] |
//! | descriptions that pass by on the wire | [`reflection`] |
//! | fields by their path (`req.user.id`) | [`path`] |
//! | what is not to be shown | [`redact`] |

pub mod decoder;
mod names;
pub mod path;
pub mod redact;
pub mod reflection;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rpcscope_parsers::event::{Body, Text};

pub use decoder::{BodyDecoder, Payload};
pub(crate) use names::static_name;

/// Most messages of one call of which the bodies are kept.
const MAX_MESSAGES: usize = 1000;

/// Most bytes of the bodies of one call together.
const MAX_CALL: usize = 16 << 20;

/// Memory of a body without its bytes.
const BODY: usize = size_of::<(bool, RawBody)>();

/// The body of one message as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawBody {
    /// Its bytes; empty unless `whole`.
    pub bytes: Box<[u8]>,
    /// Nothing of it is missing, and it is not over the limit of its size.
    pub whole: bool,
    /// How it is compressed, by the names of `grpc-encoding`.
    pub encoding: Option<Box<str>>,
}

impl RawBody {
    /// A copy of what a session emits.
    #[must_use]
    pub fn of(body: &Body<'_>) -> Self {
        Self { bytes: body.bytes.into(), whole: body.whole, encoding: body.encoding.map(Into::into) }
    }

    /// Memory that it takes in a call, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        BODY + self.bytes.len()
    }
}

/// What the messages of a call say, as sent and (once that is done) decoded.
#[derive(Clone, Debug, Default)]
pub struct Bodies {
    /// Bodies in the order in which they came, each with whether it is the callee's.
    messages: Vec<(bool, RawBody)>,
    /// The bytes of its `google.rpc.Status`.
    status: Option<Vec<u8>>,
    /// Memory that all of it takes, in bytes.
    size: usize,
    /// What is shown.
    pub payload: Payload,
}

impl Bodies {
    /// Adds the body of a message of the `answer`, or else of the request. `false`: there is no room for it, or it is not whole, so that
    /// it is left out.
    pub fn add(&mut self, answer: bool, body: RawBody) -> bool {
        let fits = self.messages.len() < MAX_MESSAGES && self.size + body.size() <= MAX_CALL && body.whole;
        if fits {
            self.size += body.size();
            self.messages.push((answer, body));
        }
        fits
    }

    /// Keeps the status of a gRPC answer with its details, which peers send in base64 with padding or without.
    pub fn set_status(&mut self, details: Text<'_>) {
        const LENIENT: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        const ENGINE: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
        self.status = ENGINE.decode(details.raw()).ok();
    }

    /// Memory that all of it takes before it is decoded, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size + self.status.as_ref().map_or(0, Vec::len)
    }

    /// Memory that all of it takes once it is decoded, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + self.size() + self.payload.memory()
    }

    /// Takes the bodies as sent out.
    pub fn take_messages(&mut self) -> Vec<(bool, RawBody)> {
        self.size = 0;
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bytes: usize, whole: bool) -> RawBody {
        RawBody { bytes: vec![b'x'; bytes].into(), whole, encoding: None }
    }

    /// How many of so many messages of that size a call keeps.
    fn kept(count: usize, bytes: usize) -> usize {
        let mut bodies = Bodies::default();
        let kept = (0..count).filter(|at| bodies.add(at % 2 == 1, body(bytes, true))).count();
        assert!(bodies.size() <= MAX_CALL);
        assert_eq!(bodies.take_messages().len(), kept);
        kept
    }

    #[test]
    fn a_call_keeps_messages_up_to_its_bounds() {
        assert_eq!(kept(MAX_MESSAGES + 5, 0), MAX_MESSAGES);
        assert_eq!(kept(20, MAX_CALL / 4), 3, "a body takes more than its bytes");
        // A message that has no room takes none from those behind it.
        let mut bodies = Bodies::default();
        assert!(!bodies.add(false, body(MAX_CALL, true)));
        assert!(!bodies.add(false, body(1, false)), "it is not whole");
        assert!(bodies.add(true, body(MAX_CALL / 2, true)));
    }
}
