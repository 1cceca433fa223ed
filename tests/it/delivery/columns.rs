//! What an event's columns must hold for a row of the API: the published schema walked by hand, with the
//! rules of the documents for times, money, lists and unknown columns.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

static SCHEMA: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../schemas/call_event.avsc")).unwrap());

/// Fields that callfeed adds to the columns of the API.
const OWN: [&str; 8] =
    ["event_id", "event_type", "revision", "changed", "observed_at", "service", "account", "customer_id"];

/// The columns of an event that a row becomes, `extra` included; money as a whole number of ten-thousandths.
pub fn of_row(row: &Value, zone: &TimeZone) -> Map<String, Value> {
    let fields = || SCHEMA["fields"].as_array().unwrap().iter().filter(|field| !is_own(name(field)));
    let mut columns = of_record(fields(), row, zone);
    let known: Vec<&str> = fields().map(name).collect();
    let unknown = row.as_object().unwrap().iter().filter(|(column, _)| !known.contains(&column.as_str()));
    columns.insert("extra".to_owned(), unknown.map(|(column, value)| (column.clone(), value.clone())).collect());
    columns
}

/// The same of an event as it was decoded.
pub fn of_event(event: &Value) -> Map<String, Value> {
    let mut columns = event.as_object().unwrap().clone();
    columns.retain(|column, _| !is_own(column));
    if let Some(bytes) = columns["sale_cost"].as_array() {
        columns["sale_cost"] = json!(twos_complement(bytes));
    }
    for text in columns["extra"].as_object_mut().unwrap().values_mut() {
        *text = serde_json::from_str(text.as_str().unwrap()).expect("an unknown column is kept as JSON text");
    }
    columns
}

fn is_own(field: &str) -> bool {
    OWN.contains(&field)
}

fn name(field: &Value) -> &str {
    field["name"].as_str().unwrap()
}

fn of_record<'f>(fields: impl Iterator<Item = &'f Value>, row: &Value, zone: &TimeZone) -> Map<String, Value> {
    let value_of = |field: &Value| match name(field).strip_suffix("_local") {
        Some(column) => row[column].clone(),
        None => of_type(&field["type"], &row[name(field)], zone),
    };
    fields.filter(|field| name(field) != "extra").map(|field| (name(field).to_owned(), value_of(field))).collect()
}

fn of_type(schema: &Value, value: &Value, zone: &TimeZone) -> Value {
    if let Some(branches) = schema.as_array() {
        return if value.is_null() { Value::Null } else { of_type(&branches[1], value, zone) };
    }
    match (schema["type"].as_str().or(schema.as_str()).unwrap(), schema["logicalType"].as_str()) {
        (_, Some("timestamp-millis")) => json!(unix_millis(value.as_str().unwrap(), zone)),
        (_, Some("decimal")) => json!(ten_thousandths(value)),
        ("array", _) => {
            let elements = value.as_array().into_iter().flatten();
            elements.map(|element| of_type(&schema["items"], element, zone)).collect()
        }
        ("record", _) => Value::Object(of_record(schema["fields"].as_array().unwrap().iter(), value, zone)),
        ("long" | "int", _) => json!(value.as_i64().unwrap()),
        ("string" | "boolean", _) => value.clone(),
        other => panic!("a type that no column should have: {other:?}"),
    }
}

/// Of an hour that the clock shows twice, the earlier.
pub fn unix_millis(local: &str, zone: &TimeZone) -> i64 {
    let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", local).unwrap();
    zone.to_ambiguous_timestamp(local).compatible().unwrap().as_millisecond()
}

fn ten_thousandths(money: &Value) -> i64 {
    let text = money.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction:0<4}").parse().unwrap()
}

fn twos_complement(bytes: &[Value]) -> i64 {
    let mut number = 0_i64;
    for (place, byte) in bytes.iter().enumerate() {
        let byte = byte.as_u64().unwrap() as u8;
        number = if place == 0 { i64::from(byte as i8) } else { number << 8 | i64::from(byte) };
    }
    number
}
