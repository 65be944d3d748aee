//! RPC over plain HTTP, whichever version carries it: Connect, gRPC-Web, gRPC over HTTP/1.1, and Triple without gRPC's framing.
//! `http1` and `http2` hand over heads and bodies; what they say is read here.
//!
//! | part | file |
//! | --- | --- |
//! | which requests are calls | `claim.rs` |
//! | messages in a body | `envelopes.rs` |
//! | what an answer says | `answer.rs` |
//! | errors as JSON | `json.rs` |
//!
//! | form | request | answer |
//! | --- | --- | --- |
//! | unary of Connect and Triple | the body is the message; of a GET, the query has it | status 200: the body is the message; any other status: the body is a JSON error |
//! | stream of Connect | enveloped messages | enveloped messages; the last one, with flag 2, is JSON with the error |
//! | gRPC-Web | enveloped messages | enveloped messages; the last one, with flag 128, is a block of trailers |
//! | gRPC-Web as text | the same in base64 | the same in base64, of which any number of padded pieces may follow each other |
//! | gRPC over HTTP/1.1 | enveloped messages | enveloped messages, then trailers of the chunked coding |
//!
//! An envelope is a byte of flags, a length of four bytes, and the message:
//!
//! ```text
//! ┌───────┬────────────────┬─────────┐
//! │ flags │ length (4, BE) │ message │   flags: 1 compressed, 2 end of a Connect stream, 128 trailers of gRPC-Web
//! └───────┴────────────────┴─────────┘
//! ```
//!
//! Sources: Connect protocol reference (connectrpc.com/docs/protocol); grpc `doc/PROTOCOL-WEB.md` and `doc/PROTOCOL-HTTP2.md`;
//! dubbo-go `protocol/triple/triple_protocol/protocol_triple.go`.

mod answer;
mod claim;
mod envelopes;
mod json;

pub(crate) use answer::{AnswerReader, BodyEnd, Opening, Verdict};
pub(crate) use claim::{Claim, Claimed, Form, Requested, claim, claim_of_type, split_target};
pub(crate) use envelopes::{Envelopes, Group};
