//! Small processes for what the sandbox forbids: the program itself, started anew before it gives up its rights.
//!
//! Each does one thing, on request over a socket to its parent, which is its only way in and out. It never sees a packet,
//! takes requests of bounded length, ends when its parent ends, and lives in a sandbox of its own:
//!
//! | task | request | answer | its rights |
//! | --- | --- | --- | --- |
//! | processes | a byte | the sockets of this host and the processes that hold them | root keeps `CAP_SYS_PTRACE` and `CAP_DAC_READ_SEARCH`; no file may be written. Landlock would hide other processes, so seccomp does it |
//! | files | length, `c` and path | a new, empty file with this name, open for writing, or why not | files may only be created, and none be read |
//! | | length, `l` and path | the names in this folder, or why not | names of files may be read |
//! | config | length and changes ([`Change::encode`]) | that they are in the config file, or why not | the folder of the config file, or the nearest above it that is there |
//!
//! A parent that was taken over can ask for any path, so only the endings of exports are accepted, and no file that exists:
//! there is no program that such a file could start. Of the config file it can set what the interface keeps: colours, columns, order and
//! times of the lists, and filters with names. The file is the one that the environment named at the start.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

use crate::config::{self, Change};
use crate::folder;
use crate::process::{HeldSocket, Scanner, wire};
use crate::sandbox::{self, Capability, Rules, paths, syscalls};
use crate::source::privileges::Successor;

/// Maximum length of a path in bytes, as in the kernel.
const MAX_PATH: usize = 4096;
/// Maximum length of an error text in bytes.
const MAX_TEXT: usize = 4096;
/// The name under which a helper runs. It is no command, so nobody types it by mistake, and no file has to be told from it.
const NAME: &str = "rpcscope-helper";
/// Endings of the files that may be created.
const ENDINGS: [&str; 2] = ["jsonl", "pcapng"];
/// Maximum length of the names in a folder, in bytes.
const MAX_NAMES: usize = 1 << 20;
/// Requests of [`Task::Files`], before their path.
const CREATE: u8 = b'c';
const LIST: u8 = b'l';
/// The answer to a request: the file comes with the first byte, names follow, or an error number (4 bytes, 0 if none) and a text.
const CREATED: u8 = 0;
const REFUSED: u8 = 1;
const LISTED: u8 = 2;
const SAVED: u8 = 3;
/// Maximum length of changes of the config file, in bytes.
const MAX_CHANGES: usize = 64 << 10;

/// What a helper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Finds the processes of sockets.
    Processes,
    /// Creates files.
    Files,
    /// Writes the config file.
    Config,
}

/// All of them.
const TASKS: [Task; 3] = [Task::Processes, Task::Files, Task::Config];

impl Task {
    fn name(self) -> &'static str {
        match self {
            Self::Processes => "processes",
            Self::Files => "files",
            Self::Config => "config",
        }
    }
}

/// A running helper. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    /// `None` only while it ends.
    stream: Option<UnixStream>,
    child: Child,
}

impl Helper {
    /// Starts a helper, which switches to `user`. Call this before anything is opened that it must not inherit.
    pub(crate) fn start(task: Task, user: Option<&Successor>) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new("/proc/self/exe");
        command.arg0(NAME).arg(task.name());
        if let Some(user) = user {
            command.args([user.uid().to_string(), user.gid().to_string()]);
        }
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        // Signals of the terminal are for the parent.
        command.process_group(0);
        Ok(Self { stream: Some(ours), child: command.spawn()? })
    }

    fn stream(&self) -> io::Result<&UnixStream> {
        self.stream.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// The sockets of this host. Only of a helper for [`Task::Processes`].
    pub(crate) fn scan(&mut self) -> io::Result<Vec<HeldSocket>> {
        let mut stream = self.stream()?;
        stream.write_all(&[0])?;
        let table = read_block(&mut stream, wire::MAX_TABLE)?;
        wire::decode(&table).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// Creates a file. Only of a helper for [`Task::Files`].
    pub(crate) fn create(&mut self, path: &Path) -> io::Result<File> {
        let mut stream = self.stream()?;
        write_block(&mut stream, &[&[CREATE], path.as_os_str().as_bytes()].concat())?;
        let mut kind = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(stream, &mut [IoSliceMut::new(&mut kind)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the process that creates files has ended"));
        }
        if kind == [REFUSED] {
            return Err(read_refusal(&mut stream)?);
        }
        let mut files = ancillary.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut files) => files.next(),
            _ => None,
        });
        files.next().map(File::from).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// The names in a folder, those of folders with a slash at their end. Only of a helper for [`Task::Files`].
    pub(crate) fn names(&mut self, folder: &Path) -> io::Result<Vec<String>> {
        let mut stream = self.stream()?;
        write_block(&mut stream, &[&[LIST], folder.as_os_str().as_bytes()].concat())?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        if kind == [REFUSED] {
            return Err(read_refusal(&mut stream)?);
        }
        let names = read_block(&mut stream, MAX_NAMES)?;
        let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
        Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
    }

    /// Makes changes in the config file. Only of a helper for [`Task::Config`].
    pub(crate) fn save(&mut self, changes: &[Change]) -> io::Result<()> {
        let mut stream = self.stream()?;
        let changes = Change::encode(changes);
        if changes.len() > MAX_CHANGES {
            return Err(io::Error::other("too long for a config file"));
        }
        write_block(&mut stream, changes.as_bytes())?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        if kind == [REFUSED] { Err(read_refusal(&mut stream)?) } else { Ok(()) }
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It ends at the end of its requests.
        self.stream = None;
        _ = self.child.wait();
    }
}

