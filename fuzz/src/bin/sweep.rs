//! Runs the fuzz targets on changed inputs without libFuzzer: no C++, no coverage, many times as fast, the same inputs for the same
//! seed (`docs/fuzzing.md`).
//!
//! Each target has a process of its own, so that one that ends by a signal is noticed, and is then repeated with each input
//! written down before it is tried.

use std::fs;
use std::io::Write as _;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rpcscope_fuzz::mutate::{Numbers, step};
use rpcscope_fuzz::targets::{Run, TARGETS, find};
use rpcscope_fuzz::{MAX_INPUT, seeds};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

const USAGE: &str = "sweep [--seconds N] [--executions N] [--seed N] [--jobs N] [--folder FOLDER] [TARGET…]";

/// Longest changed input, as of the guided runs.
const MAX_LEN: usize = 16 * 1024;
/// Half of all inputs stay within this length, half of the others within twice as much, and so on: what takes long is mostly the
/// length, and few faults need any.
const SHORT: usize = 256;
/// How many inputs are made of one known input, each by changing the one before.
const STEPS: u64 = 16;
/// Longest time of the processor that one input may take, so that a busy machine fails no target.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time that one input may take altogether.
const LONGEST: Duration = Duration::from_secs(120);
/// Time between looks at that.
const LOOK: Duration = Duration::from_secs(1);
/// Most memory of a target.
const MEMORY: u64 = 2 << 30;
/// How many executions pass between looks at the clock.
const ROUND: u64 = 64;

#[derive(Clone, Debug)]
struct Settings {
    /// Time for all targets together.
    seconds: f64,
    /// Most executions of a target.
    executions: u64,
    seed: u64,
    jobs: usize,
    /// What runs find and fail on: `corpus/TARGET`, `artifacts/TARGET`, `executions.tsv`.
    folder: PathBuf,
    /// Set for the process of one target: whether each input is written down before it is tried.
    careful: Option<bool>,
    targets: Vec<String>,
}

fn settings() -> Result<Settings, String> {
    let mut settings = Settings {
        seconds: 60.0,
        executions: u64::MAX,
        seed: 1,
        jobs: std::thread::available_parallelism().map_or(1, Into::into),
        folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/fuzz"),
        careful: None,
        targets: Vec::new(),
    };
    fn number<T: std::str::FromStr>(text: Option<String>) -> Result<T, String> {
        text.and_then(|text| text.parse().ok()).ok_or_else(|| USAGE.to_owned())
    }
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match &*argument {
            "--seconds" => settings.seconds = number(arguments.next())?,
            "--executions" => settings.executions = number(arguments.next())?,
            "--seed" => settings.seed = number(arguments.next())?,
            "--jobs" => settings.jobs = number(arguments.next())?,
            "--folder" => settings.folder = arguments.next().ok_or(USAGE)?.into(),
            "--one" => settings.careful = Some(false),
            "--careful" => settings.careful = Some(true),
            name if find(name).is_some() => settings.targets.push(argument),
            _ => return Err(format!("{argument} is no target\n{USAGE}")),
        }
    }
    if settings.targets.is_empty() {
        settings.targets = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    }
    Ok(settings)
}

