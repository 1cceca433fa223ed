//! What to read next, or how long to wait and why.
//!
//! A function of what was read, the clocks of the tiers, how often each is to be read with the points there are
//! ([`super::demand`]), the points left and now. The live tier comes first; a larger one takes its place when that
//! costs no more pages. Back-fill takes what they leave.

use std::time::Duration;

use super::coverage::Coverage;
use super::demand::Pace;
use super::embargo::live_from;
use super::experience::Experience;
use super::ladder::{BackfillOrder, Clocks, Ladder, Tier};
use super::pace::{Budget, PointsWindow};
use super::time::{Instant, Interval};

/// The longest window that every statement of the documents allows (data-api, 4) is 89 days; a day is kept for the
/// widening of bounds and for clock changes.
pub const LONGEST_WINDOW: Duration = Duration::from_hours(88 * 24);

/// While the back-fill waits for points it is asked for again after this.
const BACKFILL_AGAIN: Duration = Duration::from_mins(1);

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

/// Whether anything was never read, apart from what the live tier is there for.
pub fn is_backfilling(situation: &Situation<'_>) -> bool {
    !gaps(situation).is_empty()
}

/// What was never read, oldest first. What the live reading is about to read is no gap.
fn gaps(situation: &Situation<'_>) -> Vec<Interval> {
    let end = situation.end - situation.ladder.live_age();
    situation.coverage.gaps(joined_to_live(situation).map_or(end, |from| end.min(from)))
}

/// The frontier, when the live reading may begin there for no more points. Where points are scarce, or after a pause, it
/// is older than the live tier, and what lies between would take a point of its own.
fn joined_to_live(situation: &Situation<'_>) -> Option<Instant> {
    let Situation { ladder, experience, coverage, page_size, end, .. } = *situation;
    let frontier = coverage.intervals().last()?.till;
    let room = f64::from(experience.pages(ladder.tiers.first()?, page_size)) * f64::from(page_size);
    let rows = experience.rows_within(end.since(frontier))?;
    (rows <= room).then_some(frontier)
}

/// The tier to read now. The live one comes first, unless a larger one has waited for a whole interval of its own:
/// where the API is so slow that the live tier is always due, the others would never be read.
fn due_tier(situation: &Situation<'_>) -> Option<Reading> {
    let now = situation.now;
    let due = promised(situation).filter(|tier| due_at(situation, tier) <= now);
    let urgent = due.min_by_key(|tier| due_at(situation, tier) + situation.pace.interval(tier))?;
    tier_reading(situation, largest_instead_of(situation, urgent))
}

/// All but the rungs, which have no clocks: those are read in the place of others only, for by themselves they would cost
/// what nobody has asked for.
fn promised<'a>(situation: &'a Situation<'_>) -> impl Iterator<Item = &'a Tier> {
    let live_age = situation.ladder.live_age();
    let has_clock = move |tier: &&Tier| tier.age == live_age || situation.clocks.0.contains_key(&tier.age);
    situation.ladder.tiers.iter().filter(has_clock)
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
    if tier.age == ladder.live_age() {
        from = from.min(joined_to_live(situation).unwrap_or(from));
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
    // When nothing is read later, an end that moves while the one that the API takes is looked for is read up to now.
    if is_live && situation.is_last && situation.coverage.frontier() < situation.end {
        return situation.now;
    }
    // A look that lies ahead was taken by a clock that was put back since.
    let looked_at = situation.looked_at.filter(|at| is_live && *at <= situation.now);
    let read_at = situation.clocks.0.get(&tier.age).copied().or_else(|| rung_read_at(situation, tier));
    match read_at.max(looked_at) {
        None => situation.now,
        Some(last) => last + situation.pace.interval(tier),
    }
}

/// A rung has no clock of its own: it is read once more after a restart, for nothing.
fn rung_read_at(situation: &Situation<'_>, rung: &Tier) -> Option<Instant> {
    // What is known of news goes by the ends of windows, which are not always now.
    let lag = situation.now.since(situation.end);
    situation.experience.read_at(rung).map(|till| till + lag).filter(|at| *at <= situation.now)
}

fn next_due(situation: &Situation<'_>, is_backfilling: bool) -> Instant {
    let due = promised(situation).map(|tier| due_at(situation, tier)).min().unwrap_or(situation.now);
    let until = if is_backfilling { due.min(situation.now + BACKFILL_AGAIN) } else { due };
    until.max(situation.now + Duration::from_secs(1))
}

fn may_backfill(situation: &Situation<'_>) -> bool {
    situation.is_last || situation.budget.has_spare(situation.pace.promised_points(), situation.now)
}

/// The part of the oldest or newest gap to read now.
fn backfill(situation: &Situation<'_>) -> Option<Reading> {
    let gaps = gaps(situation);
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
