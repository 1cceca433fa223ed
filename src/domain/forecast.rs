//! What ladders will cost and give, before anything runs: for `callfeed plan` and `callfeed check`.
//!
//! The rules are those that the service plans by ([`super::demand`], [`super::experience`], [`super::pace`]), for calls
//! that come evenly and counters that are full. Planned intervals are those that hold at any hour: reads that come
//! earlier than promised, where changes show up, are not counted, but what they may cost is told as left over.

pub mod what_if;

use std::collections::BTreeMap;
use std::time::Duration;

use super::demand::{Demand, Pace, share_out};
use super::experience::{Experience, Outcome};
use super::ladder::{Ladder, Tier};
use super::pace::{Budget, Points, PointsWindow};
use super::plan::{Purpose, Reading};
use super::rhythm::Rhythm;
use super::time::{Instant, Interval};

const DAY: Duration = Duration::from_hours(24);

/// A back-fill is not expected to go faster than this, whatever the points.
const REQUESTS_A_MINUTE: u64 = 60;

/// A thousandth more than promised is a matter of rounding.
const ROUNDING: f64 = 1.001;

/// Any moment will do: nothing here depends on it.
const START: Instant = Instant::from_unix_seconds(0);

/// The points of one credential, and the share of them that callfeed may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowance {
    /// A window that is not named is not limited.
    pub limits: BTreeMap<PointsWindow, u64>,
    pub share: f64,
}

/// An account that is read with the credential, or several alike: the customers of an agency.
#[derive(Clone, Debug)]
pub struct Reader {
    pub ladder: Ladder,
    pub page_size: u32,
    /// Of each of those alike.
    pub calls_a_day: f64,
    /// How far back the first reading goes.
    pub reach: Duration,
    pub n_alike: usize,
}

/// What comes out for all that are read with one credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// The tiers of each reader, in their order; of several alike, those of one.
    pub ladders: Vec<Vec<TierForecast>>,
    /// Points that keep all promises.
    pub needed_a_day: f64,
    /// Points that callfeed has; None when no limit is known.
    pub available_a_day: Option<f64>,
    pub backfill: Backfill,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TierForecast {
    pub tier: Tier,
    /// Pages of one reading: points.
    pub pages: u32,
    /// The smaller tier whose readings it takes the place of, at no cost.
    pub rides_on: Option<Tier>,
    /// How often it is read with the points there are.
    pub planned: Duration,
    pub is_kept: bool,
}

/// The first reading of what happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub rows: u64,
    pub points: u64,
    /// None: there are never points to spare for it.
    pub takes: Option<Duration>,
}

impl Allowance {
    /// Points per second in the long run; None when no limit is known.
    pub fn rate(&self) -> Option<f64> {
        let budget = self.budget();
        let long = budget.scarcest(START).map(|(points, lasts)| points as f64 / lasts.as_secs_f64());
        [budget.sustained(), long].into_iter().flatten().reduce(f64::min)
    }

    fn budget(&self) -> Budget {
        Budget::new(self.share, self.limits.iter().map(|(window, limit)| (*window, after(*window, *limit, 0))))
    }

