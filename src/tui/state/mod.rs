//! Everything that is shown, and how updates, keys, mouse and time change it. Draws nothing and reads nothing.

pub(super) mod bodies;
pub(super) mod chains;
pub(super) mod chooser;
pub(super) mod command;
pub(super) mod connections;
pub(super) mod context;
pub(super) mod detail;
pub(super) mod filtered;
mod jumps;
pub(super) mod keep;
pub(super) mod list;
mod log_line;
pub(super) mod matcher;
mod mouse;
mod moves;
pub(super) mod output;
pub(super) mod pace;
mod peaks;
pub(super) mod prompt;
mod search;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_chains;
#[cfg(test)]
mod tests_of_order;
#[cfg(test)]
mod tests_of_prompts;
mod trail;
mod typing;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ratatui::layout::Rect;

use self::chooser::Chooser;
use self::context::Context;
use self::detail::{DetailLayout, DetailPage};
use self::filtered::Filtered;
use self::keep::{Choices, Saving};
use self::log_line::LineSearch;
use self::matcher::Only;
use self::pace::Pace;
use self::peaks::Peak;
use self::prompt::{History, Prompt};
use self::search::RowSearch;
use self::trail::TrailStep;
use super::keys::Scope;
use super::views::{View, ViewId, Views};
use super::{Colors, Linking, Update};
use crate::calls::{Call, Uid};
use crate::config::Change;
use crate::detail::Detail;
use crate::sink::TimeFormat;

/// How often the rows of a view are sorted again while figures change: slow enough to be read.
const REFRESH: Duration = Duration::from_millis(500);
/// Lines of trouble that are kept.
const TROUBLES_LIMIT: usize = 100;
/// A pause ends by itself when the waiting calls take this part of the memory.
const PAUSE_PART: usize = 4;
/// Estimated size of a waiting call, bytes.
const WAITING_CALL: usize = 1_024;
/// The smallest screen that something can be shown on.
pub(super) const SMALLEST: (u16, u16) = (60, 12);
/// Lines above a view: title, tabs, rule.
const LINES_ABOVE: u16 = 3;
/// Lines below a view besides the sentence: rule, footer.
const LINES_BELOW: u16 = 2;

/// What the state can't do by itself.
#[derive(Debug)]
pub(super) enum Effect {
    Quit,
    Suspend,
    /// Draw the whole screen again.
    Redraw,
    /// Put the text into the terminal's clipboard.
    Copy(String),
    /// Read the packets of a call again.
    ReadPackets(Arc<Call>),
    /// Write calls, in the format that the file name asks for.
    Export(Vec<Arc<Call>>, PathBuf),
    /// Read the names in a folder.
    ListFolder(PathBuf),
    /// Change the config file.
    Save(Vec<Change>),
}

/// The state of the interface.
#[derive(Debug)]
pub(super) struct State {
    pub cx: Context,
    pub views: Views,
    /// The open view.
    pub view_id: ViewId,
    /// File names or interfaces, for the title.
    pub source: String,
    pub width: u16,
    pub height: u16,
    /// How many of the calls are in a chain.
    pub linking: Linking,
    pub troubles: Vec<String>,
    /// Where jumps from one thing to another began, the newest last.
    trail: Vec<TrailStep>,
    /// The page of one call, while it is open.
    pub detail: Option<DetailPage>,
    /// The first line of the help page on the screen, while it is open.
    pub help: Option<usize>,
    /// The choice of columns, while it is open.
    pub chooser: Option<Chooser>,
    pub prompt: Option<Prompt>,
    pub history: History,
    /// The line of a log that was looked for, while `n` and `N` go through its calls.
    line: Option<LineSearch>,
    /// The search through rows, while it is under way.
    search: Option<RowSearch>,
    /// How much is done at once.
    pub pace: Pace,
    /// What the state can't do by itself and no key has asked for directly.
    pub outstanding: Option<Effect>,
    /// A line for the user until the next key.
    pub notice: Option<String>,
    pub paused: bool,
    waiting: VecDeque<Vec<Arc<Call>>>,
    /// Something changed since the last drawing.
    pub dirty: bool,
    /// Something changed since the rows of the open view were sorted.
    stale: bool,
    /// Chains came since the calls of an edge of the service graph were looked for.
    edge_stale: bool,
    refreshed: Option<Instant>,
    last_click: Option<(Instant, u16, u16)>,
    peak: Peak,
    /// The number of marked calls.
    pub marked: usize,
    /// Whether packets can be read again.
    pub has_packets: bool,
    /// The exports that are not written to their end yet, in the order of the worker.
    exporting: VecDeque<output::Export>,
    /// The colours that were chosen; `None` are the usual ones, which follow the terminal.
    theme: Option<Colors>,
    pub usual_colors: Colors,
    /// What the config file has, as far as is known, or what the program started with.
    kept: Choices,
    /// Changes of the config file that are not made yet, in the order of the worker.
    saving: VecDeque<Saving>,
}

