//! Rows as the documents show them: decoding, fingerprints, identities. The schema has tests of its own.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::*;
use crate::domain::ledger::{EventType, Part, Parts};

mod columns;
mod fingerprints;
mod schema;

/// The documented sample: a call with everything, and a missed call to a plain number.
const PAGE: &str = include_str!("../../../tests/data/examples/calls_report_page.json");

/// The columns of the report as documented.
const COLUMNS: &str = include_str!("../../../tests/data/calls_report.json");

fn sample_rows() -> Vec<Value> {
    let mut page: Value = serde_json::from_str(PAGE).unwrap();
    serde_json::from_value(page["response"]["result"]["data"].take()).unwrap()
}

/// A documented column: its name, and what it is.
#[derive(Clone, Debug)]
struct Documented {
    name: String,
    kind: String,
    items: String,
    nested: Vec<Documented>,
    /// Nothing is documented as required; a row without these two could be neither named nor ordered.
    is_required: bool,
}

fn documented() -> Vec<Documented> {
    let report: Value = serde_json::from_str(COLUMNS).unwrap();
    let mut columns = documented_in(&report["fields"]);
    for column in &mut columns {
        column.is_required = ["id", "start_time"].contains(&column.name.as_str());
    }
    columns
}

fn documented_in(fields: &Value) -> Vec<Documented> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fields = fields.as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |field: &Value| Documented {
        name: text(&field["name"]),
        kind: text(&field["type"]),
        items: text(&field["items"]),
        nested: documented_in(&field["nested"]),
        is_required: false,
    };
    fields.iter().map(read).collect()
}

/// A value that fits the column.
fn value_of(column: &Documented) -> Value {
    match column.kind.as_str() {
        "number" if column.name == "sale_cost" => json!(48500.5),
        "number" => json!(3481200457_i64),
        "string" | "enum" => json!(format!("a {}", column.name)),
        "iso8601" => json!("2026-03-02 10:15:04"),
        "boolean" => json!(true),
        "array" if column.items == "object" => json!([Value::Object(record_of(&column.nested))]),
        "array" => json!([format!("a {}", column.name)]),
        other => panic!("column {} has type {other}, for which there is no test", column.name),
    }
}

/// A record in which no column is empty.
fn record_of(columns: &[Documented]) -> Map<String, Value> {
    columns.iter().map(|column| (column.name.clone(), value_of(column))).collect()
}

fn prints_of(row: &str) -> Prints {
    let call: Call = serde_json::from_str(row).unwrap_or_else(|error| panic!("{error}: {row}"));
    call.prints(&Counted::all(), &TimeZone::UTC, &mut PartDigests::default())
}

fn error_of(row: &Value) -> String {
    serde_json::from_str::<Call>(&row.to_string()).unwrap_err().to_string()
}

#[test]
fn the_documented_rows_are_read() {
    let rows: Vec<String> = sample_rows().iter().map(Value::to_string).collect();
    let calls: Vec<Call> = rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect();
    let [full, missed] = calls.as_slice() else { panic!("{} rows", calls.len()) };

    assert_eq!(full.row_id(), RowId(3481200457));
    assert_eq!(full.start_time.local.to_string(), "2026-03-02 10:15:04");
    assert_eq!(full.sale_cost, Some(Money(485_005_000)));
    assert_eq!(full.tags.0[0].tag_name.as_deref(), Some("Целевой"));
    assert_eq!(full.tags.0[1].tag_user_id, None);
    assert_eq!(full.employees.0[1].is_talked, Some(true));
    assert!(full.all_extra().is_empty());
    let traits = full.traits();
    assert_eq!(traits.source, Some("dynamic_call_tracking"));
    assert_eq!(traits.virtual_number, Some("74990004501"));
    assert_eq!((traits.campaign, traits.scenario), (Some(402115), Some(51877)));
    assert_eq!(traits.attributes, ["first", "primary", "target", "quality"]);
    assert_eq!(traits.tags, [Some(61204), Some(61310)]);

    assert_eq!(missed.is_lost, Some(true));
    assert_eq!(missed.traits().campaign, None);
    assert!(missed.tags.0.is_empty());
}

