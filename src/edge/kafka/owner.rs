//! Who owns the group.
//!
//! A process that starts writes its owner record to partition 0 of the state topic, in the first transaction after
//! `init_transactions`. A producer that finds itself fenced looks whether somebody wrote a later one: then it was
//! superseded; otherwise it was only the broker, which ends overdue transactions in the same way. It looks *before*
//! it initialises transactions again, as that would fence the newcomer, who would come back the same way for ever.

use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use rdkafka::consumer::Consumer;

use super::publisher::PublisherSettings;
use super::record::Record;
use super::state_topic::assigned_consumer;
use super::stop::Stop;

/// Beside the keys of accounts in the state topic, which begin otherwise.
const KEY_PREFIX: &str = "owner/";

const PARTITION: i32 = 0;

/// How long reading may take beyond the wait for a newcomer's record.
const READING: Duration = Duration::from_secs(15);

pub(super) fn is_owner_key(key: &str) -> bool {
    key.starts_with(KEY_PREFIX)
}

/// One start of one process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Owner {
    process: String,
    instance: String,
    since: String,
}

impl Owner {
    pub fn new(instance: &str) -> Self {
        Self {
            process: uuid::Uuid::new_v4().to_string(),
            instance: instance.to_owned(),
            since: jiff::Timestamp::now().to_string(),
        }
    }

    pub fn record(&self, settings: &PublisherSettings) -> Record {
        Record {
            topic: settings.state_topic.as_str().into(),
            partition: Some(PARTITION),
            key: Some(key(&settings.group_id).into_bytes()),
            // Three strings: there is nothing in it that JSON could not hold.
            value: Some(serde_json::json!(self).to_string().into_bytes()),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    /// Who wrote an owner record after `own_offset`, where this one's lies. A newcomer has `patience` to write its own.
    pub fn successor(
        &self,
        settings: &PublisherSettings,
        own_offset: i64,
        patience: Duration,
        stop: &Stop,
    ) -> Result<Option<String>, String> {
        let consumer = assigned_consumer(&settings.connection, &settings.group_id, "read_committed")
            .map_err(|error| error.to_string())?;
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(&settings.state_topic, PARTITION, Offset::Offset(own_offset + 1))
            .and_then(|()| consumer.assign(&assignment))
            .map_err(|error| error.to_string())?;
        let started = Instant::now();
        let key = key(&settings.group_id);
        let (mut at_end, mut reason) = (false, "no answer".to_owned());
        while !stop.is_requested() {
            match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) if message.key() == Some(key.as_bytes()) => match self.read(message.payload()) {
                    Some(other) => return Ok(Some(other.to_string())),
                    None => continue,
                },
                Some(Err(KafkaError::PartitionEOF(_))) => at_end = true,
                Some(Err(error)) => reason = consumer.context().reason(&error),
                Some(Ok(_)) | None => {}
            }
            if at_end && started.elapsed() >= patience {
                return Ok(None);
            }
            if started.elapsed() >= patience + READING {
                return Err(reason);
            }
        }
        Ok(None)
    }

    /// The owner in a record, if it is another one.
    fn read(&self, value: Option<&[u8]>) -> Option<Owner> {
        let other: Owner = serde_json::from_slice(value?).ok()?;
        (other.process != self.process).then_some(other)
    }
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "instance `{}`, started at {}", self.instance, self.since)
    }
}

fn key(group_id: &str) -> String {
    format!("{KEY_PREFIX}{group_id}")
}
