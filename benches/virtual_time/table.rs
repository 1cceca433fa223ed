//! The figures of all plays, one line a kind of news.

use std::fmt;

use callfeed::rehearsal::oracle::{self, News, Reach, Reached, Waits};

use super::plays::Play;

const PAGE_SIZE: f64 = 5000.0;
const HORIZON_DAYS: f64 = 30.0;
const DAY: f64 = 86_400.0;

/// Of 60 points a minute, 48 are callfeed's.
const MOST_A_SECOND: f64 = 0.8;

pub struct Table(Vec<String>);

impl Table {
    pub fn new() -> Self {
        let mut lines = vec![format!(
            "{:<26}{:<9}{:>7}{:>17}{:>17}{:>7}{:>17}{:>17}{:>25}",
            "median / 99th percentile",
            "",
            "news",
            "callfeed",
            "best timetable",
            "ratio",
            "clairvoyant",
            "whole horizon",
            "cursor (lost)"
        )];
        lines.push("-".repeat(134));
        Self(lines)
    }

    pub fn add(&mut self, play: &Play, news: &[News], days: u64) {
        let points = play.share_a_day();
        let n_calls = news.iter().filter(|news| news.is_new_call).count() as f64 / (days.max(3) - 2) as f64;
        let pages = |days: f64| (n_calls * days / PAGE_SIZE).ceil().max(1.0);
        // What fits one page costs one point, however old; the rest is a second kind of reading.
        let reaches = [
            Reach { age: (PAGE_SIZE / n_calls.max(1.0)).min(HORIZON_DAYS) * DAY, points: 1.0 },
            Reach { age: HORIZON_DAYS * DAY, points: pages(HORIZON_DAYS) },
        ];
        let n_readings = (points * (days.max(3) - 2) as f64) as usize;
        let all = [
            oracle::observed(news),
            oracle::timetable(news, points, MOST_A_SECOND, &reaches),
            oracle::clairvoyant(news, n_readings),
            oracle::fixed_interval(news, points, reaches[1]),
            oracle::forward_only(news, points),
        ];
        for (kind, is_new_call) in [("new", true), ("changes", false)] {
            let n = news.iter().filter(|news| news.is_new_call == is_new_call).count();
            let of_kind = |reached: &Reached| if is_new_call { reached.new_calls } else { reached.changes };
            let [own, best, clairvoyant, fixed, cursor] = all.each_ref().map(of_kind);
            self.0.push(format!(
                "{:<26}{kind:<9}{n:>7}{:>17}{:>17}{:>7.2}{:>17}{:>17}{:>25}",
                if is_new_call { play.name } else { "" },
                figures(&own),
                figures(&best),
                best.median / own.median,
                figures(&clairvoyant),
                figures(&fixed),
                figures(&cursor),
            ));
        }
    }
}

fn figures(waits: &Waits) -> String {
    let lost = if waits.lost > 0.0005 { format!(" ({:.0} %)", waits.lost * 100.0) } else { String::new() };
    if waits.lost > 0.9995 { "never".to_owned() } else { format!("{} / {}{lost}", time(waits.median), time(waits.p99)) }
}

fn time(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 100.0 => format!("{seconds:.1}s"),
        seconds if seconds < 6000.0 => format!("{:.0}m", seconds / 60.0),
        seconds => format!("{:.1}h", seconds / 3600.0),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}
