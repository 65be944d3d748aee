//! Reads the command line, and says of a wrong one what was probably meant: a command that is misspelt, an option of another
//! command, an option of tcpdump or tshark, a capture filter without `-f`.

use std::error::Error as _;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, CommandFactory as _, Error, FromArgMatches as _};

use super::foreign;
use crate::calls::keys::closest;
use crate::cli::Cli;
use crate::text;

/// The words with which a capture filter may begin (pcap-filter(7)).
const FILTER_WORDS: [&str; 24] = [
    "port",
    "portrange",
    "host",
    "net",
    "tcp",
    "udp",
    "ip",
    "ip6",
    "arp",
    "icmp",
    "icmp6",
    "sctp",
    "src",
    "dst",
    "not",
    "ether",
    "vlan",
    "mpls",
    "less",
    "greater",
    "inbound",
    "outbound",
    "broadcast",
    "multicast",
];

/// Reads the arguments, of which the first is the name of the program.
pub fn parse(arguments: &[OsString]) -> Result<Cli, Error> {
    let mut command = Cli::command();
    let arguments = &with_command_first(arguments, &command);
    match command.try_get_matches_from_mut(arguments) {
        Ok(matches) => {
            let line = Line { arguments, command: &command };
            line.check(&matches)?;
            Cli::from_arg_matches(&matches)
        }
        Err(error) => {
            // What was meant may be an option of any command.
            command.build();
            Err(Line { arguments, command: &command }.explained(error))
        }
    }
}

/// The arguments with the command before the options of all commands (`rpcscope --no-pager calls`, as with git), which clap takes only
/// behind it.
fn with_command_first(arguments: &[OsString], command: &Command) -> Vec<OsString> {
    let is_global = |word: &OsString| {
        let name = word.to_str().and_then(|word| word.strip_prefix("--"));
        name.is_some() && command.get_arguments().any(|arg| arg.is_global_set() && arg.get_long() == name)
    };
    let mut arguments = arguments.to_vec();
    let at = 1 + arguments.iter().skip(1).take_while(|word| is_global(word)).count();
    let is_command = |word: &OsString| command.get_subcommands().any(|command| command.get_name() == word);
    if arguments.get(at).is_some_and(is_command)
        && let Some(words) = arguments.get_mut(1..=at)
    {
        words.rotate_right(1);
    }
    arguments
}

/// A command line and the commands there are.
struct Line<'a> {
    arguments: &'a [OsString],
    command: &'a Command,
}

