//! Chains: how keys lead to them and back, and how the filter acts on them.

use crossterm::event::KeyCode;

use super::testing::{self, call, chain, failed, keys, press, send, settle, state};
use super::{Effect, State};
use crate::calls::Class;
use crate::calls::record::{Connection, ConnectionState};
use crate::decode::Endpoint;
use crate::tui::Update;
use crate::tui::views::{View as _, ViewId};

/// Two chains of a root and a callee that failed, one with code 5, one with 7, and a call that is alone.
fn linked() -> State {
    let mut state = state(80, 24);
    let mut chains = Vec::new();
    for (n, code) in [(0, 5), (2, 7)] {
        let mut cause = failed(n, Class::Business, code, "no row");
        cause.service = Some("stock.Stock".into());
        cause.callee = Some("stock".into());
        let mut root = failed(n + 1, Class::Rpc, 6, "biz error: no row");
        root.callee = Some("order".into());
        send(&mut state, [cause.clone(), root.clone()]);
        chains.push(chain(root, cause));
    }
    send(&mut state, [call(9)]);
    state.receive(Update::Chains(chains));
    state.receive(Update::Connections(Vec::new()));
    settle(&mut state);
    state
}

fn shown(state: &State) -> Option<i64> {
    state.detail.as_ref().and_then(|detail| detail.call.outcome.code)
}

#[test]
fn a_chain_is_one_key_away_from_everywhere_and_esc_returns_there() {
    for view in ["1kk", "2", "3", "5s", "5v", "5vj"] {
        let mut state = linked();
        keys(&mut state, view);
        let from = state.view_id;
        keys(&mut state, "c");
        assert_eq!(state.view_id, ViewId::Chains, "{view}");
        assert!(state.views.chains.selected(&state.cx).is_some(), "{view}");
        press(&mut state, KeyCode::Esc);
        assert_eq!(state.view_id, from, "{view}");
    }
    let mut state = linked();
    keys(&mut state, "1kk\nc");
    assert_eq!((state.view_id, state.detail.is_none()), (ViewId::Chains, true));
    keys(&mut state, "\n");
    assert!(state.detail.is_some());
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view_id, state.detail.is_none()), (ViewId::Chains, true));
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view_id, shown(&state)), (ViewId::Calls, Some(7)), "the call in full is back");
}

#[test]
fn the_origin_is_one_key_away_and_esc_returns() {
    let mut state = linked();
    keys(&mut state, "1k");
    assert!(matches!(press(&mut state, KeyCode::Char('O')), Some(Effect::ReadPackets(_))));
    assert_eq!(shown(&state), Some(7));
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view_id, shown(&state)), (ViewId::Calls, None));
    keys(&mut state, "\n");
    assert_eq!(shown(&state), Some(6));
    keys(&mut state, "O");
    assert_eq!(shown(&state), Some(7));
    keys(&mut state, "O");
    assert!(state.notice.as_deref().unwrap().contains("began here"));
    assert!(
        matches!(press(&mut state, KeyCode::Esc), Some(Effect::ReadPackets(_))),
        "its packets are still to be read"
    );
    assert_eq!(shown(&state), Some(6));
    press(&mut state, KeyCode::Esc);
    assert_eq!(shown(&state), None);
    keys(&mut state, "GO");
    assert!(state.notice.is_some(), "a call that is ok has no origin");
}

#[test]
fn changes_lead_to_an_example_and_edges_to_their_calls() {
    let mut state = linked();
    keys(&mut state, "5s");
    assert_eq!((state.view_id, state.views.changes.turns.len()), (ViewId::Changes, 2));
    keys(&mut state, "j\n");
    let example = state.views.chains.selected(&state.cx).map(|(chain, hop)| chain.hops[hop].call.uid);
    assert_eq!(
        (state.view_id, example),
        (ViewId::Chains, state.views.changes.selected().map(|turn| turn.example))
    );
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view_id, state.views.changes.list().selected), (ViewId::Changes, 1));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view_id, ViewId::Chains);
    keys(&mut state, "sv");
    assert_eq!(state.views.graph.edges.len(), 2, "from outside to order, and from there to stock");
    keys(&mut state, "G\n");
    assert_eq!((state.view_id, state.views.calls.len()), (ViewId::Calls, 2));
    assert!(state.cx.only_label().unwrap().contains("order → stock"));
    // Another such call comes, and its chain after it.
    let mut cause = failed(20, Class::Business, 9, "no row");
    cause.callee = Some("stock".into());
    let mut root = failed(21, Class::Rpc, 6, "");
    root.callee = Some("order".into());
    send(&mut state, [cause.clone(), root.clone()]);
    state.receive(Update::Chains(vec![chain(root, cause)]));
    state.refresh();
    settle(&mut state);
    assert_eq!(state.views.calls.len(), 3);
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view_id, state.views.calls.len()), (ViewId::Graph, 7));
}

