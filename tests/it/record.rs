//! `rpcscope record`: whatever happens to the program, each call is in the folder once, and readers never see half a file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rpcscope::calls::record::Finding;
use rpcscope::calls::{Call, Uid};
use rpcscope::pipeline::Options;
use rpcscope::records::folder::{HostFolder, Hour, Part};
use rpcscope::records::{self, Objects};
use rpcscope::sink::jsonl::write_call;
use rpcscope::sink::packets::Rotation;
use rpcscope::sink::record::{Place, Recorder, Settings, Summary};
use rustix::process::{Pid, Signal, kill_process};

use crate::endings::{CALLS, Peers, filter, wait_for_files};
use crate::engines::python;
use crate::support;

fn rpcscope(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_rpcscope")).args(args).stdin(Stdio::null()).output();
    output.expect("the program starts")
}

/// Records a file, and returns what was said.
fn record(file: &Path, dir: &Path, more: &[&str]) -> String {
    let (file, dir) = (file.to_str().expect("text"), dir.to_str().expect("text"));
    let output = rpcscope(&[&["record", file, "--dir", dir, "--host", "web"], more].concat());
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    said
}

pub(crate) fn line(call: &Call) -> String {
    let mut line = Vec::new();
    write_call(&mut line, call);
    String::from_utf8(line).expect("UTF-8")
}

/// The records of complete files; each must be readable.
pub(crate) fn tables(dir: &Path) -> Vec<String> {
    let Ok(found) = records::expand(dir) else { return Vec::new() };
    found.files.iter().flat_map(|path| table(path)).collect()
}

fn table(path: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let read = records::read(path, &mut Objects::default(), &mut |call| {
        lines.push(line(&call.expect("a call")));
        true
    });
    read.expect("a whole file");
    lines
}

/// All records, those in journals too.
pub(crate) fn everything(dir: &Path) -> Vec<String> {
    let Ok(found) = records::expand(dir) else { return Vec::new() };
    let mut lines: Vec<String> = found.files.iter().flat_map(|path| table(path)).collect();
    for run in found.journals {
        let is_there = |path: &Path| found.files.iter().any(|file| file == path);
        run.read(&mut Objects::default(), &is_there, &mut |_, call| {
            lines.push(line(&call.expect("a call")));
        })
        .expect("readable");
    }
    lines
}

pub(crate) fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

/// The files in a folder and below it, as paths in it.
pub(crate) fn files(dir: &Path) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, all: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, all);
            } else {
                all.push(path.strip_prefix(root).expect("inside").display().to_string());
            }
        }
    }
    let mut all = Vec::new();
    walk(dir, dir, &mut all);
    all.sort();
    all
}

pub(crate) fn journals(dir: &Path) -> Vec<String> {
    files(dir).into_iter().filter(|path| path.starts_with("_journal") && !path.ends_with("lock")).collect()
}

/// A capture of each folder, and those of chains.
fn some_captures() -> Vec<PathBuf> {
    let mut of_folder: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    let mut chosen = Vec::new();
    for path in support::bundled(".pcap") {
        let folder = path.parent().expect("a folder").to_owned();
        if folder.ends_with("chains") {
            chosen.push(path);
        } else {
            of_folder.entry(folder).or_insert(path);
        }
    }
    chosen.extend(of_folder.into_values());
    assert!(chosen.len() > 10, "{chosen:?}");
    chosen
}

#[test]
fn records_of_captures_are_those_of_calls() {
    for capture in some_captures() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("records");
        let said = record(&capture, &dir, &["--metadata"]);
        let name = capture.to_str().expect("text");
        let output = rpcscope(&["calls", name, "--link", "--format", "jsonl", "--host", "web", "--metadata"]);
        let expected: Vec<String> =
            String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect();
        // Parquet does not tell headers of requests and answers apart.
        let plain = |lines: Vec<String>| {
            let plain = lines.into_iter().map(|line| {
                let mut value: serde_json::Value = serde_json::from_str(&line).expect("JSON");
                let members = value.as_object_mut().expect("an object");
                for key in ["metadata", "details", "goaway", "likely", "process"] {
                    if members.contains_key(key) {
                        members.insert(key.into(), true.into());
                    }
                }
                value.to_string()
            });
            sorted(plain.collect())
        };
        assert!(said.contains("recording to") && said.contains("recorded "), "{said}");
        assert_eq!(plain(tables(&dir)), plain(expected), "{name}");
        assert_eq!(journals(&dir), [""; 0]);
    }
}

