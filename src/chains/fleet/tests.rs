//! Joins and trees of calls that were made by hand.

use super::*;
use crate::calls::record::{Carrier, Class, Finding, Observer, RivalParent, Told};
use crate::calls::{JoinKey, Share, Uid, sample};
use crate::chains::Origin;
use crate::time::Timestamp;

const MS: i64 = 1_000_000;
const BEGIN: i64 = 1_767_317_649_000 * MS;

fn key(number: u32) -> JoinKey {
    JoinKey::parse(&format!("{number:08x}{:024x}", 1)).unwrap()
}

/// A call of that key at a host, which saw it begin and end at these milliseconds of its own clock.
fn call(number: u32, host: &str, (start, end): (i64, i64)) -> Call {
    let mut call = sample::ok();
    call.uid = Uid { packet: number.into(), ordinal: 0 };
    (call.start, call.end) = (Timestamp(BEGIN + start * MS), Timestamp(BEGIN + end * MS));
    call.latency = Some(((end - start) * MS) as u64);
    call.duration = call.latency;
    call.host = Some(host.into());
    call.told = Some(Box::new(Told {
        key: Some(key(number)),
        connection: key(0),
        reported_as: None,
        carrier: None,
        findings: vec![],
        is_log_shared: false,
    }));
    call
}

fn below(parent: u32, call: Call) -> Call {
    Call { parent_key: Some(key(parent)), parent_confidence: Some(Share::of(0.97)), ..call }
}

fn refused(mut call: Call) -> Call {
    (call.outcome.class, call.outcome.carrier) = (Some(Class::Business), Carrier::BizStatus);
    call.outcome.code = Some(1001);
    call
}

fn judged(calls: &[Call]) -> (Vec<Chain>, Counts) {
    let (mut chains, mut fleet) = (Vec::new(), Fleet::within(usize::MAX / 8));
    for call in calls {
        fleet.call(Box::new(call.clone()));
    }
    let counts = fleet.finish(&mut |chain| chains.push(chain));
    (chains, counts)
}

/// The same whatever the order.
fn judged_in_all_orders(calls: &[Call]) -> (Vec<Chain>, Counts) {
    let (chains, counts) = judged(calls);
    let mut turned = calls.to_vec();
    for _ in calls {
        turned.rotate_left(1);
        assert_eq!(format!("{:?}", judged(&turned)), format!("{:?}", (&chains, &counts)));
    }
    (chains, counts)
}

#[test]
fn both_ends_of_a_call_are_one_and_clocks_are_corrected_down_the_tree() {
    // b's clock is 3 s behind, c's 2 s ahead; each way through the network takes 2 ms.
    let calls = [
        refused(call(1, "a", (0, 40))),
        refused(call(1, "b", (2 - 3000, 38 - 3000))),
        refused(below(1, call(2, "b", (5 - 3000, 20 - 3000)))),
        refused(call(2, "c", (7 + 2000, 18 + 2000))),
        below(2, call(3, "c", (9 + 2000, 11 + 2000))),
    ];
    let (chains, counts) = judged_in_all_orders(&calls);
    assert_eq!(counts, Counts { taken: 5, linked: 2, ..Counts::default() });
    let [chain] = &chains[..] else { panic!("{chains:#?}") };
    let times: Vec<i64> = chain.hops.iter().map(|hop| (hop.call.start.0 - BEGIN) / MS).collect();
    assert_eq!(times, [0, 5, 9]);
    let arrivals: Vec<Option<i64>> = chain
        .hops
        .iter()
        .map(|hop| hop.call.callee_view.as_ref().map(|view| (view.start.0 - BEGIN) / MS))
        .collect();
    assert_eq!(arrivals, [Some(2), Some(7), None]);
    let network: Vec<_> = chain.hops.iter().map(|hop| hop.call.network_time()).collect();
    assert_eq!(network, [Some(4 * MS as u64), Some(4 * MS as u64), None]);
    assert_eq!(chain.origin, Origin::At(1));
    assert!((chain.confidence - 0.97 * 0.97).abs() < 1e-9);
    assert_eq!(chain.hops[1].call.uid, Uid { packet: 2 << 32, ordinal: 0 });
    assert_eq!(chain.hops[1].call.parent, Some(chain.hops[0].call.uid));
}

