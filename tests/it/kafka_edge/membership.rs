//! What the group believes of its members, what they believe of themselves, and where the one is not the other.

use std::sync::Arc;

use callfeed::edge::kafka::{Change, Lease, PublishError, Vacancies};

use super::bench::{Bench, TIMEOUT};
use crate::support::{block_on, eventually, spawn, unique_name};

fn vacancies(bench: &Bench) -> Vacancies {
    Vacancies {
        connection: bench.connection(),
        group_id: bench.group.clone(),
        topic: bench.state.clone(),
        n_partitions: bench.state_topic().partitions,
        other_topic: bench.calls.clone(),
        observer: Arc::new(|_| {}),
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

/// The group drops a member while that gives up a partition. The client library joins again as if it had kept the others.
#[test]
fn what_a_member_believes_to_have_kept_while_it_was_out_of_the_group_is_lost() {
    let bench = Bench::shared();
    let first = bench.start_as("first");
    let leases: Vec<_> = first.partitions().into_iter().map(|partition| first.lease(partition)).collect();
    let second = bench.start_as("second");
    let kept = eventually("a partition to be given up", TIMEOUT, || {
        let (given_up, kept): (Vec<_>, Vec<_>) = leases.iter().partition(|lease| lease.is_ending());
        (!given_up.is_empty()).then(|| kept.into_iter().cloned().collect::<Vec<Lease>>())
    });
    drop(leases);
    assert!(!kept.is_empty() && kept.iter().all(Lease::is_held));

    bench.expel("first");
    eventually("the second to have all", TIMEOUT, || {
        second.take_changes();
        (second.partitions().len() == 3).then_some(())
    });
    let theirs = second.partitions();
    block_on(bench.step_in(&second, kept[0].partition(), "of the second")).unwrap();

    // It gives back what it was asked for, and joins again with what it believes to have.
    first.partitions();
    eventually("the first to be let in", TIMEOUT, || {
        let outcome = block_on(first.publish_under(&kept[0], vec![bench.event("late", b"of the first")]));
        assert_eq!(outcome, Err(PublishError::Lost), "others have had the partition meanwhile: {theirs:?}");
        second.take_changes();
        first.take_changes();
        (!first.partitions().is_empty() && second.partitions().len() < 3).then_some(())
    });
    assert_eq!(bench.committed_values(), ["of the second"]);
    assert!(kept.iter().all(|lease| !lease.is_held()));
}