#[test]
fn calls_lie_in_the_folders_of_their_hours_and_engines_read_them_as_one_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("records");
    record(&support::captures().join("demo/all-classes.pcap"), &dir, &[]);
    let mut hours = BTreeMap::new();
    for path in records::expand(&dir).expect("records").files {
        for record in table(&path) {
            let record: serde_json::Value = serde_json::from_str(&record).expect("JSON");
            let start = record["start"].as_str().expect("a time");
            let partition = format!("dt={}/hour={}/host=web/", &start[..10], &start[11..13]);
            assert!(path.to_str().expect("text").contains(&partition), "{} {start}", path.display());
            *hours.entry(partition).or_insert(0) += 1;
        }
    }
    assert_eq!(hours.len(), 2, "the capture lasts from one hour into the next");
    let script = "
import sys, pyarrow.dataset as ds
table = ds.dataset(sys.argv[1], partitioning='hive').to_table()
for row in table.group_by(['dt', 'hour', 'host']).aggregate([('uid', 'count')]).to_pylist():
    print('dt=%s/hour=%02d/host=%s/ %d' % (row['dt'], row['hour'], row['host'], row['uid_count']))
";
    if !Command::new(python())
        .args(["-c", "import pyarrow.dataset"])
        .output()
        .is_ok_and(|out| out.status.success())
    {
        assert!(std::env::var_os("RPCSCOPE_PYTHON").is_none(), "pyarrow is missing");
        eprintln!("SKIPPED: no pyarrow");
        return;
    }
    let output = Command::new(python()).args(["-c", script]).arg(&dir).output().expect("it starts");
    let read = String::from_utf8_lossy(&output.stdout).into_owned();
    let expected = hours.iter().map(|(partition, count)| format!("{partition} {count}")).collect::<Vec<_>>();
    assert_eq!(sorted(read.lines().map(str::to_owned).collect()), expected, "{output:?}");
}

/// Calls with links between them, in two hours.
pub(crate) fn calls() -> Vec<Call> {
    let path = support::captures().join("demo/all-classes.pcap");
    let mut calls = support::calls(&[path], &Options::default());
    for at in 1..calls.len() {
        if at % 3 == 0 {
            let (uid, key) = (calls[at - 1].uid, calls[at - 1].key());
            (calls[at].parent, calls[at].parent_key) = (Some(uid), key);
            calls[at].parent_confidence = Some(rpcscope::calls::Share::of(0.9));
        }
    }
    calls
}

/// The call as it is when it is decided.
pub(crate) fn unlinked(call: &Call) -> Call {
    let call = Call { parent: None, parent_key: None, parent_confidence: None, ..call.clone() };
    Call { parent_evidence: None, rivals: None, missed: None, ..call }
}

/// The record of a call whose link is not known.
pub(crate) fn line_without_link(call: &Call) -> String {
    let mut call = call.clone();
    call.findings.insert(Finding::NotLinked);
    line(&call)
}

pub(crate) fn settings(dir: &Path, rotation: Rotation) -> Settings {
    Settings { folder: HostFolder::new(dir, "web"), rotation, keep: None }
}

pub(crate) fn start(settings: Settings) -> Recorder {
    let place = Place::take(settings).expect("a folder").expect("no other agent");
    Recorder::start(place, |_: &str| {}).expect("a recorder")
}

/// Starts and ends an agent.
pub(crate) fn pass_by(settings: Settings) -> Summary {
    start(settings).finish()
}

