//! The handle through which accounts publish.
//!
//! The producer lives on a thread of its own ([`super::worker`]), since librdkafka's calls block. This side only
//! bounds what waits there, hands steps over and gives their answers back. In rehearsals a log in memory stands in the
//! place of both.

use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::connection::{Connection, InvalidProperty, Unreachable};
use super::memory::MemoryLog;
use super::observer::Observer;
use super::record::{MAX_RECORD_BYTES, Record};
use super::stop::Stop;
use super::worker;

/// The bytes of steps that may wait or be in flight, all accounts together. Above that, publishing waits.
const ROOM_KIB: usize = 16 * 1024;

#[derive(Clone)]
pub struct PublisherSettings {
    pub connection: Connection,
    /// Also the `transactional.id`: a second process with the same group takes over.
    pub group_id: String,
    pub instance_id: String,
    pub state_topic: String,
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
    /// Another process with the same group has taken over. It is final for this publisher.
    #[error(
        "another callfeed with the same `kafka.group_id` has taken over: {by}; stop one of the two, or give them different groups and state topics"
    )]
    Superseded { by: String },
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
    /// Another process with the same group took over while this one was starting.
    #[error("another callfeed with the same `kafka.group_id` is starting at the same time")]
    Contended,
    #[error("kafka refuses transactions of `{group_id}`: {reason}; {remedy}")]
    Refused { group_id: String, reason: String, remedy: String },
    #[error("the producer's thread does not run: {0}")]
    Thread(String),
}

impl StartError {
    /// Whether another try may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Contended)
    }
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

    /// Starts a producer and makes this process the owner of the group: transactions that a former process left
    /// open are aborted, and a former process that still runs is superseded. Tries once, for some seconds.
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
    pub async fn publish(&self, records: Vec<Record>) -> Result<Acknowledged, PublishError> {
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
        if inbox.send(Step { records, bytes, answer, _room: room }).is_err() {
            return Err(self.end.cause());
        }
        outcome.await.unwrap_or_else(|_| Err(self.end.cause()))
    }

    /// Closes the transaction in hand (committed if there is time, otherwise aborted) and stops the producer.
    /// Steps that are not in it are answered [`PublishError::Stopped`].
    pub async fn shut_down(&self, within: Duration) {
        if let Way::Worker(_) = self.way {
            self.stop.request(Instant::now() + within);
            self.end.reached().await;
        }
    }

    /// A step larger than all the room there is takes all of it.
    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, PublishError> {
        let kib = bytes.div_ceil(1024).clamp(1, ROOM_KIB);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        self.room.clone().acquire_many_owned(kib).await.map_err(|_| self.end.cause())
    }
}

/// One step on its way to the worker.
pub(super) struct Step {
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

/// How the worker ended, for those who come later.
struct End {
    cause: OnceLock<PublishError>,
    reached: Semaphore,
}

impl Default for End {
    fn default() -> Self {
        Self { cause: OnceLock::new(), reached: Semaphore::new(0) }
    }
}

impl End {
    fn cause(&self) -> PublishError {
        self.cause.get().cloned().unwrap_or(PublishError::Stopped)
    }

    async fn reached(&self) {
        // No permit is ever given: this returns when the semaphore is closed.
        let _ = self.reached.acquire().await;
    }
}

/// Held by the worker's thread: however that ends, nobody waits for it afterwards.
pub(super) struct Ending {
    end: Arc<End>,
    room: Arc<Semaphore>,
}

impl Ending {
    pub fn because(&self, cause: PublishError) {
        // It ends once; a second word would not be the cause.
        let _ = self.end.cause.set(cause);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.room.close();
        self.end.reached.close();
    }
}

/// Against librdkafka's in-process cluster, which `callfeed demo` runs on. What real brokers do is tested in `tests/it`.
#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::edge::kafka::StateTopic;

    #[tokio::test]
    async fn what_is_published_to_the_in_process_cluster_is_restored() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("state", 2, 1).unwrap();
        let settings = settings(cluster.bootstrap_servers());
        let publisher = Publisher::start(settings.clone()).await.unwrap();
        let (one, two) = (vec![record("acme", "1"), record("other", "1")], vec![record("acme", "2")]);

        publisher.publish(one).await.map(drop).unwrap();
        publisher.publish(two).await.map(drop).unwrap();
        publisher.shut_down(Duration::from_secs(10)).await;

        assert_eq!(publisher.publish(Vec::new()).await.map(drop), Err(PublishError::Stopped));
        let state = StateTopic {
            connection: settings.connection,
            group_id: settings.group_id,
            topic: "state".into(),
            partitions: 2,
        };
        let restored = state.restore(&state.all_partitions(), Duration::from_secs(30), |_| {}).await.unwrap();
        let expected = [("acme".to_owned(), b"2".to_vec()), ("other".to_owned(), b"1".to_vec())];
        assert_eq!(restored, expected.into_iter().collect());
    }

    fn settings(bootstrap_servers: String) -> PublisherSettings {
        let connection = Connection {
            bootstrap_servers,
            client_id: "test".to_owned(),
            producer_properties: BTreeMap::new(),
            consumer_properties: BTreeMap::new(),
        };
        PublisherSettings {
            connection,
            group_id: "group".to_owned(),
            instance_id: "instance".to_owned(),
            state_topic: "state".to_owned(),
            commit_interval: Duration::from_millis(10),
            commit_max_events: 100,
            max_batch_bytes: 100_000,
            observer: Arc::new(|_| {}),
        }
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
