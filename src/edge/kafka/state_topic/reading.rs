//! Reading partitions of the state topic from their beginning to the end that they had.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{RestoreError, RestoreProgress, StateTopic, is_refusal, open};
use crate::edge::kafka::connection::ClientLog;
use crate::edge::kafka::content::Content;

pub(super) struct Range {
    pub partition: i32,
    pub start: i64,
    pub end: i64,
}

/// One pass over the partitions.
pub(super) struct Reading<'a> {
    state: &'a StateTopic,
    consumer: &'a BaseConsumer<ClientLog>,
    /// By partition: how many offsets lie before the record read last.
    passed: HashMap<i32, u64>,
    starts: HashMap<i32, i64>,
    open: Vec<i32>,
    total: u64,
    records: u64,
    last_error: String,
    /// What the transactional ids of this group begin with.
    own_prefix: String,
    /// Who wrote some of it last, and is no replica of this group.
    stranger: Option<String>,
    content: Content,
}

impl<'a> Reading<'a> {
    pub fn start(
        state: &'a StateTopic,
        consumer: &'a BaseConsumer<ClientLog>,
        ranges: Vec<Range>,
    ) -> Result<Self, RestoreError> {
        let mut assignment = TopicPartitionList::new();
        for range in &ranges {
            assignment
                .add_partition_offset(&state.topic, range.partition, Offset::Beginning)
                .map_err(|error| state.error(consumer, &error))?;
        }
        consumer.assign(&assignment).map_err(|error| state.error(consumer, &error))?;
        Ok(Self {
            state,
            consumer,
            passed: HashMap::new(),
            starts: ranges.iter().map(|range| (range.partition, range.start)).collect(),
            open: ranges.iter().map(|range| range.partition).collect(),
            // The start is never above the end: such ranges were left out.
            total: ranges.iter().map(|range| range.end.abs_diff(range.start)).sum(),
            records: 0,
            last_error: "none".to_owned(),
            own_prefix: format!("{}-", state.group_id),
            stranger: None,
            content: Content::default(),
        })
    }

    pub fn read_to_the_end(
        mut self,
        started: Instant,
        within: Duration,
        progress: impl Fn(RestoreProgress),
    ) -> Result<Content, RestoreError> {
        let mut shown = Instant::now();
        while !self.open.is_empty() {
            if started.elapsed() > within {
                return Err(self.timed_out(within));
            }
            match self.consumer.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) => self.take(&message),
                Some(Err(KafkaError::PartitionEOF(ended))) => self.open.retain(|partition| *partition != ended),
                Some(Err(error)) if is_refusal(&error) => return Err(self.state.error(self.consumer, &error)),
                // librdkafka goes on by itself; the deadline ends what does not heal.
                Some(Err(error)) => self.last_error = self.consumer.context().reason(&error),
            }
            if shown.elapsed() > Duration::from_millis(250) {
                shown = Instant::now();
                progress(self.progress());
            }
        }
        progress(RestoreProgress { offset: self.total, ..self.progress() });
        if let Some(writer) = &self.stranger {
            tracing::warn!(topic = %self.state.topic, writer, group_id = self.state.group_id, "state was written by a replica of another `kafka.group_id`; while both groups run, each publishes everything");
        }
        Ok(self.content)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        self.records += 1;
        let start = self.starts.get(&message.partition()).copied().unwrap_or(0);
        self.passed.insert(message.partition(), message.offset().abs_diff(start) + 1);
        let Some(Ok(key)) = message.key().map(str::from_utf8) else {
            tracing::warn!(topic = %self.state.topic, partition = message.partition(), offset = message.offset(),
                "a record of the state topic has no key that callfeed writes; it is left alone");
            return;
        };
        self.content.put(message.partition(), key, message.payload());
        let is_stranger = |writer: &&str| !writer.starts_with(&self.own_prefix);
        if let Some(writer) = open::writer(message).filter(is_stranger) {
            self.stranger = Some(writer.to_owned());
        }
    }

    fn progress(&self) -> RestoreProgress {
        RestoreProgress { records: self.records, offset: self.passed.values().sum(), total: self.total }
    }

    fn timed_out(self, waited: Duration) -> RestoreError {
        RestoreError::TimedOut {
            topic: self.state.topic.clone(),
            waited,
            read: self.progress().offset,
            total: self.total,
            partitions: self.open,
            reason: self.last_error,
        }
    }
}
