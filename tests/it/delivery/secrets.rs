//! No secret leaves callfeed: not at `trace`, not in an error, not through the admin port.

use callfeed::simulator::{Fault, Scenario};
use serde_json::json;

use super::feed::{Feed, PATIENCE, account, api_key, history, standing_with};

const PASSWORD: &str = "password-of-the-login-7c1f";
const SESSION_TOKEN: &str = "token-of-the-session-93ab";
const SASL_PASSWORD: &str = "password-of-sasl-e55d";
const REGISTRY_PASSWORD: &str = "password-of-the-registry-0b42";
const WRONG_PASSWORD: &str = "password-that-is-refused-4d10";

#[test]
fn no_secret_is_in_a_text_log_or_behind_the_admin_port() {
    keeps_secrets("text");
}

#[test]
fn no_secret_is_in_a_json_log_or_behind_the_admin_port() {
    keeps_secrets("json");
}

fn keeps_secrets(format: &str) {
    let mut with_login = account("with-login", history(20));
    with_login.login = Some("user@example.com".to_owned());
    with_login.password = Some(PASSWORD.into());
    with_login.session_token = Some(SESSION_TOKEN.into());
    let mut refused = account("refused", history(5));
    refused.login = Some("other@example.com".to_owned());
    refused.password = Some("another one".into());
    // Failures of every kind are told in the log as well.
    let faults = vec![Fault::InternalError.every(7), Fault::NotJson.every(9), Fault::Reset.every(11)];
    let accounts = vec![with_login, refused, account("with-key", history(20))];
    let mut feed = Feed::of(Scenario { faults, ..standing_with(accounts) });
    feed.configure(json!({
        "log": {"format": format, "level": "trace"},
        "kafka": {"properties": {"sasl.password": SASL_PASSWORD, "sasl.username": "callfeed"}},
        "schema_registry": {"username": "callfeed", "password": {"env": "REGISTRY_PASSWORD"}},
        "defaults": {"poll": {"page_size": 5}},
    }));
    feed.config["accounts"][0]["credentials"] = json!({"login": "user@example.com", "password": PASSWORD});
    feed.config["accounts"][1]["credentials"] = json!({"login": "other@example.com", "password": WRONG_PASSWORD});

    let setup = feed.setup(&[]).env("REGISTRY_PASSWORD", REGISTRY_PASSWORD);
    let mut process = setup.start();
    feed.wait_for_events(40);
    feed.wait_for_rereading("with-login");
    let answers =
        ["/metrics", "/api/v1/accounts", "/api/v1/accounts/refused", "/live", "/ready"].map(|path| process.get(path));
    process.terminate();
    process.wait_exit(PATIENCE);

    let log = process.stdout() + &process.stderr();
    assert!(log.contains("TRACE") && log.contains("with-login") && log.contains("refused"), "the log tells something");
    assert!(answers[1].contains("with-key") && answers[0].contains("callfeed_"), "{answers:?}");
    let key = api_key("with-key");
    let secrets = [PASSWORD, SESSION_TOKEN, SASL_PASSWORD, REGISTRY_PASSWORD, WRONG_PASSWORD, &key];
    // The registry's password goes out in this form.
    let basic = "cGFzc3dvcmQtb2YtdGhlLXJlZ2lzdHJ5";
    for secret in secrets.into_iter().chain([basic]) {
        for text in answers.iter().chain([&log]) {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "a secret is shown");
        }
    }
    let phones = feed.simulator.truth("with-key").into_iter().map(|call| call.row["contact_phone_number"].clone());
    for phone in phones.filter_map(|phone| phone.as_str().map(str::to_owned)) {
        assert!(!log.contains(&phone), "a number of a caller is in the log");
    }
}
