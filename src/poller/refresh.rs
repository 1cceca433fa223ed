//! When the account is to be asked again for what was asked when it was opened: its zone, and the ids of named tags.

use std::time::Duration;

use super::{Poller, ReadError};
use crate::domain::time::Instant;
use crate::recall::{Recall, Recalled};

/// The time of the next look. Accounts are opened at the same moment and must not all look at the same one.
#[derive(Debug)]
pub struct Refresh {
    every: Duration,
    due: Instant,
    recalled: Recalled,
}

impl Refresh {
    pub fn new(every: Duration, now: Instant, recall: &Recall) -> Self {
        Self { every, due: next(every, now), recalled: recall.hear() }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due <= now
    }

    /// Notes that it was tried; after a failure the next try is at the usual time.
    pub fn done(&mut self, now: Instant) {
        self.due = next(self.every, now);
    }
}

/// Somewhere in the second half of the interval.
fn next(every: Duration, now: Instant) -> Instant {
    now + every.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl Poller {
    /// Whether to look now. There is time for that when there are points to look with.
    pub(super) fn refresh_is_due(&mut self) -> bool {
        let now = self.context.clock.now();
        if self.context.clock.is_frozen() || !self.refresh.is_due(now) {
            return false;
        }
        if let Some((until, _)) = self.budget().wait(now) {
            self.refresh.due = until;
            return false;
        }
        true
    }

    /// Waits as [`Poller::sleep_until`], but no longer than until it is time to look again.
    pub(super) async fn rest_until(&mut self, until: Instant) -> Result<(), ReadError> {
        let mut recalled = self.refresh.recalled.clone();
        tokio::select! {
            outcome = self.sleep_until(until.min(self.refresh.due)) => outcome,
            () = recalled.heard() => {
                self.purse.look_again();
                self.refresh.due = self.context.clock.now();
                self.refresh.recalled = recalled;
                Ok(())
            }
        }
    }
}
