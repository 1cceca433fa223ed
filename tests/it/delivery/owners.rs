//! A second callfeed with the same group and instance takes over, and the first one knows it.

use std::time::Duration;

use callfeed::simulator::Fault;
use serde_json::json;

use super::faults::visible;
use super::feed::{Feed, PATIENCE, history, standing};

#[test]
fn a_second_callfeed_supersedes_the_first_and_doubles_nothing() {
    let mut feed = Feed::of(standing(history(150)));
    feed.configure(json!({"defaults": {"poll": {"page_size": 2}}}));
    feed.simulator.inject(Fault::Latency { delay: Duration::from_millis(40) }.every(1));
    let mut first = feed.start();
    feed.wait_for_events(15);

    let mut second = feed.start();
    first.wait_exit(PATIENCE);

    assert_eq!(first.exit_code(), 1);
    let said = first.stderr();
    assert!(said.contains("another callfeed with the same `kafka.group_id`"), "{said}");
    let taken_over_at = feed.events().len();
    assert!(taken_over_at < visible(&feed, "acme"), "the first was in the middle of its back-fill");
    feed.simulator.clear_faults();
    feed.wait_for_events(visible(&feed, "acme"));
    feed.wait_for_rereading("acme");
    assert!(second.ended().is_none());
    feed.assert_equals_truth();
}

/// A process that hangs, with its transaction open, while another takes over, and then goes on as if nothing had been.
#[test]
fn a_process_that_wakes_up_after_another_took_over_publishes_nothing_more() {
    let mut feed = Feed::of(standing(history(150)));
    feed.configure(json!({"defaults": {"poll": {"page_size": 2}}}));
    feed.simulator.inject(Fault::Latency { delay: Duration::from_millis(20) }.every(1));
    let mut first = feed.start();
    feed.wait_for_events(15);
    first.stop();

    let mut second = feed.start();
    feed.simulator.clear_faults();
    feed.wait_for_events(visible(&feed, "acme"));
    first.cont();
    first.wait_exit(PATIENCE);

    assert_eq!(first.exit_code(), 1);
    feed.wait_for_rereading("acme");
    assert!(second.ended().is_none());
    assert_eq!(feed.assert_equals_truth(), visible(&feed, "acme"));
}
