//! What the process may still do while it parses packets.
//!
//! The probe is this test binary, started anew: it enters the sandbox of the library and tries what an attacker would. The
//! other tests read the state of the real program's threads from `/proc`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rpcscope::sandbox::{self, Rules};
use rpcscope::source::{Batch, LiveSource, Source as _, live};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, getppid, kill_process, pidfd_open, test_kill_process};

use crate::support::captures;
use crate::terminal::Session;

/// Set where the rules of the probe let it connect.
const WITH_NETWORK: &str = "RPCSCOPE_TEST_NETWORK";

/// Two ports on which the test listens. The rules of the probe may name the first.
fn ports() -> (u16, u16) {
    let ports = std::env::var("RPCSCOPE_TEST_PORTS").expect("set");
    let (first, second) = ports.split_once(' ').expect("two ports");
    (first.parse().expect("a port"), second.parse().expect("a port"))
}

/// Accepts on no socket in particular.
fn accept() -> std::io::Result<()> {
    rustix::net::accept(std::io::stdin()).map(drop).map_err(Into::into)
}

/// Names the folder of the probe; set only for the probe.
const PROBE: &str = "RPCSCOPE_TEST_PROBE";

/// What the probe tries, in its folder. Each line of its output is a name and what became of it.
fn attempts(folder: &Path) -> Vec<(&'static str, std::io::Result<()>)> {
    let (listener, other) = ports();
    let inside = |name: &str| folder.join(name);
    let parent = getppid().expect("the test");
    let new = |path: PathBuf| File::options().write(true).create_new(true).open(path).map(drop);
    let mut spawned = Vec::new();
    let mut attempts = vec![
        ("read the input", fs::read(inside("input/x.pcap")).map(drop)),
        ("list the input's folder", fs::read_dir(inside("input")).map(drop)),
        ("read beside the input", fs::read(inside("secret")).map(drop)),
        ("read passwords", fs::read("/etc/passwd").map(drop)),
        ("list the root folder", fs::read_dir("/").map(drop)),
        ("write the input", File::options().write(true).open(inside("input/x.pcap")).map(drop)),
        ("create in the input's folder", new(inside("input/new"))),
        ("delete the input", fs::remove_file(inside("input/x.pcap"))),
        ("create where files rotate", new(inside("out/new"))),
        ("overwrite where files rotate", File::create(inside("out/new")).map(drop)),
        ("rename where files rotate", fs::rename(inside("out/new"), inside("out/newer"))),
        ("delete where files rotate", fs::remove_file(inside("out/newer"))),
        ("read where files rotate", fs::read(inside("out/old")).map(drop)),
        ("move out of there", fs::rename(inside("out/old"), inside("old"))),
        ("link to there", std::os::unix::fs::symlink("/etc/passwd", inside("out/link"))),
        ("make a folder there", fs::create_dir(inside("out/folder"))),
        ("make a folder where records are filled", fs::create_dir(inside("records/hour"))),
        ("write where records are filled", fs::write(inside("records/hour/1.tmp"), "1")),
        ("name where records are filled", fs::rename(inside("records/hour/1.tmp"), inside("records/hour/1"))),
        ("read where records are filled", fs::read(inside("records/hour/1")).map(drop)),
        ("delete where records are filled", fs::remove_file(inside("records/hour/1"))),
        ("remove a folder where records are filled", fs::remove_dir(inside("records/hour"))),
        ("move out of the records", fs::rename(inside("records/kept"), inside("kept"))),
        ("link to the records", std::os::unix::fs::symlink("/etc/passwd", inside("records/link"))),
        ("create elsewhere", new(inside("elsewhere"))),
        ("change a mode", fs::set_permissions(inside("out/old"), fs::Permissions::from_mode(0o777))),
        ("start a program", Command::new("/bin/true").status().map(drop)),
        ("start the program anew", Command::new("/proc/self/exe").arg("--version").status().map(drop)),
        ("connect", TcpStream::connect((Ipv4Addr::LOCALHOST, listener)).map(drop)),
        ("connect to another port", TcpStream::connect((Ipv4Addr::LOCALHOST, other)).map(drop)),
        ("accept", accept()),
        ("listen", TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)),
        ("open a datagram socket", UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map(drop)),
        ("connect to a local service", UnixStream::connect(inside("service")).map(drop)),
        ("connect a pair", UnixStream::pair().map(drop)),
        ("signal another process", test_kill_process(parent).map_err(Into::into)),
        ("signal itself", test_kill_process(rustix::process::getpid()).map_err(Into::into)),
        ("read another process", fs::read(format!("/proc/{}/environ", parent.as_raw_nonzero())).map(drop)),
        ("read the time zone", fs::read("/usr/share/zoneinfo/UTC").map(drop)),
        ("trace another process", nix::sys::ptrace::attach(nix_pid(parent)).map_err(Into::into)),
        ("write its own memory", File::options().write(true).open("/proc/self/mem").map(drop)),
        ("mount", mount_nothing()),
        ("make a namespace", nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).map_err(Into::into)),
        ("become another user", nix::unistd::setgid(nix::unistd::getgid()).map_err(Into::into)),
        ("start a thread", std::thread::Builder::new().spawn(|| {}).map(|thread| spawned.push(thread))),
    ];
    // Threads of the sandbox are in it too.
    let thread = std::thread::spawn(|| fs::read("/etc/passwd").map(drop));
    attempts.push(("read passwords in a thread", thread.join().expect("no panic")));
    for thread in spawned {
        thread.join().expect("no panic");
    }
    attempts
}

