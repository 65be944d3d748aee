//! Answers that begin with an HTTP status of failure: a proxy's, as a rule.

use rpcscope_parsers::event::Begin;

use super::*;

fn begun(http: u16, has_status: bool) -> Event<'static> {
    let (head, names) = (stream(1), Names::default());
    Event::Begin(Begin { head, names, http: Some(http), has_status, headers: None })
}

fn reset(code: i64) -> Event<'static> {
    let (head, names, code) = (stream(1), Names::default(), Some(code));
    Event::Reset(Reset { head, names, code, message: None, cancel_path: None, headers: None })
}

fn ended(status: GrpcStatus<'static>) -> Event<'static> {
    answered(stream(1), Names::default(), Status::Grpc(status))
}

/// Trailers after an answer that began with that HTTP status.
fn after(http: u16, code: GrpcCode<'static>) -> Event<'static> {
    let http = Some(http);
    ended(GrpcStatus { http, ..GrpcStatus::of(code) })
}

/// Class, carrier, code and initiator of the only call that these steps make after its request.
fn verdict(steps: impl FnOnce(&mut Line)) -> (Option<Class>, Carrier, Option<i64>, Option<Initiator>) {
    let mut line = Line::new();
    line.say(CLIENT, open(1));
    steps(&mut line);
    let calls = line.calls();
    assert_eq!(calls.len(), 1);
    let outcome = &calls[0].outcome;
    (outcome.class, outcome.carrier, outcome.code, outcome.initiator)
}

const FAILED: (Option<Class>, Carrier, Option<i64>, Option<Initiator>) =
    (Some(Class::Rpc), Carrier::HttpStatus, Some(503), None);

#[test]
fn an_http_error_is_the_verdict_however_the_stream_ends() {
    let ends: [fn(&mut Line); 8] = [
        |line| line.say(CLIENT, reset(8)),
        |line| line.say(SERVER, reset(0)),
        |line| line.say(SERVER, goaway(0, 0)),
        |line| line.end(SERVER, End::Fin),
        |line| line.end(CLIENT, End::Fin),
        |line| line.end(CLIENT, End::Rst),
        |line| line.say(SERVER, after(503, GrpcCode::Absent)),
        |_| {},
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let verdict = verdict(|line| {
            line.say(SERVER, begun(503, false));
            line.say(SERVER, part(1, 0, 700));
            end(line);
        });
        assert_eq!(verdict, FAILED, "end {number}");
    }
}

#[test]
fn trailers_after_an_http_error_count_only_if_they_say_what_failed() {
    let of = |code| {
        verdict(|line| {
            line.say(SERVER, begun(503, false));
            line.say(SERVER, after(503, code));
        })
    };
    assert_eq!(of(GrpcCode::Code(0)), FAILED);
    assert_eq!(of(GrpcCode::Code(8)), (Some(Class::Rpc), Carrier::GrpcStatus, Some(8), None));
    assert_eq!(of(GrpcCode::Code(5)), (Some(Class::Business), Carrier::GrpcStatus, Some(5), None));
    // The trailers refer to a table from before the capture: they may say either.
    assert_eq!(of(GrpcCode::Unknown), (None, Carrier::GrpcStatus, None, None));
}

#[test]
fn an_answer_that_begins_well_or_with_its_own_status_is_broken_off_as_ever() {
    let broken = (Some(Class::Transport), Carrier::H2RstStream, Some(8), Some(Initiator::Client));
    for (http, has_status) in [(200, false), (503, true)] {
        let verdict = verdict(|line| {
            line.say(SERVER, begun(http, has_status));
            line.say(CLIENT, reset(8));
        });
        assert_eq!(verdict, broken, "{http}");
    }
}

#[test]
fn an_http_status_that_cant_be_read_may_be_one_of_failure() {
    let unreadable = || {
        let (head, names) = (stream(1), Names::default());
        Event::Begin(Begin { head, names, http: None, has_status: false, headers: None })
    };
    for by_reset in [true, false] {
        let mut line = Line::new();
        line.say(CLIENT, open(1));
        line.say(SERVER, unreadable());
        if by_reset {
            line.say(SERVER, reset(0));
        } else {
            line.end(SERVER, End::Fin);
        }
        let calls = line.calls();
        assert_eq!(calls[0].class(), None, "by reset: {by_reset}");
        assert!(calls[0].findings.contains(Finding::MidStream));
    }
}
