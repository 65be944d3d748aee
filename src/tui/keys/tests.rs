//! Tests of the table, and of the sentences that name its keys.

use super::*;
use crate::tui::state::State;

#[test]
fn no_key_means_two_things_in_one_place() {
    for scopes in places() {
        let mut seen = std::collections::HashSet::new();
        for binding in BINDINGS.iter().filter(|b| scopes.contains(&b.scope)) {
            for key in binding.keys {
                assert!(seen.insert(*key), "{} is bound twice in {scopes:?}", key.name());
            }
        }
    }
}

#[test]
fn help_and_footer_are_the_table() {
    let help = Keys::default().help();
    for binding in BINDINGS {
        let keys: Vec<_> = binding.keys.iter().map(|k| k.name()).collect();
        assert!(help.contains(&(keys.join(" "), binding.help)), "{binding:?}");
        assert!(Scope::ALL.contains(&binding.scope));
        assert!(places().iter().any(|p| p.contains(&binding.scope)), "never reached: {binding:?}");
    }
    let footer = Keys::default().footer(Views::default().get(ViewId::Calls).scopes());
    assert!(footer.iter().any(|(keys, word)| keys == "b r t u w o" && *word == "classes"));
}

#[test]
fn every_line_of_the_help_page_fits_on_80_columns() {
    for (keys, text) in Keys::default().help() {
        // Headings begin at the edge.
        let most = if keys.is_empty() { 78 } else { 60 };
        assert!(crate::text::width(text) <= most, "{text}");
        assert!(crate::text::width(&keys) <= 16, "{keys}: {text}");
    }
}

#[test]
fn every_view_has_a_key_and_tabs_have_their_number() {
    for id in ViewId::ALL {
        assert!(BINDINGS.iter().any(|b| b.action == Action::Show(*id)), "no key opens {id:?}");
    }
    for (n, id) in (1..).zip(ViewId::tabs()) {
        let number = key(KeyCode::Char(char::from_digit(n, 10).unwrap()));
        assert_eq!(Keys::default().action(&[Scope::Everywhere], number), Some(Action::Show(id)));
    }
}

#[test]
fn the_config_file_writes_every_key_and_names_every_action() {
    for key in BINDINGS.iter().flat_map(|binding| binding.keys) {
        assert_eq!(Key::read(&key.written()), Some(*key), "{}", key.written());
    }
    assert_eq!(Key::read("shift-tab").map(|key| key.code), Some(KeyCode::BackTab));
    assert_eq!(Key::read("f5").map(|key| (key.code, key.name())), Some((KeyCode::F(5), "F5".to_owned())));
    for wrong in ["", "ab", "f13", "ctrl-", "shift-x", " ", "\u{1b}"] {
        assert_eq!(Key::read(wrong), None, "{wrong:?}");
    }
    let mut keys = Keys::default();
    for (name, written) in Keys::actions() {
        assert!(BINDINGS.iter().any(|binding| binding.action.name() == name));
        assert!(!written.is_empty());
    }
    assert_eq!(keys.set("left", &["h", "left"]), Ok(()));
    assert_eq!(keys.action(Scope::DETAIL, Key::read("left").unwrap()), Some(Action::Left));
}

#[test]
fn a_key_of_the_config_file_is_taken_from_what_had_it() {
    let mut keys = Keys::default();
    let scopes = Views::default().get(ViewId::Calls).scopes();
    let does = |keys: &Keys, written: &str| keys.action(scopes, Key::read(written).unwrap());
    assert_eq!(keys.set("origin", &["e", "ctrl-o"]), Ok(()));
    assert_eq!(does(&keys, "e"), Some(Action::Origin));
    assert_eq!(does(&keys, "ctrl-o"), Some(Action::Origin));
    assert_eq!(does(&keys, "O"), None);
    assert!(keys.help().iter().any(|(keys, text)| keys == "(no key)" && *text == "next failed call"));
    assert!(keys.footer(scopes).iter().all(|(_, word)| *word != "next error"));
    assert_eq!(keys.set("next-error", &["e"]), Err("e is the key of origin too".to_owned()));
    assert_eq!(keys.set("next-error", &["ctrl-e"]), Ok(()));
    assert!(keys.set("next-error", &["hyper-e"]).unwrap_err().contains("hyper-e is no key"));
    assert_eq!(keys.set("quit", &[]), Err("quit needs a key".to_owned()));
    // Where two actions never meet, both may have it.
    let mut keys = Keys::default();
    assert_eq!(keys.set("mark", &["i"]), Ok(()));
    assert_eq!(keys.action(Scope::DETAIL, Key::read("i").unwrap()), Some(Action::HexOrText));
}

