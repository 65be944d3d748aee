//! seccomp: system calls that fail with EPERM.
//!
//! This is a list of what is denied, not of what is allowed: the C library, libpcap and the kernel keep adding calls that a
//! program needs without knowing it, and a forgotten one would lose packets. The list holds what would let an attacker leave
//! the process: other programs and processes, sockets, memory of others, mounts, modules, and large parts of the kernel that
//! the program never uses.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use nix::libc::{self, c_long};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Is, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};

/// What the process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Parses packets.
    Analysis,
    /// Creates files whose names the user types ([`crate::helper`]).
    Creating,
    /// Reads `/proc` and writes no file.
    Reading,
}

/// What stays possible with descriptors and sockets.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Open {
    /// From this number on, descriptors may only be read.
    pub(crate) read_only_from: Option<u32>,
    /// Whether TCP connections may be made. Addresses are in memory that filters can't see: Landlock knows the ports.
    pub(crate) connect: bool,
    /// The socket on which connections may be accepted.
    pub(crate) accept: Option<u32>,
}

impl From<&super::Rules> for Open {
    fn from(rules: &super::Rules) -> Self {
        let super::Rules { read_only_from, connect, accept, .. } = rules;
        Self { read_only_from: *read_only_from, connect: !connect.is_empty(), accept: *accept }
    }
}

/// Calls that are denied whatever their arguments.
#[rustfmt::skip]
const DENIED: &[c_long] = &[
    // Programs.
    libc::SYS_execve, libc::SYS_execveat,
    // Sockets. A pair of connected ones reaches nobody else and is what signals are announced with.
    libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4,
    // Memory, descriptors and execution of other processes.
    libc::SYS_ptrace, libc::SYS_process_vm_readv, libc::SYS_process_vm_writev, libc::SYS_process_madvise,
    libc::SYS_process_mrelease, libc::SYS_pidfd_open, libc::SYS_pidfd_getfd, libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp, libc::SYS_tkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_migrate_pages, libc::SYS_move_pages,
    // Another view of the files, other namespaces.
    libc::SYS_mount, libc::SYS_umount2, libc::SYS_pivot_root, libc::SYS_chroot, libc::SYS_move_mount,
    libc::SYS_open_tree, newer::OPEN_TREE_ATTR, libc::SYS_fsopen, libc::SYS_fsconfig, libc::SYS_fsmount, libc::SYS_fspick,
    libc::SYS_mount_setattr, libc::SYS_quotactl, libc::SYS_quotactl_fd, libc::SYS_unshare, libc::SYS_setns,
    libc::SYS_name_to_handle_at, libc::SYS_open_by_handle_at,
    // Owners, modes and attributes of files, which Landlock leaves alone.
    libc::SYS_fchmod, libc::SYS_fchmodat, newer::FCHMODAT2, libc::SYS_fchown, libc::SYS_fchownat, libc::SYS_utimensat,
    libc::SYS_mknodat, libc::SYS_setxattr, libc::SYS_lsetxattr, libc::SYS_fsetxattr, newer::SETXATTRAT,
    libc::SYS_removexattr, libc::SYS_lremovexattr, libc::SYS_fremovexattr, newer::REMOVEXATTRAT,
    newer::FILE_SETATTR,
    // Code in the kernel, and its programmable parts.
    libc::SYS_init_module, libc::SYS_finit_module, libc::SYS_delete_module, libc::SYS_kexec_load,
    libc::SYS_bpf, libc::SYS_perf_event_open, libc::SYS_userfaultfd, libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter, libc::SYS_io_uring_register, libc::SYS_io_setup, libc::SYS_io_submit,
    libc::SYS_add_key, libc::SYS_request_key, libc::SYS_keyctl, libc::SYS_fanotify_init, libc::SYS_fanotify_mark,
    // The machine.
    libc::SYS_reboot, libc::SYS_swapon, libc::SYS_swapoff, libc::SYS_sethostname, libc::SYS_setdomainname,
    libc::SYS_settimeofday, libc::SYS_clock_settime, libc::SYS_adjtimex, libc::SYS_clock_adjtime, libc::SYS_acct,
    libc::SYS_syslog, libc::SYS_vhangup, libc::SYS_personality,
    // Rights that were given up.
    libc::SYS_setuid, libc::SYS_setgid, libc::SYS_setreuid, libc::SYS_setregid, libc::SYS_setresuid,
    libc::SYS_setresgid, libc::SYS_setfsuid, libc::SYS_setfsgid, libc::SYS_setgroups, libc::SYS_capset,
];

