//! What keys and updates do to the state.

use crossterm::event::KeyCode;

use super::bodies::{Bodies, Manner};
use super::testing::{call, chain, failed, hundred, keys, press, send, settle, state};
use super::{Effect, State};
use crate::body::{Decoded, Value};
use crate::calls::{Call, Class};
use crate::tui::Update;
use crate::tui::keys::Key;
use crate::tui::views::{View as _, ViewId};

fn selected(state: &State) -> u64 {
    state.views.calls.selected(&state.cx).unwrap().1.uid.packet / 2
}

#[test]
fn the_list_follows_the_end_until_the_cursor_moves() {
    let mut state = hundred();
    assert_eq!(selected(&state), 99);
    send(&mut state, [call(100)]);
    assert_eq!(selected(&state), 100);
    keys(&mut state, "k");
    let top = state.views.calls.list.top;
    send(&mut state, (101..200).map(call));
    assert_eq!((selected(&state), state.views.calls.list.top), (99, top), "nothing moves under the cursor");
    keys(&mut state, "G");
    send(&mut state, [call(200)]);
    assert_eq!(selected(&state), 200);
}

#[test]
fn errors_are_one_key_apart_and_go_round() {
    let mut state = hundred();
    keys(&mut state, "e");
    assert_eq!(selected(&state), 5);
    keys(&mut state, "e");
    assert_eq!(selected(&state), 15);
    keys(&mut state, "EE");
    assert_eq!(selected(&state), 95);
    assert!(state.notice.is_some(), "it says that it went round");
    assert!(matches!(press(&mut state, KeyCode::Enter), Some(Effect::ReadPackets(_))));
    assert_eq!(state.detail.as_ref().unwrap().failure, Some((10, 10)));
    assert!(
        matches!(press(&mut state, KeyCode::Char('e')), Some(Effect::ReadPackets(call)) if call.failed())
    );
    press(&mut state, KeyCode::Esc);
    assert_eq!(selected(&state), 5, "the list is where the detail was");
}

#[test]
fn a_filter_acts_while_it_is_typed_and_can_be_given_up() {
    let mut state = hundred();
    keys(&mut state, "fclass == business");
    assert_eq!(state.views.calls.len(), 5);
    keys(&mut state, " an");
    assert!(state.prompt.as_ref().unwrap().error.is_some());
    assert_eq!(state.views.calls.len(), 5, "with a mistake the last good one acts");
    press(&mut state, KeyCode::Enter);
    assert!(state.prompt.is_some(), "a line with a mistake is not done");
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.views.calls.len(), 100);
    keys(&mut state, "fclass == rpc\n");
    assert_eq!((state.views.calls.len(), state.views.calls.hidden_calls(&state.cx.store)), (5, 95));
    keys(&mut state, "2");
    assert_eq!(state.views.errors.rows.ids.len(), 1, "the filter acts on the groups too");
    send(&mut state, [failed(100, Class::Rpc, 6, "biz error: x"), call(101)]);
    assert_eq!(state.views.calls.len(), 6, "and on calls that come");
    keys(&mut state, "a");
    assert_eq!(state.views.calls.len(), 102);
    keys(&mut state, "f");
    press(&mut state, KeyCode::Up);
    assert_eq!(state.prompt.as_ref().unwrap().text(), "class == rpc", "history");
}

#[test]
fn the_cursor_stays_on_its_call_when_the_filter_changes() {
    let mut state = hundred();
    keys(&mut state, "eee");
    assert_eq!(selected(&state), 25);
    keys(&mut state, "o");
    assert_eq!((state.views.calls.len(), selected(&state)), (10, 25));
    keys(&mut state, "b");
    assert_eq!(state.views.calls.len(), 5);
    keys(&mut state, "ob");
    assert_eq!(state.views.calls.len(), 100);
}

#[test]
fn cells_become_filters() {
    let mut state = hundred();
    keys(&mut state, "e");
    // The cursor is on the method; the verdict is the next column.
    press(&mut state, KeyCode::Right);
    keys(&mut state, "=");
    assert_eq!(state.cx.matcher.text(), "class == business and code == 4041");
    assert_eq!(state.views.calls.len(), 5);
    keys(&mut state, "a!");
    assert_eq!(state.cx.matcher.text(), "(class != business or code != 4041)");
    assert_eq!(state.views.calls.len(), 95);
    for _ in 0..9 {
        press(&mut state, KeyCode::Left);
    }
    for _ in 0..5 {
        keys(&mut state, "aeG=");
        assert!(state.prompt.is_none() && state.views.calls.len() > 0, "{}", state.cx.matcher.text());
        press(&mut state, KeyCode::Right);
    }
}

