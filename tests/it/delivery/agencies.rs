//! An agency credential: each customer is an account of its own.

use std::collections::BTreeMap;

use callfeed::simulator::{AccountScenario, CallsScenario};
use serde_json::json;

use super::faults::visible;
use super::feed::{Feed, account, customer, history, standing_with};

/// The topics of customers are not known at the start; they are checked and made when the customers are.
#[test]
fn accounts_may_have_topics_of_their_own() {
    let agency = AccountScenario {
        customers: vec![customer(1, "Europe/Moscow", history(20)), customer(2, "Europe/Moscow", history(15))],
        ..account("agency", CallsScenario::default())
    };
    let mut feed = Feed::of(standing_with(vec![agency, account("plain", history(10))]));
    let prefix = feed.topic();
    feed.configure(json!({"topics": {"calls": format!("{prefix}.{{service}}.{{account}}")}}));
    feed.once();
    feed.once();
    for account in ["agency.1001", "agency.1002", "plain"] {
        let topic = format!("{prefix}.custom.{account}");
        let records = feed.kafka.read_committed(&topic);
        assert_eq!(records.len(), visible(&feed, account), "the calls of {account}");
        let subject = feed.registry.get(&format!("/subjects/{topic}-value/versions/latest"));
        let id = u32::try_from(subject["id"].as_u64().unwrap()).unwrap();
        assert!(records.iter().all(|record| record.value.as_deref().unwrap()[1..5] == id.to_be_bytes()));
    }
}

#[test]
fn each_customer_of_an_agency_is_read_as_an_account_of_its_own() {
    let agency = AccountScenario {
        customers: vec![
            customer(1, "Europe/Moscow", history(40)),
            customer(2, "Asia/Vladivostok", history(30)),
            customer(3, "America/New_York", history(20)),
        ],
        ..account("agency", CallsScenario::default())
    };
    let mut feed = Feed::of(standing_with(vec![agency, account("plain", history(25))]));
    feed.configure(json!({"defaults": {"poll": {"page_size": 7}}}));

    feed.once();
    feed.once();

    let n_events = feed.assert_equals_truth();
    let mut by_account: BTreeMap<String, usize> = BTreeMap::new();
    for event in feed.events() {
        *by_account.entry(event.text("account").to_owned()).or_default() += 1;
    }
    let accounts: Vec<&str> = by_account.keys().map(String::as_str).collect();
    assert_eq!(accounts, ["agency.1001", "agency.1002", "agency.1003", "plain"]);

    // Named by their ids, fewer customers are read on, and nothing is told again.
    let call = feed.add_call("agency.1002", jiff::SignedDuration::from_hours(4), json!({"source": "va"}));
    feed.configure_account("agency", json!({"customers": [1002]}));
    feed.once();
    assert_eq!(feed.types_of("agency.1002", call), ["CREATED"]);
    assert_eq!(feed.events().len(), n_events + 1);
}
