//! At which hours of the day news come, as the last days have shown.
//!
//! Points are for the whole day, news come in some hours of it: calls in office hours, tags in the evening. The points
//! that promises leave over are kept for those hours. The hours are those of UTC, for one credential may serve
//! accounts of several zones.

use std::time::Duration;

use super::time::{Instant, Interval};

const HOURS: usize = 24;
const HOUR: i64 = 3600;

/// What such hours have brought on other days says as much about this one as watching it for so many hours does.
const WEIGHT_OF_SUCH_HOURS: f64 = 0.5;

/// And what other hours have brought, while no such hour was watched.
const WEIGHT_OF_OTHERS: f64 = 0.05;

/// A little is expected of any hour, or one that was quiet so far would never be looked at.
const EXPECTED: f64 = 1.0;

/// What was not looked at for longer than this has news of hours that nobody can tell apart.
pub const LATELY: Duration = Duration::from_hours(2);

#[derive(Clone, Debug, Default)]
pub struct Rhythm {
    /// News in that hour of the day, averaged over the days; None where no such hour was watched.
    average: [Option<f64>; HOURS],
    running: Option<Running>,
}

/// The hour that goes on.
#[derive(Clone, Copy, Debug)]
struct Running {
    number: i64,
    news: f64,
    watched: Interval,
}

impl Rhythm {
    /// Notes what has come in some time: anywhen in it.
    pub fn note(&mut self, watched: Interval, news: u64) {
        let whole = watched.length().as_secs_f64();
        for part in hours(watched) {
            let news = news as f64 * part.length().as_secs_f64() / whole;
            match &mut self.running {
                Some(running) if running.number == number(part.from) => {
                    running.news += news;
                    running.watched.till = running.watched.till.max(part.till);
                }
                _ => self.begin(Running { number: number(part.from), news, watched: part }),
            }
        }
    }

    fn begin(&mut self, next: Running) {
        if let Some(over) = self.running.replace(next) {
            self.average[hour_of_day(over.number)] = Some(over.after(self.before(over.number)));
        }
    }

    /// How much of a rate that is even over `lasts` belongs to this hour: 1 is the even part.
    pub fn part_of(&self, now: Instant, lasts: Duration) -> f64 {
        let lasts = lasts.clamp(Duration::from_secs(1), Duration::from_hours(48));
        let weighed = |part: Interval| self.weight(part.from) * part.length().as_secs_f64();
        let sum: f64 = hours(Interval { from: now, till: now + lasts }).map(weighed).sum();
        self.weight(now) * lasts.as_secs_f64() / sum
    }

    /// What waits is news times interval, so points are best spent by the root of the news.
    fn weight(&self, at: Instant) -> f64 {
        let before = self.before(number(at));
        let running = self.running.filter(|running| running.number == number(at));
        (running.map_or(before.news, |running| running.after(before)) + EXPECTED).sqrt()
    }

    /// What is to be expected of an hour before it is watched.
    fn before(&self, number: i64) -> Expected {
        if let Some(news) = self.average[hour_of_day(number)] {
            return Expected { news, weight: WEIGHT_OF_SUCH_HOURS };
        }
        let (n, sum) = self.average.iter().flatten().fold((0, 0.0), |(n, sum), news| (n + 1, sum + news));
        Expected { news: sum / f64::from(n.max(1)), weight: WEIGHT_OF_OTHERS }
    }
}

/// News of an hour, and for how many hours of watching that stands.
#[derive(Clone, Copy, Debug)]
struct Expected {
    news: f64,
    weight: f64,
}

impl Running {
    /// News of the whole hour, when it was watched so far.
    fn after(&self, before: Expected) -> f64 {
        let watched = self.watched.length().as_secs_f64() / HOUR as f64;
        (before.news * before.weight + self.news) / (before.weight + watched)
    }
}

/// The pieces of some time, each within one hour.
fn hours(time: Interval) -> impl Iterator<Item = Interval> {
    let next = |from: Instant| Instant::from_unix_seconds((number(from) + 1) * HOUR);
    std::iter::successors(Some(time.from), move |from| Some(next(*from)))
        .map_while(move |from| Interval::new(from, time.till.min(next(from))))
}

/// Hours since the beginning of Unix time.
fn number(at: Instant) -> i64 {
    at.unix_seconds().div_euclid(HOUR)
}

