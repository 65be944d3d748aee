//! The names of one file, by address.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::address::{Pattern, masked};
use crate::calls::record::{Name, Named};
use crate::decode::Endpoint;

/// Most addresses of a file that have names: a cluster of 5,000 hosts with 50 pods each.
pub(super) const MAX_ADDRESSES: usize = 250_000;

/// Longest name in bytes: a name of DNS (253) after a namespace.
pub(super) const MAX_NAME: usize = 512;

/// Most places of a file that are remembered because something is wrong there.
const MAX_FAULTS: usize = 5;

/// How exactly an address is named; more is longer.
type Exactness = u8;

/// An address and its port. Addresses have up to 128 bits.
const WITH_PORT: Exactness = 129;

/// The names of one file.
#[derive(Debug, Default)]
pub(super) struct Table {
    ports: HashMap<(IpAddr, u16), Option<Arc<Named>>>,
    addresses: HashMap<IpAddr, Option<Arc<Named>>>,
    networks: HashMap<(IpAddr, u8), Option<Arc<Named>>>,
    /// Lengths of the networks, the longest first.
    lengths: Vec<u8>,
    /// Pods by their uid.
    pods: HashMap<Name, Arc<Named>>,
}

impl Table {
    /// How many addresses have a name.
    pub(super) fn len(&self) -> usize {
        let named = |entries: &mut dyn Iterator<Item = &Option<Arc<Named>>>| {
            entries.filter(|one| one.is_some()).count()
        };
        named(&mut self.ports.values())
            + named(&mut self.addresses.values())
            + named(&mut self.networks.values())
    }

    /// The names of an address, and how exactly it is named: with its port, alone, or by the longest network that holds it.
    pub(super) fn find(&self, end: Endpoint) -> Option<(Exactness, &Arc<Named>)> {
        if let Some(Some(named)) = self.ports.get(&(end.ip, end.port)) {
            return Some((WITH_PORT, named));
        }
        if let Some(Some(named)) = self.addresses.get(&end.ip) {
            return Some((WITH_PORT - 1, named));
        }
        self.lengths.iter().find_map(|length| {
            let named = self.networks.get(&(masked(end.ip, *length), *length))?.as_ref()?;
            Some((*length, named))
        })
    }

    /// The names of a pod.
    pub(super) fn pod(&self, uid: &str) -> Option<&Arc<Named>> {
        self.pods.get(uid)
    }
}

/// Something of a file that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where: `line 7`, `item 3 (Pod shop/order-1)`.
    pub(super) place: String,
    /// What is wrong, and what to do.
    pub(super) what: String,
}

/// Makes the table of a file.
#[derive(Debug, Default)]
pub(super) struct Builder {
    table: Table,
    texts: HashSet<Name>,
    faults: Vec<Fault>,
    more_faults: u64,
}

impl Builder {
    /// Notes what is left out.
    pub(super) fn fault(&mut self, place: impl Into<String>, what: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { place: place.into(), what: what.into() });
        } else {
            self.more_faults += 1;
        }
    }

    /// A name; equal ones share their memory. `None` if it is empty, or longer than names are.
    pub(super) fn name(&mut self, text: &str) -> Option<Name> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_NAME {
            return None;
        }
        Some(self.shared(text))
    }

    /// The text as it is; equal ones share their memory.
    pub(super) fn shared(&mut self, text: &str) -> Name {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let shared: Name = text.into();
        self.texts.insert(Arc::clone(&shared));
        shared
    }

    /// Names an address. If it has other names already, it has none from here on, because either may be wrong.
    pub(super) fn add(&mut self, pattern: Pattern, named: Named, place: &str) {
        let is_same = |known: &Option<Arc<Named>>| known.as_deref().is_none_or(|known| *known == named);
        let Some(entry) = self.entry(pattern) else {
            self.fault(place, format!("is beyond the most addresses that can have names ({MAX_ADDRESSES})"));
            return;
        };
        match entry {
            Slot::New(slot) => *slot = Some(Arc::new(named)),
            Slot::Known(known) if is_same(known) => {}
            Slot::Known(known) => {
                let other = known.take().map(|known| known.to_string()).unwrap_or_default();
                self.fault(
                    place,
                    format!("names an address {named} that is {other} elsewhere in the file; it has no name"),
                );
            }
        }
    }

    /// Names an address unless it has a name already.
    pub(super) fn add_first(&mut self, pattern: Pattern, named: Named, place: &str) {
        match self.entry(pattern) {
            Some(Slot::New(slot)) => *slot = Some(Arc::new(named)),
            Some(Slot::Known(_)) => {}
            None => self
                .fault(place, format!("is beyond the most addresses that can have names ({MAX_ADDRESSES})")),
        }
    }

    /// Names a pod by its uid.
    pub(super) fn add_pod(&mut self, uid: &str, named: Named) {
        if self.table.pods.len() < MAX_ADDRESSES
            && let Some(uid) = self.name(uid)
        {
            self.table.pods.insert(uid, Arc::new(named));
        }
    }

    /// The place of an address; `None` if there is no room for it.
    fn entry(&mut self, pattern: Pattern) -> Option<Slot<'_>> {
        let Table { ports, addresses, networks, lengths, .. } = &mut self.table;
        let has_room = ports.len() + addresses.len() + networks.len() < MAX_ADDRESSES;
        match pattern {
            Pattern::Port(ip, port) => slot(ports.entry((ip, port)), has_room),
            Pattern::Ip(ip) => slot(addresses.entry(ip), has_room),
            Pattern::Network(ip, length) => {
                let slot = slot(networks.entry((ip, length)), has_room)?;
                if let Err(at) = lengths.binary_search_by(|known| length.cmp(known)) {
                    lengths.insert(at, length);
                }
                Some(slot)
            }
        }
    }

    /// The table, and what was left out, in lines.
    pub(super) fn finish(self) -> (Table, Vec<String>) {
        let mut said: Vec<String> =
            self.faults.into_iter().map(|Fault { place, what }| format!("{place}: {what}")).collect();
        if self.more_faults > 0 {
            said.push(format!("{} more faults like these", self.more_faults));
        }
        (self.table, said)
    }

    /// Whether nothing has a name and something is wrong.
    pub(super) fn has_only_faults(&self) -> bool {
        !self.faults.is_empty() && self.table.len() == 0
    }
}

