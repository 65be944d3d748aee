//! Chains: the bundled captures exactly, the rules by capture, and linking by time against a simulator.

use std::collections::BTreeMap;
use std::path::Path;

use rpcscope::calls::outcome::Outcome;
use rpcscope::calls::record::{Call, Carrier, Class, Finding, Initiator, Uid};
use rpcscope::chains::{Chain, Engine, Evidence, Method, Options, Origin};
use rpcscope::pipeline;
use serde_json::Value;

use crate::chains_simulator::{self as simulator, Gaps, Knobs, Plan, Processes, Score, call, endpoint};
use crate::support;

/// The chains of calls.
fn link(calls: impl IntoIterator<Item = Call>, options: Options) -> Vec<Chain> {
    simulator::chains(calls.into_iter().collect(), options)
}

/// The chains of a bundled capture.
pub(crate) fn chains_of(capture: &Path, threads: usize) -> Vec<Chain> {
    let options = pipeline::Options { metadata: true, threads, ..pipeline::Options::default() };
    link(support::calls(&[capture.to_owned()], &options), Options::default())
}

/// What is compared of a call: service, method, class and code, where no answer is as good as a broken connection.
type Key = (Option<String>, Option<String>, String, Option<i64>);

fn known(hop: &Value) -> Key {
    let text = |key: &str| hop[key].as_str().map(str::to_owned);
    let class = text("class").unwrap_or_default();
    if class == "transport" || class == "unanswered" {
        return (text("service"), text("method"), "no answer".into(), None);
    }
    let code = if class == "ok" { None } else { hop["code"].as_i64() };
    (text("service"), text("method"), class, code)
}

fn seen(call: &Call) -> Key {
    known(&support::record(call))
}

/// The calls of a chain in the order of their starts.
fn sorted(chain: &Chain) -> Vec<Key> {
    let mut calls: Vec<&Call> = chain.hops.iter().map(|hop| &*hop.call).collect();
    calls.sort_by_key(|call| call.start);
    calls.into_iter().map(seen).collect()
}

/// What is told of a call whose answer the capture lacks, and of one that has none, is not what only a good answer says.
#[test]
fn no_story_is_told_of_an_answer_that_is_not_known() {
    let mut told = 0;
    for truth in support::bundled(".chains.jsonl") {
        let capture = Path::new(&truth.to_string_lossy().replace(".chains.jsonl", ".pcap")).to_owned();
        let options = pipeline::Options { metadata: true, threads: 1, ..pipeline::Options::default() };
        let calls = support::calls(&[capture], &options);
        let some = (0..calls.len()).step_by(1 + calls.len() / 8);
        for (at, class) in some.flat_map(|at| [(at, None), (at, Some(Class::Oneway))]) {
            let mut calls = calls.clone();
            calls[at].outcome = Outcome::of(class, Carrier::None);
            let blank = calls[at].uid;
            for chain in link(calls, Options::default()) {
                let Some(hop) = chain.hops.iter().position(|hop| hop.call.uid == blank) else { continue };
                told += 1;
                let above = chain.hops[hop].parent.filter(|_| class.is_none());
                let what = format!("{}: call {at} as {class:?}: {}", capture_name(&truth), chain.sentence());
                for change in &chain.changes {
                    let is_told = change.hop == hop && change.finding == Finding::Swallowed
                        || Some(change.hop) == above && change.finding == Finding::FailedAlone;
                    assert!(!is_told, "{:?}: {what}", change.finding);
                }
                let is_above = above.is_some() && chain.path().first().copied() == above;
                assert!(!is_above || !chain.is_origin_sure(), "origin: {what}");
            }
        }
    }
    assert!(told > 100, "{told} calls in chains");
}

/// The name of a file, for messages.
fn capture_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[test]
fn every_bundled_chain_is_found_with_its_origin_and_no_other() {
    for truth in support::bundled(".chains.jsonl") {
        let capture = Path::new(&truth.to_string_lossy().replace(".chains.jsonl", ".pcap")).to_owned();
        let mut found: BTreeMap<Vec<Key>, Vec<Option<Key>>> = BTreeMap::new();
        for chain in chains_of(&capture, 1) {
            found.entry(sorted(&chain)).or_default().push(chain.origin_call().map(seen));
        }
        for line in support::lines(&truth) {
            let hops: Vec<Key> = line["hops"].as_array().unwrap().iter().map(known).collect();
            let origin = (!line["origin"].is_null()).then(|| known(&line["origin"]));
            for _ in 0..line["count"].as_u64().unwrap_or(1) {
                let origins =
                    found.get_mut(&hops).unwrap_or_else(|| panic!("{}: no {hops:?}", capture.display()));
                let any = line["origin_any"].as_bool() == Some(true);
                let at = origins.iter().position(|have| any || *have == origin);
                let at = at.unwrap_or_else(|| panic!("{}: {hops:?} began at {origins:?}", capture.display()));
                origins.remove(at);
                if origins.is_empty() {
                    found.remove(&hops);
                }
            }
        }
        let extra: Vec<_> = found.keys().filter(|hops| hops.len() > 1).collect();
        assert!(extra.is_empty(), "{}: {extra:?}", capture.display());
    }
}

