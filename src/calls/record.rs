//! The call record: what `rpcscope` says of one call. The JSON form of it is in `sink/jsonl.rs`.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rpcscope_parsers::event::Layout;
use rpcscope_parsers::{Rpc, Transport};

pub use super::identities::{Named, Process};
use super::join_key::JoinKey;
use super::likely::{Clues, Likely};
use super::marks::Marks;
use super::outcome::Outcome;
use super::share::Share;
pub use super::{carrier::Carrier, class::Class, finding::Finding};
use crate::codes::library::{Library, Version};
use crate::codes::{self, Family};
use crate::decode::{Endpoint, Network};
use crate::payload::Bodies;
use crate::source::CapturePoint;
use crate::text;
use crate::time::Timestamp;
use crate::tls::Facts;

/// A repeated string (service, method, name), shared by all calls that carry it. Always valid UTF-8; may hold control
/// characters of the wire, which every output for people must escape.
pub type Name = Arc<str>;

/// The identity of a call: the packet in which it was first seen and its place among the calls that packet began. The
/// same in every run over the same packets. Written `71` or `71.2`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid {
    /// Number of the packet being read when the call was first seen.
    pub packet: u64,
    /// 0 for the first call of that packet.
    pub ordinal: u32,
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ordinal == 0 {
            write!(f, "{}", self.packet)
        } else {
            write!(f, "{}.{}", self.packet, self.ordinal)
        }
    }
}

impl std::str::FromStr for Uid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("'{text}' is no call id: it looks like 71 or 71.2 (key `uid` of the call record)");
        // As csv has it.
        let number = text.strip_prefix('c').unwrap_or(text);
        let (packet, ordinal) = number.split_once('.').unwrap_or((number, "0"));
        Ok(Self {
            packet: packet.parse().map_err(|_| wrong())?,
            ordinal: ordinal.parse().map_err(|_| wrong())?,
        })
    }
}

/// Declares an enum with the names of its variants as the outputs write them.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// All variants, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name that all outputs use.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The variant of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

pub(crate) use named;

/// Declares an enum as [`named!`] does, and a row of properties for each variant.
macro_rules! table {
    ($(#[$doc:meta])* $name:ident: $row:ident {
        $($(#[$vdoc:meta])* $variant:ident = $text:literal { $($field:ident: $value:expr,)* },)*
    }) => {
        $crate::calls::record::named! { $(#[$doc])* $name { $($(#[$vdoc])* $variant = $text,)* } }

        impl $name {
            /// Its properties.
            #[must_use]
            pub fn row(self) -> &'static $row {
                match self { $(Self::$variant => &const { $row { $($field: $value,)* } },)* }
            }
        }
    };
}

pub(crate) use table;

/// A set of [`Finding`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Findings(u64);

impl Findings {
    /// Adds one.
    pub fn insert(&mut self, finding: Finding) {
        self.0 |= 1 << finding as u64;
    }

    /// Adds all of another set.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Takes one away.
    pub fn remove(&mut self, finding: Finding) {
        self.0 &= !(1 << finding as u64);
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains(self, finding: Finding) -> bool {
        self.0 & (1 << finding as u64) != 0
    }

    /// Those that say what of the call was not read.
    #[must_use]
    pub fn of_capture(self) -> Self {
        let mut lacking = Self::default();
        for finding in [Finding::Gap, Finding::Truncated, Finding::MidStream, Finding::Shed] {
            lacking.insert(finding);
        }
        Self(self.0 & lacking.0)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are there, in the order of the declaration.
    pub fn iter(self) -> impl Iterator<Item = Finding> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            // Of 0, this is no finding's number.
            let finding = *Finding::ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(finding)
        })
    }
}

named! {
    /// The shape of a call.
    CallKind {
        /// One request, one answer.
        Unary = "unary",
        /// One request, no answer.
        Oneway = "oneway",
        /// Many requests, one answer.
        ClientStream = "client-stream",
        /// One request, many answers.
        ServerStream = "server-stream",
        /// Many of both.
        BidiStream = "bidi-stream",
        /// A stream, not known of which kind.
        Stream = "stream",
    }
}

named! {
    /// An end of a call.
    Initiator {
        /// The caller.
        Client = "client",
        /// The callee.
        Server = "server",
    }
}

named! {
    /// Which end of a call the host is that captured it.
    Observer {
        /// The caller's, or both.
        Client = "client",
        /// The callee's.
        Server = "server",
        /// Neither: packets that it forwards, or that a switch mirrors to it.
        Middle = "middle",
    }
}

/// An HTTP/2 GOAWAY (RFC 9113, section 6.8) of either side, as a call that it ended or that died after it shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoAwayNote {
    /// Who sent it.
    pub by: Initiator,
    /// HTTP/2 error code.
    pub code: i64,
    /// Its debug data. UTF-8 (undecodable bytes replaced); may hold control characters.
    pub text: Option<String>,
}

impl GoAwayNote {
    /// Standard name of the code.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        codes::name(Family::Http2, self.code)
    }

    /// What outputs call its parts, and their texts.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, Cow<'_, str>)> {
        let code = Cow::Owned(self.code.to_string());
        let members = [
            ("code", Some(code)),
            ("name", self.name().map(Cow::Borrowed)),
            ("text", self.text.as_deref().map(Cow::Borrowed)),
        ];
        members.into_iter().filter_map(|(name, text)| Some((name, text?)))
    }
}

