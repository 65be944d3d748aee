//! A Parquet file that readers see only when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::super::parquet::Parquet;
use super::super::{RecordWriter, Sink as _};
use crate::calls::Call;
use crate::contain::{Fault, caught};
use crate::records::folder::HostFolder;

/// Calls of one hour, on their way to the file.
pub(super) struct Table {
    /// `None` after an error: the calls stay in the journal.
    sink: Result<Parquet, io::Error>,
    path: PathBuf,
    /// Calls that a panic cost, and what it said.
    lost: (u64, Option<Fault>),
    /// With which calls tests break.
    #[cfg(test)]
    pub(super) is_broken: Option<fn(&Call) -> bool>,
}

/// A complete file.
pub(super) struct Complete {
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) len: u64,
    /// Calls that a panic cost, and what it said.
    pub(super) lost: (u64, Option<Fault>),
}

impl Table {
    /// Begins the file at `path`, under another name.
    pub(super) fn create(path: PathBuf) -> Self {
        let begin = || {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            RecordWriter::create(&HostFolder::unfinished(&path), false).map(Parquet::new)
        };
        let sink = begin().or_else(|error| match error.kind() {
            // The agent that deletes old files has taken the folder for one that it emptied.
            io::ErrorKind::NotFound => begin(),
            _ => Err(error),
        });
        Self {
            sink,
            path,
            lost: (0, None),
            #[cfg(test)]
            is_broken: None,
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        let Ok(sink) = &mut self.sink else { return };
        let written = caught(|| {
            #[cfg(test)]
            assert!(!self.is_broken.is_some_and(|is_broken| is_broken(call)), "a fault of the test");
            sink.call(call)
        });
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.sink = Err(error),
            Err(fault) => match sink.recover() {
                None => {
                    self.lost.0 += 1;
                    self.lost.1.get_or_insert(fault);
                }
                Some(_) => self.sink = Err(fault.into()),
            },
        }
    }

    /// Writes the end, brings all to the disk, and gives the file its name.
    pub(super) fn complete(self) -> io::Result<Complete> {
        let Self { sink, path, lost, .. } = self;
        let unfinished = HostFolder::unfinished(&path);
        let finish = |mut sink: Parquet| caught(|| sink.finish()).unwrap_or_else(|fault| Err(fault.into()));
        let completed = sink.and_then(finish).and_then(|()| {
            let file = File::open(&unfinished)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            // The name survives a loss of power only if its folder is on the disk, too.
            File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            file.metadata().map(|metadata| metadata.len())
        });
        match completed {
            Ok(len) => Ok(Complete { path, len, lost }),
            Err(error) => {
                // If there is such a file: the next start deletes it otherwise.
                _ = fs::remove_file(&unfinished);
                let text = format!("{} can't be written: {error}", path.display());
                Err(io::Error::new(error.kind(), text))
            }
        }
    }
}
