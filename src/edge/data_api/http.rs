//! The way of bytes to the Data API and back: one HTTP client for all accounts, and answers of bounded size.
//!
//! Nothing here knows JSON-RPC. A failed exchange is described by host and cause, without the address's path, its
//! query or anything that was sent. In rehearsals a function of the same process stands in the place of the network.

use std::error::Error as _;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Certificate, ClientBuilder, Url, redirect};
use tracing::warn;

use super::error::{Cause, Malformed};
use super::room::{Held, NoRoom, Room};
use crate::http_client;

/// An address that does not even answer the first packet is known sooner than a slow report.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// `Content-Length` is the server's word: memory is reserved ahead only up to here, the rest as it arrives.
const MAX_RESERVED_UNSEEN: usize = 4 << 20;

/// An answer is expected to be as large as the caller says, and a little larger: one byte too many would have all of
/// it copied. What is reserved in vain costs nothing, as it is never touched.
const MARGIN_SHARE: usize = 16;

/// A `Retry-After` of more is taken for this; no counter of the API is longer than a day.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 3600);

/// How requests leave this machine. The same for all accounts.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// From connecting to the last byte of the answer.
    pub timeout: Duration,
    /// Certificates (PEM) trusted besides the system's.
    pub ca_file: Option<PathBuf>,
    pub proxy: Proxy,
    /// Bytes of answers, after decompression, that may be in flight for all accounts together. An answer that is larger
    /// than nearly all of it is given up while it is read.
    pub memory: usize,
}

#[derive(Clone)]
pub enum Proxy {
    /// From `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    Auto,
    None,
    /// This one for every request; may hold a user and a password.
    Url(String),
}

/// The client that all accounts share: its connections are kept and used again. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    way: Way,
    timeout: Duration,
    room: Room,
}

#[derive(Clone)]
enum Way {
    Network(reqwest::Client),
    InProcess(InProcess),
}

/// Answers a request in this process: from the path of the address and the body to the answer.
pub type InProcess = Arc<dyn Fn(&str, Vec<u8>) -> BoxFuture<'static, Result<HttpAnswer, BrokenOff>> + Send + Sync>;

/// The connection ended before the answer was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection was reset")]
pub struct BrokenOff;

#[derive(Debug, thiserror::Error)]
pub enum HttpSetupError {
    #[error("cannot read `http.ca_file` {}: {source}", path.display())]
    ReadCaFile { path: PathBuf, source: std::io::Error },
    #[error("`http.ca_file` {} holds no certificate that can be used; expected certificates in PEM", path.display())]
    NoCertificate { path: PathBuf },
    /// Without the address: it may hold a password.
    #[error("`http.proxy` is not an address of a proxy; expected one like `http://proxy.example:3128`")]
    BadProxy,
    #[error("cannot set up the HTTP client: {reason}")]
    Build { reason: String },
}

/// What the server sent, whatever it means.
pub struct HttpAnswer {
    pub status: u16,
    pub retry_after: Option<Duration>,
    pub body: Vec<u8>,
}

/// Why no answer came, or no complete one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("no complete answer within {0:?}")]
    Timeout(Duration),
    #[error("the host name cannot be resolved: {0}")]
    Dns(String),
    #[error("no trusted TLS connection: {0}")]
    Tls(String),
    #[error("cannot connect: {0}")]
    Connect(String),
    #[error("the connection broke before the answer was complete: {0}")]
    Broken(String),
}

impl Http {
    pub fn new(settings: &HttpSettings) -> Result<Self, HttpSetupError> {
        let client = match builder(settings)?.build() {
            // A simulator is reached without TLS, also from a machine that has no CA certificates.
            Err(error) if settings.ca_file.is_none() => {
                let reason = innermost(&error);
                warn!(reason, "https will be refused: install the system's CA certificates or set `http.ca_file`");
                builder(settings)?.tls_certs_only([]).build()
            }
            built => built,
        };
        let client = client.map_err(|error| HttpSetupError::Build { reason: innermost(&error) })?;
        Ok(Self::by(Way::Network(client), settings))
    }

    /// Without a network: every request is answered by `answer`. For rehearsals.
    pub fn in_process(answer: InProcess, settings: &HttpSettings) -> Self {
        Self::by(Way::InProcess(answer), settings)
    }

    fn by(way: Way, settings: &HttpSettings) -> Self {
        Self { way, timeout: settings.timeout, room: Room::of(settings.memory) }
    }

    /// Waits until there is room for an answer of this size.
    pub(super) async fn wait_for_room(&self, expected_bytes: usize) {
        self.room.wait_for(expected_bytes).await;
    }

    /// `expected_bytes` is what such an answer took before, after decompression; zero when that is not known.
    pub(super) async fn post(
        &self,
        url: &Url,
        body: Vec<u8>,
        expected_bytes: usize,
    ) -> Result<(HttpAnswer, Held), Cause> {
        match &self.way {
            Way::Network(client) => self.post_over_network(client, url, body, expected_bytes).await,
            Way::InProcess(answer) => {
                let answer = self.post_in_process(answer(url.path(), body)).await?;
                let (mut held, len) = (Held::default(), answer.body.len());
                self.hold(&mut held, len, len).await?;
                Ok((answer, held))
            }
        }
    }

