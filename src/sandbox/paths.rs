//! Landlock: which files the process may still open, and to which TCP ports it may connect (<https://docs.kernel.org/userspace-api/landlock.html>).
//!
//! Files that are open already stay usable, so outputs are opened before and need no rule.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{FileType, fstat, fstatfs};

use super::Rules;

/// The newest version whose restrictions are used: control of devices came with 5, scopes with 6. Older kernels enforce what
/// they know.
const NEWEST: ABI = ABI::V6;
/// All versions up to it, the oldest first.
const VERSIONS: [ABI; 6] = [ABI::V1, ABI::V2, ABI::V3, ABI::V4, ABI::V5, ABI::V6];
/// Files whose content anybody may know and the program reads late: time zones, what the kernel says of this process, and random
/// numbers, which a crate of Parquet reads from there in a static program.
const HARMLESS: [&str; 6] =
    ["/etc/localtime", "/etc/timezone", "/usr/share/zoneinfo", "/proc/self", "/dev/random", "/dev/urandom"];
/// The terminal of this process, whatever its name.
const TERMINAL: &str = "/dev/tty";
/// Kernel filesystems for pipes and sockets (statfs(2)). Landlock leaves them alone and takes no rules for them.
const UNNAMED: [u64; 2] = [0x5049_5045, 0x534f_434b];

/// Allows this thread and its later children to open only what `rules` name. Returns the version in force, `None` without
/// Landlock.
pub(crate) fn restrict(rules: &Rules) -> Result<Option<u32>, String> {
    let version = available();
    if version.is_none() {
        return Ok(None);
    }
    let failed = |error: RulesetError| format!("files can't be restricted (Landlock): {error}");
    let status = ruleset(rules).and_then(RulesetCreated::restrict_self).map_err(failed)?;
    Ok(version.filter(|_| status.ruleset != RulesetStatus::NotEnforced))
}

/// The newest version that both this kernel and this program know.
pub(crate) fn available() -> Option<u32> {
    let is_known = |abi: &ABI| {
        let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        strict.handle_access(AccessFs::from_all(*abi)).and_then(Ruleset::create).is_ok()
    };
    let files = VERSIONS.iter().rposition(is_known)? as u32 + 1;
    // Scopes are the only news of version 6.
    let scoped = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .scope(Scope::from_all(NEWEST))
        .and_then(Ruleset::create);
    Some(if scoped.is_ok() { files } else { files.min(NEWEST as u32 - 1) })
}

/// What Landlock is asked for.
fn ruleset(rules: &Rules) -> Result<RulesetCreated, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let create = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::MakeReg;
    let rotate = create | AccessFs::RemoveFile;
    let fill = read | rotate | AccessFs::MakeDir | AccessFs::RemoveDir;
    let terminal = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    let harmless = HARMLESS.iter().map(|path| (Path::new(*path), read));
    let named = rules.read.iter().map(|path| (path.as_path(), read));
    let rotated = rules.rotate.iter().map(|path| (path.as_path(), rotate));
    let filled = rules.fill.iter().map(|path| (path.as_path(), fill));
    let created = rules.create.iter().map(|path| (path.as_path(), create));
    let listed = rules.list.iter().map(|path| (path.as_path(), BitFlags::from(AccessFs::ReadDir)));
    let terminal = rules.terminal.then_some((Path::new(TERMINAL), terminal));
    let written = rotated.chain(filled).chain(created);
    for (path, access) in harmless.chain(named).chain(written).chain(listed).chain(terminal) {
        if let Some(rule) = rule(path, access) {
            ruleset = ruleset.add_rule(rule)?;
        }
    }
    for port in &rules.connect {
        ruleset = ruleset.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    Ok(ruleset)
}

/// The rule for a path; `None` if it does not exist or needs none.
fn rule(path: &Path, access: BitFlags<AccessFs>) -> Option<PathBeneath<PathFd>> {
    let fd = PathFd::new(path).ok()?;
    if fstatfs(&fd).is_ok_and(|fs| UNNAMED.contains(&(fs.f_type as u64))) {
        return None;
    }
    let is_folder = FileType::from_raw_mode(fstat(&fd).ok()?.st_mode) == FileType::Directory;
    let access = if is_folder { access } else { access & AccessFs::from_file(NEWEST) };
    Some(PathBeneath::new(fd, access))
}
