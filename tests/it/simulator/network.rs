//! Faults, spellings and the end of the server.

use std::time::Duration;

use callfeed::simulator::{CallsScenario, Fault, MetaData, Variants};
use serde_json::{Value, json};

use super::{call, client, everything, mnemonic, post_text, start, try_call, with, world};

#[tokio::test]
async fn each_fault_does_to_the_client_what_its_name_says() {
    let simulator = start(world(CallsScenario { days: 1.0, count: Some(200), ..CallsScenario::default() })).await;
    let ask = || try_call(&simulator, "comagic", "get.calls_report", everything());
    let status = |fault: Fault| {
        simulator.inject(fault.next(1));
        client()
            .post(simulator.url("comagic"))
            .body("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"get.tags\",\"params\":{}}")
            .send()
    };
    let unavailable = status(Fault::Http { status: 503, json: false, retry_after: Some(3) }).await.unwrap();
    assert_eq!((unavailable.status().as_u16(), &unavailable.headers()["retry-after"]), (503, &"3".parse().unwrap()));
    let with_json = status(Fault::Http { status: 500, json: true, retry_after: None }).await.unwrap();
    assert_eq!(with_json.status(), 500);
    assert_eq!(mnemonic(&with_json.json().await.unwrap()), "internal_error");

    simulator.inject(Fault::Reset.next(1));
    assert!(ask().await.unwrap_err().is_request());
    simulator.inject(Fault::Truncate.next(1));
    let truncated = ask().await.unwrap_err();
    assert!(truncated.is_decode() || truncated.is_body(), "{truncated:?}");
    simulator.inject(Fault::NotJson.next(1));
    assert!(ask().await.unwrap_err().is_decode());
    simulator.inject(Fault::InternalError.next(1));
    assert_eq!(mnemonic(&ask().await.unwrap()), "internal_error");
    simulator.inject(Fault::Hang.next(1));
    assert!(tokio::time::timeout(Duration::from_millis(300), ask()).await.is_err());
    simulator.inject(Fault::Drip { bytes_per_second: 1000 }.next(1));
    assert!(tokio::time::timeout(Duration::from_millis(300), ask()).await.is_err());
    simulator.inject(Fault::Latency { delay: Duration::from_millis(200) }.next(1));
    let before = std::time::Instant::now();
    assert_eq!(mnemonic(&ask().await.unwrap()), "answered");
    assert!(before.elapsed() >= Duration::from_millis(200));
    assert_eq!(simulator.counts("acme", "get.calls_report").answered, 1);
}

#[tokio::test]
async fn spellings_of_the_samples_appear_where_the_scenario_wants_them() {
    let mut scenario = world(CallsScenario::default());
    scenario.variants = Variants {
        expire: true,
        meta_data: MetaData::Always,
        null_error_id: true,
        null_arrays: true,
        text_numbers: true,
        iso_dates: true,
    };
    scenario.accounts[0].calls.extra_columns.insert("mood".into(), json!("good"));
    let simulator = start(scenario).await;
    simulator.add_call("acme", json!({"id": 5, "start_time": "2026-03-10 11:00:00"})).unwrap();
    let answer =
        call(&simulator, "get.calls_report", with(everything(), json!({"fields": ["id", "start_time", "tags"]}))).await;
    assert_eq!(answer["result"]["meta_data"]["total_items"], 1);
    let expected = json!({"id": "5", "start_time": "2026-03-10T11:00:00+03:00", "tags": null, "mood": "good"});
    assert_eq!(answer["result"]["data"][0], expected);
    let refused = call(&simulator, "get.account", json!({"access_token": "no"})).await;
    assert_eq!((&refused["id"], mnemonic(&refused)), (&Value::Null, "access_token_invalid"));
}

#[tokio::test]
async fn dropping_the_simulator_closes_its_port() {
    let simulator = start(world(CallsScenario::default())).await;
    let url = simulator.url("comagic");
    assert_eq!(post_text(&url, "[]".into()).await.0, 200);
    drop(simulator);
    let refused = async {
        while client().post(&url).body("[]").send().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), refused).await.unwrap();
}
