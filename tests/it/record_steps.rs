//! `rpcscope record` killed between any two steps: of a rotation, of the one after it, and of the start that recovers. Each folder that
//! can be left behind is laid out, and holds each call once, for readers and after the next start.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rpcscope::sink::packets::Rotation;

use crate::record::{
    calls, everything, files, journals, line, line_without_link, pass_by, settings, sorted, start, tables,
    unlinked,
};

/// Files of a folder by their paths in it.
type Folder = BTreeMap<String, Vec<u8>>;

/// What the steps leave, as the program writes it.
struct Run {
    /// The journal of the first part with its last line, and its name when it is closed.
    first: (String, Vec<u8>),
    closed: String,
    /// That of the second one, when it has taken over what was not linked, and with all links.
    second: (String, Vec<u8>),
    linked: Vec<u8>,
    /// The Parquet files of both parts: each has calls of two hours.
    tables: [Folder; 2],
    /// All calls, when every second one is linked, and when all are.
    half: Vec<String>,
    whole: Vec<String>,
}

fn read(dir: &Path, paths: &[String]) -> Folder {
    paths.iter().map(|path| (path.clone(), fs::read(dir.join(path)).expect("readable"))).collect()
}

fn only(dir: &Path, name: &str) -> (String, Vec<u8>) {
    let paths: Vec<String> = journals(dir).into_iter().filter(|path| path.ends_with(name)).collect();
    assert_eq!(paths.len(), 1, "{name} in {:?}", journals(dir));
    read(dir, &paths).pop_first().expect("one")
}

fn run() -> Run {
    let calls = calls();
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    // A part ends with the next tick.
    let mut recorder = start(settings(dir, Rotation { span: Some(Duration::ZERO), ..Rotation::default() }));
    for call in &calls {
        recorder.decided(&unlinked(call));
    }
    for call in calls.iter().step_by(2) {
        recorder.linked(call);
    }
    recorder.flush();
    let first = only(dir, "-00001.journal");
    recorder.tick();
    let second = only(dir, "-00002.journal");
    for call in calls.iter().skip(1).step_by(2) {
        recorder.linked(call);
    }
    recorder.flush();
    let (_, linked) = only(dir, "-00002.journal");
    assert_eq!(recorder.finish().calls, calls.len() as u64);
    let of_part = |end: &str| -> Folder {
        read(dir, &files(dir).into_iter().filter(|path| path.ends_with(end)).collect::<Vec<_>>())
    };
    let tables = ["-00001.parquet", "-00002.parquet"].map(of_part);
    assert_eq!(tables.each_ref().map(BTreeMap::len), [2, 2]);
    let half = calls.iter().enumerate().map(|(at, call)| match at % 2 {
        0 => line(call),
        _ => line_without_link(&unlinked(call)),
    });
    Run {
        closed: first.0.replace(".journal", ".closed"),
        first,
        second,
        linked,
        tables,
        half: sorted(half.collect()),
        whole: sorted(calls.iter().map(line).collect()),
    }
}

fn lay_out(folder: &Folder) -> tempfile::TempDir {
    let temporary = tempfile::tempdir().expect("a folder");
    for (path, bytes) in folder {
        let path = temporary.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::write(path, bytes).expect("writable");
    }
    temporary
}

/// Readers see these calls, and so does everybody after the next start, of which nothing but Parquet is left. Returns what it left.
fn check(folder: &Folder, expected: &[String], step: &str) -> Folder {
    let temporary = lay_out(folder);
    let dir = temporary.path();
    assert_eq!(sorted(everything(dir)), expected, "readers: {step}");
    assert!(!pass_by(settings(dir, Rotation::default())).has_failed, "{step}");
    assert_eq!(sorted(tables(dir)), expected, "after the next start: {step}");
    let after = files(dir);
    let left: Vec<&String> = after.iter().filter(|path| !path.ends_with(".parquet")).collect();
    assert_eq!(left, ["_journal/host=web/lock"], "{step}");
    read(dir, &after)
}

/// The same, and a kill between any two steps of that start: it completes the tables of each part in any order, then deletes the
/// journals in order of their parts.
fn check_with_recovery(folder: &Folder, expected: &[String], step: &str) {
    let after = check(folder, expected, step);
    let name = |path: &String| path.rsplit('/').next().expect("a name").to_owned();
    let mut new: Vec<(&String, &Vec<u8>)> =
        after.iter().filter(|(path, _)| path.ends_with(".parquet") && !folder.contains_key(*path)).collect();
    let journals = folder.keys().filter(|path| path.starts_with("_journal"));
    for hours in ["forwards", "backwards"] {
        new.sort_by_key(|(path, _)| (name(path), (*path).clone()));
        if hours == "backwards" {
            new.reverse();
            new.sort_by_key(|(path, _)| name(path));
        }
        let mut now = folder.clone();
        for (path, bytes) in &new {
            now.insert((*path).clone(), (*bytes).clone());
            check(&now, expected, &format!("{step}, recovered up to {path}, {hours}"));
        }
        for path in journals.clone() {
            now.remove(path);
            check(&now, expected, &format!("{step}, recovered and {path} deleted"));
        }
    }
}

#[test]
fn a_kill_between_any_two_steps_of_a_rotation_neither_loses_nor_doubles_a_call() {
    let run = run();
    let mut now = Folder::from([run.first.clone()]);
    check_with_recovery(&now, &run.half, "written");
    // The next journal takes over what is not linked, a line or a part of it at a time.
    let (name, bytes) = &run.second;
    let ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').collect();
    for end in ends.iter().step_by(ends.len().div_ceil(8)) {
        for cut in [end - 20, end + 1] {
            now.insert(name.clone(), bytes[..cut].to_vec());
            check(&now, &run.half, &format!("{cut} bytes taken over"));
        }
    }
    now.insert(name.clone(), bytes.clone());
    check_with_recovery(&now, &run.half, "taken over");
    now.remove(&run.first.0);
    now.insert(run.closed.clone(), run.first.1.clone());
    check_with_recovery(&now, &run.half, "closed");
    for (path, bytes) in &run.tables[0] {
        let (folder, file) = path.rsplit_once('/').expect("a folder");
        let unfinished = format!("{folder}/.{file}.tmp");
        now.insert(unfinished.clone(), bytes[..bytes.len() / 2].to_vec());
        check(&now, &run.half, &format!("{path} begun"));
        now.remove(&unfinished);
        // Either of the two may be the first.
        let one = Folder::from([(path.clone(), bytes.clone())]);
        check_with_recovery(
            &now.clone().into_iter().chain(one).collect(),
            &run.half,
            &format!("only {path}"),
        );
    }
    now.extend(run.tables[0].clone());
    check_with_recovery(&now, &run.half, "completed");
    now.remove(&run.closed);
    check_with_recovery(&now, &run.half, "deleted");

    // What was taken over is linked, and ends with the run: the first part is done, or could not be completed.
    let done = run.tables[0].clone();
    let stays = Folder::from([(run.closed.clone(), run.first.1.clone())]);
    for first in [done, stays] {
        let mut now = first.clone();
        now.insert(name.clone(), run.linked.clone());
        check_with_recovery(&now, &run.whole, "linked");
        now.remove(name);
        now.insert(name.replace(".journal", ".closed"), run.linked.clone());
        check_with_recovery(&now, &run.whole, "the second closed");
        now.extend(run.tables[1].clone());
        check_with_recovery(&now, &run.whole, "the second completed");
        now.remove(&name.replace(".journal", ".closed"));
        check_with_recovery(&now, &run.whole, "the second deleted");
    }
}
