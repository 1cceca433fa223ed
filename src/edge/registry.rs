//! The Schema Registry, by its Confluent-compatible API.
//!
//! Registration and look-up go through `schema_registry_converter`; what it has no call for goes through `reqwest`.
//! Schemas are few and asked for once, not per event, so nothing is cached here, and the password is read anew for
//! each call. No error and no `Debug` shows it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use backon::{ConstantBuilder, Retryable};
use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, Url};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, perform_sr_call, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{SchemaType, SrCall, SuppliedSchema};
use serde::Deserialize;
use serde_json::json;

use crate::http_client;

const TIMEOUT: Duration = Duration::from_secs(30);

/// How often a schema that conflicts is tried again: another replica may be registering it.
const CONFLICT_TRIES: usize = 3;
const CONFLICT_PAUSE: Duration = Duration::from_millis(300);

/// Reads a secret, for example from a file that may have changed. The error is for people.
pub type ReadSecret = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

#[derive(Clone)]
pub struct Credentials {
    pub username: String,
    pub password: Option<ReadSecret>,
}

#[derive(Clone)]
pub struct SchemaRegistry {
    /// Without a slash at its end; it may have a path.
    url: String,
    is_on_this_machine: bool,
    credentials: Option<Credentials>,
}

/// What the registry says about a schema that is not registered yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compatibility {
    /// The subject has no version to be compatible with.
    FirstVersion,
    Compatible,
    /// With the registry's own words, if it has any.
    Incompatible(Vec<String>),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    #[error("schema registry at `{url}` does not answer: {reason}")]
    Unreachable { url: String, reason: String },
    #[error(
        "schema registry at `{url}` refuses access (HTTP {status}: {reason}); check `schema_registry.username` and `schema_registry.password`, and that this user may read and write the subject"
    )]
    Denied { url: String, status: u16, reason: String },
    #[error(
        "schema registry at `{url}` finds the schema of subject `{subject}` incompatible with its versions: {reason}; see `callfeed schemas check`, and the compatibility level that is set for the subject"
    )]
    Incompatible { url: String, subject: String, reason: String },
    #[error(
        "schema registry at `{url}` answers HTTP {status}: {reason}; is `schema_registry.url` right, with the path that its Confluent-compatible API has?"
    )]
    Unexpected { url: String, status: u16, reason: String },
    #[error("`schema_registry.url` is not a URL: {reason}")]
    InvalidUrl { reason: String },
    #[error("`schema_registry.password` cannot be read: {reason}")]
    Password { reason: String },
}

impl RegistryError {
    /// Whether another try may succeed without anybody acting.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// One of a few fixed words, fit for a label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Denied { .. } => "denied",
            Self::Incompatible { .. } => "incompatible",
            Self::Unexpected { .. } => "unexpected",
            Self::InvalidUrl { .. } | Self::Password { .. } => "settings",
        }
    }
}

impl fmt::Debug for SchemaRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let username = self.credentials.as_ref().map(|credentials| &credentials.username);
        f.debug_struct("SchemaRegistry").field("url", &self.url).field("username", &username).finish_non_exhaustive()
    }
}

