//! The client of the Data API of CoMagic, UIS, CallGear and Novofon (data-api): JSON-RPC over POST to one address.
//!
//! It asks, proves the right to ask, and tells data from failure. It does not decide what to ask and when, does not
//! wait, and tries nothing again but one thing: a request whose token was refused, once, with a new one.
//!
//! ```text
//!   methods      a page of a report, the account, its tags, customers' users
//!     session    one token per credential, one login in flight
//!     channel    one request, one answer: envelope, points, metrics, log
//!       http     one HTTP client for all accounts, answers of bounded size
//!         room   in memory, for the answers of all accounts
//!   rows         a page row by row; a bad row spoils only itself
//!   error        what a failure means (class), and what a person can do (remedy)
//! ```
//!
//! Always holds: an answer that is not complete and sound is an error, never data; no error, log line or `Debug`
//! output holds a password, key or token.

mod channel;
mod envelope;
mod error;
mod http;
mod limits;
mod methods;
mod refusal;
mod remedy;
mod room;
mod rows;
mod secret;
mod session;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use reqwest::Url;
use serde::Serialize;

use channel::{Answer, Call, Channel};
use session::Session;

pub use channel::{Observer, RequestSeen};
pub use error::{ApiError, Class, Hurdle, LimitWindow};
pub use http::{BrokenOff, Http, HttpAnswer, HttpSettings, HttpSetupError, InProcess, Proxy};
pub use limits::{SeenLimits, WindowLimits};
pub use methods::{AccountInfo, CustomerUser, Page, ReportQuery, Tag};
pub use room::Held;
pub use rows::{Row, Rows};
pub use secret::{Credentials, SecretSource, SecretString};
pub use session::Clock;

/// One credential at one address. Cheap to clone; all customers of an agency share one.
#[derive(Clone)]
pub struct Client {
    channel: Arc<Channel>,
    session: Arc<Session>,
}

#[derive(Debug, thiserror::Error)]
#[error("`{url}` is not an address of a Data API; expected one like `https://dataapi.comagic.ru/v2.0`")]
pub struct BadUrl {
    url: String,
}

impl Client {
    pub fn new(
        http: Http,
        base_url: &str,
        credentials: Credentials,
        observer: Observer,
        clock: Clock,
    ) -> Result<Self, BadUrl> {
        let url = Url::parse(base_url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| BadUrl { url: base_url.to_owned() })?;
        let channel = Arc::new(Channel::new(http, url, observer));
        let session = Arc::new(Session::new(channel.clone(), credentials, clock));
        Ok(Self { channel, session })
    }

    /// The points that the newest answer to this credential told of; none before the first that did.
    pub fn limits(&self) -> Option<SeenLimits> {
        self.channel.limits()
    }

    /// Knows of no limits until the next answer that tells.
    pub fn forget_limits(&self) {
        self.channel.forget_limits();
    }

    /// Asks with the token at hand, and once more with another when the API no longer accepts it.
    async fn ask(&self, call: &Call<'_, impl Serialize>) -> Result<Answer, ApiError> {
        let token = self.session.token().await?;
        match self.channel.exchange(call, self.session.proof(&token)).await {
            Err(error) if error.refuses_token() => match self.session.instead_of(&token).await? {
                Some(other) => self.channel.exchange(call, self.session.proof(&other)).await,
                None => Err(error),
            },
            outcome => outcome,
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}
