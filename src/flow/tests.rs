//! The table as its owner sees it: whole conversations, mixed up in every way a capture can mix them up.

mod after_close;
mod doubted;
mod resets;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use proptest::prelude::*;

use super::handshake::Handshake;
use super::streams::Streams;
use super::*;
use crate::decode::{Endpoint, Network, Segment, TcpFlags, TcpHead, Transport};

const MS: i64 = 1_000_000;

fn endpoint(host: u8, port: u16) -> Endpoint {
    Endpoint { ip: Ipv4Addr::new(10, 0, 0, host).into(), port }
}

/// What the owner received, with adjacent data of one side joined.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Open,
    Data(Side, Vec<u8>),
    Datagram(Side, Vec<u8>, u32),
    Gap(Side, u64, GapReason),
    End(Side, End),
    Close(End),
}

use Event::{Close, Data, Gap, Open};
use GapReason::{BeforeStart, Cut, Lost};
use Side::{A, B};

/// Bytes whose origins the recorder may ask for.
const REMEMBERED: u64 = 30;

#[derive(Default)]
struct Recorder {
    /// Offset and packet of each chunk of the connection that delivered last, by side.
    chunks: (u64, [Vec<(u64, Stamp)>; 2]),
    events: Vec<Event>,
    origins: Vec<(u64, u64)>,
    /// Calls with data: two where one would do are a copy or a split too much.
    pieces: usize,
    last: Option<Flow>,
}

impl Recorder {
    /// Holds the origins that the flow remembers against a plain list of all chunks. Of the last chunk it need not remember anything yet.
    fn check_origins(&mut self, flow: &Flow, side: Side, chunk: Chunk<'_>, origin: Stamp) {
        if self.chunks.0 != flow.first.packet {
            self.chunks = (flow.first.packet, [Vec::new(), Vec::new()]);
            return;
        }
        let len = match chunk {
            Chunk::Data(bytes) | Chunk::Datagram { bytes, .. } => bytes.len() as u64,
            Chunk::Gap { bytes, .. } => bytes,
            Chunk::End(_) => 0,
        };
        let next = flow.origins[side.index()].next();
        let list = &mut self.chunks.1[side.index()];
        list.push((next - len, origin));
        let first = list[0].0.max((next - len).saturating_sub(REMEMBERED));
        for offset in first..next {
            let (_, carrier) = list.iter().rev().find(|(start, _)| *start <= offset).unwrap();
            let otherwise = if offset < next - len { Stamp::default() } else { origin };
            assert_eq!(flow.origin(side, offset, otherwise).stamp, *carrier, "{offset}");
        }
    }
}

impl Owner<u64> for Recorder {
    fn open(&mut self, flow: &Flow) -> u64 {
        self.events.push(Open);
        flow.first.packet
    }

    fn chunk(
        &mut self,
        flow: &Flow,
        slot: &mut u64,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        now: Stamp,
    ) -> u64 {
        assert!(*slot == flow.first.packet && origin.packet <= now.packet);
        self.check_origins(flow, side, chunk, origin);
        self.origins.push((origin.packet, now.packet));
        match chunk {
            Chunk::Data(bytes) => {
                assert!(!bytes.is_empty());
                assert_eq!(flow.ended[side.index()], None, "data after the end");
                self.pieces += 1;
                match self.events.last_mut() {
                    Some(Data(last, data)) if *last == side => data.extend_from_slice(bytes),
                    _ => self.events.push(Data(side, bytes.to_vec())),
                }
            }
            Chunk::Datagram { bytes, missing } => {
                self.events.push(Event::Datagram(side, bytes.to_vec(), missing));
            }
            Chunk::Gap { bytes, reason } => {
                assert_ne!(bytes, 0);
                self.events.push(Gap(side, bytes, reason));
            }
            Chunk::End(end) => {
                assert_eq!(flow.ended[side.index()], Some(end));
                self.events.push(Event::End(side, end));
            }
        }
        let next = flow.origins[side.index()].next();
        next.saturating_sub(REMEMBERED)
    }

    fn close(&mut self, flow: &Flow, slot: &mut u64, why: End, _now: Stamp) {
        assert_eq!(*slot, flow.first.packet);
        assert!(flow.ended.iter().all(Option::is_some), "close without an end");
        self.last = Some(flow.clone());
        self.events.push(Close(why));
    }
}

/// A captured segment, owned.
#[derive(Clone, Debug)]
struct Sent {
    side: Side,
    head: TcpHead,
    bytes: Vec<u8>,
    missing: u32,
}

fn flags(letters: &str) -> TcpFlags {
    TcpFlags {
        fin: letters.contains('F'),
        syn: letters.contains('S'),
        rst: letters.contains('R'),
        ack: letters.contains('A'),
    }
}

/// A segment by hand.
fn sent(side: Side, letters: &str, seq: u32, ack: u32, bytes: &[u8]) -> Sent {
    let head = TcpHead { seq, ack, flags: flags(letters) };
    Sent { side, head, bytes: bytes.to_vec(), missing: 0 }
}

/// Two hosts that talk to each other and lose nothing.
struct Talk {
    next: [u32; 2],
    sent: Vec<Sent>,
}

impl Talk {
    /// With a handshake, A being the client.
    fn new(isn: [u32; 2]) -> Self {
        let mut talk = Self { next: isn, sent: Vec::new() };
        talk.push(A, "S", b"");
        talk.push(B, "SA", b"");
        talk.push(A, "A", b"");
        talk
    }

    fn push(&mut self, side: Side, letters: &str, bytes: &[u8]) -> &mut Self {
        let [seq, ack] = [self.next[side.index()], self.next[side.other().index()]];
        let head = flags(letters);
        let len = bytes.len() as u32 + u32::from(head.syn) + u32::from(head.fin);
        self.next[side.index()] = seq.wrapping_add(len);
        self.sent.push(sent(side, letters, seq, if head.ack { ack } else { 0 }, bytes));
        self
    }

    fn say(&mut self, side: Side, bytes: &[u8]) -> &mut Self {
        self.push(side, "A", bytes)
    }

    /// Three calls, both FINs, no pure acknowledgements: every segment depends on the one before it.
    fn three_calls(isn: [u32; 2]) -> Vec<Sent> {
        let mut talk = Self::new(isn);
        talk.say(A, b"first?").say(B, b"first!").say(A, b"second?").say(B, b"second!");
        talk.push(A, "FA", b"bye").push(B, "FA", b"");
        talk.sent
    }

    fn transcript() -> Vec<Event> {
        vec![
            Open,
            Data(A, b"first?".to_vec()),
            Data(B, b"first!".to_vec()),
            Data(A, b"second?".to_vec()),
            Data(B, b"second!".to_vec()),
            Data(A, b"bye".to_vec()),
            Event::End(A, End::Fin),
            Event::End(B, End::Fin),
            Close(End::Fin),
        ]
    }
}

