//! Reading a slice from left to right: the difference between "not there yet" and "wrong" is kept at every step.

use crate::error::{Error, Layer};

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The input ends too early: at least so many bytes, counted from its beginning, are needed to say more.
    Short(usize),
    /// The bytes are wrong, whatever follows.
    Wrong(Error),
}

impl Trouble {
    /// The same trouble seen from a message in which the input begins at `base`.
    #[must_use]
    pub fn shifted(self, base: usize) -> Self {
        match self {
            Self::Short(needed) => Self::Short(needed.saturating_add(base)),
            Self::Wrong(error) => Self::Wrong(Error { offset: error.offset + base, ..error }),
        }
    }
}

/// A position in a slice. All numbers are big-endian, as in every format that uses it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    input: &'a [u8],
    at: usize,
    layer: Layer,
}

impl<'a> Cursor<'a> {
    /// At the beginning of `input`; errors name `layer`.
    pub(crate) fn new(input: &'a [u8], layer: Layer) -> Self {
        Self { input, at: 0, layer }
    }

    /// The same at another offset, which may lie behind the end.
    pub(crate) fn at(self, at: usize) -> Self {
        Self { at, ..self }
    }

    /// Bytes read so far.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// What is left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// An error at the byte that was read last.
    pub(crate) fn wrong(&self, what: &'static str) -> Trouble {
        Trouble::Wrong(Error { offset: self.at.saturating_sub(1), layer: self.layer, what })
    }

    /// The next `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Trouble> {
        let end = self.at.saturating_add(len);
        let taken = self.input.get(self.at..end).ok_or(Trouble::Short(end))?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        let end = self.at.saturating_add(N);
        let taken = self.rest().first_chunk::<N>().ok_or(Trouble::Short(end))?;
        self.at = end;
        Ok(*taken)
    }

    /// The next byte, which stays unread.
    pub(crate) fn peek(&self) -> Result<u8, Trouble> {
        self.input.get(self.at).copied().ok_or(Trouble::Short(self.at + 1))
    }

    /// An unsigned byte.
    pub(crate) fn u8(&mut self) -> Result<u8, Trouble> {
        self.array().map(u8::from_be_bytes)
    }

    /// An unsigned 16-bit number.
    pub(crate) fn u16(&mut self) -> Result<u16, Trouble> {
        self.array().map(u16::from_be_bytes)
    }

    /// A signed 16-bit number.
    pub(crate) fn i16(&mut self) -> Result<i16, Trouble> {
        self.array().map(i16::from_be_bytes)
    }

    /// An unsigned 32-bit number.
    pub(crate) fn u32(&mut self) -> Result<u32, Trouble> {
        self.array().map(u32::from_be_bytes)
    }

    /// A signed 32-bit number.
    pub(crate) fn i32(&mut self) -> Result<i32, Trouble> {
        self.array().map(i32::from_be_bytes)
    }

    /// A number in groups of seven bits, the lowest first (LEB128), of at most ten bytes.
    pub(crate) fn varint(&mut self) -> Result<u64, Trouble> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.wrong("varint longer than ten bytes"))
    }

    /// Bytes after their length as a 16-bit number.
    pub(crate) fn bytes16(&mut self) -> Result<&'a [u8], Trouble> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Bytes after their length as a signed 32-bit number that is at most `limit`.
    pub(crate) fn bytes32(&mut self, limit: usize) -> Result<&'a [u8], Trouble> {
        let len = self.i32()?;
        match usize::try_from(len) {
            Ok(len) if len <= limit => self.take(len),
            Ok(_) => Err(self.wrong("length over the limit")),
            Err(_) => Err(self.wrong("negative length")),
        }
    }

    /// Bytes after their length as a varint that is at most `limit`.
    pub(crate) fn bytes_varint(&mut self, limit: usize) -> Result<&'a [u8], Trouble> {
        match usize::try_from(self.varint()?) {
            Ok(len) if len <= limit => self.take(len),
            _ => Err(self.wrong("length over the limit")),
        }
    }
}

/// The signed number that a zigzag varint holds.
pub(crate) fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_input_names_the_bytes_needed_from_the_beginning() {
        let mut cursor = Cursor::new(&[0, 0, 0, 9, 1], Layer::Payload);
        assert_eq!(cursor.bytes32(100), Err(Trouble::Short(13)));
        let mut cursor = Cursor::new(&[0, 0, 0], Layer::Payload);
        assert_eq!(cursor.u32(), Err(Trouble::Short(4)));
        assert_eq!(Trouble::Short(4).shifted(10), Trouble::Short(14));
    }

    #[test]
    fn varints_are_bounded() {
        let read = |bytes: &[u8]| Cursor::new(bytes, Layer::Payload).varint();
        assert_eq!(read(&[0xac, 0x02]), Ok(300));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Ok(0xffff_ffff));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]), Ok(u64::MAX));
        assert_eq!(read(&[0x80, 0x80]), Err(Trouble::Short(3)));
        assert!(matches!(read(&[0x80; 11]), Err(Trouble::Wrong(_))));
        assert_eq!((zigzag(0), zigzag(1), zigzag(2), zigzag(599)), (0, -1, 1, -300));
    }
}
