//! The saved instruction counts and the size of `benches/budget.toml`, and the comparison with them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::measure::is_installed;
use crate::stages::{self, Costs, STAGES, Unit};
use crate::{COUNTED_COPIES, traffic};

/// How much more than its budget a stage may cost. Counts of the same program differ by less than 0.1 % (seeds of hash
/// tables), on other processors by up to 1 % (the C library chooses other copies of memory).
const TOLERANCE: f64 = 0.03;

/// How much larger than its budget the program may be.
const GROWTH: f64 = 0.01;

/// The name of the size.
const SIZE: &str = "size";

/// The file, from the root of the repository.
const FILE: &str = "benches/budget.toml";

/// The name of the count of everything.
const TOTAL: &str = "total";

/// The counts of a run: name, instructions, unit, and what is aimed at.
struct Count {
    name: &'static str,
    instructions: f64,
    unit: Unit,
    aim: Option<f64>,
}

/// Counts the stages on the multiplied captures.
fn count(program: &Path, folder: &Path) -> io::Result<Vec<Count>> {
    std::fs::create_dir_all(folder)?;
    let capture = folder.join("counted.pcap");
    let packets = traffic::mixed(COUNTED_COPIES, &capture)? as f64;
    let (grpc, framed) = calls(program, &capture)?;
    let costs: Costs = stages::count(program, &capture, &folder.join("callgrind.out"))?;
    let units = |unit| match unit {
        Unit::Packet => packets,
        Unit::GrpcCall => grpc,
        Unit::FramedCall => framed,
        Unit::Call => grpc + framed,
    };
    let total = Count {
        name: TOTAL,
        instructions: costs.iter().sum::<f64>() / packets,
        unit: Unit::Packet,
        aim: Some(stages::TOTAL_AIM),
    };
    let stages = STAGES.iter().zip(costs).map(|(stage, cost)| Count {
        name: stage.name,
        instructions: cost / units(stage.unit),
        unit: stage.unit,
        aim: stage.aim,
    });
    Ok(std::iter::once(total).chain(stages).collect())
}

/// Numbers of calls over HTTP/2 and of all others.
fn calls(program: &Path, capture: &Path) -> io::Result<(f64, f64)> {
    let mut child = Command::new(program)
        .args(["calls", "--format", "jsonl"])
        .arg(capture)
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut grpc, mut framed) = (0.0, 0.0);
    for line in child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines) {
        *(if line?.contains("\"transport\":\"http2\"") { &mut grpc } else { &mut framed }) += 1.0;
    }
    let status = child.wait()?;
    if status.success() { Ok((grpc, framed)) } else { Err(io::Error::other(format!("rpcscope: {status}"))) }
}

/// Megabytes that the loader reads of a program: its size without the names and line tables that a release has not. `None` for other
/// formats than ELF of 64 bits.
///
/// Source: System V ABI, Object Files, "ELF Header" and "Program Header".
fn size(program: &Path) -> io::Result<Option<f64>> {
    let bytes = std::fs::read(program)?;
    let number = |at: usize, len: usize| {
        let bytes = bytes.get(at..at + len)?;
        Some(bytes.iter().rev().fold(0_usize, |number, byte| number << 8 | usize::from(*byte)))
    };
    let loaded = || {
        bytes.starts_with(b"\x7fELF\x02\x01").then_some(())?;
        let (first, each, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
        let headers = (0..count).map(|header| first + header * each);
        headers.filter(|at| number(*at, 4) == Some(1)).map(|at| number(at + 32, 8)).sum::<Option<usize>>()
    };
    Ok(loaded().map(|bytes| bytes as f64 / 1e6))
}

/// The compiler's version: others make other code.
fn rustc() -> io::Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).split(' ').nth(1).unwrap_or_default().to_owned())
}

/// The saved counts by name, and the compiler they were counted with.
fn saved() -> io::Result<(BTreeMap<String, f64>, String)> {
    let text = std::fs::read_to_string(crate::root().join(FILE))?;
    let lines = text.lines().filter_map(|line| line.split('#').next()?.split_once('='));
    let (mut counts, mut compiler) = (BTreeMap::new(), String::new());
    for (name, value) in lines.map(|(name, value)| (name.trim(), value.trim())) {
        match value.parse() {
            Ok(number) => _ = counts.insert(name.to_owned(), number),
            Err(_) => value.trim_matches('"').clone_into(&mut compiler),
        }
    }
    Ok((counts, compiler))
}