fn main() -> ExitCode {
    let settings = match settings() {
        Ok(settings) => settings,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match (settings.careful, &settings.targets[..]) {
        (Some(careful), [name, ..]) => one(name, &settings, careful),
        _ => all(&settings),
    }
}

/// Runs all targets, `jobs` at a time.
fn all(settings: &Settings) -> ExitCode {
    let share = settings.seconds * settings.jobs as f64 / settings.targets.len() as f64;
    let left = Mutex::new(settings.targets.iter());
    let failed = Mutex::new(Vec::new());
    let next = || left.lock().expect("no panic").next();
    std::thread::scope(|scope| {
        for _ in 0..settings.jobs {
            scope.spawn(|| {
                while let Some(name) = next() {
                    if !child(name, settings, share) {
                        failed.lock().expect("no panic").push(name.clone());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("sweep: failed: {}", failed.join(" "));
    ExitCode::FAILURE
}

/// Runs one target in a process of its own; after a bad end once more, carefully. Returns whether it ended well.
fn child(name: &str, settings: &Settings, seconds: f64) -> bool {
    let run = |mode: &str, seconds: f64| {
        let program = std::env::current_exe().expect("this program has a path");
        let status = Command::new(program)
            .args([mode, name, "--seconds", &seconds.to_string(), "--seed", &settings.seed.to_string()])
            .args(["--executions", &settings.executions.to_string(), "--folder"])
            .arg(&settings.folder)
            .stdin(Stdio::null())
            .status()
            .expect("this program starts");
        (status.success(), status.code() == Some(1))
    };
    let (is_good, is_saved) = run("--one", seconds);
    if !is_good && !is_saved {
        // By a signal, or too slow: the input is written down in a second run, which needs much longer.
        run("--careful", 100.0 * seconds);
    }
    is_good
}

/// Known inputs: those of the repository, those that the target makes of samples, those that guided runs found.
fn known(name: &str, folder: &Path) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = seeds::seeds(name, &root.join(".."));
    for corpus in [root.join("corpus").join(name), folder.join("corpus").join(name)] {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(corpus).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.sort();
        inputs.extend(paths.iter().filter_map(|path| fs::read(path).ok()));
    }
    inputs.retain(|input| input.len() <= MAX_INPUT);
    if inputs.is_empty() {
        inputs.push(vec![0; 8]);
    }
    inputs
}

/// Runs one target. Ends with 1 if an input that fails was saved.
fn one(name: &str, settings: &Settings, careful: bool) -> ExitCode {
    _ = setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) });
    let run = find(name).expect("a target");
    let artifacts = settings.folder.join("artifacts").join(name);
    fs::create_dir_all(&artifacts).expect("a folder for inputs that fail");
    let saved = artifacts.join(format!("sweep-{}", settings.seed));
    static EXECUTIONS: AtomicU64 = AtomicU64::new(0);
    std::thread::spawn(|| watch(&EXECUTIONS));
    let begin = Instant::now();
    let mut tried = |input: &[u8]| {
        if careful {
            fs::write(&saved, input).expect("an input is written");
        }
        EXECUTIONS.fetch_add(1, Ordering::Relaxed);
        let is_good = is_passed(run, input);
        if !is_good {
            fs::write(&saved, input).expect("an input is written");
            eprintln!("sweep: {name} fails on {}", saved.display());
        }
        is_good
    };
    let is_good = executions(name, settings, &mut tried);
    let executions = EXECUTIONS.load(Ordering::Relaxed);
    let seconds = begin.elapsed().as_secs_f64();
    println!("{name:<24} {executions:>12} executions, {:>9.0} a second", executions as f64 / seconds);
    let line = format!("{name}\tsweep\t{}\t{executions}\t{seconds:.1}\n", settings.seed);
    let counts = fs::File::options().append(true).create(true).open(settings.folder.join("executions.tsv"));
    counts.and_then(|mut file| file.write_all(line.as_bytes())).expect("the counts are written");
    if !is_good {
        return ExitCode::from(1);
    }
    if careful {
        _ = fs::remove_file(saved);
    }
    ExitCode::SUCCESS
}

/// Tries known inputs and changed ones until the time or the number is over, or one fails.
fn executions(name: &str, settings: &Settings, tried: &mut dyn FnMut(&[u8]) -> bool) -> bool {
    let begin = Instant::now();
    let known = known(name, &settings.folder);
    let mut left = settings.executions;
    for input in &known {
        if left == 0 || !tried(input) {
            return left == 0;
        }
        left -= 1;
    }
    let mut numbers = Numbers::new(settings.seed, name);
    let mut input = Vec::new();
    while begin.elapsed().as_secs_f64() < settings.seconds {
        for _ in 0..ROUND / STEPS {
            // Of two the shorter one: more executions, and errors have more room to matter.
            let (first, second) = (&known[numbers.below(known.len())], &known[numbers.below(known.len())]);
            let (base, other) = if first.len() <= second.len() { (first, second) } else { (second, first) };
            let max_len = MAX_LEN.min(SHORT << numbers.next().trailing_zeros().min(16));
            input.clear();
            input.extend_from_slice(&base[..base.len().min(max_len)]);
            for _ in 0..STEPS {
                if left == 0 {
                    return true;
                }
                step(&mut input, other, max_len, &mut numbers);
                left -= 1;
                if !tried(&input) {
                    return false;
                }
            }
        }
    }
    true
}

fn is_passed(run: Run, input: &[u8]) -> bool {
    panic::catch_unwind(AssertUnwindSafe(|| run(input))).is_ok()
}

/// Ends the process if one input takes too long.
fn watch(executions: &AtomicU64) {
    let spent = || Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
    let mut last = u64::MAX;
    let (mut before, mut since) = (spent(), Instant::now());
    loop {
        std::thread::sleep(LOOK);
        let now = executions.load(Ordering::Relaxed);
        if now != last {
            last = now;
            (before, since) = (spent(), Instant::now());
        } else if spent().saturating_sub(before) >= PATIENCE || since.elapsed() >= LONGEST {
            eprintln!("sweep: execution {now} takes too long");
            std::process::exit(3);
        }
    }
}
