//! Which published rows a reading of a window did not find.
//!
//! Rows come in the order of their start, so behind each page every entry of the ledger that starts before the next
//! one is looked for among the rows seen. An entry is looked for once, at that moment: what another reading publishes
//! behind it meanwhile is not missed. Only when [`Completeness`] is proved does a missing row count.
//!
//! Entries of format 1 do not tell the second they start in, and are not looked for: they learn it when their row is
//! read next. A row that was gone by then stays as it was published.

use std::collections::BTreeMap;

use super::{Bucket, Ledger};
use crate::domain::call::RowId;
use crate::domain::complete::{Completeness, PageSeen};
use crate::domain::paging::{Advance, PageRequest};
use crate::domain::time::{LocalHour, LocalInterval, LocalTime};

/// A start may have been corrected by less without the row being another one to the ledger, which looks in the hour and
/// those beside it. Such a row is found beside its place, and of a place near the edge of the window perhaps outside.
const NEIGHBOURHOOD: i64 = 2 * 3600;

/// Rows missed in one reading, so that a step stays small when everything is gone; the next reading misses the others.
const AT_ONCE: usize = 10_000;

#[derive(Debug)]
pub struct RollCall {
    /// The starts that are called: the window, less the neighbourhood of its edges.
    called: LocalInterval,
    /// Everything before was called.
    position: LocalTime,
    completeness: Completeness,
    /// Rows seen in the neighbourhood of the position and behind it.
    present: BTreeMap<RowId, LocalTime>,
    missing: BTreeMap<RowId, LocalTime>,
}

impl RollCall {
    /// None for a window that has only edges.
    pub fn of(window: LocalInterval) -> Option<Self> {
        let called = LocalInterval {
            from: window.from.plus_seconds(NEIGHBOURHOOD),
            till: window.till.plus_seconds(-NEIGHBOURHOOD),
        };
        (called.from < called.till).then(|| Self {
            called,
            position: called.from,
            completeness: Completeness::of(window),
            present: BTreeMap::new(),
            missing: BTreeMap::new(),
        })
    }

    /// Takes a page in, and calls what lies before the next one. `ledger` is what the page was compared with.
    pub fn take(&mut self, request: &PageRequest, page: &PageSeen, advance: Advance, ledger: &Ledger) {
        self.completeness.take(request, page);
        if !self.completeness.is_possible() {
            self.present.clear();
            self.missing.clear();
            return;
        }
        for (id, start) in &page.rows {
            self.missing.remove(id);
            self.present.insert(*id, *start);
        }
        self.call_before(advance, ledger);
    }

    fn call_before(&mut self, advance: Advance, ledger: &Ledger) {
        let reached = match advance {
            Advance::More { read_before } => read_before.min(self.called.till),
            Advance::Done => self.called.till,
        };
        if reached <= self.position {
            return;
        }
        for hour in ledger.hours_between(self.position.hour(), reached.plus_seconds(-1).hour()) {
            let called = LocalInterval { from: self.position, till: reached };
            let published = ledger.bucket(hour).into_iter().flat_map(|bucket| published(hour, bucket));
            let absent = published.filter(|(id, start)| called.contains(*start) && !self.present.contains_key(id));
            self.missing.extend(absent.take(AT_ONCE.saturating_sub(self.missing.len())));
        }
        self.position = reached;
        self.present.retain(|_, start| *start >= reached.plus_seconds(-NEIGHBOURHOOD));
    }

    /// The rows that are missing, by their start as it was published, after the last page of the window; none unless
    /// the window was read whole.
    pub fn missing(self) -> BTreeMap<RowId, LocalTime> {
        if self.completeness.is_proved() { self.missing } else { BTreeMap::new() }
    }
}

/// The rows of an hour that consumers have, with their starts where these are known.
fn published(hour: LocalHour, bucket: Bucket) -> impl Iterator<Item = (RowId, LocalTime)> {
    let entries = bucket.entries.into_iter().filter(|(_, entry)| !entry.withdrawn);
    entries.filter_map(move |(id, entry)| Some((id, hour.start().plus_seconds(i64::from(entry.second?)))))
}
