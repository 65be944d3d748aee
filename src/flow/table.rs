//! The one table of connections.

mod handshakes;
mod index;
mod recent;
mod room;
mod short;

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rpcscope_parsers::Side;
use smallvec::SmallVec;

use handshakes::Taken;
use index::{Indexed, spread};
use recent::{RECENT, Recent};
pub(crate) use short::Bare;

use super::doubted::Doubted;
use super::half_stream::Delivery;
use super::handshake::Handshake;
use super::limits::{Limits, Shed};
use super::lru::{Lru, Queue};
use super::sightings::Sightings;
use super::streams::{Judgement, Streams};
use super::{Chunk, End, Flow, Owner, Stamp};
use crate::decode::{FlowKey, Segment, TcpHead, Transport};
use crate::time::Timestamp;

/// A connection moves to the back of its queue at most once in this time, in nanoseconds: the order of idleness is exact
/// enough, and most packets touch no connection but their own.
const TOUCH_TIME: u64 = 1_000_000_000;

/// A connection is weighed again after this many bytes of payload, each segment counting [`SEGMENT`] more.
const WEIGHED: u32 = 8192;

/// What a segment may add to the memory of its connection, whatever its payload.
const SEGMENT: u32 = 256;

/// Datagrams that are older by less than this, in nanoseconds, than what was captured before them are not counted as late: queues of
/// a network card differ by that.
const DISORDER: u64 = 1_000_000;

/// In nanoseconds.
const MICROSECOND: u64 = 1_000;

/// Memory of a connection of which only the handshake was captured, in bytes; a hash table may be half empty.
pub(crate) const HANDSHAKE: usize = Lru::<Handshake>::NODE + 2 * (size_of::<Indexed>() + 1);

/// Segments that [`Table::warm`] prepares for at a time without allocating.
const WARMED: usize = 32;

#[derive(Debug)]
enum Reassembly {
    Tcp(Streams),
    /// Boxed, because it takes more memory than two streams.
    Udp(Box<Sightings>),
}

#[derive(Debug)]
struct Entry<S> {
    flow: Flow,
    slot: S,
    reassembly: Reassembly,
    tag: u32,
    /// The table's clock when it was moved to the back of its queue.
    touched: Timestamp,
    /// The latest time of its segments up to the last one that did not simply continue its stream: microseconds since its
    /// first segment, as far as they fit.
    newest: u32,
    /// Its memory when it was weighed last.
    weight: usize,
    /// Payload that may come before the next time; see [`WEIGHED`].
    unweighed: u32,
    /// It is in the list of unsettled connections.
    listed: bool,
}

impl<S> Entry<S> {
    /// Counts the payload of a segment; says whether it is time to weigh the connection.
    #[inline]
    fn grow(&mut self, payload: u64) -> bool {
        self.unweighed = self.unweighed.saturating_sub(payload as u32 + SEGMENT);
        self.unweighed == 0
    }

    /// The latest time of its segments.
    fn newest(&self) -> Timestamp {
        let known = u64::from(self.newest) * MICROSECOND;
        self.flow.last.time.max(Timestamp(self.flow.first.time.0.saturating_add_unsigned(known)))
    }

    fn is_closed(&self) -> bool {
        self.flow.ended.iter().all(Option::is_some)
    }

    /// The connection is over, with `why` for what has not ended otherwise.
    fn close<O: Owner<S>>(&mut self, why: End, now: Stamp, owner: &mut O) {
        let Self { flow, slot, reassembly, .. } = self;
        let why = closed_by(flow).unwrap_or_else(|| {
            let mut to = Delivery { flow, slot, owner, now, past_hole: None };
            match reassembly {
                Reassembly::Tcp(streams) => streams.finish(why, &mut to),
                Reassembly::Udp(_) => {
                    to.end(Side::A, why, now);
                    to.end(Side::B, why, now);
                }
            }
            // A FIN or RST that was still held back is a better reason than that nothing followed it.
            closed_by(to.flow).unwrap_or(why)
        });
        owner.close(&self.flow, &mut self.slot, why, now);
    }

