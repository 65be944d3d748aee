//! Speed, memory and instruction counts of `rpcscope calls`: `make bench` prints the table, `make budget` compares the
//! instructions of each stage with `benches/budget.toml`, `make budget-update` writes that file.
//!
//! ```text
//! bench table [ROUNDS]      wall time and peak memory, beside tcpdump and tshark if they are installed; then the stages
//! bench budget [--update]   instructions of each stage, if valgrind is installed
//! bench traffic KIND …      one of the captures alone: mixed COPIES, many CONNECTIONS CALLS, bodies CALLS BYTES; then OUT
//! ```
//!
//! It measures the `rpcscope` that was built beside it (`scripts/bench.sh`).

mod budget;
mod measure;
mod stages;
mod traffic;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Copies of the bundled captures for instruction counts: about 75,000 packets.
const COUNTED_COPIES: u32 = 6;

/// Copies for wall times.
const TIMED_COPIES: u32 = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["table"] => table(5),
        ["table", rounds] => rounds.parse().map_err(io::Error::other).and_then(table),
        ["budget"] => budget::check(&program(), &folder()),
        ["budget", "--update"] => budget::update(&program(), &folder()),
        ["traffic", kind @ .., out] => generate(kind, Path::new(out)).map(|_| true),
        ["run", command @ ..] => measure::run_and_report(command).map(|()| true),
        _ => Err(io::Error::other("usage: bench table [ROUNDS] | budget [--update] | traffic KIND … OUT")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            _ = writeln!(io::stderr(), "bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// The root of the repository, which holds this package in `benches/measure`.
fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}

/// The program to measure, beside this one (`target/measured/bench`).
fn program() -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name("rpcscope")
}

/// Where captures and profiles go.
fn folder() -> PathBuf {
    program().with_file_name("../bench")
}

/// Writes one kind of capture; returns the number of packets.
fn generate(kind: &[&str], out: &Path) -> io::Result<u64> {
    let number =
        |text: &str| text.parse::<u32>().map_err(|_| io::Error::other(format!("{text} is no number")));
    match kind {
        ["mixed", copies] => traffic::mixed(number(copies)?, out),
        ["many", connections, calls] => traffic::many(number(connections)?, number(calls)?, out),
        ["bodies", calls, bytes] => traffic::bodies(number(calls)?, number(bytes)?, out),
        _ => Err(io::Error::other("kinds: mixed COPIES, many CONNECTIONS CALLS, bodies CALLS BYTES")),
    }
}

/// Prints the table.
fn table(rounds: u32) -> io::Result<bool> {
    let folder = folder();
    std::fs::create_dir_all(&folder)?;
    let mut out = io::stdout();
    writeln!(out, "best of {rounds} interleaved rounds; MiB is the peak of resident memory")?;
    for (name, kind, tshark) in [
        ("bundled captures multiplied", ["mixed", &TIMED_COPIES.to_string()].as_slice(), false),
        ("the same, smaller, with tshark", &["mixed", &COUNTED_COPIES.to_string()], true),
        ("100,000 connections, 5 short calls each", &["many", "100000", "5"], false),
        ("bodies of 2 MB", &["bodies", "200", "2000000"], false),
    ] {
        let file = folder.join(format!("{}.pcap", kind.join("-")));
        let packets = generate(kind, &file)?;
        let bytes = std::fs::metadata(&file)?.len();
        writeln!(out, "\n{name}: {packets} packets, {:.0} MB", bytes as f64 / 1e6)?;
        measure::table(&mut out, &program(), &file, packets, rounds, tshark)?;
        std::fs::remove_file(&file)?;
    }
    writeln!(out)?;
    budget::print(&mut out, &program(), &folder)
}
