//! Words of the call record that are neither finding, carrier nor class: keys whose name does not say what they mean, and transports.

use rpcscope_parsers::Transport;

use super::Topic;
use crate::calls::Call;

/// A word, and which calls it is about.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// What it is: a key, a transport.
    pub kind: &'static str,
    /// The word.
    pub name: &'static str,
    /// What it means.
    pub topic: Topic,
    /// Whether a call has it.
    pub is_of: fn(&Call) -> bool,
}

const fn key(
    name: &'static str,
    meaning: &'static str,
    look: &'static str,
    is_of: fn(&Call) -> bool,
) -> Word {
    Word { kind: "key", name, topic: Topic { meaning, look }, is_of }
}

const fn transport(
    name: &'static str,
    meaning: &'static str,
    look: &'static str,
    is_of: fn(&Call) -> bool,
) -> Word {
    Word { kind: "transport", name, topic: Topic { meaning, look }, is_of }
}

/// All of them.
pub const WORDS: &[Word] = &[
    key(
        "likely",
        "Not known, but likely: the call's name or status stands in a header table that was filled before the capture began. \
         Nothing counts it.",
        "`why` and `confidence` in the record; a capture that begins before the connection, to know.",
        |call| call.likely.is_some(),
    ),
    key(
        "goaway",
        "The HTTP/2 GOAWAY that ended the call or came before its connection broke: its code, the code's name, and its debug data \
         as text.",
        "NO_ERROR is an orderly shutdown, with `max_age` the age that the server allows a connection; other codes say what the peer \
         did wrong.",
        |call| call.goaway.is_some(),
    ),
    key(
        "via",
        "Addresses that a PROXY header, HTTP CONNECT or SOCKS named before the first byte of the protocol. The source that a PROXY \
         header names is the `client`.",
        "The proxy's own address is what the packets of the call show.",
        |call| call.via.is_some(),
    ),
    transport(
        "ttheader",
        "Frames with a header of names and pairs, by Kitex and Volo.",
        "`--metadata` for the pairs.",
        |call| call.transport == Transport::TtHeader,
    ),
    transport(
        "framed",
        "Thrift messages with a length of four bytes before each.",
        "Nothing but name, number and result is on the wire.",
        |call| call.transport == Transport::Framed,
    ),
    transport(
        "buffered",
        "Thrift messages that follow each other without a length.",
        "Nothing but name, number and result is on the wire.",
        |call| call.transport == Transport::Buffered,
    ),
    transport(
        "theader",
        "Frames of Apache Thrift and fbthrift with a header of pairs (`THeader`).",
        "`--metadata` for the pairs.",
        |call| call.transport == Transport::THeader,
    ),
    transport(
        "ttwitter",
        "Frames of Finagle and Scrooge in which a header struct stands before each thrift message, agreed on by a first call (the \
         TTwitter upgrade).",
        "The header has trace ids, the client's name (`caller`) and its deadline.",
        |call| call.transport == Transport::TTwitter,
    ),
    transport(
        "datagram",
        "One thrift message in each UDP datagram, as Jaeger's agent takes them.",
        "A lost datagram leaves no trace, and most of these calls are one-way.",
        |call| call.transport == Transport::Datagram,
    ),
    transport(
        "mesh-header",
        "A header of Kitex' service mesh in front of another transport.",
        "`--metadata` for the pairs.",
        |call| call.transport == Transport::MeshHeader,
    ),
    transport("http1", "HTTP/1.1.", "`--metadata` for the headers.", |call| {
        call.transport == Transport::Http1
    }),
];
