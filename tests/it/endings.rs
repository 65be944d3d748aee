//! However a live run ends, every packet that the kernel delivered is in the `-w` file, and every decided call in the `-o`
//! file. The real program captures real traffic on loopback; a separate capture counts what the kernel delivered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use pcap::{Active, Capture};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rpcscope::source::{Batch, Source, files};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::{Pid, Signal, kill_process};

use crate::support;
use crate::terminal::Session;

/// Calls that each test makes.
pub(crate) const CALLS: usize = 60;
/// No file takes longer to change, however busy the machine is.
const DEADLINE: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// Traffic of a framed thrift server and its client on loopback, and a capture that counts its packets.
pub(crate) struct Peers {
    listener: TcpListener,
    witness: Capture<Active>,
}

impl Peers {
    /// `None` if capturing is not permitted, with a message; fails if that is not accepted.
    pub(crate) fn new() -> Option<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let filter = filter(&listener);
        let opened = Capture::from_device("lo")
            .and_then(|device| device.immediate_mode(true).buffer_size(64 << 20).snaplen(128).open())
            .and_then(Capture::setnonblock)
            .and_then(|mut capture| capture.filter(&filter, true).map(|()| capture));
        match opened {
            Ok(witness) => Some(Self { listener, witness }),
            Err(why) => {
                assert!(std::env::var_os("RPCSCOPE_LIVE").is_none_or(|value| value != "require"), "{why}");
                eprintln!("SKIPPED: capturing on loopback is not permitted: {why}");
                None
            }
        }
    }

    /// Makes calls on a new connection and closes it. All packets have passed loopback when this returns.
    pub(crate) fn call(&self, calls: usize) {
        let address = self.listener.local_addr().expect("an address");
        let listener = self.listener.try_clone().expect("a descriptor");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            while let Some(id) = read_message(&mut stream) {
                stream.write_all(&message(2, id)).expect("the client reads");
            }
        });
        let mut client = TcpStream::connect(address).expect("the server listens");
        for id in 0..calls as u32 {
            client.write_all(&message(1, id)).expect("the server reads");
            assert_eq!(read_message(&mut client), Some(id));
        }
        client.shutdown(std::net::Shutdown::Write).expect("connected");
        assert_eq!(read_message(&mut client), None);
        server.join().expect("no panic");
    }

    /// What clients connect to.
    pub(crate) fn listener(&self) -> &TcpListener {
        &self.listener
    }

    /// Packets that the kernel delivered so far.
    fn delivered(&mut self) -> usize {
        let mut packets = 0;
        while self.witness.next_packet().is_ok() {
            packets += 1;
        }
        assert_eq!(self.witness.stats().expect("counts").dropped, 0);
        packets
    }
}

pub(crate) fn filter(listener: &TcpListener) -> String {
    format!("tcp port {}", listener.local_addr().expect("an address").port())
}

/// A framed thrift message of the binary protocol without fields: a call (1) or a reply (2).
fn message(kind: u8, id: u32) -> Vec<u8> {
    let body = [&[0x80, 1, 0, kind, 0, 0, 0, 4][..], b"Ping", &id.to_be_bytes(), &[0]].concat();
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

/// The id of the next message; `None` at the end.
fn read_message(stream: &mut TcpStream) -> Option<u32> {
    let mut message = [0; 21];
    stream.read_exact(&mut message).ok()?;
    message[16..20].first_chunk().map(|id| u32::from_be_bytes(*id))
}

/// Files for the program's output.
struct Files {
    folder: tempfile::TempDir,
    packets: PathBuf,
    calls: PathBuf,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (packets, calls) = (folder.path().join("packets.pcapng"), folder.path().join("calls.jsonl"));
        Self { folder, packets, calls }
    }

    /// Asserts that both files are complete.
    fn assert_complete(&self, packets: usize, calls: usize) {
        assert_eq!(count(&self.packets), packets, "packets");
        assert_eq!(support::lines(&self.calls).len(), calls, "calls");
    }
}

