//! Reads the kernel's lists of sockets and finds the processes that hold them.
//!
//! The lists are parsed here and not by the `procfs` crate (0.18): that rejects a whole list for one unknown line, reads it
//! without a limit, and makes three system calls for each descriptor instead of one.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use hashbrown::{HashMap, HashSet};

use super::cgroup;
use crate::calls::record::Process;
use crate::decode::{Endpoint, Network};

/// Maximum number of sockets in a scan.
pub(super) const MAX_SOCKETS: usize = 1 << 17;
/// Maximum bytes read from one of the kernel's socket lists.
const MAX_LIST: u64 = 64 << 20;
/// Maximum number of descriptors examined in one scan.
const MAX_DESCRIPTORS: usize = 200_000;

/// A socket of this host and the process that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldSocket {
    pub(crate) own: Endpoint,
    /// `None` if it has no peer.
    pub(crate) peer: Option<Endpoint>,
    pub(crate) network: Network,
    /// `None`: no process whose descriptors are readable.
    pub(crate) process: Option<Process>,
}

/// Scans `/proc`; remembers the owners of sockets from scan to scan.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    /// The process of each socket, by inode.
    owners: HashMap<u64, Option<Process>>,
}

impl Scanner {
    /// Reads the socket lists and finds the owners of new sockets.
    pub(crate) fn scan(&mut self, proc: &Path) -> Vec<HeldSocket> {
        let mut sockets = Vec::new();
        for (list, network) in
            [("tcp", Network::Tcp), ("tcp6", Network::Tcp), ("udp", Network::Udp), ("udp6", Network::Udp)]
        {
            // A system without IPv6 has no such lists.
            let Ok(file) = File::open(proc.join("net").join(list)) else { continue };
            let lines = BufReader::new(file.take(MAX_LIST)).lines().map_while(Result::ok);
            let parsed = lines.filter_map(|line| socket(&line, network));
            sockets.extend(parsed.take(MAX_SOCKETS - sockets.len().min(MAX_SOCKETS)));
        }
        let inodes: HashSet<u64> = sockets.iter().map(|socket| socket.inode).collect();
        self.owners.retain(|inode, _| inodes.contains(inode));
        let mut wanted = inodes;
        wanted.retain(|inode| !self.owners.contains_key(inode));
        self.find_owners(proc, wanted);
        let held = sockets.into_iter().map(|Socket { own, peer, network, inode }| {
            let process = self.owners.get(&inode).cloned().flatten();
            HeldSocket { own, peer, network, process }
        });
        held.collect()
    }

    /// Searches the descriptors of processes until the owners of all `wanted` sockets are found. Processes that already own
    /// sockets come first: a server's new connections belong to the server.
    fn find_owners(&mut self, proc: &Path, mut wanted: HashSet<u64>) {
        let mut pids: Vec<u32> = self.owners.values().flatten().map(|process| process.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        let first: HashSet<u32> = pids.iter().copied().collect();
        if let Ok(entries) = fs::read_dir(proc) {
            let all = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
            pids.extend(all.filter(|pid| !first.contains(pid)));
        }
        let mut budget = MAX_DESCRIPTORS;
        for pid in pids {
            if wanted.is_empty() || budget == 0 {
                break;
            }
            let folder = proc.join(pid.to_string());
            // Processes may exit during the scan, and those of other users may be unreadable.
            let Ok(descriptors) = fs::read_dir(folder.join("fd")) else { continue };
            let mut process = None;
            for descriptor in descriptors.filter_map(Result::ok).take(budget) {
                budget -= 1;
                let target = fs::read_link(descriptor.path()).ok();
                let Some(inode) = target.as_deref().and_then(socket_inode) else { continue };
                if wanted.remove(&inode) {
                    let process = process.get_or_insert_with(|| named(&folder, pid));
                    self.owners.insert(inode, Some(process.clone()));
                }
            }
        }
        self.owners.extend(wanted.into_iter().map(|inode| (inode, None)));
    }
}

fn named(folder: &Path, pid: u32) -> Process {
    let name = fs::read(folder.join("comm")).unwrap_or_default();
    let mut process = Process::new(pid, String::from_utf8_lossy(&name).trim_end_matches('\n'));
    cgroup::place(&mut process, folder);
    process
}

/// The inode in `socket:[4711]`.
fn socket_inode(target: &Path) -> Option<u64> {
    target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// One line of a list of sockets.
#[derive(Debug, PartialEq, Eq)]
struct Socket {
    own: Endpoint,
    /// `None` if it has no peer.
    peer: Option<Endpoint>,
    network: Network,
    inode: u64,
}

/// Parses a line of `/proc/net/tcp`, `udp` or their IPv6 versions (proc(5)):
/// number, local end, remote end, state, queues, timers, retransmissions, user, time-out, inode.
fn socket(line: &str, network: Network) -> Option<Socket> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let own = endpoint(fields.next()?)?;
    let peer = endpoint(fields.next()?)?;
    let inode = fields.nth(6)?.parse().ok()?;
    // Sockets in TIME_WAIT have no inode and no owner.
    (inode != 0).then_some(Socket { own, peer: (peer.port != 0).then_some(peer), network, inode })
}

/// Parses `0100007F:1F90`: the address as words in host byte order, the port as a number.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |i: usize| Some(u32::from_str_radix(address.get(i * 8..i * 8 + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let mut bytes = [0; 16];
            for (i, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(i)?);
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(canonical(Endpoint { ip, port }))
}

