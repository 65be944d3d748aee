//! Long strings that come again: clients send the same credentials with every request, and many of them leave the table between two of them or
//! never enter it.

use super::{Coded, Fault};

/// The shortest that is kept, in octets on the wire. Ids of traces are shorter: they differ from request to request, and would take the
/// place of what does not.
const SHORTEST: usize = 64;

/// The longest that is kept.
const LONGEST: usize = 4096;

/// The last long string in Huffman code, if there was one: to compare it takes a twentieth of decoding it again.
#[derive(Debug, Default)]
pub(super) struct Repeated(Option<Box<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// As it stands in the block.
    coded: Vec<u8>,
    plain: Vec<u8>,
}

impl Repeated {
    /// Memory taken in addition to its own size, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.0
            .as_ref()
            .map_or(0, |known| size_of::<Known>() + known.coded.capacity() + known.plain.capacity())
    }

    /// The same as [`Coded::decode`].
    #[inline]
    pub(super) fn decode(&mut self, coded: Coded<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if coded.huffman && (SHORTEST..=LONGEST).contains(&coded.octets.len()) {
            return self.decode_long(coded, out);
        }
        coded.decode(out)
    }

    #[inline(never)]
    fn decode_long(&mut self, coded: Coded<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(known) = self.0.as_ref().filter(|known| known.coded == coded.octets) {
            out.extend_from_slice(&known.plain);
            return Ok(());
        }
        let start = out.len();
        coded.decode(out)?;
        let Known { coded: octets, plain } = &mut **self.0.get_or_insert_default();
        octets.clear();
        octets.extend_from_slice(coded.octets);
        plain.clear();
        plain.extend_from_slice(out.get(start..).unwrap_or_default());
        Ok(())
    }
}