/// The number of packets in a capture file. Asserts that all readers accept the file.
fn count(path: &Path) -> usize {
    let mut source = files::open(&[path.to_owned()], files::Options::default());
    let (mut batch, mut packets) = (Batch::default(), 0);
    while source.next_batch(&mut batch).expect("a capture") {
        packets += batch.records.len();
    }
    assert_eq!(source.troubles().len(), 0, "{:?}", source.troubles());
    match Command::new("capinfos").args(["-M", "-c"]).arg(path).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            let number = text.lines().find_map(|line| line.strip_prefix("Number of packets:"));
            assert_eq!(number.and_then(|number| number.trim().parse().ok()), Some(packets), "{text}");
        }
        Err(why) => eprintln!("SKIPPED: capinfos did not check the file: {why}"),
    }
    if let Ok(output) =
        Command::new("tshark").args(["-n", "-T", "fields", "-e", "frame.number", "-r"]).arg(path).output()
    {
        // As root, tshark prints a warning before it reads.
        let complaint = String::from_utf8_lossy(&output.stderr).contains("cut short");
        assert!(output.status.success() && !complaint, "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), packets);
    }
    packets
}

/// `rpcscope calls` on the traffic, its interface open.
struct Sniffer {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
}

impl Sniffer {
    fn start(peers: &Peers, files: &Files, more: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_rpcscope")), peers, files, more)
    }

    /// Runs the program through `command`.
    fn spawn(mut command: Command, peers: &Peers, files: &Files, more: &[&str]) -> Self {
        let mut child = command
            .args(["calls", "-i", "lo", "-f", &filter(&peers.listener), "--format", "jsonl"])
            .arg("-w")
            .arg(&files.packets)
            .arg("-o")
            .arg(&files.calls)
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut err = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        err.read_line(&mut line).expect("readable");
        assert!(line.contains("listening on lo"), "{line}");
        Self { child, err }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for the end. Returns the exit status and standard error.
    fn end(mut self) -> (ExitStatus, String) {
        let mut said = String::new();
        self.err.read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("it ends"), said)
    }
}

#[test]
fn every_signal_and_two_of_them_leave_all_packets_and_calls() {
    let signals: &[&[Signal]] = &[
        &[Signal::INT],
        &[Signal::TERM],
        &[Signal::HUP],
        &[Signal::INT, Signal::INT],
        &[Signal::TERM, Signal::TERM],
        &[Signal::TERM, Signal::HUP, Signal::INT],
    ];
    for signals in signals {
        let Some(mut peers) = Peers::new() else { return };
        let files = Files::new();
        let sniffer = Sniffer::start(&peers, &files, &[]);
        peers.call(CALLS);
        for signal in *signals {
            sniffer.signal(*signal);
        }
        let (status, said) = sniffer.end();
        assert!(status.success(), "{signals:?}: {status} {said}");
        files.assert_complete(peers.delivered(), CALLS);
    }
}

#[test]
fn a_time_out_from_outside_signals_twice_and_loses_nothing() {
    let Some(mut peers) = Peers::new() else { return };
    let files = Files::new();
    let mut command = Command::new("timeout");
    command.arg("5").arg(env!("CARGO_BIN_EXE_rpcscope"));
    let sniffer = Sniffer::spawn(command, &peers, &files, &[]);
    peers.call(CALLS);
    let (status, said) = sniffer.end();
    // The exit status of `timeout` when the time is up.
    assert_eq!(status.code(), Some(124), "{said}");
    files.assert_complete(peers.delivered(), CALLS);
}

#[test]
fn a_duration_and_a_count_end_with_whole_files() {
    let Some(mut peers) = Peers::new() else { return };
    let files = Files::new();
    let sniffer = Sniffer::start(&peers, &files, &["--duration", "5s"]);
    peers.call(CALLS);
    let (status, said) = sniffer.end();
    assert!(status.success(), "{status} {said}");
    files.assert_complete(peers.delivered(), CALLS);

    let files = Files::new();
    let sniffer = Sniffer::start(&peers, &files, &["-c", "50"]);
    peers.call(CALLS);
    let (status, said) = sniffer.end();
    assert!(status.success(), "{status} {said}");
    assert!(peers.delivered() > 50);
    assert_eq!(count(&files.packets), 50);
    // Request and answer of each call are two packets, and there may be acknowledgements between them.
    let calls = support::lines(&files.calls).len();
    assert!((12..=24).contains(&calls), "{calls}");
}

