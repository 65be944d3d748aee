//! Counts a call once if several captures show it.
//!
//! The packets of each capture point are reassembled and paired separately, so a call between two captured hosts appears once per
//! host. [`Dedup`] holds such calls until all copies have arrived and emits one record, in the order of the packets that decided the
//! last copy. Copies are recognised by what every capture shows alike: the connection, and the TCP sequence number of the request or
//! of the answer; or, if they share neither, and over UDP, the number that pairs request and answer. Where a capture lacks the head of an
//! HTTP request, what is left looks like a request of its own, which ends where the other ends.
//!
//! [`join`] decides what the record says.

mod connections;
mod join;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rpcscope_parsers::event::{Rpc, Transport};
use smallvec::SmallVec;

use super::record::{Call, Finding};
use crate::decode::{Endpoint, FlowKey, Network};
use crate::source::CapturePoint;
use crate::time::Timestamp;

pub use connections::Connections;
pub use join::join;

/// How long a call waits for its copies, in packet time: about as long as callers wait for answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most calls that are held; beyond that, the oldest are emitted as they are.
const MAX_HELD: usize = 1 << 15;

/// Most keys of emitted calls that are remembered, so that a late copy does not count as another call.
const MAX_EMITTED: usize = 1 << 17;

/// Most pairs of hosts whose capture points are remembered.
const MAX_ROUTES: usize = 1 << 16;

/// Copies of one call begin no further apart than this.
const APART: Duration = Duration::from_secs(60);

/// The copies of one call, each as one capture shows it.
type Views = SmallVec<[Box<Call>; 2]>;

/// Keys by which copies of a call find each other.
type Keys = SmallVec<[u64; 3]>;

/// An entry of the queue.
#[derive(Debug)]
enum Entry<T> {
    /// A call whose other copies may still come.
    Pending { views: Views, keys: Keys, since: Timestamp },
    /// Something else, which keeps its position.
    Passenger(T),
    /// A call that has moved back, because a copy of it came.
    Moved,
}

/// A call that was emitted under a key.
#[derive(Debug)]
struct Emitted {
    start: Timestamp,
    capture_points: SmallVec<[CapturePoint; 4]>,
}

/// The output of [`Dedup`].
#[derive(Debug)]
pub enum Item<T> {
    /// A call, with all its copies joined.
    Call(Box<Call>),
    /// Something else, at its position between the calls.
    Passenger(T),
}

/// A queue of calls that wait for their copies, and of other items between them.
#[derive(Debug)]
pub struct Dedup<T> {
    queue: VecDeque<Entry<T>>,
    /// Number of the first entry of the queue; entries are numbered from 0.
    first: u64,
    /// Number of pending calls.
    pending: usize,
    /// The numbers of pending calls by key, in order.
    numbers: HashMap<u64, SmallVec<[u64; 1]>, FixedState>,
    emitted: HashMap<u64, Emitted, FixedState>,
    emitted_order: VecDeque<u64>,
    /// The capture points that see the traffic between two hosts.
    routes: HashMap<(IpAddr, IpAddr), SmallVec<[CapturePoint; 4]>, FixedState>,
    now: Timestamp,
}

impl<T> Default for Dedup<T> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            first: 0,
            pending: 0,
            numbers: HashMap::default(),
            emitted: HashMap::default(),
            emitted_order: VecDeque::new(),
            routes: HashMap::default(),
            now: Timestamp(i64::MIN),
        }
    }
}

impl<T> Dedup<T> {
    /// Whether the queue is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes the next call, in the order of the packets that decided them; whatever is ready goes to `emit`.
    pub fn call(&mut self, call: Box<Call>, emit: &mut dyn FnMut(Item<T>)) {
        self.now = self.now.max(call.end);
        let since = call.end;
        let (mut views, mut keys) = (Views::new(), Keys::new());
        if call.capture_point != CapturePoint::default() {
            self.see(&call);
            keys = self::keys(&call);
            if let Some(number) = self.find(&call, &keys) {
                let (known, more) = self.take(number);
                views = known;
                keys.extend(more);
                keys.sort_unstable();
                keys.dedup();
            } else if self.was_emitted(&call, &keys) {
                return self.release(emit);
            }
        }
        views.push(call);
        self.enter(views, keys, since);
        self.release(emit);
    }

