//! The keys of an account.

use deserr::Deserr;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use super::super::read::Misfits;
use super::choice::{CustomersForm, NumberForm, ServiceForm, StaticForm, TagForm};
use super::quantity::Period;
use super::text::{SecretForm, TextForm};

/// The keys that no two accounts can share.
pub const OWN_KEYS: [&str; 2] = ["name", "credentials"];

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Account")]
#[schemars(extend("required" = ["name", "credentials"]), transform = super::required_keys_hold_something)]
pub struct RawAccount {
    /// The stable name of the account, part of every record key: small letters, digits, `-` and `_`.
    #[deserr(default)]
    #[schemars(regex(pattern = "^[a-z0-9_-]+$"), example = &"acme")]
    pub name: Option<String>,
    /// The brand, or the address of a Data API.
    #[deserr(default)]
    pub service: Option<ServiceForm>,
    /// `false`: nothing is read, progress stays; enabling the account again fills the gap.
    #[deserr(default = RawAccount::default().enabled)]
    pub enabled: bool,
    /// Either `login` and `password`, or `api_key`.
    #[deserr(default)]
    pub credentials: RawCredentials,
    /// For an agency credential: `all`, or a list of ids of `get.customer_users`.
    #[deserr(default = RawAccount::default().customers)]
    pub customers: CustomersForm,
    /// `auto` (what the Data API says) or an IANA name.
    #[deserr(default = RawAccount::default().timezone)]
    #[schemars(example = &"Europe/Moscow")]
    pub timezone: String,
    /// How far back the first read goes: a duration, or a local time of the account.
    #[deserr(default = RawAccount::default().start_from)]
    #[schemars(example = &"30d", example = &"2026-01-01 00:00:00")]
    pub start_from: String,
    /// The reports that are read.
    #[deserr(default = RawAccount::default().streams)]
    #[schemars(length(min = 1))]
    pub streams: Vec<RawStream>,
    /// Which calls are published.
    #[deserr(default)]
    pub filters: RawFilters,
    /// What counts as a change of a call.
    #[deserr(default)]
    pub changes: RawChanges,
    /// How the account is read.
    #[deserr(default)]
    pub poll: RawPoll,
}

impl Default for RawAccount {
    fn default() -> Self {
        Self {
            name: None,
            service: None,
            enabled: true,
            credentials: RawCredentials::default(),
            customers: CustomersForm::None,
            timezone: "auto".to_owned(),
            start_from: "7d".to_owned(),
            streams: vec![RawStream::Calls],
            filters: RawFilters::default(),
            changes: RawChanges::default(),
            poll: RawPoll::default(),
        }
    }
}

/// An account's keys but those that no two accounts can share; none is required.
pub(super) fn defaults_schema(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = RawAccount::json_schema(generator);
    if let Some(serde_json::Value::Object(keys)) = schema.get_mut("properties") {
        for own in OWN_KEYS {
            keys.shift_remove(own);
        }
    }
    schema.remove("required");
    schema
}

#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Credentials")]
#[schemars(extend("oneOf" = [
    {"required": ["api_key"], "properties": {"api_key": {"not": {"type": "null"}}}},
    {
        "required": ["login", "password"],
        "properties": {"login": {"not": {"type": "null"}}, "password": {"not": {"type": "null"}}},
    },
]))]
pub struct RawCredentials {
    /// A login with the right to use the Data API.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<TextForm>,
    /// The password of the login.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretForm>,
    /// A permanent or temporary key, instead of login and password.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<SecretForm>,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum RawStream {
    #[deserr(rename = "calls")]
    Calls,
}

#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Filters")]
pub struct RawFilters {
    /// `all` calls, `primary` ones (the first of a visitor), or `tagged` ones (with at least one tag).
    #[deserr(default)]
    pub include: RawInclude,
    /// Names or ids of tags; when there are any, only calls that carry one of them are published.
    #[deserr(default)]
    pub tags: Vec<TagForm>,
    /// Through which channels a call must have come.
    #[deserr(default)]
    pub channels: RawChannels,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RawInclude {
    #[default]
    All,
    Primary,
    Tagged,
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Channels")]
pub struct RawChannels {
    /// Calls of dynamic call tracking.
    #[deserr(default = RawChannels::default().dynamic)]
    pub dynamic: bool,
    /// Calls of static channels: `none`, `all`, or those that are named.
    #[deserr(rename = "static", default = RawChannels::default().statics)]
    #[serde(rename = "static")]
    pub statics: StaticForm,
}

impl Default for RawChannels {
    fn default() -> Self {
        Self { dynamic: true, statics: StaticForm::None }
    }
}

/// A call passes when any one of these names its channel.
#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "NamedChannels")]
pub struct RawNamedChannels {
    /// Values of the column `source`.
    #[deserr(default)]
    pub sources: Vec<String>,
    /// Virtual numbers, in digits.
    #[deserr(default)]
    pub virtual_numbers: Vec<NumberForm>,
    /// Ids of advertising campaigns.
    #[deserr(default)]
    pub campaigns: Vec<i64>,
    /// Ids of call scenarios.
    #[deserr(default)]
    pub scenarios: Vec<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Changes")]
pub struct RawChanges {
    /// Columns of calls that alone do not make an UPDATED event, by the API's names. When another column changes too,
    /// the event has them all as they are then. `id` and `start_time` cannot be ignored. Filters look at every column.
    #[deserr(default)]
    pub ignore: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Poll")]
pub struct RawPoll {
    /// Rows asked for in one request.
    #[deserr(default = RawPoll::default().page_size)]
    #[schemars(range(min = 1, max = 10_000))]
    pub page_size: i64,
    /// Which end of what was never read comes first.
    #[deserr(default)]
    pub backfill: RawBackfill,
    /// Spend spare points on earlier reads where changes show up; never later than `every`.
    #[deserr(default = RawPoll::default().adaptive)]
    pub adaptive: bool,
    /// What to do with a published call that a complete later read no longer has: nothing, or publish a WITHDRAWN
    /// event with its id and start alone. A read counts as complete only when its pages prove it.
    #[deserr(default)]
    pub vanished: RawVanished,
    /// The ladder of re-reading for changes, ages ascending. Rows older than the last age are not read again.
    #[deserr(default = RawPoll::default().tiers)]
    #[schemars(length(min = 1))]
    pub tiers: Vec<RawTier>,
    /// The share of the account's points per minute and day that callfeed may use.
    #[deserr(default = RawPoll::default().points_share)]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1))]
    pub points_share: f64,
}

impl Default for RawPoll {
    fn default() -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let tier = |age, every| RawTier { age: Some(Period::seconds(age)), every: Some(Period::seconds(every)) };
        Self {
            page_size: 5000,
            backfill: RawBackfill::Newest,
            adaptive: true,
            vanished: RawVanished::Keep,
            tiers: vec![tier(15 * MINUTE, 30), tier(2 * HOUR, 5 * MINUTE), tier(DAY, HOUR), tier(30 * DAY, DAY)],
            points_share: 0.8,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RawBackfill {
    #[default]
    Newest,
    Oldest,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, rename_all = lowercase)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum RawVanished {
    #[default]
    Keep,
    Withdraw,
}

/// Rows up to `age` old are read again `every` so often.
#[derive(Clone, Debug, Default, PartialEq, Deserr, JsonSchema, Serialize)]
#[deserr(error = Misfits, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Tier")]
pub struct RawTier {
    /// How old a row may be.
    #[deserr(default)]
    #[schemars(required)]
    pub age: Option<Period>,
    /// How often it is read again.
    #[deserr(default)]
    #[schemars(required)]
    pub every: Option<Period>,
}
