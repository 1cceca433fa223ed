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

use crate::metrics::Metrics;
use crate::status::{self, AccountStatus, StatusBoard};

/// A client that takes longer to send its request than this wants to hold the connection, not to ask.
const REQUEST_READ_WITHIN: Duration = Duration::from_secs(5);

/// The whole of a connection: also a client that does not read the answer lets go after this.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// Request line and headers; none of ours needs a tenth of it.
const MAX_REQUEST_HEAD: usize = 16 * 1024;

/// Probes, scrapers and people need a handful; more wait in the listener's queue.
const MAX_CONNECTIONS: usize = 128;

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
}

/// The open port, before it answers.
pub struct Admin {
    listener: TcpListener,
    addr: SocketAddr,
}

/// Opens the port; port 0 takes a free one.
pub async fn bind(listen: SocketAddr) -> Result<Admin, BindError> {
    let failed = |source| BindError { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let addr = listener.local_addr().map_err(failed)?;
    Ok(Admin { listener, addr })
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
            connections.spawn(answer(stream, router.clone()));
        }
        drop(self.listener);
        // What is still open after that is dropped with the set.
        let _ = timeout(LAST_ANSWERS_WITHIN, async { while connections.join_next().await.is_some() {} }).await;
    }
}

impl Admin {
    /// The next connection; waits while as many as allowed are open.
    async fn accept(&self, connections: &mut JoinSet<()>) -> TcpStream {
        loop {
            while connections.try_join_next().is_some() {}
            if connections.len() >= MAX_CONNECTIONS {
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
async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_READ_WITHIN)
        .max_buf_size(MAX_REQUEST_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match timeout(ANSWERED_WITHIN, connection).await {
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
    let text = shown.metrics.encode(&shown.board.snapshot(status::now()));
    ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response()
}

async fn accounts(State(shown): State<Shown>) -> Json<Accounts> {
    Json(Accounts { accounts: shown.board.snapshot(status::now()) })
}

async fn account(State(shown): State<Shown>, Path(name): Path<String>) -> Response {
    match shown.board.find(&name, status::now()) {
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
