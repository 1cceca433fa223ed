//! A step in the open transaction, and whether it is to blame when that fails.

use std::collections::BTreeSet;
use std::ops::Range;

use rdkafka::error::RDKafkaErrorCode;

use super::access::{self, Operation, Resource};
use super::deliveries::Failure;
use super::publisher::{PublishError, Step};
use super::record::Record;
use super::trouble::is_refusal;

pub(super) struct InHand {
    pub step: Step,
    /// Which of its records were sent in this transaction, with the number that the first of each range has there.
    pub sent: Vec<(usize, Range<usize>)>,
    /// Found while it was sent.
    pub fault: Option<PublishError>,
}

impl InHand {
    pub fn new(step: Step) -> Self {
        Self { step, sent: Vec::new(), fault: None }
    }

    /// How many of its records are events and dead letters; those of its state follow.
    pub fn n_events(&self, state_topic: &str) -> usize {
        let records = &self.step.records;
        records.iter().position(|record| *record.topic == *state_topic).unwrap_or(records.len())
    }

    /// The topics that it writes to.
    pub fn topics(&self) -> BTreeSet<&str> {
        self.step.records.iter().map(|record| &*record.topic).collect()
    }

    /// The size of its largest record that was refused for its size, or for that of its batch.
    pub fn largest_too_large(&self, failures: &[Failure]) -> Option<usize> {
        let records = &self.step.records;
        let failures = failures_of(&self.sent, failures).into_iter();
        failures.filter(|(_, code)| is_too_large(*code)).map(|(position, _)| records[position].size()).max()
    }

    /// What the step itself did wrong; not what befell it, such as a time-out or a neighbour's fault. Asked after an
    /// abort, and answered once.
    pub fn take_fault(&mut self, failures: &[Failure], max_batch_bytes: usize) -> Option<PublishError> {
        let sent = std::mem::take(&mut self.sent);
        self.fault.take().or_else(|| fault_in(&self.step.records, &sent, failures, max_batch_bytes))
    }
}

/// Topics of which one is meant.
pub(super) fn in_words(topics: &BTreeSet<&str>) -> String {
    topics.iter().map(|topic| format!("topic `{topic}`")).collect::<Vec<_>>().join(" or ")
}

pub(super) fn refused_record(topic: &str, code: RDKafkaErrorCode) -> PublishError {
    let reason = match code {
        RDKafkaErrorCode::TopicAuthorizationFailed => access::missing(&[Operation::Write], Resource::Topic(topic)),
        other => format!("topic `{topic}`: {other}"),
    };
    PublishError::Refused { reason }
}

/// Of these failures, those of the records that were sent so, by their index.
fn failures_of(sent: &[(usize, Range<usize>)], failures: &[Failure]) -> Vec<Failure> {
    let position = |number: usize, (first, records): &(usize, Range<usize>)| {
        let position = records.start + number.checked_sub(*first)?;
        records.contains(&position).then_some(position)
    };
    let own = |(number, code): &Failure| {
        let position = sent.iter().find_map(|range| position(*number, range))?;
        Some((position, *code))
    };
    failures.iter().filter_map(own).collect()
}

fn fault_in(
    records: &[Record],
    sent: &[(usize, Range<usize>)],
    failures: &[Failure],
    max_batch_bytes: usize,
) -> Option<PublishError> {
    let failures = failures_of(sent, failures);
    // A larger record than this was alone in its batch; smaller ones may have failed for their neighbours.
    let is_alone = |position: usize| records[position].size() > max_batch_bytes;
    let too_large = failures.iter().filter(|(position, code)| is_too_large(*code) && is_alone(*position));
    let mut too_large: Vec<usize> = too_large.map(|(position, _)| *position).collect();
    if !too_large.is_empty() {
        too_large.sort_unstable();
        return Some(PublishError::TooLarge { records: too_large });
    }
    let (position, code) = failures.into_iter().find(|(_, code)| is_refusal(*code) || is_too_large(*code))?;
    Some(refused_record(&records[position].topic, code))
}

fn is_too_large(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BATCH_BYTES: usize = 10_000;

    fn fault(failures: &[Failure]) -> Option<PublishError> {
        let record = |bytes: usize| Record {
            topic: "calls".into(),
            partition: None,
            key: None,
            value: Some(vec![0; bytes]),
            headers: Vec::new(),
            timestamp_ms: None,
        };
        // The records 5, 6 and 7 of the transaction; its last one by itself, as state without transactions is.
        let sent = [(5, 0..2), (7, 2..3)];
        fault_in(&[record(10), record(20_000), record(30_000)], &sent, failures, MAX_BATCH_BYTES)
    }

    #[test]
    fn a_step_is_to_blame_for_its_own_records_only() {
        use RDKafkaErrorCode::{MessageSizeTooLarge, MessageTimedOut, PurgeQueue, UnknownTopic};
        let refused = Some(refused_record("calls", UnknownTopic));
        let too_large = |records: &[usize]| Some(PublishError::TooLarge { records: records.to_vec() });
        let cases: [(&[Failure], Option<PublishError>); 6] = [
            (&[(4, UnknownTopic), (8, MessageSizeTooLarge)], None),
            (&[(5, PurgeQueue), (6, MessageTimedOut)], None),
            (&[(7, UnknownTopic), (5, PurgeQueue)], refused),
            (&[(7, MessageSizeTooLarge), (6, MessageSizeTooLarge), (5, PurgeQueue)], too_large(&[1, 2])),
            (&[(6, MessageSizeTooLarge), (5, MessageSizeTooLarge)], too_large(&[1])),
            // The topic takes less than the smallest batches: no record is to blame, somebody must act.
            (&[(5, MessageSizeTooLarge)], Some(refused_record("calls", MessageSizeTooLarge))),
        ];
        for (failures, expected) in cases {
            assert_eq!(fault(failures), expected, "{failures:?}");
        }
    }
}
