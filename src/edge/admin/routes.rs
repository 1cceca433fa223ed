//! What is found where, and what is only looked at.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::changes::{self, ReadToken};
use super::peers::{Found, Peers, since};
use crate::clock::Clock;
use crate::logging::Traces;
use crate::metrics::{self, Metrics};
use crate::orders::Orders;
use crate::status::{AccountStatus, ConfigStatus, State as AccountState, StatusBoard};

/// The description of the whole port.
const OPENAPI: &str = include_str!("openapi.json");

/// Whether a restart would cure nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    Alive,
    /// With the word for what has ended for good, for example `publisher_ended`.
    Dead(&'static str),
}

/// Whether this replica does its work: state restored and Kafka reachable. A blocked account does not change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// With the word why, for example `restoring_state`.
    NotReady(&'static str),
}

/// What the admin port shows and takes.
#[derive(Clone)]
pub struct Shown {
    pub board: StatusBoard,
    pub metrics: Metrics,
    pub liveness: watch::Receiver<Liveness>,
    pub readiness: watch::Receiver<Readiness>,
    /// The name of this replica.
    pub instance_id: Arc<str>,
    pub orders: Orders,
    pub traces: Traces,
    /// What a bearer must show to change something; without it nobody can.
    pub token: Option<ReadToken>,
    /// The other replicas, as far as they can be asked.
    pub peers: Option<Peers>,
}

/// An object and not a bare list, so that more can stand beside the list.
#[derive(Serialize)]
struct Accounts {
    accounts: Vec<Value>,
    config: ConfigStatus,
    /// Replicas that did not answer, and why: their accounts are missing here.
    unreachable: Vec<String>,
}

/// An account, and the replica that has it.
#[derive(Serialize)]
struct Account<'a> {
    #[serde(flatten)]
    status: AccountStatus,
    replica: &'a str,
    traced_until: Option<String>,
}

/// Whose accounts are asked for.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
struct Asked {
    #[serde(default)]
    scope: Scope,
}

/// The account in the path.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let name = Path::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name)).map_err(|error| refusal(StatusCode::BAD_REQUEST, error.body_text()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Scope {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let asked = Query::<Asked>::from_request_parts(parts, state).await;
        asked.map(|asked| asked.scope).map_err(|error| refusal(StatusCode::BAD_REQUEST, error.body_text()))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// All that any replica has.
    #[default]
    All,
    /// Those of the replica that is asked.
    Replica,
}

impl Shown {
    /// The other replicas, when they are to be asked too.
    pub fn peers_in(&self, scope: Scope) -> Option<&Peers> {
        self.peers.as_ref().filter(|_| scope == Scope::All)
    }

    /// An account of this replica.
    pub fn find(&self, name: &str) -> Option<Value> {
        self.board.find(name, Clock::running().now()).map(|status| self.value(status))
    }

    fn value(&self, status: AccountStatus) -> Value {
        let traced_until = self.traces.until(&status.account).map(|until| until.to_string());
        // Texts and numbers under fixed names: there is nothing that JSON could not hold.
        serde_json::to_value(Account { status, replica: &self.instance_id, traced_until }).unwrap_or_default()
    }

    /// An account that this replica knows from its configuration, and that no replica says to have.
    pub fn unowned(&self, name: &str, unreachable: &[String]) -> Option<Value> {
        let service = self.board.elsewhere(name)?;
        let (reason, remedy) = match unreachable {
            [] => (
                "no replica has it at the moment",
                "a replica takes it over when the session of the former one is over",
            ),
            _ => ("no replica that answers has it", "look at those in `unreachable`"),
        };
        Some(json!({
            "name": name,
            "service": service.to_string(),
            "status": AccountState::Starting.as_str(),
            "since": null,
            "reason": reason,
            "remedy": remedy,
            "streams": [],
            "replica": null,
            "traced_until": null,
        }))
    }
}

pub fn router(shown: Shown) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics_of_this_replica))
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/accounts", get(accounts))
        .route("/api/v1/accounts/{name}", get(account))
        .merge(changes::router(shown.clone()))
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_allowed)
        .with_state(shown)
}

