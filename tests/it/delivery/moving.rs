//! What a replica shows of the accounts of all, while they move from one to another.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Callfeed, Setup, eventually, free_ports};

use super::feed::{Feed, PATIENCE};
use super::replicas::{ACCOUNTS, wait_until_published, world};

const TOKEN: &str = "a-token-of-this-test-alone";

#[test]
fn each_account_is_shown_once_whichever_replica_has_it_or_none() {
    let feed = world("classic");
    let [one, other] = free_ports().map(|port| format!("127.0.0.1:{port}"));
    let first = start(&feed, "first", &one, &other);
    wait_until_published(&feed);
    assert!(owners(&first).values().all(|owner| owner.as_deref() == Some("first")));
    let unreachable = shown(&first)["unreachable"].clone();
    assert!(unreachable[0].as_str().unwrap().starts_with(&other), "{unreachable}");

    let mut second = start(&feed, "second", &other, &one);
    let theirs = eventually("the accounts to be divided", PATIENCE, || {
        let owners = owners(&first);
        let of_second = owners.iter().find(|(_, owner)| owner.as_deref() == Some("second"));
        of_second.filter(|_| owners.values().all(Option::is_some)).map(|(name, _)| name.clone())
    });
    let (code, answer) =
        first.post(&format!("/api/v1/accounts/{theirs}/trace"), TOKEN, &json!({"on": true}).to_string());
    assert_eq!(code, 200, "{answer}");
    assert!(answer.contains(r#""replica":"second""#), "{answer}");

    second.kill9();
    let missed = eventually("the second to be missed", PATIENCE, || {
        let shown = shown(&first);
        let one = shown["accounts"].as_array().unwrap().iter().find(|one| one["name"] == theirs.as_str()).unwrap();
        one["replica"].is_null().then(|| one.clone())
    });
    assert_eq!((&missed["status"], &missed["reason"]), (&json!("starting"), &json!("no replica that answers has it")));
    eventually("the first to take over", PATIENCE, || {
        owners(&first).values().all(|owner| owner.as_deref() == Some("first")).then_some(())
    });
    feed.assert_equals_truth();
}

/// Each replica has a file of its own, and the other one for a peer.
fn start(feed: &Feed, instance: &str, listen: &str, peer: &str) -> Callfeed {
    let mut config = feed.config.clone();
    config["admin"] = json!({"listen": listen, "peers": peer, "token": TOKEN});
    let setup = Setup::new(&["run", "--config", "callfeed.yaml"]).file("callfeed.yaml", &config.to_string());
    setup.env("POD_NAME", instance).start()
}

fn shown(replica: &Callfeed) -> Value {
    serde_json::from_str(&replica.get("/api/v1/accounts")).unwrap()
}

/// Which replica has each account. None is missing, and none is there twice, whenever it is asked.
fn owners(replica: &Callfeed) -> BTreeMap<String, Option<String>> {
    let shown = shown(replica);
    let accounts = shown["accounts"].as_array().unwrap();
    let names: Vec<&str> = accounts.iter().map(|account| account["name"].as_str().unwrap()).collect();
    assert_eq!(names, ACCOUNTS, "{shown}");
    let owner = |account: &Value| account["replica"].as_str().map(str::to_owned);
    accounts.iter().map(|account| (account["name"].as_str().unwrap().to_owned(), owner(account))).collect()
}
