//! Sniffs real servers and clients of the frameworks (tests/peers) on a real interface with the real program, and compares its
//! records with what the applications saw.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

use crate::{replay, support};

/// Prints why nothing was tested; fails if that is not accepted.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("RPCSCOPE_PEERS").is_none_or(|value| value != "require"), "{why}");
    eprintln!("SKIPPED: real peers were not tested: {why}");
}

/// Builds the peers; the error names what is missing.
fn build() -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let output = Command::new("go")
        .args(["build", "-ldflags=-checklinkname=0", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers"))
        .output()
        .map_err(|error| format!("Go is not installed ({error})"))?;
    if !output.status.success() {
        return Err(format!("the peers can't be built: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(program)
}

fn json(text: &str) -> Option<Value> {
    text.starts_with('{').then(|| serde_json::from_str(text).expect("a JSON line"))
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// A record without what only a live run knows: processes, and where it runs.
fn lasting(mut record: Value) -> Value {
    let keys = record.as_object_mut().expect("an object");
    for key in ["process", "host", "observer", "request_seq"] {
        keys.remove(key);
    }
    record
}

/// Starts the program, with its outputs piped, and waits until it listens. Returns it and its standard error; the error is what it
/// said instead.
pub(crate) fn listening(command: &mut Command) -> Result<(Child, BufReader<ChildStderr>), String> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut sniffer = piped.spawn().expect("the program starts");
    let mut err = BufReader::new(sniffer.stderr.take().expect("piped"));
    let mut line = String::new();
    err.read_line(&mut line).expect("readable");
    if line.contains("listening on") {
        return Ok((sniffer, err));
    }
    err.read_to_string(&mut line).expect("readable");
    sniffer.wait().expect("it ended");
    Err(line)
}

/// Sniffs one scenario; the error is the reason why it could not be sniffed.
fn sniff(peers: &Path, scenario: &str) -> Result<(), String> {
    let port = free_port();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let packets = folder.path().join("packets.pcapng");
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.args(["calls", "-i", "lo", "-f", &format!("tcp port {port}"), "--format", "jsonl", "-w"]);
    // It may still say something: standard error stays open.
    let (mut sniffer, _err) = listening(command.arg(&packets))?;
    let out = sniffer.stdout.take().expect("piped");
    let reader = std::thread::spawn(move || std::io::read_to_string(out).expect("UTF-8"));
    let output = Command::new(peers).args([scenario, &port.to_string()]).output().expect("the peers start");
    assert!(output.status.success(), "{scenario}: {}", String::from_utf8_lossy(&output.stderr));
    let truth: Vec<Value> = String::from_utf8_lossy(&output.stdout).lines().filter_map(json).collect();
    assert!(truth.len() >= 5, "{scenario}: {truth:?}");

    // The sniffer prints everything that was captured before the signal.
    let id = rustix::process::Pid::from_child(&sniffer);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    let status = sniffer.wait().expect("it ends");
    let records: Vec<Value> = reader.join().expect("no panic").lines().filter_map(json).collect();
    assert!(status.success(), "{scenario}: {status}");
    let wrong = replay::complaints(&truth, records.clone());
    assert!(wrong.is_empty(), "{scenario}:\n{}", wrong.join("\n"));

    for record in &records {
        // Both ends of the loopback interface are here.
        assert_eq!(record["observer"], "client", "{scenario}");
        assert!(record["host"].as_str().is_some_and(|host| !host.is_empty()), "{scenario}");
    }
    let replayed: Vec<Value> = support::calls(&[packets], &rpcscope::pipeline::Options::default())
        .iter()
        .map(support::record)
        .collect();
    let live: Vec<Value> = records.into_iter().map(lasting).collect();
    assert_eq!(replayed, live, "{scenario}: the -w file has other records");
    Ok(())
}

#[test]
fn records_of_real_peers_match_what_their_applications_saw() {
    let peers = match build() {
        Ok(peers) => peers,
        Err(why) => return skip(&why),
    };
    for scenario in ["grpc", "thrift", "trpc", "kitex"] {
        if let Err(why) = sniff(&peers, scenario) {
            return skip(&why);
        }
    }
}
