//! What is said to be likely of calls on connections that began before the capture, held against what is known when the
//! capture is whole: every bundled capture with gRPC is cut at 10, 30 and 60 % of its packets.

use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "descriptors")]
use rpcscope::body::{Descriptions, Sources};
use rpcscope::calls::Call;
use rpcscope::payload::BodyDecoder;
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
    part(capture, |packets| gone(packets)..packets)
}

/// Some packets of a capture, and how many come before: `kept` of all.
fn part(capture: &Path, kept: impl FnOnce(usize) -> Range<usize>) -> (tempfile::NamedTempFile, u64) {
    let file = std::fs::read(capture).expect("a bundled capture");
    assert_eq!(file[..4], [0xd4, 0xc3, 0xb2, 0xa1], "a little-endian pcap file");
    let mut starts = Vec::new();
    let mut at = FILE_HEAD;
    while let Some(length) = file.get(at + 8..).and_then(|rest| rest.first_chunk()) {
        starts.push(at);
        at += PACKET_HEAD + u32::from_le_bytes(*length) as usize;
    }
    let kept = kept(starts.len());
    let start_of = |packet: usize| starts.get(packet).copied().unwrap_or(file.len());
    let mut short = tempfile::Builder::new().suffix(".pcap").tempfile().expect("a temporary file");
    let packets = &file[start_of(kept.start)..start_of(kept.end)];
    short.write_all(&[&file[..FILE_HEAD], packets].concat()).expect("room for a capture");
    (short, kept.start as u64)
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
    described(capture, None)
}

/// The same with descriptions.
fn described(capture: &Path, bodies: Option<Arc<BodyDecoder>>) -> Vec<Call> {
    let options = Options { threads: 1, bodies, ..Options::default() };
    let calls = support::calls(&[capture.to_owned()], &options);
    calls.into_iter().filter(|call| call.rpc == Rpc::Grpc).collect()
}

/// Measures the guesses of a capture without the first `percent` of its packets. `whole`: the calls of all of it.
fn measure(capture: &Path, whole: &[Call], percent: usize) -> Measured {
    let (file, gone) = cut(capture, |packets| packets * percent / 100);
    judge(&grpc(file.path()), whole, gone)
}

/// Holds the guesses of calls against those of the whole capture, which has so many packets before.
fn judge(calls: &[Call], whole: &[Call], gone: u64) -> Measured {
    // A connection may use the same ports as an earlier one: the call that ended with the same packet is the same.
    let truth: HashMap<_, _> =
        whole.iter().map(|call| ((call.client, call.id, call.packets.1), call)).collect();
    let mut measured = Measured::default();
    for call in calls {
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

/// What the servers of the `reconnect` captures describe, beside services that none of them has.
#[cfg(feature = "descriptors")]
const SHOP: &str = r#"
    syntax = "proto3";
    package shop.v1;
    service Orders {
        rpc ListOrders(Page) returns (List);
        rpc GetOrder(Id) returns (Order);
        rpc PlaceOrder(New) returns (Id);
        rpc CancelOrder(Cancel) returns (Empty);
    }
    service Stock {
        rpc Count(Item) returns (Item);
        rpc Watch(Id) returns (stream Item);
        rpc Drop(Id) returns (Empty);
    }
    message Empty {}
    message Page { int32 size = 1; string token = 2; }
    message List { repeated Order orders = 1; string next = 2; }
    message Id { string id = 1; }
    message Order { string id = 1; string customer = 2; repeated Item items = 3; int64 cents = 4; }
    message Item { string sku = 1; int32 count = 2; }
    message New { string customer = 1; repeated Item items = 2; bool gift = 3; string note = 4; }
    message Cancel { string id = 1; string reason = 2; }
"#;

/// Some of the methods that the servers of the `look-alikes` captures have: six services with the same five methods.
#[cfg(feature = "descriptors")]
const SOME_OF_CRUD: &str = r#"
    syntax = "proto3";
    package crud.v1;
    service Users { rpc GetUser(Id) returns (User); rpc DeleteUser(Id) returns (Empty); }
    service Items { rpc CreateItem(NewItem) returns (Item); }
    service Invoices {
        rpc CreateInvoice(NewInvoice) returns (Invoice);
        rpc GetInvoice(Id) returns (Invoice);
        rpc ListInvoices(Page) returns (List);
    }
    message Empty {}
    message Id { string id = 1; }
    message Page { int64 size = 1; string token = 2; }
    message User { string id = 1; string b = 2; string c = 3; string d = 4; string e = 5; }
    message Item { string id = 1; int64 b = 2; }
    message NewItem { Item item = 1; }
    message Line { string a = 1; int64 b = 2; }
    message Invoice {
        string id = 1; int64 b = 2; int64 c = 3; string d = 4; string e = 5; repeated Line lines = 6; string g = 7; int64 h = 8;
    }
    message NewInvoice { Invoice invoice = 1; }
    message List { repeated Invoice of = 1; string next = 2; }
"#;

/// Decodes by this file.
#[cfg(feature = "descriptors")]
fn decoder(proto: &str) -> Arc<BodyDecoder> {
    let mut file = tempfile::Builder::new().suffix(".proto").tempfile().expect("a temporary file");
    file.write_all(proto.as_bytes()).expect("room for a description");
    let sources = Sources { proto: vec![file.path().to_owned()], ..Sources::default() };
    let descriptions = Descriptions::load(&sources).expect("a good description");
    Arc::new(BodyDecoder::new(descriptions, rpcscope::payload::redact::Redaction::Nothing, None, false))
}

#[cfg(feature = "descriptors")]
#[test]
fn described_methods_are_named_where_no_name_was_seen() {
    let bodies = decoder(SHOP);
    let mut all = [Measured::default(); 2];
    for library in ["go-go", "py-py", "java-go"] {
        let capture = support::captures().join("grpc").join(format!("grpc-{library}-reconnect.pcap"));
        let whole = grpc(&capture);
        // The first connection alone, without its beginning.
        let first = whole.iter().filter(|call| call.client == whole[0].client);
        let until = first.map(|call| call.packets.1).max().expect("calls") as usize;
        for percent in [10, 20] {
            let (file, gone) = part(&capture, |packets| packets * percent / 100..until);
            for (sum, bodies) in all.iter_mut().zip([None, Some(Arc::clone(&bodies))]) {
                sum.add(judge(&described(file.path(), bodies), &whole, gone));
            }
        }
    }
    let [without, with] = all;
    assert!(without.method.all >= 200 && without.method.given == 0, "{without}");
    assert!(with.method.coverage() >= 20.0 && with.method.wrong == 0, "{with}");
}

#[cfg(feature = "descriptors")]
#[test]
fn methods_that_no_description_has_are_not_mistaken_for_those_that_one_has() {
    let bodies = decoder(SOME_OF_CRUD);
    let mut all = Measured::default();
    for library in ["go-py", "py-py"] {
        let capture = support::captures().join("grpc").join(format!("grpc-{library}-look-alikes.pcap"));
        let whole = grpc(&capture);
        for (from, until) in [(10, 45), (30, 45), (10, 100), (30, 100), (60, 100)] {
            let (file, gone) = part(&capture, |packets| packets * from / 100..packets * until / 100);
            all.add(judge(&described(file.path(), Some(Arc::clone(&bodies))), &whole, gone));
        }
    }
    assert!(all.method.all >= 600 && all.method.precision() >= 97.0, "{all}");
}
