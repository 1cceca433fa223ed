//! The struct, the schema and the documented columns agree, and what is encoded is what came.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;

use super::*;

/// The fields that callfeed adds before the columns; `extra` comes last.
const OWN_FIELDS: [&str; 8] =
    ["event_id", "event_type", "revision", "changed", "observed_at", "service", "account", "customer_id"];

fn schema_json() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

fn names(columns: &[Documented]) -> Vec<&str> {
    columns.iter().map(|column| column.name.as_str()).collect()
}

#[test]
fn the_struct_has_the_documented_columns_in_their_order() {
    let documented = documented();
    assert_eq!(Call::COLUMNS, names(&documented));
    for (column, nested) in [
        ("scenario_operations", ScenarioOperation::COLUMNS),
        ("tags", Tag::COLUMNS),
        ("employees", Employee::COLUMNS),
        ("visitor_custom_properties", CustomProperty::COLUMNS),
        ("segments", Segment::COLUMNS),
    ] {
        let column = documented.iter().find(|documented| documented.name == column).unwrap();
        assert_eq!(nested, names(&column.nested), "{}", column.name);
    }
    assert_eq!(documented.iter().filter(|column| !column.nested.is_empty()).count(), 5);
}

/// What the schema must say of a column: one field, or two for a time. Docs and record names are looked at elsewhere.
fn expected_fields(column: &Documented) -> Vec<Value> {
    let time = json!({"type": "long", "logicalType": "timestamp-millis"});
    let field = |name: &str, of: Value| match column.is_required {
        true => json!({"name": name, "type": of}),
        false => json!({"name": name, "type": ["null", of], "default": null}),
    };
    let list = |items: Value| json!({"name": column.name, "type": {"type": "array", "items": items}, "default": []});
    match (column.kind.as_str(), column.items.as_str()) {
        ("number", _) if column.name == "sale_cost" => {
            let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 4});
            vec![field(&column.name, decimal)]
        }
        ("number", _) => vec![field(&column.name, json!("long"))],
        ("string" | "enum", _) => vec![field(&column.name, json!("string"))],
        ("boolean", _) => vec![field(&column.name, json!("boolean"))],
        ("iso8601", _) => {
            vec![field(&column.name, time), field(&format!("{}_local", column.name), json!("string"))]
        }
        ("array", "object") => {
            let fields: Vec<Value> = column.nested.iter().flat_map(expected_fields).collect();
            vec![list(json!({"type": "record", "fields": fields}))]
        }
        ("array", "string" | "enum") => vec![list(json!("string"))],
        other => panic!("{} has type {other:?}", column.name),
    }
}

/// The schema without docs and record names.
fn bare(mut schema: Value) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(object) => {
                object.remove("doc");
                if object.get("type") == Some(&json!("record")) {
                    object.remove("name");
                }
                object.values_mut().for_each(strip);
            }
            Value::Array(values) => values.iter_mut().for_each(strip),
            _ => {}
        }
    }
    strip(&mut schema);
    schema
}

#[test]
fn the_schema_has_every_documented_column_with_its_type() {
    let schema = bare(schema_json());
    let fields = schema["fields"].as_array().unwrap();
    let (own, fields) = fields.split_at(OWN_FIELDS.len());
    let own: Vec<&str> = own.iter().map(|field| field["name"].as_str().unwrap()).collect();
    assert_eq!(own, OWN_FIELDS);
    let (extra, columns) = fields.split_last().unwrap();
    assert_eq!(extra, &json!({"name": "extra", "type": {"type": "map", "values": "string"}, "default": {}}));

    let expected: Vec<Value> = documented().iter().flat_map(expected_fields).collect();
    for (field, expected) in columns.iter().zip(&expected) {
        assert_eq!(field, expected);
    }
    assert_eq!(columns.len(), expected.len());
}

#[test]
fn own_fields_have_the_types_of_the_contract() {
    let schema = bare(schema_json());
    let own = &schema["fields"].as_array().unwrap()[..OWN_FIELDS.len()];
    let time = json!({"type": "long", "logicalType": "timestamp-millis"});
    let strings = json!({"type": "array", "items": "string"});
    let expected = [
        json!({"name": "event_id", "type": "string"}),
        json!({"name": "event_type", "type": "string"}),
        json!({"name": "revision", "type": "int"}),
        json!({"name": "changed", "type": strings, "default": []}),
        json!({"name": "observed_at", "type": time}),
        json!({"name": "service", "type": "string"}),
        json!({"name": "account", "type": "string"}),
        json!({"name": "customer_id", "type": ["null", "long"], "default": null}),
    ];
    assert_eq!(own, expected);
    let schema = schema_json();
    assert_eq!((&schema["namespace"], &schema["name"]), (&json!("callfeed.v1"), &json!("CallEvent")));
}