impl Line<'_> {
    /// Rejects what can be read, but was hardly meant so.
    fn check(&self, matches: &ArgMatches) -> Result<(), Error> {
        let (name, of) =
            matches.subcommand().map_or((None, matches), |(name, matches)| (Some(name), matches));
        let paths = |id| of.try_get_many::<PathBuf>(id).ok().flatten().into_iter().flatten();
        if let Some(instead) = paths("output").find_map(|path| foreign::instead_of_setting(path.to_str()?)) {
            return Err(self.wrong("-o names the file that is written", &instead));
        }
        if paths("include").next().is_some() && paths("idl").chain(paths("proto")).next().is_none() {
            let tip = "without them it has no meaning; there is no monitor mode";
            return Err(self.wrong("-I names a folder for the includes of --idl and --proto", tip));
        }
        let missing = |path: &&PathBuf| {
            path.as_os_str() != "-" && !path.as_os_str().is_empty() && path.symlink_metadata().is_err()
        };
        let is_command = |path: &&PathBuf| name.is_none() && self.is_command(path);
        if let Some(word) = paths("files").filter(missing).find(is_command) {
            return Err(self.misplaced(&word.to_string_lossy()));
        }
        let mut files = paths("files");
        let Some(first) = files.next().filter(missing).and_then(|path| path.to_str()) else {
            return Ok(());
        };
        if FILTER_WORDS.contains(&first) {
            let rest = files.filter(missing).filter_map(|path| path.to_str());
            let filter: Vec<&str> = std::iter::once(first).chain(rest).collect();
            let tip = format!("a capture filter is one argument of -f: -f {}", quoted(&filter.join(" ")));
            return Err(self.wrong(&format!("there is no file '{first}'"), &tip));
        }
        let commands = || self.commands().map(Command::get_name);
        if name.is_none()
            && let Some(meant) = closest(first, commands()).first()
        {
            let line = self.with_command(meant, first);
            let tip = format!("did you mean the command {meant}? {}", shown(&line));
            return Err(
                self.wrong(&format!("there is no command and no file '{}'", text::escape(first)), &tip)
            );
        }
        Ok(())
    }

    /// The commands that are shown.
    fn commands(&self) -> impl Iterator<Item = &Command> {
        self.command.get_subcommands().filter(|command| !command.is_hide_set())
    }

    fn is_command(&self, word: &Path) -> bool {
        self.commands().any(|command| Path::new(command.get_name()) == word)
    }

    /// A command that does not stand in front of its options.
    fn misplaced(&self, name: &str) -> Error {
        let line = self.with_command(name, name);
        let tip = format!("a command comes first: {}", shown(&line));
        self.wrong(&format!("there is no file '{name}'"), &tip)
    }

    /// The arguments with this command, in place of `word`.
    fn with_command(&self, name: &str, word: &str) -> Vec<OsString> {
        let mut rest: Vec<OsString> = self.arguments.iter().skip(1).cloned().collect();
        if let Some(at) = rest.iter().position(|argument| argument == word) {
            rest.remove(at);
        }
        [&["rpcscope".into(), name.into()], rest.as_slice()].concat()
    }

    fn wrong(&self, message: &str, tip: &str) -> Error {
        let mut command = self.command.clone();
        command.error(ErrorKind::InvalidValue, format!("{message}\n\n  tip: {tip}"))
    }

    /// Adds to an error what was probably meant.
    fn explained(&self, mut error: Error) -> Error {
        match error.kind() {
            ErrorKind::UnknownArgument => {
                let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
                    return error;
                };
                let tip = self.instead_of(option);
                // No value of ours looks like an option.
                error.remove(ContextKind::Suggested);
                if let Some(tip) = tip {
                    error.remove(ContextKind::SuggestedArg);
                    error.remove(ContextKind::SuggestedSubcommand);
                    return with_tip(error, tip);
                }
                error
            }
            ErrorKind::InvalidSubcommand => {
                let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else {
                    return error;
                };
                let meant = closest(word, self.commands().map(Command::get_name));
                match meant.first().map(|meant| format!("did you mean the command {meant}?")) {
                    Some(tip) => with_tip(error, tip),
                    None => error,
                }
            }
            ErrorKind::MissingRequiredArgument => match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(missing))
                    if missing.iter().any(|arg| arg.contains("--interface")) =>
                {
                    let tip =
                        "-s, -B, -p and -Z say how an interface is sniffed (-i); files are read as they are";
                    with_tip(error, tip.into())
                }
                _ => error,
            },
            ErrorKind::ValueValidation
                if error.source().and_then(|why| why.downcast_ref::<std::num::ParseIntError>()).is_some() =>
            {
                match (error.get(ContextKind::InvalidValue), error.get(ContextKind::InvalidArg)) {
                    (Some(value), Some(option)) => {
                        let wrong = format!("invalid value '{value}' for '{option}'");
                        self.wrong(&wrong, "a whole number is expected")
                    }
                    _ => error,
                }
            }
            ErrorKind::DisplayVersion if self.arguments.len() > 2 => {
                let instead = foreign::instead_of('V').unwrap_or_default();
                self.wrong("-V prints the version, and takes no other arguments", instead)
            }
            _ => error,
        }
    }

    /// What stands in for an option that the command does not have.
    fn instead_of(&self, option: &str) -> Option<String> {
        let option = option.split_once('=').map_or(option, |(option, _)| option);
        let current = self.current();
        let all = || std::iter::once(self.command).chain(self.commands());
        let others = || all().filter(|other| Some(other.get_name()) != current.map(Command::get_name));
        let having = |option: &str| -> Vec<&Command> {
            others().filter(|command| command.get_arguments().any(|arg| is_named(arg, option))).collect()
        };
        if let Some(short) = option.strip_prefix('-').filter(|rest| rest.chars().count() == 1)
            && let Some(instead) = short.chars().next().and_then(foreign::instead_of)
        {
            return Some(instead.to_owned());
        }
        let owners = having(option);
        if owners.is_empty() {
            let wrong = option.strip_prefix("--")?;
            if let Some(instead) = foreign::instead_of_long(wrong) {
                return Some(instead.to_owned());
            }
            let longs = || all().flat_map(Command::get_arguments).filter_map(clap::Arg::get_long);
            let meant = *closest(wrong, longs()).first()?;
            let place = match having(&format!("--{meant}")).first() {
                Some(owner) if !self.has(meant) => format!(" of {}", named(owner)),
                _ => String::new(),
            };
            return Some(format!("a similar option exists: --{meant}{place}"));
        }
        let runs = |owner: &&&Command| {
            let line = self.for_command(owner);
            Cli::command().try_get_matches_from(line).is_ok()
        };
        let names: Vec<String> = owners.iter().map(|owner| named(owner)).collect();
        let names = names.join(", ");
        Some(match owners.iter().find(runs) {
            Some(owner) => format!("{option} is an option of {names}: {}", shown(&self.for_command(owner))),
            None => format!("{option} is an option of {names}"),
        })
    }

    /// The command in the line.
    fn current(&self) -> Option<&Command> {
        let name = self.arguments.get(1)?.to_str()?;
        self.commands().find(|command| command.get_name() == name)
    }

    fn has(&self, long: &str) -> bool {
        let current = self.current().unwrap_or(self.command);
        current.get_arguments().any(|arg| arg.get_long() == Some(long))
    }

    /// The line with another command; the program itself stands for the interface, which has no name.
    fn for_command(&self, command: &Command) -> Vec<OsString> {
        let skipped = 1 + usize::from(self.current().is_some());
        let rest = self.arguments.iter().skip(skipped).cloned();
        let name = (command.get_name() != self.command.get_name()).then(|| command.get_name().into());
        std::iter::once("rpcscope".into()).chain(name).chain(rest).collect()
    }
}

