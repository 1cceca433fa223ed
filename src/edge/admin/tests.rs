//! The port from outside, by HTTP.

mod changes;
mod peers;

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
use crate::logging::Traces;
use crate::metrics::{Detail, Metrics, OPENMETRICS, PLAIN};
use crate::orders::{Order, OrderError, Orders, Outcome};
use crate::status::StatusBoard;
use crate::status::{State as Status, Why};

const TOKEN: &str = "0123456789abcdef-token";

const SHORT: Duration = Duration::from_millis(50);
const ENDLESS: Duration = Duration::from_secs(3600);

/// Long for a replica that answers, short for one that never does.
const PEERS_WITHIN: Duration = Duration::from_secs(2);

/// A port that answers, and what is shown there.
struct Running {
    addr: SocketAddr,
    board: StatusBoard,
    orders: Orders,
    liveness: watch::Sender<Liveness>,
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
        let liveness = watch::Sender::new(Liveness::Alive);
        let (addr, board, stop) = (admin.addr(), StatusBoard::default(), CancellationToken::new());
        let orders = Orders::default();
        let shown = Shown {
            board: board.clone(),
            metrics: Metrics::new(Detail::PerAccount),
            liveness: liveness.subscribe(),
            readiness: seen,
            instance_id: addr.to_string().into(),
            orders: orders.clone(),
            traces: Traces::default(),
            token: token.map(|token| -> ReadToken { Arc::new(|| Ok(token.to_owned())) }),
            peers: peers.first().map(|peer| Peers::at(&peer.addr.to_string()).unwrap().answering_within(PEERS_WITHIN)),
        };
        let serving = tokio::spawn(admin.serve(shown, stop.clone()));
        Self { addr, board, orders, liveness, readiness, stop, serving }
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
async fn only_what_a_restart_cures_is_not_alive() {
    let admin = Running::start(LIMITS).await;
    admin.board.register(&AccountId::new("acme"), Service::Uis);
    admin.board.set(&AccountId::new("acme"), Status::Blocked, Why::because("the address is not on the list"));
    assert_eq!(admin.get("/live").await.0, 200, "neither what is blocked nor what is not ready yet");
    admin.readiness.send_replace(Readiness::Ready);
    assert_eq!(admin.get("/ready").await.0, 200, "the others go on");
    admin.liveness.send_replace(Liveness::Dead("publisher_ended"));
    assert_eq!(admin.get("/live").await, (503, "publisher_ended\n".to_owned()));
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
            let response = admin.to(method, path).bearer_auth(TOKEN).send().await.unwrap();
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], "GET,HEAD", "{method} {path}");
            let answer: Value = response.json().await.unwrap();
            assert!(answer["error"].is_string(), "{method} {path}");
        }
    }
}

const CHANGES: [&str; 5] = [
    "/api/v1/accounts/acme/pause",
    "/api/v1/accounts/acme/resume",
    "/api/v1/accounts/acme/rewind",
    "/api/v1/accounts/acme/trace",
    "/api/v1/reload",
];

#[tokio::test]
async fn a_scope_that_does_not_exist_is_told() {
    let admin = Running::start(LIMITS).await;
    let (status, answer) = admin.get_json("/api/v1/accounts?scope=world").await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("`all` or `replica`"), "{answer}");
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
