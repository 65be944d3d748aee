//! What Esc returns to after a jump from one thing to another.

use super::detail::{DetailPage, Loaded};
use super::matcher::Only;
use super::{Effect, State};
use crate::tui::keys::Action;
use crate::tui::needle::Needle;
use crate::tui::views::ViewId;

/// The most jumps that are remembered.
const LIMIT: usize = 32;

/// Where a jump began.
#[derive(Debug)]
pub(super) struct TrailStep {
    view_id: ViewId,
    only: Option<Only>,
    detail: Option<DetailPage>,
}

impl State {
    /// Remembers where the user is, before a jump. The page of a call is closed and comes back with Esc.
    pub(super) fn leave(&mut self) {
        // The user comes back to the rows that were on the screen.
        self.views.calls.follow = false;
        if self.trail.len() >= LIMIT {
            self.trail.remove(0);
        }
        let detail = self.detail.take();
        self.trail.push(TrailStep { view_id: self.view_id, only: self.cx.matcher.only.clone(), detail });
    }

    /// Goes one step back: from the help page, the page of a call, a jump, the search, a view without a tab, another view.
    pub(super) fn back(&mut self) -> Option<Effect> {
        if self.help.take().is_some() {
            return None;
        }
        let detail = self.detail.take();
        if detail.as_ref().is_some_and(|detail| !detail.jumped) {
            return None;
        }
        if let Some(step) = self.trail.pop() {
            return self.return_to(step);
        }
        if detail.is_some() {
            return None;
        }
        if self.view_id == ViewId::Calls && self.cx.matcher.only.take().is_some() {
            self.rematch();
        } else if !self.cx.search.is_empty() {
            self.cx.search = Needle::default();
        } else if self.view_id != self.view_id.tab() {
            self.show_view(self.view_id.tab());
        } else if self.view_id != ViewId::Calls {
            self.show_view(ViewId::Calls);
        } else {
            let key = |action| self.cx.key(action);
            let quits = format!("{} quits", key(Action::Quit));
            self.notice = Some(if self.cx.matcher.is_active() {
                format!("{} shows all calls again; {quits}", key(Action::ShowAll))
            } else {
                quits
            });
        }
        None
    }

    fn return_to(&mut self, step: TrailStep) -> Option<Effect> {
        self.show_view(step.view_id);
        if self.cx.matcher.only != step.only {
            self.cx.matcher.only = step.only;
            self.rematch();
        }
        self.detail = step.detail;
        // Its packets may have arrived while another call was shown.
        let waiting = self.detail.as_ref().filter(|detail| matches!(detail.loaded, Loaded::Waiting))?;
        Some(Effect::ReadPackets(waiting.call.clone()))
    }
}
