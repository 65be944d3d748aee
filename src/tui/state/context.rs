//! What every view reads: what the analysis sent, what was counted of it, and which part of it the user wants to see.

use std::sync::Arc;

use super::bodies::Bodies;
use super::chains::ChainStore;
use super::connections::ConnectionStore;
use super::filtered::Filtered;
use super::matcher::{Matcher, Only};
use crate::calls::{Call, Class};
use crate::payload::BodyDecoder;
use crate::pipeline::Tally;
use crate::sink::{Clock, TimeFormat};
use crate::text;
use crate::time::Timestamp;
use crate::tui::figures::{Catalog, Figures};
use crate::tui::keys::{Action, Keys};
use crate::tui::logged::Logged;
use crate::tui::names::Names;
use crate::tui::needle::Needle;
use crate::tui::store::{Serial, Store};
use crate::tui::theme::Theme;
use crate::tui::views::ViewId;
use crate::tui::{Colors, Progress};

/// Most reasons that an empty view lists.
const REASONS: usize = 5;

/// What every view reads.
#[derive(Debug)]
pub(in crate::tui) struct Context {
    pub theme: Theme,
    pub keys: Keys,
    pub time: TimeFormat,
    pub progress: Progress,
    /// Nothing more comes.
    pub ended: bool,
    /// The input has no end of its own, as interfaces and growing files.
    pub is_endless: bool,
    pub store: Store,
    pub catalog: Catalog,
    pub names: Names,
    /// Figures of all calls so far.
    pub total: Figures,
    /// Counts of what the filter lets through, while there is one.
    pub filtered: Option<Filtered>,
    pub matcher: Matcher,
    pub connections: ConnectionStore,
    pub chains: ChainStore,
    /// What is searched for; empty without a search.
    pub search: Needle,
    /// What the logs beside the capture say; `None` if there are none.
    pub logged: Option<Arc<Logged>>,
    /// Knows the names of fields of bodies; `None` if nothing describes them.
    pub decoder: Option<Arc<BodyDecoder>>,
    /// What the calls have of their bodies.
    pub bodies: Bodies,
}

impl Context {
    pub(in crate::tui) fn new(max_memory: usize, time: TimeFormat, colors: Colors) -> Self {
        Self {
            theme: Theme::new(colors),
            keys: Keys::default(),
            time,
            progress: Progress::default(),
            ended: false,
            is_endless: true,
            store: Store::new(max_memory),
            catalog: Catalog::default(),
            names: Names::default(),
            total: Figures::default(),
            filtered: None,
            matcher: Matcher::default(),
            connections: ConnectionStore::default(),
            chains: ChainStore::default(),
            search: Needle::default(),
            logged: None,
            decoder: None,
            bodies: Bodies::default(),
        }
    }

    /// The key of an action, for sentences.
    pub(in crate::tui) fn key(&self, action: Action) -> String {
        self.keys.name_of(action)
    }

    /// What shows more of the calls.
    pub(in crate::tui) fn widen(&self, calls: &str) -> String {
        let gap = if calls.is_empty() { "" } else { " " };
        let (all, filter) = (self.key(Action::ShowAll), self.key(Action::Filter));
        format!("{all} shows all{gap}{calls}, {filter} changes the filter")
    }

    /// Why there are no calls at all, in lines; empty if there are some.
    pub(in crate::tui) fn why_no_calls(&self) -> Vec<String> {
        if self.total.calls > 0 {
            return Vec::new();
        }
        let key = self.key(Action::Show(ViewId::Connections));
        let (yet, where_to_look) = if self.ended {
            ("", format!("{key} shows the connections and why they are not decoded"))
        } else {
            (" yet", format!("{key} shows the connections"))
        };
        let connections = self.connections.all();
        match (self.progress.packets, connections.len() as u64) {
            (0, 0) if self.ended => vec!["no packets in this capture".to_owned()],
            (0, 0) => vec!["no packets yet".to_owned()],
            (packets, 0) => {
                let packets = text::counted(packets, "packet");
                vec![format!("no calls{yet}: none of {packets} belongs to a TCP or UDP connection")]
            }
            (_, count) => {
                let mut lines = vec![format!("no calls{yet} in {}:", text::counted(count, "connection"))];
                let reasons = Tally::from_iter(connections).sorted();
                let reasons = reasons.iter().take(REASONS);
                lines.extend(
                    reasons.map(|(reason, t)| format!("{} {reason}", text::thousands(t.connections))),
                );
                lines.push(where_to_look);
                lines
            }
        }
    }

    /// The figures that views show: of what the filter lets through, or of everything.
    pub(in crate::tui) fn figures(&self) -> &Figures {
        self.filtered.as_ref().map_or(&self.total, |filtered| &filtered.figures)
    }

    /// A call by its serial, if it is still held.
    pub(in crate::tui) fn call(&self, serial: Serial) -> Option<Arc<Call>> {
        self.store.get(serial).map(|entry| Arc::clone(&entry.call))
    }

    /// The newest call of a thing that the filter lets through; the newest failed one, if any failed.
    pub(in crate::tui) fn example_of(&self, only: &Only) -> Option<Arc<Call>> {
        let mut calls = self
            .store
            .entries()
            .iter()
            .rev()
            .filter(|entry| only.holds(entry, &self.chains) && self.matcher.filter_matches(&entry.call));
        let newest = calls.next()?;
        let failed = if newest.call.failed() { None } else { calls.find(|entry| entry.call.failed()) };
        Some(Arc::clone(&failed.unwrap_or(newest).call))
    }