#[test]
fn groups_and_methods_open_their_calls_and_esc_goes_back() {
    let mut state = hundred();
    keys(&mut state, "2");
    assert_eq!(state.views.errors.rows.ids.len(), 2);
    keys(&mut state, "\n");
    assert_eq!((state.view_id, state.views.calls.len()), (ViewId::Calls, 5));
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.view_id, state.views.calls.len()), (ViewId::Errors, 100));
    keys(&mut state, "3\n");
    assert_eq!((state.view_id, state.views.calls.len()), (ViewId::Calls, 100));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view_id, ViewId::Services);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view_id, ViewId::Calls);
    keys(&mut state, "F");
    assert_eq!(state.views.calls.len(), 100, "all on one connection");
    keys(&mut state, "2F");
    assert_eq!(
        (state.view_id, state.views.calls.len()),
        (ViewId::Calls, 100),
        "the connection of the newest such error"
    );
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view_id, ViewId::Errors);
}

#[test]
fn a_pause_holds_the_screen_and_loses_nothing() {
    let mut state = hundred();
    keys(&mut state, " ");
    send(&mut state, (100..150).map(call));
    assert_eq!((state.views.calls.len(), state.waiting_calls()), (100, 50));
    keys(&mut state, " ");
    assert_eq!((state.views.calls.len(), state.waiting_calls()), (150, 0));
}

#[test]
fn a_filter_for_bodies_that_were_not_read_says_so() {
    let mut state = state(80, 24);
    state.cx.ended = true;
    keys(&mut state, "freq.x == 1\n");
    assert!(state.prompt.is_none() && !state.begin_bodies());
    assert!(state.notice.as_ref().is_some_and(|line| line.contains("bodies were not read")));
    keys(&mut state, "f");
    assert_eq!(state.notice, None);
    press(&mut state, KeyCode::Esc);
    state.cx.bodies = Bodies::Read;
    keys(&mut state, "f and resp.x == 1\n");
    assert_eq!(state.notice, None);
}

/// The same call, with a request whose field x is `x`.
fn with_body(mut call: Call, x: i64) -> std::sync::Arc<Call> {
    let value = Value::Object(vec![("x".to_owned(), Value::Int(x))]);
    let message =
        Decoded { value, unknown: None, type_name: None, guessed: false, notes: Vec::new(), exception: None };
    let mut bodies = crate::payload::Bodies::default();
    bodies.payload.request.push(message);
    call.bodies = Some(Box::new(bodies));
    std::sync::Arc::new(call)
}

#[test]
fn a_filter_for_bodies_of_a_file_has_it_read_again_when_it_has_been_read() {
    let mut state = hundred();
    state.receive(Update::Chains(vec![chain(call(3), call(4))]));
    state.cx.bodies = Bodies::Unread(Manner::Again);
    keys(&mut state, "freq.x == 7\n");
    assert!(!state.begin_bodies(), "calls still come");
    assert_eq!((state.cx.bodies.percent(), state.views.calls.len()), (Some(0), 0));
    keys(&mut state, " ");
    send(&mut state, [call(100)]);
    state.receive(Update::Ended);
    assert!(!state.begin_bodies(), "calls wait for the end of the pause");
    keys(&mut state, " ");
    assert!(state.begin_bodies() && !state.begin_bodies(), "once");
    let before = state.cx.store.bytes();
    let batch = |calls: Vec<std::sync::Arc<Call>>, read| crate::tui::BodyBatch {
        calls,
        read: Some((read, 200)),
        trouble: None,
    };
    state.bodies_came(batch(vec![with_body(call(4), 7), with_body(call(100), 7)], 90));
    assert_eq!(state.cx.bodies.percent(), Some(45));
    // Another call in its place, and one that is not there: the file has changed.
    let other = failed(5, Class::Rpc, 6, "");
    state.bodies_came(batch(vec![with_body(call(9), 8), with_body(other, 7), with_body(call(700), 7)], 200));
    state.bodies_ended();
    settle(&mut state);
    assert_eq!((state.cx.bodies.percent(), state.views.calls.len()), (None, 2));
    assert_eq!((state.cx.chains.held(), state.cx.chains.hidden), (1, 0), "chains have the calls with bodies");
    assert!(state.cx.store.bytes() > before, "bodies take memory");
    let line = state.notice.clone().unwrap();
    assert!(line.contains("bodies of 3 calls") && line.contains("2 calls are not as they were"), "{line}");
    keys(&mut state, "f or req.x == 8\n");
    assert!(!state.begin_bodies(), "they are there now");
}

