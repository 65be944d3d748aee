//! What rpcscope reads of TLS, against what tshark reads with the same key logs. Left out, with a line that says so, where tshark is not installed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rpcscope::decode::{Decoded, Decoder};
use rpcscope::dispatch::{Conversation, Plaintext, Sessions};
use rpcscope::flow::{Chunk, End, Flow, Limits, Owner, Stamp, Table};
use rpcscope::pipeline::Options;
use rpcscope::source::{Batch, Source as _, files};
use rpcscope::tls::Keys;
use rpcscope_parsers::Side;

use crate::support;

/// The application data that each end sent, by its address and that of the other.
type Sent = BTreeMap<(String, String), Vec<u8>>;

/// Keeps what is read of each connection.
struct Reader {
    keys: Arc<Keys>,
    sent: Sent,
}

impl Owner<Conversation> for Reader {
    fn open(&mut self, flow: &Flow) -> Conversation {
        Conversation::new(&flow.key, &[], None).with_keys(Some(&self.keys)).keeping_plaintext()
    }

    fn chunk(
        &mut self,
        flow: &Flow,
        conversation: &mut Conversation,
        side: Side,
        chunk: Chunk<'_>,
        origin: Stamp,
        _now: Stamp,
    ) -> u64 {
        let needed =
            conversation.chunk(flow, side, chunk, origin, &mut Sessions::default(), &mut |_, _, _| {});
        for Plaintext { side, bytes, .. } in conversation.take_plaintext().unwrap_or_default() {
            let [a, b] = [&flow.key.a, &flow.key.b].map(ToString::to_string);
            let ends = if side == Side::A { (a, b) } else { (b, a) };
            self.sent.entry(ends).or_default().extend(bytes);
        }
        needed
    }

    fn close(&mut self, _flow: &Flow, _conversation: &mut Conversation, _why: End, _now: Stamp) {}
}

fn read(capture: &Path) -> Sent {
    let logs = support::key_logs(&[capture.to_owned()]);
    // Secrets in the file, and sessions that are resumed, are known when it was read once.
    let options = Options { threads: 1, key_logs: Some(Arc::clone(&logs)), ..Options::default() };
    support::outputs(&mut files::open(&[capture.to_owned()], files::Options::default()), &options);
    let mut reader = Reader { keys: Arc::new(Keys::complete(logs)), sent: Sent::new() };
    let mut source = files::open(&[capture.to_owned()], files::Options::default());
    let mut table = Table::new(Limits::default());
    let (mut decoder, mut batch, mut now) = (Decoder::default(), Batch::default(), Stamp::default());
    while source.next_batch(&mut batch).expect("the capture can be read") {
        for packet in batch.packets() {
            now = Stamp { packet: packet.number, time: packet.time };
            if let Decoded::Segment(segment) = decoder.decode(&packet) {
                table.segment(&segment, &mut reader);
            }
        }
    }
    table.finish(now, &mut reader);
    reader.sent
}

/// The same by tshark; `None` if it is not installed.
fn read_by_tshark(capture: &Path) -> Option<Sent> {
    let tshark = |arguments: &[String]| {
        let mut command = Command::new("tshark");
        command.arg("-r").arg(capture);
        let keys = capture.with_extension("keys");
        if keys.exists() {
            command.arg("-o").arg(format!("tls.keylog_file:{}", keys.display()));
        }
        let output = command.args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    // It follows streams by their number, and names one of their ends only.
    let fields = "-T fields -e tcp.stream -e ip.src -e tcp.srcport -e ip.dst -e tcp.dstport";
    let mut streams: BTreeMap<usize, [String; 2]> = BTreeMap::new();
    for line in tshark(&words(fields))?.lines() {
        if let [stream, source, source_port, destination, port] = line.split('\t').collect::<Vec<_>>()[..]
            && let Ok(stream) = stream.parse()
        {
            let ends = [format!("{source}:{source_port}"), format!("{destination}:{port}")];
            streams.entry(stream).or_insert(ends);
        }
    }
    let follow = streams.keys().flat_map(|stream| ["-z".to_owned(), format!("follow,tls,raw,{stream}")]);
    let arguments: Vec<String> = ["-q".to_owned()].into_iter().chain(follow).collect();
    let mut sent = Sent::new();
    let mut ends = <[String; 2]>::default();
    for line in tshark(&arguments)?.lines() {
        let bytes = line.trim_start();
        if let Some(stream) = line.strip_prefix("Filter: tcp.stream eq ") {
            let stream: usize = stream.parse().expect("the number of a stream");
            ends.clone_from(&streams[&stream]);
        } else if let Some(first) = line.strip_prefix("Node 0: ") {
            if first == ends[1] {
                ends.swap(0, 1);
            }
        } else if !bytes.is_empty() && bytes.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let [first, second] = ends.clone();
            let ends = if line.starts_with('\t') { (second, first) } else { (first, second) };
            let digit = |at: usize| u8::from_str_radix(&bytes[at..at + 2], 16).expect("two digits");
            sent.entry(ends).or_default().extend((0..bytes.len()).step_by(2).map(digit));
        }
    }
    Some(sent)
}

#[test]
fn tshark_reads_the_same_with_the_same_keys() {
    let mut captures = support::bundled(".pcap");
    captures.extend(support::bundled(".pcapng"));
    captures.retain(|path| path.parent().is_some_and(|folder| folder.ends_with("tls")));
    // It reads TLS 1.1, which is refused here by name.
    captures.retain(|path| !path.ends_with("tls11-openssl-cbc.pcap"));
    let mut compared = 0;
    for capture in captures {
        let Some(theirs) = read_by_tshark(&capture) else {
            eprintln!("SKIPPED: nothing was compared with tshark, which is not installed");
            return;
        };
        let ours = read(&capture);
        for (ends, data) in &theirs {
            let length = ours.get(ends).map(Vec::len);
            let is_same = ours.get(ends) == Some(data);
            assert!(is_same, "{}: {ends:?}: {length:?} bytes, {} by tshark", capture.display(), data.len());
        }
        compared += theirs.len();
    }
    assert!(compared > 100, "{compared} directions of connections");
}
