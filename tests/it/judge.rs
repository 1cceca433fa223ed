//! The judge of what consumers were told, which other tests rely on: what it lets pass and what it does not.

use std::collections::{BTreeMap, BTreeSet};

use callfeed::simulator::TruthCall;
use serde_json::{Value, json};

use crate::support::{CallState, Judge, Problem, Record, Told};

use Judge::{AtLeastOnce, ExactlyOnce};
use Problem::{Disorder, Doubled, Gap, Lost, Stale, Unwanted};

const CALL: i64 = 7;

#[test]
fn a_history_is_told_once_in_order_and_without_a_gap() {
    let both: [(&[&str], &[Problem]); 5] = [
        (&[], &[]),
        (&["1a", "2b", "3c"], &[]),
        (&["1a", "3c"], &[Gap]),
        (&["2b"], &[Gap]),
        (&["1a", "2b", "3c", "2x"], &[Disorder]),
    ];
    for (events, expected) in both {
        assert_eq!(history(ExactlyOnce, events), expected, "{events:?}");
        assert_eq!(history(AtLeastOnce, events), expected, "{events:?}");
    }
    for events in [["1a", "1a"].as_slice(), &["1a", "2b", "2x"]] {
        assert_eq!(history(ExactlyOnce, events), [Doubled], "{events:?}");
    }
    assert_eq!(history(AtLeastOnce, &["1a", "2b", "2x"]), [Doubled], "a revision has one content");
}

#[test]
fn at_least_once_may_repeat_an_event() {
    for events in [["1a", "1a"].as_slice(), &["1a", "2b", "1a", "3c"]] {
        assert_eq!(history(AtLeastOnce, events), [], "{events:?}");
    }
}

#[test]
fn two_partitions_have_no_order() {
    let events = [told("1a", 0, "CREATED"), told("2b", 1, "UPDATED")];
    assert_eq!(ExactlyOnce.history(&events), BTreeSet::from([Disorder]));
}

#[test]
fn what_stands_in_the_end_is_held_against_the_truth() {
    let (created, withdrawn) = (told("1a", 0, "CREATED"), told("2b", 0, "WITHDRAWN"));
    let problem = |events: &[&Told], tags: &[i64], is_wanted: bool| {
        let told = BTreeMap::from([(CALL, events.iter().map(|event| (*event).clone()).collect())]);
        let problems = ExactlyOnce.account(&[truth(tags)], &told, |_: &CallState| is_wanted);
        problems.into_values().flatten().next()
    };
    assert_eq!(problem(&[&created], &[1], true), None);
    assert_eq!(problem(&[], &[1], true), Some(Lost));
    assert_eq!(problem(&[&created, &withdrawn], &[1], true), Some(Lost));
    assert_eq!(problem(&[&created], &[1, 2], true), Some(Stale));
    assert_eq!(problem(&[&created], &[1], false), Some(Unwanted));
    assert_eq!(problem(&[&created, &withdrawn], &[1], false), None);
}

#[test]
fn a_call_that_never_was_may_not_be_told() {
    let told = BTreeMap::from([(CALL, vec![told("1a", 0, "CREATED")])]);
    let problems = ExactlyOnce.account(&[], &told, |_| true);
    assert_eq!(problems, BTreeMap::from([(CALL, BTreeSet::from([Unwanted]))]));
}

/// Events by their revision and what makes up their id.
fn history(judge: Judge, events: &[&str]) -> Vec<Problem> {
    let kind = |event: &&str| if event.starts_with('1') { "CREATED" } else { "UPDATED" };
    let told: Vec<Told> = events.iter().map(|event| told(event, 0, kind(event))).collect();
    judge.history(&told).into_iter().collect()
}

fn told(event: &str, partition: i32, event_type: &str) -> Told {
    let record = Record { partition, offset: 0, timestamp_ms: 0, key: None, headers: Vec::new(), value: None };
    let revision: i64 = event[..1].parse().unwrap();
    let mut value = row(&[1]);
    value["event_id"] = event.into();
    value["event_type"] = event_type.into();
    value["revision"] = revision.into();
    Told::of(&record, &value)
}

fn truth(tags: &[i64]) -> TruthCall {
    let start_time = "2026-03-02 10:15:04".to_owned();
    TruthCall { id: CALL, start_time, visible: true, ongoing: false, bad: false, row: row(tags) }
}

fn row(tags: &[i64]) -> Value {
    let tags: Vec<Value> = tags.iter().map(|tag| json!({"tag_id": tag})).collect();
    json!({"start_time_local": "2026-03-02 10:15:04", "source": "sip", "talk_duration": 3, "tags": tags})
}