/// What the preludes of a connection name: PROXY headers, HTTP CONNECT, SOCKS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Via {
    /// The client on whose behalf a proxy opened the connection.
    pub client: Option<Endpoint>,
    /// All addresses, in the order of the wire.
    pub addresses: Vec<Name>,
}

/// One call.
#[derive(Clone, Debug)]
pub struct Call {
    /// Identity within the capture.
    pub uid: Uid,
    /// Time of the request's first byte (of the answer's, where the request was not captured).
    pub start: Timestamp,
    /// Time of the packet that decided the call.
    pub end: Timestamp,
    /// Number of the packet that decided the call: outputs are in this order, then by uid.
    pub decided: u64,
    /// Request's first byte to answer's first byte, nanoseconds.
    pub latency: Option<u64>,
    /// Request's first byte to answer's last byte, nanoseconds.
    pub duration: Option<u64>,
    /// The end of the connection that sent the request. [`Call::caller_address`] is the caller's own address.
    pub client: Endpoint,
    /// The end that answers.
    pub server: Endpoint,
    /// What the preludes of the connection name.
    pub via: Option<Arc<Via>>,
    /// What carries it.
    pub transport: Transport,
    /// TCP or UDP.
    pub network: Network,
    /// The RPC protocol.
    pub rpc: Rpc,
    /// Payload codec.
    pub codec: Option<&'static str>,
    /// Service as the wire names it.
    pub service: Option<Name>,
    /// Method as the wire names it.
    pub method: Option<Name>,
    /// Group of calls that have the same name, which could not be read (`unknown#17`). Service and method are what
    /// others of the group have, if any has one.
    pub unknown_name: Option<u64>,
    /// Name of the calling service, where the header has it.
    pub caller: Option<Name>,
    /// Name of the called service, where the header has it.
    pub callee: Option<Name>,
    /// The library of the caller and its version, where the request shows it.
    pub sender: Option<(Library, Version)>,
    /// Number that pairs request and answer.
    pub id: Option<i64>,
    /// Shape.
    pub kind: CallKind,
    /// What became of it, decided by `calls/outcome.rs` alone.
    pub outcome: Outcome,
    /// HTTP/2: the GOAWAY that ended it, or that came before its connection broke and the call with it.
    pub goaway: Option<Box<GoAwayNote>>,
    /// What is likely where it is not known; never counted as known.
    pub likely: Option<Box<Likely>>,
    /// What was noted of it for [`super::likely`]: on HTTP/2 connections of which the beginning was not captured.
    pub clues: Option<Box<Clues>>,
    /// Bytes of HTTP/2 DATA that each end sent, the caller's first; other protocols do not count them.
    pub message_bytes: [u64; 2],
    /// HTTP/2: what the first message that each end sent and its first field with a length are made of, the caller's first,
    /// where that was looked at.
    pub layouts: [[Layout; 2]; 2],
    /// Bytes of the request on the connection, its own headers included.
    pub request_bytes: u64,
    /// Bytes of the answer.
    pub response_bytes: u64,
    /// Messages of the request (1 for unary).
    pub request_messages: u32,
    /// Messages of the answer.
    pub response_messages: u32,
    /// Time the caller said it would wait, nanoseconds.
    pub timeout: Option<u64>,
    /// Trace id from trace context, as sent (hex of W3C, B3, Jaeger; sw8 decoded).
    pub trace_id: Option<Name>,
    /// Span id of the caller's span.
    pub span_id: Option<Name>,
    /// Log or request id of the headers, which all calls of a chain share, where that was asked for.
    pub log_id: Option<Name>,
    /// The call that caused this one.
    pub parent: Option<Uid>,
    /// Why `parent` is believed.
    pub parent_evidence: Option<&'static str>,
    /// The key of `parent`, where that has one.
    pub parent_key: Option<JoinKey>,
    /// How sure it is that `parent` caused it.
    pub parent_confidence: Option<Share>,
    /// Where no parent is sure: the calls that may be it, the likeliest first. Boxed, because mostly there are none.
    pub rivals: Option<Box<[RivalParent]>>,
    /// Probability that it caused a failed call that names no parent, or another one.
    pub missed: Option<Share>,
    /// What only the record said that it was read from. Boxed, because calls of packets have none.
    pub told: Option<Box<Told>>,
    /// The host that captured it, where that is known.
    pub host: Option<Name>,
    /// Which end of the call that host is, where that is known.
    pub observer: Option<Observer>,
    /// Whether the client's and the server's address are known to be those at which the host that captured it talks to others.
    pub is_local: [bool; 2],
    /// What is remarkable.
    pub findings: Findings,
    /// Live: processes at the caller's and at the callee's end, at least one of them known. Boxed, because files have none.
    pub processes: Option<Box<[Option<Process>; 2]>>,
    /// With `--names`: the names of the caller's and the callee's address, at least one of them known. Boxed, because mostly there
    /// are none.
    pub names: Option<Box<[Option<Arc<Named>>; 2]>>,
    /// Headers of request and answer, where they were asked for: `(from the answer?, key, value)`.
    pub metadata: Vec<(bool, String, String)>,
    /// What the headers of the request say about its cause, where that was asked for instead of headers.
    pub marks: Option<Box<Marks>>,
    /// What its messages say, where that was asked for. Boxed, because mostly it was not.
    pub bodies: Option<Box<Bodies>>,
    /// First and last packet of the call.
    pub packets: (u64, u64),
    /// Number of the packet with which its connection begins ([`Connection::first_packet`]): from there on it can be
    /// read again.
    pub connection: u64,
    /// Nanoseconds from the SYN with which the caller opened its connection to [`Self::start`]; `u32::MAX` where they are more, or
    /// where the SYN was not captured.
    pub since_opening: u32,
    /// Where its packets were captured.
    pub capture_point: CapturePoint,
    /// TCP sequence numbers of the first byte of its request and of its answer, where they were captured: the same wherever
    /// the call is seen.
    pub positions: [Option<u32>; 2],
    /// How it looked from where it was answered, if captures of several places show it ([`super::dedup`]).
    pub callee_view: Option<Box<CalleeView>>,
}

