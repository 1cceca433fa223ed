//! What people may change while it runs, when they show the token.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::peers::Found;
use super::routes::{Name, Scope, Shown, not_here, refusal, unknown};
use crate::clock::Clock;
use crate::domain::call::AccountId;
use crate::domain::rewind::{Moment, RewindError};
use crate::orders::{Order, OrderError, Outcome};

/// Larger than any order that makes sense.
const MAX_BODY: usize = 4 * 1024;

/// How long an account is traced unless it is said, and the bounds of what may be said.
const TRACED_FOR: Duration = Duration::from_mins(10);
const SHORTEST_TRACE: Duration = Duration::from_secs(1);
const LONGEST_TRACE: Duration = Duration::from_hours(24);

/// Reads the token as it is now: it may have been rotated.
pub type ReadToken = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What a rewinding is asked with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RewindBody {
    /// As `callfeed state rewind --to` takes it.
    to: String,
    #[serde(default)]
    republish: bool,
}

/// What a trace is switched with.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TraceBody {
    on: bool,
    #[serde(rename = "for")]
    lasts: Option<String>,
}

/// The body of an order, which is short.
struct Body(Bytes);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let body = Bytes::from_request(request, state).await;
        body.map(Self).map_err(|error| match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                refusal(error.status(), format!("the body is longer than the {MAX_BODY} bytes that an order may take"))
            }
            status => refusal(status, error.body_text()),
        })
    }
}

pub fn router(shown: Shown) -> Router<Shown> {
    Router::new()
        .route("/api/v1/accounts/{name}/pause", post(pause))
        .route("/api/v1/accounts/{name}/resume", post(resume))
        .route("/api/v1/accounts/{name}/rewind", post(rewind))
        .route("/api/v1/accounts/{name}/trace", post(trace))
        .route("/api/v1/reload", post(reload))
        .route_layer(DefaultBodyLimit::max(MAX_BODY))
        .route_layer(from_fn_with_state(shown, authorize))
}

/// Lets those through who show the token.
async fn authorize(State(shown): State<Shown>, request: Request, next: Next) -> Response {
    let Some(token) = &shown.token else {
        return refusal(
            StatusCode::FORBIDDEN,
            "nothing can be changed here: `admin.token` is not set in the configuration",
        );
    };
    let token = match read(token.clone()).await {
        Ok(token) => token,
        Err(error) => {
            tracing::error!(%error, "the token of the admin port cannot be read");
            return refusal(StatusCode::SERVICE_UNAVAILABLE, "the token cannot be read; the log says why");
        }
    };
    if bearer(request.headers()).is_some_and(|shown| bool::from(shown.as_bytes().ct_eq(token.as_bytes()))) {
        return next.run(request).await;
    }
    tracing::warn!("a change was asked for without the token of `admin.token`");
    let expected = "expected the header `Authorization: Bearer TOKEN` with the token of `admin.token`";
    ([(header::WWW_AUTHENTICATE, "Bearer")], refusal(StatusCode::UNAUTHORIZED, expected)).into_response()
}

