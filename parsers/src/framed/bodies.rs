//! The bodies of messages that stand one after the other, for whoever asked for them.

use super::{Framing, WireHeader};
use crate::bodies::{Bodies, BodySpan, Encodings, Marks, form_of};
use crate::event::{BodyForm, Event, Kind, Side};
use crate::protocol::Emit;
use crate::session::At;

/// Bytes of a frame that say how long it is and what it is, in any format here: they stay where the frame can't be decoded.
const FIXED_HEAD: u64 = 20;

/// The bodies of messages that somebody asked for.
pub(super) struct BothBodies {
    sides: [Bodies; 2],
    pub(super) encodings: Encodings,
    /// What is reported of their bytes, in place of the bodies.
    marks: Option<[Marks; 2]>,
}

impl BothBodies {
    /// Bodies of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        let sides = [Bodies::new(limit), Bodies::new(limit)];
        Self { sides, encodings: Encodings::default(), marks: None }
    }

    /// From here on, reports of the bytes instead.
    pub(super) fn mark_bytes(&mut self) {
        self.marks = Some(Default::default());
    }

    pub(super) fn of(&mut self, side: Side) -> &mut Bodies {
        side.of_mut(&mut self.sides)
    }

    pub(super) fn memory(&self) -> usize {
        self.sides.iter().map(Bodies::memory).sum::<usize>() + self.encodings.memory()
    }

    /// The next bytes of the message that passes.
    pub(super) fn add(&mut self, at: At, bytes: &[u8], emit: &mut Emit<'_>) {
        self.of(at.side).add(bytes);
        if let Some(marks) = &mut self.marks {
            at.side.of_mut(marks).add(at, bytes, emit);
        }
    }

    /// That many bytes of the message that passes are missing, as far as that is known.
    pub(super) fn lose(&mut self, side: Side, missing: u64) {
        self.of(side).lose();
        if let Some(marks) = &mut self.marks {
            side.of_mut(marks).lose(missing);
        }
    }

    /// Reports which of the bytes of a message may be replaced, with the first of which `input` begins.
    pub(super) fn mark(
        &mut self,
        at: At,
        event: &Event<'_>,
        span: Option<BodySpan>,
        input: &[u8],
        emit: &mut Emit<'_>,
    ) {
        let Some(marks) = &mut self.marks else { return };
        let body = match (span, event.head()) {
            // Behind the body may be attachments.
            (Some(span), Some(head)) => Some((span.start as u64, form_of(head, span))),
            // The arguments are there, but packed in a way that can't be opened.
            (None, _) if matches!(event.kind(), Kind::Request | Kind::Oneway) => Some((0, BodyForm::Sealed)),
            _ => None,
        };
        let marks = at.side.of_mut(marks);
        marks.begin(body);
        marks.add(at, input, emit);
    }

    /// A frame without a body passes.
    #[cold]
    #[inline(never)]
    pub(super) fn pass_over(&mut self, side: Side) {
        if let Some(marks) = &mut self.marks {
            side.of_mut(marks).begin(None);
        }
    }

    /// The same for a frame that can't be decoded: what follows its fixed head may be replaced.
    pub(super) fn mark_undecodable(&mut self, at: At, input: &[u8], emit: &mut Emit<'_>) {
        if let Some(marks) = &mut self.marks {
            let marks = at.side.of_mut(marks);
            marks.begin(Some((FIXED_HEAD, BodyForm::Unread)));
            marks.add(at, input, emit);
        }
    }

    /// Collects the body of the message with which the input of `header` begins. `total`: its size; if all of it is there, its event
    /// comes next.
    #[cold]
    pub(super) fn begin<F: Framing>(
        &mut self,
        at: At,
        event: &Event<'_>,
        header: &WireHeader<'_, F>,
        total: Option<u64>,
        emit: &mut Emit<'_>,
    ) {
        let Some(head) = event.head() else { return };
        let span = header.framing.body(at.side, header.input, &mut self.encodings);
        let here = total.map_or(header.input.len(), |total| header.input.len().min(total as usize));
        let input = header.input.get(..here).unwrap_or_default();
        self.mark(at, event, span, input, emit);
        let bodies = self.of(at.side);
        bodies.begin(span, input);
        if total == Some(here as u64) {
            bodies.end(at.after(here.saturating_sub(1)), head.id, emit);
        }
    }
}
