//! Which library sent a request.

use rpcscope_parsers::event::Sender;

use super::names::is_same;
use crate::codes::library::{Library, Version};

/// Longest `user-agent` that is read.
const AGENT_LIMIT: usize = 256;

/// How many agents are remembered. A capture has few, and nearly every request repeats one of the latest.
const RECENT: usize = 8;

/// What the latest agents said.
#[derive(Debug, Default)]
pub(super) struct Senders {
    /// The latest first.
    recent: Vec<Agent>,
}

#[derive(Debug)]
struct Agent {
    text: Box<[u8]>,
    library: Option<(Library, Version)>,
}

impl Senders {
    /// The library and its version (0.0.0 where the request does not show that); `None` if it is not known.
    #[inline]
    pub(super) fn get(&mut self, sender: Sender<'_>) -> Option<(Library, Version)> {
        match sender {
            Sender::Kitex => Some((Library::Kitex, Version::default())),
            Sender::Volo => Some((Library::Volo, Version::default())),
            Sender::TrpcGo => Some((Library::TrpcGo, Version::default())),
            Sender::Named(text) => self.named(text),
        }
    }

    #[inline(never)]
    fn named(&mut self, text: &[u8]) -> Option<(Library, Version)> {
        match self.recent.iter().find(|agent| is_same(&agent.text, text)) {
            Some(agent) => agent.library,
            None => self.read(text),
        }
    }

    #[cold]
    fn read(&mut self, text: &[u8]) -> Option<(Library, Version)> {
        if text.len() > AGENT_LIMIT {
            return None;
        }
        self.recent.truncate(RECENT - 1);
        let library = Library::of_user_agent(text);
        self.recent.insert(0, Agent { text: text.into(), library });
        library
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_agent_is_its_own_whatever_came_before() {
        let mut senders = Senders::default();
        let mut library =
            |agent: &str| senders.get(Sender::Named(agent.as_bytes())).map(|(library, _)| library);
        for _ in 0..2 {
            assert_eq!(library("grpc-go/1.68.0"), Some(Library::GrpcGo));
            assert_eq!(library("grpc-go/1.68.0"), Some(Library::GrpcGo));
            assert_eq!(library("curl/8.0"), None);
            assert_eq!(library(""), None);
            assert_eq!(library(&format!("grpc-go/1 {}", "x".repeat(AGENT_LIMIT))), None);
        }
        for number in 0..3 * RECENT {
            let agent = format!("tonic/0.{number}.0");
            for _ in 0..2 {
                let version = u16::try_from(number).ok().map(|number| (Library::Tonic, (0, number, 0)));
                assert_eq!(senders.get(Sender::Named(agent.as_bytes())), version);
            }
            assert!(senders.recent.len() <= RECENT);
        }
        assert_eq!(senders.get(Sender::Volo).map(|(library, _)| library), Some(Library::Volo));
    }
}
