//! The terminal: set up once, and restored whatever happens.

use std::io::{self, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, SetTitle, disable_raw_mode, enable_raw_mode,
};
use crossterm::{clipboard, execute};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// Whether the terminal is set up for the interface at the moment; any thread may ask when it panics.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// A panic has restored the terminal, so nothing may be drawn any more.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Standard output as long as the terminal is set up; nothing after that. [`Terminal`] shows the cursor when it is dropped, and panics if
/// that fails and standard error is the same closed terminal.
pub(super) struct Output(Stdout);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if TAKEN.load(Ordering::SeqCst) { self.0.write(bytes) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        if TAKEN.load(Ordering::SeqCst) { self.0.flush() } else { Ok(()) }
    }
}

/// The terminal; dropping it restores it.
pub(super) struct Screen {
    pub terminal: Terminal<CrosstermBackend<Output>>,
}

fn terminal() -> io::Result<Terminal<CrosstermBackend<Output>>> {
    Terminal::new(CrosstermBackend::new(Output(io::stdout())))
}

impl Screen {
    /// Sets the terminal up, and makes a panic of any thread restore it before the message is printed.
    pub(super) fn new() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !crate::contain::is_contained() {
                PANICKED.store(true, Ordering::SeqCst);
                restore();
            }
            before(panic);
        }));
        set_up()?;
        let terminal = terminal().inspect_err(|_| restore())?;
        Ok(Self { terminal })
    }

    /// Whether a panic has restored the terminal.
    pub(super) fn is_lost() -> bool {
        PANICKED.load(Ordering::SeqCst)
    }

    /// Restores the terminal, stops this process as Ctrl-Z usually does, and sets the terminal up again afterwards.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        restore();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        set_up()?;
        self.forget()
    }

    /// Clears the screen, so that the next drawing writes all of it. [`Terminal::clear`] would ask the terminal for the
    /// position of the cursor and wait for an answer that goes to the thread that reads the keys.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = terminal()?;
        Ok(())
    }

    /// Makes the next drawing write all of the screen, without clearing it: other programs may have written over it.
    pub(super) fn distrust(&mut self) {
        let buffer = self.terminal.current_buffer_mut();
        // A sign of private use: what the drawing has differs from it everywhere.
        buffer.content.iter_mut().for_each(|cell| _ = cell.set_symbol("\u{10fffd}"));
        self.terminal.swap_buffers();
    }

    /// Puts text into the clipboard of the terminal (OSC 52), which also works over ssh.
    pub(super) fn copy(text: &str) -> io::Result<()> {
        execute!(io::stdout(), clipboard::CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn set_up() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(
        io::stdout(),
        EnterAlternateScreen,
        EnableMouseCapture,
        EnableBracketedPaste,
        Hide,
        SetTitle("rpcscope")
    )
    .inspect_err(|_| restore())
}

/// Can be called at any time and any number of times.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // The terminal is gone if this fails, so there is no place for a message.
        _ = execute!(io::stdout(), DisableBracketedPaste, DisableMouseCapture, LeaveAlternateScreen, Show);
        _ = disable_raw_mode();
        _ = io::stdout().flush();
    }
}
