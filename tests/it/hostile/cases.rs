//! The cases. A larger `n` makes the input larger in proportion.

use std::fmt::Write as _;
use std::io::Write as _;

use super::wire::{ACK, Capture, Client, FIN, REQUEST, RST, SYN, Server, frame, preface, thrift};

/// Input made to take memory or time.
pub(super) struct Case {
    pub(super) name: &'static str,
    /// The bound that holds it.
    pub(super) bound: &'static str,
    /// The size in tests.
    pub(super) n: usize,
    pub(super) make: fn(usize) -> Vec<u8>,
    /// What the program says of it, where something is shed.
    pub(super) says: &'static str,
}

const fn case(name: &'static str, bound: &'static str, n: usize, make: fn(usize) -> Vec<u8>) -> Case {
    Case { name, bound, n, make, says: "" }
}

impl Case {
    const fn saying(self, says: &'static str) -> Self {
        Self { says, ..self }
    }
}

pub(super) static CASES: &[Case] = &[
    case("syn_flood", "flow::Limits::handshakes", 10_000, syn_flood)
        .saying("connections without payload evicted"),
    case("half_begun", "flow::Limits::handshakes", 5_000, half_begun),
    case("silent_sessions", "flow::Limits::memory", 4_000, silent_sessions).saying("connections evicted"),
    case("endless_headers", "http1 HEAD_LIMIT", 1_000, endless_headers),
    case("continuation_flood", "http2 CONTINUATION_LIMIT", 20_000, continuation_flood),
    case("hpack_bomb", "calls::pairing MAX_METADATA", 300, hpack_bomb),
    case("hpack_bomb_of_unclear_requests", "http2 KEPT_LIMIT", 500, hpack_bomb_of_unclear_requests),
    case("header_lists", "hpack FIELDS_LIMIT, LIST_LIMIT", 12, header_lists),
    case("header_tables", "hpack SIZE_LIMIT", 100, header_tables),
    case("rapid_reset", "http2 STREAMS_LIMIT", 5_000, rapid_reset),
    case("open_streams", "http2 STREAMS_LIMIT, MAX_PENDING", 5_000, open_streams)
        .saying("took too much memory"),
    case("waiting_calls", "calls::pairing MAX_PENDING", 5_000, waiting_calls).saying("took too much memory"),
    case("waiting_calls_of_one_id", "calls::pairing MAX_PENDING", 5_000, waiting_calls_of_one_id)
        .saying("took too much memory"),
    case("unanswered_requests", "http1 EXCHANGE_LIMIT", 500, unanswered_requests),
    case("late_answers", "calls::pairing MAX_IN_GRACE", 2_500, late_answers),
    case("goaways_while_streams_wait", "calls::pairing MAX_PENDING", 5_000, goaways_while_streams_wait),
    case(
        "foreign_answers_while_calls_wait",
        "calls::pairing MAX_PENDING",
        5_000,
        foreign_answers_while_calls_wait,
    ),
    case("gaps_while_streams_wait", "http2 STREAMS_LIMIT", 1_000, gaps_while_streams_wait),
    case("holes_that_never_close", "flow::Limits::flow_pieces", 3_000, holes_that_never_close),
    case("overlaps_that_disagree", "flow::Limits::flow_bytes", 3_000, overlaps_that_disagree),
    case("tiny_segments", "dispatch DETECT_LIMIT", 10_000, tiny_segments),
    case("tiny_fragments", "decode::fragments", 10_000, tiny_fragments),
    case("gzip_bomb", "source: read as a stream", 4_000, gzip_bomb),
    case("zstd_bomb", "source: read as a stream", 8_000, zstd_bomb),
    case("zstd_window", "source::Windows", 5_000, zstd_window).saying("connections evicted"),
    case("thrift_depth", "thrift DEPTH_LIMIT", 400, thrift_depth),
    case("thrift_sizes", "thrift VALUE_LIMIT", 2_000, thrift_sizes),
    case("endless_varints", "varint VARINT_LIMIT", 2_000, endless_varints),
    case("lengths_of_4_gib", "LENGTH_LIMIT of each protocol", 2_000, lengths_of_4_gib),
    case("ciphertext_without_keys", "tls MAX_HELD", 100, ciphertext_without_keys),
    case("closed_ciphertext", "pipeline MAX_SEALED", 1_000, closed_ciphertext),
    case("endless_handshake", "tls MAX_MESSAGE", 100, endless_handshake),
    case("many_secrets", "tls MAX_RANDOMS", 40_000, many_secrets),
    case("unreadable_calls", "calls::likely MAX_WAITING", 10_000, unreadable_calls),
    case("new_names", "calls::names MAX_NAME_BYTES", 10_000, new_names),
    case("zipped_bodies", "web LAST_LIMIT", 200, zipped_bodies),
    case("absurd_blocks", "source::pcapng MAX_BLOCK", 100_000, absurd_blocks).saying("4294967292"),
    case("jumping_clocks", "flow::Table::set_clock", 5_000, jumping_clocks),
];

