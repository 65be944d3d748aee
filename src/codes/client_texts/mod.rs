//! Texts that the library of a client makes by itself, so that no server sent them as its answer.
//!
//! One file per library, with its sources. A row counts only for a text that begins with its words; what varies (addresses, durations,
//! the operating system's words) stands behind them.

mod connect;
mod grpc_core;
mod grpc_dotnet;
mod grpc_go;
mod grpc_java;
mod grpc_js;
mod grpc_others;
mod kitex;
mod proxies;
mod sockets;
mod thrift;
mod tonic;
mod trpc;
mod volo;

use super::library::Library;
use super::trace::Trace;

/// A text of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientText {
    /// The libraries that make it.
    pub libraries: &'static [Library],
    /// How it begins.
    pub start: &'static str,
    /// What stands in it later; empty where the beginning is enough.
    pub then: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What the wire shows.
    pub trace: Trace,
    /// Servers of the same libraries send the same text, so that only the wire decides who made it.
    pub shared: bool,
    /// Nothing else words it so: it counts without the form of a library around it.
    pub alone: bool,
}

impl ClientText {
    const fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    const fn alone(self) -> Self {
        Self { alone: true, ..self }
    }

    /// Whether the text is one of these.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        text.strip_prefix(self.start).is_some_and(|rest| self.then.is_empty() || rest.contains(self.then))
    }
}

/// The row of a text; rows of these libraries come first.
#[must_use]
pub fn client_text(text: &str, libraries: &[Library]) -> Option<&'static ClientText> {
    let own = |row: &&ClientText| row.libraries.iter().any(|library| libraries.contains(library));
    let fits = || ALL.iter().copied().flatten().filter(|row| row.is(text));
    fits().find(own).or_else(|| fits().next())
}

/// Shortest beginning of a text that is cut by which its row is found, bytes.
const CUT_LIMIT: usize = 8;

/// The row of one of these libraries of which only the beginning of the text is left; `None` if several rows begin so and what they
/// leave on the wire differs.
#[must_use]
pub fn cut_client_text(head: &str, libraries: &[Library]) -> Option<&'static ClientText> {
    let own = |row: &&ClientText| {
        row.start.starts_with(head) && row.libraries.iter().any(|library| libraries.contains(library))
    };
    let mut fits = ALL.iter().copied().flatten().filter(own);
    let first = fits.next().filter(|_| head.len() >= CUT_LIMIT)?;
    fits.all(|row| row.trace == first.trace).then_some(first)
}

/// The rows that count without the form of a library around them.
pub fn alone() -> impl Iterator<Item = &'static ClientText> {
    ALL.iter().copied().flatten().filter(|row| row.alone)
}

const fn row(
    libraries: &'static [Library],
    (start, then): (&'static str, &'static str),
    meaning: &'static str,
    trace: Trace,
) -> ClientText {
    ClientText { libraries, start, then, meaning, trace, shared: false, alone: false }
}

// What happened, where several libraries say the same.
const REFUSED: &str =
    "The connection was refused: nothing listens at the address, or something in between refuses it.";
const NO_SYN: &str = "Connecting timed out: the address did not answer.";
const NO_NAME: &str = "The name of the server could not be resolved.";
const NOT_CONNECTED: &str = "The client could not connect.";
const HANDSHAKE: &str = "TLS could not be agreed on: a certificate, the versions, or a server without TLS.";
const NOT_HTTP2: &str = "The server did not begin with HTTP/2: another protocol, TLS in place of plain text, or a proxy without a server behind.";
const CLOSED: &str = "The server, or something in between, closed the connection before the answer.";
const RESET: &str = "The connection was reset before the answer.";
const STREAM_RESET: &str = "The server, or a proxy, broke the stream off with RST_STREAM.";
const GOAWAY: &str = "The server ended the connection with GOAWAY; its debug data says why where it has any (`max_age`, `too_many_pings`).";
const DEADLINE: &str = "The caller's deadline passed.";
const NOT_READY: &str = "The caller's deadline passed before a connection was ready; the call was not sent.";
const CANCELLED: &str = "The calling code cancelled.";
const OWN_CLOSE: &str = "The calling code closed its client.";
const HTTP: &str = "An HTTP status came in place of a gRPC answer, mostly from a proxy.";
const NO_STATUS: &str = "The answer ended without a gRPC status.";
const TOO_LARGE: &str = "The answer is larger than the limit of the caller.";
const UNREADABLE: &str = "The caller could not read the answer.";
const NO_MESSAGE: &str = "The server answered OK without a message.";
const PING: &str = "The server did not acknowledge a keep-alive ping; the client closed the connection.";
const NO_BACKEND: &str = "The client's load balancer has no server that it could use.";
const BREAKER: &str = "The caller's circuit breaker is open, because earlier calls failed.";

/// Every library.
const ALL: &[&[ClientText]] = &[
    grpc_go::ROWS,
    grpc_java::ROWS,
    grpc_js::ROWS,
    grpc_core::ROWS,
    tonic::ROWS,
    grpc_dotnet::ROWS,
    connect::ROWS,
    grpc_others::ROWS,
    proxies::ROWS,
    kitex::ROWS,
    volo::ROWS,
    thrift::ROWS,
    trpc::ROWS,
    sockets::ROWS,
];

#[cfg(test)]
mod tests {
    use super::super::library::Library::{GrpcGo, GrpcJava, Grpcio};
    use super::*;

    #[test]
    fn a_text_leads_to_what_happened_at_its_own_library_first() {
        let of = |text, libraries: &[Library]| {
            client_text(text, libraries).map(|row| (row.trace, row.libraries.contains(&GrpcGo)))
        };
        assert_eq!(of("error reading from server: EOF", &[GrpcGo]), Some((Trace::ServerLeft, true)));
        assert_eq!(of("io exception\nChannel Pipeline: [x]", &[GrpcJava]), Some((Trace::Open, false)));
        assert_eq!(of("Deadline Exceeded", &[Grpcio]), Some((Trace::CallerLeft, false)));
        assert_eq!(of("no such order", &[GrpcGo]), None);
    }

    #[test]
    fn a_text_that_is_cut_leads_to_its_row_unless_another_one_begins_so() {
        let trace = |head, library| cut_client_text(head, &[library]).map(|row| row.trace);
        assert_eq!(
            trace("error reading from ser", GrpcGo),
            None,
            "EOF, or a reset, or the caller's own close"
        );
        assert_eq!(trace("Network closed for unkn", GrpcJava), Some(Trace::ServerLeft));
        assert_eq!((trace("Network closed for unkn", GrpcGo), trace("Network", GrpcJava)), (None, None));
    }

    #[test]
    fn no_row_is_hidden_behind_an_earlier_one_of_its_library() {
        for group in ALL {
            for (at, row) in group.iter().enumerate() {
                assert!(row.meaning.ends_with('.'), "{}", row.start);
                let text = format!("{}{}", row.start, row.then);
                let first =
                    group.iter().position(|other| other.is(&text) && other.libraries == row.libraries);
                assert_eq!(first, Some(at), "{text}");
            }
        }
    }

    #[test]
    fn words_that_count_alone_are_long_enough() {
        assert!(alone().all(|row| row.start.len() + row.then.len() > 9), "a short word stands in any log");
    }
}
