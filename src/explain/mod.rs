//! What a code, a finding or a carrier means: one table for all outputs.
//!
//! | question | answer |
//! | --- | --- |
//! | what is code 171 of tRPC | [`code`], [`code_name`] |
//! | is this number one of the framework's or one of the users' | [`range`], [`is_trpc_framework_code`] |
//! | what does the finding, carrier or class mean | [`finding`], [`carrier`], [`class`] |
//! | what does this line of a log mean, and which call is it | [`parse_log`], [`LogError::matches`] |
//! | how does the caller word this call's error in its log | [`reported_as`] |
//! | all of it for a person | [`answer`] |
//!
//! The texts are for people who look at a failed call: what happened, who says so, where to look first.

mod answer;
mod grpc;
mod http;
mod log;
mod reported;
mod thrift;
mod topics;
mod trpc;
mod ttstream;

pub use answer::{Answer, answer};
pub use log::{LogError, Wording, parse_log};
pub use reported::reported_as;
pub use topics::{Topic, carrier, class, finding};

use crate::calls::{Call, Carrier};

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

    /// The word that `rpcscope explain` takes for it.
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

    /// The family of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|family| family.name().eq_ignore_ascii_case(name))
    }

    /// Every known code of the family, in order.
    #[must_use]
    pub fn entries(self) -> &'static [Entry] {
        match self {
            Self::Trpc => trpc::CODES,
            Self::Thrift => thrift::CODES,
            Self::Kitex => thrift::KITEX_CODES,
            Self::Ttstream => ttstream::CODES,
            Self::Grpc => grpc::CODES,
            Self::Http2 => http::ERROR_CODES,
            Self::Http => http::STATUSES,
        }
    }
}

/// Who raises an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Raiser {
    /// The framework at the callee.
    Server,
    /// The framework at the caller.
    Client,
    /// The framework at either side.
    Either,
    /// The callee's own code.
    Handler,
    /// The callee's framework or its own code: the number does not tell.
    ServerOrHandler,
    /// The caller's own code.
    Caller,
    /// Something between the two: a proxy, a gateway.
    Between,
    /// Nobody: it is no error.
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
            Self::Caller => "the caller's own code",
            Self::Between => "a proxy or gateway in between",
            Self::Nobody => "nobody",
        }
    }
}

/// What kind of failure a code stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// No failure.
    Success,
    /// The framework failed.
    Rpc,
    /// The business logic answered no.
    Business,
    /// The connection or stream broke.
    Transport,
    /// The number alone does not tell.
    Either,
}

impl Side {
    /// As a phrase: "RPC error".
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Success => "no error",
            Self::Rpc => "RPC error",
            Self::Business => "business error",
            Self::Transport => "transport error",
            Self::Either => "RPC or business error: the number alone does not tell",
        }
    }
}

/// Whether a code can be seen in a capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// It is sent.
    Sent,
    /// The side that raises it keeps it: it shows only where that side passes it on as its own answer.
    PassedOn,
    /// The call that it is about is not even sent; it shows only where the caller passes it on as its own answer.
    Unsent,
    /// Some libraries send it, others stay silent instead.
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
            Self::PassedOn => {
                "Not sent on the connection it is about; it reaches the wire only when the service that met it \
                 passes it on to its own caller."
            }
            Self::Unsent => {
                "Never on the wire of the call that it is about, of which nothing is sent; only a service that \
                 passes it on sends it, to its own caller."
            }
            Self::Silence => "trpc-go answers nothing at all instead of it; other libraries may send it.",
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
    pub side: Side,
    /// Whether it can be seen in a capture.
    pub wire: Wire,
    /// What the caller's library makes of it.
    pub caller: &'static str,
    /// What to look at first.
    pub look: &'static str,
}

/// A stretch of numbers whose use is published, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First number.
    pub first: i64,
    /// Last number.
    pub last: i64,
    /// Whose numbers these are.
    pub meaning: &'static str,
}

