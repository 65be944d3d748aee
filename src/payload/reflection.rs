//! gRPC server reflection that passes by: the descriptions of the very messages that are on the wire.
//!
//! `ServerReflectionResponse` has the field `file_descriptor_response = 4`, whose field `file_descriptor_proto = 1` repeats
//! serialised files (grpc `src/proto/grpc/reflection/v1/reflection.proto`; v1alpha has the same numbers).

use rpcscope_parsers::protobuf::{Value, fields};

use super::RawBody;

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

/// The files in an answer of server reflection. Compressed ones are left out.
#[must_use]
pub fn files(body: &RawBody) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    if !body.whole || body.encoding.is_some() {
        return files;
    }
    for response in fields(&body.bytes) {
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
