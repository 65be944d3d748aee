//! The files of a rotation: their names, their number, and the disk space that they may take.
//!
//! | `-w` | files |
//! | --- | --- |
//! | `x.pcap`, `x.pcapng` | `x_00001_20261125210000.pcap`, …, as dumpcap names them: number and local time of the first packet |
//! | `x_%H%M.pcap` | the local time of the first packet, as tcpdump names them |
//! | `x` | `x`, `x1`, `x2`, …, or with `-W` `x00`, `x01`, … in turn, as tcpdump names them |
//!
//! A file whose name has a time never replaces one that this run has not written: it gets another name.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use jiff::Zoned;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::super::kept::Kept;
use super::super::target::Target;
use crate::time::Timestamp;

/// Files in which a quota is divided if nothing else says when to start one: a part as large is deleted at a time.
const PARTS: u64 = 8;

/// Most names that are tried for a file before its creation fails.
const MAX_TRIES: u32 = 10_000;

/// When to start a new file, and how many to keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// Start a new file at this size in bytes (`-C`, in millions).
    pub bytes: Option<u64>,
    /// Start a new file after this packet time (`-G`).
    pub span: Option<Duration>,
    /// Keep this many files: the oldest is overwritten or deleted (`-W`).
    pub files: Option<u32>,
    /// Keep at most this many bytes in all files together: the oldest are deleted (`--max-disk`).
    pub quota: Option<u64>,
}

impl Rotation {
    /// Whether there can be more than one file.
    fn rotates(self) -> bool {
        self.bytes.is_some() || self.span.is_some() || self.quota.is_some()
    }

    /// Size at which a file is full. Several must fit into the quota, so that deleting one does not delete all.
    pub(in crate::sink) fn full(self) -> Option<u64> {
        let part = self.quota.map(|quota| (quota / PARTS).max(1));
        match (self.bytes, part) {
            (Some(bytes), Some(part)) => Some(bytes.min(part)),
            (bytes, part) => bytes.or(part),
        }
    }
}

/// How files are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Naming {
    /// One file, or numbers behind the name.
    Numbers,
    /// Number and time before the extension.
    NumbersAndTimes,
    /// `strftime` in the name.
    Times,
}

impl Naming {
    fn of(path: &Path, rotation: Rotation) -> Self {
        let has =
            |ending: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
        match () {
            () if !rotation.rotates() => Self::Numbers,
            () if path.to_string_lossy().contains('%') => Self::Times,
            () if has("pcap") || has("pcapng") => Self::NumbersAndTimes,
            () => Self::Numbers,
        }
    }
}

/// The files of a rotation.
pub(super) struct Series {
    path: PathBuf,
    rotation: Rotation,
    naming: Naming,
    zone: TimeZone,
    /// The file that is written.
    current: PathBuf,
    /// Files before the current one.
    count: u64,
    /// The files before the current one that are there.
    done: Kept,
    /// The current file has the time of its first packet.
    is_dated: bool,
}

impl Series {
    /// Creates the first file. `now` names it until its first packet comes.
    pub(super) fn create(path: &Path, rotation: Rotation, now: Timestamp) -> io::Result<(Self, Target)> {
        let mut series = Self::new(path, rotation);
        let (name, target) = series.open(0, now)?;
        series.current = name;
        Ok((series, target))
    }

    /// A single file that is open.
    pub(super) fn single(path: &Path) -> Self {
        Self { current: path.to_owned(), ..Self::new(path, Rotation::default()) }
    }

    fn new(path: &Path, rotation: Rotation) -> Self {
        Self {
            path: path.to_owned(),
            rotation,
            naming: Naming::of(path, rotation),
            zone: TimeZone::system(),
            current: PathBuf::new(),
            count: 0,
            done: Kept::default(),
            is_dated: false,
        }
    }

    /// How many files were deleted or overwritten, now and later.
    pub(super) fn deleted(&self) -> Arc<AtomicU64> {
        self.done.deleted()
    }

    /// The file that is written.
    pub(super) fn current(&self) -> &Path {
        &self.current
    }

