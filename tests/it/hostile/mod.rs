//! Input made to take memory and time: each case names the bound that holds it.
//!
//! Every case is read at one size and at four times that size. The processor time of the second may be at most
//! [`MOST`] times that of the first: what grows with the square takes sixteen times as long. Then the program itself reads the larger one
//! with `--max-memory 64MiB`, and its peak of resident memory has to be within a tenth of that.
//!
//! `RPCSCOPE_HOSTILE=10` makes all inputs ten times as large, and `RPCSCOPE_HOSTILE_REPORT` names a file for the figures.

mod cases;
mod wire;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::resource::{UsageWho, getrusage};
use rpcscope::pipeline::Options;
use rpcscope::source::files;

use crate::support;
use cases::{CASES, Case};

/// How much longer four times the input may take. In proportion it is 4; the rest is for caches and for other work of the machine.
const MOST: f64 = 8.0;

/// What all inputs take to open and to end, in seconds: differences of less mean nothing.
const LEAST: f64 = 0.02;

/// The bound given to the program, in MiB.
const MAX_MEMORY: i64 = 64;

/// Names the file that the probe reads; set only for the probe.
const PROBE: &str = "RPCSCOPE_TEST_HOSTILE";

/// How many times as large as usual the inputs are.
fn scale() -> usize {
    std::env::var("RPCSCOPE_HOSTILE").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Processor time of this thread so far, in seconds.
fn used() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("the times of the thread");
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// Processor time that a file takes, the shorter of two runs.
fn time(path: &Path) -> f64 {
    let once = || {
        let before = used();
        let options = Options { threads: 1, metadata: true, ..Options::default() };
        let mut source = files::open(&[path.to_owned()], files::Options::default());
        support::outputs(&mut source, &options);
        used() - before
    };
    once().min(once())
}

fn write(case: &Case, n: usize, folder: &Path) -> PathBuf {
    let path = folder.join(format!("{}-{n}", case.name));
    std::fs::write(&path, (case.make)(n)).expect("written");
    path
}

fn check(name: &str) {
    let case = CASES.iter().find(|case| case.name == name).expect("a case of that name");
    let folder = tempfile::tempdir().expect("a folder");
    let n = case.n * scale();
    let (small, large) = (write(case, n, folder.path()), write(case, 4 * n, folder.path()));
    let (one, four) = (time(&small), time(&large));
    assert!(
        four <= MOST * one.max(LEAST),
        "{name} ({}): {one:.3} s, four times as much {four:.3} s",
        case.bound
    );
    let (peak, stderr) = peak(&large, folder.path());
    assert!(peak <= MAX_MEMORY * 1024 * 11 / 10, "{name} ({}): {peak} KiB", case.bound);
    assert!(stderr.contains(case.says), "{name}: {stderr:?} says nothing of {:?}", case.says);
    if let Some(report) = std::env::var_os("RPCSCOPE_HOSTILE_REPORT") {
        let line = format!("{name} | {} | {} | {peak} KiB | {one:.2} s | {four:.2} s\n", case.bound, 4 * n);
        let mut file = File::options().append(true).create(true).open(report).expect("opened");
        file.write_all(line.as_bytes()).expect("written");
    }
}

/// The peak of resident memory of the program that reads `path`, in KiB, and what it says on standard error.
fn peak(path: &Path, folder: &Path) -> (i64, String) {
    let status = Command::new(std::env::current_exe().expect("this test"))
        .args(["hostile::probe", "--exact", "--test-threads=1"])
        .env(PROBE, path)
        .current_dir(folder)
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("started").success());
    let read = |name| std::fs::read_to_string(folder.join(name)).expect("written by the probe");
    (read("peak").parse().expect("a number"), read("stderr"))
}

/// Runs the program on a file and notes its peak, if this is the process for that: the system tells the peak of all children.
#[test]
fn probe() {
    let Some(path) = std::env::var_os(PROBE) else { return };
    let memory = format!("{MAX_MEMORY}MiB");
    let output = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
        .args(["calls", "--threads", "1", "--metadata", "--max-memory", &memory, "-o", "/dev/null"])
        .arg(path)
        .output()
        .expect("started");
    assert!(output.status.code().is_some_and(|code| code <= 1), "{output:?}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the peak of the children");
    std::fs::write("peak", usage.max_rss().to_string()).expect("written");
    std::fs::write("stderr", output.stderr).expect("written");
}

macro_rules! hostile {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )+

        #[test]
        fn every_case_is_tried() {
            let tried = [$(stringify!($name)),+];
            assert_eq!(CASES.iter().map(|case| case.name).collect::<Vec<_>>(), tried);
        }
    };
}

hostile! {
    syn_flood,
    half_begun,
    silent_sessions,
    endless_headers,
    continuation_flood,
    hpack_bomb,
    hpack_bomb_of_unclear_requests,
    rapid_reset,
    open_streams,
    waiting_calls,
    waiting_calls_of_one_id,
    late_answers,
    goaways_while_streams_wait,
    foreign_answers_while_calls_wait,
    gaps_while_streams_wait,
    holes_that_never_close,
    overlaps_that_disagree,
    tiny_segments,
    tiny_fragments,
    gzip_bomb,
    zstd_bomb,
    thrift_depth,
    thrift_sizes,
    endless_varints,
    lengths_of_4_gib,
    new_names,
    zipped_bodies,
    absurd_blocks,
    jumping_clocks,
}
