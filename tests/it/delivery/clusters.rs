//! Progress that moves to another cluster with a copy of its topic, and progress that is lost.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use serde_json::json;

use crate::support::{Cluster, Kafka, Record};

use super::feed::{Feed, PATIENCE, history, standing};

const AGO: SignedDuration = SignedDuration::from_hours(5);

const COMPACTED: &[(&str, &str)] = &[("cleanup.policy", "compact")];

#[test]
fn callfeed_goes_on_in_another_cluster_where_its_topics_were_copied() {
    let mut feed = Feed::of(standing(history(40)));
    let call = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    let n_events = feed.assert_equals_truth();

    let node = Kafka::own(&[]);
    let (former, other) = (feed.kafka.clone(), node.cluster());
    Copy::of(&former, &feed.state_topic()).put_into(&other, COMPACTED);
    Copy::of(&former, &feed.topic()).put_into(&other, &[]);
    feed.kafka = other;
    feed.configure(json!({"kafka": {"bootstrap_servers": feed.kafka.bootstrap}}));
    feed.simulator.put_tag("acme", call, "Целевой").unwrap();
    feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    assert_eq!(feed.assert_equals_truth(), n_events + 2, "one call has changed and one is new");
}

#[test]
fn with_an_older_copy_of_the_state_what_came_after_it_is_told_again_with_the_same_ids() {
    let feed = Feed::of(standing(history(40)));
    let tagged = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    let backup = Copy::of(&feed.kafka, &feed.state_topic());
    feed.simulator.put_tag("acme", tagged, "Целевой").unwrap();
    let new = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    let before = told(&feed);

    feed.kafka.delete_topic(&feed.state_topic());
    backup.put_into(&feed.kafka, COMPACTED);
    feed.once();
    let later = [tagged, new].map(|call| format!("acme:{call}"));
    for (key, now) in told(&feed) {
        let again = if later.contains(&key) { &before[&key][before[&key].len() - 1..] } else { &[] };
        assert_eq!(now, [&before[&key], again].concat(), "{key}");
    }
}

/// A topic, to be put where it is wanted: each record in the partition where it was, as tools that mirror clusters do it.
struct Copy {
    topic: String,
    partitions: usize,
    records: Vec<Record>,
}

impl Copy {
    fn of(cluster: &Cluster, topic: &str) -> Copy {
        let partitions = cluster.wait_for_topic(topic).len();
        Copy { topic: topic.to_owned(), partitions, records: cluster.read_committed(topic) }
    }

    fn put_into(&self, cluster: &Cluster, settings: &[(&str, &str)]) {
        cluster.create_topic(&self.topic, i32::try_from(self.partitions).unwrap(), settings);
        let producer = cluster.producer(&[]);
        for record in &self.records {
            producer.send(copied(&self.topic, record)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }
}

fn copied<'r>(topic: &'r str, record: &'r Record) -> BaseRecord<'r, [u8], [u8]> {
    let headers = record
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() }));
    let copied = BaseRecord::to(topic).partition(record.partition).timestamp(record.timestamp_ms).headers(headers);
    BaseRecord { key: record.key.as_deref(), payload: record.value.as_deref(), ..copied }
}

#[test]
fn without_its_state_all_is_told_again_and_what_is_the_same_has_the_same_id() {
    let feed = Feed::of(standing(history(40)));
    let call = feed.add_call("acme", AGO, json!({"source": "sip"}));
    feed.once();
    feed.simulator.put_tag("acme", call, "Целевой").unwrap();
    feed.once();
    let before = told(&feed);
    assert_eq!(before.values().map(Vec::len).sum::<usize>(), before.len() + 1, "one call has two events");

    feed.kafka.delete_topic(&feed.state_topic());
    feed.once();
    let changed = format!("acme:{call}");
    for (key, now) in told(&feed) {
        let (first, again) = now.split_at(before[&key].len());
        assert_eq!(first, before[&key]);
        let [(event_type, revision, id)] = again else { panic!("{key} is told {} times", again.len()) };
        assert_eq!((event_type.as_str(), *revision), ("CREATED", 1), "{key}");
        assert_eq!(id == &first[0].2, key != changed, "{key}: what has changed since is another event");
    }
}

/// Type, revision and id of an event.
type Told = (String, i64, String);

/// What was told, by the record's key.
fn told(feed: &Feed) -> BTreeMap<String, Vec<Told>> {
    let mut all: BTreeMap<String, Vec<Told>> = BTreeMap::new();
    for event in feed.events() {
        let key = event.record.key_text().to_owned();
        all.entry(key).or_default().push((
            event.text("event_type").to_owned(),
            event.number("revision"),
            event.text("event_id").to_owned(),
        ));
    }
    all
}
