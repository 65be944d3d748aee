//! Secrets by the random of the `ClientHello`.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rpcscope_parsers::tls::keylog::Random;
use rpcscope_parsers::tls::{Label, Line, Secret};

/// Connections whose secrets are kept; those of the oldest are forgotten first.
const MAX_RANDOMS: usize = 1 << 17;
/// Memory of one of them, in bytes.
pub(super) const RANDOM: usize = 400;
/// The longest line that is read, in bytes: a label, a random and a secret take at most 200.
const MAX_LINE: usize = 1024;

/// The secrets of one connection, those logged last for each label.
pub(super) type Secrets = Vec<(Label, Secret)>;

/// The secrets of a key log.
#[derive(Debug, Default)]
pub(super) struct Store {
    secrets: HashMap<Random, Secrets>,
    /// In the order in which they came.
    order: VecDeque<Random>,
    /// Changes with every line that says something new.
    version: u64,
    /// Most connections, if fewer than usual.
    pub(super) most: Option<usize>,
    /// Connections whose secrets were forgotten at the bound.
    pub(super) forgotten: u64,
}

/// Lines of one text that can't be used, for one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unusable {
    pub(super) why: &'static str,
    /// The number of the first one, from 1.
    pub(super) line: u64,
    pub(super) count: u64,
}

/// What is said of pre-master secrets.
const PRE_MASTER: &str =
    "RSA and PMS_CLIENT_RANDOM lines (pre-master secrets) are not supported; CLIENT_RANDOM lines are";

/// Counts the lines of one text and notes those that can't be used.
#[derive(Debug, Default)]
struct Tally {
    /// Lines so far.
    count: u64,
    /// One entry for each reason: there are few of them.
    unusable: Vec<Unusable>,
    /// The last line is a pre-master secret, which may be followed by the master secret.
    is_pre_master: bool,
}

impl Tally {
    /// Notes the next line.
    fn add(&mut self, line: Result<Option<Label>, &'static str>) {
        let may_follow = std::mem::take(&mut self.is_pre_master);
        if may_follow && line != Ok(Some(Label::Master)) {
            self.note(PRE_MASTER, self.count);
        }
        self.count += 1;
        match line {
            Err(PRE_MASTER) => self.is_pre_master = true,
            Err(why) => self.note(why, self.count),
            Ok(_) => {}
        }
    }

    fn note(&mut self, why: &'static str, line: u64) {
        match self.unusable.iter_mut().find(|known| known.why == why) {
            Some(known) => known.count += 1,
            None => self.unusable.push(Unusable { why, line, count: 1 }),
        }
    }

    /// Those that can't be used, if the text ends with this line.
    fn unusable(&self, last: &Line) -> Vec<Unusable> {
        let mut all = Self { unusable: self.unusable.clone(), ..*self };
        all.add(match last {
            Line::Unusable(why) => Err(why),
            Line::PreMaster => Err(PRE_MASTER),
            Line::Secret(label, ..) => Ok(Some(*label)),
            Line::Nothing | Line::Other => Ok(None),
        });
        all.add(Ok(None));
        all.unusable
    }
}

impl Store {
    /// One with the same bound.
    pub(super) fn empty(&self) -> Self {
        Self { most: self.most, ..Self::default() }
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    /// The secrets of the connection whose `ClientHello` has this random.
    pub(super) fn find(&self, random: &Random) -> Option<&Secrets> {
        self.secrets.get(random)
    }

    /// All connections, the latest first.
    pub(super) fn latest(&self) -> impl Iterator<Item = (&Random, &Secrets)> {
        self.order.iter().rev().filter_map(|random| Some((random, self.secrets.get(random)?)))
    }

    /// Takes a line without its end, and says whose secret it has, or why it can't be used. The latest line for a random and a label counts.
    fn line(&mut self, line: &[u8]) -> Result<Option<Label>, &'static str> {
        match Line::read(line) {
            Line::Nothing | Line::Other => Ok(None),
            Line::PreMaster => Err(PRE_MASTER),
            Line::Unusable(why) => Err(why),
            Line::Secret(label, random, secret) => {
                self.add(label, random, secret);
                Ok(Some(label))
            }
        }
    }

    pub(super) fn add(&mut self, label: Label, random: Random, secret: Secret) {
        let Some(known) = self.secrets.get_mut(&random) else {
            if self.order.len() >= self.most.unwrap_or(MAX_RANDOMS).clamp(1, MAX_RANDOMS)
                && let Some(oldest) = self.order.pop_front()
            {
                self.secrets.remove(&oldest);
                self.forgotten += 1;
            }
            self.order.push_back(random);
            // Room for all of them: a list that grows leaves its old memory behind.
            let mut first = Vec::with_capacity(Label::ALL.len());
            first.push((label, secret));
            self.secrets.insert(random, first);
            self.version += 1;
            return;
        };
        match known.iter_mut().find(|(known, _)| *known == label) {
            Some((_, known)) if *known == secret => return,
            Some((_, known)) => *known = secret,
            None => known.push((label, secret)),
        }
        self.version += 1;
    }

