//! pcapng (draft-ietf-opsawg-pcapng) with nanoseconds. Interfaces are described before their first packet.

use hashbrown::HashMap;

use crate::source::files::Secrets;
use crate::source::{LinkType, Packet};

/// Maximum number of interfaces in a section. Packets of further ones are assigned to the last.
const MAX_INTERFACES: usize = 1 << 16;
/// Maximum length of a comment in bytes: the length field of options has 16 bits.
const MAX_COMMENT: usize = 0xfff0;

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE_DESCRIPTION: u32 = 1;
const ENHANCED_PACKET: u32 = 6;
const DECRYPTION_SECRETS: u32 = 10;

/// The state of a section: its interfaces.
#[derive(Debug, Default)]
pub(super) struct PcapngEncoder {
    /// The interfaces of this section and their indices.
    interfaces: HashMap<(u32, LinkType), u32>,
}

impl PcapngEncoder {
    /// Starts a new section with `secrets`.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>, secrets: &[Secrets]) {
        const BYTE_ORDER: u32 = 0x1a2b_3c4d;
        self.interfaces.clear();
        block(out, SECTION_HEADER, |out| {
            out.extend(BYTE_ORDER.to_le_bytes());
            // Version 1.0, section length unknown.
            out.extend([1, 0, 0, 0]);
            out.extend([0xff; 8]);
            option(out, 4, concat!("rpcscope ", env!("CARGO_PKG_VERSION")).as_bytes());
            option(out, 0, &[]);
        });
        for secret in secrets {
            Self::secret(out, secret);
        }
    }

    pub(super) fn secret(out: &mut Vec<u8>, secret: &Secrets) {
        block(out, DECRYPTION_SECRETS, |out| {
            out.extend(secret.kind.to_le_bytes());
            out.extend((secret.data.len() as u32).to_le_bytes());
            out.extend_from_slice(&secret.data);
        });
    }

    /// Appends a packet with a comment for Wireshark. `name` is the name of its interface.
    pub(super) fn packet(
        &mut self,
        out: &mut Vec<u8>,
        packet: &Packet<'_>,
        comment: Option<&str>,
        name: Option<&str>,
    ) {
        let interface = self.interface(out, packet.interface, packet.link, name);
        let nanoseconds = u64::try_from(packet.time.0).unwrap_or(0);
        let comment =
            comment.map(str::as_bytes).map(|c| c.get(..c.len().min(MAX_COMMENT)).unwrap_or_default());
        block(out, ENHANCED_PACKET, |out| {
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
    }

    /// The index of an interface in this section; a new interface is described first. In a capture of several files, one
    /// interface number may have several link types.
    fn interface(&mut self, out: &mut Vec<u8>, interface: u32, link: LinkType, name: Option<&str>) -> u32 {
        if let Some(known) = self.interfaces.get(&(interface, link)) {
            return *known;
        }
        if self.interfaces.len() >= MAX_INTERFACES {
            return MAX_INTERFACES as u32 - 1;
        }
        block(out, INTERFACE_DESCRIPTION, |out| {
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

    /// The length of the first block of `bytes`, and whether it is a packet. `None` if the block is incomplete.
    pub(super) fn first(bytes: &[u8]) -> Option<(usize, bool)> {
        let kind = u32::from_le_bytes(*bytes.first_chunk()?);
        let len = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
        (len > 0 && len <= bytes.len()).then_some((len, kind == ENHANCED_PACKET))
    }
}

/// Appends a block whose body is written by `body`.
fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    pad(out);
    let len = (out.len() - start + 4) as u32;
    out.extend(len.to_le_bytes());
    if let Some(field) = out.get_mut(start + 4..start + 8) {
        field.copy_from_slice(&len.to_le_bytes());
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

/// Pads to a multiple of 4 bytes, the alignment of blocks and options. The buffer starts aligned.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}
