//! `rpcscope config`, and what the config file changes of a command line.

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write as _};
use std::path::Path;

use super::{Failure, Status, output, ui};
use crate::cli::{Cli, Command, ConfigArgs, Input, View};
use crate::config::{self, Config};
use crate::sink::chains::ChainFormat;
use crate::sink::logs::LogFormat;
use crate::sink::{RecordFormat, StatsFormat};

/// Writes the config file with all keys as comments.
pub(super) fn run(args: ConfigArgs) -> Result<Status, Failure> {
    let Some((path, _)) = config::path(|name| std::env::var_os(name)) else {
        let why = "there is no config file: RPCSCOPE_CONFIG is empty, or HOME is not set".to_owned();
        return Err(Failure::Environment(why));
    };
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

fn write(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    File::create_new(path)?.write_all(Config::template().as_bytes())
}

/// What a person reads on a terminal of a command's output.
struct Seen<'c> {
    view: Option<&'c mut View>,
    input: Option<&'c mut Input>,
}

/// Fills what the command line leaves open from the config file, where a person looks at the result. What goes to files, pipes and
/// scripts is the same with and without a config file, which is not even read for it.
pub(super) fn apply(cli: &mut Cli) -> Result<(), Failure> {
    if cli.no_config || !io::stdout().is_terminal() {
        return Ok(());
    }
    let is_seen = |view: &View| view.output.is_none();
    let mut time = None;
    let seen = match &mut cli.command {
        None if !cli.list_interfaces && ui::fits(&cli.live) => {
            Seen { view: Some(&mut cli.live), input: None }
        }
        Some(Command::Calls(args)) if args.format == RecordFormat::Text && is_seen(&args.view) => {
            Seen { view: Some(&mut args.view), input: None }
        }
        Some(Command::Stats(args)) if args.format == StatsFormat::Text && is_seen(&args.view) => {
            Seen { view: Some(&mut args.view), input: None }
        }
        Some(Command::Chains(args)) if args.format == ChainFormat::Text && is_seen(&args.view) => {
            Seen { view: Some(&mut args.view), input: None }
        }
        Some(Command::Logs(args)) if args.format == LogFormat::Text && is_seen(&args.view) => {
            Seen { view: Some(&mut args.view), input: None }
        }
        Some(Command::Show(args)) => {
            time = Some(&mut args.time);
            Seen { view: None, input: Some(&mut args.input) }
        }
        _ => return Ok(()),
    };
    let config = Config::load(|name| std::env::var_os(name)).map_err(Failure::Usage)?;
    let input = match seen {
        Seen { view: Some(view), .. } => {
            view.time = view.time.or(config.time);
            view.theme = config.theme;
            Some(&mut view.input)
        }
        Seen { view: None, input } => input,
    };
    if let Some(time) = time {
        *time = time.or(config.time);
    }
    if let Some(input) = input {
        input.names.extend(config.names.into_iter().filter(|path| path.exists()));
        // The first rule of a port counts.
        input.decode_as.extend(config.decode_as);
    }
    Ok(())
}