/// A call that may have caused another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RivalParent {
    /// Its key.
    pub parent: JoinKey,
    /// How sure it is.
    pub confidence: Share,
}

/// What a record says of a call that can't be found out from its other keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Key `call_key`.
    pub key: Option<JoinKey>,
    /// Key `conn_key`.
    pub connection: JoinKey,
    /// Key `reported_as`.
    pub reported_as: Option<String>,
    /// Key `carrier`, where this version does not know the word.
    pub carrier: Option<Name>,
    /// Words of the key `findings` that this version does not know.
    pub findings: Vec<Name>,
    /// Key `log_id_shared`: more calls than one have its log id and look alike.
    pub is_log_shared: bool,
}

/// A call that several captures show, as the one nearest to its callee shows it. The record itself is that of the one
/// nearest to its caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CalleeView {
    /// How many captures show the call.
    pub seen: u32,
    /// When the request arrived.
    pub start: Timestamp,
    /// When the call was decided there.
    pub end: Timestamp,
    /// From the request's first byte to the answer's first byte, nanoseconds; `None` unless both ends of the call show it.
    pub latency: Option<u64>,
}

impl Call {
    /// Whether it began before `time` and its answer did not.
    #[must_use]
    pub fn lasts_across(&self, time: Timestamp) -> bool {
        self.start < time
            && self.latency.is_some_and(|latency| self.start.0.saturating_add_unsigned(latency) >= time.0)
    }

