//! The Connections view: every connection, and why it was not decoded.

use ratatui::style::Style;

use super::{Row, View};
use crate::calls::record::{Connection, ConnectionState};
use crate::text;
use crate::tui::columns::{CALLS, CLIENT, Column, PROTOCOL, Placed, REST, SERVER, place};
use crate::tui::keys::Scope;
use crate::tui::names::Names;
use crate::tui::render::sentence::Sentence;
use crate::tui::state::context::Context;
use crate::tui::state::list::{IdList, List, SortKey};
use crate::tui::state::matcher::Only;

const STATE: Column = Column::text("state");
const FAILED: Column = Column::number("failed");
const PACKETS: Column = Column::number("packets");
const BYTES: Column = Column::number("bytes");
const RETRANSMISSIONS: Column = Column::number("retrans");
const GAPS: Column = Column::number("gaps");
const REASON: Column = Column::sentence("why not decoded");

/// The connections, by the numbers of their first packets.
#[derive(Debug)]
pub(in crate::tui) struct Connections {
    pub rows: IdList<u64>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { rows: IdList::new(PROTOCOL, None) }
    }
}

impl Connections {
    fn selected<'c>(&self, cx: &'c Context) -> Option<&'c Connection> {
        cx.connections.get(self.rows.selected()?)
    }
}

