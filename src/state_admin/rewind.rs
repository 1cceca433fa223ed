//! `callfeed state rewind`: what was read from some moment on is read again.

use jiff::tz::TimeZone;

use crate::config::{Config, Timezone};
use crate::domain::call::AccountId;
use crate::domain::rewind::{self, Moment, Rewind, RewindError};
use crate::state::{CoverageRecord, StateKey, StatePart};

use super::seat::Seat;
use super::{AdminError, StateAdmin};

/// What was given up in one stream.
#[derive(Debug)]
pub struct Rewound {
    pub stream: String,
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
    let zone = zone(config, &key.account, record);
    let what = rewind::checked(&key.account, &record.coverage, record.floor, to, zone.as_ref(), may_republish)?;
    Ok(Rewound { stream: key.stream.clone(), what })
}

/// The zone of the account: the configured one, or that in which it was read last.
fn zone(config: &Config, account: &AccountId, record: &CoverageRecord) -> Option<TimeZone> {
    let configured = config.accounts.iter().find(|known| known.id == *account || account.is_customer_of(&known.id));
    if let Some(Timezone::Named(zone)) = configured.map(|known| &known.timezone) {
        return Some(zone.clone());
    }
    record.read_as.views().last().and_then(|view| TimeZone::get(&view.zone).ok())
}
