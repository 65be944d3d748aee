//! The real program in a pseudo-terminal: keys in, screen out.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::support::captures;
use crate::terminal::Session;

fn open(file: &Path, folder: &Path) -> Session {
    Session::open(Path::new(env!("CARGO_BIN_EXE_rpcscope")), &[file], folder, (80, 24))
}

fn assert_restored(session: &Session) {
    let screen = session.screen();
    assert!(!screen.alternate_screen(), "the shell's screen is back");
    assert!(!screen.hide_cursor(), "the cursor is back");
    assert!(!screen.bracketed_paste());
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
}

fn capture() -> PathBuf {
    captures().join("trpc/chain-business.pcap")
}

#[test]
fn the_cause_of_a_failure_is_a_few_keys_away() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open(&capture(), folder.path());
    session.wait_for("24 calls");
    session.wait_for("BIZ 19");
    // The chains of a file are complete at its end.
    session.wait_for("drops 0  done");
    // Filter.
    session.keys("fclass == rpc");
    session.wait_for("23 hidden");
    session.keys("\r");
    session.wait("the footer", |screen| screen.contents().contains("? keys"));
    // Detail, with the bytes read from the file again.
    session.keys("\r");
    session.wait_for("func_ret");
    session.wait_for("0000 09 30");
    session.wait_for("caller logs");
    // Its chain, and back.
    session.keys("c");
    session.wait_for("★");
    session.keys("1");
    session.wait_for("23 hidden");
    // Export.
    session.keys("x");
    session.wait_for("export the 1 call shown to:");
    session.keys("calls.jsonl\r");
    session.wait_for("wrote 1 record to calls.jsonl");
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    session.keys("xsu\t");
    session.wait_for("shown to: sub/");
    session.keys("packets\r");
    session.wait_for("of 1 call to sub/packets.pcapng");
    // Nothing is overwritten, and the name can be mended.
    session.keys("xcalls.jsonl\r");
    session.wait_for("exists already");
    session.keys("\x15nowhere/x\r");
    session.wait_for("there is no folder nowhere");
    session.keys("\x1b");
    session.wait("the footer", |screen| screen.contents().contains("? keys"));
    session.keys("q");
    assert!(session.end().success());
    assert_restored(&session);

    let record = std::fs::read_to_string(folder.path().join("calls.jsonl")).unwrap();
    assert_eq!(record.lines().count(), 1);
    assert!(record.contains(r#""class":"rpc""#), "{record}");
    let packets = folder.path().join("sub/packets.pcapng");
    let exported =
        crate::support::calls(std::slice::from_ref(&packets), &rpcscope::pipeline::Options::default());
    assert!(exported.iter().any(|call| call.class() == Some(rpcscope::calls::Class::Rpc)));
    let mut tshark = std::process::Command::new("tshark");
    tshark.args(["-Y", "frame.comment", "-T", "fields", "-e", "frame.comment", "-r"]).arg(&packets);
    match tshark.output() {
        Ok(read) => {
            let comments = String::from_utf8_lossy(&read.stdout).into_owned();
            assert_eq!(comments.lines().count(), 1, "the one shown call: {comments}");
            assert!(comments.contains("RPC error"), "{comments}");
        }
        Err(error) => eprintln!("SKIPPED: no tshark: {error}"),
    }
}

/// In the sandbox, which leaves the folder of a log reachable: it may come later and be replaced.
#[test]
fn lines_of_a_log_beside_the_capture_lead_to_their_calls() {
    let folder = tempfile::tempdir().unwrap();
    let options = rpcscope::pipeline::Options::default();
    let calls = crate::support::calls(&[capture()], &options);
    // The list begins with the first call.
    let failed = calls.iter().find(|call| call.class() == Some(rpcscope::calls::Class::Business)).unwrap();
    let (code, message) = (failed.outcome.code.unwrap(), failed.outcome.message.clone().unwrap());
    let line = format!("{} reserve failed: type:business, code:{code}, msg:{message}", failed.end);
    let log = folder.path().join("app.log");
    let program = Path::new(env!("CARGO_BIN_EXE_rpcscope"));
    let arguments = [&capture(), Path::new("--log"), Path::new("app.log")];
    let mut session = Session::open(program, &arguments, folder.path(), (80, 24));
    session.wait_for("there is no such log");
    std::fs::write(&log, format!("starting\n{line}\n")).unwrap();
    session.wait_for("≡");
    session.keys("L");
    session.wait_for("app.log:2");
    session.keys("\r");
    session.wait_for("logged in   app.log:2");
    // Another file of its name.
    let next = folder.path().join("next");
    std::fs::write(&next, format!("\n\n\n{line}\n")).unwrap();
    std::fs::rename(&next, &log).unwrap();
    session.keys("L");
    session.wait_for("app.log:4");
    // The same line, pasted.
    session.keys(&format!("1g/\x1b[200~{line}\n\x1b[201~"));
    session.wait_for("an error line");
    session.keys("\r");
    session.wait_for("of the line by text, code");
    session.keys("q");
    assert!(session.end().success());
    assert_restored(&session);
}

#[test]
fn chains_are_summed_up_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open(&capture(), folder.path());
    // The chains of a file are complete at its end.
    session.wait_for("drops 0  done");
    session.keys("5s");
    session.wait_for("summary of changes");
    session.wait_for("service answered");
    session.keys("\r");
    session.wait_for("★ began here");
    // Back in the summary, then in the chains, and on to the graph.
    session.keys("\x1b");
    session.wait_for("summary of changes");
    session.keys("5v");
    session.wait_for("service graph");
    session.wait_for("└▶");
    session.keys("\r");
    session.wait_for("only calls");
    // From there to the call in which the error of the first one began.
    session.keys("eO");
    session.wait_for("raised by");
    session.keys("\x1b");
    session.wait_for("only calls");
    session.keys("\x1b");
    session.wait_for("service graph");
    session.keys("q");
    assert!(session.end().success());
    assert_restored(&session);
}

