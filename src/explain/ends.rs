//! How a call ended, where a client's library made the error by itself: no answer carries the text of such an error
//! ([`crate::codes::client_texts`]), so its calls are found by what it leaves on the wire.

use crate::calls::{Call, Carrier, Class, Finding, Initiator};
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
            Trace::Open => Self::Broken,
            Trace::Sent => return None,
        })
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
    text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.parse() == Ok(status))
}

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
