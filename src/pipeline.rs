//! The order of the stages and the threads. No other module knows either.
//!
//! With one thread, everything happens in it, packet by packet. With more, each of them analyses its share of the
//! connections, and the calling one also writes (`sharded.rs`).

mod connection;
mod feed;
mod joining;
mod salvage;
mod sharded;
mod slot;
mod stages;
mod totals;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::calls::pairing::{Learned, Matcher, PendingCalls};
use crate::calls::record::{Call, Connection, Uid};
use crate::decode::{Decoded, Decoder, FlowKey, Shard, Skip};
use crate::dispatch::{DecodeAs, Sessions};
use crate::flow::{Limits, Stamp, Table};
use crate::payload::BodyDecoder;
use crate::source::files::Secrets;
use crate::source::{Batch, CapturePoint, Record, Source, SourceError};
use crate::time::Timestamp;
use crate::tls::{KeyLogs, Keys};
use connection::connection;
use joining::Joining;
use slot::{Slot, Spare};
use stages::Stages;

pub use totals::{ShedKind, Tallied, Tally, Totals};

/// Connections from which on the table is larger than the processor's caches, and packets are prepared for in groups.
const LARGE_TABLE: usize = 4096;
/// Packets of a group.
const GROUP: usize = 16;

/// Ciphertext that waits for keys may take this part of the memory of connections: half of what one connection may take, which would be given
/// up for it.
const SEALED_PART: usize = 16;
/// How often, in packet time, idle connections are looked for.
const TICK: Duration = Duration::from_secs(1);

/// The next tick before there is a time to count from.
const BEFORE_ALL: Timestamp = Timestamp(i64::MIN);

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
    /// Whether somebody waits for each call: one that has no answer is then told after ten minutes, and not at its connection's end.
    pub is_watched: bool,
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
            is_watched: false,
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
    next_tick: Timestamp,
    /// The end of the last [`SILENCE`].
    resumed: Option<Timestamp>,
    /// The last packet, and the latest time so far.
    last: Stamp,
    /// The last packet before the last [`Analyzer::drain`].
    drained: u64,
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
                    .for_part(shard.part())
                    .marking(options.marks)
                    .watched(options.is_watched)
                    .with_log_ids(options.log_ids)
                    .with_bodies(bodies.is_some()),
                decode_as: options.decode_as.clone(),
                bodies,
                connections: options.connections,
                closed: Vec::new(),
                on_open: options.on_open.clone(),
                keys,
                sealed: VecDeque::new(),
                spare: Spare::default(),
                sessions: Sessions::default(),
                totals: Totals::default(),
            },
            open_connections: options.open_connections,
            shard,
            next_tick: BEFORE_ALL,
            resumed: None,
            last: Stamp::default(),
            drained: 0,
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
        self.totals.count(&batch.records);
        let begin = batch.records.first().map(|first| first.time).or(batch.now);
        if let (BEFORE_ALL, Some(begin)) = (self.next_tick, begin) {
            self.next_tick = self.last.time.max(begin) + TICK;
        }
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
            for record in group {
                self.record(batch, record);
            }
        }
        if let (Some(keys), Some(last)) = (&self.owner.keys, batch.records.last()) {
            keys.reach(last.number + 1);
        }
        self.waits = batch.now.is_some();
        if let Some(now) = batch.now {
            self.last.time = self.last.time.max(now);
            self.table.set_clock(self.last.time);
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
    fn record(&mut self, batch: &Batch, record: &Record) {
        let Some(packet) = batch.packet(record) else { return };
        self.last.packet = packet.number;
        if packet.time > self.last.time {
            self.last.time = packet.time;
            self.table.set_clock(packet.time);
            if packet.time >= self.next_tick {
                self.tick();
            }
        }
        let Self { decoder, table, owner, .. } = self;
        match decoder.plain(&packet) {
            Some((plain, true)) => match plain.words(&packet) {
                Some((words, side)) => table.plain(words, plain.bare(side, &packet), owner),
                None => table.segment(&plain.segment(&packet), owner),
            },
            Some((_, false)) => {}
            // By its record: a packet that is passed on would be written to memory in any case.
            None => self.any_packet(batch, record),
        }
    }

    #[cold]
    #[inline(never)]
    fn any_packet(&mut self, batch: &Batch, record: &Record) {
        let Some(packet) = batch.packet(record) else { return };
        let Self { decoder, table, owner, .. } = self;
        if let Decoded::Segment(segment) = decoder.decode_any(&packet) {
            table.segment(&segment, owner);
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
        let (now, next) = (self.last, self.next_tick);
        if now.time < next {
            return false;
        }
        self.next_tick = now.time + TICK;
        if u128::from(now.time.since(next)) >= SILENCE.as_nanos() {
            self.table.resume(now.time);
            self.owner.matcher.resume(now.time);
            self.resumed = Some(now.time);
        }
        self.doubt();
        self.owner.matcher.settle();
        self.table.tick(now, &mut self.owner);
        if self.waits {
            self.owner.unseal_old(now);
        }
        self.owner.matcher.settle();
        true
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
        self.owner.matcher.settle();
        self.table.finish(self.last, &mut self.owner);
    }

    /// Moves what is ready to `outputs`, in order; everything if `all`. Returns the packet up to which nothing more will come.
    pub fn drain(&mut self, outputs: &mut Vec<Output>, all: bool) -> u64 {
        let start = outputs.len();
        let Self { owner, totals, resumed, .. } = self;
        // Where times jump back, grace periods are over at once: a call stays for a batch more, whatever its size.
        let packet = std::mem::replace(&mut self.drained, self.last.packet);
        let until = Stamp { packet, ..self.last };
        owner.matcher.release((!all).then_some(until), |call| {
            if resumed.is_some_and(|resumed| call.lasts_across(resumed)) {
                totals.across_silence += 1;
            }
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
