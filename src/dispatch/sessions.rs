//! Sessions of connections that are over, for connections to come.

use rpcscope_parsers::{Protocol, Session};

use super::Wanted;

/// Sessions that are kept.
const MAX_KEPT: usize = 32;

/// Sessions of connections that are over, as new, of protocols whose sessions take longer to make than to clear.
#[derive(Default)]
pub struct Sessions(Vec<(&'static str, Box<dyn Session>)>);

impl Sessions {
    /// State for one connection, which emits of bodies what is wanted.
    pub(super) fn take(&mut self, protocol: &dyn Protocol, wanted: Wanted) -> Box<dyn Session> {
        let kept = self.0.pop_if(|(name, _)| *name == protocol.name());
        let mut session = kept.map_or_else(|| protocol.session(), |(_, session)| session);
        match wanted {
            Wanted::Nothing => {}
            Wanted::Bodies(limit) => session.collect_bodies(limit.get() as usize),
            Wanted::Marks => session.mark_bodies(),
        }
        session
    }

    /// Keeps the session of a connection that is over, if that is of use.
    pub(super) fn keep(&mut self, protocol: &dyn Protocol, mut session: Box<dyn Session>) {
        if self.0.len() < MAX_KEPT && session.renew() {
            self.0.push((protocol.name(), session));
        }
    }
}
