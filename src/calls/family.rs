//! Which numbering the code of a call belongs to.

use rpcscope_parsers::{Rpc, Transport};

use super::record::{Call, Carrier};
use crate::codes::Family;

impl Call {
    /// The numbering of the call's code; `None` if it has no code, or one of the callee's own.
    #[must_use]
    pub fn code_family(&self) -> Option<Family> {
        Some(match self.outcome.carrier {
            Carrier::Ret
            | Carrier::FuncRet
            | Carrier::TrpcStreamClose
            | Carrier::TrpcStreamReset
            | Carrier::TrpcStreamInit => Family::Trpc,
            Carrier::ThriftException
                if matches!(self.transport, Transport::TtHeader | Transport::MeshHeader) =>
            {
                Family::Kitex
            }
            Carrier::ThriftException if self.rpc == Rpc::KitexProtobuf => Family::Kitex,
            Carrier::ThriftException => Family::Thrift,
            // The trailer of a stream carries an exception of Kitex; the caller turns it into 12001.
            Carrier::TtstreamTrailer => Family::Kitex,
            Carrier::TtstreamRst => Family::Ttstream,
            Carrier::GrpcStatus => Family::Grpc,
            Carrier::H2RstStream | Carrier::H2Goaway => Family::Http2,
            Carrier::HttpStatus => Family::Http,
            Carrier::BizStatus
            | Carrier::IdlException
            | Carrier::TcpRst
            | Carrier::TcpFin
            | Carrier::None => {
                return None;
            }
        })
    }
}
