//! What detection and the sessions of each protocol cost on its samples: `cargo bench --bench parsers`.

use std::collections::BTreeMap;
use std::path::Path;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rpcscope_parsers::{Detection, Opening, Protocol, Side};

/// A short connection: pieces of both sides in order.
type Talk = Vec<(Side, Vec<u8>)>;

/// The samples of a protocol: `NAME.<number><a|b>.bin`, the pieces of `NAME` in the order of their numbers.
fn talks(folder: &Path) -> Vec<Talk> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    let mut talks: BTreeMap<String, Talk> = BTreeMap::new();
    for file in files {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut parts = name.rsplitn(3, '.').skip(1);
        let (Some(number), Some(name), Ok(bytes)) = (parts.next(), parts.next(), std::fs::read(&file)) else {
            continue;
        };
        let side = if number.ends_with('b') { Side::B } else { Side::A };
        talks.entry(name.to_owned()).or_default().push((side, bytes));
    }
    talks.into_values().collect()
}

/// The first protocol that takes the connection.
fn detect(talk: &Talk) -> Option<&'static dyn Protocol> {
    let of = |side| talk.iter().find(|(from, _)| *from == side).map_or(&[][..], |(_, bytes)| bytes);
    let opening = Opening { bytes: [of(Side::A), of(Side::B)], from_start: [true, true], datagram: false };
    rpcscope_parsers::all().iter().copied().find(|protocol| protocol.detect(&opening) == Detection::Yes)
}

fn parsers(c: &mut Criterion) {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("parsers/samples");
    let mut folders: Vec<_> =
        std::fs::read_dir(samples).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut talks = talks(&folder);
        talks.retain(|talk| detect(talk).is_some());
        let bytes: usize = talks.iter().flatten().map(|(_, bytes)| bytes.len()).sum();
        if bytes == 0 {
            continue;
        }
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function("detect", |b| {
            b.iter(|| talks.iter().filter(|talk| detect(talk).is_some()).count());
        });
        group.bench_function("read", |b| {
            b.iter(|| {
                let mut messages = 0;
                for talk in &talks {
                    let Some(protocol) = detect(talk) else { continue };
                    let mut session = protocol.session();
                    for (side, bytes) in talk {
                        session.data(*side, bytes, &mut |_, _| messages += 1);
                    }
                }
                messages
            });
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(30);
    targets = parsers
}
criterion_main!(benches);