/// A table and what it delivered, and a second one in which no segment goes the fast way and no handshake is kept in little
/// memory: both have to deliver the same.
struct Capture {
    table: Table<u64>,
    seen: Recorder,
    /// `None` where so few connections fit in that it matters whether handshakes count.
    general: Option<(Table<u64>, Recorder)>,
    packet: u64,
    now: i64,
}

/// Connections that have to fit in.
const COMPARED: usize = 100;

impl Capture {
    fn new() -> Self {
        Self::with(Limits { in_full: 0, ..Limits::default() })
    }

    fn with(limits: Limits) -> Self {
        let general = (limits.flows >= COMPARED).then(|| (Table::new(limits), Recorder::default()));
        Self { table: Table::new(limits), seen: Recorder::default(), general, packet: 0, now: 0 }
    }

    fn stamp(&self) -> Stamp {
        Stamp { packet: self.packet, time: Timestamp(self.now) }
    }

    fn feed_to(&mut self, port: u16, sent: &Sent) {
        self.feed_between(endpoint(1, port), endpoint(2, 80), sent);
    }

    fn feed_between(&mut self, client: Endpoint, server: Endpoint, sent: &Sent) {
        self.packet += 1;
        self.now += MS / 10;
        let (key, low) = FlowKey::new(client, server, Network::Tcp);
        assert_eq!(low, A);
        let segment = Segment {
            packet: self.packet,
            time: Timestamp(self.now),
            key,
            side: sent.side,
            transport: Transport::Tcp(sent.head),
            payload: &sent.bytes,
            missing: sent.missing,
        };
        self.take(&segment);
        let parts: usize = self.table.held();
        if self.table.is_empty() {
            assert_eq!(parts, 0);
        }
    }

    fn take(&mut self, segment: &Segment<'_>) {
        self.table.segment(segment, &mut self.seen);
        let Some((table, seen)) = &mut self.general else { return };
        let found = table.look_up(&segment.key);
        table.take_any(segment, found, seen);
        let flows = |table: &Table<u64>| {
            let full = table.flows().map(|(flow, _)| format!("{flow:?}"));
            let mut flows: Vec<String> =
                full.chain(table.handshakes().map(|flow| format!("{flow:?}"))).collect();
            flows.sort();
            flows
        };
        assert_eq!(flows(&self.table), flows(table));
        assert_eq!((self.table.shed(), self.table.held()), (table.shed(), table.held()));
    }

    fn feed<'s>(&mut self, sent: impl IntoIterator<Item = &'s Sent>) -> &mut Self {
        for sent in sent {
            self.feed_to(1000, sent);
        }
        self
    }

    fn datagram(&mut self, side: Side, packet_id: u16, bytes: &[u8]) {
        self.packet += 1;
        let (key, _) = FlowKey::new(endpoint(1, 1000), endpoint(2, 80), Network::Udp);
        let transport = Transport::Udp { packet_id };
        let time = Timestamp(self.now);
        let segment = Segment { packet: self.packet, time, key, side, transport, payload: bytes, missing: 0 };
        self.take(&segment);
    }

    fn wait(&mut self, time: Duration) -> &mut Self {
        self.now += time.as_nanos() as i64;
        let stamp = self.stamp();
        self.table.tick(stamp, &mut self.seen);
        if let Some((table, seen)) = &mut self.general {
            table.tick(stamp, seen);
        }
        self
    }

    fn resume(&mut self) -> &mut Self {
        self.table.resume(Timestamp(self.now));
        if let Some((table, _)) = &mut self.general {
            table.resume(Timestamp(self.now));
        }
        self
    }

    fn end(mut self) -> Recorder {
        let stamp = self.stamp();
        self.table.finish(stamp, &mut self.seen);
        if let Some((mut table, mut general)) = self.general {
            table.finish(stamp, &mut general);
            // A connection opens when more than its handshake comes, which may be after others have opened.
            let events = |recorder: &Recorder| {
                let mut events: Vec<Event> = Vec::new();
                for event in recorder.events.iter().filter(|event| **event != Open) {
                    match (events.last_mut(), event) {
                        (Some(Data(last, data)), Data(side, more)) if last == side => data.extend(more),
                        _ => events.push(event.clone()),
                    }
                }
                events
            };
            let (fast, usual) = (events(&self.seen), events(&general));
            assert_eq!(fast, usual, "the fast way delivers what the general one does");
            assert_eq!((&self.seen.origins, self.seen.pieces), (&general.origins, general.pieces));
        }
        assert_eq!(self.table.len(), 0);
        assert_eq!(self.table.held(), 0, "memory is given back");
        self.seen
    }
}

/// What is delivered, the same whether handshakes are kept in little memory or not.
fn replay(sent: &[Sent]) -> Vec<Event> {
    let [sparing, full] = [0, COMPARED].map(|in_full| {
        let mut capture = Capture::with(Limits { in_full, ..Limits::default() });
        capture.feed(sent);
        capture.end().events
    });
    assert_eq!(sparing, full);
    sparing
}

/// Every order of `0..n`.
fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    permutations(n - 1)
        .into_iter()
        .flat_map(|p| {
            (0..n).map(move |at| {
                let mut p = p.clone();
                p.insert(at, n - 1);
                p
            })
        })
        .collect()
}

#[test]
fn in_order() {
    let mut capture = Capture::new();
    capture.feed(&Talk::three_calls([1, 2]));
    let seen = capture.end();
    assert_eq!(seen.events, Talk::transcript());
    assert_eq!(seen.pieces, 5);
    let flow = seen.last.unwrap();
    assert_eq!(flow.opener, Some(A));
    assert_eq!(flow.from_start, [true, true]);
    assert_eq!(flow.bytes, [16, 13]);
    assert_eq!((flow.gaps, flow.retransmissions), (0, 0));
}

#[test]
fn every_order_of_a_conversation_behind_its_handshake_gives_the_same() {
    for isn in [[1, 2], [u32::MAX - 8, u32::MAX - 3]] {
        let talk = Talk::three_calls(isn);
        for order in permutations(talk.len() - 3) {
            let mut mixed = talk[..3].to_vec();
            mixed.extend(order.iter().map(|i| talk[3 + i].clone()));
            assert_eq!(replay(&mixed), Talk::transcript(), "{order:?}");
        }
    }
}

