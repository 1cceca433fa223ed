//! The keys below `kafka` and `schema_registry`.

use deserr::Deserr;
use schemars::JsonSchema;
use serde::Serialize;

use super::super::read::Misfits;
use super::quantity::Period;
use super::text::{Properties, SecretForm, TextForm};

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Kafka")]
#[schemars(extend("required" = ["bootstrap_servers"]), transform = super::required_keys_hold_something)]
pub struct RawKafka {
    /// Brokers to begin with: `host:port`, separated by commas.
    #[deserr(default)]
    #[schemars(example = &"kafka-0:9092,kafka-1:9092")]
    pub bootstrap_servers: Option<String>,
    /// Any property of librdkafka, such as `security.protocol`, `sasl.*`, `ssl.*` or `compression.type`
    /// (default `zstd`). Values may be `{env: NAME}` or `{file: PATH}`. Properties that callfeed must set itself are
    /// refused.
    #[deserr(default)]
    pub properties: Properties,
    /// How events are delivered.
    #[deserr(default)]
    pub delivery: RawDelivery,
    /// Replicas with the same group share the accounts.
    #[deserr(default = RawKafka::default().group_id)]
    pub group_id: String,
    /// A name that a replica keeps over restarts. Default: the host name.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<TextForm>,
    /// The compacted topic that holds the progress of all accounts.
    #[deserr(default = RawKafka::default().state_topic)]
    pub state_topic: String,
    /// Partitions of the state topic when callfeed creates it.
    #[deserr(default = RawKafka::default().state_partitions)]
    #[schemars(range(min = 1, max = 10_000))]
    pub state_partitions: i64,
    /// The topic for rows that cannot be made into events.
    #[deserr(default = RawKafka::default().dead_letter_topic)]
    pub dead_letter_topic: String,
    /// Whether and how missing topics are created.
    #[deserr(default)]
    pub create_topics: RawCreateTopics,
    /// A transaction is closed after this long, or after `commit_max_events`.
    #[deserr(default = RawKafka::default().commit_interval)]
    pub commit_interval: Period,
    /// A transaction is closed after this many events, or after `commit_interval`.
    #[deserr(default = RawKafka::default().commit_max_events)]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub commit_max_events: i64,
}

impl Default for RawKafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: None,
            properties: Properties::default(),
            delivery: RawDelivery::default(),
            group_id: "callfeed".to_owned(),
            instance_id: None,
            state_topic: "callfeed.state".to_owned(),
            state_partitions: 12,
            dead_letter_topic: "callfeed.dead-letter".to_owned(),
            create_topics: RawCreateTopics::default(),
            commit_interval: Period::millis(250),
            commit_max_events: 10_000,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RawDelivery {
    #[default]
    /// Each event once, by Kafka's transactions.
    #[deserr(rename = "exactly_once")]
    ExactlyOnce,
    /// Without transactions: after a failure events may come again, with the same `event_id`.
    #[deserr(rename = "at_least_once")]
    AtLeastOnce,
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "CreateTopics")]
pub struct RawCreateTopics {
    /// `false`: a missing topic is an error.
    #[deserr(default = RawCreateTopics::default().enabled)]
    pub enabled: bool,
    /// Copies of each partition.
    #[deserr(default = RawCreateTopics::default().replication_factor)]
    #[schemars(range(min = 1, max = 32_767))]
    pub replication_factor: i64,
    /// Partitions of the topics of events and dead letters.
    #[deserr(default = RawCreateTopics::default().partitions)]
    #[schemars(range(min = 1, max = 10_000))]
    pub partitions: i64,
}

impl Default for RawCreateTopics {
    fn default() -> Self {
        Self { enabled: true, replication_factor: 3, partitions: 6 }
    }
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SchemaRegistry")]
#[schemars(extend("required" = ["url"]), transform = super::required_keys_hold_something)]
pub struct RawSchemaRegistry {
    /// Its address.
    #[deserr(default)]
    #[schemars(example = &"http://registry:8081")]
    pub url: Option<String>,
    /// For basic authentication.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<TextForm>,
    /// For basic authentication.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretForm>,
    /// `false`: the schemas must be there already; it is an error when they are not.
    #[deserr(default = RawSchemaRegistry::default().auto_register)]
    pub auto_register: bool,
}

impl Default for RawSchemaRegistry {
    fn default() -> Self {
        Self { url: None, username: None, password: None, auto_register: true }
    }
}
