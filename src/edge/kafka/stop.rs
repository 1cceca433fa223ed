//! The request to stop, as the publisher's thread sees it: it looks wherever it waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(super) struct Stop {
    deadline: Mutex<Option<Instant>>,
    requested: Condvar,
}

impl Stop {
    /// A later request can only bring the deadline forward.
    pub fn request(&self, deadline: Instant) {
        let mut current = self.lock();
        *current = Some(current.map_or(deadline, |earlier| earlier.min(deadline)));
        self.requested.notify_all();
    }

    pub fn deadline(&self) -> Option<Instant> {
        *self.lock()
    }

    pub fn is_requested(&self) -> bool {
        self.deadline().is_some()
    }

    /// Whether less than `reserve` is left before the deadline.
    pub fn is_due(&self, reserve: Duration) -> bool {
        self.deadline().is_some_and(|deadline| Instant::now() + reserve >= deadline)
    }

    /// Sleeps, but not beyond a request to stop.
    pub fn sleep(&self, duration: Duration) {
        let requested = self.lock();
        // Whether it slept to the end or was woken makes no difference to the callers, who look anew.
        drop(self.requested.wait_timeout_while(requested, duration, |deadline| deadline.is_none()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // A poisoned lock still holds a whole value: it is written in one assignment.
        self.deadline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
