//! The event loop: takes updates, keys, signals and results of the worker, and draws.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, TryRecvError, after, at, bounded, never, select};
use crossterm::event::{Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::logged::Logged;
use super::packets::{BodyBatch, BodySource};
use super::render::render;
use super::state::bodies::Bodies;
use super::state::{Effect, State};
use super::terminal::Screen;
use super::worker::{Done, Reach, Task, Worker};
use super::{TuiOptions, Update};
use crate::chains::is_recent;

/// How long the interface waits at most for the first packets before it opens.
const PATIENCE: Duration = Duration::from_millis(200);
/// Shortest time between two drawings: at most 60 a second.
const FRAME: Duration = Duration::from_micros(16_667);
/// How often the loop wakes up while rows wait to be sorted.
const TICK: Duration = Duration::from_millis(100);
/// How often the screen is drawn as a whole where others may write over it.
const WHOLE: Duration = Duration::from_secs(1);
/// Updates that are taken before the loop looks at the keys again.
const UPDATES_AT_ONCE: usize = 64;
/// Events that wait for the loop; more than anyone types.
const EVENTS: usize = 256;

/// Whether there was anything to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The user has quit.
    Something,
    /// The input ended without packets, and the interface by itself.
    Nothing,
}

/// How long a terminal that fails is given to say that it was closed.
const HANG_UP: Duration = Duration::from_secs(1);

/// Shows the interface until the user quits. The analysis sends `updates` and never waits for a drawing.
///
/// If the input ends without packets, the interface is not opened, or closes: the caller reports why.
///
/// Fails only if the terminal can't be used; it is restored in every case.
pub fn run(updates: Receiver<Update>, options: TuiOptions) -> io::Result<Shown> {
    let TuiOptions {
        source,
        filter,
        look,
        decoder,
        bodies,
        names,
        has_logs,
        is_endless,
        is_piped,
        max_memory,
        colors,
        time,
        detail,
        export,
        files,
        config,
        say,
        usual_colors,
    } = options;
    let mut state = State::new(source, max_memory, time, colors);
    state.usual_colors = usual_colors;
    (state.cx.decoder, state.cx.bodies) = (decoder, Bodies::of(&bodies));
    state.has_packets = export.is_some();
    state.take_look(look);
    state.cx.names.files = names;
    state.cx.logged = has_logs.then(|| Arc::new(Logged::waiting()));
    let is_sorted = state.views.calls.list.sort.is_some();
    (state.cx.is_endless, state.views.calls.follow) = (is_endless, is_endless && !is_sorted);
    if let Some(filter) = filter {
        state.start_with(&filter);
    }
    receive_first(&updates, &mut state);
    if is_piped && seems_live(&state) {
        (state.cx.is_endless, state.views.calls.follow) = (true, !is_sorted);
    }
    if state.is_void() {
        return Ok(Shown::Nothing);
    }
    let screen = Screen::new()?;
    let size = screen.terminal.size()?;
    state.resize(size.width, size.height);
    let keys = read_keys();
    let signals = read_signals()?;
    let worker = Worker::start(Reach { detail, export, files, config });
    let distrust = is_piped.then(Instant::now);
    let mut app = App { state, screen, worker, bodies, drawn: None, distrust };
    let closed = app.show(updates, &keys, &signals).or_else(|error| closed_by(error, &signals));
    let App { state, screen, worker, .. } = app;
    drop(screen);
    let waits = matches!(closed, Ok(Closed::Quit)).then_some(&signals);
    let unwritten = worker.finish(state.unwritten(), state.unsaved(), waits, say);
    let is_void = state.is_void();
    // The process is about to end: freeing a million calls one by one would only delay it.
    std::mem::forget(state);
    match (closed, unwritten) {
        (Ok(_), None) => Ok(if is_void { Shown::Nothing } else { Shown::Something }),
        (Ok(_), Some(unwritten)) => Err(io::Error::other(unwritten)),
        (Err(error), unwritten) => {
            unwritten.as_deref().map(say);
            Err(error)
        }
    }
}

/// Why the interface closes.
enum Closed {
    /// The user has quit, or there is nothing to show.
    Quit,
    /// By a signal, or because the terminal is gone: nobody waits for what is under way.
    Cut,
}

