//! How the caller's library words the failure of a call in its logs: the way from the wire to a log line.

use std::borrow::Cow;
use std::fmt;

use rpcscope_parsers::{Rpc, Transport};

use super::record::{Call, Carrier, Class, Finding, Initiator};
use crate::codes::library::Library;
use crate::codes::{kitex, trpc, ttstream, volo};

mod status;

/// A text in pieces. Every failed call has one, and joining them cost four times as much as writing them one by one.
#[derive(Clone, Debug)]
pub struct Reported<'a> {
    /// Empty ones at the end.
    pieces: [Piece<'a>; MOST_PIECES],
    count: usize,
}

/// Pieces of the longest text.
const MOST_PIECES: usize = 6;

/// A part of a [`Reported`] text.
#[derive(Clone, Debug)]
pub enum Piece<'a> {
    /// Words of our own: nothing in them needs an escape ([`word`]).
    Word(&'static str),
    /// Words of our own with characters that JSON escapes.
    Escaped(&'static Escaped),
    /// Text as it is.
    Text(Cow<'a, str>),
    /// A number in decimal.
    Number(i64),
}

/// Words, and how they stand in JSON.
#[derive(Debug)]
pub struct Escaped {
    /// As they are.
    pub plain: &'static str,
    /// The same in JSON, without quotes around it.
    pub json: &'static str,
}

impl Reported<'_> {
    /// The pieces in order.
    pub fn pieces(&self) -> impl Iterator<Item = &Piece<'_>> {
        self.pieces.iter().take(self.count)
    }
}

impl fmt::Display for Reported<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces().try_for_each(|piece| match piece {
            Piece::Word(word) => f.write_str(word),
            Piece::Escaped(words) => f.write_str(words.plain),
            Piece::Text(text) => f.write_str(text),
            Piece::Number(number) => write!(f, "{number}"),
        })
    }
}

impl<'a> From<&'a str> for Piece<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<i64> for Piece<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// Printable ASCII without quotes and backslashes, which nobody has to look for.
fn word(word: &'static str) -> Piece<'static> {
    debug_assert!(
        word.bytes().all(|octet| matches!(octet, b' '..=b'~') && !b"\"\\".contains(&octet)),
        "{word}"
    );
    Piece::Word(word)
}

fn reported<const N: usize>(pieces: [Piece<'_>; N]) -> Reported<'_> {
    const { assert!(N <= MOST_PIECES) }
    let mut pieces = pieces.into_iter();
    Reported { pieces: std::array::from_fn(|_| pieces.next().unwrap_or(Piece::Word(""))), count: N }
}

/// The text that the caller's library prints for the failure of a call. `None` if the call did not fail, if the request does not show
/// which library sent it, or if the wire does not show the caller's words (most of its own time-outs, exceptions of the IDL).
///
/// The text is meant for a search in logs, and may be only a part of what the caller prints: for Kitex over gRPC the part after
/// `remote or network error: `, for Java the part after the name of the class.
///
/// | protocol | what shows the library |
/// | --- | --- |
/// | gRPC | `user-agent` ([`Library::of_user_agent`]) |
/// | TTHeader | integer keys of the request that only Kitex or Volo write |
/// | ttstream, Kitex Protobuf | only Kitex has them |
/// | thrift without a header | nothing: all libraries but one print the server's text, with words of their own before it |
/// | tRPC | the fixed head, which trpc-go fills differently; nothing on streams and over HTTP |
#[inline]
#[must_use]
pub fn reported_as(call: &Call) -> Option<Reported<'_>> {
    if call.outcome.class == Some(Class::Ok) { None } else { reported_failure(call) }
}

fn reported_failure(call: &Call) -> Option<Reported<'_>> {
    let outcome = &call.outcome;
    let code = outcome.code;
    let message = outcome.message.as_deref().unwrap_or_default();
    let sender = match call.rpc {
        Rpc::Ttstream | Rpc::KitexProtobuf => Some(Library::Kitex),
        _ => call.sender.map(|(library, _)| library),
    };
    let is_kitex = sender == Some(Library::Kitex);
    match outcome.carrier {
        // trpc-go codec.go: `ret` makes type 3, `func_ret` type 2.
        Carrier::Ret if sender == Some(Library::TrpcGo) => {
            Some(trpc_text(trpc::CALLEE_FRAMEWORK, code?, message))
        }
        Carrier::FuncRet if sender == Some(Library::TrpcGo) => {
            Some(trpc_text(trpc::BUSINESS, code?, message))
        }
        // Kitex pkg/kerrors/bizerrors.go. If the payload holds an exception too, Kitex reports that one, and Volo the header.
        Carrier::BizStatus if outcome.class == Some(Class::Business) && is_kitex => {
            let alone = !call.findings.contains(Finding::BizStatusWithException);
            let code = code.filter(|_| alone)?;
            Some(reported([word(kitex::BIZ_STATUS), code.into(), word(", msg="), message.into()]))
        }
        Carrier::BizStatus if outcome.class == Some(Class::Business) && sender == Some(Library::Volo) => {
            let [start, middle, end] = [volo::BIZ_STATUS, ", status_message: ", ", extra: "].map(word);
            Some(reported([start, code?.into(), middle, message.into(), end]))
        }
        Carrier::ThriftException if is_kitex => {
            Some(reported([word(kitex::REMOTE_ERROR), word("[remote]: "), message.into()]))
        }
        Carrier::ThriftException if sender == Some(Library::Volo) => {
            let [start, kind] = [volo::EXCEPTION, volo::kind(code?)].map(word);
            Some(reported([start, kind, word(": "), message.into()]))
        }
        // Every library prints the text as it was sent, with words of its own before it.
        Carrier::ThriftException if kitex::is_handler_error(message.as_bytes()) && !has_header(call) => {
            Some(reported([message.into()]))
        }
        // Kitex pkg/remote/trans/ttstream: the caller reports every exception in a trailer as 12001.
        Carrier::TtstreamTrailer => Some(ttstream_text(ttstream::APPLICATION_EXCEPTION, message)),
        Carrier::TtstreamRst if outcome.initiator == Some(Initiator::Client) => {
            Some(ttstream_text(code?, message))
        }
        Carrier::GrpcStatus if call.rpc == Rpc::Grpc => status::text(call.sender?, code?, message),
        Carrier::H2RstStream if outcome.initiator == Some(Initiator::Client) && call.rpc == Rpc::Grpc => {
            status::deadline(sender?).filter(|_| has_waited(call))
        }
        Carrier::TcpFin if outcome.initiator == Some(Initiator::Client) && is_kitex => kitex_timeout(call),
        _ => None,
    }
}

/// Whether the transport has a header that shows the library of a request.
fn has_header(call: &Call) -> bool {
    !matches!(call.transport, Transport::Framed | Transport::Buffered)
}

fn trpc_text<'a>(kind: &'static str, code: i64, message: &'a str) -> Reported<'a> {
    let [start, middle, end] = [trpc::ERROR_TEXT, ", code:", ", msg:"].map(word);
    reported([start, word(kind), middle, code.into(), end, message.into()])
}

fn ttstream_text(code: i64, message: &str) -> Reported<'_> {
    reported([word(ttstream::ERROR_TEXT), code.into(), word("] [client-side stream] "), message.into()])
}

