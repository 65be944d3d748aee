//! What the messages of each described method look like.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::pool::{Pools, contained};
use crate::body::outline::{Content, FIELDS_LIMIT, FieldOutline, METHODS_LIMIT, MethodOutline};

/// Wire types of a field with a length, and of one that is a group.
const SIZED: u8 = 2;
const GROUP: u8 = 3;

impl Pools {
    /// The methods of all pools, each once.
    pub(in crate::body) fn methods(&self) -> Vec<MethodOutline> {
        contained(|| self.list_methods()).unwrap_or_default()
    }

    fn list_methods(&self) -> Vec<MethodOutline> {
        let mut methods = Vec::new();
        let mut paths = HashSet::new();
        for pool in self.all() {
            let mut messages = HashMap::new();
            let mut outline = |message: MessageDescriptor| -> Arc<[FieldOutline]> {
                let known = messages.entry(message.full_name().to_owned());
                Arc::clone(
                    known.or_insert_with(|| fields(&message).map(|field| field_outline(&field)).collect()),
                )
            };
            for method in pool.services().flat_map(|service| service.methods().collect::<Vec<_>>()) {
                if methods.len() == METHODS_LIMIT {
                    return methods;
                }
                if !paths.insert(method.full_name().to_owned()) {
                    continue;
                }
                methods.push(MethodOutline {
                    service: method.parent_service().full_name().into(),
                    method: method.name().into(),
                    streams: [method.is_client_streaming(), method.is_server_streaming()],
                    messages: [outline(method.input()), outline(method.output())],
                });
            }
        }
        methods
    }
}

/// Its fields by their numbers.
fn fields(message: &MessageDescriptor) -> impl Iterator<Item = FieldDescriptor> + use<> {
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_unstable_by_key(FieldDescriptor::number);
    fields.truncate(FIELDS_LIMIT);
    fields.into_iter()
}

fn field_outline(field: &FieldDescriptor) -> FieldOutline {
    let content = match field.kind() {
        Kind::String => Content::Text,
        Kind::Message(message) if !field.is_group() => {
            Content::Message(fields(&message).map(|field| (field.number(), wire_types(&field))).collect())
        }
        _ => Content::Opaque,
    };
    FieldOutline { number: field.number(), wire_types: wire_types(field), content }
}

/// The wire types that a field may have, a bit for each (protobuf.dev, Encoding).
fn wire_types(field: &FieldDescriptor) -> u8 {
    let (own, packable) = match field.kind() {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => (1, true),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => (5, true),
        Kind::Message(_) if field.is_group() => (GROUP, false),
        Kind::String | Kind::Bytes | Kind::Message(_) => (SIZED, false),
        Kind::Int32
        | Kind::Int64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Bool
        | Kind::Enum(_) => (0, true),
    };
    // Readers take both forms of a list of numbers.
    1 << own | if packable && field.is_list() { 1 << SIZED } else { 0 }
}
