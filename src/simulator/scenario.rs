//! What a simulated world consists of: the server's habits, its faults, the accounts and the calls in them.
//!
//! Every key has a default, an unknown key is an error, and the same types serve the YAML file of `callfeed simulate`
//! and scenarios written in Rust. What a scenario says is the *start*: at run time the [`Simulator`](super::Simulator)
//! can change much of it.

use std::{collections::BTreeMap, fmt, net::IpAddr, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::{calls_scenario::CallsScenario, faults::FaultRule};

/// The whole world of one simulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Decides everything that is drawn by lot. The same seed and clock give the same world.
    pub seed: u64,
    pub clock: ClockScenario,
    /// Whether `date_from` and `date_till` belong to the window.
    pub bounds: Bounds,
    pub max_window: MaxWindow,
    /// A `date_till` that is more recent than this is refused; 0: any is taken, also of the time to come.
    #[serde(deserialize_with = "duration")]
    pub refuse_recent: Duration,
    /// What times that a change of clocks shows twice are taken for.
    pub repeated_times: RepeatedTimes,
    /// Order of rows with the same sort key.
    pub ties: Ties,
    /// Order of rows when the request has no `sort`.
    pub unsorted: Unsorted,
    /// Share of pages that hold fewer rows than asked for although there are more.
    pub short_pages: f64,
    #[serde(deserialize_with = "duration")]
    pub session_lifetime: Duration,
    /// What a session that is over is answered with.
    pub ended_session: EndedSession,
    /// Compress large answers when the client accepts it.
    pub gzip: bool,
    /// The address that the server takes every caller for; `None`: the real one.
    pub caller_address: Option<IpAddr>,
    pub variants: Variants,
    pub faults: Vec<FaultRule>,
    pub accounts: Vec<AccountScenario>,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            seed: 1,
            clock: ClockScenario::default(),
            bounds: Bounds::default(),
            max_window: MaxWindow::default(),
            refuse_recent: Duration::ZERO,
            repeated_times: RepeatedTimes::default(),
            ties: Ties::Stable,
            unsorted: Unsorted::StartTime,
            short_pages: 0.0,
            session_lifetime: Duration::from_secs(3600),
            ended_session: EndedSession::Expired,
            gzip: true,
            caller_address: None,
            variants: Variants::default(),
            faults: Vec::new(),
            accounts: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockScenario {
    /// Where the clock starts, with an offset (`2026-03-02T10:00:00+03:00`); `None`: now.
    #[serde(deserialize_with = "timestamp")]
    pub start: Option<Timestamp>,
    /// How much faster than real time it runs; 0: it stands still.
    pub speed: f64,
}

impl Default for ClockScenario {
    fn default() -> ClockScenario {
        ClockScenario { start: None, speed: 1.0 }
    }
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    pub from: Bound,
    pub till: Bound,
}

impl Bounds {
    pub fn contain<T: Ord>(self, time: &T, from: &T, till: &T) -> bool {
        let behind_from = time > from || (time == from && self.from == Bound::Inclusive);
        let before_till = time < till || (time == till && self.till == Bound::Inclusive);
        behind_from && before_till
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    #[default]
    Inclusive,
    Exclusive,
}

/// What the server goes by: the text of a time, or the moment behind it.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RepeatedTimes {
    pub sort: SortBy,
    pub bounds: BoundBy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SortBy {
    #[default]
    Text,
    Moment,
}

/// How `date_from` and `date_till` are compared with a start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BoundBy {
    #[default]
    Text,
    /// As moments; of a time that is shown twice the earlier one.
    EarlierMoment,
    LaterMoment,
}

/// The longest window of a report: a number of days, or three calendar months.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxWindow {
    Days(u16),
    ThreeMonths,
}

impl Default for MaxWindow {
    fn default() -> MaxWindow {
        MaxWindow::Days(90)
    }
}

