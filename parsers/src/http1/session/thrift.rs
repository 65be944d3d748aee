//! Bodies that are read as thrift messages.

use super::super::body::Length;
use super::super::calls;
use super::super::exchanges::Asked;
use super::super::head::{self, Head, Start};
use super::{Connection, Open, Placed, Purpose, place};
use crate::event::{Body, CallId, Event, Kind};
use crate::protocol::Emit;
use crate::session::At;

/// The most bytes of a thrift body that are kept to read its outcome: an exception's text may be long.
const CONTENT_LIMIT: usize = 288 * 1024;

/// A message with what is there of its content.
struct Sent<'s> {
    head: &'s Head<'s>,
    content: &'s [u8],
    /// Where it begins.
    start: u64,
    /// Its size.
    bytes: u64,
    /// The head says how long it is.
    sized: bool,
    /// More of it follows.
    more: bool,
    truncated: bool,
    /// As in [`Purpose::Thrift`].
    orphan: bool,
}

impl Purpose {
    /// To be read as a thrift message; its head is not kept yet.
    pub(super) fn thrift(orphan: bool) -> Self {
        Self::Thrift { head: Vec::new(), content: Vec::new(), orphan, broken: false }
    }

    /// The same with the head that was `sent`, if that is to be kept.
    pub(super) fn with_head(mut self, sent: &[u8]) -> Self {
        if let Self::Thrift { head, .. } = &mut self {
            *head = sent.to_vec();
        }
        self
    }
}

impl Connection {
    /// Reads a thrift message if all of it is at hand, for which nothing has to be kept. Returns what its body is for then.
    pub(super) fn read_or_keep(
        &mut self,
        placed: &Placed<'_>,
        length: Length,
        purpose: Purpose,
        emit: &mut Emit<'_>,
    ) -> Purpose {
        let Purpose::Thrift { orphan, .. } = purpose else { return purpose };
        let Placed { head, sent, at, available, .. } = *placed;
        let content = match length {
            // Whoever asked for the bytes themselves is told of them as they pass.
            Length::Known(bytes) if !self.marks && bytes < CONTENT_LIMIT as u64 => {
                available.get(head.len..head.len + bytes as usize)
            }
            _ => None,
        };
        let Some(content) = content else { return purpose.with_head(sent) };
        let bytes = (head.len + content.len()) as u64;
        let (start, sized) = (at.offset, true);
        let sent = Sent { head, content, start, bytes, sized, more: false, truncated: false, orphan };
        self.say(at.after(bytes as usize), &sent, emit);
        Purpose::Pass
    }

    /// Keeps bytes of a body that is read as a thrift message, up to `end`.
    pub(super) fn keep_content(&mut self, end: At, bytes: &[u8], emit: &mut Emit<'_>) {
        if let Some(Open { purpose: Purpose::Thrift { content, broken: false, .. }, .. }) =
            &mut self.direction(end.side).open
        {
            let room = CONTENT_LIMIT.saturating_sub(content.len());
            content.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            if content.len() == CONTENT_LIMIT {
                self.emit_thrift(end, true, emit);
                self.mark(end, bytes.get(room.min(bytes.len())..).unwrap_or_default(), emit);
            }
        }
    }

    /// Reads the thrift message that was kept and emits what it says; `end` is where it ends, or goes on if `more`.
    pub(super) fn emit_thrift(&mut self, end: At, more: bool, emit: &mut Emit<'_>) {
        let Some(open) = &mut self.direction(end.side).open else { return };
        let after = if more { Purpose::Announced(None) } else { Purpose::Pass };
        let (head, content, orphan, broken) = match std::mem::replace(&mut open.purpose, after) {
            Purpose::Thrift { head, content, orphan, broken } => (head, content, orphan, broken),
            other => {
                open.purpose = other;
                return;
            }
        };
        let Ok(Some(head)) = head::parse_head(&head) else { return };
        let (truncated, sized) = (open.truncated || broken, open.bytes.is_some());
        let whole = if more || truncated { 0 } else { end.offset - open.start };
        let (start, bytes) = (open.start, open.bytes.unwrap_or(whole));
        let sent = Sent { head: &head, content: &content, start, bytes, sized, more, truncated, orphan };
        if !self.say(end, &sent, emit)
            && let Some(open) = &mut self.direction(end.side).open
        {
            open.purpose = Purpose::Pass;
        }
    }

    /// Emits what a message says whose content ends, or goes on, at `end`; `false` if that is nothing.
    fn say(&mut self, end: At, sent: &Sent<'_>, emit: &mut Emit<'_>) -> bool {
        let Sent { head, content, start, bytes, sized, more, truncated, orphan } = *sent;
        let message = calls::thrift_message(head, content);
        if self.marks {
            let content_at = At { offset: start + head.len as u64, ..end };
            if let Some(piece) = calls::thrift_piece(message.as_ref(), content_at, content, sized) {
                emit(end.side, &Event::BodyPiece(piece));
            }
        }
        let is_request = matches!(head.start, Start::Request { .. });
        if is_request {
            match &message {
                Some(event) => {
                    let oneway = event.kind() == Kind::Oneway;
                    self.exchanges.resolve_thrift(Some(Asked::Thrift { oneway }));
                }
                // Whether it was a call is for its answer to say.
                None if truncated && content.is_empty() => self.exchanges.resolve_thrift(None),
                None => self.exchanges.resolve_thrift(Some(Asked::Foreign)),
            }
        }
        match message {
            Some(mut event) => {
                place(&mut event, start, bytes, more, truncated);
                if let Some(limit) = self.limit() {
                    let body = calls::thrift_body(content).filter(|body| body.len() <= limit);
                    let whole = body.is_some() && !more && !truncated;
                    let bytes = body.filter(|_| whole).unwrap_or_default();
                    let body = Body { id: CallId::Order, at: start, bytes, whole, encoding: None };
                    emit(end.side, &Event::Body(body));
                }
                emit(end.side, &event);
            }
            None if is_request || orphan => return false,
            None => {
                let silence = content.is_empty() && !truncated && calls::is_success(head);
                let mut answer =
                    if silence { calls::thrift_silence(head) } else { calls::thrift_status(head, true) };
                place(&mut answer, start, bytes, more, truncated);
                emit(end.side, &answer);
            }
        }
        true
    }
}
