//! How far one account's stream has come, and the only way to move it: with a proof from Kafka.
//!
//! A [`Step`] is what one page completes: coverage, clocks, buckets of the ledger. It travels with the records of the
//! page in one transaction, and [`Progress::apply`] takes it only together with the [`Acknowledged`] of that
//! transaction. So memory never runs ahead of Kafka, and a step that was lost is simply made again.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::call::AccountId;
use crate::domain::coverage::Coverage;
use crate::domain::ledger::{Bucket, Ledger};
use crate::domain::plan::{Clocks, Ladder};
use crate::domain::time::{Instant, Interval, LocalHour, LocalInterval};
use crate::edge::kafka::{Acknowledged, Record, partition_of};
use crate::state::{CoverageRecord, LARGEST_PIECE, StateError, StateKey, StatePart, Stored, pieces};

/// Kept beyond the horizon, so that a reading planned a moment ago finds its rows in the ledger.
const SLACK: Duration = Duration::from_hours(2);

/// Hours forgotten in one step: after a long pause there may be a thousand, and a step is to stay small.
const FORGOTTEN_AT_ONCE: usize = 100;

/// Where the state of an account is kept.
#[derive(Clone, Debug)]
pub struct StatePlace {
    pub topic: Arc<str>,
    pub partitions: i32,
}

