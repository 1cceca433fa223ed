//! How far one account's stream has come, and the only way to move it: with a proof from Kafka.
//!
//! A [`Step`] is what one page completes: coverage, clocks, buckets of the ledger. It travels with the records of the
//! page in one transaction, and [`Progress::apply`] takes it only together with the [`Acknowledged`] of that
//! transaction. So memory never runs ahead of Kafka, and a step that was lost is simply made again.

use std::ops::Range;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::call::AccountId;
use crate::domain::coverage::Coverage;
use crate::domain::ladder::{Clocks, Ladder};
use crate::domain::ledger::{Bucket, Ledger};
use crate::domain::read_as::{ReadAs, View};
use crate::domain::rewind::{self, Rewind, RewindError};
use crate::domain::time::{Instant, Interval, LocalHour, LocalInterval};
use crate::edge::kafka::{Acknowledged, Record};
use crate::state::{CoverageRecord, LARGEST_PIECE, StateError, StateKey, StatePart, StatePlace, Stored, pieces};

/// Kept beyond the horizon, so that a reading planned a moment ago finds its rows in the ledger.
const SLACK: Duration = Duration::from_hours(2);

/// Hours forgotten in one step: after a long pause there may be a thousand, and a step is to stay small.
const FORGOTTEN_AT_ONCE: usize = 100;

/// How far one account's stream has come. What it holds is what Kafka has acknowledged.
#[derive(Debug)]
pub struct Progress {
    account: AccountId,
    stream: &'static str,
    sequence: u64,
    coverage: Coverage,
    floor: Instant,
    clocks: Clocks,
    read_as: ReadAs,
    ledger: Ledger,
}

/// What one page completes. Made from one state of the progress, and valid for that alone.
#[derive(Debug, Default)]
pub struct Step {
    pub covered: Option<Interval>,
    /// The tier of this age was read completely, as of this moment.
    pub tier_read: Option<(Duration, Instant)>,
    pub buckets: Vec<(LocalHour, Bucket)>,
    pub forgotten: Vec<LocalHour>,
}

impl Step {
    /// Whether the ledger is the same before and after.
    pub fn changes_no_row(&self) -> bool {
        self.buckets.is_empty() && self.forgotten.is_empty()
    }
}

/// A step with the progress it leads to.
#[derive(Debug)]
pub struct Pending {
    after: u64,
    coverage: CoverageRecord,
    buckets: Vec<(LocalHour, Bucket)>,
    forgotten: Vec<LocalHour>,
}

/// A step was applied to another state than the one it was made from.
#[derive(Debug, thiserror::Error)]
#[error("a step after {after} cannot follow {sequence}")]
pub struct OutOfOrder {
    after: u64,
    sequence: u64,
}

impl Progress {
    /// The progress of an account that has none.
    pub fn begin(account: AccountId, stream: &'static str, origin: Instant, ladder: &Ladder, now: Instant) -> Self {
        let mut clocks = Clocks::default();
        clocks.start_missing(ladder, now);
        Self {
            account,
            stream,
            sequence: 0,
            coverage: Coverage::starting_at(origin),
            floor: origin,
            clocks,
            read_as: ReadAs::default(),
            ledger: Ledger::default(),
        }
    }

    /// The progress that is stored; none when nothing is.
    pub fn restore(account: AccountId, stream: &'static str, stored: &Stored) -> Result<Option<Self>, StateError> {
        let Some(json) = &stored.coverage else { return Ok(None) };
        let record = CoverageRecord::from_json(json)?;
        let mut ledger = Ledger::default();
        for (hour, bucket) in stored.buckets()? {
            ledger.restore(hour, &bucket);
        }
        Ok(Some(Self {
            account,
            stream,
            sequence: record.sequence,
            coverage: record.coverage,
            floor: record.floor,
            clocks: record.clocks,
            read_as: record.read_as,
            ledger,
        }))
    }

