//! Finds the local processes at both ends of a connection, from `/proc` (Linux only).
//!
//! The kernel lists sockets with their addresses and inode (`/proc/net/tcp`), and each process lists its descriptors, which
//! name the inode (`/proc/PID/fd`). A separate thread has both lists scanned when an unknown connection is looked up: by
//! itself, or in a sandbox, where other processes can't be seen, by a small process that does nothing else
//! ([`crate::helper`]). It pauses long enough between scans to use at most a twentieth of one core. A scan sees only sockets in
//! its own network namespace and processes whose descriptors it may read. The cgroups of a process say in which container and pod it runs.

mod cgroup;
mod scan;
pub(crate) mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use hashbrown::{HashMap, HashSet};

pub(crate) use self::scan::{HeldSocket, Scanner};
use self::scan::{MAX_SOCKETS, canonical};
use crate::calls::record::Process;
use crate::decode::{Endpoint, Network};

/// Minimum pause between two scans.
const PAUSE: Duration = Duration::from_millis(200);
/// The pause after a scan, as a multiple of the time the scan took.
const PAUSE_FACTOR: u32 = 19;
/// How long a socket is remembered after it was last seen: a call may be reported after its connection has closed.
const MEMORY: Duration = Duration::from_secs(60);

/// Finds processes by the addresses of their sockets.
#[derive(Debug)]
pub struct Processes {
    known: Arc<Mutex<Arc<SocketTable>>>,
    wanted: Sender<()>,
}

impl Processes {
    /// Starts the thread that calls `scan` on demand. It ends when this is dropped or `scan` fails; what it found stays known.
    pub(crate) fn start(
        scan: impl FnMut() -> io::Result<Vec<HeldSocket>> + Send + 'static,
    ) -> io::Result<Self> {
        let known = Arc::new(Mutex::new(Arc::new(SocketTable::default())));
        let (wanted, asked) = bounded(1);
        let published = Arc::clone(&known);
        std::thread::Builder::new()
            .name("processes".into())
            .spawn(move || scan_on_demand(scan, &asked, &published))?;
        Ok(Self { known, wanted })
    }

    /// The processes at both ends of a connection, as far as they are known now. An unknown end triggers a scan, so call this
    /// when a connection opens to have the answer when its calls end.
    #[must_use]
    pub fn at(&self, ends: [Endpoint; 2], network: Network) -> [Option<Process>; 2] {
        let known = Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner));
        let [a, b] = ends.map(canonical);
        let found = [known.holder(a, b, network), known.holder(b, a, network)];
        let is_complete = known.has(a, b, network) && known.has(b, a, network);
        if !is_complete {
            // A full channel means that a scan is already due.
            let _ = self.wanted.try_send(());
        }
        found
    }
}

fn scan_on_demand(
    mut scan: impl FnMut() -> io::Result<Vec<HeldSocket>>,
    asked: &Receiver<()>,
    published: &Mutex<Arc<SocketTable>>,
) {
    let mut known = SocketTable::default();
    while asked.recv().is_ok() {
        let begun = Instant::now();
        let Ok(sockets) = scan() else { return };
        known.update(sockets, begun);
        *published.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(known.clone());
        std::thread::sleep(PAUSE.max(begun.elapsed() * PAUSE_FACTOR));
    }
}

/// Scans `/proc` in this process.
pub(crate) fn scanning() -> impl FnMut() -> io::Result<Vec<HeldSocket>> + Send + 'static {
    let mut scanner = Scanner::default();
    move || Ok(scanner.scan(Path::new("/proc")))
}

/// A socket's own end, the other end, and the kind.
type Pair = (Endpoint, Endpoint, Network);

/// The sockets found by recent scans and their processes.
#[derive(Clone, Debug, Default)]
struct SocketTable {
    /// The process of each connected socket, and when it was last seen. `None`: no process whose descriptors are readable.
    connected: HashMap<Pair, (Option<Process>, Instant)>,
    /// The process of each listening or unconnected socket.
    bound: HashMap<(Endpoint, Network), Option<Process>>,
    /// Local addresses in use by sockets.
    local: HashSet<IpAddr>,
}

