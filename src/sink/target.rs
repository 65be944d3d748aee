//! The destination of bytes: a file that always ends with a complete record, or a stream.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;

/// A file or stream that is written record by record.
pub(crate) enum Target {
    /// A regular file and its length.
    File { file: File, len: u64 },
    /// A pipe, terminal or device, where a partial write can't be undone.
    Stream(Box<dyn Write + Send>),
}

/// A failed write, and how many bytes were kept.
#[derive(Debug)]
pub(crate) struct Shortfall {
    pub(crate) kept: usize,
    pub(crate) error: io::Error,
}

impl Target {
    /// Creates or truncates the file.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self::of(File::create(path)?))
    }

    /// Creates the file, which must not exist yet.
    pub(crate) fn create_new(path: &Path) -> io::Result<Self> {
        // `File::create_new` would open it for reading too, which the sandbox forbids.
        Ok(Self::of(OpenOptions::new().write(true).create_new(true).open(path)?))
    }

    /// Writes to an open file.
    pub(crate) fn of(file: File) -> Self {
        let is_regular = file.metadata().is_ok_and(|metadata| metadata.is_file());
        if is_regular { Self::File { file, len: 0 } } else { Self::Stream(Box::new(file)) }
    }

    /// Length of the file; 0 for a stream.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Stream(_) => 0,
        }
    }

    /// Whether writing can continue after a failure: only a file can be truncated to its last complete record.
    pub(crate) fn can_recover(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Takes back what was written behind `len`. Returns whether that was possible.
    #[cfg(feature = "parquet")]
    pub(crate) fn cut(&mut self, len: u64) -> bool {
        match self {
            Self::File { file, len: whole } if *whole >= len => {
                let is_cut = file.set_len(len).and_then(|()| file.seek(SeekFrom::Start(len))).is_ok();
                if is_cut {
                    *whole = len;
                }
                is_cut
            }
            _ => false,
        }
    }

    /// Writes complete records.
    ///
    /// If the disk is full, the file is truncated after the last record that fits, so that readers never see a partial one.
    /// `whole` returns the length of the complete records among the bytes that were written.
    pub(crate) fn append(
        &mut self,
        bytes: &[u8],
        whole: impl FnOnce(&[u8]) -> usize,
    ) -> Result<(), Shortfall> {
        let (file, len) = match self {
            Self::Stream(stream) => {
                let written = stream.write_all(bytes).and_then(|()| stream.flush());
                return written.map_err(|error| Shortfall { kept: 0, error });
            }
            Self::File { file, len } => (file, len),
        };
        let mut written = 0;
        let error = loop {
            let rest = bytes.get(written..).unwrap_or_default();
            if rest.is_empty() {
                *len += bytes.len() as u64;
                return Ok(());
            }
            match file.write(rest) {
                Ok(0) => break ErrorKind::WriteZero.into(),
                Ok(n) => written += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break error,
            }
        };
        let kept = whole(bytes.get(..written).unwrap_or_default());
        *len += kept as u64;
        // If this fails too, the file ends with a partial record; the first error is the one to report.
        _ = file.set_len(*len).and_then(|()| file.seek(SeekFrom::Start(*len)));
        Err(Shortfall { kept, error })
    }
}
