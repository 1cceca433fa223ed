//! This replica as a member of the consumer group that divides the state topic, and with it the accounts.
//!
//! The group's partitions are not consumed here: being assigned one is the right to write for it, a [`Lease`]. The
//! client's thread serves the group. A partition that is to go to another replica is given up only when all who work
//! for it have finished, or after [`REVOKE_WITHIN`]; the group waits for that (cooperative rebalancing, KIP-429; KIP-848
//! likewise). A membership that was lost takes its leases along at once, and is joined anew by the client.
//!
//! Members are static (KIP-345): a replica that comes back within the session time-out finds its partitions as it left
//! them, and nobody else is disturbed. So it does not leave the group when it stops; [`Tenure::Visit`] does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer, ConsumerContext, ConsumerGroupMetadata, RebalanceProtocol,
};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::access::{self, Operation, Resource};
use super::connection::{ClientLog, Connection, InvalidProperty};
use super::lease::{Issued, Lease};

/// How long those who work for a partition may take to finish. Far below `max.poll.interval.ms`, after which the group
/// takes the partition without asking.
const REVOKE_WITHIN: Duration = Duration::from_secs(20);

/// How often the thread looks whether it is to stop.
const POLL: Duration = Duration::from_millis(100);

/// The shortest session that brokers take by default.
const BRIEF_SESSION: Duration = Duration::from_secs(6);

/// Between two tries to join with an instance id that the group believes to be in use.
const REJOIN_EVERY: Duration = Duration::from_secs(2);

/// How a replica takes part in the group.
#[derive(Clone, Debug)]
pub enum Tenure {
    /// As the instance of this name, whose partitions wait for it over a restart.
    Static { instance_id: String },
    /// The same for a process that ends soon: others need not wait long for its partitions then.
    Brief { instance_id: String },
    /// For the time of one command: its partitions are free when it leaves.
    Visit,
}

#[derive(Clone)]
pub struct MembershipSettings {
    pub connection: Connection,
    pub group_id: String,
    pub tenure: Tenure,
    pub state_topic: String,
}

/// What becomes of the membership.
#[derive(Debug)]
pub enum Change {
    /// These partitions are assigned to this replica now, beside those that it has. Revocations are told by the leases.
    Granted(Vec<Lease>),
    /// Another process with the same instance id has joined in the place of this one. It is final.
    Superseded,
    /// The group cannot be joined, and will not be until somebody acts.
    Refused(String),
}

/// A handle: clones are the same membership, which lasts until [`Membership::leave`].
#[derive(Clone)]
pub struct Membership {
    group_id: Arc<str>,
    current: Current,
    stop: Arc<AtomicBool>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// The client of the time; none after the end.
type Current = Arc<Mutex<Option<Arc<BaseConsumer<Member>>>>>;

impl Membership {
    /// Joins the group, and goes on to be a member until it leaves.
    pub fn join(settings: MembershipSettings) -> Result<(Self, UnboundedReceiver<Change>), InvalidProperty> {
        let (changes, heard) = unbounded_channel();
        let consumer = Member::subscribe(&settings, changes.clone())?;
        let current: Current = Arc::new(Mutex::new(Some(Arc::new(consumer))));
        let stop = Arc::new(AtomicBool::new(false));
        let group_id = settings.group_id.as_str().into();
        let service = Service { settings, changes, current: current.clone(), stop: stop.clone() };
        let thread = std::thread::Builder::new().name("kafka-membership".to_owned());
        let thread = thread.spawn(move || service.serve()).map_err(|error| InvalidProperty {
            name: "*".to_owned(),
            reason: format!("the thread of the membership does not run: {error}"),
        })?;
        Ok((Self { group_id, current, stop, thread: Arc::new(Mutex::new(Some(thread))) }, heard))
    }

    pub(super) fn group_id(&self) -> &str {
        &self.group_id
    }

    /// Member and generation as of now, for the broker to compare with those that it knows (KIP-447).
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        let consumer = lock(&self.current).clone();
        consumer?.group_metadata()
    }

    /// Commits offsets as this member, which the group refuses when it is none any more.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        match lock(&self.current).clone() {
            Some(consumer) => consumer.commit(offsets, CommitMode::Sync),
            None => Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownMemberId)),
        }
    }

    /// Stops serving the group. Leases that are not given back by then are over.
    pub async fn leave(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // The thread ends with its next look; what it may wait for is bounded.
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
        }
    }
}

/// What the thread works with.
struct Service {
    settings: MembershipSettings,
    changes: UnboundedSender<Change>,
    current: Current,
    stop: Arc<AtomicBool>,
}

impl Service {
    fn serve(self) {
        while !self.stop.load(Ordering::SeqCst) && self.serve_one_client() {
            // The client closes before the next one takes its place.
            drop(lock(&self.current).take());
            self.join_anew();
        }
        if let Some(consumer) = lock(&self.current).take() {
            consumer.context().end_all();
        }
    }

