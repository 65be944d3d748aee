//! Keeps the checksums of a packet right when bytes of its payload change (RFC 1624): the change is added to what was sent, so that a
//! checksum that was wrong, or that the network card was to fill in, stays what it was.

use crate::decode::{Segment, Transport};

/// Where the checksum is in a header of TCP (RFC 9293, section 3.1).
const OF_TCP: usize = 16;
/// The same in one of UDP (RFC 768).
const OF_UDP: usize = 6;
/// Bytes of a header of UDP, and of one of TCP without options.
const UDP_HEAD: usize = 8;
const TCP_HEAD: usize = 20;
/// Number of UDP in headers of IP.
const UDP: u8 = 17;

/// Bytes `at` before which the header of TCP or UDP ends; its size in bytes. `None` if it can't be found.
fn head_size(data: &[u8], at: usize, segment: &Segment<'_>) -> Option<usize> {
    let Transport::Tcp(tcp) = segment.transport else { return Some(UDP_HEAD).filter(|size| *size <= at) };
    (TCP_HEAD..=60).step_by(4).find(|size| {
        let Some(head) = at.checked_sub(*size).and_then(|from| data.get(from..at)) else { return false };
        let ports =
            [segment.side, segment.side.other()].map(|side| segment.key.endpoint(side).port.to_be_bytes());
        head.get(..4) == Some(ports.concat().as_slice())
            && head.get(4..8) == Some(tcp.seq.to_be_bytes().as_slice())
            && head.get(12).is_some_and(|offset| usize::from(offset >> 4) * 4 == *size)
    })
}

/// The headers of UDP before `head` whose payload ends with that of the packet, at `end`: those of tunnels.
fn outer_heads(data: &[u8], head: usize, end: usize) -> impl Iterator<Item = usize> {
    (TCP_HEAD..head.saturating_sub(UDP_HEAD)).filter(move |at| {
        let byte = |at: usize| data.get(at).copied().unwrap_or(0);
        let v4 = at.checked_sub(20).is_some_and(|ip| byte(ip) == 0x45 && byte(ip + 9) == UDP);
        let v6 = at.checked_sub(40).is_some_and(|ip| byte(ip) >> 4 == 6 && byte(ip + 6) == UDP);
        let length = usize::from(u16::from_be_bytes([byte(at + 4), byte(at + 5)]));
        (v4 || v6) && at + length == end
    })
}

/// The sum of the bytes as 16-bit numbers; `odd`: the first one is the lower half of its number.
fn sum(bytes: &[u8], odd: bool) -> u64 {
    let weight = |at: usize| if (at % 2 == 1) == odd { 8 } else { 0 };
    bytes.iter().enumerate().map(|(at, byte)| u64::from(*byte) << weight(at)).sum()
}

/// Adds the change from `before` to what now stands at `at` to the checksum at `field`, of a header that begins at `head`.
fn adjust(data: &mut [u8], head: usize, field: usize, at: usize, before: &[u8], is_udp: bool) {
    let Some([high, low]) = data.get(head + field..head + field + 2) else { return };
    let sent = u16::from_be_bytes([*high, *low]);
    if is_udp && sent == 0 {
        return;
    }
    let odd = (at - head) % 2 == 1;
    let after = data.get(at..at + before.len()).unwrap_or_default();
    let fold = |mut sum: u64| {
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum as u16
    };
    let gone = !fold(sum(before, odd));
    let mut new = !fold(u64::from(!sent) + u64::from(gone) + sum(after, odd));
    if is_udp && new == 0 {
        new = 0xffff;
    }
    if let Some(place) = data.get_mut(head + field..head + field + 2) {
        place.copy_from_slice(&new.to_be_bytes());
    }
}

/// Updates the checksums of a packet whose payload, that of `segment`, stands at `at` and was replaced.
pub(super) fn update(data: &mut [u8], at: usize, segment: &Segment<'_>) {
    let Some(size) = head_size(data, at, segment) else { return };
    let is_udp = matches!(segment.transport, Transport::Udp { .. });
    let (head, field) = (at - size, if is_udp { OF_UDP } else { OF_TCP });
    let before = segment.payload;
    let end = at + before.len() + segment.missing as usize;
    // What the outer ones cover includes the inner one, which changes first.
    let inner = data.get(head + field..head + field + 2).map(<[u8]>::to_vec).unwrap_or_default();
    adjust(data, head, field, at, before, is_udp);
    for outer in outer_heads(data, head, end).collect::<Vec<_>>().into_iter().rev() {
        adjust(data, outer, OF_UDP, at, before, true);
        adjust(data, outer, OF_UDP, head + field, &inner, true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_payload_has_the_checksum_of_the_new_one() {
        let whole = |bytes: &[u8]| {
            let mut sum = sum(bytes, false);
            while sum > 0xffff {
                sum = (sum & 0xffff) + (sum >> 16);
            }
            !(sum as u16)
        };
        for from in [2, 3] {
            let mut data = b"\0\0some bytes that are summed".to_vec();
            let checksum = whole(&data).to_be_bytes();
            data[..2].copy_from_slice(&checksum);
            let before = data[from..].to_vec();
            data[from..].fill(0);
            data[9] = 7;
            adjust(&mut data, 0, 0, from, &before, false);
            let mut bare = data.clone();
            bare[..2].fill(0);
            assert_eq!(data[..2], whole(&bare).to_be_bytes());
        }
        let mut none = vec![0, 0, 5, 5];
        adjust(&mut none, 0, 0, 2, &[1, 1], true);
        assert_eq!(none, [0, 0, 5, 5], "a datagram without a checksum has none");
    }
}
