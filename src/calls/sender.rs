//! Which library sent a request.

use rpcscope_parsers::event::Sender;

use crate::codes::library::{Library, Version};

/// Longest `user-agent` that is read.
const AGENT_LIMIT: usize = 256;

/// What the last `user-agent` said: nearly every request of a capture has the same one as the request before.
#[derive(Debug, Default)]
pub(super) struct Senders {
    agent: Vec<u8>,
    known: Option<(Library, Version)>,
}

impl Senders {
    /// The library and its version (0.0.0 where the request does not show that); `None` if it is not known.
    pub(super) fn get(&mut self, sender: Sender<'_>) -> Option<(Library, Version)> {
        match sender {
            Sender::Kitex => Some((Library::Kitex, Version::default())),
            Sender::Volo => Some((Library::Volo, Version::default())),
            Sender::TrpcGo => Some((Library::TrpcGo, Version::default())),
            Sender::Named(agent) if agent == self.agent => self.known,
            Sender::Named(agent) => self.read(agent),
        }
    }

    #[cold]
    fn read(&mut self, agent: &[u8]) -> Option<(Library, Version)> {
        if agent.len() > AGENT_LIMIT {
            return None;
        }
        self.known = Library::of_user_agent(agent);
        self.agent.clear();
        self.agent.extend_from_slice(agent);
        self.known
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
        assert_eq!(senders.get(Sender::Volo).map(|(library, _)| library), Some(Library::Volo));
    }
}
