//! The order of the stages and the threads. No other module knows either.
//!
//! With one thread, everything happens in it, packet by packet. With more, each of them analyses its share of the
//! connections, and the calling one also writes (`sharded.rs`).

mod feed;
mod joining;
mod salvage;
mod sharded;
mod slot;
mod totals;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rpcscope_parsers::{Side, Unread};

use crate::calls::pairing::{At, Learned, Matcher, PendingCalls};
use crate::calls::record::{Call, Connection, ConnectionState, Finding, Renewal, Uid};
use crate::decode::{Decoded, Decoder, FlowKey, Network, Segment, Shard, Skip};
use crate::dispatch::{Conversation, DecodeAs};
use crate::flow::{Chunk, End, Flow, GapReason, Limits, Owner, Stamp, Table};
use crate::payload::BodyDecoder;
use crate::source::files::Secrets;
use crate::source::{Batch, CapturePoint, Packet, Source, SourceError};
use crate::time::Timestamp;
use crate::tls::{KeyLogs, Keys, Passed};
use joining::Joining;
use slot::{Calls, Slot};

pub use totals::{ShedKind, Tallied, Tally, Totals};

/// Connections from which on the table is larger than the processor's caches, and packets are prepared for in groups.
const LARGE_TABLE: usize = 4096;
/// Packets of a group.
const GROUP: usize = 16;

/// Ciphertext that waits for keys may take this part of the memory of connections: half of what one connection may take, which would be given
/// up for it.
const SEALED_PART: usize = 16;
/// Closed connections that are kept because keys may come for what they said, and for how long in live runs.
const MAX_SEALED: usize = 4096;
const SEALED_TIME: Duration = Duration::from_secs(30);

/// How often, in packet time, idle connections are looked for.
const TICK: Duration = Duration::from_secs(1);

/// A time without any packet in which no connection counts as silent: each would have to be the one that says nothing more.
const SILENCE: Duration = Duration::from_secs(60);

/// Most open connections that are shown at a time.
const MAX_OPEN_SHOWN: usize = 10_000;

/// Most threads that are used without being asked for: from here on the one that writes is the slowest.
const MAX_DEFAULT_THREADS: usize = 6;

/// The usual [`Options::lookahead`].
const LOOKAHEAD: Duration = Duration::from_secs(30);

/// Called for every new connection.
pub type OnOpen = Arc<dyn Fn(&FlowKey) + Send + Sync>;

/// How to run the pipeline.
#[derive(Clone)]
pub struct Options {
    /// Threads to use, the calling one included; at least 1.
    pub threads: usize,
    /// Keep headers in the call records.
    pub metadata: bool,
    /// Keep what linking reads of headers, where these are not kept.
    pub marks: bool,
    /// Keep the log ids of calls.
    pub log_ids: bool,
    /// Deliver connections too.
    pub connections: bool,
    /// Live: deliver the open connections too, about once a second.
    pub open_connections: bool,
    /// Protocols set by port.
    pub decode_as: Vec<DecodeAs>,
    /// Decodes the bodies of messages, if they are wanted.
    pub bodies: Option<Arc<BodyDecoder>>,
    /// Bodies are read only after this was set from outside; `None`: from the beginning.
    pub bodies_from: Option<Arc<AtomicBool>>,
    /// Bounds of the connection table.
    pub limits: Limits,
    /// Called for every new connection, in the thread that analyses it.
    pub on_open: Option<OnOpen>,
    /// How long, in packet time, calls of which something is not known wait for what others say of them, with everything
    /// behind them. Nothing of a live run should wait.
    pub lookahead: Duration,
    /// The key logs by which TLS is read; `None` if none can be.
    pub key_logs: Option<Arc<KeyLogs>>,
    /// Set from outside to end the run as if the source had ended.
    pub stop: Arc<AtomicBool>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            threads: default_threads(),
            metadata: false,
            marks: false,
            log_ids: false,
            connections: false,
            open_connections: false,
            decode_as: Vec::new(),
            bodies: None,
            bodies_from: None,
            limits: Limits::default(),
            on_open: None,
            lookahead: LOOKAHEAD,
            key_logs: Some(Arc::default()),
            stop: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// One thread for each processor.
fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(MAX_DEFAULT_THREADS)
}