impl SchemaRegistry {
    pub fn new(url: &str, credentials: Option<Credentials>) -> Result<Self, RegistryError> {
        let parsed = Url::parse(url).map_err(|error| RegistryError::InvalidUrl { reason: error.to_string() })?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            let reason = "it holds a login, which belongs into `schema_registry.username` and `password`".to_owned();
            return Err(RegistryError::InvalidUrl { reason });
        }
        let is_on_this_machine = is_loopback(&parsed);
        Ok(Self { url: url.trim_end_matches('/').to_owned(), is_on_this_machine, credentials })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Registers an Avro schema, unless it is registered already; its id either way.
    ///
    /// Several replicas may do so at the same time: a registry that answers the later ones with a conflict knows the
    /// schema a moment later.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let register = || async {
            match self.post(subject, schema).await {
                Err(conflict @ RegistryError::Incompatible { .. }) => match self.find(subject, schema).await {
                    Ok(Some(id)) => Ok(id),
                    _ => Err(conflict),
                },
                outcome => outcome,
            }
        };
        let a_moment = ConstantBuilder::default().with_delay(CONFLICT_PAUSE).with_max_times(CONFLICT_TRIES);
        register.retry(a_moment).when(|error| matches!(error, RegistryError::Incompatible { .. })).await
    }

    async fn post(&self, subject: &str, schema: &str) -> Result<u32, RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered = post_schema(&self.settings()?, subject.to_owned(), supplied).await;
        registered.map(|schema| schema.id).map_err(|error| self.error(subject, &Failure::from(error)))
    }

    /// The id of an Avro schema, if it is registered under the subject.
    pub async fn find(&self, subject: &str, schema: &str) -> Result<Option<u32>, RegistryError> {
        let body = json!({"schema": schema, "schemaType": "AVRO"}).to_string();
        match perform_sr_call(&self.settings()?, SrCall::PostForVersion(subject, &body)).await.map_err(Failure::from) {
            Ok(found) => Ok(found.id),
            Err(failure) if failure.status == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(failure) => Err(self.error(subject, &failure)),
        }
    }

    /// Whether the registry would take this schema as the subject's next version.
    pub async fn compatible(&self, subject: &str, schema: &str) -> Result<Compatibility, RegistryError> {
        let path = format!("compatibility/subjects/{subject}/versions/latest?verbose=true");
        let body = json!({"schema": schema, "schemaType": "AVRO"});
        let request = self.with_login(self.client()?.post(format!("{}/{path}", self.url)))?;
        match send(request.json(&body)).await {
            Ok(answer) => {
                let verdict: Verdict = serde_json::from_str(&answer)
                    .map_err(|error| self.error(subject, &Failure::unreadable(error.to_string())))?;
                Ok(verdict.into())
            }
            Err(failure) if failure.status == Some(StatusCode::NOT_FOUND) => Ok(Compatibility::FirstVersion),
            Err(failure) => Err(self.error(subject, &failure)),
        }
    }

    /// Whether the registry answers, and to this user.
    pub async fn reachable(&self) -> Result<(), RegistryError> {
        let request = self.with_login(self.client()?.get(format!("{}/subjects", self.url)))?;
        send(request).await.map(drop).map_err(|failure| self.error("", &failure))
    }

    fn settings(&self) -> Result<SrSettings, RegistryError> {
        let mut builder = SrSettings::new_builder(self.url.clone());
        builder.set_timeout(TIMEOUT);
        if let Some(credentials) = &self.credentials {
            builder.set_basic_authorization(&credentials.username, credentials.read_password()?.as_deref());
        }
        builder.build_with(self.builder()).map_err(|error| self.error("", &Failure::from(error)))
    }

    fn client(&self) -> Result<Client, RegistryError> {
        self.builder().timeout(TIMEOUT).build().map_err(|error| self.error("", &Failure::from(error)))
    }

    fn builder(&self) -> ClientBuilder {
        let builder = http_client::builder();
        if self.is_on_this_machine { builder.no_proxy() } else { builder }
    }

    fn with_login(&self, request: RequestBuilder) -> Result<RequestBuilder, RegistryError> {
        Ok(match &self.credentials {
            None => request,
            Some(credentials) => request.basic_auth(&credentials.username, credentials.read_password()?),
        })
    }

    fn error(&self, subject: &str, failure: &Failure) -> RegistryError {
        let (url, reason) = (self.url.clone(), failure.reason.clone());
        match failure.status {
            None => RegistryError::Unreachable { url, reason },
            Some(status) if status.is_server_error() => {
                RegistryError::Unreachable { url, reason: format!("HTTP {status}: {reason}") }
            }
            Some(StatusCode::TOO_MANY_REQUESTS) => RegistryError::Unreachable { url, reason },
            Some(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                RegistryError::Denied { url, status: status.as_u16(), reason }
            }
            Some(StatusCode::CONFLICT) => RegistryError::Incompatible { url, subject: subject.to_owned(), reason },
            Some(status) => RegistryError::Unexpected { url, status: status.as_u16(), reason },
        }
    }
}

impl Credentials {
    fn read_password(&self) -> Result<Option<String>, RegistryError> {
        let read = |read: &ReadSecret| read().map_err(|reason| RegistryError::Password { reason });
        self.password.as_ref().map(read).transpose()
    }
}

async fn send(request: RequestBuilder) -> Result<String, Failure> {
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    if status.is_success() {
        return Ok(text);
    }
    let reason = serde_json::from_str(&text).map_or_else(|_| text, |error: RegistryMessage| error.message);
    Err(Failure { status: Some(status), reason })
}

/// This machine's own address, which is another one to a proxy.
fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address: Result<IpAddr, _> = host.trim_matches(['[', ']']).parse();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// The registry's answer to a question about compatibility.
#[derive(Deserialize)]
struct Verdict {
    is_compatible: bool,
    #[serde(default)]
    messages: Vec<String>,
}

impl From<Verdict> for Compatibility {
    fn from(verdict: Verdict) -> Self {
        if verdict.is_compatible { Self::Compatible } else { Self::Incompatible(verdict.messages) }
    }
}

/// The registry's word on what it did not do.
#[derive(Deserialize)]
struct RegistryMessage {
    message: String,
}

/// A call that failed: with the status of the answer, if there was one.
struct Failure {
    status: Option<StatusCode>,
    reason: String,
}

impl Failure {
    fn unreadable(reason: String) -> Self {
        Self { status: Some(StatusCode::OK), reason }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        Self { status: None, reason: causes(&error) }
    }
}

impl From<SRCError> for Failure {
    fn from(error: SRCError) -> Self {
        let reason = match std::error::Error::source(&error) {
            Some(source) => causes(source),
            None => error.error.clone(),
        };
        Self { status: status_in(&error.error), reason }
    }
}

/// `schema_registry_converter` keeps the status of an answer only in its text, "... failed with status 409 Conflict".
/// A test holds it to that.
fn status_in(text: &str) -> Option<StatusCode> {
    let (_, status) = text.rsplit_once("with status ")?;
    status.get(..3)?.parse().ok()
}

/// An error with all that caused it: the outermost one often says least.
fn causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_address_of_this_machine_goes_past_the_proxy() {
        for (url, expected) in [
            ("http://127.0.0.1:8081", true),
            ("http://127.3.2.1", true),
            ("http://[::1]:8081/path", true),
            ("http://LOCALHOST:8081", true),
            ("http://registry:8081", false),
            ("http://10.0.0.1:8081", false),
            ("https://localhost.example.com", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
