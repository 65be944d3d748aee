//! Which addresses belong to the host that captured, as Linux says in captures of all interfaces at once (`tcpdump -i any`).
//!
//! The heads of such packets say whether the host sent them
//! ([LINKTYPE_LINUX_SLL](https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html),
//! [LINKTYPE_LINUX_SLL2](https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html)). What the host only forwards leaves it too, so three things
//! have to hold: it sent packets from the address, their hop limit is one that systems start with (a packet that was routed, with its
//! addresses translated or not, has one less), and no packet from the address came in.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use hashbrown::HashMap;

use super::{Batch, LinkType, Packet};
use crate::time::Timestamp;

/// Most addresses that are remembered. Of further ones nothing is known.
const MAX_ADDRESSES: usize = 65_536;

/// Packets of all interfaces, in the older format and in the newer one.
const LINUX_SLL: LinkType = LinkType(113);
const LINUX_SLL2: LinkType = LinkType(276);

/// Packet type: sent by this host.
const OUTGOING: u16 = 4;

/// Hardware type of the loopback interface (`ARPHRD_LOOPBACK`).
const LOOPBACK: u16 = 772;

/// Hop limits that systems start with.
const FIRST_HOPS: [u8; 3] = [64, 128, 255];

/// Where a packet went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The host sent it.
    Out,
    /// The host sent it to itself.
    Within,
    /// It came in.
    In,
}

/// When a packet from an address first went each [`Way`].
type Seen = [Option<Timestamp>; 3];

/// The addresses of the host that captured, shared by the threads of a run.
#[derive(Debug, Default)]
pub struct LocalAddresses {
    seen: RwLock<HashMap<IpAddr, Seen>>,
    /// See [`Self::has_any`].
    has_any: AtomicBool,
}

impl LocalAddresses {
    /// Learns from the packets of a batch. Others than those of all interfaces say nothing.
    pub fn learn(&self, batch: &Batch) {
        if batch.single_interfaces {
            return;
        }
        let mut seen = None;
        for packet in batch.packets() {
            let Some((source, way)) = direction(&packet) else { continue };
            let seen = seen.get_or_insert_with(|| self.seen.write().unwrap_or_else(PoisonError::into_inner));
            if !seen.contains_key(&source) && seen.len() == MAX_ADDRESSES {
                continue;
            }
            let first = &mut seen.entry(source).or_default()[way as usize];
            *first = Some(first.map_or(packet.time, |first| first.min(packet.time)));
        }
        if seen.is_some() {
            self.has_any.store(true, Ordering::Release);
        }
    }

    /// Whether anything is known.
    #[must_use]
    pub fn has_any(&self) -> bool {
        self.has_any.load(Ordering::Acquire)
    }

    /// Whether `ip` is an address of the host, by the packets until `time`; `None` where they don't say it.
    #[must_use]
    pub fn has(&self, ip: IpAddr, time: Timestamp) -> Option<bool> {
        let [out, within, came] = self.until(ip, time);
        match (came, out || within) {
            (true, _) => Some(false),
            (false, true) => Some(true),
            (false, false) => None,
        }
    }

    /// Whether it is an address of the host at which it talks to others. Addresses that it has for itself alone are like those of the
    /// loopback interface: every service may have one of its own.
    #[must_use]
    pub fn faces_others(&self, ip: IpAddr, time: Timestamp) -> bool {
        let [out, _, came] = self.until(ip, time);
        out && !came
    }

    /// Which ways packets from `ip` had gone by `time`.
    fn until(&self, ip: IpAddr, time: Timestamp) -> [bool; 3] {
        if !self.has_any() {
            return [false; 3];
        }
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        let first = seen.get(&ip).copied().unwrap_or_default();
        first.map(|first| first.is_some_and(|first| first <= time))
    }
}

/// Whether the heads of packets say where they went.
pub(super) fn is_of_all_interfaces(link: LinkType) -> bool {
    matches!(link, LINUX_SLL | LINUX_SLL2)
}

