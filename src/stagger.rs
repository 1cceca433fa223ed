//! Lets accounts start one after another: ten thousand logins in one second are an attack, also when they are meant well.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Two hundred a second: ten thousand accounts have started within a minute.
const APART: Duration = Duration::from_millis(5);

/// So many may start at once, when none has started for a while.
const AT_ONCE: u32 = 50;

/// Whoever passes has waited for its turn. By default nobody has passed yet.
#[derive(Debug)]
pub struct Stagger(Mutex<Option<Instant>>);

impl Default for Stagger {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl Stagger {
    pub async fn pass(&self) {
        let turn = self.turn(Instant::now());
        tokio::time::sleep_until(turn).await;
    }

    /// When whoever comes now may pass.
    fn turn(&self, now: Instant) -> Instant {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = last.map_or(now, |last| now.max(last + APART));
        *last = Some(next);
        let ahead = next.duration_since(now);
        now + ahead.saturating_sub(APART * AT_ONCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pass_at_once_and_ten_thousand_within_a_minute() {
        let (stagger, now) = (Stagger::default(), Instant::now());
        let waits: Vec<Duration> = (0..10_000).map(|_| stagger.turn(now) - now).collect();
        assert!(waits[..50].iter().all(Duration::is_zero));
        assert!(waits.windows(2).skip(51).all(|pair| pair[1] - pair[0] == APART));
        assert!((45..60).contains(&waits[9_999].as_secs()), "{:?}", waits[9_999]);

        let later = now + Duration::from_secs(3600);
        assert_eq!(stagger.turn(later), later, "what was not used is not saved up, and nobody waits for it");
    }
}