/// Something that comes out of the pipeline.
#[derive(Debug)]
pub enum Output {
    /// A decided call.
    Call(Box<Call>),
    /// A connection: at its end, and on live runs also while it lasts.
    Connection(Box<Connection>),
    /// A description of messages that passed by. It reaches no receiver.
    Learned(Box<Learned>),
}

impl Output {
    /// Whether other captures may contain the same.
    fn may_have_copies(&self) -> bool {
        let capture_point = match self {
            Self::Call(call) => call.capture_point,
            Self::Connection(connection) => connection.capture_point,
            Self::Learned(_) => return false,
        };
        capture_point != CapturePoint::default()
    }

    /// Whether it is a call of a connection that began before the capture.
    fn has_clues(&self) -> bool {
        matches!(self, Self::Call(call) if call.clues.is_some())
    }

    /// The order of outputs: the packet that decided, calls before connections, then the identity.
    fn key(&self) -> (u64, bool, Uid) {
        match self {
            Self::Call(call) => (call.decided, false, call.uid),
            Self::Connection(connection) => {
                (connection.last_packet, true, Uid { packet: connection.first_packet, ordinal: 0 })
            }
            Self::Learned(learned) => (learned.packet, false, Uid { packet: 0, ordinal: learned.ordinal }),
        }
    }
}

/// Receives the outputs, in order, with the totals so far.
pub trait Receive {
    /// Takes a batch of outputs (which may be empty: a tick). `false` ends the run. Outputs that are left in the buffer go back
    /// to the thread that made them, where they are freed at a fraction of the cost.
    fn receive(&mut self, outputs: &mut Vec<Output>, totals: &Totals) -> bool;
}

impl<F: FnMut(&mut Vec<Output>, &Totals) -> bool> Receive for F {
    fn receive(&mut self, outputs: &mut Vec<Output>, totals: &Totals) -> bool {
        self(outputs, totals)
    }
}

/// The stages from packet to call, for the connections of one shard.
pub struct Analyzer {
    decoder: Decoder,
    table: Table<Slot>,
    owner: Stages,
    open_connections: bool,
    shard: Shard,
    next_tick: Option<Timestamp>,
    /// The end of the last [`SILENCE`].
    resumed: Option<Timestamp>,
    /// The last packet, and the latest time so far.
    last: Stamp,
    /// The source waits for packets, and time passes meanwhile.
    waits: bool,
    /// Bodies that are not read yet: set once they are wanted, and the most bytes of each.
    later_bodies: Option<(Arc<AtomicBool>, NonZeroU32)>,
    /// Packets that the source has dropped, and those of which the pending calls know.
    dropped: [u64; 2],
    /// The lines of key logs that are known to the connections.
    lines: u64,
    totals: Totals,
}

/// The owner of the slots: passes chunks to the dispatcher and its events to the matcher.
struct Stages {
    matcher: Matcher,
    decode_as: Vec<DecodeAs>,
    /// Up to which size the bodies of messages are wanted, if they are.
    bodies: Option<NonZeroU32>,
    connections: bool,
    #[expect(clippy::vec_box, reason = "they are passed on boxed, and are large to move")]
    closed: Vec<Box<Connection>>,
    on_open: Option<OnOpen>,
    keys: Option<Arc<Keys>>,
    /// Closed connections whose keys may still come, in the order in which they closed.
    sealed: VecDeque<SealedConnection>,
    totals: Totals,
}

/// A connection that has left the table.
struct SealedConnection {
    flow: Flow,
    slot: Slot,
    since: Stamp,
}

impl Owner<Slot> for Stages {
    fn appears(&mut self, key: &FlowKey) {
        self.totals.connections += 1;
        if let Some(on_open) = &self.on_open {
            on_open(key);
        }
    }

    fn open(&mut self, flow: &Flow) -> Slot {
        self.slot(flow)
    }

