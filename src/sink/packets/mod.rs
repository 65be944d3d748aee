//! Writes packets to files, for `-w` and `export`: as pcapng, or as pcap if the name ends in `.pcap`.

mod pcap;
mod pcapng;
mod series;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use hashbrown::HashMap;

use self::pcap::PcapEncoder;
use self::pcapng::PcapngEncoder;
use self::series::Series;
use super::target::{Shortfall, Target};
use super::why_unwritable;
use crate::contain::{Fault, caught};
use crate::source::files::Secrets;
use crate::source::{Batch, Packet, Tap};
use crate::time::Timestamp;

pub use series::Rotation;

/// Size of a write in bytes.
const BUFFER: usize = 256 * 1024;
/// How long a packet may stay in the buffer, which limits the loss on SIGKILL.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of interface names.
const MAX_NAMES: usize = 1 << 16;

/// Writes packets to a file or a series of files.
///
/// `series.rs` says how the files of a series are named. Reading their folder restores the order of the packets.
///
/// A file ends with a complete packet after every write, even on a full disk. Packets that don't fit are counted
/// ([`PacketWriter::lost`]), and writing resumes when there is room. Dropping the writer writes its buffer.
pub struct PacketWriter {
    target: Target,
    files: Option<Series>,
    /// When to start the next file.
    rotation: Rotation,
    format: Encoding,
    /// Complete packets that are not written yet.
    buffer: Vec<u8>,
    /// Time of the last write.
    written: Instant,
    /// Whether to write packets at once (`-U`).
    each: bool,
    /// Time of the first packet in this file.
    first: Option<Timestamp>,
    /// Size in bytes at which this file is full.
    limit: Option<u64>,
    /// Names of interfaces, if they have any.
    names: HashMap<u32, Option<String>>,
    secrets: Vec<Secrets>,
    lost: u64,
    /// Set when a stream broke inside a packet: anything after that would be unreadable.
    broken: bool,
}

/// The file format.
enum Encoding {
    Pcapng(PcapngEncoder),
    Pcap(PcapEncoder),
}

impl Encoding {
    /// pcap if the name ends in `.pcap`, otherwise pcapng.
    fn of(path: &Path) -> Self {
        if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("pcap")) {
            Self::Pcap(PcapEncoder::default())
        } else {
            Self::Pcapng(PcapngEncoder::default())
        }
    }

    /// The length of the first record of `bytes`, and whether it is a packet.
    fn first(&self, bytes: &[u8]) -> Option<(usize, bool)> {
        match self {
            Self::Pcapng(_) => PcapngEncoder::first(bytes),
            Self::Pcap(_) => PcapEncoder::first(bytes),
        }
    }

    /// The length of the complete records at the start of `bytes`, and the number of packets among them.
    fn whole(&self, bytes: &[u8]) -> (usize, u64) {
        let (mut at, mut packets) = (0, 0);
        while let Some((len, is_packet)) = bytes.get(at..).and_then(|rest| self.first(rest)) {
            at += len;
            packets += u64::from(is_packet);
        }
        (at, packets)
    }
}

impl PacketWriter {
    /// Writes pcapng to `out`.
    #[must_use]
    pub fn new(out: Box<dyn io::Write + Send>) -> Self {
        Self::to(Target::Stream(out), Encoding::Pcapng(PcapngEncoder::default()))
    }

    fn to(target: Target, format: Encoding) -> Self {
        let mut writer = Self {
            target,
            files: None,
            rotation: Rotation::default(),
            format,
            buffer: Vec::with_capacity(BUFFER),
            written: Instant::now(),
            each: false,
            first: None,
            limit: None,
            names: HashMap::new(),
            secrets: Vec::new(),
            lost: 0,
            broken: false,
        };
        writer.begin();
        writer
    }

