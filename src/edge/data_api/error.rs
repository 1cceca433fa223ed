//! What can go wrong with a request, and what follows from it.
//!
//! Callers decide by [`Class`] alone. The class follows from the API's `mnemonic`; for one that is not known from
//! the group its code belongs to; without either from the HTTP status. Never from a message: they are templates with
//! typos that differ by brand (data-api, 8). No text made here holds a secret or the content of an answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::http::Fault;
use super::refusal::{Refusal, Ruling};
use super::remedy;

/// What a failed request means for its account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Passes by itself: try again, not earlier than `after` when the server named a time.
    Retry { after: Option<Duration> },
    /// No points left: try again when the counter of this window starts anew, after `wait` when that is known.
    Limited { window: LimitWindow, wait: Option<Duration> },
    /// A person with access to the account, its rights or its bill must act; `remedy` says what to do.
    Owner,
    /// The request itself is wrong. Repeating it as it is helps nobody.
    Bug,
}

/// How far a request came, for who goes through an account's set-up step by step. In the order of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hurdle {
    /// The password or key could not be read; nothing was asked.
    Secret,
    /// Name, connection or TLS: the host was not reached.
    Connection,
    /// The host answered, but not as a Data API does, or not completely.
    Answer,
    Login,
    /// The list of addresses that may call.
    Address,
    /// The account is switched off.
    Account,
    Points,
    /// The user may not do this, or a component is missing.
    Right,
    /// The request itself.
    Request,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitWindow {
    Minute,
    Hour,
    Day,
    Unknown,
}

/// A request that brought no data, with all that is known about why.
#[derive(Clone, Debug)]
pub struct ApiError {
    request: Box<Asked>,
    cause: Cause,
}

/// What was asked, as far as it may be shown.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub request_id: String,
    pub method: String,
    pub host: String,
    pub user_id: Option<i64>,
    pub by_key: bool,
}

#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error("{fault}")]
    Transport { fault: Fault, source: Arc<dyn Error + Send + Sync> },
    #[error("{0}")]
    Malformed(Malformed),
    /// An HTTP status that is no success, with no JSON-RPC error to explain it.
    #[error("HTTP status {status} without a JSON-RPC error")]
    Status { status: u16, retry_after: Option<Duration> },
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// Others took the room in memory while an answer that had become so large was still coming.
    #[error("the answer is larger than those before, and after {bytes} bytes there is no room in memory for the rest")]
    NoRoom { bytes: usize },
    #[error("`credentials.{secret}` cannot be read: {reason}")]
    Secret { secret: &'static str, reason: String },
}

/// An answer that is not one. Such an answer is never data, whatever it starts with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the answer is empty")]
    Empty,
    #[error("the answer is a web page, not JSON")]
    WebPage,
    #[error("the answer is not text in UTF-8")]
    NotText,
    #[error("the answer is not JSON (at line {line}, column {column})")]
    NotJson { line: usize, column: usize },
    #[error("the answer ends in the middle, after {bytes} bytes")]
    Truncated { bytes: usize },
    #[error("the answer is larger than the {limit} bytes that are accepted")]
    TooLarge { limit: usize },
    #[error("the answer is JSON but not of JSON-RPC (at line {line}, column {column})")]
    NotJsonRpc { line: usize, column: usize },
    #[error("the answer has neither `result` nor `error`")]
    NeitherResultNorError,
    #[error("the answer belongs to another request: its `id` is not the one sent")]
    WrongId,
    #[error("`data` of the answer is not what the method gives: expected {expected}")]
    WrongData { expected: &'static str },
}

impl ApiError {
    pub(super) fn new(request: Asked, cause: Cause) -> Self {
        Self { request: Box::new(request), cause }
    }

    pub fn class(&self) -> Class {
        match &self.cause {
            Cause::Transport { .. } | Cause::Malformed(_) | Cause::NoRoom { .. } => Class::Retry { after: None },
            Cause::Status { status, retry_after } => class_of_status(*status, *retry_after),
            Cause::Refused(refusal) => refusal.class(self.request.user_id),
            Cause::Secret { .. } => Class::Owner,
        }
    }

    pub fn hurdle(&self) -> Hurdle {
        match &self.cause {
            Cause::Secret { .. } => Hurdle::Secret,
            Cause::Transport { fault: Fault::Broken(_), .. } | Cause::Malformed(_) | Cause::NoRoom { .. } => {
                Hurdle::Answer
            }
            Cause::Transport { .. } => Hurdle::Connection,
            Cause::Status { status: 429, .. } => Hurdle::Points,
            Cause::Status { .. } => Hurdle::Answer,
            Cause::Refused(refusal) => refusal.hurdle(&self.request),
        }
    }

    /// The method that failed: `login.user` when the session for it could not be had.
    pub fn method(&self) -> &str {
        &self.request.method
    }

