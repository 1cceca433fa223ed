//! What counts as a change of a call, column by column, and what does not.

use proptest::prelude::*;

use super::*;

fn full_row() -> Map<String, Value> {
    let mut row = record_of(&documented());
    for column in documented().iter().filter(|column| column.kind == "array") {
        // Two elements, so that their order can change.
        let first = row[&column.name][0].clone();
        let second = match &first {
            Value::Object(record) => {
                Value::Object(record.iter().map(|(name, value)| (name.clone(), other(value))).collect())
            }
            text => other(text),
        };
        row[&column.name] = json!([first, second]);
    }
    row
}

/// A different value of the same type.
fn other(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!(whole + 1),
            None => json!(number.as_f64().unwrap() + 0.01),
        },
        Value::String(text) if text.starts_with("2026-") => json!("2026-03-02 10:15:05"),
        Value::String(text) => json!(format!("{text}!")),
        Value::Bool(value) => json!(!value),
        other => panic!("{other}"),
    }
}

/// Which part each column belongs to (design 7 and the words of the report).
fn part_named(column: &str) -> &'static str {
    match column {
        "tags" => "tags",
        "sale_date" | "sale_cost" => "sale",
        "last_answered_employee_rating" => "rating",
        "call_records" | "wav_call_records" | "full_record_file_link" | "voice_mail_records" => "records",
        _ => "other",
    }
}

/// The parts in which two rows differ.
fn differing(one: &Value, two: &Value) -> Vec<&'static str> {
    let (one, two) = (prints_of(&one.to_string()), prints_of(&two.to_string()));
    let pairs = one.as_numbers().iter().zip(two.as_numbers());
    Part::ALL.into_iter().zip(pairs).filter(|(_, (one, two))| one != two).map(|(part, _)| part.as_str()).collect()
}

#[test]
fn a_change_of_any_column_is_seen_in_its_part() {
    let before = Value::Object(full_row());
    for column in documented() {
        let expected = [part_named(&column.name)];
        let mut changes = Vec::new();
        let mut after = before.clone();
        match &column.nested[..] {
            [] if column.kind == "array" => after[&column.name][1] = json!("another"),
            [] => after[&column.name] = other(&before[&column.name]),
            nested => {
                for nested in nested {
                    let mut after = before.clone();
                    after[&column.name][0][&nested.name] = other(&before[&column.name][0][&nested.name]);
                    changes.push(after);
                    let mut emptied = before.clone();
                    emptied[&column.name][0][&nested.name] = Value::Null;
                    changes.push(emptied);
                }
                after[&column.name].as_array_mut().unwrap().pop();
            }
        }
        changes.push(after);
        if !column.is_required {
            let mut emptied = before.clone();
            emptied[&column.name] = Value::Null;
            changes.push(emptied);
        }
        for after in changes {
            assert_eq!(differing(&before, &after), expected, "{}", column.name);
        }
    }
}

#[test]
fn two_columns_that_swap_their_values_are_a_change() {
    let before = Value::Object(full_row());
    for (one, two) in [("utm_source", "utm_medium"), ("campaign_id", "scenario_id"), ("gclid", "yclid")] {
        let mut row = before.clone();
        row[one] = json!(1);
        row[two] = json!(2);
        let mut swapped = row.clone();
        swapped[one] = json!(2);
        swapped[two] = json!(1);
        assert_eq!(differing(&row, &swapped), ["other"], "{one} and {two}");
    }
}

#[test]
fn an_unknown_column_is_seen_like_any_other() {
    let before = Value::Object(full_row());
    let mut with_mood = before.clone();
    with_mood["mood"] = json!({"score": 1, "words": ["good"]});
    assert_eq!(differing(&before, &with_mood), ["other"]);
    let mut other_mood = with_mood.clone();
    other_mood["mood"]["score"] = json!(2);
    assert_eq!(differing(&with_mood, &other_mood), ["other"]);

    let mut coloured = before.clone();
    coloured["tags"][0]["colour"] = json!("red");
    assert_eq!(differing(&before, &coloured), ["tags"]);

    for empty in [json!(null), json!([]), json!({}), json!("")] {
        let mut with_empty = before.clone();
        with_empty["mood"] = empty;
        assert!(differing(&before, &with_empty).is_empty(), "{with_empty}");
    }
}

#[test]
fn empty_is_empty_however_it_is_spelled() {
    let columns = documented();
    let optional = columns.iter().filter(|column| !column.is_required);
    let mut row = full_row();
    for column in optional {
        row.insert(column.name.clone(), Value::Null);
        let with_null = Value::Object(row.clone());
        let spelled = match column.kind.as_str() {
            "array" => json!([]),
            _ => json!(""),
        };
        row.insert(column.name.clone(), spelled);
        assert!(differing(&with_null, &Value::Object(row.clone())).is_empty(), "{}", column.name);
        row.remove(&column.name);
        assert!(differing(&with_null, &Value::Object(row.clone())).is_empty(), "{}", column.name);
    }
}

#[test]
fn a_number_as_text_and_a_t_in_a_date_are_no_change() {
    fn respelled(value: &Value) -> Value {
        match value {
            Value::Number(number) => json!(format!(" {number} ")),
            Value::String(text) if text.starts_with("2026-") => json!(text.replace(' ', "T")),
            Value::Array(values) => values.iter().map(respelled).collect(),
            Value::Object(record) => record.iter().map(|(name, value)| (name.clone(), respelled(value))).collect(),
            other => other.clone(),
        }
    }
    let row = Value::Object(full_row());
    assert_ne!(row, respelled(&row));
    assert!(differing(&row, &respelled(&row)).is_empty());
}

/// Writes a value with the keys of objects and, where `arrays` says so, the elements of arrays in another order.
fn shuffled(value: &Value, arrays: bool, random: &mut fastrand::Rng) -> String {
    match value {
        Value::Object(record) => {
            let mut members: Vec<String> = record
                .iter()
                .map(|(name, value)| format!("{}: {}", json!(name), shuffled(value, arrays, random)))
                .collect();
            random.shuffle(&mut members);
            format!("{{ {} }}", members.join(" ,"))
        }
        Value::Array(values) => {
            let mut elements: Vec<String> = values.iter().map(|value| shuffled(value, arrays, random)).collect();
            if arrays {
                random.shuffle(&mut elements);
            }
            format!("[{}]", elements.join(", "))
        }
        other => other.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_order_of_keys_and_of_lists_is_no_change(seed: u64, arrays: bool) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut row = Value::Object(full_row());
        if !arrays {
            row["mood"] = json!({"words": ["good", "better"], "score": {"a": 1, "b": 2}});
        }
        row["weather"] = json!("fine");
        row["tags"][0]["colour"] = json!("red");
        row["tags"][0]["age"] = json!(3);
        let text = shuffled(&row, arrays, &mut random);
        prop_assert_eq!(prints_of(&text), prints_of(&row.to_string()), "{}", text);
    }

    #[test]
    fn fingerprints_do_not_depend_on_the_row_before(seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut rows = sample_rows();
        rows.push(Value::Object(full_row()));
        random.shuffle(&mut rows);
        let texts: Vec<String> = rows.iter().map(Value::to_string).collect();
        let mut scratch = PartDigests::default();
        for text in &texts {
            let call: Call = serde_json::from_str(text).unwrap();
            prop_assert_eq!(call.prints(&Counted::all(), &TimeZone::UTC, &mut scratch), prints_of(text));
        }
    }
}
