//! What each stage costs on the bundled captures, cumulatively: `cargo bench --bench stages`.
//!
//! All packets of all captures are in memory. `source` reads them as one file in the page cache; the others begin with the
//! batches that it gives. Differences between two rows are what the later stage adds.

use std::io;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rpcscope::decode::{Decoded, Decoder, Shard};
use rpcscope::flow::{Chunk, End, Flow, Limits, Owner, Stamp, Table};
use rpcscope::pipeline::{self, Analyzer, Options, Output, Totals};
use rpcscope::sink::{self, Sink};
use rpcscope::source::{Batch, Source, SourceError, files};
use rpcscope_parsers::Side;

/// Takes chunks and looks at none of them.
struct Count(u64);

impl Owner<()> for Count {
    fn open(&mut self, _flow: &Flow) {}

    fn chunk(
        &mut self,
        _flow: &Flow,
        (): &mut (),
        _side: Side,
        _chunk: Chunk<'_>,
        _origin: Stamp,
        _now: Stamp,
    ) -> u64 {
        self.0 += 1;
        u64::MAX
    }

    fn close(&mut self, _flow: &Flow, (): &mut (), _why: End, _now: Stamp) {}
}

/// Batches that were read before.
struct Memory<'b> {
    batches: &'b [Batch],
    at: usize,
}

impl Source for Memory<'_> {
    fn next_batch(&mut self, batch: &mut Batch) -> Result<bool, SourceError> {
        batch.clear();
        let Some(next) = self.batches.get(self.at) else { return Ok(false) };
        self.at += 1;
        batch.data.extend_from_slice(&next.data);
        batch.records.extend_from_slice(&next.records);
        Ok(true)
    }
}

/// All batches of capture files.
fn read(paths: &[PathBuf]) -> Vec<Batch> {
    let mut source = files::open(paths, files::Options::default());
    let mut batches = Vec::new();
    loop {
        let mut batch = Batch::default();
        match source.next_batch(&mut batch) {
            Ok(true) => batches.push(batch),
            Ok(false) => return batches,
            Err(error) => panic!("{error}"),
        }
    }
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { captures(&path) } else { vec![path] }
        })
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap"))
        .collect();
    found.sort();
    found
}

fn stages(c: &mut Criterion) {
    let paths = captures(&Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"));
    let batches = read(&paths);
    let packets: usize = batches.iter().map(|batch| batch.records.len()).sum();
    let options = Options { threads: 1, ..Options::default() };

    let mut group = c.benchmark_group("stages");
    group.throughput(Throughput::Elements(packets as u64));
    group.bench_function("source", |b| b.iter(|| read(&paths).len()));
    group.bench_function("decode", |b| {
        b.iter(|| {
            let mut decoder = Decoder::default();
            let all = batches.iter().flat_map(Batch::packets);
            all.filter(|packet| matches!(decoder.decode(packet), Decoded::Segment(_))).count()
        });
    });
    group.bench_function("decode, flow", |b| {
        b.iter(|| {
            let (mut decoder, mut table) = (Decoder::default(), Table::new(Limits::default()));
            let mut owner = Count(0);
            for packet in batches.iter().flat_map(Batch::packets) {
                if let Decoded::Segment(segment) = decoder.decode(&packet) {
                    table.segment(&segment, &mut owner);
                }
            }
            table.finish(Stamp::default(), &mut owner);
            owner.0
        });
    });
    group.bench_function("decode, flow, dispatch, calls", |b| {
        b.iter(|| {
            let mut analyzer = Analyzer::new(&options, Shard::default());
            let mut outputs = Vec::new();
            for batch in &batches {
                analyzer.batch(batch);
                analyzer.drain(&mut outputs, false);
                outputs.clear();
            }
            analyzer.finish();
            analyzer.drain(&mut outputs, true);
            analyzer.totals().connections
        });
    });
    group.bench_function("decode, flow, dispatch, calls, jsonl", |b| {
        b.iter(|| {
            let mut sink = sink::JsonLines::new(sink::RecordWriter::new(Box::new(io::sink()), false));
            let mut receive = |outputs: &mut Vec<Output>, _: &Totals| {
                outputs.drain(..).all(|output| match output {
                    Output::Call(call) => sink.call(&call).is_ok(),
                    Output::Connection(_) | Output::Learned(_) => true,
                })
            };
            pipeline::run(&mut Memory { batches: &batches, at: 0 }, &options, &mut receive).map(|t| t.packets)
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = stages
}
criterion_main!(benches);
