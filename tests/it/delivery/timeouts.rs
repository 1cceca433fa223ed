//! Time-outs of clients that real brokers refuse: told with the key that sets them, before and while callfeed runs.

use serde_json::{Value, json};

use super::feed::{Feed, account, fails, history, standing_with};

fn with(properties: Value) -> Feed {
    let mut feed = Feed::of(standing_with(vec![account("acme", history(1))]));
    feed.configure(json!({"kafka": {"properties": properties}}));
    feed
}

fn checked(feed: &Feed) -> String {
    let mut check = feed.command(&["check"]);
    assert_eq!(check.exit_code(), 1, "{}", check.stdout());
    check.stdout()
}

#[test]
fn a_session_that_the_brokers_do_not_allow_is_named_with_their_bounds() {
    let feed = with(json!({"session.timeout.ms": "3600000", "max.poll.interval.ms": "3600000"}));
    let found = checked(&feed);
    let bad = "✗ session: `session.timeout.ms` is 3600000, and the brokers have `group.max.session.timeout.ms=";
    assert!(found.contains(bad), "{found}");
    let said = fails(feed.try_once(), 1);
    assert!(said.contains("set `session.timeout.ms` in `kafka.properties` within"), "{said}");
}

#[test]
fn transactions_that_are_longer_than_the_brokers_allow_are_no_missing_right() {
    let feed = with(json!({"transaction.timeout.ms": "3000000"}));
    let remedy = "lower `transaction.timeout.ms` in `kafka.properties`, or have `transaction.max.timeout.ms`";
    for said in [checked(&feed), fails(feed.try_once(), 1)] {
        assert!(said.contains(remedy) && !said.contains("WRITE"), "{said}");
    }
}
