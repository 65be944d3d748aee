//! What is typed: completion of filters, exports and their paths.

use crossterm::event::KeyCode;

use super::testing::{call, hundred, keys, press, send};
use super::{Effect, State};
use crate::tui::views::View as _;

#[test]
fn keys_and_values_are_completed() {
    let mut state = hundred();
    keys(&mut state, "fserv");
    press(&mut state, KeyCode::Tab);
    assert_eq!(menu(&state), ["server", "service", "server_name", "server_pod", "server_node", "observer"]);
    // Tab goes on through them, Shift and Tab back.
    let texts = [KeyCode::Tab, KeyCode::Tab, KeyCode::BackTab, KeyCode::BackTab].map(|code| {
        press(&mut state, code);
        state.prompt.as_ref().unwrap().text().to_owned()
    });
    assert_eq!(texts, ["server", "service", "server", "observer"]);
    press(&mut state, KeyCode::Esc);
    keys(&mut state, "fserv");
    keys(&mut state, "i");
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.prompt.as_ref().unwrap().text(), "service ");
    press(&mut state, KeyCode::Esc);
    keys(&mut state, "fmethod == Pl");
    press(&mut state, KeyCode::Tab);
    assert!(state.prompt.as_ref().unwrap().text().contains("PlaceOrder"));
    assert_eq!(state.views.calls.len(), 100);
}

#[test]
fn a_search_is_a_regex_where_it_has_its_characters_and_a_mistake_keeps_the_line_open() {
    let mut state = hundred();
    let selected = |state: &State| state.views.calls.selected(&state.cx).unwrap().1.uid.packet / 2;
    keys(&mut state, "g/^4041 .*stock|BIZ ERR[aeiou]r\n");
    assert_eq!((state.prompt.is_none(), selected(&state)), (true, 5));
    keys(&mut state, "n");
    assert_eq!(selected(&state), 15);
    keys(&mut state, "/no (stock");
    let error = state.prompt.as_ref().unwrap().error.clone().unwrap();
    assert_eq!((error.span, error.message.as_str()), (3..4, "not a regular expression: unclosed group"));
    keys(&mut state, "\n");
    assert_eq!((state.prompt.is_some(), selected(&state)), (true, 15));
    let screen = crate::tui::render::tests::screen(&state);
    let said =
        "search: no (stock\n            ^ not a regular expression: unclosed group: write \\( for ( itself\n";
    assert!(screen.contains(said), "{screen}");
    keys(&mut state, ")\n");
    assert_eq!((state.prompt.is_none(), selected(&state)), (true, 25));
    keys(&mut state, "/no \\(stock\n");
    assert_eq!(state.notice.as_deref(), Some("not found: no \\(stock"));
    // An error of a log is no expression.
    keys(&mut state, "/");
    state.paste("remote or network error[remote]: biz error: no (stock");
    assert!(state.prompt.as_ref().unwrap().error.is_none());
}

#[test]
fn filters_have_names_that_complete() {
    let mut state = hundred();
    let named = [("broken", "class == rpc or class == transport"), ("biz", "class == business")];
    state.take_look(crate::tui::Look {
        columns: vec!["code".to_owned(), "time".to_owned()],
        filters: named.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        ..Default::default()
    });
    let heads = state.views.calls.columns(80).iter().map(|placed| placed.column.head).collect::<Vec<_>>();
    assert_eq!(heads, ["code", "time"]);
    keys(&mut state, "f@");
    press(&mut state, KeyCode::Tab);
    assert_eq!(menu(&state), ["@biz", "@broken"]);
    keys(&mut state, "r");
    press(&mut state, KeyCode::Tab);
    assert_eq!((state.prompt.as_ref().unwrap().text(), state.views.calls.len()), ("@broken ", 5));
    keys(&mut state, "o");
    press(&mut state, KeyCode::Tab);
    keys(&mut state, "not @bix");
    let error = state.prompt.as_ref().unwrap().error.clone().unwrap();
    assert_eq!((error.span, error.hint.as_deref()), (15..19, Some("did you mean @biz?")));
    press(&mut state, KeyCode::Backspace);
    keys(&mut state, "z\n");
    assert_eq!((state.cx.matcher.text(), state.views.calls.len()), ("@broken or not @biz", 95));
    keys(&mut state, "a");
    assert_eq!(state.views.calls.len(), 100);
    keys(&mut state, "f@biz\n");
    assert_eq!(state.views.calls.len(), 5, "showing all forgets no names");
}

