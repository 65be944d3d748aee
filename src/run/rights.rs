//! The rights of a run, which follow from its options: what stays reachable in the sandbox, and what helpers do outside.
//!
//! The order matters. Helpers start first, because they must not inherit open interfaces. Interfaces are opened, root hands
//! over to the user, and outputs are created, which then belong to that user. Then the sandbox is entered, threads are
//! started, and only now is anything parsed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Failure, complain, config};
use crate::cli::Input;
use crate::config::Change;
use crate::process::{self, HeldSocket};
use crate::sandbox::{self, Rules};
use crate::source::privileges::{self, Successor};
use crate::tui::{Files, SaveConfig};

/// What `--no-sandbox` gives up.
const GIVEN_UP: &str = "--no-sandbox: a mistake in the analysis of hostile traffic could read and change files, start programs \
                        and open connections with the rights of this user";

/// What a run needs to send and serve telemetry.
#[derive(Debug, Default)]
pub(super) struct Network {
    /// TCP ports to connect to.
    pub(super) connect: Vec<u16>,
    /// The socket on which it accepts connections.
    pub(super) accept: Option<u32>,
    /// The folder of what waits to be sent.
    pub(super) queue: Option<PathBuf>,
}

/// The rights of a run, before they are given up.
pub(super) struct Rights {
    /// `--no-sandbox`.
    is_waived: bool,
    /// Who takes over from root.
    successor: Option<Successor>,
    helpers: Helpers,
}

/// What is done outside the sandbox. Without one, the process does it itself.
#[derive(Default)]
struct Helpers {
    #[cfg(target_os = "linux")]
    processes: Option<crate::helper::Helper>,
    #[cfg(target_os = "linux")]
    files: Option<io::Result<crate::helper::Helper>>,
    #[cfg(target_os = "linux")]
    config: Option<io::Result<crate::helper::Helper>>,
}

impl Rights {
    /// Starts the helpers that a run needs; the interface needs one for exports.
    pub(super) fn new(input: &Input, has_interface: bool) -> Result<Self, Failure> {
        let is_live = !input.interfaces.is_empty();
        let successor = if is_live {
            privileges::successor(input.relinquish.as_deref()).map_err(Failure::Environment)?
        } else {
            None
        };
        let mut rights = Self { is_waived: input.no_sandbox, successor, helpers: Helpers::default() };
        if rights.is_waived {
            complain(GIVEN_UP);
        } else {
            rights.start_helpers(input, has_interface)?;
        }
        Ok(rights)
    }

    #[cfg(target_os = "linux")]
    fn start_helpers(&mut self, input: &Input, has_interface: bool) -> Result<(), Failure> {
        use crate::helper::{Helper, Task};
        let is_live = !input.interfaces.is_empty();
        // Not even a program file with capabilities gets them back.
        sandbox::forbid_new_privileges().map_err(Failure::Environment)?;
        let user = self.successor.as_ref();
        self.helpers = Helpers {
            // Process names are optional: calls are reported without them too.
            processes: is_live.then(|| Helper::start(Task::Processes, user).ok()).flatten(),
            files: has_interface.then(|| Helper::start(Task::Files, user)),
            config: input.keeps_config.then(|| Helper::start(Task::Config, user)),
        };
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "Linux starts processes")]
    fn start_helpers(&mut self, _: &Input, _: bool) -> Result<(), Failure> {
        Ok(())
    }

    /// Root hands over to the user, if there is one. Others drop the capabilities of the program file.
    pub(super) fn hand_over(&self) -> Result<(), Failure> {
        let handed = match &self.successor {
            Some(successor) => successor.take_over(&[]),
            // Root without a successor needs its rights once more, to create the outputs.
            None if privileges::is_root() => Ok(()),
            None => sandbox::capabilities::keep_only(&[]),
        };
        handed.map_err(Failure::Environment)
    }

    /// Enters the sandbox, unless it is waived. Call this before threads are started.
    /// `read_only_from`: the lowest descriptor of a capture.
    pub(super) fn give_up(
        &self,
        input: &Input,
        has_interface: bool,
        read_only_from: Option<u32>,
        network: Network,
    ) -> Result<(), Failure> {
        if self.is_waived {
            return Ok(());
        }
        let Network { connect, accept, queue } = network;
        let mut rules = Rules { read_only_from, connect, accept, ..rules(input, has_interface) };
        if let Some(folder) = queue {
            rules.read.push(folder.clone());
            rules.rotate.push(folder);
            #[cfg(target_os = "linux")]
            keep_needed(&mut rules);
        }
        sandbox::enter(&rules).map(|_| ()).map_err(|why| {
            Failure::Environment(format!("the sandbox can't be entered: {why}; --no-sandbox runs without it"))
        })
    }

    /// Whether interfaces can't be opened later.
    pub(super) fn is_sealed(&self) -> bool {
        cfg!(target_os = "linux") && !self.is_waived
    }

    /// Finds the processes of sockets; `None` if that is not possible.
    #[cfg(target_os = "linux")]
    pub(super) fn scan(&mut self) -> Option<Scan> {
        if self.is_waived {
            return Some(Box::new(process::scanning()));
        }
        let mut helper = self.helpers.processes.take()?;
        Some(Box::new(move || helper.scan()))
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "Linux asks a helper")]
    pub(super) fn scan(&mut self) -> Option<Scan> {
        Some(Box::new(process::scanning()))
    }

    /// Creates the files of exports and reads the names in folders.
    #[cfg(target_os = "linux")]
    pub(super) fn files(&mut self) -> Box<dyn Files> {
        match self.helpers.files.take() {
            None => Box::new(Direct),
            Some(Ok(helper)) => Box::new(helper),
            Some(Err(why)) => Box::new(NoHelper(format!(
                "no process could be started to write files: {why} (--no-sandbox needs none)"
            ))),
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "Linux asks a helper")]
    pub(super) fn files(&mut self) -> Box<dyn Files> {
        Box::new(Direct)
    }
}

