//! Signals that end a run: what was captured by then is still analysed and written.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use super::{Failure, complain};

/// Signals this soon after the first one have the same cause: `timeout` signals its child and then the whole group.
const SAME_CAUSE: Duration = Duration::from_secs(1);

/// Has Ctrl-C, SIGTERM and a hang-up set `stop`. None of them ends the program by itself, however often it comes, because
/// that would lose what is still to be written; SIGQUIT (Ctrl-\) does.
pub(super) fn catch(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    for signal in ending() {
        flag::register(signal, Arc::clone(stop)).map_err(|error| refused(&error))?;
    }
    // A file that may not grow any more is an error like a full disk, not the end of the program.
    flag::register(SIGXFSZ, Arc::default()).map_err(|error| refused(&error))?;
    Ok(())
}

/// Answers a second signal: whoever sends one should know why the program still runs. To be called once threads may be
/// started.
pub(super) fn answer_impatience() -> Result<(), Failure> {
    let mut signals = Signals::new(ending()).map_err(|error| refused(&error))?;
    let spawned = std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut first: Option<Instant> = None;
        for _ in signals.forever() {
            if first.get_or_insert_with(Instant::now).elapsed() > SAME_CAUSE {
                complain("still writing what was read; Ctrl-\\ (SIGQUIT) ends at once and loses it");
            }
        }
    });
    spawned.map(drop).map_err(|error| refused(&error))
}

fn refused(error: &std::io::Error) -> Failure {
    Failure::Environment(format!("signals can't be caught: {error}"))
}

/// The signals that end a run. A hang-up is not among them under nohup.
fn ending() -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether this process was started with the signal ignored (`/proc/self/status` of Linux; elsewhere this is not known).
fn is_ignored(signal: i32) -> bool {
    static AT_START: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    let ignored = *AT_START.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    });
    ignored >> (signal - 1) & 1 == 1
}
