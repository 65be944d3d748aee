//! Outputs of logs beside a capture: each is a small file behind [`LogSink`]. [`LogFormat`] is the table of them.

mod jsonl;
mod text;

use std::io;

use clap::ValueEnum;

use super::{Appearance, RecordWriter};
use crate::logs::report::{Homeless, Silent, Story, Summary};

pub use jsonl::LogLines;
pub use text::LogText;

/// Receives what logs and calls tell, in this order, and again if more comes.
pub trait LogSink {
    /// Calls and the lines that are about them.
    fn story(&mut self, story: &Story) -> io::Result<()>;

    /// Lines that are about no call of the capture.
    fn homeless(&mut self, lines: &Homeless) -> io::Result<()>;

    /// Failed calls that no line mentions.
    fn silent(&mut self, calls: &Silent) -> io::Result<()>;

    /// Sums, once.
    fn summary(&mut self, summary: &Summary) -> io::Result<()>;

    /// Called about twice a second: complete records should be written out.
    fn tick(&mut self) -> io::Result<()>;

    /// The end. Called once.
    fn finish(&mut self) -> io::Result<()>;
}

/// The formats of logs. A new format needs its own file and its lines here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line: log-line, log-unmentioned, and at the end log-summary.
    Jsonl,
}

impl LogFormat {
    /// The sink of this format.
    #[must_use]
    pub fn open(self, out: RecordWriter, look: &Appearance) -> Box<dyn LogSink> {
        match self {
            Self::Text => Box::new(LogText::new(out, look)),
            Self::Jsonl => Box::new(LogLines::new(out)),
        }
    }
}
