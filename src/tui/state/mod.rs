//! Everything that is shown, and how updates, keys, mouse and time change it. Draws nothing and reads nothing.

pub(super) mod chains;
pub(super) mod changes;
pub(super) mod detail;
pub(super) mod graph;
mod jumps;
pub(super) mod list;
pub(super) mod matcher;
mod mouse;
mod moves;
mod output;
pub(super) mod prompt;
pub(super) mod rows;
mod search;
pub(super) mod tables;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod through;
mod trail;
mod typing;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::chains::Chains;
use self::changes::Changes;
use self::detail::{Detail, Plan};
use self::graph::Graph;
use self::list::List;
use self::matcher::{Matcher, Only};
use self::prompt::{History, Prompt};
use self::rows::Rows;
use self::tables::{Connections, Table, connection_key, group_key, method_key};
use self::through::Through;
use self::trail::Step;
use super::columns::Column;
use super::figures::{Catalog, Figures};
use super::keys::{Scope, View};
use super::names::Names;
use super::store::{Serial, Store};
use super::theme::Theme;
use super::{Colors, Progress, Update};
use crate::calls::{Call, Class, Uid};
use crate::detail::Detail as Evidence;
use crate::sink::TimeFormat;

/// How often tables are put into order anew while figures change: calm enough to read.
const REFRESH: Duration = Duration::from_millis(500);
/// Lines of trouble that are kept.
const TROUBLES_LIMIT: usize = 100;
/// Calls that wait in a pause may take this part of the memory before the pause ends by itself.
const PAUSE_PART: usize = 4;
/// A waiting call is taken to be this large, bytes.
const WAITING_CALL: usize = 1_024;
/// The smallest screen that something can be shown on.
pub(super) const SMALLEST: (u16, u16) = (60, 12);
/// Lines around the rows of a list: title, tabs, rule, heads; rule, sentence, footer.
pub(super) const LINES_ABOVE: u16 = 4;

/// Where the keys act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    View(View),
    Detail,
    Help,
}

impl Place {
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::View(View::Calls),
        Self::View(View::Errors),
        Self::View(View::Services),
        Self::View(View::Connections),
        Self::View(View::Chains),
        Self::View(View::Changes),
        Self::View(View::Graph),
        Self::Detail,
        Self::Help,
    ];

    /// The scopes of keys that hold there, in the order of the footer.
    pub(super) fn scopes(self) -> &'static [Scope] {
        match self {
            Self::View(View::Calls) => {
                &[Scope::Lists, Scope::Rows, Scope::Everywhere, Scope::Classes, Scope::Calls, Scope::Columns]
            }
            Self::View(View::Errors) => {
                &[Scope::Lists, Scope::Rows, Scope::Everywhere, Scope::Classes, Scope::Columns]
            }
            Self::View(View::Services | View::Connections | View::Changes | View::Graph) => {
                &[Scope::Lists, Scope::Rows, Scope::Columns, Scope::Everywhere]
            }
            Self::View(View::Chains) => &[Scope::Chains, Scope::Lists, Scope::Rows, Scope::Everywhere],
            Self::Detail => &[Scope::Detail, Scope::Everywhere, Scope::Rows],
            Self::Help => &[Scope::Rows, Scope::Everywhere],
        }
    }
}

/// What the state can't do by itself.
#[derive(Debug)]
pub(super) enum Effect {
    Quit,
    Suspend,
    /// Everything on the screen is to be drawn anew.
    Redraw,
    /// Put the text into the terminal's clipboard.
    Copy(String),
    /// Make the evidence of a call.
    Evidence(Arc<Call>),
    /// Write calls, as the name of the file asks.
    Export(Vec<Arc<Call>>, PathBuf),
}

/// The state of the interface.
#[derive(Debug)]
pub(super) struct State {
    pub theme: Theme,
    pub source: String,
    pub time: TimeFormat,
    pub width: u16,
    pub height: u16,
    pub progress: Progress,
    /// Calls whose place in a chain is still being looked for.
    pub linking: u64,
    pub ended: bool,
    pub troubles: Vec<String>,
    pub store: Store,
    pub catalog: Catalog,
    pub names: Names,
    /// Figures of all calls so far.
    pub total: Figures,
    /// The calls that the filter lets through, counted while there is one.
    pub through: Option<Through>,
    pub matcher: Matcher,
    pub rows: Rows,
    pub calls: List,
    /// The Calls view follows the newest call.
    pub follow: bool,
    pub errors: Table,
    pub services: Table,
    pub connections: Connections,
    pub connection_rows: Table,
    pub chains: Chains,
    pub changes: Changes,
    pub graph: Graph,
    pub view: View,
    /// Where jumps from one thing to another began, the newest last.
    trail: Vec<Step>,
    pub detail: Option<Detail>,
    /// First line of the help page on the screen, while it is open.
    pub help: Option<usize>,
    pub prompt: Option<Prompt>,
    pub history: History,
    pub search: String,
    /// A line for people until the next key.
    pub notice: Option<String>,
    pub paused: bool,
    waiting: VecDeque<Vec<Arc<Call>>>,
    /// Something changed since the last drawing.
    pub dirty: bool,
    /// Figures changed since tables were put into order.
    stale: bool,
    /// Chains came since the calls of an edge of the graph were looked for.
    edge_stale: bool,
    refreshed: Option<Instant>,
    last_click: Option<(Instant, u16, u16)>,
    pub marked: usize,
}

