//! A configuration that changes: while callfeed runs, and between two runs.
//!
//! The horizon is read once a day in these tests. What comes at once comes because something has changed.

use std::collections::BTreeSet;
use std::time::Duration;

use callfeed::simulator::{AccountScenario, CallsScenario, Fault, Key};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::support::{Callfeed, eventually};

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, api_key, customer, history, standing, standing_with};
use super::oracle;

#[test]
fn filters_that_change_while_it_runs_hold_for_the_whole_horizon() {
    let mut feed = daily(vec![account("acme", history(120))]);
    feed.configure_account("acme", json!({"filters": {"include": "primary"}}));
    let mut process = feed.start();
    wait_until_published(&feed, "acme");
    let n_primary = feed.assert_equals_truth();

    feed.configure_account("acme", json!({"filters": {"include": "all"}}));
    feed.reload(&mut process);
    wait_until_published(&feed, "acme");
    feed.assert_latest_equals_truth();
    assert!(n_of_type(&feed, "CREATED") > n_primary, "calls of the past that pass now are new to consumers");
    assert_eq!(n_of_type(&feed, "WITHDRAWN"), 0);

    let n_created = n_of_type(&feed, "CREATED");
    feed.configure_account("acme", json!({"filters": {"channels": {"static": {"sources": ["sip"]}}}}));
    feed.reload(&mut process);
    wait_until_published(&feed, "acme");
    feed.assert_latest_equals_truth();
    assert!(n_of_type(&feed, "WITHDRAWN") > 0, "calls that no longer pass are withdrawn");
    assert_eq!(n_of_type(&feed, "CREATED"), n_created);
}

#[test]
fn filters_that_change_between_two_runs_hold_for_the_whole_horizon_at_once() {
    let mut feed = daily(vec![account("acme", history(120))]);
    feed.once();
    feed.assert_equals_truth();
    for filters in [json!({"include": "primary"}), json!({"include": "all", "channels": {"dynamic": false}})] {
        feed.configure_account("acme", json!({"filters": filters}));
        feed.once();
        feed.assert_latest_equals_truth();
    }
    assert!(n_of_type(&feed, "WITHDRAWN") > 0);

    let n_events = feed.events().len();
    feed.once();
    assert_eq!(feed.events().len(), n_events, "what was read through is not read again");
}

/// The change is noted with the first page that was read under it, and ends with the last.
#[test]
fn a_change_that_a_kill_breaks_off_is_completed_by_the_next_start() {
    let mut feed = daily(vec![account("acme", history(120))]);
    feed.configure(json!({"defaults": {"poll": {"page_size": 3}}}));
    feed.once();
    feed.simulator.inject(Fault::Latency { delay: Duration::from_millis(100) }.every(1));
    let mut process = feed.start();
    process.wait_for_output("polling", PATIENCE);
    feed.configure_account("acme", json!({"filters": {"include": "primary"}}));
    feed.reload(&mut process);
    eventually("the first calls to be withdrawn", PATIENCE, || (n_of_type(&feed, "WITHDRAWN") > 0).then_some(()));
    process.kill9();
    assert!(published(&feed, "acme") != expected(&feed, "acme"), "it was in the middle");

    // Taken back, and yet some calls were withdrawn.
    feed.simulator.clear_faults();
    feed.configure_account("acme", json!({"filters": {"include": "all"}}));
    feed.once();
    feed.assert_latest_equals_truth();
}

/// Progress goes from the task that stops to the one that starts; nothing is read from Kafka again.
#[test]
fn tiers_and_page_size_change_without_losing_progress() {
    let mut feed = Feed::of(standing(history(60)));
    let mut process = feed.start();
    wait_until_published(&feed, "acme");
    for (page_size, tiers) in [
        (7, json!([{"age": "1h", "every": "1s"}, {"age": "2d", "every": "1s"}])),
        (9, json!([{"age": "4d", "every": "1s"}])),
    ] {
        feed.configure(json!({"defaults": {"poll": {"page_size": page_size, "tiers": tiers}}}));
        feed.reload(&mut process);
        let asked = |one: &callfeed::simulator::RequestRecord| one.limit == Some(page_size);
        eventually("pages of the new size", PATIENCE, || feed.simulator.requests().iter().any(asked).then_some(()));
        let call = feed.add_call("acme", SignedDuration::from_hours(20), json!({"source": "sip"}));
        eventually("a new call", PATIENCE, || (!feed.types_of("acme", call).is_empty()).then_some(()));
    }
    feed.assert_equals_truth();
    assert!(feed.events().iter().all(|event| event.number("revision") == 1), "nothing is told twice");
    assert_eq!(process.stderr().matches("state restored").count(), 1);
}

