//! Keys of calls, as each host computes them from what it captured alone.

use rpcscope::calls::JoinKey;

use super::*;
use crate::mangle::rewrite;
use crate::mangle::wrap::{self, Wrap};

/// The calls that each host captured by itself.
fn calls_of_each(hosts: &[(String, Vec<Captured>)]) -> Vec<Vec<Call>> {
    let alone = |(name, packets): &(String, Vec<Captured>)| {
        let mut files = Files::new();
        files.add(&format!("{name}.pcap"), packets);
        files.calls(&Survey::default(), 1)
    };
    hosts.iter().map(alone).collect()
}

/// The keys of the calls of a host, and between whom they are.
fn call_keys(calls: &[Call]) -> BTreeMap<JoinKey, (Endpoint, Endpoint, JoinKey)> {
    let keyed = |call: &Call| Some((call.key()?, (call.client, call.server, call.connection_key())));
    calls.iter().filter_map(keyed).collect()
}

#[test]
fn both_ends_of_a_call_have_one_key_and_no_two_calls_share_one() {
    for path in support::of_one_interface() {
        let capture = path.strip_prefix(support::captures()).unwrap().to_string_lossy().into_owned();
        let frames = stretched(&capture, NEAR);
        let all = whole(&frames);
        let expected = call_keys(&all);
        let with_key = all.iter().filter(|call| call.key().is_some()).count();
        assert_eq!(expected.len(), with_key, "{capture}: calls share a key");
        let hosts = split(&frames, NEAR, &|_, _| false);
        let ends = call_keys(&calls_of_each(&hosts).concat());
        assert_eq!(ends, expected, "{capture}");
        let seen: usize = calls_of_each(&hosts).iter().map(|calls| call_keys(calls).len()).sum();
        let at_both = expected.values().filter(|(client, server, _)| client.ip != server.ip).count();
        if at_both == expected.len() {
            assert_eq!(seen, 2 * expected.len(), "{capture}: each call is seen at both ends");
        }
    }
}

#[test]
fn keys_are_the_same_where_one_end_began_in_the_middle() {
    let mut compared = 0;
    for capture in CHAINS {
        let frames = stretched(capture, NEAR);
        let expected = call_keys(&whole(&frames));
        let hosts = split(&frames, NEAR, &|_, _| false);
        for (name, packets) in hosts {
            let late = vec![(name.clone(), packets[packets.len() / 2..].to_vec())];
            for (key, ends) in call_keys(&calls_of_each(&late)[0]) {
                assert_eq!(expected.get(&key), Some(&ends), "{capture} at {name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn keys_are_the_same_where_packets_are_missing() {
    let mut compared = 0;
    for capture in CHAINS.iter().chain(&["grpc/grpc-tonic-go-reconnect.pcap", "kitex/kitex-mixed.pcap"]) {
        let frames = stretched(capture, NEAR);
        let expected = call_keys(&whole(&frames));
        for hundredths in [1, 3, 10] {
            let hosts = split(&frames, NEAR, &|_, dice| dice < 10 * hundredths);
            for (key, ends) in call_keys(&calls_of_each(&hosts).concat()) {
                assert_eq!(expected.get(&key), Some(&ends), "{capture} without {hundredths} %");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}

/// Captures of all protocols.
fn some_captures() -> impl Iterator<Item = PathBuf> {
    let more = [
        "grpc/grpc-mixed.pcap",
        "kitex/kitex-mixed.pcap",
        "links/links-48-waves8-mux-verbatim.pcap",
        "thrift/thrift-mixed.pcap",
        "tls/tls13-go-go-resumed.pcap",
        "tls/tls13-thrift-py-1conn-framed-binary.pcap",
        "trpc/trpc-payload-kinds.pcap",
    ];
    CHAINS.into_iter().chain(more).map(|capture| support::captures().join(capture))
}

/// The calls of frames that are captured like that, read with the key log of the capture that they come from.
fn captured_as(frames: &[Frame], how: Wrap, of: &Path) -> Vec<Call> {
    let fitting = frames.iter().filter(|frame| wrap::fits(frame, how));
    let packets: Vec<Captured> = fitting.flat_map(|frame| wrap::wrap(frame, how)).collect();
    let mut files = Files::new();
    files.add("end.pcap", &packets);
    _ = std::fs::copy(of.with_extension("keys"), files.folder.path().join("end.keys"));
    support::calls(&files.paths, &Options::default())
}

type Rewrite = fn(&[Frame]) -> Vec<Frame>;

/// How an end captures: its links, and what its network and its card make of the segments.
const ENDS: [(&str, Wrap, Rewrite); 6] = [
    ("cooked", Wrap::Sll, <[Frame]>::to_vec),
    ("tagged, each segment again", Wrap::Vlan, |frames| rewrite::echoed(frames, 3)),
    ("cooked, out of order", Wrap::Sll2, |frames| rewrite::swapped(frames, 0)),
    ("out of order", Wrap::Ethernet, |frames| rewrite::swapped(frames, 1)),
    ("joined by offload", Wrap::RawIp, rewrite::merged),
    ("in small segments", Wrap::QinQ, |frames| rewrite::split(frames, 700)),
];

#[test]
fn keys_are_the_same_however_each_end_captures() {
    for path in some_captures() {
        let frames = frame::read(&path);
        // Sequence numbers that wrap within requests, and IPv6.
        for frames in [rewrite::renumbered(&frames, 300), wrap::to_ipv6(&frames)] {
            let expected = call_keys(&captured_as(&frames, Wrap::Ethernet, &path));
            assert!(!expected.is_empty(), "{}", path.display());
            for (end, how, rewritten) in ENDS {
                let found = call_keys(&captured_as(&rewritten(&frames), how, &path));
                assert_eq!(found, expected, "{}: {end}", path.display());
            }
        }
    }
}

#[test]
fn whoever_captures_a_request_from_its_first_byte_has_its_key() {
    let mut compared = 0;
    for path in some_captures() {
        let frames = frame::read(&path);
        let all = captured_as(&frames, Wrap::Ethernet, &path);
        for tenths in [1, 3, 6] {
            let begin = frames.len() * tenths / 10;
            let found = call_keys(&captured_as(&frames[begin..], Wrap::Ethernet, &path));
            let later: Vec<Call> = all.iter().filter(|call| call.packets.0 > begin as u64).cloned().collect();
            for (key, ends) in call_keys(&later) {
                assert_eq!(found.get(&key), Some(&ends), "{} from packet {begin} on", path.display());
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}