impl View for Connections {
    fn title(&self) -> &'static str {
        "Connections"
    }

    fn scopes(&self) -> &'static [Scope] {
        &[Scope::Lists, Scope::Rows, Scope::Columns, Scope::Everywhere]
    }

    fn columns(&self, width: usize) -> Vec<Placed> {
        let address = (width / 5).clamp(14, 30);
        let mut wanted = vec![(PROTOCOL, if width >= 140 { 14 } else { 9 })];
        if width >= 96 {
            wanted.push((CLIENT, address));
        }
        wanted.extend([(SERVER, address), (STATE, 7), (CALLS, 7)]);
        if width >= 80 {
            wanted.push((FAILED, 6));
        }
        if width >= 120 {
            wanted.extend([(PACKETS, 9), (BYTES, 9)]);
        }
        if width >= 140 {
            wanted.push((RETRANSMISSIONS, 7));
        }
        if width >= 120 {
            wanted.push((GAPS, 5));
        }
        wanted.push((REASON, REST));
        place(width, wanted, (1, 1))
    }

    fn list(&self) -> &List {
        &self.rows.list
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.rows.list
    }

    fn len(&self) -> usize {
        self.rows.ids.len()
    }

    fn arrange(&mut self, cx: &Context) {
        let filtered = cx.filtered.as_ref();
        let shown =
            cx.connections.all().iter().filter(|c| filtered.is_none_or(|filtered| filtered.calls(c) > 0));
        self.rows.arrange(shown.map(|c| c.first_packet), |id, column| {
            cx.connections.get(id).map_or(SortKey::Nothing, |c| sort_key(c, column, &cx.names))
        });
    }

    fn row(&self, cx: &Context, at: usize, columns: &[Placed]) -> Option<Row> {
        let connection = cx.connections.get(*self.rows.ids.get(at)?)?;
        let theme = &cx.theme;
        let alarm = |n: u64| if n == 0 { theme.dim } else { theme.alarm };
        let cells = columns
            .iter()
            .map(|placed| match placed.column {
                PROTOCOL => match connection.protocol {
                    Some(name) => (text::escape(name).into_owned(), theme.strong),
                    None => ("—".to_owned(), theme.dim),
                },
                CLIENT => {
                    let client = cx.names.file_address(&connection.caller_address());
                    (text::escape(&client).into_owned(), Style::new())
                }
                SERVER => (text::escape(&cx.names.address(&connection.server)).into_owned(), Style::new()),
                STATE => {
                    let broken =
                        matches!(connection.state, ConnectionState::Reset | ConnectionState::Refused);
                    (connection.state.name().to_owned(), if broken { theme.alarm } else { Style::new() })
                }
                CALLS => (text::thousands(connection.calls), Style::new()),
                FAILED => (text::thousands(connection.failed), alarm(connection.failed)),
                PACKETS => (text::thousands(connection.packets), theme.dim),
                BYTES => (text::bytes(connection.bytes[0].saturating_add(connection.bytes[1])), theme.dim),
                RETRANSMISSIONS => {
                    (text::thousands(connection.retransmissions), alarm(connection.retransmissions))
                }
                GAPS => (text::thousands(connection.gaps), alarm(connection.gaps)),
                REASON => (text::escape(&why(connection)).into_owned(), theme.dim),
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(Row { marked: false, logged: false, sign: None, cells })
    }

    fn row_text(&self, cx: &Context, at: usize) -> String {
        let connection = self.rows.ids.get(at).and_then(|id| cx.connections.get(*id));
        connection.map_or_else(String::new, |c| {
            format!(
                "{} {} {} {} {} {} {} {}",
                c.client,
                c.server,
                cx.names.file_address(&c.caller_address()),
                cx.names.address(&c.server),
                c.protocol.unwrap_or_default(),
                c.state,
                why(c),
                tls(c)
            )
        })
    }

    fn thing(&self, cx: &Context) -> Option<Only> {
        let connection = self.selected(cx)?;
        Some(Only::Connection {
            ends: [connection.client, connection.server],
            packets: (connection.first_packet, connection.last_packet),
        })
    }

    fn sentence(&self, cx: &Context) -> Sentence {
        let Some(connection) = self.selected(cx) else { return Sentence::default() };
        let why = why(connection);
        let after = |text: String| if text.is_empty() { text } else { format!("; {text}") };
        let (tls, why) = (after(tls(connection)), after(why));
        let matching = cx.filtered.as_ref().map_or_else(String::new, |filtered| {
            format!(", {} pass the filter", text::thousands(filtered.calls(connection) as u64))
        });
        let line = format!(
            "{} connection {} → {}, {} from packet {} to {}: {}, {} failed{matching}; {}, {}{tls}{why}.",
            connection.network.name(),
            connection.client,
            connection.server,
            connection.state,
            connection.first_packet,
            connection.last_packet,
            text::counted(connection.calls, "call"),
            text::thousands(connection.failed),
            text::counted(connection.retransmissions, "retransmission"),
            text::counted(connection.gaps, "gap"),
        );
        Sentence::from(text::escape(&line).into_owned())
    }

    fn why_empty(&self, cx: &Context) -> Vec<String> {
        let hidden = cx.connections.all().len() as u64;
        if hidden > 0 {
            return vec![
                format!("no call of {} passes the filter", text::counted(hidden, "connection")),
                cx.widen(""),
            ];
        }
        let yet = if cx.ended { "" } else { " yet" };
        let packets = text::counted(cx.progress.packets, "packet");
        vec![format!("no TCP or UDP connections{yet}: {packets} seen")]
    }

    fn hidden(&self, cx: &Context) -> Option<(usize, &'static str)> {
        let hidden = cx.connections.all().len().saturating_sub(self.len());
        cx.matcher.has_filter().then_some((hidden, ""))
    }

    fn evicted(&self, cx: &Context) -> u64 {
        cx.connections.evicted
    }
}

/// Why it is not decoded, or not all of it.
fn why(connection: &Connection) -> String {
    let beginning = connection.beginning();
    match connection.reason {
        Some(reason) if beginning.is_empty() => reason.to_owned(),
        Some(reason) => format!("{reason}; {beginning}"),
        None => beginning,
    }
}

/// What the handshake of its TLS shows.
fn tls(connection: &Connection) -> String {
    connection.tls.as_ref().map_or_else(String::new, |facts| facts.summary())
}

fn sort_key(connection: &Connection, column: Column, names: &Names) -> SortKey {
    match column {
        CLIENT => SortKey::Text(connection.caller_address().to_string()),
        SERVER => SortKey::Text(names.address(&connection.server)),
        PROTOCOL => SortKey::Text(connection.protocol.unwrap_or_default().to_owned()),
        STATE => SortKey::Text(connection.state.name().to_owned()),
        CALLS => SortKey::Number(connection.calls.into()),
        FAILED => SortKey::Number(connection.failed.into()),
        PACKETS => SortKey::Number(connection.packets.into()),
        BYTES => SortKey::Number(i128::from(connection.bytes[0]) + i128::from(connection.bytes[1])),
        RETRANSMISSIONS => SortKey::Number(connection.retransmissions.into()),
        GAPS => SortKey::Number(connection.gaps.into()),
        _ => SortKey::Text(why(connection)),
    }
}
