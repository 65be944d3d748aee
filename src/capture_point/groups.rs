//! Groups files into capture points by their names.

use std::path::{Path, PathBuf};

use crate::text;

/// Files of one capture point, in the order in which they were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// The name for people.
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
    /// Their indices among all files.
    pub(super) members: Vec<usize>,
}

/// What files of one capture point may have in common, from wide to narrow: the folder that stands for them; names that differ only in
/// numbers; then only in the numbers after the first, after the second, and so on, because names of hosts come before numbers of
/// parts; and the file itself.
type Levels = Vec<PathBuf>;

/// All files, and the levels at which they may belong together.
#[derive(Debug, Default)]
pub(super) struct Groups {
    files: Vec<PathBuf>,
    levels: Vec<Levels>,
}

/// Stands for any number in a name; no file name can contain it.
const NUMBER: char = '/';
/// Most numbers of a name that are distinguished.
const MAX_LEVELS: usize = 16;

impl Groups {
    /// Adds the files that `path`, as the user named it, stands for. A file that was added before is skipped.
    pub(super) fn add(&mut self, path: &Path, found: &[PathBuf]) {
        let is_folder = found != [path];
        for file in found.iter().filter(|file| !self.files.contains(file)).cloned().collect::<Vec<_>>() {
            let mut levels = patterns(&file);
            if is_folder {
                levels.insert(0, path.to_owned());
            }
            self.levels.push(levels);
            self.files.push(file);
        }
    }

    /// All files, in the order in which they were named.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Whether all names are of one rotation: tcpdump appends its numbers to the whole name, where nobody puts the number of a host.
    pub(super) fn is_rotation(&self) -> bool {
        self.files.iter().all(|file| unnumbered(file) == unnumbered(&self.files[0]))
    }

