//! The sample of packets, and the path from clock to clock.

use std::net::Ipv4Addr;

use hashbrown::HashMap;
use rpcscope_parsers::Side;

use super::clock::{Sample, compare};
use super::groups::Groups;
use super::sightings::Sightings;
use super::tree::{self, Difference};
use super::*;
use crate::source::{Batch, CapturePoint, LinkType, Record};
use crate::time::Timestamp;

/// Datagram number `n` between two hosts, seen at `time`.
fn datagram(batch: &mut Batch, n: u32, time: i64) {
    let host = |last| Ipv4Addr::new(10, 0, 0, last).octets();
    let mut data = vec![0x45, 0, 0, 32, n as u8, 0, 0, 0, (n % 60) as u8, 17, 0, 0];
    data.extend(host(1));
    data.extend(host(2));
    data.extend([0x10, 0, 0x20, 0, 0, 12, 0, 0]);
    data.extend(n.to_be_bytes());
    let (offset, len) = (batch.data.len() as u32, data.len() as u32);
    batch.records.push(Record {
        number: 0,
        time: Timestamp(time),
        // `LINKTYPE_RAW`.
        link: LinkType(101),
        interface: 0,
        capture_point: CapturePoint::default(),
        wire_len: len,
        offset,
        len,
    });
    batch.data.extend(data);
}

fn seen(files: &[&[(u32, i64)]]) -> Sightings {
    let mut seen = Sightings::default();
    for (file, packets) in files.iter().enumerate() {
        let mut batch = Batch::default();
        for (n, time) in *packets {
            datagram(&mut batch, *n, *time);
        }
        seen.batch(file as u16, &batch);
    }
    seen
}

#[test]
fn a_packet_is_found_in_every_file_that_has_it() {
    let shared = seen(&[&[(1, 10), (2, 20), (3, 30)], &[(2, 25), (9, 40)], &[(2, 90), (1, 70)]]).shared();
    let delays = |pair| {
        let mut all: Vec<i64> = shared[&pair].iter().map(|sample| sample.own - sample.reference).collect();
        all.sort_unstable();
        all
    };
    assert_eq!(shared.len(), 3);
    assert_eq!((delays((0, 1)), delays((0, 2)), delays((1, 2))), (vec![5], vec![60, 70], vec![65]));
}

#[test]
fn retransmissions_are_ignored_and_two_interfaces_are_one_host() {
    const MS: i64 = 1_000_000;
    assert!(seen(&[&[(1, 0), (1, 200 * MS)], &[(1, 5)]]).shared().is_empty());
    assert!(seen(&[&[(1, 5)], &[(1, 0), (1, 200 * MS)]]).shared().is_empty());
    let shared = seen(&[&[(1, 0), (1, MS / 2)], &[(1, 7)]]).shared();
    assert_eq!(shared[&(0, 1)][0].own - shared[&(0, 1)][0].reference, 7);
}

#[test]
fn the_sample_is_bounded_and_the_same_of_each_file() {
    const PACKETS: u32 = 600_000;
    let mut seen = Sightings::default();
    for file in 0..2 {
        for part in 0..PACKETS / 1000 {
            let mut batch = Batch::default();
            for n in part * 1000..(part + 1) * 1000 {
                datagram(&mut batch, n, i64::from(n) * 100 + file);
            }
            seen.batch(file as u16, &batch);
        }
    }
    let shared = seen.shared().remove(&(0, 1)).unwrap().len();
    assert!((1 << 15..=1 << 17).contains(&shared), "{shared}");
}

/// Packets in both directions to a clock that is `ahead`, each taking `delay`.
fn exchange(ahead: i64, delay: i64) -> Vec<Sample> {
    (0..20)
        .map(|n| {
            let (time, there) = (n * 1_000_000, n % 2 == 0);
            let travel = if there { delay } else { -delay };
            Sample {
                reference: Timestamp(time),
                own: Timestamp(time + ahead + travel),
                route: 1,
                side: if there { Side::A } else { Side::B },
            }
        })
        .collect()
}

fn groups(names: &[&str]) -> Vec<Group> {
    let mut groups = Groups::default();
    for name in names {
        groups.add(Path::new(name), &[PathBuf::from(name)]);
    }
    groups.settle(&[], &[])
}