    /// Gives the first file the time of its first packet: a capture that is read again was taken at another time than now.
    pub(super) fn date(&mut self, first: Timestamp) {
        if self.is_dated || self.naming == Naming::Numbers {
            return;
        }
        self.is_dated = true;
        // If it can't be renamed, its name is only less exact.
        if let Ok(name) = self.name(self.count, first, 0)
            && name != self.current
            && !name.exists()
            && std::fs::rename(&self.current, &name).is_ok()
        {
            self.current = name;
        }
    }

    /// Creates the file after the current one, which has `len` bytes, for packets from `now` on. If that fails, the current
    /// one goes on.
    pub(super) fn next(&mut self, len: u64, now: Timestamp) -> io::Result<Target> {
        let (name, target) = self.open(self.count + 1, now)?;
        self.count += 1;
        self.is_dated = true;
        // A ring of numbered files writes its oldest one anew.
        self.done.overwritten(&name);
        let before = std::mem::replace(&mut self.current, name);
        self.done.push(before, len, SystemTime::now());
        let files = self.rotation.files.map_or(usize::MAX, |files| files.max(1) as usize);
        self.done.keep_count(files - 1)?;
        Ok(target)
    }

    /// Deletes the oldest files until the quota has room for the current one of `len` bytes.
    pub(super) fn make_room(&mut self, len: u64) -> io::Result<()> {
        self.rotation.quota.map_or(Ok(()), |quota| self.done.make_room(quota, len))
    }

    /// Creates file number `count`.
    fn open(&self, count: u64, now: Timestamp) -> io::Result<(PathBuf, Target)> {
        let mut tries = 0;
        loop {
            let name = self.name(count, now, tries)?;
            let result = if self.naming == Naming::Numbers {
                Target::create(&name)
            } else {
                Target::create_new(&name)
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MAX_TRIES => tries += 1,
                Err(error) => return Err(super::at(&name, &error)),
                Ok(target) => return Ok((name, target)),
            }
        }
    }

    /// The name of file number `count`, whose first packet came at `time`; `tries` such names are taken.
    fn name(&self, count: u64, time: Timestamp, tries: u32) -> io::Result<PathBuf> {
        let dated = || -> Zoned {
            // Every i64 of nanoseconds is a time that jiff knows.
            let instant = jiff::Timestamp::from_nanosecond(time.0.into()).unwrap_or_default();
            instant.to_zoned(self.zone.clone())
        };
        match self.naming {
            Naming::Numbers => Ok(numbered(&self.path, self.rotation, count)),
            Naming::NumbersAndTimes => {
                let time = strtime::format("%Y%m%d%H%M%S", &dated()).map_err(io::Error::other)?;
                let name = before_extension(&self.path, &format!("_{:05}_{time}", count + 1));
                Ok(another(name, tries))
            }
            Naming::Times => {
                let format = self.path.to_str().ok_or_else(|| self.unreadable("it is no text"))?;
                let name =
                    strtime::format(format, &dated()).map_err(|error| self.unreadable(&error.to_string()))?;
                Ok(another(PathBuf::from(name), tries))
            }
        }
    }

    fn unreadable(&self, why: &str) -> io::Error {
        let text = format!(
            "{} can't be read as a name with a time (strftime): {why}; %% is a percent sign",
            self.path.display()
        );
        io::Error::new(io::ErrorKind::InvalidInput, text)
    }
}

/// The name after `tries` that were taken.
fn another(name: PathBuf, tries: u32) -> PathBuf {
    if tries == 0 { name } else { before_extension(&name, &format!("_{}", tries + 1)) }
}

/// `folder/stem` + `text` + `.extension`.
fn before_extension(path: &Path, text: &str) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(text);
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

