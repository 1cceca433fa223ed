//! One producer, with transactions or without.
//!
//! Wraps librdkafka's calls, each of which may have to be repeated, in calls that end: with success, with what to do
//! next ([`Trouble`]), or when there is no time left. It knows nothing of steps.
//!
//! Without transactions (delivery at least once), to begin and to commit are nothing by themselves, the membership is
//! proved by an ordinary commit of offsets, and nothing can be taken back: instead of an abort the producer is replaced.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::access;
use super::connection::{Connection, InvalidProperty};
use super::deliveries::{Deliveries, Failure};
use super::membership::Membership;
use super::publisher::{Delivery, PublisherSettings};
use super::record::{MAX_RECORD_BYTES, Record};
use super::stop::Stop;
use super::trouble::{InitialiseError, SendError, Trouble, fatal, is_fencing, is_refusal};

/// Bounds what librdkafka holds of records that it has not delivered. It must hold the largest record.
const QUEUE_KIB: usize = 16 * 1024;

/// The broker aborts a transaction that is open for longer. It also bounds for how long the records of a process
/// that died hold up consumers. Not above the usual session time-out: whoever takes over then does not wait longer.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(45);

/// For how long librdkafka tries to deliver a record. Below the time-out of the transaction, so that a failure is
/// seen while the transaction can still be aborted by its own producer.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long one blocking call may take before the thread looks whether it is to stop.
const SLICE: Duration = Duration::from_millis(500);

/// While delivery reports are waited for. Short, as polling always lasts to its end.
const POLL: Duration = Duration::from_millis(2);

/// How long records that are on their way may take to come back when a transaction has failed.
const PURGE: Duration = Duration::from_secs(2);

/// Of the time that a request to stop leaves, this much is kept for an abort.
pub(super) const LAST_MOMENT: Duration = Duration::from_secs(2);

pub(super) struct StepProducer {
    producer: Arc<BaseProducer<Deliveries>>,
    delivery: Delivery,
    state_topic: Arc<str>,
    stop: Arc<Stop>,
    /// How long ending a transaction may take before its outcome counts as unknown.
    patience: Duration,
    sent: usize,
}

impl StepProducer {
    pub fn create(settings: &PublisherSettings, stop: Arc<Stop>) -> Result<Self, InvalidProperty> {
        let config = configuration(settings);
        let patience = transaction_timeout(&config) + Duration::from_secs(5);
        let log = settings.connection.log("producer");
        let mask = Arc::clone(&log.mask);
        let deliveries = Deliveries::new(log, settings.state_topic.clone());
        let producer = config.create_with_context(deliveries).map_err(|error| InvalidProperty::of(&error, &mask))?;
        let producer = Arc::new(producer);
        let (delivery, state_topic) = (settings.delivery, settings.state_topic.clone());
        Ok(Self { producer, delivery, state_topic, stop, patience, sent: 0 })
    }

    /// Resolves what former producers with the same id left open, and fences them.
    pub fn initialise(&self, within: Duration) -> Result<(), InitialiseError> {
        if self.delivery == Delivery::AtLeastOnce {
            return Ok(());
        }
        let started = Instant::now();
        loop {
            let Err(error) = self.producer.init_transactions(SLICE) else { return Ok(()) };
            self.serve();
            let reason = self.producer.context().log.reason(&error);
            match &error {
                KafkaError::Transaction(cause) if cause.is_retriable() => {
                    if started.elapsed() > within || self.stop.is_requested() {
                        return Err(InitialiseError::Unanswered(reason));
                    }
                }
                _ if self.fatal_code().is_some_and(is_fencing) => return Err(InitialiseError::Fenced),
                _ => return Err(InitialiseError::Refused(reason)),
            }
        }
    }

    pub fn begin(&mut self) -> Result<(), Trouble> {
        self.producer.context().forget();
        self.sent = 0;
        match self.delivery {
            Delivery::ExactlyOnce => self.producer.begin_transaction().map_err(|error| self.trouble(&error)),
            Delivery::AtLeastOnce => Ok(()),
        }
    }