/// The source of a packet, and where it went; `None` where the packet says nothing of its source.
fn direction(packet: &Packet<'_>) -> Option<(IpAddr, Way)> {
    let data = packet.data;
    let half = |at: usize| Some(u16::from_be_bytes(*data.get(at..)?.first_chunk()?));
    let (kind, hardware, protocol, ip) = match packet.link {
        LINUX_SLL => (half(0)?, half(2)?, half(14)?, data.get(16..)?),
        LINUX_SLL2 => (u16::from(*data.get(10)?), half(8)?, half(0)?, data.get(20..)?),
        _ => return None,
    };
    let (source, hops) = match (protocol, ip.first()? >> 4) {
        (0x0800, 4) => (IpAddr::from(*ip.get(12..)?.first_chunk::<4>()?), *ip.get(8)?),
        (0x86dd, 6) => (IpAddr::from(*ip.get(8..)?.first_chunk::<16>()?), *ip.get(7)?),
        _ => return None,
    };
    match (hardware, kind) {
        // Shown twice, as sent and as received.
        (LOOPBACK, _) => Some((source, Way::Within)),
        (_, OUTGOING) => FIRST_HOPS.contains(&hops).then_some((source, Way::Out)),
        _ => Some((source, Way::In)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{CapturePoint, LinkType, Record};

    const HOST: [u8; 4] = [10, 0, 0, 1];
    const OTHER: [u8; 4] = [10, 0, 0, 2];

    /// Packets of all interfaces: time, hardware type, packet type, hop limit and source of each.
    fn batch(link: u16, packets: &[(i64, u16, u8, u8, [u8; 4])]) -> Batch {
        let mut batch = Batch::default();
        for &(time, hardware, kind, hops, source) in packets {
            let offset = batch.data.len() as u32;
            let [high, low] = hardware.to_be_bytes();
            match link {
                113 => batch.data.extend([[0, kind, high, low].as_slice(), &[0; 10], &[8, 0]].concat()),
                _ => batch
                    .data
                    .extend([[8, 0, 0, 0, 0, 0, 0, 1, high, low, kind].as_slice(), &[0; 9]].concat()),
            }
            batch.data.extend([[0x45, 0, 0, 20, 0, 0, 0, 0, hops, 6, 0, 0], [0; 12]].concat());
            let at = batch.data.len() - 12;
            batch.data[at..at + 4].copy_from_slice(&source);
            batch.records.push(Record {
                number: 1,
                time: Timestamp(time),
                link: LinkType(link),
                interface: 0,
                capture_point: CapturePoint::default(),
                wire_len: 44,
                offset,
                len: batch.data.len() as u32 - offset,
            });
        }
        batch
    }

    fn has(packets: &[(i64, u16, u8, u8, [u8; 4])], ip: [u8; 4]) -> Option<bool> {
        let found = [113, 276].map(|link| {
            let local = LocalAddresses::default();
            local.learn(&batch(link, packets));
            local.has(ip.into(), Timestamp(100))
        });
        assert_eq!(found[0], found[1]);
        found[0]
    }

    #[test]
    fn an_address_is_the_hosts_if_it_sends_from_it_and_none_comes_in() {
        let sent = (1, 1, 4, 64, HOST);
        assert_eq!(has(&[sent], HOST), Some(true));
        assert_eq!(has(&[sent], OTHER), None);
        for kind in 0..4 {
            assert_eq!(has(&[sent, (2, 1, kind, 64, HOST)], HOST), Some(false), "{kind}");
        }
        // What is known later changes nothing of what was decided before.
        assert_eq!(has(&[sent, (101, 1, 0, 64, HOST)], HOST), Some(true));
        assert_eq!(has(&[(101, 1, 4, 64, HOST)], HOST), None);
    }

    #[test]
    fn an_address_that_a_router_puts_in_place_of_another_is_not_known() {
        for hops in [63, 127, 254, 1] {
            assert_eq!(has(&[(1, 1, 4, hops, HOST)], HOST), None, "{hops}");
        }
    }

    #[test]
    fn an_address_that_only_the_host_itself_hears_of_is_its_own_and_faces_nobody() {
        let within = [(1, LOOPBACK, 4, 64, HOST), (1, LOOPBACK, 0, 64, HOST)];
        assert_eq!(has(&within, HOST), Some(true));
        let faces_others = |packets: &[_]| {
            let local = LocalAddresses::default();
            local.learn(&batch(276, packets));
            local.faces_others(HOST.into(), Timestamp(100))
        };
        assert!(!faces_others(&within));
        assert!(faces_others(&[&within[..], &[(2, 1, 4, 64, HOST)]].concat()));
        assert!(!faces_others(&[(2, 1, 4, 64, HOST), (3, 1, 0, 64, HOST)]));
        assert!(!faces_others(&[(101, 1, 4, 64, HOST)]));
    }

    #[test]
    fn other_links_and_cut_packets_say_nothing() {
        let whole = batch(276, &[(1, 1, 4, 64, HOST)]);
        for len in 0..=whole.records[0].len {
            let mut cut = batch(276, &[(1, 1, 4, 64, HOST)]);
            cut.records[0].len = len;
            let local = LocalAddresses::default();
            local.learn(&cut);
            let expected = if len < 36 { None } else { Some(true) };
            assert_eq!(local.has(HOST.into(), Timestamp(100)), expected, "{len}");
            cut.records[0].link = LinkType(1);
            let local = LocalAddresses::default();
            local.learn(&cut);
            assert_eq!(local.has(HOST.into(), Timestamp(100)), None);
        }
    }

    #[test]
    fn addresses_are_bounded() {
        let local = LocalAddresses::default();
        let sent = |number: u32| (1, 1, 4, 64, number.to_be_bytes());
        let packets: Vec<_> = (0..MAX_ADDRESSES as u32 + 10).map(sent).collect();
        local.learn(&batch(276, &packets));
        assert_eq!(local.seen.read().map(|seen| seen.len()).ok(), Some(MAX_ADDRESSES));
        assert_eq!(local.has([0, 0, 0, 1].into(), Timestamp(100)), Some(true));
    }
}
