//! The journals of `rpcscope record`: calls that are in no complete Parquet file yet, because the agent still runs or did not end well.
//!
//! A journal is only ever appended to. A call stands in it from when it was decided, and once more, in few words, when it was linked:
//!
//! ```text
//! {"type":"call","uid":"71",…}
//! {"type":"link","uid":"71","parent":"70","parent_evidence":"trace-id",…}   its row is in the Parquet file of this part
//! {"type":"left-out","uid":"72"}                                            the filter does not want it
//! ```
//!
//! The next part begins with the calls of the one before that were not linked; then that one is closed, which its name says, and stands for
//! its linked calls alone. A part whose Parquet file of an hour is complete needs its journal no more for calls that began in this hour.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::folder::{HostFolder, Hour, JournalFile, Part};
use super::{Fault, Objects};
use crate::body::Value;
use crate::calls::record::{Finding, RivalParent};
use crate::calls::{Call, Share, Uid};

/// Longest line that is read; records are bounded far below it.
const MAX_LINE: u64 = 64 << 20;

/// How often a folder is looked through that changes meanwhile.
pub(super) const MAX_TRIES: usize = 5;

/// The beginning of a line before the id, and what it says.
const BEGINNINGS: [(&[u8], Kind); 3] = [
    (b"{\"type\":\"call\",\"uid\":\"", Kind::Call),
    (b"{\"type\":\"link\",\"uid\":\"", Kind::Link),
    (b"{\"type\":\"left-out\",\"uid\":\"", Kind::LeftOut),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Call,
    Link,
    LeftOut,
}

/// Appends the line that says how a call was linked.
pub fn write_link(out: &mut Vec<u8>, call: &Call) {
    let member = |out: &mut Vec<u8>, name: &str, value: Option<String>| {
        if let Some(value) = value {
            out.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
        }
    };
    let quoted = |text: String| format!("\"{text}\"");
    let share = |share: Share| share.to_string();
    begin(out, Kind::Link, call.uid);
    member(out, "parent", call.parent.map(|uid| quoted(uid.to_string())));
    member(out, "parent_evidence", call.parent_evidence.map(|name| quoted(name.to_owned())));
    member(out, "parent_key", call.parent_key.map(|key| quoted(key.to_string())));
    member(out, "parent_confidence", call.parent_confidence.map(share));
    let rival = |RivalParent { parent, confidence }: &RivalParent| {
        format!("{{\"parent\":\"{parent}\",\"confidence\":{confidence}}}")
    };
    let rivals = |rivals: &[RivalParent]| rivals.iter().map(rival).collect::<Vec<_>>().join(",");
    member(out, "rivals", call.rivals.as_deref().map(|all| format!("[{}]", rivals(all))));
    member(out, "missed", call.missed.map(share));
    out.extend_from_slice(b"}\n");
}

/// Appends the line that says that the filter does not want a call.
pub fn write_left_out(out: &mut Vec<u8>, uid: Uid) {
    begin(out, Kind::LeftOut, uid);
    out.extend_from_slice(b"}\n");
}

/// How many of these lines say how a call was linked: calls that stand among them, and others.
#[must_use]
pub fn count_links(lines: &[u8]) -> [u64; 2] {
    let mut counts = [0, 0];
    let mut calls: HashSet<Uid> = HashSet::new();
    for (kind, uid, _) in lines.split(|byte| *byte == b'\n').filter_map(told) {
        match kind {
            Kind::Call => _ = calls.insert(uid),
            Kind::Link => counts[usize::from(!calls.contains(&uid))] += 1,
            Kind::LeftOut => {}
        }
    }
    counts
}

/// Lines of a journal in another order, for a disk that has no room for all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arranged {
    /// Calls and their links, each call with its own, then the calls that are not linked. Those that the filter does not want are in it no more.
    pub bytes: Vec<u8>,
    /// Where it may be cut off.
    pub ends: Vec<usize>,
    /// The calls that are not linked: offset and length.
    pub unlinked: Vec<(Uid, usize, usize)>,
}

