//! Which key opens a record of one direction.
//!
//! Every protection of TLS is authenticated, so that a record opens under its own key and number and no other. Changes of keys are followed as
//! the handshake says them, and where records were lost, what comes next is tried: the numbers that the lost bytes can have held, the keys that
//! come later. What was found open is never in doubt.

use rpcscope_parsers::tls::keylog::Random;
use rpcscope_parsers::tls::suite::Cipher;
use rpcscope_parsers::tls::{Label, Opened, Record, RecordKey, Secret, Suite, schedule};

use super::keys::Keys;
use super::numbers::{MAX_NUMBER, Numbers, Range};

/// Work that one connection may spend on searching, in blocks of a cipher: some milliseconds.
pub(super) const SEARCH: u64 = 1 << 20;
/// The numbers that are tried one after the other, with all secrets, on a connection whose `ClientHello` was not captured, and with all keys
/// after a loss.
const ROUNDS: [std::ops::Range<u64>; 6] =
    [0..1, 1..64, 64..1024, 1024..16_384, 16_384..65_536, 65_536..MAX_NUMBER];
/// What making keys costs, in blocks of a cipher.
const SCHEDULE: u64 = 128;
/// Updates of keys that may have been lost in one gap, or before the capture began.
const MAX_UPDATES: usize = 4;
/// Secrets that are tried on a connection whose `ClientHello` was not captured.
const MAX_SECRETS: usize = 4096;
/// With ciphers other than GCM, each number costs the whole record. Records over this size leave more of the work to smaller ones.
const MAX_SLOW: usize = 1024;

/// One pass of the search for the secret of a connection whose `ClientHello` was not captured: all secrets, with all rounds of numbers.
struct Pass {
    /// With ciphers of which each number costs the whole record, instead of GCM.
    is_slow: bool,
    /// How often the keys were updated.
    updates: std::ops::Range<usize>,
    /// Sixteenths of the work that are left to what follows: after a record of at most [`MAX_SLOW`] bytes, and after a larger one.
    kept: [u64; 2],
}

/// GCM comes first, because a number of it costs one block, and updated keys come last, because hardly any peer updates them.
const PASSES: [Pass; 4] = [
    Pass { is_slow: false, updates: 0..1, kept: [9, 9] },
    Pass { is_slow: true, updates: 0..1, kept: [4, 6] },
    Pass { is_slow: false, updates: 1..1 + MAX_UPDATES, kept: [3, 5] },
    Pass { is_slow: true, updates: 1..1 + MAX_UPDATES, kept: [2, 4] },
];

impl Pass {
    /// The work that is left after this pass on a record, of so much in all.
    fn kept(&self, record: &Record<'_>, all: u64) -> u64 {
        let [small, large] = self.kept;
        all / 16 * if record.fragment.len() > MAX_SLOW { large } else { small }
    }

    /// Whether keys of this suite are tried; only those of application data are updated.
    fn takes(&self, suite: &Suite, stage: Stage) -> bool {
        let is_possible = self.updates.start == 0 || stage == Stage::Traffic;
        is_possible && matches!(suite.cipher, Cipher::Gcm(_)) != self.is_slow
    }

    /// The keys under which the record opens with a number of this round, beginning with the `first` of a secret, and the number. Leaves at
    /// least `kept` of the work. What can't be paid is not made: keys cost more than most searches with them.
    fn find(
        &self,
        first: impl Fn() -> Option<Current>,
        record: &Record<'_>,
        round: &std::ops::Range<u64>,
        kept: u64,
        budget: &mut u64,
    ) -> Option<(Current, u64)> {
        let mut before: Option<Current> = None;
        for updates in 0..self.updates.end {
            *budget = budget.checked_sub(SCHEDULE).filter(|left| *left > kept)?;
            let current = before.map_or_else(&first, |before| before.next())?;
            if self.updates.contains(&updates) {
                let mut part = *budget - kept;
                let number = current.key.find(record, round.start, round.end - round.start, &mut part);
                *budget = kept + part;
                if let Some(number) = number {
                    return Some((current, number));
                }
            }
            before = Some(current);
        }
        None
    }
}