impl State {
    pub(super) fn new(source: String, max_memory: usize, time: TimeFormat, colors: Colors) -> Self {
        Self {
            theme: Theme::new(colors),
            source,
            time,
            width: 80,
            height: 24,
            progress: Progress::default(),
            linking: 0,
            ended: false,
            troubles: Vec::new(),
            store: Store::new(max_memory),
            catalog: Catalog::default(),
            names: Names::default(),
            total: Figures::default(),
            through: None,
            matcher: Matcher::default(),
            rows: Rows::default(),
            calls: List::new(Column::Method, None),
            follow: true,
            errors: Table::new(Column::Count, Some((Column::Count, true))),
            services: Table::new(Column::Calls, Some((Column::Calls, true))),
            connections: Connections::default(),
            connection_rows: Table::new(Column::Protocol, None),
            chains: Chains::new(),
            changes: Changes::new(),
            graph: Graph::new(),
            view: View::Calls,
            trail: Vec::new(),
            detail: None,
            help: None,
            prompt: None,
            history: History::default(),
            search: String::new(),
            notice: None,
            paused: false,
            waiting: VecDeque::new(),
            dirty: true,
            stale: false,
            edge_stale: false,
            refreshed: None,
            last_click: None,
            marked: 0,
        }
    }

    /// Begins with a filter; a mistake in it opens the line with it.
    pub(super) fn start_with(&mut self, filter: &str) {
        match self.matcher.set_filter(filter) {
            Ok(()) => self.rematch(),
            Err(error) => {
                let mut prompt = Prompt::new(prompt::Purpose::Filter, filter.to_owned(), String::new());
                prompt.error = Some(error);
                self.prompt = Some(prompt);
            }
        }
    }

    /// Where keys act now.
    pub(super) fn place(&self) -> Place {
        if self.help.is_some() {
            Place::Help
        } else if self.detail.is_some() {
            Place::Detail
        } else {
            Place::View(self.view)
        }
    }

    /// The screen has another size.
    pub(super) fn resize(&mut self, width: u16, height: u16) {
        self.width = width;
        self.height = height;
        self.dirty = true;
        self.settle();
    }

    /// Takes what the analysis says.
    pub(super) fn receive(&mut self, update: Update) {
        self.dirty = true;
        match update {
            Update::Calls(calls) if self.paused => {
                self.waiting.push_back(calls);
                if self.waiting_calls() * WAITING_CALL > self.store.limit() / PAUSE_PART {
                    self.resume();
                    self.notice = Some("the pause ended: too many calls were waiting".to_owned());
                }
            }
            Update::Calls(calls) => self.take(calls),
            Update::Connections(connections) => {
                for connection in connections {
                    self.connections.put(connection);
                }
                self.stale = true;
            }
            Update::Chains(chains) => {
                self.chains.put(chains, &self.matcher);
                self.edge_stale = matches!(self.matcher.only, Some(Only::Edge { .. }));
                self.stale = true;
            }
            Update::Linking(calls) => self.linking = calls,
            Update::Progress(progress) => self.progress = progress,
            Update::Trouble(line) => {
                if self.troubles.len() < TROUBLES_LIMIT {
                    self.troubles.push(line);
                }
            }
            Update::Ended => self.ended = true,
        }
    }