/// Arranges lines so that whatever fits is of use: a call without its link is not, once the part is closed.
#[must_use]
pub fn arranged(lines: &[u8]) -> Arranged {
    let mut arranged = Arranged::default();
    let mut calls: HashMap<Uid, &[u8]> = HashMap::new();
    let mut order = Vec::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let Some((kind, uid, _)) = line.strip_suffix(b"\n").and_then(told) else { continue };
        match (kind, calls.remove(&uid)) {
            (Kind::Call, _) => {
                calls.insert(uid, line);
                order.push(uid);
            }
            (Kind::LeftOut, Some(_)) => {}
            (_, call) => {
                arranged.bytes.extend_from_slice(call.unwrap_or_default());
                arranged.bytes.extend_from_slice(line);
                arranged.ends.push(arranged.bytes.len());
            }
        }
    }
    for uid in order {
        if let Some(line) = calls.remove(&uid) {
            arranged.unlinked.push((uid, arranged.bytes.len(), line.len()));
            arranged.bytes.extend_from_slice(line);
            arranged.ends.push(arranged.bytes.len());
        }
    }
    arranged
}

fn begin(out: &mut Vec<u8>, kind: Kind, uid: Uid) {
    out.extend_from_slice(beginning(kind));
    out.extend_from_slice(format!("{uid}\"").as_bytes());
}

fn beginning(kind: Kind) -> &'static [u8] {
    BEGINNINGS.iter().find(|(_, of)| *of == kind).map_or(b"", |(beginning, _)| *beginning)
}

/// The journals of one run, open, so that they can be read although their agent deletes them.
#[derive(Debug)]
pub struct Journals {
    folder: HostFolder,
    parts: Vec<(JournalFile, File)>,
}

/// What was read besides the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Calls that were passed on.
    pub calls: u64,
    /// Of them, those that had not been linked yet.
    pub unlinked: u64,
    /// Journals whose last line is cut off.
    pub cut: u64,
}

/// A call, the part whose Parquet file its row belongs to, and whether it is linked.
pub type Take<'t> = &'t mut dyn FnMut(&Part, Result<Box<Call>, Fault>);

/// The journals of a host, those of each run together.
#[derive(Debug, Default)]
pub struct Opened {
    /// The runs.
    pub runs: Vec<Journals>,
    /// Whether the folder changed as often as it was looked through: a journal may be missing.
    pub has_changed: bool,
}

/// Opens the journals of a host.
pub fn open(folder: &HostFolder) -> io::Result<Opened> {
    settled(folder, || folder.journal_files())
}

/// Opens the journals that `list` finds when two looks in a row find the same.
fn settled(
    folder: &HostFolder,
    mut list: impl FnMut() -> io::Result<Vec<JournalFile>>,
) -> io::Result<Opened> {
    let mut files = list()?;
    let mut tries = 1;
    loop {
        let runs = open_all(folder, &files)?;
        let now = list()?;
        // A folder that is read while an agent closes a journal may show it under neither name.
        let has_changed = now != files;
        if !has_changed || tries == MAX_TRIES {
            return Ok(Opened { runs, has_changed });
        }
        files = now;
        tries += 1;
    }
}

