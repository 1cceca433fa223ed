//! What to read next, or how long to wait and why.
//!
//! A function of what was read, the clocks of the tiers, the points left and now. The live tier comes first; a larger
//! tier that is due takes its place when that costs no more pages. Back-fill takes what they leave. Spending points by
//! a plan for the whole day is to grow here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::coverage::Coverage;
use super::pace::{Budget, PointsWindow};
use super::time::{Instant, Interval};

/// The longest window that every statement of the documents allows (data-api, 4) is 89 days; a day is kept for the
/// widening of bounds and for clock changes.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(88 * 24);

const SHORTEST_CHUNK: Duration = Duration::from_hours(1);
const FIRST_CHUNK: Duration = Duration::from_hours(24);

/// A chunk of back-fill aims at no more pages than this, so that a newer one can come between.
const PAGES_PER_CHUNK: u32 = 4;

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

    fn live_age(&self) -> Duration {
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

    /// Tiers that have no clock yet: their rows are new to us and belong to the back-fill, so they start waiting now.
    /// The live one does not wait.
    pub fn start_missing(&mut self, ladder: &Ladder, now: Instant) {
        for tier in ladder.tiers.iter().skip(1) {
            self.0.entry(tier.age).or_insert(now);
        }
    }
}

/// What earlier readings have taught. Lost with the process, and soon learnt again.
#[derive(Clone, Debug)]
pub struct Experience {
    /// Pages that the last reading of a tier took, by its age.
    pages: BTreeMap<Duration, u32>,
    /// Readings of a tier in a row that brought news, by its age.
    busy: BTreeMap<Duration, u32>,
    chunk: Duration,
}

impl Default for Experience {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), busy: BTreeMap::new(), chunk: FIRST_CHUNK }
    }
}

impl Experience {
    /// Notes what a complete reading cost and whether it brought news.
    pub fn note(&mut self, reading: &Reading, n_pages: u32, brought_news: bool) {
        match reading.purpose {
            Purpose::Tier { age } => {
                self.pages.insert(age, n_pages);
                let busy = self.busy.entry(age).or_insert(0);
                *busy = if brought_news { *busy + 1 } else { 0 };
            }
            Purpose::Backfill => self.chunk = next_chunk(self.chunk, n_pages),
        }
    }

    fn pages(&self, tier: &Tier) -> Option<u32> {
        self.pages.get(&tier.age).copied()
    }

    /// Half the interval when the last reading brought news, a quarter when the last three did.
    fn hurry(&self, tier: &Tier) -> u32 {
        match self.busy.get(&tier.age) {
            None | Some(0) => 1,
            Some(1 | 2) => 2,
            Some(_) => 4,
        }
    }
}