/// Why instructions can't be counted or compared here, if they can't.
fn obstacle(compiler: &str) -> io::Result<Option<String>> {
    if !is_installed("valgrind") {
        return Ok(Some("valgrind is not installed".into()));
    }
    let here = rustc()?;
    let other = format!("the budget is for rustc {compiler}, this is {here}");
    Ok((here != compiler).then_some(other))
}

/// Compares the counts with the saved ones; `false` if one is more than the tolerance above its budget.
pub(crate) fn check(program: &Path, folder: &Path) -> io::Result<bool> {
    let mut out = io::stdout();
    let (saved, compiler) = saved()?;
    if let Some(why) = obstacle(&compiler)? {
        writeln!(out, "instruction counts are not compared: {why}")?;
        return Ok(true);
    }
    let counts = count(program, folder)?;
    rows(&mut out, &counts, &saved)?;
    let mut fine = true;
    if let (Some(size), Some(budget)) = (size(program)?, saved.get(SIZE)) {
        writeln!(out, "{SIZE:10} {size:12.2}  {:14} {budget:>8}", "MB, stripped")?;
        if size > budget * (1.0 + GROWTH) {
            fine = false;
            writeln!(out, "the program is over the budget of its size")?;
        }
    }
    for count in &counts {
        let budget = saved.get(count.name).copied().unwrap_or_default();
        // What is left over may be below zero: how it changes is measured by the total.
        let whole =
            if count.name == "rest" { saved.get("total").copied().unwrap_or_default() } else { budget };
        let change = (count.instructions - budget) / whole;
        let percent = change.abs() * 100.0;
        if change > TOLERANCE || !change.is_finite() {
            fine = false;
            writeln!(out, "{}: {percent:.1} % over its budget", count.name)?;
        } else if change < -TOLERANCE {
            // A budget with slack would hide the next loss, but less work is no failure.
            writeln!(out, "{}: {percent:.1} % below its budget: make budget-update", count.name)?;
        }
    }
    if !fine {
        writeln!(out, "if that is needed: make budget-update, with the reason in the commit message")?;
    }
    Ok(fine)
}

/// Writes the counts as the new budget.
pub(crate) fn update(program: &Path, folder: &Path) -> io::Result<bool> {
    let mut text = String::from(
        "# Instructions of each stage of `rpcscope calls --threads 1 --format jsonl` on the bundled captures multiplied by six.\n\
         # `make budget` compares (at most 3 % more), `make budget-update` writes this file; docs/performance.md explains it.\n",
    );
    // Writing to a String can't fail.
    _ = writeln!(text, "rustc = \"{}\"", rustc()?);
    for count in count(program, folder)? {
        _ = writeln!(text, "{} = {:.1} # a {}", count.name, count.instructions, count.unit.name());
    }
    if let Some(size) = size(program)? {
        _ = writeln!(
            text,
            "{SIZE} = {size:.2} # MB of the program, without names and line tables (at most 1 % more)"
        );
    }
    std::fs::write(crate::root().join(FILE), &text)?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(true)
}

/// Prints the counts, if they can be counted here.
pub(crate) fn print(out: &mut impl Write, program: &Path, folder: &Path) -> io::Result<bool> {
    if is_installed("valgrind") {
        rows(out, &count(program, folder)?, &saved()?.0)?;
    } else {
        writeln!(out, "instructions are not counted: valgrind is not installed")?;
    }
    Ok(true)
}

fn rows(out: &mut impl Write, counts: &[Count], saved: &BTreeMap<String, f64>) -> io::Result<()> {
    writeln!(out, "{:10} {:>12}  {:14} {:>8} {:>8}", "stage", "instructions", "each", "budget", "aim")?;
    for count in counts {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.0}"));
        let budget = number(saved.get(count.name).copied());
        let (name, unit, aim) = (count.name, count.unit.name(), number(count.aim));
        writeln!(out, "{name:10} {:12.0}  {unit:14} {budget:>8} {aim:>8}", count.instructions)?;
    }
    Ok(())
}
