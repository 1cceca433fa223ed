//! The points of an account: so many answered requests per minute and per day.
//!
//! A minute begins with its first request; the day ends at midnight of the account's zone.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Map, Value, json};

use super::{
    error::ApiError,
    scenario::{Limits, LimitsShape},
};

pub struct Points {
    shape: LimitsShape,
    minute: Counter,
    day: Counter,
    zone: TimeZone,
    used: PointsUsed,
    /// By requests, in the minute and the day that run.
    used_in_minute: u32,
    used_in_day: u32,
}

struct Counter {
    limit: u32,
    remaining: u32,
    resets_at: Option<Timestamp>,
}

/// The points that requests took, without what was spent elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PointsUsed {
    /// In each counter of a day, from the first on; the last one may still run.
    pub by_day: Vec<u32>,
    /// In the counter of a minute in which it was most.
    pub most_in_a_minute: u32,
}

impl Points {
    pub fn new(limits: &Limits, zone: &TimeZone, now: Timestamp) -> Points {
        let counter = |limit: u32, remaining: Option<u32>, reset: Option<u32>| Counter {
            limit,
            remaining: remaining.unwrap_or(limit),
            resets_at: reset.map(|seconds| in_seconds(now, i64::from(seconds))),
        };
        Points {
            shape: limits.shape,
            minute: counter(limits.minute, limits.minute_remaining, limits.minute_reset),
            day: counter(limits.day, limits.day_remaining, limits.day_reset),
            zone: zone.clone(),
            used: PointsUsed::default(),
            used_in_minute: 0,
            used_in_day: 0,
        }
    }

    /// Other limits from now on; what was used before is remembered.
    pub fn set(&mut self, limits: &Limits, zone: &TimeZone, now: Timestamp) {
        self.close_minute();
        self.close_day();
        *self = Points { used: std::mem::take(&mut self.used), ..Points::new(limits, zone, now) };
    }

    /// Refuses a request for which there is no point.
    pub fn check(&mut self, now: Timestamp) -> Result<(), ApiError> {
        self.reset_what_is_over(now);
        if self.day.remaining == 0 {
            return Err(ApiError::limit_exceeded("day", self.day.limit));
        }
        if self.minute.remaining == 0 {
            return Err(ApiError::limit_exceeded("minute", self.minute.limit));
        }
        Ok(())
    }

    /// Takes the point of an answered request.
    pub fn charge(&mut self) {
        self.minute.remaining = self.minute.remaining.saturating_sub(1);
        self.day.remaining = self.day.remaining.saturating_sub(1);
        self.used_in_minute += 1;
        self.used_in_day += 1;
    }

    /// Takes points that no request of this simulator has paid for, as many as there are.
    pub fn spend_elsewhere(&mut self, points: u32, now: Timestamp) {
        self.reset_what_is_over(now);
        let points = points.min(self.minute.remaining).min(self.day.remaining);
        self.minute.remaining -= points;
        self.day.remaining -= points;
    }

    /// What was used until now.
    pub fn used(&mut self, now: Timestamp) -> PointsUsed {
        self.reset_what_is_over(now);
        let mut used = self.used.clone();
        used.by_day.push(self.used_in_day);
        used.most_in_a_minute = used.most_in_a_minute.max(self.used_in_minute);
        used
    }

    fn close_minute(&mut self) {
        let used = std::mem::take(&mut self.used_in_minute);
        self.used.most_in_a_minute = self.used.most_in_a_minute.max(used);
    }

    fn close_day(&mut self) {
        self.used.by_day.push(std::mem::take(&mut self.used_in_day));
    }

