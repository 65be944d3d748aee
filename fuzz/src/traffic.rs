//! gRPC between a client and a server of the crate `h2`, read by our session: it has to see the calls, names, headers and ends
//! that the two applications gave and got.
//!
//! Input: the settings of both ends, then the calls: their names, headers, messages and how they end.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::{Reason, client, server};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use rpcscope_parsers::event::GrpcCode;
use rpcscope_parsers::{CallId, Event, Protocol as _, Side, Status, http2::Http2};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::task::LocalSet;

use crate::bytes::Input;

/// Most calls of one connection.
const MAX_CALLS: usize = 6;

/// What was written, in order.
type Wire = Rc<RefCell<Vec<(Side, Vec<u8>)>>>;

/// One end of the connection, which notes what it writes.
struct Noted {
    side: Side,
    inner: DuplexStream,
    wire: Wire,
}

impl AsyncRead for Noted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Noted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        if let Poll::Ready(Ok(len)) = written {
            self.wire.borrow_mut().push((self.side, bytes[..len].to_vec()));
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// How the server ends a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Headers, messages, trailers.
    Trailers,
    /// Headers that end the stream.
    TrailersOnly,
    Reset(u32),
}

/// A call as both applications agreed on it.
#[derive(Clone, Debug)]
struct Plan {
    service: String,
    method: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    asked: Vec<Bytes>,
    answered: Vec<Bytes>,
    trailers: Vec<(HeaderName, HeaderValue)>,
    code: u8,
    message: String,
    ending: Ending,
}

fn word(input: &mut Input<'_>, most: usize) -> String {
    let len = 1 + usize::from(input.u8()) % most;
    let letter =
        |byte: &u8| char::from(b"abcdefghijklmnopqrstuvwxyzABCDEF0123456789_"[usize::from(*byte) % 43]);
    let mut word: String = input.take(len).iter().map(letter).collect();
    if word.is_empty() {
        word.push('w');
    }
    word
}

fn headers(input: &mut Input<'_>) -> Vec<(HeaderName, HeaderValue)> {
    (0..input.u8() % 6)
        .map(|_| {
            let name = format!("x-{}", word(input, 12).to_ascii_lowercase());
            let len = usize::from(input.u8());
            // A space at either end may be taken off on the way (RFC 9110, section 5.5).
            let value: Vec<u8> = input.take(len).iter().map(|byte| byte % 94 + 33).collect();
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_bytes(&value).expect("a value"))
        })
        .collect()
}

/// Messages with gRPC's prefix, in pieces as an application may send them.
fn messages(input: &mut Input<'_>) -> Vec<Bytes> {
    (0..input.u8() % 4)
        .map(|_| {
            let len = usize::from(input.u16()) % 3000;
            let mut message = vec![0];
            message.extend_from_slice(&(len as u32).to_be_bytes());
            message.resize(5 + len, 7);
            Bytes::from(message)
        })
        .collect()
}

fn plan(input: &mut Input<'_>) -> Plan {
    let ending = match input.u8() % 8 {
        0 => Ending::TrailersOnly,
        1 => Ending::Reset(u32::from(input.u8() % 14)),
        _ => Ending::Trailers,
    };
    Plan {
        service: word(input, 20),
        method: word(input, 10),
        headers: headers(input),
        asked: messages(input),
        answered: messages(input),
        trailers: headers(input),
        code: input.u8() % 17,
        message: if input.bool() { word(input, 40) } else { String::new() },
        ending,
    }
}

fn fill(map: &mut HeaderMap, pairs: &[(HeaderName, HeaderValue)]) {
    for (name, value) in pairs {
        map.append(name, value.clone());
    }
}

fn verdict(plan: &Plan) -> HeaderMap {
    let mut map = HeaderMap::new();
    map.insert("grpc-status", HeaderValue::from(u16::from(plan.code)));
    if !plan.message.is_empty() {
        map.insert("grpc-message", HeaderValue::from_str(&plan.message).expect("a value"));
    }
    fill(&mut map, &plan.trailers);
    map
}

async fn drain(body: &mut h2::RecvStream) {
    while let Some(Ok(bytes)) = body.data().await {
        _ = body.flow_control().release_capacity(bytes.len());
    }
    _ = body.trailers().await;
}

async fn serve(io: Noted, settings: [u32; 3], plans: Rc<Vec<Plan>>) {
    let mut builder = server::Builder::new();
    builder.initial_window_size(settings[1]).max_frame_size(settings[2]);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(io).await else { return };
    let mut number = 0;
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let plan = plans[number].clone();
        number += 1;
        tokio::task::spawn_local(async move {
            drain(&mut request.into_body()).await;
            let mut response = Response::new(());
            response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
            match plan.ending {
                Ending::Reset(code) => respond.send_reset(Reason::from(code)),
                Ending::TrailersOnly => {
                    response.headers_mut().extend(verdict(&plan));
                    _ = respond.send_response(response, true);
                }
                Ending::Trailers => {
                    let Ok(mut stream) = respond.send_response(response, false) else { return };
                    for message in &plan.answered {
                        _ = stream.send_data(message.clone(), false);
                    }
                    _ = stream.send_trailers(verdict(&plan));
                }
            }
        });
    }
}