#[test]
fn the_host_that_names_a_parent_is_the_caller_even_if_its_clock_runs_slower() {
    let calls = [call(1, "a", (0, 9)), below(1, call(2, "a", (1, 4001))), call(2, "b", (2, 4003))];
    let (chains, _) = judged_in_all_orders(&calls);
    let below = &chains[0].hops[1].call;
    assert_eq!((below.host.as_deref(), below.observer, below.network_time()), (Some("a"), None, Some(0)));
    assert_eq!(below.start, calls[1].start);
}

#[test]
fn an_answer_that_its_caller_never_got_is_lost_whatever_the_clocks_say() {
    let broken = |mut call: Call| {
        (call.outcome.class, call.outcome.carrier) = (Some(Class::Transport), Carrier::TcpRst);
        (call.latency, call.duration) = (None, None);
        call
    };
    for host_known in [true, false] {
        for clock in [-3000, 0, 3000] {
            let mut calls = [broken(call(1, "a", (0, 30))), call(1, "b", (clock + 2, clock + 9))];
            if !host_known {
                for call in &mut calls {
                    call.host = None;
                }
            }
            let (chains, _) = judged_in_all_orders(&calls);
            let [chain] = &chains[..] else { panic!("{chains:#?}") };
            assert_eq!(chain.root().class(), Some(Class::Transport), "{host_known} {clock}");
            assert!(chain.root().findings.contains(Finding::AnswerLost));
        }
    }
}

#[test]
fn a_call_whose_parent_is_in_no_record_begins_a_chain_and_says_so() {
    let (chains, counts) = judged_in_all_orders(&[below(7, call(1, "a", (0, 9))), call(2, "a", (1, 2))]);
    assert_eq!((chains.len(), counts.orphans), (2, 1));
    assert!(chains[0].root().findings.contains(Finding::ParentMissing));
    assert_eq!((chains[0].root().parent, chains[0].root().parent_key), (None, Some(key(7))));
    assert!(!chains[1].root().findings.contains(Finding::ParentMissing));
    assert!(counts.remarks()[0].contains("1 call whose parent"), "{:?}", counts.remarks());
}

#[test]
fn a_key_that_comes_again_later_is_another_call() {
    const LATER: i64 = 70_000;
    let calls = [
        call(1, "a", (0, 9)),
        below(1, call(2, "a", (2, 3))),
        call(1, "a", (LATER, LATER + 9)),
        below(1, call(3, "a", (LATER + 2, LATER + 3))),
        below(1, call(4, "a", (10 * LATER, 10 * LATER + 3))),
    ];
    let (chains, counts) = judged_in_all_orders(&calls);
    let sizes: Vec<usize> = chains.iter().map(|chain| chain.hops.len()).collect();
    assert_eq!((sizes, counts.orphans), (vec![2, 2, 1], 1));
}

#[test]
fn records_that_come_twice_count_once() {
    let twice = [call(1, "a", (0, 9)), call(1, "a", (0, 9)), call(1, "b", (1, 8))];
    let (chains, counts) = judged_in_all_orders(&twice);
    assert_eq!((chains.len(), counts.repeated), (1, 1));
    assert_eq!(chains[0].root().callee_view.as_ref().unwrap().seen, 2);
}

