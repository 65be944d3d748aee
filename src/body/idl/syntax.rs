//! The grammar of Thrift's IDL, as far as names and types go: what a reader of messages does not need is passed over.
//!
//! Source: `doc/docs/idl.md` and `compiler/cpp/src/thrift/thrifty.yy` of Apache Thrift; beyond it, what thriftgo and fbthrift accept:
//! structured annotations (`@name{…}`), streams, `package`, annotations without a value.

use std::collections::HashSet;

use super::lexer::{Fault, Lexer, Token};

/// The deepest nesting of types (`list<list<…>>`).
pub(super) const TYPE_DEPTH: usize = 32;

/// A file.
#[derive(Debug, Default)]
pub(super) struct Document {
    pub(super) includes: Vec<Include>,
    pub(super) definitions: Vec<Definition>,
}

/// `include "path"`.
#[derive(Debug)]
pub(super) struct Include {
    pub(super) path: String,
    /// What its names are prefixed with, if not with the name of the file (fbthrift).
    pub(super) alias: Option<String>,
    /// Where it stands, for errors.
    pub(super) at: usize,
}

#[derive(Debug)]
pub(super) enum Definition {
    Typedef {
        name: String,
        alias: TypeName,
    },
    Enum {
        name: String,
        values: Vec<(i32, String)>,
    },
    /// A struct, union or exception.
    Struct {
        name: String,
        fields: Vec<Field>,
    },
    Service {
        name: String,
        extends: Option<String>,
        functions: Vec<Function>,
    },
}

/// A type as it is written.
#[derive(Clone, Debug)]
pub(super) enum TypeName {
    /// A base type or a name.
    Named {
        name: String,
        at: usize,
    },
    List(Box<TypeName>),
    Set(Box<TypeName>),
    Map(Box<TypeName>, Box<TypeName>),
    /// A type that other dialects have.
    Foreign,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) id: i16,
    pub(super) name: String,
    pub(super) kind: TypeName,
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// `None` for void.
    pub(super) returns: Option<TypeName>,
    pub(super) arguments: Vec<Field>,
    pub(super) throws: Vec<Field>,
}

/// Reads a file.
pub(super) fn parse(text: &str) -> Result<Document, Fault> {
    let mut parser = Parser { lexer: Lexer::new(text) };
    let mut document = Document::default();
    while parser.lexer.peek()? != Token::End {
        parser.definition(&mut document)?;
    }
    Ok(document)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
}

/// Words of fbthrift before `exception`, which say nothing about messages.
const QUALIFIERS: [&str; 6] = ["safe", "transient", "stateful", "permanent", "client", "server"];

impl<'a> Parser<'a> {
    fn definition(&mut self, document: &mut Document) -> Result<(), Fault> {
        let at = self.lexer.at()?;
        match self.lexer.next()? {
            Token::Symbol(';' | ',') => {}
            Token::Symbol('@') => self.structured_annotation()?,
            Token::Word("include") => {
                let path = self.literal("the path of the file to include")?.to_owned();
                let alias = if self.lexer.peek()? == Token::Word("as") {
                    self.lexer.next()?;
                    Some(self.name("the alias of the file")?)
                } else {
                    None
                };
                document.includes.push(Include { path, alias, at });
            }
            Token::Word("namespace") => {
                self.lexer.next()?;
                self.lexer.next()?;
                self.annotations()?;
            }
            Token::Word("typedef") => {
                let alias = self.type_name(0)?;
                let name = self.name("the name of the type")?;
                self.annotations()?;
                document.definitions.push(Definition::Typedef { name, alias });
            }
            Token::Word("const") => {
                self.type_name(0)?;
                self.name("the name of the constant")?;
                self.symbol('=')?;
                self.constant()?;
                self.annotations()?;
            }
            Token::Word("enum") => {
                let name = self.name("the name of the enum")?;
                let values = self.enum_values()?;
                document.definitions.push(Definition::Enum { name, values });
            }
            Token::Word("senum") => {
                let at = self.lexer.at()?;
                let name = self.name("the name of the enum")?;
                self.symbol('{')?;
                self.skip_to('}')?;
                self.annotations()?;
                let alias = TypeName::Named { name: "string".to_owned(), at };
                document.definitions.push(Definition::Typedef { name, alias });
            }
            Token::Word("struct" | "union" | "exception") => {
                let name = self.name("the name of the struct")?;
                if self.lexer.peek()? == Token::Word("xsd_all") {
                    self.lexer.next()?;
                }
                self.symbol('{')?;
                let fields = self.fields('}')?;
                self.annotations()?;
                document.definitions.push(Definition::Struct { name, fields });
            }
            Token::Word("service") => {
                let name = self.name("the name of the service")?;
                let extends = if self.lexer.peek()? == Token::Word("extends") {
                    self.lexer.next()?;
                    Some(self.name("the name of the service to extend")?)
                } else {
                    None
                };
                self.symbol('{')?;
                let functions = self.functions()?;
                self.annotations()?;
                document.definitions.push(Definition::Service { name, extends, functions });
            }
            Token::Word("interaction") => {
                self.name("the name of the interaction")?;
                self.symbol('{')?;
                self.skip_to('}')?;
            }
            // `cpp_include "x"`, `php_namespace x`, `package "x"`.
            Token::Word(word)
                if word == "package" || word.ends_with("_include") || word.ends_with("_namespace") =>
            {
                self.lexer.next()?;
            }
            Token::Word("xsd_namespace") => _ = self.lexer.next()?,
            Token::Word(word) if QUALIFIERS.contains(&word) => {}
            token => return Err(expected("a definition", token, at)),
        }
        Ok(())
    }

