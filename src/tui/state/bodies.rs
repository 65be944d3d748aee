//! Bodies of calls for a filter that asks for them after the calls were read.

use hashbrown::HashMap;

use super::State;
use crate::calls::Uid;
use crate::text;
use crate::tui::packets::{BodyBatch, BodySource};
use crate::tui::store::Serial;

/// What is said of a filter that can find nothing.
const NO_BODIES: &str = "the filter finds nothing: bodies were not read, and the input is over; start with --payload or this filter (-Y)";

/// What the calls have of the bodies of their messages.
#[derive(Debug)]
pub(in crate::tui) enum Bodies {
    /// Those that were read from where bodies were wanted.
    Read,
    /// Nothing; a filter can ask for them.
    Unread(Manner),
    /// Nothing, and a filter has asked for them.
    Asked(Manner),
    /// The input is being read again.
    Reading(Again),
}

/// How bodies are read if they are asked for late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tui) enum Manner {
    /// The input is read again.
    Again,
    /// They are read from then on.
    FromNowOn,
}

/// How far the input was read again.
#[derive(Debug, Default)]
pub(in crate::tui) struct Again {
    /// Where the calls are held.
    serials: HashMap<Uid, Serial>,
    /// Bytes read, and all bytes.
    read: Option<(u64, u64)>,
    /// Calls that have their bodies now.
    found: u64,
    /// Calls that are not those that were read first.
    changed: u64,
}

impl Default for Bodies {
    fn default() -> Self {
        Self::Unread(Manner::FromNowOn)
    }
}

impl Bodies {
    /// Before anybody has asked.
    pub(in crate::tui) fn of(source: &BodySource) -> Self {
        match source {
            BodySource::WithCalls => Self::Read,
            BodySource::Again(_) => Self::Unread(Manner::Again),
            BodySource::FromNowOn(_) => Self::Unread(Manner::FromNowOn),
        }
    }

    /// How far the input was read again, in percent, while it is or waits for that.
    pub(in crate::tui) fn percent(&self) -> Option<u64> {
        match self {
            Self::Asked(Manner::Again) => Some(0),
            Self::Reading(again) => {
                let (read, all) = again.read.unwrap_or_default();
                Some(read.saturating_mul(100).checked_div(all).unwrap_or(0).min(99))
            }
            Self::Asked(Manner::FromNowOn) | Self::Read | Self::Unread(_) => None,
        }
    }
}

impl State {
    /// A filter needs bodies.
    pub(super) fn ask_for_bodies(&mut self) {
        let line = match self.cx.bodies {
            Bodies::Read => return,
            Bodies::Unread(Manner::FromNowOn) if self.cx.ended => NO_BODIES.to_owned(),
            Bodies::Unread(manner) => {
                self.cx.bodies = Bodies::Asked(manner);
                match (manner, self.cx.total.last) {
                    (Manner::Again, _) if self.cx.ended => "reads the bodies of all calls …".to_owned(),
                    (Manner::Again, _) => "bodies are read when the input has been read once".to_owned(),
                    (Manner::FromNowOn, None) => "bodies are read from now on".to_owned(),
                    (Manner::FromNowOn, Some(last)) => {
                        format!(
                            "bodies are read from {} on; calls before have none",
                            self.cx.clock(last, None)
                        )
                    }
                }
            }
            Bodies::Asked(_) | Bodies::Reading(_) => "bodies are being read …".to_owned(),
        };
        self.say(line);
    }

    /// Whether the loop has to let bodies be read now. It is asked after every change, and says so once.
    pub(in crate::tui) fn begin_bodies(&mut self) -> bool {
        match self.cx.bodies {
            Bodies::Asked(Manner::FromNowOn) => self.cx.bodies = Bodies::Read,
            // Before the end, calls may come back that are not held yet.
            Bodies::Asked(Manner::Again) if self.cx.ended && self.waiting.is_empty() => {
                let entries = self.cx.store.entries().iter();
                let serials = entries.map(|entry| (entry.call.uid, entry.serial)).collect();
                self.cx.bodies = Bodies::Reading(Again { serials, ..Again::default() });
            }
            _ => return false,
        }
        self.dirty = true;
        true
    }

    /// Calls came again, with their bodies.
    pub(in crate::tui) fn bodies_came(&mut self, batch: BodyBatch) {
        let Bodies::Reading(again) = &mut self.cx.bodies else { return };
        again.read = batch.read.or(again.read);
        for call in &batch.calls {
            let Some(serial) = again.serials.get(&call.uid) else {
                again.changed += 1;
                continue;
            };
            if self.cx.store.replace(*serial, call) {
                again.found += 1;
                self.cx.chains.replace(call);
            } else if self.cx.store.get(*serial).is_some() {
                again.changed += 1;
            }
        }
        if self.cx.store.evict() {
            self.views.calls.drop_evicted(&self.cx.store);
        }
        if let Some(trouble) = batch.trouble {
            self.trouble(trouble);
        }
        self.dirty = true;
    }

    /// All calls have come again.
    pub(in crate::tui) fn bodies_ended(&mut self) {
        let Bodies::Reading(again) = std::mem::replace(&mut self.cx.bodies, Bodies::Read) else { return };
        let found = text::counted(again.found, "call");
        self.say(match again.changed {
            0 => format!("bodies of {found} were read"),
            changed => {
                let changed = text::counted(changed, "call");
                format!("bodies of {found} were read; {changed} are not as they were: has the file changed?")
            }
        });
        if self.cx.matcher.needs_bodies() {
            self.rematch();
        }
    }
}