/// The part of a connection of TLS 1.3 that a secret protects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Early,
    Handshake,
    Traffic,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Early, Self::Handshake, Self::Traffic];

    fn label(self, of_client: bool) -> Option<Label> {
        match (self, of_client) {
            (Self::Early, true) => Some(Label::ClientEarly),
            (Self::Early, false) => None,
            (Self::Handshake, true) => Some(Label::ClientHandshake),
            (Self::Handshake, false) => Some(Label::ServerHandshake),
            (Self::Traffic, true) => Some(Label::ClientTraffic),
            (Self::Traffic, false) => Some(Label::ServerTraffic),
        }
    }
}

/// Why a record does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// A secret that may open it is not known.
    NoSecret,
    /// It belongs to a part of the handshake whose secret is not known; what follows may open.
    Passed,
    /// Nothing that is known opens it.
    Wrong,
}

/// What the handshake says of a connection, as far as keys depend on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    pub(super) keys: &'a Keys,
    /// Whether the direction is the client's; `None` if that is not known.
    pub(super) of_client: Option<bool>,
    pub(super) random: Option<&'a Random>,
    pub(super) suite: Option<&'static Suite>,
}

impl Context<'_> {
    /// The suites that a secret of TLS 1.3 may be of: that of the `ServerHello`, or those that have secrets of this length.
    fn suites(&self, secret: &Secret) -> impl Iterator<Item = &'static Suite> {
        let known = self.suite;
        Suite::of_secret(secret.bytes().len()).filter(move |suite| known.is_none_or(|known| known == *suite))
    }
}

/// The key at hand.
struct Current {
    stage: Stage,
    secret: Secret,
    suite: &'static Suite,
    key: RecordKey,
}

/// What opened a record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) opened: Opened,
    pub(super) stage: Stage,
    pub(super) number: u64,
    /// The part of the fragment before what it carries.
    pub(super) lead: usize,
}

/// What was learnt by searching for a connection.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) random: Random,
    pub(super) of_client: bool,
}

/// The keys of one direction of TLS 1.3.
#[derive(Default)]
pub(super) struct Epochs {
    current: Option<Current>,
    /// Those of the records under the key at hand.
    numbers: Numbers,
    /// The handshake says that earlier keys are over.
    least: Option<Stage>,
    /// Whether a record has opened.
    pub(super) has_opened: bool,
}

impl Epochs {
    /// The number of the next record.
    pub(super) fn number(&self) -> u64 {
        self.numbers.next
    }

