//! The number of a record that nobody has counted to: after a gap, or where the capture begins in the middle.
//!
//! The tag of GCM is GHASH(head, ciphertext) ⊕ E(nonce │ 1). In TLS 1.3 only the nonce depends on the number, so that each further number costs
//! one block of AES however long the record is.

use aes::cipher::BlockCipherEncrypt;
use aes_gcm::aead::KeyInit;
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use super::protection::{Form, RecordKey};
use super::record::Record;
use super::suite::{Aes, Cipher};

type Block = aes::Block;

impl RecordKey {
    /// The first number from `from` on, among `count`, under which the record opens. `cost` counts what was tried, in about the blocks of a
    /// cipher that this takes, and the search ends when it has used up `budget`.
    pub fn find(&self, record: &Record<'_>, from: u64, count: u64, budget: &mut u64) -> Option<u64> {
        match (self.kind, self.form()) {
            (Cipher::Gcm(Aes::Bits128), Form::Tls13) => {
                self.find_by_tag::<aes::Aes128>(record, from, count, budget)
            }
            (Cipher::Gcm(Aes::Bits256), Form::Tls13) => {
                self.find_by_tag::<aes::Aes256>(record, from, count, budget)
            }
            _ => {
                let cost = 4 + record.fragment.len() as u64 / 16;
                let mut out = Vec::new();
                (from..from.saturating_add(count))
                    .find(|number| spend(budget, cost) && self.open(*number, record, &mut out).is_some())
            }
        }
    }

    fn find_by_tag<
        C: BlockCipherEncrypt<BlockSize = ghash::universal_hash::common::typenum::U16> + KeyInit,
    >(
        &self,
        record: &Record<'_>,
        from: u64,
        count: u64,
        budget: &mut u64,
    ) -> Option<u64> {
        let (ciphertext, tag) = record.fragment.split_last_chunk::<16>()?;
        if !spend(budget, 16 + record.fragment.len() as u64 / 16) {
            return None;
        }
        let cipher = C::new_from_slice(self.key.bytes()).ok()?;
        let mut hash_key = Block::default();
        cipher.encrypt_block(&mut hash_key);
        let mut hash = GHash::new(&hash_key);
        let head = record.head.bytes();
        hash.update_padded(&head);
        hash.update_padded(ciphertext);
        let mut lengths = Block::default();
        let bits = [head.len() as u64 * 8, ciphertext.len() as u64 * 8];
        for (to, from) in lengths.iter_mut().zip(bits.iter().flat_map(|bits| bits.to_be_bytes())) {
            *to = from;
        }
        hash.update(&[lengths]);
        let hashed = hash.finalize();
        // What E(nonce │ 1) has to be.
        let mut wanted = Block::default();
        for ((to, tag), hashed) in wanted.iter_mut().zip(tag).zip(hashed) {
            *to = tag ^ hashed;
        }
        (from..from.saturating_add(count)).find(|number| {
            let mut block = Block::default();
            for (to, from) in block.iter_mut().zip(self.nonce(*number).into_iter().chain([0, 0, 0, 1])) {
                *to = from;
            }
            cipher.encrypt_block(&mut block);
            spend(budget, 1) && block == wanted
        })
    }
}

/// Takes `cost` from the budget, if there is as much.
fn spend(budget: &mut u64, cost: u64) -> bool {
    let left = budget.checked_sub(cost);
    *budget = left.unwrap_or(0);
    left.is_some()
}
