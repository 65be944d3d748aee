//! The rows of Errors, Services and Connections: small tables that are put into order anew when their figures changed.

use hashbrown::HashMap;

use super::list::{List, SortKey};
use crate::calls::{Class, record::Connection};
use crate::tui::columns::Column;
use crate::tui::figures::{Catalog, Figures};
use crate::tui::names::Names;

/// The most connections that are held; above it the oldest that are no longer open go.
const CONNECTIONS_LIMIT: usize = 100_000;

/// A table: cursor and the numbers of its rows in the order of the screen.
#[derive(Debug)]
pub(in crate::tui) struct Table {
    pub list: List,
    pub order: Vec<u32>,
}

impl Table {
    pub(in crate::tui) fn new(column: Column, sort: Option<(Column, bool)>) -> Self {
        Self { list: List::new(column, sort), order: Vec::new() }
    }

    /// The number of the selected row.
    pub(in crate::tui) fn selected(&self) -> Option<u32> {
        self.order.get(self.list.selected).copied()
    }

    /// Puts the rows into order. A cursor that was moved stays on its row.
    pub(in crate::tui) fn arrange(
        &mut self,
        ids: impl Iterator<Item = u32>,
        key: impl Fn(u32, Column) -> SortKey,
    ) {
        let selected = self.selected();
        self.order.clear();
        self.order.extend(ids);
        self.list.order(&mut self.order, |id, column| key(*id, column));
        if !self.list.moved {
            return;
        }
        if let Some(row) = selected.and_then(|id| self.order.iter().position(|other| *other == id)) {
            self.list.keep(row);
        }
    }
}

/// What a kind of error is ordered by.
pub(in crate::tui) fn group_key(id: u32, column: Column, figures: &Figures, catalog: &Catalog) -> SortKey {
    let (Some(counted), Some(group)) = (figures.group(id), catalog.groups.get(id as usize)) else {
        return SortKey::Nothing;
    };
    match column {
        Column::Count | Column::History => SortKey::Number(counted.count.into()),
        Column::Share => SortKey::fraction(group_share(id, figures, catalog)),
        Column::First => SortKey::Number(counted.first.0.into()),
        Column::Last => SortKey::Number(counted.last.0.into()),
        Column::Method => SortKey::Text(catalog.label(group.method)),
        Column::Class => group.class.map(|c| c as i64).into(),
        Column::Code | Column::Verdict => group.code.into(),
        _ => SortKey::Text(group.template.to_string()),
    }
}

/// Share of a kind of error among the calls of its method, in percent.
pub(in crate::tui) fn group_share(id: u32, figures: &Figures, catalog: &Catalog) -> f64 {
    let count = figures.group(id).map_or(0, |g| g.count);
    let method = catalog.groups.get(id as usize).and_then(|g| g.method);
    let calls = method.and_then(|m| figures.method(m)).map_or(figures.calls, |m| m.calls);
    if calls == 0 { 0.0 } else { count as f64 * 100.0 / calls as f64 }
}

/// What a method is ordered by.
pub(in crate::tui) fn method_key(id: u32, column: Column, figures: &Figures, catalog: &Catalog) -> SortKey {
    let Some(counted) = figures.method(id) else { return SortKey::Nothing };
    let quantile = |q| {
        let latency = &counted.latency;
        (!latency.is_empty()).then(|| latency.value_at_quantile(q)).into()
    };
    match column {
        Column::Calls | Column::Rate | Column::History => SortKey::Number(counted.calls.into()),
        Column::RpcShare => SortKey::fraction(counted.percent(Class::Rpc)),
        Column::BizShare => SortKey::fraction(counted.percent(Class::Business)),
        Column::P50 => quantile(0.5),
        Column::P90 => quantile(0.9),
        Column::P99 => quantile(0.99),
        Column::Max => quantile(1.0),
        Column::TopCode => counted.top_code().map(|(_, _, _, count)| count).into(),
        _ => SortKey::Text(catalog.label(Some(id))),
    }
}

/// What a connection is ordered by.
pub(in crate::tui) fn connection_key(connection: &Connection, column: Column, names: &Names) -> SortKey {
    match column {
        Column::Client => SortKey::Text(connection.client.to_string()),
        Column::Server => SortKey::Text(names.address(&connection.server)),
        Column::Protocol => SortKey::Text(connection.protocol.unwrap_or_default().to_owned()),
        Column::State => SortKey::Text(connection.state.name().to_owned()),
        Column::Calls => SortKey::Number(connection.calls.into()),
        Column::Failed => SortKey::Number(connection.failed.into()),
        Column::Packets => SortKey::Number(connection.packets.into()),
        Column::Bytes => SortKey::Number(i128::from(connection.bytes[0]) + i128::from(connection.bytes[1])),
        Column::Retransmissions => SortKey::Number(connection.retransmissions.into()),
        Column::Gaps => SortKey::Number(connection.gaps.into()),
        _ => SortKey::Text(connection.reason.unwrap_or_default().to_owned()),
    }
}

/// The connections that are held, in the order of their first packets as far as they came so.
#[derive(Debug, Default)]
pub(in crate::tui) struct Connections {
    all: Vec<Connection>,
    places: HashMap<u64, usize>,
    /// Connections that had to go.
    pub shed: u64,
}

impl Connections {
    /// Takes a connection as it stands now.
    pub(in crate::tui) fn put(&mut self, connection: Connection) {
        if let Some(&place) = self.places.get(&connection.first_packet) {
            self.all[place] = connection;
            return;
        }
        if self.all.len() >= CONNECTIONS_LIMIT {
            self.make_room();
        }
        self.places.insert(connection.first_packet, self.all.len());
        self.all.push(connection);
    }

    /// All of them.
    pub(in crate::tui) fn all(&self) -> &[Connection] {
        &self.all
    }

    fn make_room(&mut self) {
        use crate::calls::record::ConnectionState::Open;
        let mut goes = CONNECTIONS_LIMIT / 8;
        for open_too in [false, true] {
            self.all.retain(|c| {
                let leaves = goes > 0 && (open_too || c.state != Open);
                goes -= usize::from(leaves);
                self.shed += u64::from(leaves);
                !leaves
            });
        }
        self.places = self.all.iter().enumerate().map(|(place, c)| (c.first_packet, place)).collect();
    }
}
