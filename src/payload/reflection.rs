//! gRPC server reflection that passes by: the descriptions of the very messages that are on the wire.
//!
//! `ServerReflectionResponse` has the field `file_descriptor_response = 4`, whose field `file_descriptor_proto = 1` repeats
//! serialised files (grpc `src/proto/grpc/reflection/v1/reflection.proto`; v1alpha has the same numbers).

use rpcscope_parsers::protobuf::{Value, fields};

use super::RawBody;
use crate::body;

/// Most files of one message that are looked at.
const MAX_FILES: usize = 4096;

/// Whether a service is the one that describes the others.
#[must_use]
pub fn is_reflection(service: Option<&str>) -> bool {
    matches!(
        service,
        Some("grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection")
    )
}

/// The files in an answer of server reflection. One that is compressed in a way that is not read has none.
#[must_use]
pub fn files(body: &RawBody) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    if !body.whole {
        return files;
    }
    let Some(message) = body::opened(&body.bytes, body.encoding.as_deref()) else { return files };
    for response in fields(&message) {
        let (4, Value::Bytes(response)) = (response.number, response.value) else { continue };
        for file in fields(response) {
            if let (1, Value::Bytes(file)) = (file.number, file.value)
                && files.len() < MAX_FILES
            {
                files.push(file.to_vec());
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn compressed_answers_have_files_too() {
        // An answer with a field before that of the files, of which there are two.
        let message = b"\x0a\x01h\x22\x08\x0a\x02ab\x0a\x02cd";
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(message).unwrap();
        let gzip = gzip.finish().unwrap();
        let found = |bytes: &[u8], encoding: Option<&str>, whole| {
            files(&RawBody { bytes: bytes.into(), whole, encoding: encoding.map(Into::into) })
        };
        let both = [b"ab".to_vec(), b"cd".to_vec()];
        assert_eq!(found(message, None, true), both);
        assert_eq!(found(&gzip, Some("gzip"), true), both);
        assert_eq!(found(&gzip, Some("br"), true), [b""; 0]);
        assert_eq!(found(&gzip[..gzip.len() - 9], Some("gzip"), true), [b""; 0]);
        assert_eq!(found(message, None, false), [b""; 0]);
    }
}
