//! Opens files that are read once, from their beginning to their end, and that may be FIFOs: none is waited for without end.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a FIFO without a writer is waited for.
const WRITER: Duration = Duration::from_secs(10);

/// How long its writer may be silent, such as a command that first asks a server.
const SILENCE: Duration = Duration::from_secs(60);

/// A file that is read once. What never comes is an error of the kind [`ErrorKind::TimedOut`].
#[derive(Debug)]
pub struct Once {
    file: File,
    /// How long a writer and its next bytes are waited for; `None` for what is no FIFO.
    patience: Option<[Duration; 2]>,
}

impl Once {
    /// Opens it. That never waits.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::within(path, [WRITER, SILENCE])
    }

    fn within(path: &Path, patience: [Duration; 2]) -> io::Result<Self> {
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = File::options().read(true).custom_flags(flags).open(path)?;
        let is_fifo = file.metadata()?.file_type().is_fifo();
        Ok(Self { file, patience: is_fifo.then_some(patience) })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Waits for bytes until that time. `false`: all writers have closed it.
    fn wait(&self, until: Instant, what: &str) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| ErrorKind::InvalidInput)?;
        let mut all = [PollFd::new(&self.file, PollFlags::IN)];
        match poll(&mut all, Some(&left)) {
            Ok(0) => Err(io::Error::new(ErrorKind::TimedOut, what)),
            Ok(_) => Ok(all.iter().any(|fd| fd.revents().contains(PollFlags::IN))),
            Err(rustix::io::Errno::INTR) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Read for Once {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some([writer, silence]) = self.patience.filter(|_| !buffer.is_empty()) else {
            return self.file.read(buffer);
        };
        let began = Instant::now();
        loop {
            let goes_on = match self.file.read(buffer) {
                // Nobody has it open for writing: not yet, or no longer.
                Ok(0) => self.wait(began + writer, "is a pipe to which no program writes")?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(began + silence, "is a pipe whose writer is silent")?;
                    true
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => true,
                read => return read,
            };
            if !goes_on {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        (folder, path)
    }

    fn all(once: &mut Once) -> io::Result<String> {
        let mut text = String::new();
        once.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn a_fifo_is_read_to_its_end_whenever_its_writer_comes() {
        let (_folder, path) = fifo();
        let mut once = Once::within(&path, [HOUR; 2]).unwrap();
        let (sender, read) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            let mut first = [0; 4];
            once.read_exact(&mut first).unwrap();
            sender.send(first).unwrap();
            all(&mut once).unwrap()
        });
        let mut writer = File::options().write(true).open(&path).unwrap();
        writer.write_all(b"some").unwrap();
        // It is read before its end comes.
        assert_eq!(&read.recv().unwrap(), b"some");
        writer.write_all(b" more").unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap(), " more");
    }

    #[test]
    fn a_fifo_that_nobody_writes_to_and_a_silent_writer_are_given_up() {
        let (_folder, path) = fifo();
        let soon = Duration::from_millis(20);
        let mut once = Once::within(&path, [soon, HOUR]).unwrap();
        let error = all(&mut once).unwrap_err();
        assert!(error.kind() == ErrorKind::TimedOut && error.to_string().contains("no program"), "{error}");
        let mut once = Once::within(&path, [HOUR, soon]).unwrap();
        let mut writer = File::options().write(true).open(&path).unwrap();
        writer.write_all(b"begun").unwrap();
        let error = all(&mut once).unwrap_err();
        assert!(error.kind() == ErrorKind::TimedOut && error.to_string().contains("silent"), "{error}");
    }

    #[test]
    fn other_files_end_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "text").unwrap();
        assert_eq!(all(&mut Once::open(&path).unwrap()).unwrap(), "text");
        assert_eq!(all(&mut Once::open(Path::new("/dev/null")).unwrap()).unwrap(), "");
    }
}
