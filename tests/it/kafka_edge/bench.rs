//! What the tests of the Kafka edge share.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callfeed::edge::kafka::topics::{self, Creation, TopicPlan, TopicProblem};
use callfeed::edge::kafka::{
    Change, Connection, Delivery, Fact, KafkaEvent, Lease, Membership, MembershipSettings, PublishError, Publisher,
    PublisherSettings, Record, RestoreError, StateTopic, Takeover, Tenure,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::support::{Cluster, Servers, block_on, eventually, unique_name};

pub const TIMEOUT: Duration = Duration::from_secs(60);

const PARTITIONS: i32 = 3;

/// Topics and a group of a test's own, on some cluster.
pub struct Bench {
    pub cluster: Cluster,
    pub group: String,
    pub state: String,
    pub calls: String,
    pub dead_letter: String,
    pub properties: BTreeMap<String, String>,
    pub consumer_properties: BTreeMap<String, String>,
    pub commit_interval: Duration,
    pub commit_max_events: usize,
    pub delivery: Delivery,
    pub events: Arc<Mutex<Vec<KafkaEvent>>>,
}

pub type Outcome = Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>;

impl Bench {
    /// Without topics, and without a cluster that answers.
    pub fn empty() -> Bench {
        Bench {
            cluster: Cluster::at("127.0.0.1:1"),
            group: unique_name("group"),
            state: unique_name("state"),
            calls: unique_name("calls"),
            dead_letter: unique_name("dead"),
            properties: BTreeMap::new(),
            consumer_properties: BTreeMap::new(),
            commit_interval: Duration::from_millis(100),
            commit_max_events: 5000,
            delivery: Delivery::ExactlyOnce,
            events: Arc::default(),
        }
    }

    pub fn shared() -> Bench {
        Bench::on(Servers::shared().kafka.clone())
    }

    pub fn shared_with_state(settings: &[(&str, &str)]) -> Bench {
        let bench = Bench { cluster: Servers::shared().kafka.clone(), ..Bench::empty() };
        bench.cluster.create_topic(&bench.state, PARTITIONS, settings);
        bench
    }

    pub fn on(cluster: Cluster) -> Bench {
        let bench = Bench { cluster, ..Bench::empty() };
        bench.cluster.create_topic(&bench.state, PARTITIONS, &[("cleanup.policy", "compact")]);
        // Its records are as old as they say, and would be deleted at the first look.
        bench.cluster.create_topic(&bench.calls, 1, &[("retention.ms", "-1")]);
        bench
    }

    pub fn property(&mut self, name: &str, value: &str) {
        self.properties.insert(name.to_owned(), value.to_owned());
    }

    pub fn consumer_property(&mut self, name: &str, value: &str) {
        self.consumer_properties.insert(name.to_owned(), value.to_owned());
    }

    pub fn connection(&self) -> Connection {
        Connection {
            bootstrap_servers: self.cluster.bootstrap.clone(),
            client_id: "callfeed-test".to_owned(),
            producer_properties: self.properties.clone(),
            consumer_properties: self.consumer_properties.clone(),
        }
    }

    pub fn start(&self) -> Replica {
        self.start_as("first")
    }

    pub fn start_as(&self, instance: &str) -> Replica {
        let events = Arc::clone(&self.events);
        let (membership, changes) = self.join_as(instance);
        let settings = PublisherSettings {
            delivery: self.delivery,
            connection: self.connection(),
            transactional_id: self.transactional_id(instance),
            membership: membership.clone(),
            state_topic: self.state.as_str().into(),
            commit_interval: self.commit_interval,
            commit_max_events: self.commit_max_events,
            max_batch_bytes: 256 * 1024,
            observer: Arc::new(move |event| events.lock().unwrap().push(event)),
        };
        let publisher = block_on(async move { Publisher::start(settings).await }).unwrap();
        Replica::of(publisher, membership, changes)
    }

    fn join_as(&self, instance: &str) -> (Membership, UnboundedReceiver<Change>) {
        let settings = MembershipSettings {
            connection: self.connection_of_a_consumer(),
            group_id: self.group.clone(),
            tenure: Tenure::Static { instance_id: instance.to_owned() },
            topic: self.state.clone(),
        };
        Membership::join(settings).unwrap()
    }

    pub fn transactional_id(&self, instance: &str) -> String {
        format!("{}-{instance}", self.group)
    }

    /// An event and the state that belongs to it.
    pub fn step(&self, replica: &Replica, account: &str, value: &str) -> Outcome {
        let records = vec![self.event(account, value.as_bytes()), self.state(account, Some(value.into()))];
        replica.publish(self.state_topic().partition_of(account), records)
    }

    /// An event of some account in this partition.
    pub fn step_in(&self, replica: &Replica, partition: i32, value: &str) -> Outcome {
        replica.publish(partition, vec![self.event("key", value.as_bytes())])
    }

    /// Has the group drop a static member, as its operator may.
    pub fn expel(&self, instance: &str) {
        self.cluster.leave_group(&self.group, instance);
    }

    pub fn event(&self, key: &str, value: &[u8]) -> Record {
        Record {
            topic: self.calls.as_str().into(),
            partition: None,
            key: Some(key.into()),
            value: Some(value.to_vec()),
            headers: vec![("ce_id".into(), b"1".as_slice().into())],
            timestamp_ms: Some(1_700_000_000_000),
        }
    }

    pub fn state(&self, key: &str, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: self.state.as_str().into(),
            partition: Some(self.state_topic().partition_of(key)),
            key: Some(key.into()),
            value,
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    pub fn state_topic(&self) -> StateTopic {
        StateTopic {
            connection: self.connection_of_a_consumer(),
            group_id: self.group.clone(),
            topic: self.state.as_str().into(),
            partitions: PARTITIONS,
            takeover: Takeover::Wait,
        }
    }

    /// As the replica that takes the partitions over reads it.
    pub fn state_topic_of(&self, instance: &str) -> StateTopic {
        StateTopic { takeover: Takeover::Abort { own: self.transactional_id(instance) }, ..self.state_topic() }
    }

    pub fn connection_of_a_consumer(&self) -> Connection {
        Connection { producer_properties: BTreeMap::new(), ..self.connection() }
    }

    pub fn restore(&self) -> Result<HashMap<String, Vec<u8>>, RestoreError> {
        block_on(self.restore_within(TIMEOUT))
    }

    pub fn restore_within(
        &self,
        within: Duration,
    ) -> impl Future<Output = Result<HashMap<String, Vec<u8>>, RestoreError>> + Send + 'static + use<> {
        let topic = self.state_topic();
        async move { topic.restore(&topic.all_partitions(), within, |_| {}).await }
    }

    /// What a process leaves behind that is killed between sending and committing.
    pub fn leave_transaction_open(&self, transactional_id: &str, keys: &[&str]) -> BaseProducer {
        let producer = self.cluster.producer(&[("transactional.id", transactional_id)]);
        producer.begin_transaction().unwrap();
        for key in keys {
            let partition = self.state_topic().partition_of(key);
            let writer = Header { key: "callfeed-transactional-id", value: Some(transactional_id) };
            let headers = OwnedHeaders::new().insert(writer);
            let state = BaseRecord::to(&self.state).partition(partition).key(*key).payload("open").headers(headers);
            producer.send(state).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(TIMEOUT).unwrap();
        producer
    }

    pub fn committed_keys(&self) -> Vec<String> {
        self.cluster.read_committed(&self.calls).iter().map(|record| record.key_text().to_owned()).collect()
    }

    pub fn committed_values(&self) -> Vec<String> {
        let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
        self.cluster.read_committed(&self.calls).into_iter().map(|record| text(record.value)).collect()
    }

    /// A commit is acknowledged before its markers are in all partitions. A lone broker that is killed in between
    /// forgets them when it starts again (seen with Kafka 4.3.1), and leaves a transaction that hangs for ever: no
    /// concern of these tests.
    pub fn wait_for_markers(&self, records: usize) {
        eventually("the commit markers", TIMEOUT, || (self.committed_keys().len() == records).then_some(()));
        self.restore().unwrap();
    }

    /// Counts what is not committed yet.
    pub fn end_of_calls(&self) -> i64 {
        let consumer: BaseConsumer = self.cluster.client().set("isolation.level", "read_uncommitted").create().unwrap();
        consumer.fetch_watermarks(&self.calls, 0, TIMEOUT).unwrap().1
    }

    pub fn failures(&self) -> Vec<&'static str> {
        let kind = |event: &KafkaEvent| match event {
            KafkaEvent::Failed { kind } => Some(*kind),
            KafkaEvent::Committed { .. } | KafkaEvent::Asked { .. } => None,
        };
        self.events.lock().unwrap().iter().filter_map(kind).collect()
    }

    pub fn plan(&self, creation: Option<Creation>) -> TopicPlan {
        TopicPlan {
            state: self.state.clone(),
            state_partitions: PARTITIONS,
            dead_letter: self.dead_letter.clone(),
            events: vec![self.calls.clone()],
            creation,
            manage: true,
        }
    }

    pub fn partitions(&self, topic: &str) -> usize {
        self.cluster.partitions(topic).unwrap_or_default().len()
    }

    pub fn check(&self, plan: &TopicPlan) -> Vec<Fact> {
        let (connection, plan) = (self.connection(), plan.clone());
        block_on(async move { topics::check(&connection, &plan).await })
    }

    pub fn prepare(&self, plan: &TopicPlan) -> Result<topics::Topics, TopicProblem> {
        let (connection, plan) = (self.connection(), plan.clone());
        block_on(async move { topics::prepare(&connection, &plan).await })
    }
}

/// One replica, as far as the Kafka edge goes.
pub struct Replica {
    pub publisher: Publisher,
    pub membership: Membership,
    pub changes: Mutex<UnboundedReceiver<Change>>,
    leases: Mutex<BTreeMap<i32, Lease>>,
}

impl Replica {
    /// With the partitions of its first assignment.
    fn of(publisher: Publisher, membership: Membership, changes: UnboundedReceiver<Change>) -> Self {
        let replica = Self { publisher, membership, changes: Mutex::new(changes), leases: Mutex::default() };
        assert!(matches!(replica.next_change(), Change::Granted(_)));
        replica
    }

    /// The next that becomes of its membership. Partitions that are granted are taken.
    pub fn next_change(&self) -> Change {
        let heard = || self.changes.lock().unwrap().try_recv().ok();
        let change = eventually("a change of the membership", TIMEOUT, heard);
        match change {
            Change::Granted(leases) => {
                self.take(leases.clone());
                Change::Granted(leases)
            }
            change => change,
        }
    }

    /// Takes what was granted since.
    pub fn take_changes(&self) {
        while let Ok(change) = self.changes.lock().unwrap().try_recv() {
            match change {
                Change::Granted(leases) => self.take(leases),
                change => panic!("{change:?}"),
            }
        }
    }

    pub fn take(&self, leases: Vec<Lease>) {
        self.leases.lock().unwrap().extend(leases.into_iter().map(|lease| (lease.partition(), lease)));
    }

    /// The partitions that it holds, less those that it gives back now since they are to go.
    pub fn partitions(&self) -> Vec<i32> {
        let mut held = self.leases.lock().unwrap();
        held.retain(|_, lease| !lease.is_ending());
        held.keys().copied().collect()
    }

    pub fn lease(&self, partition: i32) -> Lease {
        self.leases.lock().unwrap()[&partition].clone()
    }

    pub fn publish(&self, partition: i32, records: Vec<Record>) -> Outcome {
        self.publish_under(&self.lease(partition), records)
    }

    pub fn publish_under(&self, lease: &Lease, records: Vec<Record>) -> Outcome {
        let (publisher, lease) = (self.publisher.clone(), lease.clone());
        Box::pin(async move { publisher.publish(&lease, records).await.map(drop) })
    }
}

/// A step of any partition that the replica holds.
pub fn publish(replica: &Replica, records: Vec<Record>) -> Outcome {
    replica.publish(replica.partitions()[0], records)
}

/// Runs steps at the same time; their outcomes in the order of the steps.
pub fn together(steps: Vec<Outcome>) -> Vec<Result<(), PublishError>> {
    block_on(futures::future::join_all(steps))
}
