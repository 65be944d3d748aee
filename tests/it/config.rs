//! The config file with the real program: what it changes on a terminal, and nowhere else.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::captures;
use crate::terminal::Session;

const PROGRAM: &str = env!("CARGO_BIN_EXE_rpcscope");

fn capture() -> String {
    captures().join("kitex/kitex-mixed.pcap").to_string_lossy().into_owned()
}

/// Runs with `config` as the config file, with a pipe for the output.
fn piped(config: &str, args: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null()).env("TZ", "UTC").env("RPCSCOPE_CONFIG", config);
    command.output().expect("the program starts")
}

/// What stands on a terminal of 200 columns at the end, and whether the run was a success.
fn on_terminal(folder: &Path, variables: &[&str], args: &[&str]) -> (String, bool) {
    let shell = ["-c", "\"$@\"; echo status=$?.", "sh", "env"];
    let words: Vec<&Path> =
        shell.iter().chain(variables).chain(&[PROGRAM]).chain(args).map(Path::new).collect();
    let mut session = Session::open(Path::new("/bin/sh"), &words, folder, (200, 50));
    session.wait("the status", |screen| {
        screen.contents().split_once("status=").is_some_and(|(_, rest)| rest.contains('.'))
    });
    session.end();
    let contents = session.contents();
    let success = contents.contains("status=0.");
    (contents, success)
}

#[test]
fn it_changes_what_a_person_sees_and_nothing_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "time = 'utc-date'\ndecode-as = ['7101=none']\nnames = ['hosts']\n")
        .expect("writable");
    std::fs::write(folder.path().join("hosts"), "10.77.40.12 counted-by-name\n").expect("writable");
    let variable = format!("RPCSCOPE_CONFIG={}", config.display());
    let name = capture();
    let few = ["calls", &name, "-Y", "method == PlaceOrder", "-c", "300"];
    let (with, success) = on_terminal(folder.path(), &[&variable], &few);
    assert!(success && with.contains("2026-") && with.contains("counted-by-name"), "{with}");
    for turned_off in [&["RPCSCOPE_CONFIG="][..], &["-u", "RPCSCOPE_CONFIG", "HOME=/nonexistent"]] {
        let (without, success) = on_terminal(folder.path(), turned_off, &few);
        assert!(success && !without.contains("2026-") && !without.contains("counted"), "{without}");
    }
    let (without, _) = on_terminal(folder.path(), &[&variable], &[&few[..], &["--no-config"]].concat());
    assert!(!without.contains("2026-"), "{without}");
    // Nor do files and statuses depend on it that a run on a terminal has besides.
    let packets = folder.path().join("packets.pcapng").to_string_lossy().into_owned();
    for more in [&["--fail-on", "rpc"][..], &["-w", &packets, "--comments"]] {
        let (alone, _) = on_terminal(folder.path(), &[&variable], &[&few[..], more].concat());
        assert!(alone.contains("2026-") && !alone.contains("counted-by-name"), "{more:?}: {alone}");
    }
    // The command line overrides it.
    let (relative, _) = on_terminal(folder.path(), &[&variable], &[&few[..], &["-t", "relative"]].concat());
    assert!(!relative.contains("2026-") && relative.contains("counted-by-name"), "{relative}");

    let config = config.to_string_lossy().into_owned();
    for args in [
        &["calls", &name][..],
        &["calls", &name, "--format", "jsonl"],
        &["stats", &name],
        &["show", "91", &name],
    ] {
        let (with, without) = (piped(&config, args), piped("", args));
        assert_eq!(with.stdout, without.stdout, "{args:?}");
    }
}

#[test]
fn a_mistake_is_named_with_its_line_where_the_file_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config.toml");
    std::fs::write(&config, "# mine\nthem = 'dark'\n").expect("writable");
    let variable = format!("RPCSCOPE_CONFIG={}", config.display());
    let name = capture();
    for args in [&["calls", &name][..], &[&name], &["show", "91", &name]] {
        let (said, success) = on_terminal(folder.path(), &[&variable], args);
        assert!(!success && said.contains("config.toml:2: unknown key them; did you mean theme?"), "{said}");
    }
    assert!(
        piped(&config.to_string_lossy(), &["calls", &name]).status.success(),
        "a pipe does not depend on it"
    );
    let missing = format!("RPCSCOPE_CONFIG={}", folder.path().join("none").display());
    let (said, success) = on_terminal(folder.path(), &[&missing], &["calls", &name]);
    assert!(!success && said.contains("none: there is no such file"), "{said}");
}

