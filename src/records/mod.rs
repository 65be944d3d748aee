//! Records that rpcscope wrote, read back: calls of other hosts and of earlier runs.
//!
//! | part | file |
//! | --- | --- |
//! | an object to a [`Call`] | `object.rs` |
//! | lines of JSON, compressed or not | `lines.rs` |
//! | rows of Parquet files | `table.rs` |
//! | what `rpcscope record` has not put into Parquet yet | `journal.rs` |
//! | names and places of what it writes | `folder.rs` |
//! | which files a folder stands for, and what they are | `files.rs` |
//!
//! Records may come from anywhere: what is wrong with one is an error that names its place and its key, and the others are read.
//!
//! [`Call`]: crate::calls::Call

mod files;
pub mod folder;
pub mod journal;
mod lines;
mod object;
#[cfg(feature = "parquet")]
mod table;

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

pub use files::{Found, expand, is_table};
pub use object::{Objects, Wrong};

use crate::body::Value;
use crate::calls::Call;

/// Receives what is read. `false` ends the reading.
pub type Take<'t> = &'t mut dyn FnMut(Result<Box<Call>, Fault>) -> bool;

/// A record that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// What it is counted in, and which one it is, from 1 on.
    pub place: (&'static str, u64),
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, number) = self.place;
        write!(f, "{}: {unit} {number}: {}", name(&self.path), self.what)
    }
}

/// What people call a file.
fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

/// Reads all calls of a file, or of standard input (`-`). An error says why the file can't be read, or not to its end.
pub fn read(path: &Path, objects: &mut Objects, take: Take<'_>) -> Result<(), String> {
    let because = |why: String| format!("{}: {why}", name(path));
    if path == Path::new("-") {
        return read_stream(Box::new(io::stdin()), path, objects, take).map_err(because);
    }
    let file = std::fs::File::open(path).map_err(|error| because(files::reason(&error)))?;
    if files::begins_table(&file) {
        return read_table(file, path, objects, take).map_err(because);
    }
    if files::is_named_table(path) && file.metadata().is_ok_and(|facts| facts.is_file() && facts.len() == 0) {
        return Err(because("is empty: whoever wrote this Parquet file did not get to its end".into()));
    }
    read_stream(Box::new(file), path, objects, take).map_err(because)
}

#[cfg(feature = "parquet")]
fn read_table(file: std::fs::File, path: &Path, objects: &mut Objects, take: Take<'_>) -> Result<(), String> {
    let mut row = 0;
    table::read(file, &mut |object: Value| {
        row += 1;
        match objects.call(&object) {
            Ok(call) => take(Ok(Box::new(call))),
            Err(wrong) => {
                take(Err(Fault { path: path.to_owned(), place: ("row", row), what: wrong.to_string() }))
            }
        }
    })
}

#[cfg(not(feature = "parquet"))]
fn read_table(_: std::fs::File, _: &Path, _: &mut Objects, _: Take<'_>) -> Result<(), String> {
    Err("is Parquet, which this rpcscope was built without (feature parquet)".into())
}

fn read_stream(
    stream: Box<dyn Read>,
    path: &Path,
    objects: &mut Objects,
    take: Take<'_>,
) -> Result<(), String> {
    lines::read(stream, &mut |number, line| {
        let read = line.and_then(|line| {
            let value: Value = serde_json::from_slice(line).map_err(|error| {
                if error.is_eof() { "the line is cut off".into() } else { format!("is no JSON: {error}") }
            })?;
            match value.get("type") {
                // What stands between the calls in the same streams.
                Some(Value::Text(kind)) if matches!(kind.as_str(), "connection" | "totals") => Ok(None),
                Some(Value::Text(kind)) if kind != "call" => {
                    let kind = crate::text::escape(kind);
                    Err(format!(
                        "is of type {kind}: only records of calls (rpcscope calls --link) are judged"
                    ))
                }
                _ => objects.call(&value).map(|call| Some(Box::new(call))).map_err(|wrong| wrong.to_string()),
            }
        });
        match read {
            Ok(None) => true,
            Ok(Some(call)) => take(Ok(call)),
            Err(what) => take(Err(Fault { path: path.to_owned(), place: ("line", number), what })),
        }
    })
}