/// One capture with one connection.
fn one(fill: impl FnOnce(&mut Capture)) -> Vec<u8> {
    let mut capture = Capture::new();
    capture.open(0);
    fill(&mut capture);
    capture.bytes().to_vec()
}

/// One connection with what its client sends.
fn client(bytes: &[u8]) -> Vec<u8> {
    one(|capture| {
        capture.say(Client, bytes);
    })
}

fn syn_flood(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    (0..n).for_each(|i| {
        capture.connection(i).segment(Client, SYN, b"");
    });
    capture.bytes().to_vec()
}

fn half_begun(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    (0..n).for_each(|i| {
        capture.open(i);
    });
    capture.bytes().to_vec()
}

fn silent_sessions(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    let preface = preface();
    (0..n).for_each(|i| {
        capture.open(i).say(Client, &preface);
    });
    capture.bytes().to_vec()
}

fn endless_headers(n: usize) -> Vec<u8> {
    let mut bytes = b"POST /a HTTP/1.1\r\n".to_vec();
    (0..n * 100).for_each(|i| bytes.extend(format!("x-{i}: {i}\r\n").bytes()));
    client(&bytes)
}

fn continuation_flood(n: usize) -> Vec<u8> {
    let mut bytes = preface();
    bytes.extend(frame(1, 0, 1, b"\x83"));
    (0..n).for_each(|_| bytes.extend(frame(9, 0, 1, b"")));
    client(&bytes)
}

/// Blocks of as many fields as fit, all of them of the static table.
fn header_lists(n: usize) -> Vec<u8> {
    let mut bytes = preface();
    for i in 0..n as u32 {
        bytes.extend(frame(1, 0, 1 + 2 * i, REQUEST));
        (0..3).for_each(|_| bytes.extend(frame(9, 0, 1 + 2 * i, &[0x90; 16_000])));
        bytes.extend(frame(9, 4, 1 + 2 * i, b""));
    }
    client(&bytes)
}

/// Ever new entries in a table that the server allowed to be large.
fn header_tables(n: usize) -> Vec<u8> {
    one(|capture| {
        capture.say(Client, &preface());
        // SETTINGS_HEADER_TABLE_SIZE (RFC 9113, section 6.5.2).
        capture.say(Server, &frame(4, 0, 0, &[0, 1, 0x7f, 0xff, 0xff, 0xff]));
        capture.say(Client, &frame(4, 1, 0, b""));
        for i in 0..n as u32 {
            let fields = (0..100_u32).flat_map(|field| {
                let value = format!("{i:08}{field:08}");
                [&b"\x40\x01x\x10"[..], value.as_bytes()].concat()
            });
            // A table of 2^20 octets (RFC 7541, section 6.3).
            let resize: &[u8] = if i == 0 { b"\x3f\xe1\xff\x3f" } else { b"" };
            let block = [resize, REQUEST, &fields.collect::<Vec<u8>>()].concat();
            capture.say(Client, &frame(1, 5, 1 + 2 * i, &block));
        }
    })
}

