//! Which numbering the code of a call belongs to.

use rpcscope_parsers::{Rpc, Transport};

use super::record::{Call, Carrier};
use crate::codes::Family;

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
}
