//! Keys of the call record as members of a JSON object, where they can be written beforehand.

/// The name of a key as the start of a member of a JSON object, with a comma before it.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// `,"name":`.
    pub start: &'static str,
    /// `,"name":"`.
    pub start_quoted: &'static str,
}

/// The [`Member`] of a name.
macro_rules! member {
    ($name:literal) => {
        $crate::calls::member::Member {
            start: concat!(",\"", $name, "\":"),
            start_quoted: concat!(",\"", $name, "\":\""),
        }
    };
}

pub(crate) use member;

/// Room for a whole member, longer than any.
const ROOM: usize = 32;

/// One of the few words that a key can have.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// `,"name":"word"` and what fills it up, so that all are copied alike.
    pub member: [u8; ROOM],
    len: u8,
    /// The word.
    pub word: &'static str,
}

impl Choice {
    /// The choice of a word for the key whose member begins so.
    #[must_use]
    pub(crate) const fn new(member: Member, word: &'static str) -> Self {
        let parts = [member.start_quoted.as_bytes(), word.as_bytes(), b"\""];
        let (mut choice, mut part) = (Self { member: [0; ROOM], len: 0, word }, 0);
        while part < parts.len() {
            let mut at = 0;
            while at < parts[part].len() {
                choice.member[choice.len as usize] = parts[part][at];
                choice.len += 1;
                at += 1;
            }
            part += 1;
        }
        assert!((choice.len as usize) < ROOM);
        choice
    }

    /// Octets of the member.
    #[must_use]
    pub fn octets(&self) -> usize {
        // Who reads the first of them needs no check.
        usize::from(self.len) % ROOM
    }
}

/// The choices of a key whose values are the variants of an enum, in their order.
macro_rules! choices {
    ($name:literal, $of:ident) => {{
        static CHOICES: [Choice; $of::ALL.len()] = {
            let mut choices = [Choice::new(member!($name), ""); $of::ALL.len()];
            let mut at = 0;
            while at < choices.len() {
                choices[at] = Choice::new(member!($name), $of::ALL[at].name());
                at += 1;
            }
            choices
        };
        &CHOICES
    }};
}

pub(crate) use choices;