/// The older forms, and others that only this architecture has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const DENIED_OLD: &[c_long] = &[
    libc::SYS_fork, libc::SYS_vfork, libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime,
    libc::SYS_utimes, libc::SYS_futimesat, libc::SYS_mknod, libc::SYS_uselib, libc::SYS_iopl, libc::SYS_ioperm,
    libc::SYS_modify_ldt, libc::SYS_kexec_file_load, libc::SYS__sysctl,
];
/// `kexec_file_load`, which not every C library names.
#[cfg(not(target_arch = "x86_64"))]
const DENIED_OLD: &[c_long] = &[294];

/// What helpers are denied too: every change of what is there. Opening for writing has its own rules.
#[rustfmt::skip]
const CHANGES: &[c_long] = &[
    // `openat2` hides its flags from filters.
    libc::SYS_openat2, libc::SYS_truncate, libc::SYS_ftruncate, libc::SYS_fallocate, libc::SYS_mkdirat,
    libc::SYS_unlinkat, libc::SYS_renameat2, libc::SYS_linkat, libc::SYS_symlinkat,
];
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const CHANGES_OLD: &[c_long] = &[
    libc::SYS_creat, libc::SYS_mkdir, libc::SYS_rmdir, libc::SYS_unlink, libc::SYS_rename, libc::SYS_renameat,
    libc::SYS_link, libc::SYS_symlink,
];
/// `renameat`, which the C library does not name.
#[cfg(target_arch = "aarch64")]
const CHANGES_OLD: &[c_long] = &[38];
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const CHANGES_OLD: &[c_long] = &[];

/// Calls that are younger than the C library's table. Since 5.1 all architectures number new calls alike.
mod newer {
    use super::c_long;

    pub(super) const FCHMODAT2: c_long = 452;
    pub(super) const SETXATTRAT: c_long = 463;
    pub(super) const REMOVEXATTRAT: c_long = 466;
    pub(super) const OPEN_TREE_ATTR: c_long = 467;
    pub(super) const FILE_SETATTR: c_long = 469;
}

/// The x32 calls of `x86_64`: the same numbers with this bit, and some of their own from 512 on. They are compiled into many
/// kernels and switched off in most, and a filter for the usual numbers would miss them.
#[cfg(target_arch = "x86_64")]
const X32: c_long = 0x4000_0000;
#[cfg(target_arch = "x86_64")]
const X32_OWN: std::ops::RangeInclusive<c_long> = 512..=547;

