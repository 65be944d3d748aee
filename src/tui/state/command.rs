//! The line that begins with `:`, and what its commands do.

use std::ops::Range;

use jiff::civil;

use super::prompt::Purpose;
use super::{Effect, State};
use crate::calls::keys::closest;
use crate::filter::{Candidate, Completion, FilterError};
use crate::sink::TimeFormat;
use crate::time::Timestamp;
use crate::tui::commands::{COMMANDS, Completes, find};
use crate::tui::keys::Action;
use crate::tui::views::calls::cells;
use crate::tui::views::{View as _, ViewId};

/// What a command has done: what the state can't do by itself, or what is wrong with its argument, and where.
pub(in crate::tui) type Done = Result<Option<Effect>, FilterError>;

/// A mistake in a range of `line`.
pub(in crate::tui) fn wrong(line: &str, span: Range<usize>, message: impl Into<String>) -> FilterError {
    FilterError { text: line.to_owned(), span, message: message.into(), hint: None }
}

/// Name and argument of a command with the place of the argument in the line. A time stands for `goto` and itself.
fn parts(line: &str) -> (&str, usize) {
    let begin = line.len() - line.trim_start().len();
    if line[begin..].starts_with(|c: char| c.is_ascii_digit() || c == '+') {
        return ("goto", begin);
    }
    let end = line[begin..].find(char::is_whitespace).map_or(line.len(), |at| begin + at);
    let argument = line.len() - line[end..].trim_start().len();
    (&line[begin..end], argument)
}

impl State {
    /// Does what the line says.
    pub(super) fn run_command(&mut self, line: &str) -> Done {
        let (name, at) = parts(line);
        if name.is_empty() {
            return Ok(None);
        }
        let Some(command) = find(name) else {
            let begin = line.len() - line.trim_start().len();
            let mut error = wrong(line, begin..begin + name.len(), format!("there is no command '{name}'"));
            let begun = COMMANDS.iter().map(|command| command.name).filter(|known| known.starts_with(name));
            let begun: Vec<&str> = begun.collect();
            error.hint = match begun.as_slice() {
                [] => {
                    let near = closest(name, COMMANDS.iter().map(|command| command.name));
                    let meant = near.first().map(|near| format!("did you mean {near}?"));
                    meant.or_else(|| Some("Tab on an empty line lists them".to_owned()))
                }
                begun => Some(format!("did you mean {}?", begun.join(" or "))),
            };
            return Err(error);
        };
        let argument = line[at..].trim_end();
        if command.argument.is_empty() && !argument.is_empty() {
            return Err(wrong(line, at..line.len(), format!("nothing follows {}", command.name)));
        }
        (command.run)(self, argument).map_err(|error| {
            let span = at + error.span.start..at + error.span.end;
            FilterError { text: line.to_owned(), span, ..error }
        })
    }

    /// Completes a command or its argument at the cursor.
    pub(super) fn complete_command(&self, line: &str, cursor: usize) -> Completion {
        let (name, at) = parts(line);
        if cursor < at || at == line.len() && !line.ends_with(char::is_whitespace) {
            let begin = line.len() - line.trim_start().len();
            let names = COMMANDS.iter().filter(|command| command.name.starts_with(name));
            let candidates =
                names.map(|command| Candidate { text: command.name.to_owned(), doc: command.help });
            return Completion { span: begin..begin + name.len(), candidates: candidates.collect() };
        }
        match find(name).map(|command| command.completes) {
            Some(Completes::Filter) => {
                let completion = self.complete_filter(&line[at..], cursor - at);
                let span = at + completion.span.start..at + completion.span.end;
                Completion { span, ..completion }
            }
            Some(Completes::Words(words)) => {
                let begin = line[..cursor].rfind([',', ' ']).map_or(at, |before| before + 1).max(at);
                let word = &line[begin..cursor];
                let words = words(self).into_iter().filter(|known| known.starts_with(word));
                let candidates = words.map(|text| Candidate { text, doc: "" }).collect();
                Completion { span: begin..cursor, candidates }
            }
            Some(Completes::Nothing) | None => Completion { span: cursor..cursor, candidates: Vec::new() },
        }
    }

