//! The documented request and answer pairs, put to the simulator as they stand.

use std::{collections::BTreeMap, fs, path::Path};

use callfeed::simulator::{Fault, KeyState, Limits, Scenario, Simulator};
use serde_json::{Value, json};

use super::{here, post_text};

const SCENARIO: &str = include_str!("../../../scenarios/examples.yaml");

#[tokio::test]
async fn every_documented_example_is_answered_as_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/examples");
    let mut failures = BTreeMap::new();
    let mut n_examples = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let example: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let answer = answer_to(&name, &example).await;
        if answer != example["response"] {
            failures.insert(name, format!("answered {answer}\nexpected {}", example["response"]));
        }
        n_examples += 1;
    }
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(n_examples, 43);
}

async fn answer_to(name: &str, example: &Value) -> Value {
    let simulator = Simulator::start(Scenario::from_yaml(SCENARIO).unwrap(), here()).await.unwrap();
    let of_an_agency = matches!(name, "calls_report_agent" | "get_customers" | "get_customer_users");
    let (account, brand) = if of_an_agency { ("agency", "uis") } else { ("okna", "comagic") };
    prepare(&simulator, name, account).await;
    set_points(&simulator, account, example);
    let body = match example.get("request_body") {
        Some(text) => text.as_str().unwrap().to_owned(),
        None => example["request"].to_string(),
    };
    let (status, answer) = post_text(&simulator.url(brand), body).await;
    assert_eq!(status, 200, "{name}");
    serde_json::from_str(&answer).unwrap()
}

/// What happened before the request of an example, as its text tells.
async fn prepare(simulator: &Simulator, name: &str, account: &str) {
    match name {
        "access_token_blocked" => simulator.set_key_state(account, KeyState::Blocked).unwrap(),
        "access_token_expired" => {
            log_in(simulator).await;
            assert_eq!(simulator.end_sessions(account).unwrap(), 1);
        }
        "account_inactive" => simulator.set_active(account, false).unwrap(),
        "forbidden" => simulator.set_forbidden(account, &["get.tags"]).unwrap(),
        "internal_error" => simulator.inject(Fault::InternalError.next(1)),
        "ip_not_whitelisted" => simulator.set_ip_list(account, &["198.51.100.7"]).unwrap(),
        "login_ok" => simulator.set_now("2026-03-02T10:00:00+03:00".parse().unwrap()),
        "logout_ok" => log_in(simulator).await,
        "method_component_disabled" => simulator.set_components(account, Some(&["va"])).unwrap(),
        _ => {}
    }
}

async fn log_in(simulator: &Simulator) {
    let params = json!({"login": "reports@example.ru", "password": "example-password"});
    let request = json!({"jsonrpc": "2.0", "id": 0, "method": "login.user", "params": params});
    let (_, answer) = post_text(&simulator.url("comagic"), request.to_string()).await;
    assert!(answer.contains("expire_at"), "{answer}");
}

/// The points that the example shows are left after the request; an answered one has cost one.
fn set_points(simulator: &Simulator, account: &str, example: &Value) {
    let answered = &example["response"]["result"]["metadata"]["limits"];
    let refused = &example["response"]["error"]["data"]["metadata"]["limits"];
    let (limits, cost) = if answered.is_object() { (answered, 1) } else { (refused, 0) };
    let number = |key: &str| limits[key].as_u64().map(|number| number as u32);
    let (Some(minute), Some(day)) = (number("minute_limit"), number("day_limit")) else {
        return;
    };
    let limits = Limits {
        minute_remaining: number("minute_remaining").map(|left| left + cost),
        minute_reset: number("minute_reset"),
        day_remaining: number("day_remaining").map(|left| left + cost),
        day_reset: number("day_reset"),
        ..Limits::per(minute, day)
    };
    simulator.set_limits(account, &limits).unwrap();
}
