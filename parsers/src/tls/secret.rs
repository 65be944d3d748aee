//! Secret bytes.

use std::fmt;

use zeroize::Zeroize;

/// The longest secret of any suite that is read: the output of SHA-384, and master secrets.
pub const MAX_SECRET: usize = 48;

/// Secret bytes, at most [`MAX_SECRET`]. They are wiped when it is dropped, and its `Debug` says only how many they are.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    bytes: [u8; MAX_SECRET],
    len: u8,
}

impl Secret {
    /// A secret with these bytes; `None` if they are too many.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut secret = Self { bytes: [0; MAX_SECRET], len: u8::try_from(bytes.len()).ok()? };
        secret.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(secret)
    }

    /// A secret of `len` bytes that `fill` writes; `len` is at most [`MAX_SECRET`].
    pub(super) fn filled(len: usize, fill: impl FnOnce(&mut [u8])) -> Self {
        let len = len.min(MAX_SECRET);
        let mut secret = Self { bytes: [0; MAX_SECRET], len: len as u8 };
        fill(secret.bytes.get_mut(..len).unwrap_or_default());
        secret
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new(&[0xab; 32]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(32 bytes)");
        assert_eq!(secret.bytes(), [0xab; 32]);
        assert!(Secret::new(&[0; MAX_SECRET + 1]).is_none());
    }
}
