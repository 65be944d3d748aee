//! Apache Parquet, for the engines that people ask questions of: one column for each key of the record, compressed with zstd.
//!
//! Column names, their order and their meaning are those of [`KEYS`]. What differs from JSON lines:
//!
//! | values | in Parquet |
//! | --- | --- |
//! | times | `TIMESTAMP(MICROS)` in UTC, which every engine reads, and a column `…_ns` with nanoseconds since 1970 |
//! | findings and other sets, lists | `LIST` of strings |
//! | maps (headers, details, `biz_extra`) | `MAP` from string to string; values of one name are joined with `, ` |
//! | shares (`parent_confidence`, `missed`) | `DOUBLE` |
//! | `packets` | `LIST` of two integers |
//! | bodies | their JSON as a string |
//! | texts | as they were on the wire, not escaped |
//!
//! The version of this layout stands in the file's metadata under `rpcscope.schema`. A file is complete only with its footer,
//! which comes last.
//!
//! Source: <https://parquet.apache.org/docs/file-format/>, and LogicalTypes.md of the format's repository.
//!
//! [`KEYS`]: crate::calls::keys::KEYS

mod columns;

use std::io;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use self::columns::Columns;
use super::{Losses, RecordWriter, Sink, Unframed, closed_pipe};
use crate::calls::record::Call;

/// Version of the columns, under `rpcscope.schema` in the file.
pub const SCHEMA: &str = "1";

/// Most calls of a row group.
const MAX_ROWS: usize = 32_768;

/// Most bytes of texts of a row group, unless one call has more.
const MAX_BYTES: usize = 16 << 20;

/// The sink for `--format parquet`. Connections are omitted.
pub struct Parquet {
    /// `None` after the end, and after an error.
    file: Option<SerializedFileWriter<Unframed>>,
    columns: Columns,
    /// Most calls of a row group.
    max_rows: usize,
    /// Counts the calls that are not in the file, where the run outlasts that.
    losses: Option<Arc<Losses>>,
    /// Calls in complete row groups.
    written: usize,
    /// A row group is being written.
    is_writing: bool,
}

impl std::fmt::Debug for Parquet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parquet").field("rows", &self.columns.rows()).finish_non_exhaustive()
    }
}

impl Parquet {
    /// Writes a file to `out`.
    #[must_use]
    pub fn new(out: RecordWriter) -> Self {
        let losses = out.losses();
        let file = begin(out.unframed());
        let columns = Columns::default();
        Self { file: Some(file), columns, max_rows: MAX_ROWS, losses, written: 0, is_writing: false }
    }

    /// Writes the calls so far as a row group.
    fn write_group(&mut self) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let rows = self.columns.rows();
        if rows > 0 {
            self.is_writing = true;
            let written = self.columns.write(file);
            self.is_writing = false;
            written.map_err(cause)?;
            self.written += rows;
        }
        Ok(())
    }

    /// Goes on without the file, if the run outlasts that.
    fn outlast(&mut self, result: io::Result<()>) -> io::Result<()> {
        let Err(error) = result else { return Ok(()) };
        self.file = None;
        match &self.losses {
            // A file without its end can't be read: nothing of it is left.
            Some(losses) if !closed_pipe(&error) => {
                losses.add(self.written + self.columns.rows(), &error);
                self.columns.clear();
                Ok(())
            }
            _ => Err(error),
        }
    }

    fn close(&mut self) -> io::Result<()> {
        self.write_group()?;
        match self.file.take() {
            Some(file) => {
                self.is_writing = true;
                let closed = file.close();
                self.is_writing = false;
                closed.map(drop).map_err(cause)
            }
            None => Ok(()),
        }
    }
}

/// A file with these columns and no rows.
fn begin(out: Unframed) -> SerializedFileWriter<Unframed> {
    let metadata = KeyValue::new("rpcscope.schema".to_owned(), SCHEMA.to_owned());
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by(concat!("rpcscope ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(vec![metadata]));
    for name in columns::UNIQUE {
        properties = properties.set_column_dictionary_enabled((*name).into(), false);
    }
    for name in columns::SEARCHED {
        properties = properties
            .set_column_bloom_filter_enabled((*name).into(), true)
            .set_column_bloom_filter_max_ndv((*name).into(), MAX_ROWS as u64);
    }
    let schema = columns::schema().expect("a schema that is the same in every run");
    // This only begins the buffer.
    let file = SerializedFileWriter::new(out, schema, Arc::new(properties.build()));
    file.expect("a buffer takes the first bytes")
}

/// The error of the output, where that is what failed.
fn cause(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(other) => io::Error::other(other),
        },
        other => io::Error::other(other),
    }
}

impl Sink for Parquet {
    fn call(&mut self, call: &Call) -> io::Result<()> {
        if self.file.is_none() {
            let Some(losses) = &self.losses else {
                return Err(io::Error::other("the file is lost"));
            };
            losses.count(1);
            return Ok(());
        }
        self.columns.push(call);
        if self.columns.rows() < self.max_rows && self.columns.bytes() < MAX_BYTES {
            return Ok(());
        }
        let written = self.write_group();
        self.outlast(written)
    }

    fn recover(&mut self) -> Option<usize> {
        if !self.is_writing {
            self.columns.recover();
            return None;
        }
        // Half a row group can't be taken back, and nothing of a file without its end can be read.
        let lost = self.written + self.columns.rows();
        (self.file, self.is_writing) = (None, false);
        self.columns.clear();
        Some(lost)
    }

    fn finish(&mut self) -> io::Result<()> {
        let closed = self.close();
        self.outlast(closed)
    }
}

impl Drop for Parquet {
    fn drop(&mut self) {
        // After a panic, which is reported already: the calls so far stay readable.
        _ = self.close();
    }
}

#[cfg(test)]
mod tests;
