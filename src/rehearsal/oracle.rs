//! What other plans would have reached with the same points, computed afterwards from everything that happened.
//!
//! - The **timetable** knows beforehand how many news each hour of the run will bring, and of what age the calls are,
//!   but not the moment of each: the best that a plan can reach that cannot see a call before the API shows it.
//!   With rates λ of news and a reading costing p points, Σ ∫ λ/(2r) under Σ ∫ p·r = points is least at r ∝ √(λ/p).
//! - The **clairvoyant** knows the moment of each piece of news, and any one of its readings brings all that there is:
//!   a bound that no plan can reach.
//! - The **fixed interval** reads the whole horizon again and again, as often as the points allow.
//! - The **cursor** only moves forward over start times: it never sees a change, and loses what shows up late.

use std::collections::BTreeMap;

/// Seconds since a moment at which the API's counter of the day started anew.
pub type Seconds = f64;

const DAY: Seconds = 86_400.0;
const HOUR: Seconds = 3_600.0;

/// Something that the API has shown and that had to be committed.
#[derive(Clone, Copy, Debug)]
pub struct News {
    pub is_new_call: bool,
    pub call_started_at: Seconds,
    pub shown_at: Seconds,
    pub committed_at: Option<Seconds>,
}

/// How long news of one kind waited.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waits {
    pub mean: Seconds,
    pub median: Seconds,
    pub p99: Seconds,
    /// Share of the news that never came.
    pub lost: f64,
}

/// Waits of new calls and of changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    pub new_calls: Waits,
    pub changes: Waits,
}

/// Readings of the calls up to this old take so many points.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    pub age: Seconds,
    pub points: f64,
}

/// What really happened.
pub fn observed(news: &[News]) -> Reached {
    reached(news, |news| news.committed_at.map(|at| (at - news.shown_at).max(0.0)))
}

/// Readings spread as evenly over time as the points allow, each of the whole horizon.
pub fn fixed_interval(news: &[News], points_a_day: f64, horizon: Reach) -> Reached {
    let interval = DAY * horizon.points / points_a_day;
    reached(news, |news| {
        let wait = next_multiple(news.shown_at, interval) - news.shown_at;
        (news.shown_at - news.call_started_at + wait <= horizon.age).then_some(wait)
    })
}

/// Readings of what started after the newest call seen so far.
pub fn forward_only(news: &[News], points_a_day: f64) -> Reached {
    let interval = DAY / points_a_day;
    let mut by_reading: Vec<(Seconds, usize)> = news
        .iter()
        .enumerate()
        .filter(|(_, news)| news.is_new_call)
        .map(|(index, news)| (next_multiple(news.shown_at, interval), index))
        .collect();
    by_reading.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut seen = vec![None; news.len()];
    let mut cursor = f64::NEG_INFINITY;
    for reading in by_reading.chunk_by(|a, b| a.0 == b.0) {
        for (at, index) in reading {
            if news[*index].call_started_at > cursor {
                seen[*index] = Some(at - news[*index].shown_at);
            }
        }
        cursor = reading.iter().map(|(_, index)| news[*index].call_started_at).fold(cursor, f64::max);
    }
    let of_kind = |is_new_call: bool| {
        let kind = news.iter().zip(&seen).filter(move |(news, _)| news.is_new_call == is_new_call);
        waits(kind.map(|(_, wait)| *wait).collect())
    };
    Reached { new_calls: of_kind(true), changes: of_kind(false) }
}

/// The best plan for known rates. `reaches` ascend; the first is wide enough for new calls.
pub fn timetable(news: &[News], points_a_day: f64, most_a_second: f64, reaches: &[Reach]) -> Reached {
    let group_of = |news: &News| {
        let age = news.shown_at - news.call_started_at;
        reaches.iter().position(|reach| age <= reach.age).unwrap_or(reaches.len() - 1)
    };
    let mut found: BTreeMap<(i64, usize), f64> = BTreeMap::new();
    for news in news {
        *found.entry((hour_of(news.shown_at), group_of(news))).or_default() += 1.0;
    }
    // Points per day are points of that day: what one leaves is no use to the next.
    let mut wanted: BTreeMap<i64, f64> = BTreeMap::new();
    for ((hour, group), n) in &found {
        *wanted.entry(hour.div_euclid(24)).or_default() += (reaches[*group].points * n).sqrt();
    }
    let rate = |hour: i64, group: usize| {
        let n = found.get(&(hour, group)).copied().unwrap_or(0.0);
        let points = points_a_day * (reaches[group].points * n).sqrt() / wanted[&hour.div_euclid(24)] / HOUR;
        (points / reaches[group].points).min(most_a_second / reaches[group].points)
    };
    let of_kind = |is_new_call: bool| {
        let of_kind = news.iter().filter(|news| news.is_new_call == is_new_call);
        // Who waits for a reading of this rate waits evenly between nothing and its interval.
        let intervals = of_kind.map(|news| 1.0 / rate(hour_of(news.shown_at), group_of(news)));
        even_waits(&intervals.collect::<Vec<_>>())
    };
    Reached { new_calls: of_kind(true), changes: of_kind(false) }
}

