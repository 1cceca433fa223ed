//! A client's view of a Kafka cluster: topics, a producer, and a reader of what is committed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::{Offset, TopicPartitionList};

use super::{block_on, eventually};

/// How long one request, or reading one topic to its end, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A name that no other test and no earlier run has used.
pub fn unique_name(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::new_v4().simple())
}

/// One record as a `read_committed` consumer sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<Vec<u8>>,
    /// In the order of the record; a header may occur twice.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
}

impl Record {
    /// The key as text; panics when there is none or it is not UTF-8.
    pub fn key_text(&self) -> &str {
        std::str::from_utf8(self.key.as_deref().expect("the record has a key")).unwrap()
    }

    /// The first header of this name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(found, _)| found == name)?;
        value.as_deref().map(|text| std::str::from_utf8(text).unwrap())
    }

    fn of(message: &BorrowedMessage<'_>) -> Record {
        let headers = message.headers().map(|headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        Record {
            partition: message.partition(),
            offset: message.offset(),
            timestamp_ms: message.timestamp().to_millis().unwrap(),
            key: message.key().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            value: message.payload().map(<[u8]>::to_vec),
        }
    }
}

/// A Kafka cluster as its clients see it.
#[derive(Clone)]
pub struct Cluster {
    pub bootstrap: String,
}

impl Cluster {
    pub fn at(bootstrap: &str) -> Cluster {
        Cluster { bootstrap: bootstrap.to_owned() }
    }

