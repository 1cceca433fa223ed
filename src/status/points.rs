//! The points of an account as the Data API told them last, for metrics.

use crate::domain::pace::PointsWindow;
use crate::domain::time::Instant;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountPoints {
    /// Accounts with the same credential have the same points.
    pub credential: u64,
    pub seen_at: Instant,
    /// Only those that the API names.
    pub counters: Vec<PointsCounter>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointsCounter {
    pub window: PointsWindow,
    pub remaining: u64,
    pub limit: Option<PointsLimit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PointsLimit {
    pub points: u64,
    /// What callfeed may use of it.
    pub allowed: u64,
    pub resets_at: Instant,
    /// Seen from the moment of the question; none when the counter has started anew since.
    pub reset_seconds: Option<u64>,
}

impl AccountPoints {
    /// The same, seen from this moment.
    pub fn at(&self, now: Instant) -> Self {
        let seen = |limit: PointsLimit| {
            let is_running = limit.resets_at > now;
            PointsLimit { reset_seconds: is_running.then(|| limit.resets_at.since(now).as_secs()), ..limit }
        };
        let counters = self.counters.iter().map(|counter| PointsCounter { limit: counter.limit.map(seen), ..*counter });
        Self { counters: counters.collect(), ..self.clone() }
    }
}
