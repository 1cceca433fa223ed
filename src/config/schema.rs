//! The JSON Schema of the configuration file, for editors and other checkers.

use schemars::{Schema, schema_for};

use super::raw::RawConfig;

/// Follows from the same types as the reader.
pub fn json_schema() -> Schema {
    schema_for!(RawConfig)
}
