//! How points are divided among everything that wants to be read with one credential.
//!
//! Each tier of each account is a [`Claim`]: so many points a reading, promised so often, with so much news to be
//! found. What comes out is how often each is read.
//!
//! - **Enough for every promise.** Each claim gets its promise. What is left over goes where it buys most: news wait
//!   for half an interval on average, so points are worth most when a claim gets them in proportion to
//!   √(points of a reading × news per second). That is the minimum of Σ newsᵢ·intervalᵢ under Σ pointsᵢ/intervalᵢ = rate.
//! - **Not enough.** Half of the points are shared out evenly, so that no claim is starved by the others: a claim that
//!   needs less than its even part keeps its promise, since stretching it would buy the others next to nothing. The other
//!   half goes to the youngest tiers first, so what is stretched is stretched from the oldest tier on.

use std::time::Duration;

/// What one tier of one account asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// The step of the ladder, 0 for the live tier.
    pub level: usize,
    /// Points that one reading takes.
    pub points: f64,
    /// The promised interval.
    pub every: Duration,
    /// News per second that only this tier finds.
    pub news: f64,
    /// May be read earlier than promised when there are points for it.
    pub adaptive: bool,
}

/// A tier is never read more often than this many times its promise.
pub const MOST_HURRY: u32 = 10;

/// No tier waits longer, whatever is left: a bound for sums, and not for plans.
const LONGEST_INTERVAL: Duration = Duration::from_hours(365 * 24);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// News are expected of every claim, one a day, or a quiet account would be forgotten when points are scarce.
const EXPECTED_NEWS: f64 = 1.0 / 86_400.0;

impl Claim {
    /// Points per second that keep the promise.
    pub fn promised(&self) -> f64 {
        self.points / self.every.max(SHORTEST_INTERVAL).as_secs_f64()
    }

    /// The most points per second that it may take. Who brings no news is read as promised, whatever is left over.
    fn most(&self) -> f64 {
        let may_hurry = self.adaptive && self.news >= EXPECTED_NEWS;
        if may_hurry { self.points / shortest_interval(self.every).as_secs_f64() } else { self.promised() }
    }

    fn weight(&self) -> f64 {
        if self.adaptive { (self.points * (self.news + EXPECTED_NEWS)).sqrt() } else { self.promised() }
    }

    fn interval(&self, rate: f64) -> Duration {
        let seconds = self.points / rate;
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_INTERVAL);
        interval.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL.max(self.every))
    }
}

/// How often a tier with this promise is read at the most.
pub fn shortest_interval(every: Duration) -> Duration {
    (every / MOST_HURRY).max(SHORTEST_INTERVAL).min(every.max(SHORTEST_INTERVAL))
}

/// The interval of each claim, when all together may take `rate` points per second; None: as promised, since nothing is
/// known of points.
pub fn intervals(claims: &[Claim], rate: Option<f64>) -> Vec<Duration> {
    let Some(rate) = rate else { return claims.iter().map(|claim| claim.every).collect() };
    let promised: f64 = claims.iter().map(Claim::promised).sum();
    let rates = if promised <= rate { with_plenty(claims, rate) } else { with_scarcity(claims, rate.max(0.0)) };
    claims.iter().zip(rates).map(|(claim, rate)| claim.interval(rate)).collect()
}

/// Promises first, then what is left by weight.
fn with_plenty(claims: &[Claim], rate: f64) -> Vec<f64> {
    let bounds: Vec<Bounds> = claims
        .iter()
        .map(|claim| Bounds { least: claim.promised(), most: claim.most(), weight: claim.weight() })
        .collect();
    fill(&bounds, rate)
}

/// An even part of one half for each, the rest for the youngest.
fn with_scarcity(claims: &[Claim], rate: f64) -> Vec<f64> {
    let even = rate / 2.0 / claims.len().max(1) as f64;
    let mut rates: Vec<f64> = claims.iter().map(|claim| claim.promised().min(even)).collect();
    let mut left = rate - rates.iter().sum::<f64>();
    let deepest = claims.iter().map(|claim| claim.level).max().unwrap_or(0);
    for level in 0..=deepest {
        let members: Vec<usize> = (0..claims.len()).filter(|index| claims[*index].level == level).collect();
        let bounds: Vec<Bounds> = members
            .iter()
            .map(|index| {
                let claim = &claims[*index];
                Bounds { least: rates[*index], most: claim.promised(), weight: claim.weight() }
            })
            .collect();
        let before: f64 = bounds.iter().map(|bounds| bounds.least).sum();
        let filled = fill(&bounds, before + left);
        left = (left + before - filled.iter().sum::<f64>()).max(0.0);
        members.into_iter().zip(filled).for_each(|(index, rate)| rates[index] = rate);
    }
    rates
}

/// Between which rates a claim is kept, and its part of what is free.
struct Bounds {
    least: f64,
    most: f64,
    weight: f64,
}

impl Bounds {
    fn at(&self, price: f64) -> f64 {
        (self.weight * price).clamp(self.least, self.most.max(self.least))
    }
}

/// Rates in proportion to the weights, each within its bounds, with `total` as their sum where the bounds allow that.
fn fill(bounds: &[Bounds], total: f64) -> Vec<f64> {
    /// Halvings: enough for the precision of a float.
    const STEPS: u32 = 60;
    let sum_at = |price: f64| bounds.iter().map(|bounds| bounds.at(price)).sum::<f64>();
    let heaviest = |bounds: &Bounds| bounds.most / bounds.weight.max(f64::MIN_POSITIVE);
    let (mut low, mut high) = (0.0_f64, bounds.iter().map(heaviest).fold(0.0, f64::max).min(f64::MAX));
    for _ in 0..STEPS {
        let middle = low + (high - low) / 2.0;
        if sum_at(middle) <= total { low = middle } else { high = middle }
    }
    bounds.iter().map(|bounds| bounds.at(low)).collect()
}

#[cfg(test)]
mod tests;
