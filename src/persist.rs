//! Waiting for what callfeed cannot work without.

use std::time::Duration;

use crate::domain::pace::backoff;

/// An answer that takes longer is told to be waited for.
const SLOW: Duration = Duration::from_secs(2);

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// Tries until it works or cannot work, and says each time what it waits for.
pub async fn persist<T, E, F>(
    what: &str,
    is_retryable: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    E: std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut failures = 0;
    loop {
        match told_when_slow(what, attempt()).await {
            Err(error) if is_retryable(&error) => {
                failures += 1;
                let wait = backoff(failures, FIRST_BACKOFF, LONGEST_BACKOFF, fastrand::f64());
                tracing::warn!(what, %error, ?wait, "waiting");
                tokio::time::sleep(wait).await;
            }
            outcome => return outcome,
        }
    }
}

/// The outcome of an attempt. One that takes long is told of, or somebody would wait and not know for what.
async fn told_when_slow<T>(what: &str, attempt: impl Future<Output = T>) -> T {
    tokio::pin!(attempt);
    match tokio::time::timeout(SLOW, &mut attempt).await {
        Ok(outcome) => outcome,
        Err(_) => {
            tracing::warn!(what, "waiting for an answer");
            attempt.await
        }
    }
}
