//! Reads bytes of a file or of standard input: growing files, pipes, compression.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Cursor, IsTerminal, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::zstd_frames::{Frames, Windows};

/// Maximum time that a read of a pipe or a growing file waits before it returns to the caller.
const PATIENCE: Duration = Duration::from_millis(50);
/// Number of compressed bytes read at a time.
const COMPRESSED_CHUNK: usize = 128 * 1024;

/// An open file. A read without data fails with [`io::ErrorKind::WouldBlock`] after a short wait and can be repeated.
#[derive(Debug)]
pub(super) struct InputFile {
    file: File,
    kind: Kind,
    /// Bytes read so far; a growing file must not become shorter.
    at: u64,
    read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Regular,
    Growing,
    Pipe,
}

impl InputFile {
    /// Opens `path`, or standard input for `-`. `read` counts the bytes read; `stop` ends waiting.
    pub(super) fn open(
        path: &Path,
        follow: bool,
        read: Arc<AtomicU64>,
        stop: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let file = if path == Path::new("-") {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                let text = "is a terminal: pipe a capture into it, for example from `tcpdump -w -`";
                return Err(io::Error::other(text));
            }
            File::from(stdin.as_fd().try_clone_to_owned()?)
        } else {
            // Opening a named pipe without a writer must not block here: reads wait for it like for a silent one.
            let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
            OpenOptions::new().read(true).custom_flags(flags).open(path)?
        };
        let is_regular = file.metadata()?.is_file();
        let kind = match (is_regular, follow) {
            (true, false) => Kind::Regular,
            (true, true) => Kind::Growing,
            (false, _) => Kind::Pipe,
        };
        Ok(Self { file, kind, at: 0, read, stop })
    }

    /// Seeks to `offset` before the first read.
    pub(super) fn seek(&mut self, offset: u64) -> io::Result<()> {
        self.at = self.file.seek(SeekFrom::Start(offset))?;
        Ok(())
    }

    /// Length of a file that does not grow.
    pub(super) fn len(&self) -> Option<u64> {
        match self.kind {
            Kind::Regular => self.file.metadata().ok().map(|m| m.len()),
            Kind::Growing | Kind::Pipe => None,
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Read for InputFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.kind == Kind::Pipe {
            if self.stopped() {
                return Ok(0);
            }
            let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) };
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            if poll(&mut fds, Some(&timeout))? == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        let mut n = self.file.read(buffer)?;
        if n == 0 && self.kind == Kind::Growing && !self.stopped() {
            if self.file.metadata()?.len() < self.at {
                return Err(io::Error::other("became shorter while being read"));
            }
            std::thread::sleep(PATIENCE);
            n = self.file.read(buffer)?;
            if n == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        self.at += n as u64;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Compression {
    /// Detects compression from the first four bytes of a file.
    pub(super) fn of(head: [u8; 4]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 8, _] => Some(Self::Gzip),
            // A frame, or a skippable one, which parallel compressors write first (RFC 8878, sections 3.1.1 and 3.1.2).
            [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Decompresses `input`, of which `begun` was already read. Several members or frames become one stream.
    /// `windows` bounds the memory for that.
    pub(super) fn unpack(
        self,
        begun: Vec<u8>,
        input: Box<dyn Read + Send>,
        windows: &Arc<Windows>,
    ) -> io::Result<Box<dyn Read + Send>> {
        let whole = Cursor::new(begun).chain(input);
        Ok(match self {
            Self::Gzip => {
                let members = BufReader::with_capacity(COMPRESSED_CHUNK, whole);
                Box::new(flate2::bufread::MultiGzDecoder::new(members))
            }
            Self::Zstd => {
                let frames =
                    BufReader::with_capacity(COMPRESSED_CHUNK, Frames::new(whole, Arc::clone(windows)));
                Box::new(zstd::stream::read::Decoder::with_buffer(frames)?)
            }
        })
    }
}
