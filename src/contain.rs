//! Panics that end where they begin, so that they cost one record, link or body and not the run.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::text;

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
    /// What the last panic that was contained said, and where.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Longest text of a fault: what panics say may quote what was on the wire.
const SAID_WIDTH: usize = 200;

/// A panic that was contained: what it said and where, for whoever reports it.
#[derive(Debug)]
pub(crate) struct Fault(String);

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a fault of this program ({})", self.0)
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        Self::other(fault.to_string())
    }
}

/// Whether a panic of this thread is being contained: nobody is to report it, nor to clean up after the program's end.
pub(crate) fn is_contained() -> bool {
    IS_CONTAINED.get()
}

/// The result of `work`, or how it panicked. Panics of other threads are reported meanwhile, as always.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Fault> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if is_contained() {
                SAID.with_borrow_mut(|said| *said = words(panic));
            } else {
                before(panic);
            }
        }));
    });
    let before = IS_CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(before);
    result.map_err(|_| Fault(SAID.take()))
}

/// The result of `work`; `None` if it panics.
#[cfg_attr(
    not(feature = "descriptors"),
    expect(dead_code, reason = "only the library of descriptors may panic")
)]
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    caught(work).ok()
}

/// What a panic says, and where.
fn words(panic: &PanicHookInfo<'_>) -> String {
    let payload: &dyn Any = panic.payload();
    let said =
        payload.downcast_ref::<&str>().copied().or(payload.downcast_ref::<String>().map(String::as_str));
    let place = panic.location().map(|place| format!("{place}: ")).unwrap_or_default();
    text::cut_end(&text::escape(&format!("{place}{}", said.unwrap_or("a panic"))), SAID_WIDTH).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn only_panics_within_are_silent() {
        static HEARD: AtomicUsize = AtomicUsize::new(0);
        assert_eq!(contained(|| 7), Some(7));
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let ours = panic.payload().downcast_ref::<&str>() == Some(&"ours");
            if ours && !is_contained() {
                HEARD.fetch_add(1, Ordering::Relaxed);
            } else if !ours {
                before(panic);
            }
        }));
        let nested = contained(|| (contained(|| panic!("ours")), is_contained()));
        assert_eq!(nested, Some((None::<()>, true)));
        assert_eq!((contained(|| panic!("ours")), is_contained()), (None::<()>, false));
        assert_eq!(HEARD.load(Ordering::Relaxed), 0);
        assert!(thread::spawn(|| panic!("ours")).join().is_err());
        assert_eq!(HEARD.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_was_contained_says_where() {
        let fault = caught(|| panic!("theirs {}\u{1b}", 7)).map(|(): ()| ()).unwrap_err().to_string();
        assert!(fault.starts_with("a fault of this program (src/contain.rs:"), "{fault}");
        assert!(fault.ends_with(": theirs 7\\x1b)"), "{fault}");
    }
}
