//! Carriers: the wire elements that decide a class, and what each means.

use super::record::table;
use crate::codes::Family;

/// A carrier in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrierRow {
    /// The numbering of its codes; `None` if it has no code, or one of the callee's own. For exceptions of Thrift the call
    /// decides ([`super::Call::code_family`]).
    pub family: Option<Family>,
    /// What it means.
    pub meaning: &'static str,
    /// What to look at first.
    pub look: &'static str,
}

table! {
    /// The wire element that decided the class.
    Carrier: CarrierRow {
        /// Kitex `biz-status`.
        BizStatus = "biz-status" {
            family: None,
            meaning: "Kitex `biz-status` in a TTHeader, gRPC trailer or ttstream trailer: the callee's business \
                error.",
            look: "The code in the callee's own table, and `biz-extra`.",
        },
        /// A `TApplicationException`.
        ThriftException = "thrift-exception" {
            family: Some(Family::Thrift),
            meaning: "A TApplicationException (or the same of Kitex Protobuf): the framework's error.",
            look: "`rpcscope explain thrift CODE` or `kitex CODE`, and the text.",
        },
        /// An exception declared in the IDL.
        IdlException = "idl-exception" {
            family: None,
            meaning: "An exception that the IDL declares: the result struct has a field other than 0.",
            look: "`field_id`: the exception with this number in the method's `throws`.",
        },
        /// tRPC `ret`.
        Ret = "ret" {
            family: Some(Family::Trpc),
            meaning: "tRPC `ret`: the framework's code.",
            look: "`rpcscope explain trpc CODE`.",
        },
        /// tRPC `func_ret`.
        FuncRet = "func_ret" {
            family: Some(Family::Trpc),
            meaning: "tRPC `func_ret`: the function's own code.",
            look: "The callee's own table of codes; a number below 10000 may be a framework error from further \
                down.",
        },
        /// gRPC `grpc-status`.
        GrpcStatus = "grpc-status" {
            family: Some(Family::Grpc),
            meaning: "`grpc-status` in the trailers.",
            look: "`rpcscope explain grpc CODE`.",
        },
        /// The HTTP status of an answer without a status of the RPC protocol.
        HttpStatus = "http-status" {
            family: Some(Family::Http),
            meaning: "An HTTP status without any status of the RPC protocol: often a proxy answers.",
            look: "`rpcscope explain http CODE`, and what runs at the address.",
        },
        /// A ttstream trailer.
        TtstreamTrailer = "ttstream-trailer" {
            family: Some(Family::Kitex),
            meaning: "The callee's trailer frame of TTHeader Streaming carries an exception.",
            look: "The text: `biz error: …` comes from the handler.",
        },
        /// A ttstream Rst frame.
        TtstreamRst = "ttstream-rst" {
            family: Some(Family::Ttstream),
            meaning: "An Rst frame of TTHeader Streaming ended the stream.",
            look: "`rpcscope explain ttstream CODE`, and the cancel path.",
        },
        /// HTTP/2 `RST_STREAM`.
        H2RstStream = "h2-rst-stream" {
            family: Some(Family::Http2),
            meaning: "RST_STREAM ended the stream; `initiator` is the side that sent it.",
            look: "`rpcscope explain http2 CODE`.",
        },
        /// HTTP/2 GOAWAY.
        H2Goaway = "h2-goaway" {
            family: Some(Family::Http2),
            meaning: "GOAWAY: the peer did not accept the stream any more, or ended the connection with an error.",
            look: "Its code and debug text, and whether the server was shutting down.",
        },
        /// tRPC stream CLOSE.
        TrpcStreamClose = "trpc-stream-close" {
            family: Some(Family::Trpc),
            meaning: "The callee's CLOSE frame of a tRPC stream.",
            look: "Its ret and text.",
        },
        /// tRPC stream CLOSE of type RESET.
        TrpcStreamReset = "trpc-stream-reset" {
            family: Some(Family::Trpc),
            meaning: "The callee's CLOSE frame of type RESET: the handler returned an error. trpc-go puts every \
                code into `ret`.",
            look: "The code: it is the framework's if the framework's table has it, otherwise the handler's.",
        },
        /// A refused tRPC INIT.
        TrpcStreamInit = "trpc-stream-init" {
            family: Some(Family::Trpc),
            meaning: "The callee refused the INIT frame of a tRPC stream.",
            look: "The text: usually the service or method does not exist there.",
        },
        /// TCP RST.
        TcpRst = "tcp-rst" {
            family: None,
            meaning: "A TCP RST before the answer.",
            look: "Which side sent it: a process was killed, or data arrived at a closed socket.",
        },
        /// TCP FIN.
        TcpFin = "tcp-fin" {
            family: None,
            meaning: "A TCP FIN before the answer.",
            look: "Which side sent it: from the caller it is mostly a timeout, from the callee a shutdown or \
                crash.",
        },
        /// An error of Connect or Triple, in JSON.
        ConnectError = "connect-error" {
            family: Some(Family::Grpc),
            meaning: "An error of Connect or Triple in JSON: the body of a unary answer, or the message that ends a stream. Its \
                codes are gRPC's.",
            look: "`rpcscope explain connect CODE`, and the text.",
        },
        /// Nothing in particular.
        None = "none" {
            family: None,
            meaning: "No single element decided: the call is ok, or nothing came.",
            look: "The class.",
        },
    }
}