#[test]
fn help_resize_and_a_tiny_screen() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open(&capture(), folder.path());
    session.wait_for("24 calls");
    session.keys("?");
    session.wait_for("one row down");
    session.keys("\x1b");
    session.wait("the help is gone", |screen| {
        let text = screen.contents();
        text.contains("24 calls") && !text.contains("one row down")
    });
    session.resize((50, 6));
    session.wait_for("terminal too small: 60x12 needed");
    session.resize((200, 50));
    session.wait_for("protocol");
    session.keys("\x03");
    assert!(session.end().success());
    assert_restored(&session);
}

#[test]
fn a_filter_for_bodies_reads_a_file_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open(&captures().join("payload/thrift-py-framed-binary.pcap"), folder.path());
    session.wait_for("drops 0  done");
    session.keys("freq.1.1 == 7\r");
    session.wait_for("calls were read");
    session.wait("the one call with it", |screen| {
        let text = screen.contents();
        text.contains("13 hidden") && text.contains("place") && !text.contains("photo")
    });
    session.keys("q");
    assert!(session.end().success());
    assert_restored(&session);
}

#[test]
fn a_filter_for_bodies_of_a_pipe_finds_what_comes_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let capture = std::fs::read(captures().join("payload/thrift-py-framed-binary.pcap")).unwrap();
    // A record of the file says at its ninth byte how long its packet is.
    let length = |at: usize| u32::from_le_bytes(capture[at + 8..at + 12].try_into().unwrap()) as usize;
    let mut half = 24;
    while half < capture.len() / 2 {
        half += 16 + length(half);
    }
    let mut session = open(&pipe, folder.path());
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    writer.write_all(&capture[..half]).unwrap();
    session.wait_for("quote");
    session.keys("freq.1 == \"p\"\r");
    session.wait_for("calls before have none");
    writer.write_all(&capture[half..]).unwrap();
    drop(writer);
    session.wait_for("drops 0  done");
    session.wait("the one call with it", |screen| {
        let text = screen.contents();
        text.contains("photo") && !text.contains("quote")
    });
    session.keys("q");
    assert!(session.end().success());
    assert_restored(&session);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut session = open(&capture(), folder.path());
    session.wait_for("24 calls");
    let pid = rustix::process::Pid::from_raw(i32::try_from(session.pid()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    session.end();
    assert_restored(&session);
}

#[test]
fn a_file_without_anything_to_show_is_reported_without_an_empty_screen() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("notes.txt"), "these are no packets, only words about packets")
        .unwrap();
    std::fs::write(folder.path().join("empty.pcap"), "").unwrap();
    for (name, why) in
        [("notes.txt", "not a capture"), ("empty.pcap", "empty"), ("missing.pcap", "no such file")]
    {
        let mut session = open(&folder.path().join(name), folder.path());
        assert_eq!(session.end().exit_code(), 1, "{name}");
        assert_restored(&session);
        session.wait(name, |screen| {
            let text = screen.contents();
            text.contains("rpcscope:") && text.contains(why) && !text.contains("Services")
        });
    }
}

