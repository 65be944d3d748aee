//! Where packets come from: capture files, standard input, live interfaces.
//!
//! A [`Source`] hands out [`Batch`]es: one buffer and the places of the packets in it, so that bytes read from a file
//! are not copied again.
//!
//! | | packets |
//! | --- | --- |
//! | [`files::open`] | of any number of capture files, as one capture |
//! | [`live::open`] | of live interfaces |
//! | [`Filtered`] | of another source, those that match a capture filter |
//! | [`Limited`] | from the beginning of another source |
//! | [`Tee`] | of another source, which are also written somewhere |
//! | [`Queued`] | of another source, read in a thread that never waits for the consumer |
//! | [`Reread`], [`Ring`] | that were read before, from their files or from memory |

mod bpf;
pub mod bytes;
#[cfg(target_os = "linux")]
mod descriptors;
pub mod fifo;
pub mod files;
mod foreign;
pub mod growing;
mod input;
mod limit;
mod link_type;
pub mod live;
mod local;
mod pcap;
mod pcapng;
pub mod privileges;
mod queue;
mod reread;
mod ring;
pub mod site;
mod snoop;
mod stream;
mod tee;
mod zstd_frames;

#[cfg(test)]
mod tests;

pub use bpf::{Filtered, Programs};
pub use limit::Limited;
pub use link_type::LinkType;
pub use live::LiveSource;
pub use local::LocalAddresses;
pub use queue::Queued;
pub use reread::Reread;
pub use ring::Ring;
pub use tee::{Tap, Tee};
pub use zstd_frames::Windows;

use crate::time::Timestamp;

/// A place at which packets were captured, among those that are read together: a host, a mirror port. What passes several
/// of them is seen several times. 0 where there is only one, or nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CapturePoint(pub u8);

/// One captured packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Number from 1, in the order of the whole capture, as Wireshark would number it.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// How to read its first header.
    pub link: LinkType,
    /// Which interface of the capture saw it (index over all files; 0 where the format has none).
    pub interface: u32,
    /// Where it was captured.
    pub capture_point: CapturePoint,
    /// Its length on the wire in bytes; `data` is shorter where the snap length cut it.
    pub wire_len: u32,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// A packet's place in a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// Number from 1, over the whole capture.
    pub number: u64,
    /// When it was captured.
    pub time: Timestamp,
    /// How to read its first header.
    pub link: LinkType,
    /// Which interface saw it.
    pub interface: u32,
    /// Where it was captured.
    pub capture_point: CapturePoint,
    /// Length on the wire in bytes.
    pub wire_len: u32,
    /// Offset of its bytes in [`Batch::data`].
    pub offset: u32,
    /// Captured length in bytes.
    pub len: u32,
}

/// Packets that travel together: one buffer and where each packet stands in it. Buffers are used again.
#[derive(Debug, Default)]
pub struct Batch {
    /// The bytes of all packets (and, from files, the record heads between them).
    pub data: Vec<u8>,
    /// The packets, in order.
    pub records: Vec<Record>,
    /// Live: it is this late, and all packets up to now are in this batch or in earlier ones. Lets time pass while nothing
    /// is received.
    pub now: Option<Timestamp>,
    /// Live: packets that were dropped so far, before or among those of this batch. No stream shows a hole for the last packets
    /// of a connection.
    pub dropped: u64,
    /// Secrets that the capture carries and that were found since the last batch.
    pub secrets: Vec<files::Secrets>,
    /// Blocks of secrets that were not kept so far, because all together would take too much.
    pub dropped_secrets: u64,
    /// Bytes read of bytes in all, after this batch; filled in by the pipeline from [`Source::progress`].
    pub progress: Option<(u64, u64)>,
    /// Bytes of memory that unpacking and secrets take at this point of the capture. In the batch, so that what is shed for them depends
    /// on the input alone.
    pub reserved: u64,
    /// Each of its packets is known to come from one interface, none from a capture of all at once (`tcpdump -i any`).
    pub single_interfaces: bool,
}

impl Batch {
    /// The packets in order. A record that points outside the buffer is an error of the source and is left out.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.packets_of(&self.records)
    }

    /// The packets of some of the records.
    pub fn packets_of<'b>(&'b self, records: &'b [Record]) -> impl Iterator<Item = Packet<'b>> {
        records.iter().filter_map(|record| self.packet(record))
    }

    /// The packet of a record.
    #[inline]
    pub(crate) fn packet(&self, record: &Record) -> Option<Packet<'_>> {
        let Record { number, time, link, interface, capture_point, wire_len, .. } = *record;
        let start = record.offset as usize;
        let data = self.data.get(start..start + record.len as usize)?;
        Some(Packet { number, time, link, interface, capture_point, wire_len, data })
    }

    /// Forgets the packets and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.records.clear();
        self.now = None;
        self.dropped = 0;
        self.secrets.clear();
        self.dropped_secrets = 0;
        self.progress = None;
        self.reserved = 0;
        self.single_interfaces = false;
    }
}

/// A source of packets, read batch by batch.
pub trait Source: Send {
    /// Fills `batch` (which it clears first) with the next packets.
    ///
    /// `Ok(true)`: there may be more (the batch may be empty: a live tick). `Ok(false)`: the end, the batch is empty.
    /// Trouble with one of several inputs is kept for [`Source::troubles`] and does not end the others.
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError>;

    /// Ends the source early and completes what is written on the side. Returns whether the source still has packets to
    /// deliver before it ends; a live one delivers those in the kernel.
    fn finish(&mut self) -> bool {
        false
    }

    /// New problems with inputs, to be printed; the exit status becomes 1.
    fn troubles(&mut self) -> Vec<SourceError> {
        Vec::new()
    }

    /// Bytes read of bytes in all, for progress; `None` where the end is not known.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }

    /// The name of an interface that packets were seen on, where the source knows it.
    fn interface_name(&self, _interface: u32) -> Option<&str> {
        None
    }

    /// Decryption secrets seen so far, to be kept with packets that are written out again.
    fn secrets(&self) -> &[files::Secrets] {
        &[]
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        (**self).next_batch(batch)
    }

    fn finish(&mut self) -> bool {
        (**self).finish()
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        (**self).troubles()
    }

    fn progress(&self) -> Option<(u64, u64)> {
        (**self).progress()
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        (**self).interface_name(interface)
    }

    fn secrets(&self) -> &[files::Secrets] {
        (**self).secrets()
    }
}

/// An input that can't be read (to its end). The text names the file or interface, the place, and what to do.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SourceError(pub String);