fn open_all(folder: &HostFolder, files: &[JournalFile]) -> io::Result<Vec<Journals>> {
    let mut runs: Vec<Journals> = Vec::new();
    for journal in files {
        let file = match File::open(&journal.path) {
            Ok(file) => file,
            // It has been closed, or its rows are in Parquet by now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        let journal = journal.clone();
        match runs.last_mut() {
            Some(run) if run.parts.last().is_some_and(|(last, _)| last.part.run == journal.part.run) => {
                run.parts.push((journal, file));
            }
            _ => runs.push(Journals { folder: folder.clone(), parts: vec![(journal, file)] }),
        }
    }
    Ok(runs)
}

/// Opens one journal.
pub fn open_one(folder: &HostFolder, journal: JournalFile) -> io::Result<Journals> {
    let file = File::open(&journal.path)?;
    Ok(Journals { folder: folder.clone(), parts: vec![(journal, file)] })
}

/// Where the line of a call stands, until its link is known: the lines themselves may take more memory than there is.
#[derive(Clone, Copy)]
struct Waiting {
    uid: Uid,
    /// Of the line.
    number: u64,
    part: usize,
    offset: u64,
    len: usize,
}

impl Journals {
    /// The files, in order of their parts.
    pub fn files(&self) -> impl Iterator<Item = &JournalFile> {
        self.parts.iter().map(|(file, _)| file)
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &HostFolder {
        &self.folder
    }

    /// Passes on the calls that are in no complete table, those that were not linked at the end. `is_there` says whether the table of a part
    /// and an hour is complete.
    pub fn read(
        self,
        objects: &mut Objects,
        is_there: &dyn Fn(&Path) -> bool,
        take: Take<'_>,
    ) -> io::Result<Summary> {
        let Self { folder, parts } = self;
        let mut summary = Summary::default();
        let mut waiting: HashMap<Uid, Waiting> = HashMap::new();
        let mut known: HashMap<(usize, Hour), bool> = HashMap::new();
        let mut text = Vec::new();
        // The members of a link become members of its call.
        let mut pass = |at: usize, call: Waiting, link: Option<&[u8]>, take: Take<'_>| -> io::Result<bool> {
            let Waiting { uid, number, part: origin, offset, len } = call;
            let (Some((JournalFile { part, .. }, _)), Some((JournalFile { path, .. }, lines))) =
                (parts.get(at), parts.get(origin))
            else {
                return Ok(false);
            };
            text.resize(len, 0);
            match lines.read_exact_at(&mut text, offset) {
                Ok(()) if told(&text).is_some_and(|(kind, of, _)| (kind, of) == (Kind::Call, uid)) => {}
                Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
                // Its agent, whose disk is full, has cut the file off and goes on.
                _ => return Ok(false),
            }
            if let Some(link) = link {
                text.pop();
                text.extend_from_slice(link);
            }
            let call = serde_json::from_slice::<Value>(&text)
                .map_err(|error| format!("is no JSON: {error}"))
                .and_then(|value| objects.call(&value).map_err(|wrong| wrong.to_string()));
            match call {
                Ok(mut call) => {
                    if link.is_none() {
                        call.findings.insert(Finding::NotLinked);
                    }
                    let hour = Hour::of(call.start);
                    let is_known =
                        *known.entry((at, hour)).or_insert_with(|| is_there(&folder.table(part, hour)));
                    if !is_known {
                        take(part, Ok(Box::new(call)));
                    }
                    Ok(!is_known)
                }
                Err(what) => {
                    take(part, Err(Fault { path: path.clone(), place: ("line", number), what }));
                    Ok(false)
                }
            }
        };
        for (at, (JournalFile { part, path, is_closed }, file)) in parts.iter().enumerate() {
            let mut lines = BufReader::with_capacity(1 << 20, file);
            let (mut line, mut next) = (Vec::new(), 0);
            for number in 1.. {
                line.clear();
                let offset = next;
                let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
                if read == 0 {
                    break;
                }
                next += read as u64;
                let Some(text) = line.strip_suffix(b"\n") else {
                    summary.cut += 1;
                    break;
                };
                let Some((kind, uid, rest)) = told(text) else {
                    let (path, what) = (path.clone(), "is no line of a journal".to_owned());
                    take(part, Err(Fault { path, place: ("line", number), what }));
                    continue;
                };
                match kind {
                    Kind::Call => {
                        waiting.insert(uid, Waiting { uid, number, part: at, offset, len: text.len() });
                    }
                    Kind::LeftOut => _ = waiting.remove(&uid),
                    Kind::Link => {
                        let Some(call) = waiting.remove(&uid) else { continue };
                        summary.calls += u64::from(pass(at, call, Some(rest), take)?);
                    }
                }
            }
            if *is_closed {
                waiting.clear();
            }
        }
        let last = parts.len().saturating_sub(1);
        let mut rest: Vec<Waiting> = waiting.into_values().collect();
        rest.sort_by_key(|call| call.uid);
        for call in rest {
            let passed = u64::from(pass(last, call, None, take)?);
            summary.calls += passed;
            summary.unlinked += passed;
        }
        Ok(summary)
    }
}

/// What a line says of which call, and what follows the id.
fn told(line: &[u8]) -> Option<(Kind, Uid, &[u8])> {
    if line.last() != Some(&b'}') {
        return None;
    }
    let (beginning, kind) = BEGINNINGS.iter().find(|(beginning, _)| line.starts_with(beginning))?;
    let rest = line.get(beginning.len()..)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let uid = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
    Some((*kind, uid, rest.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;
    use crate::sink::jsonl::write_call;

    fn call(packet: u64) -> Call {
        Call { uid: Uid { packet, ordinal: 0 }, ..sample::ok() }
    }

    fn linked(packet: u64, parent: u64) -> Call {
        let (parent, key) = (call(parent), sample::full().key());
        Call {
            parent: Some(parent.uid),
            parent_key: key,
            parent_confidence: Some(Share::of(0.975)),
            parent_evidence: sample::full().parent_evidence,
            missed: Some(Share::of(0.25)),
            rivals: sample::full().rivals,
            ..call(packet)
        }
    }

    /// As it is read where no link follows.
    fn not_linked(packet: u64) -> Call {
        let mut call = call(packet);
        call.findings.insert(Finding::NotLinked);
        call
    }

    fn line(call: &Call) -> Vec<u8> {
        let mut line = Vec::new();
        write_call(&mut line, call);
        line.push(b'\n');
        line
    }

    fn link(call: &Call) -> Vec<u8> {
        let mut line = Vec::new();
        write_link(&mut line, call);
        line
    }

    /// A host's folder with journals of one run.
    fn folder(journals: &[&[u8]]) -> (tempfile::TempDir, HostFolder, Vec<Part>) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = HostFolder::new(temporary.path(), "web");
        std::fs::create_dir_all(folder.journals()).unwrap();
        let mut part = Part::first();
        let mut parts = Vec::new();
        for journal in journals {
            std::fs::write(folder.journal(&part), journal).unwrap();
            parts.push(part.clone());
            part = part.next();
        }
        (temporary, folder, parts)
    }

    /// What is read: number of the part, and the record or what is wrong.
    fn read(folder: &HostFolder, is_there: &dyn Fn(&Path) -> bool) -> (Vec<(u32, String)>, Summary) {
        let (mut all, mut sum) = (Vec::new(), Summary::default());
        for journals in open(folder).unwrap().runs {
            sum = journals
                .read(&mut Objects::default(), is_there, &mut |part, call| {
                    let text =
                        call.map_or_else(|fault| fault.what, |call| String::from_utf8(line(&call)).unwrap());
                    all.push((part.number, text));
                })
                .unwrap();
        }
        (all, sum)
    }

    fn text(call: &Call) -> String {
        String::from_utf8(line(call)).unwrap()
    }

    #[test]
    fn links_become_part_of_their_calls() {
        let mut left_out = Vec::new();
        write_left_out(&mut left_out, call(4).uid);
        let journal = [
            line(&call(1)),
            line(&call(2)),
            link(&linked(2, 1)),
            line(&call(3)),
            line(&call(4)),
            left_out,
            link(&call(1)),
        ];
        let (_kept, folder, _) = folder(&[&journal.concat()]);
        let (all, sum) = read(&folder, &|_| false);
        let expected = [linked(2, 1), call(1), not_linked(3)].map(|call| (1, text(&call)));
        assert_eq!(all, expected);
        assert_eq!(sum, Summary { calls: 3, unlinked: 1, cut: 0 });
    }

    #[test]
    fn calls_that_were_carried_on_come_once() {
        let first = [line(&call(1)), line(&call(2)), link(&call(1))].concat();
        let second = [line(&call(2)), line(&call(3)), link(&linked(2, 1))].concat();
        let (_kept, folder, parts) = folder(&[&first, &second]);
        let expected = [(1, text(&call(1))), (2, text(&linked(2, 1))), (2, text(&not_linked(3)))];
        assert_eq!(read(&folder, &|_| false).0, expected);
        // The table of the first part is complete.
        let table = folder.table(&parts[0], Hour::of(call(1).start));
        assert_eq!(read(&folder, &|path| path == table).0, expected[1..]);
        // Its journal stands alone, because its table could not be written, and that of the next part could.
        std::fs::remove_file(folder.journal(&parts[1])).unwrap();
        std::fs::rename(folder.journal(&parts[0]), folder.closed(&parts[0]).path).unwrap();
        assert_eq!(read(&folder, &|_| false).0, expected[..1]);
    }

    #[test]
    fn a_journal_cut_anywhere_has_all_lines_before_the_cut() {
        let whole = [line(&call(1)), line(&call(2)), link(&linked(2, 1)), line(&call(3))];
        let ends: Vec<usize> = (1..=whole.len()).map(|count| whole[..count].concat().len()).collect();
        let bytes = whole.concat();
        let (_kept, folder, parts) = folder(&[&bytes]);
        for cut in 0..=bytes.len() {
            std::fs::write(folder.journal(&parts[0]), &bytes[..cut]).unwrap();
            let (all, sum) = read(&folder, &|_| false);
            let expected = match ends.iter().filter(|end| **end <= cut).count() {
                0 => vec![],
                1 => vec![not_linked(1)],
                2 => vec![not_linked(1), not_linked(2)],
                3 => vec![linked(2, 1), not_linked(1)],
                _ => vec![linked(2, 1), not_linked(1), not_linked(3)],
            };
            let expected: Vec<_> = expected.iter().map(|call| (1, text(call))).collect();
            assert_eq!(all, expected, "{cut}");
            assert_eq!(sum.cut, u64::from(cut > 0 && !ends.contains(&cut)), "{cut}");
        }
    }

    #[test]
    fn arranged_lines_are_of_use_wherever_they_are_cut_off() {
        let left_out = |packet| {
            let mut line = Vec::new();
            write_left_out(&mut line, call(packet).uid);
            line
        };
        // The call of the first link, and that of the last line, are in the file already.
        let lines = [
            line(&call(1)),
            line(&call(2)),
            link(&linked(9, 1)),
            line(&call(3)),
            line(&call(4)),
            left_out(4),
            link(&linked(3, 2)),
            link(&call(1)),
            left_out(8),
        ];
        let Arranged { bytes, ends, unlinked } = arranged(&lines.concat());
        let groups = [
            link(&linked(9, 1)),
            [line(&call(3)), link(&linked(3, 2))].concat(),
            [line(&call(1)), link(&call(1))].concat(),
            left_out(8),
            line(&call(2)),
        ];
        let len = groups.concat().len();
        assert_eq!(bytes, groups.concat());
        let wanted: Vec<usize> = (1..=groups.len()).map(|count| groups[..count].concat().len()).collect();
        assert_eq!(ends, wanted);
        assert_eq!(unlinked, [(call(2).uid, len - line(&call(2)).len(), line(&call(2)).len())]);
        assert_eq!(arranged(b""), Arranged::default());
        assert_eq!(count_links(&bytes), [2, 1]);
    }

    #[test]
    fn what_is_no_line_is_named_and_the_others_are_read() {
        let journal = [line(&call(1)), vec![0; 70], b"\n{}\n".to_vec(), line(&call(2))].concat();
        let (_kept, folder, _) = folder(&[&journal]);
        let (all, _) = read(&folder, &|_| false);
        let wrong = (1, "is no line of a journal".to_owned());
        let calls = [1, 2].map(|packet| (1, text(&not_linked(packet))));
        assert_eq!(all, [&[wrong.clone(), wrong][..], &calls].concat());
    }

    #[test]
    fn a_folder_that_never_stays_as_it_is_is_said_to_change() {
        let (_temporary, folder, parts) = folder(&[b"", b""]);
        let mut looks = 0;
        let listed = |parts: &[Part]| parts.iter().map(|part| folder.closed(part)).collect::<Vec<_>>();
        let changing = settled(&folder, || {
            looks += 1;
            Ok(listed(&parts[looks % 2..]))
        });
        assert!(changing.unwrap().has_changed);
        assert_eq!(looks, MAX_TRIES + 1);
        assert!(!settled(&folder, || Ok(listed(&parts))).unwrap().has_changed);
    }
}
