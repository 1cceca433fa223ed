//! The client against small servers made by hand, for what a faithful simulator does not do: answers in odd
//! spellings, broken answers, TLS, and the exact number of requests. The flows against the simulator are in
//! `tests/it/data_api.rs`.

mod documented;
mod logs;
mod methods;
mod session;
mod transport;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

/// A server that answers each request as the test says, and remembers what it was asked.
struct Fake {
    addr: SocketAddr,
    requests: Arc<Mutex<Vec<Value>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    async fn start(answer: impl Fn(&Value, &HeaderMap) -> Response + Clone + Send + Sync + 'static) -> Self {
        let requests = Arc::<Mutex<Vec<Value>>>::default();
        let seen = requests.clone();
        let app = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let response = answer(&request, &headers);
            seen.lock().unwrap().push(request);
            async move { response }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, requests, serving }
    }

    /// Answers every request with this `result` or `error`.
    async fn answering(key: &'static str, value: Value) -> Self {
        Self::start(move |request, _| envelope(request, key, value.clone())).await
    }

    fn url(&self) -> String {
        format!("http://{}/v2.0", self.addr)
    }

    fn client(&self, credentials: Credentials) -> Client {
        client(&self.url(), credentials, &settings())
    }

    fn requests(&self) -> Vec<Value> {
        self.requests.lock().unwrap().clone()
    }

    /// The methods asked so far.
    fn methods(&self) -> Vec<String> {
        self.requests().iter().map(|request| request["method"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn envelope(request: &Value, key: &str, value: Value) -> Response {
    axum::Json(json!({"jsonrpc": "2.0", "id": request["id"], key: value})).into_response()
}

fn refusal(request: &Value, code: i64, mnemonic: &str) -> Response {
    envelope(request, "error", json!({"code": code, "message": "Said", "data": {"mnemonic": mnemonic}}))
}

fn settings() -> HttpSettings {
    HttpSettings { timeout: Duration::from_secs(20), ca_file: None, proxy: Proxy::None, memory: 1 << 20 }
}

fn client(url: &str, credentials: Credentials, settings: &HttpSettings) -> Client {
    let http = Http::new(settings).unwrap();
    Client::new(http, url, credentials, Arc::new(|_| {}), Arc::new(SystemTime::now)).unwrap()
}

fn plain(secret: &'static str) -> SecretSource {
    Arc::new(move || Ok(SecretString::new(secret)))
}

fn key() -> Credentials {
    Credentials::ApiKey(plain("key-0123456789"))
}

fn login() -> Credentials {
    Credentials::Login { login: "user@example.com".into(), password: plain("hunter2") }
}

fn account_data() -> Value {
    json!({"meta_data": {}, "data": [{"app_id": 41877, "name": "ООО Окна", "timezone": "Europe/Moscow"}]})
}

fn status(status: u16, body: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), body.to_owned()).into_response()
}

#[test]
fn requests_can_be_made_from_any_task() {
    fn assert_send<T: Send>(_: &T) {}
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = client("http://127.0.0.1:9/", login(), &settings());
        assert_send(&client.account(None));
        assert_send(&client.tags(None));
        assert_send(&client.customer_users());
    });
}

#[test]
fn an_address_that_is_none_is_refused() {
    let http = Http::new(&settings()).unwrap();
    for url in ["comagic", "ftp://example.com/", "/v2.0"] {
        let error = Client::new(http.clone(), url, key(), Arc::new(|_| {}), Arc::new(SystemTime::now)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("`{url}` is not an address")), "{error}");
    }
}
