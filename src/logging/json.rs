//! A line as one object, flat, with the names of OpenTelemetry's log data model and semantic conventions.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use super::lines::{self, Origin};
use super::names;

/// Below this there is the edge to Kafka.
const KAFKA_EDGE: &str = "callfeed::edge::kafka";

/// The event as JSON, without a line end.
pub fn object(event: &Event<'_>, origin: &Origin, n_left_out: u64) -> Result<String, fmt::Error> {
    let metadata = event.metadata();
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), now()?.into());
    line.insert("severity_text".to_owned(), metadata.level().as_str().into());
    line.insert("severity_number".to_owned(), severity_number(*metadata.level()).into());
    if let Some(name) = lines::event_name(metadata) {
        line.insert("event.name".to_owned(), name.into());
    }
    line.insert("body".to_owned(), fields.body.into());
    line.insert("service.name".to_owned(), "callfeed".into());
    line.insert("service.version".to_owned(), env!("CARGO_PKG_VERSION").into());
    line.insert("service.instance.id".to_owned(), (&*origin.instance_id).into());
    if metadata.target().starts_with(KAFKA_EDGE) {
        line.insert(names::KAFKA.0.to_owned(), names::KAFKA.1.into());
    }
    line.extend(fields.others);
    if n_left_out > 0 {
        line.insert("callfeed.n_left_out".to_owned(), n_left_out.into());
    }
    // Texts and numbers under names: there is nothing that JSON could not hold.
    serde_json::to_string(&line).map_err(|_| fmt::Error)
}

fn now() -> Result<String, fmt::Error> {
    let mut text = String::new();
    SystemTime.format_time(&mut Writer::new(&mut text))?;
    Ok(text)
}

/// As the log data model counts.
const fn severity_number(level: Level) -> u8 {
    match level {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => 9,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

#[derive(Default)]
struct Fields {
    body: String,
    others: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.body = text,
            // The conventions have a name for each part of an address.
            ("listen", Value::String(address)) => self.put_address(&address),
            // An id there, whatever it is here.
            ("partition", Value::Number(number)) => self.insert(field.name(), number.to_string().into()),
            (name, value) => self.insert(name, value),
        }
    }

    fn insert(&mut self, name: &str, value: Value) {
        if let Some((name, value)) = names::implied(name) {
            self.others.insert(name.to_owned(), value.into());
        }
        self.others.insert(names::of(name).into_owned(), value);
    }

    fn put_address(&mut self, address: &str) {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        self.others.insert("server.address".to_owned(), host.trim_matches(['[', ']']).into());
        if let Ok(port) = port.parse::<u16>() {
            self.others.insert("server.port".to_owned(), port.into());
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}
