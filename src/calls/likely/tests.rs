//! The model with calls made by hand.

use std::time::Duration;

use rpcscope_parsers::event::{Layout, Pairs, Shown};
use rpcscope_parsers::{Rpc, Transport};

use super::*;
use crate::calls::dedup::Item;
use crate::calls::record::{Carrier, Uid};
use crate::calls::sample;
use crate::time::Timestamp;

/// A field of a header block.
#[derive(Clone, Copy)]
enum Sent {
    /// Both parts can be read.
    Plain(&'static str, &'static str),
    /// A reference to an old entry.
    Old(u64),
    /// A new value beside an old name.
    Beside(u64, &'static str),
}
use Sent::{Beside, Old, Plain};

struct Block<'a>(&'a [Sent]);

impl Pairs for Block<'_> {
    fn each(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}

    fn each_field(&self, each: &mut dyn FnMut(Shown<'_>, Shown<'_>)) {
        for field in self.0 {
            match *field {
                Plain(name, value) => each(Shown::Text(name.as_bytes()), Shown::Text(value.as_bytes())),
                Old(entry) => each(Shown::Entry(entry), Shown::Entry(entry)),
                Beside(entry, value) => each(Shown::Entry(entry), Shown::Text(value.as_bytes())),
            }
        }
    }
}

/// A gRPC call of the connection whose class and name are unknown, the n-th of the capture.
fn call(n: u64, messages: u32, trailers: &[Sent]) -> Call {
    let mut call = sample::bare();
    call.uid = Uid { packet: n, ordinal: 0 };
    (call.rpc, call.transport) = (Rpc::Grpc, Transport::Http2);
    call.start = Timestamp(call.start.0 + n as i64 * 1_000_000);
    call.end = call.start;
    call.outcome.carrier = Carrier::GrpcStatus;
    call.response_messages = messages;
    call.message_bytes = [100, if messages > 0 { 200 } else { 0 }];
    let mut clues = Clues::default();
    clues.end(&Block(trailers));
    call.clues = Some(Box::new(clues));
    call
}

/// The same of a group whose path can't be read.
fn unnamed(group: u64, call: Call) -> Call {
    Call { unknown_name: Some(group), ..call }
}

fn named(method: &str, call: Call) -> Call {
    Call { service: Some("a.S".into()), method: Some(method.into()), ..call }
}

/// Those with messages of these sizes.
fn sized(sizes: [u64; 2], call: Call) -> Call {
    Call { message_bytes: sizes, ..call }
}

/// What is likely of each call, in their order.
fn guesses(calls: impl IntoIterator<Item = Call>) -> Vec<Option<Likely>> {
    let mut waiting = Waiting::<()>::new(Duration::from_secs(30));
    let mut out = Vec::new();
    let mut give = |item: Item<()>| {
        if let Item::Call(call) = item {
            out.push(call.likely.map(|likely| *likely));
        }
    };
    calls.into_iter().for_each(|call| waiting.call(Box::new(call), &mut give));
    waiting.finish(&mut give);
    out
}

/// Class and code of each guess.
fn verdicts(calls: impl IntoIterator<Item = Call>) -> Vec<(Option<Class>, Option<i64>)> {
    let verdict = |likely: Option<Likely>| likely.map_or((None, None), |likely| (likely.class, likely.code));
    guesses(calls).into_iter().map(verdict).collect()
}

fn methods(calls: impl IntoIterator<Item = Call>) -> Vec<Option<String>> {
    guesses(calls).into_iter().map(|likely| likely?.method.map(|name| name.to_string())).collect()
}

/// Trailers of a success and of failures as grpc-go sends them.
const OK: &[Sent] = &[Old(11), Old(10)];
const STATUS: Sent = Plain(":status", "200");

