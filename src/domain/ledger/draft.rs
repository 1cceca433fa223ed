//! The ledger as it will be when the step in hand is acknowledged.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Bucket, Change, ColumnSets, Entry, EventType, Ledger, Outcome, Parts, Prints, diff};
use crate::domain::call::RowId;
use crate::domain::filter::LeftOut;
use crate::domain::time::{LocalHour, LocalTime};

/// A row as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    pub id: RowId,
    pub start: LocalTime,
    /// What the account's former zone made of the same moment: there the row may still lie.
    pub former_start: Option<LocalTime>,
    pub prints: Prints,
}

/// A published row that the API no longer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    pub id: RowId,
    pub start: LocalTime,
    pub change: Change,
}

/// The clocks of no two zones are further apart, in hours.
const FURTHEST_ZONES: i64 = 26;

pub struct Draft<'l> {
    ledger: &'l Ledger,
    sets: ColumnSets,
    opened: BTreeMap<LocalHour, Opened>,
    far: Far,
}

/// Where rows lie: those of this step, and those of hours that were looked through for a row that seems new.
#[derive(Default)]
struct Far {
    looked_through: BTreeSet<LocalHour>,
    homes: HashMap<RowId, LocalHour>,
}

struct Opened {
    bucket: Bucket,
    touched: bool,
}

impl<'l> Draft<'l> {
    pub(super) fn new(ledger: &'l Ledger, sets: ColumnSets) -> Self {
        Self { ledger, sets, opened: BTreeMap::new(), far: Far::default() }
    }

    /// Goes on where another draft of the same step finished.
    pub fn after(mut self, buckets: Vec<(LocalHour, Bucket)>) -> Self {
        let opened = buckets.into_iter().map(|(hour, bucket)| (hour, Opened { bucket, touched: true }));
        self.opened.extend(opened);
        self
    }

    /// What reading this row means. A change is not noted yet: its event may turn out to be impossible. Without one,
    /// the entry takes the fingerprints and the place that it lacks.
    pub fn compare(&mut self, row: &Sighting, verdict: Result<(), LeftOut>) -> Outcome {
        let mut home = self.home(row);
        let mut known = self.open(home).bucket.entries.get(&row.id).copied();
        if known.is_none() && verdict.is_ok() {
            known = self.fetch_from_afar(row);
            home = row.start.hour();
        }
        let outcome = diff(known.as_ref(), &row.prints, verdict);
        if let (Some(known), Outcome::Unchanged | Outcome::LeftOut(_)) = (known, outcome) {
            let prints = known.prints.with_parts_of(known.unknown, &row.prints);
            let settled = Entry { prints, unknown: Parts::NONE, second: Some(second_of(row.start)), ..known };
            if settled != known || home != row.start.hour() {
                self.put(home, row.start.hour(), row.id, settled);
            }
        }
        outcome
    }

    /// Notes that a change is published, so that the same row later in the page is no news.
    pub fn note(&mut self, row: &Sighting, change: Change) {
        let entry = Entry {
            prints: row.prints,
            unknown: Parts::NONE,
            revision: change.revision,
            withdrawn: change.event == EventType::Withdrawn,
            second: Some(second_of(row.start)),
        };
        let home = self.home(row);
        self.put(home, row.start.hour(), row.id, entry);
    }

    fn put(&mut self, former: LocalHour, hour: LocalHour, id: RowId, entry: Entry) {
        if former != hour {
            let former = self.open(former);
            former.touched |= former.bucket.entries.remove(&id).is_some();
        }
        let opened = self.open(hour);
        opened.bucket.entries.insert(id, entry);
        opened.touched = true;
        // It may come once more in this step, far away.
        self.far.homes.insert(id, hour);
    }

    /// The hour that holds the row: that of its start, or one nearby when the start was corrected since, or the same
    /// around the hour that the former zone gave it.
    fn home(&mut self, row: &Sighting) -> LocalHour {
        let holds = |hour: &LocalHour| self.open(*hour).bucket.entries.contains_key(&row.id);
        let starts = [Some(row.start), row.former_start];
        let mut nearby = starts.into_iter().flatten().flat_map(|start| around(start.hour()));
        nearby.find(holds).unwrap_or(row.start.hour())
    }

