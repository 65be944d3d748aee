//! What the screen shows, view by view and size by size.

use crossterm::event::KeyCode;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::render;
use crate::calls::Class;
use crate::tui::keys::Key;
use crate::tui::state::State;
use crate::tui::state::testing::{call, failed, give, settle, state};
use crate::tui::{Progress, Update};

/// The screen as text, without the spaces at the ends of lines.
pub(super) fn screen(state: &State) -> String {
    let mut terminal = Terminal::new(TestBackend::new(state.width, state.height)).unwrap();
    terminal.draw(|frame| render(frame, state)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            // The second cell of a wide character is empty.
            if skip == 0 {
                line.push_str(symbol);
                skip = crate::text::width(symbol).max(1);
            }
            skip -= 1;
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The screens of all sizes, one below the other.
fn screens(make: impl Fn(u16, u16) -> State) -> String {
    SIZES.map(|(width, height)| format!("{width}x{height}\n{}", screen(&make(width, height)))).join("\n")
}

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (100, 24), (200, 50)];

fn keys(state: &mut State, keys: &str) {
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        state.key(Key { code, control: false });
        settle(state);
    }
}

/// Forty calls of two methods with every kind of failure.
fn mixed(width: u16, height: u16) -> State {
    let mut state = state(width, height);
    let calls = (0..40).map(|n| {
        let mut call = match n % 8 {
            3 => failed(n, Class::Business, 4041, &format!("no stock of sku {n}")),
            5 => failed(n, Class::Rpc, 6, "biz error: no stock"),
            6 => failed(n, Class::Transport, 0, ""),
            7 => failed(n, Class::Unanswered, 0, ""),
            _ => call(n),
        };
        if n % 8 == 3 {
            call.service = Some("StockService".into());
            call.method = Some("Reserve".into());
        }
        call.latency = Some(1_000_000 + n * n * 10_000).filter(|_| n % 8 < 6);
        call
    });
    give(&mut state, calls);
    state.receive(Update::Progress(Progress {
        read: Some((300, 400)),
        packets: 12_340,
        bytes: 4_100_000,
        drops: 7,
        gaps: 0,
    }));
    state
}

#[test]
fn calls() {
    insta::assert_snapshot!(screens(mixed));
}

#[test]
fn errors() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        keys(&mut state, "2");
        state
    }));
}

#[test]
fn services() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        keys(&mut state, "3");
        state
    }));
}
