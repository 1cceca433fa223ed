//! What errors of the producer ask for.

use rdkafka::error::RDKafkaErrorCode;

/// What to do about an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Abort the transaction, then send it again. With `refused`, something in it will fail again. With `commit_sent`,
    /// only an abort that succeeds proves that it is not committed.
    Abort { reason: String, refused: bool, commit_sent: bool },
    /// Another producer has taken the place of this one, or the broker has ended an overdue transaction.
    Fenced,
    /// This producer cannot go on, and what became of its transaction is not known.
    Broken(String),
    /// The client does not come back from a call before the commit: nothing is committed, nothing can be aborted.
    Stuck,
    /// The request to stop leaves no time for more.
    OutOfTime,
}

/// Why a record was not taken.
pub(super) enum SendError {
    TooLarge,
    /// The topic or its partition cannot be written to.
    Refused(RDKafkaErrorCode),
    Trouble(Trouble),
}

/// Why a producer cannot begin.
pub(super) enum InitialiseError {
    Unanswered(String),
    Fenced,
    Refused(String),
}

pub(super) fn fatal(code: RDKafkaErrorCode, reason: String) -> Trouble {
    if is_fencing(code) { Trouble::Fenced } else { Trouble::Broken(reason) }
}

pub(super) fn is_fencing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fenced, InvalidProducerEpoch, ProducerFenced};
    matches!(code, Fenced | InvalidProducerEpoch | ProducerFenced)
}

/// Whether the broker will answer the same until somebody acts.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        GroupAuthorizationFailed, InvalidRecord, InvalidTopic, PolicyViolation, TopicAuthorizationFailed,
        UnknownPartition, UnknownTopic, UnknownTopicOrPartition,
    };
    matches!(
        code,
        GroupAuthorizationFailed
            | InvalidRecord
            | InvalidTopic
            | PolicyViolation
            | TopicAuthorizationFailed
            | UnknownPartition
            | UnknownTopic
            | UnknownTopicOrPartition
    )
}