/// The findings of the change that the root's service made, with the prefixes counted, for the chains of a capture whose
/// root and callee ended like this.
fn findings(capture: &str, root: (Class, Option<i64>), below: (Class, Option<i64>)) -> Vec<(Finding, u32)> {
    let chains = chains_of(&support::captures().join(capture), 1);
    let ended = |call: &Call| (call.class().unwrap_or(Class::Ok), call.outcome.code);
    let mut all: Vec<Vec<(Finding, u32)>> = chains
        .iter()
        .filter(|chain| ended(chain.root()) == root)
        .filter(|chain| chain.hops.get(1).is_some_and(|hop| ended(&hop.call) == below))
        .map(|chain| {
            let changes = chain.changes.iter().filter(|change| change.hop == 0);
            changes.map(|change| (change.finding, change.prefixes)).collect()
        })
        .collect();
    all.dedup();
    assert_eq!(all.len(), 1, "{capture}: {all:?}");
    all.remove(0)
}

#[test]
fn each_rule_is_seen_in_a_capture_of_the_framework() {
    use Finding::{
        BusinessBecameRpc, CauseBelow, CodeChanged, CodeLost, FailedAlone, MessageChanged, PassedOn,
        RpcBecameBusiness, Swallowed,
    };
    let business = |code| (Class::Business, Some(code));
    let rpc = |code| (Class::Rpc, Some(code));
    let kitex = "kitex/kitex-chains.pcap";
    // A business error returned as it is; wrapped into a plain error it becomes exception 6.
    assert_eq!(findings(kitex, business(4041), business(4041)), [(PassedOn, 0)]);
    assert_eq!(
        findings(kitex, rpc(6), business(4041)),
        [(BusinessBecameRpc, 0), (CodeLost, 0), (MessageChanged, 1)]
    );
    assert_eq!(
        findings(kitex, business(9001), rpc(6)),
        [(RpcBecameBusiness, 0), (CodeChanged, 0), (MessageChanged, 0)]
    );
    assert_eq!(findings(kitex, (Class::Ok, None), business(5050)), [(Swallowed, 0)]);
    // The status of a gRPC callee inside a plain error.
    assert_eq!(
        findings(kitex, rpc(6), business(5)),
        [(BusinessBecameRpc, 0), (CodeLost, 0), (MessageChanged, 1)]
    );
    // trpc-go sends a callee's `ret` on as `func_ret`; what is wrapped with %w loses its code.
    let go = "trpc/chain-framework.pcap";
    assert_eq!(findings(go, business(12), rpc(12)), [(RpcBecameBusiness, 0)]);
    assert_eq!(
        findings("trpc/chain-business.pcap", business(999), business(10002)),
        [(CodeLost, 0), (MessageChanged, 1)]
    );
    assert_eq!(
        findings("trpc/chain-business.pcap", business(10404), business(10002)),
        [(CodeChanged, 0), (MessageChanged, 0)]
    );
    // A time-out of B's own call leaves B as ret 101.
    let silent = findings_of_silence("trpc/chain-timeout.pcap", 101);
    assert_eq!(silent, [(CauseBelow, 0)]);
    // trpc-java keeps `ret` as `ret`.
    assert_eq!(findings("trpc/chain-java.pcap", rpc(31), rpc(31)), [(PassedOn, 0)]);
    assert_eq!(findings("trpc/chain-business.pcap", business(10001), (Class::Ok, None)), [(FailedAlone, 0)]);
    // A grpc-go gateway makes 13 of a business error over TTHeader.
    let grpc = "grpc/chain-grpc-ttheader-grpc.pcap";
    let gateway = findings(grpc, rpc(7), (Class::Business, None));
    assert_eq!(gateway, [(BusinessBecameRpc, 0), (CodeChanged, 0)]);
}

/// The same where the callee never answered.
fn findings_of_silence(capture: &str, code: i64) -> Vec<(Finding, u32)> {
    let chains = chains_of(&support::captures().join(capture), 1);
    let chain =
        chains.iter().find(|chain| chain.root().outcome.code == Some(code)).expect("the chain is there");
    assert!(matches!(chain.hops[1].call.class(), Some(Class::Unanswered | Class::Transport)));
    chain.changes.iter().filter(|c| c.hop == 0).map(|c| (c.finding, c.prefixes)).collect()
}

#[test]
fn the_sentence_says_where_it_began_and_what_was_lost() {
    let chains = chains_of(&support::captures().join("grpc/chain-grpc-ttheader-grpc.pcap"), 1);
    let sentences: Vec<String> = chains.iter().map(Chain::sentence).collect();
    assert!(
        sentences.iter().any(|sentence| sentence.starts_with("Stock.Count answered business 5")
            && sentence.contains("Gateway.Open wrapped it into a plain error")
            && sentence.contains("the business code is lost at Gateway")),
        "{sentences:#?}"
    );
    assert!(sentences.iter().all(|sentence| !sentence.chars().any(char::is_control)));
}