impl Rights {
    /// Writes the config file, as the user who has taken over from root.
    pub(super) fn config(&mut self, input: &Input) -> SaveConfig {
        let path = match config::path() {
            _ if !input.keeps_config => {
                Err("the config file was not read (--no-config), so it is not written".to_owned())
            }
            path => path,
        };
        let mut save = self.saving();
        let user = self.successor.as_ref().map(|user| user.name().to_owned());
        Box::new(move |changes| {
            let path = path.clone()?;
            save(&path, changes).map_err(|why| match &user {
                Some(user) => format!("{why} (rpcscope wrote as {user}, who has taken over from root)"),
                None => why,
            })?;
            Ok(path.display().to_string())
        })
    }

    #[cfg(target_os = "linux")]
    fn saving(&mut self) -> Saving {
        match self.helpers.config.take() {
            None => saving_directly(),
            Some(Ok(mut helper)) => {
                Box::new(move |_, changes| helper.save(changes).map_err(|error| error.to_string()))
            }
            Some(Err(why)) => {
                let why = format!(
                    "no process could be started to write the config file: {why} (--no-sandbox needs none)"
                );
                Box::new(move |_, _| Err(why.clone()))
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unused_self, reason = "Linux asks a helper")]
    fn saving(&mut self) -> Saving {
        saving_directly()
    }
}

/// Makes changes in the config file at a path.
type Saving = Box<dyn FnMut(&Path, &[Change]) -> Result<(), String> + Send>;

/// Without a sandbox.
fn saving_directly() -> Saving {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    Box::new(move |path, changes| crate::config::save(path, home.as_deref(), changes))
}

/// Without a sandbox.
struct Direct;

impl Files for Direct {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        File::create_new(path)
    }

    fn names(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        crate::folder::names(folder)
    }
}

#[cfg(target_os = "linux")]
impl Files for crate::helper::Helper {
    fn create(&mut self, path: &Path) -> io::Result<File> {
        Self::create(self, path)
    }

    fn names(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        Self::names(self, folder)
    }
}

/// In a sandbox, but nobody outside of it does the work: the reason.
#[cfg(target_os = "linux")]
struct NoHelper(String);

#[cfg(target_os = "linux")]
impl Files for NoHelper {
    fn create(&mut self, _: &Path) -> io::Result<File> {
        Err(io::Error::other(self.0.clone()))
    }

    fn names(&mut self, _: &Path) -> io::Result<Vec<String>> {
        Err(io::Error::other(self.0.clone()))
    }
}

/// Finds sockets and their processes.
pub(super) type Scan = Box<dyn FnMut() -> io::Result<Vec<HeldSocket>> + Send>;

/// What the options leave reachable. Outputs are open already.
fn rules(input: &Input, has_interface: bool) -> Rules {
    let mut rules = Rules { terminal: has_interface, ..Rules::default() };
    for path in input.paths() {
        // A growing file may be replaced by another one with its name.
        match folder(&path).filter(|_| input.follow && path.is_file()) {
            Some(folder) => rules.read.push(folder),
            None => rules.read.push(path),
        }
    }
    // A log, a key log or a file of names may come later or be replaced by another one with its name; a FIFO is what it is.
    let key_logs = input.key_logs().unwrap_or_default();
    let logs = key_logs.iter().chain(&input.logs).chain(&input.names);
    rules.read.extend(logs.flat_map(|path| [folder(path), Some(path.clone())]).flatten());
    // libpcap reads how many packets the interface dropped.
    rules.read.extend(input.interfaces.iter().map(|name| Path::new("/sys/class/net").join(name)));
    if let Some(folder) = input.write.as_deref().filter(|_| input.rotates()).and_then(constant_folder) {
        rules.rotate.push(folder);
    }
    rules.fill.extend(input.records.clone());
    #[cfg(target_os = "linux")]
    keep_needed(&mut rules);
    rules
}