    /// At most `limit` calls of a thing that the filter lets through, oldest first.
    pub(in crate::tui) fn calls_of(&self, only: &Only, limit: usize) -> Vec<Arc<Call>> {
        self.store
            .entries()
            .iter()
            .filter(|entry| only.holds(entry, &self.chains) && self.matcher.filter_matches(&entry.call))
            .take(limit)
            .map(|entry| Arc::clone(&entry.call))
            .collect()
    }

    /// Calls that the filter hides from the figures; `None` without a filter.
    pub(in crate::tui) fn hidden_calls(&self) -> Option<(usize, &'static str)> {
        let left = self.total.calls.saturating_sub(self.filtered.as_ref()?.figures.calls);
        Some((usize::try_from(left).unwrap_or(usize::MAX), " calls"))
    }

    /// Chains that the filter hides; `None` without a filter.
    pub(in crate::tui) fn hidden_chains(&self) -> Option<(usize, &'static str)> {
        self.matcher.has_filter().then_some((self.chains.hidden, " chains"))
    }

    /// The thing whose calls are shown, in words.
    pub(in crate::tui) fn only_label(&self) -> Option<String> {
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

    /// Whether the class switches hide a kind of error.
    pub(in crate::tui) fn hides_group(&self, id: u32) -> bool {
        self.matcher.hides(self.catalog.groups.get(id as usize).and_then(|group| group.class))
    }

    /// The kind of error that came most often.
    pub(in crate::tui) fn worst_group(&self) -> Option<u32> {
        let figures = self.figures();
        figures
            .group_ids()
            .filter(|id| {
                let class = self.catalog.groups.get(*id as usize).and_then(|g| g.class);
                !self.hides_group(*id)
                    && matches!(class, Some(Class::Rpc | Class::Business | Class::Transport))
            })
            // Of equally frequent ones, the kind that was seen first.
            .max_by_key(|id| (figures.group(*id).map_or(0, |g| g.count), std::cmp::Reverse(*id)))
    }

    /// Whether times in Logs are wide: as in Calls, and where the lines are of several days.
    pub(in crate::tui) fn are_logs_dated(&self) -> bool {
        let times = || self.logged.iter().flat_map(|logged| &logged.lines).filter_map(|line| line.time);
        self.is_wide(
            self.total.first.into_iter().chain(times()).min(),
            self.total.last.into_iter().chain(times()).max(),
        )
    }

    /// Whether times in Calls and Errors are wide: with dates on demand and where the calls are of several days, or since 1970.
    pub(in crate::tui) fn is_dated(&self) -> bool {
        self.is_wide(self.total.first, self.total.last)
    }

    fn is_wide(&self, first: Option<Timestamp>, last: Option<Timestamp>) -> bool {
        let day = |time| self.dated_clock(time).split(' ').next().map(str::to_owned);
        match self.time {
            TimeFormat::Date | TimeFormat::UtcDate | TimeFormat::Epoch => true,
            TimeFormat::Local | TimeFormat::Utc => first.map(day) != last.map(day),
            TimeFormat::Relative | TimeFormat::Delta => false,
        }
    }

    /// A time of day with its date, `01-02 15:04:05.123`, or the seconds since 1970.
    pub(in crate::tui) fn dated_clock(&self, time: Timestamp) -> String {
        let format = match self.time {
            TimeFormat::Local => TimeFormat::Date,
            TimeFormat::Utc => TimeFormat::UtcDate,
            format => format,
        };
        let mut out = String::new();
        Clock::new(format, false).push(&mut out, time);
        // The year is the same nearly always, and there is no room for it.
        let has_year = matches!(format, TimeFormat::Date | TimeFormat::UtcDate);
        if has_year { out.get(5..).unwrap_or_default().to_owned() } else { out }
    }

    /// A time with its date if there is room for it; `before` is the time in the row above.
    pub(in crate::tui) fn time(&self, time: Timestamp, before: Option<Timestamp>, dated: bool) -> String {
        if dated { self.dated_clock(time) } else { self.clock(time, before) }
    }

    /// A time in the user's format; `before` is the time in the row above.
    pub(in crate::tui) fn clock(&self, time: Timestamp, before: Option<Timestamp>) -> String {
        let is_later = |than: Option<Timestamp>| than.is_some_and(|than| than <= time);
        let format = match self.time {
            // Without room for dates.
            TimeFormat::Date => TimeFormat::Local,
            TimeFormat::UtcDate => TimeFormat::Utc,
            // Rows that are sorted otherwise do not follow each other.
            TimeFormat::Delta if !is_later(before) => TimeFormat::Relative,
            format => format,
        };
        // A line of a log may stand before the first call.
        let format = match format {
            TimeFormat::Relative if !is_later(self.total.first) => TimeFormat::Local,
            format => format,
        };
        let mut clock = Clock::new(format, false);
        let mut out = String::new();
        let reference = if format == TimeFormat::Delta { before } else { self.total.first };
        if let Some(reference) = reference {
            clock.push(&mut out, reference);
            out.clear();
        }
        clock.push(&mut out, time);
        out
    }
}
