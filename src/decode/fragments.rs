//! Reassembly of fragmented IP datagrams (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Incomplete datagrams are limited in number, in bytes and, by packet time, in age; the oldest are dropped first.

use std::collections::VecDeque;

use etherparse::defrag::IpDefragBuf;
use etherparse::{IpFragOffset, IpNumber};
use hashbrown::HashMap;

use super::Skip;
use super::walk::Hosts;
use crate::source::CapturePoint;
use crate::time::Timestamp;

/// Incomplete datagrams at a time.
const MAX_DATAGRAMS: usize = 4096;
/// Bytes of all incomplete datagrams together.
const MAX_BYTES: usize = 32 << 20;
/// How long a datagram waits for its fragments, in nanoseconds of packet time (as Linux does).
const MAX_AGE: u64 = 30_000_000_000;
/// Separate ranges of one datagram; an honest sender does not leave more holes than this.
const MAX_PARTS: usize = 256;

/// What the fragments of one datagram share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DatagramKey {
    /// Its two hosts, in its direction.
    pub(super) hosts: Hosts,
    /// Identification.
    pub(super) id: u32,
    /// Protocol (IPv4 only: fragments of IPv6 need not agree on it).
    pub(super) protocol: Option<u8>,
    /// Where they were captured.
    pub(super) capture_point: CapturePoint,
}

impl DatagramKey {
    /// The key at the default capture point.
    pub(super) fn new(hosts: Hosts, id: u32, protocol: Option<u8>) -> Self {
        Self { hosts, id, protocol, capture_point: CapturePoint::default() }
    }
}

/// Where a fragment belongs in its datagram.
#[derive(Clone, Copy, Debug)]
pub(super) struct FragmentField {
    /// Its offset in units of 8 bytes.
    pub(super) offset: u16,
    /// Whether others follow it.
    pub(super) more: bool,
    /// The protocol of the datagram, as this fragment names it.
    pub(super) protocol: u8,
}

/// A whole datagram.
#[derive(Debug)]
pub(super) struct Datagram {
    /// Its payload, from the head of `protocol` on.
    pub(super) bytes: Vec<u8>,
    /// What it carries.
    pub(super) protocol: u8,
    /// Its two ends.
    pub(super) hosts: Hosts,
}

#[derive(Debug)]
struct PartialDatagram {
    parts: IpDefragBuf,
    protocol: u8,
    serial: u64,
}

/// All incomplete datagrams.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    waiting: HashMap<DatagramKey, PartialDatagram>,
    /// When each was begun, oldest first. Entries of complete datagrams stay until they expire or are swept.
    ages: VecDeque<(Timestamp, DatagramKey, u64)>,
    bytes: usize,
    serial: u64,
    lost: u64,
}

impl Fragments {
    /// Adds a fragment; returns the datagram if it is complete now.
    pub(super) fn add(
        &mut self,
        key: DatagramKey,
        place: FragmentField,
        payload: &[u8],
        now: Timestamp,
    ) -> Result<Datagram, Skip> {
        self.expire(now);
        let offset = IpFragOffset::try_new(place.offset).map_err(|_| Skip::Malformed)?;
        let waiting = self.waiting.entry(key).or_insert_with(|| {
            self.serial += 1;
            self.ages.push_back((now, key, self.serial));
            let parts = IpDefragBuf::new(IpNumber(place.protocol), Vec::new(), Vec::new());
            PartialDatagram { parts, protocol: place.protocol, serial: self.serial }
        });
        if place.offset == 0 {
            waiting.protocol = place.protocol;
        }
        let before = waiting.parts.data().len();
        let added = waiting.parts.add(offset, place.more, payload);
        // The fragment that ends the datagram may also shorten what was reserved for it.
        self.bytes = self.bytes - before + waiting.parts.data().len();
        if added.is_err() || waiting.parts.sections().len() > MAX_PARTS {
            // The fragments overlap with different bytes: which of them the receiver took is unknown.
            self.take(&key);
            self.lost += 1;
            return Err(Skip::Malformed);
        }
        if waiting.parts.is_complete()
            && let Some(done) = self.take(&key)
        {
            let (bytes, _) = done.parts.take_bufs();
            return Ok(Datagram { bytes, protocol: done.protocol, hosts: key.hosts });
        }
        while self.bytes > MAX_BYTES || self.waiting.len() > MAX_DATAGRAMS {
            self.drop_oldest();
        }
        Err(Skip::Fragment)
    }