/// Whether the terminal fails because it was closed: then a hang-up comes too, before or after the drawing that failed.
fn closed_by(error: io::Error, signals: &Receiver<i32>) -> io::Result<Closed> {
    // The interface's own words.
    if error.kind() == io::ErrorKind::Other {
        return Err(error);
    }
    match signals.recv_timeout(HANG_UP) {
        Ok(signal) if signal != SIGTSTP => Ok(Closed::Cut),
        _ => Err(error),
    }
}

/// Takes updates until there are packets, or the input ends, or [`PATIENCE`] is over: live interfaces may be silent for long.
fn receive_first(updates: &Receiver<Update>, state: &mut State) {
    let until = Instant::now() + PATIENCE;
    while state.cx.progress.packets == 0 && !state.cx.ended {
        match updates.recv_deadline(until) {
            Ok(update) => state.receive(update),
            Err(RecvTimeoutError::Disconnected) => state.receive(Update::Ended),
            Err(RecvTimeoutError::Timeout) => return,
        }
    }
}

/// Whether what another program writes comes as it is captured, and is no old file.
fn seems_live(state: &State) -> bool {
    !state.cx.ended && state.cx.progress.newest.is_none_or(is_recent)
}

struct App {
    state: State,
    screen: Screen,
    worker: Worker,
    bodies: BodySource,
    drawn: Option<Instant>,
    /// When the screen is drawn as a whole again, because another program may have written over it: `ssh -n host tcpdump -w - | rpcscope -`.
    distrust: Option<Instant>,
}

impl App {
    fn show(
        &mut self,
        mut updates: Receiver<Update>,
        keys: &Receiver<io::Result<Event>>,
        signals: &Receiver<i32>,
    ) -> io::Result<Closed> {
        let mut again = never();
        loop {
            if self.state.begin_bodies() {
                again = self.read_bodies();
            }
            let now = Instant::now();
            let busy = self.state.work(now);
            if let Some(effect) = self.state.outstanding.take()
                && self.perform(effect)?
            {
                return Ok(Closed::Quit);
            }
            let wait = self.draw_if_due(now)?;
            let timer = match wait {
                _ if busy => after(Duration::ZERO),
                Some(wait) => after(wait),
                None if self.state.is_waiting() => after(TICK),
                None => self.distrust.map_or_else(never, at),
            };
            select! {
                recv(keys) -> event => {
                    let Ok(event) = event else { return Ok(Closed::Cut) };
                    if self.event(event?)? {
                        return Ok(Closed::Quit);
                    }
                    // Draw once for everything that was typed or scrolled in the meantime.
                    while let Ok(event) = keys.try_recv() {
                        if self.event(event?)? {
                            return Ok(Closed::Quit);
                        }
                    }
                }
                recv(updates) -> update => {
                    let mut next = update.map_err(|_| TryRecvError::Disconnected);
                    for _ in 0..UPDATES_AT_ONCE {
                        match next {
                            Ok(update) => self.state.receive(update),
                            Err(TryRecvError::Empty) => break,
                            Err(TryRecvError::Disconnected) => {
                                // A closed channel is always ready and would keep the loop busy.
                                updates = never();
                                self.state.receive(Update::Ended);
                                break;
                            }
                        }
                        next = updates.try_recv();
                    }
                }
                recv(again) -> batch => if let Ok(batch) = batch {
                    self.state.bodies_came(batch);
                } else {
                    again = never();
                    self.state.bodies_ended();
                },
                recv(self.worker.done) -> done => match done {
                    Ok(Done::Detail(uid, result)) => self.state.packets_read(uid, result),
                    Ok(Done::Export(result)) => self.state.exported(result),
                    Ok(Done::Saved(result)) => self.state.saved(result),
                    Ok(Done::Names(folder, result)) => self.state.names_came(&folder, result),
                    Err(_) => return Err(io::Error::other("the thread that reads packets again has ended")),
                },
                recv(signals) -> signal => match signal {
                    Ok(SIGTSTP) => self.suspend()?,
                    _ => return Ok(Closed::Cut),
                },
                recv(timer) -> _ => {}
            }
            if self.state.is_void() {
                return Ok(Closed::Quit);
            }
            if Screen::is_lost() {
                return Err(io::Error::other("a part of the program has failed; see the message above"));
            }
        }
    }

