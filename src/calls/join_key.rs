//! Keys of connections and calls that both ends compute alone: joins over the records of many hosts need them.
//!
//! A key is the XXH3 hash of 128 bits, with seed 0, of what both ends see alike. Numbers are big-endian; IPv4 addresses are those that
//! IPv6 maps them to (RFC 4291, section 2.5.5.2).
//!
//! ```text
//! connection:  version 1 (1)   IP protocol (1)   lower end: address (16), port (2)   higher end: address (16), port (2)
//! call:        all of this   caller is the higher end (1)   TCP sequence number (4)   id (8)
//! ```
//!
//! The sequence number is that of the request's first byte (its HEADERS frame in HTTP/2; in TLS, that of the ciphertext
//! that it comes from). It is 0 over UDP. The id is the call's `id`, and 0 where it has none.
//!
//! Ports and sequence numbers come again, so that a join bounds the time, too. Address translation and proxies make other
//! connections, and so other keys.

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU128;

use twox_hash::XxHash3_128;

use super::record::{Call, Connection, Uid};
use crate::decode::{Endpoint, Network};
use crate::time::Timestamp;

/// Version of what is hashed.
const VERSION: u8 = 1;

/// Bytes that are hashed of a connection.
const CONNECTION: usize = 38;

/// Bytes that are hashed of a call.
const CALL: usize = CONNECTION + 13;

/// A hash of 128 bits; written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JoinKey(NonZeroU128);

impl JoinKey {
    fn of(hashed: &[u8]) -> Self {
        Self::new(XxHash3_128::oneshot(hashed))
    }

    #[inline]
    fn new(hash: u128) -> Self {
        // One of 2^128 hashes is 0.
        Self(NonZeroU128::new(hash).unwrap_or(NonZeroU128::MAX))
    }

    /// The key of a connection; the same for both orders of its ends.
    #[must_use]
    pub fn of_connection(network: Network, ends: [Endpoint; 2]) -> Self {
        Hashed::of(network, ends).connection_key()
    }

    /// The key that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |octet: u8| octet.is_ascii_digit() || (b'a'..=b'f').contains(&octet);
        let is_written = text.len() == 32 && text.bytes().all(is_digit);
        let number = u128::from_str_radix(text, 16).ok().filter(|_| is_written)?;
        NonZeroU128::new(number).map(Self)
    }

    /// A key in place of the one that a call does not have, of what tells its record from others.
    #[must_use]
    pub fn of_record(host: Option<&str>, uid: Uid, start: Timestamp, connection: Self) -> Self {
        let mut hashed = host.unwrap_or_default().as_bytes().to_vec();
        hashed.push(0);
        hashed.extend(uid.packet.to_be_bytes());
        hashed.extend(uid.ordinal.to_be_bytes());
        hashed.extend(start.0.to_be_bytes());
        hashed.extend(connection.number().to_be_bytes());
        Self::of(&hashed)
    }

    /// The key as a number.
    #[must_use]
    pub fn number(self) -> u128 {
        self.0.get()
    }
}

impl fmt::Display for JoinKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What is hashed of a connection and begins what is hashed of its calls.
#[derive(Clone, Debug)]
pub struct Hashed {
    /// The connection, whether the first of its ends, which calls, is the higher one, and room for the place of a call.
    octets: [u8; CALL],
}

/// The hash of a connection's calls as far as it is the same for all of them: whoever keeps it has the keys of many calls for less than
/// half.
///
/// XXH3 of 128 bits takes these 51 octets in four pieces of sixteen that overlap (`XXH3_len_17to128_128b` in xxHash's `xxh3.h`), of which
/// only the last one has anything of a call.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// Both halves of the hash, without what the last piece adds.
    halves: [u64; 2],
    /// What the higher half is changed by after that.
    last: u64,
    /// The octets of the last piece that are not those of a call.
    start: u32,
}

/// Numbers of XXH3, of which those of `SECRET` begin its default secret.
const PRIMES: [u64; 3] = [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x85eb_ca77_c2b2_ae63];
const SECRET: [[u64; 2]; 4] = [
    [0xbe4b_a423_396c_feb8, 0x1cad_21f7_2c81_017c],
    [0xdb97_9083_e96d_d4de, 0x1f67_b3b7_a4a4_4072],
    [0x78e5_c0cc_4ee6_79cb, 0x2172_ffcc_7dd0_5a82],
    [0x8e24_43f7_7446_08b8, 0x4c26_3a81_e690_35e0],
];