#[test]
fn trailers_after_one_message_are_those_of_a_success() {
    let ok = (Some(Class::Ok), None);
    // grpc-go, grpcio and grpc-js, grpc-java with a trailer of the application.
    for trailers in [OK, &[Old(3), Plain("grpc-message", "")], &[Old(3)], &[Plain("x-a", "b"), Old(3)]] {
        assert_eq!(verdicts([call(1, 1, trailers)]), [ok]);
    }
    // A text is one of an error.
    let failed = call(1, 1, &[Old(3), Plain("grpc-message", "no")]);
    assert_eq!(verdicts([failed]), [(None, None)]);
}

#[test]
fn a_stream_with_the_trailers_of_successes_is_one() {
    let unary = [call(1, 1, OK), call(2, 1, OK)];
    let ok = Some(Class::Ok);
    let streams =
        [call(3, 7, OK), call(4, 0, &[STATUS, Old(12), Old(11), Old(10)]), call(5, 2, &[Old(7), Old(10)])];
    let classes: Vec<_> =
        verdicts(unary.into_iter().chain(streams)).into_iter().map(|(class, _)| class).collect();
    assert_eq!(classes, [ok, ok, ok, ok, None]);
    // A stream that fails after one message has other entries than most.
    let others = (1..4).map(|n| call(n, 1, OK)).chain([call(4, 1, &[Old(7), Old(6)])]);
    assert_eq!(verdicts(others), [(ok, None), (ok, None), (ok, None), (None, None)]);
    // One stream alone may have ended with anything.
    assert_eq!(verdicts([call(1, 7, OK)]), [(None, None)]);
}

#[test]
fn a_code_beside_an_old_name_is_the_status() {
    let of = |trailers| verdicts([call(1, 0, trailers)]).remove(0);
    assert_eq!(
        of(&[STATUS, Old(12), Beside(11, "5"), Beside(10, "no stock")]),
        (Some(Class::Business), Some(5))
    );
    assert_eq!(of(&[STATUS, Old(12), Beside(11, "14"), Old(9)]), (Some(Class::Rpc), Some(14)));
    assert_eq!(
        of(&[STATUS, Plain("content-type", "application/grpc"), Beside(11, "7")]),
        (Some(Class::Rpc), Some(7))
    );
    // Not a status: too high, not written as one, or one of several numbers.
    for trailers in [
        &[STATUS, Old(12), Beside(11, "404")],
        &[STATUS, Old(12), Beside(11, "05")],
        &[STATUS, Old(12), Beside(11, "5"), Beside(10, "7")][..],
        // Kitex carries business statuses beside 13.
        &[STATUS, Old(12), Beside(11, "13"), Beside(10, "no stock"), Beside(9, "218")],
    ] {
        assert_eq!(of(trailers).0, None);
    }
}

#[test]
fn fields_of_first_header_blocks_are_no_status() {
    let mut first = call(1, 1, OK);
    first.clues.get_or_insert_default().begin(&Block(&[STATUS, Old(12), Old(20)]));
    let failed = call(2, 0, &[STATUS, Old(12), Beside(20, "3"), Beside(11, "16"), Beside(10, "who")]);
    assert_eq!(verdicts([first, failed])[1], (Some(Class::Rpc), Some(16)));
}

#[test]
fn calls_with_the_same_entry_or_text_have_the_same_code() {
    let text = |n, entry, text| call(n, 0, &[STATUS, Old(12), Old(entry), Beside(10, text)]);
    let unknown = verdicts([text(1, 5, "sold out"), call(2, 0, &[STATUS, Old(12), Old(5), Old(9)])]);
    assert_eq!(unknown, [(None, None), (None, None)]);
    // The text came with a code later, and the entry came with the text.
    let known = call(3, 0, &[STATUS, Old(12), Beside(5, "9"), Beside(10, "sold out")]);
    let calls = || [text(1, 5, "sold out"), call(2, 0, &[STATUS, Old(12), Old(5), Old(9)])];
    let nine = (Some(Class::Business), Some(9));
    let again = text(4, 5, "sold out");
    let with_known = [known.clone()].into_iter().chain(calls()).chain([again]);
    assert_eq!(verdicts(with_known), [nine; 4]);
    // Two codes with one text say nothing.
    let other = call(4, 0, &[STATUS, Old(12), Beside(5, "8"), Beside(10, "sold out")]);
    let contradicted = verdicts([known, other, text(5, 6, "sold out")]);
    assert_eq!(contradicted[2], (None, None));
    // Texts of libraries.
    let library = |words| verdicts([text(1, 5, words)]).remove(0);
    assert_eq!(library("Method not found: a.S/Do"), (Some(Class::Rpc), Some(12)));
    assert_eq!(library("Exception calling application: x"), (Some(Class::Rpc), Some(2)));
    assert_eq!(library("remote or network error[remote]: biz error: x"), (Some(Class::Rpc), None));
    assert_eq!(library("server status [biz error]"), (None, None));
}

