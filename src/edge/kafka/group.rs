//! Whether anybody is in the consumer group that divides the state topic, asked without joining it.
//!
//! The answer comes from the group's coordinator: an offset that is committed by no member is taken while the group is
//! empty, and refused while it has members, under either protocol. What is committed is the offset that is there
//! already: callfeed reads state from the beginning, so the offsets of its group tell it nothing.
//!
//! The answer may be old when it arrives. Whoever is to write relies on a membership of its own, not on this.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::connection::{ClientLog, Connection, InvalidProperty, Unreachable};
use super::state_topic::{assigned_consumer, is_refusal};

/// How long one question may take; the first one includes finding the coordinator.
const REQUEST: Duration = Duration::from_secs(10);

/// Any partition of the topic serves: the coordinator looks at the group as a whole.
const PARTITION: i32 = 0;

#[derive(Clone, Debug)]
pub struct Group {
    pub connection: Connection,
    pub group_id: String,
    pub state_topic: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occupancy {
    Empty,
    /// Who is in it, as far as the cluster tells: members of the newer protocol are not listed.
    Members(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    InvalidProperty(#[from] InvalidProperty),
    #[error(
        "asking for the group `{group_id}` is refused: {reason}; the principal needs the operation READ on GROUP `{group_id}` and on TOPIC `{topic}`"
    )]
    Refused { group_id: String, topic: String, reason: String },
}

impl Group {
    pub async fn occupancy(&self) -> Result<Occupancy, GroupError> {
        let group = self.clone();
        // The client library blocks.
        match tokio::task::spawn_blocking(move || group.ask()).await {
            Ok(answer) => answer,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn ask(&self) -> Result<Occupancy, GroupError> {
        let consumer = assigned_consumer(&self.connection, &self.group_id, "read_committed")?;
        let offsets = self.offsets(&consumer).map_err(|error| self.error(&consumer, &error))?;
        match consumer.commit(&offsets, CommitMode::Sync) {
            Ok(()) => Ok(Occupancy::Empty),
            Err(error) if is_for_members_only(&error) => Ok(Occupancy::Members(self.members(&consumer))),
            Err(error) => Err(self.error(&consumer, &error)),
        }
    }

    /// What is committed of one partition; nothing read, when there is nothing.
    fn offsets(&self, consumer: &BaseConsumer<ClientLog>) -> Result<TopicPartitionList, KafkaError> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.state_topic, PARTITION);
        let committed = consumer.committed_offsets(asked, REQUEST)?;
        let offset = match committed.find_partition(&self.state_topic, PARTITION) {
            Some(found) => {
                found.error()?;
                found.offset()
            }
            None => Offset::Invalid,
        };
        let offset = if matches!(offset, Offset::Offset(_)) { offset } else { Offset::Offset(0) };
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&self.state_topic, PARTITION, offset)?;
        Ok(offsets)
    }

    fn members(&self, consumer: &BaseConsumer<ClientLog>) -> Vec<String> {
        // Only to tell people who it is: without an answer they hear that there is somebody.
        let Ok(list) = consumer.fetch_group_list(Some(&self.group_id), REQUEST) else { return Vec::new() };
        let members = list.groups().iter().flat_map(|group| group.members());
        members.map(|member| format!("{} from {}", member.client_id(), member.client_host())).collect()
    }

    fn error(&self, consumer: &BaseConsumer<ClientLog>, error: &KafkaError) -> GroupError {
        // What the client met meanwhile waits in its queue.
        let _ = consumer.poll(Duration::ZERO);
        let reason = consumer.context().reason(error);
        if is_refusal(error) {
            return GroupError::Refused { group_id: self.group_id.clone(), topic: self.state_topic.clone(), reason };
        }
        self.connection.unreachable(reason).into()
    }
}

fn is_for_members_only(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        FencedInstanceId, IllegalGeneration, RebalanceInProgress, StaleMemberEpoch, UnknownMemberId,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(FencedInstanceId | IllegalGeneration | RebalanceInProgress | StaleMemberEpoch | UnknownMemberId)
    )
}