fn nix_pid(pid: Pid) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(pid.as_raw_nonzero().get())
}

fn mount_nothing() -> std::io::Result<()> {
    let none = None::<&str>;
    nix::mount::mount(none, "/proc", Some("tmpfs"), nix::mount::MsFlags::empty(), none).map_err(Into::into)
}

/// What becomes of sending on an open capture, in every way that a descriptor takes.
fn sending(capture: BorrowedFd<'_>) -> Vec<(&'static str, std::io::Result<()>)> {
    use nix::fcntl::{SpliceFFlags, splice};
    use rustix::{fs, io, net};
    // Ethernet from nobody to nobody, of a type for experiments (IEEE 802).
    let mut frame = [0; 60];
    frame[12..14].copy_from_slice(&[0x88, 0xb5]);
    let slice = std::io::IoSlice::new(&frame);
    let (read, write) = std::io::pipe().expect("a pipe");
    io::write(&write, &frame).expect("a pipe takes it");
    let file = File::open("/proc/self/exe");
    let mut ways = vec![
        ("write to the capture", io::write(capture, &frame).map(drop)),
        ("write pieces to the capture", io::writev(capture, &[slice]).map(drop)),
        ("send on the capture", net::send(capture, &frame, net::SendFlags::empty()).map(drop)),
        ("copy the capture", io::dup(capture).map(drop)),
        ("copy the capture by number", io::fcntl_dupfd_cloexec(capture, 0).map(drop)),
        ("set options of the capture", net::sockopt::set_socket_recv_buffer_size(capture, 1 << 20)),
    ];
    if let Ok(file) = file {
        ways.push(("send a file on the capture", fs::sendfile(capture, file, None, 60).map(drop)));
    }
    let mut ways: Vec<(_, std::io::Result<()>)> =
        ways.into_iter().map(|(what, result)| (what, result.map_err(Into::into))).collect();
    let spliced = splice(&read, None, capture, None, 60, SpliceFFlags::empty());
    ways.push(("splice into the capture", spliced.map(drop).map_err(Into::into)));
    ways
}

/// The probe of captures, if this is its process; otherwise nothing. Its output is what worked before the sandbox and what in it.
#[test]
fn probe_of_captures() {
    let Some(folder) = std::env::var_os(PROBE).map(PathBuf::from) else { return };
    let mut output = File::create(folder.join("output")).expect("a file");
    let options =
        live::Options { interfaces: vec!["lo".into()], is_sealed: true, ..live::Options::default() };
    let mut source = match live::open(options) {
        Ok(source) => source,
        Err(refusal) => return output.write_all(refusal.to_string().as_bytes()).expect("written"),
    };
    let read_only_from = source.sealed_from();
    assert!(read_only_from.is_some());
    let try_all = |source: &LiveSource| {
        let capture = source.descriptors().next().expect("one interface");
        sending(capture).iter().fold(String::new(), |text, (what, result)| {
            let result = result.as_ref().map_or_else(|error| error.kind().to_string(), |()| "done".into());
            format!("{text}{what}\t{result}\n")
        })
    };
    let before = try_all(&source);
    sandbox::enter(&Rules { read_only_from, ..Rules::default() }).expect("entered");
    let after = try_all(&source);
    // It can still be read, and the outputs be written.
    source.next_batch(&mut Batch::default()).expect("a batch");
    output.write_all(format!("{before}--\n{after}").as_bytes()).expect("written");
}

