//! Cipher suites: those whose records can be read, and how (IANA, TLS Cipher Suites).

use super::suite_names::UNREAD;

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u16);

impl Version {
    /// TLS 1.2.
    pub const TLS12: Self = Self(0x0303);
    /// TLS 1.3.
    pub const TLS13: Self = Self(0x0304);

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            0x0300 => "SSL 3.0",
            0x0301 => "TLS 1.0",
            0x0302 => "TLS 1.1",
            0x0303 => "TLS 1.2",
            0x0304 => "TLS 1.3",
            _ => "TLS of an unknown version",
        }
    }
}

/// The hash of a suite's key schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
}

impl Hash {
    /// Bytes of its output, and so of the secrets of TLS 1.3.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// Never: hashes have an output.
    #[must_use]
    pub fn is_empty(self) -> bool {
        false
    }
}

/// The MAC of a CBC suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mac {
    /// HMAC-SHA1.
    Sha1,
    /// HMAC-SHA256.
    Sha256,
    /// HMAC-SHA384.
    Sha384,
}

impl Mac {
    /// Bytes of its key and of its output.
    #[must_use]
    pub(super) fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// Length of an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aes {
    /// 16 bytes.
    Bits128,
    /// 32 bytes.
    Bits256,
}

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// AES-GCM.
    Gcm(Aes),
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305,
    /// AES-CCM with a tag of 16 bytes.
    Ccm(Aes),
    /// AES-CCM with a tag of 8 bytes.
    Ccm8(Aes),
    /// AES-CBC with an HMAC.
    Cbc(Aes, Mac),
}

impl Cipher {
    /// Bytes of its key.
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::Gcm(aes) | Self::Ccm(aes) | Self::Ccm8(aes) | Self::Cbc(aes, _) => match aes {
                Aes::Bits128 => 16,
                Aes::Bits256 => 32,
            },
            Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// Its number.
    pub number: u16,
    /// Its name, without `TLS_` for those of TLS 1.2, which have long ones.
    pub name: &'static str,
    /// The version it belongs to: 1.2 (and older), or 1.3.
    pub version: Version,
    /// How its records are protected.
    pub cipher: Cipher,
    /// The hash of its key schedule.
    pub hash: Hash,
}

impl Suite {
    /// The suite with this number, if its records can be read.
    #[must_use]
    pub fn find(number: u16) -> Option<&'static Self> {
        SUITES.iter().find(|suite| suite.number == number)
    }

    /// The name of the suite with this number, whether its records can be read or not; `None` if it is not known.
    #[must_use]
    pub fn name(number: u16) -> Option<&'static str> {
        let unread = || UNREAD.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
        Self::find(number).map(|suite| suite.name).or_else(unread)
    }

    /// The suites of TLS 1.3 with secrets of `len` bytes, the usual one first.
    pub fn of_secret(len: usize) -> impl Iterator<Item = &'static Self> {
        SUITES.iter().filter(move |suite| suite.version == Version::TLS13 && suite.hash.len() == len)
    }
}

const fn suite(number: u16, name: &'static str, cipher: Cipher, hash: Hash) -> Suite {
    let version = if number >> 8 == 0x13 { Version::TLS13 } else { Version::TLS12 };
    Suite { number, name, version, cipher, hash }
}

use self::Aes::{Bits128, Bits256};
use self::Cipher::{Cbc, Ccm, Ccm8, ChaCha20Poly1305, Gcm};
use self::Hash::{Sha256, Sha384};

