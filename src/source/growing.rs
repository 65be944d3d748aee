//! A file that others write to: it grows, is truncated, replaced, or does not exist yet, and may be a FIFO.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// Bytes read of a FIFO until somebody looks whether to stop.
const TURN: usize = 16 << 20;

/// How long a wait lasts until somebody looks.
const SLICE: Duration = Duration::from_millis(50);

/// What a file gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next bytes.
    Bytes(&'a [u8]),
    /// It begins anew: it was truncated, and what was begun is lost.
    Truncated,
    /// Another file has its name: what the last one began is all there is.
    Replaced,
}

/// A growing file.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
    open: Option<Open>,
    /// Why it can't be read at present.
    error: Option<ErrorKind>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// What is open, as the file system has it.
    identity: Identity,
    /// Bytes read.
    read: u64,
    /// A file, not a FIFO.
    has_size: bool,
}

type Identity = (u64, u64);

#[cfg(unix)]
fn identity(of: &std::fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt as _;
    (of.dev(), of.ino())
}

impl Growing {
    /// The file at this path. Nothing is opened yet.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, error: Some(ErrorKind::NotFound) }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why it was never there or could not be read; `None` if it is read.
    #[must_use]
    pub fn error(&self) -> Option<ErrorKind> {
        self.error
    }

    /// Gives what is new to `take`, at most `limit` bytes in each of at most two files. `buffer` is where it is read to.
    pub fn read(&mut self, limit: usize, buffer: &mut Vec<u8>, take: &mut dyn FnMut(Piece<'_>)) {
        buffer.resize(CHUNK, 0);
        match self.try_read(limit, buffer, take) {
            Ok(()) => self.error = None,
            // What was read before counts; the file may come back.
            Err(error) if self.open.is_none() => self.error = Some(error.kind()),
            Err(_) => {}
        }
    }

    /// Reads it as [`read`](Self::read) does without a limit, and what is a FIFO or a pipe to its end. Waits at most `patience` for a writer, and for
    /// what it writes next, and no longer once `stop` is set. Says whether the end was seen; a file's always is.
    pub fn read_to_end(
        &mut self,
        patience: Duration,
        stop: &AtomicBool,
        buffer: &mut Vec<u8>,
        take: &mut dyn FnMut(Piece<'_>),
    ) -> bool {
        let mut waited = Duration::ZERO;
        loop {
            self.read(if self.path.is_file() { usize::MAX } else { TURN }, buffer, take);
            let Some(open) = self.open.as_ref().filter(|open| !open.has_size) else { return true };
            let slice = SLICE.min(patience.saturating_sub(waited));
            match open.wait(slice) {
                Ok(Waited::Over) => return true,
                Ok(Waited::Ready) => waited = Duration::ZERO,
                Ok(Waited::InVain) if waited < patience => waited += slice,
                Ok(Waited::InVain) | Err(_) => return false,
            }
            if stop.load(Ordering::Relaxed) {
                return false;
            }
        }
    }

    fn try_read(
        &mut self,
        limit: usize,
        buffer: &mut [u8],
        take: &mut dyn FnMut(Piece<'_>),
    ) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            if open.has_size && open.file.metadata()?.len() < open.read {
                // Begun anew in place.
                io::Seek::rewind(&mut open.file)?;
                open.read = 0;
                take(Piece::Truncated);
            }
            open.read(limit, buffer, take)?;
        }
        // Its name may have gone to another file.
        let there = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound && self.open.is_some() => return Ok(()),
            there => there?,
        };
        if self.open.as_ref().is_some_and(|open| open.identity == identity(&there)) {
            return Ok(());
        }
        let file = open_without_waiting(&self.path)?;
        let now = file.metadata()?;
        if now.is_dir() {
            return Err(ErrorKind::IsADirectory.into());
        }
        take(Piece::Replaced);
        let open =
            self.open.insert(Open { file, identity: identity(&now), read: 0, has_size: now.is_file() });
        open.read(limit, buffer, take)
    }
}

/// A FIFO without a writer must not be waited for.
#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK.bits();
    std::fs::OpenOptions::new().read(true).custom_flags(flags as i32).open(path)
}

/// What became of waiting for bytes.
enum Waited {
    /// There are some.
    Ready,
    /// All writers have closed it.
    Over,
    /// There were none.
    InVain,
}

impl Open {
    /// Waits for bytes.
    #[cfg(unix)]
    fn wait(&self, patience: Duration) -> io::Result<Waited> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let patience = Timespec::try_from(patience).map_err(|_| ErrorKind::InvalidInput)?;
        let mut all = [PollFd::new(&self.file, PollFlags::IN)];
        while let Err(error) = poll(&mut all, Some(&patience)) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let [fd] = &all;
        Ok(match fd.revents() {
            events if events.contains(PollFlags::IN) => Waited::Ready,
            events if events.is_empty() => Waited::InVain,
            _ => Waited::Over,
        })
    }

    fn read(&mut self, limit: usize, buffer: &mut [u8], take: &mut dyn FnMut(Piece<'_>)) -> io::Result<()> {
        let mut taken = 0;
        while taken < limit {
            match self.file.read(buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => {
                    take(Piece::Bytes(buffer.get(..n).unwrap_or_default()));
                    self.read += n as u64;
                    taken += n;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
