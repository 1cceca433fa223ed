//! The admin port: probes, metrics, and how each account is doing (design 11).
//!
//! It only reads. Whoever reaches the port sees names, statuses and counts, never a secret or anything of a call. A
//! connection carries one request and has bounds on its time and its size, so that a slow or greedy client cannot keep
//! the probes from being answered; no route reads a body, so a body is never taken in.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use serde_json::json;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::status::{AccountStatus, ConfigStatus, StatusBoard};

/// The bounds of the port.
const LIMITS: Limits =
    Limits { head_within: Duration::from_secs(5), answered_within: Duration::from_secs(30), connections: 128 };

/// Request line and headers; none of ours needs a tenth of it.
const MAX_REQUEST_HEAD: usize = 16 * 1024;

/// How long a stop waits for answers that are on their way.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Without descriptors `accept` fails at once, over and over: wait for some to come back.
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(500);

/// What prometheus-client writes.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The port could not be opened.
#[derive(Debug, Error)]
#[error("cannot listen on `{listen}` for the admin port: {}", explain(source.kind()))]
pub struct BindError {
    pub listen: SocketAddr,
    pub source: io::Error,
}

fn explain(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "another process listens there already; stop it, or set another port in `admin.listen`"
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have that address; set one it has, or `0.0.0.0`, in `admin.listen`"
        }
        io::ErrorKind::PermissionDenied => {
            "the system does not allow it, as for ports below 1024; set a higher port in `admin.listen`"
        }
        _ => "the system refused it; check the address in `admin.listen`",
    }
}

/// Whether this replica does its work: state restored and Kafka reachable. A blocked account does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// With the word why, for example `restoring_state`.
    NotReady(&'static str),
}

/// What the admin port shows.
#[derive(Clone)]
pub struct Shown {
    pub board: StatusBoard,
    pub metrics: Metrics,
    pub readiness: watch::Receiver<Readiness>,
}

/// An object and not a bare list, so that more can stand beside the list one day.
#[derive(Serialize)]
struct Accounts {
    accounts: Vec<AccountStatus>,
    config: ConfigStatus,
}

#[derive(Clone, Copy)]
struct Limits {
    /// A client that takes longer to send its request head wants to hold the connection, not to ask.
    head_within: Duration,
    /// The whole of a connection: also a client that does not read the answer lets go after this.
    answered_within: Duration,
    /// Probes, scrapers and people need a handful; more wait in the queue of the system.
    connections: usize,
}

/// The open port, before it answers.
pub struct Admin {
    listener: TcpListener,
    addr: SocketAddr,
    limits: Limits,
}

/// Opens the port; port 0 takes a free one.
pub async fn bind(listen: SocketAddr) -> Result<Admin, BindError> {
    let failed = |source| BindError { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Admin { listener, addr, limits: LIMITS })
}

impl Admin {
    /// The address that was really taken.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers until `stop`, then lets the answers that are on their way finish.
    pub async fn serve(self, shown: Shown, stop: CancellationToken) {
        let router = router(shown);
        let mut connections = JoinSet::new();
        while let Some(stream) = stop.run_until_cancelled(self.accept(&mut connections)).await {
            connections.spawn(answer(stream, router.clone(), self.limits));
        }
        drop(self.listener);
        // What is still open after that is dropped with the set.
        let _ = timeout(LAST_ANSWERS_WITHIN, async { while connections.join_next().await.is_some() {} }).await;
    }

    /// The next connection; waits while as many as allowed are open.
    async fn accept(&self, connections: &mut JoinSet<()>) -> TcpStream {
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= self.limits.connections {
                connections.join_next().await;
            }
            match self.listener.accept().await {
                Ok((stream, _)) => return stream,
                Err(error) => {
                    tracing::warn!(%error, "the admin port could not take a connection");
                    sleep(PAUSE_AFTER_ACCEPT_ERROR).await;
                }
            }
        }
    }
}

/// One request of one connection. Without keep-alive nothing is left to end when the service stops.
async fn answer(stream: TcpStream, router: Router, limits: Limits) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_buf_size(MAX_REQUEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(limits.answered_within, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the admin port failed"),
        Err(_) => tracing::debug!("a connection to the admin port took too long"),
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/api/v1/accounts", get(accounts))
        .route("/api/v1/accounts/{name}", get(account))
        .fallback(nothing_here)
        .with_state(shown)
}

/// Only a process that cannot answer at all would be cured by a restart.
async fn live() -> &'static str {
    "alive\n"
}

async fn ready(State(shown): State<Shown>) -> Response {
    let readiness = *shown.readiness.borrow();
    match readiness {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics(State(shown): State<Shown>) -> Response {
    let text = shown.metrics.encode(&shown.board.snapshot(Clock::running().now()));
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

async fn accounts(State(shown): State<Shown>) -> Json<Accounts> {
    Json(Accounts { accounts: shown.board.snapshot(Clock::running().now()), config: shown.board.config() })
}

async fn account(State(shown): State<Shown>, Path(name): Path<String>) -> Response {
    match shown.board.find(&name, Clock::running().now()) {
        Some(account) => Json(account).into_response(),
        None => not_found(format!("no account is named `{name}`; /api/v1/accounts lists those there are")),
    }
}

async fn nothing_here() -> Response {
    not_found("nothing is here; see /live, /ready, /metrics and /api/v1/accounts".to_owned())
}

fn not_found(error: String) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": error }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::io::Read;

    use serde_json::Value;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::domain::call::{AccountId, Service};
    use crate::domain::time::Instant;
    use crate::status::{State as Status, Why};

    const SHORT: Duration = Duration::from_millis(50);
    const ENDLESS: Duration = Duration::from_secs(3600);

    /// A port that answers, and what is shown there.
    struct Running {
        addr: SocketAddr,
        board: StatusBoard,
        readiness: watch::Sender<Readiness>,
        stop: CancellationToken,
        serving: JoinHandle<()>,
    }

    impl Running {
        async fn start(limits: Limits) -> Self {
            let mut admin = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            admin.limits = limits;
            let (readiness, seen) = watch::channel(Readiness::NotReady("restoring_state"));
            let (addr, board, stop) = (admin.addr(), StatusBoard::default(), CancellationToken::new());
            let shown = Shown { board: board.clone(), metrics: Metrics::new(), readiness: seen };
            let serving = tokio::spawn(admin.serve(shown, stop.clone()));
            Self { addr, board, readiness, stop, serving }
        }

        async fn request(&self, method: &str, path: &str) -> reqwest::Response {
            // Refused only when a test before has already done it.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let method = method.parse().unwrap();
            client.request(method, format!("http://{}{path}", self.addr)).send().await.unwrap()
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
        for path in ["/", "/livex", "/api/v1", "/api/v1/accounts/", "/api/v1/accounts/acme/pause"] {
            let (status, answer) = admin.get_json(path).await;
            assert_eq!(status, 404, "{path}");
            assert!(answer["error"].is_string(), "{path}");
        }
    }

    #[tokio::test]
    async fn nothing_can_be_changed_through_the_port() {
        let admin = Running::start(LIMITS).await;
        for path in ["/live", "/ready", "/metrics", "/api/v1/accounts", "/api/v1/accounts/acme"] {
            for method in ["POST", "PUT", "PATCH", "DELETE"] {
                assert_eq!(admin.request(method, path).await.status(), 405, "{method} {path}");
            }
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
}