/// [`Handshake::replay`] takes every step the general way.
#[test]
fn a_connection_that_a_syn_opens_is_as_the_general_way_leaves_it() {
    for (side, seq) in [(A, 7), (B, u32::MAX)] {
        let head = TcpHead { seq, ack: 0, flags: flags("S") };
        let (key, _) = FlowKey::new(endpoint(1, 1000), endpoint(2, 80), Network::Tcp);
        let transport = Transport::Tcp(head);
        let time = Timestamp(5);
        let syn = Segment { packet: 3, time, key, side, transport, payload: &[], missing: 0 };
        let (_, streams) = Handshake::begin(&syn, 0, time).unwrap().replay();
        let begun = Streams::begun(side, &head).unwrap();
        assert_eq!(format!("{begun:?}"), format!("{streams:?}"));
        assert!(Streams::begun(side, &TcpHead { flags: flags("SA"), ..head }).is_none());
    }
}

#[test]
fn every_order_of_a_handshake_gives_the_same() {
    let talk = Talk::three_calls([7, u32::MAX]);
    for order in permutations(3) {
        let mut mixed: Vec<Sent> = order.iter().map(|i| talk[*i].clone()).collect();
        mixed.extend_from_slice(&talk[3..]);
        let mut capture = Capture::new();
        capture.feed(&mixed);
        let seen = capture.end();
        assert_eq!(seen.events, Talk::transcript(), "{order:?}");
        let flow = seen.last.unwrap();
        assert_eq!((flow.opener, flow.from_start), (Some(A), [true, true]), "{order:?}");
    }
}

#[test]
fn a_syn_behind_its_first_data_is_the_same_connection() {
    let mut talk = Talk::three_calls([7, 8]);
    talk.swap(0, 3);
    let mut capture = Capture::new();
    capture.feed(&talk);
    let seen = capture.end();
    assert_eq!(seen.events, Talk::transcript());
    assert_eq!(seen.last.unwrap().from_start, [true, true]);
}

#[test]
fn every_packet_twice_anywhere_later_changes_nothing() {
    let talk = Talk::three_calls([u32::MAX - 4, 9]);
    for copied in 0..talk.len() {
        for to in copied + 1..=talk.len() {
            let mut mixed = talk.clone();
            mixed.insert(to, talk[copied].clone());
            assert_eq!(replay(&mixed), Talk::transcript(), "{copied} again at {to}");
        }
    }
}

#[test]
fn every_lost_packet_is_a_gap_of_its_size() {
    let talk = Talk::three_calls([1, 2]);
    for lost in 3..7 {
        let mut rest = talk.clone();
        let Sent { side, bytes, .. } = rest.remove(lost);
        let mut expected = Talk::transcript();
        expected[lost - 2] = Gap(side, bytes.len() as u64, Lost);
        assert_eq!(replay(&rest), expected, "{lost} lost");
    }
}

#[test]
fn a_lost_fin_is_no_lost_byte() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x?").say(B, b"x!").push(A, "FA", b"").push(B, "FA", b"");
    talk.sent.remove(5);
    let expected = vec![
        Open,
        Data(A, b"x?".to_vec()),
        Data(B, b"x!".to_vec()),
        Event::End(A, End::Fin),
        Event::End(B, End::Fin),
        Close(End::Fin),
    ];
    let mut capture = Capture::new();
    capture.feed(&talk.sent).wait(Duration::from_secs(2)).wait(Duration::from_secs(2));
    assert_eq!(capture.end().events, expected);
}

#[test]
fn a_lost_byte_is_no_fin_if_more_follows() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x").say(B, b"x!").say(A, b"y?");
    talk.sent.remove(3);
    let mut capture = Capture::new();
    capture.feed(&talk.sent[..4]).wait(Duration::ZERO).wait(Duration::from_secs(2));
    assert_eq!(capture.seen.events[1..], [Data(B, b"x!".to_vec())], "the hole may be a FIN");
    capture.feed(&talk.sent[4..]);
    assert_eq!(capture.seen.events[2..], [Gap(A, 1, Lost), Data(A, b"y?".to_vec())]);
}

#[test]
fn a_byte_that_was_taken_for_a_lost_fin_is_delivered_if_it_comes() {
    for late in [&b"?"[..], b"x?"] {
        let mut talk = Talk::new([1, 2]);
        talk.say(A, b"x").say(A, b"?").say(B, b"x!");
        let lost = talk.sent.remove(4);
        let mut capture = Capture::new();
        capture.feed(&talk.sent).wait(Duration::ZERO).wait(Duration::from_secs(2));
        assert_eq!(capture.seen.events[1..], [Data(A, b"x".to_vec()), Data(B, b"x!".to_vec())]);
        capture.feed(&[sent(A, "A", lost.head.seq + 1 - late.len() as u32, lost.head.ack, late)]);
        assert_eq!(capture.seen.events[3..], [Data(A, b"?".to_vec())]);
        assert_eq!(
            capture.end().events[4..],
            [Event::End(A, End::Idle), Event::End(B, End::Idle), Close(End::Idle)]
        );
    }
}

#[test]
fn an_answer_waits_for_its_request_and_no_longer_than_patience() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"lost").say(B, b"x!");
    let lost = talk.sent.remove(3);

    let mut late = Capture::new();
    late.feed(&talk.sent);
    assert_eq!(late.seen.events, [Open]);
    assert!(late.table.held() > 0);
    late.feed([&lost]);
    assert_eq!(late.seen.events[1..], [Data(A, b"lost".to_vec()), Data(B, b"x!".to_vec())]);
    assert_eq!(late.seen.origins, [(5, 5), (4, 5)], "the answer keeps the packet it came in");

    let given_up = [Gap(A, 4, Lost), Data(B, b"x!".to_vec())];
    let mut time = Capture::new();
    time.feed(&talk.sent).wait(Duration::from_millis(900));
    assert_eq!(time.seen.events, [Open]);
    time.wait(Duration::from_millis(200));
    assert_eq!(time.seen.events[1..], given_up);

    let mut count = Capture::new();
    count.feed(&talk.sent);
    let ack = sent(A, "A", 6, 3, b"");
    for _ in 0..Limits::default().hole_segments - 1 {
        count.feed([&ack]);
    }
    assert_eq!(count.seen.events, [Open]);
    count.feed([&ack]);
    assert_eq!(count.seen.events[1..], given_up);
}

#[test]
fn a_hole_that_was_not_acknowledged_waits_for_its_retransmission() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"one ").say(A, b"two");
    let dropped = talk.sent.remove(3);
    let mut capture = Capture::new();
    capture.feed(&talk.sent);
    let duplicate_ack = sent(B, "A", 3, 2, b"");
    for _ in 0..200 {
        capture.feed([&duplicate_ack]);
    }
    capture.wait(Duration::from_secs(3));
    assert_eq!(capture.seen.events, [Open]);
    capture.feed([&dropped]);
    assert_eq!(capture.seen.events[1..], [Data(A, b"one two".to_vec())]);
}

