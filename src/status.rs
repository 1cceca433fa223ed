//! How each account is doing, for people and for metrics: one board that the accounts' tasks write and the admin port
//! reads.
//!
//! ```text
//!  register -> starting -> backfilling -> live
//!                 |             |          |      any of them <-> limited   no points left, or told to wait
//!                 +-------------+----------+                  <-> blocked   a person has to act; the remedy says how
//!                                                             <-> paused    asked for by a person
//! ```
//!
//! The board decides nothing: what an account does next follows from its coverage and from the answers of the API.
//! No lock is held while anything else runs. What always holds: `since` is the moment of the last change of status or
//! reason, and what is blocked stays so until a try has succeeded, so that a try that fails again every five minutes does
//! not look like a new failure.

mod cause;
mod config;
mod elsewhere;
mod points;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::clock::Clock;
use crate::domain::call::{AccountId, Service};
use crate::domain::pace::PointsWindow;
use crate::domain::time::Instant;
use crate::logging::events;
use crate::outlook::short;

pub use cause::Cause;
pub use config::{ConfigStatus, RefusedConfig};
pub use points::{AccountPoints, PointsCounter, PointsLimit};

/// The status of an account (design 11).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nothing has been read since the account was taken over.
    Starting,
    /// What lies between the start and now has gaps that are being read.
    Backfilling,
    /// Read up to now.
    Live,
    /// Waiting for points, or because the API asked for it.
    Limited,
    /// Cannot go on until a person acts; tried again from time to time.
    Blocked,
    /// Stopped by a person.
    Paused,
}

impl State {
    pub const ALL: [State; 6] =
        [Self::Starting, Self::Backfilling, Self::Live, Self::Limited, Self::Blocked, Self::Paused];

    /// The word in the admin API and the label in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Backfilling => "backfilling",
            Self::Live => "live",
            Self::Limited => "limited",
            Self::Blocked => "blocked",
            Self::Paused => "paused",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why an account has its status, and what a person can do about it. Never holds a secret: both are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Why {
    pub reason: Option<String>,
    pub remedy: Option<String>,
    /// The kind of reason.
    pub cause: Option<Cause>,
}

const MORE_POINTS: &str = "wait, raise the limit in the client area, or raise `poll.points_share`";

impl Why {
    /// The status speaks for itself.
    pub const NOTHING: Why = Why { reason: None, remedy: None, cause: None };

    pub fn because(reason: impl fmt::Display) -> Self {
        Self { reason: Some(reason.to_string()), ..Self::NOTHING }
    }

    /// There are no points until then.
    pub fn points_used_up(window: PointsWindow, until: Instant) -> Self {
        let window = window.as_str();
        Self::because(format!("callfeed's share of the points of this {window} is used up until {until}"))
            .with_remedy(MORE_POINTS)
    }

    /// There are hardly any.
    pub fn points_are_few(interval: impl fmt::Display) -> Self {
        Self::because(format!("the points that are left allow a reading of the first tier every {interval}"))
            .with_remedy(MORE_POINTS)
    }

    pub fn with_remedy(self, remedy: impl fmt::Display) -> Self {
        Self { remedy: Some(remedy.to_string()), ..self }
    }

    pub fn with_cause(self, cause: Cause) -> Self {
        Self { cause: Some(cause), ..self }
    }
}

/// One account as the admin port shows it.
#[derive(Clone, Debug, Serialize)]
pub struct AccountStatus {
    #[serde(rename = "name", serialize_with = "as_text")]
    pub account: AccountId,
    #[serde(serialize_with = "as_text")]
    pub service: Service,
    #[serde(serialize_with = "as_text")]
    pub status: State,
    #[serde(serialize_with = "as_text")]
    pub since: Instant,
    pub reason: Option<String>,
    pub remedy: Option<String>,
    /// The streams of which something is known, by name.
    pub streams: Vec<StreamStatus>,
    /// For metrics: the kind of reason, and the points as they were told last.
    #[serde(skip)]
    pub cause: Option<Cause>,
    #[serde(skip)]
    pub points: Option<AccountPoints>,
}

/// How far one stream of an account has been read, seen from the moment of the question.
#[derive(Clone, Debug, Serialize)]
pub struct StreamStatus {
    pub stream: &'static str,
    #[serde(serialize_with = "as_text_or_null")]
    pub frontier: Option<Instant>,
    pub frontier_lag_seconds: Option<u64>,
    /// The age of the last success of the live tier.
    pub freshness_seconds: Option<u64>,
    pub tiers: Vec<TierStatus>,
    /// For metrics: how much longer ago than planned the live tier was read; none while nobody expects it to be read.
    #[serde(skip)]
    pub behind_plan_seconds: Option<u64>,
    /// For metrics: what the tiers take as planned.
    #[serde(skip)]
    pub points_per_day: Option<u64>,
}

/// How often a tier is read with the points there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TierStatus {
    /// Shown as in the configuration: `15m`.
    #[serde(serialize_with = "as_period")]
    pub age: Duration,
    pub promised_seconds: u64,
    /// More than promised when the points do not suffice, less when there are some to spare and news to be found.
    pub planned_seconds: u64,
}