    fn take(&mut self, calls: Vec<Arc<Call>>) {
        for call in calls {
            self.names.learn(&call);
            let (method, group) = self.catalog.classify(&call);
            self.total.count(&call, self.store.next(), method, group);
            self.store.push(call, method, group);
        }
        if self.store.shed() {
            self.rows.shed(&self.store, &mut self.calls);
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

    /// A call that is not written yet: evidence arrived for the detail.
    pub(super) fn evidence(&mut self, uid: Uid, result: Result<Box<Evidence>, String>) {
        let plan = self.plan();
        if let Some(detail) = self.detail.as_mut().filter(|d| d.call.uid == uid) {
            detail.load(result);
            detail.settle(&plan);
            self.dirty = true;
        }
    }

    /// Something was written, or not: a line for people.
    pub(super) fn say(&mut self, line: String) {
        self.notice = Some(line);
        self.dirty = true;
    }

    /// Does a bounded piece of the work that is left. Whether there is more to do at once.
    pub(super) fn work(&mut self, now: Instant) -> bool {
        let matching = (&self.matcher, &self.chains);
        let scanned = self.rows.scan(&self.store, matching, self.through.as_mut(), &mut self.calls);
        if scanned {
            self.stale = true;
            self.dirty = true;
        }
        let more = self.rows.is_behind(&self.store);
        let due = self.refreshed.is_none_or(|last| now.saturating_duration_since(last) >= REFRESH);
        if self.is_waiting() && due && !more {
            self.refresh();
            self.refreshed = Some(now);
        }
        self.settle();
        more
    }

    /// Whether tables wait for their time to be put into order.
    pub(super) fn is_waiting(&self) -> bool {
        self.stale || self.rows.has_pending()
    }

    /// Puts all tables into order.
    pub(super) fn refresh(&mut self) {
        self.stale = false;
        self.dirty = true;
        if std::mem::take(&mut self.edge_stale) {
            self.rematch();
        }
        if self.rows.has_pending() {
            self.rows.merge(&self.store, &self.names, &mut self.calls);
        }
        let through = self.through.as_ref();
        let figures = through.map_or(&self.total, |through| &through.figures);
        let (catalog, matcher, names) = (&self.catalog, &self.matcher, &self.names);
        let groups = figures
            .group_ids()
            .filter(|id| !matcher.hides(catalog.groups.get(*id as usize).and_then(|g| g.class)));
        self.errors.arrange(groups, |id, column| group_key(id, column, figures, catalog));
        self.services.arrange(figures.method_ids(), |id, column| method_key(id, column, figures, catalog));
        let connections = self.connections.all();
        let shown = (0_u32..)
            .zip(connections)
            .filter(|(_, connection)| through.is_none_or(|through| through.calls(connection) > 0));
        self.connection_rows.arrange(shown.map(|(id, _)| id), |id, column| {
            connections.get(id as usize).map_or(list::SortKey::Nothing, |c| connection_key(c, column, names))
        });
        match self.view {
            View::Changes => self.changes.arrange(&self.chains.sum(matcher)),
            View::Graph => self.graph.arrange(&self.chains.sum(matcher)),
            _ => {}
        }
        self.settle();
    }

    /// Brings all cursors within their rows and onto the screen.
    fn settle(&mut self) {
        if self.follow && self.calls.sort.is_none() {
            self.calls.selected = self.rows.len().saturating_sub(1);
        }
        let height = self.list_height(View::Calls);
        self.calls.settle(self.rows.len(), height);
        let height = self.list_height(View::Errors);
        self.errors.list.settle(self.errors.order.len(), height);
        let height = self.list_height(View::Services);
        self.services.list.settle(self.services.order.len(), height);
        let height = self.list_height(View::Connections);
        self.connection_rows.list.settle(self.connection_rows.order.len(), height);
        let height = self.list_height(View::Chains);
        self.chains.list.settle(self.chains.len(), height);
        let height = self.list_height(View::Changes);
        self.changes.list.settle(self.changes.turns.len(), height);
        let height = self.list_height(View::Graph);
        self.graph.list.settle(self.graph.edges.len(), height);
        let plan = self.plan();
        if let Some(detail) = &mut self.detail {
            detail.settle(&plan);
        }
    }

    /// Where the parts of the detail stand.
    pub(super) fn plan(&self) -> Plan {
        Plan::of(self.width, self.height)
    }

    /// Lines of the sentence under a list. What is said of chains is longest.
    pub(super) fn sentence_lines(&self, view: View) -> u16 {
        match (self.height, view) {
            (..16, _) => 1,
            (20..30, View::Chains) | (30.., _) => 3,
            _ => 2,
        }
    }

    /// Rows of a view that are on the screen.
    pub(super) fn list_height(&self, view: View) -> usize {
        // Rule and footer stand below besides the sentence.
        let all = self.height.saturating_sub(LINES_ABOVE + 2 + self.sentence_lines(view));
        let rows = match view {
            View::Services if all >= 14 => all - all * 2 / 5,
            // Chains have no column heads.
            View::Chains => all + 1,
            _ => all,
        };
        usize::from(rows)
    }

    /// The list of the open view with its number of rows.
    pub(super) fn list(&self) -> (&List, usize) {
        match self.view {
            View::Calls => (&self.calls, self.rows.len()),
            View::Errors => (&self.errors.list, self.errors.order.len()),
            View::Services => (&self.services.list, self.services.order.len()),
            View::Connections => (&self.connection_rows.list, self.connection_rows.order.len()),
            View::Chains => (&self.chains.list, self.chains.len()),
            View::Changes => (&self.changes.list, self.changes.turns.len()),
            View::Graph => (&self.graph.list, self.graph.edges.len()),
        }
    }

    fn list_mut(&mut self) -> (&mut List, usize) {
        match self.view {
            View::Calls => (&mut self.calls, self.rows.len()),
            View::Errors => (&mut self.errors.list, self.errors.order.len()),
            View::Services => (&mut self.services.list, self.services.order.len()),
            View::Connections => (&mut self.connection_rows.list, self.connection_rows.order.len()),
            View::Chains => {
                let len = self.chains.len();
                (&mut self.chains.list, len)
            }
            View::Changes => (&mut self.changes.list, self.changes.turns.len()),
            View::Graph => (&mut self.graph.list, self.graph.edges.len()),
        }
    }

    /// The selected call of the Calls view with its serial.
    pub(super) fn selected_call(&self) -> Option<(Serial, &Arc<Call>)> {
        let serial = self.rows.get(self.calls.selected)?;
        self.store.get(serial).map(|entry| (serial, &entry.call))
    }

    /// The call that the sentence is about, wherever the cursor is.
    pub(super) fn current_call(&self) -> Option<Arc<Call>> {
        if let Some(detail) = &self.detail {
            return Some(Arc::clone(&detail.call));
        }
        match self.view {
            View::Calls => self.selected_call().map(|(_, call)| Arc::clone(call)),
            View::Errors => self.held(self.figures().group(self.errors.selected()?)?.example),
            View::Services => self.held(self.figures().method(self.services.selected()?)?.example),
            View::Chains => self.chains.selected().map(|(chain, hop)| Arc::clone(&chain.hops[hop].call)),
            View::Changes => {
                let uid = self.chains.example(self.changes.selected()?)?;
                self.chains.of(uid).map(|(chain, hop)| Arc::clone(&chain.hops[hop].call))
            }
            View::Connections | View::Graph => self.example_of(&self.selected_thing()?),
        }
    }

    /// A call by its serial, if it is still held.
    fn held(&self, serial: Serial) -> Option<Arc<Call>> {
        self.store.get(serial).map(|entry| Arc::clone(&entry.call))
    }

    /// The newest call of a thing that the filter lets through; of those that failed, where any did.
    fn example_of(&self, only: &Only) -> Option<Arc<Call>> {
        let holds = |call: &Call, entry| self.matcher.filter_matches(call) && only.holds(entry, &self.chains);
        let mut calls = self.store.entries().iter().rev().filter(|entry| holds(&entry.call, entry));
        let newest = calls.next()?;
        let failed = if newest.call.failed() { None } else { calls.find(|entry| entry.call.failed()) };
        Some(Arc::clone(&failed.unwrap_or(newest).call))
    }

    /// The figures that views show: of what the filter lets through, or of everything.
    pub(super) fn figures(&self) -> &Figures {
        self.through.as_ref().map_or(&self.total, |through| &through.figures)
    }

    /// The thing whose calls are shown, in words.
    pub(super) fn only_label(&self) -> Option<String> {
        Some(match self.matcher.only.as_ref()? {
            Only::Method(id) => self.catalog.label(Some(*id)),
            Only::Group(id) => {
                let group = self.catalog.groups.get(*id as usize)?;
                let code = group.code.map(|c| format!("{c} ")).unwrap_or_default();
                format!("{} {code}{}", self.catalog.label(group.method), group.template)
            }
            Only::Connection { ends: [a, b], .. } => format!("connection {a} → {}", self.names.address(b)),
            Only::Edge { from, to } => format!("calls {from} → {to}"),
        })
    }

    /// What was changed in the matcher takes effect.
    fn rematch(&mut self) {
        self.rows.restart(&self.calls);
        self.through = self.matcher.has_filter().then(Through::default);
        if self.matcher.has_filter() || self.chains.hidden > 0 {
            self.chains.filter(&self.matcher);
        }
        self.stale = true;
        self.refreshed = None;
        self.dirty = true;
    }

    /// Whether failures exist that the user has not gone to: the start screen points at them.
    pub(super) fn worst_group(&self) -> Option<u32> {
        let figures = self.figures();
        figures
            .group_ids()
            .filter(|id| {
                let class = self.catalog.groups.get(*id as usize).and_then(|g| g.class);
                !self.matcher.hides(class)
                    && matches!(class, Some(Class::Rpc | Class::Business | Class::Transport))
            })
            // Of equally many, the kind that was seen first.
            .max_by_key(|id| (figures.group(*id).map_or(0, |g| g.count), std::cmp::Reverse(*id)))
    }
}