/// Waits until `wanted` holds for the files in a folder; checks again whenever one of them is written or gets its name.
pub(crate) fn wait_for_files(folder: &Path, mut wanted: impl FnMut() -> bool) {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).expect("inotify");
    let changes = inotify::WatchFlags::MODIFY | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, folder, changes).expect("a folder");
    while !wanted() {
        assert!(
            poll(&mut [PollFd::new(&watch, PollFlags::IN)], Some(&DEADLINE)).expect("polled") > 0,
            "no change"
        );
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while events.next().is_ok() {}
    }
}

/// Packets in a file that is still being written.
fn written(path: &Path) -> usize {
    let mut source = files::open(&[path.to_owned()], files::Options::default());
    let (mut batch, mut packets) = (Batch::default(), 0);
    while source.next_batch(&mut batch).is_ok_and(|more| more) {
        packets += batch.records.len();
    }
    packets
}

#[test]
fn what_was_captured_is_in_the_files_before_the_program_is_killed() {
    for more in [&[][..], &["-U", "-l"]] {
        let Some(mut peers) = Peers::new() else { return };
        let files = Files::new();
        let sniffer = Sniffer::start(&peers, &files, more);
        // A file without packets is a valid capture.
        assert_eq!(count(&files.packets), 0);
        peers.call(CALLS);
        let delivered = peers.delivered();
        let complete = || {
            let lines = std::fs::read_to_string(&files.calls).unwrap_or_default().lines().count();
            written(&files.packets) >= delivered && lines >= CALLS
        };
        wait_for_files(files.folder.path(), complete);
        sniffer.signal(Signal::KILL);
        assert!(!sniffer.end().0.success());
        files.assert_complete(delivered, CALLS);
    }
}

#[test]
fn a_full_disk_is_counted_and_reading_goes_on() {
    let Some(mut peers) = Peers::new() else { return };
    // A shell that limits the size of files to less than the packets need.
    let limited = |kind: &str| {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -f \"$1\"; shift; exec \"$@\"", "sh", kind])
            .arg(env!("CARGO_BIN_EXE_rpcscope"));
        command
    };
    let files = Files::new();
    let sniffer = Sniffer::spawn(limited("64"), &peers, &files, &["-Y", "class == business"]);
    for _ in 0..10 {
        peers.call(CALLS);
    }
    sniffer.signal(Signal::INT);
    let (status, said) = sniffer.end();
    assert_eq!(status.code(), Some(1), "{said}");
    let lost = said.lines().find_map(|line| line.strip_suffix(" packets could not be written"));
    let lost: usize =
        lost.and_then(|line| line.rsplit(' ').next()).and_then(|n| n.parse().ok()).expect("a number");
    let written = count(&files.packets);
    assert!(written > 0 && lost > 0, "{said}");
    assert_eq!(written + lost, peers.delivered());

    // If there is no room for the records, the packets are still written.
    let files = Files::new();
    let mut full = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    full.args(["calls", "-i", "lo", "-f", &filter(&peers.listener), "-o", "/dev/full", "-w"])
        .arg(&files.packets);
    full.stderr(Stdio::piped());
    let mut child = full.spawn().expect("the program starts");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    err.read_line(&mut String::new()).expect("listening");
    peers.call(CALLS);
    let sniffer = Sniffer { child, err };
    sniffer.signal(Signal::INT);
    let (status, said) = sniffer.end();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("{CALLS} lines could not be written to /dev/full")), "{said}");
    assert_eq!(count(&files.packets), peers.delivered());
}

