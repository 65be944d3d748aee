//! Where the results of a command go, and which files they must not overwrite.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Failure, pager};
use crate::cli::{Color, Input, View};
use crate::sink::{self, Appearance, Losses, RecordWriter};
use crate::source::files;

/// A failure to write an output.
pub(super) fn unwritable(what: &str, error: &io::Error) -> Failure {
    Failure::Environment(format!("{what} can't be written: {}", sink::why_unwritable(error)))
}

/// The name of the output, for messages.
pub(super) fn name(output: Option<&Path>) -> String {
    output.map_or_else(|| "standard output".into(), |path| path.display().to_string())
}

/// Prints text on standard output, or in the pager. Returns `false` if the pipe is closed, which is a normal end.
pub(super) fn print(text: &[u8]) -> Result<bool, Failure> {
    let mut out: Box<dyn Write> = match pager::input() {
        Some(pipe) => Box::new(pipe),
        None => Box::new(io::stdout().lock()),
    };
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if sink::closed_pipe(&error) => Ok(false),
        Err(error) => Err(unwritable("standard output", &error)),
    }
}

/// Whether the path stands for standard output.
fn is_standard(path: Option<&Path>) -> bool {
    path == Some(Path::new("-"))
}

/// Opens the `-o` file, or standard output unless `-w -` writes packets there. A run whose packets come only once, or are written to
/// another file, continues after write errors and counts them in `losses`.
pub(super) fn writer(view: &View, losses: &Arc<Losses>) -> Result<RecordWriter, Failure> {
    let is_live = !view.input.interfaces.is_empty();
    let out = if let Some(path) = view.output.as_deref().filter(|path| *path != Path::new("-")) {
        RecordWriter::create(path, view.writes_each_line())
            .map_err(|error| unwritable(&path.display().to_string(), &error))?
    } else if is_standard(view.input.write.as_deref()) {
        // The packets go to standard output, as with tcpdump: text between them would damage the file.
        RecordWriter::new(Box::new(io::sink()), false)
    } else {
        if !comes_once(&view.input) && view.input.write.is_none() && !view.writes_each_line() {
            pager::start();
        }
        let is_watched =
            io::stdout().is_terminal() || is_live || view.input.follow || view.writes_each_line();
        let out: Box<dyn Write + Send> = match pager::input() {
            Some(pipe) => Box::new(pipe),
            None => Box::new(io::stdout()),
        };
        RecordWriter::new(out, is_watched)
    };
    let must_last = comes_once(&view.input) || view.input.write.is_some();
    Ok(if must_last { out.lasting(Arc::clone(losses)) } else { out })
}

/// Whether the packets can't be read again: those of interfaces, growing files, standard input.
pub(super) fn comes_once(input: &Input) -> bool {
    input.is_endless() || input.paths().iter().any(|path| is_standard(Some(path)))
}

/// How records look in this output.
pub(super) fn appearance(view: &View) -> Appearance {
    Appearance {
        fields: Vec::new(),
        width: if view.output.is_some() { None } else { columns() },
        time: view.time(),
        colored: colored(view.color, view.output.is_some()),
        totals: false,
    }
}

/// The width of the terminal on standard output.
pub(super) fn columns() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    crossterm::terminal::size().ok().map(|(columns, _)| columns.into())
}

/// Whether to use colours on standard output (<https://no-color.org>); terminals that know none are called dumb.
pub(super) fn colored(color: Color, to_file: bool) -> bool {
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
                || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            !to_file && !unwanted && io::stdout().is_terminal()
        }
    }
}

