//! What was read in all, and what of it could not be: the numbers behind the last lines on standard error, the header of the
//! interface and the record of `--totals`.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use crate::calls::record::Connection;
use crate::decode::{Ended, Skip};
use crate::flow::Shed;
use crate::source::{LinkType, Record, SourceError};
use crate::text::{counted, duration, thousands};
use crate::time::Timestamp;

/// How much older a packet may be than one before it, in nanoseconds: interfaces and files that are merged differ by less.
/// Where a smaller difference changes what is read of a connection, its segments are counted as [`late`](Shed::late).
const BACKWARDS: u64 = 1_000_000_000;

/// A time without packets, in nanoseconds, that is more likely a clock that was set than a pause: 30 days.
const LEAP: u64 = 30 * 86_400_000_000_000;

/// What was read, and the result in numbers.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Packets read.
    pub packets: u64,
    /// Bytes of these packets, as captured.
    pub bytes: u64,
    /// Packets without a segment, by reason.
    pub skipped: Vec<(Skip, u64)>,
    /// The first link type that can't be decoded, if there was one.
    pub unknown_link: Option<LinkType>,
    /// The numbers at which packets without a segment ended, in the order in which they came.
    pub ended: Vec<(Ended, u64)>,
    /// Time of the first and the last packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// Packets that are older than ones before them by [`BACKWARDS`] or more, and the largest difference in nanoseconds.
    pub backwards: (u64, u64),
    /// The longest time without a packet, in nanoseconds.
    pub pause: u64,
    /// Calls whose answer began only when the whole capture had been silent for a minute or more, or its clock was set forward.
    pub across_silence: u64,
    /// Calls decided, before any filter. Counted by whoever receives them, because several captures may show one call.
    pub calls: u64,
    /// Connections seen.
    pub connections: u64,
    /// Connections that ended without a call, by reason, with their payload bytes.
    pub without_calls: Tally,
    /// Connections of known protocols with messages that could not be decoded, by the last error, with their number.
    pub undecodable: Tally,
    /// Lost bytes: holes in streams, and fragmented datagrams that stayed incomplete.
    pub gaps: u64,
    /// Holes in TCP streams, in connections with calls.
    pub holes: Tallied,
    /// A fault of this program while calls waited for others, which ended that; a call may be missing. Known at the end.
    pub fault: Option<String>,
    /// Connections and stream data dropped at a bound.
    pub shed: Shed,
    /// Pending calls dropped because too many of one connection waited.
    pub shed_calls: u64,
    /// Blocks of secrets that were not kept because those of all files together would take too much.
    pub shed_secrets: u64,
    /// Live: start of the oldest pending call, as of the last second.
    pub oldest_open: Option<Timestamp>,
    /// Bytes read of bytes in all, where the end is known.
    pub progress: Option<(u64, u64)>,
}

/// How much of one kind was dropped at a bound, or passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShedKind {
    /// Its key in the record of `--totals`.
    pub name: &'static str,
    /// What it is, for people; empty for what is no loss.
    pub words: &'static str,
    /// How many.
    pub count: u64,
}

/// Connections by reason, each with an amount of something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<&'static str, Tallied>);

/// Connections with the same reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallied {
    /// How many they are.
    pub connections: u64,
    /// Payload bytes that they carried, or messages.
    pub amount: u64,
}

impl AddAssign for Tallied {
    fn add_assign(&mut self, more: Self) {
        self.connections += more.connections;
        self.amount += more.amount;
    }
}

impl Tally {
    /// Counts a connection with its amount.
    pub fn add(&mut self, reason: &'static str, amount: u64) {
        *self.0.entry(reason).or_default() += Tallied { connections: 1, amount };
    }

    fn merge_all(&mut self, other: &Self) {
        other.0.iter().for_each(|(reason, tallied)| *self.0.entry(reason).or_default() += *tallied);
    }

