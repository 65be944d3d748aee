//! What is said to be likely of calls on connections that began before the capture, held against what is known when the
//! capture is whole: every bundled capture with gRPC is cut at 10, 30 and 60 % of its packets.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::path::Path;

use rpcscope::calls::Call;
use rpcscope::pipeline::Options;
use rpcscope_parsers::Rpc;

use crate::support;

/// Percent of the packets that are cut off.
const CUTS: [usize; 3] = [10, 30, 60];

/// Bytes of a pcap file's head, and of that of each packet.
const FILE_HEAD: usize = 24;
const PACKET_HEAD: usize = 16;

/// A capture without its first packets, and how many those are: `gone` of all.
pub(crate) fn cut(capture: &Path, gone: impl FnOnce(usize) -> usize) -> (tempfile::NamedTempFile, u64) {
    let file = std::fs::read(capture).expect("a bundled capture");
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a little-endian pcap file");
    let mut starts = Vec::new();
    let mut at = FILE_HEAD;
    while let Some(length) = file.get(at + 8..).and_then(|rest| rest.first_chunk()) {
        starts.push(at);
        at += PACKET_HEAD + u32::from_le_bytes(*length) as usize;
    }
    let gone = gone(starts.len());
    let rest = starts.get(gone).map_or(&[][..], |start| &file[*start..]);
    let mut short = tempfile::Builder::new().suffix(".pcap").tempfile().expect("a temporary file");
    short.write_all(&[&file[..FILE_HEAD], rest].concat()).expect("room for a capture");
    (short, gone as u64)
}

/// How many calls there are, how many of them have a guess, and how many of those guesses are wrong.
#[derive(Clone, Copy, Debug, Default)]
struct Share {
    all: u32,
    given: u32,
    wrong: u32,
}

impl Share {
    fn count(&mut self, given: bool, right: bool) {
        self.all += 1;
        self.given += u32::from(given);
        self.wrong += u32::from(given && !right);
    }

    fn add(&mut self, other: Self) {
        self.all += other.all;
        self.given += other.given;
        self.wrong += other.wrong;
    }

    /// Percent of the calls that have a guess.
    fn coverage(self) -> f64 {
        f64::from(self.given) * 100.0 / f64::from(self.all.max(1))
    }

    /// Percent of the guesses that are right.
    fn precision(self) -> f64 {
        100.0 - f64::from(self.wrong) * 100.0 / f64::from(self.given.max(1))
    }
}

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
struct Measured {
    /// Calls whose class is lost.
    class: Share,
    /// Of those, calls with a guessed code.
    code: Share,
    /// Calls whose method is lost.
    method: Share,
    /// Of those, calls whose request was captured, and whose name the rest of the capture has somewhere.
    named: Share,
}

impl Measured {
    fn add(&mut self, other: Self) {
        self.class.add(other.class);
        self.code.add(other.code);
        self.method.add(other.method);
        self.named.add(other.named);
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shares = [
            ("class", self.class),
            ("code", self.code),
            ("method", self.method),
            ("named method", self.named),
        ];
        for (what, share) in shares {
            let (given, right) = (share.coverage(), share.precision());
            write!(f, "{what} of {}: {} ({given:.1} %), right {right:.1} %; ", share.all, share.given)?;
        }
        Ok(())
    }
}

/// The gRPC calls of a capture.
pub(crate) fn grpc(capture: &Path) -> Vec<Call> {
    let options = Options { threads: 1, ..Options::default() };
    let calls = support::calls(&[capture.to_owned()], &options);
    calls.into_iter().filter(|call| call.rpc == Rpc::Grpc).collect()
}

/// Measures the guesses of a capture without the first `percent` of its packets. `whole`: the calls of all of it.
fn measure(capture: &Path, whole: &[Call], percent: usize) -> Measured {
    let (file, gone) = cut(capture, |packets| packets * percent / 100);
    let calls = grpc(file.path());
    // A connection may use the same ports as an earlier one: the call that ended with the same packet is the same.
    let truth: HashMap<_, _> =
        whole.iter().map(|call| ((call.client, call.id, call.packets.1), call)).collect();
    let mut measured = Measured::default();
    for call in &calls {
        let Some(truth) = truth.get(&(call.client, call.id, call.packets.1 + gone)) else { continue };
        let likely = call.likely.as_deref();
        if call.class().is_none() && truth.class().is_some() {
            let class = likely.and_then(|likely| likely.class);
            measured.class.count(class.is_some(), class == truth.class());
            let code = likely.and_then(|likely| likely.code);
            measured.code.count(code.is_some(), code == truth.outcome.code);
        }
        if call.method.is_none() && truth.method.is_some() {
            let method = likely.and_then(|likely| likely.method.clone());
            let service = likely.and_then(|likely| likely.service.clone()).or(call.service.clone());
            let right = method == truth.method && service == truth.service;
            measured.method.count(method.is_some(), right);
            let seen = |other: &Call| other.method == truth.method && other.service == truth.service;
            if call.request_bytes > 0 && calls.iter().any(seen) {
                measured.named.count(method.is_some(), right);
            }
        }
    }
    measured
}

