//! Giving up what was read from some moment on, so that it is read again.
//!
//! Only coverage is given up. The ledger stays: a call that is read again and has not changed since is no news. Where
//! the ledger was forgotten, behind its floor, nothing tells that a call was published, and it would be published again.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::call::AccountId;
use super::coverage::Coverage;
use super::time::{Instant, Interval, LocalTime};

/// The start of reading is moved back by no more at once: what is mistyped is years away, and cannot be taken back.
const FURTHEST: Duration = Duration::from_hours(366 * 24);

#[derive(Debug, thiserror::Error)]
pub enum RewindError {
    #[error(
        "expected a moment such as `2026-03-02T10:00:00+03:00`, or a local time of the account such as `2026-03-02 10:00:00`, found `{0}`"
    )]
    BadTime(String),
    #[error(
        "in which time zone `{account}` is cannot be told from its state; give the moment with an offset, such as `2026-03-02T10:00:00+03:00`"
    )]
    NoZone { account: AccountId },
    #[error("nothing of `{account}` was read after {frontier}, so there is nothing to read again from {to} on")]
    NothingRead { account: AccountId, frontier: Instant, to: Instant },
    #[error(
        "{to} is more than a year before {origin}, from where on `{account}` is read; if it is meant, go back year by year"
    )]
    TooEarly { account: AccountId, to: Instant, origin: Instant },
    #[error(
        "calls of `{account}` that started from {} till {} would be published again, as CREATED with revision 1: which of them were published is known only from {floor} on; rewind to that, or, if consumers can take it, republish them (`--republish`)",
        first.from, first.till
    )]
    WouldRepublish { account: AccountId, first: Interval, floor: Instant },
}

/// A moment as it was typed: with its offset, or by the clock of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    At(Instant),
    Local(LocalTime),
}

impl Moment {
    pub fn parse(text: &str) -> Result<Self, RewindError> {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Ok(Self::At(Instant::from_unix_seconds(timestamp.as_second())));
        }
        // As `start_from` is written.
        let formats = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"];
        let civil = formats.iter().find_map(|format| DateTime::strptime(format, text).ok());
        let civil = civil.or_else(|| Date::strptime("%Y-%m-%d", text).ok().map(DateTime::from));
        let local = civil.map(|civil| Self::Local(LocalTime::from_civil(civil)));
        local.ok_or_else(|| RewindError::BadTime(text.to_owned()))
    }

    fn instant(self, zone: Option<&TimeZone>) -> Option<Instant> {
        match self {
            Self::At(instant) => Some(instant),
            Self::Local(local) => zone.map(|zone| local.to_instant(zone)),
        }
    }
}

/// What becomes of the coverage, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewind {
    pub to: Instant,
    pub coverage: Coverage,
    /// From here on the ledger is complete.
    pub floor: Instant,
    /// What counts as read no longer, oldest first.
    pub read_again: Vec<Interval>,
    /// Of that, what the ledger has forgotten: its calls are published again, as new ones.
    pub published_again: Vec<Interval>,
    /// What lies before all that was to be read so far.
    pub newly_read: Option<Interval>,
}

/// What becomes of `coverage` when it is given up from `to` on. None when there is nothing to give up.
pub fn rewind(coverage: &Coverage, floor: Instant, to: Instant) -> Option<Rewind> {
    let was_read = |from: Instant, till: Instant| -> Vec<Interval> {
        let parts = coverage.intervals().iter();
        parts.filter_map(|known| Interval::new(known.from.max(from), known.till.min(till))).collect()
    };
    let origin = coverage.origin();
    let read_again = was_read(to, coverage.frontier());
    let newly_read = Interval::new(to, origin);
    if read_again.is_empty() && newly_read.is_none() {
        return None;
    }
    let mut rewound = coverage.clone();
    rewound.extend_back_to(to);
    rewound.cut_after(to);
    // Nothing was published before the origin, so that nothing can have been forgotten there.
    let has_forgotten = floor > origin;
    let published_again = if has_forgotten { was_read(to.max(origin), floor) } else { Vec::new() };
    let floor = if has_forgotten { floor } else { rewound.origin() };
    Some(Rewind { to, coverage: rewound, floor, read_again, published_again, newly_read })
}

