//! What the feed must be: worked out from the simulator's truth and the filters as the config has them, by
//! the words of the documents. Nothing here calls callfeed's own rules.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::support::{Record, Registry};

use super::columns;
use super::feed::{AccountFacts, Feed};

/// A record of the calls topic, decoded as a foreign consumer does.
#[derive(Clone, Debug)]
pub struct Event {
    pub record: Record,
    pub value: Value,
}

impl Event {
    pub fn decode(record: Record, registry: &Registry) -> Event {
        Event { value: registry.decode(&record), record }
    }

    pub fn text(&self, field: &str) -> &str {
        self.value[field].as_str().unwrap_or_else(|| panic!("`{field}` is no text in {}", self.value))
    }

    pub fn number(&self, field: &str) -> i64 {
        self.value[field].as_i64().unwrap_or_else(|| panic!("`{field}` is no number in {}", self.value))
    }

    pub fn changed(&self) -> BTreeSet<&str> {
        self.value["changed"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect()
    }
}

/// Asserts that a `read_committed` consumer sees each call of the truth that the filters let through, as
/// it is now and told without a gap, and nothing else. Returns the number of events.
#[track_caller]
pub fn assert_feed_equals_truth(feed: &Feed) -> usize {
    assert_feed(feed, Judged::EveryEvent)
}

/// As [`assert_feed_equals_truth`], but only the last event of a call is held against the filters.
#[track_caller]
pub fn assert_latest_equals_truth(feed: &Feed) {
    assert_feed(feed, Judged::LastEvent);
}

/// Which events must be on the right side of the filters as they are configured now.
#[derive(Clone, Copy, PartialEq)]
enum Judged {
    EveryEvent,
    LastEvent,
}

#[track_caller]
fn assert_feed(feed: &Feed, judged: Judged) -> usize {
    let mut events = feed.events();
    if feed.may_repeat_events() {
        let mut known = HashSet::new();
        events.retain(|event| known.insert(event.text("event_id").to_owned()));
    }
    let n_events = events.len();
    let ids: HashSet<&str> = events.iter().map(|event| event.text("event_id")).collect();
    assert_eq!(ids.len(), n_events, "every event has an id of its own");
    assert_registered_once(feed, &events);
    let mut by_account: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in events {
        by_account.entry(event.text("account").to_owned()).or_default().push(event);
    }
    for account in feed.accounts() {
        let events = by_account.remove(&account.name).unwrap_or_default();
        assert_account_equals_truth(feed, &account, events, judged);
    }
    let strangers: Vec<&String> = by_account.keys().collect();
    assert!(strangers.is_empty(), "events of accounts that nobody configured: {strangers:?}");
    n_events
}

/// All events name the schema that the subject of the topic has.
fn assert_registered_once(feed: &Feed, events: &[Event]) {
    let ids: BTreeSet<&[u8]> = events.iter().map(|event| &event.record.value.as_deref().unwrap()[..5]).collect();
    if ids.is_empty() {
        return;
    }
    let latest = feed.registry.get(&format!("/subjects/{}-value/versions/latest", feed.topic()));
    let id = u32::try_from(latest["id"].as_u64().unwrap()).unwrap();
    assert_eq!(ids, BTreeSet::from([[&[0], &id.to_be_bytes()[..]].concat().as_slice()]), "magic and schema id");
}

fn assert_account_equals_truth(feed: &Feed, account: &AccountFacts, events: Vec<Event>, judged: Judged) {
    let mut by_call: BTreeMap<i64, Vec<Event>> = BTreeMap::new();
    for event in events {
        by_call.entry(event.number("id")).or_default().push(event);
    }
    for (call, history) in &by_call {
        assert_history(account, *call, history, judged);
    }
    let truth = feed.simulator.truth(&account.name).into_iter().filter(|call| call.visible && !call.bad);
    let mut n_expected = 0;
    for call in truth.filter(|call| account.since.as_deref().is_none_or(|since| call.start_time.as_str() >= since)) {
        let history = by_call.remove(&call.id).unwrap_or_default();
        let is_published = history.last().is_some_and(|last| last.text("event_type") != "WITHDRAWN");
        let expected = passes(&account.filters, &call.row);
        let what = format!("call {} of {}, started {}", call.id, account.name, call.start_time);
        assert_eq!(is_published, expected, "{what}: is it published? {} events so far", history.len());
        if expected {
            n_expected += 1;
            let last = columns::of_event(&history.last().unwrap().value);
            assert_columns(&what, last, columns::of_row(&call.row, &account.zone));
        }
    }
    assert!(by_call.is_empty(), "calls of {} that the API does not have: {:?}", account.name, by_call.keys());
    assert!(n_expected > 0, "a test in which nothing of {} is published proves nothing", account.name);
}

fn assert_columns(what: &str, found: Map<String, Value>, mut expected: Map<String, Value>) {
    for (column, value) in found {
        let wanted = expected.remove(&column).unwrap_or_else(|| panic!("{what}: nobody expects `{column}`"));
        assert_eq!(value, wanted, "{what}: `{column}`, as published and as in the API");
    }
    assert!(expected.is_empty(), "{what}: these columns are missing: {:?}", expected.keys());
}

/// One CREATED, revisions without a gap in one partition, `changed` as the events differ, and each event
/// on its right side of the filters.
fn assert_history(account: &AccountFacts, call: i64, history: &[Event], judged: Judged) {
    let mut before: Option<&Event> = None;
    for (event, revision) in history.iter().zip(1..) {
        let what = format!("event {revision} of call {call} of {}", account.name);
        let event_type = event.text("event_type");
        assert_eq!(event.number("revision"), revision, "{what}: the revision");
        assert_eq!(event.record.partition, history[0].record.partition, "{what}: the partition");
        let (was_withdrawn, changed) = match before {
            None => {
                assert_eq!(event_type, "CREATED", "{what}");
                (false, BTreeSet::new())
            }
            Some(before) => {
                assert!(["UPDATED", "WITHDRAWN"].contains(&event_type), "{what}: {event_type}");
                (before.text("event_type") == "WITHDRAWN", difference(before, event))
            }
        };
        assert_eq!(event.changed(), changed, "{what}: `changed`");
        assert!(!(was_withdrawn && event_type == "WITHDRAWN"), "{what}: withdrawn twice");
        assert!(event_type != "UPDATED" || was_withdrawn || !changed.is_empty(), "{what}: nothing changed");
        if judged == Judged::EveryEvent || usize::try_from(revision).unwrap() == history.len() {
            assert_eq!(passes(&account.filters, &event.value), event_type != "WITHDRAWN", "{what}: {event_type}");
        }
        assert_frame(account, call, event);
        before = Some(event);
    }
}

/// Key, time, headers and the fields that callfeed adds (design 7).
fn assert_frame(account: &AccountFacts, call: i64, event: &Event) {
    let record = &event.record;
    assert_eq!(record.key_text(), format!("{}:{call}", account.name));
    assert_eq!(record.timestamp_ms, event.number("observed_at"), "the record's time is when the row was read");
    assert_eq!(event.text("service"), "custom");
    assert_eq!(event.value["customer_id"].as_i64(), account.customer_id);
    let observed_at: Timestamp = record.header("ce_time").unwrap().parse().unwrap();
    assert_eq!(observed_at.as_millisecond(), record.timestamp_ms);
    assert!(Timestamp::now().duration_since(observed_at).as_secs().abs() < 3600, "read at {observed_at}");
    let event_type = format!("callfeed.call.{}", event.text("event_type").to_lowercase());
    let source = format!("/custom/{}", account.name);
    let expected = [
        ("ce_specversion", "1.0"),
        ("ce_id", event.text("event_id")),
        ("ce_type", &event_type),
        ("ce_source", &source),
        ("ce_subject", &call.to_string()),
        ("content-type", "application/avro"),
    ];
    for (name, value) in expected {
        assert_eq!(record.header(name), Some(value), "header {name} of call {call}");
    }
    assert_eq!(record.headers.len(), expected.len() + 1, "only the headers of the contract");
}

/// The parts in which two events differ, as the documents name them.
fn difference(before: &Event, after: &Event) -> BTreeSet<&'static str> {
    let (before, after) = (columns::of_event(&before.value), columns::of_event(&after.value));
    before
        .iter()
        .filter(|(column, value)| unordered(&after[*column]) != unordered(value))
        .map(|(column, _)| part(column))
        .collect()
}