    /// Groups the files as widely as possible without two files in a group that share packets, because a capture point sees a
    /// packet once. `sharing` are the pairs of files that share packets; `same` are pairs that do so as overlapping parts of one
    /// capture.
    pub(super) fn settle(&self, sharing: &[(usize, usize)], same: &[(usize, usize)]) -> Vec<Group> {
        let all = self.levels.len();
        let mut depth = vec![0; all];
        loop {
            // One pair that shares packets splits the whole group.
            let mut split: Vec<&PathBuf> = sharing
                .iter()
                .filter(|(a, b)| self.same(&depth, *a, *b))
                .map(|(a, _)| &self.levels[*a][depth[*a]])
                .collect();
            if split.is_empty() {
                break;
            }
            split.sort();
            split.dedup();
            for (depth, levels) in depth.iter_mut().zip(&self.levels) {
                if split.binary_search(&&levels[*depth]).is_ok() && *depth + 1 < levels.len() {
                    *depth += 1;
                }
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        for file in 0..all {
            match groups.iter_mut().find(|group| self.same(&depth, group.members[0], file)) {
                Some(group) => group.members.push(file),
                None => groups.push(Group { members: vec![file], ..Group::default() }),
            }
        }
        for (a, b) in same {
            let group = |file: &usize| groups.iter().position(|group| group.members.contains(file));
            let (Some(a), Some(b)) = (group(a), group(b)) else { continue };
            if a != b {
                let joins = groups.remove(a.max(b));
                groups[a.min(b)].members.extend(joins.members);
            }
        }
        for group in &mut groups {
            group.members.sort_unstable();
            group.files = group.members.iter().map(|file| self.files[*file].clone()).collect();
            let first = text::escape(&group.files[0].to_string_lossy()).into_owned();
            group.name = match group.files.len() - 1 {
                0 => first,
                1 => format!("{first} and one more file"),
                more => format!("{first} and {more} more files"),
            };
        }
        groups
    }

    fn same(&self, depth: &[usize], a: usize, b: usize) -> bool {
        self.levels[a][depth[a]] == self.levels[b][depth[b]]
    }
}

/// The name without what rotation and compression append to it: the same for tcpdump's `x.pcap` and `x.pcap1`.
fn unnumbered(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    path.with_file_name(name.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// The name with all its numbers replaced, with all but the first, and so on, down to the file itself.
fn patterns(path: &Path) -> Levels {
    let name = unnumbered(path);
    let name = name.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let numbers = |from: &str| from.find(|c: char| c.is_ascii_digit());
    let mut levels = Levels::new();
    let mut kept = 0;
    loop {
        let mut out = name[..kept].to_owned();
        for c in name[kept..].chars() {
            if !c.is_ascii_digit() {
                out.push(c);
            } else if !out.ends_with(NUMBER) {
                out.push(NUMBER);
            }
        }
        levels.push(path.with_file_name(out));
        let Some(start) = numbers(&name[kept..]).filter(|_| levels.len() < MAX_LEVELS) else { break };
        let number = &name[kept + start..];
        kept += start + number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    }
    if levels.last().is_none_or(|last| last != path) {
        levels.push(path.to_owned());
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(paths: &[&str]) -> Groups {
        let mut groups = Groups::default();
        for path in paths {
            groups.add(Path::new(path), &[PathBuf::from(path)]);
        }
        groups
    }

    fn members(groups: &[Group]) -> Vec<Vec<usize>> {
        groups.iter().map(|group| group.members.clone()).collect()
    }

    #[test]
    fn files_of_a_rotation_belong_together() {
        let names = ["x/a.pcap", "x/a.pcap1", "x/a.pcap12.gz", "y/a.pcap", "x/b-2026-01-02.pcapng"];
        let groups = groups(&names);
        assert!(!groups.is_rotation());
        let settled = groups.settle(&[], &[]);
        assert_eq!(members(&settled), [vec![0, 1, 2], vec![3], vec![4]]);
        assert_eq!(settled[0].name, "x/a.pcap and 2 more files");
        assert_eq!(settled[1].name, "y/a.pcap");
    }

    #[test]
    fn numbers_at_the_end_of_the_name_are_a_rotation() {
        assert!(groups(&["a.pcap", "a.pcap1", "a.pcap12.gz"]).is_rotation());
        assert!(groups(&["a.pcapng00", "a.pcapng01"]).is_rotation());
        assert!(!groups(&["10.0.0.1.pcap", "10.0.0.2.pcap"]).is_rotation());
        assert!(!groups(&["x/a.pcap", "y/a.pcap"]).is_rotation());
    }

    #[test]
    fn numbers_of_hosts_are_no_rotation() {
        let nodes = groups(&["node1.pcap", "node2.pcap", "node3.pcap"]);
        assert!(!nodes.is_rotation());
        assert_eq!(members(&nodes.settle(&[(0, 1)], &[])), [[0], [1], [2]]);
    }

    #[test]
    fn a_folder_is_one_capture_point_unless_its_files_share_packets() {
        let mut groups = Groups::default();
        let files = ["f/a-1.pcap", "f/a-2.pcap", "f/b-1.pcap", "f/b-2.pcap"].map(PathBuf::from);
        groups.add(Path::new("f"), &files);
        groups.add(Path::new("f/a-1.pcap"), &files[..1]);
        assert_eq!(groups.files().len(), 4);
        assert_eq!(members(&groups.settle(&[], &[])), [[0, 1, 2, 3]]);
        assert_eq!(members(&groups.settle(&[(1, 2)], &[])), [[0, 1], [2, 3]]);
        let all_apart = groups.settle(&[(1, 2), (0, 1)], &[]);
        assert_eq!(members(&all_apart), [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn numbers_of_hosts_come_before_those_of_their_parts() {
        let groups = groups(&["10.0.0.1-0.pcap", "10.0.0.1-1.pcap", "10.0.0.2-0.pcap", "10.0.0.2-1.pcap"]);
        assert_eq!(members(&groups.settle(&[], &[])), [[0, 1, 2, 3]]);
        assert_eq!(members(&groups.settle(&[(0, 2), (1, 3)], &[])), [[0, 1], [2, 3]]);
    }

    #[test]
    fn parts_of_one_capture_are_together_whatever_their_names() {
        let groups = groups(&["early.pcap", "other.pcap", "late.pcap", "last.pcap"]);
        let sharing = [(0, 1), (1, 2)];
        assert_eq!(members(&groups.settle(&sharing, &[(0, 2), (2, 3)])), [vec![0, 2, 3], vec![1]]);
    }

    #[test]
    fn names_are_harmless() {
        let groups = groups(&["a\u{1b}[2J.pcap"]);
        assert!(!groups.settle(&[], &[])[0].name.contains('\u{1b}'));
    }
}
