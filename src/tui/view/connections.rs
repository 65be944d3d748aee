//! The Connections view.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{line, table};
use crate::calls::record::ConnectionState;
use crate::text;
use crate::tui::columns::Column;
use crate::tui::keys::View;
use crate::tui::state::State;

pub(super) fn render(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let placed = state.columns(View::Connections);
    let theme = &state.theme;
    let order = &state.connection_rows.order;
    if order.is_empty() {
        line::middle(frame.buffer_mut(), area, &why_empty(state), theme.dim);
    }
    let list = &state.connection_rows.list;
    table::render(frame.buffer_mut(), area, state, list, &placed, order.len(), |at| {
        let connection = state.connections.all().get(*order.get(at)? as usize)?;
        let some = |n: u64| if n == 0 { theme.dim } else { theme.alarm };
        let cells = placed
            .iter()
            .map(|place| match place.column {
                Column::Protocol => match connection.protocol {
                    Some(name) => (text::escape(name).into_owned(), theme.strong),
                    None => ("—".to_owned(), theme.dim),
                },
                Column::Client => (connection.client.to_string(), Style::new()),
                Column::Server => {
                    (text::escape(&state.names.address(&connection.server)).into_owned(), Style::new())
                }
                Column::State => {
                    let broken =
                        matches!(connection.state, ConnectionState::Reset | ConnectionState::Refused);
                    (connection.state.name().to_owned(), if broken { theme.alarm } else { Style::new() })
                }
                Column::Calls => (text::thousands(connection.calls), Style::new()),
                Column::Failed => (text::thousands(connection.failed), some(connection.failed)),
                Column::Packets => (text::thousands(connection.packets), theme.dim),
                Column::Bytes => {
                    (text::bytes(connection.bytes[0].saturating_add(connection.bytes[1])), theme.dim)
                }
                Column::Retransmissions => {
                    (text::thousands(connection.retransmissions), some(connection.retransmissions))
                }
                Column::Gaps => (text::thousands(connection.gaps), some(connection.gaps)),
                Column::Reason => {
                    (text::escape(connection.reason.unwrap_or_default()).into_owned(), theme.dim)
                }
                _ => (String::new(), Style::new()),
            })
            .collect();
        Some(table::Row { marked: false, sign: None, cells })
    });
}

fn why_empty(state: &State) -> Vec<String> {
    let hidden = state.connections.all().len() as u64;
    if hidden > 0 {
        return vec![
            format!("the filter lets no call of {} through", text::counted(hidden, "connection")),
            "a shows all, f changes the filter".to_owned(),
        ];
    }
    let yet = if state.ended { "" } else { " yet" };
    let packets = text::counted(state.progress.packets, "packet");
    vec![format!("no TCP or UDP connections{yet}: {packets} seen")]
}
