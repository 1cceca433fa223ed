//! Which accounts people have paused, as the state topic has it.
//!
//! A pause outlasts restarts and moves along when another replica takes the account over.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::call::AccountId;
use crate::domain::time::Instant;
use crate::edge::kafka::{Acknowledged, Record};
use crate::state::{PausedRecord, StateKey, StatePart, StatePlace};
use crate::stream::calls;

/// By account: since when, if that can be told.
#[derive(Debug, Default)]
pub struct Pauses(Mutex<HashMap<AccountId, Option<Instant>>>);

/// A pause that begins at this moment, or ends.
#[derive(Clone, Copy, Debug)]
pub struct Pause {
    pub since: Option<Instant>,
}

impl Pause {
    /// What has to be acknowledged before it holds.
    pub fn record(self, account: &AccountId, place: &StatePlace) -> Record {
        let key = StateKey { account: account.clone(), stream: calls::NAME.to_owned(), part: StatePart::Paused };
        place.record(&key, self.since.map(|since| PausedRecord { since }.to_json()))
    }
}

impl Pauses {
    pub fn of(paused: HashMap<AccountId, Option<Instant>>) -> Self {
        Self(Mutex::new(paused))
    }

    pub fn is_paused(&self, account: &AccountId) -> bool {
        self.lock().contains_key(account)
    }

    pub fn since(&self, account: &AccountId) -> Option<Instant> {
        self.lock().get(account).copied().flatten()
    }

    /// Takes over what Kafka has acknowledged.
    pub fn apply(&self, account: &AccountId, pause: Pause, _proof: Acknowledged) {
        match pause.since {
            Some(_) => self.lock().insert(account.clone(), pause.since),
            None => self.lock().remove(account),
        };
    }

    /// A panic elsewhere leaves the map whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