/// How far one account's stream has come. What it holds is what Kafka has acknowledged.
#[derive(Debug)]
pub struct Progress {
    account: AccountId,
    stream: &'static str,
    sequence: u64,
    coverage: Coverage,
    floor: Instant,
    clocks: Clocks,
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
            ledger,
        }))
    }

    /// Takes over what the configuration may have changed since: an earlier start, other tiers.
    pub fn adopt(&mut self, origin: Option<Instant>, ladder: &Ladder, now: Instant) {
        if let Some(origin) = origin {
            let nothing_was_forgotten = self.floor == self.coverage.origin();
            self.coverage.extend_back_to(origin);
            if nothing_was_forgotten {
                self.floor = self.coverage.origin();
            }
        }
        self.clocks.start_missing(ladder, now);
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

    /// Hours that no reading will touch again: beyond the horizon, and read completely.
    pub fn forgettable(&self, ladder: &Ladder, zone: &TimeZone, now: Instant) -> Vec<LocalHour> {
        let oldest_needed = ladder.needed_from(&self.clocks, now) - SLACK;
        let is_past = |hour: &LocalHour| hour.end().to_instant(zone) <= oldest_needed;
        let past = self.ledger.hours().take_while(is_past);
        past.filter(|hour| self.is_covered(*hour, zone)).take(FORGOTTEN_AT_ONCE).collect()
    }

    fn is_covered(&self, hour: LocalHour, zone: &TimeZone) -> bool {
        let instants = LocalInterval { from: hour.start(), till: hour.end() }.to_instants(zone);
        instants.is_none_or(|instants| instants.till <= self.coverage.origin() || self.coverage.covers(instants))
    }

    /// The progress as it will be after `step`, and the state records that say so.
    pub fn prepare(&self, step: Step, ladder: &Ladder, zone: &TimeZone, place: &StatePlace) -> (Pending, Vec<Record>) {
        let mut coverage = self.coverage.clone();
        if let Some(covered) = step.covered {
            coverage.add(covered);
        }
        let mut clocks = self.clocks.clone();
        if let Some((age, at)) = step.tier_read {
            clocks.read(ladder, age, at);
        }
        let forgotten_till = step.forgotten.iter().map(|hour| hour.end().to_instant(zone)).max();
        let floor = self.floor.max(forgotten_till.unwrap_or(self.floor));
        let record = CoverageRecord { sequence: self.sequence + 1, coverage, floor, clocks };
        let pending =
            Pending { after: self.sequence, coverage: record, buckets: step.buckets, forgotten: step.forgotten };
        let records = self.state_records(&pending, place);
        (pending, records)
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
        Record {
            topic: place.topic.clone(),
            partition: Some(partition_of(self.account.as_str(), place.partitions)),
            key: Some(key.to_string().into_bytes()),
            value,
            headers: Vec::new(),
            timestamp_ms: None,
        }
    }

    /// Moves on. The proof is consumed: one acknowledgement moves one step.
    pub fn apply(&mut self, pending: Pending, _proof: Acknowledged) -> Result<(), OutOfOrder> {
        if pending.after != self.sequence {
            return Err(OutOfOrder { after: pending.after, sequence: self.sequence });
        }
        let CoverageRecord { sequence, coverage, floor, clocks } = pending.coverage;
        (self.sequence, self.coverage, self.floor, self.clocks) = (sequence, coverage, floor, clocks);
        self.ledger.apply(pending.buckets);
        self.ledger.forget(&pending.forgotten);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::call::RowId;
    use crate::domain::ledger::{ColumnSets, Entry, Parts, Prints};
    use crate::domain::plan::BackfillOrder;

    const HOUR: LocalHour = LocalHour::from_number(492_000);

    fn bucket(n_entries: i64) -> Bucket {
        let prints = Prints::from_hashes([Some(u64::MAX); 5]);
        let entry = Entry { prints, unknown: Parts::NONE, revision: 1, withdrawn: false, second: None };
        let entries = (0..n_entries).map(|n| (RowId(n), entry)).collect();
        Bucket { entries, ..Bucket::new(ColumnSets::OF_FORMAT_1) }
    }

    fn progress_with(bucket: &Bucket, ladder: &Ladder) -> Progress {
        let now = Instant::from_unix_seconds(1_772_435_731);
        let mut progress = Progress::begin(AccountId::new("acme"), "calls", now, ladder, now);
        progress.ledger.restore(HOUR, bucket);
        progress
    }

    /// The pieces that a step writes, and those that it removes.
    fn pieces_of(progress: &Progress, step: Step, ladder: &Ladder) -> (Vec<usize>, Vec<usize>) {
        let place = StatePlace { topic: "state".into(), partitions: 1 };
        let (_, records) = progress.prepare(step, ladder, &TimeZone::UTC, &place);
        let piece = |record: &Record| {
            let key = StateKey::parse(std::str::from_utf8(record.key.as_deref().unwrap()).unwrap()).unwrap();
            match key.part {
                StatePart::Ledger { hour: HOUR, piece } => Some((piece, record.value.is_some())),
                _ => None,
            }
        };
        let (written, removed): (Vec<_>, Vec<_>) =
            records.iter().filter_map(piece).partition(|(_, is_written)| *is_written);
        let numbers = |pieces: Vec<(usize, bool)>| pieces.into_iter().map(|(piece, _)| piece).collect();
        (numbers(written), numbers(removed))
    }

    #[test]
    fn no_piece_of_a_larger_bucket_stays_behind() {
        let ladder = Ladder { tiers: Vec::new(), backfill: BackfillOrder::Newest, adaptive: false };
        let large = progress_with(&bucket(60_000), &ladder);
        let becomes = |bucket| Step { buckets: vec![(HOUR, bucket)], ..Step::default() };
        let all: Vec<usize> = (0..large.n_stored_pieces(HOUR)).collect();
        assert!(all.len() > 1);
        assert_eq!(pieces_of(&large, becomes(bucket(60_000)), &ladder), (all.clone(), Vec::new()));
        assert_eq!(pieces_of(&large, becomes(bucket(7)), &ladder), (vec![0], all[1..].to_vec()));
        assert_eq!(pieces_of(&large, becomes(bucket(0)), &ladder), (Vec::new(), all.clone()));
        let forgotten = Step { forgotten: vec![HOUR], ..Step::default() };
        assert_eq!(pieces_of(&large, forgotten, &ladder), (Vec::new(), all));

        let small = progress_with(&bucket(7), &ladder);
        assert_eq!(pieces_of(&small, becomes(bucket(8)), &ladder), (vec![0], Vec::new()));
    }
}
