//! Compressed messages, opened within bounds.

use std::borrow::Cow;
use std::io::{self, Read};

use super::BODY_LIMIT;

/// The largest window of zstd that is granted, as a power of two: messages are small, and the window is memory.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Compressed bytes that the decoder of Brotli takes at a time. Its window is at most 16 MiB (RFC 7932, section 9.1).
const BROTLI_BUFFER: usize = 4096;

/// What begins a stream in snappy's framing format (`framing_format.txt`).
const SNAPPY_STREAM: &[u8] = b"\xff\x06\0\0sNaPpY";

/// A message that is not compressed any more.
pub(super) struct Opened<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// It is longer than [`BODY_LIMIT`], or its compressed form is cut.
    pub(super) cut: bool,
}

/// Opens a message. `encoding` is the value of `grpc-encoding`, or tRPC's name for the like; the error says why that failed.
pub(super) fn open<'a>(bytes: &'a [u8], encoding: Option<&str>) -> Result<Opened<'a>, String> {
    let encoding = encoding.unwrap_or("identity").trim();
    let all = |reader: &mut dyn Read| read(reader).map_err(|error| format!("{encoding}: {error}"));
    // An empty message has nothing to open.
    if bytes.is_empty() {
        return Ok(Opened { bytes: Cow::Borrowed(bytes), cut: false });
    }
    match encoding.to_ascii_lowercase().as_str() {
        "" | "identity" | "none" => {
            let kept = bytes.get(..BODY_LIMIT).unwrap_or(bytes);
            Ok(Opened { bytes: Cow::Borrowed(kept), cut: kept.len() < bytes.len() })
        }
        "gzip" | "x-gzip" => all(&mut flate2::read::MultiGzDecoder::new(bytes)),
        // zlib's format; some peers send the bare stream.
        "deflate" | "zlib" => all(&mut flate2::read::ZlibDecoder::new(bytes))
            .or_else(|error| all(&mut flate2::read::DeflateDecoder::new(bytes)).map_err(|_| error)),
        "zstd" => {
            let mut reader = zstd::Decoder::with_buffer(bytes).map_err(|error| error.to_string())?;
            reader.window_log_max(ZSTD_WINDOW_LOG).map_err(|error| error.to_string())?;
            all(&mut reader)
        }
        "br" | "brotli" => all(&mut brotli_decompressor::Decompressor::new(bytes, BROTLI_BUFFER)),
        "snappy" | "snappy-stream" | "snappy-block" if bytes.starts_with(SNAPPY_STREAM) => {
            all(&mut snap::read::FrameDecoder::new(bytes))
        }
        "snappy" | "snappy-stream" | "snappy-block" => {
            let length = snap::raw::decompress_len(bytes).map_err(|error| format!("snappy: {error}"))?;
            if length > BODY_LIMIT {
                return Err(format!("snappy: {length} bytes are over the limit of {BODY_LIMIT}"));
            }
            let bytes = snap::raw::Decoder::new().decompress_vec(bytes);
            let bytes = bytes.map_err(|error| format!("snappy: {error}"))?;
            Ok(Opened { bytes: Cow::Owned(bytes), cut: false })
        }
        _ => Err(format!("compression '{encoding}' is not read")),
    }
}

/// Reads up to the limit. What is cut keeps what came before.
fn read(reader: &mut dyn Read) -> io::Result<Opened<'static>> {
    let mut bytes = Vec::new();
    let cut = match reader.take(BODY_LIMIT as u64 + 1).read_to_end(&mut bytes) {
        Ok(_) => bytes.len() > BODY_LIMIT,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && !bytes.is_empty() => true,
        Err(error) => return Err(error),
    };
    bytes.truncate(BODY_LIMIT);
    Ok(Opened { bytes: Cow::Owned(bytes), cut })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;

    use super::*;

    fn forms(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text).unwrap();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(text).unwrap();
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        bare.write_all(text).unwrap();
        let mut stream = snap::write::FrameEncoder::new(Vec::new());
        stream.write_all(text).unwrap();
        vec![
            ("identity", text.to_vec()),
            ("gzip", gzip.finish().unwrap()),
            ("deflate", zlib.finish().unwrap()),
            ("deflate", bare.finish().unwrap()),
            ("zstd", zstd::encode_all(text, 3).unwrap()),
            ("snappy", stream.into_inner().unwrap()),
            ("snappy", snap::raw::Encoder::new().compress_vec(text).unwrap()),
        ]
    }

    #[test]
    fn every_form_opens() {
        let text = b"some text, some text, some text";
        for (name, bytes) in forms(text) {
            let opened = open(&bytes, Some(name)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((&*opened.bytes, opened.cut), (&text[..], false), "{name}");
        }
        assert_eq!(open(b"", Some("gzip")).map(|opened| opened.bytes.len()).ok(), Some(0));
    }

    #[test]
    fn bombs_end_at_the_limit() {
        for (name, bytes) in forms(&vec![0; 4 * BODY_LIMIT]) {
            match open(&bytes, Some(name)) {
                Ok(opened) => assert_eq!((opened.bytes.len(), opened.cut), (BODY_LIMIT, true), "{name}"),
                Err(error) => assert!(error.contains("over the limit"), "{error}"),
            }
        }
    }

    #[test]
    fn brotli_opens_within_the_limit_whatever_its_bytes_are() {
        // By Google's library: this text, and 4 MiB of zeros.
        let text = b"\x1b\x1e\x00\xf8\x8d\xd3e\xf6\xd3\tm\r\xd26\x87\xa7Y\xca\xde\xe8\xc4P\x11@\x96\xb2\x0f";
        let opened = open(text, Some("br")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((&*opened.bytes, opened.cut), (&b"some text, some text, some text"[..], false));
        let zeros = b"\x9b\xff\xff?\xf8'\x00\xe2\xb1@ \xf7\xfe\x07";
        let opened = open(zeros, Some("br")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((opened.bytes.len(), opened.cut), (BODY_LIMIT, true));
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut odd = *text;
                odd[at] ^= 1 << bit;
                let length = open(&odd, Some("br")).map_or(0, |opened| opened.bytes.len());
                assert!(length <= BODY_LIMIT);
            }
            let cut = open(&text[..at], Some("br")).map_or(0, |opened| opened.bytes.len());
            assert!(cut <= 31);
        }
    }

    #[test]
    fn what_is_no_such_form_says_so() {
        for name in ["gzip", "deflate", "zstd", "snappy", "br", "lz4"] {
            assert!(open(b"\x00\xff\xfe\xfd\xfc\xfb\xfa", Some(name)).is_err(), "{name}");
        }
    }
}