/// Runs as a helper if the program was started as one. Nobody reads its messages.
pub fn main(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.next()? != NAME {
        return None;
    }
    let served = requested(arguments).ok_or_else(|| "not started by rpcscope".to_owned());
    Some(match served.and_then(|(task, user)| serve(task, user)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    })
}

/// The task, and the numbers of user and group.
fn requested(mut arguments: impl Iterator<Item = OsString>) -> Option<(Task, Option<(u32, u32)>)> {
    let name = arguments.next()?;
    let task = TASKS.into_iter().find(|task| task.name() == name)?;
    let mut number = || Some(arguments.next()?.to_str().and_then(|text| text.parse().ok()));
    match (number(), number()) {
        (None, None) => Some((task, None)),
        (Some(Some(user)), Some(Some(group))) => Some((task, Some((user, group)))),
        _ => None,
    }
}

/// The whole life of a helper. Its requests come from standard input. If it can't give up a right, it serves nothing and says
/// why.
fn serve(task: Task, user: Option<(u32, u32)>) -> Result<(), String> {
    sandbox::forbid_new_privileges()?;
    let keep: &[Capability] = match (task, user) {
        (Task::Processes, _) => &[Capability::SeeProcesses, Capability::ReadAny],
        // The user's rights suffice. Root's exports may go to any folder.
        (Task::Files, Some(_)) | (Task::Config, _) => &[],
        (Task::Files, None) => &[Capability::WriteAny],
    };
    match user {
        Some((uid, gid)) => Successor::numbered(uid, gid).take_over(keep)?,
        None => sandbox::capabilities::keep_only(keep)?,
    }
    let stream = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from);
    let stream = stream.map_err(|error| error.to_string())?;
    let served = match task {
        Task::Processes => {
            syscalls::restrict(syscalls::Role::Reading, syscalls::Open::default())?;
            serve_scans(&stream)
        }
        Task::Files => {
            paths::restrict(&Rules { create: vec!["/".into()], list: vec!["/".into()], ..Rules::default() })?;
            syscalls::restrict(syscalls::Role::Creating, syscalls::Open::default())?;
            serve_files(&stream)
        }
        Task::Config => {
            let (path, _) = config::path(|name| std::env::var_os(name)).ok_or("there is no config file")?;
            let path = config::real(&path);
            // A new file has the mode that it is created with: changing modes is denied below.
            rustix::process::umask(rustix::fs::Mode::empty());
            paths::restrict(&Rules { fill: vec![config::folder(&path).into()], ..Rules::default() })?;
            syscalls::restrict(syscalls::Role::Analysis, syscalls::Open::default())?;
            let home = std::env::var_os("HOME").map(PathBuf::from);
            serve_changes(&stream, |changes| config::save(&path, home.as_deref(), changes))
        }
    };
    match served {
        // The parent has ended.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(()),
        other => other.map_err(|error| error.to_string()),
    }
}

fn serve_scans(mut stream: &UnixStream) -> io::Result<()> {
    let mut scanner = Scanner::default();
    loop {
        stream.read_exact(&mut [0])?;
        write_block(&mut stream, &wire::encode(&scanner.scan(Path::new("/proc"))))?;
    }
}

