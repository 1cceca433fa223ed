//! The re-reading ladder: which rows are read again how often, and when they were.

use std::collections::BTreeMap;
use std::time::Duration;

use super::experience::Experience;
use super::plan::{LONGEST_WINDOW, Purpose, Reading};
use super::time::Instant;

/// Clocks that differ by so little are not worth a reading.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// A rung is planned to fill this part of the pages it may take: some days have more calls than others, and a page more
/// would cost a point.
const FILLED: f64 = 0.75;

/// One step of the re-reading ladder: rows up to `age` old are re-read `every` so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tier {
    pub age: Duration,
    pub every: Duration,
}

/// Which end of what was never read comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BackfillOrder {
    #[default]
    Newest,
    Oldest,
}

/// The ladder of one account. Tiers ascend by age; the first is the live one, the last age is the horizon.
#[derive(Clone, Debug)]
pub struct Ladder {
    pub tiers: Vec<Tier>,
    pub backfill: BackfillOrder,
    pub adaptive: bool,
}

impl Ladder {
    pub fn horizon(&self) -> Duration {
        self.tiers.last().map_or(Duration::ZERO, |tier| tier.age)
    }

    /// The oldest start time that the largest tier has still to read.
    ///
    /// A row leaves the horizon when that tier has read it for the last time, not by the clock alone: when nothing was
    /// read for longer than the tier's interval, calls that were still going on when reading stopped were never seen,
    /// though what was read counts their start as covered.
    pub fn needed_from(&self, clocks: &Clocks, now: Instant) -> Instant {
        let Some(largest) = self.tiers.last() else { return now };
        let due = clocks.0.get(&largest.age).map_or(now, |last| *last + largest.every);
        now.min(due) - largest.age
    }

    /// Whether a reading is the live one.
    pub fn is_live(&self, reading: &Reading) -> bool {
        reading.purpose == Purpose::Tier { age: self.live_age() }
    }

    /// Whether a reading is the live one or takes its place: a larger one that costs no more points.
    pub fn stands_for_live(&self, reading: &Reading, experience: &Experience, page_size: u32) -> bool {
        let Some(live) = self.tiers.first() else { return false };
        let is_read = |tier: &Tier| reading.purpose == Purpose::Tier { age: tier.age };
        self.tiers.iter().any(|tier| is_read(tier) && experience.costs_no_more(tier, live, page_size))
    }

    /// The same with rungs that cost nothing: where a tier takes more points than the one below it, there is an age between
    /// them up to which the rows fit the pages of the smaller one. A tag put on yesterday's call need not wait for the
    /// reading of the whole month then. Only where readings may come earlier than promised: nobody was promised a rung.
    pub fn with_free_rungs(&self, experience: &Experience, page_size: u32) -> Self {
        let mut tiers: Vec<Tier> = Vec::with_capacity(self.tiers.len() + 1);
        for tier in &self.tiers {
            let rung = tiers.last().and_then(|below| free_rung(below, tier, experience, page_size));
            tiers.extend(rung.filter(|_| self.adaptive));
            tiers.push(*tier);
        }
        Self { tiers, ..self.clone() }
    }

    pub fn live_age(&self) -> Duration {
        self.tiers.first().map_or(Duration::ZERO, |tier| tier.age)
    }
}

/// Half of a tier, or a quarter, and so on, so that its age stays the same for long while the number of calls varies.
fn free_rung(below: &Tier, above: &Tier, experience: &Experience, page_size: u32) -> Option<Tier> {
    let pages = experience.pages(below, page_size);
    if experience.pages(above, page_size) <= pages {
        return None;
    }
    let room = f64::from(pages) * f64::from(page_size) * FILLED;
    let halves = std::iter::successors(Some(above.age.as_secs()), |age| Some(age / 2)).skip(1).map(Duration::from_secs);
    let between = halves.take_while(|age| *age > below.age).filter(|age| *age <= LONGEST_WINDOW);
    // Promised more often than its carrier it would be paid for.
    let every = above.every.max(below.every);
    let mut rungs = between.map(|age| Tier { age, every });
    rungs.find(|rung| experience.rows(rung) <= room && experience.pages(rung, page_size) <= pages)
}

/// When each tier was last read completely, by its age. Part of the state, so that a restart re-reads nothing early.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks(pub BTreeMap<Duration, Instant>);

impl Clocks {
    /// Notes a complete reading of a window as old as `age`: it served every smaller tier as well.
    pub fn read(&mut self, ladder: &Ladder, age: Duration, at: Instant) {
        for tier in ladder.tiers.iter().filter(|tier| tier.age <= age) {
            let clock = self.0.entry(tier.age).or_insert(at);
            *clock = at.max(*clock);
        }
        self.0.retain(|age, _| ladder.tiers.iter().any(|tier| tier.age == *age));
    }

    /// Makes tiers due whose clocks are later than now: the host's clock was ahead when they were read, and by how much is
    /// not known. One that was ahead by a minute is let be, so that a clock that is being adjusted costs nothing.
    pub fn cut_after(&mut self, ladder: &Ladder, now: Instant) {
        for tier in &ladder.tiers {
            let ahead = self.0.get(&tier.age).is_some_and(|clock| *clock > now + CLOCK_TOLERANCE);
            if ahead {
                self.0.insert(tier.age, now - tier.every);
            }
        }
    }

    /// Tiers that have no clock yet: their rows are new to us and belong to the back-fill, so they start waiting now.
    /// The live one does not wait.
    pub fn start_missing(&mut self, ladder: &Ladder, now: Instant) {
        for tier in ladder.tiers.iter().skip(1) {
            self.0.entry(tier.age).or_insert(now);
        }
    }
}

#[cfg(test)]
mod tests;