async fn read(token: ReadToken) -> Result<String, String> {
    // A file may lie on a disk that hangs.
    tokio::task::spawn_blocking(move || token()).await.unwrap_or_else(|panicked| Err(panicked.to_string()))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn pause(shown: State<Shown>, name: Name, scope: Scope, headers: HeaderMap) -> Response {
    let passed_on = PassedOn { verb: "pause", headers, body: Bytes::new() };
    carry_out(&shown, &name.0, Order::Pause, scope, passed_on).await
}

async fn resume(shown: State<Shown>, name: Name, scope: Scope, headers: HeaderMap) -> Response {
    let passed_on = PassedOn { verb: "resume", headers, body: Bytes::new() };
    carry_out(&shown, &name.0, Order::Resume, scope, passed_on).await
}

async fn rewind(shown: State<Shown>, name: Name, scope: Scope, headers: HeaderMap, Body(body): Body) -> Response {
    match rewinding(&body) {
        Ok(order) => carry_out(&shown, &name.0, order, scope, PassedOn { verb: "rewind", headers, body }).await,
        Err(error) => refusal(StatusCode::BAD_REQUEST, error),
    }
}

fn rewinding(body: &[u8]) -> Result<Order, String> {
    let body: RewindBody = serde_json::from_slice(body)
        .map_err(|error| format!("expected JSON such as {{\"to\": \"2026-03-02T10:00:00+03:00\"}}: {error}"))?;
    let to = Moment::parse(&body.to).map_err(|error| format!("to: {error}"))?;
    Ok(Order::Rewind { to, may_republish: body.republish })
}

async fn trace(shown: State<Shown>, name: Name, scope: Scope, headers: HeaderMap, Body(body): Body) -> Response {
    let lasts = match tracing_for(&body) {
        Ok(lasts) => lasts,
        Err(error) => return refusal(StatusCode::BAD_REQUEST, error),
    };
    if shown.find(&name.0).is_none() {
        return elsewhere(&shown, &name.0, scope, PassedOn { verb: "trace", headers, body }).await;
    }
    let account = AccountId::new(&name.0);
    let done = match lasts {
        Some(lasts) => format!("traced until {}", shown.traces.begin(&account, Clock::running().now(), lasts)),
        None if shown.traces.end(&account) => "not traced any more".to_owned(),
        None => "not traced".to_owned(),
    };
    is_done(&shown, &name.0, &done)
}

/// How long an account is to be traced; none when it is not to be.
fn tracing_for(body: &[u8]) -> Result<Option<Duration>, String> {
    let body: TraceBody = serde_json::from_slice(body)
        .map_err(|error| format!("expected JSON such as {{\"on\": true, \"for\": \"10m\"}}: {error}"))?;
    let lasts = match &body.lasts {
        Some(text) => humantime::parse_duration(text)
            .ok()
            .filter(|lasts| (SHORTEST_TRACE..=LONGEST_TRACE).contains(lasts))
            .ok_or_else(|| format!("for: expected a duration from `1s` to `24h`, found `{text}`"))?,
        None => TRACED_FOR,
    };
    Ok(body.on.then_some(lasts))
}

/// An order as it came, for the replica that it is for.
struct PassedOn {
    verb: &'static str,
    headers: HeaderMap,
    body: Bytes,
}

/// Here, or at the replica that has the account.
async fn carry_out(shown: &Shown, name: &str, order: Order, scope: Scope, passed_on: PassedOn) -> Response {
    match shown.orders.give(name, order).await {
        Ok(done) => is_done(shown, name, &done),
        Err(OrderError::NotHere(_)) => elsewhere(shown, name, scope, passed_on).await,
        Err(error) => refused(&error),
    }
}

fn is_done(shown: &Shown, name: &str, done: &str) -> Response {
    Json(json!({"done": done, "account": shown.find(name)})).into_response()
}

/// First it is asked who has the account, so that one replica gets the order and its answer is the answer.
async fn elsewhere(shown: &Shown, name: &str, scope: Scope, PassedOn { verb, headers, body }: PassedOn) -> Response {
    let Some(peers) = shown.peers_in(scope) else { return not_here(shown, name) };
    let Found { owner, unreachable } = peers.owner_of(name).await;
    let unavailable = |error: String| refusal(StatusCode::SERVICE_UNAVAILABLE, error);
    let Some(owner) = owner else {
        let is_known = unreachable.is_empty() && shown.board.elsewhere(name).is_some();
        return match is_known {
            true => unavailable(format!("no replica has `{name}` at the moment; try again")),
            false => unknown(name, &unreachable),
        };
    };
    match peers.order(&owner, name, verb, headers.get(header::AUTHORIZATION), body).await {
        Ok(Some(answer)) => answer,
        Ok(None) => unavailable(format!("`{name}` moves to another replica; try again")),
        Err(problem) => unavailable(format!("whether it is done is not known, look at the account: {problem}")),
    }
}

async fn reload(State(shown): State<Shown>) -> Response {
    let outcome: Outcome = shown.orders.reload().await;
    match outcome {
        Ok(done) => Json(json!({ "done": done })).into_response(),
        Err(error) => refused(&error),
    }
}

fn refused(error: &OrderError) -> Response {
    let status = match error {
        OrderError::NotHere(_) => StatusCode::NOT_FOUND,
        OrderError::Pending => StatusCode::ACCEPTED,
        OrderError::Rewind(RewindError::BadTime(_) | RewindError::NoZone { .. }) => StatusCode::BAD_REQUEST,
        OrderError::Rewind(
            RewindError::NothingRead { .. } | RewindError::TooEarly { .. } | RewindError::WouldRepublish { .. },
        )
        | OrderError::Busy
        | OrderError::Refused(_) => StatusCode::CONFLICT,
    };
    refusal(status, error.to_string())
}
