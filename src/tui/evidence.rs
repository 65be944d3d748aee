//! What needs the packets of a call once more: made outside the event loop, where it may take its time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::calls::Call;
use crate::detail::Detail;

/// Reads the packets of a call again.
pub trait DetailSource: Send {
    /// The call in full. Ends early when `stop` is set: then nobody looks at the result. The error says why there is nothing
    /// to show ("the packets are no longer held").
    fn detail(&mut self, call: &Call, stop: &Arc<AtomicBool>) -> Result<Detail, String>;
}

/// Writes the packets of calls to a file that Wireshark opens; gives a line for people either way.
pub type PacketExport = Box<dyn FnMut(&[Arc<Call>], &Path) -> Result<String, String> + Send>;
