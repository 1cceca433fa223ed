//! `callfeed config schema`: prints the JSON Schema of the configuration file.

use std::io::{self, Write};

use crate::config::schema::json_schema;

/// Writes the schema, for a file that editors are told of.
pub fn run(out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &json_schema())?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_the_schema() {
        let mut printed = Vec::new();
        run(&mut printed).unwrap();
        let printed: serde_json::Value = serde_json::from_slice(&printed).unwrap();
        assert_eq!(printed["title"], "callfeed configuration");
        assert_eq!(printed, json_schema().to_value());
    }
}