/// Whether the caller broke off no earlier than the time that its request allows.
fn has_waited(call: &Call) -> bool {
    /// By how much that may seem too early, nanoseconds: the clock of the capture is not the caller's.
    const SLACK: u64 = 5_000_000;
    call.timeout.is_some_and(|timeout| call.end.since(call.start) + SLACK >= timeout)
}

/// Kitex's text for a time-out (`client/rpctimeout.go`), if the request's header has what it needs and the caller closed its
/// connection no earlier than its timeout allows.
fn kitex_timeout(call: &Call) -> Option<Reported<'_>> {
    let timeout = call.timeout.filter(|_| call.transport == Transport::TtHeader)?;
    let (callee, method) = (call.callee.as_deref()?, call.method.as_deref()?);
    has_waited(call).then(|| {
        let text = format!(
            "{}: timeout={}, to={callee}, method={method}, location=kitex.rpcTimeoutMW, remote={}",
            kitex::RPC_TIMEOUT,
            go_duration(timeout),
            call.server
        );
        reported([Piece::Text(Cow::Owned(text))])
    })
}

/// Nanoseconds as Go prints a `time.Duration` of whole milliseconds.
fn go_duration(nanoseconds: u64) -> String {
    let ms = nanoseconds / 1_000_000;
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let (hours, minutes) = (ms / 3_600_000, ms / 60_000 % 60);
    let seconds = (ms % 60_000) as f64 / 1000.0;
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the caller prints is known only if it broke off when the time had passed that its request names.
    #[test]
    fn a_deadline_is_reported_in_the_words_of_the_callers_library() {
        let broken_off = |agent: &str, waited: u64, timeout: Option<u64>| {
            let mut call = crate::calls::sample::bare();
            call.rpc = Rpc::Grpc;
            call.sender = Library::of_user_agent(agent.as_bytes());
            call.outcome.class = Some(Class::Transport);
            (call.outcome.carrier, call.outcome.code) = (Carrier::H2RstStream, Some(8));
            call.outcome.initiator = Some(Initiator::Client);
            call.timeout = timeout.map(|ms| ms * 1_000_000);
            call.end = crate::time::Timestamp(call.start.0 + i64::try_from(waited).unwrap() * 1_000_000);
            call
        };
        for (agent, text) in [
            ("grpc-go/1.68.0", Some("rpc error: code = DeadlineExceeded desc = context deadline exceeded")),
            ("grpc-go-connect/1.16.0", Some("deadline_exceeded: context deadline exceeded")),
            ("grpc-node-js/1.14.7", Some("4 DEADLINE_EXCEEDED: Deadline exceeded")),
            ("grpc-java-netty/1.63.0", Some("DEADLINE_EXCEEDED: ")),
            ("kitex/v0.16.3", None),
            ("tonic/0.12.3", None),
            ("curl/8.0", None),
        ] {
            let said = |waited, timeout| {
                reported_as(&broken_off(agent, waited, timeout)).map(|reported| reported.to_string())
            };
            assert_eq!(said(200, Some(200)).as_deref(), text, "{agent}");
            assert_eq!((said(100, Some(200)), said(200, None)), (None, None), "{agent}");
        }
        let mut by_server = broken_off("grpc-go/1.68.0", 200, Some(200));
        by_server.outcome.initiator = Some(Initiator::Server);
        assert!(reported_as(&by_server).is_none());
    }

    #[test]
    fn durations_look_like_gos() {
        let ms = |ms: u64| go_duration(ms * 1_000_000);
        assert_eq!(
            [ms(150), ms(1000), ms(1500), ms(61_000), ms(3_600_000)],
            ["150ms", "1s", "1.5s", "1m1s", "1h0m0s"]
        );
    }
}
