//! Partitions that a group of the classic protocol has assigned to nobody, and how the group is made to notice.
//!
//! A static member that dies after it has given up partitions and before the group's next generation, and is back within
//! its session, is handed what it had kept, and the group goes on without the generation in which the others would have
//! been assigned (KIP-345 beside KIP-429). Nobody would ever read those partitions. What makes a group divide anew is a
//! member that joins: one that subscribes to another topic, and so takes nothing away, comes and goes.
//!
//! Brokers that assign by themselves (KIP-848) see to it by themselves; such a group shows no assignments here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::groups::GroupInfo;

use super::connection::{ClientLog, Connection};
use super::member::REVOKE_WITHIN;
use super::membership::{Change, Membership, MembershipSettings, Tenure};
use super::state_topic::assigned_consumer;

/// How often the group is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Partitions that are on their way from one member to another are nobody's for a while.
const ON_ITS_WAY: Duration = REVOKE_WITHIN.saturating_add(LOOK_EVERY);

/// How long the brokers may take to tell of the group.
const REQUEST: Duration = Duration::from_secs(5);

/// How long the group may take to let somebody in: until all of its members have heard of it.
const JOIN: Duration = Duration::from_mins(1);

/// What to look after.
#[derive(Clone, Debug)]
pub struct Vacancies {
    pub connection: Connection,
    pub group_id: String,
    pub topic: String,
    pub n_partitions: i32,
    /// A topic that exists, and that nobody in the group consumes.
    pub other_topic: String,
}

impl Vacancies {
    /// Looks after the group until it is dropped.
    pub async fn look_after(self) {
        let client = match assigned_consumer(&self.connection, &self.group_id, "read_committed") {
            Ok(client) => Arc::new(client),
            Err(error) => return tracing::warn!(%error, "the group cannot be looked at"),
        };
        let mut since: Option<(BTreeSet<i32>, Instant)> = None;
        loop {
            // Replicas that started together need not look, and act, together.
            tokio::time::sleep(LOOK_EVERY.mul_f64(0.5 + fastrand::f64())).await;
            let vacant = self.vacant(client.clone()).await;
            since = match since {
                Some((before, at)) if !before.is_disjoint(&vacant) => Some((&before & &vacant, at)),
                _ if vacant.is_empty() => None,
                _ => Some((vacant, Instant::now())),
            };
            if let Some((vacant, at)) = &since
                && at.elapsed() > ON_ITS_WAY
            {
                tracing::warn!(partitions = ?vacant, "partitions are assigned to no replica, having the group divide them anew");
                self.rally().await;
                since = None;
            }
        }
    }

    async fn vacant(&self, client: Arc<BaseConsumer<ClientLog>>) -> BTreeSet<i32> {
        let this = self.clone();
        match tokio::task::spawn_blocking(move || this.look(&client)).await {
            Ok(Ok(vacant)) => vacant,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the group cannot be looked at");
                BTreeSet::new()
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn look(&self, client: &BaseConsumer<ClientLog>) -> KafkaResult<BTreeSet<i32>> {
        let list = client.fetch_group_list(Some(&self.group_id), REQUEST)?;
        Ok(list.groups().iter().find_map(|group| self.vacant_in(group)).unwrap_or_default())
    }

    /// None when the group is in motion, or its assignments are not shown.
    fn vacant_in(&self, group: &GroupInfo) -> Option<BTreeSet<i32>> {
        if group.state() != "Stable" {
            return None;
        }
        let mut vacant: BTreeSet<i32> = (0..self.n_partitions).collect();
        for member in group.members() {
            for (topic, partition) in assigned(member.assignment()?)? {
                if topic == self.topic {
                    vacant.remove(&partition);
                }
            }
        }
        Some(vacant)
    }

    /// Has somebody join who wants nothing of what the group divides, and leave.
    async fn rally(&self) {
        let settings = MembershipSettings {
            connection: self.connection.clone(),
            group_id: self.group_id.clone(),
            tenure: Tenure::Visit,
            topic: self.other_topic.clone(),
        };
        let (membership, mut changes) = match Membership::join(settings) {
            Ok(joined) => joined,
            Err(error) => return tracing::warn!(%error, "the group cannot be joined"),
        };
        match tokio::time::timeout(JOIN, changes.recv()).await {
            Ok(Some(Change::Granted(_))) => {}
            outcome => tracing::warn!(?outcome, "the group was not made to divide its partitions anew"),
        }
        membership.leave().await;
    }
}

/// The partitions of an assignment: `ConsumerProtocolAssignment` of Kafka's protocol. None for what is not one.
fn assigned(bytes: &[u8]) -> Option<Vec<(&str, i32)>> {
    let mut rest = bytes;
    let _version = i16::from_be_bytes(take(&mut rest)?);
    let mut assigned = Vec::new();
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let topic;
        (topic, rest) = rest.split_at_checked(length)?;
        let topic = std::str::from_utf8(topic).ok()?;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            assigned.push((topic, i32::from_be_bytes(take(&mut rest)?)));
        }
    }
    Some(assigned)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

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
