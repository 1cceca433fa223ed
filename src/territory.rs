//! The partitions of the state topic that are this replica's, and with them its accounts.
//!
//! ```text
//!   membership ── Lease ──> restore the partition ──> Holding ──> accounts of the partition run
//!                                                        │ lease is ending
//!                                                        v
//!                                     accounts finish and drop it; the lease is given back
//! ```
//!
//! What always holds: an account runs only with a [`Holding`] of its partition in hand, and so after the state was read
//! up to the end that it had when the partition was assigned.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::domain::call::AccountId;
use crate::domain::pace::backoff;
use crate::edge::kafka::{Intent, Lease, PublishError, Publisher, RestoreError};
use crate::handover::Handover;
use crate::pauses::Pauses;
use crate::store::{Restored, StateSource, Store};

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// One partition while it is this replica's.
pub struct Holding {
    pub lease: Lease,
    pub store: Store,
    pub handover: Handover,
    pub pauses: Pauses,
}

/// Who takes the accounts that are assigned to other replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// They may come here later.
    Waits,
    /// They are none of this process's business once it knows its own.
    OwnOnly,
}

/// Clones share it.
#[derive(Clone)]
pub struct Territory {
    source: StateSource,
    publisher: Publisher,
    patience: Patience,
    held: watch::Sender<Held>,
}

#[derive(Default)]
struct Held {
    holdings: BTreeMap<i32, Arc<Holding>>,
    /// Whether an assignment was ever restored.
    is_known: bool,
}

impl Territory {
    /// Nothing is held yet.
    pub fn new(source: StateSource, publisher: Publisher, patience: Patience) -> Self {
        Self { source, publisher, patience, held: watch::Sender::default() }
    }

    /// Restores partitions that were assigned, and lets their accounts run until the leases end. Tries again while that
    /// can help.
    pub async fn take(&self, leases: Vec<Lease>) -> Result<(), RestoreError> {
        let mut failures = 0;
        loop {
            let leases: Vec<Lease> = leases.iter().filter(|lease| !lease.is_ending()).cloned().collect();
            let partitions: Vec<i32> = leases.iter().map(Lease::partition).collect();
            if partitions.is_empty() {
                self.open(leases, BTreeMap::new());
                return Ok(());
            }
            let problem = match self.source.restored(&partitions).await {
                Ok(Restored { stores, intents }) if intents.is_empty() => {
                    self.open(leases, stores);
                    return Ok(());
                }
                Ok(Restored { intents, .. }) => match self.finish(&leases, intents).await {
                    // What that has written is read now.
                    Ok(()) => continue,
                    Err(error) => error.to_string(),
                },
                Err(error) if error.is_retryable() => error.to_string(),
                Err(error) => return Err(error),
            };
            failures += 1;
            let wait = backoff(failures, FIRST_BACKOFF, LONGEST_BACKOFF, fastrand::f64());
            tracing::warn!(problem, ?wait, "the state is not restored yet");
            tokio::time::sleep(wait).await;
        }
    }

    async fn finish(&self, leases: &[Lease], mut intents: BTreeMap<i32, Vec<Intent>>) -> Result<(), PublishError> {
        for lease in leases {
            self.publisher.finish(lease, intents.remove(&lease.partition()).unwrap_or_default()).await?;
        }
        Ok(())
    }

    fn open(&self, leases: Vec<Lease>, mut stores: BTreeMap<i32, Store>) {
        self.held.send_modify(|held| {
            held.is_known = true;
            for lease in leases {
                let Some(mut store) = stores.remove(&lease.partition()) else { continue };
                let pauses = Pauses::of(store.paused());
                tokio::spawn(self.clone().give_back(lease.clone()));
                let holding = Holding { lease, store, handover: Handover::default(), pauses };
                held.holdings.insert(holding.lease.partition(), Arc::new(holding));
            }
        });
    }

    /// Forgets a partition when its lease ends. Accounts that run with it give it back when they have finished.
    async fn give_back(self, lease: Lease) {
        lease.ending().await;
        self.held.send_modify(|held| {
            if held.holdings.get(&lease.partition()).is_some_and(|holding| holding.lease.is_ending()) {
                held.holdings.remove(&lease.partition());
            }
        });
    }

    /// Whether an assignment was ever restored.
    pub fn is_known(&self) -> bool {
        self.held.borrow().is_known
    }

    /// Tells how many partitions are held and restored, from the first assignment on and each time it changes.
    pub async fn watch(&self, mut tell: impl FnMut(usize)) {
        let mut held = self.held.subscribe();
        loop {
            let n_held = {
                let held = held.borrow_and_update();
                held.is_known.then_some(held.holdings.len())
            };
            n_held.into_iter().for_each(&mut tell);
            if held.changed().await.is_err() {
                return;
            }
        }
    }

    /// The partition of an account, when it is held and restored. None when it is another replica's, for those who do
    /// not wait for that to change.
    pub async fn holding_of(&self, account: &AccountId) -> Option<Arc<Holding>> {
        let partition = self.source.partition_of(account);
        let mut held = self.held.subscribe();
        loop {
            {
                let held = held.borrow_and_update();
                let holding = held.holdings.get(&partition).filter(|holding| !holding.lease.is_ending());
                match holding {
                    Some(holding) => return Some(holding.clone()),
                    None if held.is_known && self.patience == Patience::OwnOnly => return None,
                    None => {}
                }
            }
            held.changed().await.ok()?;
        }
    }

    /// Nobody is to poll this account any more.
    pub fn forget(&self, account: &AccountId) {
        if let Some(holding) = self.held.borrow().holdings.get(&self.source.partition_of(account)) {
            holding.handover.take(account);
        }
    }
}