    /// Takes something else; it is emitted after the calls that came before it.
    pub fn passenger(&mut self, passenger: T, emit: &mut dyn FnMut(Item<T>)) {
        self.queue.push_back(Entry::Passenger(passenger));
        self.release(emit);
    }

    /// Emits everything; no more input comes.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Item<T>)) {
        while !self.queue.is_empty() {
            self.pop(emit);
        }
    }

    /// Records that a capture point sees the traffic between two hosts.
    fn see(&mut self, call: &Call) {
        let room = self.routes.len() < MAX_ROUTES;
        let route = (call.client.ip, call.server.ip);
        let known =
            if room { Some(self.routes.entry(route).or_default()) } else { self.routes.get_mut(&route) };
        if let Some(known) = known
            && !known.contains(&call.capture_point)
        {
            known.push(call.capture_point);
        }
    }

    /// The number of the pending call that this is a copy of.
    fn find(&self, call: &Call, keys: &Keys) -> Option<u64> {
        keys.iter().filter_map(|key| self.numbers.get(key)).flatten().copied().find(|number| {
            match self.queue.get((number - self.first) as usize) {
                Some(Entry::Pending { views, .. }) => views.iter().all(|view| are_copies(view, call)),
                _ => false,
            }
        })
    }

    /// Removes a pending call from the queue.
    fn take(&mut self, number: u64) -> (Views, Keys) {
        let entry = self.queue.get_mut((number - self.first) as usize);
        let moved = entry.map(|entry| std::mem::replace(entry, Entry::Moved));
        let Some(Entry::Pending { views, keys, .. }) = moved else {
            return Default::default();
        };
        self.pending -= 1;
        self.forget(&keys, number);
        (views, keys)
    }

    /// Removes the number of a call that is no longer pending.
    fn forget(&mut self, keys: &Keys, number: u64) {
        for key in keys {
            if let Some(numbers) = self.numbers.get_mut(key) {
                numbers.retain(|known| *known != number);
                if numbers.is_empty() {
                    self.numbers.remove(key);
                }
            }
        }
    }

    /// Appends a call to the queue.
    fn enter(&mut self, views: Views, keys: Keys, since: Timestamp) {
        let number = self.first + self.queue.len() as u64;
        for key in &keys {
            self.numbers.entry(*key).or_default().push(number);
        }
        self.queue.push_back(Entry::Pending { views, keys, since });
        self.pending += 1;
    }

    /// Emits whatever need not wait any longer.
    fn release(&mut self, emit: &mut dyn FnMut(Item<T>)) {
        while let Some(entry) = self.queue.front() {
            if let Entry::Pending { views, since, .. } = entry
                && !self.is_complete(views)
                && self.pending <= MAX_HELD
                && u128::from(self.now.since(*since)) <= PATIENCE.as_nanos()
            {
                return;
            }
            self.pop(emit);
        }
    }

    /// Whether no more copies are expected: every capture point that is known to see the traffic of these hosts has shown this
    /// call.
    fn is_complete(&self, views: &Views) -> bool {
        let [first, ..] = &views[..] else { return true };
        let known = self.routes.get(&(first.client.ip, first.server.ip));
        first.capture_point == CapturePoint::default()
            || (views.len() > 1 && known.is_none_or(|known| known.len() <= views.len()))
    }

    /// Emits the first entry of the queue.
    fn pop(&mut self, emit: &mut dyn FnMut(Item<T>)) {
        let Some(entry) = self.queue.pop_front() else { return };
        let number = self.first;
        self.first += 1;
        match entry {
            Entry::Moved => {}
            Entry::Passenger(passenger) => emit(Item::Passenger(passenger)),
            Entry::Pending { views, keys, .. } => {
                self.pending -= 1;
                self.forget(&keys, number);
                self.remember(&views, keys);
                if let Some(call) = join(views) {
                    emit(Item::Call(call));
                }
            }
        }
    }

    /// Remembers an emitted call.
    fn remember(&mut self, views: &Views, keys: Keys) {
        let Some(first) = views.first() else { return };
        for key in keys {
            let capture_points = views.iter().map(|view| view.capture_point).collect();
            if self.emitted.insert(key, Emitted { start: first.start, capture_points }).is_none() {
                self.emitted_order.push_back(key);
            }
        }
        while self.emitted_order.len() > MAX_EMITTED {
            if let Some(oldest) = self.emitted_order.pop_front() {
                self.emitted.remove(&oldest);
            }
        }
    }

    /// Whether this is a late copy of an emitted call.
    fn was_emitted(&mut self, call: &Call, keys: &Keys) -> bool {
        keys.iter().any(|key| {
            let Some(emitted) = self.emitted.get_mut(key) else { return false };
            let apart = emitted.start.since(call.start).max(call.start.since(emitted.start));
            let is_late = !emitted.capture_points.contains(&call.capture_point)
                && u128::from(apart) <= APART.as_nanos();
            if is_late {
                emitted.capture_points.push(call.capture_point);
            }
            is_late
        })
    }
}

