//! Jumps from one thing to another: the calls of a row, a call in full, its chain, the call in which its error began.

use std::sync::Arc;

use super::detail::DetailPage;
use super::matcher::Only;
use super::{Effect, State};
use crate::calls::{Call, Uid};
use crate::chains::{FACT, Operation, Origin};
use crate::detail::linked;
use crate::text;
use crate::tui::keys::Action;
use crate::tui::views::{Target, View, ViewId};

impl State {
    /// Opens what is under the cursor.
    pub(super) fn open(&mut self) -> Option<Effect> {
        match self.view().open(&self.cx)? {
            Target::Call(call, failure) => return Some(self.open_call(call, failure)),
            Target::Calls(only) => self.show_only(only),
            Target::Chain(uid) => self.go_to_chain(uid),
            Target::Nothing(why) => self.notice = Some(why.to_owned()),
        }
        None
    }

    /// Shows the calls of one thing; Esc returns to where it was opened.
    fn show_only(&mut self, only: Only) {
        self.leave();
        self.cx.matcher.only = Some(only);
        self.view_id = ViewId::Calls;
        self.views.calls.reset();
        self.rematch();
    }

    pub(super) fn open_call(&mut self, call: Arc<Call>, failure: Option<(usize, usize)>) -> Effect {
        // New calls must not move the list behind the detail.
        self.views.calls.follow = false;
        self.detail = Some(DetailPage::new(Arc::clone(&call), failure));
        self.link_detail();
        self.log_detail();
        Effect::ReadPackets(call)
    }

    /// Shows on the open page of a call which lines of logs are about it.
    pub(super) fn log_detail(&mut self) {
        let Some((page, logged)) = self.detail.as_mut().zip(self.cx.logged.as_ref()) else { return };
        page.set_log(logged.of(page.call.uid));
    }

    /// Shows on the open page of a call where it stands in its chain.
    pub(super) fn link_detail(&mut self) {
        let Some(page) = &mut self.detail else { return };
        let Some((chain, hop)) = self.cx.chains.of(page.call.uid) else { return };
        let name_of = |uid| {
            let (chain, hop) = self.cx.chains.of(uid)?;
            Some(text::escape(&Operation(&chain.hops[hop].call).to_string()).into_owned())
        };
        let is_sure = chain.hops[hop].unsure_link().is_none() && chain.cause_confidence(hop) >= FACT;
        page.set_chain(&linked::lines(chain, hop, name_of), is_sure);
    }

    /// Shows only the calls on the connection of the current call.
    pub(super) fn follow_connection(&mut self) {
        let Some(call) = self.current_call() else { return };
        let ends = [call.client, call.server];
        // Ports are used again, and only the record of the connection says when it began and ended.
        let connection = self.cx.connections.between(ends, call.packets);
        let packets = connection.map_or((0, u64::MAX), |c| (c.first_packet, c.last_packet));
        self.help = None;
        let here = self.view_id == ViewId::Calls;
        let only = Only::Connection { ends, packets };
        if here {
            // The cursor stays on its call.
            self.leave();
            self.views.calls.list.moved = true;
            self.cx.matcher.only = Some(only);
            self.rematch();
        } else {
            self.show_only(only);
        }
    }

    /// Shows the chain of the current call.
    pub(super) fn show_chain(&mut self) {
        let Some(uid) = self.current_call().map(|call| call.uid) else { return };
        if self.view_id == ViewId::Chains && self.detail.is_none() {
            return;
        }
        if self.cx.chains.of(uid).is_some() {
            self.help = None;
            self.go_to_chain(uid);
        } else {
            self.notice = Some(self.why_no_chain());
        }
    }

    fn go_to_chain(&mut self, uid: Uid) {
        self.views.chains.arrange(&self.cx);
        if !self.views.chains.find(&self.cx, uid) {
            self.notice =
                Some(format!("the filter hides its chain: {} shows all", self.cx.key(Action::ShowAll)));
            return;
        }
        self.leave();
        self.show_view(ViewId::Chains);
    }

    /// Opens the call in which the error of the current call began.
    pub(super) fn show_origin(&mut self) -> Option<Effect> {
        let call = self.current_call()?;
        let Some((chain, hop)) = self.cx.chains.of(call.uid) else {
            self.notice =
                Some(if call.failed() { self.why_no_chain() } else { "this call did not fail".to_owned() });
            return None;
        };
        // A service may have recovered from the error of a call below; then the origin is that of the chain.
        let origin = chain.deepest(hop).or(chain.origin.hop());
        let Some(origin) = origin else {
            self.notice = Some("this call did not fail".to_owned());
            return None;
        };
        let hidden = chain.origin == Origin::BelowOf(origin);
        if origin == hop {
            self.notice = chain.cause(hop);
            if self.detail.is_some() {
                return None;
            }
        } else {
            let is_sure = if chain.deepest(hop).is_some() {
                chain.cause_confidence(hop) >= FACT
            } else {
                chain.is_origin_sure()
            };
            self.notice = match (hidden, is_sure) {
                (true, true) => Some("it began further down, in a call that was not captured"),
                (true, false) => Some("it perhaps began further down, in a call that was not captured"),
                (false, true) => None,
                (false, false) => Some("it perhaps began here: that is not known for sure"),
            }
            .map(str::to_owned);
        }
        let call = chain.hops[origin].call.shared();
        let jumped = self.detail.is_some();
        if jumped {
            self.leave();
        }
        self.help = None;
        let effect = self.open_call(call, None);
        if let Some(detail) = &mut self.detail {
            detail.jumped = jumped;
        }
        Some(effect)
    }

    fn why_no_chain(&self) -> String {
        let yet = if self.cx.ended { "" } else { " yet" };
        format!("this call is not known to be part of a chain{yet}")
    }
}
