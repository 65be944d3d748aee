//! What shells do with the program: completions, process substitution, descriptors as names of files.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use crate::support::captures;

/// The output of a command, if it is installed.
fn output(command: &mut Command) -> Option<String> {
    let output = match command.output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIPPED: no {}", command.get_program().to_string_lossy());
            return None;
        }
        output => output.expect("it runs"),
    };
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Lines of which the end is to be completed, and a word that is offered.
const LINES: [(&str, &str); 8] = [
    ("rpcscope cal", "calls"),
    ("rpcscope calls --form", "--format"),
    ("rpcscope calls --format js", "jsonl"),
    ("rpcscope calls --fail-on bus", "business"),
    ("rpcscope --color ne", "never"),
    ("rpcscope completions el", "elvish"),
    ("rpcscope help cal", "calls"),
    ("rpcscope calls -o Cargo.lo", "Cargo.lock"),
];
/// A capture is the most likely word.
const FIRST: (&str, &str) = ("rpcscope ", "Cargo.lock");
/// Files come first or after a command, and options after files.
const FILES: [(&str, &str); 3] = [
    ("rpcscope Cargo.lo", "Cargo.lock"),
    ("rpcscope calls Cargo.lo", "Cargo.lock"),
    ("rpcscope Cargo.lock --colo", "--color"),
];

/// Tries all lines with a command of a shell that completes its last argument by the script before it.
fn complete(shell: &str, arguments: &[&str], lines: &[(&str, &str)]) {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("script");
    let made = Command::new(env!("CARGO_BIN_EXE_rpcscope")).args(["completions", shell]).output();
    std::fs::write(&script, made.expect("it runs").stdout).expect("writable");
    for (line, word) in lines {
        let mut command = Command::new(shell);
        command.args(arguments).arg(&script).arg(line).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.env("HOME", folder.path()).env("TERM", "dumb");
        let Some(offered) = output(&mut command) else { return };
        assert!(offered.contains(word), "{shell}: {line}: {offered}");
    }
}

#[test]
fn bash_completes() {
    const COMPLETE: &str = r#"
        source "$1"; read -ra COMP_WORDS <<<"$2"; [[ $2 == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _rpcscope rpcscope "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>/dev/null
        echo "${COMPREPLY[@]}"
    "#;
    // Behind the first word, bash itself offers files.
    let lines: Vec<_> = LINES.into_iter().chain([FIRST, FILES[0], FILES[2]]).collect();
    complete("bash", &["--norc", "-c", COMPLETE, "bash"], &lines);
}

#[test]
fn fish_completes() {
    const COMPLETE: &str = "source $argv[1]; complete -C $argv[2]";
    let lines: Vec<_> = LINES.into_iter().filter(|(line, _)| !line.contains(" help ")).chain(FILES).collect();
    complete("fish", &["--no-config", "-c", COMPLETE], &lines);
}

#[test]
fn zsh_completes() {
    /// Completion needs a line editor, and that a terminal: Tab, and a key that says that it is done.
    const COMPLETE: &str = r#"
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z "PROMPT=; setopt no_beep; autoload -Uz compinit && compinit -u -D; source $1; cd $PWD"
        zpty -w z "finish() { print FINI\"\"SHED }; zle -N finish; bindkey '^X' finish; print RE\"\"ADY"
        zpty -r z out '*READY*'
        zpty -w -n z "$2"$'\t\x18'
        zpty -r z out '*FINISHED*'
        print -r -- $out
    "#;
    let lines: Vec<_> = LINES.into_iter().chain(FILES).collect();
    complete("zsh", &["-f", "-c", COMPLETE, "zsh"], &lines);
}

/// A process that may hold secrets leaves no core dump, and then Linux gives its files in `/proc` to root: names of descriptors have to be
/// readable all the same.
#[test]
fn captures_and_key_logs_come_from_descriptors_for_other_users_too() {
    const READ: &str = r#"
        c=$2/tls12.pcap k=$2/tls12.keys
        read() { "$1" calls --format jsonl "${@:2}"; echo; }
        {
            read $1 $c --tls-keylog $k
            read $1 <(cat $c) --tls-keylog <(cat $k)
            read $1 /dev/stdin --tls-keylog /dev/fd/3 <$c 3<$k
            read $1 - --tls-keylog /dev/fd/3 <$c 3< <(cat $k)
            read $1 /proc/self/fd/3 --tls-keylog /dev/stdin 3<$c <$k
            read $1 $c --tls-keylog $k -o /dev/stdout
            read $1 $c --tls-keylog $k -o /dev/fd/4 4>&1
        } | cat # A pipe of this user.
    "#;
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).expect("ours");
    let program = at("rpcscope");
    let original = Path::new(env!("CARGO_BIN_EXE_rpcscope"));
    std::fs::hard_link(original, &program)
        .or_else(|_| std::fs::copy(original, &program).map(|_| ()))
        .expect("a copy");
    for ending in ["pcap", "keys"] {
        let capture = captures().join("tls/tls12-go-go-aes128gcm-ecdsa").with_extension(ending);
        std::fs::copy(capture, at("tls12").with_extension(ending)).expect("a copy");
    }
    for is_other in [false, true] {
        let mut command = Command::new("bash");
        command.args(["-c", READ, "bash"]).arg(&program).arg(folder.path());
        if is_other {
            if !rustix::process::geteuid().is_root() {
                eprintln!("SKIPPED: only root can run it as another user");
                return;
            }
            command.uid(65_534).gid(65_534);
        }
        let Some(all) = output(&mut command) else { return };
        let records: Vec<&str> = all.split_terminator("\n\n").collect();
        assert!(records[0].contains("\"class\""), "{all}");
        assert_eq!(records, [records[0]; 7], "{is_other}");
    }
}