/// A header of 3,900 octets in the table, and blocks that name it sixty times each.
fn bomb(n: usize, request: &[u8]) -> Vec<u8> {
    let mut bytes = preface();
    let value = [b'y'; 3_900];
    let length = [0x7f, 0x80 | ((3_900 - 127) % 128) as u8, ((3_900 - 127) / 128) as u8];
    let first = [request, b"\x40\x01x", &length, &value].concat();
    bytes.extend(frame(1, 4, 1, &first));
    let block = [request, &[0xbe; 60]].concat();
    (1..n as u32).for_each(|i| bytes.extend(frame(1, 4, 1 + 2 * i, &block)));
    bytes
}

fn hpack_bomb(n: usize) -> Vec<u8> {
    client(&bomb(n, REQUEST))
}

/// A request whose content type stands in an entry that nobody knows: only its answer can say what it is.
fn hpack_bomb_of_unclear_requests(n: usize) -> Vec<u8> {
    client(&bomb(n, b"\x83\x86\x04\x04/a/b\x0f\x10\x10application/json"))
}

fn rapid_reset(n: usize) -> Vec<u8> {
    let mut bytes = preface();
    for i in 0..n as u32 {
        bytes.extend(frame(1, 4, 1 + 2 * i, REQUEST));
        bytes.extend(frame(3, 0, 1 + 2 * i, &[0, 0, 0, 8]));
    }
    client(&bytes)
}

fn streams(n: usize) -> Vec<u8> {
    let mut bytes = preface();
    (0..n as u32).for_each(|i| bytes.extend(frame(1, 4, 1 + 2 * i, REQUEST)));
    bytes
}

fn open_streams(n: usize) -> Vec<u8> {
    client(&streams(n))
}

fn waiting_calls(n: usize) -> Vec<u8> {
    client(&(0..n as u32).flat_map(|id| thrift(1, id, b"\0")).collect::<Vec<_>>())
}

fn waiting_calls_of_one_id(n: usize) -> Vec<u8> {
    client(&(0..n).flat_map(|_| thrift(1, 7, b"\0")).collect::<Vec<_>>())
}

/// Pipelined requests of HTTP/1.1.
fn unanswered_requests(n: usize) -> Vec<u8> {
    let request = b"POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        connect-protocol-version: 1\r\ncontent-length: 2\r\n\r\n{}";
    client(&request.repeat(n))
}

/// Answers to a call that was decided long ago, while as many calls of another connection as possible are within reach.
fn late_answers(n: usize) -> Vec<u8> {
    one(|capture| {
        capture.say(Client, &thrift(1, 1, b"\0")).say(Server, &thrift(2, 1, b"\0"));
        let first = capture.pause();
        capture.time += 200_000;
        let calls = 0..n as u32;
        capture.open(1).say(Client, &calls.clone().flat_map(|id| thrift(1, id, b"\0")).collect::<Vec<_>>());
        capture.say(Server, &calls.flat_map(|id| thrift(2, id, b"\0")).collect::<Vec<_>>());
        capture.resume(first);
        capture.say(Server, &thrift(2, 1, b"\0").repeat(n));
    })
}

