//! Reads IDL files with what they include, and resolves the names in them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lexer::Fault;
use super::syntax::{self, Definition, Document, Field, TypeName};
use super::{FieldType, Method, Schema, StructType, Type};
use crate::body::LoadError;
use crate::body::files;
use crate::source::fifo::Once;

/// The largest file that is read.
const FILE_LIMIT: u64 = 4 << 20;

/// Most files, included ones counted.
const FILES_LIMIT: usize = 10_000;

/// The deepest nesting of a type whose names are resolved: typedefs of containers of typedefs.
const RESOLVED_DEPTH: usize = 64;

/// Longest chain of services that extend one another.
const EXTENDS_LIMIT: usize = 64;

/// A file that was read.
struct File {
    path: PathBuf,
    text: String,
    document: Document,
    /// What each include names in this file (`base` for `dir/base.thrift`), and the file it is: two, if two folders have a file of
    /// that name.
    includes: HashMap<String, Vec<usize>>,
    /// The same of includes that can't be read.
    lost: HashSet<String>,
    /// It came out of a folder: what is wrong in it is left out.
    is_lenient: bool,
}

impl File {
    fn fault(&self, fault: &Fault) -> LoadError {
        let before = self.text.get(..fault.at).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        LoadError(format!("{}:{line}:{column}: {}", self.path.display(), fault.what))
    }
}

/// Reads files and folders, and what they include; beside them, what is wrong in the files of folders.
pub(in crate::body) fn load(
    sources: &[PathBuf],
    include: &[PathBuf],
) -> Result<(Schema, Vec<LoadError>), LoadError> {
    let mut loader = Loader {
        files: Vec::new(),
        places: HashMap::new(),
        broken: HashMap::new(),
        faults: Vec::new(),
        include,
        roots: Vec::new(),
    };
    for source in sources {
        if source.is_dir() {
            loader.roots.push(source.clone());
        }
    }
    for source in sources {
        let is_lenient = source.is_dir();
        for path in files::of(source, "thrift")? {
            loader.read(path, is_lenient)?;
        }
    }
    let Loader { files, mut faults, .. } = loader;
    if files.is_empty()
        && let Some(first) = faults.first()
    {
        return Err(first.clone());
    }
    let mut resolver = Resolver::new(&files);
    let schema = resolver.resolve()?;
    faults.append(&mut resolver.faults);
    let mut seen = HashSet::new();
    faults.retain(|fault| seen.insert(fault.0.clone()));
    Ok((schema, faults))
}

/// Reads one file from memory, which can include nothing.
#[cfg(feature = "fuzzing")]
pub(in crate::body) fn of_text(text: &str) -> Result<Schema, LoadError> {
    let path = PathBuf::from("memory.thrift");
    let mut file = File {
        path,
        text: text.to_owned(),
        document: Document::default(),
        includes: HashMap::new(),
        lost: HashSet::new(),
        is_lenient: false,
    };
    file.document = syntax::parse(text).map_err(|fault| file.fault(&fault))?;
    Resolver::new(&[file]).resolve()
}

struct Loader<'a> {
    files: Vec<File>,
    places: HashMap<PathBuf, usize>,
    /// Files that can't be read.
    broken: HashMap<PathBuf, LoadError>,
    faults: Vec<LoadError>,
    include: &'a [PathBuf],
    /// Folders that were given: includes are looked for there too.
    roots: Vec<PathBuf>,
}

