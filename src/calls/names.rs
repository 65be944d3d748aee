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

/// Texts that are found without a hash, each at a place that its length, its beginning and its end choose.
const RECENT: usize = 512;

/// The last text of each place.
#[derive(Debug)]
struct Recent(Box<[Option<Name>; RECENT]>);

impl Default for Recent {
    fn default() -> Self {
        Self(Box::new([const { None }; RECENT]))
    }
}

impl Recent {
    /// The text of these bytes; made by `make` if it is none of the last ones.
    #[expect(clippy::inline_always, reason = "as Names::get, for which it is")]
    #[inline(always)]
    fn get(&mut self, bytes: &[u8], make: impl FnOnce() -> Name) -> Name {
        let recent = &mut self.0[place(bytes)];
        match recent {
            Some(recent) if is_same(recent.as_bytes(), bytes) => Arc::clone(recent),
            _ => Arc::clone(recent.insert(make())),
        }
    }
}

/// Texts of errors. The last ones are shared by the calls that have them; others are made anew each time.
#[derive(Debug, Default)]
pub struct Texts(Option<Recent>);

impl Texts {
    /// Texts that are shared. The default shares none.
    #[must_use]
    pub fn lasting() -> Self {
        Self(Some(Recent::default()))
    }

    /// The text of these bytes, undecodable ones replaced.
    #[inline(never)]
    pub fn get(&mut self, bytes: &[u8]) -> Name {
        // The lossy conversion looks at each byte by itself: 170 instructions for the usual message instead of 40.
        let make = || match std::str::from_utf8(bytes) {
            Ok(text) => Arc::from(text),
            Err(_) => Arc::from(&*String::from_utf8_lossy(bytes)),
        };
        match &mut self.0 {
            Some(recent) if bytes.len() <= MAX_LEN => recent.get(bytes, make),
            _ => make(),
        }
    }
}

/// The names seen so far.
#[derive(Debug, Default)]
pub struct Names {
    /// Two of three look-ups end here, and take half as long.
    recent: Recent,
    known: Known,
}

/// All of them.
#[derive(Debug, Default)]
struct Known {
    /// By the hash of their bytes, so that bytes of the wire are looked up before they are known to be UTF-8.
    table: HashTable<Name>,
    /// Bytes of their texts.
    bytes: usize,
    hasher: foldhash::fast::RandomState,
}

/// Where a text stands among the recent ones.
#[inline]
fn place(bytes: &[u8]) -> usize {
    let word = |word: Option<&[u8; 4]>| word.map_or(0, |word| u32::from_le_bytes(*word));
    let ends = word(bytes.first_chunk()).rotate_left(7) ^ word(bytes.last_chunk());
    let mixed = (ends ^ bytes.len() as u32).wrapping_mul(0x9e37_79b9);
    (mixed >> 16) as usize % RECENT
}

/// Whether these are the same octets: as most names have up to 32, two of a fixed length that overlap are compared, without a call.
#[inline]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    #[inline]
    fn have_same_ends<const N: usize>(one: &[u8], other: &[u8]) -> bool {
        one.first_chunk::<N>() == other.first_chunk() && one.last_chunk::<N>() == other.last_chunk()
    }
    one.len() == other.len()
        && match one.len() {
            16..=32 => have_same_ends::<16>(one, other),
            8..16 => have_same_ends::<8>(one, other),
            4..8 => have_same_ends::<4>(one, other),
            _ => one == other,
        }
}

impl Names {
    /// The shared form of `bytes`, undecodable ones replaced; `None` for an empty text.
    #[expect(clippy::inline_always, reason = "most calls ask for four names one after the other")]
    #[inline(always)]
    pub fn get(&mut self, bytes: &[u8]) -> Option<Name> {
        let bytes = bytes.get(..MAX_LEN).unwrap_or(bytes);
        if bytes.is_empty() {
            return None;
        }
        let Self { recent, known } = self;
        Some(recent.get(bytes, || known.intern(bytes)))
    }
}

impl Known {
    /// The name of these bytes, which are not empty.
    #[inline(never)]
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
        assert_eq!(names.known.table.len(), 3);
    }

    #[test]
    fn names_of_every_length_differ_by_each_octet() {
        for len in 0..40 {
            let name: Vec<u8> = (0..len).collect();
            assert!(is_same(&name, &name.clone()) && !is_same(&name, &[&name[..], b"x"].concat()));
            for at in 0..name.len() {
                let mut other = name.clone();
                other[at] ^= 0x20;
                assert!(!is_same(&name, &other), "{at} of {len}");
            }
        }
    }

    #[test]
    fn equal_texts_of_errors_are_shared() {
        let mut texts = Texts::lasting();
        let text = texts.get(b"no stock");
        assert!(Arc::ptr_eq(&text, &texts.get(b"no stock")));
        assert_eq!(&*texts.get(b"no\xffstock"), "no\u{fffd}stock");
        assert_eq!(&*texts.get(b""), "");
        let long = "x".repeat(MAX_LEN + 1);
        assert_eq!(*texts.get(long.as_bytes()), *long);
        assert!(!Arc::ptr_eq(&Texts::default().get(b"no stock"), &text));
    }

    #[test]
    fn a_full_table_still_names() {
        let mut names = Names::default();
        for number in 0..=MAX_NAMES {
            assert_eq!(&*names.get(number.to_string().as_bytes()).unwrap(), number.to_string());
        }
        assert_eq!(names.known.table.len(), MAX_NAMES);
    }
}
