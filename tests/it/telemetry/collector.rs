//! What the OpenTelemetry Collector makes of it: `make telemetry-test` builds one (tests/collector) and names it in `RPCSCOPE_COLLECTOR`.

use std::path::{Path, PathBuf};
use std::process::Child;

use tempfile::TempDir;

use super::*;

/// The Collector to run; `None`, said, where there is none.
fn program() -> Option<PathBuf> {
    let program = std::env::var_os("RPCSCOPE_COLLECTOR");
    if program.is_none() {
        eprintln!("SKIPPED: no OpenTelemetry Collector (make telemetry-test builds one)");
    }
    program.map(PathBuf::from)
}

/// A Collector that writes what it receives to files.
struct Collector {
    program: Child,
    folder: TempDir,
}

impl Collector {
    /// Starts one on this port, with further lines for its receiver, and waits until it is ready.
    fn start(program: &Path, port: u16, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let config = format!(
            "receivers:\n  otlp:\n    protocols:\n      http:\n        endpoint: 127.0.0.1:{port}\n{more}\
             exporters:\n  file/traces:\n    path: {}\n  file/metrics:\n    path: {}\n\
             service:\n  telemetry:\n    metrics:\n      level: none\n  pipelines:\n    \
             traces:\n      receivers: [otlp]\n      exporters: [file/traces]\n    \
             metrics:\n      receivers: [otlp]\n      exporters: [file/metrics]\n",
            at("traces.jsonl").display(),
            at("metrics.jsonl").display()
        );
        std::fs::write(at("config.yaml"), config).expect("written");
        let mut program = Command::new(program);
        program.arg("--config").arg(at("config.yaml")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut program = program.spawn().expect("the Collector starts");
        let mut said = BufReader::new(program.stderr.take().expect("piped"));
        let mut log = String::new();
        while !log.contains("Everything is ready") {
            assert_ne!(said.read_line(&mut log).expect("UTF-8"), 0, "{log}");
        }
        // It must not wait for a reader.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { program, folder }
    }

    /// Ends it. Returns what it wrote: the resources of all spans, and those of all metrics.
    fn end(mut self) -> [Vec<Json>; 2] {
        let pid = rustix::process::Pid::from_child(&self.program);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        assert!(self.program.wait().expect("ended").success());
        [("traces.jsonl", "resourceSpans"), ("metrics.jsonl", "resourceMetrics")].map(|(name, key)| {
            let text = std::fs::read_to_string(self.folder.path().join(name)).expect("a file");
            let lines = text.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
            lines.flat_map(|line| line[key].as_array().expect("resources").clone()).collect()
        })
    }
}

/// `SPAN_KIND_SERVER` and `SPAN_KIND_CLIENT`.
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// A port where nobody listens.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// A span as the Collector wrote it (the JSON mapping of OTLP).
#[derive(Debug)]
struct Written {
    service: String,
    span: Json,
}

impl Written {
    fn attribute(&self, key: &str) -> Option<&Json> {
        attribute(&self.span, key)
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.attribute(key)?.get("stringValue")?.as_str()
    }

    /// A key whose value is a text.
    fn own(&self, key: &str) -> &str {
        self.span[key].as_str().unwrap_or_default()
    }

    fn time(&self, key: &str) -> i128 {
        self.own(key).parse().expect("nanoseconds")
    }
}

fn attribute<'a>(of: &'a Json, key: &str) -> Option<&'a Json> {
    of["attributes"].as_array()?.iter().find(|attribute| attribute["key"] == key).map(|found| &found["value"])
}

fn written(resources: &[Json]) -> Vec<Written> {
    let mut all = Vec::new();
    for resource in resources {
        let service = attribute(&resource["resource"], "service.name").expect("a service");
        let service = service["stringValue"].as_str().expect("a text").to_owned();
        for scope in resource["scopeSpans"].as_array().expect("scopes") {
            assert_eq!(scope["scope"]["name"], "rpcscope");
            let spans = scope["spans"].as_array().expect("spans").iter();
            all.extend(spans.map(|span| Written { service: service.clone(), span: span.clone() }));
        }
    }
    all
}

/// All captures that need no keys.
fn all_captures() -> Vec<String> {
    let folders = std::fs::read_dir(support::captures()).expect("captures");
    let folders = folders.map(|entry| entry.expect("a folder").path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).expect("files"));
    let files = files.map(|entry| entry.expect("a file").path());
    let is_capture = |path: &PathBuf| path.extension().is_some_and(|kind| kind == "pcap" || kind == "pcapng");
    let mut all: Vec<_> = files.filter(is_capture).map(|path| path.to_string_lossy().into_owned()).collect();
    all.sort_unstable();
    all
}

/// What a record and a span must have in common.
type Common = (String, String, String, String, i128, i128);

