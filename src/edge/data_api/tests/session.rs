//! Tokens: one login in flight, renewal ahead of the end, one new try when refused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use futures::future::join_all;

use super::*;

const START: u64 = 1_772_434_800;

/// A clock that stands until it is set.
#[derive(Clone, Default)]
struct HandSet(Arc<AtomicU64>);

impl HandSet {
    fn set(&self, seconds_after_start: u64) {
        self.0.store(seconds_after_start, Ordering::SeqCst);
    }

    fn clock(&self) -> Clock {
        let seconds = self.0.clone();
        Arc::new(move || UNIX_EPOCH + Duration::from_secs(START + seconds.load(Ordering::SeqCst)))
    }
}

/// What a server knows of sessions: it gives `token-1`, `token-2`, ... and takes those that `good` names.
#[derive(Clone)]
struct Sessions {
    given: Arc<AtomicU64>,
    first_good: Arc<AtomicU64>,
    refuse_login: Arc<AtomicU64>,
}

impl Sessions {
    fn new() -> Self {
        Self { given: Arc::default(), first_good: Arc::new(AtomicU64::new(1)), refuse_login: Arc::default() }
    }

    /// Ends every session given before the `number`th.
    fn end_before(&self, number: u64) {
        self.first_good.store(number, Ordering::SeqCst);
    }

    async fn serve(&self) -> Fake {
        let sessions = self.clone();
        Fake::start(move |request, _| sessions.answer(request)).await
    }

    fn answer(&self, request: &Value) -> Response {
        if request["method"] == "login.user" {
            if self.refuse_login.load(Ordering::SeqCst) > 0 {
                return refusal(request, -32001, "auth_error");
            }
            let number = self.given.fetch_add(1, Ordering::SeqCst) + 1;
            let token = format!("token-{number}");
            return envelope(request, "result", json!({"data": {"access_token": token, "app_id": 1}}));
        }
        let token = request["params"]["access_token"].as_str().unwrap();
        let number: u64 = token.strip_prefix("token-").unwrap().parse().unwrap();
        if number < self.first_good.load(Ordering::SeqCst) {
            return refusal(request, -32001, "access_token_invalid");
        }
        envelope(request, "result", account_data())
    }
}

fn n_logins(fake: &Fake) -> usize {
    fake.methods().iter().filter(|method| *method == "login.user").count()
}

fn client_at(fake: &Fake, clock: Clock) -> Client {
    Client::new(Http::new(&settings()).unwrap(), &fake.url(), login(), Arc::new(|_| {}), clock).unwrap()
}

#[tokio::test]
async fn fifty_callers_make_one_login() {
    let sessions = Sessions::new();
    let fake = sessions.serve().await;
    let client = fake.client(login());

    let outcomes = join_all((0..50).map(|_| client.account(None))).await;

    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(n_logins(&fake), 1);
    let expected = json!({"login": "user@example.com", "password": "hunter2"});
    assert_eq!(fake.requests()[0]["params"], expected);
}

#[tokio::test]
async fn fifty_callers_share_one_failed_login_and_the_next_tries_again() {
    let sessions = Sessions::new();
    sessions.refuse_login.store(1, Ordering::SeqCst);
    let fake = sessions.serve().await;
    let client = fake.client(login());

    let outcomes = join_all((0..50).map(|_| client.account(None))).await;

    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!((error.mnemonic(), error.class()), (Some("auth_error"), Class::Owner));
        assert!(error.remedy().contains("CoMagic and UIS are not interchangeable"));
    }
    assert_eq!(fake.methods(), ["login.user"]);
    sessions.refuse_login.store(0, Ordering::SeqCst);
    client.account(None).await.unwrap();
    assert_eq!(n_logins(&fake), 2);
}

#[tokio::test]
async fn a_session_that_ends_in_the_middle_is_replaced_once_for_all() {
    let sessions = Sessions::new();
    let fake = sessions.serve().await;
    let client = fake.client(login());
    client.account(None).await.unwrap();
    sessions.end_before(2);

    let outcomes = join_all((0..50).map(|_| client.account(None))).await;

    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!(n_logins(&fake), 2);
}

#[tokio::test]
async fn a_fresh_session_that_is_refused_is_for_the_owner() {
    let sessions = Sessions::new();
    sessions.end_before(100);
    let fake = sessions.serve().await;

    let error = fake.client(login()).account(None).await.unwrap_err();

    assert_eq!((error.mnemonic(), error.class()), (Some("access_token_invalid"), Class::Owner));
    assert_eq!(fake.methods(), ["login.user", "get.account", "login.user", "get.account"]);
}

