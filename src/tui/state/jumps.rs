//! From one thing to another: a row's calls, a call in full, its chain, the call in which its error began.

use std::sync::Arc;

use super::detail::Detail;
use super::matcher::Only;
use super::{Effect, State};
use crate::calls::{Call, Uid};
use crate::chains::Origin;
use crate::tui::keys::View;
use crate::tui::store::Serial;

impl State {
    /// Opens what is under the cursor.
    pub(super) fn open(&mut self) -> Option<Effect> {
        match self.view {
            View::Calls => {
                let (serial, call) = self.selected_call().map(|(s, c)| (s, Arc::clone(c)))?;
                Some(self.open_call(call, Some(serial)))
            }
            View::Chains => {
                let call = self.current_call()?;
                Some(self.open_call(call, None))
            }
            View::Changes => {
                let example = self.changes.selected().map(|turn| self.chains.example(turn))?;
                match example {
                    Some(uid) => self.go_to_chain(uid),
                    None => self.notice = Some("no chain with this change is held any more".to_owned()),
                }
                None
            }
            View::Errors | View::Services | View::Connections | View::Graph => {
                let thing = self.selected_thing()?;
                self.show_only(thing);
                None
            }
        }
    }

    /// What the selected row stands for, if it stands for several calls.
    pub(super) fn selected_thing(&self) -> Option<Only> {
        match self.view {
            View::Errors => self.errors.selected().map(Only::Group),
            View::Services => self.services.selected().map(Only::Method),
            View::Connections => {
                let connection = self.connections.all().get(self.connection_rows.selected()? as usize)?;
                Some(Only::Connection {
                    ends: [connection.client, connection.server],
                    packets: (connection.first_packet, connection.last_packet),
                })
            }
            View::Graph => {
                let edge = self.graph.selected()?;
                Some(Only::Edge { from: edge.from.clone(), to: edge.to.clone() })
            }
            View::Calls | View::Chains | View::Changes => None,
        }
    }

    /// Shows the calls of one thing; going back returns to where it was opened.
    fn show_only(&mut self, only: Only) {
        self.leave();
        self.matcher.only = Some(only);
        self.view = View::Calls;
        self.calls.moved = false;
        self.calls.selected = 0;
        self.calls.top = 0;
        self.rematch();
    }

    fn open_call(&mut self, call: Arc<Call>, serial: Option<Serial>) -> Effect {
        // New calls must not move the list behind the detail.
        self.follow = false;
        let place = serial.filter(|_| call.failed()).map(|serial| self.error_place(serial));
        self.detail = Some(Detail::new(Arc::clone(&call), place));
        Effect::Evidence(call)
    }

    /// Only the calls of the connection of the call that the cursor is on, in whichever view.
    pub(super) fn follow_connection(&mut self) {
        let Some(call) = self.current_call() else { return };
        let ends = [call.client, call.server];
        // The connection record knows when ports were used again; without it, the ends must do.
        let (first, last) = call.packets;
        let packets = self
            .connections
            .all()
            .iter()
            .find(|c| {
                ((c.client, c.server) == (ends[0], ends[1]) || (c.server, c.client) == (ends[0], ends[1]))
                    && c.first_packet <= first
                    && c.last_packet >= last
            })
            .map_or((0, u64::MAX), |c| (c.first_packet, c.last_packet));
        self.help = None;
        let here = self.view == View::Calls;
        let only = Only::Connection { ends, packets };
        if here {
            // The cursor stays on its call.
            self.leave();
            self.calls.moved = true;
            self.matcher.only = Some(only);
            self.rematch();
        } else {
            self.show_only(only);
        }
    }

    /// The tree of the call that the cursor is on, in whichever view.
    pub(super) fn show_chain(&mut self) {
        let Some(uid) = self.current_call().map(|call| call.uid) else { return };
        if self.view == View::Chains && self.detail.is_none() {
            return;
        }
        if self.chains.of(uid).is_some() {
            self.help = None;
            self.go_to_chain(uid);
        } else {
            self.notice = Some(self.why_no_chain());
        }
    }

    fn go_to_chain(&mut self, uid: Uid) {
        if !self.chains.find(uid) {
            self.notice = Some("the filter hides its chain: a shows all".to_owned());
            return;
        }
        self.leave();
        self.show_view(View::Chains);
    }

    /// The call in full in which the error of the current call began.
    pub(super) fn show_origin(&mut self) -> Option<Effect> {
        let call = self.current_call()?;
        let Some((chain, hop)) = self.chains.of(call.uid) else {
            self.notice =
                Some(if call.failed() { self.why_no_chain() } else { "this call did not fail".to_owned() });
            return None;
        };
        // In the chain of an error that a service made good, the way down begins further down.
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
        } else if hidden {
            self.notice = Some("it began further down, in a call that the capture does not hold".to_owned());
        }
        let call = Arc::clone(&chain.hops[origin].call);
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
        let yet = if self.ended { "" } else { " yet" };
        format!("no call above or below this one is known{yet}")
    }
}