    /// Hands one record to librdkafka. That is not an acknowledgement.
    pub fn send(&mut self, record: &Record) -> Result<(), SendError> {
        let mut message: BaseRecord<'_, [u8], [u8], usize> = BaseRecord::with_opaque_to(&record.topic, self.sent);
        message.partition = record.partition;
        message.key = record.key.as_deref();
        message.payload = record.value.as_deref();
        message.timestamp = record.timestamp_ms;
        message.headers = record.native_headers();
        loop {
            let Err((error, unsent)) = self.producer.send(message) else {
                self.sent += 1;
                return Ok(());
            };
            match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::QueueFull) => {
                    self.check().map_err(SendError::Trouble)?;
                    self.poll();
                    message = unsent;
                }
                Some(RDKafkaErrorCode::MessageSizeTooLarge) => return Err(SendError::TooLarge),
                Some(code) if is_refusal(code) => return Err(SendError::Refused(code)),
                _ => return Err(SendError::Trouble(self.trouble(&error))),
            }
        }
    }

    /// The numbers of the records sent in this transaction run up to here.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Waits until every record is acknowledged.
    pub fn settle(&self) -> Result<(), Trouble> {
        while self.producer.context().acknowledged() < self.sent {
            self.check()?;
            self.poll();
        }
        Ok(())
    }

    /// Has the broker confirm that the group has this member in this generation. The transaction will not be committed
    /// without. What it commits for these partitions, how far the state is written, is for people who look at the group.
    ///
    /// All records must have been acknowledged before: whoever is assigned the partitions after the broker's answer then
    /// finds them in the log, and waits for the end of this transaction.
    pub fn confirm(
        &self,
        membership: &Membership,
        member: ConsumerGroupMetadata,
        partitions: &BTreeSet<i32>,
        within: Duration,
    ) -> Result<(), Trouble> {
        let offsets = self.offsets(partitions).map_err(|error| Trouble::Broken(error.to_string()))?;
        let member = Arc::new(member);
        match self.delivery {
            Delivery::ExactlyOnce => self.repeat("confirmation of the group", || {
                let (offsets, member) = (offsets.clone(), Arc::clone(&member));
                self.watch(within, move |producer| producer.send_offsets_to_transaction(&offsets, &member, SLICE))
            }),
            Delivery::AtLeastOnce => membership.commit(&offsets).map_err(|error| self.unconfirmed(&error)),
        }
    }

    /// Up to where these partitions of the state topic are known to be written.
    pub fn offsets(&self, partitions: &BTreeSet<i32>) -> KafkaResult<TopicPartitionList> {
        let ends = self.producer.context().state_ends();
        let mut offsets = TopicPartitionList::new();
        for partition in partitions {
            let end = ends.get(partition).copied().unwrap_or(0);
            offsets.add_partition_offset(&self.state_topic, *partition, Offset::Offset(end))?;
        }
        Ok(offsets)
    }

    fn unconfirmed(&self, error: &KafkaError) -> Trouble {
        let refused = error.rdkafka_error_code().is_some_and(is_refusal);
        Trouble::Abort {
            reason: format!("the group does not confirm this replica: {error}"),
            refused,
            commit_sent: false,
        }
    }

    /// Commits what was settled and confirmed. Only `Ok` means that all of it is committed.
    pub fn commit(&self) -> Result<(), Trouble> {
        match self.delivery {
            Delivery::ExactlyOnce => self.repeat("commit", || self.producer.commit_transaction(SLICE)),
            Delivery::AtLeastOnce => Ok(()),
        }
    }

    /// Ends the transaction without its records. Their reports have all come when this returns `Ok`.
    pub fn abort(&self) -> Result<(), Trouble> {
        if self.delivery == Delivery::AtLeastOnce {
            return Err(Trouble::Broken(
                "without transactions another producer sends again what was not acknowledged".to_owned(),
            ));
        }
        let done = AtomicBool::new(false);
        // The call waits until the reports of what it purged are taken, but takes none itself.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    self.producer.poll(Duration::from_millis(20));
                }
            });
            let outcome = self.repeat("abort", || self.producer.abort_transaction(SLICE));
            done.store(true, Ordering::Release);
            outcome
        })
    }

    /// The records that were not delivered, by their number.
    pub fn take_failures(&self) -> Vec<Failure> {
        self.producer.context().take_failures()
    }

    /// Looks for bad news: a failed record, a fatal error, the end of time.
    pub fn check(&self) -> Result<(), Trouble> {
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return Err(fatal(code, reason));
        }
        if self.producer.context().has_failures() {
            return Err(self.why_aborted());
        }
        if self.stop.is_due(LAST_MOMENT) {
            return Err(Trouble::OutOfTime);
        }
        Ok(())
    }

    /// Serves what waits in the client's queue: reports, errors, log lines.
    pub fn serve(&self) {
        self.producer.poll(Duration::ZERO);
    }

    fn poll(&self) {
        self.producer.poll(POLL);
    }

    /// Repeats a call as long as librdkafka says that it is worth it: the call then resumes where it was.
    fn repeat(&self, what: &str, call: impl Fn() -> KafkaResult<()>) -> Result<(), Trouble> {
        let started = Instant::now();
        loop {
            let Err(error) = call() else { return Ok(()) };
            match &error {
                KafkaError::Flush(RDKafkaErrorCode::OperationTimedOut) => {}
                KafkaError::Transaction(cause) if cause.is_retriable() => {}
                _ => return Err(self.trouble(&error)),
            }
            if self.stop.is_due(Duration::ZERO) {
                return Err(Trouble::OutOfTime);
            }
            if started.elapsed() > self.patience {
                let reason = self.producer.context().log.reason(&error);
                return Err(Trouble::Broken(format!("the {what} has no outcome after {:?}: {reason}", self.patience)));
            }
            // Some errors come back at once.
            self.poll();
        }
    }

    /// Makes a call that may not return, on a thread of its own: while librdkafka looks for the coordinator of the group,
    /// it heeds no time-out (its issues 5456 and 5511). A call that is left alone counts as cancelled. It keeps its
    /// producer until it returns after all.
    fn watch<F>(&self, within: Duration, call: F) -> KafkaResult<()>
    where
        F: FnOnce(&BaseProducer<Deliveries>) -> KafkaResult<()> + Send + 'static,
    {
        let (answer, outcome) = mpsc::channel();
        let producer = Arc::clone(&self.producer);
        let call = move || {
            // Nobody waits any more when it was left alone.
            let _ = answer.send(call(&producer));
        };
        std::thread::Builder::new()
            .name("kafka-confirmation".to_owned())
            .spawn(call)
            .map_err(|_| KafkaError::Canceled)?;
        let started = Instant::now();
        loop {
            match outcome.recv_timeout(SLICE) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) if started.elapsed() < within && !self.stop.is_due(LAST_MOMENT) => {}
                Err(_) => return Err(KafkaError::Canceled),
            }
        }
    }

    fn trouble(&self, error: &KafkaError) -> Trouble {
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            return fatal(code, reason);
        }
        match error {
            KafkaError::Transaction(cause) if cause.txn_requires_abort() => {
                Trouble::Abort { reason: cause.to_string(), refused: is_refusal(cause.code()), commit_sent: true }
            }
            KafkaError::Canceled => Trouble::Stuck,
            // The transaction takes no more records: one before has failed.
            KafkaError::MessageProduction(_) => self.why_aborted(),
            _ => Trouble::Broken(error.to_string()),
        }
    }

    /// librdkafka purges all records when one has failed, and tells the cause only to who asks for the commit, which
    /// it then refuses.
    fn why_aborted(&self) -> Trouble {
        if self.delivery == Delivery::AtLeastOnce {
            let refused = self.producer.context().has_refusals();
            return Trouble::Abort { reason: "a record was not delivered".to_owned(), refused, commit_sent: false };
        }
        let started = Instant::now();
        while self.producer.in_flight_count() > 0 {
            if started.elapsed() > PURGE {
                let reason = "a record was not delivered".to_owned();
                return Trouble::Abort { reason, refused: false, commit_sent: false };
            }
            self.poll();
        }
        match self.producer.commit_transaction(SLICE) {
            Err(KafkaError::Transaction(cause)) if cause.txn_requires_abort() => {
                Trouble::Abort { reason: cause.to_string(), refused: is_refusal(cause.code()), commit_sent: false }
            }
            Err(error) => Trouble::Broken(error.to_string()),
            Ok(()) => Trouble::Broken("committed with a record that was not delivered".to_owned()),
        }
    }

    /// The rights on these topics and the group that the brokers say are missing. A refused transaction does not tell.
    pub fn lacking(&self, topics: &BTreeSet<&str>, group_id: &str) -> Option<String> {
        let needs = |topic: &&str| access::needed_for_topic(**topic == *self.state_topic);
        let needs: Vec<_> = topics.iter().map(|topic| (*topic, needs(topic))).collect();
        access::lacking(self.producer.client(), &needs, group_id)
    }

    fn fatal_code(&self) -> Option<RDKafkaErrorCode> {
        self.producer.client().fatal_error().map(|(code, _)| code)
    }
}