/// Rejects outputs that would overwrite an input or each other. Call this before opening anything.
pub(super) fn check(input: &Input, output: Option<&Path>) -> Result<(), Failure> {
    let packets = input.write.as_deref().filter(|path| *path != Path::new("-"));
    let records = output.filter(|path| *path != Path::new("-"));
    if let (Some(packets), Some(records)) = (packets, records)
        && (located(packets) == located(records) || is_same(regular(packets), regular(records)))
    {
        return Err(Failure::Usage(format!(
            "{}: -w and -o would write to the same file: name two",
            records.display()
        )));
    }
    if is_standard(input.write.as_deref()) && is_standard(output) {
        return Err(Failure::Usage(
            "-w and -o would both write to standard output: name a file for one of them".into(),
        ));
    }
    for (option, output) in [("-w", packets), ("-o", records)] {
        if let Some((output, program)) = output.and_then(|output| Some((output, packed_by(output)?))) {
            let plain = output.with_extension("");
            return Err(Failure::Usage(format!(
                "{}: outputs are not compressed: name {}, or pipe it: {option} - | {program} > {}",
                output.display(),
                plain.display(),
                output.display()
            )));
        }
    }
    let read = || input.paths().into_iter().chain(input.logs.iter().chain(&input.names).cloned());
    if read().filter(|path| is_standard(Some(path))).count() > 1 {
        return Err(Failure::Usage("standard input (-) is named twice: it can be read only once".into()));
    }
    let rotates = input.rotates();
    for path in read() {
        // An unreadable folder is reported when it is opened.
        for file in files::expand(&path).unwrap_or_default() {
            let read = if file == Path::new("-") { standard(&io::stdin()) } else { regular(&file) };
            let destroyed = [packets, records].into_iter().flatten().find(|output| {
                is_same(read.clone(), regular(output))
                    || (rotates && Some(*output) == packets && is_numbered(output, &file))
            });
            if let Some(output) = destroyed {
                let read =
                    if file == Path::new("-") { "standard input".into() } else { file.to_string_lossy() };
                let option = if Some(output) == packets { "-w" } else { "-o" };
                return Err(Failure::Usage(format!(
                    "{read} is read and would be overwritten: choose another name for {option}"
                )));
            }
            if records.is_none() && is_same(read, standard(&io::stdout())) {
                return Err(Failure::Usage(format!(
                    "{} is read, and standard output goes to it too: choose another file",
                    file.display()
                )));
            }
        }
    }
    Ok(())
}

/// Rejects an output that can't be written, before another one loses what it holds.
pub(super) fn check_writable(output: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = output.filter(|path| *path != Path::new("-")) else { return Ok(()) };
    openable(path).map_err(|error| unwritable(&path.display().to_string(), &error))
}

/// The program that packs files with such a name.
fn packed_by(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "gz" => Some("gzip"),
        "zst" => Some("zstd"),
        "xz" => Some("xz"),
        _ => None,
    }
}

/// Whether a file can be opened for writing, or created. Nothing is created or changed.
fn openable(path: &Path) -> io::Result<()> {
    match path.metadata() {
        // Opening a pipe would wait for its reader.
        Ok(facts) if !facts.is_file() && !facts.is_dir() => Ok(()),
        Ok(_) => OpenOptions::new().write(true).open(path).map(drop),
        Err(error) if error.kind() == ErrorKind::NotFound && !path.is_symlink() => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            rustix::fs::access(folder.unwrap_or(Path::new(".")), rustix::fs::Access::WRITE_OK)?;
            Ok(())
        }
        // The file that a link names is created.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Metadata of a regular file; other files can't be overwritten.
fn regular(path: &Path) -> Option<Metadata> {
    path.metadata().ok().filter(Metadata::is_file)
}

pub(super) fn standard(stream: &impl AsFd) -> Option<Metadata> {
    let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
    file.metadata().ok().filter(Metadata::is_file)
}

fn is_same(a: Option<Metadata>, b: Option<Metadata>) -> bool {
    a.zip(b).is_some_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// Folder and name of a file that may not exist yet.
fn located(path: &Path) -> Option<(PathBuf, std::ffi::OsString)> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((folder.canonicalize().ok()?, path.file_name()?.to_owned()))
}

/// Whether rotation of `output` could write to `file`, whose name is that of `output` and a number.
fn is_numbered(output: &Path, file: &Path) -> bool {
    let (Some((folder, name)), Some((other, numbered))) = (located(output), located(file)) else {
        return false;
    };
    let (name, numbered) = (name.to_string_lossy(), numbered.to_string_lossy());
    folder == other
        && numbered.strip_prefix(&*name).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}
