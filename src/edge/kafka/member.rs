//! The group's side of a membership: gives leases, and takes them back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::UnboundedSender;

use super::connection::{ClientLog, InvalidProperty};
use super::lease::{Issued, Lease};
use super::membership::{Change, MembershipSettings, Tenure, lock};
use super::session;
use super::standing::Standing;

use crate::logging::events;

/// How long those who work for a partition may take to finish. Far below `max.poll.interval.ms`, after which the group
/// takes the partition without asking.
pub(super) const REVOKE_WITHIN: Duration = Duration::from_secs(20);

/// How often those who wait look whether they are to stop.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// The shortest session that brokers take by default.
const BRIEF_SESSION: Duration = Duration::from_secs(6);

pub(super) struct Member {
    pub log: ClientLog,
    topic: String,
    leases: Mutex<BTreeMap<i32, Issued>>,
    changes: UnboundedSender<Change>,
    stop: Arc<AtomicBool>,
    /// Of the classic protocol; the newer one leaves it to the brokers.
    pub session: Duration,
    is_classic: bool,
    /// Who this was for the group when that was looked at last.
    standing: Mutex<Option<Standing>>,
    /// From an assignment to its loss.
    is_settled: AtomicBool,
    /// Whether what was assigned is from a time when this instance had another topic.
    is_outdated: AtomicBool,
}

impl Member {
    pub fn subscribe(
        settings: &MembershipSettings,
        changes: UnboundedSender<Change>,
        stop: Arc<AtomicBool>,
    ) -> Result<BaseConsumer<Member>, InvalidProperty> {
        let mut owned = vec![("group.id", settings.group_id.clone())];
        if let Tenure::Static { instance_id } | Tenure::Brief { instance_id } = &settings.tenure {
            owned.push(("group.instance.id", instance_id.clone()));
        }
        let mut config = settings.connection.consumer(&owned);
        // The consumer protocol (KIP-848) has assignors and session time-outs of the broker's own.
        let is_classic = config.get("group.protocol") != Some("consumer");
        if is_classic {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            let is_set = |name| config.get(name).is_some();
            let is_free = !is_set("session.timeout.ms") && !is_set("heartbeat.interval.ms");
            if matches!(settings.tenure, Tenure::Brief { .. }) && is_free {
                config.set("session.timeout.ms", BRIEF_SESSION.as_millis().to_string());
            }
        }
        let log = settings.connection.log("group member");
        let mask = Arc::clone(&log.mask);
        let set = config.get("session.timeout.ms").and_then(|millis| millis.parse().ok());
        let member = Member {
            log,
            topic: settings.topic.clone(),
            leases: Mutex::default(),
            changes,
            stop,
            session: set.map_or(session::USUAL, Duration::from_millis),
            is_classic,
            standing: Mutex::default(),
            is_settled: AtomicBool::new(false),
            is_outdated: AtomicBool::new(false),
        };
        let refused = |error: &KafkaError| InvalidProperty::of(error, &mask);
        let consumer: BaseConsumer<Member> = config.create_with_context(member).map_err(|error| refused(&error))?;
        consumer.subscribe(&[&settings.topic]).map_err(|error| refused(&error))?;
        Ok(consumer)
    }

