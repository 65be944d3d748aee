//! The numbers of descriptors of live captures.
//!
//! The kernel lets a packet socket write, and system call filters know a descriptor only by its number. So captures get numbers above
//! those of everything else, and the sandbox denies to send from there on. A new file gets the lowest number that is free, which
//! is never one of these, even after a capture was closed.

use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The lowest number of a capture. All other files of a live run are far fewer.
const LOWEST: u64 = 512;
/// How many numbers the captures have.
const CAPTURES: u64 = 512;

/// Takes all numbers below those of captures, so that what is opened next gets the numbers above. They are free again when this is
/// dropped.
pub(super) struct Occupied {
    taken: Vec<OwnedFd>,
    lowest: u32,
}

impl Occupied {
    /// Takes the numbers; with a low `RLIMIT_NOFILE`, half of what it permits.
    pub(super) fn new() -> Result<Self, Errno> {
        let limit = getrlimit(Resource::Nofile);
        let (current, maximum) = (limit.current.unwrap_or(u64::MAX), limit.maximum.unwrap_or(u64::MAX));
        let wanted = (LOWEST + CAPTURES).min(maximum).max(current);
        // More is always permitted up to the maximum.
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
        let permitted = if setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { current };
        let lowest = LOWEST.min(permitted / 2);
        // It needs no file: an image of nothing but the program has no /dev/null.
        let mut free = eventfd(0, EventfdFlags::CLOEXEC)?;
        let mut taken = Vec::new();
        while (free.as_raw_fd() as u64) < lowest {
            let next = fcntl_dupfd_cloexec(&free, 0)?;
            taken.push(std::mem::replace(&mut free, next));
        }
        Ok(Self { taken, lowest: lowest as u32 })
    }

    /// The lowest number of a capture.
    pub(super) fn lowest(&self) -> u32 {
        debug_assert!(self.taken.iter().all(|taken| (taken.as_raw_fd() as u32) < self.lowest));
        self.lowest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_opened_meanwhile_is_above_and_what_is_opened_later_below() {
        let occupied = Occupied::new().unwrap();
        let lowest = occupied.lowest();
        assert_eq!(u64::from(lowest), LOWEST);
        let number = |file: &std::fs::File| file.as_raw_fd() as u32;
        let above = std::fs::File::open("/dev/null").unwrap();
        assert!(number(&above) >= lowest);
        drop(occupied);
        let below = std::fs::File::open("/dev/null").unwrap();
        assert!(number(&below) < lowest);
        drop(above);
        assert!(number(&std::fs::File::open("/dev/null").unwrap()) < lowest);
    }
}
