//! What is stored of an account, in figures.

use crate::domain::call::AccountId;
use crate::domain::ledger::Bucket;
use crate::domain::time::LocalHour;
use crate::state::{CoverageRecord, PausedRecord, StateError, Stored};

use super::Known;

/// One stream of one account.
#[derive(Debug)]
pub struct AccountState {
    pub account: AccountId,
    pub stream: String,
    pub partition: i32,
    pub known: Known,
    /// Of all values together.
    pub bytes: usize,
    pub content: Result<Progress, StateError>,
}

/// How far reading has come, and what the ledger holds.
#[derive(Debug)]
pub struct Progress {
    pub paused: Option<PausedRecord>,
    /// None when only a ledger is there, without which nothing can be done.
    pub coverage: Option<CoverageRecord>,
    pub ledger: LedgerFigures,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFigures {
    pub calls: usize,
    /// Of them, those that consumers were told to drop.
    pub withdrawn: usize,
    pub highest_revision: u32,
    pub set_aside: usize,
    pub hours: usize,
    pub first_hour: Option<LocalHour>,
    pub last_hour: Option<LocalHour>,
    pub bytes: usize,
}

impl AccountState {
    pub fn of(account: AccountId, stream: String, partition: i32, known: Known, stored: &Stored) -> Self {
        let coverage_bytes = stored.coverage.as_ref().map_or(0, Vec::len);
        let bytes = coverage_bytes + ledger_bytes(stored);
        Self { account, stream, partition, known, bytes, content: Progress::of(stored) }
    }
}

impl Progress {
    fn of(stored: &Stored) -> Result<Self, StateError> {
        let coverage = stored.coverage.as_deref().map(CoverageRecord::from_json).transpose()?;
        let mut ledger = LedgerFigures { bytes: ledger_bytes(stored), ..LedgerFigures::default() };
        for (hour, bucket) in stored.buckets()? {
            ledger.add(hour, &bucket);
        }
        let paused = stored.paused.as_deref().map(PausedRecord::from_json).transpose()?;
        Ok(Self { paused, coverage, ledger })
    }
}

fn ledger_bytes(stored: &Stored) -> usize {
    stored.ledger.iter().map(|(_, value)| value.len()).sum()
}

impl LedgerFigures {
    /// Hours come in their order.
    fn add(&mut self, hour: LocalHour, bucket: &Bucket) {
        self.hours += 1;
        self.first_hour.get_or_insert(hour);
        self.last_hour = Some(hour);
        self.calls += bucket.entries.len();
        self.withdrawn += bucket.entries.values().filter(|entry| entry.withdrawn).count();
        let highest = bucket.entries.values().map(|entry| entry.revision).max();
        self.highest_revision = self.highest_revision.max(highest.unwrap_or(0));
        self.set_aside += bucket.dead.len();
    }
}