#[test]
fn an_answer_of_other_trailers_only_has_failed() {
    let calls = [call(1, 1, OK), call(2, 0, &[STATUS, Old(12), Old(9), Old(8)])];
    let likely = guesses(calls).pop().flatten().unwrap();
    assert_eq!((likely.class, likely.percent, likely.failed()), (None, 0, true));
    assert_eq!(likely.members().map(|(name, _)| name).collect::<Vec<_>>(), ["why"]);
}

#[test]
fn entries_of_a_lost_table_mean_nothing_in_the_next() {
    let next = |entry: u64| 1 << 32 | entry;
    let after = [call(3, 7, &[Old(next(11)), Old(next(10))])];
    let before = [call(1, 1, OK), call(2, 1, OK)];
    assert_eq!(verdicts(before.into_iter().chain(after))[2], (None, None));
}

/// Five calls of another connection, from the n-th on.
fn other(method: &'static str, at: u64, sizes: [u64; 2]) -> impl Iterator<Item = Call> {
    let of = move |n| named(method, sized(sizes, call(n, 1, OK)));
    (at..at + 5).map(move |n| Call { connection: 99, ..of(n) })
}

#[test]
fn calls_that_look_like_a_method_of_the_server_likely_are_of_it() {
    let group = || (1..6).map(|n| unnamed(7, sized([57, 431], call(n, 1, OK))));
    let method = |calls: Vec<Call>| methods(calls).remove(0);
    // Calls of another connection, before or after.
    let get = || other("Get", 20, [57, 431]);
    let put = || other("Put", 30, [211, 14]);
    assert_eq!(method(group().chain(get()).chain(put()).collect()).as_deref(), Some("Get"));
    assert_eq!(methods(get().chain(group())).pop().flatten().as_deref(), Some("Get"));
    // Of another server.
    let mut elsewhere: Vec<_> = group().chain(get()).collect();
    elsewhere[5..].iter_mut().for_each(|call| call.server.port += 1);
    assert_eq!(method(elsewhere), None);
    // Another method looks the same, or none does.
    let twin = || other("Find", 40, [57, 431]);
    assert_eq!(method(group().chain(get()).chain(twin()).collect()), None);
    assert_eq!(method(group().chain(put()).collect()), None);
    // Empty messages are those of many methods.
    let empty = (1..6).map(|n| unnamed(7, sized([14, 14], call(n, 1, OK))));
    let ping = other("Ping", 20, [14, 14]);
    assert_eq!(method(empty.chain(ping).collect()), None);
    // Too few calls of both.
    assert_eq!(method(group().take(2).chain(get().take(2)).collect()), None);
}

/// The layout of a protobuf message with these fields: number and wire type.
pub(super) fn layout(fields: &[(u64, u64)]) -> Layout {
    let bytes =
        (1..=fields.len()).zip(fields).map(|(nth, (number, kind))| (number << 3 | kind) << (56 - 8 * nth));
    Layout::from_number(bytes.fold(1 << 56, |all, byte| all | byte))
}

/// Calls whose messages are made of this.
fn laid_out(layouts: [Layout; 2], calls: impl Iterator<Item = Call>) -> Vec<Call> {
    let of = |layout| [layout, Layout::default()];
    calls.map(|call| Call { layouts: layouts.map(of), ..call }).collect()
}

