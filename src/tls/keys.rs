//! What the connections of one thread ask for secrets.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rpcscope_parsers::tls::keylog::Random;
use rpcscope_parsers::tls::{Label, Secret};

use super::logs::KeyLogs;
use super::sessions::Turn;
use super::store::{Secrets, Store};

/// What a Decryption Secrets Block with a TLS key log says it holds.
pub(super) const TLS_KEY_LOG: u32 = 0x544c_534b;

/// The secrets that the connections of one thread can have.
#[derive(Debug)]
pub struct Keys {
    logs: Arc<KeyLogs>,
    /// Secrets that the capture carries, as far as this thread has come: so that the number of threads makes no difference.
    blocks: Mutex<Store>,
    blocks_version: AtomicU64,
    /// All secrets that the capture carries count: it was read to its end.
    has_all_blocks: bool,
    /// The thread's place among those that share the sessions.
    turn: Turn,
    /// Bytes of ciphertext that wait for keys, and the most that may.
    held: AtomicUsize,
    limit: usize,
    /// Keys may come later.
    is_open: AtomicBool,
    /// A buffer for what records hold.
    plain: Mutex<Vec<u8>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keys {
    /// For a thread whose connections may hold `limit` bytes of ciphertext that waits for keys.
    #[must_use]
    pub fn new(logs: Arc<KeyLogs>, limit: usize) -> Self {
        Self {
            turn: Turn::new(logs.turns()),
            blocks: Mutex::new(logs.empty_store()),
            logs,
            blocks_version: AtomicU64::new(0),
            has_all_blocks: false,
            held: AtomicUsize::new(0),
            limit,
            is_open: AtomicBool::new(true),
            plain: Mutex::default(),
        }
    }

    /// For whoever reads packets again: all secrets are known.
    #[must_use]
    pub fn complete(logs: Arc<KeyLogs>) -> Self {
        let mut keys = Self::new(logs, 0);
        keys.has_all_blocks = true;
        keys.is_open = AtomicBool::new(false);
        keys
    }

    /// Takes secrets that the capture carries.
    pub fn take_block(&self, kind: u32, data: &[u8]) {
        if kind == TLS_KEY_LOG {
            let mut blocks = lock(&self.blocks);
            // Its lines that can't be used are said once, for all threads.
            _ = blocks.text(data);
            self.blocks_version.store(blocks.version(), Ordering::Relaxed);
            self.logs.keep_block(data);
        }
    }

    /// Live: looks for new lines if it is time to.
    pub fn poll(&self) {
        self.logs.poll();
    }

    /// The end: looks for new lines once more, and nothing has to wait for others.
    pub fn close(&self) {
        self.logs.read_last();
        self.is_open.store(false, Ordering::Relaxed);
    }

    /// Whether keys may still come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Relaxed)
    }

    /// Changes whenever there are new lines.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.logs.version() + self.blocks_version.load(Ordering::Relaxed)
    }

    /// Changes whenever there are new lines, or sessions that may be resumed.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.lines() + self.logs.sessions().version()
    }

    /// Whether a key log was named, or the capture carries secrets.
    #[must_use]
    pub fn has_source(&self) -> bool {
        self.logs.has_files() || self.blocks_version.load(Ordering::Relaxed) > 0 || self.has_all_blocks
    }

    /// Gives each store to `look`, that of the key logs first, until it finds something.
    fn stores<T>(&self, mut look: impl FnMut(&Store) -> Option<T>) -> Option<T> {
        if let Some(found) = self.logs.look(&mut look) {
            return Some(found);
        }
        if self.has_all_blocks { self.logs.look_at_blocks(look) } else { look(&lock(&self.blocks)) }
    }

    /// One secret of the connection whose `ClientHello` has this random.
    pub(super) fn find(&self, random: &Random, label: Label) -> Option<Secret> {
        let of = |secrets: &Secrets| {
            secrets.iter().find(|(known, _)| *known == label).map(|(_, secret)| secret.clone())
        };
        self.stores(|store| store.find(random).and_then(of))
    }

    /// Whether there is any secret of this connection.
    pub(super) fn knows(&self, random: &Random) -> bool {
        self.stores(|store| store.find(random).map(|_| ())).is_some()
    }

    /// Shows each secret with one of these labels to `try_one`, the latest first, at most `limit` of them, until it finds something.
    pub(super) fn search<T>(
        &self,
        labels: &[Label],
        limit: usize,
        mut try_one: impl FnMut(&Random, Label, &Secret) -> Option<T>,
    ) -> Option<T> {
        self.stores(|store| {
            let all = store.latest().flat_map(|(random, secrets)| {
                secrets.iter().map(move |(label, secret)| (random, *label, secret))
            });
            all.filter(|(_, label, _)| labels.contains(label))
                .take(limit)
                .find_map(|(random, label, secret)| try_one(random, label, secret))
        })
    }

    /// The secrets of this connection open its records. `master`: that of TLS 1.2.
    pub(super) fn note_use(&self, random: &Random, master: Option<&Secret>) {
        self.logs.note_use(random, master);
    }

    /// A session of TLS 1.2 may be resumed by this ticket or id, from packet `packet` on.
    pub(super) fn keep_session(&self, name: &[u8], master: &Secret, packet: u64) {
        self.logs.sessions().add(name, master, packet);
    }

    /// The master secret of the session that is resumed by this ticket or id in packet `packet`. Waits until the other threads have come as
    /// far, so that their number makes no difference.
    pub(super) fn session(&self, name: &[u8], packet: u64) -> Option<Secret> {
        self.turn.wait(packet);
        self.logs.sessions().find(name, packet)
    }

    /// All packets of this thread's connections before `packet` have been read.
    pub fn reach(&self, packet: u64) {
        self.turn.reach(packet);
    }

    /// Reserves room for ciphertext that waits for keys; says whether there was any left.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let fits = self.held.load(Ordering::Relaxed) + bytes <= self.limit;
        if fits {
            self.held.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Counts bytes that are kept whether there is room or not.
    pub(super) fn hold_in_any_case(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A buffer, to be given back.
    pub(super) fn borrow_buffer(&self) -> Vec<u8> {
        std::mem::take(&mut *lock(&self.plain))
    }

    pub(super) fn return_buffer(&self, buffer: Vec<u8>) {
        *lock(&self.plain) = buffer;
    }
}