fn hour_of_day(number: i64) -> usize {
    usize::try_from(number.rem_euclid(HOURS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIDNIGHT: Instant = Instant::from_unix_seconds(1_772_409_600);
    const DAY: Duration = Duration::from_hours(24);

    fn at_hour(hour: u64) -> Instant {
        MIDNIGHT + Duration::from_hours(hour)
    }

    fn watch(rhythm: &mut Rhythm, hour: u64, news: u64) {
        rhythm.note(Interval { from: at_hour(hour), till: at_hour(hour + 1) }, news);
    }

    fn watched_days(n_days: u64, news_at: impl Fn(u64) -> u64) -> Rhythm {
        let mut rhythm = Rhythm::default();
        for hour in 0..n_days * 24 {
            watch(&mut rhythm, hour, news_at(hour % 24));
        }
        rhythm
    }

    #[test]
    fn before_a_day_was_watched_all_hours_are_alike() {
        let rhythm = Rhythm::default();
        assert!((rhythm.part_of(at_hour(3), DAY) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn busy_hours_get_more_than_quiet_ones() {
        let rhythm = watched_days(2, |hour| if (8..20).contains(&hour) { 100 } else { 0 });
        let (night, noon) = (rhythm.part_of(at_hour(48 + 2), DAY), rhythm.part_of(at_hour(48 + 12), DAY));
        assert!(noon > 1.5 && night < 0.3, "{noon} {night}");
        // With only busy hours to come there is nothing to keep points for.
        let rhythm = watched_days(25, |hour| if (8..20).contains(&hour) { 100 } else { 0 });
        assert!((rhythm.part_of(at_hour(25 * 24 + 9), Duration::from_hours(5)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn another_rhythm_is_learnt_within_days() {
        let mut rhythm = watched_days(5, |hour| if hour < 12 { 100 } else { 0 });
        for hour in 5 * 24..9 * 24 {
            watch(&mut rhythm, hour, if hour % 24 < 12 { 0 } else { 100 });
        }
        assert!(rhythm.part_of(at_hour(9 * 24 + 15), DAY) > rhythm.part_of(at_hour(9 * 24 + 3), DAY));
    }

    #[test]
    fn an_hour_that_is_busier_than_such_hours_were_gets_more_at_once() {
        let mut rhythm = watched_days(2, |hour| if hour < 12 { 100 } else { 0 });
        let evening = at_hour(48 + 20);
        let before = rhythm.part_of(evening, DAY);
        rhythm.note(Interval { from: evening, till: evening + Duration::from_mins(6) }, 10);
        assert!(rhythm.part_of(evening + Duration::from_mins(6), DAY) > before * 2.0, "{before}");
        assert!((rhythm.part_of(at_hour(48 + 21), DAY) - before).abs() < 0.1, "the hour behind it is still quiet");
    }

    #[test]
    fn an_hour_that_was_hardly_watched_says_little() {
        let mut rhythm = watched_days(2, |_| 60);
        let (noon, quiet) = (at_hour(48 + 12), Duration::from_mins(2));
        rhythm.note(Interval { from: noon, till: noon + quiet }, 0);
        // Nobody looks for hours then.
        watch(&mut rhythm, 48 + 20, 60);
        let next_noon = at_hour(72 + 12);
        assert!(rhythm.part_of(next_noon, DAY) > 0.9, "{}", rhythm.part_of(next_noon, DAY));
    }

    #[test]
    fn news_of_two_hours_are_spread_over_both() {
        let mut rhythm = Rhythm::default();
        let half = Duration::from_mins(30);
        rhythm.note(Interval { from: at_hour(9) - half, till: at_hour(9) + half }, 100);
        watch(&mut rhythm, 10, 0);
        let per_hour = |hour: u64| rhythm.before(number(at_hour(hour))).news;
        // 50 in half an hour.
        assert!((90.0..=100.0).contains(&per_hour(8)) && (90.0..=100.0).contains(&per_hour(9)));
    }

    proptest! {
        #[test]
        fn the_parts_of_a_day_are_a_whole_day(news in prop::collection::vec(0_u64..1000, 24)) {
            let rhythm = watched_days(2, |hour| news[hour as usize]);
            let sum: f64 = (0..24).map(|hour| rhythm.weight(at_hour(hour))).sum();
            for hour in 0..24 {
                let part = rhythm.part_of(at_hour(48 + hour), DAY);
                prop_assert!((part - rhythm.weight(at_hour(hour)) * 24.0 / sum).abs() < 1e-6);
            }
        }
    }
}
