//! Lines of a stream, decompressed where that is needed.

use std::io::{self, BufRead, BufReader, Read};

/// Longest line that is read: texts, headers and bodies of a record are bounded far below it.
const MAX_LINE: usize = 64 << 20;

/// Largest window that a zstd stream may ask for, as a power of two (RFC 8878, section 3.1.1.1.2).
const MAX_WINDOW: u32 = 27;

/// First octets of what is not lines.
const FOREIGN: &[(&[u8], &str)] = &[
    (b"PAR1", "is Parquet, which is read from its end: name the file instead of piping it"),
    (
        b"\xd4\xc3\xb2\xa1",
        "is a capture: rpcscope chains reads it, or rpcscope calls --link makes records of it",
    ),
    (
        b"\xa1\xb2\xc3\xd4",
        "is a capture: rpcscope chains reads it, or rpcscope calls --link makes records of it",
    ),
    (
        b"\x4d\x3c\xb2\xa1",
        "is a capture: rpcscope chains reads it, or rpcscope calls --link makes records of it",
    ),
    (
        b"\xa1\xb2\x3c\x4d",
        "is a capture: rpcscope chains reads it, or rpcscope calls --link makes records of it",
    ),
    (
        b"\x0a\x0d\x0d\x0a",
        "is a capture: rpcscope chains reads it, or rpcscope calls --link makes records of it",
    ),
];

/// Receives the number of a line, and the line or what is wrong with it. `false` ends the reading.
pub(super) type Take<'t> = &'t mut dyn FnMut(u64, Result<&[u8], String>) -> bool;

/// Passes each line that is not empty to `take` with its number, or what is wrong with it, until that says `false`.
pub(super) fn read(stream: Box<dyn Read>, take: Take<'_>) -> Result<(), String> {
    let broken = |error: io::Error| format!("can't be read: {error}");
    let mut lines = decompressed(stream).map_err(broken)?;
    let begun = lines.fill_buf().map_err(broken)?;
    if let Some((_, why)) = FOREIGN.iter().find(|(magic, _)| begun.starts_with(magic)) {
        return Err((*why).into());
    }
    let begun = begun.trim_ascii_start();
    if begun.first().is_some_and(|first| *first != b'{') {
        return Err(
            "is no stream of records: each line is a JSON object (rpcscope calls --link --format jsonl)"
                .into(),
        );
    }
    let (mut line, mut number) = (Vec::new(), 0);
    loop {
        line.clear();
        number += 1;
        let read = (&mut lines).take(MAX_LINE as u64).read_until(b'\n', &mut line).map_err(broken)?;
        if read == 0 {
            return Ok(());
        }
        let is_whole = line.last() == Some(&b'\n');
        let goes_on = if !is_whole && read == MAX_LINE {
            lines.skip_until(b'\n').map_err(broken)?;
            take(number, Err(format!("is longer than {} MiB", MAX_LINE >> 20)))
        } else {
            match line.trim_ascii() {
                [] => true,
                line => take(number, Ok(line)),
            }
        };
        if !goes_on {
            return Ok(());
        }
    }
}

/// The stream without its compression, which its first octets show.
fn decompressed(stream: Box<dyn Read>) -> io::Result<Box<dyn BufRead>> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let mut begun = Vec::new();
    let mut stream = stream;
    (&mut stream).take(4).read_to_end(&mut begun)?;
    let (is_gzip, is_zstd) = (begun.starts_with(&GZIP), begun == ZSTD);
    let whole = io::Cursor::new(begun).chain(stream);
    Ok(if is_gzip {
        Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(whole)))
    } else if is_zstd {
        let mut decoder = zstd::Decoder::new(whole)?;
        decoder.window_log_max(MAX_WINDOW)?;
        Box::new(BufReader::new(decoder))
    } else {
        Box::new(BufReader::new(whole))
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn lines(bytes: &[u8]) -> Result<Vec<(u64, String)>, String> {
        let mut all = Vec::new();
        read(Box::new(io::Cursor::new(bytes.to_vec())), &mut |number, line| {
            all.push((
                number,
                line.map_or_else(|why| why, |line| String::from_utf8_lossy(line).into_owned()),
            ));
            true
        })?;
        Ok(all)
    }

    #[test]
    fn lines_are_numbered_and_empty_ones_passed_over() {
        let expected = vec![(1, "{}".to_owned()), (3, "{\"a\":1}".to_owned()), (4, "{".to_owned())];
        let text = b"{}\n\n {\"a\":1}\r\n{";
        assert_eq!(lines(text), Ok(expected.clone()));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text).unwrap();
        assert_eq!(lines(&gzip.finish().unwrap()), Ok(expected.clone()));
        assert_eq!(lines(&zstd::encode_all(&text[..], 1).unwrap()), Ok(expected));
        assert_eq!(lines(b""), Ok(vec![]));
    }

    #[test]
    fn what_is_not_lines_of_objects_is_an_error() {
        for (bytes, why) in [
            (&b"PAR1\x15"[..], "Parquet"),
            (b"\xd4\xc3\xb2\xa1\x02", "capture"),
            (b"uid,start\n", "JSON object"),
            (b"[{}]", "JSON object"),
            (b"\x1f\x8b\x08\x00broken", "can't be read"),
        ] {
            assert!(lines(bytes).unwrap_err().contains(why), "{bytes:?}");
        }
    }

    #[test]
    fn a_line_without_an_end_takes_bounded_memory() {
        let endless = io::repeat(b'{').take(3 * MAX_LINE as u64 / 2);
        let stream = endless.chain(&b"\n{}\n"[..]);
        let mut all = Vec::new();
        read(Box::new(stream), &mut |number, line| {
            all.push((number, line.is_ok()));
            true
        })
        .unwrap();
        assert_eq!(all, [(1, false), (2, true)]);
    }
}