#[test]
fn chains_are_the_same_at_any_number_of_threads() {
    let capture = support::captures().join("trpc/chain-mixed.pcap");
    let lines = |threads| {
        let mut out = Vec::new();
        for chain in chains_of(&capture, threads) {
            rpcscope::sink::chains::write_chain(&mut out, &chain);
            out.push(b'\n');
        }
        String::from_utf8(out).unwrap()
    };
    let one = lines(1);
    assert!(one.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    assert_eq!(lines(2), one);
    assert_eq!(lines(4), one);
}

#[test]
fn what_is_noted_of_headers_links_as_the_headers_do() {
    let lines = |capture: &Path, metadata: bool| {
        let options = pipeline::Options { metadata, marks: true, threads: 1, ..pipeline::Options::default() };
        let calls = support::calls(&[capture.to_owned()], &options);
        assert!(metadata || calls.iter().all(|call| call.metadata.is_empty()));
        let noted = calls.iter().any(|call| call.marks.is_some());
        let chains = link(calls, Options { metadata: false, ..Options::default() });
        let mut out = Vec::new();
        for chain in chains {
            rpcscope::sink::chains::write_chain(&mut out, &chain);
            out.push(b'\n');
        }
        (noted, String::from_utf8(out).unwrap())
    };
    let captures: Vec<_> = support::bundled(".chains.jsonl")
        .into_iter()
        .map(|truth| truth.to_string_lossy().replace(".chains.jsonl", ".pcap"))
        .collect();
    let mut any = false;
    for capture in captures {
        let (noted, by_marks) = lines(Path::new(&capture), false);
        any |= noted;
        assert_eq!(by_marks, lines(Path::new(&capture), true).1, "{capture}");
    }
    assert!(any);
}

#[test]
fn a_chain_record_has_the_promised_keys() {
    let chains = chains_of(&support::captures().join("kitex/kitex-chains.pcap"), 1);
    let mut line = Vec::new();
    let chain = chains.iter().find(|chain| chain.root().class() == Some(Class::Rpc)).unwrap();
    rpcscope::sink::chains::write_chain(&mut line, chain);
    let record: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(record["type"], "chain");
    assert_eq!(record["calls"][0]["uid"], record["root"]["uid"]);
    assert_eq!(record["calls"][1]["parent"], record["root"]["uid"]);
    assert_eq!((&record["calls"][0]["depth"], &record["calls"][1]["depth"]), (&0.into(), &1.into()));
    assert_eq!(record["path"][0], record["origin"]["uid"]);
    assert_eq!(record["changes"][0]["from"]["class"], record["origin"]["class"]);
    assert!(record["confidence"].as_f64().is_some_and(|confidence| (0.5..=1.0).contains(&confidence)));
    assert!(record["evidence"].as_array().is_some_and(|evidence| !evidence.is_empty()));
}

/// The uid of the parent of the call with that packet number.
fn parent(chains: &[Chain], packet: u64) -> Option<u64> {
    let uid = Uid { packet, ordinal: 0 };
    let (chain, hop) =
        chains.iter().find_map(|chain| Some((chain, chain.find(uid)?))).expect("every call is given");
    chain.hops[hop].parent.map(|parent| chain.hops[parent].call.uid.packet)
}

const MS: i64 = 1_000_000;

#[test]
fn ids_link_where_addresses_do_not() {
    // The callee is reached by one address and calls from another; a second request runs beside the first.
    let mut first = call(1, 0, 20 * MS, endpoint(1, 1000), endpoint(2, 80));
    let mut second = call(2, MS, 19 * MS, endpoint(1, 1001), endpoint(2, 80));
    let mut below = call(3, 2 * MS, 10 * MS, endpoint(7, 4000), endpoint(9, 80));
    first.trace_id = Some("aaaa".into());
    second.trace_id = Some("bbbb".into());
    below.trace_id = Some("aaaa".into());
    let chains = link([below, second, first], Options::default());
    assert_eq!((parent(&chains, 3), parent(&chains, 2)), (Some(1), None));
    let chain = chains.iter().find(|chain| chain.hops.len() == 2).unwrap();
    assert!(chain.evidence.contains(Evidence::TraceId) && chain.confidence > 0.95);
}

/// The call with a request id that is the same in all of them.
fn with_id(mut call: Call) -> Call {
    call.metadata.push((false, "x-request-id".into(), "constant-1".into()));
    call
}

#[test]
fn an_id_that_several_calls_of_other_hosts_share_proves_nothing() {
    let shared_by = |count: u64| {
        let mut calls = vec![with_id(call(90, 30 * MS, 33 * MS, endpoint(7, 4000), endpoint(9, 80)))];
        calls.extend((0..count).map(|n| {
            let host = endpoint(10 + n as u8, 80);
            with_id(call(n + 1, n64(n) * MS / 4, 50 * MS, endpoint(100 + n as u8, 1000), host))
        }));
        let chains = link(calls, Options::default());
        let uid = Uid { packet: 90, ordinal: 0 };
        let hop = chains.iter().find_map(|chain| Some(chain.hops[chain.find(uid)?].clone()));
        hop.expect("every call is in a chain").link
    };
    assert!(shared_by(1).is_some_and(|link| link.confidence > 0.9));
    assert!(shared_by(5).is_some_and(|link| link.confidence <= 0.21));
    assert_eq!(shared_by(20), None);
}

#[test]
fn an_id_links_however_many_calls_bear_it_later() {
    // One after the other, each with a call that it made.
    let pair = |n: u64| {
        let start = n64(n) * 50 * MS;
        let above = call(2 * n + 1, start, start + 20 * MS, endpoint(1, 1000), endpoint(2, 80));
        let below = call(2 * n + 2, start + 2 * MS, start + 10 * MS, endpoint(7, 4000), endpoint(9, 80));
        [with_id(below), with_id(above)]
    };
    let chains = link((0..600).flat_map(pair), Options::default());
    for n in [0, 1, 300, 599] {
        assert_eq!(parent(&chains, 2 * n + 2), Some(2 * n + 1));
    }
}

#[test]
fn a_header_value_of_one_open_call_links() {
    let mut calls: Vec<Call> = (0..5)
        .map(|n| {
            let start = n64(n) * MS / 10;
            let mut call = call(n + 1, start, 30 * MS, endpoint(1, 1000 + n as u16), endpoint(2, 80));
            call.metadata.push((false, "RPC_PERSIST_order".into(), format!("order-{n:04}")));
            call
        })
        .collect();
    let mut below = call(9, 2 * MS, 10 * MS, endpoint(2, 4000), endpoint(9, 80));
    below.metadata.push((false, "rpc-persist-order".into(), "order-0002".into()));
    calls.insert(0, below);
    let chains = link(calls, Options::default());
    assert_eq!(parent(&chains, 9), Some(3));
    assert!(chains.iter().any(|chain| chain.evidence.contains(Evidence::Metadata)));
}

fn n64(n: u64) -> i64 {
    i64::try_from(n).expect("a small number")
}

#[test]
fn services_behind_one_address_are_distinguished() {
    // gateway :1, order :2 and stock :3 on one host, and a driver that calls gateway all the time.
    let at = |port| endpoint(1, port);
    let mut calls = Vec::new();
    for round in 0..12_u64 {
        let start = n64(round) * 7 * MS;
        let packet = round * 10 + 1;
        let mut gateway = call(packet, start, start + 10 * MS, at(40_000 + round as u16), at(1));
        let mut order = call(packet + 1, start + MS, start + 9 * MS, at(50_000), at(2));
        let mut stock = call(packet + 2, start + 2 * MS, start + 8 * MS, at(50_001), at(3));
        gateway.service = Some("gateway".into());
        order.service = Some("order".into());
        stock.service = Some("stock".into());
        calls.extend([gateway, order, stock]);
    }
    calls.sort_by_key(|call| (call.end, call.uid));
    let chains = link(calls, Options::default());
    for round in 0..12 {
        let packet = round * 10 + 1;
        let parents = [packet, packet + 1, packet + 2].map(|uid| parent(&chains, uid));
        assert_eq!(parents, [None, Some(packet), Some(packet + 1)], "round {round}");
    }
}

#[test]
fn a_hedge_that_lost_belongs_to_the_call_of_the_try_that_beat_it() {
    let mut calls = Vec::new();
    let mut hedges = Vec::new();
    for n in 0..16_u64 {
        // Slow calls are hedged after 12 ms; the try that lost is cancelled when the other one is answered, 50 us later.
        let (start, packet) = (n64(n) * 7 * MS, n * 10 + 1);
        let is_slow = n % 2 == 0;
        let end = start + if is_slow { 23 } else { 8 } * MS;
        let begin = start + (2 + n64(n % 3)) * MS / 2;
        calls.push(call(packet, start, end + MS / 4, endpoint(1, 1000 + n as u16), endpoint(2, 80)));
        calls.push(call(packet + 1, begin, end, endpoint(2, 4000), endpoint(3, 80)));
        if is_slow {
            let mut hedge =
                call(packet + 2, begin + 12 * MS, end + MS / 20, endpoint(2, 4000), endpoint(3, 80));
            hedge.outcome.class = Some(Class::Transport);
            calls.push(hedge);
            hedges.push(packet);
        }
    }
    calls.sort_by_key(|call| (call.end, call.uid));
    let chains = link(calls, Options::default());
    for packet in hedges {
        assert_eq!((parent(&chains, packet + 1), parent(&chains, packet + 2)), (Some(packet), Some(packet)));
    }
}

/// A service that makes a call 0.3 ms after each request; of two requests 2 ms apart it opens a connection for each call, and both
/// calls leave when both connections are open. With what the records say of that, or without.
fn connections_opened_for_calls(is_known: bool) -> Vec<Chain> {
    let mut calls = Vec::new();
    let mut add = |packet: u64, start: i64, child: i64, end: i64, opened: Option<i64>| {
        let port = packet as u16;
        calls.push(call(packet, start, end + MS * 3 / 10, endpoint(1, 1000 + port), endpoint(2, 80)));
        let client = endpoint(2, if opened.is_some() { 5000 + port } else { 4000 });
        let since_opening = opened.filter(|_| is_known).map_or(u32::MAX, |opened| (child - opened) as u32);
        calls.push(Call { since_opening, ..call(packet + 1, child, end, client, endpoint(3, 80)) });
    };
    let made = MS * 3 / 10;
    for n in 0..12 {
        let start = n64(n) * 40 * MS;
        add(n * 10 + 1, start, start + made, start + 10 * MS, None);
    }
    for n in 12..15 {
        let (start, end) = (n64(n) * 40 * MS, n64(n) * 40 * MS + 15 * MS);
        let second = start + 2 * MS;
        add(n * 10 + 1, start, start + 5 * MS + 10_000, end, Some(start + made));
        add(n * 10 + 4, second, start + 5 * MS, end, Some(second + made));
    }
    calls.sort_by_key(|call| (call.end, call.uid));
    link(calls, Options::default())
}

#[test]
fn a_call_was_decided_when_a_connection_was_opened_for_it() {
    let sure = |chains: &[Chain]| {
        let hops = chains.iter().flat_map(|chain| &chain.hops);
        let confidences = hops.filter_map(|hop| hop.link).map(|link| link.confidence);
        confidences.filter(|confidence| *confidence >= rpcscope::chains::FACT).count()
    };
    let chains = connections_opened_for_calls(true);
    for packet in (12..15).flat_map(|n| [n * 10 + 1, n * 10 + 4]) {
        assert_eq!(parent(&chains, packet + 1), Some(packet));
    }
    assert_eq!(sure(&chains), 18);
    assert_eq!(sure(&connections_opened_for_calls(false)), 12, "nothing else distinguishes them");
}

#[test]
fn a_failed_attempt_with_a_successful_retry_is_no_origin() {
    let root = call(1, 0, 20 * MS, endpoint(1, 1000), endpoint(2, 80));
    let mut failed = call(2, MS, 5 * MS, endpoint(2, 4000), endpoint(3, 80));
    failed.outcome.class = Some(Class::Rpc);
    failed.outcome.code = Some(14);
    let again = call(3, 6 * MS, 15 * MS, endpoint(2, 4000), endpoint(3, 80));
    let chains = link([failed, again, root], Options::default());
    assert_eq!(chains.len(), 1);
    assert_eq!(chains[0].origin, Origin::Nothing);
    assert_eq!(chains[0].hops[1].retried_by, Some(2));
    assert!(chains[0].changes.is_empty(), "{:?}", chains[0].changes);
}

/// A call to B that B's client failed with a code of tRPC.
fn with_client_code(code: i64, text: &str) -> Call {
    let mut root = call(1, 0, 20 * MS, endpoint(1, 1000), endpoint(2, 80));
    root.rpc = rpcscope_parsers::Rpc::Trpc;
    root.service = Some("trpc.shop.order.Order".into());
    root.outcome.class = Some(Class::Rpc);
    root.outcome.carrier = rpcscope::calls::Carrier::Ret;
    root.outcome.code = Some(code);
    root.outcome.ret = i32::try_from(code).ok();
    root.outcome.message = Some(text.into());
    root
}

/// The codes of a tRPC client that never sent its call.
const UNSENT: [i64; 5] = [111, 121, 123, 124, 131];
/// Those of a client whose call is or may be on the wire.
const SENT: [i64; 7] = [101, 102, 122, 141, 151, 161, 171];

/// A call that B made, in whichever way it ended.
fn below(packet: u64, start: i64, end: i64) -> Call {
    let mut below = call(packet, start, end, endpoint(2, 4000), endpoint(3, 80));
    below.rpc = rpcscope_parsers::Rpc::Trpc;
    below.service = Some("trpc.shop.stock.Stock".into());
    below
}

fn with_outcome(mut call: Call, class: Class, carrier: rpcscope::calls::Carrier) -> Call {
    (call.outcome.class, call.outcome.carrier) = (Some(class), carrier);
    call
}

#[test]
fn codes_of_calls_that_were_never_sent_begin_in_the_client_of_the_service_that_answered() {
    use rpcscope::calls::Carrier;
    let gone = || with_outcome(below(2, MS, 5 * MS), Class::Transport, Carrier::TcpRst);
    let fine = || below(2, MS, 5 * MS);
    for code in UNSENT {
        for calls in [vec![], vec![fine()], vec![gone()]] {
            let what = format!("{code} beside {:?}", calls.first().map(Call::class));
            let root = with_client_code(code, "client Select: no such service");
            let chains = link(calls.into_iter().chain([root]), Options::default());
            let chain = &chains[0];
            assert_eq!(chain.origin, Origin::InClient(0), "{what}");
            assert_eq!(chain.origin_call().map(|call| call.uid), Some(chain.root().uid), "{what}");
            let told = chain.sentence();
            assert!(
                told.contains("it began in the client of Order") && told.contains("sent no call"),
                "{told}"
            );
            assert!(chain.remark(0).unwrap().contains("in its client"), "{what}");
            let mut line = Vec::new();
            rpcscope::sink::chains::write_chain(&mut line, chain);
            let record: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(record["origin"]["began_in"], "client", "{what}");
            assert!(record["root"]["began_in"].is_null(), "only the origin has it");
        }
    }
    // The text says it of codes that usually mean a call on the wire.
    let root = with_client_code(101, "client timeout before tcp dial: context deadline exceeded, cost:3µs");
    assert_eq!(link([fine(), root], Options::default())[0].origin, Origin::InClient(0));
}

#[test]
fn a_code_that_a_callee_sent_and_its_caller_passed_on_began_in_the_callees_client() {
    // trpc-go sends a callee's `ret` on as `func_ret`, trpc-java as `ret`.
    use rpcscope::calls::Carrier;
    for (class, carrier) in [(Class::Business, Carrier::FuncRet), (Class::Rpc, Carrier::Ret)] {
        let mut low = with_outcome(below(2, MS, 5 * MS), Class::Rpc, Carrier::Ret);
        low.outcome.code = Some(131);
        low.outcome.message = Some("client Select: no such service".into());
        let root = with_outcome(with_client_code(131, "client Select: no such service"), class, carrier);
        let chains = link([low, root], Options::default());
        assert_eq!(chains[0].origin, Origin::InClient(1), "{carrier:?}");
        assert!(
            chains[0]
                .sentence()
                .contains("it began in the client of Stock, which found no address and sent no call"),
            "{}",
            chains[0].sentence()
        );
        assert!(chains[0].cause(0).unwrap().starts_with("it began one hop below"));
    }
}

#[test]
fn codes_of_calls_that_may_be_on_the_wire_began_one_hop_deeper_where_that_was_captured() {
    use rpcscope::calls::Carrier;
    for code in SENT {
        let of = |calls: Vec<Call>| {
            let root = with_client_code(code, "tcp client transport ReadFrame");
            link(calls.into_iter().chain([root]), Options::default()).remove(0)
        };
        // Nothing of what B calls is in the capture.
        let hidden = of(vec![]);
        assert_eq!(hidden.origin, Origin::BelowOf(0), "{code}");
        assert!(hidden.origin_call().is_none() && hidden.sentence().contains("is not in the capture"));
        if code != 122 && code != 151 {
            // It went unanswered; an earlier call that was refused has nothing to do with that.
            let mut refused = with_outcome(below(2, MS, 2 * MS), Class::Business, Carrier::FuncRet);
            refused.outcome.code = Some(10_404);
            refused.server = endpoint(4, 80);
            let silent = with_outcome(below(3, 3 * MS, 19 * MS), Class::Transport, Carrier::TcpFin);
            let chain = of(vec![refused, silent]);
            assert_eq!(chain.origin_call().map(|call| call.uid.packet), Some(3), "{code}");
            assert_eq!(
                chain.changes.last().map(|change| change.finding),
                Some(Finding::CauseBelow),
                "{code}"
            );
            continue;
        }
        // It was answered well, but B could not use the answer: the last of two calls in a row.
        let chain = of(vec![below(2, MS, 5 * MS), below(3, 6 * MS, 19 * MS)]);
        assert_eq!(chain.origin_call().map(|call| call.uid.packet), Some(3), "{code}");
        let told = chain.sentence();
        assert!(told.contains("could not use that: the client of Order"), "{told}");
        assert!(chain.is_origin_sure(), "{code}");
        // Of two side by side, either may be it.
        let chain = of(vec![below(2, MS, 18 * MS), below(3, 2 * MS, 19 * MS)]);
        assert!(!chain.is_origin_sure() && chain.sentence().contains("perhaps"), "{}", chain.sentence());
        // One that failed below well-answered ones does not explain it.
        let silent = with_outcome(below(2, MS, 2 * MS), Class::Transport, Carrier::TcpRst);
        let chain = of(vec![silent, below(3, 3 * MS, 19 * MS)]);
        assert_eq!(chain.origin_call().map(|call| call.uid.packet), Some(3), "{code}");
    }
    // An answer that came after the time-out.
    let mut late = below(2, MS, 19 * MS);
    late.findings.insert(Finding::LateAnswer);
    let root = with_client_code(101, "tcp client transport ReadFrame");
    let chains = link([late, root], Options::default());
    assert_eq!(chains[0].origin, Origin::At(1));
    assert!(chains[0].cause(0).unwrap().contains("the client of Order gave up waiting"));
}

#[test]
fn a_code_that_a_handler_sends_beside_its_own_is_not_its_clients() {
    let mut root = with_client_code(141, "code and bizCode together");
    root.outcome.func_ret = Some(5);
    assert_eq!(link([root], Options::default())[0].origin, Origin::At(0));
}

/// One seed of a simulation, with its chains.
fn simulate(knobs: &Knobs, options: Options) -> (Score, Vec<Chain>) {
    let events = simulator::simulate(knobs);
    let chains = link(simulator::calls(&events, knobs), options);
    (simulator::score(&events, &chains), chains)
}

/// The mean over two seeds; the bench takes five and more calls.
fn simulated(plan: Plan, concurrency: f64, turn: impl Fn(&mut Knobs), method: Method) -> Score {
    simulator::mean(1..=2, |seed| {
        let mut knobs = Knobs::new(plan, concurrency, 600, seed);
        turn(&mut knobs);
        simulate(&knobs, Options { method, ..Options::default() }).0
    })
}

/// One simulation with everything as usual but for one turn.
fn turned(concurrency: f64, turn: impl Fn(&mut Knobs)) -> (Score, Vec<Chain>) {
    let mut knobs = Knobs::new(Plan::Sequence, concurrency, 600, 1);
    turn(&mut knobs);
    simulate(&knobs, Options::default())
}

/// Number of links that rest on some evidence.
fn links_by(chains: &[Chain], evidence: Evidence) -> usize {
    chains.iter().map(|chain| chain.links_by(evidence)).sum()
}

#[test]
fn time_alone_finds_most_links_and_knows_how_sure_it_is() {
    for (plan, least) in [(Plan::Sequence, 0.95), (Plan::Parallel, 0.93), (Plan::Caching, 0.92)] {
        let score = simulated(plan, 20.0, |_| {}, Method::Joint);
        assert!(score.right >= least, "{plan:?}: {score:?}");
        assert!(score.calibration <= 0.05, "{plan:?}: {score:?}");
        for baseline in [Method::Nearest, Method::FirstInFirstOut, Method::GapScores] {
            let baseline = simulated(plan, 20.0, |_| {}, baseline);
            assert!(score.right >= baseline.right - 0.01, "{plan:?}: {score:?} {baseline:?}");
        }
    }
}

/// A change of the knobs.
type Turn = fn(&mut Knobs);

#[test]
fn no_simple_method_is_better_on_quiet_services() {
    let plain = |plan| (plan, (|_| {}) as Turn);
    let plans = [Plan::Single, Plan::Sequence, Plan::Parallel, Plan::Caching, Plan::Mixed, Plan::Loop];
    let event_loop: Turn = |knobs| knobs.cores = Some((1, 0.6));
    let ordered: Turn = |knobs| (knobs.cores, knobs.in_order) = (Some((1, 0.6)), true);
    let turned = [(Plan::Sequence, event_loop), (Plan::Single, ordered), (Plan::Fan, ordered)];
    let plans = plans.into_iter().chain([Plan::Fan, Plan::Shards]).map(plain).chain(turned);
    for (plan, turn) in plans {
        let turn = |knobs: &mut Knobs| {
            turn(knobs);
            knobs.parents = 400;
        };
        let score = simulated(plan, 2.0, turn, Method::Joint);
        for baseline in [Method::Nearest, Method::FirstInFirstOut, Method::GapScores] {
            let baseline = simulated(plan, 2.0, turn, baseline);
            assert!(score.right >= baseline.right - 0.01, "{plan:?}: {score:?} {baseline:?}");
        }
    }
}

#[test]
fn what_keeps_the_order_is_linked_in_order() {
    // Calls wait for one core: the gaps say little, the order says all.
    for (plan, in_order) in [(Plan::Sequence, false), (Plan::Single, false), (Plan::Single, true)] {
        let turn = |knobs: &mut Knobs| (knobs.cores, knobs.in_order) = (Some((1, 0.6)), in_order);
        for concurrency in [1.0, 10.0] {
            let score = simulated(plan, concurrency, turn, Method::Joint);
            assert!(score.right >= 0.99 && score.calibration <= 0.05, "{plan:?} {concurrency}: {score:?}");
        }
    }
}

#[test]
fn calls_side_by_side_need_no_order() {
    for (plan, least) in [(Plan::Fan, 0.87), (Plan::Shards, 0.92)] {
        let score = simulated(plan, 5.0, |_| {}, Method::Joint);
        assert!(score.right >= least && score.calibration <= 0.06, "{plan:?}: {score:?}");
    }
}

#[test]
fn threads_that_own_their_connections_give_themselves_away() {
    let (without, _) = turned(8.0, |knobs| knobs.pool = Some(10));
    let (with, chains) = turned(8.0, |knobs| (knobs.pool, knobs.connections) = (Some(10), true));
    assert!(with.right >= 0.99 && with.right > without.right, "{with:?} {without:?}");
    assert!(links_by(&chains, Evidence::Connection) > 500);
}

#[test]
fn shared_connections_are_no_evidence() {
    // One connection carries all calls: it covers everything, as chance does.
    let mut calls = Vec::new();
    for round in 0..20_u64 {
        let start = n64(round) * 4 * MS;
        calls.push(call(round * 2 + 1, start, start + 10 * MS, endpoint(1, 1000), endpoint(2, 80)));
        calls.push(call(round * 2 + 2, start + MS, start + 9 * MS, endpoint(2, 4000), endpoint(3, 80)));
    }
    calls.sort_by_key(|call| (call.end, call.uid));
    assert_eq!(links_by(&link(calls, Options::default()), Evidence::Connection), 0);
}

#[test]
fn processes_behind_one_address_are_distinguished_by_what_is_known() {
    let of = |processes| turned(15.0, |knobs| (knobs.parents, knobs.processes) = (300, processes));
    let hidden = of(Processes::Hidden).0.right;
    for processes in [Processes::Ports, Processes::Names, Processes::Instances] {
        let (score, _) = of(processes);
        assert!(score.right > hidden, "{processes:?}: {score:?} {hidden}");
    }
    let (score, chains) = of(Processes::Pids);
    assert!(score.right > hidden, "{score:?} {hidden}");
    for chain in &chains {
        for hop in chain.hops.iter().filter(|hop| hop.parent.is_some()) {
            let above = &chain.hops[hop.parent.unwrap()].call;
            assert_eq!(hop.call.process(Initiator::Client), above.process(Initiator::Server));
            assert!(hop.link.unwrap().evidence.contains(Evidence::Process));
        }
    }
}

#[test]
fn ids_of_some_calls_settle_those_and_help_the_others() {
    let (none, _) = turned(50.0, |_| {});
    let (some, chains) = turned(50.0, |knobs| knobs.ids = 0.5);
    assert!(some.right > none.right + 0.01, "{some:?} {none:?}");
    assert!(links_by(&chains, Evidence::TraceId) >= 590, "two calls of every other one");
    let (all, _) = turned(50.0, |knobs| knobs.ids = 1.0);
    assert!(all.right > 0.9999, "{all:?}");
}

#[test]
fn values_and_deadlines_that_are_handed_down_help() {
    let (none, _) = turned(50.0, |_| {});
    let (values, chains) = turned(50.0, |knobs| knobs.values = 0.6);
    assert!(values.right > none.right + 0.02 && values.right > 0.95, "{values:?} {none:?}");
    assert!(links_by(&chains, Evidence::Metadata) > 300);
    let (deadlines, _) = turned(50.0, |knobs| knobs.deadlines = true);
    assert!(deadlines.right > none.right, "{deadlines:?} {none:?}");
    let (sparse, chains) = turned(2.0, |knobs| knobs.deadlines = true);
    assert!(sparse.right > 0.99 && links_by(&chains, Evidence::Deadline) > 0, "{sparse:?}");
}

#[test]
fn spans_identify_the_call_of_a_trace() {
    let (score, chains) = turned(20.0, |knobs| knobs.spans = true);
    assert!(score.right > 0.9999 && score.calibration < 0.02, "{score:?}");
    assert!(links_by(&chains, Evidence::TraceId) >= 1_200);
}

#[test]
fn both_attempts_of_a_hedged_call_have_the_same_parent() {
    let score = simulated(Plan::Sequence, 1.0, |knobs| knobs.hedged = 0.3, Method::Joint);
    assert!(score.right >= 0.94, "{score:?}");
}

#[test]
fn a_cancel_that_is_passed_on_shows_its_path() {
    let (score, chains) = turned(20.0, |knobs| knobs.canceled = 0.2);
    assert!(score.right >= 0.95, "{score:?}");
    assert!(links_by(&chains, Evidence::CancelPath) > 50);
    for chain in &chains {
        for hop in chain
            .hops
            .iter()
            .filter(|hop| hop.link.is_some_and(|l| l.evidence.contains(Evidence::CancelPath)))
        {
            assert!(
                hop.call
                    .outcome
                    .cancel_path()
                    .starts_with(chain.hops[hop.parent.unwrap()].call.outcome.cancel_path())
            );
        }
    }
}

#[test]
fn calls_after_the_answer_are_linked_by_id_however_late() {
    let (score, chains) = turned(10.0, |knobs| (knobs.late, knobs.ids) = (0.3, 1.0));
    assert!(score.right > 0.9999, "{score:?}");
    assert!(chains.iter().flat_map(|chain| &chain.hops).filter(|hop| hop.after_answer).count() > 100);
    let mut root = call(1, 0, 20 * MS, endpoint(1, 1000), endpoint(2, 80));
    let mut below = call(2, 20_000 * MS, 20_010 * MS, endpoint(2, 4000), endpoint(3, 80));
    let stranger = call(3, 20_000 * MS, 20_010 * MS, endpoint(2, 4001), endpoint(3, 80));
    root.trace_id = Some("aa01".into());
    below.trace_id = Some("AA01".into());
    let chains = link([root, below, stranger], Options::default());
    assert_eq!((parent(&chains, 2), parent(&chains, 3)), (Some(1), None));
}

#[test]
fn too_many_possible_causes_are_reported() {
    let count = 300_u64;
    let mut calls: Vec<Call> = (0..count)
        .map(|n| call(n + 1, n64(n), 30 * MS, endpoint(1, 1000 + n as u16), endpoint(2, 80)))
        .collect();
    calls.insert(0, call(count + 1, MS, 10 * MS, endpoint(2, 4000), endpoint(3, 80)));
    let mut engine = Engine::new(Options::default());
    for call in calls {
        engine.call(call, &mut |_| {});
    }
    engine.finish(&mut |_| {});
    assert_eq!(engine.crowded(), 1);
    assert!(engine.shortfalls()[0].contains("cheaper evidence"), "{:?}", engine.shortfalls());
}

#[test]
fn gaps_of_other_shapes_are_learnt_and_confidences_show_doubt() {
    for (gaps, least) in [(Gaps::Exponential, 0.7), (Gaps::Bimodal, 0.97)] {
        let score = simulated(Plan::Sequence, 5.0, |knobs| knobs.gaps = gaps, Method::Joint);
        assert!(score.right >= least && score.calibration <= 0.06, "{gaps:?}: {score:?}");
    }
}

#[test]
fn confidences_are_right_however_many_calls_are_in_work() {
    for plan in [Plan::Sequence, Plan::Parallel] {
        for concurrency in [50.0, 100.0] {
            let (score, _) = simulate(&Knobs::new(plan, concurrency, 600, 1), Options::default());
            assert!(score.calibration <= 0.06, "{plan:?} at {concurrency}: {score:?}");
        }
    }
}

#[test]
fn calls_of_missing_parents_are_mostly_left_alone() {
    let score = simulated(Plan::Sequence, 20.0, |knobs| knobs.lost_parents = 0.1, Method::Joint);
    assert!(score.right >= 0.94 && score.adopted <= 0.25, "{score:?}");
}

#[test]
fn memory_is_bounded_and_every_call_is_emitted_once() {
    let knobs = Knobs::new(Plan::Sequence, 5.0, 300, 3);
    let events = simulator::simulate(&knobs);
    let options = Options { max_held: 300, ..Options::default() };
    let calls = simulator::calls(&events, &knobs);
    let count = calls.len();
    let mut engine = Engine::new(options);
    let mut given = Vec::new();
    let mut most = 0;
    for (taken, call) in calls.into_iter().enumerate() {
        engine.call(call, &mut |chain: Chain| given.extend(chain.hops.iter().map(|hop| hop.call.uid)));
        most = most.max(taken + 1 - given.len());
    }
    engine.finish(&mut |chain| given.extend(chain.hops.iter().map(|hop| hop.call.uid)));
    assert!(most <= 300, "{most} calls were held");
    assert!(engine.hurried() > 0);
    given.sort_unstable();
    given.dedup();
    assert_eq!(given.len(), count);
    // Cut into pieces, it still links nearly as well.
    let score = simulator::score(&events, &link(simulator::calls(&events, &knobs), options));
    assert!(score.right > 0.9, "{score:?}");
}

#[test]
fn live_chains_are_emitted_when_they_can_grow_no_more() {
    let patience = Some(std::time::Duration::from_secs(10));
    let mut engine = Engine::new(Options { patience, ..Options::default() });
    let mut given = 0;
    let root = call(1, 0, 20 * MS, endpoint(1, 1000), endpoint(2, 80));
    let below = call(2, MS, 5 * MS, endpoint(2, 4000), endpoint(3, 80));
    engine.call(below, &mut |_| given += 1);
    let time = |ms: i64| rpcscope::time::Timestamp(ms * MS);
    engine.tick(time(15), Some(time(0)), &mut |_| given += 1);
    engine.call(root, &mut |_| given += 1);
    engine.tick(time(30), None, &mut |_| given += 1);
    assert_eq!(given, 0, "a call of the chain may still come");
    let mut hops = 0;
    engine.tick(time(12_000), Some(time(11_900)), &mut |chain: Chain| hops += chain.hops.len());
    assert_eq!(hops, 2);
}