#[test]
fn holes_in_both_directions_do_not_lock_each_other() {
    let mut talk = Talk::new([1, 2]);
    for _ in 0..20 {
        talk.say(A, b"question").say(B, b"answer");
    }
    // The second question and the fourth answer.
    talk.sent.remove(10);
    talk.sent.remove(5);
    let mut capture = Capture::new();
    capture.feed(&talk.sent);
    capture.wait(Duration::ZERO).wait(Duration::from_secs(2));
    let seen = capture.end();
    let asked: Vec<&Event> = seen.events.iter().filter(|e| matches!(e, Gap(..))).collect();
    assert_eq!(asked, [&Gap(A, 8, Lost), &Gap(B, 6, Lost)]);
    assert_eq!(seen.events.len(), 1 + 40 + 2 + 1);
}

#[test]
fn a_retransmission_that_acknowledges_more_than_its_original_locks_nothing() {
    // B's first answer is not captured; its retransmission acknowledges the request that followed the original.
    let mut capture = Capture::new();
    capture.feed(&[
        sent(A, "S", 0, 0, b""),
        sent(B, "SA", 100, 1, b""),
        sent(A, "A", 1, 101, b"one?"),
        sent(A, "A", 5, 105, b"two?"),
        sent(B, "A", 101, 9, b"one!"),
    ]);
    let expected = [Open, Data(A, b"one?".to_vec()), Data(B, b"one!".to_vec()), Data(A, b"two?".to_vec())];
    assert_eq!(capture.seen.events, expected);
}

#[test]
fn bytes_seen_first_win() {
    let mut capture = Capture::new();
    capture.feed(&[
        sent(A, "S", 0, 0, b""),
        sent(A, "", 4, 0, b"DEF"),
        sent(A, "", 9, 0, b"I"),
        // Overlaps both, with other bytes, and fills what is between and behind.
        sent(A, "", 3, 0, b"xxxxGHxJK"),
        sent(A, "", 1, 0, b"AByyyyyyy"),
    ]);
    // "C" at 3 came as "x" before it came as "y".
    assert_eq!(capture.seen.events, [Open, Data(A, b"ABxDEFGHIJK".to_vec())]);
}

#[test]
fn keep_alives_and_probes_are_no_data() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x?");
    let [seq, ack] = talk.next;
    talk.sent.push(sent(A, "A", seq - 1, ack, b"\0"));
    talk.sent.push(sent(A, "A", seq - 1, ack, b""));
    talk.say(B, b"x!");
    let [_, back] = talk.next;
    // A probe of a closed window carries a true byte, which comes again with its segment.
    talk.sent.push(sent(A, "A", seq, back, b"y"));
    talk.say(A, b"y?");
    let events = replay(&talk.sent);
    assert_eq!(events[1..4], [Data(A, b"x?".to_vec()), Data(B, b"x!".to_vec()), Data(A, b"y?".to_vec())]);
}

#[test]
fn data_on_syn_and_fin_is_data_and_on_rst_is_not() {
    let mut capture = Capture::new();
    capture.feed(&[
        sent(A, "S", 0, 0, b"early "),
        sent(B, "SA", 100, 7, b"hi"),
        sent(A, "FA", 7, 103, b"late"),
        sent(B, "RA", 103, 12, b"because"),
    ]);
    let expected = [
        Open,
        Data(A, b"early ".to_vec()),
        Data(B, b"hi".to_vec()),
        Data(A, b"late".to_vec()),
        Event::End(A, End::Fin),
        Event::End(B, End::Rst),
    ];
    assert_eq!(capture.seen.events, expected);
    let seen = capture.end();
    assert_eq!(seen.events.last(), Some(&Close(End::Rst)));
    assert_eq!(seen.last.unwrap().reset_by, Some(B));
}

#[test]
fn a_reset_ends_both_and_its_sender_first() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x?");
    talk.push(B, "RA", b"");
    let mut straggler = talk.sent[3].clone();
    straggler.head.seq += 2;
    talk.sent.push(straggler);
    let mut capture = Capture::new();
    capture.feed(&talk.sent);
    capture.wait(Duration::from_secs(1));
    assert_eq!(capture.table.len(), 1, "late packets are waited for");
    capture.wait(Duration::from_secs(5));
    assert_eq!(capture.table.len(), 0);
    let expected =
        [Open, Data(A, b"x?".to_vec()), Event::End(B, End::Rst), Event::End(A, End::Rst), Close(End::Rst)];
    assert_eq!(capture.seen.events, expected);
}

#[test]
fn a_reset_waits_for_what_it_acknowledges_and_follows() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x?").say(B, b"x!").push(B, "RA", b"");
    for order in permutations(3) {
        let mut mixed = talk.sent[..3].to_vec();
        mixed.extend(order.iter().map(|i| talk.sent[3 + i].clone()));
        let events = replay(&mixed);
        let expected = [
            Open,
            Data(A, b"x?".to_vec()),
            Data(B, b"x!".to_vec()),
            Event::End(B, End::Rst),
            Event::End(A, End::Rst),
            Close(End::Rst),
        ];
        assert_eq!(events, expected, "{order:?}");
    }
}

#[test]
fn a_reset_flushes_with_gaps() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"lost").say(A, b"kept").push(B, "R", b"");
    talk.sent.remove(3);
    let events = replay(&talk.sent);
    assert_eq!(events[1..4], [Gap(A, 4, Lost), Data(A, b"kept".to_vec()), Event::End(B, End::Rst)]);
}

#[test]
fn a_forged_reset_is_ignored() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x?");
    talk.sent.push(sent(B, "R", 0x7000_0000, 0, b""));
    talk.sent.push(sent(A, "R", 3 + (1 << 21), 0, b""));
    talk.say(B, b"x!");
    let mut capture = Capture::new();
    capture.feed(&talk.sent);
    assert_eq!(capture.seen.events, [Open, Data(A, b"x?".to_vec()), Data(B, b"x!".to_vec())]);
    assert_eq!(capture.table.shed().out_of_window, 2);
}

#[test]
fn a_refused_connection() {
    let mut capture = Capture::new();
    capture.feed(&[sent(A, "S", 77, 0, b""), sent(B, "RA", 0, 1 << 29, b""), sent(B, "RA", 0, 78, b"")]);
    assert_eq!(capture.seen.events, [Open, Event::End(B, End::Rst), Event::End(A, End::Rst)]);
    assert_eq!(capture.table.flows().next().unwrap().0.segments, [1, 1]);
}

#[test]
fn a_reset_to_nobody_opens_nothing() {
    let mut capture = Capture::new();
    capture.feed(&[sent(A, "R", 77, 0, b"")]);
    assert!(capture.table.is_empty());
    assert_eq!(capture.seen.events, []);
}

