//! Progress on its way from the task that has polled an account to the one that will.
//!
//! An account whose configuration has changed is stopped and started anew. Its progress is what Kafka has acknowledged,
//! and nobody else moves it while the partition is this replica's, so it need not be read from the state topic again.
//! What is not here is read from there.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::call::AccountId;
use crate::progress::Progress;

#[derive(Debug, Default)]
pub struct Handover(Mutex<HashMap<AccountId, Progress>>);

impl Handover {
    /// Leaves the progress of an account for the next one to poll it.
    pub fn leave(&self, progress: Progress) {
        self.lock().insert(progress.account().clone(), progress);
    }

    pub fn take(&self, account: &AccountId) -> Option<Progress> {
        self.lock().remove(account)
    }

    /// A panic elsewhere leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Progress>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
