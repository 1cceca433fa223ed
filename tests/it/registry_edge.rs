//! The Schema Registry edge against a real registry, and against answers that a real one gives seldom.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use callfeed::edge::registry::{Compatibility, Credentials, RegistryError, SchemaRegistry};
use serde_json::{Value, json};

use crate::support::{Servers, block_on, free_port, spawn, unique_name};

#[test]
fn a_schema_is_found_after_it_was_registered() {
    let registry = real();
    let subject = unique_name("calls-value");
    let schema = schema(&[("name", json!("string"))]);

    wait(async {
        assert_eq!(registry.find(&subject, &schema).await, Ok(None));
        let id = registry.register(&subject, &schema).await.unwrap();
        assert_eq!(registry.find(&subject, &schema).await, Ok(Some(id)));
        assert_eq!(registry.register(&subject, &schema).await, Ok(id));
        assert_eq!(Servers::shared().registry.schema(id).name().unwrap().name(), "Call");
    });
}

#[test]
fn an_incompatible_schema_is_told_before_and_refused_after() {
    let registry = real();
    let subject = unique_name("calls-value");
    let first = schema(&[("name", json!("string"))]);
    let more = schema(&[("name", json!("string")), ("tag", json!(["null", "string"]))]);
    let other = schema(&[("name", json!("long"))]);

    wait(async {
        assert_eq!(registry.compatible(&subject, &first).await, Ok(Compatibility::FirstVersion));
        registry.register(&subject, &first).await.unwrap();
        let level = json!({"compatibility": "FULL_TRANSITIVE"});
        Servers::shared().registry.request(reqwest::Method::PUT, &format!("/config/{subject}"), Some(level));

        assert_eq!(registry.compatible(&subject, &more).await, Ok(Compatibility::Compatible));
        let verdict = registry.compatible(&subject, &other).await.unwrap();
        assert!(matches!(verdict, Compatibility::Incompatible(_)), "{verdict:?}");
        let refused = registry.register(&subject, &other).await.unwrap_err();
        assert!(
            matches!(&refused, RegistryError::Incompatible { subject: named, .. } if *named == subject),
            "{refused}"
        );
        assert!(!refused.is_retryable());
    });
}

/// Replicas that start together register together. This registry answers some of them with a conflict.
#[test]
fn many_may_register_the_same_schema_at_the_same_time() {
    let registry = real();
    let schema = schema(&[("name", json!("string"))]);
    for _ in 0..5 {
        let subject = unique_name("calls-value");
        let all = wait(futures::future::join_all((0..8).map(|_| registry.register(&subject, &schema))));
        let ids: BTreeSet<u32> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(ids.len(), 1);
    }
}

#[test]
fn a_registry_that_is_away_is_worth_another_try_and_named() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let registry = SchemaRegistry::new(&url, None).unwrap();
    wait(async {
        for error in [
            registry.register("s", "\"string\"").await.unwrap_err(),
            registry.find("s", "\"string\"").await.unwrap_err(),
            registry.compatible("s", "\"string\"").await.unwrap_err(),
            registry.reachable().await.unwrap_err(),
        ] {
            assert!(error.is_retryable(), "{error}");
            let words = error.to_string();
            assert!(words.contains(&url) && words.contains("refused"), "{words}");
        }
    });
}

#[test]
fn each_answer_has_its_class() {
    let cases = [
        (401, "Denied", false),
        (403, "Denied", false),
        (409, "Incompatible", false),
        (422, "Unexpected", false),
        (429, "Unreachable", true),
        (500, "Unreachable", true),
        (503, "Unreachable", true),
    ];
    for (status, class, is_retryable) in cases {
        let body = json!({"error_code": status, "message": "said the registry"});
        let fake = Fake::start(status, body.to_string());
        for error in fake.errors_of_all_calls(None) {
            assert!(format!("{error:?}").starts_with(class), "HTTP {status}: {error:?}");
            assert_eq!(error.is_retryable(), is_retryable, "HTTP {status}: {error}");
            assert!(error.to_string().contains("said the registry"), "HTTP {status}: {error}");
        }
    }
    // Something between us and the registry, such as a proxy's page.
    for error in Fake::start(502, "<html>".to_owned()).errors_of_all_calls(None) {
        assert!(error.is_retryable(), "{error}");
    }
}

