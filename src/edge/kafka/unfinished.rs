//! The mark of a state topic that is being filled from another one.
//!
//! It stands in every partition from before the first copied record until after the last, so that nobody who reads a
//! partition takes half of the state for the whole.

use serde::{Deserialize, Serialize};

use super::record::Record;

/// Beside the keys of accounts in the state topic, which begin otherwise.
pub(super) const KEY: &str = "unfinished";

/// Where the content of the topic comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub from: String,
    pub from_partitions: i32,
}

impl Unfinished {
    /// The records that put the mark into every partition.
    pub fn set(&self, topic: &str, partitions: i32) -> Vec<Record> {
        // A text and a number: there is nothing that JSON could not hold.
        let value = serde_json::to_vec(self).unwrap_or_default();
        records(topic, partitions, Some(&value))
    }

    /// The records that take the mark away: the topic is what it is meant to be.
    pub fn clear(topic: &str, partitions: i32) -> Vec<Record> {
        records(topic, partitions, None)
    }

    pub(super) fn read(value: &[u8]) -> Self {
        let illegible = |_| Self { from: "an unknown topic".to_owned(), from_partitions: 0 };
        serde_json::from_slice(value).unwrap_or_else(illegible)
    }
}

fn records(topic: &str, partitions: i32, value: Option<&[u8]>) -> Vec<Record> {
    let record = |partition| Record {
        topic: topic.into(),
        partition: Some(partition),
        key: Some(KEY.as_bytes().to_vec()),
        value: value.map(<[u8]>::to_vec),
        headers: Vec::new(),
        timestamp_ms: None,
    };
    (0..partitions).map(record).collect()
}
