//! Scarce points: the share is kept, nobody is starved, and everything is published in the end.

use std::time::Duration;

use callfeed::rehearsal::{Rehearsal, latency};
use callfeed::simulator::{
    AccountScenario, CallsScenario, CustomerScenario, Delay, Limits, LimitsShape, Outcome, RequestRecord, TagHabits,
    UserScenario,
};
use jiff::Timestamp;
use serde_json::json;

use super::stage::{ACCOUNT, DAY, HOUR, Stage, account, calls, on_a_standing_clock};

#[test]
fn the_points_of_the_samples_last_all_day() {
    let account = AccountScenario { limits: Limits::per(60, 3000), calls: calls(4.0), ..account() };
    let tiers = json!([{"age": "15m", "every": "10s"}, {"age": "2h", "every": "5m"}, {"age": "1d", "every": "1h"}]);
    let stage = Stage::of_account(account).configure(json!({"poll": {"adaptive": true, "tiers": tiers}}));
    let rehearsal = stage.play(async |mut rehearsal| {
        rehearsal.run_for(DAY).await.unwrap();
        rehearsal
    });
    let used = rehearsal.simulator.points_used(ACCOUNT).unwrap();
    assert!(used.by_day[0] > 2000, "points are there to be used: {used:?}");
}

/// Two tiers that are due at the same moment and fit into a page are one request.
#[test]
fn a_reading_in_the_place_of_the_live_one_costs_no_point_more() {
    let tiers = json!([{"age": "15m", "every": "1m"}, {"age": "2h", "every": "2m"}, {"age": "1d", "every": "4m"}]);
    let account = AccountScenario { limits: Limits::per(60, 3000), calls: calls(4.0), ..account() };
    let stage = Stage::of_account(account).configure(json!({"poll": {"page_size": 1000, "tiers": tiers}}));
    stage.play(async |mut rehearsal| {
        rehearsal.run_for(HOUR).await.unwrap();
        let before = rehearsal.simulator.counts(ACCOUNT, "get.calls_report").requests();
        rehearsal.run_for(HOUR).await.unwrap();
        let n_requests = rehearsal.simulator.counts(ACCOUNT, "get.calls_report").requests() - before;
        assert!((58..=61).contains(&n_requests), "{n_requests} requests in an hour of live readings every minute");
        rehearsal
    });
}

/// A page that is paid for anyway holds the calls of two days, the month takes three: a tag put on yesterday's call need
/// not wait for the reading of the month.
#[test]
fn tags_of_yesterday_are_found_with_pages_that_are_paid_for_anyway() {
    let tags = TagHabits { share: 1.0, delay: Delay::secs(25 * 3600, 30 * 3600), ..TagHabits::default() };
    let calls = CallsScenario { days: 6.0, count: Some(6 * 96), tags, ..calls(4.0) };
    let account = AccountScenario { limits: Limits::per(60, 400), calls, ..account() };
    let tiers = json!([{"age": "15m", "every": "5m"}, {"age": "1d", "every": "1h"}, {"age": "30d", "every": "1d"}]);
    let poll = json!({"page_size": 250, "adaptive": true, "tiers": tiers});
    let Stage { config, scenario, .. } =
        Stage::of_account(account).configure(json!({"start_from": "6d", "poll": poll}));
    on_a_standing_clock(async move {
        let mut rehearsal = Rehearsal::new(&config.to_string(), scenario).unwrap();
        rehearsal.start().await.unwrap();
        rehearsal.run_for(2 * DAY).await.unwrap();
        // The first day is there to learn.
        let measured = (rehearsal.now() - DAY)..(rehearsal.now() - HOUR);
        let mut waits: Vec<Duration> = Vec::new();
        for timeline in rehearsal.simulator.timelines(ACCOUNT) {
            let Some(history) = rehearsal.events[ACCOUNT].get(&timeline.id) else { continue };
            let late = latency(&timeline, history, rehearsal.now());
            let is_late = |at: &Timestamp| measured.contains(at) && *at > timeline.start + DAY;
            let of_late_tags = timeline.changed_at.iter().zip(late.changes).filter(|(at, _)| is_late(at));
            waits.extend(of_late_tags.map(|(_, wait)| wait.unwrap_or(DAY)));
        }
        waits.sort_unstable();
        assert!(waits.len() > 60, "{} late tags", waits.len());
        let (median, most) = (waits[waits.len() / 2], waits[waits.len() * 95 / 100]);
        assert!(median < Duration::from_mins(15) && most < HOUR, "{median:?}, {most:?}");
    });
}

