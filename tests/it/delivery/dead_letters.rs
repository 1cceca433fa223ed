//! Rows that cannot become events: each is set aside once, whole, and delays nothing.

use std::collections::{BTreeMap, HashMap};

use callfeed::simulator::{BadRow, BadRows, CallsScenario, SaleHabits, TagHabits};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::Record;

use super::feed::{Feed, history, standing};

const AGO: SignedDuration = SignedDuration::from_hours(5);

/// Rows that nothing happens to after a day, so that a bad one stays as it is.
fn settled(count: usize) -> CallsScenario {
    CallsScenario {
        tags: TagHabits { share: 0.0, ..TagHabits::default() },
        sales: SaleHabits { share: 0.0, ..SaleHabits::default() },
        ..history(count)
    }
}

#[test]
fn a_bad_row_becomes_one_dead_letter_and_the_page_goes_on() {
    let bad_rows = BadRows { share: 0.25, ..BadRows::default() };
    let mut feed = Feed::of(standing(CallsScenario { bad_rows, ..settled(120) }));
    feed.configure(json!({"defaults": {"poll": {"page_size": 7}}}));
    let bad: Vec<_> = feed.simulator.truth("acme").into_iter().filter(|call| call.bad && call.visible).collect();
    assert!(bad.len() > BadRow::ALL.len() * 2);

    feed.once();

    let letters = feed.dead_letters();
    let mut rows: Vec<String> = letters.iter().map(row_text).collect();
    let mut expected: Vec<String> = bad.iter().map(|call| call.row.to_string()).collect();
    rows.sort();
    expected.sort();
    assert_eq!(rows, expected, "each bad row is set aside whole and once");
    letters.iter().for_each(assert_letter);
    let n_events = feed.assert_equals_truth();

    feed.once();
    let running = feed.start();
    feed.wait_for_rereading("acme");
    drop(running);
    assert_eq!(feed.dead_letters().len(), letters.len(), "reading a bad row again says nothing new");
    assert_eq!(feed.assert_equals_truth(), n_events);
}

fn assert_letter(letter: &Record) {
    let row: Value = serde_json::from_slice(letter.value.as_deref().unwrap()).unwrap();
    let key = letter.key.as_deref().map(|_| letter.key_text().to_owned());
    assert_eq!(key, row["id"].as_i64().map(|id| format!("acme:{id}")), "the key, when the row has a readable id");
    assert_eq!(letter.header("callfeed-account"), Some("acme"));
    assert_eq!(letter.header("callfeed-stream"), Some("calls"));
    assert_eq!(letter.header("callfeed-stage"), Some("decode"));
    let reason = letter.header("callfeed-reason").unwrap();
    let culprits = ["talk_duration", "id", "start_time", "tags"];
    assert!(culprits.iter().any(|column| reason.contains(column)), "the reason names the column: {reason}");
    let observed_at: Timestamp = letter.header("callfeed-observed-at").unwrap().parse().unwrap();
    assert_eq!(observed_at.as_millisecond(), letter.timestamp_ms);
    assert_eq!(letter.headers.len(), 5, "only the headers of the contract: {:?}", letter.headers);
}

fn row_text(letter: &Record) -> String {
    let row: Value = serde_json::from_slice(letter.value.as_deref().unwrap()).expect("the raw JSON of the row");
    row.to_string()
}

#[test]
fn a_row_that_becomes_readable_is_published_and_one_that_breaks_is_set_aside() {
    let feed = Feed::of(standing(settled(10)));
    let unreadable = json!({"seconds": 12});
    let simulator = &feed.simulator;
    let call = feed.add_call("acme", AGO, json!({"source": "sip", "talk_duration": unreadable}));
    feed.once();
    assert_eq!((feed.types_of("acme", call).len(), feed.dead_letters().len()), (0, 1));

    simulator.set_column("acme", call, "talk_duration", json!(12)).unwrap();
    feed.once();
    assert_eq!(feed.types_of("acme", call), ["CREATED"]);

    simulator.set_column("acme", call, "total_duration", unreadable).unwrap();
    feed.once();
    feed.once();
    assert_eq!((feed.types_of("acme", call).len(), feed.dead_letters().len()), (1, 2));

    simulator.set_column("acme", call, "total_duration", json!(15)).unwrap();
    feed.once();
    assert_eq!(feed.types_of("acme", call), ["CREATED", "UPDATED"]);
    feed.assert_equals_truth();
    assert_eq!(feed.dead_letters().len(), 2);
}

#[test]
fn an_event_larger_than_its_topic_takes_is_set_aside_and_stops_nothing() {
    let feed = Feed::of(standing(settled(30)));
    feed.kafka.create_topic(&feed.topic(), 2, &[("max.message.bytes", "20000")]);
    let sizes = [15_000, 19_000, 21_000, 400_000];
    let calls = sizes.map(|size| (feed.add_call("acme", AGO, json!({"properties": noise(size)})), size));

    feed.once();
    feed.once();

    let letters: HashMap<String, Record> =
        feed.dead_letters().into_iter().map(|letter| (letter.key_text().to_owned(), letter)).collect();
    let mut published = BTreeMap::new();
    for (call, size) in calls {
        let letter = letters.get(&format!("acme:{call}"));
        published.insert(size, feed.types_of("acme", call).len());
        assert_eq!(published[&size] == 1, letter.is_none(), "an event of {size} bytes is published or set aside");
        if let Some(letter) = letter {
            assert_eq!(letter.header("callfeed-stage"), Some("too_large"));
            let row: Value = serde_json::from_slice(letter.value.as_deref().unwrap()).unwrap();
            assert_eq!(row["properties"].as_str().map(str::len), Some(size), "the row is kept whole");
        }
    }
    assert_eq!(published, BTreeMap::from([(15_000, 1), (19_000, 1), (21_000, 0), (400_000, 0)]));
    assert_eq!(feed.dead_letters().len(), 2, "each is set aside once");
    let others = feed.simulator.truth("acme").len() - 2;
    assert_eq!(feed.events().len(), others);
}

/// The limit of a topic is known from the start, and then somebody lowers it.
#[test]
fn an_event_that_the_broker_refuses_for_its_size_is_set_aside_too() {
    let feed = Feed::of(standing(settled(30)));
    let mut process = feed.start();
    feed.wait_for_events(25);
    feed.kafka.alter_topic(&feed.topic(), &[("max.message.bytes", "20000")]);

    let large = feed.add_call("acme", AGO, json!({"properties": noise(100_000)}));
    let small = feed.add_call("acme", AGO, json!({"properties": noise(1_000)}));
    feed.wait_for_rereading("acme");
    feed.wait_for_rereading("acme");

    assert_eq!(feed.types_of("acme", small), ["CREATED"]);
    let letters = feed.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].key_text(), format!("acme:{large}"));
    assert_eq!(letters[0].header("callfeed-stage"), Some("too_large"));
    assert!(process.ended().is_none());
}

/// A text that no compression makes smaller than a topic's limit.
fn noise(length: usize) -> String {
    let mut lot = fastrand::Rng::with_seed(length as u64);
    std::iter::repeat_with(|| lot.alphanumeric()).take(length).collect()
}