    #[expect(clippy::inline_always, reason = "the kind of the chunk is known in the caller")]
    #[inline(always)]
    fn chunk(
        &mut self,
        flow: &Flow,
        slot: &mut Slot,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        now: Stamp,
    ) -> u64 {
        // A connection whose sides have ended gets no chunks.
        let Slot { conversation, calls } = slot;
        let Some(pending) = calls.pending() else { return u64::MAX };
        match chunk {
            Chunk::Gap { reason, .. } => {
                self.totals.gaps += u64::from(reason == GapReason::Lost);
                pending.lose(
                    side,
                    match reason {
                        GapReason::Lost | GapReason::Sealed => Finding::Gap,
                        GapReason::Cut => Finding::Truncated,
                        GapReason::BeforeStart => Finding::MidStream,
                    },
                );
            }
            Chunk::Datagram { missing: 1.., .. } => pending.lose(side, Finding::Truncated),
            _ => {}
        }
        conversation.set_start(flow.from_start);
        let matcher = &mut self.matcher;
        let is_tcp = flow.key.network == Network::Tcp;
        let needed = conversation.chunk(flow, side, chunk, origin, &mut |from, event, origin| {
            let position = is_tcp.then_some(origin.sequence);
            matcher.event(At { flow, now, origin: origin.stamp, position }, pending, from, event);
        });
        if let Chunk::End(end) = chunk {
            if conversation.is_waiting() {
                // What the side has said is not read yet.
                return needed;
            }
            self.matcher.end(At { flow, now, origin, position: None }, pending, side, end);
            if flow.ended.iter().all(Option::is_some) {
                conversation.finish();
                calls.finish();
            }
        }
        needed
    }

    fn reset(&mut self, flow: &Flow, slot: &mut Slot, side: Side, read: u32, now: Stamp) {
        if slot.conversation.is_waiting() {
            return;
        }
        if let Some(pending) = slot.calls.pending() {
            self.matcher.unread(At { flow, now, origin: now, position: None }, pending, side, read);
            slot.calls.finish();
        }
    }

    fn weight(&self, slot: &Slot) -> usize {
        slot.conversation.memory() + slot.calls.memory()
    }

    fn shrink(&self, slot: &mut Slot) {
        slot.conversation.shrink();
        slot.calls.shrink();
    }

    fn warm(&self, slot: &Slot) -> u64 {
        slot.conversation.warm() + slot.calls.warm()
    }

    fn close(&mut self, flow: &Flow, slot: Slot, _why: End, now: Stamp) {
        let awaits_keys = |keys: &Arc<Keys>| keys.is_open() && keys.has_source();
        if slot.conversation.is_waiting() && self.keys.as_ref().is_some_and(awaits_keys) {
            self.sealed.push_back(SealedConnection { flow: flow.clone(), slot, since: now });
            if self.sealed.len() > MAX_SEALED {
                self.unseal(now);
            }
            return;
        }
        self.conclude(flow, slot, now);
    }
}

impl Stages {
    /// Gives up the closed connection that has waited longest for its keys.
    fn unseal(&mut self, now: Stamp) {
        if let Some(SealedConnection { flow, slot, .. }) = self.sealed.pop_front() {
            self.conclude(&flow, slot, now);
        }
    }

    /// Reads what has waited for keys in all connections. What it says is decided now.
    fn wake(&mut self, table: &mut Table<Slot>, now: Stamp) {
        let Some(keys) = self.keys.clone() else { return };
        let before = self.matcher.in_grace();
        loop {
            // The keys of one session may be those of others.
            let version = keys.version();
            for (flow, slot) in table.flows_mut() {
                self.wake_one(flow, slot, now);
            }
            let mut sealed = std::mem::take(&mut self.sealed);
            for one in &mut sealed {
                self.wake_one(&one.flow, &mut one.slot, now);
            }
            let (open, waiting): (VecDeque<_>, _) =
                sealed.into_iter().partition(|one| !one.slot.conversation.is_waiting());
            self.sealed = waiting;
            for one in open {
                self.conclude(&one.flow, one.slot, now);
            }
            if keys.version() == version {
                break;
            }
        }
        self.matcher.settle(before);
    }

