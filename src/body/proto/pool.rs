//! Descriptors, and where they come from.
//!
//! `prost-reflect` is tested with what protoc writes, and may panic on odder sets: whatever it does is contained.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use prost::Message as _;
use prost_reflect::{DescriptorPool, MessageDescriptor};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, GoogleFileResolver, IncludeFileResolver};

use crate::body::{LoadError, Sources, files};
pub(super) use crate::contain::contained;
use crate::source::fifo::Once;

/// The largest descriptor set that is read.
const SET_LIMIT: u64 = 64 << 20;

/// Most files that are learnt from a capture.
const LEARNT_FILES: usize = 256;

/// Most bytes of files that are learnt from a capture: each new one builds their pool again.
const LEARNT_BYTES: usize = 2 << 20;

/// The largest file that is searched for its package.
const PACKAGE_LIMIT: usize = 1 << 20;

/// The descriptors that the user gave and the capture showed. A copy shares them.
#[derive(Clone, Debug, Default)]
pub(in crate::body) struct Pools {
    /// What the user gave: a pool for the `.proto` files that go together, and one for each set, since sets of different origin may
    /// have different states of a file.
    given: Arc<Vec<DescriptorPool>>,
    /// What the capture showed.
    learnt: Option<DescriptorPool>,
    files: Arc<Vec<FileDescriptorProto>>,
    learnt_bytes: usize,
}

impl Pools {
    pub(in crate::body) fn load(sources: &Sources) -> Result<(Self, Vec<LoadError>), LoadError> {
        let (mut given, mut faults) = (Vec::new(), Vec::new());
        if !sources.proto.is_empty() {
            given = compile(&sources.proto, &sources.include, &mut faults)?;
        }
        for path in &sources.descriptor_sets {
            given.push(read_set(path, &mut faults)?);
        }
        Ok((Self { given: Arc::new(given), ..Self::default() }, faults))
    }

    /// Adds a file that the capture showed.
    pub(in crate::body) fn learn(&mut self, bytes: &[u8]) {
        let known = |name: &str| self.files.iter().any(|file| file.name() == name);
        if self.files.len() == LEARNT_FILES || self.learnt_bytes + bytes.len() > LEARNT_BYTES {
            return;
        }
        let Ok(file) = FileDescriptorProto::decode(bytes) else { return };
        if file.name().is_empty() || known(file.name()) {
            return;
        }
        self.learnt_bytes += bytes.len();
        Arc::make_mut(&mut self.files).push(file);
        // A file may come before those that it imports; what it takes from them is left out until then.
        self.learnt = contained(|| build(&self.files)).or_else(|| self.learnt.take());
    }

    pub(in crate::body) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.learnt.is_none()
    }

    /// All pools, the best first.
    pub(super) fn all(&self) -> impl Iterator<Item = &DescriptorPool> {
        self.given.iter().chain(&self.learnt)
    }

    /// The message of that full name; those of `google.rpc` and `google.protobuf` are always known.
    pub(super) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.all().chain(built_in()).find_map(|pool| pool.get_message_by_name(name))
    }

    /// The types that the message of a method can have, each once: of the service that is named, else of any.
    pub(super) fn messages_of(
        &self,
        service: Option<&str>,
        method: &str,
        answer: bool,
    ) -> Vec<MessageDescriptor> {
        let mut found: Vec<MessageDescriptor> = Vec::new();
        for pool in self.all() {
            let services: Vec<_> = match service {
                Some(name) => match pool.get_service_by_name(name) {
                    Some(service) => vec![service],
                    // Kitex names a service without its package.
                    None if !name.contains('.') => {
                        pool.services().filter(|service| service.name() == name).collect()
                    }
                    None => Vec::new(),
                },
                None => pool.services().collect(),
            };
            for service in services {
                for method in service.methods().filter(|one| one.name() == method) {
                    let message = if answer { method.output() } else { method.input() };
                    if !found.contains(&message) {
                        found.push(message);
                    }
                }
            }
        }
        found
    }

    /// The names of all fields, as JSON has them.
    pub(in crate::body) fn field_names(&self) -> BTreeSet<String> {
        let names = contained(|| {
            let messages = self.all().flat_map(DescriptorPool::all_messages);
            let of = |message: MessageDescriptor| {
                message.fields().map(|field| field.json_name().to_owned()).collect::<Vec<_>>()
            };
            messages.filter(|message| !message.is_map_entry()).flat_map(of).collect()
        });
        names.unwrap_or_default()
    }
}

