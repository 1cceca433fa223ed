//! What stands in the way is said with its remedy, and ends or delays no more than it must.

use std::time::{Duration, Instant};

use callfeed::simulator::KeyState;
use serde_json::json;

use crate::support::{Kafka, free_port, unique_name};

use super::feed::{Feed, PATIENCE, account, history, standing, standing_with};

/// What callfeed says when it fails.
#[track_caller]
fn refusal(feed: &Feed) -> String {
    let mut process = feed.try_once();
    assert_eq!(process.exit_code(), 1, "callfeed fails:\n{}", process.stderr());
    process.stderr()
}

#[track_caller]
fn assert_says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "callfeed should say {word:?}:\n{said}");
    }
}

#[test]
fn a_kafka_that_is_away_is_named_and_given_up_in_time() {
    let address = format!("127.0.0.1:{}", free_port());
    let mut feed = Feed::of(standing(history(5)));
    feed.configure(json!({"kafka": {"bootstrap_servers": address}}));
    let started = Instant::now();
    let said = refusal_within(&feed, "5s");
    assert_says(&said, &["kafka", &address, "waiting"]);
    assert!(started.elapsed() < Duration::from_secs(9), "it took {:?}", started.elapsed());
}

#[test]
fn a_registry_that_is_away_is_named_and_given_up_in_time() {
    let address = format!("127.0.0.1:{}", free_port());
    let mut feed = Feed::of(standing(history(5)));
    feed.configure(json!({"schema_registry": {"url": format!("http://{address}/apis/ccompat/v7")}}));
    let started = Instant::now();
    let said = refusal_within(&feed, "5s");
    assert_says(&said, &["registry", &address, "waiting"]);
    assert!(started.elapsed() < Duration::from_secs(9), "it took {:?}", started.elapsed());
}

#[track_caller]
fn refusal_within(feed: &Feed, timeout: &str) -> String {
    let setup = feed.setup(&["--once", "--timeout", timeout]);
    let mut process = setup.run(PATIENCE);
    assert_eq!(process.exit_code(), 1, "callfeed gives up:\n{}", process.stderr());
    process.stderr()
}

#[test]
fn a_kafka_that_comes_late_is_waited_for() {
    let mut kafka = Kafka::own(&[]);
    let feed = Feed::in_kafka(standing(history(5)), kafka.cluster());
    kafka.stop();
    let mut process = feed.start();
    process.wait_for_output("waiting", PATIENCE);
    kafka.restart();
    feed.wait_for_events(5);
    feed.assert_equals_truth();
}

#[test]
fn a_login_that_is_refused_blocks_its_account_alone() {
    let mut wrong = account("wrong", history(10));
    wrong.login = Some("user@example.com".to_owned());
    wrong.password = Some("the right one".into());
    let mut feed = Feed::of(standing_with(vec![wrong, account("blocked", history(10)), account("good", history(30))]));
    feed.config["accounts"][0]["credentials"] = json!({"login": "user@example.com", "password": "the wrong one"});
    feed.simulator.set_key_state("blocked", KeyState::Blocked).unwrap();

    let said = refusal(&feed);

    assert_says(&said, &["wrong", "blocked", "2 of 3 accounts could not be read", "remedy", "not interchangeable"]);
    assert_eq!(feed.events().len(), super::faults::visible(&feed, "good"), "the others go on");
}

#[test]
fn an_unknown_tag_is_told_with_the_names_near_it() {
    let mut feed = Feed::of(standing(history(5)));
    feed.configure_account("acme", json!({"filters": {"tags": ["целевои"]}}));
    assert_says(&refusal(&feed), &["целевои", "Целевой"]);
}

#[test]
fn a_topic_that_may_not_be_created_is_named_with_the_way_to_create_it() {
    let mut feed = Feed::of(standing(history(5)));
    feed.configure(json!({"kafka": {"create_topics": {"enabled": false}}}));
    assert_says(&refusal(&feed), &[&feed.topic(), "missing", "create_topics.enabled", "kafka-topics"]);
}

#[test]
fn a_state_topic_that_is_not_compacted_is_refused() {
    let feed = Feed::of(standing(history(5)));
    let state = format!("{}.state", feed.name);
    feed.kafka.create_topic(&state, 2, &[("cleanup.policy", "delete")]);
    assert_says(&refusal(&feed), &[&state, "cleanup.policy=delete", "cleanup.policy=compact"]);
}

#[test]
fn a_state_topic_of_other_partitions_is_refused() {
    let feed = Feed::of(standing(history(5)));
    let state = format!("{}.state", feed.name);
    feed.kafka.create_topic(&state, 3, &[("cleanup.policy", "compact")]);
    assert_says(&refusal(&feed), &[&state, "3 partitions", "kafka.state_partitions: 3"]);
}

#[test]
fn a_dead_letter_topic_that_takes_less_than_events_is_refused() {
    let feed = Feed::of(standing(history(5)));
    feed.kafka.create_topic(&feed.topic(), 1, &[("max.message.bytes", "100000")]);
    feed.kafka.create_topic(&feed.dead_letter_topic(), 1, &[("max.message.bytes", "50000")]);
    assert_says(&refusal(&feed), &[&feed.dead_letter_topic(), "max.message.bytes=50000", "100000"]);
}

#[test]
fn a_schema_that_nobody_registered_is_missed_when_callfeed_may_not() {
    let mut feed = Feed::of(standing(history(5)));
    feed.configure(
        json!({"schema_registry": {"auto_register": false}, "topics": {"calls": unique_name("unregistered")}}),
    );
    assert_says(&refusal(&feed), &["unregistered", "schemas register"]);
}
