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

    /// What is left of callfeed's share: the rest of the limit stays for others. Any share allows one point.
    fn left(&self, points: &Points) -> u64 {
        let own = (points.limit as f64 * self.share).round() as u64;
        let for_others = points.limit.saturating_sub(own.max(1));
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Instant = Instant::from_unix_seconds(1_000_000);

    fn points(limit: u64, remaining: u64, resets_in: i64) -> Points {
        Points { limit, remaining, resets_at: Instant::from_unix_seconds(NOW.unix_seconds() + resets_in) }
    }

    #[test]
    fn the_share_of_others_is_left_alone() {
        let minute = |remaining| Budget::new(0.5, [(PointsWindow::Minute, points(60, remaining, 41))]);
        assert_eq!(minute(31).wait(NOW), None);
        assert_eq!(minute(30).wait(NOW), Some((NOW + Duration::from_secs(41), PointsWindow::Minute)));
        assert_eq!(minute(0).wait(NOW), Some((NOW + Duration::from_secs(41), PointsWindow::Minute)));
    }

    #[test]
    fn a_share_is_not_off_by_one_for_want_of_binary_fractions() {
        // 60 * (1.0 - 0.8) is 11.99...: a point of the others' twelve was taken.
        let minute = |remaining| Budget::new(0.8, [(PointsWindow::Minute, points(60, remaining, 41))]);
        assert_eq!(minute(13).wait(NOW), None);
        assert!(minute(12).wait(NOW).is_some());
    }

    #[test]
    fn of_several_windows_that_are_used_up_the_last_to_reset_decides() {
        let minute = (PointsWindow::Minute, points(60, 0, 41));
        let day = |remaining| (PointsWindow::Day, points(3000, remaining, 50_212));
        let until = |seconds, window| Some((NOW + Duration::from_secs(seconds), window));
        assert_eq!(Budget::new(0.8, [minute, day(2871)]).wait(NOW), until(41, PointsWindow::Minute));
        assert_eq!(Budget::new(0.8, [minute, day(0)]).wait(NOW), until(50_212, PointsWindow::Day));
        assert_eq!(Budget::new(0.8, []).wait(NOW), None, "what the API does not name is not limited");
    }

    #[test]
    fn a_counter_whose_reset_has_passed_says_nothing() {
        let stale = Budget::new(0.8, [(PointsWindow::Day, points(3000, 0, 0))]);
        assert_eq!(stale.wait(NOW), None);
        assert_eq!(stale.longest_window_left(NOW), None);
    }

    #[test]
    fn the_longest_window_tells_what_is_left_and_for_how_long() {
        let windows = [(PointsWindow::Day, points(3000, 2000, 600)), (PointsWindow::Minute, points(60, 60, 41))];
        assert_eq!(Budget::new(1.0, windows).longest_window_left(NOW), Some((2000, Duration::from_mins(10))));
    }

    #[test]
    fn waiting_doubles_up_to_its_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_mins(1));
        let waits: Vec<u64> = (1..=8).map(|attempt| backoff(attempt, first, longest, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(1, first, longest, 0.0), Duration::from_millis(500));
    }

    proptest! {
        #[test]
        fn a_full_counter_always_lets_some_request_through(limit in 1_u64..100_000, share in 0.01..=1.0) {
            let budget = Budget::new(share, [(PointsWindow::Day, points(limit, limit, 600))]);
            prop_assert_eq!(budget.wait(NOW), None);
        }

        #[test]
        fn a_wait_always_ends_later_than_now(
            counters in prop::collection::vec((0_u64..100, 0_u64..100, -50_i64..50), 0..3),
            share in 0.01..=1.0,
        ) {
            let counters = counters.into_iter().map(|(limit, left, resets_in)| points(limit, left, resets_in));
            let budget = Budget::new(share, PointsWindow::ALL.into_iter().zip(counters));
            prop_assert!(budget.wait(NOW).is_none_or(|(until, _)| until > NOW));
        }

        #[test]
        fn a_backoff_stays_between_half_and_all_of_what_was_meant(
            attempt: u32,
            first in 1_u64..1_000_000,
            longest in 1_u64..1_000_000,
            jitter in -1.0..2.0,
        ) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let meant = backoff(attempt, first, longest, 1.0);
            let wait = backoff(attempt, first, longest, jitter);
            prop_assert!(meant <= longest && wait <= meant && wait >= meant / 2, "{:?} of {:?}", wait, meant);
        }
    }
}
