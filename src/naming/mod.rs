//! Names of addresses from files (`--names`): hosts files, CSV, the JSON of kubectl and of Consul, told apart by their content.
//!
//! | part | file |
//! | --- | --- |
//! | the names of one file, and which of them fits an address best | `table.rs` |
//! | addresses, ports and networks as text | `address.rs` |
//! | hosts files and CSV | `lines.rs` |
//! | documents of JSON, an object at a time | `json.rs` |
//! | pods, services and nodes of Kubernetes | `kubernetes.rs` |
//! | instances of Consul's catalog | `consul.rs` |
//!
//! A name is that of the file as it is when the call is decided. Addresses are used again, those of pods within minutes: the names of an
//! old capture need a file of the same time.

mod address;
mod consul;
mod json;
mod kubernetes;
mod lines;
mod table;

use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use self::table::{Builder, Table};
use crate::calls::record::{Call, Initiator, Named};
use crate::decode::Endpoint;
use crate::source::fifo::Once;

/// Largest file in bytes. It is read an object at a time, so that this bounds the time and not the memory.
const MAX_FILE: u64 = 1 << 30;

/// How often live runs look whether a file has changed.
const INTERVAL: Duration = Duration::from_secs(1);

/// Most problems that wait to be reported.
const MAX_TROUBLES: usize = 100;

/// What is said of a file in no known form.
const NO_FORM: &str = "is not a file of names: hosts files (10.0.0.1 order), CSV (10.0.0.1:8888,order), \
                       the output of kubectl get pods,services -A -o json, or that of Consul's /v1/catalog/service/NAME or /v1/health/service/NAME";

/// A service within its namespace, as DNS in a cluster has it.
fn service_in(namespace: &str, service: &str) -> String {
    if namespace == "default" { service.to_owned() } else { format!("{service}.{namespace}") }
}

/// A pod within its namespace, as kubectl has it.
fn pod_in(namespace: &str, pod: &str) -> String {
    format!("{namespace}/{pod}")
}

/// What changes when a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    written: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let facts = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some(Self { written: facts.modified().ok(), length: facts.len(), inode: facts.ino() })
    }
}

/// A file of names.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    table: Arc<Table>,
    /// That of the file when it was read; `None` for pipes, which are read once.
    read: Option<Stamp>,
    /// That of the last look. A file is read again once it no longer changes, because it may be written slowly.
    seen: Option<Stamp>,
}

/// The names of all files, shared by the threads of a run.
#[derive(Debug)]
pub struct NameBook {
    sources: Mutex<Vec<Source>>,
    /// The tables of the sources.
    tables: Mutex<Arc<[Arc<Table>]>>,
    troubles: Mutex<Vec<String>>,
    has_troubles: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl NameBook {
    /// Whether these files are there. Nothing of them is read.
    pub fn expect(paths: &[PathBuf]) -> Result<(), String> {
        let find = |path: &PathBuf| {
            let facts = path.metadata();
            facts.map(drop).map_err(|error| format!("--names {}: {}", path.display(), unopened(&error)))
        };
        paths.iter().filter(|path| *path != Path::new("-")).try_for_each(find)
    }

    /// Reads these files. An error says which one can't be used, why, and what would help.
    pub fn read(paths: &[PathBuf]) -> Result<Self, String> {
        let mut troubles = Vec::new();
        let mut sources = Vec::new();
        for path in paths {
            let stamp = Stamp::of(path);
            let (table, said) = open(path).map_err(|why| format!("--names {}: {why}", path.display()))?;
            troubles.extend(said.into_iter().map(|what| format!("{}: {what}", path.display())));
            sources.push(Source { path: path.clone(), table: Arc::new(table), read: stamp, seen: stamp });
        }
        let tables = sources.iter().map(|source| Arc::clone(&source.table)).collect();
        let has_troubles = AtomicBool::new(!troubles.is_empty());
        Ok(Self {
            sources: Mutex::new(sources),
            tables: Mutex::new(tables),
            troubles: Mutex::new(troubles),
            has_troubles,
        })
    }

    /// Reads files again when they change, in a thread that ends with the last use of the names.
    pub fn watch(self: &Arc<Self>) -> io::Result<()> {
        let book = Arc::downgrade(self);
        std::thread::Builder::new().name("names".into()).spawn(move || {
            while let Some(book) = book.upgrade() {
                book.look();
                drop(book);
                std::thread::sleep(INTERVAL);
            }
        })?;
        Ok(())
    }

    /// Reads the files that have changed and are no longer being written.
    fn look(&self) {
        let mut sources = lock(&self.sources);
        let mut has_changed = false;
        for source in sources.iter_mut() {
            let Some(read) = source.read else { continue };
            let now = Stamp::of(&source.path);
            let is_settled = now == source.seen;
            source.seen = now;
            let Some(now) = now.filter(|now| is_settled && *now != read) else { continue };
            source.read = Some(now);
            let name = source.path.display();
            match open(&source.path) {
                Ok((table, said)) => {
                    source.table = Arc::new(table);
                    has_changed = true;
                    self.trouble(said.into_iter().map(|what| format!("{name}: {what}")));
                }
                Err(why) => {
                    self.trouble([format!("{name} has changed: {why}; its names stay as they were")]);
                }
            }
        }
        if has_changed {
            *lock(&self.tables) = sources.iter().map(|source| Arc::clone(&source.table)).collect();
        }
    }

    fn trouble(&self, lines: impl IntoIterator<Item = String>) {
        let mut troubles = lock(&self.troubles);
        for line in lines {
            if troubles.len() < MAX_TROUBLES {
                troubles.push(line);
            }
            self.has_troubles.store(true, Ordering::Release);
        }
    }

    /// What is wrong with the files, each thing once.
    #[must_use]
    pub fn take_troubles(&self) -> Vec<String> {
        // Asked for with every batch of packets.
        if !self.has_troubles.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.has_troubles.store(false, Ordering::Release);
        std::mem::take(&mut lock(&self.troubles))
    }

    fn tables(&self) -> Arc<[Arc<Table>]> {
        Arc::clone(&lock(&self.tables))
    }

    /// The names of an address: the longest match in all files, the first file's among equals.
    #[must_use]
    pub fn find(&self, end: Endpoint) -> Option<Arc<Named>> {
        find(&self.tables(), end).cloned()
    }

    /// Gives a call the names of its ends, where it has none yet. Where the process at an end is known and in a pod, its names are
    /// that pod's, whatever the address.
    pub fn name(&self, call: &mut Call) {
        let tables = self.tables();
        let end = |end: Initiator, address: Endpoint| {
            if let Some(named) = call.named(end) {
                return Some(Arc::clone(named));
            }
            let by_address = find(&tables, address);
            let Some(uid) = call.process(end).and_then(|process| process.pod_uid.as_deref()) else {
                return by_address.cloned();
            };
            let pod = tables.iter().find_map(|table| table.pod(uid));
            // An address that the file gives to another pod is older or newer than the process.
            pod.or(by_address.filter(|named| named.pod_uid.as_deref().is_none_or(|other| other == uid)))
                .cloned()
        };
        let ends = [end(Initiator::Client, call.caller_address()), end(Initiator::Server, call.server)];
        call.set_names(ends);
    }
}

fn find(tables: &[Arc<Table>], end: Endpoint) -> Option<&Arc<Named>> {
    let mut best = None;
    for table in tables {
        if let Some((exactness, named)) = table.find(end)
            && best.is_none_or(|(most, _)| exactness > most)
        {
            best = Some((exactness, named));
        }
    }
    best.map(|(_, named)| named)
}

/// Reads a file: its names, and what of it was left out.
fn unopened(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read (permission denied)".to_owned(),
        _ => error.to_string(),
    }
}

