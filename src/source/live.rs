//! Live capture with libpcap.
//!
//! Each interface has its own handle. One thread reads all handles without blocking and polls them with a short time-out, so
//! a silent interface neither delays the others nor keeps the program from exiting. The kernel delivers packets in blocks,
//! when a block is full or after a few milliseconds, which keeps the cost per packet low.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ::pcap::{Active, Capture, Device, Error, Linktype, PacketHeader, Precision};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

#[cfg(target_os = "linux")]
use super::descriptors::Occupied;
use super::{Batch, CapturePoint, LinkType, Record, Source, SourceError, privileges};
use crate::time::Timestamp;

/// Maximum time that the kernel holds a block that is not full.
const BLOCK: Duration = Duration::from_millis(40);
/// Maximum time that a read waits before it returns a tick.
const PATIENCE: Duration = Duration::from_millis(60);
/// Maximum number of packets taken from one interface before the next one has its turn.
const TURN: usize = 64;
/// Approximate size of a batch in bytes.
const BATCH: usize = 256 * 1024;
/// Default kernel buffer of each interface, in bytes. libpcap's default of 2 MiB lasts only a few milliseconds on a fast
/// network.
const BUFFER: u32 = 32 << 20;
/// Default snap length in bytes, as in tcpdump: segmentation offload makes packets larger than any MTU.
const SNAP_LEN: u32 = 262_144;
/// Maximum time to wait for packets from before the end; a clock that was set back must not delay the exit.
const MAX_LAST_CALL: Duration = Duration::from_secs(10);
/// How often drop counters are read and vanished interfaces are looked for.
const HOUSEKEEPING: Duration = Duration::from_millis(500);
/// Maximum number of interfaces distinguished behind `any`.
const MAX_INTERFACES: usize = 4096;
/// The link type of `any` that includes the interface index.
const COOKED_V2: LinkType = LinkType(276);

/// What to capture.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names of interfaces; `any` is all of them (Linux).
    pub interfaces: Vec<String>,
    /// Capture filter in libpcap's syntax.
    pub filter: Option<String>,
    /// Bytes to take of each packet.
    pub snap_len: Option<u32>,
    /// Kernel buffer of each interface, in bytes.
    pub buffer_size: Option<u32>,
    /// Leave the interface in its normal mode.
    pub no_promiscuous: bool,
    /// Ends the capture when set; packets that the kernel holds are still read.
    pub stop: Arc<AtomicBool>,
    /// The process will be in a sandbox, where a vanished interface can't be opened again.
    pub is_sealed: bool,
}

/// Why a capture could not begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Refusal {
    /// An invalid capture filter: wrong usage.
    #[error("{0}")]
    Filter(String),
    /// An interface can't be opened: why, and what to do.
    #[error("{0}")]
    Interface(String),
}

impl Refusal {
    pub(super) fn filter(expression: &str, error: &Error) -> Self {
        Self::Filter(format!("the capture filter `{expression}` is wrong: {}", text(error)))
    }
}

/// Lost packets, by where they were lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// Dropped by the kernel because its buffer was full.
    pub kernel: u64,
    /// Dropped by the interface or its driver.
    pub interface: u64,
    /// Dropped by this program because its queue was full.
    pub own: u64,
    /// Shortened to their headers by this program because its queue was filling up.
    pub shortened: u64,
    /// Analysed, but missing in the `-w` file because it could not be written.
    pub unwritten: u64,
}

impl Drops {
    /// All dropped packets.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.kernel + self.interface + self.own
    }
}

/// Counts of lost packets, shared between threads.
#[derive(Debug, Default)]
pub struct Counters {
    kernel: AtomicU64,
    interface: AtomicU64,
    own: AtomicU64,
    shortened: AtomicU64,
    unwritten: AtomicU64,
    waiting: AtomicU64,
}

impl Counters {
    /// Batches of packets that wait for the analysis.
    pub fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn set_waiting(&self, batches: usize) {
        self.waiting.store(batches as u64, Ordering::Relaxed);
    }

    /// The current counts.
    pub fn drops(&self) -> Drops {
        Drops {
            kernel: self.kernel.load(Ordering::Relaxed),
            interface: self.interface.load(Ordering::Relaxed),
            own: self.own.load(Ordering::Relaxed),
            shortened: self.shortened.load(Ordering::Relaxed),
            unwritten: self.unwritten.load(Ordering::Relaxed),
        }
    }

