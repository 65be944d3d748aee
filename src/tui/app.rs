//! The event loop: takes updates, keys, signals and results of the worker, and draws.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, after, bounded, never, select};
use crossterm::event::{Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;

use super::logged::Logged;
use super::packets::{BodyBatch, BodySource, DetailSource, Files, PacketExport};
use super::render::render;
use super::state::bodies::Bodies;
use super::state::{Effect, State};
use super::terminal::Screen;
use super::{TuiOptions, Update};
use crate::calls::{Call, Uid};
use crate::detail::Detail;
use crate::sink::{JsonLines, RecordWriter, Sink};
use crate::text;

/// How long the interface waits at most for the first packets before it opens.
const PATIENCE: Duration = Duration::from_millis(200);
/// Shortest time between two drawings: at most 60 a second.
const FRAME: Duration = Duration::from_micros(16_667);
/// How often the loop wakes up while rows wait to be sorted.
const TICK: Duration = Duration::from_millis(100);
/// Updates that are taken before the loop looks at the keys again.
const UPDATES_AT_ONCE: usize = 64;
/// Events that wait for the loop; more than anyone types.
const EVENTS: usize = 256;
/// Tasks and results that wait for the worker and the loop.
const QUEUE: usize = 256;

/// Whether there was anything to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The user has quit.
    Something,
    /// The input ended without packets, and the interface by itself.
    Nothing,
}

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
        max_memory,
        colors,
        time,
        detail,
        export,
        files,
        say,
    } = options;
    let mut state = State::new(source, max_memory, time, colors);
    (state.cx.decoder, state.cx.bodies) = (decoder, Bodies::of(&bodies));
    state.has_packets = export.is_some();
    state.take_look(look);
    state.cx.names.files = names;
    state.cx.logged = has_logs.then(|| Arc::new(Logged::waiting()));
    (state.cx.is_endless, state.views.calls.follow) = (is_endless, is_endless);
    if let Some(filter) = filter {
        state.start_with(&filter);
    }
    receive_first(&updates, &mut state);
    if state.is_void() {
        return Ok(Shown::Nothing);
    }
    let screen = Screen::new()?;
    let size = screen.terminal.size()?;
    state.resize(size.width, size.height);
    let keys = read_keys();
    let signals = read_signals()?;
    let worker = Worker::start(detail, export, files);
    let mut app = App { state, screen, worker, bodies, drawn: None };
    let closed = app.show(updates, &keys, &signals);
    let App { state, screen, worker, .. } = app;
    drop(screen);
    let waits = matches!(closed, Ok(Closed::Quit)).then_some(&signals);
    let unwritten = worker.finish(state.unwritten(), waits, say);
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

struct App {
    state: State,
    screen: Screen,
    worker: Worker,
    bodies: BodySource,
    drawn: Option<Instant>,
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
                None => never(),
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

/// Work that takes too long for the loop.
enum Task {
    ReadPackets(Arc<Call>, Arc<AtomicBool>),
    Export(Vec<Arc<Call>>, PathBuf),
    ListFolder(PathBuf),
}

/// The result of a task.
enum Done {
    Detail(Uid, Result<Box<Detail>, String>),
    /// A line for the user in either case.
    Export(Result<String, String>),
    /// The names in a folder, or why they can't be read.
    Names(PathBuf, Result<Vec<String>, String>),
}

/// A thread that reads packets again and writes files.
struct Worker {
    tasks: Sender<Task>,
    done: Receiver<Done>,
    /// Cancels the newest reading.
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn start(
        mut detail: Option<Box<dyn DetailSource>>,
        mut export: Option<PacketExport>,
        mut files: Box<dyn Files>,
    ) -> Self {
        let (tasks, todo) = bounded::<Task>(QUEUE);
        let (results, done) = bounded(QUEUE);
        std::thread::spawn(move || {
            let mut next = None;
            while let Some(task) = next.take().or_else(|| todo.recv().ok()) {
                let task = newest(task, || todo.try_recv().ok(), &mut next);
                if results.send(perform(task, detail.as_deref_mut(), export.as_mut(), &mut *files)).is_err() {
                    return;
                }
            }
        });
        Self { tasks, done, stop: Arc::default() }
    }

    /// Reads the packets of a call; a reading that is under way is cancelled.
    fn read_packets(&mut self, call: Arc<Call>) {
        self.stop.store(true, Ordering::Relaxed);
        self.stop = Arc::default();
        // When the queue is full, the user is not waiting for this one.
        self.add(Task::ReadPackets(call, Arc::clone(&self.stop)));
    }

