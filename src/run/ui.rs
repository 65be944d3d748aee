//! The live interface: the pipeline and the linking run in separate threads and send updates to the interface in this one
//! over a bounded channel.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::beside::Beside;
use super::bodies::Again;
use super::chains::waiting;
use super::evidence::Packets;
use super::input::is_piped;
use super::linking::{self, Linking};
use super::memory::Shares;
use super::runner::{self, Consumer, Opening, Report, Run};
use super::{Failure, Status, complain};
use crate::calls::{Call, record::Connection};
use crate::chains;
use crate::cli::{self, Color, Input, View};
use crate::pipeline::Totals;
use crate::source::Ring;
use crate::source::live::Counters;
use crate::tui::{
    self, BodySource, Colors, DetailSource, Files, PacketExport, Progress, SaveConfig, Shown, TuiOptions,
    Update,
};

/// Capacity of the update channel; when it is full, reading waits.
const QUEUE: usize = 64;
/// Maximum number of problems printed after the interface closes.
const MAX_TROUBLES: usize = 100;
/// The part of the memory for the calls of the lists that lines of logs and the calls they may be about take, if there are logs.
const LOG_PART: usize = 4;
/// Seconds until a silent standard input is waited for aloud.
const SILENCE: i64 = 5;
/// Most bytes of recent live packets kept for the detail view.
const RING: usize = 64 << 20;

/// Whether the interface can be shown: standard output is a terminal that can place text.
pub(super) fn fits(view: &View) -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    view.output.is_none() && io::stdout().is_terminal() && !is_dumb
}

/// Opens the interface.
pub(super) fn run(view: &View, asked: &cli::Linking) -> Result<Status, Failure> {
    let is_piped = is_piped(&view.input);
    let reads_standard_input = view.input.paths().iter().any(|path| path.as_os_str() == "-");
    if reads_standard_input {
        wait_for_writer(&io::stdin());
    }
    let shares = Shares::of_interface(&view.input);
    let filter = runner::filter(view)?;
    let ring = (!view.input.interfaces.is_empty()).then(|| Ring::new(RING.min(shares.packets)));
    let mut opening = Opening::interface(&view.input)?;
    let (files, config) = (opening.files(), opening.config());
    let mut run = opening.start_with(ring.as_ref())?.noting(filter, &view.fail_on);
    run.options.connections = true;
    run.options.open_connections = true;
    run.options.metadata = true;
    run.options.limits = shares.limits();
    let (keys, bodies) = (run.options.key_logs.clone(), Arc::clone(&run.bodies));
    let packets = Packets::of(&run.source, &view.input, ring, keys, bodies);
    let decoder = run.options.bodies.clone();
    let bodies = body_source(&mut run, &view.input);
    let names = run.source.names.clone();
    let stop = Arc::clone(&run.source.stop);
    let (updates, shown) = bounded(QUEUE);
    let chains::Options { patience, if_recent, .. } = waiting(&view.input);
    let options = chains::Options::within(shares.max_linked() / 2);
    let engine = linking::engine(asked, chains::Options { patience, if_recent, ..options });
    // The other half is for what waits before the engine.
    let limit = shares.max_linked();
    let linking = Linking::start(engine, limit, updates.clone(), Arc::clone(&stop));
    let mut history = shares.history;
    let beside = if view.input.logs.is_empty() {
        None
    } else {
        let memory = shares.history / LOG_PART;
        history -= memory;
        let (logs, is_endless) = (&view.input.logs, view.input.is_endless());
        let beside = Beside::start(logs, memory, is_endless, updates.clone(), Arc::clone(&stop));
        Some(beside.map_err(|error| Failure::Environment(format!("no thread to read logs in: {error}")))?)
    };
    let deleted = run.source.deleted();
    let mut feed = Feed {
        beside,
        counters: run.source.counters.clone(),
        deleted: Arc::clone(&deleted),
        linking: Some(linking),
        calls: Vec::new(),
        connections: Vec::new(),
        updates: updates.clone(),
    };
    // Reading a file can simply stop, but captured packets have to be written completely.
    let must_end = view.input.is_endless() || view.input.write.is_some();
    let reading =
        Reading::spawn(updates, stop, must_end, move |report| run.reporting_to(report).drive(&mut feed))?;
    let options = TuiOptions {
        decoder,
        bodies,
        names,
        is_piped,
        ..ui_options(view, history, packets, (files, config))
    };
    let source = options.source.clone();
    let shown = tui::run(shown, options);
    let ended = reading.end();
    if reads_standard_input && has_silent_writer(&io::stdin()) {
        complain("what writes standard input ends with its next packet, or with Ctrl-C");
    }
    if let Some(deleted) = runner::deleted(&deleted) {
        complain(&deleted);
    }
    let shown = shown.map_err(|error| {
        Failure::Environment(match error.kind() {
            // The interface's own words.
            io::ErrorKind::Other => error.to_string(),
            _ => format!("the terminal can't be used: {error}"),
        })
    })?;
    match ended? {
        // The reason is printed already if there is one.
        status if shown == Shown::Nothing && !status.input_failed => {
            complain(&format!("{source}: no packets in this capture"));
            Ok(Status { input_failed: true, ..status })
        }
        status => Ok(status),
    }
}