impl State {
    pub(super) fn new(source: String, max_memory: usize, time: TimeFormat, colors: Colors) -> Self {
        Self {
            cx: Context::new(max_memory, time, colors),
            views: Views::default(),
            view_id: ViewId::Calls,
            source,
            width: 80,
            height: 24,
            linking: Linking::default(),
            troubles: Vec::new(),
            trail: Vec::new(),
            detail: None,
            help: None,
            chooser: None,
            prompt: None,
            history: History::default(),
            line: None,
            search: None,
            pace: Pace::default(),
            outstanding: None,
            notice: None,
            paused: false,
            waiting: VecDeque::new(),
            dirty: true,
            stale: false,
            edge_stale: false,
            refreshed: None,
            last_click: None,
            peak: (0, None),
            marked: 0,
            has_packets: true,
            exporting: VecDeque::new(),
            theme: None,
            usual_colors: colors,
            kept: Choices::default(),
            saving: VecDeque::new(),
        }
    }

    /// Starts with a filter; a mistake in it opens the line with it.
    pub(super) fn start_with(&mut self, filter: &str) {
        match self.cx.matcher.set_filter(filter) {
            Ok(()) => self.rematch(),
            Err(error) => {
                let mut prompt = Prompt::new(prompt::Purpose::Filter, filter.to_owned(), String::new());
                prompt.error = Some(error);
                self.prompt = Some(prompt);
            }
        }
    }

    /// The input has ended without packets, so that there is nothing to show. (An interface may be silent, as long as it is there.)
    pub(super) fn is_void(&self) -> bool {
        self.cx.ended && self.cx.progress.packets == 0 && !(self.cx.is_endless && self.troubles.is_empty())
    }

    /// The open view.
    pub(super) fn view(&self) -> &dyn View {
        self.views.get(self.view_id)
    }

    fn view_mut(&mut self) -> &mut dyn View {
        self.views.get_mut(self.view_id)
    }

