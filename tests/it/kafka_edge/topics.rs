//! Topics that are missing, unfit or in order, and a Kafka that is away.

use callfeed::edge::kafka::Unreachable;
use callfeed::edge::kafka::topics::{self, Creation, TopicProblem};

use super::bench::Bench;
use crate::support::{Cluster, Servers, block_on, free_port};

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
