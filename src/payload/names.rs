//! Names that records hold as if they were part of the program.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// The most names that are kept: more than any interface declares exceptions.
const MAX_NAMES: usize = 65_536;

/// Longest name.
const MAX_LENGTH: usize = 256;

/// A name of an IDL, or a word of another version's record, for a record that can only hold names which last. It lasts as long as the process; equal ones share their memory.
/// `None` for what is no identifier, and beyond [`MAX_NAMES`].
#[must_use]
pub(crate) fn static_name(name: &str) -> Option<&'static str> {
    static NAMES: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if name.is_empty() || name.len() > MAX_LENGTH || !name.bytes().all(plain) {
        return None;
    }
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    let names = names.get_or_insert_default();
    if let Some(known) = names.get(name) {
        return Some(known);
    }
    if names.len() >= MAX_NAMES {
        return None;
    }
    let kept: &'static str = Box::leak(name.into());
    names.insert(kept);
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_share_their_memory() {
        let first = static_name("StockError").unwrap();
        assert!(std::ptr::eq(first, static_name(&String::from("StockError")).unwrap()));
        assert_eq!((static_name("a\u{1b}[b"), static_name("")), (None, None));
    }
}
