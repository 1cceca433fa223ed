//! This replica as a member of the consumer group that divides the state topic, and with it the accounts.
//!
//! The group's partitions are not consumed here: being assigned one is the right to write for it, a [`Lease`]. The
//! client's thread serves the group. A partition that is to go to another replica is given up only when all who work
//! for it have finished, or after a while; the group waits for that (cooperative rebalancing, KIP-429; KIP-848
//! likewise). A membership that was lost takes its leases along at once, and is joined anew by the client.
//!
//! Members are static (KIP-345): a replica that comes back within the session time-out finds its partitions as it left
//! them, and nobody else is disturbed. So it does not leave the group when it stops; [`Tenure::Visit`] does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::access::{self, Operation, Resource};
use super::connection::{Connection, InvalidProperty};
use super::lease::Lease;
use super::member::{Member, POLL};
use super::session;
use super::standing::Standing;

use crate::logging::events;

/// How long the client may take to say good-bye to the group.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

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
    /// Whose partitions are divided.
    pub topic: String,
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
    is_superseded: Arc<AtomicBool>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// The client of the time; none after the end.
type Current = Arc<Mutex<Option<Arc<BaseConsumer<Member>>>>>;

impl Membership {
    /// Joins the group, and goes on to be a member until it leaves.
    pub fn join(settings: MembershipSettings) -> Result<(Self, UnboundedReceiver<Change>), InvalidProperty> {
        let (changes, heard) = unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let consumer = Member::subscribe(&settings, changes.clone(), stop.clone())?;
        let current: Current = Arc::new(Mutex::new(Some(Arc::new(consumer))));
        let is_superseded = Arc::new(AtomicBool::new(false));
        let group_id = settings.group_id.as_str().into();
        let service = Service {
            settings,
            changes,
            current: current.clone(),
            stop: stop.clone(),
            is_superseded: is_superseded.clone(),
            is_told: AtomicBool::new(false),
        };
        let thread = std::thread::Builder::new().name("kafka-membership".to_owned());
        let thread = thread.spawn(move || service.serve()).map_err(|error| InvalidProperty {
            name: "*".to_owned(),
            reason: format!("the thread of the membership does not run: {error}"),
        })?;
        Ok((Self { group_id, current, stop, is_superseded, thread: Arc::new(Mutex::new(Some(thread))) }, heard))
    }

    pub(super) fn group_id(&self) -> &str {
        &self.group_id
    }

    /// Member and generation as of now, for the broker to compare with those that it knows (KIP-447). What is not held
    /// after that was not held all the time up to then.
    pub(super) fn metadata(&self) -> Option<ConsumerGroupMetadata> {
        let consumer = lock(&self.current).clone()?;
        let metadata = consumer.group_metadata()?;
        consumer.context().look(&consumer).then_some(metadata)
    }

    /// By which id the group knows this member; none while it is none.
    pub fn member_id(&self) -> Option<String> {
        let consumer = lock(&self.current).clone()?;
        Some(Standing::of(consumer.client())?.member_id().to_owned())
    }

    /// Commits offsets as this member, which the group refuses when it is none any more.
    pub(super) fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        match lock(&self.current).clone() {
            Some(consumer) => consumer.commit(offsets, CommitMode::Sync),
            None => Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::UnknownMemberId)),
        }
    }

    /// Whether another process is the member in the place of this one.
    pub fn is_superseded(&self) -> bool {
        self.is_superseded.load(Ordering::SeqCst)
    }

    /// Whether the group is not served any more, whoever wanted that.
    pub fn has_ended(&self) -> bool {
        lock(&self.thread).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops serving the group. Leases that are not given back by then are over.
    pub async fn leave(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread {
            // The thread ends with its next look. Its client may take longer where the brokers are away.
            let ended = tokio::task::spawn_blocking(move || thread.join());
            let _ = tokio::time::timeout(LEAVE_WITHIN, ended).await;
        }
    }
}

