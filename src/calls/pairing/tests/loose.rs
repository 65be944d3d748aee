//! Numbers that do not identify their calls.

use super::super::loose::MAX_MEANT;
use super::*;

/// Clients that send 0 in every message.
#[test]
fn a_request_without_an_answer_shifts_no_later_verdict() {
    let mut line = Line::new();
    line.flow.segments = [9, 9];
    line.say(CLIENT, request(0, "log"));
    line.say(CLIENT, request(0, "ping"));
    line.say(SERVER, answer(0, "ping"));
    line.say(CLIENT, request(0, "charge"));
    line.say(SERVER, failure(0, "charge", 6));
    line.say(CLIENT, request(0, "refund"));
    line.say(SERVER, answer(0, "refund"));
    // A method that is known to need no answer, and one that is known to get one.
    line.say(CLIENT, request(0, "log"));
    line.say(CLIENT, request(0, "ping"));
    line.say(CLIENT, request(0, "charge"));
    line.say(SERVER, answer(0, "charge"));
    line.say(CLIENT, request(0, "log"));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    let (ok, oneway) = (Some(Class::Ok), Some(Class::Oneway));
    let expected = [
        ("log", oneway, None),
        ("ping", ok, None),
        ("charge", Some(Class::Rpc), Some(6)),
        ("refund", ok, None),
        ("log", oneway, None),
        ("ping", Some(Class::Unanswered), None),
        ("charge", ok, None),
        ("log", oneway, None),
    ];
    let calls = line.calls();
    assert_eq!(verdicts(&calls), expected);
    assert!(calls.iter().all(|call| call.findings.is_empty()));
    assert_eq!(calls[0].kind, CallKind::Oneway);
}

/// Whoever writes TTHeader says of a one-way call that it is one, and a server that closes is no sign of one.
#[test]
fn a_call_is_not_taken_for_one_way_against_what_its_peers_say() {
    let over_ttheader = |id, method| with(request(id, method), |head| head.transport = Transport::TtHeader);
    let mut line = Line::new();
    line.flow.segments = [9, 9];
    line.say(CLIENT, over_ttheader(0, "slow"));
    line.say(CLIENT, over_ttheader(0, "ping"));
    line.say(SERVER, answer(0, "ping"));
    let expected = [("slow", Some(Class::Unanswered), None), ("ping", Some(Class::Ok), None)];
    assert_eq!(verdicts(&line.calls()), expected);

    let mut line = Line::new();
    line.flow.segments = [9, 9];
    line.say(CLIENT, request(0, "log"));
    line.say(CLIENT, request(0, "ping"));
    line.say(SERVER, answer(0, "ping"));
    line.say(CLIENT, request(0, "log"));
    line.end(SERVER, End::Fin);
    assert_eq!(line.calls().last().unwrap().class(), Some(Class::Transport));
}

/// Thrift leaves it to the caller to look at the number of an answer, and not every caller does.
#[test]
fn a_callee_with_numbers_of_its_own_answers_the_call_that_waits() {
    for numbers in [[0, 0, 0, 0], [0, 1, 2, 3], [-1, -1, -1, -1], [101, 102, 103, 104]] {
        let mut line = Line::new();
        for (asked, number) in (1..).zip(numbers) {
            line.say(CLIENT, request(asked, "get"));
            let said = if asked == 2 { failure(number, "get", 6) } else { answer(number, "get") };
            line.say(SERVER, said);
        }
        line.end(CLIENT, End::Fin);
        line.end(SERVER, End::Fin);
        let calls = line.calls();
        let [ok, failed] = [("get", Some(Class::Ok), None), ("get", Some(Class::Rpc), Some(6))];
        assert_eq!(verdicts(&calls), [ok, failed, ok, ok], "{numbers:?}");
        assert!(calls.iter().all(|call| call.findings.is_empty()), "{numbers:?}");
    }
}

