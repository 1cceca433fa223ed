//! From an event to bytes: Avro in Confluent's wire format.
//!
//! A magic byte 0, the schema's id in the registry as four bytes, then the datum. Values are written straight from
//! the struct, without a tree in between.

use apache_avro::Schema;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;

const MAGIC: u8 = 0;

/// Encodes events of one schema.
pub struct Encoder {
    writer: GenericDatumWriter<'static>,
    header: [u8; 5],
}

#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    #[error("the schema cannot be read: {0}")]
    Schema(#[source] Box<apache_avro::Error>),
    #[error("the event does not fit its schema: {0}")]
    Datum(#[source] Box<apache_avro::Error>),
}

impl Encoder {
    /// `schema_id` is the registry's. The schema lives as long as the process: there is one a stream.
    pub fn new(schema: &'static Schema, schema_id: u32) -> Result<Self, EncodeError> {
        let writer = GenericDatumWriter::builder(schema)
            .human_readable(false)
            .build()
            .map_err(|error| EncodeError::Schema(Box::new(error)))?;
        let [a, b, c, d] = schema_id.to_be_bytes();
        Ok(Self { writer, header: [MAGIC, a, b, c, d] })
    }

    /// Puts the framed bytes of one event in place of what `bytes` held. The caller keeps the buffer for the next one:
    /// an event that is copied out of it takes what it needs, and not what it might have needed.
    pub fn encode<T: Serialize>(&self, event: &T, bytes: &mut Vec<u8>) -> Result<(), EncodeError> {
        bytes.clear();
        bytes.extend_from_slice(&self.header);
        self.writer.write_ser(bytes, event).map_err(|error| EncodeError::Datum(Box::new(error)))?;
        Ok(())
    }
}
