use super::*;
use crate::calls::record::CalleeView;
use crate::calls::sample;
use crate::chains::record::{Evidence, FACT, Link};

/// Milliseconds as nanoseconds.
const MS: i64 = 1_000_000;

const FULL: (Class, &str) = (Class::Business, "full");

/// A hop whose call lasted from one time to another, milliseconds.
fn hop(parent: Option<usize>, (start, end): (i64, i64), (class, text): (Class, &str)) -> Hop {
    let (carrier, code) = match class {
        Class::Business => (Carrier::BizStatus, Some(7)),
        Class::Rpc => (Carrier::ThriftException, Some(6)),
        _ => (Carrier::None, None),
    };
    let mut call = sample::failed(class, carrier, code, text);
    call.uid.packet = start.unsigned_abs();
    call.response_messages = u32::from(code.is_some() || class == Class::Ok);
    let zero = call.start.0;
    (call.start, call.end) = (Timestamp(zero + start * MS), Timestamp(zero + end * MS));
    let link = Link {
        evidence: EvidenceSet::from_iter([Evidence::TraceId]),
        confidence: 0.99,
        caller: 0.99,
        direct: 1.0,
    };
    Hop { link: parent.map(|_| link), ..Hop::sample(call, usize::from(parent.is_some()), parent) }
}

/// Judges a root and the calls that it made.
fn judged(root: ((i64, i64), (Class, &str)), below: Vec<Hop>) -> Chain {
    let mut hops = vec![hop(None, root.0, root.1)];
    hops.extend(below);
    judge(&mut hops, |_, _| true)
}

/// The findings of a chain that are told as facts.
fn facts(chain: &Chain) -> Vec<Finding> {
    chain.changes.iter().filter(|change| change.is_fact()).map(|change| change.finding).collect()
}

#[test]
fn what_is_answered_after_the_callers_answer_is_neither_passed_on_nor_swallowed() {
    let audit = |end: i64| vec![hop(Some(0), (5, end), FULL)];
    for late in [21, 30, 1_000, 10_000] {
        for root in [FULL, (Class::Business, "no stock"), (Class::Rpc, "full"), (Class::Ok, "")] {
            let chain = judged(((0, 20), root), audit(late));
            assert_eq!(chain.changes, [], "{late} {root:?}");
            assert!(root.0 == Class::Ok || !chain.is_origin_sure(), "{late} {root:?}");
            assert!(chain.remark(1).is_some_and(|remark| remark.contains("ended after the answer")));
        }
    }
    let in_time = judged(((0, 20), FULL), audit(19));
    assert_eq!((facts(&in_time), in_time.origin), (vec![Finding::PassedOn], Origin::At(1)));
    assert_eq!(facts(&judged(((0, 20), (Class::Ok, "")), audit(19))), [Finding::Swallowed]);
}

#[test]
fn the_clock_of_the_callers_host_decides_what_is_late() {
    let chain = |view_end: i64| {
        let mut root = hop(None, (0, 20), FULL);
        let zero = root.call.start.0;
        let view = CalleeView {
            seen: 2,
            start: root.call.start,
            end: Timestamp(zero + view_end * MS),
            latency: None,
        };
        root.call.get_mut().expect("nobody else has it").callee_view = Some(Box::new(view));
        judge(&mut vec![root, hop(Some(0), (5, 15), FULL)], |_, _| true)
    };
    assert_eq!(facts(&chain(16)), [Finding::PassedOn]);
    assert_eq!(facts(&chain(14)), []);
}

#[test]
fn a_callee_at_work_when_its_service_failed_leaves_it_open_whether_that_failed_alone() {
    let ended = |end: i64| judged(((0, 20), FULL), vec![hop(Some(0), (5, end), (Class::Ok, ""))]);
    assert_eq!(facts(&ended(15)), [Finding::FailedAlone]);
    assert!(ended(15).is_origin_sure());
    let open = ended(25);
    assert!(open.changes.is_empty() && !open.is_origin_sure());
    assert!(open.sentence().contains("perhaps it began here: of its own calls not all had ended"));
}