#[tokio::test]
async fn a_session_is_renewed_ahead_of_its_end() {
    let clock = HandSet::default();
    let sessions = Sessions::new();
    let fake = sessions.serve().await;
    let client = client_at(&fake, clock.clock());

    // Five minutes ahead, and up to ten more: by which the credentials differ.
    for (minute, logins) in [(0, 1), (44, 1), (55, 2), (99, 2), (110, 3)] {
        clock.set(minute * 60);
        client.account(None).await.unwrap();
        assert_eq!(n_logins(&fake), logins, "after {minute} minutes");
    }
}

#[tokio::test]
async fn a_failed_renewal_leaves_the_session_in_use_until_it_ends() {
    let clock = HandSet::default();
    let sessions = Sessions::new();
    let fake = sessions.serve().await;
    let client = client_at(&fake, clock.clock());
    client.account(None).await.unwrap();
    sessions.refuse_login.store(1, Ordering::SeqCst);

    // The second attempt waits for half a minute.
    for (second, logins) in [(3300, 2), (3320, 2), (3330, 3)] {
        clock.set(second);
        client.account(None).await.unwrap();
        assert_eq!(n_logins(&fake), logins, "after {second} seconds");
    }
    clock.set(3600);
    assert_eq!(client.account(None).await.unwrap_err().mnemonic(), Some("auth_error"));
}

#[tokio::test]
async fn a_login_that_gives_no_token_is_tried_again_later() {
    for data in [json!({}), json!([]), json!({"access_token": ""}), json!({"access_token": null})] {
        let fake = Fake::answering("result", json!({"data": data})).await;
        let error = fake.client(login()).account(None).await.unwrap_err();
        assert_eq!(error.class(), Class::Retry { after: None });
        assert!(error.to_string().starts_with("`login.user` at 127.0.0.1: "), "{error}");
        assert_eq!(fake.methods(), ["login.user"]);
    }
}

/// A server that takes one key only.
async fn server_with_key(good: &'static str) -> Fake {
    Fake::start(move |request, _| match request["params"]["access_token"] == good {
        true => envelope(request, "result", account_data()),
        false => refusal(request, -32001, "access_token_expired"),
    })
    .await
}

#[tokio::test]
async fn a_key_that_is_refused_is_for_the_owner_and_not_tried_twice() {
    let fake = server_with_key("another").await;

    let error = fake.client(key()).account(None).await.unwrap_err();

    assert_eq!(error.class(), Class::Owner);
    assert!(error.remedy().contains("`credentials.api_key`"), "{}", error.remedy());
    assert_eq!(fake.methods(), ["get.account"]);
}

#[tokio::test]
async fn a_key_file_that_was_replaced_counts_at_once() {
    let fake = server_with_key("new-key").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_owned();
    let source: SecretSource = Arc::new(move || match std::fs::read_to_string(&path) {
        Ok(text) => Ok(SecretString::new(&text)),
        Err(error) => Err(error.to_string()),
    });
    let client = fake.client(Credentials::ApiKey(source));

    std::fs::write(file.path(), "old-key").unwrap();
    client.account(None).await.unwrap_err();
    std::fs::write(file.path(), "new-key").unwrap();
    client.account(None).await.unwrap();
    client.account(None).await.unwrap();

    let keys: Vec<Value> = fake.requests().iter().map(|request| request["params"]["access_token"].clone()).collect();
    assert_eq!(keys, ["old-key", "old-key", "new-key", "new-key"]);
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_is_for_the_owner() {
    let fake = Fake::answering("result", account_data()).await;
    let missing: SecretSource = Arc::new(|| Err("the variable `ACME_KEY` is not set".into()));
    let empty: SecretSource = Arc::new(|| Ok(SecretString::new("")));

    let error = fake.client(Credentials::ApiKey(missing)).account(None).await.unwrap_err();
    assert_eq!(error.to_string(), "`credentials.api_key` cannot be read: the variable `ACME_KEY` is not set");
    assert_eq!(error.class(), Class::Owner);

    let credentials = Credentials::Login { login: "user@example.com".into(), password: empty };
    let error = fake.client(credentials).account(None).await.unwrap_err();
    assert_eq!(error.to_string(), "`credentials.password` cannot be read: it is empty");
    assert!(fake.requests().is_empty());
}