    /// Writes to the file `path` (`-`: standard output), or to a series named after it. Errors name the file.
    pub fn create(path: &Path, rotation: Rotation) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::new(Box::new(io::stdout())));
        }
        let (files, target) = Series::create(path, rotation, now())?;
        Ok(Self::series(path, files, target, rotation))
    }

    /// Writes to a file that was opened at `path`.
    #[must_use]
    pub fn opened(file: File, path: &Path) -> Self {
        Self::series(path, Series::single(path), Target::of(file), Rotation::default())
    }

    fn series(path: &Path, files: Series, target: Target, rotation: Rotation) -> Self {
        let mut writer = Self::to(target, Encoding::of(path));
        writer.files = Some(files);
        writer.rotation = rotation;
        writer.limit = rotation.full();
        if writer.target.can_recover() {
            // Even without packets, the file must be a valid capture. A full disk may have room again later.
            _ = writer.flush();
        }
        writer
    }

    /// Writes every packet at once (`-U`).
    #[must_use]
    pub fn packet_buffered(mut self, each: bool) -> Self {
        self.each = each;
        self
    }

    /// Number of packets that could not be written.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// How many files of a series were deleted or overwritten by newer ones, now and later.
    #[must_use]
    pub fn deleted(&self) -> Arc<AtomicU64> {
        self.files.as_ref().map_or_else(Arc::default, Series::deleted)
    }

    /// Sets the name of an interface before its first packet. `name` is called only once.
    pub fn name_interface(&mut self, interface: u32, name: impl FnOnce() -> Option<String>) {
        if self.names.len() < MAX_NAMES {
            self.names.entry(interface).or_insert_with(name);
        }
    }

    /// Adds decryption secrets, which are written here and at the start of all later files. pcap files can't hold them.
    pub fn secrets(&mut self, secrets: &[Secrets]) {
        self.secrets.extend_from_slice(secrets);
        if let Encoding::Pcapng(_) = self.format {
            for secret in secrets {
                PcapngEncoder::secret(&mut self.buffer, secret);
            }
        }
    }

    /// Writes a packet with a comment for Wireshark (pcapng only).
    pub fn write(&mut self, packet: &Packet<'_>, comment: Option<&str>) -> io::Result<()> {
        let rotated = self.rotate(packet.time);
        match &mut self.format {
            Encoding::Pcapng(encoder) => {
                let name = self.names.get(&packet.interface).and_then(Option::as_deref);
                encoder.packet(&mut self.buffer, packet, comment, name);
            }
            Encoding::Pcap(encoder) => {
                if let Err(held) = encoder.packet(&mut self.buffer, packet) {
                    self.lost += 1;
                    return Err(self.named(&io::Error::other(format!(
                        "a pcap file holds only one link type, here {}, but a packet has {}: use a name that ends in .pcapng",
                        held.0, packet.link.0
                    ))));
                }
            }
        }
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        rotated
    }

    /// Writes packets with their comments. One at which this program panics is counted as lost, and those behind it are written.
    pub fn write_all<'p, 'c>(
        &mut self,
        mut packets: impl Iterator<Item = (Packet<'p>, Option<&'c str>)>,
    ) -> io::Result<()> {
        let mut result = Ok(());
        loop {
            let written = caught(|| {
                let mut result = Ok(());
                for (packet, comment) in packets.by_ref() {
                    let written = self.write(&packet, comment);
                    result = result.and(written);
                }
                result
            });
            match written {
                Ok(written) => return result.and(written),
                Err(fault) => {
                    let error = self.recover(fault);
                    result = result.and(Err(error));
                }
            }
        }
    }

    /// Forgets a packet that was left in the middle.
    fn recover(&mut self, fault: Fault) -> io::Error {
        self.lost += 1;
        let (whole, _) = self.format.whole(&self.buffer);
        self.buffer.truncate(whole);
        // The description of its interface may be lost with it.
        if let Encoding::Pcapng(_) = self.format {
            self.begin();
        }
        self.named(&fault.into())
    }

    /// Writes the buffer to the file.
    pub fn flush(&mut self) -> io::Result<()> {
        self.written = Instant::now();
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let result = if self.broken {
            self.lost += self.format.whole(&buffer).1;
            Ok(())
        } else {
            let written = self.target.append(&buffer, |bytes| self.format.whole(bytes).0);
            written.map_err(|shortfall| self.fall_short(&buffer, shortfall))
        };
        // Reuse the memory, unless a failure has already put a new section header into the buffer.
        if self.buffer.is_empty() {
            self.buffer = buffer;
            self.buffer.clear();
        }
        result
    }

    /// Counts lost packets and makes sure that later ones are readable.
    fn fall_short(&mut self, buffer: &[u8], Shortfall { kept, error }: Shortfall) -> io::Error {
        self.lost += self.format.whole(buffer.get(kept..).unwrap_or_default()).1;
        if self.target.can_recover() {
            // Interface descriptions may be lost too, so a new section repeats them.
            if matches!(self.format, Encoding::Pcapng(_)) || self.target.len() == 0 {
                self.begin();
            }
        } else {
            self.broken = true;
        }
        self.named(&error)
    }

    /// Writes the rest. Call this once, at the end.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Encoding::Pcap(encoder) = &mut self.format {
            encoder.header(&mut self.buffer, None);
        }
        self.flush()
    }

    /// Starts the next file if this one is full. If it can't be created, this one is used for another turn.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        if self.first.is_none() {
            files.date(now);
        }
        let first = *self.first.get_or_insert(now);
        let Rotation { span, .. } = self.rotation;
        let len = self.target.len() + self.buffer.len() as u64;
        let is_full =
            self.limit.is_some_and(|limit| len >= limit) || span.is_some_and(|span| now >= first + span);
        if !is_full {
            return Ok(());
        }
        self.first = Some(now);
        // What is buffered belongs to the full file.
        let flushed = self.finish();
        let len = self.target.len();
        let Some(files) = &mut self.files else { return flushed };
        match files.next(len, now) {
            Ok(target) => self.target = target,
            Err(error) => {
                self.limit = self.rotation.full().map(|bytes| len + bytes);
                return flushed.and(Err(error));
            }
        }
        self.limit = self.rotation.full();
        let room = files.make_room(self.limit.unwrap_or(0));
        self.buffer.clear();
        self.begin();
        flushed.and(room)
    }

    /// Starts a section (pcapng) or a file (pcap).
    fn begin(&mut self) {
        match &mut self.format {
            Encoding::Pcapng(encoder) => encoder.begin(&mut self.buffer, &self.secrets),
            Encoding::Pcap(encoder) => encoder.begin(),
        }
    }

    /// Adds the name of the file to an error.
    fn named(&self, error: &io::Error) -> io::Error {
        match &self.files {
            None => io::Error::new(
                error.kind(),
                format!("standard output can't be written: {}", why_unwritable(error)),
            ),
            Some(files) => at(files.current(), error),
        }
    }
}

