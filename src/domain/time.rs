//! Two kinds of time that must never be mixed: instants, and the wall-clock text of the Data API.
//!
//! The API speaks in local times without a zone (data-api, 4). An [`Instant`] becomes local through the account's
//! zone and back; an hour that a clock change repeats maps to its earlier instant, and a window of instants becomes
//! the local window that contains every wall-clock time shown during it, so that no row falls between two windows.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// No clock on a wall is further from UTC, in seconds: the bound of time zone files.
const FURTHEST_FROM_UTC: i64 = 26 * 3600;

/// A moment, in whole seconds of Unix time: the precision of the Data API.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(i64);

impl Instant {
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds)
    }

    pub const fn unix_seconds(self) -> i64 {
        self.0
    }

    pub const fn unix_millis(self) -> i64 {
        self.0 * 1000
    }

    /// Seconds from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_secs(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    /// What a clock on the wall in `zone` shows at this moment.
    pub fn to_local(self, zone: &TimeZone) -> LocalTime {
        LocalTime::from_civil(zone.to_datetime(self.timestamp()))
    }

    fn timestamp(self) -> Timestamp {
        let limited = self.0.clamp(Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        Timestamp::from_second(limited).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, by: Duration) -> Instant {
        Instant(self.0.saturating_add_unsigned(by.as_secs()))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, by: Duration) -> Instant {
        Instant(self.0.saturating_sub_unsigned(by.as_secs()))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.timestamp())
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A wall-clock time of an account without a zone, in whole seconds: what `date_from` and `start_time` hold.
///
/// The number inside counts seconds as if the clock never changed, so that order and distance are those of the text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalTime(i64);

impl LocalTime {
    /// Reads `YYYY-MM-DD hh:mm:ss`; a `T`, a fraction and an offset are accepted, as some samples carry them.
    ///
    /// The offset is not applied: the wall-clock part is what the account sees (data-api, 2).
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(plain) = parse_plain(text.as_bytes()) {
            return Some(plain);
        }
        let wall = text.trim();
        let wall = wall.strip_suffix(['Z', 'z']).unwrap_or(wall);
        wall.parse::<DateTime>().ok().map(Self::from_civil)
    }

    pub fn from_civil(civil: DateTime) -> Self {
        let since_epoch = civil.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
        Self(since_epoch.as_secs())
    }

    pub fn to_civil(self) -> DateTime {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        epoch.saturating_add(SignedDuration::from_secs(self.0))
    }

    /// The moment this clock reading stands for: of a repeated hour the earlier one, of a skipped one the moment
    /// that a clock which had not been changed would have shown it.
    pub fn to_instant(self, zone: &TimeZone) -> Instant {
        let ambiguous = zone.to_ambiguous_timestamp(self.to_civil());
        match ambiguous.compatible() {
            Ok(timestamp) => Instant(timestamp.as_second()),
            Err(_) => Instant(self.0),
        }
    }

    /// The moment from which on the clock shows this time or later ones: behind both passes of a repeated hour.
    fn to_end_instant(self, zone: &TimeZone) -> Instant {
        let second_before = zone.to_ambiguous_timestamp(self.plus_seconds(-1).to_civil());
        match (second_before.offset(), second_before.later()) {
            (AmbiguousOffset::Fold { .. }, Ok(timestamp)) => Instant(timestamp.as_second() + 1),
            _ => self.to_instant(zone),
        }
    }

    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Whole hours since the epoch of this clock: the ledger's bucket.
    pub const fn hour(self) -> LocalHour {
        LocalHour(self.0.div_euclid(3600))
    }

    /// Seconds since 1970-01-01 00:00:00 of this clock.
    pub const fn seconds(self) -> i64 {
        self.0
    }

    pub const fn seconds_since(self, earlier: LocalTime) -> i64 {
        self.0 - earlier.0
    }
}

/// The common form, read without the general parser: it stands in every row several times.
fn parse_plain(text: &[u8]) -> Option<LocalTime> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, b' ', h0, h1, b':', i0, i1, b':', s0, s1] = *text else {
        return None;
    };
    let two = |tens: u8, ones: u8| -> Option<i8> {
        (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| ((tens - b'0') * 10 + (ones - b'0')) as i8)
    };
    let year = i16::from(two(y0, y1)?) * 100 + i16::from(two(y2, y3)?);
    let civil = DateTime::new(year, two(m0, m1)?, two(d0, d1)?, two(h0, h1)?, two(i0, i1)?, two(s0, s1)?, 0);
    civil.ok().map(LocalTime::from_civil)
}

impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_civil().strftime("%Y-%m-%d %H:%M:%S"))
    }
}

impl fmt::Debug for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An hour of an account's wall clock: rows of the ledger lie together by the hour they started in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalHour(i64);

