//! New inputs out of known ones: what libFuzzer does to bytes, without its knowledge of what they reached.

/// A generator of numbers (splitmix64): the same seed makes the same inputs.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of a target in a run.
    #[must_use]
    pub fn new(seed: u64, target: &str) -> Self {
        let start = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(target.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

/// Lengths, ids and their neighbours at which code decides.
const EDGES: [u64; 18] = [
    0,
    1,
    7,
    16,
    32,
    64,
    100,
    127,
    128,
    255,
    256,
    0x7fff,
    0x8000,
    0xffff,
    0x10000,
    0x7fff_ffff,
    0x8000_0000,
    u64::MAX,
];

/// Longest run of bytes that one step inserts, removes or copies.
const MAX_RUN: usize = 64;

/// Changes `input` at one place, with pieces of `other` if that helps. It stays within `max_len`.
pub fn step(input: &mut Vec<u8>, other: &[u8], max_len: usize, numbers: &mut Numbers) {
    if input.is_empty() {
        input.extend_from_slice(&other[..other.len().min(max_len)]);
        input.push(numbers.next() as u8);
    }
    let at = numbers.below(input.len());
    let run = 1 + numbers.below(MAX_RUN.min(input.len() - at));
    match numbers.below(10) {
        0 => input[at] ^= 1 << numbers.below(8),
        1 => input[at] = numbers.next() as u8,
        2 => input[at] = input[at].wrapping_add((numbers.below(33) as u8).wrapping_sub(16)),
        3 | 4 => {
            let edge =
                EDGES[numbers.below(EDGES.len())].wrapping_add(numbers.below(3) as u64).wrapping_sub(1);
            let len = [1, 2, 4, 8][numbers.below(4)].min(input.len() - at);
            let (little, big) = (edge.to_le_bytes(), edge.to_be_bytes());
            let bytes = if numbers.next() & 1 == 0 { &little[..len] } else { &big[8 - len..] };
            input[at..at + len].copy_from_slice(bytes);
        }
        5 => drop(input.drain(at..at + run)),
        6 => {
            let byte = numbers.next() as u8;
            input.splice(at..at, std::iter::repeat_n(byte, run));
        }
        7 => {
            let to = numbers.below(input.len() - run + 1);
            input.copy_within(at..at + run, to);
        }
        8 if !other.is_empty() => {
            let from = numbers.below(other.len());
            let len = 1 + numbers.below(MAX_RUN.min(other.len() - from));
            input.splice(at..at, other[from..from + len].iter().copied());
        }
        _ if !other.is_empty() => {
            // The beginning of one and the end of the other.
            input.truncate(at);
            input.extend_from_slice(&other[numbers.below(other.len())..]);
        }
        _ => input.truncate(at),
    }
    input.truncate(max_len);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_all_stay_short() {
        let inputs = |seed| {
            let mut numbers = Numbers::new(seed, "x");
            let mut input = b"abc".to_vec();
            (0..10_000)
                .map(|_| {
                    step(&mut input, b"0123456789", 100, &mut numbers);
                    assert!(input.len() <= 100);
                    input.clone()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let different: std::collections::HashSet<_> = inputs(1).into_iter().collect();
        assert!(different.len() > 5000, "{}", different.len());
    }

    #[test]
    fn an_empty_input_begins_with_another() {
        let mut input = Vec::new();
        step(&mut input, b"", 8, &mut Numbers::new(1, "x"));
        assert!(input.len() <= 8);
    }
}
