//! One request and its answer: id, envelope, size, class of failure, and what is noted on the way (points, metrics).
//!
//! Knows nothing of sessions: what proves the right to ask comes with each request.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tracing::debug;

use super::envelope::{self, Reply};
use super::error::{ApiError, Asked, Cause, Malformed};
use super::http::{Http, HttpAnswer};
use super::limits::SeenLimits;
use super::refusal::Refusal;
use super::room::Held;
use super::secret::Proof;

/// One finished request, for metrics.
#[derive(Debug)]
pub struct RequestSeen<'a> {
    pub method: &'a str,
    /// `ok`, a documented mnemonic, or a word for what went wrong on the way; from a closed list.
    pub outcome: &'static str,
    pub duration: Duration,
}

/// Told of every request, also of logins. Must not block.
pub type Observer = Arc<dyn Fn(&RequestSeen<'_>) + Send + Sync>;

pub(super) struct Channel {
    http: Http,
    url: Url,
    observer: Observer,
    limits: Mutex<Option<SeenLimits>>,
    /// Ids are unique to a process and a request, so that the service's request log can be searched for one.
    id_prefix: String,
    next_id: AtomicU64,
    /// In bytes: pages of an account are about as large as its pages before.
    largest_answer: AtomicUsize,
}

/// What to ask, without what proves the right to.
pub(super) struct Call<'a, P> {
    pub method: &'a str,
    pub user_id: Option<i64>,
    /// All parameters but the proof, `user_id` among them. Never holds a secret: it is logged when refused as wrong.
    pub params: &'a P,
}

/// A successful answer. Owns the body; `data` is the place of the data in it.
#[derive(Debug)]
pub(super) struct Answer {
    pub body: String,
    pub data: Range<usize>,
    pub metadata: Value,
    pub room: Held,
}

impl Channel {
    pub(super) fn new(http: Http, url: Url, observer: Observer) -> Self {
        let id_prefix = format!("callfeed-{:08x}", fastrand::u32(..));
        Self {
            http,
            url,
            observer,
            limits: Mutex::new(None),
            id_prefix,
            next_id: AtomicU64::new(1),
            largest_answer: AtomicUsize::new(0),
        }
    }

    pub(super) fn limits(&self) -> Option<SeenLimits> {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget_limits(&self) {
        *self.limits.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) async fn exchange(&self, call: &Call<'_, impl Serialize>, proof: Proof<'_>) -> Result<Answer, ApiError> {
        let id = format!("{}-{}", self.id_prefix, self.next_id.fetch_add(1, Ordering::Relaxed));
        let request = envelope::request(&id, call.method, proof, call.params);
        let expected = self.largest_answer.load(Ordering::Relaxed);
        self.http.wait_for_room(expected).await;
        let started = Instant::now();
        let outcome = match self.http.post(&self.url, request, expected).await {
            Ok((http, room)) => self.interpret(http, room, &id, proof),
            Err(cause) => Err(cause),
        };
        if let Err(Cause::NoRoom { bytes }) = &outcome {
            self.largest_answer.fetch_max(bytes.saturating_mul(2), Ordering::Relaxed);
        }
        let outcome = outcome.map_err(|cause| ApiError::new(self.asked(&id, call, proof), cause));
        self.report(call.method, &id, started.elapsed(), &outcome);
        outcome
    }

    /// An error at `method` outside of an exchange: before it could be made, or in what it brought.
    pub(super) fn error(&self, method: &str, user_id: Option<i64>, cause: Cause) -> ApiError {
        let (method, host) = (method.to_owned(), self.host());
        ApiError::new(Asked { request_id: String::new(), method, host, user_id, by_key: false }, cause)
    }

    fn asked<P>(&self, id: &str, call: &Call<'_, P>, proof: Proof<'_>) -> Asked {
        Asked {
            request_id: id.to_owned(),
            method: call.method.to_owned(),
            host: self.host(),
            user_id: call.user_id,
            by_key: matches!(proof, Proof::Key(_)),
        }
    }

    fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    fn interpret(&self, http: HttpAnswer, room: Held, id: &str, proof: Proof<'_>) -> Result<Answer, Cause> {
        let HttpAnswer { status, retry_after, body } = http;
        let success = (200..300).contains(&status);
        self.largest_answer.fetch_max(body.len(), Ordering::Relaxed);
        let reply = match String::from_utf8(body) {
            Ok(body) => envelope::read(&body, id).map(|reply| (reply, body)),
            Err(_) => Err(Malformed::NotText),
        };
        match reply {
            Ok((Reply::Data { data, metadata }, body)) if success => {
                self.note_limits(&metadata, |before, now| Some(before?.counted_on(1, now)));
                Ok(Answer { body, data, metadata, room })
            }
            Ok((Reply::Refusal(error), _)) => {
                let params = &error["data"]["params"];
                self.note_limits(&error["data"]["metadata"], |before, now| SeenLimits::of_refusal(params, before, now));
                Err(Cause::Refused(Box::new(Refusal::read(&error, status, retry_after, proof))))
            }
            Err(malformed) if success => Err(Cause::Malformed(malformed)),
            _ => Err(Cause::Status { status, retry_after }),
        }
    }

    /// Takes what an answer tells of limits; one that tells nothing means `otherwise`.
    fn note_limits(&self, metadata: &Value, otherwise: impl FnOnce(Option<SeenLimits>, Instant) -> Option<SeenLimits>) {
        let now = Instant::now();
        let mut newest = self.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = match SeenLimits::of_metadata(metadata, now) {
            Some(seen) => Some(newest.map_or(seen, |before| seen.after(&before))),
            None => otherwise(*newest, now),
        };
        *newest = seen.or(*newest);
    }

    fn report(&self, method: &str, id: &str, duration: Duration, result: &Result<Answer, ApiError>) {
        let (outcome, bytes) = match result {
            Ok(answer) => ("ok", answer.body.len()),
            Err(error) => (error.outcome(), 0),
        };
        (self.observer)(&RequestSeen { method, outcome, duration });
        debug!(method, request_id = id, outcome, ms = duration.as_millis() as u64, bytes, "data api request");
    }
}