fn configuration(settings: &PublisherSettings) -> ClientConfig {
    let millis = |duration: Duration| duration.as_millis().to_string();
    let defaults = [
        ("compression.type", "zstd".to_owned()),
        // Where Java producers put the same key.
        ("partitioner", "murmur2_random".to_owned()),
        ("linger.ms", "10".to_owned()),
        ("message.max.bytes", (MAX_RECORD_BYTES + 1024 * 1024).to_string()),
        ("queue.buffering.max.kbytes", QUEUE_KIB.to_string()),
        ("transaction.timeout.ms", millis(TRANSACTION_TIMEOUT)),
    ];
    let mut owned = vec![("enable.idempotence", "true".to_owned()), ("acks", "all".to_owned())];
    if settings.delivery == Delivery::ExactlyOnce {
        owned.push(("transactional.id", settings.transactional_id.clone()));
    }
    let mut config = settings.connection.producer(&defaults, &owned);
    if config.get("delivery.timeout.ms").or(config.get("message.timeout.ms")).is_none() {
        config.set("delivery.timeout.ms", millis(DELIVERY_TIMEOUT.min(transaction_timeout(&config) / 2)));
    }
    // Larger batches than the topics take would be refused for records that are small.
    let batch_bytes = config.get("batch.size").and_then(|bytes| bytes.parse().ok());
    let batch_bytes = batch_bytes.map_or(settings.max_batch_bytes, |bytes: usize| bytes.min(settings.max_batch_bytes));
    config.set("batch.size", batch_bytes.to_string());
    config
}

