//! Files that are no captures but stand beside them: logs, as they are or packed.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::foreign::foreign;
use super::input::{Compression, InputFile};
use super::stream::name;
use super::zstd_frames::Windows;
use super::{pcap, pcapng, snoop};

/// Bytes that show what a file is.
const HEAD: usize = 512;

/// What a file is, by its first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A capture, or a folder, which may hold captures.
    Capture,
    /// Text, or nothing.
    Other,
    /// Something that is neither, in words.
    Foreign(String),
}

/// Finds out what a file is, packed ones too. Must not be asked of a pipe, whose first bytes would be lost.
pub fn content(path: &Path) -> io::Result<Content> {
    if path.is_dir() {
        return Ok(Content::Capture);
    }
    let mut file = ByteFile::open(path, &Arc::default(), &Arc::default())?;
    let mut head = vec![0; HEAD];
    let mut filled = 0;
    while let Some(room) = head.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            n => filled += n,
        }
    }
    head.truncate(filled);
    let is_capture = head.first_chunk::<4>().is_some_and(|magic| {
        pcap::magic(*magic).is_some() || *magic == pcapng::MAGIC || snoop::MAGIC.starts_with(magic)
    });
    Ok(match foreign(&head) {
        _ if is_capture => Content::Capture,
        // Its words for what it does not know.
        what if what.starts_with("is neither") || what.contains("text") || head.is_empty() => Content::Other,
        what => Content::Foreign(what.replacen("is not a capture but ", "is ", 1)),
    })
}

/// A file that is read from its beginning to its end, or standard input (`-`).
pub struct ByteFile {
    input: Box<dyn Read + Send>,
    stop: Arc<AtomicBool>,
}

impl std::fmt::Debug for ByteFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteFile").finish_non_exhaustive()
    }
}

impl ByteFile {
    /// Opens it; `stop` ends the wait for a pipe.
    pub fn open(path: &Path, stop: &Arc<AtomicBool>, windows: &Arc<Windows>) -> io::Result<Self> {
        let mut input = InputFile::open(path, false, Arc::<AtomicU64>::default(), Arc::clone(stop))?;
        let mut begun = Vec::new();
        let mut magic = [0; 4];
        while begun.len() < magic.len() {
            match input.read(magic.get_mut(..4 - begun.len()).unwrap_or_default()) {
                Ok(0) => break,
                Ok(n) => begun.extend_from_slice(magic.get(..n).unwrap_or_default()),
                Err(error) if waits(&error) && !stop.load(Ordering::Relaxed) => {}
                Err(error) => return Err(error),
            }
        }
        let compression = begun.first_chunk::<4>().and_then(|magic| Compression::of(*magic));
        let input: Box<dyn Read + Send> = match compression {
            // An unpacker does not go on after a wait.
            Some(compression) => {
                compression.unpack(begun, Box::new(Patient { input, stop: Arc::clone(stop) }), windows)?
            }
            None => Box::new(io::Cursor::new(begun).chain(input)),
        };
        Ok(Self { input, stop: Arc::clone(stop) })
    }

    /// What messages call the file.
    #[must_use]
    pub fn name(path: &Path) -> String {
        name(path)
    }
}

impl Read for ByteFile {
    /// Waits for a pipe.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(error) if waits(&error) && !self.stop.load(Ordering::Relaxed) => {}
                other => return other,
            }
        }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits for a pipe.
struct Patient {
    input: InputFile,
    stop: Arc<AtomicBool>,
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(error) if waits(&error) && !self.stop.load(Ordering::Relaxed) => {}
                other => return other,
            }
        }
    }
}