/// The completions on the screen.
fn menu(state: &State) -> Vec<String> {
    state.prompt.as_ref().unwrap().menu.entries.iter().map(|(text, _)| text.clone()).collect()
}

#[test]
fn letters_complete_to_keys_and_values_are_those_seen() {
    let mut state = hundred();
    keys(&mut state, "fla");
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.prompt.as_ref().unwrap().text(), "latency ");
    press(&mut state, KeyCode::Esc);
    keys(&mut state, "fme");
    press(&mut state, KeyCode::Tab);
    assert_eq!(menu(&state)[..3], ["method", "message", "metadata"]);
    press(&mut state, KeyCode::Esc);
    for (typed, first) in [
        ("fclass == ", "ok"),
        ("fcode == ", "4041"),
        ("fserver == ", "10.77.0.12:8888"),
        ("fclient == ", "10.77.0.11"),
        ("fmessage == ", "\"biz error: no stock\""),
    ] {
        keys(&mut state, typed);
        press(&mut state, KeyCode::Tab);
        let text = state.prompt.as_ref().unwrap().text().to_owned();
        let shown = menu(&state);
        assert!(shown.first().is_none_or(|shown| shown == first), "{typed}: {shown:?}");
        assert!(!shown.is_empty() || text.trim_end().ends_with(first), "{typed}: {text}");
        press(&mut state, KeyCode::Esc);
    }
}

/// What the export that is asked for would write.
fn exported(state: &mut State, name: &str) -> (usize, String) {
    keys(state, name);
    match press(state, KeyCode::Enter) {
        Some(Effect::Export(calls, path)) => (calls.len(), path.to_str().unwrap().to_owned()),
        other => panic!("no export: {other:?}"),
    }
}

#[test]
fn all_shown_calls_are_exported_or_the_marked_ones_or_this_one() {
    let mut state = hundred();
    keys(&mut state, "fclass == business\nx");
    assert_eq!(exported(&mut state, ""), (5, "calls.pcapng".to_owned()));
    keys(&mut state, "x");
    press(&mut state, KeyCode::BackTab);
    assert_eq!(exported(&mut state, "a/one.jsonl"), (1, "a/one.jsonl".to_owned()));
    keys(&mut state, "gmmx");
    assert_eq!((state.marked, exported(&mut state, "two")), (2, (2, "two.pcapng".to_owned())));
    keys(&mut state, "x");
    press(&mut state, KeyCode::BackTab);
    assert_eq!(exported(&mut state, "all").0, 5);
    keys(&mut state, "M\nx");
    assert_eq!(exported(&mut state, "this").0, 1, "the call of the page");
    keys(&mut state, "a2x");
    assert_eq!(exported(&mut state, "row").0, 5, "the calls of a kind of error");
    keys(&mut state, "afcode == 1\n1x");
    assert!(state.prompt.is_none() && state.notice.is_some(), "nothing is shown");
}

#[test]
fn this_call_stays_the_one_of_the_key_press() {
    let mut state = hundred();
    keys(&mut state, "x");
    press(&mut state, KeyCode::BackTab);
    send(&mut state, [call(100)]);
    keys(&mut state, "one");
    let Some(Effect::Export(calls, _)) = press(&mut state, KeyCode::Enter) else { panic!("no export") };
    assert_eq!(calls.iter().map(|call| call.uid.packet / 2).collect::<Vec<_>>(), [99]);
}

