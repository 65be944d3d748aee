//! Protobuf with descriptors: from `.proto` files, descriptor sets, and files that gRPC server reflection showed.
//!
//! | for | module |
//! | --- | --- |
//! | descriptors and where they come from | `pool` |
//! | what the messages of each method look like | `methods` |
//! | a message as the proto3 JSON mapping has it | `render` |
//! | the types with a form of their own in JSON | `well_known` |

mod methods;
mod pool;
mod render;
mod well_known;

pub(super) use pool::Pools;

use prost_reflect::MessageDescriptor;

use super::note::{NoteKind, Notes};
use super::{Context, Decoded, Value};
use render::Reader;

/// Most types that a body is tried on: each reads all of it.
const CANDIDATES_LIMIT: usize = 64;

/// A message as one description has it.
struct Described {
    decoded: Decoded,
    /// Fields that are not described or have another type.
    misfits: usize,
}

/// Decodes a message by the description of its method; `None` if there is none, or if several fit.
pub(super) fn decode(bytes: &[u8], context: &Context<'_>, pools: &Pools) -> (Option<Decoded>, Notes) {
    let mut notes = Notes::default();
    let Some(method) = context.method else { return (None, notes) };
    let types = pools.messages_of(context.service, method, context.answer);
    if types.len() > CANDIDATES_LIMIT {
        notes.add(NoteKind::MethodAmbiguous, format!("{} types are those of a method {method}", types.len()));
        return (None, notes);
    }
    let described = pool::contained(|| {
        let one = |descriptor: &MessageDescriptor| describe(bytes, descriptor, pools);
        types.iter().filter_map(one).collect::<Vec<_>>()
    });
    let mut described = described.unwrap_or_default();
    // Where the wire names no service, the method may be another one's: only what fits wholly is taken.
    if context.service.is_none() {
        described.retain(|one| one.misfits == 0);
    }
    if described.len() > 1 && described.iter().any(|one| one.misfits == 0) {
        described.retain(|one| one.misfits == 0);
    }
    let names: Vec<_> = described.iter().filter_map(|one| one.decoded.type_name.clone()).collect();
    let mut described = described.into_iter();
    let first = described.next();
    if let Some(first) = &first
        && described.any(|other| other.decoded.value != first.decoded.value)
    {
        notes.add(NoteKind::MethodAmbiguous, format!("{} fit as well", names.join(", ")));
        return (None, notes);
    }
    (first.map(|one| one.decoded), notes)
}

fn describe(bytes: &[u8], descriptor: &MessageDescriptor, pools: &Pools) -> Option<Described> {
    let mut reader = Reader::new(pools);
    let value = reader.message(bytes, descriptor, 0)?;
    let mut decoded = Decoded::of(value);
    decoded.type_name = Some(descriptor.full_name().to_owned());
    decoded.notes = reader.notes.into_list();
    Some(Described { decoded, misfits: reader.misfits })
}

/// The details of a `google.rpc.Status`.
pub(super) fn details(status: &[u8], pools: &Pools) -> Vec<Value> {
    let details = pool::contained(|| {
        let descriptor = pools.message("google.rpc.Status")?;
        let status = Reader::new(pools).message(status, &descriptor, 0)?;
        match status.get("details") {
            Some(Value::List(details)) => Some(details.clone()),
            _ => None,
        }
    });
    details.flatten().unwrap_or_default()
}
