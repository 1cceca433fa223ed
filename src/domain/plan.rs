//! What to read next, or how long to wait and why.
//!
//! A function of what was read, the clocks of the tiers, how often each is to be read with the points there are
//! ([`super::demand`]), the points left and now. The live tier comes first; a larger one takes its place when that
//! costs no more pages. Back-fill takes what they leave.

use std::collections::BTreeMap;
use std::time::Duration;

use super::coverage::Coverage;
use super::demand::Pace;
use super::embargo::live_from;
use super::experience::Experience;
use super::pace::{Budget, PointsWindow};
use super::time::{Instant, Interval};

/// The longest window that every statement of the documents allows (data-api, 4) is 89 days; a day is kept for the
/// widening of bounds and for clock changes.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(88 * 24);

/// While the back-fill waits for points it is asked for again after this.
const BACKFILL_AGAIN: Duration = Duration::from_mins(1);

/// Clocks that differ by so little are not worth a reading.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

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

    pub fn live_age(&self) -> Duration {
        self.tiers.first().map_or(Duration::ZERO, |tier| tier.age)
    }
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A re-reading of the rows up to `age` old.
    Tier { age: Duration },
    /// A first reading of what is missing.
    Backfill,
}

/// What to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub window: Interval,
    pub purpose: Purpose,
}

impl Reading {
    /// The windows to ask for, oldest first: the API takes only so long a one.
    pub fn windows(&self) -> impl Iterator<Item = Interval> + use<> {
        let till = self.window.till;
        std::iter::successors(Some(self.window.from), |from| Some(*from + LONGEST_WINDOW))
            .map_while(move |from| Interval::new(from, till.min(from + LONGEST_WINDOW)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Read(Reading),
    Wait { until: Instant, why: Why },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    NothingDue,
    /// The share of points for callfeed is used up.
    Points(PointsWindow),
}

/// What the plan looks at.
pub struct Situation<'a> {
    pub ladder: &'a Ladder,
    pub coverage: &'a Coverage,
    /// No reading reaches behind this except into gaps: the ledger was forgotten there.
    pub floor: Instant,
    pub clocks: &'a Clocks,
    /// The live tier was read then as well, and nothing was new. That is not stored.
    pub looked_at: Option<Instant>,
    /// Not all of the horizon was read in the zone and through the filters that the account has now.
    pub horizon_is_stale: bool,
    pub experience: &'a Experience,
    pub pace: &'a Pace,
    pub page_size: u32,
    pub budget: &'a Budget,
    /// Nothing is read later, so no points are kept for it.
    pub is_last: bool,
    /// Windows end here: now, unless the API serves rows only some time later.
    pub end: Instant,
    /// The start of the newest row seen.
    pub newest: Option<Instant>,
    pub now: Instant,
}

/// The next reading, or how long to wait.
pub fn next(situation: &Situation<'_>) -> Next {
    let reading = match due_tier(situation) {
        Some(reading) => reading,
        None => match backfill(situation) {
            Some(reading) if may_backfill(situation) => reading,
            missing => return Next::Wait { until: next_due(situation, missing.is_some()), why: Why::NothingDue },
        },
    };
    match situation.budget.wait(situation.now) {
        Some((until, window)) => Next::Wait { until, why: Why::Points(window) },
        None => Next::Read(reading),
    }
}

/// The live reading, when it is due while a larger one is under way: that goes on behind it. It takes its turn for a
/// point where there is none, or those that wait for one would always come first.
pub fn live_in_between(situation: &Situation<'_>, under_way: &Reading) -> Option<Reading> {
    let live = situation.ladder.tiers.first()?;
    let is_live = situation.ladder.is_live(under_way);
    if is_live || due_at(situation, live) > situation.now {
        return None;
    }
    tier_reading(situation, live)
}

/// When the live tier is to be read next.
pub fn live_due(situation: &Situation<'_>) -> Instant {
    situation.ladder.tiers.first().map_or(situation.now, |live| due_at(situation, live))
}

/// Whether anything was never read up to `end`, apart from what the live tier is there for.
pub fn is_backfilling(ladder: &Ladder, coverage: &Coverage, end: Instant) -> bool {
    !gaps(ladder, coverage, end).is_empty()
}

/// What was never read, oldest first. What the live tier is about to read is no gap.
fn gaps(ladder: &Ladder, coverage: &Coverage, end: Instant) -> Vec<Interval> {
    coverage.gaps(end - ladder.live_age())
}

/// The tier to read now. The live one comes first, unless a larger one has waited for a whole interval of its own:
/// where the API is so slow that the live tier is always due, the others would never be read.
fn due_tier(situation: &Situation<'_>) -> Option<Reading> {
    let now = situation.now;
    let due = situation.ladder.tiers.iter().filter(|tier| due_at(situation, tier) <= now);
    let urgent = due.min_by_key(|tier| due_at(situation, tier) + situation.pace.interval(tier))?;
    tier_reading(situation, largest_instead_of(situation, urgent))
}

/// The largest tier that can be read in place of a smaller one at no more points, and would be due before that is read
/// again.
fn largest_instead_of<'t>(situation: &'t Situation<'_>, tier: &'t Tier) -> &'t Tier {
    let next_chance = situation.now + situation.pace.interval(tier);
    let costs_no_more = |larger: &Tier| situation.experience.costs_no_more(larger, tier, situation.page_size);
    let takes_its_place = |larger: &&Tier| costs_no_more(larger) && due_at(situation, larger) < next_chance;
    let mut larger = situation.ladder.tiers.iter().filter(|larger| larger.age > tier.age);
    larger.rfind(takes_its_place).unwrap_or(tier)
}

