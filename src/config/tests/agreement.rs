//! The reader, the JSON Schema and the lists of librdkafka agree.

use std::collections::BTreeMap;

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use super::{FULL, LEAST, env};
use crate::config::kafka_properties::{for_consumer, for_producer, refusal};
use crate::config::raw::RawConfig;
use crate::config::schema::json_schema;
use crate::config::{parse, parse_raw, tree};

/// `Ok` when the schema accepts the configuration.
fn judge(config: &Value) -> Result<(), String> {
    let mut compiler = Compiler::new();
    compiler.add_resource("schema.json", json_schema().to_value()).unwrap();
    let mut schemas = Schemas::new();
    let index = compiler.compile("schema.json", &mut schemas).unwrap();
    schemas.validate(config, index).map_err(|error| error.to_string())
}

fn as_json(text: &str) -> Value {
    tree::read(text).0.unwrap().to_json()
}

#[test]
fn the_schema_accepts_the_sample_and_the_least() {
    judge(&as_json(FULL)).unwrap();
    judge(&as_json(LEAST)).unwrap();
}

/// Follows a schema to where it says more: through references and choices.
fn resolve<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap();
        return resolve(root, root.pointer(pointer).unwrap());
    }
    let choices = ["anyOf", "oneOf", "allOf"].into_iter().filter_map(|key| schema[key].as_array());
    let below = choices.flatten().flat_map(|choice| resolve(root, choice));
    std::iter::once(schema).chain(below).collect()
}

/// Every key that the schema knows, as the way to it, lists as `[]`.
fn keys(root: &Value, schema: &Value, way: &str, found: &mut Vec<String>) {
    for schema in resolve(root, schema) {
        for (key, below) in schema["properties"].as_object().into_iter().flatten() {
            let way = format!("{way}.{key}");
            keys(root, below, &way, found);
            found.push(way);
        }
        if schema["items"].is_object() {
            keys(root, &schema["items"], &format!("{way}[]"), found);
        }
    }
}

/// Puts `{KEY: 7.5}`-like nonsense at each place where the schema knows keys, which both must refuse, and a known key
/// with nonsense, which the reader must not take for unknown.
#[test]
fn every_key_of_the_schema_is_a_key_of_the_reader() {
    let root = json_schema().to_value();
    let mut known = Vec::new();
    keys(&root, &root, "", &mut known);
    assert!(known.len() > 90, "{}", known.len());
    for way in known {
        let nonsense = nested(&way, json!([[[]]]));
        let told = parse(&nonsense.to_string(), &env).unwrap_err().to_string();
        assert!(!told.contains("unknown key"), "{way}: {told}");
    }
}

/// The value at the end of a way such as `.accounts[].poll`.
fn nested(way: &str, value: Value) -> Value {
    way.trim_start_matches('.').rsplit('.').fold(value, |inner, step| match step.strip_suffix("[]") {
        Some(key) => json!({ key: [inner] }),
        None => json!({ step: inner }),
    })
}

/// The keys that the reader says it accepts, where it meets one that it does not.
#[test]
fn every_key_of_the_reader_is_a_key_of_the_schema() {
    let root = json_schema().to_value();
    let mut known = Vec::new();
    keys(&root, &root, "", &mut known);
    let mut sections: Vec<&str> = known.iter().filter_map(|way| way.rsplit_once('.').map(|(way, _)| way)).collect();
    sections.sort_unstable();
    sections.dedup();
    assert!(sections.len() > 20, "{}", sections.len());
    for section in sections {
        let list = section.ends_with("[]");
        let stranger = json!({"~~~": 1});
        let stranger = if list { json!([stranger]) } else { stranger };
        let text = if section.is_empty() { stranger } else { nested(section.trim_end_matches("[]"), stranger) };
        let told = parse(&text.to_string(), &env).unwrap_err().to_string();
        assert!(judge(&text).is_err());
        let Some(line) = told.lines().find(|line| line.contains("~~~: unknown key, expected ")) else {
            // `{env}` and `{file}`: the reader tells nothing of what stands in a secret.
            assert!(told.contains("expected a text, `{env: NAME}` or `{file: PATH}`"), "{section}: {told}");
            continue;
        };
        let accepted = line.split_once("expected ").unwrap().1;
        for key in accepted.split('`').skip(1).step_by(2) {
            let own = section == ".defaults" && (key == "name" || key == "credentials");
            assert!(own || known.contains(&format!("{section}.{key}")), "{section}.{key}");
        }
    }
}