    /// Takes over what the configuration may have changed since: an earlier start, other tiers. What a clock that was
    /// ahead has claimed of the time to come is given up.
    pub fn adopt(&mut self, origin: Option<Instant>, ladder: &Ladder, zone: &TimeZone, now: Instant) {
        if let Some(origin) = origin {
            let nothing_was_forgotten = self.floor == self.coverage.origin();
            self.coverage.extend_back_to(origin);
            if nothing_was_forgotten {
                self.floor = self.coverage.origin();
            }
        }
        self.clocks.start_missing(ladder, now);
        self.clocks.cut_after(ladder, now);
        if self.coverage.frontier() > now {
            self.coverage.cut_after(self.latest_known(zone, now));
        }
    }

    /// Up to here rows may have been read: it is now, or has been so late by what was published. The clock may also be
    /// behind for a while, and what was published must not be read as new for that.
    fn latest_known(&self, zone: &TimeZone, now: Instant) -> Instant {
        let newest = self.newest_hour().map(|hour| hour.ends_at(zone));
        now.max(self.floor).max(newest.unwrap_or(now))
    }

    /// The start of the newest call that was published, to the hour below.
    pub fn newest_start(&self, zone: &TimeZone) -> Option<Instant> {
        self.newest_hour().map(|hour| hour.start().to_instant(zone))
    }

    /// Hours without calls hold rows that were set aside then, whenever their calls were.
    fn newest_hour(&self) -> Option<LocalHour> {
        self.ledger
            .hours()
            .rev()
            .find(|hour| self.ledger.bucket(*hour).is_some_and(|bucket| !bucket.entries.is_empty()))
    }

    /// Rows are read so from now on. Tells whether the horizon was read otherwise, and is to be read again.
    pub fn look_as(&mut self, view: View) -> bool {
        self.read_as.turn_to(view)
    }

    pub fn horizon_is_stale(&self) -> bool {
        !self.read_as.is_through()
    }

    /// Another zone that rows of the horizon may have been read in last: the one that most of them were.
    pub fn former_zone(&self) -> Option<TimeZone> {
        self.read_as.former_zones().find_map(|name| TimeZone::get(name).ok())
    }

    /// Whether rows beyond the horizon may have been forgotten.
    pub fn has_forgotten(&self) -> bool {
        self.floor > self.coverage.origin()
    }

