//! How fast to go: points that are left, and how long to wait after a failure.

use std::time::Duration;

use super::time::Instant;

/// The counters that the API keeps (data-api, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PointsWindow {
    Minute,
    Hour,
    Day,
}

impl PointsWindow {
    pub const ALL: [PointsWindow; 3] = [Self::Minute, Self::Hour, Self::Day];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}

/// One counter as the API last showed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Points {
    pub limit: u64,
    pub remaining: u64,
    pub resets_at: Instant,
}

/// The points of one credential, and the share of them that callfeed may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    share: f64,
    windows: Vec<(PointsWindow, Points)>,
}

impl Budget {
    /// A window that the API does not name is not limited.
    pub fn new(share: f64, windows: impl IntoIterator<Item = (PointsWindow, Points)>) -> Self {
        Self { share, windows: windows.into_iter().collect() }
    }

    /// Until when no request may be sent; None when one may be sent now.
    pub fn wait(&self, now: Instant) -> Option<(Instant, PointsWindow)> {
        let used_up = self.windows.iter().filter(|(_, points)| points.resets_at > now && self.left(points) == 0);
        used_up.map(|(window, points)| (points.resets_at, *window)).max()
    }

    /// The points left of the longest window, and how long they have to last.
    pub fn longest_window_left(&self, now: Instant) -> Option<(u64, Duration)> {
        let running = self.windows.iter().filter(|(_, points)| points.resets_at > now);
        let (_, points) = running.max_by_key(|(window, _)| *window)?;
        Some((self.left(points), points.resets_at.since(now)))
    }

    /// What is left of callfeed's share: the rest of the limit stays for others.
    fn left(&self, points: &Points) -> u64 {
        let for_others = (points.limit as f64 * (1.0 - self.share)).floor() as u64;
        points.remaining.saturating_sub(for_others)
    }
}

/// How long to wait before try number `attempt` (from 1): doubling from `first` up to `longest`, spread by `jitter` in
/// `0.0..1.0` over the upper half, so that many accounts do not come back at once.
pub fn backoff(attempt: u32, first: Duration, longest: Duration, jitter: f64) -> Duration {
    let doubled = first.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let capped = doubled.min(longest);
    capped.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}
