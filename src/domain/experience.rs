//! What earlier readings of an account have taught: what a reading costs, and where news are found.
//!
//! Lost with the process, and soon learnt again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::ladder::{Ladder, Tier};
use super::plan::{LONGEST_WINDOW, Purpose, Reading};
use super::rhythm;
use super::time::{Instant, Interval};

const SHORTEST_CHUNK: Duration = Duration::from_hours(1);
const FIRST_CHUNK: Duration = Duration::from_hours(24);

/// A chunk of back-fill aims at no more pages than this, so that a newer one can come between.
const PAGES_PER_CHUNK: u32 = 4;

/// What was read is trusted for times so many times as long.
const STRETCHED: u32 = 4;

/// News of the last hour say more than those of yesterday.
const SHORTEST_MEMORY: Duration = Duration::from_hours(1);

/// A tier is remembered for so many of its own intervals, but not for longer than a day.
const REMEMBERED_INTERVALS: u32 = 4;
const LONGEST_MEMORY: Duration = Duration::from_hours(24);

#[derive(Clone, Debug)]
pub struct Experience {
    /// Pages that the last reading of a tier took, by its age.
    pages: BTreeMap<Duration, u32>,
    /// What only this tier and none below it finds, by its age.
    news: BTreeMap<Duration, News>,
    /// Rows that start in a second, by the largest reading so far.
    density: Option<Density>,
    chunk: Duration,
}

#[derive(Clone, Copy, Debug)]
struct News {
    per_second: f64,
    as_of: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Density {
    rows_per_second: f64,
    window: Duration,
}

impl Density {
    fn rows_within(&self, length: Duration) -> f64 {
        self.rows_per_second * length.as_secs_f64()
    }
}

/// What a complete reading came to.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub n_pages: u32,
    pub n_rows: u64,
    /// How long before the reading each call started of which there were news.
    pub news: Vec<Duration>,
}

impl Outcome {
    pub fn note_page(&mut self, n_rows: u64) {
        self.n_pages += 1;
        self.n_rows += n_rows;
    }
}

impl Default for Experience {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), news: BTreeMap::new(), density: None, chunk: FIRST_CHUNK }
    }
}

impl Experience {
    /// What is to be expected of an account with so many calls a day.
    pub fn expecting(calls_a_day: f64) -> Self {
        let day = Duration::from_hours(24);
        let density = Density { rows_per_second: calls_a_day / day.as_secs_f64(), window: day };
        Self { density: Some(density), ..Self::default() }
    }

    /// Since when the live tier was looked at for the last time before this reading, and how many of the news that it
    /// found have come since then or not long before. None where that is too long ago to tell when they came.
    pub fn lately(&self, ladder: &Ladder, reading: &Reading, outcome: &Outcome) -> Option<(Interval, u64)> {
        let Purpose::Tier { age } = reading.purpose else { return None };
        let till = reading.window.till;
        let lately = |tier: &Tier| self.read_at(tier).filter(|at| till.since(*at) <= rhythm::LATELY);
        let watched = Interval::new(lately(ladder.tiers.first()?)?, till)?;
        let read_lately = |tier: &&Tier| tier.age <= age && lately(tier).is_some();
        let known = ladder.tiers.iter().rfind(read_lately)?.age;
        Some((watched, outcome.news.iter().filter(|old| **old <= known).count() as u64))
    }

    /// Notes a complete reading.
    pub fn note(&mut self, ladder: &Ladder, reading: &Reading, outcome: &Outcome) {
        let window = reading.window.length();
        self.note_density(outcome.n_rows, window);
        match reading.purpose {
            Purpose::Tier { age } => {
                self.pages.insert(age, outcome.n_pages);
                self.note_news(ladder, age, reading.window.till, &outcome.news);
            }
            Purpose::Backfill => self.chunk = next_chunk(self.chunk, outcome.n_pages),
        }
    }

    fn note_density(&mut self, n_rows: u64, window: Duration) {
        let seconds = window.as_secs_f64();
        if seconds > 0.0 && self.density.is_none_or(|known| known.window <= window) {
            self.density = Some(Density { rows_per_second: n_rows as f64 / seconds, window });
        }
    }

    /// Each piece of news counts for the smallest tier that would have found it.
    fn note_news(&mut self, ladder: &Ladder, age: Duration, at: Instant, news: &[Duration]) {
        let mut from = None;
        for tier in ladder.tiers.iter().filter(|tier| tier.age <= age) {
            // What was never read is read as well, however old.
            let reach = self.read_at(tier).map_or(tier.age, |last| tier.age.max(at.since(last)));
            let is_of_tier = |old: &&Duration| **old <= reach && from.is_none_or(|from| **old > from);
            let found = news.iter().filter(is_of_tier).count();
            self.note_rate(tier, at, found as f64);
            from = Some(reach);
        }
    }