    pub fn account(&self) -> &AccountId {
        &self.account
    }

    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// The ledger is complete from here on; what lies before was forgotten.
    pub fn floor(&self) -> Instant {
        self.floor
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Hours that no reading will touch again: beyond the horizon, and read completely. None while the account's zone
    /// changes, as hours of two clocks lie among each other.
    pub fn forgettable(&self, ladder: &Ladder, zone: &TimeZone, now: Instant) -> Vec<LocalHour> {
        if self.read_as.former_zones().next().is_some() {
            return Vec::new();
        }
        let oldest_needed = ladder.needed_from(&self.clocks, now) - SLACK;
        let is_past = |hour: &LocalHour| hour.ends_at(zone) <= oldest_needed;
        let past = self.ledger.hours().take_while(is_past);
        past.filter(|hour| self.is_covered(*hour, zone)).take(FORGOTTEN_AT_ONCE).collect()
    }

    fn is_covered(&self, hour: LocalHour, zone: &TimeZone) -> bool {
        let instants = LocalInterval { from: hour.start(), till: hour.end() }.to_instants(zone);
        instants.is_none_or(|instants| instants.till <= self.coverage.origin() || self.coverage.covers(instants))
    }

    /// The progress as it will be after `step`, and the state records that say so. Nothing later than now counts as read.
    pub fn prepare(
        &self,
        step: Step,
        ladder: &Ladder,
        zone: &TimeZone,
        now: Instant,
        place: &StatePlace,
    ) -> (Pending, Vec<Record>) {
        let mut coverage = self.coverage.clone();
        if let Some(covered) = step.covered {
            coverage.add(covered);
        }
        let mut clocks = self.clocks.clone();
        let mut read_as = self.read_as.clone();
        if let Some((age, at)) = step.tier_read {
            clocks.read(ladder, age, at);
            if age >= ladder.horizon() {
                read_as.read_through();
            }
        }
        clocks.cut_after(ladder, now);
        if coverage.frontier() > now {
            coverage.cut_after(self.latest_known(zone, now));
        }
        let forgotten_till = step.forgotten.iter().map(|hour| hour.ends_at(zone)).max();
        let floor = self.floor.max(forgotten_till.unwrap_or(self.floor));
        let record = CoverageRecord { sequence: self.sequence + 1, coverage, floor, clocks, read_as };
        let pending =
            Pending { after: self.sequence, coverage: record, buckets: step.buckets, forgotten: step.forgotten };
        let records = self.state_records(&pending, place);
        (pending, records)
    }

    /// The progress without what was read from a moment on, so that it is read again, and the state record that says so.
    pub fn prepare_rewind(
        &self,
        to: rewind::Moment,
        zone: &TimeZone,
        may_republish: bool,
        place: &StatePlace,
    ) -> Result<(Pending, Vec<Record>, Rewind), RewindError> {
        let what = rewind::checked(&self.account, &self.coverage, self.floor, to, Some(zone), may_republish)?;
        let record = CoverageRecord {
            sequence: self.sequence + 1,
            coverage: what.coverage.clone(),
            floor: what.floor,
            clocks: self.clocks.clone(),
            read_as: self.read_as.clone(),
        };
        let pending = Pending { after: self.sequence, coverage: record, buckets: Vec::new(), forgotten: Vec::new() };
        let records = self.state_records(&pending, place);
        Ok((pending, records, what))
    }

    fn state_records(&self, pending: &Pending, place: &StatePlace) -> Vec<Record> {
        let mut records = vec![self.state_record(StatePart::Coverage, Some(pending.coverage.to_json()), place)];
        for (hour, bucket) in &pending.buckets {
            let pieces = if bucket.is_empty() { Vec::new() } else { pieces(bucket) };
            // A bucket that has become smaller leaves no piece of its former self behind.
            let left_over = pieces.len()..self.n_stored_pieces(*hour);
            records.extend(pieces.into_iter().enumerate().map(|(piece, packed)| {
                let part = StatePart::Ledger { hour: *hour, piece };
                self.state_record(part, Some(packed.as_bytes().to_vec()), place)
            }));
            records.extend(self.tombstones(*hour, left_over, place));
        }
        for hour in &pending.forgotten {
            records.extend(self.tombstones(*hour, 0..self.n_stored_pieces(*hour), place));
        }
        records
    }

    fn tombstones(&self, hour: LocalHour, pieces: Range<usize>, place: &StatePlace) -> impl Iterator<Item = Record> {
        pieces.map(move |piece| self.state_record(StatePart::Ledger { hour, piece }, None, place))
    }

    /// In how many pieces an hour lies in the state topic; rather more than less where another release wrote them.
    fn n_stored_pieces(&self, hour: LocalHour) -> usize {
        match self.ledger.packed(hour) {
            None => 0,
            Some(packed) if packed.as_bytes().len() <= LARGEST_PIECE => 1,
            Some(packed) => pieces(&packed.unpack()).len(),
        }
    }

    fn state_record(&self, part: StatePart, value: Option<Vec<u8>>, place: &StatePlace) -> Record {
        let key = StateKey { account: self.account.clone(), stream: self.stream.to_owned(), part };
        place.record(&key, value)
    }

    /// Moves on. The proof is consumed: one acknowledgement moves one step.
    pub fn apply(&mut self, pending: Pending, _proof: Acknowledged) -> Result<(), OutOfOrder> {
        if pending.after != self.sequence {
            return Err(OutOfOrder { after: pending.after, sequence: self.sequence });
        }
        let CoverageRecord { sequence, coverage, floor, clocks, read_as } = pending.coverage;
        (self.sequence, self.coverage, self.floor, self.clocks) = (sequence, coverage, floor, clocks);
        self.read_as = read_as;
        self.ledger.apply(pending.buckets);
        self.ledger.forget(&pending.forgotten);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
