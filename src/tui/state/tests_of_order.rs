//! Rows are in the order of time, whatever the order in which calls are decided.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::State;
use super::testing::{START, call, failed, keys, send, settle, state};
use crate::calls::{Call, Class};
use crate::time::Timestamp;
use crate::tui::Update;
use crate::tui::keys::Key;
use crate::tui::views::View as _;

/// The `n`th call in the order of decisions, which began `ms` milliseconds after the first.
fn began(n: u64, ms: i64) -> Call {
    let mut call = call(n);
    call.start = Timestamp(START + ms * 1_000_000);
    call.end = Timestamp(call.start.0.max(START + 60_000_000_000));
    call
}

fn times(state: &State) -> Vec<i64> {
    let calls = &state.views.calls;
    let entry = |row| state.cx.store.get(calls.serial(row).unwrap()).unwrap();
    (0..calls.len()).map(|row| (entry(row).call.start.0 - START) / 1_000_000).collect()
}

fn selected(state: &State) -> u64 {
    state.views.calls.selected(&state.cx).unwrap().1.uid.packet / 2
}

/// A file that is being read.
fn file() -> State {
    let mut state = state(80, 24);
    (state.cx.is_endless, state.views.calls.follow) = (false, false);
    state
}

#[test]
fn a_file_opens_at_its_beginning_and_stays_there() {
    let mut state = file();
    send(&mut state, [began(0, 500), began(1, 300), began(2, 700)]);
    assert_eq!((times(&state), selected(&state)), (vec![300, 500, 700], 1));
    // A long call that began before all others is decided last.
    send(&mut state, [began(3, 0), began(4, 600)]);
    assert_eq!(times(&state), [0, 300, 500, 600, 700]);
    assert_eq!((selected(&state), state.views.calls.list.top), (3, 0), "still the beginning");
    assert!(state.views.calls.position(&state.cx).is_none());
}

#[test]
fn calls_that_come_before_the_selected_one_do_not_move_it() {
    let mut state = file();
    send(&mut state, (0..100).map(|n| began(n, 1_000 + n as i64 * 10)));
    keys(&mut state, "jjj");
    let on_screen = |state: &State| state.views.calls.list.selected - state.views.calls.list.top;
    let before = (selected(&state), on_screen(&state));
    for n in 0..50 {
        send(&mut state, [began(100 + n, n as i64), began(200 + n, 5_000), began(300 + n, 1_025)]);
        assert_eq!((selected(&state), on_screen(&state)), before);
    }
    assert!(times(&state).is_sorted());
    assert_eq!(state.views.calls.len(), 250);
}

#[test]
fn live_calls_are_followed_at_the_end_of_time() {
    let mut state = state(80, 24);
    send(&mut state, [began(0, 900), began(1, 100)]);
    assert_eq!(selected(&state), 0, "the newest");
    send(&mut state, [began(2, 950), began(3, 10)]);
    assert_eq!(selected(&state), 2);
    // The page of a call stops that, and its row stays its own.
    keys(&mut state, "\n");
    state.key(Key { code: KeyCode::Enter, control: false, shift: false });
    send(&mut state, [began(4, 20), began(5, 990)]);
    assert_eq!(selected(&state), 2);
}

#[test]
fn the_order_of_time_comes_back_after_another_one_and_a_filter() {
    let mut state = file();
    send(&mut state, [began(0, 500), began(1, 300), began(2, 700)]);
    keys(&mut state, "hhhs");
    assert_eq!(state.views.calls.list.sort.map(|(column, _)| column.head), Some("latency"));
    send(&mut state, [began(3, 100)]);
    keys(&mut state, "ss");
    assert_eq!(times(&state), [100, 300, 500, 700]);
    let mut bad = failed(4, Class::Rpc, 6, "");
    bad.start = Timestamp(START + 400_000_000);
    send(&mut state, [bad]);
    keys(&mut state, "e");
    assert_eq!(selected(&state), 4);
    keys(&mut state, "o");
    assert_eq!((times(&state), selected(&state)), (vec![400], 4));
    keys(&mut state, "o");
    assert_eq!((times(&state), selected(&state)), (vec![100, 300, 400, 500, 700], 4));
}

