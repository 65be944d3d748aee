//! Whole logs beside a capture: which line is about which call, and what no line says.
//!
//! What a line carries and how it fits a call is decided in [`crate::explain`]; here logs are read, error lines chosen, times compared,
//! and lines and calls told together.
//!
//! | step | module |
//! | --- | --- |
//! | files, packed, growing | [`reader`] |
//! | places at which an error may stand | [`prefilter`], [`plain`] |
//! | lines, entries of several lines, their times | [`entries`], `head` |
//! | the calls that a log may be about | [`index`] |
//! | the error lines of all logs | [`book`] |
//! | how far the clock of a log is from the capture's | [`clock`] |
//! | which line is about which call | [`mod@assign`] |
//! | what the chain of a call says about it | [`background`] |
//! | what both tell together | [`report`] |
//! | `--from` and `--to` | [`window`] |
//!
//! ```text
//! log ─bytes▶ Scanner ─Entry▶ Book ─┐
//! capture ─Call▶ CallIndex ─────────┴▶ assign ─Told▶ report ─▶ Report
//! ```

pub mod assign;
pub mod background;
pub mod book;
pub mod clock;
pub mod entries;
mod head;
pub mod index;
mod plain;
pub mod prefilter;
pub mod reader;
pub mod report;
pub mod window;

pub use assign::{Match, Told, assign};
pub use background::{Above, Background};
pub use book::{Book, Line, NoCall};
pub use clock::LogClock;
pub use entries::{Counts, Entry, Scanner};
pub use index::{CallIndex, Scene};
pub use prefilter::Prefilter;
pub use reader::Follower;

use crate::calls::Call;
use crate::explain::exceptions;

/// The texts by which lines are about a call: that of its error, and those in the fields of its exception.
fn texts_of(call: &Call) -> impl Iterator<Item = String> {
    call.outcome.message.iter().map(ToString::to_string).chain(exceptions::texts_of(call))
}
