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
    /// Whether each number that [`find`](Self::find) tries costs one block, however long the record is.
    #[must_use]
    pub fn is_cheap_to_search(&self) -> bool {
        matches!((self.kind, self.form()), (Cipher::Gcm(_), Form::Tls13))
    }

    /// The first number from `from` on, among `count`, under which the record opens. What was tried is taken from `budget`, in about the
    /// blocks of a cipher that it takes, and the search ends when nothing is left of it.
    pub fn find(&self, record: &Record<'_>, from: u64, count: u64, budget: &mut u64) -> Option<u64> {
        match (self.kind, self.form()) {
            (Cipher::Gcm(Aes::Bits128), Form::Tls13) => {
                self.find_by_tag::<aes::Aes128>(record, from, count, budget)
            }
            (Cipher::Gcm(Aes::Bits256), Form::Tls13) => {
                self.find_by_tag::<aes::Aes256>(record, from, count, budget)
            }
            _ => {
                let cost = record.cost();
                let end = from.saturating_add(count.min(*budget / cost));
                let mut out = Vec::new();
                let found = (from..end).find(|number| self.open(*number, record, &mut out).is_some());
                *budget -= found.map_or(end - from, |number| number - from + 1) * cost;
                found
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
        let nonce = self.nonce(0);
        let counted = u64::from_be_bytes(*nonce.last_chunk()?);
        let mut first = Block::default();
        for (to, from) in first.iter_mut().zip(nonce.into_iter().chain([0, 0, 0, 1])) {
            *to = from;
        }
        let end = from.saturating_add(count.min(*budget));
        let found = (from..end).find(|number| {
            let mut block = first;
            if let Some(part) = block.get_mut(4..12) {
                part.copy_from_slice(&(counted ^ number).to_be_bytes());
            }
            cipher.encrypt_block(&mut block);
            block == wanted
        });
        *budget -= found.map_or(end - from, |number| number - from + 1);
        found
    }
}

/// Takes `cost` from the budget, if there is as much.
fn spend(budget: &mut u64, cost: u64) -> bool {
    let left = budget.checked_sub(cost);
    *budget = left.unwrap_or(0);
    left.is_some()
}

#[cfg(test)]
mod tests {
    use super::super::keylog::Random;
    use super::super::schedule::{connection_keys, traffic_key};
    use super::super::suite::{Suite, Version};
    use super::super::{ContentType, Head, Opened, Record, RecordKey, Secret};

    /// A record of 40 bytes that no key has made.
    fn foreign() -> [u8; 40] {
        std::array::from_fn(|at| at as u8)
    }

    fn record(fragment: &[u8]) -> Record<'_> {
        let head =
            Head { content_type: ContentType::ApplicationData, version: [3, 3], len: fragment.len() as u16 };
        Record { head, fragment }
    }

    fn keys() -> Vec<RecordKey> {
        let (short, long) = (Secret::new(&[1; 32]).unwrap(), Secret::new(&[1; 48]).unwrap());
        let random: Random = [2; 32];
        let all = [0x1301, 0x1302, 0x1303, 0x1304, 0x1305, 0xc02f, 0xc0ac, 0xcca8, 0xc013, 0xc028];
        all.into_iter()
            .map(|number| {
                let suite = Suite::find(number).unwrap();
                let secret = if suite.hash.len() == 32 { &short } else { &long };
                if suite.version == Version::TLS13 {
                    return traffic_key(suite, secret).unwrap();
                }
                let [key, _] = connection_keys(suite, &long, &random, &random, false).unwrap();
                key
            })
            .collect()
    }

    #[test]
    fn a_search_spends_no_more_than_its_budget() {
        let fragment = foreign();
        for key in keys() {
            for budget in [0, 1, 100, 5000] {
                let mut left = budget;
                assert_eq!(key.find(&record(&fragment), 0, u64::MAX, &mut left), None, "{key:?}");
                assert!(left < 32, "{key:?}: {left} of {budget}");
            }
            let mut left = 1_000_000;
            assert_eq!(key.find(&record(&fragment), 7, 100, &mut left), None);
            assert!(1_000_000 - left < 100 * 16, "{key:?}: {left}");
        }
    }

    /// RFC 8448, section 3: application data of the client, its second record being an alert.
    #[test]
    fn a_record_is_found_under_its_number_and_no_other() {
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let secret = bytes("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5");
        let key = traffic_key(Suite::find(0x1301).unwrap(), &Secret::new(&secret).unwrap()).unwrap();
        let data = bytes(
            "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63\
             aeebb21694915e4",
        );
        let alert = bytes("c9872760655666b74d7ff1153efd6db6d0b0e3");
        let mut out = Vec::new();
        let opened = key.open(0, &record(&data), &mut out).unwrap();
        assert_eq!(opened, Opened { content_type: ContentType::ApplicationData, len: 50 });
        assert_eq!(out[..50], *(0..50).collect::<Vec<u8>>());
        for (fragment, number) in [(&data, 0), (&alert, 1)] {
            assert_eq!(key.find(&record(fragment), 0, 10, &mut 1000), Some(number));
            assert_eq!(key.find(&record(fragment), number + 1, 10, &mut 1000), None);
        }
        assert_eq!(key.open(1, &record(&alert), &mut out).unwrap().content_type, ContentType::Alert);
    }
}
