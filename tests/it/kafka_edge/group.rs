//! Whether a group has members, asked by somebody who is none.

use std::time::Duration;

use callfeed::edge::kafka::{Group, Occupancy};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::bench::{Bench, TIMEOUT};
use crate::support::{block_on, eventually};

const PARTITION: i32 = 0;
const COMMITTED: i64 = 7;

fn ask(bench: &Bench) -> Occupancy {
    let (connection, group_id) = (bench.connection(), bench.group.clone());
    let group = Group { connection, group_id, state_topic: bench.state.clone() };
    block_on(async move { group.occupancy().await }).unwrap()
}

fn member(bench: &Bench, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = bench.cluster.client();
    config.set("group.id", &bench.group).set("client.id", "replica-1").set("enable.auto.commit", "false");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let consumer: BaseConsumer = config.create().unwrap();
    consumer.subscribe(&[&bench.state]).unwrap();
    eventually("the member to be assigned its partitions", TIMEOUT, || {
        let _ = consumer.poll(Duration::from_millis(50));
        (consumer.assignment().unwrap().count() > 0).then_some(())
    });
    consumer
}

fn committed(bench: &Bench) -> Offset {
    let consumer: BaseConsumer = bench.cluster.client().set("group.id", &bench.group).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&bench.state, PARTITION);
    let committed = consumer.committed_offsets(asked, TIMEOUT).unwrap();
    committed.find_partition(&bench.state, PARTITION).unwrap().offset()
}

#[test]
fn members_of_either_protocol_are_seen_and_no_offset_is_moved() {
    for protocol in ["classic", "consumer"] {
        let bench = Bench::shared();
        assert_eq!(ask(&bench), Occupancy::Empty, "{protocol}: nobody was ever there");

        let replica = member(&bench, &[("group.protocol", protocol)]);
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&bench.state, PARTITION, Offset::Offset(COMMITTED)).unwrap();
        replica.commit(&offsets, CommitMode::Sync).unwrap();
        let Occupancy::Members(named) = ask(&bench) else { panic!("{protocol}: the member was not seen") };
        if protocol == "classic" {
            assert!(named.len() == 1 && named[0].starts_with("replica-1 from "), "{named:?}");
        }
        assert_eq!(committed(&bench), Offset::Offset(COMMITTED), "{protocol}");

        drop(replica);
        eventually("the group to be empty", TIMEOUT, || (ask(&bench) == Occupancy::Empty).then_some(()));
        assert_eq!(committed(&bench), Offset::Offset(COMMITTED), "{protocol}");
    }
}

/// So are replicas: they come back within their session and find their partitions as they were.
#[test]
fn a_static_member_that_stopped_counts_until_its_session_is_over() {
    let bench = Bench::shared();
    let session = [("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "500")];
    drop(member(&bench, &[&[("group.instance.id", "replica-1")], &session[..]].concat()));
    assert!(matches!(ask(&bench), Occupancy::Members(_)));
    eventually("its session to be over", TIMEOUT, || (ask(&bench) == Occupancy::Empty).then_some(()));
}
