//! Packets as pcapng (draft-ietf-opsawg-pcapng), for `-w` and `export`.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hashbrown::HashMap;

use crate::source::files::Secrets;
use crate::source::{Batch, LinkType, Packet, Tap};
use crate::time::Timestamp;

/// Bytes that are collected before they are written at once.
const BUFFER: usize = 256 * 1024;
/// Interfaces described in one file. More are taken for the last one.
const MAX_INTERFACES: usize = 1 << 16;

/// When to go on in another file, and how many to keep.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// When a file has this many bytes (`-C`, there in millions).
    pub bytes: Option<u64>,
    /// When a file spans this time, by its packets (`-G`).
    pub span: Option<Duration>,
    /// Write over the oldest of this many files (`-W`).
    pub files: Option<u32>,
}

/// Writes packets to a file, or to several in turn.
///
/// The names are those of tcpdump: `FILE`, `FILE1`, `FILE2`…, and with a number of files to keep `FILE00`, `FILE01`… over
/// and over again. Reading a folder of them gives the packets in order.
pub struct PacketWriter {
    out: Box<dyn Write + Send>,
    target: Target,
    /// Bytes not yet written.
    buffer: Vec<u8>,
    /// Bytes of this file, those in the buffer included.
    len: u64,
    /// Time of the first packet of this file.
    first: Option<Timestamp>,
    /// The interfaces described in this file, and their places there.
    interfaces: HashMap<(u32, LinkType), u32>,
    /// Names of interfaces, where they have any.
    names: HashMap<u32, Option<String>>,
    secrets: Vec<Secrets>,
    failed: bool,
}

/// Where the packets go.
enum Target {
    Writer,
    Files { path: PathBuf, rotation: Rotation, count: u64 },
}

