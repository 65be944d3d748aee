//! Repeated strings, kept once.

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use hashbrown::HashTable;

use super::record::Name;

/// Most different names kept; later ones are made anew each time, so that hostile traffic can't fill the memory.
const MAX_NAMES: usize = 65_536;

/// Most bytes of them, for the same reason.
const MAX_NAME_BYTES: usize = 8 * 1024 * 1024;

/// Longest text that is kept as a name; longer ones are cut there (HTTP/2 paths and thrift names have no limit).
const MAX_LEN: usize = 4096;

/// Names that are found without a hash, each at a place that its length and its end choose.
const RECENT: usize = 256;

/// The names seen so far.
#[derive(Debug)]
pub struct Names {
    /// The last one of each place. Two of three look-ups end here, and take half as long.
    recent: Box<[Option<Name>; RECENT]>,
    /// By the hash of their bytes, so that bytes of the wire are looked up before they are known to be UTF-8.
    table: HashTable<Name>,
    /// Bytes of their texts.
    bytes: usize,
    hasher: foldhash::fast::RandomState,
}

impl Default for Names {
    fn default() -> Self {
        let recent = Box::new([const { None }; RECENT]);
        Self { recent, table: HashTable::new(), bytes: 0, hasher: foldhash::fast::RandomState::default() }
    }
}

/// Where a text stands among the recent ones.
#[inline]
fn place(bytes: &[u8]) -> usize {
    let end = bytes.last_chunk().map_or(0, |end| u32::from_le_bytes(*end));
    let mixed = (end ^ bytes.len() as u32).wrapping_mul(0x9e37_79b9);
    (mixed >> 16) as usize % RECENT
}

impl Names {
    /// The shared form of `bytes`, undecodable ones replaced; `None` for an empty text.
    pub fn get(&mut self, bytes: &[u8]) -> Option<Name> {
        let bytes = bytes.get(..MAX_LEN).unwrap_or(bytes);
        if bytes.is_empty() {
            return None;
        }
        let place = place(bytes);
        if let Some(recent) = &self.recent[place]
            && recent.as_bytes() == bytes
        {
            return Some(Arc::clone(recent));
        }
        let name = self.intern(bytes);
        self.recent[place] = Some(Arc::clone(&name));
        Some(name)
    }

    /// The same, of all names.
    fn intern(&mut self, bytes: &[u8]) -> Name {
        if let Some(name) = self.find(bytes) {
            return name;
        }
        let text = String::from_utf8_lossy(bytes);
        // What was replaced may be known in that form.
        if matches!(text, Cow::Owned(_))
            && let Some(name) = self.find(text.as_bytes())
        {
            return name;
        }
        let name: Name = Arc::from(&*text);
        if self.table.len() < MAX_NAMES && self.bytes < MAX_NAME_BYTES {
            self.bytes += name.len();
            let hasher = &self.hasher;
            let hash = |name: &Name| hasher.hash_one(name.as_bytes());
            self.table.insert_unique(hash(&name), Arc::clone(&name), hash);
        }
        name
    }

    fn find(&self, bytes: &[u8]) -> Option<Name> {
        let hash = self.hasher.hash_one(bytes);
        self.table.find(hash, |name| name.as_bytes() == bytes).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_bytes_share_a_name_and_broken_ones_are_replaced() {
        let mut names = Names::default();
        let name = names.get("Größe".as_bytes()).unwrap();
        assert!(Arc::ptr_eq(&name, &names.get("Größe".as_bytes()).unwrap()));
        let broken = names.get(b"a\xffb").unwrap();
        assert_eq!(&*broken, "a\u{fffd}b");
        // Three bytes without their fourth are replaced by three bytes.
        for bytes in [b"a\xffb".as_slice(), b"a\xf0\x9f\x98b", b"a\xfeb", "a\u{fffd}b".as_bytes()] {
            assert!(Arc::ptr_eq(&broken, &names.get(bytes).unwrap()));
        }
        assert_eq!(names.get(b""), None);
        // A cut within a character leaves a replacement, and no longer text.
        let long = "é".repeat(MAX_LEN);
        assert_eq!(names.get(&long.as_bytes()[1..]).unwrap().chars().next(), Some('\u{fffd}'));
        assert_eq!(names.table.len(), 3);
    }

    #[test]
    fn a_full_table_still_names() {
        let mut names = Names::default();
        for number in 0..=MAX_NAMES {
            assert_eq!(&*names.get(number.to_string().as_bytes()).unwrap(), number.to_string());
        }
        assert_eq!(names.table.len(), MAX_NAMES);
    }
}
