//! Accounts whose clocks change: each call is read once, whichever pass of a repeated hour it belongs to.

use callfeed::simulator::{AccountScenario, BoundBy, CallsScenario, RepeatedTimes, Scenario, SortBy};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::feed::{Feed, account, standing_with};

/// Zones whose clocks change in different ways: by an hour at 1:00 UTC, at 2:00 local, in the other half of
/// the year, by half an hour, and not at all.
const ZONES: [&str; 5] =
    ["Europe/Berlin", "America/New_York", "America/Santiago", "Australia/Lord_Howe", "Europe/Moscow"];

const LONGEST_AGO: SignedDuration = SignedDuration::from_hours(360 * 24);

/// So long before and after a change there are calls, one every eleven minutes.
const AROUND: SignedDuration = SignedDuration::from_hours(4);
const PAUSE: SignedDuration = SignedDuration::from_mins(11);

#[test]
fn each_call_around_a_change_of_clocks_is_read_once() {
    reads_each_call_once(RepeatedTimes::default());
}

#[test]
fn each_call_around_a_change_of_clocks_is_read_once_when_rows_come_by_moment() {
    reads_each_call_once(RepeatedTimes { sort: SortBy::Moment, bounds: BoundBy::Text });
}

#[test]
fn each_call_around_a_change_of_clocks_is_read_once_when_bounds_mean_the_earlier_moment() {
    reads_each_call_once(RepeatedTimes { sort: SortBy::Moment, bounds: BoundBy::EarlierMoment });
}

#[test]
fn each_call_around_a_change_of_clocks_is_read_once_when_bounds_mean_the_later_moment() {
    reads_each_call_once(RepeatedTimes { sort: SortBy::Moment, bounds: BoundBy::LaterMoment });
}

fn reads_each_call_once(repeated_times: RepeatedTimes) {
    let orders = ["newest", "oldest"];
    let now = Timestamp::now();
    let accounts = ZONES.iter().flat_map(|zone| orders.map(|order| calls_around_changes(zone, order, now)));
    let mut feed = Feed::of(Scenario { repeated_times, ..standing_with(accounts.collect()) });
    for zone in ZONES {
        for order in orders {
            // A day's chunk that starts here ends within the hour that the change repeats or skips.
            let origin =
                changes_of(zone, now).into_iter().min().map(|change| change - SignedDuration::from_mins(24 * 60 - 25));
            let origin = origin.unwrap_or(now - AROUND * 3);
            let origin = TimeZone::get(zone).unwrap().to_datetime(origin).strftime("%Y-%m-%d %H:%M:%S").to_string();
            feed.configure_account(
                &name(zone, order),
                json!({"start_from": origin, "poll": {"backfill": order, "page_size": 3}}),
            );
        }
    }
    feed.once();
    feed.once();

    let n_events = feed.assert_equals_truth();
    let n_calls: usize = feed.accounts().iter().map(|one| feed.simulator.truth(&one.name).len()).sum();
    assert_eq!(n_events, n_calls);
}

/// In the repeated hour the clock does not tell when a call was: the earlier moment is taken.
#[test]
fn the_earlier_moment_of_a_repeated_hour_is_taken() {
    let (zone, now) = (TimeZone::get("Europe/Berlin").unwrap(), Timestamp::now());
    let fall_back = changes_of("Europe/Berlin", now).into_iter().find(|change| {
        let before = *change - SignedDuration::from_secs(1);
        zone.to_offset(before) > zone.to_offset(*change)
    });
    let first_pass = fall_back.unwrap() - SignedDuration::from_mins(20);
    let second_pass = first_pass + SignedDuration::from_hours(1);
    let mut acme = account("acme", CallsScenario::default());
    acme.timezone = "Europe/Berlin".to_owned();
    acme.rows = vec![row(7, second_pass)];
    let mut feed = Feed::of(standing_with(vec![acme]));
    feed.configure_account("acme", json!({"start_from": "360d"}));

    feed.once();

    let events = feed.events();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].number("start_time"), first_pass.as_millisecond());
    assert_eq!(events[0].text("start_time_local"), local(second_pass, &zone));
}

fn calls_around_changes(zone: &str, order: &str, now: Timestamp) -> AccountScenario {
    let name = name(zone, order);
    let mut moments = vec![now - AROUND * 2, now - AROUND];
    for change in changes_of(zone, now) {
        let first = change - AROUND;
        moments.extend((0..).map(|n| first + PAUSE * n).take_while(|moment| *moment <= change + AROUND));
        // The seconds at which something begins and ends.
        moments.extend(
            [-3600, -1801, -1800, -1, 0, 1, 1799, 1800, 3599, 3600, 3601]
                .map(|s| change + SignedDuration::from_secs(s)),
        );
    }
    let rows = moments.into_iter().zip(1..).map(|(moment, id)| row(id, moment)).collect();
    AccountScenario { timezone: zone.to_owned(), rows, ..account(&name, CallsScenario::default()) }
}

fn row(id: i64, start: Timestamp) -> Map<String, Value> {
    // Whole seconds, as all times of the API; given as a moment, since the wall clock does not tell the pass.
    let start = Timestamp::from_second(start.as_second()).unwrap().to_string();
    let row = json!({"id": id, "source": "sip", "start_time": start, "finish_time": start});
    row.as_object().unwrap().clone()
}

fn local(moment: Timestamp, zone: &TimeZone) -> String {
    zone.to_datetime(moment).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The changes of a zone's clocks within the last year.
fn changes_of(zone: &str, now: Timestamp) -> Vec<Timestamp> {
    let zone = TimeZone::get(zone).unwrap();
    let changes = zone.preceding(now).map(|change| change.timestamp());
    changes.take_while(|change| now.duration_since(*change) < LONGEST_AGO).collect()
}

fn name(zone: &str, order: &str) -> String {
    format!("{}-{order}", zone.to_lowercase().replace('/', "-"))
}
