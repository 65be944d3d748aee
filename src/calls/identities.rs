//! Who is at an end of a call: the process on this host, and what files say of the address.

use std::fmt;

use super::record::Name;

/// A process at an end of a call on this host (live only).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// `comm` of the process.
    pub name: Name,
    /// The id of its container, where its cgroup says one: 64 hexadecimal digits.
    pub container: Option<Name>,
    /// The uid of its pod, where its cgroup says one.
    pub pod_uid: Option<Name>,
}

impl Process {
    /// A process of which no container is known.
    #[must_use]
    pub fn new(pid: u32, name: impl Into<Name>) -> Self {
        Self { pid, name: name.into(), container: None, pod_uid: None }
    }
}

/// What a file of names says of an address (`--names`); at least one name. May hold control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Named {
    /// Its service, or the name of a host.
    pub name: Option<Name>,
    /// Its pod: `namespace/name`.
    pub pod: Option<Name>,
    /// The host that it is on.
    pub node: Option<Name>,
    /// The uid of its pod.
    pub pod_uid: Option<Name>,
}

impl Named {
    /// The name that says most: service, pod, host.
    #[must_use]
    pub fn best(&self) -> Option<&Name> {
        self.name.as_ref().or(self.pod.as_ref()).or(self.node.as_ref())
    }
}

impl fmt::Display for Named {
    /// [`Named::best`].
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.best().map_or("", |name| name))
    }
}