#[test]
fn a_capture_without_packets_is_reported_and_a_problem_beside_packets_is_on_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(capture()).unwrap();
    let head = folder.path().join("head.pcap");
    std::fs::write(&head, &whole[..24]).unwrap();
    let mut session = open(&head, folder.path());
    assert_eq!(session.end().exit_code(), 1);
    assert_restored(&session);
    session.wait_for("head.pcap: no packets in this capture");
    let program = Path::new(env!("CARGO_BIN_EXE_rpcscope"));
    let files = [capture(), folder.path().join("missing.pcap")];
    let mut session =
        Session::open(program, &[files[0].as_path(), files[1].as_path()], folder.path(), (80, 24));
    session.wait_for("24 calls");
    session.wait_for("no such file");
    session.keys("q");
    assert_eq!(session.end().exit_code(), 1);
    assert_restored(&session);
}

#[test]
fn control_z_gives_the_terminal_back_and_returns() {
    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
    let folder = tempfile::tempdir().unwrap();
    let mut session = open(&capture(), folder.path());
    session.wait_for("24 calls");
    session.keys("\x1a");
    session.wait("the shell's screen", |screen| !screen.alternate_screen());
    assert_restored(&session);
    let pid = Pid::from_raw(i32::try_from(session.pid()).unwrap()).unwrap();
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped());
    kill_process(pid, Signal::CONT).unwrap();
    session.wait("the whole screen again", |screen| {
        screen.alternate_screen()
            && screen.contents().contains("24 calls")
            && screen.contents().contains("? keys")
    });
    session.keys("q");
    assert!(session.end().success());
    assert_restored(&session);
}

#[test]
fn a_capture_that_another_host_sends_is_live_and_whoever_sends_it_may_use_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let pipes = ["packets", "end"].map(|name| folder.path().join(name));
    for pipe in &pipes {
        rustix::fs::mkfifoat(rustix::fs::CWD, pipe, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    }
    // The last packet comes now.
    let mut capture = std::fs::read(captures().join("demo/all-classes.pcap")).unwrap();
    let word = |capture: &[u8], at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap());
    let mut records = vec![];
    let mut at = 24;
    while at < capture.len() {
        records.push(at);
        at += 16 + word(&capture, at + 8) as usize;
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as u32;
    let later = now - word(&capture, records[records.len() - 1]);
    for at in records {
        let time = word(&capture, at) + later;
        capture[at..at + 4].copy_from_slice(&time.to_le_bytes());
    }
    // As ssh does: it asks for a password on the terminal. As tcpdump does: it writes there, several times, because once may fall into a drawing
    // and never be seen.
    let script = format!(
        "(read word </dev/tty; echo \"password $word\" >/dev/tty; cat packets; for n in 1 2 3 4 5; do printf '\\033[50;20HFOREIGN' >/dev/tty; sleep 0.2; done; cat end) | {} -",
        env!("CARGO_BIN_EXE_rpcscope")
    );
    let arguments = [Path::new("-c"), Path::new(&script)];
    let mut session = Session::open(Path::new("/bin/sh"), &arguments, folder.path(), (200, 60));
    session.keys("secret\r");
    session.wait_for("password secret");
    assert!(!session.screen().alternate_screen());
    let mut writer = std::fs::OpenOptions::new().write(true).open(&pipes[0]).unwrap();
    writer.write_all(&capture).unwrap();
    // The newest calls are shown, and chains before the end.
    session.wait_for("following");
    session.keys("5");
    session.wait_for("began here");
    drop(writer);
    session.wait_for("FOREIGN");
    session.wait("a screen without it", |screen| !screen.contents().contains("FOREIGN"));
    assert!(session.contents().contains("began here") && session.contents().contains(" live"));
    drop(std::fs::OpenOptions::new().write(true).open(&pipes[1]).unwrap());
    session.wait_for("done");
    session.keys("q");
    assert!(session.end().success());
}

/// `ssh host tcpdump -U -w - | rpcscope -`: what writes a pipe notices its closed end with the next packet, and the shell waits for both.
#[test]
fn whoever_quits_learns_why_the_shell_waits() {
    let folder = tempfile::tempdir().unwrap();
    let (capture, program) = (capture(), env!("CARGO_BIN_EXE_rpcscope"));
    let says = |writer: &str| {
        let script = format!("({writer}) | {program} -; echo the end");
        let arguments = [Path::new("-c"), Path::new(&script)];
        let mut session = Session::open(Path::new("/bin/sh"), &arguments, folder.path(), (80, 24));
        session.wait_for("24 calls");
        session
    };
    let mut session = says(&format!("cat '{}'; exec sleep 600", capture.display()));
    session.keys("q");
    session.wait_for("ends with its next packet, or with Ctrl-C");
    assert_restored(&session);
    session.keys("\x03");
    session.end();

    let mut session = says(&format!("cat '{}'", capture.display()));
    session.wait_for("done");
    session.keys("q");
    session.wait_for("the end");
    assert!(!session.contents().contains("Ctrl-C"));
    session.end();
}
