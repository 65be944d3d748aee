//! Pairing by a number that does not identify its call: peers may leave it the same in every message (generated C++, PHP, Ruby
//! and old Python clients of Thrift send 0), or get it wrong.
//!
//! Number and method together find the request. Calls with equal numbers are answered in the order of their requests, because
//! their caller could not tell the answers apart otherwise: whatever waits before the one that is answered gets no answer any
//! more. Only loss puts that in doubt, until no call waits.

use std::borrow::Cow;

use rpcscope_parsers::event::{Answer, Text};
use rpcscope_parsers::{CallId, Side, Transport};

use super::pending::Pending;
use super::pending_calls::PendingCalls;
use super::{At, Ending, Matcher};
use crate::calls::names::is_same;
use crate::calls::outcome;
use crate::calls::record::{CallKind, Finding, Uid};
use crate::decode::Network;

/// The call that an answer belongs to.
pub(super) struct Partner {
    pub(super) waiting: Pending,
    /// It is this one. If not, others may have got this answer, so that what it says is not known of any.
    pub(super) certain: bool,
    /// The method that the answer names is known to be that of the call.
    pub(super) same_method: bool,
}

impl Partner {
    pub(super) fn certain(waiting: Pending) -> Self {
        Self { waiting, certain: true, same_method: false }
    }
}

/// Most waiting calls that are looked at for each answer which may be that of several; if more wait, any of them may be meant.
pub(super) const MAX_MEANT: usize = 32;

/// The identity after this one.
fn after(uid: Uid) -> Uid {
    Uid { ordinal: uid.ordinal + 1, ..uid }
}

impl Matcher {
    /// The call of `client` that an answer belongs to, taken out.
    pub(super) fn loose_partner(
        &mut self,
        at: &At<'_>,
        pending: &mut PendingCalls,
        client: Side,
        answer: &Answer<'_>,
    ) -> Option<Partner> {
        let id = answer.head.id;
        // Nearly always one call waits, and this is its answer: all that follows comes to the same then, for five times as much.
        let is_it = |waiting: &Pending| {
            let same_name = match (answer.names.method, &waiting.call.method) {
                (None, _) | (_, None) => true,
                (Some(Text::Plain(sent)), Some(asked)) => is_same(sent, asked.as_bytes()),
                _ => false,
            };
            waiting.id == id && waiting.client == client && same_name
        };
        if let Some(waiting) = pending.take_only(is_it) {
            let same_method = answer.names.method.is_some() && waiting.call.method.is_some();
            return Some(Partner { waiting, certain: true, same_method });
        }
        // Why requests may be missing.
        let holed = pending.holed(at.flow, client);
        let method = answer.names.method.map(Text::decode);
        // As names have it; to look whether all is ASCII takes a quarter of the time of a check for UTF-8.
        let method = method.as_deref().filter(|method| !method.is_empty()).map(|method| match method {
            ascii if ascii.is_ascii() => Cow::Borrowed(ascii),
            other => Cow::Owned(String::from_utf8_lossy(other).into_owned().into_bytes()),
        });
        let of_client = |waiting: &&Pending| waiting.client == client;
        let uid_of = |waiting: &Pending| waiting.call.uid;
        let named = |from: Uid| {
            match &method {
                Some(method) => pending.first_named(id, method, from),
                None => pending.first_of(id, from),
            }
            .filter(of_client)
            .map(uid_of)
        };
        let mut certain = true;
        let chosen = named(pending.first_certain(client)).or_else(|| {
            let first = named(Uid::default())?;
            certain = named(after(first)).is_none();
            Some(first)
        });
        let Some(oldest) = pending.first_of(id, Uid::default()).filter(of_client).map(uid_of) else {
            return Self::other_number(pending, client, id, method.as_deref(), holed);
        };
        let alone = pending.first_of(id, after(oldest)).is_none();
        // Numbers that are used again identify nothing.
        let used_again = |pending: &PendingCalls| !alone || pending.has_ended(id);
        let chosen = match chosen {
            Some(chosen) => chosen,
            // The request of that name was not captured.
            None if holed.is_some() && (id == CallId::Loose(0) || used_again(pending)) => return None,
            None => oldest,
        };
        let doubt = pending.order_lost().filter(|_| used_again(pending));
        while let Some(older) = pending.first_of(id, Uid::default())
            && older.call.uid < chosen
            && older.client == client
            && older.answer.is_none()
        {
            let older = pending.remove(older.call.uid)?;
            self.pass_over(at, pending, older);
        }
        let mut waiting = pending.remove(chosen)?;
        if let Some(how) = doubt {
            waiting.call.findings.insert(how);
        }
        // Its own answer may stand in what was lost of the callee, and the request of this one in what was lost of the caller.
        let both_lost = || [Side::A, Side::B].iter().all(|side| pending.has_lost(*side, &waiting.call));
        if (id == CallId::Loose(0) || used_again(pending)) && both_lost() {
            certain = false;
        }
        Some(Partner { waiting, certain, same_method: false })
    }