    fn wake_one(&mut self, flow: &Flow, slot: &mut Slot, now: Stamp) {
        let Slot { conversation, calls } = slot;
        if !conversation.is_waiting() {
            return;
        }
        let is_tcp = flow.key.network == Network::Tcp;
        while let Some(pending) = calls.pending() {
            let matcher = &mut self.matcher;
            let passed = conversation.wake(flow, &mut |from, event, origin| {
                let position = is_tcp.then_some(origin.sequence);
                // It is decided now, but it happened then.
                let now = Stamp { time: origin.stamp.time, ..now };
                matcher.event(At { flow, now, origin: origin.stamp, position }, pending, from, event);
            });
            let Passed::End(side, end, origin) = passed else { break };
            let now = Stamp { time: origin.time, ..now };
            self.matcher.end(At { flow, now, origin, position: None }, pending, side, end);
        }
        if !conversation.is_waiting() && flow.ended.iter().all(Option::is_some) {
            conversation.finish();
            calls.finish();
        }
    }

    /// The connection is over, and nothing of it waits.
    fn conclude(&mut self, flow: &Flow, mut slot: Slot, now: Stamp) {
        slot.conversation.settle(flow);
        if let Some(pending) = slot.calls.pending() {
            self.matcher.close(At { flow, now, origin: now, position: None }, pending);
        }
        if let Some((error, messages)) = slot.conversation.trouble() {
            self.totals.undecodable.add(error.what, messages);
        }
        if slot.calls.decided() == 0 {
            let reason = reason(flow, &slot, state(flow, &slot, true)).unwrap_or("no call in it");
            self.totals.without_calls.add(reason, flow.bytes.iter().sum());
        }
        if self.connections {
            let mut connection = Box::new(connection(flow, &slot, true));
            // The order of outputs is that of the packets at which they were made.
            connection.last_packet = now.packet;
            self.closed.push(connection);
        }
    }

    /// What is kept for a connection at its beginning.
    fn slot(&self, flow: &Flow) -> Slot {
        Slot {
            conversation: Conversation::new(&flow.key, flow.from_start, &self.decode_as, self.bodies)
                .with_keys(self.keys.as_ref()),
            calls: Calls::Open(Box::default()),
        }
    }
}

/// Whether a connection is open, and how it ended otherwise.
fn state(flow: &Flow, slot: &Slot, over: bool) -> ConnectionState {
    let client = client(flow, slot);
    let reset = flow.ended.contains(&Some(End::Rst));
    match () {
        () if reset && flow.bytes == [0, 0] && flow.segments[client.other().index()] <= 1 => {
            ConnectionState::Refused
        }
        () if reset => ConnectionState::Reset,
        () if flow.ended.contains(&Some(End::Fin)) => ConnectionState::Closed,
        () if over => ConnectionState::Idle,
        () => ConnectionState::Open,
    }
}

/// Who opened the connection: known from its SYN, from the calls on it, or from what else its protocol shows; otherwise likely.
fn client(flow: &Flow, slot: &Slot) -> Side {
    let known = flow.opener.or(slot.calls.client()).or_else(|| slot.conversation.client());
    known.unwrap_or_else(|| flow.likely_client())
}

/// Why a connection was not decoded, or not to its end, or has no calls.
fn reason(flow: &Flow, slot: &Slot, state: ConnectionState) -> Option<&'static str> {
    let is_unknown = slot.conversation.protocol().is_none();
    match state {
        ConnectionState::Refused => Some("refused"),
        ConnectionState::Reset if is_unknown && flow.bytes == [0, 0] => Some("reset before any call"),
        _ => slot.conversation.reason(slot.calls.decided() > 0),
    }
}

/// The record of a connection in its present state.
fn connection(flow: &Flow, slot: &Slot, over: bool) -> Connection {
    let client = client(flow, slot);
    let state = state(flow, slot, over);
    Connection {
        first_packet: flow.first.packet,
        last_packet: flow.last.packet,
        start: flow.first.time,
        end: flow.last.time,
        client: flow.key.endpoint(client),
        server: flow.key.endpoint(client.other()),
        via: slot.calls.via().cloned(),
        network: flow.key.network,
        capture_point: flow.key.capture_point,
        protocol: slot.conversation.protocol(),
        reason: reason(flow, slot, state),
        tls: slot.conversation.tls().map(Box::new),
        mid_stream: flow.key.network == Network::Tcp
            && slot.conversation.protocol().is_some()
            && !flow.from_start[client.index()],
        unread: slot.conversation.unread().map(|unread| renewal(unread, slot.calls.decided())),
        state,
        calls: slot.calls.decided(),
        failed: slot.calls.failed(),
        packets: flow.segments[0] + flow.segments[1],
        bytes: [flow.bytes[client.index()], flow.bytes[client.other().index()]],
        retransmissions: flow.retransmissions,
        gaps: flow.gaps,
    }
}

