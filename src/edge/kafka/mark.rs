//! The marks of state topics that nobody may work with: one that is being filled from another one, and one that was left
//! for another one.
//!
//! A mark stands in every partition. The first is there from before the first copied record until after the last, so that
//! nobody who reads a partition takes half of the state for the whole. The second stays: two topics with the same state
//! would have the same calls published twice.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::record::Record;

/// Beside the keys of accounts in the state topic, which begin otherwise.
pub(super) const UNFINISHED: &str = "unfinished";
pub(super) const MOVED: &str = "moved";

/// Where the content of the topic comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    pub from: String,
    pub from_partitions: i32,
}

/// Where the state is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    pub to: String,
    pub to_partitions: i32,
}

impl Unfinished {
    /// The records that put the mark into every partition.
    pub fn set(&self, topic: &str, partitions: i32) -> Vec<Record> {
        set(UNFINISHED, self, topic, partitions)
    }

    /// The records that take the mark away: the topic is what it is meant to be.
    pub fn clear(topic: &str, partitions: i32) -> Vec<Record> {
        records(UNFINISHED, topic, partitions, None)
    }

    pub(super) fn read(value: &[u8]) -> Self {
        read(value).unwrap_or_else(|| Self { from: "an unknown topic".to_owned(), from_partitions: 0 })
    }
}

impl Moved {
    /// The records that put the mark into every partition.
    pub fn set(&self, topic: &str, partitions: i32) -> Vec<Record> {
        set(MOVED, self, topic, partitions)
    }

    /// The records that take the mark away: the topic is the place of the state after all.
    pub fn clear(topic: &str, partitions: i32) -> Vec<Record> {
        records(MOVED, topic, partitions, None)
    }

    pub(super) fn read(value: &[u8]) -> Self {
        read(value).unwrap_or_else(|| Self { to: "an unknown topic".to_owned(), to_partitions: 0 })
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

fn set(key: &str, mark: &impl Serialize, topic: &str, partitions: i32) -> Vec<Record> {
    // A text and a number: there is nothing that JSON could not hold.
    let value = serde_json::to_vec(mark).unwrap_or_default();
    records(key, topic, partitions, Some(&value))
}

fn records(key: &str, topic: &str, partitions: i32, value: Option<&[u8]>) -> Vec<Record> {
    let topic: Arc<str> = topic.into();
    let record =
        |partition| Record::of_state(topic.clone(), partition, key.as_bytes().to_vec(), value.map(<[u8]>::to_vec));
    (0..partitions).map(record).collect()
}