    /// Serves until the end, or until the client has a fatal error. Tells whether there is to be another client.
    fn serve_one_client(&self) -> bool {
        let Some(consumer) = lock(&self.current).clone() else { return true };
        while !self.stop.load(Ordering::SeqCst) {
            // Nothing is consumed: what comes are errors, and the calls of `Member::rebalance`.
            if let Some(Err(error)) = consumer.poll(POLL) {
                self.note(&consumer, &error);
            }
            let Some((code, reason)) = consumer.client().fatal_error() else { continue };
            consumer.context().end_all();
            match code {
                RDKafkaErrorCode::FencedInstanceId => {
                    let _ = self.changes.send(Change::Superseded);
                    return false;
                }
                RDKafkaErrorCode::UnreleasedInstanceId => {
                    tracing::warn!(
                        "the group still has a member with this `kafka.instance_id`, waiting for it to leave or for the end of its session"
                    );
                }
                _ => drop(self.changes.send(Change::Refused(reason))),
            }
            return true;
        }
        false
    }

    fn join_anew(&self) {
        let until = Instant::now() + REJOIN_EVERY;
        while Instant::now() < until && !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(POLL);
        }
        match Member::subscribe(&self.settings, self.changes.clone()) {
            Ok(consumer) => *lock(&self.current) = Some(Arc::new(consumer)),
            Err(error) => tracing::error!(%error, "the group cannot be joined again"),
        }
    }

    fn note(&self, consumer: &BaseConsumer<Member>, error: &KafkaError) {
        let reason = consumer.context().log.reason(error);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            let reason = access::missing(&[Operation::Read], Resource::Group(&self.settings.group_id));
            let _ = self.changes.send(Change::Refused(reason));
        } else if is_refusal(error) {
            let _ = self.changes.send(Change::Refused(reason));
        } else {
            tracing::debug!(%reason, "kafka group");
        }
    }
}

fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, InvalidSessionTimeout, SaslAuthenticationFailed,
        TopicAuthorizationFailed,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            ClusterAuthorizationFailed
                | GroupAuthorizationFailed
                | InvalidSessionTimeout
                | SaslAuthenticationFailed
                | TopicAuthorizationFailed
        )
    )
}

/// The group's side of the consumer: gives leases, and takes them back.
struct Member {
    log: ClientLog,
    topic: String,
    leases: Mutex<BTreeMap<i32, Issued>>,
    changes: UnboundedSender<Change>,
}

impl Member {
    fn subscribe(
        settings: &MembershipSettings,
        changes: UnboundedSender<Change>,
    ) -> Result<BaseConsumer<Member>, InvalidProperty> {
        let mut owned = vec![("group.id", settings.group_id.clone())];
        if let Tenure::Static { instance_id } | Tenure::Brief { instance_id } = &settings.tenure {
            owned.push(("group.instance.id", instance_id.clone()));
        }
        let mut config = settings.connection.consumer(&owned);
        // The consumer protocol (KIP-848) has assignors and session time-outs of the broker's own.
        if config.get("group.protocol") != Some("consumer") {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            if matches!(settings.tenure, Tenure::Brief { .. }) && config.get("session.timeout.ms").is_none() {
                config.set("session.timeout.ms", BRIEF_SESSION.as_millis().to_string());
            }
        }
        let log = settings.connection.log("group member");
        let mask = Arc::clone(&log.mask);
        let member = Member { log, topic: settings.state_topic.clone(), leases: Mutex::default(), changes };
        let refused = |error: &KafkaError| InvalidProperty::of(error, &mask);
        let consumer: BaseConsumer<Member> = config.create_with_context(member).map_err(|error| refused(&error))?;
        consumer.subscribe(&[&settings.state_topic]).map_err(|error| refused(&error))?;
        Ok(consumer)
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
        let mut leases = Vec::new();
        for partition in partitions(assigned, &self.topic) {
            let (lease, issued) = Issued::lease(partition);
            lock(&self.leases).insert(partition, issued);
            leases.push(lease);
        }
        tracing::info!(partitions = ?leases.iter().map(Lease::partition).collect::<Vec<_>>(), "partitions assigned");
        let _ = self.changes.send(Change::Granted(leases));
    }

    /// Whoever works for these partitions finishes first, unless they are another's already.
    fn revoke(&self, consumer: &BaseConsumer<Self>, revoked: &TopicPartitionList) {
        let is_lost = consumer.assignment_lost();
        let partitions = partitions(revoked, &self.topic);
        let issued: Vec<Issued> = partitions.iter().filter_map(|one| lock(&self.leases).remove(one)).collect();
        tracing::info!(?partitions, is_lost, "partitions revoked");
        if is_lost {
            issued.into_iter().for_each(Issued::end);
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
        let ended = issued.into_iter().map(|one| one.end_within(until.saturating_duration_since(Instant::now())));
        let n_unfinished = ended.filter(|is_in_order| !is_in_order).count();
        if n_unfinished > 0 {
            tracing::warn!(
                n_partitions = n_unfinished,
                "accounts did not stop in time; what they have in hand is aborted"
            );
        }
    }

    fn end_all(&self) {
        std::mem::take(&mut *lock(&self.leases)).into_values().for_each(Issued::end);
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

/// A panic of another holder leaves the value whole: each is changed in one assignment.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
