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

    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_mins(1),
            Self::Hour => Duration::from_hours(1),
            Self::Day => Duration::from_hours(24),
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

/// How often a limit that is used up is looked at, as long as there is a point for it.
const LOOK_EVERY: Duration = Duration::from_hours(1);

/// How many points others spend with the same credential (a BI tool, a script), as the counter shows it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Others {
    per_second: f64,
    last: Option<(Points, Instant)>,
}

impl Others {
    /// What they did in the last hours they will go on doing.
    const MEMORY: Duration = Duration::from_hours(3);

    /// Notes how a counter stands, when callfeed itself has spent so many points since it was noted before.
    pub fn note(&mut self, points: Points, own: u64, now: Instant) {
        if let Some((before, at)) = self.last.replace((points, now))
            && before.limit == points.limit
            && before.resets_at > now
            && now > at
        {
            // An answer may tell of a request that is counted a moment later: below zero evens that out.
            let spent = before.remaining as f64 - points.remaining as f64 - own as f64;
            let passed = now.since(at).as_secs_f64();
            let weight = 1.0 - (-passed / Self::MEMORY.as_secs_f64()).exp();
            self.per_second += weight * (spent / passed - self.per_second);
        }
    }

    pub fn per_second(&self) -> f64 {
        self.per_second.max(0.0)
    }
}

/// The points of one credential, and the share of them that callfeed may use.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    share: f64,
    windows: Vec<(PointsWindow, Points)>,
    /// Points per second that others are expected to spend.
    others: f64,
}

impl Budget {
    /// A window that the API does not name is not limited.
    pub fn new(share: f64, windows: impl IntoIterator<Item = (PointsWindow, Points)>) -> Self {
        Self { share, windows: windows.into_iter().collect(), others: 0.0 }
    }

    /// The same when others are expected to spend so many points per second: what they will take is not planned with.
    pub fn beside(self, others: &Others) -> Self {
        Self { others: others.per_second(), ..self }
    }

    /// Until when no request may be sent; None when one may be sent now.
    pub fn wait(&self, now: Instant) -> Option<(Instant, PointsWindow)> {
        self.wait_keeping(0, now)
    }

    /// The same for a request that has to leave so many points of the minute to others of callfeed's own.
    ///
    /// The last points of a day are spent one by one: a limit that is raised meanwhile shows in an answer only.
    pub fn wait_keeping(&self, kept: u64, now: Instant) -> Option<(Instant, PointsWindow)> {
        let waits = self.running(now).filter_map(|(window, points)| {
            let left = self.left(points);
            let (is_used_up, until) = match self.look_every(*window, points) {
                None if *window == PointsWindow::Minute => (left <= kept.min(self.own(points) / 2), points.resets_at),
                None => (left == 0, points.resets_at),
                Some(every) => {
                    let n_looks = points.resets_at.since(now).as_secs().saturating_sub(1) / every.as_secs();
                    (left <= n_looks, points.resets_at - every * u32::try_from(left).unwrap_or(u32::MAX))
                }
            };
            is_used_up.then_some((until, *window))
        });
        waits.max()
    }

    /// How often a counter that is all but used up is looked at: every hour, with a hundredth of the points at the most.
    fn look_every(&self, window: PointsWindow, points: &Points) -> Option<Duration> {
        let n_looks = (window.length().as_secs() / LOOK_EVERY.as_secs()).min(self.own(points) / 100);
        let n_looks = u32::try_from(n_looks).ok().filter(|n_looks| *n_looks > 0)?;
        Some(window.length() / n_looks)
    }

    /// A counter as the API last showed it.
    pub fn counter(&self, window: PointsWindow) -> Option<Points> {
        self.windows.iter().find(|(of, _)| *of == window).map(|(_, points)| *points)
    }

    /// What callfeed may use of a limit.
    pub fn allowed(&self, window: PointsWindow) -> Option<u64> {
        self.counter(window).map(|points| self.own(&points))
    }