/// When what can't be read will have left its table, if the calls to come enter as much as those so far.
fn renewal(unread: Unread, calls: u64) -> Renewal {
    let left = unread.size.saturating_sub(unread.entered);
    match left.saturating_mul(calls).checked_div(unread.entered) {
        Some(more) => Renewal::Calls(more.max(1)),
        None => Renewal::Reconnect,
    }
}

impl Analyzer {
    /// The stages for one share of the connections.
    #[must_use]
    pub fn new(options: &Options, shard: Shard) -> Self {
        let room = options.limits.memory / SEALED_PART;
        let keys = options.key_logs.clone().map(|logs| Arc::new(Keys::new(logs, room)));
        let limit = options.bodies.as_ref().map(|bodies| bodies.limit());
        let later_bodies = options.bodies_from.clone().zip(limit);
        let bodies = limit.filter(|_| later_bodies.is_none());
        Self {
            decoder: Decoder::of(shard),
            table: Table::new(options.limits),
            owner: Stages {
                matcher: Matcher::new(options.metadata)
                    .marking(options.marks)
                    .with_log_ids(options.log_ids)
                    .with_bodies(bodies.is_some()),
                decode_as: options.decode_as.clone(),
                bodies,
                connections: options.connections,
                closed: Vec::new(),
                on_open: options.on_open.clone(),
                keys,
                sealed: VecDeque::new(),
                totals: Totals::default(),
            },
            open_connections: options.open_connections,
            shard,
            next_tick: None,
            resumed: None,
            last: Stamp::default(),
            waits: false,
            later_bodies,
            dropped: [0; 2],
            lines: 0,
            totals: Totals::default(),
        }
    }

    /// Reads the packets of a batch.
    pub fn batch(&mut self, batch: &Batch) {
        self.dropped[0] = self.dropped[0].max(batch.dropped);
        self.table.reserve(batch.reserved);
        self.totals.shed_secrets = batch.dropped_secrets;
        self.take_keys(&batch.secrets);
        self.look_for_bodies();
        for group in batch.records.chunks(GROUP) {
            if let (Some(keys), Some(first)) = (&self.owner.keys, group.first()) {
                keys.reach(first.number);
            }
            if self.table.len() >= LARGE_TABLE {
                let keys = batch.packets_of(group).filter_map(|packet| self.decoder.peek(&packet));
                self.table.warm(keys, &self.owner);
            }
            for packet in batch.packets_of(group) {
                self.packet(&packet);
            }
        }
        if let (Some(keys), Some(last)) = (&self.owner.keys, batch.records.last()) {
            keys.reach(last.number + 1);
        }
        self.waits = batch.now.is_some();
        if let Some(now) = batch.now {
            self.last.time = self.last.time.max(now);
            if self.tick() {
                self.look();
            }
        }
        self.totals.progress = batch.progress;
    }

    /// Takes secrets that the capture carries, and looks for new lines of key logs.
    fn take_keys(&mut self, secrets: &[Secrets]) {
        let Some(keys) = &self.owner.keys else { return };
        for secrets in secrets {
            keys.take_block(secrets.kind, &secrets.data);
        }
        keys.poll();
        let lines = keys.lines();
        if std::mem::replace(&mut self.lines, lines) != lines {
            self.owner.wake(&mut self.table, self.last);
        }
    }

    /// Lets all sessions collect bodies if these were asked for since the last batch.
    fn look_for_bodies(&mut self) {
        let asked = self.later_bodies.take_if(|(asked, _)| asked.load(Ordering::Relaxed));
        let Some((_, limit)) = asked else { return };
        self.owner.bodies = Some(limit);
        self.owner.matcher.collect_bodies();
        for slot in self.table.slots_mut() {
            slot.conversation.collect_bodies(limit);
        }
    }