    /// The suite of the key at hand.
    pub(super) fn suite(&self) -> Option<&'static Suite> {
        self.current.as_ref().map(|current| current.suite)
    }

    /// Whether a record has opened that came after all early data.
    pub(super) fn is_past_early(&self) -> bool {
        self.current.as_ref().map(|current| current.stage).max(self.least) > Some(Stage::Early)
    }

    /// The handshake says that the next record is protected with the keys of `stage`.
    pub(super) fn advance(&mut self, stage: Stage) {
        if self.current.as_ref().is_none_or(|current| current.stage < stage) {
            self.current = None;
            self.numbers.next = 0;
            self.least = Some(stage);
        }
    }

    /// The sender has updated its keys.
    pub(super) fn update(&mut self) {
        self.current = self.current.take().and_then(|current| current.next());
        self.numbers.next = 0;
    }

    /// Opens a record into `out`. `lost`: bytes of this direction that were lost since the last one.
    pub(super) fn open(
        &mut self,
        context: Context<'_>,
        record: &Record<'_>,
        lost: u64,
        budget: &mut u64,
        out: &mut Vec<u8>,
    ) -> Result<Hit, Miss> {
        let own = self.numbers.after(lost);
        if let Some(current) = &self.current
            && let Some(opened) = current.key.open(self.numbers.next, record, out)
        {
            return Ok(self.hit(self.numbers.next, record, opened));
        }
        let (others, miss) = self.others(context, lost > 0);
        // Those of other keys begin with 0, and the numbers from there on are as many.
        let foreign = Range { first: 0, likely: 0, ..own };
        // Low numbers of all keys come before high ones of any.
        for round in ROUNDS.iter().take_while(|round| round.start < own.count) {
            // The next number was tried.
            let is_new =
                |current: &&Current| round.start > 0 || (own.likely > 0 && !current.key.is_cheap_to_search());
            if let Some(current) = self.current.as_ref().filter(is_new)
                && let Some(number) = own.find(&current.key, record, round, budget)
                && let Some(opened) = current.key.open(number, record, out)
            {
                return Ok(self.hit(number, record, opened));
            }
            let found = others.iter().enumerate().find_map(|(at, other)| {
                // What comes first costs nothing of the budget.
                let number =
                    if round.start == 0 { 0 } else { foreign.find(&other.key, record, round, budget)? };
                Some((at, number, other.key.open(number, record, out)?))
            });
            if let Some((at, number, opened)) = found {
                if let Some(random) = context.random {
                    context.keys.note_use(random, None);
                }
                self.current = others.into_iter().nth(at);
                return Ok(self.hit(number, record, opened));
            }
        }
        Err(miss)
    }

    /// The keys that may come after the one at hand, and what it means if none of them opens a record. `updated`: also those after updates
    /// that may have been lost.
    fn others(&self, context: Context<'_>, updated: bool) -> (Vec<Current>, Miss) {
        let mut others = Vec::new();
        let Some(random) = context.random else { return (others, Miss::NoSecret) };
        let of_client = context.of_client.unwrap_or(true);
        let (now, least) = (self.current.as_ref().map(|current| current.stage), self.least);
        let is_later =
            |stage: &Stage| now.is_none_or(|now| *stage > now) && least.is_none_or(|least| *stage >= least);
        let mut missing = None;
        for stage in Stage::ALL.into_iter().filter(is_later) {
            let Some(label) = stage.label(of_client) else { continue };
            let Some(secret) = context.keys.find(random, label) else {
                missing = Some(stage);
                continue;
            };
            let firsts = context.suites(&secret).filter_map(|suite| Current::new(stage, &secret, suite));
            // Where nothing has opened, the updates may be lost with all else.
            let updates = if updated && now.is_none() && stage == Stage::Traffic { MAX_UPDATES } else { 0 };
            others.extend(
                firsts.flat_map(|first| std::iter::successors(Some(first), Current::next).take(1 + updates)),
            );
        }
        let miss = match missing {
            Some(stage) if stage == Stage::Traffic || others.is_empty() => Miss::NoSecret,
            Some(_) if !self.has_opened => Miss::Passed,
            _ => Miss::Wrong,
        };
        if let Some(current) =
            self.current.as_ref().filter(|current| updated && current.stage == Stage::Traffic)
        {
            others.extend(std::iter::successors(current.next(), Current::next).take(MAX_UPDATES));
        }
        (others, miss)
    }

    /// Looks for the secret that opens a record of a connection whose `ClientHello` was not captured. `from_start`: the record may be the
    /// first of its key.
    pub(super) fn search(
        &mut self,
        context: Context<'_>,
        record: &Record<'_>,
        from_start: bool,
        budget: &mut u64,
        out: &mut Vec<u8>,
    ) -> Option<(Found, Hit)> {
        let labels =
            [Label::ClientTraffic, Label::ServerTraffic, Label::ClientHandshake, Label::ServerHandshake];
        let is_possible = |label: &Label| {
            let of_client = matches!(label, Label::ClientTraffic | Label::ClientHandshake);
            let is_traffic = matches!(label, Label::ClientTraffic | Label::ServerTraffic);
            context.of_client.is_none_or(|known| known == of_client) && (from_start || is_traffic)
        };
        let labels: Vec<Label> = labels.into_iter().filter(is_possible).collect();
        let all = *budget;
        let mut turns = PASSES.iter().flat_map(|pass| ROUNDS.iter().map(move |round| (pass, round)));
        let found = turns.find_map(|(pass, round)| {
            let kept = pass.kept(record, all);
            if *budget <= SCHEDULE.saturating_add(kept) {
                return None;
            }
            context.keys.search(&labels, MAX_SECRETS, |random, label, secret| {
                let (stage, of_client) = match label {
                    Label::ClientTraffic => (Stage::Traffic, true),
                    Label::ServerTraffic => (Stage::Traffic, false),
                    label => (Stage::Handshake, label == Label::ClientHandshake),
                };
                let mut suites = context.suites(secret).filter(|suite| pass.takes(suite, stage));
                let (current, number) = suites.find_map(|suite| {
                    let first = || Current::new(stage, secret, suite);
                    pass.find(first, record, round, kept, budget)
                })?;
                Some((Found { random: *random, of_client }, current, number))
            })
        });
        let (found, current, number) = found?;
        context.keys.note_use(&found.random, None);
        self.current = Some(current);
        let opened = self.current.as_ref()?.key.open(number, record, out)?;
        Some((found, self.hit(number, record, opened)))
    }

    fn hit(&mut self, number: u64, record: &Record<'_>, opened: Opened) -> Hit {
        self.numbers.read(number, record);
        self.has_opened = true;
        let (stage, lead) =
            self.current.as_ref().map_or((Stage::Traffic, 0), |current| (current.stage, current.key.lead()));
        Hit { opened, stage, number, lead }
    }
}

