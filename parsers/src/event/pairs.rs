//! The header of a message, as whoever is interested in it reads it.

/// Names and values of a message's header, visited one after the other without being copied.
pub trait Pairs {
    /// Calls `each` with every key and value in the order of the wire. Numeric keys go by their standard name
    /// (`FromService`), unknown ones as decimal text.
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8]));

    /// Calls `each` with every field, also those of which a part can't be read because it was sent before the capture
    /// began. Nothing for headers that are always whole.
    fn each_field(&self, each: &mut dyn FnMut(Shown<'_>, Shown<'_>)) {
        _ = each;
    }
}

/// The name or the value of a header field, as far as it can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// Its octets.
    Text(&'a [u8]),
    /// Stands in a table entry from before the capture. Equal numbers on the same side of a connection are the same entry.
    Entry(u64),
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Pairs for Vec<(K, V)> {
    fn each(&self, each: &mut dyn FnMut(&[u8], &[u8])) {
        for (key, value) in self {
            each(key.as_ref(), value.as_ref());
        }
    }
}

/// The header of an event, where it has one.
pub type Headers<'a> = Option<&'a dyn Pairs>;