/// RFC 8446, section B.4; RFC 5246, appendix C; RFC 5288, 5289, 6655, 7251, 7905, 5487, 5489, 4279, 5054.
const SUITES: &[Suite] = &[
    suite(0x1301, "TLS_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x1303, "TLS_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0x1302, "TLS_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x1304, "TLS_AES_128_CCM_SHA256", Ccm(Bits128), Sha256),
    suite(0x1305, "TLS_AES_128_CCM_8_SHA256", Ccm8(Bits128), Sha256),
    suite(0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0xccaa, "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0xccac, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0x009e, "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x009f, "TLS_DHE_RSA_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x009c, "TLS_RSA_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x009d, "TLS_RSA_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x00a8, "TLS_PSK_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x00a9, "TLS_PSK_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM", Ccm(Bits128), Sha256),
    suite(0xc0ad, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", Ccm(Bits256), Sha256),
    suite(0xc0ae, "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", Ccm8(Bits128), Sha256),
    suite(0xc0af, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8", Ccm8(Bits256), Sha256),
    suite(0xc09e, "TLS_DHE_RSA_WITH_AES_128_CCM", Ccm(Bits128), Sha256),
    suite(0xc09f, "TLS_DHE_RSA_WITH_AES_256_CCM", Ccm(Bits256), Sha256),
    suite(0xc0a2, "TLS_DHE_RSA_WITH_AES_128_CCM_8", Ccm8(Bits128), Sha256),
    suite(0xc0a3, "TLS_DHE_RSA_WITH_AES_256_CCM_8", Ccm8(Bits256), Sha256),
    suite(0xc09c, "TLS_RSA_WITH_AES_128_CCM", Ccm(Bits128), Sha256),
    suite(0xc09d, "TLS_RSA_WITH_AES_256_CCM", Ccm(Bits256), Sha256),
    suite(0xc0a0, "TLS_RSA_WITH_AES_128_CCM_8", Ccm8(Bits128), Sha256),
    suite(0xc0a1, "TLS_RSA_WITH_AES_256_CCM_8", Ccm8(Bits256), Sha256),
    suite(0xc009, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc00a, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc013, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc014, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc023, "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0xc024, "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", Cbc(Bits256, Mac::Sha384), Sha384),
    suite(0xc027, "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0xc028, "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384", Cbc(Bits256, Mac::Sha384), Sha384),
    suite(0x002f, "TLS_RSA_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x0035, "TLS_RSA_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x003c, "TLS_RSA_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x003d, "TLS_RSA_WITH_AES_256_CBC_SHA256", Cbc(Bits256, Mac::Sha256), Sha256),
    suite(0x0033, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x0039, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x0067, "TLS_DHE_RSA_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x006b, "TLS_DHE_RSA_WITH_AES_256_CBC_SHA256", Cbc(Bits256, Mac::Sha256), Sha256),
    suite(0x0032, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x0034, "TLS_DH_anon_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x0038, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x003a, "TLS_DH_anon_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x0040, "TLS_DHE_DSS_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x006a, "TLS_DHE_DSS_WITH_AES_256_CBC_SHA256", Cbc(Bits256, Mac::Sha256), Sha256),
    suite(0x006c, "TLS_DH_anon_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x006d, "TLS_DH_anon_WITH_AES_256_CBC_SHA256", Cbc(Bits256, Mac::Sha256), Sha256),
    suite(0x008c, "TLS_PSK_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x008d, "TLS_PSK_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x0090, "TLS_DHE_PSK_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x0091, "TLS_DHE_PSK_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x0094, "TLS_RSA_PSK_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0x0095, "TLS_RSA_PSK_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0x00a2, "TLS_DHE_DSS_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x00a3, "TLS_DHE_DSS_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x00a6, "TLS_DH_anon_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x00a7, "TLS_DH_anon_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x00aa, "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x00ab, "TLS_DHE_PSK_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x00ac, "TLS_RSA_PSK_WITH_AES_128_GCM_SHA256", Gcm(Bits128), Sha256),
    suite(0x00ad, "TLS_RSA_PSK_WITH_AES_256_GCM_SHA384", Gcm(Bits256), Sha384),
    suite(0x00ae, "TLS_PSK_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x00af, "TLS_PSK_WITH_AES_256_CBC_SHA384", Cbc(Bits256, Mac::Sha384), Sha384),
    suite(0x00b2, "TLS_DHE_PSK_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x00b3, "TLS_DHE_PSK_WITH_AES_256_CBC_SHA384", Cbc(Bits256, Mac::Sha384), Sha384),
    suite(0x00b6, "TLS_RSA_PSK_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0x00b7, "TLS_RSA_PSK_WITH_AES_256_CBC_SHA384", Cbc(Bits256, Mac::Sha384), Sha384),
    suite(0xc018, "TLS_ECDH_anon_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc019, "TLS_ECDH_anon_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc01d, "TLS_SRP_SHA_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc01e, "TLS_SRP_SHA_RSA_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc01f, "TLS_SRP_SHA_DSS_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc020, "TLS_SRP_SHA_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc021, "TLS_SRP_SHA_RSA_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc022, "TLS_SRP_SHA_DSS_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc035, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA", Cbc(Bits128, Mac::Sha1), Sha256),
    suite(0xc036, "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA", Cbc(Bits256, Mac::Sha1), Sha256),
    suite(0xc037, "TLS_ECDHE_PSK_WITH_AES_128_CBC_SHA256", Cbc(Bits128, Mac::Sha256), Sha256),
    suite(0xc038, "TLS_ECDHE_PSK_WITH_AES_256_CBC_SHA384", Cbc(Bits256, Mac::Sha384), Sha384),
    suite(0xc0a4, "TLS_PSK_WITH_AES_128_CCM", Ccm(Bits128), Sha256),
    suite(0xc0a5, "TLS_PSK_WITH_AES_256_CCM", Ccm(Bits256), Sha256),
    suite(0xc0a6, "TLS_DHE_PSK_WITH_AES_128_CCM", Ccm(Bits128), Sha256),
    suite(0xc0a7, "TLS_DHE_PSK_WITH_AES_256_CCM", Ccm(Bits256), Sha256),
    suite(0xc0a8, "TLS_PSK_WITH_AES_128_CCM_8", Ccm8(Bits128), Sha256),
    suite(0xc0a9, "TLS_PSK_WITH_AES_256_CCM_8", Ccm8(Bits256), Sha256),
    suite(0xc0aa, "TLS_PSK_DHE_WITH_AES_128_CCM_8", Ccm8(Bits128), Sha256),
    suite(0xc0ab, "TLS_PSK_DHE_WITH_AES_256_CCM_8", Ccm8(Bits256), Sha256),
    suite(0xccab, "TLS_PSK_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0xccad, "TLS_DHE_PSK_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
    suite(0xccae, "TLS_RSA_PSK_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305, Sha256),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_there_once() {
        let mut numbers: Vec<u16> = SUITES.iter().map(|suite| suite.number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), SUITES.len());
        assert_eq!(Suite::of_secret(48).map(|suite| suite.number).collect::<Vec<_>>(), [0x1302]);
        assert_eq!(Suite::find(0x1301).map(|suite| suite.version), Some(Version::TLS13));
        assert!(Suite::find(0x000a).is_none());
        assert_eq!(Suite::name(0xc060), Some("TLS_ECDHE_RSA_WITH_ARIA_128_GCM_SHA256"));
        assert_eq!((Suite::name(0x1302), Suite::name(0xfafa)), (Some("TLS_AES_256_GCM_SHA384"), None));
        assert!(UNREAD.iter().all(|(number, _)| Suite::find(*number).is_none()));
    }
}