    /// Goes to the first call that began at this time or later.
    pub(super) fn go_to_time(&mut self, time: Timestamp) {
        self.show(ViewId::Calls);
        let was_sorted = self.views.calls.list.sort.is_some();
        let found = self.views.calls.go_to_time(time);
        self.notice = match (found, was_sorted) {
            (false, _) if self.views.calls.len() == 0 => Some("no calls here".to_owned()),
            (false, _) => Some("no call began then or later: this is the last one".to_owned()),
            (true, true) => Some("rows are in the order of time again".to_owned()),
            (true, false) => None,
        };
    }

    /// Shows the slowest calls first, or only the failed ones, the newest first. Always [`None`]: nothing is left to be done.
    pub(in crate::tui) fn show_top(&mut self, slowest: bool) -> Option<Effect> {
        self.show(ViewId::Calls);
        if !slowest {
            self.cx.matcher.only_failed();
            self.rematch();
        }
        self.views.calls.show_top(&self.cx, slowest);
        let (all, sort) = (self.cx.key(Action::ShowAll), self.cx.key(Action::Sort));
        let order = if slowest { "the slowest first" } else { "failed calls, the newest first" };
        self.notice = Some(format!("{order}: {all} shows all, {sort} changes the order"));
        None
    }

    /// The time that a text means: a date, a time of day, or both, in the zone of the screen; `+` seconds since the first call.
    fn time_of(&self, text: &str) -> Option<Timestamp> {
        let first = self.cx.total.first.unwrap_or_default();
        if let Some(seconds) = text.strip_prefix('+') {
            let seconds: f64 = seconds.trim_end_matches('s').parse().ok().filter(|s: &f64| *s >= 0.0)?;
            return Some(Timestamp(first.0.saturating_add((seconds * 1e9) as i64)));
        }
        let zone = self.cx.time.zone();
        let instant = |at: civil::DateTime| {
            let nanoseconds = at.to_zoned(zone.clone()).ok()?.timestamp().as_nanosecond();
            i64::try_from(nanoseconds).ok().map(Timestamp)
        };
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return i64::try_from(instant.as_nanosecond()).ok().map(Timestamp);
        }
        let Ok(time) = text.parse::<civil::Time>() else { return instant(text.parse().ok()?) };
        // The first such time of day in the capture.
        let begin = jiff::Timestamp::from_nanosecond(first.0.into()).ok()?;
        let today = zone.to_datetime(begin).date();
        let times = [Some(today), today.tomorrow().ok()];
        let mut times = times.into_iter().flatten().filter_map(|date| instant(date.to_datetime(time)));
        let early = times.next()?;
        let last = self.cx.total.last.unwrap_or_default();
        Some(times.next().filter(|late| early < first && *late <= last).unwrap_or(early))
    }
}

/// `:goto TIME`
pub(in crate::tui) fn go_to(state: &mut State, argument: &str) -> Done {
    let time = state.time_of(argument).ok_or_else(|| {
        wrong(argument, 0..argument.len(), "a time is 01:34:09, 2026-11-22T01:34:09 or +12.5 (seconds)")
    })?;
    state.go_to_time(time);
    Ok(None)
}

/// `:filter EXPR`
pub(in crate::tui) fn filter(state: &mut State, argument: &str) -> Done {
    state.cx.matcher.set_filter(argument)?;
    state.history.keep(Purpose::Filter, argument);
    state.rematch();
    if state.cx.matcher.needs_bodies() {
        state.ask_for_bodies();
    }
    Ok(None)
}

/// `:export FILE`
pub(in crate::tui) fn export(state: &mut State, argument: &str) -> Done {
    state.ask_for_file();
    if argument.is_empty() {
        return Ok(None);
    }
    let Some(prompt) = &mut state.prompt else {
        return Err(wrong(argument, 0..argument.len(), "no calls here to export"));
    };
    prompt.insert(argument);
    Ok(state.write_file())
}

