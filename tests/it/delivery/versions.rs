//! Two versions of callfeed, of which the newer one knows a column more: replicas are replaced one after another, and back.

use std::collections::BTreeSet;

use apache_avro::reader::datum::GenericDatumReader;
use jiff::SignedDuration;
use serde_json::json;

use crate::support::{Callfeed, Servers, eventually};

use super::feed::{Feed, PATIENCE};
use super::oracle::Event;
use super::replicas::{is_divided, new_calls_are_published, patient_world, start};

const INSTANCES: [&str; 2] = ["first", "second"];

/// The column that the former version does not know.
const COLUMN: &str = "ext_id";

const AGO: SignedDuration = SignedDuration::from_hours(5);

#[test]
fn replicas_are_upgraded_and_rolled_back_one_after_another_without_an_event() {
    let feed = patient_world();
    let former = Servers::former_version();
    let start_former = |instance: &str| feed.setup(&[]).program(&former).env("POD_NAME", instance).start();
    let mut replicas = INSTANCES.map(start_former);
    eventually("the accounts to be divided", PATIENCE, || is_divided(&replicas.each_ref()).then_some(()));
    new_calls_are_published(&feed);
    let level = json!({"compatibility": "FULL_TRANSITIVE"});
    feed.registry.request(reqwest::Method::PUT, &format!("/config/{}-value", feed.topic()), Some(level));
    let call = |name: &str| feed.add_call("anna", AGO, json!({"source": "sip", COLUMN: name}));
    let before = call("before");
    is_told(&feed, before, &["CREATED"]);
    assert_eq!(schemas(&feed).len(), 1);

    replace(&feed, &mut replicas, |instance| start(&feed, instance));
    let after = call("after");
    is_told(&feed, after, &["CREATED"]);
    assert_eq!(feed.events_of("anna", after)[0].value[COLUMN], "after");
    assert_eq!(schemas(&feed).len(), 2, "both versions have registered theirs");
    // What the former one has published is known, though it was compared by other columns.
    feed.simulator.put_tag("anna", before, "Целевой").unwrap();
    is_told(&feed, before, &["CREATED", "UPDATED"]);
    let update = &feed.events_of("anna", before)[1];
    assert_eq!((update.changed(), update.value[COLUMN].as_str()), (["tags"].into(), Some("before")));
    reads_with_the_schema_of(&feed, &feed.events_of("anna", after)[0], &feed.events_of("anna", before)[0]);

    replace(&feed, &mut replicas, start_former);
    feed.simulator.put_tag("anna", after, "Целевой").unwrap();
    is_told(&feed, after, &["CREATED", "UPDATED"]);
    assert_eq!(feed.events_of("anna", after)[1].value.get(COLUMN), None);
    assert_eq!(schemas(&feed).len(), 2);

    let untouched = |event: &Event| ![before, after].contains(&event.number("id"));
    let again: Vec<Event> =
        feed.events().into_iter().filter(|event| untouched(event) && event.number("revision") > 1).collect();
    assert!(again.is_empty(), "nothing else is told again: {again:?}");
}

/// Replaces one replica after the other; each has its accounts again, and all that are there go on, before the next.
fn replace(feed: &Feed, replicas: &mut [Callfeed; 2], start: impl Fn(&str) -> Callfeed) {
    for (index, instance) in INSTANCES.into_iter().enumerate() {
        replicas[index].terminate();
        assert!(replicas[index].wait_exit(PATIENCE).success());
        replicas[index] = start(instance);
        eventually("the accounts to be divided", PATIENCE, || is_divided(&replicas.each_ref()).then_some(()));
        new_calls_are_published(feed);
    }
    // All that was published is compared by the version that runs now.
    feed.wait_for_rereading("anna");
}

#[track_caller]
fn is_told(feed: &Feed, call: i64, types: &[&str]) {
    eventually(&format!("{types:?}"), PATIENCE, || (feed.types_of("anna", call) == types).then_some(()));
}

/// The ids of the schemas that events were written with.
fn schemas(feed: &Feed) -> BTreeSet<u32> {
    feed.events().iter().map(schema_id).collect()
}

fn schema_id(event: &Event) -> u32 {
    let value = event.record.value.as_ref().expect("an event has a value");
    u32::from_be_bytes(value[1..5].try_into().unwrap())
}

/// As a consumer does that was compiled with the newer schema: it sees nothing where the former version wrote nothing.
fn reads_with_the_schema_of(feed: &Feed, newer: &Event, event: &Event) {
    let schema = |event: &Event| feed.registry.schema(schema_id(event));
    let (writer, reader) = (schema(event), schema(newer));
    let datum = &event.record.value.as_ref().unwrap()[5..];
    let resolved = GenericDatumReader::builder(&writer).reader_schema(&reader).build().unwrap();
    let value = serde_json::Value::try_from(resolved.read_value(&mut &datum[..]).unwrap()).unwrap();
    assert_eq!((value["id"].as_i64(), &value[COLUMN]), (Some(event.number("id")), &serde_json::Value::Null));
}
