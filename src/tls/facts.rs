//! What a connection's record says of its TLS.

use rpcscope_parsers::tls::hello::{ClientHello, ServerHello};
use rpcscope_parsers::tls::{Suite, Version, alert};

/// Longest protocol name that is kept, in bytes.
const MAX_ALPN: usize = 64;

/// An alert that is more than the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Alert {
    /// The client sent it.
    pub by_client: bool,
    /// Its number; `None` if it was encrypted and not read.
    pub number: Option<u8>,
}

impl Alert {
    /// Its number, its name and its sender: `48 unknown_ca, from the client`.
    #[must_use]
    pub fn text(self) -> String {
        let sender = if self.by_client { "the client" } else { "the server" };
        match self.number {
            Some(number) => format!("{number} {}, from {sender}", alert::name(number)),
            None => format!("encrypted, from {sender}"),
        }
    }
}

/// Why the records of a connection are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nobody named a key log, and the capture carries none.
    NoKeys,
    /// The key logs have no line for this connection.
    NoLine,
    /// They have lines, but none for the early data, which the server has taken.
    NoEarlyLine,
    /// The handshake was not captured, and no secret opens what was.
    NoHandshake,
    /// The suite is not one of those that are read.
    Suite,
    /// TLS 1.1 or older.
    Version(Version),
    /// There is a line, but it does not open the records.
    WrongKey,
    /// After a loss, no record opened any more.
    OutOfStep,
    /// Keys came, but by then what waited for them had been dropped, or a part of it.
    TooLate,
    /// An alert ended the handshake.
    Refused(Alert),
    /// A side ended the connection during the handshake.
    Ended {
        /// It was the client.
        by_client: bool,
        /// By RST.
        by_reset: bool,
    },
    /// The server has not answered the client's first message.
    Unanswered,
    /// It is not TLS after all.
    NotTls,
    /// A second handshake inside the first (TLS 1.2), for which the key logs have no line.
    Renegotiated,
}

impl Reason {
    /// In words, for the connection's record and the summary.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NoKeys => "TLS without keys",
            Self::NoLine => "TLS without a line in the key log",
            Self::NoEarlyLine => "TLS whose early data has no line in the key log",
            Self::NoHandshake => "TLS whose handshake was not captured",
            Self::Suite => "TLS with a cipher suite that is not read",
            Self::Version(Version(0x0302)) => "TLS 1.1, which is not read",
            Self::Version(Version(0x0301)) => "TLS 1.0, which is not read",
            Self::Version(Version(0x0300)) => "SSL 3.0, which is not read",
            Self::Version(_) => "TLS of an unknown version, which is not read",
            Self::WrongKey => "TLS that the line in the key log does not open",
            Self::OutOfStep => "TLS that was not found again after a loss",
            Self::TooLate => "TLS whose keys came too late",
            Self::Refused(Alert { number: Some(number), .. }) => alert::failure(number),
            Self::Refused(Alert { number: None, by_client: true }) => {
                "TLS handshake failed: an encrypted alert of the client"
            }
            Self::Refused(Alert { number: None, by_client: false }) => {
                "TLS handshake failed: an encrypted alert of the server"
            }
            Self::Ended { by_client: true, by_reset: false } => "TLS handshake that the client closed",
            Self::Ended { by_client: true, by_reset: true } => "TLS handshake that the client reset",
            Self::Ended { by_client: false, by_reset: false } => "TLS handshake that the server closed",
            Self::Ended { by_client: false, by_reset: true } => "TLS handshake that the server reset",
            Self::Unanswered => "TLS handshake that the server did not answer",
            Self::NotTls => "TLS that was not answered in TLS",
            Self::Renegotiated => "TLS whose second handshake has no line in the key log",
        }
    }
}

