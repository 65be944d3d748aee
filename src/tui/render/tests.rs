//! Snapshots of the screen, for every view and several sizes.

use std::sync::Arc;

use crossterm::event::KeyCode;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::render;
use crate::calls::record::{Call, Class, Connection, ConnectionState, Finding};
use crate::chains::{Chain, Change, Evidence, Hop, Link, Origin, Reported, Rival};
use crate::tui::keys::Key;
use crate::tui::state::State;
use crate::tui::state::testing::{self, call, failed, send, settle, state};
use crate::tui::{Linking, Progress, Update};

/// The screen as text, without the spaces at the ends of lines.
pub(in crate::tui) fn screen(state: &State) -> String {
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
pub(super) fn screens(make: impl Fn(u16, u16) -> State) -> String {
    SIZES.map(|(width, height)| format!("{width}x{height}\n{}", screen(&make(width, height)))).join("\n")
}

const SIZES: [(u16, u16); 4] = [(60, 16), (80, 24), (100, 24), (200, 50)];

pub(super) fn keys(state: &mut State, keys: &str) {
    for c in keys.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        state.key(Key { code, control: false, shift: false });
        settle(state);
    }
}

/// Forty calls of two methods with every kind of failure.
pub(super) fn mixed(width: u16, height: u16) -> State {
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
    send(&mut state, calls);
    state.receive(Update::Progress(Progress {
        read: Some((300, 400)),
        packets: 12_340,
        bytes: 4_100_000,
        newest: None,
        drops: 7,
        gaps: 0,
        unwritten: 0,
        deleted: 0,
        shed: 0,
    }));
    state
}

#[test]
fn calls() {
    insta::assert_snapshot!(screens(mixed));
}

#[test]
fn a_line_of_a_log() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        keys(&mut state, "/");
        state.paste("2026/01/02 01:34:09 order.go:31: place failed: remote or network error[remote]: biz error: no stock\n");
        state
    }));
}

#[test]
fn the_call_of_a_line_of_a_log() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        keys(&mut state, "/");
        state.paste("2026/01/02 01:34:09 order.go:31: place failed: remote or network error[remote]: biz error: no stock\n");
        keys(&mut state, "\n");
        state
    }));
}

/// Lines of a log about some of the calls of [`mixed`], and one about none.
fn logged(state: &mut State) {
    use crate::logs::NoCall;
    use crate::tui::{Logged, LoggedCall, LoggedLine};

    let line = |number: u64, text: &str, about: Result<u64, NoCall>| {
        let of = |packet: u64| state.cx.store.entries().iter().find(|e| e.call.uid.packet == packet * 2 + 1);
        LoggedLine {
            place: format!("order.log:{number}"),
            text: format!("2026/01/02 01:34:09 order.go:31: {text}"),
            error_at: 33,
            time: Some(crate::time::Timestamp(testing::START + number as i64 * 1_000_000)),
            told: about.map(|packet| LoggedCall {
                call: Arc::clone(&of(packet).unwrap().call),
                why: vec!["text".to_owned(), "code".to_owned()],
                others: 2,
            }),
        }
    };
    let lines = vec![
        line(31, "remote or network error[remote]: biz error: no stock", Ok(37)),
        line(40, "place failed:\n\tremote or network error[remote]: biz error: no stock", Ok(37)),
        line(
            77,
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.9:80: connect: connection refused\"",
            Err(NoCall::NeverSent),
        ),
        line(90, "biz error: code=4041, msg=no stock of sku 35", Ok(35)),
    ];
    state.receive(Update::Logged(Arc::new(Logged::new(lines, 3, Vec::new()))));
    settle(state);
}

#[test]
fn calls_that_a_log_has_are_marked() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        logged(&mut state);
        state
    }));
}

#[test]
fn logs() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        logged(&mut state);
        keys(&mut state, "Ljj");
        state
    }));
}

#[test]
fn the_lines_of_a_call() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        logged(&mut state);
        keys(&mut state, "L\n");
        state
    }));
}

#[test]
fn without_a_log_its_view_says_how_to_have_one() {
    let mut state = mixed(80, 24);
    keys(&mut state, "L");
    assert!(screen(&state).contains("--log APP.log"));
    state.cx.logged = Some(Arc::new(crate::tui::Logged::waiting()));
    assert!(screen(&state).contains("the logs are read when the capture is"));
}