impl LocalHour {
    pub const fn from_number(hours: i64) -> Self {
        Self(hours)
    }

    pub const fn number(self) -> i64 {
        self.0
    }

    pub const fn start(self) -> LocalTime {
        LocalTime(self.0 * 3600)
    }

    pub const fn end(self) -> LocalTime {
        LocalTime((self.0 + 1) * 3600)
    }

    /// When the clock has shown the hour for the last time.
    pub fn ends_at(self, zone: &TimeZone) -> Instant {
        self.end().to_end_instant(zone)
    }

    /// Reads what `Display` writes: `2026-03-02T10`.
    pub fn parse(text: &str) -> Option<Self> {
        let (date, hour) = text.split_once('T')?;
        let date: jiff::civil::Date = date.parse().ok()?;
        let hour: i8 = hour.parse().ok().filter(|hour| (0..24).contains(hour))?;
        Some(LocalTime::from_civil(date.at(hour, 0, 0, 0)).hour())
    }
}

impl fmt::Display for LocalHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.start().to_civil().strftime("%Y-%m-%dT%H"))
    }
}

impl fmt::Debug for LocalHour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A half-open interval `[from, till)` of moments. Never empty.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Interval {
    pub from: Instant,
    pub till: Instant,
}

impl Interval {
    /// None when there is nothing between the two.
    pub fn new(from: Instant, till: Instant) -> Option<Self> {
        (from < till).then_some(Self { from, till })
    }

    pub fn length(self) -> Duration {
        self.till.since(self.from)
    }

    pub fn contains(self, instant: Instant) -> bool {
        self.from <= instant && instant < self.till
    }

    /// The local window holding every wall-clock time that `zone` shows during the interval, also across a change.
    ///
    /// A window that begins or ends within a repeated range is widened to all of it: the API does not say which of the
    /// two moments a bound there means.
    pub fn to_local(self, zone: &TimeZone) -> LocalInterval {
        let mut hull = LocalInterval { from: self.from.to_local(zone), till: self.till.to_local(zone) };
        for change in changes_after(self.from, zone).take_while(|change| change.at <= self.till) {
            hull.till = hull.till.max(change.before);
            if change.at < self.till {
                hull.from = hull.from.min(change.after);
            }
        }
        hull.repeated(zone).into_iter().fold(hull, |hull, twice| LocalInterval {
            from: hull.from.min(twice.from),
            till: hull.till.max(twice.till),
        })
    }

    /// The part that has been read once every row before the wall-clock time `before` was; None when that is nothing.
    ///
    /// Of a skipped time the moment before the skip is taken: [`LocalTime::to_instant`] would say that the hour behind
    /// it was read as well.
    pub fn read_before(self, before: LocalTime, zone: &TimeZone) -> Option<Interval> {
        let reached = match zone.to_ambiguous_timestamp(before.to_civil()).earlier() {
            Ok(timestamp) => Instant(timestamp.as_second()),
            Err(_) => self.from,
        };
        Interval::new(self.from, self.till.min(reached))
    }
}

/// A half-open interval `[from, till)` of wall-clock times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LocalInterval {
    pub from: LocalTime,
    pub till: LocalTime,
}

impl LocalInterval {
    /// The moments at which the clock shows a time of the interval; none when a clock change skips all of it.
    pub fn to_instants(self, zone: &TimeZone) -> Option<Interval> {
        Interval::new(self.from.to_instant(zone), self.till.to_end_instant(zone))
    }

    /// The times that the clock shows twice, as far as they touch the interval, ascending.
    pub fn repeated(self, zone: &TimeZone) -> Vec<LocalInterval> {
        let changes = changes_after(Instant(self.from.0 - FURTHEST_FROM_UTC), zone);
        let near = changes.take_while(|change| change.at.0 <= self.till.0 + FURTHEST_FROM_UTC);
        let repeated = near.map(|change| LocalInterval { from: change.after, till: change.before });
        repeated.filter(|twice| twice.from < twice.till && twice.from < self.till && self.from < twice.till).collect()
    }

    pub fn contains(self, time: LocalTime) -> bool {
        self.from <= time && time < self.till
    }
}

/// A change of the clocks: what they would show then without it, and what they do show.
struct ClockChange {
    at: Instant,
    before: LocalTime,
    after: LocalTime,
}

fn changes_after(moment: Instant, zone: &TimeZone) -> impl Iterator<Item = ClockChange> {
    zone.following(moment.timestamp()).map(|change| {
        let at = Instant(change.timestamp().as_second());
        ClockChange { at, before: Instant(at.0 - 1).to_local(zone).plus_seconds(1), after: at.to_local(zone) }
    })
}

#[cfg(test)]
mod tests;
