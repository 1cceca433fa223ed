//! Columns that do not count, and state that was written before they did or did not: no event of a call that is the
//! same.

use callfeed::simulator::AccountScenario;
use jiff::{SignedDuration, Timestamp};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::{Map, Value, json};

use std::time::Duration;

use super::feed::{Feed, account, history, standing, standing_with};

const AGO: SignedDuration = SignedDuration::from_hours(8);

/// A bucket of the ledger as release 0.1.0 stored it, with the rows whose events it stands for.
const FORMAT_1: &str = include_str!("../../data/ledger/format-1.json");

#[test]
fn a_column_that_is_ignored_makes_no_event_by_itself() {
    let mut feed = Feed::of(standing(history(40)));
    feed.configure(json!({"defaults": {"changes": {"ignore": ["contact_full_name", "visits_count"]}}}));
    let call = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    feed.simulator.set_column("acme", call, "contact_full_name", json!("Пётр")).unwrap();
    feed.once();
    assert_eq!(feed.types_of("acme", call), ["CREATED"]);

    feed.simulator.set_column("acme", call, "last_answered_employee_rating", json!(4)).unwrap();
    feed.once();
    let history = feed.events_of("acme", call);
    assert_eq!(history.len(), 2);
    assert_eq!(history[1].changed(), ["rating"].into());
    assert_eq!(history[1].value["contact_full_name"], "Пётр", "the event has the whole row");
}

#[test]
fn a_change_of_the_columns_that_are_ignored_makes_no_event() {
    let mut feed = Feed::of(standing(history(60)));
    feed.once();
    let n_events = feed.assert_equals_truth();
    for ignore in [json!(["visits_count", "tags"]), json!(["tags", "call_records"]), json!([])] {
        feed.configure(json!({"defaults": {"changes": {"ignore": ignore}}}));
        feed.once();
        feed.once();
        assert_eq!(feed.assert_equals_truth(), n_events);
    }
    let call = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    feed.simulator.put_tag("acme", call, "Целевой").unwrap();
    feed.once();
    assert_eq!(feed.types_of("acme", call), ["CREATED", "UPDATED"], "tags count again");
}

#[test]
fn the_state_of_an_earlier_release_is_taken_over_without_an_event() {
    let fixture: Value = serde_json::from_str(FORMAT_1).unwrap();
    let mut feed = feed_of(&fixture);
    store(&feed, &fixture);

    // Seen while the ledger is taken over: what has changed in a part whose columns are the same.
    let tagged_meanwhile = 3481211002;
    feed.simulator.put_tag("acme", tagged_meanwhile, "Жалоба").unwrap();
    feed.once();
    let events = feed.events();
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!((event.number("id"), event.number("revision")), (tagged_meanwhile, 3));
    assert_eq!(event.changed(), ["tags"].into());

    feed.once();
    assert_eq!(feed.events().len(), 1, "the next run reads what this release has written");
    // Of each revision the next one follows, whichever release wrote it.
    for (call, revision) in [(3481205117, 301), (3481209934, 3)] {
        feed.simulator.put_tag("acme", call, "Жалоба").unwrap();
        feed.once();
        let history = feed.events_of("acme", call);
        assert_eq!((history[0].text("event_type"), history[0].number("revision")), ("UPDATED", revision));
    }
    feed.configure(json!({"defaults": {"poll": {"vanished": "withdraw"}}}));
    feed.simulator.remove_call("acme", 3481204902).unwrap();
    feed.once();
    assert_eq!(feed.types_of("acme", 3481204902), ["WITHDRAWN"], "its second is known by now");
}

fn feed_of(fixture: &Value) -> Feed {
    let rows: Vec<Map<String, Value>> = serde_json::from_value(fixture["rows"].clone()).unwrap();
    let mut feed = Feed::of(standing_with(vec![AccountScenario { rows, ..account("acme", history(0)) }]));
    feed.configure(json!({
        "kafka": {"state_partitions": 1},
        "defaults": {
            "start_from": "2025-03-01 00:00:00",
            "filters": {"include": "tagged"},
            "poll": {"tiers": [{"age": "15m", "every": "1s"}, {"age": "7300d", "every": "1s"}]},
        },
    }));
    feed
}

/// Puts the state where release 0.1.0 left it.
fn store(feed: &Feed, fixture: &Value) {
    let topic = format!("{}.state", feed.name);
    feed.kafka.create_topic(&topic, 1, &[("cleanup.policy", "compact")]);
    feed.kafka.wait_for_topic(&topic);
    let hex = fixture["bucket"].as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let bucket: Vec<u8> = hex.chunks(2).map(byte).collect();
    let (origin, frontier) = ("2025-03-01T00:00:00Z", Timestamp::now() - SignedDuration::from_hours(1));
    let frontier = format!("{frontier:.0}");
    let coverage = json!({
        "version": 1, "sequence": 7, "origin": origin, "floor": origin,
        "intervals": [[origin, frontier]], "tiers": {"15m": frontier, "7300days": frontier},
    });
    let producer = feed.kafka.producer(&[]);
    let hour = fixture["hour"].as_str().unwrap();
    for (key, value) in [
        ("a/acme/calls/coverage".to_owned(), coverage.to_string().into_bytes()),
        (format!("a/acme/calls/ledger/{hour}"), bucket),
    ] {
        producer
            .send(BaseRecord::to(&topic).partition(0).key(&key).payload(&value))
            .map_err(|(error, _)| error)
            .unwrap();
    }
    producer.flush(Duration::from_secs(30)).unwrap();
}