    /// A peer that answers with another number than it was asked with (thrift leaves the check to the caller): certain only
    /// if one call waits and nothing was lost, or if the number of the message was what was cut off. The number may be that of a call
    /// which is over: from a peer that has done so before, it means nothing. Where it is not known whose the answer is, no silence proves
    /// anything about the calls that may be meant.
    fn other_number(
        pending: &mut PendingCalls,
        client: Side,
        id: CallId,
        method: Option<&[u8]>,
        holed: Option<Finding>,
    ) -> Option<Partner> {
        let is_meant = |waiting: &Pending| {
            let call = &waiting.call;
            let same_name =
                method.zip(call.method.as_deref()).is_none_or(|(sent, asked)| sent == asked.as_bytes());
            let known = match holed {
                None => matches!(waiting.id, CallId::Loose(_)),
                // A mesh's header may have 0 where the message behind it has another number.
                Some(Finding::Truncated) => waiting.id == CallId::Loose(0) && call.codec.is_none(),
                Some(_) => false,
            };
            waiting.client == client && known && same_name
        };
        let is_new = !pending.has_ended(id) || pending.rare_if_any().is_some_and(|rare| rare.other_numbers);
        let Some(asked_by) = pending.only().filter(|only| is_new && is_meant(only)).map(|only| only.id)
        else {
            match holed {
                None if pending.len() <= MAX_MEANT => {
                    pending
                        .iter_mut()
                        .filter(|waiting| is_meant(waiting))
                        .for_each(|it| it.answer_lost = true);
                }
                None => pending.lose_answers(client.other()),
                Some(_) => {}
            }
            return None;
        };
        if holed.is_none() {
            pending.rare().other_numbers = true;
        }
        pending.end_id(asked_by);
        let waiting = pending.take(asked_by)?;
        Some(Partner::certain(Pending { id, ..waiting }))
    }

    /// A later call with the same number was answered: this one gets no answer any more.
    fn pass_over(&mut self, at: &At<'_>, pending: &mut PendingCalls, mut waiting: Pending) {
        let seen = !pending.is_answer_lost(&waiting) && at.flow.key.network == Network::Tcp;
        // Whoever writes TTHeader says of a one-way call that it is one.
        let may_be_oneway = waiting.call.transport != Transport::TtHeader;
        if seen
            && may_be_oneway
            && let Some(method) = &waiting.call.method
            && pending.methods.note_passed(method)
        {
            waiting.call.kind = CallKind::Oneway;
            pending.end_id(waiting.id);
            let decision = outcome::decide(Ending::Oneway(None), &mut self.texts);
            self.decide(at, pending, waiting, decision);
        } else {
            self.broken(at, pending, waiting, Ending::Silence);
        }
    }
}