#[test]
fn reading_is_not_done_while_calls_are_linked() {
    for (width, linking) in [(110, "linking 151k of 157k  read\n"), (80, "linking 96%\n")] {
        let mut state = mixed(width, 24);
        // Calls that made room say so where there is room.
        state.cx.store.evicted = 35_000;
        let all_read = |linked| {
            let read = Update::Progress(Progress { read: Some((400, 400)), ..Progress::default() });
            [read, Update::Linking(Linking { linked, of: 157_000 })]
        };
        for update in all_read(151_000) {
            state.receive(update);
        }
        let seen = screen(&state);
        assert!(seen.contains(linking) && !seen.contains("reading"), "{seen}");
        for update in all_read(157_000) {
            state.receive(update);
        }
        let seen = screen(&state);
        assert!(!seen.contains("linking") && seen.contains("reading 100%"), "{seen}");
    }
}

#[test]
fn files_that_made_room_are_counted_beside_the_state_of_the_run() {
    for width in [80, 200] {
        let mut state = mixed(width, 24);
        state.receive(Update::Progress(Progress { packets: 1_203, ..Progress::default() }));
        assert!(!screen(&state).contains("-w deleted"));
        state.receive(Update::Progress(Progress { packets: 1_203, deleted: 41_204, ..Progress::default() }));
        let seen = screen(&state);
        let line = seen.lines().nth(1).unwrap();
        assert!(line.contains("-w deleted 41k") && line.contains("live"), "{line}");
    }
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

#[test]
fn connections() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = mixed(width, height);
        state.receive(Update::Connections(vec![
            connection(1, Some("ttheader"), ConnectionState::Open, None),
            connection(9, None, ConnectionState::Refused, Some("refused")),
            connection(12, None, ConnectionState::Closed, Some("TLS without keys")),
        ]));
        keys(&mut state, "4");
        state
    }));
}

fn connection(
    first: u64,
    protocol: Option<&'static str>,
    state: ConnectionState,
    reason: Option<&'static str>,
) -> Connection {
    let calls = if protocol.is_some() { 40 } else { 0 };
    Connection {
        last_packet: first + 70,
        protocol,
        reason,
        calls,
        failed: calls / 2,
        packets: 71,
        bytes: [9_000, 21_000],
        retransmissions: 3,
        ..testing::connection(first, state)
    }
}

/// A root call with one callee that failed and one that did not.
fn chain() -> Chain {
    let mut root = failed(0, Class::Rpc, 6, "biz error: no row for 7");
    root.method = Some("Create".into());
    // It is answered after its callees.
    root.end.0 += 10_000_000;
    let fine = call(1);
    let mut cause = failed(2, Class::Business, 5, "no row for 7");
    cause.service = Some("catalog.v1.Catalog".into());
    cause.method = Some("Get".into());
    let link = Link {
        evidence: [Evidence::TraceId].into_iter().collect(),
        confidence: 0.97,
        caller: 0.97,
        direct: 1.0,
    };
    let change = Change {
        hop: 0,
        below: Some(2),
        at: Some("order".into()),
        from: Reported::of(&cause),
        to: Reported::of(&root),
        finding: Finding::BusinessBecameRpc,
        prefixes: 1,
        confidence: 0.97,
    };
    let below = |call| Hop { link: Some(link), ..Hop::sample(call, 1, Some(0)) };
    Chain {
        hops: vec![Hop::sample(root, 0, None), below(fine), below(cause)],
        origin: Origin::At(2),
        origin_confidence: 0.97,
        changes: vec![change],
        evidence: link.evidence,
        confidence: 0.94,
    }
}

#[test]
fn chains() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = linked(width, height);
        // From the newest call, which failed, to its chain.
        keys(&mut state, "c");
        state
    }));
}

/// The chain of [`chain`] and its calls.
fn linked(width: u16, height: u16) -> State {
    let mut state = state(width, height);
    let chain = chain();
    send(&mut state, chain.hops.iter().map(|hop| Call::clone(&hop.call)));
    state.receive(Update::Chains(vec![chain]));
    settle(&mut state);
    state
}

/// The same chain and calls where the link to the failed callee is a guess: another call may have made it as well.
fn guessed(width: u16, height: u16) -> State {
    let mut state = state(width, height);
    let mut chain = chain();
    let rival = call(9);
    let cause = &mut chain.hops[2];
    cause.link = Some(Link {
        evidence: [Evidence::Message, Evidence::Timing].into_iter().collect(),
        confidence: 0.61,
        caller: 0.61,
        direct: 1.0,
    });
    cause.rivals = vec![Rival { uid: rival.uid, key: None, confidence: 0.35 }];
    chain.changes[0].confidence = 0.61;
    chain.origin_confidence = 0.61;
    let mut alone = chain.clone();
    alone.hops = vec![Hop { call: rival.clone().into(), ..chain.hops[0].clone() }, chain.hops[1].clone()];
    (alone.origin, alone.changes) = (Origin::Nothing, Vec::new());
    let mut fine = call(10);
    fine.method = Some("Get".into());
    alone.hops[1].call = fine.clone().into();
    send(&mut state, chain.hops.iter().map(|hop| Call::clone(&hop.call)).chain([rival, fine]));
    state.receive(Update::Chains(vec![chain, alone]));
    settle(&mut state);
    state
}