#[test]
fn circles_of_parents_are_opened_and_deep_trees_cut() {
    let (chains, counts) = judged_in_all_orders(&[
        below(2, call(1, "a", (0, 9))),
        below(3, call(2, "a", (1, 8))),
        below(1, call(3, "a", (2, 7))),
        below(3, call(4, "a", (3, 4))),
        below(5, call(5, "a", (9, 9))),
    ]);
    let sizes: Vec<usize> = chains.iter().map(|chain| chain.hops.len()).collect();
    assert_eq!((sizes, counts.circles, counts.orphans), (vec![4, 1], 1, 1));
    let deep: Vec<Call> = (1..=200).map(|n| below(n - 1, call(n, "a", (i64::from(n), 400)))).collect();
    let (chains, counts) = judged(&deep);
    let sizes: Vec<usize> = chains.iter().map(|chain| chain.hops.len()).collect();
    assert_eq!((sizes, counts.deep), (vec![65, 65, 65, 5], 3));
}

/// Work and memory grow with the records, not with their square: this would take hours.
#[test]
fn a_hundred_thousand_records_of_one_key_are_one_call() {
    const COUNT: u32 = 100_000;
    let one = call(1, "a", (0, 9));
    let mut fleet = Fleet::within(usize::MAX / 8);
    for number in 0..COUNT {
        let mut view = one.clone();
        (view.host, view.uid.packet) = (Some(number.to_string().into()), number.into());
        fleet.call(Box::new(below(1, view)));
    }
    let mut chains = 0;
    let counts = fleet.finish(&mut |_| chains += 1);
    assert_eq!((chains, counts.unfit), (1, u64::from(COUNT) - 16));
}

#[test]
fn what_there_is_no_memory_for_is_counted_and_failed_calls_go_last() {
    let mut fleet = Fleet::within(10 * CALL);
    for number in 0..20 {
        fleet.call(Box::new(call(number, "a", (0, 9))));
        fleet.call(Box::new(refused(call(100 + number, "a", (0, 9)))));
    }
    let counts = fleet.finish(&mut |_| ());
    assert_eq!((counts.taken, counts.left_out), (12, [15, 13]));
    let remarks = counts.remarks();
    assert!(
        remarks.iter().any(|remark| remark.starts_with("28 calls, 13 of them failed, left out")),
        "{remarks:?}"
    );
}

#[test]
fn what_may_have_caused_a_call_is_named_and_its_tree_stays_apart() {
    let rivals = [(1, 0.5), (7, 0.25)]
        .map(|(number, share)| RivalParent { parent: key(number), confidence: Share::of(share) });
    let made = Call { rivals: Some(rivals.into()), ..call(2, "b", (10, 20)) };
    let (chains, _) =
        judged_in_all_orders(&[call(1, "a", (0, 40)), call(1, "b", (1, 39)), made, call(2, "c", (11, 19))]);
    assert_eq!(chains.len(), 2);
    let named: Vec<_> = chains[1].hops[0].rivals.iter().map(|rival| (rival.key, rival.confidence)).collect();
    assert_eq!(named, [(Some(key(1)), 0.5), (Some(key(7)), 0.25)]);
    // The first is in the stream, under that identity.
    assert_eq!(chains[1].hops[0].rivals[0].uid, chains[0].hops[0].call.uid);
    assert!(chains[0].hops[0].rivals.is_empty() && chains[1].hops[0].call.rivals.is_none());
}

#[test]
fn failures_that_may_be_missed_make_origins_unsure() {
    let alone = |missed| Call { missed, ..refused(call(1, "a", (0, 9))) };
    let origin = |missed| judged(&[alone(missed)]).0[0].origin_confidence;
    assert!((origin(None) - 1.0).abs() < 1e-9);
    assert!((origin(Some(Share::of(0.7))) - 0.3).abs() < 1e-9);
}

