//! Files of one place, by their names.

use std::path::{Path, PathBuf};

use crate::text;

/// Files that were captured in one place, in the order in which they were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    /// For people.
    pub(super) name: String,
    pub(super) files: Vec<PathBuf>,
    /// Their places among all files.
    pub(super) places: Vec<usize>,
}

/// What files of one place have in common, from the wide to the narrow: the folder that stands for them; names that differ in
/// numbers only, then only in numbers behind the first one, the second one, and so on, since hosts are named before the
/// parts of their captures; themselves.
type Levels = Vec<PathBuf>;

/// All files, and how they may belong together.
#[derive(Debug, Default)]
pub(super) struct Groups {
    files: Vec<PathBuf>,
    levels: Vec<Levels>,
}

/// Stands for any number in a name; no name of a file can hold it.
const NUMBER: char = '/';
/// Numbers of a name that may be told apart.
const MAX_LEVELS: usize = 16;

impl Groups {
    /// Adds the files that `path`, as the user named it, stands for. A file that is there already is the same file.
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

    /// Whether all names are those of one rotation: tcpdump puts its numbers behind everything else, where nobody puts the
    /// number of a host.
    pub(super) fn is_rotation(&self) -> bool {
        self.files.iter().all(|file| unnumbered(file) == unnumbered(&self.files[0]))
    }

    /// Puts the files together: as widely as no two of a group share packets, since one place sees a packet once. `sharing`
    /// are the pairs of files that do, `same` those that share packets because they are parts of one capture.
    pub(super) fn settle(&self, sharing: &[(usize, usize)], same: &[(usize, usize)]) -> Vec<Group> {
        let all = self.levels.len();
        let mut depth = vec![0; all];
        loop {
            // One pair that shares packets undoes the whole group.
            let mut undone: Vec<&PathBuf> = sharing
                .iter()
                .filter(|(a, b)| self.same(&depth, *a, *b))
                .map(|(a, _)| &self.levels[*a][depth[*a]])
                .collect();
            if undone.is_empty() {
                break;
            }
            undone.sort();
            undone.dedup();
            for (depth, levels) in depth.iter_mut().zip(&self.levels) {
                if undone.binary_search(&&levels[*depth]).is_ok() && *depth + 1 < levels.len() {
                    *depth += 1;
                }
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        for place in 0..all {
            match groups.iter_mut().find(|group| self.same(&depth, group.places[0], place)) {
                Some(group) => group.places.push(place),
                None => groups.push(Group { places: vec![place], ..Group::default() }),
            }
        }
        for (a, b) in same {
            let group = |place: &usize| groups.iter().position(|group| group.places.contains(place));
            let (Some(a), Some(b)) = (group(a), group(b)) else { continue };
            if a != b {
                let joins = groups.remove(a.max(b));
                groups[a.min(b)].places.extend(joins.places);
            }
        }
        for group in &mut groups {
            group.places.sort_unstable();
            group.files = group.places.iter().map(|place| self.files[*place].clone()).collect();
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

/// The name without what rotation and compression put at its end: that of tcpdump's `x.pcap` and `x.pcap1` is the same.
fn unnumbered(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.trim_end_matches(".gz").trim_end_matches(".zst");
    path.with_file_name(name.trim_end_matches(|c: char| c.is_ascii_digit()))
}

/// The names with all their numbers made equal, with all but the first, and so on to the file itself.
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

    fn places(groups: &[Group]) -> Vec<Vec<usize>> {
        groups.iter().map(|group| group.places.clone()).collect()
    }

    #[test]
    fn files_of_a_rotation_belong_together() {
        let names = ["x/a.pcap", "x/a.pcap1", "x/a.pcap12.gz", "y/a.pcap", "x/b-2026-01-02.pcapng"];
        let groups = groups(&names);
        assert!(!groups.is_rotation());
        let settled = groups.settle(&[], &[]);
        assert_eq!(places(&settled), [vec![0, 1, 2], vec![3], vec![4]]);
        assert_eq!(settled[0].name, "x/a.pcap and 2 more files");
        assert_eq!(settled[1].name, "y/a.pcap");
    }

    #[test]
    fn numbers_behind_everything_else_are_a_rotation() {
        assert!(groups(&["a.pcap", "a.pcap1", "a.pcap12.gz"]).is_rotation());
        assert!(groups(&["a.pcapng00", "a.pcapng01"]).is_rotation());
        assert!(!groups(&["10.0.0.1.pcap", "10.0.0.2.pcap"]).is_rotation());
        assert!(!groups(&["x/a.pcap", "y/a.pcap"]).is_rotation());
    }

    #[test]
    fn numbers_of_hosts_are_no_rotation() {
        let nodes = groups(&["node1.pcap", "node2.pcap", "node3.pcap"]);
        assert!(!nodes.is_rotation());
        assert_eq!(places(&nodes.settle(&[(0, 1)], &[])), [[0], [1], [2]]);
    }

    #[test]
    fn a_folder_is_one_place_unless_its_files_share_packets() {
        let mut groups = Groups::default();
        let files = ["f/a-1.pcap", "f/a-2.pcap", "f/b-1.pcap", "f/b-2.pcap"].map(PathBuf::from);
        groups.add(Path::new("f"), &files);
        groups.add(Path::new("f/a-1.pcap"), &files[..1]);
        assert_eq!(groups.files().len(), 4);
        assert_eq!(places(&groups.settle(&[], &[])), [[0, 1, 2, 3]]);
        assert_eq!(places(&groups.settle(&[(1, 2)], &[])), [[0, 1], [2, 3]]);
        let all_apart = groups.settle(&[(1, 2), (0, 1)], &[]);
        assert_eq!(places(&all_apart), [vec![0], vec![1], vec![2, 3]]);
    }

    #[test]
    fn hosts_are_told_by_the_numbers_before_those_of_their_parts() {
        let groups = groups(&["10.0.0.1-0.pcap", "10.0.0.1-1.pcap", "10.0.0.2-0.pcap", "10.0.0.2-1.pcap"]);
        assert_eq!(places(&groups.settle(&[], &[])), [[0, 1, 2, 3]]);
        assert_eq!(places(&groups.settle(&[(0, 2), (1, 3)], &[])), [[0, 1], [2, 3]]);
    }

    #[test]
    fn parts_of_one_capture_are_together_whatever_their_names() {
        let groups = groups(&["early.pcap", "other.pcap", "late.pcap", "last.pcap"]);
        let sharing = [(0, 1), (1, 2)];
        assert_eq!(places(&groups.settle(&sharing, &[(0, 2), (2, 3)])), [vec![0, 2, 3], vec![1]]);
    }

    #[test]
    fn names_are_harmless() {
        let groups = groups(&["a\u{1b}[2J.pcap"]);
        assert!(!groups.settle(&[], &[])[0].name.contains('\u{1b}'));
    }
}
