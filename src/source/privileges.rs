//! Privileges for capturing: which are missing, how to grant them, and how to drop them.

use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, setgid, setuid};

/// A message that names the missing privilege and the command that grants it.
pub(super) fn missing(interface: &str, libpcap: &str) -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("rpcscope"));
    let program = program.display();
    let reason = if cfg!(target_os = "linux") {
        if nix::unistd::geteuid().is_root() {
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

/// Drops root privileges: switches to `user` (a name or a number) or to the user who called sudo. Returns the user's name,
/// or `None` if there was nothing to drop or no user to switch to.
///
/// Call this when the interfaces are open and before any thread starts. If the privileges come from file capabilities, those
/// are dropped instead. There is no way back: a vanished interface can't be reopened, and the names of other users'
/// processes are unavailable.
pub fn relinquish(user: Option<&str>) -> Result<Option<String>, String> {
    if !nix::unistd::geteuid().is_root() {
        return match user {
            Some(user) => Err(format!("only root can become {user} (-Z)")),
            None => drop_capabilities().map(|()| None),
        };
    }
    let invoker = std::env::var("SUDO_UID").ok();
    let Some(user) = user.or(invoker.as_deref()) else { return Ok(None) };
    let found = match user.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(user),
    };
    let found = match found {
        Ok(Some(found)) => found,
        Ok(None) => return Err(format!("there is no user {user}")),
        Err(error) => return Err(format!("the user {user} can't be looked up: {error}")),
    };
    if found.uid.is_root() {
        return Ok(None);
    }
    let denied = |error| format!("can't become {}: {error}", found.name);
    supplementary_groups(found.gid).map_err(denied)?;
    setgid(found.gid).map_err(denied)?;
    setuid(found.uid).map_err(denied)?;
    if setuid(Uid::from_raw(0)).is_ok() {
        return Err(format!("root privileges were not dropped: {} can still become root", found.name));
    }
    Ok(Some(found.name))
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

#[cfg(target_os = "linux")]
fn drop_capabilities() -> Result<(), String> {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(|error| format!("capabilities can't be dropped: {error}"))
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "the other systems can fail")]
fn drop_capabilities() -> Result<(), String> {
    Ok(())
}
