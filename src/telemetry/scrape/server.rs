//! Answers scrapes: HTTP/1.1 (RFC 9112) as far as a scraper needs it. A few connections at a time, one request in each, and none may take
//! long.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::format::Format;

/// Most bytes of a request.
const MAX_REQUEST: usize = 8 * 1024;
/// The status of the page.
const OK: &str = "200 OK";
/// Longest time for a request, and for its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Most connections at a time, each of which may hold a page. For one more, the oldest is given up: what lasts is not a scraper.
const MAX_CLIENTS: usize = 8;
/// The pause after what the system refused.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection.
struct Client {
    stream: TcpStream,
    /// When it is given up.
    until: Instant,
    stage: Stage,
}

enum Stage {
    /// What it has sent of its request.
    Asking(Vec<u8>),
    /// The answer, and how much of it was sent.
    Answered(Vec<u8>, usize),
}

impl Client {
    fn new(stream: TcpStream, patience: Duration) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, until: Instant::now() + patience, stage: Stage::Asking(Vec::new()) })
    }

    /// Takes or sends what is possible without waiting. Whether there is more to do.
    fn go_on(&mut self, patience: Duration, page: &dyn Fn(Format) -> String) -> io::Result<bool> {
        let Self { stream, until, stage } = self;
        if let Stage::Asking(request) = stage {
            let mut buffer = [0; 4096];
            let read = stream.read(&mut buffer)?;
            request.extend_from_slice(buffer.get(..read).unwrap_or_default());
            if !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
                return Ok(read > 0 && request.len() <= MAX_REQUEST);
            }
            (*until, *stage) = (Instant::now() + patience, Stage::Answered(answer(request, page), 0));
        }
        let Stage::Answered(answer, sent) = stage else { return Ok(false) };
        while let Some(rest) = answer.get(*sent..).filter(|rest| !rest.is_empty()) {
            *sent += stream.write(rest)?;
        }
        Ok(false)
    }
}