/// Sixteen octets as XXH3 mixes them.
fn mixed(piece: [u64; 2], secret: [u64; 2]) -> u64 {
    let product = u128::from(piece[0] ^ secret[0]) * u128::from(piece[1] ^ secret[1]);
    product as u64 ^ (product >> 64) as u64
}

fn sum([one, other]: [u64; 2]) -> u64 {
    one.wrapping_add(other)
}

impl Begun {
    /// The key of the call with that place.
    #[inline]
    #[must_use]
    pub fn call_key(&self, Place { sequence, id }: Place) -> JoinKey {
        let [one, two, four] = PRIMES;
        let start = u64::from(self.start) | u64::from(sequence.swap_bytes()) << 32;
        let piece = [start, id.swap_bytes() as u64];
        let low = self.halves[0] ^ sum(piece);
        let high = self.halves[1].wrapping_add(mixed(piece, SECRET[1])) ^ self.last;
        let ends = (CALL as u64).wrapping_mul(two);
        let avalanche = |half: u64| {
            let half = (half ^ half >> 37).wrapping_mul(0x1656_6791_9e37_79f9);
            half ^ half >> 32
        };
        let higher = low.wrapping_mul(one).wrapping_add(high.wrapping_mul(four)).wrapping_add(ends);
        let (higher, lower) = (avalanche(higher).wrapping_neg(), avalanche(low.wrapping_add(high)));
        JoinKey::new(u128::from(higher) << 64 | u128::from(lower))
    }
}

/// Where a call stands on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// TCP sequence number of its request's first byte; 0 over UDP.
    sequence: u32,
    /// Its id; 0 where it has none.
    id: i64,
}

impl Hashed {
    /// Of a connection between these ends, the caller first.
    #[must_use]
    pub fn of(network: Network, ends: [Endpoint; 2]) -> Self {
        // Compared as numbers, which big-endian bytes are in order with.
        let [first, second] = ends.map(|end| (address(end), end.port));
        let is_client_higher = second < first;
        let (lower, higher) = if is_client_higher { (second, first) } else { (first, second) };
        let mut hashed = [0; CALL];
        hashed[0] = VERSION;
        hashed[1] = match network {
            Network::Tcp => 6,
            Network::Udp => 17,
        };
        hashed[2..18].copy_from_slice(&lower.0.to_be_bytes());
        hashed[18..20].copy_from_slice(&lower.1.to_be_bytes());
        hashed[20..36].copy_from_slice(&higher.0.to_be_bytes());
        hashed[36..CONNECTION].copy_from_slice(&higher.1.to_be_bytes());
        hashed[CONNECTION] = is_client_higher.into();
        Self { octets: hashed }
    }

    /// The key of the connection.
    #[must_use]
    pub fn connection_key(&self) -> JoinKey {
        JoinKey::of(&self.octets[..CONNECTION])
    }

    /// The hash of its calls.
    #[must_use]
    pub fn calls(&self) -> Begun {
        let word = |at: usize| {
            self.octets
                .get(at..)
                .and_then(<[u8]>::first_chunk)
                .map_or(0, |octets| u64::from_le_bytes(*octets))
        };
        let piece = |at| [word(at), word(at + 8)];
        let [first, second, third] = [piece(0), piece(16), piece(CALL - 32)];
        let low = (CALL as u64).wrapping_mul(PRIMES[0]).wrapping_add(mixed(second, SECRET[2])) ^ sum(third);
        let high = mixed(third, SECRET[3]) ^ sum(second);
        let low = low.wrapping_add(mixed(first, SECRET[0]));
        Begun { halves: [low, high], last: sum(first), start: word(CALL - 16) as u32 }
    }
}

