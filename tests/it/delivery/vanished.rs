//! Calls that the API no longer has: withdrawn where that is wished, and only when the pages prove it.

use callfeed::simulator::Scenario;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::feed::{Feed, account, history, standing, standing_with};

/// Far enough from both ends of what is read again.
const AGO: SignedDuration = SignedDuration::from_hours(8);

fn withdrawing(scenario: Scenario) -> Feed {
    let mut feed = Feed::of(scenario);
    feed.configure(json!({"defaults": {"poll": {"vanished": "withdraw"}}}));
    feed
}

#[test]
fn a_call_that_is_gone_is_withdrawn_where_that_is_wished() {
    let mut feed =
        withdrawing(standing_with(["one-page", "pages", "keeper"].map(|name| account(name, history(60))).into()));
    feed.configure_account("pages", json!({"poll": {"page_size": 7}}));
    feed.configure_account("keeper", json!({"poll": {"vanished": "keep"}}));
    let calls = ["one-page", "pages", "keeper"].map(|name| (name, feed.add_call(name, AGO, json!({"source": "sip"}))));
    feed.once();
    let n_events = feed.assert_equals_truth();
    for (name, call) in calls {
        feed.simulator.remove_call(name, call).unwrap();
    }
    feed.once();
    feed.once();

    let [one_page, pages, keeper] = calls.map(|(name, call)| feed.types_of(name, call));
    assert_eq!(one_page, ["CREATED", "WITHDRAWN"]);
    assert_eq!(pages, ["CREATED", "WITHDRAWN"]);
    assert_eq!(keeper, ["CREATED"]);
    assert_eq!(feed.events().len(), n_events + 2, "nothing else is told");
    let history = feed.events_of("pages", calls[1].1);
    assert_bare(&history[0].value, &history[1].value);
}

/// The event has the call's id and start, and nothing that is not known any more.
fn assert_bare(created: &Value, withdrawn: &Value) {
    for (column, value) in withdrawn.as_object().unwrap() {
        match column.as_str() {
            "event_id" | "observed_at" => assert_ne!(*value, created[column], "{column}"),
            "event_type" => assert_eq!(value, "WITHDRAWN"),
            "revision" => assert_eq!(value, 2),
            "service" | "account" | "customer_id" | "id" | "start_time" | "start_time_local" => {
                assert_eq!(*value, created[column], "{column}");
            }
            _ => assert!([json!(null), json!([]), json!({})].contains(value), "{column}: {value}"),
        }
    }
}

#[test]
fn a_call_that_is_gone_is_kept_while_pages_are_short() {
    let feed = withdrawing(Scenario { short_pages: 1.0, ..standing(history(60)) });
    let call = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    let n_events = feed.assert_equals_truth();
    feed.simulator.remove_call("acme", call).unwrap();
    feed.once();
    feed.once();
    assert_eq!(feed.types_of("acme", call), ["CREATED"]);
    assert_eq!(feed.events().len(), n_events);
}

/// Pages that are cut short by accident, ties in any order: what is there is never withdrawn.
#[test]
fn no_call_that_is_there_is_withdrawn() {
    let mut feed = withdrawing(Scenario { short_pages: 0.1, ..standing(history(80)) });
    feed.configure(json!({"defaults": {"poll": {"page_size": 9}}}));
    feed.once();
    let n_events = feed.assert_equals_truth();
    for _ in 0..5 {
        feed.once();
    }
    assert_eq!(feed.assert_equals_truth(), n_events);
}

#[test]
fn a_call_whose_row_cannot_be_read_any_more_is_not_gone() {
    let feed = withdrawing(standing(history(40)));
    let [bad, gone] =
        [0, 1].map(|minutes| feed.add_call("acme", AGO + SignedDuration::from_mins(minutes), json!({"source": "sip"})));
    feed.once();
    feed.simulator.set_column("acme", bad, "talk_duration", json!("long")).unwrap();
    feed.simulator.remove_call("acme", gone).unwrap();
    feed.once();
    assert_eq!(feed.types_of("acme", gone), ["CREATED", "WITHDRAWN"]);
    assert_eq!(feed.types_of("acme", bad), ["CREATED"]);
    assert_eq!(feed.dead_letters().len(), 1);
}
