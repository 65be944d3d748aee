//! What follows the opening of a stream.

use super::{Head, Headers};
use crate::layout::Layout;

/// Messages of a stream.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Part<'a> {
    /// Which stream, and where.
    pub head: Head,
    /// Names and values of its header.
    pub headers: Headers<'a>,
    /// How many messages end in it.
    pub messages: u32,
    /// Bytes of the sender are missing in which it may have ended the stream, or broken it off.
    pub end_lost: bool,
    /// The sender sends nothing more on the stream: no [`HalfClose`](super::HalfClose) follows.
    pub ends: bool,
    /// Nothing that was captured of the connection shows who called.
    pub unplaced: bool,
    /// What the sender's first message of the stream and its first field with a length are made of, where that was looked at.
    pub layouts: [Layout; 2],
}

impl Part<'_> {
    /// That many messages, and nothing else of note.
    #[must_use]
    pub fn new(head: Head, messages: u32) -> Self {
        Self {
            head,
            headers: None,
            messages,
            end_lost: false,
            ends: false,
            unplaced: false,
            layouts: [Layout::default(); 2],
        }
    }
}
