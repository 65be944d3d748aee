//! Captures of several hosts: bundled captures taken apart into what each host would have captured, with a network between
//! them and a clock of its own for each. The result must be that of the whole capture.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub(crate) mod fleet;
mod keys;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rpcscope::calls::record::{Call, CalleeView, Class, Finding, Uid};
use rpcscope::capture_point::{self, Survey};
use rpcscope::chains::{self, Chain, Engine, Evidence};
use rpcscope::decode::Endpoint;
use rpcscope::pipeline::{Options, Output};
use rpcscope::source::files;
use rpcscope::source::site::Lead;
use rpcscope::time::Timestamp;

use crate::mangle::file::{self, Format};
use crate::mangle::frame::{self, Captured, Frame};
use crate::support;

/// A network between the hosts.
#[derive(Clone, Copy, Debug)]
struct Net {
    /// By how much the time between packets is stretched, so that there is room for the network between them.
    stretch: i64,
    /// Time that every packet travels at least, nanoseconds.
    delay: i64,
    /// Time that some packets travel longer.
    jitter: u64,
}

const NEAR: Net = Net { stretch: 10, delay: 40_000, jitter: 20_000 };
const FAR: Net = Net { stretch: 200, delay: 1_000_000, jitter: 800_000 };

/// Numbers without order that are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// The clock of a host: nanoseconds ahead at the first packet, and parts per million gained.
#[derive(Clone, Copy, Debug, Default)]
struct Clock(i64, i64);

impl Clock {
    fn shows(self, time: i64, begin: i64) -> i64 {
        time + self.0 + (time - begin) / 1_000_000 * self.1
    }
}

const CLOCKS: [Clock; 5] =
    [Clock(0, 0), Clock(-3_000_000_000, 0), Clock(2_000_000_000, 50), Clock(700_000, -20), Clock(0, 0)];

/// A capture of all hosts at once, with its time stretched.
fn stretched(capture: &str, net: Net) -> Vec<Frame> {
    let mut frames = frame::read(&support::captures().join(capture));
    let begin = frames[0].time;
    for frame in &mut frames {
        frame.time = begin + (frame.time - begin) * net.stretch;
    }
    frames
}

fn captured(frame: &Frame, time: i64) -> Captured {
    /// `LINKTYPE_RAW`.
    const RAW: u16 = 101;
    let data = frame.ip();
    Captured { time, link: RAW, wire_len: data.len() as u32, data }
}

/// The hosts of a capture, in the order in which they appear. Where all have one address, servers are known by their ports.
struct Hosts {
    servers: Vec<(IpAddr, u16)>,
    one_address: bool,
}

impl Hosts {
    fn of(frames: &[Frame]) -> Self {
        let one_address = frames.iter().all(|frame| frame.source.0 == frame.destination.0);
        let mut servers = Vec::new();
        for frame in frames {
            let opens = frame.tcp.is_some_and(|tcp| tcp.has(frame::SYN) && !tcp.has(frame::ACK));
            if opens && !servers.contains(&frame.destination) {
                servers.push(frame.destination);
            }
        }
        Self { servers, one_address }
    }

    fn name(&self, end: (IpAddr, u16)) -> String {
        match self.one_address {
            false => end.0.to_string(),
            true if self.servers.contains(&end) => format!("port-{}", end.1),
            true => "clients".into(),
        }
    }
}

/// What each host captures, its name first: packets it sends before the middle of their way, those it receives after it.
/// `loses` says which packets the capture of a host misses.
fn split(frames: &[Frame], net: Net, loses: &dyn Fn(usize, u64) -> bool) -> Vec<(String, Vec<Captured>)> {
    let hosts = Hosts::of(frames);
    let mut names: Vec<String> = Vec::new();
    let mut files: Vec<Vec<Captured>> = Vec::new();
    let (mut dice, begin) = (Dice(1), frames[0].time);
    for frame in frames {
        let travel = net.delay + dice.roll(net.jitter) as i64;
        for (end, time) in
            [(frame.source, frame.time - travel / 2), (frame.destination, frame.time + travel / 2)]
        {
            let name = hosts.name(end);
            let host = names.iter().position(|known| *known == name).unwrap_or_else(|| {
                names.push(name);
                files.push(Vec::new());
                names.len() - 1
            });
            if !loses(host, dice.roll(1000)) {
                files[host].push(captured(frame, CLOCKS[host % CLOCKS.len()].shows(time, begin)));
            }
        }
    }
    for file in &mut files {
        file.sort_by_key(|packet| packet.time);
    }
    names.into_iter().zip(files).collect()
}