#[test]
fn a_filter_for_bodies_that_can_not_be_read_again_reads_them_from_then_on() {
    let mut state = state(80, 24);
    send(&mut state, [call(0)]);
    keys(&mut state, "freq.x == 7\n");
    let line = state.notice.clone().unwrap();
    assert!(line.contains("from 01:34:09.123") && line.contains("before have none"), "{line}");
    assert!(line.len() < 80, "{line}");
    assert!(state.begin_bodies() && !state.begin_bodies());
    state.receive(Update::Calls(vec![with_body(call(1), 7), with_body(call(2), 8)]));
    settle(&mut state);
    assert_eq!((state.views.calls.len(), selected(&state)), (1, 1));
}

#[test]
fn a_pause_ends_before_the_memory_does() {
    let mut state =
        State::new(String::new(), 1 << 20, crate::sink::TimeFormat::Utc, crate::tui::Colors::None);
    state.resize(80, 24);
    keys(&mut state, " ");
    send(&mut state, (0..1_000).map(call));
    assert!(!state.paused && state.waiting_calls() == 0 && state.notice.is_some());
}

#[test]
fn sorted_lists_keep_their_order_as_calls_come() {
    let mut state = state(80, 24);
    let slow = |n: u64, ms: u64| {
        let mut call = call(n);
        call.latency = Some(ms * 1_000_000);
        call
    };
    send(&mut state, [slow(0, 5), slow(1, 9), slow(2, 1)]);
    keys(&mut state, "hhh");
    keys(&mut state, "s");
    let order = |state: &State| -> Vec<u64> {
        (0..state.views.calls.len()).map(|r| state.views.calls.serial(r).unwrap()).collect()
    };
    assert_eq!(order(&state), [1, 0, 2], "slow ones first");
    keys(&mut state, "j");
    send(&mut state, [slow(3, 7), slow(4, 100)]);
    state.refresh();
    assert_eq!(order(&state), [4, 1, 3, 0, 2]);
    assert_eq!(selected(&state), 0, "the cursor stays on its call");
    keys(&mut state, "s");
    assert_eq!(order(&state), [2, 0, 3, 1, 4]);
    keys(&mut state, "s");
    assert_eq!(order(&state), [0, 1, 2, 3, 4]);
}

#[test]
fn searching_marks_and_finds_in_every_list() {
    let mut state = hundred();
    keys(&mut state, "/NO STOCK\n");
    assert_eq!(selected(&state), 5);
    keys(&mut state, "n");
    assert_eq!(selected(&state), 15);
    keys(&mut state, "NN");
    assert_eq!(selected(&state), 95);
    keys(&mut state, "2g/biz error\n");
    assert_eq!(state.views.errors.rows.list.selected, 1);
    keys(&mut state, "/nowhere\n");
    assert_eq!(state.notice.as_deref(), Some("not found: nowhere"));
}

#[test]
fn a_million_calls_are_workable_and_evicted_within_the_memory() {
    let limit = 64 << 20;
    let mut state = State::new(String::new(), limit, crate::sink::TimeFormat::Utc, crate::tui::Colors::None);
    state.resize(80, 24);
    keys(&mut state, "k");
    for batch in 0..1_000_u64 {
        let calls = (batch * 1_000..(batch + 1) * 1_000).map(|n| match n % 1_000 {
            7 => failed(n, Class::Rpc, 6, &format!("biz error: no row for {n}")),
            _ => call(n),
        });
        state.receive(Update::Calls(calls.map(std::sync::Arc::new).collect()));
        state.work(std::time::Instant::now());
    }
    settle(&mut state);
    assert_eq!(state.cx.total.calls, 1_000_000);
    assert!(state.cx.store.bytes() <= limit);
    assert_eq!((state.cx.store.evicted_failed, state.cx.store.evicted > 900_000), (0, true));
    assert_eq!(state.views.calls.len(), state.cx.store.len());
    assert!(
        (0..state.views.calls.len()).all(|row| state
            .cx
            .store
            .get(state.views.calls.serial(row).unwrap())
            .is_some())
    );
    keys(&mut state, "fclass == rpc\n");
    assert_eq!(state.views.calls.len(), 1_000, "every failure is still there");
    keys(&mut state, "2");
    assert_eq!(state.views.errors.rows.ids.len(), 1, "one kind of error, whatever the number in its text");
}