#[test]
fn a_call_of_the_same_key_an_hour_later_says_nothing_of_where_a_host_stands() {
    // Neither host says which end it is, and the callee's clock runs faster. Only what b calls below could tell.
    const HOUR: i64 = 3_600_000;
    let first = [refused(call(1, "a", (0, 10))), refused(call(1, "b", (2, 13)))];
    let later = [call(1, "a", (HOUR, HOUR + 10)), call(1, "b", (HOUR + 2, HOUR + 8))];
    let child = below(1, call(2, "b", (HOUR + 3, HOUR + 5)));
    let place = |chains: &[Chain]| -> Vec<String> {
        chains.iter().filter(|chain| chain.hops[0].call.failed()).map(|chain| format!("{chain:?}")).collect()
    };
    let (alone, _) = judged(&first);
    let (together, counts) = judged_in_all_orders(&[&first[..], &later, &[child]].concat());
    assert_eq!(place(&together), place(&alone));
    assert_eq!((together.len(), counts.orphans), (2, 0));
    assert_eq!(together[1].hops.len(), 2);
}

/// The call as a host behind NAT saw it: under another key, on another connection, in a trace.
fn traced(number: u32, mut call: Call) -> Call {
    call.trace_id = Some("4bf92f3577b34da6a3ce929d0e0e4736".into());
    call.span_id = Some("00f067aa0ba902b7".into());
    if let Some(told) = &mut call.told {
        (told.key, told.connection) = (Some(key(number)), key(number + 1000));
    }
    call
}

fn at(observer: Observer, call: Call) -> Call {
    Call { observer: Some(observer), ..call }
}

#[test]
fn ends_behind_nat_are_one_call_if_they_alone_are_of_one_span() {
    let caller = || at(Observer::Client, traced(1, refused(call(1, "a", (0, 40)))));
    let callee = || at(Observer::Server, traced(51, refused(call(51, "b", (5, 35)))));
    let below = || below(51, refused(call(3, "b", (10, 20))));
    let (chains, counts) = judged_in_all_orders(&[caller(), callee(), below()]);
    let [chain] = &chains[..] else { panic!("{chains:#?}") };
    assert_eq!((chain.hops.len(), counts.orphans, counts.unfit), (2, 0, 0));
    let root = chain.root();
    assert!(root.findings.contains(Finding::JoinedByTrace));
    assert_eq!(root.callee_view.as_ref().map(|view| view.latency), Some(Some(30 * MS as u64)));
    // The call that has the same keys at another time is another one.
    let later =
        Call { start: Timestamp(BEGIN + 200_000 * MS), end: Timestamp(BEGIN + 200_020 * MS), ..below() };
    let (chains, counts) = judged_in_all_orders(&[caller(), callee(), later]);
    assert_eq!((chains.len(), counts.orphans), (2, 1));

    let apart = |calls: &[Call]| {
        let (chains, _) = judged_in_all_orders(calls);
        let joined = chains.iter().flat_map(|chain| &chain.hops);
        assert!(
            !joined.into_iter().any(|hop| hop.call.findings.contains(Finding::JoinedByTrace)),
            "{chains:#?}"
        );
        chains.len()
    };
    // A retry has the same context, and so has what a proxy that was captured sent on.
    let retry = at(Observer::Client, traced(2, refused(call(2, "a", (41, 60)))));
    assert_eq!(apart(&[caller(), retry, callee()]), 3);
    // Two callers, another method, another span, and ends of which it is not known which they are.
    let other = at(Observer::Client, traced(51, refused(call(51, "c", (5, 35)))));
    assert_eq!(apart(&[caller(), other]), 2);
    let renamed = Call { method: Some("Other".into()), ..callee() };
    assert_eq!(apart(&[caller(), renamed]), 2);
    let elsewhere = Call { span_id: Some("b7ad6b7169203331".into()), ..callee() };
    assert_eq!(apart(&[caller(), elsewhere]), 2);
    assert_eq!(apart(&[Call { observer: None, ..caller() }, Call { observer: None, ..callee() }]), 2);
}

/// The call with the sequence number of its request and its size.
fn numbered(sequence: u32, mut call: Call) -> Call {
    call.positions[0] = Some(sequence);
    (call.trace_id, call.span_id) = (None, None);
    (call.id, call.request_bytes, call.response_bytes) = (Some(3), 200, 90);
    call
}