fn of_record(record: &Json) -> Common {
    let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let method = match (record["service"].as_str(), record["method"].as_str()) {
        (Some(service), Some(method)) => format!("{service}/{method}"),
        (None, Some(method)) => method.to_owned(),
        (_, None) => "_OTHER".to_owned(),
    };
    let time = |key: &str| text(key).parse::<jiff::Timestamp>().expect("a time").as_nanosecond();
    let start = time("start");
    let end = match record["duration_ns"].as_i64() {
        Some(duration) => start + i128::from(duration),
        None if record["end"].is_string() => time("end"),
        None => start,
    };
    let class = record["class"].as_str().unwrap_or("unknown").to_owned();
    (text("call_key"), method, class, text("carrier"), start, end)
}

fn of_span(span: &Written) -> Common {
    let text = |key: &str| span.text(key).unwrap_or_default().to_owned();
    assert_eq!(span.own("name"), text("rpc.method"));
    let times = ["startTimeUnixNano", "endTimeUnixNano"].map(|key| span.time(key));
    (
        text("rpcscope.call_key"),
        text("rpc.method"),
        text("rpcscope.class"),
        text("rpcscope.carrier"),
        times[0],
        times[1],
    )
}

#[test]
fn the_collector_has_what_the_records_say() {
    let Some(program) = program() else { return };
    let port = free_port();
    let collector = Collector::start(&program, port, "");
    let url = format!("http://127.0.0.1:{port}");
    let mut expected = Vec::new();
    let mut contexts: BTreeMap<String, Json> = BTreeMap::new();
    let files = all_captures();
    for file in &files {
        let output = run(&["calls", file, "--link", "--format", "jsonl", "--otlp", &url]);
        let said = said(&output);
        assert!(!said.contains("could not be sent"), "{file}: {said}");
        for record in records(&output) {
            // Keys tell calls of one capture apart; several captures may hold the same connection.
            let common = of_record(&record);
            if !common.0.is_empty() && !contexts.contains_key(&common.0) {
                contexts.insert(common.0.clone(), record);
            }
            expected.push(common);
        }
    }
    let [traces, metrics] = collector.end();
    let spans = written(&traces);
    let mut got: Vec<_> = spans.iter().map(of_span).collect();
    expected.sort_unstable();
    got.sort_unstable();
    let count = |all: &[Common]| {
        let mut classes = BTreeMap::<String, usize>::new();
        for common in all {
            *classes.entry(common.2.clone()).or_default() += 1;
        }
        classes
    };
    println!("{} captures: {:?}", files.len(), count(&got));
    assert_eq!(count(&got), count(&expected));
    let different = expected.iter().zip(&got).find(|(record, span)| record != span);
    assert_eq!(different, None);

    // Parents are those of the records, and the context of the wire stays.
    let by_id: BTreeMap<&str, &Written> = spans.iter().map(|span| (span.own("spanId"), span)).collect();
    let (mut parents, mut kept) = (0, 0);
    for span in &spans {
        let Some(record) = span.text("rpcscope.call_key").and_then(|key| contexts.get(key)) else { continue };
        assert!(!span.service.is_empty());
        if let Some(trace) = record["trace_id"].as_str().filter(|id| id.len() == 32) {
            kept += 1;
            assert_eq!(span.own("traceId"), trace);
        }
        if let (Some(parent), None) = (record["parent_key"].as_str(), record["span_id"].as_str()) {
            let above = by_id.get(span.own("parentSpanId")).expect("the parent was sent");
            if above.own("traceId") == span.own("traceId") {
                parents += 1;
                assert_eq!(above.text("rpcscope.call_key"), Some(parent));
            }
        }
    }
    println!("{parents} parents, {kept} traces of the wire");
    assert!(parents > 0 && kept > 0);

    // The metrics of each run count its calls.
    let points = metrics.iter().flat_map(|resource| resource["scopeMetrics"].as_array().expect("scopes"));
    let points = points.flat_map(|scope| scope["metrics"].as_array().expect("metrics"));
    let points = points.flat_map(|metric| metric["histogram"]["dataPoints"].as_array().expect("points"));
    let counted: u64 =
        points.map(|point| point["count"].as_str().expect("a count").parse::<u64>().expect("a count")).sum();
    assert_eq!(counted, spans.len() as u64);
}

#[test]
fn both_ends_of_a_call_are_one_trace() {
    let Some(program) = program() else { return };
    let port = free_port();
    let collector = Collector::start(&program, port, "");
    let url = format!("http://127.0.0.1:{port}");
    let (_, captures, _folder) = crate::hosts::fleet::bundled("kitex/chain-four-hops.pcap");
    let output = rpcscope(&["chains", "--format", "jsonl", "--otlp", &url]).args(&captures).output();
    let output = output.expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let [traces, _] = collector.end();
    let spans = written(&traces);
    let mut servers = 0;
    for server in spans.iter().filter(|span| span.span["kind"] == SERVER) {
        let key = server.text("rpcscope.call_key").expect("a key");
        let is_client =
            |span: &&Written| span.span["kind"] == CLIENT && span.text("rpcscope.call_key") == Some(key);
        let Some(client) = spans.iter().find(is_client) else { continue };
        servers += 1;
        assert_eq!(server.own("traceId"), client.own("traceId"));
        assert_eq!(server.own("parentSpanId"), client.own("spanId"));
        assert!(client.time("startTimeUnixNano") <= server.time("startTimeUnixNano"));
    }
    assert!(servers > 0);
}