/// Waits until the program that writes standard input does so, or ends: `ssh` may ask for a password before, on the terminal that the
/// interface would take, and say why there will be no packets.
fn wait_for_writer(input: &impl AsFd) {
    let mut said = false;
    loop {
        let patience = Timespec { tv_sec: SILENCE, tv_nsec: 0 };
        let mut input = [PollFd::new(input, PollFlags::IN)];
        match poll(&mut input, (!said).then_some(&patience)) {
            Ok(0) => {
                complain("waiting for packets on standard input (tcpdump sends them at once with -U)");
                said = true;
            }
            Err(Errno::INTR) => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Whether a program could still write standard input, but does not. It notices only with its next packet that nobody reads any more, and the
/// shell waits for it.
fn has_silent_writer(input: &impl AsFd) -> bool {
    let mut input = [PollFd::new(input, PollFlags::IN)];
    poll(&mut input, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) == Ok(0)
}

/// Where the bodies of calls come from if nothing asks for them at the start.
fn body_source(run: &mut Run, input: &Input) -> BodySource {
    if run.options.bodies.is_some() {
        return BodySource::WithCalls;
    }
    // A growing file has no end after which it could be read again.
    if run.source.reread.is_some() && !input.follow {
        let again = Again::of(input, &run.source, &run.options, &run.bodies);
        return BodySource::Again(Box::new(move || again.begin()));
    }
    let asked = Arc::new(AtomicBool::new(false));
    run.options.bodies_from = Some(Arc::clone(&asked));
    run.read_bodies();
    BodySource::FromNowOn(Box::new(move || asked.store(true, Ordering::Relaxed)))
}

fn ui_options(
    view: &View,
    max_memory: usize,
    packets: Option<Packets>,
    (files, config): (Box<dyn Files>, SaveConfig),
) -> TuiOptions {
    let inputs = view.input.paths().into_iter().map(|path| path.display().to_string());
    let names: Vec<String> = inputs.chain(view.input.interfaces.iter().cloned()).collect();
    let usual_colors = match view.color {
        Color::Never => Colors::None,
        Color::Auto => Colors::detect(|name| std::env::var(name).ok()),
        Color::Always => Colors::detect(|name| std::env::var(name).ok().filter(|_| name != "NO_COLOR")),
    };
    let colors = match view.look.theme {
        Some(theme) if usual_colors != Colors::None => theme,
        _ => usual_colors,
    };
    TuiOptions {
        source: names.join(" "),
        filter: view.filter.clone(),
        look: view.look.clone(),
        decoder: None,
        bodies: BodySource::WithCalls,
        names: None,
        has_logs: !view.input.logs.is_empty(),
        is_endless: view.input.is_endless(),
        is_piped: false,
        max_memory,
        colors,
        usual_colors,
        time: view.time(),
        detail: packets.clone().map(|packets| Box::new(packets) as Box<dyn DetailSource>),
        files,
        config,
        say: complain,
        export: packets.map(|packets| -> PacketExport {
            Box::new(move |calls, path, create| packets.export(calls, path, create))
        }),
    }
}

/// The reading thread. However the interface ends, even by a panic, the thread is stopped and, if it writes packets, joined.
struct Reading {
    thread: Option<JoinHandle<Result<Status, Failure>>>,
    stop: Arc<AtomicBool>,
    must_end: bool,
    /// Problems, printed on the terminal after the interface closes.
    troubles: Arc<Mutex<Vec<String>>>,
}

impl Reading {
    /// Starts `work` in the thread. Its problems go to `updates` and are kept for the end.
    fn spawn(
        updates: Sender<Update>,
        stop: Arc<AtomicBool>,
        must_end: bool,
        work: impl FnOnce(Report) -> Result<Status, Failure> + Send + 'static,
    ) -> Result<Self, Failure> {
        let troubles: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&troubles);
        let report: Report = Arc::new(move |text: &str| {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < MAX_TROUBLES {
                kept.push(text.to_owned());
            }
            drop(kept);
            // The send fails only if the interface was closed.
            _ = updates.send(Update::Trouble(text.to_owned()));
        });
        let thread = std::thread::Builder::new().name("reading".into()).spawn(move || work(report));
        let thread =
            thread.map_err(|error| Failure::Environment(format!("no thread to read in: {error}")))?;
        Ok(Self { thread: Some(thread), stop, must_end, troubles })
    }

    /// Stops the thread and returns its result, if it is known.
    fn end(mut self) -> Result<Status, Failure> {
        let ended = self.wait();
        let troubles = std::mem::take(&mut *self.troubles.lock().unwrap_or_else(PoisonError::into_inner));
        for trouble in &troubles {
            complain(trouble);
        }
        ended.unwrap_or_else(|| Ok(Status { input_failed: !troubles.is_empty(), ..Status::default() }))
    }

    /// Stops the thread. Returns its result; `None` if it still runs.
    fn wait(&mut self) -> Option<Result<Status, Failure>> {
        self.stop.store(true, Ordering::Relaxed);
        match self.thread.take() {
            Some(thread) if self.must_end || thread.is_finished() => {
                Some(thread.join().unwrap_or_else(|_| {
                    Err(Failure::Environment("a part of the program failed; its message stands above".into()))
                }))
            }
            // A source waiting for input may take a while to stop, and nothing depends on it.
            Some(_) | None => None,
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // Reached after a panic of the interface, which is reported already.
        _ = self.wait();
    }
}

/// Sends calls and connections to the interface and calls to the linking thread.
struct Feed {
    /// Reads logs.
    beside: Option<Beside>,
    counters: Option<Arc<Counters>>,
    /// Older files of `-w` that were deleted.
    deleted: Arc<AtomicU64>,
    /// `None` after its end.
    linking: Option<Linking>,
    /// Calls and connections since the last update.
    calls: Vec<Arc<Call>>,
    connections: Vec<Connection>,
    updates: Sender<Update>,
}

impl Feed {
    /// Treats a closed interface like a closed pipe.
    fn send(&self, update: Update) -> io::Result<()> {
        self.updates.send(update).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Consumer for Feed {
    fn call(&mut self, call: &mut Box<Call>) -> io::Result<()> {
        self.calls.push(Arc::new(call.take()));
        Ok(())
    }

    fn connection(&mut self, connection: &Connection) -> io::Result<()> {
        self.connections.push(connection.clone());
        Ok(())
    }

    fn progress(&mut self, totals: &Totals) -> io::Result<()> {
        let drops = self.counters.as_ref().map(|counters| counters.drops()).unwrap_or_default();
        let calls = std::mem::take(&mut self.calls);
        if !calls.is_empty() {
            // A call must appear before its chain.
            self.send(Update::Calls(calls.clone()))?;
            if let Some(beside) = &self.beside {
                beside.take(&calls);
            }
            if let Some(linking) = &mut self.linking {
                linking.calls(calls);
            }
        }
        if let Some(linking) = &self.linking {
            self.send(Update::Linking(linking.state()))?;
            if let Some((_, now)) = totals.span {
                linking.tick(now, totals.oldest_open);
            }
        }
        if !self.connections.is_empty() {
            let connections = std::mem::take(&mut self.connections);
            self.send(Update::Connections(connections))?;
        }
        self.send(Update::Progress(Progress {
            read: totals.progress,
            packets: totals.packets,
            newest: totals.span.map(|(_, newest)| newest),
            bytes: totals.bytes,
            drops: drops.packets(),
            gaps: totals.gaps,
            unwritten: drops.unwritten,
            deleted: self.deleted.load(Ordering::Relaxed),
            shed: totals.lost(),
        }))
    }

    fn finish(&mut self) -> io::Result<()> {
        if let Some(beside) = &self.beside {
            beside.end();
        }
        match self.linking.take().and_then(Linking::finish) {
            Some(left_out) => self.send(Update::Trouble(left_out)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_interface_waits_until_the_packets_are_written() {
        let (updates, _shown) = bounded(QUEUE);
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (asked, done) = (Arc::clone(&stop), Arc::clone(&written));
        let reading = Reading::spawn(updates, stop, true, move |_| {
            while !asked.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            done.store(true, Ordering::Relaxed);
            Ok(Status::default())
        });
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _reading = reading.unwrap();
            panic!("a fault in the test's interface");
        }));
        assert!(failed.is_err());
        assert!(written.load(Ordering::Relaxed));
    }

    #[test]
    fn a_panic_of_the_reading_thread_is_a_failure() {
        let (updates, _shown) = bounded(QUEUE);
        let reading =
            Reading::spawn(updates, Arc::default(), true, |_| panic!("a fault in the test's thread"));
        assert!(matches!(reading.unwrap().end(), Err(Failure::Environment(_))));
    }
}
