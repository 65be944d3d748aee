//! Classes: what each means, and how each looks.

use anstyle::AnsiColor;

use super::record::table;

/// A class in words and signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassRow {
    /// The sign where colour is not enough; a space for ok.
    pub letter: char,
    /// The name for people.
    pub label: &'static str,
    /// One of the sixteen colours, which every terminal adapts to its background; the default colour for ok.
    pub color: Option<AnsiColor>,
    /// What it means.
    pub meaning: &'static str,
    /// What to look at first.
    pub look: &'static str,
}

table! {
    /// What became of a call.
    Class: ClassRow {
        /// Answered, no error.
        Ok = "ok" {
            letter: ' ',
            label: "ok",
            color: None,
            meaning: "Answered, without an error.",
            look: "Nothing.",
        },
        /// The RPC went well and the callee's business logic answered no.
        Business = "business" {
            letter: 'B',
            label: "business error",
            color: Some(AnsiColor::Yellow),
            meaning: "The RPC worked, and the callee's business logic refused.",
            look: "The code in the callee's own table.",
        },
        /// The framework failed.
        Rpc = "rpc" {
            letter: 'R',
            label: "RPC error",
            color: Some(AnsiColor::Red),
            meaning: "The framework failed: the call was not handled, or its failure was not sent as a business \
                error.",
            look: "The carrier and the code.",
        },
        /// The connection or stream broke before the answer.
        Transport = "transport" {
            letter: 'N',
            label: "broken connection",
            color: Some(AnsiColor::Magenta),
            meaning: "The connection or stream broke before the answer.",
            look: "`initiator`: who broke it.",
        },
        /// No answer within the capture.
        Unanswered = "unanswered" {
            letter: '?',
            label: "no answer",
            color: Some(AnsiColor::BrightBlack),
            meaning: "No answer came, and the connection was not closed within the capture.",
            look: "Whether the capture ends too early; otherwise the server, which may be stuck.",
        },
        /// No answer is expected.
        Oneway = "oneway" {
            letter: '1',
            label: "one-way",
            color: Some(AnsiColor::Blue),
            meaning: "No answer is expected.",
            look: "The findings: the callee may still answer with an error.",
        },
    }
}