/// So many readings, each of everything, at the best moments.
pub fn clairvoyant(news: &[News], n_readings: usize) -> Reached {
    let mut order: Vec<usize> = (0..news.len()).collect();
    order.sort_by(|a, b| news[*a].shown_at.total_cmp(&news[*b].shown_at));
    let times: Vec<Seconds> = order.iter().map(|index| news[*index].shown_at).collect();
    let read_at = best_readings(&times, n_readings);
    let mut wait = vec![0.0; news.len()];
    for (place, index) in order.into_iter().enumerate() {
        wait[index] = read_at[place] - times[place];
    }
    let of_kind = |is_new_call: bool| {
        let kind = news.iter().zip(&wait).filter(move |(news, _)| news.is_new_call == is_new_call);
        waits(kind.map(|(_, wait)| Some(*wait)).collect())
    };
    Reached { new_calls: of_kind(true), changes: of_kind(false) }
}

/// For each of the ascending times the moment of its reading, so that `n_readings` make the sum of waits least.
///
/// Each reading has a price, and the price is found at which so many are worth it. For one price: the best end of the
/// group before each time, over the lower envelope of lines.
fn best_readings(times: &[Seconds], n_readings: usize) -> Vec<Seconds> {
    let (mut low, mut high) = (0.0, times.last().zip(times.first()).map_or(0.0, |(last, first)| last - first) * 1e6);
    let mut best = readings_at_price(times, high);
    for _ in 0..80 {
        let price = low + (high - low) / 2.0;
        let candidate = readings_at_price(times, price);
        let n = 1 + candidate.windows(2).filter(|pair| pair[0] != pair[1]).count();
        if n > n_readings {
            low = price;
        } else {
            (high, best) = (price, candidate);
        }
    }
    best
}

fn readings_at_price(times: &[Seconds], price: f64) -> Vec<Seconds> {
    // cost(i) is the least for the first i times; a group from i to j costs t(j)·(j−i) − (sum(j) − sum(i)) + price.
    let origin = times.first().copied().unwrap_or(0.0);
    let mut lines: std::collections::VecDeque<(f64, f64, usize)> = [(0.0, 0.0, 0)].into();
    let mut came_from = vec![0; times.len() + 1];
    let mut sum = 0.0;
    for (index, time) in times.iter().enumerate() {
        let (time, count) = (time - origin, index + 1);
        sum += time;
        let at = |line: &(f64, f64, usize)| line.0 * time + line.1;
        while lines.len() > 1 && at(&lines[1]) <= at(&lines[0]) {
            lines.pop_front();
        }
        came_from[count] = lines[0].2;
        let cost = at(&lines[0]) + time * count as f64 - sum + price;
        let added = (-(count as f64), cost + sum, count);
        while lines.len() > 1 && is_needless(&lines[lines.len() - 2], &lines[lines.len() - 1], &added) {
            lines.pop_back();
        }
        lines.push_back(added);
    }
    let mut read_at = vec![0.0; times.len()];
    let mut end = times.len();
    while end > 0 {
        let start = came_from[end];
        read_at[start..end].fill(times[end - 1]);
        end = start;
    }
    read_at
}

/// Whether the middle line is nowhere below both others; slopes descend.
fn is_needless(first: &(f64, f64, usize), middle: &(f64, f64, usize), last: &(f64, f64, usize)) -> bool {
    (last.1 - first.1) * (first.0 - middle.0) <= (middle.1 - first.1) * (first.0 - last.0)
}

fn reached(news: &[News], wait: impl Fn(&News) -> Option<Seconds>) -> Reached {
    let of_kind =
        |is_new_call: bool| waits(news.iter().filter(|news| news.is_new_call == is_new_call).map(&wait).collect());
    Reached { new_calls: of_kind(true), changes: of_kind(false) }
}

fn waits(all: Vec<Option<Seconds>>) -> Waits {
    let mut came: Vec<Seconds> = all.iter().flatten().copied().collect();
    came.sort_by(f64::total_cmp);
    let at = |share: f64| came.get(((came.len() as f64 * share) as usize).min(came.len().max(1) - 1)).copied();
    Waits {
        mean: came.iter().sum::<f64>() / came.len().max(1) as f64,
        median: at(0.5).unwrap_or(f64::NAN),
        p99: at(0.99).unwrap_or(f64::NAN),
        lost: 1.0 - came.len() as f64 / all.len().max(1) as f64,
    }
}

