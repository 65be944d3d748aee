//! Wire formats of the RPC protocols that `rpcscope` knows: bytes in, [`Message`]s out.
//!
//! The crate has no I/O, no clock, no threads and no logging. A caller hands it the bytes of each [`Side`] of a
//! connection in stream order, tells it of lost bytes, and receives what the protocol saw: requests, answers, parts of
//! streams, resets, each with its status **as seen**. It judges nothing: what class a call has is decided elsewhere.
//!
//! | layer | module |
//! | --- | --- |
//! | what every protocol delivers | [`message`] |
//! | detection and sessions | [`protocol`] |
//! | the adapter for stateless formats | [`framed`] |
//! | errors with offset and layer | [`error`] |
//! | thrift messages, in whatever they travel | [`thrift`] |
//! | one module per protocol | the `protocols!` lines below |

#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod cursor;
pub mod error;
pub mod event;
pub mod framed;
pub mod message;
pub mod protocol;
#[cfg(test)]
mod testing;
pub mod thrift;

pub use cursor::Trouble;
pub use error::{Error, Layer};
pub use event::{CallId, Event, Kind, Rpc, Side, Status, Transport};
pub use framed::FramedSession;
pub use protocol::{Detection, Opening, Protocol, Session};

/// Declares the protocols: one line each, `module => value`, in the order in which detection asks them.
///
/// A line brings the module, the place in [`all`], and the tests that every protocol inherits (see `testing.rs`).
macro_rules! protocols {
    ($($(#[$doc:meta])* $module:ident => $value:expr;)*) => {
        $($(#[$doc])* pub mod $module;)*

        /// Every protocol known, in the order in which detection asks them.
        #[must_use]
        pub fn all() -> &'static [&'static dyn Protocol] {
            &[$(&$value),*]
        }

        #[cfg(test)]
        mod inherited {
            $(mod $module {
                #[allow(unused_imports, reason = "brings the protocol's own module into reach of its value")]
                use crate::*;
                crate::testing::inherit!(stringify!($module), $value);
            })*
        }
    };
}

protocols! {
    /// HTTP/2 with gRPC.
    http2 => http2::Http2;
    /// tRPC frames: unary calls and streams.
    trpc => trpc::Trpc;
    /// HTTP/1.x: tRPC over HTTP, thrift over HTTP.
    http1 => http1::Http1;
    /// TTHeader, with thrift, Kitex Protobuf or streams in it.
    ttheader => thrift::Form::TtHeader;
    /// Kitex mesh header before any other form.
    mesh_header => thrift::Form::MeshHeader;
    /// THeader of Apache Thrift.
    theader => thrift::Form::THeader;
    /// Thrift or Kitex Protobuf with a length before each message.
    thrift_framed => thrift::Form::Framed;
    /// Thrift without lengths.
    thrift_buffered => thrift::Form::Buffered;
}

/// The recipe of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
