//! First inputs of the targets: samples of the parsers, bundled captures, the words of the languages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest seed.
const MAX_SEED: usize = 16 * 1024;

/// With `RPCSCOPE_SEEDS=FOLDER` in the environment a target writes its seeds there and ends, instead of fuzzing.
pub fn write_if_asked(target: &str) {
    let Some(folder) = std::env::var_os("RPCSCOPE_SEEDS") else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::create_dir_all(&folder).expect("a folder for the seeds");
    for (number, seed) in seeds(target, &root).into_iter().enumerate() {
        fs::write(Path::new(&folder).join(format!("seed-{number:03}")), seed).expect("a place for a seed");
    }
    std::process::exit(0);
}

/// The first inputs of a target, out of the folder of the project.
#[must_use]
pub fn seeds(target: &str, root: &Path) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = match target {
        "packet" => captures(root).iter().map(|file| packets(file)).collect(),
        "capture" | "file_pcap" => captures(root),
        "file_pcapng" => vec![pcapng(&captures(root))],
        "file_gzip" => captures(root).iter().map(|file| gzip(file)).collect(),
        "file_zstd" => captures(root).iter().map(|file| zstd(file)).collect(),
        "prelude" => PRELUDES.iter().map(|bytes| [&[0, 0xff, 0xff], *bytes].concat()).collect(),
        "filter" => FILTERS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "explain" => LINES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "body_idl" => described(root, "thrift"),
        "body_proto" => described(root, "proto"),
        "body_descriptors" => described(root, "pb"),
        "body" => BODIES.iter().map(|bytes| bytes.to_vec()).collect(),
        "tls_records" => captures(root).iter().map(|file| payloads(file)).collect(),
        "tls_keylog" => key_log_lines(root),
        "time" => TIMES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        _ => match target.strip_prefix("session_") {
            Some(protocol) => conversations(root, &protocol.replace('-', "_")),
            None => Vec::new(),
        },
    };
    seeds.retain(|seed| seed.len() <= MAX_SEED && !seed.is_empty());
    seeds
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .flat_map(|entry| {
            let path = entry.path();
            if path.is_dir() { files(&path, ending) } else { vec![path] }
        })
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect();
    found.sort();
    found
}