    #[inline]
    fn packet(&mut self, packet: &Packet<'_>) {
        self.totals.packets += 1;
        self.totals.bytes += packet.data.len() as u64;
        self.totals.note(packet.time);
        self.last = Stamp { packet: packet.number, time: self.last.time.max(packet.time) };
        if self.next_tick.is_none_or(|next| self.last.time >= next) {
            self.tick();
        }
        let Self { decoder, table, owner, .. } = self;
        match decoder.plain(packet) {
            Some((plain, true)) => take(&plain.segment(packet), self.last.time, table, owner),
            Some((_, false)) => {}
            None => self.any_packet(packet),
        }
    }

    #[cold]
    fn any_packet(&mut self, packet: &Packet<'_>) {
        let Self { decoder, table, owner, .. } = self;
        if let Decoded::Segment(segment) = decoder.decode_any(packet) {
            take(&segment, self.last.time, table, owner);
        }
    }

    /// Notes the state of a live run: the oldest pending call, and the open connections.
    fn look(&mut self) {
        self.totals.oldest_open = self.table.flows().filter_map(|(_, slot)| slot.calls.oldest()).min();
        if self.open_connections {
            let full = self.table.flows().map(|(flow, slot)| connection(flow, slot, false));
            let owner = &self.owner;
            let begun = self.table.handshakes().map(|flow| connection(&flow, &owner.slot(&flow), false));
            let last_packet = self.last.packet;
            let shown = |connection| Box::new(Connection { last_packet, ..connection });
            let open: Vec<_> = full.chain(begun).take(MAX_OPEN_SHOWN).map(shown).collect();
            self.owner.closed.extend(open);
        }
    }

    /// Ends idle connections, once per [`TICK`]; returns whether it was time to.
    fn tick(&mut self) -> bool {
        let now = self.last;
        let next = *self.next_tick.get_or_insert(now.time + TICK);
        let due = now.time >= next;
        if due {
            if u128::from(now.time.since(next)) >= SILENCE.as_nanos() {
                self.table.resume(now.time);
                self.owner.matcher.resume(now.time);
                self.resumed = Some(now.time);
            }
            self.next_tick = Some(now.time + TICK);
            self.doubt();
            let before = self.owner.matcher.in_grace();
            self.table.tick(now, &mut self.owner);
            self.owner.matcher.settle(before);
            if self.waits {
                let waits = |one: &SealedConnection| {
                    u128::from(now.time.since(one.since.time)) < SEALED_TIME.as_nanos()
                };
                while self.owner.sealed.front().is_some_and(|one| !waits(one)) {
                    self.owner.unseal(now);
                }
            }
        }
        due
    }

    /// Marks the pending calls if the source has dropped packets: their answers may be among them. Once per [`TICK`], because
    /// this looks at all connections.
    fn doubt(&mut self) {
        let [dropped, known] = self.dropped;
        if dropped > known {
            self.dropped[1] = dropped;
            self.table
                .slots_mut()
                .filter_map(|slot| slot.calls.pending())
                .for_each(PendingCalls::doubt_answers);
        }
    }

    /// Ends all connections: the capture is over.
    pub fn finish(&mut self) {
        self.doubt();
        if let Some(keys) = &self.owner.keys {
            keys.close();
            self.owner.wake(&mut self.table, self.last);
        }
        let before = self.owner.matcher.in_grace();
        self.table.finish(self.last, &mut self.owner);
        self.owner.matcher.settle(before);
    }

    /// Moves what is ready to `outputs`, in order; everything if `all`. Returns the packet up to which nothing more will come.
    pub fn drain(&mut self, outputs: &mut Vec<Output>, all: bool) -> u64 {
        let start = outputs.len();
        let Self { owner, totals, resumed, .. } = self;
        owner.matcher.release((!all).then_some(self.last), |call| {
            totals.across_silence += u64::from(resumed.is_some_and(|resumed| call.lasts_across(resumed)));
            outputs.push(Output::Call(call));
        });
        let ready = if all {
            u64::MAX
        } else {
            // The end of the capture may still decide something at the last packet. A live run does not wait for that.
            let passed = if self.waits { self.last.packet } else { self.last.packet.saturating_sub(1) };
            let oldest = self.owner.matcher.oldest_in_grace();
            oldest.map_or(passed, |decided| passed.min(decided.saturating_sub(1)))
        };
        let before = outputs.len();
        outputs.extend(self.owner.matcher.learned(ready).map(|learned| Output::Learned(Box::new(learned))));
        if outputs.len() > before
            && let Some(new) = outputs.get_mut(start..)
        {
            new.sort_by_key(Output::key);
        }
        if !self.owner.closed.is_empty() {
            let (go, stay): (Vec<_>, Vec<_>) =
                self.owner.closed.drain(..).partition(|connection| connection.last_packet <= ready);
            self.owner.closed = stay;
            outputs.extend(go.into_iter().map(Output::Connection));
            if let Some(new) = outputs.get_mut(start..) {
                new.sort_by_key(Output::key);
            }
        }
        ready
    }

