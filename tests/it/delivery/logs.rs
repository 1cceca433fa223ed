//! What a running service logs: names for machines, and the decisions of one account when somebody asks for them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Callfeed, eventually};

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, history, standing_with};

const TOKEN: &str = "a-token-of-this-test-alone";

#[test]
fn each_lasting_change_has_a_name_on_a_line_of_json() {
    let mut feed = world();
    let mut process = feed.start();
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    wait_for(&process, "account_live");
    feed.configure_account("other", json!({"filters": {"include": "primary"}}));
    reload(&feed, &process, 200);
    feed.configure(json!({"limits": {"memory": "none"}}));
    reload(&feed, &process, 409);
    order(&process, "pause", "");
    wait_for(&process, "account_paused");
    order(&process, "resume", "");
    process.terminate();
    process.wait_exit(PATIENCE);

    let lines = lines(&process);
    for line in &lines {
        for name in ["timestamp", "severity_text", "body", "service.version", "service.instance.id"] {
            assert!(line[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {line}");
        }
        assert_eq!(line["service.name"], "callfeed");
    }
    let told: BTreeSet<&str> = lines.iter().filter_map(|line| line["event.name"].as_str()).collect();
    for event in [
        "service_started",
        "admin_port_opened",
        "partition_assigned",
        "state_restored",
        "service_ready",
        "account_backfilling",
        "account_live",
        "calls_published",
        "config_reloaded",
        "config_refused",
        "horizon_stale",
        "account_paused",
        "order_done",
        "service_stopping",
        "service_stopped",
    ] {
        assert!(told.contains(event), "{event} is not among {told:?}");
    }
    let of = |event: &str| lines.iter().find(|line| line["event.name"] == event).unwrap();
    assert_eq!(of("order_done")["callfeed.account"], "acme");
    assert_eq!(of("partition_assigned")["messaging.destination.name"], feed.state_topic());
    assert!(of("config_refused")["callfeed.problems"].as_str().unwrap().contains("limits.memory"));
    assert!(of("admin_port_opened")["server.port"].is_number());
}

#[test]
fn the_decisions_of_one_account_are_logged_while_somebody_wants_them() {
    let mut feed = world();
    // So that there is something to wait for, however busy the machine is.
    let tiers = json!([{"age": "15m", "every": "2s"}, {"age": "3d", "every": "1m"}]);
    feed.configure(json!({"defaults": {"poll": {"tiers": tiers}}}));
    let mut process = feed.start();
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    assert!(debug(&process).is_empty(), "nobody has asked yet");

    let answer = order(&process, "trace", r#"{"on": true, "for": "1h"}"#);
    assert!(answer["account"]["traced_until"].is_string(), "{answer}");
    let call = feed.add_call("acme", jiff::SignedDuration::from_mins(5), json!({"source": "sip"}));
    eventually("the new call", PATIENCE, || (feed.types_of("acme", call) == ["CREATED"]).then_some(()));
    for decision in ["waiting", "reading", "a page was asked for", "its rows were filtered and compared", "committed"] {
        eventually(decision, PATIENCE, || debug(&process).iter().any(|line| line["body"] == decision).then_some(()));
    }
    let asked = debug(&process).into_iter().find(|line| line["body"] == "a page was asked for").unwrap();
    assert_eq!(asked["rpc.method"], "get.calls_report", "{asked}");
    assert!(asked["callfeed.points"].is_string() && asked["callfeed.from"].is_string(), "{asked}");

    assert_eq!(order(&process, "trace", r#"{"on": false}"#)["done"], "not traced any more");
    // It ends by itself, too.
    order(&process, "trace", r#"{"on": true, "for": "1s"}"#);
    eventually("the trace to end", PATIENCE, || (n_told(&process, "trace_ended") == 2).then_some(()));
    let n_lines = debug(&process).len();
    let call = feed.add_call("acme", jiff::SignedDuration::from_mins(5), json!({"source": "sip"}));
    eventually("the new call", PATIENCE, || (feed.types_of("acme", call) == ["CREATED"]).then_some(()));
    assert_eq!(debug(&process).len(), n_lines);
    assert!(debug(&process).iter().all(|line| line["callfeed.account"] == "acme"), "nothing of others");

    process.terminate();
    process.wait_exit(PATIENCE);
    let log = process.stderr();
    assert!(!log.contains(TOKEN));
    let phones = feed.simulator.truth("acme").into_iter().map(|call| call.row["contact_phone_number"].clone());
    for phone in phones.filter_map(|phone| phone.as_str().map(str::to_owned)) {
        assert!(!log.contains(&phone), "a number of a caller is in the log");
    }
}

fn world() -> Feed {
    let mut feed = Feed::of(standing_with(["acme", "other"].map(|name| account(name, history(20))).to_vec()));
    feed.configure(json!({"admin": {"token": TOKEN}, "log": {"format": "json"}}));
    feed
}

#[track_caller]
fn order(process: &Callfeed, verb: &str, body: &str) -> Value {
    let (code, answer) = process.post(&format!("/api/v1/accounts/acme/{verb}"), TOKEN, body);
    assert_eq!(code, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

#[track_caller]
fn reload(feed: &Feed, process: &Callfeed, expected: u16) {
    feed.write_config();
    let (code, answer) = process.post("/api/v1/reload", TOKEN, "");
    assert_eq!(code, expected, "{answer}");
}

/// The whole lines so far.
fn lines(process: &Callfeed) -> Vec<Value> {
    let log = process.stderr();
    let whole = log.rfind('\n').map_or("", |end| &log[..end]);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

fn debug(process: &Callfeed) -> Vec<Value> {
    lines(process).into_iter().filter(|line| line["severity_text"] == "DEBUG").collect()
}

fn n_told(process: &Callfeed, event: &str) -> usize {
    lines(process).iter().filter(|line| line["event.name"] == event).count()
}

#[track_caller]
fn wait_for(process: &Callfeed, event: &str) {
    eventually(event, PATIENCE, || (n_told(process, event) > 0).then_some(()));
}
