//! Names of addresses from files (`--names`), with the real program.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support;

/// Two services on one host; calls that no header names.
const CAPTURE: &str = "thrift/thrift-go-java-framed-binary.pcap";

/// The first call of it.
const CLIENT: &str = "127.0.0.1:42668";
const SERVER: &str = "127.0.0.1:43105";

fn rpcscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.stdin(Stdio::null()).env("TZ", "UTC");
    command
}

fn run(args: &[&str], names: &Path) -> Output {
    let capture = support::captures().join(CAPTURE);
    rpcscope().args(args).arg(capture).arg("--names").arg(names).output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is UTF-8")
}

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

fn records(output: &Output) -> Vec<Value> {
    done(output).lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

/// A file with this text.
fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("writable");
    path
}

#[test]
fn addresses_have_their_names_in_records_and_filters_and_stay_addresses() {
    let folder = tempfile::tempdir().expect("a folder");
    let csv = format!(
        "address,name,pod,node,namespace\n{SERVER},stock,stock-1,n7,shop\n127.0.0.0/8,\"a \u{1b}[31m\",,,\n"
    );
    let names = file(&folder, "names", &csv);
    let calls = records(&run(&["calls", "--format", "jsonl"], &names));
    assert!(calls.len() > 5);
    for call in &calls {
        assert_eq!(call["client_name"], "a \u{1b}[31m");
        assert_eq!(call["server_name"], "stock.shop");
        assert_eq!((&call["server_pod"], &call["server_node"]), (&"shop/stock-1".into(), &"n7".into()));
        assert_eq!((&call["client"], &call["server"]), (&CLIENT.into(), &SERVER.into()));
        assert!(
            call.get("client_pod").is_none() && call.get("callee").is_none() && call.get("caller").is_none()
        );
    }
    for filter in [
        "server_name == \"stock.shop\"",
        "server == 127.0.0.1 and client_name ~ \"a\"",
        "server_pod ~ \"stock-1$\"",
    ] {
        let matching = records(&run(&["calls", "--format", "jsonl", "-Y", filter], &names));
        assert_eq!(matching.len(), calls.len(), "{filter}");
    }
    let line = done(&run(&["calls", "-c", "20"], &names));
    assert!(line.contains("a \\x1b[31m → stock.shop"), "{line}");
    assert!(done(&run(&["stats"], &names)).contains("stock.shop fetch"));
    let stats = records(&run(&["stats", "--format", "jsonl"], &names));
    assert!(stats.iter().all(|row| row["server_name"] == "stock.shop" && row["service"].is_null()));
    let graph = done(&run(&["chains", "--format", "dot"], &names));
    assert!(graph.contains("stock.shop") && !graph.contains("43105"), "{graph}");
    let page = done(&run(&["show", "6"], &names));
    assert!(page.contains(&format!("stock.shop  {SERVER}")) && page.contains("shop/stock-1"), "{page}");
}

#[test]
fn records_keep_their_names_and_get_those_that_they_lack() {
    let folder = tempfile::tempdir().expect("a folder");
    let then = file(&folder, "then", &format!("{SERVER} then\n"));
    let now = file(&folder, "now", "127.0.0.1 now\n");
    for format in ["jsonl", if cfg!(feature = "parquet") { "parquet" } else { "jsonl" }] {
        let path = folder.path().join(format!("calls.{format}"));
        let out = path.to_string_lossy();
        done(&run(&["calls", "--link", "--format", format, "-o", &out], &then));
        let judged = rpcscope().args(["judge", "--format", "jsonl", &out, "--names"]).arg(&now).output();
        let judged = text(&judged.expect("the program starts").stdout);
        assert!(judged.lines().count() > 5, "{judged}");
        for line in judged.lines() {
            let chain: Value = serde_json::from_str(line).expect("a JSON line");
            let root = &chain["root"];
            assert_eq!((&root["client_name"], &root["server_name"]), (&"now".into(), &"then".into()));
        }
    }
}

#[test]
fn a_file_that_can_not_be_used_ends_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, content, what) in [
        ("broken.json", "{\"items\": [\n{\"kind\"", "broken.json: is not valid JSON: EOF"),
        ("odd.txt", "# names\norder is 10.0.0.1\n", "odd.txt: line 2: is not a file of names"),
        ("faults.csv", "1.2.3.4.5,a\n", "faults.csv: line 1: "),
    ] {
        let output = run(&["calls"], &file(&folder, name, content));
        assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(1), ""));
        assert!(text(&output.stderr).contains(what), "{}", text(&output.stderr));
    }
    let some = file(&folder, "some", "127.0.0.1 here\nthere\n");
    let output = run(&["calls"], &some);
    assert!(text(&output.stdout).contains("here → here"));
    assert!(text(&output.stderr).contains("line 2: 'there' is not an address"), "{}", text(&output.stderr));
    let output = run(&["calls", "-o", &some.to_string_lossy()], &some);
    assert_eq!(output.status.code(), Some(2), "it would overwrite the names");
}

/// The packets of the capture on a connection of another port: each number is a connection of its own.
fn on_port(capture: &[u8], port: u16) -> Vec<u8> {
    const FILE_HEAD: usize = 24;
    const PACKET_HEAD: usize = 16;
    let client: u16 = CLIENT.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
    let mut packets = capture[FILE_HEAD..].to_vec();
    let mut at = 0;
    while at < packets.len() {
        let length = u32::from_le_bytes(packets[at + 8..at + 12].try_into().expect("4 bytes")) as usize;
        let packet = &mut packets[at + PACKET_HEAD..at + PACKET_HEAD + length];
        let found = packet.windows(2).position(|two| two == client.to_be_bytes()).expect("the client's port");
        packet[found..found + 2].copy_from_slice(&port.to_be_bytes());
        at += PACKET_HEAD + length;
    }
    packets
}

/// Follows a growing capture in the sandbox, while another file takes the place of the one with names. Connections are added until
/// one has the new name.
#[test]
fn a_replaced_file_is_read_again_while_calls_come() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = file(&folder, "names", "127.0.0.1 old\n");
    let capture = std::fs::read(support::captures().join(CAPTURE)).expect("readable");
    let growing = folder.path().join("growing.pcap");
    std::fs::write(&growing, &capture).expect("writable");
    let mut command = rpcscope();
    command.args(["calls", "--follow", "-l", "--format", "jsonl", "--names"]).arg(&names).arg(&growing);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = move || -> Value {
        serde_json::from_str(&lines.next().expect("a record").expect("UTF-8")).expect("a JSON line")
    };
    assert_eq!(next()["server_name"], "old");
    let newer = file(
        &folder,
        "newer",
        "[{\"Node\":\"n1\",\"Address\":\"127.0.0.1\",\"ServiceName\":\"x\",\"ServicePort\":1}]",
    );
    std::fs::rename(newer, &names).expect("renamed");
    let mut file = std::fs::File::options().append(true).open(&growing).expect("writable");
    let is_new = (1..60_000).any(|port| {
        file.write_all(&on_port(&capture, port)).expect("written");
        loop {
            let record = next();
            let name = record["server_name"].as_str().expect("a name").to_owned();
            if name != "old" {
                assert_eq!((name.as_str(), record["server_node"].as_str()), ("n1", Some("n1")));
                break true;
            }
            if record["client"] == format!("127.0.0.1:{port}") {
                break false;
            }
        }
    });
    assert!(is_new, "the names never changed");
    child.kill().expect("it runs");
    child.wait().expect("it ended");
}
