//! What a description says of a method's messages as a whole: enough to tell which methods a message can be of.

use std::sync::Arc;

/// Most methods that are told apart.
#[cfg(feature = "descriptors")]
pub(super) const METHODS_LIMIT: usize = 1024;

/// Most fields of a message that are looked at.
#[cfg(feature = "descriptors")]
pub(super) const FIELDS_LIMIT: usize = 256;

/// A gRPC method as it is described (`google.protobuf.MethodDescriptorProto`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodOutline {
    /// The service, with its package.
    pub service: Arc<str>,
    /// The method.
    pub method: Arc<str>,
    /// Whether the client, and whether the server sends a stream.
    pub streams: [bool; 2],
    /// The messages of the client and of the server.
    pub messages: [Arc<[FieldOutline]>; 2],
}

/// A field of a message. The fields of one are sorted by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOutline {
    /// The tag.
    pub number: u32,
    /// The wire types that it may have, a bit for each.
    pub wire_types: u8,
    /// What its bytes are, where it has a length.
    pub content: Content,
}

/// What a field with a length holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes or numbers, of which nothing can be said.
    Opaque,
    /// Text.
    Text,
    /// A message: number and wire types of its fields, sorted.
    Message(Vec<(u32, u8)>),
}
