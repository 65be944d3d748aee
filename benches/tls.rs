//! What reading TLS costs beside its AEAD alone: `cargo bench --bench tls`.
//!
//! One client sends large framed thrift messages in records of 16 KiB, in segments of 1,448 bytes, all in memory. `AEAD` opens
//! the records with the cipher that rpcscope uses, and does nothing else; `calls` is everything from the packet to the call.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Key, Nonce, Tag};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rpcscope::decode::Shard;
use rpcscope::pipeline::{Analyzer, Options};
use rpcscope::source::{Batch, Source, files};
use rpcscope::tls::KeyLogs;

/// RFC 8448, section 3: `client_application_traffic_secret_0`, and the key and IV that follow from it.
const SECRET: &str = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
const KEY: [u8; 16] =
    [0x17, 0x42, 0x2d, 0xda, 0x59, 0x6e, 0xd5, 0xd9, 0xac, 0xd8, 0x90, 0xe3, 0xc6, 0x3f, 0x50, 0x51];
const IV: [u8; 12] = [0x5b, 0x78, 0x92, 0x3d, 0xee, 0x08, 0x57, 0x90, 0x33, 0xe5, 0x23, 0xd9];

/// Calls, and the bytes of the argument of each.
const CALLS: u32 = 16;
const BODY: u32 = 1 << 20;
/// Application data of a record, and of a segment.
const RECORD: usize = 1 << 14;
const SEGMENT: usize = 1448;

/// A framed message of the binary protocol: `Put` with one string.
fn message(id: u32) -> Vec<u8> {
    let head =
        [&[0x80, 1, 0, 1, 0, 0, 0, 3][..], b"Put", &id.to_be_bytes(), &[11, 0, 1], &BODY.to_be_bytes()]
            .concat();
    let length = head.len() as u32 + BODY + 1;
    let body = (0..BODY).map(|at| at as u8);
    length.to_be_bytes().into_iter().chain(head).chain(body).chain([0]).collect()
}

/// A sealed record: its head, ciphertext and tag.
struct Sealed {
    nonce: Nonce<aes_gcm::aead::consts::U12>,
    head: [u8; 5],
    ciphertext: Vec<u8>,
    tag: Tag,
}

fn seal(cipher: &Aes128Gcm, number: u64, content: &[u8]) -> Sealed {
    let mut nonce = IV;
    for (byte, counted) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
        *byte ^= counted;
    }
    let nonce = nonce.into();
    let mut ciphertext = [content, &[23]].concat();
    let [high, low] = (ciphertext.len() as u16 + 16).to_be_bytes();
    let head = [23, 3, 3, high, low];
    let tag =
        cipher.encrypt_inout_detached(&nonce, &head, ciphertext.as_mut_slice().into()).expect("not too long");
    Sealed { nonce, head, ciphertext, tag }
}

/// A pcap file with these bytes, sent from one address in segments.
fn pcap(stream: &[u8]) -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 1 << 18, 101].map(u32::to_le_bytes).concat();
    for (at, segment) in stream.chunks(SEGMENT).enumerate() {
        let length = 40 + segment.len() as u16;
        let sequence = 1 + (at * SEGMENT) as u32;
        let ip =
            [&[0x45, 0][..], &length.to_be_bytes(), &[0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]]
                .concat();
        let tcp = [
            &[0x9c, 0x40, 0x1f, 0x90][..],
            &sequence.to_be_bytes(),
            &[0, 0, 0, 1, 0x50, 0x18, 255, 255, 0, 0, 0, 0],
        ]
        .concat();
        let heads =
            [1_800_000_000, at as u32 * 10, length.into(), length.into()].map(u32::to_le_bytes).concat();
        file.extend([&heads[..], &ip, &tcp, segment].concat());
    }
    file
}

fn read(path: &Path) -> Vec<Batch> {
    let mut source = files::open(&[path.to_owned()], files::Options::default());
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

fn tls(c: &mut Criterion) {
    let cipher = Aes128Gcm::new(&Key::<Aes128Gcm>::from(KEY));
    let plain: Vec<u8> = (0..CALLS).flat_map(message).collect();
    let records: Vec<Sealed> = plain
        .chunks(RECORD)
        .enumerate()
        .map(|(number, content)| seal(&cipher, number as u64, content))
        .collect();
    let bytes = |record: &Sealed| [&record.head[..], &record.ciphertext, &record.tag].concat();
    let stream: Vec<u8> = records.iter().flat_map(bytes).collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [capture, keys] = ["tls.pcap", "keys.log"].map(|name| folder.path().join(name));
    fs::write(&capture, pcap(&stream)).expect("room for a capture");
    let mut log = fs::File::create(&keys).expect("a key log");
    writeln!(log, "CLIENT_TRAFFIC_SECRET_0 {} {SECRET}", "00".repeat(32)).expect("room for a line");
    let logs = KeyLogs::new(&[keys], false);
    logs.read();
    let options = Options { threads: 1, key_logs: Some(Arc::new(logs)), ..Options::default() };
    let batches = read(&capture);

    let mut group = c.benchmark_group("tls");
    group.throughput(Throughput::Bytes(plain.len() as u64));
    group.bench_function("AEAD", |b| {
        let mut out = vec![0; RECORD + 1];
        b.iter(|| {
            for Sealed { nonce, head, ciphertext, tag } in &records {
                let out = &mut out[..ciphertext.len()];
                let buffer = InOutBuf::new(ciphertext, out).expect("of one length");
                cipher.decrypt_inout_detached(nonce, head, buffer, tag).expect("sealed with this key");
            }
        });
    });
    group.bench_function("calls", |b| {
        b.iter(|| {
            let mut analyzer = Analyzer::new(&options, Shard::default());
            let mut outputs = Vec::new();
            let mut calls = 0;
            for batch in &batches {
                analyzer.batch(batch);
                analyzer.drain(&mut outputs, false);
                calls += outputs.drain(..).count();
            }
            analyzer.finish();
            analyzer.drain(&mut outputs, true);
            assert_eq!(calls + outputs.len(), CALLS as usize, "a call for each message");
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = tls
}
criterion_main!(benches);
