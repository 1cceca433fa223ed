//! Rows in the spellings that samples and public clients show beside the documented rule.

use jiff::{civil::DateTime, tz::TimeZone};
use serde_json::Value;

use super::{
    scenario::Variants,
    spec::{Kind, Method},
};

/// Rewrites the row that starts at `start` of the text and ends with it.
pub fn rewrite(text: &mut String, start: usize, method: &Method, zone: &TimeZone, variants: Variants) {
    let Ok(Value::Object(mut row)) = serde_json::from_str::<Value>(&text[start..]) else {
        return;
    };
    for column in &method.columns {
        let Some(value) = row.get_mut(&column.name) else {
            continue;
        };
        rewrite_value(value, column.kind, zone, variants);
        for item in value.as_array_mut().into_iter().flatten() {
            for nested in &column.nested {
                if let Some(value) = item.get_mut(&nested.name) {
                    rewrite_value(value, nested.kind, zone, variants);
                }
            }
        }
    }
    text.truncate(start);
    text.push_str(&Value::Object(row).to_string());
}

fn rewrite_value(value: &mut Value, kind: Kind, zone: &TimeZone, variants: Variants) {
    match (kind, &*value) {
        (Kind::Array, Value::Array(items)) if variants.null_arrays && items.is_empty() => *value = Value::Null,
        (Kind::Number, Value::Number(number)) if variants.text_numbers => {
            *value = Value::String(number.to_string());
        }
        (Kind::Iso8601, Value::String(text)) if variants.iso_dates => {
            if let Some(iso) = iso(text, zone) {
                *value = Value::String(iso);
            }
        }
        _ => {}
    }
}

/// `2026-03-02 10:15:04` as `2026-03-02T10:15:04+03:00`.
fn iso(text: &str, zone: &TimeZone) -> Option<String> {
    let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    let zoned = zone.to_ambiguous_zoned(local).compatible().ok()?;
    Some(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::simulator::spec::calls_report;

    #[test]
    fn each_variant_changes_its_own_kind_of_value() {
        let zone = TimeZone::get("Europe/Moscow").unwrap();
        let row = json!({"id": 7, "start_time": "2026-03-02 10:15:04", "call_records": [],
                         "tags": [{"tag_id": 5, "tag_change_time": "2026-03-02 10:21:10"}]});
        let mut text = format!("[{row}");
        let variants = Variants { null_arrays: true, text_numbers: true, iso_dates: true, ..Variants::default() };
        rewrite(&mut text, 1, calls_report(), &zone, variants);
        let changed: Value = serde_json::from_str(&text[1..]).unwrap();
        let expected = json!({"id": "7", "start_time": "2026-03-02T10:15:04+03:00", "call_records": null,
                              "tags": [{"tag_id": "5", "tag_change_time": "2026-03-02T10:21:10+03:00"}]});
        assert_eq!(changed, expected);
    }
}
