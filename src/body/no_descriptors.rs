//! What stands for descriptors in a program that was built without the feature `descriptors`.

use std::collections::BTreeSet;

use super::note::Notes;
use super::outline::MethodOutline;
use super::{Context, Decoded, LoadError, Sources, Value};

/// No descriptors.
#[derive(Clone, Debug, Default)]
pub(super) struct Pools;

impl Pools {
    pub(super) fn load(sources: &Sources) -> Result<(Self, Vec<LoadError>), LoadError> {
        match sources.proto.iter().chain(&sources.descriptor_sets).next() {
            Some(path) => Err(LoadError(format!(
                "{}: this program was built without the feature 'descriptors'",
                path.display()
            ))),
            None => Ok((Self, Vec::new())),
        }
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn learn(&mut self, _bytes: &[u8]) {}

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn is_empty(&self) -> bool {
        true
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn field_names(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    #[expect(clippy::unused_self, reason = "as with the feature")]
    pub(super) fn methods(&self) -> Vec<MethodOutline> {
        Vec::new()
    }
}

pub(super) fn decode(_bytes: &[u8], _context: &Context<'_>, _pools: &Pools) -> (Option<Decoded>, Notes) {
    (None, Notes::default())
}

pub(super) fn details(_status: &[u8], _pools: &Pools) -> Vec<Value> {
    Vec::new()
}
