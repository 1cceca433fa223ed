//! The token of one credential: got once, shared by every request, got anew when it ends or is refused.
//!
//! ```text
//!            none ──get──> held ──about to end, or refused──> get again ──> held
//!                                                              │ the same key again: nothing new to try
//! ```
//!
//! At most one login is in flight per credential. Who comes meanwhile waits for it and shares its outcome, a failure
//! too: fifty accounts behind one wrong password make one attempt, not fifty.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tracing::{debug, warn};

use super::channel::{Call, Channel};
use super::error::{ApiError, Cause, Malformed};
use super::limits::whole_number;
use super::secret::{Credentials, Proof, SecretSource, SecretString};

/// What the time is. A parameter, so that tests need not wait an hour.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(super) const LOGIN: &str = "login.user";

/// How long a session lives when the answer does not say, or says something impossible (data-api, 3).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(3600);

/// A session is renewed so long before its end, and up to `RENEW_SPREAD` earlier, a different time for each
/// credential: after a start all sessions would otherwise end in the same second, every hour.
const RENEW_AHEAD: Duration = Duration::from_secs(300);
const RENEW_SPREAD_SECONDS: u64 = 600;

/// When a renewal fails while the old session still lives, the next attempt is made after this.
const RENEW_AGAIN: Duration = Duration::from_secs(30);

/// Unix times above this are milliseconds: as seconds they lie beyond the year 5000.
const MAX_PLAUSIBLE_SECONDS: u64 = 100_000_000_000;

pub(super) struct Session {
    channel: Arc<Channel>,
    credentials: Credentials,
    clock: Clock,
    spread: Duration,
    /// How many attempts to get a token have ended.
    attempts: AtomicU64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// The last attempt, when it failed, by its number.
    failure: Option<(u64, ApiError)>,
}

#[derive(Clone)]
struct Token {
    secret: SecretString,
    /// None for a key, whose end is not known here.
    life: Option<Life>,
}

#[derive(Clone, Copy)]
struct Life {
    renew_at: SystemTime,
    ends_at: SystemTime,
}

impl Session {
    pub(super) fn new(channel: Arc<Channel>, credentials: Credentials, clock: Clock) -> Self {
        let spread = Duration::from_secs(fastrand::u64(0..=RENEW_SPREAD_SECONDS));
        Self { channel, credentials, clock, spread, attempts: AtomicU64::new(0), state: Mutex::default() }
    }

