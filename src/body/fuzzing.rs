//! Doors for the fuzz targets: descriptions from memory.

use std::sync::Arc;

use super::descriptions::{Descriptions, LoadError};
use super::{idl, proto};

impl Descriptions {
    /// Those of one IDL file.
    pub fn of_idl(text: &str) -> Result<Self, LoadError> {
        Ok(Self { idl: Arc::new(idl::of_text(text)?), ..Self::default() })
    }

    /// Those of one `.proto` file.
    pub fn of_proto(text: &str) -> Result<Self, LoadError> {
        Ok(Self { proto: proto::Pools::of_text(text)?, ..Self::default() })
    }

    /// Those of a serialised descriptor set.
    pub fn of_descriptor_set(bytes: &[u8]) -> Result<Self, LoadError> {
        Ok(Self { proto: proto::Pools::of_set(bytes)?, ..Self::default() })
    }
}
