//! `--metrics`: a page for Prometheus: calls, how long they took, and how rpcscope itself is.

mod example;
mod format;
mod page;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use self::page::Board;
use crate::calls::Call;
use crate::pipeline::Totals;
use crate::source::live::Counters;

/// What became of spans, for the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Sent.
    pub sent: u64,
    /// Not sent.
    pub dropped: u64,
    /// Batches that wait.
    pub waiting: usize,
    /// Bytes of those that wait on disk, where they may.
    pub on_disk: Option<u64>,
}

/// The page: what is counted, and the socket where it is asked for.
pub struct Scrape {
    board: Arc<Mutex<Board>>,
}

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

impl Scrape {
    /// Serves the page in a thread of its own.
    pub fn start(listener: TcpListener, counters: Option<Arc<Counters>>) -> std::io::Result<Self> {
        let board = Arc::new(Mutex::new(Board::new(counters)));
        let shared = Arc::clone(&board);
        std::thread::Builder::new().name("metrics".into()).spawn(move || {
            server::serve(&listener, server::PATIENCE, &|format| {
                shared.lock().unwrap_or_else(PoisonError::into_inner).page(format)
            });
        })?;
        Ok(Self { board })
    }

    fn with(&self, change: impl FnOnce(&mut Board)) {
        change(&mut self.board.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Counts a call.
    pub fn call(&self, call: &Call) {
        self.with(|board| board.call(call));
    }

    /// Takes what was read so far.
    pub fn totals(&self, totals: &Totals) {
        self.with(|board| board.totals(totals));
    }

    /// Takes what became of spans.
    pub fn spans(&self, spans: Spans) {
        self.with(|board| board.spans = Some(spans));
    }
}

/// The address of `--metrics`: `9464` and `:9464` are the port on loopback; everything else names its address.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "expected a port, or an address with a port such as 0.0.0.0:9464".to_owned();
    let port = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = port.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    match text.strip_prefix("localhost:") {
        Some(port) => Ok(SocketAddr::from(([127, 0, 0, 1], port.parse::<u16>().map_err(|_| wrong())?))),
        None => text.parse().map_err(|_| wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_is_on_loopback() {
        for text in ["9464", ":9464", "localhost:9464", "127.0.0.1:9464"] {
            assert_eq!(address(text).unwrap().to_string(), "127.0.0.1:9464");
        }
        assert_eq!(address("0.0.0.0:1").unwrap().to_string(), "0.0.0.0:1");
        assert_eq!(address("[::]:1").unwrap().to_string(), "[::]:1");
        for text in ["", "x", "1.2.3.4", "99999", "host:1"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
