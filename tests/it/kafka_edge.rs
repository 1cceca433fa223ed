//! The Kafka edge against real brokers: what is acknowledged is committed, what is not is not seen, and whoever
//! comes second takes over.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callfeed::edge::kafka::topics::{self, Creation, TopicPlan, TopicProblem};
use callfeed::edge::kafka::{
    Connection, KafkaEvent, PublishError, Publisher, PublisherSettings, Record, RestoreError, StateTopic, Unreachable,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::{Cluster, Kafka, Servers, block_on, eventually, free_port, spawn, unique_name};

const TIMEOUT: Duration = Duration::from_secs(60);

const PARTITIONS: i32 = 3;

#[test]
fn steps_of_many_accounts_share_a_transaction() {
    let bench = Bench::shared();
    let publisher = bench.start();
    let steps: Vec<_> = (0..20).map(|account| bench.step(&publisher, &format!("account-{account}"), "1")).collect();

    assert_eq!(together(steps), vec![Ok(()); 20]);

    assert_eq!(bench.committed_keys().len(), 20);
    assert_eq!(bench.restore().unwrap().len(), 20);
    let events = bench.events.lock().unwrap().clone();
    let of_steps = |event: &KafkaEvent| match event {
        KafkaEvent::Committed { steps, .. } => Some(*steps),
        KafkaEvent::Failed { .. } => None,
    };
    let transactions: Vec<usize> = events.iter().filter_map(of_steps).collect();
    assert_eq!(transactions.iter().sum::<usize>(), 20);
    assert!(transactions.len() <= 2, "20 steps took the transactions {transactions:?}");
}

#[test]
fn a_transaction_that_a_process_left_open_is_not_seen_and_does_not_hold_up_the_next_one() {
    let bench = Bench::shared();
    block_on(bench.step(&bench.start(), "acme", "1")).unwrap();
    let killed = bench.leave_transaction_open(&bench.group, &["acme", "other"]);

    let publisher = bench.start();

    assert_eq!(bench.restore().unwrap(), HashMap::from([("acme".to_owned(), b"1".to_vec())]));
    block_on(bench.step(&publisher, "acme", "2")).unwrap();
    assert_eq!(bench.committed_keys(), ["acme", "acme"]);
    assert_eq!(bench.restore().unwrap()["acme"], b"2");
    drop(killed);
}

#[test]
fn a_restore_waits_for_a_transaction_that_was_open_when_it_began() {
    let bench = Bench::shared();
    block_on(bench.step(&bench.start(), "acme", "1")).unwrap();
    let other = bench.leave_transaction_open(&unique_name("other"), &["acme"]);

    let short = block_on(bench.restore_within(Duration::from_millis(300)));
    assert!(matches!(short, Err(RestoreError::OpenTransaction { .. })), "{short:?}");

    let waiting = spawn(bench.restore_within(TIMEOUT));
    other.commit_transaction(TIMEOUT).unwrap();
    assert_eq!(block_on(waiting).unwrap().unwrap()["acme"], b"open");

    let aborted = bench.leave_transaction_open(&unique_name("other"), &["acme"]);
    let waiting = spawn(bench.restore_within(TIMEOUT));
    aborted.abort_transaction(TIMEOUT).unwrap();
    assert_eq!(block_on(waiting).unwrap().unwrap()["acme"], b"open");
}

#[test]
fn a_restore_returns_the_latest_values_and_counts_its_way() {
    let bench = Bench::shared();
    let publisher = bench.start();
    assert_eq!(bench.restore().unwrap(), HashMap::new(), "a topic with nothing but the owner");
    let value = |revision: u32| vec![revision as u8; 1000];
    let of_account = |account: u32, revision| bench.state(&format!("account-{account}"), Some(value(revision)));
    for revision in 0..3 {
        block_on(publish(&publisher, (0..2000).map(|account| of_account(account, revision)).collect())).unwrap();
    }
    let gone = (0..1000).map(|account| bench.state(&format!("account-{account}"), None)).collect();
    block_on(publish(&publisher, gone)).unwrap();

    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = {
        let seen = Arc::clone(&seen);
        move |progress| seen.lock().unwrap().push(progress)
    };
    let topic = bench.state_topic();
    let restored = block_on(async move { topic.restore(&topic.all_partitions(), TIMEOUT, progress).await }).unwrap();

    assert_eq!(restored.len(), 1000);
    assert!((1000..2000).all(|account| restored[&format!("account-{account}")] == value(2)));
    let last = *seen.lock().unwrap().last().unwrap();
    // One of the records is the owner's.
    assert_eq!((last.records, last.offset), (7001, last.total));

    let topic = bench.state_topic();
    let own = topic.partition_of("account-1500");
    let one = block_on(async move { topic.restore(&[own], TIMEOUT, |_| {}).await }).unwrap();
    assert!(one.len() < 1000 && one.contains_key("account-1500"));
}

#[test]
fn a_second_process_with_the_same_group_takes_over_and_the_first_says_so() {
    let bench = Bench::shared();
    let first = bench.start();
    block_on(bench.step(&first, "acme", "1")).unwrap();

    let second = bench.start_as("second");
    block_on(bench.step(&second, "acme", "2")).unwrap();

    let Err(PublishError::Superseded { by }) = block_on(bench.step(&first, "acme", "lost")) else {
        panic!("the first one was not superseded")
    };
    assert!(by.contains("`second`"), "{by}");
    assert_eq!(block_on(bench.step(&first, "acme", "lost")), Err(PublishError::Superseded { by }));
    // The first one has not fenced the second one in its turn.
    block_on(bench.step(&second, "acme", "3")).unwrap();
    assert_eq!(bench.committed_values(), ["1", "2", "3"]);
}

#[test]
fn a_transaction_that_the_broker_ended_is_answered_restore_and_work_goes_on() {
    let kafka = Kafka::own(&[("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200")]);
    let mut bench = Bench::on(kafka.cluster());
    bench.property("transaction.timeout.ms", "1000");
    // The transaction stays open for longer than the broker allows.
    bench.commit_interval = Duration::from_secs(4);
    let publisher = bench.start();

    assert_eq!(block_on(bench.step(&publisher, "acme", "lost")), Err(PublishError::Restore));
    assert_eq!(bench.restore().unwrap(), HashMap::new());
    // Full at once, so that it is closed in time.
    let many = (0..bench.commit_max_events).map(|_| bench.state("acme", Some(b"2".to_vec()))).collect();
    block_on(publish(&publisher, many)).unwrap();
    assert_eq!(bench.restore().unwrap()["acme"], b"2");
    assert!(bench.failures().contains(&"fenced"), "{:?}", bench.failures());
}

#[test]
fn a_record_that_is_too_large_is_named_and_the_other_steps_are_published() {
    let bench = Bench::shared();
    let publisher = bench.start();
    // Random, so that compression does not make it fit.
    let large: Vec<u8> = (0..2_000_000).map(|_| fastrand::u8(..)).collect();
    let records =
        vec![bench.event("acme", b"1"), bench.event("acme", &large), bench.state("acme", Some(b"1".to_vec()))];
    let steps: Vec<Outcome> =
        vec![bench.step(&publisher, "before", "1"), publish(&publisher, records), bench.step(&publisher, "after", "1")];

    let outcomes = together(steps);

    assert_eq!(outcomes, [Ok(()), Err(PublishError::TooLarge { records: vec![1] }), Ok(())]);
    let mut keys = bench.committed_keys();
    keys.sort();
    assert_eq!(keys, ["after", "before"]);

    let giant = block_on(publish(&publisher, vec![bench.event("acme", &vec![0; 13 * 1024 * 1024])]));
    assert_eq!(giant, Err(PublishError::TooLarge { records: vec![0] }));
}

#[test]
fn a_step_for_a_topic_that_is_missing_does_not_hold_up_the_others() {
    let mut bench = Bench::shared();
    bench.property("topic.metadata.propagation.max.ms", "500");
    let publisher = bench.start();
    let missing = Record { topic: "no-such-topic".into(), ..bench.event("acme", b"1") };
    let steps: Vec<Outcome> = vec![publish(&publisher, vec![missing]), bench.step(&publisher, "other", "1")];

    let outcomes = together(steps);

    let Err(PublishError::Refused { reason }) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(reason.contains("no-such-topic"), "{reason}");
    assert_eq!(outcomes[1], Ok(()));
    assert_eq!(bench.committed_keys(), ["other"]);
}

#[test]
fn a_broker_that_restarts_costs_time_but_no_record() {
    let mut kafka = Kafka::own(&[]);
    let bench = Bench::on(kafka.cluster());
    let publisher = bench.start();
    let writing = spawn({
        let publisher = publisher.clone();
        let records: Vec<Vec<Record>> =
            (0..200).map(|number| vec![bench.event("acme", number.to_string().as_bytes())]).collect();
        async move {
            for record in records {
                // A step with an unknown outcome is not sent again here: it may only be there once or not at all.
                match publish(&publisher, record).await {
                    Ok(()) | Err(PublishError::Restore) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    eventually("the first records", TIMEOUT, || (bench.committed_keys().len() > 5).then_some(()));
    kafka.kill();
    kafka.restart();
    block_on(writing).unwrap();

    let values = bench.committed_values();
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    if bench.failures().contains(&"rebuilt") {
        assert!(values.windows(2).all(|pair| pair[0].parse::<u32>().unwrap() < pair[1].parse().unwrap()), "{values:?}");
    } else {
        assert_eq!(values, expected);
    }
}

#[test]
fn a_broker_that_is_away_for_too_long_leaves_the_outcome_to_the_state_topic() {
    let mut kafka = Kafka::own(&[]);
    let mut bench = Bench::on(kafka.cluster());
    // A commit has an outcome after this and five seconds, or it counts as unknown.
    bench.property("transaction.timeout.ms", "1000");
    let publisher = bench.start();
    block_on(bench.step(&publisher, "acme", "1")).unwrap();

    kafka.kill();
    let step = spawn(bench.step(&publisher, "acme", "2"));
    eventually("the producer to be given up", TIMEOUT, || bench.failures().contains(&"unreachable").then_some(()));
    kafka.restart();

    assert_eq!(block_on(step).unwrap(), Err(PublishError::Restore));
    assert_eq!(bench.restore().unwrap()["acme"], b"1");
    block_on(bench.step(&publisher, "acme", "3")).unwrap();
    assert_eq!(bench.committed_values(), ["1", "3"]);
}

#[test]
fn shutting_down_commits_what_is_in_hand() {
    let mut bench = Bench::shared();
    bench.commit_interval = TIMEOUT;
    let publisher = bench.start();
    let step = spawn(bench.step(&publisher, "acme", "1"));
    eventually("the step to be in hand", TIMEOUT, || (bench.end_of_calls() > 0).then_some(()));

    let handle = publisher.clone();
    block_on(async move { handle.shut_down(Duration::from_secs(10)).await });

    assert_eq!(block_on(step).unwrap(), Ok(()));
    assert_eq!(bench.committed_keys(), ["acme"]);
    assert_eq!(block_on(bench.step(&publisher, "acme", "2")), Err(PublishError::Stopped));
}

#[test]
fn shutting_down_ends_in_time_while_kafka_is_away() {
    let mut kafka = Kafka::own(&[]);
    let bench = Bench::on(kafka.cluster());
    let publisher = bench.start();
    kafka.kill();
    let step = spawn(bench.step(&publisher, "acme", "1"));
    let handle = publisher.clone();
    let started = std::time::Instant::now();
    block_on(async move { handle.shut_down(Duration::from_secs(4)).await });
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(block_on(step).unwrap(), Err(PublishError::Stopped));
}

#[test]
fn kafka_that_is_away_is_named_with_the_reason() {
    let bench = Bench { cluster: Cluster::at(&format!("127.0.0.1:{}", free_port())), ..Bench::empty() };
    let (connection, plan) = (bench.connection(), bench.plan(None));
    let brokers = bench.cluster.bootstrap.clone();

    let problem = block_on(async move { topics::prepare(&connection, &plan).await }).unwrap_err();

    assert!(problem.is_retryable());
    let TopicProblem::Unreachable(Unreachable { brokers: named, reason }) = problem else { panic!("{problem}") };
    assert_eq!(named, brokers);
    assert!(reason.contains("Connection refused"), "{reason}");
}

#[test]
fn missing_topics_are_created_each_with_its_policy() {
    let bench = Bench { cluster: Servers::shared().kafka.clone(), ..Bench::empty() };
    let plan = bench.plan(Some(Creation { replication_factor: 1, partitions: 2 }));

    let facts = bench.check(&plan);
    assert!(facts.iter().all(|fact| fact.ok), "{facts:?}");
    assert!(bench.partitions(&bench.state) == 0, "a check has created a topic");
    let topics = bench.prepare(&plan).unwrap();

    assert_eq!(bench.partitions(&bench.state), 3);
    assert_eq!(bench.partitions(&bench.calls), 2);
    assert_eq!(topics.limit_of(&bench.calls), 1_048_588);
    assert!(topics.limit_of(&bench.dead_letter) >= 10 * 1024 * 1024);
    let facts = bench.check(&plan);
    assert!(facts.iter().all(|fact| fact.ok), "{facts:?}");
    assert!(facts.iter().any(|fact| fact.detail == "3 partitions, compacted"), "{facts:?}");
    bench.prepare(&plan).unwrap();
}

#[test]
fn a_missing_topic_that_may_not_be_created_is_refused_with_the_command() {
    let bench = Bench { cluster: Servers::shared().kafka.clone(), ..Bench::empty() };

    let problem = bench.prepare(&bench.plan(None)).unwrap_err();

    assert!(!problem.is_retryable());
    let words = problem.to_string();
    for topic in [&bench.state, &bench.calls, &bench.dead_letter] {
        assert!(words.contains(&format!("--create --topic {topic}")), "{words}");
    }
    assert!(bench.partitions(&bench.state) == 0);
}

#[test]
fn a_state_topic_that_is_not_compacted_is_refused() {
    let bench = Bench::shared_with_state(&[("cleanup.policy", "delete")]);

    let problem = bench.prepare(&bench.plan(Some(Creation { replication_factor: 1, partitions: 2 }))).unwrap_err();

    let words = problem.to_string();
    assert!(words.contains(&bench.state) && words.contains("--add-config cleanup.policy=compact"), "{words}");
}

#[test]
fn more_replicas_than_brokers_are_refused() {
    let bench = Bench { cluster: Servers::shared().kafka.clone(), ..Bench::empty() };
    let problem = bench.prepare(&bench.plan(Some(Creation { replication_factor: 3, partitions: 2 }))).unwrap_err();
    assert!(problem.to_string().contains("`kafka.create_topics.replication_factor` to 1"), "{problem}");
}

/// Topics and a group of a test's own, on some cluster.
struct Bench {
    cluster: Cluster,
    group: String,
    state: String,
    calls: String,
    dead_letter: String,
    properties: BTreeMap<String, String>,
    commit_interval: Duration,
    commit_max_events: usize,
    events: Arc<Mutex<Vec<KafkaEvent>>>,
}

type Outcome = std::pin::Pin<Box<dyn Future<Output = Result<(), PublishError>> + Send>>;

impl Bench {
    /// Without topics, and without a cluster that answers.
    fn empty() -> Bench {
        Bench {
            cluster: Cluster::at("127.0.0.1:1"),
            group: unique_name("group"),
            state: unique_name("state"),
            calls: unique_name("calls"),
            dead_letter: unique_name("dead"),
            properties: BTreeMap::new(),
            commit_interval: Duration::from_millis(100),
            commit_max_events: 5000,
            events: Arc::default(),
        }
    }

    fn shared() -> Bench {
        Bench::on(Servers::shared().kafka.clone())
    }

    fn shared_with_state(settings: &[(&str, &str)]) -> Bench {
        let bench = Bench { cluster: Servers::shared().kafka.clone(), ..Bench::empty() };
        bench.cluster.create_topic(&bench.state, PARTITIONS, settings);
        bench
    }

    fn on(cluster: Cluster) -> Bench {
        let bench = Bench { cluster, ..Bench::empty() };
        bench.cluster.create_topic(&bench.state, PARTITIONS, &[("cleanup.policy", "compact")]);
        bench.cluster.create_topic(&bench.calls, 1, &[]);
        bench
    }

    fn property(&mut self, name: &str, value: &str) {
        self.properties.insert(name.to_owned(), value.to_owned());
    }

    fn connection(&self) -> Connection {
        Connection {
            bootstrap_servers: self.cluster.bootstrap.clone(),
            client_id: "callfeed-test".to_owned(),
            producer_properties: self.properties.clone(),
            consumer_properties: BTreeMap::new(),
        }
    }

    fn start(&self) -> Publisher {
        self.start_as("first")
    }

    fn start_as(&self, instance: &str) -> Publisher {
        let events = Arc::clone(&self.events);
        let settings = PublisherSettings {
            connection: self.connection(),
            group_id: self.group.clone(),
            instance_id: instance.to_owned(),
            state_topic: self.state.clone(),
            commit_interval: self.commit_interval,
            commit_max_events: self.commit_max_events,
            max_batch_bytes: 256 * 1024,
            observer: Arc::new(move |event| events.lock().unwrap().push(event)),
        };
        block_on(async move { Publisher::start(settings).await }).unwrap()
    }

    /// An event and the state that belongs to it.
    fn step(&self, publisher: &Publisher, account: &str, value: &str) -> Outcome {
        let records = vec![self.event(account, value.as_bytes()), self.state(account, Some(value.into()))];
        publish(publisher, records)
    }

    fn event(&self, key: &str, value: &[u8]) -> Record {
        Record {
            topic: self.calls.as_str().into(),
            partition: None,
            key: Some(key.into()),
            value: Some(value.to_vec()),
            headers: vec![("ce_id", b"1".as_slice().into())],
            timestamp_ms: Some(1_700_000_000_000),
        }
    }

    fn state(&self, key: &str, value: Option<Vec<u8>>) -> Record {
        Record {
            topic: self.state.as_str().into(),
            partition: Some(self.state_topic().partition_of(key)),
            key: Some(key.into()),
            value,
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    fn state_topic(&self) -> StateTopic {
        StateTopic {
            connection: self.connection_of_a_consumer(),
            group_id: self.group.clone(),
            topic: self.state.as_str().into(),
            partitions: PARTITIONS,
        }
    }

    fn connection_of_a_consumer(&self) -> Connection {
        Connection { producer_properties: BTreeMap::new(), ..self.connection() }
    }

    fn restore(&self) -> Result<HashMap<String, Vec<u8>>, RestoreError> {
        block_on(self.restore_within(TIMEOUT))
    }

    fn restore_within(
        &self,
        within: Duration,
    ) -> impl Future<Output = Result<HashMap<String, Vec<u8>>, RestoreError>> + Send + 'static + use<> {
        let topic = self.state_topic();
        async move { topic.restore(&topic.all_partitions(), within, |_| {}).await }
    }

    /// What a process leaves behind that is killed between sending and committing.
    fn leave_transaction_open(&self, transactional_id: &str, keys: &[&str]) -> BaseProducer {
        let producer = self.cluster.producer(&[("transactional.id", transactional_id)]);
        producer.begin_transaction().unwrap();
        for key in keys {
            let partition = self.state_topic().partition_of(key);
            let state = BaseRecord::to(&self.state).partition(partition).key(*key).payload("open");
            producer.send(state).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(TIMEOUT).unwrap();
        producer
    }

    fn committed_keys(&self) -> Vec<String> {
        self.cluster.read_committed(&self.calls).iter().map(|record| record.key_text().to_owned()).collect()
    }

    fn committed_values(&self) -> Vec<String> {
        let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
        self.cluster.read_committed(&self.calls).into_iter().map(|record| text(record.value)).collect()
    }

    /// Counts what is not committed yet.
    fn end_of_calls(&self) -> i64 {
        let consumer: BaseConsumer = self.cluster.client().set("isolation.level", "read_uncommitted").create().unwrap();
        consumer.fetch_watermarks(&self.calls, 0, TIMEOUT).unwrap().1
    }

    fn failures(&self) -> Vec<&'static str> {
        let kind = |event: &KafkaEvent| match event {
            KafkaEvent::Failed { kind } => Some(*kind),
            KafkaEvent::Committed { .. } => None,
        };
        self.events.lock().unwrap().iter().filter_map(kind).collect()
    }

    fn plan(&self, creation: Option<Creation>) -> TopicPlan {
        TopicPlan {
            state: self.state.clone(),
            state_partitions: PARTITIONS,
            dead_letter: self.dead_letter.clone(),
            events: vec![self.calls.clone()],
            creation,
            manage: true,
        }
    }

    fn partitions(&self, topic: &str) -> usize {
        self.cluster.partitions(topic).unwrap_or_default().len()
    }

    fn check(&self, plan: &TopicPlan) -> Vec<topics::Fact> {
        let (connection, plan) = (self.connection(), plan.clone());
        block_on(async move { topics::check(&connection, &plan).await })
    }

    fn prepare(&self, plan: &TopicPlan) -> Result<topics::Topics, TopicProblem> {
        let (connection, plan) = (self.connection(), plan.clone());
        block_on(async move { topics::prepare(&connection, &plan).await })
    }
}

fn publish(publisher: &Publisher, records: Vec<Record>) -> Outcome {
    let publisher = publisher.clone();
    Box::pin(async move { publisher.publish(records).await.map(drop) })
}

/// Runs steps at the same time; their outcomes in the order of the steps.
fn together(steps: Vec<Outcome>) -> Vec<Result<(), PublishError>> {
    block_on(futures::future::join_all(steps))
}
