//! The keys of one direction: records open or do not.
//!
//! ```text
//! TLS 1.3               nonce: IV ⊕ number      fragment: ciphertext │ tag              AAD: the record's head
//! TLS 1.2 GCM, CCM      nonce: salt 4 │ 8       fragment: nonce 8 │ ciphertext │ tag    AAD: number 8 │ type │ version │ length
//! TLS 1.2 ChaCha20      nonce: IV ⊕ number      fragment: ciphertext │ tag              AAD: as above
//! TLS 1.2 CBC           fragment: IV 16 │ encrypted (content │ MAC │ padding)           MAC: as above │ content
//!   encrypt-then-MAC    fragment: IV 16 │ encrypted (content │ padding) │ MAC           MAC: as above │ IV │ encrypted
//! ```
//!
//! RFC 8446, section 5.2; RFC 5246, section 6.2.3; RFC 5288; RFC 6655; RFC 7905; RFC 7366. Each of them is authenticated, so that a record that
//! opens is the record with this number, under this key.

use std::fmt;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadCore, AeadInOut, Key, KeyInit};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use cbc::cipher::{BlockModeDecrypt as _, InnerIvInit as _};
use ccm::Ccm;
use ccm::consts::{U8, U12, U16};
use chacha20poly1305::ChaCha20Poly1305;
use hmac::Hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha384};

use super::record::{ContentType, Record};
use super::secret::Secret;
use super::suite::{Aes, Cipher, Mac};

/// Bytes of an AES block, and of the tag of every AEAD but CCM-8.
const BLOCK: usize = 16;
/// Bytes of the part of a nonce that TLS 1.2 sends.
const EXPLICIT: usize = 8;

/// What a record that opened holds; its bytes stand in the buffer that [`RecordKey::open`] was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What it really carries.
    pub content_type: ContentType,
    /// Bytes of it.
    pub len: usize,
}

/// The keys of one direction, at one time.
pub struct RecordKey {
    cipher: CipherKey,
    /// The whole nonce, or its first 4 bytes.
    iv: [u8; 12],
    form: Form,
    /// The key itself, by which record numbers are searched.
    pub(super) key: Secret,
    pub(super) kind: Cipher,
}

/// How number, nonce and head go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// TLS 1.3.
    Tls13,
    /// TLS 1.2 with 8 bytes of nonce in the record.
    Explicit,
    /// TLS 1.2 without.
    Implicit,
    /// TLS 1.2 with CBC: MAC, then encrypted.
    Cbc,
    /// TLS 1.2 with CBC: encrypted, then MAC.
    EncryptThenMac,
}

/// Boxed, because expanded keys are large.
enum CipherKey {
    Aes128Gcm(Box<Aes128Gcm>),
    Aes256Gcm(Box<Aes256Gcm>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
    Aes128Ccm(Box<Ccm<aes::Aes128, U16, U12>>),
    Aes256Ccm(Box<Ccm<aes::Aes256, U16, U12>>),
    Aes128Ccm8(Box<Ccm<aes::Aes128, U8, U12>>),
    Aes256Ccm8(Box<Ccm<aes::Aes256, U8, U12>>),
    Cbc(Box<CbcKey>),
}

struct CbcKey {
    aes: AesKey,
    mac: MacKey,
}

enum AesKey {
    Bits128(Box<aes::Aes128>),
    Bits256(Box<aes::Aes256>),
}

enum MacKey {
    Sha1(Hmac<Sha1>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordKey({:?})", self.kind)
    }
}

fn new<C: KeyInit>(key: &Secret) -> Option<C> {
    <&Key<C>>::try_from(key.bytes()).ok().map(C::new)
}

impl RecordKey {
    /// Of TLS 1.3; `None` if key or IV are not of the cipher.
    pub(super) fn tls13(kind: Cipher, key: Secret, iv: &[u8]) -> Option<Self> {
        let cipher = CipherKey::of(kind, &key, None)?;
        Some(Self { cipher, iv: iv.try_into().ok()?, form: Form::Tls13, key, kind })
    }

    /// Of TLS 1.2.
    pub(super) fn tls12(
        kind: Cipher,
        key: Secret,
        iv: &[u8],
        mac: &Secret,
        encrypt_then_mac: bool,
    ) -> Option<Self> {
        let cipher = CipherKey::of(kind, &key, Some(mac))?;
        let form = match (kind, encrypt_then_mac) {
            (Cipher::Gcm(_) | Cipher::Ccm(_) | Cipher::Ccm8(_), _) => Form::Explicit,
            (Cipher::ChaCha20Poly1305, _) => Form::Implicit,
            (Cipher::Cbc(..), false) => Form::Cbc,
            (Cipher::Cbc(..), true) => Form::EncryptThenMac,
        };
        let mut whole = [0; 12];
        whole.get_mut(..iv.len())?.copy_from_slice(iv);
        Some(Self { cipher, iv: whole, form, key, kind })
    }