    /// Points per second that the limit by the minute allows for long; None without one.
    pub fn sustained(&self) -> Option<f64> {
        let (_, points) = self.windows.iter().find(|(window, _)| *window == PointsWindow::Minute)?;
        Some(self.own(points) as f64 / PointsWindow::Minute.length().as_secs_f64())
    }

    /// The points left of the hour or the day, whichever has less for the time until it ends, and that time.
    pub fn scarcest(&self, now: Instant) -> Option<(u64, Duration)> {
        let long = self.running(now).filter(|(window, _)| *window != PointsWindow::Minute);
        let left = long.map(|(_, points)| (self.to_plan_with(points, now), points.resets_at.since(now)));
        let per_second = |(points, lasts): &(u64, Duration)| *points as f64 / lasts.as_secs_f64();
        left.min_by(|a, b| per_second(a).total_cmp(&per_second(b)))
    }

    /// Whether there are points for what nobody was promised, when promises take `promised` points per second.
    ///
    /// A quarter of what an even pace would leave may be spent at once, though promises be stretched by it for the
    /// rest of the day: the calls of last week are wanted today. Within a minute, promises come first.
    pub fn has_spare(&self, promised: f64, now: Instant) -> bool {
        self.running(now).all(|(window, points)| {
            let lasts = points.resets_at.since(now).as_secs_f64();
            // A single point a minute is not kept for ever.
            let (kept, at_least) = match window {
                PointsWindow::Minute => (0.5, 0.5),
                PointsWindow::Hour | PointsWindow::Day => (0.75, 1.0),
            };
            let even = self.own(points) as f64 * kept * (lasts / window.length().as_secs_f64()).min(1.0);
            self.to_plan_with(points, now) as f64 >= (promised * lasts).min(even) + at_least
        })
    }

    /// The counters that have not started anew since they were seen.
    fn running(&self, now: Instant) -> impl Iterator<Item = &(PointsWindow, Points)> {
        self.windows.iter().filter(move |(_, points)| points.resets_at > now)
    }

    /// What is left when others have taken theirs. They may stop, so some of it is always planned with.
    fn to_plan_with(&self, points: &Points, now: Instant) -> u64 {
        const AT_LEAST: f64 = 0.1;
        let left = self.left(points) as f64;
        let for_others = self.others * points.resets_at.since(now).as_secs_f64();
        (left - for_others).max(left * AT_LEAST).round() as u64
    }

    /// What is left of callfeed's share: the rest of the limit stays for others. Any share allows one point.
    fn left(&self, points: &Points) -> u64 {
        points.remaining.saturating_sub(points.limit - self.own(points))
    }

