//! The Kafka edge against real brokers: what is acknowledged is committed, what is not is not seen, and whoever
//! comes second takes over.

mod bench;
mod group;
mod membership;
mod topics;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callfeed::edge::kafka::{Change, KafkaEvent, PublishError, Record, RestoreError};
use rdkafka::producer::Producer;

use crate::support::{Kafka, block_on, eventually, spawn, unique_name};
use bench::{Bench, Outcome, TIMEOUT, publish, together};

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
        KafkaEvent::Failed { .. } | KafkaEvent::Asked { .. } => None,
    };
    let transactions: Vec<usize> = events.iter().filter_map(of_steps).collect();
    assert_eq!(transactions.iter().sum::<usize>(), 20);
    assert!(transactions.len() <= 2, "20 steps took the transactions {transactions:?}");
}

#[test]
fn a_transaction_that_a_process_left_open_is_not_seen_and_does_not_hold_up_the_next_one() {
    let bench = Bench::shared();
    block_on(bench.step(&bench.start(), "acme", "1")).unwrap();
    let killed = bench.leave_transaction_open(&bench.transactional_id("first"), &["acme", "other"]);

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
    assert_eq!(bench.restore().unwrap(), HashMap::new(), "an empty topic");
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
    assert_eq!((last.records, last.offset), (7000, last.total));

    let topic = bench.state_topic();
    let own = topic.partition_of("account-1500");
    let one = block_on(async move { topic.restore(&[own], TIMEOUT, |_| {}).await }).unwrap();
    assert!(one.len() < 1000 && one.contains_key("account-1500"));
}

#[test]
fn a_restore_that_takes_over_aborts_what_the_former_owner_left_open() {
    let bench = Bench::shared();
    block_on(bench.step(&bench.start(), "acme", "1")).unwrap();
    let killed = bench.leave_transaction_open(&bench.transactional_id("killed"), &["acme"]);

    let topic = bench.state_topic_of("first");
    let restored = block_on(async move { topic.restore(&topic.all_partitions(), TIMEOUT, |_| {}).await });

    assert_eq!(restored.unwrap()["acme"], b"1");
    let woken = killed.commit_transaction(TIMEOUT);
    assert!(woken.is_err(), "whoever wakes up later cannot commit any more");
}

#[test]
fn a_process_of_the_same_instance_supersedes_the_former_one() {
    let bench = Bench::shared();
    let first = bench.start();
    block_on(bench.step(&first, "acme", "1")).unwrap();

    let second = bench.start();
    block_on(bench.step(&second, "acme", "2")).unwrap();

    // Its producer is fenced at once; the group tells it with its next word to the member.
    let refused = || block_on(bench.step(&first, "acme", "lost")).unwrap_err();
    eventually("the lease to be over", TIMEOUT, || (refused() == PublishError::Lost).then_some(()));
    assert!(matches!(first.next_change(), Change::Superseded));
    block_on(bench.step(&second, "acme", "3")).unwrap();
    assert_eq!(bench.committed_values(), ["1", "2", "3"]);
}

#[test]
fn partitions_move_to_a_second_replica_when_the_first_has_given_them_back() {
    let bench = Bench::shared();
    let first = bench.start();
    assert_eq!(first.partitions(), [0, 1, 2]);
    let second = bench.start_as("second");

    let moved = eventually("a partition to move", TIMEOUT, || {
        first.partitions();
        second.partitions().first().copied().or_else(|| {
            if let Ok(Change::Granted(leases)) = second.changes.lock().unwrap().try_recv() {
                second.take(leases);
            }
            None
        })
    });

    assert!(!first.partitions().contains(&moved));
    let (kept, account) = (first.partitions()[0], "acme");
    let record = || vec![bench.event(account, b"1"), bench.state(account, Some(b"1".to_vec()))];
    block_on(first.publish(kept, record())).unwrap();
    block_on(second.publish(moved, record())).unwrap();
    assert_eq!(bench.committed_keys().len(), 2);
}

