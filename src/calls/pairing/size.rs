//! How much memory a call takes beside its record.

use crate::calls::record::Call;

/// Bytes of what a call keeps of headers.
#[inline]
pub(super) fn metadata_size(call: &Call) -> usize {
    // Nearly always.
    if call.metadata.is_empty() && call.marks.is_none() { 0 } else { kept_size(call) }
}

#[inline(never)]
fn kept_size(call: &Call) -> usize {
    let marks = call.marks.as_ref().map_or(0, |marks| marks.size());
    call.metadata.iter().map(|(_, key, value)| PAIR + key.capacity() + value.capacity()).sum::<usize>()
        + marks
}

/// Bytes of the bodies that a call keeps.
#[inline]
pub(super) fn body_size(call: &Call) -> usize {
    call.bodies.as_ref().map_or(0, |bodies| bodies.size())
}

/// Memory of a header pair without its texts.
const PAIR: usize = size_of::<(bool, String, String)>() + 32;
