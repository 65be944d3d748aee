//! Input made to take memory and time: each case names the bound that holds it.
//!
//! Every case is read at one size and at twice that size, below its bound and beyond it. The processor time of the larger one may be at
//! most [`MOST`] times that of the smaller one, on a busy machine [`MOST_OF_BUSY`]: what grows with the square takes four times as long. Then the program itself reads a large
//! one with `--max-memory 64MiB`, and its peak of resident memory has to be within a tenth of that.
//!
//! `RPCSCOPE_HOSTILE=10` makes all inputs ten times as large, and `RPCSCOPE_HOSTILE_REPORT` names a file for the figures.

mod cases;
mod wire;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use nix::sys::resource::{UsageWho, getrusage};
use rpcscope::calls::stats::Stats;
use rpcscope::flow::Limits;
use rpcscope::pipeline::{self, Options, Output, Totals};
use rpcscope::source::files;
use rpcscope::tls::KeyLogs;

use crate::support;
use cases::{CASES, Case};

/// How much longer twice the input may take.
const MOST: f64 = 2.2;

/// The same if no turn was quiet: work beside it takes the caches from the larger input first. What grows with the square is beyond it.
const MOST_OF_BUSY: f64 = 2.8;

/// Times of less, in seconds, mean nothing: opening and ending a file, and what else the machine does, take their share of them.
const LEAST: f64 = 0.02;

/// How often both sizes are read in turn at most. The shortest times count, since other work of the machine only makes them longer; most
/// cases pass in the first turn.
const TURNS: usize = 20;

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

/// Processor time that a file takes, with calls counted as `stats` does.
fn time(path: &Path) -> f64 {
    let before = used();
    let options = Options {
        threads: 1,
        metadata: true,
        limits: Limits::within(16 << 20),
        key_logs: Some(Arc::new(KeyLogs::new(&[], false))),
        ..Options::default()
    };
    let mut source = files::open(&[path.to_owned()], files::Options::default());
    let mut stats = Stats::default();
    pipeline::run(&mut source, &options, &mut |outputs: &mut Vec<Output>, _: &Totals| {
        for output in outputs.drain(..) {
            if let Output::Call(call) = output {
                stats.add(&call);
            }
        }
        true
    })
    .expect("the source can be read");
    std::hint::black_box(stats.rows());
    used() - before
}