/// A dual-stack socket shows IPv4 peers as mapped addresses, which never appear on the wire.
pub(super) fn canonical(end: Endpoint) -> Endpoint {
    Endpoint { ip: end.ip.to_canonical(), ..end }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::IpAddr;

    use super::*;

    pub(in crate::process) fn end(text: &str) -> Endpoint {
        let address: std::net::SocketAddr = text.parse().unwrap();
        Endpoint { ip: address.ip(), port: address.port() }
    }

    /// The kernel's form of an end: words in this machine's byte order.
    fn hex(end: Endpoint, as_v6: bool) -> String {
        let mut bytes = match end.ip {
            IpAddr::V4(ip) if as_v6 => ip.to_ipv6_mapped().octets().to_vec(),
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        if cfg!(target_endian = "little") {
            bytes.chunks_exact_mut(4).for_each(<[u8]>::reverse);
        }
        let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02X}")).collect();
        format!("{}:{:04X}", digits.concat(), end.port)
    }

    pub(in crate::process) fn line(own: &str, peer: &str, as_v6: bool, inode: u64) -> String {
        let (own, peer) = (hex(end(own), as_v6), hex(end(peer), as_v6));
        format!(
            "   3: {own} {peer} 01 00000000:00000000 00:00000000 00000000  1000        0 {inode} 1 0 20 0\n"
        )
    }

    #[test]
    fn lines_of_the_kernel() {
        let text = line("127.0.0.1:8080", "10.1.2.3:555", false, 77);
        let expected = Socket {
            own: end("127.0.0.1:8080"),
            peer: Some(end("10.1.2.3:555")),
            network: Network::Tcp,
            inode: 77,
        };
        assert_eq!(socket(&text, Network::Tcp).unwrap(), expected);
        let mapped = line("127.0.0.1:8080", "10.1.2.3:555", true, 77);
        assert_eq!(socket(&mapped, Network::Tcp).unwrap(), expected);
        let six = socket(&line("[fd00::1]:80", "[::]:0", true, 5), Network::Udp).unwrap();
        assert_eq!((six.own, six.peer), (end("[fd00::1]:80"), None));
        assert_eq!(socket(&line("1.1.1.1:1", "2.2.2.2:2", false, 0), Network::Tcp), None);
        for cut in 0..text.len() - 20 {
            assert_eq!(socket(&text[..cut], Network::Tcp), None);
        }
        for wrong in ["sl local rem", "1: zz:1 0:0", "1: 0100007F:10000 0100007F:1", "1: é100007F:1 0:0"] {
            assert_eq!(socket(wrong, Network::Tcp), None);
        }
    }

    /// A `/proc` with two processes and their sockets.
    pub(in crate::process) fn fake(sockets: &str) -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("net")).unwrap();
        fs::write(proc.path().join("net/tcp"), sockets).unwrap();
        for (pid, name, inode) in [(10, "client", 1), (20, "server\u{1b}", 2), (20, "server\u{1b}", 3)] {
            let folder = proc.path().join(pid.to_string());
            fs::create_dir_all(folder.join("fd")).unwrap();
            fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
            std::os::unix::fs::symlink(
                format!("socket:[{inode}]"),
                folder.join("fd").join(inode.to_string()),
            )
            .unwrap();
            let _ = std::os::unix::fs::symlink("/dev/null", folder.join("fd/0"));
        }
        proc
    }
}
