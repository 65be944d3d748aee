//! Shared by the tests: bundled captures, and call records of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rpcscope::calls::Call;
use rpcscope::pipeline::{self, Options, Output, Totals};
use rpcscope::source::{Source, files};
use rpcscope::tls::KeyLogs;
use serde_json::Value;

/// The folder of the bundled captures.
pub(crate) fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// All bundled files with names ending in `ending`, sorted.
pub(crate) fn bundled(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(captures()).expect("captures/ is readable").flatten() {
        if let Ok(files) = std::fs::read_dir(folder.path()) {
            let files = files.flatten().map(|file| file.path());
            found.extend(files.filter(|path| path.to_string_lossy().ends_with(ending)));
        }
    }
    found.sort();
    assert!(!found.is_empty(), "no {ending} in captures/");
    found
}

/// The bundled captures of one interface each. Those of all interfaces hold twice what a host forwards.
pub(crate) fn of_one_interface() -> impl Iterator<Item = PathBuf> {
    let others = captures().join("nat");
    bundled(".pcap").into_iter().filter(move |path| !path.starts_with(&others))
}

/// The key logs that stand beside capture files.
pub(crate) fn key_logs(paths: &[PathBuf]) -> Arc<KeyLogs> {
    let beside = paths.iter().map(|path| path.with_extension("keys"));
    let logs = KeyLogs::new(&beside.filter(|path| path.exists()).collect::<Vec<_>>(), false);
    logs.read();
    Arc::new(logs)
}

/// Runs the pipeline over `source` and returns its outputs.
pub(crate) fn outputs(source: &mut dyn Source, options: &Options) -> (Vec<Output>, Totals) {
    let mut all = Vec::new();
    let totals = pipeline::run(source, options, &mut |outputs: &mut Vec<Output>, _: &Totals| {
        all.append(outputs);
        true
    })
    .expect("the source can be read");
    (all, totals)
}

/// The calls of capture files, with the key logs beside them.
pub(crate) fn calls(paths: &[PathBuf], options: &Options) -> Vec<Call> {
    let options = &Options { key_logs: Some(key_logs(paths)), ..options.clone() };
    let mut source = files::open(paths, files::Options::default());
    let (all, _) = outputs(&mut source, options);
    let troubles = source.troubles();
    assert!(troubles.is_empty(), "{troubles:?}");
    all.into_iter().filter_map(call).collect()
}

/// A call as its JSON record.
pub(crate) fn record(call: &Call) -> Value {
    let mut line = Vec::new();
    rpcscope::sink::jsonl::write_call(&mut line, call);
    serde_json::from_slice(&line).expect("a record is JSON")
}

/// The lines of a JSON lines file.
pub(crate) fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        .collect()
}

/// The call; `None` for other outputs.
pub(crate) fn call(output: Output) -> Option<Call> {
    match output {
        Output::Call(call) => Some(*call),
        Output::Connection(_) | Output::Learned(_) => None,
    }
}

/// The record of a call; `None` for other outputs.
pub(crate) fn call_record(output: &Output) -> Option<Value> {
    match output {
        Output::Call(call) => Some(record(call)),
        Output::Connection(_) | Output::Learned(_) => None,
    }
}