    /// Adds a task; `false` if too many wait.
    fn add(&self, task: Task) -> bool {
        self.tasks.try_send(task).is_ok()
    }

    /// Waits until the files of exports are written, `unwritten` in the order of their tasks; without `signals`, or when one comes, they
    /// are left as they are. Returns what could not be written, in words.
    fn finish<'n>(
        self,
        unwritten: impl Iterator<Item = &'n str>,
        signals: Option<&Receiver<i32>>,
        say: impl Fn(&str),
    ) -> Option<String> {
        self.stop.store(true, Ordering::Relaxed);
        let mut unwritten: VecDeque<&str> = unwritten.collect();
        let mut troubles = Vec::new();
        if signals.is_some() && !unwritten.is_empty() {
            let names = Vec::from(unwritten.clone()).join(", ");
            say(&format!("still writing {names}: Ctrl-C leaves it incomplete"));
        }
        while !unwritten.is_empty() {
            let next = match signals {
                None => self.done.try_recv().ok(),
                Some(signals) => select! {
                    recv(self.done) -> done => done.ok(),
                    recv(signals) -> signal => {
                        if signal == Ok(SIGTSTP) {
                            _ = signal_hook::low_level::emulate_default_handler(SIGTSTP);
                            continue;
                        }
                        None
                    }
                },
            };
            match next {
                None => break,
                Some(Done::Export(result)) => {
                    unwritten.pop_front();
                    match result {
                        Ok(line) => say(&line),
                        Err(why) => troubles.push(format!("not written: {why}")),
                    }
                }
                Some(_) => {}
            }
        }
        if !unwritten.is_empty() {
            troubles.push(format!("not written to the end: {}", Vec::from(unwritten).join(", ")));
        }
        (!troubles.is_empty()).then(|| troubles.join("\n"))
    }
}

/// The task to do now: someone who leafs through calls waits only for the packets of the last one. A task of another kind
/// that was taken from the queue goes to `next`.
fn newest(mut task: Task, mut queued: impl FnMut() -> Option<Task>, next: &mut Option<Task>) -> Task {
    while matches!(task, Task::ReadPackets(..)) {
        match queued() {
            Some(newer @ Task::ReadPackets(..)) => task = newer,
            other => {
                *next = other;
                break;
            }
        }
    }
    task
}

fn perform(
    task: Task,
    detail: Option<&mut (dyn DetailSource + 'static)>,
    export: Option<&mut PacketExport>,
    files: &mut dyn Files,
) -> Done {
    let gone = "the packets of this run can't be read again";
    match task {
        Task::ReadPackets(call, stop) => {
            let result = detail.ok_or_else(|| gone.to_owned()).and_then(|source| source.detail(&call, &stop));
            Done::Detail(call.uid, result.map(Box::new))
        }
        Task::ListFolder(folder) => {
            let path = at_home(&folder);
            let names = files.names(&path).map_err(|error| cannot_list(&path, &error));
            Done::Names(folder, names)
        }
        Task::Export(calls, path) => {
            let path = at_home(&path);
            let mut create = || files.create(&path).map_err(|error| cannot_create(&path, &error));
            Done::Export(if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pcapng")) {
                let export = export.ok_or_else(|| format!("{gone}: a name with .jsonl gets the records"));
                export.and_then(|export| export(&calls, &path, &mut create))
            } else {
                create().and_then(|file| write_records(&calls, &path, file))
            })
        }
    }
}

/// The path with the user's home in place of a tilde, as shells have it.
fn at_home(path: &Path) -> PathBuf {
    let rest = path.strip_prefix("~").ok();
    rest.and_then(|rest| Some(PathBuf::from(std::env::var_os("HOME")?).join(rest)))
        .unwrap_or_else(|| path.to_owned())
}

/// The folder of a path, for messages.
fn folder_of(path: &Path) -> String {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.display().to_string(),
        _ => "this folder".to_owned(),
    }
}

/// Why a file can't be created.
fn cannot_create(path: &Path, error: &io::Error) -> String {
    use io::ErrorKind as Kind;
    let (name, folder) = (path.display(), folder_of(path));
    match error.kind() {
        Kind::AlreadyExists if path.is_dir() => format!("{name} is a folder: add the name of a file"),
        Kind::AlreadyExists => format!("{name} exists already, nothing is overwritten: choose another name"),
        Kind::NotFound => format!("there is no folder {folder}"),
        Kind::NotADirectory => format!("{folder} is not a folder"),
        Kind::PermissionDenied => format!("no permission to create files in {folder}"),
        Kind::ReadOnlyFilesystem => format!("{folder} is read-only"),
        _ => format!("{name}: {error}"),
    }
}

