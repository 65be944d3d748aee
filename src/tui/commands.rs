//! The one table of commands that `:` takes: what a command does, its line on the help page, and what completes its argument.

use super::keys::Action;
use super::state::State;
use super::state::command::{self, Done};
use super::state::keep;
use super::theme::Colors;
use super::views::calls::cells;
use crate::config::KEPT;
use crate::sink::TimeFormat;

/// A command.
#[derive(Debug)]
pub(super) struct Command {
    pub name: &'static str,
    /// What follows it, in words; empty if nothing does.
    pub argument: &'static str,
    /// What it does, for the help page.
    pub help: &'static str,
    pub completes: Completes,
    pub run: fn(&mut State, &str) -> Done,
}

/// What completes the argument of a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Completes {
    Nothing,
    /// The language of filters.
    Filter,
    /// These words, of which several may follow each other with commas.
    Words(fn(&State) -> Vec<String>),
}

const fn command(
    (name, argument): (&'static str, &'static str),
    run: fn(&mut State, &str) -> Done,
    completes: Completes,
    help: &'static str,
) -> Command {
    Command { name, argument, help, completes, run }
}

/// All commands, in the order of the help page.
#[rustfmt::skip]
pub(super) static COMMANDS: &[Command] = &[
    command(("goto", "TIME"), command::go_to, Completes::Nothing, "to a time: 01:34:09, 2026-11-22T01:34:09 or +12.5 (seconds)"),
    command(("filter", "EXPR"), command::filter, Completes::Filter, "filter calls (the language of -Y); without EXPR: no filter"),
    command(("export", "FILE"), command::export, Completes::Nothing, "export the shown calls, the marked ones or this one"),
    command(("columns", "NAMES"), command::columns, Completes::Words(|_| cells::names()), "columns of Calls in order, with commas; none: the usual ones"),
    command(("slowest", ""), |state, _| Ok(state.show_top(true)), Completes::Nothing, "the slowest calls first, also while calls come"),
    command(("newest", ""), |state, _| Ok(state.show_top(false)), Completes::Nothing, "only failed calls, the newest first, also while calls come"),
    command(("time", "FORMAT"), command::time, Completes::Words(|_| TimeFormat::names().into_iter().map(str::to_owned).collect()), "times: local, date, utc, utc-date, relative, delta, epoch"),
    command(("theme", "NAME"), keep::theme, Completes::Words(|_| Colors::NAMES.map(str::to_owned).to_vec()), "the colours; Tab lists them"),
    command(("save", "WHAT"), keep::save, Completes::Words(|_| [&KEPT[..], &["filter"]].concat().into_iter().map(str::to_owned).collect()), "keep choices: columns, sort, time, theme; or filter NAME"),
    command(("help", ""), |state, _| Ok(state.apply(Action::Help)), Completes::Nothing, "the help page"),
    command(("quit", ""), |state, _| Ok(state.apply(Action::Quit)), Completes::Nothing, "quit"),
];

/// The command of that name, or of that beginning of one name only.
pub(super) fn find(name: &str) -> Option<&'static Command> {
    let mut begin = COMMANDS.iter().filter(|command| command.name.starts_with(name));
    let only = begin.next().filter(|_| begin.next().is_none());
    COMMANDS.iter().find(|command| command.name == name).or(only).filter(|_| !name.is_empty())
}

/// The commands for the help page, as [`super::keys::Keys::help`] has the keys.
pub(super) fn help() -> impl Iterator<Item = (String, &'static str)> {
    COMMANDS.iter().map(|command| {
        let argument = if command.argument.is_empty() { "" } else { " " };
        (format!(":{}{argument}{}", command.name, command.argument), command.help)
    })
}