/// A copy of the folder as a crash would leave it: what is written to journals and complete files, in an order in which
/// the agent can't move calls past it.
fn crashed(dir: &Path) -> tempfile::TempDir {
    loop {
        let copy = tempfile::tempdir().expect("a folder");
        let (journals, tables): (Vec<String>, Vec<String>) = {
            let journals = journals(dir);
            let copied = journals.iter().all(|path| copied(dir, copy.path(), path));
            if !copied {
                continue;
            }
            (journals, files(dir).into_iter().filter(|path| path.starts_with("dt=")).collect())
        };
        assert!(!journals.is_empty());
        for path in tables {
            copied(dir, copy.path(), &path);
        }
        return copy;
    }
}

/// Copies a file; `false` if it is gone.
fn copied(from: &Path, to: &Path, path: &str) -> bool {
    fs::create_dir_all(to.join(path).parent().expect("a folder")).expect("writable");
    fs::copy(from.join(path), to.join(path)).is_ok()
}

const SMALL: Rotation = Rotation { bytes: Some(8_000), span: None, files: None, quota: None };

#[test]
fn at_every_moment_each_call_is_there_once_for_readers_and_after_a_crash() {
    let calls = calls();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let mut recorder = start(settings(dir, SMALL));
    // Calls wait to be linked for a while.
    let patience = 17;
    let mut expected: BTreeMap<Uid, String> = BTreeMap::new();
    for at in 0..calls.len() + patience {
        if let Some(call) = calls.get(at) {
            recorder.decided(&unlinked(call));
            expected.insert(call.uid, line_without_link(&unlinked(call)));
        }
        if let Some(call) = at.checked_sub(patience).and_then(|at| calls.get(at)) {
            if call.uid.packet % 5 == 0 {
                recorder.left_out(call.uid);
                expected.remove(&call.uid);
            } else {
                recorder.linked(call);
                expected.insert(call.uid, line(call));
            }
        }
        recorder.flush();
        let expected = sorted(expected.values().cloned().collect());
        assert_eq!(sorted(everything(dir)), expected, "{at}");
        if at % 4 == 0 {
            let crashed = crashed(dir);
            let summary = pass_by(settings(crashed.path(), SMALL));
            assert!(!summary.has_failed);
            assert_eq!(sorted(tables(crashed.path())), expected, "{at}");
            let left = files(crashed.path()).into_iter().filter(|path| !path.ends_with(".parquet"));
            assert_eq!(left.collect::<Vec<_>>(), ["_journal/host=web/lock"]);
        }
    }
    let summary = recorder.finish();
    assert_eq!(summary.calls, expected.len() as u64);
    assert!(summary.files > 5 && summary.lost == 0 && !summary.has_failed, "{summary:?}");
    assert_eq!(sorted(tables(dir)), sorted(expected.into_values().collect()));
    assert_eq!(journals(dir), [""; 0]);
}

#[test]
fn a_crash_while_files_get_their_names_doubles_no_call() {
    let calls = calls();
    let folder = tempfile::tempdir().expect("a folder");
    let mut recorder = start(settings(folder.path(), Rotation::default()));
    for call in &calls {
        recorder.decided(&unlinked(call));
        recorder.linked(call);
    }
    recorder.flush();
    let before = crashed(folder.path());
    assert_eq!(recorder.finish().calls, calls.len() as u64);
    let expected: Vec<String> = sorted(calls.iter().map(line).collect());
    let tables_there: Vec<String> =
        files(folder.path()).into_iter().filter(|path| path.starts_with("dt=")).collect();
    assert_eq!(tables_there.len(), 2);
    // Of the two hours, one has its file already, beside the journal that holds both.
    for there in &tables_there {
        let crashed = tempfile::tempdir().expect("a folder");
        for path in journals(before.path()) {
            assert!(copied(before.path(), crashed.path(), &path));
        }
        assert!(copied(folder.path(), crashed.path(), there));
        let half = HostFolder::unfinished(&crashed.path().join(there));
        fs::write(&half, "PAR1 and no more").expect("writable");
        assert!(!pass_by(settings(crashed.path(), SMALL)).has_failed);
        assert_eq!(sorted(tables(crashed.path())), expected);
        assert!(!half.exists());
    }
}

