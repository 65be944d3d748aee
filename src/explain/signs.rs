//! What a client leaves on the wire when its library makes an error of its own: no answer carries the text of such an error, so its
//! calls are found by how they ended.
//!
//! The words are those of the libraries' sources: grpc-go `internal/transport/http2_client.go`, grpc-java `Utils.java` and
//! `NettyClientHandler.java`, grpc-js `subchannel-call.ts`, C core `chttp2_transport.cc`, tonic `status.rs`, grpc-dotnet
//! `GrpcCall.cs`, connect-go `error.go`, Kitex `default_codec.go` with netpoll `connection_impl.go`, Volo `client.rs`, Apache
//! Thrift `TSocket`.

use crate::calls::{Call, Carrier, Class, Finding, Initiator};
use crate::codes::Family;
use crate::codes::trace::Trace;
use crate::text::{head, tail};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The other end, or something in between, closed or reset the connection.
    ServerLeft,
    /// Either end closed or reset the connection.
    Closed,
    /// The caller gave up: it broke off, or the answer is late or missing.
    CallerLeft,
    /// `RST_STREAM`; its code stands behind the words, by name or number.
    Reset,
    /// GOAWAY, or a connection that was closed after one.
    Goaway,
    /// An HTTP status, which stands behind the words.
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
            Trace::Sent | Trace::Open => return None,
        })
    }

    /// What a capture shows of such a call.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ServerLeft => "The server's FIN or RST before the answer.",
            Self::Closed => "A FIN or RST of either side before the answer.",
            Self::CallerLeft => "The caller's FIN, RST or RST_STREAM; or the answer is late or missing.",
            Self::Reset => "RST_STREAM with that code.",
            Self::Goaway => "GOAWAY, or a connection that is closed after one.",
            Self::HttpStatus => "That HTTP status, and no status of the RPC.",
            Self::NoStatus => "An answer without a status.",
            Self::Foreign => "An answer in another protocol.",
            Self::Nothing => {
                "Nothing: the request was never sent. A SYN without an answer, or with RST, may be there."
            }
        }
    }

    /// Whether the call ended like this; `after` is what stands behind the words.
    #[must_use]
    pub fn is_of(self, call: &Call, after: &str) -> bool {
        let outcome = &call.outcome;
        let is_broken = outcome.class == Some(Class::Transport);
        let is_closed = is_broken && matches!(outcome.carrier, Carrier::TcpFin | Carrier::TcpRst);
        let by_caller = outcome.initiator == Some(Initiator::Client);
        match self {
            Self::ServerLeft => {
                (is_closed || (is_broken && outcome.carrier == Carrier::H2Goaway)) && !by_caller
            }
            Self::Closed => is_closed || (is_broken && outcome.carrier == Carrier::H2Goaway),
            Self::CallerLeft => {
                (is_broken && by_caller)
                    || outcome.class == Some(Class::Unanswered)
                    || call.findings.contains(Finding::LateAnswer)
            }
            Self::Reset => {
                let code = outcome.code.filter(|_| outcome.carrier == Carrier::H2RstStream && !by_caller);
                code.is_some_and(|code| names(after, code))
            }
            Self::Goaway => {
                is_broken
                    && !by_caller
                    && (outcome.carrier == Carrier::H2Goaway || (is_closed && call.goaway.is_some()))
            }
            Self::HttpStatus => {
                outcome.carrier == Carrier::HttpStatus
                    && outcome.code.is_some()
                    && outcome.code == first_number(after)
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

/// Words of a library's own errors, and how the calls ended that it worded so. Where several stand in a text, each counts.
const SIGNS: &[(&str, &[End])] = &[
    // Connections that never came about.
    ("connection refused", &[End::Nothing]),
    ("Connection refused", &[End::Nothing]),
    ("ECONNREFUSED", &[End::Nothing]),
    ("no route to host", &[End::Nothing]),
    ("no such host", &[End::Nothing]),
    ("name resolver error", &[End::Nothing]),
    ("forbidden by circuitbreaker", &[End::Nothing]),
    ("service discovery error", &[End::Nothing]),
    ("no instance available", &[End::Nothing]),
    // Kitex and netpoll.
    ("EOF peer close", &[End::ServerLeft]),
    ("EOF wait read", &[End::ServerLeft]),
    ("connection has been closed", &[End::Closed]),
    ("conn closed", &[End::Closed]),
    ("recv wait timeout", &[End::CallerLeft]),
    ("context deadline exceeded", &[End::CallerLeft]),
    ("context canceled", &[End::CallerLeft]),
    ("invalid payload (first4Bytes", &[End::Foreign]),
    // Volo and Apache Thrift.
    ("an unexpected end of file from server", &[End::ServerLeft]),
    ("thrift rpc call timeout", &[End::CallerLeft]),
    ("TSocket read 0 bytes", &[End::ServerLeft]),
    ("Socket is closed by peer", &[End::ServerLeft]),
    ("No more data to read", &[End::ServerLeft]),
    ("SocketTimeoutException", &[End::CallerLeft]),
    ("Read timed out", &[End::CallerLeft]),
    ("THRIFT_EAGAIN", &[End::CallerLeft]),
    // The operating system's words.
    ("connection reset by peer", &[End::ServerLeft]),
    ("Connection reset by peer", &[End::ServerLeft]),
    ("ECONNRESET", &[End::ServerLeft]),
    ("broken pipe", &[End::ServerLeft]),
    // gRPC: connections.
    ("transport is closing", &[End::Closed]),
    ("error reading from server", &[End::ServerLeft]),
    ("Network closed for unknown reason", &[End::ServerLeft]),
    ("Connection dropped", &[End::ServerLeft]),
    ("Socket closed", &[End::ServerLeft]),
    ("connection closed before message completed", &[End::ServerLeft]),
    ("received prior goaway", &[End::Goaway]),
    ("GOAWAY", &[End::Goaway]),
    ("the connection is draining", &[End::Goaway]),
    ("server is draining the connection", &[End::Goaway]),
    // gRPC: streams.
    ("stream terminated by RST_STREAM with error code: ", &[End::Reset]),
    ("RST_STREAM closed stream. HTTP/2 error code: ", &[End::Reset]),
    ("Received RST_STREAM with code ", &[End::Reset, End::NoStatus]),
    ("Received RST_STREAM with error code ", &[End::Reset]),
    ("received from peer", &[End::Reset]),
    ("The HTTP/2 server reset the stream. HTTP/2 error code '", &[End::Reset]),
    ("Stream refused by server", &[End::Reset, End::Goaway]),
    ("stream closed with error code ", &[End::Reset]),
    ("Stream closed with error code NGHTTP2_", &[End::Reset]),
    ("without sending trailers", &[End::NoStatus]),
    ("missing GRPC status in response", &[End::NoStatus]),
    ("Received unexpected EOS on ", &[End::NoStatus]),
    ("No status received", &[End::NoStatus]),
    ("no Grpc-Status trailer", &[End::NoStatus]),
    ("No grpc-status found on response", &[End::NoStatus]),
    // HTTP answers.
    ("unexpected HTTP status code received from server: ", &[End::HttpStatus]),
    ("HTTP status code", &[End::HttpStatus]),
    ("HTTP status ", &[End::HttpStatus]),
    ("Received http2 header with status: ", &[End::HttpStatus]),
    ("mapped from HTTP status code ", &[End::HttpStatus]),
    ("http response not OK, StatusCode: ", &[End::HttpStatus]),
];

/// The HTTP/2 error code of an end without an error.
const NO_ERROR: i64 = 0;

/// Most bytes behind the words in which a code is looked for.
const CODE_LIMIT: usize = 48;

/// The ends that a text's words stand for, each with what follows the words.
#[must_use]
pub fn signs(text: &str) -> Vec<(End, String)> {
    let mut found = Vec::new();
    for (words, ends) in SIGNS {
        if let Some(at) = text.find(words) {
            // The name of a code may also stand before: `stream ID 1; CANCEL; received from peer`.
            let rest = text.get(at + words.len()..).unwrap_or_default();
            let before = text.get(..at).unwrap_or_default();
            let around = format!("{} {}", head(rest, CODE_LIMIT), tail(before, CODE_LIMIT));
            found.extend(ends.iter().map(|end| (*end, around.clone())));
        }
    }
    found
}

/// The first number of a text.
fn first_number(text: &str) -> Option<i64> {
    text.split(|c: char| !c.is_ascii_digit()).find(|digits| !digits.is_empty())?.parse().ok()
}

/// Whether a text names an HTTP/2 error code, by its name or else by its number.
fn names(text: &str, code: i64) -> bool {
    let words = || text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let named = words().find_map(|word| Family::Http2.code(word));
    named.or_else(|| first_number(text)).is_some_and(|said| said == code)
}

#[cfg(test)]
mod tests {
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
        signs(text).iter().any(|(end, after)| end.is_of(call, after))
    }

    #[test]
    fn a_clients_words_lead_to_how_the_call_ended() {
        let server = Some(Initiator::Server);
        let fin = call(Class::Transport, Carrier::TcpFin, None, server);
        let own = call(Class::Transport, Carrier::TcpFin, None, Some(Initiator::Client));
        let reset = call(Class::Transport, Carrier::H2RstStream, Some(8), server);
        let status = call(Class::Rpc, Carrier::HttpStatus, Some(503), None);
        for (text, right, wrong) in [
            ("default codec read failed: EOF peer close", &fin, &own),
            ("error reading from server: EOF", &fin, &status),
            ("read tcp 1.2.3.4:5->6.7.8.9:10: read: connection reset by peer", &fin, &reset),
            ("stream terminated by RST_STREAM with error code: CANCEL", &reset, &fin),
            ("stream error: stream ID 1; CANCEL; received from peer", &reset, &status),
            ("13 INTERNAL: Received RST_STREAM with code 8", &reset, &own),
            ("http/2 stream closed with error code CANCEL (0x8)", &reset, &own),
            ("unexpected HTTP status code received from server: 503 (Service Unavailable)", &status, &fin),
            (
                "Service Unavailable: HTTP status code 503; transport: missing content-type field",
                &status,
                &fin,
            ),
            ("recv wait timeout 700ms, seqID=3", &own, &fin),
        ] {
            assert!(fits(text, right), "{text}");
            assert!(!fits(text, wrong), "{text}");
        }
        assert!(!fits("stream terminated by RST_STREAM with error code: INTERNAL_ERROR", &reset));
        assert!(!fits("unexpected HTTP status code received from server: 502 (Bad Gateway)", &status));
        assert!(!fits("dial tcp 1.2.3.4:5: connect: connection refused", &fin));
    }
}
