//! `callfeed state migrate`: the same state in a topic with another number of partitions.

use std::collections::BTreeMap;

use rdkafka::producer::{BaseRecord, Producer};
use serde_json::json;

use super::feed::{Feed, PATIENCE, account, fails, history, standing_with, succeeds};
use super::state::brief_sessions;
use crate::support::{Callfeed, Record, eventually, unique_name};

/// Accounts for every partition, before and after.
fn world() -> Feed {
    let accounts = (0..20).map(|n| account(&format!("account-{n}"), history(8))).collect();
    let mut feed = Feed::of(standing_with(accounts));
    feed.configure(json!({"kafka": {"state_partitions": 4, "properties": brief_sessions()}}));
    feed
}

fn with_topic(feed: &mut Feed, topic: &str, partitions: i32) {
    feed.configure(json!({"kafka": {"state_topic": topic, "state_partitions": partitions}}));
}

/// So that nothing waits for the session of the run before.
fn in_another_group(feed: &mut Feed) {
    feed.configure(json!({"kafka": {"group_id": unique_name(&feed.name)}}));
}

fn records_of_accounts(feed: &Feed, topic: &str) -> Vec<Record> {
    let mut records = feed.kafka.read_committed(topic);
    records.retain(|record| record.key_text().starts_with("a/"));
    records
}

/// The latest values of accounts in a topic, by key, each with the partition that it lies in.
fn content(feed: &Feed, topic: &str) -> BTreeMap<String, (i32, Vec<u8>)> {
    let mut latest = BTreeMap::new();
    for record in records_of_accounts(feed, topic) {
        let key = record.key_text().to_owned();
        match record.value {
            Some(value) => drop(latest.insert(key, (record.partition, value))),
            None => drop(latest.remove(&key)),
        }
    }
    latest
}

fn values(content: &BTreeMap<String, (i32, Vec<u8>)>) -> BTreeMap<&str, &[u8]> {
    content.iter().map(|(key, (_, value))| (key.as_str(), value.as_slice())).collect()
}

fn refused_check(feed: &Feed) -> String {
    let mut check = feed.command(&["check"]);
    assert_eq!(check.exit_code(), 1, "{}", check.stderr());
    check.stdout()
}

#[test]
fn state_goes_on_in_a_topic_with_another_number_of_partitions() {
    let mut feed = world();
    feed.once();
    let n_events = feed.assert_equals_truth();
    let (old, new) = (feed.state_topic(), format!("{}-7", feed.state_topic()));

    // On the live topic the number cannot change, and the way to do it is told.
    with_topic(&mut feed, &old, 7);
    let said = fails(feed.try_once(), 1);
    assert!(said.contains(&format!("callfeed state migrate --to {new}")), "{said}");
    let untouched = records_of_accounts(&feed, &old);
    for (other, content) in [(feed.topic(), "events"), (feed.dead_letter_topic(), "dead letters")] {
        let said = fails(feed.change_state(&["migrate", "--to", &other]), 1);
        assert!(said.contains(&format!("is the topic of {content}")) && !said.contains("compact"), "{said}");
    }
    let foreign = format!("{}-foreign", feed.topic());
    feed.kafka.create_topic(&foreign, 7, &[]);
    let said = fails(feed.change_state(&["migrate", "--to", &foreign]), 1);
    assert!(said.contains("so it was not made for state; name a new topic"), "{said}");

    let said = succeeds(feed.change_state(&["migrate", "--to", &new]));
    assert!(said.contains(&format!("state_topic: {new}\n    state_partitions: 7")), "{said}");
    let (before, after) = (content(&feed, &old), content(&feed, &new));
    assert_eq!(values(&before), values(&after));
    let partitions = |content: &BTreeMap<String, (i32, Vec<u8>)>| content.values().map(|(p, _)| *p).max().unwrap();
    assert_eq!((partitions(&before), partitions(&after)), (3, 6));
    let again = succeeds(feed.change_state(&["migrate", "--to", &new]));
    assert!(again.contains("nothing was left to copy"), "{again}");

    with_topic(&mut feed, &new, 7);
    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events, "nothing is told twice");
    let call = feed.add_call("account-3", jiff::SignedDuration::from_hours(4), json!({"source": "sip"}));
    feed.once();
    assert_eq!(feed.types_of("account-3", call), ["CREATED"]);

    // Whoever still has the old keys is told so, and publishes nothing.
    let n_events = feed.events().len();
    with_topic(&mut feed, &old, 4);
    let keys = format!("set `kafka.state_topic: {new}` and `kafka.state_partitions: 7`");
    for said in [fails(feed.try_once(), 1), fails(feed.command(&["state", "list"]), 1), refused_check(&feed)] {
        assert!(said.contains(&keys), "{said}");
    }
    assert_eq!(feed.events().len(), n_events);
    let said = fails(feed.change_state(&["migrate", "--to", &format!("{old}-other")]), 1);
    assert!(said.contains(&keys), "{said}");
    with_topic(&mut feed, &new, 7);
    let said = fails(feed.change_state(&["migrate", "--to", &old, "--partitions", "4"]), 1);
    assert!(said.contains("was moved to") && said.contains("name a new topic"), "{said}");
    with_topic(&mut feed, &old, 4);

    // The new topic is ahead by now: nothing may be put over it.
    let moved = content(&feed, &new);
    let said = fails(feed.change_state(&["migrate", "--to", &new, "--partitions", "7"]), 1);
    assert!(said.contains("holds state already, and not the same"), "{said}");
    let said = fails(feed.change_state(&["migrate", "--to", &new]), 1);
    assert!(said.contains("with 7 partitions; expected 4"), "{said}");
    assert_eq!(content(&feed, &new), moved);
    assert_eq!(records_of_accounts(&feed, &old), untouched, "the old topic is only read");
}

