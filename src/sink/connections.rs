//! What the records of calls of one connection have in common, written once.

use std::net::IpAddr;

use rpcscope_parsers::{Rpc, Transport};

use super::json::Room;
use crate::calls::join_key::Hashed;
use crate::calls::record::Call;
use crate::decode::{Endpoint, Network};
use crate::digits;

/// Connections remembered, each at a place that the caller's address and port choose: most calls of a busy capture come from a few
/// connections.
const REMEMBERED: usize = 512;

/// Longest text of the keys that calls of a connection share, in whole words: two addresses, the longest names of carrier and protocol.
const SHARED_ROOM: usize = 192;

/// The connections whose calls were written last.
#[derive(Clone, Debug, Default)]
pub struct Connections(Vec<Remembered>);

/// A connection.
#[derive(Clone, Debug)]
pub struct Remembered {
    /// None so far, or the network and the ends of this one.
    ends: Option<(Network, [Endpoint; 2])>,
    hashed: Hashed,
    /// Its key in digits.
    key: [u8; 32],
    /// What carries its calls, and their protocol.
    carries: (Transport, Rpc),
    /// The keys that its calls share; empty if they are not known.
    shared: [u8; SHARED_ROOM],
    len: u8,
}

impl Remembered {
    fn new() -> Self {
        let nobody = Endpoint { ip: std::net::Ipv4Addr::UNSPECIFIED.into(), port: 0 };
        Self {
            ends: None,
            hashed: Hashed::of(Network::Tcp, [nobody; 2]),
            key: [0; 32],
            carries: (Transport::Other(""), Rpc::Other("")),
            shared: [0; SHARED_ROOM],
            len: 0,
        }
    }

    /// What is hashed of it.
    pub fn hashed(&mut self) -> &mut Hashed {
        &mut self.hashed
    }

    /// Its key in digits.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// The keys that the call shares with others of its connection, as far as they were remembered: the first of these octets.
    #[inline]
    pub fn shared(&self, call: &Call) -> Option<(&[u8; SHARED_ROOM], usize)> {
        let is_it = self.len > 0 && self.carries == (call.transport, call.rpc) && call.via.is_none();
        is_it.then_some((&self.shared, self.len.into()))
    }

    /// Remembers these keys of a call without a prelude as `write` writes them, if they fit.
    pub fn share(&mut self, call: &Call, write: impl FnOnce(Room<'_>) -> Room<'_>) {
        let left = write(Room::of(&mut self.shared)).left();
        self.len = if left > 0 { (SHARED_ROOM - left) as u8 } else { 0 };
        self.carries = (call.transport, call.rpc);
    }

    #[inline(never)]
    fn remember(&mut self, network: Network, ends: [Endpoint; 2]) {
        self.ends = Some((network, ends));
        self.hashed = Hashed::of(network, ends);
        digits::hexadecimal(&self.hashed.connection_key().number().to_be_bytes(), &mut self.key);
        self.len = 0;
    }
}

/// Where the connection of a caller stands among those remembered.
#[inline]
fn place(endpoint: Endpoint) -> usize {
    let ip = match endpoint.ip {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => ip.to_bits() as u32,
    };
    let mixed = (ip ^ u32::from(endpoint.port)).wrapping_mul(0x9e37_79b9);
    (mixed >> 16) as usize % REMEMBERED
}

impl Connections {
    /// With room for many.
    pub fn lasting() -> Self {
        Self(vec![Remembered::new(); REMEMBERED])
    }

    /// The connection of a call; `None` if nothing is remembered here.
    #[inline]
    pub fn of(&mut self, call: &Call) -> Option<&mut Remembered> {
        let remembered = self.0.get_mut(place(call.client))?;
        let is_it = matches!(&remembered.ends, Some((network, [client, server]))
            if *network == call.network && *client == call.client && *server == call.server);
        if !is_it {
            remembered.remember(call.network, [call.client, call.server]);
        }
        Some(remembered)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::jsonl::CallFields;
    use super::super::jsonl::tests::assert_written_alike;
    use crate::calls::record::{Call, Via};
    use crate::calls::sample;
    use crate::decode::{Endpoint, Network};
    use rpcscope_parsers::{Rpc, Transport};

    /// What is remembered of connections changes no record, whatever else comes on the same one.
    #[test]
    fn records_are_the_same_without_memory() {
        let client = |port| Endpoint { ip: "10.0.0.2".parse().unwrap(), port };
        let changes: [fn(&mut Call); 8] = [
            |_| {},
            |call| call.positions[0] = Some(7),
            |call| (call.rpc, call.transport) = (Rpc::Grpc, Transport::Http2),
            |call| call.network = Network::Udp,
            |call| {
                call.rpc =
                    Rpc::Other("a protocol whose name is longer than what is remembered of a connection");
            },
            |call| {
                let client = Some(Endpoint { ip: "192.0.2.1".parse().unwrap(), port: 9 });
                call.via = Some(Arc::new(Via { client, addresses: vec!["192.0.2.1:9".into()] }));
            },
            |call| call.via = Some(Arc::default()),
            |call| call.server.ip = "2001:db8::1".parse().unwrap(),
        ];
        let mut fields = CallFields::default();
        for change in changes.iter().chain(&changes).chain(changes.iter().rev()) {
            for port in [40_000, 40_001, 65_535] {
                let mut call = sample::ok();
                call.client = client(port);
                change(&mut call);
                assert_written_alike(&mut fields, &call);
            }
        }
    }
}
