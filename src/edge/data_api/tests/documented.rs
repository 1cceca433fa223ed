//! Every documented pair of request and answer: the request is written as documented, the answer is read as
//! documented.

use std::fs;
use std::path::Path;

use axum::response::IntoResponse;
use serde_json::Value;

use super::super::channel::Call;
use super::super::secret::Proof;
use super::*;

/// The classes of the documented errors. An example with an error that is not here fails the test.
fn class_of(mnemonic: &str) -> Class {
    match mnemonic {
        "access_token_blocked" | "access_token_expired" | "access_token_invalid" => Class::Owner,
        "account_inactive" | "auth_error" | "forbidden" | "ip_not_whitelisted" | "method_component_disabled" => {
            Class::Owner
        }
        "internal_error" => Class::Retry { after: None },
        "date_interval_limit_reached" | "filter_prohibited" | "sort_prohibited" | "method_not_found" => Class::Bug,
        "notifications_not_supported" | "parse_error" | "required_parameter_missed" | "unexpected_parameters" => {
            Class::Bug
        }
        other => panic!("no class for `{other}`"),
    }
}

#[tokio::test]
async fn every_documented_example_is_written_and_read_as_it_stands() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/examples");
    let mut n_examples = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let example: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        check(path.file_stem().unwrap().to_str().unwrap(), example).await;
        n_examples += 1;
    }
    assert!(n_examples >= 42, "only {n_examples} examples");
}

async fn check(name: &str, example: Value) {
    let documented = example["response"].clone();
    let fake = Fake::start(move |request, _| {
        let mut response = documented.clone();
        if !response["id"].is_null() {
            response["id"] = request["id"].clone();
        }
        axum::Json(response).into_response()
    })
    .await;
    // Two examples are of requests that this client does not make: broken JSON and one without an id.
    let request = &example["request"];
    let method = request["method"].as_str().unwrap_or("get.account");
    let mut params = request["params"].as_object().cloned().unwrap_or_default();
    let mut secret = |name: &str| params.remove(name).map(|text| text.as_str().unwrap().to_owned());
    let (token, login, password) = (secret("access_token"), secret("login"), secret("password"));
    let secret = SecretString::new(token.or(password).as_deref().unwrap_or("none"));
    let proof = match &login {
        Some(login) => Proof::Login { login, password: &secret },
        None => Proof::Key(&secret),
    };

    let call = Call { method, user_id: params.get("user_id").and_then(Value::as_i64), params: &params };
    let outcome = fake.client(key()).channel.exchange(&call, proof).await;

    if !request.is_null() {
        assert_eq!(fake.requests()[0]["params"], request["params"], "{name}");
    }
    let response = &example["response"];
    match outcome {
        Ok(answer) => {
            let data: Value = serde_json::from_str(&answer.body[answer.data]).unwrap();
            assert_eq!(data, response["result"]["data"], "{name}");
            let metadata = response["result"].get("metadata").or(response["result"].get("meta_data"));
            assert_eq!(answer.metadata, metadata.cloned().unwrap_or_default(), "{name}");
        }
        Err(error) => {
            let documented = &response["error"];
            let mnemonic = error.mnemonic().unwrap();
            assert_eq!(mnemonic, documented["data"]["mnemonic"], "{name}");
            assert_eq!(error.outcome(), mnemonic, "{name}");
            // The password of one example is a word of the message.
            let message = proof.scrub(documented["message"].as_str().unwrap().trim_end_matches('.'));
            assert!(error.to_string().ends_with(&message), "{name}: {error}");
            assert!(!error.remedy().is_empty(), "{name}");
            if mnemonic == "limit_exceeded" {
                check_limit(name, &error);
            } else {
                assert_eq!(error.class(), class_of(mnemonic), "{name}");
            }
        }
    }
}

fn check_limit(name: &str, error: &ApiError) {
    let (window, seconds) = match name {
        "limit_exceeded_day" => (LimitWindow::Day, 31877),
        "limit_exceeded_minute" => (LimitWindow::Minute, 23),
        other => panic!("{other}"),
    };
    assert_eq!(error.class(), Class::Limited { window, wait: Some(Duration::from_secs(seconds)) });
}