#[test]
fn the_cursor_never_rests_between_two_chains() {
    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let mut state = linked();
    keys(&mut state, "5");
    // Root and callee, the gap, root and callee; the first row is in the fourth line.
    for (row, hop) in [(3, 0), (4, 1), (5, 1), (6, 0), (7, 1)] {
        let kind = MouseEventKind::Down(MouseButton::Left);
        let click = MouseEvent { kind, column: 9, row, modifiers: KeyModifiers::NONE };
        state.mouse(click, std::time::Instant::now());
        let selected = state.views.chains.selected(&state.cx).map(|(_, hop)| hop);
        assert_eq!(selected, Some(hop), "a click on line {row}");
    }
    keys(&mut state, "gjj");
    assert_eq!(state.views.chains.selected(&state.cx).map(|(_, hop)| hop), Some(0), "down over the gap");
    keys(&mut state, "k");
    assert_eq!(state.views.chains.selected(&state.cx).map(|(_, hop)| hop), Some(1), "and up again");
}

#[test]
fn sorting_shows_the_top_of_the_order_in_every_view() {
    let mut state = linked();
    for view in ["1", "2", "3", "5v"] {
        keys(&mut state, view);
        keys(&mut state, "Gs");
        assert_eq!(state.view().list().selected, 0, "{view}");
        assert!(state.view().list().sort.is_some(), "{view}");
    }
}

#[test]
fn the_filter_acts_on_chains_and_connections_too() {
    let mut state = linked();
    let ends = state.views.calls.selected(&state.cx).unwrap().1.clone();
    let connection = |first, last, port| Connection {
        last_packet: last,
        client: Endpoint { port, ..ends.client },
        server: ends.server,
        ..testing::connection(first, ConnectionState::Open)
    };
    let port = ends.client.port;
    // The same ports twice, one after the other, and another connection.
    state.receive(Update::Connections(vec![
        connection(1, 4, port),
        connection(5, 30, port),
        connection(2, 30, port + 1),
    ]));
    keys(&mut state, "4");
    assert_eq!(state.views.connections.rows.ids.len(), 3);
    keys(&mut state, "fcode == 7\n");
    assert_eq!(state.views.connections.rows.ids, [5]);
    keys(&mut state, "5");
    assert_eq!((state.views.chains.len(), state.cx.chains.hidden), (2, 1));
    let screen = crate::tui::render::tests::screen(&state);
    let marked: Vec<_> = screen.lines().filter(|line| line.starts_with('▸')).collect();
    assert!(matches!(marked[..], [only] if only.contains("7 no row")), "{screen}");
    keys(&mut state, "s");
    assert_eq!(state.views.changes.turns.len(), 1);
    keys(&mut state, "5v");
    assert_eq!(state.views.graph.edges.iter().map(|edge| edge.traffic.calls).sum::<u64>(), 2);
    keys(&mut state, "5");
    state.receive(Update::Chains(vec![chain(
        failed(31, Class::Rpc, 6, ""),
        failed(30, Class::Business, 5, ""),
    )]));
    assert_eq!((state.views.chains.len(), state.cx.chains.hidden), (2, 2), "and on chains that come");
    keys(&mut state, "a5");
    assert_eq!((state.views.chains.len(), state.cx.chains.hidden), (8, 0));
    keys(&mut state, "4");
    assert_eq!(state.views.connections.rows.ids.len(), 3);
}
