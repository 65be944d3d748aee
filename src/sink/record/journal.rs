//! The journal of a part, as it is written ([`crate::records::journal`] reads it).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;

use super::super::BUFFER;
use super::super::jsonl::CallFields;
use super::super::target::{Shortfall, Target};
use crate::calls::{Call, Uid};
use crate::contain::caught;
use crate::records::journal::{Arranged, arranged, count_links, write_left_out, write_link};

/// Appends lines to a new file. What could not be written is cut off behind the last whole line, and later lines are tried again.
pub(super) struct Journal {
    path: PathBuf,
    target: Target,
    /// Lines that are not in the file yet.
    buffer: Vec<u8>,
    fields: CallFields,
    /// Where in the file the calls are that are not linked yet: offset and length.
    waiting: HashMap<Uid, (u64, usize)>,
    /// Bytes of the calls that are linked or left out, so that only others would be carried on.
    pub(super) done: u64,
    /// Calls that were linked, but whose lines could not be written.
    pub(super) absent: u64,
    /// Calls that were linked and whose lines are there, but not those that say how they were linked.
    pub(super) linkless: u64,
    /// With which calls tests break.
    #[cfg(test)]
    pub(super) is_broken: Option<fn(&Call) -> bool>,
}

impl Journal {
    pub(super) fn create(path: PathBuf) -> io::Result<Self> {
        let target = Target::create_new(&path)?;
        Ok(Self {
            path,
            target,
            buffer: Vec::with_capacity(BUFFER + 4096),
            fields: CallFields::default(),
            waiting: HashMap::new(),
            done: 0,
            absent: 0,
            linkless: 0,
            #[cfg(test)]
            is_broken: None,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether calls in it are not linked yet.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A call that is decided.
    pub(super) fn call(&mut self, call: &Call) -> io::Result<()> {
        let start = self.buffer.len();
        let written = caught(|| {
            self.buffer.push(b'{');
            self.fields.write(&mut self.buffer, call);
            #[cfg(test)]
            assert!(!self.is_broken.is_some_and(|is_broken| is_broken(call)), "a fault of the test");
            self.buffer.extend_from_slice(b"}\n");
        });
        if let Err(fault) = written {
            self.buffer.truncate(start);
            self.fields = CallFields::default();
            return Err(fault.into());
        }
        let (offset, len) = (self.target.len() + start as u64, self.buffer.len() - start);
        self.waiting.insert(call.uid, (offset, len));
        self.flush_if_full()
    }

    /// A call that is linked.
    pub(super) fn link(&mut self, call: &Call) -> io::Result<()> {
        match self.waiting.remove(&call.uid) {
            Some((_, len)) => {
                self.done += len as u64;
                write_link(&mut self.buffer, call);
            }
            None => self.absent += 1,
        }
        self.flush_if_full()
    }

    /// A call that the filter does not want after all.
    pub(super) fn left_out(&mut self, uid: Uid) -> io::Result<()> {
        if let Some((_, len)) = self.waiting.remove(&uid) {
            self.done += len as u64;
            write_left_out(&mut self.buffer, uid);
        }
        self.flush_if_full()
    }

    fn flush_if_full(&mut self) -> io::Result<()> {
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Writes all lines to the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let whole = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let before = self.target.len();
        let written = self.target.append(&self.buffer, whole).map_err(|Shortfall { kept, error }| {
            let kept = if self.target.cut(before) { self.keep_what_fits(before) } else { kept };
            let end = self.target.len();
            self.waiting.retain(|_, (offset, len)| *offset + *len as u64 <= end);
            let [absent, linkless] = count_links(self.buffer.get(kept..).unwrap_or_default());
            self.absent += absent;
            self.linkless += linkless;
            error
        });
        self.buffer.clear();
        written
    }

    /// Writes the lines in an order in which whatever fits is of use. Returns how many bytes that are.
    fn keep_what_fits(&mut self, before: u64) -> usize {
        let Arranged { bytes, ends, unlinked } = arranged(&self.buffer);
        self.buffer = bytes;
        for (uid, offset, len) in unlinked {
            self.waiting.insert(uid, (before + offset as u64, len));
        }
        let whole = |bytes: &[u8]| {
            let fit = ends.partition_point(|end| *end <= bytes.len());
            ends.get(..fit).and_then(<[usize]>::last).copied().unwrap_or(0)
        };
        self.target
            .append(&self.buffer, whole)
            .map_or_else(|shortfall| shortfall.kept, |()| self.buffer.len())
    }

    /// Copies the calls that are not linked yet to the journal of the next part.
    pub(super) fn carry_on(&mut self, next: &mut Self) -> io::Result<()> {
        self.flush()?;
        let mut waiting: Vec<(u64, usize, Uid)> =
            self.waiting.iter().map(|(uid, (offset, len))| (*offset, *len, *uid)).collect();
        if !waiting.is_empty() {
            waiting.sort_unstable();
            let file = File::open(&self.path)?;
            for (offset, len, uid) in waiting {
                let start = next.buffer.len();
                next.buffer.resize(start + len, 0);
                if let Some(line) = next.buffer.get_mut(start..)
                    && let Err(error) = file.read_exact_at(line, offset)
                {
                    next.buffer.truncate(start);
                    return Err(error);
                }
                next.waiting.insert(uid, (next.target.len() + start as u64, len));
                next.flush_if_full()?;
            }
        }
        next.flush()
    }

    /// The file, to bring it to the disk.
    pub(super) fn file(&self) -> Option<File> {
        match &self.target {
            Target::File { file, .. } => file.try_clone().ok(),
            Target::Stream(_) => None,
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // After a panic: the calls so far stay. The error can't be told to anybody.
        _ = self.flush();
    }
}