/// Files in a folder that goes with them.
struct Files {
    folder: tempfile::TempDir,
    paths: Vec<PathBuf>,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), paths: Vec::new() }
    }

    fn add(&mut self, name: &str, packets: &[Captured]) {
        let path = self.folder.path().join(name);
        let format = Format::Pcap { big_endian: false, nanoseconds: true };
        std::fs::write(&path, file::write(packets, format)).unwrap();
        self.paths.push(path);
    }

    fn of_hosts(frames: &[Frame], net: Net, loses: &dyn Fn(usize, u64) -> bool) -> Self {
        let mut files = Self::new();
        for (name, packets) in split(frames, net, loses) {
            files.add(&format!("{name}.pcap"), &packets);
        }
        files
    }

    fn survey(&self) -> Survey {
        capture_point::survey(&self.paths, &Arc::default(), &mut |_, _| ())
    }

    fn calls(&self, survey: &Survey, threads: usize) -> Vec<Call> {
        let sites = Arc::new(survey.sites.clone());
        let mut source = files::open(&self.paths, files::Options { sites, ..files::Options::default() });
        let options = Options { threads, metadata: true, ..Options::default() };
        let (outputs, _) = support::outputs(&mut source, &options);
        outputs.into_iter().filter_map(support::call).collect()
    }
}

/// The calls of the whole capture.
fn whole(frames: &[Frame]) -> Vec<Call> {
    let mut files = Files::new();
    let packets: Vec<Captured> = frames.iter().map(|frame| captured(frame, frame.time)).collect();
    files.add("whole.pcap", &packets);
    assert_eq!(files.survey(), Survey::default());
    files.calls(&Survey::default(), 1)
}

/// What must be the same of a call, however it was captured.
fn essence(call: &Call) -> String {
    let mut record = support::record(call);
    for changing in [
        "uid",
        "start",
        "latency_ns",
        "duration_ns",
        "end",
        "network_ns",
        "arrival",
        "work_ns",
        "seen",
        "packets",
        "unknown_name",
    ] {
        record.as_object_mut().unwrap().remove(changing);
    }
    record.to_string()
}

fn essences(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for call in calls {
        *all.entry(essence(call)).or_default() += 1;
    }
    all
}

#[track_caller]
fn assert_same(found: &[Call], expected: &[Call], what: &str) {
    let (found, expected) = (essences(found), essences(expected));
    let count = |of: &BTreeMap<String, usize>, key: &String| of.get(key).copied().unwrap_or(0);
    let missing: Vec<_> = expected.iter().filter(|(key, n)| count(&found, key) < **n).collect();
    let extra: Vec<_> = found.iter().filter(|(key, n)| count(&expected, key) < **n).collect();
    let few = |all: &[(&String, &usize)]| -> Vec<String> {
        all.iter().take(3).map(|(call, _)| (*call).clone()).collect()
    };
    let counts = (missing.len(), extra.len());
    assert!(counts == (0, 0), "{what}: {counts:?} missing {:#?} extra {:#?}", few(&missing), few(&extra));
}

fn chains(calls: Vec<Call>) -> Vec<Chain> {
    let mut chains = Vec::new();
    let mut engine = Engine::new(chains::Options::default());
    for call in calls {
        engine.call(call, &mut |chain| chains.push(chain));
    }
    engine.finish(&mut |chain| chains.push(chain));
    chains
}

