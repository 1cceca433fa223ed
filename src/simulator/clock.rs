//! The simulator's clock: real time, or a time of its own that can start elsewhere, run faster, stand still or jump.
//!
//! Everything in the simulator that depends on time (which calls exist, sessions, points) asks this clock, so a
//! scenario with a fixed clock answers the same request with the same bytes. It goes on with tokio's clock, which can be
//! paused.

use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

pub struct Clock {
    reading: Mutex<Reading>,
}

/// The clock showed `shown` when tokio's steady clock was at `taken`.
struct Reading {
    shown: Timestamp,
    taken: Instant,
    speed: f64,
}

impl Clock {
    /// A clock that starts at `start` (now when `None`) and runs `speed` times as fast as real time (0: stands still).
    pub fn new(start: Option<Timestamp>, speed: f64) -> Clock {
        Clock {
            reading: Mutex::new(Reading { shown: start.unwrap_or_else(Timestamp::now), taken: Instant::now(), speed }),
        }
    }

    pub fn now(&self) -> Timestamp {
        super::lock(&self.reading).now()
    }

    pub fn set(&self, now: Timestamp) {
        let mut reading = super::lock(&self.reading);
        reading.shown = now;
        reading.taken = Instant::now();
    }

    pub fn advance(&self, by: SignedDuration) {
        let mut reading = super::lock(&self.reading);
        // `now` is between the years -9999 and 9999; a jump beyond them stays where it was.
        let now = reading.now();
        reading.shown = now.checked_add(by).unwrap_or(now);
        reading.taken = Instant::now();
    }
}

impl Reading {
    fn now(&self) -> Timestamp {
        let elapsed = self.taken.elapsed();
        let elapsed = match self.speed {
            // To the nanosecond: whoever keeps the same time shows the same second.
            1.0 => SignedDuration::try_from(elapsed),
            speed => SignedDuration::try_from_secs_f64(elapsed.as_secs_f64() * speed),
        };
        let elapsed = elapsed.unwrap_or_default();
        self.shown.checked_add(elapsed).unwrap_or(self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_clock_moves_only_when_told() {
        let start: Timestamp = "2026-03-02T07:00:00Z".parse().unwrap();
        let clock = Clock::new(Some(start), 0.0);
        assert_eq!(clock.now(), start);
        clock.advance(SignedDuration::from_mins(5));
        assert_eq!(clock.now(), start + SignedDuration::from_mins(5));
    }

    #[test]
    fn a_fast_clock_never_goes_back() {
        let clock = Clock::new(None, 1000.0);
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
