//! Sniffs a real client and server in TLS (tests/peers/tls.py) on a real interface with the real program, whose key log grows
//! meanwhile, or comes when all packets have passed.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::peers::{free_port, listening, skip};

/// Connections, and calls on each.
const CONNECTIONS: usize = 3;
const CALLS: usize = 20;

/// No record takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(60);

/// When the key log is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// It is written while the connections are sniffed.
    Growing,
    /// After all packets.
    Late,
}

/// Runs a tool; the error says why it did not work.
fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{name} is not installed ({error})"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {said}")) }
}

/// Makes a certificate; returns it and its key.
fn certificate(folder: &Path) -> Result<[PathBuf; 2], String> {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| folder.join(name));
    let options = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout";
    run(Command::new("openssl").args(options.split(' ')).arg(&key).arg("-out").arg(&certificate))?;
    Ok([certificate, key])
}

/// Sniffs the peers; the error is the reason why they could not be sniffed.
fn sniff(version: &str, keys: Keys) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [certificate, key] = certificate(folder.path())?;
    run(Command::new("python3").args(["-c", "import ssl; ssl.SSLContext.keylog_filename"]))?;
    let [log, written] = ["keys.log", "written.log"].map(|name| folder.path().join(name));
    let written = if keys == Keys::Growing { log.clone() } else { written };
    let port = free_port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    let filter = format!("tcp port {port}");
    command.args(["calls", "-i", "lo", "-l", "-f", &filter, "--format", "jsonl", "--tls-keylog"]);
    let (mut sniffer, err) = listening(command.arg(&log))?;
    let said = std::thread::spawn(move || std::io::read_to_string(err).expect("UTF-8"));
    let out = BufReader::new(sniffer.stdout.take().expect("piped"));
    let (records, received) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in out.lines() {
            // The test is over if nobody receives it.
            _ = records.send(line.expect("UTF-8"));
        }
    });
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/tls.py");
    run(Command::new("python3").arg(peers).arg(&port).args([&certificate, &key, &written]).args([
        version,
        &CONNECTIONS.to_string(),
        &CALLS.to_string(),
    ]))
    .expect("the peers talk");
    if keys == Keys::Late {
        assert!(received.try_recv().is_err(), "nothing can be read without keys");
        std::fs::rename(&written, &log).expect("a key log");
    }
    for at in 0..CONNECTIONS * CALLS {
        let line = received.recv_timeout(DEADLINE).unwrap_or_else(|why| panic!("record {at}: {why}"));
        let record: Value = serde_json::from_str(&line).expect("a JSON line");
        let facts =
            ["rpc", "transport", "method", "class"].map(|key| record[key].as_str().unwrap_or_default());
        assert_eq!(facts, ["thrift", "framed", "Ping", "ok"], "{line}");
    }
    let id = rustix::process::Pid::from_child(&sniffer);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    let status = sniffer.wait().expect("it ends");
    reader.join().expect("no panic");
    let said = said.join().expect("no panic");
    assert!(status.success(), "{status}: {said}");
    assert_eq!(received.iter().collect::<Vec<_>>(), [""; 0], "more calls than were made");
    Ok(())
}

#[test]
fn keys_that_come_while_packets_are_sniffed_or_later_open_them() {
    for version in ["1.3", "1.2"] {
        for keys in [Keys::Growing, Keys::Late] {
            if let Err(why) = sniff(version, keys) {
                return skip(&why);
            }
        }
    }
}