#[test]
fn a_call_that_may_merely_be_open_when_the_capture_ends_tells_no_story_as_a_fact() {
    const OPEN: (Class, &str) = (Class::Unanswered, "");
    let below = |outcome, waited: i64| vec![hop(Some(0), (5, 5 + waited), outcome)];
    for root in [FULL, (Class::Ok, ""), OPEN] {
        let chain = judged(((0, 50), root), below(OPEN, 45));
        assert_eq!((facts(&chain), chain.is_origin_sure()), (vec![], false), "{root:?}");
    }
    // Who sent no answer has not answered with an error of another kind.
    for answer in [FULL, (Class::Rpc, "boom")] {
        let chain = judged(((0, 50), OPEN), below(answer, 10));
        assert_eq!((facts(&chain), chain.is_origin_sure()), (vec![], false), "{answer:?}");
        assert!(chain.sentence().contains("never answered") && !chain.sentence().contains("instead"));
    }
    // However long the capture goes on after its caller's answer: a subscription, an upload.
    assert_eq!(facts(&judged(((0, 50), (Class::Ok, "")), below(OPEN, 5_000))), []);
    let mut stream = below(OPEN, 2_400);
    stream[0].call.get_mut().expect("nobody else has it").response_messages = 3;
    assert_eq!(facts(&judged(((0, 2_500), (Class::Ok, "")), stream)), []);
    let of_business = judged(((0, 50), (Class::Business, "order is cancelled")), below(OPEN, 45));
    assert_eq!((facts(&of_business), of_business.is_origin_sure()), (vec![], false));
    // It waited long, for as long as it said, or as its caller says.
    assert_eq!(facts(&judged(((0, 2_500), (Class::Ok, "")), below(OPEN, 2_400))), [Finding::Swallowed]);
    let gave_up = judged(((0, 50), (Class::Business, "stock: timed out")), below(OPEN, 45));
    assert!(gave_up.is_origin_sure() && gave_up.origin == Origin::At(1));
    let mut timed = below(OPEN, 45);
    timed[0].call.get_mut().expect("nobody else has it").timeout = Some(40 * MS as u64);
    assert!(judged(((0, 50), FULL), timed).is_origin_sure());
}

#[test]
fn who_cancels_a_call_need_not_do_so_because_it_failed() {
    let cancelled = |root, end: i64| {
        let mut hop = hop(Some(0), (5, end), (Class::Transport, ""));
        hop.call.get_mut().expect("nobody else has it").outcome.initiator = Some(Initiator::Client);
        judged(((0, 50), root), vec![hop])
    };
    for root in [FULL, (Class::Ok, "")] {
        // As the service returns, or before.
        for end in [51, 49] {
            let chain = cancelled(root, end);
            assert_eq!(facts(&chain), [], "{root:?} {end}");
            assert!(chain.origin == Origin::Nothing || !chain.is_origin_sure(), "{root:?} {end}");
        }
    }
    let gave_up = cancelled((Class::Rpc, "context deadline exceeded"), 49);
    assert!(gave_up.origin == Origin::At(1) && gave_up.is_origin_sure());
}

#[test]
fn a_try_whose_text_the_service_answers_was_not_made_up_for() {
    let tries = || {
        let tried = |start, outcome| hop(Some(0), (start, start + 5), outcome);
        vec![tried(5, (Class::Rpc, "upstream 17 down")), tried(15, (Class::Ok, ""))]
    };
    let told = judged(((0, 50), (Class::Rpc, "get: upstream 17 down")), tries());
    assert_eq!(told.origin, Origin::At(1));
    assert!(!facts(&told).contains(&Finding::FailedAlone));
    let made_up = judged(((0, 50), (Class::Rpc, "no stock")), tries());
    assert_eq!(facts(&made_up), [Finding::FailedAlone]);
}

