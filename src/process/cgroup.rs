//! The container and the pod of a process, from its cgroups (`/proc/PID/cgroup`, cgroups(7)): container runtimes name the groups that
//! they make after them.
//!
//! | made by | a group's path |
//! | --- | --- |
//! | docker | `/docker/ID`, with systemd `/system.slice/docker-ID.scope` |
//! | Kubernetes with the driver cgroupfs | `/kubepods/burstable/podUID/ID`, without a class for guaranteed pods |
//! | … with systemd, containerd | `/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope` |
//! | … CRI-O, docker | the same with `crio-ID.scope`, `docker-ID.scope` |
//! | … in kind | `/kubelet.slice/kubelet-kubepods.slice/…/kubelet-kubepods-burstable-podUID.slice/cri-containerd-ID.scope` |
//! | … containerd of old versions | `/system.slice/containerd.service/kubepods-burstable-podUID.slice:cri-containerd:ID` |
//! | podman | `/machine.slice/libpod-ID.scope`, rootless below `user@UID.service` |
//!
//! systemd has `_` for `-` in the UID, because `-` separates levels there. Pods of the kubelet's own files have the hash of the file, 32
//! digits, in place of a UID. A group in a container of its own (kind, docker in docker) has all levels in its path: the innermost
//! counts.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use crate::calls::record::Process;

/// Maximum bytes read of a list of groups: cgroup v1 has a dozen of them.
const MAX_LIST: u64 = 64 << 10;

/// Digits of the id of a container.
const ID: usize = 64;

/// What may stand before the id of a container.
const RUNTIMES: [&str; 5] = ["docker", "cri-containerd", "crio", "libpod", "containerd"];

/// Adds to a process where it runs, as far as its groups say that.
pub(super) fn place(process: &mut Process, folder: &Path) {
    let mut list = Vec::new();
    let read = File::open(folder.join("cgroup")).and_then(|file| file.take(MAX_LIST).read_to_end(&mut list));
    if read.is_err() {
        return;
    }
    let list = String::from_utf8_lossy(&list);
    let (container, pod) = find(&list);
    process.container = container.map(Into::into);
    process.pod_uid = pod.map(Into::into);
}

/// The id of the container and the uid of the pod. Of cgroup v1, each group has a line, and the first that says it counts.
fn find(list: &str) -> (Option<&str>, Option<String>) {
    let (mut container, mut pod) = (None, None);
    for line in list.lines() {
        // `0::/PATH`, `4:memory:/PATH`: controllers have no colon, but a path may.
        let Some(path) = line.splitn(3, ':').nth(2) else { continue };
        let groups = || path.split(['/', ':']).rev();
        container = container.or_else(|| groups().find_map(self::container));
        pod = pod.or_else(|| groups().find_map(self::pod));
        if container.is_some() && pod.is_some() {
            break;
        }
    }
    (container, pod)
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn container(group: &str) -> Option<&str> {
    let group = group.strip_suffix(".scope").unwrap_or(group);
    let id = match group.rsplit_once('-') {
        // Their monitors are outside of the container: crio-conmon-ID.
        Some((runtime, id)) => RUNTIMES.contains(&runtime).then_some(id)?,
        None => group,
    };
    (id.len() == ID && is_hexadecimal(id)).then_some(id)
}

fn pod(group: &str) -> Option<String> {
    let group = group.strip_suffix(".slice").unwrap_or(group);
    let in_slice = || {
        let (slice, uid) = group.rsplit_once("-pod")?;
        // Of the kubelet's own root, as in kind: kubelet-kubepods-burstable.
        (slice.starts_with("kubepods") || slice.contains("-kubepods")).then_some(uid)
    };
    let uid = group.strip_prefix("pod").or_else(in_slice)?;
    let uid = uid.replace('_', "-");
    let parts: Vec<&str> = uid.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let is_uid = lengths == [8, 4, 4, 4, 12] || lengths == [32];
    (is_uid && parts.iter().all(|part| is_hexadecimal(part))).then_some(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f0a1c9b7d5e2f4a6b8c0d1e2f3a4b5c6d7e8f9a0b1c2d3e4f5a6b7c8d9e0f1a";
    const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const UID: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";

    #[test]
    fn the_groups_of_each_runtime() {
        let systemd = UID.replace('-', "_");
        let hash = "0123456789abcdef0123456789abcdef";
        for (list, container, pod) in [
            // cgroup v2.
            (format!("0::/system.slice/docker-{ID}.scope\n"), true, None),
            (format!("0::/docker/{ID}\n"), true, None),
            (format!("0::/docker/{ID}/init\n"), true, None),
            (
                format!(
                    "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{systemd}.slice/cri-containerd-{ID}.scope"
                ),
                true,
                Some(UID),
            ),
            (
                format!("0::/kubepods.slice/kubepods-pod{systemd}.slice/crio-{ID}.scope/container"),
                true,
                Some(UID),
            ),
            (format!("0::/kubepods/burstable/pod{UID}/{ID}"), true, Some(UID)),
            (format!("0::/kubepods/pod{hash}/{ID}"), true, Some(hash)),
            (
                format!(
                    "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{systemd}.slice/cri-containerd-{ID}.scope"
                ),
                true,
                Some(UID),
            ),
            (format!("0::/docker/{OUTER}/kubelet/kubepods/besteffort/pod{UID}/{ID}"), true, Some(UID)),
            (
                format!(
                    "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container"
                ),
                true,
                None,
            ),
            (format!("0::/machine.slice/libpod-{ID}.scope"), true, None),
            (format!("0::/../cri-containerd-{ID}.scope"), true, None),
            // cgroup v1, and both together.
            (
                format!(
                    "12:pids:/docker/{ID}\n11:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/containerd.service"
                ),
                true,
                None,
            ),
            (
                format!(
                    "0::/\n9:memory:/kubepods/besteffort/pod{UID}/{ID}\n1:name=systemd:/kubepods/besteffort/pod{UID}/{ID}"
                ),
                true,
                Some(UID),
            ),
            (
                format!(
                    "4:devices:/system.slice/containerd.service/kubepods-burstable-pod{systemd}.slice:cri-containerd:{ID}"
                ),
                true,
                Some(UID),
            ),
            // Neither.
            ("0::/\n".to_owned(), false, None),
            ("0::/system.slice/nginx.service".to_owned(), false, None),
            ("0::/user.slice/user-1000.slice/session-3.scope".to_owned(), false, None),
            (format!("0::/machine.slice/libpod-conmon-{ID}.scope"), false, None),
            (
                format!("0::/kubepods.slice/kubepods-pod{systemd}.slice/crio-conmon-{ID}.scope"),
                false,
                Some(UID),
            ),
            (format!("0::/docker/{}", &ID[1..]), false, None),
            (format!("0::/docker/{}", ID.to_uppercase()), false, None),
            (format!("0::/podman/pod{}", &UID[1..]), false, None),
            ("no colons\n::\n0::".to_owned(), false, None),
        ] {
            let (found, uid) = find(&list);
            assert_eq!((found, uid.as_deref()), (container.then_some(ID), pod), "{list}");
        }
    }

    #[test]
    fn the_file_of_a_process() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Process::new(1, "server");
        place(&mut process, folder.path());
        assert_eq!(process, Process::new(1, "server"));
        std::fs::write(folder.path().join("cgroup"), format!("0::/docker/{ID}\n")).unwrap();
        place(&mut process, folder.path());
        assert_eq!(process.container.as_deref(), Some(ID));
    }
}