    pub(super) fn dropped(&self, packets: usize) {
        self.own.fetch_add(packets as u64, Ordering::Relaxed);
    }

    pub(super) fn shortened(&self, packets: usize) {
        self.shortened.fetch_add(packets as u64, Ordering::Relaxed);
    }

    /// Sets the number of packets that could not be written.
    pub(super) fn unwritten(&self, packets: u64) {
        self.unwritten.store(packets, Ordering::Relaxed);
    }
}

/// An interface of this host.
#[derive(Clone, Debug)]
pub struct HostInterface {
    /// Its name, for `-i`.
    pub name: String,
    /// What libpcap says about it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<std::net::IpAddr>,
    /// Whether it is up.
    pub is_up: bool,
    /// Whether it is the loopback interface.
    pub is_loopback: bool,
}

/// The interfaces of this host in libpcap's order: the most useful ones first.
pub fn interfaces() -> Result<Vec<HostInterface>, Refusal> {
    let devices = Device::list().map_err(|error| Refusal::Interface(text(&error)))?;
    Ok(devices
        .into_iter()
        .map(|device| HostInterface {
            is_up: device.flags.is_up(),
            is_loopback: device.flags.is_loopback(),
            addresses: device.addresses.iter().map(|address| address.addr).collect(),
            name: device.name,
            description: device.desc,
        })
        .collect())
}

/// Opens the interfaces, all or none.
pub fn open(options: Options) -> Result<LiveSource, Refusal> {
    let mut source = LiveSource {
        options,
        handles: Vec::new(),
        gone: Vec::new(),
        names: Vec::new(),
        kernel_indices: Vec::new(),
        packets: 0,
        counters: Arc::default(),
        checked: Instant::now(),
        last_call: None,
        troubles: Vec::new(),
        sealed_from: None,
    };
    #[cfg(target_os = "linux")]
    let _occupied = source.seal()?;
    for name in source.options.interfaces.clone() {
        let number = source.number(&name);
        if source.handles.iter().any(|handle| handle.number == number) {
            continue;
        }
        let handle = Handle::open(&name, number, &source.options)?;
        source.handles.push(handle);
    }
    Ok(source)
}

/// Live interfaces; made by [`open`].
///
/// Packets of different interfaces are sorted by time within a batch. Between batches, one interface may run ahead of another
/// by a few milliseconds, because the kernel delivers blocks.
pub struct LiveSource {
    options: Options,
    handles: Vec<Handle>,
    /// Vanished interfaces, by name and number.
    gone: Vec<(String, u32)>,
    /// Name of each interface, by its number.
    names: Vec<String>,
    /// Kernel indices of the interfaces behind `any`, and their numbers here.
    kernel_indices: Vec<(u32, u32)>,
    packets: u64,
    counters: Arc<Counters>,
    checked: Instant,
    /// Set when the capture is ending.
    last_call: Option<LastCall>,
    troubles: Vec<SourceError>,
    /// The lowest number of the descriptors, if the process will be in a sandbox.
    sealed_from: Option<u32>,
}