    /// The nonce part that a record carries: most senders count it up by one for each record.
    #[must_use]
    pub fn explicit_nonce(&self, record: &Record<'_>) -> Option<u64> {
        let bytes = record.fragment.first_chunk::<EXPLICIT>().filter(|_| self.form == Form::Explicit)?;
        Some(u64::from_be_bytes(*bytes))
    }

    /// Bytes that protection adds to what a record carries, its head included: at least, where it varies.
    #[must_use]
    pub fn overhead(&self) -> u64 {
        let tag = if matches!(self.kind, Cipher::Ccm8(_)) { 8 } else { 16 };
        match self.form {
            Form::Tls13 => 5 + 1 + tag,
            Form::Explicit => 5 + 8 + tag,
            Form::Implicit => 5 + tag,
            Form::Cbc | Form::EncryptThenMac => 5 + 16 + 16,
        }
    }

    /// The part of the fragment before the first byte of what it carries.
    #[must_use]
    pub fn lead(&self) -> usize {
        match self.form {
            Form::Tls13 | Form::Implicit => 0,
            Form::Explicit => EXPLICIT,
            Form::Cbc | Form::EncryptThenMac => BLOCK,
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// The nonce of a record with this number, unless the record has it.
    pub(super) fn nonce(&self, number: u64) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, counted) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
            *byte ^= counted;
        }
        nonce
    }