/// The name of file number `count` as tcpdump has it.
fn numbered(path: &Path, rotation: Rotation, count: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    match rotation.files {
        Some(files) if rotation.rotates() => {
            let files = u64::from(files.max(1));
            let width = (files - 1).to_string().len();
            name.push(format!("{:0width$}", count % files));
        }
        _ if count > 0 => name.push(count.to_string()),
        _ => {}
    }
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 25 November 2026, 21:00:00 UTC.
    const START: i64 = 1_795_640_400_000_000_000;
    const SECOND: i64 = 1_000_000_000;

    fn series(path: &Path, rotation: Rotation) -> Series {
        let (mut series, _) = Series::create(path, rotation, Timestamp(START)).unwrap();
        // The names are made anew in a zone that does not depend on the machine.
        series.zone = TimeZone::fixed(jiff::tz::offset(8));
        series
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The names after files of these seconds, and a first packet in the first of them.
    fn written(name: &str, rotation: Rotation, seconds: &[i64]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let mut series = series(&folder.path().join(name), rotation);
        let time = |second: &i64| Timestamp(START + second * SECOND);
        series.date(time(&seconds[0]));
        for second in &seconds[1..] {
            let _ = series.next(100, time(second)).unwrap();
        }
        names(folder.path())
    }

    const BY_SIZE: Rotation = Rotation { bytes: Some(100), span: None, files: None, quota: None };

    #[test]
    fn captures_are_numbered_and_dated_before_their_extension() {
        let expected = ["x_00001_20261126050003.pcapng", "x_00002_20261126050005.pcapng"];
        assert_eq!(written("x.pcapng", BY_SIZE, &[3, 5]), expected);
        // A name without such an ending, and a single file.
        assert_eq!(written("x", BY_SIZE, &[3, 5]), ["x", "x1"]);
        assert_eq!(written("x_%H.pcap", Rotation::default(), &[3]), ["x_%H.pcap"]);
    }

    #[test]
    fn names_with_a_time_format_have_the_time_of_the_first_packet() {
        let seconds = [3, 63, 64, 3_600];
        let expected = ["100%_05-00.pcap", "100%_05-01.pcap", "100%_05-01_2.pcap", "100%_06-00.pcap"];
        assert_eq!(written("100%%_%H-%M.pcap", BY_SIZE, &seconds), expected);
        let folder = tempfile::tempdir().unwrap();
        let wrong = folder.path().join("x_%!.pcap");
        let error = Series::create(&wrong, BY_SIZE, Timestamp(START)).err().unwrap().to_string();
        assert!(error.contains("x_%!.pcap") && error.contains("%%"), "{error}");
    }

    #[test]
    fn files_that_were_there_before_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x_%Y.pcap");
        let old = folder.path().join("x_2026.pcap");
        std::fs::write(&old, "precious").unwrap();
        let mut series = series(&path, BY_SIZE);
        series.date(Timestamp(START));
        let _ = series.next(100, Timestamp(START)).unwrap();
        assert_eq!(names(folder.path()), ["x_2026.pcap", "x_2026_2.pcap", "x_2026_3.pcap"]);
        assert_eq!(std::fs::read(&old).unwrap(), b"precious");
    }

    #[test]
    fn a_number_of_files_is_kept() {
        let rotation = Rotation { files: Some(2), ..BY_SIZE };
        let expected = ["x_00003_20261126050007.pcap", "x_00004_20261126050009.pcap"];
        assert_eq!(written("x.pcap", rotation, &[3, 5, 7, 9]), expected);
        assert_eq!(written("x", rotation, &[3, 5, 7, 9]), ["x0", "x1"]);
        assert_eq!(written("x_%S.pcap", rotation, &[3, 5, 7, 9]), ["x_07.pcap", "x_09.pcap"]);
    }

    #[test]
    fn a_quota_deletes_the_oldest_files() {
        let folder = tempfile::tempdir().unwrap();
        let rotation = Rotation { quota: Some(800), ..Rotation::default() };
        assert_eq!(rotation.full(), Some(100));
        let mut series = series(&folder.path().join("x"), rotation);
        for _ in 0..20 {
            let _ = series.next(100, Timestamp(START)).unwrap();
            series.make_room(100).unwrap();
        }
        // Seven full ones and the one that is written.
        assert_eq!(names(folder.path()).len(), 8);
        assert!(folder.path().join("x20").exists() && !folder.path().join("x12").exists());
        // Files that somebody else moved away are no trouble.
        std::fs::remove_file(folder.path().join("x13")).unwrap();
        series.make_room(800).unwrap();
        assert_eq!(names(folder.path()), ["x20"]);
    }
}
