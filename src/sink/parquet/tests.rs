//! Files are read back by the reader of the same crate; other engines read them in `tests/it/engines.rs`.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};

use std::io::Write as _;

use super::*;
use crate::calls::keys::KEYS;
use crate::calls::sample;
use crate::sink::Shared;

/// Calls of a row group here, since reading takes long without optimisation.
const ROWS: usize = 100;

fn written(calls: &[Call]) -> Vec<u8> {
    let shared = Shared::default();
    let mut sink = Parquet::new(RecordWriter::new(Box::new(shared.clone()), false));
    sink.max_rows = ROWS;
    for call in calls {
        sink.call(call).unwrap();
    }
    sink.finish().unwrap();
    shared.bytes()
}

fn reader(bytes: &[u8]) -> SerializedFileReader<std::fs::File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    SerializedFileReader::new(file).unwrap()
}

fn rows(file: &[u8]) -> Vec<Row> {
    reader(file).get_row_iter(None).unwrap().map(Result::unwrap).collect()
}

fn object(row: &Row) -> Value {
    row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>().into()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Long(number) | Field::TimestampMicros(number) => (*number).into(),
        Field::Double(share) => (*share).into(),
        Field::Str(text) => text.as_str().into(),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => {
            let pair = |(name, field): &(Field, Field)| match name {
                Field::Str(name) => (name.clone(), value(field)),
                other => panic!("{other:?} is a name"),
            };
            map.entries().iter().map(pair).collect::<Map<_, _>>().into()
        }
        other => panic!("{other:?} is in no column"),
    }
}

#[test]
fn every_key_is_a_column_with_its_value() {
    let call = sample::full();
    let row = object(&rows(&written(std::slice::from_ref(&call)))[0]);
    for key in KEYS {
        assert!(!row[key.name].is_null(), "{}", key.name);
    }
    assert_eq!(row["uid"], call.uid.to_string());
    assert_eq!(row["start_ns"], call.start.0);
    assert_eq!(row["findings"], json!(["late-answer", "gap"]));
    assert_eq!(row["packets"], json!([call.packets.0, call.packets.1]));
    assert_eq!(row["biz_extra"]["cell"], "7");
    assert_eq!(row["metadata"]["x-user"], "7, 9, 8");
    assert_eq!(row["latency_ns"], call.latency.unwrap());
    assert_eq!(row["call_key"], call.key().unwrap().to_string());
}

#[test]
fn what_a_call_does_not_have_is_null_and_findings_are_an_empty_list() {
    let row = object(&rows(&written(&[sample::ok()]))[0]);
    for name in ["message", "biz_extra", "metadata", "request", "trace_id", "cancel_path", "host"] {
        assert!(row[name].is_null(), "{name}");
    }
    assert_eq!(row["findings"], json!([]));
}

#[test]
fn many_calls_make_several_row_groups_and_all_come_back() {
    let calls: Vec<Call> = (0..2 * ROWS as i64 + 7)
        .map(|id| Call { id: Some(id), ..if id % 3 == 0 { sample::full() } else { sample::ok() } })
        .collect();
    let file = written(&calls);
    assert_eq!(reader(&file).num_row_groups(), 3);
    let ids: Vec<i64> = rows(&file).iter().map(|row| object(row)["id"].as_i64().unwrap()).collect();
    assert_eq!(ids, (0..2 * ROWS as i64 + 7).collect::<Vec<_>>());
}

#[test]
fn large_texts_end_a_row_group_early() {
    let mut call = sample::ok();
    call.outcome.message = Some("x".repeat(MAX_BYTES / 4).into());
    assert_eq!(reader(&written(&vec![call; 9])).num_row_groups(), 3);
}

#[test]
fn no_calls_are_a_file_without_rows_and_the_layout_has_a_version() {
    let reader = reader(&written(&[]));
    assert_eq!(reader.num_row_groups(), 0);
    let metadata = reader.metadata().file_metadata();
    let version = metadata.key_value_metadata().unwrap().iter().find(|pair| pair.key == "rpcscope.schema");
    assert_eq!(version.and_then(|pair| pair.value.as_deref()), Some(SCHEMA));
}

#[test]
fn a_panic_leaves_a_file_that_can_be_read() {
    let shared = Shared::default();
    let mut sink = Parquet::new(RecordWriter::new(Box::new(shared.clone()), false));
    sink.call(&sample::ok()).unwrap();
    drop(sink);
    assert_eq!(rows(&shared.bytes()).len(), 1);
}

/// Takes so many bytes.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn on_a_full_disk_all_calls_count_as_lost_or_the_run_ends() {
    let calls = 2 * ROWS;
    let run = |losses: Option<Arc<Losses>>| -> io::Result<()> {
        let out = RecordWriter::new(Box::new(Full(1000)), false);
        let mut sink = Parquet::new(match losses {
            Some(losses) => out.lasting(losses),
            None => out,
        });
        (0..calls).try_for_each(|_| sink.call(&sample::ok()))?;
        sink.finish()
    };
    assert_eq!(run(None).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let losses = Arc::<Losses>::default();
    run(Some(Arc::clone(&losses))).unwrap();
    assert_eq!(losses.get().unwrap().0, calls as u64);
}
