//! Writes changes into the config file: a new file beside it takes its place, so that nobody ever sees a part of it.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::change::{Change, changed};
use crate::source::fifo::Once;

/// Most bytes of a config file that are read.
const MAX_SIZE: u64 = 1 << 20;
/// Who may read and write a config file that is new.
const NEW_MODE: u32 = 0o600;
/// The same of its folder (XDG Base Directory Specification 0.8).
const NEW_FOLDER_MODE: u32 = 0o700;
/// Bits of a mode that say who may do what.
const MODE: u32 = 0o777;
/// The bit of a mode without which the owner may not write.
const MAY_WRITE: u32 = 0o200;

/// Reads the text of a config file; `None` if it is not there. An error names the file.
pub(super) fn text(path: &Path) -> Result<Option<String>, String> {
    let unreadable = |why: &dyn std::fmt::Display| format!("{}: {why}", path.display());
    let file = match Once::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let other = "no permission to read it; RPCSCOPE_CONFIG=FILE names another one";
            return Err(unreadable(&other));
        }
        file => file.map_err(|error| unreadable(&error))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(unreadable(&"longer than 1 MiB, so not a config file"));
    }
    String::from_utf8(bytes).map(Some).map_err(|_| unreadable(&"not UTF-8"))
}

/// The file behind symbolic links, where there are any.
#[must_use]
pub fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The folder in which a file at `path` is made: its own, or the nearest one above it that is there.
#[must_use]
pub fn folder(path: &Path) -> &Path {
    let above = path.ancestors().skip(1);
    let mut named = above.map(|folder| if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    named.find(|folder| folder.is_dir()).unwrap_or(Path::new("/"))
}

/// Makes changes in the config file at `path`, which is created if it is not there. `home` is that of the user.
///
/// # Errors
///
/// Says why, with the path and what can be done.
pub fn save(path: &Path, home: Option<&Path>, changes: &[Change]) -> Result<(), String> {
    let path = real(path);
    if path.is_symlink() {
        return Err(format!("{} is a link to a file that is not there", path.display()));
    }
    let old = text(&path)?;
    let mode = match fs::metadata(&path) {
        Ok(_) if old.is_none() => {
            return Err(format!("{} has just been made by another: try again", path.display()));
        }
        Ok(data) => {
            refuse(&path, &data)?;
            data.mode() & MODE
        }
        Err(_) => NEW_MODE,
    };
    let new = changed(old.as_deref().unwrap_or_default(), &path, home, changes)?;
    if old.as_deref() == Some(&*new) {
        return Ok(());
    }
    if new.len() as u64 > MAX_SIZE {
        return Err(format!("{} would be longer than 1 MiB", path.display()));
    }
    write(&path, &new, mode).map_err(|error| unwritable(&path, &error, changes))
}

/// Refuses files that their owner does not want changed, and those of others, who would lose them.
fn refuse(path: &Path, data: &fs::Metadata) -> Result<(), String> {
    let name = path.display();
    if !data.is_file() {
        return Err(format!("{name} is not a regular file"));
    }
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Err(format!("{name} belongs to another user: RPCSCOPE_CONFIG=FILE names one of yours"));
    }
    if data.mode() & MAY_WRITE == 0 {
        return Err(format!("{name} is read-only: chmod u+w makes it writable"));
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(NEW_FOLDER_MODE).create(parent)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = parent.join(format!(".{name}.{}.new", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    let made = fill(file, text, mode).and_then(|()| fs::rename(&temporary, path));
    if made.is_err() {
        _ = fs::remove_file(&temporary);
    }
    made
}

fn fill(mut file: File, text: &str, mode: u32) -> io::Result<()> {
    if file.metadata()?.mode() & MODE != mode {
        // The user's mask took something away.
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Why the file can't be written, and what to do.
fn unwritable(path: &Path, error: &io::Error, changes: &[Change]) -> String {
    let name = path.display();
    let lines: Vec<_> = changes.iter().map(Change::advice).collect();
    let lines = lines.join(" and ");
    match error.kind() {
        ErrorKind::PermissionDenied => {
            format!("no permission to write {name}: RPCSCOPE_CONFIG=FILE names another one, or add {lines}")
        }
        ErrorKind::ReadOnlyFilesystem => {
            format!("{name} can't be written, its folder is read-only: add {lines}")
        }
        _ => format!("{name}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc() -> [Change; 1] {
        [Change::word("time", "utc")]
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & MODE
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_new_file_is_its_owners_alone_and_so_is_its_folder() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join(".config/rpcscope/config.toml");
        assert_eq!(folder(&path), home.path());
        save(&path, None, &utc()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "time = \"utc\"\n");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(names(path.parent().unwrap()), ["config.toml"]);
        assert_eq!(folder(&path), path.parent().unwrap());
    }

    #[test]
    fn mode_and_links_of_a_file_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("dotfile"), dir.path().join("config.toml"));
        fs::write(&file, "# mine\n").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        save(&link, None, &utc()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\ntime = \"utc\"\n");
        assert_eq!(mode(&file), 0o666);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let before = fs::metadata(&file).unwrap().ino();
        save(&link, None, &utc()).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().ino(), before, "nothing to write");
    }

    #[test]
    fn a_file_that_may_not_be_written_is_named_and_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let refused = |text: &str, mode, said: &str| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = save(&path, None, &utc()).unwrap_err();
            assert!(error.contains(&*path.to_string_lossy()) && error.contains(said), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(names(dir.path()), ["config.toml"]);
            fs::remove_file(&path).unwrap();
        };
        refused("# mine\n", 0o444, "read-only");
        refused("theme = 'drak'\n", 0o600, ":1: theme is \"drak\"; did you mean dark?");
        let folder = save(dir.path(), None, &utc()).unwrap_err();
        assert!(folder.contains("directory"), "{folder}");
        let inside = dir.path().join("file");
        fs::write(&inside, "").unwrap();
        let error = save(&inside.join("config.toml"), None, &utc()).unwrap_err();
        assert!(error.contains("file/config.toml"), "{error}");
    }
}