/// Calls `look` with every object inside of `value`.
fn each_object(value: &Value, look: &mut impl FnMut(&Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            look(object);
            object.values().for_each(|value| each_object(value, look));
        }
        Value::Array(values) => values.iter().for_each(|value| each_object(value, look)),
        _ => {}
    }
}

#[test]
fn every_field_and_record_has_a_doc_and_none_is_an_enum() {
    let mut n_fields = 0;
    each_object(&schema_json(), &mut |object| {
        let is_field = object.contains_key("name") && object.contains_key("type");
        assert_ne!(object.get("type"), Some(&json!("enum")), "{object:?}");
        if is_field {
            n_fields += 1;
            let doc = object.get("doc").and_then(Value::as_str).unwrap_or_default();
            assert!(doc.trim().len() > 10, "field {} has the doc {doc:?}", object["name"]);
        }
    });
    assert!(n_fields > Call::COLUMNS.len());
}

#[test]
fn docs_name_their_source() {
    let schema = schema_json();
    for field in schema["fields"].as_array().unwrap() {
        let (name, doc) = (field["name"].as_str().unwrap(), field["doc"].as_str().unwrap());
        assert!(doc.contains("Source: "), "{name}: {doc}");
        let column = name.strip_suffix("_local").unwrap_or(name);
        if Call::COLUMNS.contains(&column) {
            assert!(doc.contains(&format!("get.calls_report.{column}")), "{name}: {doc}");
        }
    }
}

/// What a field must hold for a column of the row, worked out without callfeed's own types. Times are Moscow's.
fn expected_values(column: &Documented, row: &Value) -> Vec<(String, Avro)> {
    let value = &row[&column.name];
    let optional = |avro: Option<Avro>| match avro {
        Some(avro) => Avro::Union(1, Box::new(avro)),
        None => Avro::Union(0, Box::new(Avro::Null)),
    };
    let wrap = |avro: Option<Avro>| if column.is_required { avro.unwrap() } else { optional(avro) };
    let text = || value.as_str().map(|text| Avro::String(text.to_owned()));
    let name = column.name.clone();
    match (column.kind.as_str(), column.items.as_str()) {
        ("number", _) if name == "sale_cost" => {
            let units = value.as_f64().map(|amount| (amount * 10_000.0).round() as i64);
            vec![(name, optional(units.map(|units| Avro::Decimal(units.to_be_bytes().to_vec().into()))))]
        }
        ("number", _) => vec![(name, wrap(value.as_i64().map(Avro::Long)))],
        ("string" | "enum", _) => vec![(name, wrap(text()))],
        ("boolean", _) => vec![(name, wrap(value.as_bool().map(Avro::Boolean)))],
        ("iso8601", _) => {
            let instant = |text: &str| format!("{}+03:00", text.replace(' ', "T")).parse::<Timestamp>().unwrap();
            let millis = value.as_str().map(|text| Avro::TimestampMillis(instant(text).as_millisecond()));
            vec![(name.clone(), wrap(millis)), (format!("{name}_local"), wrap(text()))]
        }
        (_, "object") => {
            let record = |row: &Value| {
                Avro::Record(column.nested.iter().flat_map(|nested| expected_values(nested, row)).collect())
            };
            vec![(name, Avro::Array(value.as_array().unwrap().iter().map(record).collect()))]
        }
        _ => {
            let texts = value.as_array().unwrap().iter().map(|text| Avro::String(text.as_str().unwrap().to_owned()));
            vec![(name, Avro::Array(texts.collect()))]
        }
    }
}

/// Decimals hold bytes of any length; the same number in fewer bytes is the same.
fn with_shortest_decimals(value: Avro) -> Avro {
    match value {
        Avro::Union(branch, inner) => Avro::Union(branch, Box::new(with_shortest_decimals(*inner))),
        Avro::Decimal(decimal) => {
            let bytes = <Vec<u8>>::try_from(decimal).unwrap();
            let unscaled = bytes
                .iter()
                .fold(if bytes[0] > 127 { -1_i64 } else { 0 }, |number, byte| (number << 8) | i64::from(*byte));
            Avro::Long(unscaled)
        }
        other => other,
    }
}

