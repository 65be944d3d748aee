//! Sessions of TLS 1.2 that may be resumed, and whose turn it is to ask for them.
//!
//! One connection learns the name of a session (a ticket, an id), another one resumes it, and both may belong to different threads. Threads are
//! not at the same packet; so whoever asks for a session waits until all others have come as far as itself, and sees what came before that.
//! Nobody waits for somebody who waits for him: each waits only for packets before its own.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;
use rpcscope_parsers::tls::Secret;

/// Sessions that are remembered, about 100 bytes each; the oldest are forgotten first.
const MAX_SESSIONS: usize = 1 << 16;

/// Sessions by a fingerprint of their names.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// Boxed: a table that grows leaves its old memory behind.
    masters: HashMap<u64, (Box<Secret>, u64)>,
    order: VecDeque<u64>,
    hasher: foldhash::fast::FixedState,
    version: u64,
}

impl Sessions {
    fn fingerprint(&self, name: &[u8]) -> u64 {
        std::hash::BuildHasher::hash_one(&self.hasher, name)
    }

    /// Changes with every new session.
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The session may be resumed from packet `packet` on.
    pub(super) fn add(&mut self, name: &[u8], master: &Secret, packet: u64) {
        let fingerprint = self.fingerprint(name);
        if self.masters.contains_key(&fingerprint) {
            return;
        }
        self.masters.insert(fingerprint, (Box::new(master.clone()), packet));
        self.order.push_back(fingerprint);
        self.version += 1;
        if self.order.len() > MAX_SESSIONS
            && let Some(oldest) = self.order.pop_front()
        {
            self.masters.remove(&oldest);
        }
    }

    /// The master secret of a session that was there before packet `packet`.
    pub(super) fn find(&self, name: &[u8], packet: u64) -> Option<Secret> {
        let (master, since) = self.masters.get(&self.fingerprint(name))?;
        (*since <= packet).then(|| Secret::clone(master))
    }
}

/// How far each thread has come: all packets before that number are read.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Vec<Arc<AtomicU64>>>);

impl Turns {
    fn all(&self) -> MutexGuard<'_, Vec<Arc<AtomicU64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `threads` threads begin.
    pub(super) fn begin(&self, threads: usize) {
        *self.all() = (0..threads).map(|_| Arc::default()).collect();
    }
}

/// A thread's place among them.
#[derive(Debug)]
pub(super) struct Turn {
    own: Arc<AtomicU64>,
    all: Vec<Arc<AtomicU64>>,
}

impl Turn {
    /// The next thread that begins.
    pub(super) fn new(turns: &Turns) -> Self {
        let all = turns.all().clone();
        let free =
            all.iter().find(|one| one.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok());
        match free {
            Some(own) => Self { own: Arc::clone(own), all },
            // Alone.
            None => Self { own: Arc::default(), all: Vec::new() },
        }
    }

    #[inline]
    pub(super) fn reach(&self, packet: u64) {
        if self.all.is_empty() {
            return;
        }
        self.own.fetch_max(packet, Ordering::Release);
    }

    /// Waits until all others have read the packets before `packet`.
    pub(super) fn wait(&self, packet: u64) {
        self.reach(packet);
        for other in self.all.iter().filter(|other| !Arc::ptr_eq(other, &self.own)) {
            while other.load(Ordering::Acquire) < packet {
                std::thread::yield_now();
            }
        }
    }
}

impl Drop for Turn {
    /// Nobody waits for a thread that has ended, even by a panic.
    fn drop(&mut self) {
        self.own.store(u64::MAX, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_there_for_packets_after_its_own() {
        let mut sessions = Sessions::default();
        let master = Secret::new(&[1; 48]).unwrap();
        sessions.add(b"ticket", &master, 7);
        sessions.add(b"ticket", &master, 3);
        assert!(sessions.find(b"ticket", 6).is_none());
        assert_eq!(sessions.find(b"ticket", 7), Some(master));
        assert!(sessions.find(b"other", 9).is_none());
    }

    #[test]
    fn whoever_asks_waits_for_all_that_came_before() {
        let turns = Turns::default();
        turns.begin(3);
        let (first, second, third) = (Turn::new(&turns), Turn::new(&turns), Turn::new(&turns));
        let seen = AtomicU64::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                first.wait(10);
                assert_eq!(seen.load(Ordering::Acquire), 1);
            });
            scope.spawn(|| {
                // Waits for no one: the others are at packet 10, and gone.
                drop(third);
                second.wait(9);
                seen.store(1, Ordering::Release);
                second.reach(10);
            });
        });
    }
}