    /// All reasons, the most frequent first.
    #[must_use]
    pub fn sorted(&self) -> Vec<(&'static str, Tallied)> {
        let mut all: Vec<_> = self.0.iter().map(|(reason, tallied)| (*reason, *tallied)).collect();
        all.sort_by_key(|(_, tallied)| std::cmp::Reverse(tallied.connections));
        all
    }

    /// Those with an amount of anything.
    fn with_amount(&self) -> Self {
        Self(
            self.0
                .iter()
                .filter(|(_, tallied)| tallied.amount > 0)
                .map(|(reason, t)| (*reason, *t))
                .collect(),
        )
    }

    /// `19 TLS without keys, 4 HTTP/1.1 without RPC`.
    fn words(&self) -> String {
        words(self.sorted().into_iter().map(|(reason, tallied)| (tallied.connections, reason)))
    }

    /// Connections and amount in all.
    #[must_use]
    pub fn sum(&self) -> Tallied {
        let mut sum = Tallied::default();
        self.0.values().for_each(|more| sum += *more);
        sum
    }
}

impl<'c> FromIterator<&'c Connection> for Tally {
    /// The connections without calls, with their payload bytes.
    fn from_iter<I: IntoIterator<Item = &'c Connection>>(connections: I) -> Self {
        let mut tally = Self::default();
        for connection in connections.into_iter().filter(|connection| connection.calls == 0) {
            tally.add(connection.reason.unwrap_or("no call yet"), connection.bytes.iter().sum());
        }
        tally
    }
}

impl Totals {
    /// Counts the next packets, and notes their times.
    pub(super) fn count(&mut self, packets: &[Record]) {
        let Some(begin) = packets.first() else { return };
        // Variables of their own stay in registers.
        let (mut bytes, mut pause) = (0, self.pause);
        let (mut back, mut furthest) = self.backwards;
        let (mut first, mut last) = self.span.unwrap_or((begin.time, begin.time));
        for &Record { time, len, .. } in packets {
            bytes += u64::from(len);
            if time >= last {
                pause = pause.max(time.since(last));
                last = time;
                continue;
            }
            first = time.min(first);
            let behind = last.0.abs_diff(time.0);
            if behind >= BACKWARDS {
                back += 1;
                furthest = behind.max(furthest);
            }
        }
        self.packets += packets.len() as u64;
        self.bytes += bytes;
        (self.span, self.pause, self.backwards) = (Some((first, last)), pause, (back, furthest));
    }

    /// An error, if nothing of the input could be decoded because of its link type.
    #[must_use]
    pub fn undecoded(&self) -> Option<SourceError> {
        let link = self.unknown_link?;
        let (_, count) = self.skipped.iter().find(|(skip, _)| *skip == Skip::Link)?;
        (*count == self.packets).then(|| {
            SourceError(format!("{count} packets of {} can't be decoded: link type {link}", self.packets))
        })
    }

    /// What announced the headers at which packets ended, the most frequent first: `7 Ethernet type 0x88cc (LLDP)`.
    fn endings(&self, of: impl Fn(&Ended) -> bool) -> String {
        const SHOWN: usize = 5;
        let mut chosen: Vec<_> = self.ended.iter().filter(|(ended, _)| of(ended)).collect();
        chosen.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words(chosen.iter().take(SHOWN).map(|(ended, count)| (*count, ended.to_string())))
    }

