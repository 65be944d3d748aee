//! Tunnels over UDP and GRE: what tshark follows by their ports and numbers.
//!
//! A UDP port alone proves nothing: the fixed bits of the tunnel's header have to fit as well, and what it carries has to
//! begin with a type that is known here. Otherwise the datagram is returned as it is.

use super::Skip;
use super::link;
use super::rest::Rest;
use super::walk::{Next, ether_type};

/// PPP in GRE (RFC 2637).
const PPP: u16 = 0x880b;

/// VXLAN as registered (RFC 7348).
const VXLAN: u16 = 4789;
/// VXLAN as Linux used it before the registration, and by default since.
const VXLAN_LINUX: u16 = 8472;
/// VXLAN with a next protocol (draft-ietf-nvo3-vxlan-gpe).
const VXLAN_GPE: u16 = 4790;
/// Geneve (RFC 8926).
const GENEVE: u16 = 6081;
/// User data of GTP version 1 (3GPP TS 29.281).
const GTP_U: u16 = 2152;
/// Teredo (RFC 4380).
const TEREDO: u16 = 3544;
/// Layer 2 tunneling protocol, version 2 (RFC 2661).
const L2TP: u16 = 1701;
/// MPLS in UDP (RFC 7510).
const MPLS: u16 = 6635;

/// What a datagram between these ports carries, if it is a tunnel.
pub(super) fn udp([from, to]: [u16; 2], payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    match (from, to) {
        (_, VXLAN | VXLAN_LINUX) => vxlan(payload),
        (_, VXLAN_GPE) => vxlan_gpe(payload),
        (_, GENEVE) => geneve(payload),
        (_, GTP_U) => gtp_u(payload),
        (_, MPLS) => mpls(payload),
        // Answers come from the port that was asked.
        (_, TEREDO) | (TEREDO, _) => teredo(payload),
        (_, L2TP) | (L2TP, _) => l2tp(payload),
        _ => None,
    }
}

/// Whether an IP header stands here.
fn is_ip(rest: Rest<'_>) -> bool {
    matches!(rest.bytes, [0x45..=0x4f | 0x60..=0x6f, ..])
}

/// ```text
///  flags (8: the identifier is valid; 4: so is the next protocol)   reserved: 0 (2)   next protocol
///  network identifier, 3 bytes                                      reserved: 0
/// ```
fn vxlan_gpe(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    let (head, rest) = payload.head::<8>().ok()?;
    if head[0] & 0xcc != 0x0c || head[1..3] != [0; 2] || head[7] != 0 {
        return None;
    }
    let next = link::next_protocol(head[3]).ok()?;
    let fits = match next {
        Next::Ip => is_ip(rest),
        Next::Ethernet => is_ethernet(rest),
        _ => true,
    };
    fits.then_some((next, rest))
}

/// ```text
///  version 1, GTP, E, S, PN   type: ff   length (2)   tunnel (4)
///  sequence (2)   N-PDU   type of the first extension: only with E, S or PN
///  length in units of 4 bytes   content   type of the next extension
/// ```
fn gtp_u(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    const MAX_EXTENSIONS: usize = 8;
    let (head, mut rest) = payload.head::<8>().ok()?;
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    if head[0] & 0xf8 != 0x30 || head[1] != 0xff || length != rest.wire_len() {
        return None;
    }
    if head[0] & 7 != 0 {
        let (options, behind) = rest.head::<4>().ok()?;
        rest = behind;
        let mut extension = if head[0] & 4 == 0 { 0 } else { options[3] };
        for _ in 0..MAX_EXTENSIONS {
            if extension == 0 {
                break;
            }
            let size = usize::from(*rest.bytes.first()?) * 4;
            extension = *rest.bytes.get(size.checked_sub(1)?)?;
            rest = rest.skip(size).ok()?;
        }
        if extension != 0 {
            return None;
        }
    }
    is_ip(rest).then_some((Next::Ip, rest))
}