#[test]
fn accounts_come_and_go_and_the_others_are_not_disturbed() {
    let names = ["stays", "goes", "comes"];
    let mut feed = daily(names.map(|name| account(name, history(20))).to_vec());
    let comes = feed.config["accounts"].as_array_mut().unwrap().pop().unwrap();
    let mut process = feed.start();
    ["stays", "goes"].iter().for_each(|name| wait_until_published(&feed, name));
    let opened = feed.simulator.counts("stays", "get.account").answered;

    let goes = feed.config["accounts"].as_array_mut().unwrap().remove(1);
    feed.config["accounts"].as_array_mut().unwrap().push(comes);
    feed.reload(&mut process);
    wait_until_published(&feed, "comes");
    eventually("the account to be forgotten", PATIENCE, || (!shows(&process, "goes")).then_some(()));
    assert!(shows(&process, "stays") && shows(&process, "comes"));

    feed.config["accounts"].as_array_mut().unwrap().push(goes);
    let missed = new_call(&feed, "goes");
    feed.reload(&mut process);
    eventually("what was missed", PATIENCE, || (feed.types_of("goes", missed) == ["CREATED"]).then_some(()));
    feed.assert_equals_truth();
    // SIGHUP has it asked for its zone again each time; one that was started anew would be asked once more each time.
    let asked = feed.simulator.counts("stays", "get.account").answered - opened;
    assert!(asked <= 2, "asked {asked} times");
    assert_eq!(n_starts(&process, "stays"), 1, "the same task goes on");
}

/// The live tier is short, so that only the gap in the coverage can bring what came meanwhile.
#[test]
fn a_disabled_account_fills_its_gap_when_it_is_enabled_again() {
    let mut scenario = standing_with(vec![account("acme", history(20)), account("other", history(5))]);
    scenario.clock = callfeed::simulator::ClockScenario::default();
    let mut feed = Feed::of(scenario);
    feed.configure(
        json!({"defaults": {"poll": {"tiers": [{"age": "1s", "every": "1s"}, {"age": "2s", "every": "1s"}]}}}),
    );
    let mut process = feed.start();
    eventually("the first calls", PATIENCE, || (published(&feed, "acme").len() >= 20).then_some(()));

    feed.configure_account("acme", json!({"enabled": false}));
    feed.reload(&mut process);
    eventually("the account to be forgotten", PATIENCE, || (!shows(&process, "acme")).then_some(()));
    let stopped_at = feed.simulator.now();
    let passed = |seconds: i64| feed.simulator.now().duration_since(stopped_at) > SignedDuration::from_secs(seconds);
    eventually("a new second", PATIENCE, || passed(1).then_some(()));
    let long_ago = json!({"source": "va", "finish_time": LONG_AGO});
    let missed = feed.add_call("acme", SignedDuration::ZERO, long_ago);
    eventually("the call to leave the horizon", PATIENCE, || passed(6).then_some(()));
    assert!(feed.types_of("acme", missed).is_empty(), "a disabled account is not read");

    feed.configure_account("acme", json!({"enabled": true}));
    feed.reload(&mut process);
    eventually("what was missed", PATIENCE, || (feed.types_of("acme", missed) == ["CREATED"]).then_some(()));
    feed.assert_equals_truth();
}

#[test]
fn customers_of_an_agency_come_and_go() {
    let customers = (1..=2).map(|id| customer(id, "Europe/Moscow", history(10))).collect();
    let agency = AccountScenario { customers, ..account("agency", CallsScenario::default()) };
    let mut feed = daily(vec![agency]);
    feed.configure_account("agency", json!({"customers": [1001]}));
    let mut process = feed.start();
    wait_until_published(&feed, "agency.1001");
    assert!(!shows(&process, "agency.1002"));

    feed.configure_account("agency", json!({"customers": [1001, 1002]}));
    feed.reload(&mut process);
    wait_until_published(&feed, "agency.1002");
    feed.configure_account("agency", json!({"customers": [1002]}));
    feed.reload(&mut process);
    eventually("the customer to be forgotten", PATIENCE, || (!shows(&process, "agency.1001")).then_some(()));
    eventually("the other to go on", PATIENCE, || shows(&process, "agency.1002").then_some(()));
    let n_visible = visible(&feed, "agency.1001") + visible(&feed, "agency.1002");
    assert_eq!(feed.assert_equals_truth(), n_visible);
    assert_eq!(process.stderr().matches("state restored").count(), 1, "progress is handed over");
}

