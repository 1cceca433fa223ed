//! One hour of the ledger, opened.

use std::collections::{BTreeMap, BTreeSet};

use super::{ColumnSets, Parts, Prints};
use crate::domain::call::RowId;

/// What the ledger keeps of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub prints: Prints,
    /// Parts whose fingerprint was made of other columns than those of the bucket; in `prints` they are empty.
    pub unknown: Parts,
    pub revision: u32,
    pub withdrawn: bool,
    /// When in its hour the row starts. Format 1 did not keep it.
    pub second: Option<u16>,
}

/// One hour, opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What the fingerprints of all entries are made of.
    pub sets: ColumnSets,
    pub entries: BTreeMap<RowId, Entry>,
    /// Content hashes of rows that were set aside as dead letters while this was the present hour.
    pub dead: BTreeSet<u64>,
}

impl Bucket {
    pub const fn new(sets: ColumnSets) -> Self {
        Self { sets, entries: BTreeMap::new(), dead: BTreeSet::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dead.is_empty()
    }

    /// Goes over to other columns: fingerprints that were made otherwise are not known from here on.
    pub fn adopt(mut self, sets: ColumnSets) -> Self {
        let differing = self.sets.differing(&sets);
        if !differing.is_empty() {
            for entry in self.entries.values_mut() {
                entry.prints = entry.prints.with_parts_of(differing, &Prints::default());
                entry.unknown = entry.unknown.union(differing);
            }
            self.sets = sets;
        }
        self
    }

    /// Two buckets of half the size.
    pub fn halves(mut self) -> (Self, Self) {
        let middle = self.entries.keys().nth(self.entries.len() / 2).copied();
        let upper = middle.map(|id| self.entries.split_off(&id)).unwrap_or_default();
        let upper = Self { entries: upper, ..Self::new(self.sets) };
        (self, upper)
    }

    /// Puts halves together again. Where both have a row, the later revision is true.
    pub fn join(&mut self, other: Bucket) {
        let other = other.adopt(self.sets);
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
