//! Error codes and error texts of every framework: one table per family, read by everything that needs such a fact.
//!
//! | question | answer |
//! | --- | --- |
//! | what a code means, who raises it, whether it reaches the wire | [`entry`], [`name()`] |
//! | which published range a number lies in | [`range`] |
//! | whether a code only means "some error" | [`is_catch_all`] |
//! | which tRPC codes belong to the framework, and which to its client | [`trpc`] |
//! | which gRPC statuses only a handler returns, and which of these a library made all the same | [`grpc`], [`library_made`] |
//! | what a name in code stands for (`ErrNoResolver`, `codes.NotFound`, `RetServerNoFunc`), and what a monitor counts it as | [`named`] |
//! | which library sent a request | [`library`] |
//! | the words by which a framework's error texts are recognised | [`kitex`], [`trpc`], [`grpc`], [`ttstream`], [`thrift`], [`volo`] |
//!
//! The module is a leaf: it uses nothing else of this crate, so that the class of a call, its chain, its explanation and the
//! interface can all read the same table. Each file names the specification or the framework's source that it follows.

pub mod client_texts;
pub mod grpc;
pub mod grpc_names;
pub mod http;
pub mod http2;
pub mod kitex;
mod kitex_errors;
pub mod leading_bytes;
pub mod library;
pub mod library_made;
pub mod named;
pub mod thrift;
mod thrift_errors;
pub mod trace;
pub mod trpc;
mod trpc_names;
pub mod ttstream;
pub mod value;
pub mod volo;

/// A numbering of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// `TrpcRetCode` of tRPC.
    Trpc,
    /// Types of a `TApplicationException`.
    Thrift,
    /// The same numbers as Kitex uses them.
    Kitex,
    /// Exceptions of TTHeader Streaming.
    Ttstream,
    /// gRPC status codes.
    Grpc,
    /// HTTP/2 error codes.
    Http2,
    /// HTTP status codes.
    Http,
}

impl Family {
    /// All families, in the order of the documentation.
    pub const ALL: &'static [Self] =
        &[Self::Trpc, Self::Thrift, Self::Kitex, Self::Ttstream, Self::Grpc, Self::Http2, Self::Http];

    /// The name that `rpcscope explain` accepts for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trpc => "trpc",
            Self::Thrift => "thrift",
            Self::Kitex => "kitex",
            Self::Ttstream => "ttstream",
            Self::Grpc => "grpc",
            Self::Http2 => "http2",
            Self::Http => "http",
        }
    }

    /// The family of that name. Connect, gRPC-Web and Triple have the codes of gRPC.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = if grpc::SAME_CODES.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            Self::Grpc.name()
        } else {
            name
        };
        Self::ALL.iter().copied().find(|family| family.name().eq_ignore_ascii_case(name))
    }

    /// The code of that name, in upper or lower case.
    #[must_use]
    pub fn code(self, name: &str) -> Option<i64> {
        let name = if self == Self::Grpc { grpc::standard_name(name) } else { name };
        let entry = self.entries().iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
        entry.map(|entry| entry.code)
    }

    /// Every known code of the family, in order.
    #[must_use]
    pub fn entries(self) -> &'static [Entry] {
        match self {
            Self::Trpc => trpc::CODES,
            Self::Thrift => thrift::CODES,
            Self::Kitex => kitex::CODES,
            Self::Ttstream => ttstream::CODES,
            Self::Grpc => grpc::CODES,
            Self::Http2 => http2::CODES,
            Self::Http => http::CODES,
        }
    }

    /// The published ranges of its numbers. Where two overlap, the first one applies.
    fn ranges(self) -> &'static [Range] {
        match self {
            Self::Trpc => trpc::RANGES,
            Self::Thrift => thrift::RANGES,
            Self::Kitex => kitex::RANGES,
            Self::Ttstream => ttstream::RANGES,
            Self::Grpc => grpc::RANGES,
            Self::Http2 => http2::RANGES,
            Self::Http => http::RANGES,
        }
    }

    /// The numbers that the frameworks assign to an error without a code of its own.
    fn catch_all(self) -> &'static [i64] {
        match self {
            Self::Trpc => &[trpc::UNKNOWN],
            // A handler's plain error; also of a ttstream trailer, which carries an exception of Kitex.
            Self::Thrift | Self::Kitex => &[thrift::INTERNAL_ERROR],
            Self::Grpc => &[grpc::UNKNOWN, grpc::INTERNAL],
            Self::Ttstream | Self::Http2 | Self::Http => &[],
        }
    }
}