#[test]
fn replaced_credentials_take_effect_at_once() {
    let mut feed = daily(vec![account("acme", history(20))]);
    let mut process = feed.start();
    wait_until_published(&feed, "acme");
    feed.simulator.set_keys("acme", vec![Key::new("another key")]).unwrap();
    let call = new_call(&feed, "acme");
    eventually("the account to be blocked", PATIENCE, || (status(&process, "acme") == "blocked").then_some(()));

    feed.configure_account("acme", json!({"credentials": {"api_key": "another key"}}));
    feed.reload(&mut process);
    eventually("the call", PATIENCE, || (feed.types_of("acme", call) == ["CREATED"]).then_some(()));
    feed.assert_equals_truth();
}

/// A key or a password in a file is read again when the former one is refused: nobody has to tell callfeed.
#[test]
fn rotated_secret_files_take_effect_without_a_reload() {
    let mut with_login = account("with-login", history(10));
    with_login.login = Some("user@example.com".to_owned());
    with_login.password = Some("first password".into());
    let mut feed = daily(vec![account("with-key", history(10)), with_login]);
    let key_file = feed.write_file("key", &api_key("with-key"));
    let password_file = feed.write_file("password", "first password");
    feed.config["accounts"][0]["credentials"] = json!({"api_key": {"file": key_file}});
    feed.config["accounts"][1]["credentials"] =
        json!({"login": "user@example.com", "password": {"file": password_file}});
    let process = feed.start();
    let accounts = ["with-key", "with-login"];
    accounts.iter().for_each(|name| wait_until_published(&feed, name));

    feed.write_file("key", "second key\n");
    feed.write_file("password", "second password\n");
    feed.simulator.set_keys("with-key", vec![Key::new("second key")]).unwrap();
    feed.simulator.set_password("with-login", "second password").unwrap();
    feed.simulator.end_sessions("with-login").unwrap();
    let calls = accounts.map(|name| (name, new_call(&feed, name)));
    for (name, call) in calls {
        eventually("the call", PATIENCE, || (feed.types_of(name, call) == ["CREATED"]).then_some(()));
    }
    assert!(!process.stderr().contains("blocked"), "nobody was blocked for it");
    feed.assert_equals_truth();
}

/// The reason why an account is blocked may be gone; whoever has seen to it need not wait for five minutes.
#[test]
fn a_blocked_account_is_tried_again_at_sighup() {
    let mut feed = daily(vec![account("acme", history(10))]);
    let key_file = feed.write_file("key", "not its key");
    feed.config["accounts"][0]["credentials"] = json!({"api_key": {"file": key_file}});
    let mut process = feed.start();
    eventually("the account to be blocked", PATIENCE, || (status(&process, "acme") == "blocked").then_some(()));
    feed.write_file("key", &api_key("acme"));
    process.hang_up();
    wait_until_published(&feed, "acme");
    feed.assert_equals_truth();
}

/// Nobody sends a signal here: the file is looked at.
#[test]
fn a_bad_configuration_is_refused_as_a_whole_and_the_old_one_goes_on() {
    let mut feed = daily(vec![account("acme", history(20))]);
    let process = feed.start();
    wait_until_published(&feed, "acme");
    let good = feed.config.clone();
    assert_eq!(config_shown(&process)["refused"], Value::Null);
    assert!(process.get("/metrics").contains("callfeed_config_last_reload_successful 1\n"));

    feed.configure(json!({"limit": {}, "defaults": {"poll": {"page_size": 0}, "filters": {"include": "primary"}}}));
    feed.write_config();
    let refused = eventually("the refusal", PATIENCE, || refusal(&process, "page_size"));
    assert!(refused.iter().any(|problem| problem.contains("limit: unknown key")), "{refused:?}");
    assert!(process.get("/metrics").contains("callfeed_config_last_reload_successful 0\n"));
    let log = process.stderr();
    assert!(log.contains("the new configuration is refused, the old one goes on"), "{log}");
    assert!(log.contains("page_size") && log.contains("limit: unknown key"), "the log tells all problems: {log}");
    let call = new_call(&feed, "acme");
    eventually("the old one to go on", PATIENCE, || (feed.types_of("acme", call) == ["CREATED"]).then_some(()));

    feed.config = good.clone();
    feed.configure(json!({"kafka": {"commit_interval": "20ms"}, "log": {"level": "debug"}}));
    feed.write_config();
    let refused = eventually("the refusal", PATIENCE, || refusal(&process, "restart"));
    assert!(refused[0].starts_with("kafka.commit_interval, log.level: "), "{refused:?}");

    feed.config = good;
    feed.configure(json!({"defaults": {"poll": {"page_size": 11}}}));
    feed.write_config();
    eventually("a good one", PATIENCE, || config_shown(&process)["refused"].is_null().then_some(()));
    assert!(process.get("/metrics").contains("callfeed_config_last_reload_successful 1\n"));
    feed.assert_equals_truth();
}