#[test]
fn nothing_can_be_sent_on_a_capture() {
    let folder = tempfile::tempdir().expect("a folder");
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["sandbox::probe_of_captures", "--exact", "--test-threads=1"])
        .env(PROBE, folder.path())
        .stdout(Stdio::null())
        .status()
        .expect("started");
    assert!(status.success());
    let output = fs::read_to_string(folder.path().join("output")).expect("the probe's output");
    let Some((before, after)) = output.split_once("--\n") else {
        assert!(output.contains("not permitted"), "{output}");
        eprintln!("SKIPPED: capturing on loopback is not permitted: {output}");
        return;
    };
    let results = |text: &str| {
        text.lines().map(|line| line.split_once('\t').expect("a result").1.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(results(before), ["done"; 8], "{before}");
    if sandbox::available().seccomp {
        let denied = results(after);
        assert!(denied.len() >= 7 && denied.iter().all(|result| result == "permission denied"), "{after}");
    }
}

/// The probe, if this is its process; otherwise nothing.
#[test]
fn probe() {
    let Some(folder) = std::env::var_os(PROBE).map(PathBuf::from) else { return };
    let mut rules =
        Rules { read: vec![folder.join("input")], rotate: vec![folder.join("out")], ..Rules::default() };
    rules.fill.push(folder.join("records"));
    if std::env::var_os(WITH_NETWORK).is_some() {
        rules.connect.push(ports().0);
    }
    // An output that is open already.
    let mut output = File::create(folder.join("output")).expect("a file");
    let in_force = sandbox::enter(&rules).expect("entered");
    let mut out = format!("in force\t{in_force}\n");
    for (what, result) in attempts(&folder) {
        let result = result.map_or_else(|error| error.kind().to_string(), |()| "done".into());
        writeln!(out, "{what}\t{result}").expect("text");
    }
    output.write_all(out.as_bytes()).expect("written");
}

#[test]
fn only_what_the_rules_name_is_left() {
    only_what_is_named_is_left(false);
}

#[test]
fn whoever_names_a_port_may_connect_to_it_and_nothing_else() {
    only_what_is_named_is_left(true);
}

fn only_what_is_named_is_left(with_network: bool) {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for name in ["input", "out", "records"] {
        fs::create_dir(at(name)).expect("created");
    }
    for name in ["input/x.pcap", "secret", "out/old", "records/kept"] {
        fs::write(at(name), "x").expect("written");
    }
    let _service = std::os::unix::net::UnixListener::bind(at("service")).expect("bound");
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port"));
    let [first, second] = listeners.each_ref().map(|listener| listener.local_addr().expect("bound").port());
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    if with_network {
        command.env(WITH_NETWORK, "1");
    }
    let status = command
        .args(["sandbox::probe", "--exact", "--test-threads=1"])
        .env(PROBE, folder.path())
        .env("RPCSCOPE_TEST_PORTS", format!("{first} {second}"))
        .stdout(Stdio::null())
        .status()
        .expect("started");
    assert!(status.success());
    let output = fs::read_to_string(at("output")).expect("the probe's output");
    let found = |what: &str| {
        let line = output.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix('\t'));
        line.unwrap_or_else(|| panic!("{what}: {output}"))
    };
    let available = sandbox::available();
    assert_eq!(found("in force"), available.to_string());
    for what in ["read the input", "connect a pair", "signal itself", "start a thread", "read the time zone"]
    {
        assert_eq!(found(what), "done", "{what}");
    }
    if available.seccomp {
        for what in [
            "start a program",
            "start the program anew",
            "accept",
            "listen",
            "open a datagram socket",
            "connect to a local service",
            "signal another process",
            "change a mode",
            "become another user",
            "trace another process",
            "mount",
            "make a namespace",
        ] {
            assert_eq!(found(what), "permission denied", "{what}");
        }
        assert_eq!(found("connect"), if with_network { "done" } else { "permission denied" });
        if with_network && available.landlock.is_none_or(|version| version < 4) {
            eprintln!("SKIPPED: the kernel's Landlock knows no ports");
        } else {
            assert_eq!(found("connect to another port"), "permission denied");
        }
    } else {
        eprintln!("SKIPPED: the kernel has no seccomp filters");
    }
    if available.landlock.is_some() {
        for what in [
            "list the input's folder",
            "create where files rotate",
            "overwrite where files rotate",
            "rename where files rotate",
            "delete where files rotate",
            "make a folder where records are filled",
            "write where records are filled",
            "name where records are filled",
            "read where records are filled",
            "delete where records are filled",
            "remove a folder where records are filled",
        ] {
            assert_eq!(found(what), "done", "{what}");
        }
        for what in [
            "read beside the input",
            "read passwords",
            "list the root folder",
            "write the input",
            "create in the input's folder",
            "delete the input",
            "read where files rotate",
            "link to there",
            "link to the records",
            "make a folder there",
            "create elsewhere",
            "read another process",
            "write its own memory",
            "read passwords in a thread",
        ] {
            assert_eq!(found(what), "permission denied", "{what}");
        }
        // The kernel answers as for another filesystem.
        assert_ne!(found("move out of there"), "done");
        assert_ne!(found("move out of the records"), "done");
    } else {
        eprintln!("SKIPPED: the kernel has no Landlock");
    }
}