    /// The entry of a row that would be published as new although it was published with another start, up to a
    /// change of zone away: nobody tells when the clock of an account is set to another zone. It is moved to the new
    /// hour.
    fn fetch_from_afar(&mut self, row: &Sighting) -> Option<Entry> {
        let hour = row.start.hour().number();
        let (first, last) = (hour - FURTHEST_ZONES, hour + FURTHEST_ZONES);
        let hours = self.ledger.hours_between(LocalHour::from_number(first), LocalHour::from_number(last));
        for hour in hours.filter(|hour| self.far.looked_through.insert(*hour)) {
            let entries = self.ledger.bucket(hour).map(|bucket| bucket.entries).unwrap_or_default();
            // What this step has moved lies where it was put.
            entries.into_keys().for_each(|id| {
                self.far.homes.entry(id).or_insert(hour);
            });
        }
        let former = *self.far.homes.get(&row.id)?;
        let entry = self.open(former).bucket.entries.get(&row.id).copied()?;
        self.put(former, row.start.hour(), row.id, entry);
        Some(entry)
    }

    /// Which of the missing rows are gone: those published and not withdrawn. One that another hour holds had its start
    /// corrected by hours; it lies there as another row, and its former entry is dropped.
    pub fn gone(&mut self, missing: &BTreeMap<RowId, LocalTime>) -> Vec<Gone> {
        let elsewhere = self.held_elsewhere(missing);
        let mut gone = Vec::new();
        for (id, start) in missing {
            let opened = self.open(start.hour());
            if elsewhere.contains(id) {
                opened.touched |= opened.bucket.entries.remove(id).is_some();
            } else if let Some(entry) = opened.bucket.entries.get(id).filter(|entry| !entry.withdrawn) {
                let (event, revision) = (EventType::Withdrawn, entry.revision + 1);
                gone.push(Gone { id: *id, start: *start, change: Change { event, revision, changed: Parts::NONE } });
            }
        }
        gone
    }

    /// Those of the missing rows that consumers have by another hour. Every hour is looked through, but only when rows
    /// are missing, and without opening it for the step.
    fn held_elsewhere(&self, missing: &BTreeMap<RowId, LocalTime>) -> BTreeSet<RowId> {
        if missing.is_empty() {
            return BTreeSet::new();
        }
        let published_in = |hour: LocalHour| {
            let opened = self.opened.get(&hour).map(|opened| opened.bucket.clone());
            let entries = opened.or_else(|| self.ledger.bucket(hour)).map(|bucket| bucket.entries);
            entries.into_iter().flatten().filter(|(_, entry)| !entry.withdrawn).map(move |(id, _)| (id, hour))
        };
        let hours: BTreeSet<LocalHour> = self.ledger.hours().chain(self.opened.keys().copied()).collect();
        let is_elsewhere = |(id, hour): &(RowId, LocalHour)| missing.get(id).is_some_and(|start| start.hour() != *hour);
        hours.into_iter().flat_map(published_in).filter(is_elsewhere).map(|(id, _)| id).collect()
    }

    /// Notes that a row is withdrawn because it is gone. Its fingerprints stay: should it come back, they tell what
    /// has changed.
    pub fn note_gone(&mut self, gone: &Gone) {
        let opened = self.open(gone.start.hour());
        if let Some(entry) = opened.bucket.entries.get_mut(&gone.id) {
            (entry.revision, entry.withdrawn) = (gone.change.revision, true);
            opened.touched = true;
        }
    }

    /// Notes a row set aside by the hash of its content; false when it was set aside before.
    pub fn set_aside(&mut self, content: u64, now: LocalTime) -> bool {
        let known = self.ledger.dead.contains(&content)
            || self.opened.values().any(|opened| opened.bucket.dead.contains(&content));
        if !known {
            let opened = self.open(now.hour());
            opened.bucket.dead.insert(content);
            opened.touched = true;
        }
        !known
    }

    /// The buckets that differ from the ledger's.
    pub fn finish(self) -> Vec<(LocalHour, Bucket)> {
        self.opened
            .into_iter()
            .filter(|(_, opened)| opened.touched)
            .map(|(hour, opened)| (hour, opened.bucket))
            .collect()
    }

    fn open(&mut self, hour: LocalHour) -> &mut Opened {
        self.opened.entry(hour).or_insert_with(|| {
            let bucket = self.ledger.bucket(hour).map(|bucket| bucket.adopt(self.sets));
            Opened { bucket: bucket.unwrap_or(Bucket::new(self.sets)), touched: false }
        })
    }
}

/// An hour and the two beside it.
fn around(hour: LocalHour) -> [LocalHour; 3] {
    [hour, LocalHour::from_number(hour.number() - 1), LocalHour::from_number(hour.number() + 1)]
}

/// When in its hour a row starts.
fn second_of(start: LocalTime) -> u16 {
    // Below 3600.
    start.seconds_since(start.hour().start()) as u16
}