    fn own(&self, points: &Points) -> u64 {
        let own = (points.limit as f64 * self.share).round() as u64;
        own.max(1).min(points.limit)
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
    const HOUR: Duration = Duration::from_hours(1);

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
    fn the_last_points_of_a_day_are_spent_one_by_one() {
        let until = |remaining: u64| {
            let day = points(2400, remaining, 10 * 3600);
            Budget::new(1.0, [(PointsWindow::Day, day)]).wait(NOW).map(|(until, _)| until.since(NOW))
        };
        assert_eq!(until(11), None);
        assert_eq!(until(9), Some(HOUR));
        assert_eq!(until(3), Some(7 * HOUR));
        assert_eq!(until(0), Some(10 * HOUR));
        let a_third = Budget::new(1.0, [(PointsWindow::Day, points(800, 2, 10 * 3600))]);
        assert_eq!(a_third.wait(NOW), Some((NOW + 4 * HOUR, PointsWindow::Day)), "eight looks a day, one every 3 h");
        let small = Budget::new(1.0, [(PointsWindow::Day, points(50, 1, 10 * 3600))]);
        assert_eq!(small.wait(NOW), None, "few points are not kept");
    }

    #[test]
    fn some_points_of_a_minute_can_be_kept() {
        let minute = |remaining| Budget::new(1.0, [(PointsWindow::Minute, points(48, remaining, 30))]);
        assert_eq!(minute(3).wait_keeping(2, NOW), None);
        assert!(minute(2).wait_keeping(2, NOW).is_some() && minute(2).wait(NOW).is_none());
        assert_eq!(minute(25).wait_keeping(1000, NOW), None, "half of them are for anything");
    }

    #[test]
    fn a_counter_whose_reset_has_passed_says_nothing() {
        let stale = Budget::new(0.8, [(PointsWindow::Day, points(3000, 0, 0))]);
        assert_eq!(stale.wait(NOW), None);
        assert_eq!(stale.scarcest(NOW), None);
    }

    #[test]
    fn the_hour_or_day_with_less_for_its_time_counts() {
        let day = (PointsWindow::Day, points(3000, 2000, 20_000));
        let minute = (PointsWindow::Minute, points(60, 1, 41));
        let hour = |remaining| (PointsWindow::Hour, points(300, remaining, 1000));
        let scarcest = |windows: &[_]| Budget::new(1.0, windows.iter().copied()).scarcest(NOW);
        assert_eq!(scarcest(&[day, minute]), Some((2000, Duration::from_secs(20_000))));
        assert_eq!(scarcest(&[day, hour(50)]), Some((50, Duration::from_secs(1000))));
        assert_eq!(scarcest(&[day, hour(150)]), Some((2000, Duration::from_secs(20_000))));
        assert_eq!(scarcest(&[minute]), None);
        assert_eq!(Budget::new(0.5, [minute]).sustained(), Some(0.5));
        assert_eq!(Budget::new(0.5, [day]).sustained(), None);
    }

    #[test]
    fn what_others_go_on_spending_is_not_planned_with() {
        let day = |remaining: u64| Points { limit: 3000, remaining, resets_at: NOW + 10 * HOUR };
        let mut others = Others::default();
        // Callfeed spends 20 points an hour, others 50.
        for hour in 0..12 {
            let now = NOW - (12 - hour) * HOUR;
            others.note(day(3000 - 70 * u64::from(hour)), if hour == 0 { 0 } else { 20 }, now);
        }
        let an_hour = others.per_second() * 3600.0;
        assert!((45.0..=50.0).contains(&an_hour), "{an_hour}");
        let budget = Budget::new(1.0, [(PointsWindow::Day, day(1500))]);
        assert_eq!(budget.scarcest(NOW), Some((1500, 10 * HOUR)));
        let (left, _) = budget.clone().beside(&others).scarcest(NOW).unwrap();
        assert!((1000..=1050).contains(&left), "{left}");
        assert_eq!(budget.clone().beside(&others).wait(NOW), None);

        // They may take all and stop: then a little is still planned with.
        let little = Budget::new(1.0, [(PointsWindow::Day, day(100))]).beside(&others);
        assert_eq!(little.scarcest(NOW), Some((10, 10 * HOUR)));
    }

    #[test]
    fn a_new_counter_says_nothing_of_others() {
        let mut others = Others::default();
        others.note(points(3000, 100, 10), 0, NOW);
        others.note(points(3000, 2999, 86_400), 1, NOW + Duration::from_secs(20));
        others.note(points(6000, 5000, 86_380), 1, NOW + Duration::from_secs(40));
        assert_eq!(others.per_second(), 0.0);
    }

    #[test]
    fn a_quarter_of_the_day_may_be_spent_on_what_was_not_promised() {
        let whole_day = 24 * 3600;
        let spare = |remaining, promised_a_day: f64| {
            Budget::new(1.0, [(PointsWindow::Day, points(2400, remaining, whole_day))])
                .has_spare(promised_a_day / whole_day as f64, NOW)
        };
        assert!(spare(2400, 2900.0) && spare(1801, 2900.0) && !spare(1800, 2900.0));
        let one = Budget::new(1.0, [(PointsWindow::Minute, points(1, 1, 60))]);
        assert!(one.has_spare(1.0 / 30.0, NOW), "a single point is not kept for ever");
        assert!(spare(301, 300.0) && !spare(300, 300.0), "cheap promises leave more");
        assert!(Budget::new(1.0, []).has_spare(1.0, NOW), "what is not limited is not saved");
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