    async fn post_over_network(
        &self,
        client: &reqwest::Client,
        url: &Url,
        body: Vec<u8>,
        expected_bytes: usize,
    ) -> Result<(HttpAnswer, Held), Cause> {
        let request = client.post(url.clone()).header(CONTENT_TYPE, "application/json; charset=UTF-8").body(body);
        let mut response = request.send().await.map_err(|error| self.fault(error))?;
        let announced = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let expected = (expected_bytes + expected_bytes / MARGIN_SHARE).max(announced.min(MAX_RESERVED_UNSEEN));
        let mut body = Vec::with_capacity(expected.min(self.room.largest()));
        let mut held = Held::default();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.fault(error))? {
            self.hold(&mut held, body.len() + chunk.len(), expected).await?;
            body.extend_from_slice(&chunk);
        }
        // Pages wait for their commit in memory that is counted by their length.
        body.shrink_to_fit();
        held.shrink_to(body.len());
        let retry_after = retry_after(response.headers(), jiff::Timestamp::now());
        Ok((HttpAnswer { status: response.status().as_u16(), retry_after, body }, held))
    }

    async fn post_in_process(
        &self,
        answering: impl Future<Output = Result<HttpAnswer, BrokenOff>>,
    ) -> Result<HttpAnswer, Cause> {
        match tokio::time::timeout(self.timeout, answering).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(broken)) => {
                Err(Cause::Transport { fault: Fault::Broken(broken.to_string()), source: Arc::new(broken) })
            }
            Err(late) => Err(Cause::Transport { fault: Fault::Timeout(self.timeout), source: Arc::new(late) }),
        }
    }

    async fn hold(&self, held: &mut Held, len: usize, expected: usize) -> Result<(), Cause> {
        if len > self.room.largest() {
            return Err(Cause::Malformed(Malformed::TooLarge { limit: self.room.largest() }));
        }
        self.room.hold(held, len, expected).await.map_err(|NoRoom| Cause::NoRoom { bytes: len })
    }

    fn fault(&self, error: reqwest::Error) -> Cause {
        let error = error.without_url();
        let fault = if error.is_connect() {
            fault_of_connecting(&error)
        } else if error.is_timeout() {
            Fault::Timeout(self.timeout)
        } else {
            Fault::Broken(innermost(&error))
        };
        Cause::Transport { fault, source: Arc::new(error) }
    }
}

impl Fault {
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "timeout",
            Self::Dns(_) => "dns",
            Self::Tls(_) => "tls",
            Self::Connect(_) => "connect",
            Self::Broken(_) => "broken",
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network(_) => "Network",
            Self::InProcess(_) => "InProcess",
        })
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "Auto",
            Self::None => "None",
            Self::Url(_) => "Url(***)",
        })
    }
}

fn builder(settings: &HttpSettings) -> Result<ClientBuilder, HttpSetupError> {
    let builder = http_client::builder()
        .timeout(settings.timeout)
        .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
        .gzip(true)
        // Whether a request is sent again is for the poller to say.
        .retry(reqwest::retry::never())
        // A POST that is redirected would arrive as a GET without its body.
        .redirect(redirect::Policy::none());
    let builder = match &settings.ca_file {
        Some(path) => builder.tls_certs_merge(certificates(path)?),
        None => builder,
    };
    match &settings.proxy {
        Proxy::Auto => Ok(builder),
        Proxy::None => Ok(builder.no_proxy()),
        Proxy::Url(url) => Ok(builder.proxy(reqwest::Proxy::all(url).map_err(|_| HttpSetupError::BadProxy)?)),
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, HttpSetupError> {
    let pem = std::fs::read(path).map_err(|source| HttpSetupError::ReadCaFile { path: path.into(), source })?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(HttpSetupError::NoCertificate { path: path.into() }),
    }
}

fn fault_of_connecting(error: &reqwest::Error) -> Fault {
    if error.is_dns() {
        Fault::Dns(innermost(error))
    } else if let Some(refused) = tls_error(error) {
        Fault::Tls(refused.to_string())
    } else if error.is_timeout() {
        Fault::Connect("no answer to the attempt to connect".into())
    } else {
        Fault::Connect(innermost(error))
    }
}

/// The error of TLS among the causes. It hides inside I/O errors, which do not show it as their source.
fn tls_error(error: &reqwest::Error) -> Option<&rustls::Error> {
    causes(error).find_map(|cause| {
        let mut hidden = cause;
        while let Some(inner) = hidden.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            hidden = inner;
        }
        hidden.downcast_ref()
    })
}

/// The text of the first cause: the others only say that there is one.
fn innermost(error: &reqwest::Error) -> String {
    causes(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

/// `Retry-After` in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = "2026-03-02T10:00:00Z".parse().unwrap();
        let table = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Mon, 02 Mar 2026 10:01:30 GMT", Some(90)),
            ("Mon, 02 Mar 2026 09:00:00 GMT", Some(0)),
            ("99999999", Some(24 * 3600)),
            ("-5", None),
            ("soon", None),
        ];
        for (text, seconds) in table {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn bad_settings_are_told_without_the_proxys_password() {
        let settings = |ca_file: Option<&Path>, proxy| HttpSettings {
            timeout: Duration::from_secs(1),
            ca_file: ca_file.map(PathBuf::from),
            proxy,
            memory: 1,
        };
        let empty = tempfile::NamedTempFile::new().unwrap();

        let proxy = Http::new(&settings(None, Proxy::Url("http://user:hunter2@[".into()))).unwrap_err();
        let missing = Http::new(&settings(Some(Path::new("/no/such.pem")), Proxy::None)).unwrap_err();
        let no_certificate = Http::new(&settings(Some(empty.path()), Proxy::None)).unwrap_err();

        assert!(matches!(proxy, HttpSetupError::BadProxy));
        assert!(!format!("{proxy} {proxy:?}").contains("hunter2"));
        assert!(missing.to_string().starts_with("cannot read `http.ca_file` /no/such.pem: "), "{missing}");
        assert!(matches!(no_certificate, HttpSetupError::NoCertificate { .. }));
    }
}
