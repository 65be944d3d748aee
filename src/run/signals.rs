//! Signals end a run, but only after everything captured is analysed and written.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::{Failure, complain};

/// Signals this close together have the same cause: `timeout` signals its child and then the whole process group.
const SAME_CAUSE: Duration = Duration::from_secs(1);

/// Makes Ctrl-C, SIGTERM and SIGHUP set `stop`. Repeated signals don't kill the program either, because that would lose
/// unwritten data; SIGQUIT (Ctrl-\) does. Until then nothing is lost by an end, and whatever is waited for, such as the other end of a FIFO,
/// must not outlast one.
pub(super) fn catch(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    for signal in ending() {
        flag::register(signal, Arc::clone(stop)).map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// Makes a file at its size limit a write error like a full disk, which must not kill the program.
pub(super) fn outlive_size_limits() -> Result<(), Failure> {
    flag::register(SIGXFSZ, Arc::default()).map(drop).map_err(|error| refused(&error))
}

/// Explains on standard error why the program still runs after a second signal. Call this after privileges are dropped,
/// because it starts a thread.
pub(super) fn answer_impatience() -> Result<(), Failure> {
    let mut signals = Signals::new(ending()).map_err(|error| refused(&error))?;
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            if first.get_or_insert_with(Instant::now).elapsed() > SAME_CAUSE {
                complain("still writing captured data; Ctrl-\\ (SIGQUIT) quits at once and loses it");
            }
        }
    });
    spawned.map(drop).map_err(|error| refused(&error))
}

fn refused(error: &std::io::Error) -> Failure {
    Failure::Environment(format!("signals can't be caught: {error}"))
}

/// The signals that end a run: not SIGHUP under nohup.
fn ending() -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether the signal was ignored when the process started (from `/proc/self/status`; always `false` elsewhere).
fn is_ignored(signal: i32) -> bool {
    static AT_START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let ignored = *AT_START.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    });
    ignored >> (signal - 1) & 1 == 1
}
