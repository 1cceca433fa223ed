//! At which hours of the day news come, as the last days have shown.
//!
//! Points are for the whole day, news come in some hours of it: calls in office hours, tags in the evening. The points
//! that promises leave over are kept for those hours. The hours are those of UTC, for one credential may serve
//! accounts of several zones.

use std::time::Duration;

use super::time::Instant;

const HOURS: usize = 24;
const HOUR: i64 = 3600;

/// How much of an hour's average is kept when that hour has come again.
const KEPT: f64 = 0.5;

/// A little is expected of any hour, or one that was quiet so far would never be looked at.
const EXPECTED: f64 = 1.0;

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
}

impl Rhythm {
    /// Notes what was found at a moment.
    pub fn note(&mut self, at: Instant, news: u64) {
        let number = at.unix_seconds().div_euclid(HOUR);
        match &mut self.running {
            Some(running) if running.number == number => running.news += news as f64,
            running => {
                if let Some(over) = running.replace(Running { number, news: news as f64 }) {
                    self.learn(over);
                }
            }
        }
    }

    fn learn(&mut self, over: Running) {
        let average = &mut self.average[hour_of_day(over.number)];
        *average = Some(average.map_or(over.news, |before| before * KEPT + over.news * (1.0 - KEPT)));
    }

    /// How much of a rate that is even over `lasts` belongs to this hour: 1 is the even part.
    pub fn part_of(&self, now: Instant, lasts: Duration) -> f64 {
        let till = now + lasts.clamp(Duration::from_secs(1), Duration::from_hours(48));
        let (mut sum, mut from) = (0.0, now);
        while from < till {
            let next_hour = Instant::from_unix_seconds((from.unix_seconds().div_euclid(HOUR) + 1) * HOUR);
            let end = next_hour.min(till);
            sum += self.weight(from) * end.since(from).as_secs_f64();
            from = end;
        }
        self.weight(now) * till.since(now).as_secs_f64() / sum
    }

    /// What waits is news times interval, so points are best spent by the root of the news.
    fn weight(&self, at: Instant) -> f64 {
        let known = self.average.iter().flatten();
        let n_known = known.clone().count();
        let expected = if n_known == 0 { 0.0 } else { known.sum::<f64>() / n_known as f64 };
        let news = self.average[hour_of_day(at.unix_seconds().div_euclid(HOUR))].unwrap_or(expected);
        (news + EXPECTED).sqrt()
    }
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

    fn watched_days(n_days: u64, news_at: impl Fn(u64) -> u64) -> Rhythm {
        let mut rhythm = Rhythm::default();
        for hour in 0..=n_days * 24 {
            rhythm.note(at_hour(hour), news_at(hour % 24));
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
        assert!((rhythm.part_of(at_hour(48 + 9), Duration::from_hours(5)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn another_rhythm_is_learnt_within_days() {
        let mut rhythm = watched_days(5, |hour| if hour < 12 { 100 } else { 0 });
        for hour in 5 * 24 + 1..=9 * 24 {
            rhythm.note(at_hour(hour), if hour % 24 < 12 { 0 } else { 100 });
        }
        assert!(rhythm.part_of(at_hour(9 * 24 + 15), DAY) > rhythm.part_of(at_hour(9 * 24 + 3), DAY));
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