#[test]
fn the_interface_writes_what_was_chosen_and_starts_with_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("rpcscope/config.toml");
    let home = format!("XDG_CONFIG_HOME={}", folder.path().display());
    let name = capture();
    let open = |more: &[&str]| {
        let shell = ["-u", "RPCSCOPE_CONFIG", &home, "TZ=UTC", PROGRAM, &name];
        let words: Vec<&Path> = shell.iter().chain(more).map(Path::new).collect();
        let mut session = Session::open(Path::new("/usr/bin/env"), &words, folder.path(), (200, 50));
        session.wait_for("  done");
        session
    };
    let mut session = open(&[]);
    session.keys(":columns time,code\r:time utc-date\r:save\r");
    session.wait_for("config.toml: columns, time");
    assert_eq!(
        std::fs::read_to_string(&config).expect("written"),
        "columns = [\"time\", \"code\"]\ntime = \"utc-date\"\n"
    );
    let mode = std::fs::metadata(&config).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // Who writes it can do little else.
    #[cfg(target_os = "linux")]
    {
        let children = crate::sandbox::children(session.pid());
        assert!(!children.is_empty());
        for child in children {
            let status = std::fs::read_to_string(format!("/proc/{child}/status")).expect("a process");
            let is_filtered = status.contains("Seccomp:\t2") || !rpcscope::sandbox::available().seccomp;
            assert!(status.contains("NoNewPrivs:\t1") && is_filtered, "{status}");
        }
    }
    // Saved at once, also if the interface ends at once.
    session.keys(":filter class == rpc\r:save filter broken\rq");
    assert!(session.end().success());
    let text = std::fs::read_to_string(&config).expect("written");
    assert!(text.ends_with("\n\n[filters]\nbroken = \"class == rpc\"\n"), "{text}");

    std::fs::write(&config, format!("# mine\n{text}")).expect("writable");
    let mut session = open(&["-Y", "@broken"]);
    session.wait_for("@broken");
    let seen = session.contents();
    assert!(seen.contains(" 11-22 ") && !seen.contains("latency"), "{seen}");
    session.keys("C s");
    session.wait_for("config.toml: columns");
    assert_eq!(std::fs::read_to_string(&config).expect("there").lines().next(), Some("# mine"));
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o400)).expect("ours");
    session.keys(":save time\r");
    session.wait_for("not kept: ");
    session.wait_for("is read-only");
    session.keys("q");
    session.end();
    let mut session = open(&["--no-config"]);
    session.keys(":save time\r");
    session.wait_for("--no-config");
    session.keys("q");
    session.end();
}

#[test]
fn the_command_writes_it_once_and_says_where() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("rpcscope/config.toml");
    let run = |args: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.args(args).env_remove("RPCSCOPE_CONFIG").env("XDG_CONFIG_HOME", folder.path());
        command.output().expect("the program starts")
    };
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let path = run(&["config", "--path"]);
    assert_eq!(said(&path), format!("{}\n", config.display()));
    assert!(!config.exists());
    assert_eq!(said(&run(&["config"])), format!("wrote {}\n", config.display()));
    let text = std::fs::read_to_string(&config).expect("it is there");
    assert_eq!(text, rpcscope::config::Config::template());
    std::fs::write(&config, "time = 'utc'\n").expect("writable");
    let again = run(&["config"]);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&config).expect("it is there"), "time = 'utc'\n");
    assert_eq!(piped("", &["config"]).status.code(), Some(1));
}

#[test]
fn long_output_on_a_terminal_goes_through_the_pager_with_its_colours() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let pager = format!("PAGER=cat > {}; echo paged", kept.display());
    let name = capture();
    for args in [
        &["calls", &name][..],
        &["stats", &name],
        &["chains", &name],
        &["show", "91", &name],
        &["explain", "trpc"],
        &["explain", "business", &name],
    ] {
        let (screen, success) = on_terminal(folder.path(), &[&pager], args);
        assert!(success && screen.contains("paged"), "{args:?}: {screen}");
        let text = std::fs::read_to_string(&kept).expect("the pager wrote it");
        assert!(
            text.lines().count() > 5 && !screen.contains(text.lines().last().expect("lines")),
            "{args:?}"
        );
        assert!(args[0] == "explain" || text.contains("\x1b["), "{args:?}: colours stay");
    }
    // Nothing of it is lost, nor said while the pager has the screen.
    let (screen, _) = on_terminal(folder.path(), &[&pager], &["calls", &name, "-Y", "method == NoSuch"]);
    let (paged, said) = (screen.find("paged"), screen.find("none of"));
    assert!(paged.is_some() && paged < said, "{screen}");
}

#[test]
fn a_terminal_that_can_not_place_text_gets_lines() {
    let folder = tempfile::tempdir().expect("a folder");
    let (said, success) = on_terminal(folder.path(), &["TERM=dumb", "PAGER="], &[capture().as_str()]);
    assert!(success && said.contains(" → ") && !said.contains("1 Calls"), "{said}");
}

#[test]
fn a_terminal_gets_no_packets() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = capture();
    for args in [["calls", "-w", "-"], ["export", "-o", "-"]] {
        let args: Vec<&str> = args.into_iter().chain([capture.as_str()]).collect();
        let (said, success) = on_terminal(folder.path(), &[], &args);
        assert!(!success && said.contains("no terminal shows them"), "{args:?}: {said}");
    }
}

#[test]
fn who_wants_no_pager_gets_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let name = capture();
    let show = ["show", "91", &name];
    for (variables, more) in [
        (&["PAGER=echo paged"][..], &["--no-pager"][..]),
        (&["PAGER="], &[]),
        (&["PAGER=cat"], &[]),
        (&["PAGER=echo paged", "TERM=dumb"], &[]),
        (&["PAGER=/nonexistent/pager"], &[]),
    ] {
        let (screen, success) = on_terminal(folder.path(), variables, &[&show[..], more].concat());
        assert!(success && !screen.contains("paged") && screen.contains("packet"), "{variables:?}: {screen}");
    }
    let mut command = Command::new(PROGRAM);
    let output = command.args(show).env("PAGER", "echo paged").output().expect("the program starts");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("paged"), "a pipe has none");
    // A shell that does not find the pager leaves nothing on the screen.
    let (screen, _) = on_terminal(folder.path(), &["PAGER=nonexistent-pager '--a b'"], &show);
    assert!(screen.contains("failed with status 127: --no-pager"), "{screen}");
    // Quitting early is a normal end.
    let (screen, success) = on_terminal(folder.path(), &["PAGER=head -n 1"], &["calls", &name, &name, &name]);
    assert!(success && screen.lines().filter(|line| line.contains("PlaceOrder")).count() <= 1, "{screen}");
}