/// The shapes of chains: each call with its depth, and where the error began.
fn shapes(chains: &[Chain]) -> Vec<String> {
    let name = |call: &Call| {
        format!(
            "{} {:?} {:?} {:?} {:?}",
            call.server,
            call.service,
            call.method,
            call.class(),
            call.outcome.code
        )
    };
    let mut all: Vec<String> = chains
        .iter()
        .map(|chain| {
            let mut hops: Vec<String> = chain
                .hops
                .iter()
                .map(|hop| format!("{}{}", " ".repeat(hop.depth as usize), name(&hop.call)))
                .collect();
            hops.push(format!("{:?}", chain.origin_call().map(name)));
            hops.join("\n")
        })
        .collect();
    all.sort();
    all
}

/// Shapes that are not among those known.
fn strangers(found: &[String], known: &[String]) -> Vec<String> {
    let mut known = known.to_vec();
    let mut is_strange =
        |shape: &&String| known.iter().position(|other| other == *shape).map(|at| known.remove(at)).is_none();
    found.iter().filter(|shape| is_strange(shape)).cloned().collect()
}

/// The stated uncertainty of each correction, nanoseconds.
fn uncertainties(survey: &Survey) -> Vec<i64> {
    let one = |note: &String| {
        let (_, rest) = note.split_once('±').unwrap_or_else(|| panic!("{note}"));
        let mut words = rest.split_whitespace();
        let number: f64 = words.next().unwrap().parse().unwrap();
        let unit = match words.next().unwrap() {
            "ns" => 1.0,
            "µs" => 1e3,
            "ms" => 1e6,
            _ => 1e9,
        };
        (number * unit) as i64
    };
    survey.notes.iter().map(one).collect()
}

/// What the clock of a step of a correction showed.
fn lead_time(leads: &[Lead], step: &Lead, shown: Timestamp) -> Timestamp {
    let before = leads.iter().take_while(|lead| *lead != step).copied().collect();
    rpcscope::source::site::ClockCorrection { leads: before }.correct(shown)
}

const CHAINS: [&str; 8] = [
    "trpc/chain-mixed.pcap",
    "trpc/chain-business.pcap",
    "trpc/chain-framework.pcap",
    "trpc/chain-java.pcap",
    "trpc/chain-timeout.pcap",
    "kitex/kitex-chains.pcap",
    "grpc/chain-grpc-ttheader-grpc.pcap",
    "grpc/chain-grpc-ttheader-grpc-concurrent.pcap",
];

#[test]
fn chains_of_captures_of_each_host_are_those_of_the_whole() {
    for (capture, net) in CHAINS.iter().flat_map(|capture| [(capture, NEAR), (capture, FAR)]) {
        let frames = stretched(capture, net);
        let files = Files::of_hosts(&frames, net, &|_, _| false);
        assert!(files.paths.len() >= 3, "{capture}");
        let survey = files.survey();
        assert_eq!(survey.sites.len(), files.paths.len(), "{capture}: {:?}", survey.notes);
        let calls = files.calls(&survey, 1);
        let expected = whole(&frames);
        assert_same(&calls, &expected, capture);
        for call in &calls {
            assert_eq!(
                call.callee_view.as_ref().map(|callee_view| callee_view.seen),
                Some(2),
                "{capture}: {call:#?}"
            );
            let answered = matches!(call.class(), Some(Class::Ok | Class::Business | Class::Rpc));
            let network = call.network_time().map(|time| time as i64);
            // Clocks drift while a call lasts.
            let drift = call.latency.unwrap_or(0) as i64 / 1_000_000 * 100 + 1;
            let real = 2 * net.delay - drift..=2 * (net.delay + net.jitter as i64) + drift;
            assert!(
                network.map_or(!answered, |time| real.contains(&time)),
                "{capture}: {network:?} {call:#?}"
            );
        }
        // Stretched, the chains may be harder to find, but not by being captured in several places.
        let known = shapes(&chains(whole(&stretched(capture, Net { stretch: 1, ..net }))));
        let (wrong, more) =
            (strangers(&shapes(&chains(expected)), &known), strangers(&shapes(&chains(calls)), &known));
        assert!(more.len() <= wrong.len(), "{capture}, {net:?}: {more:#?}, of the whole {wrong:#?}");
    }
}