/// The address as that of IPv6.
fn address(end: Endpoint) -> u128 {
    match end.ip {
        IpAddr::V4(ip) => 0xffff_0000_0000 | u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Call {
    /// The key of its connection.
    #[must_use]
    pub fn connection_key(&self) -> JoinKey {
        if let Some(told) = &self.told {
            return told.connection;
        }
        JoinKey::of_connection(self.network, [self.client, self.server])
    }

    /// Its key; `None` where the first byte of its request was not captured, and over UDP where it has no id.
    #[must_use]
    pub fn key(&self) -> Option<JoinKey> {
        if let Some(told) = &self.told {
            return told.key;
        }
        let place = self.place()?;
        Some(self.hashed().calls().call_key(place))
    }

    /// What is hashed of its connection.
    #[must_use]
    pub fn hashed(&self) -> Hashed {
        Hashed::of(self.network, [self.client, self.server])
    }

    /// Its place on its connection; `None` where [`Self::key`] is.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let sequence = match self.network {
            Network::Tcp => self.positions[0]?,
            Network::Udp => self.id.map(|_| 0)?,
        };
        Some(Place { sequence, id: self.id.unwrap_or(0) })
    }
}

impl Connection {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> JoinKey {
        JoinKey::of_connection(self.network, [self.client, self.server])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::sample;

    fn end(text: &str, port: u16) -> Endpoint {
        Endpoint { ip: text.parse().unwrap(), port }
    }

    fn call() -> Call {
        let mut call = sample::ok();
        (call.client, call.server) = (end("10.0.0.2", 40_000), end("10.0.0.1", 8_888));
        call.network = Network::Tcp;
        (call.id, call.positions) = (Some(3), [Some(7), None]);
        call
    }

    /// Others hash the same: a key that changes between versions of the program joins nothing.
    #[test]
    fn keys_stay_as_they_are() {
        let call = call();
        assert_eq!(call.connection_key().to_string(), "e587e7b4100b8eaae30c6305bacde68b");
        assert_eq!(call.key().unwrap().to_string(), "377777320cd56ece299d215e91d3a3b2");
        assert_eq!(JoinKey::parse("377777320cd56ece299d215e91d3a3b2"), call.key());
        for wrong in [
            "",
            "377777320cd56ece299d215e91d3a3b",
            "+77777320cd56ece299d215e91d3a3b2",
            "377777320CD56ECE299D215E91D3A3B2",
        ] {
            assert_eq!(JoinKey::parse(wrong), None, "{wrong}");
        }
    }

    /// What is hashed of a connection beforehand changes nothing.
    #[test]
    fn keys_of_calls_are_the_hashes_of_their_octets() {
        let mut number = 1_u64;
        let mut next = || {
            number = number.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            number.rotate_left(32)
        };
        for _ in 0..1_000 {
            let mut hashed = Hashed { octets: std::array::from_fn(|_| next() as u8) };
            let place = Place { sequence: next() as u32, id: next() as i64 };
            let key = hashed.calls().call_key(place);
            hashed.octets[CONNECTION + 1..][..4].copy_from_slice(&place.sequence.to_be_bytes());
            hashed.octets[CONNECTION + 5..].copy_from_slice(&place.id.to_be_bytes());
            assert_eq!(key, JoinKey::of(&hashed.octets));
        }
    }

    #[test]
    fn both_ends_have_one_key_and_different_calls_have_different_ones() {
        let call = call();
        assert_eq!(
            JoinKey::of_connection(Network::Tcp, [call.client, call.server]),
            JoinKey::of_connection(Network::Tcp, [call.server, call.client])
        );
        let mut mapped = call.clone();
        mapped.client = end("::ffff:10.0.0.2", 40_000);
        assert_eq!(mapped.key(), call.key());
        let other = |turn: fn(&mut Call)| {
            let mut other = call.clone();
            turn(&mut other);
            other.key()
        };
        let changed: [fn(&mut Call); 5] = [
            |call| call.positions[0] = Some(8),
            |call| call.id = Some(5),
            |call| call.client.port += 1,
            |call| call.server.ip = "10.0.0.3".parse().unwrap(),
            |call| std::mem::swap(&mut call.client, &mut call.server),
        ];
        for turn in changed {
            assert!(other(turn).is_some_and(|key| Some(key) != call.key()));
        }
    }

    #[test]
    fn a_call_whose_place_is_unknown_has_no_key() {
        let mut call = call();
        call.positions[0] = None;
        assert_eq!(call.key(), None);
        call.network = Network::Udp;
        assert!(call.key().is_some());
        call.id = None;
        assert_eq!(call.key(), None);
    }
}
