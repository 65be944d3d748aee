//! Lines of a key log: `LABEL CLIENT_RANDOM SECRET`, both in hexadecimal (RFC 9850, section 2).

use super::secret::Secret;

/// The random of a `ClientHello`, by which a key log names the connection.
pub type Random = [u8; 32];

/// The secret that a line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Label {
    /// `CLIENT_RANDOM`: the master secret of TLS 1.2.
    Master,
    /// `CLIENT_EARLY_TRAFFIC_SECRET`.
    ClientEarly,
    /// `CLIENT_HANDSHAKE_TRAFFIC_SECRET`.
    ClientHandshake,
    /// `SERVER_HANDSHAKE_TRAFFIC_SECRET`.
    ServerHandshake,
    /// `CLIENT_TRAFFIC_SECRET_0`.
    ClientTraffic,
    /// `SERVER_TRAFFIC_SECRET_0`.
    ServerTraffic,
}

impl Label {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Master,
        Self::ClientEarly,
        Self::ClientHandshake,
        Self::ServerHandshake,
        Self::ClientTraffic,
        Self::ServerTraffic,
    ];

    /// As a key log has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Master => "CLIENT_RANDOM",
            Self::ClientEarly => "CLIENT_EARLY_TRAFFIC_SECRET",
            Self::ClientHandshake => "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
            Self::ServerHandshake => "SERVER_HANDSHAKE_TRAFFIC_SECRET",
            Self::ClientTraffic => "CLIENT_TRAFFIC_SECRET_0",
            Self::ServerTraffic => "SERVER_TRAFFIC_SECRET_0",
        }
    }

    /// Whether a secret of `len` bytes can be of this kind: master secrets have 48, those of TLS 1.3 as many as the suite's hash.
    fn fits(self, len: usize) -> bool {
        match self {
            Self::Master => len == 48,
            _ => len == 32 || len == 48,
        }
    }
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A secret of the connection whose `ClientHello` has this random.
    Secret(Label, Random, Secret),
    /// An empty line or a comment.
    Nothing,
    /// A line whose label is not known, or names something that no record is protected with.
    Other,
    /// A pre-master secret. OpenSSL writes one before each `CLIENT_RANDOM` line of an RSA key exchange, which then says all that is needed.
    PreMaster,
    /// A line that should open records and can't, and why: a secret of QUIC, or a known label without what belongs to it.
    Unusable(&'static str),
}

/// Labels of pre-master secrets (NSS's key log format of before RFC 9850).
const PRE_MASTER: [&[u8]; 2] = [b"RSA", b"PMS_CLIENT_RANDOM"];

/// Labels of secrets of QUIC, as older implementations write them.
const QUIC: [&[u8]; 2] = [b"QUIC_CLIENT_TRAFFIC_SECRET_0", b"QUIC_SERVER_TRAFFIC_SECRET_0"];

/// What a private key or a certificate begins with in its usual form (RFC 7468).
const PEM: &[u8] = b"-----BEGIN";

/// Whether labels consist of such bytes (RFC 9850, section 2).
fn is_of_label(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_')
}

impl Line {
    /// Reads a line without its end.
    #[must_use]
    pub fn read(line: &[u8]) -> Self {
        // Some editors of Windows begin a file with the mark of UTF-8.
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Self::Nothing;
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let label = words.next().unwrap_or_default();
        let Some(known) = Label::ALL.into_iter().find(|known| known.name().as_bytes() == label) else {
            return match label {
                label if PRE_MASTER.contains(&label) => Self::PreMaster,
                label if QUIC.contains(&label) => Self::Unusable("secrets of QUIC are not supported"),
                label if label.starts_with(PEM) => Self::Unusable(
                    "private keys and certificates are not supported: a key log has the secrets of each connection",
                ),
                label if !label.iter().copied().all(is_of_label) => Self::Unusable(
                    "no line of a key log: these begin with a label in capital letters (UTF-8)",
                ),
                _ => Self::Other,
            };
        };
        let hex = |word: Option<&[u8]>| Secret::from_hex(word?);
        let Some(random) = hex(words.next()).and_then(|random| random.bytes().try_into().ok()) else {
            return Self::Unusable("the random of the ClientHello is not 32 bytes in hexadecimal");
        };
        match hex(words.next()) {
            None => Self::Unusable("the secret is not in hexadecimal"),
            Some(secret) if !known.fits(secret.bytes().len()) => Self::Unusable(match known {
                Label::Master => "the master secret is not 48 bytes long",
                _ => "the secret is not 32 or 48 bytes long",
            }),
            Some(_) if words.next().is_some() => Self::Unusable("there is more than a label and two numbers"),
            Some(secret) => Self::Secret(known, random, secret),
        }
    }
}

