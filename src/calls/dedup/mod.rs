//! The same call seen by several captures, counted once.
//!
//! Each capture point's packets are reassembled and paired by themselves, so that a call between two captured hosts comes
//! out once for each. [`Dedup`] holds such calls until the copies are there and gives out one record, in the order of the
//! packets by which they all were decided. Dedup are told by what is the same on every capture: the connection with the
//! TCP sequence number of the request or of the answer; where they have neither in common, and over UDP, the number that
//! pairs request and answer.
//!
//! What the record says is [`join`]'s to decide.

mod connections;
mod join;

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use super::record::Call;
use crate::decode::{Endpoint, FlowKey, Network};
use crate::source::CapturePoint;
use crate::time::Timestamp;

pub use connections::Connections;
pub use join::join;

/// How long, in packet time, a call waits for its copies: about as long as callers wait for their answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most calls that are held; beyond that the oldest go out as they are.
const MAX_HELD: usize = 1 << 15;

/// Most keys of calls given out that are remembered, lest a copy that comes late counts as another call.
const MAX_GIVEN: usize = 1 << 17;

/// Most pairs of hosts of which is remembered who sees them.
const MAX_ROUTES: usize = 1 << 16;

/// Sightings of a call that begin further apart than this are of two calls.
const APART: Duration = Duration::from_secs(60);

/// The copies of one call so far.
type Views = SmallVec<[Box<Call>; 2]>;

/// Keys by which copies of a call find each other.
type Keys = SmallVec<[u64; 3]>;

/// What stands in line.
#[derive(Debug)]
enum Held<T> {
    /// A call whose other copies may still come.
    Waiting { views: Views, keys: Keys, since: Timestamp },
    /// Something that only keeps its place.
    Passenger(T),
    /// What stood here has moved back.
    Gone,
}

/// What was given out under a key.
#[derive(Debug)]
struct Given {
    start: Timestamp,
    capture_points: SmallVec<[CapturePoint; 4]>,
}

/// What comes out of [`Dedup`].
#[derive(Debug)]
pub enum Item<T> {
    /// A call, all its copies in one.
    Call(Box<Call>),
    /// Something else, at its place between the calls.
    Passenger(T),
}

/// Calls that wait for their copies, and what stands in line with them.
#[derive(Debug)]
pub struct Dedup<T> {
    line: VecDeque<Held<T>>,
    /// Number of the first place in line; places are numbered from 0 on.
    first: u64,
    /// How many calls wait.
    waiting: usize,
    /// Places of waiting calls, in order.
    places: HashMap<u64, SmallVec<[u64; 1]>, FixedState>,
    given: HashMap<u64, Given, FixedState>,
    given_order: VecDeque<u64>,
    /// Which captures show the traffic between two hosts.
    routes: HashMap<(IpAddr, IpAddr), SmallVec<[CapturePoint; 4]>, FixedState>,
    now: Timestamp,
}

impl<T> Default for Dedup<T> {
    fn default() -> Self {
        Self {
            line: VecDeque::new(),
            first: 0,
            waiting: 0,
            places: HashMap::default(),
            given: HashMap::default(),
            given_order: VecDeque::new(),
            routes: HashMap::default(),
            now: Timestamp(i64::MIN),
        }
    }
}

impl<T> Dedup<T> {
    /// Whether nothing stands in line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Takes the next call, in the order of the packets that decided them; what is ready goes to `give`.
    pub fn call(&mut self, call: Box<Call>, give: &mut dyn FnMut(Item<T>)) {
        self.now = self.now.max(call.end);
        let since = call.end;
        let (mut views, mut keys) = (Views::new(), Keys::new());
        if call.capture_point != CapturePoint::default() {
            self.see(&call);
            keys = self::keys(&call);
            if let Some(place) = self.find(&call, &keys) {
                let (known, more) = self.take(place);
                views = known;
                keys.extend(more);
                keys.sort_unstable();
                keys.dedup();
            } else if self.was_given(&call, &keys) {
                return self.release(give);
            }
        }
        views.push(call);
        self.enter(views, keys, since);
        self.release(give);
    }

    /// Takes something that is given out again after the calls that came before it.
    pub fn passenger(&mut self, passenger: T, give: &mut dyn FnMut(Item<T>)) {
        self.line.push_back(Held::Passenger(passenger));
        self.release(give);
    }

    /// Gives out everything: nothing more comes.
    pub fn finish(&mut self, give: &mut dyn FnMut(Item<T>)) {
        while !self.line.is_empty() {
            self.pop(give);
        }
    }

    /// Learns that a capture shows the traffic between two hosts.
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

    /// The waiting call of which this is a copy.
    fn find(&self, call: &Call, keys: &Keys) -> Option<u64> {
        keys.iter().filter_map(|key| self.places.get(key)).flatten().copied().find(|place| {
            match self.line.get((place - self.first) as usize) {
                Some(Held::Waiting { views, .. }) => views.iter().all(|view| are_copies(view, call)),
                _ => false,
            }
        })
    }