/// Fills in what the schema says is the default, for every key that is not there.
fn fill(root: &Value, schema: &Value, value: &mut Value) {
    for schema in resolve(root, schema) {
        match value {
            Value::Object(map) => {
                for (key, below) in schema["properties"].as_object().into_iter().flatten() {
                    let default = below.get("default");
                    if let Some(default) = default.filter(|_| key != "defaults") {
                        map.entry(key).or_insert_with(|| default.clone());
                    }
                    if let Some(value) = map.get_mut(key) {
                        fill(root, below, value);
                    }
                }
            }
            Value::Array(list) if schema["items"].is_object() => {
                list.iter_mut().for_each(|value| fill(root, &schema["items"], value));
            }
            _ => {}
        }
    }
}

#[test]
fn the_defaults_of_the_schema_are_those_of_the_reader() {
    let root = json_schema().to_value();
    let mut filled = as_json(LEAST);
    fill(&root, &root, &mut filled);
    assert_eq!(filled["accounts"][0]["poll"]["page_size"], 5000);
    let read: RawConfig = parse_raw(LEAST, &env).unwrap();
    assert_eq!(filled, serde_json::to_value(&read).unwrap());
}

#[test]
fn what_the_schema_refuses_by_itself_the_reader_refuses_too() {
    let rows = [
        ("kafka", json!({})),
        ("limits", json!({"memory": "64M"})),
        ("accounts", json!([])),
        ("accounts", json!([{"name": "acme", "service": "uis"}])),
        ("accounts", json!([{"name": "acme", "service": "uis", "credentials": {}}])),
        ("accounts", json!([{"name": "acme", "service": "uis", "credentials": {"login": "x"}}])),
        ("defaults", json!({"name": "x"})),
        ("defaults", json!({"poll": {"points_share": 0}})),
        ("defaults", json!({"poll": {"page_size": 0}})),
        ("defaults", json!({"changes": {"ignore": "tags"}})),
        ("defaults", json!({"start_from": 7})),
        ("http", json!({"timeout": "60"})),
    ];
    for (key, value) in rows {
        let mut config = as_json(LEAST);
        config[key] = value;
        assert!(judge(&config).is_err(), "{config}");
        assert!(parse(&config.to_string(), &env).is_err(), "{config}");
    }
}

/// librdkafka's own list, of the release that is built in.
const PROPERTIES: &str = include_str!("../../../tests/data/config/librdkafka-properties.txt");

#[test]
fn each_property_goes_to_the_clients_that_librdkafka_says_take_it() {
    let listed: BTreeMap<String, &str> = PROPERTIES
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(name, _)| refusal(name).is_none())
        .map(|(name, clients)| (name.to_owned(), clients))
        .collect();
    assert!(listed.len() > 100, "{}", listed.len());
    for (name, clients) in &listed {
        let taken = (
            for_producer(&listed).any(|(taken, _)| taken == name),
            for_consumer(&listed).any(|(taken, _)| taken == name),
        );
        let expected = (*clients != "C", *clients != "P");
        assert_eq!(taken, expected, "{name}");
    }
}

#[test]
fn every_property_that_is_refused_is_one_of_librdkafka() {
    let refused =
        PROPERTIES.lines().filter_map(|line| line.split_once(' ')).filter(|(name, _)| refusal(name).is_some());
    let names: Vec<&str> = refused.map(|(name, _)| name).collect();
    for name in ["transactional.id", "enable.idempotence", "acks", "bootstrap.servers", "group.id", "dr_msg_cb"] {
        assert!(names.contains(&name), "{name}");
    }
    assert!(refusal("security.protocol").is_none() && refusal("transaction.timeout.ms").is_none());
}
