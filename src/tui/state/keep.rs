//! What was chosen in the interface and `:save` keeps in the config file.

use super::command::{Done, wrong};
use super::{Effect, State};
use crate::config::{Change, KEPT};
use crate::filter;
use crate::sink::TimeFormat;
use crate::text;
use crate::tui::columns::Column;
use crate::tui::theme::Theme;
use crate::tui::views::calls::cells;
use crate::tui::{Colors, Look};

/// What can be kept besides filters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::tui) struct Choices {
    columns: Vec<Column>,
    sort: Option<(Column, bool)>,
    time: TimeFormat,
    /// `None` follows the terminal.
    theme: Option<Colors>,
}

/// A change of the config file that was asked for.
#[derive(Debug)]
pub(super) struct Saving {
    /// What was chosen then.
    chosen: Choices,
    /// The keys that are to be as chosen.
    keys: Vec<&'static str>,
    /// The name of a filter that is to be known, and the filter.
    filter: Option<(String, String)>,
}

impl Choices {
    /// Takes over one of [`KEPT`].
    fn take(&mut self, from: &Self, key: &str) {
        match key {
            "columns" => self.columns.clone_from(&from.columns),
            "sort" => self.sort = from.sort,
            "time" => self.time = from.time,
            _ => self.theme = from.theme,
        }
    }

    /// The line of the config file for one of [`KEPT`].
    fn change(&self, key: &str) -> Change {
        match key {
            "columns" => {
                Change::columns(&self.columns.iter().map(|column| cells::name(*column)).collect::<Vec<_>>())
            }
            "sort" => {
                let (column, down) = self.sort.unwrap_or((cells::TIME, false));
                let way = if down { "desc" } else { "asc" };
                Change::word(key, &format!("{} {way}", cells::name(column)))
            }
            "time" => Change::word(key, self.time.name()),
            _ => Change::word(key, Colors::name_of(self.theme)),
        }
    }
}

impl State {
    /// Takes what the config file says.
    pub(in crate::tui) fn take_look(&mut self, look: Look) {
        (self.cx.matcher.named, self.cx.keys, self.theme) = (look.filters, look.keys, look.theme);
        self.views.calls.chosen = look.columns.iter().filter_map(|name| cells::named(name)).collect();
        let sort = look.sort.and_then(|(name, down)| Some((cells::named(&name)?, down)));
        let sort = sort.map(|(column, down)| (column, down.unwrap_or(column.largest_first)));
        // The order of time is the order without sorting.
        self.views.calls.list.sort = sort.filter(|sort| *sort != (cells::TIME, false));
        self.kept = self.choices();
    }

    /// What is chosen.
    fn choices(&self) -> Choices {
        let calls = &self.views.calls;
        Choices {
            columns: calls.chosen.clone(),
            sort: calls.list.sort,
            time: self.cx.time,
            theme: self.theme,
        }
    }

    /// Asks for these keys of [`KEPT`] to be kept.
    fn keep(&mut self, keys: Vec<&'static str>) -> Effect {
        let chosen = self.choices();
        let changes = keys.iter().map(|key| chosen.change(key)).collect();
        self.saving.push_back(Saving { chosen, keys, filter: None });
        Effect::Save(changes)
    }

    /// Asks for the columns to be kept.
    pub(super) fn keep_columns(&mut self) -> Effect {
        self.keep(vec!["columns"])
    }

    /// The config file was changed, or why it was not.
    pub(in crate::tui) fn saved(&mut self, result: Result<String, String>) {
        let Some(Saving { chosen, keys, filter }) = self.saving.pop_front() else { return };
        match result {
            Ok(path) => {
                for key in &keys {
                    self.kept.take(&chosen, key);
                }
                let named = filter.map(|(name, filter)| {
                    let what = format!("filter @{name}");
                    match self.cx.matcher.named.insert(name, filter) {
                        Some(old) => format!("{what}, which was {}", text::escape(&old)),
                        None => what,
                    }
                });
                let what = named.unwrap_or_else(|| keys.join(", "));
                self.say(format!("kept in {}: {what}", text::escape(&path)));
            }
            Err(why) => self.say_not_kept(&why),
        }
    }

