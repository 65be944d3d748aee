//! One capture file, read record by record into batches.

use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::files::Secrets;
use super::foreign::foreign;
use super::input::{Compression, InputFile};
use super::local::is_of_all_interfaces;
use super::reread::{Checkpoint, Checkpoints};
use super::site::Site;
use super::zstd_frames::Windows;
use super::{Batch, LinkType, Record, SourceError, pcap, pcapng, snoop};

/// Largest packet that is believed, in bytes; libpcap's own limit for Ethernet is 256 KiB, some links have more.
pub(super) const MAX_PACKET: usize = 16 << 20;
/// Bytes of decryption secrets that are kept of all files together.
const MAX_SECRETS: usize = 16 << 20;
/// How many times as much memory as their text secrets take in all places together.
const SECRET_COST: u64 = 4;
/// Packets for which a piece should suffice.
const USUAL_PACKETS: usize = 600;
/// Interfaces whose names are kept.
const MAX_NAMES: usize = 1 << 16;

/// What all files of a capture share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    interfaces: u32,
    /// Names of the first interfaces.
    names: Vec<Option<String>>,
    /// See [`Batch::single_interfaces`].
    single_interfaces: bool,
    secrets: Vec<Secrets>,
    secret_bytes: usize,
    /// Blocks of them that were not kept.
    dropped_secrets: u64,
    /// Most of them, if less than usual.
    max_secrets: Option<usize>,
}

impl Shared {
    /// A number for an interface that no other has.
    pub(super) fn interface(&mut self, name: Option<String>, link: LinkType) -> u32 {
        let number = self.interfaces;
        self.single_interfaces &= !is_of_all_interfaces(link);
        if self.names.len() < MAX_NAMES {
            self.names.push(name);
        }
        self.interfaces = self.interfaces.saturating_add(1);
        number
    }

    /// See [`Batch::single_interfaces`].
    pub(super) fn single_interfaces(&self) -> bool {
        self.single_interfaces
    }

    /// What is known before files are read from their beginnings. Keeps at most `max_secrets` bytes of decryption secrets.
    pub(super) fn within(max_secrets: Option<usize>) -> Self {
        Self { max_secrets, single_interfaces: true, ..Self::default() }
    }

    /// Memory that the decryption secrets take, in bytes: here, on their way, and in the stores of the analysis.
    pub(super) fn secret_memory(&self) -> u64 {
        self.secret_bytes as u64 * SECRET_COST
    }

    /// Keeps decryption secrets as long as there is room.
    pub(super) fn keep_secrets(&mut self, kind: u32, data: &[u8]) {
        if self.secret_bytes + data.len() <= self.max_secrets.unwrap_or(MAX_SECRETS).min(MAX_SECRETS) {
            self.secret_bytes += data.len();
            self.secrets.push(Secrets { kind, data: data.to_vec().into() });
        } else {
            self.dropped_secrets += 1;
        }
    }

    /// Blocks of decryption secrets for which there was no room.
    pub(super) fn dropped_secrets(&self) -> u64 {
        self.dropped_secrets
    }

    /// The name of the interface with this number, where the file gave one.
    pub(super) fn name(&self, interface: u32) -> Option<&str> {
        self.names.get(interface as usize)?.as_deref()
    }

    pub(super) fn secrets(&self) -> &[Secrets] {
        &self.secrets
    }
}

/// How far a format's reader came.
#[derive(Debug)]
pub(super) struct Parsed {
    /// Bytes that are done with.
    pub(super) consumed: usize,
    /// What stands behind them.
    pub(super) more: More,
}

/// What a format's reader needs to go on.
#[derive(Debug)]
pub(super) enum More {
    /// At least this many bytes from the next record on.
    Need(usize),
    /// This many bytes to be passed over, most of which need not be held.
    Skip(u64),
    /// Nothing: the file is not as the format says, and no later record can be found.
    Damaged(String),
}

