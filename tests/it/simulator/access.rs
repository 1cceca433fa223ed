//! Who gets in, what it costs, and that secrets stay where they are.

use std::collections::BTreeSet;

use callfeed::simulator::{CallsScenario, Fault, Limits, Scenario, Simulator};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    START, call, client, everything, here, ids, mnemonic, standing_clock, start, try_call, visible, with, world,
};

#[tokio::test]
async fn a_session_ends_after_its_time_and_a_logged_out_one_is_unknown() {
    let mut scenario = world(CallsScenario::default());
    scenario.accounts[0].login = Some("user@example.ru".into());
    scenario.accounts[0].password = Some("right".into());
    let simulator = start(scenario).await;
    let log_in = |password: &str| {
        let params = json!({"login": "user@example.ru", "password": password});
        call(&simulator, "login.user", params)
    };
    assert_eq!(mnemonic(&log_in("wrong").await), "auth_error");
    let answer = log_in("right").await;
    let data = &answer["result"]["data"];
    let expected = START.parse::<Timestamp>().unwrap().as_second() + 3600;
    assert_eq!(data["expire_at"], expected);
    let token = json!({"access_token": data["access_token"]});
    let account = || call(&simulator, "get.account", token.clone());
    assert_eq!(account().await["result"]["data"][0]["timezone"], "Europe/Moscow");
    // Credentials of one brand are not valid at another.
    let elsewhere = try_call(&simulator, "uis", "get.account", token.clone()).await.unwrap();
    assert_eq!(mnemonic(&elsewhere), "access_token_invalid");
    let anywhere = try_call(&simulator, "default", "get.account", token.clone()).await.unwrap();
    assert_eq!(mnemonic(&anywhere), "answered");

    simulator.advance(SignedDuration::from_mins(60));
    assert_eq!(mnemonic(&account().await), "access_token_expired");
    assert_eq!(mnemonic(&call(&simulator, "logout.user", token.clone()).await), "access_token_expired");
    let again = log_in("right").await;
    let token = json!({"access_token": again["result"]["data"]["access_token"]});
    assert_eq!(mnemonic(&call(&simulator, "logout.user", token.clone()).await), "answered");
    assert_eq!(mnemonic(&call(&simulator, "get.account", token).await), "access_token_invalid");
}

#[tokio::test]
async fn an_agency_reads_each_customer_with_a_user_of_it() {
    let scenario = Scenario { clock: standing_clock(), ..Scenario::demo(60.0, 3) };
    let simulator = start(scenario).await;
    let token = json!({"access_token": "demo-key-of-agency"});
    let users = call(&simulator, "get.customer_users", token.clone()).await;
    let users: Vec<i64> = ids(&users);
    assert_eq!(users, [90_211, 90_245]);
    let period = with(everything(), token.clone());
    assert_eq!(mnemonic(&call(&simulator, "get.calls_report", period.clone()).await), "required_parameter_missed");
    let mut seen = BTreeSet::new();
    for user in users {
        let params = with(period.clone(), json!({"user_id": user, "limit": 10_000}));
        let answer = call(&simulator, "get.calls_report", params).await;
        let read: BTreeSet<i64> = ids(&answer).into_iter().collect();
        assert_eq!(read, visible(&simulator, &format!("agency.{user}")));
        assert!(read.len() > 100 && seen.is_disjoint(&read));
        seen.extend(read);
    }
    assert_eq!(seen, visible(&simulator, "agency"));
    let of_customer = call(&simulator, "get.account", with(token.clone(), json!({"user_id": 90_245}))).await;
    assert_eq!(of_customer["result"]["data"][0]["timezone"], "Asia/Novosibirsk");
    let unknown = with(period, json!({"user_id": 1}));
    assert_eq!(mnemonic(&call(&simulator, "get.calls_report", unknown).await), "invalid_parameter_value");
    let no_agency = json!({"access_token": "demo-key-of-okna"});
    assert_eq!(mnemonic(&call(&simulator, "get.customers", no_agency).await), "forbidden");
}

