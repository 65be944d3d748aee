//! The thread for what takes too long for the event loop: it reads packets again and writes files.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, bounded, select};
use signal_hook::consts::SIGTSTP;

use super::packets::{DetailSource, Files, PacketExport, SaveConfig};
use crate::calls::{Call, Uid};
use crate::config::Change;
use crate::detail::Detail;
use crate::sink::{JsonLines, RecordWriter, Sink};
use crate::text;

/// Tasks and results that wait for the worker and the loop.
const QUEUE: usize = 256;

/// Work that takes too long for the loop.
pub(super) enum Task {
    ReadPackets(Arc<Call>, Arc<AtomicBool>),
    Export(Vec<Arc<Call>>, PathBuf),
    ListFolder(PathBuf),
    /// Change the config file.
    Save(Vec<Change>),
}

/// The result of a task.
pub(super) enum Done {
    Detail(Uid, Result<Box<Detail>, String>),
    /// A line for the user in either case.
    Export(Result<String, String>),
    /// The names in a folder, or why they can't be read.
    Names(PathBuf, Result<Vec<String>, String>),
    /// The config file that was changed, or why it was not.
    Saved(Result<String, String>),
}

/// What the thread reads and writes with.
pub(super) struct Reach {
    pub detail: Option<Box<dyn DetailSource>>,
    pub export: Option<PacketExport>,
    pub files: Box<dyn Files>,
    pub config: SaveConfig,
}

/// A thread that reads packets again and writes files.
pub(super) struct Worker {
    tasks: Sender<Task>,
    pub done: Receiver<Done>,
    /// Cancels the newest reading.
    stop: Arc<AtomicBool>,
}

impl Worker {
    pub(super) fn start(mut reach: Reach) -> Self {
        let (tasks, todo) = bounded::<Task>(QUEUE);
        let (results, done) = bounded(QUEUE);
        std::thread::spawn(move || {
            let mut next = None;
            while let Some(task) = next.take().or_else(|| todo.recv().ok()) {
                let task = newest(task, || todo.try_recv().ok(), &mut next);
                if results.send(reach.perform(task)).is_err() {
                    return;
                }
            }
        });
        Self { tasks, done, stop: Arc::default() }
    }

    /// Reads the packets of a call; a reading that is under way is cancelled.
    pub(super) fn read_packets(&mut self, call: Arc<Call>) {
        self.stop.store(true, Ordering::Relaxed);
        self.stop = Arc::default();
        // When the queue is full, the user is not waiting for this one.
        self.add(Task::ReadPackets(call, Arc::clone(&self.stop)));
    }

    /// Adds a task; `false` if too many wait.
    pub(super) fn add(&self, task: Task) -> bool {
        self.tasks.try_send(task).is_ok()
    }

    /// Waits until the config file is changed so many times, and the files of exports are written, `unwritten` in the order of their
    /// tasks; without `signals`, or when one comes, they are left as they are. Returns what could not be written, in words.
    pub(super) fn finish<'n>(
        self,
        unwritten: impl Iterator<Item = &'n str>,
        mut changes: usize,
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
        while changes > 0 || !unwritten.is_empty() {
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
                Some(Done::Saved(result)) => {
                    changes = changes.saturating_sub(1);
                    troubles.extend(result.err().map(|why| format!("not kept: {why}")));
                }
                Some(_) => {}
            }
        }
        if changes > 0 {
            troubles.push("not kept: the config file may lack what the last :save was about".to_owned());
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

impl Reach {
    fn perform(&mut self, task: Task) -> Done {
        let gone = "the packets of this run can't be read again";
        match task {
            Task::ReadPackets(call, stop) => {
                let detail = self.detail.as_mut().ok_or_else(|| gone.to_owned());
                Done::Detail(call.uid, detail.and_then(|source| source.detail(&call, &stop)).map(Box::new))
            }
            Task::ListFolder(folder) => {
                let path = at_home(&folder);
                let names = self.files.names(&path).map_err(|error| cannot_list(&path, &error));
                Done::Names(folder, names)
            }
            Task::Save(changes) => Done::Saved((self.config)(&changes)),
            Task::Export(calls, path) => {
                let path = at_home(&path);
                let mut create = || self.files.create(&path).map_err(|error| cannot_create(&path, &error));
                Done::Export(if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("pcapng")) {
                    let export = self.export.as_mut();
                    let export = export.ok_or_else(|| format!("{gone}: a name with .jsonl gets the records"));
                    export.and_then(|export| export(&calls, &path, &mut create))
                } else {
                    create().and_then(|file| write_records(&calls, &path, file))
                })
            }
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
    use signal_hook::consts::SIGINT;

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
        let files = Box::new(Folder(tempfile::tempdir().unwrap()));
        let config = Box::new(|changes: &[Change]| Err(format!("no {}", changes[0].line())));
        let worker = Worker::start(Reach { detail: None, export: Some(export), files, config });
        assert!(worker.add(Task::Export(Vec::new(), "a.pcapng".into())));
        assert!(worker.add(Task::Export(vec![Arc::new(sample::ok())], "b.jsonl".into())));
        (worker, open)
    }

    #[test]
    fn files_are_written_to_their_end_after_quitting() {
        let (worker, open) = exporting();
        let (_ring, signals) = bounded(1);
        let said = std::cell::RefCell::new(Vec::new());
        assert!(worker.add(Task::Save(vec![Change::word("time", "utc")])));
        let unwritten = worker.finish(["a.pcapng", "b.jsonl"].into_iter(), 1, Some(&signals), |line| {
            said.borrow_mut().push(line.to_owned());
            _ = open.try_send(());
        });
        assert_eq!(unwritten.as_deref(), Some("not kept: no time = \"utc\""));
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
        let unwritten = worker.finish(names.into_iter(), 0, Some(&signals), |_| {});
        assert_eq!(unwritten.as_deref(), Some("not written to the end: a.pcapng, b.jsonl"));
        let (worker, _open) = exporting();
        let unwritten = worker.finish(names.into_iter(), 0, None, |_| {});
        assert_eq!(unwritten.as_deref(), Some("not written to the end: a.pcapng, b.jsonl"));
    }
}
