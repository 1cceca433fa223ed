//! The clock of the service: the only place that asks the machine for the time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::time::Instant;

/// Now, and the now that plans are made for. `run --once` plans for the moment it started, so that it ends.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    frozen: Option<Instant>,
}

impl Clock {
    /// Plans are made for the moment of planning.
    pub const fn running() -> Self {
        Self { frozen: None }
    }

    /// Plans are made for this moment: what is due later is left alone.
    pub fn frozen_now() -> Self {
        Self { frozen: Some(Self::running().now()) }
    }

    pub const fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    pub fn planning_now(&self) -> Instant {
        self.frozen.unwrap_or_else(|| self.now())
    }

    pub fn now(&self) -> Instant {
        Instant::from_unix_seconds(self.now_millis().div_euclid(1000))
    }

    /// Milliseconds of Unix time.
    pub fn now_millis(&self) -> i64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }
}
