//! How soon the accounts of a replica that is gone are read again, and that one that is back in time disturbs nobody.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde_json::json;

use crate::support::eventually;

use super::feed::PATIENCE;
use super::replicas::{SESSION, is_divided, new_calls_are_published, patient_world, shown, start, world};

/// What a takeover may take beyond the session time-out: the brokers notice, the group divides anew, the partition is
/// restored, the account read.
const AIM: Duration = Duration::from_secs(2);

/// Other tests run at the same time, on what may be two cores.
const ALLOWED_FOR_LOAD: Duration = Duration::from_secs(6);

#[test]
fn accounts_of_a_killed_replica_are_read_again_when_its_session_is_over() {
    let feed = world("classic");
    let first = start(&feed, "first");
    let mut second = start(&feed, "second");
    eventually("the accounts to be divided", PATIENCE, || is_divided(&[&first, &second]).then_some(()));
    new_calls_are_published(&feed);
    let account = shown(&second).pop_first().unwrap();
    let events = feed.kafka.follow(&feed.topic());

    second.kill9();
    let killed_at = Instant::now();
    let call = feed.add_call(&account, SignedDuration::from_mins(5), json!({"source": "sip"}));
    let key = format!("{account}:{call}");
    eventually("the other replica to tell it", PATIENCE, || {
        events.next(Duration::from_millis(10)).filter(|record| record.key_text() == key)
    });

    let took = killed_at.elapsed();
    let session = Duration::from_millis(SESSION.parse().unwrap());
    eprintln!("takeover: {took:.1?} with a session time-out of {session:?}, aim {:?}", session + AIM);
    assert!(took <= session + AIM + ALLOWED_FOR_LOAD, "{took:?}");
    feed.assert_equals_truth();
}

#[test]
fn a_restart_within_the_session_makes_no_rebalance() {
    let feed = patient_world();
    let first = start(&feed, "first");
    let mut second = start(&feed, "second");
    eventually("the accounts to be divided", PATIENCE, || is_divided(&[&first, &second]).then_some(()));
    new_calls_are_published(&feed);
    let generation = feed.kafka.generation(&feed.name).expect("the group is there");
    let share = shown(&second);

    for is_killed in [true, false] {
        if is_killed {
            second.kill9();
        } else {
            second.terminate();
            assert!(second.wait_exit(PATIENCE).success());
        }
        second = start(&feed, "second");
        eventually("its accounts to be back", PATIENCE, || (shown(&second) == share).then_some(()));
        new_calls_are_published(&feed);
        assert_eq!(feed.kafka.generation(&feed.name), Some(generation), "killed: {is_killed}");
    }

    // It does count, when there is one.
    let _third = start(&feed, "third");
    eventually("a rebalance", PATIENCE, || (feed.kafka.generation(&feed.name)? > generation).then_some(()));
}