    /// Takes outputs back that were written: their memory is used for the next ones.
    pub fn reuse(&mut self, outputs: &mut Vec<Output>) {
        for output in outputs.drain(..) {
            if let Output::Call(call) = output {
                self.owner.matcher.reuse(call);
            }
        }
    }

    /// What was read so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.totals.clone();
        totals.add(&self.owner.totals);
        totals.shed = self.table.shed();
        totals.shed_calls = self.owner.matcher.shed;
        totals.skipped = Skip::ALL
            .iter()
            .map(|skip| (*skip, self.decoder.skipped(*skip)))
            .filter(|(_, count)| *count > 0)
            .collect();
        totals.unknown_link = self.decoder.unknown_link();
        totals.ended = self.decoder.ended().to_vec();
        if self.shard.is_first() {
            // Every shard decodes all packets.
            totals.gaps += self.decoder.lost_datagrams();
        }
        totals
    }
}

/// Passes a segment to its connection; `clock` is the latest time so far.
#[expect(clippy::inline_always, reason = "the fields of a plain segment then stay in registers")]
#[inline(always)]
fn take(segment: &Segment<'_>, clock: Timestamp, table: &mut Table<Slot>, owner: &mut Stages) {
    let before = owner.matcher.in_grace();
    table.set_clock(clock);
    table.segment(segment, owner);
    // One call alone is in order.
    if owner.matcher.in_grace() > before + 1 {
        owner.matcher.settle(before);
    }
}

/// Reads `source` to its end and hands what comes out to `receiver`, in order. An error of the source as a whole ends the
/// run after what was read before has been given out; trouble with one of several inputs is found in `Source::troubles`.
pub fn run(
    source: &mut dyn Source,
    options: &Options,
    receiver: &mut dyn Receive,
) -> Result<Totals, SourceError> {
    let mut joining = Joining::new(receiver, options);
    let result = catch_unwind(AssertUnwindSafe(|| match options.threads {
        0 | 1 => inline(source, options, &mut joining),
        threads => sharded::run(source, options, &mut joining, threads),
    }));
    match result {
        Ok(totals) => {
            joining.finish(totals.as_ref().unwrap_or(&Totals::default()));
            match (totals, joining.fault) {
                (Ok(totals), fault) => Ok(Totals { fault, ..totals }),
                (Err(error), None) => Err(error),
                (Err(SourceError(error)), Some(fault)) => {
                    Err(SourceError(format!("{error}; {fault}, so that a call may be missing")))
                }
            }
        }
        Err(panic) => {
            if !joining.is_receiving {
                joining.finish(&Totals::default());
            }
            resume_unwind(panic)
        }
    }
}

fn inline(
    source: &mut dyn Source,
    options: &Options,
    receiver: &mut dyn Receive,
) -> Result<Totals, SourceError> {
    let mut analyzer = Analyzer::new(options, Shard::default());
    let mut batch = Batch::default();
    let mut outputs = Vec::new();
    let mut failed = None;
    while !options.stop.load(Ordering::Relaxed) {
        match source.next_batch(&mut batch) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                failed = Some(error);
                break;
            }
        }
        batch.progress = source.progress();
        let (_, panic) = salvage::analyze(&mut analyzer, &batch, &mut outputs);
        let totals = analyzer.totals();
        let goes_on = receiver.receive(&mut outputs, &totals);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
        if !goes_on {
            return Ok(totals);
        }
        analyzer.reuse(&mut outputs);
    }
    let panic = salvage::finish(&mut analyzer, &mut outputs);
    let totals = analyzer.totals();
    receiver.receive(&mut outputs, &totals);
    if let Some(panic) = panic {
        resume_unwind(panic);
    }
    failed.map_or(Ok(totals), Err)
}
