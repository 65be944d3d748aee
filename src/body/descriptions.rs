//! Descriptions of messages: what the user gave and what the capture showed.

use std::path::PathBuf;
use std::sync::Arc;

use super::idl::{self, Schema};
use super::outline::MethodOutline;
use super::proto::Pools;

/// Where descriptions are read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Thrift files, or folders of them (`*.thrift`).
    pub idl: Vec<PathBuf>,
    /// Protobuf files, or folders of them (`*.proto`).
    pub proto: Vec<PathBuf>,
    /// Folders in which includes and imports are looked for (`-I`).
    pub include: Vec<PathBuf>,
    /// Files with a serialised `google.protobuf.FileDescriptorSet`.
    pub descriptor_sets: Vec<PathBuf>,
}

/// Why descriptions could not be read: one line for the user, with file, line and column where the fault has them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoadError(pub String);

/// Descriptions that the user gave or the capture showed. A copy shares what was loaded.
#[derive(Clone, Debug, Default)]
pub struct Descriptions {
    pub(super) idl: Arc<Schema>,
    pub(super) proto: Pools,
    pub(super) faults: Arc<Vec<LoadError>>,
}

impl Descriptions {
    /// Reads descriptions. A file that was named must be right; one of a folder that is not is left out, with what needs it, and is
    /// among the [`faults`](Self::faults).
    pub fn load(sources: &Sources) -> Result<Self, LoadError> {
        let (idl, mut faults) = idl::load(&sources.idl, &sources.include)?;
        let (proto, more) = Pools::load(sources)?;
        faults.extend(more);
        Ok(Self { idl: Arc::new(idl), proto, faults: Arc::new(faults) })
    }

    /// What was left out, each file once.
    #[must_use]
    pub fn faults(&self) -> &[LoadError] {
        &self.faults
    }

    /// Adds a file that the capture showed: a serialised `google.protobuf.FileDescriptorProto`, as gRPC server reflection sends
    /// it. Files may come in any order; one that depends on others is used when they are known. Descriptions that the user gave
    /// stay.
    pub fn learn_file(&mut self, file_descriptor_proto: &[u8]) {
        self.proto.learn(file_descriptor_proto);
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.idl.is_empty() && self.proto.is_empty()
    }

    /// The names of all described fields, sorted, each once: for completion.
    #[must_use]
    pub fn field_names(&self) -> Vec<String> {
        let mut names = self.proto.field_names();
        names.extend(self.idl.field_names().map(str::to_owned));
        names.into_iter().collect()
    }

    /// The described gRPC methods, each once, at most 1,024.
    #[must_use]
    pub fn methods(&self) -> Vec<MethodOutline> {
        self.proto.methods()
    }
}