#[test]
fn ports_used_again() {
    let mut capture = Capture::new();
    let mut old = Talk::new([1, 2]);
    old.say(A, b"old");
    capture.feed(&old.sent);
    // The same SYN again is the same connection, another one is not.
    capture.feed(&old.sent[..1]);
    let mut new = Talk::new([50_000, 60_000]);
    new.say(A, b"new");
    capture.feed(&new.sent);
    let expected = [
        Open,
        Data(A, b"old".to_vec()),
        Event::End(A, End::Replaced),
        Event::End(B, End::Replaced),
        Close(End::Replaced),
        Open,
        Data(A, b"new".to_vec()),
    ];
    assert_eq!(capture.seen.events, expected);
}

#[test]
fn connections_of_other_hosts_with_the_same_ports_are_others() {
    let v6 =
        |host: u8, port| Endpoint { ip: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, host.into()).into(), port };
    // The mark by which a connection is found knows nothing of IPv6 addresses.
    for at in [endpoint, v6] {
        let hosts = [1, 3, 5, 1, 5, 3].map(|host| at(host, 1000));
        let server = at(9, 80);
        let mut capture = Capture::new();
        for sent in Talk::three_calls([1, 2]) {
            hosts[..3].iter().for_each(|host| capture.feed_between(*host, server, &sent));
        }
        let bytes: Vec<[u64; 2]> = capture.table.flows().map(|(flow, _)| flow.bytes).collect();
        assert_eq!(bytes, [[16, 13]; 3]);
        // Where there is room for one, its number passes on to the next.
        let mut capture = Capture::with(Limits { flows: 1, ..Limits::default() });
        for host in hosts {
            capture.feed_between(host, server, &sent(A, "A", 1, 1, b"x"));
            let keys: Vec<Endpoint> = capture.table.flows().map(|(flow, _)| flow.key.a).collect();
            assert_eq!(keys, [host]);
        }
        assert_eq!(capture.table.shed().evicted, 5);
    }
}

#[test]
fn ports_used_again_after_a_close_keep_the_reason_of_the_close() {
    let mut capture = Capture::new();
    capture.feed(&Talk::three_calls([1, 2])).feed(&Talk::three_calls([5000, 6000]));
    let twice = [Talk::transcript(), Talk::transcript()].concat();
    assert_eq!(capture.end().events, twice);
}

#[test]
fn ports_used_again_whose_handshake_was_not_captured() {
    let mut capture = Capture::new();
    capture.feed(&Talk::three_calls([1, 2])[..6]);
    let far = 0x9000_0000;
    capture.feed(&[sent(A, "A", far, 7, b"all "), sent(A, "A", far + 4, 7, b"new")]);
    let tail = [Close(End::Replaced), Open, Data(A, b"all new".to_vec())];
    assert!(capture.seen.events.ends_with(&tail), "{:?}", capture.seen.events);
}

#[test]
fn a_corrupt_segment_is_ignored() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"x?").sent.push(sent(A, "A", 0x6666_6666, 0x7777_7777, b"junk"));
    talk.say(B, b"x!");
    let mut capture = Capture::new();
    capture.feed(&talk.sent);
    assert_eq!(capture.seen.events, [Open, Data(A, b"x?".to_vec()), Data(B, b"x!".to_vec())]);
}

#[test]
fn one_direction_alone_waits_for_nothing() {
    for heard in [A, B] {
        let talk = Talk::three_calls([1, 2]);
        let mut capture = Capture::new();
        for sent in talk.iter().filter(|s| s.side == heard) {
            capture.feed([sent]);
        }
        let mut side = Vec::new();
        for event in &capture.seen.events {
            if let Data(from, bytes) = event {
                assert_eq!(*from, heard);
                side.extend_from_slice(bytes);
            }
        }
        assert_eq!(side, if heard == A { &b"first?second?bye"[..] } else { b"first!second!" });
        // What the other side sent is known by its acknowledgements, up to a byte that is the FIN.
        let lost = capture.end().events.iter().find_map(|e| match e {
            Gap(from, lost, _) => Some((*from, *lost)),
            _ => None,
        });
        assert_eq!(lost, Some(if heard == A { (B, 13) } else { (A, 17) }));
    }
}

#[test]
fn a_start_in_the_middle() {
    let talk = Talk::three_calls([u32::MAX - 10, 2]);
    for first in 1..6 {
        let mut expected = Talk::transcript();
        expected.drain(1..first.max(3) - 2);
        let events = replay(&talk[first..]);
        assert_eq!(events, expected, "from packet {first}");
    }
}

#[test]
fn a_start_in_the_middle_with_the_answer_first_keeps_the_request() {
    let mut talk = Talk::three_calls([1, 2]);
    talk.swap(5, 6);
    let events = replay(&talk[5..]);
    assert_eq!(
        events[1..4],
        [Data(B, b"second!".to_vec()), Data(A, b"second?bye".to_vec()), Event::End(A, End::Fin)]
    );
}

#[test]
fn bytes_acknowledged_before_the_capture_began_are_no_hole() {
    let mut capture = Capture::new();
    // A's delayed acknowledgement of 90..100, which was sent before the capture began.
    capture.feed(&[sent(A, "A", 10, 90, b""), sent(A, "A", 10, 100, b"x?"), sent(B, "A", 100, 12, b"x!")]);
    assert_eq!(capture.seen.events, [Open, Data(A, b"x?".to_vec()), Data(B, b"x!".to_vec())]);
}

#[test]
fn bytes_acknowledged_after_the_other_side_spoke_may_be_the_answer() {
    // A speaks, acknowledges an answer that is missing, and speaks again.
    let events = replay(&[
        sent(A, "A", 10, 90, b"x?"),
        sent(A, "A", 12, 100, b""),
        sent(A, "A", 12, 100, b"y?"),
        sent(B, "A", 100, 14, b"y!"),
    ]);
    let asked = Data(A, b"x?y?".to_vec());
    assert_eq!(events[..4], [Open, asked, Event::Gap(B, 10, BeforeStart), Data(B, b"y!".to_vec())]);
}

#[test]
fn an_answer_that_is_missing_is_a_gap_where_the_fin_of_its_asker_came_before_all() {
    let events = replay(&[
        sent(B, "A", 90, 10, b""),
        sent(A, "FA", 12, 100, b""),
        sent(A, "A", 10, 90, b"x?"),
        sent(B, "FA", 100, 13, b""),
    ]);
    let asked = Data(A, b"x?".to_vec());
    assert!(events.contains(&asked), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Gap(B, 10, _))), "{events:?}");
}

#[test]
fn a_keep_alive_begins_no_stream() {
    let mut capture = Capture::new();
    capture.feed(&[
        sent(A, "A", 99, 50, b"\0"),
        sent(B, "A", 50, 100, b""),
        sent(B, "A", 49, 100, b"\0"),
        sent(A, "A", 99, 50, b"\0"),
        sent(A, "A", 100, 50, b"x?"),
        sent(B, "A", 50, 102, b"x!"),
    ]);
    assert_eq!(capture.seen.events, [Open, Data(A, b"x?".to_vec()), Data(B, b"x!".to_vec())]);
}

