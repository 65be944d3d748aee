//! What stands in `contrib/`, as far as it can be tried without a cluster.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use crate::support;

/// A folder for `PATH` with a kubectl that answers with a capture and keeps its arguments, and with the program.
fn stand_in(capture: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > '{}'\nexec cat '{}'\n",
        folder.path().join("arguments").display(),
        capture.display()
    );
    let path = folder.path().join("kubectl");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(script.as_bytes())).expect("writable");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("ours");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rpcscope"), folder.path().join("rpcscope"))
        .expect("writable");
    folder
}

fn plugin(folder: &Path, args: &[&str]) -> Output {
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
    Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/kubectl-rpcscope"))
        .args(args)
        .env("PATH", path)
        .output()
        .expect("a shell")
}

#[test]
fn the_plugin_of_kubectl_reads_here_what_a_debug_container_sniffs() {
    let capture = support::captures().join("kitex/kitex-mixed.pcap");
    let folder = stand_in(&capture);
    let output = plugin(
        folder.path(),
        &["-n", "shop", "pod/order-1", "-f", "port 8888", "--", "calls", "-", "--format", "jsonl"],
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let direct = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .args(["calls", &capture.to_string_lossy(), "--format", "jsonl"])
        .output()
        .expect("the program starts");
    assert!(!direct.stdout.is_empty());
    assert_eq!(output.stdout, direct.stdout);
    let arguments = std::fs::read_to_string(folder.path().join("arguments")).expect("kubectl ran");
    let arguments: Vec<_> = arguments.lines().collect();
    assert!(arguments.starts_with(&["--namespace=shop", "debug", "order-1"]), "{arguments:?}");
    assert!(arguments.contains(&"--profile=netadmin") && arguments.contains(&"port 8888"), "{arguments:?}");
}

#[test]
fn the_plugin_of_kubectl_says_what_is_wrong() {
    let folder = stand_in(Path::new("/dev/null"));
    for (args, wanted) in [
        (&["--nonsense"][..], "unknown option --nonsense"),
        (&["-n"], "-n needs a value"),
        (&["a", "b"], "the second"),
        (&[], "Usage:"),
    ] {
        let output = plugin(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(err.contains(wanted), "{args:?}: {err}");
        assert!(!folder.path().join("arguments").exists(), "{args:?}");
    }
}

/// The comments of the packets of a pcapng file, by the number of the packet.
fn comments(file: &[u8]) -> Vec<(u64, String)> {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes")) as usize;
    let short = |at: usize| u16::from_le_bytes(file[at..at + 2].try_into().expect("two bytes")) as usize;
    let (mut at, mut number, mut found) = (0, 0, Vec::new());
    while at + 12 <= file.len() {
        let (kind, len) = (word(at), word(at + 4));
        if kind == 6 {
            number += 1;
            let mut option = at + 28 + word(at + 20).next_multiple_of(4);
            while option + 4 <= at + len - 4 && short(option) != 0 {
                if short(option) == 1 {
                    let text = &file[option + 4..option + 4 + short(option + 2)];
                    found.push((number, String::from_utf8(text.to_vec()).expect("UTF-8")));
                }
                option += 4 + short(option + 2).next_multiple_of(4);
            }
        }
        at += len;
    }
    found
}

/// The number of the last packet of each call of a capture, and its class.
fn last_packets(capture: &Path) -> Vec<(u64, bool)> {
    let options = rpcscope::pipeline::Options { threads: 1, ..Default::default() };
    let mut last: Vec<_> = support::calls(&[capture.to_owned()], &options)
        .iter()
        .map(|call| (call.packets.1, call.failed()))
        .collect();
    last.sort_unstable();
    last
}

#[test]
fn packets_are_written_with_the_verdicts_of_their_calls() {
    for name in ["kitex/kitex-mixed.pcap", "grpc/grpc-go-go-concurrent.pcap", "demo/all-classes.pcap"] {
        let capture = support::captures().join(name);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out.pcapng");
        let output = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
            .args(["calls", &capture.to_string_lossy(), "--comments", "-w", &path.to_string_lossy()])
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let comments = comments(&std::fs::read(&path).expect("the file"));
        let mut wanted = last_packets(&capture);
        for (number, text) in &comments {
            let of = wanted.iter().filter(|(last, _)| last == number).count();
            assert_eq!(text.lines().count(), of, "{name}, packet {number}: {text}");
            assert!(of > 0, "{name}: packet {number} ends no call");
        }
        wanted.dedup_by_key(|(last, _)| *last);
        assert_eq!(comments.len(), wanted.len(), "{name}");
    }
    let refused = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .args(["calls", "x.pcap", "--comments", "-w", "x.pcap"])
        .output()
        .expect("the program starts");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains(".pcap file can't hold comments"));
}

#[test]
fn wireshark_gets_packets_with_verdicts_from_another_host() {
    let capture = support::captures().join("kitex/kitex-mixed.pcap");
    let folder = stand_in(&capture);
    // What stands in for ssh answers as kubectl does.
    std::fs::rename(folder.path().join("kubectl"), folder.path().join("ssh")).expect("ours");
    let extcap = |args: &[&str]| {
        let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/contrib/wireshark/rpcscope-extcap");
        Command::new(script).args(args).env("PATH", path).output().expect("a shell")
    };
    let listed = extcap(&["--extcap-interfaces", "--extcap-version=4.4"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("interface {value=rpcscope-ssh}"));
    let asked = extcap(&["--extcap-interface", "rpcscope-ssh", "--extcap-config"]);
    assert!(String::from_utf8_lossy(&asked.stdout).contains("{call=--remote-host}"));
    assert_eq!(extcap(&["--capture", "--extcap-interface", "eth0", "--fifo", "x"]).status.code(), Some(2));

    let out = folder.path().join("out");
    let output = extcap(&[
        "--capture",
        "--extcap-interface",
        "rpcscope-ssh",
        "--fifo",
        &out.to_string_lossy(),
        "--extcap-capture-filter=port 8888 or host o'hara",
        "--remote-host",
        "shop-1",
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let arguments = std::fs::read_to_string(folder.path().join("arguments")).expect("ssh ran");
    assert!(arguments.contains("shop-1\n"), "{arguments}");
    assert!(
        arguments.contains(r"tcpdump -i 'any' -U -w - '(port 8888 or host o'\''hara) and not port 22'"),
        "{arguments}"
    );
    assert!(!comments(&std::fs::read(&out).expect("the file")).is_empty());
}