#[test]
fn a_name_that_says_nothing_of_its_content_is_asked_for_again() {
    let mut state = hundred();
    for (name, better) in [
        ("out.json", "out.jsonl"),
        ("a.b/OUT.pcap", "a.b/OUT.pcapng"),
        ("out.txt", "out.txt"),
        ("folder/", "folder/"),
        ("..", ".."),
    ] {
        keys(&mut state, &format!("x{name}"));
        assert!(press(&mut state, KeyCode::Enter).is_none(), "{name}");
        let prompt = state.prompt.as_ref().unwrap();
        assert_eq!(prompt.text(), better);
        assert!(prompt.remark.is_some());
        press(&mut state, KeyCode::Esc);
    }
    state.has_packets = false;
    keys(&mut state, "x");
    assert_eq!(exported(&mut state, ""), (100, "calls.jsonl".to_owned()));
}

#[test]
fn an_export_that_fails_at_once_is_mended_in_its_line() {
    let mut state = hundred();
    keys(&mut state, "x");
    exported(&mut state, "no/x");
    state.exported(Err("there is no folder no".to_owned()));
    let prompt = state.prompt.as_ref().unwrap();
    assert_eq!((prompt.text(), prompt.remark.as_deref()), ("no/x", Some("there is no folder no")));
    assert_eq!(exported(&mut state, "y").1, "no/xy.pcapng");
}

#[test]
fn a_late_failure_takes_nothing_out_of_the_users_hands() {
    let mut state = hundred();
    keys(&mut state, "x");
    exported(&mut state, "x.pcapng");
    keys(&mut state, "jf");
    state.exported(Err("disk full".to_owned()));
    assert_eq!(state.prompt.as_ref().unwrap().text(), "");
    assert_eq!(state.notice.as_deref(), Some("not written: disk full"));
}

#[test]
fn exports_end_in_the_order_in_which_they_began() {
    let mut state = hundred();
    for name in ["one", "no/two", "three"] {
        keys(&mut state, "x");
        exported(&mut state, name);
    }
    let unwritten = |state: &State| state.unwritten().map(ToOwned::to_owned).collect::<Vec<_>>();
    state.export_refused("too much waits".to_owned());
    assert_eq!(unwritten(&state), ["one.pcapng", "no/two.pcapng"]);
    assert_eq!(state.prompt.as_ref().unwrap().text(), "three", "the line of the refused one");
    press(&mut state, KeyCode::Esc);
    state.exported(Ok("wrote".to_owned()));
    assert_eq!(unwritten(&state), ["no/two.pcapng"]);
    state.exported(Err("there is no folder no".to_owned()));
    assert_eq!(unwritten(&state), [""; 0]);
    assert!(state.prompt.is_none(), "it did not fail at once");
}

#[test]
fn paths_are_completed_folder_by_folder() {
    let mut state = hundred();
    let names = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect());
    let listed = |state: &mut State| match press(state, KeyCode::Tab) {
        Some(Effect::ListFolder(folder)) => folder.to_str().unwrap().to_owned(),
        other => panic!("nothing asked: {other:?}"),
    };
    let text = |state: &State| state.prompt.as_ref().unwrap().text().to_owned();
    keys(&mut state, "xca");
    assert_eq!(listed(&mut state), ".");
    state.names_came(".".as_ref(), names(&["case/", "captures/", "other", ".cache/"]));
    assert_eq!((text(&state), menu(&state).len()), ("ca".to_owned(), 2));
    keys(&mut state, "p");
    assert_eq!(listed(&mut state), ".");
    state.names_came(".".as_ref(), names(&["captures/", "case/"]));
    assert_eq!(text(&state), "captures/");
    assert_eq!(listed(&mut state), "captures");
    state.names_came("elsewhere".as_ref(), names(&["wrong"]));
    assert_eq!(text(&state), "captures/", "an answer that comes too late");
    state.names_came("captures".as_ref(), names(&["a1.pcapng", "a2.pcapng", ".hidden"]));
    assert_eq!(text(&state), "captures/a");
    press(&mut state, KeyCode::Tab);
    assert_eq!(text(&state), "captures/a1.pcapng");
    press(&mut state, KeyCode::Tab);
    assert_eq!(text(&state), "captures/a2.pcapng");
    state.names_came("captures".as_ref(), Err("no permission".to_owned()));
    keys(&mut state, "x");
    press(&mut state, KeyCode::Esc);
    assert!(state.prompt.is_none());
}
