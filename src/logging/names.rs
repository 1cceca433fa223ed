//! What the fields of the code are called in JSON: by OpenTelemetry's semantic conventions where these have a name for it,
//! below `callfeed.` otherwise.

use std::borrow::Cow;

/// The fields that have a name in the conventions.
pub const CONVENTIONS: [(&str, &str); 9] = [
    ("error", "exception.message"),
    ("error_type", "error.type"),
    ("group_id", "messaging.consumer.group.name"),
    ("method", "rpc.method"),
    ("n_records", "messaging.batch.message_count"),
    ("offset", "messaging.kafka.offset"),
    ("partition", "messaging.destination.partition.id"),
    ("request_id", "jsonrpc.request.id"),
    ("topic", "messaging.destination.name"),
];

/// What goes without saying in the code of the edge to Kafka, and of every request to the Data API.
pub const KAFKA: (&str, &str) = ("messaging.system", "kafka");
pub const DATA_API: (&str, &str) = ("rpc.system.name", "jsonrpc");

/// The name of a field in JSON.
pub fn of(field: &str) -> Cow<'static, str> {
    match CONVENTIONS.iter().find(|(own, _)| *own == field) {
        Some((_, name)) => Cow::Borrowed(name),
        None => Cow::Owned(format!("callfeed.{field}")),
    }
}

/// What the fields of a line imply.
pub fn implied(field: &str) -> Option<(&'static str, &'static str)> {
    let name = of(field);
    if name.starts_with("messaging.") {
        return Some(KAFKA);
    }
    name.starts_with("rpc.").then_some(DATA_API)
}
