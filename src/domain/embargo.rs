//! An API that serves rows only hours after they started.
//!
//! Two shapes of it are met. Rows may simply appear late: then the live window reaches back to the newest row seen
//! ([`live_from`]). Or a `date_till` that is too recent is refused: then windows end some time before now. How long
//! that is nobody tells; it is found by refusals, which cost no points, and looked for again every few hours.
//!
//! ```text
//!  refused: 0 -> 1 h -> 2 h -> 4 h -> 8 h -> 16 h -> 24 h -> no embargo, another fault
//!  taken:   halfway between the longest that was refused and the shortest that was taken, until they are near
//! ```

use std::time::Duration;

use super::time::Instant;

const FIRST: Duration = Duration::from_hours(1);

/// A `date_till` that is older than this and refused is no matter of an embargo.
const LONGEST: Duration = Duration::from_hours(24);

/// How often a shorter embargo is looked for.
const TRY_AGAIN: Duration = Duration::from_hours(3);

/// Embargoes that differ by less are one.
const FINEST: Duration = Duration::from_mins(2);

/// How long before now windows end, and what is known about how long that must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embargo {
    /// The shortest lag that is taken, or the next one to try after refusals.
    lag: Duration,
    is_taken: bool,
    /// The longest that was refused since a shorter lag was last looked for.
    refused: Duration,
    /// From then on a shorter lag is tried.
    next_try: Instant,
    told: Duration,
}

impl Default for Embargo {
    fn default() -> Self {
        let (none, at_once) = (Duration::ZERO, Instant::from_unix_seconds(0));
        Self { lag: none, is_taken: true, refused: none, next_try: at_once, told: none }
    }
}

impl Embargo {
    /// How long before now windows end, when that was found to be another time than was told before.
    pub fn news(&mut self, now: Instant) -> Option<Duration> {
        let is_news = now < self.next_try && self.lag != self.told;
        self.told = if is_news { self.lag } else { self.told };
        is_news.then_some(self.lag)
    }

    /// The end of a window that is planned now: by times an attempt that may be refused.
    pub fn end(&self, now: Instant) -> Instant {
        if self.is_taken && now >= self.next_try { now - self.shorter() } else { now - self.lag }
    }

    /// Notes that a window which ended at `end` was read. It was planned at `now`, or a moment before.
    pub fn taken(&mut self, end: Instant, now: Instant) {
        let lag = now.since(end);
        // Windows of the back-fill end long before, and prove nothing.
        if lag <= self.lag + FINEST {
            (self.lag, self.is_taken) = (self.lag.min(lag), true);
            self.settle(now);
        }
    }

    /// Notes that a window which ended at `end` was refused for that. False: it ended so long ago that there must be
    /// another reason.
    pub fn refused(&mut self, end: Instant, now: Instant) -> bool {
        let lag = now.since(end);
        if lag >= LONGEST {
            return false;
        }
        self.refused = self.refused.max(lag);
        if lag >= self.lag {
            let doubled = std::iter::successors(Some(FIRST), |longer| Some(*longer * 2)).find(|longer| *longer > lag);
            (self.lag, self.is_taken) = (doubled.unwrap_or(LONGEST).min(LONGEST), false);
            self.next_try = now;
        }
        self.settle(now);
        true
    }

    /// Ends the search when it has come near enough. It starts anew some hours later, from nothing.
    fn settle(&mut self, now: Instant) {
        let is_near = self.lag.saturating_sub(self.refused) <= FINEST.max(self.lag / 16);
        if self.is_taken && now >= self.next_try && is_near {
            self.refused = Duration::ZERO;
            self.next_try = now + TRY_AGAIN;
        }
    }

    fn shorter(&self) -> Duration {
        let halfway = (self.lag + self.refused) / 2;
        if halfway <= FINEST / 2 { Duration::ZERO } else { Duration::from_secs(halfway.as_secs()) }
    }
}

