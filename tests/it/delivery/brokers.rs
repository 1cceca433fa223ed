//! Kafka goes away in the middle, as an operator stops it and as a power cut does.

use std::time::Duration;

use callfeed::simulator::Fault;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Kafka, eventually};

use super::faults::visible;
use super::feed::{Feed, PATIENCE, going, history, standing};

#[test]
fn a_broker_that_restarts_in_the_middle_loses_and_doubles_nothing() {
    let mut kafka = Kafka::own(&[]);
    let mut feed = Feed::in_kafka(going(history(200)), kafka.cluster());
    feed.configure(json!({"defaults": {"poll": {"page_size": 2}}}));
    feed.simulator.inject(Fault::Latency { delay: Duration::from_millis(40) }.every(1));
    let mut process = feed.start();
    feed.wait_for_events(20);

    kafka.stop();
    kafka.restart();
    let after_restart = feed.events().len();
    feed.wait_for_events(after_restart + 20);

    kafka.kill();
    feed.add_call("acme", SignedDuration::from_hours(3), json!({"source": "sip"}));
    kafka.restart();
    feed.simulator.clear_faults();
    feed.wait_for_events(visible(&feed, "acme"));
    feed.wait_for_rereading("acme");

    feed.assert_equals_truth();
    assert!(process.ended().is_none(), "callfeed goes on through all of it");
}

/// No transaction would notice: there is none.
#[test]
fn a_service_that_has_nothing_to_publish_is_not_ready_while_kafka_is_away() {
    let mut kafka = Kafka::own(&[]);
    let feed = Feed::in_kafka(standing(history(20)), kafka.cluster());
    let process = feed.start();
    feed.wait_for_events(visible(&feed, "acme"));
    let is = |word: &'static str| (process.get("/ready") == format!("{word}\n")).then_some(());
    eventually("the service to be ready", PATIENCE, || is("ready"));

    kafka.stop();
    eventually("the service to miss kafka", PATIENCE, || is("kafka_unreachable"));
    assert_eq!(process.get("/live"), "alive\n", "a restart would not help");
    kafka.restart();
    eventually("the service to be ready again", PATIENCE, || is("ready"));
    let log = process.stderr();
    assert!(log.contains("kafka does not answer, waiting") && log.contains("kafka answers again"), "{log}");
}

#[test]
fn a_service_that_starts_while_kafka_is_away_says_what_it_waits_for() {
    let mut feed = Feed::of(standing(history(20)));
    // Nobody listens there.
    feed.configure(json!({"kafka": {"bootstrap_servers": "127.0.0.1:1"}}));
    let process = feed.start();
    let waits = || (process.get("/ready") == "waiting for kafka\n").then_some(());
    eventually("the service to wait for kafka", PATIENCE, waits);
    assert_eq!(process.get("/live"), "alive\n", "a restart would not help");
}
