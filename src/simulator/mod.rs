//! The Data API of CoMagic, UIS, CallGear and Novofon, imitated faithfully: for tests, `callfeed demo` and
//! `callfeed simulate`.
//!
//! The simulator is as strict as the documents, so that a client that gets on with it makes no request that the real
//! API forbids; where the documents are silent the scenario decides (bounds, order of ties, spellings). It is one HTTP
//! server for any number of accounts of any brand, each under `/BRAND/v2.0`. What it knows can be asked at `/truth`.
//!
//! Always true: everything that is drawn by lot follows from the scenario's seed; the calls of an account depend on the
//! scenario and the clock alone, not on who asks when; no answer, log line or journal entry holds a token that the
//! request did not hold, except the answer to a login.
//!
//! It is not a model of load: one lock per account, and answers are put together on the thread that serves them.

mod access;
mod account;
mod api;
mod calls_scenario;
mod cast;
mod clock;
mod control;
mod demo_world;
mod envelope;
mod error;
mod faults;
mod filter;
mod generate;
mod in_process;
mod journal;
mod owners;
mod page;
mod points;
mod portrait;
mod query;
mod row;
mod scenario;
mod server;
mod spec;
mod truth;
mod variants;
mod world;
mod yaml;

use std::{
    io,
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

use self::api::Api;
pub use self::{
    calls_scenario::{BadRow, BadRows, CallsScenario, LongCalls, RatingHabits, SaleHabits, TagHabits, VanishHabits},
    control::UnknownName,
    faults::{Fault, FaultRule},
    in_process::Reply,
    journal::{Counts, Outcome, RequestRecord},
    points::PointsUsed,
    scenario::{
        AccountScenario, AgencyAccount, Bound, BoundBy, Bounds, ClockScenario, CustomerScenario, Delay, EndedSession,
        Hidden, Key, KeyState, Limits, LimitsShape, MaxWindow, MetaData, RepeatedTimes, Scenario, SortBy, Tables, Ties,
        Unsorted, UserScenario, Variants,
    },
    world::{FormerRows, Timeline, TruthCall},
    yaml::ScenarioError,
};

/// The imitated API without a network: requests are answered in this process, and a test may ask and change what it
/// likes. Clones share one.
#[derive(Clone)]
pub struct SimulatedApi {
    api: Arc<Api>,
}

/// The imitated API behind an HTTP server. Dropping it stops the server and closes its connections.
pub struct Simulator {
    simulated: SimulatedApi,
    addr: SocketAddr,
    tls: bool,
    server: JoinHandle<()>,
}

impl Simulator {
    /// Starts to listen; port 0 takes a free one.
    pub async fn start(scenario: Scenario, listen: SocketAddr) -> io::Result<Simulator> {
        Simulator::listen(scenario, listen, None).await
    }

    pub async fn start_tls(scenario: Scenario, listen: SocketAddr, tls: rustls::ServerConfig) -> io::Result<Simulator> {
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        Simulator::listen(scenario, listen, Some(acceptor)).await
    }

    async fn listen(scenario: Scenario, listen: SocketAddr, tls: Option<TlsAcceptor>) -> io::Result<Simulator> {
        let simulated =
            SimulatedApi::new(scenario).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let listener = TcpListener::bind(listen).await?;
        let addr = listener.local_addr()?;
        Ok(Simulator {
            tls: tls.is_some(),
            server: tokio::spawn(server::accept(listener, tls, simulated.api.clone())),
            simulated,
            addr,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where a brand answers; `default` answers for all accounts.
    pub fn url(&self, brand: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match brand {
            "default" => format!("{scheme}://{}/v2.0", self.addr),
            brand => format!("{scheme}://{}/{brand}/v2.0", self.addr),
        }
    }
}

/// Whatever can be done to the API can be done to the one behind the server.
impl Deref for Simulator {
    type Target = SimulatedApi;

    fn deref(&self) -> &SimulatedApi {
        &self.simulated
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Locks; a panic of another holder is that holder's failure, the data is counters and rows and stays usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
