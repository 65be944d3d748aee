//! System calls are not filtered here.

/// What the process does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    /// Parses packets.
    Analysis,
    /// Creates files whose names the user types ([`crate::helper`]).
    Creating,
    /// Reads `/proc` and writes no file.
    Reading,
}

/// What descriptors may be used for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open;

impl From<&super::Rules> for Open {
    fn from(_: &super::Rules) -> Self {
        Self
    }
}

#[expect(clippy::unnecessary_wraps, reason = "other architectures can fail")]
pub(crate) fn restrict(_: Role, _: Open) -> Result<bool, String> {
    Ok(false)
}

pub(crate) fn is_available() -> bool {
    false
}