fn serve_files(mut stream: &UnixStream) -> io::Result<()> {
    loop {
        let mut request = read_block(&mut stream, MAX_PATH + 1)?;
        let is_list = request.first() == Some(&LIST);
        let path = PathBuf::from(OsString::from_vec(request.split_off(request.len().min(1))));
        if is_list {
            match folder::names(&path) {
                Ok(names) => {
                    stream.write_all(&[LISTED])?;
                    write_block(&mut stream, head(names.join("\0").as_bytes(), MAX_NAMES))?;
                }
                Err(error) => refuse(&mut stream, &error)?,
            }
            continue;
        }
        match create(&path) {
            Ok(file) => {
                let files = [file.as_fd()];
                let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                ancillary.push(SendAncillaryMessage::ScmRights(&files));
                sendmsg(stream, &[IoSlice::new(&[CREATED])], &mut ancillary, SendFlags::NOSIGNAL)?;
            }
            Err(error) => refuse(&mut stream, &error)?,
        }
    }
}

fn serve_changes(
    mut stream: &UnixStream,
    mut save: impl FnMut(&[Change]) -> Result<(), String>,
) -> io::Result<()> {
    loop {
        let request = read_block(&mut stream, MAX_CHANGES)?;
        let changes = String::from_utf8(request).ok().and_then(|text| Change::decode(&text));
        match changes
            .ok_or_else(|| "no change of the interface".to_owned())
            .and_then(|changes| save(&changes))
        {
            Ok(()) => stream.write_all(&[SAVED])?,
            Err(why) => refuse(&mut stream, &io::Error::other(why))?,
        }
    }
}

/// The first bytes.
fn head(bytes: &[u8], limit: usize) -> &[u8] {
    bytes.get(..limit).unwrap_or(bytes)
}

fn refuse(stream: &mut impl Write, error: &io::Error) -> io::Result<()> {
    stream.write_all(&[REFUSED])?;
    stream.write_all(&error.raw_os_error().unwrap_or(0).to_le_bytes())?;
    write_block(stream, head(error.to_string().as_bytes(), MAX_TEXT))
}

/// Reads what [`refuse`] wrote after its first byte.
fn read_refusal(stream: &mut impl Read) -> io::Result<io::Error> {
    let mut number = [0; 4];
    stream.read_exact(&mut number)?;
    let text = read_block(stream, MAX_TEXT)?;
    Ok(match i32::from_le_bytes(number) {
        0 => io::Error::other(String::from_utf8_lossy(&text).into_owned()),
        number => io::Error::from_raw_os_error(number),
    })
}

