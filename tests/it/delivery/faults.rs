//! A Data API that fails now and then: nothing is lost, nothing is told twice, and all of it arrives.

use callfeed::simulator::{EndedSession, Fault, Limits, Scenario};
use serde_json::json;
use std::time::Duration;

use crate::support::eventually;

use super::feed::{Feed, PATIENCE, account, going, history, standing_with};

/// One account for each way to fail, so that all are waited out side by side.
#[test]
fn every_tenth_request_may_fail_in_any_way() {
    let http = |status, json, retry_after| Fault::Http { status, json, retry_after };
    let faults = [
        ("bad-gateway", http(502, false, None)),
        ("unavailable-json", http(503, true, Some(1))),
        ("too-many", http(429, false, Some(1))),
        ("reset", Fault::Reset),
        ("truncated", Fault::Truncate),
        ("not-json", Fault::NotJson),
        ("internal-error", Fault::InternalError),
        ("hanging", Fault::Hang),
        ("slow", Fault::Drip { bytes_per_second: 300_000 }),
    ];
    let accounts = faults.iter().map(|(name, _)| account(name, history(90))).collect();
    let rules = faults.iter().map(|(name, fault)| fault.clone().every(10).on_account(name)).collect();
    let mut feed = Feed::of(Scenario { faults: rules, ..standing_with(accounts) });
    feed.configure(json!({"http": {"timeout": "2s"}, "defaults": {"poll": {"page_size": 5}}}));

    feed.once();

    feed.assert_equals_truth();
    for (name, _) in faults {
        let counts = feed.simulator.counts(name, "get.calls_report");
        assert!(counts.faults > 0, "no request of `{name}` failed: {counts:?}");
    }
    assert_eq!(feed.events().len(), feed.accounts().iter().map(|one| visible(&feed, &one.name)).sum::<usize>());
}

#[test]
fn a_session_that_ends_within_a_back_fill_is_renewed() {
    for ended_session in [EndedSession::Expired, EndedSession::Invalid] {
        let mut acme = account("acme", history(60));
        acme.login = Some("user@example.com".to_owned());
        acme.password = Some("feed-test-password".into());
        let latency = Fault::Latency { delay: Duration::from_millis(20) };
        let mut feed =
            Feed::of(Scenario { ended_session, faults: vec![latency.every(1)], ..standing_with(vec![acme]) });
        feed.configure(json!({"defaults": {"poll": {"page_size": 3}}}));
        feed.config["accounts"][0]["credentials"] =
            json!({"login": "user@example.com", "password": "feed-test-password"});
        let pages = || feed.simulator.counts("acme", "get.calls_report").answered;

        let mut process = feed.start();
        for _ in 0..3 {
            let before = pages();
            eventually("some pages", PATIENCE, || (pages() >= before + 4).then_some(()));
            assert_eq!(feed.simulator.end_sessions("acme"), Ok(1));
        }
        feed.wait_for_events(visible(&feed, "acme"));
        process.terminate();
        process.wait_exit(PATIENCE);

        feed.assert_equals_truth();
        assert_eq!(feed.events().len(), visible(&feed, "acme"));
        let logins =
            feed.simulator.counts("", "login.user").answered + feed.simulator.counts("acme", "login.user").answered;
        assert_eq!(logins, 4, "one login at the start and one for each session that ended");
    }
}

/// The answers tell how many points are left, so callfeed stops before it is refused.
#[test]
fn points_that_run_out_are_waited_for() {
    let mut scenario = going(history(60));
    scenario.accounts[0].limits =
        Limits { minute_remaining: Some(6), minute_reset: Some(4), ..Limits::per(1_000, 100_000) };
    let mut feed = Feed::of(scenario);
    feed.configure(json!({"defaults": {"poll": {"page_size": 5}}}));

    feed.once();

    feed.assert_equals_truth();
    let refused = feed.simulator.counts("acme", "get.calls_report").refused;
    assert!(refused.is_empty(), "callfeed knew that there were none: {refused:?}");
}

/// Another program uses the same points, so callfeed learns by a refusal that they are used up.
#[test]
fn a_refusal_for_want_of_points_loses_nothing() {
    let mut feed = Feed::of(going(history(60)));
    feed.configure(json!({"defaults": {"poll": {"page_size": 3}}}));
    feed.simulator.inject(Fault::Latency { delay: Duration::from_millis(20) }.every(1));
    let pages = || feed.simulator.counts("acme", "get.calls_report");
    let _running = feed.start();
    eventually("some pages", PATIENCE, || (pages().answered >= 5).then_some(()));

    let none_left = Limits { minute_remaining: Some(0), minute_reset: Some(3), ..Limits::per(1_000_000, 1_000_000) };
    feed.simulator.set_limits("acme", &none_left).unwrap();
    eventually("a refusal", PATIENCE, || pages().refused.contains_key("limit_exceeded").then_some(()));

    feed.wait_for_rereading("acme");
    feed.assert_equals_truth();
    assert_eq!(pages().refused["limit_exceeded"], 1, "the reset that the refusal names is waited for");
}

pub fn visible(feed: &Feed, account: &str) -> usize {
    feed.simulator.truth(account).iter().filter(|call| call.visible && !call.bad).count()
}