    fn literal(&mut self, what: &str) -> Result<&'a str, Fault> {
        let at = self.lexer.at()?;
        match self.lexer.next()? {
            Token::Literal(text) => Ok(text),
            token => Err(expected(what, token, at)),
        }
    }

    fn name(&mut self, what: &str) -> Result<String, Fault> {
        let at = self.lexer.at()?;
        match self.lexer.next()? {
            Token::Word(name) => Ok(name.to_owned()),
            token => Err(expected(what, token, at)),
        }
    }

    fn symbol(&mut self, symbol: char) -> Result<(), Fault> {
        let at = self.lexer.at()?;
        match self.lexer.next()? {
            Token::Symbol(found) if found == symbol => Ok(()),
            token => Err(expected(&format!("'{symbol}'"), token, at)),
        }
    }

    fn taken(&mut self, symbol: char) -> Result<bool, Fault> {
        let there = self.lexer.peek()? == Token::Symbol(symbol);
        if there {
            self.lexer.next()?;
        }
        Ok(there)
    }

    /// `;` or `,`, which are free nearly everywhere.
    fn separator(&mut self) -> Result<(), Fault> {
        while matches!(self.lexer.peek()?, Token::Symbol(';' | ',')) {
            self.lexer.next()?;
        }
        Ok(())
    }

    /// Passes over everything up to the bracket that closes one which is open.
    fn skip_to(&mut self, close: char) -> Result<(), Fault> {
        let open = match close {
            '}' => '{',
            ')' => '(',
            ']' => '[',
            _ => '<',
        };
        let start = self.lexer.at()?;
        let mut depth = 1_usize;
        loop {
            match self.lexer.next()? {
                Token::Symbol(c) if c == open => depth += 1,
                Token::Symbol(c) if c == close => depth -= 1,
                Token::End => return Err(expected(&format!("'{close}'"), Token::End, start)),
                _ => {}
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// `(key = "value", …)`.
    fn annotations(&mut self) -> Result<(), Fault> {
        if self.taken('(')? { self.skip_to(')') } else { Ok(()) }
    }

    /// `@name`, `@name{…}` or `@name(…)`, without its `@`.
    fn structured_annotation(&mut self) -> Result<(), Fault> {
        self.name("the name of the annotation")?;
        if self.taken('{')? {
            return self.skip_to('}');
        }
        self.annotations()
    }

    fn structured_annotations(&mut self) -> Result<(), Fault> {
        while self.taken('@')? {
            self.structured_annotation()?;
        }
        Ok(())
    }

    /// The value of a constant or a default.
    fn constant(&mut self) -> Result<(), Fault> {
        let at = self.lexer.at()?;
        match self.lexer.next()? {
            Token::Symbol('[') => self.skip_to(']'),
            Token::Symbol('{') => self.skip_to('}'),
            Token::Word(_) if self.taken('{')? => self.skip_to('}'),
            Token::Number(_) | Token::Literal(_) | Token::Word(_) => Ok(()),
            token => Err(expected("a value", token, at)),
        }
    }

    fn enum_values(&mut self) -> Result<Vec<(i32, String)>, Fault> {
        self.symbol('{')?;
        let mut values = Vec::new();
        // A value without a number is one more than the one before it.
        let mut number: Option<i32> = Some(0);
        loop {
            self.structured_annotations()?;
            if self.taken('}')? {
                break;
            }
            let name = self.name("the name of a value, or '}'")?;
            if self.taken('=')? {
                let at = self.lexer.at()?;
                number = match self.lexer.next()? {
                    Token::Number(text) => Some(
                        integer(text)
                            .and_then(|number| i32::try_from(number).ok())
                            .ok_or_else(|| Fault { at, what: format!("{text} is no number of 32 bits") })?,
                    ),
                    // A constant's name: which number that is, is not looked up.
                    Token::Word(_) => None,
                    token => return Err(expected("a number", token, at)),
                };
            }
            if let Some(number) = number {
                values.push((number, name));
            }
            number = number.and_then(|number| number.checked_add(1));
            self.annotations()?;
            self.separator()?;
        }
        self.annotations()?;
        Ok(values)
    }

    fn type_name(&mut self, depth: usize) -> Result<TypeName, Fault> {
        let at = self.lexer.at()?;
        if depth > TYPE_DEPTH {
            return Err(Fault { at, what: "a type nested too deeply".to_owned() });
        }
        let name = self.name("a type")?;
        let named = match name.as_str() {
            "list" | "set" | "map" => {
                if self.lexer.peek()? == Token::Word("cpp_type") {
                    self.lexer.next()?;
                    self.literal("the C++ type")?;
                }
                self.symbol('<')?;
                let first = Box::new(self.type_name(depth + 1)?);
                let container = match name.as_str() {
                    "list" => TypeName::List(first),
                    "set" => TypeName::Set(first),
                    _ => {
                        self.symbol(',')?;
                        TypeName::Map(first, Box::new(self.type_name(depth + 1)?))
                    }
                };
                self.symbol('>')?;
                if self.lexer.peek()? == Token::Word("cpp_type") {
                    self.lexer.next()?;
                    self.literal("the C++ type")?;
                }
                container
            }
            _ if self.taken('<')? => {
                self.skip_to('>')?;
                TypeName::Foreign
            }
            _ => TypeName::Named { name, at },
        };
        self.annotations()?;
        Ok(named)
    }

    /// Fields up to the bracket that closes them.
    fn fields(&mut self, close: char) -> Result<Vec<Field>, Fault> {
        let mut fields = Vec::new();
        let mut ids = HashSet::new();
        // The compiler numbers fields without an id downwards from -1.
        let mut next_id: i16 = -1;
        loop {
            self.separator()?;
            self.structured_annotations()?;
            if self.taken(close)? {
                return Ok(fields);
            }
            let at = self.lexer.at()?;
            let id = if let Token::Number(text) = self.lexer.peek()? {
                self.lexer.next()?;
                self.symbol(':')?;
                integer(text)
                    .and_then(|id| i16::try_from(id).ok())
                    .ok_or_else(|| Fault { at, what: format!("{text} is no id of a field") })?
            } else {
                let id = next_id;
                let lower = next_id.checked_sub(1);
                next_id = lower.ok_or_else(|| Fault { at, what: "too many fields".to_owned() })?;
                id
            };
            if matches!(self.lexer.peek()?, Token::Word("required" | "optional" | "terse")) {
                self.lexer.next()?;
            }
            let kind = self.type_name(0)?;
            self.taken('&')?;
            let name = self.name("the name of a field")?;
            if self.taken('=')? {
                self.constant()?;
            }
            while let Token::Word(word @ ("xsd_optional" | "xsd_nillable" | "xsd_attrs")) =
                self.lexer.peek()?
            {
                self.lexer.next()?;
                if word == "xsd_attrs" {
                    self.symbol('{')?;
                    self.skip_to('}')?;
                }
            }
            self.annotations()?;
            if !ids.insert(id) {
                return Err(Fault { at, what: format!("the field id {id} is used twice") });
            }
            fields.push(Field { id, name, kind });
        }
    }

    fn functions(&mut self) -> Result<Vec<Function>, Fault> {
        let mut functions = Vec::new();
        loop {
            self.separator()?;
            self.structured_annotations()?;
            if self.taken('}')? {
                return Ok(functions);
            }
            if self.lexer.peek()? == Token::Word("performs") {
                self.lexer.next()?;
                self.lexer.next()?;
                continue;
            }
            while let Token::Word("oneway" | "async" | "readonly" | "idempotent") = self.lexer.peek()? {
                self.lexer.next()?;
            }
            let mut returns = if self.lexer.peek()? == Token::Word("void") {
                self.lexer.next()?;
                self.annotations()?;
                None
            } else {
                Some(self.type_name(0)?)
            };
            // `Response, stream<Item> name(…)`.
            while self.taken(',')? {
                self.type_name(0)?;
                returns = Some(TypeName::Foreign);
            }
            let name = self.name("the name of a function")?;
            self.symbol('(')?;
            let arguments = self.fields(')')?;
            let throws = if self.lexer.peek()? == Token::Word("throws") {
                self.lexer.next()?;
                self.symbol('(')?;
                self.fields(')')?
            } else {
                Vec::new()
            };
            self.annotations()?;
            functions.push(Function { name, returns, arguments, throws });
        }
    }
}

fn expected(what: &str, found: Token<'_>, at: usize) -> Fault {
    Fault { at, what: format!("expected {what}, found {}", found.in_words()) }
}

fn integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let number = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => digits.parse().ok()?,
    };
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ODD: &str = r#"
        namespace * a.b  namespace py x.y (key = "v")  php_namespace z
        cpp_include <unused>
    "#;

    #[test]
    fn everything_but_names_and_types_is_passed_over() {
        let text = r#"
            // one
            # two
            /** three { */
            include "base.thrift" as common;
            cpp_include "map"
            namespace * a.b
            namespace py x.y (key = "v", deprecated)
            php_namespace z
            xsd_namespace "u"
            package "meta.com/x"
            const map<string, list<i32>> M = {"a": [1, 2], "b": []}, const double D = -1.5e-3;
            typedef list<string (x = "y")> cpp_type "vector" Names (a)
            senum Old { "a", "b"; "c" }
            enum E { A, B = 0x10 (old = "1"), C; D = -3 E = Other.X, F } (e)
            @cpp.Ref{type = cpp.RefType.Unique}
            struct S xsd_all {
                1: required i32 a = 5, @q string b; @r @s(x = 1) 3: optional list<set<map<i32,E>>> c = [[{1: E.A}]] (go.tag = "x")
                @thrift.Box{} 4: S & d xsd_optional xsd_attrs { 1: i32 x }
                -5: other.Type e = Type{x = 1}
            } (s)
            safe permanent exception X {}
            service P extends base.Common {
                oneway void fire(@t 1: i32 a,); @u async void old()
                i32 add(1: i32 a, 2: i32 b = 2) throws (X x, 5: X y) (streaming.mode = "client");
                S, stream<S throws (1: X x)> flow(string q)
                performs Thing;
                readonly void (a = "b") last()
            } (p)
        "#;
        let document = parse(text).unwrap();
        assert_eq!(document.includes[0].alias.as_deref(), Some("common"));
        let names: Vec<_> = document
            .definitions
            .iter()
            .map(|definition| match definition {
                Definition::Typedef { name, .. } | Definition::Enum { name, .. } => name.clone(),
                Definition::Struct { name, fields } => {
                    let fields: Vec<_> = fields.iter().map(|field| (field.id, field.name.as_str())).collect();
                    format!("{name} {fields:?}")
                }
                Definition::Service { name, functions, extends } => {
                    let functions: Vec<_> = functions
                        .iter()
                        .map(|one| {
                            let ids =
                                |fields: &[Field]| fields.iter().map(|field| field.id).collect::<Vec<_>>();
                            format!("{}{:?}{:?}", one.name, ids(&one.arguments), ids(&one.throws))
                        })
                        .collect();
                    format!("{name} {extends:?} {}", functions.join(" "))
                }
            })
            .collect();
        let expected = [
            "Names",
            "Old",
            "E",
            r#"S [(1, "a"), (-1, "b"), (3, "c"), (4, "d"), (-5, "e")]"#,
            "X []",
            r#"P Some("base.Common") fire[1][] old[][] add[1, 2][-1, 5] flow[-1][] last[][]"#,
        ];
        assert_eq!(names, expected);
        let Definition::Enum { values, .. } = &document.definitions[2] else { panic!("no enum") };
        let values: Vec<_> = values.iter().map(|(number, name)| (*number, name.as_str())).collect();
        // What an enum calls by another's name has no number here, nor has what follows it.
        assert_eq!(values, [(0, "A"), (16, "B"), (17, "C"), (-3, "D")]);
        assert!(parse(ODD).is_err());
    }

    #[test]
    fn faults_say_what_is_wrong_where() {
        for (text, at, what) in [
            ("struct A {\n 1: i32\n}", 19, "expected the name of a field, found '}'"),
            ("struct A { 1: i32 a 1: i32 b }", 20, "the field id 1 is used twice"),
            ("strukt A {}", 0, "expected a definition, found 'strukt'"),
            ("struct A {", 10, "expected a type, found the end of the file"),
            ("service S { i32 f(", 18, "expected a type, found the end of the file"),
            ("enum E { A = 99999999999 }", 13, "99999999999 is no number of 32 bits"),
            ("struct A { 70000: i32 a }", 11, "70000 is no id of a field"),
            ("const i32 A = ]", 14, "expected a value, found ']'"),
        ] {
            let fault = parse(text).unwrap_err();
            assert_eq!((fault.at, fault.what.as_str()), (at, what), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("typedef {} A", "list<".repeat(100_000));
        assert_eq!(parse(&deep).unwrap_err().what, "a type nested too deeply");
        for open in ["const i32 a = {", "struct A { 1: i32 a = [", "namespace a b ("] {
            assert!(parse(&format!("{open}{}", "{[(".repeat(100_000))).is_err());
        }
    }
}
