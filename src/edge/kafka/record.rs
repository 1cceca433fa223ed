//! One record to publish, as bytes.

use std::borrow::Cow;
use std::sync::Arc;

use rdkafka::message::{Header, OwnedHeaders};

/// The largest record that the publisher takes, whatever the topic would take. It is below the producer's queue,
/// which could otherwise never hold the record.
pub const MAX_RECORD_BYTES: usize = 12 * 1024 * 1024;

/// What a batch of one record adds to the bytes of the record itself: the batch header (61), and the record's
/// lengths and deltas as varints, rounded up.
const BATCH_OVERHEAD: usize = 128;

/// What a header adds to its name and value: two lengths as varints.
const HEADER_OVERHEAD: usize = 10;

/// The header of state records that names the transactional id of who wrote them: whoever takes the partition over can
/// have Kafka abort what that one left open, instead of waiting for the time-out of its transaction.
pub(super) const WRITER: &str = "callfeed-transactional-id";

/// Names and values.
pub type Headers = Vec<(Cow<'static, str>, Cow<'static, [u8]>)>;

/// One record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub topic: Arc<str>,
    /// `None`: the partition that the key hashes to, the same one that Java producers choose.
    pub partition: Option<i32>,
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
    /// `None`: the time at which the record is sent.
    pub timestamp_ms: Option<i64>,
}

impl Record {
    /// A record of the state topic; without a value it takes away what stands under the key.
    pub fn of_state(topic: Arc<str>, partition: i32, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        Self { topic, partition: Some(partition), key: Some(key), value, headers: Vec::new(), timestamp_ms: None }
    }

    /// The bytes that the record takes at most in a batch of its own, before compression: to be held against
    /// [`super::topics::Topics::limit_of`].
    pub fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD);
        BATCH_OVERHEAD + length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }

    /// Notes who writes the record, see [`WRITER`]; whoever was to write it before does not count.
    pub(super) fn sign(&mut self, transactional_id: &str) {
        self.headers.retain(|(name, _)| name != WRITER);
        self.headers.push((WRITER.into(), Cow::Owned(transactional_id.as_bytes().to_vec())));
    }

    pub(super) fn native_headers(&self) -> Option<OwnedHeaders> {
        if self.headers.is_empty() {
            return None;
        }
        let headers = OwnedHeaders::new_with_capacity(self.headers.len());
        let insert = |headers: OwnedHeaders, (key, value): &(Cow<'static, str>, Cow<'static, [u8]>)| {
            headers.insert(Header { key, value: Some(value.as_ref()) })
        };
        Some(self.headers.iter().fold(headers, insert))
    }
}