#[test]
fn a_part_whose_file_cant_be_written_doubles_no_call_that_the_next_one_took_over() {
    let calls = calls();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let first = Hour::of(calls[0].start);
    // A file stands where the folder of the first hour should be.
    let place = HostFolder::new(dir, "web").table(&Part::first(), first);
    let place = place.parent().expect("a folder");
    fs::create_dir_all(place.parent().expect("a folder")).expect("writable");
    fs::write(place, "").expect("writable");
    // Each call that is linked begins a part, and all others are carried on.
    let mut recorder = start(settings(dir, Rotation { bytes: Some(1), ..SMALL }));
    for call in &calls {
        recorder.decided(&unlinked(call));
    }
    for call in &calls {
        recorder.linked(call);
    }
    let summary = recorder.finish();
    let of_first = calls.iter().filter(|call| Hour::of(call.start) == first).count();
    assert_eq!(summary.calls, (calls.len() - of_first) as u64);
    assert!(of_first > 0 && summary.files > 0 && summary.lost == 0 && summary.has_failed, "{summary:?}");
    let expected: Vec<String> = sorted(calls.iter().map(line).collect());
    assert_eq!(sorted(everything(dir)), expected);
    fs::remove_file(place).expect("it is there");
    assert!(!pass_by(settings(dir, SMALL)).has_failed);
    assert_eq!(sorted(tables(dir)), expected);
    assert_eq!(journals(dir), [""; 0]);
}

#[test]
fn lines_that_cant_be_read_are_kept_for_a_person() {
    let calls = calls();
    let folder = tempfile::tempdir().expect("a folder");
    let mut recorder = start(settings(folder.path(), Rotation::default()));
    for call in &calls {
        recorder.decided(call);
    }
    recorder.flush();
    let crashed = crashed(folder.path());
    // Calls that were never linked stay in a journal at any end.
    assert_eq!(recorder.finish().calls, 0);
    let expected = sorted(calls.iter().map(line_without_link).collect());
    assert_eq!(sorted(everything(folder.path())), expected);
    assert_eq!(pass_by(settings(folder.path(), SMALL)).files, 2);
    assert_eq!(sorted(tables(folder.path())), expected);
    let journal = crashed.path().join(&journals(crashed.path())[0]);
    let text = fs::read_to_string(&journal).expect("text");
    fs::write(&journal, text.replacen("\"class\":\"", "\"class\":\"no-", 1)).expect("writable");
    let summary = pass_by(settings(crashed.path(), SMALL));
    assert!(summary.has_failed);
    assert_eq!(tables(crashed.path()).len(), calls.len() - 1);
    assert_eq!(journal.with_extension("damaged").metadata().expect("kept").len(), text.len() as u64 + 3);
}