#[test]
fn a_reader_that_closes_the_pipe_leaves_a_whole_file() {
    let Some(mut peers) = Peers::new() else { return };
    let files = Files::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .args(["calls", "-i", "lo", "-f", &filter(&peers.listener), "-w"])
        .arg(&files.packets)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut err = BufReader::new(child.stderr.take().expect("piped"));
    err.read_line(&mut String::new()).expect("listening");
    let mut out = BufReader::new(child.stdout.take().expect("piped"));
    peers.call(CALLS);
    out.read_line(&mut String::new()).expect("a call");
    let before = peers.delivered();
    drop(out);
    peers.call(CALLS);
    let (status, said) = Sniffer { child, err }.end();
    assert!(status.success(), "{status} {said}");
    let (written, after) = (count(&files.packets), before + peers.delivered());
    assert!(written >= before && written <= after, "{before} {written} {after}");
}

#[test]
fn a_capture_from_a_pipe_is_written_up_to_the_signal() {
    let files = Files::new();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .args(["calls", "-", "--format", "jsonl", "-o"])
        .arg(&files.calls)
        .arg("-w")
        .arg(&files.packets)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let capture = support::captures().join("kitex/kitex-mixed.pcap");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(&std::fs::read(&capture).expect("readable")).expect("it reads");
    // The pipe stays open, as one from a running tcpdump does.
    wait_for_files(files.folder.path(), || written(&files.packets) == 1068);
    let err = BufReader::new(child.stderr.take().expect("piped"));
    let sniffer = Sniffer { child, err };
    sniffer.signal(Signal::TERM);
    let (status, said) = sniffer.end();
    assert!(status.success(), "{status} {said}");
    drop(input);
    let wanted = support::calls(&[capture], &rpcscope::pipeline::Options::default()).len();
    files.assert_complete(1068, wanted);
}

/// How the interface is left.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Keys(&'static str),
    Signals(&'static [Signal]),
}

/// Opens the interface on the traffic.
fn interface(peers: &Peers, files: &Files) -> Session {
    let filter = filter(&peers.listener);
    let arguments = ["-i", "lo", "-f", &filter, "-w"].map(Path::new);
    let arguments = [&arguments[..], &[&files.packets]].concat();
    let mut session =
        Session::open(Path::new(env!("CARGO_BIN_EXE_rpcscope")), &arguments, files.folder.path(), (100, 24));
    session.wait_for("live");
    session
}

#[test]
fn however_the_interface_is_left_all_packets_are_written() {
    for leave in [
        Leave::Keys("q"),
        Leave::Keys("\x03"),
        Leave::Signals(&[Signal::TERM]),
        Leave::Signals(&[Signal::HUP]),
        Leave::Signals(&[Signal::INT]),
        Leave::Signals(&[Signal::TERM, Signal::TERM]),
    ] {
        let Some(mut peers) = Peers::new() else { return };
        let files = Files::new();
        let mut session = interface(&peers, &files);
        peers.call(CALLS);
        match leave {
            Leave::Keys(keys) => session.keys(keys),
            Leave::Signals(signals) => {
                let pid = Pid::from_raw(i32::try_from(session.pid()).expect("a process")).expect("not 0");
                for signal in signals {
                    kill_process(pid, *signal).expect("it runs");
                }
            }
        }
        assert!(session.end().success(), "{leave:?}");
        assert_eq!(count(&files.packets), peers.delivered(), "{leave:?}");
    }
}

#[test]
fn a_terminal_that_is_closed_loses_no_packet() {
    let Some(mut peers) = Peers::new() else { return };
    let files = Files::new();
    let size = PtySize { rows: 24, cols: 100, pixel_width: 0, pixel_height: 0 };
    let pair = native_pty_system().openpty(size).expect("a terminal");
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.args(["-i", "lo", "-f", &filter(&peers.listener), "-w"]);
    command.arg(&files.packets);
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).expect("the program starts");
    let mut reader = pair.master.try_clone_reader().expect("readable");
    let (mut screen, mut buffer) = (vt100::Parser::new(nonzero(24), nonzero(100), 0), [0; 4096]);
    while !screen.screen().contents().contains("live") {
        let n = reader.read(&mut buffer).expect("the interface opens");
        screen.process(&buffer[..n]);
    }
    peers.call(CALLS);
    drop((pair, reader));
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{status:?}");
    assert_eq!(count(&files.packets), peers.delivered());
}

