//! Which columns count, in which zone, and what an earlier release made its fingerprints of.

use super::super::prints::column_sets;
use super::*;
use crate::domain::ledger::{Bucket, ColumnSets, Ledger, Outcome, Packed, Sighting};
use crate::domain::time::LocalHour;

/// A bucket of format 1, with the rows whose events it stands for and the columns that were known.
const FORMAT_1: &str = include_str!("../../../../tests/data/ledger/format-1.json");

const VERSIONS_OF_FORMAT_1: [u8; Part::ALL.len()] = [1; Part::ALL.len()];

fn format_1() -> Value {
    serde_json::from_str(FORMAT_1).unwrap()
}

fn hour_of(fixture: &Value) -> LocalHour {
    LocalHour::parse(fixture["hour"].as_str().unwrap()).unwrap()
}

fn stored_bucket(fixture: &Value) -> Bucket {
    let hex = fixture["bucket"].as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    Packed::read(&hex.chunks(2).map(byte).collect::<Vec<u8>>()).unwrap()
}

fn prints_with(row: &Value, counted: &Counted, zone: &TimeZone) -> Prints {
    let row = row.to_string();
    serde_json::from_str::<Call>(&row).unwrap().prints(counted, zone, &mut PartDigests::default())
}

fn differing(one: &Prints, two: &Prints) -> Vec<&'static str> {
    let differs = |part: &Part| one.as_numbers()[*part as usize] != two.as_numbers()[*part as usize];
    Part::ALL.into_iter().filter(differs).map(Part::as_str).collect()
}

fn compare(ledger: &mut Ledger, row: &Value, counted: &Counted) -> (Outcome, usize) {
    let text = row.to_string();
    let call: Call = serde_json::from_str(&text).unwrap();
    let zone = TimeZone::get("Europe/Moscow").unwrap();
    let prints = call.prints(counted, &zone, &mut PartDigests::default());
    let row = Sighting { id: call.row_id(), start: call.start_time.local, former_start: None, prints };
    let is_tagged = !call.tags.0.is_empty();
    let verdict = if is_tagged { Ok(()) } else { Err(crate::domain::filter::LeftOut::Untagged) };
    let mut draft = ledger.draft(counted.sets());
    let outcome = draft.compare(&row, verdict);
    if let Outcome::Publish(change) = outcome {
        draft.note(&row, change);
    }
    let buckets = draft.finish();
    let n_written = buckets.len();
    ledger.apply(buckets);
    (outcome, n_written)
}