#[test]
fn no_view_tells_a_guess_as_a_fact() {
    for (width, height) in [(80, 24), (200, 50)] {
        let shown = |pressed: &str| {
            let mut state = guessed(width, height);
            keys(&mut state, pressed);
            screen(&state).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let has = |screen: &str, wanted: &[&str]| {
            for words in wanted {
                assert!(screen.contains(words), "{width}x{height}: no {words:?} in {screen}");
            }
        };
        // The tree: a question mark at the link, a hollow star, and "perhaps" in the sentence.
        let tree = shown("5");
        has(&tree, &["└?Catalog.Get ☆", "? 61 % sure", "☆ perhaps", "not known for sure, perhaps:"]);
        assert!(!tree.contains('★'), "{tree}");
        // The summary lists and counts what is not known, and tells no change of it.
        let summary = shown("5s");
        has(&summary, &["1 not known for sure", "1 failed call: origin not known for sure"]);
        assert!(!summary.contains("business-became-rpc"), "{summary}");
        has(&shown("5s\n"), &["└?Catalog.Get ☆"]);
        // The graph: the failed call hangs below its caller's address, and no error began or passed for sure.
        let graph = shown("5v");
        has(&graph, &["1 failed call: origin not known for sure; 1 call: caller not known for sure"]);
        assert!(!graph.contains('%') || graph.contains("at least 0 began here"), "{graph}");
        // Errors, the list of calls and the page of a call say the same about where it began.
        for pressed in ["2", "1g", "1g\n"] {
            has(&shown(pressed), &["perhaps it began one hop below"]);
        }
        // The origin, by its key, says so above the call; what else may have caused it is on the same page.
        let origin = shown("1gO");
        has(
            &origin,
            &["it perhaps began here: that is not known for sure", "perhaps caused by", "or perhaps by"],
        );
    }
}

#[test]
fn the_rivals_of_a_link_are_one_key_away() {
    let mut state = guessed(200, 50);
    keys(&mut state, "5jj\n");
    let page = screen(&state);
    assert!(page.contains("perhaps caused by  61 %  ") && page.contains("— by message, timing"), "{page}");
    let rival = call(9).uid;
    assert!(page.contains("or perhaps by  35 %  ") && page.contains(&format!("  {rival}")), "{page}");
}

#[test]
fn summary_of_changes() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = linked(width, height);
        keys(&mut state, "5s");
        state
    }));
}

#[test]
fn service_graph() {
    insta::assert_snapshot!(screens(|width, height| {
        let mut state = linked(width, height);
        keys(&mut state, "5vj");
        state
    }));
}

#[test]
fn the_sentence_says_where_the_error_began() {
    let mut state = linked(80, 24);
    keys(&mut state, "g");
    let screen_of_root = screen(&state);
    assert!(
        screen_of_root.contains("it began one hop below: Catalog.Get answered business 5"),
        "{screen_of_root}"
    );
    assert!(screen_of_root.contains("(c shows the chain)"), "{screen_of_root}");
    keys(&mut state, "\n");
    let detail = screen(&state);
    assert!(detail.contains("it began one hop below"), "{detail}");
    keys(&mut state, "2");
    let errors = screen(&state);
    assert!(errors.contains("it began"), "{errors}");
}

#[test]
fn what_was_drawn_before_leaves_no_colours() {
    let mut state = mixed(100, 30);
    keys(&mut state, "e\n");
    let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
    terminal.draw(|frame| render(frame, &state)).unwrap();
    let head: Vec<_> = (1..8).map(|x| terminal.backend().buffer()[(x, 1)].style()).collect();
    assert!(head.iter().all(|style| *style == head[0]), "the tabs below the head: {head:?}");
}

#[test]
fn everything_that_hides_calls_is_named() {
    for width in [60, 80, 200] {
        let mut state = mixed(width, 24);
        keys(&mut state, "fservice ~ \"OrderService\" and latency > 1ms\n");
        keys(&mut state, "gF");
        let screen = screen(&state);
        let rule = screen.lines().nth(2).unwrap();
        for word in ["only c", "filter ", "hidden"] {
            assert!(rule.contains(word), "{word} in {rule}");
        }
    }
}

#[test]
fn help() {
    let mut state = state(100, 90);
    keys(&mut state, "?");
    insta::assert_snapshot!(screen(&state));
}

