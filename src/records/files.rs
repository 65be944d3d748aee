//! Which files a path stands for.

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::folder::{self, JournalFile};
use super::journal::{self, Journals, MAX_TRIES, Opened};

/// Deepest folder below the one that was named; `dt=…/hour=…/host=…` is three.
const MAX_DEPTH: usize = 16;

/// Endings of files of records.
const ENDINGS: [&str; 4] = [".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst"];

/// Why a file can't be opened, in few words.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file".into(),
        ErrorKind::PermissionDenied => "may not be read (permission denied)".into(),
        _ => error.to_string(),
    }
}

/// Whether a file is Parquet, by its first octets.
#[must_use]
pub fn is_table(path: &Path) -> bool {
    path.is_file() && fs::File::open(path).is_ok_and(|file| begins_table(&file))
}

/// The same of a file that is open. Its position stays.
pub(super) fn begins_table(file: &fs::File) -> bool {
    let mut magic = [0; 4];
    file.read_exact_at(&mut magic, 0).is_ok() && magic == *b"PAR1"
}

/// Whether a file is Parquet by its name.
pub(super) fn is_named_table(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "parquet")
}

/// What a path stands for.
#[derive(Debug, Default)]
pub struct Found {
    /// Files of records, in order of their paths.
    pub files: Vec<PathBuf>,
    /// What agents (`rpcscope record`) have not put into files yet.
    pub journals: Vec<Journals>,
    /// Whether agents changed their journals as often as the folder was looked through: calls may be missing.
    pub has_changed: bool,
}

/// What a path stands for: itself, or the files of records in a folder and in all folders below it, and the journals of agents that fill
/// it. Names that begin with `.` or `_` are passed over otherwise: writers give them to files that are not complete.
pub fn expand(path: &Path) -> Result<Found, String> {
    if !path.is_dir() {
        return Ok(Found { files: vec![path.to_owned()], ..Found::default() });
    }
    let mut found = Found::default();
    let mut tries = 0;
    loop {
        // Journals come first: what agents put into files meanwhile is seen twice then, but not missed.
        let before = journals(path).map_err(|error| reason(&error))?;
        found.files.clear();
        walk(path, 0, &mut found.files).map_err(|error| reason(&error))?;
        tries += 1;
        let now = journals(path).map_err(|error| reason(&error))?;
        let all = |journals: &[Journals]| -> Vec<JournalFile> {
            journals.iter().flat_map(Journals::files).cloned().collect()
        };
        // Calls may have moved to a journal that was not there yet.
        let is_same = all(&now.runs) == all(&before.runs);
        if is_same || tries == MAX_TRIES {
            found.journals = before.runs;
            found.has_changed = !is_same || before.has_changed;
            break;
        }
    }
    found.files.sort();
    if found.files.is_empty() && found.journals.is_empty() {
        Err("holds no records (*.parquet, *.jsonl, .gz and .zst too)".into())
    } else {
        Ok(found)
    }
}

/// The journals of all hosts.
fn journals(root: &Path) -> io::Result<Opened> {
    let mut all = Opened::default();
    for folder in folder::hosts(root)? {
        let mut opened = journal::open(&folder)?;
        all.runs.append(&mut opened.runs);
        all.has_changed |= opened.has_changed;
    }
    Ok(all)
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    let entries = match fs::read_dir(folder) {
        // An agent has just deleted the last file in it.
        Err(error) if error.kind() == ErrorKind::NotFound && depth > 0 => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(['.', '_']) {
            continue;
        }
        // Links to folders are not followed, because they can lead back.
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), depth + 1, found)?;
        } else if ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_stands_for_its_records() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert!(expand(root).unwrap_err().contains("no records"));
        let partition = root.join("dt=2026-01-02/hour=03/host=a");
        fs::create_dir_all(&partition).unwrap();
        fs::create_dir(root.join("_temporary")).unwrap();
        for name in ["x.parquet", ".y.parquet", "notes.txt", "z.jsonl.zst"] {
            fs::write(partition.join(name), "").unwrap();
        }
        fs::write(root.join("_temporary/part.parquet"), "").unwrap();
        fs::write(root.join("a.jsonl"), "").unwrap();
        std::os::unix::fs::symlink(root, partition.join("again")).unwrap();
        let names = expand(root).unwrap().files;
        let expected = [root.join("a.jsonl"), partition.join("x.parquet"), partition.join("z.jsonl.zst")];
        assert_eq!(names, expected);
        assert_eq!(expand(Path::new("-")).unwrap().files, [PathBuf::from("-")]);
        assert!(!is_table(&partition.join("x.parquet")));
    }
}