    /// Lets bodies be read. Returns where the calls come that are read again.
    fn read_bodies(&mut self) -> Receiver<BodyBatch> {
        match std::mem::replace(&mut self.bodies, BodySource::WithCalls) {
            BodySource::WithCalls => {}
            BodySource::FromNowOn(begin) => begin(),
            BodySource::Again(begin) => match begin() {
                Ok(again) => return again,
                Err(error) => {
                    self.state.bodies_ended();
                    self.state.say(format!("bodies can't be read: {error}"));
                }
            },
        }
        never()
    }

    /// Draws if something changed and the last drawing is long enough ago; otherwise returns how long to wait.
    fn draw_if_due(&mut self, now: Instant) -> io::Result<Option<Duration>> {
        if self.distrust.is_some_and(|at| at <= now) {
            self.screen.distrust();
            self.state.dirty = true;
            self.distrust = Some(now + WHOLE);
        }
        if !self.state.dirty {
            return Ok(None);
        }
        let since = self.drawn.map(|drawn| now.saturating_duration_since(drawn));
        if let Some(wait) = since.and_then(|since| FRAME.checked_sub(since)).filter(|wait| !wait.is_zero()) {
            return Ok(Some(wait));
        }
        let state = &self.state;
        self.screen.terminal.draw(|frame| render(frame, state))?;
        self.drawn = Some(now);
        self.state.dirty = false;
        Ok(None)
    }

    /// Handles an event of the terminal. Returns whether to quit.
    fn event(&mut self, event: Event) -> io::Result<bool> {
        let effect = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.state.key(key.into()),
            Event::Mouse(mouse) => self.state.mouse(mouse, Instant::now()),
            Event::Paste(text) => self.state.paste(&text),
            Event::Resize(width, height) => {
                self.state.resize(width, height);
                None
            }
            _ => None,
        };
        effect.map_or(Ok(false), |effect| self.perform(effect))
    }

    /// Does what the state can't do by itself. Returns whether to quit.
    fn perform(&mut self, effect: Effect) -> io::Result<bool> {
        match effect {
            Effect::Quit => return Ok(true),
            Effect::Suspend => self.suspend()?,
            Effect::Redraw => {
                self.screen.forget()?;
                self.state.dirty = true;
            }
            Effect::Copy(text) => Screen::copy(&text)?,
            Effect::ReadPackets(call) => self.worker.read_packets(call),
            Effect::Export(calls, path) => {
                if !self.worker.add(Task::Export(calls, path)) {
                    self.state
                        .export_refused("too much waits to be read and written: try again later".into());
                }
            }
            Effect::Save(changes) => {
                if !self.worker.add(Task::Save(changes)) {
                    self.state.save_refused("too much waits to be read and written: try again later");
                }
            }
            Effect::ListFolder(folder) => _ = self.worker.add(Task::ListFolder(folder)),
        }
        Ok(false)
    }

    fn suspend(&mut self) -> io::Result<()> {
        self.screen.suspend()?;
        let size = self.screen.terminal.size()?;
        self.state.resize(size.width, size.height);
        Ok(())
    }
}

/// Reads events of the terminal in a thread of their own, so that the loop can wait for everything at once.
fn read_keys() -> Receiver<io::Result<Event>> {
    let (sender, receiver) = bounded(EVENTS);
    std::thread::spawn(move || {
        loop {
            let event = crossterm::event::read();
            let failed = event.is_err();
            if sender.send(event).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

/// Receives the signals that end or stop the program, so that the loop can restore the terminal first.
fn read_signals() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP])?;
    let (sender, receiver) = bounded(4);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if sender.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_that_fails_was_closed_if_a_hang_up_comes() {
        let fails = || io::Error::from_raw_os_error(5);
        let (sender, signals) = bounded(1);
        for (signal, is_closed) in [(SIGHUP, true), (SIGTERM, true), (SIGTSTP, false)] {
            sender.send(signal).expect("room");
            assert_eq!(closed_by(fails(), &signals).is_ok(), is_closed, "{signal}");
        }
        sender.send(SIGHUP).expect("room");
        assert!(closed_by(io::Error::other("a part of the program has failed"), &signals).is_err());
        // Nobody says that it was closed.
        _ = signals.recv();
        drop(sender);
        assert!(closed_by(fails(), &signals).is_err());
    }
}
