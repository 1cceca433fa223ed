//! The clock of the service: the only place that asks the machine for the time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant as Moment;

use crate::domain::time::Instant;

/// No sleep is longer, so that a host clock that was put forward or back is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Sleepers wake up together, at ticks of so many milliseconds: thousands of accounts that wake one by one would each
/// have the system put the process to sleep and wake it again.
const TICK_MILLIS: i64 = 100;

/// Now, and the now that plans are made for. `run --once` plans for the moment it started, so that it ends.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    frozen: Option<Instant>,
    rehearsed: Option<Rehearsed>,
}

/// A time of its own that goes on with tokio's clock: what this one shows, and what that one showed then.
#[derive(Clone, Copy, Debug)]
struct Rehearsed {
    shown_millis: i64,
    taken: Moment,
}

impl Clock {
    /// Plans are made for the moment of planning.
    pub const fn running() -> Self {
        Self { frozen: None, rehearsed: None }
    }

    /// Plans are made for this moment: what is due later is left alone.
    pub fn frozen_now() -> Self {
        Self { frozen: Some(Self::running().now()), rehearsed: None }
    }

    /// Shows `start` now and goes on as tokio's clock does, which can be paused: for rehearsals.
    pub fn rehearsed_from(start: Instant) -> Self {
        let rehearsed = Rehearsed { shown_millis: start.unix_seconds() * 1000, taken: Moment::now() };
        Self { frozen: None, rehearsed: Some(rehearsed) }
    }

    pub const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    pub fn planning_now(&self) -> Instant {
        self.frozen.unwrap_or_else(|| self.now())
    }

    /// Nothing is planned for a later moment than this, also when the machine's clock was put back meanwhile.
    pub fn latest_now(&self) -> Instant {
        self.planning_now().max(self.now())
    }

    pub fn now(&self) -> Instant {
        Instant::from_unix_seconds(self.now_millis().div_euclid(1000))
    }

    /// Milliseconds of Unix time.
    pub fn now_millis(&self) -> i64 {
        match self.rehearsed {
            Some(rehearsed) => rehearsed.shown_millis.saturating_add(millis(rehearsed.taken.elapsed())),
            None => millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        }
    }

    /// Sleeps until this clock shows `until`, and on to the next tick.
    pub async fn sleep_until(&self, until: Instant) {
        loop {
            match until.since(self.now()) {
                Duration::ZERO => return,
                left => tokio::time::sleep(left.min(LONGEST_SLEEP) + self.until_tick()).await,
            }
        }
    }

    fn until_tick(&self) -> Duration {
        let left = (-self.now_millis()).rem_euclid(TICK_MILLIS);
        Duration::from_millis(left.unsigned_abs())
    }

    /// The same as the standard library tells it.
    pub fn system_time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.now_millis().unsigned_abs())
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rehearsed_clock_goes_on_with_the_clock_of_the_runtime() {
        let clock = Clock::rehearsed_from(Instant::from_unix_seconds(1_772_400_000));

        tokio::time::sleep(Duration::from_millis(60 * 86_400_000 + 250)).await;

        assert_eq!(clock.now_millis(), 1_772_400_000_250 + 60 * 86_400_000);
        assert_eq!(clock.system_time(), UNIX_EPOCH + Duration::from_millis(1_777_584_000_250));
    }

    #[tokio::test(start_paused = true)]
    async fn sleepers_that_lay_down_one_by_one_wake_up_together() {
        let start = Instant::from_unix_seconds(1_772_400_000);
        for (lies_down_after, wakes_after) in [(0, 95_000), (1, 95_100), (99, 95_100), (100, 95_100), (901, 95_000)] {
            let clock = Clock::rehearsed_from(start);
            tokio::time::sleep(Duration::from_millis(lies_down_after)).await;
            clock.sleep_until(start + Duration::from_secs(95)).await;
            assert_eq!(clock.now_millis(), start.unix_millis() + wakes_after, "{lies_down_after}");
        }
    }
}
