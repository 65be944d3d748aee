//! HTTP/1.x as a carrier of calls: tRPC over HTTP, thrift over HTTP, Connect, gRPC-Web, gRPC and Triple. Other exchanges are
//! followed too, so that answers find their requests, and emit nothing.
//!
//! | what | module |
//! | --- | --- |
//! | start line and header fields | `head` |
//! | where a body ends, chunks | `body` |
//! | which exchanges are calls | `calls` |
//! | bodies of Connect and its kin | `web` |
//! | requests that wait for their answers | `exchanges` |
//! | the state of a connection | `session` |
//!
//! RFC 9110 and 9112; trpc-go `http/codec.go`; Apache Thrift `lib/*/THttpClient`.

mod body;
mod calls;
mod dissect;
mod exchanges;
pub mod head;
mod session;
mod web;

pub(crate) use session::shows_call;

use crate::event::Side;
use crate::protocol::{Detection, Field, Opening, Protocol, Session};

/// HTTP/1.0 and HTTP/1.1.
#[derive(Debug)]
pub struct Http1;

impl Protocol for Http1 {
    fn name(&self) -> &'static str {
        "http1"
    }

    fn without_calls(&self) -> &'static str {
        "HTTP/1.1 without RPC"
    }

    fn detect(&self, opening: &Opening<'_>) -> Detection {
        if opening.datagram {
            return Detection::No;
        }
        let mut verdict = Detection::More;
        for bytes in opening.bytes {
            if bytes.is_empty() {
                continue;
            }
            match head::parse_head(bytes) {
                Ok(Some(_)) => verdict = Detection::Yes,
                Ok(None) => {}
                Err(_) => return Detection::No,
            }
        }
        verdict
    }

    fn detect_cut(&self, opening: &Opening<'_>) -> bool {
        let shows_call = |bytes: &[u8]| {
            let closed = head::close_cut(bytes);
            let head = closed.as_deref().and_then(|closed| head::parse_head(closed).ok().flatten());
            // What an upgrading request asks for is another protocol's.
            head.is_some_and(|head| head.field("upgrade").is_none() && shows_call(&head))
        };
        !opening.datagram
            && self.detect(opening) == Detection::More
            && opening.bytes.into_iter().any(shows_call)
    }

    fn session(&self) -> Box<dyn Session> {
        Box::new(session::Connection::session())
    }

    fn dissect(&self, _side: Side, message: &[u8]) -> Vec<Field> {
        dissect::dissect(message)
    }
}

#[cfg(test)]
mod tests;