/// A lease may still be held when the group has forgotten the member: then it is the broker that refuses.
#[test]
fn a_member_that_the_group_does_not_know_commits_nothing() {
    let bench = Bench::shared();
    let first = bench.start();
    block_on(bench.step(&first, "acme", "1")).unwrap();
    let membership = first.membership.clone();
    block_on(async move { membership.leave().await });

    assert_eq!(block_on(bench.step(&first, "acme", "lost")), Err(PublishError::Lost));
    assert_eq!(bench.committed_values(), ["1"]);
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
fn a_missing_right_costs_the_step_that_needs_it_and_is_named() {
    let kafka = Kafka::own(&[
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
    ]);
    let bench = Bench::on(kafka.cluster());
    let forbidden = unique_name("forbidden");
    bench.cluster.create_topic(&forbidden, 1, &[]);
    // For everybody, where there are no other rules.
    let permit_only = |operation: &str, topic: &str| {
        let rule = ["--add", "--allow-principal", "User:ANONYMOUS", "--operation", operation, "--topic", topic];
        kafka.tool("org.apache.kafka.tools.AclCommand", &rule);
    };
    permit_only("Describe", &forbidden);
    let publisher = bench.start();
    let records = vec![Record { topic: forbidden.as_str().into(), ..bench.event("acme", b"1") }];

    let outcomes = together(vec![
        bench.step(&publisher, "before", "1"),
        publish(&publisher, records),
        bench.step(&publisher, "after", "1"),
    ]);

    assert_eq!((&outcomes[0], &outcomes[2]), (&Ok(()), &Ok(())));
    let Err(PublishError::Refused { reason }) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!(*reason, format!("the operation WRITE on TOPIC `{forbidden}` is not granted"));

    permit_only("DescribeConfigs", &bench.calls);
    permit_only("Describe", &bench.state);
    let facts = bench.check(&bench.plan(None));
    let words = |topic: &str| facts.iter().find(|fact| fact.subject == format!("topic {topic}")).unwrap();
    for (operations, topic) in [("operation WRITE", &bench.calls), ("operations READ and WRITE", &bench.state)] {
        let expected = format!("the {operations} on TOPIC `{topic}`");
        assert!(words(topic).detail.starts_with(&expected), "{facts:?}");
    }
}

#[test]
fn a_broker_that_restarts_costs_time_but_no_record() {
    let mut kafka = Kafka::own(&[]);
    let bench = Bench::on(kafka.cluster());
    let publisher = bench.start();
    let steps = |numbers: std::ops::Range<u32>| -> Vec<Outcome> {
        numbers.map(|number| bench.step(&publisher, "acme", &number.to_string())).collect()
    };
    assert_eq!(together(steps(0..50)), vec![Ok(()); 50]);
    bench.wait_for_markers(50);

    kafka.kill();
    let meanwhile = spawn(futures::future::join_all(steps(50..100)));
    kafka.restart();

    assert_eq!(block_on(meanwhile).unwrap(), vec![Ok(()); 50]);
    let mut values: Vec<u32> = bench.committed_values().iter().map(|value| value.parse().unwrap()).collect();
    values.sort_unstable();
    assert_eq!(values, (0..100).collect::<Vec<_>>());
}

#[test]
fn a_broker_that_is_away_for_long_costs_the_producer_but_no_step() {
    let mut kafka = Kafka::own(&[]);
    let mut bench = Bench::on(kafka.cluster());
    // A producer that cannot end a transaction within this and five seconds is replaced.
    bench.property("transaction.timeout.ms", "1000");
    let publisher = bench.start();
    block_on(bench.step(&publisher, "acme", "1")).unwrap();
    bench.wait_for_markers(1);

    kafka.kill();
    let step = spawn(bench.step(&publisher, "acme", "2"));
    eventually("the producer to be given up", TIMEOUT, || bench.failures().contains(&"unreachable").then_some(()));
    kafka.restart();

    assert_eq!(block_on(step).unwrap(), Ok(()));
    assert_eq!(bench.restore().unwrap()["acme"], b"2");
    assert_eq!(bench.committed_values(), ["1", "2"]);
    assert!(bench.failures().contains(&"rebuilt"));
}

#[test]
fn shutting_down_commits_what_is_in_hand() {
    let mut bench = Bench::shared();
    bench.commit_interval = TIMEOUT;
    let publisher = bench.start();
    let step = spawn(bench.step(&publisher, "acme", "1"));
    eventually("the step to be in hand", TIMEOUT, || (bench.end_of_calls() > 0).then_some(()));

    let handle = publisher.publisher.clone();
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
    let handle = publisher.publisher.clone();
    let started = std::time::Instant::now();
    block_on(async move { handle.shut_down(Duration::from_secs(4)).await });
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert_eq!(block_on(step).unwrap(), Err(PublishError::Stopped));
}