#[test]
fn clocks_are_compared_by_the_path_of_least_uncertainty() {
    let all = groups(&["a", "b", "c", "d", "e"]);
    let shared: HashMap<_, _, _> = [
        // From a to c, the path by b is less uncertain than the direct one.
        ((0, 1), exchange(5_000_000, 20_000)),
        ((1, 2), exchange(-7_000_000, 30_000)),
        ((0, 2), exchange(-2_100_000, 900_000)),
        // d shares packets of one direction only, e none.
        ((0, 3), exchange(1_000_000, 10_000).into_iter().filter(|s| s.side == Side::A).collect()),
    ]
    .into_iter()
    .collect();
    let links = tree::links(&all, shared);
    assert_eq!((0..5).map(|at| links.is_linked(at)).collect::<Vec<_>>(), [true, true, true, true, false]);
    assert_eq!(*links.difference(0), Difference::None);
    assert_eq!(*links.difference(3), Difference::Unknown(0));
    let Difference::Known(path) = links.difference(2) else { panic!("{:?}", links.difference(2)) };
    assert_eq!(
        path.describe(&all, &all[2]),
        "c: clock 2 ms behind a, ±50 µs (20 packets seen in both, by way of b); corrected"
    );
    let clock = path.clock().unwrap();
    assert_eq!(clock.correct(Timestamp(1_000_000)), Timestamp(3_000_000));
    let survey = sites(&all, &links);
    assert_eq!((survey.sites.len(), survey.notes.len()), (4, 3));
}

#[test]
fn the_first_file_has_the_reference_clock() {
    let all = groups(&["a", "b", "c"]);
    // Compared by way of c, against the order of the names.
    let shared = [((0, 2), exchange(4_000_000, 1_000)), ((1, 2), exchange(3_000_000, 1_000))];
    let links = tree::links(&all, shared.into_iter().collect());
    let Difference::Known(path) = links.difference(1) else { panic!() };
    assert_eq!(path.clock().unwrap().correct(Timestamp(0)), Timestamp(-1_000_000));
}

#[test]
fn clocks_that_agree_are_not_corrected() {
    let all = groups(&["a", "b"]);
    assert!(compare(&exchange(3_000, 50_000)).is_some());
    let links = tree::links(&all, [((0, 1), exchange(3_000, 50_000))].into_iter().collect());
    let survey = sites(&all, &links);
    assert_eq!(survey.notes, [""; 0]);
    let sites: Vec<_> = all.iter().map(|group| survey.sites[&group.files[0]].clone()).collect();
    assert_eq!([sites[0].capture_point, sites[1].capture_point], [CapturePoint(1), CapturePoint(2)]);
    assert!(sites.iter().all(|site| site.clock == ClockCorrection::default()));
}

#[test]
fn spans_have_readable_units() {
    let all = [0, 999, 40_000, 40_001, 1_203_417, 12_500_000, 1_203_417_000, 3_000_000_000].map(span);
    let expected = ["0 ns", "999 ns", "40 µs", "41 µs", "1.203 ms", "12.5 ms", "1.203417 s", "3 s"];
    assert_eq!(all, expected);
    assert_eq!(packets(12_340), "12,340 packets");
}

#[test]
fn captures_whose_clocks_could_not_be_compared_are_named() {
    let said = |apart: &[(usize, usize)], compared: &[usize]| {
        let groups = groups(&["web.pcap", "order.pcap", "stock.pcap"]);
        let is_apart = |one: usize, other: usize| apart.contains(&(one.min(other), one.max(other)));
        uncompared(&groups, |group| compared.contains(&group), is_apart)
    };
    let one = said(&[(0, 1)], &[]).expect("a line");
    assert!(one.starts_with("order.pcap shares no packets with the other files"), "{one}");
    let two = said(&[(0, 1), (1, 2)], &[]).expect("a line");
    assert!(two.starts_with("order.pcap and 1 other capture share no packets"), "{two}");
    assert_eq!(said(&[], &[]), None);
    assert_eq!(said(&[(0, 1)], &[0, 1]), None);
}
