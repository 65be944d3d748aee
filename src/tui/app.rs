//! The one event loop: updates, keys, signals and finished work in; drawings out.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, after, bounded, never, select};
use crossterm::event::{Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::evidence::{DetailSource, PacketExport};
use super::render::render;
use super::state::{Effect, State};
use super::terminal::Screen;
use super::{TuiOptions, Update};
use crate::calls::{Call, Uid};
use crate::detail::Detail;
use crate::sink::{JsonLines, RecordWriter, Sink};
use crate::text;

/// Least time between two drawings: at most 60 a second.
const FRAME: Duration = Duration::from_micros(16_667);
/// How long to wait for the time at which tables are put into order anew.
const TICK: Duration = Duration::from_millis(100);
/// Updates that are taken in between two looks at the keys.
const UPDATES_AT_ONCE: usize = 64;
/// Keys that wait for the loop; more than anyone types.
const KEYS: usize = 256;

/// Shows the interface until the user quits. Takes `updates` from the analysis, which never waits for a drawing.
///
/// Fails only if the terminal can't be used; it is restored in every case.
pub fn run(updates: Receiver<Update>, options: TuiOptions) -> io::Result<()> {
    let TuiOptions { source, filter, max_memory, colors, time, detail, export } = options;
    let mut state = State::new(source, max_memory, time, colors);
    if let Some(filter) = filter {
        state.start_with(&filter);
    }
    let screen = Screen::new()?;
    let size = screen.terminal.size()?;
    state.resize(size.width, size.height);
    let keys = read_keys();
    let signals = read_signals()?;
    let desk = Desk::open(detail, export);
    let mut app = App { state, screen, desk, drawn: None };
    let shown = app.show(updates, &keys, &signals);
    let App { state, screen, .. } = app;
    drop(screen);
    // The process is about to end: whoever quit does not wait until a million calls are freed one by one.
    std::mem::forget(state);
    shown
}

struct App {
    state: State,
    screen: Screen,
    desk: Desk,
    drawn: Option<Instant>,
}

impl App {
    fn show(
        &mut self,
        mut updates: Receiver<Update>,
        keys: &Receiver<io::Result<Event>>,
        signals: &Receiver<i32>,
    ) -> io::Result<()> {
        loop {
            let now = Instant::now();
            let busy = self.state.work(now);
            let wait = self.draw_if_due(now)?;
            let timer = match wait {
                _ if busy => after(Duration::ZERO),
                Some(wait) => after(wait),
                None if self.state.is_waiting() => after(TICK),
                None => never(),
            };
            select! {
                recv(keys) -> event => {
                    let Ok(event) = event else { return Ok(()) };
                    if self.event(event?)? {
                        return Ok(());
                    }
                    // What was typed or scrolled meanwhile is one change, not many drawings.
                    while let Ok(event) = keys.try_recv() {
                        if self.event(event?)? {
                            return Ok(());
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
                                // A closed channel is always ready: it must not be looked at again.
                                updates = never();
                                self.state.receive(Update::Ended);
                                break;
                            }
                        }
                        next = updates.try_recv();
                    }
                }
                recv(self.desk.done) -> done => match done {
                    Ok(Done::Evidence(uid, result)) => self.state.evidence(uid, result),
                    Ok(Done::Line(line)) => self.state.say(line),
                    Err(_) => return Err(io::Error::other("the thread that reads packets again has ended")),
                },
                recv(signals) -> signal => match signal {
                    Ok(SIGTSTP) => self.suspend()?,
                    _ => return Ok(()),
                },
                recv(timer) -> _ => {}
            }
            if Screen::is_lost() {
                return Err(io::Error::other("a part of the program has failed; its message stands above"));
            }
        }
    }

    /// Draws if something changed and the last drawing is long enough ago; else says how long to wait.
    fn draw_if_due(&mut self, now: Instant) -> io::Result<Option<Duration>> {
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

    /// Takes an event of the terminal. Whether to quit.
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
        match effect {
            None => {}
            Some(Effect::Quit) => return Ok(true),
            Some(Effect::Suspend) => self.suspend()?,
            Some(Effect::Redraw) => {
                self.screen.forget()?;
                self.state.dirty = true;
            }
            Some(Effect::Copy(text)) => Screen::copy(&text)?,
            Some(Effect::Evidence(call)) => self.desk.look_into(call),
            Some(Effect::Export(calls, path)) => self.desk.ask(Task::Export(calls, path)),
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

/// Events of the terminal from a thread of their own, so that the loop can wait for everything at once.
fn read_keys() -> Receiver<io::Result<Event>> {
    let (give, take) = bounded(KEYS);
    std::thread::spawn(move || {
        loop {
            let event = crossterm::event::read();
            let failed = event.is_err();
            if give.send(event).is_err() || failed {
                return;
            }
        }
    });
    take
}

/// Signals that end or stop the program; the loop gives the terminal back first.
fn read_signals() -> io::Result<Receiver<i32>> {
    let mut signals = Signals::new([SIGTERM, SIGHUP, SIGINT, SIGTSTP])?;
    let (give, take) = bounded(4);
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if give.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(take)
}

/// What takes too long for the loop.
enum Task {
    Evidence(Arc<Call>, Arc<AtomicBool>),
    Export(Vec<Arc<Call>>, std::path::PathBuf),
}

/// What became of it.
enum Done {
    Evidence(Uid, Result<Box<Detail>, String>),
    Line(String),
}

/// A thread that reads packets again and writes files.
struct Desk {
    tasks: Sender<Task>,
    done: Receiver<Done>,
    /// Ends the reading that was asked for last.
    stop: Arc<AtomicBool>,
}

impl Desk {
    fn open(mut detail: Option<Box<dyn DetailSource>>, mut export: Option<PacketExport>) -> Self {
        let (tasks, todo) = bounded::<Task>(KEYS);
        let (tell, done) = bounded(KEYS);
        std::thread::spawn(move || {
            while let Ok(mut task) = todo.recv() {
                // Who leafs through calls wants the last one; the evidence of the others is not waited for.
                while let Task::Evidence(..) = task {
                    match todo.try_recv() {
                        Ok(newer) => task = newer,
                        Err(_) => break,
                    }
                }
                let result = match task {
                    Task::Evidence(call, stop) => {
                        let result = detail.as_mut().map_or_else(
                            || Err("the packets of this run can't be read again".to_owned()),
                            |source| source.detail(&call, &stop).map(Box::new),
                        );
                        Done::Evidence(call.uid, result)
                    }
                    Task::Export(_, path) if path.exists() => {
                        Done::Line(format!("{} exists already: choose another name", path.display()))
                    }
                    Task::Export(calls, path) => {
                        let result = if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pcapng")) {
                            export.as_mut().map_or_else(
                                || Err("the packets of this run can't be read again".to_owned()),
                                |export| export(&calls, &path),
                            )
                        } else {
                            write_records(&calls, &path)
                        };
                        Done::Line(result.unwrap_or_else(|why| format!("not written: {why}")))
                    }
                };
                if tell.send(result).is_err() {
                    return;
                }
            }
        });
        Self { tasks, done, stop: Arc::default() }
    }

    /// Asks for the evidence of a call instead of that of the call before.
    fn look_into(&mut self, call: Arc<Call>) {
        self.stop.store(true, Ordering::Relaxed);
        self.stop = Arc::default();
        self.ask(Task::Evidence(call, Arc::clone(&self.stop)));
    }

    /// Leaves a task; when very many wait already, the user is not waiting for this one.
    fn ask(&self, task: Task) {
        _ = self.tasks.try_send(task);
    }
}

/// Writes one JSON record a call to a new file; what is there already is never overwritten.
fn write_records(calls: &[Arc<Call>], path: &Path) -> Result<String, String> {
    let name = path.display();
    let wrong = |error: io::Error| format!("{name}: {error}");
    let file = std::fs::File::create_new(path).map_err(wrong)?;
    let mut sink = JsonLines::new(RecordWriter::new(Box::new(file), false));
    calls.iter().try_for_each(|call| sink.call(call)).and_then(|()| sink.finish()).map_err(wrong)?;
    let plural = if calls.len() == 1 { "" } else { "s" };
    Ok(format!("wrote {} call{plural} to {name}", text::thousands(calls.len() as u64)))
}
