//! The pages of the documentation name what the program has.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory as _;
use rpcscope::cli::Cli;

/// The README and all pages, with their text.
fn pages() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs =
        std::fs::read_dir(root.join("docs")).expect("a folder").map(|entry| entry.expect("readable").path());
    let pages = docs
        .filter(|path| path.extension().is_some_and(|ending| ending == "md"))
        .chain([root.join("README.md")]);
    pages.map(|path| (path.clone(), std::fs::read_to_string(path).expect("readable"))).collect()
}

/// The command lines of rpcscope in a line of a page: its words behind the name of the program, up to the end of the command.
fn lines(line: &str) -> impl Iterator<Item = Vec<&str>> {
    let is_end =
        |word: &str| ["|", ">", "&&", ";", "#", "\\", "--"].contains(&word) || word.starts_with("2>");
    line.split('`')
        .flat_map(|part| {
            part.match_indices("rpcscope ")
                .filter(move |(at, _)| !part[..*at].ends_with(['-', '/', '.', '@']))
                .map(move |(at, name)| &part[at + name.len()..])
        })
        .map(move |rest| rest.split_whitespace().take_while(|word| !is_end(word)).collect())
}

#[test]
fn options_in_recipes_are_options_of_their_command() {
    let mut program = Cli::command();
    program.build();
    let mut seen = 0;
    for (page, text) in pages() {
        // Other programs that take rpcscope as an argument.
        let is_own =
            |line: &&str| !["spark-submit", "cargo install"].iter().any(|other| line.contains(other));
        for line in text.lines().filter(is_own) {
            for words in lines(line) {
                let name = words.iter().find(|word| !["--no-config", "--no-pager"].contains(word));
                let command = program
                    .get_subcommands()
                    .find(|command| Some(&command.get_name()) == name)
                    .unwrap_or(&program);
                for word in words {
                    let Some(option) = word.strip_prefix("--") else { continue };
                    let option = option
                        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
                        .next()
                        .unwrap_or_default();
                    let of = |command: &clap::Command| {
                        command.get_arguments().any(|arg| arg.get_long() == Some(option))
                    };
                    seen += 1;
                    assert!(
                        of(command) || of(&program) || ["help", "version"].contains(&option),
                        "{}: --{option} in {line}",
                        page.display()
                    );
                }
            }
        }
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_command_and_every_key_of_the_config_file_is_documented() {
    let all: String = pages().into_iter().map(|(_, text)| text).collect();
    for command in Cli::command().get_subcommands().filter(|command| !command.is_hide_set()) {
        assert!(all.contains(&format!("rpcscope {}", command.get_name())), "{command}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let written = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .arg("config")
        .env("XDG_CONFIG_HOME", folder.path())
        .env_remove("RPCSCOPE_CONFIG")
        .status();
    assert!(written.expect("it runs").success());
    let config = std::fs::read_to_string(folder.path().join("rpcscope/config.toml")).expect("written");
    let keys: Vec<&str> = config
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "))
        .map(|(key, _)| key)
        .filter(|key| !key.contains(' '))
        .collect();
    assert!(keys.len() > 5, "{config}");
    for key in keys {
        assert!(all.contains(&format!("| `{key}` |")), "{key}");
    }
}