/// [`rewind`] to a moment as somebody asks for it, unless it would do more than was asked for.
pub fn checked(
    account: &AccountId,
    coverage: &Coverage,
    floor: Instant,
    to: Moment,
    zone: Option<&TimeZone>,
    may_republish: bool,
) -> Result<Rewind, RewindError> {
    let account = account.clone();
    let Some(to) = to.instant(zone) else { return Err(RewindError::NoZone { account }) };
    let origin = coverage.origin();
    if origin.since(to) > FURTHEST {
        return Err(RewindError::TooEarly { account, to, origin });
    }
    let Some(what) = rewind(coverage, floor, to) else {
        return Err(RewindError::NothingRead { account, frontier: coverage.frontier(), to });
    };
    match what.published_again.first() {
        Some(first) if !may_republish => Err(RewindError::WouldRepublish { account, first: *first, floor: what.floor }),
        _ => Ok(what),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Instant {
        Instant::from_unix_seconds(second)
    }

    fn interval(from: i64, till: i64) -> Interval {
        Interval::new(at(from), at(till)).unwrap()
    }

    fn coverage(origin: i64, parts: &[(i64, i64)]) -> Coverage {
        Coverage::restore(at(origin), parts.iter().map(|(from, till)| interval(*from, *till)))
    }

    fn seconds(intervals: &[Interval]) -> BTreeSet<i64> {
        intervals.iter().flat_map(|i| i.from.unix_seconds()..i.till.unix_seconds()).collect()
    }

    #[test]
    fn what_was_read_from_the_moment_on_is_read_again_and_the_ledger_keeps_it_silent() {
        let rewound = rewind(&coverage(10, &[(10, 40), (50, 60)]), at(10), at(30)).unwrap();
        assert_eq!(rewound.coverage, coverage(10, &[(10, 30)]));
        assert_eq!(rewound.read_again, [interval(30, 40), interval(50, 60)]);
        assert_eq!((rewound.floor, rewound.published_again, rewound.newly_read), (at(10), Vec::new(), None));
    }

    #[test]
    fn what_lies_behind_the_ledger_is_published_again() {
        let rewound = rewind(&coverage(10, &[(10, 40), (50, 60)]), at(55), at(30)).unwrap();
        assert_eq!(rewound.published_again, [interval(30, 40), interval(50, 55)]);
        assert_eq!(rewound.floor, at(55));
    }

    #[test]
    fn an_earlier_moment_than_the_first_moves_the_start_of_reading() {
        let complete = rewind(&coverage(10, &[(10, 40)]), at(10), at(4)).unwrap();
        assert_eq!(complete.coverage, coverage(4, &[]));
        assert_eq!((complete.newly_read, complete.floor), (Some(interval(4, 10)), at(4)));
        assert!(complete.published_again.is_empty());

        let forgotten = rewind(&coverage(10, &[(10, 40)]), at(20), at(4)).unwrap();
        assert_eq!((forgotten.published_again, forgotten.floor), (vec![interval(10, 20)], at(20)));
    }

    #[test]
    fn a_moment_years_before_the_first_is_a_mistake() {
        const YEAR: i64 = 366 * 86_400;
        let read = coverage(5 * YEAR, &[(5 * YEAR, 6 * YEAR)]);
        let back_to = |to| {
            let account = AccountId::new("acme");
            checked(&account, &read, at(5 * YEAR), Moment::At(at(to)), None, false).map(|what| what.coverage.origin())
        };
        assert_eq!(back_to(4 * YEAR).unwrap(), at(4 * YEAR));
        let refused = back_to(4 * YEAR - 1).unwrap_err();
        assert!(matches!(refused, RewindError::TooEarly { .. }), "{refused}");
    }

    #[test]
    fn there_is_nothing_to_give_up_after_the_frontier() {
        assert_eq!(rewind(&coverage(10, &[(10, 40)]), at(10), at(40)), None);
        assert_eq!(rewind(&coverage(10, &[]), at(10), at(10)), None);
    }

    #[test]
    fn a_moment_has_its_offset_or_is_by_the_clock_of_the_account() {
        let moscow = TimeZone::get("Europe/Moscow").unwrap();
        let at = |text: &str| Moment::parse(text).map(|moment| moment.instant(Some(&moscow)).unwrap().to_string());
        for text in ["2026-03-02 10:00:00", "2026-03-02T10:00:00", "2026-03-02T10:00:00+03:00", "2026-03-02T07:00:00Z"]
        {
            assert_eq!(at(text).unwrap(), "2026-03-02T07:00:00Z", "{text}");
        }
        assert_eq!(at("2026-03-02").unwrap(), "2026-03-01T21:00:00Z");
        for text in ["yesterday", "2026-03-02 25:00:00", "7d", ""] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
        assert_eq!(Moment::parse("2026-03-02").unwrap().instant(None), None);
    }

    proptest! {
        #[test]
        fn what_is_kept_and_what_is_given_up_are_what_was_read(
            parts in proptest::collection::vec((0_i64..60, 1_i64..20), 0..8),
            origin in 0_i64..30,
            floor in 0_i64..80,
            to in 0_i64..90,
        ) {
            let ends: Vec<(i64, i64)> = parts.into_iter().map(|(from, length)| (origin + from, origin + from + length)).collect();
            let (before, floor) = (coverage(origin, &ends), at(floor.max(origin)));
            let Some(rewound) = rewind(&before, floor, at(to)) else {
                prop_assert!(before.frontier() <= at(to));
                return Ok(());
            };
            let (kept, again) = (seconds(rewound.coverage.intervals()), seconds(&rewound.read_again));
            prop_assert!(kept.is_disjoint(&again));
            prop_assert_eq!(kept.union(&again).copied().collect::<BTreeSet<_>>(), seconds(before.intervals()));
            prop_assert!(kept.iter().all(|second| *second < to) && again.iter().all(|second| *second >= to));
            // The next plan finds all of it, and nothing else, to be missing.
            let end = before.frontier().max(at(to));
            let missing = |coverage: &Coverage| seconds(&coverage.gaps(end));
            let mut expected: BTreeSet<i64> = missing(&before).union(&again).copied().collect();
            expected.extend(rewound.newly_read.map(|new| seconds(&[new])).unwrap_or_default());
            prop_assert_eq!(missing(&rewound.coverage), expected);
            let silent = |second: &i64| at(*second) >= rewound.floor || !again.contains(second);
            let published_again = seconds(&rewound.published_again);
            prop_assert!(again.iter().all(|second| published_again.contains(second) != silent(second)));
        }
    }
}
