//! A small Schema Registry in this process, by the Confluent-compatible API.
//!
//! As much of it as producers and consumers of Avro use: register, look up by id, subject and version, check
//! compatibility. Nothing is deleted or configured, and no schema outlives the process.

mod store;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use store::{Refusal, Registered, Store};

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The running registry. Dropping it stops it.
pub struct Registry {
    addr: SocketAddr,
    server: JoinHandle<io::Result<()>>,
}

impl Registry {
    /// Starts to answer on a free port of this machine.
    pub async fn start() -> io::Result<Registry> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let server = tokio::spawn(axum::serve(listener, router()).into_future());
        Ok(Registry { addr, server })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Store>>);

impl Shared {
    /// A panic of another holder cannot leave the store half written: it is only ever appended to.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Answer = Result<Json, Refusal>;

fn router() -> Router {
    Router::new()
        .route("/", get(async || Json(json!({}))))
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(look_up))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/subjects/{subject}/versions/{version}/schema", get(version_schema))
        .route("/schemas/types", get(async || Json(json!(["AVRO"]))))
        .route("/schemas/ids/{id}", get(by_id))
        .route("/schemas/ids/{id}/schema", get(schema_by_id))
        .route("/schemas/ids/{id}/versions", get(uses_of_id))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility))
        .route("/config", get(async || Json(json!({"compatibilityLevel": "BACKWARD"}))))
        .route("/mode", get(async || Json(json!({"mode": "READWRITE"}))))
        .fallback(async || Refusal::NoSuchResource)
        .with_state(Shared::default())
}

async fn subjects(State(shared): State<Shared>) -> Json {
    Json(json!(shared.lock().subjects()))
}

async fn versions(State(shared): State<Shared>, Path(subject): Path<String>) -> Answer {
    Ok(Json(json!(shared.lock().versions(&subject)?)))
}

async fn register(State(shared): State<Shared>, Path(subject): Path<String>, body: Bytes) -> Answer {
    let registered = shared.lock().register(&subject, &schema_in(&body)?)?;
    Ok(Json(json!({"id": registered.id})))
}

async fn look_up(State(shared): State<Shared>, Path(subject): Path<String>, body: Bytes) -> Answer {
    Ok(Json(described(&shared.lock().find(&subject, &schema_in(&body)?)?)))
}

async fn version(State(shared): State<Shared>, Path((subject, version)): Path<(String, String)>) -> Answer {
    Ok(Json(described(&shared.lock().version(&subject, &version)?)))
}

async fn version_schema(
    State(shared): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
) -> Result<Response, Refusal> {
    Ok(typed(StatusCode::OK, shared.lock().version(&subject, &version)?.schema))
}

async fn by_id(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    Ok(Json(json!({"schema": shared.lock().schema(&id)?})))
}

async fn schema_by_id(State(shared): State<Shared>, Path(id): Path<String>) -> Result<Response, Refusal> {
    Ok(typed(StatusCode::OK, shared.lock().schema(&id)?.to_owned()))
}

async fn uses_of_id(State(shared): State<Shared>, Path(id): Path<String>) -> Answer {
    let uses = shared.lock().uses(&id)?;
    Ok(Json(uses.into_iter().map(|(subject, version)| json!({"subject": subject, "version": version})).collect()))
}

async fn compatibility(
    State(shared): State<Shared>,
    Path((subject, version)): Path<(String, String)>,
    body: Bytes,
) -> Answer {
    let objection = shared.lock().objection(&subject, &version, &schema_in(&body)?)?;
    Ok(Json(json!({"is_compatible": objection.is_none(), "messages": Vec::from_iter(objection)})))
}

fn described(registered: &Registered) -> Value {
    let Registered { subject, version, id, schema } = registered;
    json!({"subject": subject, "version": version, "id": id, "schema": schema})
}

/// The schema that a client sends. Whatever content type it names: clients differ.
fn schema_in(body: &[u8]) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Sent {
        schema: String,
        schema_type: Option<String>,
    }
    let sent: Sent = serde_json::from_slice(body).map_err(|error| Refusal::InvalidSchema(error.to_string()))?;
    match sent.schema_type.as_deref() {
        None | Some("AVRO") => Ok(sent.schema),
        Some(other) => Err(Refusal::InvalidSchema(format!("only AVRO is kept here, not {other}"))),
    }
}

struct Json(Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        typed(StatusCode::OK, self.0.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, code) = match self {
            Self::NoSuchResource => (StatusCode::NOT_FOUND, 404),
            Self::NoSuchSubject(_) => (StatusCode::NOT_FOUND, 40401),
            Self::NoSuchVersion(_) => (StatusCode::NOT_FOUND, 40402),
            Self::NoSuchSchema => (StatusCode::NOT_FOUND, 40403),
            Self::Incompatible(_) => (StatusCode::CONFLICT, 409),
            Self::InvalidSchema(_) => (StatusCode::UNPROCESSABLE_ENTITY, 42201),
        };
        typed(status, json!({"error_code": code, "message": self.to_string()}).to_string())
    }
}

fn typed(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}
