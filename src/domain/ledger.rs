//! What was published of each call, and what a new reading of it means.
//!
//! The ledger holds, for every row within the horizon that was published, the fingerprint of each part and the
//! revision. A row read again is compared with it: the answer is an event or silence. Rows lie in buckets by the hour
//! of their start. A bucket stays packed; a [`Draft`] opens the few that a page touches and leaves the ledger as it
//! is, so that nothing moves before Kafka has acknowledged.

mod packed;

use std::collections::{BTreeMap, BTreeSet};

use super::call::RowId;
use super::filter::LeftOut;
use super::time::{LocalHour, LocalTime};

pub use packed::{FORMAT, Packed, UnpackError};

/// What `changed` names. The order is that of the stored bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Tags,
    Sale,
    Rating,
    Records,
    Other,
}

impl Part {
    pub const ALL: [Part; 5] = [Self::Tags, Self::Sale, Self::Rating, Self::Records, Self::Other];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Sale => "sale",
            Self::Rating => "rating",
            Self::Records => "records",
            Self::Other => "other",
        }
    }
}

/// A set of parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Parts(u8);

impl Parts {
    pub const NONE: Parts = Parts(0);

    pub const fn with(self, part: Part) -> Self {
        Self(self.0 | 1 << part as u8)
    }

    pub const fn contains(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn names(self) -> Vec<&'static str> {
        Part::ALL.into_iter().filter(|part| self.contains(*part)).map(Part::as_str).collect()
    }
}

/// The fingerprint of each part of a row; zero stands for a part without content.
///
/// Forty bits are kept: with a million rows re-read a day, a change goes unnoticed about once in three thousand years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prints([u64; Part::ALL.len()]);

impl Prints {
    const BITS: u32 = 40;

    pub fn from_hashes(hashes: [Option<u64>; Part::ALL.len()]) -> Self {
        Self(hashes.map(|hash| hash.map_or(0, |hash| (hash >> (64 - Self::BITS)).max(1))))
    }

    pub const fn as_numbers(&self) -> &[u64; Part::ALL.len()] {
        &self.0
    }

    fn changed_since(&self, earlier: &Prints) -> Parts {
        let differing = Part::ALL.into_iter().filter(|part| self.0[*part as usize] != earlier.0[*part as usize]);
        differing.fold(Parts::NONE, Parts::with)
    }
}

/// What the ledger keeps of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub prints: Prints,
    pub revision: u32,
    pub withdrawn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    Created,
    Updated,
    Withdrawn,
}

impl EventType {
    pub const ALL: [EventType; 3] = [Self::Created, Self::Updated, Self::Withdrawn];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Updated => "UPDATED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }
}

/// What has to be published of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub event: EventType,
    pub revision: u32,
    pub changed: Parts,
}

/// What reading a row means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Publish(Change),
    /// Published before, and nothing changed since.
    Unchanged,
    /// The filters leave it out, and consumers do not have it.
    LeftOut(LeftOut),
}

/// Compares a row with what was published of it.
///
/// | published before | passes the filters | outcome |
/// |---|---|---|
/// | no | yes | CREATED, revision 1 |
/// | no, or withdrawn | no | left out |
/// | yes | yes | UPDATED when a part differs, else unchanged |
/// | yes | no | WITHDRAWN |
/// | withdrawn | yes | UPDATED |
pub fn diff(known: Option<&Entry>, prints: &Prints, verdict: Result<(), LeftOut>) -> Outcome {
    let Some(known) = known else {
        return match verdict {
            Ok(()) => Outcome::Publish(Change { event: EventType::Created, revision: 1, changed: Parts::NONE }),
            Err(why) => Outcome::LeftOut(why),
        };
    };
    let changed = prints.changed_since(&known.prints);
    let publish = |event| Outcome::Publish(Change { event, revision: known.revision + 1, changed });
    match (known.withdrawn, verdict) {
        (false, Ok(())) if changed.is_empty() => Outcome::Unchanged,
        (_, Ok(())) => publish(EventType::Updated),
        (false, Err(_)) => publish(EventType::Withdrawn),
        (true, Err(why)) => Outcome::LeftOut(why),
    }
}

/// One hour, opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    pub entries: BTreeMap<RowId, Entry>,
    /// Content hashes of rows that were set aside as dead letters while this was the present hour.
    pub dead: BTreeSet<u64>,
}