#[test]
fn clocks_are_corrected_within_the_stated_uncertainty() {
    for capture in CHAINS {
        let frames = stretched(capture, NEAR);
        let files = Files::of_hosts(&frames, NEAR, &|_, _| false);
        let survey = files.survey();
        let stated = uncertainties(&survey).into_iter().max().unwrap();
        let (begin, end) = (frames[0].time, frames[frames.len() - 1].time);
        // As long as there are few packets, drift can't be separated from offset.
        let drift = (end - begin) / 1_000_000 * 100;
        assert!(stated <= 2 * (NEAR.delay + NEAR.jitter as i64) + drift, "{capture}: {:?}", survey.notes);
        for (host, path) in files.paths.iter().enumerate() {
            let clock = CLOCKS[host % CLOCKS.len()];
            for time in (0..=20).map(|step| begin + (end - begin) / 20 * step) {
                let shown = Timestamp(clock.shows(time, begin));
                let leads = &survey.sites[path].clock.leads;
                if !leads.iter().all(|lead| (lead.from..=lead.until).contains(&lead_time(leads, lead, shown)))
                {
                    continue;
                }
                // The first file is not corrected, and its clock is right.
                let error = survey.sites[path].clock.correct(shown).0 - time;
                assert!(error.abs() <= stated, "{capture}, host {host}: {error} of {:?}", survey.notes);
            }
        }
    }
}

#[test]
fn what_one_host_misses_the_other_has() {
    for capture in CHAINS {
        let frames = stretched(capture, NEAR);
        let expected = whole(&frames);
        for victim in 0..3 {
            let files = Files::of_hosts(&frames, NEAR, &|host, dice| host == victim && dice < 60);
            let calls = files.calls(&files.survey(), 1);
            assert_same(&calls, &expected, &format!("{capture} without packets of host {victim}"));
        }
    }
}

#[test]
fn a_capture_that_begins_late_or_ends_early_is_made_up_for() {
    for capture in CHAINS {
        let frames = stretched(capture, NEAR);
        let expected = whole(&frames);
        for victim in 0..3 {
            let hosts = split(&frames, NEAR, &|_, _| false);
            let third = hosts[victim].1.len() / 3;
            for (what, part) in [("begin", third..hosts[victim].1.len()), ("end", 0..2 * third)] {
                let mut files = Files::new();
                for (host, (name, packets)) in hosts.iter().enumerate() {
                    let part = if host == victim { part.clone() } else { 0..packets.len() };
                    files.add(&format!("{name}.pcap"), &packets[part]);
                }
                let calls = files.calls(&files.survey(), 1);
                assert_same(&calls, &expected, &format!("{capture} without the {what} of host {victim}"));
            }
        }
    }
}

#[test]
fn what_all_hosts_miss_is_no_other_call_and_no_other_class() {
    for capture in CHAINS {
        let frames = stretched(capture, NEAR);
        let mut expected: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let key = |call: &Call| (call.client, call.server, call.id);
        for call in whole(&frames) {
            expected.entry(key(&call)).or_default().push(call.class());
        }
        let files = Files::of_hosts(&frames, NEAR, &|_, dice| dice < 200);
        for call in files.calls(&files.survey(), 1) {
            let classes = expected.get_mut(&key(&call)).unwrap_or_else(|| panic!("{capture}: {call:#?}"));
            let lossy =
                [Finding::Gap, Finding::MidStream].into_iter().any(|loss| call.findings.contains(loss));
            let at = classes.iter().position(|class| *class == call.class() || lossy);
            let at = at.unwrap_or_else(|| panic!("{capture}: {classes:?} is {call:#?}"));
            classes.remove(at);
        }
    }
}

#[test]
fn all_captures_taken_apart_give_the_same_calls() {
    for path in support::of_one_interface() {
        let capture = path.strip_prefix(support::captures()).unwrap().to_string_lossy().into_owned();
        let frames = stretched(&capture, NEAR);
        let files = Files::of_hosts(&frames, NEAR, &|_, _| false);
        assert_same(&files.calls(&files.survey(), 1), &whole(&frames), &capture);
    }
}

