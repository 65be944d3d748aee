//! Each host links its own calls and writes its own records, by its own clock; what is made of all of them together must be what the
//! capture of all hosts shows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::*;

/// The hosts of a capture, each with its own file and its own records.
struct Fleet {
    files: Files,
    /// Lines.
    records: Vec<String>,
}

impl Fleet {
    fn of(frames: &[Frame], net: Net) -> Self {
        let (mut files, mut records) = (Files::new(), Vec::new());
        for (name, packets) in split(frames, net, &|_, _| false) {
            let file = format!("{name}.pcap");
            files.add(&file, &packets);
            let output = program(&files, &["calls", "--link", "--format", "jsonl", "--host", &name, &file]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            records.extend(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned));
        }
        Self { files, records }
    }
}

/// The records of all hosts of a bundled capture, each by its own clock, and what each host captured, in the folder.
pub(crate) fn bundled(capture: &str) -> (Vec<String>, Vec<PathBuf>, tempfile::TempDir) {
    let Fleet { files, records } = Fleet::of(&stretched(capture, NEAR), NEAR);
    (records, files.paths, files.folder)
}

/// What `rpcscope judge` says of lines: standard output, standard error, status.
fn judge(lines: &[String], args: &[&str]) -> (Vec<String>, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.arg("judge").args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It writes nothing before it has read all.
    child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let lines = text(output.stdout).lines().map(str::to_owned).collect();
    (lines, text(output.stderr), output.status.code().unwrap())
}

fn judged(lines: &[String]) -> Vec<String> {
    let (chains, said, status) = judge(lines, &["--format", "jsonl"]);
    assert_eq!((said.as_str(), status), ("", 0));
    chains
}

fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A chain by the keys of its calls: the tree with classes and codes, the origin, the way up, the changes.
fn shape(chain: &Value) -> String {
    let calls = chain["calls"].as_array().unwrap();
    let key_of: BTreeMap<&str, &str> = calls
        .iter()
        .map(|call| (call["uid"].as_str().unwrap(), call["call_key"].as_str().unwrap()))
        .collect();
    let key = |uid: &Value| uid.as_str().and_then(|uid| key_of.get(uid).copied());
    let hop = |call: &Value| {
        let parent = key(&call["parent"]);
        format!("{} {:?} {} {} {}", call["call_key"], parent, call["depth"], call["class"], call["code"])
    };
    let change = |change: &Value| {
        let places = (key(&change["call"]), key(&change["below"]));
        format!("{places:?} {} {} {}", change["finding"], change["from"], change["to"])
    };
    let hops: Vec<String> = calls.iter().map(hop).collect();
    let mut changes: Vec<String> = chain["changes"].as_array().unwrap().iter().map(change).collect();
    changes.sort();
    let path: Vec<_> = chain["path"].as_array().unwrap().iter().map(key).collect();
    format!("{hops:#?} {:?} {path:?} {changes:#?}", chain["origin"]["call_key"])
}

/// The keys of the calls of a chain.
fn keys(chain: &Value) -> Vec<String> {
    let key = |call: &Value| call["call_key"].as_str().unwrap().to_owned();
    chain["calls"].as_array().unwrap().iter().map(key).collect()
}

fn is_sure(chain: &Value) -> bool {
    let sure = |call: &Value| call["depth"] == 0 || call["confidence"].as_f64().unwrap() >= 0.8;
    chain["calls"].as_array().unwrap().iter().all(|call| sure(call) && call["rivals"].is_null())
}