    /// Datagrams dropped so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    fn take(&mut self, key: &DatagramKey) -> Option<PartialDatagram> {
        let waiting = self.waiting.remove(key)?;
        self.bytes -= waiting.parts.data().len();
        Some(waiting)
    }

    fn expire(&mut self, now: Timestamp) {
        while self.ages.front().is_some_and(|(since, ..)| now.since(*since) > MAX_AGE) {
            self.drop_oldest();
        }
        if self.ages.len() > 4 * MAX_DATAGRAMS {
            // Mostly datagrams that were completed long ago. At most a quarter survives, so that sweeping stays cheap.
            let waiting = &self.waiting;
            self.ages.retain(|(_, key, serial)| waiting.get(key).is_some_and(|w| w.serial == *serial));
        }
    }

    fn drop_oldest(&mut self) {
        let Some((_, key, serial)) = self.ages.pop_front() else { return };
        if self.waiting.get(&key).is_some_and(|w| w.serial == serial) {
            self.take(&key);
            self.lost += 1;
        }
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn key(id: u32) -> DatagramKey {
        let hosts = Hosts {
            source: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            destination: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
            packet_id: 0,
        };
        DatagramKey::new(hosts, id, Some(6))
    }

    fn place(offset: u16, more: bool) -> FragmentField {
        FragmentField { offset, more, protocol: 6 }
    }

    #[test]
    fn count_is_capped_and_the_oldest_goes_first() {
        let mut fragments = Fragments::default();
        for id in 0..MAX_DATAGRAMS as u32 + 10 {
            assert_eq!(
                fragments.add(key(id), place(0, true), &[0; 8], Timestamp(0)).unwrap_err(),
                Skip::Fragment
            );
        }
        assert_eq!(fragments.held(), (MAX_DATAGRAMS, MAX_DATAGRAMS * 8));
        assert_eq!(fragments.lost(), 10);
        // The tenth was dropped, the eleventh is still there.
        assert!(fragments.add(key(9), place(1, false), &[1; 8], Timestamp(0)).is_err());
        assert!(fragments.add(key(11), place(1, false), &[1; 8], Timestamp(0)).is_ok());
    }

    #[test]
    fn bytes_are_capped() {
        let mut fragments = Fragments::default();
        for id in 0..2000 {
            // The last 8 bytes of a datagram of nearly 64 KiB reserve all of it.
            let _ = fragments.add(key(id), place(8000, true), &[0; 8], Timestamp(0));
        }
        let (count, bytes) = fragments.held();
        assert!(bytes <= MAX_BYTES, "{bytes}");
        assert_eq!(fragments.lost(), 2000 - count as u64);
    }

    #[test]
    fn age_is_capped_by_packet_time() {
        let mut fragments = Fragments::default();
        let _ = fragments.add(key(1), place(0, true), &[0; 8], Timestamp(0));
        let late = Timestamp(MAX_AGE as i64 + 1);
        assert!(fragments.add(key(1), place(1, false), &[1; 8], late).is_err());
        assert_eq!(fragments.lost(), 1);
    }

    #[test]
    fn finished_datagrams_leave_nothing_behind() {
        let mut fragments = Fragments::default();
        for id in 0..10 * MAX_DATAGRAMS as u32 {
            let _ = fragments.add(key(id), place(1, false), &[2; 3], Timestamp(0));
            let whole = fragments.add(key(id), place(0, true), &[1; 8], Timestamp(0)).unwrap();
            assert_eq!(whole.bytes, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
        }
        assert_eq!(fragments.held(), (0, 0));
        assert_eq!(fragments.lost(), 0);
        assert!(fragments.ages.len() <= 4 * MAX_DATAGRAMS + 1);
    }

    #[test]
    fn contradicting_fragments_are_given_up() {
        let mut fragments = Fragments::default();
        let _ = fragments.add(key(1), place(1, false), &[0; 8], Timestamp(0));
        assert_eq!(
            fragments.add(key(1), place(4, false), &[0; 8], Timestamp(0)).unwrap_err(),
            Skip::Malformed
        );
        assert_eq!(fragments.held(), (0, 0));
    }
}