#[test]
fn every_key_is_harmless_everywhere() {
    let all: Vec<Key> = crate::tui::keys::BINDINGS.iter().flat_map(|b| b.keys).copied().collect();
    for mut state in [state(60, 12), hundred()] {
        for first in &all {
            for second in &all {
                state.prompt = None;
                let _ = state.key(*first);
                settle(&mut state);
                let _ = state.key(*second);
                settle(&mut state);
            }
        }
    }
}

#[test]
fn the_mouse_scrolls_selects_opens_and_switches() {
    use std::time::{Duration, Instant};

    use crossterm::event::{KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
    let mut state = hundred();
    let start = Instant::now();
    let mut later = start;
    let mut mouse = |state: &mut State, kind, column, row, pause: u64| {
        later += Duration::from_millis(pause);
        let effect = state.mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }, later);
        settle(state);
        effect
    };
    let press = MouseEventKind::Down(MouseButton::Left);
    keys(&mut state, "g");
    mouse(&mut state, MouseEventKind::ScrollDown, 5, 5, 0);
    assert_eq!(selected(&state), 3);
    mouse(&mut state, MouseEventKind::ScrollUp, 5, 5, 0);
    assert_eq!(selected(&state), 0);
    // The first row is in the seventh line, below the strip.
    mouse(&mut state, press, 20, 11, 1_000);
    assert_eq!(selected(&state), 5);
    assert!(
        matches!(mouse(&mut state, press, 20, 11, 100), Some(Effect::ReadPackets(_))),
        "a double click opens"
    );
    keys(&mut state, "1");
    // Counters switch classes, tabs switch views.
    let biz = crate::tui::render::title_spots(&state)
        .into_iter()
        .find(|(_, action)| *action == crate::tui::keys::Action::Toggle(Class::Business))
        .map(|(span, _)| span.start);
    mouse(&mut state, press, biz.unwrap(), 0, 1_000);
    assert_eq!(state.views.calls.len(), 95);
    mouse(&mut state, press, 12, 1, 1_000);
    assert_eq!(state.view_id, ViewId::Errors);
    // The head of a column sorts; beyond the rows and on the rules nothing happens.
    keys(&mut state, "a1");
    mouse(&mut state, press, 17, 5, 1_000);
    assert_eq!(state.views.calls.list.sort.map(|(column, _)| column.head), Some("latency"));
    for row in 0..30 {
        for column in [0, 1, 79, 200] {
            mouse(&mut state, press, column, row, 1_000);
        }
    }
}

#[test]
fn lines_of_logs_lead_to_their_calls_and_follow_the_filter() {
    use crate::logs::NoCall;
    use crate::tui::{Logged, LoggedCall, LoggedLine};

    let mut state = hundred();
    let line = |state: &State, n: usize, told: Result<u64, NoCall>| LoggedLine {
        place: format!("a.log:{n}"),
        text: "no stock".to_owned(),
        error_at: 0,
        time: None,
        told: told.map(|serial| LoggedCall {
            call: state.cx.call(serial).unwrap(),
            why: Vec::new(),
            others: 0,
        }),
    };
    let send_lines = |state: &mut State, told: &[Result<u64, NoCall>]| {
        let lines = told.iter().enumerate().map(|(n, told)| line(state, n, *told)).collect();
        state.receive(Update::Logged(std::sync::Arc::new(Logged::new(lines, 0, Vec::new()))));
        settle(state);
    };
    send_lines(&mut state, &[Ok(5), Err(NoCall::NeverSent), Ok(15)]);
    keys(&mut state, "L");
    assert_eq!((state.view_id, state.view().len()), (ViewId::Logs, 3));
    keys(&mut state, "j\n");
    assert!(state.detail.is_none() && state.notice.clone().unwrap().contains("never reaches the wire"));
    keys(&mut state, "j");
    assert!(
        matches!(press(&mut state, KeyCode::Enter), Some(Effect::ReadPackets(call)) if call.uid.packet == 31)
    );
    let group = |state: &State| state.detail.as_ref().unwrap().tree[0].label.clone();
    assert_eq!(group(&state), "log");
    // Lines may come, change and go while the page is open.
    send_lines(&mut state, &[Ok(5)]);
    assert_ne!(group(&state), "log");
    send_lines(&mut state, &[Ok(5), Ok(15), Ok(15)]);
    assert_eq!((group(&state), state.detail.as_ref().unwrap().tree[0].children.len()), ("log".to_owned(), 2));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view_id, ViewId::Logs);
    send_lines(&mut state, &[Ok(5), Err(NoCall::Before), Ok(15)]);
    keys(&mut state, "fclass == rpc\n");
    assert_eq!(state.view().len(), 1);
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.view_id, ViewId::Calls);
}