fn joined_by_sequence(calls: &[Call]) -> usize {
    let (chains, counts) = judged_in_all_orders(calls);
    assert_eq!(counts.unfit, 0);
    let hops = chains.iter().flat_map(|chain| &chain.hops);
    hops.filter(|hop| hop.call.findings.contains(Finding::JoinedBySequence)).count()
}

#[test]
fn ends_behind_nat_are_one_call_if_they_alone_have_its_sequence_number_and_shape() {
    let caller = || numbered(77, at(Observer::Client, traced(1, refused(call(1, "a", (0, 40))))));
    let callee = || numbered(77, at(Observer::Server, traced(51, refused(call(51, "b", (5, 35))))));
    let below = below(51, refused(call(3, "b", (10, 20))));
    let (chains, counts) = judged_in_all_orders(&[caller(), callee(), below]);
    let [chain] = &chains[..] else { panic!("{chains:#?}") };
    assert_eq!((chain.hops.len(), counts.orphans, counts.unfit), (2, 0, 0));
    assert!(chain.root().findings.contains(Finding::JoinedBySequence));
    assert_eq!(chain.root().callee_view.as_ref().map(|view| view.latency), Some(Some(30 * MS as u64)));
    // Clocks differ, and an answer is lost on its way back.
    let late =
        Call { start: Timestamp(BEGIN + 30_000 * MS), end: Timestamp(BEGIN + 30_030 * MS), ..callee() };
    assert_eq!(joined_by_sequence(&[caller(), late]), 1);
    let mut broken = caller();
    (broken.outcome.class, broken.outcome.carrier, broken.outcome.code) =
        (Some(Class::Transport), Carrier::TcpRst, None);
    (broken.latency, broken.duration, broken.response_bytes) = (None, None, 0);
    let (chains, _) = judged_in_all_orders(&[broken, callee()]);
    assert!(chains.len() == 1 && chains[0].root().findings.contains(Finding::AnswerLost), "{chains:#?}");
    // An hour later, the number comes again: each is joined with its own.
    let later = |call: Call| Call {
        start: Timestamp(call.start.0 + 3_600_000 * MS),
        end: Timestamp(call.end.0 + 3_600_000 * MS),
        ..call
    };
    assert_eq!(joined_by_sequence(&[caller(), callee(), later(caller()), later(callee())]), 2);
}

/// Two clients make the same call at the same time through one NAT, and whatever else looks like two ends of one.
#[test]
fn equal_calls_of_two_clients_behind_one_nat_are_never_joined() {
    let client = |number: u32, host: &str, sequence: u32, from: i64| {
        numbered(sequence, at(Observer::Client, traced(number, call(number, host, (from, from + 40)))))
    };
    let server = |number: u32, sequence: u32, from: i64| {
        numbered(sequence, at(Observer::Server, traced(number, call(number, "s", (from, from + 30)))))
    };
    // Both clients were captured, and of the server one call, or all: nobody's number but one's own joins.
    assert_eq!(joined_by_sequence(&[client(1, "a", 7, 0), client(2, "b", 8, 0), server(51, 9, 5)]), 0);
    assert_eq!(joined_by_sequence(&[client(1, "a", 7, 0), server(51, 9, 5)]), 0);
    let (own, others) = ([client(1, "a", 7, 0), server(51, 7, 5)], [client(2, "b", 8, 0), server(52, 8, 5)]);
    assert_eq!(joined_by_sequence(&[&own[..], &others].concat()), 2);
    // Their numbers are equal, too: which is whose is unknown.
    assert_eq!(joined_by_sequence(&[client(1, "a", 7, 0), client(2, "b", 7, 1), server(51, 7, 5)]), 0);
    let both = [client(1, "a", 7, 0), client(2, "b", 7, 1), server(51, 7, 5), server(52, 7, 6)];
    assert_eq!(joined_by_sequence(&both), 0);
    assert_eq!(joined_by_sequence(&[client(1, "a", 7, 0), server(51, 7, 5), server(52, 7, 30_000)]), 0);
    // Where nothing else of the two agrees, the number is not enough.
    let change = |turn: &dyn Fn(&mut Call)| {
        let mut callee = server(51, 7, 5);
        assert_eq!(joined_by_sequence(&[client(1, "a", 7, 0), callee.clone()]), 1);
        turn(&mut callee);
        joined_by_sequence(&[client(1, "a", 7, 0), callee])
    };
    let late = 100_000 * MS;
    let changes: [&dyn Fn(&mut Call); 10] = [
        &|call| call.id = Some(5),
        &|call| call.method = Some("Other".into()),
        &|call| call.method = None,
        &|call| call.service = None,
        &|call| call.request_bytes += 1,
        &|call| call.response_bytes += 1,
        &|call| *call = refused(call.clone()),
        // It worked longer than its caller waited.
        &|call| call.latency = Some(41 * MS as u64),
        &|call| call.start.0 += late,
        &|call| call.observer = None,
    ];
    for (place, turn) in changes.into_iter().enumerate() {
        assert_eq!(change(turn), 0, "{place}");
    }
    assert_eq!(change(&|call| call.host = Some("a".into())), 0);
    assert_eq!(change(&|call| call.positions[0] = None), 0);
}