    /// Takes the whole text of a key log, and says which of its lines can't be used.
    pub(super) fn text(&mut self, text: &[u8]) -> Vec<Unusable> {
        let mut tally = Tally::default();
        text.split(|byte| *byte == b'\n').for_each(|line| tally.add(self.line(line)));
        tally.unusable(&Line::Nothing)
    }
}

/// Puts the lines of a growing text together.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The begin of a line.
    begun: zeroize::Zeroizing<Vec<u8>>,
    /// The line is too long: what is left of it is passed over.
    is_too_long: bool,
    /// Lines that have ended.
    tally: Tally,
}

impl Lines {
    /// Takes the next bytes; whole lines go to `store`.
    pub(super) fn take(&mut self, bytes: &[u8], store: &mut Store) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let is_whole = part.ends_with(b"\n");
            if self.begun.len() + part.len() > MAX_LINE {
                self.is_too_long = true;
                self.begun.clear();
            } else if !self.is_too_long {
                self.begun.extend_from_slice(part);
            }
            if is_whole {
                let is_too_long = std::mem::take(&mut self.is_too_long);
                self.tally.add(if is_too_long {
                    Err("the line is too long")
                } else {
                    store.line(&self.begun)
                });
                self.begun.clear();
            }
        }
    }

    /// Takes what has begun as a line: no more may come. If more does come, it is read once more with it.
    pub(super) fn take_begun(&self, store: &mut Store) {
        if let Line::Secret(label, random, secret) = Line::read(&self.begun) {
            store.add(label, random, secret);
        }
    }

    /// Another text begins.
    pub(super) fn clear(&mut self) {
        let unusable = std::mem::take(&mut self.tally.unusable);
        *self = Self { tally: Tally { unusable, ..Tally::default() }, ..Self::default() };
    }

    /// The lines that can't be used, among them one without an end.
    pub(super) fn unusable(&self) -> Vec<Unusable> {
        self.tally.unusable(&Line::read(&self.begun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(random: u8, secret: u8) -> String {
        format!(
            "CLIENT_RANDOM {} {}\n",
            format!("{random:02x}").repeat(32),
            format!("{secret:02x}").repeat(48)
        )
    }

    fn secret(store: &Store, random: u8) -> Option<u8> {
        let (_, secret) = store.find(&[random; 32])?.first()?;
        secret.bytes().first().copied()
    }

    #[test]
    fn the_latest_line_for_a_random_counts() {
        let mut store = Store::default();
        let unusable = store.text((line(1, 1) + &line(2, 2) + &line(1, 3)).as_bytes());
        assert_eq!(unusable, []);
        assert_eq!((secret(&store, 1), secret(&store, 2), store.version()), (Some(3), Some(2), 3));
        assert_eq!(store.text(line(1, 3).as_bytes()), []);
        assert_eq!(store.version(), 3, "nothing new");
    }

    #[test]
    fn a_cut_line_waits_for_its_end_in_every_cut() {
        let text = "# comment\r\n".to_owned() + &line(1, 1) + &line(2, 2);
        for cut in 0..text.len() {
            let (mut store, mut lines) = (Store::default(), Lines::default());
            lines.take(&text.as_bytes()[..cut], &mut store);
            lines.take_begun(&mut store);
            lines.take(&text.as_bytes()[cut..], &mut store);
            assert_eq!((secret(&store, 1), secret(&store, 2)), (Some(1), Some(2)), "{cut}");
            assert_eq!(lines.unusable(), [], "{cut}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let (mut store, mut lines) = (Store::default(), Lines::default());
        for _ in 0..1000 {
            lines.take(&[b'a'; 100], &mut store);
        }
        assert!(lines.begun.capacity() <= 2 * MAX_LINE);
        lines.take(("\n".to_owned() + &line(1, 1)).as_bytes(), &mut store);
        let too_long = Unusable { why: "the line is too long", line: 1, count: 1 };
        assert_eq!((secret(&store, 1), lines.unusable()), (Some(1), vec![too_long]));
    }

    #[test]
    fn secrets_are_bounded_and_the_oldest_go_first() {
        let mut store = Store::default();
        for number in 0..MAX_RANDOMS as u32 + 5 {
            let mut random = [0; 32];
            random[..4].copy_from_slice(&number.to_be_bytes());
            store.add(Label::Master, random, Secret::new(&[1; 48]).unwrap());
        }
        assert_eq!((store.order.len(), store.secrets.len(), store.forgotten), (MAX_RANDOMS, MAX_RANDOMS, 5));
        assert!(store.find(&[0; 32]).is_none());
    }
}
