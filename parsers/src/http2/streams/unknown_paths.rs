//! Requests whose path stands in a table entry from before the capture: what is known of it all the same.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::super::grpc;
use super::super::hpack::{EntryId, List};
use super::super::known::Name;

/// The most unknown paths that get a number.
const GROUPS_LIMIT: usize = 4096;

/// What Kitex' `destination-method` is on a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum DestinationMethod {
    /// The method of the path, as far as was seen.
    #[default]
    OfPath,
    /// Something else: somebody passes on the headers of his own caller.
    OfAnother,
}

/// The unknown paths of a connection.
#[derive(Debug, Default)]
pub(super) struct UnknownPaths {
    /// By the entries that may hold the path: the path's number.
    groups: HashMap<SmallVec<[EntryId; 4]>, u64>,
    /// The highest number given so far.
    given: u64,
    destination_method: DestinationMethod,
}

impl UnknownPaths {
    /// Learns from a request whose path is known.
    pub(super) fn learn(&mut self, list: List<'_>, method: &[u8]) {
        if list.get(Name::DestinationMethod).is_some_and(|named| named != method) {
            self.destination_method = DestinationMethod::OfAnother;
        }
    }

    /// The method of a request whose path is not known.
    pub(super) fn method<'a>(&self, list: List<'a>) -> Option<&'a [u8]> {
        match self.destination_method {
            DestinationMethod::OfPath => list.get(Name::DestinationMethod),
            DestinationMethod::OfAnother => None,
        }
    }

    /// The number of a path that can't be read.
    ///
    /// Pseudo-header fields come first (RFC 9113, section 8.3). So the path is among the first entries that can't be read,
    /// of which there are at most as many as there are pseudo-headers missing; requests that refer to the same such
    /// entries have the same path. Numbers are given in order, because those of the entries are of no use to a person.
    pub(super) fn number(&mut self, list: List<'_>) -> Option<u64> {
        let pseudo = [Name::Method, Name::Scheme, Name::Authority];
        let missing = pseudo.into_iter().filter(|name| list.get(*name).is_none()).count();
        let key = list.unread(1 + missing)?;
        if key.is_empty() || (self.groups.len() >= GROUPS_LIMIT && !self.groups.contains_key(&key)) {
            return None;
        }
        if let Some(number) = self.groups.get(&key) {
            return Some(*number);
        }
        // One entry alone is the path itself: among several it was the path too, since an entry has one name.
        let same = match key.as_slice() {
            [path] => self
                .groups
                .iter()
                .filter(|(several, _)| several.contains(path))
                .map(|(_, number)| *number)
                .min(),
            _ => None,
        };
        let number = same.unwrap_or(self.given + 1);
        self.given = self.given.max(number);
        self.groups.insert(key, number);
        Some(number)
    }

    /// Service and method of a request, as far as they are known, and the number of its path if that can't be read.
    pub(super) fn names<'a>(&mut self, list: List<'a>) -> (Option<&'a [u8]>, Option<&'a [u8]>, Option<u64>) {
        match list.get(Name::Path).map(grpc::parse_path) {
            Some((service, method)) => {
                self.learn(list, method);
                (service, Some(method), None)
            }
            None => (None, self.method(list), self.number(list)),
        }
    }
}