/// Of each thread of a process: the values of these lines of its status.
fn threads(pid: u32, keys: &[&str]) -> Vec<Vec<String>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let value = |status: &str, key: &str| -> String {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{key}: {status}")).trim().to_owned()
    };
    statuses.map(|status| keys.iter().map(|key| value(&status, key)).collect()).collect()
}

/// Asserts that no thread of a process has rights.
fn assert_without_rights(pid: u32, at_least: usize) {
    let filtered = if sandbox::available().seccomp { "2" } else { "0" };
    let threads = threads(pid, &["NoNewPrivs", "Seccomp", "CapEff", "CapPrm"]);
    assert!(threads.len() >= at_least, "{threads:?}");
    for thread in &threads {
        assert_eq!(thread[..], ["1", filtered, "0000000000000000", "0000000000000000"], "{threads:?}");
    }
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A live run on loopback.
pub(crate) struct Live {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
}

impl Live {
    /// Starts the program and waits until it listens. Returns what it said before; `None` where capturing is not permitted.
    pub(crate) fn start(command: &mut Command) -> Option<(Self, String)> {
        let mut child = command.spawn().expect("the program starts");
        let err = BufReader::new(child.stderr.take().expect("piped"));
        let mut live = Self { child, err };
        let mut said = String::new();
        loop {
            let before = said.len();
            live.err.read_line(&mut said).expect("readable");
            let line = &said[before..];
            if line.contains("listening on lo") {
                return Some((live, said));
            }
            if line.is_empty() || line.contains("not permitted") {
                assert!(std::env::var_os("RPCSCOPE_LIVE").is_none_or(|value| value != "require"), "{said}");
                eprintln!("SKIPPED: capturing on loopback is not permitted: {said}");
                _ = live.child.wait();
                return None;
            }
        }
    }

    /// Its standard output.
    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("piped, and taken once")
    }

    /// Ends it as Ctrl-C does. Returns the exit status and the rest of standard error.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        let mut said = String::new();
        self.err.read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("it ends").code(), said)
    }
}

/// Processes whose parent is `pid`.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().expect("a pid")).collect::<Vec<_>>())
        .collect()
}

/// A handle of a process that runs.
fn watch(pid: u32) -> OwnedFd {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a pid");
    pidfd_open(pid, PidfdFlags::empty()).expect("it runs")
}

/// Waits for the end of a process.
fn assert_ended(process: &OwnedFd) {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).expect("polled");
    assert_eq!(ended, 1, "it still runs");
}

#[test]
fn no_thread_of_a_live_run_has_rights() {
    let mut command = program(&["calls", "-i", "lo", "-f", "udp port 9"]);
    let Some((live, before)) = Live::start(&mut command) else { return };
    let child = &live.child;
    // The interface is read in a thread, and the first tick of the analysis starts the others.
    assert_without_rights(child.id(), 2);
    let helpers = children(child.id());
    assert_eq!(helpers.len(), 1, "one process for the names of processes");
    let helper = watch(helpers[0]);
    for thread in threads(helpers[0], &["NoNewPrivs", "CapEff"]) {
        assert_eq!(thread[0], "1");
        let left = u64::from_str_radix(&thread[1], 16).expect("a number");
        // CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE.
        assert_eq!(left & !(1 << 2 | 1 << 19), 0, "{left:x}");
    }
    let (status, said) = live.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(!before.contains("sandbox") && !said.contains("sandbox"), "no noise: {before}{said}");
    assert_ended(&helper);
}

#[test]
fn a_helper_ends_when_its_parent_is_killed() {
    let mut command = program(&["calls", "-i", "lo", "-f", "udp port 9"]);
    let Some((mut live, _)) = Live::start(&mut command) else { return };
    let helper = children(live.child.id())[0];
    let waiting = watch(helper);
    live.child.kill().expect("it runs");
    live.child.wait().expect("it ends");
    assert_ended(&waiting);
}