    /// Whether the group and this client agree on who it is. Not while it joins again: the group may know it by another
    /// id already, and fences what was sent under the former one.
    pub fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::SeqCst)
    }

    pub fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::SeqCst)
    }

    /// Ends all leases when this client was out of the group since the last look, whatever it believes to have kept.
    /// Whoever takes the group's metadata calls this after that, and looks at the leases then. False while it is no member.
    pub fn look(&self, consumer: &BaseConsumer<Self>) -> bool {
        let Some(now) = Standing::of(consumer.client()) else { return false };
        let mut standing = lock(&self.standing);
        let former = standing.replace(now.clone());
        let is_unbroken = |former: &Standing| match self.is_classic {
            true => now.follows(former),
            false => now.is_same_member(former),
        };
        if former.is_some_and(|former| !is_unbroken(&former)) {
            tracing::warn!(name: events::MEMBERSHIP_LOST, "this replica was out of the group for a while; what it had in hand is given up");
            self.end_all();
        }
        true
    }

    fn grant(&self, consumer: &BaseConsumer<Self>, assigned: &mut TopicPartitionList) {
        // Nothing is consumed, so that no committed offset has to be asked for.
        let _ = assigned.set_all_offsets(Offset::End);
        let outcome = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(assigned),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(assigned),
        };
        if let Err(error) = outcome.and_then(|()| consumer.pause(assigned)) {
            tracing::warn!(%error, "kafka group: an assignment was not taken");
        }
        self.is_settled.store(true, Ordering::SeqCst);
        if assigned.elements().iter().any(|element| element.topic() != self.topic) {
            self.is_outdated.store(true, Ordering::SeqCst);
            return;
        }
        self.look(consumer);
        let leases = self.lease_all(consumer);
        let partitions: Vec<i32> = leases.iter().map(Lease::partition).collect();
        tracing::info!(name: events::PARTITION_ASSIGNED, topic = self.topic, ?partitions, "partitions assigned");
        let _ = self.changes.send(Change::Granted(leases));
    }

    /// Leases for what is assigned and has none: what is new, and what was kept over a time out of the group.
    fn lease_all(&self, consumer: &BaseConsumer<Self>) -> Vec<Lease> {
        let assignment = match consumer.assignment() {
            Ok(assignment) => partitions(&assignment, &self.topic),
            Err(error) => {
                tracing::error!(%error, "kafka group: what is assigned cannot be told");
                return Vec::new();
            }
        };
        let mut issued = lock(&self.leases);
        let new = assignment.into_iter().filter(|partition| !issued.contains_key(partition)).collect::<Vec<_>>();
        let lease = |partition| {
            let (lease, other_side) = Issued::lease(partition);
            issued.insert(partition, other_side);
            lease
        };
        new.into_iter().map(lease).collect()
    }

    /// Whoever works for these partitions finishes first, unless they are another's already.
    fn revoke(&self, consumer: &BaseConsumer<Self>, revoked: &TopicPartitionList) {
        self.look(consumer);
        let is_lost = consumer.assignment_lost();
        let partitions = partitions(revoked, &self.topic);
        let issued: Vec<Issued> = partitions.iter().filter_map(|one| lock(&self.leases).remove(one)).collect();
        tracing::info!(name: events::PARTITION_REVOKED, topic = self.topic, ?partitions, is_lost, "partitions revoked");
        if is_lost {
            self.is_settled.store(false, Ordering::SeqCst);
            issued.into_iter().for_each(Issued::end_now);
        } else {
            self.end_in_order(issued);
        }
        let outcome = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(revoked),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        };
        if let Err(error) = outcome {
            tracing::warn!(%error, "kafka group: a revocation was not taken");
        }
    }

    fn end_in_order(&self, issued: Vec<Issued>) {
        let until = Instant::now() + REVOKE_WITHIN;
        issued.iter().for_each(Issued::ask_to_end);
        let is_late = || Instant::now() >= until || self.stop.load(Ordering::SeqCst);
        let ended = issued.into_iter().map(|one| {
            while !one.is_returned_within(POLL) && !is_late() {}
            one.end()
        });
        let n_unfinished = ended.filter(|is_in_order| !is_in_order).count();
        if n_unfinished > 0 {
            tracing::warn!(
                n_partitions = n_unfinished,
                "accounts did not stop in time; what they have in hand is aborted"
            );
        }
    }

    pub fn end_all(&self) {
        std::mem::take(&mut *lock(&self.leases)).into_values().for_each(Issued::end_now);
    }
}

fn partitions(list: &TopicPartitionList, topic: &str) -> Vec<i32> {
    list.elements_for_topic(topic).iter().map(|element| element.partition()).collect()
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.log.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.error(error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.grant(consumer, partitions),
            _ => self.revoke(consumer, partitions),
        }
    }
}