#[test]
fn a_row_needs_no_more_than_an_id_and_a_start() {
    let call: Call = serde_json::from_str(r#"{"id":"7","start_time":"2026-03-02T10:15:04"}"#).unwrap();
    assert_eq!((call.id, call.start_time.local.to_string().as_str()), (7, "2026-03-02 10:15:04"));
}

#[test]
fn nulls_stand_for_empty_lists_and_are_dropped_inside_of_them() {
    let row =
        json!({"id": 7, "start_time": "2026-03-02 10:15:04", "call_records": null, "tags": [null, {"tag_id": 5}]});
    let row = row.to_string();
    let call: Call = serde_json::from_str(&row).unwrap();
    assert!(call.call_records.0.is_empty());
    assert_eq!(call.traits().tags, [Some(5)]);
}

#[test]
fn a_row_that_does_not_fit_says_which_column_is_to_blame() {
    let columns = documented();
    for column in &columns {
        let mut row = record_of(&columns);
        // No column is an object; nested records come in lists.
        row.insert(column.name.clone(), json!({"unexpected": 1}));
        let error = error_of(&Value::Object(row));
        assert!(error.contains(&format!("column `{}`", column.name)), "{error}");
        for nested in &column.nested {
            let mut row = record_of(&columns);
            row[&column.name][0][&nested.name] = json!({"unexpected": 1});
            let error = error_of(&Value::Object(row));
            assert!(error.contains(&format!("column `{}`: column `{}`", column.name, nested.name)), "{error}");
        }
    }
    for (column, value, complaint) in [
        ("id", json!(null), "is null or empty"),
        ("start_time", json!(""), "is null or empty"),
        ("start_time", json!("yesterday"), "\"yesterday\", expected a time as YYYY-MM-DD hh:mm:ss"),
        ("talk_duration", json!("long"), "\"long\", expected a whole number"),
        ("talk_duration", json!(1.5), "expected a whole number"),
        ("sale_cost", json!("1 000"), "expected an amount that fits decimal(18,4)"),
        ("is_lost", json!("maybe"), "\"maybe\", expected true or false"),
    ] {
        let mut row = record_of(&columns);
        row.insert(column.to_owned(), value);
        let error = error_of(&Value::Object(row));
        assert!(error.contains(&format!("column `{column}`")) && error.contains(complaint), "{error}");
    }
    assert!(error_of(&json!({"start_time": "2026-03-02 10:15:04"})).contains("column `id` is missing"));
    assert!(error_of(&json!({"id": 7})).contains("column `start_time` is missing"));
    for row in [json!(null), json!([]), json!("row"), json!(7)] {
        assert!(error_of(&row).contains("expected an object"), "{row}");
    }
}

#[test]
fn unknown_columns_are_kept_with_their_path() {
    let mut row = sample_rows().remove(0);
    row["mood"] = json!({"score": 0.5});
    row["tags"][1]["tag_colour"] = json!("red");
    let row = row.to_string();
    let call: Call = serde_json::from_str(&row).unwrap();
    let extra: Vec<(String, &str)> = call.all_extra().iter().map(|(name, json)| (name.clone(), json.get())).collect();
    assert_eq!(extra, [("mood".to_owned(), r#"{"score":0.5}"#), ("tags[1].tag_colour".to_owned(), r#""red""#)]);
}

#[test]
fn the_id_of_an_event_is_the_same_in_every_release() {
    let prints = Prints::from_hashes([Some(1 << 40), None, Some(3 << 40), None, Some(5 << 40)]);
    let change = Change { event: EventType::Updated, revision: 2, changed: Parts::NONE.with(Part::Tags) };
    let id = event_id(&AccountId::new("acme"), RowId(3481200457), change, &prints);
    assert_eq!(id.to_string(), "2d10729a-3acd-5aa7-9c59-e760477c498c");
}

#[test]
fn whatever_makes_an_event_another_one_gives_it_another_id() {
    let prints = |other: u64| Prints::from_hashes([Some(1 << 40), None, None, None, Some(other << 40)]);
    let change = |event, revision| Change { event, revision, changed: Parts::NONE };
    let id =
        |account: &str, call, change, other| event_id(&AccountId::new(account), RowId(call), change, &prints(other));
    let updated = change(EventType::Updated, 2);
    let ids = [
        id("acme", 7, updated, 1),
        id("acme2", 7, updated, 1),
        id("acme", 8, updated, 1),
        id("acme", 7, change(EventType::Updated, 3), 1),
        id("acme", 7, change(EventType::Withdrawn, 2), 1),
        id("acme", 7, change(EventType::Created, 2), 1),
        id("acme", 7, updated, 2),
    ];
    assert_eq!(BTreeSet::from(ids).len(), ids.len());
    assert!(ids.iter().all(|id| id.get_version_num() == 5));
}

#[test]
fn headers_follow_the_cloud_events_binding() {
    let rows = sample_rows();
    let row = rows[0].to_string();
    let call: Call = serde_json::from_str(&row).unwrap();
    let source = EventSource {
        service: Service::Uis,
        account: AccountId::of_customer(&AccountId::new("acme"), 90211),
        customer_id: Some(90211),
        zone: TimeZone::UTC,
    };
    for (event, ce_type) in EventType::ALL.into_iter().zip(["created", "updated", "withdrawn"]) {
        let change = Change { event, revision: 1, changed: Parts::NONE };
        let event_id = Uuid::nil();
        let event = CallEvent { source: &source, call: &call, change, event_id, observed_at_millis: 1_772_435_731_250 };
        let headers: Vec<(String, String)> = headers(&event)
            .into_iter()
            .map(|(name, value)| (name.into_owned(), String::from_utf8(value.to_vec()).unwrap()))
            .collect();
        let expected = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", "00000000-0000-0000-0000-000000000000".to_owned()),
            ("ce_type", format!("callfeed.call.{ce_type}")),
            ("ce_source", "/uis/acme.90211".to_owned()),
            ("ce_subject", "3481200457".to_owned()),
            ("ce_time", "2026-03-02T07:15:31.250Z".to_owned()),
            ("content-type", "application/avro".to_owned()),
        ];
        assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value)));
    }
}