/// The board. Clones share it.
#[derive(Clone, Default)]
pub struct StatusBoard {
    accounts: Arc<Mutex<HashMap<AccountId, Entry>>>,
    /// Accounts of the configuration that are not polled here.
    elsewhere: Arc<Mutex<BTreeMap<AccountId, Service>>>,
    clock: Clock,
    config: Arc<Mutex<ConfigStatus>>,
}

struct Entry {
    service: Service,
    state: State,
    since: Instant,
    why: Why,
    registered_at: Instant,
    streams: BTreeMap<&'static str, Reading>,
    points: Option<AccountPoints>,
}

#[derive(Default)]
struct Reading {
    frontier: Option<Instant>,
    /// The end of the last complete reading of the live tier, and when that was done. The first lies behind where an API
    /// serves rows only hours later.
    live_read: Option<(Instant, Instant)>,
    tiers: Vec<TierStatus>,
    points_per_day: Option<u64>,
}

impl StatusBoard {
    /// An empty board that goes by this clock; by default it is the machine's.
    pub fn with_clock(clock: Clock) -> Self {
        Self { clock, ..Self::default() }
    }

    /// Puts an account on the board as starting; one that was there begins anew.
    pub fn register(&self, account: &AccountId, service: Service) {
        let now = self.clock.now();
        let entry = Entry {
            service,
            state: State::Starting,
            since: now,
            why: Why::NOTHING,
            registered_at: now,
            streams: BTreeMap::new(),
            points: None,
        };
        self.lock().insert(account.clone(), entry);
        self.lock_elsewhere().remove(account);
    }

    pub fn remove(&self, account: &AccountId) {
        self.lock().remove(account);
        self.lock_elsewhere().remove(account);
    }

    /// Notes a status and logs it when it is new; tells whether the state is another one than before.
    ///
    /// An account that is not on the board is left off it: its task may end a moment after it was removed.
    pub fn set(&self, account: &AccountId, state: State, why: Why) -> bool {
        self.set_at(account, state, why, self.clock.now())
    }

    /// Notes what an account is about to do. One that is blocked stays so until that has succeeded: see [`Self::set`].
    pub fn begin(&self, account: &AccountId, state: State) {
        if !self.is_blocked(account) {
            self.set(account, state, Why::NOTHING);
        }
    }

    /// Notes that a part of what an account does has succeeded.
    pub fn go_on(&self, account: &AccountId, state: State) {
        if self.is_blocked(account) {
            self.set(account, state, Why::NOTHING);
        }
    }

    /// Notes why an account that starts has not yet done so.
    pub fn explain_start(&self, account: &AccountId, why: Why) {
        if let Some(entry) = self.lock().get_mut(account).filter(|entry| entry.state == State::Starting) {
            entry.why = why;
        }
    }

    fn is_blocked(&self, account: &AccountId) -> bool {
        self.lock().get(account).is_some_and(|entry| entry.state == State::Blocked)
    }

    /// Notes how far a stream has been read without a gap at its new end.
    pub fn note_progress(&self, account: &AccountId, stream: &'static str, frontier: Instant) {
        self.note(account, stream, |reading| reading.frontier = Some(frontier));
    }

    /// Notes that the live tier of a stream was read completely, up to `till`.
    pub fn note_live_read(&self, account: &AccountId, stream: &'static str, till: Instant) {
        let now = self.clock.now();
        self.note(account, stream, |reading| reading.live_read = Some((till, now)));
    }

    /// Notes how often the tiers of a stream are read, as the plan stands, and the points of a day that they take.
    pub fn note_plan(&self, account: &AccountId, stream: &'static str, tiers: Vec<TierStatus>, points_per_day: u64) {
        self.note(account, stream, |reading| {
            (reading.tiers, reading.points_per_day) = (tiers, Some(points_per_day));
        });
    }

    /// Notes what the API last said of points.
    pub fn note_points(&self, account: &AccountId, points: AccountPoints) {
        if let Some(entry) = self.lock().get_mut(account) {
            entry.points = Some(points);
        }
    }

    /// All accounts by name; ages are those at `now`.
    pub fn snapshot(&self, now: Instant) -> Vec<AccountStatus> {
        let mut accounts: Vec<AccountStatus> =
            self.lock().iter().map(|(account, entry)| entry.status(account, now)).collect();
        accounts.sort_unstable_by(|a, b| a.account.cmp(&b.account));
        accounts
    }

    /// One account by its name.
    pub fn find(&self, name: &str, now: Instant) -> Option<AccountStatus> {
        let account = AccountId::new(name);
        self.lock().get(&account).map(|entry| entry.status(&account, now))
    }

    /// Notes that the configuration was loaded, and runs.
    pub fn config_loaded(&self, at: Instant) {
        *self.lock_config() = ConfigStatus { loaded_at: Some(at), refused: None };
    }

