//! Panics of code of others that end where they begin, without a word on the terminal.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is being contained: nobody is to report it, nor to clean up after the program's end.
pub(crate) fn is_contained() -> bool {
    IS_CONTAINED.get()
}

/// The result of `work`; `None` if it panics. Panics of other threads are reported meanwhile, as always.
#[cfg_attr(
    not(feature = "descriptors"),
    expect(dead_code, reason = "only the library of descriptors may panic")
)]
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !is_contained() {
                before(panic);
            }
        }));
    });
    let before = IS_CONTAINED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IS_CONTAINED.set(before);
    result.ok()
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
}