/// Creates a new file for an export.
fn create(path: &Path) -> io::Result<File> {
    let is_export =
        path.extension().is_some_and(|found| ENDINGS.iter().any(|ending| found.eq_ignore_ascii_case(ending)));
    if !is_export {
        return Err(io::Error::new(
            ErrorKind::PermissionDenied,
            "name it .jsonl or .pcapng (--no-sandbox allows any name)",
        ));
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Reads a block: its length (4 bytes, little-endian), then its bytes.
fn read_block(stream: &mut impl Read, max: usize) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > max {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut block = vec![0; len];
    stream.read_exact(&mut block)?;
    Ok(block)
}

fn write_block(stream: &mut impl Write, block: &[u8]) -> io::Result<()> {
    stream.write_all(&(block.len() as u32).to_le_bytes())?;
    stream.write_all(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_new_files_with_the_endings_of_exports_are_created() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["calls.jsonl", "PACKETS.PCAPNG", ".hidden.jsonl"] {
            let path = folder.path().join(name);
            create(&path).unwrap().write_all(b"x").unwrap();
            assert_eq!(create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists, "{name}");
            assert_eq!(std::fs::read(&path).unwrap(), b"x");
        }
        for name in ["calls", ".bashrc", "jsonl", ".jsonl", "x.jsonl.sh", "x.json", "authorized_keys", ""] {
            assert!(create(&folder.path().join(name)).is_err(), "{name}");
        }
        // A link that leads somewhere else is not followed.
        let link = folder.path().join("link.jsonl");
        std::os::unix::fs::symlink(folder.path().join("elsewhere.sh"), &link).unwrap();
        assert_eq!(create(&link).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }

    #[test]
    fn only_the_name_makes_a_helper() {
        let requested = |line: &str| requested(line.split_whitespace().map(OsString::from));
        assert_eq!(requested("processes"), Some((Task::Processes, None)));
        assert_eq!(requested("files 1000 100"), Some((Task::Files, Some((1000, 100)))));
        assert_eq!(requested("config"), Some((Task::Config, None)));
        for wrong in ["", "other", "files 1000", "files x 100", "files 1000 -1"] {
            assert_eq!(requested(wrong), None, "{wrong}");
        }
        for line in [&["rpcscope"][..], &["rpcscope", "rpcscope-helper"], &["/bin/rpcscope-helper"], &[]] {
            assert!(main(line.iter().map(OsString::from)).is_none(), "{line:?}");
        }
    }

    #[test]
    fn blocks_are_bounded() {
        let mut bytes = Vec::new();
        write_block(&mut bytes, b"four").unwrap();
        assert_eq!(read_block(&mut bytes.as_slice(), 4).unwrap(), b"four");
        assert_eq!(read_block(&mut bytes.as_slice(), 3).unwrap_err().kind(), ErrorKind::InvalidData);
        bytes.pop();
        assert_eq!(read_block(&mut bytes.as_slice(), 4).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    /// Serves requests in a thread, without giving up rights.
    fn serving(
        serve: impl FnOnce(&UnixStream) -> io::Result<()> + Send + 'static,
        act: impl FnOnce(&mut Helper),
    ) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve(&theirs));
        let child = Command::new("true").spawn().unwrap();
        let mut helper = Helper { stream: Some(ours), child };
        act(&mut helper);
        drop(helper);
        // The end of the requests is the end of the server.
        assert_eq!(server.join().unwrap().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[test]
    fn files_come_over_the_socket_or_the_reason_why_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls.jsonl");
        let named = path.clone();
        serving(serve_files, move |helper| {
            helper.create(&named).unwrap().write_all(b"a record").unwrap();
            let again = helper.create(&named).unwrap_err().to_string();
            assert!(again.contains("exists"), "{again}");
            let other = helper.create(Path::new("/etc/cron.d/x")).unwrap_err().to_string();
            assert!(other.contains("--no-sandbox"), "{other}");
            let missing = helper.create(Path::new("/no/such/folder/x.jsonl")).unwrap_err().to_string();
            assert!(missing.contains("No such file"), "{missing}");
            let kind = helper.create(Path::new("/no/such/folder/x.jsonl")).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::NotFound);
        });
        assert_eq!(std::fs::read(path).unwrap(), b"a record");
    }

    #[test]
    fn names_come_over_the_socket_or_the_reason_why_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        std::fs::write(folder.path().join("b"), "").unwrap();
        let named = folder.path().to_owned();
        serving(serve_files, move |helper| {
            assert_eq!(helper.names(&named).unwrap(), ["b", "sub/"]);
            assert!(helper.names(&named.join("sub")).unwrap().is_empty());
            let missing = helper.names(Path::new("/no/such/folder")).unwrap_err();
            assert_eq!(missing.kind(), ErrorKind::NotFound);
            assert!(helper.names(&named.join("b")).is_err());
        });
    }

    #[test]
    fn changes_of_the_config_file_go_over_the_socket_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let file = path.clone();
        let serve =
            move |stream: &UnixStream| serve_changes(stream, |changes| config::save(&file, None, changes));
        serving(serve, |helper| {
            helper.save(&[Change::word("time", "utc"), Change::filter("ok", "class == ok")]).unwrap();
            let wrong = helper.save(&[Change::word("time", "noon")]).unwrap_err().to_string();
            assert!(wrong.contains("time is \"noon\""), "{wrong}");
            let other = helper.save(&[Change::word("names", "/etc/shadow")]).unwrap_err().to_string();
            assert_eq!(other, "no change of the interface");
            let long = "x".repeat(MAX_CHANGES);
            assert!(helper.save(&[Change::filter("long", &long)]).is_err());
        });
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text, "time = \"utc\"\n\n[filters]\nok = \"class == ok\"\n");
    }

    #[test]
    fn sockets_of_this_process_come_over_the_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        serving(serve_scans, move |helper| {
            let sockets = helper.scan().unwrap();
            let listening = sockets.iter().find(|socket| socket.own.port == port && socket.peer.is_none());
            let process = listening.unwrap().process.clone().unwrap();
            assert_eq!(process.pid, std::process::id());
        });
    }

    #[test]
    fn a_long_path_ends_the_service() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let server = std::thread::spawn(move || serve_files(&theirs));
        ours.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert_eq!(server.join().unwrap().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