#[test]
fn a_host_between_that_changes_the_addresses_is_joined_with_both_ends() {
    let view = |number: u32, host: &str, observer, from: i64, to: i64| {
        let call = numbered(7, traced(number, call(number, host, (from, to))));
        Call { observer, ..call }
    };
    let caller = || view(1, "a", Some(Observer::Client), 0, 40);
    let callee = || view(51, "s", Some(Observer::Server), 5, 35);
    // The router saw the call twice, with the caller's addresses and with the callee's.
    let inner = || view(1, "r", Some(Observer::Middle), 2, 38);
    let outer = || view(51, "r", None, 3, 37);
    for between in [vec![inner()], vec![outer()], vec![inner(), outer()]] {
        let all = [vec![caller(), callee()], between].concat();
        let (chains, counts) = judged_in_all_orders(&all);
        let [chain] = &chains[..] else { panic!("{chains:#?}") };
        assert_eq!((chain.hops.len(), counts.unfit), (1, 0));
        assert!(chain.root().findings.contains(Finding::JoinedBySequence));
        assert_eq!(chain.root().callee_view.as_ref().map(|view| view.latency), Some(Some(30 * MS as u64)));
    }
    // A third key may be another call's.
    assert_eq!(joined_by_sequence(&[caller(), view(2, "r", Some(Observer::Middle), 2, 38), callee()]), 0);
    // Of the router alone it is not known whether these are two calls, unless something else tells them from others.
    let alone = |change: &dyn Fn(&mut Call)| {
        let mut both = [inner(), outer()];
        both.iter_mut().for_each(change);
        joined_by_sequence(&both)
    };
    assert_eq!(alone(&|_| {}), 0);
    assert_eq!(alone(&|call| call.id = Some(70_000)), 1);
    assert_eq!(alone(&|call| call.log_id = Some("20261126093011ABCDEF".into())), 1);
    assert_eq!(
        alone(&|call| (call.id, call.host) = (Some(70_000), Some(call.start.0.to_string().into()))),
        0
    );
    assert_eq!(alone(&|call| (call.id, call.latency) = (Some(70_000), Some(36 * MS as u64))), 0);
    assert_eq!(alone(&|call| (call.id, call.observer) = (Some(70_000), Some(Observer::Client))), 0);
    let third = Call { id: Some(70_000), ..view(52, "r", None, 4, 36) };
    let twice = [inner(), outer()].map(|call| Call { id: Some(70_000), ..call });
    assert_eq!(joined_by_sequence(&[&twice[..], &[third]].concat()), 0);
}

