//! What the state topic holds of the accounts of one partition, from the last time it was read.
//!
//! Progress is taken from here once, when an account starts. When the outcome of a transaction is not known, the
//! partition is read again: once for all of its accounts that were in it, not once for each.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant as Moment;

use crate::domain::call::AccountId;
use crate::domain::time::Instant;
use crate::edge::kafka::{Intent, MemoryLog, RestoreError, RestoreProgress, StateTopic, partition_of};
use crate::logging::events;
use crate::state::{Accounts, PausedRecord, Stored, by_account};

/// A state topic of a million calls is read in seconds; this bounds a broker that hangs.
const RESTORE_WITHIN: Duration = Duration::from_mins(5);

/// A restore that takes longer is told of, and again each time.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Where the state is kept.
#[derive(Clone)]
pub enum StateSource {
    Topic(StateTopic),
    /// The log that a rehearsal publishes to. It has one partition.
    Memory(MemoryLog),
}

impl StateSource {
    /// The partition that an account's state lies in.
    pub fn partition_of(&self, account: &AccountId) -> i32 {
        match self {
            Self::Topic(topic) => topic.partition_of(account.as_str()),
            Self::Memory(_) => partition_of(account.as_str(), 1),
        }
    }

    /// Reads these partitions up to what was written when it was called.
    pub async fn restored(&self, partitions: &[i32]) -> Result<Restored, RestoreError> {
        let read_at = Moment::now();
        let mut accounts: BTreeMap<i32, Accounts> =
            partitions.iter().map(|partition| (*partition, Accounts::new())).collect();
        let content = self.restore(partitions).await?;
        let intents = self.intents(&content);
        for ((account, stream), stored) in by_account(content) {
            let Some(accounts) = accounts.get_mut(&self.partition_of(&account)) else { continue };
            accounts.insert((account, stream), stored);
        }
        let n_accounts: usize = accounts.values().map(Accounts::len).sum();
        tracing::info!(name: events::STATE_RESTORED, n_accounts, ?partitions, seconds = read_at.elapsed().as_secs_f64(), "state restored");
        let store = |(partition, accounts)| (partition, Store::of(self.clone(), partition, read_at, accounts));
        Ok(Restored { stores: accounts.into_iter().map(store).collect(), intents })
    }

    fn intents(&self, content: &HashMap<String, Vec<u8>>) -> BTreeMap<i32, Vec<Intent>> {
        match self {
            Self::Topic(topic) => Intent::all_in(&topic.topic, content),
            Self::Memory(_) => BTreeMap::new(),
        }
    }

    /// The latest value of each key.
    async fn restore(&self, partitions: &[i32]) -> Result<HashMap<String, Vec<u8>>, RestoreError> {
        match self {
            Self::Topic(topic) => topic.restore(partitions, RESTORE_WITHIN, told()).await,
            Self::Memory(log) => Ok(log.state()),
        }
    }
}

/// Tells how far a long restore is.
fn told() -> impl Fn(RestoreProgress) + Send + 'static {
    let told_at = std::sync::Mutex::new(Moment::now());
    move |progress| {
        let Ok(mut told_at) = told_at.lock() else { return };
        if told_at.elapsed() >= TELL_EVERY {
            *told_at = Moment::now();
            let percent = progress.offset.saturating_mul(100) / progress.total.max(1);
            tracing::info!(records = progress.records, percent, "restoring state");
        }
    }
}

/// What was read of some partitions.
pub struct Restored {
    pub stores: BTreeMap<i32, Store>,
    /// What a process that died without transactions was about to publish. It goes first.
    pub intents: BTreeMap<i32, Vec<Intent>>,
}

pub struct Store {
    source: StateSource,
    partition: i32,
    content: Mutex<Content>,
}

struct Content {
    read_at: Moment,
    accounts: Accounts,
    /// Every account that was ever handed out from here.
    handed_out: HashSet<(AccountId, String)>,
}

impl Store {
    fn of(source: StateSource, partition: i32, read_at: Moment, accounts: Accounts) -> Self {
        Self { source, partition, content: Mutex::new(Content { read_at, accounts, handed_out: HashSet::new() }) }
    }

    /// The accounts that were paused when the partition was read, and since when, if that can be told.
    pub fn paused(&mut self) -> HashMap<AccountId, Option<Instant>> {
        let accounts = self.content.get_mut().accounts.iter();
        let paused = accounts.filter_map(|((account, _), stored)| Some((account, stored.paused.as_deref()?)));
        paused
            .map(|(account, json)| (account.clone(), PausedRecord::from_json(json).ok().map(|record| record.since)))
            .collect()
    }

    /// What is stored of an account's stream. `lost_at` is when progress in memory was lost: older content is read
    /// anew. So it is for an account that was handed out before, as it may have moved on since.
    pub async fn take(
        &self,
        account: &AccountId,
        stream: &str,
        lost_at: Option<Moment>,
    ) -> Result<Stored, RestoreError> {
        let key = (account.clone(), stream.to_owned());
        let mut content = self.content.lock().await;
        let is_stale = match lost_at {
            Some(lost_at) => content.read_at <= lost_at,
            None => content.handed_out.contains(&key),
        };
        if is_stale {
            let read = self.source.restored(&[self.partition]).await?.stores.remove(&self.partition);
            if let Some(Content { read_at, accounts, .. }) = read.map(|store| store.content.into_inner()) {
                (content.read_at, content.accounts) = (read_at, accounts);
            }
        }
        content.handed_out.insert(key.clone());
        Ok(content.accounts.remove(&key).unwrap_or_default())
    }
}
