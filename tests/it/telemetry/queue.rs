//! `--otlp-queue`: what becomes of batches that the receiver does not take now.

use std::path::{Path, PathBuf};

use super::*;
use crate::endings::wait_for_files;

/// The files of a queue, the oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path());
    let mut all: Vec<_> = all.filter(|path| path.extension().is_some()).collect();
    all.sort_unstable();
    all
}

/// What tells spans apart, in the order in which they came.
fn ids(requests: &[Request]) -> Vec<Vec<u8>> {
    spans(requests).into_iter().map(|sent| sent.span.span_id).collect()
}

/// The spans that a run sends which has a receiver.
fn direct(file: &str) -> Vec<Vec<u8>> {
    let receiver = Receiver::new();
    assert_eq!(run(&["calls", file, "--otlp", &receiver.url]).status.code(), Some(0));
    ids(&receiver.all())
}

#[test]
fn batches_wait_for_a_run_that_has_a_receiver() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("queue");
    let queue = folder.to_str().expect("UTF-8");
    let [first, second] = ["demo/all-classes.pcap", "grpc/grpc-mixed.pcap"].map(capture);
    let expected = run(&["calls", &first]).stdout;
    let output = run(&["calls", &first, "--otlp", &nobody(), "--otlp-queue", queue]);
    assert_eq!((output.status.code(), &output.stdout), (Some(0), &expected), "{}", said(&output));
    assert!(
        said(&output).contains("for the next run") && said(&output).contains("refused"),
        "{}",
        said(&output)
    );
    assert_eq!(files(&folder).len(), 2);

    let receiver = Receiver::answering(&[&answer("503 Service Unavailable", "Retry-After: 0\r\n", b"")]);
    let output = run(&["calls", &second, "--otlp", &receiver.url, "--otlp-queue", queue]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("of an earlier run: 2 files"), "{}", said(&output));
    let requests = receiver.all();
    let (refused, taken) = requests.split_first().expect("requests");
    assert_eq!(refused.body, taken.iter().find(|request| request.path == "/v1/traces").expect("spans").body);
    assert_eq!(ids(taken), [direct(&first), direct(&second)].concat());
    assert_eq!(taken.iter().filter(|request| request.path == "/v1/metrics").count(), 2);
    assert!(files(&folder).is_empty());
}

#[test]
fn a_run_that_is_killed_while_it_sends_loses_nothing() {
    let temporary = tempfile::tempdir().expect("a folder");
    let queue = temporary.path().to_str().expect("UTF-8");
    let file = capture("demo/all-classes.pcap");
    // It takes the request and does not answer.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let mut program = rpcscope(&["calls", &file, "--otlp", &url, "--otlp-queue", queue]);
    let mut program =
        program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
    let (stream, _) = listener.accept().expect("a connection");
    let request = read(&stream).expect("a request");
    // Spans and metrics are there, and no file is being written.
    let is_whole = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "gz");
    wait_for_files(temporary.path(), || {
        let files = files(temporary.path());
        files.len() == 2 && files.iter().all(is_whole)
    });
    program.kill().expect("killed");
    program.wait().expect("ended");

    let receiver = Receiver::new();
    let other = capture("grpc/grpc-mixed.pcap");
    let output = run(&["calls", &other, "--otlp", &receiver.url, "--otlp-queue", queue]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let requests = receiver.all();
    assert!(requests[0].body == request.body, "the same once more");
    assert_eq!(ids(&requests), [direct(&file), direct(&other)].concat());
}

#[test]
fn what_is_lost_in_the_folder_is_said() {
    let temporary = tempfile::tempdir().expect("a folder");
    let queue = temporary.path().to_str().expect("UTF-8");
    let file = capture("demo/all-classes.pcap");
    run(&["calls", &file, "--otlp", &nobody(), "--otlp-queue", queue]);
    let cut = std::fs::OpenOptions::new().write(true).open(&files(temporary.path())[0]).expect("a file");
    cut.set_len(100).expect("cut");
    let receiver = Receiver::new();
    let output = run(&["calls", &file, "--otlp", &receiver.url, "--otlp-queue", queue]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cut off"), "{}", said(&output));
    assert_eq!(ids(&receiver.all()), direct(&file));
}

#[test]
fn a_receiver_that_refuses_gets_nothing_twice_and_the_rest_waits() {
    let temporary = tempfile::tempdir().expect("a folder");
    let queue = temporary.path().to_str().expect("UTF-8");
    let file = capture("demo/all-classes.pcap");
    let choosy =
        Receiver::answering(&[&answer("400 Bad Request", "content-type: text/plain\r\n", b"no such tenant")]);
    let output = run(&["calls", &file, "--otlp", &choosy.url, "--otlp-queue", queue]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("400 Bad Request (no such tenant)"), "{}", said(&output));
    let paths: Vec<_> = choosy.all().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/v1/traces", "/v1/metrics"]);
    assert!(files(temporary.path()).is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_live_run_keeps_what_it_can_not_send() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("queue");
    let queue = folder.to_str().expect("UTF-8");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let filter = format!("tcp port {}", listener.local_addr().expect("bound").port());
    let args = ["calls", "-i", "lo", "-l", "-f", &filter, "--otlp", &nobody(), "--otlp-queue", queue];
    let mut program = rpcscope(&args);
    program.stdout(Stdio::piped()).stderr(Stdio::piped());
    let Some((mut live, _)) = crate::sandbox::Live::start(&mut program) else { return };
    let mut printed = BufReader::new(live.stdout());
    let mut peers = live::Peers::connect(&listener);
    peers.call();
    printed.read_line(&mut String::new()).expect("UTF-8");
    let (status, said) = live.end();
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("for the next run: 2 files, 1 span"), "{said}");
    let receiver = Receiver::new();
    let file = capture("demo/all-classes.pcap");
    assert_eq!(run(&["calls", &file, "--otlp", &receiver.url, "--otlp-queue", queue]).status.code(), Some(0));
    assert_eq!(spans(&receiver.all())[0].span.name, "Ping");
    assert!(files(&folder).is_empty());
}

#[test]
fn a_folder_has_one_run_at_a_time() {
    let temporary = tempfile::tempdir().expect("a folder");
    let queue = temporary.path().to_str().expect("UTF-8");
    let file = capture("demo/all-classes.pcap");
    let lock = std::fs::File::create(temporary.path().join("lock")).expect("a file");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).expect("locked");
    let output = run(&["calls", &file, "--otlp", &nobody(), "--otlp-queue", queue]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("another run uses this folder"), "{}", said(&output));
    for args in [
        &["--otlp-queue", queue][..],
        &["--otlp", "http://localhost", "--otlp-queue", queue, "--otlp-queue-size", "1MB"],
    ] {
        let output = run(&[&["calls", &file], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", said(&output));
    }
}