#[test]
fn an_answer_that_may_be_that_of_several_calls_leaves_them_without_a_verdict() {
    let mut line = Line::new();
    line.flow.segments = [9, 9];
    line.say(CLIENT, request(1, "get"));
    line.say(CLIENT, request(2, "get"));
    line.say(CLIENT, request(3, "put"));
    line.say(SERVER, answer(101, "get"));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    let expected = [("get", None, None), ("get", None, None), ("put", Some(Class::Transport), None)];
    assert_eq!(verdicts(&calls), expected);
    assert!(calls[..2].iter().all(|call| call.findings.contains(Finding::UndecodableAnswer)));
}

/// The cost of an answer does not grow with the number of calls that wait.
#[test]
fn of_many_calls_any_may_be_meant() {
    let mut line = Line::new();
    line.flow.segments = [9, 9];
    for id in 0..=MAX_MEANT as i64 {
        line.say(CLIENT, request(id, "put"));
    }
    line.say(SERVER, answer(1001, "get"));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    assert!(line.calls().iter().all(|call| call.class().is_none()));
}

#[test]
fn a_method_that_is_answered_after_all_needs_answers() {
    let mut line = Line::new();
    line.say(CLIENT, request(0, "slow"));
    line.say(CLIENT, request(0, "ping"));
    line.say(SERVER, answer(0, "ping"));
    line.say(CLIENT, request(0, "slow"));
    line.say(SERVER, answer(0, "slow"));
    line.say(CLIENT, request(0, "slow"));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    assert_eq!(line.calls().last().unwrap().class(), Some(Class::Transport));
}

#[test]
fn after_lost_answers_older_calls_are_unknown_and_later_ones_not_shifted() {
    for methods in [["a", "b", "c"], ["get", "get", "get"]] {
        let mut line = Line::new();
        line.say(CLIENT, request(0, methods[0]));
        line.lose(SERVER, Finding::Gap);
        line.say(SERVER, Event::Lost { start: 0 });
        line.say(CLIENT, request(0, methods[1]));
        line.say(SERVER, failure(0, methods[1], 6));
        line.say(CLIENT, request(0, methods[2]));
        line.say(SERVER, answer(0, methods[2]));
        let calls = line.calls();
        let expected = [
            (methods[0], None, None),
            (methods[1], Some(Class::Rpc), Some(6)),
            (methods[2], Some(Class::Ok), None),
        ];
        assert_eq!(verdicts(&calls), expected);
        let marked: Vec<bool> = calls.iter().map(|call| call.findings.contains(Finding::Gap)).collect();
        assert_eq!(marked, [true, true, false], "in doubt until no call waits");
    }
}

#[test]
fn which_of_several_answers_was_lost_is_not_guessed() {
    let mut line = Line::new();
    line.say(CLIENT, request(0, "get"));
    line.say(CLIENT, request(0, "get"));
    line.lose(SERVER, Finding::Gap);
    line.say(SERVER, Event::Lost { start: 0 });
    line.say(SERVER, failure(0, "get", 6));
    assert_eq!(verdicts(&line.calls()), [("get", None, None), ("get", None, None)]);
}

#[test]
fn the_answer_to_a_lost_request_is_not_that_of_another_method() {
    let mut line = Line::new();
    line.lose(CLIENT, Finding::Gap);
    line.say(CLIENT, Event::Lost { start: 0 });
    line.say(CLIENT, request(0, "b"));
    line.say(SERVER, failure(0, "a", 6));
    line.say(SERVER, answer(0, "b"));
    let calls = line.calls();
    assert_eq!(calls.iter().map(Call::class).collect::<Vec<_>>(), [Some(Class::Rpc), Some(Class::Ok)]);
    assert!(calls.iter().all(|call| call.findings.contains(Finding::Gap)));
}