/// The documents promise no limit but the one by the minute and the day, and samples show none, or one by the hour.
#[test]
fn whatever_the_api_says_of_limits_calls_are_read() {
    for shape in [LimitsShape::Hour, LimitsShape::Empty, LimitsShape::Missing] {
        let limits = Limits { shape, ..Limits::per(200, 100_000) };
        let account = AccountScenario { limits, calls: calls(6.0), ..account() };
        Stage::of_account(account).play(async |mut rehearsal| {
            rehearsal.run_for(6 * HOUR).await.unwrap();
            rehearsal
        });
    }
}

/// Nobody says when a counter starts anew, or how large it is: the share is kept all the same.
#[test]
fn counters_without_a_reset_or_a_limit_are_kept() {
    for shape in [LimitsShape::NoReset, LimitsShape::Left] {
        let limits = Limits { shape, ..Limits::per(30, 3000) };
        let calls = CallsScenario { days: 0.9, count: Some(3000), ..calls(6.0) };
        Stage::of_account(AccountScenario { limits, calls, ..account() }).play(async |mut rehearsal| {
            rehearsal.run_for(6 * HOUR).await.unwrap();
            rehearsal
        });
    }
}

/// Of an API that tells nothing the first refusal says what the limit is; from then on answers are counted.
#[test]
fn a_limit_that_no_answer_tells_is_learnt_from_the_first_refusal() {
    let limits = Limits { shape: LimitsShape::Empty, ..Limits::per(30, 100_000) };
    let calls = CallsScenario { days: 6.0, count: Some(20_000), ..calls(6.0) };
    let stage = Stage::of_account(AccountScenario { limits, calls, ..account() });
    let config = stage.configure(json!({"start_from": "7d"}));
    on_a_standing_clock(async move {
        let mut rehearsal = Rehearsal::new(&config.config.to_string(), config.scenario).unwrap();
        rehearsal.start().await.unwrap();
        rehearsal.run_for(Duration::from_mins(10)).await.unwrap();
        let refused = |one: &&RequestRecord| matches!(one.outcome, Outcome::Refused { .. });
        let requests = rehearsal.simulator.requests();
        assert!(requests.len() > 150, "there was much to read: {} requests", requests.len());
        assert_eq!(requests.iter().filter(refused).count(), 1);
    });
}

/// The last of the limits is the highest: what was spent before is measured by it too.
#[test]
fn limits_that_are_lowered_and_raised_are_followed() {
    let account = AccountScenario { limits: Limits::per(60, 3000), calls: calls(6.0), ..account() };
    Stage::of_account(account).play(async |mut rehearsal| {
        for day in [400, 200, 3000] {
            rehearsal.run_for(4 * HOUR).await.unwrap();
            rehearsal.simulator.set_limits(ACCOUNT, &Limits::per(20, day)).unwrap();
        }
        rehearsal
    });
}

/// Of each minute the points of the live readings are kept, however much there is to be read besides.
#[test]
fn a_long_back_fill_does_not_delay_live_readings() {
    let calls = CallsScenario { days: 7.0, count: Some(20_000), ..calls(12.0) };
    let account = AccountScenario { limits: Limits::per(60, 30_000), calls, ..account() };
    let poll = json!({"tiers": [{"age": "15m", "every": "30s"}, {"age": "1d", "every": "1h"}]});
    let stage = Stage::of_account(account).configure(json!({"start_from": "7d", "poll": poll}));
    stage.play(async |mut rehearsal| {
        let mut stalest = 0;
        for _ in 0..12 * 15 {
            rehearsal.run_for(Duration::from_secs(5)).await.unwrap();
            let context = rehearsal.context().unwrap();
            let shown = context.board.snapshot(context.clock.now());
            let streams = shown.iter().flat_map(|account| &account.streams);
            stalest = streams.filter_map(|stream| stream.freshness_seconds).fold(stalest, u64::max);
        }
        assert!((30..=40).contains(&stalest), "the live tier was read {stalest} s ago");
        rehearsal
    });
}