async fn call(io: Noted, settings: [u32; 3], plans: Rc<Vec<Plan>>) {
    let mut builder = client::Builder::new();
    builder.header_table_size(settings[0]).initial_window_size(settings[1]).max_frame_size(settings[2]);
    let Ok((mut sender, connection)) = builder.handshake::<_, Bytes>(io).await else { return };
    let driver = tokio::task::spawn_local(connection);
    let mut answers = Vec::new();
    for plan in plans.iter() {
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() =
            format!("http://a.b/{}/{}", plan.service, plan.method).parse().expect("an address");
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        fill(request.headers_mut(), &plan.headers);
        let Ok(ready) = sender.ready().await else { return };
        sender = ready;
        let Ok((answer, mut body)) = sender.send_request(request, false) else { return };
        for message in &plan.asked {
            _ = body.send_data(message.clone(), false);
        }
        _ = body.send_data(Bytes::new(), true);
        answers.push(answer);
    }
    for answer in answers {
        if let Ok(response) = answer.await {
            drain(&mut response.into_body()).await;
        }
    }
    drop(sender);
    _ = driver.await;
}

/// What our session saw of a stream.
#[derive(Debug, Default)]
struct Seen {
    service: String,
    method: String,
    headers: Vec<(String, Vec<u8>)>,
    trailers: Vec<(String, Vec<u8>)>,
    code: Option<i64>,
    message: String,
    reset: Option<i64>,
    asked: u32,
    answered: u32,
}

fn lossy(text: Option<rpcscope_parsers::event::Text<'_>>) -> String {
    text.map(|text| String::from_utf8_lossy(&text.decode()).into_owned()).unwrap_or_default()
}

fn custom(event: &Event<'_>) -> Vec<(String, Vec<u8>)> {
    let mut pairs = Vec::new();
    if let Some(headers) = event.headers() {
        headers.each(&mut |name, value| {
            if name.starts_with(b"x-") {
                pairs.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
            }
        });
    }
    pairs.sort();
    pairs
}

fn note(seen: &mut BTreeMap<i64, Seen>, side: Side, event: &Event<'_>) {
    assert!(!matches!(event, Event::Lost { .. } | Event::Foreign(_)), "{:?} on legal traffic", event.kind());
    let Some(CallId::Stream(id)) = event.head().map(|head| head.id) else { return };
    let of = seen.entry(id).or_default();
    match event {
        Event::Open(open) => {
            (of.service, of.method) = (lossy(open.names.service), lossy(open.names.method));
            of.headers = custom(event);
        }
        Event::Part(part) if side == Side::A => of.asked += part.messages,
        Event::Part(part) => of.answered += part.messages,
        Event::Answer(answer) => {
            of.trailers = custom(event);
            if let Status::Grpc(status) = answer.status {
                of.message = lossy(status.message);
                if let GrpcCode::Code(code) = status.code {
                    of.code = Some(code);
                }
            }
        }
        Event::Reset(reset) => of.reset = reset.code,
        _ => {}
    }
}

fn pairs(of: &[(HeaderName, HeaderValue)]) -> Vec<(String, Vec<u8>)> {
    let mut pairs: Vec<_> =
        of.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect();
    pairs.sort();
    pairs
}

/// See the module.
pub fn traffic(data: &[u8]) {
    let mut input = Input(data);
    let pipe = 64 + usize::from(input.u16()) % 8192;
    let mut settings =
        || [u32::from(input.u16()), 1000 + u32::from(input.u16()), 16_384 + u32::from(input.u16())];
    let (client, server) = (settings(), settings());
    let mut plans = Vec::new();
    while plans.len() < MAX_CALLS && (plans.is_empty() || !input.is_empty()) {
        plans.push(plan(&mut input));
    }
    let plans = Rc::new(plans);
    let wire = Wire::default();
    let (near, far) = tokio::io::duplex(pipe);
    let noted = |side, inner| Noted { side, inner, wire: Rc::clone(&wire) };
    let ends = (
        call(noted(Side::A, near), client, Rc::clone(&plans)),
        serve(noted(Side::B, far), server, Rc::clone(&plans)),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let server = tokio::task::spawn_local(ends.1);
        ends.0.await;
        _ = server.await;
    });

    let mut session = Http2.session();
    let mut seen = BTreeMap::new();
    for (side, bytes) in wire.borrow().iter() {
        session.data(*side, bytes, &mut |side, event| note(&mut seen, side, event));
    }
    for side in [Side::A, Side::B] {
        session.end(side, &mut |side, event| note(&mut seen, side, event));
    }
    assert_eq!(session.trouble(), None, "legal traffic is no trouble");
    assert_eq!(seen.len(), plans.len(), "{seen:?}");
    for (plan, seen) in plans.iter().zip(seen.values()) {
        let context = || format!("{plan:?} is seen as {seen:?}");
        assert_eq!((&seen.service, &seen.method), (&plan.service, &plan.method), "{}", context());
        assert_eq!(seen.headers, pairs(&plan.headers), "{}", context());
        assert_eq!(seen.asked as usize, plan.asked.len(), "{}", context());
        if let Ending::Reset(code) = plan.ending {
            assert_eq!((seen.code, seen.reset), (None, Some(i64::from(code))), "{}", context());
            continue;
        }
        assert_eq!(seen.code, Some(i64::from(plan.code)), "{}", context());
        assert_eq!(seen.message, plan.message, "{}", context());
        assert_eq!(seen.trailers, pairs(&plan.trailers), "{}", context());
        let answered = if plan.ending == Ending::Trailers { plan.answered.len() } else { 0 };
        assert_eq!(seen.answered as usize, answered, "{}", context());
    }
}