impl LiveSource {
    /// The descriptors of the interfaces.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.handles.iter().map(|handle| handle.capture.as_fd())
    }

    /// From this number on, descriptors are those of interfaces, on which nothing is ever sent. `None` if the process will not be in a
    /// sandbox, which denies it.
    #[must_use]
    pub fn sealed_from(&self) -> Option<u32> {
        self.sealed_from
    }

    /// Gives the interfaces that are opened next descriptors with numbers of their own, as long as the result lives.
    #[cfg(target_os = "linux")]
    fn seal(&mut self) -> Result<Option<Occupied>, Refusal> {
        if !self.options.is_sealed {
            return Ok(None);
        }
        let occupied = Occupied::new().map_err(|error| {
            Refusal::Interface(format!("no descriptors that can't send: {error}; --no-sandbox needs none"))
        })?;
        self.sealed_from = Some(occupied.lowest());
        Ok(Some(occupied))
    }

    /// Counts of lost packets, shared with other threads.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    fn number(&mut self, name: &str) -> u32 {
        if let Some(known) = self.names.iter().position(|known| known == name) {
            return known as u32;
        }
        self.names.push(name.to_owned());
        self.names.len() as u32 - 1
    }

    /// Reads all interfaces in turn until no packets are left or the batch is full.
    fn collect(&mut self, batch: &mut Batch) {
        let mut more = true;
        while more && batch.data.len() < BATCH {
            more = false;
            let mut i = 0;
            while let Some(handle) = self.handles.get_mut(i) {
                match handle.take(batch) {
                    Ok(n) => {
                        more |= n > 0;
                        i += 1;
                    }
                    Err(error) => self.lose(i, &error),
                }
            }
        }
    }

    /// Handles the failure of an interface: it is down, perhaps for a while, or gone.
    fn lose(&mut self, i: usize, error: &Error) {
        let handle = self.handles.remove(i);
        let others = match self.handles.len() {
            0 => "",
            _ => "; the others go on",
        };
        self.troubles.push(SourceError(format!("{}: {}{others}", handle.name, text(error))));
        self.gone.push((handle.name, handle.number));
    }

    /// Waits for packets on any interface, with a time-out.
    fn wait(&self) {
        let mut fds: Vec<PollFd<'_>> = self
            .descriptors()
            .map(|descriptor| PollFd::from_borrowed_fd(descriptor, PollFlags::IN))
            .collect();
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(PATIENCE.subsec_nanos()) };
        // If the wait fails, for example because of a signal, the next one follows soon.
        let _ = poll(&mut fds, Some(&timeout));
    }

    fn count(&mut self) {
        for handle in &mut self.handles {
            handle.count(&self.counters);
        }
    }

    /// Updates drop counters and reopens interfaces that came back.
    fn keep_house(&mut self) {
        if self.checked.elapsed() < HOUSEKEEPING {
            return;
        }
        self.checked = Instant::now();
        self.count();
        let back = self.gone.iter().position(|(name, _)| exists(name));
        if let Some(at) = back.filter(|_| !self.handles.is_empty()) {
            let (name, number) = self.gone.swap_remove(at);
            let opened = if self.options.is_sealed {
                Err(format!(
                    "{name}: is back, but the sandbox keeps it closed: start again, or with --no-sandbox to have interfaces \
                     opened again"
                ))
            } else {
                Handle::open(&name, number, &self.options)
                    .map_err(|refusal| format!("{refusal} (the interface had vanished and is back)"))
            };
            let text = match opened {
                Ok(handle) => {
                    self.handles.push(handle);
                    format!("{name}: is back; capturing it again")
                }
                Err(text) => text,
            };
            self.troubles.push(SourceError(text));
        }
    }

    /// Sorts and numbers the packets, and identifies the interfaces behind `any`.
    fn arrange(&mut self, batch: &mut Batch) {
        if !batch.records.is_sorted_by_key(|record| record.time) {
            batch.records.sort_by_key(|record| record.time);
        }
        let Batch { data, records, .. } = batch;
        for record in records {
            self.packets += 1;
            record.number = self.packets;
            // ┌ protocol 2 │ reserved 2 │ interface index 4 │ …
            let index = data.get(record.offset as usize + 4..).and_then(<[u8]>::first_chunk::<4>);
            if record.link == COOKED_V2
                && let Some(index) = index
            {
                record.interface = self.behind_any(u32::from_be_bytes(*index), record.interface);
            }
        }
    }

    /// The number of the interface with kernel index `index`.
    fn behind_any(&mut self, index: u32, otherwise: u32) -> u32 {
        if let Some((_, number)) = self.kernel_indices.iter().find(|(known, _)| *known == index) {
            return *number;
        }
        if self.kernel_indices.len() >= MAX_INTERFACES {
            return otherwise;
        }
        let name = self.kernel_name(index).unwrap_or_else(|| format!("interface {index}"));
        let number = self.number(&name);
        self.kernel_indices.push((index, number));
        number
    }
}

impl LiveSource {
    /// The name of the network interface with this index. The kernel is asked through an open interface, because the sandbox
    /// allows no new socket.
    #[cfg(target_os = "linux")]
    fn kernel_name(&self, index: u32) -> Option<String> {
        let handle = self.handles.first()?;
        rustix::net::netdevice::index_to_name(&handle.capture, index).ok()
    }

    /// Other systems have no interface `any`.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "Linux asks through a handle")]
    fn kernel_name(&self, _: u32) -> Option<String> {
        None
    }
}

