//! The folder that `rpcscope record` fills. Engines read its Parquet files as one table with the partitions `dt`, `hour` and `host`, and pass
//! over names that begin with `.` or `_`.
//!
//! | path | what it is |
//! | --- | --- |
//! | `dt=2026-01-02/hour=03/host=web/20260102030405678-4711-00001.parquet` | calls that began in this hour (UTC), complete |
//! | the same as `….parquet.tmp`, with a `.` before the name | one that is being written |
//! | `_journal/host=web/20260102030405678-4711-00001.journal` | the calls that are in no complete file yet |
//! | `_journal/host=web/20260102030405678-4711-00001.closed` | the same, but its calls that are not linked stand in the next part's journal too |
//! | `_journal/host=web/lock` | locked while an agent of this host runs |
//!
//! The name is that of a [`Part`]: the run (its start and process id) and a number. A part has one journal, and a Parquet file in each hour
//! of its calls.

use std::fmt;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::time::Timestamp;

/// The folder of the journals.
const JOURNALS: &str = "_journal";

/// Nanoseconds of an hour.
const HOUR: i64 = 3_600_000_000_000;

/// What a run writes between two rotations. Parts of a host are in order of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The run: its start in UTC with milliseconds, and its process id.
    pub run: Arc<str>,
    /// Number from 1 on.
    pub number: u32,
}

impl Part {
    /// The first part of a run that begins now.
    #[must_use]
    pub fn first() -> Self {
        let now = jiff::Timestamp::now();
        let milliseconds = now.as_millisecond().rem_euclid(1_000);
        let run = format!("{}{milliseconds:03}-{}", now.strftime("%Y%m%d%H%M%S"), std::process::id());
        Self { run: run.into(), number: 1 }
    }

    /// The part after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        Self { run: Arc::clone(&self.run), number: self.number.saturating_add(1) }
    }

    /// The part that a file belongs to; `None` for files of others.
    fn of(path: &Path, ending: &str) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(ending)?;
        let (run, number) = stem.rsplit_once('-')?;
        let (start, process) = run.split_once('-')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        (start.len() == 17 && is_number(start) && is_number(process) && number.len() >= 5)
            .then(|| is_number(number).then(|| number.parse().ok()).flatten())
            .flatten()
            .map(|number| Self { run: run.into(), number })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:05}", self.run, self.number)
    }
}

/// An hour since 1970, UTC: what the partitions `dt` and `hour` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hour(i64);

impl Hour {
    /// The hour of a time.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        Self(time.0.div_euclid(HOUR))
    }
}

/// A journal that is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JournalFile {
    /// Its part.
    pub part: Part,
    /// Its path.
    pub path: PathBuf,
    /// Whether the next part has its calls that are not linked.
    pub is_closed: bool,
}

/// The part of such a folder that belongs to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFolder {
    root: PathBuf,
    /// `host=NAME`, escaped.
    host: String,
}

/// A complete file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complete {
    /// When it was written.
    pub written: SystemTime,
    /// Its part.
    pub part: Part,
    /// Its path.
    pub path: PathBuf,
    /// Its size in bytes.
    pub len: u64,
}

impl HostFolder {
    /// The files of `host` in `root`.
    #[must_use]
    pub fn new(root: &Path, host: &str) -> Self {
        Self { root: root.to_owned(), host: format!("host={}", escaped(host)) }
    }

    /// The whole folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of its journals and its lock.
    #[must_use]
    pub fn journals(&self) -> PathBuf {
        self.root.join(JOURNALS).join(&self.host)
    }

    /// The journal of a part.
    #[must_use]
    pub fn journal(&self, part: &Part) -> PathBuf {
        self.journals().join(format!("{part}.journal"))
    }

    /// The journal of a part when the next one has its calls that are not linked.
    #[must_use]
    pub fn closed(&self, part: &Part) -> JournalFile {
        let path = self.journals().join(format!("{part}.closed"));
        JournalFile { part: part.clone(), path, is_closed: true }
    }

    /// The file for calls of a part that began in this hour.
    #[must_use]
    pub fn table(&self, part: &Part, hour: Hour) -> PathBuf {
        // Hours of 64 bits of nanoseconds are times that jiff knows.
        let start = jiff::Timestamp::from_second(hour.0.saturating_mul(3_600)).unwrap_or_default();
        let (day, of_day) =
            (start.strftime("dt=%Y-%m-%d").to_string(), start.strftime("hour=%H").to_string());
        self.root.join(day).join(of_day).join(&self.host).join(format!("{part}.parquet"))
    }

    /// The name of a table while it is not complete.
    #[must_use]
    pub fn unfinished(table: &Path) -> PathBuf {
        // No pattern of engines matches it: some take hidden files for `*.parquet`.
        let mut name = std::ffi::OsString::from(".");
        name.push(table.file_name().unwrap_or_default());
        name.push(".tmp");
        table.with_file_name(name)
    }