    /// How many points of a full counter the back-fill may take at once.
    fn spare(&self, window: PointsWindow, promised: f64) -> u64 {
        let Some(limit) = self.limits.get(&window).copied() else { return u64::MAX };
        let has_spare =
            |spent| Budget::new(self.share, [(window, after(window, limit, spent))]).has_spare(promised, START);
        let (mut low, mut high) = (0, limit);
        while low < high {
            let middle = low + (high - low) / 2;
            if has_spare(middle) { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// A counter that has just started, after so many requests.
fn after(window: PointsWindow, limit: u64, spent: u64) -> Points {
    Points { limit, remaining: limit - spent, resets_at: START + window.length() }
}

impl TierForecast {
    /// Points that the promise costs in so long a time.
    pub fn points_in(&self, time: Duration) -> f64 {
        match self.rides_on {
            Some(_) => 0.0,
            None => points_a_second(&self.tier, self.pages) * time.as_secs_f64(),
        }
    }
}

fn points_a_second(tier: &Tier, pages: u32) -> f64 {
    f64::from(pages) / tier.every.as_secs_f64().max(1.0)
}

impl Forecast {
    pub fn of(readers: &[Reader], allowance: &Allowance) -> Self {
        let demands: Vec<Demand> = readers.iter().map(Reader::demand).collect();
        let alike = |(reader, demand)| std::iter::repeat_n(demand, Reader::count(reader));
        let all: Vec<&Demand> = readers.iter().zip(&demands).flat_map(alike).collect();
        let paces = share_out(&all, &allowance.budget(), &Rhythm::default(), START);
        let mut first = 0;
        let mut ladders = Vec::new();
        for (reader, demand) in readers.iter().zip(&demands) {
            ladders.push(tiers(demand, &paces[first]));
            first += reader.count();
        }
        let promised = paces.first().map_or(0.0, Pace::promised_points);
        Self {
            ladders,
            needed_a_day: promised * DAY.as_secs_f64(),
            available_a_day: allowance.rate().map(|rate| rate * DAY.as_secs_f64()),
            backfill: backfill(readers, allowance, promised),
        }
    }

    pub fn keeps_promises(&self) -> bool {
        self.ladders.iter().flatten().all(|tier| tier.is_kept)
    }

    fn needed_a_second(&self) -> f64 {
        self.needed_a_day / DAY.as_secs_f64()
    }

    /// Points that no promise needs; None when no limit is known.
    pub fn left_a_day(&self) -> Option<f64> {
        self.available_a_day.map(|available| (available - self.needed_a_day).max(0.0))
    }
}

fn tiers(demand: &Demand, pace: &Pace) -> Vec<TierForecast> {
    let mut carrier = None;
    let mut forecasts = Vec::new();
    for (tier, pages, rides) in demand.readings() {
        if !rides {
            carrier = Some(tier);
        }
        let rides_on = carrier.filter(|_| rides);
        let planned = pace.interval(&tier);
        let is_kept = planned.as_secs_f64() <= tier.every.as_secs_f64().max(1.0) * ROUNDING;
        forecasts.push(TierForecast { tier, pages, rides_on, planned, is_kept });
    }
    forecasts
}

impl Reader {
    fn count(&self) -> usize {
        self.n_alike.max(1)
    }

    fn demand(&self) -> Demand {
        // What is read earlier than promised depends on where changes show up, which nobody knows yet.
        let ladder = Ladder { adaptive: false, ..self.ladder.clone() };
        Demand::of(&ladder, &Experience::expecting(self.calls_a_day), self.page_size)
    }

    fn live_age(&self) -> Duration {
        self.ladder.tiers.first().map_or(Duration::ZERO, |tier| tier.age)
    }

    fn rows_in(&self, time: Duration) -> u64 {
        // `as` holds what is too large or no number at all within bounds.
        (self.calls_a_day / DAY.as_secs_f64() * time.as_secs_f64()).ceil() as u64
    }

    /// Rows and points of the back-fill of one: chunk by chunk, as long as the size of the chunks still changes.
    fn backfill(&self) -> (u64, u64) {
        let missing = self.reach.saturating_sub(self.live_age());
        let mut experience = Experience::expecting(self.calls_a_day);
        let (mut left, mut points) = (missing.as_secs(), 0_u64);
        while left > 0 {
            let chunk = experience.chunk().min(Duration::from_secs(left));
            let n_pages = self.pages(chunk);
            self.note_chunk(&mut experience, chunk, n_pages);
            let n_alike = if experience.chunk() == chunk { left / chunk.as_secs() } else { 1 };
            points = points.saturating_add(u64::from(n_pages).saturating_mul(n_alike));
            left -= chunk.as_secs() * n_alike;
        }
        (self.rows_in(missing), points)
    }

    fn pages(&self, chunk: Duration) -> u32 {
        let pages = self.rows_in(chunk).div_ceil(u64::from(self.page_size.max(1))).max(1);
        u32::try_from(pages).unwrap_or(u32::MAX)
    }

    fn note_chunk(&self, experience: &mut Experience, chunk: Duration, n_pages: u32) {
        if let Some(window) = Interval::new(START, START + chunk) {
            let outcome = Outcome { n_pages, n_rows: self.rows_in(chunk), news: Vec::new() };
            experience.note(&self.ladder, &Reading { window, purpose: Purpose::Backfill }, &outcome);
        }
    }
}

fn backfill(readers: &[Reader], allowance: &Allowance, promised: f64) -> Backfill {
    let (mut rows, mut points) = (0_u64, 0_u64);
    for reader in readers {
        let (own_rows, own_points) = reader.backfill();
        let n_alike = reader.count() as u64;
        rows = rows.saturating_add(own_rows.saturating_mul(n_alike));
        points = points.saturating_add(own_points.saturating_mul(n_alike));
    }
    Backfill { rows, points, takes: time_for(points, allowance, promised) }
}

/// How long it takes to get so many points beside the ladder: the back-fill takes what is spare of a full counter at
/// once ([`Budget::has_spare`]), then waits until the counter starts anew.
fn time_for(points: u64, allowance: &Allowance, promised: f64) -> Option<Duration> {
    let a_minute = REQUESTS_A_MINUTE.min(allowance.spare(PointsWindow::Minute, promised));
    let an_hour = (a_minute * 60).min(allowance.spare(PointsWindow::Hour, promised));
    let a_day = (an_hour * 24).min(allowance.spare(PointsWindow::Day, promised));
    let Some(before_last) = points.checked_sub(1) else { return Some(Duration::ZERO) };
    let (days, left) = (before_last.checked_div(a_day)?, before_last % a_day);
    let (hours, left) = (left / an_hour, left % an_hour);
    let (minutes, left) = (left / a_minute, left % a_minute);
    let seconds = (left + 1) * 60 / REQUESTS_A_MINUTE;
    let whole_days = Duration::from_secs(days.saturating_mul(DAY.as_secs()));
    Some(whole_days.saturating_add(Duration::from_secs(hours * 3600 + minutes * 60 + seconds)))
}

#[cfg(test)]
mod tests;