#[test]
fn guesses_are_right_and_cover_what_the_documentation_says() {
    let mut sums = [Measured::default(); CUTS.len()];
    for capture in support::bundled(".pcap") {
        let whole = grpc(&capture);
        // The demo is made of other captures.
        if whole.is_empty() || capture.to_string_lossy().contains("/demo/") {
            continue;
        }
        for (sum, percent) in sums.iter_mut().zip(CUTS) {
            let measured = measure(&capture, &whole, percent);
            if measured.class.wrong + measured.code.wrong + measured.method.wrong > 0 {
                println!("{percent} % of {}: {measured:?}", capture.display());
            }
            sum.add(measured);
        }
    }
    let mut all = Measured::default();
    for (sum, percent) in sums.into_iter().zip(CUTS) {
        println!("without {percent} %: {sum}");
        all.add(sum);
    }
    println!("in all: {all}");
    for share in [all.class, all.code, all.method] {
        assert!(share.precision() >= 99.0, "{all}");
    }
    assert!(all.class.coverage() >= 85.0, "{all}");
    assert!(all.named.coverage() >= 60.0, "{all}");
}

/// What was measured of a capture at all cuts.
fn measured(name: &str) -> Measured {
    let capture = support::captures().join("grpc").join(name).with_extension("pcap");
    let whole = grpc(&capture);
    let mut all = Measured::default();
    for percent in CUTS {
        all.add(measure(&capture, &whole, percent));
    }
    all
}

#[test]
fn methods_of_a_long_connection_are_named_once_its_client_reconnects() {
    for library in ["go-go", "py-py", "java-go"] {
        let measured = measured(&format!("grpc-{library}-reconnect"));
        assert!(measured.method.all >= 150 && measured.method.coverage() >= 60.0, "{library}: {measured}");
        assert!(measured.method.precision() >= 97.0, "{library}: {measured}");
        assert!(measured.class.all >= 150 && measured.class.coverage() >= 90.0, "{library}: {measured}");
        assert!(measured.class.precision() >= 97.0, "{library}: {measured}");
    }
    // These libraries write out every path: only the calls whose request is cut off lose theirs.
    for library in ["node-go", "tonic-go"] {
        let measured = measured(&format!("grpc-{library}-reconnect"));
        assert!(measured.named.all == 0, "{library}: {measured}");
        assert!(measured.class.all >= 150 && measured.class.coverage() >= 90.0, "{library}: {measured}");
        assert!(measured.class.precision() >= 97.0, "{library}: {measured}");
    }
}

#[test]
fn methods_that_look_like_others_are_not_mistaken_for_them() {
    // A service for each of six entities, with the same five methods, of which each connection calls others.
    let mut all = Measured::default();
    for library in ["go-py", "py-py"] {
        all.add(measured(&format!("grpc-{library}-look-alikes")));
    }
    assert!(all.method.all - all.named.all >= 200, "methods without a name: {all}");
    assert!(all.method.precision() >= 97.0, "{all}");
}

#[test]
fn the_number_of_threads_changes_no_guess() {
    let capture = support::captures().join("grpc/grpc-go-go-concurrent.pcap");
    let (file, _) = cut(&capture, |packets| packets * 30 / 100);
    let records = |threads| -> Vec<String> {
        let options = Options { threads, ..Options::default() };
        support::calls(&[file.path().to_owned()], &options)
            .iter()
            .map(|call| support::record(call).to_string())
            .collect()
    };
    let alone = records(1);
    assert!(alone.iter().any(|record| record.contains("\"likely\"")));
    assert_eq!(alone, records(3));
}

#[test]
fn guesses_count_for_nothing_that_is_known() {
    let capture = support::captures().join("grpc/grpc-go-go-concurrent.pcap");
    let (file, _) = cut(&capture, |packets| packets * 10 / 100);
    for call in grpc(file.path()) {
        let Some(likely) = call.likely.as_deref() else { continue };
        assert!(likely.class.is_none() || call.class().is_none(), "{call:?}");
        assert!(likely.method.is_none() || call.method.is_none(), "{call:?}");
        assert!(call.class().is_some() || !call.failed());
    }
}