fn tier_reading(situation: &Situation<'_>, tier: &Tier) -> Option<Reading> {
    let Situation { ladder, clocks, end, newest, now, .. } = *situation;
    let mut from = live_from(end, tier.age, newest, ladder.horizon().min(LONGEST_WINDOW));
    if tier.age == ladder.horizon() {
        from = from.min(ladder.needed_from(clocks, now));
    }
    let earliest = situation.floor.max(situation.coverage.origin());
    let window = Interval::new(earliest.max(from), end)?;
    Some(Reading { window, purpose: Purpose::Tier { age: tier.age } })
}

fn due_at(situation: &Situation<'_>, tier: &Tier) -> Instant {
    if situation.horizon_is_stale && tier.age == situation.ladder.horizon() {
        return situation.now;
    }
    let is_live = tier.age == situation.ladder.live_age();
    // A look that lies ahead was taken by a clock that was put back since.
    let looked_at = situation.looked_at.filter(|at| is_live && *at <= situation.now);
    match situation.clocks.0.get(&tier.age).copied().max(looked_at) {
        None => situation.now,
        Some(last) => last + situation.pace.interval(tier),
    }
}

fn next_due(situation: &Situation<'_>, is_backfilling: bool) -> Instant {
    let due = situation.ladder.tiers.iter().map(|tier| due_at(situation, tier)).min().unwrap_or(situation.now);
    let until = if is_backfilling { due.min(situation.now + BACKFILL_AGAIN) } else { due };
    until.max(situation.now + Duration::from_secs(1))
}

fn may_backfill(situation: &Situation<'_>) -> bool {
    situation.is_last || situation.budget.has_spare(situation.pace.promised_points(), situation.now)
}

/// The part of the oldest or newest gap to read now.
fn backfill(situation: &Situation<'_>) -> Option<Reading> {
    let gaps = gaps(situation.ladder, situation.coverage, situation.end);
    let chunk = situation.experience.chunk();
    let window = match situation.ladder.backfill {
        BackfillOrder::Newest => {
            gaps.last().map(|gap| Interval { from: gap.from.max(gap.till - chunk), till: gap.till })
        }
        BackfillOrder::Oldest => {
            gaps.first().map(|gap| Interval { from: gap.from, till: gap.till.min(gap.from + chunk) })
        }
    }?;
    Some(Reading { window, purpose: Purpose::Backfill })
}

#[cfg(test)]
mod tests;