impl Source for LiveSource {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        batch.clear();
        if self.options.stop.load(Ordering::Relaxed) {
            self.finish();
        }
        let mut now = Timestamp::now();
        self.collect(batch);
        if batch.records.is_empty() && !self.handles.is_empty() {
            self.wait();
            now = Timestamp::now();
            self.collect(batch);
        }
        if batch.data.len() < BATCH {
            // The kernel may hold younger packets in its blocks.
            batch.now = Some(Timestamp(now.0 - 2 * BLOCK.as_nanos() as i64));
        }
        self.keep_house();
        self.arrange(batch);
        if self.last_call.is_some_and(|last_call| last_call.is_over(batch)) {
            self.count();
            self.handles.clear();
        }
        Ok(!self.handles.is_empty() || !batch.records.is_empty())
    }

    fn finish(&mut self) -> bool {
        self.last_call.get_or_insert_with(LastCall::new);
        true
    }

    fn troubles(&mut self) -> Vec<SourceError> {
        std::mem::take(&mut self.troubles)
    }

    fn interface_name(&self, interface: u32) -> Option<&str> {
        self.names.get(interface as usize).map(String::as_str)
    }
}

impl Drop for LiveSource {
    /// Updates the drop counters a last time.
    fn drop(&mut self) {
        self.count();
    }
}

/// The time at which the end of a capture was requested. Earlier packets may still be in the kernel: in a block that is not
/// full, or in a backlog if writing is slow.
#[derive(Clone, Copy, Debug)]
struct LastCall {
    asked: Instant,
    time: Timestamp,
}

impl LastCall {
    fn new() -> Self {
        Self { asked: Instant::now(), time: Timestamp::now() }
    }

    /// Whether all packets from before the request have been read; `batch` is the latest batch.
    fn is_over(self, batch: &Batch) -> bool {
        let waited = self.asked.elapsed();
        waited >= MAX_LAST_CALL
            || waited >= 2 * BLOCK && batch.records.iter().all(|record| record.time > self.time)
    }
}

struct Handle {
    name: String,
    number: u32,
    capture: Capture<Active>,
    link: LinkType,
    /// Nanoseconds per unit of the fraction in libpcap's time stamps.
    unit: i64,
    /// Drops counted so far: kernel, interface.
    counted: (u32, u32),
}

impl Handle {
    fn open(name: &str, number: u32, options: &Options) -> Result<Self, Refusal> {
        let refuse = |error: &Error| refusal(name, error);
        // libpcap warns that `any` is never promiscuous, and the binding treats warnings as errors.
        let promiscuous = !options.no_promiscuous && name != "any";
        let capture =
            activate(name, promiscuous, options)
                .or_else(|error| {
                    if promiscuous { activate(name, false, options).map_err(|_| error) } else { Err(error) }
                })
                .map_err(|error| refuse(&error))?;
        let mut capture = capture.setnonblock().map_err(|error| refuse(&error))?;
        if name == "any" {
            // Only the newer link type includes the interface. If it is not available, the older one has to do.
            let _ = capture.set_datalink(Linktype(i32::from(COOKED_V2.0)));
        }
        if let Some(filter) = &options.filter {
            capture.filter(filter, true).map_err(|error| Refusal::filter(filter, &error))?;
        }
        let link = match capture.get_datalink().0 {
            // Raw IP has different numbers in the API and in files.
            12 | 14 => LinkType(101),
            number => LinkType(number as u16),
        };
        let unit = if is_exact(name) { 1 } else { 1000 };
        Ok(Self { name: name.to_owned(), number, capture, link, unit, counted: (0, 0) })
    }

    /// Reads one turn's packets and returns their number.
    fn take(&mut self, batch: &mut Batch) -> Result<usize, Error> {
        let Self { number, link, unit, .. } = *self;
        self.capture.dispatch(Some(TURN), |packet| {
            let offset = batch.data.len() as u32;
            batch.data.extend_from_slice(packet.data);
            batch.records.push(Record {
                number: 0,
                time: time(packet.header, unit),
                link,
                interface: number,
                capture_point: CapturePoint::default(),
                wire_len: packet.header.len.max(packet.data.len() as u32),
                offset,
                len: packet.data.len() as u32,
            });
        })
    }

    fn count(&mut self, counters: &Counters) {
        let Ok(stat) = self.capture.stats() else { return };
        let before = std::mem::replace(&mut self.counted, (stat.dropped, stat.if_dropped));
        // libpcap's counters have 32 bits and wrap around.
        counters.kernel.fetch_add(u64::from(stat.dropped.wrapping_sub(before.0)), Ordering::Relaxed);
        counters.interface.fetch_add(u64::from(stat.if_dropped.wrapping_sub(before.1)), Ordering::Relaxed);
    }
}

