//! pcap (draft-ietf-opsawg-pcap), with times in nanoseconds: what `-w` writes to a name that ends in `.pcap`. It holds one
//! link type, and neither names of interfaces nor comments nor secrets.

use crate::source::{LinkType, Packet};

/// Byte order and nanoseconds.
const MAGIC: u32 = 0xa1b2_3c4d;
/// The largest packet that readers accept, and libpcap's own snap length.
const SNAP_LEN: u32 = 262_144;
const FILE_HEAD: usize = 24;
const RECORD_HEAD: usize = 16;
/// Where a file without packets has to name a link type all the same.
const ETHERNET: LinkType = LinkType(1);

/// The state of a file: its link type, once its first packet is known.
#[derive(Debug, Default)]
pub(super) struct PcapEncoder {
    link: Option<LinkType>,
}

impl PcapEncoder {
    /// A new file begins.
    pub(super) fn begin(&mut self) {
        self.link = None;
    }

    /// Appends the head of the file, if it is not there yet.
    pub(super) fn head(&mut self, out: &mut Vec<u8>, link: Option<LinkType>) -> LinkType {
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

    /// Appends a packet. The error says which link type the file holds.
    pub(super) fn packet(&mut self, out: &mut Vec<u8>, packet: &Packet<'_>) -> Result<(), LinkType> {
        let link = self.head(out, Some(packet.link));
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

    /// The length of the file's head or of the first record of `bytes`, and whether it is a packet; `None` if it is not
    /// whole.
    pub(super) fn first(bytes: &[u8]) -> Option<(usize, bool)> {
        if bytes.starts_with(&MAGIC.to_le_bytes()) && bytes.get(4..8) == Some(&[2, 0, 4, 0]) {
            return (bytes.len() >= FILE_HEAD).then_some((FILE_HEAD, false));
        }
        let len = RECORD_HEAD + u32::from_le_bytes(*bytes.get(8..)?.first_chunk()?) as usize;
        (len <= bytes.len()).then_some((len, true))
    }
}
