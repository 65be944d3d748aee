//! Bodies of messages, and the descriptions that name their fields.

use std::path::Path;
use std::sync::OnceLock;

use rpcscope::body::{Context, Decoded, Descriptions, Sources, decode, decode_details};
use rpcscope::text;
use rpcscope_parsers::Rpc;

/// Codecs, by the first byte of an input; some are of nobody.
const CODECS: [&str; 7] =
    ["thrift-binary", "thrift-compact", "thrift-json", "protobuf", "json", "jce", "xml"];

/// Compressions, by the second byte.
const ENCODINGS: [Option<&str>; 6] =
    [None, Some("gzip"), Some("deflate"), Some("zstd"), Some("snappy"), Some("br")];

/// Methods of the bundled descriptions.
const METHODS: [&str; 8] = ["place", "quote", "stock", "price", "Place", "Find", "Haggle", "File"];

/// What is shown of a body is JSON without anything that a terminal would obey.
fn check(decoded: &Decoded) {
    let mut shown = vec![decoded.value.to_json()];
    shown.extend(decoded.exception.iter().map(|exception| exception.fields.to_json()));
    for shown in shown {
        assert!(!shown.chars().any(text::is_unsafe), "{shown:?}");
        // serde_json has a bound of nesting of its own.
        if shown.matches(['[', '{']).count() < 100 {
            serde_json::from_str::<serde_json::Value>(&shown)
                .unwrap_or_else(|error| panic!("{error}: {shown}"));
        }
    }
    assert!(decoded.notes.len() <= 64, "{:?}", decoded.notes);
}

/// Bytes as a body of any codec, without descriptions and with the bundled ones.
pub fn body(data: &[u8]) {
    static BUNDLED: OnceLock<[Descriptions; 2]> = OnceLock::new();
    let descriptions = BUNDLED.get_or_init(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../captures/payload");
        let sources = Sources {
            idl: vec![folder.join("idl-two")],
            proto: vec![folder.join("proto")],
            ..Sources::default()
        };
        [Descriptions::default(), Descriptions::load(&sources).expect("the bundled descriptions are read")]
    });
    let [codec, encoding, flags, bytes @ ..] = data else { return };
    let context = Context {
        rpc: if flags & 2 == 0 { Rpc::Thrift } else { Rpc::Ttstream },
        codec: Some(CODECS[usize::from(*codec) % CODECS.len()]),
        service: (flags & 4 != 0).then_some("Shop"),
        method: Some(METHODS[usize::from(flags >> 5)]),
        answer: flags & 1 != 0,
        encoding: ENCODINGS[usize::from(*encoding) % ENCODINGS.len()],
    };
    for descriptions in descriptions {
        let decoded = decode(bytes, &context, descriptions);
        check(&decoded);
        assert_eq!(decoded.value.to_json(), decode(bytes, &context, descriptions).value.to_json());
        for detail in decode_details(bytes, descriptions) {
            std::hint::black_box(detail.to_json());
        }
    }
}

/// Bodies of every shape, by a description that is as odd as it likes.
fn try_on(descriptions: &Descriptions, codec: &str, rpc: Rpc) {
    const BODIES: [&[u8]; 4] = [
        b"\x0c\0\x01\x08\0\x01\0\0\0\x05\0\0",
        b"\x0f\0\0\x0c\0\0\0\x01\x0b\0\x01\0\0\0\x02hi\0\0",
        b"\x08\x01\x12\x02hi\x1a\x04\x08\x01\x10\x02\x25\0\0\0\0\x29\0\0\0\0\0\0\0\0",
        b"\x0a\x04\x0a\x02\x08\x01\x0b\x08\x01\x0c",
    ];
    for (bytes, answer) in BODIES.iter().flat_map(|bytes| [(*bytes, false), (*bytes, true)]) {
        for method in ["f", "F"] {
            let context = Context {
                rpc,
                codec: Some(codec),
                service: None,
                method: Some(method),
                answer,
                encoding: None,
            };
            check(&decode(bytes, &context, descriptions));
        }
    }
    std::hint::black_box(descriptions.field_names());
}

/// Text as an IDL.
pub fn body_idl(data: &[u8]) {
    match Descriptions::of_idl(&String::from_utf8_lossy(data)) {
        Ok(descriptions) => try_on(&descriptions, "thrift-binary", Rpc::Thrift),
        Err(error) => assert!(error.to_string().starts_with("memory.thrift:"), "{error}"),
    }
}

/// Text as a `.proto` file.
pub fn body_proto(data: &[u8]) {
    if let Ok(descriptions) = Descriptions::of_proto(&String::from_utf8_lossy(data)) {
        try_on(&descriptions, "protobuf", Rpc::Grpc);
    }
}

/// Bytes as a descriptor set, and as a file that reflection shows. Panics within the pool are contained by the program, so here they
/// are no crash either.
pub fn body_descriptors(data: &[u8]) {
    static QUIET: OnceLock<()> = OnceLock::new();
    QUIET.get_or_init(|| std::panic::set_hook(Box::new(|_| {})));
    if let Ok(descriptions) = Descriptions::of_descriptor_set(data) {
        try_on(&descriptions, "protobuf", Rpc::Grpc);
    }
    let mut learnt = Descriptions::default();
    let (first, second) = data.split_at(data.len() / 2);
    for file in [data, first, second] {
        learnt.learn_file(file);
    }
    try_on(&learnt, "protobuf", Rpc::Grpc);
}
