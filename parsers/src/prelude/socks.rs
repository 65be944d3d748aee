//! SOCKS, versions 4, 4a and 5.
//!
//! ```text
//! 4    → 04 | 01 | port (2) | IPv4 (4) | user | 00 (| name | 00, if the address is 0.0.0.x with x > 0)
//!      ← 00 | 5a: granted, 5b to 5d: refused | 6 bytes without meaning
//! 5    → 05 | n | n methods                                        ← 05 | method
//!      → 01 | length, user | length, password                      ← 01 | 00: accepted    (method 2)
//!      → 05 | 01 | 00 | type | address | port (2)                  ← 05 | reply | 00 | type | address | port (2)
//! ```
//!
//! Source: <https://www.openssh.org/txt/socks4.protocol> and `socks4a.protocol`, RFC 1928, RFC 1929.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nom::Parser as _;
use nom::bytes::streaming::{tag, take, take_until};
use nom::combinator::verify;
use nom::error::context;
use nom::multi::length_data;
use nom::number::streaming::{be_u8, be_u16, be_u32, be_u128};
use nom::sequence::terminated;

use super::{Address, Answers, Exchange, Reader, Stop};
use crate::error::{Parse, wrong};

/// The longest user name or host name of version 4, which has no length field.
const TEXT_LIMIT: usize = 255;

/// "No acceptable methods" (RFC 1928, section 3).
const NO_METHOD: u8 = 0xff;

pub(super) fn read_4<'a>(sent: &'a [u8], answered: Option<&'a [u8]>) -> Result<Exchange<'a>, Stop> {
    let mut client = Reader::new(sent);
    let mut answers = Answers::new(answered);
    let target = client.read(request_4)?;
    let refused = match answers.next(&client, answer_4)? {
        None | Some(0x5a) => None,
        Some(0x5c) => Some("SOCKS4 refused: the client runs no identd"),
        Some(0x5d) => Some("SOCKS4 refused: identd names another user"),
        Some(_) => Some("SOCKS4 refused"),
    };
    let target = refused.is_none().then_some(target);
    Ok(Exchange { sent: client.at, answered: answers.len(), target, refused, ..Exchange::default() })
}

/// Bytes of the answer that grants a request of version 4, where the request is not known. Its six bytes without meaning have to be the
/// zeros that most proxies send: with them, no length field of another protocol fits.
pub(super) fn read_grant_4(answered: &[u8]) -> Result<usize, Stop> {
    let mut answers = Reader::new(answered);
    answers.read(tag(&[0, 0x5a, 0, 0, 0, 0, 0, 0][..]))?;
    Ok(answers.at)
}

/// Bytes of the answers that grant a request of version 5, where the request is not known.
pub(super) fn read_grant_5(answered: &[u8]) -> Result<usize, Stop> {
    let mut answers = Reader::new(answered);
    match answers.read(method)? {
        0 => {}
        2 => {
            answers.read(|input| verify(verdict, |code| *code == 0).parse(input))?;
        }
        _ => return Err(Stop::Nothing),
    }
    answers.read(|input| verify(answer_5, |code| *code == 0).parse(input))?;
    Ok(answers.at)
}

/// A text that ends with a zero.
fn text(input: &[u8]) -> Parse<'_, &[u8]> {
    if input.len() > TEXT_LIMIT && !input.iter().take(TEXT_LIMIT + 1).any(|byte| *byte == 0) {
        return wrong(input, "text over the limit");
    }
    terminated(take_until(&b"\0"[..]), be_u8).parse(input)
}

fn request_4(input: &[u8]) -> Parse<'_, Address<'_>> {
    let (rest, (_, port, ip, user)) = (tag(&[4, 1][..]), be_u16, be_u32, text).parse(input)?;
    if port == 0 || ip == 0 || user.iter().any(u8::is_ascii_control) {
        return wrong(input, "implausible request");
    }
    if ip < 256 {
        let plausible = |name: &&[u8]| !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        return verify(text, plausible).map(|name| Address::Host(name, port)).parse(rest);
    }
    Ok((rest, Address::Ip(SocketAddr::new(Ipv4Addr::from_bits(ip).into(), port))))
}

/// The code of an answer.
fn answer_4(input: &[u8]) -> Parse<'_, u8> {
    let code = verify(be_u8, |code| (0x5a..=0x5d).contains(code));
    let (rest, (_, code, _)) = (tag(&[0][..]), code, take(6_usize)).parse(input)?;
    Ok((rest, code))
}