fn encode_and_read(row: &str, change: Change) -> Vec<(String, Avro)> {
    let schema = Schema::parse_str(SCHEMA).unwrap();
    let call: Call = serde_json::from_str(row).unwrap();
    let source = EventSource {
        service: Service::Comagic,
        account: AccountId::new("acme"),
        customer_id: Some(90211),
        zone: TimeZone::get("Europe/Moscow").unwrap(),
    };
    let prints = call.prints(&Counted::all(), &TimeZone::UTC, &mut PartDigests::default());
    let event_id = event_id(&source.account, call.row_id(), change, &prints);
    let event = CallEvent { source: &source, call: &call, change, event_id, observed_at_millis: 1_772_435_731_250 };
    let bytes =
        GenericDatumWriter::builder(&schema).human_readable(false).build().unwrap().write_ser_to_vec(&event).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    match reader.read_value(&mut bytes.as_slice()).unwrap() {
        Avro::Record(fields) => fields.into_iter().map(|(name, value)| (name, with_shortest_decimals(value))).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_encoded_is_what_came() {
    let change =
        Change { event: EventType::Updated, revision: 3, changed: Parts::NONE.with(Part::Tags).with(Part::Sale) };
    let mut rows = sample_rows();
    rows.push(Value::Object(record_of(&documented())));
    for row in rows {
        let fields = encode_and_read(&row.to_string(), change);
        let (own, columns) = fields.split_at(OWN_FIELDS.len());
        let text = |text: &str| Avro::String(text.to_owned());
        assert!(matches!(&own[0], (name, Avro::String(id)) if name == "event_id" && Uuid::parse_str(id).is_ok()));
        let own_values: Vec<&Avro> = own[1..].iter().map(|(_, value)| value).collect();
        let expected = [
            text("UPDATED"),
            Avro::Int(3),
            Avro::Array(vec![text("tags"), text("sale")]),
            Avro::TimestampMillis(1_772_435_731_250),
            text("comagic"),
            text("acme"),
            Avro::Union(1, Box::new(Avro::Long(90211))),
        ];
        assert_eq!(own_values, expected.iter().collect::<Vec<_>>());

        let documented = documented();
        let expected = documented.iter().flat_map(|column| expected_values(column, &row));
        let expected = expected.map(|(name, value)| (name, with_shortest_decimals(value)));
        let extra = ("extra".to_owned(), Avro::Map(Default::default()));
        let expected: Vec<(String, Avro)> = expected.chain([extra]).collect();
        for (field, expected) in columns.iter().zip(&expected) {
            assert_eq!(field, expected);
        }
        assert_eq!(columns.len(), expected.len());
    }
}

#[test]
fn extra_columns_reach_the_event_as_json_texts() {
    let mut row = sample_rows().remove(1);
    row["mood"] = json!({"score": 0.5});
    row["employees"][0]["mood"] = json!("good");
    let change = Change { event: EventType::Created, revision: 1, changed: Parts::NONE };
    let fields = encode_and_read(&row.to_string(), change);
    let Some((_, Avro::Map(extra))) = fields.last() else { panic!("{fields:?}") };
    let text = |text: &str| Avro::String(text.to_owned());
    assert_eq!(extra.len(), 2);
    assert_eq!(extra["mood"], text(r#"{"score":0.5}"#));
    assert_eq!(extra["employees[0].mood"], text(r#""good""#));
}

#[test]
fn every_released_schema_reads_every_other_and_the_newest() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/released");
    let mut schemas = vec![("the newest".to_owned(), SCHEMA.to_owned())];
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        schemas.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
    }
    assert!(schemas.len() > 1, "no released schema in {folder}");
    let schemas: Vec<(String, Schema)> =
        schemas.into_iter().map(|(name, text)| (name, Schema::parse_str(&text).unwrap())).collect();
    for (writer_name, writer) in &schemas {
        for (reader_name, reader) in &schemas {
            let compatibility = SchemaCompatibility::can_read(writer, reader);
            assert!(
                matches!(compatibility, Ok(Compatibility::Full)),
                "{reader_name} cannot read what {writer_name} wrote: {compatibility:?}"
            );
        }
    }
}

#[test]
fn a_field_without_a_default_would_be_noticed() {
    let mut next = schema_json();
    next["fields"].as_array_mut().unwrap().push(json!({"name": "mood", "type": "string", "doc": "x"}));
    let (next, newest) = (Schema::parse_str(&next.to_string()).unwrap(), Schema::parse_str(SCHEMA).unwrap());
    assert!(SchemaCompatibility::can_read(&newest, &next).is_err());
}
