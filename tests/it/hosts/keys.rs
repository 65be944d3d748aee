//! Keys of calls, as each host computes them from what it captured alone.

use rpcscope::calls::JoinKey;

use super::*;

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