pub(super) fn read_5<'a>(sent: &'a [u8], answered: Option<&'a [u8]>) -> Result<Exchange<'a>, Stop> {
    let mut client = Reader::new(sent);
    let mut answers = Answers::new(answered);
    let offered = client.read(methods)?;
    let method = match answers.next(&client, method)? {
        Some(method) if method != NO_METHOD && !offered.contains(&method) => return Err(Stop::Nothing),
        Some(method) => method,
        // What the client sends next shows which one it was: a password or a request.
        None if client.rest().starts_with(&[1]) => 2,
        None => 0,
    };
    let end = |client: &Reader<'_>, answers: &Answers<'_>, target, refused| Exchange {
        sent: client.at,
        answered: answers.len(),
        target,
        refused,
        ..Exchange::default()
    };
    match method {
        0 => {}
        2 => {
            client.read(password)?;
            let verdict = answers.next(&client, verdict)?;
            if verdict.is_some_and(|code| code != 0) {
                return Ok(end(&client, &answers, None, Some("SOCKS5 refused: user or password")));
            }
        }
        NO_METHOD => {
            return Ok(end(&client, &answers, None, Some("SOCKS5 refused: no authentication method")));
        }
        1 => return Err(Stop::Opaque("SOCKS5 with GSSAPI")),
        _ => return Err(Stop::Opaque("SOCKS5 with an unknown authentication method")),
    }
    let target = client.read(request_5)?;
    match answers.next(&client, answer_5)? {
        None | Some(0) => Ok(end(&client, &answers, Some(target), None)),
        Some(code) => Ok(end(&client, &answers, None, Some(reply(code)))),
    }
}

/// What the client can prove who it is by.
fn methods(input: &[u8]) -> Parse<'_, &[u8]> {
    let (rest, (_, methods)) = (tag(&[5][..]), length_data(be_u8)).parse(input)?;
    if methods.is_empty() || methods.contains(&NO_METHOD) {
        return wrong(input, "no methods");
    }
    Ok((rest, methods))
}

fn method(input: &[u8]) -> Parse<'_, u8> {
    (tag(&[5][..]), be_u8).map(|(_, method)| method).parse(input)
}

fn password(input: &[u8]) -> Parse<'_, ()> {
    (tag(&[1][..]), length_data(be_u8), length_data(be_u8)).map(|_| ()).parse(input)
}

/// 0 if user and password are accepted.
fn verdict(input: &[u8]) -> Parse<'_, u8> {
    (tag(&[1][..]), be_u8).map(|(_, code)| code).parse(input)
}

fn request_5(input: &[u8]) -> Parse<'_, Address<'_>> {
    (context("not a CONNECT", tag(&[5, 1, 0][..])), address).map(|(_, address)| address).parse(input)
}

/// The code of an answer.
fn answer_5(input: &[u8]) -> Parse<'_, u8> {
    let (rest, (_, code, _, _)) = (tag(&[5][..]), be_u8, tag(&[0][..]), address).parse(input)?;
    Ok((rest, code))
}

fn address(input: &[u8]) -> Parse<'_, Address<'_>> {
    let (rest, kind) = be_u8(input)?;
    let ip = |ip, port| Address::Ip(SocketAddr::new(ip, port));
    match kind {
        1 => (be_u32, be_u16).map(|(v4, port)| ip(Ipv4Addr::from_bits(v4).into(), port)).parse(rest),
        3 => (length_data(be_u8), be_u16).map(|(name, port)| Address::Host(name, port)).parse(rest),
        4 => (be_u128, be_u16).map(|(v6, port)| ip(Ipv6Addr::from_bits(v6).into(), port)).parse(rest),
        _ => wrong(input, "unknown type of address"),
    }
}

/// The replies of RFC 1928, section 6.
fn reply(code: u8) -> &'static str {
    match code {
        1 => "SOCKS5 refused: general failure",
        2 => "SOCKS5 refused: not allowed",
        3 => "SOCKS5 refused: network unreachable",
        4 => "SOCKS5 refused: host unreachable",
        5 => "SOCKS5 refused: connection refused",
        6 => "SOCKS5 refused: TTL expired",
        7 => "SOCKS5 refused: command not supported",
        8 => "SOCKS5 refused: address type not supported",
        _ => "SOCKS5 refused",
    }
}
