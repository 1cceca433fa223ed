//! What a ladder asks of the points, and how often its tiers are read with what they get.
//!
//! A tier that takes no more pages than the one below it, and is not promised more often, costs nothing: its reading
//! takes the place of a smaller one's. It *rides*. All others are claims among which the points are divided ([`super::allotment`]).

use std::sync::Arc;
use std::time::Duration;

use super::allotment::{self, Claim};
use super::experience::Experience;
use super::ladder::{Ladder, Tier};
use super::pace::Budget;
use super::rhythm::Rhythm;
use super::time::Instant;

/// What rides costs no points, but rows, for those who serve them and for the wire: so many for each piece of news that
/// is to be expected.
const ROWS_PER_NEWS: f64 = 1000.0;

/// This part of the calls is expected to change at any age, or it would never be found out that they do.
const EXPECTED_CHANGES: f64 = 0.01;

/// Of each minute, while there is something to be read for the first time.
const PART_BESIDE_BACKFILL: f64 = 0.75;

/// A piece of an even rate is always kept for the quiet hours, when the points do not suffice for the promises.
const STEADY_PART: f64 = 0.05;

/// One account's ladder with what its readings cost and find.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    steps: Vec<Step>,
    adaptive: bool,
    /// Whether something was never read: that gets a part of each minute as well.
    is_backfilling: bool,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    tier: Tier,
    /// How many shorter promises there are below it.
    level: usize,
    pages: u32,
    rows: f64,
    news: f64,
    rides: bool,
}

/// How often each tier of an account is read, by its age.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pace {
    intervals: Arc<[(Duration, Duration)]>,
    /// Points per second that would keep all promises made with the credential.
    promised: f64,
}

impl Demand {
    pub fn of(ladder: &Ladder, experience: &Experience, page_size: u32) -> Self {
        let mut steps: Vec<Step> = Vec::with_capacity(ladder.tiers.len());
        for tier in &ladder.tiers {
            let below = steps.last();
            let pages = experience.pages(tier, page_size);
            let rides = below.is_some_and(|below| pages <= below.pages && tier.every >= below.tier.every);
            let level = below.map_or(0, |below| below.level + usize::from(tier.every != below.tier.every));
            let (rows, news) = (experience.rows(tier), experience.news(tier));
            steps.push(Step { tier: *tier, level, pages, rows, news, rides });
        }
        Self { steps, adaptive: ladder.adaptive, is_backfilling: false }
    }

    /// The same of an account that has still something to read for the first time.
    pub fn with_backfill(self, is_backfilling: bool) -> Self {
        Self { is_backfilling, ..self }
    }

    /// Points of one reading of each tier, and whether it takes the place of a smaller one's.
    pub fn readings(&self) -> impl Iterator<Item = (Tier, u32, bool)> {
        self.steps.iter().map(|step| (step.tier, step.pages, step.rides))
    }

    /// Points per second that live readings take at a pace.
    pub fn live_rate(&self, pace: &Pace) -> f64 {
        let live = self.steps.first().map(|live| (live, pace.interval(&live.tier)));
        live.map_or(0.0, |(live, interval)| f64::from(live.pages) / interval.as_secs_f64().max(1.0))
    }

    /// Points per second that all readings take at a pace.
    pub fn rate(&self, pace: &Pace) -> f64 {
        let paid = self.steps.iter().filter(|step| !step.rides);
        paid.map(|step| f64::from(step.pages) / pace.interval(&step.tier).as_secs_f64().max(1.0)).sum()
    }

    fn claims(&self) -> impl Iterator<Item = Claim> {
        self.steps.iter().filter(|step| !step.rides).map(|step| Claim {
            level: step.level,
            points: f64::from(step.pages),
            every: step.tier.every,
            news: step.news,
            adaptive: self.adaptive,
        })
    }

    fn pace(&self, intervals: &mut impl Iterator<Item = Duration>, promised: f64) -> Pace {
        let mut carrier = Duration::ZERO;
        let paced = self.steps.iter().map(|step| {
            if step.rides {
                return (step.tier.age, self.riding(step).max(carrier));
            }
            carrier = intervals.next().unwrap_or(step.tier.every);
            (step.tier.age, carrier)
        });
        Pace { intervals: paced.collect(), promised }
    }

    fn riding(&self, step: &Step) -> Duration {
        let every = step.tier.every;
        if !self.adaptive {
            return every;
        }
        let new_calls = self.steps.first().map_or(0.0, |live| live.news);
        // No news make it infinite.
        let seconds = step.rows / ROWS_PER_NEWS / step.news.max(new_calls * EXPECTED_CHANGES);
        Duration::try_from_secs_f64(seconds).map_or(every, |wanted| wanted.min(every))
    }
}

impl Pace {
    /// As promised: what is known of points does not limit it.
    pub fn promised(ladder: &Ladder) -> Self {
        let intervals = ladder.tiers.iter().map(|tier| (tier.age, tier.every)).collect();
        Self { intervals, promised: 0.0 }
    }

    /// How often the tier is read.
    pub fn interval(&self, tier: &Tier) -> Duration {
        let known = self.intervals.iter().find(|(age, _)| *age == tier.age);
        known.map_or(tier.every, |(_, interval)| *interval)
    }

    /// Points per second that would keep all promises made with the credential.
    pub fn promised_points(&self) -> f64 {
        self.promised
    }
}

/// Divides what one credential may spend among the ladders that are read with it: a pace for each, in their order.
pub fn share_out(demands: &[&Demand], budget: &Budget, rhythm: &Rhythm, now: Instant) -> Vec<Pace> {
    let claims: Vec<Claim> = demands.iter().flat_map(|demand| demand.claims()).collect();
    let promised = claims.iter().map(Claim::promised).sum();
    let adaptive = demands.iter().any(|demand| demand.adaptive);
    let for_ladders = if demands.iter().any(|demand| demand.is_backfilling) { PART_BESIDE_BACKFILL } else { 1.0 };
    let in_a_minute = budget.sustained().map(|sustained| sustained * for_ladders);
    let rate = rate(budget, in_a_minute, promised, adaptive.then_some(rhythm), now);
    let mut intervals = allotment::intervals(&claims, rate).into_iter();
    demands.iter().map(|demand| demand.pace(&mut intervals, promised)).collect()
}

/// Points per second that may be spent now; None when nothing is known of points.
///
/// Promises are paid for evenly, for they hold at any hour. What they leave, and most of what there is when they cannot
/// be kept anyway, goes to the hours in which news come.
fn rate(
    budget: &Budget,
    in_a_minute: Option<f64>,
    promised: f64,
    rhythm: Option<&Rhythm>,
    now: Instant,
) -> Option<f64> {
    let Some((points, lasts)) = budget.scarcest(now) else {
        // Of a limit by the minute alone nothing can be left over, so nothing is spent beyond the promises.
        return in_a_minute.map(|sustained| sustained.min(promised.max(f64::MIN_POSITIVE)));
    };
    let even = points as f64 / lasts.as_secs_f64().max(1.0);
    let steady = if promised <= even { promised } else { even * STEADY_PART };
    let part = rhythm.map_or(1.0, |rhythm| rhythm.part_of(now, lasts));
    let rate = steady + (even - steady) * part;
    Some(in_a_minute.map_or(rate, |sustained| rate.min(sustained)))
}

#[cfg(test)]
mod tests;