#[test]
fn format_1_stands_for_the_columns_of_its_release() {
    let fixture = format_1();
    let names: Vec<&str> = fixture["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let mut columns: Vec<(&str, Vec<&str>)> = Vec::new();
    for name in names {
        match (name.split_once('.'), columns.last_mut()) {
            (Some((column, nested)), Some((last, of_last))) if column == *last => of_last.push(nested),
            _ => columns.push((name, Vec::new())),
        }
    }
    let sets = column_sets(columns.iter().map(|(name, nested)| (*name, &nested[..])), VERSIONS_OF_FORMAT_1);
    assert_eq!(sets, ColumnSets::OF_FORMAT_1);
}

#[test]
fn a_bucket_of_format_1_is_read() {
    let fixture = format_1();
    let bucket = stored_bucket(&fixture);
    assert_eq!(bucket.sets, ColumnSets::OF_FORMAT_1);
    let entries: Vec<Value> = bucket
        .entries
        .iter()
        .map(|(id, entry)| json!({"id": id.0, "revision": entry.revision, "withdrawn": entry.withdrawn}))
        .collect();
    assert_eq!(json!(entries), fixture["published"]);
    assert!(bucket.entries.values().all(|entry| entry.second.is_none()));
    assert!(bucket.dead.contains(&crate::batch::content_hash(&fixture["set_aside"].to_string())));
    for row in fixture["rows"].as_array().unwrap() {
        let entry = bucket.entries[&RowId(row["id"].as_i64().unwrap())];
        let now = prints_with(row, &Counted::all(), &TimeZone::UTC);
        assert_eq!(differing(&entry.prints, &now), ["other"], "the zone has joined it");
    }
}

#[test]
fn an_upgrade_from_format_1_publishes_nothing_of_rows_that_are_the_same() {
    let fixture = format_1();
    let mut ledger = Ledger::default();
    ledger.restore(hour_of(&fixture), &stored_bucket(&fixture));
    for n_written in [1, 0] {
        for row in fixture["rows"].as_array().unwrap() {
            let (outcome, written) = compare(&mut ledger, row, &Counted::all());
            assert!(matches!(outcome, Outcome::Unchanged | Outcome::LeftOut(_)), "{row}: {outcome:?}");
            assert_eq!(written, n_written, "each row is moved once");
        }
    }
    let bucket = ledger.bucket(hour_of(&fixture)).unwrap();
    assert_eq!(bucket.sets, Counted::all().sets());
    assert!(bucket.entries.values().all(|entry| entry.second.is_some() && entry.unknown == Parts::NONE));
    assert!(bucket.dead.contains(&crate::batch::content_hash(&fixture["set_aside"].to_string())));
}

#[test]
fn a_tag_that_is_put_on_during_the_upgrade_is_seen() {
    let fixture = format_1();
    let mut ledger = Ledger::default();
    ledger.restore(hour_of(&fixture), &stored_bucket(&fixture));
    let mut row = fixture["rows"][2].clone();
    row["tags"].as_array_mut().unwrap().push(json!({"tag_id": 5, "tag_name": "VIP"}));
    row["contact_full_name"] = json!("changed meanwhile, in a part that is not known");
    let changed = Parts::NONE.with(Part::Tags);
    let expected = Outcome::Publish(Change { event: EventType::Updated, revision: 301, changed });
    assert_eq!(compare(&mut ledger, &row, &Counted::all()).0, expected);
}

#[test]
fn an_ignored_column_is_in_no_fingerprint() {
    let before = sample_rows().remove(0);
    let counted = Counted::without(vec!["visits_count".to_owned(), "tags".to_owned()]);
    let of = |row: &Value| prints_with(row, &counted, &TimeZone::UTC);
    let mut after = before.clone();
    after["visits_count"] = json!(99);
    after["tags"] = json!([]);
    assert_eq!(of(&after), of(&before));
    after["visitor_city"] = json!("Тула");
    assert_eq!(differing(&of(&after), &of(&before)), ["other"]);
}

#[test]
fn the_sets_follow_the_columns_that_count() {
    let without = |names: &[&str]| Counted::without(names.iter().map(|name| (*name).to_owned()).collect()).sets();
    let all = Counted::all().sets();
    assert_eq!(without(&[]), all);
    for column in Call::COLUMNS.iter().filter(|name| !ALWAYS_COUNTED.contains(name)) {
        assert_ne!(without(&[column]), all, "{column}");
        assert_eq!(without(&[column]), without(&[column]));
    }
    assert_ne!(without(&["utm_source"]), without(&["utm_medium"]));
    assert_eq!(without(&["utm_source", "utm_medium"]), without(&["utm_medium", "utm_source"]));
}

#[test]
fn rows_stay_silent_when_the_ignored_columns_change() {
    let fixture = format_1();
    let mut ledger = Ledger::default();
    let row = &fixture["rows"][0];
    assert!(matches!(compare(&mut ledger, row, &Counted::all()).0, Outcome::Publish(_)));
    for ignored in [&["visits_count"][..], &[], &["tags", "sale_cost"], &["tags"]] {
        let counted = Counted::without(ignored.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(compare(&mut ledger, row, &counted), (Outcome::Unchanged, 1), "{ignored:?}");
        assert_eq!(compare(&mut ledger, row, &counted), (Outcome::Unchanged, 0), "{ignored:?}");
    }
}

#[test]
fn the_zone_counts_where_it_moves_a_moment() {
    let zone = |name: &str| TimeZone::get(name).unwrap();
    let row = sample_rows().remove(0);
    let of = |zone: &TimeZone| prints_with(&row, &Counted::all(), zone);
    assert_eq!(differing(&of(&zone("Europe/Moscow")), &of(&zone("Asia/Yekaterinburg"))), ["other"]);
    // By the clock they are the same zone in the winter of this call.
    assert_eq!(of(&zone("Europe/Berlin")), of(&zone("Africa/Lagos")));
}

#[test]
fn a_bare_row_has_its_id_and_its_start() {
    let start = LocalTime::parse("2026-03-02 10:15:04").unwrap();
    let row = Call::bare_row(RowId(3481200457), start);
    let call: Call = serde_json::from_str(&row).unwrap();
    assert_eq!((call.row_id(), call.start_time.text.as_ref()), (RowId(3481200457), "2026-03-02 10:15:04"));
    assert_eq!(call.start_time.local, start);
}