impl Secret {
    /// The bytes that hexadecimal digits of either case stand for.
    fn from_hex(text: &[u8]) -> Option<Self> {
        if !text.len().is_multiple_of(2) || text.len() / 2 > super::secret::MAX_SECRET {
            return None;
        }
        let digit = |byte: u8| (byte as char).to_digit(16);
        let is_hex = text.iter().all(u8::is_ascii_hexdigit);
        is_hex.then(|| {
            Self::filled(text.len() / 2, |bytes| {
                for (byte, digits) in bytes.iter_mut().zip(text.chunks_exact(2)) {
                    *byte = digits
                        .iter()
                        .filter_map(|one| digit(*one))
                        .fold(0, |byte, one| byte << 4 | one as u8);
                }
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pre_master_secrets_are_told_apart() {
        for text in ["RSA 0011 2233", "RSA Session-ID:11 Master-Key:22", "PMS_CLIENT_RANDOM 11 22"] {
            assert_eq!(Line::read(text.as_bytes()), Line::PreMaster, "{text}");
        }
    }

    #[test]
    fn a_line_that_cannot_be_used_says_why() {
        let random = "11".repeat(32);
        for (text, why) in [
            (format!("QUIC_CLIENT_TRAFFIC_SECRET_0 {random} {}", "22".repeat(32)), "secrets of QUIC"),
            ("-----BEGIN RSA PRIVATE KEY-----".to_owned(), "private keys and certificates are not supported"),
            (format!("CLIENT_RANDOM {random} {}", "22".repeat(47)), "the master secret is not 48 bytes long"),
            (format!("SERVER_TRAFFIC_SECRET_0 {random} {}", "22".repeat(20)), "the secret is not 32 or 48"),
            (format!("CLIENT_RANDOM {random}"), "the secret is not in hexadecimal"),
            (format!("CLIENT_RANDOM {} {random}", &random[2..]), "the random of the ClientHello"),
            // UTF-16, as the shell of Windows writes it.
            (format!("CLIENT_RANDOM {random}").replace(|_: char| true, "C\0"), "no line of a key log"),
            (format!("client_random {random} {random}"), "no line of a key log"),
        ] {
            let Line::Unusable(found) = Line::read(text.as_bytes()) else { panic!("{text}") };
            assert!(found.starts_with(why), "{text}: {found}");
        }
    }

    #[test]
    fn lines_are_read_in_every_form_that_peers_write() {
        let random = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
        let secret = "0f".repeat(48);
        let line = |text: String| Line::read(text.as_bytes());
        for text in [
            format!("CLIENT_RANDOM {random} {secret}"),
            format!("CLIENT_RANDOM {random} {secret}\r"),
            format!("\u{feff}CLIENT_RANDOM {random} {secret}"),
            format!("  CLIENT_RANDOM  {random}\t{} ", secret.to_uppercase()),
        ] {
            let Line::Secret(Label::Master, read, bytes) = line(text) else { panic!("a secret") };
            assert_eq!((read[1], read[15], bytes.bytes()), (0x11, 0xff, &[0x0f; 48][..]));
        }
        for text in ["", "\r", "# TUPLE src=192.0.2.1 dst=192.0.2.2", "  # comment"] {
            assert_eq!(Line::read(text.as_bytes()), Line::Nothing, "{text}");
        }
        for text in ["EXPORTER_SECRET 00 11", "ECH_SECRET 00 11", "CLIENT_RANDOMX 00 11"] {
            assert_eq!(Line::read(text.as_bytes()), Line::Other, "{text}");
        }
        for text in [
            format!("CLIENT_RANDOM {random} {}", &secret[..90]),
            format!("CLIENT_RANDOM {random}"),
            format!("CLIENT_RANDOM {} {secret}", &random[..62]),
            format!("CLIENT_RANDOM {random} {}zz", &secret[..94]),
            format!("CLIENT_RANDOM {random} {secret} 00"),
            format!("CLIENT_TRAFFIC_SECRET_0 {random} {}", &secret[..40]),
            format!("CLIENT_RANDOM {random} {secret}{secret}"),
        ] {
            assert!(matches!(line(text.clone()), Line::Unusable(_)), "{text}");
        }
    }
}
