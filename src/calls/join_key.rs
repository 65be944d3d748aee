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

/// A hash of 128 bits; written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JoinKey(NonZeroU128);

impl JoinKey {
    fn of(hashed: &[u8]) -> Self {
        // One of 2^128 hashes is 0.
        Self(NonZeroU128::new(XxHash3_128::oneshot(hashed)).unwrap_or(NonZeroU128::MAX))
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

/// What is hashed of a connection and begins what is hashed of its calls: whoever keeps it has the keys of many calls for less.
#[derive(Clone, Debug)]
pub struct Hashed {
    /// The connection, whether the first of its ends, which calls, is the higher one, and the place of a call.
    octets: [u8; CONNECTION + 13],
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
        let mut hashed = [0; CONNECTION + 13];
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

    /// The key of a call on it, whose place is hashed where it stands.
    #[must_use]
    pub fn call_key(&mut self, Place { sequence, id }: Place) -> JoinKey {
        let place = &mut self.octets[CONNECTION + 1..];
        place[..4].copy_from_slice(&sequence.to_be_bytes());
        place[4..].copy_from_slice(&id.to_be_bytes());
        JoinKey::of(&self.octets)
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
        Some(self.hashed().call_key(place))
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
