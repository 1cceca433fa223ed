//! `callfeed state rewind`: what was read from some moment on is read again.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::config::{Config, Timezone};
use crate::domain::call::AccountId;
use crate::domain::rewind::{Rewind, rewind};
use crate::domain::time::{Instant, Interval, LocalTime};
use crate::state::{CoverageRecord, StateKey, StatePart};

use super::seat::Seat;
use super::{AdminError, StateAdmin};

#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    #[error(
        "expected a moment such as `2026-03-02T10:00:00+03:00`, or a local time of the account such as `2026-03-02 10:00:00`, found `{0}`"
    )]
    BadTime(String),
    #[error(
        "in which time zone `{account}` is cannot be told from its state; give the moment with an offset, such as `2026-03-02T10:00:00+03:00`"
    )]
    NoZone { account: AccountId },
    #[error("nothing of `{account}` was read after {frontier}, so there is nothing to read again from {to} on")]
    NothingRead { account: AccountId, frontier: Instant, to: Instant },
    #[error(
        "calls of `{account}` that started from {} till {} would be published again, as CREATED with revision 1: which of them were published is known only from {floor} on; rewind to that, or, if consumers can take it, add `--republish`",
        first.from, first.till
    )]
    WouldRepublish { account: AccountId, first: Interval, floor: Instant },
}

/// A moment as it was typed: with its offset, or by the clock of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    At(Instant),
    Local(LocalTime),
}

impl Moment {
    pub fn parse(text: &str) -> Result<Self, RewindError> {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(Self::At(Instant::from_unix_seconds(timestamp.as_second())));
        }
        // As `start_from` is written.
        let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
        let civil = formats.iter().find_map(|format| DateTime::strptime(format, text).ok());
        let civil = civil.or_else(|| Date::strptime("%Y-%m-%d", text).ok().map(DateTime::from));
        let local = civil.map(|civil| Self::Local(LocalTime::from_civil(civil)));
        local.ok_or_else(|| RewindError::BadTime(text.to_owned()))
    }

    fn instant(self, zone: Option<&TimeZone>) -> Option<Instant> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Local(local) => zone.map(|zone| local.to_instant(zone)),
        }
    }
}

/// What was given up in one stream.
#[derive(Debug)]
pub struct Rewound {
    pub stream: String,
    pub to: Instant,
    pub what: Rewind,
}

/// Gives up what was read from a moment on, in every stream of the account.
pub async fn carry_out(
    admin: &StateAdmin<'_>,
    seat: &Seat,
    name: &str,
    to: Moment,
    may_republish: bool,
) -> Result<Vec<Rewound>, AdminError> {
    let stored = admin.stored(seat, name).await?;
    let (mut records, mut outcome) = (Vec::new(), Vec::new());
    for (key, value) in stored.iter().filter(|(key, _)| key.part == StatePart::Coverage) {
        let unreadable = |error| AdminError::Unreadable { account: key.account.clone(), error };
        let record = CoverageRecord::from_json(value).map_err(unreadable)?;
        let rewound = step(admin.config, key, &record, to, may_republish)?;
        let (coverage, floor) = (rewound.what.coverage.clone(), rewound.what.floor);
        let record = CoverageRecord { sequence: record.sequence + 1, coverage, floor, ..record };
        records.push(admin.place().record(key, Some(record.to_json())));
        outcome.push(rewound);
    }
    seat.publish(admin.place().partition_of(&AccountId::new(name)), records).await?;
    Ok(outcome)
}

fn step(
    config: &Config,
    key: &StateKey,
    record: &CoverageRecord,
    to: Moment,
    may_republish: bool,
) -> Result<Rewound, RewindError> {
    let account = key.account.clone();
    let zone = zone(config, &account, record);
    let Some(to) = to.instant(zone.as_ref()) else { return Err(RewindError::NoZone { account }) };
    let Some(what) = rewind(&record.coverage, record.floor, to) else {
        return Err(RewindError::NothingRead { account, frontier: record.coverage.frontier(), to });
    };
    match what.published_again.first() {
        Some(first) if !may_republish => Err(RewindError::WouldRepublish { account, first: *first, floor: what.floor }),
        _ => Ok(Rewound { stream: key.stream.clone(), to, what }),
    }
}

/// The zone of the account: the configured one, or that in which it was read last.
fn zone(config: &Config, account: &AccountId, record: &CoverageRecord) -> Option<TimeZone> {
    let configured = config.accounts.iter().find(|known| known.id == *account || account.is_customer_of(&known.id));
    if let Some(Timezone::Named(zone)) = configured.map(|known| &known.timezone) {
        return Some(zone.clone());
    }
    record.read_as.views().last().and_then(|view| TimeZone::get(&view.zone).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_its_offset_or_is_by_the_clock_of_the_account() {
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        let at = |text: &str| Moment::parse(text).map(|moment| moment.instant(Some(&moscow)).unwrap().to_string());
        for text in ["2026-03-02 10:00:00", "2026-03-02T10:00:00", "2026-03-02T10:00:00+03:00", "2026-03-02T07:00:00Z"]
        {
            assert_eq!(at(text).unwrap(), "2026-03-02T07:00:00Z", "{text}");
        }
        assert_eq!(at("2026-03-02").unwrap(), "2026-03-01T21:00:00Z");
        for text in ["yesterday", "2026-03-02 25:00:00", "7d", ""] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
        assert_eq!(Moment::parse("2026-03-02").unwrap().instant(None), None);
    }
}