fn activate(name: &str, promiscuous: bool, options: &Options) -> Result<Capture<Active>, Error> {
    // As in tcpdump, 0 is no limit.
    let snap_len = options.snap_len.filter(|len| *len > 0).unwrap_or(SNAP_LEN).min(SNAP_LEN);
    let buffer = options.buffer_size.unwrap_or(BUFFER);
    let capture = Capture::from_device(name)?
        .promisc(promiscuous)
        .timeout(BLOCK.as_millis() as i32)
        .buffer_size(i32::try_from(buffer).unwrap_or(i32::MAX))
        .snaplen(snap_len as i32);
    let precision = if is_exact(name) { Precision::Nano } else { Precision::Micro };
    capture.precision(precision).open()
}

/// Whether time stamps of this interface have nanoseconds. The binding doesn't return the granted precision, so this requests
/// nanoseconds only from packet sockets of Linux, where libpcap 1.5 and later have them.
fn is_exact(name: &str) -> bool {
    cfg!(target_os = "linux") && (name == "any" || exists(name))
}

/// Whether a network interface of this name exists.
fn exists(name: &str) -> bool {
    if cfg!(target_os = "linux") {
        !name.contains('/') && Path::new("/sys/class/net").join(name).exists()
    } else {
        interfaces().is_ok_and(|all| all.iter().any(|interface| interface.name == name))
    }
}

/// The time of a packet. With nanosecond precision, libpcap uses the microseconds field for nanoseconds.
#[allow(clippy::unnecessary_cast, reason = "the two fields have other types on other systems")]
fn time(header: &PacketHeader, unit: i64) -> Timestamp {
    let (seconds, fraction) = (header.ts.tv_sec as i64, header.ts.tv_usec as i64);
    Timestamp(seconds.saturating_mul(1_000_000_000).saturating_add(fraction * unit))
}

/// Why an interface can't be opened, and what to do.
fn refusal(name: &str, error: &Error) -> Refusal {
    let libpcap = text(error);
    let lower = libpcap.to_ascii_lowercase();
    let denied = ["not permitted", "permission", "cap_net_raw"].iter().any(|word| lower.contains(word));
    Refusal::Interface(if denied {
        privileges::missing(name, &libpcap)
    } else if lower.contains("no such device") {
        let known: Vec<String> =
            interfaces().unwrap_or_default().into_iter().map(|interface| interface.name).collect();
        format!("{name}: no such interface; there are {}", known.join(", "))
    } else {
        format!("{name}: {libpcap}")
    })
}

