//! Reading the state topic back.
//!
//! What always holds: a restore sees every record that was committed before it started, and waits for transactions
//! that were open then. The end to reach is therefore the high watermark (which counts open transactions), not the
//! last stable offset (which `read_committed` consumers are told, and which stands still before an open one).

mod open;
mod reading;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::connection::{ClientLog, Connection, InvalidProperty, Unreachable};
use super::content::Content;
use super::mark::Moved;
use reading::{Range, Reading};

/// How long one question to a broker may take before it counts as unanswered.
const REQUEST: Duration = Duration::from_secs(5);

/// The partition of the state topic that holds what belongs to an account. Contract with every record ever written:
/// another hash, or another number of partitions, would lose all progress.
pub fn partition_of(account: &str, partitions: i32) -> i32 {
    let partitions = u32::try_from(partitions.max(1)).unwrap_or(1);
    // The remainder is below `partitions`, which came from an i32.
    (crc32fast::hash(account.as_bytes()) % partitions) as i32
}

/// The partition that a key belongs in; none for keys that are not about accounts.
fn home_of(key: &str, partitions: i32) -> Option<i32> {
    let account = key.strip_prefix("a/")?.split('/').next()?;
    Some(partition_of(account, partitions))
}

#[derive(Clone, Debug)]
pub struct StateTopic {
    pub connection: Connection,
    /// Named in requests, as the client library demands one; the group is not joined.
    pub group_id: String,
    pub topic: Arc<str>,
    pub partitions: i32,
    /// Whose transactions a restore may abort.
    pub takeover: Takeover,
}

/// What a restore does about transactions that it finds open.
#[derive(Clone, Debug)]
pub enum Takeover {
    /// It waits for their end: whoever only reads disturbs nobody.
    Wait,
    /// It has them aborted, as the partitions are its own now, but for those of its own producer.
    Abort { own: String },
}

/// How far a restore is. `records` can stay below `total`, which counts offsets: compaction and the marks of
/// transactions leave holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestoreProgress {
    pub records: u64,
    pub offset: u64,
    pub total: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    InvalidProperty(#[from] InvalidProperty),
    /// A transaction that was open when the restore started is still open.
    #[error(
        "partition {partition} of `{topic}` has a transaction that is open for more than {waited:?}; the broker ends it after the `transaction.timeout.ms` of its producer"
    )]
    OpenTransaction { topic: Arc<str>, partition: i32, waited: Duration },
    #[error(
        "reading `{topic}` did not end within {waited:?} ({read} of {total} offsets); partitions left: {partitions:?}; last error: {reason}"
    )]
    TimedOut { topic: Arc<str>, partitions: Vec<i32>, waited: Duration, read: u64, total: u64, reason: String },
    #[error(
        "reading `{topic}` is refused: {reason}; the principal needs the operation READ on TOPIC `{topic}` and on GROUP `{group_id}`"
    )]
    Refused { topic: Arc<str>, group_id: String, reason: String },
    /// What is read would be a part of the state.
    #[error(
        "the state of `{topic}` is not complete: `callfeed state migrate --to {topic}` was interrupted while it moved the state of `{from}`; run it again with `kafka.state_topic: {from}`"
    )]
    Unfinished { topic: Arc<str>, from: String },
    /// Whoever went on from here would publish again what was published since.
    #[error(
        "the state of `{topic}` was moved to `{to}`: set `kafka.state_topic: {to}` and `kafka.state_partitions: {partitions}`; there is no way back but `callfeed state migrate` from `{to}` to another name"
    )]
    Moved { topic: Arc<str>, to: String, partitions: i32 },
    /// Owners of partitions would look for it in vain.
    #[error(
        "`{key}` lies in partition {partition} of `{topic}`, and belongs in partition {home}: the topic was given more partitions; move the state to a new one: stop all replicas, then run `callfeed state migrate --to {topic}-{partitions}`"
    )]
    Misplaced { topic: Arc<str>, key: String, partition: i32, home: i32, partitions: i32 },
}

impl RestoreError {
    /// Whether another try may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::OpenTransaction { .. } | Self::TimedOut { .. } => true,
            Self::InvalidProperty(_) | Self::Refused { .. } => false,
            Self::Unfinished { .. } | Self::Moved { .. } | Self::Misplaced { .. } => false,
        }
    }
}

impl StateTopic {
    pub fn partition_of(&self, account: &str) -> i32 {
        partition_of(account, self.partitions)
    }

    pub fn all_partitions(&self) -> Vec<i32> {
        (0..self.partitions).collect()
    }

