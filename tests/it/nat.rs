//! Two hosts with a router between them that translates addresses, captured at each of the three (`tcpdump -i any`), with the
//! real program: which end of a call a host is, and one chain of what they saw.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support;

/// Asked for `placeOrder` by a host that was not captured, asks for `reserve` behind the router.
const CALLER: &str = "nat-caller.pcap";
const ROUTER: &str = "nat-router.pcap";
/// Sees the router's address in place of the caller's.
const CALLEE: &str = "nat-callee.pcap";
/// As the caller, but answers at one address and asks from another.
const TWO_ADDRESSES: &str = "two-addresses.pcap";

/// What the program prints for arguments, run where the captures are, with `input` on its standard input.
fn lines(args: &[&str], input: &str) -> Vec<Value> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .args(args)
        .current_dir(support::captures().join("nat"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    program.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
    let output = program.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{args:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("a record")).collect()
}

/// Method, client's host and observer of each call, each kind once.
fn observers(args: &[&str]) -> Vec<(String, String, Option<String>)> {
    let mut all: Vec<_> = lines(&[&["calls", "--format", "jsonl"], args].concat(), "")
        .iter()
        .map(|call| {
            let text = |key: &str| call[key].as_str().map(str::to_owned);
            let client = text("client").expect("an end");
            let host = client.split(':').next().unwrap_or_default().to_owned();
            (text("method").expect("a method"), host, text("observer"))
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

fn row(method: &str, client: &str, observer: Option<&str>) -> (String, String, Option<String>) {
    (method.to_owned(), client.to_owned(), observer.map(str::to_owned))
}

#[test]
fn packets_of_all_interfaces_say_which_end_the_host_is() {
    for threads in ["1", "3"] {
        let of = |file: &str| observers(&["--threads", threads, file]);
        assert_eq!(
            of(CALLER),
            [row("placeOrder", "10.1.0.1", Some("server")), row("reserve", "10.2.0.2", Some("client"))]
        );
        assert_eq!(of(CALLEE), [row("reserve", "10.3.0.3", Some("server"))]);
        // The address that the router puts in place of the caller's is its own, but nothing that it sent by itself shows it.
        assert_eq!(
            of(ROUTER),
            [
                row("placeOrder", "10.1.0.1", Some("middle")),
                row("reserve", "10.2.0.2", Some("middle")),
                row("reserve", "10.3.0.3", None)
            ]
        );
    }
}

#[test]
fn files_of_several_hosts_say_nothing_unless_they_are_said_to_be_of_one() {
    let unknown =
        |all: &[(String, String, Option<String>)]| all.iter().all(|(.., observer)| observer.is_none());
    assert!(unknown(&observers(&[CALLER, CALLEE])));
    let named = observers(&["--host", "shop", CALLER, CALLER]);
    assert!(!named.is_empty() && !unknown(&named), "{named:?}");
}

#[test]
fn names_say_which_end_a_named_host_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = folder.path().join("names.csv");
    std::fs::write(&names, "address,name,pod,node,namespace\n10.1.0.1,,,desk,\n10.2.0.2,,,shop,\n")
        .expect("writable");
    let names = names.to_str().expect("UTF-8");
    // A capture of one interface, which says nothing by itself.
    let plain = ethernet(CALLER, folder.path());
    let of = |host: &str| observers(&["--names", names, "--host", host, &plain]);
    assert_eq!(of("desk")[0].2.as_deref(), Some("client"));
    assert_eq!(of("shop")[0].2.as_deref(), Some("server"));
    assert_eq!(of("switch")[0].2.as_deref(), Some("middle"));
    assert!(observers(&["--names", names, &plain]).iter().all(|(.., observer)| observer.is_none()));
}

/// A capture with heads of Ethernet in place of those that say what the host sent.
fn ethernet(capture: &str, folder: &Path) -> String {
    with_heads(&support::captures().join("nat").join(capture), folder, 1, |packet| {
        [&[0; 12], &packet[..2], &packet[20..]].concat()
    })
}

/// A capture of Ethernet as one of all interfaces would be if all packets passed the loopback interface.
fn cooked(capture: &str, folder: &Path) -> String {
    with_heads(&support::captures().join(capture), folder, 276, |packet| {
        [&packet[12..14], &[0, 0, 0, 0, 0, 1], &772_u16.to_be_bytes(), &[4, 6], &[0; 8], &packet[14..]]
            .concat()
    })
}

/// A capture with another link type, whose packets are made of those of `capture`.
fn with_heads(capture: &Path, folder: &Path, link: u32, head: impl Fn(&[u8]) -> Vec<u8>) -> String {
    let data = std::fs::read(capture).expect("readable");
    let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().expect("four bytes"));
    let mut out = data[..20].to_vec();
    out.extend(link.to_le_bytes());
    let mut at = 24;
    while at < data.len() {
        let end = at + 16 + word(at + 8) as usize;
        let packet = head(&data[at + 16..end]);
        let length = (packet.len() as u32).to_le_bytes();
        out.extend([&data[at..at + 8], &length, &length, &packet].concat());
        at = end;
    }
    let path = folder.join("other-heads.pcap");
    std::fs::write(&path, out).expect("writable");
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn what_both_ends_saw_of_translated_calls_is_one_chain() {
    let records = |host: &str, file: &str| -> String {
        let calls = lines(&["calls", "--link", "--format", "jsonl", "--host", host, file], "");
        calls.iter().flat_map(|call| [call.to_string(), "\n".to_owned()]).collect()
    };
    let (caller, router, callee) =
        (records("shop", CALLER), records("router", ROUTER), records("stock", CALLEE));
    for all in [[&*caller, &callee].concat(), [&*callee, &router, &caller].concat()] {
        let chains: Vec<Value> = lines(&["judge", "--format", "jsonl"], &all)
            .into_iter()
            .filter(|line| line["type"] == "chain")
            .collect();
        assert_eq!(chains.len(), 4, "{all}");
        for chain in &chains {
            let calls = chain["calls"].as_array().expect("calls");
            let methods: Vec<_> = calls.iter().map(|call| call["method"].as_str()).collect();
            assert_eq!(methods, [Some("placeOrder"), Some("reserve")]);
            let has = |finding: &str| {
                calls[1]["findings"].as_array().is_some_and(|all| all.iter().any(|one| one == finding))
            };
            assert!(has("joined-by-sequence"), "{chain}");
            assert!(calls[1]["network_ns"].is_number());
        }
        let failed: Vec<_> = chains.iter().filter(|chain| !chain["origin"].is_null()).collect();
        assert_eq!(failed.len(), 2);
        assert!(failed.iter().all(|chain| chain["origin"]["method"] == "reserve"));
    }
}

/// The chains of a capture.
fn chains(file: &str) -> Vec<Value> {
    let lines = lines(&["chains", "--format", "jsonl", file], "");
    lines.into_iter().filter(|line| line["type"] == "chain").collect()
}

#[test]
fn a_host_that_answers_at_one_address_and_asks_from_another_is_one_host() {
    let chains = chains(TWO_ADDRESSES);
    assert_eq!(chains.len(), 4);
    for chain in &chains {
        let calls = chain["calls"].as_array().expect("calls");
        assert_eq!([&calls[0]["method"], &calls[1]["method"]], ["placeOrder", "reserve"]);
        assert!(calls[1]["confidence"].as_f64() >= Some(0.8), "{chain}");
        assert!(chain["origin"].is_null() || chain["origin"]["method"] == "reserve");
    }
}

#[test]
fn where_two_addresses_are_not_known_to_be_one_host_no_origin_is_told_as_sure() {
    let folder = tempfile::tempdir().expect("a folder");
    let chains = chains(&ethernet(TWO_ADDRESSES, folder.path()));
    let failed: Vec<_> = chains.iter().filter(|chain| !chain["origin"].is_null()).collect();
    assert_eq!(failed.len(), 4);
    for chain in failed {
        let (method, confidence) = (&chain["origin"]["method"], chain["origin"]["confidence"].as_f64());
        assert!(
            if method == "placeOrder" { confidence < Some(0.8) } else { confidence == Some(1.0) },
            "{chain}"
        );
    }
}

#[test]
fn services_with_addresses_of_their_own_on_one_host_stay_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let of = |capture: &str| -> Vec<String> {
        let link = |call: &Value| format!("{} {} {}; ", call["uid"], call["parent"], call["confidence"]);
        let links =
            |chain: &Value| chain["calls"].as_array().expect("calls").iter().map(link).collect::<String>();
        chains(capture).iter().map(|chain| format!("{}{}", links(chain), chain["sentence"])).collect()
    };
    let whole = support::captures().join("trpc/chain-java.pcap");
    assert_eq!(of(&cooked("trpc/chain-java.pcap", folder.path())), of(whole.to_str().expect("UTF-8")));
}

/// The log id of the wire joins what stands in the records of both hosts, where a proxy changes addresses and sequence numbers.
#[test]
fn log_ids_join_the_records_of_both_ends_of_a_proxy() {
    let capture = "../kitex/kitex-chains-meta.pcap";
    let without = lines(&["calls", "--format", "jsonl", capture], "");
    assert!(without.iter().all(|call| call["log_id"].is_null()));
    let calls = lines(&["calls", "--format", "jsonl", "--host", "shop", capture], "");
    let found = calls.into_iter().find(|call| call["log_id"].is_string() && call["class"] == "ok");
    let mut caller = found.expect("a call with a log id");
    caller["observer"] = "client".into();
    let mut callee = caller.clone();
    for (key, value) in [("host", "stock"), ("observer", "server"), ("client", "10.7.7.7:41000")] {
        callee[key] = value.into();
    }
    for key in ["call_key", "conn_key"] {
        callee[key] = callee[key].as_str().map(|key| key.chars().rev().collect::<String>()).into();
    }
    callee["request_seq"] = 4711.into();
    let judged = |records: &[&Value]| -> Vec<bool> {
        let input: String = records.iter().flat_map(|record| [record.to_string(), "\n".to_owned()]).collect();
        let chains = lines(&["judge", "--format", "jsonl"], &input);
        chains.iter().map(|chain| chain.to_string().contains("\"joined-by-log-id\"")).collect()
    };
    assert_eq!(judged(&[&caller, &callee]), [true]);
    // A small number, and neither end is the same: another call of the chain may be meant.
    assert!(caller["id"].as_i64() < Some(65_536), "{caller}");
    let mut far = callee.clone();
    far["server"] = "10.7.7.8:9000".into();
    assert_eq!(judged(&[&caller, &far]), [false, false]);
}