#[test]
fn hundreds_of_failed_siblings_are_compared_with_their_neighbours_only() {
    let siblings = (0..20_000).map(|at| hop(Some(0), (at, at + 1), (Class::Rpc, "boom")));
    let chain = judged(((0, 30_000), (Class::Ok, "")), siblings.collect());
    assert_eq!(chain.hops.iter().filter(|hop| hop.retried_by.is_some()).count(), 19_999);
}

#[test]
fn of_calls_that_failed_alike_side_by_side_none_is_the_origin_for_sure() {
    let two = |second: (i64, i64), text| {
        judged(
            ((0, 50), FULL),
            vec![hop(Some(0), (5, 30), FULL), hop(Some(0), second, (Class::Business, text))],
        )
    };
    let beside = two((6, 30), "full");
    assert!(facts(&beside).is_empty() && !beside.is_origin_sure());
    assert!((0.4..0.6).contains(&beside.origin_confidence), "{}", beside.origin_confidence);
    // One after the other: the last one is what the service saw before it answered. Other words tell them apart.
    assert!(two((31, 40), "full").origin == Origin::At(2) && two((31, 40), "full").is_origin_sure());
    assert!(two((6, 30), "no").origin == Origin::At(1) && two((6, 30), "no").is_origin_sure());
}

#[test]
fn failed_alone_is_as_sure_as_it_is_that_a_call_is_its_own() {
    let with_links = |confidences: &[f64]| {
        let below = (5..).zip(confidences).map(|(start, &confidence)| {
            let mut hop = hop(Some(0), (start, 15), (Class::Ok, ""));
            hop.link = hop.link.map(|link| Link { confidence, ..link });
            hop
        });
        judged(((0, 20), FULL), below.collect())
    };
    for (confidences, is_fact) in
        [(&[0.99][..], true), (&[0.3], false), (&[0.3, 0.9], true), (&[0.7, 0.7], false)]
    {
        let chain = with_links(confidences);
        let [change] = &chain.changes[..] else { panic!("{:?}", chain.changes) };
        assert_eq!(
            (change.finding, change.confidence >= FACT),
            (Finding::FailedAlone, is_fact),
            "{confidences:?}"
        );
        assert_eq!(chain.is_origin_sure(), is_fact, "{confidences:?}");
    }
}

#[test]
fn the_next_call_of_a_loop_is_no_sure_retry_of_one_that_failed() {
    const FAILED: (Class, &str) = (Class::Rpc, "boom");
    const OK: (Class, &str) = (Class::Ok, "");
    let ask = |start: i64, outcome, bytes: u64| {
        let mut hop = hop(Some(0), (start, start + 5), outcome);
        let call = hop.call.get_mut().expect("nobody else has it");
        (call.request_bytes, call.message_bytes[0]) = (bytes, 0);
        hop
    };
    let is_sure = |below| {
        let chain = judged(((0, 50), OK), below);
        // Perhaps nothing made up for it.
        let swallowed = chain.changes.iter().find(|change| change.below == Some(1));
        let sure = chain.retry_is_sure(1);
        assert_eq!(swallowed.map(Change::is_fact), (sure != Some(true)).then_some(sure.is_none()));
        sure
    };
    assert_eq!(is_sure(vec![ask(5, FAILED, 71), ask(15, OK, 71)]), Some(true));
    assert_eq!(is_sure(vec![ask(5, FAILED, 71), ask(15, OK, 72)]), Some(false));
    assert_eq!(is_sure(vec![ask(5, FAILED, 71), ask(15, OK, 71), ask(25, OK, 71)]), Some(false));
    assert_eq!(is_sure(vec![ask(5, FAILED, 71), ask(15, FAILED, 71), ask(25, OK, 71)]), Some(true));
    assert_eq!(is_sure(vec![ask(5, FAILED, 71), ask(15, OK, 150)]), None);
    let mut flagged = vec![ask(5, FAILED, 71), ask(15, OK, 90)];
    flagged[1].is_retry = true;
    assert_eq!(is_sure(flagged), Some(true));
}