#[test]
fn the_number_of_threads_makes_no_difference() {
    let frames = stretched("kitex/kitex-chains.pcap", NEAR);
    let files = Files::of_hosts(&frames, NEAR, &|host, dice| host == 1 && dice < 30);
    let survey = files.survey();
    let lines = |threads| -> Vec<String> {
        files.calls(&survey, threads).iter().map(|call| support::record(call).to_string()).collect()
    };
    let one = lines(1);
    assert_eq!(lines(2), one);
    assert_eq!(lines(4), one);
}

#[test]
fn a_file_given_twice_is_counted_once() {
    for capture in ["kitex/kitex-chains.pcap", "trpc/trpc-udp.pcap"] {
        let frames = stretched(capture, NEAR);
        let packets: Vec<Captured> = frames.iter().map(|frame| captured(frame, frame.time)).collect();
        let mut files = Files::new();
        files.add("one.pcap", &packets);
        files.add("copy of it.pcap", &packets);
        assert_eq!(files.survey(), Survey::default(), "one capture");
        assert_same(&files.calls(&Survey::default(), 1), &whole(&frames), capture);
        // A copy whose clock was set later is another capture.
        let later: Vec<Captured> =
            packets.iter().map(|packet| Captured { time: packet.time + 5_000, ..packet.clone() }).collect();
        files.paths.pop();
        files.add("later.pcap", &later);
        let survey = files.survey();
        assert_eq!((survey.sites.len(), survey.notes.len()), (2, 1), "{:?}", survey.notes);
        let calls = files.calls(&survey, 1);
        assert_same(&calls, &whole(&frames), capture);
        assert!(calls.iter().all(|call| call.callee_view.is_some() && call.network_time().unwrap_or(0) == 0));
        // By the same name twice it is one file.
        files.paths[1] = files.paths[0].clone();
        assert_eq!(files.survey(), Survey::default());
        assert_same(&files.calls(&Survey::default(), 1), &whole(&frames), capture);
    }
}

#[test]
fn files_that_share_nothing_are_one_capture() {
    let frames = stretched("kitex/kitex-chains.pcap", NEAR);
    let expected = whole(&frames);
    let packets: Vec<Captured> = frames.iter().map(|frame| captured(frame, frame.time)).collect();
    let (early, late) = packets.split_at(packets.len() / 2);
    let is_low = |at: &usize| frames[*at].source < frames[*at].destination;
    let side = |low: bool| -> Vec<Captured> {
        (0..packets.len()).filter(|at| is_low(at) == low).map(|at| packets[at].clone()).collect()
    };
    let (one, other) = (side(true), side(false));
    for (names, parts) in [
        (["a.pcap", "a.pcap1"], [early, late]),
        (["early.pcap", "late.pcap"], [early, late]),
        (["sent.pcap", "received.pcap"], [&one, &other]),
    ] {
        let mut files = Files::new();
        for (name, part) in names.iter().zip(parts) {
            files.add(name, part);
        }
        assert_eq!(files.survey(), Survey::default(), "{names:?}");
        assert_same(&files.calls(&Survey::default(), 1), &expected, names[0]);
    }
    let mut files = Files::new();
    files.paths =
        ["kitex/kitex-chains.pcap", "grpc/grpc-mixed.pcap"].map(|path| support::captures().join(path)).into();
    assert_eq!(files.survey(), Survey::default());
}

#[test]
fn files_of_one_time_without_a_common_connection_are_named() {
    let frames = stretched("kitex/kitex-chains.pcap", NEAR);
    let callee = frames[0].source.max(frames[0].destination);
    let (near, far): (Vec<_>, Vec<_>) =
        frames.iter().partition(|frame| frame.source == callee || frame.destination == callee);
    assert!(!near.is_empty() && !far.is_empty(), "calls of two services");
    let mut files = Files::new();
    for (name, part) in [("near.pcap", &near), ("far.pcap", &far)] {
        let packets: Vec<Captured> = part.iter().map(|frame| captured(frame, frame.time)).collect();
        files.add(name, &packets);
    }
    let survey = files.survey();
    let [note] = &survey.notes[..] else { panic!("{:?}", survey.notes) };
    assert!(
        note.contains("far.pcap shares no packets with the other files") && note.contains("links by time"),
        "{note}"
    );
    assert_same(&files.calls(&survey, 1), &whole(&frames), "near.pcap");
}

