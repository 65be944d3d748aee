//! Rows of Parquet files that rpcscope wrote, also after an engine has written them again, as objects. The crate's own reader of rows,
//! without Arrow, holds a row group at a time.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

use crate::body::Value;
use crate::contain::caught;
use crate::sink::parquet::SCHEMA;

/// Deepest nesting of a field; ours have two levels.
const MAX_DEPTH: usize = 8;

/// Passes the rows of a file to `take` until that says `false`.
pub(super) fn read(file: File, take: &mut dyn FnMut(Value) -> bool) -> Result<(), String> {
    let has_end = ends_table(&file);
    let reader = whole(has_end, || SerializedFileReader::new(file))?;
    let facts = reader.metadata().file_metadata().key_value_metadata();
    let schema = facts.and_then(|facts| facts.iter().find(|fact| fact.key == "rpcscope.schema"));
    match schema.and_then(|fact| fact.value.as_deref()) {
        // What follows a point only adds.
        Some(schema) if major(schema).is_some() && major(schema) == major(SCHEMA) => {}
        Some(other) => {
            let is_newer = major(other) > major(SCHEMA);
            let advice = if is_newer {
                "read it with the version that wrote it, or a newer one"
            } else {
                "write it again with this version"
            };
            let other = crate::text::escape(other);
            return Err(format!(
                "has columns of version {other}, and this rpcscope reads version {SCHEMA}: {advice}"
            ));
        }
        // Engines that write a table again drop what they don't know.
        None if has_columns(&reader) => {}
        None => {
            return Err(
                "is Parquet, but not of rpcscope calls --format parquet (no rpcscope.schema in it)".into()
            );
        }
    }
    if let Some(codec) = foreign_codec(&reader) {
        return Err(format!(
            "is compressed with {codec}, which is not read: let the engine write it again with zstd, snappy or nothing"
        ));
    }
    for group in 0..reader.num_row_groups() {
        let group = whole(has_end, || reader.get_row_group(group))?;
        let mut rows = whole(has_end, || group.get_row_iter(None))?;
        while let Some(row) = whole(has_end, || rows.next().transpose())? {
            if !take(object(&row)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What the crate reads of a file, or why it can't: it panics at some damages. `has_end`: of the file.
fn whole<T>(has_end: bool, read: impl FnOnce() -> Result<T, ParquetError>) -> Result<T, String> {
    let why = match caught(read) {
        Ok(Ok(read)) => return Ok(read),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "what it says of itself does not fit together".to_owned(),
    };
    let state = if has_end { "it is damaged" } else { "its end is missing: it was not written whole" };
    Err(format!("can't be read as Parquet: {why} ({state})"))
}

/// Whether a file ends as Parquet does.
fn ends_table(file: &File) -> bool {
    let mut magic = [0; 4];
    let begin = file.metadata().ok().and_then(|facts| facts.len().checked_sub(magic.len() as u64));
    begin.is_some_and(|begin| file.read_exact_at(&mut magic, begin).is_ok()) && magic == *b"PAR1"
}

/// Whether a file has the columns without which no row is a call of [`SCHEMA`].
fn has_columns(reader: &SerializedFileReader<File>) -> bool {
    let columns = reader.metadata().file_metadata().schema().get_fields();
    let has = |name: &&str| columns.iter().any(|column| column.name() == *name);
    ["uid", "start_ns", "client", "server", "class", "call_key", "conn_key"].iter().all(has)
}

/// A compression in which a column is, if it is none of those that are read.
fn foreign_codec(reader: &SerializedFileReader<File>) -> Option<Compression> {
    let columns = reader.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
    let mut codecs = columns.map(ColumnChunkMetaData::compression);
    codecs.find(|codec| {
        !matches!(codec, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::ZSTD(_))
    })
}

/// The number before the point of a version.
fn major(version: &str) -> Option<u32> {
    version.split('.').next()?.parse().ok()
}

/// A row as an object without its columns that are null.
fn object(row: &Row) -> Value {
    let fields = row.get_column_iter().filter(|(_, field)| !matches!(field, Field::Null));
    let skips = ["start", "end", "arrival"];
    // Microseconds, or what an engine made of them, of what another column has in nanoseconds.
    let is_time = |field: &Field| matches!(field, Field::TimestampMicros(_) | Field::TimestampMillis(_));
    let fields = fields.filter(|(name, field)| !(skips.contains(&name.as_str()) && is_time(field)));
    Value::Object(fields.map(|(name, field)| (name.clone(), value(field, 0))).collect())
}

fn value(field: &Field, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    match field {
        Field::Bool(truth) => Value::Bool(*truth),
        Field::Int(number) => Value::Int((*number).into()),
        Field::Long(number) | Field::TimestampMicros(number) => Value::Int(*number),
        Field::Double(number) => Value::Float(*number),
        Field::Str(text) => Value::Text(text.clone()),
        Field::ListInternal(list) => {
            Value::List(list.elements().iter().map(|element| value(element, depth + 1)).collect())
        }
        Field::MapInternal(map) => {
            let entry = |(name, field): &(Field, Field)| match name {
                Field::Str(name) => Some((name.clone(), value(field, depth + 1))),
                _ => None,
            };
            Value::Object(map.entries().iter().filter_map(entry).collect())
        }
        _ => Value::Null,
    }
}