    /// A client configuration for this cluster, to be completed.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            // A test looks again soon after a broker came back.
            .set("reconnect.backoff.max.ms", "500");
        config
    }

    /// Creates a topic of one replica, with settings such as `("cleanup.policy", "compact")`, and waits
    /// until it can be used.
    pub fn create_topic(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let (topic, settings) = (name.to_owned(), owned(settings));
        let outcome = block_on(async move {
            let mut new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
            for (key, value) in &settings {
                new = new.set(key, value);
            }
            let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
            admin.create_topics([&new], &options).await
        });
        if let Err((topic, code)) = &outcome.unwrap()[0] {
            panic!("cannot create topic {topic}: {code}");
        }
        self.wait_for_topic(name);
    }

    /// Deletes a topic and waits until it is gone.
    #[track_caller]
    pub fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = name.to_owned();
        let outcome = block_on(async move {
            let options = AdminOptions::new().operation_timeout(Some(PATIENCE));
            admin.delete_topics(&[&topic], &options).await
        });
        if let Err((topic, code)) = &outcome.unwrap()[0] {
            panic!("cannot delete topic {topic}: {code}");
        }
        eventually("the topic to be gone", PATIENCE, || self.partitions(name).is_none().then_some(()));
    }

    /// Sets settings of a topic; those that are not named get the broker's default.
    pub fn alter_topic(&self, name: &str, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let (topic, settings) = (name.to_owned(), owned(settings));
        let outcome = block_on(async move {
            let mut altered = AlterConfig::new(ResourceSpecifier::Topic(&topic));
            for (key, value) in &settings {
                altered = altered.set(key, value);
            }
            admin.alter_configs([&altered], &AdminOptions::new()).await.map(|outcomes| format!("{outcomes:?}"))
        });
        assert!(outcome.as_ref().is_ok_and(|text| !text.contains("Err(")), "cannot alter topic {name}: {outcome:?}");
    }

    /// The partitions of a topic; none while it does not exist or one of them has no leader, so that a
    /// reader never takes a part of a topic for the whole.
    pub fn partitions(&self, topic: &str) -> Option<Vec<i32>> {
        let metadata = self.consumer().fetch_metadata(Some(topic), PATIENCE).ok()?;
        let partitions = metadata.topics().first()?.partitions();
        let served = !partitions.is_empty() && partitions.iter().all(|one| one.leader() >= 0);
        served.then(|| partitions.iter().map(|one| one.id()).collect())
    }

    /// Waits until a topic is there and all of it is served; returns its partitions.
    #[track_caller]
    pub fn wait_for_topic(&self, topic: &str) -> Vec<i32> {
        let what = format!("all partitions of topic {topic}");
        eventually(&what, PATIENCE, || self.partitions(topic))
    }

    /// A producer that has begun nothing yet. With a `transactional.id` among the settings its
    /// transactions are initialised.
    pub fn producer(&self, settings: &[(&str, &str)]) -> BaseProducer {
        let mut config = self.client();
        for (key, value) in settings {
            config.set(*key, *value);
        }
        let producer: BaseProducer = config.create().unwrap();
        if config.get("transactional.id").is_some() {
            producer.init_transactions(PATIENCE).unwrap();
        }
        producer
    }

    /// Everything in a topic that a `read_committed` consumer sees now, in order within each partition,
    /// partition by partition. Waits for a topic that is not there yet. A transaction that is still open
    /// hides what follows it.
    pub fn read_committed(&self, topic: &str) -> Vec<Record> {
        let consumer = self.consumer();
        let mut open = self.wait_for_topic(topic);
        assign_from_beginning(&consumer, topic, &open);
        let mut by_partition: HashMap<i32, Vec<Record>> = HashMap::new();
        let started = Instant::now();
        while !open.is_empty() {
            assert!(started.elapsed() < PATIENCE, "did not come to the end of topic {topic}, partitions {open:?}");
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Ok(message)) => {
                    let record = Record::of(&message);
                    by_partition.entry(record.partition).or_default().push(record);
                }
                Some(Err(KafkaError::PartitionEOF(ended))) => open.retain(|one| *one != ended),
                // librdkafka goes on by itself; the deadline above ends what does not heal.
                Some(Err(error)) => eprintln!("reading topic {topic}: {error}"),
            }
        }
        let mut records: Vec<Record> = by_partition.into_values().flatten().collect();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Reads a topic from its beginning and goes on with what comes. Waits for a topic that is not there yet.
    pub fn follow(&self, topic: &str) -> Follower {
        let consumer = self.consumer();
        assign_from_beginning(&consumer, topic, &self.wait_for_topic(topic));
        Follower { consumer }
    }

    /// Whether a broker answers and knows itself to be the cluster.
    pub fn is_ready(&self) -> bool {
        self.consumer()
            .fetch_metadata(None, Duration::from_secs(2))
            .is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    /// On how many brokers everything is that a partition of any topic has, at the least; `None`: a broker does not
    /// answer, or there is a partition that none of them leads.
    pub fn replicas_in_sync(&self) -> Option<usize> {
        let metadata = self.consumer().fetch_metadata(None, Duration::from_secs(2)).ok()?;
        let partitions = || metadata.topics().iter().flat_map(|topic| topic.partitions());
        let all_led = partitions().all(|partition| partition.leader() >= 0);
        let least = partitions().map(|partition| partition.isr().len()).min().unwrap_or(usize::MAX);
        all_led.then(|| least.min(metadata.brokers().len()))
    }

    pub fn wait_until_ready(&self) {
        eventually("Kafka to answer", PATIENCE, || self.is_ready().then_some(()));
    }

    fn consumer(&self) -> BaseConsumer {
        let mut config = self.client();
        config
            // Required by the library; partitions are assigned, so no group ever forms.
            .set("group.id", "callfeed-tests")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "50");
        config.create().unwrap()
    }
}

/// A `read_committed` consumer of one topic; in order within each partition.
pub struct Follower {
    consumer: BaseConsumer,
}

impl Follower {
    /// The next record, if there is one within this time. librdkafka gets over brokers that go away by itself.
    pub fn next(&self, within: Duration) -> Option<Record> {
        let message = self.consumer.poll(within)?;
        message.ok().map(|message| Record::of(&message))
    }
}

fn assign_from_beginning(consumer: &BaseConsumer, topic: &str, partitions: &[i32]) {
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        assignment.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&assignment).unwrap();
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