    /// Adds the numbers of another share of the connections. Every share reads all packets.
    pub(super) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.gaps += other.gaps;
        self.holes += other.holes;
        self.across_silence += other.across_silence;
        self.without_calls.merge_all(&other.without_calls);
        self.undecodable.merge_all(&other.undecodable);
        self.shed += other.shed;
        self.shed_calls += other.shed_calls;
        self.oldest_open = match (self.oldest_open, other.oldest_open) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// What could not be seen, one line each, for people: why there are no calls, connections that were not decoded,
    /// messages and packets that could not be decoded, and what was dropped at a bound. Empty if all is well.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let lines =
            [self.silence(), self.broken(), self.opaque(), self.lacking(), self.dropped(), self.disordered()];
        lines.into_iter().flatten().collect()
    }

    /// Why there are no calls, or which connections were not decoded.
    fn silence(&self) -> Option<String> {
        let lists = "rpcscope calls --connections lists them";
        if self.packets == 0 {
            return Some("no packets".to_owned());
        }
        if self.connections == 0 {
            let skipped = words(self.skipped.iter().map(|(skip, count)| (*count, skip.reason())));
            return Some(format!(
                "no calls: none of {} belongs to a TCP or UDP connection{}",
                counted(self.packets, "packet"),
                match (skipped.is_empty(), self.endings(|_| true)) {
                    (true, _) => String::new(),
                    (false, at) if at.is_empty() => format!(" ({skipped})"),
                    (false, at) => format!(" ({skipped}: {at})"),
                }
            ));
        }
        let all = counted(self.connections, "connection");
        if self.calls == 0 {
            return Some(format!("no calls in {all}: {}; {lists}", self.without_calls.words()));
        }
        let silent = self.without_calls.with_amount();
        let count = silent.sum().connections;
        (count > 0).then(|| format!("no calls in {} of {all}: {}; {lists}", thousands(count), silent.words()))
    }

    /// Messages that could not be decoded.
    fn broken(&self) -> Option<String> {
        let Tallied { connections, amount } = self.undecodable.sum();
        (connections > 0).then(|| {
            format!(
                "{} in {} could not be decoded as the connection's protocol: {}; rpcscope calls --connections says where",
                counted(amount, "message"),
                counted(connections, "connection"),
                self.undecodable.words()
            )
        })
    }

    /// Packets that were not read to their end, unless they are of other protocols.
    fn opaque(&self) -> Option<String> {
        let hidden = |skip: &Skip| {
            matches!(
                skip,
                Skip::Encrypted | Skip::Truncated | Skip::Malformed | Skip::TooDeep | Skip::Exported
            )
        };
        let chosen = self.skipped.iter().filter(|(skip, _)| hidden(skip));
        let hidden = words(chosen.map(|(skip, count)| (*count, skip.reason())));
        let links = self.endings(|ended| matches!(ended, Ended::Link(_)));
        let words =
            [hidden, links].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(", ");
        (!words.is_empty())
            .then(|| format!("packets that could not be read to a TCP or UDP segment: {words}"))
    }

    /// Packets that the capture lacks: what a call left in others is marked, but of one that they brought as a whole nothing is left.
    fn lacking(&self) -> Option<String> {
        let Tallied { connections, amount } = self.holes;
        (connections > 0).then(|| {
            format!(
                "packets are missing in {} of {} with calls: calls may be missing there, too; rpcscope calls --connections says where",
                counted(amount, "place"),
                counted(connections, "connection"),
            )
        })
    }

    /// What was dropped at a bound or passed over, by kind.
    #[must_use]
    pub fn shed_by_kind(&self) -> [ShedKind; 9] {
        let Shed { evicted, handshakes, heavy, overflows, out_of_window, late, repeats } = self.shed;
        let kind = |name, words, count| ShedKind { name, words, count };
        [
            kind("connections", "connections evicted because too many were open (--max-memory)", evicted),
            kind("heavy", "connections given up because one took too much memory (--max-memory)", heavy),
            kind(
                "handshakes",
                "connections without payload evicted because too many were open (--max-memory)",
                handshakes,
            ),
            kind("calls", "pending calls dropped because too many of one connection waited", self.shed_calls),
            kind("overflows", "gaps given up early because too many bytes waited behind them", overflows),
            kind("out_of_window", "segments outside the window of their connection", out_of_window),
            kind(
                "late",
                "segments that stand behind newer ones of their connection, too late to be read in their place (reordercap sorts a file)",
                late,
            ),
            kind(
                "secrets",
                "blocks of TLS secrets in pcapng files not kept because all together are too large",
                self.shed_secrets,
            ),
            // Interfaces that see a packet twice have many: no loss.
            kind("repeated_datagrams", "", repeats),
        ]
    }

    /// What was dropped at a bound.
    fn dropped(&self) -> Option<String> {
        let kinds = self.shed_by_kind().into_iter().filter(|kind| !kind.words.is_empty());
        let words = words(kinds.map(|kind| (kind.count, kind.words)));
        (!words.is_empty()).then(|| format!("not everything was followed: {words}"))
    }

    /// What the times of the packets do to the calls.
    fn disordered(&self) -> Option<String> {
        let (count, most) = self.backwards;
        let back = (count > 0).then(|| {
            format!(
                "{} older than packets before them, by up to {}: gaps are given up and connections end by the latest time, and \
                 latencies across such a place are wrong; reordercap (Wireshark) sorts a file",
                if count == 1 { "1 packet is".to_owned() } else { format!("{} packets are", thousands(count)) },
                duration(most)
            )
        });
        let leap = (self.pause >= LEAP).then(|| {
            let pause = duration(self.pause);
            format!("the time leaps ahead by {pause} between two packets")
        });
        let across = (self.across_silence > 0).then(|| {
            format!(
                "{} while no packet at all was captured for a minute or more, or the clock was set forward: latencies and late answers \
                 are by the clock",
                if self.across_silence == 1 { "1 call waited".to_owned() } else { format!("{} calls waited", thousands(self.across_silence)) }
            )
        });
        let all: Vec<_> = [back, leap, across].into_iter().flatten().collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// All that was dropped at a bound or could not be decoded.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.shed.evicted
            + self.shed.heavy
            + self.shed_calls
            + self.shed.overflows
            + self.shed_secrets
            + self.undecodable.sum().amount
    }
}