/// Asserts that twice the input takes at most [`MOST`] times as long. Returns both times.
fn assert_in_proportion(case: &Case, n: usize, folder: &Path) -> [f64; 2] {
    let files = [n, 2 * n].map(|n| write(case, n, folder));
    let mut best = [f64::INFINITY; 2];
    for _ in 0..TURNS {
        for (best, file) in best.iter_mut().zip(&files) {
            *best = best.min(time(file));
        }
        if best[1] <= MOST * best[0].max(LEAST) {
            return best;
        }
    }
    assert!(
        best[1] <= MOST_OF_BUSY * best[0].max(LEAST),
        "{} ({}): {n} take {:.4} s, twice as many {:.4} s",
        case.name,
        case.bound,
        best[0],
        best[1]
    );
    best
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
    let below = assert_in_proportion(case, n, folder.path());
    let beyond = assert_in_proportion(case, 4 * n, folder.path());
    let large = write(case, 4 * n, folder.path());
    let (peak, stderr) = peak(&large, folder.path());
    assert!(peak <= MAX_MEMORY * 1024 * 11 / 10, "{name} ({}): {peak} KiB", case.bound);
    assert!(stderr.contains(case.says), "{name}: {stderr:?} says nothing of {:?}", case.says);
    if let Some(report) = std::env::var_os("RPCSCOPE_HOSTILE_REPORT") {
        let [[one, two], [four, eight]] = [below, beyond];
        let line = format!(
            "{name} | {} | {} | {peak} KiB | {one:.3} s | {two:.3} s | {four:.3} s | {eight:.3} s\n",
            case.bound,
            4 * n
        );
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
        .args([
            "calls",
            "--connections",
            "--threads",
            "1",
            "--metadata",
            "--max-memory",
            &memory,
            "-o",
            "/dev/null",
        ])
        .arg(path)
        .output()
        .expect("started");
    assert!(output.status.code().is_some_and(|code| code <= 1), "{output:?}");
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("the peak of the children");
    std::fs::write("peak", usage.max_rss().to_string()).expect("written");
    std::fs::write("stderr", output.stderr).expect("written");
}

#[test]
fn a_file_whose_window_is_beyond_the_bound_is_refused_and_others_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = support::captures().join("trpc/chain-business.pcap");
    let bytes = std::fs::read(&capture).expect("a capture");
    let pack = |name: &str, log: u32| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
        encoder.window_log(log).expect("a window");
        encoder.write_all(&bytes).expect("compressed");
        let path = folder.path().join(name);
        std::fs::write(&path, encoder.finish().expect("compressed")).expect("written");
        path
    };
    let run = |file: &Path, memory: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_rpcscope"))
            .args(["calls", "--max-memory", memory])
            .arg(file)
            .output()
            .expect("started");
        let calls = String::from_utf8_lossy(&output.stdout).lines().count();
        (output.status.code(), calls, String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (large, usual) = (pack("large.zst", 27), pack("usual.zst", 23));
    let (status, all, said) = run(&usual, "64MiB");
    assert!(status == Some(0) && all > 20, "{all} calls: {said}");
    let (status, calls, said) = run(&large, "64MiB");
    assert_eq!((status, calls), (Some(1), 0), "{said}");
    assert!(said.contains("large.zst: ") && said.contains("needs 128 MiB to be unpacked"), "{said}");
    assert_eq!(run(&large, "512MiB").1, all);
}

/// A connection whose beginning was not captured is searched for within its bound, however many secrets there are.
#[test]
fn more_secrets_make_no_search_longer() {
    let folder = tempfile::tempdir().expect("a folder");
    let capture = folder.path().join("middle");
    std::fs::write(&capture, cases::ciphertext_from_the_middle(2)).expect("written");
    let time = |secrets: usize| {
        let lines: String = (0..secrets)
            .flat_map(|n| ["CLIENT", "SERVER"].map(|of| format!("{of}_TRAFFIC_SECRET_0 {n:064x} {n:064x}\n")))
            .collect();
        let file = folder.path().join("keys");
        std::fs::write(&file, lines).expect("written");
        let logs = KeyLogs::new(&[file], false);
        logs.read();
        let options = Options { threads: 1, key_logs: Some(Arc::new(logs)), ..Options::default() };
        let before = used();
        support::outputs(
            &mut files::open(std::slice::from_ref(&capture), files::Options::default()),
            &options,
        );
        used() - before
    };
    let mut best = [f64::INFINITY; 2];
    for _ in 0..5 {
        for (best, secrets) in best.iter_mut().zip([8, 500]) {
            *best = best.min(time(secrets));
        }
        if best[1] <= MOST * best[0].max(LEAST) {
            return;
        }
    }
    panic!("8 secrets take {:.3} s, 500 take {:.3} s", best[0], best[1]);
}

/// Writes all cases small into a folder, if one is named: for `scripts/valgrind.sh`.
#[test]
fn written() {
    let Some(folder) = std::env::var_os("RPCSCOPE_HOSTILE_WRITE").map(PathBuf::from) else { return };
    for case in CASES {
        write(case, case.n.div_ceil(40), &folder);
    }
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
    header_lists,
    header_tables,
    rapid_reset,
    open_streams,
    waiting_calls,
    waiting_calls_of_one_id,
    unanswered_requests,
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
    zstd_window,
    thrift_depth,
    thrift_sizes,
    endless_varints,
    lengths_of_4_gib,
    ciphertext_without_keys,
    closed_ciphertext,
    endless_handshake,
    many_secrets,
    unreadable_calls,
    new_names,
    zipped_bodies,
    absurd_blocks,
    jumping_clocks,
}
