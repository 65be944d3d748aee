//! Sockets and their processes as bytes, on their way from the process that scans `/proc`.
//!
//! ```text
//! ┌ flags 1 │ own address 16 │ port 2 ┐ then, if the flags say so:
//! ┌ peer address 16 │ port 2 ┐ ┌ pid 4 │ length 1 │ name │ length 1 │ container │ length 1 │ uid of the pod ┐
//! ```
//!
//! Integers are little-endian, IPv4 addresses mapped to IPv6; a length of 0 stands for what is not known.

use std::net::Ipv6Addr;

use super::HeldSocket;
use crate::calls::record::Process;
use crate::decode::{Endpoint, Network};

const UDP: u8 = 1;
const PEER: u8 = 2;
const PROCESS: u8 = 4;

/// Most bytes of one socket.
const MAX_SOCKET: usize = 1 + 2 * 18 + 4 + 3 * (1 + 255);
/// Maximum length of a table in bytes: as many sockets as a scan returns, with names of the usual length (`comm` has 15 bytes, the id of
/// a container 64, the uid of a pod 36).
pub(crate) const MAX_TABLE: usize = super::MAX_SOCKETS * 170;

/// Writes a table. Sockets that don't fit into [`MAX_TABLE`] are left out.
pub(crate) fn encode(sockets: &[HeldSocket]) -> Vec<u8> {
    let mut out = Vec::new();
    for HeldSocket { own, peer, network, process } in sockets {
        if out.len() + MAX_SOCKET > MAX_TABLE {
            break;
        }
        let mut flags = if *network == Network::Udp { UDP } else { 0 };
        flags |= if peer.is_some() { PEER } else { 0 };
        flags |= if process.is_some() { PROCESS } else { 0 };
        out.push(flags);
        for end in [Some(own), peer.as_ref()].into_iter().flatten() {
            let address = match end.ip {
                std::net::IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                std::net::IpAddr::V6(ip) => ip,
            };
            out.extend(address.octets());
            out.extend(end.port.to_le_bytes());
        }
        if let Some(Process { pid, name, container, pod_uid }) = process {
            out.extend(pid.to_le_bytes());
            for text in [Some(name), container.as_ref(), pod_uid.as_ref()] {
                let text = text.map_or(&[][..], |text| text.as_bytes());
                let text = text.get(..255).unwrap_or(text);
                out.push(text.len() as u8);
                out.extend(text);
            }
        }
    }
    out
}

/// Reads a table; `None` if it ends within a socket.
pub(crate) fn decode(mut table: &[u8]) -> Option<Vec<HeldSocket>> {
    let mut sockets = Vec::new();
    while !table.is_empty() {
        let [flags] = take(&mut table)?;
        let own = endpoint(&mut table)?;
        let peer = if flags & PEER == 0 { None } else { Some(endpoint(&mut table)?) };
        let process = if flags & PROCESS == 0 { None } else { Some(process(&mut table)?) };
        let network = if flags & UDP == 0 { Network::Tcp } else { Network::Udp };
        sockets.push(HeldSocket { own, peer, network, process });
    }
    Some(sockets)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn endpoint(bytes: &mut &[u8]) -> Option<Endpoint> {
    let ip = Ipv6Addr::from(take::<16>(bytes)?).to_canonical();
    Some(Endpoint { ip, port: u16::from_le_bytes(take(bytes)?) })
}

fn process(bytes: &mut &[u8]) -> Option<Process> {
    let pid = u32::from_le_bytes(take(bytes)?);
    let mut text = || {
        let [len] = take(bytes)?;
        let (text, rest) = bytes.split_at_checked(len.into())?;
        *bytes = rest;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let name = text()?.into();
    let mut known = || text().map(|text| (!text.is_empty()).then(|| text.into()));
    Some(Process { pid, name, container: known()?, pod_uid: known()? })
}

#[cfg(test)]
mod tests {
    use super::super::scan::tests::end;
    use super::*;

    fn table() -> Vec<HeldSocket> {
        let process = |pid, name: &str| Some(Process::new(pid, name));
        let in_pod = |process: Option<Process>| {
            let (container, pod_uid) = (Some("c".repeat(64).into()), Some("p".repeat(36).into()));
            process.map(|process| Process { container, pod_uid, ..process })
        };
        let socket = |own, peer: Option<&str>, network, process| HeldSocket {
            own: end(own),
            peer: peer.map(end),
            network,
            process,
        };
        vec![
            socket("10.0.0.1:80", Some("10.0.0.2:4000"), Network::Tcp, in_pod(process(20, "server\u{1b}"))),
            socket("[fd00::1]:53", None, Network::Udp, process(u32::MAX, &"n".repeat(255))),
            socket("0.0.0.0:0", None, Network::Tcp, None),
        ]
    }

    #[test]
    fn a_table_survives_the_way() {
        assert_eq!(decode(&encode(&table())), Some(table()));
        assert_eq!(decode(&[]), Some(Vec::new()));
    }

    #[test]
    fn a_cut_table_is_no_table() {
        let whole = encode(&table());
        let sizes: Vec<usize> = (1..=3).map(|n| encode(&table()[..n]).len()).collect();
        for cut in 1..whole.len() {
            assert_eq!(decode(&whole[..cut]).is_some(), sizes.contains(&cut), "{cut}");
        }
    }

    #[test]
    fn a_table_is_bounded() {
        let socket = table().swap_remove(1);
        let most = encode(&vec![socket; MAX_TABLE / 100]);
        assert!(most.len() <= MAX_TABLE && most.len() > MAX_TABLE - 2 * MAX_SOCKET);
        assert!(decode(&most).is_some());
    }
}
