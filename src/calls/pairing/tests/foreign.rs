//! Answers that are no messages of their protocol.

use rpcscope_parsers::event::ForeignAnswer;

use super::*;

const PAGE: ForeignAnswer<'static> =
    ForeignAnswer { reason: "answered in HTTP/1.x", what: "", detail: b"HTTP/1.1 400 Bad Request" };

fn foreign(answer: Option<ForeignAnswer<'static>>) -> Event<'static> {
    Event::Foreign(Foreign { start: 0, answer })
}

/// The only call that these steps make.
fn call(steps: impl FnOnce(&mut Line)) -> Call {
    let mut line = Line::new();
    steps(&mut line);
    let mut calls = line.calls();
    assert_eq!(calls.len(), 1);
    calls.remove(0)
}

#[track_caller]
fn is_foreign(call: &Call) {
    let outcome = &call.outcome;
    assert_eq!((outcome.class, outcome.carrier, outcome.code), (Some(Class::Rpc), Carrier::None, None));
    assert_eq!(outcome.message.as_deref(), Some("HTTP/1.1 400 Bad Request"));
    assert!(call.findings.contains(Finding::ForeignAnswer) && call.failed());
}

#[test]
fn an_answer_in_another_language_fails_the_call_however_the_connection_ends() {
    let ends: [fn(&mut Line); 5] = [
        |line| line.end(SERVER, End::Fin),
        |line| line.end(CLIENT, End::Fin),
        |line| line.end(CLIENT, End::Rst),
        |line| line.end(SERVER, End::Rst),
        |_| {},
    ];
    for end in ends {
        let call = call(|line| {
            line.say(CLIENT, request(1, "a"));
            line.say(SERVER, foreign(Some(PAGE)));
            line.say(SERVER, Event::Lost { start: 1 });
            end(line);
        });
        is_foreign(&call);
        assert!(call.latency.is_some());
    }
}

#[test]
fn a_request_behind_the_answer_fails_as_well() {
    is_foreign(&call(|line| {
        line.say(SERVER, foreign(Some(PAGE)));
        line.say(CLIENT, open(1));
        line.end(CLIENT, End::Fin);
    }));
    is_foreign(&call(|line| {
        line.say(CLIENT, open(1));
        line.say(SERVER, foreign(Some(PAGE)));
        line.say(CLIENT, broken_off(1));
    }));
}

#[test]
fn bytes_in_no_language_fail_the_call_too() {
    let call = call(|line| {
        line.say(CLIENT, request(1, "a"));
        line.say(SERVER, foreign(None));
        line.end(CLIENT, End::Fin);
    });
    assert_eq!((call.class(), call.outcome.carrier), (Some(Class::Rpc), Carrier::None));
    assert_eq!(call.outcome.message, None);
    assert!(call.findings.contains(Finding::UndecodableAnswer));
}

#[test]
fn a_client_that_reads_on_could_decode_what_we_could_not() {
    let mut line = Line::new();
    line.flow.segments = [9, 9];
    line.say(CLIENT, request(1, "a"));
    line.say(SERVER, foreign(None));
    line.say(CLIENT, request(2, "b"));
    line.say(SERVER, answer(2, ""));
    line.end(CLIENT, End::Fin);
    line.end(SERVER, End::Fin);
    let calls = line.calls();
    let classes: Vec<_> = calls.iter().map(|call| (call.method.as_deref(), call.class())).collect();
    assert_eq!(classes, [(Some("b"), Some(Class::Ok)), (Some("a"), None)]);
    assert!(calls[1].findings.contains(Finding::UndecodableAnswer), "unknown, and not in silence");
}

#[test]
fn what_the_client_sends_is_no_answer() {
    let call = call(|line| {
        line.say(CLIENT, request(1, "a"));
        line.say(CLIENT, foreign(Some(PAGE)));
        line.end(SERVER, End::Fin);
    });
    assert_eq!((call.class(), call.outcome.carrier), (Some(Class::Transport), Carrier::TcpFin));
}

#[test]
fn an_answer_that_comes_too_late_is_late_in_any_language() {
    let call = call(|line| {
        line.say(CLIENT, request(1, "a"));
        line.end(CLIENT, End::Fin);
        line.say(SERVER, foreign(Some(PAGE)));
        line.end(SERVER, End::Fin);
    });
    is_foreign(&call);
    assert!(call.findings.contains(Finding::LateAnswer));
}

#[test]
fn a_status_that_cant_be_read_although_nothing_is_missing_is_not_from_the_middle() {
    let status = GrpcStatus { cut: true, ..GrpcStatus::of(GrpcCode::Unknown) };
    let of = |seen: [bool; 2]| {
        call(|line| {
            line.flow.from_start = seen;
            line.say(CLIENT, open(1));
            line.say(SERVER, answered(stream(1), Names::default(), Status::Grpc(status)));
        })
    };
    let whole = of([true, true]);
    assert_eq!(whole.class(), None);
    assert!(
        whole.findings.contains(Finding::UndecodableAnswer) && !whole.findings.contains(Finding::MidStream)
    );
    let late = of([false, false]);
    assert!(
        late.findings.contains(Finding::MidStream) && !late.findings.contains(Finding::UndecodableAnswer)
    );
}
