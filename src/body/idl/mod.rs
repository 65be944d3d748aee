//! Thrift IDL: the names and types of fields, methods and exceptions.
//!
//! Our own reader, since only names and types are needed and real files hold much that compilers of other dialects refuse.
//!
//! | for | module |
//! | --- | --- |
//! | words and their places | `lexer` |
//! | the grammar | `syntax` |
//! | files, folders and includes; names become types | `load` |

mod lexer;
mod load;
mod syntax;

use std::collections::HashMap;
use std::sync::Arc;

pub(super) use load::load;
#[cfg(feature = "fuzzing")]
pub(super) use load::of_text;

/// The type of a field. What names stand for is known; containers are shared, so that a chain of typedefs takes no more room
/// than its text.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Bool,
    I8,
    I16,
    I32,
    I64,
    Double,
    String,
    Binary,
    Uuid,
    List(Arc<Type>),
    Set(Arc<Type>),
    Map(Arc<(Type, Type)>),
    /// A struct, union or exception: its place in [`Schema::structs`].
    Struct(usize),
    /// Its place in [`Schema::enums`].
    Enum(usize),
    /// A type that is not known: a base type of another dialect.
    Unknown,
}

/// A field of a struct, an argument or an exception of a method.
#[derive(Debug)]
pub(super) struct FieldType {
    pub(super) id: i16,
    pub(super) name: String,
    pub(super) kind: Type,
}

/// A struct, union or exception; also the arguments of a method.
#[derive(Debug, Default)]
pub(super) struct StructType {
    pub(super) name: String,
    /// Sorted by id.
    fields: Vec<FieldType>,
}

impl StructType {
    pub(super) fn new(name: String, mut fields: Vec<FieldType>) -> Self {
        fields.sort_by_key(|field| field.id);
        Self { name, fields }
    }

    /// The field of that id.
    pub(super) fn field(&self, id: i16) -> Option<&FieldType> {
        let place = self.fields.binary_search_by_key(&id, |field| field.id).ok()?;
        self.fields.get(place)
    }

    pub(super) fn fields(&self) -> &[FieldType] {
        &self.fields
    }
}

/// A method of a service.
#[derive(Debug)]
pub(super) struct Method {
    /// The service that defines it.
    pub(super) service: String,
    pub(super) name: String,
    pub(super) arguments: StructType,
    /// The result struct: field 0 is the value, if there is one, the others are the exceptions.
    pub(super) result: StructType,
    /// Services that have it: the one that defines it and those that extend that.
    pub(super) exposed_by: Vec<String>,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(super) struct Schema {
    structs: Vec<StructType>,
    enums: Vec<HashMap<i32, String>>,
    methods: HashMap<String, Vec<Method>>,
}

impl Schema {
    /// Whether nothing was read.
    pub(super) fn is_empty(&self) -> bool {
        self.structs.is_empty() && self.methods.is_empty()
    }

    /// The methods of that name.
    pub(super) fn methods(&self, name: &str) -> &[Method] {
        self.methods.get(name).map_or(&[], Vec::as_slice)
    }

    pub(super) fn struct_type(&self, place: usize) -> Option<&StructType> {
        self.structs.get(place)
    }

    /// The name of a value of an enum.
    pub(super) fn enum_name(&self, place: usize, number: i32) -> Option<&str> {
        self.enums.get(place)?.get(&number).map(String::as_str)
    }

    /// The names of all fields and arguments.
    pub(super) fn field_names(&self) -> impl Iterator<Item = &str> {
        let methods = self.methods.values().flatten();
        let arguments = methods.flat_map(|method| method.arguments.fields());
        let fields = self.structs.iter().flat_map(StructType::fields);
        fields.chain(arguments).map(|field| field.name.as_str())
    }
}
