//! The handle through which accounts publish.
//!
//! The producer lives on a thread of its own ([`super::worker`]), since librdkafka's calls block. This side only
//! bounds what waits there, hands steps over and gives their answers back. In rehearsals a log in memory stands in the
//! place of both.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::access;
use super::connection::{Connection, InvalidProperty, Unreachable};
use super::intent::Intent;
use super::lease::Lease;
use super::membership::Membership;
use super::memory::MemoryLog;
use super::observer::Observer;
use super::record::{MAX_RECORD_BYTES, Record};
use super::stop::Stop;
use super::worker;

use crate::logging::events;

/// The bytes of steps that may wait or be in flight, all accounts together. Above that, publishing waits.
const ROOM_KIB: usize = 16 * 1024;

/// librdkafka can take long to let go of a producer whose coordinator is away. Nothing that counts is done there any more.
const LETTING_GO: Duration = Duration::from_secs(2);

/// What Kafka promises of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// All of its records in one transaction.
    ExactlyOnce,
    /// Its events, then its state; the events again when that breaks off in between. For clusters without transactions.
    AtLeastOnce,
}

#[derive(Clone)]
pub struct PublisherSettings {
    pub delivery: Delivery,
    pub connection: Connection,
    /// Of this replica alone: what a former process left open under it is aborted.
    pub transactional_id: String,
    /// The right to commit: the broker compares it with the group's present members.
    pub membership: Membership,
    pub state_topic: Arc<str>,
    /// A transaction is closed after this long ...
    pub commit_interval: Duration,
    /// ... or when it holds so many records.
    pub commit_max_events: usize,
    /// No batch of several records is larger: see [`super::topics::Topics::max_batch_bytes`].
    pub max_batch_bytes: usize,
    pub observer: Observer,
}

/// The proof that every record of a step was acknowledged in a committed transaction. Only the publisher makes one.
#[derive(Debug)]
#[must_use = "only this proof may move what is remembered"]
pub struct Acknowledged(());

impl Acknowledged {
    pub(super) fn after_commit() -> Self {
        Self(())
    }
}

/// Why a step has no acknowledgement, and with that what to do with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The step may be committed or not, only the state topic tells: read it again, then plan anew.
    #[error("the outcome of the transaction is not known; the state topic tells")]
    Restore,
    /// The partition is another replica's now. Nothing of the step was published, or its new owner has seen it.
    #[error("the account's partition is not this replica's any more")]
    Lost,
    /// These records (by their index in the step) are larger than the broker or the topic takes. Nothing of the
    /// step was published.
    #[error("{} of the records in the step are larger than their topic takes", records.len())]
    TooLarge { records: Vec<usize> },
    /// Kafka refuses records of this step (a missing topic, a missing right), and will until somebody acts. Nothing
    /// of the step was published.
    #[error("kafka refuses to take the records: {reason}; see `callfeed check`")]
    Refused { reason: String },
    /// The publisher was shut down. The step may be committed or not.
    #[error("the publisher has stopped")]
    Stopped,
}

/// Why the publisher did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    #[error(transparent)]
    InvalidProperty(#[from] InvalidProperty),
    /// Another process with the same transactional id took over while this one was starting.
    #[error(
        "another process uses the transactional id `{transactional_id}`; each replica needs a `kafka.instance_id` of its own"
    )]
    Contended { transactional_id: String },
    #[error("kafka refuses transactions of `{transactional_id}`: {reason}; {}", what_helps(transactional_id, reason))]
    Refused { transactional_id: String, reason: String },
    #[error("the producer's thread does not run: {0}")]
    Thread(String),
}

impl StartError {
    /// Whether another try may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Contended { .. })
    }
}

/// What to do when transactions are refused. The producer hands on the words of librdkafka alone.
fn what_helps(transactional_id: &str, reason: &str) -> String {
    if reason.contains("transaction.timeout.ms") {
        return access::SHORTER_TRANSACTIONS.to_owned();
    }
    format!("callfeed's principal needs the operation WRITE on TRANSACTIONAL_ID `{transactional_id}`")
}

/// Publishes steps. A cheap handle: clones share one producer.
#[derive(Clone)]
pub struct Publisher {
    way: Way,
    room: Arc<Semaphore>,
    stop: Arc<Stop>,
    end: Arc<End>,
}

/// Where steps go.
#[derive(Clone)]
enum Way {
    Worker(mpsc::Sender<Step>),
    Memory(MemoryLog),
}

