//! Answers scrapes: HTTP/1.1 (RFC 9112) as far as a scraper needs it. One connection at a time, one request in each, and none may take
//! long.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::format::Format;

/// Most bytes of a request.
const MAX_REQUEST: usize = 8 * 1024;
/// The status of the page.
const OK: &str = "200 OK";
/// Longest time for a request, and for its answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause after a connection that could not be accepted: mostly there are no descriptors left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the page for as long as the process lives.
pub(super) fn serve(listener: &TcpListener, page: &dyn Fn(Format) -> String) {
    loop {
        match listener.accept() {
            // Whoever hangs up or waits too long has no answer.
            Ok((stream, _)) => _ = answer(stream, page),
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

fn answer(mut stream: TcpStream, page: &dyn Fn(Format) -> String) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || request.len() > MAX_REQUEST {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            read => request.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    let format = Format::accepted(&accept(&request));
    let (status, body, has_body) = respond(&request, &|| page(format));
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {}\r\nvary: accept\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        if status == OK { format.content_type() } else { Format::Text.content_type() },
        body.len()
    );
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(head.as_bytes())?;
    if has_body {
        // A reader that takes a little at a time must not keep others waiting.
        let until = Instant::now() + PATIENCE;
        for piece in body.as_bytes().chunks(64 * 1024) {
            if Instant::now() > until {
                return Ok(());
            }
            stream.write_all(piece)?;
        }
    }
    stream.flush()
}

/// The values of `accept`, joined (RFC 9110, section 5.3).
fn accept(request: &[u8]) -> String {
    let request = String::from_utf8_lossy(request);
    let values = request.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    let values =
        values.filter(|(name, _)| name.eq_ignore_ascii_case("accept")).map(|(_, value)| value.trim());
    values.collect::<Vec<_>>().join(",")
}

/// The status, the body, and whether the body is sent.
fn respond(request: &[u8], page: &dyn Fn() -> String) -> (&'static str, String, bool) {
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next(), words.next().unwrap_or_default(), words.next());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let has_body = method != Some(b"HEAD");
    let (status, body) = match (method, path) {
        _ if !version.is_some_and(|version| version.starts_with(b"HTTP/1.")) => {
            ("400 Bad Request", "not HTTP/1.1\n".to_owned())
        }
        (Some(b"GET" | b"HEAD"), b"/metrics") => (OK, page()),
        (Some(b"GET" | b"HEAD"), _) => ("404 Not Found", "the page is /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET only\n".to_owned()),
    };
    (status, body, has_body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_is_served() {
        let answer = |request: &str| respond(request.as_bytes(), &|| "page".to_owned());
        assert_eq!(answer("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"), ("200 OK", "page".into(), true));
        assert_eq!(answer("GET /metrics?a=b HTTP/1.0\r\n\r\n").0, "200 OK");
        assert_eq!(answer("HEAD /metrics HTTP/1.1\r\n\r\n"), ("200 OK", "page".into(), false));
        assert_eq!(answer("GET / HTTP/1.1\r\n\r\n").0, "404 Not Found");
        assert_eq!(answer("POST /metrics HTTP/1.1\r\n\r\n").0, "405 Method Not Allowed");
        for garbage in ["", "\r\n\r\n", "GET /metrics\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n"] {
            assert_eq!(answer(garbage).0, "400 Bad Request", "{garbage:?}");
        }
    }

    #[test]
    fn whoever_says_nothing_or_too_much_gets_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ask = |bytes: &[u8]| {
            let mut client = TcpStream::connect(address).unwrap();
            let (server, _) = listener.accept().unwrap();
            client.write_all(bytes).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            _ = answer(server, &|format| if format == Format::Text { "page" } else { "open" }.to_owned());
            let mut said = Vec::new();
            _ = client.read_to_end(&mut said);
            said
        };
        assert_eq!(ask(b"GET /metrics"), b"");
        assert_eq!(ask(&vec![b'x'; MAX_REQUEST + 2048]), b"");
        assert!(ask(b"GET /metrics HTTP/1.1\r\n\r\n").ends_with(b"\r\n\r\npage"));
        let asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\nACCEPT: application/openmetrics-text\r\nAccept: */*;q=0.1\r\n\r\n";
        let said = String::from_utf8(ask(asked)).unwrap();
        assert!(
            said.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
        );
        assert!(said.ends_with("\r\n\r\nopen"));
    }
}