#[test]
fn a_cut_segment_is_data_and_a_gap() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"0123456789").say(A, b"abcdef").say(B, b"x!");
    talk.sent[3].bytes.truncate(4);
    talk.sent[3].missing = 6;
    let expected =
        [Data(A, b"0123".to_vec()), Gap(A, 6, Cut), Data(A, b"abcdef".to_vec()), Data(B, b"x!".to_vec())];
    assert_eq!(replay(&talk.sent)[1..5], expected);
    // Held back or not.
    talk.sent.swap(3, 4);
    assert_eq!(replay(&talk.sent)[1..5], expected);
    // Retransmitted in full, behind the one that was cut: known by then.
    let mut whole = talk.sent[4].clone();
    whole.bytes = b"0123456789".to_vec();
    whole.missing = 0;
    talk.sent.insert(5, whole);
    assert_eq!(replay(&talk.sent)[1..5], expected);
}

#[test]
fn offloaded_segments_and_small_ones_overlap_freely() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let mut capture = Capture::new();
    capture.feed([&sent(A, "S", 0, 0, b"")]);
    for (at, len) in [(0, 1460), (2920, 1460), (0, 64_000), (63_000, 2000), (60_000, 40_000)] {
        capture.feed([&sent(A, "A", 1 + at, 1, &bytes[at as usize..][..len])]);
    }
    assert_eq!(capture.seen.events, [Open, Data(A, bytes)]);
}

#[test]
fn idle_connections_expire_at_ticks_only() {
    let mut capture = Capture::new();
    let mut talk = Talk::new([1, 2]);
    capture.feed(&talk.say(A, b"x?").sent);
    capture.now += 3 * 3_600_000 * MS;
    capture.feed_to(2000, &sent(A, "S", 0, 0, b""));
    assert_eq!(capture.table.len(), 2);
    capture.wait(Duration::ZERO);
    assert_eq!(capture.table.len(), 1);
    let expected = [Event::End(A, End::Idle), Event::End(B, End::Idle), Close(End::Idle)];
    assert_eq!(capture.seen.events[2..], expected);
}

#[test]
fn a_connection_in_use_does_not_expire() {
    let mut capture = Capture::new();
    capture.feed([&sent(A, "S", 0, 0, b"")]);
    let (idle, second) = (Limits::default().idle, Duration::from_secs(1));
    for at in 0..10 {
        capture.wait(idle.saturating_sub(second));
        capture.feed([&sent(A, "A", 1 + at, 1, b"x")]);
    }
    assert_eq!(capture.table.len(), 1);
    capture.wait(idle.saturating_sub(second));
    assert_eq!(capture.table.len(), 1);
    capture.wait(second);
    assert_eq!(capture.table.len(), 0);
}

#[test]
fn time_in_which_the_whole_capture_was_silent_ends_nothing() {
    let mut capture = Capture::new();
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"first").say(A, b"lost").say(A, b"third").say(B, b"answer").say(A, b"more");
    let (lost, last) = (4, talk.sent.len() - 1);
    capture.feed(talk.sent[..last].iter().enumerate().filter(|(at, _)| *at != lost).map(|(_, sent)| sent));
    capture.now += 3_600_000 * MS;
    capture.resume().wait(Duration::ZERO);
    capture.feed([&talk.sent[lost], &talk.sent[last]]);
    let (idle, second) = (Limits::default().idle, Duration::from_secs(1));
    capture.wait(idle.saturating_sub(second));
    assert_eq!(capture.table.len(), 1);
    let said =
        [Open, Data(A, b"firstlostthird".to_vec()), Data(B, b"answer".to_vec()), Data(A, b"more".to_vec())];
    assert_eq!(capture.seen.events, said);
    capture.wait(second);
    assert_eq!(capture.table.len(), 0, "silent since then");
}

#[test]
fn a_reset_waits_on_after_the_whole_capture_was_silent() {
    let mut capture = Capture::new();
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"ask").say(B, b"answer").push(A, "RA", b"");
    capture.feed([0, 1, 2, 3, 5].map(|at| &talk.sent[at]));
    capture.now += 3_600_000 * MS;
    capture.resume().wait(Duration::ZERO);
    capture.feed([&talk.sent[4]]);
    let said = [Open, Data(A, b"ask".to_vec()), Data(B, b"answer".to_vec()), Event::End(A, End::Rst)];
    assert_eq!(capture.seen.events[..4], said);
}

#[test]
fn segments_too_late_for_their_place_are_counted() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"first?").say(B, b"first!").say(A, b"second?").say(B, b"second!");
    talk.push(A, "RA", b"");
    let late = |order: &[usize]| {
        let mut capture = Capture::new();
        for at in order {
            capture.now = 100 * MS + *at as i64 * MS;
            capture.feed([&talk.sent[*at]]);
        }
        capture.table.shed().late
    };
    assert_eq!(late(&[0, 1, 2, 3, 4, 5, 6, 7]), 0);
    assert_eq!(late(&[0, 2, 1, 4, 3, 6, 5, 7]), 0, "each is read in its place");
    assert_eq!(late(&[0, 1, 2, 3, 7, 4, 5, 6]), 0, "the reset waits for them");
    assert_eq!(late(&[5, 6, 0, 1, 2, 3, 4, 7]), 4, "the handshake and the data before what was read first");
    assert_eq!(late(&[5, 6, 7, 3, 4]), 2, "data of one that has ended");
    let mut capture = Capture::new();
    capture.feed(&Talk::three_calls([1_000_000, 2_000_000]));
    capture.now = 0;
    capture.feed(&talk.sent);
    assert_eq!(capture.table.shed().late, 1, "a connection whose place another one has taken");
    let mut capture = Capture::new();
    capture.now = 10 * MS;
    capture.datagram(B, 1, b"answer");
    capture.now -= MS;
    capture.datagram(A, 2, b"request");
    assert_eq!(capture.table.shed().late, 1);
}

#[test]
fn a_full_table_evicts_closed_ones_then_the_idlest() {
    let mut capture = Capture::with(Limits { flows: 3, ..Limits::default() });
    let first = sent(A, "SA", 0, 0, b"x");
    for port in [1000, 2000, 3000] {
        capture.feed_to(port, &first);
        capture.wait(Duration::from_secs(2));
    }
    // 1000 is used again, 2000 is the idlest now, 3000 is closed.
    capture.feed_to(1000, &sent(A, "A", 2, 1, b"x"));
    capture.feed_to(3000, &sent(B, "RA", 0, 2, b""));
    capture.feed_to(4000, &first);
    assert_eq!(capture.table.shed().evicted, 0);
    capture.feed_to(5000, &first);
    assert_eq!(capture.table.shed().evicted, 1);
    let closes: Vec<&Event> = capture.seen.events.iter().filter(|e| matches!(e, Close(_))).collect();
    assert_eq!(closes, [&Close(End::Rst), &Close(End::Evicted)]);
    let mut ports: Vec<u16> = capture.table.flows().map(|(f, _)| f.key.a.port).collect();
    ports.sort_unstable();
    assert_eq!(ports, [1000, 4000, 5000]);
}

