//! `--otlp` and `--metrics` with the real program: what a receiver gets, and what becomes of it when the receiver fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver as Channel, channel};

use flate2::read::GzDecoder;
use prost::Message;
use rpcscope::telemetry::otlp::message::{
    ExportMetricsServiceRequest, ExportResponse, ExportTraceServiceRequest, KeyValue, PartialSuccess, Span,
    SpanKind, StatusCode, Value,
};
use serde_json::Value as Json;

use crate::support;

/// A request that the receiver got.
struct Request {
    path: String,
    headers: BTreeMap<String, String>,
    /// Unpacked.
    body: Vec<u8>,
}

/// A receiver of OTLP/HTTP, for as long as the test runs.
struct Receiver {
    url: String,
    requests: Channel<Request>,
}

impl Receiver {
    /// Gives these answers, status line, headers and body, one after the other, and then 200.
    fn answering(answers: &[&[u8]]) -> Self {
        let mut answers: Vec<Vec<u8>> = answers.iter().rev().map(|answer| answer.to_vec()).collect();
        Self::with(move |_| answers.pop().unwrap_or_else(|| answer("200 OK", "", &[])))
    }

    /// Each request gets what is said to it.
    fn with(mut answer: impl FnMut(&Request) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let Some(request) = read(&stream) else { continue };
                let answer = answer(&request);
                // The test may have ended.
                if sender.send(request).is_err() || stream.write_all(&answer).is_err() {
                    return;
                }
            }
        });
        Self { url, requests }
    }

    fn new() -> Self {
        Self::answering(&[])
    }

    /// What came so far.
    fn all(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Reads a request; `None` if the connection was closed before.
fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1).expect("a target").to_owned();
    assert!(line.starts_with("POST ") && line.ends_with("HTTP/1.1\r\n"), "{line}");
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut packed = vec![0; headers["content-length"].parse().expect("a length")];
    reader.read_exact(&mut packed).expect("a body");
    let mut body = Vec::new();
    GzDecoder::new(&*packed).read_to_end(&mut body).expect("gzip");
    Some(Request { path, headers, body })
}

fn rpcscope(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rpcscope"));
    command.args(args).stdin(Stdio::null()).env("TZ", "UTC");
    command
}

fn run(args: &[&str]) -> Output {
    rpcscope(args).output().expect("the program starts")
}

