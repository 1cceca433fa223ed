//! callfeed ends and starts again: where it was is where it goes on.

use std::time::{Duration, Instant};

use callfeed::simulator::{CallsScenario, Fault};
use jiff::{SignedDuration, ToSpan};
use serde_json::json;

use crate::support::eventually;

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, going, history, standing, standing_with};

#[test]
fn a_second_run_publishes_nothing_new() {
    let feed = Feed::of(standing(history(100)));
    feed.once();
    let n_events = feed.assert_equals_truth();
    assert_eq!(n_events, visible(&feed, "acme"));

    feed.once();
    let mut service = feed.start();
    feed.wait_for_rereading("acme");
    service.interrupt();
    service.wait_exit(PATIENCE);

    assert_eq!(service.exit_code(), 0, "SIGINT ends it in order");
    assert_eq!(feed.assert_equals_truth(), n_events);
}

#[test]
fn a_stop_within_the_back_fill_is_quick_and_loses_nothing() {
    let mut feed = Feed::of(standing(history(120)));
    feed.configure(json!({"defaults": {"poll": {"page_size": 2}}}));
    feed.simulator.inject(Fault::Latency { delay: Duration::from_millis(30) }.every(1));
    for n_events in [10, 40] {
        let mut process = feed.start();
        feed.wait_for_events(n_events);
        let asked_at = Instant::now();
        process.terminate();
        process.wait_exit(PATIENCE);
        assert_eq!(process.exit_code(), 0);
        assert!(asked_at.elapsed() < Duration::from_secs(10), "it took {:?}", asked_at.elapsed());
        assert!(feed.events().len() < visible(&feed, "acme"), "it was in the middle");
    }
    feed.simulator.clear_faults();
    feed.once();
    assert_eq!(feed.assert_equals_truth(), visible(&feed, "acme"));
}

/// The API hangs, and so does the request that a stop finds.
#[test]
fn a_stop_does_not_wait_for_a_hanging_request() {
    let feed = Feed::of(standing(history(20)));
    feed.simulator.inject(Fault::Hang.every(1).on_method("get.calls_report"));
    let mut process = feed.start();
    let requested = || feed.simulator.counts("acme", "get.account").answered;
    eventually("callfeed to ask for the account", PATIENCE, || (requested() > 0).then_some(()));
    let asked_at = Instant::now();
    process.terminate();
    process.wait_exit(PATIENCE);
    assert_eq!(process.exit_code(), 0);
    assert!(asked_at.elapsed() < Duration::from_secs(10), "it took {:?}", asked_at.elapsed());
}

/// The horizon is two seconds, so only the gap in the coverage can bring the calls that came meanwhile.
#[test]
fn enabling_an_account_again_fills_the_gap() {
    let mut scenario = going(CallsScenario { visibility_delay: Duration::ZERO, ..history(20) });
    scenario.accounts.push(account("other", history(5)));
    let mut feed = Feed::of(scenario);
    feed.configure(
        json!({"defaults": {"poll": {"tiers": [{"age": "1s", "every": "1s"}, {"age": "2s", "every": "1s"}]}}}),
    );
    feed.once();

    feed.configure_account("acme", json!({"enabled": false}));
    let stopped_at = feed.simulator.now();
    let passed = |seconds: i64| feed.simulator.now().duration_since(stopped_at) > SignedDuration::from_secs(seconds);
    eventually("a new second", PATIENCE, || passed(1).then_some(()));
    let calls =
        [(); 3].map(|()| feed.add_call("acme", SignedDuration::ZERO, json!({"source": "va", "finish_time": START})));
    feed.once();
    eventually("the calls to leave the horizon", PATIENCE, || passed(6).then_some(()));
    calls.iter().for_each(|call| assert!(feed.types_of("acme", *call).is_empty(), "a disabled account is not read"));

    feed.configure_account("acme", json!({"enabled": true}));
    feed.once();
    feed.once();
    calls.iter().for_each(|call| assert_eq!(feed.types_of("acme", *call), ["CREATED"]));
    feed.assert_equals_truth();
}

/// Any time before now: the call is over at once.
const START: &str = "2020-01-01 00:00:00";

#[test]
fn start_from_is_a_time_of_the_account_s_own_clock_and_may_move_back() {
    let mut acme = account("acme", history(120));
    acme.timezone = "Asia/Vladivostok".to_owned();
    let mut feed = Feed::of(standing_with(vec![acme]));
    let mut starts: Vec<String> = feed.simulator.truth("acme").into_iter().map(|call| call.start_time).collect();
    starts.sort();

    // Exactly at the start of a call, which belongs to what is read.
    feed.configure_account("acme", json!({"start_from": starts[80]}));
    feed.once();
    let later = feed.assert_equals_truth();
    let n_from = |start: &str| {
        feed.simulator.truth("acme").iter().filter(|call| call.visible && call.start_time.as_str() >= start).count()
    };
    assert_eq!(later, n_from(&starts[80]));

    let earlier = n_from(&starts[30]);
    feed.configure_account("acme", json!({"start_from": starts[30]}));
    feed.once();
    assert_eq!(feed.assert_equals_truth(), earlier, "what lies between is read, and nothing twice");
}

/// The first reading reaches further back than one window of the API.
#[test]
fn a_history_longer_than_a_window_is_read_whole() {
    let mut feed = Feed::of(standing(CallsScenario { days: 300.0, count: Some(60), ..CallsScenario::default() }));
    let year_ago = feed.simulator.now().to_zoned(jiff::tz::TimeZone::UTC).checked_sub(1.year()).unwrap();
    feed.configure_account("acme", json!({"start_from": year_ago.strftime("%Y-%m-%d %H:%M:%S").to_string()}));
    feed.once();
    feed.once();
    assert_eq!(feed.assert_equals_truth(), visible(&feed, "acme"));
    assert!(feed.simulator.bugs().is_empty(), "{:?}", feed.simulator.bugs());
}
