//! Which files a path stands for.

use std::fs;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

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
    let mut magic = [0; 4];
    path.is_file()
        && fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok()
        && magic == *b"PAR1"
}

/// The files that a path stands for: itself, or the files of records in a folder and in all folders below it, in order of their paths.
/// Names that begin with `.` or `_` are passed over: writers give them to files that are not complete.
pub fn expand(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    walk(path, 0, &mut found).map_err(|error| reason(&error))?;
    found.sort();
    if found.is_empty() {
        Err("holds no records (*.parquet, *.jsonl, .gz and .zst too)".into())
    } else {
        Ok(found)
    }
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
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
        let names: Vec<_> = expand(root).unwrap();
        let expected = [root.join("a.jsonl"), partition.join("x.parquet"), partition.join("z.jsonl.zst")];
        assert_eq!(names, expected);
        assert_eq!(expand(Path::new("-")).unwrap(), [PathBuf::from("-")]);
        assert!(!is_table(&partition.join("x.parquet")));
    }
}