/// Who raises an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Raiser {
    /// The framework at the server.
    Server,
    /// The framework at the client.
    Client,
    /// The framework at either side.
    Either,
    /// The server's handler.
    Handler,
    /// The server's framework or its handler: the number is ambiguous.
    ServerOrHandler,
    /// The server's framework, its handler, or the client's framework: the number is ambiguous.
    Anyone,
    /// The client's own code.
    Caller,
    /// A proxy or gateway between the two.
    Between,
    /// It is not an error.
    Nobody,
}

impl Raiser {
    /// As a phrase: "the server's framework".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Server => "the server's framework",
            Self::Client => "the client's framework",
            Self::Either => "the framework at either side",
            Self::Handler => "the server's handler",
            Self::ServerOrHandler => "the server: its framework or its handler",
            Self::Anyone => {
                "the server (its framework or its handler), or the caller's library without an answer; the text says which"
            }
            Self::Caller => "the caller's own code",
            Self::Between => "a proxy or gateway in between",
            Self::Nobody => "nobody",
        }
    }

    /// Who raised what an answer carries, in two or three words: "callee's framework".
    #[must_use]
    pub fn of_answer_in_short(self) -> &'static str {
        match self.of_answer() {
            Self::ServerOrHandler | Self::Anyone => "framework or handler",
            Self::Between => "a proxy in between",
            // Whatever its number, the callee's framework sent the answer.
            Self::Server | Self::Client | Self::Either | Self::Handler | Self::Caller | Self::Nobody => {
                "callee's framework"
            }
        }
    }

    /// Who raises it where an answer carries it.
    #[must_use]
    pub fn of_answer(self) -> Self {
        if self == Self::Anyone { Self::ServerOrHandler } else { self }
    }
}

/// What kind of failure a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No failure.
    Success,
    /// The framework failed.
    Rpc,
    /// The business logic refused.
    Business,
    /// The connection or stream broke.
    Transport,
    /// The number alone does not decide it.
    Ambiguous,
}

impl ErrorKind {
    /// As a phrase: "RPC error".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Success => "no error",
            Self::Rpc => "RPC error",
            Self::Business => "business error",
            Self::Transport => "transport error",
            Self::Ambiguous => "RPC or business error: the number alone does not decide",
        }
    }
}

/// Whether a code can be seen in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// It is sent.
    Sent,
    /// A server sends it. The client's side raises it too, and then nothing carries it.
    SentByServer,
    /// The side that raises it keeps it to itself; a capture shows it only if that side passes it on as its own answer.
    PassedOn,
    /// The same, and the call that it is about was never sent.
    Unsent,
    /// Some libraries send it, others send nothing instead.
    Silence,
    /// It is never sent as a number.
    Never,
}

impl Wire {
    /// As a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Sent => "Sent on the wire.",
            Self::SentByServer => {
                "Sent on the wire where the server raises it. Where the caller's library does, the wire shows only how the call \
                 ended: RST_STREAM, GOAWAY, a closed or refused connection, an HTTP status."
            }
            Self::PassedOn => {
                "Not sent on the connection it is about; it reaches the wire only if the service that met it \
                 passes it on to its own caller."
            }
            Self::Unsent => {
                "Never on the wire of the call it is about, because that call is not sent at all; it reaches the wire \
                 only if the service that met it passes it on to its own caller."
            }
            Self::Silence => "trpc-go sends no answer at all instead of it; other libraries may send it.",
            Self::Never => "Never on the wire: it exists only in the process that raises it.",
        }
    }
}

/// A known code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The number.
    pub code: i64,
    /// Its standard name.
    pub name: &'static str,
    /// What happened, in one sentence.
    pub meaning: &'static str,
    /// Who raises it.
    pub raiser: Raiser,
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// Whether it can be seen in a capture.
    pub wire: Wire,
    /// What the caller's library turns it into.
    pub caller: &'static str,
    /// What to look at first.
    pub look: &'static str,
}

