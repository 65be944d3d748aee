//! Sessions of connections that are over, for connections to come.

use rpcscope_parsers::{Protocol, Session};

use super::Wanted;

/// Sessions that are kept.
const MAX_KEPT: usize = 256;

/// Sessions of connections that are over, as new, of protocols whose sessions take longer to make than to clear.
#[derive(Default)]
pub struct Sessions {
    /// Those of each protocol, by its name.
    kept: Vec<(&'static str, Vec<Box<dyn Session>>)>,
    /// All of them.
    len: usize,
}

impl Sessions {
    /// State for one connection, which emits of bodies what is wanted.
    pub(super) fn take(&mut self, protocol: &dyn Protocol, wanted: Wanted) -> Box<dyn Session> {
        let mut session = match self.of(protocol.name()).and_then(Vec::pop) {
            Some(session) => {
                self.len -= 1;
                session
            }
            None => protocol.session(),
        };
        match wanted {
            Wanted::Nothing => {}
            Wanted::Bodies(limit) => session.collect_bodies(limit.get() as usize),
            Wanted::Marks => session.mark_bodies(),
        }
        session
    }

    /// Keeps the session of a connection that is over, if that is of use.
    pub(super) fn keep(&mut self, protocol: &dyn Protocol, mut session: Box<dyn Session>) {
        if self.len < MAX_KEPT && session.renew() {
            self.len += 1;
            match self.of(protocol.name()) {
                Some(kept) => kept.push(session),
                None => self.kept.push((protocol.name(), vec![session])),
            }
        }
    }

    /// What is kept of a protocol.
    fn of(&mut self, name: &'static str) -> Option<&mut Vec<Box<dyn Session>>> {
        self.kept.iter_mut().find(|(known, _)| std::ptr::eq(*known, name)).map(|(_, kept)| kept)
    }
}
