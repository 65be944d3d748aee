//! Files that are no captures but stand beside them: logs, as they are or packed.

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::files;
use super::foreign;
use super::input::{Compression, InputFile};
use super::stream::name;
use super::zstd_frames::Windows;

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
    let mut head = vec![0; foreign::HEAD as usize];
    let mut filled = 0;
    while let Some(room) = head.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read(room)? {
            0 => break,
            n => filled += n,
        }
    }
    head.truncate(filled);
    if head.first_chunk::<4>().is_some_and(|magic| files::is_capture(*magic)) {
        return Ok(Content::Capture);
    }
    let known = foreign::known(&head);
    Ok(known.map_or(Content::Other, |(what, advice)| Content::Foreign(format!("is {what}{advice}"))))
}

/// A file that is read from its beginning to its end, or standard input (`-`).
pub struct ByteFile(Box<dyn Read + Send>);

impl std::fmt::Debug for ByteFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ByteFile").finish_non_exhaustive()
    }
}

impl ByteFile {
    /// Opens it; `stop` ends the wait for a pipe.
    pub fn open(path: &Path, stop: &Arc<AtomicBool>, windows: &Arc<Windows>) -> io::Result<Self> {
        let input = InputFile::open(path, false, Arc::<AtomicU64>::default(), Arc::clone(stop))?;
        // An unpacker does not go on after a wait.
        let mut input = Patient { input, stop: Arc::clone(stop) };
        let mut begun = Vec::new();
        (&mut input).take(4).read_to_end(&mut begun)?;
        let compression = begun.first_chunk::<4>().and_then(|magic| Compression::of(*magic));
        let input: Box<dyn Read + Send> = match compression {
            Some(compression) => compression.unpack(begun, Box::new(input), windows)?,
            None => Box::new(io::Cursor::new(begun).chain(input)),
        };
        Ok(Self(input))
    }

    /// What messages call the file.
    #[must_use]
    pub fn name(path: &Path) -> String {
        name(path)
    }
}

impl Read for ByteFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
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
