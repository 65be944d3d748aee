//! Privileges for capturing: which are missing, how to grant them, and how to drop them.

use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, setgid, setuid};

use crate::sandbox::{Capability, capabilities};

/// A message that names the missing privilege and the command that grants it.
pub(super) fn missing(interface: &str, libpcap: &str) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rpcscope"));
    let program = program.display();
    let reason = if cfg!(target_os = "linux") {
        if is_root() {
            "root lacks the capability CAP_NET_RAW here: add it to the container (`--cap-add NET_RAW`)".into()
        } else {
            format!(
                "this needs the capability CAP_NET_RAW. Grant it to the program once:\n  \
                 sudo setcap cap_net_raw,cap_net_admin=eip {program}\nor run it with sudo"
            )
        }
    } else {
        "this needs access to /dev/bpf*. Grant it until the next start of the system:\n  \
         sudo chown \"$USER\" /dev/bpf*\nor run the program with sudo. Wireshark's ChmodBPF grants it for good, to the \
         group access_bpf"
            .into()
    };
    format!("{interface}: capturing is not permitted ({libpcap}): {reason}")
}

/// The user who takes over from root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    uid: Uid,
    gid: Gid,
    name: String,
}

impl Successor {
    /// A user by number.
    #[must_use]
    pub fn numbered(uid: u32, gid: u32) -> Self {
        Self { uid: Uid::from_raw(uid), gid: Gid::from_raw(gid), name: format!("user {uid}") }
    }

    /// The name of the user.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of the user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.uid.as_raw()
    }

    /// The number of the user's group.
    #[must_use]
    pub fn gid(&self) -> u32 {
        self.gid.as_raw()
    }

    /// Makes the user the owner of this process, for good. Of root's capabilities, only `keep` stay. Call this before any
    /// thread starts.
    pub fn take_over(&self, keep: &[Capability]) -> Result<(), String> {
        #[cfg(target_os = "linux")]
        rustix::thread::set_keep_capabilities(!keep.is_empty())
            .map_err(|error| format!("capabilities can't be kept: {error}"))?;
        let denied = |error| format!("can't become {}: {error}", self.name);
        supplementary_groups(self.gid).map_err(denied)?;
        setgid(self.gid).map_err(denied)?;
        setuid(self.uid).map_err(denied)?;
        if setuid(Uid::from_raw(0)).is_ok() {
            return Err(format!("root privileges were not dropped: {} can still become root", self.name));
        }
        capabilities::keep_only(keep)
    }
}

/// The user to whom root hands over: `user` (a name or a number) or the user who called sudo. `None` if this is not root, or if
/// there is nobody.
pub fn successor(user: Option<&str>) -> Result<Option<Successor>, String> {
    if !is_root() {
        return match user {
            Some(user) => Err(format!("only root can become {user} (-Z)")),
            None => Ok(None),
        };
    }
    let invoker = std::env::var("SUDO_UID").ok();
    let Some(user) = user.or(invoker.as_deref()) else { return Ok(None) };
    let found = match user.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(user),
    };
    match found {
        Ok(Some(found)) if found.uid.is_root() => Ok(None),
        Ok(Some(User { uid, gid, name, .. })) => Ok(Some(Successor { uid, gid, name })),
        Ok(None) => Err(format!("there is no user {user}")),
        Err(error) => Err(format!("the user {user} can't be looked up: {error}")),
    }
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[cfg(not(target_vendor = "apple"))]
fn supplementary_groups(group: Gid) -> nix::Result<()> {
    nix::unistd::setgroups(&[group])
}

/// macOS looks up groups by user id and has no list to set.
#[cfg(target_vendor = "apple")]
fn supplementary_groups(_: Gid) -> nix::Result<()> {
    Ok(())
}
