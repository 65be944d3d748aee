//! Reads logs into scanners: to their end, or as they grow.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::entries::{Counts, Entry, Scanner};
use super::prefilter::Prefilter;
use crate::source::Windows;
use crate::source::bytes::ByteFile;
use crate::source::growing::{Growing, Piece};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Most bytes of a growing log that are read in one turn, so that nothing else waits for long.
const TURN: usize = 16 << 20;

/// Bytes that show whether a file is text.
const HEAD: usize = 512;

/// From how many bytes of a file on what share of them are no text, it is none: logs may have a few.
const BINARY_SHARE: usize = 10;

/// Reads a whole log; what it held, and what went wrong.
///
/// # Errors
///
/// The log can't be opened or read on; what was read before is in the scanner's entries. Logs in UTF-16 and files that are no text are
/// errors too.
pub fn read(
    path: &Path,
    scanner: &mut Scanner,
    stop: &Arc<AtomicBool>,
    windows: &Arc<Windows>,
    out: &mut dyn FnMut(Entry),
) -> io::Result<()> {
    let mut file = ByteFile::open(path, stop, windows)?;
    let mut buffer = vec![0; CHUNK];
    let mut is_first = true;
    loop {
        let least = if is_first { HEAD } else { 1 };
        let (n, error) = fill(&mut file, &mut buffer, least);
        let mut bytes = buffer.get(..n).unwrap_or_default();
        if std::mem::take(&mut is_first) {
            bytes = text(bytes)?;
        }
        scanner.push(bytes, out);
        if let Some(error) = error {
            scanner.finish(out);
            return Err(error);
        }
        if n == 0 {
            break;
        }
    }
    scanner.finish(out);
    Ok(())
}

/// Reads at least so many bytes, unless the file ends before.
fn fill(file: &mut ByteFile, buffer: &mut [u8], least: usize) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < least {
        match file.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The text that begins with these bytes, without its mark.
fn text(bytes: &[u8]) -> io::Result<&[u8]> {
    let is_wide = |zero: usize| {
        let odd = bytes.iter().skip(zero).step_by(2).take(64);
        bytes.len() >= 8 && odd.clone().filter(|byte| **byte == 0).count() * 10 >= odd.count() * 9
    };
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || is_wide(0) || is_wide(1) {
        return Err(io::Error::other("is text in UTF-16: convert it with `iconv -f UTF-16 -t UTF-8`"));
    }
    let is_text = |byte: &u8| !matches!(byte, 0..=8 | 0x0e..=0x1a | 0x1c..=0x1f | 0x7f);
    let others = bytes.len() - bytes.iter().filter(|byte| is_text(byte)).count();
    if others * BINARY_SHARE > bytes.len() {
        return Err(io::Error::other("is no text"));
    }
    Ok(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes))
}

/// A log that grows.
#[derive(Debug)]
pub struct Follower {
    file: Growing,
    scanner: Scanner,
    buffer: Vec<u8>,
}

impl Follower {
    /// Follows the log at this path from its beginning.
    #[must_use]
    pub fn new(path: &Path, prefilter: Arc<Prefilter>) -> Self {
        Self { file: Growing::new(path), scanner: Scanner::new(prefilter), buffer: Vec::new() }
    }

    /// Takes lines with the level of an error as entries too.
    #[must_use]
    pub fn taking_levels(self) -> Self {
        Self { scanner: self.scanner.taking_levels(), ..self }
    }

    /// Passes over what the log holds by now.
    pub fn skip(&mut self) {
        let Self { file, scanner, buffer } = self;
        file.read(usize::MAX, buffer, &mut |piece| match piece {
            Piece::Bytes(bytes) => scanner.skip(bytes),
            Piece::Truncated | Piece::Replaced => scanner.restart(),
        });
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }

    /// Why it can't be read, in words; `None` if it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.file.error().map(|kind| match kind {
            io::ErrorKind::NotFound => "there is no such log".to_owned(),
            io::ErrorKind::PermissionDenied => "the log may not be read (permission denied)".to_owned(),
            kind => format!("the log can't be read: {kind}"),
        })
    }

    /// Reads what is new. The last entry waits until another one follows, or until nothing is new.
    pub fn read(&mut self, out: &mut dyn FnMut(Entry)) {
        let Self { file, scanner, buffer } = self;
        let mut is_new = false;
        file.read(TURN, buffer, &mut |piece| match piece {
            Piece::Bytes(bytes) => {
                is_new = true;
                scanner.push(bytes, out);
            }
            Piece::Truncated | Piece::Replaced => {
                scanner.finish(out);
                scanner.restart();
            }
        });
        if !is_new {
            scanner.settle(out);
        }
    }

    /// No more is read: what is there is whole.
    pub fn finish(&mut self, out: &mut dyn FnMut(Entry)) {
        self.read(out);
        self.scanner.finish(out);
    }

    /// Looks for something else from here on.
    pub fn set_prefilter(&mut self, prefilter: Arc<Prefilter>) {
        self.scanner.set_prefilter(prefilter);
    }

    /// What it held so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.scanner.counts()
    }
}
