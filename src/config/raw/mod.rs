//! The keys of the configuration file: their names, shapes and defaults, stated once.
//!
//! From these types follow the reader (`deserr`), the JSON Schema (`schemars`; the doc comments of keys are its
//! descriptions) and the printed form (`serde`). What a value must be beyond its shape is the matter of
//! [`super::check`]. A key without which nothing can run is an `Option` here, so that its lack is told beside
//! everything else.

mod account;
mod choice;
mod kafka;
mod quantity;
mod text;

use std::fmt;

use deserr::Deserr;
use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::json;

pub use account::*;
pub use choice::*;
pub use kafka::*;
pub use quantity::*;
pub use text::*;

use super::read::Misfits;
use super::topic::TopicTemplate;

/// Configuration of callfeed: reads call-tracking accounts and publishes their calls on Kafka.
#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "callfeed configuration")]
#[schemars(extend("required" = ["kafka", "schema_registry", "accounts"]), transform = required_keys_hold_something)]
pub struct RawConfig {
    /// The Kafka cluster, and how callfeed writes to it.
    #[deserr(default)]
    pub kafka: RawKafka,
    /// The Confluent Schema Registry (or one that speaks its API).
    #[deserr(default)]
    pub schema_registry: RawSchemaRegistry,
    /// Where events go.
    #[deserr(default)]
    pub topics: RawTopics,
    /// Any key of an account but `name` and `credentials`, for every account that does not set it itself.
    /// Mappings are merged key by key; lists and single values are replaced.
    #[deserr(default)]
    #[schemars(schema_with = "defaults_schema")]
    #[serde(skip_serializing_if = "is_in_the_accounts")]
    pub defaults: Box<RawAccount>,
    /// The accounts to read.
    #[deserr(default)]
    #[schemars(length(min = 1))]
    pub accounts: Vec<RawAccount>,
    /// The HTTP server for probes, metrics and the state of accounts.
    #[deserr(default)]
    pub admin: RawAdmin,
    /// What `GET /metrics` shows.
    #[deserr(default)]
    pub metrics: RawMetrics,
    /// Bounds on what callfeed uses.
    #[deserr(default)]
    pub limits: RawLimits,
    /// HTTP towards the Data API.
    #[deserr(default)]
    pub http: RawHttp,
    /// What callfeed writes to its log.
    #[deserr(default)]
    pub log: RawLog,
}

/// What `defaults` says stands in every account by the time anything is printed.
fn is_in_the_accounts(_: &RawAccount) -> bool {
    true
}

/// A required key has no default in the schema, though its Rust type has one, and may be neither null nor empty.
fn required_keys_hold_something(schema: &mut Schema) {
    let required: Vec<String> = schema
        .get("required")
        .and_then(|keys| keys.as_array())
        .map(|keys| keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect())
        .unwrap_or_default();
    let Some(keys) = schema.get_mut("properties").and_then(|keys| keys.as_object_mut()) else { return };
    for (name, key) in keys.iter_mut().filter_map(|(name, key)| Some((name, key.as_object_mut()?))) {
        if !required.contains(name) {
            continue;
        }
        key.shift_remove("default");
        if key.get("type") == Some(&json!(["string", "null"])) {
            key.insert("type".to_owned(), json!("string"));
            key.insert("minLength".to_owned(), json!(1));
        }
    }
}

/// JSON, which is YAML too: what is printed can be read again. Plain secrets are masked.
impl fmt::Display for RawConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string_pretty(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Topics")]
pub struct RawTopics {
    /// The topic of call events. `{service}` and `{account}` stand for those of the account.
    #[deserr(default = RawTopics::default().calls)]
    #[schemars(example = &"callfeed.calls.{account}")]
    pub calls: String,
}

impl Default for RawTopics {
    fn default() -> Self {
        Self { calls: TopicTemplate::default().as_str().to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Admin")]
pub struct RawAdmin {
    /// IP address and port.
    #[deserr(default = RawAdmin::default().listen)]
    #[schemars(example = &"0.0.0.0:9464")]
    pub listen: String,
    /// What a bearer must show to pause, resume and rewind accounts and to reload. Without it nobody can.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<SecretForm>,
    /// A host name and a port under which the admin ports of all replicas are found, such as a headless Service of
    /// Kubernetes: any replica answers for all accounts then.
    #[deserr(default)]
    #[schemars(example = &"callfeed-headless:9464")]
    pub peers: Option<String>,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:9464".to_owned(), token: None, peers: None }
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Metrics")]
pub struct RawMetrics {
    /// Whether each account has numbers of its own. Without them, numbers are added up, of ages the largest is shown,
    /// and the status of accounts is counted: for thousands of accounts.
    #[deserr(default = RawMetrics::default().per_account)]
    pub per_account: bool,
}

impl Default for RawMetrics {
    fn default() -> Self {
        Self { per_account: true }
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct RawLimits {
    /// Memory for pages in flight, all accounts together.
    #[deserr(default = RawLimits::default().memory)]
    pub memory: Size,
}

impl Default for RawLimits {
    fn default() -> Self {
        Self { memory: Size(64 * 1024 * 1024) }
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Http")]
pub struct RawHttp {
    /// How long one request may take, answer included.
    #[deserr(default = RawHttp::default().timeout)]
    pub timeout: Period,
    /// A PEM file with certificate authorities to trust beside the usual ones.
    #[deserr(default)]
    pub ca_file: Option<String>,
    /// `auto` (from the environment), `none`, or the URL of a proxy.
    #[deserr(default = RawHttp::default().proxy)]
    #[schemars(example = &"none", example = &"http://proxy:3128")]
    pub proxy: ProxyForm,
}

impl Default for RawHttp {
    fn default() -> Self {
        Self { timeout: Period::seconds(60), ca_file: None, proxy: ProxyForm("auto".to_owned()) }
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Log")]
pub struct RawLog {
    /// One line of text for people, or one JSON object, per entry.
    #[deserr(default)]
    pub format: RawLogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; or directives such as `info,callfeed=debug`.
    #[deserr(default = RawLog::default().level)]
    pub level: String,
}

impl Default for RawLog {
    fn default() -> Self {
        Self { format: RawLogFormat::Text, level: "info".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RawLogFormat {
    #[default]
    Text,
    Json,
}
