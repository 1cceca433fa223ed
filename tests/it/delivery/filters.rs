//! Each kind of filter, on the same calls: what is published and what is withdrawn when tags come and go.

use std::collections::BTreeMap;

use callfeed::simulator::{CallsScenario, Delay, TagHabits};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::feed::{Feed, account, history, standing_with};

/// Each account of the test has one of these filters, beside those that name what is found in the calls.
fn plain_filters() -> Vec<(&'static str, Value)> {
    vec![
        ("everything", json!({})),
        ("by-default", json!({"channels": {"static": "none"}})),
        ("primary", json!({"include": "primary"})),
        ("tagged", json!({"include": "tagged"})),
        ("tag-by-name", json!({"tags": ["Целевой"]})),
        ("tags", json!({"tags": ["Жалоба", "Первичный звонок", "Спам"]})),
        ("static-only", json!({"channels": {"dynamic": false, "static": "all"}})),
        ("static-sources", json!({"channels": {"static": {"sources": ["va", "sip"]}}})),
        (
            "primary-of-static-tagged",
            json!({"include": "primary", "tags": ["Целевой", "Жалоба", "Нецелевой"],
            "channels": {"dynamic": false, "static": {"sources": ["call_tracking"]}}}),
        ),
    ]
}

/// Accounts whose filters name something by what the calls of the account hold.
const CAMPAIGNS: [i64; 3] = [4_188_001, 4_188_002, -1];

const NAMING: [&str; 5] = ["tag-by-id", "number", "campaign", "scenario", "any-of-all-names"];

/// Accounts whose calls pass by their tags alone.
const WITHDRAWING: [&str; 4] = ["tagged", "tag-by-name", "tags", "tag-by-id"];

#[test]
fn each_filter_publishes_what_its_definition_says() {
    let names = plain_filters().into_iter().map(|(name, _)| name).chain(NAMING);
    let mut feed = Feed::of(standing_with(names.map(|name| account(name, calls())).collect()));
    for (name, filters) in plain_filters() {
        feed.configure_account(name, json!({"filters": filters}));
    }
    name_what_is_there(&mut feed);

    feed.once();
    let at_first = feed.assert_equals_truth();
    for name in WITHDRAWING {
        take_all_tags_off_a_published_call(&feed, name);
    }
    feed.once();
    feed.assert_equals_truth();

    // Tags come and go meanwhile, for good or not.
    for hours in [2, 9] {
        feed.simulator.advance(SignedDuration::from_hours(hours));
        feed.once();
        feed.assert_equals_truth();
    }
    let events = feed.events();
    assert!(events.len() > at_first);
    let mut types: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for event in &events {
        *types.entry((event.text("account"), event.text("event_type"))).or_default() += 1;
    }
    for name in WITHDRAWING {
        assert!(types.contains_key(&(name, "WITHDRAWN")), "`{name}` withdraws calls that lost their tag: {types:?}");
    }
    assert!(!types.contains_key(&("everything", "WITHDRAWN")), "{types:?}");
}

/// Other filters hold for calls that were published before: those that no longer pass are withdrawn, and
/// come back when they pass again.
#[test]
fn filters_may_change_between_two_runs() {
    let mut feed = Feed::of(standing_with(vec![account("acme", calls())]));
    feed.once();
    let n_calls = feed.assert_equals_truth();
    for filters in [json!({"include": "primary"}), json!({"channels": {"static": {"sources": ["sip"]}}})] {
        let before = feed.events().len();
        feed.configure_account("acme", json!({"filters": filters}));
        feed.once();
        feed.assert_latest_equals_truth();
        assert!(feed.events().len() > before, "calls are withdrawn");
    }
    feed.configure_account("acme", json!({"filters": {"include": "all", "channels": {"static": "all"}}}));
    feed.once();
    feed.assert_latest_equals_truth();
    let n_created = feed.events().iter().filter(|event| event.text("event_type") == "CREATED").count();
    assert_eq!(n_created, n_calls, "a call that comes back is no new one");
}

fn calls() -> CallsScenario {
    let tags = TagHabits {
        share: 0.8,
        delay: Delay::secs(600, 12 * 3600),
        removed_share: 0.5,
        removed_delay: Delay::secs(1800, 12 * 3600),
    };
    CallsScenario { tags, ..history(120) }
}

fn name_what_is_there(feed: &mut Feed) {
    for name in ["campaign", "any-of-all-names"] {
        put_static_calls_into_campaigns(feed, name);
    }
    let static_value = |account: &str, column: &str| {
        let calls = feed.simulator.truth(account).into_iter().map(|call| call.row);
        let mut of_static = calls.filter(|row| row["source"] == "call_tracking").map(|row| row[column].clone());
        of_static.find(|value| !value.is_null()).unwrap()
    };
    let channels = |names: Value| json!({"filters": {"channels": {"dynamic": false, "static": names}}});
    let tags =
        feed.simulator.truth("tag-by-id").into_iter().flat_map(|call| call.row["tags"].as_array().unwrap().clone());
    let tag = tags.map(|tag| tag["tag_id"].clone()).next().unwrap();
    let patches = [
        json!({"filters": {"tags": [tag]}}),
        channels(json!({"virtual_numbers": [static_value("number", "virtual_phone_number")]})),
        channels(json!({"campaigns": [CAMPAIGNS[0]]})),
        channels(json!({"scenarios": [static_value("scenario", "scenario_id")]})),
        channels(json!({
            "sources": ["sip"],
            "virtual_numbers": [static_value("any-of-all-names", "virtual_phone_number")],
            "campaigns": [CAMPAIGNS[1], 5],
            "scenarios": [static_value("any-of-all-names", "scenario_id")],
        })),
    ];
    for (name, patch) in NAMING.into_iter().zip(patches) {
        feed.configure_account(name, patch);
    }
}

/// The simulator gives campaigns to dynamic calls alone, and a number that is shown in an advertisement has one too.
fn put_static_calls_into_campaigns(feed: &Feed, account: &str) {
    let calls = feed.simulator.truth(account).into_iter().filter(|call| call.row["source"] == "call_tracking");
    for (call, campaign) in calls.zip(CAMPAIGNS.into_iter().cycle()) {
        feed.simulator.set_column(account, call.id, "campaign_id", json!(campaign)).unwrap();
    }
}

/// A rare tag is on few calls, and by chance each of them may keep it.
fn take_all_tags_off_a_published_call(feed: &Feed, account: &str) {
    let published = feed.events().into_iter().find(|event| event.text("account") == account);
    let id = published.unwrap_or_else(|| panic!("`{account}` has calls with its tags")).number("id");
    let call = feed.simulator.truth(account).into_iter().find(|call| call.id == id).unwrap();
    for tag in call.row["tags"].as_array().unwrap() {
        feed.simulator.remove_tag(account, id, tag["tag_name"].as_str().unwrap()).unwrap();
    }
}