#[test]
fn a_collector_that_starts_late_gets_all() {
    let Some(program) = program() else { return };
    let file = capture("demo/all-classes.pcap");
    let calls = records(&run(&["calls", &file, "--format", "jsonl"])).len();
    let busy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = busy.local_addr().expect("bound").port();
    let url = format!("http://127.0.0.1:{port}");
    let mut waiting = rpcscope(&["calls", &file, "--otlp", &url]);
    let waiting = waiting.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program starts");
    let (mut stream, _) = busy.accept().expect("a connection");
    read(&stream).expect("a request");
    drop(busy);
    stream.write_all(&answer("503 Service Unavailable", "Retry-After: 8\r\n", b"")).expect("written");
    drop(stream);
    let collector = Collector::start(&program, port, "");
    let output = waiting.wait_with_output().expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(written(&collector.end()[0]).len(), calls);
}

#[test]
fn what_waited_on_disk_is_sent_once_the_collector_runs() {
    let Some(program) = program() else { return };
    let queue = tempfile::tempdir().expect("a folder");
    let queue = queue.path().to_str().expect("UTF-8");
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let files = ["demo/all-classes.pcap", "grpc/grpc-mixed.pcap", "kitex/chain-four-hops.pcap"].map(capture);
    let send = |file: &str| run(&["calls", file, "--format", "jsonl", "--otlp", &url, "--otlp-queue", queue]);
    let mut expected = Vec::new();
    for file in &files[..2] {
        let output = send(file);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(said(&output).contains("for the next run"), "{}", said(&output));
        expected.extend(records(&output).iter().map(of_record));
    }
    let collector = Collector::start(&program, port, "");
    let output = send(&files[2]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    expected.extend(records(&output).iter().map(of_record));
    // In the order in which they were made.
    let got: Vec<_> = written(&collector.end()[0]).iter().map(of_span).collect();
    for part in [&expected[..1], &expected] {
        assert!(part.iter().all(|record| got.contains(record)));
    }
    assert_eq!(got.len(), expected.len());
}

/// The URL of a server that knows no TLS, with https.
#[cfg(feature = "https")]
fn plain_server() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            _ = stream.read(&mut [0; 4096]);
            _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

/// A Collector behind TLS that asks for a certificate of the client, with authorities of our own.
#[cfg(feature = "https")]
#[test]
fn private_authorities_and_certificates_of_clients_are_used() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let made = Command::new(&program).arg("certificates").arg(folder.path()).status().expect("it starts");
    assert!(made.success());
    let port = free_port();
    let tls = format!(
        "        tls:\n          cert_file: {}\n          key_file: {}\n          client_ca_file: {}\n",
        at("server.pem"),
        at("server.key"),
        at("ca.pem")
    );
    let collector = Collector::start(&program, port, &tls);
    let file = capture("demo/all-classes.pcap");
    let expected = run(&["calls", &file]).stdout;
    let send = |url: &str, variables: &[(&str, &str)]| {
        let mut command = rpcscope(&["calls", &file, "--otlp", "env"]);
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
        for (name, file) in variables {
            command.env(format!("OTEL_EXPORTER_OTLP_{name}"), at(file));
        }
        let output = command.output().expect("the program starts");
        assert_eq!(output.stdout, expected);
        output
    };
    let url = format!("https://localhost:{port}");
    let trusted = ("CERTIFICATE", "ca.pem");
    let own = [("CLIENT_CERTIFICATE", "client.pem"), ("CLIENT_KEY", "client.key")];
    let plain = plain_server();
    for (url, variables, reason) in [
        (&url, &own[..], "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        (&url, &[("CERTIFICATE", "other.pem"), own[0], own[1]], "OTEL_EXPORTER_OTLP_CERTIFICATE"),
        (&url, &[trusted], "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"),
        (&format!("https://127.0.0.2:{port}"), &[trusted, own[0], own[1]], "refused"),
        (&plain, &[trusted], "no TLS"),
        (&url.replace("https://", "http://"), &[], "HTTPS"),
    ] {
        let output = send(url, variables);
        assert_eq!(output.status.code(), Some(1), "{url} {variables:?}");
        println!("{}", said(&output));
        assert!(said(&output).contains(reason), "{url} {variables:?}: {}", said(&output));
    }
    let output = send(&url, &[trusted, own[0], own[1]]);
    assert_eq!((output.status.code(), &*said(&output)), (Some(0), ""));
    let calls = records(&run(&["calls", &file, "--format", "jsonl"])).len();
    assert_eq!(written(&collector.end()[0]).len(), calls);
}
