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
//! [`keys`] is the one table of what a key does; the footer and the help page are made from it.

mod app;
mod columns;
mod evidence;
mod figures;
mod keys;
mod names;
mod render;
mod spark;
mod state;
mod store;
mod template;
mod terminal;
mod theme;
mod views;

use std::sync::Arc;

pub use app::run;
pub use evidence::{DetailSource, PacketExport};
pub use theme::Colors;

use crate::calls::{Call, record::Connection};
use crate::chains::Chain;
use crate::sink::TimeFormat;

/// What the analysis tells the interface.
#[derive(Clone, Debug)]
pub enum Update {
    /// Calls that ended, in the order of the packets that decided them.
    Calls(Vec<Arc<Call>>),
    /// Connections as they stand now; one that was told before is replaced.
    Connections(Vec<Connection>),
    /// Chains of calls; one with the root of an earlier one takes its place.
    Chains(Vec<Chain>),
    /// Calls whose place in a chain is still being looked for.
    Linking(u64),
    /// How far the reading is.
    Progress(Progress),
    /// A line for people: an input that can't be read, an interface that vanished.
    Trouble(String),
    /// Nothing more comes.
    Ended,
}

/// How far the reading is and what was lost on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read of bytes in all; `None` for live captures and growing files.
    pub read: Option<(u64, u64)>,
    /// Packets so far.
    pub packets: u64,
    /// Captured bytes so far.
    pub bytes: u64,
    /// Packets that kernel, interface or program dropped.
    pub drops: u64,
    /// Holes in streams that were given up.
    pub gaps: u64,
    /// Packets that are missing in the file of `-w`.
    pub unwritten: u64,
}

/// How the interface starts.
pub struct TuiOptions {
    /// What is read: file names or interfaces, for the title.
    pub source: String,
    /// Call filter to begin with (`-Y`).
    pub filter: Option<String>,
    /// Bytes of memory that calls may take; above it the oldest ok calls go first, failed ones last.
    pub max_memory: usize,
    /// Which colours the terminal has.
    pub colors: Colors,
    /// How times are written (`-t`).
    pub time: TimeFormat,
    /// Makes bytes, fields and packets of a call; `None` where packets can't be read again.
    pub detail: Option<Box<dyn DetailSource>>,
    /// Writes the packets of calls; `None` where packets can't be read again.
    pub export: Option<PacketExport>,
}