/// What the thread works with.
struct Service {
    settings: MembershipSettings,
    changes: UnboundedSender<Change>,
    current: Current,
    stop: Arc<AtomicBool>,
    is_superseded: Arc<AtomicBool>,
    /// Whether it was told that somebody else is the member.
    is_told: AtomicBool,
}

impl Service {
    fn serve(self) {
        while !self.stop.load(Ordering::SeqCst)
            && let Some(pause) = self.serve_one_client()
        {
            // The client closes before the next one takes its place.
            drop(lock(&self.current).take());
            self.join_anew(pause);
        }
        if let Some(consumer) = lock(&self.current).take() {
            consumer.context().end_all();
        }
    }

    /// Serves until the client is of no more use. Tells after which pause there is to be another one; none at the end.
    fn serve_one_client(&self) -> Option<Duration> {
        let Some(consumer) = lock(&self.current).clone() else { return Some(REJOIN_EVERY) };
        let member = consumer.context();
        while !self.stop.load(Ordering::SeqCst) {
            // Nothing is consumed: what comes are errors, and the calls of `Member::rebalance`.
            if let Some(Err(error)) = consumer.poll(POLL) {
                self.note(&consumer, &error);
            }
            if member.is_outdated() {
                tracing::warn!(
                    wait = ?member.session,
                    "the group knows this `kafka.instance_id` by another state topic, waiting until that session is over"
                );
                return Some(member.session + REJOIN_EVERY);
            }
            if let Some((code, reason)) = consumer.client().fatal_error() {
                return self.after_fatal(member, code, reason);
            }
        }
        None
    }

    fn after_fatal(&self, member: &Member, code: RDKafkaErrorCode, reason: String) -> Option<Duration> {
        member.end_all();
        match code {
            RDKafkaErrorCode::FencedInstanceId if member.is_settled() => {
                self.is_superseded.store(true, Ordering::SeqCst);
                let _ = self.changes.send(Change::Superseded);
                return None;
            }
            RDKafkaErrorCode::FencedInstanceId => {
                tracing::warn!(name: events::MEMBERSHIP_LOST, "fenced while it joined the group again, joining anew");
            }
            // It comes again with each try.
            RDKafkaErrorCode::UnreleasedInstanceId if self.is_told.swap(true, Ordering::SeqCst) => {}
            RDKafkaErrorCode::UnreleasedInstanceId => {
                tracing::warn!(
                    "the group still has a member with this `kafka.instance_id`, waiting for it to leave or for the end of its session"
                );
            }
            _ => drop(self.changes.send(Change::Refused(reason))),
        }
        Some(REJOIN_EVERY)
    }

    fn join_anew(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while Instant::now() < until && !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(POLL);
        }
        match Member::subscribe(&self.settings, self.changes.clone(), self.stop.clone()) {
            Ok(consumer) => *lock(&self.current) = Some(Arc::new(consumer)),
            Err(error) => tracing::error!(%error, "the group cannot be joined again"),
        }
    }

    fn note(&self, consumer: &BaseConsumer<Member>, error: &KafkaError) {
        let reason = consumer.context().log.reason(error);
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            let reason = access::missing(&[Operation::Read], Resource::Group(&self.settings.group_id));
            let _ = self.changes.send(Change::Refused(reason));
        } else if error.rdkafka_error_code() == Some(RDKafkaErrorCode::InvalidSessionTimeout) {
            let _ = self.changes.send(Change::Refused(session::out_of_bounds(consumer.context().session)));
        } else if is_refusal(error) {
            let _ = self.changes.send(Change::Refused(reason));
        } else {
            tracing::debug!(%reason, "kafka group");
        }
    }
}

fn is_refusal(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, SaslAuthenticationFailed, TopicAuthorizationFailed,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(
            ClusterAuthorizationFailed | GroupAuthorizationFailed | SaslAuthenticationFailed | TopicAuthorizationFailed
        )
    )
}

/// A panic of another holder leaves the value whole: each is changed in one assignment.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
