//! The events as a consumer of the topic sees them: read from Kafka, read_committed, and decoded by the schema that the
//! registry has under the id in front of each.
//!
//! Nothing is taken from the pipeline in the same process; what is shown here any foreign consumer sees.

use std::collections::HashMap;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::{Schema, from_value};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id};
use schema_registry_converter::error::SRCError;
use serde::Deserialize;

use crate::http_client;

/// What the demo shows of a `CallEvent`.
#[derive(Clone, Debug, Deserialize)]
pub struct CallEvent {
    pub event_type: String,
    pub revision: i32,
    pub changed: Vec<String>,
    /// Milliseconds since 1970, UTC.
    pub observed_at: i64,
    pub account: String,
    pub id: i64,
    pub source: Option<String>,
    pub contact_phone_number: Option<String>,
    pub tags: Vec<Tag>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Tag {
    pub tag_name: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("reading events from Kafka failed: {0}")]
    Kafka(#[from] KafkaError),
    #[error("the schema of an event cannot be had from the registry: {0}")]
    Registry(#[from] SRCError),
    #[error("an event cannot be decoded: {0}")]
    Decode(#[source] Box<apache_avro::Error>),
    #[error("an event does not begin with a zero byte and the id of its schema")]
    Frame,
}

pub struct Events {
    consumer: StreamConsumer,
    registry: SrSettings,
    schemas: HashMap<u32, Schema>,
}

impl Events {
    /// From the first record of the topic on.
    pub fn of_topic(
        bootstrap_servers: &str,
        registry_url: &str,
        topic: &str,
        partitions: i32,
    ) -> Result<Self, EventError> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap_servers)
            // Demanded by the library; no group is joined.
            .set("group.id", "callfeed-demo")
            .set("enable.auto.commit", "false")
            // Where the cluster has already dropped the oldest records, the oldest that it still has come next.
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "100")
            .create()?;
        let mut assignment = TopicPartitionList::new();
        for partition in 0..partitions {
            assignment.add_partition_offset(topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&assignment)?;
        let http = http_client::builder().no_proxy();
        let registry = SrSettings::new_builder(registry_url.to_owned()).build_with(http)?;
        Ok(Self { consumer, registry, schemas: HashMap::new() })
    }

    /// The next event, whenever it comes.
    pub async fn next(&mut self) -> Result<CallEvent, EventError> {
        let message = self.consumer.recv().await?.detach();
        let (id, datum) = split_frame(message.payload().unwrap_or_default())?;
        let schema = match self.schemas.get(&id) {
            Some(schema) => schema,
            None => {
                let text = get_schema_by_id(id, &self.registry).await?.schema;
                let schema = Schema::parse_str(&text).map_err(decode_error)?;
                self.schemas.entry(id).or_insert(schema)
            }
        };
        decode(schema, datum)
    }
}

fn decode(schema: &Schema, mut datum: &[u8]) -> Result<CallEvent, EventError> {
    let reader = GenericDatumReader::builder(schema).build().map_err(decode_error)?;
    from_value(&reader.read_value(&mut datum).map_err(decode_error)?).map_err(decode_error)
}

fn decode_error(error: apache_avro::Error) -> EventError {
    EventError::Decode(Box::new(error))
}

/// Confluent's wire format: a zero byte, the schema's id, the datum.
fn split_frame(bytes: &[u8]) -> Result<(u32, &[u8]), EventError> {
    match bytes {
        [0, a, b, c, d, datum @ ..] => Ok((u32::from_be_bytes([*a, *b, *c, *d]), datum)),
        _ => Err(EventError::Frame),
    }
}
