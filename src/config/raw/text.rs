//! Texts that may come from the environment or a file, secret ones and others.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use deserr::{Deserr, IntoValue, Map, Value, ValuePointerRef};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::super::read::{Misfits, Read, expected, misfit};
use super::super::secret::MASK;

/// Where a text comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Origin {
    Plain(String),
    Env(String),
    File(String),
}

const AN_ORIGIN: &str = "a text, `{env: NAME}` or `{file: PATH}`";

impl Origin {
    /// Nothing of what was found is told: it may be a secret.
    fn read<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        let map = match value {
            Value::String(text) if text.is_empty() => return misfit(at, "is empty"),
            Value::String(text) => return Ok(Self::Plain(text)),
            Value::Map(map) => map,
            Value::Integer(_) | Value::NegativeInteger(_) | Value::Float(_) | Value::Boolean(_) => {
                return misfit(at, format!("expected {AN_ORIGIN}; put quotes around it"));
            }
            other => return expected(at, AN_ORIGIN, &other),
        };
        let mut entries = map.into_iter().map(|(key, value)| (key, value.into_value()));
        match (entries.next(), entries.next()) {
            (Some((key, Value::String(text))), None) if !text.is_empty() && key == "env" => Ok(Self::Env(text)),
            (Some((key, Value::String(text))), None) if !text.is_empty() && key == "file" => Ok(Self::File(text)),
            _ => misfit(at, format!("expected {AN_ORIGIN}")),
        }
    }

    fn print<S: Serializer>(&self, plain: &str, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(_) => serializer.serialize_str(plain),
            Self::Env(name) => serializer.collect_map([("env", name)]),
            Self::File(path) => serializer.collect_map([("file", path)]),
        }
    }

    fn schema(plain: Schema) -> Schema {
        json_schema!({
            "anyOf": [
                plain,
                {
                    "type": "object",
                    "description": "The value of an environment variable.",
                    "properties": {"env": {"type": "string", "minLength": 1}},
                    "required": ["env"],
                    "additionalProperties": false,
                },
                {
                    "type": "object",
                    "description": "The content of a file, without its last newline.",
                    "properties": {"file": {"type": "string", "minLength": 1}},
                    "required": ["file"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// A text that may be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct TextForm(pub Origin);

/// A text that may not: it prints as a mask.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretForm(pub Origin);

impl Deserr<Misfits> for TextForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        Origin::read(value, at).map(Self)
    }
}

impl Deserr<Misfits> for SecretForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        Origin::read(value, at).map(Self)
    }
}

impl Serialize for TextForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Origin::Plain(text) => serializer.serialize_str(text),
            origin => origin.print(MASK, serializer),
        }
    }
}

impl Serialize for SecretForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.print(MASK, serializer)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(_) => f.write_str(MASK),
            Self::Env(name) => write!(f, "{{env: {name}}}"),
            Self::File(path) => write!(f, "{{file: {path}}}"),
        }
    }
}

impl fmt::Debug for TextForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for SecretForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for TextForm {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Origin::schema(json_schema!({"type": "string", "minLength": 1}))
    }
}

impl JsonSchema for SecretForm {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        Origin::schema(json_schema!({"type": "string", "minLength": 1, "description": "The secret itself."}))
    }
}

/// Properties of librdkafka. Any may come from the environment or a file; all are taken for secrets, since which of
/// them are is librdkafka's to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(pub BTreeMap<String, SecretForm>);

impl Deserr<Misfits> for Properties {
    /// By hand, since `deserr` reads a map without telling the errors of its values.
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        let map = match value {
            Value::Map(map) => map,
            other => return expected(at, "a mapping", &other),
        };
        let mut properties = BTreeMap::new();
        let mut misfits = Misfits::default();
        for (name, value) in map.into_iter() {
            match property(value.into_value(), at.push_key(&name)) {
                Ok(value) => drop(properties.insert(name, value)),
                Err(more) => misfits.add(more),
            }
        }
        misfits.or(Self(properties))
    }
}

/// Numbers and booleans are as good as texts here: librdkafka takes texts only.
fn property<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<SecretForm> {
    let text = match value {
        Value::Boolean(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::NegativeInteger(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        other => return SecretForm::deserialize_from_value(other, at),
    };
    Ok(SecretForm(Origin::Plain(text)))
}

/// What the names of librdkafka's secret properties have in common.
const SECRET_WORDS: [&str; 6] = ["password", "secret", "key", "jaas", "oauthbearer", "pem"];

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            match &value.0 {
                Origin::Plain(text) if !SECRET_WORDS.iter().any(|word| name.contains(word)) => {
                    map.serialize_entry(name, text)?;
                }
                _ => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }
}

impl JsonSchema for Properties {
    fn schema_name() -> Cow<'static, str> {
        "Properties".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let value = Origin::schema(json_schema!({"type": ["string", "number", "boolean"], "minLength": 1}));
        json_schema!({"type": "object", "additionalProperties": value})
    }
}