/// Filters the system calls of all threads. Returns `false` if the kernel or the architecture has no filters.
pub(crate) fn restrict(role: Role, open: Open) -> Result<bool, String> {
    let failed = |error: Error| format!("system calls can't be filtered (seccomp): {error}");
    let Ok(arch) = TargetArch::try_from(std::env::consts::ARCH) else { return Ok(false) };
    for program in programs(role, open, arch).map_err(|error| failed(error.into()))? {
        match seccompiler::apply_filter_all_threads(&program) {
            Ok(()) => {}
            // A kernel without `seccomp`, or without filters (seccomp(2)).
            Err(Error::Seccomp(error))
                if error.raw_os_error() == Some(libc::ENOSYS) || error.kind() == ErrorKind::InvalidInput =>
            {
                return Ok(false);
            }
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(true)
}

/// Whether the kernel can filter system calls (proc(5)).
pub(crate) fn is_available() -> bool {
    TargetArch::try_from(std::env::consts::ARCH).is_ok()
        && std::path::Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

/// The filters: one for each answer.
fn programs(role: Role, open: Open, arch: TargetArch) -> Result<[BpfProgram; 2], seccompiler::BackendError> {
    let denied = SeccompAction::Errno(libc::EPERM as u32);
    // The flags of `clone3` are in memory that filters can't see. Without it, the C library uses `clone`.
    let unknown = SeccompAction::Errno(libc::ENOSYS as u32);
    let hidden = with_x32(BTreeMap::from([(libc::SYS_clone3, Vec::new())]));
    let filter = |rules, action| SeccompFilter::new(rules, SeccompAction::Allow, action, arch)?.try_into();
    Ok([filter(with_x32(rules(role, open)?), denied)?, filter(hidden, unknown)?])
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

/// The denied calls; of those with rules, only what matches one of them.
fn rules(role: Role, open: Open) -> Result<Rules, seccompiler::BackendError> {
    let argument = |at: u8, len: Len, is: Is, value: u64| {
        SeccompCondition::new(at, len, is, value).and_then(|condition| SeccompRule::new(vec![condition]))
    };
    let thread = libc::CLONE_THREAD as u64;
    let own = u64::from(std::process::id());
    let mut rules: Rules = DENIED.iter().chain(DENIED_OLD).map(|call| (*call, Vec::new())).collect();
    // Processes; threads are allowed.
    rules.insert(libc::SYS_clone, vec![argument(0, Len::Qword, Is::MaskedEq(thread), 0)?]);
    // Signals to others.
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![argument(0, Len::Dword, Is::Ne, own)?]);
    }
    // Datagrams to an address. Without one, it is a write.
    rules.insert(libc::SYS_sendto, vec![argument(4, Len::Qword, Is::Ne, 0)?]);
    // Input into the terminal, which the shell would execute.
    rules.insert(
        libc::SYS_ioctl,
        vec![argument(1, Len::Dword, Is::Eq, TIOCSTI)?, argument(1, Len::Dword, Is::Eq, TIOCLINUX)?],
    );
    if role != Role::Creating {
        // Only the process that creates files passes descriptors on.
        rules.insert(libc::SYS_sendmsg, Vec::new());
        rules.insert(libc::SYS_sendmmsg, Vec::new());
    }
    if role != Role::Analysis {
        rules.extend(CHANGES.iter().chain(CHANGES_OLD).map(|call| (*call, Vec::new())));
        for (call, at) in openings() {
            let flags =
                |mask: i32, value: i32| argument(at, Len::Dword, Is::MaskedEq(mask as u64), value as u64);
            // A new file can be created without harm to others.
            let new = if role == Role::Creating { libc::O_EXCL } else { 0 };
            rules.insert(
                call,
                vec![
                    flags(libc::O_ACCMODE | new, libc::O_WRONLY)?,
                    flags(libc::O_ACCMODE | new, libc::O_RDWR)?,
                    flags(libc::O_CREAT | new, libc::O_CREAT)?,
                    flags(libc::O_TRUNC, libc::O_TRUNC)?,
                ],
            );
        }
    }
    if open.connect {
        // TCP over IPv4 and IPv6, whose type is 1 in the low four bits (`SOCK_TYPE_MASK` of linux/net.h); flags are above.
        let family = |is: Is, value: i32| SeccompCondition::new(0, Len::Dword, is, value as u64);
        let other = vec![family(Is::Ne, libc::AF_INET)?, family(Is::Ne, libc::AF_INET6)?];
        let mut sockets = vec![SeccompRule::new(other)?];
        for bit in [2, 4, 8] {
            sockets.push(argument(1, Len::Dword, Is::MaskedEq(bit), bit)?);
        }
        // 0 is the protocol of the type. Others, such as MPTCP, are no TCP for Landlock.
        sockets.push(SeccompRule::new(vec![
            SeccompCondition::new(2, Len::Dword, Is::Ne, 0)?,
            SeccompCondition::new(2, Len::Dword, Is::Ne, libc::IPPROTO_TCP as u64)?,
        ])?);
        rules.insert(libc::SYS_socket, sockets);
        rules.remove(&libc::SYS_connect);
    }
    if let Some(listener) = open.accept {
        for call in [libc::SYS_accept, libc::SYS_accept4] {
            rules.insert(call, vec![argument(0, Len::Dword, Is::Ne, listener.into())?]);
        }
    }
    if let Some(lowest) = open.read_only_from {
        for (call, at) in writing() {
            let sealed = argument(at, Len::Dword, Is::Ge, lowest.into())?;
            rules.entry(call).or_default().push(sealed);
        }
        // A copy with a lower number.
        for command in [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC] {
            let sealed = SeccompCondition::new(0, Len::Dword, Is::Ge, lowest.into())?;
            let copies = SeccompCondition::new(1, Len::Dword, Is::Eq, command as u64)?;
            rules.entry(libc::SYS_fcntl).or_default().push(SeccompRule::new(vec![sealed, copies])?);
        }
    }
    Ok(rules)
}

/// What sends on a socket, sets its options or makes a copy of it, and which argument is its descriptor.
#[rustfmt::skip]
fn writing() -> Vec<(c_long, u8)> {
    vec![
        (libc::SYS_write, 0), (libc::SYS_writev, 0), (libc::SYS_pwrite64, 0), (libc::SYS_pwritev, 0), (libc::SYS_pwritev2, 0),
        (libc::SYS_sendto, 0), (libc::SYS_sendfile, 0), (libc::SYS_splice, 2), (libc::SYS_setsockopt, 0),
        (libc::SYS_dup, 0), (libc::SYS_dup3, 0),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_dup2, 0),
    ]
}

/// Puts a character into the input of a terminal (`TIOCSTI(2const)`), the same number on all these architectures.
const TIOCSTI: u64 = 0x5412;
/// The control codes of the Linux console, which can paste (`ioctl_console(2)`).
const TIOCLINUX: u64 = 0x541c;

/// The calls that open files, and which argument holds the flags.
fn openings() -> Vec<(c_long, u8)> {
    vec![
        (libc::SYS_openat, 2),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_open, 1),
    ]
}

