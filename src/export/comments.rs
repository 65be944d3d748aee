//! Comments on packets: what is said of the calls that end with each.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::calls::Call;
use crate::calls::summary::sentence;

/// Bytes beyond which nothing is added to the comment on a packet: the length of an option of pcapng has 16 bits.
const FULL: usize = 0xf000;

/// Sentences about calls, by the numbers of the packets with which the calls ended.
#[derive(Debug, Default)]
pub struct Comments {
    texts: HashMap<u64, String, RandomState>,
    bytes: usize,
}

impl Comments {
    /// Adds the sentence about a call; `false` if there is no room for it on its packet.
    pub fn add(&mut self, call: &Call) -> bool {
        let text = self.texts.entry(call.packets.1).or_default();
        if text.len() >= FULL {
            return false;
        }
        let before = text.len();
        if before > 0 {
            text.push('\n');
        }
        text.push_str(&sentence(call));
        self.bytes += text.len() - before;
        true
    }

    /// Takes the comment on a packet.
    pub fn take(&mut self, number: u64) -> Option<String> {
        let text = self.texts.remove(&number)?;
        self.bytes -= text.len();
        Some(text)
    }

    /// Bytes of all texts together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}
