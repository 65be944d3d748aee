//! Traces of many hosts: of their captures, and of their records (`judge`).

use super::*;
use crate::hosts::fleet;

/// The spans of a call: what the caller saw, and what the callee saw.
type Ends<'s> = BTreeMap<(&'s str, i32), &'s Sent>;

/// Checks that the spans are those of the chains; returns how many calls have both ends.
fn check(chains: &[Json], sent: &[Sent]) -> usize {
    let ends: Ends<'_> = sent
        .iter()
        .map(|sent| ((sent.text("rpcscope.call_key").expect("a key"), sent.span.kind), sent))
        .collect();
    assert_eq!(ends.len(), sent.len(), "each span once");
    let (mut both, mut seen) = (0, 0);
    for chain in chains {
        let calls = chain["calls"].as_array().expect("calls");
        let key_of = |uid: &Json| {
            let call = calls.iter().find(|call| call["uid"] == *uid).expect("a call of the chain");
            call["call_key"].as_str().expect("a key")
        };
        for call in calls {
            let key = call["call_key"].as_str().expect("a key");
            let [client, server] =
                [SpanKind::Client, SpanKind::Server].map(|kind| ends.get(&(key, kind as i32)));
            // What only the callee captured is its span alone.
            let outer = client.or(server).expect("a span");
            seen += 1 + usize::from(client.is_some() && server.is_some());
            if let (Some(client), Some(server)) = (client, server) {
                both += 1;
                assert_eq!(server.span.parent_span_id, client.span.span_id);
                assert_eq!(server.span.trace_id, client.span.trace_id);
            }
            let confidence = call["confidence"].as_f64().unwrap_or(1.0);
            let Some(parent) = call.get("parent").filter(|parent| !parent.is_null()) else {
                assert!(outer.span.parent_span_id.is_empty());
                continue;
            };
            let above = key_of(parent);
            let inner = ends
                .get(&(above, SpanKind::Server as i32))
                .or_else(|| ends.get(&(above, SpanKind::Client as i32)));
            let inner = inner.expect("the span of the parent");
            if confidence >= 0.8 {
                assert_eq!(outer.span.parent_span_id, inner.span.span_id);
                assert_eq!(outer.span.trace_id, inner.span.trace_id);
            } else {
                assert_eq!(outer.span.links[0].span_id, inner.span.span_id);
            }
        }
    }
    assert_eq!(seen, sent.len());
    both
}

#[test]
fn chains_over_many_hosts_are_traces() {
    let receiver = Receiver::new();
    let (records, captures, folder) = fleet::bundled("kitex/chain-four-hops.pcap");
    let file = folder.path().join("records.jsonl");
    std::fs::write(&file, records.join("\n")).expect("written");
    let mut ids = Vec::new();
    for (command, files) in [("chains", &captures[..]), ("judge", &[file][..])] {
        let mut program = rpcscope(&[command, "--format", "jsonl", "--otlp", &receiver.url]);
        let output = program.args(files).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let requests = receiver.all();
        let sent = spans(&requests);
        let both = check(&super::records(&output), &sent);
        println!("{command}: {} spans, {both} calls with both ends", sent.len());
        assert!(both > 0, "{command}");
        assert!(requests.iter().any(|request| request.path == "/v1/metrics"));
        ids.push(sent.iter().map(|sent| sent.span.span_id.clone()).collect::<BTreeSet<_>>());
    }
    assert_eq!(ids[0], ids[1], "captures and records give the same ids");
}