/// Why the names of a folder can't be read.
fn cannot_list(folder: &Path, error: &io::Error) -> String {
    let name = folder.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("there is no folder {name}"),
        io::ErrorKind::NotADirectory => format!("{name} is not a folder"),
        io::ErrorKind::PermissionDenied => format!("no permission to read the folder {name}"),
        _ => format!("{name}: {error}"),
    }
}

/// Writes one JSON record for each call.
fn write_records(calls: &[Arc<Call>], path: &Path, file: File) -> Result<String, String> {
    let name = path.display();
    let wrong = |error: io::Error| format!("{name}: {error}");
    let mut sink = JsonLines::new(RecordWriter::new(Box::new(file), false));
    calls.iter().try_for_each(|call| sink.call(call)).and_then(|()| sink.finish()).map_err(wrong)?;
    Ok(format!("wrote {} to {name}", text::counted(calls.len() as u64, "record")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    fn task(kind: char) -> Task {
        let call = Arc::new(sample::ok());
        match kind {
            'e' => Task::ReadPackets(call, Arc::default()),
            _ => Task::Export(Vec::new(), "out.jsonl".into()),
        }
    }

    #[test]
    fn only_older_readings_are_skipped() {
        for (queue, first, next, left) in
            [("eee", 'e', None, 0), ("eexe", 'e', Some('x'), 1), ("xe", 'x', None, 1)]
        {
            let mut queued: Vec<Task> = queue.chars().rev().map(task).collect();
            let mut after = None;
            let begin = queued.pop().unwrap();
            let kind = |task: &Task| if matches!(task, Task::ReadPackets(..)) { 'e' } else { 'x' };
            assert_eq!(kind(&newest(begin, || queued.pop(), &mut after)), first, "{queue}");
            assert_eq!(after.as_ref().map(kind), next, "{queue}: an export is not lost");
            assert_eq!(queued.len(), left, "{queue}");
        }
    }
    /// Files in a folder that is gone afterwards.
    struct Folder(tempfile::TempDir);

    impl Files for Folder {
        fn create(&mut self, path: &Path) -> io::Result<File> {
            File::create_new(self.0.path().join(path))
        }

        fn names(&mut self, _folder: &Path) -> io::Result<Vec<String>> {
            Ok(Vec::new())
        }
    }

    /// A worker with an export that goes on when the gate opens, and another after it.
    fn exporting() -> (Worker, Sender<()>) {
        let (open, gate) = bounded::<()>(1);
        let export: PacketExport = Box::new(move |_, path, create| {
            create()?;
            gate.recv().map_err(|_| "the gate is gone".to_owned())?;
            Ok(format!("wrote {}", path.display()))
        });
        let worker = Worker::start(None, Some(export), Box::new(Folder(tempfile::tempdir().unwrap())));
        assert!(worker.add(Task::Export(Vec::new(), "a.pcapng".into())));
        assert!(worker.add(Task::Export(vec![Arc::new(sample::ok())], "b.jsonl".into())));
        (worker, open)
    }

    #[test]
    fn files_are_written_to_their_end_after_quitting() {
        let (worker, open) = exporting();
        let (_ring, signals) = bounded(1);
        let said = std::cell::RefCell::new(Vec::new());
        let unwritten = worker.finish(["a.pcapng", "b.jsonl"].into_iter(), Some(&signals), |line| {
            said.borrow_mut().push(line.to_owned());
            _ = open.try_send(());
        });
        assert_eq!(unwritten, None);
        assert_eq!(
            said.into_inner(),
            [
                "still writing a.pcapng, b.jsonl: Ctrl-C leaves it incomplete",
                "wrote a.pcapng",
                "wrote 1 record to b.jsonl"
            ]
        );
    }

    #[test]
    fn files_that_a_signal_cuts_are_named() {
        let (worker, _open) = exporting();
        let (ring, signals) = bounded(1);
        ring.send(SIGINT).unwrap();
        let names = ["a.pcapng", "b.jsonl"];
        let unwritten = worker.finish(names.into_iter(), Some(&signals), |_| {});
        assert_eq!(unwritten.as_deref(), Some("not written to the end: a.pcapng, b.jsonl"));
        let (worker, _open) = exporting();
        let unwritten = worker.finish(names.into_iter(), None, |_| {});
        assert_eq!(unwritten.as_deref(), Some("not written to the end: a.pcapng, b.jsonl"));
    }
}
