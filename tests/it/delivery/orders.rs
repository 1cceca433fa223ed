//! What people ask of a running replica through its admin port.

use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{Callfeed, Servers, eventually, free_port};

use super::faults::visible;
use super::feed::{Feed, PATIENCE, account, history, standing_with};

const TOKEN: &str = "a-token-of-this-test-alone";

#[test]
fn a_pause_outlasts_a_restart_and_what_was_missed_is_read_when_it_ends() {
    let feed = world();
    let mut process = start(&feed);
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));

    let answer = ordered(&process, "/api/v1/accounts/acme/pause", "");
    assert_eq!(answer["account"]["status"], "paused", "{answer}");
    let missed = new_call(&feed, "acme");
    let read = new_call(&feed, "other");
    wait_for(&feed, "other", read);
    process.kill9();
    let process = start(&feed);
    eventually("the account to be paused again", PATIENCE, || (status(&process, "acme") == "paused").then_some(()));
    wait_for(&feed, "other", new_call(&feed, "other"));
    assert!(feed.types_of("acme", missed).is_empty());

    ordered(&process, "/api/v1/accounts/acme/resume", "");
    wait_for(&feed, "acme", missed);
    eventually("the account to be live", PATIENCE, || (status(&process, "acme") == "live").then_some(()));
    feed.assert_equals_truth();
    let listed = feed.command(&["state", "show", "acme"]).stdout();
    assert!(!listed.contains("paused"), "{listed}");
}

#[test]
fn state_shows_a_pause_and_a_run_once_keeps_to_it() {
    let feed = world();
    let process = start(&feed);
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    ordered(&process, "/api/v1/accounts/acme/pause", "");
    drop(process);
    let shown = feed.command(&["state", "show", "acme"]).stdout();
    assert!(shown.contains("paused since"), "{shown}");
    let missed = new_call(&feed, "acme");
    feed.once();
    assert!(feed.types_of("acme", missed).is_empty());
}

#[test]
fn what_is_rewound_is_read_again_and_told_only_once() {
    let feed = world();
    let process = start(&feed);
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    let n_events = feed.assert_equals_truth();
    let to = (Timestamp::now() - SignedDuration::from_hours(24)).to_string();

    let answer = ordered(&process, "/api/v1/accounts/acme/rewind", &json!({ "to": to }).to_string());
    assert!(answer["done"].as_str().unwrap().contains("is read again, "), "{answer}");
    eventually("it to be read again", PATIENCE, || {
        let stored = feed.command(&["state", "show", "acme", "--format", "json"]).stdout();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        (stored["coverage"]["gaps"] == json!([])).then_some(())
    });
    wait_for(&feed, "acme", new_call(&feed, "acme"));
    assert_eq!(feed.assert_equals_truth(), n_events + 1);

    let tomorrow = (Timestamp::now() + SignedDuration::from_hours(24)).to_string();
    let (code, answer) = process.post("/api/v1/accounts/acme/rewind", TOKEN, &json!({ "to": tomorrow }).to_string());
    assert_eq!(code, 409, "{answer}");
    assert!(answer.contains("nothing of `acme` was read after"), "{answer}");
}

#[test]
fn a_reload_is_answered_with_what_came_of_it() {
    let mut feed = world();
    let process = start(&feed);
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    let whole = feed.config["accounts"].clone();

    feed.config["accounts"].as_array_mut().unwrap().pop();
    feed.write_config();
    let answer = ordered(&process, "/api/v1/reload", "");
    assert_eq!(answer["done"], "reloaded: 0 accounts added, 1 removed, 0 changed");

    feed.config["accounts"] = json!([]);
    feed.write_config();
    let (code, answer) = process.post("/api/v1/reload", TOKEN, "");
    assert_eq!(code, 409, "{answer}");
    assert!(answer.contains("is refused, the old one goes on: ") && answer.contains("accounts"), "{answer}");
    feed.config["accounts"] = whole;
    feed.write_config();
    assert_eq!(ordered(&process, "/api/v1/reload", "")["done"], "reloaded: 1 accounts added, 0 removed, 0 changed");
}

#[test]
fn a_token_that_was_rotated_in_its_file_holds_at_once() {
    let mut feed = world();
    let token = feed.write_file("token", TOKEN);
    feed.configure(json!({"admin": {"token": {"file": token}}}));
    let process = start(&feed);
    let reload = |token: &str| process.post("/api/v1/reload", token, "").0;
    eventually("the service to be ready", PATIENCE, || (process.get("/ready") == "ready\n").then_some(()));
    assert_eq!(reload(TOKEN), 200);
    let new = "another-token-of-this-test";
    feed.write_file("token", new);
    assert_eq!((reload(TOKEN), reload(new)), (401, 200));
    assert!(![TOKEN, new].iter().any(|token| process.stderr().contains(token)));
}

/// It is one of its own peers, as a replica is behind a headless Service.
#[test]
fn a_replica_with_peers_shows_each_account_once_and_takes_orders() {
    let mut feed = world();
    let address = format!("127.0.0.1:{}", free_port());
    feed.configure(json!({"admin": {"listen": address, "peers": address}}));
    let process = start(&feed);
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    let shown: Value = serde_json::from_str(&process.get("/api/v1/accounts")).unwrap();
    let names: Vec<_> = shown["accounts"].as_array().unwrap().iter().map(|account| &account["name"]).collect();
    assert_eq!(names, ["acme", "other"], "{shown}");
    let answer = ordered(&process, "/api/v1/accounts/acme/pause", "");
    assert_eq!(answer["account"]["status"], "paused", "{answer}");
}

/// Requests made up from the description of the port, good and bad ones, with the token and without.
#[test]
fn the_admin_port_is_as_it_describes_itself() {
    let feed = world();
    let process = start(&feed);
    feed.wait_for_events(visible(&feed, "acme") + visible(&feed, "other"));
    let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/openapi-check"))
        .env("CALLFEED_CACHE", Servers::cache())
        .args(["run", &process.admin_url(), TOKEN])
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{complained}");
    assert!(said.contains("Tested: 10"), "{said}");
}

fn world() -> Feed {
    let mut feed = Feed::of(standing_with(["acme", "other"].map(|name| account(name, history(20))).to_vec()));
    feed.configure(json!({
        "kafka": {"properties": {"session.timeout.ms": "2000", "heartbeat.interval.ms": "500"}},
        "admin": {"token": TOKEN},
    }));
    feed
}

fn start(feed: &Feed) -> Callfeed {
    feed.setup(&[]).start()
}

#[track_caller]
fn ordered(process: &Callfeed, path: &str, body: &str) -> Value {
    let (code, answer) = process.post(path, TOKEN, body);
    assert_eq!(code, 200, "{answer}");
    serde_json::from_str(&answer).unwrap()
}

fn status(process: &Callfeed, account: &str) -> String {
    let shown: Value = serde_json::from_str(&process.get(&format!("/api/v1/accounts/{account}"))).unwrap();
    shown["status"].as_str().unwrap_or_default().to_owned()
}

/// A call that has just ended.
fn new_call(feed: &Feed, account: &str) -> i64 {
    let ended = json!({"source": "sip", "finish_time": "2020-01-01 00:00:00"});
    feed.add_call(account, SignedDuration::from_mins(5), ended)
}

fn wait_for(feed: &Feed, account: &str, call: i64) {
    eventually("the new call", PATIENCE, || (feed.types_of(account, call) == ["CREATED"]).then_some(()));
}
