//! The corners of time: clocks that change, calls that are shown late, calls that change late.

use std::collections::BTreeMap;
use std::time::Duration;

use callfeed::simulator::{AccountScenario, CallsScenario, Delay, LongCalls, TagHabits};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::stage::{DAY, HOUR, Stage, account, calls};

#[test]
fn hours_of_an_account_of_two_thousand_calls_a_day() {
    Stage::of(calls(2000.0 / 24.0)).play(async |mut rehearsal| {
        rehearsal.run_for(4 * HOUR).await.unwrap();
        rehearsal
    });
}

/// A zone around its changes, from three hours before.
#[track_caller]
fn lives_through(zone: &str, changes: [&str; 2]) {
    for change in changes {
        let account = AccountScenario { timezone: zone.into(), calls: calls(12.0), ..account() };
        Stage::of_account(account).start_at(change).play(async |mut rehearsal| {
            rehearsal.run_for(7 * HOUR).await.unwrap();
            rehearsal
        });
    }
}

/// One zone for each change of clocks that there is in a year, of all the world's zones.
fn changes_of_a_year() -> BTreeMap<(Timestamp, i32, i32), String> {
    let year = |text: &str| text.parse::<Timestamp>().unwrap();
    let (from, till) = (year("2026-01-01T00:00:00Z"), year("2027-01-01T00:00:00Z"));
    let mut changes = BTreeMap::new();
    for name in jiff::tz::db().available() {
        let zone = TimeZone::get(name.as_str()).unwrap();
        for change in zone.following(from).take_while(|change| change.timestamp() < till) {
            let at = change.timestamp();
            let before = zone.to_offset(at - Duration::from_secs(1)).seconds();
            let after = change.offset().seconds();
            if before != after {
                changes.entry((at, before, after)).or_insert_with(|| name.as_str().to_owned());
            }
        }
    }
    changes
}

/// A call every few minutes is enough to fall into every gap there may be.
#[test]
fn every_change_of_clocks_in_the_world_is_lived_through() {
    let changes = changes_of_a_year();
    assert!(changes.len() > 20, "the database of zones is not there: {changes:?}");
    for ((at, before, after), zone) in changes {
        println!("{zone} at {at} from {before} to {after}");
        let account = AccountScenario { timezone: zone, calls: calls(12.0), ..account() };
        let start = (at - HOUR).to_string();
        Stage::of_account(account).start_at(&start).play(async |mut rehearsal| {
            rehearsal.run_for(2 * HOUR).await.unwrap();
            rehearsal
        });
    }
}

#[test]
fn new_york_changes_its_clocks() {
    lives_through("America/New_York", ["2026-03-08T04:00:00Z", "2026-11-01T03:00:00Z"]);
}

#[test]
fn berlin_changes_its_clocks() {
    lives_through("Europe/Berlin", ["2026-03-28T22:00:00Z", "2026-10-24T22:00:00Z"]);
}

#[test]
fn lord_howe_changes_its_clocks_by_half_an_hour() {
    lives_through("Australia/Lord_Howe", ["2026-04-04T12:00:00Z", "2026-10-03T12:30:00Z"]);
}

#[test]
fn kathmandu_is_a_quarter_of_an_hour_off() {
    lives_through("Asia/Kathmandu", ["2026-02-28T06:15:00Z", "2028-02-28T18:15:00Z"]);
}

/// Sao Paulo changed its clocks at midnight, until 2019.
#[test]
fn sao_paulo_has_days_without_a_midnight() {
    lives_through("America/Sao_Paulo", ["2018-02-17T23:00:00Z", "2018-11-04T00:00:00Z"]);
}

#[test]
fn calls_that_are_shown_six_hours_late_are_read() {
    let embargo = CallsScenario { visibility_delay: 6 * HOUR, ..calls(8.0) };
    Stage::of(embargo).play(async |mut rehearsal| {
        rehearsal.run_for(10 * HOUR).await.unwrap();
        rehearsal
    });
}

#[test]
fn calls_of_five_hours_are_read() {
    let long = LongCalls { share: 0.2, talk: Delay::fixed(5 * HOUR) };
    Stage::of(CallsScenario { long, ..calls(8.0) }).play(async |mut rehearsal| {
        rehearsal.run_for(10 * HOUR).await.unwrap();
        rehearsal
    });
}

#[test]
fn a_tag_after_twenty_nine_days_is_told() {
    let late = TagHabits { share: 0.5, delay: Delay::fixed(29 * DAY), ..TagHabits::default() };
    let calls = CallsScenario { tags: late, ..calls(0.5) };
    let tiers = json!([{"age": "1h", "every": "1h"}, {"age": "1d", "every": "12h"}, {"age": "30d", "every": "1d"}]);
    let stage = Stage::of(calls).configure(json!({"poll": {"tiers": tiers}})).rest_for(Duration::from_hours(25));
    let rehearsal = stage.play(async |mut rehearsal| {
        rehearsal.run_for(2 * DAY).await.unwrap();
        rehearsal
    });
    let late = rehearsal.events.values().flatten().flat_map(|(_, history)| &history.events);
    assert!(late.filter(|event| event.changed == ["tags"]).count() > 0, "the tags are what is to be seen");
}

#[test]
fn calls_that_lose_their_tags_are_withdrawn() {
    let soon = Delay::secs(60, 4 * 3600);
    let tags = TagHabits { share: 0.7, delay: soon, removed_share: 0.6, removed_delay: soon };
    let stage = Stage::of(CallsScenario { tags, ..calls(10.0) });
    let rehearsal = stage.configure(json!({"filters": {"include": "tagged"}})).play(async |mut rehearsal| {
        rehearsal.run_for(6 * HOUR).await.unwrap();
        rehearsal
    });
    let withdrawn = rehearsal.events.values().flatten().filter(|(_, history)| history.is_withdrawn());
    assert!(withdrawn.count() > 0, "tags were taken off");
}
