//! Steps through the rows of a page one by one, so that a row that does not fit spoils only itself.
//!
//! A good row is scanned once: it is decoded where it stands. Only a row that fails is scanned again, as plain JSON,
//! to find where it ends. For every array of JSON the rows stepped are the elements of the array, in order.

use std::marker::PhantomData;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Deserializer, StreamDeserializer};

/// A row: its JSON as it came, and what it decodes to, or why it does not. All may hold what callers said and who
/// they are.
#[derive(Debug)]
pub struct Row<'a, T> {
    pub raw: &'a str,
    pub decoded: serde_json::Result<T>,
}

/// The rows of one page, decoded as `T` while iterating.
pub struct Rows<'a, T> {
    /// What is left of the array: the next element or the closing bracket, after blanks and a comma.
    rest: &'a str,
    row: PhantomData<fn() -> T>,
}

impl<'a, T> Rows<'a, T> {
    /// `array` is a complete JSON array that was scanned already; anything else has no rows.
    pub(super) fn of_array(array: &'a str) -> Self {
        Self { rest: array.trim_start().strip_prefix('[').unwrap_or_default(), row: PhantomData }
    }
}

impl<'a, T: Deserialize<'a>> Iterator for Rows<'a, T> {
    type Item = Row<'a, T>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = self.rest.trim_start_matches([' ', '\n', '\t', '\r', ',']);
        if element.is_empty() || element.starts_with(']') {
            self.rest = "";
            return None;
        }
        let (raw, decoded) = match decode_first::<T>(element) {
            (Ok(row), length) => (&element[..length], Ok(row)),
            (Err(error), _) => (extent(element), Err(error)),
        };
        self.rest = &element[raw.len()..];
        Some(Row { raw, decoded })
    }
}

/// Decodes the value that `text` starts with, and tells where it ended.
fn decode_first<'a, T: Deserialize<'a>>(text: &'a str) -> (serde_json::Result<T>, usize) {
    let mut values: StreamDeserializer<'_, _, T> = Deserializer::from_str(text).into_iter();
    match values.next() {
        Some(value) => (value, values.byte_offset()),
        None => (Err(serde::de::Error::custom("no value")), text.len()),
    }
}

/// The JSON value that `text` starts with. The array was scanned as a whole before, so its elements are sound; were
/// one not, everything left would be handed on as one bad row, so that nothing is lost unseen.
fn extent(text: &str) -> &str {
    match decode_first::<&RawValue>(text) {
        (Ok(raw), _) => raw.get(),
        (Err(_), _) => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Person<'a> {
        id: i64,
        #[serde(borrow)]
        name: Option<std::borrow::Cow<'a, str>>,
    }

    fn rows(array: &str) -> Vec<Row<'_, Person<'_>>> {
        Rows::of_array(array).collect()
    }

    #[test]
    fn a_row_that_does_not_fit_spoils_only_itself() {
        let array = r#" [ {"id":1,"name":"Анна"} , {"id":"x, ]}","name":[{"a":"]"}]},
            7,"text",null,[1,[2]] ,{"name":null,"id":2, "more":{"deep":[{}]}}] "#;

        let stepped = rows(array);

        let good: Vec<i64> =
            stepped.iter().filter_map(|row| row.decoded.as_ref().ok()).map(|person| person.id).collect();
        let bad: Vec<&str> = stepped.iter().filter(|row| row.decoded.is_err()).map(|row| row.raw).collect();
        assert_eq!(good, [1, 2]);
        assert_eq!(bad, [r#"{"id":"x, ]}","name":[{"a":"]"}]}"#, "7", r#""text""#, "null", "[1,[2]]"]);
    }

    #[test]
    fn the_reason_points_into_the_row() {
        let stepped = rows(r#"[{"id":1}, {"id":true}]"#);

        let reason = stepped[1].decoded.as_ref().unwrap_err().to_string();

        assert_eq!(stepped[1].raw, r#"{"id":true}"#);
        assert!(reason.starts_with("invalid type: boolean `true`, expected i64 at line 1 column"), "{reason}");
        assert!(reason.ends_with("column 10"), "{reason}");
    }

    #[test]
    fn broken_escapes_and_huge_numbers_are_bad_rows() {
        let array = r#"[{"id":1,"name":"\ud800"},{"id":1e999},{"id":123456789012345678901234567890},{"id":5}]"#;

        let outcome: Vec<Option<i64>> =
            rows(array).iter().map(|row| row.decoded.as_ref().ok().map(|person| person.id)).collect();

        assert_eq!(outcome, [None, None, None, Some(5)]);
    }

    #[test]
    fn an_empty_array_has_no_rows() {
        for array in ["[]", " [ \n ] ", "null", ""] {
            assert_eq!(rows(array).len(), 0, "{array:?}");
        }
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\[\\]{},:\" \\\\]{0,8}".prop_map(Value::from),
            any::<i64>().prop_map(|id| serde_json::json!({"id": id, "name": "a]\",["})),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec(("[a-z\"\\\\,]{0,4}|id|name", inner), 0..6)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_rows_stepped_are_the_elements_of_the_array(
            elements in prop::collection::vec(json(), 0..12),
            pretty in any::<bool>(),
        ) {
            let array = Value::from(elements);
            let text = if pretty { serde_json::to_string_pretty(&array) } else { serde_json::to_string(&array) }.unwrap();
            let expected: Vec<&RawValue> = serde_json::from_str(&text).unwrap();

            let raw: Vec<&str> = Rows::<&RawValue>::of_array(&text).map(|row| row.decoded.unwrap().get()).collect();
            prop_assert_eq!(&raw, &expected.iter().map(|raw| raw.get()).collect::<Vec<_>>());

            let typed = rows(&text);
            prop_assert_eq!(typed.len(), expected.len());
            for (stepped, raw) in typed.iter().zip(expected) {
                prop_assert_eq!(stepped.raw, raw.get());
                match (&stepped.decoded, serde_json::from_str::<Person>(raw.get())) {
                    (Ok(stepped), Ok(direct)) => prop_assert_eq!(stepped, &direct),
                    (Err(_), Err(_)) => {}
                    (stepped, direct) => prop_assert!(false, "stepped {:?}, directly {:?}", stepped, direct),
                }
            }
        }
    }
}
