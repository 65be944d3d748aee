//! How much memory the frames of a zstd file need (RFC 8878, section 3.1.1), read beside the decoder.
//!
//! A decoder keeps a window of the last unpacked bytes, whose size each frame names; it can be a hundred times that of the file.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The magic of a frame, and that of frames to be skipped, whose lowest four bits are free.
const MAGIC: u32 = 0xfd2f_b528;
const SKIPPABLE: u32 = 0x184d_2a50;
/// Longest header of a frame, with its magic.
const MAX_HEADER: usize = 18;

/// The windows of all files that are being unpacked, in bytes.
#[derive(Debug, Default)]
pub struct Windows {
    used: AtomicU64,
    /// Most of them together; `None`: no bound.
    most: Option<u64>,
}

impl Windows {
    /// Windows of at most `most` bytes together.
    #[must_use]
    pub fn within(most: u64) -> Self {
        Self { most: Some(most), ..Self::default() }
    }

    /// The bytes that they take now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Lets one of them grow.
    fn grow(&self, by: u64, to: u64) -> io::Result<()> {
        let most = self.most.unwrap_or(u64::MAX);
        let fits = |used: u64| used.checked_add(by).filter(|sum| *sum <= most);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::other(format!(
                "needs {} MiB to be unpacked, more than --max-memory leaves for that",
                to.div_ceil(1 << 20)
            ))),
        }
    }
}

/// Passes compressed bytes on and notes the windows that their frames ask for, before the decoder sees them.
pub(super) struct Frames<R> {
    inner: R,
    windows: Arc<Windows>,
    /// The largest window so far: a decoder keeps it.
    window: u64,
    /// The beginning of a header.
    head: [u8; MAX_HEADER],
    len: usize,
    /// Bytes until the next header.
    skip: u64,
    at: At,
}

/// What the next header is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Frame,
    Block {
        has_checksum: bool,
    },
    /// No longer known: the decoder will say what is wrong.
    Lost,
}

impl<R> Frames<R> {
    pub(super) fn new(inner: R, windows: Arc<Windows>) -> Self {
        Self { inner, windows, window: 0, head: [0; MAX_HEADER], len: 0, skip: 0, at: At::Frame }
    }

    fn walk(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while self.at != At::Lost {
            let skipped = self.skip.min(bytes.len() as u64);
            self.skip -= skipped;
            bytes = bytes.get(skipped as usize..).unwrap_or_default();
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            bytes = rest;
            match self.head.get_mut(self.len) {
                Some(place) => *place = *byte,
                None => self.at = At::Lost,
            }
            self.len += 1;
            self.header()?;
        }
        Ok(())
    }

