//! One stream: what it is as far as is known, and what waits for that.

use super::super::grpc::{self, Content, Scanner};
use super::super::hpack::{Fields, List};
use super::super::name::Name;
use super::Place;
use crate::message::Side;

/// What a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// A call whose request was emitted.
    Call,
    /// The request was seen and may be one of gRPC.
    Maybe,
    /// The request was not captured.
    Orphan,
    /// Over, or none of ours.
    Done,
}

/// What waits for the proof that a stream is a call.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) request: Option<(Place, Fields, bool)>,
    pub(super) half_close: Option<Place>,
    pub(super) begin: Option<(Place, Fields)>,
    /// DATA of each side: where it began, bytes, messages.
    pub(super) parts: [Option<(u64, u64, u32)>; 2],
}

impl Waiting {
    /// The first byte of `side` that it speaks of.
    pub(super) fn from(&self, side: Side) -> Option<u64> {
        let place = |place: &Place| (place.side == side).then_some(place.start);
        [
            self.request.as_ref().and_then(|(at, ..)| place(at)),
            self.half_close.as_ref().and_then(place),
            self.begin.as_ref().and_then(|(at, _)| place(at)),
            self.parts.get(side.index()).and_then(|part| part.map(|(start, ..)| start)),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) claim: Claim,
    /// The answer's first header block was seen.
    pub(super) began: bool,
    pub(super) http: Option<u16>,
    pub(super) scanners: [Scanner; 2],
    /// Bytes that belong to it may be missing.
    pub(super) truncated: bool,
    /// Its answer may be among them.
    pub(super) answer_lost: bool,
    /// A header block of its answer may be among missing bytes.
    pub(super) suspect: bool,
    /// Something proves that it is of gRPC (only asked of orphans).
    pub(super) proven: bool,
    pub(super) waiting: Option<Box<Waiting>>,
}

impl Stream {
    pub(super) fn new(claim: Claim, scanner: Scanner) -> Self {
        Self {
            claim,
            began: false,
            http: None,
            scanners: [scanner; 2],
            truncated: claim == Claim::Orphan,
            answer_lost: false,
            suspect: false,
            proven: false,
            waiting: None,
        }
    }

    pub(super) fn scanner(&mut self, side: Side) -> &mut Scanner {
        side.of_mut(&mut self.scanners)
    }

    /// What waits, to be added to.
    pub(super) fn wait(&mut self) -> &mut Waiting {
        self.waiting.get_or_insert_default()
    }
}

/// What a request says of its stream.
pub(super) fn claim_of(list: List<'_>, cut: bool) -> Claim {
    if list.get(Name::Method).is_some_and(|method| method != b"POST") {
        return Claim::Done;
    }
    match list.get(Name::ContentType).map(grpc::parse_content_type) {
        Some(Content::Grpc(_)) => Claim::Call,
        Some(Content::Other) => Claim::Done,
        None if [Name::GrpcTimeout, Name::GrpcEncoding, Name::GrpcAcceptEncoding]
            .iter()
            .any(|name| list.has(*name)) =>
        {
            Claim::Call
        }
        None if list.is_complete() && !cut => Claim::Done,
        None => Claim::Maybe,
    }
}
