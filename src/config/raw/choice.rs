//! Values that are either a word or more than a word.

use std::borrow::Cow;
use std::fmt;

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::super::read::{Misfits, Read, expected, misfit, unknown_word};
use super::super::secret::MASK;
use super::account::RawNamedChannels;
use crate::domain::call::Service;

/// A brand, or a Data API at an address of one's own.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceForm {
    Brand(Service),
    Custom(RawCustomService),
}

#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub struct RawCustomService {
    /// Where the Data API is.
    #[deserr(default)]
    #[schemars(required, example = &"http://127.0.0.1:8099/v2.0")]
    pub url: Option<String>,
}

fn brands() -> [&'static str; 4] {
    Service::BRANDS.map(Service::as_str)
}

impl Deserr<Misfits> for ServiceForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(word) => match Service::BRANDS.into_iter().find(|brand| brand.as_str() == word) {
                Some(brand) => Ok(Self::Brand(brand)),
                None => misfit(at, unknown_word(&word, &brands())),
            },
            Value::Map(map) => RawCustomService::deserialize_from_value(Value::<V>::Map(map), at).map(Self::Custom),
            other => expected(at, "the name of a brand or `{url: ...}`", &other),
        }
    }
}

impl Serialize for ServiceForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Brand(brand) => serializer.serialize_str(brand.as_str()),
            Self::Custom(custom) => custom.serialize(serializer),
        }
    }
}

impl JsonSchema for ServiceForm {
    fn schema_name() -> Cow<'static, str> {
        "Service".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let custom = generator.subschema_for::<RawCustomService>();
        json_schema!({"anyOf": [{"enum": brands()}, custom]})
    }
}

/// `none`, `all`, or ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomersForm {
    None,
    All,
    Ids(Vec<i64>),
}

impl Deserr<Misfits> for CustomersForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(word) => match word.as_str() {
                "none" => Ok(Self::None),
                "all" => Ok(Self::All),
                _ => misfit(at, format!("`{word}` is unknown, expected `none`, `all` or a list of ids")),
            },
            Value::Sequence(ids) => Vec::deserialize_from_value(Value::<V>::Sequence(ids), at).map(Self::Ids),
            other => expected(at, "`none`, `all` or a list of ids", &other),
        }
    }
}

impl Serialize for CustomersForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::All => serializer.serialize_str("all"),
            Self::Ids(ids) => ids.serialize(serializer),
        }
    }
}

impl JsonSchema for CustomersForm {
    fn schema_name() -> Cow<'static, str> {
        "Customers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"enum": ["none", "all"]},
            {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 1},
        ]})
    }
}

/// `none`, `all`, or channels by name.
#[derive(Clone, Debug, PartialEq)]
pub enum StaticForm {
    None,
    All,
    Named(RawNamedChannels),
}

const A_STATIC: &str = "`none`, `all` or a mapping with `sources`, `virtual_numbers`, `campaigns` or `scenarios`";

impl Deserr<Misfits> for StaticForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(word) => match word.as_str() {
                "none" => Ok(Self::None),
                "all" => Ok(Self::All),
                _ => misfit(at, format!("`{word}` is unknown, expected {A_STATIC}")),
            },
            Value::Map(map) => RawNamedChannels::deserialize_from_value(Value::<V>::Map(map), at).map(Self::Named),
            other => expected(at, A_STATIC, &other),
        }
    }
}

impl Serialize for StaticForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_str("none"),
            Self::All => serializer.serialize_str("all"),
            Self::Named(named) => named.serialize(serializer),
        }
    }
}

impl JsonSchema for StaticForm {
    fn schema_name() -> Cow<'static, str> {
        "StaticChannels".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let named = generator.subschema_for::<RawNamedChannels>();
        json_schema!({"anyOf": [{"enum": ["none", "all"]}, named]})
    }
}

/// A tag by its name or by its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
pub enum TagForm {
    Id(i64),
    Name(String),
}

impl Deserr<Misfits> for TagForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(name) => Ok(Self::Name(name)),
            value @ (Value::Integer(_) | Value::NegativeInteger(_)) => {
                i64::deserialize_from_value(value, at).map(Self::Id)
            }
            other => expected(at, "the name or the id of a tag", &other),
        }
    }
}

/// A telephone number; without quotes YAML takes it for a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct NumberForm(pub String);

impl Deserr<Misfits> for NumberForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Integer(number) => Ok(Self(number.to_string())),
            other => expected(at, "a telephone number in digits", &other),
        }
    }
}

impl JsonSchema for NumberForm {
    fn schema_name() -> Cow<'static, str> {
        "TelephoneNumber".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "description": "A telephone number in digits, with or without a plus in front.",
            "pattern": "^[+]?[0-9]+$",
            "minimum": 0,
            "examples": ["74951234567"],
        })
    }
}

/// `auto`, `none` or a URL, whose password is masked when it is printed.
#[derive(Clone, PartialEq, Eq, JsonSchema)]
#[schemars(inline)]
pub struct ProxyForm(pub String);

impl Deserr<Misfits> for ProxyForm {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        String::deserialize_from_value(value, at).map(Self)
    }
}

impl fmt::Display for ProxyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.rsplit_once('@') {
            Some((_, host)) => {
                let scheme = self.0.split_once("://").map_or("http", |(scheme, _)| scheme);
                write!(f, "{scheme}://{MASK}@{host}")
            }
            None => f.write_str(&self.0),
        }
    }
}

impl fmt::Debug for ProxyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ProxyForm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