fn open(path: &Path) -> Result<(Table, Vec<String>), String> {
    let once = Once::open(path).map_err(|error| unopened(&error))?;
    if once.file().metadata().is_ok_and(|facts| facts.is_dir()) {
        return Err("is a folder: name the files in it".into());
    }
    if once.file().metadata().is_ok_and(|facts| facts.len() > MAX_FILE) {
        return Err("is larger than 1GiB".into());
    }
    read(&mut BufReader::with_capacity(1 << 16, once.take(MAX_FILE)))
}

fn read(input: &mut dyn BufRead) -> Result<(Table, Vec<String>), String> {
    let mut builder = Builder::default();
    if begins_json(input).map_err(|error| error.to_string())? {
        json::read(input, &mut builder)?;
    } else {
        lines::read(input, &mut builder)?;
    }
    let has_only_faults = builder.has_only_faults();
    let (table, mut said) = builder.finish();
    if has_only_faults {
        return Err(said.swap_remove(0));
    }
    if table.len() == 0 {
        said.push("has no names of addresses".into());
    }
    Ok((table, said))
}

/// Whether the first character that is no space begins JSON. Spaces before it are passed over.
fn begins_json(input: &mut dyn BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let mark = if buffer.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
        let spaces = buffer.iter().skip(mark).take_while(|byte| byte.is_ascii_whitespace()).count();
        let first = buffer.get(mark + spaces).copied();
        match first {
            Some(b'{' | b'[') => {
                input.consume(mark + spaces);
                return Ok(true);
            }
            // Lines are counted from the beginning.
            Some(_) => return Ok(false),
            None => {
                let used = buffer.len();
                input.consume(used);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::record::Process;
    use crate::calls::sample;

    fn end(text: &str) -> Endpoint {
        let end: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { ip: end.ip(), port: end.port() }
    }

    /// The names that a file has for these ends, `-` for none, and what it says of itself.
    pub(super) fn names(file: &str, ends: &[&str]) -> (Vec<String>, Vec<String>) {
        let (table, said) = read(&mut file.as_bytes()).unwrap();
        let name = |text: &&str| {
            let Some((_, named)) = table.find(end(text)) else { return "-".to_owned() };
            let Named { name, pod, node, .. } = &**named;
            [name, pod, node].into_iter().flatten().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        (ends.iter().map(name).collect(), said)
    }

    /// Why a file can't be used.
    pub(super) fn wrong(file: &str) -> String {
        read(&mut file.as_bytes()).map(|_| ()).unwrap_err()
    }

    fn book(files: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>, NameBook) {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = (0..files.len()).map(|at| folder.path().join(at.to_string())).collect();
        paths.iter().zip(files).for_each(|(path, text)| std::fs::write(path, text).unwrap());
        let book = NameBook::read(&paths).unwrap();
        (folder, paths, book)
    }

    fn best(book: &NameBook, at: &str) -> Option<String> {
        book.find(end(at)).map(|named| named.to_string())
    }

    #[test]
    fn the_longest_match_of_all_files_wins_and_then_the_first_file() {
        let (_folder, _, book) =
            book(&["10.0.0.0/24 net\n10.0.0.1 first\n", "10.0.0.1 second\n10.0.0.1:80 port\n"]);
        assert_eq!(best(&book, "10.0.0.1:80").as_deref(), Some("port"));
        assert_eq!(best(&book, "10.0.0.1:81").as_deref(), Some("first"));
        assert_eq!(best(&book, "10.0.0.2:80").as_deref(), Some("net"));
        assert_eq!(best(&book, "10.0.1.1:80"), None);
    }

    #[test]
    fn a_changed_file_is_read_once_it_is_no_longer_written() {
        let (_folder, paths, book) = book(&["10.0.0.1 old\n"]);
        std::fs::write(&paths[0], "10.0.0.1 newer\n").unwrap();
        book.look();
        assert_eq!(best(&book, "10.0.0.1:80").as_deref(), Some("old"), "it may still be written");
        book.look();
        assert_eq!(best(&book, "10.0.0.1:80").as_deref(), Some("newer"));
        // Replaced by one that can't be used.
        std::fs::write(paths[0].with_extension("tmp"), "[{").unwrap();
        std::fs::rename(paths[0].with_extension("tmp"), &paths[0]).unwrap();
        book.look();
        book.look();
        book.look();
        let said = book.take_troubles();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].contains("has changed: is not valid JSON") && said[0].contains("stay as they were"),
            "{said:?}"
        );
        assert_eq!(best(&book, "10.0.0.1:80").as_deref(), Some("newer"));
        std::fs::remove_file(&paths[0]).unwrap();
        book.look();
        book.look();
        assert_eq!(best(&book, "10.0.0.1:80").as_deref(), Some("newer"));
        assert!(book.take_troubles().is_empty());
    }

    #[test]
    fn a_file_that_can_not_be_used_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        let why = |text: &str| {
            std::fs::write(&path, text).unwrap();
            NameBook::read(std::slice::from_ref(&path)).unwrap_err()
        };
        assert!(why("%PDF-1.7\n").contains("names: line 1: is not a file of names"));
        assert!(why("{\"kind\":\n\n nonsense").contains("line 3 column"));
        let absent = NameBook::read(&[folder.path().join("absent")]).unwrap_err();
        assert!(absent.ends_with("absent: no such file"), "{absent}");
        assert!(NameBook::read(&[folder.path().to_owned()]).unwrap_err().contains("is a folder"));
        std::fs::write(&path, " \n").unwrap();
        let empty = NameBook::read(std::slice::from_ref(&path)).unwrap();
        assert!(empty.take_troubles()[0].contains("has no names"));
    }

    #[test]
    fn a_process_in_a_pod_has_the_names_of_that_pod() {
        let pod = |name: &str, address: &str| {
            format!(
                r#"{{"kind":"Pod","metadata":{{"name":"{name}","uid":"uid-{name}","labels":{{"app":"{name}"}}}},
                   "spec":{{"containers":[]}},"status":{{"phase":"Running","podIP":"{address}"}}}}"#
            )
        };
        let mut call = sample::bare();
        let server = call.server.ip.to_string();
        let (_folder, _, book) = book(&[&format!("{} {}", pod("order", &server), pod("cart", "10.9.9.9"))]);
        let name = |call: &Call| call.named(Initiator::Server).map(ToString::to_string);
        let mut plain = call.clone();
        book.name(&mut plain);
        assert_eq!(name(&plain).as_deref(), Some("order"));
        assert!(plain.named(Initiator::Client).is_none());
        let process = |uid: &str| Process { pod_uid: Some(uid.into()), ..Process::new(7, "server") };
        let mut known = call.clone();
        known.set_processes([None, Some(process("uid-cart"))]);
        book.name(&mut known);
        assert_eq!(name(&known).as_deref(), Some("cart"));
        call.set_processes([None, Some(process("uid-younger"))]);
        book.name(&mut call);
        assert_eq!(name(&call), None, "the address is another pod's in the file");
    }

    #[test]
    fn names_that_a_record_has_stay() {
        let mut call = sample::bare();
        let own = Arc::new(Named { name: Some("then".into()), ..Named::default() });
        call.set_names([None, Some(own)]);
        let (_folder, _, book) = book(&["0.0.0.0/0 now\n"]);
        book.name(&mut call);
        let names =
            [Initiator::Client, Initiator::Server].map(|end| call.named(end).map(ToString::to_string));
        assert_eq!(names, [Some("now".to_owned()), Some("then".to_owned())]);
    }
}