    /// The scopes of the keys that work now, in the order of the footer.
    pub(super) fn scopes(&self) -> &'static [Scope] {
        if self.help.is_some() {
            Scope::HELP
        } else if self.chooser.is_some() {
            Scope::CHOOSER
        } else if self.detail.is_some() {
            Scope::DETAIL
        } else {
            self.view().scopes()
        }
    }

    /// The screen has another size.
    pub(super) fn resize(&mut self, width: u16, height: u16) {
        self.width = width;
        self.height = height;
        self.dirty = true;
        self.settle();
    }

    /// Takes what the analysis sends.
    pub(super) fn receive(&mut self, update: Update) {
        self.dirty = true;
        match update {
            Update::Calls(calls) if self.paused => {
                self.waiting.push_back(calls);
                if self.waiting_calls() * WAITING_CALL > self.cx.store.limit() / PAUSE_PART {
                    self.resume();
                    self.notice = Some("the pause ended: too many calls were waiting".to_owned());
                }
            }
            Update::Calls(calls) => self.take(calls),
            Update::Connections(connections) => {
                for connection in connections {
                    self.cx.connections.put(connection);
                }
                self.stale = true;
            }
            Update::Chains(chains) => {
                self.cx.chains.put(chains, &self.cx.matcher);
                self.link_detail();
                self.edge_stale = matches!(self.cx.matcher.only, Some(Only::Edge { .. }));
                self.stale = true;
            }
            Update::Linking(linking) => self.linking = linking,
            Update::Logged(logged) => {
                self.cx.logged = Some(logged);
                self.log_detail();
                self.stale = true;
            }
            Update::Progress(progress) => self.cx.progress = progress,
            Update::Trouble(line) => self.trouble(line),
            Update::Ended => self.cx.ended = true,
        }
    }

    /// Keeps a problem.
    fn trouble(&mut self, line: String) {
        if self.troubles.len() < TROUBLES_LIMIT {
            self.troubles.push(line);
        }
    }

    fn take(&mut self, calls: Vec<Arc<Call>>) {
        let cx = &mut self.cx;
        for call in calls {
            cx.names.learn(&call);
            let (method, group) = cx.catalog.classify(&call);
            cx.total.count(&call, cx.store.next(), method, group);
            cx.store.push(call, method, group);
        }
        if cx.store.evict() {
            self.views.calls.drop_evicted(&cx.store);
            self.restart_search();
        }
        self.stale = true;
    }

    /// Calls that wait for the end of the pause.
    pub(super) fn waiting_calls(&self) -> usize {
        self.waiting.iter().map(Vec::len).sum()
    }

    /// Ends the pause.
    fn resume(&mut self) {
        self.paused = false;
        for calls in std::mem::take(&mut self.waiting) {
            self.take(calls);
        }
    }

    /// The packets of a call were read again.
    pub(super) fn packets_read(&mut self, uid: Uid, result: Result<Box<Detail>, String>) {
        let layout = self.detail_layout();
        if let Some(detail) = self.detail.as_mut().filter(|d| d.call.uid == uid) {
            detail.load(result);
            detail.settle(layout);
            self.dirty = true;
        }
    }

    /// Shows a line to the user until the next key.
    pub(super) fn say(&mut self, line: String) {
        self.notice = Some(line);
        self.dirty = true;
    }

    /// Does a bounded piece of the outstanding work. Whether more of it can be done at once.
    pub(super) fn work(&mut self, now: Instant) -> bool {
        let mut slice = self.pace.begin();
        let has_filtered = self.cx.chains.filter_on(&self.cx.matcher, &mut slice);
        if self.views.calls.scan(&mut self.cx, &mut slice) || has_filtered {
            self.stale = true;
            self.dirty = true;
        }
        if self.is_looking_for_line() {
            self.outstanding = self.look_for_line();
        }
        self.search_on();
        let more = self.views.calls.is_behind(&self.cx.store)
            || self.cx.chains.is_behind()
            || self.is_looking_for_line()
            || self.is_searching();
        let due = self.refreshed.is_none_or(|last| now.saturating_duration_since(last) >= REFRESH);
        if self.is_waiting() && due && !more {
            self.refresh();
            self.refreshed = Some(now);
        }
        self.settle();
        more
    }

    /// Whether rows wait to be sorted.
    pub(super) fn is_waiting(&self) -> bool {
        self.stale || self.views.calls.has_pending()
    }

    /// Brings the rows of the open view up to date.
    pub(super) fn refresh(&mut self) {
        self.stale = false;
        self.dirty = true;
        if std::mem::take(&mut self.edge_stale) {
            self.rematch();
        }
        // Calls that wait for their place in the order wait in every view.
        self.views.calls.arrange(&self.cx);
        self.views.get_mut(self.view_id).arrange(&self.cx);
        self.settle();
    }

    /// Brings the cursors within their rows and onto the screen.
    fn settle(&mut self) {
        self.views.calls.dated = self.cx.is_dated();
        self.views.errors.dated = self.views.calls.dated;
        if self.view_id == ViewId::Logs {
            self.views.logs.dated = self.cx.are_logs_dated();
        }
        let rows = self.rows_on_screen();
        self.view_mut().settle(rows);
        if self.view_id == ViewId::Calls {
            self.views.calls.measure(&self.cx, rows);
        }
        let lines = usize::from(self.list_area().height);
        if let Some(chooser) = &mut self.chooser {
            chooser.list.settle(chooser.rows.len(), lines);
        }
        let layout = self.detail_layout();
        if let Some(detail) = &mut self.detail {
            detail.settle(layout);
        }
    }

    /// The layout of the page of a call.
    pub(super) fn detail_layout(&self) -> DetailLayout {
        DetailLayout::of(self.width, self.height)
    }

    /// The part of the screen for the open view, with the heads of its columns.
    pub(super) fn list_area(&self) -> Rect {
        let below = LINES_BELOW + self.view().sentence_lines(self.height);
        let above = LINES_ABOVE + self.strip_lines();
        let height = self.height.saturating_sub(above + below);
        Rect { x: 0, y: above, width: self.width, height }
    }

    /// The part of the screen for calls over time.
    pub(super) fn strip_area(&self) -> Rect {
        Rect { x: 0, y: LINES_ABOVE, width: self.width, height: self.strip_lines() }
    }

    /// Lines that the heads of the open view's columns take.
    fn head_lines(&self) -> u16 {
        u16::from(!self.view().columns(usize::from(self.width)).is_empty())
    }

    /// Rows of the open view that are on the screen.
    fn rows_on_screen(&self) -> usize {
        let lines = self.list_area().height.saturating_sub(self.head_lines());
        usize::from(self.view().rows_in(lines))
    }

    /// The call that the keys for chain, origin and connection act on.
    pub(super) fn current_call(&self) -> Option<Arc<Call>> {
        match &self.detail {
            Some(detail) => Some(Arc::clone(&detail.call)),
            None => self.view().current_call(&self.cx),
        }
    }

    /// Applies a changed matcher.
    fn rematch(&mut self) {
        self.views.calls.restart();
        let cx = &mut self.cx;
        cx.filtered = cx.matcher.has_filter().then(Filtered::default);
        if cx.matcher.has_filter() || cx.chains.hidden > 0 {
            cx.chains.filter();
        }
        self.stale = true;
        self.refreshed = None;
        self.dirty = true;
    }
}