impl Publisher {
    /// Publishes to a log in this process instead of brokers: for rehearsals.
    pub fn in_memory(log: MemoryLog) -> Publisher {
        Publisher::by(Way::Memory(log))
    }

    fn by(way: Way) -> Publisher {
        Publisher { way, room: Arc::new(Semaphore::new(ROOM_KIB)), stop: Arc::default(), end: Arc::default() }
    }

    /// Starts a producer. Transactions that a former process left open under its id are aborted, and that process, if it
    /// still runs, is fenced. Tries once, for some seconds.
    pub async fn start(settings: PublisherSettings) -> Result<Publisher, StartError> {
        let (inbox, steps) = mpsc::channel();
        let (started, outcome) = oneshot::channel();
        let publisher = Publisher::by(Way::Worker(inbox));
        let ending = Ending { end: publisher.end.clone(), room: publisher.room.clone() };
        worker::spawn(settings, steps, publisher.stop.clone(), started, ending)?;
        // The worker answers before it ends.
        outcome.await.unwrap_or_else(|_| Err(StartError::Thread("it ended at once".to_owned())))?;
        Ok(publisher)
    }

    /// Publishes all records of one step, and returns when they are committed. The step joins the open transaction;
    /// it is sent again, as it is, when that is aborted. Safe to drop: the step is then published or not as a whole.
    ///
    /// The lease is that of the partition that the step's state records go to.
    pub async fn publish(&self, lease: &Lease, records: Vec<Record>) -> Result<Acknowledged, PublishError> {
        let sizes: Vec<usize> = records.iter().map(Record::size).collect();
        let oversized: Vec<usize> = (0..records.len()).filter(|index| sizes[*index] > MAX_RECORD_BYTES).collect();
        if !oversized.is_empty() {
            return Err(PublishError::TooLarge { records: oversized });
        }
        let inbox = match &self.way {
            Way::Worker(inbox) => inbox,
            Way::Memory(log) => return log.publish(records).await,
        };
        let bytes = sizes.iter().sum();
        let room = self.room_for(bytes).await?;
        let (answer, outcome) = oneshot::channel();
        if inbox.send(Step { lease: lease.clone(), records, bytes, answer, _room: room }).is_err() {
            return Err(PublishError::Stopped);
        }
        outcome.await.unwrap_or(Err(PublishError::Stopped))
    }

    /// Publishes what a process that is no more was about to publish in a partition. What Kafka refuses was not published
    /// then either; its rows are read again.
    pub async fn finish(&self, lease: &Lease, intents: Vec<Intent>) -> Result<(), PublishError> {
        for Intent { records, tombstones } in intents {
            let n_records = records.len();
            tracing::info!(name: events::STEP_TAKEN_OVER, partition = lease.partition(), n_records, "finishing what another process had begun");
            let whole = [records, tombstones.clone()].concat();
            match self.publish(lease, whole).await {
                Err(error @ (PublishError::TooLarge { .. } | PublishError::Refused { .. })) => {
                    tracing::error!(name: events::STEP_GIVEN_UP, partition = lease.partition(), %error, "what another process had begun is given up");
                    let _gone = self.publish(lease, tombstones).await?;
                }
                // Nothing of it is in memory yet that the proof could move.
                outcome => drop(outcome?),
            }
        }
        Ok(())
    }

    /// Closes the transaction in hand (committed if there is time, otherwise aborted) and stops the producer.
    /// Steps that are not in it are answered [`PublishError::Stopped`].
    pub async fn shut_down(&self, within: Duration) {
        let Way::Worker(_) = self.way else { return };
        self.stop.request(Instant::now() + within);
        if tokio::time::timeout(within + LETTING_GO, self.end.reached()).await.is_err() {
            tracing::warn!(
                "the kafka client does not end in time and is left alone; what it had not committed is aborted"
            );
        }
    }

    /// Whether nothing is published any more, whoever wanted that.
    pub fn has_ended(&self) -> bool {
        self.end.is_reached()
    }

    /// A step larger than all the room there is takes all of it.
    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, PublishError> {
        let kib = bytes.div_ceil(1024).clamp(1, ROOM_KIB);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        self.room.clone().acquire_many_owned(kib).await.map_err(|_| PublishError::Stopped)
    }
}

/// One step on its way to the worker.
pub(super) struct Step {
    pub lease: Lease,
    pub records: Vec<Record>,
    pub bytes: usize,
    pub answer: oneshot::Sender<Result<Acknowledged, PublishError>>,
    _room: OwnedSemaphorePermit,
}

