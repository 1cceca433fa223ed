//! What a host clock that was ahead, or is behind, does to what counts as read.

mod pieces;

use super::*;
use crate::domain::call::RowId;
use crate::domain::ladder::{BackfillOrder, Tier};
use crate::domain::ledger::{ColumnSets, Entry, Packed, Parts, Prints};
use crate::domain::time::LocalTime;

const DAY: Duration = Duration::from_hours(24);

fn at(text: &str) -> Instant {
    let timestamp: jiff::Timestamp = text.parse().unwrap();
    Instant::from_unix_seconds(timestamp.as_second())
}

fn ladder() -> Ladder {
    let tier = |age, every| Tier { age, every };
    let minute = Duration::from_mins(1);
    let tiers = vec![tier(15 * minute, minute), tier(DAY, 60 * minute), tier(30 * DAY, DAY)];
    Ladder { tiers, backfill: BackfillOrder::Newest, adaptive: false }
}

fn interval(from: Instant, till: Instant) -> Interval {
    Interval::new(from, till).unwrap()
}

/// The state of an account as a process left it that read everything up to `read_till` by its clock. There is one call,
/// in the hour that starts at `call`.
fn stored(read_till: Instant, call: &str) -> Stored {
    let mut clocks = Clocks::default();
    ladder().tiers.iter().for_each(|tier| clocks.read(&ladder(), tier.age, read_till));
    let origin = at("2026-02-01T00:00:00Z");
    let coverage = Coverage::restore(origin, [interval(origin, read_till)]);
    let prints = Prints::from_hashes([Some(7); 5]);
    let entry = Entry { prints, unknown: Parts::NONE, revision: 1, withdrawn: false, second: None };
    let bucket = Bucket { entries: [(RowId(1), entry)].into(), ..Bucket::new(ColumnSets::OF_FORMAT_1) };
    // A row was set aside while the clock was where it was.
    let aside = Bucket { dead: [7].into(), ..Bucket::new(ColumnSets::OF_FORMAT_1) };
    let hour = LocalTime::parse(call).unwrap().hour();
    let latest = read_till.to_local(&TimeZone::UTC).hour();
    Stored {
        coverage: Some(
            CoverageRecord { sequence: 1, coverage, floor: origin, clocks, read_as: ReadAs::default() }.to_json(),
        ),
        ledger: vec![
            (hour, Packed::pack(&bucket).as_bytes().to_vec()),
            (latest, Packed::pack(&aside).as_bytes().to_vec()),
        ],
        paused: None,
    }
}

fn taken_up(stored: &Stored, now: Instant) -> Progress {
    let account = AccountId::new("acme");
    let mut progress = Progress::restore(account, "calls", stored).unwrap().unwrap();
    progress.adopt(None, &ladder(), &TimeZone::UTC, now);
    progress
}

fn clocks(progress: &Progress) -> Vec<Instant> {
    progress.clocks().0.values().copied().collect()
}

#[test]
fn what_a_clock_that_was_ahead_claimed_is_read_when_it_comes() {
    let (now, ahead) = (at("2026-03-02T10:00:00Z"), at("2026-03-04T10:00:00Z"));
    let progress = taken_up(&stored(ahead, "2026-03-02 09:00:00"), now);

    assert_eq!(progress.coverage().frontier(), now);
    let due: Vec<Instant> = ladder().tiers.iter().map(|tier| now - tier.every).collect();
    assert_eq!(clocks(&progress), due, "nobody knows when the tiers were read: they are due");
    assert_eq!(progress.newest_start(&TimeZone::UTC), Some(at("2026-03-02T09:00:00Z")));
}

#[test]
fn a_clock_that_is_adjusted_by_seconds_makes_no_tier_due() {
    let (now, ahead) = (at("2026-03-02T10:00:00Z"), at("2026-03-02T10:00:50Z"));
    let progress = taken_up(&stored(ahead, "2026-03-02 09:00:00"), now);
    assert_eq!(progress.coverage().frontier(), now);
    assert_eq!(clocks(&progress), [ahead; 3]);
}

/// A dead battery: the clock starts in a past that what was read proves wrong. Rows that were published would be new
/// again if the time they are in counted as unread.
#[test]
fn a_clock_that_is_behind_for_a_while_takes_nothing_back_that_was_published() {
    let read_till = at("2026-03-02T10:30:00Z");
    let progress = taken_up(&stored(read_till, "2026-03-02 09:00:00"), at("2000-01-01T00:00:00Z"));
    let newest = interval(at("2026-02-01T00:00:00Z"), at("2026-03-02T10:00:00Z"));
    assert_eq!(progress.coverage().intervals(), [newest]);
}

#[test]
fn a_step_does_not_claim_the_time_to_come() {
    let (planned, now) = (at("2026-03-02T12:00:00Z"), at("2026-03-02T10:00:00Z"));
    let progress = taken_up(&stored(at("2026-03-02T09:30:00Z"), "2026-03-02 09:00:00"), planned);
    // The clock was put right while the page was read.
    let step =
        Step { covered: Some(interval(planned - DAY, planned)), tier_read: Some((DAY, planned)), ..Step::default() };
    let place = StatePlace { topic: "state".into(), partitions: 1 };
    let (pending, _) = progress.prepare(step, &ladder(), &TimeZone::UTC, now, &place);

    assert_eq!(pending.coverage.coverage.frontier(), now);
    let clock = |age| pending.coverage.clocks.0[&age];
    assert_eq!(clock(DAY), now - Duration::from_hours(1), "what was read was the past of another time");
    assert_eq!(clock(30 * DAY), at("2026-03-02T09:30:00Z"));
}