impl SocketTable {
    fn has(&self, own: Endpoint, peer: Endpoint, network: Network) -> bool {
        self.connected.contains_key(&(own, peer, network))
    }

    fn holder(&self, own: Endpoint, peer: Endpoint, network: Network) -> Option<Process> {
        if let Some((process, _)) = self.connected.get(&(own, peer, network)) {
            return process.clone();
        }
        // The connection is closed, or this is a datagram socket: the process bound to this address owns it, if it is local.
        if !own.ip.is_loopback() && !self.local.contains(&own.ip) {
            return None;
        }
        let everywhere = [own.ip, Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
        let mut bound = everywhere.iter().map(|ip| (Endpoint { ip: *ip, ..own }, network));
        bound.find_map(|end| self.bound.get(&end)).cloned().flatten()
    }

    /// Adds the sockets of a scan. Connected ones are remembered for a while, bound ones until the next scan.
    fn update(&mut self, sockets: Vec<HeldSocket>, now: Instant) {
        self.bound.clear();
        self.connected.retain(|_, (_, seen)| now.duration_since(*seen) < MEMORY);
        for HeldSocket { own, peer, network, process } in sockets {
            match peer {
                Some(peer) => {
                    self.local.insert(own.ip);
                    if self.connected.len() < MAX_SOCKETS {
                        self.connected.insert((own, peer, network), (process, now));
                    }
                }
                None => {
                    self.bound.insert((own, network), process);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::scan::tests::{end, fake, line};
    use super::*;

    #[test]
    fn both_ends_and_the_listener_for_what_is_gone() {
        let lines = [
            line("10.0.0.1:4000", "10.0.0.1:80", false, 1),
            line("10.0.0.1:80", "10.0.0.1:4000", false, 2),
            line("0.0.0.0:80", "0.0.0.0:0", false, 3),
            line("10.0.0.1:90", "10.0.0.1:91", false, 99),
        ];
        let proc = fake(&lines.concat());
        let (mut known, mut scanner, now) = (SocketTable::default(), Scanner::default(), Instant::now());
        known.update(scanner.scan(proc.path()), now);
        let holder = |known: &SocketTable, own: &str, peer: &str| {
            known.holder(end(own), end(peer), Network::Tcp).map(|process| process.pid)
        };
        assert_eq!(holder(&known, "10.0.0.1:4000", "10.0.0.1:80"), Some(10));
        assert_eq!(holder(&known, "10.0.0.1:80", "10.0.0.1:4000"), Some(20));
        // A connection that was never listed: its server still listens there.
        assert_eq!(holder(&known, "10.0.0.1:80", "10.0.0.1:4001"), Some(20));
        assert_eq!(holder(&known, "10.0.0.1:4001", "10.0.0.1:80"), None);
        // The same port on another host is not local.
        assert_eq!(holder(&known, "10.0.0.2:80", "10.0.0.1:4000"), None);
        // No readable process owns this socket, and that is known.
        assert_eq!(holder(&known, "10.0.0.1:90", "10.0.0.1:91"), None);
        assert!(known.has(end("10.0.0.1:90"), end("10.0.0.1:91"), Network::Tcp));

        // A closed connection is remembered for a while.
        fs::write(proc.path().join("net/tcp"), &lines[2]).unwrap();
        known.update(scanner.scan(proc.path()), now + Duration::from_secs(1));
        assert_eq!(holder(&known, "10.0.0.1:4000", "10.0.0.1:80"), Some(10));
        known.update(scanner.scan(proc.path()), now + MEMORY + Duration::from_secs(2));
        assert_eq!(holder(&known, "10.0.0.1:4000", "10.0.0.1:80"), None);
        assert!(!known.has(end("10.0.0.1:4000"), end("10.0.0.1:80"), Network::Tcp));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, _) = listener.accept().unwrap();
        let [a, b] =
            [client.local_addr(), client.peer_addr()].map(|address| end(&address.unwrap().to_string()));
        let processes = Processes::start(scanning()).unwrap();
        let found = loop {
            if let [Some(a), Some(b)] = processes.at([a, b], Network::Tcp) {
                break [a, b];
            }
            std::thread::yield_now();
        };
        assert!(found.iter().all(|process| process.pid == std::process::id() && !process.name.is_empty()));
    }
}
