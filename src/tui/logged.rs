//! Error lines of the logs beside the capture, and the calls that they are about.

use std::collections::HashMap;
use std::sync::Arc;

use crate::calls::{Call, Uid};
use crate::logs::NoCall;
use crate::time::Timestamp;

/// An error line.
#[derive(Clone, Debug)]
pub struct LoggedLine {
    /// The name of its log and the number of its first line: `app.log:31`.
    pub place: String,
    /// The whole of it; may hold control characters and line ends.
    pub text: String,
    /// Where the error begins in it, bytes.
    pub error_at: usize,
    /// Its time by the capture's clock, as far as that is known.
    pub time: Option<Timestamp>,
    /// What it is about.
    pub told: Result<LoggedCall, NoCall>,
}

impl LoggedLine {
    /// The text from its error on, in one line; may hold control characters.
    #[must_use]
    pub fn error(&self) -> String {
        let said = self.text.get(self.error_at..).unwrap_or(&self.text);
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// The call that a line is about.
#[derive(Clone, Debug)]
pub struct LoggedCall {
    /// The call.
    pub call: Arc<Call>,
    /// What of the line agrees with it, for people.
    pub why: Vec<String>,
    /// Other calls that the line may as well be about.
    pub others: usize,
}

/// All error lines that are held.
#[derive(Debug, Default)]
pub struct Logged {
    /// They, log by log.
    pub lines: Vec<LoggedLine>,
    /// The places of the lines of a call.
    by_call: HashMap<Uid, Vec<usize>>,
    /// Lines and calls that were left out at a bound.
    pub left_out: u64,
    /// What is wrong with the logs at present.
    pub troubles: Vec<String>,
    /// The logs were not read yet: that waits for the end of the capture.
    pub is_waiting: bool,
}

impl Logged {
    /// These lines, and what is wrong with the logs.
    #[must_use]
    pub fn new(lines: Vec<LoggedLine>, left_out: u64, troubles: Vec<String>) -> Self {
        let mut by_call: HashMap<Uid, Vec<usize>> = HashMap::new();
        for (at, line) in lines.iter().enumerate() {
            if let Ok(told) = &line.told {
                by_call.entry(told.call.uid).or_default().push(at);
            }
        }
        Self { lines, by_call, left_out, troubles, is_waiting: false }
    }

    /// What is known before a log was read.
    #[must_use]
    pub fn waiting() -> Self {
        Self { is_waiting: true, ..Self::default() }
    }

    /// The lines of a call, in the order of their logs.
    pub fn of(&self, call: Uid) -> impl Iterator<Item = &LoggedLine> {
        self.by_call.get(&call).into_iter().flatten().filter_map(|at| self.lines.get(*at))
    }

    /// Whether a line is about this call.
    #[must_use]
    pub fn has(&self, call: Uid) -> bool {
        self.by_call.contains_key(&call)
    }
}