fn part(column: &str) -> &'static str {
    match column {
        "tags" => "tags",
        "sale_date" | "sale_date_local" | "sale_cost" => "sale",
        "last_answered_employee_rating" => "rating",
        "call_records" | "wav_call_records" | "full_record_file_link" | "voice_mail_records" => "records",
        _ => "other",
    }
}

/// Lists of the API have no order.
fn unordered(value: &Value) -> Vec<String> {
    let mut elements: Vec<String> = match value {
        Value::Array(elements) => elements.iter().map(Value::to_string).collect(),
        other => vec![other.to_string()],
    };
    elements.sort();
    elements
}

/// Whether a call is to be published: `filters` as in the config, `call` a row of the API or an event, which
/// has the same columns. The three questions are joined by *and*, the members of each list by *or*.
pub fn passes(filters: &Value, call: &Value) -> bool {
    let tags: Vec<&Value> = call["tags"].as_array().into_iter().flatten().collect();
    let of_its_kind = match filters["include"].as_str().unwrap_or("all") {
        "primary" => call["attributes"].as_array().is_some_and(|all| all.iter().any(|one| one == "primary")),
        "tagged" => !tags.is_empty(),
        _ => true,
    };
    let wanted: Vec<&Value> = filters["tags"].as_array().into_iter().flatten().collect();
    let carries = |wanted: &&Value| tags.iter().any(|tag| tag["tag_id"] == **wanted || tag["tag_name"] == **wanted);
    let tagged_so = wanted.is_empty() || wanted.iter().any(carries);
    of_its_kind && tagged_so && came_through(&filters["channels"], call)
}

fn came_through(channels: &Value, call: &Value) -> bool {
    if call["source"] == "dynamic_call_tracking" || call["source"] == "simple_dt" {
        return channels["dynamic"].as_bool().unwrap_or(true);
    }
    let statics = &channels["static"];
    let named = |list: &str, column: &str| {
        statics[list].as_array().is_some_and(|names| names.iter().any(|name| *name == call[column]))
    };
    match statics.as_str() {
        Some("all") => true,
        Some(_) => false,
        None => {
            named("sources", "source")
                || named("virtual_numbers", "virtual_phone_number")
                || named("campaigns", "campaign_id")
                || named("scenarios", "scenario_id")
        }
    }
}
