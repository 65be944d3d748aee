//! Tunnels over UDP and GRE.
//!
//! A UDP port alone proves nothing: the fixed bits of the tunnel's header have to fit as well, and what it carries has to
//! begin with a type that is known here. Otherwise the datagram is returned as it is.

use super::Skip;
use super::rest::Rest;
use super::walk::{Next, ether_type};

/// VXLAN as registered (RFC 7348).
const VXLAN: u16 = 4789;
/// VXLAN as Linux used it before the registration, and by default since.
const VXLAN_LINUX: u16 = 8472;
/// Geneve (RFC 8926).
const GENEVE: u16 = 6081;

/// What a datagram to `port` carries, if it is a tunnel.
pub(super) fn udp(port: u16, payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    match port {
        VXLAN | VXLAN_LINUX => vxlan(payload),
        GENEVE => geneve(payload),
        _ => None,
    }
}

/// ```text
///  flags (8: the identifier is valid; 80: a group policy)   reserved or group policy
///  network identifier, 3 bytes                              reserved: 0
/// ```
fn vxlan(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    let (head, rest) = payload.head::<8>().ok()?;
    let fits = match head[0] {
        0x08 => head[1..4] == [0; 3],
        0x88 => true,
        _ => false,
    };
    (fits && head[7] == 0 && is_ethernet(rest)).then_some((Next::Ethernet, rest))
}

/// ```text
///  version 0 (2 bits), length of options in units of 4 bytes   O, C, reserved: 0   type of what follows, 2 bytes
///  network identifier, 3 bytes                                 reserved: 0
/// ```
fn geneve(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    let (head, rest) = payload.head::<8>().ok()?;
    if head[0] >> 6 != 0 || head[1] & 0x3f != 0 || head[7] != 0 {
        return None;
    }
    let rest = rest.skip(usize::from(head[0] & 0x3f) * 4).ok()?;
    match u16::from_be_bytes([head[2], head[3]]) {
        ether_type::TRANSPARENT_ETHERNET => is_ethernet(rest).then_some((Next::Ethernet, rest)),
        number @ (ether_type::IPV4 | ether_type::IPV6) => Some((Next::Type(number), rest)),
        _ => None,
    }
}

/// Whether an Ethernet header with a type that overlay networks carry stands here.
pub(super) fn is_ethernet(rest: Rest<'_>) -> bool {
    const ARP: u16 = 0x0806;
    rest.head::<14>().is_ok_and(|(head, _)| {
        matches!(
            u16::from_be_bytes([head[12], head[13]]),
            ether_type::IPV4
                | ether_type::IPV6
                | ether_type::VLAN
                | ether_type::QINQ
                | ether_type::QINQ_OLD
                | ether_type::MPLS
                | ARP
        )
    })
}

/// GRE (RFC 2784, RFC 2890), with Ethernet in it (NVGRE, RFC 7637) and ERSPAN.
///
/// ```text
///  C.KS reserved, version: 0   type of what follows
///  checksum and reserved (C)   key (K)   sequence number (S), 4 bytes each
/// ```
pub(super) fn gre(rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    const ERSPAN: u16 = 0x88be;
    const ERSPAN_III: u16 = 0x22eb;
    let (head, rest) = rest.head::<4>()?;
    if head[1] & 7 != 0 {
        // Version 1 is PPTP.
        return Err(Skip::OtherTransport);
    }
    let options = head[0] & 0xb0;
    let rest = rest.skip(options.count_ones() as usize * 4)?;
    match u16::from_be_bytes([head[2], head[3]]) {
        // Type I has no sequence number and no header of its own, type II has both.
        ERSPAN if options & 0x10 == 0 => Ok((Next::Ethernet, rest)),
        ERSPAN => Ok((Next::Ethernet, rest.skip(8)?)),
        ERSPAN_III => {
            let (erspan, rest) = rest.head::<12>()?;
            // The last bit says that a part for the platform follows.
            Ok((Next::Ethernet, rest.skip(if erspan[11] & 1 == 0 { 0 } else { 8 })?))
        }
        number => Ok((Next::Type(number), rest)),
    }
}