    /// How a request proves itself with `token`.
    pub(super) fn proof<'a>(&self, token: &'a SecretString) -> Proof<'a> {
        match self.credentials {
            Credentials::Login { .. } => Proof::Session(token),
            Credentials::ApiKey(_) => Proof::Key(token),
        }
    }

    /// A token that should be good for the next request.
    pub(super) async fn token(&self) -> Result<SecretString, ApiError> {
        let attempts_seen = self.attempts.load(Ordering::Acquire);
        // Held over the login on purpose: this is what lets only one be in flight.
        let mut state = self.state.lock().await;
        let now = (self.clock)();
        match state.token.clone() {
            Some(token) if token.life.is_none_or(|life| now < life.renew_at) => Ok(token.secret),
            Some(token) if token.life.is_some_and(|life| now < life.ends_at) => {
                Ok(self.renew_early(&mut state, token, now).await)
            }
            _ => self.get(&mut state, attempts_seen).await,
        }
    }

    /// Another token in place of one that was refused; none when there is nothing else to try.
    pub(super) async fn instead_of(&self, refused: &SecretString) -> Result<Option<SecretString>, ApiError> {
        let attempts_seen = self.attempts.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(token) = &state.token
            && token.secret != *refused
        {
            // Somebody else has replaced it meanwhile.
            return Ok(Some(token.secret.clone()));
        }
        state.token = None;
        debug!("the data api no longer accepts the token, getting another");
        let secret = self.get(&mut state, attempts_seen).await?;
        Ok((secret != *refused).then_some(secret))
    }

    /// Renews ahead of the end. A failure is no harm yet: the session in hand lives on.
    async fn renew_early(&self, state: &mut State, mut held: Token, now: SystemTime) -> SecretString {
        match self.obtain().await {
            Ok(token) => {
                let secret = token.secret.clone();
                state.token = Some(token);
                secret
            }
            Err(error) => {
                warn!(%error, "cannot renew the session ahead of its end, going on with the old one");
                held.life = held.life.map(|life| Life { renew_at: now + RENEW_AGAIN, ..life });
                state.token = Some(held.clone());
                held.secret
            }
        }
    }

    /// Gets a token, or shares the failure of an attempt that ended while the caller waited for the lock.
    async fn get(&self, state: &mut State, attempts_seen: u64) -> Result<SecretString, ApiError> {
        if let Some((attempt, failure)) = &state.failure
            && *attempt > attempts_seen
        {
            return Err(failure.clone());
        }
        let outcome = self.obtain().await;
        let attempt = self.attempts.fetch_add(1, Ordering::AcqRel) + 1;
        match outcome {
            Ok(token) => {
                state.failure = None;
                let secret = token.secret.clone();
                state.token = Some(token);
                Ok(secret)
            }
            Err(error) => {
                state.failure = Some((attempt, error.clone()));
                Err(error)
            }
        }
    }

    async fn obtain(&self) -> Result<Token, ApiError> {
        match &self.credentials {
            Credentials::ApiKey(key) => {
                let secret = self.read_secret(key, "api_key").await?;
                Ok(Token { secret, life: None })
            }
            Credentials::Login { login, password } => {
                let password = self.read_secret(password, "password").await?;
                self.login(login, &password).await
            }
        }
    }

    async fn login(&self, login: &str, password: &SecretString) -> Result<Token, ApiError> {
        #[derive(Serialize)]
        struct NothingElse {}
        let proof = Proof::Login { login, password };
        let call = Call { method: LOGIN, user_id: None, params: &NothingElse {} };
        let answer = self.channel.exchange(&call, proof).await?;
        let data: Value = serde_json::from_str(&answer.body[answer.data]).unwrap_or_default();
        match data["access_token"].as_str() {
            Some(token) if !token.is_empty() => {
                let life = self.life(&data, (self.clock)());
                Ok(Token { secret: SecretString::new(token), life: Some(life) })
            }
            _ => {
                let cause = Cause::Malformed(Malformed::WrongData { expected: "an object with `access_token`" });
                Err(self.channel.error(LOGIN, None, cause))
            }
        }
    }

    fn life(&self, data: &Value, now: SystemTime) -> Life {
        let lifetime = lifetime(data, now);
        // A session shorter than the margin, as tests have them, is not renewed at every request.
        let ahead = (RENEW_AHEAD + self.spread).min(lifetime / 4);
        Life { renew_at: now + (lifetime - ahead), ends_at: now + lifetime }
    }

    /// Reads on a thread that may block: the secret may stand in a file.
    async fn read_secret(&self, source: &SecretSource, secret: &'static str) -> Result<SecretString, ApiError> {
        let source = source.clone();
        let read = tokio::task::spawn_blocking(move || source()).await;
        let reason = match read {
            Ok(Ok(value)) if !value.is_empty() => return Ok(value),
            Ok(Ok(_)) => "it is empty".to_owned(),
            Ok(Err(reason)) => reason,
            Err(_) => "reading it was broken off".to_owned(),
        };
        Err(self.channel.error(LOGIN, None, Cause::Secret { secret, reason }))
    }
}

/// How long a session lives from now: by `expire_at`, or `expire` as one sample has it (data-api, 3).
///
/// The end is told by the server's clock. When it lies in the past by ours, the clocks disagree, and the documented
/// hour is the better guess; a session that ends earlier is noticed by the refusal.
fn lifetime(data: &Value, now: SystemTime) -> Duration {
    let told = whole_number(&data["expire_at"]).or_else(|| whole_number(&data["expire"]));
    let end = told.map(|end| match end {
        MAX_PLAUSIBLE_SECONDS.. => Duration::from_millis(end),
        seconds => Duration::from_secs(seconds),
    });
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    match end.and_then(|end| end.checked_sub(now)) {
        Some(left) if !left.is_zero() => left,
        _ => DEFAULT_LIFETIME,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_end_of_a_session_is_read_in_all_its_spellings() {
        let now = 1_772_434_800;
        let table = [
            (json!({"expire_at": now + 1800}), 1800),
            (json!({"expire": now + 1800}), 1800),
            (json!({"expire_at": null, "expire": (now + 1800).to_string()}), 1800),
            (json!({"expire_at": (now + 1800) * 1000}), 1800),
            (json!({"expire_at": now + 2}), 2),
            (json!({}), 3600),
            (json!({"expire_at": "2026-03-02 11:00:00"}), 3600),
            (json!({"expire_at": -1}), 3600),
            (json!({"expire_at": now}), 3600),
            (json!({"expire_at": now - 7200}), 3600),
        ];
        for (data, seconds) in table {
            let lifetime = lifetime(&data, UNIX_EPOCH + Duration::from_secs(now));
            assert_eq!(lifetime, Duration::from_secs(seconds), "{data}");
        }
    }
}