impl<'de> Deserialize<'de> for MaxWindow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MaxWindow, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match (value.as_u64().map(u16::try_from), value.as_str()) {
            (Some(Ok(days)), _) if days > 0 => Ok(MaxWindow::Days(days)),
            (_, Some("3 months")) => Ok(MaxWindow::ThreeMonths),
            _ => Err(D::Error::custom(format!("`max_window` is `{value}`, expected a number of days or `3 months`"))),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    #[default]
    Stable,
    /// In another order at each request.
    Shuffled,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unsorted {
    #[default]
    StartTime,
    /// In an order that has nothing to do with time but is the same at each request.
    Scattered,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum EndedSession {
    #[default]
    #[serde(rename = "access_token_expired")]
    Expired,
    #[serde(rename = "access_token_invalid")]
    Invalid,
}

/// Spellings that samples of the documents show beside the documented rule.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Variants {
    /// `login.user` says `expire` for `expire_at`.
    pub expire: bool,
    /// Where `meta_data` stands for `metadata`.
    pub meta_data: MetaData,
    /// Errors carry `"id": null`.
    pub null_error_id: bool,
    /// Empty arrays come as `null`.
    pub null_arrays: bool,
    /// Numbers of rows come as text.
    pub text_numbers: bool,
    /// Dates come as `2026-03-02T10:15:04+03:00`.
    pub iso_dates: bool,
}

impl Variants {
    /// Whether rows differ from the documented form.
    pub fn touches_rows(&self) -> bool {
        self.null_arrays || self.text_numbers || self.iso_dates
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetaData {
    #[default]
    Never,
    GetAccount,
    Always,
}

/// One account of one brand: how it is entered, what it may do, and what is in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountScenario {
    /// The simulator's name for it; never seen by clients.
    pub name: String,
    /// The path it answers under: `/BRAND/v2.0`. Every account answers under `/v2.0` too.
    pub brand: String,
    pub app_id: i64,
    pub title: String,
    pub timezone: String,
    pub keys: Vec<Key>,
    pub login: Option<String>,
    pub password: Option<Hidden>,
    /// The token that each login gets; `None`: a new one each time.
    pub session_token: Option<Hidden>,
    pub active: bool,
    /// Addresses and networks (`10.0.0.0/8`) that may call.
    pub ip_list: Vec<String>,
    /// The components that are connected; `None`: all.
    pub components: Option<Vec<String>>,
    /// Methods that the user has no right to.
    pub forbidden: Vec<String>,
    pub limits: Limits,
    /// Makes it an agency: calls are in the customers, and `user_id` is required.
    pub customers: Vec<CustomerScenario>,
    /// What an agency may ask `get.account` for.
    pub agency_account: AgencyAccount,
    pub calls: CallsScenario,
    /// Calls given column by column; a column that is left out is empty.
    pub rows: Vec<Map<String, Value>>,
    /// Rows of the other methods; a dictionary that is left out is made up.
    pub tables: Tables,
}

impl Default for AccountScenario {
    fn default() -> AccountScenario {
        AccountScenario {
            name: "account".into(),
            brand: "comagic".into(),
            app_id: 41_877,
            title: "ООО Пример".into(),
            timezone: "Europe/Moscow".into(),
            keys: Vec::new(),
            login: None,
            password: None,
            session_token: None,
            active: true,
            ip_list: vec!["0.0.0.0/0".into(), "::/0".into()],
            components: None,
            forbidden: Vec::new(),
            limits: Limits::default(),
            customers: Vec::new(),
            agency_account: AgencyAccount::default(),
            calls: CallsScenario::default(),
            rows: Vec::new(),
            tables: Tables::new(),
        }
    }
}

/// Rows by method.
pub type Tables = BTreeMap<String, Vec<Map<String, Value>>>;

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustomerScenario {
    pub id: i64,
    pub name: String,
    pub app_id: i64,
    pub timezone: String,
    pub users: Vec<UserScenario>,
    pub calls: CallsScenario,
    pub rows: Vec<Map<String, Value>>,
    pub tables: Tables,
}

impl Default for CustomerScenario {
    fn default() -> CustomerScenario {
        CustomerScenario {
            id: 0,
            name: "ООО Клиент".into(),
            app_id: 51_000,
            timezone: "Europe/Moscow".into(),
            users: Vec::new(),
            calls: CallsScenario::default(),
            rows: Vec::new(),
            tables: Tables::new(),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserScenario {
    pub id: i64,
    pub login: String,
    pub name: String,
    pub description: Option<String>,
}

impl Default for UserScenario {
    fn default() -> UserScenario {
        UserScenario {
            id: 0, login: "admin@example.ru".into(), name: "Администратор".into(), description: None
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgencyAccount {
    /// With `user_id` the customer's account, without it the agency's own (as public client code expects).
    #[default]
    ByUserId,
    /// The agency's own; `user_id` is refused, as the table of parameters says.
    Own,
    /// Permission denied, since the method is documented for customers only.
    Forbidden,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub token: Hidden,
    #[serde(default)]
    pub state: KeyState,
}

impl Key {
    pub fn new(token: impl Into<Hidden>) -> Key {
        Key { token: token.into(), state: KeyState::Active }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    #[default]
    Active,
    Blocked,
    Expired,
}

/// A token or password: prints as a mask.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(String);

impl Hidden {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Hidden {
    fn from(text: T) -> Hidden {
        Hidden(text.into())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Points of an account. Only answered requests cost one.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub minute: u32,
    pub day: u32,
    /// What the metadata says about them.
    pub shape: LimitsShape,
    /// Points left at the start and seconds to the reset; `None`: all of them, a full minute, the local midnight.
    pub minute_remaining: Option<u32>,
    pub minute_reset: Option<u32>,
    pub day_remaining: Option<u32>,
    pub day_reset: Option<u32>,
}

impl Default for Limits {
    /// The sizes that the documents' samples show.
    fn default() -> Limits {
        Limits {
            minute: 60,
            day: 3000,
            shape: LimitsShape::Full,
            minute_remaining: None,
            minute_reset: None,
            day_remaining: None,
            day_reset: None,
        }
    }
}

impl Limits {
    pub fn per(minute: u32, day: u32) -> Limits {
        Limits { minute, day, ..Limits::default() }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitsShape {
    #[default]
    Full,
    /// `"limits": {}`
    Empty,
    /// No `limits` at all.
    Missing,
    /// `hour_limit`, `hour_remaining`, `hour_reset` only, made from the minute's.
    Hour,
    /// No `*_reset`.
    NoReset,
    /// `*_remaining` only.
    Left,
}

/// A delay drawn by lot: `5m`, or a range `1m..2h` with short delays more likely than long ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    pub min: Duration,
    pub max: Duration,
}

impl Delay {
    pub const fn secs(min: u64, max: u64) -> Delay {
        Delay { min: Duration::from_secs(min), max: Duration::from_secs(max) }
    }

    pub const fn fixed(delay: Duration) -> Delay {
        Delay { min: delay, max: delay }
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Delay, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (min, max) = text.split_once("..").unwrap_or((&text, &text));
        let parse = |part: &str| {
            humantime::parse_duration(part.trim()).map_err(|error| {
                D::Error::custom(format!("delay `{text}`: {error}; expected one like `5m` or `1m..2h`"))
            })
        };
        let delay = Delay { min: parse(min)?, max: parse(max)? };
        if delay.min > delay.max {
            return Err(D::Error::custom(format!("delay `{text}`: the first is longer than the second")));
        }
        Ok(delay)
    }
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text)
        .map_err(|error| D::Error::custom(format!("duration `{text}`: {error}; expected one like `90s`")))
}

fn timestamp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let parsed = text.parse().map_err(|_| {
        D::Error::custom(format!("time `{text}`: expected one with an offset like `2026-03-02T10:00:00+03:00`"))
    })?;
    Ok(Some(parsed))
}