/// A range of numbers with a published use, or with none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First number.
    pub first: i64,
    /// Last number.
    pub last: i64,
    /// Whose numbers these are.
    pub meaning: &'static str,
}

/// What is known of a code; `None` if no published table has it.
#[must_use]
pub fn entry(family: Family, code: i64) -> Option<&'static Entry> {
    family.entries().iter().find(|entry| entry.code == code)
}

/// The standard name of a code; `None` if no published table has it.
#[must_use]
pub fn name(family: Family, code: i64) -> Option<&'static str> {
    entry(family, code).map(|entry| entry.name)
}

/// The published range that a number lies in, whether the number itself is known or not.
#[must_use]
pub fn range(family: Family, code: i64) -> Option<&'static Range> {
    family.ranges().iter().find(|range| range.first <= code && code <= range.last)
}

/// Whether a code only means "some error": the number that a framework assigns to an error without a code of its own.
#[must_use]
pub fn is_catch_all(family: Family, code: i64) -> bool {
    family.catch_all().contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_family_is_in_order_and_every_entry_says_something() {
        for family in Family::ALL {
            let codes: Vec<i64> = family.entries().iter().map(|entry| entry.code).collect();
            assert!(codes.is_sorted_by(|a, b| a < b), "{family:?}: {codes:?}");
            for entry in family.entries() {
                for text in [entry.name, entry.meaning, entry.caller, entry.look] {
                    assert!(!text.is_empty(), "{family:?} {}", entry.code);
                }
                assert!(
                    entry.meaning.ends_with('.') && entry.look.ends_with('.'),
                    "{family:?} {}",
                    entry.code
                );
                assert!(range(*family, entry.code).is_some(), "{family:?} {} lies in no range", entry.code);
            }
            for code in family.catch_all() {
                assert!(entry(*family, *code).is_some(), "{family:?} {code}");
            }
            assert_eq!(Family::from_name(family.name()), Some(*family));
        }
    }

    #[test]
    fn the_published_tables_are_complete() {
        let has = |family, codes: &[i64]| {
            for code in codes {
                assert!(name(family, *code).is_some(), "{family:?} {code}");
            }
        };
        has(Family::Trpc, &[0, 1, 2, 11, 12, 21, 22, 23, 24, 31, 41, 51, 101, 102, 111, 121, 122, 123, 124]);
        has(
            Family::Trpc,
            &[131, 141, 151, 161, 171, 201, 211, 221, 222, 231, 232, 233, 234, 251, 252, 253, 254],
        );
        has(Family::Trpc, &[301, 311, 321, 322, 331, 332, 333, 334, 351, 352, 353, 354, 999, 1000]);
        for family in [Family::Thrift, Family::Kitex] {
            has(family, &(0..=10).collect::<Vec<_>>());
            has(family, &[20, 21]);
        }
        has(Family::Kitex, &[119]);
        has(Family::Ttstream, &(12001..=12015).collect::<Vec<_>>());
        has(Family::Grpc, &(0..=16).collect::<Vec<_>>());
        has(Family::Http2, &(0..=13).collect::<Vec<_>>());
        assert_eq!(name(Family::Trpc, 171), Some("CLIENT_READ_FRAME_ERR"));
        assert_eq!(name(Family::Trpc, 172), None);
        assert_eq!((Family::Grpc.code("not_found"), Family::Grpc.code("canceled")), (Some(5), Some(1)));
        assert_eq!((Family::Grpc.code("CANCELLED"), Family::Trpc.code("canceled")), (Some(1), None));
        assert_eq!(Family::from_name("connect"), Some(Family::Grpc));
        assert_eq!(name(Family::Http2, 8), Some("CANCEL"));
    }

    #[test]
    fn codes_that_never_reach_the_wire_are_marked() {
        for (family, code) in [(Family::Trpc, 131), (Family::Ttstream, 12001), (Family::Ttstream, 12008)] {
            assert_ne!(entry(family, code).unwrap().wire, Wire::Sent, "{family:?} {code}");
        }
    }
}
