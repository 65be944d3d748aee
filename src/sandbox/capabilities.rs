//! The parts of root's power (capabilities(7)).

/// A capability that a process of this program may need while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Read every file and list every folder (`CAP_DAC_READ_SEARCH`).
    ReadAny,
    /// Write every file and folder (`CAP_DAC_OVERRIDE`).
    WriteAny,
    /// Look at the processes of all users (`CAP_SYS_PTRACE`).
    SeeProcesses,
}

/// Drops all capabilities of this thread but `kept`, of which it keeps those that it has.
#[cfg(target_os = "linux")]
pub(crate) fn keep_only(kept: &[Capability]) -> Result<(), String> {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let failed = |error| format!("capabilities can't be dropped: {error}");
    let wanted: CapabilitySet = kept
        .iter()
        .map(|capability| match capability {
            Capability::ReadAny => CapabilitySet::DAC_READ_SEARCH,
            Capability::WriteAny => CapabilitySet::DAC_OVERRIDE,
            Capability::SeeProcesses => CapabilitySet::SYS_PTRACE,
        })
        .collect();
    let left = capabilities(None).map_err(failed)?.permitted & wanted;
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(failed)
}

/// Calls `act` without the capabilities of this thread, which come back after it.
#[cfg(target_os = "linux")]
pub(crate) fn suspended<T>(act: impl FnOnce() -> T) -> T {
    use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
    let Ok(before) = capabilities(None) else { return act() };
    // To give up effective capabilities is always permitted, and so is to take back those that stay permitted.
    _ = set_capabilities(None, CapabilitySets { effective: CapabilitySet::empty(), ..before });
    let result = act();
    _ = set_capabilities(None, before);
    result
}

/// Other systems have no capabilities.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux can fail")]
pub(crate) fn keep_only(_: &[Capability]) -> Result<(), String> {
    Ok(())
}
