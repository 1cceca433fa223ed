//! How a group has divided the partitions of a topic among its members, as the brokers tell.
//!
//! Only groups of the classic protocol are shown in full. It is a look from outside, and may be old when it arrives:
//! what a member may do is decided by its leases.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupInfo;

use super::bytes::take_chunk;
use super::connection::{ClientLog, Connection, InvalidProperty};
use super::state_topic::assigned_consumer;

/// How long the brokers may take to tell of the group.
const REQUEST: Duration = Duration::from_secs(5);

/// Clones share the client.
#[derive(Clone)]
pub struct Shares {
    client: Arc<BaseConsumer<ClientLog>>,
    group_id: String,
    topic: String,
}

/// What a look at the group shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Division {
    /// The partitions of each member, by its id.
    Settled(BTreeMap<String, BTreeSet<i32>>),
    /// Members come or go, and will be assigned anew.
    InMotion,
    /// The brokers do not tell.
    NotShown,
}

impl Shares {
    pub fn of(connection: &Connection, group_id: &str, topic: &str) -> Result<Self, InvalidProperty> {
        let client = Arc::new(assigned_consumer(connection, group_id, "read_committed")?);
        Ok(Self { client, group_id: group_id.to_owned(), topic: topic.to_owned() })
    }

    pub async fn look(&self) -> KafkaResult<Division> {
        let this = self.clone();
        // The client library blocks.
        match tokio::task::spawn_blocking(move || this.ask()).await {
            Ok(answer) => answer,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// Whether any broker answers.
    pub async fn is_anybody_there(&self) -> bool {
        let this = self.clone();
        let asking = move || this.client.fetch_metadata(Some(&this.topic), REQUEST).is_ok();
        // It panics no more than it answers.
        tokio::task::spawn_blocking(asking).await.unwrap_or(false)
    }

    fn ask(&self) -> KafkaResult<Division> {
        let list = self.client.fetch_group_list(Some(&self.group_id), REQUEST)?;
        Ok(list.groups().first().map_or(Division::NotShown, |group| self.division_of(group)))
    }

    fn division_of(&self, group: &GroupInfo) -> Division {
        match group.state() {
            "Stable" => self.shares_in(group).map_or(Division::NotShown, Division::Settled),
            "PreparingRebalance" | "CompletingRebalance" => Division::InMotion,
            _ => Division::NotShown,
        }
    }

    fn shares_in(&self, group: &GroupInfo) -> Option<BTreeMap<String, BTreeSet<i32>>> {
        let share = |member: &rdkafka::groups::GroupMemberInfo| {
            let assigned = assigned(member.assignment()?)?.into_iter();
            let own = assigned.filter(|(topic, _)| *topic == self.topic).map(|(_, partition)| partition);
            Some((member.id().to_owned(), own.collect()))
        };
        group.members().iter().map(share).collect()
    }
}

impl Division {
    /// Those of so many partitions that are assigned to nobody. None while that cannot be told.
    pub fn vacant(&self, n_partitions: i32) -> Option<BTreeSet<i32>> {
        let Self::Settled(shares) = self else { return None };
        let is_taken = |partition: &i32| shares.values().any(|share| share.contains(partition));
        Some((0..n_partitions).filter(|partition| !is_taken(partition)).collect())
    }

    /// Whether all of so many partitions are assigned, and these to this member.
    pub fn is_final_for(&self, member_id: &str, held: &BTreeSet<i32>, n_partitions: i32) -> bool {
        let Self::Settled(shares) = self else { return false };
        shares.get(member_id) == Some(held) && self.vacant(n_partitions).is_some_and(|vacant| vacant.is_empty())
    }
}

/// The partitions of an assignment: `ConsumerProtocolAssignment` of Kafka's protocol. None for what is not one.
fn assigned(bytes: &[u8]) -> Option<Vec<(&str, i32)>> {
    let mut rest = bytes;
    let _version = i16::from_be_bytes(take_chunk(&mut rest)?);
    let mut assigned = Vec::new();
    for _ in 0..i32::from_be_bytes(take_chunk(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take_chunk(&mut rest)?)).ok()?;
        let topic;
        (topic, rest) = rest.split_at_checked(length)?;
        let topic = std::str::from_utf8(topic).ok()?;
        for _ in 0..i32::from_be_bytes(take_chunk(&mut rest)?) {
            assigned.push((topic, i32::from_be_bytes(take_chunk(&mut rest)?)));
        }
    }
    Some(assigned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_final_when_everything_is_divided_and_the_group_agrees_on_it() {
        let settled = |shares: &[(&str, &[i32])]| {
            let share = |(member, share): &(&str, &[i32])| ((*member).to_owned(), share.iter().copied().collect());
            Division::Settled(shares.iter().map(share).collect())
        };
        let is_final =
            |division: &Division, held: &[i32]| division.is_final_for("own", &held.iter().copied().collect(), 4);
        // A newcomer is assigned nothing while the others still have to give something up.
        let first = settled(&[("other", &[0, 1]), ("own", &[])]);
        assert_eq!(first.vacant(4), Some(BTreeSet::from([2, 3])));
        assert!(!is_final(&first, &[]));
        let second = settled(&[("other", &[0, 1]), ("own", &[2, 3])]);
        assert!(!is_final(&second, &[]), "what is assigned has not arrived yet");
        assert!(is_final(&second, &[2, 3]));
        assert!(is_final(&settled(&[("other", &[0, 1, 2, 3]), ("own", &[])]), &[]), "more members than partitions");
        assert!(!is_final(&settled(&[("other", &[0, 1, 2, 3])]), &[]), "not a member yet");
        for unknown in [Division::InMotion, Division::NotShown] {
            assert!(!is_final(&unknown, &[]) && unknown.vacant(4).is_none());
        }
    }

    #[test]
    fn an_assignment_is_read_and_anything_else_is_not_one() {
        let bytes = b"\0\x01\0\0\0\x02\0\x05state\0\0\0\x02\0\0\0\x03\0\0\0\x0b\0\x05other\0\0\0\0\xff\xff\xff\xff";
        assert_eq!(assigned(bytes), Some(vec![("state", 3), ("state", 11)]));
        let without_user_data = &bytes[..bytes.len() - 4];
        assert_eq!(assigned(without_user_data), assigned(bytes));
        for cut in 0..without_user_data.len() {
            assert_eq!(assigned(&bytes[..cut]), None, "{cut} bytes");
        }
    }
}
