//! The config file: what a person wants to see always, in the interface and in text on a terminal.
//!
//! It is TOML at `$XDG_CONFIG_HOME/rpcscope/config.toml`, or `~/.config/rpcscope/config.toml`
//! (XDG Base Directory Specification 0.8). What goes to files, pipes and other programs never depends on it.
//!
//! [`KEYS`] is the table of its keys: `rpcscope config` writes the file from it, and a mistyped key is answered from it. A key needs
//! its row there and its arm in [`Config::set`].

mod change;
mod read;
mod save;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub use change::{Change, KEPT};
pub use save::{folder, real, save};

use crate::calls::keys::closest;
use crate::dispatch::DecodeAs;
use crate::filter::{self, Filter};
use crate::sink::TimeFormat;
use crate::text;
use crate::tui::{self, Colors, Keys, Look};

use read::{Document, Entry};

/// The variable that names another file, or none if it is empty.
const VARIABLE: &str = "RPCSCOPE_CONFIG";

/// What the file says. Defaults are those of the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// What is of the interface.
    pub look: Look,
    /// The format of times, where `-t` does not say it.
    pub time: Option<TimeFormat>,
    /// Files of names beside those of `--names`.
    pub names: Vec<PathBuf>,
    /// Rules beside those of `--decode-as`, which override them.
    pub decode_as: Vec<DecodeAs>,
}

/// A key of the file.
struct Key {
    name: &'static str,
    /// Its value where the file does not have it, as TOML; for lists, an example.
    value: &'static str,
    /// What it does, in lines.
    doc: &'static [&'static str],
}

/// All keys, in the order in which the file has them.
const KEYS: [Key; 8] = [
    Key {
        name: "theme",
        value: "\"auto\"",
        doc: &[
            "Colours of the interface: auto (as the terminal can), 16 (its own colours), dark, light, high-contrast,",
            "colour-blind, none. NO_COLOR and --color never override it.",
        ],
    },
    Key {
        name: "time",
        value: "\"local\"",
        doc: &["How times are shown, as -t: local, utc, date, utc-date, relative, delta, epoch."],
    },
    Key {
        name: "names",
        value: "[\"~/hosts.csv\"]",
        doc: &["Names of addresses, as --names. Files that are not there are no error."],
    },
    Key {
        name: "decode-as",
        value: "[\"9000=trpc\", \"udp:9000=none\"]",
        doc: &["Protocols of ports, as --decode-as, whose rules override these."],
    },
    Key {
        name: "columns",
        value: "[\"time\", \"latency\", \"client\", \"server\", \"method\", \"verdict\"]",
        doc: &[
            "Columns of Calls in the interface, in their order: those of `:columns`, where Tab lists them.",
        ],
    },
    Key {
        name: "sort",
        value: "\"latency desc\"",
        doc: &[
            "The column by which Calls are sorted, and asc or desc; without this key they are in the order of time.",
        ],
    },
    Key {
        name: "filters",
        value: "{ slow = \"latency > 1s\", broken = \"class in (rpc, transport)\" }",
        doc: &[
            "Filters with names: @slow stands for its filter in the interface and in its -Y. Also as lines below [filters].",
        ],
    },
    Key {
        name: "keys",
        value: "{ next-error = \"e\", quit = [\"q\", \"ctrl-c\"] }",
        doc: &[
            "Keys of the interface. A key is taken from what had it. The actions and their keys, as lines below [keys]:",
        ],
    },
];

/// Where the file is: the variable, the folder of the user's configuration, and whether the variable names it. `None` if there is
/// no file to look for.
#[must_use]
pub fn path(variable: impl Fn(&str) -> Option<OsString>) -> Option<(PathBuf, bool)> {
    if let Some(named) = variable(VARIABLE) {
        return (!named.is_empty()).then(|| (named.into(), true));
    }
    let absolute = |name| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = absolute("XDG_CONFIG_HOME").or_else(|| Some(absolute("HOME")?.join(".config")))?;
    Some((folder.join("rpcscope/config.toml"), false))
}