/// All actions with keys that nothing has: a letter of another alphabet each.
fn remapped() -> Keys {
    let mut keys = Keys::default();
    for ((name, _), letter) in Keys::actions().into_iter().zip('Ա'..) {
        keys.set(name, &[&letter.to_string()]).unwrap();
    }
    keys
}

/// A key of the table as a sentence names it: `a shows all`, `Esc stops it`.
fn named() -> regex::Regex {
    let verbs =
        "shows|goes|go on|starts|stops|quits|changes|opens|chooses|resumes|again|next|back|and [A-Z] ";
    let mut names: Vec<String> =
        BINDINGS.iter().flat_map(|b| b.keys).map(|key| regex::escape(&key.name())).collect();
    names.push("Enter".to_owned());
    regex::Regex::new(&format!("(^|[^\\w{{}}])`?({})`? ({verbs})", names.join("|"))).unwrap()
}

#[test]
fn screens_name_the_keys_that_the_config_file_says() {
    use crate::calls::Class;
    use crate::tui::render::tests::screen;
    use crate::tui::state::testing::{call, failed, hundred, send, state};
    let named = named();
    let mut seen = 0;
    let mut look = |state: &mut State, typed: &[Action], keys: &Keys| {
        state.cx.keys = keys.clone();
        state.resize(100, 40);
        for action in typed {
            state.apply(*action);
            crate::tui::state::testing::settle(state);
        }
        let screen = screen(state);
        let old = named.find(&screen).map(|found| found.as_str().to_owned());
        if *keys == Keys::default() {
            seen += usize::from(old.is_some());
        } else {
            assert_eq!(old, None, "{screen}");
        }
    };
    for keys in [Keys::default(), remapped()] {
        let views = ViewId::ALL.iter().map(|id| Action::Show(*id));
        for view in views {
            look(&mut hundred(), &[view], &keys);
            look(&mut state(100, 40), &[view], &keys);
            let mut filtered = hundred();
            filtered.cx.matcher.set_filter("code == 77").unwrap();
            look(&mut filtered, &[Action::Toggle(Class::Oneway), view], &keys);
        }
        for typed in [
            &[Action::Help][..],
            &[Action::Back],
            &[Action::NextMatch],
            &[Action::Search],
            &[Action::Command],
            &[Action::Filter],
            &[Action::Columns],
            &[Action::NextError, Action::Chain],
        ] {
            look(&mut hundred(), typed, &keys);
        }
        let mut newest = state(100, 40);
        send(&mut newest, [call(0), failed(1, Class::Rpc, 6, "")]);
        newest.cx.keys = keys.clone();
        newest.show_top(false);
        look(&mut newest, &[], &keys);
        look(&mut newest, &[Action::Toggle(Class::Ok), Action::Back], &keys);
    }
    assert!(seen >= 10, "the usual keys are found in {seen} screens, so that the others would be");
}

#[test]
fn no_sentence_in_the_source_has_a_key_in_it() {
    let named = named();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui");
    let (mut folders, mut files) = (vec![root], 0);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // Keys of the line that is typed are always the same.
            if path.file_stem().is_none_or(|stem| stem.to_string_lossy().contains("test") || stem == "prompt")
            {
                continue;
            }
            files += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
                for literal in line.split('"').skip(1).step_by(2) {
                    let found = named.find(literal).map(|found| found.as_str());
                    assert_eq!(found, None, "{}: {literal}", path.display());
                }
            }
        }
    }
    assert!(files > 40, "{files}");
    assert!(named.is_match("the filter hides all lines: a shows all again"));
    assert!(named.is_match("press / to search: / starts a search"));
    assert!(!named.is_match("it shows all calls"));
}

#[test]
fn the_manual_lists_what_the_help_page_does() {
    let line = |(keys, text): &(String, &str)| {
        if keys.is_empty() { format!("{text}\n") } else { format!("  {keys:<17}{text}\n") }
    };
    let all: String = Keys::default().help().iter().map(line).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/interface.md")).unwrap();
    let (_, section) = page.split_once("## All keys and commands\n").unwrap();
    let (_, listed) = section.split_once("```text\n").unwrap();
    assert_eq!(listed.split_once("```").unwrap().0, all);
}
