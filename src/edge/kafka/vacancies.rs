//! Partitions that a group of the classic protocol has assigned to nobody, and how the group is made to notice.
//!
//! A static member that dies after it has given up partitions and before the group's next generation, and is back within
//! its session, is handed what it had kept, and the group goes on without the generation in which the others would have
//! been assigned (KIP-345 beside KIP-429). Nobody would ever read those partitions. What makes a group divide anew is a
//! member that joins: one that subscribes to another topic, and so takes nothing away, comes and goes.
//!
//! Brokers that assign by themselves (KIP-848) see to it by themselves; such a group shows no assignments here.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::member::REVOKE_WITHIN;
use super::membership::{Change, Membership, MembershipSettings, Tenure};
use super::observer::{KafkaEvent, Observer};
use super::shares::Shares;

use crate::logging::events;

/// How often the group is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Partitions that are on their way from one member to another are nobody's for a while.
const ON_ITS_WAY: Duration = REVOKE_WITHIN.saturating_add(LOOK_EVERY);

/// How long the group may take to let somebody in: until all of its members have heard of it.
const JOIN: Duration = Duration::from_mins(1);

/// What to look after.
#[derive(Clone)]
pub struct Vacancies {
    pub connection: Connection,
    pub group_id: String,
    pub topic: String,
    pub n_partitions: i32,
    /// A topic that exists, and that nobody in the group consumes.
    pub other_topic: String,
    /// Told whether the brokers answer.
    pub observer: Observer,
}

impl Vacancies {
    /// Looks after the group until it is dropped.
    pub async fn look_after(self) {
        let shares = match Shares::of(&self.connection, &self.group_id, &self.topic) {
            Ok(shares) => shares,
            Err(error) => return tracing::warn!(%error, "the group cannot be looked at"),
        };
        let mut since: Option<(BTreeSet<i32>, Instant)> = None;
        loop {
            // Replicas that started together need not look, and act, together.
            tokio::time::sleep(LOOK_EVERY.mul_f64(0.5 + fastrand::f64())).await;
            let vacant = self.vacant(&shares).await;
            since = match since {
                Some((before, at)) if !before.is_disjoint(&vacant) => Some((&before & &vacant, at)),
                _ if vacant.is_empty() => None,
                _ => Some((vacant, Instant::now())),
            };
            if let Some((vacant, at)) = &since
                && at.elapsed() > ON_ITS_WAY
            {
                tracing::warn!(name: events::PARTITION_VACANT, topic = self.topic, group_id = self.group_id, partitions = ?vacant, "partitions are assigned to no replica, having the group divide them anew");
                self.rally().await;
                since = None;
            }
        }
    }

    async fn vacant(&self, shares: &Shares) -> BTreeSet<i32> {
        let looked = shares.look().await;
        // Without its coordinator the group cannot be looked at, and yet there may be a Kafka.
        let was_answered = looked.is_ok() || shares.is_anybody_there().await;
        (self.observer)(KafkaEvent::Asked { was_answered });
        match looked {
            Ok(division) => division.vacant(self.n_partitions).unwrap_or_default(),
            Err(error) => {
                tracing::debug!(%error, "the group cannot be looked at");
                BTreeSet::new()
            }
        }
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
