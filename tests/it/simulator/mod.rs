//! The simulator over real HTTP: that it does what a scenario says and refuses what the documents forbid. Its own
//! files are below; the helpers here put requests together.

mod access;
mod calls;
mod examples;
mod network;
mod scenario_files;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use callfeed::simulator::{AccountScenario, CallsScenario, ClockScenario, Key, Limits, Scenario, Simulator};
use jiff::Timestamp;
use serde_json::{Value, json};

pub fn here() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

pub fn client() -> reqwest::Client {
    // Another test of this process may have installed it already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap()
}

pub async fn post_text(url: &str, body: String) -> (u16, String) {
    let response = client().post(url).body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

pub async fn try_call(simulator: &Simulator, brand: &str, method: &str, params: Value) -> reqwest::Result<Value> {
    let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let response = client().post(simulator.url(brand)).json(&request).send().await?;
    response.json().await
}

pub async fn call(simulator: &Simulator, method: &str, params: Value) -> Value {
    try_call(simulator, "comagic", method, params).await.unwrap()
}

pub fn mnemonic(answer: &Value) -> &str {
    answer["error"]["data"]["mnemonic"].as_str().unwrap_or("answered")
}

pub const START: &str = "2026-03-10T12:00:00+03:00";

pub fn standing_clock() -> ClockScenario {
    ClockScenario { start: Some(START.parse::<Timestamp>().unwrap()), speed: 0.0 }
}

pub fn account(calls: CallsScenario) -> AccountScenario {
    AccountScenario {
        name: "acme".into(),
        keys: vec![Key::new("key-1")],
        limits: Limits::per(100_000, 100_000),
        calls,
        ..AccountScenario::default()
    }
}

pub fn world(calls: CallsScenario) -> Scenario {
    Scenario { clock: standing_clock(), accounts: vec![account(calls)], ..Scenario::default() }
}

pub async fn start(scenario: Scenario) -> Simulator {
    Simulator::start(scenario, here()).await.unwrap()
}

pub fn window(from: &str, till: &str) -> Value {
    json!({"access_token": "key-1", "date_from": from, "date_till": till, "fields": ["id", "start_time"],
           "sort": [{"field": "start_time", "order": "asc"}]})
}

pub fn with(mut params: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    params
}

pub fn ids(answer: &Value) -> Vec<i64> {
    let rows = answer["result"]["data"].as_array().unwrap_or_else(|| panic!("{answer}"));
    rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

pub fn everything() -> Value {
    window("2026-01-15 00:00:00", "2026-04-01 00:00:00")
}

/// Pages by offset until all rows are read.
pub async fn read_all(simulator: &Simulator, params: Value, limit: usize) -> Vec<i64> {
    let mut read = Vec::new();
    loop {
        let page = with(params.clone(), json!({"limit": limit, "offset": read.len()}));
        let answer = call(simulator, "get.calls_report", page).await;
        let page = ids(&answer);
        read.extend(&page);
        let total = answer["result"]["metadata"]["total_items"].as_u64().unwrap();
        if page.is_empty() || read.len() as u64 >= total {
            return read;
        }
    }
}

pub fn visible(simulator: &Simulator, account: &str) -> BTreeSet<i64> {
    let calls = simulator.truth(account).into_iter();
    let visible = calls.filter(|call| call.visible).map(|call| call.id).collect();
    assert_eq!(simulator.visible_ids(account), visible);
    visible
}