    /// `limits` of the metadata; `None`: the metadata has no such key.
    pub fn tell(&mut self, now: Timestamp) -> Option<Value> {
        self.reset_what_is_over(now);
        match self.shape {
            LimitsShape::Missing => None,
            LimitsShape::Empty => Some(json!({})),
            LimitsShape::Full => Some(Value::Object(self.counters(now))),
            LimitsShape::NoReset => Some(Value::Object(without(self.counters(now), &["_reset"]))),
            LimitsShape::Left => Some(Value::Object(without(self.counters(now), &["_reset", "_limit"]))),
            LimitsShape::Hour => Some(Value::Object(self.minute.to_json("hour", now))),
        }
    }

    fn counters(&self, now: Timestamp) -> Map<String, Value> {
        let mut limits = self.day.to_json("day", now);
        limits.extend(self.minute.to_json("minute", now));
        limits
    }

    fn reset_what_is_over(&mut self, now: Timestamp) {
        if self.minute.is_over(now) {
            self.close_minute();
        }
        if self.day.is_over(now) {
            self.close_day();
        }
        let midnight = || {
            let tomorrow = self.zone.to_datetime(now).date().tomorrow().ok()?;
            Some(tomorrow.to_zoned(self.zone.clone()).ok()?.timestamp())
        };
        self.minute.reset_when_over(now, || in_seconds(now, 60));
        self.day.reset_when_over(now, || midnight().unwrap_or_else(|| in_seconds(now, 86_400)));
    }
}

impl Counter {
    fn is_over(&self, now: Timestamp) -> bool {
        self.resets_at.is_some_and(|at| at <= now)
    }

    fn reset_when_over(&mut self, now: Timestamp, next: impl FnOnce() -> Timestamp) {
        match self.resets_at {
            Some(at) if at > now => {}
            Some(_) => {
                self.remaining = self.limit;
                self.resets_at = Some(next());
            }
            None => self.resets_at = Some(next()),
        }
    }

    fn to_json(&self, name: &str, now: Timestamp) -> Map<String, Value> {
        let left = self.resets_at.map_or(0.0, |at| at.duration_since(now).as_secs_f64());
        // Rounded up, so that a caller who waits as told does not come too early.
        let reset = left.ceil().max(0.0) as u64;
        Map::from_iter([
            (format!("{name}_limit"), self.limit.into()),
            (format!("{name}_remaining"), self.remaining.into()),
            (format!("{name}_reset"), reset.into()),
        ])
    }
}

fn without(mut limits: Map<String, Value>, ends: &[&str]) -> Map<String, Value> {
    limits.retain(|key, _| !ends.iter().any(|end| key.ends_with(end)));
    limits
}

fn in_seconds(now: Timestamp, seconds: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_run_out_and_come_back_with_the_next_minute() {
        let zone = TimeZone::get("Europe/Moscow").unwrap();
        let now: Timestamp = "2026-03-02T20:59:00Z".parse().unwrap();
        let mut points = Points::new(&Limits::per(2, 3), &zone, now);
        for _ in 0..2 {
            points.check(now).unwrap();
            points.charge();
        }
        let refusal = points.check(now).unwrap_err();
        assert_eq!(refusal.details.params, Some(json!({"limit_type": "minute", "limit_max_value": 2})));
        let limits = points.tell(now).unwrap();
        assert_eq!((&limits["minute_reset"], &limits["day_reset"]), (&json!(60), &json!(60)));

        let later = in_seconds(now, 59);
        assert!(points.check(later).is_err());
        let next_day = in_seconds(now, 60);
        points.check(next_day).unwrap();
        assert_eq!(points.tell(next_day).unwrap()["day_remaining"], 3);
    }

    #[test]
    fn the_day_runs_out_on_its_own() {
        let now: Timestamp = "2026-03-02T10:00:00Z".parse().unwrap();
        let mut points = Points::new(&Limits::per(60, 1), &TimeZone::UTC, now);
        points.check(now).unwrap();
        points.charge();
        let refusal = points.check(in_seconds(now, 600)).unwrap_err();
        assert_eq!(refusal.details.params.unwrap()["limit_type"], "day");
    }
}
