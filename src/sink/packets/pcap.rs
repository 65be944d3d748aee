//! pcap (draft-ietf-opsawg-pcap) with nanoseconds. A file has one link type and can't hold interface names, comments or
//! secrets.

use crate::source::{LinkType, Packet};

/// The magic number for nanoseconds; it also shows the byte order.
const MAGIC: u32 = 0xa1b2_3c4d;
/// The maximum packet length, as in tcpdump.
const SNAP_LEN: u32 = 262_144;
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// The link type of a file without packets.
const ETHERNET: LinkType = LinkType(1);

/// The state of a file: its link type, which the first packet sets.
#[derive(Debug, Default)]
pub(super) struct PcapEncoder {
    link: Option<LinkType>,
}

impl PcapEncoder {
    /// Starts a new file.
    pub(super) fn begin(&mut self) {
        self.link = None;
    }

    /// Appends the file header if it is not there yet. Returns the link type of the file.
    pub(super) fn header(&mut self, out: &mut Vec<u8>, link: Option<LinkType>) -> LinkType {
        if let Some(link) = self.link {
            return link;
        }
        let link = link.unwrap_or(ETHERNET);
        out.extend(MAGIC.to_le_bytes());
        // Version 2.4, and two reserved fields.
        out.extend([2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(SNAP_LEN.to_le_bytes());
        out.extend(u32::from(link.0).to_le_bytes());
        self.link = Some(link);
        link
    }

    /// Appends a packet. The error is the link type of the file, if the packet has another one.
    pub(super) fn packet(&mut self, out: &mut Vec<u8>, packet: &Packet<'_>) -> Result<(), LinkType> {
        let link = self.header(out, Some(packet.link));
        if link != packet.link {
            return Err(link);
        }
        let nanoseconds = u64::try_from(packet.time.0).unwrap_or(0);
        out.extend(((nanoseconds / 1_000_000_000) as u32).to_le_bytes());
        out.extend(((nanoseconds % 1_000_000_000) as u32).to_le_bytes());
        out.extend((packet.data.len() as u32).to_le_bytes());
        out.extend(packet.wire_len.to_le_bytes());
        out.extend_from_slice(packet.data);
        Ok(())
    }

    /// The length of the first record of `bytes` (or of the file header), and whether it is a packet. `None` if it is
    /// incomplete.
    pub(super) fn first(bytes: &[u8]) -> Option<(usize, bool)> {
        if bytes.starts_with(&MAGIC.to_le_bytes()) && bytes.get(4..8) == Some(&[2, 0, 4, 0]) {
            return (bytes.len() >= FILE_HEADER).then_some((FILE_HEADER, false));
        }
        let len = RECORD_HEADER + u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?) as usize;
        (len <= bytes.len()).then_some((len, true))
    }
}
