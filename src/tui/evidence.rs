//! What proves a verdict: the bytes, fields and packets of a call, made on demand and outside the event loop.

use std::path::Path;
use std::sync::Arc;

use rpcscope_parsers::protocol::Field;

use crate::calls::Call;
use crate::time::Timestamp;

/// Everything that was captured of one call.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    /// Its messages in the order of time.
    pub messages: Vec<WireMessage>,
    /// Its packets in the order of the capture.
    pub packets: Vec<PacketLine>,
    /// Lines for people: what is missing and why.
    pub notes: Vec<String>,
}

/// One message as it was sent.
#[derive(Clone, Debug, Default)]
pub struct WireMessage {
    /// Sent by the callee.
    pub from_server: bool,
    /// Number of the packet that carried its first byte.
    pub packet: u64,
    /// Time of that packet.
    pub time: Timestamp,
    /// The captured bytes.
    pub bytes: Vec<u8>,
    /// Its size as sent; more than `bytes` where some were lost or cut.
    pub size: u64,
    /// Its fields; ranges point into `bytes`.
    pub fields: Vec<Field>,
}

/// One packet of a call.
#[derive(Clone, Debug, Default)]
pub struct PacketLine {
    /// Number in the capture.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// Sent by the callee.
    pub from_server: bool,
    /// Payload bytes.
    pub payload: u64,
    /// What is remarkable about it: flags, "retransmission".
    pub note: String,
}

/// Reads the packets of a call again.
pub trait DetailSource: Send {
    /// The evidence of one call. The error says why there is none ("the packets are no longer held").
    fn evidence(&mut self, call: &Call) -> Result<Evidence, String>;
}

/// Writes the packets of calls to a file that Wireshark opens; gives a line for people either way.
pub type PacketExport = Box<dyn FnMut(&[Arc<Call>], &Path) -> Result<String, String> + Send>;