#[test]
fn the_oldest_files_of_this_host_make_room_and_no_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let calls = calls();
    let fill = |settings: Settings| {
        let mut recorder = start(settings);
        for call in &calls {
            recorder.decided(&unlinked(call));
            recorder.linked(call);
        }
        recorder.finish()
    };
    let other = Settings { folder: HostFolder::new(dir, "order"), ..settings(dir, SMALL) };
    let there = fill(other);
    let foreign = dir.join("dt=2020-01-01/hour=00/host=web/mine.parquet");
    fs::create_dir_all(foreign.parent().expect("a folder")).expect("writable");
    fs::write(&foreign, vec![0; 1 << 20]).expect("writable");
    let of_web = || -> u64 {
        let all = files(dir);
        let of_web = all.iter().filter(|path| path.contains("host=web/2") && path.ends_with(".parquet"));
        of_web.map(|path| dir.join(path).metadata().expect("there").len()).sum()
    };
    let unlimited = fill(settings(dir, SMALL));
    assert_eq!((unlimited.deleted, of_web()), (0, unlimited.bytes));
    // Room for about half of what is there already, and then of what comes.
    let of_run = |runs: &dyn Fn(&String) -> bool| -> Vec<String> {
        let of_web = |path: &String| path.contains("host=web/2") && runs(path);
        files(dir).into_iter().filter(|path| of_web(path)).collect()
    };
    let old = of_run(&|_| true);
    let quota = unlimited.bytes / 2 + 8_000;
    let summary = fill(settings(dir, Rotation { quota: Some(quota), ..SMALL }));
    let (kept, new) = (of_run(&|path| old.contains(path)), of_run(&|path| !old.contains(path)));
    assert_eq!((kept.len() + new.len()) as u64, unlimited.files + summary.files - summary.deleted);
    assert!(summary.deleted > 0 && !new.is_empty(), "{summary:?}");
    // The oldest went first.
    assert!(kept.is_empty() || new.len() as u64 == summary.files, "{kept:?} {new:?}");
    let number = |path: &String| path[path.len() - 13..].to_owned();
    let gone = old.iter().filter(|path| !kept.contains(path)).map(number).max();
    assert!(kept.iter().map(number).min().is_none_or(|first| gone.is_none_or(|gone| gone <= first)));
    assert!(of_web() <= quota, "{} of {quota}", of_web());
    assert!(summary.lost == 0 && !summary.has_failed && foreign.exists());
    let of_order = files(dir).into_iter().filter(|path| path.contains("host=order/2")).count() as u64;
    assert_eq!(of_order, there.files);

    // By age.
    let own: Vec<PathBuf> =
        files(dir).iter().filter(|path| path.contains("host=web/2")).map(|path| dir.join(path)).collect();
    let old = SystemTime::now() - Duration::from_secs(8 * 86_400);
    for path in own.iter().skip(1).chain([&foreign]) {
        fs::File::options().write(true).open(path).expect("there").set_modified(old).expect("a time");
    }
    let keep = Some(Duration::from_secs(7 * 86_400));
    let summary = pass_by(Settings { keep, ..settings(dir, SMALL) });
    assert_eq!(summary.deleted, own.len() as u64 - 1);
    assert!(own[0].exists() && foreign.exists());
    // Where nothing is left, the folder goes too; others stay.
    let hours = fs::read_dir(dir).expect("readable").count();
    assert!(hours >= 2, "{:?}", files(dir));
}

/// `rpcscope record` whose input lasts.
struct Agent {
    child: Child,
    err: BufReader<std::process::ChildStderr>,
}

impl Agent {
    /// Waits until it said this.
    fn start(mut command: Command, until: &str) -> Self {
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut err = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        while !line.contains(until) {
            line.clear();
            assert!(err.read_line(&mut line).expect("readable") > 0, "it ended");
        }
        Self { child, err }
    }

    fn live(mut command: Command, peers: &Peers, dir: &Path) -> Self {
        command
            .args(["record", "-i", "lo", "--host", "web", "-f", &filter(peers.listener()), "--dir"])
            .arg(dir);
        command.stdin(Stdio::null());
        Self::start(command, "listening on lo")
    }

    /// Reads what is written to its input.
    fn piped(dir: &Path, host: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
        command.args(["record", "-", "--host", host, "--dir"]).arg(dir).stdin(Stdio::piped());
        Self::start(command, "recording to")
    }

    fn end(mut self, signal: Signal) -> (ExitStatus, String) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
        let mut said = String::new();
        self.err.read_to_string(&mut said).expect("UTF-8");
        (self.child.wait().expect("it ends"), said)
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_rpcscope"))
}

/// Waits until so many calls are in the journals of the host.
fn wait_for_calls(dir: &Path, calls: usize) {
    wait_for_files(&HostFolder::new(dir, "web").journals(), || everything(dir).len() >= calls);
}

#[test]
fn signals_that_end_a_run_leave_complete_files() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let Some(peers) = Peers::new() else { return };
        let folder = tempfile::tempdir().expect("a folder");
        let agent = Agent::live(program(), &peers, folder.path());
        peers.call(CALLS);
        let (status, said) = agent.end(signal);
        assert!(status.success(), "{said}");
        assert!(said.contains(&format!("recorded {CALLS} calls in 1 file")), "{said}");
        assert_eq!(tables(folder.path()).len(), CALLS);
        assert_eq!(journals(folder.path()), [""; 0]);
    }
}

