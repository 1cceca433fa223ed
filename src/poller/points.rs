//! The points of a credential, as the API last told of them.

use std::time::Duration;

use crate::clock::Clock;
use crate::domain::pace::{Budget, Points, PointsWindow};
use crate::domain::time::Instant;
use crate::edge::data_api::{Client, WindowLimits};

/// The points of a credential as it last heard of them.
pub fn budget(client: &Client, share: f64, clock: &Clock) -> Budget {
    let Some(limits) = client.limits() else { return Budget::new(share, []) };
    let (age, now_millis) = (limits.seen_at.elapsed(), clock.now_millis());
    let points = |window: PointsWindow, seen: WindowLimits| {
        // A counter that has started anew since says nothing about what is left.
        let resets_at = whole_second_after(now_millis, seen.reset?.checked_sub(age)?);
        Some((window, Points { limit: seen.limit?, remaining: seen.remaining?, resets_at }))
    };
    let windows = [
        points(PointsWindow::Minute, limits.minute),
        points(PointsWindow::Hour, limits.hour),
        points(PointsWindow::Day, limits.day),
    ];
    Budget::new(share, windows.into_iter().flatten())
}

/// Rounded up: a request in the second before the reset would be refused, and the reset waited for once more.
fn whole_second_after(now_millis: i64, wait: Duration) -> Instant {
    let wait = i64::try_from(wait.as_millis()).unwrap_or(i64::MAX);
    Instant::from_unix_seconds(now_millis.saturating_add(wait).saturating_add(999).div_euclid(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_within_a_second_is_waited_for_until_its_end() {
        let after =
            |now_millis, wait_millis| whole_second_after(now_millis, Duration::from_millis(wait_millis)).unix_seconds();
        assert_eq!(after(10_000, 3_000), 13);
        assert_eq!(after(10_900, 3_000), 14);
        assert_eq!(after(10_900, 3_100), 14);
        assert_eq!(after(10_000, 2_001), 13);
    }
}