fn goaways_while_streams_wait(n: usize) -> Vec<u8> {
    one(|capture| {
        capture.say(Client, &streams(n));
        let goaway = frame(7, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
        capture.say(Server, &[frame(4, 0, 0, b""), goaway.repeat(n)].concat());
    })
}

/// A server that says something else between its answers, and never answers what waits.
fn foreign_answers_while_calls_wait(n: usize) -> Vec<u8> {
    one(|capture| {
        capture.say(Client, &(0..n as u32).flat_map(|id| thrift(1, id, b"\0")).collect::<Vec<_>>());
        for _ in 0..n {
            capture.segment(Server, ACK, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            capture.segment(Server, ACK, &thrift(2, u32::MAX, b"\0")).segment(Client, ACK, b"");
        }
    })
}

fn gaps_while_streams_wait(n: usize) -> Vec<u8> {
    one(|capture| {
        capture.say(Client, &streams(n)).say(Server, &frame(4, 0, 0, b""));
        let ping = frame(6, 0, 0, &[0; 8]);
        for _ in 0..n {
            capture.lose(Server, 17).segment(Server, ACK, &ping).segment(Client, ACK, b"");
            capture.time += 20_000;
        }
    })
}

fn holes_that_never_close(n: usize) -> Vec<u8> {
    one(|capture| {
        for _ in 0..n {
            capture.lose(Client, 100).segment(Client, ACK, &[7; 100]);
        }
    })
}

fn overlaps_that_disagree(n: usize) -> Vec<u8> {
    one(|capture| {
        let (seq, ack) = (capture.at(Client) + 1_000, capture.at(Server));
        for i in 0..n as u32 {
            let at = seq + (i * 7_919) % 60_000;
            capture.raw(Client, ACK, at, ack, &[i as u8; 1_400]);
        }
    })
}

fn tiny_segments(n: usize) -> Vec<u8> {
    one(|capture| {
        (0..n).for_each(|_| {
            capture.segment(Client, ACK, b"G");
        });
    })
}

/// Fragments of 8 bytes of datagrams that never get whole.
fn tiny_fragments(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    for i in 0..n {
        let more = 0x2000 | (1 + i % 100 * 2) as u16;
        capture.ip(0x0a00_0001 + (i / 100) as u32, 0xc0a8_0001, (i / 100) as u16, more, &[7; 8]);
    }
    capture.bytes().to_vec()
}

/// A capture whose packets are all alike.
fn alike(n: usize) -> Vec<u8> {
    one(|capture| {
        let (seq, ack) = (capture.at(Client), capture.at(Server));
        (0..n).for_each(|_| {
            capture.raw(Client, ACK, seq, ack, &[0; 1_400]);
        });
    })
}

fn gzip_bomb(n: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(&alike(n)).expect("compressed");
    encoder.finish().expect("compressed")
}

fn zstd_bomb(n: usize) -> Vec<u8> {
    zstd::encode_all(&alike(n)[..], 3).expect("compressed")
}

/// Connections that fill the memory, in a file whose unpacking takes a part of it.
fn zstd_window(n: usize) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    encoder.window_log(23).expect("a window of 8 MiB");
    encoder.write_all(&silent_sessions(n)).expect("compressed");
    encoder.finish().expect("compressed")
}

/// Structs in structs.
fn thrift_depth(n: usize) -> Vec<u8> {
    let deep = [12, 0, 1].repeat(500);
    client(&(0..n as u32).flat_map(|id| thrift(1, id, &deep)).collect::<Vec<_>>())
}

/// Lists that claim two thousand million elements of no size.
fn thrift_sizes(n: usize) -> Vec<u8> {
    let list = [15, 0, 1, 12, 0x7f, 0xff, 0xff, 0xff, 0];
    client(&(0..n as u32).flat_map(|id| thrift(1, id, &list)).collect::<Vec<_>>())
}

/// Compact thrift whose lengths do not end.
fn endless_varints(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    let message = [&[0, 0, 0, 60, 0x82, 0x21][..], &[0xff; 58]].concat();
    for i in 0..n {
        capture.open(i).say(Client, &message).segment(Client, RST | ACK, b"");
    }
    capture.bytes().to_vec()
}

fn lengths_of_4_gib(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    let heads: [&[u8]; 4] = [
        // Framed thrift, TTHeader, tRPC, an HTTP/2 frame.
        b"\xff\xff\xff\xff\x80\x01\x00\x01\x00\x00\x00\x04ping",
        b"\xff\xff\xff\xff\x10\x00\x00\x00\x00\x00\x00\x01\x00\x02",
        b"\x09\x30\x00\x00\xff\xff\xff\xff\x00\x10\x00\x00\x00\x01\x00\x00",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\x00\x00\x00\x00\x00\x01",
    ];
    for i in 0..n {
        capture.open(i).say(Client, heads[i % heads.len()]).say(Client, &[0; 64]).segment(
            Client,
            FIN | ACK,
            b"",
        );
    }
    capture.bytes().to_vec()
}

/// A record of TLS 1.2 (RFC 5246, section 6.2.1). `kind`: 22 handshake, 23 application data.
fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &(content.len() as u16).to_be_bytes(), content].concat()
}

