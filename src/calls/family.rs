//! Which numbering the code of a call belongs to.

use rpcscope_parsers::{Rpc, Transport};

use super::record::{Call, Carrier};
use crate::codes::{self, Entry, Family, grpc};

impl Call {
    /// The numbering of the call's code; `None` if it has no code, or one of the callee's own.
    #[must_use]
    pub fn code_family(&self) -> Option<Family> {
        let kitex = matches!(self.transport, Transport::TtHeader | Transport::MeshHeader)
            || self.rpc == Rpc::KitexProtobuf;
        match self.outcome.carrier {
            Carrier::ThriftException if kitex => Some(Family::Kitex),
            carrier => carrier.row().family,
        }
    }

    /// What is known of the call's code: for gRPC also by its text, which a library may have made.
    #[must_use]
    pub fn code_entry(&self) -> Option<&'static Entry> {
        let text = self.outcome.message.as_deref().unwrap_or_default();
        match (self.code_family()?, self.outcome.code?) {
            (Family::Grpc, code) => grpc::entry(code, text.as_bytes()),
            (family, code) => codes::entry(family, code),
        }
    }
}
