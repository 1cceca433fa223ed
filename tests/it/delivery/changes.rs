//! What happens to a call after it was published: tags, sales, ratings, records, and calls that show up late.

use std::collections::BTreeSet;
use std::time::Duration;

use callfeed::simulator::{CallsScenario, Delay, LongCalls, RatingHabits, SaleHabits, TagHabits};
use jiff::SignedDuration;
use serde_json::json;

use crate::support::eventually;

use super::feed::{Feed, PATIENCE, going, history, standing};

#[test]
fn what_happens_to_calls_later_is_told() {
    let day = Delay::secs(600, 24 * 3600);
    let feed = Feed::of(standing(CallsScenario {
        tags: TagHabits { share: 0.7, delay: day, removed_share: 0.4, removed_delay: day },
        sales: SaleHabits { share: 0.4, delay: day },
        ratings: RatingHabits { share: 0.4, delay: day },
        records_delay: day,
        ..history(100)
    }));
    for hours in [0, 1, 4, 12, 48] {
        feed.simulator.advance(SignedDuration::from_hours(hours));
        feed.once();
        feed.assert_equals_truth();
    }
    let events = feed.events();
    let changed: BTreeSet<&str> = events.iter().flat_map(|event| event.changed()).collect();
    assert!(changed.is_superset(&BTreeSet::from(["tags", "sale", "rating", "records"])), "{changed:?}");
}

#[test]
fn calls_that_appear_long_after_their_start_are_read() {
    let feed = Feed::of(standing(CallsScenario {
        long: LongCalls { share: 0.3, talk: Delay::secs(3600, 4 * 3600) },
        visibility_delay: Duration::from_secs(1200),
        days: 0.2,
        ..history(80)
    }));
    let mut n_visible = BTreeSet::new();
    for minutes in [0, 10, 60, 300] {
        feed.simulator.advance(SignedDuration::from_mins(minutes));
        feed.once();
        feed.assert_equals_truth();
        n_visible.insert(feed.simulator.truth("acme").iter().filter(|call| call.visible).count());
    }
    assert_eq!(n_visible.len(), 4, "calls appear between all readings: {n_visible:?}");
}

/// One call through its life, in the running service: each change arrives by itself, as one event.
#[test]
fn changes_of_a_call_arrive_while_the_service_runs() {
    let mut feed = Feed::of(going(history(40)));
    feed.configure(json!({"defaults": {"filters": {"include": "tagged"}}}));
    feed.simulator.stop_live_calls("acme").unwrap();
    let call = feed.add_call("acme", SignedDuration::from_hours(8), json!({"source": "sip"}));
    let simulator = &feed.simulator;
    let _running = feed.start();

    let mut n_events = 0;
    let mut arrives = |event_type: &str, changed: &[&str]| {
        n_events += 1;
        let history = eventually(&format!("event {n_events} of the call"), PATIENCE, || {
            let history = feed.events_of("acme", call);
            (history.len() >= n_events).then_some(history)
        });
        let last = history.last().unwrap();
        assert_eq!((history.len(), last.text("event_type")), (n_events, event_type));
        assert_eq!(last.changed(), changed.iter().copied().collect(), "{event_type}, revision {n_events}");
    };
    simulator.put_tag("acme", call, "Целевой").unwrap();
    arrives("CREATED", &[]);
    simulator.put_tag("acme", call, "Жалоба").unwrap();
    arrives("UPDATED", &["tags"]);
    simulator.set_column("acme", call, "last_answered_employee_rating", json!(4)).unwrap();
    arrives("UPDATED", &["rating"]);
    // The two columns of a sale change at one moment, but the simulator is told one after the other.
    simulator.set_column("acme", call, "sale_cost", json!(12_345.67)).unwrap();
    arrives("UPDATED", &["sale"]);
    simulator.set_column("acme", call, "contact_full_name", json!("Пётр")).unwrap();
    arrives("UPDATED", &["other"]);
    simulator.set_column("acme", call, "call_records", json!(["a", "b"])).unwrap();
    arrives("UPDATED", &["records"]);
    // The order of a list says nothing: no event. A tag that is left keeps the call.
    simulator.set_column("acme", call, "call_records", json!(["b", "a"])).unwrap();
    feed.wait_for_rereading("acme");
    simulator.remove_tag("acme", call, "Целевой").unwrap();
    arrives("UPDATED", &["tags"]);
    simulator.remove_tag("acme", call, "Жалоба").unwrap();
    arrives("WITHDRAWN", &["tags"]);
    // Nobody has the call any more, so nobody is told.
    simulator.set_column("acme", call, "last_answered_employee_rating", json!(1)).unwrap();
    feed.wait_for_rereading("acme");
    simulator.put_tag("acme", call, "Спам").unwrap();
    arrives("UPDATED", &["rating", "tags"]);

    feed.wait_for_rereading("acme");
    assert_eq!(feed.types_of("acme", call).len(), n_events, "reading again what did not change says nothing");
}

#[test]
fn columns_that_no_document_knows_are_kept() {
    let extra = json!({"brand_new": {"a": [1, 2.5, null]}, "flag": true, "words": "по-русски \"да\""});
    let feed = Feed::of(standing(CallsScenario { extra_columns: extra.as_object().unwrap().clone(), ..history(20) }));
    feed.once();
    feed.assert_equals_truth();
    let expected: BTreeSet<&String> = extra.as_object().unwrap().keys().collect();
    for event in feed.events() {
        let found: BTreeSet<&String> = event.value["extra"].as_object().unwrap().keys().collect();
        assert_eq!(found, expected);
    }
}