#[test]
fn the_password_is_read_for_each_call_and_never_shown() {
    let secret = "n0t-t0-be-seen";
    let fake = Fake::start(401, String::new());
    let read = Arc::new(Mutex::new(0));
    let password = {
        let read = Arc::clone(&read);
        Arc::new(move || {
            *read.lock().unwrap() += 1;
            Ok(secret.to_owned())
        })
    };
    let credentials = Credentials { username: "callfeed".to_owned(), password: Some(password) };

    let errors = fake.errors_of_all_calls(Some(credentials.clone()));

    let shown = format!("{errors:?} {:?}", SchemaRegistry::new(&fake.url, Some(credentials)).unwrap());
    assert!(!shown.contains(secret), "{shown}");
    assert_eq!(*read.lock().unwrap(), errors.len());
    // `callfeed:n0t-t0-be-seen` in base64.
    let expected = vec!["Basic Y2FsbGZlZWQ6bjB0LXQwLWJlLXNlZW4="; errors.len()];
    assert_eq!(*fake.authorizations.lock().unwrap(), expected);

    let unreadable =
        Credentials { username: "u".to_owned(), password: Some(Arc::new(|| Err("no such file".to_owned()))) };
    for error in fake.errors_of_all_calls(Some(unreadable)) {
        assert!(matches!(&error, RegistryError::Password { reason } if reason == "no such file"), "{error:?}");
    }
}

#[test]
fn a_login_in_the_url_is_refused_without_showing_it() {
    let error = SchemaRegistry::new("http://user:n0t-t0-be-seen@registry:8081", None).unwrap_err();
    assert!(!error.to_string().contains("n0t-t0-be-seen"), "{error}");
}

/// On this thread alone, so that the harness can be asked in between.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn real() -> SchemaRegistry {
    // With a slash too many, as users write it.
    SchemaRegistry::new(&format!("{}/", Servers::shared().registry.url), None).unwrap()
}

fn schema(fields: &[(&str, Value)]) -> String {
    let fields: Vec<Value> = fields
        .iter()
        .map(|(name, kind)| match kind {
            Value::Array(_) => json!({"name": name, "type": kind, "default": null}),
            _ => json!({"name": name, "type": kind}),
        })
        .collect();
    json!({"type": "record", "name": "Call", "fields": fields}).to_string()
}

/// A registry that gives the same answer to everything.
struct Fake {
    url: String,
    authorizations: Arc<Mutex<Vec<String>>>,
}

impl Fake {
    fn start(status: u16, body: String) -> Fake {
        let authorizations = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&authorizations);
        let answer = move |headers: HeaderMap| async move {
            seen.lock().unwrap().extend(headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()));
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let listener = block_on(async { tokio::net::TcpListener::bind(("127.0.0.1", 0)).await }).unwrap();
        let url = format!("http://{}/with/a/path", listener.local_addr().unwrap());
        spawn(async move {
            axum::serve(listener, Router::new().route("/with/a/path/{*rest}", any(answer))).await.unwrap();
        });
        Fake { url, authorizations }
    }

    fn errors_of_all_calls(&self, credentials: Option<Credentials>) -> Vec<RegistryError> {
        let registry = SchemaRegistry::new(&self.url, credentials).unwrap();
        wait(async {
            vec![
                registry.register("s", "\"string\"").await.unwrap_err(),
                registry.find("s", "\"string\"").await.unwrap_err(),
                registry.compatible("s", "\"string\"").await.unwrap_err(),
                registry.reachable().await.unwrap_err(),
            ]
        })
    }
}
