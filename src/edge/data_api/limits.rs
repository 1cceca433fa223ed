//! Points: what `metadata.limits` says is left of them. Every key may be missing (data-api, 7).

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::error::LimitWindow;
use super::refusal::limit_window;
use crate::domain::pace::PointsWindow;

/// One window of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowLimits {
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// How long after `seen_at` the counter starts anew.
    pub reset: Option<Duration>,
    /// The most that was ever left: it stands for a limit that is not told.
    pub most_left: Option<u64>,
}

/// The newest limits a credential has been told, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenLimits {
    pub minute: WindowLimits,
    pub hour: WindowLimits,
    pub day: WindowLimits,
    pub seen_at: Instant,
}

impl SeenLimits {
    pub const fn windows(&self) -> [(PointsWindow, WindowLimits); 3] {
        [(PointsWindow::Minute, self.minute), (PointsWindow::Hour, self.hour), (PointsWindow::Day, self.day)]
    }

    /// None when the metadata says nothing about points: `limits` missing, null or `{}`.
    pub(super) fn of_metadata(metadata: &Value, seen_at: Instant) -> Option<Self> {
        let limits = &metadata["limits"];
        let (minute, hour, day) = (window(limits, "minute"), window(limits, "hour"), window(limits, "day"));
        let nothing = [minute, hour, day].iter().all(|window| *window == WindowLimits::default());
        (!nothing).then_some(Self { minute, hour, day, seen_at })
    }
}

/// Answers to requests that were out at once come in any order: resets that differ by less are of one counter.
const SAME_RESET: Duration = Duration::from_secs(2);

impl SeenLimits {
    /// These limits, told by an answer that came after the other one. An older answer may come later: of the same
    /// counter the lower number of what is left is the newer.
    pub(super) fn after(self, before: &SeenLimits) -> Self {
        let passed = self.seen_at.saturating_duration_since(before.seen_at);
        let window = |now: WindowLimits, before: WindowLimits| {
            let resets_with = |now: Duration, before: Duration| (now + passed).abs_diff(before) <= SAME_RESET;
            let is_same_counter = now.limit == before.limit
                && now.reset.zip(before.reset).is_some_and(|(now, before)| resets_with(now, before));
            let least = now.remaining.zip(before.remaining).map(|(now, before)| now.min(before));
            let remaining = least.filter(|_| is_same_counter).or(now.remaining);
            WindowLimits { remaining, most_left: now.most_left.max(before.most_left), ..now }
        };
        Self {
            minute: window(self.minute, before.minute),
            hour: window(self.hour, before.hour),
            day: window(self.day, before.day),
            seen_at: self.seen_at,
        }
    }
}

impl SeenLimits {
    /// These limits so much later, when so many points were spent meanwhile and nobody has told what is left.
    pub(super) fn counted_on(self, spent: u64, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.seen_at);
        let count = |of: PointsWindow, seen: WindowLimits| {
            let (left, reset) = match seen.reset.unwrap_or(of.length()).checked_sub(passed) {
                Some(reset) => (seen.remaining, reset),
                None => (seen.limit.or(seen.most_left), of.length()),
            };
            let is_known = seen != WindowLimits::default();
            WindowLimits {
                remaining: left.map(|left| left.saturating_sub(spent)),
                reset: is_known.then_some(reset),
                ..seen
            }
        };
        Self {
            minute: count(PointsWindow::Minute, self.minute),
            hour: count(PointsWindow::Hour, self.hour),
            day: count(PointsWindow::Day, self.day),
            seen_at: now,
        }
    }

    /// What is known once a request was refused for want of points by an API that tells of no counters: the limit by the
    /// words of the refusal, and that nothing is left of it.
    pub(super) fn of_refusal(params: &Value, before: Option<Self>, now: Instant) -> Option<Self> {
        let limit = whole_number(&params["limit_max_value"])?;
        let unknown = WindowLimits::default();
        let nothing = Self { minute: unknown, hour: unknown, day: unknown, seen_at: now };
        let mut seen = before.map_or(nothing, |before| before.counted_on(0, now));
        let window = match limit_window(params) {
            LimitWindow::Minute => &mut seen.minute,
            LimitWindow::Hour => &mut seen.hour,
            LimitWindow::Day => &mut seen.day,
            LimitWindow::Unknown => return None,
        };
        *window = WindowLimits { limit: Some(limit), remaining: Some(0), ..unknown };
        Some(seen)
    }
}

