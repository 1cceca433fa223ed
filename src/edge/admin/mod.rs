//! The admin port: probes, metrics, how each account is doing, and what people may change (design 11).
//!
//! Whoever reaches the port sees names, statuses and counts, never a secret or anything of a call. Changing something takes
//! a token ([`changes`]). A connection carries one request and has bounds on its time and its size, so that a slow or greedy
//! client cannot keep the probes from being answered.

mod changes;
mod peers;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use changes::ReadToken;
pub use peers::Peers;
pub use routes::{Liveness, Readiness, Shown};

/// The bounds of the port.
const LIMITS: Limits =
    Limits { head_within: Duration::from_secs(5), answered_within: Duration::from_secs(35), connections: 128 };

/// Request line and headers; none of ours needs a tenth of it.
const MAX_REQUEST_HEAD: usize = 16 * 1024;

/// How long a stop waits for answers that are on their way.
const LAST_ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Without descriptors `accept` fails at once, over and over: wait for some to come back.
const PAUSE_AFTER_ACCEPT_ERROR: Duration = Duration::from_millis(500);

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
        let router = routes::router(shown);
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

#[cfg(test)]
mod tests;