impl Current {
    /// The first keys of this part of the connection. `None` if the secret is not of the suite.
    fn new(stage: Stage, secret: &Secret, suite: &'static Suite) -> Option<Self> {
        let key = schedule::traffic_key(suite, secret)?;
        Some(Self { stage, secret: secret.clone(), suite, key })
    }

    /// After an update.
    fn next(&self) -> Option<Self> {
        let secret = schedule::next_secret(self.suite, &self.secret);
        let key = schedule::traffic_key(self.suite, &secret)?;
        Some(Self { stage: self.stage, secret, suite: self.suite, key })
    }
}

/// The keys of one direction of TLS 1.2.
pub(super) struct Fixed {
    key: RecordKey,
    numbers: Numbers,
    /// The part of the nonce that the last record carried.
    nonce: Option<u64>,
    pub(super) has_opened: bool,
}

impl Fixed {
    pub(super) fn new(key: RecordKey) -> Self {
        Self { key, numbers: Numbers::default(), nonce: None, has_opened: false }
    }

    /// The number of the next record.
    pub(super) fn number(&self) -> u64 {
        self.numbers.next
    }

    /// Opens a record into `out`; `lost` as in [`Epochs::open`].
    pub(super) fn open(
        &mut self,
        record: &Record<'_>,
        lost: u64,
        budget: &mut u64,
        out: &mut Vec<u8>,
    ) -> Option<Hit> {
        let nonce = self.key.explicit_nonce(record);
        let next = self.numbers.next;
        let number = if let Some(opened) = self.key.open(next, record, out) {
            Some((next, opened))
        } else if lost > 0 {
            let range = self.numbers.after(lost);
            // Most senders count the nonces of records, from anywhere.
            let counted = nonce
                .zip(self.nonce)
                .map(|(nonce, last)| next.wrapping_add(nonce.wrapping_sub(last)).wrapping_sub(1));
            let counted = counted.into_iter().chain(nonce).find_map(|number| {
                let is_ahead = number.wrapping_sub(next) < range.count;
                is_ahead.then(|| self.key.find(record, number, 1, budget)).flatten()
            });
            let number = counted.or_else(|| range.find(&self.key, record, &(0..range.count), budget));
            number.and_then(|number| Some((number, self.key.open(number, record, out)?)))
        } else {
            None
        };
        let (number, opened) = number?;
        self.numbers.read(number, record);
        self.nonce = nonce;
        self.has_opened = true;
        Some(Hit { opened, stage: Stage::Traffic, number, lead: self.key.lead() })
    }
}