#[test]
fn empty_views_say_why() {
    let mut state = state(80, 24);
    let mut seen = String::new();
    for view in ["1", "2", "3", "4", "5", "s", "5v"] {
        keys(&mut state, view);
        seen.push_str(&screen(&state));
    }
    state.receive(Update::Progress(Progress { packets: 1_203, ..Progress::default() }));
    keys(&mut state, "1");
    seen.push_str(&screen(&state));
    let silent = |n, reason| connection(n, None, ConnectionState::Open, Some(reason));
    state.receive(Update::Connections(vec![
        silent(7, "HTTP/1.1 without RPC"),
        silent(8, "TLS without keys"),
        silent(9, "TLS without keys"),
    ]));
    for view in ["1", "2", "3", "5"] {
        keys(&mut state, view);
        seen.push_str(&screen(&state));
    }
    keys(&mut state, "1");
    state.receive(Update::Ended);
    seen.push_str(&screen(&state));
    send(&mut state, [call(1)]);
    keys(&mut state, "o");
    seen.push_str(&screen(&state));
    let chain = chain();
    state.receive(Update::Chains(vec![chain]));
    state.receive(Update::Connections(vec![connection(1, None, ConnectionState::Open, None)]));
    keys(&mut state, "fclass == oneway\n");
    for view in ["2", "3", "4", "5", "s", "5v"] {
        keys(&mut state, view);
        seen.push_str(&screen(&state));
    }
    // Only the lines that say why a view is empty.
    let reasons: Vec<_> = seen.lines().filter(|l| l.starts_with("     ")).map(str::trim).collect();
    insta::assert_snapshot!(reasons.join("\n"));
}

#[test]
fn one_call() {
    let mut state = state(80, 24);
    send(&mut state, [failed(0, Class::Business, 4041, "no stock")]);
    insta::assert_snapshot!(screen(&state));
}

#[test]
fn a_screen_that_is_too_small_says_what_it_needs() {
    for (width, height) in [(59, 24), (80, 11), (1, 1), (20, 3)] {
        let mut state = mixed(80, 24);
        state.resize(width, height);
        let screen = screen(&state);
        let needed = format!("terminal too small: 60x12 needed, this is {width}x{height}");
        let shown = screen.lines().next().unwrap_or_default().trim_end_matches('…').to_owned();
        assert!(needed.starts_with(shown.trim_end()), "{shown}");
    }
}

#[test]
fn every_size_is_drawn_without_harm() {
    for width in [60, 61, 75, 76, 79, 95, 96, 109, 139, 140, 300] {
        for height in [12, 13, 15, 16, 19, 20, 29, 60] {
            let mut state = mixed(width, height);
            state.receive(Update::Chains(vec![chain()]));
            for view in ["1", "2", "3", "4", "5", "5s", "5v", "?"] {
                keys(&mut state, view);
                let _ = screen(&state);
                keys(&mut state, "f");
                let _ = screen(&state);
                keys(&mut state, "\x1b");
            }
            keys(&mut state, "\x1be\n");
            let _ = screen(&state);
        }
    }
}

#[test]
fn text_of_the_wire_can_do_no_harm_and_columns_stay_straight() {
    let hostile = "\x1b[2J\x1b]0;owned\x07\r\n\u{9b}31m\u{202e}gnp\t\0";
    let wide = "库存服务👩‍👩‍👧é\u{301}";
    for (width, height) in SIZES {
        let mut state = state(width, height);
        let mut first = failed(0, Class::Business, 7, &format!("{hostile}{wide}"));
        first.service = Some(format!("{wide}{hostile}").into());
        first.method = Some(hostile.into());
        first.caller = Some(hostile.into());
        first.callee = Some(wide.into());
        let mut second = failed(1, Class::Rpc, 6, wide);
        second.service = Some(wide.into());
        second.method = Some(wide.repeat(9).into());
        send(&mut state, [first, second, call(2)]);
        state.receive(Update::Trouble(hostile.to_owned()));
        state.source = hostile.to_owned();
        for pressed in ["1", "2", "3", "2\n", "1", "e\n", "\x1b", "/", "\x1b", "f", "\x1b", "="] {
            keys(&mut state, pressed);
            let screen = screen(&state);
            let unsafe_one = |c: char| c != '\n' && c != '\u{200d}' && crate::text::is_unsafe(c);
            assert!(!screen.chars().any(unsafe_one), "{pressed:?}\n{screen}");
        }
        keys(&mut state, "a1");
        let screen = screen(&state);
        let head = screen.lines().find(|l| l.contains("service.method")).unwrap();
        let word = if width < 140 { "verdict" } else { "message" };
        let column = crate::text::width(&head[..head.find(word).unwrap()]);
        let row = screen.lines().find(|l| l.ends_with(" ok")).unwrap();
        let ok = row.rfind("ok").unwrap();
        assert_eq!(crate::text::width(&row[..ok]), column, "{screen}");
    }
}
