//! What the process may still do while it parses packets, which anybody on the network may have written.
//!
//! [`enter`] takes rights away for good, and only before threads are started: new threads inherit what their parent has.
//!
//! | layer | takes away |
//! | --- | --- |
//! | `no_new_privs` | set-user-id programs and file capabilities |
//! | [`capabilities`] | what root may do beyond others, except what the files of the run need |
//! | Landlock (`paths`, Linux 5.13) | every file but those in [`Rules`]; TCP ports but those in them (Linux 6.7); signals to other processes (Linux 6.12) |
//! | seccomp (`syscalls`, Linux 3.17) | programs, processes, sockets (but TCP where [`Rules`] allow it), other processes' memory, mounts, modules and the like; sending on captures |
//!
//! A kernel without one of the layers leaves it out. What has to happen outside is done by small processes that were started
//! before ([`crate::helper`]).

pub mod capabilities;
#[cfg(target_os = "linux")]
pub(crate) mod paths;
#[cfg(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
))]
pub(crate) mod syscalls;
/// `seccompiler` knows no other architectures.
#[cfg(not(all(
    target_os = "linux",
    target_pointer_width = "64",
    any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")
)))]
#[path = "unfiltered.rs"]
pub(crate) mod syscalls;

use std::path::PathBuf;

pub use capabilities::Capability;

/// What stays allowed. Paths that don't exist are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Files, and folders with all that is in them, that may be read.
    pub read: Vec<PathBuf>,
    /// Folders in which files may be created, written, renamed and deleted, but not read.
    pub rotate: Vec<PathBuf>,
    /// Folders in which files and folders may be created, read, written, renamed within their folder, and deleted.
    pub fill: Vec<PathBuf>,
    /// Folders in which new files may be created, but nothing renamed or deleted.
    pub create: Vec<PathBuf>,
    /// Folders in which the names of files may be read, but no file.
    pub list: Vec<PathBuf>,
    /// Whether the terminal may be opened.
    pub terminal: bool,
    /// Capabilities that stay, if the process has them.
    pub keep: Vec<Capability>,
    /// From this number on, descriptors may only be read ([`crate::source::LiveSource::sealed_from`]).
    pub read_only_from: Option<u32>,
    /// TCP ports that may be connected to. Empty: no sockets at all.
    pub connect: Vec<u16>,
    /// The listening socket on which connections may be accepted.
    pub accept: Option<u32>,
}

/// What the kernel enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// The version of Landlock's interface, at most the newest that is used here; `None` without Landlock.
    pub landlock: Option<u32>,
    /// Whether system calls are filtered.
    pub seccomp: bool,
}

impl std::fmt::Display for InForce {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.landlock {
            Some(version) => write!(f, "files restricted (Landlock {version})")?,
            None => f.write_str("files not restricted (no Landlock)")?,
        }
        f.write_str(if self.seccomp {
            ", system calls filtered (seccomp)"
        } else {
            ", system calls not filtered (no seccomp)"
        })
    }
}

/// Gives up everything but `rules`. Returns what the kernel enforces.
///
/// # Errors
///
/// Says which layer failed although the kernel has it.
#[cfg(target_os = "linux")]
pub fn enter(rules: &Rules) -> Result<InForce, String> {
    forbid_new_privileges()?;
    capabilities::keep_only(&rules.keep)?;
    let landlock = paths::restrict(rules)?;
    let seccomp = syscalls::restrict(syscalls::Role::Analysis, rules.into())?;
    Ok(InForce { landlock, seccomp })
}

/// Other systems have no sandbox.
#[cfg(not(target_os = "linux"))]
pub fn enter(_: &Rules) -> Result<InForce, String> {
    Ok(InForce::default())
}

/// From now on, no program that this process starts has more rights than the process itself.
#[cfg(target_os = "linux")]
pub(crate) fn forbid_new_privileges() -> Result<(), String> {
    rustix::thread::set_no_new_privs(true).map_err(|error| format!("no_new_privs can't be set: {error}"))
}

/// Other systems have no such switch.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "Linux can fail")]
pub(crate) fn forbid_new_privileges() -> Result<(), String> {
    Ok(())
}

/// From now on, this process leaves no core dump, and only root may look into its memory: it is to hold secrets.
#[cfg(target_os = "linux")]
pub fn forbid_core_dumps() {
    // Cannot fail with a value that the kernel knows.
    _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Other systems have no such switch.
#[cfg(not(target_os = "linux"))]
pub fn forbid_core_dumps() {}

/// What the kernel of this machine can enforce.
#[must_use]
pub fn available() -> InForce {
    #[cfg(target_os = "linux")]
    let available = InForce { landlock: paths::available(), seccomp: syscalls::is_available() };
    #[cfg(not(target_os = "linux"))]
    let available = InForce::default();
    available
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[test]
    fn a_process_that_forbids_core_dumps_leaves_none() {
        use rustix::process::{DumpableBehavior, dumpable_behavior};
        super::forbid_core_dumps();
        assert_eq!(dumpable_behavior().ok(), Some(DumpableBehavior::NotDumpable));
    }
}
