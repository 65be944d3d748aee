//! Bytes as hexadecimal numbers and as text.

use std::fmt::Write as _;

/// Bytes of one row.
pub const ROW: usize = 16;

/// The hexadecimal part of a row: two groups of eight, always of the same width.
#[must_use]
pub fn numbers(row: &[u8]) -> String {
    let mut out = String::with_capacity(ROW * 3 + 1);
    for at in 0..ROW {
        if at == ROW / 2 {
            out.push(' ');
        }
        match row.get(at) {
            // Writing to a String can't fail.
            Some(byte) => _ = write!(out, "{byte:02x} "),
            None => out.push_str("   "),
        }
    }
    out
}

/// The text part: printable ASCII, and a dot for everything else.
#[must_use]
pub fn text(row: &[u8]) -> String {
    row.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect()
}

/// Rows of a dump: offset, numbers, text.
pub fn rows(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.chunks(ROW).enumerate().map(|(i, row)| format!("{:04x}  {} {}", i * ROW, numbers(row), text(row)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_aligned_and_harmless() {
        let bytes: Vec<u8> = (0x15..0x2a).chain([0x9b, 0xff]).collect();
        let rows: Vec<_> = rows(&bytes).collect();
        assert_eq!(rows[0], "0000  15 16 17 18 19 1a 1b 1c  1d 1e 1f 20 21 22 23 24  ........... !\"#$");
        assert_eq!(rows[1], "0010  25 26 27 28 29 9b ff                              %&'()..");
        assert_eq!(super::rows(&[]).count(), 0);
    }
}