impl PacketWriter {
    /// Writes to `out`.
    #[must_use]
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        let mut writer = Self {
            out,
            target: Target::Writer,
            buffer: Vec::with_capacity(BUFFER),
            len: 0,
            first: None,
            interfaces: HashMap::new(),
            names: HashMap::new(),
            secrets: Vec::new(),
            failed: false,
        };
        writer.begin();
        writer
    }

    /// Writes to the file `path` (`-`: standard output), or to several by its name. Errors name the file.
    pub fn create(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::new(Box::new(io::stdout())));
        }
        let first = numbered(path, rotation, 0);
        let file = File::create(&first).map_err(|error| at(&first, &error))?;
        let mut writer = Self::new(Box::new(file));
        writer.target = Target::Files { path: path.to_owned(), rotation, count: 0 };
        Ok(writer)
    }

    /// Gives an interface its name, before its first packet. `name` is asked only once.
    pub fn name_interface(&mut self, interface: u32, name: impl FnOnce() -> Option<String>) {
        if self.names.len() < MAX_INTERFACES {
            self.names.entry(interface).or_insert_with(name);
        }
    }

    /// Keeps secrets for the decryption of the packets; they are written at the beginning of every file from now on.
    pub fn secrets(&mut self, secrets: &[Secrets]) {
        self.secrets.extend_from_slice(secrets);
        for secret in secrets {
            self.secret(secret);
        }
    }

    /// Writes one packet, with a comment that Wireshark shows.
    pub fn write(&mut self, packet: &Packet<'_>, comment: Option<&str>) -> io::Result<()> {
        self.rotate(packet.time)?;
        let interface = self.interface(packet.interface, packet.link);
        let nanoseconds = u64::try_from(packet.time.0).unwrap_or(0);
        let comment = comment.map(str::as_bytes).map(|c| c.get(..c.len().min(0xfff0)).unwrap_or_default());
        self.block(6, |out| {
            out.extend(interface.to_le_bytes());
            out.extend(((nanoseconds >> 32) as u32).to_le_bytes());
            out.extend((nanoseconds as u32).to_le_bytes());
            out.extend((packet.data.len() as u32).to_le_bytes());
            out.extend(packet.wire_len.to_le_bytes());
            out.extend_from_slice(packet.data);
            pad(out);
            if let Some(comment) = comment {
                option(out, 1, comment);
                option(out, 0, &[]);
            }
        });
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    /// Lets what was written become visible to others.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() || self.failed {
            return Ok(());
        }
        let written = self.out.write_all(&self.buffer).and_then(|()| self.out.flush());
        self.buffer.clear();
        // After a failure the file ends within a block, and nothing that follows could be read.
        self.failed = written.is_err();
        written.map_err(|error| match &self.target {
            Target::Writer => error,
            Target::Files { path, rotation, count } => at(&numbered(path, *rotation, *count), &error),
        })
    }

    /// Writes what is left. To be called once, at the end.
    pub fn finish(&mut self) -> io::Result<()> {
        self.flush()
    }

    /// Goes on in the next file if this one is full.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let first = *self.first.get_or_insert(now);
        let Target::Files { path, rotation, count } = &self.target else { return Ok(()) };
        let is_full = rotation.bytes.is_some_and(|limit| self.len >= limit)
            || rotation.span.is_some_and(|span| now >= first + span);
        if !is_full {
            return Ok(());
        }
        let (rotation, count) = (*rotation, count + 1);
        let next = numbered(path, rotation, count);
        self.flush()?;
        self.out = Box::new(File::create(&next).map_err(|error| at(&next, &error))?);
        if let Target::Files { count: current, .. } = &mut self.target {
            *current = count;
        }
        self.first = Some(now);
        self.begin();
        Ok(())
    }

    /// Begins a section: the only one of a file.
    fn begin(&mut self) {
        const BYTE_ORDER: u32 = 0x1a2b_3c4d;
        self.len = 0;
        self.interfaces.clear();
        self.block(0x0a0d_0d0a, |out| {
            out.extend(BYTE_ORDER.to_le_bytes());
            // Version 1.0, and a section whose length is not known.
            out.extend([1, 0, 0, 0]);
            out.extend([0xff; 8]);
            option(out, 4, concat!("rpcscope ", env!("CARGO_PKG_VERSION")).as_bytes());
            option(out, 0, &[]);
        });
        for secret in std::mem::take(&mut self.secrets) {
            self.secret(&secret);
            self.secrets.push(secret);
        }
    }

    fn secret(&mut self, secret: &Secrets) {
        self.block(10, |out| {
            out.extend(secret.kind.to_le_bytes());
            out.extend((secret.data.len() as u32).to_le_bytes());
            out.extend_from_slice(&secret.data);
        });
    }

    /// The place of an interface among those of this file; it is described there if it is new. One interface may have
    /// packets of several link types only in a capture made of several files.
    fn interface(&mut self, interface: u32, link: LinkType) -> u32 {
        if let Some(known) = self.interfaces.get(&(interface, link)) {
            return *known;
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return MAX_INTERFACES as u32 - 1;
        }
        let name = self.names.get(&interface).cloned().flatten();
        self.block(1, |out| {
            out.extend(link.0.to_le_bytes());
            out.extend([0; 2]);
            // No snap length: packets may come from interfaces with different ones.
            out.extend([0; 4]);
            if let Some(name) = name {
                option(out, 2, name.as_bytes());
            }
            // Time stamps in nanoseconds.
            option(out, 9, &[9]);
            option(out, 0, &[]);
        });
        let place = self.interfaces.len() as u32;
        self.interfaces.insert((interface, link), place);
        place
    }

    /// Writes one block around what `body` writes.
    fn block(&mut self, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buffer.len();
        self.buffer.extend(kind.to_le_bytes());
        self.buffer.extend([0; 4]);
        body(&mut self.buffer);
        pad(&mut self.buffer);
        let len = (self.buffer.len() - start + 4) as u32;
        self.buffer.extend(len.to_le_bytes());
        if let Some(field) = self.buffer.get_mut(start + 4..start + 8) {
            field.copy_from_slice(&len.to_le_bytes());
        }
        self.len += u64::from(len);
    }
}

