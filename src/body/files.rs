//! Files of one kind in a folder.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::LoadError;

/// Most files of a folder.
const FILES_LIMIT: usize = 10_000;

/// The deepest folder that is entered.
const DEPTH_LIMIT: usize = 32;

/// The files of a folder that end in `.extension`, in those within it too, sorted; a file is itself, whatever its name.
pub(super) fn of(source: &Path, extension: &str) -> Result<Vec<PathBuf>, LoadError> {
    if !source.is_dir() {
        return Ok(vec![source.to_owned()]);
    }
    let mut found = Vec::new();
    collect(source, extension, 0, &mut HashSet::new(), &mut found)?;
    if found.is_empty() {
        return Err(LoadError(format!("{}: no file in it ends in .{extension}", source.display())));
    }
    found.sort();
    Ok(found)
}

/// `entered` ends circles of links.
fn collect(
    folder: &Path,
    extension: &str,
    depth: usize,
    entered: &mut HashSet<PathBuf>,
    found: &mut Vec<PathBuf>,
) -> Result<(), LoadError> {
    let failed = |error: std::io::Error| LoadError(format!("{}: {error}", folder.display()));
    if !entered.insert(fs::canonicalize(folder).map_err(failed)?) {
        return Ok(());
    }
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            if depth < DEPTH_LIMIT {
                collect(&path, extension, depth + 1, entered, found)?;
            }
        } else if path.is_file() && path.extension().is_some_and(|found| found == extension) {
            if found.len() == FILES_LIMIT {
                return Err(LoadError(format!("{}: more than {FILES_LIMIT} files", folder.display())));
            }
            found.push(path);
        }
    }
    Ok(())
}