#[test]
fn what_was_recorded_before_a_kill_is_there_after_the_next_start() {
    let Some(peers) = Peers::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let mut calls = 0;
    // Killed several times in a row: journals of more than one run.
    for _ in 0..3 {
        let agent = Agent::live(program(), &peers, dir);
        peers.call(CALLS);
        calls += CALLS;
        wait_for_calls(dir, calls);
        assert!(!agent.end(Signal::KILL).0.success());
        // Chains are shown of what is not in a file yet.
        let output = rpcscope(&["chains", dir.to_str().expect("text"), "--format", "jsonl"]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).expect("text").lines().count(), calls);
    }
    let capture = support::captures().join("demo/all-classes.pcap");
    let said = record(&capture, dir, &[]);
    assert!(said.contains("of a run that did not end well recovered from its journal"), "{said}");
    let more = support::calls(&[capture], &Options::default()).len();
    assert_eq!(tables(dir).len(), calls + more);
    assert_eq!(journals(dir), [""; 0]);
}

#[test]
fn a_killed_run_on_a_pipe_leaves_what_it_had_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let capture = support::captures().join("kitex/kitex-mixed.pcap");
    let bytes = fs::read(&capture).expect("readable");
    let mut agent = Agent::piped(dir, "web");
    let mut input = agent.child.stdin.take().expect("piped");
    input.write_all(&bytes).expect("it reads");
    let journals_folder = HostFolder::new(dir, "web").journals();
    wait_for_files(&journals_folder, || !everything(dir).is_empty());
    let before: Vec<String> = everything(dir);
    agent.end(Signal::KILL);
    drop(input);
    assert!(!pass_by(settings(dir, SMALL)).has_failed);
    let after = tables(dir);
    assert!(before.iter().all(|call| after.contains(call)), "{} {}", before.len(), after.len());
}

#[test]
fn a_pipe_completes_files_by_the_clock_of_its_packets() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    // Ten minutes of an old capture, as fast as they are read.
    let capture = support::captures().join("demo/all-classes.pcap");
    let bytes = fs::read(&capture).expect("readable");
    let mut agent = Agent::piped(dir, "web");
    let mut input = agent.child.stdin.take().expect("piped");
    let deadline = Instant::now() + Duration::from_secs(60);
    // What is left in the pipe are not all of these minutes.
    let (most, rest) = bytes.split_at(bytes.len() - 1_000);
    input.write_all(most).expect("it reads");
    while tables(dir).is_empty() {
        assert!(Instant::now() < deadline, "no file before the end: {:?}", files(dir));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_ne!(journals(dir), [""; 0], "it goes on");
    input.write_all(rest).expect("it reads");
    drop(input);
    let mut said = String::new();
    agent.err.read_to_string(&mut said).expect("UTF-8");
    assert!(agent.child.wait().expect("it ends").success(), "{said}");
    let uids = |lines: Vec<String>| {
        let uid =
            |line: &String| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["uid"].to_string();
        sorted(lines.iter().map(uid).collect())
    };
    let calls = support::calls(&[capture], &Options::default());
    assert_eq!(uids(tables(dir)), uids(calls.iter().map(line).collect()));
    assert_eq!(journals(dir), [""; 0]);
}

