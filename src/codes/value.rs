//! Error values of libraries, by the names that code, documents and dashboards have for them.

use super::library::Library;

/// What a monitor should count a call that ends with an error as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Counts {
    /// A failure of the RPC.
    Failure,
    /// A failure of the RPC at the caller's side: the callee is innocent, and mostly never saw the call.
    CallersFailure,
    /// A success with a business code.
    Business,
    /// What its cause counts as.
    Cause,
    /// Not at all.
    Nothing,
}

impl Counts {
    /// As a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Failure => "An RPC failure.",
            Self::CallersFailure => "An RPC failure of the caller's side; it says nothing about the callee.",
            Self::Business => "A success with a business code.",
            Self::Cause => "What its cause counts as.",
            Self::Nothing => "Nothing: it is no result of a call.",
        }
    }
}

/// An error value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorValue {
    /// The library.
    pub library: Library,
    /// Its name in code, without the package.
    pub name: &'static str,
    /// How it is printed.
    pub text: &'static str,
    /// The name of its basic type, where it has one.
    pub basic: Option<&'static str>,
    /// What the library's own checks say of it.
    pub checks: &'static str,
    /// Who raises it, and when.
    pub raised: &'static str,
    /// What it leaves on the wire.
    pub wire: &'static str,
    /// What a monitor should count it as.
    pub counts: Counts,
}
