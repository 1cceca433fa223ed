//! An API that serves rows only hours later: nothing falls into the gap, and the account is not blocked for it.

use std::collections::BTreeSet;
use std::time::Duration;

use callfeed::simulator::{CallsScenario, Scenario};
use jiff::SignedDuration;
use serde_json::json;

use super::feed::{Feed, history, standing};

const HOUR: Duration = Duration::from_hours(1);

#[test]
fn what_is_refused_as_too_recent_is_read_when_it_is_served() {
    let feed = Feed::of(Scenario { refuse_recent: 6 * HOUR, ..standing(history(200)) });

    let mut process = feed.try_once();
    assert_eq!(process.exit_code(), 0, "{}", process.stderr());
    let log = process.stderr();
    assert!(!log.lines().any(|line| line.contains("account=acme") && !line.contains(" INFO ")), "{log}");
    assert_eq!(log.matches("windows end so long before now").count(), 1, "{log}");
    // What is older than the embargo, and no call of the last hours.
    let n_events = feed.events().len();
    assert!(n_events > 100 && n_events < 190, "{n_events} of 200 calls");
    let counts = feed.simulator.counts("acme", "get.calls_report");
    assert!(counts.refused["invalid_parameter_value"] < 12, "{counts:?}");

    // Seven hours later the rest is served.
    feed.simulator.advance(SignedDuration::from_hours(7));
    feed.once();
    assert_eq!(feed.assert_equals_truth(), feed.events().len());
    assert!(feed.simulator.bugs().is_empty());
}

/// Each reading on the way to the border goes as far as it was found to be, and not in ever smaller pieces.
#[test]
fn the_border_of_what_is_served_is_found_in_a_few_readings() {
    let feed = Feed::of(Scenario { refuse_recent: Duration::from_mins(10), ..standing(history(200)) });
    feed.once();
    let counts = feed.simulator.counts("acme", "get.calls_report");
    assert!(counts.answered <= 10 && counts.refused["invalid_parameter_value"] <= 8, "{counts:?}");
    assert!(counts.rows < 250, "hardly any of the 200 is read twice: {counts:?}");
    let now = feed.simulator.now();
    let served_till = now - SignedDuration::from_mins(13);
    let mut calls = feed.simulator.timelines("acme");
    calls.retain(|call| call.start < served_till && call.shown_at.is_some_and(|at| at <= now));
    assert!(calls.len() > 100, "{} of 200 are served", calls.len());
    let read: BTreeSet<String> = feed.events().iter().map(|event| event.record.key_text().to_owned()).collect();
    for call in calls {
        assert!(read.contains(&format!("acme:{}", call.id)), "{call:?}");
    }
}

/// Rows that appear six hours after the call are none of the last fifteen minutes: the live tier finds them behind
/// the newest row that it has seen.
#[test]
fn rows_that_appear_hours_later_are_found_by_the_live_tier() {
    let calls = CallsScenario { visibility_delay: 6 * HOUR, ..history(200) };
    let mut feed = Feed::of(standing(calls));
    // The larger tier waits for a day, and what is missing is read once.
    let tiers = json!([{"age": "15m", "every": "1s"}, {"age": "3d", "every": "1d"}]);
    feed.configure(json!({"defaults": {"poll": {"tiers": tiers}}}));
    feed.once();
    let before = feed.events().len();
    assert!(before < 200, "{before}");

    feed.simulator.advance(SignedDuration::from_hours(3));
    feed.once();
    let read: BTreeSet<String> = feed.events().iter().map(|event| event.record.key_text().to_owned()).collect();
    let shown = feed.simulator.truth("acme").into_iter().filter(|call| call.visible);
    assert_eq!(read, shown.map(|call| format!("acme:{}", call.id)).collect());
    assert!(read.len() > before, "{before}");
}