#[test]
fn one_agent_of_a_host_and_any_number_of_hosts() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    let name = dir.to_str().expect("text");
    let first = Agent::piped(dir, "web");
    let capture = support::captures().join("demo/all-classes.pcap");
    let capture = capture.to_str().expect("text");
    let second = rpcscope(&["record", capture, "--dir", name, "--host", "web"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8(second.stderr).expect("text");
    assert!(said.contains("another rpcscope record writes the files of host web"), "{said}");
    let journal = journals(dir);
    assert_eq!(journal.len(), 1, "the first one's");
    let other = rpcscope(&["record", capture, "--dir", name, "--host", "order"]);
    assert!(other.status.success(), "{other:?}");
    assert_eq!(journals(dir), journal);
    let (status, said) = first.end(Signal::TERM);
    assert!(status.success(), "{said}");
    assert!(rpcscope(&["record", capture, "--dir", name, "--host", "web"]).status.success());
}

#[test]
fn a_full_disk_is_said_and_what_it_cost_is_counted() {
    let Some(peers) = Peers::new() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    // No file may be larger than this: neither the journal of all calls nor a Parquet file.
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 16; exec \"$@\"", "sh"]).arg(env!("CARGO_BIN_EXE_rpcscope"));
    let agent = Agent::live(limited, &peers, dir);
    peers.call(CALLS);
    let (status, said) = agent.end(Signal::INT);
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("recording goes on"), "{said}");
    let lost =
        said.lines().find_map(|line| line.strip_suffix(" calls lost")?.rsplit(' ').next()?.parse().ok());
    let lost: usize = lost.unwrap_or_else(|| panic!("{said}"));
    assert!(!pass_by(settings(dir, SMALL)).has_failed);
    let kept = tables(dir).len();
    // Calls are kept that were written before there was no more room, with or without their links.
    assert!(said.contains("the next start makes Parquet of"), "{said}");
    assert!(lost > 0 && kept > 0, "{said}");
    assert_eq!(kept + lost, CALLS);
}

#[test]
fn a_file_that_is_deleted_before_it_is_read_is_said_and_no_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    record(&support::captures().join("demo/all-classes.pcap"), dir, &[]);
    let name = dir.to_str().expect("text");
    let before = rpcscope(&["chains", name, "--format", "jsonl"]);
    // The folder has its name, but it can't be opened any more.
    let gone = dir.join("gone.parquet");
    std::os::unix::fs::symlink(dir.join("deleted"), &gone).expect("writable");
    let after = rpcscope(&["chains", name, "--format", "jsonl"]);
    let said = String::from_utf8(after.stderr).expect("text");
    assert!(after.status.success() && said.contains("1 file deleted before"), "{said}");
    assert_eq!(before.stdout, after.stdout);
    // Whoever names a file means it.
    let named = rpcscope(&["judge", name, gone.to_str().expect("text")]);
    let said = String::from_utf8(named.stderr).expect("text");
    assert!(named.status.code() == Some(1) && said.contains("no such file"), "{said}");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let capture = support::captures().join("demo/all-classes.pcap");
    let capture = capture.to_str().expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().join("x");
    let name = dir.to_str().expect("text");
    for (args, why) in [
        (&["record", capture, "--dir", name][..], "--host"),
        (&["record", capture, "--dir", name, "--host", "a", "-w", "x.pcap"], "record writes no packets"),
        (
            &["record", capture, "--dir", name, "--host", "a", "-w", "x.pcap", "--comments"],
            "record writes no packets",
        ),
        (&["record", capture, "--host", "a"], "--dir"),
        (&["record", "--dir", name, "--host", "a"], "nothing to read"),
        (&["record", capture, "--dir", name, "--host", "a", "-Y", "clas == ok"], "clas"),
    ] {
        let output = rpcscope(args);
        let said = String::from_utf8(output.stderr).expect("text");
        assert!(output.status.code() == Some(2) && said.contains(why), "{args:?}: {said}");
        assert!(!dir.exists());
    }
    // A filter chooses what is recorded, also by what is known only later.
    for (filter, is_linked) in [("class == business", false), ("parent_confidence >= 0", true)] {
        let dir = folder.path().join(if is_linked { "linked" } else { "business" });
        record(Path::new(capture), &dir, &["-Y", filter]);
        let found = tables(&dir);
        let wanted = if is_linked { "\"parent\":" } else { "\"class\":\"business\"" };
        assert!(found.iter().all(|line| line.contains(wanted)) && (is_linked || !found.is_empty()));
        assert!(!found.iter().any(|line| line.contains("\"metadata\"")));
        assert_eq!(journals(&dir), [""; 0]);
    }
}