    /// The last change that was asked for can't even wait.
    pub(in crate::tui) fn save_refused(&mut self, why: &str) {
        self.saving.pop_back();
        self.say_not_kept(why);
    }

    fn say_not_kept(&mut self, why: &str) {
        self.say(format!("not kept: {}", text::escape(why)));
    }

    /// How often the config file is to be changed yet.
    pub(in crate::tui) fn unsaved(&self) -> usize {
        self.saving.len()
    }
}

/// `:save WHAT`
pub(in crate::tui) fn save(state: &mut State, argument: &str) -> Done {
    let (what, rest) = argument.split_once(' ').unwrap_or((argument, ""));
    let at = argument.len() - rest.len();
    match what {
        "filter" => save_filter(state, argument, at),
        _ if !rest.trim().is_empty() => {
            Err(wrong(argument, at..argument.len(), format!("nothing follows {what}")))
        }
        "" => {
            let (now, kept) = (state.choices(), state.kept.clone());
            let changed: Vec<&'static str> =
                KEPT.into_iter().filter(|key| now.change(key) != kept.change(key)).collect();
            if changed.is_empty() {
                let all = KEPT.join(", ");
                state.notice =
                    Some(format!("nothing new to keep ({all}); a filter needs a name: :save filter NAME"));
                return Ok(None);
            }
            Ok(Some(state.keep(changed)))
        }
        _ => {
            let Some(key) = KEPT.into_iter().find(|key| *key == what) else {
                let kept = KEPT.join(", ");
                return Err(wrong(argument, 0..what.len(), format!("what is kept is {kept} or filter NAME")));
            };
            Ok(Some(state.keep(vec![key])))
        }
    }
}

/// `:save filter NAME`
fn save_filter(state: &mut State, argument: &str, at: usize) -> Done {
    let name = argument.get(at..).unwrap_or_default().trim().trim_start_matches('@');
    let refused = |why: &str| Err(wrong(argument, at.min(argument.len())..argument.len(), why));
    if !filter::is_name(name) {
        return refused("a name has 2 to 40 letters, digits, - and _: :save filter slow");
    }
    // A filter of the config file has no names of others.
    let text = filter::written_out(state.cx.matcher.text(), &state.cx.matcher.named)?;
    if text.is_empty() {
        return refused("there is no filter to keep");
    }
    let change = Change::filter(name, &text);
    let filter = Some((name.to_owned(), text));
    state.saving.push_back(Saving { chosen: state.choices(), keys: Vec::new(), filter });
    Ok(Some(Effect::Save(vec![change])))
}