impl Config {
    /// Reads the file that the environment names. A file that is not there is an empty one, unless the user named it.
    pub fn load(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, String> {
        let Some((path, is_named)) = path(&variable) else { return Ok(Self::default()) };
        let text = match save::text(&path)? {
            Some(text) => text,
            None if is_named => return Err(format!("{}: there is no such file", path.display())),
            None => return Ok(Self::default()),
        };
        let home = variable("HOME").map(PathBuf::from);
        Self::read(&text, &path, home.as_deref())
    }

    /// Reads the text of the file at `path`. An error names the place, and the key that was probably meant.
    pub fn read(text: &str, path: &Path, home: Option<&Path>) -> Result<Self, String> {
        let document = Document::parse(text, path)?;
        let mut config = Self::default();
        for entry in document.entries() {
            config.set(&entry, path, home)?;
        }
        Ok(config)
    }

    fn set(&mut self, entry: &Entry<'_>, path: &Path, home: Option<&Path>) -> Result<(), String> {
        match entry.name() {
            "theme" => {
                self.look.theme = Colors::from_name(entry.word(&Colors::NAMES)?);
            }
            "time" => {
                self.time = TimeFormat::from_name(entry.word(&TimeFormat::names())?);
            }
            "names" => {
                let folder = path.parent().unwrap_or(Path::new("."));
                let files = entry.texts()?.into_iter().map(|(file, _)| located(file, folder, home));
                self.names = files.collect();
            }
            "decode-as" => {
                for (rule, place) in entry.texts()? {
                    let rule = rule.parse().map_err(|why: String| entry.wrong_at(place, &why))?;
                    self.decode_as.push(rule);
                }
            }
            "columns" => {
                for (name, place) in entry.texts()? {
                    column(name).map_err(|why| entry.wrong_at(place, &why))?;
                    self.look.columns.push(name.to_owned());
                }
            }
            "sort" => {
                let text = entry.text()?;
                let (name, way) = text.split_once(' ').unwrap_or((text, ""));
                column(name).map_err(|why| entry.wrong(&format!("is wrong: {why}")))?;
                let down = match way.trim() {
                    "asc" => Some(false),
                    "desc" => Some(true),
                    "" => None,
                    _ => return Err(entry.wrong("needs asc or desc after the column")),
                };
                self.look.sort = Some((name.to_owned(), down));
            }
            "filters" => {
                for entry in entry.table()? {
                    let (name, text) = (entry.name(), entry.text()?);
                    if !filter::is_name(name) {
                        return Err(entry.wrong("is no name of a filter: 2 to 40 letters, digits, - and _"));
                    }
                    Filter::parse(text).map_err(|error| {
                        entry.wrong(&format!("is a wrong filter: {}", text::escape(&error.to_string())))
                    })?;
                    self.look.filters.insert(name.to_owned(), text.to_owned());
                }
            }
            "keys" => {
                for entry in entry.table()? {
                    let names: Vec<_> = Keys::actions().into_iter().map(|(name, _)| name).collect();
                    if !names.contains(&entry.name()) {
                        return Err(entry.unknown(&names));
                    }
                    let keys: Vec<&str> = entry.texts()?.into_iter().map(|(key, _)| key).collect();
                    self.look
                        .keys
                        .set(entry.name(), &keys)
                        .map_err(|why| entry.wrong_at(entry.place(), &text::escape(&why)))?;
                }
            }
            _ => return Err(entry.unknown(&KEYS.map(|key| key.name))),
        }
        Ok(())
    }

    /// The file with all keys as comments, each with its default.
    #[must_use]
    pub fn template() -> String {
        let mut out = String::from(
            "# What rpcscope shows in its interface, and as text on a terminal. Files, pipes and telemetry never depend on it.\n\
             # Remove the # before a key to set it. RPCSCOPE_CONFIG=FILE reads another file, --no-config none.\n",
        );
        for key in &KEYS {
            out.push('\n');
            for line in key.doc {
                // Writing to a String can't fail.
                _ = writeln!(out, "# {line}");
            }
            _ = writeln!(out, "# {} = {}", key.name, key.value);
        }
        for (action, keys) in Keys::actions() {
            let keys: Vec<_> = keys.iter().map(|key| format!("\"{}\"", key.replace('\\', "\\\\"))).collect();
            _ = writeln!(out, "#   {action} = [{}]", keys.join(", "));
        }
        out
    }
}

/// Whether there is a column of that name; if not, what was probably meant.
fn column(name: &str) -> Result<(), String> {
    let names = tui::column_names();
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let near = closest(name, names.iter().map(String::as_str));
    let hint = near.first().map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Err(format!("there is no column {}{hint}", text::escape(name)))
}

/// A file of the config: `~/` is the home of the user, and other relative names begin at the folder of the config.
fn located(file: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match (file.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        Config::read(text, Path::new("/c/config.toml"), Some(Path::new("/home/me")))
    }

    #[test]
    fn the_template_is_a_config_of_defaults_that_can_be_uncommented() {
        let template = Config::template();
        assert_eq!(read(&template), Ok(Config::default()));
        let keys = template.lines().filter_map(|line| {
            let line = line.strip_prefix("# ")?;
            line.split_once(" = ")
                .is_some_and(|(key, _)| KEYS.iter().any(|known| known.name == key))
                .then_some(line)
        });
        let set: Vec<&str> = keys.collect();
        assert_eq!(set.len(), KEYS.len());
        read(&set.join("\n")).unwrap();
    }

    #[test]
    fn every_key_is_read() {
        let config = read(
            "theme = 'light'\ntime = 'utc'\nnames = ['~/a', 'b', '/c']\ndecode-as = ['1=trpc', 'udp:2=none']\n\
             columns = ['code', 'trace_id']\nsort = 'code asc'\n[filters]\nslow = 'latency > 1s'\n[keys]\norigin = 'e'\nmark = ['m', 'ctrl-t']\n",
        )
        .unwrap();
        assert_eq!(config.look.theme, Some(Colors::Light));
        assert_ne!(config.look.keys, Keys::default());
        assert_eq!(config.look.columns, ["code", "trace_id"]);
        assert_eq!(config.look.sort, Some(("code".to_owned(), Some(false))));
        assert_eq!(read("sort = 'code'").unwrap().look.sort, Some(("code".to_owned(), None)));
        assert_eq!(config.look.filters.get("slow").map(String::as_str), Some("latency > 1s"));
        assert_eq!(config.time, Some(TimeFormat::Utc));
        assert_eq!(config.names, ["/home/me/a", "/c/b", "/c"].map(PathBuf::from));
        assert_eq!(config.decode_as, ["1=trpc", "udp:2=none"].map(|rule| rule.parse().unwrap()));
        assert_eq!(read("names = 'b'").unwrap().names, [PathBuf::from("/c/b")]);
    }

    #[test]
    fn a_wrong_line_is_named_with_what_was_meant() {
        for (text, said) in [
            ("\n\nthem = 'dark'", "/c/config.toml:3: unknown key them; did you mean theme?"),
            (
                "colour = 1",
                "/c/config.toml:1: unknown key colour; the keys are theme, time, names, decode-as, columns, sort, filters, keys",
            ),
            ("theme = 'drak'", "/c/config.toml:1: theme is \"drak\"; did you mean dark?"),
            ("theme = 'beige'", "/c/config.toml:1: theme is \"beige\", but may be auto, 16, dark,"),
            ("time = 7", "/c/config.toml:1: time is a number, but needs a text in quotes"),
            ("theme = dark", "/c/config.toml:1: "),
            ("theme = 'dark'\ntheme = 'light'", "/c/config.toml:2: duplicate key"),
            ("names = [1]", "/c/config.toml:1: names has a number, but needs texts in quotes"),
            ("names = true", "/c/config.toml:1: names is true or false, but needs a list of texts"),
            (
                "\ndecode-as = [\n  '9000=trpc',\n  '9000=smtp',\n]",
                "/c/config.toml:4: decode-as: unknown protocol 'smtp'",
            ),
            ("[theme]\nx = 1", "/c/config.toml:1: theme is a table, but needs a text in quotes"),
            (
                "columns = ['time', 'laten']",
                "/c/config.toml:1: columns: there is no column laten; did you mean latency?",
            ),
            (
                "sort = 'laten'",
                "/c/config.toml:1: sort is wrong: there is no column laten; did you mean latency?",
            ),
            ("sort = 'latency up'", "/c/config.toml:1: sort needs asc or desc after the column"),
            ("[filters]\n\nslow = 'latency > 1'", "/c/config.toml:3: slow is a wrong filter"),
            ("[filters]\nx = 'code == 1'", "/c/config.toml:2: x is no name of a filter"),
            ("filters = 'code == 1'", "/c/config.toml:1: filters is a text, but needs lines below [filters]"),
            ("[keys]\nnext-eror = 'x'", "/c/config.toml:2: unknown key next-eror; did you mean next-error?"),
            ("[keys]\nmark = 'x1'", "/c/config.toml:2: mark: x1 is no key"),
            ("[keys]\nmark = 'X'\norigin = 'X'", "/c/config.toml:3: origin: X is the key of mark too"),
            ("theme 'dark'", "/c/config.toml:1: "),
            ("theme = \"\\u001b[31m\"", "theme is \"\\x1b[31m\""),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn the_environment_says_where_it_is() {
        let at = |pairs: &'static [(&str, &str)]| {
            path(move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
        };
        let found = |path: &str, is_named| Some((PathBuf::from(path), is_named));
        assert_eq!(at(&[("HOME", "/h")]), found("/h/.config/rpcscope/config.toml", false));
        assert_eq!(at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")]), found("/x/rpcscope/config.toml", false));
        assert_eq!(
            at(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "x")]),
            found("/h/.config/rpcscope/config.toml", false)
        );
        assert_eq!(at(&[("HOME", "/h"), (VARIABLE, "c")]), found("c", true));
        assert_eq!(at(&[("HOME", "/h"), (VARIABLE, "")]), None);
        assert_eq!(at(&[]), None);
    }
}
