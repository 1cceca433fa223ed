//! `callfeed config schema`: prints the JSON Schema of the configuration file.

use std::io::{self, Write};

use crate::config::schema::json_schema;

/// Writes the schema, for a file that editors are told of.
pub fn run(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &json_schema())?;
    writeln!(out)
}