/// A part of the state is never taken for the whole: each partition is marked from before the first record to after the
/// last.
#[test]
fn an_interrupted_migration_is_no_state_and_is_completed_by_another_run() {
    let mut feed = world();
    feed.once();
    let n_events = feed.assert_equals_truth();
    let (old, new) = (feed.state_topic(), format!("{}.new", feed.state_topic()));
    let migrate = ["migrate", "--to", new.as_str(), "--partitions", "7"];
    let before = content(&feed, &old);

    // What a kill leaves behind: the marks, some of the records, one that has changed in the source since, and one that
    // is gone there.
    feed.kafka.create_topic(&new, 7, &[("cleanup.policy", "compact"), ("max.message.bytes", "2097152")]);
    let mark = json!({"from": old, "from_partitions": 4}).to_string().into_bytes();
    let producer = feed.kafka.producer(&[]);
    let put = |partition: i32, key: &str, value: &[u8]| {
        producer.send(BaseRecord::to(&new).partition(partition).key(key).payload(value)).map_err(|(e, _)| e).unwrap();
    };
    (0..7).for_each(|partition| put(partition, "unfinished", &mark));
    let home = |key: &str| callfeed::edge::kafka::partition_of(key.split('/').nth(1).unwrap(), 7);
    for (key, (_, value)) in before.iter().take(5) {
        put(home(key), key, value);
    }
    let stale = before.keys().nth(9).unwrap();
    put(home(stale), stale, b"{}");
    put(home("a/forgotten/calls/coverage"), "a/forgotten/calls/coverage", b"{}");
    producer.flush(PATIENCE).unwrap();

    in_another_group(&mut feed);
    with_topic(&mut feed, &new, 7);
    let said = fails(feed.try_once(), 1);
    assert!(said.contains("is not complete") && said.contains(&format!("kafka.state_topic: {old}")), "{said}");
    assert_eq!(feed.events().len(), n_events);
    in_another_group(&mut feed);
    with_topic(&mut feed, &old, 4);
    succeeds(feed.change_state(&migrate));
    assert_eq!(values(&content(&feed, &new)), values(&before));
    with_topic(&mut feed, &new, 7);
    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events);
}

/// Wherever it is killed: the topic is empty, or refused, or complete; and another run completes it.
#[test]
fn a_migration_that_is_killed_is_run_again() {
    let mut feed = world();
    feed.once();
    let n_events = feed.assert_equals_truth();
    let (old, new) = (feed.state_topic(), format!("{}.new", feed.state_topic()));
    let migrate = ["migrate", "--to", new.as_str(), "--partitions", "7"];
    for _ in 0..4 {
        let mut process = feed.command_setup(&[&["state"], &migrate[..], &["--wait", "60s"]].concat()).start();
        // The one before may have come through before it was killed.
        let is_copying = |process: &mut Callfeed| process.stderr().contains("copying") || process.ended().is_some();
        eventually("the migration to copy", PATIENCE, || is_copying(&mut process).then_some(()));
        process.kill9();
    }
    succeeds(feed.change_state(&migrate));
    assert_eq!(values(&content(&feed, &new)), values(&content(&feed, &old)));
    with_topic(&mut feed, &new, 7);
    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events);
}

/// As when somebody gave the state topic more partitions, and told the configuration so.
#[test]
fn state_that_lies_in_former_partitions_is_refused_and_moved() {
    let mut feed = world();
    feed.once();
    let n_events = feed.assert_equals_truth();
    let before = content(&feed, &feed.state_topic());
    let (grown, new) = (format!("{}.grown", feed.state_topic()), format!("{}.new", feed.state_topic()));
    feed.kafka.create_topic(&grown, 9, &[("cleanup.policy", "compact")]);
    let producer = feed.kafka.producer(&[]);
    for (key, (partition, value)) in &before {
        let record = BaseRecord::to(&grown).partition(*partition).key(key).payload(value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();

    in_another_group(&mut feed);
    with_topic(&mut feed, &grown, 9);
    let said = fails(feed.command(&["state", "list"]), 1);
    assert!(said.contains("the topic was given more partitions") && said.contains("state migrate"), "{said}");
    let said = fails(feed.try_once(), 1);
    assert!(said.contains("the topic was given more partitions"), "{said}");
    in_another_group(&mut feed);
    succeeds(feed.change_state(&["migrate", "--to", &new]));
    with_topic(&mut feed, &new, 9);
    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events);
}