    fn held(&self) -> usize {
        match &self.reassembly {
            Reassembly::Tcp(streams) => streams.held(),
            Reassembly::Udp(_) => 0,
        }
    }
}

/// All connections, each with a slot of its owner. Segments come in the order of the capture; what they carry goes to the
/// [`Owner`] in the order of the streams.
#[derive(Debug)]
pub struct Table<S> {
    lru: Lru<Entry<S>>,
    index: HashTable<Indexed>,
    /// Connections whose segments came last.
    recent: [Recent; RECENT],
    /// Connections without payload so far; those above have had some, or anything else that is no handshake.
    handshakes: Lru<Handshake>,
    handshake_index: HashTable<Indexed>,
    hasher: RandomState,
    limits: Limits,
    /// Bytes of memory that connections may take now.
    memory: usize,
    /// Bytes held back in all connections.
    held: usize,
    /// Memory of all connections, as weighed.
    weight: usize,
    /// Connections for which time may change something; may name some that are gone.
    unsettled: Vec<u32>,
    shed: Shed,
    /// The latest time of the capture so far.
    clock: Timestamp,
    /// The end of the last time in which the whole capture was silent: no connection is silent for longer than since then.
    resumed: Timestamp,
}

impl<S> Table<S> {
    /// Memory of a connection apart from what its owner keeps; a hash table may be half empty.
    pub(crate) const CONNECTION: usize = Lru::<Entry<S>>::NODE + 2 * (size_of::<Indexed>() + 1);

    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            lru: Lru::new(),
            index: HashTable::new(),
            recent: [Recent::NONE; RECENT],
            handshakes: Lru::new(),
            handshake_index: HashTable::new(),
            hasher: RandomState::default(),
            limits,
            memory: limits.memory,
            held: 0,
            weight: 0,
            unsettled: Vec::new(),
            clock: Timestamp::default(),
            resumed: Timestamp(i64::MIN),
            shed: Shed::default(),
        }
    }

    /// Leaves `bytes` of the memory of all tables to something else from here on.
    pub fn reserve(&mut self, bytes: u64) {
        self.memory = self.limits.memory_beside(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Connections in the table, closed ones that linger among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lru.len() + self.handshakes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What was shed or refused so far.
    #[must_use]
    pub fn shed(&self) -> Shed {
        self.shed
    }

    /// Bytes held back in all connections.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held
    }

    /// Connections of which only a handshake was captured so far.
    pub fn handshakes(&self) -> impl Iterator<Item = Flow> {
        self.handshakes.iter().map(|(_, handshake)| handshake.replay().0)
    }

    /// All other connections with their slots, in no particular order.
    pub fn flows(&self) -> impl Iterator<Item = (&Flow, &S)> {
        self.lru.iter().map(|(_, entry)| (&entry.flow, &entry.slot))
    }

    /// The same, to be changed.
    pub fn flows_mut(&mut self) -> impl Iterator<Item = (&Flow, &mut S)> {
        self.lru.iter_mut().map(|entry| (&entry.flow, &mut entry.slot))
    }

    /// The slots of all connections.
    pub fn slots_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.lru.iter_mut().map(|entry| &mut entry.slot)
    }

    /// Reads what the next segments of these connections will need, so that it is in the processor's caches. One look-up in a
    /// large table waits for memory several times; the look-ups of a group wait together.
    pub fn warm<O: Owner<S>>(&self, keys: impl Iterator<Item = FlowKey>, owner: &O) {
        let tags: SmallVec<[u32; WARMED]> = keys.map(|key| self.tag(&key)).collect();
        let find = |index: &HashTable<Indexed>, tag: u32| {
            index.find(spread(tag), |indexed| indexed.tag == tag).map(|indexed| indexed.id)
        };
        let ids: SmallVec<[u32; WARMED]> = tags.iter().filter_map(|tag| find(&self.index, *tag)).collect();
        let entries = || ids.iter().filter_map(|id| self.lru.get(*id));
        // Only that the fields are read matters. They stand in different cache lines.
        let read: u64 = entries()
            .map(|entry| {
                let streams = usize::from(matches!(&entry.reassembly, Reassembly::Tcp(s) if s.unsettled()));
                entry.flow.last.packet + entry.flow.bytes[1] + u64::from(entry.tag) + streams as u64
            })
            .fold(0, u64::wrapping_add);
        let slots = entries().map(|entry| owner.warm(&entry.slot)).fold(0, u64::wrapping_add);
        let begun = if ids.len() < tags.len() && self.handshakes.len() > 0 {
            let ids = tags.iter().filter_map(|tag| find(&self.handshake_index, *tag));
            let known: SmallVec<[&Handshake; WARMED]> =
                ids.filter_map(|id| self.handshakes.get(id)).collect();
            known.iter().map(|known| known.first.packet + known.last.packet).fold(0, u64::wrapping_add)
        } else {
            0
        };
        std::hint::black_box((read, slots, begun));
    }

    /// Sets the clock to the latest time of the capture so far. The queues are in the order of this clock: packet times may
    /// jump back, and a table that holds a share of the connections sees only the packets of these.
    #[inline]
    pub fn set_clock(&mut self, latest: Timestamp) {
        self.clock = self.clock.max(latest);
    }

    /// The whole capture was silent until `now`, or its clock was set forward. Which connections would have said something is not
    /// known, so that all of them count as silent from now on, and holes as new. Takes time for each connection with holes, as a
    /// tick does.
    pub fn resume(&mut self, now: Timestamp) {
        self.resumed = self.resumed.max(now);
        for id in &self.unsettled {
            if let Some(Entry { reassembly: Reassembly::Tcp(streams), .. }) = self.lru.get_mut(*id) {
                streams.resume(now);
            }
        }
    }

    /// Whether a connection that was last heard of at `since` has been silent for `limit` nanoseconds. Nothing more is expected of
    /// closed ones, so that all time counts for them.
    fn is_silent(&self, queue: Queue, since: Timestamp, limit: u128, now: Stamp) -> bool {
        let since = if queue == Queue::Lingering { since } else { since.max(self.resumed) };
        u128::from(now.time.since(since)) >= limit
    }

    /// The same as [`Self::segment`] without the short ways, for those whose own work takes far longer.
    pub(crate) fn any_segment<O: Owner<S>>(&mut self, segment: &Segment<'_>, owner: &mut O) {
        self.set_clock(segment.time);
        let found = self.look_up(&segment.key);
        self.long(segment, found, owner);
    }

    /// Takes a segment that none of the short ways is enough for, of connection `found`.
    #[inline(never)]
    fn long<O: Owner<S>>(&mut self, segment: &Segment<'_>, found: Option<u32>, owner: &mut O) {
        let is_sparing = self.handshakes.len() > 0 || self.lru.len() >= self.limits.in_full;
        match found {
            None if is_sparing => match self.take_handshake(segment, owner) {
                Taken::Kept => {}
                Taken::Not(found) => self.take_any(segment, found, owner),
            },
            found => self.take_any(segment, found, owner),
        }
    }

    /// Takes a segment of any kind.
    pub(super) fn take_any<O: Owner<S>>(
        &mut self,
        segment: &Segment<'_>,
        mut found: Option<u32>,
        owner: &mut O,
    ) {
        let now = segment.stamp();
        if let (Some(id), Transport::Tcp(head)) = (found, &segment.transport) {
            match self.judge(id, segment, head) {
                Judgement::Belongs => {}
                Judgement::OutOfWindow => {
                    self.shed.out_of_window += 1;
                    return;
                }
                Judgement::Doubtful => {
                    self.shed.out_of_window += 1;
                    self.doubt(id, segment, head);
                    return;
                }
                Judgement::Another => {
                    let is_late = |entry: &Entry<S>| now.time < entry.newest();
                    self.shed.late += u64::from(self.lru.get(id).is_some_and(is_late));
                    let doubted = self.take_doubted(id, segment, head);
                    let first = doubted.as_ref().and_then(|doubted| doubted.segment(segment.key));
                    let since = first.as_ref().map_or(now, Segment::stamp);
                    self.retire(id, End::Replaced, since, owner);
                    found = first.map(|first| {
                        self.shed.out_of_window -= 1;
                        self.begin(&first, since, owner)
                    });
                }
            }
        }
        match found {
            Some(id) => self.take(id, segment, now, owner),
            // A RST of an unknown connection opens none.
            None if matches!(&segment.transport, Transport::Tcp(head) if head.flags.rst) => {}
            None => {
                self.begin(segment, now, owner);
            }
        }
    }

    /// Opens a connection with its first segment.
    fn begin<O: Owner<S>>(&mut self, segment: &Segment<'_>, now: Stamp, owner: &mut O) -> u32 {
        let (id, is_taken) = self.open(segment, now, owner);
        if !is_taken {
            self.take(id, segment, now, owner);
        }
        id
    }

    /// Keeps a segment that does not fit to its connection.
    fn doubt(&mut self, id: u32, segment: &Segment<'_>, head: &TcpHead) {
        if let Some(Entry { reassembly: Reassembly::Tcp(streams), .. }) = self.lru.get_mut(id) {
            let others = self.held - streams.held();
            streams.doubt(segment, head, &self.limits, self.limits.total_bytes.saturating_sub(others));
            self.held = others + streams.held();
        }
    }

    /// The one kept before, if this one fits to it.
    fn take_doubted(&mut self, id: u32, segment: &Segment<'_>, head: &TcpHead) -> Option<Doubted> {
        let Some(Entry { reassembly: Reassembly::Tcp(streams), .. }) = self.lru.get_mut(id) else {
            return None;
        };
        let doubted = streams.take_doubted(segment.side, head, segment.wire_len())?;
        self.held -= doubted.held();
        Some(doubted)
    }

    /// Gives up old holes, forgets closed connections and ends idle ones. To be called about once per second of packet time;
    /// nothing expires in between, so that the same packets give the same output.
    pub fn tick<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        self.set_clock(now.time);
        let mut unsettled = std::mem::take(&mut self.unsettled);
        unsettled.retain(|id| self.settle(*id, now, owner));
        // Whatever was listed meanwhile is among them: settling opens nothing.
        self.unsettled = unsettled;
        self.expire(Queue::Lingering, self.limits.linger.as_nanos(), now, owner);
        self.expire(Queue::Datagrams, self.limits.datagram_idle.as_nanos(), now, owner);
        self.expire(Queue::Shrunk, self.limits.idle.as_nanos(), now, owner);
        self.expire(Queue::Open, self.limits.idle.as_nanos(), now, owner);
        self.expire_handshakes(now, owner);
    }

    /// Ends the capture: every connection delivers what it holds back, ends with [`End::Idle`] where it has not ended
    /// otherwise, and leaves, in the order in which they appeared.
    pub fn finish<O: Owner<S>>(&mut self, now: Stamp, owner: &mut O) {
        const BEGUN: u128 = 1 << 32;
        // One number each, which is compared without a branch.
        let order = |packet: u64, kind: u128, id: u32| u128::from(packet) << 64 | kind | u128::from(id);
        let connections = self.lru.iter().map(|(id, entry)| order(entry.flow.first.packet, 0, id));
        let handshakes = self.handshakes.iter().map(|(id, known)| order(known.first.packet, BEGUN, id));
        let mut all: Vec<u128> = Vec::with_capacity(self.len());
        all.extend(connections.chain(handshakes));
        all.sort_unstable();
        for one in all {
            if one & BEGUN != 0 {
                self.retire_handshake(one as u32, End::Idle, now, owner);
            } else if let Some(entry) = self.lru.get_mut(one as u32) {
                entry.close(End::Idle, now, owner);
            }
        }
        // They leave together: nothing is looked up any more.
        (self.held, self.weight) = (0, 0);
        (self.lru, self.recent) = (Lru::new(), [Recent::NONE; RECENT]);
        self.index.clear();
        self.unsettled.clear();
    }

    fn judge(&mut self, id: u32, segment: &Segment<'_>, head: &TcpHead) -> Judgement {
        let payload = segment.wire_len();
        match self.lru.get_mut(id) {
            Some(Entry { flow, reassembly: Reassembly::Tcp(streams), .. }) => {
                streams.judge(segment.side, head, payload, flow)
            }
            _ => Judgement::Belongs,
        }
    }

    /// Opens the connection of a segment; says its number, and whether the segment is taken already.
    fn open<O: Owner<S>>(&mut self, segment: &Segment<'_>, now: Stamp, owner: &mut O) -> (u32, bool) {
        self.make_way(now, owner);
        let tag = self.tag(&segment.key);
        owner.appears(&segment.key);
        let mut flow = Flow::of(segment);
        let slot = owner.open(&flow);
        let (reassembly, queue, is_taken) = match &segment.transport {
            Transport::Tcp(head) => {
                let begun = Streams::begun(segment.side, head).filter(|_| segment.wire_len() == 0);
                let is_taken = begun.is_some();
                if is_taken {
                    flow.count(segment.side, 0, now);
                }
                (Reassembly::Tcp(begun.unwrap_or_default()), Queue::Open, is_taken)
            }
            Transport::Udp { .. } => (Reassembly::Udp(Box::default()), Queue::Datagrams, false),
        };
        (self.insert(flow, slot, reassembly, tag, queue), is_taken)
    }

    fn insert(&mut self, flow: Flow, slot: S, reassembly: Reassembly, tag: u32, queue: Queue) -> u32 {
        let weight = Self::CONNECTION;
        self.weight += weight;
        let touched = self.clock;
        let words = flow.key.words();
        // The first payload is a reason to weigh it.
        let (newest, unweighed, listed) = (0, 0, false);
        let entry = Entry { flow, slot, reassembly, tag, touched, newest, weight, unweighed, listed };
        let id = self.lru.insert(entry, queue);
        self.index.insert_unique(spread(tag), Indexed { tag, id }, |indexed| spread(indexed.tag));
        if let Some(words) = words
            && let Some(recent) = self.recent.get_mut(Recent::place(words))
        {
            *recent = Recent { words, id };
        }
        id
    }

    /// Passes a segment to its connection.
    fn take<O: Owner<S>>(&mut self, id: u32, segment: &Segment<'_>, now: Stamp, owner: &mut O) {
        let Some(entry) = self.lru.get_mut(id) else { return };
        let was_closed = entry.is_closed();
        let payload = segment.wire_len();
        let (first, repeated) = (entry.flow.first.time, entry.flow.retransmissions);
        let newest = entry.newest();
        entry.newest = u32::try_from(newest.since(entry.flow.first.time) / MICROSECOND).unwrap_or(u32::MAX);
        let flow = &mut entry.flow;
        flow.count(segment.side, payload, now);
        let mut to = Delivery { flow, slot: &mut entry.slot, owner, now, past_hole: None };
        match (&mut entry.reassembly, &segment.transport) {
            (Reassembly::Tcp(streams), Transport::Tcp(head)) if !was_closed => {
                let before = streams.held();
                let others = self.held - before;
                let room = self.limits.total_bytes.saturating_sub(others);
                let overflow = streams.segment(segment, head, &self.limits, room, &mut to);
                self.shed.overflows += overflow.0;
                self.held = others + streams.held();
                if !entry.listed && streams.unsettled() {
                    entry.listed = true;
                    self.unsettled.push(id);
                }
            }
            (Reassembly::Tcp(streams), Transport::Tcp(head)) => {
                let is_new = payload > 0 && !streams.repeats(segment.side, head, payload, to.flow);
                self.shed.out_of_window += u64::from(is_new && now.time >= newest);
                if let Some(read) = streams.after_close(segment.side, head) {
                    to.owner.reset(to.flow, to.slot, segment.side, read, now);
                }
            }
            (Reassembly::Udp(seen), Transport::Udp { packet_id }) => {
                let hash = self.hasher.hash_one(segment.payload);
                if seen.repeated(segment.side, *packet_id, hash, now.time) {
                    to.flow.retransmissions += 1;
                    self.shed.repeats += 1;
                } else {
                    let chunk = Chunk::Datagram { bytes: segment.payload, missing: segment.missing };
                    to.chunk(segment.side, chunk, 0, segment.payload.len() as u64, now);
                }
            }
            _ => {}
        }
        let begins = matches!(&segment.transport, Transport::Tcp(head) if head.flags.syn)
            && entry.flow.bytes != [0; 2];
        if (payload > 0 || begins) && now.time < newest {
            self.shed.late += u64::from(match &entry.reassembly {
                // What was before all that was read, the handshake too, or is behind the end.
                Reassembly::Tcp(_) if now.time < first || was_closed => true,
                // What was given up as lost, as far as can be known.
                Reassembly::Tcp(_) => entry.flow.gaps > 0 && entry.flow.retransmissions > repeated,
                Reassembly::Udp(_) => {
                    newest.since(now.time) >= DISORDER && entry.flow.retransmissions == repeated
                }
            });
        }
        let mut is_due = payload > 0 && entry.grow(payload);
        if entry.is_closed() && !was_closed {
            is_due = true;
            entry.touched = self.clock;
            self.lru.move_to_back(id, Queue::Lingering);
        } else if !was_closed && self.clock.since(entry.touched) >= TOUCH_TIME {
            entry.touched = self.clock;
            let queue = match entry.reassembly {
                Reassembly::Tcp(_) => Queue::Open,
                Reassembly::Udp(_) => Queue::Datagrams,
            };
            self.lru.move_to_back(id, queue);
        }
        if is_due {
            self.weigh(id, now, owner);
        }
    }

    /// The part of [`Table::tick`] for one unsettled connection; returns whether it still is unsettled.
    fn settle<O: Owner<S>>(&mut self, id: u32, now: Stamp, owner: &mut O) -> bool {
        let Some(entry) = self.lru.get_mut(id) else { return false };
        // The number may have passed on to another connection.
        if !entry.listed {
            return false;
        }
        if let Reassembly::Tcp(streams) = &mut entry.reassembly
            && !entry.flow.ended.iter().all(Option::is_some)
        {
            let others = self.held - streams.held();
            let room = self.limits.total_bytes.saturating_sub(others);
            let mut to =
                Delivery { flow: &mut entry.flow, slot: &mut entry.slot, owner, now, past_hole: None };
            self.shed.overflows += streams.settle(&self.limits, room, &mut to).0;
            self.held = others + streams.held();
            entry.listed = streams.unsettled();
            if entry.is_closed() {
                entry.listed = false;
                entry.touched = self.clock;
                self.lru.move_to_back(id, Queue::Lingering);
                return false;
            }
            return entry.listed;
        }
        entry.listed = false;
        false
    }

    /// Removes those that have been silent for `limit` nanoseconds.
    fn expire<O: Owner<S>>(&mut self, queue: Queue, limit: u128, now: Stamp, owner: &mut O) {
        let mut next = self.lru.front(queue);
        while let Some(id) = next
            && let Some(entry) = self.lru.get(id)
            && self.is_silent(queue, entry.touched, limit, now)
        {
            next = self.lru.behind(id);
            if queue == Queue::Lingering || self.is_silent(queue, entry.flow.last.time, limit, now) {
                self.retire(id, End::Idle, now, owner);
            }
        }
    }

    /// Takes a connection out of the table, with `why` for what has not ended otherwise.
    fn retire<O: Owner<S>>(&mut self, id: u32, why: End, now: Stamp, owner: &mut O) {
        let Some(entry) = self.lru.get_mut(id) else { return };
        if let Ok(indexed) = self.index.find_entry(spread(entry.tag), |indexed| indexed.id == id) {
            indexed.remove();
        }
        Recent::forget(&mut self.recent, &entry.flow.key, id);
        self.held -= entry.held();
        self.weight -= entry.weight;
        entry.close(why, now, owner);
        self.lru.discard(id);
    }
}

/// How the packets of a connection closed it: a RST, or a FIN of each side.
fn closed_by(flow: &Flow) -> Option<End> {
    match flow.ended {
        [Some(End::Rst), Some(_)] | [Some(_), Some(End::Rst)] => Some(End::Rst),
        [Some(End::Fin), Some(End::Fin)] => Some(End::Fin),
        _ => None,
    }
}
