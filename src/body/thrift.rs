//! Thrift structs as values: by number as the wire has them, or with the names of an IDL.

use rpcscope_parsers::Rpc;
use rpcscope_parsers::thrift::skip::StructFormat;
use rpcscope_parsers::thrift::value::{End, Field, Value as Wire, json_binary, parse_struct};

use super::idl::{FieldType, Method, Schema, StructType, Type};
use super::note::{Note, NoteKind, Notes};
use super::value::{Fields, map, text_or_raw};
use super::{Context, Decoded, ExceptionName, Value};

/// Most methods of one name that a body is tried on: each reads all of it.
const CANDIDATES_LIMIT: usize = 64;

/// Names of fields that hold an error code, without their underscores, the best first.
const CODE_FIELDS: [&str; 11] = [
    "code",
    "errcode",
    "errorcode",
    "bizcode",
    "bizstatuscode",
    "statuscode",
    "retcode",
    "status",
    "errno",
    "ret",
    "err",
];

/// Names of fields that hold an error text, without their underscores, the best first.
const MESSAGE_FIELDS: [&str; 13] = [
    "message",
    "msg",
    "errmsg",
    "errormessage",
    "errormsg",
    "statusmessage",
    "reason",
    "detail",
    "description",
    "desc",
    "why",
    "error",
    "text",
];

/// Decodes a struct of arguments or a result.
pub(super) fn decode(bytes: &[u8], format: StructFormat, context: &Context<'_>, schema: &Schema) -> Decoded {
    let read = parse_struct(format, bytes);
    let mut notes = Notes::default();
    match read.end {
        End::Whole(_) => {}
        End::Short => notes.add(NoteKind::Cut, "the body ends in the middle of a value"),
        End::Bound(what) => notes.add(NoteKind::Cut, what),
        End::Wrong(what) => {
            let mut decoded = Decoded::raw(bytes);
            decoded.notes.push(Note::new(NoteKind::Undecodable, format!("thrift: {what}")));
            return decoded;
        }
    }
    let shape = Shape::of(context, &read.fields);
    let mut decoded = match choose(&read.fields, format, shape, context, schema) {
        Choice::One(described) => *described,
        Choice::None => undescribed(&read.fields, shape),
        Choice::Ambiguous(services) => {
            notes.add(NoteKind::MethodAmbiguous, services);
            undescribed(&read.fields, shape)
        }
    };
    decoded.notes.extend(notes.into_list());
    decoded
}

/// What a struct is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The arguments of a method; also a result with more than the one field that it may have.
    Struct,
    /// The result of a method: field 0 is its value, any other an exception.
    Result,
    /// The message of a stream, which is the argument or the value itself.
    Message,
}

impl Shape {
    fn of(context: &Context<'_>, fields: &[Field<'_>]) -> Self {
        match (context.rpc, context.answer) {
            // `ttstream/frame.go` of Kitex encodes the message as it is; so do its gRPC streams.
            (Rpc::Ttstream | Rpc::Grpc, _) => Self::Message,
            (_, true) if fields.len() <= 1 => Self::Result,
            _ => Self::Struct,
        }
    }
}

/// Which description fits a message.
enum Choice {
    None,
    One(Box<Decoded>),
    Ambiguous(String),
}