    /// Opens the record as the one with this number, and writes what it carries to `out`, whose old content is lost. `None` if it is not
    /// that record, or not of this key.
    pub fn open(&self, number: u64, record: &Record<'_>, out: &mut Vec<u8>) -> Option<Opened> {
        let opened = match (&self.cipher, self.form) {
            (CipherKey::Aes128Gcm(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::Aes256Gcm(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::ChaCha20Poly1305(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::Aes128Ccm(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::Aes256Ccm(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::Aes128Ccm8(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::Aes256Ccm8(aead), _) => self.open_aead(&**aead, number, record, out),
            (CipherKey::Cbc(key), Form::EncryptThenMac) => key.open_encrypt_then_mac(number, record, out),
            (CipherKey::Cbc(key), _) => key.open(number, record, out),
        }?;
        if self.form != Form::Tls13 {
            return Some(Opened { content_type: record.head.content_type, len: opened });
        }
        // The content type is the last byte that is not 0; behind it stands the padding (RFC 8446, section 5.4).
        let end = out.get(..opened)?.iter().rposition(|byte| *byte != 0)?;
        Some(Opened { content_type: ContentType::from_number(*out.get(end)?)?, len: end })
    }

    fn open_aead<A: AeadInOut + AeadCore>(
        &self,
        aead: &A,
        number: u64,
        record: &Record<'_>,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let (mut nonce, fragment) = (self.nonce(number), record.fragment);
        let sealed = fragment.get(self.lead()..)?;
        if self.form == Form::Explicit {
            nonce = self.iv;
            nonce.get_mut(4..)?.copy_from_slice(fragment.get(..EXPLICIT)?);
        }
        let tag_len = if matches!(self.kind, Cipher::Ccm8(_)) { 8 } else { 16 };
        let (ciphertext, tag) = sealed.split_at_checked(sealed.len().checked_sub(tag_len)?)?;
        let len = ciphertext.len();
        out.resize(len, 0);
        let buffer = InOutBuf::new(ciphertext, out.as_mut_slice()).ok()?;
        let head = record.head.bytes();
        let written = mac_head(number, record, len);
        let aad = if self.form == Form::Tls13 { &head[..] } else { &written[..] };
        let (nonce, tag) = (nonce.as_slice().try_into().ok()?, tag.try_into().ok()?);
        aead.decrypt_inout_detached(nonce, aad, buffer, tag).ok()?;
        Some(len)
    }
}

/// What MAC and AAD of TLS 1.2 begin with: `number 8 │ type │ version │ length`.
fn mac_head(number: u64, record: &Record<'_>, len: usize) -> [u8; 13] {
    let mut bytes = [0; 13];
    let head = record.head;
    let parts = number.to_be_bytes().into_iter().chain([head.content_type.number()]).chain(head.version);
    for (to, from) in bytes.iter_mut().zip(parts.chain((len as u16).to_be_bytes())) {
        *to = from;
    }
    bytes
}

impl CipherKey {
    fn of(kind: Cipher, key: &Secret, mac: Option<&Secret>) -> Option<Self> {
        Some(match kind {
            Cipher::Gcm(Aes::Bits128) => Self::Aes128Gcm(Box::new(new(key)?)),
            Cipher::Gcm(Aes::Bits256) => Self::Aes256Gcm(Box::new(new(key)?)),
            Cipher::ChaCha20Poly1305 => Self::ChaCha20Poly1305(Box::new(new(key)?)),
            Cipher::Ccm(Aes::Bits128) => Self::Aes128Ccm(Box::new(new(key)?)),
            Cipher::Ccm(Aes::Bits256) => Self::Aes256Ccm(Box::new(new(key)?)),
            Cipher::Ccm8(Aes::Bits128) => Self::Aes128Ccm8(Box::new(new(key)?)),
            Cipher::Ccm8(Aes::Bits256) => Self::Aes256Ccm8(Box::new(new(key)?)),
            Cipher::Cbc(aes, mac_kind) => {
                let mac = mac?.bytes();
                let aes = match aes {
                    Aes::Bits128 => AesKey::Bits128(Box::new(new(key)?)),
                    Aes::Bits256 => AesKey::Bits256(Box::new(new(key)?)),
                };
                let mac = match mac_kind {
                    Mac::Sha1 => MacKey::Sha1(Hmac::new_from_slice(mac).ok()?),
                    Mac::Sha256 => MacKey::Sha256(Hmac::new_from_slice(mac).ok()?),
                    Mac::Sha384 => MacKey::Sha384(Hmac::new_from_slice(mac).ok()?),
                };
                Self::Cbc(Box::new(CbcKey { aes, mac }))
            }
        })
    }
}

impl CbcKey {
    /// MAC, then encrypted.
    fn open(&self, number: u64, record: &Record<'_>, out: &mut Vec<u8>) -> Option<usize> {
        let (iv, encrypted) = record.fragment.split_first_chunk::<BLOCK>()?;
        self.decrypt(iv, encrypted, out)?;
        let content = unpadded(out)?.checked_sub(self.mac.size())?;
        let (content, mac) = out.get(..content + self.mac.size())?.split_at_checked(content)?;
        let head = mac_head(number, record, content.len());
        self.mac.verify(&[&head, content], mac).then_some(content.len())
    }

    fn open_encrypt_then_mac(&self, number: u64, record: &Record<'_>, out: &mut Vec<u8>) -> Option<usize> {
        let end = record.fragment.len().checked_sub(self.mac.size())?;
        let (sealed, mac) = record.fragment.split_at_checked(end)?;
        let head = mac_head(number, record, sealed.len());
        if !self.mac.verify(&[&head, sealed], mac) {
            return None;
        }
        let (iv, encrypted) = sealed.split_first_chunk::<BLOCK>()?;
        self.decrypt(iv, encrypted, out)?;
        unpadded(out)
    }

    /// Writes whole blocks to `out`.
    fn decrypt(&self, iv: &[u8; BLOCK], encrypted: &[u8], out: &mut Vec<u8>) -> Option<()> {
        if encrypted.is_empty() || !encrypted.len().is_multiple_of(BLOCK) {
            return None;
        }
        out.resize(encrypted.len(), 0);
        let buffer = InOutBuf::new(encrypted, out.as_mut_slice()).ok()?;
        let (blocks, _) = buffer.into_chunks();
        match &self.aes {
            AesKey::Bits128(aes) => {
                cbc::Decryptor::inner_iv_init(aes::Aes128::clone(aes), iv.into())
                    .decrypt_blocks_inout(blocks);
            }
            AesKey::Bits256(aes) => {
                cbc::Decryptor::inner_iv_init(aes::Aes256::clone(aes), iv.into())
                    .decrypt_blocks_inout(blocks);
            }
        }
        Some(())
    }
}

/// Bytes before the padding, whose every byte is the number of those before the last (RFC 5246, section 6.2.3.2).
fn unpadded(bytes: &[u8]) -> Option<usize> {
    let padding = *bytes.last()?;
    let content = bytes.len().checked_sub(usize::from(padding) + 1)?;
    bytes.get(content..)?.iter().all(|byte| *byte == padding).then_some(content)
}

impl MacKey {
    fn size(&self) -> usize {
        match self {
            Self::Sha1(_) => Mac::Sha1.size(),
            Self::Sha256(_) => Mac::Sha256.size(),
            Self::Sha384(_) => Mac::Sha384.size(),
        }
    }

    fn verify(&self, parts: &[&[u8]; 2], expected: &[u8]) -> bool {
        fn matches<M: hmac::Mac + Clone>(mac: &M, parts: &[&[u8]; 2], expected: &[u8]) -> bool {
            let mut mac = mac.clone();
            for part in parts {
                mac.update(part);
            }
            mac.verify_slice(expected).is_ok()
        }
        match self {
            Self::Sha1(mac) => matches(mac, parts, expected),
            Self::Sha256(mac) => matches(mac, parts, expected),
            Self::Sha384(mac) => matches(mac, parts, expected),
        }
    }
}