#[test]
fn parts_that_overlap_are_one_capture() {
    let frames = stretched("grpc/grpc-mixed.pcap", NEAR);
    let packets: Vec<Captured> = frames.iter().map(|frame| captured(frame, frame.time)).collect();
    let third = packets.len() / 3;
    let mut files = Files::new();
    files.add("early.pcap", &packets[..2 * third]);
    files.add("late.pcap", &packets[third..]);
    assert_eq!(files.survey(), Survey::default());
    assert_same(&files.calls(&Survey::default(), 1), &whole(&frames), "overlapping parts");
}

#[test]
fn rotated_files_of_several_hosts_have_a_clock_for_each_host() {
    let frames = stretched("trpc/chain-mixed.pcap", NEAR);
    let mut files = Files::new();
    for (name, packets) in split(&frames, NEAR, &|_, _| false) {
        for (n, part) in packets.chunks(packets.len().div_ceil(3)).enumerate() {
            files.add(&format!("host{name}-{n}.pcap"), part);
        }
    }
    // Names of hosts may differ in numbers too; packets that files share distinguish them.
    let survey = files.survey();
    assert_same(&files.calls(&survey, 1), &whole(&frames), "chain-mixed in parts");
}

#[test]
fn connections_are_given_once() {
    let frames = stretched("kitex/kitex-chains.pcap", NEAR);
    let files = Files::of_hosts(&frames, NEAR, &|_, _| false);
    let sites = Arc::new(files.survey().sites);
    let mut source = files::open(&files.paths, files::Options { sites, ..files::Options::default() });
    let options = Options { threads: 1, connections: true, ..Options::default() };
    let (outputs, _) = support::outputs(&mut source, &options);
    let opened = frames.iter().filter_map(|frame| frame.tcp).filter(|tcp| tcp.flags == frame::SYN).count();
    let given = outputs.iter().filter(|output| matches!(output, Output::Connection(_))).count();
    assert_eq!(given, opened);
}

#[test]
fn a_folder_of_several_hosts_is_told_apart() {
    let frames = stretched("kitex/kitex-chains.pcap", NEAR);
    let mut files = Files::of_hosts(&frames, NEAR, &|_, _| false);
    files.paths = vec![files.folder.path().to_owned()];
    let survey = files.survey();
    assert_eq!(survey.sites.len(), 3);
    assert_same(&files.calls(&survey, 1), &whole(&frames), "folder");
}

#[test]
fn packets_are_read_again_from_the_capture_that_the_record_is_of() {
    let frames = stretched("trpc/chain-mixed.pcap", NEAR);
    let files = Files::of_hosts(&frames, NEAR, &|_, _| false);
    let sites = Arc::new(files.survey().sites);
    let options = files::Options { sites, ..files::Options::default() };
    let mut source = files::open(&files.paths, options);
    let reread = source.reread().unwrap();
    let (outputs, _) = support::outputs(&mut source, &Options { threads: 1, ..Options::default() });
    for call in outputs.into_iter().filter_map(support::call) {
        let mut packets = reread.packets(call.reading());
        let bodies = rpcscope::payload::BodyDecoder::default();
        let detail = rpcscope::detail::collect(&mut packets, &call, &[], None, &bodies).unwrap();
        let sent: u64 = detail.messages.iter().filter(|m| m.from_client).map(|m| m.size).sum();
        assert_eq!(sent, call.request_bytes, "{call:#?}");
        assert_eq!(detail.messages[0].time, call.start);
        assert!(detail.packets.iter().all(|packet| packet.payload == 0 || packet.time >= call.start));
    }
}

