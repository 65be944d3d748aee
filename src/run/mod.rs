//! The commands: they connect sources, pipeline and outputs, and return the exit status. [`runner`] holds what they share.

mod beside;
mod bodies;
mod calls;
mod chains;
mod comments;
mod completions;
mod config;
mod embed;
mod evidence;
mod explain;
mod export;
mod input;
mod interfaces;
mod judge;
mod linked;
mod linker;
mod linking;
mod logs;
mod man;
mod memory;
mod output;
mod pager;
#[cfg(feature = "parquet")]
mod record;
mod report;
mod rights;
mod runner;
mod show;
mod signals;
mod stats;
mod telemetry;
mod ui;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};

/// The result of a run; becomes the exit status.
#[derive(Debug, Default)]
pub struct Status {
    /// An input could not be read to its end.
    pub input_failed: bool,
    /// Some of the output could not be written.
    pub output_failed: bool,
    /// A call of a class named with `--fail-on` was seen.
    pub matched: bool,
    /// The calls that were asked for are not in the files.
    pub found_nothing: bool,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        match status {
            Status { input_failed: true, .. }
            | Status { output_failed: true, .. }
            | Status { found_nothing: true, .. } => Self::from(1),
            Status { matched: true, .. } => Self::from(3),
            Status { .. } => Self::SUCCESS,
        }
    }
}

/// A run that could not start or continue: what happened, to which file, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong usage: exit status 2.
    #[error("{0}")]
    Usage(String),
    /// The output can't be written, or the environment forbids the run: exit status 1.
    #[error("{0}")]
    Environment(String),
}

impl Failure {
    fn exit(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Environment(_) => ExitCode::from(1),
        }
    }
}

/// Runs the command.
#[must_use]
pub fn main(mut cli: Cli) -> ExitCode {
    cli.live.input.logs = std::mem::take(&mut cli.logs);
    if let Err(failure) = config::apply(&mut cli) {
        complain(&failure.to_string());
        return failure.exit();
    }
    pager::want(!cli.no_pager);
    let result = match cli.command {
        Some(Command::Calls(args)) => calls::run(&args),
        Some(Command::Stats(args)) => stats::run(&args),
        Some(Command::Chains(args)) => chains::run(&args),
        Some(Command::Judge(args)) => judge::run(&args),
        #[cfg(feature = "parquet")]
        Some(Command::Record(args)) => record::run(&args),
        Some(Command::Show(args)) => show::run(&args),
        Some(Command::Export(view)) => export::run(&view),
        Some(Command::Interfaces) => interfaces::run(),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Logs(args)) => logs::run(&args),
        Some(Command::Config(args)) => config::run(args),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Completions { shell }) => completions::run(shell),
        Some(Command::Man(args)) => man::run(&args),
        None if cli.list_interfaces => interfaces::run(),
        None if ui::fits(&cli.live) => ui::run(&cli.live, &cli.linking),
        None if !cli.live.input.logs.is_empty() => {
            Err(Failure::Usage("--log marks calls in the interface, which needs a terminal".into()))
        }
        None => {
            calls::run(&crate::cli::CallsArgs { view: cli.live, linking: cli.linking, ..Default::default() })
        }
    };
    pager::end();
    match result {
        Ok(status) => status.into(),
        Err(failure) => {
            complain(&failure.to_string());
            failure.exit()
        }
    }
}

/// Prints what the command line asked for instead of a run, such as help, or what is wrong with it.
#[must_use]
pub fn conclude_without_run(text: &clap::Error) -> ExitCode {
    match text.print().and_then(|()| io::stdout().flush()) {
        Err(error) if !text.use_stderr() && !crate::sink::closed_pipe(&error) => {
            let failure = output::unwritable("standard output", &error);
            complain(&failure.to_string());
            failure.exit()
        }
        _ => ExitCode::from(u8::try_from(text.exit_code()).unwrap_or(2)),
    }
}

/// Prints a message on standard error, escaped for terminals. Only its first line names the program.
fn complain(text: &str) {
    if pager::hold(text) {
        return;
    }
    let mut err = io::stderr().lock();
    for (at, line) in text.lines().enumerate() {
        let name = if at == 0 { "rpcscope: " } else { "" };
        // If standard error is closed, the message can't be delivered.
        let _ = writeln!(err, "{name}{}", crate::text::escape(line));
    }
}