/// `5 not IP, 3 fragment`, without what is zero.
fn words(counts: impl IntoIterator<Item = (u64, impl std::fmt::Display)>) -> String {
    let some = counts.into_iter().filter(|(count, _)| *count > 0);
    some.map(|(count, word)| format!("{} {word}", thousands(count))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals { packets: 1_200, connections: 23, calls: 5, ..Totals::default() }
    }

    #[test]
    fn nothing_is_said_if_all_is_well() {
        let mut totals = totals();
        totals.without_calls.add("refused", 0);
        totals.skipped = vec![(Skip::NotIp, 4), (Skip::OtherTransport, 2), (Skip::Fragment, 2)];
        assert_eq!(totals.remarks(), [""; 0]);
    }

    #[test]
    fn packets_that_are_missing_are_said() {
        let mut totals = totals();
        totals.holes = Tallied { connections: 2, amount: 1 };
        let mut other = totals.clone();
        other.add(&totals);
        let start = "packets are missing in 2 places of 4 connections with calls: ";
        assert!(other.remarks()[0].starts_with(start), "{:?}", other.remarks());
    }

    #[test]
    fn connections_that_carried_something_else_are_named_by_what_it_is() {
        let mut totals = totals();
        for bytes in [100, 200] {
            totals.without_calls.add("TLS without keys", bytes);
        }
        totals.without_calls.add("HTTP/1.1 without RPC", 10);
        totals.without_calls.add("refused", 0);
        let [remark] = &totals.remarks()[..] else { panic!("one remark") };
        let start = "no calls in 3 of 23 connections: 2 TLS without keys, 1 HTTP/1.1 without RPC; ";
        assert!(remark.starts_with(start), "{remark}");
        totals.calls = 0;
        let [remark] = &totals.remarks()[..] else { panic!("one remark") };
        let start = "no calls in 23 connections: 2 TLS without keys, 1 HTTP/1.1 without RPC, 1 refused; ";
        assert!(remark.starts_with(start), "{remark}");
    }

    #[test]
    fn a_capture_without_connections_says_what_its_packets_are() {
        let mut totals = Totals { packets: 1_200, ..Totals::default() };
        totals.skipped = vec![(Skip::NotIp, 1_190), (Skip::OtherTransport, 10)];
        let expected = "no calls: none of 1,200 packets belongs to a TCP or UDP connection (1,190 not IP, 10 neither \
                        TCP nor UDP)";
        assert_eq!(totals.remarks(), [expected]);
        let (lldp, ospf) = (Ended::EtherType(0x88cc), Ended::Protocol(89));
        totals.ended = vec![(ospf, 10), (lldp, 1_190)];
        let [remark] = &totals.remarks()[..] else { panic!("one remark") };
        let end = "TCP nor UDP: 1,190 Ethernet type 0x88cc (LLDP), 10 IP protocol 89 (OSPF))";
        assert!(remark.ends_with(end), "{remark}");
        assert_eq!(Totals::default().remarks(), ["no packets"]);
    }

    #[test]
    fn an_unknown_link_type_is_an_error_only_where_nothing_else_is_there() {
        let mut totals = totals();
        totals.unknown_link = Some(LinkType(105));
        totals.skipped = vec![(Skip::Link, 1_200)];
        totals.ended = vec![(Ended::Link(LinkType(105)), 1_200)];
        let error = totals.undecoded().expect("an error").to_string();
        assert_eq!(error, "1200 packets of 1200 can't be decoded: link type IEEE802_11 (105)");
        totals.packets = 1_300;
        assert!(totals.undecoded().is_none());
        let expected =
            "packets that could not be read to a TCP or UDP segment: 1,200 link type IEEE802_11 (105)";
        assert_eq!(totals.remarks(), [expected]);
    }

    #[test]
    fn what_was_dropped_or_not_decoded_is_counted_by_kind() {
        let mut totals = totals();
        totals.undecodable.add("length over the limit", 3);
        totals.skipped = vec![(Skip::NotIp, 7), (Skip::Encrypted, 4), (Skip::TooDeep, 1)];
        totals.shed = Shed { evicted: 2, repeats: 5, ..Shed::default() };
        totals.shed_calls = 9;
        let expected = [
            "3 messages in 1 connection could not be decoded as the connection's protocol: 1 length over the limit; rpcscope calls --connections says \
             where",
            "packets that could not be read to a TCP or UDP segment: 4 IPsec ESP, 1 too many heads",
            "not everything was followed: 2 connections evicted because too many were open (--max-memory), 9 pending calls dropped \
             because too many of one connection waited",
        ];
        assert_eq!(totals.remarks(), expected);
        assert_eq!(totals.lost(), 3 + 2 + 9);
    }

    #[test]
    fn every_kind_of_loss_has_a_key_and_a_count() {
        let mut totals = totals();
        totals.shed =
            Shed { evicted: 1, handshakes: 2, heavy: 3, overflows: 4, out_of_window: 5, late: 6, repeats: 7 };
        (totals.shed_calls, totals.shed_secrets) = (8, 9);
        let mut counts = totals.shed_by_kind().map(|kind| kind.count);
        counts.sort_unstable();
        assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn clocks_that_jump_are_said() {
        let mut totals = totals();
        totals.pause = LEAP - 1;
        assert_eq!(totals.remarks(), [""; 0]);
        (totals.pause, totals.backwards) = (LEAP, (3, 2_500_000_000));
        let [remark] = &totals.remarks()[..] else { panic!("one remark") };
        assert!(
            remark.starts_with("3 packets are older than packets before them, by up to 2.5s:"),
            "{remark}"
        );
        assert!(remark.contains("leaps ahead by"), "{remark}");
    }

    #[test]
    fn shares_of_the_connections_add_up() {
        let (mut one, mut other) = (totals(), totals());
        one.without_calls.add("SSH", 5);
        other.without_calls.add("SSH", 6);
        other.undecodable.add("no such type", 1);
        other.shed_calls = 1;
        one.add(&other);
        assert_eq!(one.packets, 1_200, "every share reads all packets");
        assert_eq!(one.without_calls.sum(), Tallied { connections: 2, amount: 11 });
        assert_eq!((one.connections, one.undecodable.sum().amount, one.shed_calls), (46, 1, 1));
    }
}
