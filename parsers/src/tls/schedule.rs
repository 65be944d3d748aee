//! From the secrets of a key log to the keys of a direction.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Sha256, Sha384};

use super::keylog::Random;
use super::protection::RecordKey;
use super::secret::Secret;
use super::suite::{Cipher, Hash, Suite, Version};

/// The longest key block of any suite: both MAC keys, both keys, both IVs.
const MAX_BLOCK: usize = 2 * (48 + 32 + 16);

/// HMAC of the parts, one after the other, with the suite's hash. `out` is as long as the hash's output or shorter.
fn hmac(hash: Hash, key: &[u8], parts: &[&[u8]], out: &mut [u8]) {
    // An HMAC takes keys of any length.
    match hash {
        Hash::Sha256 => {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return };
            for part in parts {
                mac.update(part);
            }
            fill(out, &mac.finalize().into_bytes());
        }
        Hash::Sha384 => {
            let Ok(mut mac) = Hmac::<Sha384>::new_from_slice(key) else { return };
            for part in parts {
                mac.update(part);
            }
            fill(out, &mac.finalize().into_bytes());
        }
    }
}

fn fill(out: &mut [u8], from: &[u8]) {
    for (to, from) in out.iter_mut().zip(from) {
        *to = *from;
    }
}

/// HKDF-Expand-Label without a context (RFC 8446, section 7.1). `out` is never longer than the hash's output, so that it is the first
/// block of HKDF-Expand (RFC 5869, section 2.3).
fn expand_label(hash: Hash, secret: &[u8], label: &str, len: usize) -> Secret {
    let length = (len as u16).to_be_bytes();
    let label_len = [(b"tls13 ".len() + label.len()) as u8];
    Secret::filled(len, |out| {
        hmac(hash, secret, &[&length, &label_len, b"tls13 ", label.as_bytes(), &[0], &[1]], out);
    })
}

/// The keys of one direction of TLS 1.3 from its traffic secret (RFC 8446, section 7.3). `None` if the secret is not of the suite.
#[must_use]
pub fn traffic_key(suite: &Suite, secret: &Secret) -> Option<RecordKey> {
    if suite.version != Version::TLS13 || secret.bytes().len() != suite.hash.len() {
        return None;
    }
    let key = expand_label(suite.hash, secret.bytes(), "key", suite.cipher.key_len());
    let iv = expand_label(suite.hash, secret.bytes(), "iv", 12);
    RecordKey::tls13(suite.cipher, key, iv.bytes())
}

/// The traffic secret after a `KeyUpdate` (RFC 8446, section 7.2).
#[must_use]
pub fn next_secret(suite: &Suite, secret: &Secret) -> Secret {
    expand_label(suite.hash, secret.bytes(), "traffic upd", suite.hash.len())
}

/// The keys of both directions of TLS 1.2, the client's first (RFC 5246, section 6.3). `encrypt_then_mac`: as negotiated (RFC 7366).
#[must_use]
pub fn connection_keys(
    suite: &Suite,
    master: &Secret,
    client_random: &Random,
    server_random: &Random,
    encrypt_then_mac: bool,
) -> Option<[RecordKey; 2]> {
    if suite.version != Version::TLS12 {
        return None;
    }
    let (mac_len, key_len) = match suite.cipher {
        Cipher::Cbc(_, mac) => (mac.size(), suite.cipher.key_len()),
        cipher => (0, cipher.key_len()),
    };
    // CBC of TLS 1.2 takes its IVs from the records.
    let iv_len = match suite.cipher {
        Cipher::Gcm(_) | Cipher::Ccm(_) | Cipher::Ccm8(_) => 4,
        Cipher::ChaCha20Poly1305 => 12,
        Cipher::Cbc(..) => 0,
    };
    let mut block = zeroize::Zeroizing::new([0; MAX_BLOCK]);
    prf(suite.hash, master.bytes(), &[b"key expansion", server_random, client_random], &mut block[..]);
    let mut rest = &block[..];
    let mut take = |len| {
        let (part, after) = rest.split_at_checked(len)?;
        rest = after;
        Secret::new(part)
    };
    let macs = [take(mac_len)?, take(mac_len)?];
    let keys = [take(key_len)?, take(key_len)?];
    let ivs = [take(iv_len)?, take(iv_len)?];
    let [client_mac, server_mac] = macs;
    let [client_key, server_key] = keys;
    let [client_iv, server_iv] = ivs;
    Some([
        RecordKey::tls12(suite.cipher, client_key, client_iv.bytes(), &client_mac, encrypt_then_mac)?,
        RecordKey::tls12(suite.cipher, server_key, server_iv.bytes(), &server_mac, encrypt_then_mac)?,
    ])
}

/// The pseudorandom function of TLS 1.2 (RFC 5246, section 5); `seed` begins with the label.
fn prf(hash: Hash, secret: &[u8], seed: &[&[u8]; 3], out: &mut [u8]) {
    let [label, first, second] = *seed;
    let mut a = zeroize::Zeroizing::new([0; 48]);
    let Some(a) = a.get_mut(..hash.len()) else { return };
    hmac(hash, secret, seed, a);
    for chunk in out.chunks_mut(hash.len()) {
        hmac(hash, secret, &[a, label, first, second], chunk);
        let next = Secret::filled(hash.len(), |next| hmac(hash, secret, &[a], next));
        fill(a, next.bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let hex: String = hex.split_whitespace().collect();
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// RFC 8448, section 3: the server's handshake traffic secret and its keys.
    #[test]
    fn the_keys_of_the_example_of_rfc_8448_come_out() {
        let secret = bytes("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38");
        let key = expand_label(Hash::Sha256, &secret, "key", 16);
        let iv = expand_label(Hash::Sha256, &secret, "iv", 12);
        assert_eq!(key.bytes(), bytes("3fce516009c21727d0f2e4e86ee403bc"));
        assert_eq!(iv.bytes(), bytes("5d313eb2671276ee13000b30"));
    }

    /// The vector that the working group's list has for `P_SHA256`, quoted by most implementations.
    #[test]
    fn the_prf_of_tls_1_2_is_that_of_its_test_vector() {
        let secret = bytes("9bbe436ba940f017b17652849a71db35");
        let seed = bytes("a0ba9f936cda311827a6f796ffd5198c");
        let mut out = [0; 100];
        prf(Hash::Sha256, &secret, &[b"test label", &seed, b""], &mut out);
        let expected = "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a6b301791e90d35c9c9a46b4e14baf9af0fa022f7077d\
                        ef17abfd3797c0564bab4fbc91666e9def9b97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66";
        assert_eq!(out[..], bytes(expected));
    }
}