    fn note_rate(&mut self, tier: &Tier, at: Instant, found: f64) {
        let known = self.known(tier);
        let passed = known.map_or(tier.every, |known| at.since(known.as_of)).as_secs_f64().max(1.0);
        let memory = (tier.every * REMEMBERED_INTERVALS).clamp(SHORTEST_MEMORY, LONGEST_MEMORY).as_secs_f64();
        let weight = 1.0 - (-passed / memory).exp();
        let before = known.map_or(0.0, |known| known.per_second);
        let per_second = before + weight * (found / passed - before);
        self.news.insert(tier.age, News { per_second, as_of: at });
    }

    /// Of a tier that was never read, a larger one that was: it has found what is to be found here, and more.
    fn known(&self, tier: &Tier) -> Option<News> {
        self.news.range(tier.age..).next().map(|(_, known)| *known)
    }

    /// Up to when everything that this tier has to find was found.
    pub fn read_at(&self, tier: &Tier) -> Option<Instant> {
        self.known(tier).map(|known| known.as_of)
    }

    /// News per second that only this tier finds.
    pub fn news(&self, tier: &Tier) -> f64 {
        self.known(tier).map_or(0.0, |known| known.per_second)
    }

    /// Rows of a reading of this tier, as they come to be expected.
    pub fn rows(&self, tier: &Tier) -> f64 {
        self.density.map_or(0.0, |density| density.rows_within(tier.age))
    }

    /// Rows of so long a time, when something like that was read: a quiet quarter of an hour says nothing of days.
    pub fn rows_within(&self, length: Duration) -> Option<f64> {
        let density = self.density.filter(|density| density.window * STRETCHED >= length)?;
        Some(density.rows_within(length))
    }

    /// Pages of a reading of this tier: as the last one took, or by the rows of other readings.
    pub fn pages(&self, tier: &Tier, page_size: u32) -> u32 {
        if let Some(pages) = self.pages.get(&tier.age) {
            return (*pages).max(1);
        }
        let rows = self.rows(tier);
        // A float of this size is a whole number of pages, and `as` holds it within bounds.
        ((rows / f64::from(page_size.max(1))).ceil() as u32).max(1)
    }

    /// Whether a reading of a larger tier takes no more points than that of a smaller one, and can take its place.
    pub fn costs_no_more(&self, larger: &Tier, smaller: &Tier, page_size: u32) -> bool {
        self.pages(larger, page_size) <= self.pages(smaller, page_size)
    }

    /// How much of a gap to fill at once.
    pub fn chunk(&self) -> Duration {
        self.chunk
    }
}

/// Chunks grow while they are nearly empty and shrink when they are full, so that a quiet year costs few points and
/// a busy day does not keep newer calls waiting.
fn next_chunk(chunk: Duration, n_pages: u32) -> Duration {
    match n_pages {
        0 | 1 => (chunk * 2).min(LONGEST_WINDOW),
        pages if pages > PAGES_PER_CHUNK => (chunk / 2).max(SHORTEST_CHUNK),
        _ => chunk,
    }
}

#[cfg(test)]
mod tests {
    use super::super::ladder::BackfillOrder;
    use super::*;

    const NOW: Instant = Instant::from_unix_seconds(1_772_400_000);
    const LIVE: Tier = Tier { age: Duration::from_mins(15), every: Duration::from_secs(30) };
    const OLD: Tier = Tier { age: Duration::from_hours(24), every: Duration::from_hours(1) };

    fn ladder() -> Ladder {
        Ladder { tiers: vec![LIVE, OLD], backfill: BackfillOrder::Newest, adaptive: true }
    }

    fn reading(tier: Tier, till: Instant) -> Reading {
        let window = Interval::new(till - tier.age, till).unwrap();
        Reading { window, purpose: Purpose::Tier { age: tier.age } }
    }

    fn outcome(n_rows: u64, news: &[Duration]) -> Outcome {
        Outcome { n_pages: 1, n_rows, news: news.to_vec() }
    }

    #[test]
    fn news_count_for_the_smallest_tier_that_would_have_found_them() {
        let mut experience = Experience::default();
        let news = [Duration::from_mins(1), Duration::from_mins(15), Duration::from_hours(3)];
        experience.note(&ladder(), &reading(OLD, NOW), &outcome(10, &news));
        let ratio = |tier: &Tier, found: f64| experience.news(tier) / (found / tier.every.as_secs_f64());
        assert!(ratio(&LIVE, 2.0) > 0.0 && ratio(&LIVE, 2.0) <= 1.0);
        assert!(ratio(&OLD, 1.0) > 0.0 && ratio(&OLD, 1.0) <= 1.0);
    }

