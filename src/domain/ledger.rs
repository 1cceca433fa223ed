//! What was published of each call, and what a new reading of it means.
//!
//! The ledger holds, for every row within the horizon that was published, the fingerprint of each part and the
//! revision. A row read again is compared with it: the answer is an event or silence. Rows lie in buckets by the hour
//! of their start. A bucket stays packed; a [`Draft`] opens the few that a page touches and leaves the ledger as it
//! is, so that nothing moves before Kafka has acknowledged.
//!
//! Fingerprints are compared only where both were made of the same columns in the same way ([`ColumnSets`]). What was
//! made otherwise, by an earlier release or before columns were ignored, is not known: it is no news, and the entry
//! takes the present fingerprint when its row is read next.

mod bucket;
mod draft;
mod packed;
mod roll_call;

use std::collections::{BTreeMap, BTreeSet};

use super::filter::LeftOut;
use super::time::LocalHour;

pub use bucket::{Bucket, Entry};
pub use draft::{Draft, Gone, Sighting};
pub use packed::{FORMAT, Packed, UnpackError};
pub use roll_call::RollCall;

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

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        parts.into_iter().fold(Self::NONE, Self::with)
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

    pub const fn union(self, others: Parts) -> Self {
        Self(self.0 | others.0)
    }

    pub const fn contains(self, part: Part) -> bool {
        self.0 & (1 << part as u8) != 0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn iter(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |part| self.contains(*part))
    }

    pub fn names(self) -> Vec<&'static str> {
        self.iter().map(Part::as_str).collect()
    }
}

/// What the fingerprint of each part is made of: a short hash of the names of its columns and of how they are digested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnSets([u32; Part::ALL.len()]);

impl ColumnSets {
    /// What release 0.1.0 made its fingerprints of; its buckets, of format 1, do not say so.
    pub const OF_FORMAT_1: ColumnSets = ColumnSets([0x15ed_a12b, 0xa157_d8ea, 0x9722_1ce7, 0x066f_6f5e, 0xe138_878e]);

    pub const fn of_hashes(hashes: [u32; Part::ALL.len()]) -> Self {
        Self(hashes)
    }

    fn differing(&self, other: &ColumnSets) -> Parts {
        Part::ALL.into_iter().filter(|part| self.0[*part as usize] != other.0[*part as usize]).collect()
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

    /// The parts that are known of the entry, and differ from it.
    fn changed_since(&self, earlier: &Entry) -> Parts {
        let differs = |part: &Part| self.0[*part as usize] != earlier.prints.0[*part as usize];
        Part::ALL.into_iter().filter(|part| !earlier.unknown.contains(*part)).filter(differs).collect()
    }

    /// These fingerprints, with those of `parts` taken from another row.
    fn with_parts_of(mut self, parts: Parts, other: &Prints) -> Self {
        parts.iter().for_each(|part| self.0[part as usize] = other.0[part as usize]);
        self
    }
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
    let changed = prints.changed_since(known);
    let publish = |event| Outcome::Publish(Change { event, revision: known.revision + 1, changed });
    match (known.withdrawn, verdict) {
        (false, Ok(())) if changed.is_empty() => Outcome::Unchanged,
        (_, Ok(())) => publish(EventType::Updated),
        (false, Err(_)) => publish(EventType::Withdrawn),
        (true, Err(why)) => Outcome::LeftOut(why),
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
    pub fn bucket(&self, hour: LocalHour) -> Option<Bucket> {
        self.hours.get(&hour).map(Packed::unpack)
    }

    pub fn packed(&self, hour: LocalHour) -> Option<&Packed> {
        self.hours.get(&hour)
    }

    /// Begins a step in which fingerprints are made of these columns.
    pub fn draft(&self, sets: ColumnSets) -> Draft<'_> {
        Draft::new(self, sets)
    }

    /// Number of hours held.
    pub fn hours(&self) -> impl DoubleEndedIterator<Item = LocalHour> {
        self.hours.keys().copied()
    }

    /// The hours held from `first` to `last`.
    fn hours_between(&self, first: LocalHour, last: LocalHour) -> impl Iterator<Item = LocalHour> {
        self.hours.range(first..=last).map(|(hour, _)| *hour)
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

#[cfg(test)]
mod tests;
