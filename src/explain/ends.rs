//! How a call ended, where a client's library made the error by itself: no answer carries the text of such an error
//! ([`crate::codes::client_texts`]), so its calls are found by what it leaves on the wire.

use rpcscope_parsers::Rpc;

use crate::calls::{Call, CallKind, Carrier, Class, Finding, Initiator};
use crate::codes::Family;
use crate::codes::trace::Trace;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other end, or something in between, closed or reset the connection.
    ServerLeft,
    /// The connection or stream broke, in whichever way.
    Broken,
    /// The caller gave up: it broke off, or the answer is late or missing.
    CallerLeft,
    /// `RST_STREAM`; its code stands in the text, by name or number.
    Reset,
    /// GOAWAY, or a connection that was closed after one.
    Goaway,
    /// An HTTP status, which stands in the text.
    HttpStatus,
    /// An answer that ended without a status.
    NoStatus,
    /// An answer with a message of a size that stands in the text.
    TooLarge,
    /// An answer that says OK and holds no message.
    NoMessage,
    /// An answer of another protocol.
    Foreign,
    /// Nothing: no connection, or no request on it.
    Nothing,
}

impl End {
    /// What leaves that trace; `None` if a capture shows nothing that the text does not say.
    #[must_use]
    pub fn of(trace: Trace) -> Option<Self> {
        Some(match trace {
            Trace::Unsent | Trace::NoConnection => Self::Nothing,
            Trace::CallerLeft => Self::CallerLeft,
            Trace::ServerLeft => Self::ServerLeft,
            Trace::ServerReset => Self::Reset,
            Trace::Goaway => Self::Goaway,
            Trace::HttpStatus => Self::HttpStatus,
            Trace::Foreign => Self::Foreign,
            Trace::Answered => Self::NoStatus,
            Trace::TooLarge => Self::TooLarge,
            Trace::NoMessage => Self::NoMessage,
            Trace::Open => Self::Broken,
            Trace::Sent => return None,
        })
    }

    /// Whether calls that did not fail on the wire may have ended like this: only their caller could not use the answer.
    #[must_use]
    pub fn is_without_failure(self) -> bool {
        matches!(self, Self::CallerLeft | Self::TooLarge | Self::NoMessage)
    }

    /// Whether the call ended like this; `text` is the error's, in which its code stands.
    #[must_use]
    pub fn is_of(self, call: &Call, text: &str) -> bool {
        let outcome = &call.outcome;
        let is_broken = outcome.class == Some(Class::Transport);
        let is_closed = is_broken && matches!(outcome.carrier, Carrier::TcpFin | Carrier::TcpRst);
        let by_caller = outcome.initiator == Some(Initiator::Client);
        match self {
            Self::ServerLeft => {
                (is_closed || (is_broken && outcome.carrier == Carrier::H2Goaway)) && !by_caller
            }
            Self::Broken => is_broken,
            Self::CallerLeft => {
                (is_broken && by_caller)
                    || outcome.class == Some(Class::Unanswered)
                    || call.findings.contains(Finding::LateAnswer)
            }
            Self::Reset => {
                let code = outcome.code.filter(|_| outcome.carrier == Carrier::H2RstStream && !by_caller);
                code.is_some_and(|code| names(text, code))
            }
            Self::Goaway => {
                is_broken
                    && !by_caller
                    && (outcome.carrier == Carrier::H2Goaway || (is_closed && call.goaway.is_some()))
            }
            Self::HttpStatus => {
                let status = outcome.code.filter(|_| outcome.carrier == Carrier::HttpStatus);
                status.is_some_and(|status| names_status(text, status))
            }
            Self::NoStatus => {
                let is_bare = outcome.class == Some(Class::Rpc) && outcome.carrier == Carrier::None;
                let is_reset = outcome.carrier == Carrier::H2RstStream && outcome.code == Some(NO_ERROR);
                is_bare || is_reset
            }
            Self::TooLarge => {
                let [_, answered] = call.message_bytes;
                let sizes = || numbers(text).map(|size| size.saturating_add(PREFIX));
                match outcome.class {
                    Some(Class::Ok) => sizes().any(|size| size == answered),
                    // The caller reads no more than the prefix, in which the size stands.
                    Some(Class::Transport) => {
                        by_caller && answered >= PREFIX && sizes().any(|size| size >= answered)
                    }
                    _ => false,
                }
            }
            Self::NoMessage => {
                outcome.class == Some(Class::Ok)
                    && call.rpc == Rpc::Grpc
                    && call.kind == CallKind::Unary
                    && call.response_messages == 0
            }
            Self::Foreign => call.findings.contains(Finding::ForeignAnswer),
            Self::Nothing => false,
        }
    }
}

/// The HTTP/2 error code of an end without an error.
const NO_ERROR: i64 = 0;

/// Whether a text names an HTTP/2 error code by its name, or else by a number behind the word `code`. One that names none may be of any.
fn names(text: &str, code: i64) -> bool {
    let words = || text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let of_name = |word: &str| Family::Http2.code(word.strip_prefix("NGHTTP2_").unwrap_or(word));
    let number = || {
        let (_, behind) = text.rsplit_once("code")?;
        let digits = behind.trim_start_matches([' ', ':', '=', '\'']);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        digits.get(..end)?.parse().ok()
    };
    words().find_map(of_name).or_else(number).is_none_or(|said| said == code)
}