#[test]
fn processes_of_live_calls_are_named_by_the_helper() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let filter = format!("tcp port {port}");
    let mut command = program(&["calls", "-i", "lo", "-f", &filter, "--format", "jsonl"]);
    let Some((mut live, _)) = Live::start(&mut command) else { return };
    let mut out = BufReader::new(live.child.stdout.take().expect("piped"));
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected");
    let (mut server, _) = listener.accept().expect("connected");
    let message =
        |kind: u8| [&[0, 0, 0, 17, 0x80, 1, 0, kind, 0, 0, 0, 4][..], b"Ping", &[0, 0, 0, 1, 0]].concat();
    // The first lookup starts a scan, so the names come with a later call.
    for _ in 0..200 {
        client.write_all(&message(1)).expect("written");
        server.read_exact(&mut [0; 21]).expect("read");
        server.write_all(&message(2)).expect("written");
        client.read_exact(&mut [0; 21]).expect("read");
        let mut line = String::new();
        out.read_line(&mut line).expect("a call");
        let call: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        if !call["process"].is_null() {
            assert!(line.contains(&format!("\"pid\":{}", std::process::id())), "{line}");
            assert_eq!(live.end().0, Some(0));
            return;
        }
    }
    panic!("no call had names");
}

#[test]
fn no_sandbox_says_what_it_gives_up_and_starts_no_helper() {
    let mut command = program(&["calls", "-i", "lo", "-f", "udp port 9", "--no-sandbox"]);
    let Some((live, said)) = Live::start(&mut command) else { return };
    assert!(said.contains("--no-sandbox: ") && said.contains("start programs"), "{said}");
    assert!(children(live.child.id()).is_empty());
    let threads = threads(live.child.id(), &["NoNewPrivs", "Seccomp"]);
    // What the test itself is restricted by, its programs are too.
    let own = self::threads(std::process::id(), &["NoNewPrivs", "Seccomp"]);
    assert!(threads.iter().all(|thread| *thread == own[0]), "{threads:?}");
    assert_eq!(live.end().0, Some(0));
}

#[test]
fn no_thread_of_a_replay_has_rights() {
    let capture = fs::read(captures().join("trpc/chain-business.pcap")).expect("a capture");
    // The input stays open after its packets, so that the run lasts while it is looked at.
    let mut child = program(&["calls", "-", "-l", "--threads", "3"]).spawn().expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(&capture).expect("it reads");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    out.read_line(&mut String::new()).expect("a call");
    assert_without_rights(child.id(), 2);
    assert!(children(child.id()).is_empty(), "a replay needs no other process");
    drop(input);
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("calls");
    assert_eq!(rest.lines().count(), 23);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn no_thread_of_the_interface_has_rights() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = captures().join("trpc/chain-business.pcap");
    let program = Path::new(env!("CARGO_BIN_EXE_rpcscope"));
    let mut session = Session::open(program, &[&capture], folder.path(), (80, 24));
    session.wait_for("24 calls");
    assert_without_rights(session.pid(), 4);
    assert_eq!(children(session.pid()).len(), 2, "one process for exports, one for the config file");
    // Any name was possible before; this one is none of an export.
    session.keys("x.x.profile\r");
    session.wait_for("the ending says what is written");
    session.keys("\x1b");
    session.wait("the footer", |screen| screen.contents().contains("? keys"));
    assert!(!folder.path().join(".profile").exists());
    session.keys("q");
    assert!(session.end().success());
}

#[test]
fn a_rotation_goes_on_in_the_sandbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = captures().join("trpc/chain-business.pcap");
    let capture = capture.to_str().expect("text");
    // Names with a number and a time, and numbers in turn.
    for (name, more) in [("x.pcap", &[][..]), ("x", &["-W", "3"])] {
        let output = folder.path().join(name);
        let output = output.to_str().expect("text");
        // More than a million bytes.
        let whole = fs::read(capture).expect("a capture");
        let many = folder.path().join("many");
        let records = whole[24..].repeat(3_200_000 / whole.len());
        fs::write(&many, [&whole[..24], &records].concat()).expect("written");
        let arguments = ["stats", many.to_str().expect("text"), "-w", output, "-C", "1"];
        let ran = program(&arguments).args(more).output().expect("it runs");
        assert!(ran.status.success(), "{ran:?}");
        fs::remove_file(many).expect("there");
        let written = fs::read_dir(folder.path()).expect("a folder").count();
        assert!(written >= 3, "{name}: {written}");
        for file in fs::read_dir(folder.path()).expect("a folder") {
            fs::remove_file(file.expect("a file").path()).expect("there");
        }
    }
}