/// Doors for the fuzz targets.
#[cfg(feature = "fuzzing")]
impl Pools {
    pub(in crate::body) fn of_text(text: &str) -> Result<Self, LoadError> {
        let compile = || {
            let mut resolver = ChainFileResolver::new();
            resolver.add(One(File::from_source("memory.proto", text)?));
            resolver.add(GoogleFileResolver::new());
            let mut compiler = Compiler::with_file_resolver(resolver);
            compiler.open_file("memory.proto")?;
            Ok(compiler.descriptor_pool())
        };
        let compiled =
            contained(compile).unwrap_or_else(|| Err(protox::Error::file_not_found("memory.proto")));
        let pool = compiled.map_err(|error| LoadError(format!("{error:?}")))?;
        Ok(Self { given: Arc::new(vec![pool]), ..Self::default() })
    }

    pub(in crate::body) fn of_set(bytes: &[u8]) -> Result<Self, LoadError> {
        Ok(Self { given: Arc::new(vec![set(bytes).map_err(LoadError)?.0]), ..Self::default() })
    }
}

/// The types of `google.rpc` and `google.protobuf`, which details of errors have.
fn built_in() -> Option<&'static DescriptorPool> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    let make = || {
        let file =
            File::from_source("google/rpc/error_details.proto", include_str!("error_details.proto")).ok()?;
        let mut pool = DescriptorPool::global();
        let mut resolver = ChainFileResolver::new();
        resolver.add(One(file));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true).open_file("google/rpc/error_details.proto").ok()?;
        pool.add_file_descriptor_set(compiler.file_descriptor_set()).ok()?;
        Some(pool)
    };
    POOL.get_or_init(|| contained(make).flatten()).as_ref()
}

/// Resolves the one file that is built in.
struct One(File);