    /// The tables that agents of this host wrote, the oldest first, and the unfinished ones that they left behind.
    pub fn tables(&self) -> io::Result<(Vec<Complete>, Vec<PathBuf>)> {
        let (mut complete, mut unfinished) = (Vec::new(), Vec::new());
        for day in folders(&self.root, "dt=")? {
            for hour in folders(&day, "hour=")? {
                for path in entries(&hour.join(&self.host))? {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if let Some(name) = name.strip_prefix('.') {
                        unfinished.extend(Part::of(Path::new(name), ".parquet.tmp").map(|_| path));
                    } else if let Some(part) = Part::of(&path, ".parquet") {
                        let Some(metadata) = there(path.metadata())? else { continue };
                        let written = metadata.modified()?;
                        complete.push(Complete { written, part, path, len: metadata.len() });
                    }
                }
            }
        }
        complete.sort_by(|a, b| (a.written, &a.part, &a.path).cmp(&(b.written, &b.part, &b.path)));
        Ok((complete, unfinished))
    }

    /// The journals that are there, in order of their parts.
    pub fn journal_files(&self) -> io::Result<Vec<JournalFile>> {
        let of = |path: PathBuf| {
            [(".journal", false), (".closed", true)].into_iter().find_map(|(ending, is_closed)| {
                Part::of(&path, ending).map(|part| JournalFile { part, path: path.clone(), is_closed })
            })
        };
        let mut files: Vec<JournalFile> = entries(&self.journals())?.into_iter().filter_map(of).collect();
        files.sort();
        Ok(files)
    }
}

/// The folders of all hosts that have journals below `root`; none if it is no such folder.
pub fn hosts(root: &Path) -> io::Result<Vec<HostFolder>> {
    let names = folders(&root.join(JOURNALS), "host=")?;
    let name = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(names.iter().map(|path| HostFolder { root: root.to_owned(), host: name(path) }).collect())
}

/// The folders in a folder whose names begin so, in order.
fn folders(folder: &Path, beginning: &str) -> io::Result<Vec<PathBuf>> {
    let mut all = entries(folder)?;
    all.retain(|path| {
        path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(beginning))
    });
    all.sort();
    Ok(all)
}

/// What is in a folder; nothing if there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// `None` for a file that somebody has just deleted.
fn there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// A name as Hive writes it in a partition: what is not safe in a path as `%` and two hexadecimal digits.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            all.push(byte.into());
        } else {
            // A string takes all that is written to it.
            _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_hour_host_and_part() {
        let folder = HostFolder::new(Path::new("/calls"), "web/1");
        let part = Part { run: "20260102030405678-4711".into(), number: 7 };
        let table = folder.table(&part, Hour::of(Timestamp(1_767_323_045_000_000_000)));
        let expected = "/calls/dt=2026-01-02/hour=03/host=web%2F1/20260102030405678-4711-00007.parquet";
        assert_eq!(table, Path::new(expected));
        assert_eq!(Part::of(&table, ".parquet"), Some(part.clone()));
        assert_eq!(Part::of(&folder.journal(&part), ".journal"), Some(part.clone()));
        let unfinished = HostFolder::unfinished(&table);
        assert_eq!(unfinished.file_name().unwrap(), ".20260102030405678-4711-00007.parquet.tmp");
        let before = folder.table(&part, Hour::of(Timestamp(-1)));
        assert!(before.starts_with("/calls/dt=1969-12-31/hour=23"), "{}", before.display());
        let first = Part::first();
        assert_eq!(Part::of(Path::new(&format!("{}.journal", first.next())), ".journal"), Some(first.next()));
        assert!(first < first.next());
    }

    #[test]
    fn files_of_others_are_none_of_its_own() {
        let temporary = tempfile::tempdir().unwrap();
        let root = temporary.path();
        let folder = HostFolder::new(root, "web");
        let part = Part::first();
        let own = folder.table(&part, Hour(0));
        fs::create_dir_all(own.parent().unwrap()).unwrap();
        for path in [&own, &HostFolder::unfinished(&own)] {
            fs::write(path, "1234").unwrap();
        }
        for name in ["1.parquet", ".tmp.parquet", "a-b-00001.parquet", "20260102030405678-1-00001.journal"] {
            fs::write(own.with_file_name(name), "").unwrap();
        }
        let other = HostFolder::new(root, "order").table(&part, Hour(0));
        fs::create_dir_all(other.parent().unwrap()).unwrap();
        fs::write(&other, "").unwrap();
        let (complete, unfinished) = folder.tables().unwrap();
        assert_eq!((complete.len(), unfinished), (1, vec![HostFolder::unfinished(&own)]));
        assert_eq!((&complete[0].path, complete[0].len, &complete[0].part), (&own, 4, &part));

        assert!(hosts(root).unwrap().is_empty());
        fs::create_dir_all(folder.journals()).unwrap();
        let next = part.next();
        let open = JournalFile { path: folder.journal(&next), part: next, is_closed: false };
        for path in [&open.path, &folder.closed(&part).path, &folder.journals().join("lock")] {
            fs::write(path, "").unwrap();
        }
        assert_eq!(hosts(root).unwrap(), std::slice::from_ref(&folder));
        assert_eq!(folder.journal_files().unwrap(), [folder.closed(&part), open]);
    }
}