    /// A call of which nothing is known but its identity, when it began and between whom: not decided, nothing sent, its
    /// connection and itself within the packet of the identity.
    #[must_use]
    pub fn new(uid: Uid, start: Timestamp, client: Endpoint, server: Endpoint) -> Self {
        Self {
            uid,
            start,
            end: start,
            decided: uid.packet,
            latency: None,
            duration: None,
            client,
            server,
            via: None,
            transport: Transport::Other(""),
            network: Network::Tcp,
            rpc: Rpc::Other(""),
            codec: None,
            service: None,
            method: None,
            unknown_name: None,
            caller: None,
            callee: None,
            sender: None,
            id: None,
            kind: CallKind::Unary,
            outcome: Outcome::unknown(),
            goaway: None,
            likely: None,
            clues: None,
            message_bytes: [0; 2],
            layouts: [[Layout::default(); 2]; 2],
            request_bytes: 0,
            response_bytes: 0,
            request_messages: 0,
            response_messages: 0,
            timeout: None,
            trace_id: None,
            span_id: None,
            log_id: None,
            parent: None,
            parent_evidence: None,
            parent_key: None,
            parent_confidence: None,
            rivals: None,
            missed: None,
            told: None,
            host: None,
            observer: None,
            is_local: [false; 2],
            findings: Findings::default(),
            processes: None,
            names: None,
            metadata: Vec::new(),
            marks: None,
            bodies: None,
            packets: (uid.packet, uid.packet),
            connection: uid.packet,
            since_opening: u32::MAX,
            capture_point: CapturePoint::default(),
            positions: [None; 2],
            callee_view: None,
        }
    }

    /// Reads the record ahead of its use, so that its cache lines are waited for together.
    pub(crate) fn read_ahead(&self) {
        // One field of each.
        let Self { latency, uid, method, message_bytes, span_id, packets, transport, .. } = self;
        let Self { start, decided, connection, client, .. } = self;
        let first = (latency, uid.packet, method.is_some(), message_bytes[0], span_id.is_some(), packets.0);
        std::hint::black_box((first, *transport, *start, *decided, *connection, client.port));
    }

    /// Moves the call out, and leaves one of which nothing is known but its identity.
    // Apart: a call is large to move, and this is called in many places.
    #[must_use]
    #[inline(never)]
    pub fn take(&mut self) -> Self {
        let left = Self::new(self.uid, self.start, self.client, self.server);
        std::mem::replace(self, left)
    }

    /// The caller's address: the one that a PROXY header names, else the one of the connection.
    #[must_use]
    pub fn caller_address(&self) -> Endpoint {
        caller_address(self.via.as_deref(), self.client)
    }

    /// Numbers of the packets that have to be read again for the call: its connection from the beginning, and a few before
    /// it, since its first segment may have come in fragments.
    #[must_use]
    pub fn reading(&self) -> std::ops::RangeInclusive<u64> {
        const FRAGMENTS: u64 = 200;
        self.connection.saturating_sub(FRAGMENTS)..=self.packets.1.max(self.decided)
    }

    /// The group that stands for its method where that is not known.
    #[must_use]
    pub fn nameless(&self) -> Option<u64> {
        self.unknown_name.filter(|_| self.method.is_none())
    }

    /// Time of the packet that decided it, where that does not follow from its start and duration.
    #[must_use]
    pub fn later_end(&self) -> Option<Timestamp> {
        let answered = self.start.0.saturating_add_unsigned(self.duration.unwrap_or(0));
        (answered != self.end.0).then_some(self.end)
    }

    /// Time that the network took for request and answer together, nanoseconds: what the call took its caller longer than
    /// its callee. `None` unless both ends were captured.
    #[must_use]
    pub fn network_time(&self) -> Option<u64> {
        let callee = self.callee_view.as_deref()?.latency?;
        Some(self.latency?.saturating_sub(callee))
    }

    /// The machine that an end is on, as far as it is known: its address, or one in place of all at which the host that captured talks to
    /// others, as calls may come in at one of these and go out at another.
    #[must_use]
    pub fn machine(&self, end: Initiator) -> IpAddr {
        let (is_local, address) = match end {
            Initiator::Client => (self.is_local[0], self.client),
            Initiator::Server => (self.is_local[1], self.server),
        };
        if is_local { Ipv4Addr::UNSPECIFIED.into() } else { address.ip }
    }

    /// Live: the process at an end.
    #[must_use]
    pub fn process(&self, end: Initiator) -> Option<&Process> {
        let [client, server] = self.processes.as_deref()?;
        match end {
            Initiator::Client => client.as_ref(),
            Initiator::Server => server.as_ref(),
        }
    }