    /// Notes that a new configuration was refused; the former one runs on.
    pub fn config_refused(&self, at: Instant, problems: Vec<String>) {
        self.lock_config().refused = Some(RefusedConfig { at, problems });
    }

    pub fn config(&self) -> ConfigStatus {
        self.lock_config().clone()
    }

    /// The customers of an agency that are on the board or elsewhere.
    pub fn customers_of(&self, agency: &AccountId) -> Vec<AccountId> {
        let is_one = |id: &&AccountId| id.is_customer_of(agency);
        let mut customers: Vec<AccountId> = self.lock().keys().filter(is_one).cloned().collect();
        customers.extend(self.lock_elsewhere().keys().filter(is_one).cloned());
        customers
    }

    pub fn any_blocked(&self) -> bool {
        self.lock().values().any(|entry| entry.state == State::Blocked)
    }

    fn set_at(&self, account: &AccountId, state: State, why: Why, at: Instant) -> bool {
        let (former, new_reason) = {
            let mut accounts = self.lock();
            let Some(entry) = accounts.get_mut(account) else { return false };
            let former = entry.state;
            let new_reason = entry.why.reason != why.reason;
            if former != state || new_reason {
                entry.since = at;
            }
            entry.state = state;
            entry.why = why.clone();
            (former, new_reason)
        };
        log_change(account, former, state, new_reason, &why);
        former != state
    }

    fn note(&self, account: &AccountId, stream: &'static str, change: impl FnOnce(&mut Reading)) {
        if let Some(entry) = self.lock().get_mut(account) {
            change(entry.streams.entry(stream).or_default());
        }
    }

    /// A panic elsewhere must not take the status away: every change leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Entry>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_elsewhere(&self) -> MutexGuard<'_, BTreeMap<AccountId, Service>> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_config(&self) -> MutexGuard<'_, ConfigStatus> {
        self.config.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn status(&self, account: &AccountId, now: Instant) -> AccountStatus {
        AccountStatus {
            account: account.clone(),
            service: self.service,
            status: self.state,
            since: self.since,
            reason: self.why.reason.clone(),
            remedy: self.why.remedy.clone(),
            streams: self.streams.iter().map(|(stream, reading)| self.stream(stream, reading, now)).collect(),
            cause: self.why.cause,
            points: self.points.as_ref().map(|points| points.at(now)),
        }
    }

    fn stream(&self, stream: &'static str, reading: &Reading, now: Instant) -> StreamStatus {
        let is_expected = !matches!(self.state, State::Blocked | State::Paused);
        let behind_plan = is_expected.then(|| reading.behind_plan(self.registered_at, now)).flatten();
        StreamStatus { behind_plan_seconds: behind_plan, ..reading.status(stream, now) }
    }
}

impl Reading {
    fn status(&self, stream: &'static str, now: Instant) -> StreamStatus {
        let age = |at: Instant| now.since(at).as_secs();
        StreamStatus {
            stream,
            frontier: self.frontier,
            frontier_lag_seconds: self.frontier.map(age),
            freshness_seconds: self.live_read.map(|(till, _)| age(till)),
            tiers: self.tiers.clone(),
            behind_plan_seconds: None,
            points_per_day: self.points_per_day,
        }
    }

    /// What was never read is expected from when the account was taken over.
    fn behind_plan(&self, registered_at: Instant, now: Instant) -> Option<u64> {
        let live = self.tiers.first()?;
        let read_at = self.live_read.map_or(registered_at, |(_, at)| at);
        Some(now.since(read_at).as_secs().saturating_sub(live.planned_seconds))
    }
}

/// A new reason is worth a line only while a person has to act on it: the reason of a limit names a new time each time.
fn log_change(account: &AccountId, former: State, state: State, new_reason: bool, why: &Why) {
    let (reason, remedy) = (why.reason.as_deref(), why.remedy.as_deref());
    let former_status = former.as_str();
    let is_new = former != state;
    match state {
        State::Blocked if is_new || new_reason => {
            let error_type = why.cause.map(Cause::as_str);
            tracing::warn!(name: events::ACCOUNT_BLOCKED, %account, error_type, reason, remedy, former_status, "account is blocked");
        }
        State::Backfilling if is_new => {
            tracing::info!(name: events::ACCOUNT_BACKFILLING, %account, former_status, "account reads what was never read");
        }
        State::Live if is_new => {
            tracing::info!(name: events::ACCOUNT_LIVE, %account, former_status, "account is live");
        }
        State::Limited if is_new => {
            tracing::info!(name: events::ACCOUNT_LIMITED, %account, reason, remedy, former_status, "account waits for points");
        }
        State::Paused if is_new => {
            tracing::info!(name: events::ACCOUNT_PAUSED, %account, reason, remedy, former_status, "account is paused");
        }
        // Whoever takes an account over tells of its partition.
        State::Starting | State::Blocked | State::Backfilling | State::Live | State::Limited | State::Paused => {}
    }
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn as_period<S: Serializer>(period: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&short(*period))
}

fn as_text_or_null<S: Serializer>(value: &Option<Instant>, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serializer.collect_str(value),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests;
