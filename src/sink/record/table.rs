//! A Parquet file that readers see only when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::super::parquet::Parquet;
use super::super::{RecordWriter, Sink as _};
use crate::calls::Call;
use crate::records::folder::HostFolder;

/// Calls of one hour, on their way to the file.
pub(super) struct Table {
    /// `None` after an error: the calls stay in the journal.
    sink: Result<Parquet, io::Error>,
    path: PathBuf,
}

/// A complete file.
pub(super) struct Complete {
    pub(super) path: PathBuf,
    /// Its size in bytes.
    pub(super) len: u64,
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
        Self { sink, path }
    }

    pub(super) fn call(&mut self, call: &Call) {
        if let Ok(sink) = &mut self.sink
            && let Err(error) = sink.call(call)
        {
            self.sink = Err(error);
        }
    }

    /// Writes the end, brings all to the disk, and gives the file its name.
    pub(super) fn complete(self) -> io::Result<Complete> {
        let Self { sink, path } = self;
        let unfinished = HostFolder::unfinished(&path);
        let completed = sink.and_then(|mut sink| sink.finish()).and_then(|()| {
            let file = File::open(&unfinished)?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            // The name survives a loss of power only if its folder is on the disk, too.
            File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()?;
            file.metadata().map(|metadata| metadata.len())
        });
        match completed {
            Ok(len) => Ok(Complete { path, len }),
            Err(error) => {
                // If there is such a file: the next start deletes it otherwise.
                _ = fs::remove_file(&unfinished);
                let text = format!("{} can't be written: {error}", path.display());
                Err(io::Error::new(error.kind(), text))
            }
        }
    }
}
