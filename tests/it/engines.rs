//! Engines that people use read the files of `--format parquet` as the records of `--format jsonl` say.
//!
//! They are Python packages: the tests need a `python3` (or what `RPCSCOPE_PYTHON` names) that has them, and say which one is missing.
//! `make engines-test` installs all of them.

use std::process::Command;

use serde_json::Value;

use crate::support;

/// An engine.
struct Engine {
    name: &'static str,
    /// Fails where it is missing.
    needs: &'static str,
    /// Prints the rows as JSON lines; `TABLE` is the file's path. Each engine reads with its own code.
    reads: &'static str,
}

const fn engine(name: &'static str, needs: &'static str, reads: &'static str) -> Engine {
    Engine { name, needs, reads }
}

const ENGINES: &[Engine] = &[
    engine(
        "pyarrow",
        "import pyarrow",
        "import pyarrow.parquet as pq
table = pq.read_table(TABLE)
for row in table.to_pylist():
    emit(row, dict(row['biz_extra'] or []), int(row['start'].timestamp() * 1_000_000))",
    ),
    engine(
        "DuckDB",
        "import duckdb",
        "import duckdb
query = 'select *, epoch_us(\"start\") as micros from read_parquet(?)'
cursor = duckdb.execute(query, [TABLE])
names = [column[0] for column in cursor.description]
for values in cursor.fetchall():
    row = dict(zip(names, values))
    emit(row, row['biz_extra'] or {}, row['micros'])",
    ),
    engine(
        "Polars",
        "import polars",
        "import polars
for row in polars.read_parquet(TABLE).to_dicts():
    emit(row, dict(row['biz_extra'] or {}), int(row['start'].timestamp() * 1_000_000))",
    ),
    engine(
        "ClickHouse",
        "import chdb",
        "import chdb
query = f\"select *, toUnixTimestamp64Micro(start) as micros from file('{TABLE}', Parquet) settings output_format_json_quote_64bit_integers=0\"
for line in str(chdb.query(query, 'JSONEachRow')).splitlines():
    row = json.loads(line)
    emit(row, row['biz_extra'], row['micros'])",
    ),
    engine(
        "DataFusion",
        "import datafusion",
        "import datafusion
for row in datafusion.SessionContext().read_parquet(TABLE).to_pylist():
    emit(row, dict(row['biz_extra'] or []), int(row['start'].timestamp() * 1_000_000))",
    ),
    engine(
        "Spark",
        "import os, pyspark, shutil; assert shutil.which('java') or os.environ.get('JAVA_HOME'), 'no Java'",
        "import os
from pyspark.sql import SparkSession
os.environ['SPARK_LOCAL_IP'] = '127.0.0.1'
spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', False).getOrCreate()
for row in spark.read.parquet(TABLE).selectExpr('*', 'unix_micros(start) as micros').collect():
    row = row.asDict()
    emit(row, row['biz_extra'] or {}, row['micros'])",
    ),
];

/// What is compared of a row: text, numbers of both kinds, keys, times, lists, a map; and which columns have no value.
const EMIT: &str = "
import json, sys
TABLE = sys.argv[1]
KEYS = ['uid', 'client', 'class', 'service', 'method', 'code', 'message', 'latency_ns', 'start_ns', 'call_key', 'parent_key',
    'conn_key', 'parent_confidence', 'timeout_ns', 'ret', 'func_ret', 'field_id', 'missed', 'findings']
def emit(row, extra, micros):
    known = {key: row[key] for key in KEYS if row[key] is not None}
    print(json.dumps({**known, 'biz_extra': extra, 'micros': micros, 'packets': list(row['packets'])}))
";