/// The same for both ABIs of the architecture.
#[cfg(target_arch = "x86_64")]
fn with_x32(mut rules: Rules) -> Rules {
    let twins: Rules = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
    rules.extend(twins);
    rules.extend(X32_OWN.map(|call| (call | X32, Vec::new())));
    rules
}

#[cfg(not(target_arch = "x86_64"))]
fn with_x32(rules: Rules) -> Rules {
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of the kernel to a filter: allow, or an error number. Runs the classic BPF that filters are made of
    /// (`linux/bpf_common.h`).
    fn answer(program: &BpfProgram, arch: u32, call: c_long, arguments: [u64; 6]) -> Option<i32> {
        let mut data = (call as u32).to_ne_bytes().to_vec();
        data.extend(arch.to_ne_bytes());
        data.extend(0_u64.to_ne_bytes());
        for argument in arguments {
            data.extend(argument.to_ne_bytes());
        }
        let (mut at, mut accumulator) = (0, 0_u32);
        loop {
            let op = &program[at];
            at += 1;
            let mut jump = |is: bool| at += usize::from(if is { op.jt } else { op.jf });
            match op.code {
                // LD W ABS
                0x20 => accumulator = u32::from_ne_bytes(data[op.k as usize..][..4].try_into().unwrap()),
                // JA
                0x05 => at += op.k as usize,
                // JEQ, JGT, JGE
                0x15 => jump(accumulator == op.k),
                0x25 => jump(accumulator > op.k),
                0x35 => jump(accumulator >= op.k),
                // AND
                0x54 => accumulator &= op.k,
                // RET: SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO
                0x06 if op.k == 0x7fff_0000 => return None,
                0x06 => return Some((op.k & 0xffff) as i32),
                other => panic!("{other:x}"),
            }
        }
    }

    const ARCH: u32 = if cfg!(target_arch = "x86_64") {
        0xc000_003e
    } else if cfg!(target_arch = "aarch64") {
        0xc000_00b7
    } else {
        0xc000_00f3
    };

    /// What becomes of a call.
    fn outcome(role: Role, call: c_long, arguments: &[u64]) -> Option<i32> {
        let mut all = [0; 6];
        all[..arguments.len()].copy_from_slice(arguments);
        outcome_with(Open { read_only_from: Some(LOWEST), ..Open::default() }, role, call, all)
    }

    fn outcome_with(open: Open, role: Role, call: c_long, all: [u64; 6]) -> Option<i32> {
        let programs = programs(role, open, TargetArch::try_from(std::env::consts::ARCH).unwrap()).unwrap();
        programs.iter().find_map(|program| answer(program, ARCH, call, all))
    }

    /// The lowest descriptor of a capture.
    const LOWEST: u32 = 512;

    const EPERM: Option<i32> = Some(libc::EPERM);
    const ROLES: [Role; 3] = [Role::Analysis, Role::Creating, Role::Reading];

    #[test]
    fn every_line_of_the_table_is_denied_to_all() {
        for role in ROLES {
            for call in DENIED.iter().chain(DENIED_OLD) {
                assert_eq!(outcome(role, *call, &[]), EPERM, "{role:?}: {call}");
            }
            assert_eq!(outcome(role, libc::SYS_clone3, &[]), Some(libc::ENOSYS));
        }
    }

    #[test]
    fn what_a_run_needs_is_allowed() {
        for call in [
            libc::SYS_read,
            libc::SYS_write,
            libc::SYS_openat,
            libc::SYS_mmap,
            libc::SYS_futex,
            libc::SYS_ppoll,
            libc::SYS_recvmsg,
            libc::SYS_getsockopt,
            libc::SYS_setsockopt,
            libc::SYS_socketpair,
            libc::SYS_exit_group,
            libc::SYS_ftruncate,
            libc::SYS_renameat2,
            libc::SYS_unlinkat,
            libc::SYS_newfstatat,
        ] {
            assert_eq!(outcome(Role::Analysis, call, &[]), None, "{call}");
        }
        let threads = (libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND) as u64;
        assert_eq!(outcome(Role::Analysis, libc::SYS_clone, &[threads]), None);
        let flags = (libc::O_WRONLY | libc::O_CREAT | libc::O_TRUNC) as u64;
        assert_eq!(outcome(Role::Analysis, libc::SYS_openat, &[0, 0, flags]), None);
    }

    #[test]
    fn arguments_decide() {
        let own = u64::from(std::process::id());
        for role in ROLES {
            for (call, allowed, denied) in [
                (libc::SYS_clone, vec![libc::CLONE_THREAD as u64], vec![libc::SIGCHLD as u64]),
                (libc::SYS_kill, vec![own], vec![own + 1]),
                (libc::SYS_kill, vec![own], vec![u64::MAX]),
                (libc::SYS_tgkill, vec![own, 7], vec![1, 7]),
                (libc::SYS_sendto, vec![3, 4, 5, 0, 0], vec![3, 4, 5, 0, 1]),
                (libc::SYS_sendto, vec![3, 4, 5, 0, 0], vec![3, 4, 5, 0, 1 << 32]),
                (libc::SYS_ioctl, vec![0, 0x5413], vec![0, TIOCSTI]),
                // The kernel looks at 32 bits only.
                (libc::SYS_ioctl, vec![0, 0x5413], vec![0, 7 << 32 | TIOCLINUX]),
            ] {
                assert_eq!(outcome(role, call, &allowed), None, "{role:?}: {call} {allowed:?}");
                assert_eq!(outcome(role, call, &denied), EPERM, "{role:?}: {call} {denied:?}");
            }
        }
    }

    #[test]
    fn captures_are_only_read() {
        let lowest = u64::from(LOWEST);
        for (call, at) in writing() {
            let outcome = |descriptor: u64| {
                let mut arguments = [0; 6];
                arguments[usize::from(at)] = descriptor;
                outcome(Role::Analysis, call, &arguments)
            };
            assert_eq!(outcome(lowest - 1), None, "{call}");
            // The kernel looks at 32 bits only.
            for descriptor in [lowest, lowest + 3, 1 << 32 | lowest] {
                assert_eq!(outcome(descriptor), EPERM, "{call}");
            }
        }
        for (command, expected) in
            [(libc::F_DUPFD, EPERM), (libc::F_DUPFD_CLOEXEC, EPERM), (libc::F_GETFL, None)]
        {
            let arguments = |descriptor| [descriptor, command as u64];
            assert_eq!(outcome(Role::Analysis, libc::SYS_fcntl, &arguments(lowest)), expected);
            assert_eq!(outcome(Role::Analysis, libc::SYS_fcntl, &arguments(1)), None);
        }
        for call in
            [libc::SYS_read, libc::SYS_recvmsg, libc::SYS_getsockopt, libc::SYS_ioctl, libc::SYS_close]
        {
            assert_eq!(outcome(Role::Analysis, call, &[lowest]), None, "{call}");
        }
    }

    #[test]
    fn sockets_are_for_whoever_names_a_host() {
        let open = Open { connect: true, ..Open::default() };
        let outcome = |open, call, [a, b, c]: [i32; 3]| {
            let arguments = [a as u64, b as u64, c as u64, 0, 0, 0];
            outcome_with(open, Role::Analysis, call, arguments)
        };
        let (inet, tcp, flags) = (libc::AF_INET, libc::SOCK_STREAM, libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
        for family in [inet, libc::AF_INET6] {
            assert_eq!(outcome(open, libc::SYS_socket, [family, tcp | flags, 0]), None);
            assert_eq!(outcome(open, libc::SYS_socket, [family, tcp, libc::IPPROTO_TCP]), None);
            assert_eq!(outcome(open, libc::SYS_socket, [family, libc::SOCK_DGRAM | flags, 0]), EPERM);
            assert_eq!(outcome(open, libc::SYS_socket, [family, libc::SOCK_RAW, 0]), EPERM);
            assert_eq!(outcome(open, libc::SYS_socket, [family, libc::SOCK_SEQPACKET, 0]), EPERM);
            assert_eq!(outcome(open, libc::SYS_socket, [family, tcp, libc::IPPROTO_MPTCP]), EPERM);
        }
        for family in [libc::AF_UNIX, libc::AF_NETLINK, libc::AF_PACKET, libc::AF_VSOCK] {
            assert_eq!(outcome(open, libc::SYS_socket, [family, tcp, 0]), EPERM);
        }
        assert_eq!(outcome(open, libc::SYS_connect, [3, 0, 0]), None);
        for call in [libc::SYS_bind, libc::SYS_listen, libc::SYS_accept, libc::SYS_accept4] {
            assert_eq!(outcome(open, call, [3, 0, 0]), EPERM, "{call}");
        }

        let open = Open { accept: Some(7), ..Open::default() };
        for call in [libc::SYS_accept, libc::SYS_accept4] {
            assert_eq!(outcome(open, call, [7, 0, 0]), None);
            assert_eq!(outcome(open, call, [8, 0, 0]), EPERM);
        }
        for call in [libc::SYS_socket, libc::SYS_connect, libc::SYS_bind, libc::SYS_listen] {
            assert_eq!(outcome(open, call, [inet, tcp, 0]), EPERM, "{call}");
        }
    }

    #[test]
    fn helpers_change_nothing_that_is_there() {
        let opened = |role, flags: i32| {
            openings().into_iter().map(move |(call, at)| {
                let mut arguments = [0; 6];
                arguments[usize::from(at)] = flags as u64;
                outcome(role, call, &arguments)
            })
        };
        let new = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL;
        for (role, flags, expected) in [
            (Role::Reading, libc::O_RDONLY | libc::O_CLOEXEC | libc::O_DIRECTORY, None),
            (Role::Reading, libc::O_WRONLY, EPERM),
            (Role::Reading, libc::O_RDWR, EPERM),
            (Role::Reading, libc::O_CREAT, EPERM),
            (Role::Reading, libc::O_TRUNC, EPERM),
            (Role::Reading, new, EPERM),
            (Role::Creating, new | libc::O_CLOEXEC, None),
            (Role::Creating, libc::O_WRONLY, EPERM),
            (Role::Creating, libc::O_WRONLY | libc::O_CREAT, EPERM),
            (Role::Creating, libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC, EPERM),
            (Role::Creating, new | libc::O_TRUNC, EPERM),
        ] {
            assert!(opened(role, flags).all(|outcome| outcome == expected), "{role:?}: {flags:o}");
        }
        for role in [Role::Reading, Role::Creating] {
            for call in CHANGES.iter().chain(CHANGES_OLD) {
                assert_eq!(outcome(role, *call, &[]), EPERM, "{role:?}: {call}");
            }
        }
        assert_eq!(outcome(Role::Creating, libc::SYS_sendmsg, &[]), None);
        assert_eq!(outcome(Role::Reading, libc::SYS_sendmsg, &[]), EPERM);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn the_second_abi_is_no_way_around() {
        for call in [libc::SYS_socket, libc::SYS_ptrace, 520, 521] {
            assert_eq!(outcome(Role::Analysis, call | X32, &[]), EPERM, "{call}");
        }
        assert_eq!(outcome(Role::Analysis, libc::SYS_clone3 | X32, &[]), Some(libc::ENOSYS));
        assert_eq!(outcome(Role::Analysis, libc::SYS_clone | X32, &[0]), EPERM);
        // The calls of 32-bit programs have other numbers: those end the process.
        let arch = TargetArch::x86_64;
        let programs = programs(Role::Analysis, Open::default(), arch).unwrap();
        assert_eq!(answer(&programs[0], 0x4000_0003, 11, [0; 6]), Some(0));
    }
}