/// The last points of a day are spent one by one, here every three hours, so that a limit which is raised meanwhile is seen.
#[test]
fn a_limit_that_is_raised_when_all_is_spent_is_noticed() {
    // 200 of the 1000 are for others.
    let limits = Limits { day_remaining: Some(210), ..Limits::per(60, 1000) };
    let account = AccountScenario { limits, calls: calls(6.0), ..account() };
    Stage::of_account(account).rest_for(DAY).play(async |mut rehearsal| {
        let used = |rehearsal: &Rehearsal| -> u32 {
            rehearsal.simulator.points_used(ACCOUNT).unwrap().by_day.into_iter().sum()
        };
        rehearsal.run_for(HOUR).await.unwrap();
        let before = used(&rehearsal);
        rehearsal.run_for(6 * HOUR).await.unwrap();
        let scarce = used(&rehearsal) - before;
        assert!((1..=6).contains(&scarce), "{scarce} points");
        rehearsal.simulator.set_limits(ACCOUNT, &Limits::per(60, 3000)).unwrap();
        rehearsal.run_for(5 * HOUR).await.unwrap();
        assert!(used(&rehearsal) > before + scarce + 10, "reading goes on: {} points", used(&rehearsal) - before);
        rehearsal
    });
}

#[test]
fn a_credential_that_others_use_too_is_shared() {
    let account = AccountScenario { limits: Limits::per(60, 500), calls: calls(6.0), ..account() };
    Stage::of_account(account).rest_for(DAY).play(async |mut rehearsal| {
        for _ in 0..12 * 6 {
            rehearsal.run_for(Duration::from_mins(10)).await.unwrap();
            rehearsal.simulator.spend_elsewhere(ACCOUNT, 2).unwrap();
        }
        rehearsal
    });
}

/// The same calls under twenty names: what one credential may spend is spent once, and no name is starved.
#[test]
fn accounts_with_one_credential_share_its_points() {
    let limits = Limits::per(40, 300_000);
    let account = AccountScenario { limits, calls: calls(60.0), ..account() };
    let scenario = Stage::of_account(account).scenario;
    let poll = json!({"points_share": 0.5, "tiers": [{"age": "15m", "every": "10s"}, {"age": "1d", "every": "1m"}]});
    let named = |number: u32| {
        json!({
            "name": format!("acme-{number}"), "service": "comagic", "credentials": {"api_key": "key"},
            "start_from": "1d", "filters": {"channels": {"static": "all"}}, "poll": poll,
        })
    };
    let config = json!({
        "kafka": {"bootstrap_servers": "kafka.invalid:9092"},
        "schema_registry": {"url": "http://registry.invalid"},
        "accounts": (0..20).map(named).collect::<Vec<_>>(),
    });
    on_a_standing_clock(async move {
        let mut rehearsal = Rehearsal::new(&config.to_string(), scenario).unwrap();
        rehearsal.start().await.unwrap();
        rehearsal.run_for(Duration::from_mins(30)).await.unwrap();
        let most = rehearsal.simulator.points_used(ACCOUNT).unwrap().most_in_a_minute;
        assert!((15..=20).contains(&most), "{most} points in a minute, 20 are callfeed's");
        assert_eq!(rehearsal.events.len(), 20, "each name has its events");
        let context = rehearsal.context().unwrap();
        let shown = context.board.snapshot(context.clock.now());
        let freshness: Vec<u64> =
            shown.iter().flat_map(|account| &account.streams).filter_map(|stream| stream.freshness_seconds).collect();
        assert!(freshness.len() == 20 && freshness.iter().all(|age| *age < 400), "{freshness:?}");
    });
}

/// Thousands of them, quiet ones, are in [`super::agency`].
#[test]
fn a_hundred_customers_share_one_credential() {
    let customer = |number: i64| CustomerScenario {
        id: 1000 + number,
        users: vec![UserScenario { id: 5000 + number, ..UserScenario::default() }],
        calls: calls(0.3),
        ..CustomerScenario::default()
    };
    let agency =
        AccountScenario { limits: Limits::per(120, 6000), customers: (0..100).map(customer).collect(), ..account() };
    let poll = json!({"tiers": [{"age": "2h", "every": "1h"}, {"age": "1d", "every": "3h"}]});
    let stage = Stage::of_account(agency).configure(json!({"customers": "all", "poll": poll}));
    let rehearsal = stage.rest_for(4 * HOUR).play(async |mut rehearsal| {
        rehearsal.run_for(2 * HOUR).await.unwrap();
        rehearsal
    });
    assert!(rehearsal.events.len() > 25, "{} customers had calls", rehearsal.events.len());
}