fn with_tip(mut error: Error, tip: String) -> Error {
    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    error
}

fn named(command: &Command) -> String {
    match command.get_name() {
        "rpcscope" => "the interface".to_owned(),
        name => name.to_owned(),
    }
}

/// Whether the argument has this name, `--format` or `-Y`.
fn is_named(arg: &clap::Arg, option: &str) -> bool {
    if arg.is_hide_set() {
        return false;
    }
    match (option.strip_prefix("--"), option.strip_prefix('-')) {
        (Some(long), _) => arg.get_long() == Some(long),
        (None, Some(short)) => {
            let mut letters = short.chars();
            letters.next().is_some_and(|letter| arg.get_short() == Some(letter)) && letters.next().is_none()
        }
        _ => false,
    }
}

/// The line as a shell takes it.
fn shown(line: &[OsString]) -> String {
    let words: Vec<String> = line.iter().map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let word = text::escape(word);
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:,=@%+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.into_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(line: &[&str]) -> String {
        let arguments: Vec<OsString> =
            std::iter::once("rpcscope").chain(line.iter().copied()).map(OsString::from).collect();
        match parse(&arguments) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wrong_line_names_the_right_one() {
        for (line, right) in [
            (&["cals", "x.pcap"][..], "did you mean the command calls? rpcscope calls x.pcap"),
            (&["chain", "x.pcap", "-Y", "a b"], "rpcscope chains x.pcap -Y 'a b'"),
            (&["-i", "lo", "calls"], "a command comes first: rpcscope calls -i lo"),
            (&["-r", "x.pcap", "stats"], "a command comes first: rpcscope stats -r x.pcap"),
            (&["x.pcap", "calls"], "a command comes first: rpcscope calls x.pcap"),
            (&["x.pcap", "--format", "jsonl"], ": rpcscope calls x.pcap --format jsonl"),
            (&["x.pcap", "--format=jsonl"], ": rpcscope calls x.pcap --format=jsonl"),
            (&["stats", "x.pcap", "--metadata"], ": rpcscope calls x.pcap --metadata"),
            (&["calls", "x.pcap", "--log", "y"], ": rpcscope x.pcap --log y"),
            (&["calls", "x.pcap", "--summary"], ": rpcscope chains x.pcap --summary"),
            (&["calls", "x.pcap", "--summry"], "a similar option exists: --summary of chains"),
            (&["-i", "any", "port", "8888"], "a capture filter is one argument of -f: -f 'port 8888'"),
            (&["-r", "x.pcap", "tcp", "port", "80"], "-f 'tcp port 80'"),
            (&["-V", "-r", "x.pcap"], "rpcscope show ID FILE"),
            (&["--no-config", "calls", "x", "--summary"], ": rpcscope chains --no-config x --summary"),
            (&["-nX", "-r", "x.pcap"], "rpcscope show ID FILE"),
            (&["-r", "x.pcap", "-z", "io,stat,1"], "rpcscope stats FILE"),
            (&["-r", "x.pcap", "-T", "fields", "-e", "frame.time"], "--format"),
            (&["-r", "x.pcap", "-o", "tls.keylog_file:k"], "--tls-keylog k"),
            (&["-I", "wlan0", "-c", "1"], "monitor mode"),
            (&["-s", "0", "-r", "x.pcap"], "files are read as they are"),
            (&["-c", "many", "-r", "x.pcap"], "a whole number"),
            (&["help", "cals"], "did you mean the command calls?"),
            (&["x.pcap", "--json"], "rpcscope calls FILE --format jsonl"),
            (&["-r", "x.pcap", "--display-filter", "http"], "the filter of calls is -Y"),
            (&["calls", "x.pcap", "--verbose"], "rpcscope show ID FILE"),
        ] {
            let said = said(line);
            assert!(said.contains(right), "{line:?}: {said}");
            assert!(said.contains("  tip: "), "{said}");
        }
        let said = said(&["calls", "x.pcap", "--bogus"]);
        assert!(said.contains("'--bogus'") && !said.contains("as a value"), "{said}");
    }

    #[test]
    fn a_right_line_is_left_alone() {
        for line in [
            &["x.pcap"][..],
            &["missing", "x.pcap"],
            &["calls", "cals"],
            &["--no-pager", "--no-config", "calls", "x.pcap"],
            &["calls", "--no-pager", "x.pcap"],
            &["--no-pager", "x.pcap"],
            &["-n", "-r", "x.pcap"],
            &["-nn", "-l", "-r", "x.pcap", "-c", "7"],
            &["calls", "-d", "tcp.port==7101,trpc", "x.pcap"],
            &["calls", "x.pcap", "--idl", "a", "-I", "b"],
            &["calls", "x.pcap", "-o", "out:1"],
            &["explain", "port"],
        ] {
            assert_eq!(said(line), "", "{line:?}");
        }
    }
}
