//! Header compression and preludes.

use std::panic;

use rpcscope_parsers::Side;
use rpcscope_parsers::http2::fuzzing::HeaderBlocks;
use rpcscope_parsers::prelude::{self, Found};

use crate::bytes::Input;

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// Lower than our own bounds of a list, so that both decoders keep all fields.
const MAX_BLOCK: usize = 4096;

/// Header blocks, in two ways, chosen by the first byte.
///
/// Odd: lists of fields that an encoder which is not ours writes; our decoder has to read the same fields. Even: any bytes; what
/// ours reads in them, the decoder that is not ours has to read too, if it accepts them, and a late reader has to read nothing
/// else.
pub fn hpack(data: &[u8]) {
    let mut input = Input(data);
    if input.u8() & 1 == 1 { legal(&mut input) } else { any(&mut input) }
}

fn legal(input: &mut Input<'_>) {
    let mut encoder = fluke_hpack::Encoder::new();
    let mut ours = HeaderBlocks::new(false);
    while !input.is_empty() {
        let mut block = Vec::new();
        if input.u8() & 7 == 0 {
            let size = usize::from(input.u16()) % 4097;
            encoder.set_max_table_size(size);
            fluke_hpack::encoder::encode_integer_into(size, 5, 0x20, &mut block).expect("a vector takes all");
        }
        let mut fields: Pairs = Vec::new();
        for _ in 0..input.u8() % 12 {
            let name = input.u8();
            let name = match NAMES.get(usize::from(name)) {
                Some(name) => name.as_bytes().to_vec(),
                None => input.take(usize::from(name % 32)).to_ascii_lowercase(),
            };
            let len = usize::from(input.u8());
            fields.push((name, input.take(len).to_vec()));
        }
        block.extend(encoder.encode(fields.iter().map(|(name, value)| (&name[..], &value[..]))));
        assert_eq!(ours.decode(&block), Some(fields), "block {block:02x?}");
    }
}

/// Names of the static table and of gRPC, so that both ways of writing a name occur.
const NAMES: [&str; 12] = [
    ":path",
    ":status",
    ":authority",
    "content-type",
    "grpc-status",
    "grpc-message",
    "grpc-timeout",
    "user-agent",
    "te",
    "date",
    "x-request-id",
    "trace-bin",
];

fn any(input: &mut Input<'_>) {
    let mut ours = HeaderBlocks::new(false);
    let mut late = HeaderBlocks::new(true);
    let mut other = Some(fluke_hpack::Decoder::new());
    while !input.is_empty() {
        let len = usize::from(input.u16()) % MAX_BLOCK;
        let block = input.take(len);
        let read = ours.decode(block);
        if let Some(read_late) = late.decode(block)
            && let Some(read) = &read
        {
            let mut rest = read.iter();
            for pair in &read_late {
                assert!(rest.any(|known| known == pair), "a late reader reads {pair:?} in {block:02x?}");
            }
        }
        // After an error a connection is over; ours goes on as a late reader, the other does not.
        let Some(decoder) = &mut other else { continue };
        // The other decoder panics on some malformed input.
        let theirs = quietly(|| decoder.decode(block).ok());
        match (read, theirs) {
            (Some(read), Some(theirs)) => assert_eq!(read, theirs, "block {block:02x?}"),
            _ => other = None,
        }
    }
}

/// The result of another's code, `None` if it panics. libfuzzer-sys makes panics abort by its hook, which is taken away meanwhile.
fn quietly<T>(run: impl FnOnce() -> Option<T>) -> Option<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(panic::AssertUnwindSafe(run)).ok().flatten();
    panic::set_hook(hook);
    result
}

/// The beginning of a connection. Input: `flags │ length 2 │ bytes of one side │ bytes of the other`.
pub fn prelude(data: &[u8]) {
    let mut input = Input(data);
    let flags = input.u8();
    let len = usize::from(input.u16());
    let sent = input.take(len);
    let answered = input.0;
    let (client, bytes) =
        if flags & 1 == 0 { (Side::A, [sent, answered]) } else { (Side::B, [answered, sent]) };
    let heard = flags & 2 == 0;
    let found = prelude::read(bytes, client, heard);
    if let Found::Whole(prelude) = found {
        assert!(prelude.len[0] <= bytes[0].len() && prelude.len[1] <= bytes[1].len());
        assert!(*client.of(&prelude.len) > 0, "a prelude has bytes");
        std::hint::black_box(prelude.target.map(|target| target.to_string()));
        // What follows a prelude is not part of it.
        let cut = [&bytes[0][..prelude.len[0]], &bytes[1][..prelude.len[1]]];
        match prelude::read(cut, client, heard) {
            Found::Whole(again) => assert_eq!(again.len, prelude.len),
            // Without the other's bytes only what follows shows that they had been answered.
            Found::More => assert!(!heard || answered.is_empty(), "more is needed than its own bytes"),
            other => panic!("{found:?} becomes {other:?}"),
        }
    }
}