    /// Live: what is known of the processes at both ends.
    pub fn set_processes(&mut self, ends: [Option<Process>; 2]) {
        self.processes = ends.iter().any(Option::is_some).then(|| Box::new(ends));
    }

    /// The names of the address at an end, from a file.
    #[must_use]
    pub fn named(&self, end: Initiator) -> Option<&Arc<Named>> {
        let [client, server] = self.names.as_deref()?;
        match end {
            Initiator::Client => client.as_ref(),
            Initiator::Server => server.as_ref(),
        }
    }

    /// The best of them.
    #[must_use]
    pub fn file_name(&self, end: Initiator) -> Option<&Name> {
        self.named(end)?.best()
    }

    /// What files say of the names of both ends.
    pub fn set_names(&mut self, ends: [Option<Arc<Named>>; 2]) {
        self.names = ends.iter().any(Option::is_some).then(|| Box::new(ends));
    }

    /// The class; `None` where it is not known.
    #[must_use]
    pub fn class(&self) -> Option<Class> {
        self.outcome.class
    }

    /// Whether it failed: class business, rpc, transport or unanswered.
    #[must_use]
    pub fn failed(&self) -> bool {
        matches!(
            self.outcome.class,
            Some(Class::Business | Class::Rpc | Class::Transport | Class::Unanswered)
        )
    }
}

fn caller_address(via: Option<&Via>, client: Endpoint) -> Endpoint {
    via.and_then(|via| via.client).unwrap_or(client)
}

/// What is known of a connection, for `--connections` and the interface's Connections view.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Packet of the connection's first segment: its identity.
    pub first_packet: u64,
    /// Packet of its last segment so far.
    pub last_packet: u64,
    /// Time of its first segment.
    pub start: Timestamp,
    /// Time of its last segment so far.
    pub end: Timestamp,
    /// The end that opened it, where that is known; else the lower one.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// What its preludes name.
    pub via: Option<Arc<Via>>,
    /// TCP or UDP.
    pub network: Network,
    /// Where it was captured.
    pub capture_point: CapturePoint,
    /// Name of the protocol, once it is known.
    pub protocol: Option<&'static str>,
    /// Why there is no protocol or what is wrong with it ("TLS without keys", "refused", "not of a known protocol").
    pub reason: Option<&'static str>,
    /// What is known of its TLS.
    pub tls: Option<Box<Facts>>,
    /// Its beginning was not captured.
    pub mid_stream: bool,
    /// Names or statuses stand in tables from before the capture, and what will make them known.
    pub unread: Option<Renewal>,
    /// How it stands.
    pub state: ConnectionState,
    /// Calls so far.
    pub calls: u64,
    /// Calls that failed so far.
    pub failed: u64,
    /// Packets so far.
    pub packets: u64,
    /// Payload bytes each side sent so far, the client's first.
    pub bytes: [u64; 2],
    /// Segments that brought nothing new.
    pub retransmissions: u64,
    /// Holes that never were filled.
    pub gaps: u64,
}

/// What makes names and statuses known that stand in tables from before the capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// About so many more calls like those so far.
    Calls(u64),
    /// A new connection: the calls so far enter nothing into the tables.
    Reconnect,
}

impl Connection {
    /// As [`Call::caller_address`].
    #[must_use]
    pub fn caller_address(&self) -> Endpoint {
        caller_address(self.via.as_deref(), self.client)
    }

    /// In words, that it began before the capture and what its names and statuses wait for; empty if it did not.
    #[must_use]
    pub fn beginning(&self) -> String {
        let renewal = match self.unread {
            Some(Renewal::Calls(calls)) => {
                format!(
                    ": all is readable once it reconnects, or after about {}",
                    text::counted(calls, "more call")
                )
            }
            Some(Renewal::Reconnect) => ": all is readable once it reconnects".to_owned(),
            None => String::new(),
        };
        match self {
            Self { mid_stream: true, .. } => format!("began before the capture{renewal}"),
            Self { unread: Some(_), .. } => format!("header tables lost in a gap{renewal}"),
            _ => String::new(),
        }
    }
}

named! {
    /// How a connection stands.
    ConnectionState {
        /// In use.
        Open = "open",
        /// One side or both sent FIN.
        Closed = "closed",
        /// RST by a side after it was in use.
        Reset = "reset",
        /// RST in answer to the SYN.
        Refused = "refused",
        /// Silent for the idle time, or the capture ended.
        Idle = "idle",
    }
}