    #[test]
    fn what_came_since_the_last_live_reading_is_its_news_however_old_it_is() {
        let mut experience = Experience::default();
        experience.note(&ladder(), &reading(OLD, NOW), &outcome(10, &[]));
        let till = NOW + Duration::from_hours(4);
        experience.note(&ladder(), &reading(OLD, till), &outcome(10, &[Duration::from_hours(3)]));
        assert!(experience.news(&LIVE) > 0.0 && experience.news(&OLD) == 0.0, "{experience:?}");
    }

    #[test]
    fn a_tier_that_was_never_read_is_taken_for_the_next_larger_one() {
        let between = Tier { age: Duration::from_hours(3), every: Duration::from_hours(1) };
        let mut experience = Experience::default();
        assert_eq!((experience.read_at(&between), experience.news(&between)), (None, 0.0));
        experience.note(&ladder(), &reading(OLD, NOW), &outcome(10, &[Duration::from_hours(5)]));
        assert_eq!(experience.read_at(&between), Some(NOW));
        assert!(experience.news(&between) > 0.0 && experience.news(&between) == experience.news(&OLD));
        let later = NOW + Duration::from_mins(30);
        experience.note(&ladder(), &reading(LIVE, later), &outcome(1, &[]));
        assert_eq!((experience.read_at(&between), experience.read_at(&LIVE)), (Some(NOW), Some(later)));
    }

    #[test]
    fn rows_are_not_guessed_from_a_much_shorter_reading() {
        let mut experience = Experience::default();
        assert_eq!(experience.rows_within(Duration::from_mins(1)), None);
        experience.note(&ladder(), &reading(LIVE, NOW), &outcome(30, &[]));
        assert_eq!(experience.rows_within(Duration::from_mins(60)), Some(120.0));
        assert_eq!(experience.rows_within(Duration::from_mins(61)), None);
    }

    #[test]
    fn the_hour_of_news_is_known_where_it_was_looked_for_them_not_long_before() {
        let minutes = Duration::from_mins;
        let mut experience = Experience::default();
        let lately = |experience: &Experience, tier, till, news: &[Duration]| {
            experience.lately(&ladder(), &reading(tier, till), &outcome(1, news))
        };
        assert_eq!(lately(&experience, LIVE, NOW, &[]), None, "nobody knows since when");
        experience.note(&ladder(), &reading(OLD, NOW), &outcome(1, &[]));

        let (soon, later) = (NOW + minutes(1), NOW + minutes(150));
        let watched = |from, till| Interval { from, till };
        assert_eq!(lately(&experience, LIVE, soon, &[minutes(2)]), Some((watched(NOW, soon), 1)));
        assert_eq!(lately(&experience, LIVE, later, &[minutes(2)]), None, "too long ago");
        // The live tier was read meanwhile, the other one not.
        experience.note(&ladder(), &reading(LIVE, NOW + minutes(140)), &outcome(1, &[]));
        let news = [minutes(2), minutes(300)];
        assert_eq!(lately(&experience, OLD, later, &news), Some((watched(NOW + minutes(140), later), 1)));
    }

    #[test]
    fn the_rate_follows_what_is_found_and_is_forgotten_when_nothing_is() {
        let mut experience = Experience::default();
        let mut now = NOW;
        let mut read = |n_readings: u32, news: &[Duration]| {
            for _ in 0..n_readings {
                now = now + LIVE.every;
                experience.note(&ladder(), &reading(LIVE, now), &outcome(1, news));
            }
            experience.news(&LIVE)
        };
        let busy = read(600, &[Duration::ZERO]);
        assert!((busy * 30.0 - 1.0).abs() < 0.05, "{busy}");
        let quiet = read(600, &[]);
        assert!(quiet < busy / 50.0, "{quiet}");
    }

    #[test]
    fn pages_of_a_tier_never_read_are_guessed_from_the_rows_of_others() {
        let mut experience = Experience::default();
        assert_eq!(experience.pages(&OLD, 5000), 1);
        experience.note(&ladder(), &reading(LIVE, NOW), &outcome(150, &[]));
        assert_eq!(experience.pages(&OLD, 5000), 3, "14 400 rows a day");
        experience.note(&ladder(), &reading(OLD, NOW), &Outcome { n_pages: 7, ..outcome(30_000, &[]) });
        assert_eq!(experience.pages(&OLD, 5000), 7);
    }

    #[test]
    fn chunks_grow_while_they_are_empty_and_shrink_when_they_are_full() {
        assert_eq!(next_chunk(FIRST_CHUNK, 1), FIRST_CHUNK * 2);
        assert_eq!(next_chunk(LONGEST_WINDOW, 0), LONGEST_WINDOW);
        assert_eq!(next_chunk(FIRST_CHUNK, PAGES_PER_CHUNK), FIRST_CHUNK);
        assert_eq!(next_chunk(FIRST_CHUNK, PAGES_PER_CHUNK + 1), FIRST_CHUNK / 2);
        assert_eq!(next_chunk(SHORTEST_CHUNK, 100), SHORTEST_CHUNK);
    }
}
