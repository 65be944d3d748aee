//! Wire formats of the RPC protocols that `rpcscope` knows: bytes in, [`Event`]s out.
//!
//! The crate has no I/O, no clock, no threads and no logging. A caller hands it the bytes of each [`Side`] of a
//! connection in stream order, reports lost bytes, and receives what the protocol saw: requests, answers, parts of
//! streams, resets, each with its status **as seen**. It judges nothing: what class a call has is decided elsewhere.
//!
//! | layer | module |
//! | --- | --- |
//! | what every protocol delivers | [`event`] |
//! | detection and sessions | [`protocol`] |
//! | what all sessions share: carried bytes, offsets, gaps | [`session`] |
//! | the bodies of messages, for whoever asks for them | [`bodies`] |
//! | formats of messages that stand one after the other | [`framed`] |
//! | answers in another language | [`foreign`] |
//! | errors with offset and layer, nom's included | [`error`] |
//! | numbers and pieces of known length, as parsers | `number` |
//! | what proxies put in front of any protocol | [`prelude`] |
//! | the protocols | [`thrift`], [`trpc`], [`http1`], [`http2`] |
//! | Connect, gRPC-Web and Triple, whichever version of HTTP carries them | `web` |
//! | TLS for whoever has its secrets | [`tls`] |
//! | protobuf without a schema, and the layout of such messages | [`protobuf`], [`layout`] |

#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod bodies;
mod dissect;
pub mod error;
pub mod event;
pub mod foreign;
pub mod framed;
pub mod http1;
pub mod http2;
pub mod layout;
mod number;
pub mod prelude;
pub mod protobuf;
pub mod protocol;
pub mod session;
#[cfg(test)]
mod testing;
pub mod thrift;
pub mod tls;
pub mod trpc;
mod varint;
mod web;

pub use error::{Error, Layer};
pub use event::{CallId, Event, Kind, Rpc, Side, Status, Transport};
pub use framed::Framing;
pub use protocol::{Detection, Opening, Protocol, Session, Unread};

/// Registers the protocols: one line each, `name => value`, in the order in which detection asks them.
///
/// A line adds the protocol to [`all`] and brings the tests that every protocol inherits (see `testing`), with the samples
/// in `samples/<name>/`.
macro_rules! protocols {
    ($($name:ident => $value:expr;)*) => {
        /// Every protocol known, in the order in which detection asks them.
        #[must_use]
        pub fn all() -> &'static [&'static dyn Protocol] {
            &[$(&$value),*]
        }

        #[cfg(test)]
        mod inherited {
            $(mod $name {
                #[allow(unused_imports, reason = "brings the protocol's own module into reach of its value")]
                use crate::*;
                crate::testing::inherit!(stringify!($name), $value);
            })*
        }
    };
}

protocols! {
    http2 => http2::Http2;
    trpc => trpc::Trpc;
    http1 => http1::Http1;
    ttheader => thrift::ThriftTransport::TtHeader;
    mesh_header => thrift::ThriftTransport::MeshHeader;
    theader => thrift::ThriftTransport::THeader;
    ttwitter => thrift::ThriftTransport::TTwitter;
    thrift_framed => thrift::ThriftTransport::Framed;
    thrift_buffered => thrift::ThriftTransport::Buffered;
}

/// The recipe of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