impl Drop for PacketWriter {
    fn drop(&mut self) {
        // Only a panic leads here with a filled buffer, and it is reported already.
        _ = self.finish();
    }
}

impl Tap for PacketWriter {
    fn packets(&mut self, batch: &Batch, name: &dyn Fn(u32) -> Option<String>) -> io::Result<()> {
        for record in &batch.records {
            self.name_interface(record.interface, || name(record.interface));
        }
        let mut result = self.write_all(batch.packets().map(|packet| (packet, None)));
        if self.each || batch.records.is_empty() || self.written.elapsed() >= MAX_DELAY {
            result = result.and(self.flush());
        }
        result
    }

    fn finish(&mut self) -> io::Result<()> {
        Self::finish(self)
    }

    fn lost(&self) -> u64 {
        self.lost
    }
}

/// The time of the host.
fn now() -> Timestamp {
    // A clock centuries off names a file wrongly, and that is all.
    let nanoseconds = jiff::Timestamp::now().as_nanosecond();
    Timestamp(i64::try_from(nanoseconds).unwrap_or_default())
}

/// An error that names the file.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{} can't be written: {}", path.display(), why_unwritable(error)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::source::{CapturePoint, LinkType, Record, Source, files};

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
    fn written_packets_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        let secrets = [Secrets { kind: 0x544c_534b, data: b"CLIENT_RANDOM".to_vec().into() }];
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
    fn a_panic_costs_the_packet_at_hand_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.pcapng", "x.pcap"] {
            let path = folder.path().join(name);
            let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
            writer.write(&packet(0, 1, 0, b"before"), None).unwrap();
            let numbered = (1..6).map(|number| {
                assert!(number % 3 != 0, "a fault in the test's packets");
                (packet(number, 1, 0, b"12345"), None)
            });
            let error = writer.write_all(numbered).unwrap_err().to_string();
            assert!(error.contains("a fault in the test's packets") && error.contains(name), "{error}");
            // One that breaks off in the middle, with the description of an interface before it.
            let whole = writer.buffer.len();
            let other = u32::from(name == "x.pcapng");
            writer.write(&packet(6, 1, other, b"half"), None).unwrap();
            writer.buffer.truncate(writer.buffer.len() - 3);
            assert!(writer.buffer.len() > whole);
            let fault = caught(|| assert_eq!(whole, 0)).unwrap_err();
            writer.recover(fault);
            writer.write(&packet(7, 1, other, b"after"), None).unwrap();
            writer.finish().unwrap();
            let data: Vec<Vec<u8>> = read(&[path]).into_iter().map(|packet| packet.4).collect();
            assert_eq!(data, [&b"before"[..], b"12345", b"12345", b"12345", b"12345", b"after"]);
            assert_eq!(writer.lost(), 2);
        }
    }

    #[test]
    fn rotation_by_size_and_by_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let rotation = Rotation { bytes: Some(10_000), ..Rotation::default() };
        let mut writer = PacketWriter::create(&path, rotation).unwrap();
        for i in 0..30 {
            writer.write(&packet(i, i as i64, 0, &[i as u8; 1000]), None).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(names(folder.path()), ["x", "x1", "x2"]);
        let all = read(&[folder.path().to_owned()]);
        assert!(all.iter().enumerate().all(|(i, p)| p.4 == vec![i as u8; 1000]));
        assert_eq!(all.len(), 30);

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let rotation = Rotation { span: Some(Duration::from_nanos(10)), ..Rotation::default() };
        let mut writer = PacketWriter::create(&path, rotation).unwrap();
        for time in [5, 14, 15, 24, 40] {
            writer.write(&packet(1, time, 0, b"x"), None).unwrap();
        }
        writer.finish().unwrap();
        let times = |n: &str| -> Vec<i64> {
            read(&[folder.path().join(format!("x{n}"))]).iter().map(|p| p.0).collect()
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
    fn a_name_that_ends_in_pcap_makes_a_pcap_of_one_link_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcap");
        let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        let time = 1_700_000_000_123_456_789;
        writer.write(&packet(1, time, 0, b"one"), Some("no place for this")).unwrap();
        let error = writer.write(&packet(2, time, 1, b"two"), None).unwrap_err().to_string();
        assert!(error.contains("x.pcap") && error.contains("only one link type"), "{error}");
        writer.write(&packet(3, time + 1, 0, b"three"), None).unwrap();
        writer.finish().unwrap();
        assert_eq!(writer.lost(), 1);
        let packets = [(time, 1, 0, 6, b"one".to_vec()), (time + 1, 1, 0, 8, b"three".to_vec())];
        assert_eq!(read(std::slice::from_ref(&path)), packets);
        assert_eq!(std::fs::read(&path).unwrap()[..4], [0x4d, 0x3c, 0xb2, 0xa1]);
        // Without packets it is a capture too.
        let empty = folder.path().join("empty.pcap");
        drop(PacketWriter::create(&empty, Rotation::default()).unwrap());
        assert_eq!(read(&[empty]), []);
    }

    #[test]
    fn a_writer_that_is_dropped_leaves_whole_packets() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.pcapng", "x.pcap"] {
            let path = folder.path().join(name);
            let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
            for i in 0..10 {
                writer.write(&packet(i, i as i64, 0, b"x"), None).unwrap();
            }
            drop(writer);
            assert_eq!(read(&[path]).len(), 10);
        }
    }

    #[test]
    fn after_a_failed_write_the_rest_is_counted_and_what_follows_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["x.pcapng", "x.pcap"] {
            let path = folder.path().join(name);
            let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
            for i in 0..10 {
                writer.write(&packet(i, i as i64, 0, &[7; 100]), None).unwrap();
            }
            // The disk took all but the last 150 bytes: the last packet and a part of the one before.
            let buffer = std::mem::take(&mut writer.buffer);
            let (kept, packets) = writer.format.whole(&buffer[..buffer.len() - 150]);
            assert_eq!(packets, 8);
            writer.target.append(&buffer[..kept], |_| 0).unwrap();
            let shortfall = Shortfall { kept, error: io::ErrorKind::StorageFull.into() };
            assert!(writer.fall_short(&buffer, shortfall).to_string().contains(name));
            assert_eq!(writer.lost(), 2);
            writer.write(&packet(11, 11, 0, b"again"), None).unwrap();
            writer.finish().unwrap();
            let times: Vec<i64> = read(&[path]).iter().map(|packet| packet.0).collect();
            assert_eq!(times, [0, 1, 2, 3, 4, 5, 6, 7, 11]);
        }
    }

    #[test]
    fn steady_traffic_is_written_within_half_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pcapng");
        let mut writer = PacketWriter::create(&path, Rotation::default()).unwrap();
        let mut batch = Batch::default();
        batch.data.push(7);
        batch.records.push(Record {
            number: 1,
            time: Timestamp(1),
            link: LinkType(1),
            interface: 0,
            capture_point: CapturePoint::default(),
            wire_len: 1,
            offset: 0,
            len: 1,
        });
        let written = || read(std::slice::from_ref(&path)).len();
        let take = |writer: &mut PacketWriter| writer.packets(&batch, &|_| None).unwrap();
        take(&mut writer);
        assert_eq!(written(), 0);
        writer.written = writer.written.checked_sub(MAX_DELAY).unwrap();
        take(&mut writer);
        assert_eq!(written(), 2);
        let mut writer = writer.packet_buffered(true);
        take(&mut writer);
        assert_eq!(written(), 3);
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