/// Where a window of rows up to `age` old begins that is to find new rows: rows that come hours after they started come
/// after the newest one seen, not after now. It reaches back no further than `reach`.
pub fn live_from(end: Instant, age: Duration, newest: Option<Instant>, reach: Duration) -> Instant {
    let newest = newest.map_or(end, |newest| newest.min(end));
    (newest - age).max(end - reach.max(age))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn at(seconds: i64) -> Instant {
        Instant::from_unix_seconds(1_772_000_000 + seconds)
    }

    const MINUTE: Duration = Duration::from_mins(1);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_live_window_reaches_back_to_the_newest_row() {
        let day = 24 * HOUR;
        let table = [
            // Nothing seen, a row of now, one of six hours ago, one beyond the reach, one of the time to come.
            (None, 15 * MINUTE),
            (Some(at(0)), 15 * MINUTE),
            (Some(at(0) - 6 * HOUR), 6 * HOUR + 15 * MINUTE),
            (Some(at(0) - 90 * day), 30 * day),
            (Some(at(0) + day), 15 * MINUTE),
        ];
        for (newest, expected) in table {
            assert_eq!(live_from(at(0), 15 * MINUTE, newest, 30 * day), at(0) - expected, "{newest:?}");
        }
        assert_eq!(live_from(at(0), 15 * MINUTE, None, Duration::ZERO), at(0) - 15 * MINUTE);
    }

    #[test]
    fn without_refusals_windows_end_now() {
        let mut embargo = Embargo::default();
        for seconds in 0..10 {
            assert_eq!(embargo.end(at(seconds)), at(seconds));
            embargo.taken(at(seconds), at(seconds));
        }
        assert_eq!(embargo.lag, Duration::ZERO);
    }

    #[test]
    fn an_old_end_that_is_refused_has_another_reason() {
        let mut embargo = Embargo::default();
        assert!(!embargo.refused(at(0) - 24 * HOUR, at(0)));
        assert_eq!(embargo, Embargo::default());
        // An API that refuses every end is asked a few times only.
        let refusals = (0..100).take_while(|_| embargo.refused(embargo.clone().end(at(0)), at(0)));
        assert_eq!(refusals.count(), 6);
    }

    /// An API that refuses what is more recent than `embargo`, read every minute. Gives the refusals.
    fn read(state: &mut Embargo, embargo: Duration, from: Instant, minutes: i64) -> usize {
        let mut refusals = 0;
        for minute in 0..minutes {
            let now = from + u32::try_from(minute).unwrap() * MINUTE;
            let end = state.end(now);
            if now.since(end) < embargo {
                assert!(state.refused(end, now), "{state:?}");
                refusals += 1;
            } else {
                state.taken(end, now);
            }
        }
        refusals
    }

    proptest! {
        #[test]
        fn an_embargo_is_found_in_a_few_requests_and_left_when_it_is_lifted(minutes in 1_u32..24 * 60) {
            let embargo = minutes * MINUTE;
            let mut state = Embargo::default();
            prop_assert_eq!(read(&mut state, Duration::ZERO, at(-60), 1), 0);
            let refusals = read(&mut state, embargo, at(0), 20);
            prop_assert_eq!(state.news(at(1200)), Some(state.lag));
            prop_assert_eq!(state.news(at(1200)), None);
            prop_assert!(state.lag >= embargo);
            prop_assert!(state.lag - embargo <= FINEST.max(state.lag / 16), "{:?} for {embargo:?}", state.lag);
            prop_assert!(refusals <= 12, "{refusals}");

            // It is looked for again, and little is asked in vain.
            let refusals = read(&mut state, embargo, at(1200), 24 * 60);
            prop_assert!(state.lag >= embargo && refusals <= 8 * 9, "{refusals}");

            read(&mut state, Duration::ZERO, at(100_000), 8 * 60);
            prop_assert_eq!(state.lag, Duration::ZERO);
        }
    }
}
