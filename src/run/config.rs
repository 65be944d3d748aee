//! `rpcscope config`, and what the config file changes of a command line.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use super::{Failure, Status, output, ui};
use crate::cli::{
    CallsArgs, ChainsArgs, Cli, Command, ConfigArgs, Input, LogsArgs, ShowArgs, StatsArgs, Telemetry, View,
};
use crate::config::{self, Config};
use crate::sink::chains::ChainFormat;
use crate::sink::logs::LogFormat;
use crate::sink::{RecordFormat, StatsFormat, TimeFormat};
use crate::tui::Look;

/// Writes the config file with all keys as comments.
pub(super) fn run(args: ConfigArgs) -> Result<Status, Failure> {
    let path = path().map_err(Failure::Environment)?;
    if args.path {
        return output::print(format!("{}\n", path.display()).as_bytes()).map(|_| Status::default());
    }
    match write(&path) {
        Ok(()) => output::print(format!("wrote {}\n", path.display()).as_bytes()).map(|_| Status::default()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let why = format!("{} is there already; it is left as it is", path.display());
            Err(Failure::Environment(why))
        }
        Err(error) => Err(output::unwritable(&path.display().to_string(), &error)),
    }
}

/// Where the config file is.
pub(super) fn path() -> Result<PathBuf, String> {
    let found = config::path(|name| std::env::var_os(name));
    let none = || "there is no config file: RPCSCOPE_CONFIG is empty, or HOME is not set".to_owned();
    found.map(|(path, _)| path).ok_or_else(none)
}

fn write(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(Config::template().as_bytes())
}

/// What a person reads on a terminal of a command's output.
struct Seen<'c> {
    input: &'c mut Input,
    time: &'c mut Option<TimeFormat>,
    /// What is of the interface.
    look: Option<&'c mut Look>,
    /// Whether it goes only to the terminal: nothing of it is sent, written or becomes the exit status.
    alone: bool,
}

impl<'c> Seen<'c> {
    /// What is seen of a view; `None` if it goes to a file.
    fn of(view: &'c mut View, is_text: bool, telemetry: Option<&Telemetry>) -> Option<Self> {
        let is_seen = is_text && view.output.is_none();
        let is_sent = telemetry.is_some_and(Telemetry::asks);
        let View { input, time, look, fail_on, .. } = view;
        let alone = !is_sent && fail_on.is_empty();
        is_seen.then_some(Self { input, time, look: Some(look), alone })
    }

    fn fill(self, config: Config) {
        let Self { input, time, look, alone } = self;
        *time = time.or(config.time);
        if let Some(look) = look {
            *look = config.look;
        }
        // The -w file has verdicts as comments, or the secrets of connections that were decoded.
        if alone && !input.comments && !input.embed_secrets {
            input.names.extend(config.names.into_iter().filter(|path| path.exists()));
            // The first rule of a port counts.
            input.decode_as.extend(config.decode_as);
        }
    }
}

/// Fills what the command line leaves open from the config file, where a person looks at the result. What goes to files, pipes,
/// receivers of telemetry and scripts is the same with and without a config file.
pub(super) fn apply(cli: &mut Cli) -> Result<(), Failure> {
    if cli.no_config || !io::stdout().is_terminal() {
        return Ok(());
    }
    let is_interface = cli.command.is_none();
    let seen = match &mut cli.command {
        None if !cli.list_interfaces && ui::fits(&cli.live) => Seen::of(&mut cli.live, true, None),
        Some(Command::Calls(args)) => {
            let CallsArgs { view, format, telemetry, .. } = &mut **args;
            Seen::of(view, *format == RecordFormat::Text, Some(telemetry))
        }
        Some(Command::Stats(args)) => {
            let StatsArgs { view, format } = &mut **args;
            Seen::of(view, *format == StatsFormat::Text, None)
        }
        Some(Command::Chains(args)) => {
            let ChainsArgs { view, format, telemetry, .. } = &mut **args;
            Seen::of(view, *format == ChainFormat::Text, Some(telemetry))
        }
        Some(Command::Logs(args)) => {
            let LogsArgs { view, format, .. } = &mut **args;
            Seen::of(view, *format == LogFormat::Text, None)
        }
        Some(Command::Show(args)) => {
            let ShowArgs { input, time, .. } = &mut **args;
            Some(Seen { input, time, look: None, alone: true })
        }
        _ => None,
    };
    if let Some(mut seen) = seen {
        // Names in the filters of other commands are mistakes, on a terminal as in a pipe.
        seen.look = seen.look.filter(|_| is_interface);
        seen.input.keeps_config = is_interface;
        seen.fill(Config::load(|name| std::env::var_os(name)).map_err(Failure::Usage)?);
    }
    Ok(())
}
