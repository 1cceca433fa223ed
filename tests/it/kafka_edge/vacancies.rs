//! What the group believes of a member that came back, and is not so.

use callfeed::edge::kafka::{Change, Vacancies};

use super::bench::{Bench, TIMEOUT};
use crate::support::{block_on, eventually, spawn, unique_name};

fn vacancies(bench: &Bench) -> Vacancies {
    Vacancies {
        connection: bench.connection(),
        group_id: bench.group.clone(),
        topic: bench.state.clone(),
        n_partitions: bench.state_topic().partitions,
        other_topic: bench.calls.clone(),
    }
}

/// The first gives up a partition for the second, ends before it has told the group so, and is back in time.
#[test]
fn partitions_that_the_group_forgot_are_assigned_again() {
    let bench = Bench::shared();
    let first = bench.start_as("first");
    let leases: Vec<_> = first.partitions().into_iter().map(|partition| first.lease(partition)).collect();
    let second = bench.start_as("second");
    let given_up = eventually("a partition to be given up", TIMEOUT, || leases.iter().find(|lease| lease.is_ending()));
    block_on(async move { first.membership.leave().await });
    let first = bench.start_as("first");
    assert!(!first.partitions().contains(&given_up.partition()), "the group has noticed by itself");
    assert!(second.partitions().is_empty());

    let kept = first.partitions();
    let watching = spawn(vacancies(&bench).look_after());

    let granted = second.next_change();
    assert!(matches!(&granted, Change::Granted(leases) if leases.len() == 1), "{granted:?}");
    assert_eq!(second.partitions(), [given_up.partition()]);
    assert_eq!(first.partitions(), kept, "nothing else has moved");
    watching.abort();
}

/// The group hands a member that is back within its session what it had, whatever it subscribes to now.
#[test]
fn an_instance_that_comes_back_with_another_state_topic_gets_its_partitions() {
    let mut bench = Bench::shared();
    bench.consumer_property("session.timeout.ms", "2000");
    bench.consumer_property("heartbeat.interval.ms", "500");
    let before = bench.start();
    block_on(async move { before.membership.leave().await });

    bench.state = unique_name("state");
    bench.cluster.create_topic(&bench.state, 3, &[("cleanup.policy", "compact")]);
    let after = bench.start();
    assert_eq!(after.partitions(), [0, 1, 2]);
}
