//! What the interface needs the packets of a call for. Done outside the event loop, because it may take long.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::Receiver;

use crate::calls::Call;
use crate::config::Change;
use crate::detail::Detail;

/// Reads the packets of a call again.
pub trait DetailSource: Send {
    /// The call in full. May end early when `stop` is set, because the result is not shown then. The error says why there is
    /// nothing to show ("the packets are no longer held").
    fn detail(&mut self, call: &Call, stop: &Arc<AtomicBool>) -> Result<Detail, String>;
}

/// The files of exports.
pub trait Files: Send {
    /// Creates a file. An existing one is never overwritten: that is an error.
    fn create(&mut self, path: &Path) -> io::Result<File>;
    /// The names in a folder, sorted, those of folders with a slash at their end.
    fn names(&mut self, folder: &Path) -> io::Result<Vec<String>>;
}

/// Makes changes in the config file. Returns its name, or says why they are not made.
pub type SaveConfig = Box<dyn FnMut(&[Change]) -> Result<String, String> + Send>;

/// Creates the file of an export; the error says why not, in words for the user.
pub type CreateFile<'a> = &'a mut dyn FnMut() -> Result<File, String>;

/// Writes the packets of calls to a new file with this name, which Wireshark opens; returns a line for the user in either case.
pub type PacketExport = Box<dyn FnMut(&[Arc<Call>], &Path, CreateFile<'_>) -> Result<String, String> + Send>;

/// Where the bodies of calls come from, for filters that ask for them.
pub enum BodySource {
    /// Calls come with them.
    WithCalls,
    /// Starts to read the input again: all calls that have bodies come once more, in any order, until the channel is closed.
    Again(Box<dyn FnOnce() -> io::Result<Receiver<BodyBatch>> + Send>),
    /// Lets bodies be read from now on: the input can't be read again.
    FromNowOn(Box<dyn FnOnce() + Send>),
}

/// Calls that were read again with their bodies.
#[derive(Clone, Debug, Default)]
pub struct BodyBatch {
    /// The calls.
    pub calls: Vec<Arc<Call>>,
    /// Bytes read so far, and all bytes, where they are known.
    pub read: Option<(u64, u64)>,
    /// A problem, in words.
    pub trouble: Option<String>,
}