#[tokio::test]
async fn points_are_taken_for_answers_only_and_come_back() {
    let mut scenario = world(CallsScenario::default());
    scenario.accounts[0].limits = Limits::per(2, 100);
    let simulator = start(scenario).await;
    let token = || json!({"access_token": "key-1"});
    let wrong = with(token(), json!({"limit": 10}));
    for _ in 0..5 {
        assert_eq!(mnemonic(&call(&simulator, "get.account", wrong.clone()).await), "unexpected_parameters");
    }
    for left in [1, 0] {
        let answer = call(&simulator, "get.account", token()).await;
        assert_eq!(answer["result"]["metadata"]["limits"]["minute_remaining"], left);
    }
    let refused = call(&simulator, "get.account", token()).await;
    assert_eq!(mnemonic(&refused), "limit_exceeded");
    assert_eq!(refused["error"]["data"]["metadata"]["limits"]["minute_reset"], 60);
    simulator.advance(SignedDuration::from_secs(60));
    assert_eq!(mnemonic(&call(&simulator, "get.account", token()).await), "answered");
    assert_eq!(simulator.bugs().len(), 5);
    assert_eq!(simulator.counts("acme", "get.account").answered, 3);
}

#[tokio::test]
async fn tls_is_spoken_with_the_certificate_of_the_caller() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key)
        .unwrap();
    let simulator = Simulator::start_tls(world(CallsScenario::default()), here(), tls).await.unwrap();
    let trusted = reqwest::Certificate::from_pem(certificate.cert.pem().as_bytes()).unwrap();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build().unwrap();
    let truth = format!("https://{}/truth", simulator.addr());
    assert_eq!(client.get(truth).send().await.unwrap().status(), 200);
    assert!(simulator.url("comagic").starts_with("https://"));
    simulator.inject(Fault::Reset.next(1));
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": "get.account", "params": {"access_token": "key-1"}});
    let ask = || client.post(simulator.url("comagic")).json(&request).send();
    assert!(ask().await.unwrap_err().is_request());
    assert_eq!(ask().await.unwrap().status(), 200);
}

#[tokio::test]
async fn truth_and_requests_over_http_hold_no_secrets() {
    let mut scenario = world(CallsScenario { days: 1.0, count: Some(20), ..CallsScenario::default() });
    scenario.accounts[0].login = Some("user@example.ru".into());
    scenario.accounts[0].password = Some("very-secret".into());
    assert!(!format!("{scenario:?}").contains("very-secret") && !format!("{scenario:?}").contains("key-1"));
    let simulator = start(scenario).await;
    let login = json!({"login": "user@example.ru", "password": "very-secret"});
    let session = call(&simulator, "login.user", login).await["result"]["data"]["access_token"].clone();
    assert!(ids(&call(&simulator, "get.calls_report", everything()).await).len() > 15);
    for path in ["truth", "truth?account=acme", "requests"] {
        let url = format!("http://{}/{path}", simulator.addr());
        let text = client().get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap();
        for secret in ["very-secret", "key-1", session.as_str().unwrap()] {
            assert!(!text.contains(secret), "{path} holds {secret}");
        }
    }
    let unknown = format!("http://{}/truth?account=nobody", simulator.addr());
    assert_eq!(client().get(unknown).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn every_documented_method_is_answered_and_takes_nothing_that_is_not_documented() {
    let simulator = start(world(CallsScenario { days: 1.0, count: Some(10), ..CallsScenario::default() })).await;
    let methods: Value = serde_json::from_str(include_str!("../../../src/simulator/data/methods.json")).unwrap();
    let mut n_answered = 0;
    for method in methods.as_array().unwrap() {
        let name = method["method"].as_str().unwrap();
        let mut params = json!({"access_token": "key-1"});
        for extra in method["extra"].as_array().unwrap() {
            match extra["name"].as_str().unwrap() {
                "date_from" => params["date_from"] = json!("2026-03-09 12:00:00"),
                "date_till" => params["date_till"] = json!("2026-03-10 12:00:00"),
                _ => {}
            }
        }
        let answer = call(&simulator, name, params.clone()).await;
        let expected = if method["customer"] == true { "answered" } else { "forbidden" };
        assert_eq!(mnemonic(&answer), expected, "{name}: {answer}");
        if expected == "answered" {
            n_answered += 1;
            let answer = call(&simulator, name, with(params, json!({"page": 1}))).await;
            assert_eq!(mnemonic(&answer), "unexpected_parameters", "{name}");
        }
    }
    assert_eq!(n_answered, 15);
    assert_eq!(simulator.counts("acme", "get.tags").points, 1);
}