    /// Takes a waiting call out of the line.
    fn take(&mut self, place: u64) -> (Views, Keys) {
        let held = self.line.get_mut((place - self.first) as usize);
        let Some(Held::Waiting { views, keys, .. }) = held.map(|held| std::mem::replace(held, Held::Gone))
        else {
            return Default::default();
        };
        self.waiting -= 1;
        self.forget(&keys, place);
        (views, keys)
    }

    /// Forgets the place of a call that waits no longer.
    fn forget(&mut self, keys: &Keys, place: u64) {
        for key in keys {
            if let Some(places) = self.places.get_mut(key) {
                places.retain(|known| *known != place);
                if places.is_empty() {
                    self.places.remove(key);
                }
            }
        }
    }

    /// Puts a call at the end of the line.
    fn enter(&mut self, views: Views, keys: Keys, since: Timestamp) {
        let place = self.first + self.line.len() as u64;
        for key in &keys {
            self.places.entry(*key).or_default().push(place);
        }
        self.line.push_back(Held::Waiting { views, keys, since });
        self.waiting += 1;
    }

    /// Gives out what need not wait any longer.
    fn release(&mut self, give: &mut dyn FnMut(Item<T>)) {
        while let Some(held) = self.line.front() {
            if let Held::Waiting { views, since, .. } = held
                && !self.is_complete(views)
                && self.waiting <= MAX_HELD
                && u128::from(self.now.since(*since)) <= PATIENCE.as_nanos()
            {
                return;
            }
            self.pop(give);
        }
    }

    /// Whether no more copies are to be expected: every capture that is known to show the traffic of these hosts has shown
    /// this call.
    fn is_complete(&self, views: &Views) -> bool {
        let [first, ..] = &views[..] else { return true };
        let known = self.routes.get(&(first.client.ip, first.server.ip));
        first.capture_point == CapturePoint::default()
            || (views.len() > 1 && known.is_none_or(|known| known.len() <= views.len()))
    }

    /// Gives out what stands first in line.
    fn pop(&mut self, give: &mut dyn FnMut(Item<T>)) {
        let Some(held) = self.line.pop_front() else { return };
        let place = self.first;
        self.first += 1;
        match held {
            Held::Gone => {}
            Held::Passenger(passenger) => give(Item::Passenger(passenger)),
            Held::Waiting { views, keys, .. } => {
                self.waiting -= 1;
                self.forget(&keys, place);
                self.remember(&views, keys);
                if let Some(call) = join(views) {
                    give(Item::Call(call));
                }
            }
        }
    }

    /// Remembers a call that is given out.
    fn remember(&mut self, views: &Views, keys: Keys) {
        let Some(first) = views.first() else { return };
        for key in keys {
            let capture_points = views.iter().map(|view| view.capture_point).collect();
            if self.given.insert(key, Given { start: first.start, capture_points }).is_none() {
                self.given_order.push_back(key);
            }
        }
        while self.given_order.len() > MAX_GIVEN {
            if let Some(oldest) = self.given_order.pop_front() {
                self.given.remove(&oldest);
            }
        }
    }

    /// Whether this is a late copy of a call that was given out.
    fn was_given(&mut self, call: &Call, keys: &Keys) -> bool {
        keys.iter().any(|key| {
            let Some(given) = self.given.get_mut(key) else { return false };
            let apart = given.start.since(call.start).max(call.start.since(given.start));
            let is_late =
                !given.capture_points.contains(&call.capture_point) && u128::from(apart) <= APART.as_nanos();
            if is_late {
                given.capture_points.push(call.capture_point);
            }
            is_late
        })
    }
}

/// What the keys of a call name.
#[derive(Hash)]
enum Mark {
    Request(u32),
    Answer(u32),
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
    // Streams and datagrams have numbers of their own. Elsewhere the number has to do where one capture shows the request
    // only and another the answer only; 0 is what callers send who count nothing.
    let is_half = request.is_some() != answer.is_some() && call.id != Some(0);
    let pair = call.id.filter(|_| is_stream(call) || call.network == Network::Udp || is_half);
    let marks = [request.map(Mark::Request), answer.map(Mark::Answer), pair.map(Mark::Pair)];
    marks.into_iter().flatten().map(hash).collect()
}

fn is_stream(call: &Call) -> bool {
    call.rpc.is_stream()
}

/// Whether two calls with a key in common are one.
fn are_copies(a: &Call, b: &Call) -> bool {
    let apart = a.start.since(b.start).max(b.start.since(a.start));
    let [requests, answers] = [0, 1].map(|which: usize| a.positions[which].zip(b.positions[which]));
    let agree = match (requests, answers) {
        (Some((a, b)), _) => a == b,
        // The capture of a stream may have lost its first answers.
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
