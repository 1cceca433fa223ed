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

    /// The framed bytes of one event.
    pub fn encode<T: Serialize>(&self, event: &T) -> Result<Vec<u8>, EncodeError> {
        const USUAL_SIZE: usize = 2048;
        let mut bytes = Vec::with_capacity(USUAL_SIZE);
        bytes.extend_from_slice(&self.header);
        self.writer.write_ser(&mut bytes, event).map_err(|error| EncodeError::Datum(Box::new(error)))?;
        bytes.shrink_to_fit();
        Ok(bytes)
    }
}