/// Chunks grow while they are nearly empty and shrink when they are full, so that a quiet year costs few points and
/// a busy day does not keep newer calls waiting.
fn next_chunk(chunk: Duration, n_pages: u32) -> Duration {
    match n_pages {
        0 | 1 => (chunk * 2).min(LONGEST_WINDOW),
        pages if pages > PAGES_PER_CHUNK => (chunk / 2).max(SHORTEST_CHUNK),
        _ => chunk,
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
    pub experience: &'a Experience,
    pub budget: &'a Budget,
    pub now: Instant,
}

/// The next reading, or how long to wait.
pub fn next(situation: &Situation<'_>) -> Next {
    let Some(reading) = due_tier(situation).or_else(|| backfill(situation)) else {
        return Next::Wait { until: next_due(situation), why: Why::NothingDue };
    };
    match situation.budget.wait(situation.now) {
        Some((until, window)) => Next::Wait { until, why: Why::Points(window) },
        None => Next::Read(reading),
    }
}

/// The live reading, when it is due while a larger one is under way: that goes on behind it.
pub fn live_in_between(situation: &Situation<'_>, under_way: &Reading) -> Option<Reading> {
    let live = situation.ladder.tiers.first()?;
    let is_live = under_way.purpose == Purpose::Tier { age: live.age };
    if is_live || due_at(situation, live) > situation.now || situation.budget.wait(situation.now).is_some() {
        return None;
    }
    let earliest = situation.floor.max(situation.coverage.origin());
    let window = Interval::new(earliest.max(situation.now - live.age), situation.now)?;
    Some(Reading { window, purpose: Purpose::Tier { age: live.age } })
}

/// Whether anything was never read, apart from what the live tier is there for.
pub fn is_backfilling(situation: &Situation<'_>) -> bool {
    backfill(situation).is_some()
}

/// The tier to read now. The live one comes first, unless a larger one has waited for a whole interval of its own:
/// where the API is so slow that the live tier is always due, the others would never be read.
fn due_tier(situation: &Situation<'_>) -> Option<Reading> {
    let ladder = situation.ladder;
    let due = || ladder.tiers.iter().filter(|tier| due_at(situation, tier) <= situation.now);
    let urgent = due().min_by_key(|tier| due_at(situation, tier) + tier.every)?;
    let experience = situation.experience;
    let cost = experience.pages(urgent).unwrap_or(1);
    let costs_no_more = |tier: &&Tier| experience.pages(tier).is_some_and(|larger| larger <= cost);
    let age = due().filter(|tier| tier.age > urgent.age).rfind(costs_no_more).unwrap_or(urgent).age;
    let from =
        if age == ladder.horizon() { ladder.needed_from(situation.clocks, situation.now) } else { situation.now - age };
    let earliest = situation.floor.max(situation.coverage.origin());
    let window = Interval::new(earliest.max(from), situation.now)?;
    Some(Reading { window, purpose: Purpose::Tier { age } })
}

fn due_at(situation: &Situation<'_>, tier: &Tier) -> Instant {
    match situation.clocks.0.get(&tier.age) {
        None => situation.now,
        Some(last) => *last + interval_of(situation, tier),
    }
}

fn interval_of(situation: &Situation<'_>, tier: &Tier) -> Duration {
    let hurry = situation.experience.hurry(tier);
    if hurry > 1 && situation.ladder.adaptive && has_points_to_spare(situation) {
        (tier.every / hurry).max(Duration::from_secs(1))
    } else {
        tier.every
    }
}

/// Whether the day's points outlast the ladder at its fixed intervals, with a tenth of them in hand. What is not known
/// is not spent.
fn has_points_to_spare(situation: &Situation<'_>) -> bool {
    let Some((points, lasts)) = situation.budget.longest_window_left(situation.now) else {
        return false;
    };
    let cost = |tier: &Tier| {
        let readings = lasts.as_secs().div_ceil(tier.every.as_secs().max(1));
        readings * u64::from(situation.experience.pages(tier).unwrap_or(1))
    };
    let ladder: u64 = situation.ladder.tiers.iter().map(cost).sum();
    points > ladder + ladder / 10
}

fn next_due(situation: &Situation<'_>) -> Instant {
    let due = situation.ladder.tiers.iter().map(|tier| due_at(situation, tier)).min();
    due.unwrap_or(situation.now).max(situation.now + Duration::from_secs(1))
}

/// The part of the oldest or newest gap to read now. What the live tier is about to read is no gap.
fn backfill(situation: &Situation<'_>) -> Option<Reading> {
    let gaps = situation.coverage.gaps(situation.now - situation.ladder.live_age());
    let window = match situation.ladder.backfill {
        BackfillOrder::Newest => gaps
            .last()
            .map(|gap| Interval { from: gap.from.max(gap.till - situation.experience.chunk), till: gap.till }),
        BackfillOrder::Oldest => gaps
            .first()
            .map(|gap| Interval { from: gap.from, till: gap.till.min(gap.from + situation.experience.chunk) }),
    }?;
    Some(Reading { window, purpose: Purpose::Backfill })
}

#[cfg(test)]
mod tests;