/// Whether a text names an HTTP status.
fn names_status(text: &str, status: i64) -> bool {
    numbers(text).any(|said| i64::try_from(said) == Ok(status))
}

/// The numbers in a text.
fn numbers(text: &str) -> impl Iterator<Item = u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok())
}

/// The length of gRPC's prefix of a message, bytes (`PROTOCOL-HTTP2.md`, Length-Prefixed-Message).
const PREFIX: u64 = 5;

#[cfg(test)]
mod tests {
    use super::super::parse_log;
    use super::*;
    use crate::calls::outcome::Outcome;
    use crate::calls::sample;

    fn call(class: Class, carrier: Carrier, code: Option<i64>, initiator: Option<Initiator>) -> Call {
        let mut call = sample::bare();
        call.outcome = Outcome::of(Some(class), carrier);
        call.outcome.code = code;
        call.outcome.initiator = initiator;
        call
    }

    fn fits(text: &str, call: &Call) -> bool {
        parse_log(text).unwrap_or_else(|| panic!("not read: {text}")).matches(call)
    }

    /// The wire shows no failure, or none but the caller's own.
    #[test]
    fn answers_that_their_caller_could_not_use_are_found() {
        let answered = |size: u64, messages: u32| {
            let mut call = call(Class::Ok, Carrier::None, None, None);
            (call.rpc, call.message_bytes, call.response_messages) = (Rpc::Grpc, [9, size], messages);
            call
        };
        let line = |text: &str, call: &Call| crate::explain::LogLine::read(text).fit(call).is_some();
        for text in [
            "rpc error: code = ResourceExhausted desc = grpc: received message larger than max (5000000 vs. 4194304)",
            "8 RESOURCE_EXHAUSTED: Received message larger than max (5000000 vs 4194304)",
            "io.grpc.StatusRuntimeException: RESOURCE_EXHAUSTED: gRPC message exceeds maximum size 4194304: 5000000",
        ] {
            assert!(line(text, &answered(5_000_005, 1)), "{text}");
            assert!(!line(text, &answered(5_000_000, 1)) && !line(text, &answered(4_096, 1)), "{text}");
            let mut own = answered(16_384, 0);
            own.outcome = Outcome::of(Some(Class::Transport), Carrier::H2RstStream);
            own.outcome.initiator = Some(Initiator::Client);
            assert!(line(text, &own), "broken off by its caller: {text}");
            own.outcome.initiator = Some(Initiator::Server);
            assert!(!line(text, &own), "{text}");
        }
        let empty = "rpc error: code = Internal desc = cardinality violation: received no response message from non-server-streaming RPC";
        assert!(line(empty, &answered(0, 0)) && !line(empty, &answered(7, 1)));
        assert!(!line("rpc error: code = NotFound desc = no such order", &answered(0, 0)));
    }

    #[test]
    fn a_clients_words_lead_to_how_the_call_ended() {
        let server = Some(Initiator::Server);
        let fin = call(Class::Transport, Carrier::TcpFin, None, server);
        let own = call(Class::Transport, Carrier::TcpFin, None, Some(Initiator::Client));
        let reset = call(Class::Transport, Carrier::H2RstStream, Some(8), server);
        let status = call(Class::Rpc, Carrier::HttpStatus, Some(503), None);
        for (text, right, wrong) in [
            ("remote or network error: default codec read failed: EOF peer close", &fin, &own),
            ("rpc error: code = Unavailable desc = error reading from server: EOF", &fin, &status),
            ("unavailable: read tcp 1.2.3.4:5->6.7.8.9:10: read: connection reset by peer", &fin, &reset),
            ("rpc error: code = Unavailable desc = transport is closing", &fin, &status),
            (
                "rpc error: code = Canceled desc = stream terminated by RST_STREAM with error code: CANCEL",
                &reset,
                &fin,
            ),
            ("canceled: stream error: stream ID 1; CANCEL; received from peer", &reset, &status),
            ("13 INTERNAL: Received RST_STREAM with code 8", &reset, &own),
            (
                "rpc error: code = Unavailable desc = unexpected HTTP status code received from server: 503 (Service Unavailable)",
                &status,
                &fin,
            ),
            ("14 UNAVAILABLE: Received HTTP status code 503", &status, &fin),
            ("remote or network error: recv wait timeout 700ms, seqID=3", &own, &fin),
        ] {
            assert!(fits(text, right), "{text}");
            assert!(!fits(text, wrong), "{text}");
        }
        let internal = "rpc error: code = Internal desc = stream terminated by RST_STREAM with error code: INTERNAL_ERROR";
        assert!(!fits(internal, &reset));
        assert!(!fits("14 UNAVAILABLE: Received HTTP status code 502", &status));
        assert!(!fits("unavailable: dial tcp 1.2.3.4:5: connect: connection refused", &fin));
    }
}