impl Step {
    pub fn answer(self, outcome: Result<Acknowledged, PublishError>) {
        // Who asked may have gone meanwhile; the outcome is in Kafka all the same.
        let _ = self.answer.send(outcome);
    }
}

/// Reached when the worker has ended.
struct End(Semaphore);

impl Default for End {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl End {
    fn is_reached(&self) -> bool {
        self.0.is_closed()
    }

    async fn reached(&self) {
        // No permit is ever given: this returns when the semaphore is closed.
        let _ = self.0.acquire().await;
    }
}

/// Held by the worker's thread: however that ends, nobody waits for it afterwards.
pub(super) struct Ending {
    end: Arc<End>,
    room: Arc<Semaphore>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.room.close();
        self.end.0.close();
    }
}

/// Against librdkafka's in-process cluster, which `callfeed demo` runs on. What real brokers do is tested in `tests/it`.
#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use rdkafka::mocking::MockCluster;
    use tokio::sync::mpsc::UnboundedReceiver;

    use super::*;
    use crate::edge::kafka::{Change, MembershipSettings, StateTopic, Takeover, Tenure};

    #[tokio::test]
    async fn what_is_published_to_the_in_process_cluster_is_restored() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("state", 2, 1).unwrap();
        let (settings, mut changes) = settings(cluster.bootstrap_servers());
        let publisher = Publisher::start(settings.clone()).await.unwrap();
        let (one, two) = (vec![record("acme", "1"), record("other", "1")], vec![record("acme", "2")]);

        let Some(Change::Granted(leases)) = changes.recv().await else { panic!("nothing was assigned") };
        assert_eq!(leases.iter().map(Lease::partition).collect::<Vec<_>>(), [0, 1]);

        publisher.publish(&leases[0], one).await.map(drop).unwrap();
        publisher.publish(&leases[1], two).await.map(drop).unwrap();
        publisher.shut_down(Duration::from_secs(10)).await;

        assert_eq!(publisher.publish(&leases[0], Vec::new()).await.map(drop), Err(PublishError::Stopped));
        settings.membership.leave().await;
        let state = StateTopic {
            connection: settings.connection,
            group_id: "group".to_owned(),
            topic: "state".into(),
            partitions: 2,
            takeover: Takeover::Wait,
        };
        let restored = state.restore(&state.all_partitions(), Duration::from_secs(30), |_| {}).await.unwrap();
        let expected = [("acme".to_owned(), b"2".to_vec()), ("other".to_owned(), b"1".to_vec())];
        assert_eq!(restored, expected.into_iter().collect());
    }

    #[test]
    fn a_refusal_names_the_right_only_when_that_is_missing() {
        let refused = |reason: &str| {
            StartError::Refused { transactional_id: "group-a".to_owned(), reason: reason.to_owned() }.to_string()
        };
        let too_long = refused(
            "Broker: Transaction timeout is larger than the maximum value allowed by the broker's max.transaction.timeout.ms",
        );
        assert!(too_long.contains("transaction.max.timeout.ms") && !too_long.contains("WRITE"), "{too_long}");
        let no_right = refused("Broker: Transactional Id authorization failed");
        assert!(no_right.ends_with("the operation WRITE on TRANSACTIONAL_ID `group-a`"), "{no_right}");
    }

    /// As a member of the group, which grants two partitions.
    pub fn settings(bootstrap_servers: String) -> (PublisherSettings, UnboundedReceiver<Change>) {
        let connection = Connection {
            bootstrap_servers,
            client_id: "test".to_owned(),
            producer_properties: BTreeMap::new(),
            consumer_properties: BTreeMap::new(),
        };
        let (membership, changes) = Membership::join(MembershipSettings {
            connection: connection.clone(),
            group_id: "group".to_owned(),
            tenure: Tenure::Static { instance_id: "instance".to_owned() },
            topic: "state".to_owned(),
        })
        .unwrap();
        let settings = PublisherSettings {
            delivery: Delivery::ExactlyOnce,
            connection,
            transactional_id: "group-instance".to_owned(),
            membership,
            state_topic: "state".into(),
            commit_interval: Duration::from_millis(10),
            commit_max_events: 100,
            max_batch_bytes: 100_000,
            observer: Arc::new(|_| {}),
        };
        (settings, changes)
    }

    fn record(key: &str, value: &str) -> Record {
        Record {
            topic: "state".into(),
            partition: None,
            key: Some(key.into()),
            value: Some(value.into()),
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }
}
