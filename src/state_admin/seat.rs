//! The right to write to the state topic, which replicas give up when they stop.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::edge::kafka::{
    Change, Group, Intent, Lease, Membership, Occupancy, PublishError, Publisher, PublisherSettings, Record, Takeover,
    Tenure,
};
use crate::wiring;

use super::{AdminError, READ_WITHIN, StateAdmin, report};

/// How often the group is asked while it is waited for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long a group of one may take to assign its partitions.
const ASSIGNED_WITHIN: Duration = Duration::from_secs(60);

/// Steps come one by one: there is nothing to wait for.
const COMMIT_INTERVAL: Duration = Duration::from_millis(5);
const COMMIT_MAX_EVENTS: usize = 10_000;

const STOP_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    #[error(
        "replicas of the group `{group_id}` are there{}, and own the accounts: stop them all first; one that was stopped or died counts until its session is over (`session.timeout.ms`, 45 seconds unless it is set), and `--wait 1m` waits for that",
        who(members)
    )]
    InUse { group_id: String, members: Vec<String> },
    #[error("a replica of the group `{group_id}` has started meanwhile: stop it and run the command again")]
    Joined { group_id: String },
    #[error(
        "kafka does not let this command into the group `{group_id}`: {reason}; callfeed's principal needs the operation READ on GROUP `{group_id}`"
    )]
    Refused { group_id: String, reason: String },
}

fn who(members: &[String]) -> String {
    if members.is_empty() { String::new() } else { format!(" ({})", members.join(", ")) }
}

/// All accounts are owned by this process: it is the group's only member.
pub struct Seat {
    group_id: String,
    transactional_id: String,
    membership: Membership,
    leases: BTreeMap<i32, Lease>,
    publisher: Publisher,
}

impl Seat {
    /// Takes the seat when no replica has one, or gets free within `wait`. Before it waits it tells for how long.
    pub async fn take(admin: &StateAdmin<'_>, wait: Duration, told: impl Fn(Duration)) -> Result<Self, AdminError> {
        wait_until_empty(admin, wait, told).await?;
        let settings = wiring::membership(admin.config, &admin.connection, Tenure::Visit);
        let (membership, changes) = Membership::join(settings)?;
        match Self::furnished(admin, &membership, changes).await {
            Ok(seat) => Ok(seat),
            Err(error) => {
                membership.leave().await;
                Err(error)
            }
        }
    }

    async fn furnished(
        admin: &StateAdmin<'_>,
        membership: &Membership,
        changes: UnboundedReceiver<Change>,
    ) -> Result<Self, AdminError> {
        let kafka = &admin.config.kafka;
        let leases = all_leases(admin, changes).await?;
        // Always the same: what a command that was killed left open is aborted by the next one.
        let transactional_id = format!("{}-state", kafka.group_id);
        let settings = PublisherSettings {
            transactional_id: transactional_id.clone(),
            commit_interval: COMMIT_INTERVAL,
            commit_max_events: COMMIT_MAX_EVENTS,
            ..wiring::publisher(admin.config, &admin.connection, membership)
        };
        let publisher = Publisher::start(settings).await?;
        let group_id = kafka.group_id.clone();
        let seat = Self { group_id, transactional_id, membership: membership.clone(), leases, publisher };
        match seat.finish_what_was_begun(admin).await {
            Ok(()) => Ok(seat),
            Err(error) => {
                seat.publisher.shut_down(STOP_WITHIN).await;
                Err(error)
            }
        }
    }

    /// A replica that died without transactions may have published events whose state is not written yet. What is done
    /// to state is done to all of it.
    async fn finish_what_was_begun(&self, admin: &StateAdmin<'_>) -> Result<(), AdminError> {
        let topic = admin.topic(&admin.place, self.takeover());
        let content = topic.read(&topic.all_partitions(), READ_WITHIN, report).await?;
        let latest = content.latest.into_iter().map(|(key, (_, value))| (key, value)).collect();
        let mut intents = Intent::all_in(&topic.topic, &latest);
        for (partition, lease) in &self.leases {
            self.publisher.finish(lease, intents.remove(partition).unwrap_or_default()).await?;
        }
        Ok(())
    }

    /// Publishes records under the ownership of one partition of the state topic, all or none of them.
    pub async fn publish(&self, partition: i32, records: Vec<Record>) -> Result<(), AdminError> {
        let joined = || SeatError::Joined { group_id: self.group_id.clone() };
        let lease = self.leases.get(&partition).ok_or_else(joined)?;
        match self.publisher.publish(lease, records).await {
            // Nothing is remembered here that the proof could move.
            Ok(_proof) => Ok(()),
            Err(PublishError::Lost) => Err(joined().into()),
            Err(error) => Err(error.into()),
        }
    }

    /// What replicas that died left open is aborted, as the accounts are this process's own now.
    pub fn takeover(&self) -> Takeover {
        Takeover::Abort { own: self.transactional_id.clone() }
    }

    /// Makes room for replicas.
    pub async fn leave(self) {
        self.publisher.shut_down(STOP_WITHIN).await;
        drop(self.leases);
        self.membership.leave().await;
    }
}

/// Waits until every partition is this process's.
async fn all_leases(
    admin: &StateAdmin<'_>,
    mut changes: UnboundedReceiver<Change>,
) -> Result<BTreeMap<i32, Lease>, SeatError> {
    let group_id = || admin.config.kafka.group_id.clone();
    let joined = || SeatError::Joined { group_id: group_id() };
    let mut leases = BTreeMap::new();
    let deadline = tokio::time::Instant::now() + ASSIGNED_WITHIN;
    while (0..admin.place.partitions).any(|partition| !leases.contains_key(&partition)) {
        match tokio::time::timeout_at(deadline, changes.recv()).await {
            Ok(Some(Change::Granted(granted))) => {
                leases.extend(granted.into_iter().map(|lease| (lease.partition(), lease)));
            }
            Ok(Some(Change::Refused(reason))) => return Err(SeatError::Refused { group_id: group_id(), reason }),
            // Part of them went to somebody else.
            Ok(Some(Change::Superseded) | None) | Err(_) => return Err(joined()),
        }
    }
    Ok(leases)
}

async fn wait_until_empty(admin: &StateAdmin<'_>, wait: Duration, told: impl Fn(Duration)) -> Result<(), AdminError> {
    let group = Group {
        connection: admin.connection.clone(),
        group_id: admin.config.kafka.group_id.clone(),
        state_topic: admin.config.kafka.state_topic.clone(),
    };
    let started = Instant::now();
    let mut is_told = false;
    loop {
        let Occupancy::Members(members) = group.occupancy().await? else { return Ok(()) };
        if started.elapsed() >= wait {
            return Err(SeatError::InUse { group_id: group.group_id, members }.into());
        }
        if !std::mem::replace(&mut is_told, true) {
            told(wait);
        }
        tokio::time::sleep(ASK_EVERY.min(wait.saturating_sub(started.elapsed()))).await;
    }
}