#[test]
fn records_of_each_host_make_the_chains_of_the_whole() {
    let (mut same, mut different) = (0, 0);
    for (capture, net) in CHAINS.iter().flat_map(|capture| [(capture, NEAR), (capture, FAR)]) {
        let frames = stretched(capture, net);
        let fleet = Fleet::of(&frames, net);
        let found = parsed(&judged(&fleet.records));
        let mut all = Files::new();
        let packets: Vec<Captured> = frames.iter().map(|frame| captured(frame, frame.time)).collect();
        all.add("whole.pcap", &packets);
        let whole = program(&all, &["chains", "--format", "jsonl", "whole.pcap"]);
        let whole: Vec<String> =
            String::from_utf8(whole.stdout).unwrap().lines().map(str::to_owned).collect();
        let whole = parsed(&whole);
        // Every call is in one chain, once.
        let all_keys = |chains: &[Value]| -> Vec<String> {
            let mut all: Vec<String> = chains.iter().flat_map(keys).collect();
            all.sort();
            all
        };
        assert_eq!(all_keys(&found), all_keys(&whole), "{capture}");
        let found_shapes: BTreeSet<String> = found.iter().map(shape).collect();
        for chain in &whole {
            if found_shapes.contains(&shape(chain)) {
                same += 1;
                continue;
            }
            // Links that are not sure are not in the records of a host.
            assert!(!is_sure(chain), "{capture} {net:?}: {:#}", chain["sentence"]);
            different += 1;
        }
    }
    assert!(same > 250 && different < 10, "{same} same, {different} different");
}

#[test]
fn neither_the_order_nor_other_trees_change_a_chain() {
    let frames = stretched("trpc/chain-mixed.pcap", NEAR);
    let Fleet { mut records, .. } = Fleet::of(&frames, NEAR);
    let expected = judged(&records);
    let mut dice = Dice(7);
    for _ in 0..3 {
        for at in (1..records.len()).rev() {
            records.swap(at, dice.roll(at as u64 + 1) as usize);
        }
        assert_eq!(judged(&records), expected);
    }
    // Divided by roots.
    let part_of: BTreeMap<String, usize> = parsed(&expected)
        .iter()
        .enumerate()
        .flat_map(|(at, chain)| keys(chain).into_iter().map(move |key| (key, at % 3)))
        .collect();
    let mut parts = vec![Vec::new(); 3];
    for record in records {
        let call: Value = serde_json::from_str(&record).unwrap();
        parts[part_of[call["call_key"].as_str().unwrap()]].push(record);
    }
    let mut together: Vec<String> = parts.iter().flat_map(|part| judged(part)).collect();
    let mut expected = expected;
    together.sort();
    expected.sort();
    assert_eq!(together, expected);
}

#[test]
fn a_chain_whose_root_is_left_out_begins_below_it_and_says_so() {
    let frames = stretched("kitex/kitex-chains.pcap", NEAR);
    let Fleet { records, .. } = Fleet::of(&frames, NEAR);
    let chains = parsed(&judged(&records));
    let roots: BTreeSet<String> = chains.iter().map(|chain| keys(chain).remove(0)).collect();
    let depth_1 =
        |chain: &Value| chain["calls"].as_array().unwrap().iter().filter(|call| call["depth"] == 1).count();
    let expected: usize = chains.iter().map(depth_1).sum();
    let is_root = |line: &String| {
        let call: Value = serde_json::from_str(line).unwrap();
        roots.contains(call["call_key"].as_str().unwrap())
    };
    let rest: Vec<String> = records.iter().filter(|line| !is_root(line)).cloned().collect();
    let (found, said, status) = judge(&rest, &["--format", "jsonl"]);
    assert!(expected > 5 && status == 0, "{expected}");
    assert_eq!(found.iter().filter(|chain| chain.contains("\"parent-missing\"")).count(), expected);
    assert!(said.contains(&format!("{expected} calls whose parent is in none of the records")), "{said}");
}

