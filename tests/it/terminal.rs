#![expect(
    clippy::unwrap_used,
    reason = "a terminal that can't be opened or driven ends the test or the example"
)]
//! Runs a program in a pseudo-terminal: sends keys and reads the screen. Shared by the tests of the interface and the example
//! that makes the pictures of the documentation.

use std::io::{Read as _, Write};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long to wait for a screen; generous, because machines may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// A terminal with the program in it.
pub(crate) struct Session {
    screen: vt100::Parser,
    output: Receiver<Vec<u8>>,
    input: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
}

impl Session {
    /// Starts `program` in `folder`, in a terminal of this size.
    pub(crate) fn open(program: &Path, arguments: &[&Path], folder: &Path, (cols, rows): (u16, u16)) -> Self {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        command.cwd(folder);
        command.env("TERM", "xterm-256color");
        command.env("TZ", "UTC");
        command.env("PAGER", "");
        // Whoever runs the tests may have one.
        command.env("RPCSCOPE_CONFIG", "");
        let child = pair.slave.spawn_command(command).unwrap();
        let mut reader = pair.master.try_clone_reader().unwrap();
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        let input = pair.master.take_writer().unwrap();
        Self {
            screen: vt100::Parser::new(cells(rows), cells(cols), 0),
            output,
            input,
            child,
            master: pair.master,
        }
    }

    /// Types.
    pub(crate) fn keys(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    /// The screen as text.
    pub(crate) fn contents(&self) -> String {
        self.screen.screen().contents()
    }

    /// Waits until the screen satisfies a condition.
    pub(crate) fn wait(&mut self, what: &str, wanted: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !wanted(self.screen.screen()) {
            match self.output.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.screen.process(&bytes),
                Err(RecvTimeoutError::Timeout) => panic!("never seen: {what}\n{}", self.contents()),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("ended before: {what}\n{}", self.contents())
                }
            }
        }
    }

    /// Waits until a text is on the screen.
    pub(crate) fn wait_for(&mut self, text: &str) {
        self.wait(text, |screen| screen.contents().contains(text));
    }

    /// Waits for the end of the program and of its output.
    pub(crate) fn end(&mut self) -> ExitStatus {
        let status = self.child.wait().unwrap();
        let until = Instant::now() + DEADLINE;
        // The last bytes may still be on their way; the program has left the alternate screen when all have arrived.
        while self.screen.screen().alternate_screen() {
            let Ok(bytes) = self.output.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                break;
            };
            self.screen.process(&bytes);
        }
        status
    }

    /// The screen.
    pub(crate) fn screen(&self) -> &vt100::Screen {
        self.screen.screen()
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&mut self, (cols, rows): (u16, u16)) {
        self.screen.screen_mut().set_size(cells(rows), cells(cols));
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }
}

fn cells(n: u16) -> NonZero<u16> {
    NonZero::new(n).expect("a terminal has rows and columns")
}