/// The first messages of TLS 1.3, without extensions but the version (RFC 8446, sections 4.1.2 and 4.1.3).
fn hellos(random: u64) -> [Vec<u8>; 2] {
    let random = [&random.to_be_bytes()[..], &[7; 24]].concat();
    let message = |kind: u8, body: &[u8]| {
        record(22, &[&[kind][..], &(body.len() as u32).to_be_bytes()[1..], body].concat())
    };
    let client = [&[3, 3][..], &random, &[0, 0, 2, 0x13, 1, 1, 0, 0, 7, 0, 43, 0, 3, 2, 3, 4]].concat();
    let server = [&[3, 3][..], &random, &[0, 0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]].concat();
    [message(1, &client), message(2, &server)]
}

/// Records that nobody has the keys of.
fn ciphertext_without_keys(n: usize) -> Vec<u8> {
    one(|capture| {
        let [client, server] = hellos(0);
        capture.say(Client, &client).say(Server, &server);
        for _ in 0..n {
            capture.say(Client, &record(23, &[0x5a; 16_000])).say(Server, &record(23, &[0xa5; 16_000]));
        }
    })
}

/// The same on connections that end.
fn closed_ciphertext(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    for i in 0..n {
        let [client, server] = hellos(i as u64);
        capture.open(i).say(Client, &client).say(Server, &server);
        capture.say(Client, &record(23, &[0x5a; 200])).say(Server, &record(23, &[0xa5; 200]));
        capture.segment(Client, FIN | ACK, b"").segment(Server, FIN | ACK, b"");
    }
    capture.bytes().to_vec()
}

/// Messages of a handshake that are as long as a length can say.
fn endless_handshake(n: usize) -> Vec<u8> {
    let piece = record(22, &[&[11, 0xff, 0xff, 0xff][..], &[0; 15_996]].concat());
    one(|capture| {
        let [client, server] = hellos(0);
        capture.say(Client, &client).say(Server, &server).say(Server, &piece.repeat(n));
    })
}

/// Connections of TLS, of which only records of data were captured.
pub(super) fn ciphertext_from_the_middle(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    for connection in 0..n {
        capture.connection(connection);
        for at in 0..20 {
            let content: Vec<u8> = (0..64).map(|octet| (octet * 31 + at * 17 + connection) as u8).collect();
            capture.say(if at % 2 == 0 { Client } else { Server }, &record(23, &content));
        }
    }
    capture.bytes().to_vec()
}

