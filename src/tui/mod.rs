//! The terminal interface: what `rpcscope FILE` and `rpcscope -i any` open.
//!
//! The analysis sends [`Update`]s over a bounded channel and never waits for the interface; the interface drains the
//! channel and never waits for the analysis.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`state`] | holds everything that is shown; only updates, keys, mouse and ticks change it |
//! | [`views`] | one file for each list that fills the screen: its rows, what they mean, where they lead |
//! | [`render`] | draws a [`state::State`] and changes nothing |
//! | [`app`] | owns the terminal and runs the event loop |
//!
//! [`keys`] is the one table of what a key does, [`commands`] that of what `:` takes; footer and help page are made from them.

mod app;
mod columns;
mod commands;
mod figures;
mod keys;
mod logged;
mod names;
mod needle;
mod packets;
mod render;
mod spark;
mod state;
mod store;
mod terminal;
mod theme;
mod timeline;
mod views;
mod worker;

use std::sync::Arc;

pub use app::{Shown, run};
pub use keys::Keys;
pub use logged::{Logged, LoggedCall, LoggedLine};
pub use packets::{BodyBatch, BodySource, CreateFile, DetailSource, Files, PacketExport, SaveConfig};
pub use theme::Colors;
pub use views::calls::cells::names as column_names;

use crate::calls::{Call, record::Connection};
use crate::chains::Chain;
use crate::filter::Named;
use crate::naming::NameBook;
use crate::payload::BodyDecoder;
use crate::sink::TimeFormat;
use crate::time::Timestamp;

/// What the analysis sends to the interface.
#[derive(Clone, Debug)]
pub enum Update {
    /// Calls that ended, in the order of the packets that decided them.
    Calls(Vec<Arc<Call>>),
    /// Connections in their current state, which replaces an earlier one.
    Connections(Vec<Connection>),
    /// Chains of calls, each of which is sent once.
    Chains(Vec<Chain>),
    /// How many of the calls are in a chain.
    Linking(Linking),
    /// The error lines of the logs beside the capture, all of them each time.
    Logged(Arc<Logged>),
    /// How much was read.
    Progress(Progress),
    /// A problem, in words: an input that can't be read, an interface that vanished.
    Trouble(String),
    /// Nothing more comes.
    Ended,
}

/// How far calls are linked to chains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Linking {
    /// Calls whose chain is known.
    pub linked: u64,
    /// All calls so far that are or will be linked.
    pub of: u64,
}

impl Linking {
    /// Whether some calls wait for their chain.
    #[must_use]
    pub fn is_working(self) -> bool {
        self.linked < self.of
    }
}

/// How much was read, and what was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read, and all bytes; `None` for live captures and growing files.
    pub read: Option<(u64, u64)>,
    /// Packets so far.
    pub packets: u64,
    /// Time of the newest packet.
    pub newest: Option<Timestamp>,
    /// Captured bytes so far.
    pub bytes: u64,
    /// Packets that the kernel, the interface or this program dropped.
    pub drops: u64,
    /// Gaps in TCP streams.
    pub gaps: u64,
    /// Packets that are missing in the file of `-w`.
    pub unwritten: u64,
    /// Older files of `-w` that were deleted or overwritten to make room.
    pub deleted: u64,
    /// Connections, calls and messages that were dropped at a bound or could not be decoded.
    pub shed: u64,
}

/// What the config file says of the interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// The colours; `None` if they follow the terminal.
    pub theme: Option<Colors>,
    /// The columns of Calls, of [`column_names`]; none means the usual ones.
    pub columns: Vec<String>,
    /// The column that sorts Calls, and whether the largest comes first, if that is said; `None` is the order of time.
    pub sort: Option<(String, Option<bool>)>,
    /// Filters that have a name.
    pub filters: Named,
    /// The keys of all actions.
    pub keys: Keys,
}

/// Options of the interface.
pub struct TuiOptions {
    /// File names or interfaces, for the title.
    pub source: String,
    /// The call filter at the start (`-Y`).
    pub filter: Option<String>,
    /// What the config file says, but for the colours.
    pub look: Look,
    /// Knows the names of fields of bodies; `None` if nothing describes them.
    pub decoder: Option<Arc<BodyDecoder>>,
    /// Where the bodies of calls come from.
    pub bodies: BodySource,
    /// Names of addresses from files.
    pub names: Option<Arc<NameBook>>,
    /// Logs are read beside the capture.
    pub has_logs: bool,
    /// Calls come without end, so that the newest are shown first; the calls of a file from its beginning.
    pub is_endless: bool,
    /// Another program writes what is read: it may be a live capture, and that program may write to the terminal too.
    pub is_piped: bool,
    /// Bytes of memory for calls. Above it the oldest ok calls are evicted first, failed ones last.
    pub max_memory: usize,
    /// The colours.
    pub colors: Colors,
    /// Those that follow the terminal, for `:theme auto`.
    pub usual_colors: Colors,
    /// The time format (`-t`).
    pub time: TimeFormat,
    /// Reads the bytes, fields and packets of a call; `None` where packets can't be read again.
    pub detail: Option<Box<dyn DetailSource>>,
    /// Writes the packets of calls; `None` where packets can't be read again.
    pub export: Option<PacketExport>,
    /// Creates the files of exports.
    pub files: Box<dyn Files>,
    /// Writes the config file.
    pub config: SaveConfig,
    /// Says a line after the terminal is restored.
    pub say: fn(&str),
}