impl Bucket {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dead.is_empty()
    }

    /// Two buckets of half the size.
    pub fn halves(mut self) -> (Self, Self) {
        let middle = self.entries.keys().nth(self.entries.len() / 2).copied();
        let upper = middle.map(|id| self.entries.split_off(&id)).unwrap_or_default();
        (self, Self { entries: upper, dead: BTreeSet::new() })
    }

    /// Puts halves together again. Where both have a row, the later revision is true.
    pub fn join(&mut self, other: Bucket) {
        for (id, entry) in other.entries {
            match self.entries.get(&id) {
                Some(known) if known.revision >= entry.revision => {}
                _ => {
                    self.entries.insert(id, entry);
                }
            }
        }
        self.dead.extend(other.dead);
    }
}

/// The ledger of one account and stream.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    hours: BTreeMap<LocalHour, Packed>,
    dead: BTreeSet<u64>,
}

impl Ledger {
    /// Puts a stored bucket back.
    pub fn restore(&mut self, hour: LocalHour, bucket: &Bucket) {
        self.dead.extend(&bucket.dead);
        self.hours.insert(hour, Packed::pack(bucket));
    }

    /// An hour, opened.
    pub fn bucket(&self, hour: LocalHour) -> Bucket {
        self.hours.get(&hour).map(Packed::unpack).unwrap_or_default()
    }

    pub fn draft(&self) -> Draft<'_> {
        Draft { ledger: self, opened: BTreeMap::new() }
    }

    /// Number of hours held.
    pub fn hours(&self) -> impl DoubleEndedIterator<Item = LocalHour> {
        self.hours.keys().copied()
    }

    /// Bytes held by packed buckets.
    pub fn packed_bytes(&self) -> usize {
        self.hours.values().map(|packed| packed.as_bytes().len()).sum()
    }

    /// Takes over the buckets of an acknowledged step.
    pub fn apply(&mut self, buckets: Vec<(LocalHour, Bucket)>) {
        for (hour, bucket) in buckets {
            if bucket.is_empty() {
                self.hours.remove(&hour);
            } else {
                self.dead.extend(&bucket.dead);
                self.hours.insert(hour, Packed::pack(&bucket));
            }
        }
    }

    /// Forgets the hours that no reading will touch again.
    pub fn forget(&mut self, hours: &[LocalHour]) {
        for hour in hours {
            if let Some(bucket) = self.hours.remove(hour).map(|packed| packed.unpack()) {
                self.dead.retain(|hash| !bucket.dead.contains(hash));
            }
        }
    }
}

/// The ledger as it will be when the step in hand is acknowledged.
pub struct Draft<'l> {
    ledger: &'l Ledger,
    opened: BTreeMap<LocalHour, Opened>,
}

struct Opened {
    bucket: Bucket,
    touched: bool,
}

impl Draft<'_> {
    /// What reading this row means. Nothing is noted yet: its event may turn out to be impossible.
    pub fn compare(&mut self, id: RowId, start: LocalTime, prints: &Prints, verdict: Result<(), LeftOut>) -> Outcome {
        let home = self.home(id, start);
        diff(self.open(home).bucket.entries.get(&id), prints, verdict)
    }

    /// Notes that a change is published, so that the same row later in the page is no news.
    pub fn note(&mut self, id: RowId, start: LocalTime, prints: &Prints, change: Change) {
        let home = self.home(id, start);
        if home != start.hour() {
            let former = self.open(home);
            former.bucket.entries.remove(&id);
            former.touched = true;
        }
        let withdrawn = change.event == EventType::Withdrawn;
        let opened = self.open(start.hour());
        opened.bucket.entries.insert(id, Entry { prints: *prints, revision: change.revision, withdrawn });
        opened.touched = true;
    }

    /// The hour that holds the row: that of its start, or the one beside it when the start was corrected since.
    fn home(&mut self, id: RowId, start: LocalTime) -> LocalHour {
        let hour = start.hour();
        let nearby = [hour, LocalHour::from_number(hour.number() - 1), LocalHour::from_number(hour.number() + 1)];
        let holds = |hour: &LocalHour| self.open(*hour).bucket.entries.contains_key(&id);
        nearby.into_iter().find(holds).unwrap_or(hour)
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
        self.opened.entry(hour).or_insert_with(|| Opened { bucket: self.ledger.bucket(hour), touched: false })
    }
}

#[cfg(test)]
mod tests;