/// A pcapng file with secrets of ever new connections, and one connection that has none of them.
fn many_secrets(n: usize) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    };
    let mut bytes =
        block(0x0a0d_0d0a, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    bytes.extend(block(1, &[101, 0, 0, 0, 0, 0, 4, 0]));
    for first in (0..n).step_by(1_000) {
        let mut lines = String::new();
        for i in first..n.min(first + 1_000) {
            writeln!(lines, "CLIENT_TRAFFIC_SECRET_0 {i:064x} {i:064x}").expect("text");
        }
        // A TLS key log (draft-ietf-opsawg-pcapng, section 4.7).
        let head = [&0x544c_534b_u32.to_le_bytes()[..], &(lines.len() as u32).to_le_bytes()].concat();
        bytes.extend(block(10, &[&head[..], lines.as_bytes()].concat()));
    }
    let capture = ciphertext_without_keys(1);
    let mut at = 24;
    while let Some(len) = capture.get(at + 8..at + 12) {
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        let packet = &capture[at + 16..at + 16 + len];
        bytes.extend(block(3, &[&(len as u32).to_le_bytes()[..], packet].concat()));
        at += 16 + len;
    }
    bytes
}

/// Calls of a connection that began before the capture, whose names and statuses stand in entries that nobody knows.
fn unreadable_calls(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    capture.connection(0);
    for i in 0..n as u32 {
        let id = 1001 + 2 * i;
        let message = frame(0, 1, id, &[0, 0, 0, 0, 3, 8, 1, 16]);
        capture.say(Client, &[frame(1, 4, id, &[0x83, 0x86, 0xbe, 0xbf, 0xc0]), message.clone()].concat());
        let answer =
            [frame(1, 4, id, &[0x88, 0xbe]), frame(0, 0, id, &[0, 0, 0, 0, 0]), frame(1, 5, id, &[0xbf])];
        capture.say(Server, &answer.concat());
    }
    capture.bytes().to_vec()
}

/// Every call has a long method of its own.
fn new_names(n: usize) -> Vec<u8> {
    one(|capture| {
        for id in 0..n as u32 {
            let name = [b"m".repeat(400), id.to_string().into_bytes()].concat();
            for (from, kind) in [(Client, 1), (Server, 2)] {
                let mut message = vec![0x80, 1, 0, kind];
                message.extend((name.len() as u32).to_be_bytes());
                message.extend(&name);
                message.extend(id.to_be_bytes());
                message.push(0);
                capture.say(from, &[&(message.len() as u32).to_be_bytes()[..], &message].concat());
            }
        }
    })
}

/// Errors of Connect whose bodies are small on the wire and large behind gzip.
fn zipped_bodies(n: usize) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(br#"{"code":"internal","message":""#).expect("compressed");
    encoder.write_all(&vec![b' '; 16 << 20]).expect("compressed");
    let body = encoder.finish().expect("compressed");
    let request = b"POST /a.B/C HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
        connect-protocol-version: 1\r\ncontent-length: 2\r\n\r\n{}";
    let head = format!(
        "HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\n\
         content-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = [head.as_bytes(), &body].concat();
    one(|capture| {
        for _ in 0..n {
            capture.say(Client, request).say(Server, &answer);
        }
    })
}

/// Blocks of no known type, and one that claims 4 GiB.
fn absurd_blocks(n: usize) -> Vec<u8> {
    let block = |kind: u32, length: u32, body: &[u8]| {
        [&kind.to_le_bytes()[..], &length.to_le_bytes(), body, &length.to_le_bytes()].concat()
    };
    let section =
        block(0x0a0d_0d0a, 28, &[0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255]);
    let interface = block(1, 20, &[101, 0, 0, 0, 0, 0, 4, 0]);
    [section, interface, block(0x4bad, 12, b"").repeat(n), block(6, u32::MAX - 3, &[0; 64])].concat()
}

/// The time of every tenth packet is years before or after that of the others.
fn jumping_clocks(n: usize) -> Vec<u8> {
    let mut capture = Capture::new();
    for i in 0..n {
        let time = capture.time;
        match i % 20 {
            0 => capture.time = 0,
            10 => capture.time += 100_000_000_000_000,
            _ => {}
        }
        capture.open(i % 500).say(Client, b"GET / HTTP/1.1\r\n\r\n");
        capture.time = time + 100;
    }
    capture.bytes().to_vec()
}
