//! The PROXY protocol: a header by which a proxy names the client on whose behalf it connects.
//!
//! ```text
//! version 1   PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 CR LF          at most 107 bytes
//! version 2   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a | version 2, command | family, protocol | length (2) | addresses, TLVs
//! ```
//!
//! Source: `doc/proxy-protocol.txt` of `HAProxy`, sections 2.1 and 2.2.

use std::net::{IpAddr, SocketAddr};

use nom::Parser as _;
use nom::bytes::streaming::{tag, take};
use nom::combinator::map_opt;
use nom::multi::length_data;
use nom::number::streaming::{be_u8, be_u16, be_u32, be_u128};

use super::{Address, Exchange, Stop, more};
use crate::error::{Parse, wrong};

/// The longest line of version 1, its end included.
const LINE_LIMIT: usize = 107;

/// What version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The path of a UNIX socket.
const PATH_SIZE: usize = 108;

type Ends<'a> = (Option<SocketAddr>, Option<Address<'a>>);

pub(super) fn read(input: &[u8]) -> Result<Exchange<'_>, Stop> {
    let (rest, (source, target)) = if input.starts_with(b"P") { line(input)? } else { binary(input)? };
    Ok(Exchange { sent: input.len() - rest.len(), source, target, ..Exchange::default() })
}

/// Version 1.
fn line(input: &[u8]) -> Parse<'_, Ends<'_>> {
    let (rest, _) = tag(&b"PROXY "[..])(input)?;
    let line = input.get(..LINE_LIMIT).unwrap_or(input);
    let Some(end) = memchr::memmem::find(line, b"\r\n") else {
        return if input.len() >= LINE_LIMIT { wrong(input, "line over the limit") } else { more() };
    };
    let words = input.get(input.len() - rest.len()..end).and_then(|words| std::str::from_utf8(words).ok());
    let mut words = words.unwrap_or_default().split(' ');
    let rest = input.get(end + 2..).unwrap_or_default();
    let addresses = match words.next() {
        Some("UNKNOWN") => return Ok((rest, (None, None))),
        Some("TCP4" | "TCP6") => words.collect::<Vec<_>>(),
        _ => return wrong(input, "unknown family"),
    };
    let end = |ip: &str, port: &str| Some(SocketAddr::new(ip.parse().ok()?, port.parse().ok()?));
    match addresses[..] {
        [from, to, from_port, to_port] => match (end(from, from_port), end(to, to_port)) {
            (Some(from), Some(to)) => Ok((rest, (Some(from), Some(Address::Ip(to))))),
            _ => wrong(input, "malformed address"),
        },
        _ => wrong(input, "malformed line"),
    }
}

/// Version 2.
fn binary(input: &[u8]) -> Parse<'_, Ends<'_>> {
    let command = map_opt(be_u8, |byte| match byte {
        0x20 => Some(false),
        0x21 => Some(true),
        _ => None,
    });
    let (rest, (_, proxied, family, content)) =
        (tag(SIGNATURE), command, be_u8, length_data(be_u16)).parse(input)?;
    // The proxy itself speaks (a health check), or the family has no address.
    if !proxied {
        return Ok((rest, (None, None)));
    }
    let ends = match family >> 4 {
        1 => ends(be_u32.map(|ip| IpAddr::V4(ip.into())), content),
        2 => ends(be_u128.map(|ip| IpAddr::V6(ip.into())), content),
        3 => (take(PATH_SIZE), take(PATH_SIZE)).map(|(_, path)| (None, text(path))).parse(content),
        _ => Ok((content, (None, None))),
    };
    match ends {
        Ok((_, ends)) => Ok((rest, ends)),
        Err(_) => wrong(input, "addresses longer than their header"),
    }
}

fn ends<'a>(
    mut ip: impl nom::Parser<&'a [u8], Output = IpAddr, Error = crate::error::Error>,
    content: &'a [u8],
) -> Parse<'a, Ends<'a>> {
    let (rest, from) = ip.parse(content)?;
    let (rest, to) = ip.parse(rest)?;
    let (rest, (from_port, to_port)) = (be_u16, be_u16).parse(rest)?;
    Ok((rest, (Some(SocketAddr::new(from, from_port)), Some(Address::Ip(SocketAddr::new(to, to_port))))))
}

/// The path of a UNIX socket, without the zeros behind it.
fn text(path: &[u8]) -> Option<Address<'_>> {
    let end = memchr::memchr(0, path).unwrap_or(path.len());
    path.get(..end).filter(|path| !path.is_empty()).map(Address::Text)
}