/// Work grows with the records, not with their square: this would take hours.
#[test]
fn a_hundred_thousand_calls_behind_nat_are_joined_one_by_one() {
    const COUNT: u32 = 100_000;
    let mut fleet = Fleet::within(usize::MAX / 8);
    for number in 0..COUNT {
        let span = |host, observer, key| {
            let call = at(observer, traced(key, call(key, host, (number.into(), i64::from(number) + 40))));
            let span = Some(format!("{number:016x}").as_str().into());
            if number % 2 == 0 { Call { span_id: span, ..call } } else { numbered(number, call) }
        };
        fleet.call(Box::new(span("a", Observer::Client, number)));
        fleet.call(Box::new(span("b", Observer::Server, COUNT + number)));
    }
    let mut found = [0, 0];
    fleet.finish(&mut |chain| {
        let findings = [Finding::JoinedByTrace, Finding::JoinedBySequence];
        let which = findings.iter().position(|finding| chain.root().findings.contains(*finding));
        found[which.expect("joined")] += 1;
    });
    assert_eq!(found, [COUNT / 2, COUNT / 2]);
}

/// Of that log id, without trace context, of its own connection; the ends of all calls differ.
fn logged(number: u32, mut call: Call) -> Call {
    call = traced(number, call);
    (call.trace_id, call.span_id, call.log_id) = (None, None, Some("20261126093011ABCDEF".into()));
    (call.client.port, call.server.port) = (number as u16, number as u16 + 1000);
    (call.id, call.request_bytes, call.response_bytes) = (Some(70_000), 200, 90);
    call
}

fn joined_by_log(calls: &[Call]) -> usize {
    let (chains, counts) = judged_in_all_orders(calls);
    assert_eq!(counts.unfit, 0);
    let hops = chains.iter().flat_map(|chain| &chain.hops);
    hops.filter(|hop| hop.call.findings.contains(Finding::JoinedByLogId)).count()
}

#[test]
fn ends_behind_a_proxy_are_one_call_if_they_alone_have_its_log_id_and_shape() {
    let caller = || logged(1, at(Observer::Client, refused(call(1, "a", (0, 40)))));
    let callee = || logged(51, at(Observer::Server, refused(call(51, "b", (5, 35)))));
    let below = below(51, refused(call(3, "b", (10, 20))));
    let (chains, counts) = judged_in_all_orders(&[caller(), callee(), below]);
    let [chain] = &chains[..] else { panic!("{chains:#?}") };
    assert_eq!((chain.hops.len(), counts.orphans, counts.unfit), (2, 0, 0));
    assert!(chain.root().findings.contains(Finding::JoinedByLogId));
    assert_eq!(chain.root().callee_view.as_ref().map(|view| view.latency), Some(Some(30 * MS as u64)));
    // A small number says little, unless both records name one end of the connection.
    let small = |ends: &dyn Fn(&mut Call, &mut Call)| {
        let [mut caller, mut callee] = [caller(), callee()].map(|call| Call { id: Some(3), ..call });
        ends(&mut caller, &mut callee);
        joined_by_log(&[caller, callee])
    };
    assert_eq!(small(&|_, _| {}), 0);
    assert_eq!(small(&|caller, callee| callee.client = caller.client), 1);
    assert_eq!(small(&|caller, callee| callee.server = caller.server), 1);
    assert_eq!(
        small(&|caller, callee| {
            caller.client.ip = std::net::Ipv4Addr::LOCALHOST.into();
            callee.client = caller.client;
        }),
        0
    );
    assert_eq!(
        small(&|caller, callee| {
            let addresses = vec![caller.client.to_string().as_str().into()];
            callee.via = Some(std::sync::Arc::new(crate::calls::record::Via { client: None, addresses }));
        }),
        1
    );
    // The log id of another minute is another chain's.
    let later = |call: Call| Call {
        start: Timestamp(call.start.0 + 3_600_000 * MS),
        end: Timestamp(call.end.0 + 3_600_000 * MS),
        ..call
    };
    assert_eq!(joined_by_log(&[caller(), callee(), later(caller()), later(callee())]), 2);
}