/// A restart cures a process that does not answer at all, and one whose threads have ended. Nothing else: what is away is
/// waited for, and what is blocked needs a person.
async fn live(State(shown): State<Shown>) -> Response {
    let liveness = *shown.liveness.borrow();
    match liveness {
        Liveness::Alive => "alive\n".into_response(),
        Liveness::Dead(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")).into_response(),
    }
}

async fn ready(State(shown): State<Shown>) -> Response {
    let readiness = *shown.readiness.borrow();
    match readiness {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn metrics_of_this_replica(State(shown): State<Shown>, headers: HeaderMap) -> Response {
    shown.metrics.ready(*shown.readiness.borrow() == Readiness::Ready);
    let parts = shown.metrics.parts(shown.board.snapshot(Clock::running().now()));
    let accept: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = metrics::negotiate(&accept.join(","));
    let parts = parts.map(move |part| if format == metrics::PLAIN { metrics::plain(&part) } else { part });
    // The next part is written when the one before is on its way.
    let body = Body::from_stream(futures::stream::iter(parts.map(Ok::<_, Infallible>)));
    ([(header::CONTENT_TYPE, format), (header::VARY, "accept")], body).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

async fn accounts(State(shown): State<Shown>, scope: Scope) -> Json<Accounts> {
    let own = shown.board.snapshot(Clock::running().now()).into_iter().map(|status| shown.value(status));
    let mut accounts: Vec<Value> = own.collect();
    let mut unreachable = Vec::new();
    if let Some(peers) = shown.peers_in(scope) {
        let others = peers.accounts().await;
        accounts.extend(others.accounts);
        unreachable = others.unreachable;
        accounts = once_each(accounts);
        let names: HashSet<&str> = accounts.iter().filter_map(|account| account["name"].as_str()).collect();
        let missing = shown.board.all_elsewhere().into_iter().filter(|name| !names.contains(name.as_str()));
        let missing: Vec<Value> = missing.filter_map(|name| shown.unowned(name.as_str(), &unreachable)).collect();
        accounts.extend(missing);
        accounts.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    }
    Json(Accounts { accounts, config: shown.board.config(), unreachable })
}

/// While an account moves, two replicas may say that it is theirs: the one that has taken it over later is right.
pub fn once_each(accounts: Vec<Value>) -> Vec<Value> {
    let mut latest: HashMap<String, Value> = HashMap::with_capacity(accounts.len());
    for account in accounts {
        let Some(name) = account["name"].as_str().map(str::to_owned) else { continue };
        match latest.entry(name) {
            Entry::Occupied(mut known) if since(&account) > since(known.get()) => drop(known.insert(account)),
            Entry::Occupied(_) => {}
            Entry::Vacant(place) => drop(place.insert(account)),
        }
    }
    latest.into_values().collect()
}

async fn account(State(shown): State<Shown>, Name(name): Name, scope: Scope) -> Response {
    if let Some(account) = shown.find(&name) {
        return Json(account).into_response();
    }
    let Some(peers) = shown.peers_in(scope) else { return not_here(&shown, &name) };
    let Found { owner, unreachable } = peers.owner_of(&name).await;
    match owner.map(|owner| owner.account).or_else(|| shown.unowned(&name, &unreachable)) {
        Some(account) => Json(account).into_response(),
        None => unknown(&name, &unreachable),
    }
}

/// For a replica that cannot, or is not to, ask the others.
pub fn not_here(shown: &Shown, name: &str) -> Response {
    match shown.board.elsewhere(name) {
        Some(_) => {
            let error =
                format!("`{name}` is not this replica's; ask the others, or set `admin.peers` to have them asked");
            refusal(StatusCode::NOT_FOUND, error)
        }
        None => unknown(name, &[]),
    }
}

pub fn unknown(name: &str, unreachable: &[String]) -> Response {
    if unreachable.is_empty() {
        let error = format!("no account is named `{name}`; /api/v1/accounts lists those there are");
        return refusal(StatusCode::NOT_FOUND, error);
    }
    let silent = unreachable.join("; ");
    let error =
        format!("no replica that answers has an account `{name}`; try again, or look at those that do not: {silent}");
    refusal(StatusCode::SERVICE_UNAVAILABLE, error)
}

async fn nothing_here() -> Response {
    refusal(StatusCode::NOT_FOUND, "nothing is here; see /api/v1/openapi.json")
}

async fn not_allowed() -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "this cannot be done here; see /api/v1/openapi.json")
}

pub fn refusal(status: StatusCode, error: impl Into<String>) -> Response {
    (status, Json(json!({ "error": error.into() }))).into_response()
}
