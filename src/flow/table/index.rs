//! How the connection of a segment is found.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;

use super::Table;
use super::recent::Recent;
use crate::decode::{FlowKey, KeyWords};

/// A connection's number and 32 bits of its key's hash, so that a look-up touches no other connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Indexed {
    pub(super) tag: u32,
    pub(super) id: u32,
}

/// Spreads a tag over the bits that a hash table looks at.
pub(super) fn spread(tag: u32) -> u64 {
    u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<S> Table<S> {
    /// The hash of a key.
    pub(super) fn tag(&self, key: &FlowKey) -> u32 {
        if let Some(words) = key.words() {
            return self.tag_of(words);
        }
        let mut hasher = self.hasher.build_hasher();
        for ip in [key.a.ip, key.b.ip] {
            match ip {
                IpAddr::V4(ip) => hasher.write_u32(ip.to_bits()),
                IpAddr::V6(ip) => hasher.write_u128(ip.to_bits()),
            }
        }
        hasher.write_u64(key.beside_addresses());
        hasher.finish() as u32
    }

    #[inline]
    fn tag_of(&self, KeyWords { ips, rest }: KeyWords) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        // Two words and nothing else are one step of the hash.
        hasher.write_u64(ips);
        hasher.write_u64(rest);
        hasher.finish() as u32
    }

    /// The number of a key's connection if there is one.
    pub(in super::super) fn look_up(&mut self, key: &FlowKey) -> Option<u32> {
        match key.words() {
            Some(words) => self.recent(words).or_else(|| self.look_further(words)),
            None => self.find(self.tag(key), |found| found == key),
        }
    }

    /// The same by its words. Packets of a connection come close together, so that most are found where the last one was: a third of what
    /// hash and index take.
    #[inline]
    pub(super) fn recent(&self, words: KeyWords) -> Option<u32> {
        self.recent.get(Recent::place(words)).filter(|recent| recent.words == words).map(|recent| recent.id)
    }

    /// The same for connections that are not among the recent ones. It is one of them then.
    #[inline(never)]
    pub(super) fn look_further(&mut self, words: KeyWords) -> Option<u32> {
        let id = self.find(self.tag_of(words), |found| found.words() == Some(words))?;
        if let Some(recent) = self.recent.get_mut(Recent::place(words)) {
            *recent = Recent { words, id };
        }
        Some(id)
    }

    #[inline]
    fn find(&self, tag: u32, is_it: impl Fn(&FlowKey) -> bool) -> Option<u32> {
        let is_it = |found: &Indexed| {
            found.tag == tag && self.lru.get(found.id).is_some_and(|entry| is_it(&entry.flow.key))
        };
        self.index.find(spread(tag), is_it).map(|found| found.id)
    }
}