/// All calls of a chain have its log id: nothing but one call seen at both ends is joined by it.
#[test]
fn equal_calls_of_one_chain_are_never_joined_by_their_log_id() {
    let caller = |number: u32, host: &str, from: i64| {
        logged(number, at(Observer::Client, call(number, host, (from, from + 40))))
    };
    let callee = |number: u32, host: &str, from: i64| {
        logged(number, at(Observer::Server, call(number, host, (from, from + 30))))
    };
    assert_eq!(joined_by_log(&[caller(1, "a", 0), callee(51, "s", 5)]), 1);
    // In parallel, of one host and of two; a retry; a proxy that tries two callees.
    assert_eq!(joined_by_log(&[caller(1, "a", 0), caller(2, "a", 1), callee(51, "s", 5)]), 0);
    assert_eq!(joined_by_log(&[caller(1, "a", 0), caller(2, "b", 1), callee(51, "s", 5)]), 0);
    let both = [caller(1, "a", 0), caller(2, "a", 1), callee(51, "s", 5), callee(52, "t", 6)];
    assert_eq!(joined_by_log(&both), 0);
    assert_eq!(joined_by_log(&[caller(1, "a", 0), callee(51, "s", 5), callee(52, "t", 30_000)]), 0);
    // With numbers of their own, each finds its own end.
    let numbered = |id: i64, call: Call| Call { id: Some(id), ..call };
    let both = both.into_iter().zip([70_000, 70_001, 70_000, 70_001]).map(|(call, id)| numbered(id, call));
    assert_eq!(joined_by_log(&both.collect::<Vec<_>>()), 2);
    // Two hops: the one is the cause of the other.
    let outer = callee(51, "s", 5);
    let inner = below(52, caller(1, "a", 8));
    let between = [below(51, call(52, "s", (6, 30))), at(Observer::Server, call(52, "a", (7, 29)))];
    let hops = [vec![outer, Call { latency: None, ..inner }], between.to_vec()].concat();
    assert_eq!(joined_by_log(&hops), 0);
    // Spark has seen more of them than the records at hand.
    let mut shared = callee(51, "s", 5);
    shared.told.as_mut().unwrap().is_log_shared = true;
    assert_eq!(joined_by_log(&[caller(1, "a", 0), shared]), 0);
    // Where nothing else of the two agrees, the log id is not enough.
    let change = |turn: &dyn Fn(&mut Call)| {
        let mut callee = callee(51, "s", 5);
        turn(&mut callee);
        joined_by_log(&[caller(1, "a", 0), callee])
    };
    let late = 100_000 * MS;
    let changes: [&dyn Fn(&mut Call); 14] = [
        &|call| call.log_id = Some("20261126093011ABCDE0".into()),
        &|call| call.log_id = None,
        &|call| call.id = Some(70_002),
        &|call| call.method = Some("Other".into()),
        &|call| call.service = None,
        &|call| call.caller = Some("other".into()),
        &|call| call.callee = Some("other".into()),
        &|call| call.request_bytes += 1,
        &|call| call.response_bytes += 1,
        &|call| *call = refused(call.clone()),
        // It worked longer than its caller waited, or never answered what the caller got.
        &|call| call.latency = Some(41 * MS as u64),
        &|call| call.latency = None,
        &|call| call.start.0 += late,
        &|call| call.observer = None,
    ];
    for (place, turn) in changes.into_iter().enumerate() {
        assert_eq!(change(turn), 0, "{place}");
    }
    assert_eq!(change(&|call| call.host = Some("a".into())), 0);
}

/// Calls that an agent has not linked yet are no reason to link them by hand.
#[test]
fn calls_that_agents_will_link_are_not_asked_to_be_linked() {
    let counts = |unlinked| Counts { taken: 3, unlinked, ..Counts::default() };
    assert!(counts(0).remarks()[0].contains("rpcscope calls --link"));
    assert_eq!(counts(2).remarks(), Vec::<String>::new());
}