/// What a key of a call is made from, besides the connection.
#[derive(Hash)]
enum Mark {
    Request(u32),
    Answer(u32),
    RequestEnd(u32),
    /// The number that pairs request and answer.
    Pair(i64),
}

fn keys(call: &Call) -> Keys {
    let (key, _) = FlowKey::new(call.client, call.server, call.network);
    let hash = |mark: Mark| {
        let ends: [Endpoint; 2] = [key.a, key.b];
        FixedState::default().hash_one((ends, call.network, mark))
    };
    let [request, answer] = call.positions;
    // The numbers of streams and datagrams are unique. Elsewhere the number is used only if one capture shows just the request and
    // another just the answer; 0 is what callers send that do not count.
    let is_half = request.is_some() != answer.is_some() && call.id != Some(0);
    let pair = call.id.filter(|_| is_stream(call) || call.network == Network::Udp || is_half);
    let end = request_end(call).map(Mark::RequestEnd);
    let marks = [request.map(Mark::Request), answer.map(Mark::Answer), pair.map(Mark::Pair), end];
    marks.into_iter().flatten().map(hash).collect()
}

fn is_stream(call: &Call) -> bool {
    call.rpc.is_stream()
}

/// TCP: where the request of a thrift call over HTTP ends, or one without a transport that may be the body of such a request.
fn request_end(call: &Call) -> Option<u32> {
    let may_be_http = match call.transport {
        Transport::Http1 => call.rpc == Rpc::Thrift,
        Transport::Buffered => call.findings.contains(Finding::Gap),
        _ => false,
    };
    let start = call.positions[0].filter(|_| may_be_http)?;
    Some(start.wrapping_add(call.request_bytes as u32))
}

/// Whether two calls with a common key are copies of one call.
fn are_copies(a: &Call, b: &Call) -> bool {
    let apart = a.start.since(b.start).max(b.start.since(a.start));
    let [requests, answers] = [0, 1].map(|which: usize| a.positions[which].zip(b.positions[which]));
    let agree = match (requests, answers) {
        (Some((one, other)), _) => {
            let part = || request_end(a).filter(|_| a.transport != b.transport);
            one == other || part().is_some_and(|end| request_end(b) == Some(end))
        }
        // A capture of a stream may miss its first answers.
        (None, Some((one, other))) => one == other || is_stream(a),
        (None, None) => true,
    };
    agree
        && a.capture_point != b.capture_point
        && a.rpc == b.rpc
        && a.client == b.client
        && u128::from(apart) <= APART.as_nanos()
}

#[cfg(test)]
mod tests;