/// A format, with what its reader knows so far.
#[derive(Clone, Debug)]
pub(super) enum Format {
    Pcap(pcap::Reader),
    Pcapng(pcapng::Reader),
    Snoop(snoop::Reader),
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome {
    /// Packets.
    Packets,
    /// None yet; more may come.
    Idle,
    /// None ever.
    End,
}

/// An open capture file.
pub(super) struct Stream {
    name: String,
    input: Box<dyn Read + Send>,
    stop: Arc<AtomicBool>,
    compression: Option<Compression>,
    format: Option<Format>,
    /// The bytes behind the last whole record.
    carry: Vec<u8>,
    /// Offset of `carry` in the (unpacked) file.
    at: u64,
    /// What the record at `carry` needs, as far as that is known.
    need: usize,
    /// Bytes still to be passed over.
    skip: u64,
    packets: u64,
    /// Bytes to be read at once, and the least and the most of them.
    piece: usize,
    pieces: RangeInclusive<usize>,
    ended: bool,
    /// Where the file can be read again from.
    checkpoints: Option<Arc<Checkpoints>>,
    /// Where it was captured, if that is anything but usual.
    site: Option<Site>,
    /// What unpacking may take.
    windows: Arc<Windows>,
}

impl Stream {
    /// Reads `input` in pieces of so many bytes: larger ones where the packets are large.
    pub(super) fn new(
        path: &Path,
        input: InputFile,
        stop: Arc<AtomicBool>,
        pieces: RangeInclusive<usize>,
    ) -> Self {
        Self {
            name: name(path),
            input: Box::new(input),
            stop,
            compression: None,
            format: None,
            carry: Vec::new(),
            at: 0,
            need: 4,
            skip: 0,
            packets: 0,
            piece: *pieces.start(),
            pieces,
            ended: false,
            checkpoints: None,
            site: None,
            windows: Arc::default(),
        }
    }

    /// Unpacks within these bounds.
    pub(super) fn within(mut self, windows: &Arc<Windows>) -> Self {
        self.windows = Arc::clone(windows);
        self
    }

    /// Tells where the file was captured.
    pub(super) fn at(mut self, site: Option<&Site>) -> Self {
        self.site = site.cloned();
        self
    }

    /// Records checkpoints while the file is read.
    pub(super) fn with_checkpoints(mut self, checkpoints: Arc<Checkpoints>) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Resumes at a checkpoint, to which `input` was already moved.
    pub(super) fn resume(mut self, checkpoint: Checkpoint) -> Self {
        self.format = Some(checkpoint.format);
        self.at = checkpoint.offset;
        self.packets = checkpoint.packets;
        self
    }

    fn add_checkpoint(&self) {
        let Some(checkpoints) = &self.checkpoints else { return };
        if self.compression.is_none()
            && self.skip == 0
            && let Some(format) = &self.format
        {
            checkpoints.add(self.packets, || Checkpoint {
                packets: self.packets,
                offset: self.at,
                format: format.clone(),
            });
        }
    }

    /// Fills `batch` with the next packets, without their numbers. Trouble ends the file.
    pub(super) fn next(
        &mut self,
        batch: &mut Batch,
        shared: &mut Shared,
        troubles: &mut Vec<SourceError>,
    ) -> ReadOutcome {
        batch.records.clear();
        if self.ended {
            return ReadOutcome::End;
        }
        let filled = self.fill(batch, shared);
        if let Some(site) = &self.site {
            for record in &mut batch.records {
                record.capture_point = site.capture_point;
                record.time = site.clock.correct(record.time);
            }
        }
        match filled {
            Ok(outcome) => {
                self.packets += batch.records.len() as u64;
                self.suit_piece(batch);
                self.ended = outcome == ReadOutcome::End;
                self.add_checkpoint();
                outcome
            }
            Err(text) => {
                self.ended = true;
                self.packets += batch.records.len() as u64;
                let text = match self.packets {
                    0 => format!("{}: {text}", self.name),
                    1 => format!("{}: {text}; the packet before it was read", self.name),
                    n => format!("{}: {text}; the {n} packets before it were read", self.name),
                };
                troubles.push(SourceError(text));
                if batch.records.is_empty() { ReadOutcome::End } else { ReadOutcome::Packets }
            }
        }
    }

