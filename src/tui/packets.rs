//! What the interface needs the packets of a call for. Done outside the event loop, because it may take long.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::calls::Call;
use crate::detail::Detail;

/// Reads the packets of a call again.
pub trait DetailSource: Send {
    /// The call in full. May end early when `stop` is set, because the result is not shown then. The error says why there is
    /// nothing to show ("the packets are no longer held").
    fn detail(&mut self, call: &Call, stop: &Arc<AtomicBool>) -> Result<Detail, String>;
}

/// Creates a file for an export; an existing file is never overwritten.
pub type NewFile = Box<dyn Fn(&Path) -> io::Result<File> + Send>;

/// Writes the packets of calls to a new file that Wireshark opens; returns a line for the user in either case.
pub type PacketExport = Box<dyn FnMut(&[Arc<Call>], &Path, &NewFile) -> Result<String, String> + Send>;
