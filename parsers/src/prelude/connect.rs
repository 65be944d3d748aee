//! HTTP CONNECT (RFC 9110, section 9.3.6): after a 2xx status both sides send whatever they like.

use super::{Address, Answers, Exchange, Reader, Stop, more};
use crate::error::{Parse, wrong};
use crate::http1::head::{Head, Start, parse_head};
use crate::http1::shows_call;

/// Interim answers (1xx) that may come before the final one.
const INTERIM_LIMIT: usize = 8;

pub(super) fn read<'a>(sent: &'a [u8], answered: Option<&'a [u8]>) -> Result<Exchange<'a>, Stop> {
    let mut client = Reader::new(sent);
    let head = client.read(head)?;
    let Start::Request { method: b"CONNECT", target } = head.start else { return Err(Stop::Nothing) };
    let mut answers = Answers::new(answered);
    let mut refused = None;
    for _ in 0..INTERIM_LIMIT {
        match answers.next(&client, head_of_answer)? {
            Some((100..=199, _)) => {}
            Some((200..=299, _)) | None => {
                return Ok(Exchange {
                    sent: client.at,
                    answered: answers.len(),
                    target: Some(Address::Text(target)),
                    ..Exchange::default()
                });
            }
            Some((code, body)) => {
                refused = Some((reason(code), body));
                break;
            }
        }
    }
    let (why, body) = refused.ok_or(Stop::Nothing)?;
    // The client may ask again, now with a password: that is found behind the body, if its length is known.
    let end = body.ok_or(Stop::Opaque(why))?.saturating_add(answers.len());
    if answered.is_some_and(|answered| answered.len() < end) {
        return Err(Stop::More);
    }
    Ok(Exchange { sent: client.at, answered: end, refused: Some(why), ..Exchange::default() })
}

/// Bytes of the head that grants a tunnel, where the request for it is not known.
pub(super) fn read_grant(answered: &[u8]) -> Result<usize, Stop> {
    let (rest, head) = head(answered)?;
    let of_body = ["content-length", "transfer-encoding", "content-type"];
    // A 2xx to a CONNECT has no length (RFC 9110, section 8.6); 204 never has one.
    if head.start != (Start::Status { code: 200 })
        || of_body.into_iter().any(|name| head.field(name).is_some())
        || shows_call(&head)
    {
        return Err(Stop::Nothing);
    }
    Ok(answered.len() - rest.len())
}

/// Whether `sent` is a whole request.
pub(super) fn is_request(sent: &[u8]) -> bool {
    let head = parse_head(sent).ok().flatten();
    head.is_some_and(|head| matches!(head.start, Start::Request { method: b"CONNECT", .. }))
}

fn head(input: &[u8]) -> Parse<'_, Head<'_>> {
    match parse_head(input) {
        Ok(Some(head)) => Ok((input.get(head.len..).unwrap_or_default(), head)),
        Ok(None) => more(),
        Err(error) => wrong(input, error.what),
    }
}

/// The status, and the length of the body of a refusal.
fn head_of_answer(input: &[u8]) -> Parse<'_, (u16, Option<usize>)> {
    let (rest, head) = head(input)?;
    let Start::Status { code } = head.start else { return wrong(input, "not a status line") };
    let length = head.field("content-length").and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
    Ok((rest, (code, length)))
}

/// The statuses of RFC 9110, section 15, that proxies refuse with.
fn reason(code: u16) -> &'static str {
    match code {
        400 => "HTTP CONNECT refused: 400 Bad Request",
        401 => "HTTP CONNECT refused: 401 Unauthorized",
        403 => "HTTP CONNECT refused: 403 Forbidden",
        404 => "HTTP CONNECT refused: 404 Not Found",
        405 => "HTTP CONNECT refused: 405 Method Not Allowed",
        407 => "HTTP CONNECT refused: 407 Proxy Authentication Required",
        429 => "HTTP CONNECT refused: 429 Too Many Requests",
        500 => "HTTP CONNECT refused: 500 Internal Server Error",
        501 => "HTTP CONNECT refused: 501 Not Implemented",
        502 => "HTTP CONNECT refused: 502 Bad Gateway",
        503 => "HTTP CONNECT refused: 503 Service Unavailable",
        504 => "HTTP CONNECT refused: 504 Gateway Timeout",
        _ => match code / 100 {
            3 => "HTTP CONNECT refused: redirected (3xx)",
            4 => "HTTP CONNECT refused: client error (4xx)",
            _ => "HTTP CONNECT refused: server error (5xx)",
        },
    }
}
