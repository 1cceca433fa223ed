//! Transactions that are open when a partition is to be read: their end is awaited, or brought about.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::reading::Range;
use super::{REQUEST, RestoreError, StateTopic, Takeover};
use crate::edge::kafka::connection::ClientLog;
use crate::edge::kafka::producer;
use crate::edge::kafka::record::WRITER;
use crate::logging::events;

/// How long a former owner's transaction may take to be aborted.
const ABORT: Duration = Duration::from_secs(10);

/// How often the end of an open transaction is asked for.
const POLL: Duration = Duration::from_millis(50);

/// How long a transaction may stay open before whoever takes the partition over has it aborted: a former owner that lives
/// has finished before, but brokers may still be at writing the end.
const GRACE: Duration = Duration::from_millis(500);

/// Only after this, the end that a `read_committed` consumer reports is not before the end of its range.
pub(super) fn wait(
    state: &StateTopic,
    consumer: &BaseConsumer<ClientLog>,
    ranges: &[Range],
    started: Instant,
    within: Duration,
) -> Result<(), RestoreError> {
    for range in ranges {
        let mut former = FormerWriters::default();
        loop {
            let stable = state.watermarks(consumer, range.partition)?.1;
            if stable >= range.end {
                break;
            }
            former.abort_after(GRACE, state, range.partition, stable..range.end);
            if started.elapsed() > within {
                let (topic, partition) = (state.topic.clone(), range.partition);
                return Err(RestoreError::OpenTransaction { topic, partition, waited: within });
            }
            tracing::debug!(topic = %state.topic, partition = range.partition, "waiting for an open transaction");
            std::thread::sleep(POLL);
        }
    }
    Ok(())
}

/// Who wrote what is still open in a partition.
#[derive(Default)]
struct FormerWriters {
    since: Option<Instant>,
    done: bool,
}

impl FormerWriters {
    /// Has their transactions aborted when they were open for so long, once. Where that fails, their time-outs end them.
    fn abort_after(&mut self, grace: Duration, state: &StateTopic, partition: i32, open: std::ops::Range<i64>) {
        let Takeover::Abort { own } = &state.takeover else { return };
        if self.done || self.since.get_or_insert_with(Instant::now).elapsed() < grace {
            return;
        }
        self.done = true;
        let writers = match writers(state, partition, open) {
            Ok(writers) => writers,
            Err(error) => {
                tracing::warn!(partition, %error, "who left a transaction open cannot be read, waiting for its time-out");
                return;
            }
        };
        for writer in writers.iter().filter(|writer| *writer != own) {
            tracing::info!(name: events::TRANSACTION_TAKEN_OVER, partition, transactional_id = writer, "aborting what the former owner left open");
            if let Err(reason) = producer::abort_open_transaction_of(&state.connection, writer, ABORT) {
                tracing::warn!(partition, transactional_id = writer, %reason, "not aborted, waiting for its time-out");
            }
        }
    }
}

/// The transactional ids behind the records of a range of offsets, committed or not.
fn writers(
    state: &StateTopic,
    partition: i32,
    offsets: std::ops::Range<i64>,
) -> Result<BTreeSet<String>, RestoreError> {
    let consumer = state.consumer("read_uncommitted")?;
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(&state.topic, partition, Offset::Offset(offsets.start))
        .and_then(|()| consumer.assign(&assignment))
        .map_err(|error| state.error(&consumer, &error))?;
    let (started, mut writers) = (Instant::now(), BTreeSet::new());
    while started.elapsed() < REQUEST {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) if message.offset() >= offsets.end => break,
            Some(Ok(message)) => writers.extend(writer(&message).map(str::to_owned)),
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) => return Err(state.error(&consumer, &error)),
            None => {}
        }
    }
    Ok(writers)
}

/// Whoever sent the record, by the transactional id.
pub(super) fn writer<'a>(message: &'a BorrowedMessage<'_>) -> Option<&'a str> {
    let header = message.headers()?.iter().find(|header| header.key == WRITER)?;
    std::str::from_utf8(header.value?).ok()
}
