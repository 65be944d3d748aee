//! Wall time and peak memory of commands, in interleaved rounds.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

/// What tshark decodes: enough that it has to look into both protocols.
const TSHARK_FIELDS: &[&str] = &[
    "-T",
    "fields",
    "-e",
    "frame.number",
    "-e",
    "http2.headers.path",
    "-e",
    "thrift.method",
    "-e",
    "thrift.seq_id",
];

/// A command with its best time so far.
struct Contender {
    name: &'static str,
    command: Vec<String>,
    /// Runs only once: it takes too long for rounds.
    once: bool,
    best: Option<Cost>,
}

#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    /// Peak of resident memory, bytes.
    memory: u64,
}

/// Measures the commands on a file and prints a row for each.
pub(crate) fn table(
    out: &mut impl Write,
    program: &Path,
    file: &Path,
    packets: u64,
    rounds: u32,
    with_tshark: bool,
) -> io::Result<()> {
    let file = file.to_string_lossy().into_owned();
    let calls = |threads: &[&str]| {
        let program = program.to_string_lossy().into_owned();
        let rest = ["calls", "--format", "jsonl", "-o", "/dev/null", &file];
        std::iter::once(program).chain(rest.iter().chain(threads).map(|&word| word.to_owned())).collect()
    };
    let others = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let mut contenders = vec![
        ("rpcscope, one thread", calls(&["--threads", "1"]), false),
        ("rpcscope, two threads", calls(&["--threads", "2"]), false),
        ("rpcscope, as it chooses", calls(&[]), false),
    ];
    if is_installed("tcpdump") {
        contenders.push((
            "tcpdump -w (copies)",
            others(&["tcpdump", "-nr", &file, "-w", "/dev/null"]),
            false,
        ));
    }
    if with_tshark && is_installed("tshark") {
        let command = [&["tshark", "-nr", &file], TSHARK_FIELDS].concat();
        contenders.push(("tshark, fields of http2 and thrift", others(&command), true));
    }
    let mut contenders: Vec<Contender> = contenders
        .into_iter()
        .map(|(name, command, once)| Contender { name, command, once, best: None })
        .collect();
    for round in 0..rounds {
        for contender in contenders.iter_mut().filter(|contender| round == 0 || !contender.once) {
            let cost = measure(&contender.command)?;
            let best = contender.best.get_or_insert(cost);
            best.seconds = best.seconds.min(cost.seconds);
            best.memory = best.memory.min(cost.memory);
        }
    }
    let copying = contenders.iter().find(|contender| contender.name.starts_with("tcpdump"));
    let reference = copying.and_then(|contender| contender.best);
    for contender in &contenders {
        let Some(Cost { seconds, memory }) = contender.best else { continue };
        let ratio = reference
            .map_or_else(String::new, |copying| format!("{:8.2} x tcpdump", seconds / copying.seconds));
        let per_packet = seconds / packets as f64 * 1e9;
        let mib = memory as f64 / f64::from(1 << 20);
        writeln!(
            out,
            "  {:36} {seconds:7.3} s {per_packet:8.0} ns/packet {mib:6.0} MiB{ratio}",
            contender.name
        )?;
    }
    Ok(())
}

/// Whether a command can be started.
pub(crate) fn is_installed(command: &str) -> bool {
    Command::new(command).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// Runs a command in a process of its own that reports what it cost: the peak of memory is known only for all children of
/// a process together.
fn measure(command: &[String]) -> io::Result<Cost> {
    let output = Command::new(std::env::current_exe()?).arg("run").args(command).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().map(str::parse::<f64>);
    match (output.status.success(), numbers.next(), numbers.next()) {
        (true, Some(Ok(seconds)), Some(Ok(memory))) => Ok(Cost { seconds, memory: memory as u64 }),
        _ => Err(io::Error::other(format!(
            "{} failed: {}",
            command.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        ))),
    }
}

/// Runs a command without its output and prints its seconds and its peak of memory in bytes.
pub(crate) fn run_and_report(command: &[&str]) -> io::Result<()> {
    let [program, arguments @ ..] = command else { return Err(io::Error::other("no command")) };
    let start = Instant::now();
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).status()?;
    let seconds = start.elapsed().as_secs_f64();
    if !status.success() {
        return Err(io::Error::other(format!("{program}: {status}")));
    }
    // KiB everywhere but on macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let memory = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(io::Error::from)?.max_rss() * unit;
    writeln!(io::stdout(), "{seconds} {memory}")
}
