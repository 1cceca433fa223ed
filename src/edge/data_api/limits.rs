//! Points: what `metadata.limits` says is left of them. Every key may be missing (data-api, 7).

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// One window of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowLimits {
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// How long after `seen_at` the counter starts anew.
    pub reset: Option<Duration>,
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
    /// None when the metadata says nothing about points: `limits` missing, null or `{}`.
    pub(super) fn of_metadata(metadata: &Value, seen_at: Instant) -> Option<Self> {
        let limits = &metadata["limits"];
        let (minute, hour, day) = (window(limits, "minute"), window(limits, "hour"), window(limits, "day"));
        let nothing = [minute, hour, day].iter().all(|window| *window == WindowLimits::default());
        (!nothing).then_some(Self { minute, hour, day, seen_at })
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

        let day = WindowLimits { limit: Some(3000), remaining: Some(2871), reset: Some(Duration::from_secs(50212)) };
        assert_eq!((limits.day, limits.hour, limits.minute), (day, WindowLimits::default(), WindowLimits::default()));
        assert_eq!(limits.to_string(), "2871 of 3000 today");
    }

    #[test]
    fn metadata_without_points_says_nothing() {
        for metadata in [json!(null), json!({}), json!({"limits": {}}), json!({"limits": null}), json!({"limits": 3})] {
            assert_eq!(seen(metadata.clone()), None, "{metadata}");
        }
    }
}