    /// The API's own name of the error, when it gave one.
    pub fn mnemonic(&self) -> Option<&str> {
        match &self.cause {
            Cause::Refused(refusal) => refusal.mnemonic.as_deref(),
            _ => None,
        }
    }

    /// What a person can do about it, and where: one or more sentences in plain words.
    pub fn remedy(&self) -> String {
        match &self.cause {
            Cause::Transport { fault, .. } => remedy::of_fault(fault, &self.request.host),
            Cause::Malformed(malformed) => remedy::of_malformed(malformed, &self.request.host),
            Cause::Status { status, .. } => remedy::of_status(*status, &self.request.host),
            Cause::Refused(refusal) => remedy::of_refusal(refusal, &self.request),
            Cause::NoRoom { .. } => remedy::OF_NO_ROOM.to_owned(),
            Cause::Secret { secret, .. } => remedy::of_secret(secret),
        }
    }

    /// A word for the metric of requests; from a closed list, whatever the server sends.
    pub fn outcome(&self) -> &'static str {
        match &self.cause {
            Cause::Transport { fault, .. } => fault.outcome(),
            Cause::Malformed(_) => "malformed",
            Cause::NoRoom { .. } => "no_room",
            Cause::Status { status: 429, .. } => "http_429",
            Cause::Status { status: 500.., .. } => "http_5xx",
            Cause::Status { status: 400.., .. } => "http_4xx",
            Cause::Status { .. } => "http_other",
            Cause::Refused(refusal) => refusal.outcome(),
            Cause::Secret { .. } => "secret",
        }
    }

    /// The `id` of the request, by which the service's support may find it.
    pub(super) fn request_id(&self) -> &str {
        &self.request.request_id
    }

    /// Whether a new session, or a key read anew, may help.
    pub(super) fn refuses_token(&self) -> bool {
        matches!(&self.cause, Cause::Refused(refusal) if refusal.ruling() == Ruling::Token)
    }

    /// Whether `date_till` was not taken, as by brands that serve rows only hours later when it is too recent.
    pub fn refuses_date_till(&self) -> bool {
        let Cause::Refused(refusal) = &self.cause else { return false };
        refusal.mnemonic.as_deref() == Some("invalid_parameter_value") && refusal.field.as_deref() == Some("date_till")
    }

    /// Whether the answer is larger than all the room there is for answers: a shorter page may fit.
    pub fn is_too_large(&self) -> bool {
        matches!(self.cause, Cause::Malformed(Malformed::TooLarge { .. }))
    }

    /// Whether the method does not take `user_id`.
    pub(super) fn refuses_user_id(&self) -> bool {
        let Cause::Refused(refusal) = &self.cause else { return false };
        refusal.mnemonic.as_deref() == Some("unexpected_parameters")
            && refusal.field.as_deref().is_none_or(|field| field == "user_id")
    }
}

fn class_of_status(status: u16, retry_after: Option<Duration>) -> Class {
    match status {
        429 => Class::Limited { window: LimitWindow::Unknown, wait: retry_after },
        408 | 425 | 500.. => Class::Retry { after: retry_after },
        // Who asks, from where and by which address are the owner's to change; so is a redirect to elsewhere.
        300..=399 | 401..=407 | 410 | 421 | 451 => Class::Owner,
        _ => Class::Bug,
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            // Nothing was asked of anybody yet.
            Cause::Secret { .. } => self.cause.fmt(f),
            cause => write!(f, "`{}` at {}: {cause}", self.request.method, self.request.host),
        }
    }
}

/// `Display` says everything already; the source is there for those who look for a particular error.
impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_status(status: u16) -> ApiError {
        let asked = Asked {
            request_id: "q-1".into(),
            method: "get.tags".into(),
            host: "api.example".into(),
            user_id: None,
            by_key: true,
        };
        ApiError::new(asked, Cause::Status { status, retry_after: Some(Duration::from_secs(7)) })
    }

    #[test]
    fn the_status_decides_when_nothing_else_does() {
        let after = Some(Duration::from_secs(7));
        let table = [
            (429, Class::Limited { window: LimitWindow::Unknown, wait: after }, "http_429"),
            (500, Class::Retry { after }, "http_5xx"),
            (503, Class::Retry { after }, "http_5xx"),
            (408, Class::Retry { after }, "http_4xx"),
            (401, Class::Owner, "http_4xx"),
            (403, Class::Owner, "http_4xx"),
            (404, Class::Owner, "http_4xx"),
            (407, Class::Owner, "http_4xx"),
            (302, Class::Owner, "http_other"),
            (400, Class::Bug, "http_4xx"),
            (413, Class::Bug, "http_4xx"),
        ];
        for (status, class, outcome) in table {
            let error = of_status(status);
            assert_eq!((error.class(), error.outcome()), (class, outcome), "{status}");
        }
        assert_eq!(of_status(502).to_string(), "`get.tags` at api.example: HTTP status 502 without a JSON-RPC error");
    }
}