/// Keeps the capabilities without which root could not reach the files of others that the rules name.
#[cfg(target_os = "linux")]
fn keep_needed(rules: &mut Rules) {
    use rustix::fs::{Access, AtFlags, CWD, accessat};

    use crate::sandbox::Capability;
    use crate::source::files;
    // The files of a folder may belong to others than the folder.
    let all = |path: &PathBuf| files::expand(path).unwrap_or_else(|_| vec![path.clone()]);
    let there = rules.read.iter().filter(|path| path.exists());
    let inputs: Vec<PathBuf> = there.flat_map(|path| [vec![path.clone()], all(path)].concat()).collect();
    let (can_read, can_write) = sandbox::capabilities::suspended(|| {
        let may = |path: &PathBuf, access| accessat(CWD, path, access, AtFlags::EACCESS).is_ok();
        (
            inputs.iter().all(|path| may(path, Access::READ_OK)),
            rules
                .rotate
                .iter()
                .chain(&rules.fill)
                .all(|folder| may(folder, Access::WRITE_OK | Access::EXEC_OK)),
        )
    });
    rules.keep.extend((!can_read).then_some(Capability::ReadAny));
    rules.keep.extend((!can_write).then_some(Capability::WriteAny));
}

/// The folder of a file.
fn folder(path: &Path) -> Option<PathBuf> {
    let folder = path.parent()?;
    Some(if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
}

/// The folder of a file, as far as its name does not depend on the time.
fn constant_folder(path: &Path) -> Option<PathBuf> {
    let folder = folder(path)?;
    let varies = |part: &std::ffi::OsStr| part.to_string_lossy().contains('%');
    let constant: PathBuf = folder.iter().take_while(|part| !varies(part)).collect();
    Some(if constant.as_os_str().is_empty() { PathBuf::from(".") } else { constant })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn rules_follow_from_the_options() {
        let temporary = tempfile::tempdir().unwrap();
        let file = temporary.path().join("x.pcap");
        std::fs::write(&file, "").unwrap();
        let input = Input { files: vec![file.clone(), "-".into()], ..Input::default() };
        let replay = rules(&input, false);
        assert_eq!(replay.read, [file.clone(), "-".into()]);
        assert_eq!((replay.rotate, replay.create, replay.terminal), (vec![], vec![], false));
        let follow = rules(&Input { follow: true, ..input }, true);
        assert_eq!((follow.read, follow.terminal), (vec![temporary.path().to_owned(), "-".into()], true));

        let live =
            Input { interfaces: vec!["lo".into()], write: Some("/a/b.pcap".into()), ..Input::default() };
        assert_eq!(rules(&live, false).read, paths(&["/sys/class/net/lo"]));
        assert_eq!(rules(&live, false).rotate, paths(&[]));
        let rotating = Input { rotate_size: Some(1), ..live };
        assert_eq!(rules(&rotating, false).rotate, paths(&["/a"]));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn root_keeps_the_capabilities_that_the_files_of_others_need() {
        use crate::sandbox::Capability::{ReadAny, WriteAny};
        if !privileges::is_root() {
            eprintln!("SKIPPED: only root has files of others");
            return;
        }
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        for name in ["own", "other"] {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("x.pcap"), "").unwrap();
        }
        let closed = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(at("other"), closed).unwrap();
        std::os::unix::fs::chown(at("other"), Some(12345), Some(12345)).unwrap();
        let kept = |read: &str, write: &str| {
            let (files, write) = (vec![at(read)], Some(at(write).join("w.pcap")));
            rules(&Input { files, write, rotate_size: Some(1), ..Input::default() }, false).keep
        };
        assert_eq!(kept("own", "own"), []);
        assert_eq!(kept("own/x.pcap", "own"), []);
        assert_eq!(kept("missing", "own"), []);
        assert_eq!(kept("other", "own"), [ReadAny]);
        assert_eq!(kept("other/x.pcap", "own"), [ReadAny]);
        assert_eq!(kept("own", "other"), [WriteAny]);
    }

    #[test]
    fn folders_end_where_names_have_a_time() {
        for (path, expected) in [
            ("x.pcap", "."),
            ("./x.pcap", "."),
            ("/a/b/x_%H.pcap", "/a/b"),
            ("/a/%Y/%m/x.pcap", "/a"),
            ("%Y/x.pcap", "."),
            ("/x.pcap", "/"),
        ] {
            assert_eq!(constant_folder(Path::new(path)), Some(PathBuf::from(expected)), "{path}");
        }
    }
}