/// The numbering of a call's code; `None` where it has no code, or one of the callee's own.
#[must_use]
pub fn family(call: &Call) -> Option<Family> {
    Some(match call.verdict.carrier {
        Carrier::Ret
        | Carrier::FuncRet
        | Carrier::TrpcStreamClose
        | Carrier::TrpcStreamReset
        | Carrier::TrpcStreamInit => Family::Trpc,
        Carrier::ThriftException if matches!(call.transport, "ttheader" | "mesh-header") => Family::Kitex,
        Carrier::ThriftException if call.rpc == "kitex-protobuf" => Family::Kitex,
        Carrier::ThriftException => Family::Thrift,
        // What the trailer of a stream carries is an exception of Kitex; 120xx is made of it by the caller.
        Carrier::TtstreamTrailer => Family::Kitex,
        Carrier::TtstreamRst => Family::Ttstream,
        Carrier::GrpcStatus => Family::Grpc,
        Carrier::H2RstStream | Carrier::H2Goaway => Family::Http2,
        Carrier::HttpStatus => Family::Http,
        Carrier::BizStatus | Carrier::IdlException | Carrier::TcpRst | Carrier::TcpFin | Carrier::None => {
            return None;
        }
    })
}

/// What is known of a code; `None` if no published table has it.
#[must_use]
pub fn code(family: Family, code: i64) -> Option<&'static Entry> {
    family.entries().iter().find(|entry| entry.code == code)
}

/// The standard name of a code; `None` if no published table has it.
#[must_use]
pub fn code_name(family: Family, code: i64) -> Option<&'static str> {
    self::code(family, code).map(|entry| entry.name)
}

/// In which published range a number lies, known or not.
#[must_use]
pub fn range(family: Family, code: i64) -> Option<&'static Range> {
    let ranges: &[Range] = match family {
        Family::Trpc => trpc::RANGES,
        Family::Thrift => thrift::RANGES,
        Family::Kitex => thrift::KITEX_RANGES,
        Family::Ttstream => ttstream::RANGES,
        Family::Grpc => grpc::RANGES,
        Family::Http2 => http::ERROR_RANGES,
        Family::Http => http::STATUS_RANGES,
    };
    ranges.iter().find(|range| range.first <= code && code <= range.last)
}

/// Whether a number is in the framework's own table of tRPC (`TrpcRetCode`), 0 included. The numbers that trpc-java adds
/// lie in no published range, so that a user may have the same ones: they do not count here.
#[must_use]
pub fn is_trpc_framework_code(code: i64) -> bool {
    self::code(Family::Trpc, code).is_some_and(|entry| code <= 1000 && entry.code == code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::{Class, Finding};

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
            assert_eq!(Family::from_name(family.name()), Some(*family));
        }
    }

    #[test]
    fn the_published_tables_are_whole() {
        let has = |family, codes: &[i64]| {
            for code in codes {
                assert!(code_name(family, *code).is_some(), "{family:?} {code}");
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
        assert_eq!(code_name(Family::Trpc, 171), Some("CLIENT_READ_FRAME_ERR"));
        assert_eq!(code_name(Family::Trpc, 172), None);
        assert_eq!(code_name(Family::Http2, 8), Some("CANCEL"));
    }

    #[test]
    fn a_javas_own_code_is_known_but_not_of_the_frameworks_table() {
        assert!(code(Family::Trpc, 5000).is_some() && !is_trpc_framework_code(5000));
        assert!(is_trpc_framework_code(0) && is_trpc_framework_code(999) && is_trpc_framework_code(1000));
        assert!(
            !is_trpc_framework_code(10001) && !is_trpc_framework_code(404) && !is_trpc_framework_code(-1)
        );
    }

    #[test]
    fn what_the_wire_never_carries_is_said() {
        for (family, code) in [(Family::Trpc, 131), (Family::Ttstream, 12001), (Family::Ttstream, 12008)] {
            assert_ne!(self::code(family, code).unwrap().wire, Wire::Sent, "{family:?} {code}");
        }
    }

    #[test]
    fn every_finding_carrier_and_class_is_explained() {
        let topics = Finding::ALL.iter().map(|f| finding(*f));
        let topics = topics.chain(Carrier::ALL.iter().map(|c| carrier(*c)));
        for topic in topics.chain(Class::ALL.iter().map(|c| class(*c))) {
            assert!(topic.meaning.ends_with('.') && topic.look.ends_with('.'), "{topic:?}");
        }
    }
}