/// `:columns NAME,NAME`
pub(in crate::tui) fn columns(state: &mut State, argument: &str) -> Done {
    let mut chosen = Vec::new();
    let mut at = 0;
    for part in argument.split_inclusive([',', ' ']) {
        let name = part.trim_end_matches([',', ' ']);
        let span = at..at + name.len();
        at += part.len();
        if name.is_empty() {
            continue;
        }
        let Some(column) = cells::named(name) else {
            let names = cells::names();
            let near = closest(name, names.iter().map(String::as_str))
                .first()
                .map(|near| format!("did you mean {near}?"));
            return Err(FilterError {
                hint: near,
                ..wrong(argument, span, format!("there is no column '{name}'"))
            });
        };
        if !chosen.contains(&column) {
            chosen.push(column);
        }
    }
    state.views.calls.chosen = chosen;
    state.show(ViewId::Calls);
    Ok(None)
}

/// `:time FORMAT`
pub(in crate::tui) fn time(state: &mut State, argument: &str) -> Done {
    state.cx.time = TimeFormat::from_name(argument).ok_or_else(|| {
        let names = TimeFormat::names().join(", ");
        wrong(argument, 0..argument.len(), format!("formats are {names}"))
    })?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyCode;

    use super::*;
    use crate::calls::Class;
    use crate::tui::commands;
    use crate::tui::keys::{Key, Keys};
    use crate::tui::state::testing::{self, START, call, send, settle, state};

    fn press(state: &mut State, code: KeyCode) -> Option<Effect> {
        let effect = state.key(Key { code, control: false, shift: false });
        settle(state);
        effect
    }

    fn line(state: &mut State, line: &str) -> Option<Effect> {
        state.prompt = None;
        press(state, KeyCode::Char(':'));
        line.chars().for_each(|c| _ = press(state, KeyCode::Char(c)));
        press(state, KeyCode::Enter)
    }

    fn selected(state: &State) -> u64 {
        state.views.calls.selected(&state.cx).unwrap().1.uid.packet / 2
    }

    /// Forty calls, one each second from 01:34:09.12 on.
    fn forty() -> State {
        let mut state = state(80, 24);
        let calls = (0..40).map(|n| {
            let mut call = call(n);
            call.start = Timestamp(START + n as i64 * 1_000_000_000);
            call.end = call.start;
            call
        });
        send(&mut state, calls);
        state
    }

    #[test]
    fn times_lead_to_their_calls() {
        let mut state = forty();
        for (typed, call) in [
            ("01:34:20", 11),
            ("goto 01:34:12.12", 3),
            ("2026-01-02T01:34:15", 6),
            ("goto 2026-01-02 01:34:16", 7),
            ("goto 2026-01-02T02:34:16+01:00", 7),
            ("+4.5", 5),
            ("01:34", 0),
            ("2026-01-02", 0),
        ] {
            line(&mut state, typed);
            assert!(state.prompt.is_none() && state.notice.is_none(), "{typed} {:?}", state.notice);
            assert_eq!(selected(&state), call, "{typed}");
        }
        line(&mut state, "01:35");
        assert_eq!(selected(&state), 39);
        assert!(state.notice.as_deref().unwrap().contains("the last one"));
        // From every view and order.
        for c in "1hss".chars() {
            press(&mut state, KeyCode::Char(c));
        }
        assert!(state.views.calls.list.sort.is_some());
        press(&mut state, KeyCode::Char('3'));
        line(&mut state, "01:34:20");
        assert_eq!((state.view_id, selected(&state)), (ViewId::Calls, 11));
    }

    #[test]
    fn a_time_of_day_that_has_passed_is_the_next_days() {
        let mut state = forty();
        let mut late = call(50);
        late.start = Timestamp(START + 86_400_000_000_000);
        late.end = late.start;
        send(&mut state, [late]);
        line(&mut state, "01:00");
        assert_eq!(selected(&state), 50);
        line(&mut state, "01:34:10");
        assert_eq!(selected(&state), 1);
    }

    #[test]
    fn mistakes_are_shown_where_they_are_and_the_line_stays() {
        let mut state = forty();
        for (typed, span, word) in [
            ("fliter x", 0..6, "did you mean filter"),
            ("filter clas == ok", 7..11, "class"),
            ("t utc", 0..1, "did you mean time or theme?"),
            ("goto soon", 5..9, "a time is"),
            ("1:99", 0..4, "a time is"),
            ("time x", 5..6, "relative"),
            ("quit now", 5..8, "nothing follows"),
            ("columns time,clas,code", 13..17, "did you mean class"),
        ] {
            assert!(line(&mut state, typed).is_none());
            let error = state.prompt.as_ref().unwrap().error.clone().unwrap();
            assert_eq!(error.span, span, "{typed}");
            assert!(error.to_string().contains(word), "{error}");
        }
        press(&mut state, KeyCode::Char('x'));
        assert!(state.prompt.as_ref().unwrap().error.is_none());
    }

    #[test]
    fn commands_and_arguments_are_completed() {
        let mut state = forty();
        for (typed, made) in [
            ("g", "goto "),
            ("fi", "filter "),
            ("filter metho", "filter method "),
            ("time re", "time relative "),
            ("time local,re", "time local,relative "),
            ("x", "x"),
        ] {
            state.prompt = None;
            press(&mut state, KeyCode::Char(':'));
            typed.chars().for_each(|c| _ = press(&mut state, KeyCode::Char(c)));
            press(&mut state, KeyCode::Tab);
            assert_eq!(state.prompt.as_ref().unwrap().text(), made);
        }
    }

    #[test]
    fn commands_do_what_they_say() {
        let mut state = forty();
        line(&mut state, "filter class == business");
        assert_eq!((state.cx.matcher.text(), state.views.calls.len()), ("class == business", 0));
        line(&mut state, "filter");
        assert!(!state.cx.matcher.is_active() && state.views.calls.len() == 40);
        line(&mut state, "time delta");
        assert_eq!(state.cx.time, TimeFormat::Delta);
        assert!(
            matches!(line(&mut state, "export a.jsonl"), Some(Effect::Export(calls, _)) if calls.len() == 40)
        );
        line(&mut state, "columns code, time,request_bytes,code");
        let heads =
            |state: &State| state.views.calls.columns(80).iter().map(|p| p.column.head).collect::<Vec<_>>();
        assert_eq!(heads(&state), ["code", "time", "request_bytes"]);
        press(&mut state, KeyCode::Char('C'));
        let chooser = state.chooser.as_ref().unwrap();
        assert_eq!(chooser.rows.iter().filter(|(_, is_shown)| *is_shown).count(), 3);
        press(&mut state, KeyCode::Esc);
        line(&mut state, "columns");
        assert_eq!(heads(&state)[0], "time");
        assert!(matches!(line(&mut state, "q"), Some(Effect::Quit)));
        assert!(line(&mut state, "").is_none() && state.prompt.is_none());
        line(&mut state, "help");
        assert!(state.help.is_some());
    }

    #[test]
    fn the_slowest_calls_and_the_newest_failures_stay_on_top_as_calls_come() {
        let slow = |n: u64, ms: u64| {
            let mut call = if n.is_multiple_of(2) { call(n) } else { testing::failed(n, Class::Rpc, 6, "") };
            call.latency = Some(ms * 1_000_000);
            call
        };
        let mut state = state(80, 24);
        send(&mut state, [slow(0, 5), slow(1, 9), slow(2, 1), slow(3, 2)]);
        line(&mut state, "slowest");
        assert_eq!(selected(&state), 1);
        send(&mut state, [slow(4, 100)]);
        state.refresh();
        assert_eq!((selected(&state), state.views.calls.list.top), (4, 0));
        line(&mut state, "newest");
        assert_eq!((selected(&state), state.views.calls.len()), (3, 2));
        send(&mut state, [slow(5, 100), slow(6, 1)]);
        state.refresh();
        assert_eq!((selected(&state), state.views.calls.len()), (5, 3));
    }

    #[test]
    fn every_command_is_on_the_help_page_and_its_name_is_its_own() {
        let help = Keys::default().help();
        for command in COMMANDS {
            assert!(
                help.iter()
                    .any(|(keys, text)| keys.starts_with(&format!(":{}", command.name))
                        && *text == command.help)
            );
            assert_eq!(commands::find(command.name).map(|found| found.name), Some(command.name));
        }
    }
}
