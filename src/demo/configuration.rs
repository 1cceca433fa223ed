//! The configuration that the demo's pipeline runs with: written as a user would write it, and read the same way.

use std::fmt::Write as _;

use super::cluster::{CALLS, DEAD_LETTER, STATE, STATE_PARTITIONS};
use crate::simulator::{AccountScenario, Simulator};

/// Where the parts of the demo listen.
pub struct Places<'a> {
    pub bootstrap_servers: &'a str,
    pub registry_url: &'a str,
    pub simulator: &'a Simulator,
}

/// The tiers are far shorter than in real use, so that what changes in a call shows up within seconds. The history of
/// the simulated accounts is a week long; all of it is read, whatever the channel.
const DEFAULTS: &str = "
defaults:
  start_from: 8d
  filters: {channels: {dynamic: true, static: all}}
  poll:
    page_size: 250
    tiers:
      - {age: 6m, every: 2s}
      - {age: 30m, every: 30s}
      - {age: 8d, every: 30m}
";

/// The text of the configuration.
pub fn text(places: &Places<'_>, accounts: &[AccountScenario], log_level: &str) -> String {
    let Places { bootstrap_servers, registry_url, simulator } = places;
    let mut text = format!(
        "kafka:
  bootstrap_servers: {bootstrap_servers}
  group_id: callfeed
  instance_id: demo
  state_topic: {STATE}
  state_partitions: {STATE_PARTITIONS}
  dead_letter_topic: {DEAD_LETTER}
  commit_interval: 100ms
schema_registry: {{url: {registry_url}}}
topics: {{calls: {CALLS}}}
admin: {{listen: 127.0.0.1:0}}
http: {{proxy: none}}
log: {{level: {level}}}
{DEFAULTS}accounts:
",
        bootstrap_servers = quoted(bootstrap_servers),
        registry_url = quoted(registry_url),
        level = quoted(log_level),
    );
    for account in accounts {
        write_account(&mut text, account, &simulator.url(&account.brand));
    }
    text
}

fn write_account(text: &mut String, account: &AccountScenario, url: &str) {
    let customers = if account.customers.is_empty() { "none" } else { "all" };
    // Writing into a `String` does not fail.
    let _ = writeln!(
        text,
        "  - name: {name}
    service: {{url: {url}}}
    customers: {customers}
    credentials:",
        name = account.name,
        url = quoted(url),
    );
    if let Some(key) = account.keys.first() {
        let _ = writeln!(text, "      api_key: {}", quoted(key.token.reveal()));
    }
    if let (Some(login), Some(password)) = (&account.login, &account.password) {
        let _ = writeln!(text, "      login: {}\n      password: {}", quoted(login), quoted(password.reveal()));
    }
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