/// The place of an address.
enum Slot<'t> {
    New(&'t mut Option<Arc<Named>>),
    /// `None`: it is named in several ways.
    Known(&'t mut Option<Arc<Named>>),
}

fn slot<K: std::hash::Hash, S: std::hash::BuildHasher>(
    entry: Entry<'_, K, Option<Arc<Named>>, S>,
    has_room: bool,
) -> Option<Slot<'_>> {
    match entry {
        Entry::Occupied(known) => Some(Slot::Known(known.into_mut())),
        Entry::Vacant(vacant) => has_room.then(|| Slot::New(vacant.insert(None))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Named {
        Named { name: Some(name.into()), ..Named::default() }
    }

    fn table(rows: &[(&str, &str)]) -> (Table, Vec<String>) {
        let mut builder = Builder::default();
        for (number, (address, name)) in rows.iter().enumerate() {
            builder.add(Pattern::parse(address).unwrap(), named(name), &format!("line {}", number + 1));
        }
        builder.finish()
    }

    fn found(table: &Table, end: &str) -> Option<String> {
        let end: std::net::SocketAddr = end.parse().unwrap();
        table.find(Endpoint { ip: end.ip(), port: end.port() }).map(|(_, named)| named.to_string())
    }

    #[test]
    fn the_longest_match_wins() {
        let (table, faults) = table(&[
            ("0.0.0.0/0", "world"),
            ("10.0.0.0/8", "inside"),
            ("10.1.0.0/16", "shop"),
            ("10.1.2.3", "order"),
            ("10.1.2.3:80", "order-web"),
            ("fd00::/16", "six"),
        ]);
        assert!(faults.is_empty());
        for (end, name) in [
            ("10.1.2.3:80", Some("order-web")),
            ("10.1.2.3:81", Some("order")),
            ("10.1.9.9:80", Some("shop")),
            ("10.9.9.9:80", Some("inside")),
            ("9.9.9.9:80", Some("world")),
            ("[fd00::1]:80", Some("six")),
            ("[fd01::1]:80", None),
        ] {
            assert_eq!(found(&table, end).as_deref(), name, "{end}");
        }
    }

    #[test]
    fn an_address_with_two_names_has_none_and_that_is_said() {
        let (table, faults) =
            table(&[("10.0.0.1", "a"), ("10.0.0.2", "b"), ("10.0.0.1", "c"), ("10.0.0.1", "a")]);
        assert_eq!((found(&table, "10.0.0.1:1"), table.len()), (None, 1));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].starts_with("line 3: ") && faults[0].contains("c that is a"), "{faults:?}");
    }

    #[test]
    fn names_and_addresses_are_bounded() {
        let mut builder = Builder::default();
        assert_eq!((builder.name(&"x".repeat(MAX_NAME + 1)), builder.name(" ")), (None, None));
        for number in 0..=MAX_ADDRESSES as u32 {
            builder.add(Pattern::Ip(IpAddr::V4(number.into())), named("x"), "line");
        }
        let (table, faults) = builder.finish();
        assert_eq!((table.len(), faults.len()), (MAX_ADDRESSES, 1));
    }
}
