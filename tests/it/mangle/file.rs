//! The same packets in every file format.

use std::io::Write;

use super::frame::Captured;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Pcap {
        big_endian: bool,
        nanoseconds: bool,
    },
    /// Enhanced packet blocks; the time stamps count units of 10⁻`digits` seconds.
    Pcapng {
        big_endian: bool,
        digits: u8,
    },
    /// A section and two interfaces for every few packets.
    PcapngSections,
}

pub(crate) const FORMATS: &[Format] = &[
    Format::Pcap { big_endian: false, nanoseconds: false },
    Format::Pcap { big_endian: true, nanoseconds: false },
    Format::Pcap { big_endian: false, nanoseconds: true },
    Format::Pcap { big_endian: true, nanoseconds: true },
    Format::Pcapng { big_endian: false, digits: 6 },
    Format::Pcapng { big_endian: true, digits: 9 },
    Format::PcapngSections,
];

/// What a file is compressed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// The ending of a file name.
pub(crate) fn ending(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "",
        Compression::Gzip => ".gz",
        Compression::Zstd => ".zst",
    }
}

/// Integers in the byte order of the file.
struct Out {
    bytes: Vec<u8>,
    big_endian: bool,
}

impl Out {
    fn u16(&mut self, n: u16) {
        self.bytes.extend_from_slice(&if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() });
    }

    fn u32(&mut self, n: u32) {
        self.bytes.extend_from_slice(&if self.big_endian { n.to_be_bytes() } else { n.to_le_bytes() });
    }

    /// A block of pcapng.
    fn block(&mut self, kind: u32, body: &[u8]) {
        let padding = (4 - body.len() % 4) % 4;
        let total = (body.len() + padding + 12) as u32;
        self.u32(kind);
        self.u32(total);
        self.bytes.extend_from_slice(body);
        self.bytes.resize(self.bytes.len() + padding, 0);
        self.u32(total);
    }

    fn inner(&self) -> Self {
        Self { bytes: Vec::new(), big_endian: self.big_endian }
    }

    fn section(&mut self) {
        let mut body = self.inner();
        body.u32(0x1a2b_3c4d);
        body.u16(1);
        body.u16(0);
        body.u32(u32::MAX);
        body.u32(u32::MAX);
        self.block(0x0a0d_0d0a, &body.bytes);
    }

    fn interface(&mut self, link: u16, digits: u8) {
        let mut body = self.inner();
        body.u16(link);
        body.u16(0);
        body.u32(0);
        // if_tsresol, then the end of the options.
        body.u16(9);
        body.u16(1);
        body.bytes.extend_from_slice(&[digits, 0, 0, 0]);
        body.u32(0);
        self.block(1, &body.bytes);
    }

    fn enhanced(&mut self, interface: u32, packet: &Captured, digits: u8) {
        let time = packet.time as u64 / 10_u64.pow(9 - u32::from(digits));
        let mut body = self.inner();
        body.u32(interface);
        body.u32((time >> 32) as u32);
        body.u32(time as u32);
        body.u32(packet.data.len() as u32);
        body.u32(packet.wire_len);
        body.bytes.extend_from_slice(&packet.data);
        self.block(6, &body.bytes);
    }
}

/// The file. All packets are of one link type where the format knows only one.
pub(crate) fn write(packets: &[Captured], format: Format) -> Vec<u8> {
    let link = packets.first().map_or(1, |packet| packet.link);
    let mut out = Out { bytes: Vec::new(), big_endian: false };
    match format {
        Format::Pcap { big_endian, nanoseconds } => {
            out.big_endian = big_endian;
            out.u32(if nanoseconds { 0xa1b2_3c4d } else { 0xa1b2_c3d4 });
            out.u16(2);
            out.u16(4);
            for word in [0, 0, 262_144, u32::from(link)] {
                out.u32(word);
            }
            for packet in packets {
                assert_eq!(packet.link, link);
                out.u32((packet.time / 1_000_000_000) as u32);
                let fraction = (packet.time % 1_000_000_000) as u32;
                out.u32(if nanoseconds { fraction } else { fraction / 1000 });
                out.u32(packet.data.len() as u32);
                out.u32(packet.wire_len);
                out.bytes.extend_from_slice(&packet.data);
            }
        }
        Format::Pcapng { big_endian, digits } => {
            out.big_endian = big_endian;
            out.section();
            out.interface(link, digits);
            for packet in packets {
                out.enhanced(0, packet, digits);
            }
        }
        Format::PcapngSections => {
            for (i, few) in packets.chunks(7).enumerate() {
                out.big_endian = i % 2 == 1;
                out.section();
                out.interface(link, 6);
                // A block of no known kind, which readers skip.
                out.block(0x4000_0bad, b"something else");
                out.interface(link, 9);
                for (i, packet) in few.iter().enumerate() {
                    let interface = i as u32 % 2;
                    out.enhanced(interface, packet, if interface == 0 { 6 } else { 9 });
                }
            }
        }
    }
    out.bytes
}

/// The file compressed, in two members where the format can have several.
pub(crate) fn compress(bytes: &[u8], compression: Compression) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    let gzip = |part: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part).unwrap();
        encoder.finish().unwrap()
    };
    match compression {
        Compression::None => bytes.to_vec(),
        Compression::Gzip => [gzip(first), gzip(second)].concat(),
        Compression::Zstd => {
            [zstd::encode_all(first, 1).unwrap(), zstd::encode_all(second, 1).unwrap()].concat()
        }
    }
}
