//! Identifies files that are not captures by their first bytes.

/// First bytes, file type, advice.
const KNOWN: &[(&[u8], &str, &str)] = &[
    (b"GMBU", "a Network Monitor capture", CONVERT),
    (b"RTSS", "a Network Monitor capture", CONVERT),
    (b"TRSNIFF data", "a Sniffer capture", CONVERT),
    (b"XCP\0", "a NetXRay capture", CONVERT),
    (&[0xa1, 0xb2, 0xcd, 0x34], "a pcap file of a modified format", CONVERT),
    (&[0x34, 0xcd, 0xb2, 0xa1], "a pcap file of a modified format", CONVERT),
    (b"\xfd7zXZ\0", "compressed with xz", UNPACK),
    (b"BZh", "compressed with bzip2", UNPACK),
    (&[0x04, 0x22, 0x4d, 0x18], "compressed with lz4", UNPACK),
    (b"PK\x03\x04", "a zip archive", UNPACK),
    (b"7z\xbc\xaf", "a 7z archive", UNPACK),
    (b"Rar!", "a rar archive", UNPACK),
    (b"\x7fELF", "a program", ""),
    (b"%PDF", "a PDF document", ""),
    (b"\x89PNG", "a PNG picture", ""),
    (b"SQLite format 3\0", "an SQLite database", ""),
    (b"PAR1", "a Parquet file", "; rpcscope judge and rpcscope chains read records of calls"),
];
const CONVERT: &str = "; convert it with `editcap -F pcapng`";
const UNPACK: &str = "; unpack it first";
/// What JSON lines of calls contain near their beginning.
const RECORD: &[u8] = b"{\"type\":\"call\",\"uid\":";
/// Bytes of a file that show what it is.
pub(super) const HEAD: u64 = 512;
/// Offset of the magic of a tar archive.
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// What a file that starts with `bytes` is, and what to do about it; `None` for text and for what is not known.
pub(super) fn known(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let known = KNOWN.iter().find(|(magic, ..)| bytes.starts_with(magic));
    match known {
        Some((_, what, advice)) => Some((what, advice)),
        None => (bytes.get(TAR_MAGIC) == Some(b"ustar")).then_some(("a tar archive", UNPACK)),
    }
}

/// Why a file that starts with `bytes` can't be read.
pub(super) fn foreign(bytes: &[u8]) -> String {
    match known(bytes) {
        Some((what, advice)) => format!("is not a capture but {what}{advice}"),
        None if bytes.starts_with(RECORD) => {
            "is not a capture but JSON lines of calls; rpcscope judge reads them".into()
        }
        None if is_text(bytes) => {
            "is not a capture but text; captures are pcap, pcapng and snoop files, and a log is read beside one \
             (rpcscope logs CAPTURE LOG)"
                .into()
        }
        None => "is neither a pcap nor a pcapng file".into(),
    }
}

fn is_text(bytes: &[u8]) -> bool {
    const ENOUGH: usize = 256;
    bytes.iter().take(ENOUGH).all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..))
}
