//! Files that were written and may be deleted again: those of a rotation (`-w`), and those of `rpcscope record`.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Complete files, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    files: VecDeque<File>,
    deleted: Arc<AtomicU64>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    len: u64,
    written: SystemTime,
}

impl Kept {
    /// How many were deleted, now and later.
    pub(super) fn deleted(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.deleted)
    }

    /// Adds a file of `len` bytes that is newer than the others.
    pub(super) fn push(&mut self, path: PathBuf, len: u64, written: SystemTime) {
        self.files.push_back(File { path, len, written });
    }

    /// Forgets a file that was written anew.
    pub(super) fn overwritten(&mut self, path: &Path) {
        let there = self.files.len();
        self.files.retain(|file| file.path != path);
        self.deleted.fetch_add((there - self.files.len()) as u64, Ordering::Relaxed);
    }

    /// Deletes the oldest files until there are at most `count`.
    pub(super) fn keep_count(&mut self, count: usize) -> io::Result<()> {
        while self.files.len() > count {
            self.delete_oldest()?;
        }
        Ok(())
    }

    /// Deletes the oldest files until a quota has room for `len` bytes beside them.
    pub(super) fn make_room(&mut self, quota: u64, len: u64) -> io::Result<()> {
        let mut sum = self.files.iter().map(|file| file.len).sum::<u64>().saturating_add(len);
        while sum > quota
            && let Some(file) = self.files.front()
        {
            sum -= file.len;
            self.delete_oldest()?;
        }
        Ok(())
    }

    /// Deletes the files that were written before.
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "only records are kept by their age"))]
    pub(super) fn delete_before(&mut self, time: SystemTime) -> io::Result<()> {
        while self.files.front().is_some_and(|file| file.written < time) {
            self.delete_oldest()?;
        }
        Ok(())
    }

    fn delete_oldest(&mut self) -> io::Result<()> {
        let Some(File { path: oldest, .. }) = self.files.pop_front() else { return Ok(()) };
        match std::fs::remove_file(&oldest) {
            // Somebody else has moved it away or deleted it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => {
                let text = format!("{} can't be deleted: {error}", oldest.display());
                Err(io::Error::new(error.kind(), text))
            }
            Ok(()) => {
                self.deleted.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }
}
