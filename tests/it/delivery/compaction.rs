//! What the ledger forgets is gone from Kafka too: by the broker's own cleaner, tombstones and all.

use std::collections::BTreeSet;

use callfeed::simulator::CallsScenario;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Record, eventually};

use super::feed::{Feed, PATIENCE, going};

/// Started so many hours ago: beyond the horizon, and the two hours that are kept behind it.
const HOURS_AGO: std::ops::RangeInclusive<i64> = 5..=20;

/// A segment that is a second old ends with the next record, and only ended ones are cleaned. The service provides
/// that record itself: each reading notes how far it came. A first cleaning drops what tombstones stand for and dates
/// them, a later one drops those whose time is over.
const CLEANED_AT_ONCE: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.ms", "1000"),
    ("min.cleanable.dirty.ratio", "0.0001"),
    ("delete.retention.ms", "0"),
];

#[test]
fn what_is_beyond_the_horizon_is_gone_after_compaction() {
    let mut feed = Feed::of(going(CallsScenario::default()));
    feed.configure(
        json!({"defaults": {"poll": {"tiers": [{"age": "1s", "every": "1s"}, {"age": "2s", "every": "1s"}]}}}),
    );
    let state = format!("{}.state", feed.name);
    // Not cleaned at first, so that there is something to be seen.
    feed.kafka.create_topic(&state, 2, &[("cleanup.policy", "compact"), ("min.compaction.lag.ms", "3600000")]);
    for hours in HOURS_AGO {
        (0..3).for_each(|_| {
            feed.add_call("acme", SignedDuration::from_hours(hours), json!({"source": "sip"}));
        });
    }
    let mut service = feed.start();
    eventually("each hour to be stored, and forgotten", PATIENCE, || {
        let (stored, forgotten) = hours_in(feed.kafka.read_committed(&state));
        (stored.len() >= HOURS_AGO.count() && stored == forgotten).then_some(())
    });
    let n_events = feed.assert_equals_truth();
    assert_eq!(n_events, HOURS_AGO.count() * 3);

    feed.kafka.alter_topic(&state, &CLEANED_AT_ONCE);
    eventually("the hours to be gone with their tombstones", PATIENCE, || {
        let (stored, forgotten) = hours_in(feed.kafka.read_committed(&state));
        (stored.is_empty() && forgotten.is_empty()).then_some(())
    });
    service.terminate();
    service.wait_exit(PATIENCE);
    assert_eq!(service.exit_code(), 0, "{}", service.stderr());

    // What is left is all that a start needs: it goes on, and tells nothing twice.
    let records = feed.kafka.read_committed(&state);
    let of_account: BTreeSet<&str> =
        records.iter().map(Record::key_text).filter(|key| key.starts_with("a/acme/")).collect();
    assert_eq!(of_account, ["a/acme/calls/coverage"].into());
    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events);
}

/// The hours of the ledger in the state topic: those with a value, and those with a tombstone.
fn hours_in(records: Vec<Record>) -> (BTreeSet<String>, BTreeSet<String>) {
    let of_ledger = records.into_iter().filter(|record| record.key_text().contains("/ledger/"));
    let (stored, forgotten): (Vec<Record>, Vec<Record>) = of_ledger.partition(|record| record.value.is_some());
    let keys = |records: Vec<Record>| records.iter().map(|record| record.key_text().to_owned()).collect();
    (keys(stored), keys(forgotten))
}
