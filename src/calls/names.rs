//! Repeated strings, kept once.

use std::sync::Arc;

use hashbrown::HashSet;

use super::record::Name;

/// Most different names kept; later ones are made anew each time, so that hostile traffic can't fill the memory.
const MAX_NAMES: usize = 65_536;

/// Longest text that is kept as a name; longer ones are cut there (HTTP/2 paths and thrift names have no limit).
const MAX_LEN: usize = 4096;

/// The names seen so far.
#[derive(Debug, Default)]
pub struct Names(HashSet<Name, foldhash::fast::RandomState>);

impl Names {
    /// The shared form of `bytes`, undecodable ones replaced; `None` for an empty text.
    pub fn get(&mut self, bytes: &[u8]) -> Option<Name> {
        let bytes = bytes.get(..MAX_LEN).unwrap_or(bytes);
        if bytes.is_empty() {
            return None;
        }
        let text = String::from_utf8_lossy(bytes);
        if let Some(name) = self.0.get(&*text) {
            return Some(Arc::clone(name));
        }
        let name: Name = Arc::from(&*text);
        if self.0.len() < MAX_NAMES {
            self.0.insert(Arc::clone(&name));
        }
        Some(name)
    }
}