impl Tap for PacketWriter {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        if batch.records.is_empty() {
            return self.flush();
        }
        batch.packets().try_for_each(|packet| {
            self.name_interface(packet.interface, || name(packet.interface));
            self.write(&packet, None)
        })
    }

    fn finish(&mut self) -> io::Result<()> {
        Self::finish(self)
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

/// All blocks and options begin at multiples of 4 bytes; the buffer always begins with one.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// The name of the file with number `count`.
fn numbered(path: &Path, rotation: Rotation, count: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    let rotates = rotation.bytes.is_some() || rotation.span.is_some();
    match rotation.files {
        Some(files) if rotates => {
            let files = u64::from(files.max(1));
            let width = (files - 1).to_string().len();
            name.push(format!("{:0width$}", count % files));
        }
        _ if count > 0 => name.push(count.to_string()),
        _ => {}
    }
    PathBuf::from(name)
}

/// An error that names the file.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{} can't be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{CapturePoint, Source, files};

    fn packet(number: u64, time: i64, interface: u32, data: &[u8]) -> Packet<'_> {
        let link = LinkType(1 + interface as u16);
        let (time, wire_len) = (Timestamp(time), data.len() as u32 + 3);
        Packet { number, time, link, interface, capture_point: CapturePoint::default(), wire_len, data }
    }

    /// Time, link, interface, length on the wire, bytes.
    type Read = (i64, u16, u32, u32, Vec<u8>);

    fn read(paths: &[PathBuf]) -> Vec<Read> {
        let mut source = files::open(paths, files::Options::default());
        let (mut batch, mut out) = (Batch::default(), Vec::new());
        while source.next_batch(&mut batch).unwrap() {
            let packets = batch.packets();
            out.extend(packets.map(|p| (p.time.0, p.link.0, p.interface, p.wire_len, p.data.to_vec())));
        }
        assert_eq!(source.troubles().len(), 0);
        out
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        let secrets = [Secrets { kind: 0x544c_534b, data: b"CLIENT_RANDOM".to_vec() }];
        writer.secrets(&secrets);
        writer.name_interface(0, || Some("eth0".into()));
        for i in 0..5_u8 {
            let body = vec![i; usize::from(i) * 3];
            let time = 1_700_000_000_123_456_789 + i64::from(i);
            let comment = (i == 2).then_some("call 7: business error");
            writer.write(&packet(u64::from(i), time, u32::from(i % 2), &body), comment).unwrap();
        }
        writer.finish().unwrap();
        let expected: Vec<Read> = (0..5_u8)
            .map(|i| {
                let time = 1_700_000_000_123_456_789 + i64::from(i);
                let len = usize::from(i) * 3;
                (time, 1 + u16::from(i % 2), u32::from(i % 2), len as u32 + 3, vec![i; len])
            })
            .collect();
        assert_eq!(read(std::slice::from_ref(&path)), expected);
        let bytes = std::fs::read(&path).unwrap();
        for text in [&b"eth0"[..], b"call 7: business error", b"rpcscope "] {
            assert_eq!(bytes.windows(text.len()).filter(|w| *w == text).count(), 1);
        }
        let mut source = files::open(&[path], files::Options::default());
        let _ = source.next_batch(&mut Batch::default());
        assert_eq!(source.secrets(), secrets);
    }

    #[test]
    fn rotation_by_size_and_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let rotation = Rotation { bytes: Some(10_000), ..Rotation::default() };
        let mut writer = PacketWriter::create(&path, rotation).unwrap();
        for i in 0..30 {
            writer.write(&packet(i, i as i64, 0, &[i as u8; 1000]), None).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(names(folder.path()), ["x.pcapng", "x.pcapng1", "x.pcapng2"]);
        let all = read(&[folder.path().to_owned()]);
        assert!(all.iter().enumerate().all(|(i, p)| p.4 == vec![i as u8; 1000]));
        assert_eq!(all.len(), 30);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let rotation = Rotation { span: Some(Duration::from_nanos(10)), ..Rotation::default() };
        let mut writer = PacketWriter::create(&path, rotation).unwrap();
        for time in [5, 14, 15, 24, 40] {
            writer.write(&packet(1, time, 0, b"x"), None).unwrap();
        }
        writer.finish().unwrap();
        let times = |n: &str| -> Vec<i64> {
            read(&[folder.path().join(format!("x.pcapng{n}"))]).iter().map(|p| p.0).collect()
        };
        assert_eq!([times(""), times("1"), times("2")], [vec![5, 14], vec![15, 24], vec![40]]);
    }

    #[test]
    fn a_ring_of_files_keeps_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let rotation = Rotation { bytes: Some(1), files: Some(11), ..Rotation::default() };
        let mut writer = PacketWriter::create(&path, rotation).unwrap();
        for i in 0..25_i64 {
            writer.write(&packet(1, i, 0, b"x"), None).unwrap();
        }
        writer.finish().unwrap();
        let names = names(folder.path());
        assert_eq!(names.len(), 11);
        assert_eq!((&names[0][..], &names[10][..]), ("x00", "x10"));
        let paths: Vec<PathBuf> = names.iter().map(|name| folder.path().join(name)).collect();
        let times: Vec<i64> = read(&paths).iter().map(|p| p.0).collect();
        assert_eq!(times, (14..25).collect::<Vec<i64>>());
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("no/such/folder");
        let error = PacketWriter::create(&path, Rotation::default()).err().unwrap();
        assert!(error.to_string().contains("no/such/folder can't be written"), "{error}");
        // A device of Linux on which every write fails.
        let Ok(mut full) = PacketWriter::create(Path::new("/dev/full"), Rotation::default()) else { return };
        full.write(&packet(1, 1, 0, b"x"), None).unwrap();
        assert!(full.flush().unwrap_err().to_string().contains("/dev/full can't be written"));
        assert!(full.finish().is_ok());
    }
}