#[test]
fn messages_of_other_fields_are_those_of_another_method() {
    let id = layout(&[(1, 2)]);
    let order = layout(&[(1, 2), (2, 2), (4, 0), (6, 2), (7, 0)]);
    let user = layout(&[(1, 2), (3, 1), (4, 2)]);
    // No size is that of another call.
    let group = (1..6).map(|n| unnamed(7, sized([57 + n, 430 + 7 * n], call(n, 1, OK))));
    let group = laid_out([id, order], group);
    let named = |name, layouts| {
        let calls = (20..28).map(|n| named(name, sized([50 + n, 400 + 7 * n], call(n, 1, OK))));
        laid_out(layouts, calls.map(|call| Call { connection: 99, ..call }))
    };
    let method =
        |others: &[Vec<Call>]| methods(others.concat().into_iter().chain(group.clone())).pop().flatten();
    let put = || named("Put", [order, id]);
    assert_eq!(method(&[named("Get", [id, order]), put()]).as_deref(), Some("Get"));
    assert_eq!(method(&[named("Find", [id, user]), put()]), None);
    // Two methods with the same messages.
    assert_eq!(method(&[named("Get", [id, order]), named("Last", [id, order]), put()]), None);
}

#[test]
fn a_path_that_was_written_out_beside_the_entry_is_another_one() {
    let group = |at: u64| (at..at + 3).map(|n| unnamed(7, sized([57, 431], call(n, 1, OK))));
    let get = || (10..16).map(|n| named("Get", sized([57, 431], call(n, 1, OK))));
    // The group went on after it: its entry was still there.
    assert_eq!(methods(group(1).chain(get()).chain(group(20))).remove(0), None);
    // It did not: the entry may have left the table.
    assert_eq!(methods(group(1).chain(get())).remove(0).as_deref(), Some("Get"));
    // Bytes were lost in between, and the entry with them.
    let lost = |mut call: Call| {
        call.clues.get_or_insert_default().losses = 1;
        call
    };
    assert_eq!(methods(get().chain(group(20).map(lost))).pop().flatten().as_deref(), Some("Get"));
}

#[test]
fn two_groups_that_look_the_same_have_two_names() {
    let group = |group, at: u64| (at..at + 5).map(move |n| unnamed(group, sized([57, 431], call(n, 1, OK))));
    let get = (20..26).map(|n| named("Get", sized([57, 431], Call { connection: 99, ..call(n, 1, OK) })));
    let all = methods(group(7, 1).chain(group(8, 10)).chain(get));
    assert_eq!(all.iter().flatten().count(), 0);
}

#[test]
fn calls_wait_no_longer_than_they_may() {
    let mut given = 0;
    let mut waiting = Waiting::<()>::new(Duration::from_secs(30));
    let later = |seconds: i64| {
        let mut call = call(1, 1, OK);
        call.end = Timestamp(call.end.0 + seconds * 1_000_000_000);
        Box::new(call)
    };
    waiting.call(later(0), &mut |_| given += 1);
    waiting.passenger((), &mut |_| given += 1);
    waiting.call(later(29), &mut |_| given += 1);
    assert_eq!(given, 0);
    waiting.call(later(30), &mut |_| given += 1);
    assert_eq!(given, 2);
    let mut known = sample::ok();
    known.end = later(31).end;
    waiting.call(Box::new(known), &mut |_| given += 1);
    waiting.finish(&mut |_| given += 1);
    assert_eq!(given, 5);
    // Live: nothing waits.
    let mut live = Waiting::<()>::new(Duration::ZERO);
    let mut ready = 0;
    live.call(later(0), &mut |_| ready += 1);
    assert_eq!(ready, 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut waiting = Waiting::<()>::new(Duration::from_secs(30));
    let mut given = 0;
    for n in 0..40_000_u64 {
        let mut one = unnamed(n, call(n % 1000, 1, &[Old(n)]));
        one.connection = n / 7;
        one.server.port = (n % 5000) as u16;
        waiting.call(Box::new(one), &mut |_| given += 1);
    }
    assert!(given >= 40_000 - (1 << 15), "{given}");
}