#[test]
fn the_spike_is_one_key_away_and_again_the_next_one() {
    let mut state = file();
    let bad = |n: u64, ms: i64| {
        let mut call = failed(n, Class::Rpc, 6, "");
        call.start = Timestamp(START + ms * 1_000_000);
        call
    };
    send(&mut state, (0..100).map(|n| began(n, n as i64 * 1_000)));
    send(&mut state, [bad(200, 20_500), bad(201, 70_200), bad(202, 70_300), bad(203, 70_400)]);
    let mut seen = Vec::new();
    for _ in 0..3 {
        keys(&mut state, "S");
        seen.push(selected(&state));
    }
    assert_eq!(seen, [201, 200, 201]);
    assert!(
        state.notice.as_deref().unwrap().starts_with("peak 1 of 2: 3 failed calls in"),
        "{:?}",
        state.notice
    );
    // From another view; a class that is switched off has no spike.
    keys(&mut state, "j3S");
    assert_eq!(selected(&state), 201);
    keys(&mut state, "rS");
    assert_eq!(state.notice.as_deref(), Some("no failed calls here"));
    keys(&mut state, "r");
    // A click goes to the calls of its column.
    let columns = state.strip();
    let part = columns.parts.iter().position(|part| crate::tui::timeline::failed(part) > 0).unwrap();
    let column = crate::tui::render::STRIP_LABEL + part as u16;
    let kind = MouseEventKind::Down(MouseButton::Left);
    let click = MouseEvent { kind, column, row: 3, modifiers: KeyModifiers::NONE };
    state.mouse(click, std::time::Instant::now());
    let (from, to) = columns.span(part);
    let start = state.views.calls.selected(&state.cx).unwrap().1.start;
    assert!((from..to).contains(&start));
    assert_eq!(state.selected_part(&columns), Some(part));
}

#[test]
fn dates_are_shown_on_demand_and_where_the_calls_are_of_several_days() {
    let mut state = file();
    send(&mut state, [began(0, 0)]);
    let shown = |state: &State| {
        let screen = crate::tui::render::tests::screen(state);
        (
            screen.contains("01:34:09.120"),
            screen.contains("01-02 01:34:09.120"),
            screen.contains("01-03 01:34:09.120"),
        )
    };
    assert_eq!(shown(&state), (true, false, false));
    keys(&mut state, "T");
    assert_eq!(shown(&state), (true, true, false));
    keys(&mut state, "TTT");
    assert_eq!(state.cx.time, crate::sink::TimeFormat::Local);
    state.cx.time = crate::sink::TimeFormat::Utc;
    send(&mut state, [began(1, 86_400_000)]);
    assert_eq!(shown(&state), (true, true, true));
}

#[test]
fn a_file_without_packets_is_nothing_to_show_but_a_silent_interface_is() {
    let mut state = file();
    state.receive(Update::Ended);
    assert!(state.is_void());
    state.cx.is_endless = true;
    assert!(!state.is_void());
    state.receive(Update::Trouble("the interface is gone".to_owned()));
    assert!(state.is_void());
    state.cx.progress.packets = 1;
    assert!(!state.is_void());
}

#[test]
fn errors_and_logs_have_dates_where_calls_do_and_lines_of_other_days_too() {
    use crate::logs::NoCall;
    use crate::tui::render::tests::screen;
    use crate::tui::{Logged, LoggedLine};

    for (width, height) in [(80, 24), (200, 50)] {
        let mut state = state(width, height);
        let later = |n: u64, days: i64| {
            let mut call = failed(n, Class::Rpc, 6, "no row");
            call.start = Timestamp(call.start.0 + days * 86_400_000_000_000);
            call.end = call.start;
            call
        };
        let line = |days: i64| LoggedLine {
            place: "a.log:1".to_owned(),
            text: "no row".to_owned(),
            error_at: 0,
            time: Some(Timestamp(START + days * 86_400_000_000_000)),
            told: Err(NoCall::Before),
        };
        send(&mut state, [later(0, 0)]);
        let logged = |days| Update::Logged(Arc::new(Logged::new(vec![line(days)], 0, Vec::new())));
        state.receive(logged(0));
        keys(&mut state, "2");
        assert!(!screen(&state).contains("01-02 01:34"), "one day");
        keys(&mut state, "L");
        assert!(!screen(&state).contains("01-02 01:34"), "one day");
        state.receive(logged(3));
        settle(&mut state);
        assert!(screen(&state).contains("01-05 01:34:09.120"), "{}", screen(&state));
        send(&mut state, [later(1, 2)]);
        keys(&mut state, "2");
        let errors = screen(&state);
        assert!(errors.contains("01-04 01:34:09.125"), "{errors}");
        assert_eq!(errors.contains("01-02 01:34:09.120"), width > 120, "{errors}");
    }
}

#[test]
fn no_time_since_another_is_negative() {
    use crate::sink::TimeFormat;
    use crate::tui::render::tests::screen;

    let mut state = state(80, 24);
    let slow = |n: u64, ms: u64| {
        let mut call = call(n);
        call.latency = Some(ms * 1_000_000);
        call
    };
    send(&mut state, [slow(0, 5), slow(1, 9), slow(2, 1), slow(3, 7)]);
    state.cx.time = TimeFormat::Delta;
    assert_eq!(screen(&state).matches("0.005000").count(), 3, "{}", screen(&state));
    // Sorted by latency, rows do not follow each other.
    keys(&mut state, "hhhs");
    let sorted = screen(&state);
    assert!(!sorted.contains(" -0.") && sorted.contains("0.005000"), "{sorted}");
}
