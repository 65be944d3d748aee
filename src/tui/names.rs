//! Names of addresses, learned from calls and read from files: people know `order`, not `10.77.0.12:8888`.

use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::calls::Call;
use crate::calls::record::{Initiator, Name};
use crate::decode::Endpoint;
use crate::naming::NameBook;

/// The most addresses whose names are kept.
const LIMIT: usize = 65_536;

/// What is known about an address.
#[derive(Clone, Debug)]
enum Known {
    /// All calls agree on this name.
    One(Name),
    /// Several services share the address (loopback, address translation), so it has no name.
    Several,
}

/// Names learned so far.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Names from files, for what no call names.
    pub(super) files: Option<Arc<NameBook>>,
    hosts: HashMap<IpAddr, Known>,
    servers: HashMap<Endpoint, Known>,
}

impl Names {
    /// Learns the names in the headers of a call.
    pub(super) fn learn(&mut self, call: &Call) {
        if let Some(caller) = &call.caller {
            learn(&mut self.hosts, call.caller_address().ip, caller);
        }
        if let Some(callee) = &call.callee {
            learn(&mut self.servers, call.server, callee);
            learn(&mut self.hosts, call.server.ip, callee);
        }
    }

    /// The caller: its name if known, else its address.
    pub(super) fn client(&self, call: &Call) -> String {
        self.client_name(call).map_or_else(|| call.caller_address().to_string(), str::to_owned)
    }

    /// The name of the caller.
    pub(super) fn client_name<'n>(&'n self, call: &'n Call) -> Option<&'n str> {
        let of_process = || call.process(Initiator::Client).map(|process| &*process.name);
        let named = call.caller.as_deref().or_else(|| of_file(call, Initiator::Client)).or_else(of_process);
        named.or_else(|| match self.hosts.get(&call.caller_address().ip) {
            Some(Known::One(name)) => Some(name),
            _ => None,
        })
    }

    /// The callee: its name if known, else its address. The port stays, because one service may use several.
    pub(super) fn server(&self, call: &Call) -> String {
        with_port(self.server_name(call), &call.server)
    }

    /// The name of the callee.
    pub(super) fn server_name<'n>(&'n self, call: &'n Call) -> Option<&'n str> {
        let of_process = || call.process(Initiator::Server).map(|process| &*process.name);
        let named = call.callee.as_deref().or_else(|| of_file(call, Initiator::Server)).or_else(of_process);
        named.or_else(|| self.address_name(&call.server))
    }

    /// An address of a server, with its name if known.
    pub(super) fn address(&self, endpoint: &Endpoint) -> String {
        match self.address_name(endpoint) {
            Some(name) => with_port(Some(name), endpoint),
            None => self.file_address(endpoint),
        }
    }

    /// An address with its name in a file if it has one there.
    pub(super) fn file_address(&self, endpoint: &Endpoint) -> String {
        let named = self.files.as_ref().and_then(|files| files.find(*endpoint));
        with_port(named.as_ref().and_then(|named| named.best()).map(|name| &**name), endpoint)
    }

    fn address_name(&self, endpoint: &Endpoint) -> Option<&str> {
        match self.servers.get(endpoint) {
            Some(Known::One(name)) => Some(name),
            Some(Known::Several) => None,
            None => match self.hosts.get(&endpoint.ip) {
                Some(Known::One(name)) => Some(name),
                _ => None,
            },
        }
    }
}

fn of_file(call: &Call, end: Initiator) -> Option<&str> {
    call.file_name(end).map(|name| &**name)
}

fn with_port(name: Option<&str>, endpoint: &Endpoint) -> String {
    name.map_or_else(|| endpoint.to_string(), |name| format!("{name}:{}", endpoint.port))
}

fn learn<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Known>, key: K, name: &Name) {
    if name.is_empty() {
        return;
    }
    let room = map.len() < LIMIT;
    match map.get_mut(&key) {
        Some(Known::One(known)) if known == name => {}
        Some(known) => *known = Known::Several,
        None if room => _ = map.insert(key, Known::One(Name::clone(name))),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::state::testing::call;

    #[test]
    fn names_come_from_headers_and_only_where_they_are_plain() {
        let mut names = Names::default();
        let mut first = call(1);
        first.client = "10.0.0.1:40000".parse::<std::net::SocketAddr>().map(endpoint).unwrap();
        first.server = "10.0.0.2:8888".parse::<std::net::SocketAddr>().map(endpoint).unwrap();
        first.caller = Some("web".into());
        first.callee = None;
        names.learn(&first);
        first.caller = None;
        assert_eq!(names.client(&first), "web", "learned from the call before");
        assert_eq!(names.server(&first), "10.0.0.2:8888");
        let mut below = call(2);
        below.client = Endpoint { ip: first.server.ip, port: 41000 };
        below.caller = Some("order".into());
        below.callee = None;
        names.learn(&below);
        assert_eq!(names.server(&first), "order:8888", "whoever calls from there also serves there");
        below.caller = Some("stock".into());
        names.learn(&below);
        assert_eq!(names.server(&first), "10.0.0.2:8888", "two names at one address: neither is used");
    }

    #[test]
    fn names_of_files_come_after_those_of_the_wire() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names");
        std::fs::write(&path, "10.0.0.2 order.shop\n10.0.0.1 web.shop\n").unwrap();
        let book = NameBook::read(&[path]).unwrap();
        let [client, server] = ["10.0.0.1:40000", "10.0.0.2:8888"]
            .map(|text| text.parse::<std::net::SocketAddr>().map(endpoint).unwrap());
        let mut named = Call { client, server, caller: None, callee: None, ..call(1) };
        book.name(&mut named);
        let mut names = Names { files: Some(Arc::new(book)), ..Names::default() };
        assert_eq!(
            (names.client(&named), names.server(&named)),
            ("web.shop".into(), "order.shop:8888".into())
        );
        assert_eq!(names.address(&server), "order.shop:8888", "of a connection without calls");
        assert_eq!(names.file_address(&client), "web.shop:40000");
        named.callee = Some("orders".into());
        names.learn(&named);
        assert_eq!(names.server(&named), "orders:8888");
        assert_eq!(names.address(&server), "orders:8888");
    }

    fn endpoint(address: std::net::SocketAddr) -> Endpoint {
        Endpoint { ip: address.ip(), port: address.port() }
    }
}