/// Serves the page for as long as the process lives. No connection waits for another; one that takes longer than `patience` for its
/// request, or for its answer, is given up.
pub(super) fn serve(listener: &TcpListener, patience: Duration, page: &dyn Fn(Format) -> String) {
    // Otherwise one that hangs up before it is accepted could hold up the others.
    _ = listener.set_nonblocking(true);
    // In the order in which they came.
    let mut clients: VecDeque<Client> = VecDeque::new();
    loop {
        let Ok(ready) = wait(listener, &clients) else {
            std::thread::sleep(PAUSE);
            continue;
        };
        let mut ready = ready.into_iter();
        let has_more = ready.next().unwrap_or(false);
        let now = Instant::now();
        clients.retain_mut(|client| {
            let is_ready = ready.next().unwrap_or(false);
            now < client.until
                && (!is_ready || client.go_on(patience, page).unwrap_or_else(|error| waits(&error)))
        });
        if has_more {
            match listener.accept().and_then(|(stream, _)| Client::new(stream, patience)) {
                Ok(client) => {
                    if clients.len() == MAX_CLIENTS {
                        clients.pop_front();
                    }
                    clients.push_back(client);
                }
                Err(error) if waits(&error) => {}
                // Mostly there are no descriptors left.
                Err(_) => std::thread::sleep(PAUSE),
            }
        }
    }
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until somebody connects, a client can go on, or one has taken too long. Says for the listener, and then for each client, whether
/// there is something to do.
fn wait(listener: &TcpListener, clients: &VecDeque<Client>) -> io::Result<Vec<bool>> {
    let of_client = |client: &Client| match client.stage {
        Stage::Asking(_) => PollFlags::IN,
        Stage::Answered(..) => PollFlags::OUT,
    };
    let mut all = vec![PollFd::new(listener, PollFlags::IN)];
    all.extend(clients.iter().map(|client| PollFd::new(&client.stream, of_client(client))));
    let until = clients.iter().map(|client| client.until).min();
    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
    let left = left.and_then(|left| Timespec::try_from(left).ok());
    match poll(&mut all, left.as_ref()) {
        Ok(_) => Ok(all.iter().map(|fd| !fd.revents().is_empty()).collect()),
        Err(Errno::INTR) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The answer to a request.
fn answer(request: &[u8], page: &dyn Fn(Format) -> String) -> Vec<u8> {
    let format = Format::accepted(&accept(request));
    let (status, body, has_body) = respond(request, &|| page(format));
    let kind = if status == OK { format.content_type() } else { Format::Text.content_type() };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\nvary: accept\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    if has_body {
        answer.extend_from_slice(body.as_bytes());
    }
    answer
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
    use std::net::SocketAddr;

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

    /// Serves `page` for as long as the tests run.
    fn served(patience: Duration, page: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            serve(&listener, patience, &|format| {
                if format == Format::Text { page } else { "open" }.to_owned()
            });
        });
        address
    }

    fn connect(address: SocketAddr, bytes: &[u8]) -> TcpStream {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(bytes).unwrap();
        client
    }

    fn ask(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
        let mut client = connect(address, bytes);
        _ = client.shutdown(std::net::Shutdown::Write);
        let mut said = Vec::new();
        _ = client.read_to_end(&mut said);
        said
    }

    /// Whether the server has closed the connection.
    fn is_closed(client: &TcpStream) -> bool {
        client.set_nonblocking(true).unwrap();
        !client.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    const ASKED: &[u8] = b"GET /metrics HTTP/1.1\r\n\r\n";

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn whoever_says_nothing_or_too_much_gets_nothing() {
        let address = served(HOUR, "page");
        assert_eq!(ask(address, b"GET /metrics"), b"");
        assert_eq!(ask(address, &vec![b'x'; MAX_REQUEST + 8192]), b"");
        assert!(ask(address, ASKED).ends_with(b"\r\n\r\npage"));
        let asked = b"GET /metrics HTTP/1.1\r\nHost: x\r\nACCEPT: application/openmetrics-text\r\nAccept: */*;q=0.1\r\n\r\n";
        let said = String::from_utf8(ask(address, asked)).unwrap();
        assert!(
            said.contains("\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n")
        );
        assert!(said.ends_with("\r\n\r\nopen"));
    }

    #[test]
    fn nobody_waits_for_slow_clients() {
        // More than both sockets hold.
        let page: &'static str = "x".repeat(32 << 20).leak();
        let address = served(HOUR, page);
        let (silent, begun) = (connect(address, b""), connect(address, b"GET /met"));
        let mut reader = connect(address, ASKED);
        for _ in 0..3 {
            assert!(ask(address, ASKED).ends_with(page.as_bytes()));
        }
        assert!(!is_closed(&silent) && !is_closed(&begun));
        // Its answer has waited for it.
        let mut said = Vec::new();
        reader.read_to_end(&mut said).unwrap();
        assert!(said.ends_with(page.as_bytes()));
    }

    #[test]
    fn one_more_than_the_most_costs_the_oldest_its_place() {
        let address = served(HOUR, "page");
        let idle: Vec<TcpStream> = (0..MAX_CLIENTS).map(|_| connect(address, b"")).collect();
        assert!(ask(address, ASKED).ends_with(b"page"));
        // The answer came after all of them had been accepted.
        assert_eq!((&idle[0]).read(&mut [0]).unwrap(), 0);
        assert!(idle[1..].iter().all(|client| !is_closed(client)));
    }

    #[test]
    fn whoever_takes_too_long_is_given_up() {
        let address = served(Duration::from_millis(20), "page");
        for begun in [&b""[..], b"GET /metrics HTTP/1.1\r\n"] {
            assert_eq!(connect(address, begun).read(&mut [0]).unwrap(), 0);
        }
    }
}