pub(crate) fn python() -> String {
    std::env::var("RPCSCOPE_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// Keys that are the same in a record of JSON lines.
const KEYS: &[&str] = &[
    "uid",
    "client",
    "class",
    "service",
    "method",
    "code",
    "message",
    "latency_ns",
    "call_key",
    "parent_key",
    "conn_key",
    "parent_confidence",
    "timeout_ns",
    "ret",
    "func_ret",
    "field_id",
    "missed",
    "findings",
];

/// The same of a record of JSON lines.
fn expected(record: &Value) -> Value {
    let mut known = serde_json::Map::new();
    for key in KEYS {
        if !record[key].is_null() {
            known.insert((*key).into(), record[key].clone());
        }
    }
    let start: jiff::Timestamp = record["start"].as_str().expect("a time").parse().expect("RFC 3339");
    known.insert("start_ns".into(), i64::try_from(start.as_nanosecond()).expect("in range").into());
    known.insert("micros".into(), start.as_microsecond().into());
    known.insert("packets".into(), record["packets"].clone());
    let extra = record["biz_extra"].as_object().cloned().unwrap_or_default();
    known.insert("biz_extra".into(), extra.into());
    known.into()
}

#[test]
fn engines_read_what_the_records_say() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("calls.parquet");
    let captures = support::captures();
    let records = |format: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
        command.args(["calls", "--link", "--format", format]).arg(captures.join("demo/all-classes.pcap"));
        command
    };
    let output = records("parquet").arg("-o").arg(&table).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(records("jsonl").output().expect("it starts").stdout).expect("UTF-8");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let wanted: Vec<Value> = lines.iter().map(expected).collect();
    assert!(wanted.iter().any(|row| row["biz_extra"].as_object().is_some_and(|extra| !extra.is_empty())));
    for key in KEYS {
        assert!(wanted.iter().any(|row| !row[*key].is_null()), "{key}");
    }
    for Engine { name: engine, needs, reads } in ENGINES {
        let has = Command::new(python()).args(["-c", needs]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: {} has no {engine}, so that it read nothing", python());
            continue;
        }
        let program = format!("{EMIT}{reads}");
        let output = Command::new(python()).args(["-c", &program]).arg(&table).output().expect("it starts");
        assert!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
        let rows = String::from_utf8(output.stdout).expect("UTF-8");
        let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
        assert_eq!(rows, wanted, "{engine}");
    }
}

/// What engines make of a file when they write it again; `TABLE` is its path, `COPY` the other one's.
const WRITERS: &[Engine] = &[
    engine(
        "pyarrow",
        "import pyarrow",
        "import pyarrow.parquet as pq
pq.write_table(pq.read_table(TABLE), COPY)",
    ),
    engine(
        "DuckDB",
        "import duckdb",
        "import duckdb
duckdb.execute(f\"copy (from '{TABLE}') to '{COPY}' (format parquet)\")",
    ),
    engine(
        "Polars",
        "import polars",
        "import polars
polars.read_parquet(TABLE).write_parquet(COPY, compression='snappy')",
    ),
    engine(
        "DataFusion",
        "import datafusion",
        "import datafusion
datafusion.SessionContext().read_parquet(TABLE).write_parquet(COPY, compression='snappy')",
    ),
    engine(
        "Spark",
        "import os, pyspark, shutil; assert shutil.which('java') or os.environ.get('JAVA_HOME'), 'no Java'",
        "import os
from pyspark.sql import SparkSession
os.environ['SPARK_LOCAL_IP'] = '127.0.0.1'
spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', False).getOrCreate()
spark.read.parquet(TABLE).coalesce(1).write.parquet(COPY)",
    ),
];

#[test]
fn chains_of_files_that_engines_wrote_again_are_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("calls.parquet");
    let capture = support::captures().join("trpc/chain-mixed.pcap");
    let rpcscope = |args: &[&str], file: &std::path::Path| {
        Command::new(env!("CARGO_BIN_EXE_rpcscope")).args(args).arg(file).output().expect("it starts")
    };
    let path = table.to_str().expect("UTF-8");
    let output = rpcscope(
        &["calls", "--link", "--host", "shop", "--metadata", "--format", "parquet", "-o", path],
        &capture,
    );
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let wanted = rpcscope(&["chains", "--format", "jsonl"], &table).stdout;
    assert!(!wanted.is_empty());
    for Engine { name: engine, needs, reads } in WRITERS {
        let has = Command::new(python()).args(["-c", needs]).output();
        if !has.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: {} has no {engine}, so that it wrote nothing again", python());
            continue;
        }
        let copy = folder.path().join(format!("{engine}.parquet"));
        let program = format!("import sys\nTABLE, COPY = sys.argv[1:]\n{reads}");
        let mut command = Command::new(python());
        let output = command.args(["-c", &program]).args([&table, &copy]).output().expect("it starts");
        assert!(output.status.success(), "{engine}: {}", String::from_utf8_lossy(&output.stderr));
        let chains = rpcscope(&["judge", "--format", "jsonl"], &copy);
        assert!(chains.status.success(), "{engine}: {}", String::from_utf8_lossy(&chains.stderr));
        assert!(chains.stdout == wanted, "{engine}");
    }
}