    /// Chooses how much to read next, for about as many packets as a piece usually has.
    fn suit_piece(&mut self, batch: &Batch) {
        let Some(last) = batch.records.last() else { return };
        let mean = (last.offset as usize + last.len as usize) / batch.records.len();
        self.piece = (mean * USUAL_PACKETS).clamp(*self.pieces.start(), *self.pieces.end());
    }

    /// Reads until there is at least one packet. The buffer holds, in this order, what was carried over and what is read.
    fn fill(&mut self, batch: &mut Batch, shared: &mut Shared) -> Result<ReadOutcome, String> {
        // The buffer keeps its length: setting it back and zeroing it again would cost as much as reading.
        let data = &mut batch.data;
        // A buffer that once held a larger packet is not filled to its end again.
        let mut end = self.piece.max(self.carry.len() + self.piece / 2);
        if data.len() < end {
            // Nothing of it is needed, and memory that is new is zero.
            *data = vec![0; end];
        }
        let mut filled = self.carry.len();
        if let Some(start) = data.get_mut(..filled) {
            start.copy_from_slice(&self.carry);
        }
        loop {
            if end == filled {
                end += self.piece;
                data.resize(data.len().max(end), 0);
            }
            let read = self.input.read(data.get_mut(filled..end).unwrap_or_default());
            let n = match read {
                Ok(0) => {
                    self.carry.clear();
                    return self.end(data.get(..filled).unwrap_or_default());
                }
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.carry.clear();
                    self.carry.extend_from_slice(data.get(..filled).unwrap_or_default());
                    return Ok(ReadOutcome::Idle);
                }
                Err(error) => return Err(self.unreadable(filled, &error)),
            };
            filled += n;
            let unread = data.get(..filled).unwrap_or_default();
            if let Some(compression) = self.compressed(unread) {
                let packed = std::mem::replace(&mut self.input, Box::new(io::empty()));
                self.compression = Some(compression);
                self.input = compression
                    .unpack(unread.to_vec(), packed, &self.windows)
                    .map_err(|error| error.to_string())?;
                filled = 0;
                continue;
            }
            let (consumed, damage) = self.parse(unread, &mut batch.records, shared)?;
            self.at += consumed as u64;
            if let Some(damage) = damage {
                return Err(format!("damaged at byte {}{}: {damage}", self.at, self.unpacked()));
            }
            if !batch.records.is_empty() {
                self.carry.clear();
                self.carry.extend_from_slice(unread.get(consumed..).unwrap_or_default());
                return Ok(ReadOutcome::Packets);
            }
            data.copy_within(consumed..filled, 0);
            filled -= consumed;
        }
    }

    /// How the file is packed, if it is and that was not seen before.
    fn compressed(&self, begun: &[u8]) -> Option<Compression> {
        if self.compression.is_some() || self.format.is_some() {
            return None;
        }
        begun.first_chunk::<4>().and_then(|magic| Compression::of(*magic))
    }