#[test]
fn files_that_cant_be_read_are_no_obstacle() {
    let mut files = Files::of_hosts(&stretched("trpc/chain-business.pcap", NEAR), NEAR, &|_, _| false);
    files.add("empty.pcap", &[]);
    std::fs::write(files.folder.path().join("text.pcap"), "no capture").unwrap();
    files.paths.push(files.folder.path().join("text.pcap"));
    let survey = files.survey();
    assert_eq!(survey.sites.len(), files.paths.len() - 2);
    files.paths.push(Path::new("missing.pcap").to_owned());
    assert_eq!(files.survey(), Survey::default(), "what can be read only once is not compared");
}

/// The program with files of a capture's hosts.
fn program(files: &Files, args: &[&str]) -> std::process::Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.current_dir(files.folder.path()).stdin(std::process::Stdio::null()).args(args);
    command.output().unwrap()
}

#[test]
fn the_program_says_which_clock_it_corrects() {
    let mut files = Files::new();
    let hosts = split(&stretched("kitex/kitex-chains.pcap", NEAR), NEAR, &|_, _| false);
    let names = ["web.pcap", "order.pcap", "stock.pcap"];
    for (name, (_, packets)) in names.iter().zip(&hosts) {
        files.add(name, packets);
    }
    let calls = program(&files, &["calls", names[0], names[1], names[2], "--format", "jsonl"]);
    let said = String::from_utf8(calls.stderr).unwrap();
    let said: Vec<&str> = said.lines().collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].starts_with("rpcscope: order.pcap: clock "), "{said:?}");
    assert!(said[0].contains(" s behind web.pcap, ±") && said[0].ends_with("; corrected"), "{said:?}");
    assert!(
        said[1].contains(" s ahead of web.pcap,") && said[1].contains("by way of order.pcap"),
        "{said:?}"
    );

    let records = String::from_utf8(calls.stdout).unwrap();
    let record = records.lines().find(|line| line.contains("network_ns")).unwrap();
    let record: serde_json::Value = serde_json::from_str(record).unwrap();
    let uid = record["uid"].as_str().unwrap();
    let shown = program(&files, &["show", uid, names[0], names[1], names[2]]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.lines().any(|line| line.trim_start().starts_with("network_time ")), "{shown}");

    // What is exported is the record's own copy of the packets, by the corrected clock.
    let filter = format!("uid == {uid}");
    let exported =
        program(&files, &["export", names[0], names[1], names[2], "-Y", &filter, "-o", "out.pcapng"]);
    assert!(exported.status.success());
    let again = program(&files, &["calls", "out.pcapng", "--format", "jsonl"]);
    let again: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    for key in ["start", "latency_ns", "class", "client"] {
        assert_eq!(again[key], record[key], "{key}");
    }
}

#[test]
fn a_callee_calls_others_while_it_works_not_while_the_network_does() {
    const MS: i64 = 1_000_000;
    let end = |host, port| Endpoint { ip: IpAddr::from([10, 0, 0, host]), port };
    let call = |packet, start: i64, took: i64, client, server| {
        let uid = Uid { packet, ordinal: 0 };
        let mut call = Call::new(uid, Timestamp(start * MS), client, server);
        call.end = Timestamp((start + took) * MS);
        call.latency = Some((took * MS) as u64);
        call.outcome.class = Some(Class::Ok);
        call
    };
    let by_callee = |mut call: Call, start: i64, took: i64| {
        let (start, end) = (Timestamp(start * MS), Timestamp((start + took) * MS));
        call.callee_view =
            Some(Box::new(CalleeView { seen: 2, start, end, latency: Some((took * MS) as u64) }));
        call
    };
    // By the callers' times either could have caused the call at 9 ms; by the callee's only the first was there.
    let first = by_callee(call(1, 0, 20, end(1, 1000), end(2, 80)), 8, 4);
    let second = by_callee(call(2, 5, 20, end(1, 1001), end(2, 80)), 13, 4);
    let below = by_callee(call(3, 9, 2, end(2, 4000), end(3, 80)), 10, 0);
    let found = chains([below, first, second].into());
    let chain = found.iter().find(|chain| chain.hops.len() == 2).unwrap();
    assert_eq!(chain.root().uid.packet, 1);
    assert!(chain.evidence.contains(Evidence::OnlyCandidate), "{:?}", chain.evidence);
}