/// Kitex mesh: the header has 0, the message behind it another number, and the message was cut off.
#[test]
fn a_number_that_was_cut_off_pairs_with_the_only_answer() {
    let cut = |id| with(request(id, "a"), |head| (head.truncated, head.codec) = (true, None));
    let mut line = Line::new();
    line.lose(CLIENT, Finding::Truncated);
    line.say(CLIENT, cut(0));
    line.say(SERVER, answer(1, "a"));
    assert_eq!(verdicts(&line.calls()), [("a", Some(Class::Ok), None)]);

    // Two that wait, or a number that is one: unknown, since the answer was not lost.
    for ids in [&[0, 0][..], &[4]] {
        let mut line = Line::new();
        line.lose(CLIENT, Finding::Truncated);
        for id in ids {
            line.say(CLIENT, cut(*id));
        }
        line.say(SERVER, answer(1, "a"));
        line.end(CLIENT, End::Fin);
        line.end(SERVER, End::Fin);
        let calls = line.calls();
        assert!(calls.iter().skip(1).all(|call| call.class().is_none()), "{ids:?}");
        assert!(calls.iter().all(|call| call.findings.contains(Finding::Truncated)));
    }
}

#[test]
fn the_size_of_a_request_is_not_that_of_an_older_one_with_its_number() {
    let mut line = Line::new();
    for (method, bytes) in [("log", 20), ("ping", 30)] {
        line.say(CLIENT, with(request(0, method), |head| (head.more, head.bytes) = (true, 0)));
        line.say(
            CLIENT,
            Event::Complete(Complete { id: CallId::Loose(0), end: bytes, bytes, truncated: false }),
        );
    }
    line.say(SERVER, answer(0, "ping"));
    let sizes: Vec<_> = line.calls().iter().map(|call| call.request_bytes).collect();
    assert_eq!(sizes, [20, 30]);
}

/// A message without a length: it ends where its struct ends, which may be some packets later.
fn say_in_pieces(line: &mut Line, type_id: Option<i32>, method: &'static str) {
    let message = type_id.map_or_else(|| answer(0, method), |type_id| failure(0, method, type_id));
    line.say(SERVER, with(message, |head| head.more = true));
    let complete = Complete { id: CallId::Loose(0), end: 99, bytes: 100, truncated: false };
    line.say(SERVER, Event::Complete(complete));
}

#[test]
fn the_end_of_an_answer_is_not_that_of_an_older_call_with_its_number() {
    let mut line = Line::new();
    line.say(CLIENT, request(0, "a"));
    line.lose(CLIENT, Finding::Gap);
    line.say(CLIENT, Event::Lost { start: 0 });
    // The request was lost.
    say_in_pieces(&mut line, Some(6), "b");
    line.say(CLIENT, request(0, "c"));
    say_in_pieces(&mut line, None, "c");
    line.say(CLIENT, request(0, "d"));
    say_in_pieces(&mut line, Some(7), "d");
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    let by_method = |method| verdicts(&calls).into_iter().find(|verdict| verdict.0 == method).unwrap();
    assert_eq!(by_method("c"), ("c", Some(Class::Ok), None));
    assert_eq!(by_method("d"), ("d", Some(Class::Rpc), Some(7)));
    for call in calls.iter().filter(|call| call.method.as_deref() != Some("a")) {
        assert_eq!(call.response_bytes, 100, "{call:?}");
    }
}

#[test]
fn an_answer_behind_losses_of_both_sides_may_be_that_of_a_lost_request() {
    let lose = |line: &mut Line, side| {
        line.lose(side, Finding::Gap);
        line.say(side, Event::Lost { start: 0 });
    };
    for (number, expected) in [(0, None), (1, Some(Class::Rpc))] {
        let mut line = Line::new();
        line.say(CLIENT, request(number, "get"));
        lose(&mut line, SERVER);
        lose(&mut line, CLIENT);
        line.say(SERVER, failure(number, "get", 6));
        line.say(CLIENT, request(number, "get"));
        line.say(SERVER, answer(number, "get"));
        let calls = line.calls();
        assert_eq!(
            calls.iter().map(Call::class).collect::<Vec<_>>(),
            [expected, Some(Class::Ok)],
            "{number}"
        );
        assert!(calls[0].findings.contains(Finding::Gap) || number != 0);
    }
}
