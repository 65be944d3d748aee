//! One direction of a connection: its stream cut into records.

use rpcscope_parsers::tls::{Handshakes, Head, Record, record};

use super::epoch::{Epochs, Fixed};
use crate::flow::Stamp;

/// Where in the stream the bytes of a packet begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) stamp: Stamp,
}

/// What follows in the stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Next<'a> {
    /// A whole record.
    Record(Record<'a>),
    /// Something that is no record: so many bytes of it are to be passed over.
    Skip(usize),
    /// Too few bytes to say.
    More,
}

/// One direction.
#[derive(Default)]
pub(super) struct Direction {
    /// Bytes that are no whole record yet, and where they begin in the stream.
    pub(super) buffer: Vec<u8>,
    pub(super) start: u64,
    /// The packets that they came in.
    pub(super) marks: Vec<Mark>,
    /// Bytes that were lost since the last record that was read.
    pub(super) lost: u64,
    /// Bytes of a record that is lost in part, still to come.
    pub(super) pass: u64,
    /// Nothing is known of where the next record begins.
    pub(super) is_out_of_step: bool,
    pub(super) handshakes: Handshakes,
    pub(super) epochs: Epochs,
    /// The keys of TLS 1.2.
    pub(super) fixed: Option<Fixed>,
    /// TLS 1.2: `change_cipher_spec` was sent.
    pub(super) is_protected: bool,
    /// Records that did not open since one did.
    pub(super) failures: u64,
    /// Nothing of it was lost so far.
    pub(super) is_whole: bool,
    /// A record was read.
    pub(super) has_records: bool,
    /// It has sent a protected record.
    pub(super) has_sealed: bool,
    /// Application data was read.
    pub(super) has_spoken: bool,
}

impl Direction {
    /// What `bytes`, which come next, begin with.
    pub(super) fn next<'a>(&self, bytes: &'a [u8]) -> Next<'a> {
        // A hello is where a stream begins, also if the beginning of the connection was not captured. Its record may say an older version.
        if self.is_out_of_step && (self.has_records || !record::begins_handshake(bytes)) {
            match record::find_head(bytes) {
                Ok(0) => {}
                Ok(at) => return Next::Skip(at),
                Err(short) if short == bytes.len() => return Next::More,
                Err(short) => return Next::Skip(bytes.len() - short),
            }
        }
        match Record::first(bytes) {
            Ok(Some(record)) => Next::Record(record),
            Ok(None) => Next::More,
            Err(_) => Next::Skip(1),
        }
    }

    /// Bytes of this direction were lost. Says whether application data may be among them.
    pub(super) fn lose(&mut self, bytes: u64) {
        self.handshakes.clear();
        self.is_whole = false;
        // The gap may end within the record that has begun: then the next one begins where that would have ended.
        let rest = match Head::read(&self.buffer) {
            Ok((_, head)) if !self.is_out_of_step => {
                (head.record_len() as u64).checked_sub(self.buffer.len() as u64 + bytes)
            }
            _ => None,
        };
        self.lost += self.buffer.len() as u64 + bytes;
        self.buffer.clear();
        self.marks.clear();
        self.pass = rest.unwrap_or(0);
        self.is_out_of_step = rest.is_none();
    }
}

/// The packet that brought the byte at `offset`.
pub(super) fn stamp_at(marks: &[Mark], offset: u64, otherwise: Stamp) -> Stamp {
    let after = marks.partition_point(|mark| mark.offset <= offset);
    after.checked_sub(1).and_then(|at| marks.get(at)).map_or(otherwise, |mark| mark.stamp)
}
