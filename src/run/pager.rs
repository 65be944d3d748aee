//! Output on a terminal goes through the user's pager, which shows what is longer than the screen.
//!
//! It is started before the sandbox forbids programs, and gets the text through a pipe. While it owns the screen, messages wait for
//! its end. Live runs have none: their lines are watched as they come.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signal_hook::consts::SIGINT;

use super::complain;

/// The pager of those who have chosen none: it ends at once if all fits on the screen, keeps colours, and leaves the text there.
const USUAL: &str = "less -FRX";

/// What `less` does where its user has set nothing, as with git.
const LESS: &str = "FRX";

/// The exit status of a shell that can't execute a command, or can't find it (POSIX.1-2017, Shell Command Language, 2.8.2).
const NOT_STARTED: [i32; 2] = [126, 127];

/// A running pager.
struct Pager {
    /// As the user chose it.
    line: String,
    child: Child,
    input: File,
    /// Messages that wait for its end.
    messages: Vec<String>,
}

/// Whether the user wants one at all.
static WANTED: AtomicBool = AtomicBool::new(true);

static RUNNING: Mutex<Option<Pager>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Pager>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Says whether the user wants a pager (`--no-pager`).
pub(super) fn want(is_wanted: bool) {
    WANTED.store(is_wanted, Ordering::Relaxed);
}

/// Starts the pager, if standard output is a terminal and the user wants one. Call this before the sandbox is entered.
pub(super) fn start() {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if !WANTED.load(Ordering::Relaxed) || !io::stdout().is_terminal() || is_dumb || running().is_some() {
        return;
    }
    let chosen = std::env::var("PAGER").ok();
    let line = chosen.as_deref().unwrap_or(USUAL).trim();
    if line.is_empty() || line == "cat" {
        return;
    }
    let mut command = command(line);
    if std::env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    match command.stdin(Stdio::piped()).spawn() {
        Ok(mut child) => {
            let Some(input) = child.stdin.take() else { return };
            let input = File::from(OwnedFd::from(input));
            *running() = Some(Pager { line: line.to_owned(), child, input, messages: Vec::new() });
        }
        // Not every system has less.
        Err(_) if chosen.is_none() => {}
        Err(error) => complain(&format!("the pager '{line}' (PAGER) can't be started: {error}")),
    }
}

/// The command of a pager; what is more than words is for the shell.
fn command(line: &str) -> Command {
    if line.contains(|c: char| !c.is_alphanumeric() && !" -_./+:,@".contains(c)) {
        let mut command = Command::new("sh");
        command.args(["-c", line]);
        return command;
    }
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(line));
    command.args(words);
    command
}

/// Where the pager takes its text, if one runs.
pub(super) fn input() -> Option<File> {
    running().as_ref().and_then(|pager| pager.input.try_clone().ok())
}

/// Keeps a message until the pager ends; `false` if none runs.
pub(super) fn hold(message: &str) -> bool {
    running().as_mut().is_some_and(|pager| {
        pager.messages.push(message.to_owned());
        true
    })
}

/// Ends the text and waits until the user has left the pager.
pub(super) fn end() {
    let Some(Pager { line, mut child, input, messages }) = running().take() else { return };
    drop(input);
    // Ctrl-C is for the pager now; without it, the shell would come back while the pager reads its keys.
    _ = signal_hook::flag::register(SIGINT, Arc::default());
    // A pager that can't be waited for has ended.
    let code = child.wait().ok().and_then(|status| status.code());
    if let Some(code) = code.filter(|code| NOT_STARTED.contains(code)) {
        complain(&format!(
            "the pager '{line}' (PAGER) failed with status {code}: --no-pager prints without it"
        ));
    }
    for message in &messages {
        complain(message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pager_of_words_needs_no_shell() {
        let parts = |line: &str| {
            let command = command(line);
            let words = std::iter::once(command.get_program()).chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(parts("less -FRX"), ["less", "-FRX"]);
        assert_eq!(parts("/usr/bin/most"), ["/usr/bin/most"]);
        for line in ["col -b | less", "less --prompt='a b'", "LESS=R less"] {
            assert_eq!(parts(line), ["sh", "-c", line]);
        }
    }
}