fn nonzero(n: u16) -> std::num::NonZero<u16> {
    std::num::NonZero::new(n).expect("a terminal has rows and columns")
}

#[test]
fn a_full_disk_is_shown_in_the_interface_which_goes_on() {
    let Some(mut peers) = Peers::new() else { return };
    let files = Files::new();
    let script = files.folder.path().join("limited.sh");
    let text = format!(
        "ulimit -f 32\nexec '{}' -i lo -f '{}' -w '{}'\n",
        env!("CARGO_BIN_EXE_rpcscope"),
        filter(&peers.listener),
        files.packets.display()
    );
    std::fs::write(&script, text).expect("writable");
    let mut session = Session::open(Path::new("/bin/sh"), &[&script], files.folder.path(), (160, 24));
    session.wait_for("live");
    for _ in 0..10 {
        peers.call(CALLS);
    }
    session.wait_for("unwritten");
    session.wait_for("600 calls");
    session.keys("q");
    assert_eq!(session.end().exit_code(), 1);
    let written = count(&files.packets);
    assert!(written > 0 && written < peers.delivered());
}

#[test]
fn under_nohup_a_hang_up_is_ignored() {
    let Some(mut peers) = Peers::new() else { return };
    let files = Files::new();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(env!("CARGO_BIN_EXE_rpcscope"));
    command.process_group(0);
    let sniffer = Sniffer::spawn(command, &peers, &files, &[]);
    sniffer.signal(Signal::HUP);
    peers.call(CALLS);
    sniffer.signal(Signal::TERM);
    assert!(sniffer.end().0.success());
    files.assert_complete(peers.delivered(), CALLS);
}

/// A FIFO in a folder.
fn fifo(folder: &Path) -> PathBuf {
    let path = folder.join("fifo");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).expect("a FIFO");
    path
}

/// Whether the process has been waiting for a while.
fn is_asleep(child: &Child) -> bool {
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        stat.rsplit_once(") ").map(|(_, rest)| rest.starts_with('S'))
    };
    (0..10).all(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        state() == Some(true)
    })
}

#[test]
fn a_signal_ends_the_wait_for_the_other_end_of_a_fifo() {
    let capture = support::captures().join("thrift/thrift-mixed.pcap");
    let capture = capture.to_str().expect("text");
    let call = |option| vec!["calls", capture, option, "FIFO"];
    let runs = [
        call("--names"),
        call("--tls-keylog"),
        vec!["calls", capture, "--payload", "--idl", "FIFO"],
        vec!["calls", capture, "--payload", "--descriptor-set", "FIFO"],
        call("-w"),
        call("-o"),
        vec!["calls", "FIFO"],
        vec!["logs", "FIFO", capture],
        vec!["report", capture, "--log", "FIFO", "-o", "OUT"],
        vec!["judge", "FIFO"],
    ];
    for args in runs {
        let folder = tempfile::tempdir().expect("a folder");
        let path = fifo(folder.path());
        let out = folder.path().join("out.html");
        let named = |arg: &&str| match *arg {
            "FIFO" => path.to_str().expect("text").to_owned(),
            "OUT" => out.to_str().expect("text").to_owned(),
            arg => arg.to_owned(),
        };
        let args: Vec<String> = args.iter().map(named).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
        command.args(&args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !is_asleep(&child) {
            let ended = child.try_wait().expect("a child");
            assert!(ended.is_none() && std::time::Instant::now() < deadline, "{args:?}: {ended:?}");
        }
        kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
        while child.try_wait().expect("a child").is_none() {
            if std::time::Instant::now() > deadline {
                child.kill().expect("it runs");
                panic!("{args:?} goes on");
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}