/// Chooses the method by its service, if the wire names it, else by what fits the wire.
fn choose(
    fields: &[Field<'_>],
    format: StructFormat,
    shape: Shape,
    context: &Context<'_>,
    schema: &Schema,
) -> Choice {
    let Some(name) = context.method else { return Choice::None };
    let all = schema.methods(name);
    let of_service: Vec<&Method> = match context.service {
        Some(service) => all.iter().filter(|method| exposes(method, service)).collect(),
        None => Vec::new(),
    };
    let by_service = !of_service.is_empty();
    let candidates = if by_service { of_service } else { all.iter().collect() };
    if candidates.len() > CANDIDATES_LIMIT {
        return Choice::Ambiguous(format!("{} services have a method {name}", candidates.len()));
    }
    let mut described: Vec<Described> = candidates
        .into_iter()
        .filter_map(|method| describe(fields, format, shape, context.answer, method, schema))
        .collect();
    // A service that no description has may have given its method other types: only what fits wholly is taken.
    let strict = context.service.is_some() && !by_service;
    if described.len() > 1 || strict {
        if strict || described.iter().any(|one| one.top_fits) {
            described.retain(|one| one.top_fits);
        }
        if strict || described.iter().any(|one| one.misfits == 0) {
            described.retain(|one| one.misfits == 0);
        }
    }
    merge(&mut described);
    match described.as_slice() {
        [] => Choice::None,
        [_] => {
            let mut decoded = described.remove(0).decoded;
            decoded.guessed = strict;
            Choice::One(Box::new(decoded))
        }
        [_, _, ..] => {
            let names: Vec<_> =
                described.iter().map(|one| one.decoded.type_name.clone().unwrap_or_default()).collect();
            Choice::Ambiguous(format!("{} fit as well", names.join(", ")))
        }
    }
}

/// Leaves one of those that say the same; which method it is, is then not known.
fn merge(described: &mut Vec<Described>) {
    let mut place = 0;
    while place < described.len() {
        let (before, rest) = described.split_at_mut(place);
        let Some(this) = rest.first() else { return };
        let same = |one: &&mut Described| {
            one.decoded.value == this.decoded.value && one.decoded.exception == this.decoded.exception
        };
        match before.iter_mut().find(same) {
            Some(one) => {
                if one.decoded.type_name != this.decoded.type_name {
                    one.decoded.type_name = None;
                }
                described.remove(place);
            }
            None => place += 1,
        }
    }
}

/// Whether a service has a method; frameworks write its name with and without its package.
fn exposes(method: &Method, service: &str) -> bool {
    let short = service.rsplit('.').next().unwrap_or(service);
    method.exposed_by.iter().any(|name| name == service || name == short)
}

/// A message as one method describes it.
struct Described {
    decoded: Decoded,
    /// Every field of the struct is described, with its type.
    top_fits: bool,
    /// Fields at any depth that are not described or have another type.
    misfits: usize,
}

fn describe(
    fields: &[Field<'_>],
    format: StructFormat,
    shape: Shape,
    answer: bool,
    method: &Method,
    schema: &Schema,
) -> Option<Described> {
    let mut reader = Reader { schema, format, notes: Notes::default(), path: Vec::new(), misfits: 0 };
    let struct_type = match (shape, answer) {
        (Shape::Message, _) => {
            let field = if answer { method.result.field(0) } else { method.arguments.fields().first() };
            let Type::Struct(place) = field?.kind else { return None };
            schema.struct_type(place)?
        }
        (_, true) => &method.result,
        (_, false) => &method.arguments,
    };
    let top_fits = fields.iter().all(|field| {
        struct_type.field(field.id).is_some_and(|described| reader.fits(&field.value, &described.kind))
    });
    let mut decoded = match (shape, fields) {
        (Shape::Result, []) => Decoded::of(Value::Null),
        (Shape::Result, [field]) => reader.result(field, struct_type),
        _ => Decoded::of(reader.object(fields, struct_type)),
    };
    decoded.type_name = Some(match shape {
        Shape::Message => struct_type.name.clone(),
        _ => format!("{}.{}", method.service, method.name),
    });
    decoded.notes = reader.notes.into_list();
    Some(Described { decoded, top_fits, misfits: reader.misfits })
}

/// Reads values with the names of an IDL.
struct Reader<'a> {
    schema: &'a Schema,
    format: StructFormat,
    notes: Notes,
    /// The names that lead to the struct being read.
    path: Vec<String>,
    misfits: usize,
}

impl<'a> Reader<'a> {
    /// The one field of a result struct.
    fn result(&mut self, field: &Field<'_>, result: &'a StructType) -> Decoded {
        let described = result.field(field.id).filter(|described| self.accepts(field, described));
        let mut decoded = Decoded::of(Value::Null);
        match (field.id, described, &field.value) {
            (0, Some(described), value) => decoded.value = self.value(value, &described.kind),
            (0, None, value) => {
                self.misfits += 1;
                decoded.value = by_number(value);
            }
            (_, Some(FieldType { name, kind: Type::Struct(place), .. }), Wire::Struct(fields)) => {
                let Some(struct_type) = self.schema.struct_type(*place) else { return decoded };
                // An exception of which nothing fits is another one.
                let fits = |field: &Field<'_>| {
                    struct_type.field(field.id).is_some_and(|one| self.fits(&field.value, &one.kind))
                };
                if !fields.is_empty() && !fields.iter().any(fits) {
                    self.misfits += 1;
                    let text = format!("{name}: none of its fields is one of {}", struct_type.name);
                    self.notes.add(NoteKind::DescriptionMismatch, text);
                    decoded.exception = Some(unnamed_exception(field));
                    return decoded;
                }
                self.path.push(name.clone());
                decoded.exception = Some(ExceptionName {
                    name: Some(struct_type.name.clone()),
                    field: name.clone(),
                    field_id: field.id,
                    fields: self.object(fields, struct_type),
                    code: self.code(fields, struct_type),
                    message: Self::message(fields, struct_type),
                });
            }
            _ => {
                self.misfits += 1;
                decoded.exception = Some(unnamed_exception(field));
            }
        }
        decoded
    }

    /// The integer that is best named as an error code.
    fn code(&self, fields: &[Field<'_>], struct_type: &StructType) -> Option<i64> {
        best_named(&CODE_FIELDS, fields, struct_type, |value, kind| match (value, kind) {
            _ if !self.fits(value, kind) => None,
            (Wire::I8(number), _) => Some(i64::from(*number)),
            (Wire::I16(number), _) => Some(i64::from(*number)),
            (Wire::I32(number), _) => Some(i64::from(*number)),
            (Wire::I64(number), _) => Some(*number),
            _ => None,
        })
    }

    /// The text that is best named as an error text.
    fn message(fields: &[Field<'_>], struct_type: &StructType) -> Option<String> {
        best_named(&MESSAGE_FIELDS, fields, struct_type, |value, kind| match (value, kind) {
            (Wire::String(text), Type::String) => std::str::from_utf8(text).ok().map(str::to_owned),
            _ => None,
        })
    }

    fn object(&mut self, fields: &[Field<'_>], struct_type: &'a StructType) -> Value {
        let mut object = Fields::default();
        for field in fields {
            match struct_type.field(field.id) {
                Some(described) if self.accepts(field, described) => {
                    self.path.push(described.name.clone());
                    let value = self.value(&field.value, &described.kind);
                    self.path.pop();
                    object.set(described.name.clone(), value);
                }
                _ => {
                    self.misfits += 1;
                    object.set(field.id.to_string(), by_number(&field.value));
                }
            }
        }
        object.object()
    }

    /// Whether a field has the type that is described; a remark if not.
    fn accepts(&mut self, field: &Field<'_>, described: &FieldType) -> bool {
        let fits = self.fits(&field.value, &described.kind);
        if !fits {
            let place: Vec<_> =
                self.path.iter().map(String::as_str).chain([described.name.as_str()]).collect();
            let text = format!(
                "{}: field {} is {} on the wire, which the description does not say",
                place.join("."),
                field.id,
                field.value.type_name()
            );
            self.notes.add(NoteKind::DescriptionMismatch, text);
        }
        fits
    }

    /// Whether a value is of a type. What is in a struct is no matter: each of its fields fits or not by itself.
    fn fits(&self, value: &Wire<'_>, kind: &Type) -> bool {
        match (value, kind) {
            (_, Type::Unknown)
            | (Wire::Bool(_), Type::Bool)
            | (Wire::I8(_), Type::I8)
            | (Wire::I16(_), Type::I16)
            | (Wire::I32(_), Type::I32 | Type::Enum(_))
            | (Wire::I64(_), Type::I64)
            | (Wire::Double(_), Type::Double)
            | (Wire::Uuid(_), Type::Uuid)
            | (Wire::Struct(_), Type::Struct(_)) => true,
            // `string` and `binary` are one type on the wire, so what is no text is told from text by its bytes only.
            (Wire::String(bytes), Type::String) => std::str::from_utf8(bytes).is_ok(),
            (Wire::String(bytes), Type::Binary) => {
                self.format != StructFormat::Json || json_binary(bytes).is_some()
            }
            (Wire::List(elements), Type::List(element)) | (Wire::Set(elements), Type::Set(element)) => {
                elements.iter().all(|value| self.fits(value, element))
            }
            (Wire::Map(entries), Type::Map(types)) => {
                entries.iter().all(|(key, value)| self.fits(key, &types.0) && self.fits(value, &types.1))
            }
            _ => false,
        }
    }

    /// A value that fits its type.
    fn value(&mut self, value: &Wire<'_>, kind: &Type) -> Value {
        match (value, kind) {
            (Wire::I32(number), Type::Enum(place)) => match self.schema.enum_name(*place, *number) {
                Some(name) => Value::Text(name.to_owned()),
                None => Value::Int(i64::from(*number)),
            },
            (Wire::String(bytes), Type::Binary) => match self.format {
                StructFormat::Json => json_binary(bytes).map_or(Value::Null, Value::Raw),
                StructFormat::Binary | StructFormat::Compact => Value::Raw(bytes.to_vec()),
            },
            (Wire::List(elements), Type::List(element)) | (Wire::Set(elements), Type::Set(element)) => {
                Value::List(elements.iter().map(|value| self.value(value, element)).collect())
            }
            (Wire::Map(entries), Type::Map(types)) => {
                let pair = |(key, value): &(Wire<'_>, Wire<'_>)| {
                    (self.value(key, &types.0), self.value(value, &types.1))
                };
                let pairs: Vec<_> = entries.iter().map(pair).collect();
                // Names of an enum are no text: such a map has another form whatever its numbers are called.
                if matches!(types.0, Type::String) { map(pairs) } else { pairs_list(pairs) }
            }
            (Wire::Struct(fields), Type::Struct(place)) => match self.schema.struct_type(*place) {
                Some(struct_type) => self.object(fields, struct_type),
                None => by_number(value),
            },
            _ => by_number(value),
        }
    }
}

fn pairs_list(pairs: Vec<(Value, Value)>) -> Value {
    Value::List(pairs.into_iter().map(|(key, value)| Value::List(vec![key, value])).collect())
}

/// What `read` makes of the field whose name is first among `names`.
fn best_named<T>(
    names: &[&str],
    fields: &[Field<'_>],
    struct_type: &StructType,
    read: impl Fn(&Wire<'_>, &Type) -> Option<T>,
) -> Option<T> {
    let ranked = fields.iter().filter_map(|field| {
        let described = struct_type.field(field.id)?;
        let name = described.name.to_ascii_lowercase().replace('_', "");
        let rank = names.iter().position(|one| *one == name)?;
        Some((rank, read(&field.value, &described.kind)?))
    });
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, found)| found)
}

/// A message that no description names.
fn undescribed(fields: &[Field<'_>], shape: Shape) -> Decoded {
    match (shape, fields) {
        (Shape::Result, []) => Decoded::of(Value::Null),
        (Shape::Result, [Field { id: 0, value }]) => Decoded::of(by_number(value)),
        (Shape::Result, [field]) => {
            Decoded { exception: Some(unnamed_exception(field)), ..Decoded::of(Value::Null) }
        }
        _ => Decoded::of(fields_by_number(fields)),
    }
}

fn unnamed_exception(field: &Field<'_>) -> ExceptionName {
    ExceptionName {
        name: None,
        field: field.id.to_string(),
        field_id: field.id,
        fields: by_number(&field.value),
        code: None,
        message: None,
    }
}

fn fields_by_number(fields: &[Field<'_>]) -> Value {
    let mut object = Fields::default();
    for field in fields {
        object.set(field.id.to_string(), by_number(&field.value));
    }
    object.object()
}

/// A value as the wire has it.
fn by_number(value: &Wire<'_>) -> Value {
    match value {
        Wire::Bool(value) => Value::Bool(*value),
        Wire::I8(number) => Value::Int(i64::from(*number)),
        Wire::I16(number) => Value::Int(i64::from(*number)),
        Wire::I32(number) => Value::Int(i64::from(*number)),
        Wire::I64(number) => Value::Int(*number),
        Wire::Double(number) => Value::Float(*number),
        Wire::String(bytes) => text_or_raw(bytes),
        Wire::Uuid(bytes) => Value::Text(uuid(*bytes)),
        Wire::List(elements) | Wire::Set(elements) => Value::List(elements.iter().map(by_number).collect()),
        Wire::Map(entries) => {
            map(entries.iter().map(|(key, value)| (by_number(key), by_number(value))).collect())
        }
        Wire::Struct(fields) => fields_by_number(fields),
    }
}

/// `01234567-89ab-cdef-0123-456789abcdef`.
fn uuid(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let groups = [0..8, 8..12, 12..16, 16..20, 20..32].map(|group| &digits[group]);
    groups.join("-")
}
