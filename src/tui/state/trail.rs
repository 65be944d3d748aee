//! The way back: what one step back returns to after a jump from one thing to another.

use super::detail::{Detail, Loaded};
use super::matcher::Only;
use super::{Effect, State};
use crate::tui::views::ViewId;

/// The most steps that are remembered.
const LIMIT: usize = 32;

/// Where a jump began.
#[derive(Debug)]
pub(super) struct Step {
    view_id: ViewId,
    only: Option<Only>,
    detail: Option<Detail>,
}

impl State {
    /// Remembers where the user is, before a jump. An open detail is closed and comes back with the step.
    pub(super) fn leave(&mut self) {
        // What the user comes back to is what was seen.
        self.views.calls.follow = false;
        if self.trail.len() >= LIMIT {
            self.trail.remove(0);
        }
        let detail = self.detail.take();
        self.trail.push(Step { view_id: self.view_id, only: self.cx.matcher.only.clone(), detail });
    }

    /// One step back: help, detail, a jump, the search, the summary of chains, another view.
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
            self.cx.search.clear();
        } else if self.view_id != self.view_id.tab() {
            self.show_view(self.view_id.tab());
        } else if self.view_id != ViewId::Calls {
            self.show_view(ViewId::Calls);
        } else if self.cx.matcher.is_active() {
            self.notice = Some("a shows all calls again; q quits".to_owned());
        } else {
            self.notice = Some("q quits".to_owned());
        }
        None
    }

    fn return_to(&mut self, step: Step) -> Option<Effect> {
        self.show_view(step.view_id);
        if self.cx.matcher.only != step.only {
            self.cx.matcher.only = step.only;
            self.rematch();
        }
        self.detail = step.detail;
        // Its packets may have arrived while another call was shown.
        let waiting = self.detail.as_ref().filter(|detail| matches!(detail.loaded, Loaded::Waiting))?;
        Some(Effect::Evidence(waiting.call.clone()))
    }
}