#[cfg(feature = "parquet")]
#[test]
fn folders_of_parquet_are_read_as_lines_are() {
    let frames = stretched("trpc/chain-business.pcap", NEAR);
    let Fleet { files, records } = Fleet::of(&frames, NEAR);
    for path in &files.paths {
        let host = path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = files.folder.path().join(format!("calls/dt=2026-01-02/hour=03/host={host}"));
        std::fs::create_dir_all(&folder).unwrap();
        let table = folder.join("calls.parquet").to_string_lossy().into_owned();
        let args =
            ["calls", "--link", "--format", "parquet", "-o", &table, "--host", &host, path.to_str().unwrap()];
        assert!(program(&files, &args).status.success());
    }
    let expected = judged(&records).join("\n") + "\n";
    for args in [["chains", "calls", "--format", "jsonl"], ["judge", "calls", "--format", "jsonl"]] {
        let output = program(&files, &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((String::from_utf8(output.stdout).unwrap(), said.as_str()), (expected.clone(), ""));
    }
    // Captures are not records.
    let first = files.paths[0].file_name().unwrap().to_str().unwrap();
    assert_eq!(program(&files, &["chains", "calls", first]).status.code(), Some(2));
    assert_eq!(program(&files, &["judge", first]).status.code(), Some(1));
    assert_eq!(program(&files, &["chains", "calls", "--evidence", "ids"]).status.code(), Some(2));
}

/// Writes the records of each host as Parquet, into `calls/host=…`.
#[cfg(feature = "parquet")]
fn write_tables(files: &Files) {
    for path in &files.paths {
        let host = path.file_stem().unwrap().to_string_lossy().into_owned();
        let folder = files.folder.path().join(format!("calls/host={host}"));
        std::fs::create_dir_all(&folder).unwrap();
        let table = folder.join("1.parquet").to_string_lossy().into_owned();
        let file = path.to_str().unwrap();
        let args = ["calls", "--link", "--format", "parquet", "-o", &table, "--host", &host, file];
        assert!(program(files, &args).status.success());
    }
}

#[cfg(feature = "parquet")]
#[test]
fn clickhouse_joins_the_ends_of_calls_as_duckdb_does() {
    const PROGRAM: &str = r#"
import chdb.session, duckdb, json, sys
calls, folder = sys.argv[1:]
duckdb.execute(f"set variable calls = '{calls}'")
duckdb.execute(open(f'{folder}/join.sql').read())
clickhouse = chdb.session.Session()
clickhouse.query('create database fleet engine = Atomic')
clickhouse.query('use fleet')
settings = "settings use_hive_partitioning = 0, schema_inference_mode = 'union'"
clickhouse.query(f"create view calls as select * from file('{calls}', Parquet) {settings}")
lines = open(f'{folder}/clickhouse.sql').read().splitlines()
for statement in chr(10).join(line for line in lines if not line.lstrip().startswith('--')).split(';'):
    if statement.strip():
        clickhouse.query(statement)
VIEWS = {
    'observed': 'call_key host place hosts known is_whole',
    'joined': 'call_key class carrier code code_name message network_ns ahead_ns work_ns seen is_caller is_answer_lost host callee_host',
    'lost': 'client server service method host callee_host message call_key',
    'turns': 'callee callee_method callee_class callee_code service method class code turn calls example',
    'pairs': 'caller callee calls business rpc_errors transport unanswered answers_lost p50_ms p99_ms network_p50_ms',
}
def emit(view, engine, rows):
    numbers = [{key: int(value) if isinstance(value, bool) else value for key, value in row.items()} for row in rows]
    print(json.dumps({'view': view, 'engine': engine, 'rows': sorted(json.dumps(row) for row in numbers)}))
for view, columns in VIEWS.items():
    names = columns.split()
    query = f"select {', '.join(names)} from {view}"
    emit(view, 'duckdb', (dict(zip(names, row)) for row in duckdb.execute(query).fetchall()))
    lines = str(clickhouse.query(f'{query} settings output_format_json_quote_64bit_integers = 0', 'JSONEachRow')).splitlines()
    emit(view, 'clickhouse', map(json.loads, lines))
"#;
    let python = crate::engines::python();
    let has = Command::new(&python).args(["-c", "import duckdb, chdb"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {python} has no chdb (ClickHouse) beside duckdb, so that it joined nothing");
        return;
    }
    let mut rows_of: BTreeMap<String, usize> = BTreeMap::new();
    for capture in ["trpc/chain-mixed.pcap", "trpc/chain-timeout.pcap", "kitex/kitex-chains.pcap"] {
        let frames = stretched(capture, NEAR);
        let Fleet { files, .. } = Fleet::of(&frames, NEAR);
        write_tables(&files);
        let tables = files.folder.path().join("calls/*/*.parquet");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet");
        let output = Command::new(&python).args(["-c", PROGRAM]).args([&tables, &folder]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        let views = parsed(&lines);
        for pair in views.chunks(2) {
            assert_eq!(pair[0]["rows"], pair[1]["rows"], "{capture}: {}", pair[0]["view"]);
            let rows = pair[0]["rows"].as_array().unwrap().len();
            *rows_of.entry(pair[0]["view"].as_str().unwrap().to_owned()).or_default() += rows;
        }
        assert_eq!(views.len(), 10);
    }
    assert!(["observed", "joined", "turns", "pairs"].iter().all(|view| rows_of[*view] > 5), "{rows_of:?}");
}

#[cfg(feature = "parquet")]
#[test]
fn sql_joins_the_ends_of_calls_as_chains_do() {
    const PROGRAM: &str = "
import duckdb, json, sys
duckdb.execute(f\"set variable calls = '{sys.argv[1]}'\")
duckdb.execute(open(sys.argv[2]).read())
names = ['call_key', 'class', 'code', 'network_ns', 'seen', 'is_answer_lost']
for row in duckdb.execute('select ' + ', '.join(names) + ' from joined').fetchall():
    print(json.dumps(dict(zip(names, row))))
for view in ['lost', 'turns', 'pairs']:
    print(json.dumps({'view': view, 'rows': duckdb.execute(f'select count(*) from {view}').fetchone()[0]}))
";
    let python = crate::engines::python();
    let has = Command::new(&python).args(["-c", "import duckdb"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {python} has no duckdb, so that it joined nothing");
        return;
    }
    for capture in
        ["trpc/chain-mixed.pcap", "kitex/kitex-chains.pcap", "grpc/chain-grpc-ttheader-grpc-concurrent.pcap"]
    {
        let frames = stretched(capture, NEAR);
        let Fleet { files, records } = Fleet::of(&frames, NEAR);
        write_tables(&files);
        let joins = Path::new(env!("CARGO_MANIFEST_DIR")).join("fleet/join.sql");
        let tables = files.folder.path().join("calls/**/*.parquet");
        let output = Command::new(&python).args(["-c", PROGRAM]).args([&tables, &joins]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let rows: Vec<String> =
            String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
        let (rows, views): (Vec<Value>, Vec<Value>) =
            parsed(&rows).into_iter().partition(|row| row["view"].is_null());
        let text = |row: &Value| row.to_string();
        let mut found: Vec<String> = rows.iter().map(text).collect();
        let chains = parsed(&judged(&records));
        let calls = chains.iter().flat_map(|chain| chain["calls"].as_array().unwrap());
        let mut expected: Vec<String> = calls
            .map(|call| {
                let lost = call["findings"].as_array().unwrap().contains(&"answer-lost".into());
                let seen = call["seen"].as_u64().unwrap_or(1);
                text(&serde_json::json!({
                    "call_key": call["call_key"], "class": call["class"], "code": call["code"],
                    "network_ns": call["network_ns"], "seen": seen, "is_answer_lost": lost,
                }))
            })
            .collect();
        found.sort();
        expected.sort();
        let differ: Vec<_> =
            found.iter().zip(&expected).filter(|(found, expected)| found != expected).collect();
        assert!(differ.is_empty() && found.len() == expected.len(), "{capture}: {differ:#?}");
        assert!(
            views.iter().any(|view| view["view"] == "turns" && view["rows"].as_u64() > Some(0)),
            "{views:?}"
        );
    }
}

#[test]
fn hostile_records_are_left_out_and_named() {
    let frames = stretched("trpc/chain-business.pcap", NEAR);
    let Fleet { records, .. } = Fleet::of(&frames, NEAR);
    let expected = judged(&records);
    let deep = format!("{{\"a\":{}", "[".repeat(100_000));
    let cut = &records[0][..records[0].len() / 2];
    let odd = [
        "{",
        "{}",
        "[1]",
        "{\"type\":\"chain\"}",
        "\u{7f}\u{1b}[31m",
        &deep,
        cut,
        "{\"type\":\"call\",\"uid\":1e999}",
    ];
    let mut mixed = records.clone();
    for (at, line) in odd.iter().enumerate() {
        mixed.insert(at * mixed.len() / odd.len() + 1, (*line).to_owned());
    }
    mixed.push("{\"type\":\"totals\"}".to_owned());
    let (chains, said, status) = judge(&mixed, &["--format", "jsonl"]);
    assert_eq!((chains == expected, status), (true, 1), "{said}");
    assert!(said.contains("line 2: ") && said.contains("3 more records left out"), "{said}");
    assert!(!said.contains('\u{1b}'));
}

#[test]
fn totals_count_what_became_of_the_records() {
    let frames = stretched("trpc/chain-mixed.pcap", NEAR);
    let Fleet { mut records, .. } = Fleet::of(&frames, NEAR);
    let chains = judged(&records);
    let (summary, _, _) = judge(&records, &["--format", "jsonl", "--summary"]);
    assert!(summary.len() > 5, "{summary:?}");
    let taken = records.len() as u64;
    records.push("{}".to_owned());
    records.push(records[0].clone());
    let (lines, _, status) = judge(&records, &["--format", "jsonl", "--totals"]);
    let (last, others) = lines.split_last().unwrap();
    assert_eq!((others, status), (&[chains, summary].concat()[..], 1));
    let totals: Value = serde_json::from_str(last).unwrap();
    assert_eq!(totals["type"], "totals");
    let counted = ["records", "rejected", "repeated", "left_out"].map(|key| totals[key].as_u64());
    assert_eq!(counted, [taken + 1, 1, 1, 0].map(Some), "{last}");
    assert!(totals["linked"].as_u64() > Some(5), "{last}");
    for args in [&["--totals"][..], &["--totals", "--summary", "--format", "jsonl"]] {
        assert_eq!(judge(&[], args).2, 2);
    }
}

#[test]
fn streams_without_chains_say_why() {
    let (chains, said, status) = judge(&[], &["--format", "jsonl"]);
    assert_eq!((chains.len(), status), (0, 0));
    assert!(said.contains("no records of calls"), "{said}");
    let mut files = Files::new();
    let frames = stretched("trpc/chain-business.pcap", NEAR);
    let packets: Vec<Captured> = frames.iter().map(|frame| captured(frame, frame.time)).collect();
    files.add("whole.pcap", &packets);
    let unlinked = program(&files, &["calls", "--format", "jsonl", "whole.pcap"]);
    let unlinked: Vec<String> =
        String::from_utf8(unlinked.stdout).unwrap().lines().map(str::to_owned).collect();
    let (chains, said, _) = judge(&unlinked, &["--format", "jsonl"]);
    assert_eq!(chains.len(), unlinked.len());
    assert!(said.contains("no record names a parent"), "{said}");
    let (chains, said, _) = judge(&unlinked, &["--format", "jsonl", "-Y", "code == 424242"]);
    assert!(chains.is_empty() && said.contains("matches the filter"), "{said}");
    let (_, _, status) = judge(&unlinked, &["--fail-on", "business"]);
    assert_eq!(status, 3);
}
