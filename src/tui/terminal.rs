//! The terminal while the interface has it: taken once, given back whatever happens.

use std::io::{self, Stdout, Write as _};
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

/// Whether the terminal is ours at the moment; a panic anywhere asks for it.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// A panic gave the terminal back: nothing may be drawn any more.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal; dropping it gives it back.
pub(super) struct Screen {
    pub terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    /// Takes the terminal, and sees to it that a panic of any thread gives it back before the message is printed.
    pub(super) fn new() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, Ordering::SeqCst);
            give_back();
            before(panic);
        }));
        take()?;
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout())).inspect_err(|_| give_back())?;
        Ok(Self { terminal })
    }

    /// Whether a panic has given the terminal back.
    pub(super) fn is_lost() -> bool {
        PANICKED.load(Ordering::SeqCst)
    }

    /// Gives the terminal back, stops this process as Ctrl-Z does elsewhere, and takes the terminal again on return.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
        take()?;
        self.forget()
    }

    /// Empties the screen, so that the next drawing writes all of it. [`Terminal::clear`] asks the terminal where the
    /// cursor is and would wait for an answer that the thread which reads the keys has taken.
    pub(super) fn forget(&mut self) -> io::Result<()> {
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }

    /// Puts text into the clipboard of the terminal (OSC 52), also over ssh.
    pub(super) fn copy(text: &str) -> io::Result<()> {
        execute!(io::stdout(), clipboard::CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn take() -> io::Result<()> {
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
    .inspect_err(|_| give_back())
}

/// Safe to be called at any time and any number of times.
fn give_back() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        // What can't be restored here can't be restored at all; nobody is left to be told.
        _ = execute!(io::stdout(), DisableBracketedPaste, DisableMouseCapture, LeaveAlternateScreen, Show);
        _ = disable_raw_mode();
        _ = io::stdout().flush();
    }
}
