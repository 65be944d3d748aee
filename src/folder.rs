//! The names in a folder, for completing a path.

use std::io;
use std::path::Path;

/// Most names of a folder that are read.
const LONGEST_LISTING: usize = 10_000;

/// The names in a folder, sorted, at most 10,000, those of folders with a slash at their end. Names that are not UTF-8 are left
/// out, because nobody can type them.
pub(crate) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(LONGEST_LISTING) {
        let entry = entry?;
        let Ok(mut name) = entry.file_name().into_string() else { continue };
        // A link to a folder leads on as the folder does.
        if std::fs::metadata(entry.path()).is_ok_and(|about| about.is_dir()) {
            name.push('/');
        }
        names.push(name);
    }
    names.sort_unstable();
    Ok(names)
}