/// Waits that are spread evenly between nothing and each interval.
fn even_waits(intervals: &[Seconds]) -> Waits {
    let n = intervals.len().max(1) as f64;
    let below = |wait: Seconds| intervals.iter().map(|interval| (wait / interval).min(1.0)).sum::<f64>() / n;
    let quantile = |share: f64| {
        let (mut low, mut high) = (0.0, intervals.iter().copied().fold(0.0, f64::max));
        for _ in 0..50 {
            let middle = low + (high - low) / 2.0;
            if below(middle) < share { low = middle } else { high = middle }
        }
        high
    };
    Waits { mean: intervals.iter().sum::<f64>() / 2.0 / n, median: quantile(0.5), p99: quantile(0.99), lost: 0.0 }
}

fn next_multiple(at: Seconds, interval: Seconds) -> Seconds {
    (at / interval).ceil() * interval
}

fn hour_of(at: Seconds) -> i64 {
    (at / HOUR).floor() as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new_call(shown_at: Seconds) -> News {
        News { is_new_call: true, call_started_at: shown_at - 60.0, shown_at, committed_at: Some(shown_at + 5.0) }
    }

    fn change(call_started_at: Seconds, shown_at: Seconds) -> News {
        News { is_new_call: false, call_started_at, shown_at, committed_at: None }
    }

    /// One every ten seconds of a day.
    fn steady() -> Vec<News> {
        (0..8640).map(|n| new_call(f64::from(n) * 10.0)).collect()
    }

    #[test]
    fn what_was_observed_is_told_by_kind_with_what_never_came() {
        let reached = observed(&[new_call(0.0), new_call(7.0), change(0.0, 9.0)]);
        assert_eq!((reached.new_calls.median, reached.new_calls.lost), (5.0, 0.0));
        assert!((reached.changes.lost - 1.0).abs() < 1e-9);
    }

    #[test]
    fn even_news_are_best_read_evenly() {
        let reached = timetable(&steady(), 1440.0, 1.0, &[Reach { age: DAY, points: 1.0 }]).new_calls;
        assert!((reached.mean - 30.0).abs() < 0.1 && (reached.median - 30.0).abs() < 0.1, "{reached:?}");
    }

    #[test]
    fn no_timetable_reads_more_often_than_the_minute_allows() {
        let reached = timetable(&steady(), 1_000_000.0, 0.1, &[Reach { age: DAY, points: 1.0 }]).new_calls;
        assert!((reached.mean - 5.0).abs() < 0.1, "{reached:?}");
    }

    #[test]
    fn a_cursor_loses_what_shows_up_late_and_every_change() {
        let late = News { call_started_at: 0.0, ..new_call(5000.0) };
        let news = [new_call(100.0), new_call(2000.0), late, change(50.0, 3000.0)];
        let reached = forward_only(&news, 864.0);
        assert!((reached.new_calls.lost - 1.0 / 3.0).abs() < 1e-9, "{reached:?}");
        assert!((reached.changes.lost - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_fixed_interval_waits_for_as_many_pages_as_the_horizon_has() {
        let reached = fixed_interval(&steady(), 1440.0, Reach { age: 30.0 * DAY, points: 10.0 }).new_calls;
        assert!((reached.mean - 295.0).abs() < 5.0, "{reached:?}");
    }

    proptest! {
        #[test]
        fn the_clairvoyant_is_as_good_as_trying_everything(
            mut times in prop::collection::vec(0_u32..1000, 1..9),
            n_readings in 1_usize..9,
        ) {
            times.sort_unstable();
            let times: Vec<Seconds> = times.into_iter().map(f64::from).collect();
            let sum = |read_at: &[Seconds]| read_at.iter().zip(&times).map(|(read, time)| read - time).sum::<f64>();
            let found = best_readings(&times, n_readings);
            let n_found = 1 + found.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert!(n_found <= n_readings);
            // Every way to cut the times into so many groups.
            let cuts = 0_u32..1 << (times.len() - 1);
            let groupings = cuts.filter(|cut| (cut.count_ones() as usize) < n_found);
            let best = groupings.map(|cut| sum(&read_at_group_ends(&times, cut))).fold(f64::INFINITY, f64::min);
            prop_assert!((sum(&found) - best).abs() < 1e-6, "{} instead of {}", sum(&found), best);
        }
    }

    fn read_at_group_ends(times: &[Seconds], cut: u32) -> Vec<Seconds> {
        let mut read_at = times.to_vec();
        for index in (0..times.len() - 1).rev() {
            if cut & (1 << index) == 0 {
                read_at[index] = read_at[index + 1];
            }
        }
        read_at
    }
}