/// The bundled descriptions.
fn described(root: &Path, ending: &str) -> Vec<Vec<u8>> {
    files(&root.join("captures/payload"), ending).iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Codec, compression and flags, and a body of each codec.
const BODIES: [&[u8]; 6] = [
    b"\x00\x00\x00\x0c\0\x01\x0a\0\x01\0\0\0\0\0\0\0\x07\x0f\0\x02\x0c\0\0\0\x01\x0b\0\x01\0\0\0\x01a\0\0\0",
    b"\x01\x00\x00\x1c\x16\x0e\x19\x1c\x18\x01a\x00\x00\x00",
    b"\x02\x00\x00{\"1\":{\"rec\":{\"1\":{\"i64\":7},\"2\":{\"lst\":[\"rec\",1,{\"1\":{\"str\":\"a\"}}]}}}}",
    b"\x03\x00\x80\x08\x07\x10\x02\x1a\x05\x0a\x01a\x10\x03\x72\x08\x0a\x04a/b.\x12\x00",
    b"\x04\x00\x00{\"a\":[1,null,\"x\"]}",
    b"\x05\x00\x00\x08\x00\x01\x06\x01k\x10\x05\x19\x00\x01\x0c\x2a\x06\x01s\x0b",
];

/// The first line of each bundled key log.
fn key_log_lines(root: &Path) -> Vec<Vec<u8>> {
    let first = |path: &PathBuf| Some(fs::read_to_string(path).ok()?.lines().next()?.as_bytes().to_vec());
    files(&root.join("captures"), "keys").iter().filter_map(first).collect()
}

/// What looks like the beginning of a handshake in a capture, in pieces as `tls_records` takes them.
fn payloads(file: &[u8]) -> Vec<u8> {
    let hello = file.windows(6).position(|bytes| matches!(bytes, [22, 3, 1 | 3, _, _, 1 | 2]));
    let Some(from) = hello else { return Vec::new() };
    let bytes = &file[from..(from + 2000).min(file.len())];
    let pieces = bytes.chunks(255).flat_map(|piece| [&[piece.len() as u8][..], piece].concat());
    std::iter::once(0).chain(pieces).collect()
}

/// The beginnings of all bundled captures, each cut behind a whole packet.
fn captures(root: &Path) -> Vec<Vec<u8>> {
    files(&root.join("captures"), "pcap")
        .iter()
        .filter_map(|path| {
            let mut bytes = fs::read(path).ok()?;
            let mut end = 24;
            while let Some(next) = record(&bytes, end)
                && next <= MAX_SEED
            {
                end = next;
            }
            bytes.truncate(end);
            Some(bytes)
        })
        .collect()
}

/// The end of the record of a pcap file (little-endian, as the bundled ones are) that begins at `at`.
fn record(file: &[u8], at: usize) -> Option<usize> {
    let len = u32::from_le_bytes(*file.get(at + 8..)?.first_chunk()?);
    let end = at + 16 + len as usize;
    (end <= file.len()).then_some(end)
}

/// The packets of a pcap file as the target `packet` takes them. All bundled ones are Ethernet or raw IP.
fn packets(file: &[u8]) -> Vec<u8> {
    let link = match file.get(20) {
        Some(101) => 2,
        Some(113) => 3,
        Some(20) => 4,
        Some(0) => 1,
        _ => 0,
    };
    let mut seed = vec![link];
    let mut at = 24;
    while let Some(end) = record(file, at)
        && seed.len() < 4096
    {
        let packet = &file[at + 16..end];
        seed.extend_from_slice(&(packet.len() as u16).to_le_bytes());
        seed.extend_from_slice(packet);
        at = end;
    }
    seed
}

/// A pcapng file with one interface and some packets, plain and simple ones, and blocks of other kinds.
fn pcapng(captures: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &len, &body, &len].concat()
    };
    let mut file =
        block(0x0a0d_0d0a, &[&0x1a2b_3c4d_u32.to_le_bytes()[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    // Ethernet, snap length 65,535, a name, nanoseconds.
    let options = [2, 0, 2, 0, b'l', b'o', 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0];
    file.extend(block(1, &[&[1, 0, 0, 0, 0xff, 0xff, 0, 0][..], &options].concat()));
    file.extend(block(10, &[&0x544c_534b_u32.to_le_bytes()[..], &4_u32.to_le_bytes(), b"keys"].concat()));
    for (number, capture) in captures.iter().take(12).enumerate() {
        let Some(end) = record(capture, 24) else { continue };
        let packet = &capture[40..end];
        let len = (packet.len() as u32).to_le_bytes();
        if number % 3 == 2 {
            file.extend(block(3, &[&len[..], packet].concat()));
        } else {
            file.extend(block(
                6,
                &[&[0; 4][..], &[1, 0, 0, 0, number as u8, 0, 0, 0], &len, &len, packet].concat(),
            ));
        }
    }
    file
}

fn gzip(file: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(file).and_then(|()| encoder.finish()).expect("a vector takes all")
}

fn zstd(file: &[u8]) -> Vec<u8> {
    zstd::encode_all(file, 3).expect("a vector takes all")
}

/// The samples of a protocol, as the session targets take them.
fn conversations(root: &Path, module: &str) -> Vec<Vec<u8>> {
    let module = match module {
        "framed" => "thrift_framed",
        "buffered" => "thrift_buffered",
        other => other,
    };
    let mut talks = BTreeMap::<String, Vec<u8>>::new();
    for file in files(&root.join("parsers/samples").join(module), "bin") {
        let name = file.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (talk, place) = name.split_once('.').unwrap_or((&name, "1a"));
        let bytes = fs::read(&file).unwrap_or_default();
        let seed = talks.entry(talk.to_owned()).or_insert_with(|| vec![0]);
        seed.push(if place.ends_with('b') { 0x1f } else { 0x1e });
        seed.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
        seed.extend_from_slice(&bytes);
    }
    // With detection, with trees, with neither.
    for (seed, flags) in talks.values_mut().zip([24, 0, 8, 0, 16, 0].into_iter().cycle()) {
        seed[0] = flags;
    }
    talks.into_values().collect()
}

const PRELUDES: [&[u8]; 6] = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\nPRI * HTTP/2.0\r\n",
    b"PROXY UNKNOWN\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x0a\0\0\x01\x0a\0\0\x02\x10\x00\x1f\x90",
    b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n",
    b"\x04\x01\x00\x50\x0a\0\0\x01user\0",
    b"\x05\x01\x00\x05\x01\x00\x03\x0bexample.com\x01\xbb",
];

const FILTERS: [&str; 9] = [
    "class in (business, rpc) and service ~ \"user\" and code != 10001",
    "latency > 20ms or request_bytes >= 4KiB",
    "server == :8888 and not findings == gap",
    "metadata.x-tenant == blue",
    "client == 10.0.0.0/8 && method !~ '^Get'",
    "start >= 2026-01-02T03:04:05Z and duration < 1.5s",
    "not (a or !b) and code not in (1, 2, null)",
    "likely.class == ok or goaway.text ~ max",
    "biz_extra.k != null and details.x == \"\\\"\"",
];

const LINES: [&str; 10] = [
    "type:callee framework, code:12, msg:service not found, caused by type:framework, code:141, msg:tcp",
    "remote or network error[remote]: biz error: code=404, msg=not found",
    "[ttstream error, code=12007] [server-side stream] [canceled path: A] [server stream] canceled",
    "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing\"",
    "TApplicationException: Internal error processing Get",
    "remote or network error[remote-10.0.0.1:8888]: rpc timeout: timeout=1s, to=a.b, method=Get",
    "biz error: no such user",
    "trpc 141",
    "kitex 10001 grpc 14",
    "gap",
];

const TIMES: [&str; 5] = [
    "\0\0\0\0\0\0\0\0\0",
    "12026-01-02T03:04:05.000000006Z",
    "12026-01-02T03:04:05+08:00",
    "12026-01-02 03:04",
    "11.5ms",
];