impl Loader<'_> {
    /// Reads a file and what it includes, unless that has been done. `is_lenient`: what can't be read is left out.
    fn read(&mut self, path: PathBuf, is_lenient: bool) -> Result<(), LoadError> {
        let mut waiting = Vec::new();
        if let Err(error) = self.read_one(path, is_lenient, &mut waiting) {
            self.leave_out(error, is_lenient)?;
        }
        while let Some(place) = waiting.pop() {
            let Some(file) = self.files.get_mut(place) else { break };
            let wanted = std::mem::take(&mut file.document.includes);
            let folder = file.path.parent().map(Path::to_path_buf).unwrap_or_default();
            for include in wanted {
                let relative = Path::new(&include.path);
                let stem = || relative.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                let prefix = include.alias.unwrap_or_else(stem);
                let folders = std::iter::once(&folder).chain(self.include).chain(&self.roots);
                let found = folders.map(|folder| folder.join(relative)).find(|path| path.is_file());
                let included = if let Some(found) = found {
                    self.read_one(found, is_lenient, &mut waiting)
                } else {
                    let what = format!(
                        "the included file '{}' is not found; name its folder with -I",
                        include.path.escape_debug()
                    );
                    Err(self.fault(place, include.at, what))
                };
                match included {
                    Ok(included) => {
                        if let Some(file) = self.files.get_mut(place) {
                            let files = file.includes.entry(prefix).or_default();
                            if !files.contains(&included) {
                                files.push(included);
                            }
                        }
                    }
                    Err(error) => {
                        self.leave_out(error, is_lenient)?;
                        if let Some(file) = self.files.get_mut(place) {
                            file.lost.insert(prefix);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes what can't be read, or gives up.
    fn leave_out(&mut self, error: LoadError, is_lenient: bool) -> Result<(), LoadError> {
        if is_lenient {
            self.faults.push(error);
            return Ok(());
        }
        Err(error)
    }

    fn fault(&self, place: usize, at: usize, what: String) -> LoadError {
        match self.files.get(place) {
            Some(file) => file.fault(&Fault { at, what }),
            None => LoadError(what),
        }
    }

    /// Reads one file; what it includes waits.
    fn read_one(
        &mut self,
        path: PathBuf,
        is_lenient: bool,
        waiting: &mut Vec<usize>,
    ) -> Result<usize, LoadError> {
        let failed = |error: std::io::Error| LoadError(format!("{}: {error}", path.display()));
        let canonical = match fs::canonicalize(&path) {
            // A pipe of the shell (/dev/fd/63) has no other name.
            Err(_) if path.exists() => path.clone(),
            canonical => canonical.map_err(failed)?,
        };
        if let Some(place) = self.places.get(&canonical) {
            return Ok(*place);
        }
        if let Some(error) = self.broken.get(&canonical) {
            return Err(error.clone());
        }
        if self.files.len() == FILES_LIMIT {
            return Err(LoadError(format!("{}: more than {FILES_LIMIT} files", path.display())));
        }
        let mut bytes = Vec::new();
        let file = Once::open(&path).map_err(failed)?;
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(LoadError(format!("{}: larger than {FILE_LIMIT} bytes", path.display())));
        }
        // Comments in other encodings are common, and names are ASCII.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let parsed = syntax::parse(&text);
        let (includes, lost) = (HashMap::new(), HashSet::new());
        let mut file = File { path, text, document: Document::default(), includes, lost, is_lenient };
        match parsed {
            Ok(document) => file.document = document,
            Err(fault) => {
                let error = file.fault(&fault);
                self.broken.insert(canonical, error.clone());
                return Err(error);
            }
        }
        let place = self.files.len();
        self.files.push(file);
        self.places.insert(canonical, place);
        waiting.push(place);
        Ok(place)
    }
}

/// What a name of a file stands for.
#[derive(Clone, Copy)]
enum Named<'a> {
    Typedef(&'a TypeName),
    Struct(usize),
    Enum(usize),
}

struct Resolver<'a> {
    files: &'a [File],
    /// By file and name.
    names: HashMap<(usize, &'a str), Named<'a>>,
    /// Typedefs that were resolved, with the depth of what they stand for; `None` while that is being done.
    aliases: HashMap<(usize, &'a str), Option<(Type, usize)>>,
    structs: Vec<StructType>,
    enums: Vec<HashMap<i32, String>>,
    /// Types of lenient files that are not known.
    faults: Vec<LoadError>,
}

/// A service of a file.
struct ServiceRef<'a> {
    file: usize,
    name: &'a str,
    extends: Option<&'a str>,
    functions: &'a [syntax::Function],
}

impl<'a> Resolver<'a> {
    fn new(files: &'a [File]) -> Self {
        let mut resolver = Self {
            files,
            names: HashMap::new(),
            aliases: HashMap::new(),
            structs: Vec::new(),
            enums: Vec::new(),
            faults: Vec::new(),
        };
        for (place, file) in files.iter().enumerate() {
            for definition in &file.document.definitions {
                let (name, named) = match definition {
                    Definition::Typedef { name, alias } => (name, Named::Typedef(alias)),
                    Definition::Struct { name, .. } => {
                        resolver.structs.push(StructType::default());
                        (name, Named::Struct(resolver.structs.len() - 1))
                    }
                    Definition::Enum { name, values } => {
                        let mut names = HashMap::new();
                        for (number, name) in values {
                            names.entry(*number).or_insert_with(|| name.clone());
                        }
                        resolver.enums.push(names);
                        (name, Named::Enum(resolver.enums.len() - 1))
                    }
                    Definition::Service { .. } => continue,
                };
                resolver.names.insert((place, name.as_str()), named);
            }
        }
        resolver
    }

    fn resolve(&mut self) -> Result<Schema, LoadError> {
        let mut services = Vec::new();
        let mut next_struct = 0;
        for (place, file) in self.files.iter().enumerate() {
            for definition in &file.document.definitions {
                match definition {
                    Definition::Struct { name, fields } => {
                        let fields = self.fields(place, fields)?;
                        if let Some(slot) = self.structs.get_mut(next_struct) {
                            *slot = StructType::new(name.clone(), fields);
                        }
                        next_struct += 1;
                    }
                    // Names that it has and nobody uses are looked at too: a fault is a fault.
                    Definition::Typedef { alias, .. } => _ = self.kind(place, alias, 0)?,
                    Definition::Service { name, extends, functions } => services.push(ServiceRef {
                        file: place,
                        name,
                        extends: extends.as_deref(),
                        functions,
                    }),
                    Definition::Enum { .. } => {}
                }
            }
        }
        let methods = self.methods(&services)?;
        let (structs, enums) = (std::mem::take(&mut self.structs), std::mem::take(&mut self.enums));
        Ok(Schema { structs, enums, methods })
    }

    fn methods(&mut self, services: &[ServiceRef<'a>]) -> Result<HashMap<String, Vec<Method>>, LoadError> {
        // By file and name, the first of each; a name without a prefix is one of the same file.
        let mut places = HashMap::new();
        for (place, service) in services.iter().enumerate() {
            places.entry((service.file, service.name)).or_insert(place);
        }
        let base = |service: &ServiceRef<'a>| -> Option<usize> {
            let (files, name) = self.split(&service.file, service.extends?)?;
            let mut found = files.iter().filter_map(|file| places.get(&(*file, name)));
            found.next().copied().filter(|_| found.next().is_none())
        };
        let mut exposed: Vec<Vec<String>> = services.iter().map(|_| Vec::new()).collect();
        for service in services {
            let mut at = places.get(&(service.file, service.name)).copied();
            for _ in 0..EXTENDS_LIMIT {
                let Some(place) = at else { break };
                if let Some(names) = exposed.get_mut(place)
                    && !names.iter().any(|name| name == service.name)
                {
                    names.push(service.name.to_owned());
                }
                at = services.get(place).and_then(base);
            }
        }
        let mut methods: HashMap<String, Vec<Method>> = HashMap::new();
        for (service, exposed_by) in services.iter().zip(exposed) {
            for function in service.functions {
                let arguments = self.fields(service.file, &function.arguments)?;
                let mut result = self.fields(service.file, &function.throws)?;
                if let Some(value) = &function.returns {
                    let (kind, _) = self.kind(service.file, value, 0)?;
                    result.retain(|field| field.id != 0);
                    result.push(FieldType { id: 0, name: "success".to_owned(), kind });
                }
                methods.entry(function.name.clone()).or_default().push(Method {
                    service: service.name.to_owned(),
                    name: function.name.clone(),
                    arguments: StructType::new(function.name.clone(), arguments),
                    result: StructType::new(function.name.clone(), result),
                    exposed_by: exposed_by.clone(),
                });
            }
        }
        Ok(methods)
    }

    fn fields(&mut self, file: usize, fields: &'a [Field]) -> Result<Vec<FieldType>, LoadError> {
        let typed = |field: &'a Field| {
            let (kind, _) = self.kind(file, &field.kind, 0)?;
            Ok(FieldType { id: field.id, name: field.name.clone(), kind })
        };
        fields.iter().map(typed).collect()
    }

    /// The files in which a name is looked up, and the name there: `base.Money` is `Money` of an included file.
    fn split<'f>(&self, file: &'f usize, name: &'a str) -> Option<(&'f [usize], &'a str)>
    where
        'a: 'f,
    {
        match name.rsplit_once('.') {
            None => Some((std::slice::from_ref(file), name)),
            Some((prefix, name)) => Some((self.files.get(*file)?.includes.get(prefix)?, name)),
        }
    }

    /// The type and how deep it nests.
    fn kind(&mut self, file: usize, name: &'a TypeName, depth: usize) -> Result<(Type, usize), LoadError> {
        if depth > RESOLVED_DEPTH {
            return Ok((Type::Unknown, 0));
        }
        let (kind, nested) = match name {
            TypeName::Foreign => (Type::Unknown, 0),
            TypeName::List(element) => {
                let (element, nested) = self.kind(file, element, depth + 1)?;
                (Type::List(Arc::new(element)), nested + 1)
            }
            TypeName::Set(element) => {
                let (element, nested) = self.kind(file, element, depth + 1)?;
                (Type::Set(Arc::new(element)), nested + 1)
            }
            TypeName::Map(key, value) => {
                let (key, one) = self.kind(file, key, depth + 1)?;
                let (value, other) = self.kind(file, value, depth + 1)?;
                (Type::Map(Arc::new((key, value))), one.max(other) + 1)
            }
            TypeName::Named { name, at } => return self.named(file, name, *at, depth),
        };
        Ok(if nested > RESOLVED_DEPTH { (Type::Unknown, 0) } else { (kind, nested) })
    }

    fn named(
        &mut self,
        file: usize,
        name: &'a str,
        at: usize,
        depth: usize,
    ) -> Result<(Type, usize), LoadError> {
        let base = match name {
            "bool" => Type::Bool,
            "byte" | "i8" => Type::I8,
            "i16" => Type::I16,
            "i32" => Type::I32,
            "i64" => Type::I64,
            "double" => Type::Double,
            "string" | "slist" => Type::String,
            "binary" => Type::Binary,
            "uuid" => Type::Uuid,
            // fbthrift's, which Apache Thrift has no form for.
            "float" => Type::Unknown,
            _ => return self.defined(file, name, at, depth),
        };
        Ok((base, 0))
    }

    /// What stands for a type that is not known for that reason, unless its file has to be right. Of a type in a file that can't be
    /// read, that one's fault says enough.
    fn unknown(
        &mut self,
        file: usize,
        at: usize,
        what: String,
        name: &str,
    ) -> Result<(Type, usize), LoadError> {
        let Some(file) = self.files.get(file) else { return Err(LoadError(what)) };
        let fault = file.fault(&Fault { at, what });
        if !file.is_lenient {
            return Err(fault);
        }
        if !name.rsplit_once('.').is_some_and(|(prefix, _)| file.lost.contains(prefix)) {
            self.faults.push(fault);
        }
        Ok((Type::Unknown, 0))
    }

    /// A name that two included files have: compilers of thrift don't agree on which of them it is.
    fn is_in_two(&self, file: usize, at: usize, name: &str, owners: [usize; 2]) -> Option<LoadError> {
        let [Some(one), Some(other)] = owners.map(|owner| self.files.get(owner)) else { return None };
        let (one, other) = (one.path.display(), other.path.display());
        let what = format!("'{name}' may be of {one} or of {other}: its fields have no names");
        Some(self.files.get(file)?.fault(&Fault { at, what }))
    }

    fn defined(
        &mut self,
        file: usize,
        name: &'a str,
        at: usize,
        depth: usize,
    ) -> Result<(Type, usize), LoadError> {
        let Some((owners, short)) = self.split(&file, name) else {
            return self.unknown(file, at, format!("'{name}' names a file that is not included"), name);
        };
        let mut found = owners.iter().filter_map(|owner| Some((*owner, *self.names.get(&(*owner, short))?)));
        let Some((owner, named)) = found.next() else {
            return self.unknown(file, at, format!("the type '{name}' is not defined"), name);
        };
        if let Some((other, _)) = found.next() {
            let fault = self.is_in_two(file, at, name, [owner, other]);
            self.faults.extend(fault);
            return Ok((Type::Unknown, 0));
        }
        let key = (owner, short);
        match named {
            Named::Struct(place) => Ok((Type::Struct(place), 0)),
            Named::Enum(place) => Ok((Type::Enum(place), 0)),
            Named::Typedef(alias) => match self.aliases.get(&key) {
                Some(Some(resolved)) => Ok(resolved.clone()),
                Some(None) => self.unknown(file, at, format!("the type '{name}' is defined by itself"), name),
                None => {
                    self.aliases.insert(key, None);
                    let resolved = self.kind(owner, alias, depth + 1)?;
                    self.aliases.insert(key, Some(resolved.clone()));
                    Ok(resolved)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(files: &[(&str, &str)]) -> Result<Schema, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let first = folder.path().join(files[0].0);
        let prefix = format!("{}/", folder.path().display());
        let loaded = load(&[first], &[folder.path().join("more")]);
        loaded.map(|(schema, _)| schema).map_err(|error| error.to_string().replace(&prefix, ""))
    }

    #[test]
    fn a_pipe_without_another_name_is_read() {
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;

        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"service S { void ping() }").unwrap();
        drop(writer);
        let path = PathBuf::from(format!("/dev/fd/{}", reader.as_raw_fd()));
        let (schema, _) = load(&[path], &[]).unwrap();
        assert_eq!(schema.methods("ping").len(), 1);
    }

    #[test]
    fn a_broken_file_of_a_folder_takes_only_what_needs_it() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("good.thrift", "struct A { 1: string name }\nservice Good { void f(1: A a) }"),
            ("bad.thrift", "struct B {\n  1 string name\n}"),
            (
                "half.thrift",
                "include 'bad.thrift'\ninclude 'none.thrift'\nstruct C {\n 1: bad.B b\n 2: Nowhere n\n 3: i32 n2 }\nservice Half { C g(1: none.D d, 2: i32 x) }",
            ),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let (schema, faults) = load(&[folder.path().to_owned()], &[]).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let faults: Vec<String> = faults.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect();
        assert_eq!(
            faults,
            [
                "bad.thrift:2:5: expected ':', found 'string'",
                "half.thrift:2:1: the included file 'none.thrift' is not found; name its folder with -I",
                "half.thrift:5:5: the type 'Nowhere' is not defined",
            ]
        );
        assert!(matches!(schema.methods("f")[0].arguments.field(1).unwrap().kind, Type::Struct(_)));
        let half = &schema.methods("g")[0];
        assert!(matches!(half.arguments.field(1).unwrap().kind, Type::Unknown));
        assert!(matches!(half.arguments.field(2).unwrap().kind, Type::I32));
        // A file that is named has to be right, and so has what it includes.
        for name in ["bad.thrift", "half.thrift"] {
            assert!(load(&[folder.path().join(name)], &[]).is_err(), "{name}");
        }
        fs::remove_file(folder.path().join("good.thrift")).unwrap();
        fs::remove_file(folder.path().join("half.thrift")).unwrap();
        assert!(load(&[folder.path().to_owned()], &[]).is_err(), "nothing is left");
    }

    #[test]
    fn includes_are_found_beside_the_file_and_in_given_folders() {
        let schema = load_text(&[
            ("a/one.thrift", "include \"../b/two.x.thrift\"\ninclude \"far.thrift\" service S extends far.Base { two.x.T f(1: far.T t) }"),
            ("b/two.x.thrift", "include \"../a/one.thrift\" struct T { 1: i32 a }"),
            ("more/far.thrift", "typedef Other T struct Other { 1: T next } service Base { void g() }"),
        ])
        .unwrap();
        let mut services = schema.methods("g")[0].exposed_by.clone();
        services.sort();
        assert_eq!(services, ["Base", "S"]);
        let method = &schema.methods("f")[0];
        assert!(matches!(method.result.field(0).unwrap().kind, Type::Struct(_)));
        let Type::Struct(place) = method.arguments.field(1).unwrap().kind else { panic!("no struct") };
        assert_eq!(schema.struct_type(place).unwrap().name, "Other");
    }

    #[test]
    fn a_name_that_two_files_of_one_name_have_is_none_of_them() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "x.thrift",
                "include 'a/base.thrift'\ninclude 'b/base.thrift'\ninclude './a/base.thrift'\nservice S extends base.Own {\n void f(1: base.One one, 2: base.Two two,\n  3: base.Both both) }",
            ),
            ("a/base.thrift", "struct One { 1: i32 a } struct Both { 1: i32 a } service Own { void g() }"),
            ("b/base.thrift", "enum Two { A = 1 } typedef string Both"),
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let (schema, faults) = load(&[folder.path().join("x.thrift")], &[]).unwrap();
        let method = &schema.methods("f")[0];
        assert!(matches!(method.arguments.field(1).unwrap().kind, Type::Struct(_)));
        assert!(matches!(method.arguments.field(2).unwrap().kind, Type::Enum(_)));
        assert!(matches!(method.arguments.field(3).unwrap().kind, Type::Unknown));
        assert!(schema.methods("g")[0].exposed_by.contains(&"S".to_owned()));
        let prefix = format!("{}/", folder.path().display());
        let faults: Vec<String> = faults.iter().map(|fault| fault.to_string().replace(&prefix, "")).collect();
        let both = "'base.Both' may be of a/base.thrift or of b/base.thrift: its fields have no names";
        assert_eq!(faults, [format!("x.thrift:6:6: {both}")]);
    }

    #[test]
    fn faults_name_file_line_and_column() {
        for (text, fault) in [
            ("struct A {\n  1: é.Money m\n}", "x.thrift:2:6: 'é.Money' names a file that is not included"),
            ("struct A {\n  1: Money m\n}", "x.thrift:2:6: the type 'Money' is not defined"),
            (
                "\n\ninclude 'no.thrift'",
                "x.thrift:3:1: the included file 'no.thrift' is not found; name its folder with -I",
            ),
            ("typedef list<A> B\ntypedef B A", "x.thrift:1:14: the type 'A' is defined by itself"),
            ("service S { void f(1 i32 a) }", "x.thrift:1:22: expected ':', found 'i32'"),
        ] {
            assert_eq!(load_text(&[("x.thrift", text)]).unwrap_err(), fault);
        }
        assert!(
            load_text(&[("x.thrift", "service A extends B {} service B extends A { void f() }")]).is_ok()
        );
    }

    #[test]
    fn bombs_of_typedefs_take_no_more_than_their_text() {
        let lines = (1..5000).map(|n| format!("typedef map<T{0}, T{0}> T{n}\n", n - 1));
        let text =
            format!("typedef map<i32, i32> T0\n{}struct S {{ 1: T4999 a }}", lines.collect::<String>());
        assert!(load_text(&[("x.thrift", &text)]).is_ok());
        // The other way round each needs the next.
        let lines = (0..5000).map(|n| format!("typedef list<T{}> T{n}\n", n + 1));
        let text = format!("struct S {{ 1: T0 a }}\n{}typedef i32 T5000", lines.collect::<String>());
        assert!(load_text(&[("x.thrift", &text)]).is_ok());
    }
}
