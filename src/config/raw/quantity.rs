//! Durations and sizes: numbers that carry their unit.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::super::read::{Misfits, Read, expected, misfit};

/// A duration with its unit: `30s`, `5m`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Period(pub Duration);

const A_PERIOD: &str = "a duration with its unit such as `30s`, `5m` or `7d`";

impl Period {
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    pub fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text).map(Self).map_err(|_| format!("expected {A_PERIOD}, found `{text}`"))
    }
}

impl Deserr<Misfits> for Period {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(text) => Self::parse(&text).or_else(|problem| misfit(at, problem)),
            other => expected(at, A_PERIOD, &other),
        }
    }
}

/// As the contract writes it where a single unit will do, else in several.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 4] = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
        let millis = self.0.as_millis();
        for (size, unit) in UNITS {
            if self.0.subsec_nanos() == 0 && millis > 0 && millis.is_multiple_of(size) {
                return write!(f, "{}{unit}", millis / size);
            }
        }
        write!(f, "{}", humantime::format_duration(self.0))
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A duration with its unit.",
            "pattern": "^([0-9]+ *[a-zA-Z]+ *)+$|^0$",
            "examples": ["250ms", "30s", "5m", "2h", "7d"],
        })
    }
}

/// An amount of memory with its unit: `64MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

const A_SIZE: &str = "a size with its unit such as `64MiB` or `1GiB`";

/// Largest first, binary before decimal, so that printing takes the shortest exact form.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

impl Size {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &text[digits.len()..];
        let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
        digits.trim_end().parse::<u64>().ok()?.checked_mul(*factor).map(Self)
    }
}

impl Deserr<Misfits> for Size {
    fn deserialize_from_value<V: IntoValue>(value: Value<V>, at: ValuePointerRef<'_>) -> Read<Self> {
        match value {
            Value::String(text) => match Self::parse(&text) {
                Some(size) => Ok(size),
                None => misfit(at, format!("expected {A_SIZE}, found `{text}`")),
            },
            other => expected(at, A_SIZE, &other),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = SIZES.iter().find(|(_, factor)| self.0 > 0 && self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Size {
    fn schema_name() -> Cow<'static, str> {
        "Size".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "An amount of memory with its unit.",
            "pattern": "^[0-9]+ *([kKmMgG][iI]?)?[bB]$",
            "examples": ["64MiB", "1GiB"],
        })
    }
}
