//! What the program needs of the configuration: every value checked, every default filled in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::secret::{Revealed, Secret};
use super::topic::TopicTemplate;
use crate::domain::call::{AccountId, Service};
use crate::domain::filter::{Channels, Include};
use crate::domain::ladder::{BackfillOrder, Tier};
use crate::domain::time::LocalTime;

#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    pub kafka: Kafka,
    pub schema_registry: SchemaRegistry,
    pub topics: Topics,
    /// Never empty; names are unique.
    pub accounts: Vec<Account>,
    pub admin: Admin,
    pub metrics: Metrics,
    pub limits: Limits,
    pub http: Http,
    pub log: Log,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    pub bootstrap_servers: String,
    /// As written; [`super::kafka_properties`] says which client takes which.
    pub properties: BTreeMap<String, Secret>,
    pub delivery: Delivery,
    pub group_id: String,
    pub instance_id: String,
    pub state_topic: String,
    /// At least one.
    pub state_partitions: i32,
    pub dead_letter_topic: String,
    pub create_topics: CreateTopics,
    pub commit_interval: Duration,
    /// At least one.
    pub commit_max_events: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    ExactlyOnce,
    AtLeastOnce,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateTopics {
    pub enabled: bool,
    pub replication_factor: i32,
    /// Of the topics of events; the state topic has `state_partitions`.
    pub partitions: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaRegistry {
    pub url: String,
    pub username: Option<String>,
    pub password: Option<Secret>,
    pub auto_register: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    pub calls: TopicTemplate,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    pub id: AccountId,
    pub service: Service,
    pub base_url: String,
    pub enabled: bool,
    pub credentials: Credentials,
    pub customers: Customers,
    pub timezone: Timezone,
    pub start_from: StartFrom,
    /// Never empty.
    pub streams: Vec<Stream>,
    pub filters: AccountFilters,
    /// Columns of calls that alone do not make an event. Known names, in order, each once.
    pub ignored_columns: Vec<String>,
    pub poll: Poll,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Credentials {
    Login { login: String, password: Secret },
    ApiKey(Secret),
}

/// Which customers an agency credential reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Customers {
    /// It is no agency credential.
    None,
    All,
    /// Never empty.
    Ids(Vec<i64>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Timezone {
    /// What `get.account` says.
    Auto,
    Named(TimeZone),
}

/// How far back the first read goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    Ago(Duration),
    At(LocalTime),
}

/// A report of an account that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Calls,
}

impl Stream {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
        }
    }
}

/// As [`crate::domain::filter::Filters`], but tags may still be names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountFilters {
    pub include: Include,
    pub tags: Vec<TagRef>,
    pub channels: Channels,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TagRef {
    Id(i64),
    Name(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Poll {
    /// From 1 to 10000.
    pub page_size: u32,
    pub backfill: BackfillOrder,
    /// Whether points to spare go into earlier reads.
    pub adaptive: bool,
    pub vanished: Vanished,
    /// Never empty, ages strictly ascending; the last age is the horizon.
    pub tiers: Vec<Tier>,
    /// Above 0, at most 1.
    pub points_share: f64,
}

/// What becomes of a published call that a complete later read no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vanished {
    Keep,
    Withdraw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Whoever shows it may change something; without it nobody may.
    pub token: Option<Secret>,
    /// A host name and a port: the admin ports of all replicas.
    pub peers: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Whether each account has numbers of its own.
    pub per_account: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of pages in flight, all accounts together.
    pub memory: usize,
}

/// Towards the Data API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    pub timeout: Duration,
    pub ca_file: Option<PathBuf>,
    pub proxy: Proxy,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// What the environment says (`HTTPS_PROXY` and its like).
    Auto,
    None,
    /// May hold a password, so it does not print.
    Url(Revealed),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    /// A level, or directives as `tracing` takes them.
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}
