//! The port from outside, by HTTP.

use std::future::Future;
use std::io::Read;
use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use serde_json::json;
use tokio::sync::watch;

use super::*;
use crate::domain::call::{AccountId, Service};
use crate::domain::rewind::Moment;
use crate::domain::time::Instant;
use crate::metrics::{Detail, Metrics, OPENMETRICS, PLAIN};
use crate::orders::{Order, OrderError, Orders, Outcome};
use crate::status::StatusBoard;
use crate::status::{State as Status, Why};

const TOKEN: &str = "0123456789abcdef-token";

const SHORT: Duration = Duration::from_millis(50);
const ENDLESS: Duration = Duration::from_secs(3600);

/// A port that answers, and what is shown there.
struct Running {
    addr: SocketAddr,
    board: StatusBoard,
    orders: Orders,
    readiness: watch::Sender<Readiness>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl Running {
    async fn start(limits: Limits) -> Self {
        Self::start_with(limits, Some(TOKEN), &[]).await
    }

    /// With this token, or none, and these others as peers.
    async fn start_with(limits: Limits, token: Option<&'static str>, peers: &[&Running]) -> Self {
        let mut admin = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        admin.limits = limits;
        let (readiness, seen) = watch::channel(Readiness::NotReady("restoring_state"));
        let (addr, board, stop) = (admin.addr(), StatusBoard::default(), CancellationToken::new());
        let orders = Orders::default();
        let shown = Shown {
            board: board.clone(),
            metrics: Metrics::new(Detail::PerAccount),
            readiness: seen,
            instance_id: addr.to_string().into(),
            orders: orders.clone(),
            token: token.map(|token| -> ReadToken { Arc::new(|| Ok(token.to_owned())) }),
            peers: peers.first().map(|peer| Peers::at(&peer.addr.to_string()).unwrap()),
        };
        let serving = tokio::spawn(admin.serve(shown, stop.clone()));
        Self { addr, board, orders, readiness, stop, serving }
    }

    fn to(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let client = crate::http_client::builder().no_proxy().build().unwrap();
        client.request(method.parse().unwrap(), format!("http://{}{path}", self.addr))
    }

    async fn request(&self, method: &str, path: &str) -> reqwest::Response {
        self.to(method, path).send().await.unwrap()
    }

    /// What an order is answered, with the token.
    async fn order(&self, path: &str, body: &str) -> (u16, Value) {
        answered(self.to("POST", path).bearer_auth(TOKEN).body(body.to_owned())).await
    }

    /// Carries out the next order for an account.
    fn obey(&self, account: &str, outcome: impl FnOnce(Order) -> Outcome + Send + 'static) -> JoinHandle<()> {
        let desk = self.orders.desk(&AccountId::new(account));
        tokio::spawn(async move {
            let asked = desk.next().await;
            let order = asked.order.clone();
            asked.answer(outcome(order));
        })
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.request("GET", path).await;
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn get_json(&self, path: &str) -> (u16, Value) {
        let (status, text) = self.get(path).await;
        (status, serde_json::from_str(&text).unwrap())
    }

    /// What comes back for bytes that need not be a request, until the port closes the connection.
    async fn raw(&self, sent: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let mut answer = Vec::new();
        soon(stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8(answer).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answered(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or_default())
}

async fn eventually_refused(addr: SocketAddr) {
    soon(async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("the test hangs")
}

#[tokio::test]
async fn the_probes_tell_running_from_ready() {
    let admin = Running::start(LIMITS).await;
    assert_eq!(admin.get("/live").await, (200, "alive\n".to_owned()));
    assert_eq!(admin.get("/ready").await, (503, "restoring_state\n".to_owned()));
    admin.readiness.send_replace(Readiness::Ready);
    assert_eq!(admin.get("/ready").await, (200, "ready\n".to_owned()));
    admin.readiness.send_replace(Readiness::NotReady("kafka_unreachable"));
    assert_eq!(admin.get("/ready").await, (503, "kafka_unreachable\n".to_owned()));
    assert_eq!(admin.get("/live").await.0, 200);
}

#[tokio::test]
async fn a_blocked_account_does_not_make_the_replica_unready() {
    let admin = Running::start(LIMITS).await;
    admin.readiness.send_replace(Readiness::Ready);
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    admin.board.set(&AccountId::new("acme"), Status::Blocked, Why::because("wrong login"));
    assert_eq!(admin.get("/ready").await.0, 200);
}

#[tokio::test]
async fn metrics_are_openmetrics_with_the_accounts_of_the_board() {
    let admin = Running::start(LIMITS).await;
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    let response = admin.request("GET", "/metrics").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], OPENMETRICS);
    let text = response.text().await.unwrap();
    assert!(text.contains("callfeed_account_status{account=\"acme\",status=\"starting\"} 1\n"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(text.contains("callfeed_ready 0\n"), "{text}");
}

#[tokio::test]
async fn metrics_come_in_the_older_format_for_who_knows_only_that() {
    let admin = Running::start(LIMITS).await;
    admin.readiness.send_replace(Readiness::Ready);
    let accepting = |accept: &str| admin.to("GET", "/metrics").header("accept", accept).send();
    let response = accepting("text/plain;version=0.0.4;q=1,*/*;q=0.1").await.unwrap();
    assert_eq!(response.headers()["content-type"], PLAIN);
    assert_eq!(response.headers()["vary"], "accept");
    let text = response.text().await.unwrap();
    assert!(text.contains("# TYPE callfeed_dead_letters_total counter\n") && !text.contains("# EOF"), "{text}");
    assert!(text.contains("callfeed_ready 1\n"), "{text}");
    let response = accepting("application/openmetrics-text;version=1.0.0,text/plain;q=0.5").await.unwrap();
    assert_eq!(response.headers()["content-type"], OPENMETRICS);
}

#[tokio::test]
async fn accounts_are_listed_and_found_by_name() {
    let admin = Running::start(LIMITS).await;
    let customer = AccountId::of_customer(&AccountId::new("agency"), 90211);
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    admin.board.register(&customer, Service::Comagic);
    let why = Why::because("the address is not on the list").with_remedy("add it in the client area");
    admin.board.set(&customer, Status::Blocked, why);

    let (status, list) = admin.get_json("/api/v1/accounts").await;
    assert_eq!(status, 200);
    assert_eq!(list["accounts"][0]["name"], "acme");
    assert_eq!(list["config"], json!({"loaded_at": null, "refused": null}));
    let (status, one) = admin.get_json("/api/v1/accounts/agency.90211").await;
    assert_eq!(status, 200);
    assert_eq!(one, list["accounts"][1]);
    assert_eq!(one["replica"], admin.addr.to_string());
    assert_eq!(one["status"], "blocked");
    assert_eq!(one["remedy"], "add it in the client area");
}

#[tokio::test]
async fn a_refused_configuration_is_shown_beside_the_accounts() {
    let admin = Running::start(LIMITS).await;
    admin.board.config_loaded(Instant::from_unix_seconds(1_767_225_600));
    admin.board.config_refused(Instant::from_unix_seconds(1_767_225_660), vec!["accounts: is missing".to_owned()]);
    let refused = json!({"at": "2026-01-01T00:01:00Z", "problems": ["accounts: is missing"]});
    let (_, shown) = admin.get_json("/api/v1/accounts").await;
    assert_eq!(shown["config"], json!({"loaded_at": "2026-01-01T00:00:00Z", "refused": refused}));
    admin.board.config_loaded(Instant::from_unix_seconds(1_767_225_720));
    let (_, shown) = admin.get_json("/api/v1/accounts").await;
    assert_eq!(shown["config"], json!({"loaded_at": "2026-01-01T00:02:00Z", "refused": null}));
}

#[tokio::test]
async fn what_is_not_there_is_404_and_says_where_to_look() {
    let admin = Running::start(LIMITS).await;
    let (status, answer) = admin.get_json("/api/v1/accounts/nobody").await;
    assert_eq!(status, 404);
    assert_eq!(answer["error"], "no account is named `nobody`; /api/v1/accounts lists those there are");
    for path in ["/", "/livex", "/api/v1", "/api/v1/accounts/", "/api/v1/accounts/acme/other"] {
        let (status, answer) = admin.get_json(path).await;
        assert_eq!(status, 404, "{path}");
        assert!(answer["error"].is_string(), "{path}");
    }
}

#[tokio::test]
async fn what_is_only_shown_cannot_be_changed() {
    let admin = Running::start(LIMITS).await;
    for path in ["/live", "/ready", "/metrics", "/api/v1/accounts", "/api/v1/accounts/acme"] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let (status, answer) = answered(admin.to(method, path).bearer_auth(TOKEN)).await;
            assert_eq!(status, 405, "{method} {path}");
            assert!(answer["error"].is_string(), "{method} {path}");
        }
    }
}

const CHANGES: [&str; 4] =
    ["/api/v1/accounts/acme/pause", "/api/v1/accounts/acme/resume", "/api/v1/accounts/acme/rewind", "/api/v1/reload"];

#[tokio::test]
async fn without_a_token_in_the_configuration_nobody_changes_anything() {
    let admin = Running::start_with(LIMITS, None, &[]).await;
    for path in CHANGES {
        let (status, answer) = answered(admin.to("POST", path).bearer_auth(TOKEN)).await;
        assert_eq!(status, 403, "{path}");
        assert!(answer["error"].as_str().unwrap().contains("`admin.token`"), "{answer}");
    }
}

#[tokio::test]
async fn whoever_does_not_show_the_token_changes_nothing() {
    let admin = Running::start(LIMITS).await;
    let _desk = admin.orders.desk(&AccountId::new("acme"));
    for path in CHANGES {
        for header in ["", "Bearer", "Bearer ", "Bearer wrong", "Basic dXNlcjpwYXNz", &TOKEN[1..]] {
            let response = admin.to("POST", path).header("authorization", header).send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} with `{header}`");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
        }
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_read_lets_nobody_in_and_is_not_told() {
    let mut admin = Running::start(LIMITS).await;
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    admin.addr = listener.addr();
    let (_, seen) = watch::channel(Readiness::Ready);
    let shown = Shown {
        board: StatusBoard::default(),
        metrics: Metrics::new(Detail::PerAccount),
        readiness: seen,
        instance_id: "replica".into(),
        orders: Orders::default(),
        token: Some(Arc::new(|| Err("the secret file `/run/secrets/x` is empty".to_owned()))),
        peers: None,
    };
    let serving = tokio::spawn(listener.serve(shown, admin.stop.clone()));
    let (status, answer) = admin.order("/api/v1/reload", "").await;
    assert_eq!((status, answer), (503, json!({"error": "the token cannot be read; the log says why"})));
    serving.abort();
}

#[tokio::test]
async fn an_order_is_carried_out_by_the_account_and_its_outcome_told() {
    let admin = Running::start(LIMITS).await;
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    let task = admin.obey("acme", |order| {
        assert_eq!(order, Order::Pause);
        Ok("paused".to_owned())
    });
    let (status, answer) = admin.order("/api/v1/accounts/acme/pause", "").await;
    assert_eq!((status, &answer["done"], &answer["account"]["name"]), (200, &json!("paused"), &json!("acme")));
    task.await.unwrap();

    let refusals = [(OrderError::Busy, 409), (OrderError::Pending, 202), (OrderError::Refused("no".to_owned()), 409)];
    for (error, code) in refusals {
        let text = error.to_string();
        let task = admin.obey("acme", |_| Err(error));
        assert_eq!(admin.order("/api/v1/accounts/acme/resume", "").await, (code, json!({ "error": text })));
        task.await.unwrap();
    }
    let (status, answer) = admin.order("/api/v1/accounts/nobody/pause", "").await;
    assert_eq!(status, 404);
    assert!(answer["error"].as_str().unwrap().starts_with("no account is named `nobody`"), "{answer}");
}

#[tokio::test]
async fn a_rewinding_says_to_when_and_what_is_wrong_with_it_otherwise() {
    let admin = Running::start(LIMITS).await;
    let task = admin.obey("acme", |order| {
        let to = Moment::parse("2026-03-02T10:00:00+03:00").unwrap();
        assert_eq!(order, Order::Rewind { to, may_republish: true });
        Ok("rewound".to_owned())
    });
    let body = r#"{"to": "2026-03-02T10:00:00+03:00", "republish": true}"#;
    assert_eq!(admin.order("/api/v1/accounts/acme/rewind", body).await.0, 200);
    task.await.unwrap();

    let _desk = admin.orders.desk(&AccountId::new("acme"));
    for (body, expected) in [
        ("", "expected JSON"),
        ("{}", "missing field `to`"),
        (r#"{"to": 5}"#, "expected a string"),
        (r#"{"to": "yesterday"}"#, "found `yesterday`"),
        (r#"{"to": "2026-03-02", "force": true}"#, "unknown field `force`"),
    ] {
        let (status, answer) = admin.order("/api/v1/accounts/acme/rewind", body).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().contains(expected), "{body}: {answer}");
    }
    let (status, _) = admin.order("/api/v1/accounts/acme/rewind", &"x".repeat(100_000)).await;
    assert_eq!(status, 413);
}

#[tokio::test]
async fn any_replica_answers_for_the_accounts_of_all() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    admin.board.register(&AccountId::new("mine"), Service::Uis);
    other.board.register(&AccountId::new("theirs"), Service::Uis);

    let names = |list: &Value| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list["accounts"].as_array().unwrap().iter().map(|one| (text(&one["name"]), text(&one["replica"]))).collect()
    };
    let (mine, theirs) = (admin.addr.to_string(), other.addr.to_string());
    let (_, list) = admin.get_json("/api/v1/accounts").await;
    assert_eq!(names(&list), [("mine".to_owned(), mine.clone()), ("theirs".to_owned(), theirs.clone())]);
    assert_eq!(list["unreachable"], json!([]));
    let (_, list) = admin.get_json("/api/v1/accounts?scope=replica").await;
    assert_eq!(names(&list), [("mine".to_owned(), mine)]);

    let (status, one) = admin.get_json("/api/v1/accounts/theirs").await;
    assert_eq!((status, &one["replica"]), (200, &json!(theirs)));
    assert_eq!(admin.get_json("/api/v1/accounts/theirs?scope=replica").await.0, 404);
    assert_eq!(admin.get_json("/api/v1/accounts/nobody").await.0, 404);

    let task = other.obey("theirs", |_| Ok("paused".to_owned()));
    let (status, answer) = admin.order("/api/v1/accounts/theirs/pause", "").await;
    assert_eq!((status, &answer["done"]), (200, &json!("paused")));
    task.await.unwrap();
    let (status, _) = answered(admin.to("POST", "/api/v1/accounts/theirs/pause").bearer_auth("wrong")).await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn a_scope_that_does_not_exist_is_told() {
    let admin = Running::start(LIMITS).await;
    let (status, answer) = admin.get_json("/api/v1/accounts?scope=world").await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("`all` or `replica`"), "{answer}");
}

#[tokio::test]
async fn a_replica_that_does_not_answer_is_named() {
    let other = Running::start(LIMITS).await;
    let admin = Running::start_with(LIMITS, Some(TOKEN), &[&other]).await;
    admin.board.register(&AccountId::new("mine"), Service::Uis);
    other.serving.abort();
    eventually_refused(other.addr).await;
    let (status, list) = admin.get_json("/api/v1/accounts").await;
    assert_eq!((status, &list["accounts"][0]["name"]), (200, &json!("mine")));
    assert!(list["unreachable"][0].as_str().unwrap().starts_with(&other.addr.to_string()), "{list}");
}

#[tokio::test]
async fn the_description_names_every_route() {
    let admin = Running::start(LIMITS).await;
    let (status, described) = admin.get_json("/api/v1/openapi.json").await;
    assert_eq!(status, 200);
    let paths: Vec<&String> = described["paths"].as_object().unwrap().keys().collect();
    for path in CHANGES.map(|path| path.replace("acme", "{name}")) {
        assert!(paths.contains(&&path), "{path} is missing in {paths:?}");
    }
    for path in paths {
        let (method, path) = match &described["paths"][path] {
            described if described.get("post").is_some() => ("POST", path.replace("{name}", "acme")),
            _ => ("GET", path.replace("{name}", "acme")),
        };
        let status = admin.request(method, &path).await.status().as_u16();
        assert!(status != 405 && (status != 404 || path.ends_with("/acme")), "{method} {path}: {status}");
    }
}

#[tokio::test]
async fn a_port_in_use_names_the_key_to_change() {
    let taken = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = bind(taken.addr()).await.err().unwrap();
    let expected = format!(
        "cannot listen on `{}` for the admin port: another process listens there already; stop it, or set another \
         port in `admin.listen`",
        taken.addr()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn an_address_of_another_machine_names_the_key_to_change() {
    // An address for documents only: no machine has it.
    let error = bind("192.0.2.1:0".parse().unwrap()).await.err().unwrap();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrNotAvailable);
    assert!(error.to_string().ends_with("set one it has, or `0.0.0.0`, in `admin.listen`"), "{error}");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_cut_off() {
    let limits = Limits { head_within: SHORT, answered_within: ENDLESS, ..LIMITS };
    let admin = Running::start(limits).await;
    let answer = admin.raw(b"GET /live HTTP/1.1\r\nhost: x\r\n").await;
    assert!(!answer.contains("200"), "{answer}");
}

#[tokio::test]
async fn a_connection_ends_however_it_is_used() {
    let limits = Limits { head_within: ENDLESS, answered_within: SHORT, ..LIMITS };
    let admin = Running::start(limits).await;
    assert_eq!(admin.raw(b"GET /live").await, "");
}

#[tokio::test]
async fn a_request_over_the_limit_waits_for_a_free_place() {
    let admin = Running::start(Limits { head_within: SHORT, connections: 1, ..LIMITS }).await;
    let idle = TcpStream::connect(admin.addr).await.unwrap();
    assert_eq!(soon(admin.get("/live")).await.0, 200);
    // Asks the system at once, without waiting: would-block if the idle connection were still open.
    let end = idle.into_std().unwrap().read(&mut [0]);
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn a_large_request_head_is_refused() {
    let admin = Running::start(LIMITS).await;
    let head = format!("GET /live HTTP/1.1\r\nhost: x\r\nx: {}", "y".repeat(MAX_REQUEST_HEAD));
    let answer = admin.raw(&head.as_bytes()[..MAX_REQUEST_HEAD]).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_body_is_not_waited_for() {
    let admin = Running::start(LIMITS).await;
    let answer = admin.raw(b"GET /live HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn stopping_closes_the_port() {
    let mut admin = Running::start(LIMITS).await;
    assert_eq!(admin.get("/live").await.0, 200);
    admin.stop.cancel();
    soon(&mut admin.serving).await.unwrap();
    assert!(TcpStream::connect(admin.addr).await.is_err());
}