    /// Reads the header once it is whole.
    fn header(&mut self) -> io::Result<()> {
        let head = self.head.get(..self.len).unwrap_or_default();
        match (self.at, head) {
            (At::Frame, [a, b, c, d, rest @ ..]) => {
                let magic = u32::from_le_bytes([*a, *b, *c, *d]);
                if magic & !0xf == SKIPPABLE {
                    if let Some(len) = rest.first_chunk() {
                        self.skip = u32::from_le_bytes(*len).into();
                        self.len = 0;
                    }
                } else if magic != MAGIC {
                    self.at = At::Lost;
                } else if let Some(window) = window(rest) {
                    self.at = At::Block { has_checksum: rest.first().is_some_and(|flags| flags & 4 != 0) };
                    self.len = 0;
                    if window > self.window {
                        self.windows.grow(window - self.window, window)?;
                        self.window = window;
                    }
                }
            }
            (At::Block { has_checksum }, [a, b, c]) => {
                let block = u32::from_le_bytes([*a, *b, *c, 0]);
                self.len = 0;
                self.skip = match block >> 1 & 3 {
                    // One byte that is repeated.
                    1 => 1,
                    _ => u64::from(block >> 3),
                };
                if block & 1 != 0 {
                    self.skip += if has_checksum { 4 } else { 0 };
                    self.at = At::Frame;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The window that a frame asks for, from what follows its magic; `None` as long as the header is not whole.
fn window(head: &[u8]) -> Option<u64> {
    let flags = *head.first()?;
    let id_len = [0, 1, 2, 4][usize::from(flags & 3)];
    if flags & 0x20 == 0 {
        // The rest of the header does not matter, but the blocks begin after it.
        let size_len = [0, 2, 4, 8][usize::from(flags >> 6)];
        head.get(..2 + id_len + size_len)?;
        let window = *head.get(1)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // Without a window the whole content is one.
    let size = head.get(1 + id_len..)?;
    match flags >> 6 {
        0 => size.first().map(|size| (*size).into()),
        1 => size.first_chunk().map(|size| u64::from(u16::from_le_bytes(*size)) + 256),
        2 => size.first_chunk().map(|size| u32::from_le_bytes(*size).into()),
        _ => size.first_chunk().map(|size| u64::from_le_bytes(*size)),
    }
}

impl<R: Read> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.walk(buffer.get(..read).unwrap_or_default())?;
        Ok(read)
    }
}

impl<R> Drop for Frames<R> {
    fn drop(&mut self) {
        self.windows.used.fetch_sub(self.window, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// `len` bytes that don't repeat, packed with a window of 2^`log` bytes, with or without its length and a checksum.
    fn packed(len: usize, log: u32, has_size: bool, has_checksum: bool) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.include_checksum(has_checksum).unwrap();
        if has_size {
            encoder.set_pledged_src_size(Some(len as u64)).unwrap();
        }
        let bytes: Vec<u8> =
            (0..len as u32).flat_map(|i| i.wrapping_mul(0x9e37_79b9).to_le_bytes()).take(len).collect();
        encoder.write_all(&bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// The window after all of `bytes`, read `chunk` bytes at a time.
    fn windows(bytes: &[u8], chunk: usize, most: u64) -> io::Result<u64> {
        let windows = Arc::new(Windows::within(most));
        let mut frames = Frames::new(bytes, Arc::clone(&windows));
        let mut buffer = vec![0; chunk];
        while frames.read(&mut buffer)? > 0 {}
        assert_eq!((frames.skip, frames.len, frames.at), (0, 0, At::Frame), "all was followed");
        let used = windows.used();
        drop(frames);
        assert_eq!(windows.used(), 0, "it is given back");
        Ok(used)
    }

    #[test]
    fn the_largest_window_of_all_frames_is_found_in_pieces_of_any_size() {
        let skippable = [&(SKIPPABLE | 7).to_le_bytes()[..], &5_u32.to_le_bytes(), b"other"].concat();
        let file = [
            packed(300_000, 18, false, true),
            skippable,
            packed(200, 20, true, false),
            packed(3_000_000, 21, true, true),
            packed(300_000, 20, false, false),
        ]
        .concat();
        assert_eq!(zstd::decode_all(&file[..]).unwrap().len(), 3_600_200);
        for chunk in [1, 2, 3, 7, 1000, file.len()] {
            assert_eq!(windows(&file, chunk, u64::MAX).unwrap(), 1 << 21, "{chunk}");
        }
    }

    #[test]
    fn a_frame_without_a_window_needs_its_whole_content() {
        for len in [0, 1, 255, 256, 65_791, 65_792, 100_000] {
            let found = windows(&packed(len, 27, true, false), 4096, u64::MAX).unwrap();
            assert!(found as usize == len || found == 1 << 10, "{len}: {found}");
        }
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused_and_what_fits_is_not() {
        let file = packed(5_000_000, 22, false, false);
        assert_eq!(windows(&file, 4096, 4 << 20).unwrap(), 4 << 20);
        let error = windows(&file, 4096, (4 << 20) - 1).unwrap_err().to_string();
        assert_eq!(error, "needs 4 MiB to be unpacked, more than --max-memory leaves for that");
    }

    #[test]
    fn nothing_is_asked_of_what_is_no_frame() {
        let windows = Arc::new(Windows::within(0));
        let mut frames = Frames::new(&b"no zstd at all, but twenty bytes"[..], Arc::clone(&windows));
        assert_eq!(frames.read(&mut [0; 64]).unwrap(), 32);
        assert_eq!((frames.at, windows.used()), (At::Lost, 0));
    }
}
