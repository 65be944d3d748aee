//! The names in a certificate: common name of the subject, and alternative names (RFC 5280, sections 4.1 and 4.2.1.6).
//!
//! Read as tolerantly as can be: what is not as expected has no names.

use std::net::{Ipv4Addr, Ipv6Addr};

use nom::Parser as _;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;

use crate::error::{Parse, wrong};

/// Most names that are kept of a certificate.
const MAX_NAMES: usize = 16;
/// Longest name that is kept, in bytes.
const MAX_NAME: usize = 255;
/// Most elements that are looked at in any one sequence.
const MAX_ELEMENTS: usize = 256;

/// The common name, and the alternative ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(pub Vec<String>);

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// `[3]`: the extensions of a certificate.
const EXTENSIONS: u8 = 0xa3;

const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1d, 0x11];

/// One element of DER: its tag and its content.
fn element(input: &[u8]) -> Parse<'_, (u8, &[u8])> {
    let (rest, (tag, first)) = (be_u8, be_u8).parse(input)?;
    let (rest, len) = match first {
        0..=0x7f => (rest, usize::from(first)),
        0x81..=0x83 => {
            let (rest, bytes) = take(first & 0x7f)(rest)?;
            (rest, bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)))
        }
        _ => return wrong(input, "length of an element"),
    };
    let (rest, content) = take(len)(rest)?;
    Ok((rest, (tag, content)))
}

fn elements(mut content: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let next = move || {
        let (rest, found) = element(content).ok()?;
        content = rest;
        Some(found)
    };
    std::iter::from_fn(next).take(MAX_ELEMENTS)
}

/// The names in a certificate.
#[must_use]
pub fn names(certificate: &[u8]) -> Names {
    let inside = |bytes| elements(bytes).find(|(tag, _)| *tag == SEQUENCE).map(|(_, content)| content);
    let mut names = Names::default();
    let Some(body) = inside(certificate).and_then(inside) else { return names };
    // The subject is the fourth sequence: behind the algorithm, the issuer and the validity.
    if let Some((_, subject)) = elements(body).filter(|(tag, _)| *tag == SEQUENCE).nth(3) {
        for (_, set) in elements(subject) {
            for (_, attribute) in elements(set) {
                let mut parts = elements(attribute);
                if parts.next() == Some((OID, COMMON_NAME))
                    && let Some((_, value)) = parts.next()
                {
                    names.add(String::from_utf8_lossy(value).into_owned());
                }
            }
        }
    }
    let extensions = elements(body).find(|(tag, _)| *tag == EXTENSIONS).and_then(|(_, list)| inside(list));
    for (_, extension) in elements(extensions.unwrap_or_default()) {
        let mut parts = elements(extension);
        if parts.next() != Some((OID, ALTERNATIVE_NAMES)) {
            continue;
        }
        let value = parts.find(|(tag, _)| *tag == OCTETS).and_then(|(_, value)| inside(value));
        for (tag, name) in elements(value.unwrap_or_default()) {
            match (tag, name.len()) {
                // A DNS name, and a URI.
                (0x82 | 0x86, _) => names.add(String::from_utf8_lossy(name).into_owned()),
                (0x87, 4) => {
                    names.add(
                        <[u8; 4]>::try_from(name)
                            .map(|ip| Ipv4Addr::from(ip).to_string())
                            .unwrap_or_default(),
                    );
                }
                (0x87, 16) => {
                    names.add(
                        <[u8; 16]>::try_from(name)
                            .map(|ip| Ipv6Addr::from(ip).to_string())
                            .unwrap_or_default(),
                    );
                }
                _ => {}
            }
        }
    }
    names
}

impl Names {
    fn add(&mut self, name: String) {
        let fits = !name.is_empty() && name.len() <= MAX_NAME && self.0.len() < MAX_NAMES;
        if fits && !self.0.contains(&name) {
            self.0.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        let mut out = vec![tag];
        match content.len() {
            len @ 0..=0x7f => out.push(len as u8),
            len => out.extend([0x82, (len >> 8) as u8, len as u8]),
        }
        [out, content].concat()
    }

    fn certificate() -> Vec<u8> {
        let seq = |parts: &[&[u8]]| der(SEQUENCE, parts);
        let name =
            |name: &[u8]| seq(&[&der(0x31, &[&seq(&[&der(OID, &[COMMON_NAME]), &der(0x0c, &[name])])])]);
        let alternative =
            seq(&[&der(0x82, &[b"a.org"]), &der(0x82, &[b"b.org"]), &der(0x87, &[&[127, 0, 0, 1]])]);
        let extension =
            seq(&[&der(OID, &[ALTERNATIVE_NAMES]), &der(1, &[&[0xff]]), &der(OCTETS, &[&alternative])]);
        let body = seq(&[
            &der(0xa0, &[&der(2, &[&[2]])]),
            &der(2, &[&[1; 20]]),
            &seq(&[&der(OID, &[&[42; 8]])]),
            &name(b"issuer"),
            &seq(&[]),
            &name(b"a.org"),
            &seq(&[&der(3, &[&[0; 270]])]),
            &der(EXTENSIONS, &[&seq(&[&extension])]),
        ]);
        seq(&[&body, &seq(&[]), &der(3, &[&[0; 64]])])
    }

    #[test]
    fn subject_and_alternative_names_are_found_once_each() {
        assert_eq!(names(&certificate()).0, ["a.org", "b.org", "127.0.0.1"]);
    }

    #[test]
    fn cut_and_changed_certificates_have_fewer_names_or_others() {
        let whole = certificate();
        for end in 0..whole.len() {
            assert!(names(&whole[..end]).0.len() <= MAX_NAMES);
            let mut changed = whole.clone();
            changed[end] ^= 0xff;
            assert!(names(&changed).0.len() <= MAX_NAMES);
        }
    }
}