/// What is left, for people: `57 of 60 this minute, 2871 of 3000 today`.
impl fmt::Display for SeenLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let windows = [(self.minute, "this minute"), (self.hour, "this hour"), (self.day, "today")];
        let known = windows.into_iter().filter_map(|(seen, when)| Some((seen.remaining?, seen.limit, when)));
        for (index, (remaining, limit, when)) in known.enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match limit {
                Some(limit) => write!(f, "{separator}{remaining} of {limit} {when}")?,
                None => write!(f, "{separator}{remaining} {when}")?,
            }
        }
        Ok(())
    }
}

fn window(limits: &Value, name: &str) -> WindowLimits {
    let entry = |key: &str| whole_number(&limits[format!("{name}_{key}")]);
    WindowLimits {
        limit: entry("limit"),
        remaining: entry("remaining"),
        reset: entry("reset").map(Duration::from_secs),
        most_left: entry("remaining"),
    }
}

/// A number, also when it is written as text or with a fraction; negative counts and other things are nothing.
pub(super) fn whole_number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(floor)),
        Value::String(text) => text.trim().parse().ok().or_else(|| text.trim().parse().ok().and_then(floor)),
        _ => None,
    }
}

/// Not the largest numbers: nothing counted in points or seconds comes near 2^53.
fn floor(number: f64) -> Option<u64> {
    (0.0..9e15).contains(&number).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn seen(metadata: Value) -> Option<SeenLimits> {
        SeenLimits::of_metadata(&metadata, Instant::now())
    }

    #[test]
    fn limits_are_read_in_all_their_spellings() {
        let limits = seen(json!({"version": null, "limits": {
            "day_limit": 3000, "day_remaining": "2871", "day_reset": 50212.5,
            "hour_limit": "many", "hour_remaining": -1, "hour_reset": null,
        }}))
        .unwrap();

        let reset = Some(Duration::from_secs(50212));
        let day = WindowLimits { limit: Some(3000), remaining: Some(2871), reset, most_left: Some(2871) };
        assert_eq!((limits.day, limits.hour, limits.minute), (day, WindowLimits::default(), WindowLimits::default()));
        assert_eq!(limits.to_string(), "2871 of 3000 today");
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_answer_that_comes_later_gives_no_points_back() {
        let day = |limit: u64, remaining: u64, reset: u64| {
            seen(json!({"limits": {"day_limit": limit, "day_remaining": remaining, "day_reset": reset}})).unwrap()
        };
        let before = day(3000, 20, 900);
        tokio::time::advance(Duration::from_secs(2)).await;
        let remaining = |later: SeenLimits| later.after(&before).day.remaining;
        assert_eq!(remaining(day(3000, 21, 898)), Some(20), "it was asked earlier");
        assert_eq!(remaining(day(3000, 19, 898)), Some(19));
        assert_eq!(remaining(day(6000, 3020, 898)), Some(3020), "the limit was raised");
        assert_eq!(remaining(day(3000, 2999, 86_398)), Some(2999), "a new day");
    }

    #[tokio::test(start_paused = true)]
    async fn where_counters_are_not_told_a_refusal_tells_the_limit_and_answers_are_counted() {
        let params = json!({"limit_type": "minute", "limit_max_value": 30});
        let refused = SeenLimits::of_refusal(&params, None, Instant::now()).unwrap();
        assert_eq!((refused.minute.limit, refused.minute.remaining), (Some(30), Some(0)));
        tokio::time::advance(Duration::from_secs(20)).await;
        let later = refused.counted_on(0, Instant::now());
        assert_eq!((later.minute.remaining, later.minute.reset), (Some(0), Some(Duration::from_secs(40))));
        tokio::time::advance(Duration::from_secs(41)).await;
        let anew = later.counted_on(1, Instant::now());
        assert_eq!((anew.minute.remaining, anew.minute.reset), (Some(29), Some(Duration::from_secs(60))));
        assert_eq!(anew.counted_on(1, Instant::now()).minute.remaining, Some(28));
        assert_eq!(anew.day, WindowLimits::default());
        for params in [json!(null), json!({"limit_type": "week", "limit_max_value": 3}), json!({"limit_type": "day"})] {
            assert_eq!(SeenLimits::of_refusal(&params, None, Instant::now()), None, "{params}");
        }
    }

    #[test]
    fn of_a_limit_that_is_not_told_the_most_that_was_left_is_known() {
        let left = |remaining: u64| seen(json!({"limits": {"day_remaining": remaining}})).unwrap();
        let later = left(250).after(&left(290));
        assert_eq!((later.day.limit, later.day.remaining, later.day.most_left), (None, Some(250), Some(290)));
    }

    #[test]
    fn metadata_without_points_says_nothing() {
        for metadata in [json!(null), json!({}), json!({"limits": {}}), json!({"limits": null}), json!({"limits": 3})] {
            assert_eq!(seen(metadata.clone()), None, "{metadata}");
        }
    }
}