/// IPv6, behind an authentication (00 01, RFC 4380, section 5.1.1) and an origin (00 00).
fn teredo(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    let mut rest = payload;
    if let [0, 1, id, value, ..] = rest.bytes {
        rest = rest.skip(13 + usize::from(*id) + usize::from(*value)).ok()?;
    }
    if rest.bytes.starts_with(&[0, 0]) {
        rest = rest.skip(8).ok()?;
    }
    let (head, content) = rest.head::<40>().ok()?;
    let length = usize::from(u16::from_be_bytes([head[4], head[5]]));
    (head[0] >> 4 == 6 && length <= content.wire_len()).then_some((Next::Ip, rest))
}

/// A data message:
///
/// ```text
///  T: 0, L, 0 0, S, 0, O, P, 0 …, version 2   length (L)   tunnel, session   Ns, Nr (S)   offset and padding (O), 2 bytes each
/// ```
fn l2tp(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    let (head, mut rest) = payload.head::<2>().ok()?;
    if head[0] & 0xb4 != 0 || head[1] != 2 {
        return None;
    }
    let has = |flag: u8| head[0] & flag != 0;
    if has(0x40) {
        let (length, behind) = rest.head::<2>().ok()?;
        let length = usize::from(u16::from_be_bytes(*length)).checked_sub(4)?;
        rest = behind.limit(length.min(behind.wire_len()));
    }
    rest = rest.skip(if has(0x08) { 8 } else { 4 }).ok()?;
    if has(0x02) {
        let (offset, behind) = rest.head::<2>().ok()?;
        rest = behind.skip(usize::from(u16::from_be_bytes(*offset))).ok()?;
    }
    // Only what leads on: everything else stays a datagram.
    link::ppp(rest)
        .is_ok_and(|(next, rest)| !matches!(next, Next::Ip) || is_ip(rest))
        .then_some((Next::Ppp, rest))
}

/// Labels up to an IP header.
fn mpls(payload: Rest<'_>) -> Option<(Next, Rest<'_>)> {
    const MAX_LABELS: usize = 8;
    let mut rest = payload;
    for _ in 0..MAX_LABELS {
        let (label, behind) = rest.head::<4>().ok()?;
        rest = behind;
        if label[2] & 1 == 1 {
            return is_ip(rest).then_some((Next::Mpls, payload));
        }
    }
    None
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
    const WCCP: u16 = 0x883e;
    let (head, rest) = rest.head::<4>()?;
    match head[1] & 7 {
        0 => {}
        1 => return pptp(*head, rest),
        _ => return Err(Skip::OtherTransport),
    }
    let options = head[0] & 0xb0;
    let rest = rest.skip(options.count_ones() as usize * 4)?;
    match u16::from_be_bytes([head[2], head[3]]) {
        // Packets that a web cache gets redirected, with a header of their own in version 2.
        WCCP if is_ip(rest) => Ok((Next::Ip, rest)),
        WCCP => Ok((Next::Ip, rest.skip(4)?)),
        PPP => Ok((Next::Ppp, rest)),
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

/// The GRE of PPTP (RFC 2637, section 4.1), of which `head` was read: key with the length and the call, sequence number (S) and
/// acknowledgement (A), 4 bytes each.
fn pptp(head: [u8; 4], rest: Rest<'_>) -> Result<(Next, Rest<'_>), Skip> {
    if u16::from_be_bytes([head[2], head[3]]) != PPP || head[0] & 0x20 == 0 {
        return Err(Skip::OtherTransport);
    }
    let (key, rest) = rest.head::<4>()?;
    let rest = rest.skip(usize::from(head[0] >> 4 & 1) * 4 + usize::from(head[1] >> 7) * 4)?;
    match usize::from(u16::from_be_bytes([key[0], key[1]])) {
        // An acknowledgement alone.
        0 => Err(Skip::NotIp),
        length => Ok((Next::Ppp, rest.limit(length))),
    }
}