/// Each connection takes some memory that it does not need.
#[derive(Default)]
struct Roomy;

impl Owner<usize> for Roomy {
    fn open(&mut self, _: &Flow) -> usize {
        0
    }

    fn chunk(&mut self, _: &Flow, room: &mut usize, _: Side, _: Chunk<'_>, _: Stamp, _: Stamp) -> u64 {
        *room = 4000;
        u64::MAX
    }

    fn weight(&self, room: &usize) -> usize {
        1000 + room
    }

    fn shrink(&self, room: &mut usize) {
        *room = 0;
    }

    fn close(&mut self, _: &Flow, _: &mut usize, _: End, _: Stamp) {}
}

#[test]
fn silent_connections_are_shrunk_before_any_is_evicted() {
    let mut table = Table::new(Limits { memory: 100_000, ..Limits::default() });
    let mut packet = 0_u32;
    let mut say = |table: &mut Table<usize>, port: u16, seq: u32| {
        packet += 1;
        let (key, side) = FlowKey::new(endpoint(1, port), endpoint(2, 80), Network::Tcp);
        let flags = TcpFlags { syn: seq == 0, ack: true, ..TcpFlags::default() };
        let transport = Transport::Tcp(TcpHead { seq, ack: 1, flags });
        let time = Timestamp(i64::from(packet) * 100 * MS);
        let packet = packet.into();
        table.segment(&Segment { packet, time, key, side, transport, payload: b"x", missing: 0 }, &mut Roomy);
        let weight: usize =
            table.flows().map(|(_, room)| Table::<usize>::CONNECTION + Roomy.weight(room)).sum();
        assert!(weight <= 100_000, "{weight}");
    };
    let rooms = |table: &Table<usize>| table.flows().filter(|(_, room)| **room > 0).count();
    let ports = 1000..1040_u16;
    for port in ports.clone() {
        say(&mut table, port, 0);
    }
    assert_eq!((table.len(), table.shed().evicted), (40, 0), "in full they would take twice what there is");
    assert!((1..40).contains(&rooms(&table)), "{} are in full", rooms(&table));
    // What is heard of again is weighed again, so that there is no room for all of them at a time.
    for port in ports {
        say(&mut table, port, 2);
    }
    assert_eq!(table.shed().evicted, 0);
    for port in 2000..2100 {
        say(&mut table, port, 0);
    }
    assert!(table.shed().evicted > 0);
}

#[test]
fn a_flood_of_handshakes_evicts_no_connection_and_takes_little() {
    let mut capture = Capture::with(Limits { flows: 3, in_full: 1, handshakes: 10, ..Limits::default() });
    capture.feed_to(1, &sent(A, "S", 0, 0, b""));
    capture.feed_to(1, &sent(A, "A", 1, 1, b"x?"));
    for port in 1000..1100 {
        capture.feed_to(port, &sent(A, "S", 0, 0, b""));
    }
    assert_eq!(capture.table.len(), 11);
    let shed = Shed { handshakes: 90, ..Shed::default() };
    assert_eq!(capture.table.shed(), shed);
    // The oldest go first, and each leaves as a connection without payload.
    let events = [Open, Event::End(A, End::Evicted), Event::End(B, End::Evicted), Close(End::Evicted)];
    let expected: Vec<Event> = std::iter::repeat_n(events, 90).flatten().collect();
    assert_eq!(capture.seen.events[2..], expected);
    capture.feed_to(1, &sent(B, "A", 1, 3, b"x!"));
    assert_eq!(capture.seen.events.last(), Some(&Data(B, b"x!".to_vec())));
    const { assert!(super::table::HANDSHAKE <= 200) };
}

#[test]
fn what_is_held_back_is_bounded() {
    let limits = Limits { flow_bytes: 10_000, total_bytes: 25_000, flow_pieces: 20, ..Limits::default() };
    let mut capture = Capture::with(limits);
    for port in 1..20 {
        capture.feed_to(port, &sent(A, "S", 0, 0, b""));
        capture.feed_to(port, &sent(B, "SA", 0, 1, b""));
        for at in 0..40_u32 {
            // Every second segment is lost, and none is acknowledged.
            capture.feed_to(port, &sent(A, "A", 1001 + 2000 * at, 1, &[at as u8; 1000]));
            assert!(capture.table.held() <= limits.total_bytes);
        }
    }
    assert!(capture.table.shed().overflows > 0);
    let seen = capture.end();
    let data: usize = seen.events.iter().map(|e| if let Data(_, b) = e { b.len() } else { 0 }).sum();
    let lost: u64 = seen.events.iter().map(|e| if let Gap(_, n, _) = e { *n } else { 0 }).sum();
    assert_eq!((data, lost), (19 * 40_000, 19 * 40_000), "all that was captured is delivered");

    let mut capture = Capture::with(limits);
    capture.feed([&sent(A, "S", 0, 0, b""), &sent(B, "SA", 0, 1, b"")]);
    for at in 0..1000 {
        capture.feed([&sent(A, "A", 3 + 2 * at, 1, b"x")]);
    }
    assert!(capture.table.held() < 20 * 200, "single bytes cost memory too");
}

#[test]
fn datagrams_are_seen_once() {
    let mut capture = Capture::new();
    capture.datagram(A, 5, b"x?");
    capture.datagram(A, 5, b"x?");
    capture.datagram(B, 5, b"x!");
    capture.datagram(A, 6, b"x?");
    let datagram = |side, bytes: &[u8]| Event::Datagram(side, bytes.to_vec(), 0);
    assert_eq!(capture.seen.events, [Open, datagram(A, b"x?"), datagram(B, b"x!"), datagram(A, b"x?")]);
    assert_eq!(capture.table.shed().repeats, 1);
    capture.wait(Duration::from_secs(60));
    assert_eq!(capture.seen.events.last(), Some(&Close(End::Idle)));
}

#[test]
fn a_capture_that_ends_delivers_what_waits() {
    let mut talk = Talk::new([1, 2]);
    talk.say(A, b"lost").say(B, b"x!").say(A, b"lost too");
    talk.push(B, "A", b"");
    talk.sent.remove(5);
    talk.sent.remove(3);
    let events = replay(&talk.sent);
    let expected = [
        Gap(A, 4, Lost),
        Data(B, b"x!".to_vec()),
        Gap(A, 8, Lost),
        Event::End(A, End::Idle),
        Event::End(B, End::Idle),
        Close(End::Idle),
    ];
    assert_eq!(events[1..], expected);
}