/// libpcap's error text.
fn text(error: &Error) -> String {
    match error {
        Error::PcapError(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::decode::{Decoded, Decoder};

    /// Opens interfaces, or prints why the test can't run here.
    fn opened(interfaces: &[&str], filter: &str) -> Option<LiveSource> {
        let options = Options {
            interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
            filter: Some(filter.to_owned()),
            ..Options::default()
        };
        match open(options) {
            Ok(source) => Some(source),
            Err(refusal) => {
                assert!(
                    !nix::unistd::geteuid().is_root() || refusal.to_string().contains("CAP_NET_RAW"),
                    "{refusal}"
                );
                eprintln!("skipped: {refusal}");
                None
            }
        }
    }

    /// Sends datagrams over loopback and returns the captured ones: interface name, time, payload.
    fn seen(interface: &str) -> Option<Vec<(String, Timestamp, Vec<u8>)>> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut source = opened(&[interface], &format!("udp port {}", address.port()))?;
        for i in 0..3_u8 {
            socket.send_to(&[i; 9], address).unwrap();
        }
        let (mut batch, mut decoder, mut seen) = (Batch::default(), Decoder::default(), Vec::new());
        // Some ticks: much longer than the kernel may keep a block.
        for _ in 0..50 {
            assert!(source.next_batch(&mut batch).unwrap());
            for packet in batch.packets() {
                let name = source.interface_name(packet.interface).unwrap().to_owned();
                let Decoded::Segment(segment) = decoder.decode(&packet) else { panic!("{packet:?}") };
                seen.push((name, packet.time, segment.payload.to_vec()));
            }
            if seen.len() >= 3 {
                break;
            }
        }
        source.options.stop.store(true, Ordering::Relaxed);
        while source.next_batch(&mut batch).unwrap() {}
        assert_eq!(source.troubles().len(), 0);
        assert_eq!(source.counters().drops(), Drops::default());
        Some(seen)
    }

    #[test]
    fn packets_of_loopback_arrive_with_the_time_of_day() {
        for interface in ["lo", "any"] {
            let Some(seen) = seen(interface) else { return };
            // `any` may see a packet twice: sent and received.
            assert!(seen.len() >= 3, "{seen:?}");
            assert!(seen.iter().all(|(name, ..)| name == "lo"), "{seen:?}");
            for i in 0..3 {
                assert!(seen.iter().any(|(.., payload)| *payload == [i; 9]), "{seen:?}");
            }
            let now = Timestamp::now();
            // A wrong unit would show here: microseconds taken for nanoseconds are up to a second late.
            assert!(seen.iter().all(|(_, time, _)| (now - *time).abs() < 60_000_000_000), "{seen:?}");
            assert!(seen.iter().any(|(_, time, _)| time.0 % 1000 != 0), "{seen:?}");
        }
    }

    /// A pair of interfaces that exists during a test.
    #[cfg(target_os = "linux")]
    struct Pair(String);

    #[cfg(target_os = "linux")]
    impl Pair {
        /// `None` without the privilege to add interfaces.
        fn new() -> Option<Self> {
            let pair = Self(format!("t{}", std::process::id()));
            pair.make().then_some(pair)
        }

        fn make(&self) -> bool {
            let peer = format!("{}p", self.0);
            ip(&["link", "add", &self.0, "type", "veth", "peer", "name", &peer])
                && ip(&["link", "set", &self.0, "up"])
        }

        fn take_away(&self) -> bool {
            ip(&["link", "del", &self.0])
        }
    }

    #[cfg(target_os = "linux")]
    impl Drop for Pair {
        fn drop(&mut self) {
            self.take_away();
        }
    }

    #[cfg(target_os = "linux")]
    fn ip(arguments: &[&str]) -> bool {
        let output = std::process::Command::new("ip").args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_vanished_interface_is_reported_and_the_others_go_on() {
        let Some(pair) = Pair::new() else {
            eprintln!("skipped: no privilege to add a network interface");
            return;
        };
        let Some(mut source) = opened(&["lo", "lo", &pair.0], "udp port 9") else { return };
        assert_eq!(source.handles.len(), 2, "an interface is opened once");
        let report = |source: &mut LiveSource| {
            let mut batch = Batch::default();
            // Some ticks: the kernel reports at once, and interfaces are checked twice a second.
            for _ in 0..200 {
                assert!(source.next_batch(&mut batch).unwrap());
                if let Some(trouble) = source.troubles().pop() {
                    return trouble.to_string();
                }
            }
            panic!("nothing was reported");
        };
        assert!(pair.take_away());
        let gone = report(&mut source);
        assert!(gone.starts_with(&pair.0) && gone.ends_with("; the others go on"), "{gone}");
        assert_eq!(source.handles.len(), 1);
        assert!(pair.make());
        assert_eq!(report(&mut source), format!("{}: is back; capturing it again", pair.0));
        assert_eq!(source.handles.len(), 2);
        // In a sandbox it stays closed, and that is said once.
        source.options.is_sealed = true;
        assert!(pair.take_away());
        assert!(report(&mut source).ends_with("; the others go on"));
        assert!(pair.make());
        let back = report(&mut source);
        assert!(back.starts_with(&pair.0) && back.contains("--no-sandbox"), "{back}");
        assert_eq!((source.handles.len(), source.gone.len()), (1, 0));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let options = |name: &str, filter: &str| Options {
            interfaces: vec![name.into()],
            filter: Some(filter.into()),
            ..Options::default()
        };
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let refusal = open(options("no-such-nic", "tcp")).err().unwrap().to_string();
        assert!(
            refusal.contains("no-such-nic: no such interface; there are ") && refusal.contains("lo"),
            "{refusal}"
        );
        match open(options("lo", "tcp prot 80")).err().unwrap() {
            Refusal::Filter(text) => assert!(text.contains("syntax error"), "{text}"),
            Refusal::Interface(text) => assert!(text.contains("CAP_NET_RAW"), "{text}"),
        }
    }

    #[test]
    fn interfaces_are_listed() {
        let all = interfaces().unwrap();
        assert!(all.iter().any(|interface| interface.is_loopback && interface.is_up), "{all:?}");
    }
}
