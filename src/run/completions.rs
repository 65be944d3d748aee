//! Completion scripts for shells: those of clap, with what it does not know to say of a command whose first word is a command or a file.

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::{Failure, Status, output};
use crate::cli::Cli;

/// Prints the script of a shell.
pub(super) fn run(shell: Shell) -> Result<Status, Failure> {
    output::print(script(shell).as_bytes()).map(|_| Status::default())
}

fn script(shell: Shell) -> String {
    let mut command = Cli::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "rpcscope", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => bash(&script, &command),
        Shell::Zsh => zsh(&script).unwrap_or(script),
        Shell::Fish => fish(&script, &command),
        _ => script,
    }
}

/// The first word is a command or a file. Clap's script offers files only where no command begins like them, and options with them.
fn bash(script: &str, command: &Command) -> String {
    const FIRST: &str = "            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then\n";
    let names: Vec<&str> = command.get_subcommands().map(Command::get_name).chain(["help"]).collect();
    let first = format!(
        r#"            if [[ ${{cur}} != -* && ${{COMP_CWORD}} -eq 1 ]] ; then
                local IFS=$'\n'
                compopt -o filenames 2>/dev/null
                COMPREPLY=( $(compgen -W $'{}' -- "${{cur}}") $(compgen -f -- "${{cur}}") )
                return 0
            fi
{FIRST}"#,
        names.join(r"\n")
    );
    script.replacen(FIRST, &first, 1)
}

/// The first word is a command or a file. Clap's script takes the first one for a file, and the second for a command.
fn zsh(script: &str) -> Option<String> {
    const OPTIONS: &str = "_arguments \"${_arguments_options[@]}\" : \\\n";
    const COMMANDS: &str = "_describe -t commands 'rpcscope commands' commands \"$@\"\n";
    const END: &str = "        esac\n    ;;\nesac\n}\n";
    let (head, rest) = script.split_once(OPTIONS)?;
    let (options, rest) = rest.split_once("'::files")?;
    let (files, rest) = rest.split_once('\n')?;
    let (commands, rest) = rest.split_once(END)?;
    // Those of the program; commands of `help` have cases of their own.
    let commands = commands.replacen("$line[2]", "$line[1]", 3);
    let of_file = format!("(*)\n{OPTIONS}{options}'*::files{files}\n&& ret=0\n;;\n");
    let rest = rest.replacen(COMMANDS, &format!("{COMMANDS}    _files \"$@\"\n"), 1);
    Some([head, OPTIONS, options, &commands, &of_file, END, &rest].concat())
}

/// What clap's script lacks: an option has no value yet while that is completed, which `argparse` calls a mistake; options also follow a
/// file; and commands may take one of a few words.
fn fish(script: &str, command: &Command) -> String {
    const PARSE: &str = "argparse -s (__fish_rpcscope_global_optspecs) -- $cmd 2>/dev/null\n";
    const FIRST: &str = "-n \"__fish_rpcscope_needs_command\"";
    let again = format!("{PARSE}    or begin\n        set -e cmd[-1]\n        {PARSE}    end\n");
    let mut script = script.replacen(PARSE, &again, 1);
    for dash in ["-s ", "-l "] {
        let anywhere = format!("-n \"__fish_rpcscope_without_command\" {dash}");
        script = script.replace(&format!("{FIRST} {dash}"), &anywhere);
    }
    let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
    let mut parts = vec![
        script,
        format!(
            "function __fish_rpcscope_without_command\n    not __fish_rpcscope_using_subcommand {}\nend\n",
            names.join(" ")
        ),
    ];
    for command in command.get_subcommands() {
        for words in command.get_positionals().map(clap::Arg::get_possible_values) {
            let words: Vec<&str> = words.iter().map(clap::builder::PossibleValue::get_name).collect();
            if !words.is_empty() {
                parts.push(format!(
                    "complete -c rpcscope -n \"__fish_rpcscope_using_subcommand {}\" -f -a \"{}\"\n",
                    command.get_name(),
                    words.join(" ")
                ));
            }
        }
    }
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_word_is_a_command_or_a_file() {
        let bash = script(Shell::Bash);
        let (_, first) = bash.split_once("\n        rpcscope)\n").unwrap();
        let (first, _) = first.split_once("return 0").unwrap();
        assert!(first.contains("compgen -f") && first.contains(r"calls\nstats"), "{first}");
        let zsh = script(Shell::Zsh);
        let (top, of_commands) = zsh.split_once("(calls)\n").unwrap();
        assert!(!top.contains("::files") && !top.contains("$line[2]") && top.contains("$line[1]"), "{top}");
        assert!(!of_commands.contains("$line[2]"));
        let (_, of_file) = of_commands.rsplit_once("(*)\n").unwrap();
        let (of_file, _) = of_file.split_once(";;\n").unwrap();
        assert!(of_file.contains("--interface=") && of_file.contains("'*::files"), "{of_file}");
        let (_, first) = zsh.split_once("_rpcscope_commands() {\n").unwrap();
        let (first, _) = first.split_once("\n}\n").unwrap();
        assert!(first.ends_with("_files \"$@\""), "{first}");
    }

    #[test]
    fn words_of_commands_and_values_of_options_are_completed_by_fish() {
        let fish = script(Shell::Fish);
        assert_eq!(fish.matches("argparse -s").count(), 2);
        assert!(!fish.contains("needs_command\" -l"), "options follow files too");
        assert!(fish.contains("using_subcommand completions\" -f -a \"bash elvish fish"), "{fish}");
    }
}