/// A conversation with the stream of each side, and how far the other's had come at each of its segments.
#[derive(Clone, Debug)]
struct Model {
    sent: Vec<Sent>,
    streams: [Vec<u8>; 2],
    isn: [u32; 2],
}

/// Random messages in random segments, with random pure acknowledgements, and FINs at the end.
fn conversation() -> impl Strategy<Value = Model> {
    let message = (prop::bool::ANY, prop::collection::vec(1usize..40, 1..5), prop::bool::ANY);
    (prop::collection::vec(message, 1..25), any::<[u32; 2]>(), prop::bool::ANY).prop_map(
        |(messages, isn, wrap)| {
            let isn = if wrap { isn.map(|n| u32::MAX - n % 300) } else { isn };
            let mut talk = Talk::new(isn);
            let mut streams = [Vec::new(), Vec::new()];
            for (first, sizes, acknowledged) in messages {
                let side = if first { A } else { B };
                for size in sizes {
                    let stream = &mut streams[side.index()];
                    let from = stream.len();
                    stream.extend((from..from + size).map(|i| (i * 7 + i / 251) as u8));
                    let bytes = stream[from..].to_vec();
                    talk.say(side, &bytes);
                }
                if acknowledged {
                    talk.push(side.other(), "A", b"");
                }
            }
            talk.push(A, "FA", b"").push(B, "FA", b"");
            Model { sent: talk.sent, streams, isn }
        },
    )
}

/// How far the streams had come: positions of both sides after each event.
fn check(model: &Model, events: &[Event], lossless: bool) {
    let mut at = [0usize; 2];
    // For each byte of a side, how many bytes of the other side its sender had surely received.
    let needs: Vec<Vec<(usize, usize)>> = [A, B]
        .iter()
        .map(|side| {
            let offset = |of: Side, n: u32| n.wrapping_sub(model.isn[of.index()]).wrapping_sub(1) as usize;
            model.sent[3..]
                .iter()
                .filter(|s| s.side == *side && !s.bytes.is_empty())
                .map(|s| (offset(*side, s.head.seq) + s.bytes.len(), offset(side.other(), s.head.ack)))
                .collect()
        })
        .collect();
    for event in events {
        match event {
            Data(side, bytes) => {
                let stream = &model.streams[side.index()];
                let from = at[side.index()];
                assert_eq!(bytes[..], stream[from..from + bytes.len()], "bytes at their place");
                at[side.index()] += bytes.len();
                let until = at[side.index()];
                let needed =
                    needs[side.index()].iter().filter(|n| n.0 <= until).map(|n| n.1).max().unwrap_or(0);
                // A single lost byte that could be a FIN is known only when something follows.
                let other = at[side.other().index()] + usize::from(!lossless);
                let sent = model.streams[side.other().index()].len();
                assert!(other >= needed.min(sent), "an effect before its cause: {events:?}");
            }
            Gap(side, lost, _) => {
                assert!(!lossless, "a gap where nothing is lost: {events:?}");
                at[side.index()] += *lost as usize;
            }
            _ => {}
        }
    }
    for side in [A, B] {
        let (at, len) = (at[side.index()], model.streams[side.index()].len());
        // A lost FIN that is behind other lost bytes looks like one more of them.
        assert!(at == len || (!lossless && at == len + 1) || (!lossless && at < len), "{at} of {len}");
    }
    assert_eq!(events.iter().filter(|e| matches!(e, Event::End(..))).count(), 2);
}

/// Sorts by position plus a random displacement: packets change places over a short distance.
fn displace(sent: Vec<Sent>, by: &[u8]) -> Vec<Sent> {
    let mut keyed: Vec<(usize, Sent)> = sent
        .into_iter()
        .enumerate()
        .map(|(i, s)| (if i < 3 { 0 } else { i + 3 + by[i % by.len()] as usize % 12 }, s))
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, s)| s).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn disorder_and_copies_lose_nothing(
        model in conversation(),
        by in prop::collection::vec(any::<u8>(), 1..40),
        copies in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
    ) {
        let mut mixed = model.sent.clone();
        for copy in copies {
            let at = 3 + copy.index(mixed.len() - 3);
            mixed.insert(at, mixed[at].clone());
        }
        let events = replay(&displace(mixed, &by));
        check(&model, &events, true);
        prop_assert_eq!(events.last(), Some(&Close(End::Fin)));
    }

    #[test]
    fn loss_is_a_gap_and_order_stays(
        model in conversation(),
        by in prop::collection::vec(any::<u8>(), 1..40),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        ticks in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut mixed = model.sent.clone();
        for lost in lost {
            let at = 3 + lost.index(mixed.len() - 3);
            mixed.remove(at);
            if mixed.len() == 3 {
                break;
            }
        }
        let mixed = displace(mixed, &by);
        let mut capture = Capture::new();
        for (i, sent) in mixed.iter().enumerate() {
            if ticks.iter().any(|t| t.index(mixed.len()) == i) {
                capture.wait(Duration::from_millis(700));
            }
            capture.feed([sent]);
        }
        check(&model, &capture.end().events, false);
    }

    #[test]
    fn any_segments_whatsoever_keep_the_contract(
        segments in prop::collection::vec(
            (prop::bool::ANY, 0u8..32, 0u32..60, 0u32..60, 0usize..20, 0u32..3, 0u16..2), 0..120),
        base in any::<[u32; 2]>(),
        flows in prop_oneof![Just(1_usize), Just(COMPARED)],
        in_full in 0..3_usize,
    ) {
        let limits = Limits { flows, in_full, flow_bytes: 400, flow_pieces: 4, hole_segments: 5, ..Limits::default() };
        let mut capture = Capture::with(limits);
        for (first, bits, seq, ack, len, missing, port) in segments {
            let side = if first { A } else { B };
            let letters: String = "FSRA ".chars().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, c)| c).collect();
            // SYN, FIN and RST are rare enough to let something happen in between.
            let letters = if seq % 3 == 0 { letters } else { "A".to_owned() };
            let [seq, ack] = [base[side.index()].wrapping_add(seq), base[side.other().index()].wrapping_add(ack)];
            let mut segment = sent(side, &letters, seq, ack, &[7; 20][..len]);
            segment.missing = missing;
            capture.feed_to(1000 + port, &segment);
            prop_assert!(capture.table.held() <= 400 * flows.min(2));
            if bits == 31 {
                capture.wait(Duration::from_millis(600));
            }
        }
        // The recorder has held every call against the contract; what was opened was closed.
        let events = capture.end().events;
        let opened = events.iter().filter(|e| **e == Open).count();
        let closed = events.iter().filter(|e| matches!(e, Close(_))).count();
        let ended = events.iter().filter(|e| matches!(e, Event::End(..))).count();
        prop_assert_eq!((closed, ended), (opened, 2 * opened));
    }
}