    /// Reads all whole records; returns how many bytes are done with and the damage that stands after them.
    fn parse(
        &mut self,
        data: &[u8],
        records: &mut Vec<Record>,
        shared: &mut Shared,
    ) -> Result<(usize, Option<String>), String> {
        let mut done = 0;
        loop {
            let unwanted = self.skip.min((data.len() - done) as u64);
            self.skip -= unwanted;
            done += unwanted as usize;
            let rest = data.get(done..).unwrap_or_default();
            if self.skip > 0 || rest.is_empty() {
                return Ok((done, None));
            }
            let before = records.len();
            let parsed = match &mut self.format {
                Some(Format::Pcap(reader)) => reader.parse(rest, records),
                Some(Format::Pcapng(reader)) => reader.parse(rest, records, shared),
                Some(Format::Snoop(reader)) => reader.parse(rest, records),
                None => match self.detect(rest, shared)? {
                    Some(head) => {
                        done += head;
                        continue;
                    }
                    None => return Ok((done, None)),
                },
            };
            if done > 0 {
                for record in records.iter_mut().skip(before) {
                    record.offset += done as u32;
                }
            }
            done += parsed.consumed;
            match parsed.more {
                More::Need(n) => {
                    self.need = n;
                    return Ok((done, None));
                }
                More::Skip(n) => self.skip = n,
                More::Damaged(text) => return Ok((done, Some(text))),
            }
        }
    }

    /// Finds out what kind of file begins with `data`. Gives the length of the head that is done with, or `None` if more
    /// has to be read.
    fn detect(&mut self, data: &[u8], shared: &mut Shared) -> Result<Option<usize>, String> {
        let Some(magic) = data.first_chunk::<4>() else {
            self.need = 4;
            return Ok(None);
        };
        if *magic == pcapng::MAGIC {
            self.format = Some(Format::Pcapng(pcapng::Reader::default()));
            return Ok(Some(0));
        }
        if pcap::magic(*magic).is_some() {
            let Some(head) = data.first_chunk::<{ pcap::HEAD }>() else {
                self.need = pcap::HEAD;
                return Ok(None);
            };
            self.format = pcap::Reader::new(head, shared).map(Format::Pcap);
            return Ok(Some(pcap::HEAD));
        }
        if snoop::MAGIC.starts_with(data.get(..snoop::MAGIC.len()).unwrap_or(data)) {
            let Some(head) = data.first_chunk::<{ snoop::HEAD }>() else {
                self.need = snoop::HEAD;
                return Ok(None);
            };
            self.format = Some(Format::Snoop(snoop::Reader::new(head, shared)?));
            return Ok(Some(snoop::HEAD));
        }
        Err(foreign(data))
    }

    /// The file is at its end; `left` belongs to no whole record.
    fn end(&self, left: &[u8]) -> Result<ReadOutcome, String> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(ReadOutcome::End);
        }
        let at = self.at;
        match (&self.format, left.len()) {
            (None, 0) => Err("is empty".into()),
            (None, n) => Err(format!("is cut off within its head, after {n} bytes")),
            (Some(_), _) if self.skip > 0 => {
                Err(format!("cut off at byte {at}{}: a block lacks {} bytes", self.unpacked(), self.skip))
            }
            (Some(_), 0) => Ok(ReadOutcome::End),
            (Some(_), n) => Err(format!(
                "cut off at byte {}{}: the record at byte {at} has {n} of {} bytes",
                at + n as u64,
                self.unpacked(),
                self.need
            )),
        }
    }

    fn unreadable(&self, filled: usize, error: &io::Error) -> String {
        let at = self.at + filled as u64;
        match (self.compression, error.kind()) {
            (None, _) => format!("can't be read at byte {at}: {error}"),
            (Some(_), io::ErrorKind::UnexpectedEof) => {
                format!("its compressed data is cut off, after {at} unpacked bytes")
            }
            (Some(_), _) => format!("can't be unpacked after {at} bytes: {error}"),
        }
    }

    /// To be put behind an offset.
    fn unpacked(&self) -> &'static str {
        if self.compression.is_some() { " of the unpacked data" } else { "" }
    }
}

/// How messages name an input. File names may hold anything, and messages go to terminals.
pub(super) fn name(path: &Path) -> String {
    if path == Path::new("-") {
        return "standard input".into();
    }
    path.to_string_lossy().replace(char::is_control, "\u{fffd}")
}