impl protox::file::FileResolver for One {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == self.0.name() {
            Ok(File::from_file_descriptor_proto(self.0.file_descriptor_proto().clone()))
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// Compiles `.proto` files and folders of them. What is wrong with the files of folders becomes a fault.
fn compile(
    sources: &[PathBuf],
    include: &[PathBuf],
    faults: &mut Vec<LoadError>,
) -> Result<Vec<DescriptorPool>, LoadError> {
    let mut paths = Vec::new();
    let mut roots: Vec<PathBuf> = include.to_vec();
    for source in sources {
        let found = files::of(source, "proto")?;
        if source.metadata().is_ok_and(|facts| !facts.is_file() && !facts.is_dir()) {
            let what = "is no file; .proto files are found by their paths, so write it to one";
            return Err(LoadError(format!("{}: {what}", source.display())));
        }
        if source.is_dir() {
            roots.push(source.clone());
        } else if !include.iter().any(|root| source.starts_with(root)) {
            roots.push(root_of(source));
        }
        let is_lenient = source.is_dir();
        paths.extend(found.into_iter().map(|path| (path, is_lenient)));
    }
    let mut seen = HashSet::new();
    roots.retain(|root| seen.insert(root.clone()));
    let compiler = || {
        let mut resolver = ChainFileResolver::new();
        for root in &roots {
            resolver.add(IncludeFileResolver::new(root.clone()));
        }
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler
    };
    let mut current = compiler();
    let mut pools = Vec::new();
    let (mut any, mut first) = (false, None);
    let mut seen = HashSet::new();
    for (path, is_lenient) in &paths {
        let mut before = std::mem::replace(&mut current, compiler());
        if contained(|| before.open_file(path).is_ok()) == Some(true) {
            (current, any) = (before, true);
            continue;
        }
        pools.extend(contained(|| before.descriptor_pool()));
        // Files that define the same names, copies of each other mostly, are each right by themselves.
        let opened = contained(|| current.open_file(path).map(|_| ()));
        let error = match opened {
            Some(Ok(())) => {
                any = true;
                continue;
            }
            // The debug form has line and column.
            Some(Err(error)) => format!("{error:?}"),
            None => "the compiler can't read it".to_owned(),
        };
        current = compiler();
        // The fault of an imported file, which everything that needs it has.
        let fault = if seen.insert(error.clone()) {
            LoadError(format!("{}: {error}", path.display()))
        } else {
            LoadError(format!("{}: it imports a file that can't be read", path.display()))
        };
        if !is_lenient {
            return Err(fault);
        }
        first.get_or_insert_with(|| fault.clone());
        faults.push(fault);
    }
    pools.extend(contained(|| current.descriptor_pool()));
    first.filter(|_| !any).map_or(Ok(pools), Err)
}

/// The folder from which a file's imports are named, which its package tells: `x/orders/v1/orders.proto` of package `orders.v1` is
/// below `x`.
fn root_of(path: &Path) -> PathBuf {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(text.get(..PACKAGE_LIMIT).unwrap_or(&text)).into_owned();
    let package =
        text.lines().find_map(|line| line.trim().strip_prefix("package ")?.trim_end().strip_suffix(';'));
    let as_path = package.unwrap_or_default().trim().replace('.', "/");
    if as_path.is_empty() || !folder.ends_with(&as_path) {
        return folder;
    }
    let up = Path::new(&as_path).components().count();
    let root = folder.ancestors().nth(up).map(Path::to_path_buf).unwrap_or_default();
    if root.as_os_str().is_empty() { PathBuf::from(".") } else { root }
}

/// Reads a descriptor set. What of it can't be used becomes a fault.
fn read_set(path: &Path, faults: &mut Vec<LoadError>) -> Result<DescriptorPool, LoadError> {
    use std::io::Read as _;

    let failed = |what: String| LoadError(format!("{}: {what}", path.display()));
    let mut bytes = Vec::new();
    let file = Once::open(path).map_err(|error| failed(error.to_string()))?;
    file.take(SET_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > SET_LIMIT {
        return Err(failed(format!("larger than {SET_LIMIT} bytes")));
    }
    let (pool, left_out) = set(&bytes).map_err(failed)?;
    faults.extend(left_out.iter().map(|name| {
        LoadError(format!("{}: the file '{}' in it can't be used", path.display(), name.escape_debug()))
    }));
    Ok(pool)
}

/// The pool of a serialised descriptor set, and the names of its files that can't be used.
pub(super) fn set(bytes: &[u8]) -> Result<(DescriptorPool, Vec<String>), String> {
    let set = FileDescriptorSet::decode(bytes)
        .map_err(|_| "no descriptor set (protoc's -o writes one)".to_owned())?;
    if set.file.iter().all(|file| file.name().is_empty()) {
        return Err("no descriptor set (protoc's -o writes one)".to_owned());
    }
    let unusable = || "this descriptor set can't be used".to_owned();
    let pool = contained(|| build(&set.file)).ok_or_else(unusable)?;
    let names = set.file.iter().map(|file| file.name().to_owned());
    let left_out: Vec<String> = names.filter(|name| pool.get_file_by_name(name).is_none()).collect();
    if left_out.len() == set.file.len() { Err(unusable()) } else { Ok((pool, left_out)) }
}

/// A pool of files in any order. What they import and nobody has is left out, with the fields that need it; a file that can't be
/// used at all is left out too.
fn build(files: &[FileDescriptorProto]) -> DescriptorPool {
    let mut left: Vec<FileDescriptorProto> = files.iter().map(understood).collect();
    let well_known = DescriptorPool::global();
    let mut names: HashSet<String> = left.iter().map(|file| file.name().to_owned()).collect();
    // Those of Google are known by heart.
    let mut waiting: Vec<String> = left.iter().flat_map(|file| file.dependency.clone()).collect();
    while let Some(name) = waiting.pop() {
        if !names.contains(&name)
            && let Some(file) = well_known.get_file_by_name(&name)
        {
            let file = file.file_descriptor_proto().clone();
            waiting.extend(file.dependency.iter().cloned());
            names.insert(name);
            left.push(file);
        }
    }
    let mut whole = DescriptorPool::new();
    if contained(|| whole.add_file_descriptor_protos(left.clone())).is_some_and(|added| added.is_ok()) {
        return whole;
    }
    let types = defined(&left);
    for file in &mut left {
        prune(file, &names, &types);
    }
    let mut pruned = DescriptorPool::new();
    if contained(|| pruned.add_file_descriptor_protos(left.clone())).is_some_and(|added| added.is_ok()) {
        return pruned;
    }
    one_by_one(left)
}

/// Adds what can be added, a file at a time, those first that others import.
fn one_by_one(mut left: Vec<FileDescriptorProto>) -> DescriptorPool {
    let mut pool = DescriptorPool::new();
    let mut names = HashSet::new();
    loop {
        let before = left.len();
        let (ready, waiting): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|file| file.dependency.iter().all(|name| names.contains(name)));
        for file in ready {
            let name = file.name().to_owned();
            let mut next = pool.clone();
            if contained(|| next.add_file_descriptor_proto(file)).is_some_and(|added| added.is_ok()) {
                pool = next;
                names.insert(name);
            }
        }
        left = waiting;
        if left.len() == before {
            return pool;
        }
    }
}

/// The same file without what the pool has no use for. Editions say in options what proto2 says in its syntax, which matters to
/// writers only.
fn understood(file: &FileDescriptorProto) -> FileDescriptorProto {
    let mut file = file.clone();
    file.source_code_info = None;
    if !matches!(file.syntax.as_deref(), None | Some("" | "proto2" | "proto3")) {
        file.syntax = Some("proto2".to_owned());
    }
    file
}

/// The full names of all types, with a dot before them as references have it.
fn defined(files: &[FileDescriptorProto]) -> HashSet<String> {
    let mut types = HashSet::new();
    let mut waiting: Vec<(String, &DescriptorProto)> = Vec::new();
    for file in files {
        let prefix = if file.package().is_empty() { String::new() } else { format!(".{}", file.package()) };
        types.extend(file.enum_type.iter().map(|one| format!("{prefix}.{}", one.name())));
        waiting.extend(file.message_type.iter().map(|message| (prefix.clone(), message)));
    }
    while let Some((prefix, message)) = waiting.pop() {
        let name = format!("{prefix}.{}", message.name());
        types.extend(message.enum_type.iter().map(|one| format!("{name}.{}", one.name())));
        waiting.extend(message.nested_type.iter().map(|inner| (name.clone(), inner)));
        types.insert(name);
    }
    types
}

/// Leaves out imports that are not there, and what needs them.
fn prune(file: &mut FileDescriptorProto, names: &HashSet<String>, types: &HashSet<String>) {
    let kept: Vec<bool> = file.dependency.iter().map(|name| names.contains(name)).collect();
    // Indices of imports, which move.
    let mut moved = HashMap::new();
    for (old, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
        moved.insert(old as i32, moved.len() as i32);
    }
    for indices in [&mut file.public_dependency, &mut file.weak_dependency] {
        *indices = indices.iter().filter_map(|old| moved.get(old).copied()).collect();
    }
    let mut kept = kept.into_iter();
    file.dependency.retain(|_| kept.next().unwrap_or(false));
    file.extension.retain(|field| is_defined(field, types));
    for service in &mut file.service {
        service
            .method
            .retain(|method| types.contains(method.input_type()) && types.contains(method.output_type()));
    }
    let mut waiting: Vec<&mut DescriptorProto> = file.message_type.iter_mut().collect();
    while let Some(message) = waiting.pop() {
        message.field.retain(|field| is_defined(field, types));
        message.extension.retain(|field| is_defined(field, types));
        keep_oneofs(message);
        waiting.extend(message.nested_type.iter_mut());
    }
}

/// Leaves out oneofs that lost all their fields.
fn keep_oneofs(message: &mut DescriptorProto) {
    let used: BTreeSet<i32> = message.field.iter().filter_map(|field| field.oneof_index).collect();
    let moved: HashMap<i32, i32> = used.iter().enumerate().map(|(new, old)| (*old, new as i32)).collect();
    let mut index = 0;
    message.oneof_decl.retain(|_| {
        index += 1;
        used.contains(&(index - 1))
    });
    for field in &mut message.field {
        field.oneof_index = field.oneof_index.and_then(|old| moved.get(&old).copied());
    }
}

fn is_defined(field: &FieldDescriptorProto, types: &HashSet<String>) -> bool {
    let named = field.type_name.is_none() || types.contains(field.type_name());
    let extended = field.extendee.is_none() || types.contains(field.extendee());
    let needs_name = matches!(field.r#type(), Type::Message | Type::Group | Type::Enum);
    named && extended && (field.type_name.is_some() || !needs_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, package: &str, text: &str) -> FileDescriptorProto {
        let text = format!("syntax = \"proto3\"; package {package}; {text}");
        protox_parse(name, &text)
    }

    fn protox_parse(name: &str, text: &str) -> FileDescriptorProto {
        let mut file = File::from_source(name, text).unwrap().file_descriptor_proto().clone();
        // The parser leaves names as they are written.
        qualify(&mut file);
        file
    }

    fn qualify(file: &mut FileDescriptorProto) {
        for message in &mut file.message_type {
            for field in &mut message.field {
                if let Some(name) = &mut field.type_name
                    && !name.starts_with('.')
                {
                    *name = format!(".{name}");
                    field.set_type(Type::Message);
                }
            }
        }
        for service in &mut file.service {
            for method in &mut service.method {
                method.input_type = Some(format!(".{}", method.input_type()));
                method.output_type = Some(format!(".{}", method.output_type()));
            }
        }
    }

    const USER: &str = "import \"other.proto\"; message User { int32 id = 1; other.Home home = 2; oneof x { other.Home y = 3; } oneof z { int32 w = 4; } } \
        service Users { rpc Get(u.User) returns (u.User); rpc Move(other.Home) returns (u.User); }";

    #[test]
    fn files_are_learnt_in_any_order_and_used_without_what_is_missing() {
        let mut pools = Pools::default();
        pools.learn(&file("user.proto", "u", USER).encode_to_vec());
        let user = &pools.messages_of(Some("u.Users"), "Get", false)[0];
        let numbers =
            |user: &MessageDescriptor| user.fields().map(|field| field.number()).collect::<Vec<_>>();
        assert_eq!(numbers(user), [1, 4]);
        assert!(pools.messages_of(Some("u.Users"), "Move", false).is_empty());
        let other = pools.clone();
        pools.learn(&file("other.proto", "other", "message Home { string city = 1; }").encode_to_vec());
        assert_eq!(numbers(&pools.messages_of(Some("u.Users"), "Get", true)[0]), [1, 2, 3, 4]);
        assert_eq!(pools.messages_of(None, "Move", false)[0].full_name(), "other.Home");
        // A copy that was made before keeps what it had.
        assert_eq!(numbers(&other.messages_of(Some("Users"), "Get", true)[0]), [1, 4]);
    }

    #[test]
    fn odd_files_are_left_out() {
        let mut pools = Pools::default();
        for odd in [&b"\xff\xff"[..], b"", b"\x0a\x01a\x22\x00", b"\x0a\x01b\x22\x06\x0a\x01M\x12\x01\x0a"] {
            pools.learn(odd);
        }
        // Two files of the same types, a type that is itself its field's, and an import of itself.
        let mut itself = file("i.proto", "i", "message I { i.I i = 1; }");
        itself.dependency.push("i.proto".to_owned());
        pools.learn(&itself.encode_to_vec());
        pools.learn(&file("a.proto", "same", "message M {}").encode_to_vec());
        pools.learn(&file("c.proto", "same", "message M { int32 a = 1; }").encode_to_vec());
        pools.learn(
            &file(
                "good.proto",
                "u",
                "message User { int32 id = 1; } service S { rpc F(u.User) returns (u.User); }",
            )
            .encode_to_vec(),
        );
        assert_eq!(pools.messages_of(Some("u.S"), "F", false).len(), 1);
        assert!(set(b"hello").is_err());
        assert!(set(b"").is_err());
    }

    #[test]
    fn editions_are_read() {
        let mut edition =
            file("e.proto", "e", "message E { int32 id = 1; } service S { rpc F(e.E) returns (e.E); }");
        edition.syntax = Some("editions".to_owned());
        let mut pools = Pools::default();
        pools.learn(&edition.encode_to_vec());
        assert_eq!(pools.messages_of(Some("e.S"), "F", true).len(), 1);
    }

    #[test]
    fn what_is_learnt_is_bounded() {
        let mut pools = Pools::default();
        for n in 0..LEARNT_FILES + 5 {
            pools.learn(&file(&format!("{n}.proto"), &format!("p{n}"), "").encode_to_vec());
        }
        assert_eq!(pools.files.len(), LEARNT_FILES);
        let mut nested = DescriptorProto { name: Some("M".to_owned()), ..DescriptorProto::default() };
        for _ in 0..80 {
            nested = DescriptorProto {
                name: Some("M".to_owned()),
                nested_type: vec![nested],
                ..DescriptorProto::default()
            };
        }
        let deep = FileDescriptorProto {
            name: Some("deep.proto".to_owned()),
            message_type: vec![nested],
            ..FileDescriptorProto::default()
        };
        Pools::default().learn(&deep.encode_to_vec());
    }
}
