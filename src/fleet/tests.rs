//! What a new configuration does to which account.

use super::*;
use crate::config::parse;
use crate::domain::call::Service;
use crate::status::StatusBoard;

/// A configuration with these accounts, and other keys in front of them.
fn config(others: &str, accounts: &[&str]) -> Config {
    let accounts: String = accounts.iter().map(|account| format!("  - {{service: uis, {account}}}\n")).collect();
    let text = format!(
        "kafka: {{bootstrap_servers: \"a:9092\"}}\nschema_registry: {{url: \"http://registry:8081\"}}\n{others}\naccounts:\n{accounts}"
    );
    parse(&text, &|_| None).unwrap()
}

fn ids(names: &[&str]) -> BTreeSet<AccountId> {
    names.iter().map(|name| AccountId::new(name)).collect()
}

const ACME: &str = "name: acme, credentials: {api_key: one}";
const OTHER: &str = "name: other, credentials: {login: l, password: p}";

#[test]
fn accounts_that_are_the_same_are_not_touched() {
    let old = config("", &[ACME, OTHER]);
    assert_eq!(Changes::between(&old, &config("", &[OTHER, ACME])), Changes::default(), "the order says nothing");
    let written_out = config(
        "defaults: {timezone: auto}",
        &[ACME, "name: other, credentials: {login: l, password: p}, poll: {page_size: 5000}"],
    );
    assert_eq!(
        Changes::between(&old, &written_out),
        Changes::default(),
        "a default that is written out changes nothing"
    );
}

#[test]
fn each_key_of_an_account_changes_that_account_alone() {
    let old = config("", &[ACME, OTHER]);
    for changed in [
        "name: acme, credentials: {api_key: two}",
        "name: acme, credentials: {login: one, password: two}",
        "name: acme, credentials: {api_key: one}, filters: {include: primary}",
        "name: acme, credentials: {api_key: one}, filters: {tags: [5]}",
        "name: acme, credentials: {api_key: one}, poll: {page_size: 7}",
        "name: acme, credentials: {api_key: one}, poll: {tiers: [{age: 1h, every: 1m}]}",
        "name: acme, credentials: {api_key: one}, timezone: Asia/Omsk",
        "name: acme, credentials: {api_key: one}, start_from: 8d",
        "name: acme, credentials: {api_key: one}, customers: all",
        "name: acme, credentials: {api_key: one}, customers: [5]",
    ] {
        let expected = Changes { changed: ids(&["acme"]), ..Changes::default() };
        assert_eq!(Changes::between(&old, &config("", &[changed, OTHER])), expected, "{changed}");
    }
}

#[test]
fn what_holds_for_all_accounts_changes_all() {
    let old = config("", &[ACME, OTHER]);
    let expected = Changes { changed: ids(&["acme", "other"]), ..Changes::default() };
    for others in ["topics: {calls: \"calls.{account}\"}", "defaults: {poll: {page_size: 7}}"] {
        assert_eq!(Changes::between(&old, &config(others, &[ACME, OTHER])), expected, "{others}");
    }
}

#[test]
fn a_disabled_account_is_as_good_as_none() {
    let disabled = format!("{OTHER}, enabled: false");
    let (both, one, with_disabled) =
        (config("", &[ACME, OTHER]), config("", &[ACME]), config("", &[ACME, disabled.as_str()]));
    let removed = Changes { removed: ids(&["other"]), ..Changes::default() };
    let added = Changes { added: ids(&["other"]), ..Changes::default() };
    assert_eq!(Changes::between(&both, &one), removed);
    assert_eq!(Changes::between(&both, &with_disabled), removed);
    assert_eq!(Changes::between(&one, &both), added);
    assert_eq!(Changes::between(&with_disabled, &both), added);
    assert_eq!(Changes::between(&one, &with_disabled), Changes::default());
}

/// Only an agency's own customers go with it.
#[test]
fn the_customers_of_an_agency_are_found_among_names_like_its_own() {
    let board = StatusBoard::default();
    for name in ["acme", "acme-2", "acme-2.7", "acme.7", "acme.10", "acme2.7", "other.7"] {
        board.register(&AccountId::new(name), Service::Uis);
    }
    let customers: BTreeSet<AccountId> = board.customers_of(&AccountId::new("acme")).into_iter().collect();
    assert_eq!(customers, ids(&["acme.7", "acme.10"]));
    assert!(board.customers_of(&AccountId::new("other.7")).is_empty());
}
