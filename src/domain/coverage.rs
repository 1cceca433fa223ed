//! Which start times have been read completely at least once, and what is missing.
//!
//! A set of disjoint intervals of instants between `origin`, before which nothing is read, and now. What is missing is
//! a gap, whatever the reason: a first start, a stop, a deactivated account, a back-fill that broke off.

use super::time::{Instant, Interval};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    origin: Instant,
    /// Ascending, disjoint, not touching.
    intervals: Vec<Interval>,
}

impl Coverage {
    pub const fn starting_at(origin: Instant) -> Self {
        Self { origin, intervals: Vec::new() }
    }

    /// Puts stored intervals back, in whatever order and overlap.
    pub fn restore(origin: Instant, intervals: impl IntoIterator<Item = Interval>) -> Self {
        let mut coverage = Self::starting_at(origin);
        intervals.into_iter().for_each(|interval| coverage.add(interval));
        coverage
    }

    /// The earliest start time that is read.
    pub const fn origin(&self) -> Instant {
        self.origin
    }

    /// Reads further back from now on; what lies between becomes a gap. Never forwards: nothing read is forgotten.
    pub fn extend_back_to(&mut self, origin: Instant) {
        self.origin = self.origin.min(origin);
    }

    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// The end of the newest interval: how far reading has come; the origin before anything is read.
    pub fn frontier(&self) -> Instant {
        self.intervals.last().map_or(self.origin, |newest| newest.till)
    }

    pub fn covers(&self, wanted: Interval) -> bool {
        self.intervals.iter().any(|known| known.from <= wanted.from && wanted.till <= known.till)
    }

    pub fn add(&mut self, added: Interval) {
        let before = self.intervals.partition_point(|known| known.till < added.from);
        let behind = self.intervals.partition_point(|known| known.from <= added.till);
        let joined = self.intervals[before..behind].iter().fold(added, |joined, known| Interval {
            from: joined.from.min(known.from),
            till: joined.till.max(known.till),
        });
        self.intervals.splice(before..behind, [joined]);
    }

    /// Nothing from `moment` on counts as read: a clock that was ahead had readings claim a time that was still to come.
    pub fn cut_after(&mut self, moment: Instant) {
        let kept = self.intervals.partition_point(|known| known.from < moment);
        self.intervals.truncate(kept);
        if let Some(newest) = self.intervals.last_mut() {
            newest.till = newest.till.min(moment);
        }
    }

    /// What is missing between the origin and `till`, oldest first.
    pub fn gaps(&self, till: Instant) -> Vec<Interval> {
        let mut gaps = Vec::new();
        let mut from = self.origin;
        for known in &self.intervals {
            gaps.extend(Interval::new(from, known.from.min(till)));
            from = from.max(known.till);
        }
        gaps.extend(Interval::new(from, till));
        gaps
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn interval(from: i64, till: i64) -> Interval {
        Interval::new(Instant::from_unix_seconds(from), Instant::from_unix_seconds(till)).unwrap()
    }

    fn seconds(intervals: &[Interval]) -> BTreeSet<i64> {
        intervals.iter().flat_map(|i| i.from.unix_seconds()..i.till.unix_seconds()).collect()
    }

    #[test]
    fn an_empty_coverage_is_one_gap() {
        let coverage = Coverage::starting_at(Instant::from_unix_seconds(10));
        assert_eq!(coverage.gaps(Instant::from_unix_seconds(20)), [interval(10, 20)]);
        assert!(coverage.gaps(Instant::from_unix_seconds(10)).is_empty());
        assert_eq!(coverage.frontier(), Instant::from_unix_seconds(10));
    }

    proptest! {
        #[test]
        fn coverage_and_gaps_are_the_whole_and_never_overlap(
            added in proptest::collection::vec((0_i64..60, 1_i64..20), 0..12),
            origin in 0_i64..30,
            till in 0_i64..90,
        ) {
            let mut coverage = Coverage::starting_at(Instant::from_unix_seconds(origin));
            let mut model = BTreeSet::new();
            for (from, length) in added {
                coverage.add(interval(from, from + length));
                model.extend(from..from + length);
            }
            prop_assert_eq!(seconds(coverage.intervals()), model.clone());
            prop_assert!(coverage.intervals().windows(2).all(|pair| pair[0].till < pair[1].from));
            let missing: BTreeSet<i64> = (origin..till).filter(|second| !model.contains(second)).collect();
            prop_assert_eq!(seconds(&coverage.gaps(Instant::from_unix_seconds(till))), missing);

            coverage.cut_after(Instant::from_unix_seconds(till));
            prop_assert_eq!(seconds(coverage.intervals()), model.into_iter().filter(|second| *second < till).collect());
            prop_assert!(coverage.intervals().iter().all(|known| known.from < known.till));
        }
    }
}