#[test]
fn a_service_whose_accounts_are_all_disabled_waits_for_one() {
    let mut feed = daily(vec![account("acme", history(10))]);
    feed.configure_account("acme", json!({"enabled": false}));
    let mut process = feed.start();
    process.wait_for_output("polling", PATIENCE);
    feed.configure_account("acme", json!({"enabled": true}));
    feed.reload(&mut process);
    wait_until_published(&feed, "acme");
    process.terminate();
    process.wait_exit(PATIENCE);
    assert_eq!(process.exit_code(), 0);
}

/// A world that stands still, in which the horizon is read once a day.
fn daily(accounts: Vec<AccountScenario>) -> Feed {
    let mut feed = Feed::of(standing_with(accounts));
    let tiers = json!([{"age": "15m", "every": "1s"}, {"age": "3d", "every": "1d"}]);
    feed.configure(json!({"defaults": {"poll": {"tiers": tiers}}}));
    feed
}

/// A call that the live tier finds, and that is over.
fn new_call(feed: &Feed, account: &str) -> i64 {
    feed.add_call(account, SignedDuration::from_mins(5), json!({"source": "sip", "finish_time": LONG_AGO}))
}

const LONG_AGO: &str = "2020-01-01 00:00:00";

/// The calls that consumers have, by their last event.
fn published(feed: &Feed, account: &str) -> BTreeSet<i64> {
    let mut calls = BTreeSet::new();
    for event in feed.events().into_iter().filter(|event| event.text("account") == account) {
        let id = event.number("id");
        if event.text("event_type") == "WITHDRAWN" {
            calls.remove(&id)
        } else {
            calls.insert(id)
        };
    }
    calls
}

/// The calls that the filters let through, as they are configured now.
fn expected(feed: &Feed, account: &str) -> BTreeSet<i64> {
    let facts = feed.accounts().into_iter().find(|one| one.name == account).unwrap();
    let visible = feed.simulator.truth(account).into_iter().filter(|call| call.visible);
    visible.filter(|call| oracle::passes(&facts.filters, &call.row)).map(|call| call.id).collect()
}

#[track_caller]
fn wait_until_published(feed: &Feed, account: &str) {
    let what = format!("the calls of {account} that the filters let through, and no others");
    eventually(&what, PATIENCE, || (published(feed, account) == expected(feed, account)).then_some(()));
}

fn n_of_type(feed: &Feed, event_type: &str) -> usize {
    feed.events().iter().filter(|event| event.text("event_type") == event_type).count()
}

fn status(process: &Callfeed, account: &str) -> String {
    let shown: Value = serde_json::from_str(&process.get(&format!("/api/v1/accounts/{account}"))).unwrap();
    shown["status"].as_str().unwrap_or_default().to_owned()
}

fn shows(process: &Callfeed, account: &str) -> bool {
    !status(process, account).is_empty()
}

/// How often the account has left the status that it starts with.
fn n_starts(process: &Callfeed, account: &str) -> usize {
    let log = process.stderr();
    let of_account = log.lines().filter(|line| line.contains(&format!("account={account} ")));
    of_account.filter(|line| line.contains("former_status=\"starting\"")).count()
}

fn config_shown(process: &Callfeed) -> Value {
    let shown: Value = serde_json::from_str(&process.get("/api/v1/accounts")).unwrap();
    shown["config"].clone()
}

/// The problems of the last configuration, when one of them is about this.
fn refusal(process: &Callfeed, about: &str) -> Option<Vec<String>> {
    let problems = config_shown(process)["refused"]["problems"].clone();
    let problems: Vec<String> = serde_json::from_value(problems).ok()?;
    problems.iter().any(|problem| problem.contains(about)).then_some(problems)
}