fn transaction_timeout(config: &ClientConfig) -> Duration {
    let set = config.get("transaction.timeout.ms").and_then(|millis| millis.parse().ok());
    set.map_or(TRANSACTION_TIMEOUT, Duration::from_millis)
}

/// Aborts what a producer that is no more left open, and fences it, should it be only asleep.
pub(super) fn abort_open_transaction_of(
    connection: &Connection,
    transactional_id: &str,
    within: Duration,
) -> Result<(), String> {
    let owned = [("transactional.id", transactional_id.to_owned())];
    let log = connection.log("fencing");
    let config = connection.producer(&[], &owned);
    let producer: BaseProducer<Deliveries> =
        config.create_with_context(Deliveries::new(log, "".into())).map_err(|error| error.to_string())?;
    producer.init_transactions(within).map_err(|error| producer.context().log.reason(&error))
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::{MockCluster, MockCoordinator};

    use super::*;
    use crate::edge::kafka::Change;
    use crate::edge::kafka::publisher::tests::settings;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// The coordinator of the group is away, that of the transaction is there.
    #[tokio::test]
    async fn a_confirmation_that_does_not_return_is_left_alone_and_another_producer_goes_on() {
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic("state", 1, 1).unwrap();
        cluster.partition_leader("state", 0, Some(1)).unwrap();
        cluster.coordinator(MockCoordinator::Transaction("group-instance".to_owned()), 1).unwrap();
        cluster.coordinator(MockCoordinator::Group("group".to_owned()), 2).unwrap();
        let (settings, mut changes) = settings(cluster.bootstrap_servers());
        assert!(matches!(changes.recv().await, Some(Change::Granted(_))));
        let confirm = |producer: StepProducer, within| {
            let (settings, partitions) = (settings.clone(), BTreeSet::from([0]));
            let member = settings.membership.metadata().unwrap();
            tokio::task::spawn_blocking(move || {
                let mut producer = producer;
                producer.begin().unwrap_or_else(|trouble| panic!("{trouble:?}"));
                let outcome = producer.confirm(&settings.membership, member, &partitions, within);
                outcome.and_then(|()| producer.commit())
            })
        };
        let create = || {
            let producer = StepProducer::create(&settings, Arc::default()).unwrap();
            assert!(producer.initialise(PATIENCE).is_ok());
            producer
        };

        let first = create();
        cluster.broker_down(2).unwrap();
        let outcome = confirm(first, Duration::from_secs(3)).await.unwrap();
        assert_eq!(outcome, Err(Trouble::Stuck), "when librdkafka keeps to its time-outs, nobody need watch it");
        cluster.broker_up(2).unwrap();
        assert_eq!(confirm(create(), PATIENCE).await.unwrap(), Ok(()));
        settings.membership.leave().await;
    }
}