/// What is known of a connection's TLS, with keys or without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version, as far as it is known.
    pub version: Option<Version>,
    /// The number of the cipher suite.
    pub suite: Option<u16>,
    /// The name of the server that the client wants to reach.
    pub server_name: Option<String>,
    /// The application's protocol: what the server has chosen, else what the client offers.
    pub alpn: Option<String>,
    /// Names in the server's certificate; TLS 1.3 encrypts it.
    pub certificate: Vec<String>,
    /// Why the records are not read.
    pub reason: Option<Reason>,
    /// The number of the first record that the key did not open.
    pub failed_record: Option<u64>,
    /// Bytes of ciphertext that were dropped before their keys came.
    pub dropped: u64,
    /// An alert during the handshake, other than that the connection ends.
    pub alert: Option<Alert>,
}

fn text(bytes: &[u8], limit: usize) -> String {
    String::from_utf8_lossy(bytes.get(..bytes.len().min(limit)).unwrap_or_default()).into_owned()
}

impl Facts {
    pub(super) fn client_hello(&mut self, hello: &ClientHello<'_>) {
        self.server_name = self.server_name.take().or_else(|| hello.server_name.map(|name| text(name, 255)));
        if self.alpn.is_none() {
            let offered: Vec<String> = hello.protocols().map(|name| text(name, MAX_ALPN)).collect();
            self.alpn = (!offered.is_empty()).then(|| offered.join(","));
        }
    }

    pub(super) fn server_hello(&mut self, hello: &ServerHello<'_>) {
        self.version = Some(hello.version);
        self.suite = Some(hello.suite);
        self.chosen(hello.alpn);
    }

    pub(super) fn chosen(&mut self, alpn: Option<&[u8]>) {
        if let Some(chosen) = alpn {
            self.alpn = Some(text(chosen, MAX_ALPN));
        }
    }

    /// The cipher suite as people write it.
    #[must_use]
    pub fn suite_name(&self) -> Option<String> {
        let number = self.suite?;
        Some(Suite::name(number).map_or_else(|| format!("0x{number:04x}"), str::to_owned))
    }

    /// All of it as names and texts.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        let certificate = (!self.certificate.is_empty()).then(|| self.certificate.join(", "));
        [
            ("version", self.version.map(|version| version.name().to_owned())),
            ("suite", self.suite_name()),
            ("server_name", self.server_name.clone()),
            ("alpn", self.alpn.clone()),
            ("certificate", certificate),
            ("dropped", (self.dropped > 0).then(|| format!("{} bytes before their keys came", self.dropped))),
            ("alert", self.alert.map(Alert::text)),
            ("reason", self.reason_text()),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), text?)))
        .collect()
    }

    /// What the handshake shows, in one line: `TLS 1.3, TLS_AES_128_GCM_SHA256, server name a.example, ALPN h2`. May hold
    /// control characters.
    #[must_use]
    pub fn summary(&self) -> String {
        let version = self.version.map_or("TLS", Version::name).to_owned();
        let named = |what: &str, name: &Option<String>| name.as_ref().map(|name| format!("{what} {name}"));
        let certificate =
            (!self.certificate.is_empty()).then(|| format!("certificate of {}", self.certificate.join(", ")));
        let dropped =
            (self.dropped > 0).then(|| format!("{} bytes dropped before their keys came", self.dropped));
        let parts = [
            Some(version),
            self.suite_name(),
            named("server name", &self.server_name),
            named("ALPN", &self.alpn),
            certificate,
            dropped,
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Why the records are not read, with what is known of it.
    #[must_use]
    pub fn reason_text(&self) -> Option<String> {
        let reason = self.reason?;
        let words = reason.words();
        Some(match (reason, self.failed_record) {
            (Reason::WrongKey, Some(number)) => format!("{words} (record {number})"),
            (Reason::TooLate, _) => format!("{words} ({} bytes were dropped)", self.dropped),
            (Reason::Suite, _) => self
                .suite_name()
                .map_or_else(|| words.to_owned(), |suite| format!("cipher suite {suite} is not read")),
            _ => words.to_owned(),
        })
    }
}