/// `:theme NAME`
pub(in crate::tui) fn theme(state: &mut State, argument: &str) -> Done {
    if !Colors::NAMES.contains(&argument) {
        let names = Colors::NAMES.join(", ");
        return Err(wrong(argument, 0..argument.len(), format!("themes are {names}")));
    }
    state.theme = Colors::from_name(argument);
    state.cx.theme = Theme::new(state.theme.unwrap_or(state.usual_colors));
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::keys::Action;
    use crate::tui::render::tests::screen;
    use crate::tui::state::testing::{hundred, keys, press, settle};
    use crossterm::event::KeyCode;

    /// Types a command; returns the lines that it wants in the config file.
    fn line(state: &mut State, line: &str) -> Vec<String> {
        keys(state, ":");
        keys(state, line);
        lines(press(state, KeyCode::Enter))
    }

    fn lines(effect: Option<Effect>) -> Vec<String> {
        match effect {
            Some(Effect::Save(changes)) => changes.iter().map(Change::line).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn what_was_chosen_is_kept_and_only_that() {
        let mut state = hundred();
        state.take_look(Look::default());
        assert_eq!(line(&mut state, "save"), [""; 0]);
        assert!(screen(&state).contains("nothing new to keep"), "{}", screen(&state));
        for typed in ["columns time,code", "time relative", "theme light"] {
            assert_eq!(line(&mut state, typed), [""; 0], "{typed} keeps nothing by itself");
        }
        let columns = "columns = [\"time\", \"code\"]";
        assert_eq!(line(&mut state, "save"), [columns, "time = \"relative\"", "theme = \"light\""]);
        state.saved(Ok("/home/me/.config/rpcscope/config.toml".to_owned()));
        let seen = screen(&state);
        assert!(
            seen.contains("kept in /home/me/.config/rpcscope/config.toml: columns, time, theme"),
            "{seen}"
        );
        assert_eq!(line(&mut state, "save"), [""; 0], "it is kept");
        keys(&mut state, "lls");
        assert_eq!(line(&mut state, "save"), ["sort = \"code desc\""]);
        state.saved(Err("config.toml is read-only".to_owned()));
        assert!(screen(&state).contains("not kept: config.toml is read-only"));
        assert_eq!(line(&mut state, "save"), ["sort = \"code desc\""], "it is not kept yet");
        assert_eq!(
            line(&mut state, "save columns"),
            [columns],
            "one that is asked for is written in any case"
        );
    }

    #[test]
    fn a_filter_is_kept_with_a_name_and_known_by_it() {
        let mut state = hundred();
        state.take_look(Look {
            filters: [("bad".to_owned(), "class == rpc".to_owned())].into(),
            ..Look::default()
        });
        for (typed, said) in [
            ("save filter slow", "there is no filter to keep"),
            ("save filter x y", "a name has 2 to 40 letters"),
            ("save filter", "a name has 2 to 40 letters"),
            ("save colums", "what is kept is columns, sort, time, theme or filter NAME"),
            ("save time now", "nothing follows time"),
        ] {
            assert_eq!(line(&mut state, typed), [""; 0]);
            assert!(state.prompt.as_ref().unwrap().error.as_ref().unwrap().message.contains(said), "{typed}");
            press(&mut state, KeyCode::Esc);
        }
        line(&mut state, "filter @bad and latency > 1s");
        assert_eq!(
            line(&mut state, "save filter slow"),
            ["filters.slow = \"(class == rpc) and latency > 1s\""]
        );
        assert!(state.cx.matcher.set_filter("@slow").is_err(), "it is not written yet");
        state.saved(Ok("config.toml".to_owned()));
        state.cx.matcher.set_filter("@slow").unwrap();
        line(&mut state, "filter code == 6");
        assert_eq!(line(&mut state, "save filter @slow"), ["filters.slow = \"code == 6\""]);
        state.saved(Ok("config.toml".to_owned()));
        let said = state.notice.clone().unwrap();
        assert!(said.ends_with("filter @slow, which was (class == rpc) and latency > 1s"), "{said}");
    }

    #[test]
    fn the_choice_of_columns_offers_to_keep_them() {
        let mut state = hundred();
        keys(&mut state, "C ");
        assert!(screen(&state).lines().last().unwrap().contains("s keep"), "{}", screen(&state));
        let effect = press(&mut state, KeyCode::Char('s'));
        let columns = "columns = [\"latency\", \"client\", \"server\", \"method\", \"verdict\"]";
        assert_eq!((lines(effect), state.chooser.is_none()), (vec![columns.to_owned()], true));
    }

    #[test]
    fn what_is_kept_is_there_at_the_next_start() {
        for (text, sort) in [
            ("sort = 'latency'", Some(("latency", true))),
            ("sort = 'client desc'", Some(("client", true))),
            ("sort = 'time asc'", None),
            ("", None),
        ] {
            let mut state = hundred();
            let config = crate::config::Config::read(text, std::path::Path::new("c"), None).unwrap();
            state.take_look(config.look);
            state.apply(Action::ShowAll);
            settle(&mut state);
            let found = state.views.calls.list.sort.map(|(column, down)| (cells::name(column), down));
            assert_eq!(found, sort, "{text}");
        }
        for name in Colors::NAMES {
            assert_eq!(Colors::name_of(Colors::from_name(name)), name);
        }
    }
}