fn capture(name: &str) -> String {
    support::captures().join(name).to_string_lossy().into_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn records(output: &Output) -> Vec<Json> {
    let text = std::str::from_utf8(&output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// A span and the service that it belongs to.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    service: String,
    span: Span,
}

impl Sent {
    fn text(&self, key: &str) -> Option<&str> {
        text(&self.span.attributes, key)
    }

    fn kind(&self) -> SpanKind {
        self.span.kind()
    }

    fn is_error(&self) -> bool {
        self.span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error)
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?;
    match value.value.as_ref()? {
        Value::Text(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

/// All spans of the requests.
fn spans(requests: &[Request]) -> Vec<Sent> {
    let mut all = Vec::new();
    for request in requests.iter().filter(|request| request.path == "/v1/traces") {
        let decoded = ExportTraceServiceRequest::decode(&*request.body).expect("spans");
        for resource in decoded.resource_spans {
            let attributes = resource.resource.expect("a resource").attributes;
            let service = text(&attributes, "service.name").expect("a name").to_owned();
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
                assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
                all.push(Sent { service: service.clone(), span });
            }
        }
    }
    all
}

#[test]
fn chains_are_traces() {
    let receiver = Receiver::new();
    let file = capture("kitex/chain-four-hops.pcap");
    let output = run(&["chains", &file, "--format", "jsonl", "--otlp", &receiver.url]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let requests = receiver.all();
    for request in &requests {
        assert_eq!(request.headers["content-type"], "application/x-protobuf");
        assert_eq!(request.headers["content-encoding"], "gzip");
        assert!(request.headers["user-agent"].starts_with("rpcscope/"));
    }
    let sent = spans(&requests);
    let by_key: BTreeMap<&str, &Sent> =
        sent.iter().map(|sent| (sent.text("rpcscope.call_key").expect("a key"), sent)).collect();
    assert_eq!(by_key.len(), sent.len(), "one span for each call");
    let chains = records(&output);
    let mut hops = 0;
    for chain in &chains {
        let calls = chain["calls"].as_array().expect("calls");
        let key_of = |uid: &Json| {
            let call = calls.iter().find(|call| call["uid"] == *uid).expect("a call of the chain");
            call["call_key"].as_str().expect("a key")
        };
        let root = by_key[key_of(&calls[0]["uid"])];
        assert!(root.span.parent_span_id.is_empty());
        for call in calls {
            hops += 1;
            let sent = by_key[call["call_key"].as_str().expect("a key")];
            let confidence = call["confidence"].as_f64().unwrap_or(1.0);
            let parent = call.get("parent").filter(|parent| !parent.is_null());
            match parent.map(|parent| by_key[key_of(parent)]) {
                Some(above) if confidence >= 0.8 => {
                    assert_eq!(sent.span.parent_span_id, above.span.span_id);
                    assert_eq!(sent.span.trace_id, above.span.trace_id);
                }
                Some(above) => {
                    assert_eq!(sent.span.links[0].span_id, above.span.span_id);
                    assert_ne!(sent.span.trace_id, root.span.trace_id);
                }
                None => assert_eq!(sent.span.trace_id, root.span.trace_id),
            }
            assert_eq!(sent.kind(), SpanKind::Client);
            let method = format!(
                "{}/{}",
                call["service"].as_str().unwrap_or(""),
                call["method"].as_str().unwrap_or("")
            );
            assert_eq!((&*sent.span.name, sent.text("rpc.method")), (&*method, Some(&*method)));
            assert_eq!(sent.text("rpcscope.class"), Some(call["class"].as_str().unwrap_or("unknown")));
            assert_eq!(sent.text("rpcscope.carrier"), call["carrier"].as_str());
            let failed = !matches!(call["class"].as_str(), Some("ok" | "oneway") | None);
            assert_eq!((sent.is_error(), sent.text("error.type").is_some()), (failed, failed));
        }
    }
    assert_eq!(hops, sent.len());
    assert!(chains.iter().any(|chain| chain["calls"].as_array().is_some_and(|calls| calls.len() > 1)));

    // The same packets give the same spans, in parts and by another command too.
    let ids = |sent: &[Sent]| -> BTreeSet<(Vec<u8>, Vec<u8>)> {
        sent.iter().map(|sent| (sent.span.trace_id.clone(), sent.span.span_id.clone())).collect()
    };
    for args in [&["chains", &file][..], &["chains", &file, "--threads", "3"], &["calls", &file, "--link"]] {
        run(&[args, &["--otlp", &receiver.url]].concat());
        assert_eq!(ids(&spans(&receiver.all())), ids(&sent), "{args:?}");
    }
    run(&["calls", &file, "--otlp", &receiver.url]);
    let alone = spans(&receiver.all());
    let own = |sent: &[Sent]| -> BTreeSet<_> { sent.iter().map(|sent| sent.span.span_id.clone()).collect() };
    assert_eq!(own(&alone), own(&sent));
    assert!(alone.iter().all(|sent| sent.span.parent_span_id.is_empty()));
}

#[test]
fn a_filter_chooses_spans_and_parents_skip_what_is_not_sent() {
    let receiver = Receiver::new();
    let file = capture("kitex/chain-four-hops.pcap");
    run(&["calls", &file, "--link", "--otlp", &receiver.url]);
    let all = spans(&receiver.all());
    let inner = all.iter().find(|sent| !sent.span.parent_span_id.is_empty()).expect("a call with a parent");
    let above = all.iter().find(|sent| sent.span.span_id == inner.span.parent_span_id).expect("its parent");
    let (service, method) = above.span.name.split_once('/').expect("a method");
    let filter = format!("not (service == \"{service}\" and method == \"{method}\")");
    let output = run(&["calls", &file, "--link", "--otlp", &receiver.url, "-Y", &filter]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let chosen = spans(&receiver.all());
    assert!(chosen.len() < all.len() && chosen.iter().all(|sent| sent.span.name != above.span.name));
    let sent: BTreeSet<_> = chosen.iter().map(|sent| &sent.span.span_id).collect();
    for span in chosen.iter().map(|sent| &sent.span) {
        assert!(span.parent_span_id.is_empty() || sent.contains(&span.parent_span_id));
    }
}

#[test]
fn metrics_count_every_call_once() {
    let receiver = Receiver::new();
    let file = capture("demo/all-classes.pcap");
    let output = run(&["calls", &file, "--format", "jsonl", "--otlp", &receiver.url, "--sample", "0"]);
    let calls = records(&output);
    let requests = receiver.all();
    let failed = |call: &&Json| !matches!(call["class"].as_str(), Some("ok" | "oneway") | None);
    // Sampling keeps what failed, and metrics count all.
    assert_eq!(spans(&requests).len(), calls.iter().filter(failed).count());
    let metrics: Vec<_> = requests.iter().filter(|request| request.path == "/v1/metrics").collect();
    assert_eq!(metrics.len(), 1);
    let decoded = ExportMetricsServiceRequest::decode(&*metrics[0].body).expect("metrics");
    let mut counted = 0;
    for metric in decoded.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics[0].metrics) {
        assert_eq!((&*metric.name, &*metric.unit), ("rpc.client.call.duration", "s"));
        let histogram = metric.histogram.as_ref().expect("a histogram");
        assert_eq!(histogram.aggregation_temporality, 2, "cumulative");
        for point in &histogram.data_points {
            assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
            assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count);
            assert!(point.start_time_unix_nano < point.time_unix_nano);
            assert!(!point.exemplars.is_empty());
            counted += point.count;
        }
    }
    assert_eq!(counted, calls.len() as u64);
}

#[test]
fn names_follow_the_version_that_is_asked_for() {
    let receiver = Receiver::new();
    let file = capture("grpc/grpc-mixed.pcap");
    for (version, name, other) in [
        ("1.45", "rpc.status_code", "rpc.response.status_code"),
        ("1.44", "rpc.response.status_code", "rpc.status_code"),
    ] {
        let output = run(&["calls", &file, "--otlp", &receiver.url, "--otlp-names", version]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let sent = spans(&receiver.all());
        let statuses: BTreeSet<_> = sent.iter().filter_map(|sent| sent.text(name)).collect();
        assert!(statuses.contains("OK") && statuses.contains("NOT_FOUND"), "{statuses:?}");
        assert!(
            sent.iter()
                .all(|sent| sent.text(other).is_none() && sent.text("rpc.system.name") == Some("grpc"))
        );
    }
}

#[test]
fn what_passes_is_tried_again() {
    for trouble in [
        answer("503 Service Unavailable", "", b""),
        answer("429 Too Many Requests", "Retry-After: 1\r\n", b""),
        answer("502 Bad Gateway", "Retry-After: 0\r\n", b"<html>"),
        // No answer at all.
        Vec::new(),
    ] {
        let receiver = Receiver::answering(&[&trouble, &trouble]);
        let output = run(&["calls", &capture("demo/all-classes.pcap"), "--otlp", &receiver.url]);
        assert_eq!(
            (output.status.code(), &*said(&output)),
            (Some(0), ""),
            "{}",
            String::from_utf8_lossy(&trouble)
        );
        let requests = receiver.all();
        let bodies: Vec<_> =
            requests.iter().filter(|request| request.path == "/v1/traces").map(|r| &r.body).collect();
        assert_eq!(bodies.len(), 3);
        assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
    }
}

/// A URL where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    format!("http://{}", listener.local_addr().expect("bound"))
}

#[test]
fn what_can_not_be_sent_is_said_and_calls_are_printed() {
    let file = capture("demo/all-classes.pcap");
    let expected = run(&["calls", &file]).stdout;
    let nobody = nobody();
    let wrong = Receiver::answering(&[&answer("404 Not Found", "", b""), &answer("404 Not Found", "", b"")]);
    // SETTINGS of HTTP/2, and an alert of TLS, to each attempt.
    let grpc = Receiver::answering(&[&b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x10\0\0"[..]; 6]);
    let tls = Receiver::answering(&[&b"\x15\x03\x01\0\x02\x02\x46"[..]; 6]);
    let closed =
        Receiver::answering(&[&answer("401 Unauthorized", "", b""), &answer("401 Unauthorized", "", b"")]);
    let moved = Receiver::answering(&[&answer("302 Found", "Location: http://127.0.0.1:9/\r\n", b"")]);
    let partial = PartialSuccess { rejected: 2, error_message: "too old".into() };
    let partial = ExportResponse { partial_success: Some(partial) }.encode_to_vec();
    let choosy = Receiver::answering(&[&answer("200 OK", "", &partial)]);
    for (url, reason) in [
        (&nobody, "refused"),
        (&wrong.url, "404"),
        (&grpc.url, "OTLP/gRPC"),
        (&tls.url, "https://"),
        (&closed.url, "OTEL_EXPORTER_OTLP_HEADERS"),
        (&moved.url, "302"),
        (&choosy.url, "rejected some: too old"),
    ] {
        let output = run(&["calls", &file, "--otlp", url]);
        assert_eq!(output.status.code(), Some(1), "{url}: {}", said(&output));
        assert_eq!(output.stdout, expected);
        assert!(
            said(&output).contains("could not be sent") && said(&output).contains(reason),
            "{}",
            said(&output)
        );
    }
    assert!(said(&run(&["calls", &file, "--otlp", &choosy.url])).is_empty());
}

/// Jaeger, for example, has no place for metrics.
#[test]
fn a_receiver_of_spans_alone_is_no_failure_but_said() {
    let file = capture("demo/all-classes.pcap");
    let nowhere = |path: &'static str| {
        Receiver::with(move |request| {
            if request.path == path {
                answer("404 Not Found", "Content-Type: text/plain\r\n", b"404 page not found")
            } else {
                answer("200 OK", "", &[])
            }
        })
    };
    let folder = tempfile::tempdir().expect("a folder");
    let queue = folder.path().join("queue").display().to_string();
    for more in [&[][..], &["--otlp-queue", &queue]] {
        let receiver = nowhere("/v1/metrics");
        let output = run(&[&["calls", &file, "--otlp", &receiver.url], more].concat());
        assert!(output.status.success(), "{}", said(&output));
        let said = said(&output);
        assert!(
            said.contains("the receiver takes no metrics") && said.contains("404 page not found"),
            "{said}"
        );
        assert!(receiver.all().iter().any(|request| request.path == "/v1/traces"));
        // Whoever takes metrics, but no spans, is not what was asked for.
        if more.is_empty() {
            let output = run(&["calls", &file, "--otlp", &nowhere("/v1/traces").url]);
            assert_eq!(output.status.code(), Some(1));
        }
    }
}

#[test]
fn wrong_urls_are_wrong_usage() {
    let file = capture("demo/all-classes.pcap");
    for args in [
        &["calls", &file, "--otlp", "localhost:4318"][..],
        &["chains", &file, "--otlp", "http://a@b"],
        &["calls", &file, "--sample", "1/2"],
        &["calls", &file, "--otlp", "http://localhost", "--sample", "2"],
        &["calls", &file, "--otlp", "http://localhost", "--otlp-names", "1.0"],
        &["calls", &file, "--metrics", "9464"],
        &["calls", "-i", "lo", "--metrics", "nowhere"],
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn the_environment_counts_when_it_is_asked_for() {
    let receiver = Receiver::new();
    let file = capture("demo/all-classes.pcap");
    let environment = |command: &mut Command| {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.url)
            .env("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
            .output()
            .expect("the program starts")
    };
    assert_eq!(environment(&mut rpcscope(&["calls", &file])).status.code(), Some(0));
    assert!(receiver.all().is_empty());
    let output = environment(&mut rpcscope(&["calls", &file, "--otlp", "env"]));
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let requests = receiver.all();
    assert_eq!(
        requests.iter().map(|request| &*request.path).collect::<Vec<_>>(),
        ["/v1/traces", "/v1/metrics"]
    );
    assert!(requests.iter().all(|request| request.headers["authorization"] == "Bearer abc"));
    let output = run(&["calls", &file, "--otlp", &receiver.url]);
    assert_eq!(output.status.code(), Some(0));
    assert!(receiver.all().iter().all(|request| !request.headers.contains_key("authorization")));
}

mod collector;
mod fleet;
mod queue;

/// Live, where capturing is permitted.
#[cfg(target_os = "linux")]
mod live {
    use super::*;
    use crate::sandbox::Live;

    /// A thrift call over loopback.
    pub(super) struct Peers {
        client: TcpStream,
        server: TcpStream,
        port: u16,
    }

    impl Peers {
        pub(super) fn connect(listener: &TcpListener) -> Self {
            let address = listener.local_addr().expect("bound");
            let client = TcpStream::connect(address).expect("connected");
            let (server, _) = listener.accept().expect("connected");
            Self { client, server, port: address.port() }
        }

        pub(super) fn call(&mut self) {
            let message = |kind: u8| {
                [&[0, 0, 0, 17, 0x80, 1, 0, kind, 0, 0, 0, 4][..], b"Ping", &[0, 0, 0, 1, 0]].concat()
            };
            self.client.write_all(&message(1)).expect("written");
            self.server.read_exact(&mut [0; 21]).expect("read");
            self.server.write_all(&message(2)).expect("written");
            self.client.read_exact(&mut [0; 21]).expect("read");
        }
    }

    fn scrape(port: u16, accept: &str) -> String {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connected");
        let request = format!("GET /metrics HTTP/1.1\r\nhost: localhost\r\naccept: {accept}\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("written");
        let mut page = String::new();
        stream.read_to_string(&mut page).expect("UTF-8");
        page
    }

    /// Has the page read by Prometheus' own Python package, where that is installed.
    fn check_openmetrics(page: &str) {
        let python = crate::engines::python();
        let has = |module: &str| {
            let import = Command::new(&python).args(["-c", module]).stderr(Stdio::null()).status();
            import.is_ok_and(|status| status.success())
        };
        if !has("import prometheus_client.openmetrics.parser") {
            eprintln!("SKIPPED: {python} has no prometheus_client, which would read the page of OpenMetrics");
            return;
        }
        let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                      families = list(parse(sys.stdin.read()))\n\
                      print(sum(1 for family in families for sample in family.samples if sample.exemplar))";
        let mut parser = Command::new(&python);
        let parser = parser.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut parser = parser.stderr(Stdio::piped()).spawn().expect("it starts");
        parser.stdin.take().expect("piped").write_all(page.as_bytes()).expect("written");
        let output = parser.wait_with_output().expect("ended");
        assert!(output.status.success(), "{}: {page}", said(&output));
        assert_ne!(output.stdout, b"0\n", "no exemplars");
    }

    #[test]
    fn a_live_run_is_scraped_and_sends_spans() {
        let receiver = Receiver::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = free.local_addr().expect("bound").port();
        drop(free);
        let filter = format!("tcp port {}", listener.local_addr().expect("bound").port());
        for command in ["calls", "chains"] {
            let page_at = port.to_string();
            let mut program = rpcscope(&[
                command,
                "-i",
                "lo",
                "-f",
                &filter,
                "--format",
                "jsonl",
                "--metrics",
                &page_at,
                "--otlp",
                &receiver.url,
            ]);
            program.stdout(Stdio::null()).stderr(Stdio::piped());
            let Some((live, _)) = Live::start(&mut program) else { return };
            let mut peers = Peers::connect(&listener);
            let line =
                "rpcscope_calls_total{rpc=\"thrift\",service=\"\",method=\"Ping\",class=\"ok\",code=\"\"} ";
            let mut made = 0;
            let page = loop {
                peers.call();
                made += 1;
                let page = scrape(port, "*/*");
                assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
                if page.contains(line) && page.contains("rpcscope_otlp_spans_total{result=\"sent\"} ") {
                    break page;
                }
                assert!(made < 10_000, "{page}");
            };
            for name in [
                "rpcscope_call_duration_seconds_bucket{",
                "rpcscope_packets_total ",
                "rpcscope_packets_dropped_total{by=\"kernel\"} 0",
                "rpcscope_queue_batches ",
                "process_resident_memory_bytes ",
            ] {
                assert!(page.lines().any(|line| line.starts_with(name)), "{name}: {page}");
            }
            let open = scrape(port, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
            let (head, open) = open.split_once("\r\n\r\n").expect("a body");
            assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{head}");
            assert!(open.ends_with("# EOF\n") && open.contains(" # {call_key=\""), "{open}");
            check_openmetrics(open);
            let (status, said) = live.end();
            assert_eq!(status, Some(0), "{said}");
            let requests = receiver.all();
            let sent = spans(&requests);
            assert_eq!(sent.len(), made, "{command}");
            assert!(sent.iter().all(|sent| sent.kind() == SpanKind::Client && sent.span.name == "Ping"));
            assert!(requests.iter().any(|request| request.path == "/v1/metrics"));
            assert_eq!(peers.port.to_string(), filter.rsplit(' ').next().expect("a port"));
        }
    }
    #[test]
    fn a_live_run_without_a_receiver_goes_on_and_says_what_was_lost() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let filter = format!("tcp port {}", listener.local_addr().expect("bound").port());
        let mut program = rpcscope(&["calls", "-i", "lo", "-l", "-f", &filter, "--otlp", &nobody()]);
        program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let Some((mut live, _)) = Live::start(&mut program) else { return };
        let mut printed = BufReader::new(live.stdout());
        let mut peers = Peers::connect(&listener);
        for _ in 0..3 {
            peers.call();
            let mut line = String::new();
            printed.read_line(&mut line).expect("UTF-8");
            assert!(line.contains("Ping"), "{line}");
        }
        let (status, said) = live.end();
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("3 of 3 spans") && said.contains("refused"), "{said}");
    }
}