    /// The latest committed value of each key in these partitions. `progress` is called on another thread.
    pub async fn restore(
        &self,
        partitions: &[i32],
        within: Duration,
        progress: impl Fn(RestoreProgress) + Send + 'static,
    ) -> Result<HashMap<String, Vec<u8>>, RestoreError> {
        let content = self.read(partitions, within, progress).await?;
        if let Some(mark) = content.unfinished.into_values().next() {
            return Err(RestoreError::Unfinished { topic: self.topic.clone(), from: mark.from });
        }
        if let Some(Moved { to, to_partitions }) = content.moved.into_values().next() {
            return Err(RestoreError::Moved { topic: self.topic.clone(), to, partitions: to_partitions });
        }
        let placed = content.latest.into_iter().map(|(key, (partition, value))| {
            match home_of(&key, self.partitions).filter(|home| *home != partition) {
                None => Ok((key, value)),
                Some(home) => {
                    let (topic, partitions) = (self.topic.clone(), self.partitions);
                    Err(RestoreError::Misplaced { topic, key, partition, home, partitions })
                }
            }
        });
        placed.collect()
    }

    /// What is committed in these partitions, also where no service could work with it.
    pub async fn read(
        &self,
        partitions: &[i32],
        within: Duration,
        progress: impl Fn(RestoreProgress) + Send + 'static,
    ) -> Result<Content, RestoreError> {
        let (topic, partitions) = (self.clone(), partitions.to_vec());
        // librdkafka's consumer blocks, and a long restore would hold up a worker of the runtime.
        let reading = tokio::task::spawn_blocking(move || topic.read_blocking(&partitions, within, progress));
        match reading.await {
            Ok(content) => content,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn read_blocking(
        &self,
        partitions: &[i32],
        within: Duration,
        progress: impl Fn(RestoreProgress),
    ) -> Result<Content, RestoreError> {
        let started = Instant::now();
        let ranges = self.ranges(partitions)?;
        let consumer = self.consumer("read_committed")?;
        open::wait(self, &consumer, &ranges, started, within)?;
        Reading::start(self, &consumer, ranges)?.read_to_the_end(started, within, progress)
    }

    /// What there is to read now, open transactions included.
    fn ranges(&self, partitions: &[i32]) -> Result<Vec<Range>, RestoreError> {
        let consumer = self.consumer("read_uncommitted")?;
        let range = |partition: &i32| {
            let (start, end) = self.watermarks(&consumer, *partition)?;
            Ok(Range { partition: *partition, start, end })
        };
        let ranges: Result<Vec<Range>, RestoreError> = partitions.iter().map(range).collect();
        Ok(ranges?.into_iter().filter(|range| range.start < range.end).collect())
    }

    /// The first offset, and the end as the consumer's isolation level sees it.
    fn watermarks(&self, consumer: &BaseConsumer<ClientLog>, partition: i32) -> Result<(i64, i64), RestoreError> {
        consumer.fetch_watermarks(&self.topic, partition, REQUEST).map_err(|error| self.error(consumer, &error))
    }

    fn consumer(&self, isolation: &str) -> Result<BaseConsumer<ClientLog>, InvalidProperty> {
        assigned_consumer(&self.connection, &self.group_id, isolation)
    }

    fn error(&self, consumer: &BaseConsumer<ClientLog>, error: &KafkaError) -> RestoreError {
        // What the client met meanwhile waits in its queue.
        let _ = consumer.poll(Duration::ZERO);
        let reason = consumer.context().reason(error);
        if is_refusal(error) {
            return RestoreError::Refused { topic: self.topic.clone(), group_id: self.group_id.clone(), reason };
        }
        self.connection.unreachable(reason).into()
    }
}

/// A consumer that is told what to read and commits nothing.
pub(super) fn assigned_consumer(
    connection: &Connection,
    group_id: &str,
    isolation: &str,
) -> Result<BaseConsumer<ClientLog>, InvalidProperty> {
    let log = connection.log("state reader");
    let mask = Arc::clone(&log.mask);
    let owned = [
        ("group.id", group_id.to_owned()),
        ("isolation.level", isolation.to_owned()),
        ("enable.partition.eof", "true".to_owned()),
        ("auto.offset.reset", "earliest".to_owned()),
        // Bounds what is fetched ahead of what is taken.
        ("queued.max.messages.kbytes", "8192".to_owned()),
        ("fetch.wait.max.ms", "50".to_owned()),
    ];
    connection.consumer(&owned).create_with_context(log).map_err(|error| InvalidProperty::of(&error, &mask))
}

/// Whether the brokers will answer the same until somebody acts. That they do not know a partition is no such answer: it
/// is what they say while one of them starts.
pub(super) fn is_refusal(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(ClusterAuthorizationFailed | GroupAuthorizationFailed | TopicAuthorizationFailed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State that was written must be found again by every later version. The numbers are CRC-32 (of zlib) modulo 12.
    #[test]
    fn an_account_never_moves_to_another_partition() {
        let accounts = ["acme", "acme.90211", "demo", "globex", "north-2"];
        assert_eq!(accounts.map(|name| partition_of(name, 12)), [2, 3, 0, 10, 2]);
        assert_eq!(accounts.map(|name| partition_of(name, 1)), [0; 5]);
        assert_eq!(home_of("a/north-2/calls/ledger/2026-03-02T10", 12), Some(2));
        assert_eq!(home_of("unfinished", 12), None);
    }
}
